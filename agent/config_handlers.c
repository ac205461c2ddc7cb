/* Programs that the configuration names: event handlers. */
#include "config_table.h"
#include "handler_rule.h"

#define HANDLERS_MAX 256 /* each has a queue, and a script that may run */

enum mu_code config__check_handlers(struct config_draft *d, struct mu_err *err)
{
    const struct config_texts *list = &d->event_handlers;
    struct handler_rule rule;

    if (list->count > HANDLERS_MAX) {
        return mu_fail(err, MU_INVALID, "event_handlers: more than %d", HANDLERS_MAX);
    }
    for (size_t i = 0; i < list->count; i++) {
        enum mu_code rc = handler_rule_parse(&rule, list->items[i], &d->c.arena, err);

        if (rc != MU_OK) {
            return rc;
        }
    }
    d->c.event_handlers = list->items;
    d->c.event_handlers_count = list->count;
    return MU_OK;
}
