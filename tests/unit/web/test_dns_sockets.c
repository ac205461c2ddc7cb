/* Real sockets on loopback, one loop for both sides: spec/dns.md section 1 and 22.2. Everything
 * waits for a condition; a test that never meets it is ended by the alarm. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"
#include "dns_check.h"
#include "dns_sockets.h"
#include "dns_world.h"

#define HANG_S 60

struct held_request { /* one that the fake upstream has not answered */
    agent_dns_fn *done;
    void *data;
    uint8_t message[512];
    size_t bytes;
};

struct bench {
    uv_loop_t loop;
    struct world *world;
    struct dns_source source;
    struct dns_engine *engine;
    struct dns_sockets *sockets;
    struct dns_tcp_limits limits;
    enum dns_way way;
    struct held_request held[256];
    size_t held_count;
    bool has_stopped;
    uint8_t late[MU_DNS_TCP_MAX];
};

/* A client's socket, watched by the same loop. */
struct client {
    uv_poll_t poll;
    int fd;
    struct mu_buf in;
    struct sockaddr_storage from; /* of the newest datagram */
    unsigned datagrams;
    bool is_udp, has_ended, is_closed;
};

/* -- the bench --------------------------------------------------------------------------------- */

static enum dns_way bench_way(void *data, const struct dns_source **source, bool *is_stale)
{
    struct bench *b = data;

    *is_stale = false;
    *source = b->way == DNS_HERE ? &b->source : NULL;
    return b->way;
}

static void *bench_forward(void *data, const struct agent_dns_request *request, agent_dns_fn *done,
                           void *done_data)
{
    struct bench *b = data;
    struct held_request *h = &b->held[b->held_count++];

    assert_true(b->held_count <= MU_LEN(b->held) && request->message.bytes <= sizeof h->message);
    h->done = done;
    h->data = done_data;
    h->bytes = request->message.bytes;
    memcpy(h->message, request->message.data, h->bytes);
    return h;
}

static void bench_cancel(void *data, void *running)
{
    struct held_request *h = running;

    (void)data;
    h->done = NULL;
}

/* The server answers request `i`. */
static void bench_answer(struct bench *b, size_t i)
{
    struct held_request *h = &b->held[i];
    struct dns_answered answered;
    uint8_t to[MU_DNS_TCP_MAX];
    agent_dns_fn *done = h->done;

    assert_non_null(done);
    h->done = NULL;
    assert_true(world_ask(b->world, mu_span_of(h->message, h->bytes), true, true, to, &answered));
    done(h->data, MU_OK, mu_span_of(to, answered.bytes));
}

static struct mu_addr address_of(const char *text, uint16_t port)
{
    struct mu_addr a;

    assert_true(mu_addr_parse_ip(mu_span_text(text), &a));
    a.port = port;
    return a;
}

static struct bench *bench_new(void)
{
    struct bench *b = mu_new(sizeof *b);
    struct dns_upstream upstream = {
        .way = bench_way, .forward = bench_forward, .forward_cancel = bench_cancel, .data = b
    };

    (void)alarm(HANG_S);
    assert_int_equal(uv_loop_init(&b->loop), 0);
    b->world = world_new();
    b->source = world_source(b->world);
    b->engine = dns_engine_new(&upstream, &b->world->responder, b->late);
    b->limits = dns_tcp_limits_default();
    b->way = DNS_HERE;
    return b;
}

static void bench_start(struct bench *b, const char *address)
{
    struct mu_addr a = address_of(address, 0);
    struct mu_err err = MU_ERR_NONE;

    b->sockets = dns_sockets_new(&b->loop, b->engine, &b->limits);
    if (dns_sockets_start(b->sockets, &a, 1, &err) != MU_OK) {
        fail_msg("%s", err.text);
    }
}

static void on_stopped(void *data)
{
    struct bench *b = data;

    b->has_stopped = true;
}

static void bench_free(struct bench *b)
{
    dns_sockets_stop(b->sockets, on_stopped, b);
    assert_false(b->has_stopped);
    while (!b->has_stopped) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    assert_int_equal(dns_engine_waits(b->engine), 0);
    dns_sockets_free(b->sockets);
    dns_engine_free(b->engine);
    world_free(b->world);
    assert_int_equal(uv_loop_close(&b->loop), 0);
    mu_free(b);
    (void)alarm(0);
}

