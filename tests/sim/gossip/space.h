/* space.h - do whole clusters find out how far their members are from each other? */
#ifndef SIM_GOSSIP_SPACE_H
#define SIM_GOSSIP_SPACE_H

#include <stdbool.h>
#include <stdint.h>

/* Relative errors of estimates, between sites and inside of one. */
#define SPACE_MEAN      0.03
#define SPACE_MAX       0.25
#define SPACE_NEAR_MEAN 0.5

/* Three sites, slow lines and one node that claims to be nowhere, for so long. True: estimates are
 * within the bounds above; says how far off they are. */
bool space_run(uint64_t seed, uint64_t seconds, double loss);

#endif
