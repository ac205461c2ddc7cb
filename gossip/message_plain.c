/* message_plain.c - the messages that nearly all datagrams are made of, and the state of exchanges,
 * which is nearly all that goes over streams, written without protobuf-c: that goes through tables
 * of fields, twice each time, and allocates for each message.
 *
 * On the wire they are what gossip.proto says, byte for byte as protobuf-c would write them: in the
 * order of their fields, and what is zero or empty is left out. The way back is message_read.c.
 */
#include <endian.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "message_pb.h"

#define FIELD_BYTES 12 /* at most: number and type of a field, and a number or a length */

/* -- fields -------------------------------------------------------------------------------------
 */

/* Into room that was reckoned beforehand: a field more than was reckoned with must not pass. */
struct out {
    uint8_t *start, *at, *end;
};

static struct out out_of(struct mu_arena *arena, size_t bytes)
{
    uint8_t *start = mu_arena_new(arena, bytes);

    return (struct out){ start, start, start + bytes };
}

static struct mu_span out_done(const struct out *o)
{
    return mu_span_of(o->start, (size_t)(o->at - o->start));
}

static size_t varint_bytes(uint64_t v)
{
    size_t bytes = 1;

    for (; v >= 128; v >>= 7) {
        bytes++;
    }
    return bytes;
}

static void put_byte(struct out *o, unsigned byte)
{
    MU_ASSERT(o->at < o->end);
    *o->at++ = (uint8_t)byte;
}

static void put_varint(struct out *o, uint64_t v)
{
    for (; v >= 128; v >>= 7) {
        put_byte(o, (unsigned)(v & 127) | 128);
    }
    put_byte(o, (unsigned)v);
}

static void put_tag(struct out *o, unsigned number, unsigned type)
{
    put_varint(o, number << 3 | type);
}

static void put_raw(struct out *o, const void *data, size_t bytes)
{
    MU_ASSERT((size_t)(o->end - o->at) >= bytes);
    if (bytes > 0) {
        memcpy(o->at, data, bytes);
        o->at += bytes;
    }
}

static void put_u64le(struct out *o, uint64_t v)
{
    v = htole64(v);
    put_raw(o, &v, sizeof v);
}

/* What is zero or empty is not written. */
static void put_number(struct out *o, unsigned number, uint64_t v)
{
    if (v != 0) {
        put_tag(o, number, GOSSIP__WIRE_VARINT);
        put_varint(o, v);
    }
}

static void put_fixed64(struct out *o, unsigned number, uint64_t v)
{
    if (v != 0) {
        put_tag(o, number, GOSSIP__WIRE_FIXED64);
        put_u64le(o, v);
    }
}

