/* Bytes that grow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

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

static void what_is_added_is_there_however_often_it_grows(void **state)
{
    struct mu_buf b = MU_BUF_NONE;

    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        mu_buf_addf(&b, "%u,", i % 10);
    }
    assert_int_equal(b.bytes, 10000);
    for (unsigned i = 0; i < 5000; i++) {
        assert_int_equal(b.data[(size_t)2 * i], '0' + i % 10);
        assert_int_equal(b.data[(size_t)2 * i + 1], ',');
    }
    mu_buf_drop(&b, 9998);
    assert_string_equal(mu_buf_text(&b), "9,");
    mu_buf_add_u64(&b, UINT64_MAX);
    mu_buf_add_byte(&b, '.');
    size_t bytes = 0;
    char *text = mu_buf_take(&b, &bytes);

    assert_string_equal(text, "9,18446744073709551615.");
    assert_int_equal(bytes, strlen(text));
    assert_true(b.data == NULL && b.bytes == 0 && b.room == 0);
    mu_free(text);
    mu_buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_for_nothing_is_a_place),
        cmocka_unit_test(what_is_added_is_there_however_often_it_grows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
