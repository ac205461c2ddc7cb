/* replicate.c - entries from the leader to its peers.
 *
 * Leader: after every event consensus__lead_run() does what is due: steps down without a quorum or
 * with a stalled disk, advances the commit index, confirms reads, sends heartbeats, and gives each
 * peer what its window takes. The own write is under way at the same time (O12): an entry may
 * commit on the disks of the followers alone.
 *
 * Follower: takes what follows its log, drops what contradicts the leader, and answers when the
 * entries of exactly that request are durable (O3).
 */
#include "base/assert.h"
#include "base/limits.h"
#include "core.h"

/* How often a peer that was too far behind is asked again. */
#define SNAPSHOT_RETRIES_MS(c) (10 * (uint64_t)(c)->options.election_ms_min)

/* How long a server without a state leads for nobody. */
#define STATELESS_MS(c) (8 * (uint64_t)(c)->options.election_ms_min)

/* Clients press when so many of their entries wait for a commit that goes on. Then a peer that is
 * far behind is sent three old ones for two of theirs: it comes closer by one. */
#define PRESSING_ENTRIES 8U
#define OLD_ENTRIES      3U
#define FOR_NEW_ENTRIES  2U
#define ENTRY_WEIGHT     256U /* bytes that cost what an entry does besides its own */

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* -- leader: office ------------------------------------------------------------------------ */

/* An entry of this term that does nothing. */
void consensus__push_noop(struct consensus *c)
{
    uint64_t index = c->log.last_index + 1;

    consensus__log_push(c, &(struct consensus_entry){
                               .index = index, .term = c->hard.term, .kind = CONSENSUS_NOOP });
    consensus__write_entries(c, index, 0);
}

/* On winning: a no-op of the new term at once, and everybody is probed (spec 2.1). */
void consensus__lead(struct consensus *c)
{
    consensus__role_move(c, CONSENSUS_LEADER);
    c->counters.elections_won++;
    c->office.first_index = c->log.last_index + 1;
    c->office.push_index = c->office.first_index;
    c->office.since_ms = c->now_ms;
    c->office.heartbeat_at_ms = c->now_ms + c->options.heartbeat_ms;
    c->office.yields_at_ms = c->now_ms + (c->lacks_state ? 0 : c->options.election_ms_min);
    consensus__note(c, CONSENSUS_T_LEADS, NULL, c->hard.term, c->office.first_index, 0);
    if (c->lacks_state) {
        consensus__note(c, CONSENSUS_T_LEADS_STATELESS, NULL, c->hard.term, 0, 0);
    }
    consensus__peers_align(c); /* also those that an uncommitted configuration removes */
    for (uint32_t i = 0; i < c->peers_count; i++) {
        if (i != c->self) {
            consensus__peer_begin(c, &c->peers[i]);
        }
    }
    consensus__push_noop(c);
}

static uint64_t quorum_acked_ms(const struct consensus *c)
{
    uint64_t values[CONSENSUS_PEERS_MAX];

    for (uint32_t i = 0; i < CONSENSUS_PEERS_MAX; i++) {
        values[i] = i == c->self ? c->now_ms : c->peers[i].acked_ms;
    }
    return consensus__quorum_value(consensus__config(c), values);
}

uint64_t consensus__quorum_read_echo(const struct consensus *c)
{
    uint64_t values[CONSENSUS_PEERS_MAX];

    for (uint32_t i = 0; i < CONSENSUS_PEERS_MAX; i++) {
        values[i] = i == c->self ? c->office.read_seq : c->peers[i].read_echo;
    }
    return consensus__quorum_value(consensus__config(c), values);
}

/* Nothing is accepted or answered between a pause and the first round that a quorum confirms; nor
 * at the moment at which check-quorum ends the office, when something else comes before that. */
bool consensus__has_quorum(const struct consensus *c)
{
    return consensus__quorum_read_echo(c) >= c->office.confirm_seq &&
           c->now_ms < consensus__office_ends_ms(c);
}

/* When check-quorum ends this office, as things stand (spec 2.3). */
uint64_t consensus__office_ends_ms(const struct consensus *c)
{
    uint64_t acked = quorum_acked_ms(c);
    uint64_t from = acked > c->office.since_ms ? acked : c->office.since_ms;

    return from + c->options.election_ms_min;
}

