/* A server's old state moved out of the way: all of it, also when a crash comes in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "aside.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "scratch.h"

static const char *dir;

static char *path_of(const char *name)
{
    struct mu_buf path = MU_BUF_NONE;

    mu_buf_addf(&path, "%s/%s", dir, name);
    return mu_buf_take(&path, NULL);
}

static void put(const char *folder, const char *text)
{
    struct mu_err err = MU_ERR_NONE;
    char *path = path_of(folder);
    struct mu_buf file = MU_BUF_NONE;

    assert_int_equal(mu_dir_make(path, &err), MU_OK);
    mu_buf_addf(&file, "%s/file", path);
    assert_int_equal(mu_file_swap(mu_buf_text(&file), mu_span_text(text), 0644, &err), MU_OK);
    mu_buf_deinit(&file);
    mu_free(path);
}

/* What lies in the file of a folder; "-": there is none. */
static void assert_holds(const char *folder, const char *text)
{
    struct mu_err err = MU_ERR_NONE;
    struct mu_buf name = MU_BUF_NONE, bytes = MU_BUF_NONE;
    char *path = path_of(folder);

    mu_buf_addf(&name, "%s/file", path);
    if (mu_file_read(mu_buf_text(&name), 64, &bytes, &err) == MU_NOT_FOUND) {
        mu_buf_add_text(&bytes, "-");
    }
    assert_string_equal(mu_buf_text(&bytes), text);
    mu_buf_deinit(&bytes);
    mu_buf_deinit(&name);
    mu_free(path);
}

static bool finish(void)
{
    struct mu_err err = MU_ERR_NONE;
    bool moved = false;

    assert_int_equal(aside_finish(dir, &moved, &err), MU_OK);
    return moved;
}

static int setup(void **state)
{
    (void)state;
    dir = scratch_dir();
    put("consensus", "log");
    put("state", "rows");
    put("services", "kept");
    return 0;
}

static int teardown(void **state)
{
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    assert_int_equal(mu_dir_remove(dir, &err), MU_OK);
    return 0;
}

static void nothing_happens_without_a_decision(void **state)
{
    (void)state;
    assert_false(finish());
    assert_holds("consensus", "log");
}

static void log_and_state_go_and_nothing_else(void **state)
{
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    assert_int_equal(aside_begin(dir, ASIDE_REMOVED, &err), MU_OK);
    assert_holds("consensus", "log"); /* it may still be in use */
    assert_true(finish());
    assert_false(finish());
    assert_holds("consensus", "-");
    assert_holds("removed/consensus", "log");
    assert_holds("removed/state", "rows");
    assert_holds("services", "kept");
}

static void a_crash_between_the_two_is_made_good(void **state)
{
    struct mu_err err = MU_ERR_NONE;
    char *from = path_of("consensus"), *folder = path_of("removed");
    char *to = path_of("removed/consensus");

    (void)state;
    assert_int_equal(aside_begin(dir, ASIDE_REMOVED, &err), MU_OK);
    assert_int_equal(mu_dir_make(folder, &err), MU_OK);
    assert_int_equal(rename(from, to), 0);
    assert_true(finish());
    assert_holds("removed/consensus", "log");
    assert_holds("removed/state", "rows");
    mu_free(from);
    mu_free(folder);
    mu_free(to);
}

static void one_copy_is_kept(void **state)
{
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    assert_int_equal(aside_begin(dir, ASIDE_REMOVED, &err), MU_OK);
    assert_true(finish());
    put("consensus", "newer");
    assert_int_equal(aside_begin(dir, ASIDE_REMOVED, &err), MU_OK);
    assert_true(finish());
    assert_holds("removed/consensus", "newer");
    assert_holds("removed/state", "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_happens_without_a_decision, setup, teardown),
        cmocka_unit_test_setup_teardown(log_and_state_go_and_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(a_crash_between_the_two_is_made_good, setup, teardown),
        cmocka_unit_test_setup_teardown(one_copy_is_kept, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
