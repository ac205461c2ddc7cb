#include "proto/pb.h"

#include <protobuf-c/protobuf-c.h>

#include "base/assert.h"
#include "base/wire.h"

/* -- depth, on the wire ------------------------------------------------------------------------ */

/* Base-128 varint of at most 10 bytes. */
static uint64_t read_varint(struct mu_rd *r)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte = mu_rd_u8(r);

        if (shift < 64) {
            value |= (uint64_t)(byte & 0x7f) << shift;
        }
        if ((byte & 0x80) == 0) {
            return value;
        }
    }
    r->bad = true;
    return 0;
}

static const ProtobufCMessageDescriptor *child_of(const ProtobufCMessageDescriptor *type,
                                                  uint64_t number)
{
    if (type == NULL || number > UINT32_MAX) {
        return NULL;
    }
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field(type, (unsigned)number);

    return f != NULL && f->type == PROTOBUF_C_TYPE_MESSAGE ? f->descriptor : NULL;
}

bool mu_pb_depth_ok(const struct ProtobufCMessageDescriptor *type, struct mu_span bytes,
                    unsigned depth)
{
    struct mu_rd r = mu_rd_of(bytes);

    if (depth == 0) {
        return false;
    }
    while (mu_rd_ok(&r) && r.left > 0) {
        uint64_t tag = read_varint(&r);

        switch (tag & 7) {
        case 0: (void)read_varint(&r); break;
        case 1: mu_rd_skip(&r, 8); break;
        case 5: mu_rd_skip(&r, 4); break;
        case 2: {
            uint64_t length = read_varint(&r);
            struct mu_span inner = mu_rd_take(&r, length);
            const ProtobufCMessageDescriptor *child = child_of(type, tag >> 3);

            if (mu_rd_ok(&r) && child != NULL && !mu_pb_depth_ok(child, inner, depth - 1)) {
                return false;
            }
            break;
        }
        default: return false; /* groups are gone since proto3 */
        }
    }
    return mu_rd_ok(&r);
}

/* -- unpack into an arena, pack into a buffer -------------------------------------------------- */

static void *arena_alloc(void *data, size_t bytes)
{
    return mu_arena_try(data, bytes);
}

static void arena_release(void *data, void *ptr)
{
    (void)data; /* dies with the arena */
    (void)ptr;
}

void *mu_pb_unpack(const struct ProtobufCMessageDescriptor *type, struct mu_span bytes,
                   struct mu_arena *arena)
{
    ProtobufCAllocator allocator = { arena_alloc, arena_release, arena };

    MU_ASSERT(arena->bytes_max > 0);
    if (!mu_pb_depth_ok(type, bytes, MU_PB_DEPTH_MAX)) {
        return NULL;
    }
    /* An empty message may come without a pointer; protobuf-c wants one. */
    const uint8_t *data = bytes.data != NULL ? bytes.data : (const uint8_t *)"";

    return protobuf_c_message_unpack(type, &allocator, bytes.bytes, data);
}

size_t mu_pb_pack(const struct ProtobufCMessage *message, struct mu_buf *to)
{
    size_t bytes = protobuf_c_message_get_packed_size(message);
    size_t packed = protobuf_c_message_pack(message, mu_buf_reserve(to, bytes));

    MU_ASSERT(packed == bytes);
    to->bytes += bytes;
    return bytes;
}
