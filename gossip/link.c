/* link.c - which ways between this node and others carry nothing, by what its own probes meet.
 *
 * Two probes in a row that no straight answer came to are no accident: the ping is repeated
 * within each. If the member is heard since the first of them, what we send does not arrive there.
 * If it is not heard in a time in which it must have pinged us, what it sends does not arrive here.
 * Until then nothing is said: both look alike. That its process lives is known from elsewhere:
 * through others, or by TCP; else it would be declared dead.
 *
 * Answers go to the address that is advertised. While others say that they do not reach it, probes
 * that stay without one say nothing of any way. Who says so must be where it advertises itself: our
 * answer to its ping goes there.
 */
#include "core.h"

#define MISSED_MIN 2

void gossip__link_answered(struct gossip *g, struct gossip__member *m, uint64_t rtt_ns)
{
    struct gossip__dealings *d = gossip__deal(m);

    g->unreached_from = MU_ADDR_NONE; /* answers go to the advertised address */
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

void gossip__link_heard(const struct gossip *g, struct gossip__member *m,
                        const struct mu_addr *from)
{
    if (mu_addr_eq(from, &m->card->addr)) {
        m->heard_ms = g->now_ms;
        return;
    }
    struct gossip__dealings *d = gossip__deal(m);

    d->link.elsewhere_ms = g->now_ms;
    d->link.elsewhere = *from;
}

void gossip__link_claimed(const struct gossip *g, struct gossip__member *m,
                          const struct mu_addr *by)
{
    struct gossip__dealings *d = gossip__deal(m);

    d->link.rival_ms = g->now_ms;
    d->link.rival = *by;
}

/* Everybody pings everybody else once in two walks at most (5.1), which have every other round. */
static uint64_t patience_ms(const struct gossip *g)
{
    return 4 * (uint64_t)g->profile.probe_ms * g->list_count;
}

/* Its datagrams come from elsewhere, and its own address does not answer. */
static bool is_astray(const struct gossip__dealings *d)
{
    return d->link.elsewhere_ms != 0 && d->link.elsewhere_ms > d->link.acked_ms;
}

static bool is_unreached(const struct gossip *g)
{
    for (size_t i = 0; i < g->members.count; i++) {
        const struct gossip__dealings *d = gossip__dealings(g->members.items[i]);

        if (is_astray(d) && mu_addr_eq(&d->link.elsewhere, &g->unreached_from)) {
            return false;
        }
    }
    return g->unreached_from.ip_bytes > 0;
}

void gossip_each_broken_link(const struct gossip *g, gossip_link_fn *each, void *data)
{
    if (is_unreached(g)) {
        return;
    }
    for (size_t i = 0; i < g->list_count; i++) {
        const struct gossip__member *m = g->list[i];
        const struct gossip__dealings *d = gossip__dealings(m);
        bool is_heard = m->heard_ms > d->link.since_ms;

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

/* -- addresses that are not as they should be ---------------------------------------------------
 */

/* What comes from another address than the advertised one is fine where that one answers: NAT. */
static bool is_elsewhere(const struct gossip__member *m, uint64_t since_ms)
{
    const struct gossip__dealings *d = gossip__dealings(m);

    return d->link.elsewhere_ms >= since_ms && is_astray(d) && m->heard_ms < since_ms;
}

void gossip_each_misplaced(const struct gossip *g, uint64_t since_ms, gossip_misplaced_fn *each,
                           void *data)
{
    struct gossip_misplaced found = { .kind = GOSSIP_UNREACHED,
                                      .name = g->self->card->name,
                                      .advertised = g->self->card->addr,
                                      .other = g->unreached_from };

    if (is_unreached(g)) {
        each(data, &found);
    }
    for (size_t i = 0; i < g->members.count; i++) {
        const struct gossip__member *m = g->members.items[i];
        const struct gossip__dealings *d = gossip__dealings(m);

        found = (struct gossip_misplaced){ .name = m->card->name, .advertised = m->card->addr };
        if (m != g->self && is_elsewhere(m, since_ms)) {
            found.kind = GOSSIP_ELSEWHERE;
            found.other = d->link.elsewhere;
            each(data, &found);
        }
        if (d->link.rival_ms != 0 && d->link.rival_ms >= since_ms) {
            found.kind = GOSSIP_CLAIMED;
            found.other = d->link.rival;
            each(data, &found);
        }
    }
}
