/* stream_uv.c - the core's streams as TCP connections.
 *
 * Deadlines and limits are the core's: it drops a stream that takes too long. Here is only what a
 * socket needs: connect, write in order, half-close, and why it ended in the core's words.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "driver_parts.h"

#define READ_BYTES   (64U * 1024)
#define BACKLOG      512 /* a fleet that starts at once */
#define ACCEPTED_MAX 512 /* sockets; the core answers "busy" long before */

struct stream {
    uv_tcp_t tcp;
    uv_connect_t connecting;
    uv_shutdown_t shutting;
    struct gossip__streams *all;
    struct mu_link place;
    uint32_t id;
    unsigned writes; /* in flight */
    bool is_incoming, is_open, is_closing;
    bool ends;      /* END was asked for: half-close when all is written, discard what comes */
    bool has_ended; /* the half-close was sent */
    int error;      /* an open that failed at once; told by gossip__streams_failed() */
};

struct write {
    uv_write_t req;
    struct stream *stream;
    uint8_t data[];
};

struct gossip__streams {
    struct gossip_driver *driver;
    uv_tcp_t listener;
    int fd; /* of the listener, until a handle has it */
    bool is_listening;
    struct mu_link list;
    size_t accepted;
    uint32_t next_id; /* of accepted ones: even */
    uint8_t room[READ_BYTES];
};

static void on_stream_closed(uv_handle_t *handle)
{
    struct stream *st = MU_CONTAINER((uv_tcp_t *)handle, struct stream, tcp);
    struct gossip_driver *d = st->all->driver;

    mu_free(st);
    gossip__handle_closed(d);
}

static void stream_close(struct stream *st)
{
    if (st->is_closing) {
        return;
    }
    st->is_closing = true;
    st->all->accepted -= st->is_incoming;
    mu_list_remove(&st->place);
    uv_close((uv_handle_t *)&st->tcp, on_stream_closed);
}

static enum gossip_end end_of(int error, bool was_open)
{
    switch (error) {
    case UV_EOF: return GOSSIP_END_EOF;
    case UV_ECONNREFUSED: return was_open ? GOSSIP_END_RESET : GOSSIP_END_REFUSED;
    case UV_EMFILE:
    case UV_ENFILE:
    case UV_ENOBUFS:
    case UV_ENOMEM:
    case UV_EADDRNOTAVAIL: return GOSSIP_END_LOCAL;
    default: return was_open ? GOSSIP_END_RESET : GOSSIP_END_UNREACHABLE;
    }
}

/* The core hears of the end once; then the socket goes. */
static void stream_over(struct stream *st, int error)
{
    struct gossip_driver *d = st->all->driver;
    char text[96];
    struct gossip_event ev = { .kind = GOSSIP_EV_STREAM_CLOSED };

    if (st->is_closing) {
        return;
    }
    (void)snprintf(text, sizeof text, "%s%s", st->is_open ? "" : "connect: ", uv_strerror(error));
    ev.stream.id = st->id;
    ev.stream.end = end_of(error, st->is_open);
    ev.stream.text = error == UV_EOF ? "EOF" : text;
    stream_close(st);
    gossip__feed(d, &ev);
}

/* -- reading ------------------------------------------------------------------------------------
 */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct stream *st = MU_CONTAINER((uv_tcp_t *)handle, struct stream, tcp);

    (void)suggested;
    *buf = uv_buf_init((char *)st->all->room, READ_BYTES);
}

static void on_read(uv_stream_t *handle, ssize_t got, const uv_buf_t *buf)
{
    struct stream *st = MU_CONTAINER((uv_tcp_t *)handle, struct stream, tcp);

    if (got == 0 || st->is_closing) {
        return;
    }
    if (got < 0) {
        stream_over(st, (int)got);
        return;
    }
    if (st->ends) {
        return; /* the core is done with it */
    }
    struct gossip_event ev = { .kind = GOSSIP_EV_STREAM_DATA };

    ev.stream.id = st->id;
    ev.stream.data = mu_span_of(buf->base, (size_t)got);
    gossip__feed(st->all->driver, &ev);
}

static void stream_begin(struct stream *st)
{
    st->is_open = true;
    (void)uv_tcp_nodelay(&st->tcp, 1);
    MU_ASSERT(uv_read_start((uv_stream_t *)&st->tcp, on_alloc, on_read) == 0);
}

static struct stream *stream_new(struct gossip__streams *s, uint32_t id, bool is_incoming)
{
    struct stream *st = mu_new(sizeof *st);

