/* timer.h - timers and ends of turns for files that do not see libuv.
 *
 * All timers of the agent share one heap and one handle of the loop, so an idle agent wakes only
 * for what is due, and a timer's memory may be freed as soon as it is cancelled.
 *
 * Thread:  the loop's.
 * Time:    milliseconds; monotonic, as timers_now().
 * Memory:  a struct timer lies in its owner; zeroed it is idle.
 */
#ifndef AGENT_TIMER_H
#define AGENT_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sample.h"

struct uv_loop_s;
struct timers; /* opaque */

typedef void timer_fn(void *data);

struct timer {
    struct timers *owner; /* NULL: idle */
    size_t place;         /* in the heap */
    uint64_t at_ms;
    timer_fn *fire;
    void *data;
};

struct timers *timers_new(struct uv_loop_s *loop);
/* Cancels all; the handle closes with the loop's next turns, then the object frees itself. */
void timers_close(struct timers *ts);
uint64_t timers_now(const struct timers *ts); /* the loop's cached time */

/* Fire once, `after_ms` from now; a timer that is set already is moved. */
void timer_set(struct timers *ts, struct timer *t, uint64_t after_ms, timer_fn *fire, void *data);
void timer_cancel(struct timer *t); /* idle is fine */
bool timer_is_set(const struct timer *t);

/* -- the end of a turn ------------------------------------------------------------------------- */

struct turn; /* opaque */

/* `ended` runs once per turn of the loop, just before it would wait: what was gathered during the
 * turn is carried out there. */
struct turn *turn_new(struct uv_loop_s *loop, timer_fn *ended, void *data);
/* Milliseconds of each turn but the first, its waiting for events left out: so long was everybody
 * else kept waiting. */
const struct mu_sample *turn_took(const struct turn *t);
void turn_close(struct turn *t); /* frees itself with the loop's next turns */

#endif
