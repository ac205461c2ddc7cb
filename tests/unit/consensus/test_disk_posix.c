/* test_disk_posix.c - writes that are durable when they return, on the file system that is here:
 * read back by another descriptor, of whatever size they were, and whichever way each of them went.
 * And what each call to the system may answer: the linker puts ours in between.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/file.h"
#include "base/mem.h"
#include "disk.h"
#include "scratch.h"

#define PAGE       4096U
#define FILE_BYTES (1024U * 1024)

/* -- calls to the system that fail on request ---------------------------------------------- */

static struct {
    const char *call; /* NULL: none */
    int error;        /* 0: it does less than it was asked for */
    unsigned times;
    unsigned made; /* of that call, also those that did not fail */
} fault;

static void fault_set(const char *call, int error, unsigned times)
{
    fault.call = call;
    fault.error = error;
    fault.times = times;
    fault.made = 0;
}

static bool is_due(const char *call)
{
    if (fault.call == NULL || strcmp(fault.call, call) != 0) {
        return false;
    }
    fault.made++;
    if (fault.times == 0) {
        return false;
    }
    fault.times--;
    errno = fault.error;
    return true;
}

#define WRAP(type, name, parameters, arguments)              \
    type __real_##name parameters;                           \
    type __wrap_##name parameters;                           \
    type __wrap_##name parameters                            \
    {                                                        \
        return is_due(#name) ? -1 : __real_##name arguments; \
    }

WRAP(int, fstat64, (int fd, struct stat64 *st), (fd, st))
WRAP(int, fallocate64, (int fd, int mode, off64_t from, off64_t bytes), (fd, mode, from, bytes))
WRAP(int, fdatasync, (int fd), (fd))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
WRAP(int, unlinkat, (int dir, const char *name, int flags), (dir, name, flags))

/* Those that may do part of it. */
#define WRAP_PART(name, buffer)                                                     \
    ssize_t __real_##name(int fd, buffer bytes, size_t count, off64_t at);          \
    ssize_t __wrap_##name(int fd, buffer bytes, size_t count, off64_t at);          \
    ssize_t __wrap_##name(int fd, buffer bytes, size_t count, off64_t at)           \
    {                                                                               \
        if (is_due(#name)) {                                                        \
            return fault.error != 0 ? -1 : __real_##name(fd, bytes, count / 2, at); \
        }                                                                           \
        return __real_##name(fd, bytes, count, at);                                 \
    }

WRAP_PART(pread64, void *)
WRAP_PART(pwrite64, const void *)

/* Past the page cache or not: who is asked this decides nothing else. */
ssize_t __real_pwritev64v2(int fd, const struct iovec *parts, int count, off64_t at, int flags);
ssize_t __wrap_pwritev64v2(int fd, const struct iovec *parts, int count, off64_t at, int flags);
ssize_t __wrap_pwritev64v2(int fd, const struct iovec *parts, int count, off64_t at, int flags)
{
    if (is_due("pwritev64v2")) {
        struct iovec half = { parts[0].iov_base, parts[0].iov_len / 2 };

        return fault.error != 0 ? -1 : __real_pwritev64v2(fd, &half, 1, at, flags);
    }
    return __real_pwritev64v2(fd, parts, count, at, flags);
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
    return is_due("open64") ? -1 : __real_open64(path, flags, 0600);
}

/* ------------------------------------------------------------------------------------------ */

struct rig {
    const char *dir;
    struct consensus_disk disk;
    uint8_t *model[2];
    int files[2];
};

static int setup(void **state)
{
    static struct rig r;
    struct mu_err err = MU_ERR_NONE;
    uint64_t bytes;

    r.dir = scratch_dir();
    assert_int_equal(consensus__disk_open(&r.disk, r.dir, &err), MU_OK);
    for (int i = 0; i < 2; i++) {
        r.model[i] = mu_new(FILE_BYTES);
        assert_int_equal(
            r.disk.ops->open(r.disk.self, i == 0 ? "a" : "b", true, &r.files[i], &bytes, &err),
            MU_OK);
        assert_int_equal(r.disk.ops->reserve(r.disk.self, r.files[i], FILE_BYTES, &err), MU_OK);
    }
    *state = &r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    struct mu_err err = MU_ERR_NONE;

    fault_set(NULL, 0, 0);
    for (int i = 0; i < 2; i++) {
        r->disk.ops->close(r->disk.self, r->files[i]);
        mu_free(r->model[i]);
    }
    consensus__disk_close(&r->disk);
    assert_int_equal(mu_dir_remove(r->dir, &err), MU_OK);
    return 0;
}

static void put(struct rig *r, int which, uint64_t offset, size_t bytes, uint8_t seed)
{
    uint8_t *at = r->model[which] + offset;
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc;

    for (size_t i = 0; i < bytes; i++) {
        at[i] = (uint8_t)(seed + i / PAGE + i);
    }
    rc =
        r->disk.ops->write_sync(r->disk.self, r->files[which], offset, mu_span_of(at, bytes), &err);
    if (rc != MU_OK) {
        fail_msg("%s", err.text);
    }
}

static void check(struct rig *r)
{
    uint8_t *got = mu_new(FILE_BYTES);
    struct mu_err err = MU_ERR_NONE;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(r->disk.ops->read(r->disk.self, r->files[i], 0, got, FILE_BYTES, &err),
                         MU_OK);
        assert_memory_equal(got, r->model[i], FILE_BYTES);
    }
    mu_free(got);
}

static void every_size_is_read_back(void **state)
{
    static const size_t pages[] = { 1, 2, 15, 16, 17, 40 }; /* around what goes in one piece */
    struct rig *r = *state;
    uint64_t offset = PAGE;

    check(r);
    for (size_t i = 0; i < MU_LEN(pages); i++) {
        put(r, 0, offset, pages[i] * PAGE, (uint8_t)(i + 1));
        offset += pages[i] * PAGE;
        r->disk.ops->read_ahead(r->disk.self, r->files[0], offset - PAGE, 2 * FILE_BYTES);
        check(r);
    }
}

static void what_lies_in_the_page_cache_does_not_come_back(void **state)
{
    struct rig *r = *state;
    struct mu_err err = MU_ERR_NONE;

    memset(r->model[0], 0x5a, 8 * PAGE);
    assert_int_equal(
        r->disk.ops->write(r->disk.self, r->files[0], 0, mu_span_of(r->model[0], 8 * PAGE), &err),
        MU_OK); /* dirty still */
    put(r, 0, 2 * PAGE, PAGE, 1);
    check(r);
    put(r, 0, 2 * PAGE, 32 * PAGE, 2);
    put(r, 0, 3 * PAGE, PAGE, 3);
    check(r);
    assert_int_equal(r->disk.ops->sync(r->disk.self, r->files[0], &err), MU_OK);
    r->disk.ops->drop_cache(r->disk.self, r->files[0]);
    check(r);
}

/* The one that is written to changes with each new segment, and descriptors are used again. */
static void files_are_not_mixed_up(void **state)
{
    struct rig *r = *state;
    struct mu_err err = MU_ERR_NONE;
    uint64_t bytes;

    for (unsigned i = 0; i < 10; i++) {
        put(r, (int)(i % 2), (uint64_t)i * PAGE, PAGE, (uint8_t)i);
    }
    check(r);
    for (int i = 0; i < 2; i++) {
        r->disk.ops->close(r->disk.self, r->files[i]);
    }
    for (int i = 1; i >= 0; i--) { /* the other way round: the same descriptors, exchanged */
        assert_int_equal(
            r->disk.ops->open(r->disk.self, i == 0 ? "a" : "b", false, &r->files[i], &bytes, &err),
            MU_OK);
        assert_int_equal(bytes, FILE_BYTES);
    }
    put(r, 0, 0, PAGE, 100);
    put(r, 1, 0, PAGE, 101);
    check(r);
}

/* -- what the system may answer ------------------------------------------------------------- */

enum op { READ, WRITE, RESERVE, SYNC, WRITE_SYNC, OPEN, RENAME, REMOVE, SYNC_DIR };

static enum mu_code op_do(struct rig *r, enum op op, struct mu_err *err)
{
    const struct consensus_disk_ops *ops = r->disk.ops;
    uint8_t bytes[2 * PAGE];
    uint64_t there;
    int file;
    enum mu_code rc;

    memset(bytes, 0x3c, sizeof bytes);
    switch (op) {
    case READ: return ops->read(r->disk.self, r->files[0], 0, bytes, sizeof bytes, err);
    case WRITE:
        return ops->write(r->disk.self, r->files[0], 0, mu_span_of(bytes, sizeof bytes), err);
    case RESERVE: return ops->reserve(r->disk.self, r->files[1], FILE_BYTES, err);
    case SYNC: return ops->sync(r->disk.self, r->files[0], err);
    case WRITE_SYNC:
        return ops->write_sync(r->disk.self, r->files[0], 0, mu_span_of(bytes, sizeof bytes), err);
    case OPEN:
        rc = ops->open(r->disk.self, "a", false, &file, &there, err);
        if (rc == MU_OK) {
            ops->close(r->disk.self, file);
        }
        return rc;
    case RENAME: return ops->rename(r->disk.self, "a", "c", err);
    case REMOVE: return ops->remove(r->disk.self, "b", err);
    case SYNC_DIR: return ops->sync_dir(r->disk.self, err);
    }
    return MU_OK;
}

static void every_answer_of_the_system_is_understood(void **state)
{
    static const struct {
        const char *why;
        enum op op;
        const char *call;
        int error;
        enum mu_code code;
        unsigned made; /* calls, at least, when it is to go on */
        const char *text;
    } cases[] = {
        // clang-format off
        { "a signal while reading",             READ,       "pread64",     EINTR,      MU_OK,   2, "" },
        { "half was read",                      READ,       "pread64",     0,          MU_OK,   2, "" },
        { "a sector that cannot be read",       READ,       "pread64",     EIO,        MU_IO,   1, "read: " },
        { "a signal while writing",             WRITE,      "pwrite64",    EINTR,      MU_OK,   2, "" },
        { "half was written",                   WRITE,      "pwrite64",    0,          MU_OK,   2, "" },
        { "no space for what is written",       WRITE,      "pwrite64",    ENOSPC,     MU_FULL, 1, "write: " },
        { "a signal while reserving",           RESERVE,    "fallocate64", EINTR,      MU_OK,   2, "" },
        { "no space to reserve",                RESERVE,    "fallocate64", ENOSPC,     MU_FULL, 1, "reserve space: " },
        { "a quota",                            RESERVE,    "fallocate64", EDQUOT,     MU_FULL, 1, "reserve space: " },
        { "a file system without it",           RESERVE,    "fallocate64", EOPNOTSUPP, MU_OK,   1, "" },
        { "a kernel without it",                RESERVE,    "fallocate64", ENOSYS,     MU_OK,   1, "" },
        { "a flush is not tried twice",         SYNC,       "fdatasync",   EINTR,      MU_IO,   1, "flush: " },
        { "a flush that fails",                 SYNC,       "fdatasync",   EIO,        MU_IO,   1, "flush: " },
        { "half of it past the cache",          WRITE_SYNC, "pwritev64v2", 0,          MU_OK,   1, "" },
        { "a signal on the way past the cache", WRITE_SYNC, "pwritev64v2", EINTR,      MU_OK,   1, "" },
        { "the disk fails there",               WRITE_SYNC, "pwritev64v2", EIO,        MU_IO,   1, "write and flush: " },
        { "a full disk there",                  WRITE_SYNC, "pwritev64v2", ENOSPC,     MU_FULL, 1, "write and flush: " },
        { "no such flag",                       WRITE_SYNC, "pwritev64v2", EOPNOTSUPP, MU_OK,   1, "" },
        { "an alignment that does not do",      WRITE_SYNC, "pwritev64v2", EINVAL,     MU_OK,   1, "" },
        { "no such call",                       WRITE_SYNC, "pwritev64v2", ENOSYS,     MU_OK,   1, "" },
        { "a call that is not allowed",         WRITE_SYNC, "pwritev64v2", EPERM,      MU_OK,   1, "" },
        { "no way past the cache",              WRITE_SYNC, "open64",      EINVAL,     MU_OK,   1, "" },
        { "a file that cannot be looked at",    OPEN,       "fstat64",     EIO,        MU_IO,   1, "/a: " },
        { "a name that stays",                  RENAME,     "renameat",    ENOSPC,     MU_FULL, 1, "/a: " },
        { "a file that stays",                  REMOVE,     "unlinkat",    EROFS,      MU_READ_ONLY, 1, "/b: " },
        { "names that are not flushed",         SYNC_DIR,   "fsync",       EIO,        MU_IO,   1, "flush directory " },
    }; // clang-format on

    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_err err = MU_ERR_NONE;

        assert_int_equal(setup(state), 0);
        fault_set(cases[i].call, cases[i].error, 1);
        if (op_do(*state, cases[i].op, &err) != cases[i].code || fault.made < cases[i].made ||
            fault.times != 0 || (cases[i].made == 1 && cases[i].op == SYNC && fault.made != 1) ||
            strstr(err.text, cases[i].text) == NULL) {
            fail_msg("%s: %u calls, '%s'", cases[i].why, fault.made, err.text);
        }
        assert_int_equal(teardown(state), 0);
    }
}

