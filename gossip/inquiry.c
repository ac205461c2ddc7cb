/* inquiry.c - does this address answer? asked over UDP and TCP, for somebody else or about a claim.
 *
 *   RELAY  a prober asks us to try its target (5.3): its ack is passed on, whenever it comes; if
 *          none has come when the nack is due, or a refused dial makes it pointless to wait, a
 *          nack says what our own dial found.
 *   CLAIM  a node claims its name from a new address (10): does the old one still answer?
 *   REACH  a node has joined through us (11): can it be reached where it says it can?
 *   DOUBT  a process that we probed does not answer, but its machine takes connections (5.4): it is
 *          stopped or starved, mostly for a moment. To say so and to hear it denied costs every
 *          member of the cluster some fifty rumors; so whoever noticed goes on asking, alone, for
 *          up to half of the time that it would have under suspicion, and that time counts.
 *
 * Also here: the TCP ping itself (5.4), which the probe uses too.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "core.h"

#define INQUIRIES_MAX 1024 /* a prober asks k helpers a period; more is not ours to serve */
#define REACH_MS_MIN  1000

/* -- the TCP ping -------------------------------------------------------------------------------
 */

uint32_t gossip__dial(struct gossip *g, uint64_t seq, const char *target, const struct mu_addr *to)
{
    struct gossip__stream *s = gossip__stream_open(g, GOSSIP__ROLE_PING, to);

    s->seq = seq;
    (void)snprintf(s->name, sizeof s->name, "%s", target);
    return s->id;
}

static enum gossip__evidence running_evidence(const struct gossip__stream *s)
{
    return s->is_open ? GOSSIP__STALLED : GOSSIP__SILENT;
}

enum gossip__evidence gossip__dial_end(struct gossip *g, uint32_t stream)
{
    struct gossip__stream *s = gossip__stream_find(g, stream);
    enum gossip__evidence evidence = s != NULL ? running_evidence(s) : GOSSIP__SILENT;

    if (s != NULL) {
        gossip__stream_drop(g, s);
    }
    return evidence;
}

static void dialled(struct gossip *g, uint64_t seq, bool ok, enum gossip__evidence evidence)
{
    gossip__probe_dialled(g, seq, ok, evidence);
    gossip__inquiry_dialled(g, seq, ok, evidence);
}

static void ping_opened(struct gossip *g, struct gossip__stream *s)
{
    struct gossip__frame frame = { .kind = GOSSIP__FRAME_PART };

    gossip__stream_hello(g, s, (struct gossip__hello){ .kind = GOSSIP__HELLO_PING });
    frame.part.kind = GOSSIP__PART_PING;
    frame.part.ping = (struct gossip__ping){ .seq = s->seq, .target = s->name };
    (void)gossip__part_encode(&frame.part, &g->step);
    gossip__stream_frame(g, s, &frame);
}

/* Anything but our ack means that somebody else lives there: the one we mean does not. */
static void ping_frame(struct gossip *g, struct gossip__stream *s, struct gossip__frame *frame,
                       struct mu_span bytes)
{
    uint64_t seq = s->seq;
    bool ok = frame->kind == GOSSIP__FRAME_PART && frame->part.kind == GOSSIP__PART_ACK &&
              frame->part.ack.seq == seq;
    bool is_busy = frame->kind == GOSSIP__FRAME_REJECT;

    (void)bytes;
    gossip__stream_drop(g, s);
    dialled(g, seq, ok, is_busy ? GOSSIP__STALLED : GOSSIP__REFUSED);
}

static void ping_ended(struct gossip *g, struct gossip__stream *s, enum gossip_end end,
                       const char *text)
{
    (void)text;
    dialled(g, s->seq, false, end == GOSSIP_END_REFUSED ? GOSSIP__REFUSED : running_evidence(s));
}

const struct gossip__role_row gossip__role_ping = { ping_opened, ping_frame, ping_ended };

/* The other side: we are asked whether we live. */
static void pinged_frame(struct gossip *g, struct gossip__stream *s, struct gossip__frame *frame,
                         struct mu_span bytes)
{
    struct gossip__frame reply = { .kind = GOSSIP__FRAME_PART };

