/* heap.h - what is due first: an intrusive binary heap on a 64-bit key.
 *
 * The node lies inside the element, which may be moved or taken out at any time in O(log n).
 * Equal keys come out in the order they were put in: deterministic.
 *
 * Memory:  the heap owns only an array of pointers; mu_heap_deinit() leaves the elements alone.
 */
#ifndef MU_BASE_HEAP_H
#define MU_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mu_heap_node {
    uint64_t key;
    uint64_t order; /* private */
    size_t place;   /* private: index + 1; 0: in no heap */
};

struct mu_heap {
    struct mu_heap_node **nodes;
    size_t count, room;
    uint64_t order;
};

#define MU_HEAP_NONE ((struct mu_heap){ NULL, 0, 0, 0 })

void mu_heap_deinit(struct mu_heap *h);

/* Put in, or move when it is in already. A zeroed node is in none. */
void mu_heap_put(struct mu_heap *h, struct mu_heap_node *node, uint64_t key);
void mu_heap_remove(struct mu_heap *h, struct mu_heap_node *node); /* in none: nothing happens */
bool mu_heap_has(const struct mu_heap_node *node);
struct mu_heap_node *mu_heap_first(const struct mu_heap *h); /* NULL: empty */

#endif
