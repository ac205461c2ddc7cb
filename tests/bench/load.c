/* load.c - connections that each ask, wait for the answer, and ask again: puts or gets of a
 * key-value store, muster's over HTTP/1.1 or etcd's over gRPC. The same loop measures both.
 *
 *   load <http|grpc> <put|get> <address:port> <connections> <seconds> <value bytes> [keys]
 *
 * etcd's JSON gateway is a second process hop inside etcd and would be unfair to it, so it is asked
 * in the protocol of its own clients: gRPC on HTTP/2, one stream at a time on each connection.
 *
 * Prints one line: rate, p50, p99 and maximum in microseconds, errors.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/span.h"

#define READ_BYTES      (64U * 1024)
#define EVENTS_MAX      256
#define CONNECTIONS_MAX 4096
#define VALUE_MAX       (2U * 1024 * 1024)
#define KEYS_DEFAULT    10000U
#define GRPC_HEAD       5

struct connection {
    struct load *load;
    int fd;
    uint64_t asked_ns;
    struct mu_buf out;
    size_t out_sent;
    struct mu_buf in;         /* HTTP/1.1 */
    nghttp2_session *session; /* gRPC */
    struct mu_buf message;    /* what the stream sends */
    size_t message_sent;
    bool is_error;
};

struct protocol {
    const char *name;
    void (*open)(struct connection *c);
    void (*ask)(struct connection *c);
    /* Bytes arrived; false: the connection is of no use any more. */
    bool (*take)(struct connection *c, struct mu_span data);
};

struct load {
    const struct protocol *protocol;
    bool is_get;
    struct mu_addr address;
    char host[MU_ADDR_TEXT_MAX];
    size_t connections_count;
    struct connection *connections;
    uint64_t keys, asked;
    struct mu_buf value;
    uint32_t *latencies_us;
    size_t done, room;
    uint64_t errors;
    uint64_t until_ns;
    int epoll;
};

static void die(const char *what)
{
    (void)fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* -- one question and its answer -------------------------------------------------------------- */

static void key_text(struct load *l, char to[32])
{
    (void)snprintf(to, 32, "bench/%llu", (unsigned long long)(l->asked++ % l->keys));
}

static void ask(struct connection *c)
{
    c->asked_ns = mu_clock_ns();
    c->is_error = false;
    c->load->protocol->ask(c);
}

/* The answer is complete: note it, and ask again. */
static void answered(struct connection *c)
{
    struct load *l = c->load;
    uint64_t now_ns = mu_clock_ns();

    if (c->is_error) {
        l->errors++;
    } else {
        if (l->done == l->room) {
            l->room = l->room == 0 ? 65536 : l->room * 2;
            l->latencies_us = mu_grow(l->latencies_us, l->room * sizeof *l->latencies_us);
        }
        l->latencies_us[l->done++] = (uint32_t)((now_ns - c->asked_ns) / 1000);
    }
    if (now_ns < l->until_ns) {
        ask(c);
    }
}

/* -- HTTP/1.1 --------------------------------------------------------------------------------- */

static void http_open(struct connection *c)
{
    (void)c;
}

static void http_ask(struct connection *c)
{
    struct load *l = c->load;
    char key[32];

    key_text(l, key);
    if (l->is_get) {
        mu_buf_addf(&c->out, "GET /v1/kv/%s?raw HTTP/1.1\r\nHost: %s\r\n\r\n", key, l->host);
    } else {
        mu_buf_addf(&c->out, "PUT /v1/kv/%s HTTP/1.1\r\nHost: %s\r\nContent-Length: %zu\r\n\r\n",
                    key, l->host, l->value.bytes);
        mu_buf_add_span(&c->out, mu_buf_span(&l->value));
    }
}

/* Bytes of the answer at the front of c->in; 0: not complete. */
static size_t http_answer_bytes(struct connection *c)
{
    static const char length[] = "Content-Length: ";
    const char *text = mu_buf_text(&c->in);
    const char *end = strstr(text, "\r\n\r\n");
    const char *at = strcasestr(text, length);
    size_t body = 0;

    if (end == NULL) {
        return 0;
    }
    if (at != NULL && at < end) {
        body = strtoull(at + sizeof length - 1, NULL, 10);
    }
    c->is_error = strncmp(text, "HTTP/1.1 200", 12) != 0;
    body += (size_t)(end - text) + 4;
    return body <= c->in.bytes ? body : 0;
}

static bool http_take(struct connection *c, struct mu_span data)
{
    size_t bytes;

    mu_buf_add_span(&c->in, data);
    bytes = http_answer_bytes(c);
    if (bytes > 0) {
        mu_buf_drop(&c->in, bytes);
        answered(c);
    }
    return true;
}

/* -- gRPC ------------------------------------------------------------------------------------- */

static ssize_t on_send(nghttp2_session *session, const uint8_t *data, size_t bytes, int flags,
                       void *user)
{
    struct connection *c = user;

    (void)session;
    (void)flags;
    mu_buf_add(&c->out, data, bytes);
    return (ssize_t)bytes;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_bytes, const uint8_t *value, size_t value_bytes, uint8_t flags,
                     void *user)
{
    struct connection *c = user;

    (void)session;
    (void)frame;
    (void)flags;
    if (mu_span_eq_text(mu_span_of(name, name_bytes), "grpc-status") &&
        !mu_span_eq_text(mu_span_of(value, value_bytes), "0")) {
        c->is_error = true;
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
    struct connection *c = user;

    (void)session;
    (void)id;
    c->is_error = c->is_error || error != 0;
    answered(c);
    return 0;
}

static void grpc_open(struct connection *c)
{
    nghttp2_settings_entry settings[] = { { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1U << 20 },
                                          { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 } };
    nghttp2_session_callbacks *callbacks;

    if (nghttp2_session_callbacks_new(&callbacks) != 0) {
        die("nghttp2");
    }
    nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    if (nghttp2_session_client_new(&c->session, callbacks, c) != 0 ||
        nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, MU_LEN(settings)) != 0) {
        die("nghttp2");
    }
    nghttp2_session_callbacks_del(callbacks);
}

static void add_varint(struct mu_buf *to, uint64_t value)
{
    for (; value >= 128; value >>= 7) {
        mu_buf_add_byte(to, (uint8_t)(value | 128));
    }
    mu_buf_add_byte(to, (uint8_t)value);
}

static void add_field(struct mu_buf *to, unsigned number, struct mu_span bytes)
{
    mu_buf_add_byte(to, (uint8_t)(number << 3 | 2));
    add_varint(to, bytes.bytes);
    mu_buf_add_span(to, bytes);
}

/* PutRequest { bytes key = 1; bytes value = 2; } and RangeRequest { bytes key = 1; } */
static void message_fill(struct connection *c)
{
    static const uint8_t head[GRPC_HEAD] = { 0 };
    size_t bytes;
    char key[32];

    key_text(c->load, key);
    mu_buf_clear(&c->message);
    c->message_sent = 0;
    mu_buf_add(&c->message, head, sizeof head);
    add_field(&c->message, 1, mu_span_text(key));
    if (!c->load->is_get) {
        add_field(&c->message, 2, mu_buf_span(&c->load->value));
    }
    bytes = c->message.bytes - GRPC_HEAD;
    for (unsigned i = 0; i < 4; i++) {
        c->message.data[1 + i] = (uint8_t)(bytes >> (24 - 8 * i));
    }
}

static ssize_t on_message(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
                          uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct connection *c = user;
    struct mu_span part = mu_span_sub(mu_buf_span(&c->message), c->message_sent, room);

    (void)session;
    (void)id;
    (void)source;
    memcpy(to, part.data, part.bytes);
    c->message_sent += part.bytes;
    if (c->message_sent == c->message.bytes) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)part.bytes;
}

