/* strange.c - frames that no muster sends, with checksums that are right: of newer versions, of
 * other programs, of a peer whose memory is broken.
 *
 * Each is made of one that was really sent, with one thing in it that the decoder must refuse.
 * Those that would decode are consensus/forge.c's, without bytes.
 */
#include <string.h>

#include <pb/consensus.pb-c.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/crc.h"
#include "base/limits.h"
#include "base/wire.h"
#include "proto/pb.h"
#include "record.h"
#include "strange.h"
#include "transport_wire.h"

enum { HEAD = 8, CONFIG_ROOM = 2 * CONSENSUS_CONFIG_BYTES_MAX };

typedef Muster__Consensus__Raft raft;

/* A frame taken apart. */
struct parts {
    uint8_t kind, flags;
    uint16_t reserved;
    raft *raft;
    struct mu_buf tail;
    uint8_t config[CONFIG_ROOM];
};

static bool has_tail(uint8_t kind)
{
    return kind == CONSENSUS_APPEND_REQ || kind == CONSENSUS_SNAP_CHUNK;
}

/* -- configurations that are none ---------------------------------------------------------------
 */

static const struct consensus_config pair = {
    .level = CONSENSUS_LEVEL_FIRST,
    .servers_count = 2,
    .removed_count = 1,
    .servers = { { .id = { { 1 } },
                   .disk = { { 1 } },
                   .is_voter = true,
                   .address = "10.0.0.1:8300" },
                 { .id = { { 2 } }, .disk = { { 2 } }, .is_learner = true } },
    .removed = { { { 9 } } },
};

/* What consensus_config_check() is for. */
static size_t config_false(struct mu_rand *r, uint8_t *to)
{
    struct consensus_config c = pair;

    switch (mu_rand_below(r, 10)) {
    case 0: c.servers[0].id = MU_ID_NONE; break;
    case 1: c.servers[0].disk = MU_ID_NONE; break;
    case 2: c.servers[0].id.b[0] = 2; break;
    case 3: c.servers[1].is_learner = false; break;
    case 4: c.servers[0].is_learner = true; break;
    case 5: c.removed[0] = c.servers[1].disk; break;
    case 6: c.servers_count = 0; break;
    case 7: c.is_joint = true; break;
    case 8: c.servers[1].is_voter_old = true; break;
    default:
        for (; c.servers_count <= CONSENSUS_VOTERS_MAX + 1; c.servers_count++) {
            struct consensus_server *s = &c.servers[c.servers_count];

            s->id.b[0] = s->disk.b[0] = (uint8_t)(10 + c.servers_count);
            s->is_voter = true;
        }
        break;
    }
    return consensus_config_encode(&c, to);
}

/* What consensus_config_decode() itself refuses: places in the layout of consensus/config.c. */
static size_t config_torn(struct mu_rand *r, uint8_t *to)
{
    enum {
        SERVER = 4,
        ROLES = SERVER + 41,
        ADDRESS = SERVER + 42,
        RESERVED = SERVER + 43,
        REMOVED = 18
    };
    size_t bytes = consensus_config_encode(&pair, to);

    switch (mu_rand_below(r, 10)) {
    case 0: to[0] = 2; break;
    case 1: to[1] |= 8; break;
    case 2: to[2] = CONSENSUS_PEERS_MAX + 1; break;
    case 3: to[ROLES] |= 8; break;
    case 4: to[RESERVED] = 1; break;
    case 5: to[ADDRESS + 3] = 0; break;
    case 6: to[ADDRESS] = CONSENSUS_ADDRESS_MAX; break;
    case 7: to[bytes - REMOVED] = mu_rand_below(r, 2) == 0 ? 0 : CONSENSUS_REMOVED_MAX + 1; break;
    case 8: return bytes + 1;
    default: return 1 + mu_rand_below(r, bytes - 1);
    }
    return bytes;
}

static size_t config_wrong(struct mu_rand *r, uint8_t to[CONFIG_ROOM])
{
    memset(to, 0, CONFIG_ROOM);
    return mu_rand_below(r, 2) == 0 ? config_false(r, to) : config_torn(r, to);
}

