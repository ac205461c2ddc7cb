/* tree.h - intrusive ordered set: the branch lives inside the element.
 *
 * A treap (Seidel and Aragon, Randomized Search Trees, 1996): in the owner's order from left to
 * right, and by weights drawn at each addition from top to bottom, so that it is about as deep as
 * twice the logarithm of its size whatever the order of additions. An element is in at most one
 * tree per branch; its place in the order may not change while it is in. No allocation.
 */
#ifndef MU_BASE_TREE_H
#define MU_BASE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mu_branch {
    struct mu_branch *up, *left, *right;
    uint32_t weight; /* not more than that of the one above; 0: in no tree */
};

/* Strictly before; of two different elements one is before the other. */
typedef bool mu_tree_before_fn(struct mu_branch *a, struct mu_branch *b);
typedef bool mu_tree_fits_fn(struct mu_branch *b, const void *data);

struct mu_tree {
    struct mu_branch *root; /* NULL: empty */
    mu_tree_before_fn *before;
    uint32_t drawn; /* weights so far */
};

void mu_tree_init(struct mu_tree *t, mu_tree_before_fn *before);
void mu_tree_add(struct mu_tree *t, struct mu_branch *b);
void mu_tree_remove(struct mu_tree *t, struct mu_branch *b);
struct mu_branch *mu_tree_first(const struct mu_tree *t); /* NULL: empty */
struct mu_branch *mu_tree_last(const struct mu_tree *t);
struct mu_branch *mu_tree_next(struct mu_branch *b); /* NULL: that was the last */
/* The first that fits, or NULL. All behind one that fits must fit too. */
struct mu_branch *mu_tree_find(const struct mu_tree *t, mu_tree_fits_fn *fits, const void *data);

#endif
