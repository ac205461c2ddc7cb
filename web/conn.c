#include "conn.h"

#include <string.h>

#include "agent/operator.h"
#include "base/assert.h"
#include "base/limits.h"

/* How long the driver lets things last. Generous where honest clients wait: pooled connections of
 * Go clients stay idle for 90 s, and one that we close under a request costs it an error. */
#define IDLE_MS (600U * 1000) /* between requests */
#define HEAD_MS (30U * 1000)  /* from the first byte of a head to its end: slow loris */
#define BODY_MS (60U * 1000)  /* between two parts of a body */
#define SEND_MS (60U * 1000)  /* without the peer taking a byte of its answer */
#define END_MS  (2U * 1000)   /* of reading on after a refusal, so that the peer sees the answer */

#define VICTIMS_MAX 64 /* looked at to make room for one answer */

static const uint8_t preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"; /* RFC 9113 section 3.4 */
#define PREFACE_BYTES (sizeof preface - 1)

void conn_init(struct conn *c, struct conn_host *host, const struct mu_addr *client)
{
    *c = (struct conn){ .host = host, .client = *client, .state = CONN_NEW };
    c->since_ms = host->now_ms;
    mu_list_init(&c->streams);
}

void conn_deinit(struct conn *c)
{
    held_set(&c->host->pool->held, &c->held, 0, c->host->now_ms);
    http1_deinit(c);
    http2_deinit(c);
    mu_buf_deinit(&c->in);
    mu_buf_deinit(&c->out);
    mu_buf_deinit(&c->h2_settings);
}

void conn__end(struct conn *c)
{
    if (c->state == CONN_ENDING) {
        return;
    }
    c->state = CONN_ENDING;
    c->since_ms = c->host->now_ms;
    mu_buf_deinit(&c->in);
    c->host->touch(c->host->touch_data, c);
}

void conn__body(struct conn *c, struct request *r, struct mu_span part, uint64_t *discarded)
{
    uint64_t before = r->upload != NULL ? agent_upload_bytes(r->upload) : r->body.bytes;
    bool fits = request_body_takes(r, before + part.bytes);

    if (fits && r->upload != NULL) {
        agent_upload_add(r->upload, part);
        c->is_body_held = agent_upload_is_full(r->upload);
        return;
    }
    if (fits) {
        mu_buf_add_span(&r->body, part);
        return;
    }
    *discarded += before + part.bytes;
    if (r->upload != NULL) {
        agent_upload_end(r->upload);
        r->upload = NULL;
        c->is_body_held = false;
    }
    if (r->content_length < *discarded) {
        r->content_length = *discarded; /* a chunked body has none: what is known of it */
    }
    mu_buf_deinit(&r->body);
}

void conn__body_moved(struct request *r)
{
    struct conn *c = r->sink_data;

    if (c->is_body_held && r->upload != NULL && !agent_upload_is_full(r->upload)) {
        c->is_body_held = false;
        c->since_ms = c->host->now_ms; /* it was we who did not read */
        c->host->touch(c->host->touch_data, c);
    }
}

/* -- bytes in ---------------------------------------------------------------------------------- */

/* Which protocol is it? Decided at the first byte that differs from the preface, or when all of it
 * is there. */
static void detect(struct conn *c)
{
    size_t known = c->in.bytes < PREFACE_BYTES ? c->in.bytes : PREFACE_BYTES;

    if (memcmp(c->in.data, preface, known) != 0) {
        c->state = CONN_H1;
        http1_start(c);
    } else if (known == PREFACE_BYTES) {
        c->state = CONN_H2;
        http2_start(c);
    }
}

/* Hand over what waits in `in`, as far as it is taken. */
static void feed_waiting(struct conn *c)
{
    struct mu_buf in = c->in;
    size_t used = 0;

    if (c->in.bytes == 0) {
        return;
    }
    c->in = MU_BUF_NONE; /* the protocol may end the connection meanwhile */
    if (c->state == CONN_H1) {
        used = http1_feed(c, mu_buf_span(&in));
    }
    if (c->state == CONN_H2) { /* perhaps only now, by an upgrade */
        http2_feed(c, mu_span_sub(mu_buf_span(&in), used, in.bytes));
        used = in.bytes;
    }
    if (c->state == CONN_ENDING || used == in.bytes) {
        mu_buf_deinit(&in);
        return;
    }
    mu_buf_drop(&in, used);
    c->in = in;
}

