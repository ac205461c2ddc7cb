/* A tape becomes events of arbitrary content from arbitrary senders, for one core among peers:
 * every event returns, the invariants hold, no handle is lost or given back twice, no ticket is
 * answered twice, and no assertion is reachable from what a peer may send. A server may die of
 * messages that contradict what is committed; then nothing comes from it any more. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { STEPS_MAX = 400, HANDLES_MAX = 8192, TICKETS_MAX = 4096, BATCH = 6 };

struct world {
    struct consensus *c;
    const uint8_t *at;
    size_t left;
    uint64_t now_ms;
    bool is_out[HANDLES_MAX]; /* [handle] */
    uint32_t handles;
    uint8_t answered[TICKETS_MAX]; /* [ticket] */
    uint64_t tickets;
    uint64_t commit_to;
    struct consensus_fetch fetches[16];
    size_t fetches_count;
    struct consensus_snap_order orders[16]; /* carried out in this order */
    size_t orders_count;
    bool is_dead;
};

/* -- the tape ------------------------------------------------------------------------------ */

static uint8_t byte(struct world *w)
{
    if (w->left == 0) {
        return 0;
    }
    w->left--;
    return *w->at++;
}

/* Mostly small, now and then enormous. */
static uint64_t number(struct world *w)
{
    uint8_t b = byte(w);

    if (b < 240) {
        return b % 24;
    }
    return b < 250 ? (uint64_t)byte(w) << (b % 8 * 7) : UINT64_MAX - b % 4;
}

/* Something near what the core believes. */
static uint64_t near_to(struct world *w, uint64_t v)
{
    uint8_t b = byte(w);

    return b < 200 ? v + b % 7 - 3 : number(w);
}

static struct mu_id id_of(uint8_t n)
{
    struct mu_id id = { { 0 } };

    id.b[0] = n;
    return id;
}

static uint32_t handle_new(struct world *w)
{
    if (w->handles + 1 >= HANDLES_MAX) {
        return 0;
    }
    w->is_out[++w->handles] = true;
    return w->handles;
}

/* -- messages ------------------------------------------------------------------------------ */

static void append_of(struct world *w, struct consensus_msg *m, struct consensus_entry *entries,
                      struct consensus_config *config)
{
    uint64_t term = 0;

    m->append.session = byte(w) % 8;
    m->append.prev_index = near_to(w, w->c->log.last_index);
    m->append.prev_term = byte(w) < 200 ? consensus_term_at(w->c, m->append.prev_index) : number(w);
    m->append.commit = near_to(w, w->c->commit);
    m->append.is_push = byte(w) < 30;
    m->append.entries_count = byte(w) % (BATCH + 1);
    m->append.entries = entries;
    term = m->append.prev_term;
    for (uint32_t i = 0; i < m->append.entries_count; i++) {
        uint8_t kind = byte(w);

        term += kind % 16 == 0;
        entries[i] = (struct consensus_entry){
            .index = m->append.prev_index + 1 + i + (kind == 255),
            .term = byte(w) < 220 ? term : m->term,
            .bytes = kind * 100U,
            .handle = kind % 4 == 0 ? 0 : handle_new(w),
            .kind = (enum consensus_entry_kind)(kind % 5),
            .ticket = kind, /* not the peer's business */
        };
        if (kind % 3 == 0) {
            entries[i].config = config;
            config->index = entries[i].index;
            config->servers[2].is_voter = kind % 2 == 0;
            config->level = kind % 60 == 0 ? 3 : CONSENSUS_LEVEL_FIRST + kind % 2;
        }
    }
}

static void snapshot_of(struct world *w, struct consensus_msg *m, struct consensus_config *config)
{
    const struct consensus__install *i = &w->c->install;

    m->snapshot.session = byte(w) % 8;
    m->snapshot.snap = i->snap;
    if (byte(w) < 100 || i->snap.bytes == 0) {
        m->snapshot.snap.index = near_to(w, w->c->log.last_index);
        m->snapshot.snap.term = near_to(w, w->c->hard.term);
        m->snapshot.snap.bytes = 1 + byte(w) % 40;
        m->snapshot.snap.hash[0] = byte(w) % 2;
    }
    m->snapshot.offset = near_to(w, i->taken);
    m->snapshot.bytes = byte(w) % 20;
    if (m->kind == CONSENSUS_SNAP_OFFER && byte(w) < 250) {
        m->snapshot.config = config;
        config->index = byte(w) < 200 ? 1 : number(w);
        config->servers[2].is_voter = byte(w) % 2 == 0;
    }
}

