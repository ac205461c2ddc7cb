#include "ordered.h"

#include "base/assert.h"

/* Take a tree apart: what is before `name`, and the rest. */
static void split(struct ordered_link *tree, struct mu_span name, struct ordered_link **before,
                  struct ordered_link **rest)
{
    while (tree != NULL) {
        if (mu_span_cmp(tree->name, name) < 0) {
            *before = tree;
            before = &tree->right;
            tree = tree->right;
        } else {
            *rest = tree;
            rest = &tree->left;
            tree = tree->left;
        }
    }
    *before = *rest = NULL;
}

/* Put two trees together, all of `a` before all of `b`. */
static struct ordered_link *merge(struct ordered_link *a, struct ordered_link *b)
{
    struct ordered_link *merged = NULL;
    struct ordered_link **at = &merged;

    while (a != NULL && b != NULL) {
        if (a->weight > b->weight) {
            *at = a;
            at = &a->right;
            a = a->right;
        } else {
            *at = b;
            at = &b->left;
            b = b->left;
        }
    }
    *at = a != NULL ? a : b;
    return merged;
}

void catalog__ordered_add(struct ordered *o, struct mu_rand *rand, struct ordered_link *link)
{
    struct ordered_link **at = &o->root;

    link->weight = mu_rand_u64(rand);
    while (*at != NULL && (*at)->weight >= link->weight) {
        at = mu_span_cmp((*at)->name, link->name) < 0 ? &(*at)->right : &(*at)->left;
    }
    split(*at, link->name, &link->left, &link->right);
    *at = link;
}

void catalog__ordered_remove(struct ordered *o, struct ordered_link *link)
{
    struct ordered_link **at = &o->root;

    while (*at != link) {
        MU_ASSERT(*at != NULL);
        at = mu_span_cmp((*at)->name, link->name) < 0 ? &(*at)->right : &(*at)->left;
    }
    *at = merge(link->left, link->right);
    link->left = link->right = NULL;
}

static struct ordered_link *first(const struct ordered *o, struct mu_span name, int least)
{
    struct ordered_link *found = NULL;

    for (struct ordered_link *at = o->root; at != NULL;) {
        if (mu_span_cmp(at->name, name) >= least) {
            found = at;
            at = at->left;
        } else {
            at = at->right;
        }
    }
    return found;
}

struct ordered_link *catalog__ordered_from(const struct ordered *o, struct mu_span name)
{
    return first(o, name, 0);
}

struct ordered_link *catalog__ordered_after(const struct ordered *o, struct mu_span name)
{
    return first(o, name, 1);
}
