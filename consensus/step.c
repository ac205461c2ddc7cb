/* step.c - one event in, effects out.
 *
 * The switch only routes. What an event changed is drawn out by settle(), in one order for all of
 * them: elections, the leader's work, answers whose writes are durable, tickets, and at the end one
 * write with everything that became dirty. Nothing a peer may hear depends on that write before
 * PERSISTED names it.
 */
#include <string.h>

#include "base/assert.h"
#include "core.h"

/* -- the arena ----------------------------------------------------------------------------- */

static size_t take(size_t *used, size_t count, size_t bytes)
{
    size_t at = (*used + 15) & ~(size_t)15;

    *used = at + count * bytes;
    return at;
}

static uint32_t drops_max(const struct consensus_options *o)
{
    return o->tail_entries + 2 * CONSENSUS_ENTRIES_MAX;
}

static void layout(struct consensus *c, const struct consensus_options *o)
{
    size_t used = sizeof *c;

    c->at.runs = take(&used, o->runs_max, sizeof(struct consensus_run));
    c->at.tickets = take(&used, o->tail_entries, sizeof(uint64_t));
    c->at.handles = take(&used, o->tail_entries, sizeof(uint32_t));
    c->at.sizes = take(&used, o->tail_entries, sizeof(uint32_t));
    c->at.kinds = take(&used, o->tail_entries, sizeof(uint8_t));
    c->at.writes = take(&used, o->writes_max, sizeof(struct consensus__write_slot));
    c->at.inflight = take(&used, (size_t)CONSENSUS_SLOTS_MAX * o->inflight_max,
                          sizeof(struct consensus__inflight));
    c->at.reads = take(&used, o->reads_max, sizeof(uint64_t));
    c->at.state_bytes = used;
    c->at.sends = take(&used, CONSENSUS_SENDS_MAX, sizeof(struct consensus_msg));
    c->at.results = take(&used, CONSENSUS_RESULTS_MAX, sizeof(struct consensus_result));
    c->at.notices = take(&used, CONSENSUS_NOTICES_MAX, sizeof(struct consensus_notice));
    c->at.fetches = take(&used, CONSENSUS_SLOTS_MAX, sizeof(struct consensus_fetch));
    c->at.drops = take(&used, drops_max(o), sizeof(uint32_t));
    c->at.total = used;
}

size_t consensus_arena_bytes(const struct consensus_options *options)
{
    struct consensus c;

    layout(&c, options);
    return c.at.total;
}

/* -- what a step produces ------------------------------------------------------------------ */

bool consensus__send_has_room(const struct consensus *c)
{
    return c->sends_count < CONSENSUS_SENDS_MAX;
}

/* The header is the same for all kinds (spec 1.6). */
struct consensus_msg *consensus__send(struct consensus *c, enum consensus_msg_kind kind,
                                      const struct mu_id *to)
{
    struct consensus_msg *sends = consensus__array(c, c->at.sends);

    MU_ASSERT(c->sends_count < CONSENSUS_SENDS_MAX);
    struct consensus_msg *m = &sends[c->sends_count++];

    memset(m, 0, sizeof *m);
    m->kind = kind;
    m->from = c->options.server;
    m->from_disk = c->options.disk;
    m->to = *to;
    m->cluster = c->hard.cluster;
    m->epoch = c->hard.epoch;
    m->term = c->hard.term;
    return m;
}

/* An event's own answers come first and always fit; what is answered later takes the rest. */
bool consensus__results_have_room(const struct consensus *c)
{
    return c->results_count < CONSENSUS_RESULTS_MAX;
}

void consensus__result(struct consensus *c, uint64_t ticket, enum consensus_outcome outcome,
                       enum consensus_refusal why, uint64_t index)
{
    struct consensus_result *results = consensus__array(c, c->at.results);

    MU_ASSERT(c->results_count < CONSENSUS_RESULTS_MAX);
    results[c->results_count++] = (struct consensus_result){ ticket, index, outcome, why };
}

void consensus__drop(struct consensus *c, uint32_t handle)
{
    uint32_t *drops = consensus__array(c, c->at.drops);

    if (handle == 0) {
        return;
    }
    MU_ASSERT(c->drops_count < drops_max(&c->options));
    drops[c->drops_count++] = handle;
}

