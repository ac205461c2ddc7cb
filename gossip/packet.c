/* packet.c - parts to datagrams and back: the clear header, many messages in one (11, 15).
 *
 *    0  'm' 'u'   2 wire version   3 flags   4 cluster id, 8 bytes   12 core versions, 4 bytes
 *   16  key id    20 CRC-32C of bytes 0..19 and the body             24 body: one Packet
 *
 * All big-endian. The cluster id keeps strangers apart before anything is parsed. In a sealed
 * packet the key id says with what, the checksum is 0, and a nonce and the closed body follow
 * (seal.c).
 */
#include <endian.h>
#include <string.h>

#include "base/crc.h"
#include "base/wire.h"
#include "core.h"

#define WIRE_VERSION 1
#define CLUSTER_AT   4
#define VERSIONS_AT  12
#define KEY_AT       16
#define CRC_AT       20
#define VERSION_CORE 1
#define HASHES       16 /* parts that are looked for at a time */

/* -- header -------------------------------------------------------------------------------------
 */

static uint32_t checksum(const uint8_t *header, struct mu_span body)
{
    return mu_crc32c(mu_crc32c(0, header, CRC_AT), body.data, body.bytes);
}

static void put_u32be(uint8_t *to, uint32_t v)
{
    v = htobe32(v);
    memcpy(to, &v, sizeof v);
}

static void header_put(const struct gossip *g, uint8_t flags, uint32_t key_id, uint8_t *out)
{
    const uint8_t begin[] = { 'm', 'u', WIRE_VERSION, flags };
    static const uint8_t versions[] = { VERSION_CORE, VERSION_CORE, VERSION_CORE, 0 };

    memcpy(out, begin, sizeof begin);
    memcpy(out + CLUSTER_AT, g->cluster_id, sizeof g->cluster_id);
    memcpy(out + VERSIONS_AT, versions, sizeof versions);
    put_u32be(out + KEY_AT, key_id);
    put_u32be(out + CRC_AT, 0);
}

void gossip__header_write(const struct gossip *g, uint8_t flags, struct mu_span body,
                          uint8_t out[GOSSIP__HEADER_BYTES])
{
    header_put(g, flags | GOSSIP__FLAG_CHECKED, 0, out);
    put_u32be(out + CRC_AT, checksum(out, body));
}

void gossip__header_sealed(const struct gossip *g, uint8_t flags, uint32_t key_id,
                           uint8_t out[GOSSIP__HEADER_BYTES])
{
    header_put(g, flags | GOSSIP__FLAG_SEALED, key_id, out);
}

bool gossip__header_read(const struct gossip *g, struct mu_span data, uint8_t flags,
                         struct gossip__head *out, enum gossip_counter *reason)
{
    struct mu_rd r = mu_rd_of(data);

    *reason = GOSSIP_COUNT_BAD_MAGIC;
    if (data.bytes < GOSSIP__HEADER_BYTES || !mu_span_eq_text(mu_rd_take(&r, 2), "mu")) {
        return false;
    }
    *reason = GOSSIP_COUNT_BAD_VERSION;
    if (mu_rd_u8(&r) != WIRE_VERSION) {
        return false;
    }
    out->flags = mu_rd_u8(&r);
    *reason = GOSSIP_COUNT_OTHER_CLUSTER;
    if (memcmp(mu_rd_take(&r, 8).data, g->cluster_id, sizeof g->cluster_id) != 0) {
        return false;
    }
    mu_rd_skip(&r, 4); /* versions: the Alive records tell them */
    out->key_id = mu_rd_u32be(&r);
    out->checksum = mu_rd_u32be(&r);
    *reason = GOSSIP_COUNT_BAD_CHECKSUM;
    return out->flags == (flags | GOSSIP__FLAG_CHECKED) ||
           out->flags == (flags | GOSSIP__FLAG_SEALED);
}

bool gossip__header_ok(const struct gossip__head *head, struct mu_span data, struct mu_span body)
{
    return head->checksum == checksum(data.data, body);
}

