/* message.c - protobuf messages to plain structs and back; nothing else sees the generated code.
 *
 * What nearly all datagrams are made of, and the state of exchanges, is written by message_plain.c,
 * and read by message_read.c where it has the form in which that writes. One function per message
 * and direction. Decoding refuses what the rules of message.h do not allow. A part of a kind we do
 * not know is no error: a later version sent it (12.4).
 */
#include "message.h"

#include <string.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/wire.h"
#include "message_pb.h"
#include "proto/pb.h"

#define TEXT_MAX 255 /* bytes of a sentence from a peer */

typedef Mu__Gossip__Alive PbAlive;
typedef Mu__Gossip__Coordinate PbCoordinate;
typedef Mu__Gossip__Frame PbFrame;
typedef Mu__Gossip__Part PbPart;
typedef Mu__Gossip__PushPull PbPushPull;

/* -- vocabulary ---------------------------------------------------------------------------------
 */

bool gossip__text_ok(const char *text, size_t bytes_max)
{
    struct mu_span s = mu_span_text(text);
    bool is_ascii = true;

    if (s.bytes > bytes_max) {
        return false;
    }
    for (size_t i = 0; i < s.bytes; i++) {
        if (s.data[i] < ' ' || s.data[i] == 0x7f) {
            return false; /* names and sentences reach log lines */
        }
        is_ascii = is_ascii && s.data[i] < 0x80;
    }
    return is_ascii || mu_span_is_utf8(s);
}

enum mu_code gossip__text_check(const char *text, size_t bytes_max, const char *what,
                                struct mu_err *err)
{
    struct mu_span s = mu_span_text(text), shown = mu_span_sub(s, 0, 64);

    if (s.bytes > bytes_max) {
        return mu_fail(err, MU_INVALID, "%s '%.*s%s' has %zu bytes, at most %zu are taken", what,
                       MU_SPAN_FMT(shown), shown.bytes < s.bytes ? "..." : "", s.bytes, bytes_max);
    }
    if (!mu_span_is_utf8(s)) {
        return mu_fail(err, MU_INVALID, "%s '%s' is not UTF-8", what, text);
    }
    return gossip__text_ok(text, bytes_max)
               ? MU_OK
               : mu_fail(err, MU_INVALID, "%s '%s' has a control character", what, text);
}

bool gossip__name_ok(const char *name)
{
    return name[0] != '\0' && gossip__text_ok(name, MU_NODE_NAME_MAX);
}

Mu__Gossip__Endpoint *gossip__endpoint_out(const struct mu_addr *a, struct mu_arena *arena)
{
    if (a->ip_bytes == 0) {
        return NULL;
    }
    Mu__Gossip__Endpoint *m = mu_arena_new(arena, sizeof *m);

    mu__gossip__endpoint__init(m);
    m->ip = gossip__pb_bytes(a->ip, a->ip_bytes);
    m->port = a->port;
    return m;
}

/* IPv4 in IPv6 becomes IPv4, as everywhere. */
bool gossip__endpoint_of(struct mu_span ip, uint64_t port, struct mu_addr *out)
{
    struct mu_addr a = MU_ADDR_NONE;
    struct sockaddr_storage plain;

    *out = MU_ADDR_NONE;
    if ((ip.bytes != 4 && ip.bytes != 16) || port < 1 || port > UINT16_MAX) {
        return false;
    }
    memcpy(a.ip, ip.data, ip.bytes);
    a.ip_bytes = (uint8_t)ip.bytes;
    a.port = (uint16_t)port;
    if (ip.bytes == 4) {
        *out = a;
        return true;
    }
    mu_addr_to_sockaddr(&a, &plain);
    return mu_addr_from_sockaddr((const struct sockaddr *)&plain, out);
}

bool gossip__endpoint_in(const Mu__Gossip__Endpoint *m, struct mu_addr *out)
{
    *out = MU_ADDR_NONE;
    return m == NULL || gossip__endpoint_of(gossip__pb_span(m->ip), m->port, out);
}

