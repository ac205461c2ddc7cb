/* operator.c - what operators see of the servers, and the leader's care for them.
 *
 * autopilot.h decides, here is what it needs: each second, and soon after gossip says something,
 * the leader puts together what consensus, gossip and the catalog know of every server, and asks.
 */
#include "agent/operator.h"

#include <stdio.h>
#include <string.h>

#include "autopilot.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "roster.h"

#define LOOK_MS 1000U /* between looks, while this server leads */

struct caretaker {
    struct autopilot *pilot;
    struct autopilot_output report; /* of the last look */
    bool is_in_office;
    struct timer timer;
    struct seeding *seeding; /* the write of the first configuration, under way */
};

struct seeding {
    struct agent *agent; /* NULL: the answer interests nobody any more */
};

/* -- the servers of the configuration ---------------------------------------------------------- */

static void server_show(struct agent *a, const struct consensus_server *s,
                        const struct mu_id *leader, struct agent_raft_server *out)
{
    struct agent__server known;

    *out = (struct agent_raft_server){
        .id = s->id,
        .name = "(unknown)",
        .is_leader = mu_id_eq(&s->id, leader),
        .is_voter = s->is_voter || s->is_voter_old,
    };
    (void)snprintf(out->address, sizeof out->address, "%s", s->address);
    if (agent__server_find(a, &s->id, &known)) {
        out->name = known.name;
        mu_addr_text(&known.rpc, out->address);
    }
}

uint64_t agent_each_raft_server(struct agent *a, agent_raft_server_fn *each, void *data)
{
    struct consensus_config config;
    struct consensus_status status;

    consensus_driver_config(a->consensus, &config);
    consensus_driver_status(a->consensus, &status);
    for (uint32_t i = 0; i < config.servers_count; i++) {
        struct agent_raft_server server;

        server_show(a, &config.servers[i], &status.leader, &server);
        each(data, &server);
    }
    return config.index > 1 ? config.index : 0;
}

struct search {
    struct mu_span id, address;
    struct mu_id *out;
    bool is_found;
};

static void match_server(void *data, const struct agent_raft_server *server)
{
    struct search *s = data;
    char text[MU_ID_TEXT_BYTES + 1];

    mu_id_text(&server->id, text);
    if (s->id.bytes > 0 ? mu_span_eq_text(s->id, text)
                        : mu_span_eq_text(s->address, server->address)) {
        *s->out = server->id;
        s->is_found = true;
    }
}

enum mu_code agent_raft_find(struct agent *a, struct mu_span id, struct mu_span address,
                             struct mu_id *out, struct mu_err *err)
{
    struct search s = { .id = id, .address = address, .out = out };

    (void)agent_each_raft_server(a, match_server, &s);
    if (s.is_found) {
        return MU_OK;
    }
    return mu_fail(err, MU_NOT_FOUND, "%s \"%.*s\" was not found in the Raft configuration",
                   id.bytes > 0 ? "id" : "address", MU_SPAN_FMT(id.bytes > 0 ? id : address));
}

/* -- what autopilot looks at ------------------------------------------------------------------- */

struct gathering {
    struct agent *agent;
    struct autopilot_server *servers; /* AUTOPILOT_SERVERS_MAX of them */
    size_t count;
};

static enum autopilot_status status_of(enum gossip_status status)
{
    switch (status) {
    case GOSSIP_STATUS_NONE: return AUTOPILOT_UNKNOWN;
    case GOSSIP_STATUS_ALIVE: return AUTOPILOT_ALIVE;
    case GOSSIP_STATUS_LEAVING: return AUTOPILOT_LEAVING;
    case GOSSIP_STATUS_LEFT: return AUTOPILOT_LEFT;
    case GOSSIP_STATUS_FAILED: return AUTOPILOT_FAILED;
    }
    MU_UNREACHABLE_CODE();
}

