/* The life of a request between its protocol and its handler. Nothing here knows sockets; what a
 * request waits for is recalled through r->pending.
 */
#include "request.h"

#include <string.h>

#include "agent/operator.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "route.h"
#include "status.h"

/* Of a free request, what larger buffers than these shrink to: one large answer must not stay. */
#define KEPT_BYTES_MAX 8192U
#define FREE_MAX       128

/* -- methods ----------------------------------------------------------------------------------- */

static const struct {
    enum web_method method;
    const char *text;
} methods[] = {
    // clang-format off
    { WEB_GET, "GET" }, { WEB_PUT, "PUT" }, { WEB_POST, "POST" },
    { WEB_DELETE, "DELETE" }, { WEB_OPTIONS, "OPTIONS" }, { WEB_HEAD, "HEAD" },
}; // clang-format on

const char *web_method_text(enum web_method method)
{
    for (size_t i = 0; i < MU_LEN(methods); i++) {
        if (methods[i].method == method) {
            return methods[i].text;
        }
    }
    return "";
}

enum web_method web_method_of(struct mu_span text)
{
    for (size_t i = 0; i < MU_LEN(methods); i++) {
        if (mu_span_eq_text(text, methods[i].text)) {
            return methods[i].method;
        }
    }
    return WEB_OTHER;
}

/* -- pool -------------------------------------------------------------------------------------- */

void request_pool_init(struct request_pool *p)
{
    *p = (struct request_pool){ .free_count = 0 };
    mu_list_init(&p->free);
    held_init(&p->held);
}

static void destroy(struct request *r)
{
    mu_buf_deinit(&r->body);
    mu_buf_deinit(&r->out);
    mu_arena_deinit(&r->arena);
    mu_free(r);
}

void request_pool_deinit(struct request_pool *p)
{
    MU_ASSERT(p->used_count == 0);
    for (struct mu_link *link = mu_list_pop_front(&p->free); link != NULL;
         link = mu_list_pop_front(&p->free)) {
        destroy(MU_CONTAINER(link, struct request, link));
    }
    p->free_count = 0;
}

struct request *request_new(struct request_pool *p, const struct request_sink *sink, void *data)
{
    struct mu_link *link = mu_list_pop_front(&p->free);
    struct request *r;

    if (link != NULL) {
        r = MU_CONTAINER(link, struct request, link);
        p->free_count--;
    } else {
        r = mu_new(sizeof *r);
        mu_arena_init(&r->arena, 0);
        r->pool = p;
    }
    p->used_count++;
    r->sink = sink;
    r->sink_data = data;
    r->began_ns = mu_log_on(MU_DEBUG) ? mu_clock_ns() : 0;
    return r;
}

static void buf_shrink(struct mu_buf *b)
{
    if (b->room > KEPT_BYTES_MAX) {
        mu_buf_deinit(b);
    } else {
        mu_buf_clear(b);
    }
}

void request_free(struct request *r)
{
    if (r == NULL) {
        return;
    }
    struct request_pool *p = r->pool;

    MU_ASSERT(r->pending == NULL && !deadline_is_set(&r->deadline) && !mu_list_linked(&r->link));
    catalog_ready_release(r->response.ready);
    agent_upload_end(r->upload);
    if (r->holds_archive) {
        MU_ASSERT(p->archives > 0);
        p->archives--;
    }
    MU_ASSERT(p->used_count > 0 && p->bodies_bytes >= r->body_counted);
    p->used_count--;
    p->bodies_bytes -= r->body_counted;
    if (p->free_count >= FREE_MAX) {
        destroy(r);
        return;
    }
    buf_shrink(&r->body);
    buf_shrink(&r->out);
    mu_arena_reset(&r->arena);
    struct request kept = { .body = r->body, .out = r->out, .arena = r->arena, .pool = p };

    *r = kept;
    mu_list_push_front(&p->free, &r->link);
    p->free_count++;
}

/* -- what came --------------------------------------------------------------------------------- */

static bool body_is_refused(const struct request *r)
{
    return r->verdict == VERDICT_TOO_BIG || r->verdict == VERDICT_BUSY;
}

/* False: there is no room for so much. */
static bool body_count(struct request *r, uint64_t bytes)
{
    struct request_pool *p = r->pool;

    if (r->holds_archive || bytes <= r->body_counted) {
        return true;
    }
    if (bytes - r->body_counted > MU_HTTP_BODIES_MAX - p->bodies_bytes) {
        return false;
    }
    p->bodies_bytes += bytes - r->body_counted;
    p->bodies_most = p->bodies_bytes > p->bodies_most ? p->bodies_bytes : p->bodies_most;
    r->body_counted = bytes;
    return true;
}

