/* leader.c - what a leader does besides answering: carry gossip's knowledge into the catalog.
 *
 * On taking office: a barrier (the local state has everything committed before), then reconcile.h
 * is told every member and every catalog node with a serfHealth check; after that each notice of
 * gossip, and everything again each minute. Its actions are compared with the catalog first, so a
 * catalog that already says so is not written. One action a node is in flight at a time.
 */
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "reconcile.h"
#include "requests.h"

#define FULL_MS       60000U
#define ACTIONS_MAX   64 /* started in one turn */
#define SERF_HEALTH   "serfHealth"
#define ALIVE_OUTPUT  "Agent alive and reachable"
#define FAILED_OUTPUT "Agent not live or unreachable"

struct leader {
    struct reconcile *reconcile;
    struct mu_id leader; /* as last told */
    bool is_in_office;   /* ready, and past the barrier */
    struct agent_read *barrier;
    struct timer timer; /* something falls due */
    struct timer full;
    struct timer soon;
    bool was_paused;
    struct mu_link actions; /* struct action in flight */
};

struct action {
    struct agent *agent;
    struct mu_link place;
    struct reconcile_action what;
    bool is_orphan; /* the leader part is closed: only free */
};

static void run_due(void *data);

/* -- what the catalog says of a node
 * ---------------------------------------------------------------------- */

struct known {
    const struct catalog_node *node; /* NULL: not there */
    const struct catalog_check *health;
    const struct catalog_service *consul;
};

static enum mu_code known_read(struct agent *a, const char *name, struct mu_arena *arena,
                               struct known *out, struct mu_err *err)
{
    struct catalog_node_services services = { .node = NULL };
    struct catalog_checks checks = { .count = 0 };
    struct mu_span node = mu_span_text(name);
    enum mu_code rc = catalog_query_node_services(a->reader, arena, node, &services, err);

    *out = (struct known){ .node = NULL };
    if (rc != MU_OK || services.node == NULL || !mu_span_eq_fold(services.node->name, node)) {
        return rc;
    }
    rc = catalog_query_node_checks(a->reader, arena, node, &checks, err);
    out->node = services.node;
    for (size_t i = 0; i < services.services_count; i++) {
        if (mu_span_eq_text(services.services[i].id, "consul")) {
            out->consul = &services.services[i];
        }
    }
    for (size_t i = 0; i < checks.count; i++) {
        if (mu_span_eq_text(checks.items[i].id, SERF_HEALTH)) {
            out->health = &checks.items[i];
        }
    }
    return rc;
}

/* -- actions as commands
 * ------------------------------------------------------------------------------------ */

static void health_fill(struct command_register *reg, struct mu_arena *arena, const char *status,
                        const char *output)
{
    reg->checks = mu_arena_new(arena, sizeof *reg->checks);
    reg->checks_count = 1;
    reg->checks[0] = (struct command_check){
        .id = MU_SPAN_LIT(SERF_HEALTH),
        .name = MU_SPAN_LIT("Serf Health Status"),
        .status = mu_span_text(status),
        .output = mu_span_text(output),
    };
}

/* The metadata of a server's `consul` service (agent-behaviour 8). */
static const struct mu_pair server_meta[] = {
    // clang-format off
    { MU_SPAN_LIT("non_voter"),             MU_SPAN_LIT("false") },
    { MU_SPAN_LIT("raft_version"),          MU_SPAN_LIT("3") },
    { MU_SPAN_LIT("read_replica"),          MU_SPAN_LIT("false") },
    { MU_SPAN_LIT("serf_protocol_current"), MU_SPAN_LIT("2") },
    { MU_SPAN_LIT("serf_protocol_max"),     MU_SPAN_LIT("5") },
    { MU_SPAN_LIT("serf_protocol_min"),     MU_SPAN_LIT("1") },
    { MU_SPAN_LIT("version"),               MU_SPAN_LIT(AGENT_CONSUL_VERSION) },
}; // clang-format on

static bool meta_is_current(const struct catalog_service *service)
{
    size_t found = 0;

    if (service == NULL || service->meta.count != MU_LEN(server_meta)) {
        return false;
    }
    for (size_t i = 0; i < MU_LEN(server_meta); i++) {
        for (size_t j = 0; j < service->meta.count; j++) {
            found += mu_span_eq(service->meta.items[j].key, server_meta[i].key) &&
                     mu_span_eq(service->meta.items[j].value, server_meta[i].value);
        }
    }
    return found == MU_LEN(server_meta);
}

static bool alive_is_known(const struct known *known, const struct gossip_view *m,
                           const char *address, bool is_server)
{
    return known->node != NULL && mu_span_eq_text(known->node->address, address) &&
           known->health != NULL && mu_span_eq_text(known->health->status, "passing") &&
           (!is_server || meta_is_current(known->consul)) && m->name != NULL;
}

