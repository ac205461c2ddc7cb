#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/assert.h"
#include "base/id.h"

static void ids_are_read_and_written(void **state)
{
    static const struct {
        const char *why, *text;
        bool is_id;
    } cases[] = {
        // clang-format off
        { "lower case", "01234567-89ab-cdef-0123-456789abcdef", true },
        { "upper case", "01234567-89AB-CDEF-0123-456789ABCDEF", true },
        { "nothing", "", false },
        { "one short", "01234567-89ab-cdef-0123-456789abcde", false },
        { "one long", "01234567-89ab-cdef-0123-456789abcdef0", false },
        { "no dashes", "0123456789abcdef0123456789abcdef0123", false },
        { "a dash elsewhere", "0123456-789ab-cdef-0123-456789abcdef", false },
        { "no hex", "0123456g-89ab-cdef-0123-456789abcdef", false },
        { "in braces", "{01234567-89ab-cdef-0123-456789abcd}", false },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_id id = MU_ID_NONE;
        char text[MU_ID_TEXT_BYTES + 1];
        bool is_id = mu_id_parse(mu_span_text(cases[i].text), &id);

        mu_id_text(&id, text);
        if (is_id != cases[i].is_id || mu_id_is_none(&id) == is_id ||
            strcmp(text, is_id ? "01234567-89ab-cdef-0123-456789abcdef"
                               : "00000000-0000-0000-0000-000000000000") != 0) {
            fail_msg("%s: %s", cases[i].why, text);
        }
    }
}

static void ids_differ(void **state)
{
    struct mu_rand r;
    struct mu_rand again;
    struct mu_id a = mu_id_random();
    struct mu_id b = mu_id_random();

    (void)state;
    assert_false(mu_id_eq(&a, &b));
    assert_true(mu_id_eq(&a, &a));
    assert_false(mu_id_is_none(&a));
    mu_rand_seed(&r, 5);
    mu_rand_seed(&again, 5);
    a = mu_id_drawn(&r);
    b = mu_id_drawn(&again);
    assert_true(mu_id_eq(&a, &b));
    b = mu_id_drawn(&again);
    assert_false(mu_id_eq(&a, &b));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_read_and_written),
        cmocka_unit_test(ids_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
