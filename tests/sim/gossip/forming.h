/* forming.h - how long until all members of a cluster that starts see all others. */
#ifndef SIM_GOSSIP_FORMING_H
#define SIM_GOSSIP_FORMING_H

#include <stdbool.h>
#include <stdint.h>

struct forming_options {
    uint64_t nodes, seed;
    uint64_t trials;   /* clusters, each from a seed of its own */
    uint64_t start_ms; /* from the first start to the last */
    uint64_t through; /* the first nodes, through which the others join, each through one of them */
    uint64_t loss;    /* percent of datagrams */
    uint64_t within_ms; /* of the last start: longer is a failure; 0: ten minutes are */
    bool is_json;
};

/* Prints the distribution of the time from the last start until all see all. False: one took too
 * long. */
bool forming_measure(const struct forming_options *o);

#endif
