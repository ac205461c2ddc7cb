/* world.c - servers: what their driver, disk and state machine do. */
#include "world.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

#define LANES 4 /* that the hash of a message has */

/* -- logs ---------------------------------------------------------------------------------- */

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

/* -- the entry pool ------------------------------------------------------------------------ */

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

/* -- the disk ------------------------------------------------------------------------------ */

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
    if (n->batch > 0 || n->queue_count == 0 || n->holds_disk || n->is_read_only) {
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
void sim_disk_apply(struct sim_world *w, struct sim_node *n, const struct sim_write *x)
{
    struct consensus_config config;
    struct sim_entry first = { .term = 1, .kind = CONSENSUS_CONFIG };

    n->writes_seen++;
    switch (x->kind) {
    case SIM_RECORD: n->disk.record = x->record; break;
    case SIM_ADOPT:
        consensus_bootstrap_config(&x->record.set, &config);
        if (w->is_aged) {
            sim_age(&config);
        }
        first.content = sim_config_content(w, &config);
        n->disk.hard = (struct consensus_hard){ .term = 1, .cluster = x->record.cluster };
        log_put(w, n, 1, &first, 1);
        sim_check_durable(w, n, 1);
        break;
    case SIM_JOIN: n->disk.hard = (struct consensus_hard){ .cluster = x->record.cluster }; break;
    case SIM_WRITE:
        n->disk.hard = x->write.hard;
        if (x->write.reset_index != 0) {
            n->disk.log.base = n->disk.log.last = x->write.reset_index;
            n->disk.log.base_term = x->write.reset_term;
            n->disk.log.config = x->config;
            n->disk.log.config_index = x->config_index;
            sim_check_reset(w, n);
        }
        if (x->write.first <= x->write.last) {
            log_put(w, n, x->write.first, x->entries, x->write.last - x->write.first + 1);
        }
        sim_check_durable(w, n, x->write.first <= x->write.last ? x->write.first : SIM_NEVER);
        break;
    }
}

void sim_queue_pop(struct sim_node *n, size_t count)
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

static void write_done(struct sim_world *w, struct sim_node *n, enum sim_write_kind kind,
                       uint64_t seq)
{
    struct consensus_bootstrap_event boot = { .kind = BOOTSTRAP_EV_RECORDED };
    bool is_coordinator = mu_id_eq(&n->disk.record.coordinator, &n->id);

    switch (kind) {
    case SIM_RECORD: sim_feed_boot(w, n, &boot); break;
    case SIM_JOIN:
    case SIM_ADOPT:
        boot.kind = BOOTSTRAP_EV_ADOPTED;
        sim_feed_boot(w, n, &boot);
        sim_core_start(w, n, is_coordinator);
        sim_gossip_changed(w);
        break;
    case SIM_WRITE:
        n->unsaid_seq = seq;
        n->unsaid_at = sim_local(n, w->now);
        if (!w->is_hushed || !n->may_persist_late) {
            sim_tell(w, n);
        }
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
            sim_disk_apply(w, n, &n->queue[same]);
            seq = n->queue[same].write.seq;
            same++;
        }
        sim_queue_pop(n, same);
        count -= same;
        write_done(w, n, kind, seq);
    }
    flush_start(w, n);
}

/* -- effects ------------------------------------------------------------------------------- */

