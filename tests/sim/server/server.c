/* server.c - the life of one server: opened from its disk, run turn by turn, ended in the middle.
 *
 * A process that ends finds its disk dead: every request fails, whatever it was doing unwinds, and
 * nothing it says is heard. So the code under test frees what it holds, and leaks are seen.
 */
#include <stdio.h>
#include <string.h>

#include "agent/rebuild.h"
#include "agent/snapshot_files.h"
#include "base/assert.h"
#include "base/mem.h"
#include "disk_log.h"
#include "sim_posix.h"
#include "sim_vfs.h"
#include "world.h"

#define REST_US (40 * MS) /* entries that nobody waits for are held so long */

/* -- clocks -------------------------------------------------------------------------------------
 */

uint64_t server_us(const struct server *s)
{
    return s->clock_base_us + (s->world->now - s->clock_set) * s->clock_rate / 1000;
}

uint64_t server_ms(const struct server *s)
{
    return server_us(s) / 1000;
}

void server_clock(struct server *s, uint64_t rate, uint64_t jump_us)
{
    s->clock_base_us = server_us(s) + jump_us;
    s->clock_set = s->world->now;
    s->clock_rate = rate;
    world_say(s->world, "%s: clock at %llu/1000, forward %llu ms", s->name, U(rate),
              U(jump_us / MS));
    server_settle(s);
}

/* When its clock will show this. */
static uint64_t when_ms(const struct server *s, uint64_t ms)
{
    uint64_t now = server_us(s);

    return ms * 1000 <= now ? s->world->now
                            : s->world->now + (ms * 1000 - now) * 1000 / s->clock_rate + 1;
}

/* -- turns --------------------------------------------------------------------------------------
 */

bool server_is_up(const struct server *s)
{
    return s->state == SERVER_UP && !s->is_dying;
}

bool server_hears(const struct server *s)
{
    return s->has_begun && !s->is_dying && s->node.phase != CONSENSUS_NODE_STOPPING &&
           s->node.phase != CONSENSUS_NODE_STOPPED;
}

bool server_turn_begins(struct server *s, struct event *e, event_fn *fire, void *data)
{
    struct world *w = s->world;

    if (w->now >= s->paused_until) {
        return true;
    }
    event_set(w, e, s->paused_until + 1, fire, data);
    return false;
}

static void on_wake(void *data);
static void on_turn(void *data);
static void stop_when_left(struct server *s);

void server_settle(struct server *s)
{
    struct world *w = s->world;

    if (!s->has_begun || s->is_dying || s->node.phase == CONSENSUS_NODE_STOPPED) {
        return;
    }
    uint64_t at = consensus__node_wake_at(&s->node);

    if (at == UINT64_MAX) {
        event_cancel(w, &s->wake);
    } else {
        /* After a pause what has arrived is heard before silence is believed (driver_uv.c). */
        uint64_t us = when_ms(s, at);

        event_set(w, &s->wake, us > s->paused_until ? us : s->paused_until + 2, on_wake, s);
    }
    if (consensus__node_has_work(&s->node) && !event_is_set(&s->turn)) {
        event_set(w, &s->turn, w->now, on_turn, s);
    }
}

void server_turn_ends(struct server *s)
{
    if (s->reader != NULL) {
        catalog_reader_release(s->reader);
    }
    facts_check_node(s);
    calls_turn(s);
    stop_when_left(s);
    server_settle(s);
}

static void on_wake(void *data)
{
    struct server *s = data;

    if (server_turn_begins(s, &s->wake, on_wake, s)) {
        consensus__node_wake(&s->node, server_ms(s));
        server_turn_ends(s);
    }
}

/* Whoever stops gives its office away first, if it leads. */
static void stop_when_left(struct server *s)
{
    if (s->state == SERVER_STOPPING && s->has_begun && consensus__node_has_left(&s->node) &&
        s->node.phase != CONSENSUS_NODE_STOPPING && s->node.phase != CONSENSUS_NODE_STOPPED) {
        consensus__node_stop(&s->node);
    }
}

