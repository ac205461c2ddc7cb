/* stint.h - long work that gives way: how long it rests.
 *
 * What reads or makes a whole state takes what processors and disks give, and so do those who serve
 * clients. A fair share of a busy machine is too much for work that nobody waits for. How busy the
 * machine is nobody tells, but the work has kept waiting: for as long as the clock went on and its
 * own processor time did not. It rests four times as long. Where there is nothing else to do, that
 * is next to nothing.
 *
 *   begin -> (work -> look -> 0) ... -> (work -> look -> rest so long -> resume) ...
 *
 * Bound:   no rest is longer than 100 ms, and all of a stint together no more than 30 s: whoever
 *          waits for the end of it gets it, and what is kept for him (the log behind a snapshot,
 *          the WAL behind an export) stays bounded.
 * Time:    a parameter, in nanoseconds; cpu_ns is the processor time of the thread that works.
 */
#ifndef AGENT_STINT_H
#define AGENT_STINT_H

#include <stdint.h>

#define STINT_REST_MS_MAX  100U
#define STINT_RESTS_MS_MAX 30000U

struct stint {
    uint64_t clock_ns, cpu_ns; /* when it was looked at last */
    uint64_t owed_ns;
    uint64_t rested_ms;
};

void stint_begin(struct stint *s, uint64_t clock_ns, uint64_t cpu_ns);
/* How many milliseconds to rest now; 0: go on. */
uint64_t stint_look(struct stint *s, uint64_t clock_ns, uint64_t cpu_ns);
/* Behind a rest, which is no waiting. */
void stint_resume(struct stint *s, uint64_t clock_ns, uint64_t cpu_ns);

#endif
