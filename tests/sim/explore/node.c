/* node.c - one server as a deterministic machine: snapshots, steps, and the checks that need no
 * other server (O1, O2, I2, I7, I10, I19 of spec/consensus.md 1.7 and 4.4). */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "work.h"

enum { X_CONFIGS_MAX = 128 - 2 };

#define PAUSE_MS UINT64_C(100000)

static struct {
    struct x_rules rules;
    struct consensus_options options;
    struct consensus_config configs[X_CONFIGS_MAX]; /* the first is that of index 1 */
    uint32_t configs_count;
    struct x__work work;
    struct mu_id cluster;

    struct x_pool nodes, messages;
    struct x__snapshot *snapshots;
    struct x_face **faces; /* each by itself: views of them stay good */
    size_t nodes_room;
    struct x_message **all_messages;
    size_t messages_room;

    struct x_pool steps; /* by (node, action) */
    struct x_result *results;
    size_t results_room;
    uint32_t *sends;
    size_t sends_count, sends_room;
    struct x_answer *answers;
    size_t answers_count, answers_room;

    struct x_result now; /* of the step that is made */
    bool is_telling;
    char fault[160];
} x;

static struct mu_id id_of(uint32_t place, uint8_t kind)
{
    struct mu_id id = { { 0 } };

    id.b[0] = (uint8_t)(place + 1);
    id.b[1] = kind;
    return id;
}

void x__fault(const char *fmt, ...)
{
    va_list args;

    if (x.now.fault == NULL) {
        va_start(args, fmt);
        (void)vsnprintf(x.fault, sizeof x.fault, fmt, args);
        va_end(args);
        x.now.fault = mu_strdup(x.fault);
    }
}

/* Its number among all configurations that were ever made. */
static uint8_t config_intern(const struct consensus_config *config)
{
    uint8_t bytes[CONSENSUS_CONFIG_BYTES_MAX];
    uint8_t other[CONSENSUS_CONFIG_BYTES_MAX];
    size_t size = consensus_config_encode(config, bytes);

    for (uint32_t i = 0; i < x.configs_count; i++) {
        if (consensus_config_encode(&x.configs[i], other) == size &&
            memcmp(bytes, other, size) == 0) {
            return (uint8_t)(X_CONFIG + i);
        }
    }
    MU_ASSERT(x.configs_count < X_CONFIGS_MAX);
    x.configs[x.configs_count] = *config;
    return (uint8_t)(X_CONFIG + x.configs_count++);
}

/* -- messages ------------------------------------------------------------------------------ */

const struct x_message *x_message_at(uint32_t id)
{
    return x.all_messages[id];
}

uint32_t x_message_intern(const struct x_message *m)
{
    uint32_t id = 0;

    if (x_pool_put(&x.messages, x_hash_bytes(m, sizeof *m), &id)) {
        if (id >= x.messages_room) {
            x.messages_room = x.messages_room * 2 + 256;
            x.all_messages = mu_grow(x.all_messages, x.messages_room * sizeof(struct x_message *));
        }
        x.all_messages[id] = mu_new(sizeof *m);
        *x.all_messages[id] = *m;
    }
    return id;
}

/* -- nodes --------------------------------------------------------------------------------------
 */

static uint32_t node_intern(struct x__work *w)
{
    uint32_t id = 0;

    x__normal_form(w, x.rules.has_prevote);
    if (x_pool_put(&x.nodes, x_hash_bytes(w->head, w->bytes), &id)) {
        if (id >= x.nodes_room) {
            x.nodes_room = x.nodes_room * 2 + 256;
            x.snapshots = mu_grow(x.snapshots, x.nodes_room * sizeof *x.snapshots);
            x.faces = mu_grow(x.faces, x.nodes_room * sizeof(struct x_face *));
        }
        x.snapshots[id] = x__compress(w);
        x.faces[id] = mu_new(sizeof(struct x_face));
        *x.faces[id] = x__face(w);
    }
    return id;
}