static void on_turn(void *data)
{
    struct server *s = data;

    if (server_turn_begins(s, &s->turn, on_turn, s)) {
        consensus__node_turn(&s->node, server_ms(s));
        server_turn_ends(s);
    }
}

static void server_ended(struct server *s);

static void on_collect(void *data)
{
    struct server *s = data;

    if (!server_turn_begins(s, &s->collect, on_collect, s) || !s->has_begun) {
        return;
    }
    consensus__node_collect(&s->node, server_ms(s));
    if (s->state == SERVER_STOPPING && s->node.phase == CONSENSUS_NODE_STOPPED) {
        server_ended(s);
        return;
    }
    server_turn_ends(s);
}

void server_store_wakes(void *data)
{
    struct server *s = data;

    if (!s->is_dying && !event_is_set(&s->collect)) {
        event_set(s->world, &s->collect, s->world->now + WAKE_US, on_collect, s);
    }
}

static void on_applied(void *data, const struct apply_report *report)
{
    struct server *s = data;
    struct world *w = s->world;

    if (report->changes != NULL) {
        for (size_t i = 0; i < report->results_count; i++) {
            fact_result(s, &report->results[i]);
        }
    }
    if (report->applied.index < s->applied.index || report->durable > report->applied.index) {
        world_fail(w, "%s: I10: applied goes from %llu to %llu, durable %llu", s->name,
                   U(s->applied.index), U(report->applied.index), U(report->durable));
    }
    s->applied = report->applied;
    version_check(s, report->applied.index, report->schema);
    fact_state(s, &report->applied);
    s->durable_told = report->durable > s->durable_told ? report->durable : s->durable_told;
    if (s->has_begun) {
        consensus__node_weigh(&s->node, report->bytes);
        consensus__node_applied(&s->node, report->applied.index, report->durable);
        late_sums(s, report->sums, report->sums_count);
    }
    catalog_reader_release(s->reader);
    if (report->changes == NULL) {
        catalog_reader_rest(s->reader);
    }
    requests_applied(s, report);
    snaps_poll(s);
}

/* -- what it may die of -------------------------------------------------------------------------
 */

static void on_exit_event(void *data)
{
    struct server *s = data;
    struct world *w = s->world;

    if (s->state == SERVER_UP || s->state == SERVER_STOPPING) {
        server_crash(s, false, s->is_refused ? NEVER : mu_rand_below(&w->rand, 2 * SECOND));
    }
}

/* It was removed from the cluster, or is about to be: until it is wiped it may not go on. */
static bool is_leaving(const struct server *s)
{
    return s->world->churn.victim == s && !s->world->churn.is_wiped;
}

static void dies(struct server *s, const char *what, const char *why)
{
    struct world *w = s->world;

    if (s->is_dying) {
        return;
    }
    world_say(w, "%s: %s: %s", s->name, what, why);
    if (!version_is_outdated(s, why) && !s->is_excused && !server_is_hurt(s) && !is_leaving(s)) {
        world_fail(w, "%s: a server dies without a cause: %s: %s", s->name, what, why);
    }
    w->sums.deaths++;
    s->deaths += server_is_hurt(s);
    if (s->deaths == SERVER_DEATHS_MAX) { /* as agent/failures.c: it stays down */
        world_say(w, "%s: has failed %u times", s->name, s->deaths);
        s->is_refused = true;
        w->sums.refused++;
    }
    event_set(w, &s->exit, w->now + mu_rand_below(&w->rand, 10 * MS), on_exit_event, s);
}

void server_state_failed(struct server *s, const char *why)
{
    dies(s, "the state cannot be written", why);
}

/* As agent__state_bad(): log and vote stay, the state goes. */
void server_state_bad(struct server *s, const char *why)
{
    struct mu_err err = MU_ERR_NONE;
    char dir[SERVER_DIR_BYTES];

    if (s->is_dying || event_is_set(&s->exit)) {
        return;
    }
    server_dir(s, dir);
    s->is_remade = true;
    if (rebuild_want(dir, s->generation, why, &err) != MU_OK) {
        server_state_failed(s, err.text);
        return;
    }
    s->noted = s->generation;
    dies(s, "the state is not to be trusted", why);
}