/* In the same term, keeping the vote; needs no disk. */
void consensus__step_down(struct consensus *c, enum consensus_trace why, uint64_t ms)
{
    consensus__note(c, why, NULL, ms, c->hard.term, 0);
    consensus__transfer_failed(c);
    consensus__role_move(c, CONSENSUS_FOLLOWER);
    consensus__timer_reset(c);
}

/* Or a dead disk would keep office for ever (2.15). Where this server is a quorum by itself nobody
 * could take it: then reads, which need no disk, go on. */
bool consensus__stall_ends_office(const struct consensus *c)
{
    return !consensus__quorum_of(consensus__config(c), UINT32_C(1) << c->self);
}

/* For how long it has brought its log to nobody with a state, for which alone it leads without one.
 */
static uint64_t idle_ms(const struct consensus *c)
{
    uint64_t moved_ms = c->office.since_ms;

    for (uint32_t i = 0; i < consensus__config(c)->servers_count; i++) {
        if (i != c->self && !c->peers[i].lacks_state && c->peers[i].moved_ms > moved_ms) {
            moved_ms = c->peers[i].moved_ms;
        }
    }
    return c->now_ms - moved_ms;
}

bool consensus__has_stalled(const struct consensus *c)
{
    return consensus__stall_ms(c) > c->options.stall_ms && consensus__stall_ends_office(c);
}

static bool must_step_down(struct consensus *c)
{
    if (c->now_ms >= consensus__office_ends_ms(c)) {
        consensus__step_down(c, CONSENSUS_T_QUORUM_LOST,
                             c->now_ms + c->options.election_ms_min - consensus__office_ends_ms(c));
        return true;
    }
    if (consensus__has_stalled(c)) {
        consensus__step_down(c, CONSENSUS_T_DISK_STALLED, consensus__stall_ms(c));
        return true;
    }
    /* Somebody may not hear it who has a state, and would be elected by those who do. */
    if (c->lacks_state && idle_ms(c) > STATELESS_MS(c)) {
        consensus__step_down(c, CONSENSUS_T_BRINGS_NOBODY, idle_ms(c));
        return true;
    }
    return false;
}

/* -- commit -------------------------------------------------------------------------------- */

/* Never back, in memory or visibly (row 22). */
void consensus__commit_to(struct consensus *c, uint64_t index)
{
    MU_ASSERT(index <= c->log.last_index);
    if (index <= c->commit) {
        return;
    }
    uint64_t from = c->commit + 1 > c->log.tail_first ? c->commit + 1 : c->log.tail_first;

    for (uint64_t i = from; i <= index; i++) {
        c->log.uncommitted_bytes -= consensus__log_bytes(c, i);
    }
    c->commit = index;
    consensus__config_committed(c);
    consensus__note(c, CONSENSUS_T_COMMITS, NULL, index, 0, 0);
}

/* What a quorum holds, when this server does up to `own`. */
static uint64_t quorum_index(const struct consensus *c, uint64_t own)
{
    uint64_t values[CONSENSUS_PEERS_MAX];

    for (uint32_t i = 0; i < CONSENSUS_PEERS_MAX; i++) {
        values[i] = i == c->self ? own : c->peers[i].match;
    }
    return consensus__quorum_value(consensus__config(c), values);
}

/* Somebody else has to say something before more can be committed, and that will be an event. All
 * that is less simple is told at once: an office that begins or ends, answers and entries that wait
 * for the own disk (O3, O7), a store that is full or nearly so. */
bool consensus__may_persist_late(const struct consensus *c)
{
    return c->role == CONSENSUS_LEADER && c->office.is_ready && !c->office.transfer.is_running &&
           !c->is_stopping && c->writes.count > 0 && c->pending_count == 0 &&
           c->commit <= c->writes.stable && c->health == CONSENSUS_STORE_OK &&
           c->floor_index == 0 && consensus__write_has_room(c) &&
           quorum_index(c, c->log.last_index) <= c->commit;
}

/* By counting only entries of the own term; older ones commit with them (spec 2.6, row 21). The
 * leader counts itself by what is durable (O4). */
