#include "base/heap.h"

#include "base/assert.h"
#include "base/mem.h"

#define FIRST_ROOM 16

void mu_heap_deinit(struct mu_heap *h)
{
    for (size_t i = 0; i < h->count; i++) {
        h->nodes[i]->place = 0;
    }
    mu_free(h->nodes);
    *h = MU_HEAP_NONE;
}

static bool is_before(const struct mu_heap_node *a, const struct mu_heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->order < b->order;
}

static void set(struct mu_heap *h, size_t at, struct mu_heap_node *node)
{
    h->nodes[at] = node;
    node->place = at + 1;
}

static void rise(struct mu_heap *h, struct mu_heap_node *node)
{
    size_t at = node->place - 1;

    while (at > 0 && is_before(node, h->nodes[(at - 1) / 2])) {
        set(h, at, h->nodes[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    set(h, at, node);
}

static void sink(struct mu_heap *h, struct mu_heap_node *node)
{
    size_t at = node->place - 1;

    for (;;) {
        size_t child = 2 * at + 1;

        if (child + 1 < h->count && is_before(h->nodes[child + 1], h->nodes[child])) {
            child++;
        }
        if (child >= h->count || is_before(node, h->nodes[child])) {
            break;
        }
        set(h, at, h->nodes[child]);
        at = child;
    }
    set(h, at, node);
}

void mu_heap_put(struct mu_heap *h, struct mu_heap_node *node, uint64_t key)
{
    if (node->place == 0) {
        if (h->count == h->room) {
            h->room = h->room > 0 ? h->room * 2 : FIRST_ROOM;
            h->nodes = mu_grow(h->nodes, h->room * sizeof *h->nodes);
        }
        set(h, h->count++, node);
    }
    MU_ASSERT(h->nodes[node->place - 1] == node);
    node->key = key;
    node->order = h->order++;
    rise(h, node);
    sink(h, node);
}

void mu_heap_remove(struct mu_heap *h, struct mu_heap_node *node)
{
    if (node->place == 0) {
        return;
    }
    MU_ASSERT(h->nodes[node->place - 1] == node);
    struct mu_heap_node *last = h->nodes[--h->count];
    size_t at = node->place - 1;

    node->place = 0;
    if (last != node) { /* it takes the place, and finds its own from there */
        set(h, at, last);
        rise(h, last);
        sink(h, last);
    }
}

bool mu_heap_has(const struct mu_heap_node *node)
{
    return node->place != 0;
}

struct mu_heap_node *mu_heap_first(const struct mu_heap *h)
{
    return h->count > 0 ? h->nodes[0] : NULL;
}
