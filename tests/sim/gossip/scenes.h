/* scenes.h - what has gone wrong in the field, played with a seed (spec/gossip.md 18.5): safety is
 * asserted after every step (world.h), liveness within the bounds of 18.3. */
#ifndef SIM_GOSSIP_SCENES_H
#define SIM_GOSSIP_SCENES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stage.h"

struct scene {
    const char *name, *what;
    size_t nodes; /* of the default run */
    void (*play)(struct stage *s, uint64_t seed, size_t nodes);
    bool is_chancy; /* bad luck can break its bound: not played with seeds that nobody has seen */
};

extern const struct scene scenes_life[], scenes_words[]; /* a row without a name ends them */

#endif
