/* rpc_uv.c - the connections of agent-to-agent RPC: dialled, accepted, read, written, closed.
 *
 * Out: rpc_dial() connects, sends Hello, and the link is up when the answer is welcome.
 *
 * In: a connection must say Hello first, within HELLO_MS.
 *
 * Bytes: nghttp2 (proto/h2.c) makes them; whoever caused some marks the connection dirty, and one
 * prepare handle writes all dirty connections once per turn, just before the loop would wait. What
 * the bytes mean is rpc_stream.c's.
 *
 * Failure: a connection is closed in one place, rpc_conn_close(). Its streams end there: calls with
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
#include "base/table.h"
#include "proto/h2.h"
#include "proto/tls.h"
#include "rpc_codec.h"
#include "rpc_conn.h"
#include "timer.h"

#define READ_BYTES (64U * 1024)
#define HELLO_MS   5000U /* a connection that has not said who it is by then is closed */
/* Pulled for one write: keeps the turn and the buffer bounded. */
#define WRITE_BYTES   (256U * 1024)
#define WINDOW_BYTES  (8U * 1024 * 1024)
#define HEADERS_BYTES (16U * 1024)
#define KEEPALIVE_S   30U
/* Anybody can knock: MU_RPC_FAULT_LINES about it in so long, and then how many there were. */
#define FAULT_PAUSE_MS 60000U

/* A connection and its socket. */
struct line {
    struct rpc_conn c;
    uv_tcp_t tcp;
    uv_connect_t connecting;
    uv_write_t writing;
    struct mu_buf out; /* what a write in flight holds */
    bool is_writing;
    struct mu_tls *tls; /* NULL: in clear */
    bool is_chosen;     /* sealed or in clear: by us, or by the first byte of who called */
};

/* The whole and its handles. */
struct hub {
    struct rpc rpc;
    uv_tcp_t listener;
    uv_prepare_t flusher;
    uint8_t read_buffer[READ_BYTES];
    struct mu_buf plain; /* of the sealed connection being read or written; empty between turns */
};

static struct line *line_of(struct rpc_conn *c)
{
    return MU_CONTAINER(c, struct line, c);
}

static struct hub *hub_of(struct rpc *r)
{
    return MU_CONTAINER(r, struct hub, rpc);
}

/* -- writing ----------------------------------------------------------------------------------- */

void rpc_conn_mark(struct rpc_conn *c)
{
    if (!c->is_closing && !mu_list_linked(&c->dirty)) {
        mu_list_push_back(&c->rpc->dirty, &c->dirty);
    }
}

static void on_written(uv_write_t *req, int status)
{
    struct line *l = MU_CONTAINER(req, struct line, writing);
    struct rpc_conn *c = &l->c;

    l->is_writing = false;
    mu_buf_clear(&l->out);
    if (c->is_closing) {
        return;
    }
    if (status < 0) {
        rpc_conn_close(c, uv_strerror(status));
        return;
    }
    rpc_conn_mark(c);
}

/* More bytes for the socket; how many. In TLS nothing of ours goes out before the peer has shown
 * that it has the key. */
static size_t conn_fill(struct line *l, struct mu_err *err)
{
    struct mu_buf *plain = &hub_of(l->c.rpc)->plain;

    if (l->tls == NULL) {
        return mu_h2_pull(l->c.h2, &l->out, WRITE_BYTES);
    }
    if (mu_tls_is_up(l->tls) && mu_h2_pull(l->c.h2, plain, WRITE_BYTES) > 0) {
        if (mu_tls_send(l->tls, mu_buf_span(plain), err) != MU_OK) {
            rpc_conn_close(&l->c, err->text);
        }
        mu_buf_clear(plain);
    }
    return mu_tls_pull(l->tls, &l->out);
}