static void commit_advance(struct consensus *c)
{
    uint64_t index = quorum_index(c, c->writes.stable);

    if (index > c->commit && consensus_term_at(c, index) == c->hard.term) {
        if (c->log.last_index - c->commit >= PRESSING_ENTRIES) {
            c->office.pressed_ms = c->now_ms;
        }
        consensus__commit_to(c, index);
        if (c->office.push_at_ms <= c->now_ms) { /* else one is held already */
            c->office.push_at_ms = c->now_ms + c->options.push_hold_ms;
        }
    }
    if (!c->office.is_ready && c->commit >= c->office.first_index) {
        c->office.is_ready = true;
        consensus__note(c, CONSENSUS_T_READY, NULL, c->hard.term, c->office.first_index, 0);
    }
}

/* -- heartbeats ---------------------------------------------------------------------------- */

/* One round: a new read_seq, never repeated, so that no delayed answer to an older round can
 * confirm a newer read (spec 2.7, row 66). */
static void heartbeat_all(struct consensus *c)
{
    c->office.is_heartbeat_due = false;
    c->office.heartbeat_at_ms = c->now_ms + c->options.heartbeat_ms;
    c->office.read_seq++;
    uint32_t promise_ms = consensus__lease_round(c);

    consensus__sum_round(c);
    for (uint32_t i = 0; i < c->peers_count; i++) {
        struct consensus__peer *p = &c->peers[i];

        if (i == c->self) {
            continue;
        }
        if (p->acked_ms == 0 && p->match == 0 && i < consensus__config(c)->servers_count &&
            consensus__config(c)->servers[i].is_learner) {
            consensus__send(c, CONSENSUS_INVITE, &p->id)->invite.disk = p->disk;
        }
        struct consensus_msg *m = consensus__send(c, CONSENSUS_HEARTBEAT, &p->id);

        m->heartbeat.session = p->session;
        m->heartbeat.read_seq = c->office.read_seq;
        m->heartbeat.commit = min_u64(c->commit, p->match);
        m->heartbeat.promise_ms = promise_ms;
        m->heartbeat.sum = c->office.asked;
        if (p->is_copy) {
            m->heartbeat.proven = c->office.proven;
        }
        m->heartbeat.is_odd = consensus__sum_is_odd(c, p);
        if (m->heartbeat.commit > p->commit_sent) {
            p->commit_sent = m->heartbeat.commit;
        }
    }
}

/* -- entries out --------------------------------------------------------------------------- */

static struct consensus_msg *append_req(struct consensus *c, struct consensus__peer *p,
                                        uint64_t prev_index)
{
    struct consensus_msg *m = consensus__send(c, CONSENSUS_APPEND_REQ, &p->id);

    MU_ASSERT(prev_index >= c->log.base_index);
    m->append.session = p->session;
    m->append.prev_index = prev_index;
    m->append.prev_term = consensus_term_at(c, prev_index);
    m->append.commit = c->commit;
    return m;
}

/* How many entries from `next` on go into one request. */
static uint32_t batch_of(const struct consensus *c, const struct consensus__peer *p,
                         uint64_t *bytes)
{
    uint32_t count_max = p->state == CONSENSUS_PROBE ? 1 : c->options.append_entries_max;
    uint32_t count = 0;

    *bytes = 0;
    while (count < count_max && p->next + count <= c->log.last_index) {
        uint32_t size = consensus__log_bytes(c, p->next + count);

        if (count > 0 && *bytes + size > c->options.append_bytes_max) {
            break; /* one that is larger goes alone */
        }
        *bytes += size;
        count++;
    }
    return count;
}

static void send_entries(struct consensus *c, struct consensus__peer *p)
{
    uint64_t bytes = 0;
    uint32_t count = 0;

    if (p->next >= c->log.tail_first) {
        count = batch_of(c, p, &bytes);
    } /* else a probe without entries: a wrong guess should cost no read of the disk either */
    struct consensus_msg *m = append_req(c, p, p->next - 1);

    m->append.entries_count = count;
    p->commit_sent = min_u64(c->commit, p->next - 1 + count);
    consensus__peer_sent(c, p, p->next + count - 1, bytes);
}

uint64_t consensus__load(size_t entries, uint64_t bytes)
{
    return bytes + (uint64_t)entries * ENTRY_WEIGHT;
}

/* Catching up must not take more than its share of disks and processors from clients who press, but
 * always goes on. A peer that is needed for a quorum is not held up: without it nothing is
 * committed, and so nobody presses. */
static bool is_paced(const struct consensus *c, const struct consensus__peer *p)
{
    return c->office.pressed_ms != 0 &&
           c->now_ms < c->office.pressed_ms + c->options.heartbeat_ms &&
           c->now_ms < p->fetch_ms + c->options.heartbeat_ms && c->office.load < p->fetch_load;
}

