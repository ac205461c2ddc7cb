#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/heap.h"
#include "base/rand.h"

struct item {
    struct mu_heap_node node;
    unsigned number;
};

static struct item *first(const struct mu_heap *h)
{
    return MU_CONTAINER(mu_heap_first(h), struct item, node);
}

static void equal_keys_come_out_in_order(void **state)
{
    struct mu_heap h = MU_HEAP_NONE;
    struct item items[9] = { 0 };

    (void)state;
    assert_null(mu_heap_first(&h));
    for (unsigned i = 0; i < MU_LEN(items); i++) {
        items[i].number = i;
        mu_heap_put(&h, &items[i].node, 7);
    }
    for (unsigned i = 0; i < MU_LEN(items); i++) {
        assert_int_equal(first(&h)->number, i);
        mu_heap_remove(&h, &items[i].node);
        assert_false(mu_heap_has(&items[i].node));
        mu_heap_remove(&h, &items[i].node);
    }
    assert_null(mu_heap_first(&h));
    mu_heap_deinit(&h);
}

/* Put, move and take out at random, beside a plain search. */
static void the_first_is_always_the_smallest(void **state)
{
    struct mu_heap h = MU_HEAP_NONE;
    static struct item items[100];
    struct mu_rand r;

    (void)state;
    mu_rand_seed(&r, 3);
    for (unsigned round = 0; round < 20000; round++) {
        struct item *any = &items[mu_rand_below(&r, MU_LEN(items))];
        const struct item *smallest = NULL;
        size_t count = 0;

        if (mu_rand_below(&r, 3) == 0) {
            mu_heap_remove(&h, &any->node);
        } else {
            mu_heap_put(&h, &any->node, mu_rand_below(&r, 50));
        }
        for (size_t i = 0; i < MU_LEN(items); i++) {
            if (mu_heap_has(&items[i].node)) {
                count++;
                if (smallest == NULL || items[i].node.key < smallest->node.key) {
                    smallest = &items[i];
                }
            }
        }
        assert_int_equal(h.count, count);
        if (smallest == NULL) {
            assert_null(mu_heap_first(&h));
        } else {
            assert_int_equal(mu_heap_first(&h)->key, smallest->node.key);
        }
    }
    mu_heap_deinit(&h);
    for (size_t i = 0; i < MU_LEN(items); i++) {
        assert_false(mu_heap_has(&items[i].node));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_keys_come_out_in_order),
        cmocka_unit_test(the_first_is_always_the_smallest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
