/* broadcast.c - what is to be spread: rumors with a budget of sends, and who hears them (7, 8).
 *
 * A datagram is filled with those that were sent least, of these with the longest first, of these
 * with the newest. With few peers chance alone would leave some of them out, so each rumor
 * remembers whom it was sent to, and prefers the others until everybody had it (7.5).
 *
 * A new rumor is told within 20 ms, then every gossip interval until its budget is spent. With
 * nothing to tell, or nobody to tell it to, nothing is due. What is told of members sooner than an
 * interval after the last tick is an advance on later ones (a leaky bucket): where there is always
 * news of some member, as under churn in a large cluster, ticks keep the interval, and several
 * rumors share a datagram.
 */
#include <string.h>

#include "base/mem.h"
#include "core.h"

#define PROMPT_MS     20   /* between ticks that something new brought about */
#define ADVANCE       100  /* ticks of which members' news may be ahead of one an interval */
#define QUEUE_MAX     4096 /* items, or twice the members: then the most sent, oldest goes */
#define CORE_PERCENT  75   /* of a datagram, while other queues wait too (7.3) */
#define EVENT_PERCENT 10   /* of a datagram that nobody else takes while events wait */
#define FANOUT_MAX    16
#define DISTINCT_MAX  64 /* peers that fit the mask one by one */
#define TELL_ALL      16 /* members of which eight sends each miss nobody */
#define DIGITS_MIN    3 /* more have as many as a hundred: a few below, each 60th lacked somebody */

static struct gossip__rumor *rumor_of(struct mu_branch *at)
{
    return MU_CONTAINER(at, struct gossip__rumor, branch);
}