void consensus__note(struct consensus *c, enum consensus_trace kind, const struct mu_id *peer,
                     uint64_t a, uint64_t b, uint64_t d)
{
    struct consensus_notice *notices = consensus__array(c, c->at.notices);
    struct consensus_notice n = { .kind = kind, .a = a, .b = b, .c = d };

    if (peer != NULL) {
        n.peer = *peer;
    }
    if (c->notices_count == CONSENSUS_NOTICES_MAX ||
        (!c->options.with_trace && consensus_notice_level(&n) == MU_TRACE)) {
        return; /* a story, not a duty */
    }
    notices[c->notices_count++] = n;
}

static const char *const deaths[] = {
    [CONSENSUS_ALIVE] = NULL,
    [CONSENSUS_DEATH_STORE] = "the log could not be written; what it holds is uncertain until a "
                              "restart has read it again",
    [CONSENSUS_DEATH_CONFLICT] = "the leader sends other entries where this server's are committed",
    [CONSENSUS_DEATH_DIVERGED] = "the state of this server differs from that of the majority",
    [CONSENSUS_DEATH_RUNS] = "the uncommitted part of the log has too many terms",
    [CONSENSUS_DEATH_REMOVED] =
        "this server was removed from the cluster, which its data directory "
        "remembers; with an empty one it may join again as a new server",
    [CONSENSUS_DEATH_LEVEL] =
        "the log has commands that this version of muster does not understand, or is told not to: "
        "start the version again that this server ran before",
};

const char *consensus__dead_text(enum consensus_death why)
{
    MU_ASSERT((size_t)why < MU_LEN(deaths));
    return deaths[why];
}

void consensus__die(struct consensus *c, enum consensus_death why)
{
    if (c->death == CONSENSUS_ALIVE) {
        c->death = why;
        consensus__note(c, CONSENSUS_T_DEAD, NULL, why, 0, 0);
    }
}

/* -- who may speak ------------------------------------------------------------------------- */

/* Complain about a peer at most once a second. */
static void complain(struct consensus *c, enum consensus_trace kind, const struct consensus_msg *m,
                     uint64_t a, uint64_t b)
{
    c->counters.messages_dropped++;
    if (c->now_ms >= c->complain_at_ms) {
        c->complain_at_ms = c->now_ms + 1000;
        consensus__note(c, kind, &m->from, a, b, 0);
    }
}

/* Does it count for something here, as a vote, an ack, or a round that was heard? Only then must
 * the disk be the one that the own configuration names. For what a leader or candidate asks that
 * would be too much: the own configuration may be the older one, in which its id had the disk that
 * it lost since. A disk that no configuration names never stands for election (spec 2.8, 2.11). */
static bool is_answer(const struct consensus_msg *m)
{
    return m->kind == CONSENSUS_PREVOTE_RES || m->kind == CONSENSUS_VOTE_RES ||
           m->kind == CONSENSUS_APPEND_RES || m->kind == CONSENSUS_HEARTBEAT_RES ||
           m->kind == CONSENSUS_MEMBER_RES;
}

/* Before any term is looked at: the right cluster, epoch, receiver and disk (spec 1.6, 2.11), and a
 * term that can be (2.20). */
static bool is_for_us(struct consensus *c, const struct consensus_msg *m)
{
    const struct consensus__peer *p = consensus__peer_find(c, &m->from);

    if (mu_id_is_none(&c->hard.cluster) || !mu_id_eq(&m->cluster, &c->hard.cluster)) {
        complain(c, CONSENSUS_T_OTHER_CLUSTER, m, 0, 0);
    } else if (m->epoch != c->hard.epoch) {
        complain(c, CONSENSUS_T_OTHER_EPOCH, m, m->epoch, c->hard.epoch);
    } else if (!mu_id_eq(&m->to, &c->options.server) || mu_id_is_none(&m->from) ||
               mu_id_eq(&m->from, &c->options.server)) {
        complain(c, CONSENSUS_T_OTHER_RECEIVER, m, 0, 0);
    } else if (p != NULL && is_answer(m) && !mu_id_eq(&p->disk, &m->from_disk)) {
        complain(c, CONSENSUS_T_OTHER_DISK, m, 0, 0);
    } else if (!consensus_msg_kind_is_known(m->kind) || m->term == 0) {
        complain(c, CONSENSUS_T_MALFORMED, m, m->kind, 0);
    } else if (m->term > c->hard.term && m->term - c->hard.term > CONSENSUS_TERM_JUMP_MAX) {
        complain(c, CONSENSUS_T_TERM_TOO_HIGH, m, m->term, c->hard.term);
    } else {
        return true;
    }
    return false;
}