static void add_configured(struct gathering *g)
{
    struct consensus_config config;

    consensus_driver_config(g->agent->consensus, &config);
    for (uint32_t i = 0; i < config.servers_count; i++) {
        const struct consensus_server *s = &config.servers[i];

        g->servers[g->count++] = (struct autopilot_server){
            .id = s->id,
            .disk = s->disk,
            .is_configured = true,
            .is_voter = s->is_voter || s->is_voter_old,
            .is_self = mu_id_eq(&s->id, &g->agent->data.node),
        };
    }
}

static struct autopilot_server *find_server(struct gathering *g, const struct mu_id *id)
{
    for (size_t i = 0; i < g->count; i++) {
        if (mu_id_eq(&g->servers[i].id, id)) {
            return &g->servers[i];
        }
    }
    return NULL;
}

static void add_progress(struct gathering *g, const struct consensus_status *status)
{
    for (size_t i = 0; i < status->peers_count; i++) {
        const struct consensus_peer_status *p = &status->peers[i];
        struct autopilot_server *s = find_server(g, &p->id);

        MU_ASSERT(s != NULL);
        s->contact_ms = p->acked_ms;
        s->match = p->match;
        s->is_store_slow = p->is_store_slow;
    }
}

/* It belongs to this cluster, but the entry that added it is lost with a former leader. */
static bool was_lost(struct agent *a, const struct agent__server *server)
{
    struct consensus_identity own = consensus_driver_identity(a->consensus);
    struct consensus_config config;

    consensus_driver_config(a->consensus, &config);
    return mu_id_eq(&server->cluster, &own.cluster) &&
           consensus_config_find(&config, &server->node) == NULL &&
           !consensus_config_has_removed(&config, &server->disk);
}

/* Of two records of one id the living one counts, as in agent__server_find(). */
static void add_known(void *data, const struct agent__server *server)
{
    struct gathering *g = data;
    struct autopilot_server *s = find_server(g, &server->node);

    if (s == NULL) {
        if (g->count == AUTOPILOT_SERVERS_MAX) {
            return;
        }
        s = &g->servers[g->count++];
        *s = (struct autopilot_server){ .id = server->node };
    } else if (s->status != AUTOPILOT_UNKNOWN && !server->is_alive) {
        return;
    }
    s->status = status_of(server->status);
    s->disk_seen = server->disk;
    s->is_fresh = mu_id_is_none(&server->cluster) || was_lost(g->agent, server);
    (void)snprintf(s->name, sizeof s->name, "%s", server->name);
}

static uint64_t ms_of(uint64_t ns)
{
    return ns / (uint64_t)MU_NS_PER_MS;
}

/* Two heartbeats must fit into the threshold, or nobody would ever be healthy. */
static uint64_t contact_ms(struct agent *a, uint64_t wanted_ms)
{
    uint64_t least_ms = 2 * consensus_driver_heartbeat_ms(a->consensus);

    return wanted_ms > least_ms ? wanted_ms : least_ms;
}

static enum mu_code settings_read(struct agent *a, struct autopilot_settings *out,
                                  struct mu_err *err)
{
    const struct config *c = a->config;
    struct catalog_autopilot set;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    enum mu_code rc = catalog_query_autopilot(a->reader, &arena, &set, err);

    mu_arena_deinit(&arena);
    if (rc != MU_OK) {
        return rc;
    }
    *out = (struct autopilot_settings){
        .cleanup_dead_servers = set.cleanup_dead_servers,
        .last_contact_ms = ms_of(set.last_contact_ns),
        .stabilization_ms = ms_of(set.stabilization_ns),
        .max_trailing_logs = set.max_trailing_logs,
        .min_quorum = set.min_quorum,
    };
    if (!set.is_set) { /* about to be */
        *out = (struct autopilot_settings){
            .cleanup_dead_servers = c->autopilot.cleanup_dead_servers,
            .last_contact_ms = (uint64_t)c->autopilot.last_contact_ms,
            .stabilization_ms = (uint64_t)c->autopilot.stabilization_ms,
            .max_trailing_logs = (uint64_t)c->autopilot.max_trailing_logs,
            .min_quorum = (uint64_t)c->autopilot.min_quorum,
        };
    }
    out->last_contact_ms = contact_ms(a, out->last_contact_ms);
    return MU_OK;
}