static void consul_fill(struct command_register *reg, const struct gossip_view *m,
                        struct mu_arena *arena)
{
    uint64_t port = 0;

    (void)mu_span_u64(agent__tag(&m->tags, "port"), &port);
    reg->has_service = true;
    reg->service = (struct command_service){
        .id = MU_SPAN_LIT("consul"),
        .name = MU_SPAN_LIT("consul"),
        .port = (uint16_t)port,
        .has_meta = true,
        .weight_passing = 1,
        .weight_warning = 1,
    };
    reg->service.meta.items = mu_arena_array(arena, MU_LEN(server_meta), sizeof server_meta[0]);
    reg->service.meta.count = MU_LEN(server_meta);
    memcpy(reg->service.meta.items, server_meta, sizeof server_meta);
}

/* False: the catalog says so already, or the member is gone meanwhile. */
static bool alive_make(struct agent *a, const char *name, const struct known *known,
                       struct mu_arena *arena, struct command *out)
{
    struct gossip_view m;
    char address[MU_ADDR_TEXT_MAX];
    char id[MU_ID_TEXT_BYTES + 1];

    if (!gossip_driver_find(a->gossip, name, &m)) {
        return false;
    }
    bool is_server = mu_span_eq_text(agent__tag(&m.tags, "role"), "consul");

    mu_addr_ip_text(&m.addr, address);
    if (alive_is_known(known, &m, address, is_server)) {
        return false;
    }
    mu_id_text(&m.node_id, id);
    *out = (struct command){ .kind = COMMAND_REGISTER };
    out->reg.node.name = mu_span_text(mu_arena_strdup(arena, name));
    out->reg.node.id = mu_span_text(mu_arena_strdup(arena, id));
    out->reg.node.address = mu_span_text(mu_arena_strdup(arena, address));
    /* Made when it is missing, and left alone when the agent itself was faster than this write. */
    out->reg.skip_node_update = true;
    if (known->node != NULL) { /* what the agent itself has stored is kept */
        out->reg.node.tagged_addresses = known->node->tagged_addresses;
        out->reg.node.meta = known->node->meta;
        out->reg.node.has_tagged_addresses = known->node->has_tagged_addresses;
        out->reg.node.has_meta = known->node->has_meta;
        out->reg.skip_node_update =
            mu_span_eq_text(known->node->address, address) && mu_span_eq_text(known->node->id, id);
    }
    health_fill(&out->reg, arena, "passing", ALIVE_OUTPUT);
    if (is_server) {
        consul_fill(&out->reg, &m, arena);
    }
    return true;
}

static bool critical_make(const struct known *known, struct mu_arena *arena, struct command *out)
{
    if (known->node == NULL ||
        (known->health != NULL && mu_span_eq_text(known->health->status, "critical"))) {
        return false;
    }
    *out = (struct command){ .kind = COMMAND_REGISTER };
    out->reg.node.name = known->node->name;
    out->reg.node.id = known->node->id;
    out->reg.node.address = known->node->address;
    out->reg.skip_node_update = true;
    health_fill(&out->reg, arena, "critical", FAILED_OUTPUT);
    return true;
}

static bool remove_make(const struct known *known, struct command *out)
{
    if (known->node == NULL) {
        return false;
    }
    *out = (struct command){ .kind = COMMAND_DEREGISTER };
    out->dereg.node = known->node->name;
    return true;
}

static bool action_make(struct agent *a, const struct reconcile_action *what,
                        const struct known *known, struct mu_arena *arena, struct command *out)
{
    switch (what->kind) {
    case RECONCILE_SET_ALIVE: return alive_make(a, what->node, known, arena, out);
    case RECONCILE_SET_CRITICAL: return critical_make(known, arena, out);
    case RECONCILE_REMOVE: return remove_make(known, out);
    }
    MU_UNREACHABLE_CODE();
}

static void action_log(const struct reconcile_action *what)
{
    switch (what->kind) {
    case RECONCILE_SET_ALIVE:
        mu_log(MU_INFO, "agent.server", "member joined, marking health alive",
               mu_kv("member", what->node));
        break;
    case RECONCILE_SET_CRITICAL:
        mu_log(MU_INFO, "agent.server", "member failed, marking health critical",
               mu_kv("member", what->node));
        break;
    case RECONCILE_REMOVE:
        mu_log(MU_INFO, "agent.server", "deregistering member", mu_kv("member", what->node));
        break;
    }
}

/* -- carrying them out
 * ------------------------------------------------------------------------------------------ */

static void soon(struct agent *a)
{
    timer_set(a->timers, &a->leader->soon, 0, run_due, a);
}