/* -- alive, suspect, dead -----------------------------------------------------------------------
 */

static PbAlive *alive_out(const struct gossip__alive *a, struct mu_arena *arena)
{
    PbAlive *m = mu_arena_new(arena, sizeof *m);
    Mu__Gossip__Versions *v = mu_arena_new(arena, sizeof *v);

    mu__gossip__alive__init(m);
    mu__gossip__versions__init(v);
    m->incarnation = a->incarnation;
    m->node = gossip__pb_text(a->node);
    m->at = gossip__endpoint_out(&a->at, arena);
    m->meta = gossip__pb_bytes(a->meta.data, a->meta.bytes);
    v->pmin = a->versions[0];
    v->pmax = a->versions[1];
    v->pcur = a->versions[2];
    v->dmin = a->versions[3];
    v->dmax = a->versions[4];
    v->dcur = a->versions[5];
    m->vsn = v;
    m->boot_id = a->boot_id;
    if (!mu_id_is_none(&a->node_id)) {
        m->node_id = gossip__pb_bytes(a->node_id.b, sizeof a->node_id.b);
    }
    return m;
}

static bool alive_in(const PbAlive *m, struct gossip__alive *out)
{
    const Mu__Gossip__Versions *v = m->vsn;

    memset(out, 0, sizeof *out);
    if (!gossip__name_ok(m->node) || !gossip__incarnation_ok(m->incarnation) || m->at == NULL ||
        !gossip__endpoint_in(m->at, &out->at) || m->meta.len > MU_GOSSIP_META_MAX ||
        (m->node_id.len != 0 && m->node_id.len != sizeof out->node_id.b)) {
        return false;
    }
    if (v != NULL) { /* without it all are 0, which table 4.1 refuses */
        const uint32_t all[6] = { v->pmin, v->pmax, v->pcur, v->dmin, v->dmax, v->dcur };

        for (size_t i = 0; i < MU_LEN(all); i++) {
            if (all[i] > UINT8_MAX) {
                return false;
            }
            out->versions[i] = (uint8_t)all[i];
        }
    }
    out->node = m->node;
    out->incarnation = m->incarnation;
    out->meta = gossip__pb_span(m->meta);
    out->boot_id = m->boot_id;
    if (m->node_id.len > 0) {
        memcpy(out->node_id.b, m->node_id.data, sizeof out->node_id.b);
    }
    return true;
}

static bool suspect_in(const Mu__Gossip__Suspect *m, struct gossip__suspect *out)
{
    *out = (struct gossip__suspect){ .node = m->node,
                                     .from = m->from,
                                     .incarnation = m->incarnation,
                                     .evidence = (enum gossip__evidence)m->evidence };
    return gossip__name_ok(m->node) && gossip__name_ok(m->from) &&
           gossip__incarnation_ok(m->incarnation) && m->evidence <= GOSSIP__STALLED;
}

static bool dead_in(const Mu__Gossip__Dead *m, struct gossip__dead *out)
{
    *out = (struct gossip__dead){ .node = m->node, .from = m->from, .incarnation = m->incarnation };
    return gossip__name_ok(m->node) && gossip__name_ok(m->from) &&
           gossip__incarnation_ok(m->incarnation);
}

/* -- ping and its kin ---------------------------------------------------------------------------
 */

static bool ping_in(const Mu__Gossip__Ping *m, struct gossip__ping *out)
{
    *out =
        (struct gossip__ping){ .seq = m->seq, .target = m->target, .target_boot = m->target_boot };
    return gossip__name_ok(m->target) && gossip__endpoint_in(m->reply_to, &out->reply_to);
}