/* -- clients ----------------------------------------------------------------------------------- */

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct client *c = poll->data;
    uint8_t room[65536];
    socklen_t from_bytes = sizeof c->from;
    ssize_t bytes = status < 0 ? -1
                               : recvfrom(c->fd, room, sizeof room, MSG_DONTWAIT,
                                          (struct sockaddr *)&c->from, &from_bytes);

    (void)events;
    if (bytes > 0) {
        if (c->is_udp) {
            mu_buf_clear(&c->in);
            c->datagrams++;
        }
        mu_buf_add(&c->in, room, (size_t)bytes);
    } else if (bytes == 0 || errno != EAGAIN) {
        c->has_ended = true;
        (void)uv_poll_stop(&c->poll);
    }
}

static void client_watch(struct client *c, bool on)
{
    if (on) {
        assert_int_equal(uv_poll_start(&c->poll, UV_READABLE, on_readable), 0);
    } else {
        (void)uv_poll_stop(&c->poll);
    }
}

static struct client *client_new(struct bench *b, int type, const struct mu_addr *to)
{
    struct client *c = mu_new(sizeof *c);
    struct sockaddr_storage sa;
    socklen_t bytes = to->ip_bytes == 4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

    mu_addr_to_sockaddr(to, &sa);
    c->is_udp = type == SOCK_DGRAM;
    c->fd = socket(to->ip_bytes == 4 ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, 0);
    assert_true(c->fd >= 0);
    if (!c->is_udp) {
        assert_int_equal(connect(c->fd, (struct sockaddr *)&sa, bytes), 0);
    }
    assert_int_equal(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(uv_poll_init(&b->loop, &c->poll, c->fd), 0);
    c->poll.data = c;
    client_watch(c, true);
    return c;
}

static struct client *connect_to(struct bench *b)
{
    struct mu_addr to = dns_sockets_address(b->sockets, 0);

