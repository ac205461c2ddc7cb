#include "handler_rule.h"

#include <string.h>

#include "base/assert.h"
#include "event_codec.h"
#include "handler_event.h"

static bool is_named(const char *type)
{
    return strcmp(type, HANDLER_USER) == 0 || strcmp(type, HANDLER_QUERY) == 0;
}

/* Only user and query have names: of the others the colon is part of a type that is none. */
static void filter_read(struct mu_span text, struct mu_arena *arena, struct handler_filter *out)
{
    struct mu_span name;
    struct mu_span type = mu_span_split(text, ':', &name, NULL);

    out->type = mu_arena_text(arena, type.data, type.bytes);
    out->name = mu_arena_text(arena, name.data, name.bytes);
    if (!is_named(out->type)) {
        out->type = mu_arena_text(arena, text.data, text.bytes);
        out->name = "";
    }
}

enum mu_code handler_rule_parse(struct handler_rule *out, const char *text, struct mu_arena *arena,
                                struct mu_err *err)
{
    bool has_filters = false;
    bool has_more = true;
    struct mu_span script;
    struct mu_span rest = mu_span_split(mu_span_text(text), '=', &script, &has_filters);

    if (!has_filters) {
        script = rest;
    }
    if (!has_filters || rest.bytes == 0) {
        rest = MU_SPAN_LIT("*");
    }
    size_t count = 1;

    for (size_t i = 0; i < rest.bytes; i++) {
        count += rest.data[i] == ',';
    }
    *out = (struct handler_rule){
        .filters = mu_arena_array(arena, count, sizeof *out->filters),
        .script = mu_arena_text(arena, script.data, script.bytes),
    };
    while (has_more) {
        struct handler_filter *f = &out->filters[out->count++];

        filter_read(mu_span_split(rest, ',', &rest, &has_more), arena, f);
        if (!handler_is_filter(mu_span_text(f->type))) {
            return mu_fail(err, MU_INVALID, "Invalid event script: Event '%s' invoking '%s'",
                           f->type, out->script);
        }
    }
    MU_ASSERT(out->count == count);
    return MU_OK;
}

/* Consul's events travel under a name of their own: for those who ask for it. */
size_t handler_rule_matches(const struct handler_rule *rule, const char *type, const char *name)
{
    size_t matches = 0;

    for (size_t i = 0; i < rule->count; i++) {
        const struct handler_filter *f = &rule->filters[i];
        bool is_right = strcmp(f->type, "*") == 0 || strcmp(f->type, type) == 0;
        bool has_name = f->name[0] == '\0' ? !event_is_reserved(name) : strcmp(f->name, name) == 0;

        matches += is_right && has_name;
    }
    return matches;
}