/* Whatever was not possible the first time is not tried again, and all is durable all the same. */
static void without_a_way_past_the_cache_it_goes_through_it(void **state)
{
    static const char *const calls[] = { "open64", "pwritev64v2" };

    for (size_t i = 0; i < MU_LEN(calls); i++) {
        assert_int_equal(setup(state), 0);
        fault_set(calls[i], EINVAL, 1);
        put(*state, 0, 0, 2 * PAGE, 1);
        put(*state, 1, PAGE, PAGE, 2);
        put(*state, 0, 5 * PAGE, 40 * PAGE, 3);
        assert_int_equal(fault.made, 1);
        check(*state);
        assert_int_equal(teardown(state), 0);
    }
}

static void zeros_stand_in_for_reserved_blocks(void **state)
{
    struct rig *r = *state;
    struct mu_err err = MU_ERR_NONE;
    uint64_t bytes;
    int file;

    fault_set("fallocate64", EOPNOTSUPP, 1);
    assert_int_equal(r->disk.ops->open(r->disk.self, "c", true, &file, &bytes, &err), MU_OK);
    assert_int_equal(r->disk.ops->reserve(r->disk.self, file, FILE_BYTES + PAGE, &err), MU_OK);
    r->disk.ops->close(r->disk.self, file);
    assert_int_equal(r->disk.ops->open(r->disk.self, "c", false, &file, &bytes, &err), MU_OK);
    assert_int_equal(bytes, FILE_BYTES + PAGE);
    r->disk.ops->close(r->disk.self, file);
    assert_int_equal(r->disk.ops->open(r->disk.self, "c", true, &file, &bytes, &err), MU_IO);
    assert_non_null(strstr(err.text, "create "));
    assert_int_equal(r->disk.ops->open(r->disk.self, "d", false, &file, &bytes, &err),
                     MU_NOT_FOUND);
}