/* The rules about terms, for all kinds (the table of spec 1.6). A request of an older term is
 * answered by its handler, with the newer term in the header; an answer of an older term is void,
 * but for a pre-vote: a voter that is behind may still give one, bound by term and round. */
enum higher { ADOPTS, UNLESS_STICKY, IF_REFUSED, NEVER };
enum lower { ANSWERS, DROPS };
static const struct {
    enum higher higher;
    enum lower lower;
} rules[] = {
    [CONSENSUS_PREVOTE_REQ] = { NEVER, ANSWERS },
    [CONSENSUS_PREVOTE_RES] = { IF_REFUSED, ANSWERS },
    [CONSENSUS_VOTE_REQ] = { UNLESS_STICKY, ANSWERS },
    [CONSENSUS_VOTE_RES] = { ADOPTS, DROPS },
    [CONSENSUS_APPEND_REQ] = { ADOPTS, ANSWERS },
    [CONSENSUS_APPEND_RES] = { ADOPTS, DROPS },
    [CONSENSUS_HEARTBEAT] = { ADOPTS, ANSWERS },
    [CONSENSUS_HEARTBEAT_RES] = { ADOPTS, DROPS },
    [CONSENSUS_SNAP_OFFER] = { ADOPTS, ANSWERS },
    [CONSENSUS_SNAP_CHUNK] = { ADOPTS, ANSWERS },
    [CONSENSUS_SNAP_RES] = { ADOPTS, DROPS },
    [CONSENSUS_TIMEOUT_NOW] = { NEVER, DROPS }, /* its handler wants the own term */
    [CONSENSUS_MEMBER_REQ] = { NEVER, ANSWERS },
    [CONSENSUS_MEMBER_RES] = { NEVER, ANSWERS },
    [CONSENSUS_INVITE] = { NEVER, DROPS },
};

/* May the message go on to its handler? */
static bool term_judge(struct consensus *c, const struct consensus_msg *m)
{
    if (m->term < c->hard.term) {
        return rules[m->kind].lower == ANSWERS;
    }
    if (m->term == c->hard.term) {
        return true;
    }
    switch (rules[m->kind].higher) {
    case NEVER: return true;
    case IF_REFUSED:
        if (m->answer.is_granted) {
            return true;
        }
        break;
    case UNLESS_STICKY:
        /* Ignored, not refused: no term is adopted (spec 2.3). But a leader that asks itself no
         * longer leads: whoever gave it a pre-vote must give it the vote as well (row 7). And the
         * leader of this very term may have asked for it (2.4). */
        if (consensus__promise_forbids(c, m) ||
            (consensus__is_sticky(c) && !mu_id_eq(&c->leader, &m->from) &&
             m->ask.transfer_term != c->hard.term)) {
            consensus__note(c, CONSENSUS_T_VOTE_IGNORED, &m->from, m->term, 0, 0);
            return false;
        }
        break;
    case ADOPTS: break;
    }
    consensus__term_adopt(c, m->term, &m->from);
    return true;
}

/* -- events -------------------------------------------------------------------------------- */

static void drop_given(struct consensus *c, const struct consensus_msg *m)
{
    for (uint32_t i = 0; m->kind == CONSENSUS_APPEND_REQ && i < m->append.entries_count; i++) {
        consensus__drop(c, m->append.entries[i].handle);
    }
}