static bool indirect_in(const Mu__Gossip__IndirectPing *m, struct gossip__indirect *out)
{
    *out = (struct gossip__indirect){ .seq = m->seq,
                                      .target_name = m->target_name,
                                      .origin = m->origin,
                                      .want_nack = m->want_nack,
                                      .nack_after_ms = m->nack_after_ms };
    return m->target != NULL && gossip__endpoint_in(m->target, &out->target) &&
           gossip__endpoint_in(m->reply_to, &out->reply_to) && gossip__name_ok(m->target_name) &&
           gossip__name_ok(m->origin);
}

static bool error_in(const Mu__Gossip__ErrorMsg *m, struct gossip__error *out)
{
    *out = (struct gossip__error){ .code = m->code, .text = m->text, .has_held = m->held != NULL };
    return gossip__text_ok(m->text, TEXT_MAX) && (m->held == NULL || alive_in(m->held, &out->held));
}

static PbAlive *held_out(bool has_held, const struct gossip__alive *held, struct mu_arena *arena)
{
    return has_held ? alive_out(held, arena) : NULL;
}

/* -- parts --------------------------------------------------------------------------------------
 */

/* A coordinate that cannot be read does not make the ack less of one. */
static void ack_in(const Mu__Gossip__Ack *m, struct gossip__ack *out)
{
    const PbCoordinate *c = m->coord;

    *out = (struct gossip__ack){ .seq = m->seq, .relayed = m->relayed };
    if (c == NULL) {
        return;
    }
    out->where = GOSSIP__GIVEN_UNREADABLE;
    if (c->version == GOSSIP__COORDINATE_VERSION && c->n_vec == COORDINATE_DIMS) {
        out->where = GOSSIP__GIVEN;
        memcpy(out->coordinate.vec, c->vec, sizeof out->coordinate.vec);
        out->coordinate.error = c->error;
        out->coordinate.adjustment = c->adjustment;
        out->coordinate.height = c->height;
    }
}

bool gossip__part_decode(struct mu_span bytes, struct mu_arena *arena, struct gossip__part *out)
{
    return gossip__plain_decode(bytes, arena, out) || gossip__part_decode_any(bytes, arena, out);
}

bool gossip__part_decode_any(struct mu_span bytes, struct mu_arena *arena, struct gossip__part *out)
{
    const PbPart *m = mu_pb_unpack(&mu__gossip__part__descriptor, bytes, arena);

    *out = (struct gossip__part){ .kind = GOSSIP__PART_UNKNOWN, .bytes = bytes };
    if (m == NULL) {
        return false;
    }
    switch (m->m_case) {
    case MU__GOSSIP__PART__M_PING:
        out->kind = GOSSIP__PART_PING;
        return ping_in(m->ping, &out->ping);
    case MU__GOSSIP__PART__M_INDIRECT:
        out->kind = GOSSIP__PART_INDIRECT;
        return indirect_in(m->indirect, &out->indirect);
    case MU__GOSSIP__PART__M_ACK:
        out->kind = GOSSIP__PART_ACK;
        ack_in(m->ack, &out->ack);
        return true;
    case MU__GOSSIP__PART__M_NACK:
        out->kind = GOSSIP__PART_NACK;
        out->nack = (struct gossip__nack){ .seq = m->nack->seq,
                                           .evidence = (enum gossip__evidence)m->nack->evidence };
        return m->nack->evidence <= GOSSIP__STALLED;
    case MU__GOSSIP__PART__M_SUSPECT:
        out->kind = GOSSIP__PART_SUSPECT;
        return suspect_in(m->suspect, &out->suspect);
    case MU__GOSSIP__PART__M_ALIVE:
        out->kind = GOSSIP__PART_ALIVE;
        return alive_in(m->alive, &out->alive);
    case MU__GOSSIP__PART__M_DEAD:
        out->kind = GOSSIP__PART_DEAD;
        return dead_in(m->dead, &out->dead);
    case MU__GOSSIP__PART__M_ERROR:
        out->kind = GOSSIP__PART_ERROR;
        return error_in(m->error, &out->error);
    case MU__GOSSIP__PART__M_JOIN:
        out->kind = GOSSIP__PART_JOIN;
        out->intent = (struct gossip__intent){ .node = m->join->node, .ltime = m->join->ltime };
        return gossip__name_ok(m->join->node);
    case MU__GOSSIP__PART__M_LEAVE:
        out->kind = GOSSIP__PART_LEAVE;
        out->intent = (struct gossip__intent){ .node = m->leave->node,
                                               .ltime = m->leave->ltime,
                                               .prune = m->leave->prune };
        return gossip__name_ok(m->leave->node);
    case MU__GOSSIP__PART__M_EVENT:
        out->kind = GOSSIP__PART_EVENT;
        return gossip__event_in(m->event, &out->event);
    case MU__GOSSIP__PART__M_QUERY:
        out->kind = GOSSIP__PART_QUERY;
        return gossip__query_in(m->query, arena, &out->query);
    case MU__GOSSIP__PART__M_RESPONSE:
        out->kind = GOSSIP__PART_RESPONSE;
        return gossip__response_in(m->response, &out->response);
    case MU__GOSSIP__PART__M_RELAY:
        out->kind = GOSSIP__PART_RELAY;
        return gossip__relay_in(m->relay, &out->relay);
    /* A later version's; so is what has no case at all. */
    case MU__GOSSIP__PART__M_APP:
    case MU__GOSSIP__PART__M__NOT_SET:
    case _MU__GOSSIP__PART__M__CASE_IS_INT_SIZE: return true;
    }
    return true;
}