const struct x_face *x_face_of(uint32_t node)
{
    return x.faces[node];
}

/* -- effects -------------------------------------------------------------------------------- */

/* I2: one vote a term, on the disk and in messages, through all restarts. */
static void vote_check(struct x__work *w, uint64_t term, const struct mu_id *to)
{
    MU_ASSERT(term < X_TERMS_MAX);
    uint8_t vote = (uint8_t)(x__place_of(to) + 1);

    if (mu_id_is_none(to)) {
        return;
    }
    if (w->head->votes[term] != 0 && w->head->votes[term] != vote) {
        x__fault("I2: two votes of term %llu", U(term));
    }
    w->head->votes[term] = vote;
}

static void send_check(struct x__work *w, const struct consensus_msg *m)
{
    const struct consensus_hard *disk = &w->head->hard;

    if (m->kind == CONSENSUS_VOTE_REQ) {
        if (disk->term != m->term || !mu_id_eq(&disk->voted_for, &m->from)) {
            x__fault("O1: asks for votes before its own is durable");
        }
        vote_check(w, m->term, &m->from);
    }
    if (m->kind == CONSENSUS_VOTE_RES && m->answer.is_granted) {
        if (disk->term != m->term || !mu_id_eq(&disk->voted_for, &m->to)) {
            x__fault("O2: a vote that is not durable");
        }
        vote_check(w, m->term, &m->to);
    }
    if (m->kind == CONSENSUS_APPEND_RES && m->ack.is_accepted &&
        (disk->term < m->term || m->ack.match > w->head->disk_last ||
         (m->ack.match >= w->core->log.base_index &&
          w->head->disk[m->ack.match].term != consensus_term_at(w->core, m->ack.match)))) {
        x__fault("I7: acknowledges entry %llu, which is not durable", U(m->ack.match));
    }
}

static void take_send(struct x__work *w, const struct consensus_msg *msg)
{
    struct x_message m;
    uint32_t to = x__place_of(&msg->to);

    if (to >= x.rules.nodes_count ||
        (!x.rules.has_prevote &&
         (msg->kind == CONSENSUS_PREVOTE_REQ || msg->kind == CONSENSUS_PREVOTE_RES))) {
        return;
    }
    send_check(w, msg);
    memset(&m, 0, sizeof m);
    m.msg = *msg;
    m.from = (uint8_t)w->place;
    m.to = (uint8_t)to;
    if (msg->kind == CONSENSUS_APPEND_REQ) {
        m.msg.append.entries = NULL;
        MU_ASSERT(msg->append.entries_count <= X_BATCH_MAX);
        for (uint32_t i = 0; i < msg->append.entries_count; i++) {
            struct consensus_entry e = consensus_sent_entry(w->core, msg, i);

            m.entries[i] =
                (struct x_entry){ (uint8_t)e.term, (uint8_t)e.handle, (uint8_t)e.kind, 0 };
        }
    }
    if (msg->kind == CONSENSUS_SNAP_OFFER) {
        m.msg.snapshot.config = NULL; /* its index: the state tells */
        m.entries[0].content = config_intern(msg->snapshot.config);
    }
    if (x.sends_count == x.sends_room) {
        x.sends_room = x.sends_room * 2 + 1024;
        x.sends = mu_grow(x.sends, x.sends_room * sizeof *x.sends);
    }
    x.sends[x.sends_count++] = x_message_intern(&m);
    x.now.sends_count++;
}

