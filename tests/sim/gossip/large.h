/* large.h - thousands of nodes: at rest, with events, crashes and churn; how fast, how loud, and
 * how large a record is. */
#ifndef SIM_GOSSIP_LARGE_H
#define SIM_GOSSIP_LARGE_H

#include <stdbool.h>
#include <stdint.h>

struct large_options {
    uint64_t nodes, seed;
    uint64_t seconds; /* at rest, and again under churn */
    uint64_t trials;  /* events, and crashes */
    uint64_t churn;   /* nodes that crash a minute, and as many that come back; 0: 1 % of them */
    uint64_t loss;    /* percent of datagrams, while there is churn */
    unsigned threads; /* 0: each step in its turn */
    bool is_quiet;    /* says only what went wrong */
};

/* False, and a line that says why: an event that did not reach all, a crash that not all learned
 * of, a living member declared failed, a table that does not come to the truth after churn. */
bool large_run(const struct large_options *o, uint64_t *hash); /* of all that happened */

#endif