void conn_feed(struct conn *c, struct mu_span bytes)
{
    if (c->state == CONN_ENDING) {
        return; /* a refused body goes by */
    }
    if (c->state == CONN_NEW) {
        mu_buf_add_span(&c->in, bytes);
        detect(c);
        feed_waiting(c);
        return;
    }
    if (c->in.bytes > 0) {
        mu_buf_add_span(&c->in, bytes);
        return; /* conn_turn() goes on with it once the request before it is answered */
    }
    size_t used = 0;

    if (c->state == CONN_H1) {
        used = http1_feed(c, bytes);
    }
    if (c->state == CONN_H2) {
        http2_feed(c, mu_span_sub(bytes, used, bytes.bytes));
        used = bytes.bytes;
    }
    if (c->state != CONN_ENDING && used < bytes.bytes) {
        mu_buf_add_span(&c->in, mu_span_sub(bytes, used, bytes.bytes));
    }
}

void conn_eof(struct conn *c)
{
    c->is_eof = true;
    if (c->request != NULL && c->request->state == REQUEST_SERVING) {
        c->request->is_half_closed = true; /* a peer may stop sending and still read its answer */
        if (c->request->is_held) {
            conn__end(c); /* nobody waits that long behind a closed pipe (http-api 1.7) */
        }
        return;
    }
    if (c->state == CONN_H1 && c->in.bytes > 0) {
        c->host->touch(c->host->touch_data, c); /* pipelined requests are answered first */
    } else {
        conn__end(c);
    }
}

/* -- answers in pieces ------------------------------------------------------------------------- */

void conn__drain(struct conn *c, struct request *r)
{
    void (*drained)(struct request *) = r->drained;

    if (drained == NULL) {
        return;
    }
    if (r->sink->stream_waiting(r) > CONN_DRAINED) {
        c->has_watched = true; /* again when the socket took more */
        return;
    }
    r->drained = NULL;
    drained(r);
}

static void drain_all(struct conn *c)
{
    c->has_watched = false;
    if (c->state == CONN_H2) {
        MU_LIST_EACH_SAFE (link, &c->streams) {
            conn__drain(c, MU_CONTAINER(link, struct request, stream_link));
        }
    } else if (c->request != NULL) {
        conn__drain(c, c->request);
    }
}

/* -- what it holds ------------------------------------------------------------------------------
 */

/* The socket's part is there until all of it was taken: it is one piece of memory. */
static size_t held_bytes(const struct conn *c)
{
    size_t queued = c->h2 != NULL ? mu_h2_queued_all(c->h2) : 0;

    return c->in.bytes + c->out.bytes + c->taken_bytes + queued;
}

static void held_count(struct conn *c)
{
    held_set(&c->host->pool->held, &c->held, c->is_evicted ? 0 : held_bytes(c), c->host->now_ms);
}

/* What it holds goes with the end of this turn; nobody reads it. */
static void evict(struct conn *c)
{
    c->host->pool->held.evicted_count++;
    c->is_evicted = true;
    held_count(c);
    c->host->touch(c->host->touch_data, c);
}

void conn_took(struct conn *c, size_t bytes)
{
    held_taken(&c->host->pool->held, &c->held, bytes, c->host->now_ms);
}

void conn_look(struct conn *c)
{
    if (c->host->unsent == NULL || c->unsent == 0) {
        return;
    }
    size_t left = c->host->unsent(c->host->touch_data, c);

    if (left < c->unsent) {
        conn_took(c, c->unsent - left);
        c->unsent = left;
        c->since_ms = c->host->now_ms;
    }
}

static bool has_room(struct conn *c, size_t bytes)
{
    struct held *all = &c->host->pool->held;
    struct held_by *victim = NULL;

    for (unsigned i = 0; i < VICTIMS_MAX; i++) {
        switch (held_room(all, &c->held, bytes, c->host->now_ms, &victim)) {
        case HELD_FITS: return true;
        case HELD_REFUSED: return false;
        case HELD_EVICT: break;
        }
        struct conn *other = MU_CONTAINER(victim, struct conn, held);

        conn_look(other); /* perhaps it goes on taking: then it is not the longest any more */
        if (other->host->now_ms - victim->since_ms >= HELD_PATIENCE_MS) {
            evict(other);
        }
    }
    return false;
}

