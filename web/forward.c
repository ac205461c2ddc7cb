/* A client agent passes a request on as it came (and a server, to the leader, those that only it
 * can answer), with what only this agent knows filled in, and passes the answer back as it comes,
 * but for what belongs to the connection or to every answer of this agent. On the server the same
 * request comes in through agent_front and walks the routes like any other; only one for the leader
 * may go on once more, to it.
 */
#include "forward.h"

#include "base/assert.h"
#include "base/limits.h"
#include "target.h"

/* -- out: on a client agent -------------------------------------------------------------------- */

/* One "key=value" of the query, as it is to be sent. */
static void add_pair(struct request *r, struct mu_span pair, const char *node, struct mu_buf *to)
{
    struct mu_span value, key, plain;

    key = mu_span_split(pair, '=', &value, NULL);
    if (target_decode(key, true, &r->arena, &key) && mu_span_eq_text(key, "near") &&
        target_decode(value, true, &r->arena, &plain) && mu_span_eq_text(plain, "_agent")) {
        mu_buf_add_text(to, "near=");
        target_escape_query(to, mu_span_text(node));
        return;
    }
    mu_buf_add_span(to, pair);
}

struct mu_span forward_target(struct request *r, const char *node)
{
    struct mu_buf to = MU_BUF_NONE;
    struct mu_span query = r->query;
    struct mu_span target;

    if (!params_has(&r->params, "near")) {
        return r->target;
    }
    target_escape_path(&to, r->path);
    for (char before = '?'; query.bytes > 0; before = '&') {
        mu_buf_add_byte(&to, (uint8_t)before);
        add_pair(r, mu_span_split(query, '&', &query, NULL), node, &to);
    }
    target = mu_arena_span(&r->arena, mu_buf_span(&to));
    mu_buf_deinit(&to);
    return target;
}

#define FORWARD_HEADERS_MAX 7

static size_t headers_of(const struct request *r, struct mu_header to[FORWARD_HEADERS_MAX])
{
    const struct mu_header all[FORWARD_HEADERS_MAX] = {
        // clang-format off
        { MU_SPAN_LIT("Accept"),             r->accept },
        { MU_SPAN_LIT("Authorization"),      r->authorization },
        { MU_SPAN_LIT("Cache-Control"),      r->cache_control },
        { MU_SPAN_LIT("Content-Type"),       r->content_type },
        { MU_SPAN_LIT("X-Consul-Namespace"), r->ns },
        { MU_SPAN_LIT("X-Consul-Token"),     r->token },
        { MU_SPAN_LIT("X-Muster-Request-Id"), r->request_id },
    }; // clang-format on
    size_t count = 0;

    for (size_t i = 0; i < MU_LEN(all); i++) {
        if (all[i].value.bytes > 0) {
            to[count++] = all[i];
        }
    }
    return count;
}

/* Of a hop, or set by this agent on every answer. */
static bool is_dropped(struct mu_span name)
{
    static const char *const dropped[] = {
        "connection",        "content-length",   "content-type", "date",
        "keep-alive",        "proxy-connection", "te",           "trailer",
        "transfer-encoding", "upgrade",          "vary",         "x-consul-default-acl-policy",
    };

    for (size_t i = 0; i < MU_LEN(dropped); i++) {
        if (mu_span_eq_fold(name, mu_span_text(dropped[i]))) {
            return true;
        }
    }
    return false;
}

static void take_answer(struct request *r, const struct agent_http_response *response)
{
    struct response *p = &r->response;

    p->status = response->status;
    p->body = response->body; /* borrowed until this callback returns: copied by the sink */
    for (size_t i = 0; i < response->headers_count; i++) {
        const struct mu_header *h = &response->headers[i];

        if (mu_span_eq_fold(h->name, MU_SPAN_LIT("content-type"))) {
            p->content_type = mu_arena_text(&r->arena, h->value.data, h->value.bytes);
        } else if (!is_dropped(h->name) && p->extra_count < RESPONSE_EXTRA_MAX) {
            char *name = mu_arena_new(&r->arena, h->name.bytes + 1);

            response_canonical(h->name, name);
            response_header(r, name, mu_arena_span(&r->arena, h->value));
        }
    }
}