static void body_of(struct world *w, struct consensus_msg *m, struct consensus_entry *entries,
                    struct consensus_config *config)
{
    switch (m->kind) {
    case CONSENSUS_PREVOTE_REQ:
    case CONSENSUS_VOTE_REQ:
        m->ask.next_term = near_to(w, m->term);
        m->ask.last_term = near_to(w, consensus__log_last_term(w->c));
        m->ask.last_index = near_to(w, w->c->log.last_index);
        m->ask.round = number(w);
        break;
    case CONSENSUS_PREVOTE_RES:
    case CONSENSUS_VOTE_RES:
        m->answer.asked_term = near_to(w, w->c->hard.term);
        m->answer.round = byte(w) < 200 ? w->c->round : number(w);
        m->answer.is_granted = byte(w) % 4 != 0;
        break;
    case CONSENSUS_APPEND_REQ: append_of(w, m, entries, config); break;
    case CONSENSUS_APPEND_RES:
        m->ack.session = byte(w) < 200 ? w->c->peers[byte(w) % 3].session : number(w);
        m->ack.prev_index = near_to(w, w->c->log.last_index);
        m->ack.match = near_to(w, w->c->log.last_index);
        m->ack.hint_index = number(w);
        m->ack.hint_term = number(w);
        m->ack.is_accepted = byte(w) % 3 != 0;
        break;
    case CONSENSUS_HEARTBEAT:
        m->heartbeat.session = number(w);
        m->heartbeat.read_seq = number(w);
        m->heartbeat.commit = near_to(w, w->c->commit);
        m->heartbeat.sum.index = near_to(w, w->c->sums.newest.index);
        m->heartbeat.is_odd = byte(w) % 8 == 0;
        break;
    case CONSENSUS_HEARTBEAT_RES:
        m->alive.session = byte(w) < 200 ? w->c->peers[byte(w) % 3].session : number(w);
        m->alive.read_seq = near_to(w, w->c->office.read_seq);
        m->alive.last_index = number(w);
        m->alive.applied = number(w);
        m->alive.sum.index = near_to(w, w->c->office.asked.index);
        m->alive.sum.hash[0] = byte(w) % 2;
        m->alive.level = m->alive.last_index % 4; /* older servers, as new ones, and newer ones */
        break;
    case CONSENSUS_SNAP_OFFER:
    case CONSENSUS_SNAP_CHUNK: snapshot_of(w, m, config); break;
    case CONSENSUS_SNAP_RES:
        m->snapshot_res.session = byte(w) < 200 ? w->c->peers[byte(w) % 3].session : number(w);
        m->snapshot_res.answer = (enum consensus_snap_answer)(byte(w) % 4);
        m->snapshot_res.offset = near_to(w, w->c->office.sending.stored);
        m->snapshot_res.match = near_to(w, w->c->log.last_index);
        m->snapshot_res.fault = (enum consensus_snap_fault)(byte(w) % 5);
        break;
    case CONSENSUS_TIMEOUT_NOW:
        m->timeout_now.last_index = near_to(w, w->c->log.last_index);
        m->timeout_now.valid_ms = byte(w) * 4U;
        break;
    case CONSENSUS_MEMBER_REQ: break;
    case CONSENSUS_MEMBER_RES:
        m->removed.config_index = number(w);
        m->removed.disk = byte(w) < 200 ? w->c->options.disk : m->from_disk;
        break;
    case CONSENSUS_INVITE: m->invite.disk = id_of(byte(w)); break;
    }
}

/* -- what comes out ------------------------------------------------------------------------ */