static void take_write(struct x__work *w, const struct consensus_write *write)
{
    struct x__write *to = &w->head->queue[w->head->queue_count];

    MU_ASSERT(w->head->queue_count < X_QUEUE_MAX && write->last < X_LOG_MAX);
    memset(to, 0, sizeof *to);
    to->write = *write;
    for (uint64_t i = write->first; i <= write->last; i++) {
        struct consensus_entry e;

        MU_ASSERT(consensus_entry_at(w->core, i, &e));
        to->entries[i] = (struct x_entry){ (uint8_t)e.term, (uint8_t)e.handle, (uint8_t)e.kind, 0 };
    }
    if (write->reset_index > 0) { /* the log begins anew: behind what the next state is of */
        to->write.reset_config = NULL;
        memcpy(to->entries, w->head->imported, sizeof to->entries);
        if (config_intern(write->reset_config) !=
            to->entries[x__config_of(to->entries, write->reset_index)].content) {
            x__fault("I12: a state of %llu with another configuration", U(write->reset_index));
        }
    }
    w->head->queue_count++;
}

static void take_answer(const struct consensus_result *r)
{
    if (r->ticket >= 0x200) {
        return; /* of a change or a transfer */
    }
    if (x.answers_count == x.answers_room) {
        x.answers_room = x.answers_room * 2 + 256;
        x.answers = mu_grow(x.answers, x.answers_room * sizeof *x.answers);
    }
    /* tickets of reads lie above those of proposals */
    x.answers[x.answers_count++] = (struct x_answer){
        (uint8_t)(r->ticket & 0xff),
        (uint8_t)r->outcome,
        (uint8_t)r->index,
        r->ticket > 0xff,
    };
    x.now.answers_count++;
}

static void reseed(struct x__work *w)
{
    struct consensus *c = w->core;

    /* nonces of one (term, length of the log) are equal on all paths, others differ */
    mu_rand_seed(&c->rand, (uint64_t)w->place << 32 | c->hard.term << 16 | c->log.last_index);
}

static void fetched(struct x__work *w, const struct consensus_fetch *f);

void x__feed(struct x__work *w, struct consensus_event ev)
{
    struct consensus_effects fx;
    struct consensus_fetch fetches[CONSENSUS_PEERS_MAX];
    size_t fetches_count = 0;
    struct consensus_snap_order orders[4 * CONSENSUS_SNAPS_MAX];
    size_t orders_count = 0;
    uint64_t compact_to = 0;

    do {
        reseed(w);
        ev.now_ms = X__NOW;
        consensus_step(w->core, &ev, &fx);
        if (x.is_telling) {
            x__tell_effects(w, &fx);
        }
        if (fx.made != NULL) {
            consensus_bind(w->core, fx.made->index, config_intern(fx.made));
        }
        for (size_t i = 0; i < fx.writes_count; i++) {
            take_write(w, &fx.writes[i]);
        }
        for (size_t i = 0; i < fx.sends_count; i++) {
            take_send(w, &fx.sends[i]);
        }
        for (size_t i = 0; i < fx.results_count; i++) {
            take_answer(&fx.results[i]);
        }
        for (size_t i = 0; i < fx.fetches_count; i++) {
            MU_ASSERT(fetches_count < CONSENSUS_PEERS_MAX);
            fetches[fetches_count++] = fx.fetches[i];
        }
        for (size_t i = 0; i < fx.snaps_count; i++) {
            MU_ASSERT(orders_count < MU_LEN(orders));
            orders[orders_count++] = fx.snaps[i];
        }
        compact_to = fx.compact_to > compact_to ? fx.compact_to : compact_to;
        w->head->commit_to = fx.commit_to;
        w->head->is_dead |= fx.dead != NULL;
        ev = (struct consensus_event){ .kind = CONSENSUS_EV_WAKE };
    } while (fx.again);
    consensus__check(w->core);
    for (size_t i = 0; i < fetches_count; i++) {
        fetched(w, &fetches[i]);
    }
    for (size_t i = 0; i < orders_count; i++) {
        x__order(w, &orders[i]);
    }
    if (compact_to > w->head->base && x.rules.compacts) {
        x__compacted(w, compact_to);
    }
}

