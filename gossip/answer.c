/* answer.c - answers that no datagram takes, by stream (13.7).
 *
 *   who was asked                              asker
 *     | -- hello (deliver), the Response ------> |   of a query of its own that takes such ones
 *     | <- done -------------------------------- |   also when it has it already, or is over
 *
 * Only with the asker's consent (GOSSIP__QUERY_LARGE or _OWN), and only to a member at its address:
 * else whoever sends one datagram would let all of us connect to a third. Until it is confirmed or
 * the query is over the answer stays with the open query, and is sent again behind a growing pause:
 * the asker may be busy with the answers of all the others.
 */
#include <string.h>

#include "base/mem.h"
#include "core.h"

#define WAITING_MAX 64  /* answers, so 4 MiB: more are refused */
#define STREAMS_MAX 16  /* at a time */
#define CROWD       32  /* with more members they do not all come at once: */
#define RETRY_MS    250 /* doubled up to */
#define DOUBLED_MAX 6

size_t gossip__answer_limit(const struct gossip *g, const struct gossip__open_query *q)
{
    const struct gossip__member *asker = gossip__member_find(g, q->from);
    bool is_member = asker != NULL && mu_addr_eq(&asker->card->addr, &q->origin);
    size_t limit = g->queries.response_limit;

    if ((q->takes_large || q->takes_own) && (q->is_ours || is_member)) {
        return q->takes_own || limit > GOSSIP_RESPONSE_BYTES ? limit : GOSSIP_RESPONSE_LARGE_BYTES;
    }
    return limit < GOSSIP_RESPONSE_BYTES ? limit : GOSSIP_RESPONSE_BYTES;
}

bool gossip__answer_has_room(const struct gossip *g)
{
    return g->queries.large_count < WAITING_MAX;
}

/* -- who was asked ------------------------------------------------------------------------------
 */

static struct gossip__open_query *open_of(struct mu_link *link)
{
    return MU_CONTAINER(link, struct gossip__open_query, link);
}

static struct gossip__open_query *open_by_stream(const struct gossip *g, uint32_t stream)
{
    MU_LIST_EACH (link, &g->queries.open) {
        if (open_of(link)->large_stream == stream) {
            return open_of(link);
        }
    }
    return NULL;
}

void gossip__answer_queue(struct gossip *g, struct gossip__open_query *q, struct mu_span part)
{
    size_t others = gossip__others_live(g);
    uint64_t spread_ms = others > CROWD ? others : 0;
    uint64_t most_ms = (q->deadline_ms - g->now_ms) / 4;

    spread_ms = spread_ms < most_ms ? spread_ms : most_ms;
    mu_buf_add_span(&q->large, part);
    q->large_at_ms = g->now_ms + mu_rand_below(&g->rand, spread_ms + 1);
    g->queries.large_count++;
}

static void unqueue(struct gossip *g, struct gossip__open_query *q)
{
    mu_buf_deinit(&q->large);
    q->large_at_ms = GOSSIP__NEVER;
    g->queries.large_count--;
}

/* Its stream is over. */
static void detach(struct gossip *g, struct gossip__open_query *q)
{
    q->large_stream = 0;
    g->queries.large_streams--;
}

static void again_later(struct gossip *g, struct gossip__open_query *q)
{
    uint64_t pause_ms = (uint64_t)RETRY_MS
                        << (q->large_tries < DOUBLED_MAX ? q->large_tries : DOUBLED_MAX);

    detach(g, q);
    q->large_tries++;
    q->large_at_ms = g->now_ms + pause_ms + mu_rand_below(&g->rand, pause_ms);
    gossip__count(g, GOSSIP_COUNT_LARGE_AGAIN);
}

void gossip__answer_forget(struct gossip *g, struct gossip__open_query *q)
{
    struct gossip__stream *s =
        q->large_stream != 0 ? gossip__stream_find(g, q->large_stream) : NULL;

    if (q->large_stream != 0) {
        detach(g, q);
    }
    if (s != NULL) {
        gossip__stream_drop(g, s);
    }
    if (q->large.bytes > 0) {
        gossip__count(g, GOSSIP_COUNT_LARGE_LOST);
        gossip__log(g, MU_WARN, "serf: %s did not take our answer to its query in time", q->from);
        unqueue(g, q);
    }
}

