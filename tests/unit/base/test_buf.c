#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

static void room_for_nothing_is_a_place(void **state)
{
    struct mu_buf b = MU_BUF_NONE;

    (void)state;
    assert_non_null(mu_buf_reserve(&b, 0)); /* encoders of empty messages write there */
    assert_int_equal(b.bytes, 0);
    mu_buf_deinit(&b);
}

static void bytes_are_appended_and_dropped(void **state)
{
    struct mu_buf b = MU_BUF_NONE;

    (void)state;
    mu_buf_add(&b, NULL, 0);
    mu_buf_add_span(&b, MU_SPAN_NONE);
    assert_int_equal(mu_buf_span(&b).bytes, 0);
    mu_buf_add_text(&b, "ab");
    mu_buf_add_byte(&b, 'c');
    mu_buf_add_u64(&b, 0);
    mu_buf_add_u64(&b, UINT64_MAX);
    mu_buf_addf(&b, "-%s-%03d", "x", 7);
    assert_string_equal(mu_buf_text(&b), "abc018446744073709551615-x-007");
    mu_buf_drop(&b, 3);
    assert_string_equal(mu_buf_text(&b), "018446744073709551615-x-007");
    mu_buf_drop(&b, 0);
    mu_buf_drop(&b, b.bytes);
    assert_string_equal(mu_buf_text(&b), "");
    mu_buf_deinit(&b);
    mu_buf_deinit(&b);
}

static void growth_keeps_what_is_there(void **state)
{
    struct mu_buf b = MU_BUF_NONE;

    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        mu_buf_add_byte(&b, (uint8_t)i);
    }
    for (unsigned i = 0; i < 10000; i++) {
        assert_int_equal(b.data[i], (uint8_t)i);
    }
    size_t room = b.room;

    mu_buf_clear(&b);
    assert_int_equal(b.bytes, 0);
    assert_int_equal(b.room, room);
    mu_buf_deinit(&b);
}

static void reserved_room_is_the_callers_to_fill(void **state)
{
    struct mu_buf b = MU_BUF_NONE;

    (void)state;
    mu_buf_add_text(&b, "a");
    uint8_t *at = mu_buf_reserve(&b, 1000);

    memset(at, 'b', 1000);
    assert_int_equal(b.bytes, 1);
    b.bytes += 2;
    assert_string_equal(mu_buf_text(&b), "abb");
    mu_buf_deinit(&b);
}

static void taken_bytes_are_the_callers(void **state)
{
    struct mu_buf b = MU_BUF_NONE;
    size_t bytes = 9;

    (void)state;
    char *nothing = mu_buf_take(&b, &bytes);

    assert_string_equal(nothing, "");
    assert_int_equal(bytes, 0);
    mu_free(nothing);
    mu_buf_add_text(&b, "mine");
    char *mine = mu_buf_take(&b, NULL);

    assert_string_equal(mine, "mine");
    assert_null(b.data);
    assert_int_equal(b.bytes, 0);
    mu_free(mine);
}

static void a_long_format_fits(void **state)
{
    struct mu_buf b = MU_BUF_NONE;

    (void)state;
    mu_buf_addf(&b, "%0500d|%s", 1, "end");
    assert_int_equal(b.bytes, 504);
    assert_string_equal(mu_buf_text(&b) + 499, "1|end");
    mu_buf_deinit(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_for_nothing_is_a_place),
        cmocka_unit_test(bytes_are_appended_and_dropped),
        cmocka_unit_test(growth_keeps_what_is_there),
        cmocka_unit_test(reserved_room_is_the_callers_to_fill),
        cmocka_unit_test(taken_bytes_are_the_callers),
        cmocka_unit_test(a_long_format_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
