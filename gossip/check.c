/* check.c - gossip__check: what must hold between two steps, whatever came in (18.2). */
#include <string.h>

#include "core.h"

/* -- members ------------------------------------------------------------------------------------
 */

static void check_member(const struct gossip *g, const struct gossip__member *m)
{
    const struct gossip__dealings *d = gossip__dealings(m);
    bool is_over = m->status == GOSSIP_STATUS_FAILED || m->status == GOSSIP_STATUS_LEFT;

    MU_ASSERT(gossip__name_ok(m->card->name));
    MU_ASSERT(gossip__member_find(g, m->card->name) == m);
    MU_ASSERT(m->status != GOSSIP_STATUS_NONE || (m == g->self && !g->has_started));
    MU_ASSERT(m->incarnation > 0 && m->incarnation <= GOSSIP__INCARNATION_MAX);
    MU_ASSERT(is_over == !gossip__member_is_live(m));
    MU_ASSERT(m->is_listed || is_over);
    MU_ASSERT((d->suspicion != NULL) == (m->state == GOSSIP__SUSPECT));
    MU_ASSERT(d->suspicion == NULL ||
              (d->suspicion->about == m && d->suspicion->accusers_count > 0 &&
               mu_list_linked(&d->suspicion->link)));
    MU_ASSERT(d->rumor == NULL || d->rumor->about == m);
    MU_ASSERT(m->card->meta.bytes <= MU_GOSSIP_META_MAX);
    MU_ASSERT(m->card->holders > 0);
    MU_ASSERT(!m->is_listed || g->list[m->index] == m);
    MU_ASSERT(gossip__tombstone_find(g, m->card->name) == NULL);
}

static void check_self(const struct gossip *g)
{
    const struct gossip__member *self = g->self;
    bool is_leaving = g->leave.stage != GOSSIP__LEAVE_NONE;

    MU_ASSERT(self->is_listed);
    MU_ASSERT(self->state == (is_leaving ? GOSSIP__GONE : GOSSIP__ALIVE));
    MU_ASSERT(self->status == (is_leaving       ? GOSSIP_STATUS_LEFT
                               : g->has_started ? GOSSIP_STATUS_ALIVE
                                                : GOSSIP_STATUS_NONE));
}

static void check_coordinate(const struct gossip *g)
{
    const struct coordinate *at = &g->vivaldi.at;

    MU_ASSERT(coordinate_is_valid(at));
    MU_ASSERT(at->error > 0 && at->error <= COORDINATE_ERROR_MAX);
    MU_ASSERT(at->height >= COORDINATE_HEIGHT_MIN);
    for (size_t i = 0; i < g->list_count; i++) {
        const struct gossip__distance *d = gossip__dealings(g->list[i])->distance;

        MU_ASSERT(d == NULL || !d->is_known || coordinate_is_valid(&d->at));
    }
}

static void check_counts(const struct gossip *g)
{
    size_t listed = 0;
    size_t alive = 0;
    size_t suspect = 0;
    size_t status[GOSSIP_STATUS_FAILED + 1] = { 0 };

    for (size_t i = 0; i < g->members.count; i++) {
        const struct gossip__member *m = g->members.items[i];

        check_member(g, m);
        listed += m->is_listed;
        alive += m->state == GOSSIP__ALIVE;
        suspect += m->state == GOSSIP__SUSPECT;
        status[m->status]++;
    }
    MU_ASSERT(listed == g->list_count);
    MU_ASSERT(alive == g->alive_count);
    MU_ASSERT(suspect == g->suspect_count);
    MU_ASSERT(status[GOSSIP_STATUS_FAILED] == g->failed_count);
    MU_ASSERT(status[GOSSIP_STATUS_LEFT] == g->left_count);
    MU_ASSERT(status[GOSSIP_STATUS_LEAVING] == g->leaving_count);
}

/* -- queues and effects -------------------------------------------------------------------------
 */

static void check_queues(const struct gossip *g)
{
    unsigned limit_core = gossip__rumor_limit(&g->profile, g->list_count);

    for (size_t q = 0; q < GOSSIP__QUEUES; q++) {
        size_t count = 0;

        const struct mu_tree *rumors = &g->queues[q].rumors;
        struct mu_branch *last = NULL;

        for (struct mu_branch *at = mu_tree_first(rumors); at != NULL; at = mu_tree_next(at)) {
            const struct gossip__rumor *r = MU_CONTAINER(at, struct gossip__rumor, branch);

            MU_ASSERT(last == NULL || rumors->before(last, at));
            MU_ASSERT(r->about == NULL || r->about->dealings->rumor == r);
            MU_ASSERT(r->bytes >= g->queues[q].shortest);
            last = at;
            count++;
        }
        MU_ASSERT(count == g->queues[q].count);
    }
    MU_ASSERT(limit_core <= GOSSIP__SENDS_MAX);
}

static void check_effects(const struct gossip *g)
{
    for (size_t i = 0; i < g->sends_count; i++) {
        MU_ASSERT(g->sends[i].data.bytes <= MU_GOSSIP_PACKET_MAX);
        MU_ASSERT(g->sends[i].to.port != 0 && g->sends[i].to.ip_bytes != 0);
    }
}

static void check_streams(const struct gossip *g)
{
    size_t inbound = 0;

    MU_LIST_EACH (link, &g->streams) {
        const struct gossip__stream *s = MU_CONTAINER(link, struct gossip__stream, link);

        inbound += (s->id & 1) == 0 && s->role != GOSSIP__ROLE_CLOSING;
        MU_ASSERT(s->sync == NULL || s->role == GOSSIP__ROLE_SYNC ||
                  s->role == GOSSIP__ROLE_SYNCED);
    }
    MU_ASSERT(inbound == g->inbound_count);
    MU_ASSERT(inbound <= MU_GOSSIP_INBOUND_MAX);
}

static void check_probe(const struct gossip *g)
{
    const struct gossip__probe *p = &g->probe;

    MU_ASSERT((p->target == NULL) == (p->stage == GOSSIP__PROBE_IDLE));
    MU_ASSERT(p->target == NULL || gossip__member_find(g, p->target->card->name) == p->target);
    MU_ASSERT(p->target != g->self);
    MU_ASSERT(p->nacks_count <= p->helpers_count);
    MU_ASSERT(g->health < g->profile.awareness_max);
}

void gossip__check(const struct gossip *g)
{
    check_self(g);
    check_coordinate(g);
    check_counts(g);
    check_queues(g);
    check_effects(g);
    gossip__suspicion_check(g);
    check_streams(g);
    gossip__answer_check(g);
    check_probe(g);
    gossip__ring_check(g);
    gossip__record_check(g);
    gossip__serf_check(g);
}
