/* db.c - the file of the state: created or opened, changed in transactions, written back.
 *
 * One transaction holds the changes of many log entries and the row that says which. Committing it
 * flushes nothing: what is durable is the log. After a crash the file is at some earlier commit,
 * the applied row says which one, and the log is replayed from there. A checkpoint flushes the WAL
 * and copies it into the file; the entry applied before it is from then on durable here, and the
 * log behind it may go (spec/consensus.md 3.4).
 *
 * This connection is the only one that writes and the only one that checkpoints, both on the apply
 * thread. That is also what keeps clear of a race in all SQLite versions before 3.51.3, in which a
 * checkpoint by one connection and a commit by another at the same instant can lose pages.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "core.h"
#include "mvcc.h"
#include "schema.h"

/* When the WAL is written back, in pages (spec/consensus.md 3.4). Fewer, larger checkpoints halve
 * the cost of writing; idle ones keep a restart short. */
#define PAGE_BYTES            4096
#define CHECKPOINT_PAGES      8000
#define CHECKPOINT_PAGES_IDLE 500
/* Beyond these a reader that never lets go holds the WAL: try to start it over, then to cut it. */
#define RESTART_PAGES  (64 * 1024 / 4)
#define TRUNCATE_PAGES (256 * 1024 / 4)
/* Free pages worth giving back when idle, and how many at a time: one slice takes milliseconds. */
#define VACUUM_PAGES 256

/* Most commands fit the block of the entry's arena that is kept from one to the next. */
#define ARENA_BLOCK ((size_t)16 * 1024)

/* -- opening ----------------------------------------------------------------------------------- */

/* An empty file is a database without a table. Made here and not by SQLite for its mode: it holds
 * keys and values of others. */
static enum mu_code create_file(const struct catalog_files *files, const char *path,
                                struct mu_err *err)
{
    if (files != NULL) {
        return files->create(files->self, path, err);
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0) {
        return mu_fail(err, mu_file_code(errno), "state %s: %s", path, strerror(errno));
    }
    (void)close(fd);
    return MU_OK;
}

static enum mu_code sync_dir_of(const struct catalog_files *files, const char *path,
                                struct mu_err *err)
{
    if (files != NULL) {
        return files->sync_dir(files->self, path, err);
    }
    char *copy = mu_strdup(path);
    enum mu_code rc = mu_dir_sync(dirname(copy), err);

    mu_free(copy);
    return rc;
}

static enum mu_code prepare_all(struct catalog *c, struct mu_err *err)
{
    char by_uuid[256];
    char range[256];
    char held[256];
    char of_node[256];
    char oldest[256];
    char markers[256];
    const struct {
        sqlite3_stmt **to;
        const char *sql;
    } statements[] = {
        { &c->begin, "BEGIN IMMEDIATE" },
        { &c->commit, "COMMIT" },
        { &c->rollback, "ROLLBACK" },
        { &c->set_applied, "UPDATE applied SET idx = ?, term = ?, stamp = ?, hash = ?" },
        { &c->node_by_uuid, by_uuid },
        { &c->any_instance, "SELECT 1 FROM services WHERE name_key = ? LIMIT 1" },
        { &c->kv_range, range },
        { &c->kv_version, "SELECT value, flags FROM kv_hist_1 WHERE id = ?" },
        { &c->kv_held, held },
        { &c->sessions_of_node, of_node },
        { &c->all_origins, "SELECT id, boot, high, idx, seen, effect FROM origins ORDER BY id" },
        { &c->oldest_request, oldest },
        { &c->kv_history,
          "SELECT id, prev FROM kv_hist_1 WHERE id >= ? AND id < ? ORDER BY id LIMIT ?" },
        { &c->kv_markers, markers },
        { &c->staged_last, "SELECT at, id, length(data) FROM staged ORDER BY at DESC LIMIT 1" },
        { &c->staged_from, "SELECT at, id, data FROM staged WHERE at >= ? ORDER BY at LIMIT 1" },
        { &c->savepoint, "SAVEPOINT txn" },
        { &c->savepoint_back, "ROLLBACK TO txn" },
        { &c->savepoint_end, "RELEASE txn" },
        { &c->delays_over, "SELECT key, until FROM lock_delays WHERE until <= ? ORDER BY until, "
                           "key LIMIT ?" },
    };
    enum mu_code rc = MU_OK;

