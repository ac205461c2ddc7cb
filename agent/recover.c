/* recover.c - see agent/recover.h. What any agent does: look, and tell the chosen one to begin. */
#include "agent/recover.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "recover_ask.h"
#include "recover_plan.h"

#define BEGIN_TIMEOUT_MS 5000U /* it asks all others itself */

struct recovering {
    struct agent *agent;
    struct mu_link place; /* in the agent's list */
    struct recover_ask *ask;
    struct mu_buf server; /* of the wish */
    bool is_forced;
    agent_recovery_fn *looked; /* NULL: it is to begin */
    agent_recovered_fn *begun;
    void *data;
    /* begin */
    uint64_t index, term; /* that were agreed to */
    struct agent_recovered recovered;
    struct mu_buf name;
    struct rpc_link *link;
    struct rpc_call *call;
};

static void recovering_free(struct recovering *r)
{
    if (r->call != NULL) {
        rpc_cancel(r->call);
    }
    rpc_hang_up(r->link);
    if (r->ask != NULL) {
        recover_ask_free(r->ask);
    }
    mu_list_remove(&r->place);
    mu_buf_deinit(&r->server);
    mu_buf_deinit(&r->name);
    mu_free(r);
}

static void begin_end(struct recovering *r, enum mu_code code, const struct mu_err *err)
{
    struct mu_err why = *err;

    r->recovered.name = mu_buf_text(&r->name);
    if (code != MU_OK && r->name.bytes > 0) { /* it was told */
        (void)mu_wrap(&why, code, "%s", r->recovered.name);
    }
    r->begun(r->data, code, &r->recovered, &why);
    recovering_free(r);
}

/* -- telling the chosen one -------------------------------------------------------------------- */

static void on_begun(void *data, enum mu_code code, uint64_t epoch, const struct mu_err *err)
{
    struct recovering *r = data;

    r->recovered.epoch = epoch;
    begin_end(r, code, err);
}

static void on_answer(void *data, enum mu_code code, struct mu_span answer,
                      const struct mu_err *err)
{
    struct recovering *r = data;
    struct rpc_recovery recovery = { .epoch = 0 };
    struct mu_err why = *err;
    struct mu_arena arena;

    r->call = NULL;
    mu_arena_init(&arena, 0);
    if (code == MU_OK) {
        code = rpc_recovery_decode(answer, &arena, &recovery, &why);
    }
    r->recovered.epoch = recovery.epoch;
    mu_arena_deinit(&arena);
    begin_end(r, code, &why);
}

/* The call ends by itself, and says more. */
static void on_link(void *data, struct rpc_link *link, bool is_up, const char *why)
{
    struct recovering *r = data;

    (void)why;
    if (!is_up) {
        MU_ASSERT(r->link == link);
        rpc_hang_up(link);
        r->link = NULL;
    }
}

static void tell(struct recovering *r, const struct agent_survivor *chosen,
                 const struct recovery_position *seen, size_t seen_count)
{
    struct rpc_recover message = { .step = RPC_RECOVER_BEGIN, .is_forced = r->is_forced };
    struct mu_buf bundles[RPC_BUNDLES_MAX], bytes = MU_BUF_NONE;
    struct agent *a = r->agent;
    struct agent__server server;

    if (!agent__server_find(a, &chosen->id, &server)) {
        struct mu_err err = MU_ERR_NONE;

        begin_end(r, mu_fail(&err, MU_CONFLICT, "%s is gone", chosen->name), &err);
        return;
    }
    for (size_t i = 0; i < seen_count; i++) {
        bundles[i] = MU_BUF_NONE;
        recovery_position_write(&seen[i], &bundles[i]);
        message.bundles[message.bundles_count++] = mu_buf_span(&bundles[i]);
    }
    rpc_recover_encode(&message, &bytes);
    r->link = rpc_dial(a->rpc, &server.rpc, &chosen->id, on_link, r);
    r->call = rpc_call(r->link, RPC_RECOVER, mu_buf_span(&bytes), BEGIN_TIMEOUT_MS, on_answer, r);
    mu_buf_deinit(&bytes);
    for (size_t i = 0; i < seen_count; i++) {
        mu_buf_deinit(&bundles[i]);
    }
}

/* The chosen one first, then all others that answered. */
static size_t positions(const struct agent_recovery *plan, struct recovery_position *out)
{
    size_t count = 0;

    out[count++] = plan->servers[plan->chosen].position;
    for (size_t i = 0; i < plan->count && count < RPC_BUNDLES_MAX; i++) {
        if (i != plan->chosen && plan->servers[i].err.code == MU_OK) {
            out[count++] = plan->servers[i].position;
        }
    }
    return count;
}

