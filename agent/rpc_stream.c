/* rpc_stream.c - the streams of agent-to-agent RPC: methods, calls, requests (gRPC over HTTP/2).
 *
 * Out: a call opens a stream with one message; the answer is the message that comes back, or the
 * status in the trailers. Calls made before the link is up wait in it.
 *
 * In: each stream finds its method by path; its messages go to the method's handler, which answers
 * now or later. Until Hello was welcome, every other method is denied.
 *
 * No sockets here: bytes to send are left in HTTP/2's queue and the connection is marked.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"
#include "proto/grpc.h"
#include "proto/h2.h"
#include "rpc_codec.h"
#include "rpc_conn.h"
#include "timer.h"

/* Partial messages a peer may make us hold; more closes the connection. */
#define HELD_BYTES_MAX (4U * MU_RPC_MESSAGE_MAX)
#define REPLY_FAIR     (64U * 1024) /* queued on one connection: never in the way of others */

/* -- methods ----------------------------------------------------------------------------------- */

static const char *const method_paths[RPC_METHODS] = {
    // clang-format off
    [RPC_HELLO]      = "/muster.peer.Peer/Hello",
    [RPC_RAFT]       = "/muster.peer.Peer/Raft",
    [RPC_PROPOSE]    = "/muster.peer.Peer/Propose",
    [RPC_READ_INDEX] = "/muster.peer.Peer/ReadIndex",
    [RPC_SERVE]      = "/muster.peer.Peer/Serve",
    [RPC_RESOLVE]    = "/muster.peer.Peer/Resolve",
    [RPC_NODE]       = "/muster.peer.Peer/Node",
    [RPC_RENEW]      = "/muster.peer.Peer/Renew",
    [RPC_SAVE]       = "/muster.peer.Peer/Save",
    [RPC_RECOVER]    = "/muster.peer.Peer/Recover",
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

/* -- streams ----------------------------------------------------------------------------------- */

static void stream_attach(struct stream *s, struct rpc_conn *c, int32_t id, enum stream_kind kind)
{
    s->kind = kind;
    s->id = id;
    s->conn = c;
    mu_grpc_in_init(&s->in, MU_RPC_MESSAGE_MAX);
    mu_list_push_back(&c->streams, &s->place);
    mu_h2_set_data(c->h2, id, s);
}

void rpc_stream_detach(struct stream *s)
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

    rpc_stream_detach(&q->s);
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
    rpc_stream_detach(&o->s);
    mu_free(o);
}

void rpc_stream_lost(struct stream *s)
{
    switch (s->kind) {
    case STREAM_CALL:
        rpc_call_end(MU_CONTAINER(s, struct rpc_call, s), MU_LOST, "connection lost");
        break;
    case STREAM_OUT: out_stream_free(MU_CONTAINER(s, struct rpc_stream, s)); break;
    case STREAM_IN: request_gone(MU_CONTAINER(s, struct rpc_request, s)); break;
    }
}

/* -- requests ---------------------------------------------------------------------------------- */

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

/* An agent that does not read, stopped or behind a bad link, costs us its answers: until they are
 * too many. A little each may always have. */
static bool has_room(const struct rpc_conn *c, size_t bytes)
{
    return c->queued_bytes + bytes <= REPLY_FAIR ||
           c->rpc->held.answers_bytes + bytes <= MU_RPC_HELD_MAX;
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
    struct rpc_conn *c = request->s.conn;
    uint8_t prefix[MU_GRPC_HEAD_BYTES];

    MU_ASSERT(c != NULL && !request->is_answered);
    if (!has_room(c, message.bytes)) {
        rpc_refuse(request, MU_BUSY, "too many answers wait to be sent");
        return;
    }
    request->is_answered = true;
    mu_grpc_head(prefix, message.bytes);
    mu_h2_respond(c->h2, request->s.id, head, MU_LEN(head), false);
    mu_h2_send(c->h2, request->s.id, mu_span_of(prefix, sizeof prefix), false);
    mu_h2_send(c->h2, request->s.id, message, false);
    mu_h2_trailers(c->h2, request->s.id, trailers, MU_LEN(trailers));
    rpc_conn_count(c);
    rpc_conn_mark(c);
}

void rpc_refuse(struct rpc_request *request, enum mu_code code, const char *text)
{
    struct rpc_conn *c = request->s.conn;
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
    rpc_conn_mark(c);
}

/* -- calls ------------------------------------------------------------------------------------- */