static void a_file_that_ends_too_soon_is_an_error(void **state)
{
    struct rig *r = *state;
    struct mu_err err = MU_ERR_NONE;
    uint8_t got[2 * PAGE];

    assert_int_equal(
        r->disk.ops->read(r->disk.self, r->files[0], FILE_BYTES - PAGE, got, 2 * PAGE, &err),
        MU_IO);
    assert_non_null(strstr(err.text, "the file ends at byte 1048576"));
}

/* Pieces of a file that is being filled are written out while it goes on. */
static void what_fails_on_the_way_through_the_cache_is_told(void **state)
{
    static const char *const calls[] = { "pwrite64", "fdatasync" };
    struct rig *r = *state;

    for (size_t i = 0; i < MU_LEN(calls); i++) {
        struct mu_err err = MU_ERR_NONE;

        fault_set(calls[i], ENOSPC, 1); /* larger than what goes past the page cache */
        assert_int_equal(r->disk.ops->write_sync(r->disk.self, r->files[0], 0,
                                                 mu_span_of(r->model[0], 32 * PAGE), &err),
                         MU_FULL);
    }
}

static void what_is_written_out_is_there(void **state)
{
    struct rig *r = *state;
    struct mu_err err = MU_ERR_NONE;

    for (uint64_t at = 0; at < FILE_BYTES; at += 16 * PAGE) {
        memset(r->model[0] + at, (int)(1 + at / PAGE), 16 * PAGE);
        assert_int_equal(r->disk.ops->write(r->disk.self, r->files[0], at,
                                            mu_span_of(r->model[0] + at, 16 * PAGE), &err),
                         MU_OK);
        r->disk.ops->write_out(r->disk.self, r->files[0], at, 16 * PAGE);
    }
    check(r);
}