static struct consensus_entry entry_of(const struct x_entry *e, uint64_t index)
{
    return (struct consensus_entry){
        .index = index,
        .term = e->term,
        .bytes = e->kind == CONSENSUS_NOOP ? 0 : 1,
        .handle = e->content,
        .kind = (enum consensus_entry_kind)e->kind,
    };
}

static void fetched(struct x__work *w, const struct consensus_fetch *f)
{
    struct consensus_entry entries[X_LOG_MAX];
    struct consensus_event ev = { .kind = CONSENSUS_EV_FETCHED };

    ev.fetched.ticket = f->ticket;
    ev.fetched.entries = entries;
    for (uint64_t i = f->first; i <= f->last && ev.fetched.count < X_BATCH_MAX; i++) {
        MU_ASSERT(i <= w->head->disk_last);
        entries[ev.fetched.count++] = entry_of(&w->head->disk[i], i);
    }
    x__feed(w, ev);
}

/* -- the disk ------------------------------------------------------------------------------- */

static void disk_take(struct x__work *w, const struct x__write *x_write)
{
    const struct consensus_write *write = &x_write->write;

    w->head->hard = write->hard;
    vote_check(w, write->hard.term, &write->hard.voted_for);
    if (write->reset_index > 0) {
        memcpy(w->head->disk, x_write->entries, sizeof w->head->disk);
        w->head->disk_last = w->head->base = write->reset_index;
    }
    for (uint64_t i = write->first; i <= write->last; i++) {
        w->head->disk[i] = x_write->entries[i];
    }
    if (write->first <= write->last) {
        for (uint64_t i = write->last + 1; i <= w->head->disk_last; i++) {
            w->head->disk[i] = (struct x_entry){ 0 };
        }
        w->head->disk_last = write->last;
    }
}

/* The oldest writes reach the disk; their numbers are told when anybody lives to hear it. */
static uint64_t disk_pass(struct x__work *w, uint64_t count)
{
    uint64_t seq = 0;

    MU_ASSERT(count <= w->head->queue_count);
    for (uint64_t i = 0; i < count; i++) {
        disk_take(w, &w->head->queue[i]);
        seq = w->head->queue[i].write.seq;
    }
    memmove(w->head->queue, w->head->queue + count,
            (w->head->queue_count - count) * sizeof w->head->queue[0]);
    w->head->queue_count -= count;
    return seq;
}

static void persist(struct x__work *w, uint64_t count)
{
    uint64_t seq = disk_pass(w, count);

    x__feed(w, (struct consensus_event){ .kind = CONSENSUS_EV_PERSISTED, .persisted_seq = seq });
}

/* What needs no decision: writes at once where they are not awaited, and apply. */
static void settle(struct x__work *w)
{
    while (!w->head->is_dead) {
        if (!x.rules.is_async && w->head->queue_count > 0) {
            persist(w, w->head->queue_count);
        } else if (w->head->commit_to > w->head->applied) {
            struct consensus_event ev = { .kind = CONSENSUS_EV_APPLIED };

            w->head->applied = w->head->commit_to;
            ev.applied.index = w->head->applied;
            ev.applied.durable_index = w->head->state;
            x__feed(w, ev);
        } else {
            return;
        }
    }
}

/* -- events ---------------------------------------------------------------------------------- */

