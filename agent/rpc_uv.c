/* rpc_uv.c - connections, streams and calls of agent-to-agent RPC.
 *
 * Out: rpc_dial() connects, sends Hello, and the link is up when the answer is welcome. A call
 * opens a stream with one message; the answer is the message that comes back, or the status in the
 * trailers. Calls made before the link is up wait in it.
 *
 * In: a connection must say Hello first, within HELLO_MS. After that each stream finds its method
 * by path; its messages go to the method's handler, which answers now or later.
 *
 * Bytes: nghttp2 (proto/h2.c) makes them; whoever caused some marks the connection dirty, and one
 * prepare handle writes all dirty connections once per turn, just before the loop would wait.
 *
 * Failure: a connection is closed in one place, conn_close(). Its streams end there: calls with
 * MU_LOST (or MU_UNREACHABLE when still waiting), requests through `gone`. Memory goes in the close
 * callback, so a callback may hang up the very connection that is being read.
 */
#include "rpc.h"

#include <stdio.h>
#include <string.h>

#include <uv.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "proto/grpc.h"
#include "proto/h2.h"
#include "rpc_codec.h"
#include "timer.h"

#define HELLO_MS    5000U /* a connection that has not said who it is by then is closed */
#define READ_BYTES  (64U * 1024)
#define WRITE_BYTES (256U * 1024) /* pulled for one write: keeps the turn and the buffer bounded \
                                   */
#define WINDOW_BYTES  (8U * 1024 * 1024)
#define HEADERS_BYTES (16U * 1024)
#define KEEPALIVE_S   30U
/* Partial messages a peer may make us hold; more closes the connection. */
#define HELD_BYTES_MAX (4U * MU_RPC_MESSAGE_MAX)

struct conn {
    uv_tcp_t tcp;
    uv_connect_t connecting;
    uv_write_t writing;
    struct rpc *rpc;
    struct rpc_link *link; /* outgoing, until it is hung up; else NULL */
    struct mu_h2 *h2;
    struct mu_link place, dirty;
    struct mu_link streams; /* struct stream.place */
    struct mu_buf out;      /* what a write in flight holds */
    struct timer hello_timer;
    struct rpc_identity peer;
    size_t held_bytes;
    bool is_incoming, is_known, is_writing, is_closing;
};

enum stream_kind { STREAM_CALL, STREAM_OUT, STREAM_IN };

/* What hangs on an HTTP/2 stream: the first member of each kind's struct. */
struct stream {
    enum stream_kind kind;
    int32_t id;
    struct conn *conn; /* NULL once it has ended */
    struct mu_link place;
    struct mu_grpc_in in;
};

struct rpc_call {
    struct stream s;
    struct rpc_link *link; /* while it waits for the link */
    struct mu_link waiting;
    enum rpc_method method;
    struct mu_buf message; /* while it waits */
    struct mu_buf answer;
    bool has_answer;
    bool has_status;
    enum mu_code code;
    struct mu_err err;
    uint64_t timeout_ms;
    struct timer timer;
    rpc_answer_fn *done;
    void *data;
};

struct rpc_stream {
    struct stream s;
    enum rpc_method method;
};

struct rpc_request {
    struct stream s;
    enum rpc_method method;
    bool is_answered;
    bool was_called;
    void *data;
};

struct rpc_link {
    struct conn *conn; /* NULL once it is down */
    struct rpc *rpc;
    bool has_expect, is_up;
    struct mu_id expect;
    struct mu_addr to;
    rpc_link_fn *changed;
    void *data;
    struct mu_link waiting; /* struct rpc_call.waiting */
    struct rpc_stream *streams[RPC_METHODS];
};

struct rpc {
    uv_tcp_t listener;
    uv_prepare_t flusher;
    struct timers *timers;
    struct rpc_options options;
    struct mu_link conns, dirty;
    size_t incoming;
    size_t handles; /* open uv handles; the last one to close ends us */
    bool is_listening, is_closing;
    struct mu_addr address;
    rpc_closed_fn *closed;
    void *closed_data;
    uint8_t read_buffer[READ_BYTES];
};

static const char *const method_paths[RPC_METHODS] = {
    // clang-format off
    [RPC_HELLO]      = "/muster.peer.Peer/Hello",
    [RPC_RAFT]       = "/muster.peer.Peer/Raft",
    [RPC_PROPOSE]    = "/muster.peer.Peer/Propose",
    [RPC_READ_INDEX] = "/muster.peer.Peer/ReadIndex",
    [RPC_SERVE]      = "/muster.peer.Peer/Serve",
    [RPC_RESOLVE]    = "/muster.peer.Peer/Resolve",
    [RPC_NODE]       = "/muster.peer.Peer/Node",
}; // clang-format on

