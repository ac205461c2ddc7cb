/* The state read again: every page in use is looked at, rows must add up, and nobody is in the way
 * of writers for long. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc.h"
#include "base/wire.h"
#include "catalog/scrub.h"
#include "fixture.h"
#include "vfs.h"

struct watcher {
    struct fixture *f;
    size_t bytes, rests;
    size_t stop_after;  /* rests; 0: never */
    size_t write_after; /* rests: then somebody writes a lot; 0: nobody does */
};

/* What is there already is not written again: another value each time. */
static void write_much(struct fixture *f, char letter)
{
    static char value[100001];

    memset(value, letter, sizeof value - 1);
    for (unsigned i = 0; i < 20; i++) {
        char key[16];

        (void)snprintf(key, sizeof key, "much/%u", i);
        fixture_put(f, key, value);
    }
}

static bool on_pace(void *data, size_t bytes)
{
    struct watcher *w = data;

    w->bytes += bytes;
    w->rests++;
    if (w->rests == w->write_after) {
        write_much(w->f, 'w');
    }
    return w->stop_after == 0 || w->rests < w->stop_after;
}

static enum mu_code scrub(struct fixture *f, struct watcher *w, uint64_t wal_bytes_max,
                          struct catalog_scrub *out, struct mu_err *err)
{
    struct catalog_reader *reader = NULL;

    *out = (struct catalog_scrub){ .pace = on_pace, .data = w, .wal_bytes_max = wal_bytes_max };
    *err = (struct mu_err)MU_ERR_NONE;
    w->f = f;
    assert_int_equal(catalog_reader_open(&reader, f->path, NULL, err), MU_OK);
    enum mu_code rc = catalog_scrub(reader, out, err);

    catalog_reader_close(reader);
    assert_int_equal(rc, err->code);
    return rc;
}

/* All of it in the file, some pages of each kind. */
static void filled(struct fixture *f)
{
    uint64_t durable = 0;

    fixture_init(f, true);
    write_much(f, 'v');
    for (unsigned i = 0; i < 300; i++) {
        char key[16];

        (void)snprintf(key, sizeof key, "k%03u", i);
        fixture_put(f, key, "value");
    }
    CHECK(catalog_relieve(f->catalog, &durable, err));
    assert_int_equal(durable, f->index);
}

static uint64_t size_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_size;
}

static void what_is_whole_is_read_to_its_end(void **state)
{
    struct catalog_scrub s;
    struct watcher w = { .rests = 0 };
    struct mu_err err;
    struct fixture f;

    (void)state;
    filled(&f);
    if (scrub(&f, &w, 0, &s, &err) != MU_OK) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(s.applied.index, f.index);
    assert_false(s.differs);
    assert_int_equal(s.bytes, w.bytes);
    assert_true(s.bytes >= size_of(f.path)); /* trees, then rows */
    fixture_put(&f, "only in the WAL", "as yet");
    assert_int_equal(scrub(&f, &w, 0, &s, &err), MU_OK);
    assert_int_equal(s.applied.index, f.index);
    fixture_deinit(&f);
}

/* What is written meanwhile is not its business; a state of one moment is what it reads. */
static void writes_go_on_meanwhile(void **state)
{
    struct catalog_scrub s;
    struct watcher w = { .write_after = 40 };
    struct mu_err err;
    struct fixture f;

    (void)state;
    filled(&f);
    uint64_t before = f.index;

    assert_int_equal(scrub(&f, &w, 0, &s, &err), MU_OK);
    assert_int_equal(s.applied.index, before);
    assert_true(f.index > before);
    w = (struct watcher){ .write_after = 40 };
    assert_int_equal(scrub(&f, &w, 1024 * 1024, &s, &err), MU_BUSY);
    assert_non_null(strstr(err.text, "WAL"));
    w = (struct watcher){ .stop_after = 10 };
    assert_int_equal(scrub(&f, &w, 0, &s, &err), MU_CANCELLED);
    assert_int_equal(w.rests, 10);
    fixture_deinit(&f);
}

static void flip(const char *path, uint64_t offset)
{
    uint8_t byte;
    int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
    byte ^= 0x20;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
    assert_int_equal(close(fd), 0);
}

/* The file is given another content while nobody has it open. */
static void every_page_in_use_is_looked_at(void **state)
{
    struct catalog_scrub s;
    struct mu_err err;
    struct fixture f;
    size_t found = 0;

    (void)state;
    filled(&f);
    fixture_close(&f);
    uint64_t pages = size_of(f.path) / VFS_PAGE_BYTES;

    for (uint64_t page = 3; page < pages; page += 7) { /* an open reads the first ones itself */
        struct watcher w = { .rests = 0 };

        flip(f.path, page * VFS_PAGE_BYTES + 1000);
        enum mu_code rc = scrub(&f, &w, 0, &s, &err);

        flip(f.path, page * VFS_PAGE_BYTES + 1000);
        assert_true(rc == MU_OK || rc == MU_CORRUPT);
        found += rc == MU_CORRUPT;
        assert_true(rc == MU_OK || strstr(err.text, f.path) != NULL);
    }
    assert_true(found * 10 > pages / 7 * 9); /* those that are free are not read */
    fixture_open(&f);
    fixture_deinit(&f);
}

/* A row that is another one on a page with the right sum: nothing but the hash can tell. */
static void rows_have_to_add_up(void **state)
{
    struct watcher w = { .rests = 0 };
    struct catalog_scrub s;
    struct mu_err err;
    struct fixture f;

    (void)state;
    filled(&f);
    fixture_close(&f);
    uint64_t pages = size_of(f.path) / VFS_PAGE_BYTES;
    uint8_t page[VFS_PAGE_BYTES];
    bool is_done = false;

    /* Not one of the first, which may hold what was moved elsewhere since. */
    for (uint64_t i = pages / 2; i < pages && !is_done; i++) {
        int fd = open(f.path, O_RDWR | O_CLOEXEC);

        assert_int_equal(pread(fd, page, sizeof page, (off_t)(i * sizeof page)), sizeof page);
        is_done = memcmp(page + 2000, "vvvvvvvv", 8) == 0; /* of a value, on an overflow page */
        if (is_done) {
            struct mu_wr wr = mu_wr_of(page + sizeof page - VFS_RESERVED_BYTES, 4);

            page[2000] = 'w';
            mu_wr_u32le(&wr, mu_crc32c((uint32_t)i + 1, page, sizeof page - VFS_RESERVED_BYTES));
            assert_int_equal(pwrite(fd, page, sizeof page, (off_t)(i * sizeof page)), sizeof page);
        }
        assert_int_equal(close(fd), 0);
    }
    assert_true(is_done);
    assert_int_equal(scrub(&f, &w, 0, &s, &err), MU_CORRUPT);
    assert_true(s.differs);
    assert_non_null(strstr(err.text, "do not add up"));
    fixture_open(&f);
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_whole_is_read_to_its_end),
        cmocka_unit_test(writes_go_on_meanwhile),
        cmocka_unit_test(every_page_in_use_is_looked_at),
        cmocka_unit_test(rows_have_to_add_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
