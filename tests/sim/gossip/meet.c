/* meet.c - a large cluster that is already one. Spreading the joins of thousands by gossip costs
 * the simulator more than all that is measured afterwards.
 *
 * world_meet: no datagrams, two rounds of push/pull with the first node, and nothing left to be
 * told. world_acquaint: not even that, for the largest: every table is filled as those rounds would
 * leave it, with the cards that all share. */
#include "base/assert.h"
#include "base/mem.h"
#include "network.h"

#define BATCH    32 /* of what the first node serves at a time, 128 */
#define BATCH_MS 10

static void hush(struct gossip *g)
{
    for (size_t q = 0; q < GOSSIP__QUEUES; q++) {
        struct mu_tree *rumors = &g->queues[q].rumors;

        while (rumors->root != NULL) {
            struct gossip__rumor *r = MU_CONTAINER(rumors->root, struct gossip__rumor, branch);

            MU_ASSERT(!r->is_leave);
            if (r->about != NULL) {
                r->about->dealings->rumor = NULL;
                gossip__deal_over(r->about);
            }
            mu_tree_remove(rumors, &r->branch);
            mu_free(r);
        }
        g->queues[q].count = 0;
    }
}

void world_meet(struct world *w)
{
    uint32_t min = w->options.latency_us_min;
    uint32_t max = w->options.latency_us_max;

    w->options.latency_us_min = w->options.latency_us_max = 1;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 1; i < w->nodes_count; i++) {
            world_join(w, i, 0, false);
            if (i % BATCH != 0 && i + 1 != w->nodes_count) {
                continue;
            }
            world_run(w, BATCH_MS);
            for (size_t j = 0; j <= i; j++) {
                hush(w->nodes[j]->core);
            }
        }
    }
    w->options.latency_us_min = min;
    w->options.latency_us_max = max;
}

/* -- as if from a snapshot of all ---------------------------------------------------------------
 */

struct introduction {
    const struct gossip__card *card;
    uint64_t incarnation;
};

static void know(struct gossip *g, const struct introduction *of)
{
    struct gossip__member *m = gossip__member_put(g, gossip__card_join(of->card));

    gossip__members_id_set(&g->members, m);
    m->incarnation = of->incarnation;
    m->status = GOSSIP_STATUS_ALIVE;
    m->status_ms = g->now_ms;
    gossip__member_list(g, m);
    gossip__member_move(g, m, GOSSIP__ALIVE, "it was known before");
}

void world_acquaint(struct world *w)
{
    /* In one place: a hundred million walks to where a node keeps itself would be most of it. */
    struct introduction *all = mu_new_array(w->nodes_count, sizeof *all);

    for (size_t i = 0; i < w->nodes_count; i++) {
        const struct gossip__member *self = w->nodes[i]->core->self;

        all[i] = (struct introduction){ self->card, self->incarnation };
    }
    for (size_t i = 0; i < w->nodes_count; i++) {
        struct gossip *g = w->nodes[i]->core;

        for (size_t j = 0; j < w->nodes_count; j++) {
            if (j != i) {
                know(g, &all[j]);
            }
        }
        gossip__probe_wake(g);
        gossip__sync_wake(g);
        sim_feed(w, w->nodes[i], &(struct gossip_event){ .kind = GOSSIP_EV_WAKE });
    }
    mu_free(all);
}
