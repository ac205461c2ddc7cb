/* recover_ask.h - one step of a recovery told to all servers that gossip knows and that did not
 * leave, those that it holds failed too, each over a connection of its own; and what they answer.
 *
 *   recover_ask -> done (once, never from inside) -> recover_ask_free
 *
 * This agent, where it is a server, is among them without being told.
 *
 * Thread:  the loop's.
 * Memory:  survivors live in the ask's arena, until recover_ask_free().
 */
#ifndef AGENT_RECOVER_ASK_H
#define AGENT_RECOVER_ASK_H

#include "agent/recover.h"
#include "base/arena.h"
#include "core.h"
#include "rpc_codec.h"

struct recover_ask; /* opaque */

/* Completed (recover_plan.h). code: MU_OK, or MU_CANCELLED when the agent stops. */
typedef void recover_asked_fn(void *data, enum mu_code code, struct recover_ask *ask);
struct recover_ask *recover_ask(struct agent *a, enum rpc_recover_step step, recover_asked_fn *done,
                                void *data);
struct agent_survivor *recover_ask_servers(struct recover_ask *ask, size_t *count);
void recover_ask_free(struct recover_ask *ask); /* no callback after this */

void agent__recover_asks_cancel(struct agent *a); /* it stops: all end now */

#endif