/* -- out ----------------------------------------------------------------------------------------
 */

/* Around the only part of a datagram: framing, seal, and what says who sent it. */
#define PART_OVERHEAD \
    (GOSSIP__HEADER_BYTES + GOSSIP__NONCE_BYTES + GOSSIP__TAG_BYTES + MU_NODE_NAME_MAX + 64)

static struct gossip__packet our_packet(const struct gossip *g)
{
    return (struct gossip__packet){ .from = g->self->card->name,
                                    .boot_id = g->self->card->boot_id,
                                    .counter = g->packet_counter,
                                    .incarnation = g->self->incarnation };
}

void gossip__letter_begin(struct gossip *g, struct gossip__letter *l, const struct mu_addr *to,
                          struct gossip__member *peer)
{
    g->packet_counter++;
    struct gossip__packet p = our_packet(g);

    l->to = *to;
    l->peer = peer;
    l->parts_count = l->taken_count = 0;
    l->left = g->profile.packet_bytes - GOSSIP__HEADER_BYTES - gossip__seal_overhead(g) -
              gossip__packet_bytes(&p);
    l->spare = MU_GOSSIP_PACKET_MAX - g->profile.packet_bytes;
}

size_t gossip__part_room(const struct gossip *g)
{
    return g->profile.packet_bytes - PART_OVERHEAD;
}

bool gossip__letter_add(struct gossip__letter *l, struct mu_span part)
{
    size_t bytes = gossip__packet_part_bytes(part.bytes);

    size_t room = l->left + (l->parts_count == 0 ? l->spare : 0);

    if (bytes > room || l->parts_count == GOSSIP__PARTS_MAX) {
        return false;
    }
    l->parts[l->parts_count++] = part;
    l->left -= bytes < l->left ? bytes : l->left;
    return true;
}

static struct mu_span clear_datagram(struct gossip *g, struct mu_span body)
{
    uint8_t *datagram = mu_arena_new(&g->step, GOSSIP__HEADER_BYTES + body.bytes);

    gossip__header_write(g, 0, body, datagram);
    memcpy(datagram + GOSSIP__HEADER_BYTES, body.data, body.bytes);
    return mu_span_of(datagram, GOSSIP__HEADER_BYTES + body.bytes);
}

static void post(struct gossip *g, const struct gossip__letter *l)
{
    struct gossip__packet p = our_packet(g);

    p.parts = l->parts;
    p.parts_count = l->parts_count;
    struct mu_span body = gossip__packet_encode(&p, &g->step);
    struct mu_span datagram =
        gossip__seal_sends(g) ? gossip__seal_datagram(g, body) : clear_datagram(g, body);

    MU_ASSERT(datagram.bytes <= MU_GOSSIP_PACKET_MAX);
    gossip__send(g, &l->to, datagram);
}

bool gossip__letter_send(struct gossip *g, struct gossip__letter *l)
{
    if (l->peer != NULL && l->peer->is_listed) {
        gossip__rumor_fill(g, l);
    }
    if (l->parts_count == 0) {
        return false;
    }
    post(g, l);
    gossip__rumor_settle(g, l);
    return true;
}

void gossip__send_part(struct gossip *g, const struct mu_addr *to, struct gossip__member *peer,
                       struct gossip__part *part)
{
    struct gossip__letter l;

    gossip__letter_begin(g, &l, to, peer);
    MU_ASSERT(gossip__letter_add(&l, gossip__part_encode(part, &g->step)));
    (void)gossip__letter_send(g, &l);
}

/* -- in -----------------------------------------------------------------------------------------
 */

/* We turned a peer's predicate or our name down: say who holds it (13.9, DESIGN 3). */
static void on_error(struct gossip *g, const struct gossip__error *e,
                     const struct gossip__source *src)
{
    if (e->code == GOSSIP__ERROR_WRONG_NODE) {
        gossip__on_wrong_node(g, src);
    } else if (e->code == GOSSIP__ERROR_CONFLICT && e->has_held) {
        (void)gossip__conflict_notice(g, e->text, &e->held, &src->addr);
    } else {
        gossip__count(g, GOSSIP_COUNT_PARTS_UNKNOWN);
    }
}

