/* coordinate.h - how soon the catalog is to hear that nodes have moved. */
#ifndef AGENT_COORDINATE_H
#define AGENT_COORDINATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/coordinate.h"

#define COORDINATE_WAIT_MS_MAX (15U * 60 * 1000)

struct coordinate_move {   /* of one node */
    struct coordinate was; /* as the catalog has it, or as it was told last */
    struct coordinate now;
};

/* Is it worth telling at all, sooner or later? */
bool coordinate_has_moved(const struct coordinate_move *m);
/* How old the last entry with coordinates is to be before these nodes are worth another, in ms: at
 * most COORDINATE_WAIT_MS_MAX. What counts is how distances between them have changed; each is
 * looked at from the first and from its neighbour. */
uint64_t coordinate_wait_ms(const struct coordinate_move *moves, size_t count);

#endif