static void indirect_out(PbPart *m, const struct gossip__indirect *p, struct mu_arena *arena)
{
    m->m_case = MU__GOSSIP__PART__M_INDIRECT;
    m->indirect = mu_arena_new(arena, sizeof *m->indirect);
    mu__gossip__indirect_ping__init(m->indirect);
    m->indirect->seq = p->seq;
    m->indirect->target = gossip__endpoint_out(&p->target, arena);
    m->indirect->target_name = gossip__pb_text(p->target_name);
    m->indirect->want_nack = p->want_nack;
    m->indirect->reply_to = gossip__endpoint_out(&p->reply_to, arena);
    m->indirect->origin = gossip__pb_text(p->origin);
    m->indirect->nack_after_ms = p->nack_after_ms;
}

static void nack_out(PbPart *m, const struct gossip__nack *p, struct mu_arena *arena)
{
    m->m_case = MU__GOSSIP__PART__M_NACK;
    m->nack = mu_arena_new(arena, sizeof *m->nack);
    mu__gossip__nack__init(m->nack);
    m->nack->seq = p->seq;
    m->nack->evidence = (uint32_t)p->evidence;
}

static void error_out(PbPart *m, const struct gossip__error *p, struct mu_arena *arena)
{
    m->m_case = MU__GOSSIP__PART__M_ERROR;
    m->error = mu_arena_new(arena, sizeof *m->error);
    mu__gossip__error_msg__init(m->error);
    m->error->code = p->code;
    m->error->text = gossip__pb_text(p->text);
    m->error->held = held_out(p->has_held, &p->held, arena);
}

struct mu_span gossip__pb_pack(const ProtobufCMessage *m, struct mu_arena *arena)
{
    size_t bytes = protobuf_c_message_get_packed_size(m);
    uint8_t *to = mu_arena_new(arena, bytes > 0 ? bytes : 1);

    MU_ASSERT(protobuf_c_message_pack(m, to) == bytes);
    return mu_span_of(to, bytes);
}

struct mu_span gossip__part_encode(struct gossip__part *part, struct mu_arena *arena)
{
    PbPart m = MU__GOSSIP__PART__INIT;

