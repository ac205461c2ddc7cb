/* forward.c - requests passed on whole: by a client agent to its server (DESIGN 6), and by a server
 * to the leader, for the few that only a leader can answer.
 *
 * HTTP: a read may be repeated at another server when the connection broke; a write only when it
 * was certainly not sent. DNS: a question is a read. Neither waits for the server's clock: a
 * blocking query has its own limit at the other end, a DNS answer that is late helps nobody.
 *
 * To the leader a request is held while there is none, as a write is; a server that is asked and
 * does not lead refuses, and the one that holds it looks again (serve.c).
 */
#include "base/assert.h"
#include "base/mem.h"
#include "core.h"
#include "requests.h"
#include "rpc_codec.h"

#define LEADER_TIMEOUT_MS 30000U /* a leader that took a request and never answers */
#define DNS_TIMEOUT_MS    1500U  /* spec/dns.md 16: then SERVFAIL */

struct agent_forward {
    struct agent *agent;
    struct servers_call *call; /* on client agents */
    struct mu_link place;      /* to the leader, as all up to is_repeatable */
    struct rpc_call *to_leader;
    struct timer timer;
    struct mu_buf message;
    uint64_t deadline_ms;
    unsigned tries;
    bool is_repeatable;
    agent_http_fn *http;
    agent_dns_fn *dns;
    void *data;
};

static void forward_free(struct agent_forward *f)
{
    if (f->to_leader != NULL) {
        rpc_cancel(f->to_leader);
    }
    timer_cancel(&f->timer);
    mu_list_remove(&f->place);
    mu_buf_deinit(&f->message);
    mu_free(f);
}

void agent_forward_cancel(struct agent_forward *f)
{
    if (f->call != NULL) {
        agent__servers_cancel(f->call);
    }
    forward_free(f);
}

/* -- HTTP -------------------------------------------------------------------------------------- */

static void on_http(void *data, enum mu_code code, struct mu_span answer, const struct mu_err *err)
{
    struct agent_forward *f = data;
    struct agent_http_response response = { .status = 0 };
    struct mu_err why = *err;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    if (code == MU_OK) {
        code = rpc_http_response_decode(answer, &arena, &response, &why);
    }
    f->call = NULL;
    f->http(f->data, code, code == MU_OK ? &response : NULL, &why);
    mu_arena_deinit(&arena);
    forward_free(f);
}

static bool is_read(struct mu_span method)
{
    return mu_span_eq_text(method, "GET") || mu_span_eq_text(method, "HEAD") ||
           mu_span_eq_text(method, "OPTIONS");
}

struct agent_forward *agent_forward_http(struct agent *a, const struct agent_http_request *request,
                                         agent_http_fn *done, void *data)
{
    struct agent_forward *f = mu_new(sizeof *f);
    struct mu_buf message = MU_BUF_NONE;

    MU_ASSERT(!agent_is_server(a));
    f->agent = a;
    f->http = done;
    f->data = data;
    rpc_http_request_encode(request, &message);
    f->call = agent__servers_call(a, RPC_SERVE, mu_buf_span(&message), is_read(request->method), 0,
                                  on_http, f);
    mu_buf_deinit(&message);
    return f;
}

/* -- DNS --------------------------------------------------------------------------------------- */

static void on_dns(void *data, enum mu_code code, struct mu_span answer, const struct mu_err *err)
{
    struct agent_forward *f = data;
    struct mu_span message = MU_SPAN_NONE;
    struct mu_err why = *err;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    if (code == MU_OK) {
        code = rpc_dns_answer_decode(answer, &arena, &message, &why);
    }
    f->call = NULL;
    f->dns(f->data, code, message);
    mu_arena_deinit(&arena);
    forward_free(f);
}

struct agent_forward *agent_forward_dns(struct agent *a, const struct agent_dns_request *request,
                                        agent_dns_fn *done, void *data)
{
    struct agent_forward *f = mu_new(sizeof *f);
    struct mu_buf message = MU_BUF_NONE;

    MU_ASSERT(!agent_is_server(a));
    f->agent = a;
    f->dns = done;
    f->data = data;
    rpc_dns_query_encode(request, &message);
    f->call = agent__servers_call(a, RPC_RESOLVE, mu_buf_span(&message), false, DNS_TIMEOUT_MS,
                                  on_dns, f);
    mu_buf_deinit(&message);
    return f;
}

/* -- to the leader ----------------------------------------------------------------------------- */

static void leader_try(void *data);

static void leader_fail(struct agent_forward *f, enum mu_code code)
{
    struct mu_err err = MU_ERR_NONE;

    (void)mu_fail(&err, code, "%s", agent__refusal_text(code));
    f->http(f->data, code, NULL, &err);
    forward_free(f);
}

static void leader_again(struct agent_forward *f)
{
    struct agent *a = f->agent;

    if (timers_now(a->timers) >= f->deadline_ms || a->phase >= AGENT_ENDING) {
        leader_fail(f, MU_NO_LEADER);
        return;
    }
    timer_set(a->timers, &f->timer, agent__hold_pause(a, &f->tries), leader_try, f);
}

static void on_leader_answer(void *data, enum mu_code code, struct mu_span answer,
                             const struct mu_err *err)
{
    struct agent_forward *f = data;
    bool is_lost = code == MU_LOST || code == MU_TIMEOUT;

    f->to_leader = NULL;
    if (code == MU_UNREACHABLE || code == MU_NOT_LEADER || (is_lost && f->is_repeatable)) {
        leader_again(f);
    } else if (is_lost) {
        leader_fail(f, MU_LOST);
    } else {
        on_http(f, code, answer, err);
    }
}

static void leader_try(void *data)
{
    struct agent_forward *f = data;
    struct agent *a = f->agent;

    if (agent__leads(a)) { /* it does by now: whoever asked does it itself */
        struct mu_err none = MU_ERR_NONE;

        f->http(f->data, MU_OK, NULL, &none);
        forward_free(f);
        return;
    }
    struct rpc_link *link = agent__leader_link(a);

    if (link == NULL) {
        leader_again(f);
        return;
    }
    f->to_leader =
        rpc_call(link, RPC_SERVE, mu_buf_span(&f->message), LEADER_TIMEOUT_MS, on_leader_answer, f);
}

struct agent_forward *agent_forward_leader(struct agent *a,
                                           const struct agent_http_request *request,
                                           agent_http_fn *done, void *data)
{
    struct agent_forward *f = mu_new(sizeof *f);

    MU_ASSERT(agent_is_server(a));
    f->agent = a;
    f->http = done;
    f->data = data;
    f->is_repeatable = is_read(request->method);
    f->deadline_ms = timers_now(a->timers) + (uint64_t)a->config->rpc_hold_ms;
    rpc_http_request_encode(request, &f->message);
    mu_list_push_back(&a->requests->forwards, &f->place);
    timer_set(a->timers, &f->timer, 0, leader_try, f);
    return f;
}

void agent__forwards_retry(struct agent *a)
{
    MU_LIST_EACH (place, &a->requests->forwards) {
        struct agent_forward *f = MU_CONTAINER(place, struct agent_forward, place);

        if (f->to_leader == NULL) {
            timer_set(a->timers, &f->timer, 0, leader_try, f);
        }
    }
}

void agent__forwards_close(struct agent *a)
{
    while (!mu_list_empty(&a->requests->forwards)) {
        leader_fail(MU_CONTAINER(a->requests->forwards.next, struct agent_forward, place),
                    MU_CANCELLED);
    }
}