unsigned gossip__rumor_limit(const struct gossip_profile *p, size_t members)
{
    unsigned digits = 0; /* of that many members, rounded up */

    for (size_t power = 1; power < members + 1; power *= 10) {
        digits++;
    }
    unsigned log_part =
        p->retransmit_mult * (members > TELL_ALL && digits < DIGITS_MIN ? DIGITS_MIN : digits);
    unsigned few = members > 4 ? 8 : members > 1 ? 2 * (unsigned)(members - 1) : 0;
    unsigned limit = log_part > few ? log_part : few;

    return limit > GOSSIP__SENDS_MAX ? GOSSIP__SENDS_MAX : limit;
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

static bool is_told_before(struct mu_branch *a, struct mu_branch *b)
{
    const struct gossip__rumor *x = rumor_of(a);
    const struct gossip__rumor *y = rumor_of(b);

    if (x->sends_count != y->sends_count) {
        return x->sends_count < y->sends_count;
    }
    return x->bytes != y->bytes ? x->bytes > y->bytes : x->id > y->id;
}

void gossip__rumor_init(struct gossip *g)
{
    for (size_t q = 0; q < GOSSIP__QUEUES; q++) {
        mu_tree_init(&g->queues[q].rumors, is_told_before);
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
    mu_tree_remove(&g->queues[r->queue].rumors, &r->branch);
    g->queues[r->queue].count--;
    mu_free(r);
}

static void queue_trim(struct gossip *g, struct gossip__queue *q)
{
    size_t members = g->members.count;
    size_t max = 2 * members > QUEUE_MAX ? 2 * members : QUEUE_MAX;

    if (q->count >= max) { /* one came, one goes */
        rumor_end(g, rumor_of(mu_tree_last(&q->rumors)));
        gossip__count(g, GOSSIP_COUNT_RUMORS_DROPPED);
    }
}

static void tick_at(struct gossip *g, uint64_t at)
{
    g->rumor_at_ms = gossip__sooner(at, g->rumor_at_ms);
}

static uint64_t advance_ms(const struct gossip *g)
{
    return (uint64_t)ADVANCE * g->profile.gossip_ms;
}

/* What users send always goes at once, members' news as long as they are not too far ahead. */
static uint64_t prompt_ms(const struct gossip *g, size_t queue)
{
    bool is_of_members = queue == GOSSIP__QUEUE_CORE || queue == GOSSIP__QUEUE_INTENT;
    uint64_t prompt = gossip__later(g->rumor_last_ms + PROMPT_MS, g->now_ms);
    uint64_t advance = advance_ms(g);

    return is_of_members && g->rumor_even_ms > prompt + advance ? g->rumor_even_ms - advance
                                                                : prompt;
}

/* A tick was made. Nothing is owed beyond the next one, whatever users sent meanwhile. */
static void count_tick(struct gossip *g)
{
    uint64_t even = gossip__later(g->rumor_even_ms, g->now_ms) + g->profile.gossip_ms;
    uint64_t most = g->now_ms + advance_ms(g) + g->profile.gossip_ms;

    g->rumor_last_ms = g->now_ms;
    g->rumor_even_ms = gossip__sooner(even, most);
}

void gossip__rumor_wake(struct gossip *g)
{
    for (size_t i = 0; i < GOSSIP__QUEUES; i++) {
        if (g->queues[i].count > 0) {
            tick_at(g, prompt_ms(g, i));
        }
    }
}

struct gossip__rumor *gossip__rumor_add(struct gossip *g, enum gossip__queue_kind queue,
                                        struct gossip__member *about, struct mu_span part,
                                        const struct gossip__member *from)
{
    uint64_t served = from != NULL && from->is_listed ? gossip__member_mark(from) : 0;
    uint64_t hearers = audience(g, false);

    MU_ASSERT(part.bytes <= gossip__part_room(g) + MU_GOSSIP_PACKET_MAX - g->profile.packet_bytes);
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
    mu_tree_add(&g->queues[queue].rumors, &r->branch);
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
        struct mu_tree *rumors = &g->queues[q].rumors;

        while (rumors->root != NULL) {
            struct gossip__rumor *r = rumor_of(rumors->root);

            mu_tree_remove(rumors, &r->branch);
            mu_free(r);
        }
    }
}

/* -- filling a datagram -------------------------------------------------------------------------
 */

struct gap {
    unsigned sends_count;
    size_t bytes; /* free, in a letter */
};

static bool fits_gap(struct mu_branch *at, const void *data)
{
    const struct gap *gap = data;
    const struct gossip__rumor *r = rumor_of(at);

    return r->sends_count > gap->sends_count || (r->sends_count == gap->sends_count &&
                                                 gossip__packet_part_bytes(r->bytes) <= gap->bytes);
}

static void take(struct gossip *g, enum gossip__queue_kind queue, struct gossip__letter *l,
                 size_t room)
{
    const struct gossip__queue *q = &g->queues[queue];
    uint64_t mark = gossip__member_mark(l->peer);
    size_t stop = l->left > room ? l->left - room : 0; /* what must stay free */
    struct mu_branch *at = mu_tree_first(&q->rumors);

    while (at != NULL && l->left >= stop + gossip__packet_part_bytes(q->shortest)) {
        struct gossip__rumor *r = rumor_of(at);

        if (gossip__packet_part_bytes(r->bytes) > l->left - stop) {
            at =
                mu_tree_find(&q->rumors, fits_gap, &(struct gap){ r->sends_count, l->left - stop });
            continue;
        }
        if (r->until_ms > g->now_ms && (r->served & mark) == 0 &&
            gossip__letter_add(l, mu_span_of(r->data, r->bytes))) {
            r->served |= mark;
            l->taken[l->taken_count++] = r;
        }
        at = mu_tree_next(at);
    }
}

/* News of others, who fill larger datagrams than we: when one's turn has come it travels alone. */
static void take_alone(struct gossip *g, enum gossip__queue_kind queue, struct gossip__letter *l)
{
    uint64_t mark = gossip__member_mark(l->peer);
    struct mu_branch *at = mu_tree_first(&g->queues[queue].rumors);
    struct gossip__rumor *r = NULL;

    for (; at != NULL && r == NULL; at = mu_tree_next(at)) {
        r = rumor_of(at);
        r = r->until_ms > g->now_ms && (r->served & mark) == 0 ? r : NULL;
    }
    if (r != NULL && gossip__packet_part_bytes(r->bytes) > l->left &&
        gossip__letter_add(l, mu_span_of(r->data, r->bytes))) {
        r->served |= mark;
        l->taken[l->taken_count++] = r;
    }
}

/* A busy detector may not starve what users send, nor these each other (7.3). */
void gossip__rumor_fill(struct gossip *g, struct gossip__letter *l)
{
    size_t events = g->queues[GOSSIP__QUEUE_EVENT].count > 0 ? l->left * EVENT_PERCENT / 100 : 0;
    bool is_shared = g->queues[GOSSIP__QUEUE_INTENT].count + g->queues[GOSSIP__QUEUE_QUERY].count +
                         g->queues[GOSSIP__QUEUE_EVENT].count >
                     0;

    for (size_t queue = 0; l->spare > 0 && l->parts_count == 0 && queue < GOSSIP__QUEUES; queue++) {
        take_alone(g, (enum gossip__queue_kind)queue, l);
    }
    take(g, GOSSIP__QUEUE_CORE, l, is_shared ? l->left * CORE_PERCENT / 100 : l->left);
    for (size_t queue = GOSSIP__QUEUE_INTENT; is_shared && queue < GOSSIP__QUEUES; queue++) {
        size_t keep = queue == GOSSIP__QUEUE_EVENT ? 0 : events;

        take(g, (enum gossip__queue_kind)queue, l, l->left > keep ? l->left - keep : 0);
    }
    for (size_t queue = GOSSIP__QUEUE_CORE; is_shared && queue < GOSSIP__QUEUES; queue++) {
        take(g, (enum gossip__queue_kind)queue, l, l->left); /* unused shares flow back */
    }
}

/* A send to a dead peer is free. So is one to a suspect, while others outnumber them: all suspects
 * are called upon near the end of their time, of which there may be more than a rumor has sends. */
static bool is_counted(const struct gossip *g, const struct gossip__member *peer)
{
    return peer->state == GOSSIP__ALIVE ||
           (peer->state == GOSSIP__SUSPECT && g->alive_count <= g->suspect_count + 1);
}

void gossip__rumor_settle(struct gossip *g, struct gossip__letter *l)
{
    if (l->taken_count == 0) {
        return;
    }
    uint64_t live = audience(g, true);
    unsigned core_limit = gossip__rumor_limit(&g->profile, g->list_count);
    unsigned serf_limit = gossip__rumor_limit(&g->profile, g->members.count);

    for (size_t i = 0; i < l->taken_count; i++) {
        struct gossip__rumor *r = l->taken[i];

        if (r->queue != GOSSIP__QUEUE_CORE) {
            mu_sample_add(&g->samples[GOSSIP_SAMPLE_SERF_OUT], (double)r->bytes);
        }
        unsigned sends = r->sends_count + is_counted(g, l->peer);

        if (sends >= (r->queue == GOSSIP__QUEUE_CORE ? core_limit : serf_limit)) {
            rumor_end(g, r);
            continue;
        }
        mu_tree_remove(&g->queues[r->queue].rumors, &r->branch);
        r->sends_count = sends;
        mu_tree_add(&g->queues[r->queue].rumors, &r->branch);
        if (live != 0 && (r->served & live) == live) {
            r->served = 0; /* a second pass: one of them may have missed it */
        }
    }
}

/* -- the tick -----------------------------------------------------------------------------------
 */

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
        struct mu_branch *first = mu_tree_first(&g->queues[i].rumors);

        if (first != NULL) {
            count = gossip__member_pick(g, want, fits_unserved, &rumor_of(first)->served, peers);
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
    struct mu_branch *at = mu_tree_first(&g->queues[GOSSIP__QUEUE_QUERY].rumors);

    while (at != NULL) {
        struct gossip__rumor *r = rumor_of(at);

        at = mu_tree_next(at);
        if (r->until_ms <= g->now_ms) {
            rumor_end(g, r);
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
        struct mu_branch *at = mu_tree_first(&g->queues[i].rumors);

        for (; at != NULL; at = mu_tree_next(at)) {
            if ((rumor_of(at)->served & live) == live) {
                rumor_of(at)->served = 0;
                is_any = true;
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
    count_tick(g);
    g->has_round = sent > 0;
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
