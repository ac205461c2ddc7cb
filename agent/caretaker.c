/* caretaker.c - the leader's care for the servers.
 *
 * autopilot.h decides, here is what it needs: each second, and soon after gossip says something,
 * the leader puts together what consensus, gossip and the catalog know of every server, asks, and
 * has consensus carry out the one change that comes back.
 */
#include "caretaker.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define LOOK_MS 1000U /* between looks, while this server leads */
#define MODULE  "agent.server.autopilot"

/* A write or a change under way; the agent is NULL once its end interests nobody. */
struct caretaker_work {
    struct agent *agent;
    enum autopilot_kind kind; /* of a change, as the rest */
    struct mu_id id, disk;
    char name[MU_NODE_NAME_MAX + 1];
    bool was_failed;
};

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
    s->is_fresh = mu_id_is_none(&server->cluster);
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

enum mu_code caretaker_gather(struct agent *a, struct autopilot_server room[AUTOPILOT_SERVERS_MAX],
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
        .may_change = status->is_ready && status->is_config_committed && !status->is_transferring &&
                      a->caretaker->changing == NULL,
        .servers = room,
        .servers_count = g.count,
    };
    return settings_read(a, &in->settings, err);
}

/* -- carrying out ------------------------------------------------------------------------------ */

static void look(void *data);

/* Logged when it changes, not each second. */
static void complain(struct caretaker *o, const char *text)
{
    if (strcmp(text, o->said) != 0) {
        (void)snprintf(o->said, sizeof o->said, "%s", text);
        if (text[0] != '\0') {
            mu_log(MU_WARN, MODULE, "A server that is gone is not removed", mu_kv("reason", text));
        }
    }
}

static void on_changed(void *data, enum mu_code code, const char *why, uint64_t index)
{
    struct caretaker_work *work = data;
    struct agent *a = work->agent;
    struct mu_err err = MU_ERR_NONE;

    (void)index;
    if (a == NULL) {
        mu_free(work);
        return;
    }
    a->caretaker->changing = NULL;
    if (code == MU_OK) {
        autopilot_changed(a->caretaker->pilot, &work->id, &work->disk, mu_clock_ms());
        if (work->was_failed && gossip_driver_force_leave(a->gossip, work->name, false, &err) !=
                                    MU_OK) { /* as Consul: it is not expected back */
            mu_log(MU_DEBUG, MODULE, "no such member any more", mu_kv("error", err.text));
        }
    } else if (code != MU_NOT_LEADER && code != MU_NO_LEADER && code != MU_BUSY) {
        mu_log(MU_WARN, MODULE, "Could not change the servers",
               mu_kv("change", autopilot_kind_text(work->kind)), mu_kv("server", work->name),
               mu_kv("error", why));
    }
    mu_free(work);
    agent__caretaker_look(a);
}

static enum consensus_change_kind change_kind(enum autopilot_kind kind)
{
    switch (kind) {
    case AUTOPILOT_ADD: return CONSENSUS_ADD;
    case AUTOPILOT_PROMOTE: return CONSENSUS_PROMOTE;
    case AUTOPILOT_REMOVE: return CONSENSUS_REMOVE;
    case AUTOPILOT_NOTHING: break;
    }
    MU_UNREACHABLE_CODE();
}

static void carry_out(struct agent *a, const struct autopilot_output *out)
{
    struct caretaker_work *work = mu_new(sizeof *work);
    struct consensus_change change = { .kind = change_kind(out->kind),
                                       .server = out->id,
                                       .disk = out->disk };
    struct agent__server known;
    char id[MU_ID_TEXT_BYTES + 1];

    mu_id_text(&out->id, id);
    *work = (struct caretaker_work){ a, out->kind, out->id, out->disk, "", false };
    if (agent__server_find(a, &out->id, &known)) {
        (void)snprintf(work->name, sizeof work->name, "%s", known.name);
        work->was_failed = out->kind == AUTOPILOT_REMOVE && known.status == GOSSIP_STATUS_FAILED;
        mu_addr_text(&known.rpc, change.address);
    }
    mu_log(MU_INFO, MODULE, "Changing the servers", mu_kv("change", autopilot_kind_text(out->kind)),
           mu_kv("server", work->name[0] != '\0' ? work->name : "(unknown)"), mu_kv("id", id),
           mu_kv("reason", out->why));
    a->caretaker->changing = work;
    consensus_driver_change(a->consensus, &change, on_changed, work);
}

static void look(void *data)
{
    struct agent *a = data;
    struct caretaker *o = a->caretaker;
    struct autopilot_server servers[AUTOPILOT_SERVERS_MAX];
    struct autopilot_input in;
    struct consensus_status status;
    struct mu_err err = MU_ERR_NONE;

    timer_set(a->timers, &o->timer, LOOK_MS, look, a);
    if (caretaker_gather(a, servers, &in, &status, &err) != MU_OK) {
        mu_log(MU_ERROR, MODULE, "cannot read the catalog", mu_kv("error", err.text));
        return;
    }
    autopilot_step(o->pilot, &in, &o->report);
    if (in.may_change) {
        complain(o, o->report.held);
    }
    if (o->report.kind != AUTOPILOT_NOTHING && a->phase == AGENT_RUNNING) {
        carry_out(a, &o->report);
    }
}

void agent__caretaker_look(struct agent *a)
{
    if (a->caretaker != NULL && a->caretaker->is_in_office) {
        timer_set(a->timers, &a->caretaker->timer, 0, look, a);
    }
}

/* -- office ------------------------------------------------------------------------------------ */

static void on_seeded(void *data, const struct agent_written *written)
{
    struct caretaker_work *s = data;

    if (s->agent != NULL) {
        s->agent->caretaker->seeding = NULL;
        if (written->code != MU_OK) {
            mu_log(MU_WARN, MODULE, "failed to set the first configuration",
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

void agent__caretaker_office(struct agent *a, bool is_in_office)
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

void agent__caretaker_open(struct agent *a)
{
    a->caretaker = mu_new(sizeof *a->caretaker);
    a->caretaker->pilot = autopilot_new();
}

void agent__caretaker_close(struct agent *a)
{
    struct caretaker *o = a->caretaker;

    if (o == NULL) {
        return;
    }
    timer_cancel(&o->timer);
    if (o->seeding != NULL) {
        o->seeding->agent = NULL; /* its write is answered when requests close */
    }
    if (o->changing != NULL) {
        o->changing->agent = NULL; /* and this when consensus stops */
    }
    autopilot_free(o->pilot);
    mu_free(o);
    a->caretaker = NULL;
}
