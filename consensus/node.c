/* node.c - the life of one server: open, turns, stop. What arrives is node_inbox.c's. */
#include "node.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

#define PROPOSE_BYTES_MAX MU_LOG_BATCH_BYTES /* in one event: all or none of it is accepted */
#define REFUSALS_MAX      64
#define ROUNDS_MAX        4 /* in one turn: callbacks may ask for more */

/* -- phases -------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    unsigned next; /* bit set of the phases that may follow */
} phases[] = {
    // clang-format off
    [CONSENSUS_NODE_FRESH]    = { "fresh",    1U << CONSENSUS_NODE_RUNS | 1U << CONSENSUS_NODE_DEAD | 1U << CONSENSUS_NODE_STOPPING },
    [CONSENSUS_NODE_RUNS]     = { "runs",     1U << CONSENSUS_NODE_DEAD | 1U << CONSENSUS_NODE_STOPPING },
    [CONSENSUS_NODE_DEAD]     = { "dead",     1U << CONSENSUS_NODE_STOPPING },
    [CONSENSUS_NODE_STOPPING] = { "stopping", 1U << CONSENSUS_NODE_STOPPED },
    [CONSENSUS_NODE_STOPPED]  = { "stopped",  0 },
}; // clang-format on

void consensus__node_move(struct consensus_node *n, enum consensus_phase to)
{
    MU_ASSERT((phases[n->phase].next & (1U << to)) != 0);
    mu_log(MU_DEBUG, CONSENSUS_LOG_MODULE, "Phase changes", mu_kv("from", phases[n->phase].text),
           mu_kv("to", phases[to].text));
    n->phase = to;
}

void consensus__node_die(struct consensus_node *n, const char *why)
{
    if (n->phase != CONSENSUS_NODE_FRESH && n->phase != CONSENSUS_NODE_RUNS) {
        return;
    }
    consensus__node_move(n, CONSENSUS_NODE_DEAD);
    (void)snprintf(n->dead_text, sizeof n->dead_text, "%s", why);
    n->options.callbacks.dead(n->options.callbacks_data, n->dead_text);
}

void consensus__node_clock(struct consensus_node *n, uint64_t now_ms)
{
    n->now_ms = now_ms > n->now_ms ? now_ms : n->now_ms;
}

/* -- open ---------------------------------------------------------------------------------- */

/* An install was interrupted between the log's new beginning and the switch of the state: it lies
 * there complete (spec/consensus.md 2.12). */
static void next_take(struct consensus_node *n)
{
    uint64_t base = n->opened.loaded.base_index;

    if (n->options.applied >= base || n->options.next_applied != base) {
        return;
    }
    n->takes_next = true;
    n->options.applied = n->options.durable_applied = n->options.next_applied;
    n->options.applied_term = n->options.next_applied_term;
    n->commit_to = n->delivered = n->applied = n->applied_fed = base;
    n->durable_applied = n->durable_applied_fed = base;
}

static bool has_others(const struct consensus_node *n)
{
    const struct consensus_loaded *l = &n->opened.loaded;
    const struct consensus_config *now = &l->configs[l->configs_count - 1];

    for (uint32_t i = 0; l->configs_count > 0 && i < now->servers_count; i++) {
        if (now->servers[i].is_voter && !mu_id_eq(&now->servers[i].id, &n->options.server)) {
            return true;
        }
    }
    return false;
}

/* What the log does not hold any more, the leader's state does (spec/consensus.md 2.16): until then
 * the log stands as if all of it up to its base were applied, and nothing is. */
static enum mu_code state_lost(struct consensus_node *n, struct mu_err *err)
{
    uint64_t base = n->opened.loaded.base_index;

    if (!n->options.lacks_state || n->takes_next || base == 0) {
        return MU_OK;
    }
    if (!has_others(n)) {
        return mu_fail(
            err, MU_CORRUPT,
            "%s: the log begins behind entry %llu, and no other server has the state: "
            "what was saved of it (muster snapshot save) can be restored to a new server",
            n->options.dir, (unsigned long long)base);
    }
    n->lacks_state = true;
    n->options.applied = n->options.durable_applied = base;
    n->options.applied_term = n->opened.loaded.base_term;
    n->commit_to = n->delivered = n->applied = n->applied_fed = base;
    n->durable_applied = n->durable_applied_fed = base;
    return MU_OK;
}

