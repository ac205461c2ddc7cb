/* stream.c - frames on byte streams: TCP pings, push/pull, farewells.
 *
 * Each direction begins with the clear header of packet.c, then frames:
 *
 *    0  u32 length of the payload   4  u32 CRC-32C of it   8  payload: one Frame message
 *
 * What a stream is for is its role; a role is a row of three functions. A stream ends in one of
 * two ways: we end or drop it, and nobody is called; or somebody else does (peer, network,
 * deadline), and the row's `ended` hears why.
 */
#include <stdio.h>
#include <string.h>

#include "base/crc.h"
#include "base/mem.h"
#include "base/wire.h"
#include "core.h"

#define FLAG_STREAM       8
#define FRAME_HEAD_BYTES  8
#define INBOUND_BYTES_MAX (64U * 1024 * 1024) /* of all accepted streams together: busy */
#define RETRY_AFTER_MS    1000

static const struct gossip__role_row *row_of(enum gossip__role role)
{
    switch (role) {
    case GOSSIP__ROLE_CLOSING:
    case GOSSIP__ROLE_HELLO: return NULL;
    case GOSSIP__ROLE_PINGED: return &gossip__role_pinged;
    case GOSSIP__ROLE_PING: return &gossip__role_ping;
    case GOSSIP__ROLE_SYNC: return &gossip__role_sync;
    case GOSSIP__ROLE_SYNCED: return &gossip__role_synced;
    case GOSSIP__ROLE_DELIVER: return &gossip__role_deliver;
    case GOSSIP__ROLE_DELIVERED: return &gossip__role_delivered;
    }
    MU_UNREACHABLE_CODE();
}

/* -- life ---------------------------------------------------------------------------------------
 */

static struct gossip__stream *stream_of(struct mu_link *link)
{
    return MU_CONTAINER(link, struct gossip__stream, link);
}

static bool is_ours(const struct gossip__stream *s)
{
    return (s->id & 1) != 0;
}

static struct gossip__stream *stream_new(struct gossip *g, uint32_t id, enum gossip__role role,
                                         const struct mu_addr *peer)
{
    struct gossip__stream *s = mu_new(sizeof *s);

    s->id = id;
    s->role = role;
    s->peer = *peer;
    s->deadline_ms = g->now_ms + g->profile.stream_ms;
    mu_list_push_back(&g->streams, &s->link);
    return s;
}

struct gossip__stream *gossip__stream_open(struct gossip *g, enum gossip__role role,
                                           const struct mu_addr *to)
{
    g->stream_id += 2;
    gossip__count(g, GOSSIP_COUNT_STREAMS_OUT);
    gossip__stream_op(g, GOSSIP_STREAM_OPEN, g->stream_id, to, MU_SPAN_NONE);
    return stream_new(g, g->stream_id, role, to);
}

struct gossip__stream *gossip__stream_find(const struct gossip *g, uint32_t id)
{
    MU_LIST_EACH (link, &g->streams) {
        if (stream_of(link)->id == id) {
            return stream_of(link);
        }
    }
    return NULL;
}

/* It no longer counts against the bounds on what others may ask of us. */
static void release(struct gossip *g, struct gossip__stream *s)
{
    if (!is_ours(s) && s->role != GOSSIP__ROLE_CLOSING) {
        g->inbound_count--;
        g->inbound_bytes -= s->received;
        gossip__inquiry_stream_gone(g, s->id);
    }
    s->role = GOSSIP__ROLE_CLOSING;
    gossip__sync_free(s->sync);
    s->sync = NULL;
    mu_buf_deinit(&s->in);
}

static void stream_free(struct gossip *g, struct gossip__stream *s)
{
    release(g, s);
    mu_list_remove(&s->link);
    mu_free(s);
}

void gossip__stream_end(struct gossip *g, struct gossip__stream *s)
{
    release(g, s);
    s->deadline_ms = g->now_ms + g->profile.stream_ms;
    gossip__stream_op(g, GOSSIP_STREAM_END, s->id, &s->peer, MU_SPAN_NONE);
}

void gossip__stream_drop(struct gossip *g, struct gossip__stream *s)
{
    gossip__stream_op(g, GOSSIP_STREAM_DROP, s->id, &s->peer, MU_SPAN_NONE);
    stream_free(g, s);
}

static void ended(struct gossip *g, struct gossip__stream *s, enum gossip_end end, const char *text)
{
    const struct gossip__role_row *row = row_of(s->role);

    if (row != NULL && row->ended != NULL) {
        row->ended(g, s, end, text);
    }
}

/* -- out ----------------------------------------------------------------------------------------
 */