/* Write what is ready: at once as far as the kernel takes it, the rest in the background. */
static void conn_flush(struct rpc_conn *c)
{
    struct line *l = line_of(c);
    struct mu_err err = MU_ERR_NONE;

    if (l->is_writing || c->is_closing || c->h2 == NULL || !l->is_chosen) {
        return;
    }
    while (conn_fill(l, &err) > 0 && !c->is_closing) {
        uv_buf_t buf = uv_buf_init((char *)l->out.data, (unsigned)l->out.bytes);
        int put = uv_try_write((uv_stream_t *)&l->tcp, &buf, 1);

        if (put < 0 && put != UV_EAGAIN) {
            rpc_conn_close(c, uv_strerror(put));
            return;
        }
        mu_buf_drop(&l->out, put > 0 ? (size_t)put : 0);
        if (l->out.bytes > 0) {
            buf = uv_buf_init((char *)l->out.data, (unsigned)l->out.bytes);
            l->is_writing = true;
            MU_ASSERT(uv_write(&l->writing, (uv_stream_t *)&l->tcp, &buf, 1, on_written) == 0);
            return;
        }
    }
    if (l->out.room > WRITE_BYTES) {
        mu_buf_deinit(&l->out); /* a burst is over: give its memory back */
    }
    if (!c->is_closing && mu_h2_wants_close(c->h2)) {
        rpc_conn_close(c, "the peer ended the connection");
    }
}

void rpc_conn_count(struct rpc_conn *c)
{
    struct rpc_held *h = &c->rpc->held;
    uint64_t *bytes = c->is_incoming ? &h->answers_bytes : &h->calls_bytes;
    size_t queued = c->is_closing || c->h2 == NULL ? 0 : mu_h2_queued_all(c->h2);

    *bytes += queued;
    *bytes -= c->queued_bytes;
    c->queued_bytes = queued;
    h->answers_most = h->answers_bytes > h->answers_most ? h->answers_bytes : h->answers_most;
    h->calls_most = h->calls_bytes > h->calls_most ? h->calls_bytes : h->calls_most;
}

struct rpc_held rpc_held(const struct rpc *r)
{
    return r->held;
}

void rpc_flush(struct rpc *r)
{
    struct mu_link *link;

    while ((link = mu_list_pop_front(&r->dirty)) != NULL) {
        struct rpc_conn *c = MU_CONTAINER(link, struct rpc_conn, dirty);

        conn_flush(c);
        rpc_conn_count(c);
    }
}

static void on_prepare(uv_prepare_t *handle)
{
    rpc_flush(&MU_CONTAINER(handle, struct hub, flusher)->rpc);
}

/* -- connections ------------------------------------------------------------------------------- */

static void rpc_ended(struct rpc *r)
{
    if (r->is_closing && r->handles == 0) {
        rpc_closed_fn *closed = r->closed;
        void *data = r->closed_data;

        mu_buf_deinit(&hub_of(r)->plain);
        mu_free(hub_of(r));
        closed(data);
    }
}

static void on_conn_closed(uv_handle_t *handle)
{
    struct line *l = MU_CONTAINER((uv_tcp_t *)handle, struct line, tcp);
    struct rpc_conn *c = &l->c;
    struct rpc *r = c->rpc;

    mu_h2_free(c->h2);
    mu_tls_free(l->tls);
    mu_buf_deinit(&l->out);
    mu_free(l);
    r->handles--;
    rpc_ended(r);
}

/* The link learns that it is down; whoever owns it hangs up. */
static void link_down(struct rpc_link *link, const char *why)
{
    link->conn = NULL;
    link->is_up = false;
    MU_LIST_EACH_SAFE (place, &link->waiting) {
        rpc_call_end(MU_CONTAINER(place, struct rpc_call, waiting), MU_UNREACHABLE, why);
    }
    link->changed(link->data, link, false, why);
}