    part->bytes = gossip__plain_encode(part, arena);
    if (part->bytes.bytes > 0) {
        return part->bytes;
    }
    switch (part->kind) {
    case GOSSIP__PART_INDIRECT: indirect_out(&m, &part->indirect, arena); break;
    case GOSSIP__PART_NACK: nack_out(&m, &part->nack, arena); break;
    case GOSSIP__PART_ERROR: error_out(&m, &part->error, arena); break;
    case GOSSIP__PART_EVENT: gossip__event_out(&m, &part->event, arena); break;
    case GOSSIP__PART_QUERY: gossip__query_out(&m, &part->query, arena); break;
    case GOSSIP__PART_RESPONSE: gossip__response_out(&m, &part->response, arena); break;
    case GOSSIP__PART_RELAY: gossip__relay_out(&m, &part->relay, arena); break;
    case GOSSIP__PART_UNKNOWN: /* nobody writes it; the others are plain */
    case GOSSIP__PART_PING:
    case GOSSIP__PART_ACK:
    case GOSSIP__PART_SUSPECT:
    case GOSSIP__PART_ALIVE:
    case GOSSIP__PART_DEAD:
    case GOSSIP__PART_JOIN:
    case GOSSIP__PART_LEAVE: MU_UNREACHABLE_CODE(); break;
    }
    part->bytes = gossip__pb_pack(&m.base, arena);
    return part->bytes;
}

/* -- packets ------------------------------------------------------------------------------------
 */

bool gossip__packet_decode(struct mu_span bytes, struct mu_arena *arena, struct gossip__packet *out)
{
    return gossip__plain_packet(bytes, arena, out) || gossip__packet_decode_any(bytes, arena, out);
}

bool gossip__packet_decode_any(struct mu_span bytes, struct mu_arena *arena,
                               struct gossip__packet *out)
{
    const Mu__Gossip__Packet *m = mu_pb_unpack(&mu__gossip__packet__descriptor, bytes, arena);

    if (m == NULL || !gossip__name_ok(m->from) || !gossip__incarnation_ok(m->incarnation)) {
        return false;
    }
    struct mu_span *parts = mu_arena_try(arena, (m->n_parts + 1) * sizeof *parts);

    if (parts == NULL) {
        return false;
    }
    for (size_t i = 0; i < m->n_parts; i++) {
        parts[i] = gossip__pb_span(m->parts[i]);
    }
    *out = (struct gossip__packet){ .from = m->from,
                                    .boot_id = m->boot_id,
                                    .counter = m->counter,
                                    .incarnation = m->incarnation,
                                    .parts = parts,
                                    .parts_count = m->n_parts };
    return true;
}

/* -- frames of streams: encode ------------------------------------------------------------------
 */

static void hello_out(PbFrame *f, const struct gossip__hello *p, struct mu_arena *arena)
{
    f->m_case = MU__GOSSIP__FRAME__M_HELLO;
    f->hello = mu_arena_new(arena, sizeof *f->hello);
    mu__gossip__stream_hello__init(f->hello);
    f->hello->kind = (uint32_t)p->kind;
    f->hello->from = gossip__pb_text(p->from);
    f->hello->boot_id = p->boot_id;
    f->hello->join = p->join;
    f->hello->keys = p->keys;
    f->hello->advertised = gossip__endpoint_out(&p->advertised, arena);
}

static void digest_out(PbFrame *f, struct gossip__digest *p, struct mu_arena *arena)
{
    f->m_case = MU__GOSSIP__FRAME__M_DIGEST;
    f->digest = mu_arena_new(arena, sizeof *f->digest);
    mu__gossip__digest__init(f->digest);
    f->digest->nodes = p->nodes;
    f->digest->events = p->events;
    f->digest->n_bucket = GOSSIP__BUCKETS;
    f->digest->bucket = p->buckets;
}

static void reject_out(PbFrame *f, const struct gossip__reject *p, struct mu_arena *arena)
{
    f->m_case = MU__GOSSIP__FRAME__M_REJECT;
    f->reject = mu_arena_new(arena, sizeof *f->reject);
    mu__gossip__reject__init(f->reject);
    f->reject->code = p->code;
    f->reject->text = gossip__pb_text(p->text);
    f->reject->retry_after_ms = p->retry_after_ms;
    f->reject->held = held_out(p->has_held, &p->held, arena);
}