static void write_head(struct gossip *g, struct gossip__stream *s)
{
    uint8_t *head = mu_arena_new(&g->step, GOSSIP__HEADER_BYTES);

    gossip__header_write(g, FLAG_STREAM, MU_SPAN_NONE, head);
    gossip__stream_op(g, GOSSIP_STREAM_WRITE, s->id, &s->peer,
                      mu_span_of(head, GOSSIP__HEADER_BYTES));
    s->head_sent = true;
}

void gossip__stream_frame(struct gossip *g, struct gossip__stream *s, struct gossip__frame *frame)
{
    struct mu_span payload = gossip__frame_encode(frame, &g->step);
    uint8_t *bytes = mu_arena_new(&g->step, FRAME_HEAD_BYTES + payload.bytes);
    struct mu_wr w = mu_wr_of(bytes, FRAME_HEAD_BYTES + payload.bytes);

    MU_ASSERT(payload.bytes <= GOSSIP__FRAME_BYTES_MAX);
    mu_wr_u32be(&w, (uint32_t)payload.bytes);
    mu_wr_u32be(&w, mu_crc32c(0, payload.data, payload.bytes));
    mu_wr_span(&w, payload);
    if (!s->head_sent) {
        write_head(g, s);
    }
    gossip__stream_op(g, GOSSIP_STREAM_WRITE, s->id, &s->peer, mu_wr_done(&w));
}

void gossip__stream_hello(struct gossip *g, struct gossip__stream *s, struct gossip__hello hello)
{
    struct gossip__frame frame = { .kind = GOSSIP__FRAME_HELLO };

    frame.hello = hello;
    frame.hello.from = g->self->name;
    frame.hello.boot_id = g->self->boot_id;
    gossip__stream_frame(g, s, &frame);
}

static void reject_busy(struct gossip *g, struct gossip__stream *s)
{
    struct gossip__frame frame = { .kind = GOSSIP__FRAME_REJECT };

    frame.reject = (struct gossip__reject){ .code = GOSSIP__REJECT_BUSY,
                                            .text = "busy, try later",
                                            .retry_after_ms = RETRY_AFTER_MS };
    gossip__count(g, GOSSIP_COUNT_STREAMS_BUSY);
    gossip__stream_frame(g, s, &frame);
    gossip__stream_end(g, s);
}

/* -- in -----------------------------------------------------------------------------------------
 */

static void on_accepted(struct gossip *g, uint32_t id, const struct mu_addr *from)
{
    struct gossip__stream *s = stream_new(g, id, GOSSIP__ROLE_HELLO, from);

    MU_ASSERT((id & 1) == 0);
    s->is_open = true;
    g->inbound_count++;
    gossip__count(g, GOSSIP_COUNT_STREAMS_IN);
    if (g->inbound_count > MU_GOSSIP_INBOUND_MAX) {
        reject_busy(g, s);
    }
}

static void on_hello(struct gossip *g, struct gossip__stream *s, const struct gossip__hello *hello)
{
    static const enum gossip__role roles[] = {
        [GOSSIP__HELLO_PING] = GOSSIP__ROLE_PINGED,
        [GOSSIP__HELLO_SYNC] = GOSSIP__ROLE_SYNCED,
        [GOSSIP__HELLO_DIGEST] = GOSSIP__ROLE_SYNCED,
        [GOSSIP__HELLO_DELIVER] = GOSSIP__ROLE_DELIVERED,
    };

    s->role = roles[hello->kind];
    (void)snprintf(s->name, sizeof s->name, "%s", hello->from);
    if (s->role == GOSSIP__ROLE_SYNCED) {
        gossip__sync_hello(g, s, hello);
    }
}

static void dispatch(struct gossip *g, struct gossip__stream *s, struct gossip__frame *frame,
                     struct mu_span payload)
{
    const struct gossip__role_row *row = row_of(s->role);

    if (row != NULL) {
        row->frame(g, s, frame, payload);
    } else if (frame->kind == GOSSIP__FRAME_HELLO) {
        on_hello(g, s, &frame->hello);
    } else {
        gossip__stream_drop(g, s); /* it did not say what it wants */
    }
}

/* Bytes that are not ours to read: tell the owner of the stream why it is over. */
static void broken(struct gossip *g, struct gossip__stream *s, enum gossip_counter reason)
{
    gossip__count(g, reason);
    if (reason == GOSSIP_COUNT_OTHER_CLUSTER && !is_ours(s)) {
        write_head(g, s); /* from which the other side sees why */
        gossip__stream_end(g, s);
        return;
    }
    ended(g, s, GOSSIP_END_RESET,
          reason == GOSSIP_COUNT_OTHER_CLUSTER
              ? "the peer belongs to another cluster (datacenter or label differ)"
              : mu_arena_printf(&g->step, "malformed answer (%s)", gossip_counter_text(reason)));
    gossip__stream_drop(g, s);
}

