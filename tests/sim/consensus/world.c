/* world.c - servers: what their driver, disk and state machine do. */
#include "world.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

/* -- logs
 * ------------------------------------------------------------------------------------------- */

const struct sim_entry *sim_log_at(const struct sim_log *log, uint64_t index)
{
    return index > log->base && index <= log->last ? &log->at[index - log->base - 1] : NULL;
}

uint64_t sim_log_term(const struct sim_log *log, uint64_t index)
{
    const struct sim_entry *e = sim_log_at(log, index);

    return e != NULL ? e->term : index == log->base ? log->base_term : 0;
}

static void log_put(struct sim_world *w, struct sim_node *n, uint64_t first,
                    const struct sim_entry *entries, size_t count)
{
    struct sim_log *log = &n->disk.log;

    if (first > log->last + 1 || first <= log->base) {
        sim_fail(w, "%s writes entry %llu to a log of %llu..%llu", n->name,
                 (unsigned long long)first, (unsigned long long)log->base + 1,
                 (unsigned long long)log->last);
    }
    size_t need = first - log->base - 1 + count;

    if (need > log->room) {
        log->room = need * 2 + 16;
        log->at = mu_grow(log->at, log->room * sizeof *log->at);
    }
    memcpy(&log->at[first - log->base - 1], entries, count * sizeof *entries);
    log->last = first + count - 1; /* what was behind is gone: `first` truncates */
}

uint64_t sim_config_content(struct sim_world *w, const struct consensus_config *config)
{
    uint8_t bytes[CONSENSUS_CONFIG_BYTES_MAX];
    uint8_t other[CONSENSUS_CONFIG_BYTES_MAX];
    size_t size = consensus_config_encode(config, bytes);

    for (size_t i = 0; i < w->configs_count; i++) {
        if (consensus_config_encode(&w->configs[i], other) == size &&
            memcmp(bytes, other, size) == 0) {
            return i;
        }
    }
    if (w->configs_count == w->configs_room) {
        w->configs_room = w->configs_room * 2 + 4;
        w->configs = mu_grow(w->configs, w->configs_room * sizeof *w->configs);
    }
    w->configs[w->configs_count] = *config;
    return w->configs_count++;
}

/* -- the entry pool
 * -------------------------------------------------------------------------------- */

uint32_t sim_pool_take(struct sim_node *n, uint64_t content, uint32_t bytes)
{
    size_t i = 0;

    if (n->pool_used == n->pool_room) {
        size_t room = n->pool_room * 2 + 64;

        n->pool = mu_grow(n->pool, room * sizeof *n->pool);
        memset(n->pool + n->pool_room, 0, (room - n->pool_room) * sizeof *n->pool);
        i = n->pool_room;
        n->pool_room = room;
    }
    while (n->pool[i].is_used) {
        i++;
    }
    n->pool[i] = (struct sim_slot){ content, bytes, true };
    n->pool_used++;
    return (uint32_t)i + 1;
}

static void pool_drop(struct sim_world *w, struct sim_node *n, uint32_t handle)
{
    if (handle == 0 || handle > n->pool_room || !n->pool[handle - 1].is_used) {
        sim_fail(w, "I20: %s gives back handle %u, which is not out", n->name, handle);
    }
    n->pool[handle - 1].is_used = false;
    n->pool_used--;
}

/* -- the disk
 * ------------------------------------------------------------------------------------------ */

static struct sim_write *queue_push(struct sim_node *n, enum sim_write_kind kind)
{
    if (n->queue_count == n->queue_room) {
        n->queue_room = n->queue_room * 2 + 8;
        n->queue = mu_grow(n->queue, n->queue_room * sizeof *n->queue);
    }
    struct sim_write *x = &n->queue[n->queue_count++];

    memset(x, 0, sizeof *x);
    x->kind = kind;
    return x;
}