/* State and log must be of one history: the state never contains what the log had not durable. */
static enum mu_code check_applied(const struct consensus_node *n, struct mu_err *err)
{
    const struct consensus_loaded *l = &n->opened.loaded;
    uint64_t applied = n->options.applied;
    uint64_t term = l->base_term;

    if (applied < l->base_index || applied > l->last_index) {
        return mu_fail(err, MU_CORRUPT,
                       "%s: the state contains entries up to %llu, the log holds %llu to %llu: one "
                       "of them is older than the other; move the data directory away and let the "
                       "server join as a new one",
                       n->options.dir, (unsigned long long)applied,
                       (unsigned long long)l->base_index + 1, (unsigned long long)l->last_index);
    }
    for (size_t i = 0; i < l->runs_count && l->runs[i].first_index <= applied; i++) {
        term = l->runs[i].term;
    }
    if (applied > 0 && term != n->options.applied_term) {
        return mu_fail(err, MU_CORRUPT,
                       "%s: entry %llu is of term %llu in the state and of term %llu in the log: "
                       "they are of two histories",
                       n->options.dir, (unsigned long long)applied,
                       (unsigned long long)n->options.applied_term, (unsigned long long)term);
    }
    return MU_OK;
}

static uint32_t level_max(const struct consensus_node *n)
{
    return n->options.level_max > 0 ? n->options.level_max : CONSENSUS_LEVEL_FIRST;
}

/* All that is behind that configuration may hold commands that are not understood here. */
static enum mu_code check_level(const struct consensus_node *n, struct mu_err *err)
{
    const struct consensus_loaded *l = &n->opened.loaded;
    uint32_t level = l->configs_count > 0 ? l->configs[l->configs_count - 1].level : 0;

    if (level <= level_max(n)) {
        return MU_OK;
    }
    return mu_fail(err, MU_UNSUPPORTED,
                   "%s: the cluster uses commands of level %u, which this server does not "
                   "understand: it knows up to level %u; no entry was changed, the version that "
                   "wrote them, or a newer one, can go on",
                   n->options.dir, level, level_max(n));
}

/* The state has what only an entry behind such a configuration can have asked for, or one that
 * would be behind it in another cluster. */
static enum mu_code check_state_level(const struct consensus_node *n, struct mu_err *err)
{
    const struct consensus_loaded *l = &n->opened.loaded;
    uint32_t level = CONSENSUS_LEVEL_FIRST;

    for (size_t i = 0; i < l->configs_count && l->configs[i].index <= n->options.applied; i++) {
        level = l->configs[i].level;
    }
    if (n->takes_next || n->options.state_level <= level) {
        return MU_OK;
    }
    return mu_fail(err, MU_CORRUPT,
                   "%s: the state was made for commands of level %u, and up to entry %llu the log "
                   "allows level %u: they are not of one cluster, or one of them is an old copy; "
                   "move the data directory away and let the server join as a new one",
                   n->options.dir, n->options.state_level, (unsigned long long)n->options.applied,
                   level);
}

static void identify(struct consensus_node *n)
{
    n->identity = (struct consensus_identity){
        .server = n->options.server,
        .disk = n->opened.disk,
        .cluster = n->opened.loaded.hard.cluster,
        .epoch = n->opened.loaded.hard.epoch,
        .boot_count = n->opened.loaded.boot_count,
        .is_fresh = mu_id_is_none(&n->opened.loaded.hard.cluster),
    };
}

enum mu_code consensus__node_open(struct consensus_node *n,
                                  const struct consensus_driver_options *options,
                                  const struct consensus_store *store, uint64_t now_ms,
                                  struct mu_err *err)
{
    enum mu_code rc;

