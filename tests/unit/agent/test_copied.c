/* The note that a state is a copy of another server's: until it is proven, or another one counts.
 */
#include "copied.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/file.h"
#include "scratch.h"

static const char *dir;

static int open_dir(void **state)
{
    struct mu_err err = MU_ERR_NONE;
    char folder[96];

    (void)state;
    dir = scratch_dir();
    (void)snprintf(folder, sizeof folder, "%s/state", dir);
    return mu_dir_make(folder, &err) == MU_OK ? 0 : 1;
}

static int close_dir(void **state)
{
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    return mu_dir_remove(dir, &err) == MU_OK ? 0 : 1;
}

static bool is_copy(uint64_t generation)
{
    struct mu_err err = MU_ERR_NONE;
    bool is = false;

    assert_int_equal(copied_is(dir, generation, &is, &err), MU_OK);
    assert_int_equal(err.code, MU_OK);
    return is;
}

static void it_holds_until_it_is_proven(void **state)
{
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    assert_false(is_copy(1));
    assert_int_equal(copied_proven(dir, 1, &err), MU_OK); /* nothing was said */
    assert_int_equal(copied_note(dir, 2, &err), MU_OK);
    assert_true(is_copy(2));
    assert_false(is_copy(3)); /* made of the log since, of nobody's */
    assert_int_equal(copied_proven(dir, 2, &err), MU_OK);
    assert_false(is_copy(2));
    assert_false(is_copy(1));
}

/* The next one was complete and did not come to count: whether that before it is a copy, which the
 * note before it told, is not known any more. And a late proof is not about the next one. */
static void a_crash_between_two_copies_forgets_none(void **state)
{
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    assert_int_equal(copied_note(dir, 2, &err), MU_OK);
    assert_int_equal(copied_note(dir, 3, &err), MU_OK);
    assert_true(is_copy(2));
    assert_int_equal(copied_proven(dir, 2, &err), MU_OK);
    assert_true(is_copy(3));
}

static void what_cannot_be_read_is_an_error(void **state)
{
    struct mu_err err = MU_ERR_NONE;
    bool is = true;
    char path[128];

    (void)state;
    (void)snprintf(path, sizeof path, "%s/state/copied", dir);
    assert_int_equal(mu_dir_make(path, &err), MU_OK);
    assert_int_equal(copied_is(dir, 1, &is, &err), MU_IO);
    assert_false(is);
    assert_int_not_equal(copied_note(dir, 1, &err), MU_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_holds_until_it_is_proven, open_dir, close_dir),
        cmocka_unit_test_setup_teardown(a_crash_between_two_copies_forgets_none, open_dir,
                                        close_dir),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_is_an_error, open_dir, close_dir),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