/* Everything queued becomes one batch; completions come in order. */
static void flush_start(struct sim_world *w, struct sim_node *n)
{
    if (n->batch > 0 || n->queue_count == 0 || n->holds_disk) {
        return;
    }
    n->batch = n->queue_count;
    sim_item_push(w, (struct sim_item){
                         .at = w->now + w->policy.disk_ms(w->policy.data, n->place),
                         .kind = SIM_PERSISTED,
                         .node = n->place,
                         .life = n->life,
                     });
}

/* A write reaches the platter. */
static void disk_apply(struct sim_world *w, struct sim_node *n, const struct sim_write *x)
{
    struct consensus_config config;
    struct sim_entry first = { .term = 1, .kind = CONSENSUS_CONFIG };

    n->writes_seen++;
    switch (x->kind) {
    case SIM_RECORD: n->disk.record = x->record; break;
    case SIM_ADOPT:
        consensus_bootstrap_config(&x->record.set, &config);
        first.content = sim_config_content(w, &config);
        n->disk.hard = (struct consensus_hard){ .term = 1, .cluster = x->record.cluster };
        log_put(w, n, 1, &first, 1);
        sim_check_durable(w, n, 1);
        break;
    case SIM_WRITE:
        n->disk.hard = x->write.hard;
        if (x->write.first <= x->write.last) {
            log_put(w, n, x->write.first, x->entries, x->write.last - x->write.first + 1);
        }
        sim_check_durable(w, n, x->write.first <= x->write.last ? x->write.first : SIM_NEVER);
        break;
    }
}

static void queue_pop(struct sim_node *n, size_t count)
{
    if (count == 0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        mu_free(n->queue[i].entries);
    }
    memmove(n->queue, n->queue + count, (n->queue_count - count) * sizeof *n->queue);
    n->queue_count -= count;
}

static void core_new(struct sim_world *w, struct sim_node *n, bool campaigns);

static void write_done(struct sim_world *w, struct sim_node *n, enum sim_write_kind kind,
                       uint64_t seq)
{
    struct consensus_event ev = { .kind = CONSENSUS_EV_PERSISTED };
    struct consensus_bootstrap_event boot = { .kind = BOOTSTRAP_EV_RECORDED };
    bool is_coordinator = mu_id_eq(&n->disk.record.coordinator, &n->id);

    switch (kind) {
    case SIM_RECORD: sim_feed_boot(w, n, &boot); break;
    case SIM_ADOPT:
        boot.kind = BOOTSTRAP_EV_ADOPTED;
        sim_feed_boot(w, n, &boot);
        core_new(w, n, is_coordinator);
        sim_gossip_changed(w);
        break;
    case SIM_WRITE:
        ev.persisted_seq = seq;
        sim_feed(w, n, &ev);
        break;
    }
}

void sim_persist(struct sim_world *w, struct sim_node *n, size_t count)
{
    uint32_t life = n->life;

    MU_ASSERT(count <= n->queue_count);
    n->batch = 0;
    while (count > 0 && n->is_up && n->life == life) {
        enum sim_write_kind kind = n->queue[0].kind;
        size_t same = 0;
        uint64_t seq = 0;

        while (same < count && n->queue[same].kind == kind && (same == 0 || kind == SIM_WRITE)) {
            disk_apply(w, n, &n->queue[same]);
            seq = n->queue[same].write.seq;
            same++;
        }
        queue_pop(n, same);
        count -= same;
        write_done(w, n, kind, seq);
    }
    flush_start(w, n);
}

/* -- effects
 * ---------------------------------------------------------------------------------------------- */

