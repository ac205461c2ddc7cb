/* test_disk_posix.c - writes that are durable when they return, on the file system that is here:
 * read back by another descriptor, of whatever size they were, and whichever way each of them went.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/file.h"
#include "base/mem.h"
#include "disk.h"

#define PAGE       4096U
#define FILE_BYTES (1024U * 1024)

struct rig {
    char dir[64];
    struct consensus_disk disk;
    uint8_t *model[2];
    int files[2];
};

static int setup(void **state)
{
    static struct rig r;
    struct mu_err err = MU_ERR_NONE;
    uint64_t bytes;

    (void)snprintf(r.dir, sizeof r.dir, "/tmp/muster-disk-XXXXXX");
    assert_non_null(mkdtemp(r.dir));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_size_is_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(what_lies_in_the_page_cache_does_not_come_back, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(files_are_not_mixed_up, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
