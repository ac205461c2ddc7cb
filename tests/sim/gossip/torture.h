/* torture.h - a random schedule of faults over a small cluster, and what must hold at its end. */
#ifndef SIM_GOSSIP_TORTURE_H
#define SIM_GOSSIP_TORTURE_H

#include <stdbool.h>
#include <stdint.h>

struct torture_options {
    uint64_t seed, seconds;
    bool is_verbose;
    unsigned threads; /* of the world; 0: each step in its turn */
    bool is_far;      /* all ways take milliseconds, so that much is under way at a time; the
                       * safety rules are not looked at */
};

struct torture_result {
    uint64_t hash, steps;
    bool agreed; /* everybody saw the truth in the end */
    char why_not[256];
};

/* The seed decides on everything: members, faults, their order. Prints each action when verbose.
 * Safety rules are asserted inside, and name the seed. */
struct torture_result torture_run(const struct torture_options *o);

#endif
