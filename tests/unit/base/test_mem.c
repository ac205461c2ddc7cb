#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "abort.h"
#include "base/mem.h"

static void bytes_are_zero(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes < 300; bytes += 13) {
        uint8_t *p = mu_new(bytes);

        for (size_t i = 0; i < bytes; i++) {
            assert_int_equal(p[i], 0);
        }
        memset(p, 0xff, bytes);
        mu_free(p);
    }
    uint64_t *many = mu_new_array(10, sizeof *many);

    assert_int_equal(many[9], 0);
    mu_free(many);
    mu_free(NULL);
}

static void growing_keeps_what_is_there(void **state)
{
    (void)state;
    char *p = mu_grow(NULL, 4);

    memcpy(p, "abc", 4);
    p = mu_grow(p, 4000);
    assert_string_equal(p, "abc");
    p = mu_grow(p, 0);
    assert_non_null(p);
    mu_free(p);
}

static void texts_are_copied(void **state)
{
    (void)state;
    char *whole = mu_strdup("text");
    char *part = mu_strndup("te\0xt", 5);
    char *none = mu_strndup("x", 0);

    assert_string_equal(whole, "text");
    assert_memory_equal(part, "te\0xt", 6);
    assert_string_equal(none, "");
    mu_free(whole);
    mu_free(part);
    mu_free(none);
}

static void ask_for_too_many(void *data)
{
    (void)data;
    mu_free(mu_new_array(SIZE_MAX / 2, 3));
}

static void a_product_that_wraps_aborts(void **state)
{
    (void)state;
    assert_true(aborts(ask_for_too_many, NULL));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_zero),
        cmocka_unit_test(growing_keeps_what_is_there),
        cmocka_unit_test(texts_are_copied),
        cmocka_unit_test(a_product_that_wraps_aborts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
