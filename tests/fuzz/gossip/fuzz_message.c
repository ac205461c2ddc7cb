/* fuzz_message.c - parts, packets and states, read by hand and by protobuf-c: never as two things.
 *
 * Input: a part, the body of a packet, or a frame with the state of an exchange. What the plain way
 * takes must be taken by the other one, and be written again to the same bytes, which for a state
 * are those that protobuf-c writes; what it does not take is for the other one alone.
 */
#include <protobuf-c/protobuf-c.h>

#include "base/assert.h"
#include "message_pb.h"
#include "proto/pb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void part(struct mu_span bytes, struct mu_arena *arena)
{
    struct gossip__part fast, any;

    if (gossip__plain_decode(bytes, arena, &fast)) {
        MU_ASSERT(gossip__part_decode_any(bytes, arena, &any) && any.kind == fast.kind);
        struct mu_span one = gossip__part_encode(&fast, arena);

        MU_ASSERT(mu_span_eq(one, gossip__part_encode(&any, arena)));
    }
}

static void packet(struct mu_span bytes, struct mu_arena *arena)
{
    struct gossip__packet fast, any;

    if (gossip__plain_packet(bytes, arena, &fast)) {
        MU_ASSERT(gossip__packet_decode_any(bytes, arena, &any));
        struct mu_span one = gossip__packet_encode(&fast, arena);

        MU_ASSERT(mu_span_eq(one, gossip__packet_encode(&any, arena)));
        for (size_t i = 0; i < any.parts_count; i++) {
            part(any.parts[i], arena);
        }
    }
}

static void state(struct mu_span bytes, struct mu_arena *arena)
{
    struct gossip__sync_state fast;
    struct gossip__frame *any = mu_arena_new(arena, sizeof *any);

    if (gossip__plain_state_decode(bytes, arena, &fast)) {
        MU_ASSERT(gossip__frame_decode_any(bytes, arena, any));
        MU_ASSERT(any->kind == GOSSIP__FRAME_STATE);
        struct mu_span one = gossip__plain_state_encode(&fast, arena);
        const ProtobufCMessage *m = mu_pb_unpack(&mu__gossip__frame__descriptor, one, arena);

        MU_ASSERT(mu_span_eq(one, gossip__plain_state_encode(&any->state, arena)));
        MU_ASSERT(m != NULL && mu_span_eq(one, gossip__pb_pack(m, arena)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct mu_arena arena;

    mu_arena_init(&arena, 8U << 20);
    part(mu_span_of(data, bytes), &arena);
    packet(mu_span_of(data, bytes), &arena);
    state(mu_span_of(data, bytes), &arena);
    mu_arena_deinit(&arena);
    return 0;
}
