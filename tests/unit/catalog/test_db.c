/* The file of the state: how it is opened, what is durable in it, and what failures leave. */
#include "fixture.h"
#include "vfs.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

/* -- helpers ----------------------------------------------------------------------------------- */

static enum mu_code try_open(const char *path, struct mu_err *err)
{
    struct catalog_options options = { .path = path };
    struct catalog *c = NULL;
    enum mu_code rc = catalog_open(&c, &options, err);

    assert_true((rc == MU_OK) == (c != NULL));
    catalog_close(c);
    return rc;
}

static void expect_refused(const char *why, const char *path, enum mu_code code, const char *text)
{
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc = try_open(path, &err);

    if (rc != code || strstr(err.text, text) == NULL || strstr(err.text, path) == NULL) {
        fail_msg("%s: gave %s (%s), expected %s (%s)", why, mu_code_text(rc), err.text,
                 mu_code_text(code), text);
    }
}

static void write_file(const char *path, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static struct mu_buf read_file(const char *path)
{
    struct mu_buf b = MU_BUF_NONE;

    CHECK(mu_file_read(path, 256U * 1024 * 1024, &b, err));
    return b;
}

/* SQL on the file by a connection that knows nothing of us but the checksums. */
static void foreign_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                                     catalog__vfs_above("unix")),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void put_number(struct fixture *f, const char *key, uint64_t number)
{
    char text[32];

    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    fixture_put(f, key, text);
}

/* A value of this size under a key of its own. */
static void put_bulk(struct fixture *f, size_t bytes)
{
    struct command c = { .kind = COMMAND_KV_SET };
    uint8_t *value = mu_new(bytes);
    char key[32];

    memset(value, (int)(f->index & 0xff), bytes);
    (void)snprintf(key, sizeof key, "bulk/%llu", (unsigned long long)f->index);
    c.kv_set.key = mu_span_text(key);
    c.kv_set.value = mu_span_of(value, bytes);
    fixture_do(f, &c);
    mu_free(value);
}

/* -- opening ----------------------------------------------------------------------------------- */

