/* dns_tcp_uv.c - queries over TCP (spec/dns.md 22.2).
 *
 * All connections read into one shared buffer and answer into another; what belongs to a connection
 * at rest is its handle and a few words. Only a message that is not complete yet, or more messages
 * than one turn serves, are kept with the connection.
 *
 * A connection is always in exactly one state, and each state but one has a time after which the
 * connection is closed. The states are lists in the order of those deadlines, so one timer does.
 *
 *   FRESH ----first byte----> READING ----complete----> BUSY ----answered----> IDLE
 *                                ^                        |                     |
 *                                |                        v                     |
 *                                |                     STALLED                  |
 *                                '-------------- first byte of the next --------'
 *
 * BUSY: an answer is to come, or it is not this connection's turn. STALLED: answers do not leave.
 */
#include <string.h>
#include <sys/resource.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "dns_clients.h"
#include "dns_loop.h"

#define LENGTH_BYTES   2
#define READ_BYTES     16384 /* at a time; what one turn leaves of it is kept */
#define OUT_BYTES      (2 * ((size_t)LENGTH_BYTES + MU_DNS_TCP_MAX))
#define LISTEN_QUEUE   511
#define SHARE_OF_FILES 4 /* a quarter of what the process may open */

enum conn_state {
    CONN_FRESH,
    CONN_READING,
    CONN_BUSY,
    CONN_STALLED,
    CONN_IDLE,
    CONN_CLOSING,
    CONN_STATES_COUNT,
};

struct dns_tcp {
    struct dns_sockets *sockets;
    struct mu_link conns[CONN_STATES_COUNT];
    size_t count; /* without those that are closing */
    struct dns_clients *clients;
    uv_idle_t again; /* runs while some connection has more than its turn allowed */
    bool has_again;
    struct mu_link backlog;
    size_t out_used;
    uint8_t in[READ_BYTES];
    uint8_t out[OUT_BYTES];
};

struct conn {
    uv_tcp_t handle;
    struct dns_tcp *tcp;
    struct mu_link link;    /* in tcp->conns[state] */
    struct mu_link backlog; /* linked: complete messages are left in `kept` */
    struct mu_link waits;   /* struct tcp_later */
    enum conn_state state;
    uint64_t until_ms; /* of the state; 0: none */
    size_t unsent;     /* when it was last looked at: less is progress */
    unsigned waits_count;
    struct mu_addr client;
    struct mu_buf kept; /* read, not yet served */
    bool has_asked, is_reading, has_ended;
};

struct tcp_later {
    struct mu_link link;
    uint64_t read_ns;
    struct conn *conn;
    struct dns_wait *wait;
};

struct write {
    uv_write_t request;
    size_t bytes;
    uint8_t data[];
};

struct dns_listener {
    uv_tcp_t handle;
    struct dns_tcp *tcp;
};

_Static_assert(sizeof(struct conn) < 1024, "a connection at rest costs less than 1 KiB");

struct dns_tcp_limits dns_tcp_limits_default(void)
{
    struct rlimit files = { 0 };
    size_t share = MU_DNS_TCP_CONNS;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur / SHARE_OF_FILES < share) {
        share = (size_t)files.rlim_cur / SHARE_OF_FILES;
    }
    return (struct dns_tcp_limits){
        .fresh_ms = 5000,
        .idle_ms = 10000,
        .message_ms = 2000,
        .stall_ms = 5000,
        .connections = share,
        .connections_of_one = 64,
        .waits = 100,
        .unsent_bytes = (size_t)256 * 1024,
        .turn_messages = 16,
    };
}

/* -- states ------------------------------------------------------------------------------------ */

static uint64_t state_ms(const struct conn *c, enum conn_state state)
{
    const struct dns_tcp_limits *l = &c->tcp->sockets->limits;

    switch (state) {
    case CONN_FRESH: return l->fresh_ms;
    case CONN_READING: return l->message_ms;
    case CONN_STALLED: return l->stall_ms;
    case CONN_IDLE: return l->idle_ms;
    case CONN_BUSY: /* its waits have deadlines of their own */
    case CONN_CLOSING:
    case CONN_STATES_COUNT: break;
    }
    return 0;
}

