/* message_read.c - the messages that nearly all datagrams are made of, and the state of exchanges,
 * read without protobuf-c.
 *
 * Only the plain form of one, as message_plain.c writes it: fields that we know, each at most once,
 * in their order. Whatever else the format allows, and whatever breaks a rule of message.h, is not
 * plain, and message.c looks at it with protobuf-c. So nothing is refused here, and what is taken
 * means the same to both: unit_gossip_test_message_plain and fuzz_gossip_message hold them against
 * each other.
 */
#include <endian.h>
#include <string.h>

#include "base/limits.h"
#include "message_pb.h"

#define READ_BYTES 10 /* of a number, and of the last only a bit */

/* -- fields -------------------------------------------------------------------------------------
 */

struct in {
    const uint8_t *at, *end;
    bool bad; /* not plain */
    struct mu_arena *arena;
};

static struct in in_of(struct mu_span bytes, struct mu_arena *arena)
{
    const uint8_t *at = bytes.bytes > 0 ? bytes.data : (const uint8_t *)"";

    return (struct in){ at, at + bytes.bytes, false, arena };
}

/* Is this the field that comes now? Then its value is to be read. */
static bool field(struct in *r, unsigned number, unsigned type)
{
    unsigned tag = number << 3 | type;
    size_t bytes = tag < 128 ? 1 : 2;

    if (r->bad || (size_t)(r->end - r->at) < bytes ||
        r->at[0] != (tag < 128 ? tag : (tag & 127) | 128) || (bytes == 2 && r->at[1] != tag >> 7)) {
        return false;
    }
    r->at += bytes;
    return true;
}

static uint64_t get_varint(struct in *r)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < READ_BYTES && r->at < r->end; i++) {
        uint8_t byte = *r->at++;

        v |= (uint64_t)(byte & 127) << (7 * i);
        if (byte < 128) {
            r->bad = r->bad || (i + 1 == READ_BYTES && byte > 1);
            return v;
        }
    }
    r->bad = true;
    return 0;
}

static struct mu_span get_raw(struct in *r, uint64_t bytes)
{
    if (r->bad || bytes > (uint64_t)(r->end - r->at)) {
        r->bad = true;
        return MU_SPAN_NONE;
    }
    struct mu_span s = mu_span_of(r->at, (size_t)bytes);

    r->at += bytes;
    return s;
}

static uint64_t get_u64le(struct in *r)
{
    struct mu_span s = get_raw(r, sizeof(uint64_t));
    uint64_t v = 0;

    if (s.bytes > 0) {
        memcpy(&v, s.data, sizeof v);
    }
    return le64toh(v);
}

/* The values of fields, if they come now; else zero, or nothing. */

static uint64_t number(struct in *r, unsigned at, uint64_t max)
{
    uint64_t v = field(r, at, GOSSIP__WIRE_VARINT) ? get_varint(r) : 0;

    r->bad = r->bad || v > max;
    return v;
}

static uint64_t fixed64(struct in *r, unsigned at)
{
    return field(r, at, GOSSIP__WIRE_FIXED64) ? get_u64le(r) : 0;
}

