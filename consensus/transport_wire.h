/* transport_wire.h - peer messages to bytes and back (transport.c).
 *
 *   kind u8 | flags u8 (0) | reserved u16 (0) | crc u32      CRC-32C of the first four and the rest
 *   APPEND_REQ:  size u32 | message Raft | records of the entries, as in the log (record.h)
 *   SNAP_CHUNK:  size u32 | message Raft | bytes of the stream
 *   other:       message Raft or Bootstrap (proto/consensus.proto)
 *
 * kind is that of enum consensus_msg_kind, or 64 + enum consensus_bootstrap_msg_kind. Entries are
 * encoded and checksummed once, where they are born; their records travel and are stored as they
 * are. The chain value is each log's own and zero here.
 *
 * Errors:  MU_CORRUPT for bytes that are no message, MU_TOO_BIG, MU_UNSUPPORTED for a kind of
 *          somebody newer. Nothing is allocated before its size was checked.
 */
#ifndef CONSENSUS_TRANSPORT_WIRE_H
#define CONSENSUS_TRANSPORT_WIRE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "consensus/bootstrap.h"
#include "consensus/consensus.h"
#include "consensus/transport.h"
#include "record.h"

/* What decoding may take from the arena: one small message; entries stay where they are. */
#define CONSENSUS_WIRE_ARENA_MAX (32U * 1024)

struct consensus_frame {
    bool is_bootstrap;
    union {
        struct consensus_msg msg; /* append.entries: NULL, see `records` */
        struct consensus_bootstrap_msg bootstrap;
    };
    struct mu_span records; /* APPEND_REQ: view into the frame; entries_count of them, checked */
    struct consensus_config config; /* SNAP_OFFER: msg.snapshot.config points here */
};

/* Append one message to `to`. records: one for each entry of an APPEND_REQ, in order. */
void consensus__wire_encode(const struct consensus_msg *m, const struct mu_span *records,
                            struct mu_buf *to);
void consensus__wire_encode_bootstrap(const struct consensus_bootstrap_msg *m, struct mu_buf *to);

/* The arena's bound is CONSENSUS_WIRE_ARENA_MAX; it may be reset as soon as this returns. */
MU_MUST_CHECK enum mu_code consensus__wire_decode(struct mu_span bytes, struct mu_arena *arena,
                                                  struct consensus_frame *out, struct mu_err *err);

/* The next record of a checked run of them; false at the end. */
bool consensus__wire_next(struct mu_span *records, struct consensus_record *out);

/* Which connection a message takes. */
enum consensus_channel consensus__wire_channel(const struct consensus_msg *m);

#endif
