/* One connection out.
 *
 *   BEGUN --> RESOLVING --> CONNECTING --> DONE
 *     '------------------------^
 *
 * Everything begins on a timer of zero, so no callback comes from inside start; the same timer is
 * the deadline afterwards, and closing it is what frees the dial. A socket that is being connected
 * and a look-up that cannot be cancelled outlive a dial that was given up: both point back to it,
 * or nowhere.
 */
#include "dial.h"

#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include <uv.h>

#include "base/assert.h"
#include "base/mem.h"

#define DIAL_MAGIC    0x6469616cU
#define ADDRESSES_MAX 8 /* of one name that are tried */

enum state {
    DIAL_BEGUN,
    DIAL_RESOLVING,
    DIAL_CONNECTING,
    DIAL_DONE,
};

#define BIT(state) (1U << (unsigned)(state))

static const unsigned may_follow[] = {
    [DIAL_BEGUN] = BIT(DIAL_RESOLVING) | BIT(DIAL_CONNECTING) | BIT(DIAL_DONE),
    [DIAL_RESOLVING] = BIT(DIAL_CONNECTING) | BIT(DIAL_DONE),
    [DIAL_CONNECTING] = BIT(DIAL_DONE),
    [DIAL_DONE] = 0,
};

/* What a connected stream is made of; its owner knows it as a uv_stream_t. */
union socket {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
};

struct attempt {
    struct dial *dial; /* NULL: given up */
    union socket *socket;
    uv_connect_t req;
};

struct lookup {
    struct dial *dial; /* NULL: given up */
    uv_getaddrinfo_t req;
};

struct dial {
    uint32_t magic;
    enum state state;
    uv_loop_t *loop;
    uv_timer_t timer;
    dial_fn *done;
    void *data;
    char *host, *path;
    uint16_t port;
    uint64_t timeout_ms;
    struct lookup *lookup;   /* in flight, or NULL */
    struct attempt *attempt; /* likewise */
    struct mu_addr addrs[ADDRESSES_MAX];
    size_t addrs_count, addrs_next;
    struct mu_err err; /* of the first address that failed */
};

static struct dial *dial_of(void *data)
{
    struct dial *d = data;

    MU_ASSERT(d->magic == DIAL_MAGIC);
    return d;
}

static void move(struct dial *d, enum state to)
{
    MU_ASSERT((may_follow[d->state] & BIT(to)) != 0);
    d->state = to;
}

void dial_reason(int uv_error, char out[DIAL_REASON_MAX])
{
    /* libuv numbers its own errors from 3000 on; the others are errno. */
    const char *text = uv_error < 0 && uv_error > -3000 ? strerror(-uv_error) : "";

    if (text[0] == '\0') {
        (void)uv_strerror_r(uv_error, out, DIAL_REASON_MAX);
        return;
    }
    (void)snprintf(out, DIAL_REASON_MAX, "%s", text);
    if (out[0] >= 'A' && out[0] <= 'Z') {
        out[0] = (char)(out[0] + ('a' - 'A'));
    }
}

/* -- the end ---------------------------------------------------------------------------------- */

static void on_socket_closed(uv_handle_t *handle)
{
    mu_free(handle);
}

static void on_dial_closed(uv_handle_t *handle)
{
    struct dial *d = dial_of(handle->data);

    d->magic = 0;
    mu_free(d->host);
    mu_free(d->path);
    mu_free(d);
}

static void dial_close(struct dial *d)
{
    move(d, DIAL_DONE);
    if (d->attempt != NULL) { /* on_connect() still comes, and frees it */
        d->attempt->dial = NULL;
        uv_close(&d->attempt->socket->handle, on_socket_closed);
        d->attempt = NULL;
    }
    if (d->lookup != NULL) {
        d->lookup->dial = NULL;
        (void)uv_cancel((uv_req_t *)&d->lookup->req); /* too late is fine: it finds nobody */
        d->lookup = NULL;
    }
    uv_close((uv_handle_t *)&d->timer, on_dial_closed);
}

static void finish(struct dial *d, uv_stream_t *stream, const struct mu_addr *peer)
{
    if (stream != NULL) {
        d->err = MU_ERR_NONE; /* of addresses that failed before this one */
    }
    dial_close(d);
    d->done(d->data, d->err.code, stream, peer, &d->err);
}

/* Which address: "tcp 127.0.0.1:80", "unix /tmp/s". */
static void target_text(const struct dial *d, char *out, size_t bytes)
{
    char addr[MU_ADDR_TEXT_MAX];

    if (d->path != NULL) {
        (void)snprintf(out, bytes, "unix %s", d->path);
    } else if (d->addrs_next > 0) {
        mu_addr_text(&d->addrs[d->addrs_next - 1], addr);
        (void)snprintf(out, bytes, "tcp %s", addr);
    } else {
        (void)snprintf(out, bytes, "tcp: lookup %s", d->host);
    }
}

static void on_deadline(uv_timer_t *timer)
{
    struct dial *d = dial_of(timer->data);
    char target[MU_ERR_TEXT_MAX];

    target_text(d, target, sizeof target);
    (void)mu_fail(&d->err, MU_TIMEOUT, "dial %.400s: i/o timeout", target);
    finish(d, NULL, NULL);
}

/* -- connecting ------------------------------------------------------------------------------- */

static void note_failed(struct dial *d, int uv_error)
{
    char reason[DIAL_REASON_MAX];
    char target[MU_ERR_TEXT_MAX];

    if (d->err.code == MU_OK) {
        dial_reason(uv_error, reason);
        target_text(d, target, sizeof target);
        (void)mu_fail(&d->err, MU_UNREACHABLE, "dial %.350s: connect: %s", target, reason);
    }
}