/* What is no longer in memory is asked of the store; the answer is sent by on_fetched(). Looked at
 * again after every event, of which a heartbeat is one. */
static void fetch(struct consensus *c, struct consensus__peer *p)
{
    struct consensus_fetch *all = consensus__array(c, c->at.fetches);

    if (p->fetch_ticket != 0 || is_paced(c, p)) {
        return;
    }
    p->fetch_ms = c->now_ms;
    MU_ASSERT(c->fetches_count < CONSENSUS_SLOTS_MAX);
    c->fetch_ticket_last += c->fetch_ticket_last == UINT32_MAX ? 2 : 1; /* 0 is none */
    p->fetch_ticket = c->fetch_ticket_last;
    all[c->fetches_count++] = (struct consensus_fetch){
        .ticket = p->fetch_ticket,
        .bytes_max = c->options.append_bytes_max,
        .first = p->next,
        .last = min_u64(c->log.tail_first - 1, p->next + c->options.append_entries_max - 1),
    };
}

void consensus__push_at_once(struct consensus *c, uint64_t index)
{
    c->office.push_index = index > c->office.push_index ? index : c->office.push_index;
}

/* A new commit index travels with the next entries, or by itself when the pipe is idle, so that
 * followers apply soon and not a heartbeat later (spec 2.6). Where somebody waits there, a network
 * hop later; else it is held for a moment in which entries may come, for such a push wakes every
 * follower for nothing but itself. One whose last acknowledged entry is compacted, the rest being
 * under way, hears it with its next acknowledgement: the term of that entry is not known any more.
 */
static void push_commit(struct consensus *c, struct consensus__peer *p)
{
    uint64_t known = min_u64(c->commit, p->match);

    if (p->next <= c->log.last_index || p->commit_sent >= known || p->match < c->log.base_index) {
        return;
    }
    if (p->commit_sent >= c->office.push_index && c->now_ms < c->office.push_at_ms) {
        c->office.is_push_held = true;
        return;
    }
    struct consensus_msg *m = append_req(c, p, p->match);

    m->append.is_push = true;
    p->commit_sent = known;
}

static void pump_pipeline(struct consensus *c, struct consensus__peer *p)
{
    while (p->next <= c->log.last_index && !consensus__peer_is_full(c, p)) {
        if (!consensus__send_has_room(c)) {
            c->wants_again = true;
            return;
        }
        if (p->next < c->log.tail_first) {
            fetch(c, p);
            return;
        }
        send_entries(c, p);
    }
    if (consensus__send_has_room(c)) {
        push_commit(c, p);
    }
}

static void pump(struct consensus *c, struct consensus__peer *p)
{
    if (p->is_blocked) {
        return;
    }
    if (p->state != CONSENSUS_SNAPSHOT && p->next <= c->log.base_index) {
        p->next = c->log.base_index + 1; /* it may have more than we know: ask (row 35) */
        consensus__peer_move(c, p, CONSENSUS_PROBE);
    }
    switch ((enum consensus_progress)p->state) {
    case CONSENSUS_PROBE:
        if (!p->is_probing && consensus__send_has_room(c)) {
            send_entries(c, p);
        }
        c->wants_again |= !p->is_probing;
        break;
    case CONSENSUS_REPLICATE: pump_pipeline(c, p); break;
    case CONSENSUS_SNAPSHOT: break; /* heartbeats only; see snapshot.c */
    }
}

void consensus__lead_run(struct consensus *c)
{
    if (must_step_down(c)) {
        return;
    }
    commit_advance(c);
    consensus__lease_run(c);
    consensus__peers_part(c);
    consensus__change_run(c);
    consensus__level_run(c);
    consensus__split_run(c);
    if (c->now_ms >= c->office.heartbeat_at_ms) {
        c->office.is_heartbeat_due = true;
    }
    consensus__reads_run(c);
    if (c->office.is_heartbeat_due) {
        heartbeat_all(c);
        consensus__reads_run(c); /* a lone voter has confirmed it by that */
    }
    c->office.is_push_held = false;
    for (uint32_t i = 0; i < c->peers_count; i++) {
        if (i != c->self) {
            pump(c, &c->peers[i]);
        }
    }
    consensus__sending_run(c);
    consensus__transfer_run(c); /* last: it may end the office */
}

