/* agent.c - this node: what is started, in which order, and how it ends.
 *
 * Start (a server):  data directory -> catalog -> log and consensus -> RPC listener -> gossip ->
 * local registrations -> anti-entropy; then the front doors (not here), then joining.
 * Stop runs backwards: nothing that is still running may call something that is gone. What ends
 * asynchronously (gossip, consensus, RPC) is counted; the last one tells the owner.
 */
#include <stdio.h>
#include <string.h>

#include "agent/recovery.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "discover.h"
#include "level.h"
#include "log_feed.h"
#include "persist.h"
#include "proto/command.h"
#include "requests.h"
#include "roster.h"
#include "snapshot.h"

#define CACHE_BYTES_MAX (8U * 1024 * 1024)
#define APPLY_REST_MS   10U /* how long entries wait for company when nobody waits for them */

/* -- small things ------------------------------------------------------------------------------ */

const struct config *agent_config(const struct agent *a)
{
    return a->config;
}

bool agent_is_server(const struct agent *a)
{
    return a->config->is_server;
}

const char *agent_node_name(const struct agent *a)
{
    return a->config->node_name;
}

void agent_node_id(const struct agent *a, char out[MU_ID_TEXT_BYTES + 1])
{
    mu_id_text(&a->data.node, out);
}

const char *agent_datacenter(const struct agent *a)
{
    return a->config->datacenter;
}

struct mu_addr agent_advertised(const struct agent *a)
{
    return a->advertise;
}

struct mu_rand *agent_rand(struct agent *a)
{
    return &a->rand;
}

struct uv_loop_s *agent_loop(struct agent *a)
{
    return a->loop;
}

uint64_t agent_now_ms(const struct agent *a)
{
    return timers_now(a->timers);
}

struct local *agent_local(struct agent *a)
{
    return a->local;
}

uint64_t agent_restores(const struct agent *a)
{
    return a->restores;
}

struct catalog_watch *agent_watch(struct agent *a)
{
    return a->watch;
}

struct catalog_cache *agent_cache(struct agent *a)
{
    return a->cache;
}

void agent_set_front(struct agent *a, const struct agent_front *front)
{
    a->has_front = front != NULL;
    if (front != NULL) {
        a->front = *front;
    }
}

struct later {
    struct timer timer;
    agent_done_fn *done;
    void *data;
    enum mu_code code;
    struct mu_err err;
};

static void on_later(void *data)
{
    struct later *l = data;

    l->done(l->data, l->code, &l->err);
    mu_free(l);
}

void agent__later(struct agent *a, agent_done_fn *done, void *data, enum mu_code code,
                  const char *text)
{
    struct later *l = mu_new(sizeof *l);

    l->done = done;
    l->data = data;
    l->code = code;
    if (code != MU_OK) {
        (void)mu_fail(&l->err, code, "%s", text);
    }
    timer_set(a->timers, &l->timer, 0, on_later, l);
}

static void on_end(void *data)
{
    struct agent *a = data;

    a->owner.ended(a->owner.data, a->end_how);
}

/* From a turn of its own: it may be noticed while this agent is being started. */
void agent__end(struct agent *a, enum agent_end how)
{
    if (a->phase >= AGENT_ENDING) {
        return;
    }
    a->phase = AGENT_ENDING;
    a->end_how = how;
    timer_set(a->timers, &a->end_timer, 0, on_end, a);
}

static void on_turn(void *data)
{
    struct agent *a = data;

    if (a->reader != NULL) {
        catalog_reader_release(a->reader); /* or checkpoints would wait for us */
        agent__state_look(a);
    }
}

/* -- start: consensus -------------------------------------------------------------------------- */

static void on_state_differs(void *data)
{
    struct agent *a = data;

    if (a->apply != NULL) {
        apply_census(a->apply);
    }
}

static void on_state_proven(void *data)
{
    agent__snapshot_proven(data);
}

static void on_relieved(void *data)
{
    struct agent *a = data;

    if (a->apply != NULL) {
        apply_relieved(a->apply);
    }
}

