/* coalesce.h - many events of a short time become few, before handlers run (gossip.md 13.11).
 *
 * The first event opens a window; it ends COALESCE_MS after that, or COALESCE_QUIET_MS after the
 * last one. Of a member only its latest event counts, and one that equals what was last told of it
 * is not told again, except updates; all members of a type are told in one event. Of user events of
 * a name those of the highest Lamport time count. Both kinds have windows of their own.
 *
 * Damped, a member that failed COALESCE_FLAPS times within COALESCE_FLAPPING_MS is told to have
 * come back only once it has stayed for COALESCE_HELD_MS: whoever puts members into a load balancer
 * does not want it back each time (gossip.md 17).
 *
 * Thread:  none of its own.
 * Time:    milliseconds on a monotonic clock, supplied.
 * Memory:  what comes in is copied; what goes out is given to `emit`. A node is remembered until it
 *          is reaped.
 */
#ifndef AGENT_COALESCE_H
#define AGENT_COALESCE_H

#include "handler_event.h"

#define COALESCE_MS          3000
#define COALESCE_QUIET_MS    1000
#define COALESCE_FLAPS       3
#define COALESCE_FLAPPING_MS 600000
#define COALESCE_HELD_MS     30000
#define COALESCE_USER_MAX    1024 /* names that wait: the window ends early */

struct coalescer; /* opaque */

struct coalescer *coalescer_new(void);
void coalescer_free(struct coalescer *c); /* NULL is fine */
/* From now on; not so at first. What is held meanwhile is told in its time. */
void coalescer_damp(struct coalescer *c, bool damps);

/* type: the literal of its event, "member-join". */
void coalescer_member(struct coalescer *c, uint64_t now_ms, const char *type,
                      const struct gossip_view *member);
void coalescer_user(struct coalescer *c, uint64_t now_ms, const struct gossip_user_event *event);

uint64_t coalescer_due(const struct coalescer *c); /* the next window ends then; 0: none is open */
typedef void coalescer_emit_fn(void *data, struct handler_event *event);
void coalescer_flush(struct coalescer *c, uint64_t now_ms, coalescer_emit_fn *emit, void *data);
/* All there is, also what is not due: whose agent leaves has no later. */
void coalescer_flush_all(struct coalescer *c, coalescer_emit_fn *emit, void *data);

#endif
