/* level.h - levels of commands, for people: which one is in use, and who holds it back
 * (proto/command.h has them, consensus/level.c raises them).
 *
 * Thread:  the loop's. Memory: names are copied. Errors: none.
 */
#ifndef AGENT_LEVEL_H
#define AGENT_LEVEL_H

#include "base/limits.h"
#include "core.h"

/* The server of the configuration that understands least, as this leader has heard. */
struct agent__least {
    uint32_t level; /* 0: it has not said */
    char name[MU_NODE_NAME_MAX + 1];
};

/* That this server says it understands: what its version knows, or less where it is told so. */
uint32_t agent__level_max(const struct agent *a);
/* False: this server does not lead. */
bool agent__level_least(struct agent *a, const struct consensus_status *status,
                        struct agent__least *out);
/* Why this leader did not take the command: what it needs, and who holds that back. */
void agent__level_refusal(struct agent *a, struct mu_span command, char *to, size_t bytes);

#endif