static bool is_relief(void *data, struct mu_span command)
{
    (void)data;
    return command_is_relief(command);
}

static uint32_t level_of(void *data, struct mu_span command)
{
    (void)data;
    return command_level(command);
}

static void on_rest_end(void *data)
{
    struct agent *a = data;

    apply_hurry(a->apply);
}

/* Does the leader wait for the result of any of these? What it proposed and has answered already is
 * as a follower's; what has no ticket may be the beginning of its office. */
static bool has_asker(const struct agent *a, const struct consensus_entry_view *entries,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (entries[i].ticket == 0 || agent__requests_has(a, entries[i].ticket)) {
            return true;
        }
    }
    return false;
}

/* Without waiters nobody sees whether an entry is applied now or with the next ones
 * (spec/consensus.md 6.3, apply lever 5). */
static bool is_awaited(const struct agent *a, const struct consensus_entry_view *entries,
                       size_t count)
{
    return entries[0].index <= a->awaited || catalog_watch_eager(a->watch) > 0 ||
           apply_waiting(a->apply) >= MU_APPLY_BATCH_ENTRIES ||
           (agent_leads(a) && has_asker(a, entries, count));
}

static void on_entries(void *data, const struct consensus_entry_view *entries, size_t count)
{
    struct agent *a = data;
    struct apply_entry *list = mu_new_array(count, sizeof *list);

    for (size_t i = 0; i < count; i++) {
        list[i] = (struct apply_entry){
            .index = entries[i].index,
            .term = entries[i].term,
            .ticket = entries[i].ticket,
            .level = entries[i].level,
            .command = entries[i].is_command ? entries[i].bytes : MU_SPAN_NONE,
        };
    }
    if (is_awaited(a, entries, count)) {
        timer_cancel(&a->rest);
        apply_push(a->apply, list, count);
    } else {
        apply_hold(a->apply, list, count);
        if (!timer_is_set(&a->rest)) {
            timer_set(a->timers, &a->rest, APPLY_REST_MS, on_rest_end, a);
        }
    }
    mu_free(list);
}

void agent__await(struct agent *a, uint64_t index)
{
    a->awaited = index > a->awaited ? index : a->awaited;
    if (timer_is_set(&a->rest)) {
        timer_cancel(&a->rest);
        apply_hurry(a->apply);
    }
}

static void on_leader(void *data, const struct mu_id *leader, bool is_leader, bool is_ready)
{
    struct agent *a = data;

    if (is_leader) {
        agent__await(a, 0); /* an office begins with what is held */
    }
    if (a->phase < AGENT_STOPPING) { /* afterwards nobody here acts on it */
        agent__leader_changed(a, leader, is_leader, is_ready);
    }
}

static void on_formed(void *data, const struct mu_id *cluster)
{
    struct agent *a = data;
    char text[MU_ID_TEXT_BYTES + 1];

    if (a->phase >= AGENT_STOPPING) {
        return;
    }
    mu_id_text(cluster, text);
    mu_log(MU_INFO, "agent.server", "This server belongs to a cluster", mu_kv("cluster", text));
    agent__tags_refresh(a);
    agent__peers_refresh(a);
}

static void on_dead(void *data, const char *why)
{
    struct agent *a = data;
    struct consensus_status status;

    consensus_driver_status(a->consensus, &status);
    if (status.is_removed) {
        agent__removed(a, why);
        return;
    }
    if (status.is_diverged) {
        agent__state_bad(a, why);
        return;
    }
    mu_log(MU_ERROR, "agent.server.raft", "This server must stop", mu_kv("error", why));
    agent__failure_note(a, why);
    agent__end(a, AGENT_FAILED);
}

static void on_read_only(void *data, const char *why)
{
    agent__read_only(data, why);
}

static void on_surveyed(void *data, const struct consensus_survey *survey)
{
    agent__scrub_surveyed(data, survey);
}