void rpc_call_end(struct rpc_call *call, enum mu_code code, const char *text)
{
    struct mu_buf answer = call->answer;

    rpc_stream_detach(&call->s);
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

static void on_detached(void *data)
{
    struct rpc_call *call = data;

    rpc_call_end(call, call->code, NULL);
}

/* Answer a call from a later turn: its link is being hung up by somebody's code. */
void rpc_call_end_later(struct rpc_call *call, struct timers *timers, enum mu_code code)
{
    rpc_stream_detach(&call->s);
    mu_list_remove(&call->waiting);
    call->link = NULL;
    call->code = mu_fail(&call->err, code, "hung up");
    timer_set(timers, &call->timer, 0, on_detached, call);
}

static int32_t stream_open(struct rpc_conn *c, enum rpc_method method)
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

static void message_send(struct rpc_conn *c, int32_t id, struct mu_span message, bool ends)
{
    uint8_t prefix[MU_GRPC_HEAD_BYTES];

    mu_grpc_head(prefix, message.bytes);
    mu_h2_send(c->h2, id, mu_span_of(prefix, sizeof prefix), false);
    mu_h2_send(c->h2, id, message, ends);
    rpc_conn_count(c);
    rpc_conn_mark(c);
}

static void on_call_late(void *data)
{
    struct rpc_call *call = data;

    if (call->s.conn != NULL) {
        mu_h2_reset(call->s.conn->h2, call->s.id, MU_H2_CANCEL);
        rpc_conn_mark(call->s.conn);
    }
    rpc_call_end(call, MU_TIMEOUT, "no answer in time");
}

bool rpc_call_send(struct rpc_call *call, struct rpc_conn *c, struct mu_span message)
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
        if (!rpc_call_send(call, link->conn, message)) {
            rpc_call_end_later(call, link->rpc->timers, MU_UNREACHABLE);
        }
        return call;
    }
    if (link->conn == NULL) {
        rpc_call_end_later(call, link->rpc->timers, MU_UNREACHABLE);
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
        rpc_conn_mark(call->s.conn);
    }
    rpc_stream_detach(&call->s);
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
    struct rpc_conn *c = link->conn;
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
static void request_begin(struct rpc_conn *c, int32_t id, const struct mu_header *headers,
                          size_t count)
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
    struct rpc_conn *c = data;
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

static void hello_answer(struct rpc_request *q, struct mu_span message)
{
    struct rpc_conn *c = q->s.conn;
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
    r->requests += q->method != RPC_RAFT;
    r->options.handlers[q->method].message(r->options.data, q, message);
    return MU_OK;
}

static void on_body(void *data, int32_t id, struct mu_span part)
{
    struct rpc_conn *c = data;
    struct stream *s = mu_h2_data(c->h2, id);
    struct mu_err err = MU_ERR_NONE;

    if (c->is_closing || s == NULL) {
        return;
    }
    /* A handler may answer and so free the stream; its own struct stays until `closed`. */
    size_t held = s->in.part.bytes;

    if (mu_grpc_feed(&s->in, part, on_message, s, &err) != MU_OK) {
        if (s->conn != NULL && err.code != MU_CANCELLED) {
            rpc_conn_close(c, err.text);
        }
        return;
    }
    if (s->conn != NULL) {
        c->held_bytes += s->in.part.bytes - held;
        if (c->held_bytes > HELD_BYTES_MAX) {
            rpc_conn_close(c, "too many bytes of unfinished messages");
        }
    }
}

static void on_end(void *data, int32_t id)
{
    struct rpc_conn *c = data;
    struct stream *s = mu_h2_data(c->h2, id);

    if (c->is_closing || s == NULL || s->kind == STREAM_CALL) {
        return;
    }
    if (s->kind == STREAM_OUT) {
        /* Refused, and deaf from now on: the next message begins another. */
        mu_h2_reset(c->h2, id, MU_H2_CANCEL);
        out_stream_free(MU_CONTAINER(s, struct rpc_stream, s));
        rpc_conn_mark(c);
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
        rpc_call_end(call, MU_UNREACHABLE, "the peer takes no more streams");
    } else if (call->has_status && call->code != MU_OK) {
        rpc_call_end(call, call->code, NULL);
    } else if (call->has_status && call->has_answer) {
        rpc_call_end(call, MU_OK, NULL);
    } else {
        rpc_call_end(call, MU_LOST, "the answer broke off");
    }
}

static void on_closed(void *data, int32_t id, uint32_t error_code)
{
    struct rpc_conn *c = data;
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

const struct mu_h2_events rpc_h2_events = {
    .headers = on_headers,
    .body = on_body,
    .end = on_end,
    .closed = on_closed,
};