/* `renew`: the time of the state begins anew, even if it was in that state. */
static void conn_move(struct conn *c, enum conn_state state, bool renew)
{
    uint64_t ms = state_ms(c, state);

    MU_ASSERT(c->state != CONN_CLOSING);
    if (state == c->state && !renew) {
        return;
    }
    mu_list_remove(&c->link);
    c->state = state;
    c->until_ms = ms > 0 ? uv_now(c->tcp->sockets->loop) + ms : 0;
    mu_list_push_back(&c->tcp->conns[state], &c->link);
}

static struct conn *first_of(struct dns_tcp *t, enum conn_state state)
{
    struct mu_link *head = &t->conns[state];

    return mu_list_empty(head) ? NULL : MU_CONTAINER(head->next, struct conn, link);
}

/* -- closing ----------------------------------------------------------------------------------- */

static void on_conn_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    struct dns_sockets *s = c->tcp->sockets;

    mu_list_remove(&c->link);
    mu_buf_deinit(&c->kept);
    mu_free(c);
    dns_sockets_closed(s);
}

static void conn_close(struct conn *c)
{
    struct mu_link *link;

    if (c->state == CONN_CLOSING) {
        return;
    }
    while ((link = mu_list_pop_front(&c->waits)) != NULL) {
        struct tcp_later *l = MU_CONTAINER(link, struct tcp_later, link);

        dns_engine_cancel(c->tcp->sockets->engine, l->wait);
        mu_free(l);
    }
    mu_list_remove(&c->backlog);
    conn_move(c, CONN_CLOSING, true);
    c->tcp->count--;
    (void)dns_clients_remove(c->tcp->clients, &c->client);
    uv_close((uv_handle_t *)&c->handle, on_conn_closed);
}

/* -- writing ----------------------------------------------------------------------------------- */

static void conn_settle(struct conn *c, bool renew);

static void on_written(uv_write_t *request, int status)
{
    struct write *w = MU_CONTAINER(request, struct write, request);
    struct conn *c = request->data;

    mu_free(w);
    if (c->state == CONN_CLOSING) {
        return;
    }
    if (status < 0) {
        conn_close(c);
        return;
    }
    conn_settle(c, true);
}

static void write_rest(struct conn *c, const uint8_t *data, size_t bytes)
{
    struct write *w = mu_new(sizeof *w + bytes);

    w->bytes = bytes;
    memcpy(w->data, data, bytes);
    w->request.data = c;
    uv_buf_t part = uv_buf_init((char *)w->data, (unsigned)bytes);

    if (uv_write(&w->request, (uv_stream_t *)&c->handle, &part, 1, on_written) != 0) {
        mu_free(w);
        conn_close(c);
    }
}

/* Send what lies in tcp->out: at once as far as the kernel takes it. */
static void flush(struct conn *c)
{
    struct dns_tcp *t = c->tcp;
    size_t bytes = t->out_used;
    size_t sent = 0;

    t->out_used = 0;
    if (bytes == 0) {
        return;
    }
    if (uv_stream_get_write_queue_size((const uv_stream_t *)&c->handle) == 0) {
        uv_buf_t part = uv_buf_init((char *)t->out, (unsigned)bytes);
        int rc = uv_try_write((uv_stream_t *)&c->handle, &part, 1);

        if (rc < 0 && rc != UV_EAGAIN) {
            conn_close(c);
            return;
        }
        sent = rc > 0 ? (size_t)rc : 0;
    }
    if (sent < bytes) {
        write_rest(c, t->out + sent, bytes - sent);
    }
}

/* An answer of `bytes` was written behind its place for the length. */
static void pack(struct dns_tcp *t, size_t bytes)
{
    t->out[t->out_used] = (uint8_t)(bytes >> 8);
    t->out[t->out_used + 1] = (uint8_t)bytes;
    t->out_used += LENGTH_BYTES + bytes;
}