static void answer_opened(struct gossip *g, struct gossip__stream *s)
{
    struct gossip__frame frame = { .kind = GOSSIP__FRAME_PART };
    const struct gossip__open_query *q = open_by_stream(g, s->id);

    MU_ASSERT(q != NULL);
    gossip__stream_hello(g, s, (struct gossip__hello){ .kind = GOSSIP__HELLO_DELIVER });
    frame.part.bytes = mu_buf_span(&q->large);
    gossip__stream_frame(g, s, &frame);
}

static void answer_frame(struct gossip *g, struct gossip__stream *s, struct gossip__frame *frame,
                         struct mu_span bytes)
{
    struct gossip__open_query *q = open_by_stream(g, s->id);

    (void)bytes;
    MU_ASSERT(q != NULL);
    if (frame->kind == GOSSIP__FRAME_DONE) {
        detach(g, q);
        unqueue(g, q);
        gossip__count(g, GOSSIP_COUNT_LARGE_SENT);
    } else {
        again_later(g, q); /* busy, or what we do not understand */
    }
    gossip__stream_drop(g, s);
}

static void answer_ended(struct gossip *g, struct gossip__stream *s, enum gossip_end end,
                         const char *text)
{
    struct gossip__open_query *q = open_by_stream(g, s->id);

    (void)end;
    MU_ASSERT(q != NULL);
    gossip__log(g, MU_TRACE, "large answer to %s: %s", q->from, text);
    again_later(g, q);
}

const struct gossip__role_row gossip__role_answer = { answer_opened, answer_frame, answer_ended };

uint64_t gossip__answer_due(const struct gossip *g, const struct gossip__open_query *q)
{
    return g->queries.large_streams < STREAMS_MAX ? q->large_at_ms : GOSSIP__NEVER;
}

void gossip__answer_tick(struct gossip *g, struct gossip__open_query *q)
{
    if (gossip__answer_due(g, q) > g->now_ms) {
        return;
    }
    struct gossip__stream *s = gossip__stream_open(g, GOSSIP__ROLE_ANSWER, &q->origin);

    s->deadline_ms = s->deadline_ms < q->deadline_ms ? s->deadline_ms : q->deadline_ms;
    q->large_stream = s->id;
    q->large_at_ms = GOSSIP__NEVER;
    g->queries.large_streams++;
}

void gossip__answer_check(const struct gossip *g)
{
    size_t waiting = 0, streams = 0;

    MU_LIST_EACH (link, &g->queries.open) {
        const struct gossip__open_query *q = open_of(link);

        waiting += q->large.bytes > 0;
        streams += q->large_stream != 0;
        MU_ASSERT(q->large_stream == 0 || q->large.bytes > 0);
        MU_ASSERT(q->large_stream == 0 || gossip__stream_find(g, q->large_stream) != NULL);
        MU_ASSERT((q->large_at_ms == GOSSIP__NEVER) ==
                  (q->large_stream != 0 || q->large.bytes == 0));
    }
    MU_ASSERT(waiting == g->queries.large_count && waiting <= WAITING_MAX);
    MU_ASSERT(streams == g->queries.large_streams && streams <= STREAMS_MAX);
}

/* -- the asker ----------------------------------------------------------------------------------
 */

/* Who answers by stream speaks for himself, and has an answer. */
void gossip__on_answer(struct gossip *g, struct gossip__stream *s, const struct gossip__response *r)
{
    struct gossip__frame done = { .kind = GOSSIP__FRAME_DONE };

    if (strcmp(r->from, s->name) != 0 || (r->flags & GOSSIP__QUERY_ACK) != 0) {
        gossip__count(g, GOSSIP_COUNT_PARTS_MALFORMED);
        gossip__stream_drop(g, s);
        return;
    }
    gossip__on_response(g, r);
    gossip__stream_frame(g, s, &done);
    gossip__stream_end(g, s);
}
