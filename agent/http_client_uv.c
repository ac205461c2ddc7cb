/* One HTTP request out.
 *
 *   BEGUN --> DIALING --> TALKING --> DONE
 *     ^-- a redirect ---------'
 *
 * Each connection is a `talk` of its own, which outlives its client until libuv has closed it; it
 * points back to the client, or nowhere when it was given up.
 *
 * Everything begins on a timer of zero: so no callback comes from inside start. The same timer is
 * the deadline for everything together afterwards, and closing it is what frees the client.
 */
#include "agent/http_client.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>
#include <uv.h>

#include "base/addr.h"
#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "dial.h"
#include "url.h"

#define CLIENT_MAGIC 0x68747470U
#define READ_BYTES   (16U * 1024)
#define HEADERS_MAX  256 /* of a response: twice what our own server takes */
#define HEAD_BYTES   (64U * 1024)

enum state {
    CLIENT_BEGUN,
    CLIENT_DIALING,
    CLIENT_TALKING,
    CLIENT_DONE,
};

#define BIT(state) (1U << (unsigned)(state))

static const unsigned may_follow[] = {
    [CLIENT_BEGUN] = BIT(CLIENT_DIALING) | BIT(CLIENT_DONE),
    [CLIENT_DIALING] = BIT(CLIENT_TALKING) | BIT(CLIENT_DONE),
    [CLIENT_TALKING] = BIT(CLIENT_BEGUN) | BIT(CLIENT_DONE),
    [CLIENT_DONE] = 0,
};

struct talk {
    struct http_client *client; /* NULL: given up, waits for its close */
    uv_stream_t *stream;
    struct mu_addr peer; /* without an ip: a unix socket */
    uv_write_t write;
    struct mu_buf request;
    uint64_t sent; /* of request.source */
    uint8_t room[READ_BYTES];
};

struct http_client {
    uint32_t magic;
    enum state state;
    uv_loop_t *loop;
    uv_timer_t timer;
    http_client_fn *done;
    void *data;
    struct mu_arena arena; /* ends with the client */
    struct http_client_request request;
    struct url url;
    struct mu_span authorization; /* from the URL's userinfo; empty: none */
    unsigned redirects_count;

    struct dial *dial; /* while dialing, else NULL */
    struct talk *talk; /* while talking, else NULL */
    struct mu_h1 *h1;
    struct http_client_response response;
    struct mu_buf body;
    struct mu_span location; /* a redirect to be followed; data NULL: none */
    bool has_head, is_complete;
    struct mu_err err; /* why it failed */
};

static void hop_begin(struct http_client *c);

static struct http_client *client_of(void *data)
{
    struct http_client *c = data;

    MU_ASSERT(c->magic == CLIENT_MAGIC);
    return c;
}

static void move(struct http_client *c, enum state to)
{
    MU_ASSERT((may_follow[c->state] & BIT(to)) != 0);
    c->state = to;
}

/* -- the end ---------------------------------------------------------------------------------- */

/* `Get "http://a/": ` in front of what went wrong before an answer came. */
static void wrap_request(struct http_client *c)
{
    char method[32];
    struct mu_span shown = url_shown(&c->url, &c->arena);

    (void)snprintf(method, sizeof method, "%s", c->request.method);
    for (size_t i = 1; i < strlen(method); i++) {
        method[i] =
            method[i] >= 'A' && method[i] <= 'Z' ? (char)(method[i] + ('a' - 'A')) : method[i];
    }
    (void)mu_wrap(&c->err, c->err.code, "%s \"%.*s\"", method, MU_SPAN_FMT(shown));
}

static void on_talk_closed(uv_handle_t *handle)
{
    struct talk *t = handle->data;

    mu_buf_deinit(&t->request);
    mu_free(t->stream);
    mu_free(t);
}

/* Whatever connection there is. */
static void hang_up(struct http_client *c)
{
    if (c->dial != NULL) {
        dial_cancel(c->dial);
        c->dial = NULL;
    }
    if (c->talk != NULL) {
        c->talk->client = NULL;
        uv_close((uv_handle_t *)c->talk->stream, on_talk_closed);
        c->talk = NULL;
    }
    mu_h1_free(c->h1);
    c->h1 = NULL;
}

static void on_client_closed(uv_handle_t *handle)
{
    struct http_client *c = client_of(handle->data);

    c->magic = 0;
    mu_buf_deinit(&c->body);
    mu_arena_deinit(&c->arena);
    mu_free(c);
}

static void client_close(struct http_client *c)
{
    move(c, CLIENT_DONE);
    hang_up(c);
    uv_close((uv_handle_t *)&c->timer, on_client_closed);
}

