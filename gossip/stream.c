/* stream.c - frames on byte streams: TCP pings, push/pull, farewells, answers.
 *
 * Each direction begins with the clear header of packet.c, then frames:
 *
 *    0  u32 length of the payload   4  u32 CRC-32C of it   8  payload: one Frame message
 *
 * or, sealed, a salt behind the header and frames of seal.c; what we begin waits for the other
 * side's salt. The one who is asked answers as he was asked, or, when he does not take that, with a
 * header that shows what he would take, and an end.
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

#define FRAME_HEAD_BYTES  8
#define INBOUND_BYTES_MAX (64U * 1024 * 1024) /* of all accepted streams together: busy */
#define RETRY_AFTER_MS    1000
#define SILENT_MS         250 /* who said nothing for so long gives way when there is no room */
#define CLOSING_MAX       128 /* accepted, over, and not closed by the other side yet */

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
    case GOSSIP__ROLE_ANSWER: return &gossip__role_answer;
    case GOSSIP__ROLE_TELL: return &gossip__role_tell;
    }
    MU_UNREACHABLE_CODE();
}

/* -- life ---------------------------------------------------------------------------------------
 */

static struct gossip__stream *stream_of(struct mu_link *link)
{
    return MU_CONTAINER(link, struct gossip__stream, link);
}

static struct gossip__stream *stream_new(struct gossip *g, uint32_t id, enum gossip__role role,
                                         const struct mu_addr *peer)
{
    struct gossip__stream *s = mu_new(sizeof *s);

    s->id = id;
    s->role = role;
    s->peer = *peer;
    s->since_ms = g->now_ms;
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
    if (!gossip__stream_is_ours(s) && s->role != GOSSIP__ROLE_CLOSING) {
        g->inbound_count--;
        g->inbound_bytes -= s->received;
        gossip__inquiry_stream_gone(g, s->id);
    }
    s->role = GOSSIP__ROLE_CLOSING;
    gossip__sync_free(g, s->sync);
    s->sync = NULL;
    gossip__stream_seal_free(s->seal);
    s->seal = NULL;
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
    uint8_t *head = mu_arena_new(&g->step, GOSSIP__HEADER_BYTES + GOSSIP__NONCE_BYTES);
    size_t bytes = GOSSIP__HEADER_BYTES;

    if (s->seal != NULL) {
        memcpy(head, s->seal->head_out, GOSSIP__HEADER_BYTES);
        memcpy(head + GOSSIP__HEADER_BYTES, s->seal->salt, GOSSIP__NONCE_BYTES);
        bytes += GOSSIP__NONCE_BYTES;
    } else {
        gossip__header_write(g, GOSSIP__FLAG_STREAM, MU_SPAN_NONE, head);
    }
    gossip__stream_op(g, GOSSIP_STREAM_WRITE, s->id, &s->peer, mu_span_of(head, bytes));
    s->head_sent = true;
}

static void write_clear(struct gossip *g, struct gossip__stream *s, struct mu_span payload)
{
    uint8_t *bytes = mu_arena_new(&g->step, FRAME_HEAD_BYTES + payload.bytes);
    struct mu_wr w = mu_wr_of(bytes, FRAME_HEAD_BYTES + payload.bytes);

    mu_wr_u32be(&w, (uint32_t)payload.bytes);
    mu_wr_u32be(&w, mu_crc32c(0, payload.data, payload.bytes));
    mu_wr_span(&w, payload);
    gossip__stream_op(g, GOSSIP_STREAM_WRITE, s->id, &s->peer, mu_wr_done(&w));
}

static void write_sealed(struct gossip *g, struct gossip__stream *s, struct mu_span payload)
{
    gossip__stream_op(g, GOSSIP_STREAM_WRITE, s->id, &s->peer,
                      gossip__stream_seal_frame(g, s->seal, payload));
}

static void wait_for_salt(struct gossip__stream_seal *x, struct mu_span payload)
{
    uint8_t length[4];
    struct mu_wr w = mu_wr_of(length, sizeof length);

    mu_wr_u32be(&w, (uint32_t)payload.bytes);
    mu_buf_add_span(&x->waiting, mu_wr_done(&w));
    mu_buf_add_span(&x->waiting, payload);
}

/* The other side's salt has come: what waited for it goes out. */
static void write_waiting(struct gossip *g, struct gossip__stream *s)
{
    struct mu_rd r = mu_rd_of(mu_buf_span(&s->seal->waiting));

    while (!mu_rd_done(&r)) {
        uint32_t bytes = mu_rd_u32be(&r);
        struct mu_span payload = mu_rd_take(&r, bytes);

        MU_ASSERT(mu_rd_ok(&r));
        write_sealed(g, s, payload);
    }
    mu_buf_deinit(&s->seal->waiting);
}

