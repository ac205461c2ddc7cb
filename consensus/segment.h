/* segment.h - the bytes of a segment file: one head page, then batches on 4 KiB boundaries.
 *
 *   head page (4096 B): magic u64 | version u32 | crc u32 | number u64 | salt u64 | bytes u64 |
 *                       server id 16 | disk id 16 | zeros
 *   batch (48 B head):  magic u32 | crc u32 | seq u64 | durable_upto u64 | prev_crc u32 |
 *                       records u32 | bytes u32 | flags u32 (0) | salt u64
 *                       then `bytes` of records (record.h), then padding to the boundary
 *
 * Segments are numbered without a gap: a missing file is damage, not the end of the log. The salt
 * is drawn anew at each use of a recycled file, and seeds the CRC of a batch; together with the
 * sequence number, which never goes back within one log, and prev_crc, nothing left over from an
 * earlier use passes for a batch of this one.
 *
 * A page that holds durable data is never written again: that is why batches are padded.
 *
 * Pure functions on bytes: no I/O here.
 */
#ifndef CONSENSUS_SEGMENT_H
#define CONSENSUS_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/span.h"

#define CONSENSUS_PAGE            4096U
#define CONSENSUS_BATCH_HEAD      48U
#define CONSENSUS_SEGMENT_VERSION 1U

/* One group commit, or a single write that is larger; with room for the heads of its records. */
#define CONSENSUS_BATCH_BYTES_MAX (4U * 1024 * 1024)
_Static_assert(MU_LOG_BATCH_BYTES + MU_COMMAND_BYTES_MAX <= CONSENSUS_BATCH_BYTES_MAX / 4 * 3,
               "a full group and one more command fit a batch");

struct consensus_segment_head {
    uint64_t number, salt;
    uint64_t bytes; /* of the file */
    struct mu_id server, disk;
};

enum consensus_head_state {
    CONSENSUS_HEAD_OK,
    CONSENSUS_HEAD_BROKEN, /* never written, torn, or rotten */
    CONSENSUS_HEAD_NEWER,  /* intact, of a version this binary does not know */
};

void consensus__segment_head_write(const struct consensus_segment_head *head,
                                   uint8_t page[CONSENSUS_PAGE]);
enum consensus_head_state consensus__segment_head_read(struct mu_span page,
                                                       struct consensus_segment_head *out,
                                                       uint32_t *version);

struct consensus_batch {
    uint64_t seq, durable_upto, salt;
    uint32_t crc, prev_crc, records_count;
    struct mu_span records; /* view */
    size_t room;            /* what it occupies, a multiple of the page */
};

/* Begin a batch in an empty buffer, append records to it, then seal it: fills in the head and pads
 * to the page. Returns its crc. */
void consensus__batch_begin(struct mu_buf *b);
uint32_t consensus__batch_seal(struct mu_buf *b, uint64_t seq, uint64_t durable_upto,
                               uint32_t prev_crc, uint32_t records_count, uint64_t salt);

/* The batch at the front of `bytes`, if an intact one stands there. */
bool consensus__batch_read(struct mu_span bytes, struct consensus_batch *out);

/* How much to read for the batch whose head these bytes begin with; 0: no head of a batch. */
size_t consensus__batch_bytes(struct mu_span head);

/* The first intact batch at a page boundary at or behind `from` with a sequence number above
 * `above`; with the given salt, or any when `salt` is NULL. */
bool consensus__batch_search(struct mu_span segment, size_t from, uint64_t above,
                             const uint64_t *salt, struct consensus_batch *out, size_t *offset);

#endif
