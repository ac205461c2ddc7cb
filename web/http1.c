/* HTTP/1.1 on one connection: proto/h1 reads, one request at a time is served, answers go to
 * c->out as text.
 *
 * A body that is larger than its route allows is refused when its head is read if the peer asked
 * (Expect: 100-continue), else it is read and thrown away up to a bound, so that a client which
 * sends first and listens later gets to see the 413 instead of a reset connection.
 */
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "conn.h"

#define DISCARD_MAX (8U * 1024 * 1024) /* of a refused body; behind it the connection ends */

static bool on_head(void *data, const struct mu_h1_head *head);
static bool on_body(void *data, struct mu_span part);
static bool on_end(void *data);

static const struct mu_h1_events events = { .head = on_head, .body = on_body, .end = on_end };
static const struct mu_h1_options options = { .head_bytes_max = MU_HTTP_HEAD_MAX,
                                              .headers_count_max = MU_HTTP_HEADERS_MAX };

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

void http1_start(struct conn *c)
{
    c->h1 = mu_h1_new(MU_H1_SERVER, &options, &events, c);
}

void http1_deinit(struct conn *c)
{
    struct request *r = c->request;

    c->request = NULL;
    if (r != NULL && request_cancel(r)) {
        request_free(r);
    }
    mu_h1_free(c->h1);
    c->h1 = NULL;
}

void http1_stop(struct conn *c)
{
    if (c->request == NULL) {
        conn__end(c);
    }
}

/* -- requests in ------------------------------------------------------------------------------- */

static void serve(struct conn *c)
{
    c->request->state = REQUEST_SERVING;
    c->is_body_held = false;                   /* it is all here, or no more of it is taken */
    c->host->serve(c->host->data, c->request); /* may answer at once: then c->request is gone */
}

/* Refuse before the body came. */
static void refuse_early(struct conn *c)
{
    c->keeps_alive = false;
    c->discarded = 1; /* there is more to come: read on while ending */
    serve(c);
}