static void on_intent(struct gossip *g, const struct gossip__part *p,
                      const struct gossip__source *src)
{
    bool is_new = p->kind == GOSSIP__PART_LEAVE ? gossip__serf_leave_intent(g, &p->intent)
                                                : gossip__serf_join_intent(g, &p->intent);
    const struct gossip__member *m = gossip__member_find(g, p->intent.node);

    if (is_new || (m != NULL && p->intent.ltime <= m->status_ltime)) {
        gossip__heard_keep(g, m, p->bytes);
    }
    if (is_new) {
        (void)gossip__rumor_add(g, GOSSIP__QUEUE_INTENT, NULL, p->bytes, src->sender);
    }
}

static bool is_of_serf(enum gossip__part_kind kind)
{
    return kind == GOSSIP__PART_JOIN || kind == GOSSIP__PART_LEAVE || kind == GOSSIP__PART_EVENT ||
           kind == GOSSIP__PART_QUERY;
}

void gossip__on_part(struct gossip *g, const struct gossip__part *p,
                     const struct gossip__source *src)
{
    if (is_of_serf(p->kind)) {
        mu_sample_add(&g->samples[GOSSIP_SAMPLE_SERF_IN], (double)p->bytes.bytes);
    }
    switch (p->kind) {
    case GOSSIP__PART_UNKNOWN: gossip__count(g, GOSSIP_COUNT_PARTS_UNKNOWN); break;
    case GOSSIP__PART_PING: gossip__on_ping(g, &p->ping, src); break;
    case GOSSIP__PART_INDIRECT: gossip__on_indirect(g, &p->indirect, src); break;
    case GOSSIP__PART_ACK: gossip__on_ack(g, &p->ack, src); break;
    case GOSSIP__PART_NACK: gossip__on_nack(g, &p->nack, src); break;
    case GOSSIP__PART_SUSPECT: gossip__on_suspect(g, &p->suspect, p->bytes, src); break;
    case GOSSIP__PART_ALIVE: gossip__on_alive(g, &p->alive, p->bytes, src); break;
    case GOSSIP__PART_DEAD: gossip__on_dead(g, &p->dead, p->bytes, src); break;
    case GOSSIP__PART_ERROR: on_error(g, &p->error, src); break;
    case GOSSIP__PART_JOIN:
    case GOSSIP__PART_LEAVE: on_intent(g, p, src); break;
    case GOSSIP__PART_EVENT: gossip__on_user_event(g, &p->event, p->bytes, src); break;
    case GOSSIP__PART_QUERY: gossip__on_query(g, &p->query, p->bytes, src); break;
    case GOSSIP__PART_RESPONSE: gossip__on_response(g, &p->response); break;
    case GOSSIP__PART_RELAY: gossip__on_relay(g, &p->relay, src); break;
    }
}

/* NULL also for a stranger who has our name. */
static struct gossip__member *other_named(const struct gossip *g, const char *name)
{
    struct gossip__member *m = gossip__member_find(g, name);

    return m != g->self ? m : NULL;
}

/* One that we hold suspect or dead is talking to us (3, item 4): it does not know that, or has
 * refuted it where we did not hear it, and says so again. Of the dead also another life elsewhere:
 * a node that was given the name of one that is gone, by those who knew it sooner. Not the same
 * life: it would come back to an address at which it does not answer, and go, every few seconds. */
static void answer_stale(struct gossip *g, struct gossip__member *sender,
                         const struct gossip__packet *p, const struct mu_addr *from)
{
    bool is_at_home = sender != NULL && mu_addr_eq(from, &sender->card->addr);

    if (sender == NULL || sender->state == GOSSIP__ALIVE ||
        (!is_at_home &&
         (sender->state == GOSSIP__SUSPECT || p->boot_id == sender->card->boot_id))) {
        return;
    }
    gossip__accuse(g, sender, from);
}