void rpc_conn_close(struct rpc_conn *c, const char *why)
{
    if (c->is_closing) {
        return;
    }
    c->is_closing = true;
    rpc_conn_count(c);
    timer_cancel(&c->hello_timer);
    mu_list_remove(&c->place);
    mu_list_remove(&c->dirty);
    c->rpc->incoming -= c->is_incoming;
    while (!mu_list_empty(&c->streams)) {
        rpc_stream_lost(MU_CONTAINER(c->streams.next, struct stream, place));
    }
    uv_close((uv_handle_t *)&line_of(c)->tcp, on_conn_closed);
    if (c->link != NULL) {
        struct rpc_link *link = c->link;

        c->link = NULL;
        link_down(link, why);
    }
}

static void on_hello_late(void *data)
{
    rpc_conn_close(data, "no Hello in time");
}

struct peer_text {
    char text[MU_ADDR_TEXT_MAX];
};

static struct peer_text peer_text(const struct line *l)
{
    struct sockaddr_storage sa;
    struct peer_text out = { "?" };
    struct mu_addr addr;
    int bytes = sizeof sa;

    if (uv_tcp_getpeername(&l->tcp, (struct sockaddr *)&sa, &bytes) == 0 &&
        mu_addr_from_sockaddr((const struct sockaddr *)&sa, &addr)) {
        mu_addr_text(&addr, out.text);
    }
    return out;
}

/* Somebody called: sealed or in clear, by his first byte. */
static enum mu_code choose(struct line *l, uint8_t first, struct mu_err *err)
{
    const struct rpc_sealing *sealing = &l->c.rpc->options.sealing;

    if (first == MU_TLS_FIRST_BYTE) {
        if (sealing->tls == NULL) {
            return mu_fail(err, MU_DENIED,
                           "the connection is encrypted and encryption is not configured here");
        }
        l->tls = mu_tls_new(sealing->tls, MU_TLS_SERVER);
    } else if (sealing->tls != NULL && !sealing->takes_clear) {
        return mu_fail(err, MU_DENIED,
                       "encryption is configured here and the connection is not encrypted");
    }
    l->is_chosen = true;
    return MU_OK;
}

static enum mu_code take(struct line *l, struct mu_span bytes, struct mu_err *err)
{
    struct mu_buf *plain = &hub_of(l->c.rpc)->plain;
    enum mu_code rc = l->is_chosen ? MU_OK : choose(l, bytes.data[0], err);

    if (rc != MU_OK || l->tls == NULL) {
        return rc == MU_OK ? mu_h2_feed(l->c.h2, bytes, err) : rc;
    }
    rc = mu_tls_feed(l->tls, bytes, plain, err);
    if (rc == MU_OK && plain->bytes > 0) {
        rc = mu_h2_feed(l->c.h2, mu_buf_span(plain), err);
    }
    mu_buf_clear(plain);
    return rc;
}

/* TLS tells the peer why it ends: as far as the kernel takes it at once. */
static void say_alert(struct line *l)
{
    if (l->tls != NULL && !l->is_writing && mu_tls_pull(l->tls, &l->out) > 0) {
        uv_buf_t buf = uv_buf_init((char *)l->out.data, (unsigned)l->out.bytes);

        (void)uv_try_write((uv_stream_t *)&l->tcp, &buf, 1);
    }
}

/* Who does what: a stranger has another port each time. */
static uint64_t fault_gist(const char *what, const char *from, const char *error)
{
    const char *port = strrchr(from, ':');
    char text[512];

    (void)snprintf(text, sizeof text, "%.*s %s %s", port != NULL ? (int)(port - from) : 0, from,
                   what, error);
    return mu_table_hash_whole(mu_span_text(text));
}

static bool is_said(const struct rpc *r, uint64_t gist)
{
    for (unsigned i = 0; i < r->faults_lines; i++) {
        if (r->faults_gist[i] == gist) {
            return true;
        }
    }
    return false;
}