    (void)snprintf(by_uuid, sizeof by_uuid, "SELECT %s FROM nodes WHERE uuid = ? ORDER BY key",
                   catalog__row_columns(ROW_NODES));
    (void)snprintf(range, sizeof range, "SELECT %s FROM kv_cur_1 WHERE key >= ? ORDER BY key",
                   catalog__row_columns(ROW_KV_CUR_1));
    (void)snprintf(held, sizeof held,
                   "SELECT %s FROM kv_cur_1 WHERE key IN (SELECT key FROM kv_locks_1 WHERE session "
                   "= ?) ORDER BY key",
                   catalog__row_columns(ROW_KV_CUR_1));
    (void)snprintf(of_node, sizeof of_node, "SELECT %s FROM sessions WHERE node = ? ORDER BY id",
                   catalog__row_columns(ROW_SESSIONS));
    (void)snprintf(markers, sizeof markers,
                   "SELECT %s FROM kv_dead_1 WHERE id < ? ORDER BY id LIMIT ?",
                   catalog__row_columns(ROW_KV_DEAD_1));
    (void)snprintf(oldest, sizeof oldest, "SELECT %s FROM requests ORDER BY idx LIMIT 1",
                   catalog__row_columns(ROW_REQUESTS));
    for (size_t i = 0; rc == MU_OK && i < MU_LEN(statements); i++) {
        rc = catalog__prepare(&c->db, statements[i].sql, statements[i].to, err);
    }
    return rc == MU_OK
               ? catalog__rows_init(&c->rows, &c->db, &c->now.sum, c->now.schema->tables, err)
               : rc;
}

static enum mu_code load_applied(struct catalog *c, struct mu_err *err)
{
    sqlite3_stmt *s = NULL;
    bool has_row = false;
    enum mu_code rc =
        catalog__prepare(&c->db, "SELECT idx, term, stamp, hash FROM applied", &s, err);

    if (rc == MU_OK) {
        rc = catalog__step(&c->db, s, &has_row, err);
    }
    if (rc == MU_OK && (!has_row || sqlite3_column_bytes(s, 3) != HASH_BYTES)) {
        rc = mu_fail(err, MU_CORRUPT, "state %s: no applied index in it", c->db.path);
    }
    if (rc == MU_OK) {
        c->now.index = (uint64_t)sqlite3_column_int64(s, 0);
        c->now.term = (uint64_t)sqlite3_column_int64(s, 1);
        c->now.stamp_ms = (uint64_t)sqlite3_column_int64(s, 2);
        c->now.sum = catalog__hash_read(sqlite3_column_blob(s, 3));
    }
    (void)sqlite3_finalize(s);
    return rc;
}

/* Frames in the WAL after a commit: the only place where SQLite tells. */
static int on_commit(void *data, sqlite3 *db, const char *name, int pages)
{
    struct catalog *c = data;

    (void)db;
    (void)name;
    if (pages < c->wal_pages_written) {
        c->wal_pages_written = 0; /* it was started over */
    }
    c->wal_pages = pages;
    return SQLITE_OK;
}

static enum mu_code write_back(struct catalog *c, int mode, uint64_t *durable, struct mu_err *err);

/* What a crash left in the WAL may not be flushed yet: from here on it is. */
static enum mu_code settle_file(struct catalog *c, const struct catalog_files *files,
                                struct mu_err *err)
{
    enum mu_code rc = write_back(c, SQLITE_CHECKPOINT_TRUNCATE, &c->durable, err);

    return rc == MU_OK ? sync_dir_of(files, c->db.path, err) : rc;
}

static enum mu_code open_all(struct catalog *c, const struct catalog_options *options,
                             struct mu_err *err)
{
    uint32_t cache_bytes = options->cache_bytes > 0 ? options->cache_bytes : MU_STATE_CACHE_BYTES;
    enum connection_role role = c->is_in_memory ? CONNECTION_MEMORY : CONNECTION_WRITER;
    const char *vfs = options->files != NULL ? options->files->vfs : NULL;
    enum mu_code rc = c->is_in_memory ? MU_OK : create_file(options->files, options->path, err);

    if (rc == MU_OK) {
        rc = catalog__connection_open(&c->db, options->path, role, vfs, cache_bytes, err);
    }
    if (rc == MU_OK) {
        rc = catalog__schema_settle(c, err);
    }
    if (rc == MU_OK) {
        rc = prepare_all(c, err);
    }
    if (rc == MU_OK) {
        rc = load_applied(c, err);
    }
    if (rc == MU_OK) {
        rc = catalog__counters_load(c, err);
    }
    if (rc == MU_OK) {
        rc = catalog__origins_load(c, err);
    }
    if (rc != MU_OK) {
        return rc;
    }
    c->committed = c->now;
    (void)sqlite3_wal_hook(c->db.db, on_commit, c);
    return c->is_in_memory ? MU_OK : settle_file(c, options->files, err);
}

