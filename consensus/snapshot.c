/* snapshot.c - the leader's side: the state for servers that need what the log no longer has.
 *
 *   somebody is in SNAPSHOT -> EXPORT -> OFFER -> WANT(offset) -> CHUNK CHUNK CHUNK CHUNK
 *                                          ^         ^ one for each chunk stored   |
 *                                          |         '-----------------------------'
 *                                          '-- silence: ask where to go on ---- ... DONE(match)
 *
 * One export serves everybody who needs one within a minute, one server after the other. It is of
 * an entry that was committed, so whoever leads next may go on with its own export: equal streams
 * have equal hashes, and the receiver says how much it holds (spec/consensus.md 2.12).
 *
 * Who has all of it imports it, which takes minutes where the state is large, and for ever where no
 * write of its log completes: it steps aside then, for others in need. One of them may be who is
 * missing for a quorum.
 *
 * While a transfer lives, and until its receiver has caught up behind it, compaction waits
 * (compact.c): else it would finish only to need the next one (row 44).
 */
#include <string.h>

#include "base/assert.h"
#include "core.h"

/* After which silence it is asked again. */
#define RETRY_MS(c) (4 * (uint64_t)(c)->options.heartbeat_ms)

static const char *const faults[] = {
    [CONSENSUS_SNAP_OK] = "nothing is wrong",
    [CONSENSUS_SNAP_DAMAGED] = "its bytes fail their checks",
    [CONSENSUS_SNAP_FULL] = "there is no space for it",
    [CONSENSUS_SNAP_UNKNOWN] = "it is of a layout that is not known there",
    [CONSENSUS_SNAP_IO] = "its files could not be written",
};

const char *consensus_snap_fault_text(enum consensus_snap_fault fault)
{
    return (size_t)fault < MU_LEN(faults) ? faults[fault] : "of an unknown reason";
}

bool consensus_snap_eq(const struct consensus_snap *a, const struct consensus_snap *b)
{
    return a->index == b->index && a->term == b->term && a->bytes == b->bytes &&
           memcmp(a->hash, b->hash, sizeof a->hash) == 0;
}

bool consensus_msg_kind_is_known(unsigned kind)
{
    return kind >= CONSENSUS_PREVOTE_REQ && kind <= CONSENSUS_MSG_KINDS;
}

void consensus__snap_order(struct consensus *c, enum consensus_snap_order_kind kind,
                           const struct consensus_snap *snap)
{
    MU_ASSERT(c->snaps_count < CONSENSUS_SNAPS_MAX);
    struct consensus_snap_order *o = &c->snaps[c->snaps_count++];

    *o = (struct consensus_snap_order){ .kind = kind };
    if (snap != NULL) {
        o->snap = *snap;
    }
}

/* -- whom to serve ------------------------------------------------------------------------- */

/* For its log, or for its state while its log goes on. */
static bool needs_one(const struct consensus__peer *p)
{
    return p->state == CONSENSUS_SNAPSHOT || p->lacks_state;
}

/* Of one that lacks its state, what it says to have applied is where its log begins: an older state
 * leads nowhere, so it waits until ours has come as far. Others may be what we wait for. */
static bool is_in_need(const struct consensus *c, const struct consensus__peer *p)
{
    return needs_one(p) && c->now_ms >= p->snap_next_ms && p->acked_ms != 0 &&
           c->now_ms - p->acked_ms < c->options.election_ms_min &&
           (!p->lacks_state || p->applied <= c->applied);
}

static struct consensus__peer *next_in_need(struct consensus *c, const struct consensus__peer *but)
{
    for (uint32_t i = 0; i < consensus__config(c)->servers_count; i++) {
        struct consensus__peer *p = &c->peers[i];

        if (i != c->self && p != but && is_in_need(c, p)) {
            return p;
        }
    }
    return NULL;
}

bool consensus__is_sending_to(const struct consensus *c, const struct consensus__peer *p)
{
    return c->role == CONSENSUS_LEADER && mu_id_eq(&c->office.sending.to, &p->id);
}

/* -- the export ---------------------------------------------------------------------------- */