bool server_is_hurt(const struct server *s)
{
    return s->is_hurt || s->is_state_hurt || s->differs;
}

bool server_is_whole(const struct server *s)
{
    return !server_is_hurt(s) && !s->is_remade && s->world->churn.victim != s;
}

static void on_apply_failed(void *data, const char *why)
{
    struct server *s = data;

    if (apply_failure(s->apply) == MU_CORRUPT) {
        server_state_bad(s, why);
    } else {
        server_state_failed(s, why);
    }
}

static void on_state_full(void *data)
{
    struct server *s = data;

    if (server_is_up(s)) {
        consensus__node_relieve(&s->node);
        server_settle(s);
    }
}

static void on_relieved(void *data)
{
    struct server *s = data;

    marks_relieved();
    if (s->apply != NULL) {
        apply_relieved(s->apply);
    }
}

static bool is_relief(void *data, struct mu_span command)
{
    (void)data;
    return command_is_relief(command);
}

static void on_state_differs(void *data)
{
    struct server *s = data;

    if (s->apply != NULL) {
        apply_census(s->apply);
    }
}

static void on_dead(void *data, const char *why)
{
    struct server *s = data;
    struct consensus_status st;

    consensus__node_status(&s->node, &st);
    if (st.is_diverged) {
        server_state_bad(s, why);
        return;
    }
    dies(data, "consensus may not go on", why);
}

/* -- what consensus says ------------------------------------------------------------------------
 */

/* As agent/agent.c: where nobody waits, entries are applied in company. */
static void on_rest_end(void *data)
{
    struct server *s = data;

    if (server_turn_begins(s, &s->rest, on_rest_end, s)) {
        apply_hurry(s->apply);
    }
}

static bool is_awaited(const struct server *s, uint64_t first)
{
    return s->node.is_leader || first <= s->awaited ||
           apply_waiting(s->apply) >= MU_APPLY_BATCH_ENTRIES;
}

static void on_entries(void *data, const struct consensus_entry_view *entries, size_t count)
{
    struct server *s = data;
    struct apply_entry *list = mu_new_array(count, sizeof *list);

    for (size_t i = 0; i < count; i++) {
        fact_entry(s, &entries[i]);
        requests_entry(s, entries[i].ticket, entries[i].index);
        list[i] = (struct apply_entry){
            .index = entries[i].index,
            .term = entries[i].term,
            .ticket = entries[i].index, /* every result is looked at */
            .level = entries[i].level,
            .command = entries[i].is_command ? entries[i].bytes : MU_SPAN_NONE,
        };
    }
    if (is_awaited(s, entries[0].index)) {
        event_cancel(s->world, &s->rest);
        apply_push(s->apply, list, count);
    } else {
        apply_hold(s->apply, list, count);
        if (!event_is_set(&s->rest)) {
            event_set(s->world, &s->rest, s->world->now + REST_US, on_rest_end, s);
        }
    }
    mu_free(list);
}

void server_await(struct server *s, uint64_t index)
{
    s->awaited = index > s->awaited ? index : s->awaited;
    if (event_is_set(&s->rest)) {
        event_cancel(s->world, &s->rest);
        apply_hurry(s->apply);
    }
}

static void on_changed(void *data, const struct mu_id *leader, bool is_leader, bool is_ready)
{
    struct server *s = data;
    struct server *of = server_of(s->world, leader);

    world_say(s->world, "%s: the leader is %s%s", s->name, of != NULL ? of->name : "nobody",
              is_leader ? (is_ready ? ", ready" : ", not ready") : "");
    if (is_leader) {
        server_await(s, 0); /* an office begins with what is held */
    }
}

static void on_formed(void *data, const struct mu_id *cluster)
{
    struct server *s = data;

    (void)cluster;
    world_say(s->world, "%s: belongs to a cluster", s->name);
}

const struct consensus_callbacks server_callbacks = {
    .apply = on_entries,
    .changed = on_changed,
    .formed = on_formed,
    .dead = on_dead,
    .is_relief = is_relief,
    .level = version_level,
    .snapshot = snaps_order,
    .relieved = on_relieved,
    .surveyed = scrubs_surveyed,
    .state_differs = on_state_differs,
    .state_proven = snaps_proven,
};