static bool on_head(void *data, const struct mu_h1_head *head)
{
    struct conn *c = data;
    struct request *r = request_new(c->host->pool, &sink, c);

    MU_ASSERT(c->request == NULL);
    c->request = r;
    c->minor = head->minor;
    c->keeps_alive = head->keeps_alive;
    c->discarded = 0;
    c->has_head_part = false;
    r->client = c->client;
    r->content_length = head->content_length;
    request_head(r, head->method, head->target, head->headers, head->headers_count);
    c->has_upgrade = head->upgrades_to_h2c && !head->has_body;
    if (c->has_upgrade) {
        mu_buf_clear(&c->h2_settings);
        mu_buf_add_span(&c->h2_settings, head->h2_settings);
    }
    c->host->begin(c->host->data, r);
    if (!request_body_takes(r, r->content_length) &&
        (head->expects_continue || r->content_length > DISCARD_MAX)) {
        refuse_early(c);
        return false;
    }
    if (head->expects_continue && head->has_body) {
        mu_buf_add_text(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
        c->host->touch(c->host->touch_data, c);
    }
    return true;
}

static bool on_body(void *data, struct mu_span part)
{
    struct conn *c = data;

    conn__body(c, c->request, part, &c->discarded);
    if (c->discarded > DISCARD_MAX) {
        refuse_early(c);
        return false;
    }
    return true;
}

/* Goes on with the next request at once only if this one is answered already, and not for ever: a
 * pipeline shares the turn with everybody else. */
static bool on_end(void *data)
{
    struct conn *c = data;

    if (c->has_upgrade) {
        return false; /* http1_feed() changes the protocol, then serves */
    }
    c->discarded = 0;
    serve(c);
    return c->request == NULL && c->state == CONN_H1 && !conn__is_clogged(c) &&
           c->turn_answers < MU_HTTP_PIPELINE_MAX;
}

/* -- bytes in ---------------------------------------------------------------------------------- */

/* What no request can be made of: say so and end. */
static void refuse_bytes(struct conn *c, const struct mu_err *err)
{
    struct request *r = c->request != NULL ? c->request : request_new(c->host->pool, &sink, c);

    c->request = r;
    c->minor = 1;
    c->keeps_alive = false;
    c->discarded = 1;
    r->client = c->client;
    r->route = NULL;
    r->state = REQUEST_SERVING;
    answer_textf(r, mu_h1_status(c->h1), "%u %s: %s", mu_h1_status(c->h1),
                 mu_http_reason(mu_h1_status(c->h1)), err->text);
}

static void upgrade(struct conn *c)
{
    struct request *r = c->request;

    c->has_upgrade = false;
    if (!http2_upgrade(c)) {
        c->discarded = 0;
        serve(c); /* settings that make no sense: as if it had not been asked for */
        return;
    }
    MU_ASSERT(c->request == NULL);
    r->state = REQUEST_SERVING;
    c->host->serve(c->host->data, r);
}

size_t http1_feed(struct conn *c, struct mu_span bytes)
{
    size_t total = 0;

    while (total < bytes.bytes && c->state == CONN_H1 && !conn__is_clogged(c) &&
           (c->request == NULL || c->request->state == REQUEST_READING)) {
        struct mu_err err = MU_ERR_NONE;
        size_t used = 0;

        if (c->turn_answers >= MU_HTTP_PIPELINE_MAX) {
            c->host->touch(c->host->touch_data, c); /* the rest in the next turn */
            break;
        }
        if (c->request != NULL || !c->has_head_part) {
            c->since_ms = c->host->now_ms;
        }
        c->has_head_part = c->request == NULL;
        if (mu_h1_feed(c->h1, mu_span_sub(bytes, total, bytes.bytes), &used, &err) != MU_OK) {
            refuse_bytes(c, &err);
            return total;
        }
        total += used;
        if (c->has_upgrade && c->request != NULL && c->request->state == REQUEST_READING) {
            upgrade(c);
        }
    }
    return total;
}

/* -- answers out ------------------------------------------------------------------------------- */

static void answer(struct request *r)
{
    struct conn *c = r->sink_data;

    MU_ASSERT(c->request == r);
    c->request = NULL;
    c->keeps_alive = c->keeps_alive && !c->is_stopping;
    conn__admit(c, r);
    response_head_h1(c->host->style, r, c->keeps_alive, c->minor, c->host->wall_s, &c->out);
    if (r->method != WEB_HEAD) {
        mu_buf_add_span(&c->out, r->response.body);
    }
    request_free(r);
    c->turn_answers++;
    c->since_ms = c->host->now_ms;
    c->has_head_part = false;
    if (!c->keeps_alive) {
        conn__end(c);
    }
    c->host->touch(c->host->touch_data, c);
}

/* -- answers in pieces --------------------------------------------------------------------------
 */

static void stream_head(struct request *r)
{
    struct conn *c = r->sink_data;

    MU_ASSERT(c->request == r);
    /* HTTP/1.0 knows an end that was not announced by the close */
    c->keeps_alive = c->keeps_alive && (c->minor > 0 || r->response.has_length);
    response_head_h1(c->host->style, r, c->keeps_alive, c->minor, c->host->wall_s, &c->out);
    c->host->touch(c->host->touch_data, c);
}

static void stream_part(struct request *r, struct mu_span bytes)
{
    struct conn *c = r->sink_data;

    if (c->state == CONN_ENDING) {
        return; /* the client has gone: nothing may keep the connection */
    }
    bool is_chunked = c->minor > 0 && !r->response.has_length;

    if (is_chunked) {
        mu_buf_addf(&c->out, "%zx\r\n", bytes.bytes);
    }
    mu_buf_add_span(&c->out, bytes);
    if (is_chunked) {
        mu_buf_add(&c->out, "\r\n", 2);
    }
    c->host->touch(c->host->touch_data, c);
}

static size_t stream_unsent(const struct request *r)
{
    const struct conn *c = r->sink_data;

    return c->out.bytes + c->unsent;
}

static void stream_close(struct request *r)
{
    struct conn *c = r->sink_data;

    MU_ASSERT(c->request == r);
    c->request = NULL;
    if (c->state != CONN_ENDING && c->minor > 0 && !r->response.has_length) {
        mu_buf_add_text(&c->out, "0\r\n\r\n");
    }
    request_free(r);
    c->since_ms = c->host->now_ms;
    if (!c->keeps_alive || c->is_stopping) {
        conn__end(c);
    }
    c->host->touch(c->host->touch_data, c);
}

static void stream_look(struct request *r)
{
    struct conn *c = r->sink_data;

    c->has_watched = true;
    c->host->touch(c->host->touch_data, c);
}

/* Closed before the length that was announced, or the last chunk. */
static void stream_abort(struct request *r)
{
    struct conn *c = r->sink_data;

    MU_ASSERT(c->request == r);
    c->request = NULL;
    request_free(r);
    conn__end(c);
}
