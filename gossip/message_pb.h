/* message_pb.h - between protobuf-c's types and ours, for message.c and message_serf.c only. */
#ifndef GOSSIP_MESSAGE_PB_H
#define GOSSIP_MESSAGE_PB_H

#include <pb/gossip.pb-c.h>

#include "message.h"

typedef Mu__Gossip__Part gossip__pb_part;

/* What protobuf-c declares without const; it does not write to it. */
static inline char *gossip__pb_text(const char *text)
{
    union {
        const char *in;
        char *out;
    } u = { .in = text };

    return u.out;
}

static inline ProtobufCBinaryData gossip__pb_bytes(const void *data, size_t bytes)
{
    union {
        const void *in;
        uint8_t *out;
    } u = { .in = data };

    return (ProtobufCBinaryData){ bytes, u.out };
}

static inline struct mu_span gossip__pb_span(ProtobufCBinaryData b)
{
    return mu_span_of(b.data, b.len);
}

#define GOSSIP__FRAME_RECORDS_MAX \
    4096 /* of one kind in a frame: more do not fit one we would send */

static inline bool gossip__incarnation_ok(uint64_t incarnation)
{
    return incarnation <= GOSSIP__INCARNATION_MAX;
}

Mu__Gossip__Endpoint *gossip__endpoint_out(const struct mu_addr *a, struct mu_arena *arena);
/* An absent one is no address. False: not an address. */
bool gossip__endpoint_in(const Mu__Gossip__Endpoint *m, struct mu_addr *out);
struct mu_span gossip__pb_pack(const ProtobufCMessage *m, struct mu_arena *arena);

/* From outside: 4 or 16 bytes, and a port. False: not an address. */
bool gossip__endpoint_of(struct mu_span ip, uint64_t port, struct mu_addr *out);
/* As gossip__part_decode() and so on, of whatever form; of frames, those that are not packed. */
bool gossip__part_decode_any(struct mu_span bytes, struct mu_arena *arena,
                             struct gossip__part *out);
bool gossip__packet_decode_any(struct mu_span bytes, struct mu_arena *arena,
                               struct gossip__packet *out);
bool gossip__frame_decode_any(struct mu_span bytes, struct mu_arena *arena,
                              struct gossip__frame *out);

/* -- message_plain.c, message_read.c: what is nearly all that is said, without protobuf-c --------
 */

#define GOSSIP__COORDINATE_VERSION 1

#define GOSSIP__WIRE_VARINT  0
#define GOSSIP__WIRE_FIXED64 1
#define GOSSIP__WIRE_BYTES   2

#define GOSSIP__STATE_NUMBER 3 /* of its field in Frame */

unsigned gossip__plain_number(enum gossip__part_kind kind); /* of its field in Part; 0: none here */

/* None: not of a kind that is written there. */
struct mu_span gossip__plain_encode(const struct gossip__part *part, struct mu_arena *arena);
/* False: not in its plain form, or of no such kind; nothing is said of whether it is good. */
bool gossip__plain_decode(struct mu_span from, struct mu_arena *arena, struct gossip__part *out);
bool gossip__plain_packet(struct mu_span from, struct mu_arena *arena, struct gossip__packet *out);

/* A frame with it, that is not packed. */
struct mu_span gossip__plain_state_encode(const struct gossip__sync_state *s,
                                          struct mu_arena *arena);
bool gossip__plain_state_decode(struct mu_span from, struct mu_arena *arena,
                                struct gossip__sync_state *out);

/* -- message_packed.c: frames that are compressed (11) ------------------------------------------
 */

/* The same frame, compressed, if that makes it smaller by a tenth; else as it is. Into the arena.
 */
struct mu_span gossip__frame_pack(struct mu_span frame, struct mu_arena *arena);
/* What was packed. False: not that, or more than a frame may have. */
bool gossip__packed_in(const Mu__Gossip__Packed *m, struct mu_arena *arena, struct mu_span *out);

/* -- message_keys.c: KEYS -----------------------------------------------------------------------
 */

void gossip__keys_out(Mu__Gossip__Frame *f, const struct gossip_keys *keys, struct mu_arena *arena);
bool gossip__keys_in(const Mu__Gossip__Keys *m, struct mu_arena *arena,
                     const struct gossip_keys **out);

/* -- message_serf.c: EVENT, QUERY, RESPONSE, RELAY ----------------------------------------------
 */

void gossip__event_out(gossip__pb_part *m, const struct gossip__user_event *p,
                       struct mu_arena *arena);
void gossip__query_out(gossip__pb_part *m, const struct gossip__query *p, struct mu_arena *arena);
void gossip__response_out(gossip__pb_part *m, const struct gossip__response *p,
                          struct mu_arena *arena);
void gossip__relay_out(gossip__pb_part *m, const struct gossip__relay *p, struct mu_arena *arena);
bool gossip__event_in(const Mu__Gossip__UserEvent *m, struct gossip__user_event *out);
bool gossip__query_in(const Mu__Gossip__Query *m, struct mu_arena *arena,
                      struct gossip__query *out);
bool gossip__response_in(const Mu__Gossip__QueryResponse *m, struct gossip__response *out);
bool gossip__relay_in(const Mu__Gossip__Relay *m, struct gossip__relay *out);
bool gossip__serf_in(const Mu__Gossip__SerfState *s, struct mu_arena *arena,
                     struct gossip__sync_state *out);

#endif