static void export_drop(struct consensus *c)
{
    struct consensus__sending *s = &c->office.sending;

    if (s->state == CONSENSUS_EXPORT_READY) {
        consensus__snap_order(c, CONSENSUS_SNAP_CLOSE, NULL);
    }
    s->state = CONSENSUS_EXPORT_NONE;
    s->to = MU_ID_NONE;
}

/* Whoever installs it must find the entry behind it in the log. */
static bool is_usable(const struct consensus *c)
{
    const struct consensus__sending *s = &c->office.sending;

    return s->state == CONSENSUS_EXPORT_READY && s->snap.index >= c->log.base_index &&
           c->now_ms - s->ready_ms <= c->options.snap_reuse_ms;
}

static bool is_usable_for(const struct consensus *c, const struct consensus__peer *p)
{
    return is_usable(c) && (!p->lacks_state || c->office.sending.snap.index >= p->applied);
}

static void export_begin(struct consensus *c, const struct consensus__peer *p)
{
    struct consensus__sending *s = &c->office.sending;

    if (s->state == CONSENSUS_EXPORT_RUNS || c->now_ms < s->order_next_ms) {
        return;
    }
    export_drop(c);
    s->state = CONSENSUS_EXPORT_RUNS;
    s->pin_index = c->durable_applied;
    s->began_ms = c->now_ms;
    consensus__snap_order(c, CONSENSUS_SNAP_EXPORT, NULL);
    consensus__note(c, CONSENSUS_T_EXPORTS, &p->id, 0, 0, 0);
}

static void export_failed(struct consensus *c)
{
    struct consensus__sending *s = &c->office.sending;

    s->state = CONSENSUS_EXPORT_NONE;
    s->to = MU_ID_NONE;
    s->order_next_ms = c->now_ms + c->options.snap_timeout_ms;
    c->counters.snapshots_failed++;
    consensus__note(c, CONSENSUS_T_EXPORT_FAILED, NULL, 0, 0, 0);
}

/* The configuration belongs to the entry, not to now: one that is newer may yet be truncated
 * (row 50), and an older one may be in force no more. */
static void on_exported(struct consensus *c, const struct consensus_snap *snap)
{
    struct consensus__sending *s = &c->office.sending;
    const struct consensus_config *config = consensus__config_at(c, snap->index);

    MU_ASSERT(snap->index > 0 && snap->index <= c->commit && snap->bytes > 0);
    if (config == NULL) { /* one was committed behind it: the next export will have it */
        s->state = CONSENSUS_EXPORT_NONE;
        s->order_next_ms = c->now_ms + c->options.heartbeat_ms;
        consensus__snap_order(c, CONSENSUS_SNAP_CLOSE, NULL);
        return;
    }
    s->state = CONSENSUS_EXPORT_READY;
    s->snap = *snap;
    s->stored = s->sent = 0; /* they speak of the stream before */
    s->config = *config;
    s->pin_index = snap->index;
    s->ready_ms = c->now_ms;
    consensus__note(c, CONSENSUS_T_EXPORTED, NULL, snap->index, snap->bytes, 0);
}

/* -- the transfer -------------------------------------------------------------------------- */

static void transfer_begin(struct consensus *c, struct consensus__peer *p)
{
    struct consensus__sending *s = &c->office.sending;

    s->to = p->id;
    s->began_ms = c->now_ms;
    s->moved_ms = c->now_ms;
    s->asked_ms = 0;
    s->is_asking = true;
    s->stored = s->sent = 0;
    p->snap_wanted = 0;
    p->snap_pinned_ms = c->now_ms + c->options.snap_pin_ms;
    consensus__note(c, CONSENSUS_T_SNAP_SENDS, &p->id, s->snap.index, s->snap.bytes, 0);
}

static struct consensus_msg *snap_send(struct consensus *c, enum consensus_msg_kind kind,
                                       const struct consensus__peer *p)
{
    struct consensus_msg *m = consensus__send(c, kind, &p->id);

    m->snapshot.session = p->session;
    m->snapshot.snap = c->office.sending.snap;
    return m;
}

static void offer(struct consensus *c, const struct consensus__peer *p)
{
    c->offered = c->office.sending.config;
    snap_send(c, CONSENSUS_SNAP_OFFER, p)->snapshot.config = &c->offered;
    c->office.sending.asked_ms = c->now_ms;
}

