#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/tree.h"

#define ELEMENTS 400
#define STEPS    20000

struct element {
    struct mu_branch branch;
    size_t number;
    bool is_in;
};

static struct element *element_of(struct mu_branch *b)
{
    return MU_CONTAINER(b, struct element, branch);
}

static bool is_before(struct mu_branch *a, struct mu_branch *b)
{
    return element_of(a)->number < element_of(b)->number;
}

static bool reaches(struct mu_branch *b, const void *data)
{
    return element_of(b)->number >= *(const size_t *)data;
}

static size_t depth_of(const struct mu_branch *b)
{
    if (b == NULL) {
        return 0;
    }
    size_t left = depth_of(b->left);
    size_t right = depth_of(b->right);

    assert_true(b->left == NULL || (b->left->up == b && b->left->weight <= b->weight));
    assert_true(b->right == NULL || (b->right->up == b && b->right->weight <= b->weight));
    return 1 + (left > right ? left : right);
}

/* The same elements in the same order, and the first from each number on. */
static void agree(const struct mu_tree *t, const struct element *all)
{
    struct mu_branch *at = mu_tree_first(t);
    struct mu_branch *last = NULL;

    for (size_t i = 0; i < ELEMENTS; i++) {
        assert_ptr_equal(mu_tree_find(t, reaches, &i), at);
        if (all[i].is_in) {
            assert_ptr_equal(at, &all[i].branch);
            last = at;
            at = mu_tree_next(at);
        }
    }
    assert_null(at);
    assert_ptr_equal(mu_tree_last(t), last);
    (void)depth_of(t->root);
}

static void keeps_the_order_whatever_comes_and_goes(void **state)
{
    static struct element all[ELEMENTS];
    struct mu_tree t;
    struct mu_rand rand;

    (void)state;
    mu_rand_seed(&rand, 3);
    mu_tree_init(&t, is_before);
    agree(&t, all);
    for (size_t step = 0; step < STEPS; step++) {
        struct element *e = &all[mu_rand_below(&rand, ELEMENTS)];

        e->number = (size_t)(e - all);
        if (e->is_in) {
            mu_tree_remove(&t, &e->branch);
        } else {
            mu_tree_add(&t, &e->branch);
        }
        e->is_in = !e->is_in;
        if (step % 50 == 0) {
            agree(&t, all);
        }
    }
}

static void stays_flat_when_all_come_in_order(void **state)
{
    enum {
        MANY = 100000,
        DEEP = 60
    }; /* 17 levels would hold them; a list has as many as they are */
    struct element *all = mu_new_array(MANY, sizeof *all);
    struct mu_tree t;

    (void)state;
    mu_tree_init(&t, is_before);
    for (size_t i = 0; i < MANY; i++) {
        all[i].number = i;
        mu_tree_add(&t, &all[i].branch);
    }
    assert_true(depth_of(t.root) < DEEP);
    for (size_t i = 0; i < MANY; i++) {
        mu_tree_remove(&t, &all[i].branch);
    }
    assert_null(t.root);
    mu_free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_order_whatever_comes_and_goes),
        cmocka_unit_test(stays_flat_when_all_come_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