static void take_effects(struct world *w, const struct consensus_effects *fx)
{
    if (fx->made != NULL) {
        consensus_bind(w->c, fx->made->index, handle_new(w));
    }
    for (size_t i = 0; i < fx->writes_count; i++) {
        for (uint64_t j = fx->writes[i].first; j <= fx->writes[i].last; j++) {
            struct consensus_entry e;

            MU_ASSERT(consensus_entry_at(w->c, j, &e));
            MU_ASSERT(e.handle == 0 || w->is_out[e.handle]);
        }
    }
    for (size_t i = 0; i < fx->sends_count; i++) {
        const struct consensus_msg *m = &fx->sends[i];

        for (uint32_t j = 0; m->kind == CONSENSUS_APPEND_REQ && j < m->append.entries_count; j++) {
            struct consensus_entry e = consensus_sent_entry(w->c, m, j);

            MU_ASSERT(e.index == m->append.prev_index + 1 + j);
            MU_ASSERT(e.handle == 0 || w->is_out[e.handle]);
        }
    }
    for (size_t i = 0; i < fx->results_count; i++) {
        MU_ASSERT(fx->results[i].ticket <= w->tickets);
        MU_ASSERT(w->answered[fx->results[i].ticket]++ == 0);
    }
    for (size_t i = 0; i < fx->fetches_count && w->fetches_count < MU_LEN(w->fetches); i++) {
        w->fetches[w->fetches_count++] = fx->fetches[i];
    }
    for (size_t i = 0; i < fx->snaps_count; i++) {
        MU_ASSERT(w->orders_count < MU_LEN(w->orders));
        w->orders[w->orders_count++] = fx->snaps[i];
    }
    for (size_t i = 0; i < fx->drops_count; i++) {
        MU_ASSERT(fx->drops[i] > 0 && fx->drops[i] <= w->handles && w->is_out[fx->drops[i]]);
        w->is_out[fx->drops[i]] = false;
    }
    MU_ASSERT(fx->commit_to >= w->commit_to || fx->dead != NULL || consensus__is_resetting(w->c));
    w->commit_to = fx->dead != NULL ? w->commit_to : fx->commit_to;
    if (w->is_dead) {
        MU_ASSERT(fx->sends_count + fx->writes_count + fx->results_count == 0);
    }
    w->is_dead = fx->dead != NULL;
}

static void step(struct world *w, struct consensus_event *ev)
{
    struct consensus_effects fx;

    ev->now_ms = w->now_ms;
    for (;;) {
        consensus_step(w->c, ev, &fx);
        take_effects(w, &fx);
        consensus__check(w->c);
        if (!fx.again) {
            return;
        }
        *ev = (struct consensus_event){ .now_ms = w->now_ms, .kind = CONSENSUS_EV_WAKE };
    }
}

/* -- events -------------------------------------------------------------------------------- */

static void recv(struct world *w, struct consensus_config *config)
{
    struct consensus_entry entries[BATCH];
    struct consensus_msg m;
    struct consensus_event ev = { .kind = CONSENSUS_EV_RECV, .msg = &m };
    uint8_t from = byte(w);
    uint8_t twist = byte(w);

    memset(&m, 0, sizeof m);
    uint8_t kind = byte(w);

    m.kind = (enum consensus_msg_kind)(kind < 200 ? kind % 10 : kind % (CONSENSUS_MSG_KINDS + 2));
    m.from = id_of(from % 5); /* also oneself, nobody, and a stranger */
    m.from_disk = id_of((uint8_t)(100 + (twist == 1 ? 9 : from % 5)));
    m.to = id_of(twist == 2 ? 3 : 1);
    m.cluster = id_of(twist == 3 ? 78 : 77);
    m.epoch = twist == 4;
    m.term = near_to(w, w->c->hard.term);
    body_of(w, &m, entries, config);
    step(w, &ev);
}

/* Any change of any server, also of such that cannot be. */
static void change(struct world *w)
{
    struct consensus_event ev = { .kind = CONSENSUS_EV_CHANGE };
    struct consensus_change what = { .kind = (enum consensus_change_kind)(byte(w) % 6) };
    uint8_t server = byte(w) % 6;

    what.server = id_of(server);
    what.disk = what.kind == CONSENSUS_ADD ? id_of((uint8_t)(100 + server)) : MU_ID_NONE;
    what.by = id_of(byte(w) % 6);
    what.priority = byte(w) % 3;
    what.is_forced = byte(w) % 2 == 0;
    what.level = what.priority;
    ev.change.ticket = ++w->tickets;
    ev.change.what = &what;
    step(w, &ev);
}

static void transfer(struct world *w)
{
    struct consensus_event ev = { .kind = CONSENSUS_EV_TRANSFER };

    ev.transfer.ticket = ++w->tickets;
    ev.transfer.target = id_of(byte(w) % 6);
    step(w, &ev);
}