/* -- leader: answers ----------------------------------------------------------------------- */

/* The peer an answer of this session came from; NULL: of a former life, or of nobody we serve. */
static struct consensus__peer *answering(struct consensus *c, const struct consensus_msg *m,
                                         uint64_t session)
{
    struct consensus__peer *p = consensus__peer_find(c, &m->from);

    if (c->role != CONSENSUS_LEADER || p == NULL || !consensus__session_is(p, session)) {
        return NULL; /* row 32 */
    }
    p->acked_ms = c->now_ms;
    return p;
}

static void on_reject(struct consensus *c, struct consensus__peer *p, const struct consensus_msg *m)
{
    bool is_stale = p->state == CONSENSUS_PROBE ? m->ack.prev_index != p->next - 1
                                                : m->ack.prev_index <= p->match;

    if (m->ack.session != p->session || is_stale || p->state == CONSENSUS_SNAPSHOT) {
        return; /* of a request that was overtaken (row 31) */
    }
    if (m->ack.prev_index <= c->log.base_index) { /* it does not even have the last that is gone */
        consensus__note(c, CONSENSUS_T_PEER_TOO_OLD, &p->id, m->ack.hint_index + 1,
                        c->log.base_index, 0);
        consensus__peer_move(c, p, CONSENSUS_SNAPSHOT);
        return;
    }
    /* Both sides skip whole terms: at most one round trip per diverging term (row 39). */
    uint64_t next = consensus__log_hint(c, m->ack.hint_index, m->ack.hint_term) + 1;

    next = min_u64(next, m->ack.prev_index);
    p->next = next > p->match ? next : p->match + 1;
    consensus__peer_move(c, p, CONSENSUS_PROBE);
}

/* It has lost entries that it acknowledged: it is to be counted on no further than it says now, and
 * asked again from there on (spec 2.16). */
static bool peer_lost(struct consensus *c, struct consensus__peer *p, uint64_t last_index)
{
    if (p->match <= last_index) {
        return false;
    }
    consensus__note(c, CONSENSUS_T_PEER_HOLED, &p->id, last_index + 1, p->match, 0);
    consensus__peer_begin(c, p);
    p->next = last_index < c->log.last_index ? last_index + 1 : c->log.last_index + 1;
    p->acked_ms = c->now_ms;
    return true;
}

void consensus__on_append_res(struct consensus *c, const struct consensus_msg *m)
{
    struct consensus__peer *p = answering(c, m, m->ack.session);

    if (p == NULL) {
        return;
    }
    p->applied = m->ack.applied;
    p->is_store_slow = m->ack.is_store_slow;
    if (m->ack.is_holed && peer_lost(c, p, m->ack.last_index)) {
        return;
    }
    if (!m->ack.is_accepted) {
        on_reject(c, p, m);
    } else if (m->ack.match <= c->log.last_index) {
        consensus__peer_acked(c, p, m->ack.match, m->ack.session == p->session);
    } else {
        consensus__note(c, CONSENSUS_T_MALFORMED, &m->from, m->kind, 0, 0);
        c->counters.messages_dropped++;
    }
}

/* Is something this peer was sent lost, with nothing behind it that would bring a rejection? Its
 * last index says so after two quiet heartbeats; should it lie (an old tail of its own), or should
 * the ack be what was lost, silence says so after an election timeout (spec 1.11, row 34). */
static bool is_stuck(const struct consensus *c, const struct consensus__peer *p,
                     const struct consensus_msg *m)
{
    uint64_t quiet_ms = c->now_ms - (p->sent_ms > p->moved_ms ? p->sent_ms : p->moved_ms);

    if (p->state != CONSENSUS_REPLICATE || p->match + 1 >= p->next) {
        return false;
    }
    return (m->alive.last_index < p->next - 1 &&
            quiet_ms > 2 * (uint64_t)c->options.heartbeat_ms) ||
           quiet_ms > c->options.election_ms_min;
}

/* Its log may be as long as ours, and yet it needs a snapshot: its state is lost (spec 2.16). It
 * gets both: what it has on disk counts, and without it there may be no quorum to commit anything.
 */
static void peer_state(struct consensus *c, struct consensus__peer *p, bool lacks_state)
{
    if (lacks_state && !p->lacks_state) {
        consensus__note(c, CONSENSUS_T_PEER_STATELESS, &p->id, p->match, 0, 0);
    }
    p->lacks_state = lacks_state;
}