static void on_deliver(struct x__work *w, uint32_t arg)
{
    const struct x_message *m = x_message_at(arg);
    struct consensus_msg msg = m->msg;
    struct consensus_entry entries[X_BATCH_MAX];
    struct consensus_config configs[X_BATCH_MAX];

    for (uint32_t i = 0; msg.kind == CONSENSUS_APPEND_REQ && i < msg.append.entries_count; i++) {
        entries[i] = entry_of(&m->entries[i], msg.append.prev_index + 1 + i);
        if (entries[i].kind == CONSENSUS_CONFIG) {
            configs[i] = x.configs[m->entries[i].content - X_CONFIG];
            configs[i].index = entries[i].index;
            entries[i].config = &configs[i];
        }
    }
    if (msg.kind == CONSENSUS_VOTE_REQ || msg.kind == CONSENSUS_PREVOTE_REQ) {
        w->core->leader_heard_ms = w->core->leader_heard_ms != 0 ? 1 : 0; /* long ago */
    }
    if (msg.kind == CONSENSUS_APPEND_REQ) {
        msg.append.entries = entries;
    }
    if (msg.kind == CONSENSUS_SNAP_OFFER) {
        configs[0] = x.configs[m->entries[0].content - X_CONFIG];
        configs[0].index =
            x__config_of(x__snap_entries(&msg.snapshot.snap), msg.snapshot.snap.index);
        msg.snapshot.config = &configs[0];
    }
    x__feed(w, (struct consensus_event){ .kind = CONSENSUS_EV_RECV, .msg = &msg });
}

static void on_timeout(struct x__work *w, uint32_t arg)
{
    (void)arg;
    w->core->election_at_ms = X__NOW;
    x__feed(w, (struct consensus_event){ .kind = CONSENSUS_EV_WAKE });
    if (!x.rules.has_prevote && w->core->role == CONSENSUS_PRE_CANDIDATE) {
        w->core->campaign.votes = (1U << CONSENSUS_PEERS_MAX) - 1;
        x__feed(w, (struct consensus_event){ .kind = CONSENSUS_EV_WAKE });
    }
}

static void on_heartbeat(struct x__work *w, uint32_t arg)
{
    (void)arg;
    w->core->office.heartbeat_at_ms = X__NOW;
    x__feed(w, (struct consensus_event){ .kind = CONSENSUS_EV_WAKE });
}

static void on_depose(struct x__work *w, uint32_t arg)
{
    (void)arg;
    w->core->office.since_ms = X__NOW - w->core->options.election_ms_min;
    for (uint32_t i = 0; i < CONSENSUS_SLOTS_MAX; i++) {
        w->core->peers[i].acked_ms = 0;
    }
    x__feed(w, (struct consensus_event){ .kind = CONSENSUS_EV_WAKE });
}

static void on_propose(struct x__work *w, uint32_t arg)
{
    struct consensus_proposal p = { .ticket = arg, .bytes = 1, .handle = arg };
    struct consensus_event ev = { .kind = CONSENSUS_EV_PROPOSE };

    ev.propose.proposals = &p;
    ev.propose.count = 1;
    x__feed(w, ev);
}

static void on_read(struct x__work *w, uint32_t arg)
{
    x__feed(w, (struct consensus_event){ .kind = CONSENSUS_EV_READ, .read_ticket = 0x100 + arg });
}

static void on_change(struct x__work *w, uint32_t arg)
{
    struct consensus_change what = {
        .kind = (enum consensus_change_kind)(arg >> 3),
        .server = id_of(arg & 7U, 1),
        .is_forced = true, /* whom it heard lately is a matter of time */
    };
    struct consensus_event ev = { .kind = CONSENSUS_EV_CHANGE };

    if (what.kind == CONSENSUS_ADD) {
        what.disk = id_of(arg & 7U, 2);
    } else if (what.kind == CONSENSUS_REPLACE) {
        what.by = id_of(x.rules.nodes_count - 1, 1);
    }
    ev.change.ticket = 0x200;
    ev.change.what = &what;
    x__feed(w, ev);
}

static void on_transfer(struct x__work *w, uint32_t arg)
{
    struct consensus_event ev = { .kind = CONSENSUS_EV_TRANSFER };

    ev.transfer.ticket = 0x300;
    ev.transfer.target = id_of(arg, 1);
    x__feed(w, ev);
}

static void on_persist(struct x__work *w, uint32_t arg)
{
    (void)arg;
    persist(w, 1);
}

