/* HTTP/2 on one connection: proto/h2 reads and writes frames, each stream carries one request.
 *
 * The request is the stream's data from its head until it is answered; `closed` before that means
 * that the client gave up.
 */
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "conn.h"

#define WINDOW_BYTES     (256U * 1024) /* per stream: a value of the default limit in two rounds */
#define CONNECTION_BYTES (4U * 1024 * 1024)
#define PULL_BYTES       (128U * 1024) /* at once; the rest when the socket took it */

static void on_headers(void *data, int32_t stream, const struct mu_header *headers, size_t count,
                       bool is_trailers, bool has_ended);
static void on_body(void *data, int32_t stream, struct mu_span part);
static void on_end(void *data, int32_t stream);
static void on_closed(void *data, int32_t stream, uint32_t error_code);

static const struct mu_h2_events events = {
    .headers = on_headers, .body = on_body, .end = on_end, .closed = on_closed
};
static const struct mu_h2_options options = {
    .streams_max = MU_H2_STREAMS_MAX,
    .window_bytes = WINDOW_BYTES,
    .connection_window_bytes = CONNECTION_BYTES,
    .headers_bytes_max = MU_HTTP_HEAD_MAX,
};

static void answer(struct request *r);

static void stream_head(struct request *r);
static void stream_part(struct request *r, struct mu_span bytes);
static void stream_close(struct request *r);
static void stream_abort(struct request *r);
static void stream_look(struct request *r);
static size_t stream_unsent(const struct request *r);

static const struct request_sink sink = { .answer = answer,
                                          .stream_begin = stream_head,
                                          .stream_more = stream_part,
                                          .stream_end = stream_close,
                                          .stream_break = stream_abort,
                                          .stream_watch = stream_look,
                                          .body_moved = conn__body_moved,
                                          .stream_waiting = stream_unsent };

void http2_start(struct conn *c)
{
    c->h2 = mu_h2_new(MU_H2_SERVER, &options, &events, c);
}

void http2_deinit(struct conn *c)
{
    struct mu_link *link;

    if (c->h2 == NULL) {
        return;
    }
    while ((link = mu_list_pop_front(&c->streams)) != NULL) {
        struct request *r = MU_CONTAINER(link, struct request, stream_link);

        if (request_cancel(r)) {
            request_free(r);
        }
    }
    mu_h2_free(c->h2);
    c->h2 = NULL;
}

void http2_stop(struct conn *c)
{
    mu_h2_goaway(c->h2);
}

/* -- streams in -------------------------------------------------------------------------------- */

static void adopt(struct conn *c, struct request *r, int32_t stream)
{
    r->stream = stream;
    r->client = c->client;
    mu_list_push_back(&c->streams, &r->stream_link);
    c->streams_count++;
    mu_h2_set_data(c->h2, stream, r);
}

static void release(struct conn *c, struct request *r)
{
    mu_h2_set_data(c->h2, r->stream, NULL);
    mu_list_remove(&r->stream_link);
    c->is_body_held = c->is_body_held && r->upload == NULL;
    c->streams_count--;
    c->since_ms = c->host->now_ms;
}

static struct mu_span pseudo(const struct mu_header *headers, size_t count, const char *name)
{
    for (size_t i = 0; i < count && headers[i].name.bytes > 0 && headers[i].name.data[0] == ':';
         i++) {
        if (mu_span_eq_text(headers[i].name, name)) {
            return headers[i].value;
        }
    }
    return MU_SPAN_NONE;
}

static void on_headers(void *data, int32_t stream, const struct mu_header *headers, size_t count,
                       bool is_trailers, bool has_ended)
{
    struct conn *c = data;

    (void)has_ended; /* `end` follows in either case */
    if (is_trailers) {
        return;
    }
    struct request *r = request_new(c->host->pool, &sink, c);

    adopt(c, r, stream);
    request_head(r, pseudo(headers, count, ":method"), pseudo(headers, count, ":path"), headers,
                 count);
    for (size_t i = 0; i < count; i++) {
        if (mu_span_eq_text(headers[i].name, "content-length") &&
            !mu_span_u64(headers[i].value, &r->content_length)) {
            r->content_length = 0; /* nghttp2 has checked it against the frames */
        }
    }
    c->host->begin(c->host->data, r);
    (void)request_body_takes(r, r->content_length);
}

static void on_body(void *data, int32_t stream, struct mu_span part)
{
    struct conn *c = data;
    struct request *r = mu_h2_data(c->h2, stream);
    uint64_t discarded = 0;

    if (r != NULL) { /* else it is refused already, or answered */
        conn__body(c, r, part, &discarded);
    }
}

