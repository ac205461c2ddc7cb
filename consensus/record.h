/* record.h - one record of the durable log, byte for byte; the same bytes travel to peers.
 *
 *    0 crc u32     CRC-32C of bytes 8.. and of the payload (not of the padding)
 *    4 chain u32   entries: CRC-32C over (chain of the entry before, crc); others: 0
 *    8 index u64   entries: position in the replicated log; others: 0
 *   16 term u64
 *   24 size u32    of the payload
 *   28 kind u8 | flags u8 (0) | reserved u16 (0)
 *   32 payload, then zero bytes up to a multiple of 8
 *
 * All little-endian. `crc` is computed once, where the entry is born, and travels with it. By log
 * matching the chain value at an index is the same on every server: a difference at equal (term,
 * index) is divergence, detected and not spread.
 *
 * Memory:  records are read in place: payloads are views.
 */
#ifndef CONSENSUS_RECORD_H
#define CONSENSUS_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/span.h"

#define CONSENSUS_RECORD_HEAD 32U

/* Kinds below this are entries of the replicated log, with an index; their numbers are those of
 * enum consensus_entry_kind. The others describe one server's own log. */
#define CONSENSUS_RECORD_OWN 64U
enum consensus_record_own {
    CONSENSUS_RECORD_HARD = 64,  /* term and vote, complete; and where the log stood */
    CONSENSUS_RECORD_BASE = 65,  /* where the log stood when this segment was begun */
    CONSENSUS_RECORD_RESET = 66, /* the log restarts after this point: a snapshot was installed */
    CONSENSUS_RECORD_MARK = 67,  /* nothing but a proof that the batch before is durable */
    CONSENSUS_RECORD_FLOOR = 68, /* it once ended there: what is missing was durable (spec 2.16) */
};

struct consensus_record {
    uint32_t crc, chain;
    uint64_t index, term;
    uint8_t kind;
    struct mu_span payload;
};

/* What a record of this payload occupies. */
size_t consensus__record_room(size_t payload_bytes);

/* Append a record; crc and chain are computed (`chain_before` is used for entries only). Returns
 * the chain value at this record, which for records of its own kind is 0. */
uint32_t consensus__record_add(struct mu_buf *to, const struct consensus_record *r,
                               uint32_t chain_before);

/* The same for a payload that already stands at room + CONSENSUS_RECORD_HEAD: fills in the head
 * and the padding. */
uint32_t consensus__record_seal(uint8_t *room, uint64_t index, uint64_t term, uint8_t kind,
                                size_t payload_bytes, uint32_t chain_before);

uint32_t consensus__record_chain(uint32_t chain_before, uint32_t crc);

/* Read the record at the front of `bytes`: its checksum, its zero padding and its size within
 * MU_COMMAND_BYTES_MAX. False: it is not one. *room says how far the next one is. */
bool consensus__record_read(struct mu_span bytes, struct consensus_record *out, size_t *room);

#endif