    *n = (struct consensus_node){ .options = *options, .store = *store, .now_ms = now_ms };
    n->core_wake_ms = n->bootstrap_wake_ms = UINT64_MAX;
    n->commit_to = n->delivered = n->applied = n->applied_fed = options->applied;
    n->durable_applied = n->durable_applied_fed = options->durable_applied;
    mu_rand_seed(&n->rand, options->seed != 0 ? options->seed : mu_rand_system());
    consensus__tickets_init(&n->tickets);
    mu_list_init(&n->inbox);
    mu_list_init(&n->flights);
    mu_list_init(&n->noted);
    mu_arena_init(&n->arena, CONSENSUS_WIRE_ARENA_MAX);
    rc = store->ops->open(store->self, &n->opened, err);
    if (rc != MU_OK) {
        n->phase = CONSENSUS_NODE_STOPPED; /* nothing runs: only deinit is left */
        return rc;
    }
    identify(n);
    n->base_index = n->opened.loaded.base_index;
    next_take(n);
    rc = state_lost(n, err);
    rc = rc == MU_OK ? check_applied(n, err) : rc;
    rc = rc == MU_OK ? check_level(n, err) : rc;
    rc = rc == MU_OK ? check_state_level(n, err) : rc;
    return rc == MU_OK ? consensus__node_bootstrap_open(n, err) : rc;
}

static void log_open(const struct consensus_node *n)
{
    const struct consensus_loaded *l = &n->opened.loaded;

    mu_log(MU_INFO, CONSENSUS_LOG_MODULE, "Opened the log", mu_kv_u("last_index", l->last_index),
           mu_kv_u("term", l->hard.term), mu_kv_u("applied", n->options.applied),
           mu_kv_u("boot", l->boot_count));
    if (n->opened.damage[0] != '\0') {
        mu_log(MU_WARN, CONSENSUS_LOG_MODULE, "The log was damaged",
               mu_kv("found", n->opened.damage), mu_kv_u("lacks_up_to", l->floor_index));
    }
    if (n->opened.was_rewritten) {
        mu_log(MU_INFO, CONSENSUS_LOG_MODULE,
               "The last stop was a crash: the end of the log was written again");
    }
}

void consensus__node_start(struct consensus_node *n, uint64_t now_ms)
{
    MU_ASSERT(n->phase == CONSENSUS_NODE_FRESH);
    consensus__node_clock(n, now_ms);
    log_open(n);
    if (!n->identity.is_fresh) {
        consensus__node_core_start(n);
    }
    struct consensus_bootstrap_event wake = { .kind = BOOTSTRAP_EV_WAKE };

    consensus__node_bootstrap_feed(n, &wake);
}

static uint32_t at_most(uint32_t value, uint32_t limit)
{
    return limit != 0 && limit < value ? limit : value;
}

/* What the core keeps and queues has to fit the file system. */
static void options_fit(struct consensus_options *o, const struct consensus_opened *opened)
{
    o->unsynced_bytes_max = at_most(o->unsynced_bytes_max, opened->unsynced_bytes_max);
    o->trailing_bytes = at_most(o->trailing_bytes, opened->trailing_bytes_max);
    o->laggard_bytes = at_most(o->laggard_bytes, 4 * opened->trailing_bytes_max);
}

/* Who wants fewer entries to trail wants less held up for laggards, too. */
static void trailing_set(struct consensus_options *o, uint32_t entries)
{
    uint64_t laggard = (uint64_t)o->laggard_bytes * entries / o->trailing_entries;

    o->laggard_bytes = laggard < o->laggard_bytes ? (uint32_t)laggard : o->laggard_bytes;
    o->trailing_entries = entries;
}