const char *rpc_method_path(enum rpc_method method)
{
    return method_paths[method];
}

static bool method_find(struct mu_span path, enum rpc_method *out)
{
    for (size_t i = 0; i < RPC_METHODS; i++) {
        if (mu_span_eq_text(path, method_paths[i])) {
            *out = (enum rpc_method)i;
            return true;
        }
    }
    return false;
}

static void conn_close(struct conn *c, const char *why);
static void call_end(struct rpc_call *call, enum mu_code code, const char *text);
static bool call_send(struct rpc_call *call, struct conn *c, struct mu_span message);

/* -- writing ----------------------------------------------------------------------------------- */

static void conn_mark(struct conn *c)
{
    if (!c->is_closing && !mu_list_linked(&c->dirty)) {
        mu_list_push_back(&c->rpc->dirty, &c->dirty);
    }
}

static void conn_flush(struct conn *c);

static void on_written(uv_write_t *req, int status)
{
    struct conn *c = MU_CONTAINER(req, struct conn, writing);

    c->is_writing = false;
    mu_buf_clear(&c->out);
    if (c->is_closing) {
        return;
    }
    if (status < 0) {
        conn_close(c, uv_strerror(status));
        return;
    }
    conn_mark(c);
}

/* Write what is ready: at once as far as the kernel takes it, the rest in the background. */
static void conn_flush(struct conn *c)
{
    if (c->is_writing || c->is_closing || c->h2 == NULL) {
        return;
    }
    while (mu_h2_pull(c->h2, &c->out, WRITE_BYTES) > 0) {
        uv_buf_t buf = uv_buf_init((char *)c->out.data, (unsigned)c->out.bytes);
        int put = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);

        if (put < 0 && put != UV_EAGAIN) {
            conn_close(c, uv_strerror(put));
            return;
        }
        mu_buf_drop(&c->out, put > 0 ? (size_t)put : 0);
        if (c->out.bytes > 0) {
            buf = uv_buf_init((char *)c->out.data, (unsigned)c->out.bytes);
            c->is_writing = true;
            MU_ASSERT(uv_write(&c->writing, (uv_stream_t *)&c->tcp, &buf, 1, on_written) == 0);
            return;
        }
    }
    if (c->out.room > WRITE_BYTES) {
        mu_buf_deinit(&c->out); /* a burst is over: give its memory back */
    }
    if (mu_h2_wants_close(c->h2)) {
        conn_close(c, "the peer ended the connection");
    }
}

static void on_prepare(uv_prepare_t *handle)
{
    struct rpc *r = MU_CONTAINER(handle, struct rpc, flusher);
    struct mu_link *link;

    while ((link = mu_list_pop_front(&r->dirty)) != NULL) {
        conn_flush(MU_CONTAINER(link, struct conn, dirty));
    }
}

/* -- streams ----------------------------------------------------------------------------------- */

static void stream_attach(struct stream *s, struct conn *c, int32_t id, enum stream_kind kind)
{
    s->kind = kind;
    s->id = id;
    s->conn = c;
    mu_grpc_in_init(&s->in, MU_RPC_MESSAGE_MAX);
    mu_list_push_back(&c->streams, &s->place);
    mu_h2_set_data(c->h2, id, s);
}

static void stream_detach(struct stream *s)
{
    if (s->conn == NULL) {
        return;
    }
    s->conn->held_bytes -= s->in.part.bytes;
    mu_h2_set_data(s->conn->h2, s->id, NULL);
    mu_list_remove(&s->place);
    mu_grpc_in_deinit(&s->in);
    s->conn = NULL;
}

/* The asker or the connection is gone. */
static void request_gone(struct rpc_request *q)
{
    struct rpc *r = q->s.conn->rpc;
    const struct rpc_handler *h = &r->options.handlers[q->method];

    stream_detach(&q->s);
    if (!q->is_answered && q->was_called && h->gone != NULL) {
        h->gone(r->options.data, q);
    }
    mu_free(q);
}

static void out_stream_free(struct rpc_stream *o)
{
    struct rpc_link *link = o->s.conn->link;

    if (link != NULL) {
        link->streams[o->method] = NULL;
    }
    stream_detach(&o->s);
    mu_free(o);
}

