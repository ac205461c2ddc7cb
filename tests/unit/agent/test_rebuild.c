/* The note that a state is to be made anew: about one generation, over with it. */
#include "rebuild.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "scratch.h"

static const char *dir;
static char folder[96], note[128];

static int open_dir(void **state)
{
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    dir = scratch_dir();
    (void)snprintf(folder, sizeof folder, "%s/state", dir);
    (void)snprintf(note, sizeof note, "%s/rebuild", folder);
    return mu_dir_make(folder, &err) == MU_OK ? 0 : 1;
}

static int close_dir(void **state)
{
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    return mu_dir_remove(dir, &err) == MU_OK ? 0 : 1;
}

static bool wanted(uint64_t generation, struct mu_err *why)
{
    struct mu_err err = MU_ERR_NONE;
    bool is_wanted = true;

    *why = MU_ERR_NONE;
    assert_int_equal(rebuild_wanted(dir, generation, &is_wanted, why, &err), MU_OK);
    assert_int_equal(err.code, MU_OK);
    return is_wanted;
}

static void it_is_about_one_generation(void **state)
{
    struct mu_err why;
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    assert_false(wanted(1, &why));
    assert_int_equal(rebuild_want(dir, 7, "page 3 is damaged", &err), MU_OK);
    assert_true(wanted(7, &why));
    assert_string_equal(why.text, "page 3 is damaged");
    assert_int_equal(why.code, MU_CORRUPT);
    assert_false(wanted(8, &why));
    assert_int_equal(rebuild_want(dir, 8, "", &err), MU_OK); /* another one takes its place */
    assert_false(wanted(7, &why));
    assert_true(wanted(8, &why));
    assert_string_equal(why.text, "");
    assert_int_equal(rebuild_done(dir, &err), MU_OK);
    assert_false(wanted(8, &why));
    assert_int_equal(rebuild_done(dir, &err), MU_OK); /* it was not there */
}

/* Somebody's hand, or a reason of any length. */
static void what_is_no_note_wants_nothing(void **state)
{
    static const char *const texts[] = { "", "\n", "x", "-1 no\n", " ", "99999999999999999999 x" };
    struct mu_err err = MU_ERR_NONE;
    struct mu_err why;
    char reason[4000];

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(mu_file_replace(note, mu_span_text(texts[i]), 0600, &err), MU_OK);
        assert_false(wanted(1, &why));
    }
    assert_int_equal(mu_file_replace(note, MU_SPAN_LIT("1"), 0600, &err), MU_OK);
    assert_true(wanted(1, &why));
    memset(reason, 'r', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    assert_int_equal(rebuild_want(dir, 2, reason, &err), MU_OK);
    assert_true(wanted(2, &why));
    assert_true(strlen(why.text) > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_about_one_generation, open_dir, close_dir),
        cmocka_unit_test_setup_teardown(what_is_no_note_wants_nothing, open_dir, close_dir),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