static void chunks(struct consensus *c, const struct consensus__peer *p)
{
    struct consensus__sending *s = &c->office.sending;
    uint64_t window = (uint64_t)CONSENSUS_CHUNKS_WINDOW * c->options.chunk_bytes;

    while (s->sent < s->snap.bytes && s->sent < s->stored + window && consensus__send_has_room(c)) {
        uint64_t left = s->snap.bytes - s->sent;
        struct consensus_msg *m = snap_send(c, CONSENSUS_SNAP_CHUNK, p);

        m->snapshot.offset = s->sent;
        m->snapshot.bytes =
            (uint32_t)(left < c->options.chunk_bytes ? left : c->options.chunk_bytes);
        s->sent += m->snapshot.bytes;
    }
}

/* Nothing is left to be sent, and somebody else is in need: it says when it is done, and is asked
 * again when its turn comes. */
static bool steps_aside(struct consensus *c, struct consensus__peer *p)
{
    struct consensus__sending *s = &c->office.sending;

    if (s->stored < s->snap.bytes || next_in_need(c, p) == NULL) {
        return false;
    }
    p->snap_held = s->snap.index;
    p->snap_next_ms = c->now_ms + c->options.snap_timeout_ms;
    return true;
}

/* Others have their turn. */
static void transfer_failed(struct consensus *c, struct consensus__peer *p)
{
    c->counters.snapshots_failed++;
    p->snap_held = 0;
    p->snap_next_ms = c->now_ms + c->options.snap_timeout_ms;
    c->office.sending.to = MU_ID_NONE;
}

/* Silence: it is asked again where to go on, and given up after a while. Then others have their
 * turn, and it may have been helped by the log after all (row 45). */
static void transfer_run(struct consensus *c, struct consensus__peer *p)
{
    struct consensus__sending *s = &c->office.sending;
    uint64_t retry_ms = RETRY_MS(c);

    if (c->now_ms - s->moved_ms > c->options.snap_timeout_ms) {
        consensus__note(c, CONSENSUS_T_SNAP_STALLS, &p->id, s->snap.index, s->stored,
                        s->snap.bytes);
        transfer_failed(c, p);
        p->snap_wanted = s->stored + 1;
        return;
    }
    if (p->is_blocked) {
        return;
    }
    s->is_asking |= c->now_ms - s->moved_ms > retry_ms && c->now_ms - s->asked_ms > retry_ms;
    if (s->is_asking && consensus__send_has_room(c) &&
        (s->asked_ms == 0 || c->now_ms - s->asked_ms > retry_ms)) {
        offer(c, p);
    }
    if (!s->is_asking) {
        chunks(c, p);
    }
}

void consensus__sending_run(struct consensus *c)
{
    struct consensus__sending *s = &c->office.sending;
    struct consensus__peer *p = mu_id_is_none(&s->to) ? NULL : consensus__peer_find(c, &s->to);

    if (c->lacks_state) {
        return; /* there is nothing to send: whoever is given this office has it */
    }
    if (p == NULL || !needs_one(p) || steps_aside(c, p)) {
        s->to = MU_ID_NONE;
        p = next_in_need(c, NULL);
        if (p != NULL && !is_usable_for(c, p)) {
            export_begin(c, p);
            return;
        }
        if (p != NULL) {
            transfer_begin(c, p);
        }
    }
    if (p != NULL) {
        transfer_run(c, p);
    } else if (s->state == CONSENSUS_EXPORT_READY && !is_usable(c)) {
        export_drop(c);
    }
}

/* -- answers ------------------------------------------------------------------------------- */

static void on_want(struct consensus *c, const struct consensus_msg *m)
{
    struct consensus__sending *s = &c->office.sending;

    if (m->snapshot_res.offset > s->snap.bytes) {
        consensus__note(c, CONSENSUS_T_MALFORMED, &m->from, m->kind, 0, 0);
        c->counters.messages_dropped++;
        return;
    }
    if (m->snapshot_res.offset > s->stored || m->snapshot_res.offset == s->snap.bytes) {
        s->moved_ms = c->now_ms; /* all of it: it is importing */
    }
    if (s->is_asking) {
        s->is_asking = false;
        s->asked_ms = c->now_ms; /* what is sent now has its time */
        s->stored = s->sent = m->snapshot_res.offset;
    } else if (m->snapshot_res.offset > s->stored) {
        s->stored = m->snapshot_res.offset;
        s->sent = s->sent < s->stored ? s->stored : s->sent;
    }
}

