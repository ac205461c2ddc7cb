#include "listeners.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/addr.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

#define BACKLOG 1024

_Static_assert(LISTENERS_MAX <= TURNSTILE_LISTENERS_MAX, "all may wait");

struct listener {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } h;
    struct listeners *all;
    bool is_pipe;
    char where[128]; /* "tcp 127.0.0.1:8500" */
};

static void on_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;
    struct listeners *ls = l->all;

    mu_free(l);
    if (--ls->open_count == 0) {
        ls->closed(ls->data);
    }
}

void listeners_close(struct listeners *ls)
{
    ls->turnstile.held_count = 0;
    for (size_t i = 0; i < ls->count; i++) {
        uv_close(&ls->items[i]->h.handle, on_closed);
    }
    ls->count = 0;
}

static struct listener *listener_new(struct listeners *ls, uv_loop_t *loop, bool is_pipe)
{
    struct listener *l = mu_new(sizeof *l);
    int rc = is_pipe ? uv_pipe_init(loop, &l->h.pipe, 0) : uv_tcp_init(loop, &l->h.tcp);

    MU_ASSERT(rc == 0); /* no descriptor is made yet */
    l->all = ls;
    l->is_pipe = is_pipe;
    l->h.handle.data = l;
    ls->items[ls->count++] = l;
    ls->open_count++;
    return l;
}

static enum mu_code failed(const struct listener *l, int rc, struct mu_err *err)
{
    return mu_fail(err, MU_IO, "listen %s: bind: %s", l->where, uv_strerror(rc));
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct listener *l = stream->data;

    if (status == 0 && turnstile_pass(&l->all->turnstile, stream)) {
        l->all->accept(l->all->data, stream, l->is_pipe);
    }
}

void listeners_turn(struct listeners *ls)
{
    turnstile_turn(&ls->turnstile, on_connection);
}

/* libuv reports a taken port only here. */
static enum mu_code listen_on(struct listener *l, struct mu_err *err)
{
    int rc = uv_listen(&l->h.stream, BACKLOG, on_connection);

    if (rc != 0) {
        return failed(l, rc, err);
    }
    mu_log(MU_INFO, "agent", "Starting server", mu_kv("address", strchr(l->where, ' ') + 1),
           mu_kv("network", l->is_pipe ? "unix" : "tcp"), mu_kv("protocol", "http"));
    return MU_OK;
}

static enum mu_code listen_tcp(struct listeners *ls, uv_loop_t *loop, struct mu_addr address,
                               struct mu_err *err)
{
    struct listener *l = listener_new(ls, loop, false);
    struct sockaddr_storage name;
    char text[MU_ADDR_TEXT_MAX];

    mu_addr_text(&address, text);
    (void)snprintf(l->where, sizeof l->where, "tcp %s", text);
    mu_addr_to_sockaddr(&address, &name);

    int rc = uv_tcp_bind(&l->h.tcp, (const struct sockaddr *)&name, 0);

    return rc != 0 ? failed(l, rc, err) : listen_on(l, err);
}

static bool has_directory(const char *path)
{
    char directory[PATH_MAX];
    struct stat st;

    (void)snprintf(directory, sizeof directory, "%s", path);
    return stat(dirname(directory), &st) == 0 || errno != ENOENT;
}

/* A socket that a dead agent left behind is removed; anything else of that name is not ours. */
static enum mu_code listen_unix(struct listeners *ls, uv_loop_t *loop, const char *path,
                                struct mu_err *err)
{
    struct listener *l = listener_new(ls, loop, true);
    struct stat st;

    (void)snprintf(l->where, sizeof l->where, "unix %s", path);
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        (void)unlink(path);
    }
    int rc = uv_pipe_bind(&l->h.pipe, path);

    if (rc == UV_EACCES && !has_directory(path)) {
        rc = UV_ENOENT; /* what the kernel said, before libuv translated it */
    }
    return rc != 0 ? failed(l, rc, err) : listen_on(l, err);
}

enum mu_code listeners_open(struct listeners *ls, uv_loop_t *loop, const struct config *c,
                            struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    if (c->http_addrs_count + c->http_sockets_count > LISTENERS_MAX) {
        return mu_fail(err, MU_TOO_BIG, "addresses.http names %zu addresses, at most %d are served",
                       c->http_addrs_count + c->http_sockets_count, LISTENERS_MAX);
    }
    for (size_t i = 0; i < c->http_addrs_count && c->ports.http > 0 && rc == MU_OK; i++) {
        struct mu_addr address = c->http_addrs[i];

        address.port = (uint16_t)c->ports.http;
        rc = listen_tcp(ls, loop, address, err);
    }
    for (size_t i = 0; i < c->http_sockets_count && rc == MU_OK; i++) {
        rc = listen_unix(ls, loop, c->http_sockets[i], err);
    }
    return rc;
}