void consensus__node_core_start(struct consensus_node *n)
{
    struct consensus_options options;
    struct consensus_loaded *l = &n->opened.loaded;

    consensus_options_init(&options, n->options.timing, n->options.multiplier);
    options.server = n->options.server;
    options.disk = n->opened.disk;
    options_fit(&options, &n->opened);
    if (n->options.trailing_entries > 0) {
        trailing_set(&options, n->options.trailing_entries);
    }
    options.trailing_bytes = at_most(options.trailing_bytes, n->options.trailing_bytes);
    if (n->options.chunk_bytes > 0) {
        options.chunk_bytes = n->options.chunk_bytes;
    }
    if (n->options.cache_bytes > 0) {
        options.cache_bytes = n->options.cache_bytes;
    }
    l->applied = n->options.applied;
    l->durable_applied = n->options.durable_applied;
    l->lacks_state = n->lacks_state;
    l->state_is_copy = n->options.state_is_copy || n->takes_next;
    l->seed = mu_rand_u64(&n->rand);
    l->campaigns_at_once = n->campaigns_at_once;
    l->may_have_promised = !n->identity.is_fresh;
    options.has_leases = n->options.has_leases;
    options.level_max = level_max(n);
    n->core = mu_new(consensus_arena_bytes(&options));
    consensus_init(n->core, &options, l, n->now_ms);
    n->identity.cluster = l->hard.cluster;
    n->identity.epoch = l->hard.epoch;
    n->identity.is_fresh = false;
    consensus_opened_deinit(&n->opened);
    consensus__node_move(n, CONSENSUS_NODE_RUNS);
    consensus__node_peers(n);

    struct consensus_event wake = { .kind = CONSENSUS_EV_WAKE };

    consensus__node_feed(n, &wake);
}

/* -- time ---------------------------------------------------------------------------------- */

uint64_t consensus__node_wake_at(const struct consensus_node *n)
{
    if (n->phase != CONSENSUS_NODE_FRESH && n->phase != CONSENSUS_NODE_RUNS) {
        return UINT64_MAX;
    }
    return n->core_wake_ms < n->bootstrap_wake_ms ? n->core_wake_ms : n->bootstrap_wake_ms;
}

uint64_t consensus__node_pause_ms(const struct consensus_node *n)
{
    struct consensus_options options;

    consensus_options_init(&options, n->options.timing, n->options.multiplier);
    return options.pause_ms;
}

void consensus__node_wake(struct consensus_node *n, uint64_t now_ms)
{
    consensus__node_clock(n, now_ms);
    consensus__node_catch_up(n);
    if (n->phase == CONSENSUS_NODE_RUNS && n->now_ms >= n->core_wake_ms) {
        struct consensus_event ev = { .kind = CONSENSUS_EV_WAKE };

        consensus__node_feed(n, &ev);
    }
    if (n->now_ms >= n->bootstrap_wake_ms) {
        struct consensus_bootstrap_event ev = { .kind = BOOTSTRAP_EV_WAKE };

        consensus__node_bootstrap_feed(n, &ev);
    }
}

/* -- what the caller wants ----------------------------------------------------------------- */

static uint32_t level_of(const struct consensus_node *n, struct mu_span command)
{
    const struct consensus_callbacks *calls = &n->options.callbacks;

    return calls->level != NULL ? calls->level(n->options.callbacks_data, command)
                                : CONSENSUS_LEVEL_FIRST;
}

uint64_t consensus__node_propose(struct consensus_node *n, struct mu_span command, bool is_awaited,
                                 consensus_proposed_fn *done, void *data)
{
    struct consensus_waiter waiter = { .proposed = done, .data = data };
    uint64_t ticket = consensus__tickets_add(&n->tickets, &waiter);

    MU_ASSERT(command.bytes <= MU_COMMAND_BYTES_MAX); /* the command's encoder has checked */
    if (n->proposals_count == n->proposals_room) {
        n->proposals_room = n->proposals_room == 0 ? 64 : n->proposals_room * 2;
        n->proposals = mu_grow(n->proposals, n->proposals_room * sizeof *n->proposals);
    }
    n->proposals[n->proposals_count++] = (struct consensus_proposal){
        .ticket = ticket,
        .bytes = (uint32_t)command.bytes,
        .handle = consensus__pool_add_payload(&n->pool, command),
        .level = level_of(n, command),
        .is_awaited = is_awaited,
    };
    return ticket;
}

void consensus__node_read(struct consensus_node *n, consensus_read_fn *done, void *data)
{
    struct consensus_waiter waiter = { .read = done, .data = data };

    if (n->reads_count == n->reads_room) {
        n->reads_room = n->reads_room == 0 ? 64 : n->reads_room * 2;
        n->reads = mu_grow(n->reads, n->reads_room * sizeof *n->reads);
    }
    n->reads[n->reads_count++] = consensus__tickets_add(&n->tickets, &waiter);
}

