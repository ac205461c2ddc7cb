/* bell_uv.c - an eventfd that the loop polls, and a flag that spares most writes to it. */
#include "proto/bell.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

#include "base/assert.h"
#include "base/mem.h"

struct mu_bell {
    uv_poll_t poll;
    int fd;
    atomic_bool is_rung; /* and not heard yet */
    mu_bell_fn *rung, *closed;
    void *rung_data, *closed_data;
};

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct mu_bell *b = MU_CONTAINER(poll, struct mu_bell, poll);
    uint64_t count;
    ssize_t got = read(b->fd, &count, sizeof count);

    (void)status;
    (void)events;
    (void)got; /* nothing to read: heard already */
    /* Before what was written is looked at: who rings from here on writes again. */
    if (atomic_exchange(&b->is_rung, false)) {
        b->rung(b->rung_data);
    }
}

struct mu_bell *mu_bell_new(struct uv_loop_s *loop, mu_bell_fn *rung, void *data)
{
    struct mu_bell *b = mu_new(sizeof *b);

    b->rung = rung;
    b->rung_data = data;
    b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    MU_ASSERT(b->fd >= 0);
    MU_ASSERT(uv_poll_init(loop, &b->poll, b->fd) == 0);
    MU_ASSERT(uv_poll_start(&b->poll, UV_READABLE, on_poll) == 0);
    return b;
}

void mu_bell_ring(struct mu_bell *b)
{
    static const uint64_t one = 1;

    if (!atomic_exchange(&b->is_rung, true)) {
        MU_ASSERT(write(b->fd, &one, sizeof one) == sizeof one);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct mu_bell *b = MU_CONTAINER((uv_poll_t *)handle, struct mu_bell, poll);
    mu_bell_fn *closed = b->closed;
    void *data = b->closed_data;

    (void)close(b->fd);
    mu_free(b);
    if (closed != NULL) {
        closed(data);
    }
}

void mu_bell_close(struct mu_bell *b, mu_bell_fn *closed, void *data)
{
    b->closed = closed;
    b->closed_data = data;
    uv_close((uv_handle_t *)&b->poll, on_closed);
}
