/* reach_uv.c - a round of connections that are opened and closed. */
#include "reach.h"

#include <string.h>

#include <uv.h>

#include "base/assert.h"
#include "base/mem.h"
#include "dial.h"

struct one {
    struct reach *round;
    struct dial *dial; /* NULL: ended */
    struct reach_target *target;
};

struct reach {
    struct reach_target targets[REACH_TARGETS_MAX];
    struct one ones[REACH_TARGETS_MAX];
    size_t count, left;
    reach_fn *done;
    void *data;
};

static void on_closed(uv_handle_t *handle)
{
    mu_free(handle);
}

static enum gossip_way way_of(enum mu_code code, const struct mu_err *err)
{
    char refused[DIAL_REASON_MAX];

    if (code == MU_OK) {
        return GOSSIP_WAY_OPEN;
    }
    dial_reason(UV_ECONNREFUSED, refused);
    return strstr(err->text, refused) != NULL ? GOSSIP_WAY_REFUSED : GOSSIP_WAY_SILENT;
}

static void on_dialled(void *data, enum mu_code code, struct uv_stream_s *stream,
                       const struct mu_addr *peer, const struct mu_err *err)
{
    struct one *o = data;
    struct reach *r = o->round;

    (void)peer;
    o->dial = NULL;
    o->target->way = way_of(code, err);
    if (stream != NULL) {
        uv_close((uv_handle_t *)stream, on_closed);
    }
    MU_ASSERT(r->left > 0);
    if (--r->left == 0) {
        r->done(r->data, r->targets, r->count);
        mu_free(r);
    }
}

struct reach *reach_start(struct uv_loop_s *loop, const struct reach_target *targets, size_t count,
                          uint64_t timeout_ms, reach_fn *done, void *data)
{
    struct reach *r = mu_new(sizeof *r);

    MU_ASSERT(count > 0 && count <= REACH_TARGETS_MAX);
    r->count = r->left = count;
    r->done = done;
    r->data = data;
    memcpy(r->targets, targets, count * sizeof *targets);
    for (size_t i = 0; i < count; i++) {
        char host[MU_ADDR_TEXT_MAX];

        mu_addr_ip_text(&r->targets[i].addr, host);
        struct dial_to to = { .host = mu_span_text(host),
                              .port = r->targets[i].addr.port,
                              .timeout_ms = timeout_ms };

        r->ones[i] = (struct one){ .round = r, .target = &r->targets[i] };
        r->ones[i].dial = dial_start(loop, &to, on_dialled, &r->ones[i]);
    }
    return r;
}

void reach_cancel(struct reach *r)
{
    for (size_t i = 0; i < r->count; i++) {
        if (r->ones[i].dial != NULL) {
            dial_cancel(r->ones[i].dial);
        }
    }
    mu_free(r);
}
