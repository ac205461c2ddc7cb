/* alarms.h - how often living members are declared failed: muster's rules and others',
 * under the same faults in the same simulated time. */
#ifndef SIM_GOSSIP_ALARMS_H
#define SIM_GOSSIP_ALARMS_H

#include <stdbool.h>
#include <stdint.h>

#include "subject.h"

enum alarms_scenario {
    ALARMS_LOSS,    /* a quarter of all datagrams and segments */
    ALARMS_STOPS,   /* five nodes stopped for one second in every five */
    ALARMS_STARVED, /* every process runs 100 ms and waits 400 ms, in exponential stretches */
    ALARMS_ONEWAY,  /* 60 % of what is sent to one node */
};

struct alarms_options {
    enum alarms_scenario scenario;
    enum subject_rules rules;
    bool is_json;
    uint64_t nodes, seed, seconds;
};

/* By its word: loss, stops, starved, oneway. */
bool alarms_scenario_of(const char *word, enum alarms_scenario *out);
void alarms_measure(const struct alarms_options *o);

/* memberlist's model held against the figures of spec/gossip.md 6, to see that it is one: false
 * and a line for each that is missed. */
bool alarms_calibrate(void);

#endif
