/* operator.c - what operators see of the servers, and the changes they ask for. */
#include "agent/operator.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "caretaker.h"
#include "core.h"
#include "requests.h"

/* -- the servers of the configuration ---------------------------------------------------------- */

static void server_show(struct agent *a, const struct consensus_server *s,
                        const struct mu_id *leader, struct agent_raft_server *out)
{
    struct agent__server known;

    *out = (struct agent_raft_server){
        .id = s->id,
        .name = "(unknown)",
        .is_leader = mu_id_eq(&s->id, leader),
        .is_voter = consensus_server_votes(s),
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

/* -- changing it ------------------------------------------------------------------------------- */

/* A removal is held while another change is under way, or a new leader has not begun yet; giving
 * leadership away is not: whoever asked may want to think again. */
struct wish {
    struct agent *agent;
    struct mu_link place; /* while it waits to be asked again */
    struct timer timer;
    uint64_t deadline_ms;
    unsigned tries;
    struct consensus_change change;
    agent_done_fn *done;
    void *data;
};

static struct wish *wish_new(struct agent *a, agent_done_fn *done, void *data)
{
    struct wish *w = mu_new(sizeof *w);

    w->agent = a;
    w->done = done;
    w->data = data;
    w->deadline_ms = timers_now(a->timers) + (uint64_t)a->config->rpc_hold_ms;
    return w;
}

static void wish_answer(struct wish *w, enum mu_code code, const char *why)
{
    struct mu_err err = MU_ERR_NONE;

    if (code == MU_NOT_LEADER) {
        (void)mu_fail(&err, code, "No cluster leader");
    } else if (code == MU_LOST) {
        (void)mu_fail(&err, code,
                      "leadership was lost before the change was committed: look at "
                      "the configuration");
    } else if (code != MU_OK) {
        (void)mu_fail(&err, code, "%s", why);
    }
    w->done(w->data, code, &err);
    mu_free(w);
}

static void on_transferred(void *data, enum mu_code code, const char *why, uint64_t index)
{
    (void)index;
    wish_answer(data, code, why);
}

static void on_removed(void *data, enum mu_code code, const char *why, uint64_t index);

static void remove_try(void *data)
{
    struct wish *w = data;

    mu_list_remove(&w->place);
    consensus_driver_change(w->agent->consensus, &w->change, on_removed, w);
}

static void on_removed(void *data, enum mu_code code, const char *why, uint64_t index)
{
    struct wish *w = data;
    struct agent *a = w->agent;
    bool may_pass = code == MU_BUSY || code == MU_NO_LEADER;

    (void)index;
    if (may_pass && a->caretaker != NULL && timers_now(a->timers) < w->deadline_ms) {
        mu_list_push_back(&a->caretaker->wishes, &w->place);
        timer_set(a->timers, &w->timer, agent__hold_pause(a, &w->tries), remove_try, w);
        return;
    }
    wish_answer(w, code, why);
}

void agent__wishes_close(struct agent *a)
{
    while (!mu_list_empty(&a->caretaker->wishes)) {
        struct wish *w = MU_CONTAINER(a->caretaker->wishes.next, struct wish, place);

        mu_list_remove(&w->place);
        timer_cancel(&w->timer);
        wish_answer(w, MU_CANCELLED, "the agent is stopping");
    }
}

static bool is_only_voter(struct agent *a, const struct mu_id *server)
{
    struct consensus_config config;
    size_t others = 0;

    consensus_driver_config(a->consensus, &config);
    for (uint32_t i = 0; i < config.servers_count; i++) {
        others += config.servers[i].is_voter && !mu_id_eq(&config.servers[i].id, server);
    }
    return others == 0;
}

void agent_raft_remove(struct agent *a, const struct mu_id *server, agent_done_fn *done, void *data)
{
    if (is_only_voter(a, server)) {
        agent__later(a, done, data, MU_CONFLICT, "Need at least one voter in configuration: {[]}");
        return;
    }
    struct wish *w = wish_new(a, done, data);

    w->change = (struct consensus_change){ .kind = CONSENSUS_REMOVE, .server = *server };
    remove_try(w);
}

struct target {
    const struct mu_id *id;
    const char *why; /* NULL: it may be */
};

static void look_at_target(void *data, const struct agent_raft_server *server)
{
    struct target *t = data;

    if (mu_id_eq(&server->id, t->id)) {
        t->why = server->is_leader ? "leads already" : !server->is_voter ? "does not vote" : NULL;
    }
}

/* What can be said of it by name; the rest is for consensus to refuse. */
static const char *target_refused(struct agent *a, const struct mu_id *server)
{
    struct target t = { .id = server };

    (void)agent_each_raft_server(a, look_at_target, &t);
    return t.why;
}

void agent_raft_transfer(struct agent *a, const struct mu_id *server, agent_done_fn *done,
                         void *data)
{
    const char *why = target_refused(a, server);

    if (why != NULL) {
        char id[MU_ID_TEXT_BYTES + 1], text[128];

        mu_id_text(server, id);
        (void)snprintf(text, sizeof text, "id \"%s\" cannot take over: it %s", id, why);
        agent__later(a, done, data, MU_CONFLICT, text);
        return;
    }
    consensus_driver_transfer(a->consensus, server, on_transferred, wish_new(a, done, data));
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
    h.command_level = s->is_self ? show->status->level_max : s->level;
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
    enum mu_code rc = caretaker_gather(a, servers, &in, &status, err);

    if (rc != MU_OK) {
        return rc;
    }
    in.may_change = false; /* only a look */
    autopilot_step(o->pilot, &in, &o->report);
    struct showing show = { a, &in, &o->report, &status, each, data };

    *out = (struct agent_servers_health){ o->report.is_healthy, o->report.failure_tolerance };
    (void)agent_each_raft_server(a, show_health, &show);
    return MU_OK;
}