static uint64_t bits_of(double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static void put_double(struct out *o, unsigned number, double v)
{
    put_fixed64(o, number, v == 0 ? 0 : bits_of(v)); /* -0.0 is zero, too */
}

static void put_bytes(struct out *o, unsigned number, struct mu_span s)
{
    if (s.bytes > 0) {
        put_tag(o, number, GOSSIP__WIRE_BYTES);
        put_varint(o, s.bytes);
        put_raw(o, s.data, s.bytes);
    }
}

static void put_text(struct out *o, unsigned number, const char *text)
{
    put_bytes(o, number, mu_span_text(text));
}

/* A message in a message: how long it is shows when it is there, and most are short. */
static uint8_t *inner_begin(struct out *o, unsigned number)
{
    put_tag(o, number, GOSSIP__WIRE_BYTES);
    put_byte(o, 0);
    return o->at;
}

static void inner_end(struct out *o, uint8_t *from)
{
    size_t bytes = (size_t)(o->at - from);
    size_t more = varint_bytes(bytes) - 1;

    MU_ASSERT((size_t)(o->end - o->at) >= more);
    if (more > 0) {
        memmove(from + more, from, bytes);
    }
    o->at = from - 1;
    put_varint(o, bytes);
    o->at += bytes;
}

/* -- messages -----------------------------------------------------------------------------------
 */

static void put_endpoint(struct out *o, unsigned number, const struct mu_addr *a)
{
    if (a->ip_bytes > 0) {
        uint8_t *from = inner_begin(o, number);

        put_bytes(o, 1, mu_span_of(a->ip, a->ip_bytes));
        put_number(o, 2, a->port);
        inner_end(o, from);
    }
}

static void put_alive(struct out *o, const struct gossip__alive *a)
{
    put_number(o, 1, a->incarnation);
    put_text(o, 2, a->node);
    put_endpoint(o, 3, &a->at);
    put_bytes(o, 4, a->meta);
    uint8_t *versions = inner_begin(o, 5);

    for (unsigned i = 0; i < MU_LEN(a->versions); i++) {
        put_number(o, i + 1, a->versions[i]);
    }
    inner_end(o, versions);
    put_fixed64(o, 6, a->boot_id);
    if (!mu_id_is_none(&a->node_id)) {
        put_bytes(o, 7, mu_span_of(a->node_id.b, sizeof a->node_id.b));
    }
}

static void put_ping(struct out *o, const struct gossip__ping *p)
{
    put_number(o, 1, p->seq);
    put_text(o, 2, p->target);
    put_endpoint(o, 3, &p->reply_to);
    put_fixed64(o, 4, p->target_boot);
    put_bytes(o, 5, p->filling);
}

static void put_ack(struct out *o, const struct gossip__ack *p)
{
    const struct coordinate *c = &p->coordinate;

    put_number(o, 1, p->seq);
    if (p->where == GOSSIP__GIVEN) {
        uint8_t *from = inner_begin(o, 2);

        put_number(o, 1, GOSSIP__COORDINATE_VERSION);
        put_tag(o, 2, GOSSIP__WIRE_BYTES);
        put_varint(o, sizeof c->vec);
        for (unsigned i = 0; i < COORDINATE_DIMS; i++) {
            put_u64le(o, bits_of(c->vec[i]));
        }
        put_double(o, 3, c->error);
        put_double(o, 4, c->adjustment);
        put_double(o, 5, c->height);
        inner_end(o, from);
    }
    put_number(o, 3, p->relayed);
}

static void put_suspect(struct out *o, const struct gossip__suspect *p)
{
    put_number(o, 1, p->incarnation);
    put_text(o, 2, p->node);
    put_text(o, 3, p->from);
    put_number(o, 4, (uint64_t)p->evidence);
}

static void put_dead(struct out *o, const struct gossip__dead *p)
{
    put_number(o, 1, p->incarnation);
    put_text(o, 2, p->node);
    put_text(o, 3, p->from);
}

static void put_intent(struct out *o, const struct gossip__part *part)
{
    put_number(o, 1, part->intent.ltime);
    put_text(o, 2, part->intent.node);
    put_number(o, 3, part->kind == GOSSIP__PART_LEAVE && part->intent.prune);
}

/* -- parts and packets --------------------------------------------------------------------------
 */

static const struct shape { /* of a kind: its field in Part; 0: not one of those here */
    unsigned number;
    size_t fields; /* at most, with those of messages in it */
} shapes[] = {
    // clang-format off
    [GOSSIP__PART_PING]    = { 1, 8 },
    [GOSSIP__PART_ACK]     = { 3, 20 },
    [GOSSIP__PART_SUSPECT] = { 5, 5 },
    [GOSSIP__PART_ALIVE]   = { 6, 17 },
    [GOSSIP__PART_DEAD]    = { 7, 4 },
    [GOSSIP__PART_JOIN]    = { 16, 3 },
    [GOSSIP__PART_LEAVE]   = { 17, 4 },
    [GOSSIP__PART_RELAY]   = { 0, 0 }, /* the last kind */
}; // clang-format on

unsigned gossip__plain_number(enum gossip__part_kind kind)
{
    return shapes[kind].number;
}

/* What comes on top of the fields: texts and bytes of any length. */
static size_t alive_loose(const struct gossip__alive *a)
{
    return strlen(a->node) + a->meta.bytes;
}

static size_t loose_bytes(const struct gossip__part *p)
{
    switch (p->kind) {
    case GOSSIP__PART_PING: return strlen(p->ping.target) + p->ping.filling.bytes;
    case GOSSIP__PART_SUSPECT: return strlen(p->suspect.node) + strlen(p->suspect.from);
    case GOSSIP__PART_ALIVE: return alive_loose(&p->alive);
    case GOSSIP__PART_DEAD: return strlen(p->dead.node) + strlen(p->dead.from);
    case GOSSIP__PART_JOIN:
    case GOSSIP__PART_LEAVE: return strlen(p->intent.node);
    case GOSSIP__PART_UNKNOWN:
    case GOSSIP__PART_INDIRECT:
    case GOSSIP__PART_ACK:
    case GOSSIP__PART_NACK:
    case GOSSIP__PART_ERROR:
    case GOSSIP__PART_EVENT:
    case GOSSIP__PART_QUERY:
    case GOSSIP__PART_RESPONSE:
    case GOSSIP__PART_RELAY: return 0;
    }
    return 0;
}

struct mu_span gossip__plain_encode(const struct gossip__part *part, struct mu_arena *arena)
{
    const struct shape *shape = &shapes[part->kind];

    if (shape->number == 0) {
        return MU_SPAN_NONE;
    }
    struct out o = out_of(arena, (1 + shape->fields) * FIELD_BYTES + loose_bytes(part));
    uint8_t *from = inner_begin(&o, shape->number);

    switch ((unsigned)part->kind) {
    case GOSSIP__PART_PING: put_ping(&o, &part->ping); break;
    case GOSSIP__PART_ACK: put_ack(&o, &part->ack); break;
    case GOSSIP__PART_SUSPECT: put_suspect(&o, &part->suspect); break;
    case GOSSIP__PART_ALIVE: put_alive(&o, &part->alive); break;
    case GOSSIP__PART_DEAD: put_dead(&o, &part->dead); break;
    default: put_intent(&o, part); break;
    }
    inner_end(&o, from);
    return out_done(&o);
}

size_t gossip__packet_bytes(const struct gossip__packet *p)
{
    size_t from = strlen(p->from);

    return (from > 0 ? gossip__packet_part_bytes(from) : 0) + (p->boot_id != 0 ? 9 : 0) +
           (p->counter != 0 ? 1 + varint_bytes(p->counter) : 0) +
           (p->incarnation != 0 ? 1 + varint_bytes(p->incarnation) : 0);
}

size_t gossip__packet_part_bytes(size_t part_bytes)
{
    return 1 + varint_bytes(part_bytes) + part_bytes;
}

struct mu_span gossip__packet_encode(const struct gossip__packet *p, struct mu_arena *arena)
{
    size_t bytes = gossip__packet_bytes(p);

    for (size_t i = 0; i < p->parts_count; i++) {
        bytes += gossip__packet_part_bytes(p->parts[i].bytes);
    }
    struct out o = out_of(arena, bytes);

    put_text(&o, 1, p->from);
    put_fixed64(&o, 2, p->boot_id);
    put_number(&o, 3, p->counter);
    for (size_t i = 0; i < p->parts_count; i++) { /* an empty one is one, too */
        put_tag(&o, 4, GOSSIP__WIRE_BYTES);
        put_varint(&o, p->parts[i].bytes);
        put_raw(&o, p->parts[i].data, p->parts[i].bytes);
    }
    put_number(&o, 5, p->incarnation);
    MU_ASSERT(o.at == o.end);
    return out_done(&o);
}

/* -- the state of an exchange -------------------------------------------------------------------
 */

static void put_node_state(struct out *o, const struct gossip__node_state *n)
{
    uint8_t *from = inner_begin(o, 1);
    uint8_t *alive = inner_begin(o, 1);

    put_alive(o, &n->node);
    inner_end(o, alive);
    put_number(o, 2, (uint64_t)n->state);
    put_number(o, 3, n->age_ms);
    put_number(o, 4, (uint64_t)n->evidence);
    inner_end(o, from);
}

static void put_times(struct out *o, unsigned number, const struct gossip__named_time *times,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t *from = inner_begin(o, number);

        put_text(o, 1, times[i].node);
        put_number(o, 2, times[i].ltime);
        inner_end(o, from);
    }
}