void gossip__stream_frame(struct gossip *g, struct gossip__stream *s, struct gossip__frame *frame)
{
    struct mu_span payload = gossip__frame_encode(frame, &g->step);

    MU_ASSERT(payload.bytes <= GOSSIP__FRAME_BYTES_MAX);
    if (!s->head_sent) {
        if (gossip__stream_is_ours(s) && gossip__seal_sends(g)) {
            s->seal = gossip__stream_seal_new(g, gossip__seal_primary(g));
        }
        write_head(g, s);
    }
    if (s->seal == NULL) {
        write_clear(g, s, payload);
    } else if (s->seal->is_ready) {
        write_sealed(g, s, payload);
    } else {
        wait_for_salt(s->seal, payload);
    }
}

void gossip__stream_hello(struct gossip *g, struct gossip__stream *s, struct gossip__hello hello)
{
    struct gossip__frame frame = { .kind = GOSSIP__FRAME_HELLO };

    frame.hello = hello;
    frame.hello.from = g->self->card->name;
    frame.hello.boot_id = g->self->card->boot_id;
    frame.hello.keys = gossip__seal_sends(g) ? g->seal.told_digest : 0; /* never in clear */
    gossip__stream_frame(g, s, &frame);
}

static void reject_busy(struct gossip *g, struct gossip__stream *s)
{
    struct gossip__frame frame = { .kind = GOSSIP__FRAME_REJECT };

    frame.reject = (struct gossip__reject){ .code = GOSSIP__REJECT_BUSY,
                                            .text = "busy, try later",
                                            .retry_after_ms = RETRY_AFTER_MS };
    gossip__count(g, GOSSIP_COUNT_STREAMS_BUSY);
    if (gossip__seal_is_on(g) && s->seal == NULL) {
        gossip__stream_drop(g, s); /* not even a salt has come: nothing can be said sealed */
        return;
    }
    gossip__stream_frame(g, s, &frame);
    gossip__stream_end(g, s);
}

/* -- in -----------------------------------------------------------------------------------------
 */

static bool is_silent(const struct gossip *g, const struct gossip__stream *s)
{
    return s->role == GOSSIP__ROLE_HELLO && g->now_ms >= s->since_ms + SILENT_MS;
}

/* Room is for those who say at once what they want: anybody can open connections, and hold them
 * without a word. Those held longest go first. */
static void make_room(struct gossip *g)
{
    struct gossip__stream *silent = NULL;
    struct gossip__stream *closing = NULL;
    size_t closing_count = 0;

    MU_LIST_EACH (link, &g->streams) {
        struct gossip__stream *s = stream_of(link);

        if (gossip__stream_is_ours(s)) {
            continue;
        }
        if (s->role == GOSSIP__ROLE_CLOSING) {
            closing = closing != NULL ? closing : s;
            closing_count++;
        } else if (silent == NULL && is_silent(g, s)) {
            silent = s;
        }
    }
    if (closing_count >= CLOSING_MAX) {
        gossip__stream_drop(g, closing);
    }
    if (g->inbound_count >= MU_GOSSIP_INBOUND_MAX && silent != NULL) {
        gossip__count(g, GOSSIP_COUNT_STREAMS_BUSY);
        gossip__stream_drop(g, silent);
    }
}

static void on_accepted(struct gossip *g, uint32_t id, const struct mu_addr *from)
{
    make_room(g);
    struct gossip__stream *s = stream_new(g, id, GOSSIP__ROLE_HELLO, from);

    MU_ASSERT((id & 1) == 0);
    s->is_open = true;
    g->inbound_count++;
    gossip__count(g, GOSSIP_COUNT_STREAMS_IN);
    if (g->inbound_count > MU_GOSSIP_INBOUND_MAX) {
        reject_busy(g, s);
    }
}

/* Why a stream of ours came to nothing, for whoever wanted it. */
static const char *broken_text(struct gossip *g, enum gossip_counter reason)
{
    if (reason == GOSSIP_COUNT_OTHER_CLUSTER) {
        return "the peer belongs to another cluster (datacenter or label differ)";
    }
    if (reason == GOSSIP_COUNT_CLEAR) {
        return "Encryption is configured but remote state is not encrypted";
    }
    if (reason == GOSSIP_COUNT_UNKNOWN_KEY) {
        return gossip__seal_is_on(g) ? "No installed keys could decrypt the message"
                                     : "Remote state is encrypted and encryption is not configured";
    }
    return mu_arena_printf(&g->step, "malformed answer (%s)", gossip_counter_text(reason));
}

