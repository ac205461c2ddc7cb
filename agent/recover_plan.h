/* recover_plan.h - who of the servers that answered may go on without the others. No I/O.
 *
 * The rules, in this order; only the starred ones give way when it is forced:
 *   - Nobody of a cluster answers: there is nothing to go on from.
 *   - One answers, but cannot take part in a recovery: it would go on in the old epoch.
 *   - One leads, or follows one that leads.
 *   - Nobody has a whole log and state, or not the one that was wished for.
 *   - A majority of the voters answers: they can elect a leader by themselves. (*)
 *   - One is silent that gossip holds alive: it may only be slow, and have what goes furthest. (*)
 *   - Another log goes further than that of the one that was wished for, or can go on at all. (*)
 */
#ifndef AGENT_RECOVER_PLAN_H
#define AGENT_RECOVER_PLAN_H

#include "agent/recover.h"
#include "base/arena.h"

/* What the newest configuration among the answers says: who votes, and servers that gossip does not
 * know, which are added (the array has room for RECOVERY_SERVERS_MAX more). Then all are sorted. */
void recover_plan_complete(struct agent_survivor *servers, size_t *count, struct mu_arena *arena);

/* Chosen one, verdict; `servers` and `count` are those of `out`. */
void recover_plan_make(struct agent_recovery *out, const struct agent_recovery_wish *wish);

/* Did this one not answer because it is gone, as far as can be told? */
bool recover_is_silent(const struct agent_survivor *s);

#endif