static void fault(struct rpc *r, const char *what, const char *from, const char *error)
{
    uint64_t gist = fault_gist(what, from, error);
    uint64_t now_ms = uv_now(hub_of(r)->listener.loop);

    r->faults++;
    if (r->faults_lines == 0 || now_ms - r->faults_minute_ms >= FAULT_PAUSE_MS) {
        r->faults_minute_ms = now_ms;
        r->faults_lines = 0;
    }
    if (r->faults_lines == MU_RPC_FAULT_LINES || is_said(r, gist)) {
        return;
    }
    r->faults_gist[r->faults_lines++] = gist;
    mu_log(MU_WARN, "agent.rpc", what, mu_kv("from", from), mu_kv("error", error),
           mu_kv_u("times", r->faults - r->faults_said));
    r->faults_said = r->faults;
}

static const char *end_text(const struct line *l, ssize_t got)
{
    if (l->tls != NULL && !mu_tls_is_up(l->tls)) {
        return "the peer closed the connection in the TLS handshake: is encryption configured "
               "there, with the same key?";
    }
    return got == UV_EOF ? "EOF" : uv_strerror((int)got);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    struct line *l = MU_CONTAINER((uv_tcp_t *)stream, struct line, tcp);
    struct rpc_conn *c = &l->c;
    struct mu_err err = MU_ERR_NONE;

    if (got == 0 || c->is_closing) {
        return;
    }
    if (got < 0) {
        rpc_conn_close(c, end_text(l, got));
        return;
    }
    if (take(l, mu_span_of(buf->base, (size_t)got), &err) != MU_OK) {
        struct peer_text from = peer_text(l);

        fault(c->rpc, "Closing a connection that broke the protocol", from.text, err.text);
        say_alert(l);
        rpc_conn_close(c, err.text);
        return;
    }
    rpc_conn_mark(c);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct line *l = MU_CONTAINER((uv_tcp_t *)handle, struct line, tcp);

    (void)suggested;
    *buf = uv_buf_init((char *)hub_of(l->c.rpc)->read_buffer, READ_BYTES);
}

static struct rpc_conn *conn_new(struct rpc *r, bool is_incoming)
{
    struct line *l = mu_new(sizeof *l);
    struct rpc_conn *c = &l->c;

    c->rpc = r;
    c->is_incoming = is_incoming;
    mu_list_init(&c->streams);
    mu_list_push_back(&r->conns, &c->place);
    r->incoming += is_incoming;
    MU_ASSERT(uv_tcp_init(hub_of(r)->listener.loop, &l->tcp) == 0);
    r->handles++;
    return c;
}

static const struct mu_h2_options h2_options = {
    .streams_max = MU_RPC_FORWARDS_MAX,
    .window_bytes = WINDOW_BYTES,
    .connection_window_bytes = 2 * WINDOW_BYTES,
    .headers_bytes_max = HEADERS_BYTES,
};

/* -- incoming ---------------------------------------------------------------------------------- */

static void conn_begin(struct rpc_conn *c)
{
    struct line *l = line_of(c);

    (void)uv_tcp_nodelay(&l->tcp, 1);
    (void)uv_tcp_keepalive(&l->tcp, 1, KEEPALIVE_S);
    if (!c->is_incoming) {
        const struct rpc_sealing *sealing = &c->rpc->options.sealing;

        l->is_chosen = true;
        if (sealing->tls != NULL && !sealing->sends_clear) {
            l->tls = mu_tls_new(sealing->tls, MU_TLS_CLIENT);
        }
    }
    c->h2 = mu_h2_new(c->is_incoming ? MU_H2_SERVER : MU_H2_CLIENT, &h2_options, &rpc_h2_events, c);
    timer_set(c->rpc->timers, &c->hello_timer, HELLO_MS, on_hello_late, c);
    MU_ASSERT(uv_read_start((uv_stream_t *)&l->tcp, on_alloc, on_read) == 0);
    rpc_conn_mark(c);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct rpc *r = &MU_CONTAINER((uv_tcp_t *)listener, struct hub, listener)->rpc;

    if (status < 0) {
        fault(r, "Cannot accept a connection", "", uv_strerror(status));
        return;
    }
    struct rpc_conn *c = conn_new(r, true);
    int rc = uv_accept(listener, (uv_stream_t *)&line_of(c)->tcp);

    if (rc != 0 || r->incoming > MU_RPC_CONNECTIONS_MAX) {
        struct peer_text from = peer_text(line_of(c));

        fault(r, "Cannot accept a connection", from.text,
              rc != 0 ? uv_strerror(rc) : "there are too many connections");
        rpc_conn_close(c, "not accepted");
        return;
    }
    conn_begin(c);
}