    (void)bytes;
    if (frame->kind != GOSSIP__FRAME_PART || frame->part.kind != GOSSIP__PART_PING) {
        gossip__stream_drop(g, s);
        return;
    }
    reply.part.kind = GOSSIP__PART_ACK;
    reply.part.ack = (struct gossip__ack){ .seq = frame->part.ping.seq };
    if (strcmp(frame->part.ping.target, g->self->card->name) != 0) {
        gossip__say(g, GOSSIP__TOPIC_WRONG_NODE, MU_WARN,
                    "memberlist: Got ping for unexpected node '%s'", frame->part.ping.target);
        reply.part.kind = GOSSIP__PART_ERROR;
        reply.part.error =
            (struct gossip__error){ .code = GOSSIP__ERROR_WRONG_NODE, .text = g->self->card->name };
    }
    (void)gossip__part_encode(&reply.part, &g->step);
    gossip__stream_frame(g, s, &reply);
    gossip__stream_end(g, s);
}

const struct gossip__role_row gossip__role_pinged = { NULL, pinged_frame, NULL };

/* -- begin and end ------------------------------------------------------------------------------
 */

static struct gossip__inquiry *inquiry_of(struct mu_link *link)
{
    return MU_CONTAINER(link, struct gossip__inquiry, link);
}

static uint64_t again(const struct gossip *g, enum gossip__inquiry_kind kind)
{
    uint32_t timeout = g->profile.probe_timeout_ms; /* a ping may be lost */

    return g->now_ms + (kind == GOSSIP__INQUIRY_DOUBT ? timeout : (timeout + 1) / 2);
}

static struct gossip__inquiry *begin(struct gossip *g, enum gossip__inquiry_kind kind,
                                     const char *name, const struct mu_addr *addr, uint64_t ms)
{
    struct gossip__inquiry *q = mu_new(sizeof *q);

    q->kind = kind;
    q->seq = gossip__seq(g);
    q->addr = *addr;
    q->deadline_ms = g->now_ms + ms;
    q->again_ms = again(g, kind);
    q->nack_ms = GOSSIP__NEVER;
    (void)snprintf(q->name, sizeof q->name, "%s", name);
    mu_list_push_back(&g->inquiries, &q->link);
    g->inquiries_count++;
    gossip__send_ping(g, q->seq, q->name, &q->addr);
    q->stream = gossip__dial(g, q->seq, q->name, &q->addr);
    return q;
}

static void inquiry_free(struct gossip *g, struct gossip__inquiry *q)
{
    mu_list_remove(&q->link);
    g->inquiries_count--;
    mu_free(q);
}

static void reply_reach(struct gossip *g, const struct gossip__inquiry *q)
{
    struct gossip__stream *s = gossip__stream_find(g, q->reply_stream);
    struct gossip__frame frame = { .kind = GOSSIP__FRAME_REACH };

    if (s != NULL) {
        frame.reach.udp = q->udp_ok;
        frame.reach.tcp = q->tcp_ok;
        gossip__stream_frame(g, s, &frame);
        gossip__stream_end(g, s);
    }
}

/* It had its while. A refusal is our own word alone here: helpers are asked by the next probe. */
static void settle_doubt(struct gossip *g, const struct gossip__inquiry *q,
                         struct gossip__member *m)
{
    bool is_refused = q->dial == GOSSIP__REFUSED;

    if (q->udp_ok || q->tcp_ok || m == NULL || !gossip__member_is_live(m) ||
        g->leave.stage != GOSSIP__LEAVE_NONE) {
        return;
    }
    gossip__log(g, MU_INFO, "memberlist: Suspect %s has failed, no acks received", m->card->name);
    gossip__conclude_suspect(g, m, is_refused ? GOSSIP__SILENT : GOSSIP__STALLED);
    if (m->state == GOSSIP__SUSPECT && !is_refused) {
        gossip__suspicion_backdate(g, m, q->since_ms);
    }
}

