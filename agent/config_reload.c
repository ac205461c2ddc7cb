/* A configuration that is read again while the agent runs (agent-behaviour 15).
 *
 * The struct that everybody reads stays where it is: what a reload applies is copied into it, row
 * by row, and texts and lists point into the memory of the newest one, which it keeps.
 */
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "config_table.h"

static size_t value_bytes(enum config_type type)
{
    switch (type) {
    case CONFIG_TEXT: return sizeof(const char *);
    case CONFIG_BOOL: return sizeof(bool);
    case CONFIG_INT:
    case CONFIG_MS: return sizeof(int64_t);
    case CONFIG_U32:
    case CONFIG_SECONDS: return sizeof(uint32_t);
    case CONFIG_PORT: return sizeof(int);
    case CONFIG_TEXTS:
    case CONFIG_TEXT_OR_TEXTS: return sizeof(struct config_texts);
    case CONFIG_PAIRS: return sizeof(struct mu_pairs);
    case CONFIG_SERVICES:
    case CONFIG_CHECKS:
    case CONFIG_WATCHES:
    case CONFIG_ANY: break; /* kept elsewhere than at an offset: tested */
    }
    MU_UNREACHABLE_CODE();
}

/* -- what differs ------------------------------------------------------------------------------ */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_texts(const struct config_texts *a, const struct config_texts *b)
{
    for (size_t i = 0; i < a->count && a->count == b->count; i++) {
        if (!same_text(a->items[i], b->items[i])) {
            return false;
        }
    }
    return a->count == b->count;
}

static bool same_pairs(const struct mu_pairs *a, const struct mu_pairs *b)
{
    for (size_t i = 0; i < a->count && a->count == b->count; i++) {
        if (!mu_span_eq(a->items[i].key, b->items[i].key) ||
            !mu_span_eq(a->items[i].value, b->items[i].value)) {
            return false;
        }
    }
    return a->count == b->count;
}

static bool same_value(enum config_type type, const void *a, const void *b)
{
    switch (type) {
    case CONFIG_TEXT: return same_text(*(const char *const *)a, *(const char *const *)b);
    case CONFIG_TEXTS:
    case CONFIG_TEXT_OR_TEXTS: return same_texts(a, b);
    case CONFIG_PAIRS: return same_pairs(a, b);
    case CONFIG_BOOL:
    case CONFIG_INT:
    case CONFIG_U32:
    case CONFIG_PORT:
    case CONFIG_MS:
    case CONFIG_SECONDS:
    case CONFIG_SERVICES:
    case CONFIG_CHECKS:
    case CONFIG_WATCHES:
    case CONFIG_ANY: return memcmp(a, b, value_bytes(type)) == 0;
    }
    MU_UNREACHABLE_CODE();
}

/* Several rows of ours may be one option of Serf's. */
static void add_once(struct mu_buf *to, const char *key)
{
    struct mu_span rest = mu_buf_span(to);

    while (rest.bytes > 0) {
        if (mu_span_eq_text(mu_span_split(rest, ',', &rest, NULL), key)) {
            return;
        }
        rest = mu_span_sub(rest, rest.bytes > 0, rest.bytes); /* the blank */
    }
    mu_buf_addf(to, "%s%s", to->bytes > 0 ? ", " : "", key);
}

void config_needs_restart(const struct config *c, const struct config *fresh, struct mu_buf *to)
{
    for (size_t i = 0; i < config_items_count; i++) {
        const struct config_item *item = &config_items[i];

        if (item->to == 0 || item->reloads || item->effect != CONFIG_WORKS) {
            continue;
        }
        if (!same_value(item->type, (const uint8_t *)c + item->to,
                        (const uint8_t *)fresh + item->to)) {
            add_once(to, config__said_key(c, item));
        }
    }
}

/* -- reading and taking over ------------------------------------------------------------------- */

enum mu_code config_load_again(struct config **out, const struct config *c, struct mu_err *err)
{
    bool wants_help = false;
    config_load_fn *load = c->again != NULL ? c->again : config_load;
    enum mu_code rc = load(out, c->argc, c->argv, &wants_help, err);

    MU_ASSERT(rc != MU_OK || !wants_help); /* it did not want help the first time */
    return rc;
}

void config_adopt(struct config *c, struct config *fresh)
{
    MU_ASSERT(fresh != c && fresh->adopted == NULL);
    for (size_t i = 0; i < config_items_count; i++) {
        const struct config_item *item = &config_items[i];

        if (item->reloads && item->to != 0) {
            memcpy((uint8_t *)c + item->to, (const uint8_t *)fresh + item->to,
                   value_bytes(item->type));
        }
    }
    /* what config_check.c made of rows */
    c->log_level = fresh->log_level;
    c->event_handlers = fresh->event_handlers;
    c->event_handlers_count = fresh->event_handlers_count;
    c->dns.service_ttl = fresh->dns.service_ttl;
    c->dns.service_ttl_count = fresh->dns.service_ttl_count;
    c->services = fresh->services;
    c->services_count = fresh->services_count;
    c->checks = fresh->checks;
    c->checks_count = fresh->checks_count;
    c->watches = fresh->watches;
    c->watches_count = fresh->watches_count;
    c->serf.tags = fresh->serf.tags;
    c->serf.profile = fresh->serf.profile;
    c->serf.broadcast_timeout_ms = fresh->serf.broadcast_timeout_ms;
    c->serf.reconnect_ms = fresh->serf.reconnect_ms;
    c->serf.tombstone_ms = fresh->serf.tombstone_ms;
    c->warnings = fresh->warnings;
    c->warnings_count = fresh->warnings_count;
    config_free(c->adopted);
    c->adopted = fresh;
}
