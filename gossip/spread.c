/* spread.c - has what was said until now left this node?
 *
 * Whoever asks is answered once every rumor that was queued when he asked has had all its sends,
 * or gave way to a newer one about the same member, or nobody is left to tell; and in any case
 * after broadcast_timeout_ms (2.3). Questions of others are not waited for: they end by their own
 * deadlines.
 */
#include "base/mem.h"
#include "core.h"

struct gossip__spread {
    struct mu_link link;
    uint64_t id; /* of gossip_done */
    uint64_t upto, until_ms;
};

static struct gossip__spread *spread_of(struct mu_link *link)
{
    return MU_CONTAINER(link, struct gossip__spread, link);
}

static bool is_waiting(const struct gossip *g, enum gossip__queue_kind queue, uint64_t upto)
{
    struct mu_branch *at = mu_tree_first(&g->queues[queue].rumors);

    for (; at != NULL; at = mu_tree_next(at)) {
        if (MU_CONTAINER(at, struct gossip__rumor, branch)->id <= upto) {
            return true;
        }
    }
    return false;
}

static bool is_told(const struct gossip *g, uint64_t upto)
{
    return gossip__others_live(g) == 0 || (!is_waiting(g, GOSSIP__QUEUE_CORE, upto) &&
                                           !is_waiting(g, GOSSIP__QUEUE_INTENT, upto) &&
                                           !is_waiting(g, GOSSIP__QUEUE_EVENT, upto));
}

void gossip__on_spread(struct gossip *g, uint64_t id)
{
    struct gossip__spread *s = mu_new(sizeof *s);

    s->id = id;
    s->upto = g->rumor_id;
    s->until_ms = g->now_ms + g->profile.broadcast_timeout_ms;
    mu_list_push_back(&g->spreads, &s->link);
}

uint64_t gossip__spread_due(const struct gossip *g)
{
    uint64_t due = GOSSIP__NEVER;

    MU_LIST_EACH (link, &g->spreads) { /* a later one may have been given less time */
        due = spread_of(link)->until_ms < due ? spread_of(link)->until_ms : due;
    }
    return due;
}

void gossip__spread_tick(struct gossip *g)
{
    (void)g; /* gossip__spread_look() ends each step: what is due is answered there */
}

void gossip__spread_look(struct gossip *g)
{
    MU_LIST_EACH_SAFE (link, &g->spreads) {
        struct gossip__spread *s = spread_of(link);
        bool told = is_told(g, s->upto);

        if (told || g->now_ms >= s->until_ms) {
            gossip__done(g, s->id, told ? 1 : 0, "");
            mu_list_remove(&s->link);
            mu_free(s);
        }
    }
}

void gossip__spread_free_all(struct gossip *g)
{
    MU_LIST_EACH_SAFE (link, &g->spreads) {
        mu_free(spread_of(link));
    }
}
