/* stint.h - long work that gives way: how long it rests.
 *
 * What reads or makes a whole state takes all that a processor gives, and so do those who serve
 * clients. A fair share of a busy machine is too much for work that nobody waits for. How busy it
 * is the work knows by how long it itself, ready to run, was kept waiting for a processor: it rests
 * twelve times as long. (Four times left it 0.6 of a processor where several threads wanted each of
 * two: it waits far less than they do.) Where there is one for it, it never rests; nor for a slow
 * disk: if this server is what a majority waits for, nobody writes, and it comes as soon as it can.
 *
 *   begin -> (work -> look -> 0) ... -> (work -> look -> rest so long) -> (work -> look ...
 *
 * Bound:   no rest is longer than 100 ms, and all of a stint together no more than 30 s: whoever
 *          waits for the end of it gets it, and what is kept for him (the log behind a snapshot,
 *          the WAL behind an export) stays bounded.
 * Time:    waited_ns is how long the thread was kept waiting for a processor since it began.
 */
#ifndef AGENT_STINT_H
#define AGENT_STINT_H

#include <stdint.h>

#define STINT_REST_MS_MAX  100U
#define STINT_RESTS_MS_MAX 30000U

struct stint {
    uint64_t waited_ns; /* when it was looked at last */
    uint64_t owed_ns;
    uint64_t rested_ms;
};

void stint_begin(struct stint *s, uint64_t waited_ns);
/* How many milliseconds to rest now; 0: go on. */
uint64_t stint_look(struct stint *s, uint64_t waited_ns);

#endif
