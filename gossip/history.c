/* history.c - why a member is held what it is: its last changes, and what is known of it now.
 *
 * One short list for all members, so that the memory does not depend on how many there are or on
 * how often they flap: 128 changes, of one member 16, so that a single one that comes and goes does
 * not push out the others. Both in time that does not depend on how many changes are kept: where
 * members come and go all the time, each of them ends here several times. Who joins for the first
 * time leaves no trace here: in a cluster that starts that would be all there is to read.
 */
#include <string.h>

#include "base/mem.h"
#include "core.h"

enum gossip_way gossip__way_of(enum gossip__evidence evidence)
{
    static const enum gossip_way ways[] = { [GOSSIP__SILENT] = GOSSIP_WAY_SILENT,
                                            [GOSSIP__REFUSED] = GOSSIP_WAY_REFUSED,
                                            [GOSSIP__STALLED] = GOSSIP_WAY_STALLED };

    return ways[evidence];
}

/* -- keeping ------------------------------------------------------------------------------------
 */

static struct gossip__past *past_at(const struct gossip__history *h, size_t i)
{
    return &h->items[(h->first + i) % h->room];
}

/* Where its share is counted, with that of a few others: records lie in lines of the cache. */
static uint8_t *share_of(struct gossip__history *h, const struct gossip__member *m)
{
    return &h->shares[((uintptr_t)m / sizeof *m) % MU_LEN(h->shares)];
}

static void drop_at(struct gossip__history *h, size_t at)
{
    (*share_of(h, past_at(h, at)->about))--;
    mu_free(past_at(h, at)->by);
    h->count--;
    if (at == 0) {
        h->first = (h->first + 1) % h->room;
    }
    for (; at > 0 && at < h->count; at++) {
        *past_at(h, at) = *past_at(h, at + 1);
    }
}

static void grow(struct gossip__history *h)
{
    size_t room = 2 * h->room + 8 < GOSSIP__RECORDS_MAX ? 2 * h->room + 8 : GOSSIP__RECORDS_MAX;
    struct gossip__past *items = mu_new_array(room, sizeof *items);

    for (size_t i = 0; i < h->count; i++) {
        items[i] = *past_at(h, i);
    }
    mu_free(h->items);
    h->items = items;
    h->first = 0;
    h->room = room;
}

/* The oldest of a member that has its share; those who share a count seldom have that many. */
static bool drop_of(struct gossip__history *h, const struct gossip__member *m)
{
    size_t count = 0;
    size_t first = 0;

    for (size_t i = h->count; i-- > 0;) {
        if (past_at(h, i)->about == m) {
            first = i;
            count++;
        }
    }
    if (count < GOSSIP__RECORDS_OF_ONE) {
        return false;
    }
    drop_at(h, first);
    return true;
}

/* Of its own, else the oldest of all when there is no room. */
static void make_room(struct gossip__history *h, const struct gossip__member *m)
{
    bool is_over = *share_of(h, m) >= GOSSIP__RECORDS_OF_ONE && drop_of(h, m);

    if (!is_over && h->count == GOSSIP__RECORDS_MAX) {
        drop_at(h, 0);
    }
    if (h->count == h->room) {
        grow(h);
    }
}

void gossip__record(struct gossip *g, const struct gossip__member *m, struct gossip_record what)
{
    struct gossip__history *h = &g->history;

    make_room(h, m);
    what.at_ms = g->now_ms;
    what.incarnation = m->incarnation;
    char *by = mu_strdup(what.by != NULL ? what.by : "");

    what.by = by;
    *past_at(h, h->count++) = (struct gossip__past){ .about = m, .by = by, .record = what };
    (*share_of(h, m))++;
}

void gossip__record_forget(struct gossip *g, const struct gossip__member *m)
{
    for (size_t i = *share_of(&g->history, m) > 0 ? g->history.count : 0; i-- > 0;) {
        if (past_at(&g->history, i)->about == m) {
            drop_at(&g->history, i);
        }
    }
}

void gossip__record_free_all(struct gossip *g)
{
    while (g->history.count > 0) {
        drop_at(&g->history, g->history.count - 1);
    }
    mu_free(g->history.items);
}

void gossip__record_check(const struct gossip *g)
{
    const struct gossip__history *h = &g->history;
    size_t shares = 0;

    for (size_t i = 0; i < MU_LEN(h->shares); i++) {
        shares += h->shares[i];
    }
    MU_ASSERT(shares == h->count && h->count <= h->room && h->room <= GOSSIP__RECORDS_MAX);
}

/* -- telling ------------------------------------------------------------------------------------
 */

bool gossip_explain(const struct gossip *g, const char *name, struct gossip_account *out)
{
    const struct gossip__member *m = gossip__member_find(g, name);

    if (m == NULL) {
        return false;
    }
    const struct gossip__dealings *d = gossip__dealings(m);

    *out = (struct gossip_account){ .member = gossip__member_view(g, m),
                                    .state = gossip__state_text(m->state),
                                    .state_ms = m->state_ms,
                                    .acked_ms = d->link.acked_ms,
                                    .heard_ms = m->heard_ms,
                                    .rtt_us = d->link.rtt_us,
                                    .missed = d->link.missed,
                                    .health = g->health,
                                    .now_ms = g->now_ms };
    if (m->state == GOSSIP__SUSPECT) {
        out->deadline_ms = d->suspicion->deadline_ms;
        out->evidence = gossip__way_of(d->suspicion->evidence);
        gossip__suspicion_count(g, m, &out->confirmations, &out->wanted);
    }
    return true;
}

void gossip_each_record(const struct gossip *g, const char *name, gossip_record_fn *each,
                        void *data)
{
    const struct gossip__member *m = gossip__member_find(g, name);

    for (size_t i = 0; m != NULL && i < g->history.count; i++) {
        if (past_at(&g->history, i)->about == m) {
            each(data, &past_at(&g->history, i)->record);
        }
    }
}