enum mu_code catalog_open(struct catalog **out, const struct catalog_options *options,
                          struct mu_err *err)
{
    struct catalog *c = mu_new(sizeof *c);

    c->is_in_memory = options->path == NULL;
    c->checkpoint_pages = CHECKPOINT_PAGES;
    if (options->wal_bytes > 0 && options->wal_bytes / PAGE_BYTES < CHECKPOINT_PAGES) {
        c->checkpoint_pages = (int)(options->wal_bytes / PAGE_BYTES);
    }
    mu_arena_init(&c->arena, 0);
    c->arena.block = ARENA_BLOCK;
    enum mu_code rc = open_all(c, options, err);

    if (rc == MU_OK) {
        *out = c;
        c = NULL;
    }
    catalog_close(c);
    return rc;
}

void catalog_close(struct catalog *c)
{
    if (c == NULL) {
        return;
    }
    catalog__rows_deinit(&c->rows);
    sqlite3_stmt *const statements[] = {
        c->begin,        c->commit,         c->rollback,       c->set_applied, c->node_by_uuid,
        c->any_instance, c->kv_range,       c->kv_version,     c->kv_held,     c->sessions_of_node,
        c->delays_over,  c->all_origins,    c->oldest_request, c->kv_history,  c->kv_markers,
        c->savepoint,    c->savepoint_back, c->savepoint_end,  c->staged_last, c->staged_from
    };

    for (size_t i = 0; i < MU_LEN(statements); i++) {
        (void)sqlite3_finalize(statements[i]);
    }
    catalog__connection_close(&c->db); /* rolls back what is open */
    catalog_changes_free(c->changes);
    catalog__origins_deinit(&c->origins);
    mu_arena_deinit(&c->arena);
    mu_free(c);
}

bool catalog_has_slack(const struct catalog *c)
{
    return c->has_slack;
}

uint64_t catalog_bytes(const struct catalog *c)
{
    return c->bytes;
}

struct catalog_history catalog_history(const struct catalog *c)
{
    const uint64_t *now = c->now.counters.now;
    uint64_t next = now[COUNTER_KVS_COMPACTED] >> MVCC_SUB_BITS;

    return (struct catalog_history){
        .rev = now[COUNTER_KVS_REV],
        .compacted_rev = next > 0 ? next - 1 : 0,
    };
}

struct catalog_applied catalog_applied(const struct catalog *c)
{
    struct catalog_applied applied = {
        .index = c->now.index,
        .term = c->now.term,
        .stamp_ms = c->now.stamp_ms,
    };
    struct hash_sum sum = c->now.sum;

    catalog__counters_hash(&c->now.counters, &sum);
    catalog__origins_hash(&c->origins, &sum);
    catalog__hash_write(sum, applied.hash);
    return applied;
}

struct catalog_schema catalog_schema(const struct catalog *c)
{
    return (struct catalog_schema){ (uint32_t)c->now.schema->version, c->now.schema->level };
}

uint64_t catalog_durable(const struct catalog *c)
{
    return c->durable;
}

/* -- transactions ------------------------------------------------------------------------------ */

enum mu_code catalog_begin(struct catalog *c, struct mu_err *err)
{
    MU_ASSERT(!c->in_transaction);
    enum mu_code rc = catalog__run(&c->db, c->begin, err);

    if (rc != MU_OK) {
        return rc;
    }
    c->in_transaction = true;
    c->has_applied = false;
    c->changes = catalog_changes_new();
    rc = c->origins.is_loaded ? MU_OK : catalog__origins_load(c, err);
    if (rc != MU_OK) {
        catalog_rollback(c);
    }
    return rc;
}

enum mu_code catalog_raise(struct catalog *c, uint32_t level, struct mu_err *err)
{
    const struct schema *to = catalog__schema_at(level);

    MU_ASSERT(c->in_transaction);
    if (to->version <= c->now.schema->version) {
        return MU_OK;
    }
    c->has_applied = true;
    enum mu_code rc = catalog__schema_climb(c, to, err);

    /* Those that a rollback leaves behind are prepared anew by SQLite when the tables are back. */
    rc = rc == MU_OK ? catalog__rows_more(&c->rows, to->tables, err) : rc;
    if (rc != MU_OK) {
        return mu_wrap(err, rc, "schema version %lld", (long long)to->version);
    }
    return MU_OK;
}