/* -- outgoing ---------------------------------------------------------------------------------- */

static void on_welcomed(void *data, enum mu_code code, struct mu_span answer,
                        const struct mu_err *err)
{
    struct rpc_conn *c = data;
    struct mu_err why = MU_ERR_NONE;

    if (c->is_closing) {
        return;
    }
    if (code != MU_OK) {
        rpc_conn_close(c, err->text);
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
        rpc_conn_close(c, why.text);
        return;
    }
    c->is_known = true;
    timer_cancel(&c->hello_timer);
    link->is_up = true;
    MU_LIST_EACH_SAFE (place, &link->waiting) {
        struct rpc_call *call = MU_CONTAINER(place, struct rpc_call, waiting);

        mu_list_remove(&call->waiting);
        if (!rpc_call_send(call, c, mu_buf_span(&call->message))) {
            rpc_call_end(call, MU_UNREACHABLE, "the peer takes no more streams");
            continue;
        }
        mu_buf_deinit(&call->message);
    }
    link->changed(link->data, link, true, NULL);
}

static void on_connected(uv_connect_t *req, int status)
{
    struct line *l = MU_CONTAINER(req, struct line, connecting);
    struct rpc_conn *c = &l->c;
    struct rpc_identity self = { .boot_id = 0 };
    struct mu_buf hello = MU_BUF_NONE;

    if (c->is_closing) {
        return;
    }
    if (status < 0) {
        rpc_conn_close(c, uv_strerror(status));
        return;
    }
    conn_begin(c);
    c->rpc->options.identity(c->rpc->options.data, &self);
    rpc_hello_encode(&self, &hello);
    struct rpc_call *call = mu_new(sizeof *call);

    call->method = RPC_HELLO;
    call->done = on_welcomed;
    call->data = c;
    MU_ASSERT(rpc_call_send(call, c, mu_buf_span(&hello)));
    mu_buf_deinit(&hello);
}

static void on_dial_failed(void *data)
{
    rpc_conn_close(data, "cannot connect");
}

struct rpc_link *rpc_dial(struct rpc *r, const struct mu_addr *to, const struct mu_id *expect,
                          rpc_link_fn *changed, void *data)
{
    struct rpc_link *link = mu_new(sizeof *link);
    struct rpc_conn *c = conn_new(r, false);
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
    struct line *l = line_of(c);

    if (uv_tcp_connect(&l->connecting, &l->tcp, (const struct sockaddr *)&sa, on_connected) != 0) {
        timer_set(r->timers, &c->hello_timer, 0, on_dial_failed, c); /* never from inside this */
    }
    return link;
}