static void on_written(void *data, const struct agent_written *written)
{
    struct action *action = data;
    struct agent *a = action->agent;

    mu_list_remove(&action->place);
    if (!action->is_orphan) {
        if (written->code != MU_OK) {
            mu_log(MU_WARN, "agent.server", "failed to reconcile member",
                   mu_kv("member", action->what.node), mu_kv("error", written->text));
        }
        reconcile_ended(a->leader->reconcile, &action->what, written->code == MU_OK,
                        timers_now(a->timers));
        soon(a);
    }
    mu_free(action);
}

static void action_start(struct agent *a, const struct reconcile_action *what)
{
    struct leader *l = a->leader;
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;
    struct command command;
    struct known known;

    mu_arena_init(&arena, 0);
    if (known_read(a, what->node, &arena, &known, &err) != MU_OK) {
        mu_log(MU_ERROR, "agent.server", "cannot read the catalog", mu_kv("error", err.text));
        reconcile_ended(l->reconcile, what, false, timers_now(a->timers));
    } else if (!action_make(a, what, &known, &arena, &command)) {
        reconcile_ended(l->reconcile, what, true, timers_now(a->timers));
    } else {
        struct action *action = mu_new(sizeof *action);

        action->agent = a;
        action->what = *what;
        mu_list_push_back(&l->actions, &action->place);
        action_log(what);
        agent_write(a, &command, on_written, action);
    }
    mu_arena_deinit(&arena);
}

static void pause_log(struct agent *a)
{
    struct leader *l = a->leader;
    size_t failed = 0;
    size_t members = 0;
    bool is_paused = reconcile_is_paused(l->reconcile, &failed, &members);

    if (is_paused == l->was_paused) {
        return;
    }
    l->was_paused = is_paused;
    if (is_paused) {
        mu_log(MU_WARN, "agent.server",
               "self-preservation: removal of failed nodes pauses, too many members are failed",
               mu_kv_u("failed", failed), mu_kv_u("members", members));
    } else {
        mu_log(MU_WARN, "agent.server", "self-preservation: removal of failed nodes resumes",
               mu_kv_u("failed", failed), mu_kv_u("members", members));
    }
}

static void run_due(void *data)
{
    struct agent *a = data;
    struct leader *l = a->leader;
    struct reconcile_action actions[ACTIONS_MAX];
    uint64_t now_ms = timers_now(a->timers);

    if (!l->is_in_office || a->phase >= AGENT_ENDING) {
        return;
    }
    size_t count = reconcile_due(l->reconcile, now_ms, actions, ACTIONS_MAX);

    pause_log(a);
    for (size_t i = 0; i < count; i++) {
        action_start(a, &actions[i]);
    }
    if (count == ACTIONS_MAX) {
        soon(a); /* the turn stays bounded */
        return;
    }
    uint64_t wake_ms = reconcile_wake_ms(l->reconcile);

    if (wake_ms > 0) {
        timer_set(a->timers, &l->timer, wake_ms > now_ms ? wake_ms - now_ms : 1, run_due, a);
    } else {
        timer_cancel(&l->timer);
    }
}

/* -- telling what is
 * ------------------------------------------------------------------------------------------ */

static enum reconcile_state state_of(enum gossip_status status)
{
    switch (status) {
    case GOSSIP_STATUS_ALIVE:
    case GOSSIP_STATUS_LEAVING: return RECONCILE_ALIVE;
    case GOSSIP_STATUS_FAILED: return RECONCILE_FAILED;
    case GOSSIP_STATUS_LEFT:
    case GOSSIP_STATUS_NONE: return RECONCILE_GONE;
    }
    MU_UNREACHABLE_CODE();
}

static void tell_member(void *data, const struct gossip_view *m)
{
    struct agent *a = data;

    reconcile_member(a->leader->reconcile, m->name, state_of(m->status), timers_now(a->timers));
}

static void tell_catalog(struct agent *a)
{
    struct catalog_checks checks = { .count = 0 };
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    if (catalog_query_state_checks(a->reader, &arena, MU_SPAN_LIT("any"), NULL, &checks, &err) !=
        MU_OK) {
        mu_log(MU_ERROR, "agent.server", "cannot read the catalog", mu_kv("error", err.text));
        mu_arena_deinit(&arena);
        return;
    }
    const char **names = mu_arena_array(&arena, checks.count, sizeof *names);
    size_t count = 0;

    for (size_t i = 0; i < checks.count; i++) {
        const struct catalog_check *c = &checks.items[i];

        if (mu_span_eq_text(c->id, SERF_HEALTH) && c->node.bytes <= MU_NODE_NAME_MAX) {
            names[count++] = mu_arena_text(&arena, c->node.data, c->node.bytes);
        }
    }
    reconcile_catalog(a->leader->reconcile, names, count, timers_now(a->timers));
    mu_arena_deinit(&arena);
}

