/* forward.c - requests that a client agent passes on whole to its server (DESIGN 6).
 *
 * HTTP: a read may be repeated at another server when the connection broke; a write only when it
 * was certainly not sent. DNS: a question is a read. Neither waits for the server's clock: a
 * blocking query has its own limit at the other end, a DNS answer that is late helps nobody.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "core.h"
#include "rpc_codec.h"

#define DNS_TIMEOUT_MS 1500U /* spec/dns.md 16: then SERVFAIL */

struct agent_forward {
    struct agent *agent;
    struct servers_call *call;
    agent_http_fn *http;
    agent_dns_fn *dns;
    void *data;
};

void agent_forward_cancel(struct agent_forward *f)
{
    agent__servers_cancel(f->call);
    mu_free(f);
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
    f->http(f->data, code, code == MU_OK ? &response : NULL, &why);
    mu_arena_deinit(&arena);
    mu_free(f);
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
    f->dns(f->data, code, message);
    mu_arena_deinit(&arena);
    mu_free(f);
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