    return client_new(b, SOCK_STREAM, &to);
}

static void on_client_closed(uv_handle_t *handle)
{
    struct client *c = handle->data;

    c->is_closed = true;
}

static void client_free(struct bench *b, struct client *c)
{
    uv_close((uv_handle_t *)&c->poll, on_client_closed);
    while (!c->is_closed) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
    (void)close(c->fd);
    mu_buf_deinit(&c->in);
    mu_free(c);
}

#define AWAIT(b, condition)                        \
    do {                                           \
        while (!(condition)) {                     \
            (void)uv_run(&(b)->loop, UV_RUN_ONCE); \
        }                                          \
    } while (0)

static void query_make(uint16_t id, const char *name, const char *type, struct mu_buf *to)
{
    struct dns_check_query q = { .name = name, .id = id, .type = dns_check_type(type) };

    mu_buf_clear(to);
    assert_true(dns_check_ask(&q, to));
}

static void send_udp(struct client *c, const struct mu_addr *to, struct mu_span bytes)
{
    struct sockaddr_storage sa;
    socklen_t sa_bytes =
        to->ip_bytes == 4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

    mu_addr_to_sockaddr(to, &sa);
    assert_int_equal(sendto(c->fd, bytes.data, bytes.bytes, 0, (struct sockaddr *)&sa, sa_bytes),
                     bytes.bytes);
}

/* As TCP carries it. */
static void frame_add(struct mu_buf *to, struct mu_span message)
{
    mu_buf_add_byte(to, (uint8_t)(message.bytes >> 8));
    mu_buf_add_byte(to, (uint8_t)message.bytes);
    mu_buf_add_span(to, message);
}

static void send_tcp(struct client *c, struct mu_span bytes)
{
    assert_int_equal(send(c->fd, bytes.data, bytes.bytes, MSG_NOSIGNAL), bytes.bytes);
}

/* How many whole messages came; *id receives that of message `i` if it is there. */
static size_t frames(const struct client *c, size_t i, uint16_t *id)
{
    size_t at = 0;
    size_t count = 0;

    while (c->in.bytes - at >= 2) {
        size_t bytes = (size_t)c->in.data[at] << 8 | c->in.data[at + 1];

        if (c->in.bytes - at - 2 < bytes) {
            break;
        }
        if (count == i && id != NULL) {
            *id = (uint16_t)(c->in.data[at + 2] << 8 | c->in.data[at + 3]);
        }
        at += 2 + bytes;
        count++;
    }
    return count;
}

static void check(struct mu_span query, struct mu_span answer, const char *expected)
{
    struct mu_buf text = MU_BUF_NONE;

    if (!dns_check(query, answer, 65535, DNS_CHECK_COUNTS, &text)) {
        fail_msg("%s", mu_buf_text(&text));
    }
    assert_string_equal(mu_buf_text(&text), expected);
    mu_buf_deinit(&text);
}

/* -- UDP --------------------------------------------------------------------------------------- */

static void an_answer_leaves_from_where_it_was_asked(void **state)
{
    static const struct {
        const char *bound, *asked, *from;
    } cases[] = {
        // clang-format off
        { "127.0.0.1", "127.0.0.1", "127.0.0.1" },
        { "0.0.0.0",   "127.0.0.1", "127.0.0.1" },
        { "0.0.0.0",   "127.0.0.2", "127.0.0.2" },
        { "0.0.0.0",   "127.9.8.7", "127.9.8.7" },
        { "::1",       "::1",       "::1" },
        { "::",        "::1",       "::1" },
        { "::",        "127.0.0.3", "127.0.0.3" },
    }; // clang-format on
    struct mu_buf query = MU_BUF_NONE;

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct bench *b = bench_new();
        struct mu_addr from;

        bench_start(b, cases[i].bound);
        struct mu_addr to = address_of(cases[i].asked, dns_sockets_address(b->sockets, 0).port);
        struct client *c = client_new(b, SOCK_DGRAM, &to);

        query_make(1, "web.service.consul", "A", &query);
        send_udp(c, &to, mu_buf_span(&query));
        AWAIT(b, c->datagrams == 1);
        check(mu_buf_span(&query), mu_buf_span(&c->in), "NOERROR aa; answer 2 A\n");
        assert_true(mu_addr_from_sockaddr((struct sockaddr *)&c->from, &from));
        from.port = to.port;
        if (!mu_addr_eq(&from, &to)) {
            fail_msg("bound to %s, asked at %s: answered from elsewhere", cases[i].bound,
                     cases[i].asked);
        }
        client_free(b, c);
        bench_free(b);
    }
    mu_buf_deinit(&query);
}

static void every_address_is_served_on_both_transports(void **state)
{
    struct bench *b = bench_new();
    struct mu_addr addresses[2] = { address_of("127.0.0.1", 0), address_of("127.0.0.2", 0) };
    struct mu_buf query = MU_BUF_NONE;
    struct mu_buf framed = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    b->sockets = dns_sockets_new(&b->loop, b->engine, &b->limits);
    assert_int_equal(dns_sockets_start(b->sockets, addresses, 2, &err), MU_OK);
    query_make(2, "n1.node.consul", "A", &query);
    frame_add(&framed, mu_buf_span(&query));
    for (size_t i = 0; i < 2; i++) {
        struct mu_addr to = dns_sockets_address(b->sockets, i);
        struct client *udp = client_new(b, SOCK_DGRAM, &to);
        struct client *tcp = client_new(b, SOCK_STREAM, &to);

        send_udp(udp, &to, mu_buf_span(&query));
        send_tcp(tcp, mu_buf_span(&framed));
        AWAIT(b, udp->datagrams == 1 && frames(tcp, 0, NULL) == 1);
        client_free(b, udp);
        client_free(b, tcp);
    }
    mu_buf_deinit(&query);
    mu_buf_deinit(&framed);
    bench_free(b);
}