    st->all = s;
    st->id = id;
    st->is_incoming = is_incoming;
    s->accepted += is_incoming;
    mu_list_push_back(&s->list, &st->place);
    MU_ASSERT(uv_tcp_init(s->driver->loop, &st->tcp) == 0);
    gossip__handle_opened(s->driver);
    return st;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct gossip__streams *s =
        MU_CONTAINER((uv_tcp_t *)listener, struct gossip__streams, listener);
    struct sockaddr_storage sa;
    int bytes = sizeof sa;
    struct gossip_event ev = { .kind = GOSSIP_EV_STREAM_ACCEPTED };

    if (status < 0) {
        mu_log(MU_WARN, s->driver->module, "Cannot accept a stream",
               mu_kv("error", uv_strerror(status)));
        return;
    }
    s->next_id += 2;
    struct stream *st = stream_new(s, s->next_id, true);

    if (uv_accept(listener, (uv_stream_t *)&st->tcp) != 0 || s->accepted > ACCEPTED_MAX ||
        uv_tcp_getpeername(&st->tcp, (struct sockaddr *)&sa, &bytes) != 0 ||
        !mu_addr_from_sockaddr((const struct sockaddr *)&sa, &ev.stream.from)) {
        stream_close(st);
        return;
    }
    ev.stream.id = st->id;
    stream_begin(st);
    gossip__feed(s->driver, &ev);
}

/* -- writing --------------------------------------------------------------------------------------
 */

static void on_shutdown(uv_shutdown_t *req, int status)
{
    struct stream *st = MU_CONTAINER(req, struct stream, shutting);

    if (status < 0 && status != UV_ECANCELED) {
        stream_over(st, status);
    }
}

static void maybe_half_close(struct stream *st)
{
    if (!st->ends || st->has_ended || st->writes > 0 || st->is_closing || !st->is_open) {
        return;
    }
    st->has_ended = true;
    if (uv_shutdown(&st->shutting, (uv_stream_t *)&st->tcp, on_shutdown) != 0) {
        st->error = UV_ECONNRESET;
        gossip__soon(st->all->driver);
    }
}

static void on_written(uv_write_t *req, int status)
{
    struct write *w = MU_CONTAINER(req, struct write, req);
    struct stream *st = w->stream;

    mu_free(w);
    st->writes--;
    if (status < 0 && status != UV_ECANCELED) {
        stream_over(st, status);
        return;
    }
    maybe_half_close(st);
}

static void stream_write(struct stream *st, struct mu_span data)
{
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)data.data, (unsigned)data.bytes);
    int put = st->writes == 0 ? uv_try_write((uv_stream_t *)&st->tcp, &buf, 1) : 0;

    if (put < 0 && put != UV_EAGAIN) {
        st->error = put;
        gossip__soon(st->all->driver);
        return;
    }
    struct mu_span rest = mu_span_sub(data, put > 0 ? (size_t)put : 0, data.bytes);

    if (rest.bytes == 0) {
        return;
    }
    struct write *w = mu_new(sizeof *w + rest.bytes);

    w->stream = st;
    memcpy(w->data, rest.data, rest.bytes);
    buf = uv_buf_init((char *)w->data, (unsigned)rest.bytes);
    st->writes++;
    MU_ASSERT(uv_write(&w->req, (uv_stream_t *)&st->tcp, &buf, 1, on_written) == 0);
}

/* -- what the core orders
 * --------------------------------------------------------------------------- */

static void on_connected(uv_connect_t *req, int status)
{
    struct stream *st = MU_CONTAINER(req, struct stream, connecting);
    struct gossip_event ev = { .kind = GOSSIP_EV_STREAM_OPENED };

    if (st->is_closing) {
        return;
    }
    if (status < 0) {
        stream_over(st, status);
        return;
    }
    ev.stream.id = st->id;
    stream_begin(st);
    gossip__feed(st->all->driver, &ev);
}

static void stream_open(struct gossip__streams *s, const struct gossip_stream_op *op)
{
    struct stream *st = stream_new(s, op->id, false);
    struct mu_addr from = s->driver->options.bind;
    struct sockaddr_storage sa;

    if (!mu_addr_is_any(&from) && from.ip_bytes == op->to.ip_bytes) {
        from.port = 0; /* firewalls know us by the address that we are bound to */
        mu_addr_to_sockaddr(&from, &sa);
        st->error = uv_tcp_bind(&st->tcp, (const struct sockaddr *)&sa, 0);
    }
    if (st->error == 0) {
        mu_addr_to_sockaddr(&op->to, &sa);
        st->error =
            uv_tcp_connect(&st->connecting, &st->tcp, (const struct sockaddr *)&sa, on_connected);
    }
    if (st->error != 0) {
        gossip__soon(s->driver);
    }
}

