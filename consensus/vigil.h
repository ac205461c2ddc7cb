/* vigil.h - whether a loop stays awake until what is awaited comes.
 *
 * A processor that sleeps takes 5 to 100 us to wake, and for one write those of several servers
 * wake in turn: where disks and networks answer in as little, most of a write's time is that. So
 * while one is under way the loop looks instead of sleeping, if what it waited for lately came
 * within the limit, on the mean, and if waits follow each other closely: a write now and then is
 * not worth it, nor is one on a slow disk. It then looks a little further, for clients mostly come
 * back at once.
 *
 *   look(mark, awaited) after everything that may have changed either -> until_ns
 *   yielded(took) after each time it let others go first
 *
 * Whoever looks pays with turns: others who have work go first, each for milliseconds. Where
 * processors are scarce that is far more than waking costs; so whoever had to wait for his turn
 * sleeps as others do, for a time that doubles as long as nothing gets better.
 *
 * Bound:   no wait is looked at for longer than the limit.
 * Thread:  the loop's.
 * Source:  adaptive spinning before sleeping, as mutexes do it, and Linux with its halt polling
 *          (Documentation/virt/guest-halt-polling.rst).
 */
#ifndef CONSENSUS_VIGIL_H
#define CONSENSUS_VIGIL_H

#include <stdbool.h>
#include <stdint.h>

struct consensus_vigil {
    uint64_t limit_ns; /* set by the owner; 0: it always sleeps */
    uint64_t until_ns; /* stay awake so long; the past: sleep */
    /* its own */
    uint64_t since_ns; /* the wait began, or the last one ended */
    uint64_t mean_ns;  /* of the last waits */
    uint64_t mark;
    bool is_awaited;
    uint64_t rest_ns;        /* how long others were let alone the last time; fades */
    uint64_t rests_until_ns; /* others need the processor */
};

/* mark: changes when something awaited has come, or more is awaited. */
void consensus__vigil_look(struct consensus_vigil *v, uint64_t now_ns, uint64_t mark,
                           bool is_awaited);
/* It let others go first, until now. */
void consensus__vigil_yielded(struct consensus_vigil *v, uint64_t now_ns, uint64_t took_ns);

#endif
