/* scale.h - the same questions for clusters of any size, under each kind of fault: when is a crash
 * known, when an event, who is called dead and lives, what does it cost; and what does a newcomer
 * cost, and how long does a cut last once it is healed. Or events alone, many of them. */
#ifndef SIM_GOSSIP_SCALE_H
#define SIM_GOSSIP_SCALE_H

#include <stdbool.h>
#include <stdint.h>

struct scale_options {
    uint64_t nodes, seed;
    uint64_t seconds; /* of each kind of fault, before the trials: what it costs */
    uint64_t trials;  /* crashes, and as many events, of each */
    uint64_t only;    /* this one of the questions, from 1 on; 0: all, one after the other */
    bool has_loss;
    double loss;        /* instead of what each kind of fault loses */
    bool is_events;     /* events alone, as many as trials, of each kind of fault */
    uint64_t within_ms; /* who has one later has it too late; 0: never */
    unsigned threads;   /* of the world; 0: each step in its turn */
};

/* Prints a line of JSON for each; tests/sim/run --gossip makes tables of them. False: a crash or an
 * event of which somebody never learned, one who came back from the dead, or a cut that stayed; of
 * events alone: one that came too late, or not by gossip. */
bool scale_run(const struct scale_options *o);

#endif