void conn__admit(struct conn *c, struct request *r)
{
    struct request_pool *pool = c->host->pool;
    size_t bytes = r->method == WEB_HEAD ? 0 : r->response.body.bytes;

    if (!has_room(c, bytes)) {
        response_reset(r);
        r->response.status = 429;
        r->response.content_type = "text/plain; charset=utf-8";
        r->response.body =
            MU_SPAN_LIT("Too many answers wait for clients that do not take them: try again later");
        bytes = r->response.body.bytes;
    }
    held_set(&pool->held, &c->held, c->held.bytes + bytes, c->host->now_ms);
}

/* Until it is no more than it may be. Who took enough since it was looked at last goes behind the
 * others, and stays if there are any. */
static void make_way(struct held *all)
{
    struct held_by *first;

    while ((first = held_over(all)) != NULL) {
        struct conn *c = MU_CONTAINER(first, struct conn, held);

        conn_look(c);
        if (held_over(all) == first) {
            evict(c);
        }
    }
}

/* -- the turn ---------------------------------------------------------------------------------- */

bool conn__is_clogged(const struct conn *c)
{
    return c->out.bytes + c->unsent >= CONN_OUT_MAX;
}

void conn_turn(struct conn *c)
{
    bool is_free = c->request == NULL || c->request->state == REQUEST_READING;

    c->turn_answers = 0;
    if (c->state == CONN_H1 && is_free && !conn__is_clogged(c)) {
        feed_waiting(c);
    }
    while (c->state == CONN_H2 && !conn__is_clogged(c) && http2_pull(c)) {
    }
    if (c->is_eof && c->state == CONN_H1 && c->request == NULL && c->in.bytes == 0) {
        conn__end(c);
    }
    if (c->has_watched) {
        drain_all(c);
    }
    c->is_held_up = conn__is_clogged(c);
    held_count(c);
    make_way(&c->host->pool->held);
}

void conn_stop(struct conn *c)
{
    if (c->is_stopping) {
        return;
    }
    c->is_stopping = true;
    if (c->state == CONN_H2) {
        http2_stop(c);
    } else {
        http1_stop(c);
    }
    c->host->touch(c->host->touch_data, c);
}

bool conn_wants_read(const struct conn *c)
{
    if (c->is_eof) {
        return false;
    }
    return c->state == CONN_ENDING || (!c->is_body_held && c->in.bytes < CONN_IN_MAX &&
                                       !conn__is_clogged(c) && c->backlog < CONN_OUT_MAX);
}

void conn_sent(struct conn *c, size_t unsent)
{
    if (unsent < c->unsent) {
        conn_took(c, c->unsent - unsent);
    }
    c->unsent = c->taken_bytes = unsent;
    c->since_ms = c->host->now_ms;
    held_count(c);
    if (c->has_watched || (c->is_held_up && !conn__is_clogged(c))) {
        c->is_held_up = false;
        c->host->touch(c->host->touch_data, c); /* nothing else might ever wake it */
    }
}

static bool is_done(const struct conn *c)
{
    return c->state == CONN_ENDING && c->out.bytes == 0 && c->unsent == 0;
}

bool conn_wants_shutdown(const struct conn *c)
{
    return is_done(c) && !c->is_eof && c->discarded > 0;
}

bool conn_is_over(const struct conn *c)
{
    return c->is_evicted || (is_done(c) && !conn_wants_shutdown(c));
}

uint64_t conn_deadline(const struct conn *c)
{
    size_t queued = c->h2 != NULL ? mu_h2_queued_all(c->h2) : 0;
    bool has_unsent = c->out.bytes + c->unsent + queued > 0;

    if (c->state == CONN_ENDING && !has_unsent) {
        return c->since_ms + END_MS;
    }
    if (has_unsent) {
        return c->since_ms + SEND_MS;
    }
    if (c->request != NULL) {
        return c->request->state == REQUEST_READING ? c->since_ms + BODY_MS : 0;
    }
    if (c->streams_count > 0) {
        return 0;
    }
    return c->since_ms + (c->has_head_part ? HEAD_MS : IDLE_MS);
}