struct mu_span gossip__frame_encode(struct gossip__frame *frame, struct mu_arena *arena)
{
    PbFrame m = MU__GOSSIP__FRAME__INIT;

    if (frame->kind == GOSSIP__FRAME_STATE) {
        return gossip__frame_pack(gossip__plain_state_encode(&frame->state, arena), arena);
    }
    switch (frame->kind) {
    case GOSSIP__FRAME_UNKNOWN: /* nobody writes it; the other one is plain */
    case GOSSIP__FRAME_STATE: MU_UNREACHABLE_CODE(); break;
    case GOSSIP__FRAME_HELLO: hello_out(&m, &frame->hello, arena); break;
    case GOSSIP__FRAME_PART:
        m.m_case = MU__GOSSIP__FRAME__M_PART;
        m.part = gossip__pb_bytes(frame->part.bytes.data, frame->part.bytes.bytes);
        break;
    case GOSSIP__FRAME_DIGEST: digest_out(&m, &frame->digest, arena); break;
    case GOSSIP__FRAME_REJECT: reject_out(&m, &frame->reject, arena); break;
    case GOSSIP__FRAME_REACH:
        m.m_case = MU__GOSSIP__FRAME__M_REACH;
        m.reach = mu_arena_new(arena, sizeof *m.reach);
        mu__gossip__reach__init(m.reach);
        m.reach->udp = frame->reach.udp;
        m.reach->tcp = frame->reach.tcp;
        break;
    case GOSSIP__FRAME_DONE:
        m.m_case = MU__GOSSIP__FRAME__M_DONE;
        m.done = mu_arena_new(arena, sizeof *m.done);
        mu__gossip__done__init(m.done);
        break;
    case GOSSIP__FRAME_KEYS: gossip__keys_out(&m, frame->keys, arena); break;
    }
    struct mu_span bytes = gossip__pb_pack(&m.base, arena);

    return frame->kind == GOSSIP__FRAME_KEYS ? bytes : gossip__frame_pack(bytes, arena);
}

/* -- frames of streams: decode ------------------------------------------------------------------
 */

static bool hello_in(const Mu__Gossip__StreamHello *m, struct gossip__hello *out)
{
    *out = (struct gossip__hello){ .kind = (enum gossip__hello_kind)m->kind,
                                   .from = m->from,
                                   .boot_id = m->boot_id,
                                   .join = m->join,
                                   .keys = m->keys };
    return m->kind >= GOSSIP__HELLO_PING && m->kind <= GOSSIP__HELLO_DELIVER &&
           gossip__name_ok(m->from) && gossip__endpoint_in(m->advertised, &out->advertised);
}

static bool state_in(const PbPushPull *m, struct mu_arena *arena, struct gossip__sync_state *out)
{
    memset(out, 0, sizeof *out);
    if (m->n_nodes > GOSSIP__FRAME_RECORDS_MAX) {
        return false;
    }
    out->more = m->more;
    out->nodes = mu_arena_try(arena, (m->n_nodes + 1) * sizeof *out->nodes);
    if (out->nodes == NULL) {
        return false;
    }
    for (size_t i = 0; i < m->n_nodes; i++) {
        const Mu__Gossip__NodeState *n = m->nodes[i];
        struct gossip__node_state *to = &out->nodes[out->nodes_count++];

        if (n->node == NULL || n->state > GOSSIP__GONE || n->evidence > GOSSIP__STALLED ||
            !alive_in(n->node, &to->node)) {
            return false;
        }
        to->state = (enum gossip__state)n->state;
        to->age_ms = n->age_ms;
        to->evidence = (enum gossip__evidence)n->evidence;
    }
    return m->serf == NULL || gossip__serf_in(m->serf, arena, out);
}

