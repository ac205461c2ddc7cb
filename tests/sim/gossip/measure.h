/* measure.h - figures for people: how fast, how loud, how often wrong. */
#ifndef SIM_GOSSIP_MEASURE_H
#define SIM_GOSSIP_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

enum measure_end { MEASURE_REFUSED, MEASURE_SILENT, MEASURE_STALLED };

/* What a measurement says: sentences, or one line of JSON. */
struct measure_options {
    uint64_t nodes, seed;
    uint64_t crashes; /* at once, of these; less than all */
    enum measure_end end;
    uint64_t within_ms; /* in which all have to know of a crash; 0: whenever they do */
    bool has_icmp, is_json;
};

/* The load at rest; then a user event, and a crash of random members, `trials` times each: the
 * distributions of the time until the first and until all others know, and of the hops of events.
 * False: a crash was not known to all in time. */
bool measure_detection(const struct measure_options *o, uint64_t trials);

/* Run for so long without any failure, losing this share of the datagrams and segments; print false
 * alarms. False: there was one. */
bool measure_quiet(const struct measure_options *o, uint64_t seconds, double loss);

#endif
