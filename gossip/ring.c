/* ring.c - who comes next: an order of all members that is the same at each of them.
 *
 *   ... -- us -- next[0] -- next[1] -- next[2] -- ...      by a hash of the name, round and round
 *           '--- probed every other round (probe.c)
 *
 * A walk in random order leaves it to chance when somebody asks after a member: mostly within a
 * probe interval, but one in a hundred is not asked after for nearly five of them. So every other
 * probe goes to the member that follows us. In a cluster that agrees on its members each then has
 * one predecessor, who asks after it every two intervals, whatever chance does; nobody probes or is
 * probed more than before. Nothing of this travels: names do, and their hashes are equal
 * everywhere. Neighbours in a rack have like names, and are not neighbours here.
 *
 * If the next one is suspected, stopped or dead the one after it is ours to ask after, since its
 * own predecessor may not. But first the suspect: a suspicion wants to be confirmed or denied by
 * others than whoever began it, and the two members before its accuser are those that need not wait
 * for chance to lead them there.
 *
 * Where views differ, somebody may have two predecessors for a while, or none: the walk, which has
 * the other half of the rounds, comes to everybody.
 *
 * Deviation from the reference (5.1), which only walks.
 */
#include <string.h>

#include "core.h"

#define AT_A_STRETCH 2 /* rounds, when the next one is another one than before; then the walk */

/* How far behind us in the order; those with our own hash come last. */
static uint64_t distance(const struct gossip *g, const struct gossip__member *m)
{
    return m->card->spread - g->self->card->spread - 1;
}

static void put(struct gossip *g, struct gossip__member *m)
{
    struct gossip__ring *r = &g->ring;
    unsigned at = r->count;

    while (at > 0 && distance(g, m) < distance(g, r->next[at - 1])) {
        at--;
    }
    if (at == GOSSIP__RING) {
        return;
    }
    r->count += r->count < GOSSIP__RING;
    memmove(&r->next[at + 1], &r->next[at], (r->count - 1 - at) * sizeof(struct gossip__member *));
    r->next[at] = m;
}

static void find(struct gossip *g)
{
    g->ring.count = 0;
    for (size_t i = 0; i < g->list_count; i++) {
        if (g->list[i] != g->self && gossip__member_is_live(g->list[i])) {
            put(g, g->list[i]);
        }
    }
    g->ring.is_known = true;
}

/* Who comes is put in; who goes leaves a gap that a search has to fill, when it is needed. */
void gossip__ring_moved(struct gossip *g, struct gossip__member *m, bool was_live)
{
    struct gossip__ring *r = &g->ring;
    bool is_live = gossip__member_is_live(m);

    if (m == g->self || is_live == was_live) {
        return;
    }
    if (is_live && r->is_known) {
        put(g, m);
    }
    for (unsigned i = 0; i < r->count && !is_live; i++) {
        r->is_known = r->is_known && r->next[i] != m;
    }
    r->asked = r->asked == m ? NULL : r->asked;
}

/* NULL: nobody is fit. */
static struct gossip__member *next_of(struct gossip *g)
{
    struct gossip__ring *r = &g->ring;

    if (!r->is_known) {
        find(g);
    }
    for (unsigned i = 0; i < r->count; i++) {
        if (r->next[i]->state == GOSSIP__SUSPECT && gossip__suspicion_wants_us(g, r->next[i])) {
            return r->next[i];
        }
    }
    for (unsigned i = 0; i < r->count; i++) {
        if (r->next[i]->state == GOSSIP__ALIVE && !gossip__inquiry_doubts(g, r->next[i])) {
            return r->next[i];
        }
    }
    return NULL;
}

/* Every other round, and another one at once when somebody else is next than the last time: it may
 * be that nobody asked after that one for as long as the one before it is dead. */
struct gossip__member *gossip__ring_turn(struct gossip *g)
{
    struct gossip__ring *r = &g->ring;
    struct gossip__member *next = r->rounds < AT_A_STRETCH ? next_of(g) : NULL;

    if (next == NULL || (r->rounds > 0 && next == r->asked)) {
        r->rounds = 0;
        return NULL;
    }
    r->rounds++;
    r->asked = next;
    return next;
}

void gossip__ring_check(const struct gossip *g)
{
    const struct gossip__ring *r = &g->ring;
    size_t nearer = 0;

    if (!r->is_known) {
        return;
    }
    for (unsigned i = 0; i < r->count; i++) {
        MU_ASSERT(r->next[i] != g->self && gossip__member_is_live(r->next[i]));
        MU_ASSERT(i == 0 || distance(g, r->next[i - 1]) <= distance(g, r->next[i]));
    }
    for (size_t i = 0; i < g->list_count; i++) {
        const struct gossip__member *m = g->list[i];

        nearer += m != g->self && gossip__member_is_live(m) &&
                  (r->count < GOSSIP__RING || distance(g, m) < distance(g, r->next[r->count - 1]));
    }
    MU_ASSERT(r->count < GOSSIP__RING ? nearer == r->count : nearer < GOSSIP__RING);
}
