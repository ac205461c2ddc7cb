/* handler_rule.h - which events run which script, as Serf writes it (serf-surface 6.1):
 *
 *   handler := [ filter *( "," filter ) "=" ] script
 *   filter  := "member-join" | ... | "user" [ ":" name ] | "query" [ ":" name ] | "*"
 *
 * Split at the first '='; no filter, or an empty one, is "*". Nothing is trimmed. An event that
 * matches two filters of a rule runs its script twice.
 *
 * Thread:  no state.
 * Memory:  a rule lives in the arena.
 * Errors:  MU_INVALID "Invalid event script: Event 'foo' invoking 'bar'".
 */
#ifndef AGENT_HANDLER_RULE_H
#define AGENT_HANDLER_RULE_H

#include <stddef.h>

#include "base/arena.h"

struct handler_filter {
    const char *type; /* "*", "user", "member-join", ... */
    const char *name; /* empty: all */
};

struct handler_rule {
    struct handler_filter *filters;
    size_t count;
    const char *script;
};

MU_MUST_CHECK enum mu_code handler_rule_parse(struct handler_rule *out, const char *text,
                                              struct mu_arena *arena, struct mu_err *err);
/* How many of its filters an event matches; `name` is empty for those of members. */
size_t handler_rule_matches(const struct handler_rule *rule, const char *type, const char *name);

#endif
