/* leave.c - going in good order (10).
 *
 *   NONE ---> TELLING --- enough confirmed, all was sent, or time is over ---> LINGERING ---> OVER
 *
 * The intent (users see `leaving`) and our own obituary (the detector sees `left`) go into the
 * queues, and at the same time straight to a few live peers over TCP: gossip alone may spend its
 * sends on peers that have just crashed, and the farewell would be lost. Two confirmations are
 * enough; those peers carry it on. One is, when the other peers have failed or our queues are
 * through: who has just crashed must not hold up who leaves. Without any we wait for the queues,
 * and for them to spread, as the reference does.
 *
 * A connection may take seconds to come about when packets are lost. So those that were asked and
 * have not confirmed get it in datagrams, too, as often as we gossip, until we are gone.
 */
#include <math.h>

#include "core.h"

#define TOLD_MIN         8 /* not 3 (10): with half of them dead and datagrams lost some would not hear */
#define TOLD_MAX         32
#define CONFIRMED_ENOUGH 2
#define LINGER_TICKS     2 /* gossip intervals after confirmation: our queues help to spread it */

static void enter(struct gossip *g, enum gossip__leave_stage stage, uint64_t until_ms)
{
    static const char *const text[] = {
        [GOSSIP__LEAVE_NONE] = "none",
        [GOSSIP__LEAVE_TELLING] = "telling",
        [GOSSIP__LEAVE_LINGERING] = "lingering",
        [GOSSIP__LEAVE_OVER] = "over",
    };

    MU_ASSERT(stage > g->leave.stage);
    gossip__log(g, MU_TRACE, "leave: %s -> %s", text[g->leave.stage], text[stage]);
    g->leave.stage = stage;
    g->leave.until_ms = until_ms;
}

static bool fits_told(const struct gossip *g, const struct gossip__member *m, const void *data)
{
    (void)g;
    (void)data;
    return m->state == GOSSIP__ALIVE;
}

static void deliver(struct gossip *g)
{
    struct gossip__member *peers[TOLD_MAX];
    size_t want = (size_t)ceil(log2((double)g->list_count));

    want = want < TOLD_MIN ? TOLD_MIN : want > TOLD_MAX ? TOLD_MAX : want;
    g->leave.asked = (unsigned)gossip__member_pick(g, want, fits_told, NULL, peers);
    for (unsigned i = 0; i < g->leave.asked; i++) {
        (void)gossip__stream_open(g, GOSSIP__ROLE_DELIVER, &peers[i]->card->addr);
    }
    g->leave.running = g->leave.asked;
    g->leave.again_ms = g->now_ms + g->profile.gossip_ms;
}

static void say_again(struct gossip *g)
{
    struct gossip__letter l;

    g->leave.again_ms = g->leave.running > 0 ? g->now_ms + g->profile.gossip_ms : GOSSIP__NEVER;
    MU_LIST_EACH (link, &g->streams) {
        const struct gossip__stream *s = MU_CONTAINER(link, struct gossip__stream, link);

        if (s->role == GOSSIP__ROLE_DELIVER) {
            gossip__letter_begin(g, &l, &s->peer, NULL);
            MU_ASSERT(gossip__letter_add(&l, mu_buf_span(&g->leave.intent)));
            MU_ASSERT(gossip__letter_add(&l, mu_buf_span(&g->leave.dead)));
            (void)gossip__letter_send(g, &l);
        }
    }
}

/* NULL: there is nobody to spread it to. */
static void await(struct gossip *g, struct gossip__rumor *r)
{
    if (r != NULL) {
        r->is_leave = true;
        g->leave.queued++;
    }
}

static void queue_farewells(struct gossip *g)
{
    struct gossip__part intent = { .kind = GOSSIP__PART_LEAVE,
                                   .intent = { .node = g->self->card->name,
                                               .ltime = g->member_time } };
    struct gossip__part dead = { .kind = GOSSIP__PART_DEAD,
                                 .dead = { .node = g->self->card->name,
                                           .from = g->self->card->name,
                                           .incarnation = g->self->incarnation } };

    (void)gossip__serf_leave_intent(g, &intent.intent);
    gossip__member_move(g, g->self, GOSSIP__GONE, "we leave");
    gossip__serf_gone(g, g->self);
    mu_buf_add_span(&g->leave.intent, gossip__part_encode(&intent, &g->step));
    mu_buf_add_span(&g->leave.dead, gossip__part_encode(&dead, &g->step));
    await(g, gossip__rumor_add(g, GOSSIP__QUEUE_INTENT, NULL, mu_buf_span(&g->leave.intent), NULL));
    await(g, gossip__rumor_add(g, GOSSIP__QUEUE_CORE, g->self, mu_buf_span(&g->leave.dead), NULL));
}