#define HEADER(name, value)                                                                       \
    {                                                                                             \
        (uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), strlen(name), strlen(value), \
            NGHTTP2_NV_FLAG_NO_COPY_NAME                                                          \
    }

static void grpc_ask(struct connection *c)
{
    const char *path = c->load->is_get ? "/etcdserverpb.KV/Range" : "/etcdserverpb.KV/Put";
    nghttp2_nv headers[] = {
        HEADER(":method", "POST"), HEADER(":scheme", "http"),
        HEADER(":path", path),     HEADER(":authority", c->load->host),
        HEADER("te", "trailers"),  HEADER("content-type", "application/grpc"),
    };
    nghttp2_data_provider body = { .read_callback = on_message };

    message_fill(c);
    if (nghttp2_submit_request(c->session, NULL, headers, MU_LEN(headers), &body, NULL) < 0) {
        die("nghttp2");
    }
}

static bool grpc_take(struct connection *c, struct mu_span data)
{
    return nghttp2_session_mem_recv(c->session, data.data, data.bytes) == (ssize_t)data.bytes;
}

static const struct protocol protocols[] = {
    { "http", http_open, http_ask, http_take },
    { "grpc", grpc_open, grpc_ask, grpc_take },
};

/* -- sockets ---------------------------------------------------------------------------------- */

static void connection_watch(struct connection *c, int how)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };

    if (c->out_sent < c->out.bytes) {
        event.events |= EPOLLOUT;
    }
    if (epoll_ctl(c->load->epoll, how, c->fd, &event) != 0) {
        die("epoll");
    }
}

static void connection_flush(struct connection *c)
{
    bool was_full = c->out_sent < c->out.bytes;

    if (c->session != NULL && nghttp2_session_send(c->session) != 0) {
        die("nghttp2");
    }
    while (c->out_sent < c->out.bytes) {
        ssize_t put = write(c->fd, c->out.data + c->out_sent, c->out.bytes - c->out_sent);

        if (put <= 0) {
            break;
        }
        c->out_sent += (size_t)put;
    }
    if (c->out_sent == c->out.bytes) {
        mu_buf_clear(&c->out);
        c->out_sent = 0;
    }
    if (was_full != (c->out_sent < c->out.bytes) || c->out_sent < c->out.bytes) {
        connection_watch(c, EPOLL_CTL_MOD);
    }
}