static enum mu_code store_applied(struct catalog *c, struct mu_err *err)
{
    struct catalog_applied applied = catalog_applied(c);
    sqlite3_stmt *s = c->set_applied;

    bind_number(s, 1, (int64_t)applied.index);
    bind_number(s, 2, (int64_t)applied.term);
    bind_number(s, 3, (int64_t)applied.stamp_ms);
    bind_bytes(s, 4, mu_span_of(applied.hash, sizeof applied.hash));
    return catalog__run(&c->db, s, err);
}

enum mu_code catalog_commit(struct catalog *c, struct catalog_changes **changes, struct mu_err *err)
{
    MU_ASSERT(c->in_transaction);
    enum mu_code rc = catalog__counters_store(c, err);

    if (rc == MU_OK) {
        rc = catalog__origins_store(c, err);
    }

    if (rc == MU_OK) {
        rc = store_applied(c, err);
    }
    if (rc == MU_OK) {
        rc = catalog__run(&c->db, c->commit, err);
    }
    mu_arena_reset(&c->arena); /* a large entry's memory is not kept until the next one */
    if (rc != MU_OK) {
        return rc; /* still open: the caller rolls back */
    }
    c->in_transaction = false;
    c->has_idle_memory = true;
    c->committed = c->now;
    *changes = c->changes;
    c->changes = NULL;
    return MU_OK;
}

void catalog_rollback(struct catalog *c)
{
    MU_ASSERT(c->in_transaction);
    (void)sqlite3_step(c->rollback); /* fails where SQLite has rolled back on its own */
    (void)sqlite3_reset(c->rollback);
    c->in_transaction = false;
    c->now = c->committed;
    c->turn = (struct mvcc_turn){ .index = 0 };
    c->origins.count = 0; /* the file knows: read when the next transaction begins */
    c->origins.is_loaded = false;
    catalog_changes_free(c->changes);
    c->changes = NULL;
}

/* -- care -------------------------------------------------------------------------------------- */

static enum mu_code measure(struct catalog *c, struct mu_err *err)
{
    int64_t pages = 0;
    int64_t free_pages = 0;
    enum mu_code rc = catalog__exec_number(&c->db, "PRAGMA page_count", &pages, err);

    if (rc == MU_OK) {
        rc = catalog__exec_number(&c->db, "PRAGMA freelist_count", &free_pages, err);
    }
    if (rc == MU_OK) {
        c->bytes = (uint64_t)(pages - free_pages) * PAGE_BYTES;
    }
    return rc;
}

static enum mu_code write_back(struct catalog *c, int mode, uint64_t *durable, struct mu_err *err)
{
    uint64_t index = c->committed.index; /* before the call: what comes later is not in it */
    int pages = 0;
    int written = 0;

    c->db.is_hurried = true; /* a reader that never lets go must not hold up applying */
    int rc = sqlite3_wal_checkpoint_v2(c->db.db, NULL, mode, &pages, &written);

    c->db.is_hurried = false;
    /* BUSY: a reader still looks at the WAL, so that it cannot start over. All that could be
     * written was. */
    if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY) {
        return catalog__connection_fail(&c->db, "checkpoint", err);
    }
    if (rc != SQLITE_OK && pages < 0) {
        return MU_OK; /* it did not even look: nothing is known to be written */
    }
    c->wal_pages = pages;
    c->wal_pages_written = written;
    if (pages != written) { /* a reader still needs the old pages */
        return MU_OK;
    }
    c->durable = index;
    *durable = index;
    c->is_shorter = false;
    return measure(c, err);
}

enum mu_code catalog__flush(struct catalog *c, struct mu_err *err)
{
    uint64_t durable = 0;
    enum mu_code rc =
        c->is_in_memory ? MU_OK : write_back(c, SQLITE_CHECKPOINT_TRUNCATE, &durable, err);

    if (rc == MU_OK && !c->is_in_memory && durable != c->committed.index) {
        return mu_fail(err, MU_IO, "state %s: it could not be written back", c->db.path);
    }
    return rc;
}

static int mode_for(int pages)
{
    return pages > TRUNCATE_PAGES  ? SQLITE_CHECKPOINT_TRUNCATE
           : pages > RESTART_PAGES ? SQLITE_CHECKPOINT_RESTART
                                   : SQLITE_CHECKPOINT_PASSIVE;
}