static void put_event(struct out *o, const struct gossip__user_event *e)
{
    uint8_t *from = inner_begin(o, 5);

    put_number(o, 1, e->ltime);
    put_text(o, 2, e->name);
    put_bytes(o, 3, e->payload);
    put_number(o, 4, e->coalesce);
    inner_end(o, from);
}

static void put_tombstone(struct out *o, const struct gossip__tombstone_record *t)
{
    uint8_t *from = inner_begin(o, 7);

    put_text(o, 1, t->node);
    put_number(o, 2, t->incarnation);
    put_number(o, 3, t->ltime);
    put_number(o, 4, t->age_ms);
    inner_end(o, from);
}

static void put_serf(struct out *o, const struct gossip__sync_state *s)
{
    uint8_t *from = inner_begin(o, 2);

    put_number(o, 1, s->ltime);
    put_times(o, 2, s->times, s->times_count);
    put_times(o, 3, s->left, s->left_count);
    put_number(o, 4, s->event_ltime);
    for (size_t i = 0; i < s->events_count; i++) {
        put_event(o, &s->events[i]);
    }
    put_number(o, 6, s->query_ltime);
    for (size_t i = 0; i < s->pruned_count; i++) {
        put_tombstone(o, &s->pruned[i]);
    }
    inner_end(o, from);
}

/* Each message is a field of the one around it. */
static size_t state_room(const struct gossip__sync_state *s)
{
    size_t fields = 6 + s->nodes_count * (5 + shapes[GOSSIP__PART_ALIVE].fields) +
                    3 * (s->times_count + s->left_count) + 5 * (s->events_count + s->pruned_count);
    size_t loose = 0;

    for (size_t i = 0; i < s->nodes_count; i++) {
        loose += alive_loose(&s->nodes[i].node);
    }
    for (size_t i = 0; i < s->times_count; i++) {
        loose += strlen(s->times[i].node);
    }
    for (size_t i = 0; i < s->left_count; i++) {
        loose += strlen(s->left[i].node);
    }
    for (size_t i = 0; i < s->events_count; i++) {
        loose += strlen(s->events[i].name) + s->events[i].payload.bytes;
    }
    for (size_t i = 0; i < s->pruned_count; i++) {
        loose += strlen(s->pruned[i].node);
    }
    return fields * FIELD_BYTES + loose;
}

struct mu_span gossip__plain_state_encode(const struct gossip__sync_state *s,
                                          struct mu_arena *arena)
{
    struct out o = out_of(arena, state_room(s));
    uint8_t *from = inner_begin(&o, GOSSIP__STATE_NUMBER);

    for (size_t i = 0; i < s->nodes_count; i++) {
        put_node_state(&o, &s->nodes[i]);
    }
    put_serf(&o, s);
    put_number(&o, 3, s->more);
    inner_end(&o, from);
    return out_done(&o);
}