static void finish(struct gossip *g, struct gossip__inquiry *q)
{
    struct gossip__member *m = gossip__member_find(g, q->name);

    if (q->stream != 0) {
        q->dial = gossip__dial_end(g, q->stream);
    }
    switch (q->kind) {
    case GOSSIP__INQUIRY_RELAY: break;
    case GOSSIP__INQUIRY_CLAIM:
        if (m != NULL && gossip__dealings(m)->claim != NULL) {
            gossip__claim_settle(g, m, q->udp_ok || q->tcp_ok);
        }
        break;
    case GOSSIP__INQUIRY_REACH: reply_reach(g, q); break;
    case GOSSIP__INQUIRY_DOUBT: settle_doubt(g, q, m); break;
    }
    inquiry_free(g, q);
}

void gossip__inquiry_claim(struct gossip *g, struct gossip__member *m)
{
    (void)begin(g, GOSSIP__INQUIRY_CLAIM, m->card->name, &m->card->addr,
                g->profile.probe_timeout_ms);
}

void gossip__inquiry_reach(struct gossip *g, const char *name, const struct mu_addr *addr,
                           uint32_t reply_stream)
{
    uint64_t ms = 4 * (uint64_t)g->profile.probe_timeout_ms;

    begin(g, GOSSIP__INQUIRY_REACH, name, addr, ms > REACH_MS_MIN ? ms : REACH_MS_MIN)
        ->reply_stream = reply_stream;
}

bool gossip__inquiry_doubts(const struct gossip *g, const struct gossip__member *m)
{
    MU_LIST_EACH (link, &g->inquiries) {
        const struct gossip__inquiry *q = inquiry_of(link);

        if (q->kind == GOSSIP__INQUIRY_DOUBT && strcmp(q->name, m->card->name) == 0) {
            return true;
        }
    }
    return false;
}

bool gossip__inquiry_doubt(struct gossip *g, const struct gossip__member *m)
{
    if (m->state != GOSSIP__ALIVE || g->inquiries_count >= INQUIRIES_MAX) {
        return false;
    }
    if (!gossip__inquiry_doubts(g, m)) {
        begin(g, GOSSIP__INQUIRY_DOUBT, m->card->name, &m->card->addr,
              gossip__suspicion_doubt_ms(&g->profile))
            ->since_ms = g->now_ms;
        gossip__log(g, MU_DEBUG,
                    "memberlist: %s takes connections but does not answer, ask it for %llu ms more",
                    m->card->name, (unsigned long long)gossip__suspicion_doubt_ms(&g->profile));
    }
    return true;
}

/* What it answered while we did not run waits in our sockets. */
void gossip__inquiry_postpone(struct gossip *g, uint64_t pause_ms)
{
    MU_LIST_EACH (link, &g->inquiries) {
        struct gossip__inquiry *q = inquiry_of(link);

        q->deadline_ms += q->kind == GOSSIP__INQUIRY_DOUBT ? pause_ms : 0;
        q->since_ms += q->kind == GOSSIP__INQUIRY_DOUBT ? pause_ms : 0;
    }
}

void gossip__inquiry_stream_gone(struct gossip *g, uint32_t reply_stream)
{
    MU_LIST_EACH (link, &g->inquiries) {
        struct gossip__inquiry *q = inquiry_of(link);

        if (q->kind == GOSSIP__INQUIRY_REACH && q->reply_stream == reply_stream) {
            q->reply_stream = 0;
        }
    }
}

/* -- for a prober -------------------------------------------------------------------------------
 */

void gossip__on_indirect(struct gossip *g, const struct gossip__indirect *p,
                         const struct gossip__source *src)
{
    uint32_t nack_after = p->nack_after_ms < g->profile.probe_timeout_ms
                              ? p->nack_after_ms
                              : g->profile.probe_timeout_ms;

    if (g->inquiries_count >= INQUIRIES_MAX) {
        return;
    }
    struct gossip__inquiry *q =
        begin(g, GOSSIP__INQUIRY_RELAY, p->target_name, &p->target, g->profile.probe_ms);

    q->origin = src->addr;
    q->origin_seq = p->seq;
    q->nack_wanted = p->want_nack;
    q->nack_ms = p->want_nack ? g->now_ms + nack_after : GOSSIP__NEVER;
    gossip__log(g, MU_TRACE, "ping %s for %s", p->target_name, p->origin);
}