void gossip__stream_fail(struct gossip *g, struct gossip__stream *s, const char *why)
{
    ended(g, s, GOSSIP_END_RESET, why);
    gossip__stream_drop(g, s);
}

void gossip__stream_broken(struct gossip *g, struct gossip__stream *s, enum gossip_counter reason)
{
    gossip__turn_away(g, reason, &s->peer);
    s->is_stranger = reason == GOSSIP_COUNT_OTHER_CLUSTER || reason == GOSSIP_COUNT_CLEAR ||
                     reason == GOSSIP_COUNT_UNKNOWN_KEY;
    if (s->is_stranger && !gossip__stream_is_ours(s) && !s->head_sent) {
        if (gossip__seal_is_on(g)) {
            s->seal = gossip__stream_seal_new(g, gossip__seal_primary(g));
        }
        write_head(g, s);
        gossip__stream_end(g, s);
        return;
    }
    gossip__stream_fail(g, s, broken_text(g, reason));
}

static void on_hello(struct gossip *g, struct gossip__stream *s, const struct gossip__hello *hello)
{
    static const enum gossip__role roles[] = {
        [GOSSIP__HELLO_PING] = GOSSIP__ROLE_PINGED,
        [GOSSIP__HELLO_SYNC] = GOSSIP__ROLE_SYNCED,
        [GOSSIP__HELLO_DIGEST] = GOSSIP__ROLE_SYNCED,
        [GOSSIP__HELLO_DELIVER] = GOSSIP__ROLE_DELIVERED,
    };

    if (!gossip__keys_hello(g, s, hello)) {
        return;
    }
    s->role = roles[hello->kind];
    (void)snprintf(s->name, sizeof s->name, "%s", hello->from);
    if (s->role == GOSSIP__ROLE_SYNCED) {
        gossip__sync_hello(s, hello);
    }
}

static void dispatch(struct gossip *g, struct gossip__stream *s, struct gossip__frame *frame,
                     struct mu_span payload)
{
    const struct gossip__role_row *row = row_of(s->role);

    if (frame->kind == GOSSIP__FRAME_KEYS) {
        gossip__on_keys(g, s, frame->keys);
    } else if (row != NULL) {
        row->frame(g, s, frame, payload);
    } else if (frame->kind == GOSSIP__FRAME_HELLO) {
        on_hello(g, s, &frame->hello);
    } else {
        gossip__stream_drop(g, s); /* it did not say what it wants */
    }
}

/* -- in: the header ------------------------------------------------------------------------------
 */

enum taken { TAKEN, TAKEN_NOT_YET, TAKEN_OVER };

static enum taken over(struct gossip *g, struct gossip__stream *s, enum gossip_counter reason)
{
    gossip__stream_broken(g, s, reason);
    return TAKEN_OVER;
}

/* Sealed: the salt behind the header makes the keys. */
static enum taken take_salt(struct gossip *g, struct gossip__stream *s, uint32_t key_id)
{
    struct mu_span in = mu_buf_span(&s->in);
    struct mu_span salt = mu_span_sub(in, GOSSIP__HEADER_BYTES, GOSSIP__NONCE_BYTES);

    if (!gossip__seal_knows(g, key_id) ||
        (gossip__stream_is_ours(s) && (s->seal == NULL || s->seal->key_id != key_id))) {
        return over(g, s, GOSSIP_COUNT_UNKNOWN_KEY);
    }
    if (salt.bytes < GOSSIP__NONCE_BYTES) {
        return TAKEN_NOT_YET;
    }
    if (s->seal == NULL) { /* we answer as we were asked */
        s->seal = gossip__stream_seal_new(g, key_id);
        write_head(g, s);
    }
    if (!gossip__stream_seal_ready(g, s->seal, gossip__stream_is_ours(s),
                                   mu_span_sub(in, 0, GOSSIP__HEADER_BYTES), salt)) {
        return over(g, s, GOSSIP_COUNT_UNKNOWN_KEY);
    }
    write_waiting(g, s);
    s->head_seen = true;
    mu_buf_drop(&s->in, GOSSIP__HEADER_BYTES + GOSSIP__NONCE_BYTES);
    return TAKEN;
}

static enum taken take_head(struct gossip *g, struct gossip__stream *s)
{
    struct mu_span in = mu_buf_span(&s->in);
    enum gossip_counter reason;
    struct gossip__head head;

