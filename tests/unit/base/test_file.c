#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/file.h"
#include "base/mem.h"
#include "scratch.h"

struct world {
    const char *dir;
    char path[64]; /* of the last `at` */
};

static const char *at(struct world *w, const char *name)
{
    (void)snprintf(w->path, sizeof w->path, "%s/%s", w->dir, name);
    return w->path;
}

static int world_open(void **state)
{
    struct world *w = mu_new(sizeof *w);

    w->dir = scratch_dir();
    *state = w;
    return 0;
}

static int world_close(void **state)
{
    struct world *w = *state;

    assert_int_equal(mu_dir_remove(w->dir, NULL), MU_OK);
    assert_int_not_equal(access(w->dir, F_OK), 0);
    mu_free(w);
    return 0;
}

static enum mu_code add_name(void *data, const char *name, struct mu_err *err)
{
    (void)err;
    mu_buf_addf(data, "%s ", name);
    return MU_OK;
}

static void expect_names(struct world *w, const char *names)
{
    struct mu_buf text = MU_BUF_NONE;

    assert_int_equal(mu_dir_each(w->dir, add_name, &text, NULL), MU_OK);
    assert_string_equal(mu_buf_text(&text), names);
    mu_buf_deinit(&text);
}

static void expect_content(struct world *w, const char *name, const char *content)
{
    struct mu_buf text = MU_BUF_NONE;

    assert_int_equal(mu_file_read(at(w, name), 1 << 20, &text, NULL), MU_OK);
    assert_string_equal(mu_buf_text(&text), content);
    mu_buf_deinit(&text);
}

typedef enum mu_code replace_fn(const char *path, struct mu_span bytes, unsigned mode,
                                struct mu_err *err);
static replace_fn *const both_ways[] = { mu_file_replace, mu_file_swap };