/* Deleted rows leave free pages; a slice of them goes back to the file system. */
static enum mu_code give_back_pages(struct catalog *c, struct mu_err *err)
{
    int64_t free_pages = 0;
    char sql[48];
    enum mu_code rc = catalog__exec_number(&c->db, "PRAGMA freelist_count", &free_pages, err);

    c->has_slack = false; /* also when there is no room to do it */
    if (rc != MU_OK || free_pages < VACUUM_PAGES) {
        return rc;
    }
    (void)snprintf(sql, sizeof sql, "PRAGMA incremental_vacuum(%d)", VACUUM_PAGES);
    rc = catalog__exec(&c->db, sql, err);
    c->has_slack = rc == MU_OK && free_pages >= 2 * VACUUM_PAGES;
    c->is_shorter = c->is_shorter || rc == MU_OK;
    return rc;
}

/* Nothing came for a while: what was taken for speed goes back, once. */
static enum mu_code rest(struct catalog *c, struct mu_err *err)
{
    enum mu_code rc = give_back_pages(c, err);

    if (rc == MU_OK && c->has_idle_memory) {
        c->has_idle_memory = false;
        mu_arena_deinit(&c->arena);
        c->arena.block = ARENA_BLOCK;
        catalog__connection_rest(&c->db);
    }
    return rc;
}

enum mu_code catalog_checkpoint(struct catalog *c, bool is_idle, uint64_t *durable,
                                struct mu_err *err)
{
    MU_ASSERT(!c->in_transaction);
    enum mu_code rc = is_idle ? rest(c, err) : MU_OK;
    int due = is_idle && CHECKPOINT_PAGES_IDLE < c->checkpoint_pages ? CHECKPOINT_PAGES_IDLE
                                                                     : c->checkpoint_pages;

    /* Were frames that are in the file left lying around and one of them to rot, SQLite would take
     * those before it for newer than the file. With work going on they are soon written over. */
    bool is_spent = is_idle && c->wal_pages_written > 0;
    /* The file is cut when it is written to: what was given back may be many pages for few frames.
     */
    bool is_cut = is_idle && c->is_shorter && !c->has_slack;

    if (rc != MU_OK || c->is_in_memory ||
        (c->wal_pages - c->wal_pages_written <= due && !is_spent && !is_cut)) {
        return rc;
    }
    return write_back(c, is_idle ? SQLITE_CHECKPOINT_TRUNCATE : mode_for(c->wal_pages), durable,
                      err);
}

enum mu_code catalog_relieve(struct catalog *c, uint64_t *durable, struct mu_err *err)
{
    MU_ASSERT(!c->in_transaction);
    return c->is_in_memory ? MU_OK : write_back(c, SQLITE_CHECKPOINT_TRUNCATE, durable, err);
}

enum mu_code catalog_recount(struct catalog *c, uint8_t hash[16], struct mu_err *err)
{
    struct hash_sum sum;
    enum mu_code rc = catalog__rows_recount(&c->db, &sum, err);

    MU_ASSERT(!c->in_transaction); /* counters are not in their rows yet */
    catalog__hash_write(sum, hash);
    return rc;
}

enum mu_code catalog_census(struct catalog *c, struct mu_buf *to, bool *adds_up, struct mu_err *err)
{
    struct catalog_applied applied = catalog_applied(c);
    struct hash_sum total = { 0, 0 };
    struct row_census census;
    uint8_t hash[HASH_BYTES];

    MU_ASSERT(!c->in_transaction);
    enum mu_code rc = catalog__rows_census(&c->db, &census, err);

    for (size_t t = 1; rc == MU_OK && t < c->now.schema->tables; t++) {
        catalog__hash_add(&total, census.sums[t]);
        mu_buf_addf(to, "%s%s %llu rows %016llx", t > 1 ? ", " : "",
                    catalog__row_table_name((enum row_table)t),
                    (unsigned long long)census.counts[t], (unsigned long long)census.sums[t].low);
    }
    catalog__hash_write(total, hash);
    *adds_up = memcmp(hash, applied.hash, sizeof hash) == 0;
    return rc;
}

enum mu_code catalog_dump(struct catalog *c, struct mu_buf *to, struct mu_err *err)
{
    const struct state *s = &c->committed;

    MU_ASSERT(!c->in_transaction);
    mu_buf_addf(to, "applied %llu %llu %llu\n", (unsigned long long)s->index,
                (unsigned long long)s->term, (unsigned long long)s->stamp_ms);
    return catalog__rows_dump(&c->db, to, err);
}