static void propose(struct world *w)
{
    struct consensus_proposal all[BATCH];
    struct consensus_event ev = { .kind = CONSENSUS_EV_PROPOSE };
    uint8_t what = byte(w);
    size_t count = 1 + what % BATCH;

    if (what >= 200 && w->tickets + 1 < TICKETS_MAX && w->handles + 2 < HANDLES_MAX) {
        if (what < 245) {
            change(w);
        } else {
            transfer(w);
        }
        return;
    }

    if (w->tickets + count >= TICKETS_MAX || w->handles + count >= HANDLES_MAX) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        all[i] = (struct consensus_proposal){
            .ticket = ++w->tickets,
            .bytes = byte(w) * 200U,
            .handle = handle_new(w),
            .is_relief = byte(w) < 20,
        };
        all[i].level = all[i].bytes % 1600 == 1400 ? 2 : 0;
    }
    ev.propose.proposals = all;
    ev.propose.count = count;
    step(w, &ev);
}

static void fetched(struct world *w)
{
    struct consensus_entry entries[BATCH] = { 0 };
    struct consensus_event ev = { .kind = CONSENSUS_EV_FETCHED };
    struct consensus_fetch f = { .ticket = byte(w), .first = 1 };

    if (w->fetches_count > 0 && byte(w) < 230) {
        f = w->fetches[--w->fetches_count];
    }
    ev.fetched.ticket = f.ticket;
    ev.fetched.code = (enum consensus_fetch_code)(byte(w) % 8 == 0 ? byte(w) % 3 : 0);
    ev.fetched.entries = entries;
    ev.fetched.count = byte(w) % (BATCH + 1);
    for (size_t i = 0; i < ev.fetched.count; i++) {
        entries[i] = (struct consensus_entry){
            .index = f.first + i,
            .term = byte(w) < 230 ? consensus_term_at(w->c, f.first + i) : number(w),
            .bytes = 10,
            .handle = handle_new(w),
            .kind = CONSENSUS_COMMAND,
        };
    }
    step(w, &ev);
}

/* One order is done, or fails; a switch never does. */
static void order_done(struct world *w)
{
    struct consensus_event ev = { .kind = CONSENSUS_EV_SNAPSHOT };
    const struct consensus *c = w->c;

    if (w->orders_count == 0) {
        return;
    }
    struct consensus_snap_order o = w->orders[0];
    bool fails = byte(w) < 30;

    memmove(w->orders, w->orders + 1, --w->orders_count * sizeof o);
    ev.snapshot.snap = o.snap;
    ev.snapshot.what = CONSENSUS_SNAP_LOST;
    ev.snapshot.fault = (enum consensus_snap_fault)(byte(w) % 5);
    switch (o.kind) {
    case CONSENSUS_SNAP_CLOSE:
    case CONSENSUS_SNAP_READ:
    case CONSENSUS_SNAP_ABANDON: return;
    case CONSENSUS_SNAP_EXPORT:
        ev.snapshot.what =
            fails || c->applied == 0 ? CONSENSUS_SNAP_EXPORT_FAILED : CONSENSUS_SNAP_EXPORTED;
        ev.snapshot.snap =
            (struct consensus_snap){ .index = c->applied, .term = 1, .bytes = 1 + byte(w) % 40 };
        break;
    case CONSENSUS_SNAP_OPEN:
        ev.snapshot.what = fails ? CONSENSUS_SNAP_LOST : CONSENSUS_SNAP_OPENED;
        ev.snapshot.offset = byte(w) % (o.snap.bytes + 1);
        break;
    case CONSENSUS_SNAP_STORE:
        ev.snapshot.what = fails ? CONSENSUS_SNAP_LOST : CONSENSUS_SNAP_STORED;
        ev.snapshot.offset = o.offset + o.bytes;
        break;
    case CONSENSUS_SNAP_IMPORT:
        ev.snapshot.what = fails ? CONSENSUS_SNAP_LOST : CONSENSUS_SNAP_IMPORTED;
        break;
    case CONSENSUS_SNAP_SWITCH: ev.snapshot.what = CONSENSUS_SNAP_SWITCHED; break;
    }
    step(w, &ev);
}