static void core_start(struct x__work *w)
{
    uint64_t base = w->head->base;
    struct consensus_run runs[X_LOG_MAX];
    struct consensus_config configs[X_LOG_MAX];
    struct consensus_loaded loaded = {
        .hard = w->head->hard,
        .runs = runs,
        .configs = configs,
        .base_index = base,
        .base_term = w->head->disk[base].term,
        .last_index = w->head->disk_last,
        .applied = w->head->state,
        .durable_applied = w->head->state,
        .boot_count = w->head->boots,
        .seed = w->place * 1000 + w->head->boots,
    };
    struct consensus_options options = x.options;

    for (uint64_t i = base > 0 ? x__config_of(w->head->disk, base) : 1; i <= w->head->disk_last;
         i++) {
        if (i > base && (i == base + 1 || w->head->disk[i].term != w->head->disk[i - 1].term)) {
            runs[loaded.runs_count++] = (struct consensus_run){ i, w->head->disk[i].term };
        }
        if (w->head->disk[i].kind == CONSENSUS_CONFIG) { /* the base's is the first */
            configs[loaded.configs_count] = x.configs[w->head->disk[i].content - X_CONFIG];
            configs[loaded.configs_count++].index = i;
        }
    }
    options.server = id_of(w->place, 1);
    options.disk = id_of(w->place, 2);
    memset(w->core, 0, w->arena_bytes);
    consensus_init(w->core, &options, &loaded, X__NOW);
    w->head->commit_to = w->head->state;
    w->head->applied = w->head->state;
    w->head->is_dead = 0;
    if (w->core->hard.term < w->head->hard.term ||
        (w->core->hard.term == w->head->hard.term &&
         !mu_id_eq(&w->core->hard.voted_for, &w->head->hard.voted_for))) {
        x__fault("I10: starts with something else than its disk holds");
    }
    x__feed(w, (struct consensus_event){ .kind = CONSENSUS_EV_WAKE });
}

static void on_restart(struct x__work *w, uint32_t arg)
{
    (void)disk_pass(w, arg);
    w->head->queue_count = 0;
    w->head->boots++;
    x__state_open(w);
    if (x.now.fault == NULL) {
        core_start(w);
    }
}

/* It learns of it from its clock alone. What was to happen meanwhile has no date here: it comes as
 * events of its own. */
static void on_pause(struct x__work *w, uint32_t arg)
{
    (void)arg;
    w->core->now_ms = X__NOW - PAUSE_MS;
    w->core->wake_at_ms = X__NOW - PAUSE_MS;
    x__feed(w, (struct consensus_event){ .kind = CONSENSUS_EV_WAKE });
}

typedef void event_fn(struct x__work *w, uint32_t arg);

static event_fn *const events[] = {
    [X_DELIVER] = on_deliver, [X_TIMEOUT] = on_timeout,   [X_HEARTBEAT] = on_heartbeat,
    [X_DEPOSE] = on_depose,   [X_PROPOSE] = on_propose,   [X_READ] = on_read,
    [X_CHANGE] = on_change,   [X_TRANSFER] = on_transfer, [X_PERSIST] = on_persist,
    [X_RESTART] = on_restart, [X_PAUSE] = on_pause,       [X_COMPACT] = x__compact,
};

static void run(uint32_t node, uint32_t place, enum x_kind kind, uint32_t arg)
{
    struct x__work *w = &x.work;
    struct consensus_hard was;

    x__expand(w, x.snapshots[node]);
    w->place = place;
    was = w->core->hard;
    x.now = (struct x_result){ .sends_first = (uint32_t)x.sends_count,
                               .answers_first = (uint32_t)x.answers_count };
    events[kind](w, arg);
    settle(w);
    if (kind != X_RESTART && (w->core->hard.term < was.term ||
                              (w->core->hard.term == was.term && !mu_id_is_none(&was.voted_for) &&
                               !mu_id_eq(&w->core->hard.voted_for, &was.voted_for)))) {
        x__fault("I10: term or vote goes back");
    }
}