/* -- opening ------------------------------------------------------------------------------------
 */

static void open_failed(struct server *s)
{
    struct world *w = s->world;
    bool is_damage =
        s->open_code == MU_CORRUPT || s->open_code == MU_FOREIGN || s->open_code == MU_UNSUPPORTED;

    world_say(w, "%s: does not open: %s: %s", s->name, mu_code_text(s->open_code),
              s->open_error.text);
    if (version_is_outdated(s, s->open_error.text)) {
        server_crash(s, false, mu_rand_below(&w->version_rand, SECOND));
        return;
    }
    if (is_damage && !server_is_hurt(s) && !(w->options.is_beyond && s->lacks_state)) {
        world_fail(w, "%s: refuses what no fault has touched: %s", s->name, s->open_error.text);
    }
    if (s->open_code == MU_IO && !s->is_excused) {
        world_fail(w, "%s: fails to open without a cause: %s", s->name, s->open_error.text);
    }
    if (s->open_code == MU_FULL && disk_room(s->disk) == UINT64_MAX && !s->is_told_full) {
        world_fail(w, "%s: finds its disk full, which is not: %s", s->name, s->open_error.text);
    }
    s->is_refused = is_damage;
    w->sums.refused += is_damage;
    server_crash(s, false, is_damage ? NEVER : SECOND + mu_rand_below(&w->rand, 2 * SECOND));
    if (is_damage) {
        wounds_refused(s);
    }
}

/* What was on disk is what was told: nothing flushed is gone, nothing is there that never was. */
static void check_opened(struct server *s)
{
    struct world *w = s->world;

    if (!server_is_hurt(s) && s->opened.index < s->durable_told) {
        world_fail(w, "%s: the state was durable up to %llu and is now at %llu", s->name,
                   U(s->durable_told), U(s->opened.index));
    }
    if (s->opened.index > facts_last(w)) {
        world_fail(w, "%s: the state is at %llu, and only %llu were ever committed", s->name,
                   U(s->opened.index), U(facts_last(w)));
    }
    s->applied = s->opened;
    version_check(s, s->opened.index, catalog_schema(s->catalog));
    s->durable_told = catalog_durable(s->catalog);
    if (s->durable_told > s->opened.index) {
        world_fail(w, "%s: %llu is said to be durable, of %llu", s->name, U(s->durable_told),
                   U(s->opened.index));
    }
    fact_state(s, &s->opened);
}

/* The catalog, which is given, is the state from now on. */
static void state_take(struct server *s, struct catalog *catalog)
{
    struct apply_host host = threads_apply(s);

    s->apply = apply_open(&host, catalog, on_applied, on_apply_failed, on_state_full, s);
    threads_apply_start(s);
}

void server_state_replace(struct server *s, struct catalog *catalog)
{
    struct mu_err err = MU_ERR_NONE;
    char dir[SERVER_DIR_BYTES];

    server_dir(s, dir);
    catalog_reader_release(s->reader);
    catalog_reader_close(s->reader);
    s->reader = NULL;
    threads_apply_end(s);
    s->applied = s->opened = catalog_applied(catalog);
    s->world->sums.rebuilt_leader += s->lacks_state;
    s->lacks_state = s->is_remade = s->is_doubted = false;
    s->noted = 0;
    version_check(s, s->applied.index, catalog_schema(catalog));
    fact_state(s, &s->applied);
    if (s->applied.index < s->durable_told && !server_is_hurt(s)) {
        world_fail(s->world, "%s: a state of %llu takes the place of one of %llu", s->name,
                   U(s->applied.index), U(s->durable_told));
    }
    s->durable_told = catalog_durable(catalog);
    state_take(s, catalog);
    char *path = snapshot_state_path(dir, s->generation);

    if (catalog_reader_open(&s->reader, path, NULL, &err) != MU_OK) {
        server_state_failed(s, err.text);
    }
    mu_free(path);
}

