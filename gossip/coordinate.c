/* coordinate.c - round trips of probes become this node's coordinate (14); those of others are
 * kept.
 *
 * An ack that comes straight back by UDP carries where its sender is, and took as long as the way
 * there and back. Each repeated ping has a number of its own, so that the answer to a first one is
 * never taken for a fast answer to the second. What was measured across a pause of ours never comes
 * here: the probe was given up (5.6).
 */
#include "core.h"

#include "base/mem.h"

#define LOG_MS 60000 /* one line about coordinates that were refused in this time */
#define NS_S   1e9

void gossip__coordinate_init(struct gossip *g, const struct gossip_options *o)
{
    g->has_coordinates = !o->no_coordinates;
    gossip__vivaldi_init(&g->vivaldi, COORDINATE_DIMS);
    mu_rand_seed(&g->coordinate_rand, o->seed);
    if (o->has_coordinate) {
        gossip__vivaldi_restore(&g->vivaldi, &o->coordinate);
    }
}

void gossip__coordinate_put(const struct gossip *g, struct gossip__ack *ack)
{
    if (g->has_coordinates) {
        ack->where = GOSSIP__GIVEN;
        ack->coordinate = g->vivaldi.at;
    }
}

static void refused(struct gossip *g, const struct gossip__member *m, const char *why)
{
    gossip__count(g, GOSSIP_COUNT_COORDINATES_REFUSED);
    if (g->coordinate_log_ms == 0 || g->now_ms >= g->coordinate_log_ms + LOG_MS) {
        g->coordinate_log_ms = g->now_ms;
        gossip__log(g, MU_WARN, "serf: Rejected coordinate from %s: %s", m->card->name, why);
    }
}

static struct gossip__distance *distance_of(struct gossip__member *m)
{
    struct gossip__dealings *d = gossip__deal(m);

    if (d->distance == NULL) {
        d->distance = mu_new(sizeof *d->distance);
    }
    return d->distance;
}

/* Still in the table, but what was measured before is not what will be measured next. */
void gossip__coordinate_restart(struct gossip__member *m)
{
    if (gossip__dealings(m)->distance != NULL) {
        m->dealings->distance->filter.count = 0;
    }
}

static void take(struct gossip *g, struct gossip__member *m, const struct coordinate *peer,
                 uint64_t rtt_ns)
{
    struct gossip__distance *d = distance_of(m);
    struct coordinate was = g->vivaldi.at;

    if (rtt_ns == 0) {
        gossip__count(g, GOSSIP_COUNT_RTTS_ZERO);
    }
    switch (gossip__vivaldi_update(&g->vivaldi, &d->filter, peer, (double)rtt_ns / NS_S,
                                   &g->coordinate_rand)) {
    case GOSSIP__VIVALDI_RESET:
        gossip__count(g, GOSSIP_COUNT_COORDINATE_RESETS);
        gossip__log(g, MU_WARN, "serf: Coordinate was not finite any more, starting over");
        break;
    case GOSSIP__VIVALDI_OK: break;
    case GOSSIP__VIVALDI_BAD_PEER: refused(g, m, "coordinate is invalid"); return;
    case GOSSIP__VIVALDI_BAD_RTT: refused(g, m, "round trip time not in valid range"); return;
    }
    mu_sample_add(&g->samples[GOSSIP_SAMPLE_ADJUSTMENT],
                  coordinate_distance(&was, &g->vivaldi.at) * 1000);
    d->at = *peer;
    d->is_known = true;
}

void gossip__coordinate_acked(struct gossip *g, struct gossip__member *m,
                              const struct gossip__ack *a, uint64_t sent_ns)
{
    uint64_t came_ns = g->arrived_ns > sent_ns ? g->arrived_ns : sent_ns;

    if (!g->has_coordinates) {
        return;
    }
    switch (a->where) {
    case GOSSIP__GIVEN_NONE: return;
    case GOSSIP__GIVEN_UNREADABLE: refused(g, m, "coordinates aren't compatible"); return;
    case GOSSIP__GIVEN: take(g, m, &a->coordinate, came_ns - sent_ns); return;
    }
}

bool gossip_coordinate(const struct gossip *g, const char *name, struct coordinate *out)
{
    const struct gossip__member *m = gossip__member_find(g, name);

    if (!g->has_coordinates || m == NULL) {
        return false;
    }
    if (m == g->self) {
        *out = g->vivaldi.at;
        return true;
    }
    const struct gossip__distance *d = gossip__dealings(m)->distance;

    if (d == NULL || !d->is_known) {
        return false;
    }
    *out = d->at;
    return true;
}