static struct consensus_wish *wish_add(struct consensus_node *n, consensus_wished_fn *done,
                                       void *data)
{
    struct consensus_waiter waiter = { .wished = done, .data = data };

    if (n->wishes_count == n->wishes_room) {
        n->wishes_room = n->wishes_room == 0 ? 4 : n->wishes_room * 2;
        n->wishes = mu_grow(n->wishes, n->wishes_room * sizeof *n->wishes);
    }
    struct consensus_wish *wish = &n->wishes[n->wishes_count++];

    *wish = (struct consensus_wish){ .ticket = consensus__tickets_add(&n->tickets, &waiter) };
    return wish;
}

void consensus__node_change(struct consensus_node *n, const struct consensus_change *change,
                            consensus_wished_fn *done, void *data)
{
    wish_add(n, done, data)->change = *change;
}

void consensus__node_transfer(struct consensus_node *n, const struct mu_id *target,
                              consensus_wished_fn *done, void *data)
{
    struct consensus_wish *wish = wish_add(n, done, data);

    wish->is_transfer = true;
    wish->target = *target;
}

void consensus__node_applied(struct consensus_node *n, uint64_t index, uint64_t durable_index)
{
    MU_ASSERT(index >= n->applied && index <= n->delivered);
    MU_ASSERT(durable_index <= index);
    n->applied = index;
    n->durable_applied = durable_index > n->durable_applied ? durable_index : n->durable_applied;
    consensus__node_applied_upto(n, index);
}

void consensus__node_weigh(struct consensus_node *n, uint64_t state_bytes)
{
    n->state_bytes = state_bytes;
}

void consensus__node_sum(struct consensus_node *n, const struct consensus_sum *sum)
{
    if (n->sums_count == CONSENSUS_NODE_SUMS_MAX) {
        memmove(n->sums, n->sums + 1, --n->sums_count * sizeof *n->sums);
    }
    n->sums[n->sums_count++] = *sum;
}

void consensus__node_relieve(struct consensus_node *n)
{
    if (n->phase == CONSENSUS_NODE_FRESH || n->phase == CONSENSUS_NODE_RUNS) {
        n->store.ops->relieve(n->store.self);
    }
}

void consensus__node_survey(struct consensus_node *n)
{
    if (n->phase == CONSENSUS_NODE_RUNS) {
        n->store.ops->survey(n->store.self);
    }
}

void consensus__node_shed(struct consensus_node *n, uint64_t number)
{
    if (n->phase == CONSENSUS_NODE_RUNS) {
        n->store.ops->shed(n->store.self, number);
    }
}

void consensus__node_candidates(struct consensus_node *n,
                                const struct consensus_candidate *candidates, size_t count)
{
    mu_free(n->candidates);
    n->candidates = mu_new_array(count, sizeof *n->candidates);
    for (size_t i = 0; i < count; i++) {
        n->candidates[i] = (struct consensus_bootstrap_candidate){
            .server = candidates[i].server,
            .disk = candidates[i].disk,
            .cluster = candidates[i].cluster,
            .expect = candidates[i].expect,
            .is_alive = candidates[i].is_alive,
        };
    }
    n->candidates_count = count;
    n->has_candidates = true;
}

/* Whoever still waits gets an answer now: of what the core had, nobody knows the outcome. */
static void waiters_dismiss(struct consensus_node *n)
{
    while (n->tickets.oldest < n->tickets.next) {
        uint64_t ticket = n->tickets.oldest;
        const struct consensus_waiter *w = consensus__tickets_find(&n->tickets, ticket);

        consensus__node_answer(n, ticket, w->read == NULL && w->is_fed ? MU_LOST : MU_NOT_LEADER,
                               NULL, 0);
    }
}

/* -- turns --------------------------------------------------------------------------------- */

/* As many as one event may carry; what a refusal of one would cost the others stays bounded. What a
 * full disk refuses does not take with it what it allows. */
