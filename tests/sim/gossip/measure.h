/* measure.h - figures for people: how fast, how loud, how often wrong. */
#ifndef SIM_GOSSIP_MEASURE_H
#define SIM_GOSSIP_MEASURE_H

#include <stdint.h>

enum measure_end { MEASURE_REFUSED, MEASURE_SILENT, MEASURE_STALLED };

/* Crash one random member `trials` times; print the distribution of the time until the first and
 * until all others know, and the load before. */
void measure_detection(uint64_t nodes, uint64_t seed, uint64_t trials, enum measure_end end,
                       int has_icmp);

/* Run for so long without any failure, losing this share of the datagrams; print false alarms. */
void measure_quiet(uint64_t nodes, uint64_t seed, uint64_t seconds, double loss);

#endif
