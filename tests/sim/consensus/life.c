/* life.c - servers begin, crash, lose their disks; gossip's opinions; what clients and owners do.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "shadow.h"
#include "world.h"

/* -- life ---------------------------------------------------------------------------------- */

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
    sim_queue_pop(n, n->queue_count);
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
    n->is_ordered = false;
    n->orders_count = 0;
    n->export = (struct consensus_snap){ 0 };
    n->part_written = 0;
    n->batch = 0;
    n->is_read_only = false; /* or it would not start again */
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
        mu_free(w->nodes[i].orders);
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
    if (w->shadow != NULL) {
        shadow_free(w->shadow);
    }
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
    n->level_max = CONSENSUS_LEVEL_FIRST;
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
        sim_disk_apply(w, &w->nodes[i], &adopt);
    }
}

uint64_t sim_local(const struct sim_node *n, uint64_t true_ms)
{
    return n->clock_offset + true_ms * n->clock_rate / 1000;
}

static uint64_t log_bytes(const struct sim_log *log)
{
    uint64_t bytes = 0;

    for (uint64_t i = 0; i < log->last - log->base; i++) {
        bytes += log->at[i].bytes;
    }
    return bytes;
}

uint64_t sim_first_applied(const struct sim_node *n)
{
    return n->disk.lacks_state ? n->disk.log.base : n->disk.state.index;
}

/* What the store found on the disk. */
void sim_core_start(struct sim_world *w, struct sim_node *n, bool campaigns)
{
    sim_install_recover(w, n);

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
        .log_bytes = log_bytes(log),
        .floor_index = n->disk.floor_index,
        .floor_term = n->disk.floor_term,
        .applied = sim_first_applied(n),
        .durable_applied = sim_first_applied(n),
        .lacks_state = n->disk.lacks_state,
        .state_is_copy = n->disk.is_copy,
        .boot_count = n->disk.boots,
        .seed = w->seed * 131 + n->place * 17 + n->disk.boots,
        .campaigns_at_once = campaigns,
        .may_have_promised = w->boots_quietly && n->ran_before,
    };
    struct consensus_options options = w->options;

    if (log->config_index > 0) {
        configs[loaded.configs_count] = w->configs[log->config];
        configs[loaded.configs_count++].index = log->config_index;
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
    options.level_max = n->level_max;
    n->core = mu_new(consensus_arena_bytes(&options));
    n->unsaid_seq = 0;
    n->may_persist_late = false;
    n->applied = sim_first_applied(n);
    n->durable_applied = n->applied;
    consensus_init(n->core, &options, &loaded, sim_local(n, w->now));
    mu_free(runs);
    mu_free(configs);
    sim_check_started(w, n);
    if (w->shadow != NULL) {
        sim_shadow_started(w, n);
    }
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
    if (!sim_version_fits(w, n)) {
        sim_say(w, n, "does not start: its log is of level %u, its version of %u",
                sim_disk_level(w, n), n->level_max);
        return;
    }
    n->disk.boots++;
    n->is_up = true;
    n->is_stopped = false;
    n->core_wake = SIM_NEVER;
    n->ran_before = !mu_id_is_none(&n->disk.hard.cluster);
    n->boot = mu_new(consensus_bootstrap_bytes());
    consensus_bootstrap_init(n->boot, &options, &n->disk.record, &n->disk.hard.cluster,
                             sim_local(n, w->now));
    if (!mu_id_is_none(&n->disk.hard.cluster)) {
        sim_core_start(w, n, false);
    }
    sim_feed_boot(w, n, &(struct consensus_bootstrap_event){ .kind = BOOTSTRAP_EV_WAKE });
    sim_gossip_changed(w);
}

void sim_node_crash(struct sim_world *w, struct sim_node *n, size_t kept)
{
    MU_ASSERT(n->is_up && kept <= n->queue_count);
    for (size_t i = 0; i < kept; i++) {
        sim_disk_apply(w, n, &n->queue[i]);
    }
    for (size_t i = 0; i < w->tickets_count; i++) { /* whoever waited has lost its connection */
        if (w->tickets[i].node == n->place) {
            w->tickets[i].is_open = false;
        }
    }
    forget_memory(n);
    sim_gossip_changed(w);
}

