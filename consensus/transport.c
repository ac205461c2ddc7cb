/* transport.c - peer messages to bytes and back, and which connection they take.
 *
 * One row of `bodies` says for each kind which body of the protobuf message it has and how that is
 * copied in and out. What comes in is checked here as far as it can be without knowing the log: a
 * request whose entries do not follow one another, or that are of a later term than its sender's,
 * never reaches the core.
 */
#include "transport_wire.h"

#include <string.h>

#include <pb/consensus.pb-c.h>

#include "base/assert.h"
#include "base/crc.h"
#include "base/limits.h"
#include "base/wire.h"
#include "proto/pb.h"

#define FRAME_HEAD      8U
#define BOOTSTRAP_KINDS 64U /* added to the kinds of bootstrap.h */
/* Of the protobuf part: ids, numbers, one body; an offer brings a configuration. */
#define RAFT_BYTES_MAX (1024U + CONSENSUS_CONFIG_BYTES_MAX)

typedef Muster__Consensus__Raft pb_raft;
typedef Muster__Consensus__Bootstrap pb_bootstrap;
typedef Muster__Consensus__Member pb_member;

/* -- ids ----------------------------------------------------------------------------------- */

static ProtobufCBinaryData id_out(const struct mu_id *id)
{
    /* protobuf-c reads only, but its type says nothing of const */
    return (ProtobufCBinaryData){ sizeof id->b, (uint8_t *)(uintptr_t)id->b };
}

static ProtobufCBinaryData id_out_unless_none(const struct mu_id *id)
{
    return mu_id_is_none(id) ? (ProtobufCBinaryData){ 0, NULL } : id_out(id);
}

static bool id_in(const ProtobufCBinaryData *from, struct mu_id *id)
{
    if (from->len != sizeof id->b) {
        return false;
    }
    memcpy(id->b, from->data, sizeof id->b);
    return !mu_id_is_none(id);
}

static bool id_in_or_none(const ProtobufCBinaryData *from, struct mu_id *id)
{
    *id = MU_ID_NONE;
    return from->len == 0 || id_in(from, id);
}

/* -- bodies: out --------------------------------------------------------------------------- */

/* Room for whichever body a message has, while it is packed. */
union body {
    Muster__Consensus__Ask ask;
    Muster__Consensus__Answer answer;
    Muster__Consensus__Append append;
    Muster__Consensus__Ack ack;
    struct {
        Muster__Consensus__Heartbeat heartbeat;
        Muster__Consensus__Sum asked;
    };
    struct {
        Muster__Consensus__Alive alive;
        Muster__Consensus__Sum said;
    };
    struct {
        Muster__Consensus__Snapshot message;
        uint8_t config[CONSENSUS_CONFIG_BYTES_MAX];
    } snapshot;
    Muster__Consensus__SnapshotRes snapshot_res;
    Muster__Consensus__TimeoutNow timeout_now;
    Muster__Consensus__Removed removed;
    Muster__Consensus__Invite invite;
};

static void ask_out(const struct consensus_msg *m, union body *b, pb_raft *to)
{
    muster__consensus__ask__init(&b->ask);
    b->ask.next_term = m->ask.next_term;
    b->ask.last_term = m->ask.last_term;
    b->ask.last_index = m->ask.last_index;
    b->ask.round = m->ask.round;
    b->ask.transfer_term = m->ask.transfer_term;
    to->ask = &b->ask;
}

static void answer_out(const struct consensus_msg *m, union body *b, pb_raft *to)
{
    muster__consensus__answer__init(&b->answer);
    b->answer.asked_term = m->answer.asked_term;
    b->answer.round = m->answer.round;
    b->answer.is_granted = m->answer.is_granted;
    to->answer = &b->answer;
}

static void append_out(const struct consensus_msg *m, union body *b, pb_raft *to)
{
    muster__consensus__append__init(&b->append);
    b->append.session = m->append.session;
    b->append.prev_index = m->append.prev_index;
    b->append.prev_term = m->append.prev_term;
    b->append.commit = m->append.commit;
    b->append.is_push = m->append.is_push;
    b->append.entries_count = m->append.entries_count;
    to->append = &b->append;
}

