/* gc.c - see agent/gc.h.
 *
 * Two forget: gossip's reaper members, the reconciler nodes of the catalog. A node whose member is
 * reaped goes with it, so its time is the earlier of the two.
 */
#include "agent/gc.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "reconcile.h"

/* -- what is going to go ----------------------------------------------------------------------- */

struct looking {
    struct agent *agent;
    struct mu_arena *arena;
    struct agent_gc *out;
};

static struct agent_gc_entry *entry_add(struct looking *l, const char *node)
{
    struct agent_gc *out = l->out;

    out->entries = mu_arena_grow(l->arena, out->entries, out->total, sizeof *out->entries);
    out->entries[out->total] = (struct agent_gc_entry){ .node = mu_arena_strdup(l->arena, node) };
    return &out->entries[out->total++];
}

static const char *rule_text(enum gossip_rule rule)
{
    static const char *const texts[] = {
        [GOSSIP_RULE_FAILED] = "reconnect_timeout",
        [GOSSIP_RULE_OWN] = "advertise_reconnect_timeout",
        [GOSSIP_RULE_LEFT] = "tombstone_timeout",
        [GOSSIP_RULE_PRUNED] = "pruned",
    };

    return texts[rule];
}

static uint64_t in_ms(const struct gossip_forgetting *f)
{
    return f->at_ms > f->now_ms ? f->at_ms - f->now_ms : 0;
}

static void look_at_member(void *data, const struct gossip_view *m)
{
    struct looking *l = data;
    struct gossip_forgetting f;

    if (gossip_driver_forgets(l->agent->gossip, m->name, &f)) {
        struct agent_gc_entry *e = entry_add(l, m->name);

        e->is_member = true;
        e->status = gossip_status_text(m->status);
        e->rule = rule_text(f.rule);
        e->in_ms = in_ms(&f);
    }
}

static const char *plan_rule(enum reconcile_plan plan)
{
    return plan == RECONCILE_PLAN_PAUSED   ? "self-preservation"
           : plan == RECONCILE_PLAN_ABSENT ? "reconcile.absent_after"
           : plan == RECONCILE_PLAN_REMOVE ? "left"
                                           : "reconcile.remove_failed_after";
}

static void look_at_node(void *data, const char *node, const struct reconcile_account *account)
{
    struct looking *l = data;
    struct agent_gc_entry *e = entry_add(l, node);
    struct gossip_forgetting f;
    struct gossip_view m;

    e->status =
        gossip_driver_find(l->agent->gossip, node, &m) ? gossip_status_text(m.status) : "absent";
    e->rule = plan_rule(account->plan);
    e->in_ms = account->remove_in_ms;
    if (gossip_driver_forgets(l->agent->gossip, node, &f) && in_ms(&f) < e->in_ms) {
        e->rule = rule_text(f.rule);
        e->in_ms = in_ms(&f);
    }
}

static int sooner(const void *x, const void *y)
{
    const struct agent_gc_entry *a = x;
    const struct agent_gc_entry *b = y;
    int by_name = strcmp(a->node, b->node);

    if (a->in_ms != b->in_ms) {
        return a->in_ms < b->in_ms ? -1 : 1;
    }
    return by_name != 0 ? by_name : (int)a->is_member - (int)b->is_member;
}

/* What hangs on a node. False: the catalog does not have it any more. */
static bool weigh(struct looking *l, struct agent_gc_entry *e)
{
    struct catalog_node_services services = { .node = NULL };
    struct catalog_sessions sessions = { .count = 0 };
    struct catalog_checks checks = { .count = 0 };
    struct catalog_reader *reader = l->agent->reader;
    struct mu_span node = mu_span_text(e->node);
    struct mu_err err = MU_ERR_NONE;

    if (catalog_query_node_services(reader, l->arena, node, &services, &err) != MU_OK ||
        catalog_query_node_checks(reader, l->arena, node, &checks, &err) != MU_OK ||
        catalog_query_node_sessions(reader, l->arena, node, &sessions, &err) != MU_OK) {
        mu_log(MU_ERROR, "agent.server", "cannot read the catalog", mu_kv("error", err.text));
        return true;
    }
    e->services = services.services_count;
    e->checks = checks.count;
    e->sessions = sessions.count;
    return services.node != NULL && mu_span_eq_fold(services.node->name, node);
}

/* Only of those that are shown: each is a few reads. */
static void weigh_all(struct looking *l)
{
    struct agent_gc *out = l->out;
    size_t kept = 0;

    out->count = out->total < AGENT_GC_MAX ? out->total : AGENT_GC_MAX;
    for (size_t i = 0; i < out->count; i++) {
        struct agent_gc_entry e = out->entries[i];

        if (e.is_member || weigh(l, &e)) {
            out->entries[kept++] = e;
        }
    }
    out->total -= out->count - kept;
    out->count = kept;
}

