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
};

extern const struct scene scenes_life[], scenes_words[]; /* a row without a name ends them */

/* One scene, or all (NULL), with seeds from the first on; nodes 0: the scene's own number.
 * Returns how many failed; prints each. */
size_t scenes_run(const char *name, uint64_t seed, uint64_t count, size_t nodes, bool is_told);

#endif