/* -- what is wrong with all kinds -----------------------------------------------------------------
 */

static void head_strange(struct parts *p, struct mu_rand *r)
{
    static uint8_t zeros[16];
    ProtobufCBinaryData *ids[] = { &p->raft->cluster, &p->raft->from, &p->raft->from_disk,
                                   &p->raft->to };
    ProtobufCBinaryData *id = ids[mu_rand_below(r, MU_LEN(ids))];

    switch (mu_rand_below(r, 6)) {
    case 0: p->kind = 200; break;
    case 1: p->flags = 1; break;
    case 2: p->reserved = 1; break;
    case 3: id->len = 5; break;
    case 4: *id = (ProtobufCBinaryData){ sizeof zeros, zeros }; break;
    default: *id = (ProtobufCBinaryData){ 0, NULL }; break;
    }
}

/* The body of another kind; none of them is a body of this one. */
static void body_strange(struct parts *p)
{
    raft *m = p->raft;

    m->ask = NULL;
    m->answer = NULL;
    m->append = NULL;
    m->ack = NULL;
    m->heartbeat = NULL;
    m->alive = NULL;
    m->timeout_now = NULL;
    m->removed = NULL;
    m->invite = NULL;
    m->snapshot = NULL;
    m->snapshot_res = NULL;
    if (p->kind == CONSENSUS_MEMBER_REQ) { /* which has none */
        p->kind = CONSENSUS_MEMBER_RES;
    }
}

/* -- entries
 * ---------------------------------------------------------------------------------------- */

static void record_strange(struct parts *p, struct mu_rand *r, uint8_t kind, struct mu_span payload)
{
    struct consensus_record record = {
        .index = p->raft->append->prev_index + 1,
        .term = p->raft->term,
        .kind = kind,
        .payload = payload,
    };

    p->tail.bytes = 0;
    (void)consensus__record_add(&p->tail, &record, 0);
    if (mu_rand_below(r, 8) != 0) { /* else its chain value is somebody's own */
        memset(p->tail.data + 4, 0, 4);
    }
    p->raft->append->entries_count = 1;
}

static void append_strange(struct parts *p, struct mu_rand *r)
{
    Muster__Consensus__Append *a = p->raft->append;

    switch (mu_rand_below(r, 11)) {
    case 0: a->entries_count = CONSENSUS_ENTRIES_MAX + 1; break;
    case 1: a->entries_count++; break;
    case 2: a->prev_index = UINT64_MAX; break;
    case 3: mu_buf_add(&p->tail, (const uint8_t[8]){ 0 }, 8); break;
    case 4: record_strange(p, r, CONSENSUS_NOOP, MU_SPAN_LIT("what")); break;
    case 5: record_strange(p, r, 9, MU_SPAN_NONE); break;
    case 6:
        record_strange(p, r, CONSENSUS_COMMAND, MU_SPAN_LIT("bits"));
        p->tail.data[p->tail.bytes - 1 - mu_rand_below(r, p->tail.bytes)] ^= 64;
        break;
    case 7:
        record_strange(p, r, CONSENSUS_COMMAND, MU_SPAN_LIT("late"));
        a->prev_index++;
        break;
    case 8:
        record_strange(p, r, CONSENSUS_COMMAND, MU_SPAN_LIT("newer"));
        a->prev_term = p->raft->term + 1;
        break;
    case 9:
        record_strange(p, r, CONSENSUS_COMMAND, MU_SPAN_LIT("older"));
        p->raft->term--;
        break;
    default:
        record_strange(p, r, CONSENSUS_CONFIG, mu_span_of(p->config, config_wrong(r, p->config)));
        break;
    }
}

/* -- the other kinds ------------------------------------------------------------------------------
 */