static void stream_lost(struct stream *s)
{
    switch (s->kind) {
    case STREAM_CALL:
        call_end(MU_CONTAINER(s, struct rpc_call, s), MU_LOST, "connection lost");
        break;
    case STREAM_OUT: out_stream_free(MU_CONTAINER(s, struct rpc_stream, s)); break;
    case STREAM_IN: request_gone(MU_CONTAINER(s, struct rpc_request, s)); break;
    }
}

/* -- connections ------------------------------------------------------------------------------- */

static void rpc_ended(struct rpc *r)
{
    if (r->is_closing && r->handles == 0) {
        rpc_closed_fn *closed = r->closed;
        void *data = r->closed_data;

        mu_free(r);
        closed(data);
    }
}

static void on_conn_closed(uv_handle_t *handle)
{
    struct conn *c = MU_CONTAINER((uv_tcp_t *)handle, struct conn, tcp);
    struct rpc *r = c->rpc;

    mu_h2_free(c->h2);
    mu_buf_deinit(&c->out);
    mu_free(c);
    r->handles--;
    rpc_ended(r);
}

/* The link learns that it is down; whoever owns it hangs up. */
static void link_down(struct rpc_link *link, const char *why)
{
    link->conn = NULL;
    link->is_up = false;
    MU_LIST_EACH_SAFE(place, &link->waiting)
    {
        call_end(MU_CONTAINER(place, struct rpc_call, waiting), MU_UNREACHABLE, why);
    }
    link->changed(link->data, link, false, why);
}

static void conn_close(struct conn *c, const char *why)
{
    if (c->is_closing) {
        return;
    }
    c->is_closing = true;
    timer_cancel(&c->hello_timer);
    mu_list_remove(&c->place);
    mu_list_remove(&c->dirty);
    c->rpc->incoming -= c->is_incoming;
    while (!mu_list_empty(&c->streams)) {
        stream_lost(MU_CONTAINER(c->streams.next, struct stream, place));
    }
    uv_close((uv_handle_t *)&c->tcp, on_conn_closed);
    if (c->link != NULL) {
        struct rpc_link *link = c->link;

        c->link = NULL;
        link_down(link, why);
    }
}

static void on_hello_late(void *data)
{
    conn_close(data, "no Hello in time");
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    struct conn *c = MU_CONTAINER((uv_tcp_t *)stream, struct conn, tcp);
    struct mu_err err = MU_ERR_NONE;

    if (got == 0 || c->is_closing) {
        return;
    }
    if (got < 0) {
        conn_close(c, got == UV_EOF ? "EOF" : uv_strerror((int)got));
        return;
    }
    if (mu_h2_feed(c->h2, mu_span_of(buf->base, (size_t)got), &err) != MU_OK) {
        mu_log(MU_WARN, "agent.rpc", "Closing a connection that broke the protocol",
               mu_kv("error", err.text));
        conn_close(c, err.text);
        return;
    }
    conn_mark(c);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct conn *c = MU_CONTAINER((uv_tcp_t *)handle, struct conn, tcp);

    (void)suggested;
    *buf = uv_buf_init((char *)c->rpc->read_buffer, READ_BYTES);
}

static struct conn *conn_new(struct rpc *r, bool is_incoming)
{
    struct conn *c = mu_new(sizeof *c);

    c->rpc = r;
    c->is_incoming = is_incoming;
    mu_list_init(&c->streams);
    mu_list_push_back(&r->conns, &c->place);
    r->incoming += is_incoming;
    MU_ASSERT(uv_tcp_init(r->listener.loop, &c->tcp) == 0);
    r->handles++;
    return c;
}

/* -- events of HTTP/2 -------------------------------------------------------------------------- */

static struct mu_span header_find(const struct mu_header *headers, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (mu_span_eq_text(headers[i].name, name)) {
            return headers[i].value;
        }
    }
    return MU_SPAN_NONE;
}

/* Status and text of an answer, in its trailers or (without a body) in its head. */
static void call_status(struct rpc_call *call, const struct mu_header *headers, size_t count)
{
    struct mu_span status = header_find(headers, count, "grpc-status");
    struct mu_buf text = MU_BUF_NONE;

    if (status.bytes == 0) {
        return;
    }
    call->has_status = true;
    call->code = rpc_code_decode(status, header_find(headers, count, "mu-code"));
    mu_grpc_text_decode(&text, header_find(headers, count, "grpc-message"));
    if (call->code != MU_OK) {
        (void)mu_fail(&call->err, call->code, "%.*s", MU_SPAN_FMT(mu_buf_span(&text)));
    }
    mu_buf_deinit(&text);
}