/* More datagrams than one system call takes, all different, none lost. */
static void a_burst_is_answered_whole(void **state)
{
    struct bench *b = bench_new();
    struct mu_buf query = MU_BUF_NONE;

    (void)state;
    bench_start(b, "127.0.0.1");
    struct mu_addr to = dns_sockets_address(b->sockets, 0);
    struct client *c = client_new(b, SOCK_DGRAM, &to);

    for (uint16_t i = 0; i < 100; i++) {
        query_make(i, i % 2 == 0 ? "big.service.consul" : "nope.node.consul", "SRV", &query);
        send_udp(c, &to, mu_buf_span(&query));
    }
    AWAIT(b, c->datagrams == 100);
    assert_int_equal(dns_engine_counts(b->engine)->rcodes[DNS_NOERROR], 50);
    assert_int_equal(dns_engine_counts(b->engine)->rcodes[DNS_NXDOMAIN], 50);
    assert_int_equal(dns_engine_counts(b->engine)->took.count, 100);
    assert_true(dns_engine_counts(b->engine)->took.min > 0);
    mu_buf_deinit(&query);
    client_free(b, c);
    bench_free(b);
}

static void what_deserves_no_answer_gets_none(void **state)
{
    struct bench *b = bench_new();
    struct mu_buf query = MU_BUF_NONE;
    uint8_t large[5000] = { 0 };

    (void)state;
    bench_start(b, "127.0.0.1");
    struct mu_addr to = dns_sockets_address(b->sockets, 0);
    struct client *c = client_new(b, SOCK_DGRAM, &to);

    query_make(9, "web.service.consul", "A", &query);
    memcpy(large, query.data, query.bytes);
    send_udp(c, &to, mu_span_of(large, sizeof large)); /* cut when it is received */
    send_udp(c, &to, mu_span_of(large, 11));
    send_udp(c, &to, mu_span_of(large, 0));
    query.data[2] |= 0x80;
    send_udp(c, &to, mu_buf_span(&query)); /* an answer */
    query.data[2] &= 0x7f;
    send_udp(c, &to, mu_span_of(large, MU_DNS_UDP_QUERY_MAX)); /* as large as it may be */
    AWAIT(b, c->datagrams == 1);
    send_udp(c, &to, mu_buf_span(&query));
    AWAIT(b, c->datagrams == 2);
    assert_int_equal(dns_engine_counts(b->engine)->dropped, 4);
    assert_int_equal(dns_engine_counts(b->engine)->malformed, 4);
    mu_buf_deinit(&query);
    client_free(b, c);
    bench_free(b);
}

/* The responder's own UDP socket: the one of this process with that address. */
static int own_socket(const struct mu_addr *address)
{
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_storage sa;
        socklen_t bytes = sizeof sa;
        struct mu_addr bound;
        int type = 0;
        socklen_t type_bytes = sizeof type;

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_bytes) == 0 && type == SOCK_DGRAM &&
            getsockname(fd, (struct sockaddr *)&sa, &bytes) == 0 &&
            mu_addr_from_sockaddr((struct sockaddr *)&sa, &bound) && mu_addr_eq(&bound, address)) {
            return fd;
        }
    }
    return -1;
}

/* A forged query that seems to come from the address it is sent to would make us answer
 * ourselves. */
static void what_comes_from_ourselves_is_dropped(void **state)
{
    static const char *const bounds[] = { "127.0.0.1", "0.0.0.0" };
    struct mu_buf query = MU_BUF_NONE;

    (void)state;
    query_make(9, "web.service.consul", "A", &query);
    for (size_t i = 0; i < MU_LEN(bounds); i++) {
        struct bench *b = bench_new();

        bench_start(b, bounds[i]);
        struct mu_addr bound = dns_sockets_address(b->sockets, 0);
        struct mu_addr to = address_of("127.0.0.1", bound.port);
        struct client self = { .fd = own_socket(&bound) };
        struct client *c = client_new(b, SOCK_DGRAM, &to);

        assert_true(self.fd >= 0);
        send_udp(&self, &to, mu_buf_span(&query));
        AWAIT(b, dns_engine_counts(b->engine)->dropped == 1);
        assert_int_equal(dns_engine_counts(b->engine)->udp, 0);
        send_udp(c, &to, mu_buf_span(&query));
        AWAIT(b, c->datagrams == 1);
        client_free(b, c);
        bench_free(b);
    }
    mu_buf_deinit(&query);
}

