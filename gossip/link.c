/* link.c - which ways between this node and others carry nothing, by what its own probes meet.
 *
 * Two probes in a row that no straight answer came to are no accident: the ping is repeated
 * within each. If the member is heard since the first of them, what we send does not arrive there.
 * If it is not heard in a time in which it must have pinged us, what it sends does not arrive here.
 * Until then nothing is said: both look alike. That its process lives is known from elsewhere:
 * through others, or by TCP; else it would be declared dead.
 *
 * Whose packets are turned away at the door is no member, and so appears nowhere else: the last of
 * each kind is remembered, with its address.
 */
#include "core.h"

#define MISSED_MIN 2

void gossip__link_answered(const struct gossip *g, struct gossip__member *m, uint64_t rtt_ns)
{
    struct gossip__dealings *d = gossip__deal(m);

    d->link.acked_ms = g->now_ms;
    d->link.rtt_us = rtt_ns / 1000;
    d->link.missed = 0;
}

void gossip__link_missed(const struct gossip *g, struct gossip__member *m, enum gossip_way tcp)
{
    struct gossip__dealings *d = gossip__deal(m);

    if (d->link.missed++ == 0) {
        d->link.since_ms = g->now_ms;
        d->link.tcp = GOSSIP_WAY_UNKNOWN;
    }
    if (tcp != GOSSIP_WAY_UNKNOWN) { /* the help of others may be faster than our dial */
        d->link.tcp = tcp;
    }
}

void gossip__link_heard(const struct gossip *g, struct gossip__member *m)
{
    gossip__deal(m)->link.heard_ms = g->now_ms;
}

/* Everybody pings everybody else once in two rounds at most (5.1). */
static uint64_t patience_ms(const struct gossip *g)
{
    return 2 * (uint64_t)g->profile.probe_ms * g->list_count;
}

void gossip_each_broken_link(const struct gossip *g, gossip_link_fn *each, void *data)
{
    for (size_t i = 0; i < g->list_count; i++) {
        const struct gossip__member *m = g->list[i];
        const struct gossip__dealings *d = gossip__dealings(m);
        bool is_heard = d->link.heard_ms > d->link.since_ms;

        if (m == g->self || !gossip__member_is_live(m) || d->link.missed < MISSED_MIN ||
            (!is_heard && g->now_ms < d->link.since_ms + patience_ms(g))) {
            continue;
        }
        struct gossip_link link = { .name = m->card->name,
                                    .is_heard = is_heard,
                                    .tcp = d->link.tcp,
                                    .missed = d->link.missed };

        each(data, &link);
    }
}

/* -- strangers ----------------------------------------------------------------------------------
 */

static const enum gossip_counter reasons[GOSSIP__REASONS] = {
    GOSSIP_COUNT_BAD_MAGIC,   GOSSIP_COUNT_BAD_VERSION, GOSSIP_COUNT_OTHER_CLUSTER,
    GOSSIP_COUNT_UNKNOWN_KEY, GOSSIP_COUNT_FORGED,      GOSSIP_COUNT_CLEAR,
};

void gossip__turn_away(struct gossip *g, enum gossip_counter reason, const struct mu_addr *from)
{
    gossip__count(g, reason);
    for (size_t i = 0; i < MU_LEN(reasons); i++) {
        if (reasons[i] == reason) {
            g->strangers[i] = (struct gossip__stranger){ .last_ms = g->now_ms, .from = *from };
        }
    }
}

void gossip_each_refusal(const struct gossip *g, uint64_t since_ms, gossip_refusal_fn *each,
                         void *data)
{
    for (size_t i = 0; i < MU_LEN(reasons); i++) {
        const struct gossip__stranger *s = &g->strangers[i];
        struct gossip_refusal refusal = { .reason = reasons[i],
                                          .count = g->counters[reasons[i]],
                                          .last_ms = s->last_ms,
                                          .from = s->from };

        if (s->last_ms != 0 && s->last_ms >= since_ms) {
            each(data, &refusal);
        }
    }
}