enum mu_code agent_gc_look(struct agent *a, struct mu_arena *arena, struct agent_gc *out,
                           struct mu_err *err)
{
    const struct reconcile *r = agent__leader_reconcile(a);
    struct looking l = { .agent = a, .arena = arena, .out = out };

    *out = (struct agent_gc){ .entries = NULL };
    if (r == NULL) {
        return mu_fail(err, MU_NO_LEADER, "No cluster leader");
    }
    out->is_paused = reconcile_is_paused(r, &out->failed, &out->members);
    gossip_driver_each(a->gossip, look_at_member, &l);
    reconcile_each_leaver(r, timers_now(a->timers), look_at_node, &l);
    if (out->total > 0) {
        qsort(out->entries, out->total, sizeof *out->entries, sooner);
    }
    weigh_all(&l);
    return MU_OK;
}

/* -- letting it go ----------------------------------------------------------------------------- */

struct letting { /* names first: each that goes changes what is walked */
    struct agent *agent;
    struct mu_arena arena;
    const char *members[AGENT_GC_MAX], *nodes[AGENT_GC_MAX];
    size_t members_count, nodes_count;
    struct agent_gone gone;
    agent_gone_fn *done;
    void *data;
};

static void take_member(void *data, const struct gossip_view *m)
{
    struct letting *l = data;
    struct gossip_forgetting f;

    if (!gossip_driver_forgets(l->agent->gossip, m->name, &f) || f.rule == GOSSIP_RULE_PRUNED) {
        return;
    }
    if (l->members_count == AGENT_GC_MAX) {
        l->gone.left_over++;
        return;
    }
    l->members[l->members_count++] = mu_arena_strdup(&l->arena, m->name);
}

static void take_node(void *data, const char *node, const struct reconcile_account *account)
{
    struct letting *l = data;
    struct gossip_view m;

    (void)account;
    if (gossip_driver_find(l->agent->gossip, node, &m)) {
        return; /* it goes with its member */
    }
    if (l->nodes_count == AGENT_GC_MAX) {
        l->gone.left_over++;
        return;
    }
    l->nodes[l->nodes_count++] = mu_arena_strdup(&l->arena, node);
}

static void on_told(void *data, bool is_told)
{
    struct letting *l = data;
    struct mu_err err = MU_ERR_NONE;

    if (!is_told) {
        (void)mu_fail(&err, MU_TIMEOUT, "timed out broadcasting node removal");
    }
    l->done(l->data, err.code, &l->gone, &err);
    mu_arena_deinit(&l->arena);
    mu_free(l);
}

static void let_go(struct letting *l, struct reconcile *r)
{
    struct agent *a = l->agent;
    struct mu_err err = MU_ERR_NONE;

    for (size_t i = 0; i < l->members_count; i++) {
        if (gossip_driver_force_leave(a->gossip, l->members[i], true, &err) == MU_OK) {
            l->gone.members++;
        }
    }
    for (size_t i = 0; i < l->nodes_count; i++) {
        l->gone.nodes += reconcile_let_go(r, l->nodes[i], timers_now(a->timers));
    }
    agent__leader_soon(a);
}

enum mu_code agent_gc(struct agent *a, bool forced, agent_gone_fn *done, void *data,
                      struct mu_err *err)
{
    struct reconcile *r = agent__leader_reconcile(a);
    size_t failed, members;

    if (r == NULL) {
        return mu_fail(err, MU_NO_LEADER, "No cluster leader");
    }
    if (reconcile_is_paused(r, &failed, &members) && !forced) {
        return mu_fail(err, MU_CONFLICT,
                       "Self-preservation pauses removal: %zu of %zu members are failed, more "
                       "likely this side is cut off from them",
                       failed, members);
    }
    struct letting *l = mu_new(sizeof *l);

    l->agent = a;
    l->done = done;
    l->data = data;
    mu_arena_init(&l->arena, 0);
    gossip_driver_each(a->gossip, take_member, l);
    reconcile_each_leaver(r, timers_now(a->timers), take_node, l);
    let_go(l, r);
    mu_log(MU_INFO, "agent.server", "let go what is gone", mu_kv_u("members", l->gone.members),
           mu_kv_u("nodes", l->gone.nodes), mu_kv_u("left_over", l->gone.left_over));
    gossip_driver_spread(a->gossip, on_told, l);
    return MU_OK;
}
