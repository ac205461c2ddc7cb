/* session_timers.h - when sessions with a TTL are over: the leader's duty.
 *
 * Creation and end of a session are in the log, its renewals are not: how much time it has left is
 * known to the leader alone, in memory. A session is over twice its TTL after it was created or
 * renewed last (spec/http-api.md 7: clients halve what they send because of that). A new leader
 * gives every session its full time again.
 *
 *   set ---------> RUNNING -- due --> ENDING -- ended, did not succeed --> ENDING again, later
 *   renew: again from now      '-- renew is refused: its holder must not believe in it any more
 *   remove, from any: it ended, for whatever reason
 *
 * Thread:  one owner. Time: milliseconds, monotonic, supplied.
 * Memory:  ids are copied.
 */
#ifndef AGENT_SESSION_TIMERS_H
#define AGENT_SESSION_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"

struct session_timers; /* opaque */

struct session_timers *session_timers_new(void);
void session_timers_free(struct session_timers *t); /* NULL is fine */

void session_timers_clear(struct session_timers *t); /* it leads no more: forget everything */

/* The session exists: begin its time, unless it is known already. ttl_ms > 0. */
void session_timers_set(struct session_timers *t, const struct mu_id *id, uint64_t ttl_ms,
                        uint64_t now_ms);
void session_timers_remove(struct session_timers *t, const struct mu_id *id);

enum session_renewal {
    SESSION_RENEWED,
    SESSION_OVER,    /* it is being ended */
    SESSION_UNKNOWN, /* no session with a TTL has this id */
};
enum session_renewal session_timers_renew(struct session_timers *t, const struct mu_id *id,
                                          uint64_t now_ms);

/* Ids whose time is over and which nobody is ending; at most `room`. Each must be ended once. */
size_t session_timers_due(struct session_timers *t, uint64_t now_ms, struct mu_id *ids,
                          size_t room);
/* did_succeed false: it is due again after a pause. */
void session_timers_ended(struct session_timers *t, const struct mu_id *id, bool did_succeed,
                          uint64_t now_ms);

uint64_t session_timers_wake_ms(const struct session_timers *t); /* 0: nothing falls due */
size_t session_timers_count(const struct session_timers *t);

#endif