static void fold(struct sim_world *w, uint64_t v)
{
    w->hash = (w->hash ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    w->hash ^= w->hash >> 29;
}

static void fold_effects(struct sim_world *w, const struct consensus_effects *fx)
{
    for (size_t i = 0; i < fx->sends_count; i++) {
        struct consensus_msg m = fx->sends[i];

        if (m.kind == CONSENSUS_APPEND_REQ) {
            m.append.entries = NULL; /* an address is no content */
        }
        const unsigned char *at = (const unsigned char *)&m;

        for (size_t j = 0; j < sizeof m; j++) {
            fold(w, at[j]);
        }
    }
    for (size_t i = 0; i < fx->writes_count; i++) {
        fold(w, fx->writes[i].seq);
        fold(w, fx->writes[i].hard.term);
        fold(w, fx->writes[i].first);
        fold(w, fx->writes[i].last);
    }
    for (size_t i = 0; i < fx->results_count; i++) {
        fold(w, fx->results[i].ticket);
        fold(w, fx->results[i].outcome);
        fold(w, fx->results[i].index);
    }
    for (size_t i = 0; i < fx->notices_count; i++) {
        fold(w, fx->notices[i].kind);
    }
    fold(w, fx->commit_to);
    fold(w, fx->wake_at_ms);
}

static struct sim_entry entry_of(struct sim_world *w, const struct sim_node *n, uint64_t index)
{
    struct consensus_entry e;
    struct sim_entry out;

    if (!consensus_entry_at(n->core, index, &e)) {
        sim_fail(w, "%s: entry %llu is to be written and not in memory", n->name,
                 (unsigned long long)index);
    }
    out = (struct sim_entry){ .term = e.term, .bytes = e.bytes, .kind = e.kind };
    if (e.handle != 0) {
        if (e.handle > n->pool_room || !n->pool[e.handle - 1].is_used) {
            sim_fail(w, "I20: %s uses handle %u, which is not out", n->name, e.handle);
        }
        out.content = n->pool[e.handle - 1].content;
    }
    return out;
}

static void take_write(struct sim_world *w, struct sim_node *n, const struct consensus_write *write)
{
    struct sim_write *x = queue_push(n, SIM_WRITE);
    uint64_t count = write->first <= write->last ? write->last - write->first + 1 : 0;

    x->write = *write;
    x->entries = mu_new_array(count, sizeof *x->entries);
    for (uint64_t i = 0; i < count; i++) {
        x->entries[i] = entry_of(w, n, write->first + i);
    }
    flush_start(w, n);
}

static void take_result(struct sim_world *w, struct sim_node *n, const struct consensus_result *r)
{
    sim_check_result(w, n, r);
    if (w->on_result != NULL) {
        w->on_result(w->on_result_data, n, r);
    }
}

static void apply_start(struct sim_world *w, struct sim_node *n)
{
    if (n->is_applying || n->holds_apply || n->commit_to <= n->applied) {
        return;
    }
    n->is_applying = true;
    sim_item_push(w, (struct sim_item){
                         .at = w->now + w->policy.apply_ms(w->policy.data, n->place),
                         .kind = SIM_APPLY,
                         .node = n->place,
                         .life = n->life,
                     });
}

static void carry_out(struct sim_world *w, struct sim_node *n, const struct consensus_effects *fx)
{
    for (size_t i = 0; i < fx->notices_count; i++) {
        sim_say_notice(w, n, &fx->notices[i]);
    }
    for (size_t i = 0; i < fx->writes_count; i++) {
        take_write(w, n, &fx->writes[i]);
    }
    for (size_t i = 0; i < fx->sends_count; i++) {
        sim_net_send(w, n, &fx->sends[i]);
    }
    for (size_t i = 0; i < fx->fetches_count; i++) {
        sim_item_push(w, (struct sim_item){
                             .at = w->now + w->policy.disk_ms(w->policy.data, n->place),
                             .kind = SIM_FETCH,
                             .node = n->place,
                             .life = n->life,
                             .fetch = fx->fetches[i],
                         });
    }
    for (size_t i = 0; i < fx->results_count; i++) {
        take_result(w, n, &fx->results[i]);
    }
    for (size_t i = 0; i < fx->drops_count; i++) {
        pool_drop(w, n, fx->drops[i]);
    }
    n->commit_to = fx->commit_to;
    n->core_wake = fx->wake_at_ms;
    if (fx->dead != NULL) {
        n->dead = fx->dead;
    } else {
        apply_start(w, n);
    }
}

void sim_feed(struct sim_world *w, struct sim_node *n, struct consensus_event *ev)
{
    struct consensus_effects fx;

    MU_ASSERT(n->is_up && n->core != NULL);
    do {
        ev->now_ms = sim_local(n, w->now);
        consensus_step(n->core, ev, &fx);
        fold_effects(w, &fx);
        sim_check_step(w, n, &fx);
        carry_out(w, n, &fx);
        *ev = (struct consensus_event){ .kind = CONSENSUS_EV_WAKE };
    } while (fx.again);
    sim_check_pool(w, n);
}

void sim_feed_boot(struct sim_world *w, struct sim_node *n, struct consensus_bootstrap_event *ev)
{
    struct consensus_bootstrap_effects fx;

    ev->now_ms = sim_local(n, w->now);
    consensus_bootstrap_step(n->boot, ev, &fx);
    for (size_t i = 0; i < fx.notices_count; i++) {
        sim_say_boot_notice(w, n, &fx.notices[i]);
        fold(w, fx.notices[i].kind);
    }
    for (size_t i = 0; i < fx.sends_count; i++) {
        fold(w, fx.sends[i].kind);
        sim_net_send_boot(w, n, &fx.sends[i]);
    }
    if (fx.record != NULL) {
        queue_push(n, SIM_RECORD)->record = *fx.record;
    }
    if (fx.adopt != NULL) {
        struct sim_write *x = queue_push(n, SIM_ADOPT);

        if (!mu_id_is_none(&n->disk.hard.cluster)) {
            sim_fail(w, "%s adopts a second cluster", n->name);
        }
        x->record.set = *fx.adopt;
        x->record.cluster = fx.adopt_cluster;
    }
    n->boot_wake = fx.wake_at_ms;
    flush_start(w, n);
}

/* -- the state machine
 * ------------------------------------------------------------------------------------- */

void sim_apply(struct sim_world *w, struct sim_node *n, uint64_t upto)
{
    uint64_t to = upto < n->commit_to ? upto : n->commit_to;

    n->is_applying = false;
    if (to > n->applied + MU_APPLY_BATCH_ENTRIES) {
        to = n->applied + MU_APPLY_BATCH_ENTRIES;
    }
    for (uint64_t i = n->applied + 1; i <= to; i++) {
        const struct sim_entry *e = sim_log_at(&n->disk.log, i);
        struct consensus_entry tail;

        if (e == NULL) { /* O7 */
            sim_fail(w, "%s applies entry %llu, which is not on its disk", n->name,
                     (unsigned long long)i);
        }
        if (consensus_entry_at(n->core, i, &tail) && entry_of(w, n, i).content != e->content) {
            sim_fail(w, "%s: entry %llu differs between memory and disk", n->name,
                     (unsigned long long)i);
        }
        sim_check_applied(w, n, i, e);
    }
    n->applied = to > n->applied ? to : n->applied;
    if (w->numbers % 3 == 0 || n->applied - n->durable_applied > 64) {
        n->durable_applied = n->applied; /* a checkpoint */
    }
    n->disk.applied = n->durable_applied;
    struct consensus_event ev = { .kind = CONSENSUS_EV_APPLIED };

    ev.applied.index = n->applied;
    ev.applied.durable_index = n->durable_applied;
    sim_feed(w, n, &ev);
}

/* -- life
 * -----------------------------------------------------------------------------------------------
 */

struct sim_world *sim_world_new(const struct consensus_options *options,
                                const struct sim_policy *policy, uint64_t seed)
{
    struct sim_world *w = mu_new(sizeof *w);

    w->options = *options;
    w->policy = *policy;
    w->seed = seed;
    w->retry_ms = 50;
    w->patience_ms = 1000;
    w->shows_level = MU_DEBUG;
    w->checks = sim_checks_new();
    return w;
}

static void forget_memory(struct sim_node *n)
{
    queue_pop(n, n->queue_count);
    mu_free(n->core);
    mu_free(n->boot);
    mu_free(n->pool);
    n->core = NULL;
    n->boot = NULL;
    n->pool = NULL;
    n->pool_room = 0;
    n->pool_used = 0;
    n->is_up = false;
    n->is_applying = false;
    n->batch = 0;
    n->commit_to = 0;
    n->paused_until = 0;
    n->dead = NULL;
    n->was_seen = false;
    n->gossip_stale = false;
    n->life++;
}

void sim_world_free(struct sim_world *w)
{
    for (uint32_t i = 0; i < w->nodes_count; i++) {
        forget_memory(&w->nodes[i]);
        mu_free(w->nodes[i].queue);
        mu_free(w->nodes[i].disk.log.at);
        mu_free(w->nodes[i].lost.log.at);
    }
    for (size_t i = 0; i < w->items_count; i++) {
        sim_message_free(w->items[i].kind == SIM_DELIVER ? w->items[i].message : NULL);
    }
    for (size_t i = 0; i < w->held_count; i++) {
        sim_message_free(w->held[i]);
    }
    mu_free(w->items);
    mu_free(w->held);
    mu_free(w->tickets);
    mu_free(w->configs);
    sim_checks_free(w->checks);
    mu_free(w);
}

static struct mu_id id_of(const struct sim_world *w, uint32_t place, uint64_t generation,
                          uint8_t kind)
{
    struct mu_id id = { { 0 } };

    id.b[0] = (uint8_t)(place + 1);
    id.b[1] = kind;
    id.b[8] = (uint8_t)generation;
    id.b[15] = (uint8_t)(w->seed | 1);
    return id;
}

struct sim_node *sim_node_add(struct sim_world *w, const char *name, uint32_t expect)
{
    MU_ASSERT(w->nodes_count < SIM_NODES_MAX);
    struct sim_node *n = &w->nodes[w->nodes_count];

    n->place = w->nodes_count++;
    (void)snprintf(n->name, sizeof n->name, "%s", name);
    n->id = id_of(w, n->place, 0, 1);
    n->disk.id = id_of(w, n->place, 1, 2);
    n->expect = expect;
    n->clock_rate = 1000;
    return n;
}

struct sim_node *sim_node_find(struct sim_world *w, const char *name)
{
    for (uint32_t i = 0; i < w->nodes_count; i++) {
        if (strcmp(w->nodes[i].name, name) == 0) {
            return &w->nodes[i];
        }
    }
    return NULL;
}

void sim_world_form(struct sim_world *w)
{
    struct consensus_bootstrap_set set = { 0 };
    struct sim_write adopt = { .kind = SIM_ADOPT };

    for (uint32_t i = 0; i < w->nodes_count; i++) {
        set.members[set.count++] =
            (struct consensus_bootstrap_member){ w->nodes[i].id, w->nodes[i].disk.id };
    }
    adopt.record.set = set;
    adopt.record.cluster = id_of(w, 7, 0, 3);
    for (uint32_t i = 0; i < w->nodes_count; i++) {
        disk_apply(w, &w->nodes[i], &adopt);
    }
}

uint64_t sim_local(const struct sim_node *n, uint64_t true_ms)
{
    return n->clock_offset + true_ms * n->clock_rate / 1000;
}

/* What the store found on the disk. */
static void core_new(struct sim_world *w, struct sim_node *n, bool campaigns)
{
    const struct sim_log *log = &n->disk.log;
    size_t count = log->last - log->base;
    struct consensus_run *runs = mu_new_array(count, sizeof *runs);
    struct consensus_config *configs = mu_new_array(count + 1, sizeof *configs);
    struct consensus_loaded loaded = {
        .hard = n->disk.hard,
        .runs = runs,
        .configs = configs,
        .base_index = log->base,
        .base_term = log->base_term,
        .last_index = log->last,
        .applied = n->disk.applied,
        .durable_applied = n->disk.applied,
        .boot_count = n->disk.boots,
        .seed = w->seed * 131 + n->place * 17 + n->disk.boots,
        .campaigns_at_once = campaigns,
    };
    struct consensus_options options = w->options;

    if (log->base > 0) { /* these worlds have one configuration, that of index 1 */
        configs[loaded.configs_count++] = w->configs[0];
    }
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || log->at[i].term != log->at[i - 1].term) {
            runs[loaded.runs_count++] =
                (struct consensus_run){ log->base + 1 + i, log->at[i].term };
        }
        if (log->at[i].kind == CONSENSUS_CONFIG) {
            configs[loaded.configs_count] = w->configs[log->at[i].content];
            configs[loaded.configs_count++].index = log->base + 1 + i;
        }
    }
    options.server = n->id;
    options.disk = n->disk.id;
    n->core = mu_new(consensus_arena_bytes(&options));
    n->applied = n->disk.applied;
    n->durable_applied = n->disk.applied;
    consensus_init(n->core, &options, &loaded, sim_local(n, w->now));
    mu_free(runs);
    mu_free(configs);
    sim_check_started(w, n);
    sim_feed(w, n, &(struct consensus_event){ .kind = CONSENSUS_EV_WAKE });
}