static void an_answer_may_come_later(void **state)
{
    struct bench *b = bench_new();
    struct mu_buf query = MU_BUF_NONE;

    (void)state;
    b->way = DNS_FORWARD;
    bench_start(b, "0.0.0.0");
    struct mu_addr to = address_of("127.0.0.2", dns_sockets_address(b->sockets, 0).port);
    struct client *c = client_new(b, SOCK_DGRAM, &to);
    struct mu_addr from;

    query_make(5, "web.service.consul", "A", &query);
    send_udp(c, &to, mu_buf_span(&query));
    AWAIT(b, b->held_count == 1);
    bench_answer(b, 0);
    AWAIT(b, c->datagrams == 1);
    check(mu_buf_span(&query), mu_buf_span(&c->in), "NOERROR aa; answer 2 A\n");
    assert_true(mu_addr_from_sockaddr((struct sockaddr *)&c->from, &from));
    assert_true(mu_addr_eq(&from, &to));
    /* and when it does not come, there is one after a second and a half */
    send_udp(c, &to, mu_buf_span(&query));
    AWAIT(b, c->datagrams == 2);
    check(mu_buf_span(&query), mu_buf_span(&c->in), "SERVFAIL aa\n");
    send_udp(c, &to, mu_buf_span(&query)); /* in flight while all is stopped */
    AWAIT(b, b->held_count == 3);
    mu_buf_deinit(&query);
    client_free(b, c);
    bench_free(b);
}

/* -- TCP --------------------------------------------------------------------------------------- */

/* T01, and what comes behind a half close. */
static void pipelined_queries_are_answered_then_it_ends(void **state)
{
    struct bench *b = bench_new();
    struct mu_buf query = MU_BUF_NONE;
    struct mu_buf all = MU_BUF_NONE;

    (void)state;
    bench_start(b, "127.0.0.1");
    struct client *c = connect_to(b);

    for (uint16_t i = 1; i <= 5; i++) {
        query_make(i, "web.service.consul", "A", &query);
        frame_add(&all, mu_buf_span(&query));
    }
    send_tcp(c, mu_buf_span(&all));
    assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
    AWAIT(b, c->has_ended);
    for (uint16_t i = 0; i < 5; i++) {
        uint16_t id = 0;

        assert_int_equal(frames(c, i, &id), 5);
        assert_int_equal(id, i + 1);
    }
    AWAIT(b, dns_sockets_connections(b->sockets) == 0);
    mu_buf_deinit(&query);
    mu_buf_deinit(&all);
    client_free(b, c);
    bench_free(b);
}

/* T02 and fairness: any number on one connection, at once or one by one. */
static void there_is_no_cap_on_queries(void **state)
{
    struct bench *b = bench_new();
    struct mu_buf query = MU_BUF_NONE;
    struct mu_buf all = MU_BUF_NONE;

    (void)state;
    bench_start(b, "127.0.0.1");
    struct client *c = connect_to(b);

    for (uint16_t i = 0; i < 1000; i++) {
        query_make(i, "web.service.consul", "A", &query);
        frame_add(&all, mu_buf_span(&query));
    }
    send_tcp(c, mu_buf_span(&all));
    AWAIT(b, frames(c, 0, NULL) == 1000);
    mu_buf_clear(&c->in);
    for (uint16_t i = 0; i < 300; i++) {
        mu_buf_clear(&all);
        query_make(i, "n1.node.consul", "A", &query);
        frame_add(&all, mu_buf_span(&query));
        send_tcp(c, mu_buf_span(&all));
        AWAIT(b, frames(c, 0, NULL) == i + 1U);
    }
    mu_buf_deinit(&query);
    mu_buf_deinit(&all);
    client_free(b, c);
    bench_free(b);
}