static void begin(struct recovering *r, const struct agent_recovery *plan)
{
    const struct agent_survivor *chosen = &plan->servers[plan->chosen];
    struct recovery_position *seen = mu_new_array(RPC_BUNDLES_MAX, sizeof *seen);
    size_t count = positions(plan, seen);
    struct agent *a = r->agent;

    mu_buf_add_text(&r->name, chosen->name);
    r->recovered.server = chosen->id;
    mu_log(MU_WARN, "agent", "A recovery of the cluster was asked for here",
           mu_kv("server", chosen->name), mu_kv_u("last_index", chosen->position.last_index));
    if (mu_id_eq(&chosen->id, &a->data.node)) {
        struct mu_err err = MU_ERR_NONE;
        enum mu_code rc = agent__recover_begin(a, seen, count, r->is_forced, on_begun, r, &err);

        if (rc != MU_OK) {
            begin_end(r, rc, &err);
        }
    } else {
        tell(r, chosen, seen, count);
    }
    mu_free(seen);
}

/* -- looking ----------------------------------------------------------------------------------- */

static void on_plan(struct recovering *r, struct agent_recovery *plan)
{
    const struct agent_survivor *chosen;

    if (r->looked != NULL) {
        r->looked(r->data, MU_OK, plan, &plan->why);
        recovering_free(r);
        return;
    }
    if (plan->why.code != MU_OK) {
        begin_end(r, plan->why.code, &plan->why);
        return;
    }
    chosen = &plan->servers[plan->chosen];
    if (chosen->position.last_index != r->index || chosen->position.last_term != r->term) {
        struct mu_err err = MU_ERR_NONE;

        begin_end(r,
                  mu_fail(&err, MU_CONFLICT,
                          "the log of %s ends with entry %llu of term %llu by now: look again",
                          chosen->name, (unsigned long long)chosen->position.last_index,
                          (unsigned long long)chosen->position.last_term),
                  &err);
        return;
    }
    begin(r, plan);
}

static void on_asked(void *data, enum mu_code code, struct recover_ask *ask)
{
    struct recovering *r = data;
    struct agent_recovery_wish wish = { mu_buf_span(&r->server), r->is_forced };
    struct agent_recovery plan = { .chosen = AGENT_RECOVERY_NOBODY };
    struct mu_err err = MU_ERR_NONE;

    plan.servers = recover_ask_servers(ask, &plan.count);
    if (code == MU_OK) {
        recover_plan_make(&plan, &wish);
        on_plan(r, &plan);
        return;
    }
    (void)mu_fail(&err, code, "this agent stops");
    if (r->looked != NULL) {
        r->looked(r->data, code, &plan, &err);
        recovering_free(r);
    } else {
        begin_end(r, code, &err);
    }
}

static struct recovering *recovering_new(struct agent *a, const struct agent_recovery_wish *wish,
                                         void *data)
{
    struct recovering *r = mu_new(sizeof *r);

    r->agent = a;
    r->is_forced = wish->is_forced;
    r->data = data;
    mu_buf_add_span(&r->server, wish->server);
    mu_list_push_back(&a->recoveries, &r->place);
    r->ask = recover_ask(a, RPC_RECOVER_LOOK, on_asked, r);
    return r;
}

void agent_recovery_look(struct agent *a, const struct agent_recovery_wish *wish,
                         agent_recovery_fn *done, void *data)
{
    recovering_new(a, wish, data)->looked = done;
}

void agent_recovery_begin(struct agent *a, const struct agent_recovery_wish *wish, uint64_t index,
                          uint64_t term, agent_recovered_fn *done, void *data)
{
    struct recovering *r = recovering_new(a, wish, data);

    r->begun = done;
    r->index = index;
    r->term = term;
}

/* -- the end ----------------------------------------------------------------------------------- */

void agent__recover_close(struct agent *a)
{
    struct mu_err err = MU_ERR_NONE;

    timer_cancel(&a->back.timer);
    agent__recover_asks_cancel(a);
    while (!mu_list_empty(&a->recoveries)) { /* those that wait for the chosen one's answer */
        struct recovering *r = MU_CONTAINER(a->recoveries.next, struct recovering, place);

        begin_end(r, mu_fail(&err, MU_CANCELLED, "this agent stops"), &err);
    }
}