static void cancel_forward(struct request *r)
{
    agent_forward_cancel(r->forward);
    r->forward = NULL;
    r->pending = NULL;
}

static const struct request_pending pending_forward = { "forward", cancel_forward };

static void on_answer(void *data, enum mu_code code, const struct agent_http_response *response,
                      const struct mu_err *err)
{
    struct request *r = data;

    r->forward = NULL;
    r->pending = NULL;
    if (code != MU_OK) {
        answer_code(r, code, err);
    } else if (response == NULL) { /* this server leads by now */
        r->route->handler(r);
    } else {
        take_answer(r, response);
        request_answer(r);
    }
}

void forward_request(struct request *r)
{
    struct mu_header headers[FORWARD_HEADERS_MAX];
    struct agent_http_request request = {
        .method = r->method_text,
        .target = forward_target(r, agent_node_name(r->front->agent)),
        .headers = headers,
        .headers_count = headers_of(r, headers),
        .body = mu_buf_span(&r->body),
        .client = r->client,
    };

    struct agent *agent = r->front->agent;

    r->pending = &pending_forward;
    r->is_held = r->read.index > 0; /* the server may hold it: nobody else misses the answer */
    r->forward = agent_is_server(agent) ? agent_forward_leader(agent, &request, on_answer, r)
                                        : agent_forward_http(agent, &request, on_answer, r);
}

/* -- in: on a server --------------------------------------------------------------------------- */

struct forwarded { /* in the request's arena */
    agent_http_fn *reply;
    void *data;
    bool *is_answered; /* of front_forwarded() while it runs */
};

#define ENVELOPE_BYTES 65536U /* headers and framing of a message, generously */

/* A message between agents is bounded; the client's own agent cannot pass on more. */
static void refuse_huge(struct request *r)
{
    size_t bytes = r->response.body.bytes;

    response_reset(r);
    r->response.status = 500;
    r->response.content_type = "text/plain; charset=utf-8";
    mu_buf_addf(&r->out,
                "The answer has %zu bytes, a client agent passes on at most %u: ask a server",
                bytes, MU_RPC_MESSAGE_MAX - ENVELOPE_BYTES);
    r->response.body = mu_buf_span(&r->out);
}

static void answer(struct request *r)
{
    struct forwarded *f = r->sink_data;
    struct mu_header headers[RESPONSE_LIST_MAX];

    if (r->response.body.bytes > MU_RPC_MESSAGE_MAX - ENVELOPE_BYTES) {
        refuse_huge(r);
    }
    struct agent_http_response response = {
        .status = r->response.status,
        .headers = headers,
        .headers_count = response_head_forwarded(r, headers),
        .body = r->response.body,
    };

    if (f->is_answered != NULL) {
        *f->is_answered = true;
    }
    f->reply(f->data, MU_OK, &response, NULL);
    request_free(r);
}

static const struct request_sink sink = { .answer = answer };

void *front_forwarded(void *data, const struct agent_http_request *request, agent_http_fn *reply,
                      void *reply_data)
{
    struct front *f = data;
    struct request *r = request_new(&f->pool, &sink, NULL);
    struct forwarded *call = mu_arena_new(&r->arena, sizeof *call);
    bool is_answered = false;

    *call = (struct forwarded){ reply, reply_data, &is_answered };
    r->sink_data = call;
    r->is_forwarded = true;
    r->client = request->client;
    r->node = mu_arena_span(&r->arena, request->node);
    request_head(r, request->method, request->target, request->headers, request->headers_count);
    front_begin(f, r);
    r->content_length = request->body.bytes;
    if (request_body_takes(r, request->body.bytes)) { /* else front_serve() says why not */
        mu_buf_add_span(&r->body, request->body);
    }
    r->state = REQUEST_SERVING;
    front_serve(f, r);
    if (is_answered) {
        return NULL;
    }
    call->is_answered = NULL;
    return r;
}

void front_forwarded_cancel(void *data, void *running)
{
    struct request *r = running;

    (void)data;
    if (request_cancel(r)) {
        request_free(r);
    }
}