static void on_opened(void *data)
{
    struct server *s = data;
    struct world *w = s->world;

    if (!server_turn_begins(s, &s->opened_event, on_opened, s)) {
        return;
    }
    if (s->open_code != MU_OK) {
        open_failed(s);
        return;
    }
    w->sums.opens++;
    check_opened(s);
    state_take(s, s->catalog);
    s->catalog = NULL;
    s->state = SERVER_UP;
    s->has_begun = true;
    s->term = s->commit = s->origin_seq = s->awaited = s->reads_leased = 0;
    world_say(w, "%s: is up, applied %llu", s->name, U(s->opened.index));
    uint64_t damaged = s->node.opened.damaged_segment;

    consensus__node_start(&s->node, server_ms(s));
    scrubs_open(s, damaged);
    fact_log(s);
    server_store_wakes(s);
    server_turn_ends(s);
}

void server_boots_up(struct server *s)
{
    event_set(s->world, &s->opened_event, s->world->now, on_opened, s);
}

void server_start(struct server *s)
{
    MU_ASSERT(s->state == SERVER_DOWN);
    s->life++;
    s->state = SERVER_OPENING;
    s->is_excused =
        s->stays_excused || disk_fails_again(s->disk) || disk_room(s->disk) != UINT64_MAX;
    s->stays_excused = s->is_told_full = false;
    s->paused_until = 0;
    event_cancel(s->world, &s->restart);
    world_say(s->world, "%s: starts%s", s->name, s->was_cut ? " after a power cut" : "");
    disk_revive(s->disk, s->was_cut);
    version_choose(s);
    late_start(s);
    wounds_start(s);
    s->was_cut_once = s->was_cut_once || s->was_cut;
    s->was_cut = false;
    task_start(&s->boot, s, server_boot);
}

static void on_restart(void *data)
{
    struct server *s = data;

    if (s->state == SERVER_DOWN && !s->is_refused) {
        server_start(s);
    }
}

/* -- the end ------------------------------------------------------------------------------------
 */

static void node_end(struct server *s)
{
    if (!s->has_node) {
        return;
    }
    if (s->has_begun) {
        if (s->node.phase != CONSENSUS_NODE_STOPPING && s->node.phase != CONSENSUS_NODE_STOPPED) {
            consensus__node_die(&s->node, "the process ends"); /* no office is given away */
            consensus__node_stop(&s->node);
        }
        task_drain(&s->log_task);
        if (s->node.phase != CONSENSUS_NODE_STOPPED) {
            consensus__node_collect(&s->node, server_ms(s));
        }
        consensus__node_finish(&s->node);
    }
    consensus__node_deinit(&s->node);
    s->has_node = s->has_begun = false;
    s->log = NULL;
}

static void events_cancel(struct server *s)
{
    struct event *const all[] = { &s->rest,          &s->exit,       &s->opened_event,
                                  &s->turn,          &s->wake,       &s->collect,
                                  &s->applied_event, &s->snap_event, &s->midst };

    for (size_t i = 0; i < MU_LEN(all); i++) {
        event_cancel(s->world, all[i]);
    }
}

/* Everything the process held is freed. Its disk is dead, or it has stopped in order. */
static void server_ended(struct server *s)
{
    s->is_dying = true;
    events_cancel(s);
    task_drain(&s->boot);
    scrubs_close(s);
    node_end(s);
    snaps_close(s);
    if (s->reader != NULL) {
        catalog_reader_release(s->reader);
        catalog_reader_close(s->reader);
        s->reader = NULL;
    }
    if (s->apply != NULL) {
        threads_apply_end(s);
    }
    catalog_close(s->catalog);
    s->catalog = NULL;
    task_free(&s->boot);
    task_free(&s->log_task);
    requests_drop(s);
    net_server_down(s);
    events_cancel(s); /* what the last steps asked for */
    disk_die(s->disk);
    if (disk_open_count(s->disk) + sim_posix_open_count(s->place) != 0) {
        world_fail(s->world, "%s: %zu files are left open", s->name, disk_open_count(s->disk));
    }
    sim_vfs_forget(s->place);
    s->is_dying = false;
    s->state = SERVER_DOWN;
    wounds_down(s);
    if (s->restart_at != NEVER) {
        event_set(s->world, &s->restart, s->restart_at, on_restart, s);
    }
}