void gossip__on_leave(struct gossip *g, uint64_t id)
{
    struct gossip__leave *l = &g->leave;

    if (l->stage != GOSSIP__LEAVE_NONE) {
        gossip__done(g, id, 0, l->stage == GOSSIP__LEAVE_OVER ? "" : "Leave already in progress");
        return;
    }
    l->id = id;
    gossip__probe_abandon(g, "we leave");
    enter(g, GOSSIP__LEAVE_TELLING, g->now_ms + g->profile.broadcast_timeout_ms);
    queue_farewells(g);
    deliver(g);
    if (l->asked == 0) {
        enter(g, GOSSIP__LEAVE_LINGERING, g->now_ms); /* nobody to tell */
    }
}

/* Something changed of what TELLING waits for. */
static void weigh(struct gossip *g)
{
    struct gossip__leave *l = &g->leave;
    bool is_answered = l->running == 0, is_sent = l->queued == 0;

    if (l->stage != GOSSIP__LEAVE_TELLING) {
        return;
    }
    if (l->confirmed >= CONFIRMED_ENOUGH || (l->confirmed > 0 && (is_answered || is_sent))) {
        enter(g, GOSSIP__LEAVE_LINGERING,
              g->now_ms + (uint64_t)LINGER_TICKS * g->profile.gossip_ms);
    } else if (is_answered && is_sent) {
        enter(g, GOSSIP__LEAVE_LINGERING, g->now_ms + g->profile.leave_propagate_ms);
    }
}

void gossip__leave_sent(struct gossip *g)
{
    g->leave.queued--;
    weigh(g);
}

uint64_t gossip__leave_due(const struct gossip *g)
{
    const struct gossip__leave *l = &g->leave;
    bool is_running = l->stage == GOSSIP__LEAVE_TELLING || l->stage == GOSSIP__LEAVE_LINGERING;
    uint64_t due = l->again_ms < l->until_ms ? l->again_ms : l->until_ms;

    return is_running ? due : GOSSIP__NEVER;
}

void gossip__leave_tick(struct gossip *g)
{
    if (g->leave.again_ms <= g->now_ms) {
        say_again(g);
    }
    if (g->leave.until_ms > g->now_ms) {
        return;
    }
    if (g->leave.stage == GOSSIP__LEAVE_TELLING) {
        gossip__log(g, MU_WARN, "serf: timeout while waiting for graceful leave");
        enter(g, GOSSIP__LEAVE_LINGERING, g->now_ms + g->profile.leave_propagate_ms);
        return;
    }
    enter(g, GOSSIP__LEAVE_OVER, GOSSIP__NEVER);
    gossip__done(g, g->leave.id, g->leave.confirmed, "");
}

/* -- the streams: ours, and those of others who leave -------------------------------------------
 */

static void deliver_opened(struct gossip *g, struct gossip__stream *s)
{
    struct gossip__frame frame = { .kind = GOSSIP__FRAME_PART };

    gossip__stream_hello(g, s, (struct gossip__hello){ .kind = GOSSIP__HELLO_DELIVER });
    frame.part.bytes = mu_buf_span(&g->leave.intent);
    gossip__stream_frame(g, s, &frame);
    frame.part.bytes = mu_buf_span(&g->leave.dead);
    gossip__stream_frame(g, s, &frame);
}

static void deliver_over(struct gossip *g)
{
    g->leave.running--;
    weigh(g);
}

static void deliver_frame(struct gossip *g, struct gossip__stream *s, struct gossip__frame *frame,
                          struct mu_span bytes)
{
    bool is_done = frame->kind == GOSSIP__FRAME_DONE;

    (void)bytes;
    gossip__stream_drop(g, s);
    g->leave.confirmed += is_done ? 1 : 0;
    deliver_over(g);
}

static void deliver_ended(struct gossip *g, struct gossip__stream *s, enum gossip_end end,
                          const char *text)
{
    (void)s;
    (void)end;
    (void)text;
    deliver_over(g);
}

const struct gossip__role_row gossip__role_deliver = { deliver_opened, deliver_frame,
                                                       deliver_ended };

/* Parts that must arrive: a farewell, whose last is the obituary and is confirmed, or an answer. */
static void delivered_frame(struct gossip *g, struct gossip__stream *s, struct gossip__frame *frame,
                            struct mu_span bytes)
{
    struct gossip__source src = { .addr = s->peer, .is_stream = true };
    struct gossip__frame done = { .kind = GOSSIP__FRAME_DONE };
    bool is_fit = frame->kind == GOSSIP__FRAME_PART &&
                  (frame->part.kind == GOSSIP__PART_LEAVE || frame->part.kind == GOSSIP__PART_DEAD);

    (void)bytes;
    if (frame->kind == GOSSIP__FRAME_PART && frame->part.kind == GOSSIP__PART_RESPONSE) {
        gossip__on_answer(g, s, &frame->part.response);
        return;
    }
    if (!is_fit) {
        gossip__stream_drop(g, s);
        return;
    }
    bool is_last = frame->part.kind == GOSSIP__PART_DEAD;

    gossip__on_part(g, &frame->part, &src);
    if (is_last) {
        gossip__stream_frame(g, s, &done);
        gossip__stream_end(g, s);
    }
}

const struct gossip__role_row gossip__role_delivered = { NULL, delivered_frame, NULL };
