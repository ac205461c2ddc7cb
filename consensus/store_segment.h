/* store_segment.h - the segment store on a disk of somebody else's: tests. */
#ifndef CONSENSUS_STORE_SEGMENT_H
#define CONSENSUS_STORE_SEGMENT_H

#include "consensus/store.h"
#include "disk.h"

/* The disk is borrowed until free(); options->dir is not looked at. */
void consensus__store_segment_on(struct consensus_store *out,
                                 const struct consensus_store_options *options,
                                 const struct consensus_disk *disk);

#endif