/* Silent for so long that it was given up, and gets on after all: it has its turn at once. What it
 * said before may come late, and says nothing new. */
static void on_late_want(const struct consensus *c, struct consensus__peer *p,
                         const struct consensus_msg *m)
{
    if (p->snap_wanted > 0 && m->snapshot_res.offset >= p->snap_wanted) {
        p->snap_wanted = 0;
        p->snap_next_ms = c->now_ms;
    }
}

static void on_done(struct consensus *c, struct consensus__peer *p, const struct consensus_msg *m)
{
    if (m->snapshot_res.match > c->log.last_index) {
        consensus__note(c, CONSENSUS_T_MALFORMED, &m->from, m->kind, 0, 0);
        c->counters.messages_dropped++;
        return;
    }
    bool is_sending = consensus__is_sending_to(c, p);

    if (is_sending || p->snap_held > 0) {
        c->counters.snapshots_sent++;
        consensus__note(c, CONSENSUS_T_SNAP_SENT, &p->id, m->snapshot_res.match, 0, 0);
    }
    if (is_sending) {
        c->office.sending.to = MU_ID_NONE;
    }
    p->snap_held = 0;
    p->lacks_state = false; /* what it said before on the other connection may come yet */
    consensus__peer_acked(c, p, m->snapshot_res.match, false);
    if (needs_one(p)) { /* it has the entries, but not durably yet: its acks will tell */
        p->snap_next_ms = c->now_ms + RETRY_MS(c);
    }
}

static void on_refused(struct consensus *c, struct consensus__peer *p,
                       const struct consensus_msg *m)
{
    struct consensus__sending *s = &c->office.sending;

    consensus__note(c, CONSENSUS_T_SNAP_REFUSED, &p->id, s->snap.index, m->snapshot_res.fault, 0);
    transfer_failed(c, p);
    if (m->snapshot_res.fault == CONSENSUS_SNAP_DAMAGED) {
        export_drop(c); /* here or on the way: the next one is read anew */
    }
}

void consensus__on_snap_res(struct consensus *c, const struct consensus_msg *m)
{
    struct consensus__peer *p = consensus__peer_find(c, &m->from);

    if (c->role != CONSENSUS_LEADER || p == NULL ||
        !consensus__session_is(p, m->snapshot_res.session)) {
        return; /* row 32 */
    }
    p->acked_ms = c->now_ms;
    switch (m->snapshot_res.answer) {
    case CONSENSUS_SNAP_WANT:
        if (consensus__is_sending_to(c, p)) {
            on_want(c, m);
        } else {
            on_late_want(c, p, m);
        }
        break;
    case CONSENSUS_SNAP_DONE: on_done(c, p, m); break;
    case CONSENSUS_SNAP_FAILED:
        if (consensus__is_sending_to(c, p)) {
            on_refused(c, p, m);
        }
        break;
    case CONSENSUS_SNAP_STALE: break; /* the newer term in its head has said all */
    }
}

/* -- what became of orders ----------------------------------------------------------------- */

void consensus__on_snapshot(struct consensus *c, const struct consensus_event *ev)
{
    bool leads = c->role == CONSENSUS_LEADER;

    switch (ev->snapshot.what) {
    case CONSENSUS_SNAP_EXPORTED:
        if (leads && c->office.sending.state == CONSENSUS_EXPORT_RUNS) {
            on_exported(c, &ev->snapshot.snap);
        } else if (!leads) { /* ordered in an office that is over */
            consensus__snap_order(c, CONSENSUS_SNAP_CLOSE, NULL);
        }
        break;
    case CONSENSUS_SNAP_EXPORT_FAILED:
        if (leads && c->office.sending.state != CONSENSUS_EXPORT_NONE) {
            export_failed(c);
        }
        break;
    case CONSENSUS_SNAP_OPENED:
    case CONSENSUS_SNAP_STORED:
    case CONSENSUS_SNAP_IMPORTED:
    case CONSENSUS_SNAP_SWITCHED:
    case CONSENSUS_SNAP_LOST: consensus__on_install(c, ev); break;
    }
}