/* While one connection has hundreds of queries waiting, another is served in between. */
static void nobody_keeps_the_others_waiting(void **state)
{
    struct bench *b = bench_new();
    struct mu_buf query = MU_BUF_NONE;
    struct mu_buf all = MU_BUF_NONE;

    (void)state;
    b->limits.turn_messages = 1;
    bench_start(b, "127.0.0.1");
    struct client *greedy = connect_to(b);
    struct client *modest = connect_to(b);

    for (uint16_t i = 0; i < 300; i++) {
        query_make(i, "web.service.consul", "A", &query);
        frame_add(&all, mu_buf_span(&query));
    }
    AWAIT(b, dns_sockets_connections(b->sockets) == 2);
    send_tcp(greedy, mu_buf_span(&all));
    mu_buf_clear(&all);
    frame_add(&all, mu_buf_span(&query));
    send_tcp(modest, mu_buf_span(&all));
    AWAIT(b, frames(modest, 0, NULL) == 1);
    assert_true(frames(greedy, 0, NULL) < 300);
    AWAIT(b, frames(greedy, 0, NULL) == 300);
    mu_buf_deinit(&query);
    mu_buf_deinit(&all);
    client_free(b, greedy);
    client_free(b, modest);
    bench_free(b);
}

static void messages_may_come_byte_by_byte(void **state)
{
    struct bench *b = bench_new();
    struct mu_buf query = MU_BUF_NONE;
    struct mu_buf framed = MU_BUF_NONE;

    (void)state;
    bench_start(b, "127.0.0.1");
    struct client *c = connect_to(b);
    int on = 1;

    assert_int_equal(setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    query_make(3, "web.service.consul", "SRV", &query);
    frame_add(&framed, mu_buf_span(&query));
    for (size_t i = 0; i < framed.bytes; i++) {
        send_tcp(c, mu_span_of(framed.data + i, 1));
        for (unsigned turns = 0; turns < 3; turns++) {
            (void)uv_run(&b->loop, UV_RUN_NOWAIT);
        }
    }
    AWAIT(b, frames(c, 0, NULL) == 1);
    mu_buf_deinit(&query);
    mu_buf_deinit(&framed);
    client_free(b, c);
    bench_free(b);
}

/* Over TCP an answer has all the room there is. */
static void large_answers_are_whole(void **state)
{
    struct bench *b = bench_new();
    struct mu_buf query = MU_BUF_NONE;
    struct mu_buf framed = MU_BUF_NONE;

    (void)state;
    bench_start(b, "127.0.0.1");
    struct client *c = connect_to(b);

    query_make(3, "big.service.consul", "SRV", &query);
    frame_add(&framed, mu_buf_span(&query));
    send_tcp(c, mu_buf_span(&framed));
    AWAIT(b, frames(c, 0, NULL) == 1);
    check(mu_buf_span(&query), mu_span_of(c->in.data + 2, c->in.bytes - 2),
          "NOERROR aa; answer 30 SRV; additional 30 A\n");
    mu_buf_deinit(&query);
    mu_buf_deinit(&framed);
    client_free(b, c);
    bench_free(b);
}

/* What a connection does, and that it is closed for it; the times are shortened. */
static void bad_behaviour_is_closed(void **state)
{
    static const struct {
        const char *why, *hex;
        bool asks_first, is_malformed;
    } cases[] = {
        // clang-format off
        { "nothing is sent", "", false, false },
        { "nothing more is sent", "", true, false },
        { "a length of 0", "0000", false, true },
        { "a length below a header", "000b", true, true },
        { "half a message", "001d1267010000010000", false, false },
        { "half a length", "00", true, false },
        { "a request of another protocol", "474554202f20485454502f312e310d0a0d0a", false, false },
    }; // clang-format on
    struct mu_buf query = MU_BUF_NONE;
    struct mu_buf framed = MU_BUF_NONE;

    (void)state;
    query_make(3, "web.service.consul", "A", &query);
    frame_add(&framed, mu_buf_span(&query));
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct bench *b = bench_new();
        uint8_t bytes[64];
        size_t count = strlen(cases[i].hex) / 2;

        b->limits.fresh_ms = b->limits.idle_ms = b->limits.message_ms = 50;
        bench_start(b, "127.0.0.1");
        struct client *c = connect_to(b);

        for (size_t at = 0; at < count; at++) {
            unsigned value = 0;

            assert_int_equal(sscanf(cases[i].hex + 2 * at, "%2x", &value), 1);
            bytes[at] = (uint8_t)value;
        }
        if (cases[i].asks_first) {
            send_tcp(c, mu_buf_span(&framed));
        }
        if (count > 0) {
            send_tcp(c, mu_span_of(bytes, count));
        }
        AWAIT(b, c->has_ended);
        assert_int_equal(frames(c, 0, NULL), cases[i].asks_first ? 1 : 0);
        AWAIT(b, dns_sockets_connections(b->sockets) == 0);
        assert_int_equal(dns_engine_counts(b->engine)->malformed, cases[i].is_malformed);
        client_free(b, c);
        bench_free(b);
    }
    mu_buf_deinit(&query);
    mu_buf_deinit(&framed);
}

