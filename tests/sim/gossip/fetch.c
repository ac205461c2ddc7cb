/* fetch.c - what is needed next, into the cache.
 *
 * The cores of thousands are in no cache, and with what they look at first they are some dozens of
 * lines each. So what the steps of a few nodes will look at is fetched for all of them together
 * before the first, stage by stage, as one line tells where the next is. That changes nothing but
 * the time it takes.
 */
#include "base/assert.h"
#include "network.h"

#define LINE_BYTES  64
#define ARENA_LINES 4 /* what one packet or step mostly takes of an arena */
#define DATA_LINES  3
#define CARD_LINES  3
#define RUMOR_LINES 2

static void fetch(const void *from, size_t lines)
{
    for (size_t i = 0; i < lines; i++) {
        __builtin_prefetch((const char *)from + i * LINE_BYTES);
    }
}

typedef void stage_fn(const struct sim_step *s);

static void fetch_core(const struct sim_step *s)
{
    fetch(s->core, GOSSIP__HOT_BYTES / LINE_BYTES + 1);
    if (s->data != NULL) {
        fetch(s->data, DATA_LINES);
    }
}

/* Whom a node that is woken deals with: as its own generator will say, if nothing else comes
 * before; and the next one of the walk. */
typedef void peer_fn(struct gossip__member *const *place);

static void each_peer(const struct gossip *g, peer_fn *each)
{
    struct mu_rand rand = g->rand;

    if (g->list_count == 0) {
        return;
    }
    if (g->probe_at_ms == g->wake_at_ms && g->probe_next < g->list_count) {
        each(&g->list[g->probe_next]);
    }
    if (g->rumor_at_ms == g->wake_at_ms) {
        (void)mu_rand_below(&rand, g->list_count); /* where a walk would begin */
        for (unsigned i = 0; i < g->profile.gossip_nodes; i++) {
            each(&g->list[mu_rand_below(&rand, g->list_count)]);
        }
    }
}

static void fetch_peer_place(struct gossip__member *const *place)
{
    fetch(place, 1);
}

static void fetch_peer(struct gossip__member *const *place)
{
    fetch(*place, 1);
}

static void fetch_peer_card(struct gossip__member *const *place)
{
    fetch((*place)->card, CARD_LINES);
}

/* The first rumors to be told are left in their tree, and there news find their place. */
static void fetch_rumor(const struct mu_branch *b)
{
    if (b != NULL) {
        fetch(b, RUMOR_LINES);
    }
}

static void fetch_rumors(const struct gossip *g, unsigned depth)
{
    for (unsigned q = GOSSIP__QUEUE_CORE; q <= GOSSIP__QUEUE_INTENT; q++) {
        const struct mu_branch *b = g->queues[q].rumors.root;

        for (unsigned i = 1; i < depth && b != NULL; i++) {
            b = b->left;
        }
        if (depth == 0) {
            fetch_rumor(b);
        } else if (b != NULL) {
            fetch_rumor(b->left);
            fetch_rumor(b->right);
        }
    }
}

/* Where it works, and where it will look. */
static void fetch_places(const struct sim_step *s)
{
    const struct gossip *g = s->core;

    fetch(g->sends, 1);
    fetch(g->step.newest, ARENA_LINES);
    fetch_rumors(g, 0);
    if (s->is_wake) {
        each_peer(g, fetch_peer_place);
    } else if (s->name_hash != 0) {
        fetch(g->in.newest, ARENA_LINES);
        fetch(gossip__members_place(&g->members, s->name_hash), 1);
    }
}

/* Most likely. */
static const struct gossip__member *sender(const struct sim_step *s)
{
    return gossip__members_at(gossip__members_place(&s->core->members, s->name_hash));
}

static void fetch_member(const struct sim_step *s)
{
    fetch_rumors(s->core, 1);
    if (s->is_wake) {
        each_peer(s->core, fetch_peer);
    } else if (s->name_hash != 0) {
        fetch(sender(s), 1);
    }
}

static void fetch_card(const struct sim_step *s)
{
    const struct gossip__member *m = s->name_hash != 0 ? sender(s) : NULL;

    fetch_rumors(s->core, 2);
    if (s->is_wake) {
        each_peer(s->core, fetch_peer_card);
    } else if (m != NULL) {
        fetch(m->card, CARD_LINES);
    }
}

void sim_fetch(const struct sim_step *steps, size_t count)
{
    static stage_fn *const stages[] = { fetch_core, fetch_places, fetch_member, fetch_card };

    for (size_t i = 0; i < MU_LEN(stages); i++) {
        for (size_t k = 0; k < count; k++) {
            stages[i](&steps[k]);
        }
    }
}
