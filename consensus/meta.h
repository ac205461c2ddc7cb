/* meta.h - the small file beside the log: who this disk is, and what a fresh server has promised.
 *
 *   slot 0 (4096 B) | slot 1 (4096 B), each:
 *   magic u64 | version u32 | reserved u32 | generation u64 | server 16 | disk 16 | cluster 16 |
 *   epoch u64 | boot_count u64 | durable_seq u64 | record bytes u32 | record 512 |
 *   is_clean u8 | what a batch behind durable_seq would begin with (journal.h) | zeros |
 *   BLAKE2b-128 of all before it, in the last 16 bytes
 *
 * The newest intact slot counts. A write goes to both, one after the other, each flushed: a crash
 * between them leaves the old or the new content, and rot of one slot loses nothing.
 *
 * Term and vote travel in the log with the entries they belong to. Here they are only what a stop
 * that was asked for has left, so that damage at the end of the log can be told from a torn write.
 *
 * Thread:  whoever owns the log. These calls block.
 * Errors:  MU_CORRUPT (neither slot is intact), MU_UNSUPPORTED (of a newer version), MU_FOREIGN
 *          (of another node; both ids are named).
 */
#ifndef CONSENSUS_META_H
#define CONSENSUS_META_H

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "disk.h"
#include "journal.h"

#define CONSENSUS_META_NAME       "meta"
#define CONSENSUS_META_SLOT       4096U
#define CONSENSUS_META_BYTES      (2 * CONSENSUS_META_SLOT)
#define CONSENSUS_META_VERSION    1U
#define CONSENSUS_META_RECORD_MAX 512U

struct consensus_meta {
    uint64_t generation;
    struct mu_id server, disk;
    struct mu_id cluster; /* none while fresh */
    uint64_t epoch;
    uint64_t boot_count;
    uint64_t durable_seq; /* batches of the log up to this one were durable when this was written */
    uint32_t record_bytes;
    uint8_t record[CONSENSUS_META_RECORD_MAX]; /* of bootstrap.c; opaque here */
    bool is_clean; /* durable_seq is the last batch of all, and `end` what it came to */
    uint8_t reserved[3];
    struct consensus_standing end;
};

void consensus__meta_encode(const struct consensus_meta *m, uint8_t slot[CONSENSUS_META_SLOT]);
/* The newest intact slot of the whole file's bytes. MU_NOT_FOUND: no save was ever completed. */
MU_MUST_CHECK enum mu_code consensus__meta_decode(struct mu_span bytes, struct consensus_meta *out,
                                                  struct mu_err *err);

/* Read it, or MU_NOT_FOUND when this directory has neither it nor a log yet. `server`: who we are.
 */
MU_MUST_CHECK enum mu_code consensus__meta_load(const struct consensus_disk *disk,
                                                const struct mu_id *server,
                                                struct consensus_meta *out, struct mu_err *err);
/* Before the first save of a process: what was read may have come from memory, its flush having
 * failed in the life before. It is made durable where it lies, so that the other slot, which may be
 * the only one on the platter, is not touched until then. */
MU_MUST_CHECK enum mu_code consensus__meta_settle(const struct consensus_disk *disk,
                                                  const struct consensus_meta *m,
                                                  struct mu_err *err);
/* Make durable in both slots; raises the generation. */
MU_MUST_CHECK enum mu_code consensus__meta_save(const struct consensus_disk *disk,
                                                struct consensus_meta *m, struct mu_err *err);

#endif
