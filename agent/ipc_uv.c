/* ipc_uv.c - the sockets of Serf's control port: bytes to sessions and back. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <uv.h>

#include "agent/turnstile.h"
#include "base/assert.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc.h"

#define READ_BYTES    (64U * 1024)
#define BACKLOG       1024
#define LISTENERS_MAX 16U
#define SOCKET_MODE   0600   /* of a unix socket: who may open it controls this agent */
#define WRITE_MS      10000U /* a client that takes nothing for so long is gone (spec 9.8) */
#define PARTING_MS    2000U  /* how long one that had its last answer may take to hang up */

_Static_assert(LISTENERS_MAX <= TURNSTILE_LISTENERS_MAX, "all may wait");

union handle {
    uv_handle_t any;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe; /* of a unix socket */
};

struct client {
    struct mu_link place;
    struct ipc_port *port;
    struct ipc_session *session; /* NULL: parting or closing */
    union handle socket;
    uv_timer_t patience; /* runs while a write does, and while it is parting */
    unsigned handles;    /* not closed yet */
    uv_write_t write;
    struct mu_buf writing; /* not empty: a write is under way */
    struct mu_buf last;    /* of a parting one: what goes out behind it */
    bool is_feeding;       /* what is waiting goes out behind it */
    size_t held;           /* bytes, as counted in the port's */
    char peer[MU_ADDR_TEXT_MAX];
};

struct ipc_port {
    uv_loop_t *loop;
    struct ipc_host host;
    union handle listeners[LISTENERS_MAX];
    size_t listeners_count;
    struct turnstile turnstile;
    uv_idle_t turn; /* runs while a client is behind with its requests, or a listener held */
    struct mu_link clients;
    size_t clients_count;
    size_t held;    /* bytes of all clients */
    size_t handles; /* the turn, listeners and clients that are not closed yet */
    ipc_closed_fn *closed;
    void *data;
    char room[READ_BYTES]; /* one read at a time: the loop has one thread */
};

/* -- the end ------------------------------------------------------------------------------------
 */

static void handle_gone(struct ipc_port *p)
{
    if (--p->handles == 0 && p->closed != NULL) {
        p->closed(p->data);
        mu_free(p);
    }
}

static void on_client_closed(uv_handle_t *handle)
{
    struct client *c = handle->data;
    struct ipc_port *p = c->port;

    if (--c->handles > 0) {
        return;
    }
    mu_list_remove(&c->place);
    p->clients_count--;
    mu_buf_deinit(&c->writing);
    mu_buf_deinit(&c->last);
    mu_free(c);
    handle_gone(p);
}

static void held_set(struct client *c, size_t bytes)
{
    c->port->held = c->port->held - c->held + bytes;
    c->held = bytes;
}

static void session_close(struct client *c)
{
    held_set(c, 0);
    ipc_session_close(c->session);
    c->session = NULL;
}

static void handles_close(struct client *c)
{
    uv_close(&c->socket.any, on_client_closed);
    uv_close((uv_handle_t *)&c->patience, on_client_closed);
}

static void client_close(struct client *c)
{
    if (c->session != NULL) {
        session_close(c);
        handles_close(c);
    }
}

static void on_parted(uv_timer_t *timer)
{
    handles_close(timer->data);
}

/* It hangs up first: Serf's client looks at the answer and at the end of the connection in no
 * order, and one that comes right behind the other may hide it. */
static void client_part(struct client *c)
{
    mu_buf_add_span(&c->last, mu_buf_span(ipc_session_out(c->session)));
    session_close(c);
    (void)uv_timer_start(&c->patience, on_parted, PARTING_MS, 0);
}

/* -- writing ------------------------------------------------------------------------------------
 */

static void flush(struct client *c);
static void on_written(uv_write_t *write, int status);

/* What is in `from`; nothing else is being written. */
static bool write_all(struct client *c, struct mu_buf *from)
{
    struct mu_buf spare = c->writing;

    c->writing = *from;
    *from = spare;
    uv_buf_t bytes = uv_buf_init((char *)c->writing.data, (unsigned)c->writing.bytes);

    c->write.data = c;
    return uv_write(&c->write, &c->socket.stream, &bytes, 1, on_written) == 0;
}

static void on_impatient(uv_timer_t *timer)
{
    struct client *c = timer->data;

    ipc_fault(c->port->host.faults, IPC_FAULT_SLOW, c->peer, NULL);
    client_close(c);
}

static void on_written(uv_write_t *write, int status)
{
    struct client *c = write->data;

    mu_buf_clear(&c->writing);
    if (c->session == NULL) {
        if (status == 0 && c->last.bytes > 0) {
            (void)write_all(c, &c->last); /* who is parting has its time anyway */
        }
        return;
    }
    uv_timer_stop(&c->patience);
    if (status != 0) {
        client_close(c);
        return;
    }
    if (ipc_session_out(c->session)->bytes == 0) {
        ipc_session_drained(c->session);
    }
    flush(c);
}