static void ack_out(const struct consensus_msg *m, union body *b, pb_raft *to)
{
    muster__consensus__ack__init(&b->ack);
    b->ack.session = m->ack.session;
    b->ack.prev_index = m->ack.prev_index;
    b->ack.match = m->ack.match;
    b->ack.hint_index = m->ack.hint_index;
    b->ack.hint_term = m->ack.hint_term;
    b->ack.last_index = m->ack.last_index;
    b->ack.applied = m->ack.applied;
    b->ack.is_accepted = m->ack.is_accepted;
    b->ack.is_store_slow = m->ack.is_store_slow;
    b->ack.is_holed = m->ack.is_holed;
    to->ack = &b->ack;
}

static Muster__Consensus__Sum *sum_out(const struct consensus_sum *sum, Muster__Consensus__Sum *to)
{
    struct mu_rd r = mu_rd_of(mu_span_of(sum->hash, sizeof sum->hash));

    muster__consensus__sum__init(to);
    to->index = sum->index;
    to->low = mu_rd_u64le(&r);
    to->high = mu_rd_u64le(&r);
    return sum->index != 0 ? to : NULL;
}

static void sum_in(const Muster__Consensus__Sum *from, struct consensus_sum *sum)
{
    struct mu_wr w = mu_wr_of(sum->hash, sizeof sum->hash);

    if (from == NULL || from->index == 0) {
        return;
    }
    sum->index = from->index;
    mu_wr_u64le(&w, from->low);
    mu_wr_u64le(&w, from->high);
}

static void heartbeat_out(const struct consensus_msg *m, union body *b, pb_raft *to)
{
    muster__consensus__heartbeat__init(&b->heartbeat);
    b->heartbeat.session = m->heartbeat.session;
    b->heartbeat.read_seq = m->heartbeat.read_seq;
    b->heartbeat.commit = m->heartbeat.commit;
    b->heartbeat.sum = sum_out(&m->heartbeat.sum, &b->asked);
    b->heartbeat.promise_ms = m->heartbeat.promise_ms;
    b->heartbeat.is_odd = m->heartbeat.is_odd;
    to->heartbeat = &b->heartbeat;
}

static void alive_out(const struct consensus_msg *m, union body *b, pb_raft *to)
{
    muster__consensus__alive__init(&b->alive);
    b->alive.session = m->alive.session;
    b->alive.read_seq = m->alive.read_seq;
    b->alive.last_index = m->alive.last_index;
    b->alive.applied = m->alive.applied;
    b->alive.is_store_slow = m->alive.is_store_slow;
    b->alive.is_holed = m->alive.is_holed;
    b->alive.lacks_state = m->alive.lacks_state;
    b->alive.is_promised = m->alive.is_promised;
    b->alive.sum = sum_out(&m->alive.sum, &b->said);
    to->alive = &b->alive;
}

static void snapshot_out(const struct consensus_msg *m, union body *b, pb_raft *to)
{
    Muster__Consensus__Snapshot *s = &b->snapshot.message;

    muster__consensus__snapshot__init(s);
    s->session = m->snapshot.session;
    s->index = m->snapshot.snap.index;
    s->term = m->snapshot.snap.term;
    s->bytes = m->snapshot.snap.bytes;
    s->hash =
        (ProtobufCBinaryData){ CONSENSUS_HASH_BYTES, (uint8_t *)(uintptr_t)m->snapshot.snap.hash };
    s->offset = m->snapshot.offset;
    if (m->snapshot.config != NULL) {
        s->config.len = consensus_config_encode(m->snapshot.config, b->snapshot.config);
        s->config.data = b->snapshot.config;
        s->config_index = m->snapshot.config->index;
    }
    to->snapshot = s;
}

static void snapshot_res_out(const struct consensus_msg *m, union body *b, pb_raft *to)
{
    muster__consensus__snapshot_res__init(&b->snapshot_res);
    b->snapshot_res.session = m->snapshot_res.session;
    b->snapshot_res.answer = m->snapshot_res.answer;
    b->snapshot_res.offset = m->snapshot_res.offset;
    b->snapshot_res.match = m->snapshot_res.match;
    b->snapshot_res.fault = m->snapshot_res.fault;
    to->snapshot_res = &b->snapshot_res;
}

