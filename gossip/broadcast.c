/* broadcast.c - what is to be spread: rumors with a budget of sends, and who hears them (7, 8).
 *
 * A rumor lives in the tier of its number of sends; a datagram is filled from the lowest tier up,
 * longest first. With few peers chance alone would leave some of them out, so each rumor remembers
 * whom it was sent to, and prefers the others until everybody had it (7.5).
 *
 * A new rumor is told within 20 ms, then every gossip interval until its budget is spent. With
 * nothing to tell, or nobody to tell it to, nothing is due.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "core.h"

#define PROMPT_MS     20   /* between ticks that something new brought about */
#define QUEUE_MAX     4096 /* items, or twice the members: then the most sent, oldest goes */
#define CORE_PERCENT  75   /* of a datagram, while other queues wait too (7.3) */
#define EVENT_PERCENT 10   /* of a datagram that nobody else takes while events wait */
#define FANOUT_MAX    16
#define DISTINCT_MAX  64 /* peers that fit the mask one by one */
#define SENDS_MAX_ALL (GOSSIP__TIERS - 1)

_Static_assert(GOSSIP__TIERS == 64, "a bit of a word for each");

static struct gossip__rumor *rumor_of(struct mu_link *link)
{
    return MU_CONTAINER(link, struct gossip__rumor, link);
}

unsigned gossip__rumor_limit(const struct gossip_profile *p, size_t members)
{
    unsigned log_part = p->retransmit_mult * (unsigned)ceil(log10((double)members + 1));
    unsigned few = members > 4 ? 8 : members > 1 ? 2 * (unsigned)(members - 1) : 0;
    unsigned limit = log_part > few ? log_part : few;

    return limit > SENDS_MAX_ALL ? SENDS_MAX_ALL : limit;
}

/* -- who may be told ----------------------------------------------------------------------------
 */

/* The recently dead hear gossip too: one that was wrongly declared learns of it (8). */
static bool may_hear(const struct gossip *g, const struct gossip__member *m)
{
    return gossip__member_is_live(m) ||
           (m->state == GOSSIP__DEAD && g->now_ms < m->state_ms + g->profile.gossip_to_dead_ms);
}

/* Marks of the others: the live ones, or all who may hear. Too many for marks: all bits. */
static uint64_t audience(const struct gossip *g, bool is_live_only)
{
    uint64_t mask = 0;

    if (g->list_count > DISTINCT_MAX) {
        return UINT64_MAX;
    }
    for (size_t i = 0; i < g->list_count; i++) {
        const struct gossip__member *m = g->list[i];

        if (m != g->self && (is_live_only ? gossip__member_is_live(m) : may_hear(g, m))) {
            mask |= gossip__member_mark(m);
        }
    }
    return mask;
}

/* -- the queues ---------------------------------------------------------------------------------
 */

static void tier_take(struct gossip *g, struct gossip__rumor *r)
{
    struct gossip__queue *q = &g->queues[r->queue];

    mu_list_remove(&r->link);
    if (mu_list_empty(&q->tiers[r->sends_count])) {
        q->used &= ~(UINT64_C(1) << r->sends_count);
    }
}

static void rumor_end(struct gossip *g, struct gossip__rumor *r)
{
    if (r->about != NULL) {
        r->about->dealings->rumor = NULL;
        gossip__deal_over(r->about);
    }
    if (r->is_leave) {
        gossip__leave_sent(g);
    }
    tier_take(g, r);
    g->queues[r->queue].count--;
    mu_free(r);
}

/* Within a tier: longest first, then newest first. */
static void tier_put(struct gossip *g, struct gossip__rumor *r)
{
    struct gossip__queue *q = &g->queues[r->queue];
    struct mu_link *tier = &q->tiers[r->sends_count];
    struct mu_link *before = tier->next;

    q->used |= UINT64_C(1) << r->sends_count;

    while (before != tier &&
           (rumor_of(before)->bytes > r->bytes ||
            (rumor_of(before)->bytes == r->bytes && rumor_of(before)->id > r->id))) {
        before = before->next;
    }
    mu_list_insert(before, &r->link);
}

static void queue_trim(struct gossip *g, struct gossip__queue *q)
{
    size_t members = g->members.count;
    size_t max = 2 * members > QUEUE_MAX ? 2 * members : QUEUE_MAX;

    if (q->count >= max) { /* one came, one goes */
        rumor_end(g, rumor_of(q->tiers[GOSSIP__TIERS - 1 - __builtin_clzll(q->used)].prev));
        gossip__count(g, GOSSIP_COUNT_RUMORS_DROPPED);
    }
}

static void tick_at(struct gossip *g, uint64_t at)
{
    g->rumor_at_ms = at < g->rumor_at_ms ? at : g->rumor_at_ms;
}