static void on_snapshot(void *data, const struct consensus_snap_order *order)
{
    agent__snapshot_order(data, order);
}

enum mu_code agent__consensus_open(struct agent *a, const struct catalog_applied *next,
                                   struct mu_err *err)
{
    const struct config *c = a->config;
    char *dir = agent__data_path(a, "consensus");
    struct consensus_driver_options options = {
        .server = a->data.node,
        .dir = dir,
        .timing = c->is_dev ? CONSENSUS_FAST : CONSENSUS_LAN,
        .multiplier = (unsigned)c->raft_multiplier,
        .expect = c->is_bootstrap ? 1 : (unsigned)c->bootstrap_expect,
        .was_member = a->data.was_member,
        .awaits_view = true,
        .transport = &agent__transport,
        .transport_self = a,
        .callbacks = {
            .apply = on_entries,
            .changed = on_leader,
            .formed = on_formed,
            .dead = on_dead,
            .is_relief = is_relief,
            .level = level_of,
            .snapshot = on_snapshot,
            .relieved = on_relieved,
            .state_differs = on_state_differs,
            .state_proven = on_state_proven,
            .surveyed = on_surveyed,
            .read_only = on_read_only,
        },
        .callbacks_data = a,
        .applied = a->applied.index,
        .applied_term = a->applied.term,
        .durable_applied = a->durable_at_start,
        .state_level = a->schema.level,
        .lacks_state = a->lacks_state,
        .state_is_copy = a->state_is_copy,
        .next_applied = next->index,
        .next_applied_term = next->term,
        .trailing_entries = (uint32_t)c->raft_trailing_logs,
        .has_leases = c->has_read_leases,
        .poll_us = (uint32_t)c->write_poll_us,
        .level_max = agent__level_max(a),
    };
    enum mu_code rc = consensus_driver_new(&a->consensus, a->loop, &options, err);

    mu_free(dir);
    return rc == MU_UNSUPPORTED && agent__level_max(a) < command_level_max()
               ? mu_wrap(err, rc, "command_level_max is %lld", (long long)c->command_level_max)
               : rc;
}

/* Consul's way to go on without a quorum: a file, looked at before anything else. */
static enum mu_code recovery_look(struct agent *a, struct mu_err *err)
{
    bool did = false;
    enum mu_code rc = recovery_consume(a->data.dir, &a->data.node, &did, err);

    if (rc == MU_OK && did) {
        mu_log(MU_WARN, "agent.server",
               "Recovered from raft/peers.json: this server goes on in a new epoch without the "
               "others, which can only join as new");
    }
    return rc;
}

static enum mu_code server_open(struct agent *a, struct mu_err *err)
{
    enum mu_code rc = agent__failures_look(a, err);

    rc = rc == MU_OK ? recovery_look(a, err) : rc;
    if (rc != MU_OK) {
        return rc;
    }
    a->watch = catalog_watch_new();
    a->cache = catalog_cache_new(a->watch, CACHE_BYTES_MAX);
    agent__requests_open(a);
    rc = agent__state_open(a, err);
    if (rc != MU_OK) {
        return rc;
    }
    agent__peers_open(a);
    agent__sessions_open(a);
    agent__history_open(a);
    agent__roster_open(a);
    agent__leader_open(a);
    agent__caretaker_open(a);
    return agent__scrub_open(a, err);
}

/* -- life -------------------------------------------------------------------------------------- */

enum mu_code agent_new(struct agent **out, struct uv_loop_s *loop, struct config *config,
                       const struct agent_owner *owner, struct mu_err *err)
{
    struct agent *a = mu_new(sizeof *a);
    enum mu_code rc;

    a->loop = loop;
    a->config = config;
    a->owner = *owner;
    a->data.lock_fd = -1;
    mu_rand_seed(&a->rand, mu_rand_system());
    rc = agent__identity_open(a, err);
    if (rc != MU_OK) {
        agent_free(a);
        return rc;
    }
    *out = a;
    return MU_OK;
}