static void full_pass(void *data)
{
    struct agent *a = data;

    if (!a->leader->is_in_office) {
        return;
    }
    gossip_driver_each(a->gossip, tell_member, a);
    tell_catalog(a);
    timer_set(a->timers, &a->leader->full, FULL_MS, full_pass, a);
    soon(a);
}

void agent__leader_notice(struct agent *a, const struct gossip_notice *notice)
{
    if (a->leader == NULL || !a->leader->is_in_office) {
        return;
    }
    switch (notice->kind) {
    case GOSSIP_JOINED:
    case GOSSIP_UPDATED:
    case GOSSIP_FAILED:
    case GOSSIP_LEFT: tell_member(a, &notice->member); break;
    case GOSSIP_REAPED:
        reconcile_member(a->leader->reconcile, notice->member.name, RECONCILE_GONE,
                         timers_now(a->timers));
        break;
    case GOSSIP_REFUTED:
    case GOSSIP_CONFLICT:
    case GOSSIP_UNREACHABLE: return;
    }
    soon(a);
}

/* -- office
 * ----------------------------------------------------------------------------------------------------
 */

static void on_barrier(void *data, enum mu_code code, const struct agent_view *view,
                       const struct mu_err *err)
{
    struct agent *a = data;
    struct leader *l = a->leader;

    (void)view;
    l->barrier = NULL;
    if (!agent__leads(a)) {
        return;
    }
    if (code != MU_OK) {
        mu_log(MU_WARN, "agent.server", "failed to wait for barrier", mu_kv("error", err->text));
        l->barrier = agent_read(a, AGENT_CONSISTENT, on_barrier, a);
        return;
    }
    l->is_in_office = true;
    l->was_paused = false;
    reconcile_lead(l->reconcile, timers_now(a->timers));
    full_pass(a);
}

static void office_end(struct agent *a)
{
    struct leader *l = a->leader;

    if (l->barrier != NULL) {
        agent_read_cancel(l->barrier);
        l->barrier = NULL;
    }
    l->is_in_office = false;
    reconcile_rest(l->reconcile);
    timer_cancel(&l->timer);
    timer_cancel(&l->full);
    timer_cancel(&l->soon);
}

static void leader_log(struct agent *a, const struct mu_id *leader)
{
    struct agent__server server;
    char text[MU_ID_TEXT_BYTES + 1];

    if (mu_id_is_none(leader)) {
        mu_log(MU_WARN, "agent.server", "No cluster leader");
        return;
    }
    mu_id_text(leader, text);
    mu_log(MU_INFO, "agent.server", "New leader elected",
           mu_kv("payload", agent__server_find(a, leader, &server) ? server.name : text));
}

void agent__leader_changed(struct agent *a, const struct mu_id *leader, bool is_leader,
                           bool is_ready)
{
    struct leader *l = a->leader;
    bool was_ready = a->requests->is_ready;

    if (!mu_id_eq(leader, &l->leader)) {
        l->leader = *leader;
        leader_log(a, leader);
    }
    a->requests->is_ready = is_leader && is_ready;
    if (a->requests->is_ready && !was_ready) {
        mu_log(MU_INFO, "agent.server", "cluster leadership acquired");
        l->barrier = agent_read(a, AGENT_CONSISTENT, on_barrier, a);
    } else if (!a->requests->is_ready && was_ready) {
        mu_log(MU_INFO, "agent.server", "cluster leadership lost");
        office_end(a);
    }
    if (!mu_id_is_none(leader)) {
        agent__requests_retry(a);
    }
}

void agent__leader_open(struct agent *a)
{
    const struct config *c = a->config;
    struct reconcile_options options = {
        .remove_failed_after_ms = (uint64_t)c->reconcile.remove_failed_after_ms,
        .pause_max_ms = (uint64_t)c->reconcile.pause_max_ms,
        .absent_after_ms = (uint64_t)c->reconcile.absent_after_ms,
        .self = c->node_name,
    };
    struct leader *l = mu_new(sizeof *l);

    l->reconcile = reconcile_new(&options);
    mu_list_init(&l->actions);
    a->leader = l;
}

void agent__leader_close(struct agent *a)
{
    struct leader *l = a->leader;

    if (l == NULL) {
        return;
    }
    office_end(a);
    while (!mu_list_empty(&l->actions)) { /* their writes are answered when requests close */
        struct mu_link *link = mu_list_pop_front(&l->actions);

        MU_CONTAINER(link, struct action, place)->is_orphan = true;
    }
    reconcile_free(l->reconcile);
    mu_free(l);
    a->leader = NULL;
}
