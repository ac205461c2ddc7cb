/* due.c - what is to happen, and what comes next: by time, and then by order of deciding.
 *
 * Every step of a core says anew when it wants to be woken. Were each of these an event of its own,
 * most would be wakes that no longer count; so a node has one, which moves: in a wheel of lists,
 * one for each millisecond, where that is a matter of a few links. Events are a heap of small
 * entries, and lie still elsewhere.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "network.h"

#define WAYS 4 /* children of an entry: half the depth of two, and they lie side by side */

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

void sim_push(struct world *w, struct sim_event e)
{
    uint32_t place = event_place(w);

    w->events[place] = e;
    heap_add(&w->dues, (struct sim_due){ e.at_us, ++w->order, place });
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

/* -- the next -----------------------------------------------------------------------------------
 */

static struct sim_event wake_pop(struct world *w, uint32_t node)
{
    const struct sim_wake wake = w->wakes.of[node];
    const struct sim_node *n = w->nodes[node - 1];

    sim_wake_never(w, node - 1);
    return (struct sim_event){ .at_us = wake.at_us,
                               .order = wake.order,
                               .kind = SIM_WAKE,
                               .node = node - 1,
                               .life = n->life,
                               .mark = n->wake_mark };
}

static struct sim_event event_pop(struct world *w)
{
    struct sim_due due = heap_pop(&w->dues);

    w->events_free[w->events_free_count++] = due.at;
    w->events[due.at].order = due.order;
    return w->events[due.at];
}

bool sim_pop(struct world *w, uint64_t until_us, struct sim_event *out)
{
    uint32_t wake = wake_first(w);
    const struct sim_due *event = w->dues.count > 0 ? &w->dues.items[0] : NULL;
    struct sim_due due = { .at_us = UINT64_MAX };

    if (wake != 0) {
        due = (struct sim_due){ w->wakes.of[wake].at_us, w->wakes.of[wake].order, 0 };
    }
    bool is_wake = event == NULL || is_before(&due, event);

    if ((is_wake && wake == 0) || (is_wake ? due.at_us : event->at_us) > until_us) {
        return false;
    }
    *out = is_wake ? wake_pop(w, wake) : event_pop(w);
    return true;
}

void sim_events_free(struct world *w)
{
    for (size_t i = 0; i < w->dues.count; i++) {
        mu_free(w->events[w->dues.items[i].at].data);
    }
    mu_free(w->events);
    mu_free(w->events_free);
    mu_free(w->dues.items);
    mu_free(w->wakes.of);
}