static void on_local_change(void *data, enum local_change_kind kind, struct mu_span id)
{
    struct agent *a = data;

    agent__registration_changed(a, kind, id);
    agent__sync_changed(a, kind, id);
}

static enum mu_code listen_rpc(struct agent *a, struct mu_err *err)
{
    struct mu_addr at = a->config->bind_addr;

    if (!agent_is_server(a)) {
        return MU_OK; /* nobody calls a client agent */
    }
    at.port = (uint16_t)a->config->ports.server;
    return rpc_listen(a->rpc, &at, err);
}

enum mu_code agent_start(struct agent *a, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    agent__identity_log(a);
    a->phase = AGENT_RUNNING;
    mu_list_init(&a->key_calls);
    agent__saves_open(a);
    mu_list_init(&a->surveys);
    mu_list_init(&a->recoveries);
    mu_list_init(&a->recover_asks);
    mu_list_init(&a->watches_retired);
    agent__reload_open(a);
    agent__doctor_open(a);
    a->log_feed = log_feed_new(a->loop);
    agent__user_tags_open(a);
    a->timers = timers_new(a->loop);
    a->turn = turn_new(a->loop, on_turn, a);
    a->local = local_new();
    agent__join_open(a);
    agent__coordinates_open(a);
    if (agent_is_server(a)) {
        rc = server_open(a, err);
    } else {
        agent__servers_open(a);
    }
    rc = rc == MU_OK ? agent__identity_keep(a, err) : rc;
    rc = rc == MU_OK ? agent__keyring_open(a, err) : rc;
    if (rc != MU_OK) {
        return rc;
    }
    agent__memory_open(a);
    agent__key_changes_open(a);
    agent__serve_open(a);
    rc = listen_rpc(a, err);
    if (rc == MU_OK) {
        rc = agent__gossip_start(a, err);
    }
    if (rc != MU_OK) {
        return rc;
    }
    a->advertise = gossip_driver_address(a->gossip);
    agent__coordinates_start(a);
    if (a->consensus != NULL) {
        a->has_consensus_started = true;
        consensus_driver_start(a->consensus);
        agent__membership_open(a);
        agent__peers_refresh(a);
    }
    agent__sync_open(a);
    rc = agent__registration_open(a, err);
    if (rc != MU_OK) {
        return rc;
    }
    local_set_listener(a->local, on_local_change, a);
    rc = agent__registration_restore(a, err);
    rc = rc == MU_OK ? agent__ipc_open(a, err) : rc;
    rc = rc == MU_OK ? agent__discover_open(a, err) : rc;
    agent__events_open(a);
    agent__sinks_open(a);
    agent__handlers_open(a);
    agent__watches_open(a);
    agent__exec_open(a);
    if (rc == MU_OK) {
        agent__sync_full(a, "start");
    }
    return rc;
}

/* -- stop -------------------------------------------------------------------------------------- */

static void stopped_one(struct agent *a)
{
    MU_ASSERT(a->stops_pending > 0);
    a->stops_pending--;
    if (a->stops_pending == 0) {
        a->stopped(a->stopped_data);
    }
}

static void on_rpc_closed(void *data)
{
    struct agent *a = data;

    a->rpc = NULL;
    stopped_one(a);
}

/* Consensus and gossip are silent: now nothing uses the connections any more. */
static void stop_rest(struct agent *a)
{
    agent__peers_close(a);
    agent__join_close(a);
    if (a->rpc != NULL) {
        a->stops_pending++;
        rpc_close(a->rpc, on_rpc_closed, a);
    }
    agent__snapshots_close(a);
    timer_cancel(&a->rest);
    apply_close(a->apply);
    a->apply = NULL;
    stopped_one(a);
}

static void on_consensus_stopped(void *data)
{
    stop_rest(data);
}

static void on_gossip_stopped(void *data)
{
    struct agent *a = data;

    if (a->has_consensus_started) {
        consensus_driver_stop(a->consensus, on_consensus_stopped, a);
        return;
    }
    stop_rest(a);
}