/* One write at a time; what comes meanwhile gathers in the session, up to its bound. */
static void flush(struct client *c)
{
    struct mu_buf *out = ipc_session_out(c->session);

    held_set(c, ipc_session_held(c->session) + c->writing.bytes);
    if (out->bytes > IPC_OUT_BYTES_MAX ||
        (c->port->held > IPC_HELD_BYTES_MAX && c->held > IPC_HELD_FAIR)) {
        ipc_fault(c->port->host.faults, IPC_FAULT_BACKLOG, c->peer, NULL);
        client_close(c);
        return;
    }
    if (c->writing.bytes > 0) {
        return;
    }
    if (out->bytes == 0) {
        if (ipc_session_is_parting(c->session)) {
            client_part(c);
        } else if (ipc_session_is_over(c->session)) {
            client_close(c);
        }
        return;
    }
    if (!write_all(c, out)) {
        client_close(c);
        return;
    }
    (void)uv_timer_start(&c->patience, on_impatient, WRITE_MS, 0);
}

/* -- reading ------------------------------------------------------------------------------------
 */

static void on_turn(uv_idle_t *turn);
static void on_connection(uv_stream_t *listener, int status);
static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *room);
static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *bytes);

/* Something was carried out: answers go out, and more is read once the session is through. */
static void settle(struct client *c)
{
    int rc = 0;

    flush(c);
    if (c->session == NULL) {
        return;
    }
    if (ipc_session_is_behind(c->session)) {
        (void)uv_read_stop(&c->socket.stream);
        rc = uv_idle_start(&c->port->turn, on_turn);
    } else {
        rc = uv_read_start(&c->socket.stream, on_room, on_read);
    }
    if (rc != 0 && rc != UV_EALREADY) {
        client_close(c);
    }
}

static void on_turn(uv_idle_t *turn)
{
    struct ipc_port *p = turn->data;
    bool is_anyone_behind = false;

    turnstile_turn(&p->turnstile, on_connection);
    MU_LIST_EACH (link, &p->clients) {
        struct client *c = MU_CONTAINER(link, struct client, place);

        if (c->session != NULL && ipc_session_is_behind(c->session)) {
            is_anyone_behind = true;
            c->is_feeding = true;
            ipc_session_turn(c->session);
            c->is_feeding = false;
            settle(c);
        }
    }
    if (!is_anyone_behind) {
        (void)uv_idle_stop(turn);
    }
}

static void on_wake(void *data)
{
    struct client *c = data;

    if (!c->is_feeding) {
        settle(c);
    }
}