/* Everything for one step; `room` takes the servers. */
static enum mu_code gather(struct agent *a, struct autopilot_server room[AUTOPILOT_SERVERS_MAX],
                           struct autopilot_input *in, struct consensus_status *status,
                           struct mu_err *err)
{
    struct gathering g = { .agent = a, .servers = room };

    consensus_driver_status(a->consensus, status);
    add_configured(&g);
    add_progress(&g, status);
    agent__each_server(a, add_known, &g);
    *in = (struct autopilot_input){
        .now_ms = mu_clock_ms(), /* the clock of consensus */
        .last_index = status->last_index,
        .absent_ms = (uint64_t)a->config->reconcile.absent_after_ms,
        .voters_max = CONSENSUS_VOTERS_MAX,
        .servers_max = CONSENSUS_PEERS_MAX,
        .may_change = agent__roster_may_change(a, status),
        .servers = room,
        .servers_count = g.count,
    };
    return settings_read(a, &in->settings, err);
}

/* -- looking ----------------------------------------------------------------------------------- */

static void look(void *data)
{
    struct agent *a = data;
    struct caretaker *o = a->caretaker;
    struct autopilot_server servers[AUTOPILOT_SERVERS_MAX];
    struct autopilot_input in;
    struct consensus_status status;
    struct mu_err err = MU_ERR_NONE;

    timer_set(a->timers, &o->timer, LOOK_MS, look, a);
    if (gather(a, servers, &in, &status, &err) != MU_OK) {
        mu_log(MU_ERROR, "agent.server.autopilot", "cannot read the catalog",
               mu_kv("error", err.text));
        return;
    }
    autopilot_step(o->pilot, &in, &o->report);
    agent__roster_tend(a, &in, &o->report);
}

void agent__operator_changed(struct agent *a, const struct mu_id *id, const struct mu_id *disk)
{
    if (a->caretaker != NULL) {
        autopilot_changed(a->caretaker->pilot, id, disk, mu_clock_ms());
    }
}

void agent__operator_look(struct agent *a)
{
    if (a->caretaker != NULL && a->caretaker->is_in_office) {
        timer_set(a->timers, &a->caretaker->timer, 0, look, a);
    }
}

/* -- health ------------------------------------------------------------------------------------ */

struct showing {
    struct agent *agent;
    const struct autopilot_input *in;
    const struct autopilot_output *report;
    const struct consensus_status *status;
    agent_health_fn *each;
    void *data;
};

static const struct autopilot_server *server_of(const struct autopilot_input *in,
                                                const struct mu_id *id)
{
    for (size_t i = 0; i < in->servers_count; i++) {
        if (mu_id_eq(&in->servers[i].id, id)) {
            return &in->servers[i];
        }
    }
    MU_UNREACHABLE_CODE(); /* the report is of this input */
}

static int64_t wall_of(uint64_t then_ms)
{
    return mu_clock_wall_ns() - (int64_t)(mu_clock_ms() - then_ms) * MU_NS_PER_MS;
}

static void show_health(void *data, const struct agent_raft_server *server)
{
    struct showing *show = data;
    const struct autopilot_server *s = server_of(show->in, &server->id);
    struct agent__server known = { .status = GOSSIP_STATUS_NONE };
    struct agent_server_health h = {
        .server = *server,
        .last_contact_ms = s->is_self ? 0 : UINT64_MAX,
        .last_index = s->is_self ? show->status->last_index : s->match,
        .last_term = show->status->last_term,
    };

    (void)agent__server_find(show->agent, &server->id, &known);
    h.status = gossip_status_text(known.status);
    h.version = known.version;
    if (!s->is_self && s->contact_ms > 0) {
        h.last_contact_ms = show->in->now_ms > s->contact_ms ? show->in->now_ms - s->contact_ms : 0;
    }
    for (size_t i = 0; i < show->report->healths_count; i++) {
        const struct autopilot_health *health = &show->report->healths[i];

        if (mu_id_eq(&health->id, &server->id)) {
            h.is_healthy = health->is_healthy;
            h.stable_since_ns = wall_of(health->stable_since_ms);
        }
    }
    show->each(show->data, &h);
}