    if (in.bytes < GOSSIP__HEADER_BYTES) {
        return TAKEN_NOT_YET;
    }
    if (!gossip__header_read(g, in, GOSSIP__FLAG_STREAM, &head, &reason)) {
        return over(g, s, reason);
    }
    if ((head.flags & GOSSIP__FLAG_SEALED) != 0) {
        return take_salt(g, s, head.key_id);
    }
    if (!gossip__header_ok(&head, in, MU_SPAN_NONE)) {
        return over(g, s, GOSSIP_COUNT_BAD_CHECKSUM);
    }
    if (s->seal != NULL || (!gossip__stream_is_ours(s) && !gossip__seal_takes_clear(g))) {
        return over(g, s, GOSSIP_COUNT_CLEAR);
    }
    s->head_seen = true;
    mu_buf_drop(&s->in, GOSSIP__HEADER_BYTES);
    return TAKEN;
}

/* -- in: frames ----------------------------------------------------------------------------------
 */

/* One frame's payload, when it is there as a whole; *used: its bytes in the stream. */
static enum taken take_payload(struct gossip *g, struct gossip__stream *s, struct mu_span *payload,
                               size_t *used)
{
    bool is_sealed = s->seal != NULL;
    size_t head_bytes = is_sealed ? 4 : FRAME_HEAD_BYTES;
    struct mu_span in = mu_buf_span(&s->in);
    struct mu_rd r = mu_rd_of(in);
    uint32_t bytes = mu_rd_u32be(&r);
    uint32_t crc = is_sealed ? 0 : mu_rd_u32be(&r);

    if (in.bytes >= 4 &&
        bytes > GOSSIP__FRAME_BYTES_MAX + (is_sealed ? (uint32_t)GOSSIP__TAG_BYTES : 0)) {
        return over(g, s, GOSSIP_COUNT_MALFORMED);
    }
    *payload = mu_rd_take(&r, bytes);
    *used = head_bytes + bytes;
    if (!mu_rd_ok(&r)) {
        return TAKEN_NOT_YET;
    }
    mu_arena_reset(&g->in);
    if (is_sealed) {
        return gossip__stream_open_frame(g, s->seal, *payload, payload)
                   ? TAKEN
                   : over(g, s, GOSSIP_COUNT_FORGED);
    }
    return mu_crc32c(0, payload->data, payload->bytes) == crc ? TAKEN
                                                              : over(g, s, GOSSIP_COUNT_MALFORMED);
}

/* The header, or one frame, when it is there as a whole. False: not yet, or the stream is over. */
static bool take_next(struct gossip *g, uint32_t id)
{
    struct gossip__stream *s = gossip__stream_find(g, id);
    struct gossip__frame frame;
    struct mu_span payload;
    size_t used;

    if (s == NULL || s->role == GOSSIP__ROLE_CLOSING) {
        return false;
    }
    if (!s->head_seen) {
        return take_head(g, s) == TAKEN;
    }
    if (take_payload(g, s, &payload, &used) != TAKEN) {
        return false;
    }
    if (!gossip__frame_decode(payload, &g->in, &frame)) {
        gossip__stream_broken(g, s, GOSSIP_COUNT_MALFORMED);
        return false;
    }
    dispatch(g, s, &frame, payload);
    s = gossip__stream_find(g, id);
    if (s != NULL && s->role != GOSSIP__ROLE_CLOSING) {
        mu_buf_drop(&s->in, used);
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
    g->counters[GOSSIP_COUNT_STREAM_BYTES_IN] += data.bytes;
    g->inbound_bytes += gossip__stream_is_ours(s) ? 0 : data.bytes;
    if (s->received > MU_GOSSIP_STREAM_MAX) {
        gossip__stream_broken(g, s, GOSSIP_COUNT_MALFORMED);
        return;
    }
    if (g->inbound_bytes > INBOUND_BYTES_MAX && !gossip__stream_is_ours(s)) {
        reject_busy(g, s);
        return;
    }
    mu_buf_add_span(&s->in, data);
    while (take_next(g, id)) {
    }
}

/* Did the host that we called speak, be it that it refuses? */
static bool is_answered(const struct gossip *g, const struct gossip_event *ev)
{
    const struct gossip__stream *s = gossip__stream_find(g, ev->stream.id);

    return s != NULL && gossip__stream_is_ours(s) && ev->stream.end != GOSSIP_END_UNREACHABLE &&
           ev->stream.end != GOSSIP_END_LOCAL;
}

void gossip__on_stream(struct gossip *g, const struct gossip_event *ev)
{
    struct gossip__stream *s;

    if (is_answered(g, ev)) {
        gossip__health_heard(g); /* a probe given up for it takes its stream along */
    }
    s = gossip__stream_find(g, ev->stream.id);
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