static void on_recv(struct consensus *c, const struct consensus_msg *m)
{
    MU_ASSERT(m->kind != CONSENSUS_APPEND_REQ ||
              m->append.entries_count <= CONSENSUS_ENTRIES_MAX); /* the codec's bound */
    if (c->is_stopped || !is_for_us(c, m) || !term_judge(c, m)) {
        drop_given(c, m);
        return;
    }
    switch (m->kind) { /* no default: a new kind must be placed here */
    case CONSENSUS_PREVOTE_REQ: consensus__on_prevote_req(c, m); break;
    case CONSENSUS_PREVOTE_RES: consensus__on_prevote_res(c, m); break;
    case CONSENSUS_VOTE_REQ: consensus__on_vote_req(c, m); break;
    case CONSENSUS_VOTE_RES: consensus__on_vote_res(c, m); break;
    case CONSENSUS_APPEND_REQ: consensus__on_append_req(c, m); break;
    case CONSENSUS_APPEND_RES: consensus__on_append_res(c, m); break;
    case CONSENSUS_HEARTBEAT: consensus__on_heartbeat(c, m); break;
    case CONSENSUS_HEARTBEAT_RES: consensus__on_heartbeat_res(c, m); break;
    case CONSENSUS_SNAP_OFFER: consensus__on_snap_offer(c, m); break;
    case CONSENSUS_SNAP_CHUNK: consensus__on_snap_chunk(c, m); break;
    case CONSENSUS_SNAP_RES: consensus__on_snap_res(c, m); break;
    case CONSENSUS_TIMEOUT_NOW: consensus__on_timeout_now(c, m); break;
    case CONSENSUS_MEMBER_REQ: consensus__on_member_req(c, m); break;
    case CONSENSUS_MEMBER_RES: consensus__on_member_res(c, m); break;
    case CONSENSUS_INVITE: break; /* accepted long ago: it has a cluster */
    }
}

static void on_applied(struct consensus *c, uint64_t index, uint64_t durable, uint64_t state_bytes)
{
    MU_ASSERT(index >= c->applied && index <= c->commit && index <= c->writes.stable); /* O7 */
    MU_ASSERT(durable >= c->durable_applied && durable <= index);
    c->applied = index;
    c->durable_applied = durable;
    c->state_bytes = state_bytes;
}

static void on_store(struct consensus *c, enum consensus_health health)
{
    MU_ASSERT(c->health != CONSENSUS_STORE_FAILED); /* for good */
    if (c->health != health) {
        c->slow_since_ms = c->now_ms;
    }
    c->health = (uint8_t)health;
    if (health == CONSENSUS_STORE_FAILED) {
        consensus__die(c, CONSENSUS_DEATH_STORE); /* a failed flush is never tried again (2.15) */
    }
}

/* A leader first gives its office away, if anybody can take it (spec 2.4, 2.20). */
static void on_stop(struct consensus *c)
{
    c->is_stopping = !c->is_stopped;
    if (c->role != CONSENSUS_LEADER) {
        return;
    }
    if (c->office.transfer.is_running) { /* then to wherever that leads */
        c->office.transfer.why = CONSENSUS_TRANSFER_STOPS;
    } else if (consensus__transfer_begin(c, CONSENSUS_TRANSFER_STOPS, NULL) !=
               CONSENSUS_NOT_REFUSED) {
        consensus__role_move(c, CONSENSUS_OBSERVER);
    }
}

/* Once it is not the leader, or no more. */
static void stop_run(struct consensus *c)
{
    if (!c->is_stopping || c->role == CONSENSUS_LEADER) {
        return;
    }
    c->is_stopping = false;
    c->is_stopped = true;
    c->is_elector = false;
    c->pending_count = 0; /* also of an observer, whose role does not change */
    consensus__note(c, CONSENSUS_T_STOPPED, NULL, 0, 0, 0);
    consensus__role_move(c, CONSENSUS_OBSERVER);
}