/* A stream the peer opened: which method, and may it be called yet? */
static void request_begin(struct conn *c, int32_t id, const struct mu_header *headers, size_t count)
{
    enum rpc_method method = RPC_HELLO;
    bool is_known = method_find(header_find(headers, count, ":path"), &method);
    struct rpc_request *q = mu_new(sizeof *q);

    q->method = method;
    stream_attach(&q->s, c, id, STREAM_IN);
    if (!is_known || (method != RPC_HELLO && c->rpc->options.handlers[method].message == NULL)) {
        rpc_refuse(q, MU_UNSUPPORTED, "unknown method");
        return;
    }
    if (method != RPC_HELLO && !c->is_known) {
        rpc_refuse(q, MU_DENIED, "Hello comes first");
    }
}

static void on_headers(void *data, int32_t id, const struct mu_header *headers, size_t count,
                       bool is_trailers, bool has_ended)
{
    struct conn *c = data;
    struct stream *s = mu_h2_data(c->h2, id);

    (void)has_ended;
    if (c->is_closing) {
        return;
    }
    if (s == NULL) {
        if (c->is_incoming && !is_trailers) {
            request_begin(c, id, headers, count);
        }
        return;
    }
    if (s->kind == STREAM_CALL) {
        call_status(MU_CONTAINER(s, struct rpc_call, s), headers, count);
    }
}

static void hello_answer(struct rpc_request *q, struct mu_span message);

static enum mu_code on_message(void *data, struct mu_span message, struct mu_err *err)
{
    struct stream *s = data;

    if (s->conn == NULL) {
        return mu_fail(err, MU_CANCELLED, "ended meanwhile");
    }
    if (s->kind == STREAM_CALL) {
        struct rpc_call *call = MU_CONTAINER(s, struct rpc_call, s);

        if (!call->has_answer) {
            call->has_answer = true;
            mu_buf_add_span(&call->answer, message);
        }
        return MU_OK;
    }
    if (s->kind != STREAM_IN) {
        return MU_OK;
    }
    struct rpc_request *q = MU_CONTAINER(s, struct rpc_request, s);
    struct rpc *r = s->conn->rpc;

    if (q->is_answered || (q->was_called && q->method != RPC_RAFT)) {
        return MU_OK; /* one message makes a call; what follows is ignored */
    }
    q->was_called = true;
    if (q->method == RPC_HELLO) {
        hello_answer(q, message);
        return MU_OK;
    }
    r->options.handlers[q->method].message(r->options.data, q, message);
    return MU_OK;
}

static void on_body(void *data, int32_t id, struct mu_span part)
{
    struct conn *c = data;
    struct stream *s = mu_h2_data(c->h2, id);
    struct mu_err err = MU_ERR_NONE;

    if (c->is_closing || s == NULL) {
        return;
    }
    /* A handler may answer and so free the stream; its own struct stays until `closed`. */
    size_t held = s->in.part.bytes;

    if (mu_grpc_feed(&s->in, part, on_message, s, &err) != MU_OK) {
        if (s->conn != NULL && err.code != MU_CANCELLED) {
            conn_close(c, err.text);
        }
        return;
    }
    if (s->conn != NULL) {
        c->held_bytes += s->in.part.bytes - held;
        if (c->held_bytes > HELD_BYTES_MAX) {
            conn_close(c, "too many bytes of unfinished messages");
        }
    }
}

static void on_end(void *data, int32_t id)
{
    struct conn *c = data;
    struct stream *s = mu_h2_data(c->h2, id);

    if (c->is_closing || s == NULL || s->kind != STREAM_IN) {
        return;
    }
    struct rpc_request *q = MU_CONTAINER(s, struct rpc_request, s);

    if (!q->is_answered && (!q->was_called || q->method == RPC_RAFT)) {
        rpc_refuse(q, q->was_called ? MU_OK : MU_INVALID, "no message");
    }
}

static void call_closed(struct rpc_call *call, uint32_t error_code)
{
    if (error_code == MU_H2_REFUSED_STREAM) {
        call_end(call, MU_UNREACHABLE, "the peer takes no more streams");
    } else if (call->has_status && call->code != MU_OK) {
        call_end(call, call->code, NULL);
    } else if (call->has_status && call->has_answer) {
        call_end(call, MU_OK, NULL);
    } else {
        call_end(call, MU_LOST, "the answer broke off");
    }
}