static double real(struct in *r, unsigned at)
{
    uint64_t bits = fixed64(r, at);
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

static struct mu_span bytes(struct in *r, unsigned at)
{
    return field(r, at, GOSSIP__WIRE_BYTES) ? get_raw(r, get_varint(r)) : MU_SPAN_NONE;
}

/* A text of at most so many bytes that may come from outside; an empty one, too. */
static const char *text(struct in *r, unsigned at, size_t bytes_max)
{
    struct mu_span s = bytes(r, at);

    if (s.bytes == 0) {
        return "";
    }
    char *copy = s.bytes <= bytes_max && memchr(s.data, 0, s.bytes) == NULL
                     ? mu_arena_try(r->arena, s.bytes + 1)
                     : NULL;

    if (copy == NULL) {
        r->bad = true;
        return "";
    }
    memcpy(copy, s.data, s.bytes);
    r->bad = !gossip__text_ok(copy, bytes_max);
    return copy;
}

static const char *name(struct in *r, unsigned at)
{
    const char *n = text(r, at, MU_NODE_NAME_MAX);

    r->bad = r->bad || n[0] == '\0';
    return n;
}

static uint64_t incarnation(struct in *r, unsigned at)
{
    return number(r, at, GOSSIP__INCARNATION_MAX);
}

/* A message in this one, to be read on its own: false, there is none. */
static bool inner(struct in *r, unsigned at, struct in *out)
{
    if (!field(r, at, GOSSIP__WIRE_BYTES)) {
        return false;
    }
    struct mu_span s = get_raw(r, get_varint(r));

    *out = in_of(s, r->arena);
    return !r->bad;
}

/* Room for all fields of this number that come now, of which there are so many. */
static void *items(struct in *r, unsigned at, size_t count_max, size_t bytes, size_t *count)
{
    struct in ahead = *r;
    size_t n = 0;

    while (field(&ahead, at, GOSSIP__WIRE_BYTES)) {
        (void)get_raw(&ahead, get_varint(&ahead));
        n++;
    }
    bool is_good = !ahead.bad && n <= count_max;
    void *room = is_good ? mu_arena_try(r->arena, (n + 1) * bytes) : NULL;

    r->bad = r->bad || room == NULL;
    *count = r->bad ? 0 : n;
    return room;
}

/* All of it was plain. */
static bool is_over(const struct in *r)
{
    return !r->bad && r->at == r->end;
}

/* -- messages -----------------------------------------------------------------------------------
 */

static struct mu_addr endpoint(struct in *r, unsigned at)
{
    struct mu_addr a = MU_ADDR_NONE;
    struct in in;

    if (inner(r, at, &in)) {
        struct mu_span ip = bytes(&in, 1);
        uint64_t port = number(&in, 2, UINT16_MAX);

        r->bad = !is_over(&in) || !gossip__endpoint_of(ip, port, &a);
    }
    return a;
}

static void get_versions(struct in *r, unsigned at, uint8_t versions[6])
{
    struct in in;

    if (inner(r, at, &in)) {
        for (unsigned i = 0; i < 6; i++) {
            versions[i] = (uint8_t)number(&in, i + 1, UINT8_MAX);
        }
        r->bad = !is_over(&in);
    }
}

static void get_alive(struct in *r, struct gossip__alive *a)
{
    *a = (struct gossip__alive){ .incarnation = incarnation(r, 1) };
    a->node = name(r, 2);
    a->at = endpoint(r, 3);
    a->meta = bytes(r, 4);
    get_versions(r, 5, a->versions);
    a->boot_id = fixed64(r, 6);
    struct mu_span id = bytes(r, 7);

    r->bad = r->bad || a->at.ip_bytes == 0 || a->meta.bytes > MU_GOSSIP_META_MAX ||
             (id.bytes != 0 && id.bytes != sizeof a->node_id.b);
    if (!r->bad && id.bytes > 0) {
        memcpy(a->node_id.b, id.data, sizeof a->node_id.b);
    }
}

static void get_ping(struct in *r, struct gossip__ping *p)
{
    *p = (struct gossip__ping){ .seq = number(r, 1, UINT64_MAX) };
    p->target = name(r, 2);
    p->reply_to = endpoint(r, 3);
    p->target_boot = fixed64(r, 4);
}

static void get_coordinate(struct in *r, struct coordinate *c)
{
    uint64_t version = number(r, 1, UINT32_MAX);
    struct mu_span vec = bytes(r, 2);

    if (version != GOSSIP__COORDINATE_VERSION || vec.bytes != sizeof c->vec) {
        r->bad = true;
        return;
    }
    struct in in = in_of(vec, r->arena);

    for (unsigned i = 0; i < COORDINATE_DIMS; i++) {
        uint64_t bits = get_u64le(&in);

        memcpy(&c->vec[i], &bits, sizeof bits);
    }
    c->error = real(r, 3);
    c->adjustment = real(r, 4);
    c->height = real(r, 5);
}

static void get_ack(struct in *r, struct gossip__ack *a)
{
    struct in in;

    *a = (struct gossip__ack){ .seq = number(r, 1, UINT64_MAX) };
    if (inner(r, 2, &in)) {
        a->where = GOSSIP__GIVEN;
        get_coordinate(&in, &a->coordinate);
        r->bad = !is_over(&in);
    }
    a->relayed = number(r, 3, 1) != 0;
}

static void get_suspect(struct in *r, struct gossip__suspect *s)
{
    *s = (struct gossip__suspect){ .incarnation = incarnation(r, 1) };
    s->node = name(r, 2);
    s->from = name(r, 3);
    s->evidence = (enum gossip__evidence)number(r, 4, GOSSIP__STALLED);
}

static void get_dead(struct in *r, struct gossip__dead *d)
{
    *d = (struct gossip__dead){ .incarnation = incarnation(r, 1) };
    d->node = name(r, 2);
    d->from = name(r, 3);
}

static void get_intent(struct in *r, struct gossip__intent *i, bool is_leave)
{
    *i = (struct gossip__intent){ .ltime = number(r, 1, UINT64_MAX) };
    i->node = name(r, 2);
    i->prune = is_leave && number(r, 3, 1) != 0;
}

/* -- parts and packets --------------------------------------------------------------------------
 */

bool gossip__plain_decode(struct mu_span from, struct mu_arena *arena, struct gossip__part *out)
{
    struct in r = in_of(from, arena);
    struct in in = { .bad = true };
    enum gossip__part_kind kind = GOSSIP__PART_PING;

    while (kind <= GOSSIP__PART_LEAVE &&
           (gossip__plain_number(kind) == 0 || !inner(&r, gossip__plain_number(kind), &in))) {
        kind++;
    }
    out->kind = kind;
    out->bytes = from;
    switch ((unsigned)kind) {
    case GOSSIP__PART_PING: get_ping(&in, &out->ping); break;
    case GOSSIP__PART_ACK: get_ack(&in, &out->ack); break;
    case GOSSIP__PART_SUSPECT: get_suspect(&in, &out->suspect); break;
    case GOSSIP__PART_ALIVE: get_alive(&in, &out->alive); break;
    case GOSSIP__PART_DEAD: get_dead(&in, &out->dead); break;
    case GOSSIP__PART_JOIN:
    case GOSSIP__PART_LEAVE: get_intent(&in, &out->intent, kind == GOSSIP__PART_LEAVE); break;
    default: return false;
    }
    return is_over(&in) && is_over(&r);
}

struct mu_span gossip__part_gist(struct mu_span part)
{
    struct in r = in_of(part, NULL);
    struct in in;

    if (!inner(&r, gossip__plain_number(GOSSIP__PART_DEAD), &in) || !is_over(&r)) {
        return part;
    }
    const uint8_t *begin = in.at;
    bool has_incarnation = number(&in, 1, UINT64_MAX) > 0; /* no part begins with its field */
    struct mu_span node = bytes(&in, 2);
    const uint8_t *end = in.at;
    struct mu_span from = bytes(&in, 3);
    bool has_left = mu_span_eq(node, from);
    bool are_texts = from.bytes > 0 && memchr(from.data, 0, from.bytes) == NULL && node.bytes > 0 &&
                     memchr(node.data, 0, node.bytes) == NULL;

    return is_over(&in) && has_incarnation && !has_left && are_texts
               ? mu_span_of(begin, (size_t)(end - begin))
               : part;
}

/* Views into what was read. */
static const struct mu_span *get_parts(struct in *r, size_t *count)
{
    struct mu_span *parts = items(r, 4, SIZE_MAX, sizeof *parts, count);

    for (size_t i = 0; i < *count; i++) {
        parts[i] = bytes(r, 4);
    }
    return parts;
}

bool gossip__plain_packet(struct mu_span from, struct mu_arena *arena, struct gossip__packet *out)
{
    struct in r = in_of(from, arena);

    *out = (struct gossip__packet){ .from = name(&r, 1) };
    out->boot_id = fixed64(&r, 2);
    out->counter = number(&r, 3, UINT64_MAX);
    out->parts = get_parts(&r, &out->parts_count);
    out->incarnation = incarnation(&r, 5);
    return is_over(&r);
}

/* -- the state of an exchange -------------------------------------------------------------------
 */

static void get_node_states(struct in *r, struct gossip__sync_state *s)
{
    struct in in, alive;

    s->nodes = items(r, 1, GOSSIP__FRAME_RECORDS_MAX, sizeof *s->nodes, &s->nodes_count);
    for (size_t i = 0; i < s->nodes_count && inner(r, 1, &in); i++) {
        struct gossip__node_state *n = &s->nodes[i];

        if (!inner(&in, 1, &alive)) {
            r->bad = true;
            return;
        }
        get_alive(&alive, &n->node);
        n->state = (enum gossip__state)number(&in, 2, GOSSIP__GONE);
        n->age_ms = number(&in, 3, UINT64_MAX);
        n->evidence = (enum gossip__evidence)number(&in, 4, GOSSIP__STALLED);
        r->bad = !is_over(&alive) || !is_over(&in);
    }
}

static struct gossip__named_time *get_times(struct in *r, unsigned at, size_t *count)
{
    struct gossip__named_time *times =
        items(r, at, GOSSIP__FRAME_RECORDS_MAX, sizeof *times, count);
    struct in in;

    for (size_t i = 0; i < *count && inner(r, at, &in); i++) {
        times[i].node = name(&in, 1);
        times[i].ltime = number(&in, 2, UINT64_MAX);
        r->bad = !is_over(&in);
    }
    return times;
}

static void get_events(struct in *r, struct gossip__sync_state *s)
{
    struct in in;

    s->events = items(r, 5, GOSSIP__FRAME_RECORDS_MAX, sizeof *s->events, &s->events_count);
    for (size_t i = 0; i < s->events_count && inner(r, 5, &in); i++) {
        struct gossip__user_event *e = &s->events[i];

        e->ltime = number(&in, 1, UINT64_MAX);
        e->name = text(&in, 2, GOSSIP__EVENT_NAME_MAX);
        e->payload = bytes(&in, 3);
        e->coalesce = number(&in, 4, 1) != 0;
        r->bad = !is_over(&in) || e->payload.bytes > MU_GOSSIP_PACKET_MAX;
    }
}

static void get_tombstones(struct in *r, struct gossip__sync_state *s)
{
    struct in in;

    s->pruned = items(r, 7, GOSSIP__FRAME_RECORDS_MAX, sizeof *s->pruned, &s->pruned_count);
    for (size_t i = 0; i < s->pruned_count && inner(r, 7, &in); i++) {
        struct gossip__tombstone_record *t = &s->pruned[i];

        t->node = name(&in, 1);
        t->incarnation = incarnation(&in, 2);
        t->ltime = number(&in, 3, UINT64_MAX);
        t->age_ms = number(&in, 4, UINT64_MAX);
        r->bad = !is_over(&in);
    }
}

static void get_serf(struct in *r, struct gossip__sync_state *s)
{
    s->ltime = number(r, 1, UINT64_MAX);
    s->times = get_times(r, 2, &s->times_count);
    s->left = get_times(r, 3, &s->left_count);
    s->event_ltime = number(r, 4, UINT64_MAX);
    get_events(r, s);
    s->query_ltime = number(r, 6, UINT64_MAX);
    get_tombstones(r, s);
}

bool gossip__plain_state_decode(struct mu_span from, struct mu_arena *arena,
                                struct gossip__sync_state *out)
{
    struct in r = in_of(from, arena);
    struct in in, serf;

    if (!inner(&r, GOSSIP__STATE_NUMBER, &in)) {
        return false;
    }
    *out = (struct gossip__sync_state){ .nodes_count = 0 };
    get_node_states(&in, out);
    if (inner(&in, 2, &serf)) {
        get_serf(&serf, out);
        in.bad = !is_over(&serf);
    }
    out->more = number(&in, 3, 1) != 0;
    return is_over(&in) && is_over(&r);
}