static uint64_t folded(uint64_t hash, uint64_t v)
{
    hash = (hash ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static void fold(struct sim_world *w, uint64_t v)
{
    w->hash = folded(w->hash, v);
}

/* Many: by lanes, which the processor works on at the same time. */
static void fold_words(struct sim_world *w, const uint64_t *words, size_t count)
{
    uint64_t lanes[LANES] = { 0 };
    size_t at = 0;

    for (; at + LANES <= count; at += LANES) {
        for (size_t i = 0; i < LANES; i++) {
            lanes[i] = folded(lanes[i], words[at + i]);
        }
    }
    for (size_t i = 0; i < LANES; i++) {
        fold(w, lanes[i]);
    }
    for (; at < count; at++) {
        fold(w, words[at]);
    }
}

static void fold_effects(struct sim_world *w, const struct consensus_effects *fx)
{
    for (size_t i = 0; i < fx->sends_count; i++) {
        struct consensus_msg m = fx->sends[i];

        if (m.kind == CONSENSUS_APPEND_REQ) {
            m.append.entries = NULL; /* an address is no content */
        } else if (m.kind == CONSENSUS_SNAP_OFFER) {
            m.snapshot.config = NULL;
        }
        uint64_t words[sizeof m / sizeof(uint64_t)];

        _Static_assert(sizeof words == sizeof m, "a message is whole words");
        memcpy(words, &m, sizeof words);
        fold_words(w, words, MU_LEN(words));
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
    x->write.reset_config = NULL;
    if (write->reset_index != 0) {
        x->config = sim_config_content(w, write->reset_config);
        x->config_index = write->reset_config->index;
    }
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

/* Recycling is work of the disk's thread. */
static void compact_start(struct sim_world *w, struct sim_node *n, uint64_t upto)
{
    if (upto > n->durable_applied) {
        sim_fail(w, "O9: %s gives up entry %llu, its state is durable up to %llu", n->name, U(upto),
                 U(n->durable_applied));
    }
    if (upto > n->disk.log.base) {
        sim_item_push(w, (struct sim_item){
                             .at = w->now + w->policy.disk_ms(w->policy.data, n->place),
                             .kind = SIM_COMPACT,
                             .node = n->place,
                             .life = n->life,
                             .compact_to = upto,
                         });
    }
}

static void carry_out(struct sim_world *w, struct sim_node *n, const struct consensus_effects *fx)
{
    if (fx->made != NULL) {
        consensus_bind(n->core, fx->made->index,
                       sim_pool_take(n, sim_config_content(w, fx->made), 100));
    }
    for (size_t i = 0; i < fx->notices_count; i++) {
        sim_say_notice(w, n, &fx->notices[i]);
        n->disk.is_copy = n->disk.is_copy && fx->notices[i].kind != CONSENSUS_T_STATE_PROVEN;
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
    sim_orders_take(w, n, fx);
    if (fx->compact_to > 0) {
        compact_start(w, n, fx->compact_to);
    }
    n->commit_to = fx->dead == NULL ? fx->commit_to : n->commit_to;
    n->core_wake = fx->wake_at_ms;
    n->may_persist_late = fx->may_persist_late;
    if (fx->dead != NULL) {
        n->dead = fx->dead;
    } else {
        apply_start(w, n);
    }
}

static void feed(struct sim_world *w, struct sim_node *n, struct consensus_event *ev)
{
    struct consensus_effects fx;

    MU_ASSERT(n->is_up && n->core != NULL);
    do {
        ev->now_ms = sim_local(n, w->now);
        consensus_step(n->core, ev, &fx);
        fold_effects(w, &fx);
        sim_mark_step(w, n, &fx);
        sim_check_step(w, n, &fx);
        if (w->shadow != NULL) {
            sim_shadow_step(w, n, ev, &fx);
        }
        carry_out(w, n, &fx);
        *ev = (struct consensus_event){ .kind = CONSENSUS_EV_WAKE };
    } while (fx.again);
    if (n->core->floor_index == 0) { /* the journal finds so itself */
        n->disk.floor_index = n->disk.floor_term = 0;
    }
}

void sim_tell(struct sim_world *w, struct sim_node *n)
{
    struct consensus_event ev = { .kind = CONSENSUS_EV_PERSISTED };

    if (n->unsaid_seq == 0) {
        return;
    }
    ev.persisted_seq = n->unsaid_seq;
    ev.persisted_late_ms = sim_local(n, w->now) - n->unsaid_at;
    n->unsaid_seq = 0;
    feed(w, n, &ev);
}

void sim_feed(struct sim_world *w, struct sim_node *n, struct consensus_event *ev)
{
    sim_tell(w, n);
    feed(w, n, ev);
    sim_check_pool(w, n); /* not before: the event may have brought handles */
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
    if (fx.is_join) {
        queue_push(n, SIM_JOIN)->record.cluster = fx.adopt_cluster;
    }
    n->boot_wake = fx.wake_at_ms;
    flush_start(w, n);
}

/* -- the state machine --------------------------------------------------------------------- */

/* What is applied is what was committed, which is checked; so its last entry stands for all. */
static void say_sum(struct sim_world *w, struct sim_node *n, uint64_t index)
{
    struct consensus_event ev = { .kind = CONSENSUS_EV_SUM, .sum = { .index = index } };
    uint64_t content = sim_log_at(&n->disk.log, index)->content ^ (n->disk.is_spoiled ? 1 : 0);

    if (index % SIM_SUM_EVERY == 0) {
        memcpy(ev.sum.hash, &content, sizeof content);
        sim_feed(w, n, &ev);
    }
}

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
        sim_state_apply(&n->state, i, e);
        sim_check_state(w, n, &n->state);
    }
    uint64_t from = n->applied;

    n->applied = to > n->applied ? to : n->applied;
    if (w->is_lazy ? n->applied - n->durable_applied > 12
                   : w->numbers % 3 == 0 || n->applied - n->durable_applied > 64) {
        n->durable_applied = n->applied; /* a checkpoint */
    }
    if (n->durable_applied == n->applied) {
        n->disk.state = n->state;
    }
    struct consensus_event ev = { .kind = CONSENSUS_EV_APPLIED };

    ev.applied.index = n->applied;
    ev.applied.durable_index = n->durable_applied;
    ev.applied.state_bytes = n->state_bytes;
    sim_feed(w, n, &ev);
    for (uint64_t i = from + 1; i <= to && n->core != NULL && !w->has_state; i++) {
        say_sum(w, n, i);
    }
}
