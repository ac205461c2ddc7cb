/* nudge.h - a thread sleeps until others have something for it, or for a time.
 *
 * What they have lies in a mailbox under a lock of its own. A condition variable on that lock would
 * do, too, at the price of two calls into the kernel more for each wake-up: the woken takes the
 * lock as if others waited for it, and lets it go the same way.
 *
 *   sleeper:  take(0) -> look at the mailbox, work -> take(nap) -> look, work -> ...
 *   others:   put into the mailbox -> mu_nudge()
 *
 * Life:    init -> ... -> deinit, when nobody nudges any more.
 * Thread:  mu_nudge() from any, mu_nudge_take() from the one that sleeps.
 * Time:    milliseconds of CLOCK_MONOTONIC: a suspended machine sleeps, too.
 */
#ifndef MU_BASE_NUDGE_H
#define MU_BASE_NUDGE_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct mu_nudge {
    sem_t sem;
    atomic_bool is_given; /* and not taken yet: the next is the same one */
};

void mu_nudge_init(struct mu_nudge *n);
void mu_nudge_deinit(struct mu_nudge *n);
void mu_nudge(struct mu_nudge *n);
/* Sleep until nudged, at most nap_ms (0: not at all; UINT64_MAX: for ever). Whatever was put into
 * the mailbox and nudged about before this returns is seen when it is looked at now; of what comes
 * later the next call tells. False: nobody nudged, the time is over. True may be without a reason:
 * what it was about has been seen already. */
bool mu_nudge_take(struct mu_nudge *n, uint64_t nap_ms);

#endif
