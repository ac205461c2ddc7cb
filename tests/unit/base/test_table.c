#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/rand.h"
#include "base/table.h"

static void values_are_found_by_their_bytes(void **state)
{
    struct mu_table *t = mu_table_new();
    char key[] = "key";
    int a = 0, b = 0, c = 0;

    (void)state;
    assert_null(mu_table_find(t, MU_SPAN_LIT("key")));
    assert_null(mu_table_put(t, mu_span_text(key), &a));
    key[0] = 'X'; /* the key was copied */
    assert_ptr_equal(mu_table_find(t, MU_SPAN_LIT("key")), &a);
    assert_null(mu_table_find(t, MU_SPAN_LIT("Key")));
    assert_null(mu_table_find(t, MU_SPAN_LIT("ke")));
    assert_ptr_equal(mu_table_put(t, MU_SPAN_LIT("key"), &b), &a);
    assert_int_equal(mu_table_count(t), 1);
    assert_null(mu_table_put(t, MU_SPAN_LIT("k\0y"), &c));
    assert_null(mu_table_find(t, MU_SPAN_LIT("k\0z")));
    assert_ptr_equal(mu_table_remove(t, MU_SPAN_LIT("key")), &b);
    assert_null(mu_table_remove(t, MU_SPAN_LIT("key")));
    assert_int_equal(mu_table_count(t), 1);
    mu_table_free(t);
    mu_table_free(NULL);
}

static void the_empty_key_is_a_key(void **state)
{
    struct mu_table *t = mu_table_new();
    int a = 0, b = 0;

    (void)state;
    assert_null(mu_table_put(t, MU_SPAN_NONE, &a));
    assert_ptr_equal(mu_table_find(t, MU_SPAN_LIT("")), &a);
    assert_ptr_equal(mu_table_put(t, MU_SPAN_NONE, &b), &a);
    assert_ptr_equal(mu_table_remove(t, MU_SPAN_NONE), &b);
    assert_int_equal(mu_table_count(t), 0);
    mu_table_free(t);
}

static const char *order(const struct mu_table *t, struct mu_buf *b)
{
    struct mu_table_at at = { 0 };

    mu_buf_clear(b);
    while (mu_table_next(t, &at)) {
        mu_buf_add_span(b, at.key);
    }
    return mu_buf_text(b);
}

static void the_walk_is_in_the_order_of_insertion(void **state)
{
    static const char *const keys[] = { "d", "a", "c", "b", "e" };
    struct mu_table *t = mu_table_new();
    struct mu_buf text = MU_BUF_NONE;
    struct mu_table_at at = { 0 };
    int value = 0;

    (void)state;
    assert_string_equal(order(t, &text), "");
    for (size_t i = 0; i < MU_LEN(keys); i++) {
        (void)mu_table_put(t, mu_span_text(keys[i]), &value);
    }
    assert_string_equal(order(t, &text), "dacbe");
    (void)mu_table_put(t, MU_SPAN_LIT("a"), &text); /* replaced: its place stays */
    assert_string_equal(order(t, &text), "dacbe");
    (void)mu_table_remove(t, MU_SPAN_LIT("d"));
    (void)mu_table_put(t, MU_SPAN_LIT("d"), &value);
    assert_string_equal(order(t, &text), "acbed");
    while (mu_table_next(t, &at)) { /* the current one may be removed */
        if (at.key.data[0] != 'b') {
            assert_non_null(mu_table_remove(t, at.key));
        }
    }
    assert_string_equal(order(t, &text), "b");
    mu_buf_deinit(&text);
    mu_table_free(t);
}

/* Beside a plain array. */
static void many_keys(void **state)
{
    static int values[500];
    static bool is_in[500];
    struct mu_table *t = mu_table_new();
    size_t count = 0;
    struct mu_rand r;

    (void)state;
    mu_rand_seed(&r, 2);
    for (unsigned round = 0; round < 20000; round++) {
        size_t n = mu_rand_below(&r, MU_LEN(values));
        struct mu_span key = mu_span_of(&n, sizeof n);

        assert_ptr_equal(mu_table_find(t, key), is_in[n] ? &values[n] : NULL);
        if (mu_rand_below(&r, 2) == 0) {
            assert_ptr_equal(mu_table_put(t, key, &values[n]), is_in[n] ? &values[n] : NULL);
            count += !is_in[n];
            is_in[n] = true;
        } else {
            assert_ptr_equal(mu_table_remove(t, key), is_in[n] ? &values[n] : NULL);
            count -= is_in[n];
            is_in[n] = false;
        }
        assert_int_equal(mu_table_count(t), count);
    }
    mu_table_free(t);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_found_by_their_bytes),
        cmocka_unit_test(the_empty_key_is_a_key),
        cmocka_unit_test(the_walk_is_in_the_order_of_insertion),
        cmocka_unit_test(many_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