static void connection_open(struct connection *c)
{
    struct load *l = c->load;
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(l->address.port) };
    int on = 1;

    memcpy(&to.sin_addr, l->address.ip, sizeof to.sin_addr);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0) {
        die("connect");
    }
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    l->protocol->open(c);
    connection_watch(c, EPOLL_CTL_ADD);
}

static void connection_read(struct connection *c)
{
    static uint8_t data[READ_BYTES];
    ssize_t got = recv(c->fd, data, sizeof data, MSG_DONTWAIT);

    if (got < 0 && errno == EAGAIN) {
        return;
    }
    if (got <= 0 || !c->load->protocol->take(c, mu_span_of(data, (size_t)got))) {
        errno = got < 0 ? errno : ECONNRESET;
        die("the server hung up");
    }
}

static void load_run(struct load *l)
{
    struct epoll_event events[EVENTS_MAX];

    for (size_t i = 0; i < l->connections_count; i++) {
        ask(&l->connections[i]);
        connection_flush(&l->connections[i]);
    }
    while (mu_clock_ns() < l->until_ns) {
        int count = epoll_wait(l->epoll, events, EVENTS_MAX, 100);

        for (int i = 0; i < count; i++) {
            if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
                connection_read(events[i].data.ptr);
            }
            connection_flush(events[i].data.ptr);
        }
    }
}

/* -- report ----------------------------------------------------------------------------------- */

static int by_latency(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;

    return (a > b) - (a < b);
}

static void report(struct load *l, uint64_t began_ns)
{
    double seconds = (double)(mu_clock_ns() - began_ns) / 1e9;

    if (l->done == 0) {
        (void)printf("rate=0 p50=0 p99=0 max=0 errors=%llu\n", (unsigned long long)l->errors);
        return;
    }
    qsort(l->latencies_us, l->done, sizeof *l->latencies_us, by_latency);
    (void)printf("rate=%.0f p50=%u p99=%u max=%u errors=%llu\n", (double)l->done / seconds,
                 l->latencies_us[l->done / 2], l->latencies_us[l->done - 1 - l->done / 100],
                 l->latencies_us[l->done - 1], (unsigned long long)l->errors);
}

static bool load_parse(struct load *l, int argc, char **argv, uint64_t *seconds)
{
    uint64_t bytes = 0;
    uint64_t count = 0;
    struct mu_err err;

    if (argc != 7 && argc != 8) {
        return false;
    }
    for (size_t i = 0; i < MU_LEN(protocols); i++) {
        if (strcmp(argv[1], protocols[i].name) == 0) {
            l->protocol = &protocols[i];
        }
    }
    l->is_get = strcmp(argv[2], "get") == 0;
    l->keys = KEYS_DEFAULT;
    if (l->protocol == NULL ||
        mu_addr_parse(mu_span_text(argv[3]), 0, &l->address, &err) != MU_OK ||
        l->address.ip_bytes != 4 || !mu_span_u64(mu_span_text(argv[4]), &count) || count == 0 ||
        count > CONNECTIONS_MAX || !mu_span_u64(mu_span_text(argv[5]), seconds) ||
        !mu_span_u64(mu_span_text(argv[6]), &bytes) || bytes > VALUE_MAX ||
        (argc == 8 && (!mu_span_u64(mu_span_text(argv[7]), &l->keys) || l->keys == 0))) {
        return false;
    }
    l->connections_count = (size_t)count;
    mu_addr_text(&l->address, l->host);
    for (uint64_t i = 0; i < bytes; i++) {
        mu_buf_add_byte(&l->value, (uint8_t)('a' + i % 26));
    }
    return true;
}

static void load_deinit(struct load *l)
{
    for (size_t i = 0; i < l->connections_count; i++) {
        struct connection *c = &l->connections[i];

        (void)close(c->fd);
        nghttp2_session_del(c->session);
        mu_buf_deinit(&c->out);
        mu_buf_deinit(&c->in);
        mu_buf_deinit(&c->message);
    }
    (void)close(l->epoll);
    mu_free(l->connections);
    mu_free(l->latencies_us);
    mu_buf_deinit(&l->value);
}

int main(int argc, char **argv)
{
    struct load l = { .protocol = NULL };
    uint64_t began_ns, seconds;

    if (!load_parse(&l, argc, argv, &seconds)) {
        (void)fprintf(stderr, "usage: load <http|grpc> <put|get> <IPv4:port> <connections> "
                              "<seconds> <value bytes> [keys]\n");
        return 2;
    }
    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    l.connections = mu_new_array(l.connections_count, sizeof *l.connections);
    for (size_t i = 0; i < l.connections_count; i++) {
        l.connections[i].load = &l;
        connection_open(&l.connections[i]);
    }
    began_ns = mu_clock_ns();
    l.until_ns = began_ns + seconds * 1000000000ULL;
    load_run(&l);
    report(&l, began_ns);
    load_deinit(&l);
    return 0;
}
