/* pb.h - protobuf-c behind bounds.
 *
 * protobuf-c recurses without a limit and lets two bytes on the wire become a hundred in memory.
 * So: a depth check on the wire first, and an allocator with a cap that takes from an arena. Enums
 * and UTF-8 arrive unchecked: the decoder of each message validates them.
 *
 * Memory:  unpacked messages live in the arena; there is no free.
 * Errors:  a cap or depth that is passed looks like a malformed message: NULL.
 */
#ifndef MU_PROTO_PB_H
#define MU_PROTO_PB_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/span.h"

#define MU_PB_DEPTH_MAX 16

struct ProtobufCMessageDescriptor;
struct ProtobufCMessage;

/* Unpack into the arena, whose bytes_max is the cap. NULL: malformed, too deep, or over the cap. */
void *mu_pb_unpack(const struct ProtobufCMessageDescriptor *type, struct mu_span bytes,
                   struct mu_arena *arena);

/* Append the packed message; returns its size. */
size_t mu_pb_pack(const struct ProtobufCMessage *message, struct mu_buf *to);

/* Do length-delimited fields nest at most `depth` deep? A field that merely looks like a message
 * counts too: conservative, since bytes and messages share a wire type. Linear in the input.
 * Only fields whose descriptor says "message" are followed. */
bool mu_pb_depth_ok(const struct ProtobufCMessageDescriptor *type, struct mu_span bytes,
                    unsigned depth);

#endif