static void snapshot_strange(struct parts *p, struct mu_rand *r)
{
    static const uint8_t zeros[CONSENSUS_CHUNK_BYTES];
    Muster__Consensus__Snapshot *s = p->raft->snapshot;
    bool is_offer = p->kind == CONSENSUS_SNAP_OFFER;

    switch (mu_rand_below(r, 4)) {
    case 0: s->hash.len = 3; break;
    case 1: s->config = (ProtobufCBinaryData){ is_offer ? 0 : 4, p->config }; break;
    default:
        if (is_offer) {
            s->config = (ProtobufCBinaryData){ config_wrong(r, p->config), p->config };
        } else if (mu_rand_below(r, 2) == 0) {
            p->tail.bytes = 0;
        } else {
            mu_buf_add(&p->tail, zeros, sizeof zeros);
        }
        break;
    }
}

static void kind_strange(struct parts *p, struct mu_rand *r)
{
    raft *m = p->raft;

    if (m->append != NULL) {
        append_strange(p, r);
    } else if (m->snapshot != NULL) {
        snapshot_strange(p, r);
    } else if (m->snapshot_res != NULL && mu_rand_below(r, 2) == 0) {
        m->snapshot_res->answer = 9;
    } else if (m->snapshot_res != NULL) {
        m->snapshot_res->fault = 9;
    } else if (m->removed != NULL) {
        m->removed->disk.len = 3;
    } else if (m->invite != NULL) {
        m->invite->disk.len = 3;
    } else {
        body_strange(p);
    }
}

/* -- frames
 * ------------------------------------------------------------------------------------------- */

static void u32_put(uint8_t *to, uint32_t value)
{
    struct mu_wr w = mu_wr_of(to, 4);

    mu_wr_u32le(&w, value);
}

static void frame_seal(struct mu_buf *frame)
{
    uint32_t crc = mu_crc32c(mu_crc32c(0, frame->data, 4), frame->data + HEAD, frame->bytes - HEAD);

    u32_put(frame->data + 4, crc);
}

static void frame_put(const struct parts *p, struct mu_buf *to)
{
    mu_buf_add(to, (const uint8_t[HEAD]){ p->kind, p->flags, (uint8_t)p->reserved }, HEAD);
    if (!has_tail(p->kind)) {
        (void)mu_pb_pack(&p->raft->base, to);
    } else {
        mu_buf_add(to, (const uint8_t[4]){ 0 }, 4);
        uint32_t bytes = (uint32_t)mu_pb_pack(&p->raft->base, to);

        u32_put(to->data + HEAD, bytes);
        mu_buf_add_span(to, mu_buf_span(&p->tail));
    }
    frame_seal(to);
}

/* Cut down to less than its ids. */
static void frame_cut(struct mu_span frame, struct mu_rand *r, struct mu_buf *to)
{
    mu_buf_add_span(to, mu_span_sub(frame, 0, HEAD + mu_rand_below(r, 12)));
    frame_seal(to);
}

/* Of the first cluster: kinds from 64 on. */
static void bootstrap_strange(struct mu_span frame, struct mu_rand *r, struct mu_arena *arena,
                              struct mu_buf *to)
{
    Muster__Consensus__Bootstrap *m =
        mu_pb_unpack(&muster__consensus__bootstrap__descriptor,
                     mu_span_sub(frame, HEAD, frame.bytes - HEAD), arena);
    ProtobufCBinaryData *ids[] = { &m->from, &m->from_disk, &m->to, &m->cluster, &m->coordinator };
    uint8_t kind = frame.data[0];

    if (m->n_members > 1 && mu_rand_below(r, 2) == 0) {
        if (mu_rand_below(r, 2) == 0) {
            m->members[1] = m->members[0];
        } else if (mu_rand_below(r, 2) == 0) {
            m->members[0]->disk.len = 3;
        } else {
            m->members[0]->server.len = 0;
        }
    } else if (mu_rand_below(r, 8) == 0) {
        kind = 64 + 9;
    } else {
        *ids[mu_rand_below(r, MU_LEN(ids))] = (ProtobufCBinaryData){ 3, m->from.data };
    }
    mu_buf_add(to, (const uint8_t[HEAD]){ kind }, HEAD);
    (void)mu_pb_pack(&m->base, to);
    frame_seal(to);
}

