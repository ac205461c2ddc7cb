/* same.h - steps that are taken ahead, by several threads, change nothing. */
#ifndef SIM_GOSSIP_SAME_H
#define SIM_GOSSIP_SAME_H

#include <stdbool.h>
#include <stdint.h>

/* The same runs, each step in its turn, ahead by one thread, and by as many as `threads`: of so
 * many nodes at rest and under churn, without and with loss, and of small clusters under torture,
 * `seeds` of them from `seed` on. False, and a line for each that differs. */
struct same_options {
    uint64_t seed, seeds, seconds, nodes;
    unsigned threads;
};

bool same_run(const struct same_options *o);

#endif
