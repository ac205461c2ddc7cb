#include "deadlines.h"

#include "base/assert.h"

void deadlines_init(struct deadlines *all)
{
    all->heap = MU_HEAP_NONE;
}

void deadlines_deinit(struct deadlines *all)
{
    MU_ASSERT(all->heap.count == 0);
    mu_heap_deinit(&all->heap);
}

void deadline_set(struct deadlines *all, struct deadline *d, uint64_t at_ms, deadline_fn *fire,
                  void *data)
{
    MU_ASSERT(at_ms > 0 && fire != NULL);
    d->fire = fire;
    d->data = data;
    mu_heap_put(&all->heap, &d->node, at_ms);
}

void deadline_clear(struct deadlines *all, struct deadline *d)
{
    mu_heap_remove(&all->heap, &d->node);
}

bool deadline_is_set(const struct deadline *d)
{
    return mu_heap_has(&d->node);
}

uint64_t deadline_at(const struct deadline *d)
{
    return d->node.key;
}

uint64_t deadlines_next(const struct deadlines *all)
{
    const struct mu_heap_node *first = mu_heap_first(&all->heap);

    return first != NULL ? first->key : 0;
}

void deadlines_run(struct deadlines *all, uint64_t now_ms)
{
    struct mu_heap_node *first;

    while ((first = mu_heap_first(&all->heap)) != NULL && first->key <= now_ms) {
        struct deadline *d = MU_CONTAINER(first, struct deadline, node);

        mu_heap_remove(&all->heap, first);
        d->fire(d->data);
    }
}
