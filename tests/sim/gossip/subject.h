/* subject.h - a cluster that knows itself, under one of several rule sets, and what is done to it:
 * the shipped core (world.h), or a model (memberlist.h). All of them suffer the same. */
#ifndef SIM_GOSSIP_SUBJECT_H
#define SIM_GOSSIP_SUBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "measure.h"
#include "memberlist.h"

enum subject_rules { SUBJECT_MUSTER, SUBJECT_MEMBERLIST, SUBJECT_SWIM };

struct subject_options {
    enum subject_rules rules;
    uint32_t alpha; /* of memberlist's rules; 0: its own */
    uint64_t nodes, seed;
    uint64_t slow; /* so many, the first ones, are not tallied */
    double loss;   /* of datagrams, and of segments once each */
};

struct subject; /* opaque */

struct subject *subject_new(const struct subject_options *options);
void subject_free(struct subject *s);

void subject_run(struct subject *s, uint64_t ms);
void subject_pause(struct subject *s, uint64_t node, uint64_t ms);
void subject_clog(struct subject *s, uint64_t node, uint64_t ms); /* its messages wait so long */
/* For good; MEASURE_STALLED: stopped, for as long as anybody looks. */
void subject_end(struct subject *s, uint64_t node, enum measure_end end);
void subject_loss_to(struct subject *s, uint64_t node, double loss);

/* Living members that were declared failed, and how many hold one dead now. */
void subject_tally(const struct subject *s, struct memberlist_tally *out);
uint64_t subject_holding(const struct subject *s, uint64_t node);

/* By its word: muster, memberlist, swim. */
bool subject_rules_of(const char *word, enum subject_rules *out);
const char *subject_rules_name(enum subject_rules rules);

#endif
