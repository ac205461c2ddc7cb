/* Listeners, connections and the end of a turn.
 *
 * Every callback of the loop only feeds a connection (conn.h) and puts it on the list of those that
 * were touched. At the end of the turn, before the loop waits again, each of them goes on once:
 * woken reads are evaluated, answers of the turn leave in one write, reading is stopped or resumed,
 * what is over is closed. So a connection whose answers came one by one (HTTP/2) costs one system
 * call, and one that is being closed is never touched from inside its own callback.
 */
#include "server.h"

#include <string.h>
#include <uv.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"
#include "conn.h"
#include "listeners.h"

#define READ_BYTES (64U * 1024)
#define DRAIN_MS   3000U /* at stop, for requests that run */
#define KEPT_BYTES 4096U /* of a connection's buffer while nothing is to be sent */
#define ROUNDS_MAX 4     /* of touched connections in one turn */

/* http-api 1.14 */
static const char too_many[] =
    "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain; charset=utf-8\r\n"
    "Content-Length: 81\r\nConnection: close\r\n\r\n"
    "Your IP is issuing too many concurrent connections, please rate limit your calls\n";

union stream {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
};

struct per_ip {
    size_t count;
    uint8_t ip[16];
    size_t ip_bytes;
};

#define CLIENT_MAGIC 0x636c6e74U

/* One accepted connection. */
struct client {
    uint32_t magic;
    union stream h;
    struct server *server;
    struct conn conn;
    struct per_ip *ip;     /* NULL: a unix socket */
    struct mu_buf writing; /* the socket has not taken all of it */
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct deadline deadline;
    struct mu_link link;    /* in server->clients */
    struct mu_link touched; /* in server->touched */
    bool is_reading, is_writing, is_shut, is_closing;
};

/*        start            stop               clients closed         handles closed
 *   NEW --------> RUNNING ------> STOPPING -------------------> LEAVING -------------> STOPPED
 *    '---------- stop -------------^
 */
enum server_state {
    SERVER_NEW,
    SERVER_RUNNING,
    SERVER_STOPPING,
    SERVER_LEAVING,
    SERVER_STOPPED,
};

struct server {
    struct front *front;
    struct conn_host host;
    enum server_state state;
    struct listeners listeners;
    struct mu_link clients, touched;
    size_t clients_count;
    struct mu_table *ips;
    uint8_t *read_bytes;
    uv_timer_t timer;
    uv_prepare_t turn;
    uv_idle_t spin; /* runs while work is left over: the loop then does not wait */
    bool is_spinning;
    uint64_t aimed_ms;   /* what `timer` is set to; 0: not */
    uint64_t wall_at_ms; /* when host.wall_s was read */
    struct deadline drain;
    size_t handles_count; /* not closed yet */
    server_stopped_fn *stopped;
    void *stopped_data;
};

static struct client *client_of(void *data)
{
    struct client *c = data;

    MU_ASSERT(c != NULL && c->magic == CLIENT_MAGIC);
    return c;
}

/* -- time -------------------------------------------------------------------------------------- */