static void on_closed(void *data, int32_t id, uint32_t error_code)
{
    struct conn *c = data;
    struct stream *s = mu_h2_data(c->h2, id);

    if (s == NULL) {
        return;
    }
    switch (s->kind) {
    case STREAM_CALL: call_closed(MU_CONTAINER(s, struct rpc_call, s), error_code); break;
    case STREAM_OUT: out_stream_free(MU_CONTAINER(s, struct rpc_stream, s)); break;
    case STREAM_IN: request_gone(MU_CONTAINER(s, struct rpc_request, s)); break;
    }
}

static const struct mu_h2_events events = {
    .headers = on_headers,
    .body = on_body,
    .end = on_end,
    .closed = on_closed,
};

static const struct mu_h2_options h2_options = {
    .streams_max = MU_RPC_FORWARDS_MAX,
    .window_bytes = WINDOW_BYTES,
    .connection_window_bytes = 2 * WINDOW_BYTES,
    .headers_bytes_max = HEADERS_BYTES,
};

/* -- incoming ---------------------------------------------------------------------------------- */

static void conn_begin(struct conn *c)
{
    (void)uv_tcp_nodelay(&c->tcp, 1);
    (void)uv_tcp_keepalive(&c->tcp, 1, KEEPALIVE_S);
    c->h2 = mu_h2_new(c->is_incoming ? MU_H2_SERVER : MU_H2_CLIENT, &h2_options, &events, c);
    timer_set(c->rpc->timers, &c->hello_timer, HELLO_MS, on_hello_late, c);
    MU_ASSERT(uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) == 0);
    conn_mark(c);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct rpc *r = MU_CONTAINER((uv_tcp_t *)listener, struct rpc, listener);

    if (status < 0) {
        mu_log(MU_WARN, "agent.rpc", "Cannot accept a connection",
               mu_kv("error", uv_strerror(status)));
        return;
    }
    struct conn *c = conn_new(r, true);

    if (uv_accept(listener, (uv_stream_t *)&c->tcp) != 0 || r->incoming > MU_RPC_CONNECTIONS_MAX) {
        conn_close(c, "not accepted");
        return;
    }
    conn_begin(c);
}

static void hello_answer(struct rpc_request *q, struct mu_span message)
{
    struct conn *c = q->s.conn;
    struct rpc *r = c->rpc;
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc = rpc_hello_decode(message, &c->peer, &err);

    if (rc == MU_OK) {
        rc = r->options.welcome(r->options.data, &c->peer, &err);
    }
    if (rc != MU_OK) {
        rpc_refuse(q, rc, err.text);
        return;
    }
    c->is_known = true;
    timer_cancel(&c->hello_timer);
    struct rpc_identity self = { .boot_id = 0 };
    struct mu_buf answer = MU_BUF_NONE;

    r->options.identity(r->options.data, &self);
    rpc_hello_encode(&self, &answer);
    rpc_reply(q, mu_buf_span(&answer));
    mu_buf_deinit(&answer);
}

const struct rpc_identity *rpc_asker(const struct rpc_request *request)
{
    MU_ASSERT(request->s.conn != NULL);
    return &request->s.conn->peer;
}

void rpc_set_data(struct rpc_request *request, void *data)
{
    request->data = data;
}

void *rpc_data(const struct rpc_request *request)
{
    return request->data;
}

void rpc_reply(struct rpc_request *request, struct mu_span message)
{
    static const struct mu_header head[] = {
        { MU_SPAN_LIT(":status"), MU_SPAN_LIT("200") },
        { MU_SPAN_LIT("content-type"), MU_SPAN_LIT("application/grpc") },
    };
    static const struct mu_header trailers[] = {
        { MU_SPAN_LIT("grpc-status"), MU_SPAN_LIT("0") },
    };
    struct conn *c = request->s.conn;
    uint8_t prefix[MU_GRPC_HEAD_BYTES];

    MU_ASSERT(c != NULL && !request->is_answered);
    request->is_answered = true;
    mu_grpc_head(prefix, message.bytes);
    mu_h2_respond(c->h2, request->s.id, head, MU_LEN(head), false);
    mu_h2_send(c->h2, request->s.id, mu_span_of(prefix, sizeof prefix), false);
    mu_h2_send(c->h2, request->s.id, message, false);
    mu_h2_trailers(c->h2, request->s.id, trailers, MU_LEN(trailers));
    conn_mark(c);
}