/* An owner that keeps its contract, whatever the peers do. */
static void owner(struct world *w)
{
    static const enum consensus_health healths[] = { CONSENSUS_STORE_OK, CONSENSUS_STORE_SLOW,
                                                     CONSENSUS_STORE_FULL,
                                                     CONSENSUS_STORE_READ_ONLY };
    struct consensus_event ev = { .kind = CONSENSUS_EV_WAKE };
    struct consensus *c = w->c;

    if (w->orders_count > MU_LEN(w->orders) / 2) {
        order_done(w);
        return;
    }
    switch (byte(w) % 11) {
    case 0: w->now_ms += byte(w) * (byte(w) < 30 ? 40U : 1U); break;
    case 1:
        w->now_ms = c->wake_at_ms == CONSENSUS_NEVER || c->wake_at_ms < w->now_ms ? w->now_ms
                                                                                  : c->wake_at_ms;
        break;
    case 2:
    case 3:
        if (c->writes.next_seq == 1) {
            return;
        }
        ev.kind = CONSENSUS_EV_PERSISTED;
        ev.persisted_seq = byte(w) % 2 ? c->writes.next_seq - 1 : c->writes.persisted_seq;
        break;
    case 4:
        ev.kind = CONSENSUS_EV_APPLIED;
        ev.applied.index = w->commit_to > c->applied ? w->commit_to : c->applied;
        ev.applied.durable_index = byte(w) % 2 ? ev.applied.index : c->durable_applied;
        break;
    case 9:
        if (c->applied <= c->sums.newest.index) {
            return;
        }
        ev.kind = CONSENSUS_EV_SUM;
        ev.sum.index = c->applied;
        ev.sum.hash[0] = byte(w) % 2;
        break;
    case 5:
        ev.kind = CONSENSUS_EV_STORE;
        ev.health = healths[byte(w) % 3];
        break;
    case 6:
        ev.kind = CONSENSUS_EV_PEER;
        ev.peer.id = id_of(byte(w) % 5);
        ev.peer.link = (enum consensus_link)(byte(w) % 4);
        break;
    case 7:
        ev.kind = CONSENSUS_EV_COMPACTED;
        ev.compacted_index = byte(w) < 60 ? c->durable_applied : c->log.base_index;
        break;
    case 8: order_done(w); return;
    default:
        if (w->tickets + 1 >= TICKETS_MAX) {
            return;
        }
        ev.kind = CONSENSUS_EV_READ;
        ev.read_ticket = ++w->tickets;
        break;
    }
    step(w, &ev);
}

/* -- one tape ------------------------------------------------------------------------------ */

static struct consensus *core_new(struct world *w, struct consensus_config *config)
{
    struct consensus_options o;
    const struct consensus_run runs[] = { { 1, 1 }, { 3, 2 } };
    struct consensus_loaded loaded = {
        .hard = { .term = 3, .cluster = id_of(77) },
        .runs = runs,
        .runs_count = 2,
        .configs = config,
        .configs_count = 1,
        .last_index = 5,
        .applied = 2,
        .durable_applied = 1,
        .seed = byte(w),
    };

    *config =
        (struct consensus_config){ .index = 1, .level = CONSENSUS_LEVEL_FIRST, .servers_count = 3 };
    for (uint8_t i = 0; i < 3; i++) {
        config->servers[i].id = id_of((uint8_t)(i + 1));
        config->servers[i].disk = id_of((uint8_t)(i + 101));
        config->servers[i].is_voter = true;
    }
    consensus_options_init(&o, CONSENSUS_FAST, 1);
    o.level_max = 2;
    o.server = id_of(1);
    o.disk = id_of(101);
    o.tail_entries = 40;
    o.reads_max = 8;
    o.writes_max = 10;
    o.runs_max = 16;
    o.inflight_max = 3;
    o.inflight_bytes_max = 60000;
    o.cache_bytes = 30000;
    o.tail_bytes_max = 200000;
    o.unsynced_bytes_max = 100000;
    o.uncommitted_bytes_max = 100000;
    o.with_trace = byte(w) % 2 == 0;
    struct consensus *c = mu_new(consensus_arena_bytes(&o));

    w->now_ms = 1 + byte(w);
    w->commit_to = loaded.applied;
    consensus_init(c, &o, &loaded, w->now_ms);
    return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct world *w = mu_new(sizeof *w);
    struct consensus_config config;
    size_t held = 0;
    size_t out = 0;

    w->at = data;
    w->left = bytes;
    w->c = core_new(w, &config);
    for (int i = 0; i < STEPS_MAX && w->left > 0; i++) {
        switch (byte(w) % 8) {
        case 0: propose(w); break;
        case 1: fetched(w); break;
        case 2:
        case 3: owner(w); break;
        default: recv(w, &config); break;
        }
    }
    for (uint64_t i = w->c->log.tail_first; i <= w->c->log.last_index && !w->is_dead; i++) {
        struct consensus_entry e;

        MU_ASSERT(consensus_entry_at(w->c, i, &e));
        held += e.handle != 0;
    }
    for (uint32_t i = 1; i <= w->handles; i++) {
        out += w->is_out[i];
    }
    MU_ASSERT(w->is_dead || held == out);
    mu_free(w->c);
    mu_free(w);
    return 0;
}