static void clock_update(struct server *s)
{
    uint64_t now = agent_now_ms(s->front->agent);

    s->host.now_ms = now;
    if (s->wall_at_ms == 0 || now - s->wall_at_ms >= 200) {
        s->host.wall_s = mu_clock_wall_ns() / MU_NS_PER_S;
        s->wall_at_ms = now;
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct server *s = timer->data;

    s->aimed_ms = 0;
    clock_update(s);
    deadlines_run(&s->front->deadlines, s->host.now_ms);
}

/* An earlier aim than needed fires for nothing and is aimed anew: cheaper than moving it with each
 * deadline that moved. */
static void timer_aim(struct server *s)
{
    uint64_t next = deadlines_next(&s->front->deadlines);
    uint64_t now = s->host.now_ms;

    if (next == 0 || (s->aimed_ms != 0 && s->aimed_ms <= next)) {
        return;
    }
    s->aimed_ms = next;
    (void)uv_timer_start(&s->timer, on_timer, next > now ? next - now : 0, 0);
}

/* -- closing ----------------------------------------------------------------------------------- */

static void finish_stop(struct server *s);

static void on_client_closed(uv_handle_t *handle)
{
    struct client *c = client_of(handle->data);
    struct server *s = c->server;

    mu_buf_deinit(&c->writing);
    c->magic = 0;
    mu_free(c);
    s->clients_count--;
    finish_stop(s);
}

static void ip_release(struct server *s, struct per_ip *ip)
{
    if (ip == NULL || --ip->count > 0) {
        return;
    }
    (void)mu_table_remove(s->ips, mu_span_of(ip->ip, ip->ip_bytes));
    mu_free(ip);
}

static void client_close(struct client *c)
{
    if (c->is_closing) {
        return;
    }
    c->is_closing = true;
    deadline_clear(&c->server->front->deadlines, &c->deadline);
    conn_deinit(&c->conn);
    mu_list_remove(&c->link);
    mu_list_remove(&c->touched);
    ip_release(c->server, c->ip);
    uv_close(&c->h.handle, on_client_closed);
}

/* -- sending ----------------------------------------------------------------------------------- */

static void touch(void *data, struct conn *conn)
{
    struct server *s = data;
    struct client *c = MU_CONTAINER(conn, struct client, conn);

    if (!mu_list_linked(&c->touched) && !c->is_closing) {
        mu_list_push_back(&s->touched, &c->touched);
    }
}

static size_t unsent(void *data, struct conn *conn)
{
    const struct client *c = MU_CONTAINER(conn, struct client, conn);

    (void)data;
    return uv_stream_get_write_queue_size(&c->h.stream);
}

static void on_written(uv_write_t *write, int status)
{
    struct client *c = client_of(write->data);

    c->is_writing = false;
    if (c->is_closing) {
        return;
    }
    if (status < 0) {
        client_close(c);
        return;
    }
    mu_buf_deinit(&c->writing);
    clock_update(c->server);
    conn_sent(&c->conn, 0);
    touch(c->server, &c->conn);
}

/* What the socket did not take at once is handed to the loop, and `out` is free for more. */
static void write_rest(struct client *c, size_t taken)
{
    MU_ASSERT(c->writing.data == NULL);
    mu_buf_drop(&c->conn.out, taken);
    c->writing = c->conn.out;
    c->conn.out = MU_BUF_NONE;

    uv_buf_t buf = uv_buf_init((char *)c->writing.data, (unsigned)c->writing.bytes);

    c->is_writing = true;
    conn_sent(&c->conn, c->writing.bytes);
    if (uv_write(&c->write, &c->h.stream, &buf, 1, on_written) != 0) {
        c->is_writing = false;
        client_close(c);
    }
}

static void client_flush(struct client *c)
{
    struct mu_buf *out = &c->conn.out;

    if (c->is_writing || out->bytes == 0) {
        return;
    }
    uv_buf_t buf = uv_buf_init((char *)out->data, (unsigned)out->bytes);
    int rc = uv_try_write(&c->h.stream, &buf, 1);

    if (rc < 0 && rc != UV_EAGAIN) {
        client_close(c);
        return;
    }
    if (rc > 0) {
        conn_took(&c->conn, (size_t)rc);
    }
    if (rc == (int)out->bytes) {
        if (out->room > KEPT_BYTES) {
            mu_buf_deinit(out);
        } else {
            mu_buf_clear(out);
        }
        conn_sent(&c->conn, 0);
        return;
    }
    write_rest(c, rc > 0 ? (size_t)rc : 0);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    (void)req;
    (void)status; /* the peer's end or the deadline closes it in either case */
}

/* -- reading ----------------------------------------------------------------------------------- */

/* One buffer for all: what is read is used up before the next read. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct client *c = client_of(handle->data);

    (void)suggested;
    *buf = uv_buf_init((char *)c->server->read_bytes, READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t bytes, const uv_buf_t *buf)
{
    struct client *c = client_of(stream->data);

    if (bytes == 0) {
        return;
    }
    clock_update(c->server);
    if (bytes == UV_EOF) {
        conn_eof(&c->conn);
    } else if (bytes < 0) {
        client_close(c);
        return;
    } else {
        conn_feed(&c->conn, mu_span_of(buf->base, (size_t)bytes));
    }
    touch(c->server, &c->conn);
}

static void client_read(struct client *c)
{
    bool wants = conn_wants_read(&c->conn);

    if (wants == c->is_reading) {
        return;
    }
    c->is_reading = wants;
    if (!wants) {
        (void)uv_read_stop(&c->h.stream);
    } else if (uv_read_start(&c->h.stream, on_alloc, on_read) != 0) {
        client_close(c);
    }
}

/* -- deadlines --------------------------------------------------------------------------------- */

/* Lazily: the timer may be early, then it is set to where the deadline moved meanwhile. */
static void on_deadline(void *data);

static void deadline_aim(struct client *c)
{
    uint64_t at = conn_deadline(&c->conn);

    if (at != 0 && (!deadline_is_set(&c->deadline) || deadline_at(&c->deadline) > at)) {
        deadline_set(&c->server->front->deadlines, &c->deadline, at, on_deadline, c);
    }
}

static void on_deadline(void *data)
{
    struct client *c = client_of(data);
    conn_look(&c->conn);
    uint64_t at = conn_deadline(&c->conn);

    if (at != 0 && at <= c->server->host.now_ms) {
        client_close(c);
    } else {
        deadline_aim(c);
    }
}

/* -- the end of a turn ------------------------------------------------------------------------- */

static void client_turn(struct client *c)
{
    if (c->conn.is_evicted) { /* nothing of it is for anybody any more */
        client_close(c);
        return;
    }
    conn_turn(&c->conn);
    client_flush(c);
    if (c->is_closing) {
        return;
    }
    if (conn_is_over(&c->conn)) {
        client_close(c);
        return;
    }
    if (conn_wants_shutdown(&c->conn) && !c->is_shut) {
        c->is_shut = true;
        (void)uv_shutdown(&c->shutdown, &c->h.stream, on_shutdown);
    }
    client_read(c);
    if (!c->is_closing) {
        deadline_aim(c);
    }
}

/* Those that were touched when the round began; what is touched meanwhile comes in the next. */
static void touched_round(struct server *s)
{
    struct mu_link round, *link;

    mu_list_init(&round);
    while ((link = mu_list_pop_front(&s->touched)) != NULL) {
        mu_list_push_back(&round, link);
    }
    while ((link = mu_list_pop_front(&round)) != NULL) {
        client_turn(MU_CONTAINER(link, struct client, touched));
    }
}

static void on_spin(uv_idle_t *idle)
{
    (void)idle; /* an active idle handle keeps the loop from waiting: that is all it is for */
}

static void spin(struct server *s, bool is_needed)
{
    if (is_needed == s->is_spinning) {
        return;
    }
    s->is_spinning = is_needed;
    if (is_needed) {
        (void)uv_idle_start(&s->spin, on_spin);
    } else {
        (void)uv_idle_stop(&s->spin);
    }
}

static void on_turn(uv_prepare_t *turn)
{
    struct server *s = turn->data;
    bool is_more;

    clock_update(s);
    listeners_turn(&s->listeners);
    is_more = front_turn(s->front);
    for (unsigned i = 0; i < ROUNDS_MAX && !mu_list_empty(&s->touched); i++) {
        touched_round(s);
    }
    s->front->pool.turn_bytes = 0;
    timer_aim(s);
    spin(s, is_more || !mu_list_empty(&s->touched));
}

/* -- accepting --------------------------------------------------------------------------------- */

static struct mu_addr peer_of(const struct client *c, bool is_pipe)
{
    struct mu_addr address = MU_ADDR_NONE;
    struct sockaddr_storage name;
    int bytes = sizeof name;

    if (!is_pipe && uv_tcp_getpeername(&c->h.tcp, (struct sockaddr *)&name, &bytes) == 0) {
        (void)mu_addr_from_sockaddr((const struct sockaddr *)&name, &address);
    }
    return address;
}

static struct per_ip *ip_hold(struct server *s, const struct mu_addr *address)
{
    struct mu_span key = mu_span_of(address->ip, address->ip_bytes);
    struct per_ip *ip = mu_table_find(s->ips, key);

    if (ip == NULL) {
        ip = mu_new(sizeof *ip);
        memcpy(ip->ip, address->ip, sizeof ip->ip);
        ip->ip_bytes = address->ip_bytes;
        (void)mu_table_put(s->ips, key, ip);
    }
    ip->count++;
    return ip;
}

/* Beyond a limit the newest goes, told why as far as its socket takes it at once. */
static bool is_too_many(struct server *s, struct client *c)
{
    bool is_full = s->clients_count > MU_HTTP_CONNECTIONS_MAX;
    bool is_greedy =
        c->ip != NULL && c->ip->count > (size_t)s->front->config->http_max_conns_per_client;

    if (is_greedy) {
        char text[sizeof too_many];
        uv_buf_t buf = uv_buf_init(text, sizeof too_many - 1);

        memcpy(text, too_many, sizeof too_many);
        (void)uv_try_write(&c->h.stream, &buf, 1);
    }
    return is_full || is_greedy;
}

static void client_init(struct client *c, uv_loop_t *loop, bool is_pipe)
{
    int rc = is_pipe ? uv_pipe_init(loop, &c->h.pipe, 0) : uv_tcp_init(loop, &c->h.tcp);

    MU_ASSERT(rc == 0); /* no descriptor is made yet */
}

static void on_connection(void *data, uv_stream_t *listener, bool is_pipe)
{
    struct server *s = data;
    struct client *c = mu_new(sizeof *c);

    MU_ASSERT(s->state == SERVER_RUNNING);
    c->magic = CLIENT_MAGIC;
    c->server = s;
    client_init(c, listener->loop, is_pipe);
    c->h.handle.data = c->write.data = c->shutdown.data = c;
    s->clients_count++;
    clock_update(s);
    mu_list_push_back(&s->clients, &c->link);
    if (uv_accept(listener, &c->h.stream) != 0) {
        conn_init(&c->conn, &s->host, &MU_ADDR_NONE);
        client_close(c);
        return;
    }
    struct mu_addr peer = peer_of(c, is_pipe);

    conn_init(&c->conn, &s->host, &peer);
    c->ip = peer.ip_bytes > 0 ? ip_hold(s, &peer) : NULL;
    if (is_too_many(s, c)) {
        client_close(c);
        return;
    }
    if (!is_pipe) {
        (void)uv_tcp_nodelay(&c->h.tcp, 1);
        (void)uv_tcp_keepalive(&c->h.tcp, 1, 60); /* or a dead peer holds its long poll for ever */
    }
    touch(s, &c->conn); /* the end of the turn begins to read */
}

/* -- life -------------------------------------------------------------------------------------- */

static void on_listeners_closed(void *data)
{
    finish_stop(data);
}

struct server *server_new(struct front *front)
{
    struct server *s = mu_new(sizeof *s);

    s->front = front;
    s->host = (struct conn_host){ .pool = &front->pool,
                                  .style = &front->style,
                                  .begin = front_begin,
                                  .serve = front_serve,
                                  .data = front,
                                  .touch = touch,
                                  .unsent = unsent,
                                  .touch_data = s };
    mu_list_init(&s->clients);
    mu_list_init(&s->touched);
    s->listeners =
        (struct listeners){ .accept = on_connection, .closed = on_listeners_closed, .data = s };
    s->ips = mu_table_new();
    s->read_bytes = mu_new(READ_BYTES);
    return s;
}

/* The handles that every turn needs. libuv runs prepare handles in the reverse order of their
 * start: ours, started last, comes before those of the agent, which send what we answered to other
 * agents and end the turn's read transaction. */
static void loop_enter(struct server *s)
{
    uv_loop_t *loop = agent_loop(s->front->agent);

    (void)uv_timer_init(loop, &s->timer);
    (void)uv_prepare_init(loop, &s->turn);
    (void)uv_idle_init(loop, &s->spin);
    s->timer.data = s->turn.data = s->spin.data = s;
    s->handles_count += 3;
    clock_update(s);
    (void)uv_prepare_start(&s->turn, on_turn);
    uv_unref(
        (uv_handle_t *)&s->turn); /* listeners keep the loop alive, waiting for them does not */
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct server *s = handle->data;

    s->handles_count--;
    finish_stop(s);
}

static void loop_leave(struct server *s)
{
    deadline_clear(&s->front->deadlines, &s->drain);
    uv_close((uv_handle_t *)&s->timer, on_handle_closed);
    uv_close((uv_handle_t *)&s->turn, on_handle_closed);
    uv_close((uv_handle_t *)&s->spin, on_handle_closed);
}

enum mu_code server_start(struct server *s, struct mu_err *err)
{
    enum mu_code rc;

    MU_ASSERT(s->state == SERVER_NEW);
    s->state = SERVER_RUNNING;
    loop_enter(s);
    rc = listeners_open(&s->listeners, agent_loop(s->front->agent), s->front->config, err);
    if (rc != MU_OK) {
        listeners_close(&s->listeners);
    }
    return rc;
}

static void destroy(struct server *s)
{
    mu_table_free(s->ips);
    mu_free(s->read_bytes);
    mu_free(s);
}

/* One step further whenever something has closed: clients, then the handles of the turn. */
static void finish_stop(struct server *s)
{
    if (s->state == SERVER_STOPPING && s->clients_count == 0) {
        s->state = SERVER_LEAVING;
        loop_leave(s);
        return;
    }
    if (s->state != SERVER_LEAVING || s->handles_count > 0 || s->listeners.open_count > 0) {
        return;
    }
    s->state = SERVER_STOPPED;
    s->stopped(s->stopped_data);
}

static void on_drained(void *data)
{
    struct server *s = data;

    MU_LIST_EACH_SAFE (link, &s->clients) {
        client_close(MU_CONTAINER(link, struct client, link));
    }
}

void server_stop(struct server *s, server_stopped_fn *stopped, void *data)
{
    MU_ASSERT(s->state == SERVER_NEW || s->state == SERVER_RUNNING);
    if (s->state == SERVER_NEW) {
        loop_enter(s); /* so that its end comes from the loop */
    }
    s->state = SERVER_STOPPING;
    s->stopped = stopped;
    s->stopped_data = data;
    listeners_close(&s->listeners);
    MU_LIST_EACH (link, &s->clients) {
        conn_stop(&MU_CONTAINER(link, struct client, link)->conn);
    }
    front_stop(s->front);
    deadline_set(&s->front->deadlines, &s->drain, s->host.now_ms + DRAIN_MS, on_drained, s);
    timer_aim(s);
    finish_stop(s);
}

void server_free(struct server *s)
{
    if (s == NULL) {
        return;
    }
    MU_ASSERT(s->state == SERVER_NEW || s->state == SERVER_STOPPED);
    destroy(s);
}