void rpc_refuse(struct rpc_request *request, enum mu_code code, const char *text)
{
    struct conn *c = request->s.conn;
    struct mu_buf message = MU_BUF_NONE;
    char status[16];

    MU_ASSERT(c != NULL && !request->is_answered);
    request->is_answered = true;
    (void)snprintf(status, sizeof status, "%u", (unsigned)rpc_grpc_status(code));
    mu_grpc_text_encode(&message, mu_span_text(text));
    struct mu_header head[] = {
        { MU_SPAN_LIT(":status"), MU_SPAN_LIT("200") },
        { MU_SPAN_LIT("content-type"), MU_SPAN_LIT("application/grpc") },
        { MU_SPAN_LIT("grpc-status"), mu_span_text(status) },
        { MU_SPAN_LIT("mu-code"), mu_span_text(rpc_code_name(code)) },
        { MU_SPAN_LIT("grpc-message"), mu_buf_span(&message) },
    };

    mu_h2_respond(c->h2, request->s.id, head, MU_LEN(head), true);
    mu_buf_deinit(&message);
    conn_mark(c);
}

/* -- outgoing ---------------------------------------------------------------------------------- */

static void on_welcomed(void *data, enum mu_code code, struct mu_span answer,
                        const struct mu_err *err)
{
    struct conn *c = data;
    struct mu_err why = MU_ERR_NONE;

    if (c->is_closing) {
        return;
    }
    if (code != MU_OK) {
        conn_close(c, err->text);
        return;
    }
    enum mu_code rc = rpc_hello_decode(answer, &c->peer, &why);
    struct rpc_link *link = c->link;

    if (rc == MU_OK && link->has_expect && !mu_id_eq(&link->expect, &c->peer.node)) {
        rc = mu_fail(&why, MU_FOREIGN, "another node lives there: %s", c->peer.name);
    }
    if (rc == MU_OK) {
        rc = c->rpc->options.welcome(c->rpc->options.data, &c->peer, &why);
    }
    if (rc != MU_OK) {
        conn_close(c, why.text);
        return;
    }
    c->is_known = true;
    timer_cancel(&c->hello_timer);
    link->is_up = true;
    MU_LIST_EACH_SAFE(place, &link->waiting)
    {
        struct rpc_call *call = MU_CONTAINER(place, struct rpc_call, waiting);

        mu_list_remove(&call->waiting);
        if (!call_send(call, c, mu_buf_span(&call->message))) {
            call_end(call, MU_UNREACHABLE, "the peer takes no more streams");
            continue;
        }
        mu_buf_deinit(&call->message);
    }
    link->changed(link->data, link, true, NULL);
}

static void on_connected(uv_connect_t *req, int status)
{
    struct conn *c = MU_CONTAINER(req, struct conn, connecting);
    struct rpc_identity self = { .boot_id = 0 };
    struct mu_buf hello = MU_BUF_NONE;

    if (c->is_closing) {
        return;
    }
    if (status < 0) {
        conn_close(c, uv_strerror(status));
        return;
    }
    conn_begin(c);
    c->rpc->options.identity(c->rpc->options.data, &self);
    rpc_hello_encode(&self, &hello);
    struct rpc_call *call = mu_new(sizeof *call);

    call->method = RPC_HELLO;
    call->done = on_welcomed;
    call->data = c;
    MU_ASSERT(call_send(call, c, mu_buf_span(&hello)));
    mu_buf_deinit(&hello);
}

static void on_dial_failed(void *data)
{
    conn_close(data, "cannot connect");
}

struct rpc_link *rpc_dial(struct rpc *r, const struct mu_addr *to, const struct mu_id *expect,
                          rpc_link_fn *changed, void *data)
{
    struct rpc_link *link = mu_new(sizeof *link);
    struct conn *c = conn_new(r, false);
    struct sockaddr_storage sa;

    link->rpc = r;
    link->conn = c;
    link->to = *to;
    link->changed = changed;
    link->data = data;
    link->has_expect = expect != NULL;
    if (expect != NULL) {
        link->expect = *expect;
    }
    mu_list_init(&link->waiting);
    c->link = link;
    mu_addr_to_sockaddr(to, &sa);
    timer_set(r->timers, &c->hello_timer, HELLO_MS, on_hello_late, c);
    if (uv_tcp_connect(&c->connecting, &c->tcp, (const struct sockaddr *)&sa, on_connected) != 0) {
        timer_set(r->timers, &c->hello_timer, 0, on_dial_failed, c); /* never from inside this */
    }
    return link;
}

static void on_detached(void *data)
{
    struct rpc_call *call = data;

    call_end(call, call->code, NULL);
}

