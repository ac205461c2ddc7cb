/* The third failure of the storage within an hour keeps a server down; hours apart they do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "failures.h"
#include "scratch.h"

static const char *dir;
static char path[64];

static int setup(void **state)
{
    (void)state;
    dir = scratch_dir();
    (void)snprintf(path, sizeof path, "%s/failures", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return mu_dir_remove(dir, NULL) == MU_OK ? 0 : -1;
}

static void the_third_within_an_hour_keeps_it_down(void **state)
{
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    assert_int_equal(failures_check(path, 1000, NULL), MU_OK); /* no file yet */
    failures_add(path, 1000, "one");
    failures_add(path, 2000, "two");
    assert_int_equal(failures_check(path, 2001, NULL), MU_OK);
    failures_add(path, 4000, "flush: input/output\nerror");
    assert_int_equal(failures_check(path, 4001, &err), MU_IO);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, "the last time: flush: input/output error"));
    assert_int_equal(failures_check(path, 1000 + FAILURES_WITHIN_S, NULL), MU_OK);
}

static void those_long_ago_do_not_count(void **state)
{
    (void)state;
    for (uint64_t hour = 1; hour < 10; hour++) {
        failures_add(path, hour * 3000, "again");
        assert_int_equal(failures_check(path, hour * 3000, NULL), MU_OK);
    }
}

static void nonsense_in_the_file_and_a_clock_set_back_are_nothing(void **state)
{
    (void)state;
    assert_int_equal(mu_file_replace(path, MU_SPAN_LIT("\n\nx\n12\n-\n99 \n"), 0644, NULL), MU_OK);
    assert_int_equal(failures_check(path, 100, NULL), MU_OK);
    failures_add(path, 5000, "a");
    failures_add(path, 5000, "b");
    failures_add(path, 5000, "c");
    assert_int_equal(failures_check(path, 4000, NULL), MU_OK);
    assert_int_equal(failures_check(path, 5000, NULL), MU_IO);
    assert_int_equal(unlink(path), 0); /* somebody has looked */
    assert_int_equal(failures_check(path, 5000, NULL), MU_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_third_within_an_hour_keeps_it_down, setup, teardown),
        cmocka_unit_test_setup_teardown(those_long_ago_do_not_count, setup, teardown),
        cmocka_unit_test_setup_teardown(nonsense_in_the_file_and_a_clock_set_back_are_nothing,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