void sim_node_rot(struct sim_world *w, struct sim_node *n)
{
    struct sim_log *log = &n->disk.log;

    MU_ASSERT(!n->is_up);
    if (n->disk.state.index >= log->last || n->disk.state.index < log->base) {
        return;
    }
    if (n->disk.floor_index == 0) {
        n->disk.floor_index = log->last;
        n->disk.floor_term = sim_log_term(log, log->last);
    }
    log->last = n->disk.state.index;
    (void)w;
}

void sim_node_lose_state(struct sim_world *w, struct sim_node *n)
{
    MU_ASSERT(!n->is_up);
    n->disk.state = (struct sim_state){ 0 };
    n->disk.is_spoiled = n->disk.is_copy = false;
    n->disk.lacks_state = n->disk.log.base > 0; /* else the log says all of it again */
    (void)w;
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

/* -- gossip -------------------------------------------------------------------------------- */

void sim_candidates(struct sim_world *w, struct sim_node *n)
{
    struct consensus_bootstrap_candidate all[SIM_NODES_MAX + SIM_GHOSTS_MAX];
    struct consensus_bootstrap_event ev = { .kind = BOOTSTRAP_EV_CANDIDATES };

    n->gossip_stale = false;
    ev.candidates.at = all;
    if (w->now < w->ghosts_until) {
        ev.candidates.count = sim_ghosts_in_sight(n->expect, all);
    }
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

/* -- what clients and owners do ------------------------------------------------------------ */

static uint64_t ticket_new(struct sim_world *w, struct sim_node *n, enum sim_ticket_kind kind,
                           uint64_t content)
{
    if (w->tickets_count == w->tickets_room) {
        w->tickets_room = w->tickets_room * 2 + 64;
        w->tickets = mu_grow(w->tickets, w->tickets_room * sizeof *w->tickets);
    }
    w->tickets[w->tickets_count++] = (struct sim_ticket){
        n->place, n->life, kind, true, content, sim_check_read_floor(w),
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
        uint64_t kind = w->mixes_kinds && (content + i) % 3 == 0 ? SIM_NEW_KIND : 0;
        uint64_t what = (content + i) | kind;

        proposals[i] = (struct consensus_proposal){
            .ticket = ticket_new(w, n, SIM_PROPOSAL, what),
            .bytes = bytes,
            .handle = sim_pool_take(n, what, bytes),
            .level = sim_level_of(what),
            .is_awaited = w->awaits,
            .is_relief = w->frees_space && (i == 0 || content % 4 != 0),
        };
    }
    ev.propose.proposals = proposals;
    ev.propose.count = count;
    sim_feed(w, n, &ev);
    return first;
}

uint64_t sim_read(struct sim_world *w, struct sim_node *n)
{
    uint64_t ticket = ticket_new(w, n, SIM_READ, 0);

    sim_feed(w, n, &(struct consensus_event){ .kind = CONSENSUS_EV_READ, .read_ticket = ticket });
    return ticket;
}

uint64_t sim_change(struct sim_world *w, struct sim_node *n, const struct consensus_change *what)
{
    struct consensus_event ev = { .kind = CONSENSUS_EV_CHANGE };
    uint64_t ticket = ticket_new(w, n, SIM_CHANGE, 0);

    for (uint32_t i = 0; i < w->nodes_count && what->kind == CONSENSUS_ADD; i++) {
        if (mu_id_eq(&w->nodes[i].disk.id, &what->disk)) {
            sim_level_said(&w->nodes[i], what->level);
        }
    }
    ev.change.ticket = ticket;
    ev.change.what = what;
    sim_feed(w, n, &ev);
    return ticket;
}

uint64_t sim_transfer(struct sim_world *w, struct sim_node *n, const struct mu_id *target)
{
    struct consensus_event ev = { .kind = CONSENSUS_EV_TRANSFER };
    uint64_t ticket = ticket_new(w, n, SIM_TRANSFER, 0);

    ev.transfer.ticket = ticket;
    ev.transfer.target = *target;
    sim_feed(w, n, &ev);
    return ticket;
}

void sim_store(struct sim_world *w, struct sim_node *n, enum consensus_health health)
{
    n->is_read_only = health == CONSENSUS_STORE_READ_ONLY;
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

    if (index <= log->base) {
        return; /* one that was asked for later has come first */
    }
    MU_ASSERT(index <= log->last);
    for (uint64_t i = log->base + 1; i <= index; i++) {
        if (log->at[i - log->base - 1].kind == CONSENSUS_CONFIG) {
            log->config = log->at[i - log->base - 1].content;
            log->config_index = i;
        }
    }
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