static void timeout_now_out(const struct consensus_msg *m, union body *b, pb_raft *to)
{
    muster__consensus__timeout_now__init(&b->timeout_now);
    b->timeout_now.last_index = m->timeout_now.last_index;
    b->timeout_now.valid_ms = m->timeout_now.valid_ms;
    to->timeout_now = &b->timeout_now;
}

static void nothing_out(const struct consensus_msg *m, union body *b, pb_raft *to)
{
    (void)m;
    (void)b;
    (void)to;
}

static void removed_out(const struct consensus_msg *m, union body *b, pb_raft *to)
{
    muster__consensus__removed__init(&b->removed);
    b->removed.config_index = m->removed.config_index;
    b->removed.disk = id_out(&m->removed.disk);
    to->removed = &b->removed;
}

static void invite_out(const struct consensus_msg *m, union body *b, pb_raft *to)
{
    muster__consensus__invite__init(&b->invite);
    b->invite.disk = id_out(&m->invite.disk);
    to->invite = &b->invite;
}

/* -- bodies: in ---------------------------------------------------------------------------- */

static bool ask_in(const pb_raft *from, struct consensus_msg *m)
{
    if (from->ask == NULL) {
        return false;
    }
    m->ask.next_term = from->ask->next_term;
    m->ask.last_term = from->ask->last_term;
    m->ask.last_index = from->ask->last_index;
    m->ask.round = from->ask->round;
    m->ask.transfer_term = from->ask->transfer_term;
    return true;
}

static bool answer_in(const pb_raft *from, struct consensus_msg *m)
{
    if (from->answer == NULL) {
        return false;
    }
    m->answer.asked_term = from->answer->asked_term;
    m->answer.round = from->answer->round;
    m->answer.is_granted = from->answer->is_granted != 0;
    return true;
}

static bool append_in(const pb_raft *from, struct consensus_msg *m)
{
    if (from->append == NULL || from->append->entries_count > CONSENSUS_ENTRIES_MAX) {
        return false;
    }
    m->append.session = from->append->session;
    m->append.prev_index = from->append->prev_index;
    m->append.prev_term = from->append->prev_term;
    m->append.commit = from->append->commit;
    m->append.is_push = from->append->is_push != 0;
    m->append.entries_count = from->append->entries_count;
    m->append.entries = NULL;
    return m->append.prev_index < UINT64_MAX - CONSENSUS_ENTRIES_MAX;
}

static bool ack_in(const pb_raft *from, struct consensus_msg *m)
{
    if (from->ack == NULL) {
        return false;
    }
    m->ack.session = from->ack->session;
    m->ack.prev_index = from->ack->prev_index;
    m->ack.match = from->ack->match;
    m->ack.hint_index = from->ack->hint_index;
    m->ack.hint_term = from->ack->hint_term;
    m->ack.last_index = from->ack->last_index;
    m->ack.applied = from->ack->applied;
    m->ack.is_accepted = from->ack->is_accepted != 0;
    m->ack.is_store_slow = from->ack->is_store_slow != 0;
    m->ack.is_holed = from->ack->is_holed != 0;
    return true;
}

static bool heartbeat_in(const pb_raft *from, struct consensus_msg *m)
{
    if (from->heartbeat == NULL) {
        return false;
    }
    m->heartbeat.session = from->heartbeat->session;
    m->heartbeat.read_seq = from->heartbeat->read_seq;
    m->heartbeat.commit = from->heartbeat->commit;
    sum_in(from->heartbeat->sum, &m->heartbeat.sum);
    m->heartbeat.promise_ms = from->heartbeat->promise_ms;
    m->heartbeat.is_odd = from->heartbeat->is_odd != 0;
    return true;
}

static bool alive_in(const pb_raft *from, struct consensus_msg *m)
{
    if (from->alive == NULL) {
        return false;
    }
    m->alive.session = from->alive->session;
    m->alive.read_seq = from->alive->read_seq;
    m->alive.last_index = from->alive->last_index;
    m->alive.applied = from->alive->applied;
    m->alive.is_store_slow = from->alive->is_store_slow != 0;
    m->alive.is_holed = from->alive->is_holed != 0;
    m->alive.lacks_state = from->alive->lacks_state != 0;
    m->alive.is_promised = from->alive->is_promised != 0;
    sum_in(from->alive->sum, &m->alive.sum);
    return true;
}