/* Somebody asks and asks and never reads: we stop reading, then close. */
static void who_never_reads_is_closed(void **state)
{
    struct bench *b = bench_new();
    struct mu_buf query = MU_BUF_NONE;
    struct mu_buf all = MU_BUF_NONE;
    size_t sent = 0;

    (void)state;
    b->limits.stall_ms = 100;
    bench_start(b, "127.0.0.1");
    struct client *c = connect_to(b);
    int small = 4096;

    (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    client_watch(c, false);
    query_make(3, "big.service.consul", "SRV", &query);
    for (unsigned i = 0; i < 200; i++) {
        frame_add(&all, mu_buf_span(&query));
    }
    AWAIT(b, dns_sockets_connections(b->sockets) == 1);
    while (dns_sockets_connections(b->sockets) == 1) {
        ssize_t bytes = send(c->fd, all.data, all.bytes, MSG_NOSIGNAL | MSG_DONTWAIT);

        sent += bytes > 0 ? (size_t)bytes : 0;
        (void)uv_run(&b->loop, bytes > 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    }
    /* 36 bytes asked are 1700 answered: what was read is bounded by what may wait to be sent */
    assert_in_range(dns_engine_counts(b->engine)->tcp, 100, 8000);
    assert_true(sent > 0);
    mu_buf_deinit(&query);
    mu_buf_deinit(&all);
    client_free(b, c);
    bench_free(b);
}

static void a_full_table_closes_who_rests_longest(void **state)
{
    struct bench *b = bench_new();
    struct client *clients[5];

    (void)state;
    b->limits.connections = 4;
    bench_start(b, "127.0.0.1");
    for (size_t i = 0; i < 4; i++) {
        clients[i] = connect_to(b);
        AWAIT(b, dns_sockets_connections(b->sockets) == i + 1);
    }
    clients[4] = connect_to(b);
    AWAIT(b, clients[0]->has_ended);
    assert_int_equal(dns_sockets_connections(b->sockets), 4);
    for (size_t i = 1; i < 5; i++) {
        assert_false(clients[i]->has_ended);
    }
    for (size_t i = 0; i < 5; i++) {
        client_free(b, clients[i]);
    }
    bench_free(b);
}

/* Forwarded ones come when they are ready; too many in flight stop the reading, not the answers. */
static void waiting_queries_are_bounded_and_may_overtake(void **state)
{
    struct bench *b = bench_new();
    struct mu_buf query = MU_BUF_NONE;
    struct mu_buf all = MU_BUF_NONE;
    uint16_t id = 0;

    (void)state;
    b->way = DNS_FORWARD;
    b->limits.waits = 3;
    bench_start(b, "127.0.0.1");
    struct client *c = connect_to(b);

    for (uint16_t i = 0; i < 5; i++) {
        query_make(i, "web.service.consul", "A", &query);
        frame_add(&all, mu_buf_span(&query));
    }
    query_make(100, "0a010001.addr.consul", "A", &query); /* needs nobody, but stands behind */
    frame_add(&all, mu_buf_span(&query));
    send_tcp(c, mu_buf_span(&all));
    assert_int_equal(shutdown(c->fd, SHUT_WR), 0);
    AWAIT(b, b->held_count == 3);
    bench_answer(b, 1);
    AWAIT(b, frames(c, 0, &id) == 1 && b->held_count == 4);
    assert_int_equal(id, 1);
    bench_answer(b, 3);
    AWAIT(b, frames(c, 0, NULL) == 2 && b->held_count == 5);
    bench_answer(b, 0);
    bench_answer(b, 2);
    AWAIT(b, frames(c, 0, NULL) >= 4);
    bench_answer(b, 4);
    AWAIT(b, c->has_ended);
    assert_int_equal(frames(c, 0, NULL), 6);
    mu_buf_deinit(&query);
    mu_buf_deinit(&all);
    client_free(b, c);
    bench_free(b);
}

/* The client goes while a server is asked for it; and we stop while another waits. */
static void waits_end_with_their_connection(void **state)
{
    struct bench *b = bench_new();
    struct mu_buf query = MU_BUF_NONE;
    struct mu_buf framed = MU_BUF_NONE;
    struct linger abort_it = { 1, 0 };

    (void)state;
    b->way = DNS_FORWARD;
    bench_start(b, "127.0.0.1");
    struct client *c = connect_to(b);
    struct client *other = connect_to(b);

    query_make(3, "web.service.consul", "A", &query);
    frame_add(&framed, mu_buf_span(&query));
    send_tcp(c, mu_buf_span(&framed));
    send_tcp(other, mu_buf_span(&framed));
    AWAIT(b, dns_engine_waits(b->engine) == 2);
    assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &abort_it, sizeof abort_it), 0);
    client_free(b, c); /* reset */
    AWAIT(b, dns_engine_waits(b->engine) == 1);
    mu_buf_deinit(&query);
    mu_buf_deinit(&framed);
    client_free(b, other);
    bench_free(b);
}

