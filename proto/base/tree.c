#include "base/tree.h"

#include "base/assert.h"

/* Well mixed and never 0: the same additions give the same tree. */
static uint32_t weigh(struct mu_tree *t)
{
    uint32_t h = ++t->drawn * 0x9e3779b9U;

    h = (h ^ h >> 16) * 0x85ebca6bU;
    h = (h ^ h >> 13) * 0xc2b2ae35U;
    return (h ^ h >> 16) | 1;
}

/* `b` stands where `old` stood, below `up`. */
static void hang(struct mu_tree *t, struct mu_branch *up, const struct mu_branch *old,
                 struct mu_branch *b)
{
    if (up == NULL) {
        t->root = b;
    } else if (up->left == old) {
        up->left = b;
    } else {
        up->right = b;
    }
    if (b != NULL) {
        b->up = up;
    }
}

/* `b` and the one above it change places; the order stays. */
static void rise(struct mu_tree *t, struct mu_branch *b)
{
    struct mu_branch *up = b->up;
    struct mu_branch *between;

    hang(t, up->up, up, b);
    if (up->left == b) {
        between = b->right;
        up->left = between;
        b->right = up;
    } else {
        between = b->left;
        up->right = between;
        b->left = up;
    }
    up->up = b;
    if (between != NULL) {
        between->up = up;
    }
}

void mu_tree_init(struct mu_tree *t, mu_tree_before_fn *before)
{
    *t = (struct mu_tree){ .root = NULL, .before = before };
}

void mu_tree_add(struct mu_tree *t, struct mu_branch *b)
{
    struct mu_branch *up = NULL;
    struct mu_branch **at = &t->root;

    MU_ASSERT(b->weight == 0);
    while (*at != NULL) {
        up = *at;
        at = t->before(b, up) ? &up->left : &up->right;
    }
    *b = (struct mu_branch){ .up = up, .weight = weigh(t) };
    *at = b;
    while (b->up != NULL && b->up->weight < b->weight) {
        rise(t, b);
    }
}

static struct mu_branch *heavier(struct mu_branch *a, struct mu_branch *b)
{
    return a == NULL || (b != NULL && b->weight > a->weight) ? b : a;
}

void mu_tree_remove(struct mu_tree *t, struct mu_branch *b)
{
    struct mu_branch *below;

    MU_ASSERT(b->weight != 0);
    while ((below = heavier(b->left, b->right)) != NULL) {
        rise(t, below);
    }
    hang(t, b->up, b, NULL);
    *b = (struct mu_branch){ .weight = 0 };
}

struct mu_branch *mu_tree_first(const struct mu_tree *t)
{
    struct mu_branch *b = t->root;

    while (b != NULL && b->left != NULL) {
        b = b->left;
    }
    return b;
}

struct mu_branch *mu_tree_last(const struct mu_tree *t)
{
    struct mu_branch *b = t->root;

    while (b != NULL && b->right != NULL) {
        b = b->right;
    }
    return b;
}

struct mu_branch *mu_tree_next(struct mu_branch *b)
{
    struct mu_branch *next = b->right;

    if (next == NULL) {
        while (b->up != NULL && b->up->right == b) {
            b = b->up;
        }
        return b->up;
    }
    while (next->left != NULL) {
        next = next->left;
    }
    return next;
}

struct mu_branch *mu_tree_find(const struct mu_tree *t, mu_tree_fits_fn *fits, const void *data)
{
    struct mu_branch *b = t->root;
    struct mu_branch *found = NULL;

    while (b != NULL) {
        if (fits(b, data)) {
            found = b;
            b = b->left;
        } else {
            b = b->right;
        }
    }
    return found;
}