/* -- serving ----------------------------------------------------------------------------------- */

static void on_later(void *data, struct mu_span answer)
{
    struct tcp_later *l = data;
    struct conn *c = l->conn;
    struct dns_tcp *t = c->tcp;

    dns_took(dns_engine_counts(t->sockets->engine), mu_clock_ns() - l->read_ns, 1);
    mu_list_remove(&l->link);
    mu_free(l);
    c->waits_count--;
    MU_ASSERT(t->out_used == 0 && answer.bytes <= MU_DNS_TCP_MAX);
    memcpy(t->out + LENGTH_BYTES, answer.data, answer.bytes);
    pack(t, answer.bytes);
    flush(c);
    if (c->state != CONN_CLOSING) {
        conn_settle(c, true);
    }
}

static void remember(struct conn *c, struct dns_wait *wait, uint64_t read_ns)
{
    struct tcp_later *l = mu_new(sizeof *l);

    l->read_ns = read_ns;
    l->conn = c;
    l->wait = wait;
    mu_list_push_back(&c->waits, &l->link);
    c->waits_count++;
    dns_wait_then(wait, on_later, l);
}

static void serve_one(struct conn *c, struct mu_span message)
{
    struct dns_tcp *t = c->tcp;
    struct agent_dns_request request = { message, true, c->client };
    struct dns_wait *wait = NULL;
    uint64_t read_ns = mu_clock_ns();
    size_t bytes = 0;

    c->has_asked = true;
    if (OUT_BYTES - t->out_used < LENGTH_BYTES + MU_DNS_TCP_MAX) {
        flush(c);
        if (c->state == CONN_CLOSING) {
            return;
        }
    }
    switch (dns_engine_ask(t->sockets->engine, &request, dns_sockets_now(t->sockets),
                           t->out + t->out_used + LENGTH_BYTES, &bytes, &wait)) {
    case DNS_DONE_NOTHING: break;
    case DNS_DONE_ANSWER:
        pack(t, bytes);
        dns_took(dns_engine_counts(t->sockets->engine), mu_clock_ns() - read_ns, 1);
        break;
    case DNS_DONE_WAIT: remember(c, wait, read_ns); break;
    }
}

/* The bytes of the first message with its length; 0: not complete. */
static size_t message_bytes(const uint8_t *data, size_t bytes)
{
    size_t whole = bytes >= LENGTH_BYTES ? LENGTH_BYTES + ((size_t)data[0] << 8 | data[1]) : 0;

    return whole <= bytes ? whole : 0;
}

static bool may_serve(const struct conn *c)
{
    const struct dns_tcp_limits *l = &c->tcp->sockets->limits;

    return c->waits_count < l->waits &&
           uv_stream_get_write_queue_size((const uv_stream_t *)&c->handle) < l->unsent_bytes;
}

/* A length that no query has. */
static bool is_nonsense(const uint8_t *data, size_t bytes)
{
    return bytes >= LENGTH_BYTES && ((size_t)data[0] << 8 | data[1]) < DNS_HEADER_BYTES;
}

/* Answer complete messages, as many as one turn allows. Returns the bytes served; nonsense closes
 * the connection, once what came before it is answered. */
static size_t serve(struct conn *c, const uint8_t *data, size_t bytes)
{
    unsigned left = c->tcp->sockets->limits.turn_messages;
    size_t at = 0;

    while (left-- > 0 && c->state != CONN_CLOSING && may_serve(c)) {
        size_t whole = message_bytes(data + at, bytes - at);

        if (whole < LENGTH_BYTES + DNS_HEADER_BYTES) {
            break;
        }
        serve_one(c, mu_span_of(data + at + LENGTH_BYTES, whole - LENGTH_BYTES));
        at += whole;
    }
    if (c->state != CONN_CLOSING) {
        flush(c);
    }
    c->tcp->out_used = 0;
    if (c->state != CONN_CLOSING && is_nonsense(data + at, bytes - at)) {
        dns_engine_malformed(c->tcp->sockets->engine, DNS_FAULT_LENGTH, &c->client,
                             dns_sockets_now(c->tcp->sockets));
        conn_close(c);
    }
    return at;
}

