/* store_segment.h - the segment store on a disk of somebody else's, and in his time: tests. */
#ifndef CONSENSUS_STORE_SEGMENT_H
#define CONSENSUS_STORE_SEGMENT_H

#include "consensus/store.h"
#include "disk.h"
#include "log_thread.h"

/* The disk is borrowed until free(); options->dir is not looked at. disk: NULL, that of the
 * directory. host: who takes the log's steps; NULL, a thread. */
void consensus__store_segment_on(struct consensus_store *out,
                                 const struct consensus_store_options *options,
                                 const struct consensus_disk *disk,
                                 const struct consensus_log_host *host);

#endif
