#include "recover_ask.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "recover_plan.h"

/* For who is silent: several looks are to fit into the five seconds in which it is all over. */
#define TIMEOUT_MS 1000U
#define FAILED_MS  300U /* gossip has tried before */

struct question {
    struct recover_ask *ask;
    size_t of; /* the survivor */
    uint64_t timeout_ms;
    bool is_alive; /* for gossip */
    struct mu_addr rpc;
    struct rpc_link *link;
    struct rpc_call *call; /* NULL: it was answered */
};

struct recover_ask {
    struct agent *agent;
    struct mu_link place; /* in the agent's list, until it has ended */
    struct mu_arena arena;
    enum rpc_recover_step step;
    struct agent_survivor *servers;
    size_t count;
    struct question *questions; /* one for each survivor but this agent */
    size_t questions_count, waiting;
    struct timer timer; /* the end, when there is nobody to wait for */
    recover_asked_fn *done;
    void *data;
};

struct agent_survivor *recover_ask_servers(struct recover_ask *ask, size_t *count)
{
    *count = ask->count;
    return ask->servers;
}

/* -- answers ----------------------------------------------------------------------------------- */

static void ask_end(struct recover_ask *ask, enum mu_code code)
{
    mu_list_remove(&ask->place);
    recover_plan_complete(ask->servers, &ask->count, &ask->arena);
    ask->done(ask->data, code, ask);
}

static void on_over(void *data)
{
    ask_end(data, MU_OK);
}

static enum mu_code answer_read(struct mu_span bytes, struct agent_survivor *to,
                                struct mu_arena *arena, struct mu_err *err)
{
    struct rpc_recovery answer;
    enum mu_code rc = rpc_recovery_decode(bytes, arena, &answer, err);

    rc = rc == MU_OK ? recovery_position_read(answer.bundle, &to->position, err) : rc;
    if (rc == MU_OK && !mu_id_eq(&to->position.server, &to->id)) {
        rc = mu_fail(err, MU_CORRUPT, "its answer is about another server");
    }
    if (rc == MU_OK) {
        to->leader = answer.leader;
        (void)snprintf(to->position.damage, sizeof to->position.damage, "%.*s",
                       MU_SPAN_FMT(answer.damage));
    }
    return rc;
}

static void on_answer(void *data, enum mu_code code, struct mu_span answer,
                      const struct mu_err *err)
{
    struct question *q = data;
    struct recover_ask *ask = q->ask;
    struct agent_survivor *s = &ask->servers[q->of];

    q->call = NULL;
    s->err = *err;
    s->err.code = code;
    if (code == MU_OK) {
        s->err = MU_ERR_NONE;
        (void)answer_read(answer, s, &ask->arena, &s->err);
    }
    /* Behind the look it was agreed to go on without the silent ones. */
    s->is_expected = q->is_alive && recover_is_silent(s) && ask->step == RPC_RECOVER_LOOK;
    if (--ask->waiting == 0) {
        timer_set(ask->agent->timers, &ask->timer, 0, on_over, ask);
    }
}

/* What waits for a link that goes down ends by itself, and says more. */
static void on_link(void *data, struct rpc_link *link, bool is_up, const char *why)
{
    struct question *q = data;

    (void)why;
    if (!is_up) {
        MU_ASSERT(q->link == link);
        rpc_hang_up(link);
        q->link = NULL;
    }
}

/* -- questions --------------------------------------------------------------------------------- */

static bool is_newer(const struct agent__server *server, const struct recover_ask *ask, size_t *at)
{
    for (size_t i = 0; i < ask->count; i++) {
        if (mu_id_eq(&ask->servers[i].id, &server->node)) {
            *at = i;
            return server->is_alive; /* an old record of the same id may still be about */
        }
    }
    *at = ask->count;
    return true;
}

static void take_server(void *data, const struct agent__server *server)
{
    struct recover_ask *ask = data;
    char address[MU_ADDR_TEXT_MAX];
    size_t at = 0;

    if (server->status == GOSSIP_STATUS_LEFT || ask->count == RPC_BUNDLES_MAX ||
        !is_newer(server, ask, &at)) {
        return;
    }
    mu_addr_text(&server->rpc, address);
    ask->servers[at] = (struct agent_survivor){
        .id = server->node,
        .name = mu_arena_strdup(&ask->arena, server->name),
        .address = mu_arena_strdup(&ask->arena, address),
    };
    ask->questions[at] =
        (struct question){ .ask = ask,
                           .of = at,
                           .rpc = server->rpc,
                           .is_alive = server->is_alive,
                           .timeout_ms = server->is_alive ? TIMEOUT_MS : FAILED_MS };
    ask->count += at == ask->count;
}

static void question_put(struct question *q, struct mu_span message)
{
    struct recover_ask *ask = q->ask;
    struct agent *a = ask->agent;
    struct agent_survivor *s = &ask->servers[q->of];

    if (mu_id_eq(&s->id, &a->data.node)) {
        agent__recover_position(a, &s->position, &s->leader);
        return;
    }
    ask->waiting++;
    q->link = rpc_dial(a->rpc, &q->rpc, &s->id, on_link, q);
    q->call = rpc_call(q->link, RPC_RECOVER, message, q->timeout_ms, on_answer, q);
}

struct recover_ask *recover_ask(struct agent *a, enum rpc_recover_step step, recover_asked_fn *done,
                                void *data)
{
    struct recover_ask *ask = mu_new(sizeof *ask);
    struct rpc_recover message = { .step = step };
    struct mu_buf bytes = MU_BUF_NONE;
    size_t room = RPC_BUNDLES_MAX + RECOVERY_SERVERS_MAX;

    ask->agent = a;
    ask->step = step;
    ask->done = done;
    ask->data = data;
    mu_arena_init(&ask->arena, 0);
    mu_list_push_back(&a->recover_asks, &ask->place);
    ask->servers = mu_arena_array(&ask->arena, room, sizeof *ask->servers);
    ask->questions = mu_arena_array(&ask->arena, room, sizeof *ask->questions);
    agent__each_server(a, take_server, ask);
    ask->questions_count = ask->count;
    rpc_recover_encode(&message, &bytes);
    for (size_t i = 0; i < ask->questions_count; i++) {
        question_put(&ask->questions[i], mu_buf_span(&bytes));
    }
    mu_buf_deinit(&bytes);
    if (ask->waiting == 0) {
        timer_set(a->timers, &ask->timer, 0, on_over, ask);
    }
    return ask;
}

/* -- the end ----------------------------------------------------------------------------------- */

void recover_ask_free(struct recover_ask *ask)
{
    for (size_t i = 0; i < ask->questions_count; i++) {
        if (ask->questions[i].call != NULL) {
            rpc_cancel(ask->questions[i].call);
        }
        rpc_hang_up(ask->questions[i].link);
    }
    timer_cancel(&ask->timer);
    mu_list_remove(&ask->place);
    mu_arena_deinit(&ask->arena);
    mu_free(ask);
}

void agent__recover_asks_cancel(struct agent *a)
{
    while (!mu_list_empty(&a->recover_asks)) {
        ask_end(MU_CONTAINER(a->recover_asks.next, struct recover_ask, place), MU_CANCELLED);
    }
}
