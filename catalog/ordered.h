/* ordered.h - a set of byte strings in order: the link lies inside the element.
 *
 * A treap: a search tree by name that is a heap by a drawn number, so that its depth stays
 * logarithmic whatever strangers put in, and no rotation has to be got right.
 */
#ifndef CATALOG_ORDERED_H
#define CATALOG_ORDERED_H

#include "base/rand.h"
#include "base/span.h"

struct ordered_link {
    struct mu_span name; /* borrowed while it is in the set */
    struct ordered_link *left, *right;
    uint64_t weight;
};

struct ordered {
    struct ordered_link *root;
};

/* `link->name` is set, and not in the set. */
void catalog__ordered_add(struct ordered *o, struct mu_rand *rand, struct ordered_link *link);
void catalog__ordered_remove(struct ordered *o, struct ordered_link *link);

/* The first at or behind `name`, or strictly behind it; NULL at the end. */
struct ordered_link *catalog__ordered_from(const struct ordered *o, struct mu_span name);
struct ordered_link *catalog__ordered_after(const struct ordered *o, struct mu_span name);

#endif