static size_t chunk_of(const struct consensus_proposal *list, size_t left)
{
    size_t bytes = 0;
    size_t count = 0;

    while (count < left && count < CONSENSUS_ENTRIES_MAX) {
        bytes += list[count].bytes;
        if (count > 0 &&
            (bytes > PROPOSE_BYTES_MAX || list[count].is_relief != list[0].is_relief)) {
            break;
        }
        count++;
    }
    return count;
}

/* Only asked for when it matters. */
static void relief_mark(const struct consensus_node *n, struct consensus_proposal *list,
                        size_t count)
{
    const struct consensus_callbacks *calls = &n->options.callbacks;

    if (n->health != CONSENSUS_STORE_FULL || calls->is_relief == NULL) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct mu_span command = consensus__pool_payload(&n->pool, list[i].handle);

        list[i].is_relief = calls->is_relief(n->options.callbacks_data, command);
    }
}

/* There is no core to ask, or it may not be asked any more. */
static void proposals_refuse(struct consensus_node *n, const struct consensus_proposal *list,
                             size_t count)
{
    for (size_t i = 0; i < count; i++) {
        consensus__pool_unref(&n->pool, list[i].handle);
        consensus__node_answer(n, list[i].ticket, MU_NOT_LEADER, NULL, 0);
    }
}

static void proposals_feed(struct consensus_node *n, const struct consensus_proposal *list,
                           size_t count)
{
    struct consensus_event ev = { .kind = CONSENSUS_EV_PROPOSE };

    for (size_t i = 0; i < count; i++) {
        consensus__tickets_find(&n->tickets, list[i].ticket)->is_fed = true;
    }
    ev.propose.proposals = list;
    ev.propose.count = count;
    consensus__node_feed(n, &ev);
}

static void proposals_run(struct consensus_node *n)
{
    struct consensus_proposal *list = n->proposals;
    size_t count = n->proposals_count;

    /* Callbacks may propose: into a list of its own. */
    n->proposals = NULL;
    n->proposals_count = n->proposals_room = 0;
    relief_mark(n, list, count);
    for (size_t at = 0; at < count;) {
        size_t chunk = chunk_of(list + at, count - at);

        if (n->phase == CONSENSUS_NODE_RUNS) {
            proposals_feed(n, list + at, chunk);
        } else {
            proposals_refuse(n, list + at, chunk);
        }
        at += chunk;
    }
    mu_free(list);
}

/* The first `count`: a read that came after the turn looked at its clock waits for the next, for by
 * that time nobody can say whether a lease still holds. */
static void reads_run(struct consensus_node *n, size_t count)
{
    uint64_t *list = n->reads;
    size_t rest = n->reads_count - count;

    n->reads = rest > 0 ? mu_new_array(rest, sizeof *n->reads) : NULL;
    n->reads_count = n->reads_room = rest;
    if (rest > 0) {
        memcpy(n->reads, list + count, rest * sizeof *list);
    }
    for (size_t i = 0; i < count; i++) {
        struct consensus_event ev = { .kind = CONSENSUS_EV_READ, .read_ticket = list[i] };

        if (n->phase != CONSENSUS_NODE_RUNS) {
            consensus__node_answer(n, list[i], MU_NOT_LEADER, NULL, 0);
            continue;
        }
        consensus__tickets_find(&n->tickets, list[i])->is_fed = true;
        consensus__node_feed(n, &ev);
    }
    mu_free(list);
}

static void wish_feed(struct consensus_node *n, const struct consensus_wish *wish)
{
    struct consensus_event ev = { .kind = CONSENSUS_EV_CHANGE };

    if (n->phase != CONSENSUS_NODE_RUNS) {
        consensus__node_answer(n, wish->ticket, MU_NOT_LEADER, NULL, 0);
        return;
    }
    consensus__tickets_find(&n->tickets, wish->ticket)->is_fed = true;
    if (wish->is_transfer) {
        ev.kind = CONSENSUS_EV_TRANSFER;
        ev.transfer.ticket = wish->ticket;
        ev.transfer.target = wish->target;
    } else {
        ev.change.ticket = wish->ticket;
        ev.change.what = &wish->change;
    }
    consensus__node_feed(n, &ev);
}