void sim_node_start(struct sim_world *w, struct sim_node *n)
{
    struct consensus_bootstrap_options options = {
        .server = n->id,
        .disk = n->disk.id,
        .expect = n->expect,
        .retry_ms = w->retry_ms,
        .patience_ms = w->patience_ms,
        .seed = w->seed * 257 + n->place * 31 + n->disk.boots,
    };

    MU_ASSERT(!n->is_up);
    n->disk.boots++;
    n->is_up = true;
    n->is_stopped = false;
    n->core_wake = SIM_NEVER;
    n->boot = mu_new(consensus_bootstrap_bytes());
    consensus_bootstrap_init(n->boot, &options, &n->disk.record, &n->disk.hard.cluster,
                             sim_local(n, w->now));
    if (!mu_id_is_none(&n->disk.hard.cluster)) {
        core_new(w, n, false);
    }
    sim_feed_boot(w, n, &(struct consensus_bootstrap_event){ .kind = BOOTSTRAP_EV_WAKE });
    sim_gossip_changed(w);
}

void sim_node_crash(struct sim_world *w, struct sim_node *n, size_t kept)
{
    MU_ASSERT(n->is_up && kept <= n->queue_count);
    for (size_t i = 0; i < kept; i++) {
        disk_apply(w, n, &n->queue[i]);
    }
    for (size_t i = 0; i < w->tickets_count; i++) { /* whoever waited has lost its connection */
        if (w->tickets[i].node == n->place) {
            w->tickets[i].is_open = false;
        }
    }
    forget_memory(n);
    sim_gossip_changed(w);
}