void gossip__rumor_wake(struct gossip *g)
{
    uint64_t prompt = g->rumor_last_ms + PROMPT_MS;

    for (size_t i = 0; i < GOSSIP__QUEUES; i++) {
        if (g->queues[i].count > 0) {
            tick_at(g, prompt > g->now_ms ? prompt : g->now_ms);
        }
    }
}

struct gossip__rumor *gossip__rumor_add(struct gossip *g, enum gossip__queue_kind queue,
                                        struct gossip__member *about, struct mu_span part,
                                        const struct gossip__member *from)
{
    uint64_t served = from != NULL && from->is_listed ? gossip__member_mark(from) : 0;
    uint64_t hearers = audience(g, false);

    MU_ASSERT(part.bytes <= MU_GOSSIP_PACKET_MAX - GOSSIP__HEADER_BYTES - GOSSIP__NONCE_BYTES -
                                GOSSIP__TAG_BYTES - MU_NODE_NAME_MAX - 64);
    if (about != NULL) {
        gossip__rumor_forget(g, about);
        gossip__heard_keep(g, about, part);
    }
    if ((served & hearers) == hearers) {
        return NULL; /* everybody has it; who comes later learns it by push/pull */
    }
    queue_trim(g, &g->queues[queue]);
    struct gossip__rumor *r = mu_new(sizeof *r + part.bytes);

    r->about = about;
    r->id = ++g->rumor_id;
    r->until_ms = GOSSIP__NEVER;
    r->served = served;
    r->queue = queue;
    r->bytes = part.bytes;
    memcpy(r->data, part.data, part.bytes);
    if (about != NULL) {
        gossip__deal(about)->rumor = r;
    }
    if (g->queues[queue].count == 0 || r->bytes < g->queues[queue].shortest) {
        g->queues[queue].shortest = r->bytes;
    }
    tier_put(g, r);
    g->queues[queue].count++;
    gossip__rumor_wake(g);
    return r;
}

void gossip__rumor_forget(struct gossip *g, struct gossip__member *about)
{
    if (gossip__dealings(about)->rumor != NULL) {
        rumor_end(g, about->dealings->rumor);
    }
}

void gossip__rumor_free_all(struct gossip *g)
{
    for (size_t q = 0; q < GOSSIP__QUEUES; q++) {
        for (size_t tier = 0; tier < GOSSIP__TIERS; tier++) {
            MU_LIST_EACH_SAFE (link, &g->queues[q].tiers[tier]) {
                mu_free(rumor_of(link));
            }
        }
    }
}

/* -- filling a datagram -------------------------------------------------------------------------
 */

static void take(struct gossip *g, enum gossip__queue_kind queue, struct gossip__letter *l,
                 size_t room)
{
    uint64_t mark = gossip__member_mark(l->peer);
    size_t stop = l->left > room ? l->left - room : 0; /* what must stay free */

    for (uint64_t tiers = g->queues[queue].used; tiers != 0; tiers &= tiers - 1) {
        MU_LIST_EACH (link, &g->queues[queue].tiers[__builtin_ctzll(tiers)]) {
            struct gossip__rumor *r = rumor_of(link);

            if (l->left < stop + gossip__packet_part_bytes(g->queues[queue].shortest)) {
                return;
            }
            if (r->until_ms > g->now_ms && (r->served & mark) == 0 &&
                gossip__packet_part_bytes(r->bytes) <= l->left - stop &&
                gossip__letter_add(l, mu_span_of(r->data, r->bytes))) {
                r->served |= mark;
                l->taken[l->taken_count++] = r;
            }
        }
    }
}

/* A busy detector may not starve what users send, nor these each other (7.3). */
void gossip__rumor_fill(struct gossip *g, struct gossip__letter *l)
{
    size_t events = g->queues[GOSSIP__QUEUE_EVENT].count > 0 ? l->left * EVENT_PERCENT / 100 : 0;
    bool is_shared = g->queues[GOSSIP__QUEUE_INTENT].count + g->queues[GOSSIP__QUEUE_QUERY].count +
                         g->queues[GOSSIP__QUEUE_EVENT].count >
                     0;

    take(g, GOSSIP__QUEUE_CORE, l, is_shared ? l->left * CORE_PERCENT / 100 : l->left);
    for (size_t queue = GOSSIP__QUEUE_INTENT; is_shared && queue < GOSSIP__QUEUES; queue++) {
        size_t keep = queue == GOSSIP__QUEUE_EVENT ? 0 : events;

        take(g, (enum gossip__queue_kind)queue, l, l->left > keep ? l->left - keep : 0);
    }
    for (size_t queue = GOSSIP__QUEUE_CORE; is_shared && queue < GOSSIP__QUEUES; queue++) {
        take(g, (enum gossip__queue_kind)queue, l, l->left); /* unused shares flow back */
    }
}

