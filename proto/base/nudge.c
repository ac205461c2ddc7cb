#include "base/nudge.h"

#include <errno.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"

#define NAP_MS_MAX (UINT64_C(1000) * 60 * 60 * 24 * 365) /* keeps the sum of two times in range */

void mu_nudge_init(struct mu_nudge *n)
{
    MU_ASSERT(sem_init(&n->sem, 0, 0) == 0);
    atomic_init(&n->is_given, false);
}

void mu_nudge_deinit(struct mu_nudge *n)
{
    MU_ASSERT(sem_destroy(&n->sem) == 0);
}

void mu_nudge(struct mu_nudge *n)
{
    if (!atomic_exchange(&n->is_given, true)) {
        MU_ASSERT(sem_post(&n->sem) == 0);
    }
}

static struct timespec after_ms(uint64_t ms)
{
    struct timespec ts;

    MU_ASSERT(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
    ts.tv_sec += (time_t)(ms / 1000);
    ts.tv_nsec += (long)(ms % 1000) * (long)MU_NS_PER_MS;
    if (ts.tv_nsec >= MU_NS_PER_S) {
        ts.tv_sec++;
        ts.tv_nsec -= MU_NS_PER_S;
    }
    return ts;
}

bool mu_nudge_take(struct mu_nudge *n, uint64_t nap_ms)
{
    int rc;

    if (nap_ms == 0) {
        rc = sem_trywait(&n->sem); /* or those of a busy time would add up */
    } else if (nap_ms > NAP_MS_MAX) {
        rc = sem_wait(&n->sem);
    } else {
        struct timespec until = after_ms(nap_ms);

        rc = sem_clockwait(&n->sem, CLOCK_MONOTONIC, &until);
    }
    bool is_over = rc != 0 && errno != EINTR; /* a signal is no reason, and no end */

    atomic_store(&n->is_given, false); /* before the mailbox is looked at */
    return !is_over;
}