/* The configuration of an offer is decoded by decode_raft(), which has room for it. */
static bool snapshot_in(const pb_raft *from, struct consensus_msg *m)
{
    const Muster__Consensus__Snapshot *s = from->snapshot;

    if (s == NULL || s->hash.len != CONSENSUS_HASH_BYTES) {
        return false;
    }
    m->snapshot.session = s->session;
    m->snapshot.snap.index = s->index;
    m->snapshot.snap.term = s->term;
    m->snapshot.snap.bytes = s->bytes;
    memcpy(m->snapshot.snap.hash, s->hash.data, CONSENSUS_HASH_BYTES);
    m->snapshot.config = NULL;
    m->snapshot.offset = s->offset;
    m->snapshot.bytes = 0;
    m->snapshot.data = MU_SPAN_NONE;
    return (s->config.len > 0) == (m->kind == CONSENSUS_SNAP_OFFER);
}

static bool snapshot_res_in(const pb_raft *from, struct consensus_msg *m)
{
    const Muster__Consensus__SnapshotRes *s = from->snapshot_res;

    if (s == NULL || s->answer > CONSENSUS_SNAP_STALE || s->fault > CONSENSUS_SNAP_IO) {
        return false;
    }
    m->snapshot_res.session = s->session;
    m->snapshot_res.answer = (enum consensus_snap_answer)s->answer;
    m->snapshot_res.offset = s->offset;
    m->snapshot_res.match = s->match;
    m->snapshot_res.fault = (enum consensus_snap_fault)s->fault;
    return true;
}

static bool timeout_now_in(const pb_raft *from, struct consensus_msg *m)
{
    if (from->timeout_now == NULL) {
        return false;
    }
    m->timeout_now.last_index = from->timeout_now->last_index;
    m->timeout_now.valid_ms = from->timeout_now->valid_ms;
    return true;
}

static bool nothing_in(const pb_raft *from, struct consensus_msg *m)
{
    (void)from;
    (void)m;
    return true;
}

static bool removed_in(const pb_raft *from, struct consensus_msg *m)
{
    if (from->removed == NULL) {
        return false;
    }
    m->removed.config_index = from->removed->config_index;
    return id_in(&from->removed->disk, &m->removed.disk);
}

static bool invite_in(const pb_raft *from, struct consensus_msg *m)
{
    return from->invite != NULL && id_in(&from->invite->disk, &m->invite.disk);
}

static const struct {
    void (*out)(const struct consensus_msg *m, union body *b, pb_raft *to);
    bool (*in)(const pb_raft *from, struct consensus_msg *m);
} bodies[CONSENSUS_MSG_KINDS + 1] = {
    // clang-format off
    [CONSENSUS_PREVOTE_REQ]   = { ask_out, ask_in },
    [CONSENSUS_PREVOTE_RES]   = { answer_out, answer_in },
    [CONSENSUS_VOTE_REQ]      = { ask_out, ask_in },
    [CONSENSUS_VOTE_RES]      = { answer_out, answer_in },
    [CONSENSUS_APPEND_REQ]    = { append_out, append_in },
    [CONSENSUS_APPEND_RES]    = { ack_out, ack_in },
    [CONSENSUS_HEARTBEAT]     = { heartbeat_out, heartbeat_in },
    [CONSENSUS_HEARTBEAT_RES] = { alive_out, alive_in },
    [CONSENSUS_SNAP_OFFER]    = { snapshot_out, snapshot_in },
    [CONSENSUS_SNAP_CHUNK]    = { snapshot_out, snapshot_in },
    [CONSENSUS_SNAP_RES]      = { snapshot_res_out, snapshot_res_in },
    [CONSENSUS_TIMEOUT_NOW]   = { timeout_now_out, timeout_now_in },
    [CONSENSUS_MEMBER_REQ]    = { nothing_out, nothing_in },
    [CONSENSUS_MEMBER_RES]    = { removed_out, removed_in },
    [CONSENSUS_INVITE]        = { invite_out, invite_in },
}; // clang-format on