/* -- start ------------------------------------------------------------------------------------- */

static void a_taken_port_is_named(void **state)
{
    static const struct {
        int type;
        const char *text;
    } cases[] = { { SOCK_DGRAM, "udp" }, { SOCK_STREAM, "tcp" } };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct bench *b = bench_new();
        struct mu_addr a = address_of("127.0.0.1", 0);
        struct sockaddr_storage sa;
        socklen_t bytes = sizeof sa;
        struct mu_err err = MU_ERR_NONE;
        char text[128];
        int fd = socket(AF_INET, cases[i].type, 0);

        mu_addr_to_sockaddr(&a, &sa);
        assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(struct sockaddr_in)), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &bytes), 0);
        assert_true(mu_addr_from_sockaddr((struct sockaddr *)&sa, &a));
        if (cases[i].type == SOCK_STREAM) {
            assert_int_equal(listen(fd, 1), 0);
        }
        b->sockets = dns_sockets_new(&b->loop, b->engine, &b->limits);
        assert_int_equal(dns_sockets_start(b->sockets, &a, 1, &err), MU_IO);
        (void)snprintf(text, sizeof text, "listen %s 127.0.0.1:%u: bind: address already in use",
                       cases[i].text, (unsigned)a.port);
        assert_string_equal(err.text, text);
        (void)close(fd);
        bench_free(b);
    }
}

static void stopping_without_starting_calls_back(void **state)
{
    struct bench *b = bench_new();

    (void)state;
    b->sockets = dns_sockets_new(&b->loop, b->engine, &b->limits);
    bench_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_leaves_from_where_it_was_asked),
        cmocka_unit_test(every_address_is_served_on_both_transports),
        cmocka_unit_test(a_burst_is_answered_whole),
        cmocka_unit_test(what_deserves_no_answer_gets_none),
        cmocka_unit_test(what_comes_from_ourselves_is_dropped),
        cmocka_unit_test(an_answer_may_come_later),
        cmocka_unit_test(pipelined_queries_are_answered_then_it_ends),
        cmocka_unit_test(there_is_no_cap_on_queries),
        cmocka_unit_test(nobody_keeps_the_others_waiting),
        cmocka_unit_test(messages_may_come_byte_by_byte),
        cmocka_unit_test(large_answers_are_whole),
        cmocka_unit_test(bad_behaviour_is_closed),
        cmocka_unit_test(who_never_reads_is_closed),
        cmocka_unit_test(a_full_table_closes_who_rests_longest),
        cmocka_unit_test(waiting_queries_are_bounded_and_may_overtake),
        cmocka_unit_test(waits_end_with_their_connection),
        cmocka_unit_test(a_taken_port_is_named),
        cmocka_unit_test(stopping_without_starting_calls_back),
    };

    (void)signal(SIGPIPE, SIG_IGN); /* as main() of muster does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
