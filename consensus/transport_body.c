/* transport_body.c - the bodies of peer messages: one row of `bodies` says for each kind which body
 * of the protobuf message it has and how that is copied out and in.
 */
#include "transport_body.h"

#include <string.h>

#include "base/assert.h"
#include "base/wire.h"

typedef Muster__Consensus__Raft pb_raft;

/* -- ids ----------------------------------------------------------------------------------- */

ProtobufCBinaryData consensus__id_out(const struct mu_id *id)
{
    /* protobuf-c reads only, but its type says nothing of const */
    return (ProtobufCBinaryData){ sizeof id->b, (uint8_t *)(uintptr_t)id->b };
}

ProtobufCBinaryData consensus__id_out_unless_none(const struct mu_id *id)
{
    return mu_id_is_none(id) ? (ProtobufCBinaryData){ 0, NULL } : consensus__id_out(id);
}

bool consensus__id_in(const ProtobufCBinaryData *from, struct mu_id *id)
{
    if (from->len != sizeof id->b) {
        return false;
    }
    memcpy(id->b, from->data, sizeof id->b);
    return !mu_id_is_none(id);
}

bool consensus__id_in_or_none(const ProtobufCBinaryData *from, struct mu_id *id)
{
    *id = MU_ID_NONE;
    return from->len == 0 || consensus__id_in(from, id);
}

/* -- bodies: out --------------------------------------------------------------------------- */

static void ask_out(const struct consensus_msg *m, union consensus__body *b, pb_raft *to)
{
    muster__consensus__ask__init(&b->ask);
    b->ask.next_term = m->ask.next_term;
    b->ask.last_term = m->ask.last_term;
    b->ask.last_index = m->ask.last_index;
    b->ask.round = m->ask.round;
    b->ask.transfer_term = m->ask.transfer_term;
    to->ask = &b->ask;
}

static void answer_out(const struct consensus_msg *m, union consensus__body *b, pb_raft *to)
{
    muster__consensus__answer__init(&b->answer);
    b->answer.asked_term = m->answer.asked_term;
    b->answer.round = m->answer.round;
    b->answer.is_granted = m->answer.is_granted;
    to->answer = &b->answer;
}

static void append_out(const struct consensus_msg *m, union consensus__body *b, pb_raft *to)
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

static void ack_out(const struct consensus_msg *m, union consensus__body *b, pb_raft *to)
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

static void heartbeat_out(const struct consensus_msg *m, union consensus__body *b, pb_raft *to)
{
    muster__consensus__heartbeat__init(&b->heartbeat);
    b->heartbeat.session = m->heartbeat.session;
    b->heartbeat.read_seq = m->heartbeat.read_seq;
    b->heartbeat.commit = m->heartbeat.commit;
    b->heartbeat.sum = sum_out(&m->heartbeat.sum, &b->asked);
    b->heartbeat.promise_ms = m->heartbeat.promise_ms;
    b->heartbeat.is_odd = m->heartbeat.is_odd;
    b->heartbeat.proven = sum_out(&m->heartbeat.proven, &b->proven);
    to->heartbeat = &b->heartbeat;
}

static void alive_out(const struct consensus_msg *m, union consensus__body *b, pb_raft *to)
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
    b->alive.level = m->alive.level;
    b->alive.is_copy = m->alive.is_copy;
    b->alive.sum = sum_out(&m->alive.sum, &b->said);
    to->alive = &b->alive;
}

static void snapshot_out(const struct consensus_msg *m, union consensus__body *b, pb_raft *to)
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

static void snapshot_res_out(const struct consensus_msg *m, union consensus__body *b, pb_raft *to)
{
    muster__consensus__snapshot_res__init(&b->snapshot_res);
    b->snapshot_res.session = m->snapshot_res.session;
    b->snapshot_res.answer = m->snapshot_res.answer;
    b->snapshot_res.offset = m->snapshot_res.offset;
    b->snapshot_res.match = m->snapshot_res.match;
    b->snapshot_res.fault = m->snapshot_res.fault;
    to->snapshot_res = &b->snapshot_res;
}

static void timeout_now_out(const struct consensus_msg *m, union consensus__body *b, pb_raft *to)
{
    muster__consensus__timeout_now__init(&b->timeout_now);
    b->timeout_now.last_index = m->timeout_now.last_index;
    b->timeout_now.valid_ms = m->timeout_now.valid_ms;
    to->timeout_now = &b->timeout_now;
}

static void nothing_out(const struct consensus_msg *m, union consensus__body *b, pb_raft *to)
{
    (void)m;
    (void)b;
    (void)to;
}

static void removed_out(const struct consensus_msg *m, union consensus__body *b, pb_raft *to)
{
    muster__consensus__removed__init(&b->removed);
    b->removed.config_index = m->removed.config_index;
    b->removed.disk = consensus__id_out(&m->removed.disk);
    to->removed = &b->removed;
}

static void invite_out(const struct consensus_msg *m, union consensus__body *b, pb_raft *to)
{
    muster__consensus__invite__init(&b->invite);
    b->invite.disk = consensus__id_out(&m->invite.disk);
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
    sum_in(from->heartbeat->proven, &m->heartbeat.proven);
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
    /* those that do not say so understand the first */
    m->alive.level = from->alive->level != 0 ? from->alive->level : CONSENSUS_LEVEL_FIRST;
    m->alive.is_copy = from->alive->is_copy != 0;
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
    return consensus__id_in(&from->removed->disk, &m->removed.disk);
}

static bool invite_in(const pb_raft *from, struct consensus_msg *m)
{
    return from->invite != NULL && consensus__id_in(&from->invite->disk, &m->invite.disk);
}

static const struct {
    void (*out)(const struct consensus_msg *m, union consensus__body *b, pb_raft *to);
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

void consensus__body_out(const struct consensus_msg *m, union consensus__body *b, pb_raft *to)
{
    MU_ASSERT(consensus_msg_kind_is_known(m->kind));
    bodies[m->kind].out(m, b, to);
}

bool consensus__body_in(const pb_raft *from, struct consensus_msg *m)
{
    MU_ASSERT(consensus_msg_kind_is_known(m->kind));
    return bodies[m->kind].in(from, m);
}
