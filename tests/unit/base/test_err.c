#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "abort.h"
#include "base/assert.h"
#include "base/err.h"

static void the_story_is_kept(void **state)
{
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    assert_int_equal(mu_fail(&err, MU_INVALID, "port %d is outside 1..65535", 70000), MU_INVALID);
    assert_int_equal(mu_wrap(&err, err.code, "service '%s'", "web"), MU_INVALID);
    assert_int_equal(mu_wrap(&err, MU_CORRUPT, "loading %s", "web.json"), MU_CORRUPT);
    assert_int_equal(err.code, MU_CORRUPT);
    assert_string_equal(err.text,
                        "loading web.json: service 'web': port 70000 is outside 1..65535");
    assert_int_equal(mu_fail(&err, MU_IO, "again"), MU_IO);
    assert_string_equal(err.text, "again");
}

static void without_a_place_the_code_is_told(void **state)
{
    (void)state;
    assert_int_equal(mu_fail(NULL, MU_BUSY, "x"), MU_BUSY);
    assert_int_equal(mu_wrap(NULL, MU_LOST, "x"), MU_LOST);
}

static void long_texts_are_cut(void **state)
{
    struct mu_err err = MU_ERR_NONE;
    char big[2 * MU_ERR_TEXT_MAX];

    (void)state;
    memset(big, 'a', sizeof big);
    big[sizeof big - 1] = '\0';
    (void)mu_fail(&err, MU_IO, "%s", big);
    assert_int_equal(strlen(err.text), MU_ERR_TEXT_MAX - 1);
    (void)mu_wrap(&err, MU_IO, "noun");
    assert_int_equal(strlen(err.text), MU_ERR_TEXT_MAX - 1);
    assert_memory_equal(err.text, "noun: aaa", 9);
    big[0] = 'b';
    (void)mu_wrap(&err, MU_IO, "%s", big);
    assert_int_equal(strlen(err.text), MU_ERR_TEXT_MAX - 1);
    assert_memory_equal(err.text, "baaa", 4);
}

static void every_code_has_a_text(void **state)
{
    (void)state;
    for (unsigned code = MU_OK; code <= MU_CANCELLED; code++) {
        const char *text = mu_code_text((enum mu_code)code);

        assert_non_null(text);
        assert_true(text[0] != '\0');
        for (unsigned other = MU_OK; other < code; other++) {
            assert_string_not_equal(text, mu_code_text((enum mu_code)other));
        }
    }
}

static void fail_with_ok(void *data)
{
    (void)mu_fail(data, MU_OK, "x");
}

static void ok_is_no_failure(void **state)
{
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    assert_true(aborts(fail_with_ok, &err));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_story_is_kept),  cmocka_unit_test(without_a_place_the_code_is_told),
        cmocka_unit_test(long_texts_are_cut), cmocka_unit_test(every_code_has_a_text),
        cmocka_unit_test(ok_is_no_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
