/* slow.h - the slow members experiment of spec/gossip.md 18.4: some members are stopped and go on,
 * together, again and again. How often the others are declared failed for it, and how soon some
 * that end together are known to all others: muster's rules beside plain SWIM's and memberlist's.
 */
#ifndef SIM_GOSSIP_SLOW_H
#define SIM_GOSSIP_SLOW_H

#include <stdbool.h>
#include <stdint.h>

struct slow_options {
    uint64_t nodes, slow, seed;
    uint64_t seconds; /* of each pair of stretches */
    uint64_t trials;  /* of each kind of end */
    double loss;      /* of datagrams, and of segments once each */
    bool is_json;
};

/* False: muster's rules miss the target of 18.4: a fiftieth of plain SWIM's false alarms, and a
 * median time to detect no longer than its by more than a tenth; or nothing was shown, since plain
 * SWIM's have hardly any. */
bool slow_measure(const struct slow_options *o);

#endif
