#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "abort.h"
#include "base/arena.h"
#include "base/assert.h"

static void what_it_gives_is_zero_aligned_and_apart(void **state)
{
    struct mu_arena a;
    uint8_t *seen[300];

    (void)state;
    mu_arena_init(&a, 0);
    for (size_t round = 0; round < 3; round++) {
        size_t sum = 0;

        for (size_t i = 0; i < MU_LEN(seen); i++) {
            size_t bytes = i * 17 % 5000;

            seen[i] = mu_arena_new(&a, bytes);
            sum += bytes;
            assert_int_equal((uintptr_t)seen[i] % _Alignof(max_align_t), 0);
            for (size_t at = 0; at < bytes; at++) {
                assert_int_equal(seen[i][at], 0);
            }
            memset(seen[i], (int)i, bytes);
        }
        for (size_t i = 0; i < MU_LEN(seen); i++) { /* nobody wrote into another's bytes */
            for (size_t at = 0; at < i * 17 % 5000; at++) {
                assert_int_equal(seen[i][at], (uint8_t)i);
            }
        }
        assert_int_equal(a.bytes, sum);
        mu_arena_reset(&a);
        assert_int_equal(a.bytes, 0);
    }
    mu_arena_deinit(&a);
    mu_arena_deinit(&a); /* an empty one is fine */
}

static void the_bound_holds(void **state)
{
    struct mu_arena a;

    (void)state;
    mu_arena_init(&a, 100);
    assert_null(mu_arena_try(&a, 101));
    assert_non_null(mu_arena_try(&a, 60));
    assert_null(mu_arena_try(&a, 41));
    assert_non_null(mu_arena_try(&a, 40));
    assert_null(mu_arena_try(&a, 1));
    assert_non_null(mu_arena_try(&a, 0));
    mu_arena_reset(&a);
    assert_non_null(mu_arena_try(&a, 100));
    mu_arena_deinit(&a);
    assert_int_equal(a.bytes_max, 100);
}

static void a_list_grows_and_keeps_its_items(void **state)
{
    struct mu_arena a;
    size_t *list = NULL;
    unsigned moves = 0;

    (void)state;
    mu_arena_init(&a, 0);
    for (size_t i = 0; i < 1000; i++) {
        size_t *was = list;

        list = mu_arena_grow(&a, list, i, sizeof *list);
        moves += list != was;
        list[i] = i;
    }
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(list[i], i);
    }
    assert_int_equal(moves, 11); /* at 0, 1, 2, 4 ... 512 */
    mu_arena_deinit(&a);
}

static void take_too_much(void *data)
{
    (void)mu_arena_new(data, 101);
}

static void count_too_much(void *data)
{
    (void)mu_arena_array(data, SIZE_MAX / 2, 16);
}

static void passing_the_bound_aborts(void **state)
{
    struct mu_arena a;

    (void)state;
    mu_arena_init(&a, 100);
    assert_true(aborts(take_too_much, &a));
    assert_true(aborts(count_too_much, &a));
    mu_arena_deinit(&a);
}

static void texts_are_copied(void **state)
{
    char source[] = "text";
    struct mu_arena a;

    (void)state;
    mu_arena_init(&a, 0);
    char *copy = mu_arena_strdup(&a, source);
    char *part = mu_arena_text(&a, source, 2);
    struct mu_span span = mu_arena_span(&a, mu_span_text(source));
    struct mu_span none = mu_arena_span(&a, MU_SPAN_NONE);

    source[0] = 'X';
    assert_string_equal(copy, "text");
    assert_string_equal(part, "te");
    assert_true(mu_span_eq_text(span, "text"));
    assert_int_equal(span.data[4], '\0');
    assert_int_equal(none.bytes, 0);
    assert_string_equal((const char *)none.data, "");
    assert_string_equal(mu_arena_printf(&a, "%s-%d", "a", 5), "a-5");
    mu_arena_deinit(&a);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_gives_is_zero_aligned_and_apart),
        cmocka_unit_test(the_bound_holds),
        cmocka_unit_test(a_list_grows_and_keeps_its_items),
        cmocka_unit_test(passing_the_bound_aborts),
        cmocka_unit_test(texts_are_copied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