static void relay_ack(struct gossip *g, struct gossip__inquiry *q)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ACK,
                                 .ack = { .seq = q->origin_seq, .relayed = true } };

    if (!q->answered) {
        q->answered = true;
        gossip__send_part(g, &q->origin, NULL, &part);
    }
}

/* Relaying goes on: a late ack is still worth more than this (5.3). */
static void send_nack(struct gossip *g, struct gossip__inquiry *q)
{
    struct gossip__part part = { .kind = GOSSIP__PART_NACK, .nack = { .seq = q->origin_seq } };
    const struct gossip__stream *s = gossip__stream_find(g, q->stream);

    part.nack.evidence = s != NULL ? running_evidence(s) : q->dial;
    q->nack_ms = GOSSIP__NEVER;
    if (q->nack_wanted && !q->answered) {
        gossip__send_part(g, &q->origin, NULL, &part);
    }
}

/* -- answers and time ---------------------------------------------------------------------------
 */

/* Something is known: is that enough? */
static void answered(struct gossip *g, struct gossip__inquiry *q)
{
    bool is_ok = q->udp_ok || q->tcp_ok;
    bool is_over = false;

    switch (q->kind) {
    case GOSSIP__INQUIRY_RELAY:
        if (is_ok) {
            relay_ack(g, q);
            is_over = true;
        } else if (q->tcp_ended && q->dial == GOSSIP__REFUSED && q->nack_ms != GOSSIP__NEVER) {
            send_nack(g, q);
        }
        break;
    case GOSSIP__INQUIRY_CLAIM: is_over = is_ok; break;
    case GOSSIP__INQUIRY_REACH: is_over = q->udp_ok && q->tcp_ended; break;
    case GOSSIP__INQUIRY_DOUBT:
        is_over = is_ok || (q->tcp_ended && q->dial == GOSSIP__REFUSED);
        break;
    }
    if (is_over) {
        finish(g, q);
    }
}

bool gossip__inquiry_ack(struct gossip *g, uint64_t seq)
{
    MU_LIST_EACH (link, &g->inquiries) {
        struct gossip__inquiry *q = inquiry_of(link);

        if (q->seq == seq) {
            q->udp_ok = true;
            answered(g, q);
            return true;
        }
    }
    return false;
}

void gossip__inquiry_dialled(struct gossip *g, uint64_t seq, bool ok,
                             enum gossip__evidence evidence)
{
    MU_LIST_EACH (link, &g->inquiries) {
        struct gossip__inquiry *q = inquiry_of(link);

        if (q->seq == seq) {
            q->stream = 0;
            q->tcp_ok = ok;
            q->tcp_ended = true;
            q->dial = evidence;
            answered(g, q);
            return;
        }
    }
}

uint64_t gossip__inquiry_due(const struct gossip *g)
{
    uint64_t due = GOSSIP__NEVER;

    MU_LIST_EACH (link, &g->inquiries) {
        const struct gossip__inquiry *q = inquiry_of(link);

        due = q->deadline_ms < due ? q->deadline_ms : due;
        due = q->nack_ms < due ? q->nack_ms : due;
        due = !q->udp_ok && q->again_ms < due ? q->again_ms : due;
    }
    return due;
}

void gossip__inquiry_tick(struct gossip *g)
{
    MU_LIST_EACH_SAFE (link, &g->inquiries) {
        struct gossip__inquiry *q = inquiry_of(link);

        if (q->nack_ms <= g->now_ms) {
            send_nack(g, q);
        }
        if (q->deadline_ms <= g->now_ms) {
            finish(g, q);
        } else if (!q->udp_ok && q->again_ms <= g->now_ms) {
            q->again_ms = again(g, q->kind);
            gossip__send_ping(g, q->seq, q->name, &q->addr);
        }
    }
}

void gossip__inquiry_free_all(struct gossip *g)
{
    MU_LIST_EACH_SAFE (link, &g->inquiries) {
        inquiry_free(g, inquiry_of(link));
    }
}