void sim_node_wipe(struct sim_world *w, struct sim_node *n)
{
    uint64_t boots = n->disk.boots;

    MU_ASSERT(!n->is_up);
    mu_free(n->lost.log.at);
    n->lost = n->disk;
    n->disk = (struct sim_disk){ .boots = boots };
    n->disk.id = id_of(w, n->place, boots + 2, 2);
}

void sim_node_pause(struct sim_world *w, struct sim_node *n, uint64_t ms)
{
    n->paused_until = w->now + ms;
}

/* -- gossip
 * ---------------------------------------------------------------------------------------------- */

void sim_candidates(struct sim_world *w, struct sim_node *n)
{
    struct consensus_bootstrap_candidate all[SIM_NODES_MAX];
    struct consensus_bootstrap_event ev = { .kind = BOOTSTRAP_EV_CANDIDATES };

    n->gossip_stale = false;
    ev.candidates.at = all;
    for (uint32_t i = 0; i < w->nodes_count; i++) {
        const struct sim_node *o = &w->nodes[i];

        if (o == n || o->disk.boots == 0 || w->is_cut[i][n->place] || w->is_cut[n->place][i]) {
            continue; /* never seen */
        }
        all[ev.candidates.count++] = (struct consensus_bootstrap_candidate){
            .server = o->id,
            .disk = o->disk.id,
            .cluster = o->disk.hard.cluster, /* a dead member keeps its tags */
            .expect = o->expect,
            .is_alive = o->is_up,
        };
    }
    sim_feed_boot(w, n, &ev);
}