void rpc_hang_up(struct rpc_link *link)
{
    if (link == NULL) {
        return;
    }
    struct timers *timers = link->rpc->timers;
    struct rpc_conn *c = link->conn;

    MU_LIST_EACH_SAFE (place, &link->waiting) {
        rpc_call_end_later(MU_CONTAINER(place, struct rpc_call, waiting), timers, MU_UNREACHABLE);
    }
    if (c != NULL) {
        c->link = NULL;
        MU_LIST_EACH_SAFE (place, &c->streams) {
            struct stream *s = MU_CONTAINER(place, struct stream, place);

            if (s->kind == STREAM_CALL) {
                struct rpc_call *call = MU_CONTAINER(s, struct rpc_call, s);

                if (call->method == RPC_HELLO) { /* ours, not a caller's: nobody waits for it */
                    rpc_stream_detach(&call->s);
                    mu_buf_deinit(&call->answer);
                    mu_free(call);
                    continue;
                }
                rpc_call_end_later(call, timers, MU_LOST);
            }
        }
        rpc_conn_close(c, "hung up");
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

/* -- life -------------------------------------------------------------------------------------- */

struct rpc *rpc_new(struct uv_loop_s *loop, struct timers *timers,
                    const struct rpc_options *options)
{
    struct hub *h = mu_new(sizeof *h);
    struct rpc *r = &h->rpc;

    r->timers = timers;
    r->options = *options;
    mu_list_init(&r->conns);
    mu_list_init(&r->dirty);
    MU_ASSERT(uv_tcp_init(loop, &h->listener) == 0);
    MU_ASSERT(uv_prepare_init(loop, &h->flusher) == 0);
    MU_ASSERT(uv_prepare_start(&h->flusher, on_prepare) == 0);
    r->handles = 2;
    return r;
}

/* One in clear, begun when that was allowed. */
static struct rpc_conn *conn_out_of_rule(const struct rpc *r)
{
    const struct rpc_sealing *sealing = &r->options.sealing;

    MU_LIST_EACH (place, &r->conns) {
        struct rpc_conn *c = MU_CONTAINER(place, struct rpc_conn, place);
        const struct line *l = line_of(c);
        bool may_be_clear = c->is_incoming ? sealing->takes_clear : sealing->sends_clear;

        if (sealing->tls != NULL && l->is_chosen && l->tls == NULL && !may_be_clear) {
            return c;
        }
    }
    return NULL;
}

void rpc_seal(struct rpc *r, const struct rpc_sealing *sealing)
{
    struct rpc_conn *c;

    r->options.sealing = *sealing;
    while ((c = conn_out_of_rule(r)) != NULL) { /* to close one may close others, and dial anew */
        rpc_conn_close(c, "connections are encrypted from now on");
    }
}

enum mu_code rpc_listen(struct rpc *r, const struct mu_addr *at, struct mu_err *err)
{
    struct sockaddr_storage sa;
    char text[MU_ADDR_TEXT_MAX];

    mu_addr_to_sockaddr(at, &sa);
    mu_addr_text(at, text);
    int rc = uv_tcp_bind(&hub_of(r)->listener, (const struct sockaddr *)&sa, 0);

    if (rc == 0) {
        rc = uv_listen((uv_stream_t *)&hub_of(r)->listener, 512, on_connection);
    }
    if (rc < 0) {
        return mu_fail(err, MU_IO, "listen tcp %s: bind: %s", text, uv_strerror(rc));
    }
    int bytes = sizeof sa;

    MU_ASSERT(uv_tcp_getsockname(&hub_of(r)->listener, (struct sockaddr *)&sa, &bytes) == 0);
    MU_ASSERT(mu_addr_from_sockaddr((const struct sockaddr *)&sa, &r->address));
    r->is_listening = true;
    return MU_OK;
}

uint64_t rpc_faults(const struct rpc *r)
{
    return r->faults;
}

uint64_t rpc_requests(const struct rpc *r)
{
    return r->requests;
}

struct mu_addr rpc_address(const struct rpc *r)
{
    return r->address;
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct rpc *r = &MU_CONTAINER((uv_tcp_t *)handle, struct hub, listener)->rpc;

    r->handles--;
    rpc_ended(r);
}

static void on_flusher_closed(uv_handle_t *handle)
{
    struct rpc *r = &MU_CONTAINER((uv_prepare_t *)handle, struct hub, flusher)->rpc;

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
        rpc_conn_close(MU_CONTAINER(r->conns.next, struct rpc_conn, place), "the agent stops");
    }
    uv_close((uv_handle_t *)&hub_of(r)->listener, on_listener_closed);
    uv_close((uv_handle_t *)&hub_of(r)->flusher, on_flusher_closed);
}