static void connect_next(struct dial *d);

static void on_connect(uv_connect_t *req, int status)
{
    struct attempt *a = req->data;
    struct dial *d = a->dial;
    union socket *socket = a->socket;

    mu_free(a);
    if (d == NULL) {
        return; /* its close is under way */
    }
    d->attempt = NULL;
    if (status == 0) {
        struct mu_addr unix_peer = MU_ADDR_NONE;

        socket->handle.data = NULL;
        finish(d, &socket->stream, d->path != NULL ? &unix_peer : &d->addrs[d->addrs_next - 1]);
        return;
    }
    uv_close(&socket->handle, on_socket_closed);
    note_failed(d, status);
    connect_next(d);
}

static struct attempt *attempt_new(struct dial *d)
{
    struct attempt *a = mu_new(sizeof *a);

    a->dial = d;
    a->socket = mu_new(sizeof *a->socket);
    a->req.data = a;
    d->attempt = a;
    return a;
}

static void connect_next(struct dial *d)
{
    while (d->addrs_next < d->addrs_count) {
        struct sockaddr_storage ss;
        struct attempt *a = attempt_new(d);

        mu_addr_to_sockaddr(&d->addrs[d->addrs_next++], &ss);
        MU_ASSERT(uv_tcp_init(d->loop, &a->socket->tcp) == 0);
        int rc = uv_tcp_connect(&a->req, &a->socket->tcp, (const struct sockaddr *)&ss, on_connect);

        if (rc == 0) {
            return;
        }
        uv_close(&a->socket->handle, on_socket_closed);
        d->attempt = NULL;
        mu_free(a);
        note_failed(d, rc);
    }
    finish(d, NULL, NULL);
}

static void connect_unix(struct dial *d)
{
    move(d, DIAL_CONNECTING);
    if (strlen(d->path) >= sizeof((struct sockaddr_un *)0)->sun_path) {
        note_failed(d, UV_EINVAL); /* libuv would cut the name and connect elsewhere */
        finish(d, NULL, NULL);
        return;
    }
    struct attempt *a = attempt_new(d);

    MU_ASSERT(uv_pipe_init(d->loop, &a->socket->pipe, 0) == 0);
    uv_pipe_connect(&a->req, &a->socket->pipe, d->path, on_connect);
}

/* -- names ------------------------------------------------------------------------------------ */

static void fail_lookup(struct dial *d, int status)
{
    bool is_unknown = status == 0 || status == UV_EAI_NONAME || status == UV_EAI_NODATA ||
                      status == UV_ENAMETOOLONG || status == UV_EINVAL;

    (void)mu_fail(&d->err, MU_UNREACHABLE, "dial tcp: lookup %s: %s", d->host,
                  is_unknown ? "no such host" : uv_strerror(status));
    finish(d, NULL, NULL);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct lookup *l = req->data;
    struct dial *d = l->dial;

    mu_free(l);
    for (const struct addrinfo *at = found; d != NULL && status == 0 && at != NULL;
         at = at->ai_next) {
        if (d->addrs_count < ADDRESSES_MAX &&
            mu_addr_from_sockaddr(at->ai_addr, &d->addrs[d->addrs_count])) {
            d->addrs[d->addrs_count++].port = d->port;
        }
    }
    uv_freeaddrinfo(found);
    if (d == NULL) {
        return;
    }
    d->lookup = NULL;
    if (d->addrs_count == 0) {
        fail_lookup(d, status);
        return;
    }
    move(d, DIAL_CONNECTING);
    connect_next(d);
}

static void resolve(struct dial *d)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct lookup *l = mu_new(sizeof *l);

    move(d, DIAL_RESOLVING);
    l->dial = d;
    l->req.data = l;
    d->lookup = l;
    int rc = uv_getaddrinfo(d->loop, &l->req, on_resolved, d->host, NULL, &hints);

    if (rc != 0) { /* a name that cannot be one, such as 300 bytes */
        mu_free(l);
        d->lookup = NULL;
        fail_lookup(d, rc);
    }
}

/* -- the beginning ---------------------------------------------------------------------------- */

static void on_begin(uv_timer_t *timer)
{
    struct dial *d = dial_of(timer->data);

    if (d->timeout_ms > 0) {
        uv_update_time(d->loop); /* a turn that took long is not this peer's fault */
        (void)uv_timer_start(&d->timer, on_deadline, d->timeout_ms, 0);
    }
    if (d->path != NULL) {
        connect_unix(d);
    } else if (mu_addr_parse_ip(mu_span_text(d->host), &d->addrs[0])) {
        d->addrs[0].port = d->port;
        d->addrs_count = 1;
        move(d, DIAL_CONNECTING);
        connect_next(d);
    } else {
        resolve(d);
    }
}

struct dial *dial_start(struct uv_loop_s *loop, const struct dial_to *to, dial_fn *done, void *data)
{
    struct dial *d = mu_new(sizeof *d);

    d->magic = DIAL_MAGIC;
    d->loop = loop;
    d->done = done;
    d->data = data;
    d->host = mu_strndup(to->host.data != NULL ? (const char *)to->host.data : "", to->host.bytes);
    d->path = to->path != NULL ? mu_strdup(to->path) : NULL;
    d->port = to->port;
    d->timeout_ms = to->timeout_ms;
    MU_ASSERT(uv_timer_init(loop, &d->timer) == 0);
    d->timer.data = d;
    (void)uv_timer_start(&d->timer, on_begin, 0, 0);
    return d;
}

void dial_cancel(struct dial *d)
{
    MU_ASSERT(d->magic == DIAL_MAGIC && d->state != DIAL_DONE);
    dial_close(d);
}
