/* servers.c - the server a client agent talks to: one, kept until it fails (DESIGN 6).
 *
 * A call that was certainly not sent goes to another server, for as long as requests are held; one
 * that may have been carried out is repeated only when it is a read. When a server is there again
 * after there was none, everything registered here is compared with the catalog at once.
 *
 * Until gossip has noticed, servers that are all gone still count as alive: each is tried at once,
 * one time, and from then on there is a pause between tries.
 */
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "requests.h"

#define RETRY_MS 200U /* between tries while no server takes the call */

struct servers {
    struct rpc_link *link; /* NULL: none chosen */
    struct mu_id to;
    struct mu_id failed; /* the one that failed last: others are preferred */
    bool had_none;       /* a full sync is due when the next one is there */
    bool is_up;          /* the link carries, */
    uint64_t up_ms;      /* since then */
    size_t misses;       /* tries in a row that reached none, or none that stayed */
    struct mu_link calls;
    struct timer timer; /* until the next try to connect */
    size_t alive;
};

struct servers_call {
    struct agent *agent;
    struct mu_link place;
    enum rpc_method method;
    struct mu_buf message;
    bool is_repeatable;
    uint64_t timeout_ms, deadline_ms;
    struct rpc_call *call; /* NULL: waits for the next try */
    struct timer timer;
    rpc_answer_fn *answer;
    void *data;
};

static void call_try(void *data);

/* -- choosing ---------------------------------------------------------------------------------- */

struct choice {
    struct agent *agent;
    struct agent__server best;
    bool has_best;
    size_t seen, alive;
};

/* Reservoir of one: each living server is equally likely; the one that failed last only alone. */
static void consider(void *data, const struct agent__server *server)
{
    struct choice *c = data;
    struct servers *s = c->agent->servers;

    if (!server->is_alive) {
        return;
    }
    c->alive++;
    if (mu_id_eq(&server->node, &s->failed)) {
        if (!c->has_best) {
            c->best = *server;
            c->has_best = true;
        }
        return;
    }
    c->seen++;
    if (c->seen == 1 || mu_rand_below(&c->agent->rand, c->seen) == 0) {
        c->best = *server;
        c->has_best = true;
    }
}

static void on_link(void *data, struct rpc_link *link, bool is_up, const char *why);

static void connect_one(struct agent *a)
{
    struct servers *s = a->servers;
    struct choice c = { .agent = a };

    if (s->link != NULL) {
        return;
    }
    agent__each_server(a, consider, &c);
    s->alive = c.alive;
    if (!c.has_best) {
        s->had_none = true;
        return;
    }
    timer_cancel(&s->timer);
    s->to = c.best.node;
    s->link = rpc_dial(a->rpc, &c.best.rpc, &c.best.node, on_link, a);
}

/* One line when a server is lost and one when none is to be had; what follows is repetition. */
static void log_lost(const struct servers *s, const char *why)
{
    if (s->is_up) {
        mu_log(MU_WARN, "agent.client", "Lost the server, choosing another one",
               mu_kv("error", why));
    } else if (s->misses + 1 == s->alive) {
        mu_log(MU_WARN, "agent.client", "Cannot reach any server, trying on", mu_kv("error", why));
    } else {
        mu_log(MU_DEBUG, "agent.client", "Cannot reach the server", mu_kv("error", why));
    }
}

static void on_connect_timer(void *data)
{
    connect_one(data);
}

static void on_link(void *data, struct rpc_link *link, bool is_up, const char *why)
{
    struct agent *a = data;
    struct servers *s = a->servers;

    MU_ASSERT(s->link == link);
    if (is_up) {
        s->is_up = true;
        s->up_ms = timers_now(a->timers);
        s->failed = MU_ID_NONE;
        if (s->had_none) {
            s->had_none = false;
            agent__sync_full(a, "a server is there again");
        }
        return;
    }
    bool has_stayed = s->is_up && timers_now(a->timers) - s->up_ms >= RETRY_MS;

    log_lost(s, why);
    s->misses = has_stayed ? 0 : s->misses + 1;
    s->is_up = false;
    s->failed = s->to;
    s->had_none = true; /* whatever it missed, the next one may not have */
    s->link = NULL;
    rpc_hang_up(link);
    timer_set(a->timers, &s->timer, s->alive > 1 && s->misses < s->alive ? 0 : RETRY_MS,
              on_connect_timer, a);
}

static void count_alive(void *data, const struct agent__server *server)
{
    *(size_t *)data += server->is_alive;
}

