/* coordinate.h - how soon the catalog is to hear that a node has moved. */
#ifndef AGENT_COORDINATE_H
#define AGENT_COORDINATE_H

#include <stdint.h>

#include "proto/coordinate.h"

/* How old the last entry with coordinates is to be before a node that went from `was` to `now` is
 * worth another, in ms; UINT64_MAX: it has not moved. */
uint64_t coordinate_wait_ms(const struct coordinate *was, const struct coordinate *now);

#endif