/* Answer a call from a later turn: its link is being hung up by somebody's code. */
static void call_end_later(struct rpc_call *call, struct timers *timers, enum mu_code code)
{
    stream_detach(&call->s);
    mu_list_remove(&call->waiting);
    call->link = NULL;
    call->code = mu_fail(&call->err, code, "hung up");
    timer_set(timers, &call->timer, 0, on_detached, call);
}

void rpc_hang_up(struct rpc_link *link)
{
    if (link == NULL) {
        return;
    }
    struct timers *timers = link->rpc->timers;
    struct conn *c = link->conn;

    MU_LIST_EACH_SAFE(place, &link->waiting)
    {
        call_end_later(MU_CONTAINER(place, struct rpc_call, waiting), timers, MU_UNREACHABLE);
    }
    if (c != NULL) {
        c->link = NULL;
        MU_LIST_EACH_SAFE(place, &c->streams)
        {
            struct stream *s = MU_CONTAINER(place, struct stream, place);

            if (s->kind == STREAM_CALL) {
                struct rpc_call *call = MU_CONTAINER(s, struct rpc_call, s);

                if (call->method == RPC_HELLO) { /* ours, not a caller's: nobody waits for it */
                    stream_detach(&call->s);
                    mu_buf_deinit(&call->answer);
                    mu_free(call);
                    continue;
                }
                call_end_later(call, timers, MU_LOST);
            }
        }
        conn_close(c, "hung up");
    }
    mu_free(link);
}

bool rpc_is_up(const struct rpc_link *link)
{
    return link->is_up;
}

const struct rpc_identity *rpc_peer(const struct rpc_link *link)
{
    MU_ASSERT(link->is_up);
    return &link->conn->peer;
}

/* -- calls ------------------------------------------------------------------------------------- */

static void call_end(struct rpc_call *call, enum mu_code code, const char *text)
{
    struct mu_buf answer = call->answer;

    stream_detach(&call->s);
    mu_list_remove(&call->waiting);
    timer_cancel(&call->timer);
    if (text != NULL && code != MU_OK) {
        (void)mu_fail(&call->err, code, "%s", text);
    }
    call->done(call->data, code, mu_buf_span(&answer), &call->err);
    mu_buf_deinit(&answer);
    mu_buf_deinit(&call->message);
    mu_free(call);
}

static int32_t stream_open(struct conn *c, enum rpc_method method)
{
    const struct mu_header head[] = {
        { MU_SPAN_LIT(":method"), MU_SPAN_LIT("POST") },
        { MU_SPAN_LIT(":scheme"), MU_SPAN_LIT("http") },
        { MU_SPAN_LIT(":path"), mu_span_text(method_paths[method]) },
        { MU_SPAN_LIT(":authority"), MU_SPAN_LIT("muster") },
        { MU_SPAN_LIT("content-type"), MU_SPAN_LIT("application/grpc") },
        { MU_SPAN_LIT("te"), MU_SPAN_LIT("trailers") },
    };

    return mu_h2_request(c->h2, head, MU_LEN(head), false);
}

static void message_send(struct conn *c, int32_t id, struct mu_span message, bool ends)
{
    uint8_t prefix[MU_GRPC_HEAD_BYTES];

    mu_grpc_head(prefix, message.bytes);
    mu_h2_send(c->h2, id, mu_span_of(prefix, sizeof prefix), false);
    mu_h2_send(c->h2, id, message, ends);
    conn_mark(c);
}

static void on_call_late(void *data)
{
    struct rpc_call *call = data;

    if (call->s.conn != NULL) {
        mu_h2_reset(call->s.conn->h2, call->s.id, MU_H2_CANCEL);
        conn_mark(call->s.conn);
    }
    call_end(call, MU_TIMEOUT, "no answer in time");
}

static bool call_send(struct rpc_call *call, struct conn *c, struct mu_span message)
{
    int32_t id = stream_open(c, call->method);

    if (id < 0) {
        return false;
    }
    call->link = NULL;
    stream_attach(&call->s, c, id, STREAM_CALL);
    message_send(c, id, message, true);
    return true;
}