/* The Packet message of a datagram, in clear; a sealed one is opened into the arena. */
static bool body_of(struct gossip *g, struct mu_span data, bool *is_sealed, struct mu_span *body,
                    enum gossip_counter *reason)
{
    struct gossip__head head;

    *reason = GOSSIP_COUNT_MALFORMED;
    if (data.bytes > MU_GOSSIP_RECEIVE_MAX || !gossip__header_read(g, data, 0, &head, reason)) {
        return false;
    }
    *is_sealed = head.flags == GOSSIP__FLAG_SEALED;
    if (*is_sealed) {
        return gossip__open_datagram(g, head.key_id, data, body, reason);
    }
    *body = mu_span_sub(data, GOSSIP__HEADER_BYTES, data.bytes);
    *reason = GOSSIP_COUNT_BAD_CHECKSUM;
    if (!gossip__header_ok(&head, data, *body)) {
        return false;
    }
    *reason = GOSSIP_COUNT_CLEAR;
    return gossip__seal_takes_clear(g);
}

/* Up to HASHES of the parts of a packet, in turn. */
static void take_parts(struct gossip *g, const struct gossip__packet *p,
                       const struct mu_span *parts, size_t count, struct gossip__source *src)
{
    uint64_t hashes[HASHES];

    for (size_t i = 0; i < count; i++) {
        hashes[i] = gossip__heard_hash(parts[i]);
        __builtin_prefetch(gossip__heard_place(g, hashes[i]));
    }
    for (size_t i = 0; i < count; i++) {
        struct gossip__part part;
        uint64_t changes = g->members.changes;

        if (gossip__heard(g, hashes[i])) {
            continue;
        }
        if (gossip__part_decode(parts[i], &g->in, &part)) {
            gossip__on_part(g, &part, src);
        } else {
            gossip__count(g, GOSSIP_COUNT_PARTS_MALFORMED);
        }
        if (g->members.changes != changes) { /* the part may have brought it in, or out */
            src->sender = other_named(g, p->from);
        }
    }
}

void gossip__on_packet(struct gossip *g, const struct mu_addr *from, struct mu_span data)
{
    struct mu_span body;
    enum gossip_counter reason;
    struct gossip__packet p;
    bool is_sealed;

    gossip__count(g, GOSSIP_COUNT_PACKETS_IN);
    g->counters[GOSSIP_COUNT_BYTES_IN] += data.bytes;
    mu_arena_reset(&g->in);
    if (!body_of(g, data, &is_sealed, &body, &reason)) {
        gossip__turn_away(g, reason, from);
        return;
    }
    if (!gossip__packet_decode(body, &g->in, &p)) {
        gossip__turn_away(g, GOSSIP_COUNT_MALFORMED, from);
        return;
    }
    if (p.boot_id == g->self->card->boot_id && strcmp(p.from, g->self->card->name) == 0) {
        return; /* our own voice */
    }
    struct gossip__source src = { .addr = *from, .sender = other_named(g, p.from) };

    if (src.sender != NULL && is_sealed && !gossip__replay_take(src.sender, &p)) {
        gossip__turn_away(g, GOSSIP_COUNT_REPLAYED, from);
        return;
    }
    if (src.sender != NULL && !is_sealed && gossip__seal_is_on(g)) {
        gossip__deal(src.sender)->clear_ms = g->now_ms;
    }
    if (src.sender != NULL &&
        (p.boot_id == src.sender->card->boot_id || mu_addr_eq(from, &src.sender->card->addr))) {
        gossip__link_heard(g, src.sender, from);
        gossip__health_heard(g);
    }
    for (size_t i = 0; i < p.parts_count; i += HASHES) {
        size_t left = p.parts_count - i;

        take_parts(g, &p, p.parts + i, left < HASHES ? left : HASHES, &src);
    }
    answer_stale(g, src.sender, &p, from);
}