static void a_directory_that_cannot_be_is_refused(void **state)
{
    struct rig *r = *state;
    struct consensus_disk disk = { NULL, NULL };
    struct mu_err err = MU_ERR_NONE;
    char path[5000];

    (void)snprintf(path, sizeof path, "%s/a", r->dir); /* a file */
    assert_int_not_equal(consensus__disk_open(&disk, path, &err), MU_OK);
    fault_set("open64", EACCES, 1);
    assert_int_equal(consensus__disk_open(&disk, r->dir, &err), MU_IO);
    assert_non_null(strstr(err.text, "open directory"));
    /* One whose own path can be had, and not that of a file in it. */
    size_t at = (size_t)snprintf(path, sizeof path, "%s", r->dir);

    while (at < 4093) {
        path[at++] = '/';
    }
    path[at] = '\0';
    assert_int_equal(consensus__disk_open(&disk, path, &err), MU_OK);
    assert_int_equal(disk.ops->lock(disk.self, "meta", &err), MU_INVALID);
    assert_non_null(strstr(err.text, "too long for a path"));
    consensus__disk_close(&disk);
    consensus__disk_close(&disk); /* again: nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_size_is_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(what_lies_in_the_page_cache_does_not_come_back, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(files_are_not_mixed_up, setup, teardown),
        cmocka_unit_test(every_answer_of_the_system_is_understood),
        cmocka_unit_test(without_a_way_past_the_cache_it_goes_through_it),
        cmocka_unit_test_setup_teardown(zeros_stand_in_for_reserved_blocks, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_ends_too_soon_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(what_fails_on_the_way_through_the_cache_is_told, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_written_out_is_there, setup, teardown),
        cmocka_unit_test_setup_teardown(a_directory_that_cannot_be_is_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
