#include "tags.h"

#include "gossip/network.h"

void tags_set(struct world *w, size_t node, const struct mu_pairs *tags)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_TAGS };

    ev.tags = *tags;
    sim_feed(w, w->nodes[node], &ev);
}

void tags_identity(struct world *w, size_t node, const struct mu_id *id)
{
    w->nodes[node]->node_id = *id;
}

struct mu_id tags_identity_now(const struct world *w, size_t node)
{
    return w->nodes[node]->node_id;
}
