/* due.c - what is to happen, and what comes next: by time, and then by order of deciding.
 *
 * Every step of a core says anew when it wants to be woken. Were each of these an event of its own,
 * most would be wakes that no longer count; so a node has one, which moves: in a wheel of lists,
 * one for each millisecond, where that is a matter of a few links. Events are a heap of small
 * entries, and lie still elsewhere; but the next few are out of the heap, in their order.
 *
 * For the cores of thousands are in no cache, and with what they look at first they are some dozens
 * of lines each. So what comes soon is fetched while others work, stage by stage, as one line tells
 * where the next is. That changes nothing but the time it takes.
 */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "network.h"

#define WAYS        4 /* children of an entry: half the depth of two, and they lie side by side */
#define LINE_BYTES  64
#define ARENA_LINES 4 /* what one packet or step mostly takes of an arena */
#define DATA_LINES  3
#define CARD_LINES  3

/* -- the heap -----------------------------------------------------------------------------------
 */

static bool is_before(const struct sim_due *a, const struct sim_due *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void heap_add(struct sim_heap *h, struct sim_due d)
{
    if (h->count == h->room) {
        h->room = h->room * 2 + 256;
        h->items = mu_grow(h->items, h->room * sizeof *h->items);
    }
    size_t place = h->count++;

    while (place > 0 && is_before(&d, &h->items[(place - 1) / WAYS])) {
        h->items[place] = h->items[(place - 1) / WAYS];
        place = (place - 1) / WAYS;
    }
    h->items[place] = d;
}

static struct sim_due heap_pop(struct sim_heap *h)
{
    struct sim_due first = h->items[0];
    struct sim_due last = h->items[--h->count];
    size_t place = 0;

    for (size_t child = 1; child < h->count; child = WAYS * place + 1) {
        size_t least = child;

        for (size_t other = child + 1; other < child + WAYS && other < h->count; other++) {
            least = is_before(&h->items[other], &h->items[least]) ? other : least;
        }
        if (!is_before(&h->items[least], &last)) {
            break;
        }
        h->items[place] = h->items[least];
        place = least;
    }
    h->items[place] = last;
    return first;
}

/* -- events -------------------------------------------------------------------------------------
 */

static uint32_t event_place(struct world *w)
{
    if (w->events_free_count == 0) {
        size_t room = w->events_room * 2 + 256;

        MU_ASSERT(room <= UINT32_MAX);
        w->events = mu_grow(w->events, room * sizeof *w->events);
        w->events_free = mu_grow(w->events_free, room * sizeof *w->events_free);
        for (size_t i = room; i-- > w->events_room;) {
            w->events_free[w->events_free_count++] = (uint32_t)i;
        }
        w->events_room = room;
    }
    return w->events_free[--w->events_free_count];
}

static struct sim_due *soon_at(struct sim_soon *s, size_t i)
{
    return &s->items[(s->first + i) % SIM_SOON];
}

/* All in `soon` come before all in the heap. */
static void due_add(struct world *w, struct sim_due d)
{
    struct sim_soon *s = &w->soon;
    size_t at = s->count;

    if (s->count == 0 || !is_before(&d, soon_at(s, s->count - 1))) {
        heap_add(&w->dues, d);
        return;
    }
    if (s->count == SIM_SOON) {
        heap_add(&w->dues, *soon_at(s, --at));
    } else {
        s->count++;
    }
    for (; at > 0 && is_before(&d, soon_at(s, at - 1)); at--) {
        *soon_at(s, at) = *soon_at(s, at - 1);
    }
    *soon_at(s, at) = d;
}

static void soon_fill(struct world *w)
{
    while (w->soon.count < SIM_SOON && w->dues.count > 0) {
        *soon_at(&w->soon, w->soon.count++) = heap_pop(&w->dues);
    }
}

void sim_push(struct world *w, struct sim_event e)
{
    uint32_t place = event_place(w);

    w->events[place] = e;
    due_add(w, (struct sim_due){ e.at_us, ++w->order, place });
}

/* -- wakes --------------------------------------------------------------------------------------
 */

static size_t slot_of(uint64_t at_us)
{
    return at_us / 1000 % SIM_WHEEL;
}

void sim_wake_room(struct world *w, size_t node)
{
    w->wakes.of = mu_grow(w->wakes.of, (node + 2) * sizeof *w->wakes.of);
    w->wakes.of[node + 1] = (struct sim_wake){ .is_set = false };
}

void sim_wake_never(struct world *w, uint32_t node)
{
    struct sim_wheel *h = &w->wakes;
    struct sim_wake *at = &h->of[node + 1];
    size_t slot = slot_of(at->at_us);

    if (!at->is_set) {
        return;
    }
    *(at->prev != 0 ? &h->of[at->prev].next : &h->first[slot]) = at->next;
    *(at->next != 0 ? &h->of[at->next].prev : &h->last[slot]) = at->prev;
    if (h->first[slot] == 0) {
        h->taken[slot / 64] &= ~(1ULL << slot % 64);
    }
    at->is_set = false;
    h->count--;
}

/* Behind all that are not later: who decides now decides last. */
void sim_wake_at(struct world *w, uint32_t node, uint64_t at_us)
{
    struct sim_wheel *h = &w->wakes;
    size_t slot = slot_of(at_us);

    sim_wake_never(w, node);
    uint32_t prev = h->last[slot];

    while (prev != 0 && h->of[prev].at_us > at_us) {
        prev = h->of[prev].prev;
    }
    uint32_t next = prev != 0 ? h->of[prev].next : h->first[slot];

    h->of[node + 1] = (struct sim_wake){ at_us, ++w->order, prev, next, true };
    *(prev != 0 ? &h->of[prev].next : &h->first[slot]) = node + 1;
    *(next != 0 ? &h->of[next].prev : &h->last[slot]) = node + 1;
    h->taken[slot / 64] |= 1ULL << slot % 64;
    h->count++;
}

/* The first slot that is taken from this one on, less than SIM_WHEEL further; else SIM_WHEEL. */
static size_t taken_after(const struct sim_wheel *h, size_t from, size_t away)
{
    while (away < SIM_WHEEL) {
        size_t slot = (from + away) % SIM_WHEEL;
        uint64_t bits = h->taken[slot / 64] >> slot % 64;

        if (bits != 0) {
            return away + (size_t)__builtin_ctzll(bits);
        }
        away += 64 - slot % 64;
    }
    return SIM_WHEEL;
}

/* Whose is the next wake, plus one; 0: nobody's. What is more than a turn of the wheel away is in
 * the way of others, and counts only when there are none. */
static uint32_t wake_first(const struct world *w)
{
    const struct sim_wheel *h = &w->wakes;
    uint64_t now_ms = w->now_us / 1000;
    size_t from = slot_of(w->now_us);
    uint32_t far = 0;

    for (size_t away = taken_after(h, from, 0); h->count > 0 && away < SIM_WHEEL;
         away = taken_after(h, from, away + 1)) {
        uint32_t first = h->first[(from + away) % SIM_WHEEL];

        if (h->of[first].at_us / 1000 == now_ms + away) {
            return first;
        }
        far = far == 0 || h->of[first].at_us < h->of[far].at_us ? first : far;
    }
    return far;
}

/* -- what comes soon, into the cache ------------------------------------------------------------
 */

static void fetch(const void *from, size_t lines)
{
    for (size_t i = 0; i < lines; i++) {
        __builtin_prefetch((const char *)from + i * LINE_BYTES);
    }
}

/* Of a datagram: the event, and where the receiver will look for who sent it. Of a wake: nothing.
 */
struct coming {
    const struct sim_event *event; /* NULL: it is a wake */
    uint32_t name_hash;            /* of the sender; 0: it is no datagram, or nobody's */
};

typedef void stage_fn(const struct sim_node *n, const struct coming *what);

static void fetch_node(const struct sim_node *n, const struct coming *what)
{
    (void)what;
    fetch(n, 2);
}

static void fetch_core(const struct sim_node *n, const struct coming *what)
{
    (void)what;
    if (n->core != NULL) {
        fetch(n->core, GOSSIP__HOT_BYTES / LINE_BYTES + 1);
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

/* Where it works, and where it will look. */
static void fetch_places(const struct sim_node *n, const struct coming *what)
{
    const struct gossip *g = n->core;

    if (g == NULL) {
        return;
    }
    fetch(g->sends, 1);
    fetch(g->step.newest, ARENA_LINES);
    if (what->event == NULL) {
        each_peer(g, fetch_peer_place);
    } else if (what->name_hash != 0) {
        fetch(what->event->data, DATA_LINES);
        fetch(g->in.newest, ARENA_LINES);
        fetch(gossip__members_place(&g->members, what->name_hash), 1);
    }
}

static void fetch_member(const struct sim_node *n, const struct coming *what)
{
    const struct gossip *g = n->core;

    if (g != NULL && what->event == NULL) {
        each_peer(g, fetch_peer);
    } else if (g != NULL && what->name_hash != 0) {
        fetch(gossip__members_at(gossip__members_place(&g->members, what->name_hash)), 1);
    }
}

static void fetch_card(const struct sim_node *n, const struct coming *what)
{
    const struct gossip *g = n->core;

    if (g != NULL && what->event == NULL) {
        each_peer(g, fetch_peer_card);
    } else if (g != NULL && what->name_hash != 0) {
        const struct gossip__member *m =
            gossip__members_at(gossip__members_place(&g->members, what->name_hash));

        if (m != NULL) {
            fetch(m->card, CARD_LINES);
        }
    }
}

/* How far ahead: far enough for what a stage reads to have come by the one before. */
static const struct stage {
    size_t of_events, of_wakes;
    stage_fn *fetch;
} stages[] = {
    // clang-format off
    { SIM_SOON - 1, 10, fetch_node },
    { 10,            7, fetch_core },
    { 6,             5, fetch_places },
    { 3,             3, fetch_member },
    { 1,             1, fetch_card },
}; // clang-format on

static struct coming coming_event(const struct world *w, const struct sim_event *e)
{
    uint32_t from = e->kind == SIM_PACKET ? sim_at_host(w, &e->addr) : UINT32_MAX;

    return (struct coming){ e, from != UINT32_MAX ? w->name_hashes[from] : 0 };
}

static void fetch_events(struct world *w)
{
    for (size_t i = 0; i < MU_LEN(stages); i++) {
        if (stages[i].of_events < w->soon.count) {
            const struct sim_event *e = &w->events[soon_at(&w->soon, stages[i].of_events)->at];
            struct coming what = coming_event(w, e);

            stages[i].fetch(w->nodes[e->node], &what);
        }
    }
}

static void fetch_wakes(struct world *w, uint32_t node)
{
    const struct coming what = { .event = NULL };
    size_t stage = MU_LEN(stages);

    for (size_t ahead = 1; node != 0 && stage > 0; ahead++, node = w->wakes.of[node].next) {
        if (ahead == stages[stage - 1].of_wakes) {
            stages[--stage].fetch(w->nodes[node - 1], &what);
        }
    }
}

/* The first of those that are woken together are not announced by others. */
static void fetch_first_wakes(struct world *w, uint32_t node)
{
    w->announced = node;
    for (size_t i = 0; i < stages[1].of_wakes && node != 0; i++) {
        fetch_core(w->nodes[node - 1], NULL);
        node = w->wakes.of[node].next;
    }
}

/* -- the next -----------------------------------------------------------------------------------
 */

static struct sim_event wake_pop(struct world *w, uint32_t node)
{
    const struct sim_wake wake = w->wakes.of[node];
    const struct sim_node *n = w->nodes[node - 1];

    sim_wake_never(w, node - 1);
    fetch_wakes(w, wake.next);
    return (struct sim_event){ .at_us = wake.at_us,
                               .kind = SIM_WAKE,
                               .node = node - 1,
                               .life = n->life,
                               .mark = n->wake_mark };
}

static struct sim_event event_pop(struct world *w, uint32_t wake)
{
    uint32_t place = soon_at(&w->soon, 0)->at;

    w->soon.first++;
    w->soon.count--;
    soon_fill(w);
    fetch_events(w);
    if (wake != w->announced) {
        fetch_first_wakes(w, wake);
    }
    w->events_free[w->events_free_count++] = place;
    return w->events[place];
}

bool sim_pop(struct world *w, uint64_t until_us, struct sim_event *out)
{
    uint32_t wake = wake_first(w);

    soon_fill(w);
    const struct sim_due *event = w->soon.count > 0 ? soon_at(&w->soon, 0) : NULL;
    struct sim_due due = { .at_us = UINT64_MAX };

    if (wake != 0) {
        due = (struct sim_due){ w->wakes.of[wake].at_us, w->wakes.of[wake].order, 0 };
    }
    bool is_wake = event == NULL || is_before(&due, event);

    if ((is_wake && wake == 0) || (is_wake ? due.at_us : event->at_us) > until_us) {
        return false;
    }
    *out = is_wake ? wake_pop(w, wake) : event_pop(w, wake);
    return true;
}

void sim_events_free(struct world *w)
{
    for (size_t i = 0; i < w->dues.count; i++) {
        mu_free(w->events[w->dues.items[i].at].data);
    }
    for (size_t i = 0; i < w->soon.count; i++) {
        mu_free(w->events[soon_at(&w->soon, i)->at].data);
    }
    mu_free(w->events);
    mu_free(w->events_free);
    mu_free(w->dues.items);
    mu_free(w->wakes.of);
}
