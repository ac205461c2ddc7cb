/* leader.c - what a leader does besides answering: carry gossip's knowledge into the catalog.
 *
 * On taking office: a barrier (the local state has everything committed before), then reconcile.h
 * is told every member and every catalog node with a serfHealth check; after that each notice of
 * gossip, each node whose record somebody changed, and everything again each minute. Its actions
 * are compared with the catalog first, so a catalog that already says so is not written. One action
 * a node is in flight at a time.
 */
#include <stdio.h>
#include <string.h>

#include "agent/explain.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "reconcile.h"
#include "reconcile_command.h"
#include "requests.h"

#define FULL_MS     60000U
#define ACTIONS_MAX 64 /* started in one turn */

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
    bool has_more;  /* this write only makes room for the next */
    bool is_orphan; /* the leader part is closed: only free */
};

static void run_due(void *data);

/* -- carrying actions out ---------------------------------------------------------------------- */

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

static void soon(struct agent *a)
{
    timer_set(a->timers, &a->leader->soon, 0, run_due, a);
}

static void action_start(struct agent *a, const struct reconcile_action *what);

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
        if (written->code == MU_OK && action->has_more && a->leader->is_in_office) {
            action_start(a, &action->what);
        } else {
            reconcile_ended(a->leader->reconcile, &action->what, written->code == MU_OK,
                            timers_now(a->timers));
        }
        soon(a);
    }
    mu_free(action);
}