/* Serve what is kept. True: something was served. */
static bool serve_kept(struct conn *c)
{
    size_t served = serve(c, c->kept.data, c->kept.bytes);

    if (c->state == CONN_CLOSING) {
        return true;
    }
    mu_buf_drop(&c->kept, served);
    if (c->kept.bytes == 0) {
        mu_buf_deinit(&c->kept);
    }
    return served > 0;
}

/* -- what comes next --------------------------------------------------------------------------- */

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *to)
{
    struct conn *c = handle->data;

    (void)suggested;
    *to = uv_buf_init((char *)c->tcp->in, sizeof c->tcp->in);
}

static void on_read(uv_stream_t *stream, ssize_t bytes, const uv_buf_t *from);

static void reading_set(struct conn *c, bool on)
{
    if (on == c->is_reading) {
        return;
    }
    c->is_reading = on;
    if (!on) {
        (void)uv_read_stop((uv_stream_t *)&c->handle);
    } else if (uv_read_start((uv_stream_t *)&c->handle, on_allocate, on_read) != 0) {
        conn_close(c);
    }
}

static void on_again(uv_idle_t *idle)
{
    struct dns_tcp *t = idle->data;
    struct mu_link turn;
    struct mu_link *link;

    mu_list_init(&turn); /* those that are not done after this turn come back into t->backlog */
    while ((link = mu_list_pop_front(&t->backlog)) != NULL) {
        mu_list_push_back(&turn, link);
    }
    while ((link = mu_list_pop_front(&turn)) != NULL) {
        struct conn *c = MU_CONTAINER(link, struct conn, backlog);
        bool was_served = serve_kept(c);

        if (c->state != CONN_CLOSING) {
            conn_settle(c, was_served);
        }
    }
    if (mu_list_empty(&t->backlog)) {
        (void)uv_idle_stop(&t->again);
    }
}

static void backlog_add(struct conn *c)
{
    struct dns_tcp *t = c->tcp;

    if (!t->has_again) {
        int rc = uv_idle_init(t->sockets->loop, &t->again);

        MU_ASSERT(rc == 0);
        t->again.data = t;
        t->has_again = true;
        t->sockets->handles++;
    }
    if (!mu_list_linked(&c->backlog)) {
        mu_list_push_back(&t->backlog, &c->backlog);
    }
    (void)uv_idle_start(&t->again, on_again);
}

/* In which state the connection is, whether it is read, whether it ends. `renew`: something
 * happened since the last time. */
static void conn_settle(struct conn *c, bool renew)
{
    const struct dns_tcp_limits *l = &c->tcp->sockets->limits;
    size_t unsent = uv_stream_get_write_queue_size((const uv_stream_t *)&c->handle);
    bool has_message = message_bytes(c->kept.data, c->kept.bytes) > 0;
    bool is_blocked = c->waits_count >= l->waits || unsent >= l->unsent_bytes;
    bool has_work = c->waits_count > 0 || has_message;

    if (has_message && !is_blocked) {
        backlog_add(c);
    }
    if (c->has_ended && unsent == 0 && !has_work) {
        conn_close(c); /* everything is answered; half a message will never be whole */
        return;
    }
    bool has_progress = unsent < c->unsent;

    c->unsent = unsent;
    if (unsent > 0) {
        conn_move(c, CONN_STALLED, has_progress);
    } else if (has_work) {
        conn_move(c, CONN_BUSY, renew);
    } else if (c->kept.bytes > 0) {
        conn_move(c, CONN_READING, renew);
    } else {
        conn_move(c, c->has_asked ? CONN_IDLE : CONN_FRESH, renew && c->has_asked);
    }
    reading_set(c, !c->has_ended && !is_blocked && !has_message);
    dns_sockets_aim(c->tcp->sockets);
}

