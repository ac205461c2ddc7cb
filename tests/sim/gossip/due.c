/* due.c - what is to happen, and what comes next: two heaps, by time and then by order of deciding.
 *
 * Every step of a core says anew when it wants to be woken. Were each of these an event of its own,
 * most of the heap would be wakes that no longer count; so a node has one, which moves. What a heap
 * moves is small, and the events lie still elsewhere.
 */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "network.h"

#define WAYS       4 /* children of an entry: half the depth of two, and they lie side by side */
#define LINE_BYTES 64

/* -- one heap -----------------------------------------------------------------------------------
 */

static bool is_before(const struct sim_due *a, const struct sim_due *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void put(struct sim_heap *h, size_t place, struct sim_due d)
{
    h->items[place] = d;
    if (h->places != NULL) {
        h->places[d.at] = (uint32_t)place + 1;
    }
}

static void rise(struct sim_heap *h, size_t place, struct sim_due d)
{
    while (place > 0 && is_before(&d, &h->items[(place - 1) / WAYS])) {
        put(h, place, h->items[(place - 1) / WAYS]);
        place = (place - 1) / WAYS;
    }
    put(h, place, d);
}

static void sink(struct sim_heap *h, size_t place, struct sim_due d)
{
    for (;;) {
        size_t first = WAYS * place + 1;
        size_t least = first;

        for (size_t child = first + 1; child < first + WAYS && child < h->count; child++) {
            least = is_before(&h->items[child], &h->items[least]) ? child : least;
        }
        if (first >= h->count || !is_before(&h->items[least], &d)) {
            break;
        }
        put(h, place, h->items[least]);
        place = least;
    }
    put(h, place, d);
}

static void heap_add(struct sim_heap *h, struct sim_due d)
{
    if (h->count == h->room) {
        h->room = h->room * 2 + 256;
        h->items = mu_grow(h->items, h->room * sizeof *h->items);
    }
    rise(h, h->count++, d);
}

static void heap_remove(struct sim_heap *h, size_t place)
{
    struct sim_due last = h->items[--h->count];

    if (h->places != NULL) {
        h->places[h->items[place].at] = 0;
    }
    if (place == h->count) {
        return;
    }
    if (place > 0 && is_before(&last, &h->items[(place - 1) / WAYS])) {
        rise(h, place, last);
    } else {
        sink(h, place, last);
    }
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

void sim_wake_never(struct world *w, uint32_t node)
{
    if (w->wakes.places[node] != 0) {
        heap_remove(&w->wakes, w->wakes.places[node] - 1);
    }
}

void sim_wake_at(struct world *w, uint32_t node, uint64_t at_us)
{
    struct sim_heap *h = &w->wakes;
    struct sim_due due = { at_us, ++w->order, node };

    if (h->places[node] == 0) {
        heap_add(h, due);
        return;
    }
    size_t place = h->places[node] - 1;

    if (is_before(&due, &h->items[place])) {
        rise(h, place, due);
    } else {
        sink(h, place, due);
    }
}

static bool is_wake_next(const struct world *w)
{
    return w->dues.count == 0 ||
           (w->wakes.count > 0 && is_before(&w->wakes.items[0], &w->dues.items[0]));
}

/* The cores of thousands are in no cache: whose turn is next is fetched while this one works. */
static void fetch_next(const struct world *w)
{
    if (w->dues.count + w->wakes.count == 0) {
        return;
    }
    bool is_wake = is_wake_next(w);
    const struct sim_event *e = is_wake ? NULL : &w->events[w->dues.items[0].at];
    const struct gossip *core = w->nodes[is_wake ? w->wakes.items[0].at : e->node]->core;

    if (core == NULL) {
        return;
    }
    for (size_t at = 0; at < sizeof *core; at += LINE_BYTES) {
        __builtin_prefetch((const char *)core + at);
    }
    if (e != NULL) {
        __builtin_prefetch(e->data);
    }
}

bool sim_pop(struct world *w, uint64_t until_us, struct sim_event *out)
{
    bool is_wake = is_wake_next(w);
    struct sim_heap *from = is_wake ? &w->wakes : &w->dues;

    if (from->count == 0 || from->items[0].at_us > until_us) {
        return false;
    }
    struct sim_due next = from->items[0];

    heap_remove(from, 0);
    if (is_wake) {
        const struct sim_node *n = w->nodes[next.at];

        *out = (struct sim_event){ .at_us = next.at_us,
                                   .kind = SIM_WAKE,
                                   .node = next.at,
                                   .life = n->life,
                                   .mark = n->wake_mark };
    } else {
        *out = w->events[next.at];
        w->events_free[w->events_free_count++] = next.at;
    }
    fetch_next(w);
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
    mu_free(w->wakes.items);
    mu_free(w->wakes.places);
}