void sim_gossip_changed(struct sim_world *w)
{
    for (uint32_t i = 0; i < w->nodes_count; i++) {
        struct sim_node *n = &w->nodes[i];

        if (n->is_up && !n->gossip_stale && w->policy.gossip_ms != NULL) {
            n->gossip_stale = true;
            sim_item_push(w, (struct sim_item){
                                 .at = w->now + w->policy.gossip_ms(w->policy.data, i),
                                 .kind = SIM_GOSSIP,
                                 .node = i,
                                 .life = n->life,
                             });
        }
    }
}

/* -- what clients and owners do
 * --------------------------------------------------------------------------- */

static uint64_t ticket_new(struct sim_world *w, struct sim_node *n, bool is_read, uint64_t content)
{
    if (w->tickets_count == w->tickets_room) {
        w->tickets_room = w->tickets_room * 2 + 64;
        w->tickets = mu_grow(w->tickets, w->tickets_room * sizeof *w->tickets);
    }
    w->tickets[w->tickets_count++] = (struct sim_ticket){
        n->place, n->life, is_read, true, content, sim_check_read_floor(w),
    };
    return w->tickets_count;
}

/* count entries with contents `content`, `content` + 1, ...; returns the first ticket. */
uint64_t sim_propose(struct sim_world *w, struct sim_node *n, size_t count, uint64_t content,
                     uint32_t bytes)
{
    static struct consensus_proposal proposals[CONSENSUS_ENTRIES_MAX];
    struct consensus_event ev = { .kind = CONSENSUS_EV_PROPOSE };
    uint64_t first = w->tickets_count + 1;

    MU_ASSERT(count <= CONSENSUS_ENTRIES_MAX);
    for (size_t i = 0; i < count; i++) {
        proposals[i] = (struct consensus_proposal){
            .ticket = ticket_new(w, n, false, content + i),
            .bytes = bytes,
            .handle = sim_pool_take(n, content + i, bytes),
        };
    }
    ev.propose.proposals = proposals;
    ev.propose.count = count;
    sim_feed(w, n, &ev);
    return first;
}

