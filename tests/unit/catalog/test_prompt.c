/* Reads that wait for no disk: what is not in memory is said, fetched, and then there. */
#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

#define KEYS        400
#define VALUE_BYTES 3000

static void filled(struct fixture *f, bool in_wal)
{
    static char value[VALUE_BYTES + 1];
    uint64_t durable = 0;

    fixture_init(f, true);
    memset(value, 'v', sizeof value - 1);
    for (unsigned i = 0; i < KEYS; i++) {
        char key[16];

        (void)snprintf(key, sizeof key, "key/%03u", i);
        value[0] = (char)('a' + i % 26);
        fixture_put(f, key, value);
    }
    if (!in_wal) {
        CHECK(catalog_relieve(f->catalog, &durable, err));
    }
}

/* What the kernel holds of a file goes. False: it does not, or cannot say what it holds. */
static bool leaves_memory(const char *path, const char *more)
{
    char name[128];
    char byte;
    struct iovec one = { &byte, 1 };

    (void)snprintf(name, sizeof name, "%s%s", path, more);
    int fd = open(name, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(fsync(fd), 0);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    bool is_out = preadv2(fd, &one, 1, 0, RWF_NOWAIT) < 0 && errno == EAGAIN;

    (void)close(fd);
    return is_out;
}

/* A process's locks on the database go with any descriptor of it that it closes, so another one
 * empties the memory: as would be in life. */
static bool is_cold(struct fixture *f, bool in_wal)
{
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        bool is_out = leaves_memory(f->path, "") && (!in_wal || leaves_memory(f->path, "-wal"));

        _exit(is_out ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static enum mu_code key_read(struct fixture *f, const char *key, struct catalog_kvs *out)
{
    struct mu_err err = MU_ERR_NONE;

    mu_arena_reset(&f->arena);
    enum mu_code rc = catalog_query_key(f->reader, &f->arena, mu_span_text(key), out, &err);

    catalog_reader_release(f->reader);
    return rc;
}

/* As a loop does it: again, until nothing is missing. Returns how often something was. */
static unsigned read_promptly(struct fixture *f, const char *key, bool in_wal)
{
    struct catalog_kvs list = { .count = 0 };
    struct catalog_miss miss;

    for (unsigned misses = 0; misses < 50; misses++) {
        catalog_prompt_begin();
        enum mu_code rc = key_read(f, key, &list);

        assert_int_equal(catalog_prompt_has_missed(), rc != MU_OK);
        if (!catalog_prompt_end(&miss)) {
            assert_int_equal(rc, MU_OK);
            assert_int_equal(list.count, 1);
            assert_int_equal(list.items[0].value.bytes, VALUE_BYTES);
            return misses;
        }
        assert_false(in_wal && !miss.in_wal);
        assert_false(catalog_reader_is_damaged(f->reader));
        catalog_fetch(f->path, &miss, 4096);
    }
    fail_msg("there is no end to what is missing");
    return 0;
}

static void misses_and_comes_back(bool in_wal)
{
    struct fixture f;

    filled(&f, in_wal);
    assert_int_equal(read_promptly(&f, "key/007", in_wal), 0); /* just written: all in memory */
    catalog_reader_close(f.reader); /* and so is what this one has read */
    CHECK(catalog_reader_open(&f.reader, f.path, NULL, err));
    catalog_reader_rest(f.reader);
    if (!is_cold(&f, in_wal)) {
        fixture_deinit(&f);
        skip(); /* in memory for good, or this file system does not say */
    }
    assert_in_range(read_promptly(&f, "key/200", in_wal), 1, 20);
    assert_int_equal(read_promptly(&f, "key/200", in_wal), 0);
    fixture_check_hash(&f); /* the writer's reads wait as ever */
    fixture_deinit(&f);
}

static void what_is_on_the_disk_only_is_said_and_fetched(void **state)
{
    (void)state;
    misses_and_comes_back(false);
}

static void so_is_what_is_in_the_wal(void **state)
{
    (void)state;
    misses_and_comes_back(true);
}

static void who_may_wait_does(void **state)
{
    struct catalog_kvs list;
    struct fixture f;

    (void)state;
    filled(&f, false);
    catalog_reader_rest(f.reader);
    (void)is_cold(&f, false);
    assert_int_equal(key_read(&f, "key/300", &list), MU_OK);
    assert_int_equal(list.count, 1);
    fixture_deinit(&f);
}

/* In a process that shares nothing with the one that has it open. */
static int other_process(const char *path)
{
    struct catalog *catalog = NULL;
    struct catalog_options options = { .path = path };
    enum mu_code rc = catalog_open(&catalog, &options, NULL);

    catalog_close(catalog);
    return rc == MU_FOREIGN ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Another descriptor of the database that is closed would take this process's locks with it. */
static void fetching_lets_nobody_else_in(void **state)
{
    struct catalog_miss miss = { false, 0 };
    char words[256];
    struct fixture f;

    (void)state;
    filled(&f, false);
    catalog_fetch(f.path, &miss, 64 * 1024);
    (void)snprintf(words, sizeof words, "/proc/%d/exe --other %s", (int)getpid(), f.path);
    FILE *other = popen(words, "r");

    assert_non_null(other);
    assert_int_equal(pclose(other), EXIT_SUCCESS);
    fixture_deinit(&f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_on_the_disk_only_is_said_and_fetched),
        cmocka_unit_test(so_is_what_is_in_the_wal),
        cmocka_unit_test(who_may_wait_does),
        cmocka_unit_test(fetching_lets_nobody_else_in),
    };

    if (argc == 3 && strcmp(argv[1], "--other") == 0) {
        return other_process(argv[2]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