/* One frame, when it is there as a whole. False: not yet, or the stream is over. */
static bool take_frame(struct gossip *g, uint32_t id)
{
    struct gossip__stream *s = gossip__stream_find(g, id);
    struct gossip__frame frame;
    enum gossip_counter reason;

    if (s == NULL || s->role == GOSSIP__ROLE_CLOSING) {
        return false;
    }
    struct mu_span in = mu_buf_span(&s->in);

    if (!s->head_seen) {
        if (in.bytes < GOSSIP__HEADER_BYTES) {
            return false;
        }
        if (!gossip__header_ok(g, in, MU_SPAN_NONE, FLAG_STREAM, &reason)) {
            broken(g, s, reason);
            return false;
        }
        s->head_seen = true;
        mu_buf_drop(&s->in, GOSSIP__HEADER_BYTES);
        return true;
    }
    struct mu_rd r = mu_rd_of(in);
    uint32_t bytes = mu_rd_u32be(&r);
    uint32_t crc = mu_rd_u32be(&r);
    struct mu_span payload = mu_rd_take(&r, bytes);

    if (in.bytes >= 4 && bytes > GOSSIP__FRAME_BYTES_MAX) {
        broken(g, s, GOSSIP_COUNT_MALFORMED);
        return false;
    }
    if (!mu_rd_ok(&r)) {
        return false;
    }
    mu_arena_reset(&g->in);
    if (mu_crc32c(0, payload.data, payload.bytes) != crc ||
        !gossip__frame_decode(payload, &g->in, &frame)) {
        broken(g, s, GOSSIP_COUNT_MALFORMED);
        return false;
    }
    dispatch(g, s, &frame, payload);
    s = gossip__stream_find(g, id);
    if (s != NULL && s->role != GOSSIP__ROLE_CLOSING) {
        mu_buf_drop(&s->in, FRAME_HEAD_BYTES + bytes);
    }
    return true;
}

static void on_data(struct gossip *g, struct gossip__stream *s, struct mu_span data)
{
    uint32_t id = s->id;

    if (s->role == GOSSIP__ROLE_CLOSING) {
        return;
    }
    s->received += data.bytes;
    g->inbound_bytes += is_ours(s) ? 0 : data.bytes;
    if (s->received > MU_GOSSIP_STREAM_MAX) {
        broken(g, s, GOSSIP_COUNT_MALFORMED);
        return;
    }
    if (g->inbound_bytes > INBOUND_BYTES_MAX && !is_ours(s)) {
        reject_busy(g, s);
        return;
    }
    mu_buf_add_span(&s->in, data);
    while (take_frame(g, id)) {
    }
}

void gossip__on_stream(struct gossip *g, const struct gossip_event *ev)
{
    struct gossip__stream *s = gossip__stream_find(g, ev->stream.id);

    if (ev->kind == GOSSIP_EV_STREAM_ACCEPTED) {
        MU_ASSERT(s == NULL);
        on_accepted(g, ev->stream.id, &ev->stream.from);
        return;
    }
    if (s == NULL) {
        return; /* dropped by us while this was on its way */
    }
    if (ev->kind == GOSSIP_EV_STREAM_OPENED) {
        const struct gossip__role_row *row = row_of(s->role);

        s->is_open = true;
        if (row != NULL && row->opened != NULL) {
            row->opened(g, s);
        }
    } else if (ev->kind == GOSSIP_EV_STREAM_DATA) {
        on_data(g, s, ev->stream.data);
    } else {
        ended(g, s, ev->stream.end, ev->stream.text);
        stream_free(g, s);
    }
}

/* -- time ---------------------------------------------------------------------------------------
 */

uint64_t gossip__stream_due(const struct gossip *g)
{
    uint64_t due = GOSSIP__NEVER;

    MU_LIST_EACH (link, &g->streams) {
        uint64_t deadline = stream_of(link)->deadline_ms;

        due = deadline < due ? deadline : due;
    }
    return due;
}

static struct gossip__stream *overdue(const struct gossip *g)
{
    MU_LIST_EACH (link, &g->streams) {
        if (stream_of(link)->deadline_ms <= g->now_ms) {
            return stream_of(link);
        }
    }
    return NULL;
}

void gossip__stream_tick(struct gossip *g)
{
    struct gossip__stream *s;

    while ((s = overdue(g)) != NULL) { /* from the start each time: what ends one may end others */
        ended(g, s, s->is_open ? GOSSIP_END_RESET : GOSSIP_END_UNREACHABLE, "i/o timeout");
        gossip__stream_drop(g, s);
    }
}

void gossip__stream_free_all(struct gossip *g)
{
    MU_LIST_EACH_SAFE (link, &g->streams) {
        stream_free(g, stream_of(link));
    }
}