struct rpc_call *rpc_call(struct rpc_link *link, enum rpc_method method, struct mu_span message,
                          uint64_t timeout_ms, rpc_answer_fn *answer, void *data)
{
    struct rpc_call *call = mu_new(sizeof *call);

    MU_ASSERT(message.bytes <= MU_RPC_MESSAGE_MAX);
    call->method = method;
    call->done = answer;
    call->data = data;
    call->timeout_ms = timeout_ms;
    if (timeout_ms > 0) {
        timer_set(link->rpc->timers, &call->timer, timeout_ms, on_call_late, call);
    }
    if (link->is_up) {
        if (!call_send(call, link->conn, message)) {
            call_end_later(call, link->rpc->timers, MU_UNREACHABLE);
        }
        return call;
    }
    if (link->conn == NULL) {
        call_end_later(call, link->rpc->timers, MU_UNREACHABLE);
        return call;
    }
    call->link = link;
    mu_buf_add_span(&call->message, message);
    mu_list_push_back(&link->waiting, &call->waiting);
    return call;
}

void rpc_cancel(struct rpc_call *call)
{
    if (call->s.conn != NULL) {
        mu_h2_reset(call->s.conn->h2, call->s.id, MU_H2_CANCEL);
        conn_mark(call->s.conn);
    }
    stream_detach(&call->s);
    mu_list_remove(&call->waiting);
    timer_cancel(&call->timer);
    mu_buf_deinit(&call->answer);
    mu_buf_deinit(&call->message);
    mu_free(call);
}

bool rpc_send(struct rpc_link *link, enum rpc_method method, struct mu_span message,
              size_t queue_max)
{
    if (!link->is_up) {
        return false;
    }
    struct conn *c = link->conn;
    struct rpc_stream *o = link->streams[method];

    if (o == NULL) {
        int32_t id = stream_open(c, method);

        if (id < 0) {
            return false;
        }
        o = mu_new(sizeof *o);
        o->method = method;
        stream_attach(&o->s, c, id, STREAM_OUT);
        link->streams[method] = o;
    }
    if (mu_h2_queued(c->h2, o->s.id) + message.bytes > queue_max) {
        return false;
    }
    message_send(c, o->s.id, message, false);
    return true;
}

/* -- life -------------------------------------------------------------------------------------- */

struct rpc *rpc_new(struct uv_loop_s *loop, struct timers *timers,
                    const struct rpc_options *options)
{
    struct rpc *r = mu_new(sizeof *r);

    r->timers = timers;
    r->options = *options;
    mu_list_init(&r->conns);
    mu_list_init(&r->dirty);
    MU_ASSERT(uv_tcp_init(loop, &r->listener) == 0);
    MU_ASSERT(uv_prepare_init(loop, &r->flusher) == 0);
    MU_ASSERT(uv_prepare_start(&r->flusher, on_prepare) == 0);
    r->handles = 2;
    return r;
}

enum mu_code rpc_listen(struct rpc *r, const struct mu_addr *at, struct mu_err *err)
{
    struct sockaddr_storage sa;
    char text[MU_ADDR_TEXT_MAX];

    mu_addr_to_sockaddr(at, &sa);
    mu_addr_text(at, text);
    int rc = uv_tcp_bind(&r->listener, (const struct sockaddr *)&sa, 0);

    if (rc == 0) {
        rc = uv_listen((uv_stream_t *)&r->listener, 512, on_connection);
    }
    if (rc < 0) {
        return mu_fail(err, MU_IO, "listen tcp %s: bind: %s", text, uv_strerror(rc));
    }
    int bytes = sizeof sa;

    MU_ASSERT(uv_tcp_getsockname(&r->listener, (struct sockaddr *)&sa, &bytes) == 0);
    MU_ASSERT(mu_addr_from_sockaddr((const struct sockaddr *)&sa, &r->address));
    r->is_listening = true;
    return MU_OK;
}

struct mu_addr rpc_address(const struct rpc *r)
{
    return r->address;
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct rpc *r = MU_CONTAINER((uv_tcp_t *)handle, struct rpc, listener);

    r->handles--;
    rpc_ended(r);
}

static void on_flusher_closed(uv_handle_t *handle)
{
    struct rpc *r = MU_CONTAINER((uv_prepare_t *)handle, struct rpc, flusher);

    r->handles--;
    rpc_ended(r);
}

void rpc_close(struct rpc *r, rpc_closed_fn *closed, void *data)
{
    MU_ASSERT(!r->is_closing);
    r->is_closing = true;
    r->closed = closed;
    r->closed_data = data;
    while (!mu_list_empty(&r->conns)) {
        conn_close(MU_CONTAINER(r->conns.next, struct conn, place), "the agent stops");
    }
    uv_close((uv_handle_t *)&r->listener, on_listener_closed);
    uv_close((uv_handle_t *)&r->flusher, on_flusher_closed);
}