/* Bytes that are not protobuf's follow its part. */
static bool has_tail(unsigned kind)
{
    return kind == CONSENSUS_APPEND_REQ || kind == CONSENSUS_SNAP_CHUNK;
}

/* -- frames -------------------------------------------------------------------------------- */

static uint32_t frame_crc(const uint8_t *frame, size_t bytes)
{
    return mu_crc32c(mu_crc32c(0, frame, 4), frame + FRAME_HEAD, bytes - FRAME_HEAD);
}

/* Room for the head at the end of `to`; returns where the frame begins. */
static size_t frame_begin(struct mu_buf *to, uint8_t kind)
{
    size_t start = to->bytes;
    uint8_t *head = mu_buf_reserve(to, FRAME_HEAD);

    memset(head, 0, FRAME_HEAD);
    head[0] = kind;
    to->bytes += FRAME_HEAD;
    return start;
}

static void u32_put(struct mu_buf *to, size_t at, uint32_t value)
{
    struct mu_wr w = mu_wr_of(to->data + at, 4);

    mu_wr_u32le(&w, value);
}

static void frame_end(struct mu_buf *to, size_t start)
{
    MU_ASSERT(to->bytes - start <= MU_RPC_MESSAGE_MAX);
    u32_put(to, start + 4, frame_crc(to->data + start, to->bytes - start));
}

/* Records carry the chain value of the log they were read from; it is nobody else's business. */
static void record_add(struct mu_buf *to, struct mu_span record)
{
    size_t at = to->bytes;

    mu_buf_add_span(to, record);
    u32_put(to, at + 4, 0);
}

void consensus__wire_encode(const struct consensus_msg *m, const struct mu_span *records,
                            struct mu_buf *to)
{
    size_t start = frame_begin(to, (uint8_t)m->kind);
    pb_raft raft = MUSTER__CONSENSUS__RAFT__INIT;
    union body body;

    MU_ASSERT(consensus_msg_kind_is_known(m->kind));
    raft.cluster = id_out(&m->cluster);
    raft.epoch = m->epoch;
    raft.from = id_out(&m->from);
    raft.from_disk = id_out(&m->from_disk);
    raft.to = id_out(&m->to);
    raft.term = m->term;
    bodies[m->kind].out(m, &body, &raft);
    if (!has_tail(m->kind)) {
        (void)mu_pb_pack(&raft.base, to);
        frame_end(to, start);
        return;
    }
    size_t size_at = to->bytes;

    mu_buf_add(to, (const uint8_t[4]){ 0 }, 4);
    u32_put(to, size_at, (uint32_t)mu_pb_pack(&raft.base, to));
    for (uint32_t i = 0; m->kind == CONSENSUS_APPEND_REQ && i < m->append.entries_count; i++) {
        record_add(to, records[i]);
    }
    if (m->kind == CONSENSUS_SNAP_CHUNK) {
        MU_ASSERT(m->snapshot.data.bytes == m->snapshot.bytes);
        mu_buf_add_span(to, m->snapshot.data);
    }
    frame_end(to, start);
}

void consensus__wire_encode_bootstrap(const struct consensus_bootstrap_msg *m, struct mu_buf *to)
{
    size_t start = frame_begin(to, (uint8_t)(BOOTSTRAP_KINDS + m->kind));
    pb_bootstrap message = MUSTER__CONSENSUS__BOOTSTRAP__INIT;
    pb_member members[CONSENSUS_VOTERS_MAX];
    pb_member *list[CONSENSUS_VOTERS_MAX];

    message.from = id_out(&m->from);
    message.from_disk = id_out(&m->from_disk);
    message.to = id_out(&m->to);
    message.cluster = id_out_unless_none(&m->cluster);
    message.coordinator = id_out_unless_none(&m->coordinator);
    message.expect = m->expect;
    message.why = m->why;
    MU_ASSERT(m->set.count <= CONSENSUS_VOTERS_MAX);
    for (uint32_t i = 0; i < m->set.count; i++) {
        muster__consensus__member__init(&members[i]);
        members[i].server = id_out(&m->set.members[i].server);
        members[i].disk = id_out(&m->set.members[i].disk);
        list[i] = &members[i];
    }
    message.n_members = m->set.count;
    message.members = list;
    (void)mu_pb_pack(&message.base, to);
    frame_end(to, start);
}

