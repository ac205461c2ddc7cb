/* test_temporary.c - whose directories the next one removes, and whose not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "scratch.h"
#include "temporary.h"

static const char *base;

static const char *at(const char *dir, const char *name)
{
    static char paths[4][192];
    static unsigned turn;
    char *path = paths[turn++ % 4];

    (void)snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static bool is_there(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

/* As an agent that runs has it. The lock ends with the descriptor. */
static int owned(const char *dir)
{
    int fd = -1;

    assert_int_equal(mu_file_lock(at(dir, "lock"), &fd, NULL), MU_OK);
    assert_int_equal(mu_dir_make(at(dir, "services"), NULL), MU_OK);
    assert_int_equal(mu_file_replace(at(dir, "services/web"), MU_SPAN_LIT("x"), 0600, NULL), MU_OK);
    assert_int_equal(mu_dir_make(at(dir, TEMPORARY_LAST), NULL), MU_OK);
    return fd;
}

static char *make(void)
{
    struct mu_err err = MU_ERR_NONE;
    char *dir = NULL;

    if (temporary_make(&dir, &err) != MU_OK) {
        fail_msg("%s", err.text);
    }
    return dir;
}

static int setup(void **state)
{
    (void)state;
    base = scratch_dir();
    return setenv("TMPDIR", base, 1);
}

static int teardown(void **state)
{
    (void)state;
    return unsetenv("TMPDIR");
}

static void it_is_of_its_owner_alone(void **state)
{
    struct stat st;
    char *dir = make();

    (void)state;
    assert_int_equal(strncmp(dir, at(base, "muster-dev-"), strlen(base) + 12), 0);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    mu_free(dir);
}

static void what_the_killed_left_goes_with_the_next_start(void **state)
{
    char *living = make(), *killed = make();
    int lock = owned(living);

    (void)state;
    (void)close(owned(killed));
    char *next = make();

    assert_false(is_there(killed));
    assert_true(is_there(at(living, "services/web")));
    (void)close(lock); /* and now it ends */
    char *last = make();

    assert_false(is_there(living));
    assert_true(is_there(next)); /* it was made, and is about to be locked */
    mu_free(last);
    mu_free(next);
    mu_free(killed);
    mu_free(living);
}

static void nothing_else_is_touched(void **state)
{
    char *other = mu_strdup(at(base, "muster-dev-file"));
    char *link = mu_strdup(at(base, "muster-dev-link"));
    char *away = mu_strdup(at(base, "muster-data"));
    char *bare = mu_strdup(at(base, "muster-dev-bare"));

    (void)state;
    assert_int_equal(mu_file_replace(other, MU_SPAN_LIT("x"), 0600, NULL), MU_OK);
    assert_int_equal(mu_dir_make(away, NULL), MU_OK);
    (void)close(owned(away));
    assert_int_equal(symlink(away, link), 0);
    assert_int_equal(mu_dir_make(at(bare, TEMPORARY_LAST), NULL), MU_OK); /* without a lock */
    mu_free(make());
    assert_true(is_there(other) && is_there(link) && is_there(at(away, "services/web")));
    assert_true(is_there(bare) && !is_there(at(bare, "lock")));
    mu_free(bare);
    mu_free(away);
    mu_free(link);
    mu_free(other);
}

static void a_place_that_is_none_is_named(void **state)
{
    struct mu_err err = MU_ERR_NONE;
    char *dir = NULL;

    (void)state;
    assert_int_equal(setenv("TMPDIR", at(base, "none"), 1), 0);
    assert_int_equal(temporary_make(&dir, &err), MU_NOT_FOUND);
    assert_non_null(strstr(err.text, at(base, "none: No such file or directory")));
    assert_null(dir);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_of_its_owner_alone),
        TEST(what_the_killed_left_goes_with_the_next_start),
        TEST(nothing_else_is_touched),
        TEST(a_place_that_is_none_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
