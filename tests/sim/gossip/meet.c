/* meet.c - a large cluster that is already one: no datagrams, two rounds of push/pull with the
 * first node, and nothing left to be told. Spreading the joins of thousands by gossip costs the
 * simulator more than all that is measured afterwards. */
#include "base/assert.h"
#include "base/mem.h"
#include "network.h"

#define BATCH    32 /* of what the first node serves at a time, 128 */
#define BATCH_MS 10

static void hush(struct gossip *g)
{
    for (size_t q = 0; q < GOSSIP__QUEUES; q++) {
        for (size_t tier = 0; tier < GOSSIP__TIERS; tier++) {
            MU_LIST_EACH_SAFE (link, &g->queues[q].tiers[tier]) {
                struct gossip__rumor *r = MU_CONTAINER(link, struct gossip__rumor, link);

                MU_ASSERT(!r->is_leave);
                if (r->about != NULL) {
                    r->about->rumor = NULL;
                }
                mu_list_remove(link);
                mu_free(r);
            }
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