static void wishes_run(struct consensus_node *n)
{
    struct consensus_wish *list = n->wishes;
    size_t count = n->wishes_count;

    n->wishes = NULL;
    n->wishes_count = n->wishes_room = 0;
    for (size_t i = 0; i < count; i++) {
        wish_feed(n, &list[i]);
    }
    mu_free(list);
}

static void sums_run(struct consensus_node *n)
{
    for (size_t i = 0; i < n->sums_count && n->phase == CONSENSUS_NODE_RUNS; i++) {
        struct consensus_event ev = { .kind = CONSENSUS_EV_SUM, .sum = n->sums[i] };

        consensus__node_feed(n, &ev);
    }
    n->sums_count = 0;
}

static void applied_run(struct consensus_node *n)
{
    struct consensus_event ev = { .kind = CONSENSUS_EV_APPLIED };

    if (n->phase != CONSENSUS_NODE_RUNS ||
        (n->applied == n->applied_fed && n->durable_applied == n->durable_applied_fed)) {
        return; /* a sum comes with progress */
    }
    n->applied_fed = n->applied;
    n->durable_applied_fed = n->durable_applied;
    ev.applied.index = n->applied;
    ev.applied.durable_index = n->durable_applied;
    ev.applied.state_bytes = n->state_bytes;
    consensus__node_feed(n, &ev);
    sums_run(n);
}

static void candidates_run(struct consensus_node *n)
{
    struct consensus_bootstrap_event ev = { .kind = BOOTSTRAP_EV_CANDIDATES };

    if (!n->has_candidates) {
        return;
    }
    n->has_candidates = false;
    consensus__node_peers(n);
    ev.candidates.at = n->candidates;
    ev.candidates.count = n->candidates_count;
    consensus__node_bootstrap_feed(n, &ev);
}

static void formed_tell(struct consensus_node *n)
{
    if (n->phase == CONSENSUS_NODE_RUNS && !n->is_formed_told) {
        n->is_formed_told = true;
        n->options.callbacks.formed(n->options.callbacks_data, &n->identity.cluster);
    }
}

bool consensus__node_has_work(const struct consensus_node *n)
{
    if (n->phase == CONSENSUS_NODE_STOPPED) {
        return false;
    }
    return n->proposals_count > 0 || n->reads_count > 0 || n->wishes_count > 0 ||
           !mu_list_empty(&n->inbox) || !mu_list_empty(&n->noted) || n->has_candidates ||
           (n->phase == CONSENSUS_NODE_DEAD && n->tickets.oldest < n->tickets.next) ||
           (n->phase == CONSENSUS_NODE_RUNS &&
            (n->applied != n->applied_fed || n->durable_applied != n->durable_applied_fed ||
             !n->is_formed_told || consensus__node_can_deliver(n)));
}

bool consensus__node_awaits(const struct consensus_node *n, uint64_t *mark)
{
    bool is_writing = !mu_list_empty(&n->flights);
    uint64_t last = is_writing ? MU_CONTAINER(n->flights.prev, struct consensus_flight, link)->seq
                               : n->persisted_seq;

    *mark = last + n->persisted_seq + n->tickets.oldest + n->tickets.next; /* they only count up */
    return is_writing || n->tickets.oldest < n->tickets.next;
}

void consensus__node_turn(struct consensus_node *n, uint64_t now_ms)
{
    MU_ASSERT(!n->is_feeding);
    consensus__node_clock(n, now_ms);
    size_t reads_due = n->reads_count;

    consensus__node_catch_up(n); /* callbacks may read */
    n->is_turning = true;
    for (int round = 0; round < ROUNDS_MAX && consensus__node_has_work(n); round++) {
        consensus__node_inbox_run(n);
        candidates_run(n);
        formed_tell(n);
        applied_run(n);
        consensus__node_noted_run(n);
        reads_run(n, reads_due);
        reads_due = 0;
        wishes_run(n);
        proposals_run(n);
        if (n->phase == CONSENSUS_NODE_RUNS) {
            consensus__node_deliver(n);
        } else if (n->phase == CONSENSUS_NODE_DEAD) {
            waiters_dismiss(n);
        }
    }
    n->is_turning = false;
}