static void a_new_file_is_ours_alone(void **state)
{
    struct fixture f;
    struct stat st;

    (void)state;
    fixture_init(&f, true);
    assert_int_equal(stat(f.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    struct catalog_applied applied = catalog_applied(f.catalog);

    assert_true(applied.index == 0 && applied.term == 0 && applied.stamp_ms == 0);
    assert_int_equal(catalog_durable(f.catalog), 0);
    CHECK(catalog_reader_applied(f.reader, &applied, err));
    assert_int_equal(applied.index, 0);
    fixture_check_hash(&f);
    fixture_deinit(&f);
}

static void files_that_are_no_state_are_refused(void **state)
{
    char garbage[8192];
    struct fixture f;
    char path[128];

    (void)state;
    fixture_init(&f, true);
    fixture_close(&f);
    memset(garbage, 'x', sizeof garbage);

    (void)snprintf(path, sizeof path, "%s/garbage", f.dir);
    write_file(path, garbage, sizeof garbage);
    expect_refused("garbage", path, MU_CORRUPT, "file is not a database");

    (void)snprintf(path, sizeof path, "%s/other.db", f.dir);
    foreign_sql(path, "PRAGMA auto_vacuum=2; PRAGMA application_id=7; CREATE TABLE t(a)");
    expect_refused("another program's", path, MU_FOREIGN, "a database of another program");

    (void)snprintf(path, sizeof path, "%s/plain.db", f.dir);
    foreign_sql(path, "PRAGMA auto_vacuum=0; VACUUM; CREATE TABLE t(a)");
    expect_refused("made with other settings", path, MU_CORRUPT, "auto_vacuum is 0 where 2 is");

    (void)snprintf(path, sizeof path, "%s/small.db", f.dir);
    foreign_sql(path, "PRAGMA page_size=1024; PRAGMA auto_vacuum=2; CREATE TABLE t(a)");
    expect_refused("other pages", path, MU_CORRUPT, "page_size is 1024 where 4096 is");

    expect_refused("a directory", f.dir, MU_IO, "");
    (void)snprintf(path, sizeof path, "%s/nowhere/state.db", f.dir);
    expect_refused("no directory", path, MU_NOT_FOUND, "No such file or directory");

    foreign_sql(f.path, "PRAGMA user_version=1000");
    expect_refused("a later schema", f.path, MU_UNSUPPORTED, "schema version 1000 is newer than");
    foreign_sql(f.path, "PRAGMA user_version=1");
    expect_refused("an earlier schema", f.path, MU_UNSUPPORTED, "schema version 1 is older than");
    foreign_sql(f.path, "PRAGMA user_version=0");
    expect_refused("a schema that never was", f.path, MU_CORRUPT, "version 0 was never written");
    foreign_sql(f.path, "PRAGMA user_version=6; DELETE FROM applied");
    expect_refused("no applied row", f.path, MU_CORRUPT, "no applied index in it");
    foreign_sql(f.path, "DROP TABLE idx");
    expect_refused("a table is missing", f.path, MU_IO, "no such table: idx");
    CHECK(mu_dir_remove(f.dir, err));
}

/* Written before there were coordinates, or an index of tagged addresses. */
static void earlier_schemas_are_brought_up_to_date(void **state)
{
    static const char *const earlier[] = {
        "DROP TABLE addresses; PRAGMA user_version=5",
        "DROP TABLE addresses; DROP TABLE coordinates; PRAGMA user_version=4",
    };
    struct mu_pair second = { MU_SPAN_LIT("lan_ipv6"), MU_SPAN_LIT("2001:db8::1") };
    struct command_service_address tagged = { MU_SPAN_LIT("wan"), MU_SPAN_LIT("203.0.113.9"), 80 };
    struct command c = { .kind = COMMAND_REGISTER,
                         .reg = { .has_service = true,
                                  .node = { .name = MU_SPAN_LIT("n1"),
                                            .address = MU_SPAN_LIT("10.0.0.1"),
                                            .has_tagged_addresses = true,
                                            .tagged_addresses = { &second, 1 } },
                                  .service = { .id = MU_SPAN_LIT("web"),
                                               .name = MU_SPAN_LIT("web"),
                                               .tagged_addresses = &tagged,
                                               .tagged_addresses_count = 1 } } };
    struct catalog_coordinates none;
    struct fixture f;

    (void)state;
    fixture_init(&f, true);
    fixture_do(&f, &c);
    for (size_t i = 0; i < MU_LEN(earlier); i++) {
        fixture_close(&f);
        foreign_sql(f.path, earlier[i]);
        fixture_open(&f);
        CHECK(catalog_query_coordinates(f.reader, &f.arena, &none, err));
        assert_int_equal(none.count, 0);
        assert_int_equal(fixture_count(&f, "SELECT count(*) FROM addresses"), 2);
        fixture_check_hash(&f);
    }
    fixture_deinit(&f);
}

/* What another process sees, run as one: argument 1 is the path. */
static int other_process(const char *path)
{
    struct mu_err err = MU_ERR_NONE;
    struct catalog_reader *reader = NULL;
    enum mu_code rc = try_open(path, &err);

    (void)printf("writer: %s: %s\n", mu_code_text(rc), err.text);
    err = MU_ERR_NONE;
    rc = catalog_reader_open(&reader, path, NULL, &err);
    (void)printf("reader: %s: %s\n", mu_code_text(rc), err.text);
    catalog_reader_close(reader);
    return 0;
}

static void another_process_is_refused(void **state)
{
    struct mu_buf expected = MU_BUF_NONE;
    char line[512];
    struct fixture f;
    size_t used;

    (void)state;
    fixture_init(&f, true);
    fixture_put(&f, "a", "1");
    (void)snprintf(line, sizeof line, "/proc/%d/exe --other %s", (int)getpid(), f.path);
    FILE *pipe = popen(line, "r");

    assert_non_null(pipe);
    used = fread(line, 1, sizeof line - 1, pipe);
    line[used] = '\0';
    assert_int_equal(pclose(pipe), 0);
    mu_buf_addf(&expected,
                "writer: belongs to somebody else: state %s: another process has it open\n"
                "reader: belongs to somebody else: state %s: another process has it open\n",
                f.path, f.path);
    assert_string_equal(line, mu_buf_text(&expected));
    fixture_put(&f, "a", "2"); /* and we go on */
    mu_buf_deinit(&expected);
    fixture_deinit(&f);
}

static void readers_need_a_file_that_is_there(void **state)
{
    struct catalog_reader *reader = NULL;
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    assert_int_equal(catalog_reader_open(&reader, "/nowhere/state.db", NULL, &err), MU_IO);
    assert_null(reader);
    assert_non_null(strstr(err.text, "/nowhere/state.db"));
    catalog_reader_close(NULL);
    catalog_close(NULL);
}

/* -- what is durable --------------------------------------------------------------------------- */

static void large_logs_are_written_back_and_small_ones_when_idle(void **state)
{
    struct fixture f;
    uint64_t durable = 77;

    (void)state;
    fixture_init(&f, true);
    put_bulk(&f, 100000); /* 25 pages and a few */
    CHECK(catalog_checkpoint(f.catalog, false, &durable, err));
    CHECK(catalog_checkpoint(f.catalog, true, &durable, err));
    assert_int_equal(durable, 77); /* not worth it yet */
    while (f.index < 25) {
        put_bulk(&f, 100000);
    }
    CHECK(catalog_checkpoint(f.catalog, false, &durable, err));
    assert_int_equal(durable, 77);
    CHECK(catalog_checkpoint(f.catalog, true, &durable, err));
    assert_int_equal(durable, 25);
    assert_int_equal(catalog_durable(f.catalog), 25);

    fixture_put(&f, "a", "1");
    durable = 77;
    CHECK(catalog_checkpoint(f.catalog, true, &durable, err));
    assert_int_equal(durable, 77); /* all but a few pages are in the file */

    while (f.index < 100) {
        put_bulk(&f, 500000);
    }
    CHECK(catalog_checkpoint(f.catalog, false, &durable, err));
    assert_int_equal(durable, 100);
    fixture_check_hash(&f);
    fixture_deinit(&f);
}

/* The file without its WAL is the state at the durable index, no less. */
static void the_file_alone_holds_what_is_durable(void **state)
{
    struct fixture f;
    struct fixture copy;
    uint64_t durable = 0;

    (void)state;
    fixture_init(&f, true);
    while (f.index < 30) {
        put_bulk(&f, 100000);
    }
    CHECK(catalog_checkpoint(f.catalog, true, &durable, err));
    assert_int_equal(durable, 30);
    fixture_put(&f, "later", "1");

    fixture_init(&copy, true);
    fixture_close(&copy);
    struct mu_buf bytes = read_file(f.path);

    write_file(copy.path, bytes.data, bytes.bytes);
    fixture_open(&copy);
    assert_int_equal(catalog_applied(copy.catalog).index, 30);
    fixture_check_hash(&copy);
    mu_buf_deinit(&bytes);
    fixture_deinit(&copy);
    fixture_deinit(&f);
}

/* SQLite stops reading a WAL at the first frame that fails its checksum, and takes what comes
 * before it for newer than the file. Had all of it been written back, old pages would hide newer
 * ones, and no checksum of a page tells. */
static void rot_in_a_wal_that_was_written_back_hides_nothing(void **state)
{
    struct fixture f;
    struct fixture copy;
    uint64_t durable = 0;
    uint8_t hash[16];
    char wal[128];

    (void)state;
    fixture_init(&f, true);
    fixture_init(&copy, true);
    fixture_close(&copy);
    for (uint64_t i = 1; i <= 300; i++) { /* the same pages over and over */
        put_number(&f, "a", i);
        put_number(&f, "b", i);
    }
    CHECK(catalog_checkpoint(f.catalog, true, &durable, err));
    assert_int_equal(durable, 600);
    struct mu_buf file = read_file(f.path);

    (void)snprintf(wal, sizeof wal, "%s-wal", f.path);
    struct mu_buf frames = read_file(wal);

    for (size_t i = 0; i < 16; i++) {
        struct catalog_options options = { .path = copy.path };
        struct catalog *c = NULL;

        write_file(copy.path, file.data, file.bytes);
        (void)snprintf(wal, sizeof wal, "%s-wal", copy.path);
        if (frames.bytes > 0) {
            frames.data[frames.bytes / 16 * i] ^= 1;
        }
        write_file(wal, frames.data, frames.bytes);
        CHECK(catalog_open(&c, &options, err));
        CHECK(catalog_recount(c, hash, err));
        struct catalog_applied applied = catalog_applied(c);

        assert_int_equal(applied.index, durable);
        assert_memory_equal(hash, applied.hash, sizeof hash);
        catalog_close(c);
        if (frames.bytes > 0) {
            frames.data[frames.bytes / 16 * i] ^= 1;
        }
    }
    mu_buf_deinit(&file);
    mu_buf_deinit(&frames);
    (void)unlink(wal);
    fixture_open(&copy);
    fixture_deinit(&copy);
    fixture_deinit(&f);
}

static void a_reader_in_its_turn_holds_up_what_is_durable(void **state)
{
    struct catalog_applied seen;
    struct fixture f;
    uint64_t durable = 0;

    (void)state;
    fixture_init(&f, true);
    fixture_put(&f, "a", "1");
    CHECK(catalog_reader_applied(f.reader, &seen, err)); /* the turn begins */
    while (f.index < 30) {
        put_bulk(&f, 100000);
    }
    CHECK(catalog_checkpoint(f.catalog, true, &durable, err));
    assert_int_equal(durable, 0);
    CHECK(catalog_reader_applied(f.reader, &seen, err));
    assert_int_equal(seen.index, 1); /* still the same state */
    catalog_reader_release(f.reader);
    CHECK(catalog_reader_applied(f.reader, &seen, err));
    assert_int_equal(seen.index, 30);
    catalog_reader_release(f.reader);
    catalog_reader_release(f.reader); /* twice is fine */
    CHECK(catalog_checkpoint(f.catalog, true, &durable, err));
    assert_int_equal(durable, 30);
    fixture_deinit(&f);
}

/* A WAL beyond all bounds, because of a reader that never lets go: applying goes on at once. */
static void a_stuck_reader_does_not_stop_the_writer(void **state)
{
    struct catalog_applied seen;
    struct fixture f;
    uint64_t durable = 0;

    (void)state;
    fixture_init(&f, true);
    fixture_put(&f, "a", "1");
    CHECK(catalog_reader_applied(f.reader, &seen, err)); /* the turn begins */
    while (f.index < 140) {
        put_bulk(&f, 500000);
    }
    assert_true(f.catalog->wal_pages > 16384);
    uint64_t start_ms = mu_clock_ms();

    CHECK(catalog_checkpoint(f.catalog, false, &durable, err));
    assert_true(mu_clock_ms() - start_ms < 8000); /* waiting for a lock would take ten seconds */
    assert_int_equal(durable, 0);
    catalog_reader_release(f.reader);
    CHECK(catalog_checkpoint(f.catalog, false, &durable, err));
    assert_int_equal(durable, 140);
    fixture_put(&f, "a", "2");
    assert_true(f.catalog->wal_pages < 100); /* it has started over */
    fixture_deinit(&f);
}

/* The files as a power cut may leave them: the WAL cut anywhere. What opens is some commit. */
static void a_cut_wal_gives_an_earlier_commit(void **state)
{
    struct fixture f;
    struct fixture copy;
    char wal[128];
    uint64_t last = 0;

    (void)state;
    fixture_init(&f, true);
    for (uint64_t i = 1; i <= 40; i++) {
        put_number(&f, "a", i);
        put_number(&f, "b", i);
    }
    (void)snprintf(wal, sizeof wal, "%s-wal", f.path);
    struct mu_buf main_bytes = read_file(f.path);
    struct mu_buf wal_bytes = read_file(wal);

    fixture_init(&copy, true);
    (void)snprintf(wal, sizeof wal, "%s-wal", copy.path);
    for (size_t cut = 0; cut <= wal_bytes.bytes; cut += wal_bytes.bytes / 61) {
        fixture_close(&copy);
        write_file(copy.path, main_bytes.data, main_bytes.bytes);
        write_file(wal, wal_bytes.data, cut);
        fixture_open(&copy);
        uint64_t index = catalog_applied(copy.catalog).index;

        assert_true(index >= last && index <= f.index);
        assert_int_equal(catalog_durable(copy.catalog), index); /* opening flushed it */
        fixture_check_hash(&copy);
        last = index;
    }
    assert_true(last > 70); /* nearly all of it, at the last cut */
    mu_buf_deinit(&main_bytes);
    mu_buf_deinit(&wal_bytes);
    fixture_deinit(&copy);
    fixture_deinit(&f);
}

/* -- failures ---------------------------------------------------------------------------------- */

static struct mu_span a_value(size_t bytes)
{
    static uint8_t room[200000];

    assert_true(bytes <= sizeof room);
    return mu_span_of(room, bytes);
}

static void a_full_disk_fails_the_call_and_keeps_the_past(void **state)
{
    struct command c = { .kind = COMMAND_KV_SET, .kv_set = { .key = MU_SPAN_LIT("big") } };
    struct mu_err why = MU_ERR_NONE;
    struct mu_buf bytes = MU_BUF_NONE;
    struct catalog_result result;
    struct catalog_kvs list;
    struct fixture f;

    (void)state;
    fixture_init(&f, true);
    fixture_put(&f, "a", "1");
    struct catalog_applied before = catalog_applied(f.catalog);

    (void)fixture_count(&f, "PRAGMA max_page_count=40");
    c.kv_set.value = a_value(200000);
    CHECK(command_encode(&c, &bytes, err));
    fixture_begin(&f);
    enum mu_code rc = catalog_apply(f.catalog, 2, 1, mu_buf_span(&bytes), &result, &why);

    assert_int_equal(rc, MU_FULL);
    assert_non_null(strstr(why.text, "entry 2: kv-set: state "));
    catalog_rollback(f.catalog);

    struct catalog_applied after = catalog_applied(f.catalog);

    assert_int_equal(after.index, 1);
    assert_memory_equal(after.hash, before.hash, sizeof before.hash);
    fixture_check_hash(&f);
    (void)fixture_count(&f, "PRAGMA max_page_count=1000000");
    fixture_reopen(&f);
    assert_int_equal(catalog_applied(f.catalog).index, 1);
    fixture_put(&f, "a", "2");
    CHECK(catalog_query_key(f.reader, &f.arena, MU_SPAN_LIT("a"), &list, err));
    assert_true(mu_span_eq_text(list.items[0].value, "2"));
    mu_buf_deinit(&bytes);
    fixture_deinit(&f);
}

/* The kernel refuses to make any file longer: the commit fails, not the process. */
static void a_failed_commit_keeps_the_past(void **state)
{
    struct catalog_changes *changes = NULL;
    struct mu_err err = MU_ERR_NONE;
    struct rlimit old;
    struct fixture f;

    (void)state;
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    fixture_init(&f, true);
    fixture_put(&f, "a", "1");
    struct command c = { .kind = COMMAND_KV_SET,
                         .kv_set = { .key = MU_SPAN_LIT("big"), .value = a_value(200000) } };

    fixture_begin(&f);
    mu_free(fixture_apply(&f, &c).text);
    struct rlimit tight = { .rlim_cur = 65536, .rlim_max = old.rlim_max };

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    enum mu_code rc = catalog_commit(f.catalog, &changes, &err);

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(rc, MU_IO);
    assert_null(changes);
    catalog_rollback(f.catalog);
    assert_int_equal(catalog_applied(f.catalog).index, 1);
    fixture_check_hash(&f);
    fixture_reopen(&f);
    assert_int_equal(catalog_applied(f.catalog).index, 1);
    fixture_check_hash(&f);
    fixture_deinit(&f);
}

/* A bit that rots inside of a value is nothing SQLite could notice: the hash does. */
/* One flipped bit, in the bytes of a value, is never read as a value. */
static void rot_shows_when_a_page_is_read(void **state)
{
    struct mu_err why = MU_ERR_NONE;
    uint8_t hash[16];
    char wal[128];
    struct fixture f;
    uint64_t durable = 0;

    (void)state;
    fixture_init(&f, true);
    fixture_put(&f, "a", "a value that is easy to find");
    while (f.index < 30) {
        put_bulk(&f, 100000);
    }
    CHECK(catalog_checkpoint(f.catalog, true, &durable, err));
    fixture_close(&f);
    struct mu_buf bytes = read_file(f.path);
    uint8_t *at = memmem(bytes.data, bytes.bytes, "easy to find", 12);

    assert_non_null(at);
    *at ^= 1;
    write_file(f.path, bytes.data, bytes.bytes);
    (void)snprintf(wal, sizeof wal, "%s-wal", f.path);
    assert_int_equal(unlink(wal), 0); /* written back: or its copy of the page would be read */
    fixture_open(&f);
    assert_int_equal(catalog_recount(f.catalog, hash, &why), MU_CORRUPT);
    assert_non_null(strstr(why.text, "a page fails its checksum"));
    assert_non_null(strstr(why.text, f.path));
    mu_buf_deinit(&bytes);
    fixture_deinit(&f);
}

/* Any page, any of its bytes, and pages that lie where another belongs: found, or of no meaning. */
static void no_page_is_mistaken_for_another(void **state)
{
    struct fixture f;
    uint64_t durable = 0;
    size_t found = 0;
    size_t tried = 0;

    (void)state;
    fixture_init(&f, true);
    while (f.index < 30) {
        put_bulk(&f, 20000);
    }
    CHECK(catalog_relieve(f.catalog, &durable, err));
    fixture_close(&f);
    struct mu_buf bytes = read_file(f.path);

    for (size_t page = 0; page < bytes.bytes / VFS_PAGE_BYTES; page++, tried++) {
        struct mu_buf copy = MU_BUF_NONE;
        struct catalog *c = NULL;
        struct catalog_options options = { .path = f.path };
        uint8_t hash[16];
        uint8_t *at;

        mu_buf_add_span(&copy, mu_buf_span(&bytes));
        at = copy.data + page * VFS_PAGE_BYTES;
        if (page % 3 == 0 && page > 0) {
            memcpy(at, at - VFS_PAGE_BYTES, VFS_PAGE_BYTES); /* went elsewhere */
        } else {
            at[page * 37 % VFS_PAGE_BYTES] ^= (uint8_t)(1 << page % 8);
        }
        write_file(f.path, copy.data, copy.bytes);
        mu_buf_deinit(&copy);
        enum mu_code rc = catalog_open(&c, &options, NULL);

        rc = rc == MU_OK ? catalog_recount(c, hash, NULL) : rc;
        if (rc == MU_OK) { /* an index or a free page, which that does not read */
            assert_memory_equal(hash, catalog_applied(c).hash, sizeof hash);
        }
        found += rc == MU_CORRUPT || rc == MU_FOREIGN;
        catalog_close(c);
    }
    assert_true(tried > 100);
    assert_true(found > tried * 9 / 10);
    write_file(f.path, bytes.data, bytes.bytes);
    mu_buf_deinit(&bytes);
    fixture_open(&f);
    fixture_deinit(&f);
}

/* -- at rest ----------------------------------------------------------------------------------- */

static void free_pages_go_back_in_slices(void **state)
{
    struct command c = { .kind = COMMAND_REGISTER };
    struct command_check checks[8];
    struct fixture f;
    uint64_t durable = 0;

    (void)state;
    fixture_init(&f, true);
    c.reg.node.name = MU_SPAN_LIT("n1");
    c.reg.node.address = MU_SPAN_LIT("10.0.0.1");
    c.reg.checks = checks;
    c.reg.checks_count = MU_LEN(checks);
    memset(checks, 0, sizeof checks);
    for (size_t i = 0; i < 20; i++) {
        char ids[MU_LEN(checks)][16];

        for (size_t k = 0; k < MU_LEN(checks); k++) {
            (void)snprintf(ids[k], sizeof ids[k], "c%zu-%zu", i, k);
            checks[k].id = mu_span_text(ids[k]);
            checks[k].output = a_value(20000);
        }
        fixture_do(&f, &c);
    }
    uint64_t pages = fixture_count(&f, "PRAGMA page_count");

    assert_true(pages > 800);
    fixture_do(&f, &(struct command){ .kind = COMMAND_DEREGISTER,
                                      .dereg = { .node = MU_SPAN_LIT("n1") } });
    assert_true(fixture_count(&f, "PRAGMA freelist_count") > 700);
    CHECK(catalog_checkpoint(f.catalog, false, &durable, err)); /* busy: not now */
    assert_int_equal(fixture_count(&f, "PRAGMA page_count"), pages);
    CHECK(catalog_checkpoint(f.catalog, true, &durable, err));
    assert_in_range(fixture_count(&f, "PRAGMA page_count"), pages - 260, pages - 250);
    int slices = 1;

    for (; catalog_has_slack(f.catalog); slices++) {
        CHECK(catalog_checkpoint(f.catalog, true, &durable, err));
    }
    assert_in_range(slices, 2, 5);
    assert_in_range(fixture_count(&f, "PRAGMA freelist_count"), 0, 255);
    CHECK(catalog_relieve(f.catalog, &durable, err));
    assert_int_equal(catalog_bytes(f.catalog),
                     4096 * (fixture_count(&f, "PRAGMA page_count") -
                             fixture_count(&f, "PRAGMA freelist_count")));
    fixture_check_hash(&f);
    fixture_deinit(&f);
}

static void pages_in_memory_go_back_when_idle(void **state)
{
    struct catalog_kvs list;
    struct fixture f;
    uint64_t durable = 0;
    int used = 0;
    int highest = 0;

    (void)state;
    fixture_init(&f, true);
    while (f.index < 30) {
        put_bulk(&f, 100000);
    }
    (void)sqlite3_db_status(f.catalog->db.db, SQLITE_DBSTATUS_CACHE_USED, &used, &highest, 0);
    assert_true(used > 2000000);
    CHECK(catalog_checkpoint(f.catalog, true, &durable, err));
    (void)sqlite3_db_status(f.catalog->db.db, SQLITE_DBSTATUS_CACHE_USED, &used, &highest, 0);
    assert_true(used < 100000);
    CHECK(catalog_query_prefix(f.reader, &f.arena, MU_SPAN_NONE, &list, err));
    assert_int_equal(list.count, 30);
    catalog_reader_rest(
        f.reader); /* within its turn: a read came before in this turn of the loop */
    fixture_put(&f, "a", "1");
    fixture_check_hash(&f);
    CHECK(catalog_query_prefix(f.reader, &f.arena, MU_SPAN_NONE, &list, err));
    assert_int_equal(list.count, 31); /* the turn had ended */
    catalog_reader_release(f.reader);
    catalog_reader_rest(f.reader); /* and between turns */
    fixture_deinit(&f);
}

/* -- threads ----------------------------------------------------------------------------------- */

struct beside {
    const char *path;
    bool is_over; /* atomic: the writer is done */
    uint64_t turns, states;
};

static bool is_over(struct beside *b)
{
    return __atomic_load_n(&b->is_over, __ATOMIC_ACQUIRE);
}

/* Two keys that are always written in one entry's transaction, and the applied index: a turn sees
 * one state, and states only go forward. */
static void *read_beside(void *data)
{
    struct beside *b = data;
    struct catalog_reader *r = NULL;
    struct mu_arena arena;
    uint64_t last = 0;

    mu_arena_init(&arena, 0);
    MU_ASSERT(catalog_reader_open(&r, b->path, NULL, NULL) == MU_OK);
    while (!is_over(b) || b->turns == 0) {
        struct catalog_applied first;
        struct catalog_applied second;
        struct catalog_kvs one;
        struct catalog_kvs two;

        mu_arena_reset(&arena);
        MU_ASSERT(catalog_reader_applied(r, &first, NULL) == MU_OK);
        MU_ASSERT(catalog_query_key(r, &arena, MU_SPAN_LIT("one"), &one, NULL) == MU_OK);
        MU_ASSERT(catalog_query_key(r, &arena, MU_SPAN_LIT("two"), &two, NULL) == MU_OK);
        MU_ASSERT(catalog_reader_applied(r, &second, NULL) == MU_OK);
        catalog_reader_release(r);
        MU_ASSERT(first.index == second.index && first.index >= last);
        MU_ASSERT(one.count == two.count);
        MU_ASSERT(one.count == 0 || mu_span_eq(one.items[0].value, two.items[0].value));
        b->states += first.index > last;
        b->turns++;
        last = first.index;
    }
    catalog_reader_close(r);
    mu_arena_deinit(&arena);
    return NULL;
}

static void readers_on_other_threads_see_whole_states(void **state)
{
    struct beside readers[2];
    pthread_t threads[2];
    struct fixture f;
    uint64_t durable = 0;

    (void)state;
    fixture_init(&f, true);
    for (size_t i = 0; i < MU_LEN(threads); i++) {
        readers[i] = (struct beside){ .path = f.path };
        assert_int_equal(pthread_create(&threads[i], NULL, read_beside, &readers[i]), 0);
    }
    for (uint64_t i = 0; i < 3000; i++) {
        char text[32];
        struct command c = { .kind = COMMAND_KV_SET };

        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)i);
        c.kv_set =
            (struct command_kv_set){ .key = MU_SPAN_LIT("one"), .value = mu_span_text(text) };
        fixture_begin(&f);
        mu_free(fixture_apply(&f, &c).text);
        c.kv_set.key = MU_SPAN_LIT("two");
        mu_free(fixture_apply(&f, &c).text);
        catalog_changes_free(fixture_commit(&f));
        CHECK(catalog_checkpoint(f.catalog, i % 100 == 0, &durable, err));
    }
    for (size_t i = 0; i < MU_LEN(threads); i++) {
        __atomic_store_n(&readers[i].is_over, true, __ATOMIC_RELEASE);
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(readers[i].turns > 0 && readers[i].states > 0);
    }
    fixture_check_hash(&f);
    fixture_deinit(&f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_file_is_ours_alone),
        cmocka_unit_test(files_that_are_no_state_are_refused),
        cmocka_unit_test(earlier_schemas_are_brought_up_to_date),
        cmocka_unit_test(another_process_is_refused),
        cmocka_unit_test(readers_need_a_file_that_is_there),
        cmocka_unit_test(large_logs_are_written_back_and_small_ones_when_idle),
        cmocka_unit_test(the_file_alone_holds_what_is_durable),
        cmocka_unit_test(a_reader_in_its_turn_holds_up_what_is_durable),
        cmocka_unit_test(a_stuck_reader_does_not_stop_the_writer),
        cmocka_unit_test(a_cut_wal_gives_an_earlier_commit),
        cmocka_unit_test(rot_in_a_wal_that_was_written_back_hides_nothing),
        cmocka_unit_test(a_full_disk_fails_the_call_and_keeps_the_past),
        cmocka_unit_test(a_failed_commit_keeps_the_past),
        cmocka_unit_test(rot_shows_when_a_page_is_read),
        cmocka_unit_test(no_page_is_mistaken_for_another),
        cmocka_unit_test(free_pages_go_back_in_slices),
        cmocka_unit_test(pages_in_memory_go_back_when_idle),
        cmocka_unit_test(readers_on_other_threads_see_whole_states),
    };

    if (argc == 3 && strcmp(argv[1], "--other") == 0) {
        return other_process(argv[2]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