const struct x_result *x_step(uint32_t node, uint32_t place, enum x_kind kind, uint32_t arg)
{
    uint32_t key[2] = { node, X_ACTION(kind, place, arg) };
    uint32_t id = 0;

    if (!x_pool_put(&x.steps, x_hash_bytes(key, sizeof key), &id)) {
        return &x.results[id];
    }
    if (id >= x.results_room) {
        x.results_room = x.results_room * 2 + 1024;
        x.results = mu_grow(x.results, x.results_room * sizeof *x.results);
    }
    run(node, place, kind, arg);
    x.now.node = node_intern(&x.work);
    x.results[id] = x.now;
    return &x.results[id];
}

uint32_t x_send_at(uint32_t i)
{
    return x.sends[i];
}

const struct x_answer *x_answer_at(uint32_t i)
{
    return &x.answers[i];
}

void x_tell(uint32_t node, uint32_t place, enum x_kind kind, uint32_t arg)
{
    x.is_telling = true;
    run(node, place, kind, arg);
    x.is_telling = false;
}

void x_counts(size_t *nodes, size_t *messages, size_t *steps)
{
    *nodes = x.nodes.count;
    *messages = x.messages.count;
    *steps = x.steps.count;
}

/* -- beginning -------------------------------------------------------------------------------- */

void x_begin(const struct x_rules *rules)
{
    struct consensus_options *o = &x.options;

    x.rules = *rules;
    consensus_options_init(o, CONSENSUS_FAST, 1);
    o->tail_entries = 64;
    o->writes_max = 2 * CONSENSUS_WRITES_RESERVED;
    o->runs_max = X_TERMS_MAX;
    o->reads_max = X_READS_MAX;
    o->inflight_max = 2;
    o->append_entries_max = X_BATCH_MAX;
    o->with_trace = true;
    if (rules->compacts) {
        o->trailing_entries = 0;
        o->laggard_bytes = o->laggard_ms = 0;
        o->snap_pin_bytes = o->snap_pin_ms = 0;
        o->push_hold_ms = 0; /* followers hear of a commit, and may compact */
    }
    o->server = id_of(0, 1);
    o->disk = id_of(0, 2);
    x.cluster = id_of(6, 3);
    x.configs_count = 1;
    x.configs[0].index = 1;
    x.configs[0].level = CONSENSUS_LEVEL_FIRST;
    x.configs[0].servers_count = rules->voters_count + rules->learners_count;
    for (uint32_t i = 0; i < x.configs[0].servers_count; i++) {
        struct consensus_server *to = &x.configs[0].servers[i];

        to->id = id_of(i, 1);
        to->disk = id_of(i, 2);
        to->joined_index = 1;
        to->is_voter = i < rules->voters_count;
        to->is_learner = !to->is_voter;
    }
    x.work.arena_bytes = consensus_arena_bytes(o);
    x.work.head = mu_new(X__HEAD_BYTES + x.work.arena_bytes);
    x.work.core = (struct consensus *)(void *)((char *)x.work.head + X__HEAD_BYTES);
}

uint32_t x_node_first(uint32_t place)
{
    struct x__work *w = &x.work;

    memset(w->head, 0, X__HEAD_BYTES);
    w->place = place;
    w->head->hard = (struct consensus_hard){ .cluster = x.cluster };
    if (place < x.configs[0].servers_count) {
        w->head->hard.term = 1;
        w->head->disk[1] = (struct x_entry){ 1, X_CONFIG, CONSENSUS_CONFIG, 0 };
        w->head->disk_last = 1;
    }
    x.now = (struct x_result){ 0 };
    core_start(w);
    settle(w);
    w->bytes = X__HEAD_BYTES + ((w->core->at.state_bytes + 7) & ~(size_t)7);
    MU_ASSERT(x.now.fault == NULL);
    return node_intern(w);
}