static bool reject_in(const Mu__Gossip__Reject *m, struct gossip__reject *out)
{
    *out = (struct gossip__reject){ .code = m->code,
                                    .text = m->text,
                                    .retry_after_ms = m->retry_after_ms,
                                    .has_held = m->held != NULL };
    return gossip__text_ok(m->text, TEXT_MAX) && (m->held == NULL || alive_in(m->held, &out->held));
}

static bool digest_in(const Mu__Gossip__Digest *m, struct gossip__digest *out)
{
    out->nodes = m->nodes;
    out->events = m->events;
    if (m->n_bucket != GOSSIP__BUCKETS) {
        return false;
    }
    memcpy(out->buckets, m->bucket, sizeof out->buckets);
    return true;
}

static bool frame_in(const PbFrame *m, struct mu_arena *arena, struct gossip__frame *out)
{
    switch (m->m_case) {
    case MU__GOSSIP__FRAME__M_HELLO:
        out->kind = GOSSIP__FRAME_HELLO;
        return hello_in(m->hello, &out->hello);
    case MU__GOSSIP__FRAME__M_PART:
        out->kind = GOSSIP__FRAME_PART;
        return gossip__part_decode(gossip__pb_span(m->part), arena, &out->part);
    case MU__GOSSIP__FRAME__M_STATE:
        out->kind = GOSSIP__FRAME_STATE;
        return state_in(m->state, arena, &out->state);
    case MU__GOSSIP__FRAME__M_DIGEST:
        out->kind = GOSSIP__FRAME_DIGEST;
        return digest_in(m->digest, &out->digest);
    case MU__GOSSIP__FRAME__M_REJECT:
        out->kind = GOSSIP__FRAME_REJECT;
        return reject_in(m->reject, &out->reject);
    case MU__GOSSIP__FRAME__M_REACH:
        out->kind = GOSSIP__FRAME_REACH;
        out->reach.udp = m->reach->udp;
        out->reach.tcp = m->reach->tcp;
        return true;
    case MU__GOSSIP__FRAME__M_DONE: out->kind = GOSSIP__FRAME_DONE; return true;
    case MU__GOSSIP__FRAME__M_KEYS:
        out->kind = GOSSIP__FRAME_KEYS;
        return gossip__keys_in(m->keys, arena, &out->keys);
    case MU__GOSSIP__FRAME__M_PACKED: return false;
    case MU__GOSSIP__FRAME__M__NOT_SET:
    case _MU__GOSSIP__FRAME__M__CASE_IS_INT_SIZE: return true;
    }
    return true;
}

bool gossip__frame_decode_any(struct mu_span bytes, struct mu_arena *arena,
                              struct gossip__frame *out)
{
    const PbFrame *m = mu_pb_unpack(&mu__gossip__frame__descriptor, bytes, arena);

    out->kind = GOSSIP__FRAME_UNKNOWN;
    return m != NULL && frame_in(m, arena, out);
}

static bool is_plain_state(struct mu_span bytes, struct mu_arena *arena, struct gossip__frame *out)
{
    out->kind = GOSSIP__FRAME_STATE;
    return gossip__plain_state_decode(bytes, arena, &out->state);
}

/* One that was packed holds none that is. */
bool gossip__frame_decode(struct mu_span bytes, struct mu_arena *arena, struct gossip__frame *out)
{
    if (is_plain_state(bytes, arena, out)) {
        return true;
    }
    const PbFrame *m = mu_pb_unpack(&mu__gossip__frame__descriptor, bytes, arena);

    out->kind = GOSSIP__FRAME_UNKNOWN;
    if (m == NULL || m->m_case != MU__GOSSIP__FRAME__M_PACKED) {
        return m != NULL && frame_in(m, arena, out);
    }
    return gossip__packed_in(m->packed, arena, &bytes) &&
           (is_plain_state(bytes, arena, out) || gossip__frame_decode_any(bytes, arena, out));
}