/* -- decoding ------------------------------------------------------------------------------ */

static enum mu_code malformed(struct mu_err *err, const char *what)
{
    return mu_fail(err, MU_CORRUPT, "malformed message: %s", what);
}

static bool config_ok(const struct consensus_record *r)
{
    struct consensus_config config;

    return consensus_config_decode(r->payload, r->index, &config, NULL) == MU_OK;
}

static bool payload_ok(const struct consensus_record *r)
{
    switch (r->kind) {
    case CONSENSUS_NOOP: return r->payload.bytes == 0;
    case CONSENSUS_COMMAND: return true;
    case CONSENSUS_CONFIG: return config_ok(r);
    default: return false;
    }
}

/* Entries follow prev and one another, in terms that do not go back or beyond the sender's. */
static enum mu_code records_check(const struct consensus_msg *m, struct mu_span records,
                                  struct mu_err *err)
{
    uint64_t index = m->append.prev_index;
    uint64_t term = m->append.prev_term;

    for (uint32_t i = 0; i < m->append.entries_count; i++) {
        struct consensus_record r;
        size_t room;

        if (!consensus__record_read(records, &r, &room)) {
            return malformed(err, "an entry fails its checksum");
        }
        if (r.index != index + 1 || r.term < term || r.term > m->term || r.chain != 0) {
            return malformed(err, "an entry is out of order");
        }
        if (!payload_ok(&r)) {
            return malformed(err, "an entry is of an unknown kind, or its payload is not one");
        }
        index = r.index;
        term = r.term;
        records = mu_span_sub(records, room, records.bytes - room);
    }
    return records.bytes == 0 ? MU_OK : malformed(err, "bytes behind the last entry");
}

static enum mu_code chunk_check(struct consensus_msg *m, struct mu_span data, struct mu_err *err)
{
    if (data.bytes == 0 || data.bytes > CONSENSUS_CHUNK_BYTES) {
        return malformed(err, "the size of a chunk");
    }
    m->snapshot.data = data;
    m->snapshot.bytes = (uint32_t)data.bytes;
    return MU_OK;
}

static enum mu_code offer_check(const pb_raft *raft, struct consensus_frame *out,
                                struct mu_err *err)
{
    const ProtobufCBinaryData *config = &raft->snapshot->config;
    enum mu_code rc = consensus_config_decode(mu_span_of(config->data, config->len),
                                              raft->snapshot->config_index, &out->config, err);

    out->msg.snapshot.config = &out->config;
    return rc == MU_OK ? MU_OK : malformed(err, "the configuration of a snapshot");
}

static enum mu_code decode_raft(uint8_t kind, struct mu_span body, struct mu_arena *arena,
                                struct consensus_frame *out, struct mu_err *err)
{
    struct mu_rd r = mu_rd_of(body);
    struct consensus_msg *m = &out->msg;
    struct mu_span head = body;
    struct mu_span tail = MU_SPAN_NONE;

    if (has_tail(kind)) {
        head = mu_rd_take(&r, mu_rd_u32le(&r));
        tail = mu_rd_take(&r, r.left);
    }
    if (!mu_rd_ok(&r) || head.bytes > RAFT_BYTES_MAX) {
        return malformed(err, "its size");
    }
    const pb_raft *raft = mu_pb_unpack(&muster__consensus__raft__descriptor, head, arena);

    if (raft == NULL || !id_in(&raft->cluster, &m->cluster) || !id_in(&raft->from, &m->from) ||
        !id_in(&raft->from_disk, &m->from_disk) || !id_in(&raft->to, &m->to)) {
        return malformed(err, "its head");
    }
    m->kind = (enum consensus_msg_kind)kind;
    m->epoch = raft->epoch;
    m->term = raft->term;
    if (!bodies[kind].in(raft, m)) {
        return malformed(err, "its body");
    }
    if (kind == CONSENSUS_APPEND_REQ) {
        out->records = tail;
        return records_check(m, tail, err);
    }
    if (kind == CONSENSUS_SNAP_OFFER) {
        return offer_check(raft, out, err);
    }
    return kind == CONSENSUS_SNAP_CHUNK ? chunk_check(m, tail, err) : MU_OK;
}