/* Tell the owner; c->err says why when it failed. Not from inside a callback of the parser. */
static void finish(struct http_client *c, enum mu_code code)
{
    struct http_client_response *r = &c->response;
    size_t most = c->request.body_bytes_max;

    if (code != MU_OK && !c->has_head && c->url.text.bytes > 0) {
        wrap_request(c);
    }
    client_close(c);
    r->body = mu_buf_span(&c->body);
    if (c->request.keeps_tail && r->body.bytes > most) {
        r->body = mu_span_sub(r->body, r->body.bytes - most, most);
    }
    c->done(c->data, code, c->has_head ? r : NULL, &c->err);
}

static void fail(struct http_client *c, enum mu_code code, const char *what)
{
    finish(c, mu_fail(&c->err, code, "%s", what));
}

static void on_deadline(uv_timer_t *timer)
{
    struct http_client *c = client_of(timer->data);

    fail(c, MU_TIMEOUT,
         c->has_head
             ? "context deadline exceeded (Client.Timeout or context cancellation while "
               "reading body)"
             : "context deadline exceeded (Client.Timeout exceeded while awaiting headers)");
}

/* -- the answer ----------------------------------------------------------------------------- */

static bool is_redirect(unsigned status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static void head_keep(struct http_client *c, const struct mu_h1_head *head)
{
    struct mu_header *copy = mu_arena_array(&c->arena, head->headers_count, sizeof *copy);

    for (size_t i = 0; i < head->headers_count; i++) {
        copy[i].name = mu_arena_span(&c->arena, head->headers[i].name);
        copy[i].value = mu_arena_span(&c->arena, head->headers[i].value);
    }
    c->response = (struct http_client_response){
        .status = head->status,
        .reason = mu_arena_text(&c->arena, head->reason.data, head->reason.bytes),
        .headers = copy,
        .headers_count = head->headers_count,
    };
}

static bool on_head(void *data, const struct mu_h1_head *head)
{
    struct http_client *c = data;

    head_keep(c, head);
    if (c->request.redirects_max > 0 && c->request.target == NULL && is_redirect(head->status)) {
        for (size_t i = 0; i < head->headers_count; i++) {
            if (mu_span_eq_fold(head->headers[i].name, MU_SPAN_LIT("location"))) {
                c->location = c->response.headers[i].value;
                return false;
            }
        }
    }
    c->has_head = true;
    return true;
}

static bool on_body(void *data, struct mu_span part)
{
    struct http_client *c = data;
    size_t most = c->request.body_bytes_max;

    if (c->request.part != NULL && c->response.status == 200) {
        c->is_complete = !c->request.part(c->data, part);
        return !c->is_complete;
    }
    if (most == 0) {
        mu_buf_add_span(&c->body, part);
        return true;
    }
    c->response.is_cut = c->response.is_cut || c->body.bytes + part.bytes > most;
    if (!c->request.keeps_tail) {
        mu_buf_add_span(&c->body, mu_span_sub(part, 0, most - c->body.bytes));
        c->is_complete = c->response.is_cut; /* what would come is not wanted */
        return !c->is_complete;
    }
    mu_buf_add_span(&c->body, part);
    if (c->body.bytes > 2 * most) { /* half of it at a time, so that each byte moves once */
        mu_buf_drop(&c->body, c->body.bytes - most);
    }
    return true;
}

static bool on_end(void *data)
{
    struct http_client *c = data;

    c->is_complete = true;
    return false;
}

/* -- redirects ------------------------------------------------------------------------------ */

static bool is_header(const struct mu_header *h, const char *name)
{
    return mu_span_eq_fold(h->name, mu_span_text(name));
}

/* Secrets do not go to another host, nor does a Host header to an absolute URL. */
static void headers_filter(struct http_client *c, bool same_host, bool is_absolute)
{
    struct mu_header *kept = mu_arena_array(&c->arena, c->request.headers_count, sizeof *kept);
    size_t count = 0;

    for (size_t i = 0; i < c->request.headers_count; i++) {
        const struct mu_header *h = &c->request.headers[i];
        bool is_secret = is_header(h, "authorization") || is_header(h, "cookie") ||
                         is_header(h, "x-consul-token");

        if ((same_host || !is_secret) && !(is_absolute && is_header(h, "host"))) {
            kept[count++] = *h;
        }
    }
    c->request.headers = kept;
    c->request.headers_count = count;
}

static void follow(struct http_client *c)
{
    struct mu_span text = url_resolve(&c->url, c->location, &c->arena);
    bool is_absolute = url_is_absolute(c->location);
    unsigned status = c->response.status;
    struct mu_span host_before = c->url.host;

    if (c->redirects_count == c->request.redirects_max) {
        (void)mu_fail(&c->err, MU_LOST, "stopped after %u redirects", c->redirects_count);
        finish(c, MU_LOST);
        return;
    }
    c->redirects_count++;
    hang_up(c);
    move(c, CLIENT_BEGUN);
    if (status < 307 && strcmp(c->request.method, "GET") != 0 &&
        strcmp(c->request.method, "HEAD") != 0) {
        c->request.method = "GET";
        c->request.body = MU_SPAN_NONE;
    }
    c->request.url = (const char *)text.data;
    c->location = MU_SPAN_NONE;
    if (url_read(&c->url, text, NULL) == MU_OK) { /* else hop_begin() says why */
        bool same_host = mu_span_eq_fold(host_before, c->url.host);

        headers_filter(c, same_host, is_absolute);
        c->authorization = same_host ? c->authorization : MU_SPAN_NONE;
    }
    hop_begin(c);
}

/* -- talking -------------------------------------------------------------------------------- */

/* What the parser found out, acted upon outside of it. */
static void after_feed(struct http_client *c, enum mu_code code)
{
    if (c->location.data != NULL) {
        follow(c);
    } else if (c->is_complete) {
        finish(c, MU_OK);
    } else if (code != MU_OK) {
        (void)mu_wrap(&c->err, code, "malformed HTTP response");
        finish(c, code);
    }
}

/* The connection ended: the parser knows whether the answer did. */
static void on_eof(struct http_client *c)
{
    enum mu_code code = mu_h1_eof(c->h1, &c->err);

    if (c->is_complete) {
        finish(c, MU_OK);
        return;
    }
    MU_ASSERT(code != MU_OK);
    c->err.code = MU_LOST;
    finish(c, MU_LOST);
}

/* "read tcp 127.0.0.1:40000->127.0.0.1:80: read: connection reset by peer" */
static void on_read_failed(struct http_client *c, int uv_error)
{
    struct sockaddr_storage ss = { 0 };
    int bytes = sizeof ss;
    char local[MU_ADDR_TEXT_MAX] = "";
    char remote[MU_ADDR_TEXT_MAX] = "";
    char reason[DIAL_REASON_MAX];
    struct mu_addr addr = MU_ADDR_NONE;

    dial_reason(uv_error, reason);
    if (c->talk->peer.ip_bytes == 0) {
        (void)mu_fail(&c->err, MU_LOST, "read unix %s: read: %s", c->request.url + 7, reason);
        finish(c, MU_LOST);
        return;
    }
    if (uv_tcp_getsockname((uv_tcp_t *)c->talk->stream, (struct sockaddr *)&ss, &bytes) == 0 &&
        mu_addr_from_sockaddr((const struct sockaddr *)&ss, &addr)) {
        mu_addr_text(&addr, local);
    }
    mu_addr_text(&c->talk->peer, remote);
    (void)mu_fail(&c->err, MU_LOST, "read tcp %s->%s: read: %s", local, remote, reason);
    finish(c, MU_LOST);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct talk *t = handle->data;

    (void)suggested;
    *buf = uv_buf_init((char *)t->room, sizeof t->room);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct talk *t = stream->data;
    struct http_client *c = t->client;
    size_t used = 0;

    if (c == NULL || count == 0) {
        return;
    }
    if (count == UV_EOF) {
        on_eof(c);
    } else if (count < 0) {
        on_read_failed(c, (int)count);
    } else {
        after_feed(c, mu_h1_feed(c->h1, mu_span_of(buf->base, (size_t)count), &used, &c->err));
    }
}

#define SOURCE_BYTES (256U * 1024) /* of a body that comes from a source, at once */

static void on_written(uv_write_t *req, int status);

static void source_send(struct talk *t)
{
    const struct http_client_request *r = &t->client->request;
    uint64_t left = r->source_bytes - t->sent;
    size_t got = 0;

    mu_buf_clear(&t->request);
    if (left == 0) {
        return;
    }
    if (!r->source(t->client->data, mu_buf_reserve(&t->request, SOURCE_BYTES),
                   left < SOURCE_BYTES ? (size_t)left : SOURCE_BYTES, &got) ||
        got == 0) {
        fail(t->client, MU_IO, "the body of the request cannot be read");
        return;
    }
    t->request.bytes = got;
    t->sent += got;
    uv_buf_t buf = uv_buf_init((char *)t->request.data, (unsigned)got);

    (void)uv_write(&t->write, t->stream, &buf, 1, on_written); /* as below: reading tells */
}

static void on_written(uv_write_t *req, int status)
{
    struct talk *t = req->data;

    /* a peer may answer without reading everything: reading tells how it went */
    if (status == 0 && t->client != NULL && t->client->request.source != NULL) {
        source_send(t);
    }
}

static bool has_header(const struct http_client *c, const char *name)
{
    for (size_t i = 0; i < c->request.headers_count; i++) {
        if (is_header(&c->request.headers[i], name)) {
            return true;
        }
    }
    return false;
}

static void request_write(struct http_client *c, struct mu_buf *to)
{
    const struct http_client_request *r = &c->request;
    bool wants_length =
        r->body.bytes > 0 || strcmp(r->method, "PUT") == 0 || strcmp(r->method, "POST") == 0;
    struct mu_span target =
        r->target != NULL ? mu_span_text(r->target) : url_target(&c->url, &c->arena);

    mu_buf_addf(to, "%s %.*s HTTP/1.1\r\n", r->method, MU_SPAN_FMT(target));
    if (!has_header(c, "host")) {
        mu_h1_header(to, "Host",
                     c->url.authority.bytes > 0 ? c->url.authority : MU_SPAN_LIT("localhost"));
    }
    for (size_t i = 0; i < r->headers_count; i++) {
        const struct mu_header *h = &r->headers[i];

        if (!is_header(h, "content-length") && !is_header(h, "connection") &&
            !is_header(h, "transfer-encoding")) {
            mu_h1_header(to, (const char *)h->name.data, h->value);
        }
    }
    if (c->authorization.bytes > 0 && !has_header(c, "authorization")) {
        mu_h1_header(to, "Authorization", c->authorization);
    }
    if (wants_length) {
        mu_buf_addf(to, "Content-Length: %llu\r\n",
                    (unsigned long long)(r->source != NULL ? r->source_bytes : r->body.bytes));
    }
    mu_buf_add_text(to, "Connection: close\r\n\r\n");
    mu_buf_add_span(to, r->body);
}

static void talk_begin(struct http_client *c)
{
    static const struct mu_h1_events events = { on_head, on_body, on_end };
    struct talk *t = c->talk;
    struct mu_h1_options options = { .head_bytes_max = c->request.head_bytes_max,
                                     .headers_count_max = HEADERS_MAX };

    c->h1 = mu_h1_new(MU_H1_CLIENT, &options, &events, c);
    if (strcmp(c->request.method, "HEAD") == 0) {
        mu_h1_expect_no_body(c->h1);
    }
    request_write(c, &t->request);
    t->write.data = t;
    uv_buf_t buf = uv_buf_init((char *)t->request.data, (unsigned)t->request.bytes);
    int rc = uv_read_start(t->stream, on_alloc, on_read);

    if (rc == 0) {
        rc = uv_write(&t->write, t->stream, &buf, 1, on_written);
    }
    if (rc != 0) {
        on_read_failed(c, rc);
    }
}

static void on_dialed(void *data, enum mu_code code, struct uv_stream_s *stream,
                      const struct mu_addr *peer, const struct mu_err *err)
{
    struct http_client *c = client_of(data);

    c->dial = NULL;
    if (code != MU_OK) {
        c->err = *err;
        finish(c, code);
        return;
    }
    move(c, CLIENT_TALKING);
    c->talk = mu_new(sizeof *c->talk);
    c->talk->client = c;
    c->talk->stream = stream;
    c->talk->peer = *peer;
    stream->data = c->talk;
    talk_begin(c);
}

/* -- the beginning -------------------------------------------------------------------------- */

/* user:password of the URL, as Basic authentication. */
static struct mu_span authorization_of(struct http_client *c)
{
    struct mu_span plain = url_unescape(c->url.userinfo, &c->arena);
    size_t room = sodium_base64_ENCODED_LEN(plain.bytes, sodium_base64_VARIANT_ORIGINAL);
    char *text = mu_arena_new(&c->arena, sizeof "Basic " + room);

    if (c->url.userinfo.bytes == 0) {
        return MU_SPAN_NONE;
    }
    memcpy(text, "Basic ", 6);
    (void)sodium_bin2base64(text + 6, room, plain.data, plain.bytes,
                            sodium_base64_VARIANT_ORIGINAL);
    return mu_span_text(text);
}

/* What can be said before anything is sent. */
static enum mu_code request_check(struct http_client *c)
{
    if (!mu_http_is_token(mu_span_text(c->request.method))) {
        return mu_fail(&c->err, MU_INVALID, "net/http: invalid method \"%s\"", c->request.method);
    }
    for (size_t i = 0; i < c->request.headers_count; i++) {
        struct mu_span name = c->request.headers[i].name;

        if (!mu_http_is_token(name)) {
            return mu_fail(&c->err, MU_INVALID, "net/http: invalid header field name \"%.*s\"",
                           MU_SPAN_FMT(name));
        }
    }
    return MU_OK;
}

static enum mu_code url_check(struct http_client *c)
{
    enum mu_code rc = url_read(&c->url, mu_span_text(c->request.url), &c->err);

    if (rc != MU_OK) {
        c->url.text = MU_SPAN_NONE; /* the error names it already */
        return rc;
    }
    if (mu_span_eq_fold(c->url.scheme, MU_SPAN_LIT("https"))) {
        return mu_fail(&c->err, MU_UNSUPPORTED, "https is not supported yet");
    }
    if (!mu_span_eq_fold(c->url.scheme, MU_SPAN_LIT("http"))) {
        return mu_fail(&c->err, MU_UNSUPPORTED, "unsupported protocol scheme \"%.*s\"",
                       MU_SPAN_FMT(c->url.scheme));
    }
    if (c->url.host.bytes == 0) {
        return mu_fail(&c->err, MU_INVALID, "http: no Host in request URL");
    }
    return MU_OK;
}

/* One connection, to where c->request.url points. */
static void hop_begin(struct http_client *c)
{
    struct dial_to to = { .port = 80 };

    c->err = MU_ERR_NONE;
    if (c->request.target != NULL) {
        to.path = c->request.url + 7;
        c->url.text =
            mu_span_text(mu_arena_printf(&c->arena, "http://localhost%s", c->request.target));
    } else {
        enum mu_code rc = url_check(c);

        if (rc != MU_OK) {
            finish(c, rc);
            return;
        }
        to.host = c->url.host;
        to.port = c->url.port > 0 ? c->url.port : 80;
    }
    if (c->redirects_count == 0) {
        c->authorization = authorization_of(c);
    }
    move(c, CLIENT_DIALING);
    c->dial = dial_start(c->loop, &to, on_dialed, c);
}

static void on_begin(uv_timer_t *timer)
{
    struct http_client *c = client_of(timer->data);
    enum mu_code rc = request_check(c);

    if (rc != MU_OK) {
        finish(c, rc);
        return;
    }
    if (c->request.timeout_ms > 0) {
        uv_update_time(c->loop); /* a turn that took long is not this request's fault */
        (void)uv_timer_start(&c->timer, on_deadline, c->request.timeout_ms, 0);
    }
    hop_begin(c);
}

static void request_copy(struct http_client *c, const struct http_client_request *from)
{
    struct mu_header *headers = mu_arena_array(&c->arena, from->headers_count, sizeof *headers);

    c->request = *from;
    c->request.method = mu_arena_strdup(&c->arena, from->method);
    c->request.url = mu_arena_strdup(&c->arena, from->url);
    c->request.target = from->target != NULL ? mu_arena_strdup(&c->arena, from->target) : NULL;
    c->request.body = mu_arena_span(&c->arena, from->body);
    c->request.headers = headers;
    for (size_t i = 0; i < from->headers_count; i++) {
        headers[i].name = mu_arena_span(&c->arena, from->headers[i].name);
        headers[i].value = mu_arena_span(&c->arena, from->headers[i].value);
    }
    if (c->request.head_bytes_max == 0) {
        c->request.head_bytes_max = HEAD_BYTES;
    }
}

struct http_client *http_client_start(struct uv_loop_s *loop,
                                      const struct http_client_request *request,
                                      http_client_fn *done, void *data)
{
    struct http_client *c = mu_new(sizeof *c);

    MU_ASSERT(request->target == NULL || strncmp(request->url, "unix://", 7) == 0);
    MU_ASSERT(!request->keeps_tail || request->body_bytes_max > 0);
    c->magic = CLIENT_MAGIC;
    c->loop = loop;
    c->done = done;
    c->data = data;
    mu_arena_init(&c->arena, 0);
    request_copy(c, request);
    MU_ASSERT(uv_timer_init(loop, &c->timer) == 0);
    c->timer.data = c;
    (void)uv_timer_start(&c->timer, on_begin, 0, 0);
    return c;
}

void http_client_cancel(struct http_client *c)
{
    MU_ASSERT(c->magic == CLIENT_MAGIC && c->state != CLIENT_DONE);
    client_close(c);
}