void consensus__on_heartbeat_res(struct consensus *c, const struct consensus_msg *m)
{
    struct consensus__peer *p = answering(c, m, m->alive.session);

    if (p == NULL || m->alive.read_seq > c->office.read_seq) {
        return;
    }
    if (m->alive.read_seq >= p->read_echo) {
        p->read_echo = m->alive.read_seq;
        p->level = m->alive.level;
    }
    if (m->alive.is_promised && m->alive.read_seq > p->promise_echo) {
        p->promise_echo = m->alive.read_seq;
    }
    p->applied = m->alive.applied;
    p->is_store_slow = m->alive.is_store_slow;
    if (m->alive.is_holed && peer_lost(c, p, m->alive.last_index)) {
        return;
    }
    consensus__on_sum_answer(c, p, m);
    peer_state(c, p, m->alive.lacks_state);
    if (p->state == CONSENSUS_SNAPSHOT && !consensus__is_sending_to(c, p) &&
        c->now_ms - p->sent_ms > SNAPSHOT_RETRIES_MS(c)) {
        consensus__peer_move(c, p, CONSENSUS_PROBE); /* has it been helped from elsewhere? */
    } else if (is_stuck(c, p, m)) {
        p->next = p->match + 1;
        consensus__peer_move(c, p, CONSENSUS_PROBE);
    } else if ((p->is_probing || p->is_blocked) &&
               c->now_ms - p->sent_ms >= c->options.heartbeat_ms) {
        p->is_probing = false; /* it is there, and the probe or its answer is not */
        p->is_blocked = false;
    }
}

/* -- leader: entries from the store -------------------------------------------------------- */

static void fetched_drop(struct consensus *c, const struct consensus_event *ev)
{
    for (size_t i = 0; i < ev->fetched.count; i++) {
        consensus__drop(c, ev->fetched.entries[i].handle);
    }
}

/* Do they follow what the peer has, without a hole (row 30)? */
static bool fetched_fit(const struct consensus *c, const struct consensus__peer *p,
                        const struct consensus_event *ev)
{
    for (size_t i = 0; i < ev->fetched.count; i++) {
        const struct consensus_entry *e = &ev->fetched.entries[i];

        if (e->index != p->next + i || !consensus__log_has(c, e->index, e->term)) {
            return false;
        }
    }
    return ev->fetched.count > 0;
}

void consensus__on_fetched(struct consensus *c, const struct consensus_event *ev)
{
    struct consensus__peer *p = NULL;
    uint64_t bytes = 0;

    MU_ASSERT(ev->fetched.count <= CONSENSUS_ENTRIES_MAX);
    fetched_drop(c, ev); /* at the end of the step, behind the send */
    for (uint32_t i = 0; i < c->peers_count; i++) {
        if (c->peers[i].fetch_ticket == ev->fetched.ticket && ev->fetched.ticket != 0) {
            p = &c->peers[i];
        }
    }
    if (p == NULL || c->role != CONSENSUS_LEADER) {
        return;
    }
    p->fetch_ticket = 0;
    if (ev->fetched.code != CONSENSUS_FETCH_OK || !fetched_fit(c, p, ev)) {
        /* Nothing is wrong with the disk when it is compacted, or what the peer needs has changed.
         */
        consensus__note(c,
                        ev->fetched.code == CONSENSUS_FETCH_DAMAGED ? CONSENSUS_T_FETCH_FAILED
                                                                    : CONSENSUS_T_FETCH_LATE,
                        &p->id, p->next, 0, 0);
        p->sent_ms = c->now_ms;
        p->is_blocked = true; /* until its next heartbeat: nothing is sent with a hole */
        return;
    }
    for (size_t i = 0; i < ev->fetched.count; i++) {
        bytes += ev->fetched.entries[i].bytes;
    }
    c->counters.entries_reread += ev->fetched.count;
    p->fetch_load =
        c->office.load + consensus__load(ev->fetched.count, bytes) * FOR_NEW_ENTRIES / OLD_ENTRIES;
    struct consensus_msg *m = append_req(c, p, p->next - 1);

    m->append.entries = ev->fetched.entries;
    m->append.entries_count = (uint32_t)ev->fetched.count;
    p->commit_sent = min_u64(c->commit, p->next - 1 + ev->fetched.count);
    consensus__peer_sent(c, p, p->next + ev->fetched.count - 1, bytes);
}