void strange_frame(struct mu_span frame, struct mu_rand *r, struct mu_buf *to)
{
    struct parts p = { .kind = frame.data[0], .tail = MU_BUF_NONE };
    struct mu_span body = mu_span_sub(frame, HEAD, frame.bytes - HEAD);
    struct mu_rd rd = mu_rd_of(body);
    struct mu_arena arena;
    uint64_t luck = mu_rand_below(r, 8);

    mu_arena_init(&arena, CONSENSUS_WIRE_ARENA_MAX);
    if (luck == 0) {
        frame_cut(frame, r, to);
    } else if (p.kind >= 64) {
        bootstrap_strange(frame, r, &arena, to);
    } else {
        if (has_tail(p.kind)) {
            body = mu_rd_take(&rd, mu_rd_u32le(&rd));
            mu_buf_add_span(&p.tail, mu_rd_take(&rd, rd.left));
        }
        p.raft = mu_pb_unpack(&muster__consensus__raft__descriptor, body, &arena);
        MU_ASSERT(p.raft != NULL);
        if (luck == 1) {
            head_strange(&p, r);
        } else if (luck == 2) {
            body_strange(&p);
        } else {
            kind_strange(&p, r);
        }
        frame_put(&p, to);
    }
    mu_buf_deinit(&p.tail);
    mu_arena_deinit(&arena);
}

/* -- what was thought of later --------------------------------------------------------------------
 */

/* Larger than any message; checked before all else. */
static void frame_huge(struct mu_buf *to)
{
    uint8_t *bytes = mu_buf_reserve(to, MU_RPC_MESSAGE_MAX + 1U);

    memset(bytes, 0, MU_RPC_MESSAGE_MAX + 1U);
    to->bytes += MU_RPC_MESSAGE_MAX + 1U;
}

/* Larger than a part that is protobuf's may be. */
static void frame_long(struct mu_span frame, struct mu_buf *to)
{
    static const uint8_t zeros[2 * CONSENSUS_CONFIG_BYTES_MAX];

    mu_buf_add(to, (const uint8_t[HEAD]){ has_tail(frame.data[0]) ? 64 + 1 : frame.data[0] }, HEAD);
    mu_buf_add(to, zeros, sizeof zeros);
    frame_seal(to);
}

/* Of a kind between those of Raft and those of the first cluster. */
static void frame_between(struct mu_span frame, struct mu_buf *to)
{
    mu_buf_add(to, (const uint8_t[HEAD]){ 40 }, HEAD);
    mu_buf_add_span(to, mu_span_sub(frame, HEAD, frame.bytes - HEAD));
    frame_seal(to);
}

/* More members than a cluster has voters. */
static void members_many(struct mu_span frame, struct mu_arena *arena, struct mu_buf *to)
{
    Muster__Consensus__Bootstrap *m =
        mu_pb_unpack(&muster__consensus__bootstrap__descriptor,
                     mu_span_sub(frame, HEAD, frame.bytes - HEAD), arena);
    Muster__Consensus__Member *list[CONSENSUS_VOTERS_MAX + 1];

    for (size_t i = 0; i < MU_LEN(list) && m->n_members > 0; i++) {
        list[i] = m->members[0];
    }
    m->n_members = m->n_members > 0 ? MU_LEN(list) : 0;
    m->members = list;
    m->from.len = m->n_members > 0 ? m->from.len : 3;
    mu_buf_add(to, frame.data, HEAD);
    (void)mu_pb_pack(&m->base, to);
    frame_seal(to);
}

void strange_frame_more(struct mu_span frame, struct mu_rand *r, struct mu_buf *to)
{
    struct mu_arena arena;

    mu_arena_init(&arena, CONSENSUS_WIRE_ARENA_MAX);
    switch (mu_rand_below(r, 10)) {
    case 0: mu_buf_add_span(to, mu_span_sub(frame, 0, mu_rand_below(r, HEAD))); break;
    case 1: frame_long(frame, to); break;
    case 2: frame_between(frame, to); break;
    case 3:
        if (frame.data[0] >= 64) {
            members_many(frame, &arena, to);
        } else if (mu_rand_below(r, 16) == 0) {
            frame_huge(to);
        } else {
            strange_frame(frame, r, to);
        }
        break;
    default: strange_frame(frame, r, to); break;
    }
    mu_arena_deinit(&arena);
}