static void on_discover_closed(void *data)
{
    stopped_one(data);
}

static void on_ipc_closed(void *data)
{
    stopped_one(data);
}

static void on_persist_stopped(void *data)
{
    stopped_one(data);
}

void agent_stop(struct agent *a, agent_stopped_fn *stopped, void *data)
{
    MU_ASSERT(a->phase != AGENT_STOPPING);
    a->phase = AGENT_STOPPING;
    timer_cancel(&a->leave_timer);
    timer_cancel(&a->end_timer);
    agent__read_only_close(a);
    agent__memory_close(a);
    timer_cancel(&a->left_behind.timer);
    a->stopped = stopped;
    a->stopped_data = data;
    a->stops_pending = 1;
    if (a->leader != NULL) {
        agent__leader_close(a);
        agent__sessions_close(a);
        agent__history_close(a);
        agent__roster_close(a);
        agent__caretaker_close(a);
        agent__membership_close(a);
    }
    if (agent__ipc_is_open(a)) {
        a->stops_pending++;
        agent__ipc_close(a, on_ipc_closed, a);
    }
    if (agent__discover_is_open(a)) {
        a->stops_pending++;
        agent__discover_close(a, on_discover_closed, a);
    }
    agent__sinks_close(a);
    agent__key_calls_cancel(a);
    agent__surveys_cancel(a);
    agent__recover_close(a);
    agent__doctor_close(a);
    agent__reload_close(a);
    agent__rival_close(a);
    agent__key_changes_close(a);
    agent__handlers_close(a);
    agent__watches_close(a);
    agent__exec_close(a);
    agent__registration_close(a);
    agent__restore_close(a);
    agent__uploads_close(a);
    agent__saves_close(a);
    agent__scrub_close(a);
    agent__coordinates_close(a);
    agent__requests_close(a); /* answers what waits: no write of ours is in flight after this */
    agent__servers_close(a);
    agent__sync_close(a);
    if (a->persist != NULL) {
        a->stops_pending++;
        persist_stop(a->persist, on_persist_stopped, a);
    }
    if (a->has_gossip_started) {
        timer_cancel(&a->metrics.look);
        gossip_driver_stop(a->gossip, on_gossip_stopped, a);
    } else {
        on_gossip_stopped(a);
    }
}

void agent_free(struct agent *a)
{
    if (a == NULL) {
        return;
    }
    if (a->timers != NULL) {
        timers_close(a->timers);
        turn_close(a->turn);
    }
    gossip_driver_free(a->gossip);
    agent__ipc_free(a);
    agent__user_tags_free(a);
    agent__events_free(a);
    log_feed_free(a->log_feed);
    consensus_driver_free(a->consensus);
    catalog_reader_close(a->reader);
    agent__recover_carry_out(a);
    catalog_cache_free(a->cache);
    catalog_watch_free(a->watch);
    persist_free(a->persist);
    local_free(a->local);
    mu_free(a->state_path);
    agent__keyring_close(a);
    agent__identity_close(a);
    mu_free(a);
}

/* -- status ------------------------------------------------------------------------------------ */

struct mu_addr agent_leader_address(struct agent *a)
{
    struct consensus_status status;
    struct agent__server server;

    if (a->consensus == NULL) {
        return MU_ADDR_NONE;
    }
    consensus_driver_status(a->consensus, &status);
    if (mu_id_is_none(&status.leader) || !agent__server_find(a, &status.leader, &server)) {
        return MU_ADDR_NONE;
    }
    return server.rpc;
}

void agent_each_peer(struct agent *a, agent_address_fn *each, void *data)
{
    struct consensus_status status;
    struct agent__server server;

    if (a->consensus == NULL) {
        return;
    }
    consensus_driver_status(a->consensus, &status);
    for (size_t i = 0; i < status.voters_count; i++) {
        if (agent__server_find(a, &status.voters[i], &server)) {
            each(data, &server.rpc);
        }
    }
}