/* -- stop ---------------------------------------------------------------------------------- */

/* Nothing is accepted any more, nor what the callbacks of this ask for. Bounded, should one of them
 * try again at once for ever. */
static void all_refuse(struct consensus_node *n)
{
    for (int i = 0; i < REFUSALS_MAX && n->tickets.oldest < n->tickets.next; i++) {
        proposals_run(n);
        reads_run(n, n->reads_count);
        wishes_run(n);
        waiters_dismiss(n);
    }
}

void consensus__node_leave(struct consensus_node *n, uint64_t now_ms)
{
    struct consensus_event ev = { .kind = CONSENSUS_EV_STOP };

    MU_ASSERT(!n->is_feeding);
    consensus__node_clock(n, now_ms);
    consensus__node_catch_up(n);
    if (n->phase == CONSENSUS_NODE_RUNS) {
        consensus__node_feed(n, &ev);
    }
}

bool consensus__node_has_left(const struct consensus_node *n)
{
    struct consensus_status status;

    if (n->phase != CONSENSUS_NODE_RUNS) {
        return true;
    }
    consensus_status(n->core, &status);
    return status.is_stopped;
}

void consensus__node_stop(struct consensus_node *n)
{
    MU_ASSERT(!n->is_feeding && consensus__node_has_left(n));
    if (n->phase != CONSENSUS_NODE_STOPPING) {
        consensus__node_move(n, CONSENSUS_NODE_STOPPING);
    }
    all_refuse(n);
    n->store.ops->close(n->store.self);
}

static void store_free(struct consensus_node *n)
{
    if (n->store.self != NULL) {
        n->store.ops->free(n->store.self);
        n->store.self = NULL;
    }
}

void consensus__node_finish(struct consensus_node *n)
{
    MU_ASSERT(n->phase == CONSENSUS_NODE_STOPPED);
    store_free(n);
    all_refuse(n);
}

static void inbox_clear(struct consensus_node *n)
{
    struct mu_link *link;

    while ((link = mu_list_pop_front(&n->inbox)) != NULL) {
        consensus__deferred_free(MU_CONTAINER(link, struct consensus_deferred, link));
    }
}

void consensus__node_deinit(struct consensus_node *n)
{
    if (n->phase != CONSENSUS_NODE_STOPPED) {
        MU_ASSERT(n->core == NULL); /* it was never started */
        n->store.ops->close(n->store.self);
    }
    store_free(n);
    consensus__node_land(n, UINT64_MAX);
    inbox_clear(n);
    consensus__node_noted_clear(n);
    consensus__pool_deinit(&n->pool);
    consensus__tickets_deinit(&n->tickets);
    consensus_opened_deinit(&n->opened);
    mu_buf_deinit(&n->out);
    mu_buf_deinit(&n->replay);
    mu_arena_deinit(&n->arena);
    mu_free(n->proposals);
    mu_free(n->reads);
    mu_free(n->wishes);
    mu_free(n->batches);
    mu_free(n->candidates);
    mu_free(n->bootstrap);
    mu_free(n->core);
}

/* -- what can be seen ---------------------------------------------------------------------- */

void consensus__node_status(const struct consensus_node *n, struct consensus_status *out)
{
    if (n->core != NULL) {
        consensus_status(n->core, out);
        return;
    }
    *out = (struct consensus_status){
        .role = CONSENSUS_OBSERVER,
        .applied = n->applied,
        .durable_applied = n->durable_applied,
        .health = n->health,
    };
}

bool consensus__node_is_voter(const struct consensus_node *n, const struct mu_id *server)
{
    const struct consensus_config *config = n->core != NULL ? consensus_config_now(n->core) : NULL;
    const struct consensus_server *s =
        config != NULL ? consensus_config_find(config, server) : NULL;

    return s != NULL && consensus_server_votes(s);
}

void consensus__node_config(const struct consensus_node *n, struct consensus_config *out)
{
    *out = n->core != NULL ? *consensus_config_now(n->core) : (struct consensus_config){ 0 };
}
