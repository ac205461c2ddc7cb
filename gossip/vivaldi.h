/* vivaldi.h - this node's place in the space of round trip times (spec/gossip.md 14). For gossip/
 * and its tests only.
 *
 * Springs: each measured round trip pulls this node towards a peer or pushes it away, the harder
 * the surer the peer is of itself (Dabek et al., SIGCOMM 2004). A height takes the access link; an
 * adjustment what the space cannot express; gravity keeps the whole from drifting off; the median
 * of the last three samples of a peer keeps one late packet from tearing at the springs (Ledlie et
 * al., NSDI 2007).
 *
 * Pure arithmetic: no time, no I/O; randomness is passed in. What comes in is judged first, and
 * what comes out is always finite.
 */
#ifndef GOSSIP_VIVALDI_H
#define GOSSIP_VIVALDI_H

#include <stddef.h>
#include <stdint.h>

#include "base/rand.h"
#include "proto/coordinate.h"

#define GOSSIP__RTT_MAX_S     10.0 /* longer ones are not believed */
#define GOSSIP__RTT_SAMPLES   3
#define GOSSIP__ADJUST_WINDOW 20

struct gossip__vivaldi {
    struct coordinate at;
    unsigned dims;                      /* 1..COORDINATE_DIMS that are used */
    double ring[GOSSIP__ADJUST_WINDOW]; /* what the last samples were off by */
    size_t ring_at;
};

struct gossip__rtt_filter { /* the last samples of one peer */
    double samples[GOSSIP__RTT_SAMPLES];
    uint32_t count; /* all there were; the newest replaces the oldest */
};

enum gossip__vivaldi_code {
    GOSSIP__VIVALDI_OK,
    GOSSIP__VIVALDI_BAD_PEER, /* the peer's coordinate is not one */
    GOSSIP__VIVALDI_BAD_RTT,  /* out of range */
    GOSSIP__VIVALDI_RESET,    /* the result was not finite: this node starts over */
};

void gossip__vivaldi_init(struct gossip__vivaldi *v, unsigned dims);
/* Go on from where an earlier life was; what is no valid coordinate is ignored. */
void gossip__vivaldi_restore(struct gossip__vivaldi *v, const struct coordinate *kept);
/* May this stand for a peer? Stricter than coordinate_is_valid(): a running peer also keeps its
 * error and height in their ranges. */
bool gossip__vivaldi_accepts(const struct coordinate *peer);
/* A peer that says to be at `peer` answered after `rtt_s`; `filter` is what is kept about it. */
enum gossip__vivaldi_code gossip__vivaldi_update(struct gossip__vivaldi *v,
                                                 struct gossip__rtt_filter *filter,
                                                 const struct coordinate *peer, double rtt_s,
                                                 struct mu_rand *rand);

#endif
