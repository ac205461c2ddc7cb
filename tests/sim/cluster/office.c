/* office.c - what a leader does with gossip's knowledge, as agent/leader.c does it in an agent.
 *
 * A barrier first (the state has everything that was committed before), then every member and every
 * node of the catalog are told to the reconciler, later each notice, and everything again each
 * minute. Its actions are compared with the catalog and written through the log.
 *
 * Two rules are judged here, from gossip's own view and not from the reconciler's: nobody is
 * removed before it has been failed for REMOVE_AFTER_MS, and nobody who is only failed is removed
 * while more than a third of the members and more than two are, for PAUSE_MAX_MS.
 */
#include <stdio.h>
#include <string.h>

#include "agent/reconcile_command.h"
#include "agent/session_timers.h"
#include "base/assert.h"
#include "base/mem.h"
#include "cluster.h"

#define FULL_MS     60000
#define ACTIONS_MAX 32
#define NODES_MAX   64

void office_open(struct cluster *c, size_t server)
{
    struct server *s = &c->servers[server];
    bool breaks = c->options.broken == BREAK_PRESERVATION;
    struct reconcile_options options = {
        .remove_failed_after_ms = REMOVE_AFTER_MS,
        .pause_max_ms = breaks ? 0 : PAUSE_MAX_MS,
        .absent_after_ms = ABSENT_AFTER_MS,
        .self = member_name(c, server),
    };

    s->office = (struct office){ .reconcile = reconcile_new(&options),
                                 .timers = session_timers_new(),
                                 .pilot = autopilot_new() };
}

void office_close(struct server *s)
{
    reconcile_free(s->office.reconcile);
    session_timers_free(s->office.timers);
    autopilot_free(s->office.pilot);
    s->office = (struct office){ .reconcile = NULL };
}

