/* coordinate.h - where a node is in the space of round trip times: the words everyone shares.
 *
 * Vivaldi with height and adjustment (spec/gossip.md 14): gossip moves the point of this node,
 * the catalog keeps those of all nodes, HTTP shows and compares them.
 *
 * Units: seconds throughout.
 */
#ifndef MU_PROTO_COORDINATE_H
#define MU_PROTO_COORDINATE_H

#include <stdbool.h>

#define COORDINATE_DIMS       8
#define COORDINATE_ERROR_MAX  1.5  /* what is not known at all */
#define COORDINATE_HEIGHT_MIN 1e-5 /* of ours; others may claim less */
/* Ten times the longest round trip that is believed (14.1): what lies farther out was never
 * measured, and would drag everybody along. */
#define COORDINATE_BOUND_S 100.0

struct coordinate {
    double vec[COORDINATE_DIMS];
    double error;      /* how far off it thinks it is, relative: 0..COORDINATE_ERROR_MAX */
    double adjustment; /* what the space cannot express; may be negative */
    double height;     /* of the access link, paid by every way in or out */
};

#define COORDINATE_ORIGIN                                              \
    {                                                                  \
        .error = COORDINATE_ERROR_MAX, .height = COORDINATE_HEIGHT_MIN \
    }

/* Every number finite and within the bound. Ask before a foreign one is kept or computed with: one
 * NaN would spread to all (consul#3023). */
bool coordinate_is_valid(const struct coordinate *c);
bool coordinate_eq(const struct coordinate *a, const struct coordinate *b);

/* The distance without adjustments, and the estimated round trip time (14.2), in seconds. */
double coordinate_distance_raw(const struct coordinate *a, const struct coordinate *b);
double coordinate_distance(const struct coordinate *a, const struct coordinate *b);

#endif