void agent__servers_refresh(struct agent *a)
{
    struct servers *s = a->servers;
    struct agent__server server;
    size_t before;

    if (s == NULL) {
        return;
    }
    before = s->alive;
    s->alive = 0;
    agent__each_server(a, count_alive, &s->alive);
    if (s->link != NULL && (!agent__server_find(a, &s->to, &server) || !server.is_alive)) {
        struct rpc_link *link = s->link;

        s->link = NULL;
        s->is_up = false;
        s->failed = s->to;
        s->had_none = true;
        rpc_hang_up(link);
    }
    if (s->alive == 0 && before > 0) {
        agent__join_lost(a);
    }
    connect_one(a);
}

size_t agent__servers_count(const struct agent *a)
{
    return a->servers->alive;
}

/* -- calls ------------------------------------------------------------------------------------- */

static void call_free(struct servers_call *c)
{
    if (c->call != NULL) {
        rpc_cancel(c->call);
    }
    timer_cancel(&c->timer);
    mu_list_remove(&c->place);
    mu_buf_deinit(&c->message);
    mu_free(c);
}

static void call_answer(struct servers_call *c, enum mu_code code, struct mu_span answer,
                        const struct mu_err *err)
{
    rpc_answer_fn *fn = c->answer;
    void *data = c->data;

    call_free(c); /* the answer's bytes live until our caller returns */
    fn(data, code, answer, err);
}

static void call_fail(struct servers_call *c, enum mu_code code)
{
    struct mu_err err = MU_ERR_NONE;

    (void)mu_fail(&err, code, "%s", agent__refusal_text(code));
    call_answer(c, code, MU_SPAN_NONE, &err);
}

static void on_call(void *data, enum mu_code code, struct mu_span answer, const struct mu_err *err)
{
    struct servers_call *c = data;
    struct agent *a = c->agent;
    bool is_lost = code == MU_LOST || code == MU_TIMEOUT;

    c->call = NULL;
    if (code != MU_UNREACHABLE && !(is_lost && c->is_repeatable)) {
        call_answer(c, code, answer, err);
        return;
    }
    if (timers_now(a->timers) >= c->deadline_ms || a->phase >= AGENT_ENDING) {
        call_fail(c, code == MU_UNREACHABLE ? MU_NO_LEADER : MU_LOST);
        return;
    }
    timer_set(a->timers, &c->timer, RETRY_MS / 4, call_try, c);
}

static void call_try(void *data)
{
    struct servers_call *c = data;
    struct agent *a = c->agent;
    struct servers *s = a->servers;

    if (!timer_is_set(&s->timer)) { /* else a pause, which calls do not cut short */
        connect_one(a);
    }
    if (s->link != NULL) {
        c->call = rpc_call(s->link, c->method, mu_buf_span(&c->message), c->timeout_ms, on_call, c);
        return;
    }
    if (s->alive == 0) {
        call_fail(c, MU_NO_SERVERS); /* at once: nobody to hold it for */
        return;
    }
    if (timers_now(a->timers) >= c->deadline_ms) {
        call_fail(c, MU_NO_LEADER);
        return;
    }
    timer_set(a->timers, &c->timer, RETRY_MS, call_try, c);
}

struct servers_call *agent__servers_call(struct agent *a, enum rpc_method method,
                                         struct mu_span message, bool is_repeatable,
                                         uint64_t timeout_ms, rpc_answer_fn *answer, void *data)
{
    struct servers_call *c = mu_new(sizeof *c);

    c->agent = a;
    c->method = method;
    c->is_repeatable = is_repeatable;
    c->timeout_ms = timeout_ms;
    c->deadline_ms = timers_now(a->timers) + (uint64_t)a->config->rpc_hold_ms;
    c->answer = answer;
    c->data = data;
    mu_buf_add_span(&c->message, message);
    mu_list_push_back(&a->servers->calls, &c->place);
    if (a->servers->link != NULL && rpc_is_up(a->servers->link)) {
        c->call = rpc_call(a->servers->link, method, message, timeout_ms, on_call, c);
    } else {
        timer_set(a->timers, &c->timer, 0, call_try, c);
    }
    return c;
}

void agent__servers_cancel(struct servers_call *call)
{
    call_free(call);
}

/* -- life -------------------------------------------------------------------------------------- */

void agent__servers_open(struct agent *a)
{
    a->servers = mu_new(sizeof *a->servers);
    a->servers->had_none = true;
    mu_list_init(&a->servers->calls);
}

void agent__servers_close(struct agent *a)
{
    struct servers *s = a->servers;

    if (s == NULL) {
        return;
    }
    while (!mu_list_empty(&s->calls)) {
        call_fail(MU_CONTAINER(s->calls.next, struct servers_call, place), MU_CANCELLED);
    }
    timer_cancel(&s->timer);
    rpc_hang_up(s->link);
    mu_free(s);
    a->servers = NULL;
}