static void leave_office(struct office *o)
{
    reconcile_rest(o->reconcile);
    o->state = OFFICE_NONE;
    o->mark = 0;
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

struct telling {
    struct cluster *c;
    struct office *office;
};

static void tell_member(void *data, const struct gossip_view *m)
{
    struct telling *t = data;

    reconcile_member(t->office->reconcile, m->name, state_of(m->status), t->c->now_ms);
}

static void tell_catalog(struct cluster *c, struct server *s)
{
    struct catalog_checks checks = { .count = 0 };
    const char *names[NODES_MAX];
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;
    size_t count = 0;

    mu_arena_init(&arena, 0);
    if (catalog_query_state_checks(s->reader, &arena, MU_SPAN_LIT("any"), NULL, &checks, &err) !=
        MU_OK) {
        cluster_fail(c, "%s cannot read its checks: %s", s->node->name, err.text);
    }
    for (size_t i = 0; i < checks.count; i++) {
        if (mu_span_eq_text(checks.items[i].id, RECONCILE_HEALTH)) {
            MU_ASSERT(count < NODES_MAX);
            names[count++] =
                mu_arena_text(&arena, checks.items[i].node.data, checks.items[i].node.bytes);
        }
    }
    reconcile_catalog(s->office.reconcile, names, count, c->now_ms);
    mu_arena_deinit(&arena);
    catalog_reader_release(s->reader);
}

static void full_pass(struct cluster *c, size_t server)
{
    struct server *s = &c->servers[server];
    struct telling t = { c, &s->office };

    gossip_each(world_core(c->gossip, server), tell_member, &t);
    tell_catalog(c, s);
    s->office.full_at_ms = c->now_ms + FULL_MS;
}

void office_notice(struct cluster *c, size_t server, const struct gossip_notice *notice)
{
    struct office *o = &c->servers[server].office;
    struct telling t = { c, o };

    if (o->state != OFFICE_HELD) {
        return;
    }
    switch (notice->kind) {
    case GOSSIP_JOINED:
    case GOSSIP_UPDATED:
    case GOSSIP_FAILED:
    case GOSSIP_LEFT: tell_member(&t, &notice->member); break;
    case GOSSIP_REAPED:
        reconcile_member(o->reconcile, notice->member.name, RECONCILE_GONE, c->now_ms);
        break;
    case GOSSIP_REFUTED:
    case GOSSIP_CONFLICT:
    case GOSSIP_UNREACHABLE:
    case GOSSIP_USELESS: break;
    }
}

/* -- the rules of removal ---------------------------------------------------------------------- */

struct census {
    const struct cluster *c;
    const struct office *office;
    size_t failed, members;
};

static void count_member(void *data, const struct gossip_view *m)
{
    struct census *n = data;
    size_t member = 0;

    MU_ASSERT(member_by_name(n->c, mu_span_text(m->name), &member));
    if (m->status == GOSSIP_STATUS_FAILED && !n->office->was_removed[member]) {
        n->failed++;
        n->members++;
    }
    n->members += m->status == GOSSIP_STATUS_ALIVE || m->status == GOSSIP_STATUS_LEAVING;
}

/* Who is registered and was never met counts as living at first, later as failed. */
static void count_absent(struct census *n, const struct gossip *gossip)
{
    bool is_patient = n->c->now_ms - n->office->since_ms < ABSENT_AFTER_MS;
    struct gossip_view m;

    for (size_t i = 0; i < n->c->members_count; i++) {
        if (n->c->model.nodes[i].is_there && !n->office->was_removed[i] &&
            !gossip_find(gossip, member_name(n->c, i), &m)) {
            n->members++;
            n->failed += !is_patient;
        }
    }
}

static void watch_share(struct cluster *c, size_t server)
{
    struct office *o = &c->servers[server].office;
    struct census n = { c, o, 0, 0 };

    gossip_each(world_core(c->gossip, server), count_member, &n);
    count_absent(&n, world_core(c->gossip, server));
    if (n.failed <= 2 || n.failed * 3 <= n.members) {
        o->suspicious_ms = 0;
    } else if (o->suspicious_ms == 0) {
        o->suspicious_ms = c->now_ms;
    }
}

static void judge_removal(struct cluster *c, size_t server, const struct reconcile_action *what)
{
    const struct office *o = &c->servers[server].office;
    struct gossip_view m;

    if (!gossip_find(world_core(c->gossip, server), what->node, &m) ||
        m.status != GOSSIP_STATUS_FAILED) {
        return;
    }
    uint64_t failed_ms = c->now_ms + WORLD_CLOCK_MS - m.changed_ms;

    if (failed_ms + 10 < REMOVE_AFTER_MS) {
        cluster_fail(c, "the failed stay for a while: %s removes %s after %llu ms",
                     member_name(c, server), what->node, U(failed_ms));
    }
    if (o->suspicious_ms > 0 && c->now_ms - o->suspicious_ms + 10 < PAUSE_MAX_MS) {
        cluster_fail(c, "self-preservation: %s removes %s while too many are failed",
                     member_name(c, server), what->node);
    }
}

/* -- carrying them out ------------------------------------------------------------------------- */

static void action_start(struct cluster *c, size_t server, const struct reconcile_action *what);

static void on_written(struct cluster *c, const struct request *r, enum request_end end)
{
    struct office *o = &c->servers[r->owner].office;
    size_t member = 0;

    if (o->state != OFFICE_HELD || o->mark != r->mark) {
        return; /* another office */
    }
    bool did_succeed = end == REQUEST_DONE && c->facts[r->index].code == MU_OK;

    if (did_succeed && r->has_more) {
        action_start(c, r->owner, &r->action);
        return;
    }
    reconcile_ended(o->reconcile, &r->action, did_succeed, c->now_ms);
    MU_ASSERT(member_by_name(c, mu_span_text(r->action.node), &member));
    o->was_removed[member] = did_succeed && r->action.kind == RECONCILE_REMOVE;
    c->sums.removed += o->was_removed[member];
}

static void action_start(struct cluster *c, size_t server, const struct reconcile_action *what)
{
    static const char *const verbs[] = { "marks alive", "marks critical", "removes" };
    struct server *s = &c->servers[server];
    enum reconcile_need need = RECONCILE_NOTHING;
    struct mu_err err = MU_ERR_NONE;
    struct request *r = NULL;
    struct gossip_view member;
    bool is_met = gossip_find(world_core(c->gossip, server), what->node, &member);
    struct command command;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    if (reconcile_command(s->reader, what, is_met ? &member : NULL, &arena, &command, &need,
                          &err) != MU_OK) {
        cluster_fail(c, "%s cannot read %s: %s", s->node->name, what->node, err.text);
    }
    if (what->kind == RECONCILE_REMOVE) {
        judge_removal(c, server, what);
    }
    if (what->kind == RECONCILE_SET_CRITICAL && c->options.broken == BREAK_HEALTH) {
        need = RECONCILE_NOTHING;
    }
    if (need == RECONCILE_NOTHING) {
        reconcile_ended(s->office.reconcile, what, true, c->now_ms);
    } else if ((r = request_new(c, server, &command)) == NULL) {
        reconcile_ended(s->office.reconcile, what, false, c->now_ms);
    } else {
        cluster_say(c, "%s %s %s", s->node->name, verbs[what->kind], what->node);
        r->due_ms = c->now_ms;
        r->done = on_written;
        r->owner = server;
        r->mark = s->office.mark;
        r->action = *what;
        r->has_more = need == RECONCILE_WRITE_FIRST;
    }
    mu_arena_deinit(&arena);
    catalog_reader_release(s->reader);
}

static void act(struct cluster *c, size_t server)
{
    struct office *o = &c->servers[server].office;
    struct reconcile_action actions[ACTIONS_MAX];
    size_t failed = 0;
    size_t members = 0;

    if (c->now_ms >= o->full_at_ms) {
        full_pass(c, server);
    }
    watch_share(c, server);
    size_t count = reconcile_due(o->reconcile, c->now_ms, actions, ACTIONS_MAX);

    c->sums.paused += reconcile_is_paused(o->reconcile, &failed, &members);
    for (size_t i = 0; i < count; i++) {
        action_start(c, server, &actions[i]);
    }
}

/* -- office ------------------------------------------------------------------------------------ */

static void on_barrier(struct cluster *c, const struct request *r, enum request_end end)
{
    struct office *o = &c->servers[r->owner].office;

    if (o->state != OFFICE_BARRIER || o->mark != r->mark) {
        return;
    }
    if (end != REQUEST_DONE) {
        leave_office(o); /* and begin again, if it still leads */
        return;
    }
    o->state = OFFICE_HELD;
    o->suspicious_ms = 0;
    o->since_ms = c->now_ms;
    memset(o->was_removed, 0, sizeof o->was_removed);
    cluster_say(c, "%s takes office", member_name(c, r->owner));
    reconcile_lead(o->reconcile, c->now_ms);
    sessions_lead(c, &c->servers[r->owner]);
    pilot_lead(c, &c->servers[r->owner]);
    full_pass(c, r->owner);
}

static void take_office(struct cluster *c, size_t server, uint64_t term)
{
    struct office *o = &c->servers[server].office;
    struct request *r = request_new(c, server, NULL);

    if (r == NULL) {
        return; /* next time */
    }
    o->state = OFFICE_BARRIER;
    o->term = term;
    o->mark = ++c->offices;
    r->due_ms = c->now_ms;
    r->done = on_barrier;
    r->owner = server;
    r->mark = o->mark;
}

void offices_run(struct cluster *c)
{
    for (size_t i = 0; i < c->servers_count; i++) {
        struct server *s = &c->servers[i];
        struct consensus_status status;

        if (!member_runs(c, i) || s->node->core == NULL) {
            continue;
        }
        consensus_status(s->node->core, &status);
        bool leads = status.role == CONSENSUS_LEADER && status.is_ready;

        if (s->office.state != OFFICE_NONE && (!leads || s->office.term != status.term)) {
            leave_office(&s->office);
        }
        if (leads && s->office.state == OFFICE_NONE) {
            take_office(c, i, status.term);
        }
        if (s->office.state == OFFICE_HELD) {
            act(c, i);
            sessions_run(c, s);
            pilot_run(c, s);
        }
    }
}