static void a_file_is_replaced_whole(void **state)
{
    struct world *w = *state;
    struct stat st;

    for (size_t i = 0; i < MU_LEN(both_ways); i++) {
        (void)umask(0077); /* the mode is meant as it is said */
        assert_int_equal(both_ways[i](at(w, "a"), MU_SPAN_LIT("old and longer"), 0644, NULL),
                         MU_OK);
        assert_int_equal(both_ways[i](at(w, "a"), MU_SPAN_LIT("new"), 0640, NULL), MU_OK);
        (void)umask(0022);
        expect_content(w, "a", "new");
        assert_int_equal(stat(at(w, "a"), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0640);
        assert_int_equal(both_ways[i](at(w, "a"), MU_SPAN_NONE, 0640, NULL), MU_OK);
        expect_content(w, "a", "");
        expect_names(w, "a ");
    }
}

static void what_cannot_be_replaced_stays(void **state)
{
    struct world *w = *state;

    assert_int_equal(mkdir(at(w, "dir"), 0755), 0);
    for (size_t i = 0; i < MU_LEN(both_ways); i++) {
        struct mu_err err = MU_ERR_NONE;

        assert_int_equal(both_ways[i](at(w, "no/where"), MU_SPAN_LIT("x"), 0644, &err),
                         MU_NOT_FOUND);
        assert_non_null(strstr(err.text, "no/where.tmp: No such file or directory"));
        assert_int_equal(both_ways[i](at(w, "dir"), MU_SPAN_LIT("x"), 0644, &err), MU_IO);
        assert_non_null(strstr(err.text, "/dir: Is a directory"));
        expect_names(w, "dir "); /* no temporary file stays behind */
    }
}

/* A disk that takes no more: the old content is there, and nothing else. In a child, for the limit
 * would hold for the rest of the tests. */
static void a_write_that_fails_changes_nothing(void **state)
{
    struct world *w = *state;
    int status = 0;

    assert_int_equal(mu_file_replace(at(w, "a"), MU_SPAN_LIT("old"), 0644, NULL), MU_OK);
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit small = { 4096, 4096 };
        struct mu_err err = MU_ERR_NONE;
        static char big[8192];

        (void)signal(SIGXFSZ, SIG_IGN);
        (void)setrlimit(RLIMIT_FSIZE, &small);
        enum mu_code code = mu_file_replace(w->path, mu_span_of(big, sizeof big), 0644, &err);

        _exit(code == MU_IO && strstr(err.text, "File too large") != NULL ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    expect_content(w, "a", "old");
    expect_names(w, "a ");
}

static void expect_target(struct world *w, const char *name, const char *expected)
{
    char wanted[64];
    struct mu_buf target = MU_BUF_NONE;

    assert_int_equal(mu_file_target(at(w, name), &target, NULL), MU_OK);
    (void)snprintf(wanted, sizeof wanted, "%s/%s", w->dir, expected);
    assert_string_equal(mu_buf_text(&target), wanted);
    mu_buf_deinit(&target);
}

static void expect_no_target(const char *path, enum mu_code code, const char *why)
{
    struct mu_buf target = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;

    assert_int_equal(mu_file_target(path, &target, &err), code);
    assert_non_null(strstr(err.text, why));
    assert_int_equal(target.bytes, 0);
}

static void links_lead_to_what_is_replaced(void **state)
{
    struct world *w = *state;

    assert_int_equal(mkdir(at(w, "dir"), 0755), 0);
    assert_int_equal(mu_file_replace(at(w, "dir/file"), MU_SPAN_LIT("x"), 0644, NULL), MU_OK);
    assert_int_equal(symlink("dir/file", at(w, "link")), 0);
    assert_int_equal(symlink("link", at(w, "link-to-link")), 0);
    assert_int_equal(symlink("none", at(w, "broken")), 0);
    assert_int_equal(symlink("dir", at(w, "link-to-dir")), 0);
    assert_int_equal(symlink("/dev/null", at(w, "link-to-device")), 0);
    expect_target(w, "dir/file", "dir/file");
    expect_target(w, "new", "new");
    expect_target(w, "link", "dir/file");
    expect_target(w, "link-to-link", "dir/file");
    expect_target(w, "link-to-dir/new", "link-to-dir/new");
    expect_no_target(at(w, "broken"), MU_NOT_FOUND,
                     "/broken: a symbolic link that leads to no file: No such file or directory");
    expect_no_target(at(w, "link-to-dir"), MU_INVALID, "/link-to-dir: Is a directory");
    expect_no_target(at(w, "link-to-device"), MU_INVALID, "/link-to-device: not a regular file");
    expect_no_target("", MU_INVALID, "the name of the file is empty");
    expect_no_target("/dev/null", MU_INVALID, "/dev/null: not a regular file");
}

static void reading_has_a_bound(void **state)
{
    struct world *w = *state;
    struct mu_buf text = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    char *big = mu_new(10000);

    assert_int_equal(mu_file_replace(at(w, "a"), mu_span_of(big, 10000), 0644, NULL), MU_OK);
    mu_buf_add_text(&text, "before");
    assert_int_equal(mu_file_read(w->path, 10000, &text, NULL), MU_OK);
    assert_int_equal(text.bytes, 10006);
    assert_memory_equal(text.data, "before\0", 7);
    assert_int_equal(mu_file_read(w->path, 9999, &text, &err), MU_TOO_BIG);
    assert_non_null(strstr(err.text, "/a is larger than 9999 bytes"));
    mu_buf_clear(&text);
    assert_int_equal(mu_file_read(at(w, "none"), 10, &text, &err), MU_NOT_FOUND);
    assert_non_null(strstr(err.text, "/none: No such file or directory"));
    assert_int_equal(mu_file_read(w->dir, 10, &text, &err), MU_IO);
    mu_buf_deinit(&text);
    mu_free(big);
}

static void files_are_removed(void **state)
{
    struct world *w = *state;
    struct mu_err err = MU_ERR_NONE;

    assert_int_equal(mu_file_replace(at(w, "a"), MU_SPAN_LIT("x"), 0644, NULL), MU_OK);
    assert_int_equal(mu_file_remove(w->path, NULL), MU_OK);
    assert_int_equal(mu_file_remove(w->path, NULL), MU_OK); /* an absent one is fine */
    expect_names(w, "");
    assert_int_equal(mkdir(at(w, "dir"), 0755), 0);
    assert_int_equal(mu_file_remove(w->path, &err), MU_IO);
    assert_non_null(strstr(err.text, "remove "));
}

static void directories_are_made_with_their_parents(void **state)
{
    struct world *w = *state;
    struct mu_err err = MU_ERR_NONE;
    struct stat st;

    assert_int_equal(mu_dir_make(at(w, "a/b/c"), NULL), MU_OK);
    assert_int_equal(stat(w->path, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(mu_dir_make(w->path, NULL), MU_OK);
    assert_int_equal(mu_dir_make(at(w, "a/b/c/"), NULL), MU_OK);
    assert_int_equal(mu_dir_sync(w->path, NULL), MU_OK);
    assert_int_equal(mu_file_replace(at(w, "f"), MU_SPAN_LIT("x"), 0644, NULL), MU_OK);
    assert_int_equal(mu_dir_make(w->path, &err), MU_INVALID);
    assert_non_null(strstr(err.text, "/f\" is not a directory"));
    assert_int_equal(mu_dir_make(at(w, "f/g"), &err), MU_IO);
    assert_int_equal(mu_dir_sync(at(w, "f"), &err), MU_IO);
    assert_int_equal(mu_dir_sync(at(w, "none"), &err), MU_NOT_FOUND);
}

static enum mu_code refuse_b(void *data, const char *name, struct mu_err *err)
{
    mu_buf_addf(data, "%s ", name);
    return name[0] == 'b' ? mu_fail(err, MU_BUSY, "not this one") : MU_OK;
}

static void names_come_sorted(void **state)
{
    struct world *w = *state;
    struct mu_buf text = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;

    for (const char *name = "cab"; *name != '\0'; name++) {
        char one[] = { *name, '\0' };

        assert_int_equal(mu_file_replace(at(w, one), MU_SPAN_LIT("x"), 0644, NULL), MU_OK);
    }
    assert_int_equal(mu_file_replace(at(w, ".hidden"), MU_SPAN_LIT("x"), 0644, NULL), MU_OK);
    expect_names(w, ".hidden a b c ");
    assert_int_equal(mu_dir_each(w->dir, refuse_b, &text, &err), MU_BUSY);
    assert_string_equal(mu_buf_text(&text), ".hidden a b ");
    assert_string_equal(err.text, "not this one");
    assert_int_equal(mu_dir_each(at(w, "none"), refuse_b, &text, &err), MU_NOT_FOUND);
    mu_buf_deinit(&text);
}

/* A symbolic link is removed, not what it points to. */
static void trees_are_removed(void **state)
{
    struct world *w = *state;
    char outside[64];

    assert_int_equal(mu_dir_make(at(w, "tree/a/b"), NULL), MU_OK);
    assert_int_equal(mu_file_replace(at(w, "tree/a/f"), MU_SPAN_LIT("x"), 0644, NULL), MU_OK);
    assert_int_equal(mu_file_replace(at(w, "kept"), MU_SPAN_LIT("x"), 0644, NULL), MU_OK);
    (void)snprintf(outside, sizeof outside, "%s", w->path);
    assert_int_equal(symlink(outside, at(w, "tree/a/l")), 0);
    assert_int_equal(symlink(w->dir, at(w, "tree/d")), 0);
    assert_int_equal(mu_dir_remove(at(w, "tree"), NULL), MU_OK);
    expect_names(w, "kept ");
    assert_int_equal(mu_dir_remove(at(w, "none"), NULL), MU_NOT_FOUND);
}

static void a_lock_is_held_by_one(void **state)
{
    struct world *w = *state;
    struct mu_err err = MU_ERR_NONE;
    int first = -1;
    int second = -1;

    assert_int_equal(mu_file_lock(at(w, "lock"), &first, NULL), MU_OK);
    assert_int_equal(mu_file_lock(w->path, &second, &err), MU_FOREIGN);
    assert_non_null(strstr(err.text, "/lock is locked by another process"));
    assert_int_equal(second, -1);
    assert_int_equal(close(first), 0);
    assert_int_equal(mu_file_lock(w->path, &second, NULL), MU_OK);
    assert_int_equal(close(second), 0);
    assert_int_equal(mu_file_lock(at(w, "no/where"), &first, &err), MU_NOT_FOUND);
}

static void reasons_have_codes(void **state)
{
    (void)state;
    assert_int_equal(mu_file_code(ENOSPC), MU_FULL);
    assert_int_equal(mu_file_code(EDQUOT), MU_FULL);
    assert_int_equal(mu_file_code(EROFS), MU_READ_ONLY);
    assert_int_equal(mu_file_code(ENOENT), MU_NOT_FOUND);
    assert_int_equal(mu_file_code(EACCES), MU_IO);
}

/* What becomes EROFS takes a file system of its own: test_read_only.py. */
static void an_error_of_a_file_system_that_can_be_written_stays(void **state)
{
    (void)state;
    assert_int_equal(mu_file_settled(".", EIO), EIO);
    assert_int_equal(mu_file_settled(".", ENOSPC), ENOSPC);
    assert_int_equal(mu_file_settled("no/such/directory", EIO), EIO);
}

int main(void)
{
#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)
    static const struct CMUnitTest tests[] = {
        IN_A_WORLD(a_file_is_replaced_whole),
        IN_A_WORLD(what_cannot_be_replaced_stays),
        IN_A_WORLD(a_write_that_fails_changes_nothing),
        IN_A_WORLD(links_lead_to_what_is_replaced),
        IN_A_WORLD(reading_has_a_bound),
        IN_A_WORLD(files_are_removed),
        IN_A_WORLD(directories_are_made_with_their_parents),
        IN_A_WORLD(names_come_sorted),
        IN_A_WORLD(trees_are_removed),
        IN_A_WORLD(a_lock_is_held_by_one),
        cmocka_unit_test(reasons_have_codes),
        cmocka_unit_test(an_error_of_a_file_system_that_can_be_written_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