uint64_t sim_read(struct sim_world *w, struct sim_node *n)
{
    uint64_t ticket = ticket_new(w, n, true, 0);

    sim_feed(w, n, &(struct consensus_event){ .kind = CONSENSUS_EV_READ, .read_ticket = ticket });
    return ticket;
}

void sim_store(struct sim_world *w, struct sim_node *n, enum consensus_health health)
{
    sim_feed(w, n, &(struct consensus_event){ .kind = CONSENSUS_EV_STORE, .health = health });
}

void sim_stop(struct sim_world *w, struct sim_node *n)
{
    n->is_stopped = true;
    sim_feed(w, n, &(struct consensus_event){ .kind = CONSENSUS_EV_STOP });
}

void sim_link(struct sim_world *w, struct sim_node *n, struct sim_node *peer,
              enum consensus_link link)
{
    struct consensus_event ev = { .kind = CONSENSUS_EV_PEER };

    ev.peer.id = peer->id;
    ev.peer.link = link;
    sim_feed(w, n, &ev);
}

void sim_compact(struct sim_world *w, struct sim_node *n, uint64_t index)
{
    struct sim_log *log = &n->disk.log;
    uint64_t term = sim_log_term(log, index);

    MU_ASSERT(index >= log->base && index <= log->last);
    memmove(log->at, log->at + (index - log->base), (log->last - index) * sizeof *log->at);
    log->base = index;
    log->base_term = term;
    sim_feed(w, n,
             &(struct consensus_event){ .kind = CONSENSUS_EV_COMPACTED, .compacted_index = index });
}

void sim_campaign(struct sim_world *w, struct sim_node *n)
{
    n->core->election_at_ms = n->core->now_ms;
    sim_feed(w, n, &(struct consensus_event){ .kind = CONSENSUS_EV_WAKE });
}

struct sim_node *sim_leader(struct sim_world *w)
{
    struct sim_node *leader = NULL;

    for (uint32_t i = 0; i < w->nodes_count; i++) {
        struct sim_node *n = &w->nodes[i];

        if (n->is_up && n->core != NULL && n->dead == NULL && n->core->role == CONSENSUS_LEADER &&
            (leader == NULL || n->core->hard.term > leader->core->hard.term)) {
            leader = n;
        }
    }
    return leader;
}