static void route(struct consensus *c, const struct consensus_event *ev)
{
    switch (ev->kind) { /* no default: a new kind must be placed here */
    case CONSENSUS_EV_WAKE: break;
    case CONSENSUS_EV_RECV: on_recv(c, ev->msg); break;
    case CONSENSUS_EV_PROPOSE: consensus__on_propose(c, ev); break;
    case CONSENSUS_EV_READ: consensus__on_read(c, ev->read_ticket); break;
    case CONSENSUS_EV_CHANGE: consensus__on_change(c, ev); break;
    case CONSENSUS_EV_TRANSFER: consensus__on_transfer(c, ev); break;
    case CONSENSUS_EV_PERSISTED:
        consensus__on_persisted(c, ev->persisted_seq, ev->persisted_late_ms);
        break;
    case CONSENSUS_EV_STORE: on_store(c, ev->health); break;
    case CONSENSUS_EV_APPLIED:
        on_applied(c, ev->applied.index, ev->applied.durable_index, ev->applied.state_bytes);
        break;
    case CONSENSUS_EV_SUM: consensus__on_sum(c, &ev->sum); break;
    case CONSENSUS_EV_FETCHED: consensus__on_fetched(c, ev); break;
    case CONSENSUS_EV_PEER: consensus__on_peer(c, ev); break;
    case CONSENSUS_EV_COMPACTED: consensus__log_compact(c, ev->compacted_index); break;
    case CONSENSUS_EV_SHED: consensus__on_shed(c, ev->shed_index); break;
    case CONSENSUS_EV_SNAPSHOT: consensus__on_snapshot(c, ev); break;
    case CONSENSUS_EV_STOP: on_stop(c); break;
    }
}

/* -- time ---------------------------------------------------------------------------------- */

/* This process stood still (stopped, swapped, a frozen machine). What arrived meanwhile is being
 * read only now, so silence proves nothing (spec 2.17). */
static void on_pause(struct consensus *c, uint64_t was_ms, uint64_t ms)
{
    c->counters.pauses_seen++;
    consensus__note(c, CONSENSUS_T_PAUSED, NULL, ms, 0, 0);
    consensus__writes_shift(c, ms);
    consensus__promise_renew(c, was_ms);
    if (c->role == CONSENSUS_LEADER) {
        for (uint32_t i = 0; i < CONSENSUS_SLOTS_MAX; i++) {
            c->peers[i].acked_ms = 0;
        }
        c->office.since_ms = c->now_ms;
        c->office.confirm_seq = c->office.read_seq + 1;
        c->office.is_heartbeat_due = true;
        consensus__lease_break(c);
        consensus__reads_pause(c);
        return;
    }
    if (c->role == CONSENSUS_PRE_CANDIDATE || c->role == CONSENSUS_CANDIDATE) {
        consensus__role_move(c, CONSENSUS_FOLLOWER);
    }
    consensus__timer_reset(c);
}