static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *room)
{
    struct client *c = handle->data;

    (void)wanted;
    *room = uv_buf_init(c->port->room, READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *bytes)
{
    struct client *c = stream->data;

    if (c->session == NULL) {
        if (count < 0) {
            handles_close(c); /* it has hung up */
        }
        return;
    }
    if (count < 0) {
        client_close(c);
        return;
    }
    c->is_feeding = true;
    ipc_session_feed(c->session, mu_span_of(bytes->base, (size_t)count));
    c->is_feeding = false;
    settle(c);
}

static void peer_of(const uv_tcp_t *socket, char text[MU_ADDR_TEXT_MAX])
{
    struct sockaddr_storage name;
    int bytes = sizeof name;
    struct mu_addr addr = MU_ADDR_NONE;

    if (uv_tcp_getpeername(socket, (struct sockaddr *)&name, &bytes) == 0) {
        (void)mu_addr_from_sockaddr((const struct sockaddr *)&name, &addr);
    }
    mu_addr_text(&addr, text);
}

static struct client *client_new(struct ipc_port *p, bool is_pipe)
{
    struct client *c = mu_new(sizeof *c);

    c->port = p;
    c->handles = 2;
    c->socket.any.data = c->patience.data = c;
    int rc =
        is_pipe ? uv_pipe_init(p->loop, &c->socket.pipe, 0) : uv_tcp_init(p->loop, &c->socket.tcp);

    MU_ASSERT(rc == 0); /* no descriptor is made yet */
    MU_ASSERT(uv_timer_init(p->loop, &c->patience) == 0);
    mu_list_push_back(&p->clients, &c->place);
    p->clients_count++;
    p->handles++;
    return c;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct ipc_port *p = listener->data;

    if (status != 0) {
        return;
    }
    if (!turnstile_pass(&p->turnstile, listener)) {
        (void)uv_idle_start(&p->turn, on_turn);
        return;
    }
    bool is_pipe = listener->type == UV_NAMED_PIPE;
    struct client *c = client_new(p, is_pipe);
    int rc = uv_accept(listener, &c->socket.stream);

    if (is_pipe) {
        (void)snprintf(c->peer, sizeof c->peer, "unix");
    } else {
        peer_of(&c->socket.tcp, c->peer);
    }
    c->session = ipc_session_new(&p->host, c->peer, on_wake, c);
    if (p->clients_count > IPC_CLIENTS_MAX) {
        ipc_fault(p->host.faults, IPC_FAULT_CROWD, c->peer, NULL);
        rc = UV_EBUSY;
    }
    if (rc == 0) {
        mu_logf(MU_DEBUG, "agent.ipc", "Accepted client: %s", c->peer);
        if (!is_pipe) {
            (void)uv_tcp_nodelay(&c->socket.tcp, 1);
        }
        rc = uv_read_start(&c->socket.stream, on_room, on_read);
    }
    if (rc != 0) {
        client_close(c);
    }
}

/* -- the port -----------------------------------------------------------------------------------
 */

struct ipc_port *ipc_port_new(struct uv_loop_s *loop, const struct ipc_host *host)
{
    struct ipc_port *p = mu_new(sizeof *p);

    p->loop = loop;
    p->host = *host;
    p->handles = 1; /* its turn, until the port is closed */
    p->turn.data = p;
    MU_ASSERT(uv_idle_init(loop, &p->turn) == 0);
    mu_list_init(&p->clients);
    return p;
}

enum mu_code ipc_port_listen(struct ipc_port *p, const struct mu_addr *address, struct mu_err *err)
{
    struct sockaddr_storage name;
    char text[MU_ADDR_TEXT_MAX];

    mu_addr_text(address, text);
    if (p->listeners_count == LISTENERS_MAX) {
        return mu_fail(err, MU_TOO_BIG, "listen tcp %s: at most %u addresses are served", text,
                       LISTENERS_MAX);
    }
    union handle *l = &p->listeners[p->listeners_count++];

    l->any.data = p;
    p->handles++;
    MU_ASSERT(uv_tcp_init(p->loop, &l->tcp) == 0); /* no descriptor is made yet */
    mu_addr_to_sockaddr(address, &name);
    int rc = uv_tcp_bind(&l->tcp, (const struct sockaddr *)&name, 0);

    rc = rc == 0 ? uv_listen(&l->stream, BACKLOG, on_connection) : rc;
    return rc == 0 ? MU_OK : mu_fail(err, MU_IO, "listen tcp %s: bind: %s", text, uv_strerror(rc));
}

/* A socket that nobody listens on any more is left by one that was killed. */
static void remove_left_over(const char *path)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    struct stat st;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void)snprintf(name.sun_path, sizeof name.sun_path, "%s", path);
    if (fd >= 0 && stat(path, &st) == 0 && S_ISSOCK(st.st_mode) &&
        connect(fd, (const struct sockaddr *)&name, sizeof name) != 0 && errno == ECONNREFUSED) {
        (void)unlink(path);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

enum mu_code ipc_port_listen_path(struct ipc_port *p, const char *path, struct mu_err *err)
{
    if (strlen(path) >= sizeof((struct sockaddr_un *)NULL)->sun_path) {
        return mu_fail(err, MU_INVALID, "listen unix %s: the path is too long", path);
    }
    MU_ASSERT(p->listeners_count == 0); /* it is the only one */
    union handle *l = &p->listeners[p->listeners_count++];

    l->any.data = p;
    p->handles++;
    MU_ASSERT(uv_pipe_init(p->loop, &l->pipe, 0) == 0); /* no descriptor is made yet */
    remove_left_over(path);
    int rc = uv_pipe_bind(&l->pipe, path);

    rc = rc == 0 && chmod(path, SOCKET_MODE) != 0 ? uv_translate_sys_error(errno) : rc;
    rc = rc == 0 ? uv_listen(&l->stream, BACKLOG, on_connection) : rc;
    return rc == 0 ? MU_OK : mu_fail(err, MU_IO, "listen unix %s: bind: %s", path, uv_strerror(rc));
}

void ipc_port_each(struct ipc_port *p, ipc_session_fn *each, void *data)
{
    MU_LIST_EACH (link, &p->clients) {
        struct client *c = MU_CONTAINER(link, struct client, place);

        if (c->session != NULL) {
            each(data, c->session);
        }
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    handle_gone(handle->data);
}

void ipc_port_close(struct ipc_port *p, ipc_closed_fn *closed, void *data)
{
    p->closed = closed;
    p->data = data;
    for (size_t i = 0; i < p->listeners_count; i++) {
        uv_close(&p->listeners[i].any, on_handle_closed);
    }
    MU_LIST_EACH (link, &p->clients) {
        struct client *c = MU_CONTAINER(link, struct client, place);

        if (c->session != NULL && ipc_session_is_parting(c->session)) {
            client_part(c); /* its answer may still be on its way out */
        } else {
            client_close(c);
        }
    }
    uv_close((uv_handle_t *)&p->turn, on_handle_closed); /* `closed` never comes from inside */
}
