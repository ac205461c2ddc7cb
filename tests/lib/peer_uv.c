#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "base/addr.h"
#include "base/assert.h"
#include "base/mem.h"

#define CONNECTIONS_MAX 64

union socket {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
};

struct connection {
    union socket io;
    uv_write_t write;
    struct peer *peer;
    struct mu_buf seen, said;
    char room[4096];
    bool has_replied;
};

struct peer {
    uv_loop_t *loop;
    union socket listener;
    bool is_pipe;
    unsigned port;
    const char *const *replies;
    enum peer_then then;
    struct connection *connections[CONNECTIONS_MAX];
    size_t connections_count, replied_count;
    struct mu_buf heard;
};

void peer_replace(struct mu_buf *to, const char *text, const char *from, const char *by)
{
    const char *hit;

    while ((hit = strstr(text, from)) != NULL) {
        mu_buf_add(to, text, (size_t)(hit - text));
        mu_buf_add_text(to, by);
        text = hit + strlen(from);
    }
    mu_buf_add_text(to, text);
}

void peer_with_port(const struct peer *p, struct mu_buf *to, const char *text)
{
    char port[16];

    (void)snprintf(port, sizeof port, ":%u", p->port);
    peer_replace(to, text, ":P", port);
}

void peer_without_port(const struct peer *p, struct mu_buf *to, const char *text)
{
    char port[16];

    (void)snprintf(port, sizeof port, ":%u", p->port);
    peer_replace(to, text, p->port > 0 ? port : "\x01", ":P");
}

static void connection_end(struct connection *c)
{
    if (!uv_is_closing(&c->io.handle)) {
        uv_close(&c->io.handle, NULL);
    }
}

static void on_replied(uv_write_t *req, int status)
{
    struct connection *c = req->data;

    (void)status;
    if (c->peer->then == PEER_CLOSES) {
        connection_end(c);
    } else if (c->peer->then == PEER_RESETS && !uv_is_closing(&c->io.handle)) {
        MU_ASSERT(uv_tcp_close_reset(&c->io.tcp, NULL) == 0);
    }
}

static void reply(struct connection *c)
{
    struct peer *p = c->peer;
    size_t index = 0;

    MU_ASSERT(p->replies != NULL && p->replies[0] != NULL);
    while (index < p->replied_count && p->replies[index + 1] != NULL) {
        index++;
    }
    p->replied_count++;
    mu_buf_add_span(&p->heard, mu_buf_span(&c->seen));
    peer_with_port(p, &c->said, p->replies[index]);
    uv_buf_t buf = uv_buf_init((char *)c->said.data, (unsigned)c->said.bytes);

    c->has_replied = true;
    c->write.data = c;
    MU_ASSERT(uv_write(&c->write, &c->io.stream, &buf, 1, on_replied) == 0);
}

static bool is_request_complete(struct mu_buf *seen)
{
    const char *text = mu_buf_text(seen);
    const char *end = strstr(text, "\r\n\r\n");
    const char *length = strstr(text, "Content-Length: ");

    if (end == NULL) {
        return false;
    }
    size_t wanted = length != NULL ? strtoull(length + 16, NULL, 10) : 0;

    return seen->bytes >= (size_t)(end + 4 - text) + wanted;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct connection *c = handle->data;

    (void)suggested;
    *buf = uv_buf_init(c->room, sizeof c->room);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct connection *c = stream->data;

    if (count < 0) {
        connection_end(c);
        return;
    }
    if (!c->has_replied) {
        mu_buf_add(&c->seen, buf->base, (size_t)count);
        if (is_request_complete(&c->seen)) {
            reply(c);
        }
    }
}

static void on_connection(uv_stream_t *server, int status)
{
    struct peer *p = server->data;
    struct connection *c = mu_new(sizeof *c);

    MU_ASSERT(status == 0 && p->connections_count < CONNECTIONS_MAX);
    p->connections[p->connections_count++] = c;
    c->peer = p;
    MU_ASSERT((p->is_pipe ? uv_pipe_init(p->loop, &c->io.pipe, 0)
                          : uv_tcp_init(p->loop, &c->io.tcp)) == 0);
    c->io.handle.data = c;
    MU_ASSERT(uv_accept(server, &c->io.stream) == 0);
    MU_ASSERT(uv_read_start(&c->io.stream, on_alloc, on_read) == 0);
}

static void bind_port(struct peer *p)
{
    struct sockaddr_in any;
    struct sockaddr_storage bound = { 0 };
    int bytes = sizeof bound;
    struct mu_addr addr;

    MU_ASSERT(uv_ip4_addr("127.0.0.1", 0, &any) == 0);
    MU_ASSERT(uv_tcp_init(p->loop, &p->listener.tcp) == 0);
    MU_ASSERT(uv_tcp_bind(&p->listener.tcp, (const struct sockaddr *)&any, 0) == 0);
    MU_ASSERT(uv_tcp_getsockname(&p->listener.tcp, (struct sockaddr *)&bound, &bytes) == 0);
    MU_ASSERT(mu_addr_from_sockaddr((const struct sockaddr *)&bound, &addr));
    p->port = addr.port;
}

struct peer *peer_new(struct uv_loop_s *loop, const char *unix_path)
{
    struct peer *p = mu_new(sizeof *p);

    p->loop = loop;
    p->is_pipe = unix_path != NULL;
    if (p->is_pipe) {
        MU_ASSERT(uv_pipe_init(loop, &p->listener.pipe, 0) == 0);
        MU_ASSERT(uv_pipe_bind(&p->listener.pipe, unix_path) == 0);
    } else {
        bind_port(p);
    }
    p->listener.handle.data = p;
    MU_ASSERT(uv_listen(&p->listener.stream, 16, on_connection) == 0);
    return p;
}

void peer_stop_listening(struct peer *p)
{
    if (!uv_is_closing(&p->listener.handle)) {
        uv_close(&p->listener.handle, NULL);
    }
}

void peer_close(struct peer *p)
{
    peer_stop_listening(p);
    for (size_t i = 0; i < p->connections_count; i++) {
        connection_end(p->connections[i]);
    }
}

void peer_free(struct peer *p)
{
    for (size_t i = 0; i < p->connections_count; i++) {
        mu_buf_deinit(&p->connections[i]->seen);
        mu_buf_deinit(&p->connections[i]->said);
        mu_free(p->connections[i]);
    }
    mu_buf_deinit(&p->heard);
    mu_free(p);
}

unsigned peer_port(const struct peer *p)
{
    return p->port;
}

void peer_replies(struct peer *p, const char *const *replies, enum peer_then then)
{
    p->replies = replies;
    p->then = then;
    p->replied_count = 0;
}

struct mu_buf *peer_heard(struct peer *p)
{
    return &p->heard;
}
