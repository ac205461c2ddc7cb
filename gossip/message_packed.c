/* message_packed.c - frames of streams, compressed (spec/gossip.md 11): what one member tells
 * another of thousands is names, addresses and tags that are much alike.
 *
 * Datagrams are not compressed: they have at most 1400 bytes, are full only while there is much
 * news, and it is their number that costs, not their bytes. Nor are keys: how far a secret shrinks
 * beside what others chose tells of it.
 */
#include <zstd.h>

#include "base/assert.h"
#include "base/limits.h"
#include "message_pb.h"
#include "proto/pb.h"

#define WORTH_BYTES   512U /* of a frame, at least */
#define LEVEL         1
#define KEPT_PERCENT  90
#define AROUND_PACKED 16 /* tags and lengths of Frame and Packed */

struct mu_span gossip__frame_pack(struct mu_span frame, struct mu_arena *arena)
{
    if (frame.bytes <= WORTH_BYTES) {
        return frame;
    }
    size_t room = frame.bytes * KEPT_PERCENT / 100 - AROUND_PACKED;
    uint8_t *zstd = mu_arena_new(arena, room);
    size_t bytes = ZSTD_compress(zstd, room, frame.data, frame.bytes, LEVEL);

    if (ZSTD_isError(bytes)) { /* it does not fit: not worth it; or no memory */
        return frame;
    }
    Mu__Gossip__Frame m = MU__GOSSIP__FRAME__INIT;
    Mu__Gossip__Packed packed = MU__GOSSIP__PACKED__INIT;

    packed.bytes = (uint32_t)frame.bytes;
    packed.zstd = gossip__pb_bytes(zstd, bytes);
    m.m_case = MU__GOSSIP__FRAME__M_PACKED;
    m.packed = &packed;
    struct mu_span out = gossip__pb_pack(&m.base, arena);

    MU_ASSERT(out.bytes < frame.bytes);
    return out;
}

bool gossip__packed_in(const Mu__Gossip__Packed *m, struct mu_arena *arena, struct mu_span *out)
{
    if (m->bytes == 0 || m->bytes > GOSSIP__FRAME_BYTES_MAX) {
        return false;
    }
    uint8_t *frame = mu_arena_try(arena, m->bytes);

    if (frame == NULL || ZSTD_decompress(frame, m->bytes, m->zstd.data, m->zstd.len) != m->bytes) {
        return false;
    }
    *out = mu_span_of(frame, m->bytes);
    return true;
}