/* What was taken moves a tier up; a send to a dead peer is free. */
void gossip__rumor_settle(struct gossip *g, struct gossip__letter *l)
{
    uint64_t live = l->taken_count > 0 ? audience(g, true) : 0;
    unsigned core_limit = gossip__rumor_limit(&g->profile, g->list_count);
    unsigned serf_limit = gossip__rumor_limit(&g->profile, g->members.count);

    for (size_t i = 0; i < l->taken_count; i++) {
        struct gossip__rumor *r = l->taken[i];

        if (r->queue != GOSSIP__QUEUE_CORE) {
            gossip__count(g, GOSSIP_COUNT_SERF_OUT);
        }
        unsigned sends = r->sends_count + gossip__member_is_live(l->peer);

        if (sends >= (r->queue == GOSSIP__QUEUE_CORE ? core_limit : serf_limit)) {
            rumor_end(g, r);
            continue;
        }
        tier_take(g, r);
        r->sends_count = sends;
        tier_put(g, r);
        if (live != 0 && (r->served & live) == live) {
            r->served = 0; /* a second pass: one of them may have missed it */
        }
    }
}

/* -- the tick -----------------------------------------------------------------------------------
 */

static struct gossip__rumor *first_of(struct gossip__queue *q)
{
    return q->used != 0 ? rumor_of(q->tiers[__builtin_ctzll(q->used)].next) : NULL;
}

static bool fits_unserved(const struct gossip *g, const struct gossip__member *m, const void *data)
{
    const uint64_t *served = data;

    return may_hear(g, m) && (*served & gossip__member_mark(m)) == 0;
}

static bool fits_hearer(const struct gossip *g, const struct gossip__member *m, const void *data)
{
    struct gossip__member *const *chosen = data; /* NULL-terminated */

    for (size_t i = 0; chosen[i] != NULL; i++) {
        if (chosen[i] == m) {
            return false;
        }
    }
    return may_hear(g, m);
}

/* Peers that lack the least told rumor, then any. */
static size_t choose(struct gossip *g, struct gossip__member *peers[FANOUT_MAX + 1])
{
    size_t want = g->profile.gossip_nodes < FANOUT_MAX ? g->profile.gossip_nodes : FANOUT_MAX;
    size_t count = 0;

    for (size_t i = 0; i < GOSSIP__QUEUES && count == 0; i++) {
        const struct gossip__rumor *first = first_of(&g->queues[i]);

        if (first != NULL) {
            count = gossip__member_pick(g, want, fits_unserved, &first->served, peers);
        }
    }
    peers[count] = NULL;
    if (count < want) {
        struct gossip__member *more[FANOUT_MAX + 1];
        size_t more_count = gossip__member_pick(g, want - count, fits_hearer, peers, more);

        memcpy(peers + count, more, more_count * sizeof(struct gossip__member *));
        count += more_count;
    }
    return count;
}

uint64_t gossip__rumor_due(const struct gossip *g)
{
    return g->rumor_at_ms;
}

/* A question whose time is over is of no use to anybody. */
static void forget_late(struct gossip *g)
{
    struct gossip__queue *q = &g->queues[GOSSIP__QUEUE_QUERY];

    for (uint64_t tiers = q->used; tiers != 0; tiers &= tiers - 1) {
        MU_LIST_EACH_SAFE (link, &q->tiers[__builtin_ctzll(tiers)]) {
            if (rumor_of(link)->until_ms <= g->now_ms) {
                rumor_end(g, rumor_of(link));
            }
        }
    }
}

/* All who are left have these: the last who lacked them was forgotten before it was told. They get
 * their second pass, or they would stay for ever. */
static bool pass_again(struct gossip *g)
{
    uint64_t live = audience(g, true);
    bool is_any = false;

    for (size_t i = 0; live != 0 && i < GOSSIP__QUEUES; i++) {
        for (uint64_t tiers = g->queues[i].used; tiers != 0; tiers &= tiers - 1) {
            MU_LIST_EACH (link, &g->queues[i].tiers[__builtin_ctzll(tiers)]) {
                struct gossip__rumor *r = rumor_of(link);

                if ((r->served & live) == live) {
                    r->served = 0;
                    is_any = true;
                }
            }
        }
    }
    return is_any;
}

void gossip__rumor_tick(struct gossip *g)
{
    struct gossip__member *peers[FANOUT_MAX + 1];
    struct gossip__letter letter;
    size_t sent = 0;

    forget_late(g);
    size_t count = choose(g, peers);

    for (size_t i = 0; i < count; i++) {
        gossip__letter_begin(g, &letter, &peers[i]->card->addr, peers[i]);
        sent += gossip__letter_send(g, &letter);
    }
    g->rumor_last_ms = g->now_ms;
    g->counters[GOSSIP_COUNT_ROUNDS] += sent > 0;
    /* Nobody left to tell: until something new comes, or somebody. */
    g->rumor_at_ms = GOSSIP__NEVER;
    if (sent > 0 || pass_again(g)) {
        for (size_t i = 0; i < GOSSIP__QUEUES; i++) {
            if (g->queues[i].count > 0) {
                tick_at(g, g->now_ms + g->profile.gossip_ms);
            }
        }
    }
}