bool request_body_takes(struct request *r, uint64_t bytes)
{
    if (body_is_refused(r)) {
        return false;
    }
    if (bytes > r->body_bytes_max) {
        r->verdict = VERDICT_TOO_BIG;
    } else if (!body_count(r, bytes)) {
        r->verdict = VERDICT_BUSY;
    }
    return !body_is_refused(r);
}

/* The headers that somebody here asks for; all others are dropped at the door. */
static const struct {
    const char *name;
    size_t offset;
} kept_headers[] = {
    // clang-format off
    { "accept",             offsetof(struct request, accept) },
    { "authorization",      offsetof(struct request, authorization) },
    { "cache-control",      offsetof(struct request, cache_control) },
    { "content-type",       offsetof(struct request, content_type) },
    { "x-consul-namespace", offsetof(struct request, ns) },
    { "x-consul-token",     offsetof(struct request, token) },
    { "x-muster-request-id", offsetof(struct request, request_id) },
}; // clang-format on

static struct mu_span *kept_header(struct request *r, struct mu_span name)
{
    for (size_t i = 0; i < MU_LEN(kept_headers); i++) {
        if (mu_span_eq_fold(name, mu_span_text(kept_headers[i].name))) {
            return (struct mu_span *)(void *)((char *)r + kept_headers[i].offset);
        }
    }
    return NULL;
}

void request_head(struct request *r, struct mu_span method, struct mu_span target,
                  const struct mu_header *headers, size_t headers_count)
{
    r->method = web_method_of(method);
    r->method_text = mu_arena_span(&r->arena, method);
    r->target = mu_arena_span(&r->arena, target);
    for (size_t i = 0; i < headers_count; i++) {
        struct mu_span *to = kept_header(r, headers[i].name);

        if (to != NULL && to->bytes == 0) { /* the first one counts, as in the reference */
            *to = mu_arena_span(&r->arena, headers[i].value);
        }
    }
}

bool request_cancel(struct request *r)
{
    MU_ASSERT(r->state == REQUEST_READING || r->state == REQUEST_SERVING);
    r->sink = NULL;
    r->sink_data = NULL;
    if (r->pending == NULL) {
        return true;
    }
    if (r->pending->cancel == NULL) {
        r->state = REQUEST_ORPHANED;
        return false;
    }
    r->pending->cancel(r);
    MU_ASSERT(r->pending == NULL);
    return true;
}

/* -- the access log (agent-behaviour 16) ------------------------------------------------------- */

/* The target with the values of ?token= hidden. */
static struct mu_span logged_target(struct request *r)
{
    struct mu_buf to = MU_BUF_NONE;
    struct mu_span rest;
    bool has_query = false;
    struct mu_span path = mu_span_split(r->target, '?', &rest, &has_query);

    if (!has_query) {
        return r->target;
    }
    mu_buf_add_span(&to, path);
    for (char before = '?'; rest.bytes > 0; before = '&') {
        struct mu_span pair = mu_span_split(rest, '&', &rest, NULL);

        mu_buf_add_byte(&to, (uint8_t)before);
        if (mu_span_starts(pair, MU_SPAN_LIT("token="))) {
            pair = MU_SPAN_LIT("token=<hidden>");
        }
        mu_buf_add_span(&to, pair);
    }
    struct mu_span text = mu_arena_span(&r->arena, mu_buf_span(&to));

    mu_buf_deinit(&to);
    return text;
}

static void log_finished(struct request *r)
{
    char from[MU_ADDR_TEXT_MAX] = "@"; /* a unix socket */
    char latency[MU_DURATION_TEXT_MAX] = "";
    unsigned status = r->response.status;
    bool is_failure = status == 500 || status == 507; /* 503 is the health of a service */

    if (r->is_forwarded || !mu_log_on(is_failure ? MU_ERROR : MU_DEBUG)) {
        return; /* a forwarded one is logged where it came in */
    }
    if (r->client.ip_bytes > 0) {
        mu_addr_text(&r->client, from);
    }
    if (is_failure) {
        mu_log(MU_ERROR, "agent.http", "Request error", mu_kv_span("method", r->method_text),
               mu_kv_span("url", logged_target(r)), mu_kv("from", from),
               mu_kv_span("error", r->response.body));
    }
    if (r->began_ns > 0) {
        mu_duration_text((int64_t)(mu_clock_ns() - r->began_ns), latency);
        mu_log(MU_DEBUG, "agent.http", "Request finished", mu_kv_span("method", r->method_text),
               mu_kv_span("url", logged_target(r)), mu_kv("from", from), mu_kv("latency", latency));
    }
}

