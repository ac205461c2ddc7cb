#include "deadlines.h"

#include "base/assert.h"
#include "base/mem.h"

void deadlines_init(struct deadlines *t)
{
    *t = (struct deadlines){ NULL, 0, 0 };
}

void deadlines_deinit(struct deadlines *t)
{
    MU_ASSERT(t->count == 0);
    mu_free(t->heap);
    deadlines_init(t);
}

static void place(struct deadlines *t, size_t slot, struct deadline *d)
{
    t->heap[slot] = d;
    d->slot = slot + 1;
}

static void rise(struct deadlines *t, size_t slot)
{
    struct deadline *d = t->heap[slot];

    while (slot > 0 && t->heap[(slot - 1) / 2]->at_ms > d->at_ms) {
        place(t, slot, t->heap[(slot - 1) / 2]);
        slot = (slot - 1) / 2;
    }
    place(t, slot, d);
}

static void sink(struct deadlines *t, size_t slot)
{
    struct deadline *d = t->heap[slot];

    for (;;) {
        size_t child = 2 * slot + 1;

        if (child + 1 < t->count && t->heap[child + 1]->at_ms < t->heap[child]->at_ms) {
            child++;
        }
        if (child >= t->count || t->heap[child]->at_ms >= d->at_ms) {
            break;
        }
        place(t, slot, t->heap[child]);
        slot = child;
    }
    place(t, slot, d);
}

void deadline_set(struct deadlines *t, struct deadline *d, uint64_t at_ms, deadline_fn *fire,
                  void *data)
{
    MU_ASSERT(at_ms > 0 && fire != NULL);
    d->fire = fire;
    d->data = data;
    if (d->slot == 0) {
        if (t->count == t->room) {
            t->room = t->room > 0 ? t->room * 2 : 64;
            t->heap = mu_grow(t->heap, t->room * sizeof(struct deadline *));
        }
        d->at_ms = at_ms;
        place(t, t->count++, d);
        rise(t, d->slot - 1);
        return;
    }
    bool is_later = at_ms > d->at_ms;

    d->at_ms = at_ms;
    if (is_later) {
        sink(t, d->slot - 1);
    } else {
        rise(t, d->slot - 1);
    }
}

void deadline_clear(struct deadlines *t, struct deadline *d)
{
    if (d->slot == 0) {
        return;
    }
    size_t slot = d->slot - 1;
    struct deadline *last = t->heap[--t->count];

    MU_ASSERT(t->heap[slot] == d);
    d->slot = 0;
    if (last == d) {
        return;
    }
    place(t, slot, last);
    if (slot > 0 && t->heap[(slot - 1) / 2]->at_ms > last->at_ms) {
        rise(t, slot);
    } else {
        sink(t, slot);
    }
}

bool deadline_is_set(const struct deadline *d)
{
    return d->slot != 0;
}

uint64_t deadlines_next(const struct deadlines *t)
{
    return t->count > 0 ? t->heap[0]->at_ms : 0;
}

void deadlines_run(struct deadlines *t, uint64_t now_ms)
{
    while (t->count > 0 && t->heap[0]->at_ms <= now_ms) {
        struct deadline *d = t->heap[0];

        deadline_clear(t, d);
        d->fire(d->data);
    }
}