static void time_advance(struct consensus *c, uint64_t now_ms)
{
    uint64_t wake_ms = c->wake_at_ms;
    uint64_t was_ms = c->now_ms;

    MU_ASSERT(now_ms >= c->now_ms);
    c->now_ms = now_ms;
    if (wake_ms != CONSENSUS_NEVER && now_ms > wake_ms + c->options.pause_ms && !c->is_stopped) {
        on_pause(c, was_ms, now_ms - wake_ms);
    }
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The next instant at which silence means something. */
static uint64_t next_wake(const struct consensus *c)
{
    uint64_t at = CONSENSUS_NEVER;

    switch ((enum consensus_role)c->role) {
    case CONSENSUS_OBSERVER: break;
    case CONSENSUS_FOLLOWER: at = c->election_at_ms; break;
    case CONSENSUS_PRE_CANDIDATE:
    case CONSENSUS_CANDIDATE:
        at = c->election_at_ms;
        if (c->campaign.has_asked) {
            at = sooner(at, c->campaign.ask_at_ms);
        }
        break;
    case CONSENSUS_LEADER:
        at = sooner(c->office.heartbeat_at_ms, consensus__office_ends_ms(c));
        if (c->office.is_push_held) {
            at = sooner(at, c->office.push_at_ms);
        }
        if (c->office.transfer.is_running) {
            at = sooner(at, c->office.transfer.ends_at_ms);
        }
        if ((c->writes.count > 0 || c->health == CONSENSUS_STORE_SLOW) &&
            consensus__stall_ends_office(c)) {
            at = sooner(at, c->now_ms + 1 + c->options.stall_ms -
                                sooner(consensus__stall_ms(c), c->options.stall_ms));
        }
        break;
    }
    return sooner(at, consensus__membership_wake_ms(c));
}

/* -- the step ------------------------------------------------------------------------------ */

static void settle(struct consensus *c)
{
    consensus__log_trim(c); /* before anything is sent: what a send names must still be there */
    consensus__install_run(c);
    if (!c->is_elector && c->role != CONSENSUS_LEADER) { /* e.g. a removed leader, deposed */
        consensus__role_move(c, CONSENSUS_OBSERVER);
    }
    stop_run(c); /* who stops begins no campaign, though it may be time for one */
    consensus__election_run(c);
    if (c->role == CONSENSUS_LEADER) {
        consensus__lead_run(c);
        stop_run(c);
    }
    if (!c->is_stopped) {
        consensus__membership_run(c);
    }
    consensus__replies_release(c);
    consensus__tickets_drain(c);
    consensus__reads_drain(c);
    consensus__transfer_drain(c);
    consensus__write_flush(c);
    c->compact_to = consensus__compact_to(c);
}

static void scratch_clear(struct consensus *c)
{
    c->sends_count = 0;
    c->results_count = 0;
    c->notices_count = 0;
    c->fetches_count = 0;
    c->drops_count = 0;
    c->snaps_count = 0;
    c->compact_to = 0;
    c->has_write = false;
    c->has_made = false;
    c->wants_again = false;
    c->has_peers_change = false;
}

static void effects_view(struct consensus *c, struct consensus_effects *fx)
{
    bool is_dead = c->death != CONSENSUS_ALIVE;
    uint64_t durable = c->commit < c->writes.stable ? c->commit : c->writes.stable;

    if (consensus__is_resetting(c) || c->lacks_state) {
        durable = c->applied; /* what comes next is not an entry but a state */
    }
    *fx = (struct consensus_effects){
        .notices = consensus__array(c, c->at.notices),
        .notices_count = c->notices_count,
        .drops = consensus__array(c, c->at.drops),
        .drops_count = c->drops_count,
        .wake_at_ms = CONSENSUS_NEVER,
        .dead = consensus__dead_text((enum consensus_death)c->death),
        .commit_to = durable,
    };
    if (is_dead) {
        return; /* nothing is written, said or answered any more */
    }
    fx->made = c->has_made ? consensus__config(c) : NULL;
    fx->writes = &c->write;
    fx->writes_count = c->has_write;
    fx->sends = consensus__array(c, c->at.sends);
    fx->sends_count = c->sends_count;
    fx->results = consensus__array(c, c->at.results);
    fx->results_count = c->results_count;
    fx->fetches = consensus__array(c, c->at.fetches);
    fx->fetches_count = c->fetches_count;
    fx->snaps = c->snaps;
    fx->snaps_count = c->snaps_count;
    fx->compact_to = c->compact_to;
    fx->wake_at_ms = c->wake_at_ms;
    fx->again = c->is_again;
    fx->peers_changed = c->has_peers_change;
    fx->may_persist_late = consensus__may_persist_late(c);
}

/* The dead take nothing, but give back what they are handed. */
static void step_dead(struct consensus *c, const struct consensus_event *ev)
{
    if (ev->kind == CONSENSUS_EV_RECV) {
        drop_given(c, ev->msg);
    } else if (ev->kind == CONSENSUS_EV_PROPOSE) {
        for (size_t i = 0; i < ev->propose.count; i++) {
            consensus__drop(c, ev->propose.proposals[i].handle);
        }
    } else if (ev->kind == CONSENSUS_EV_FETCHED) {
        for (size_t i = 0; i < ev->fetched.count; i++) {
            consensus__drop(c, ev->fetched.entries[i].handle);
        }
    }
}

void consensus_step(struct consensus *c, const struct consensus_event *ev,
                    struct consensus_effects *fx)
{
    scratch_clear(c);
    if (c->death != CONSENSUS_ALIVE) {
        step_dead(c, ev);
        effects_view(c, fx);
        return;
    }
    MU_ASSERT(!c->is_again || ev->kind == CONSENSUS_EV_WAKE); /* what waits goes first */
    time_advance(c, ev->now_ms);
    route(c, ev);
    if (c->death == CONSENSUS_ALIVE) {
        settle(c);
    }
    c->is_again = c->wants_again;
    c->wake_at_ms = next_wake(c);
    effects_view(c, fx);
}

struct consensus_entry consensus_sent_entry(const struct consensus *c,
                                            const struct consensus_msg *send, uint32_t i)
{
    struct consensus_entry e = { 0 };

    MU_ASSERT(send->kind == CONSENSUS_APPEND_REQ && i < send->append.entries_count);
    if (send->append.entries != NULL) {
        return send->append.entries[i];
    }
    MU_ASSERT(consensus_entry_at(c, send->append.prev_index + 1 + i, &e));
    return e;
}

/* -- beginning ----------------------------------------------------------------------------- */

/* Hard state and log come from one disk, but a term may have reached it with an entry only. */
static void load_hard(struct consensus *c, const struct consensus_loaded *loaded)
{
    uint64_t last_term = consensus__log_last_term(c);

    c->hard = loaded->hard;
    if (last_term > c->hard.term) {
        c->hard.term = last_term;
        c->hard.voted_for = MU_ID_NONE;
    }
}

/* The only voter, also in the configurations before that which are not known to be gone: a leader
 * by one of those may have a lease from here, of which nothing is left after a crash (lease.c). */
static bool is_alone(const struct consensus *c)
{
    for (uint32_t i = 0; i < c->configs_count; i++) {
        const struct consensus_config *config = &c->configs[i];
        const struct consensus_server *own = consensus_config_find(config, &c->options.server);

        if (own == NULL || !consensus__quorum_of(config, 1U << (own - config->servers))) {
            return false;
        }
    }
    return c->self < CONSENSUS_PEERS_MAX;
}

void consensus_init(struct consensus *c, const struct consensus_options *options,
                    const struct consensus_loaded *loaded, uint64_t now_ms)
{
    MU_ASSERT(consensus_options_check(options, NULL) == MU_OK);
    MU_ASSERT(loaded->applied >= loaded->base_index && loaded->applied <= loaded->last_index);
    MU_ASSERT(loaded->durable_applied <= loaded->applied);
    MU_ASSERT(!loaded->lacks_state || loaded->applied == loaded->base_index);
    MU_ASSERT(loaded->configs_count == 0 ||
              loaded->configs[loaded->configs_count - 1].level <= options->level_max);
    c->options = *options;
    layout(c, options);
    c->now_ms = now_ms;
    c->wake_at_ms = CONSENSUS_NEVER;
    mu_rand_seed(&c->rand, loaded->seed);
    c->round = mu_rand_u64(&c->rand) >> 1; /* of no earlier boot */
    c->role = CONSENSUS_OBSERVER;
    c->lost_next = 1;
    c->self = CONSENSUS_PEERS_MAX;
    consensus__membership_begin(c);
    consensus__log_load(c, loaded);
    load_hard(c, loaded);
    /* The commit index is not stored: what is applied was committed (spec 2.6) */
    c->commit = loaded->applied;
    c->answered = loaded->applied;
    c->applied = loaded->applied;
    c->durable_applied = loaded->durable_applied;
    c->floor_index = loaded->floor_index;
    c->floor_term = loaded->floor_term;
    c->lacks_state = loaded->lacks_state;
    c->sums.is_copy = loaded->state_is_copy;
    c->writes.next_seq = loaded->seq + 1;
    c->writes.persisted_seq = loaded->seq;
    c->writes.stable = loaded->last_index;
    consensus__configs_load(c, loaded);
    consensus__peers_align(c);
    consensus__role_settle(c);
    consensus__config_committed(c);
    consensus__timer_reset(c);
    c->quiet_until_ms = loaded->may_have_promised ? now_ms + c->options.election_ms_min : 0;
    if (loaded->campaigns_at_once || is_alone(c)) {
        c->election_at_ms = now_ms; /* nobody else could be first */
    }
    c->wake_at_ms = next_wake(c);
    scratch_clear(c);
}
