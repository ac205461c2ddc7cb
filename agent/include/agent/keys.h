/* keys.h - gossip keys of the whole cluster: changed and listed on all members at once
 * (spec/http-api.md 12, spec/gossip.md 12.5). Any agent may ask.
 *
 * Thread:  the loop's.
 * Memory:  a report and what it points to live until `done` returns.
 * Errors:  MU_INVALID (no key in base64: nobody was asked), MU_CONFLICT ("1/3 nodes reported
 *          failure"), MU_TIMEOUT ("2/3 nodes reported success"), MU_BUSY, MU_CANCELLED. Whatever it
 *          is: those that answered without an error did as they were asked.
 */
#ifndef AGENT_KEYS_H
#define AGENT_KEYS_H

#include "agent/agent.h"

#define AGENT_KEY_TEXT_MAX 45 /* base64 of 32 bytes, with NUL */

enum agent_key_op { AGENT_KEY_INSTALL, AGENT_KEY_USE, AGENT_KEY_REMOVE, AGENT_KEY_LIST };

struct agent_key {
    char text[AGENT_KEY_TEXT_MAX];
    size_t holders, primaries; /* members that have it; that seal with it */
};

struct agent_keys_report {
    size_t nodes, responses, errors; /* asked; answered; of these with an error */
    const struct mu_pair *messages;  /* node, and what it says */
    size_t messages_count;
    const char *const *silent; /* living members that were asked and did not answer */
    size_t silent_count;
    const struct agent_key *keys; /* of LIST */
    size_t keys_count;
};

/* `report` is never NULL; when nobody was asked it is all zero. */
typedef void agent_keys_fn(void *data, enum mu_code code, const struct agent_keys_report *report,
                           const struct mu_err *err);
/* `key` in base64, empty for LIST; relay_factor 0..5. `done` comes exactly once, never from inside,
 * when all have answered or the time for queries is over. */
void agent_keys(struct agent *a, enum agent_key_op op, struct mu_span key, unsigned relay_factor,
                agent_keys_fn *done, void *data);

#endif