enum mu_code agent_servers_health(struct agent *a, struct agent_servers_health *out,
                                  agent_health_fn *each, void *data, struct mu_err *err)
{
    struct caretaker *o = a->caretaker;
    struct autopilot_server servers[AUTOPILOT_SERVERS_MAX];
    struct autopilot_input in;
    struct consensus_status status;

    if (o == NULL || !agent__leads(a)) {
        return mu_fail(err, MU_NOT_LEADER, "this server does not lead");
    }
    enum mu_code rc = gather(a, servers, &in, &status, err);

    if (rc != MU_OK) {
        return rc;
    }
    autopilot_step(o->pilot, &in, &o->report); /* it may change nothing: only a look */
    struct showing show = { a, &in, &o->report, &status, each, data };

    *out = (struct agent_servers_health){ o->report.is_healthy, o->report.failure_tolerance };
    (void)agent_each_raft_server(a, show_health, &show);
    return MU_OK;
}

/* -- office ------------------------------------------------------------------------------------ */

static void on_seeded(void *data, const struct agent_written *written)
{
    struct seeding *s = data;

    if (s->agent != NULL) {
        s->agent->caretaker->seeding = NULL;
        if (written->code != MU_OK) {
            mu_log(MU_WARN, "agent.server.autopilot", "failed to set the first configuration",
                   mu_kv("error", written->text));
        }
    }
    mu_free(s);
}

/* The first leader sets what its file says; it changes nothing that is set. */
static void seed(struct agent *a)
{
    const struct config *c = a->config;
    struct command command = {
        .kind = COMMAND_AUTOPILOT,
        .autopilot = {
            .cleanup_dead_servers = c->autopilot.cleanup_dead_servers,
            .last_contact_ns = (uint64_t)(c->autopilot.last_contact_ms * MU_NS_PER_MS),
            .stabilization_ns = (uint64_t)(c->autopilot.stabilization_ms * MU_NS_PER_MS),
            .max_trailing_logs = (uint64_t)c->autopilot.max_trailing_logs,
            .min_quorum = (uint64_t)c->autopilot.min_quorum,
            .has_cas = true,
        },
    };
    struct catalog_autopilot set;
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    enum mu_code rc = catalog_query_autopilot(a->reader, &arena, &set, &err);

    mu_arena_deinit(&arena);
    if (rc == MU_OK && !set.is_set && a->caretaker->seeding == NULL) {
        a->caretaker->seeding = mu_new(sizeof *a->caretaker->seeding);
        a->caretaker->seeding->agent = a;
        agent_write(a, &command, on_seeded, a->caretaker->seeding);
    }
}

void agent__operator_office(struct agent *a, bool is_in_office)
{
    struct caretaker *o = a->caretaker;

    if (o == NULL || o->is_in_office == is_in_office) {
        return;
    }
    o->is_in_office = is_in_office;
    if (is_in_office) {
        autopilot_lead(o->pilot, mu_clock_ms());
        seed(a);
        look(a);
    } else {
        timer_cancel(&o->timer);
    }
}

void agent__operator_open(struct agent *a)
{
    a->caretaker = mu_new(sizeof *a->caretaker);
    a->caretaker->pilot = autopilot_new();
}

void agent__operator_close(struct agent *a)
{
    struct caretaker *o = a->caretaker;

    if (o == NULL) {
        return;
    }
    timer_cancel(&o->timer);
    if (o->seeding != NULL) {
        o->seeding->agent = NULL; /* its write is answered when requests close */
    }
    autopilot_free(o->pilot);
    mu_free(o);
    a->caretaker = NULL;
}