static void on_end(void *data, int32_t stream)
{
    struct conn *c = data;
    struct request *r = mu_h2_data(c->h2, stream);

    if (r != NULL) {
        r->state = REQUEST_SERVING;
        c->is_body_held = false; /* all of it is here; another stream's next part says it again */
        c->host->serve(c->host->data, r);
    }
}

static void on_closed(void *data, int32_t stream, uint32_t error_code)
{
    struct conn *c = data;
    struct request *r = mu_h2_data(c->h2, stream);

    (void)error_code;
    if (r == NULL) {
        return; /* answered: this is the end of the answer */
    }
    release(c, r);
    if (request_cancel(r)) {
        request_free(r);
    }
}

/* -- bytes ------------------------------------------------------------------------------------- */

bool http2_upgrade(struct conn *c)
{
    struct mu_err err = MU_ERR_NONE;
    struct request *r = c->request;

    http2_start(c);
    if (mu_h2_upgrade(c->h2, mu_buf_span(&c->h2_settings), r->method == WEB_HEAD, &err) != MU_OK) {
        mu_h2_free(c->h2);
        c->h2 = NULL;
        return false;
    }
    mu_buf_add_text(&c->out, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                             "Upgrade: h2c\r\n\r\n");
    c->state = CONN_H2;
    c->request = NULL;
    r->sink = &sink;
    adopt(c, r, 1);
    c->host->touch(c->host->touch_data, c);
    return true;
}

void http2_feed(struct conn *c, struct mu_span bytes)
{
    struct mu_err err = MU_ERR_NONE;

    c->since_ms = c->host->now_ms;
    if (bytes.bytes > 0 && mu_h2_feed(c->h2, bytes, &err) != MU_OK) {
        (void)mu_h2_pull(c->h2, &c->out, CONN_OUT_MAX); /* GOAWAY with the reason */
        conn__end(c);
        return;
    }
    c->host->touch(c->host->touch_data, c);
}

bool http2_pull(struct conn *c)
{
    size_t pulled = mu_h2_pull(c->h2, &c->out, PULL_BYTES);

    c->backlog = c->backlog > pulled ? c->backlog - pulled : 0;
    if (pulled > 0) {
        c->since_ms = c->host->now_ms;
    } else {
        c->backlog = 0; /* flow control holds the rest: the peer decides, and it is bounded by us */
    }
    if (pulled == 0 && mu_h2_wants_close(c->h2)) {
        conn__end(c);
    }
    return pulled > 0;
}

static void answer(struct request *r)
{
    struct conn *c = r->sink_data;
    struct mu_header headers[RESPONSE_LIST_MAX];

    conn__admit(c, r);
    size_t count = response_head_h2(c->host->style, r, c->host->wall_s, headers);
    bool has_body = r->response.body.bytes > 0 && r->method != WEB_HEAD;

    mu_h2_respond(c->h2, r->stream, headers, count, !has_body);
    if (has_body) {
        mu_h2_send(c->h2, r->stream, r->response.body, true);
        c->backlog += r->response.body.bytes;
    }
    release(c, r);
    request_free(r);
    c->host->touch(c->host->touch_data, c);
}

/* -- answers in pieces --------------------------------------------------------------------------
 */

static void stream_head(struct request *r)
{
    struct conn *c = r->sink_data;
    struct mu_header headers[RESPONSE_LIST_MAX];
    size_t count = response_head_h2(c->host->style, r, c->host->wall_s, headers);

    mu_h2_respond(c->h2, r->stream, headers, count, false);
    c->host->touch(c->host->touch_data, c);
}

static void stream_part(struct request *r, struct mu_span bytes)
{
    struct conn *c = r->sink_data;

    mu_h2_send(c->h2, r->stream, bytes, false);
    c->host->touch(c->host->touch_data, c);
}

static size_t stream_unsent(const struct request *r)
{
    const struct conn *c = r->sink_data;

    return mu_h2_queued(c->h2, r->stream) + c->out.bytes + c->unsent;
}

static void stream_close(struct request *r)
{
    struct conn *c = r->sink_data;

    mu_h2_send(c->h2, r->stream, MU_SPAN_NONE, true);
    release(c, r);
    request_free(r);
    c->host->touch(c->host->touch_data, c);
}

static void stream_look(struct request *r)
{
    struct conn *c = r->sink_data;

    c->has_watched = true;
    c->host->touch(c->host->touch_data, c);
}

static void stream_abort(struct request *r)
{
    struct conn *c = r->sink_data;

    mu_h2_reset(c->h2, r->stream, MU_H2_INTERNAL_ERROR);
    release(c, r);
    request_free(r);
    c->host->touch(c->host->touch_data, c);
}