static void action_start(struct agent *a, const struct reconcile_action *what)
{
    struct leader *l = a->leader;
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;
    struct gossip_view member;
    bool is_met = gossip_driver_find(a->gossip, what->node, &member);
    struct command command;
    enum reconcile_need need = RECONCILE_NOTHING;

    mu_arena_init(&arena, 0);
    if (reconcile_command(a->reader, what, is_met ? &member : NULL, &arena, &command, &need,
                          &err) != MU_OK) {
        mu_log(MU_ERROR, "agent.server", "cannot read the catalog", mu_kv("error", err.text));
        reconcile_ended(l->reconcile, what, false, timers_now(a->timers));
    } else if (need == RECONCILE_NOTHING) {
        reconcile_ended(l->reconcile, what, true, timers_now(a->timers));
    } else {
        struct action *action = mu_new(sizeof *action);

        action->agent = a;
        action->what = *what;
        action->has_more = need == RECONCILE_WRITE_FIRST;
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

/* -- telling what is --------------------------------------------------------------------------- */

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

        if (mu_span_eq_text(c->id, RECONCILE_HEALTH) && c->node.bytes <= MU_NODE_NAME_MAX) {
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
    case GOSSIP_UNREACHABLE:
    case GOSSIP_USELESS: return;
    }
    agent__caretaker_look(a);
    soon(a);
}

/* -- for people -------------------------------------------------------------------------------- */

/* What the check says; a word that muster does not write there is none. */
static const char *health_of(struct agent *a, const char *node)
{
    static const char *const words[] = { "passing", "warning", "critical" };
    struct catalog_checks checks = { .count = 0 };
    struct mu_err err = MU_ERR_NONE;
    const char *found = "none";
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    if (catalog_query_node_checks(a->reader, &arena, mu_span_text(node), &checks, &err) != MU_OK) {
        mu_log(MU_ERROR, "agent.server", "cannot read the catalog", mu_kv("error", err.text));
    }
    for (size_t i = 0; i < checks.count; i++) {
        for (size_t w = 0; w < MU_LEN(words); w++) {
            if (mu_span_eq_text(checks.items[i].id, RECONCILE_HEALTH) &&
                mu_span_eq_text(checks.items[i].status, words[w])) {
                found = words[w];
            }
        }
    }
    mu_arena_deinit(&arena);
    return found;
}

void agent__leader_explain(struct agent *a, const char *node, struct agent_account *out)
{
    static const char *const plans[] = {
        [RECONCILE_PLAN_NONE] = "none",         [RECONCILE_PLAN_KEEP] = "keep",
        [RECONCILE_PLAN_CRITICAL] = "critical", [RECONCILE_PLAN_PAUSED] = "paused",
        [RECONCILE_PLAN_REMOVE] = "remove",     [RECONCILE_PLAN_REMOVED] = "removed",
        [RECONCILE_PLAN_ABSENT] = "absent",     [RECONCILE_PLAN_SELF] = "self",
    };
    struct reconcile_account account;

    if (a->leader == NULL || !a->leader->is_in_office) {
        return;
    }
    reconcile_explain(a->leader->reconcile, node, timers_now(a->timers), &account);
    out->is_leader = true;
    out->check = health_of(a, node);
    out->plan = plans[account.plan];
    out->plan_in_ms = account.in_ms;
    out->failed = account.failed;
    out->members = account.members;
}

struct reconcile *agent__leader_reconcile(struct agent *a)
{
    return a->leader != NULL && a->leader->is_in_office ? a->leader->reconcile : NULL;
}

void agent__leader_soon(struct agent *a)
{
    soon(a);
}

/* -- what somebody else wrote -------------------------------------------------------------------
 */

struct wanted { /* a node's name as the catalog compares it */
    struct agent *agent;
    struct mu_span key;
};

static bool is_in_catalog(struct agent *a, const char *name)
{
    struct catalog_nodes nodes = { .count = 0 };
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    if (catalog_query_node(a->reader, &arena, mu_span_text(name), &nodes, &err) != MU_OK) {
        mu_log(MU_ERROR, "agent.server", "cannot read the catalog", mu_kv("error", err.text));
    }
    mu_arena_deinit(&arena);
    return nodes.count > 0;
}

static void tell_changed(struct agent *a, const struct gossip_view *m)
{
    tell_member(a, m);
    if (state_of(m->status) != RECONCILE_ALIVE && is_in_catalog(a, m->name)) {
        reconcile_registered(a->leader->reconcile, m->name);
    }
}

static void tell_if_wanted(void *data, const struct gossip_view *m)
{
    const struct wanted *w = data;

    if (mu_span_eq_fold(mu_span_text(m->name), w->key)) {
        tell_changed(w->agent, m);
    }
}

/* Gossip knows the name: whoever wrote another address or id there is wrong, and whoever wrote it
 * behind the removal of one that left. */
static void look_at_node(struct agent *a, struct mu_span key)
{
    char name[MU_NODE_NAME_MAX + 1];
    struct gossip_view m;

    (void)snprintf(name, sizeof name, "%.*s", MU_SPAN_FMT(key));
    if (gossip_driver_find(a->gossip, name, &m)) {
        tell_changed(a, &m);
    } else { /* not in lower case, or not one of ours */
        gossip_driver_each(a->gossip, tell_if_wanted, &(struct wanted){ a, key });
    }
}

void agent__leader_nodes_changed(struct agent *a, const struct catalog_changes *changes)
{
    bool is_of_nodes = false;

    if (a->leader == NULL || !a->leader->is_in_office) {
        return;
    }
    for (size_t i = 0; !is_of_nodes && i < catalog_changes_count(changes); i++) {
        is_of_nodes = catalog_changes_at(changes, i).kind == CATALOG_NODES;
    }
    for (size_t i = 0; is_of_nodes && i < catalog_changes_count(changes); i++) {
        struct catalog_topic topic = catalog_changes_at(changes, i);

        if (topic.kind == CATALOG_NODE) {
            look_at_node(a, topic.name);
        }
    }
    if (is_of_nodes) {
        soon(a);
    }
}

/* -- office ------------------------------------------------------------------------------------ */

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
    agent__caretaker_office(a, true);
    l->was_paused = false;
    reconcile_lead(l->reconcile, timers_now(a->timers));
    agent__sessions_lead(a);
    agent__coordinates_lead(a);
    agent__history_lead(a);
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
    agent__sessions_rest(a);
    agent__coordinates_rest(a);
    agent__history_rest(a);
    agent__caretaker_office(a, false);
    reconcile_rest(l->reconcile);
    timer_cancel(&l->timer);
    timer_cancel(&l->full);
    timer_cancel(&l->soon);
}

void agent__leader_restored(struct agent *a)
{
    if (a->leader == NULL || !a->leader->is_in_office) {
        return;
    }
    office_end(a);
    a->leader->barrier = agent_read(a, AGENT_CONSISTENT, on_barrier, a);
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
    a->requests->leader = *leader;
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