static struct stream *stream_find(struct gossip__streams *s, uint32_t id)
{
    MU_LIST_EACH (place, &s->list) {
        struct stream *st = MU_CONTAINER(place, struct stream, place);

        if (st->id == id) {
            return st;
        }
    }
    return NULL;
}

void gossip__streams_op(struct gossip__streams *s, const struct gossip_stream_op *op)
{
    struct stream *st = op->verb == GOSSIP_STREAM_OPEN ? NULL : stream_find(s, op->id);

    switch (op->verb) {
    case GOSSIP_STREAM_OPEN: stream_open(s, op); break;
    case GOSSIP_STREAM_WRITE:
        if (st != NULL && st->error == 0) {
            stream_write(st, op->data);
        }
        break;
    case GOSSIP_STREAM_END:
        if (st != NULL) {
            st->ends = true;
            maybe_half_close(st);
        }
        break;
    case GOSSIP_STREAM_DROP:
        if (st != NULL) {
            stream_close(st);
        }
        break;
    }
}

void gossip__streams_failed(struct gossip__streams *s)
{
    bool found = true;

    /* One at a time: what the core does with the news may change the list. */
    while (found && !s->driver->is_stopping) {
        found = false;
        MU_LIST_EACH (place, &s->list) {
            struct stream *st = MU_CONTAINER(place, struct stream, place);

            if (st->error != 0) {
                stream_over(st, st->error);
                found = true;
                break;
            }
        }
    }
}

/* -- life ---------------------------------------------------------------------------------------
 */

struct gossip__streams *gossip__streams_new(struct gossip_driver *d)
{
    struct gossip__streams *s = mu_new(sizeof *s);

    s->driver = d;
    s->fd = -1;
    mu_list_init(&s->list);
    return s;
}

static enum mu_code listen_failed(struct gossip__streams *s, const struct mu_addr *at, int saved,
                                  struct mu_err *err)
{
    char text[MU_ADDR_TEXT_MAX];

    gossip__streams_unlisten(s);
    mu_addr_text(at, text);
    return mu_fail(err, MU_IO, "listen tcp %s: bind: %s", text,
                   uv_strerror(uv_translate_sys_error(saved)));
}

enum mu_code gossip__streams_listen(struct gossip__streams *s, struct mu_addr *at,
                                    struct mu_err *err)
{
    struct sockaddr_storage sa;
    socklen_t bytes = at->ip_bytes == 4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    struct mu_addr bound;
    int on = 1;

    mu_addr_to_sockaddr(at, &sa);
    s->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(s->fd, (const struct sockaddr *)&sa, bytes) != 0 || listen(s->fd, BACKLOG) != 0) {
        return listen_failed(s, at, errno, err);
    }
    bytes = sizeof sa;
    if (getsockname(s->fd, (struct sockaddr *)&sa, &bytes) != 0) {
        return listen_failed(s, at, errno, err);
    }
    MU_ASSERT(mu_addr_from_sockaddr((const struct sockaddr *)&sa, &bound));
    at->port = bound.port;
    return MU_OK;
}

void gossip__streams_unlisten(struct gossip__streams *s)
{
    if (s->fd >= 0) {
        (void)close(s->fd);
        s->fd = -1;
    }
}

void gossip__streams_start(struct gossip__streams *s)
{
    MU_ASSERT(uv_tcp_init(s->driver->loop, &s->listener) == 0);
    MU_ASSERT(uv_tcp_open(&s->listener, s->fd) == 0); /* owns the descriptor from here on */
    s->fd = -1;
    s->is_listening = true;
    gossip__handle_opened(s->driver);
    MU_ASSERT(uv_listen((uv_stream_t *)&s->listener, BACKLOG, on_connection) == 0);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct gossip__streams *s = MU_CONTAINER((uv_tcp_t *)handle, struct gossip__streams, listener);

    gossip__handle_closed(s->driver);
}

void gossip__streams_stop(struct gossip__streams *s)
{
    while (!mu_list_empty(&s->list)) {
        stream_close(MU_CONTAINER(s->list.next, struct stream, place));
    }
    if (s->is_listening) {
        s->is_listening = false;
        uv_close((uv_handle_t *)&s->listener, on_listener_closed);
    }
}

void gossip__streams_free(struct gossip__streams *s)
{
    if (s != NULL) {
        gossip__streams_unlisten(s);
        mu_free(s);
    }
}
