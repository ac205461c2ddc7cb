#include "record.h"

#include <string.h>

#include "base/assert.h"
#include "base/crc.h"
#include "base/wire.h"

#define CRC_FROM 8U /* the first byte that the checksum covers */

size_t consensus__record_room(size_t payload_bytes)
{
    return (CONSENSUS_RECORD_HEAD + payload_bytes + 7U) & ~(size_t)7U;
}

uint32_t consensus__record_chain(uint32_t chain_before, uint32_t crc)
{
    uint8_t bytes[4];
    struct mu_wr w = mu_wr_of(bytes, sizeof bytes);

    mu_wr_u32le(&w, crc);
    return mu_crc32c(chain_before, bytes, sizeof bytes);
}

uint32_t consensus__record_seal(uint8_t *room, uint64_t index, uint64_t term, uint8_t kind,
                                size_t payload_bytes, uint32_t chain_before)
{
    struct mu_wr w = mu_wr_of(room, CONSENSUS_RECORD_HEAD);
    size_t used = CONSENSUS_RECORD_HEAD + payload_bytes;

    MU_ASSERT(payload_bytes <= MU_COMMAND_BYTES_MAX);
    MU_ASSERT((kind < CONSENSUS_RECORD_OWN) == (index != 0));
    mu_wr_u64le(&w, 0);
    mu_wr_u64le(&w, index);
    mu_wr_u64le(&w, term);
    mu_wr_u32le(&w, (uint32_t)payload_bytes);
    mu_wr_u8(&w, kind);
    mu_wr_u8(&w, 0);
    mu_wr_u16le(&w, 0);
    memset(room + used, 0, consensus__record_room(payload_bytes) - used);

    uint32_t crc = mu_crc32c(0, room + CRC_FROM, used - CRC_FROM);
    uint32_t chain = index != 0 ? consensus__record_chain(chain_before, crc) : 0;

    w = mu_wr_of(room, CRC_FROM);
    mu_wr_u32le(&w, crc);
    mu_wr_u32le(&w, chain);
    return chain;
}

uint32_t consensus__record_add(struct mu_buf *to, const struct consensus_record *r,
                               uint32_t chain_before)
{
    size_t room = consensus__record_room(r->payload.bytes);
    uint8_t *at = mu_buf_reserve(to, room);

    if (r->payload.bytes > 0) {
        memcpy(at + CONSENSUS_RECORD_HEAD, r->payload.data, r->payload.bytes);
    }
    to->bytes += room;
    return consensus__record_seal(at, r->index, r->term, r->kind, r->payload.bytes, chain_before);
}

static bool is_zero(struct mu_span s)
{
    for (size_t i = 0; i < s.bytes; i++) {
        if (s.data[i] != 0) {
            return false;
        }
    }
    return true;
}

bool consensus__record_read(struct mu_span bytes, struct consensus_record *out, size_t *room)
{
    struct mu_rd r = mu_rd_of(bytes);
    struct consensus_record got;

    got.crc = mu_rd_u32le(&r);
    got.chain = mu_rd_u32le(&r);
    got.index = mu_rd_u64le(&r);
    got.term = mu_rd_u64le(&r);
    uint32_t size = mu_rd_u32le(&r);

    got.kind = mu_rd_u8(&r);
    uint8_t flags = mu_rd_u8(&r);
    uint16_t reserved = mu_rd_u16le(&r);

    if (!mu_rd_ok(&r) || size > MU_COMMAND_BYTES_MAX || flags != 0 || reserved != 0) {
        return false;
    }
    got.payload = mu_rd_take(&r, size);
    struct mu_span padding =
        mu_rd_take(&r, consensus__record_room(size) - CONSENSUS_RECORD_HEAD - size);

    if (!mu_rd_ok(&r) || !is_zero(padding) ||
        (got.kind < CONSENSUS_RECORD_OWN) != (got.index != 0) ||
        mu_crc32c(0, bytes.data + CRC_FROM, CONSENSUS_RECORD_HEAD - CRC_FROM + size) != got.crc) {
        return false;
    }
    *out = got;
    *room = consensus__record_room(size);
    return true;
}
