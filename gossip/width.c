/* width.c - do our largest datagrams arrive where small ones do? Asked for by the owner.
 *
 * Rumors and answers travel in datagrams of up to MU_GOSSIP_PACKET_MAX bytes, pings alone in small
 * ones. On a way that takes less, and drops fragments or the word that they are needed, probes
 * succeed while what they carry along is lost. A member is sent pairs of pings for a second or so,
 * one of them filled up: it answers both alike, so that only the way there is measured. The
 * first answer to a full one ends it; to call a way narrow, several small ones must have been
 * answered and no full one, as mere loss hardly brings about.
 */
#include <stdio.h>

#include "base/mem.h"
#include "core.h"

#define PAIRS     6
#define PAIR_MS   150
#define SMALL_MIN 3  /* answered: less says nothing */
#define FRAMING   16 /* what the filling costs beside itself: a tag, and lengths that grow */

struct gossip__width {
    struct mu_link link;
    uint64_t id; /* of gossip_done */
    uint64_t seq_small, seq_full, again_ms;
    char name[MU_NODE_NAME_MAX + 1];
    struct mu_addr addr;
    unsigned pairs, answered; /* sent; small ones of them */
};

static struct gossip__width *width_of(struct mu_link *link)
{
    return MU_CONTAINER(link, struct gossip__width, link);
}

static void finish(struct gossip *g, struct gossip__width *w, enum gossip_width width)
{
    gossip__done(g, w->id, (unsigned)width, "");
    mu_list_remove(&w->link);
    mu_free(w);
}

static void send_full(struct gossip *g, const struct gossip__width *w)
{
    static const uint8_t filling[MU_GOSSIP_PACKET_MAX];
    struct gossip__part part = {
        .kind = GOSSIP__PART_PING,
        .ping = { .seq = w->seq_full, .target = w->name, .reply_to = g->self->card->addr }
    };
    size_t bytes = gossip__part_encode(&part, &g->step).bytes + FRAMING;
    struct gossip__letter l;

    gossip__letter_begin(g, &l, &w->addr, NULL);
    MU_ASSERT(bytes < l.left);
    part.ping.filling = mu_span_of(filling, l.left - bytes);
    MU_ASSERT(gossip__letter_add(&l, gossip__part_encode(&part, &g->step)));
    (void)gossip__letter_send(g, &l);
}

static void send_pair(struct gossip *g, struct gossip__width *w)
{
    w->pairs++;
    w->again_ms = g->now_ms + PAIR_MS;
    gossip__send_ping(g, w->seq_small, w->name, &w->addr);
    send_full(g, w);
}

void gossip__on_width(struct gossip *g, uint64_t id, const char *name)
{
    const struct gossip__member *m = gossip__member_find(g, name);

    if (m == NULL || m == g->self || !gossip__member_is_live(m)) {
        gossip__done(g, id, GOSSIP_WIDTH_UNKNOWN, "");
        return;
    }
    struct gossip__width *w = mu_new(sizeof *w);

    w->id = id;
    w->seq_small = gossip__seq(g);
    w->seq_full = gossip__seq(g);
    w->addr = m->card->addr;
    (void)snprintf(w->name, sizeof w->name, "%s", name);
    mu_list_push_back(&g->widths, &w->link);
    send_pair(g, w);
}

bool gossip__width_ack(struct gossip *g, uint64_t seq)
{
    MU_LIST_EACH (link, &g->widths) {
        struct gossip__width *w = width_of(link);

        if (w->seq_full == seq) {
            finish(g, w, GOSSIP_WIDTH_FULL);
            return true;
        }
        if (w->seq_small == seq) {
            w->answered++;
            return true;
        }
    }
    return false;
}

uint64_t gossip__width_due(const struct gossip *g)
{
    uint64_t due = GOSSIP__NEVER;

    MU_LIST_EACH (link, &g->widths) {
        const struct gossip__width *w = width_of(link);

        due = w->again_ms < due ? w->again_ms : due;
    }
    return due;
}

void gossip__width_tick(struct gossip *g)
{
    MU_LIST_EACH_SAFE (link, &g->widths) {
        struct gossip__width *w = width_of(link);

        if (w->again_ms > g->now_ms) {
            continue;
        }
        if (w->pairs < PAIRS) {
            send_pair(g, w);
        } else {
            finish(g, w, w->answered >= SMALL_MIN ? GOSSIP_WIDTH_NARROW : GOSSIP_WIDTH_UNKNOWN);
        }
    }
}

void gossip__width_free_all(struct gossip *g)
{
    MU_LIST_EACH_SAFE (link, &g->widths) {
        mu_free(width_of(link));
    }
}