static bool members_in(const pb_bootstrap *from, struct consensus_bootstrap_set *set)
{
    if (from->n_members > CONSENSUS_VOTERS_MAX) {
        return false;
    }
    set->count = (uint32_t)from->n_members;
    for (size_t i = 0; i < from->n_members; i++) {
        if (!id_in(&from->members[i]->server, &set->members[i].server) ||
            !id_in(&from->members[i]->disk, &set->members[i].disk) ||
            (i > 0 && memcmp(&set->members[i - 1].server, &set->members[i].server,
                             sizeof(struct mu_id)) >= 0)) {
            return false;
        }
    }
    return true;
}

static enum mu_code decode_bootstrap(uint8_t kind, struct mu_span body, struct mu_arena *arena,
                                     struct consensus_frame *out, struct mu_err *err)
{
    struct consensus_bootstrap_msg *m = &out->bootstrap;

    if (body.bytes > RAFT_BYTES_MAX) {
        return malformed(err, "its size");
    }
    const pb_bootstrap *b = mu_pb_unpack(&muster__consensus__bootstrap__descriptor, body, arena);

    if (b == NULL || !id_in(&b->from, &m->from) || !id_in(&b->from_disk, &m->from_disk) ||
        !id_in(&b->to, &m->to) || !id_in_or_none(&b->cluster, &m->cluster) ||
        !id_in_or_none(&b->coordinator, &m->coordinator) || !members_in(b, &m->set)) {
        return malformed(err, "its fields");
    }
    out->is_bootstrap = true;
    m->kind = (enum consensus_bootstrap_msg_kind)(kind - BOOTSTRAP_KINDS);
    m->expect = b->expect;
    m->why = b->why;
    return MU_OK;
}

enum mu_code consensus__wire_decode(struct mu_span bytes, struct mu_arena *arena,
                                    struct consensus_frame *out, struct mu_err *err)
{
    struct mu_rd r = mu_rd_of(bytes);
    uint8_t kind = mu_rd_u8(&r);
    uint8_t flags = mu_rd_u8(&r);
    uint16_t reserved = mu_rd_u16le(&r);
    uint32_t crc = mu_rd_u32le(&r);

    memset(out, 0, sizeof *out);
    if (bytes.bytes > MU_RPC_MESSAGE_MAX) {
        return mu_fail(err, MU_TOO_BIG, "a message of %zu bytes, allowed are %u", bytes.bytes,
                       MU_RPC_MESSAGE_MAX);
    }
    if (!mu_rd_ok(&r) || crc != frame_crc(bytes.data, bytes.bytes)) {
        return malformed(err, "its checksum");
    }
    struct mu_span body = mu_rd_take(&r, r.left);

    if (flags != 0 || reserved != 0) {
        return mu_fail(err, MU_UNSUPPORTED, "a message with flags 0x%x", flags);
    }
    if (consensus_msg_kind_is_known(kind)) {
        return decode_raft(kind, body, arena, out, err);
    }
    if (kind >= BOOTSTRAP_KINDS + BOOTSTRAP_PING && kind <= BOOTSTRAP_KINDS + BOOTSTRAP_ASK) {
        return decode_bootstrap(kind, body, arena, out, err);
    }
    return mu_fail(err, MU_UNSUPPORTED, "a message of kind %u", kind);
}

bool consensus__wire_next(struct mu_span *records, struct consensus_record *out)
{
    size_t room = 0;

    if (records->bytes == 0) {
        return false;
    }
    bool is_one = consensus__record_read(*records, out, &room);

    MU_ASSERT(is_one); /* they were checked when they came in */
    *records = mu_span_sub(*records, room, records->bytes - room);
    return true;
}

/* Entries go where their size holds up nobody else; so do requests without any, or one that carries
 * a commit index would overtake the entries it is about. An offer asks where to go on behind the
 * chunks that are under way. */
enum consensus_channel consensus__wire_channel(const struct consensus_msg *m)
{
    bool is_bulk = m->kind == CONSENSUS_APPEND_REQ || m->kind == CONSENSUS_SNAP_OFFER ||
                   m->kind == CONSENSUS_SNAP_CHUNK;

    return is_bulk ? CONSENSUS_BULK : CONSENSUS_CONTROL;
}