void server_crash(struct server *s, bool is_cut, uint64_t restart)
{
    struct world *w = s->world;

    s->was_cut = s->was_cut || is_cut;
    if (s->state == SERVER_DOWN) {
        return;
    }
    world_say(w, "%s: %s", s->name, is_cut ? "the power is cut" : "the process is killed");
    w->sums.crashes++;
    marks_death(s);
    s->restart_at = restart == NEVER ? NEVER : w->now + restart;
    s->is_dying = true;
    disk_die(s->disk);
    server_ended(s);
    platter_left(s);
}

void server_stop(struct server *s, uint64_t restart)
{
    if (!server_is_up(s) || s->node.phase == CONSENSUS_NODE_DEAD) {
        return;
    }
    world_say(s->world, "%s: stops in order", s->name);
    s->restart_at = s->world->now + restart;
    s->state = SERVER_STOPPING;
    consensus__node_leave(&s->node, server_ms(s));
    server_turn_ends(s);
}

void server_pause(struct server *s, uint64_t us)
{
    world_say(s->world, "%s: stands still for %llu ms", s->name, U(us / MS));
    s->paused_until = s->world->now + us;
}

/* -- for good -----------------------------------------------------------------------------------
 */

static void disk_sleep(void *data, enum disk_request request, size_t bytes)
{
    struct server *s = data;
    struct mu_rand *r = &s->world->disk_rand;
    uint64_t most = s->latency_us;

    if (s->world->options.is_verbose && request == DISK_SYNC) {
        world_say(s->world, "%s: flushes", s->name);
    }

    if (s->is_dying || (request == DISK_READ && mu_rand_below(r, 8) != 0) ||
        (request == DISK_WRITE && mu_rand_below(r, 2) != 0)) {
        return; /* from the cache, or into it */
    }
    uint64_t us =
        20 + mu_rand_below(r, request == DISK_SYNC ? most + 1 : most / 8 + 1) + bytes / 1000;

    if (s->world->now < s->stall_until) {
        us += s->stall_until - s->world->now;
    }
    tasks_sleep(s, us);
}

static void disk_note(void *data, uint64_t what)
{
    struct server *s = data;

    world_note(s->world, what * 8 + s->place);
}

void server_init(struct world *w, size_t place)
{
    struct server *s = &w->servers[place];
    struct disk_owner owner = { s, disk_sleep, disk_note };

    s->world = w;
    s->place = place;
    (void)snprintf(s->name, sizeof s->name, "s%zu", place);
    s->id = mu_id_drawn(&w->rand);
    s->id.b[0] = (uint8_t)(place + 1);
    s->disk = disk_new(&owner, mu_rand_u64(&w->rand));
    s->view = mu_new(sizeof *s->view);
    disk_log_view(s->disk, w->has_all_calls, s->view);
    sim_vfs_add(place, s->disk);
    sim_posix_add(place, s->disk);
    s->clock_rate = torture_rate(w);
    s->clock_base_us = SECOND + mu_rand_below(&w->rand, 1000 * SECOND);
    s->wall_ms = 1700000000000 + (int64_t)mu_rand_below(&w->rand, 10000);
    s->latency_us = 100 + mu_rand_below(&w->rand, mu_rand_below(&w->rand, 4) == 0 ? 10000 : 2000);
    disk_lie(s->disk, DISK_LOG, w->options.broken == BREAK_FLUSH);
    wounds_init(s);
}

void server_deinit(struct server *s)
{
    if (s->state != SERVER_DOWN) {
        server_crash(s, false, NEVER);
    }
    event_cancel(s->world, &s->restart);
    wounds_deinit(s);
    disk_free(s->disk);
    mu_free(s->view);
}

struct server *server_of(struct world *w, const struct mu_id *id)
{
    for (size_t i = 0; i < w->servers_count; i++) {
        if (mu_id_eq(&w->servers[i].id, id)) {
            return &w->servers[i];
        }
    }
    return NULL;
}