static void on_read(uv_stream_t *stream, ssize_t bytes, const uv_buf_t *from)
{
    struct conn *c = stream->data;
    size_t served = 0;

    if (bytes == 0 || c->state == CONN_CLOSING) {
        return; /* nothing to read now */
    }
    if (bytes == UV_EOF) {
        c->has_ended = true;
        conn_settle(c, false);
        return;
    }
    if (bytes < 0) {
        conn_close(c);
        return;
    }
    bool was_empty = c->kept.bytes == 0;

    if (was_empty) {
        const uint8_t *data = (const uint8_t *)from->base;

        served = serve(c, data, (size_t)bytes);
        if (c->state != CONN_CLOSING && served < (size_t)bytes) {
            mu_buf_add(&c->kept, data + served, (size_t)bytes - served);
        }
    } else {
        mu_buf_add(&c->kept, from->base, (size_t)bytes);
        served = serve_kept(c) ? 1 : 0;
    }
    if (c->state != CONN_CLOSING) {
        conn_settle(c, was_empty || served > 0);
    }
}

/* -- accepting --------------------------------------------------------------------------------- */

/* The connection that has been at rest for longest, of one client or of all (NULL). */
static struct conn *oldest(struct dns_tcp *t, const struct mu_addr *of, const struct conn *but)
{
    static const enum conn_state order[] = { CONN_IDLE, CONN_FRESH, CONN_READING, CONN_STALLED,
                                             CONN_BUSY };

    for (size_t i = 0; i < MU_LEN(order); i++) {
        MU_LIST_EACH (link, &t->conns[order[i]]) {
            struct conn *c = MU_CONTAINER(link, struct conn, link);

            if (c != but && (of == NULL || mu_addr_eq_ip(&c->client, of))) {
                return c;
            }
        }
    }
    return NULL;
}

/* Somebody has to go: never the newcomer, or a full table would shut everybody out (22.2). */
static void make_room(struct dns_tcp *t, const struct conn *newcomer, size_t of_client)
{
    const struct dns_tcp_limits *l = &t->sockets->limits;
    struct conn *victim = NULL;

    if (of_client > l->connections_of_one && !mu_addr_is_loopback(&newcomer->client)) {
        victim = oldest(t, &newcomer->client, newcomer);
    } else if (t->count > l->connections) {
        victim = oldest(t, NULL, newcomer);
    }
    if (victim != NULL) {
        conn_close(victim);
    }
}

static bool client_of(uv_tcp_t *handle, struct mu_addr *to)
{
    struct sockaddr_storage sa;
    int bytes = sizeof sa;

    return uv_tcp_getpeername(handle, (struct sockaddr *)&sa, &bytes) == 0 &&
           mu_addr_from_sockaddr((const struct sockaddr *)&sa, to);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct dns_listener *l = server->data;
    struct dns_tcp *t = l->tcp;

    if (status < 0) {
        return; /* out of descriptors, or gone again: the next one may do */
    }
    struct conn *c = mu_new(sizeof *c);
    int rc = uv_tcp_init(t->sockets->loop, &c->handle);

    MU_ASSERT(rc == 0);
    t->sockets->handles++;
    c->handle.data = c;
    c->tcp = t;
    c->state = CONN_BUSY; /* until it is known who it is */
    mu_list_init(&c->waits);
    mu_list_push_back(&t->conns[c->state], &c->link);
    t->count++;
    rc = uv_accept(server, (uv_stream_t *)&c->handle);
    bool is_known = rc == 0 && client_of(&c->handle, &c->client);
    size_t of_client = dns_clients_add(t->clients, &c->client);

    if (!is_known) {
        conn_close(c);
        return;
    }
    (void)uv_tcp_nodelay(&c->handle, 1);
    make_room(t, c, of_client);
    conn_settle(c, true);
}

/* -- time -------------------------------------------------------------------------------------- */

