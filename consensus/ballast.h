/* ballast.h - blocks that are held so that others can be given some when the disk is full.
 *
 * A file of a fixed size that nobody reads. Dropping it is what lets the state's WAL, a checkpoint
 * or a write larger than a segment finish on a full disk; it is taken back when there is room for
 * it and for a segment besides, and until then the store says FULL (spec/consensus.md 2.15).
 *
 * Thread:  the owner of the disk.
 */
#ifndef CONSENSUS_BALLAST_H
#define CONSENSUS_BALLAST_H

#include <stdbool.h>
#include <stdint.h>

#include "disk.h"

#define CONSENSUS_BALLAST_NAME "ballast"

struct consensus_ballast {
    uint64_t bytes; /* 0: none is wanted */
    bool is_held;
};

/* What a file system of this size can spare for the log (spec/consensus.md 2.15, 3.3). */
struct consensus_sizes {
    uint32_t segment_bytes, spares_count;
    uint64_t ballast_bytes;
};
struct consensus_sizes consensus__sizes_for(uint64_t total_bytes);

/* Is it there, and whole? One of another size is dropped. */
MU_MUST_CHECK enum mu_code consensus__ballast_open(struct consensus_ballast *b,
                                                   const struct consensus_disk *disk,
                                                   struct mu_err *err);
/* Give its blocks back, if it has any. */
MU_MUST_CHECK enum mu_code consensus__ballast_release(struct consensus_ballast *b,
                                                      const struct consensus_disk *disk,
                                                      struct mu_err *err);
/* Take it again. MU_FULL: not while `headroom` bytes would not stay free besides. */
MU_MUST_CHECK enum mu_code consensus__ballast_take(struct consensus_ballast *b,
                                                   const struct consensus_disk *disk,
                                                   uint64_t headroom, struct mu_err *err);

#endif