/* -- answers ----------------------------------------------------------------------------------- */

void response_reset(struct request *r)
{
    catalog_ready_release(r->response.ready);
    r->response = (struct response){ .status = 0 };
    mu_buf_clear(&r->out);
}

void response_header(struct request *r, const char *name, struct mu_span value)
{
    struct response *p = &r->response;

    MU_ASSERT(p->extra_count < RESPONSE_EXTRA_MAX);
    p->extra[p->extra_count++] = (struct mu_header){ mu_span_text(name), value };
}

void request_answer(struct request *r)
{
    MU_ASSERT(r->pending == NULL);
    MU_ASSERT(r->response.status != 0);
    if (r->state == REQUEST_ORPHANED) {
        request_free(r);
        return;
    }
    MU_ASSERT(r->state == REQUEST_SERVING);
    r->state = REQUEST_ANSWERED;
    r->pool->turn_bytes += r->response.body.bytes;
    log_finished(r);
    r->sink->answer(r);
}

void stream_begin(struct request *r)
{
    MU_ASSERT(r->state == REQUEST_SERVING && r->response.status != 0);
    MU_ASSERT(r->sink->stream_begin != NULL); /* such routes are never forwarded */
    r->response.is_stream = true;
    r->sink->stream_begin(r);
}

void stream_more(struct request *r, struct mu_span bytes)
{
    MU_ASSERT(r->response.is_stream && bytes.bytes > 0); /* an empty chunk would be the end */
    r->sink->stream_more(r, bytes);
}

size_t stream_waiting(const struct request *r)
{
    return r->sink->stream_waiting(r);
}

bool stream_is_possible(const struct request *r)
{
    return r->sink->stream_begin != NULL;
}

void stream_when_drained(struct request *r, void (*drained)(struct request *r))
{
    MU_ASSERT(r->response.is_stream && r->drained == NULL);
    r->drained = drained;
    r->sink->stream_watch(r);
}

void stream_break(struct request *r)
{
    MU_ASSERT(r->response.is_stream && r->pending == NULL);
    r->state = REQUEST_ANSWERED;
    r->sink->stream_break(r);
}

void stream_end(struct request *r)
{
    MU_ASSERT(r->response.is_stream && r->pending == NULL);
    r->state = REQUEST_ANSWERED;
    log_finished(r);
    r->sink->stream_end(r);
}

void response_json(struct request *r, struct mu_json_out *o)
{
    mu_buf_clear(&r->out);
    mu_json_out_init(o, &r->out, r->is_pretty);
}

void response_json_end(struct request *r, struct mu_json_out *o)
{
    mu_json_out_end(o);
    r->response.content_type = "application/json";
    r->response.body = mu_buf_span(&r->out);
    if (r->response.status == 0) {
        r->response.status = 200;
    }
}

void answer_json(struct request *r, struct mu_json_out *o)
{
    response_json_end(r, o);
    request_answer(r);
}

void answer_bool(struct request *r, bool value)
{
    struct mu_json_out o;

    response_json(r, &o);
    mu_json_put_bool(&o, value);
    answer_json(r, &o);
}

void answer_empty(struct request *r, unsigned status)
{
    r->response.status = status;
    request_answer(r);
}

static void answer_body(struct request *r, unsigned status)
{
    r->response.status = status;
    r->response.content_type = "text/plain; charset=utf-8";
    r->response.body = mu_buf_span(&r->out);
    request_answer(r);
}

void answer_text(struct request *r, unsigned status, const char *text)
{
    mu_buf_clear(&r->out);
    mu_buf_add_text(&r->out, text);
    answer_body(r, status);
}

void answer_textf(struct request *r, unsigned status, const char *fmt, ...)
{
    va_list args;

    mu_buf_clear(&r->out);
    va_start(args, fmt);
    mu_buf_vaddf(&r->out, fmt, args);
    va_end(args);
    answer_body(r, status);
}

void answer_code(struct request *r, enum mu_code code, const struct mu_err *err)
{
    const char *text = err != NULL && err->text[0] != '\0' ? err->text : status_text(code);

    MU_ASSERT(code != MU_OK);
    answer_text(r, status_http_result(code, text), text);
}