/* Answers left since the deadline was set: the client reads, if slowly. */
static bool has_progressed(const struct conn *c)
{
    return c->state == CONN_STALLED &&
           uv_stream_get_write_queue_size((const uv_stream_t *)&c->handle) < c->unsent;
}

void dns_tcp_tick(struct dns_tcp *t, uint64_t now_ms)
{
    for (unsigned state = 0; state < CONN_CLOSING; state++) {
        struct conn *c;

        while ((c = first_of(t, (enum conn_state)state)) != NULL && c->until_ms != 0 &&
               c->until_ms <= now_ms) {
            if (has_progressed(c)) {
                conn_settle(c, true);
            } else {
                conn_close(c);
            }
        }
    }
}

uint64_t dns_tcp_wake_ms(const struct dns_tcp *t)
{
    uint64_t wake_ms = 0;

    for (unsigned state = 0; state < CONN_CLOSING; state++) {
        const struct mu_link *head = &t->conns[state];

        if (!mu_list_empty(head)) {
            const struct conn *c = MU_CONTAINER(head->next, struct conn, link);

            if (c->until_ms != 0 && (wake_ms == 0 || c->until_ms < wake_ms)) {
                wake_ms = c->until_ms;
            }
        }
    }
    return wake_ms;
}

/* -- life -------------------------------------------------------------------------------------- */

struct dns_tcp *dns_tcp_new(struct dns_sockets *s)
{
    struct dns_tcp *t = mu_new(sizeof *t);

    t->sockets = s;
    t->clients = dns_clients_new();
    mu_list_init(&t->backlog);
    for (unsigned i = 0; i < CONN_STATES_COUNT; i++) {
        mu_list_init(&t->conns[i]);
    }
    return t;
}

void dns_tcp_free(struct dns_tcp *t)
{
    MU_ASSERT(t->count == 0);
    dns_clients_free(t->clients);
    mu_free(t);
}

size_t dns_tcp_count(const struct dns_tcp *t)
{
    return t->count;
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct dns_listener *l = handle->data;
    struct dns_sockets *s = l->tcp->sockets;

    mu_free(l);
    dns_sockets_closed(s);
}

void dns_listener_close(struct dns_listener *l)
{
    uv_close((uv_handle_t *)&l->handle, on_listener_closed);
}

enum mu_code dns_tcp_listen(struct dns_listener **out, struct dns_tcp *t,
                            const struct mu_addr *address, bool only_v6, struct mu_err *err)
{
    struct dns_listener *l = mu_new(sizeof *l);
    unsigned flags = only_v6 && address->ip_bytes == 16 ? UV_TCP_IPV6ONLY : 0;
    struct sockaddr_storage sa;
    int rc = uv_tcp_init(t->sockets->loop, &l->handle);

    MU_ASSERT(rc == 0);
    t->sockets->handles++;
    l->handle.data = l;
    l->tcp = t;
    mu_addr_to_sockaddr(address, &sa);
    rc = uv_tcp_bind(&l->handle, (const struct sockaddr *)&sa, flags);
    if (rc == 0) {
        rc = uv_listen((uv_stream_t *)&l->handle, LISTEN_QUEUE, on_connection);
    }
    if (rc != 0) {
        dns_listener_close(l);
        return dns_listen_failed("tcp", address, -rc, err);
    }
    *out = l;
    return MU_OK;
}

static void on_again_closed(uv_handle_t *handle)
{
    struct dns_tcp *t = handle->data;

    t->has_again = false;
    dns_sockets_closed(t->sockets);
}

void dns_tcp_close(struct dns_tcp *t)
{
    struct conn *c;

    for (unsigned state = 0; state < CONN_CLOSING; state++) {
        while ((c = first_of(t, (enum conn_state)state)) != NULL) {
            conn_close(c);
        }
    }
    if (t->has_again && !uv_is_closing((uv_handle_t *)&t->again)) {
        uv_close((uv_handle_t *)&t->again, on_again_closed);
    }
}
