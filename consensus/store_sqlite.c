/* store_sqlite.c - the same vtable on SQLite: what the segment files are compared with.
 *
 * Everything happens inside the call: submit returns when its transaction is durable. It is the
 * oracle of the store tests and simple enough to be believed; a server does not run on it, since
 * SQLite's recovery takes a rotten frame for the end of its log and drops what follows without a
 * word (spec/consensus.md 3.3).
 */
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rand.h"
#include "consensus/store.h"
#include "record.h"

#define FORMAT 1

struct sqlite_store {
    sqlite3 *db;
    struct consensus_store_options options;
    char *dir;
    struct consensus_store_report report;
    bool is_closing;
};

static const char *const schema =
    "CREATE TABLE IF NOT EXISTS identity(one INTEGER PRIMARY KEY CHECK (one = 1), server BLOB,"
    " disk BLOB, boots INTEGER, record BLOB);"
    "CREATE TABLE IF NOT EXISTS hard(one INTEGER PRIMARY KEY CHECK (one = 1), term INTEGER,"
    " epoch INTEGER, voted_for BLOB, cluster BLOB, base INTEGER, base_term INTEGER,"
    " config_index INTEGER, config BLOB);"
    "CREATE TABLE IF NOT EXISTS log(idx INTEGER PRIMARY KEY, term INTEGER, kind INTEGER,"
    " payload BLOB);";

/* -- statements ---------------------------------------------------------------------------- */

static enum mu_code fail_db(struct sqlite_store *s, const char *what, struct mu_err *err)
{
    int code = s->db != NULL ? sqlite3_errcode(s->db) : SQLITE_CANTOPEN;
    enum mu_code rc = code == SQLITE_FULL                               ? MU_FULL
                      : code == SQLITE_BUSY                             ? MU_FOREIGN
                      : code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? MU_CORRUPT
                                                                        : MU_IO;

    return mu_fail(err, rc, "%s/log.db: %s: %s%s", s->dir, what,
                   s->db != NULL ? sqlite3_errmsg(s->db) : "cannot open",
                   rc == MU_FOREIGN ? " (locked by another process)" : "");
}

static enum mu_code run(struct sqlite_store *s, const char *sql, struct mu_err *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? MU_OK : fail_db(s, sql, err);
}

static sqlite3_stmt *prepare(struct sqlite_store *s, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL);

    MU_ASSERT(rc == SQLITE_OK); /* our own text against our own schema */
    return stmt;
}

/* Values of a statement, in order. */
static void bind_u64(sqlite3_stmt *stmt, int at, uint64_t value)
{
    (void)sqlite3_bind_int64(stmt, at, (sqlite3_int64)value);
}

static void bind_bytes(sqlite3_stmt *stmt, int at, const void *data, size_t bytes)
{
    (void)sqlite3_bind_blob(stmt, at, bytes > 0 ? data : "", (int)bytes, SQLITE_TRANSIENT);
}

static uint64_t column_u64(sqlite3_stmt *stmt, int at)
{
    return (uint64_t)sqlite3_column_int64(stmt, at);
}

static struct mu_span column_bytes(sqlite3_stmt *stmt, int at)
{
    const void *data = sqlite3_column_blob(stmt, at);

    return mu_span_of(data, (size_t)sqlite3_column_bytes(stmt, at));
}

static struct mu_id column_id(sqlite3_stmt *stmt, int at)
{
    struct mu_span bytes = column_bytes(stmt, at);
    struct mu_id id = MU_ID_NONE;

    if (bytes.bytes == sizeof id.b) {
        memcpy(id.b, bytes.data, sizeof id.b);
    }
    return id;
}

static enum mu_code finish(struct sqlite_store *s, sqlite3_stmt *stmt, struct mu_err *err)
{
    int rc = sqlite3_step(stmt);
    enum mu_code code = rc == SQLITE_DONE ? MU_OK : fail_db(s, sqlite3_sql(stmt), err);

    (void)sqlite3_finalize(stmt);
    return code;
}

/* -- open ---------------------------------------------------------------------------------- */

static enum mu_code check_version(struct sqlite_store *s, struct mu_err *err)
{
    sqlite3_stmt *stmt = prepare(s, "PRAGMA user_version");
    int version = sqlite3_step(stmt) == SQLITE_ROW ? sqlite3_column_int(stmt, 0) : -1;

    (void)sqlite3_finalize(stmt);
    if (version < 0) {
        return fail_db(s, "reading the version", err);
    }
    return version <= FORMAT
               ? MU_OK
               : mu_fail(err, MU_UNSUPPORTED, "%s/log.db: format %d is of a newer muster", s->dir,
                         version);
}

static enum mu_code open_db(struct sqlite_store *s, struct mu_err *err)
{
    char path[4096];
    enum mu_code rc = mu_dir_make(s->dir, err);

    if (rc != MU_OK) {
        return rc;
    }
    (void)snprintf(path, sizeof path, "%s/log.db", s->dir);
    if (sqlite3_open_v2(path, &s->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK) {
        return fail_db(s, "open", err);
    }
    rc = run(s,
             "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
             "BEGIN IMMEDIATE; COMMIT;",
             err);
    rc = rc == MU_OK ? check_version(s, err) : rc;
    rc = rc == MU_OK ? run(s, schema, err) : rc;
    return rc == MU_OK ? run(s, "PRAGMA user_version=1", err) : rc;
}

static enum mu_code identify(struct sqlite_store *s, struct consensus_opened *out,
                             struct mu_err *err)
{
    struct mu_id disk = mu_id_random();
    sqlite3_stmt *stmt = prepare(s, "INSERT INTO identity VALUES(1,?,?,1,x'')"
                                    " ON CONFLICT(one) DO UPDATE SET boots=boots+1");

    bind_bytes(stmt, 1, s->options.server.b, sizeof s->options.server.b);
    bind_bytes(stmt, 2, disk.b, sizeof disk.b);
    enum mu_code rc = finish(s, stmt, err);

    if (rc != MU_OK) {
        return rc;
    }
    stmt = prepare(s, "SELECT server, disk, boots, record FROM identity");
    int step = sqlite3_step(stmt);

    MU_ASSERT(step == SQLITE_ROW);
    struct mu_id server = column_id(stmt, 0);

    out->disk = column_id(stmt, 1);
    out->loaded.boot_count = column_u64(stmt, 2);
    mu_buf_add_span(&out->record, column_bytes(stmt, 3));
    (void)sqlite3_finalize(stmt);
    if (!mu_id_eq(&server, &s->options.server)) {
        char theirs[MU_ID_TEXT_BYTES + 1];
        char ours[MU_ID_TEXT_BYTES + 1];

        mu_id_text(&server, theirs);
        mu_id_text(&s->options.server, ours);
        return mu_fail(err, MU_FOREIGN, "%s belongs to node %s, this is node %s", s->dir, theirs,
                       ours);
    }
    return MU_OK;
}

static enum mu_code add_config(struct consensus_opened *out, uint64_t index, struct mu_span bytes,
                               struct mu_err *err)
{
    size_t count = out->loaded.configs_count;

    out->configs = mu_grow(out->configs, (count + 1) * sizeof *out->configs);
    out->loaded.configs = out->configs;
    out->loaded.configs_count++;
    return consensus_config_decode(bytes, index, &out->configs[count], err);
}

static enum mu_code load_hard(struct sqlite_store *s, struct consensus_opened *out,
                              struct mu_err *err)
{
    sqlite3_stmt *stmt = prepare(s, "SELECT term, epoch, voted_for, cluster, base, base_term,"
                                    " config_index, config FROM hard");
    enum mu_code rc = MU_OK;

    out->is_fresh = sqlite3_step(stmt) != SQLITE_ROW;
    if (!out->is_fresh) {
        out->loaded.hard = (struct consensus_hard){
            .term = column_u64(stmt, 0),
            .epoch = column_u64(stmt, 1),
            .voted_for = column_id(stmt, 2),
            .cluster = column_id(stmt, 3),
        };
        out->loaded.base_index = out->loaded.last_index = column_u64(stmt, 4);
        out->loaded.base_term = column_u64(stmt, 5);
        if (column_u64(stmt, 6) != 0) {
            rc = add_config(out, column_u64(stmt, 6), column_bytes(stmt, 7), err);
        }
    }
    (void)sqlite3_finalize(stmt);
    s->report.base_index = out->loaded.base_index;
    return rc;
}

static enum mu_code load_log(struct sqlite_store *s, struct consensus_opened *out,
                             struct mu_err *err)
{
    sqlite3_stmt *stmt = prepare(s, "SELECT idx, term, kind, payload FROM log ORDER BY idx");
    struct consensus_loaded *l = &out->loaded;
    enum mu_code rc = MU_OK;

    while (rc == MU_OK && sqlite3_step(stmt) == SQLITE_ROW) {
        uint64_t index = column_u64(stmt, 0);
        uint64_t term = column_u64(stmt, 1);

        if (index != l->last_index + 1) {
            rc = mu_fail(err, MU_CORRUPT, "%s/log.db: entry %llu is missing", s->dir,
                         (unsigned long long)l->last_index + 1);
            break;
        }
        l->last_index = index;
        l->log_bytes += column_bytes(stmt, 3).bytes;
        if (l->runs_count == 0 || out->runs[l->runs_count - 1].term != term) {
            out->runs = mu_grow(out->runs, (l->runs_count + 1) * sizeof *out->runs);
            out->runs[l->runs_count++] = (struct consensus_run){ index, term };
        }
        if (column_u64(stmt, 2) == CONSENSUS_CONFIG) {
            rc = add_config(out, index, column_bytes(stmt, 3), err);
        }
    }
    (void)sqlite3_finalize(stmt);
    l->runs = out->runs;
    return rc;
}

static enum mu_code sqlite_open(void *self, struct consensus_opened *out, struct mu_err *err)
{
    struct sqlite_store *s = self;
    enum mu_code rc;

    *out = (struct consensus_opened){ .record = MU_BUF_NONE };
    rc = open_db(s, err);
    rc = rc == MU_OK ? identify(s, out, err) : rc;
    rc = rc == MU_OK ? load_hard(s, out, err) : rc;
    rc = rc == MU_OK ? load_log(s, out, err) : rc;
    if (rc != MU_OK) {
        consensus_opened_deinit(out);
    }
    return rc;
}

/* -- writing ------------------------------------------------------------------------------- */

static void say(struct sqlite_store *s)
{
    s->options.wake(s->options.wake_data);
}

/* End a transaction one way or the other. */
static bool settle(struct sqlite_store *s, enum mu_code rc, struct mu_err *err)
{
    rc = rc == MU_OK ? run(s, "COMMIT", err) : rc;
    if (rc != MU_OK) {
        s->report.health = CONSENSUS_STORE_FAILED;
        (void)snprintf(s->report.why, sizeof s->report.why, "%s", err->text);
        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    }
    return rc == MU_OK;
}

static enum mu_code put_hard(struct sqlite_store *s, const struct consensus_hard *hard,
                             struct mu_err *err)
{
    sqlite3_stmt *stmt =
        prepare(s, "INSERT INTO hard VALUES(1,?1,?2,?3,?4,0,0,0,x'') ON CONFLICT(one) DO UPDATE"
                   " SET term=?1, epoch=?2, voted_for=?3, cluster=?4");

    bind_u64(stmt, 1, hard->term);
    bind_u64(stmt, 2, hard->epoch);
    bind_bytes(stmt, 3, hard->voted_for.b, sizeof hard->voted_for.b);
    bind_bytes(stmt, 4, hard->cluster.b, sizeof hard->cluster.b);
    return finish(s, stmt, err);
}

static enum mu_code put_base(struct sqlite_store *s, uint64_t index, uint64_t term,
                             struct mu_err *err)
{
    sqlite3_stmt *stmt = prepare(s, "UPDATE hard SET base=?1, base_term=?2");

    bind_u64(stmt, 1, index);
    bind_u64(stmt, 2, term);
    s->report.base_index = index;
    return finish(s, stmt, err);
}

static enum mu_code delete_where(struct sqlite_store *s, const char *sql, uint64_t index,
                                 struct mu_err *err)
{
    sqlite3_stmt *stmt = prepare(s, sql);

    bind_u64(stmt, 1, index);
    return finish(s, stmt, err);
}

static enum mu_code put_entry(struct sqlite_store *s, struct mu_span record, struct mu_err *err)
{
    sqlite3_stmt *stmt = prepare(s, "INSERT INTO log VALUES(?,?,?,?)");
    struct consensus_record r;
    size_t room;

    bool is_one = consensus__record_read(record, &r, &room);

    MU_ASSERT(is_one);
    bind_u64(stmt, 1, r.index);
    bind_u64(stmt, 2, r.term);
    bind_u64(stmt, 3, r.kind);
    bind_bytes(stmt, 4, r.payload.data, r.payload.bytes);
    return finish(s, stmt, err);
}

static enum mu_code put_reset(struct sqlite_store *s, const struct consensus_write *w,
                              struct mu_err *err)
{
    uint8_t config[CONSENSUS_CONFIG_BYTES_MAX];
    size_t bytes = w->reset_config != NULL ? consensus_config_encode(w->reset_config, config) : 0;
    enum mu_code rc = run(s, "DELETE FROM log", err);

    if (rc == MU_OK) {
        sqlite3_stmt *stmt = prepare(s, "UPDATE hard SET config_index=?, config=?");

        bind_u64(stmt, 1, w->reset_config != NULL ? w->reset_config->index : 0);
        bind_bytes(stmt, 2, config, bytes);
        rc = finish(s, stmt, err);
    }
    return rc == MU_OK ? put_base(s, w->reset_index, w->reset_term, err) : rc;
}

static void sqlite_submit(void *self, const struct consensus_write *w,
                          const struct mu_span *records)
{
    struct sqlite_store *s = self;
    struct mu_err err = MU_ERR_NONE;

    if (s->report.health == CONSENSUS_STORE_FAILED) {
        return;
    }
    enum mu_code rc = run(s, "BEGIN IMMEDIATE", &err);

    rc = rc == MU_OK ? put_hard(s, &w->hard, &err) : rc;
    if (rc == MU_OK && w->reset_index != 0) {
        rc = put_reset(s, w, &err);
    }
    if (rc == MU_OK && w->first <= w->last) {
        rc = delete_where(s, "DELETE FROM log WHERE idx >= ?", w->first, &err);
    }
    for (uint64_t i = w->first; rc == MU_OK && i <= w->last; i++) {
        rc = put_entry(s, records[i - w->first], &err);
    }
    if (settle(s, rc, &err)) {
        s->report.persisted_seq = w->seq;
        s->report.flushes_count++;
    }
    say(s);
}

static void sqlite_record(void *self, struct mu_span bytes)
{
    struct sqlite_store *s = self;
    struct mu_err err = MU_ERR_NONE;
    sqlite3_stmt *stmt;

    MU_ASSERT(bytes.bytes <= CONSENSUS_STORE_RECORD_MAX);
    enum mu_code rc = run(s, "BEGIN IMMEDIATE", &err);

    if (rc == MU_OK) {
        stmt = prepare(s, "UPDATE identity SET record=?");
        bind_bytes(stmt, 1, bytes.data, bytes.bytes);
        rc = finish(s, stmt, &err);
    }
    s->report.recorded_count += settle(s, rc, &err);
    say(s);
}

/* The newest configuration that goes stays, beside the base. */
static enum mu_code keep_config(struct sqlite_store *s, uint64_t upto, struct mu_err *err)
{
    sqlite3_stmt *stmt = prepare(
        s, "UPDATE hard SET config_index=l.idx, config=l.payload FROM (SELECT idx, payload FROM log"
           " WHERE kind=?1 AND idx<=?2 ORDER BY idx DESC LIMIT 1) AS l");

    bind_u64(stmt, 1, CONSENSUS_CONFIG);
    bind_u64(stmt, 2, upto);
    return finish(s, stmt, err);
}

/* It holds nothing in reserve. */
static void sqlite_relieve(void *self)
{
    struct sqlite_store *s = self;

    s->report.relieved_count++;
    s->options.wake(s->options.wake_data);
}

static void sqlite_compact(void *self, uint64_t upto)
{
    struct sqlite_store *s = self;
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc = run(s, "BEGIN IMMEDIATE", &err);
    sqlite3_stmt *stmt = prepare(s, "SELECT term FROM log WHERE idx=?");

    bind_u64(stmt, 1, upto);
    bool is_there = sqlite3_step(stmt) == SQLITE_ROW;
    uint64_t term = is_there ? column_u64(stmt, 0) : 0;

    (void)sqlite3_finalize(stmt);
    if (is_there) {
        rc = rc == MU_OK ? keep_config(s, upto, &err) : rc;
        rc = rc == MU_OK ? delete_where(s, "DELETE FROM log WHERE idx <= ?", upto, &err) : rc;
        rc = rc == MU_OK ? put_base(s, upto, term, &err) : rc;
    }
    (void)settle(s, rc, &err);
    say(s);
}

/* -- reading ------------------------------------------------------------------------------- */

static void sqlite_fetch(void *self, const struct consensus_fetch *f)
{
    struct sqlite_store *s = self;
    struct consensus_fetched got = { .ticket = f->ticket, .records = MU_BUF_NONE };
    sqlite3_stmt *stmt =
        prepare(s, "SELECT idx, term, kind, payload FROM log WHERE idx BETWEEN ? AND ?");

    bind_u64(stmt, 1, f->first);
    bind_u64(stmt, 2, f->last);
    got.code = CONSENSUS_FETCH_COMPACTED;
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        struct consensus_record r = {
            .index = column_u64(stmt, 0),
            .term = column_u64(stmt, 1),
            .kind = (uint8_t)column_u64(stmt, 2),
            .payload = column_bytes(stmt, 3),
        };
        size_t at = got.records.bytes;

        if (at == 0 && r.index != f->first) {
            break;
        }
        if (at > 0 && at + consensus__record_room(r.payload.bytes) > f->bytes_max) {
            break;
        }
        got.code = CONSENSUS_FETCH_OK;
        (void)consensus__record_add(&got.records, &r, 0);
        memset(got.records.data + at + 4, 0, 4); /* the chain: as it was submitted */
    }
    (void)sqlite3_finalize(stmt);
    s->report.fetched =
        mu_grow(s->report.fetched, (s->report.fetched_count + 1) * sizeof *s->report.fetched);
    s->report.fetched[s->report.fetched_count++] = got;
    say(s);
}

/* It is done within submit: whoever wants to know is awake. */
static void sqlite_hush(void *self, bool is_hushed)
{
    (void)self;
    (void)is_hushed;
}

/* There are no segments that anybody could look at. */
static void sqlite_survey(void *self)
{
    struct sqlite_store *s = self;

    mu_free(s->report.survey);
    s->report.survey = mu_new(sizeof *s->report.survey);
    say(s);
}

static void sqlite_shed(void *self, uint64_t number)
{
    (void)self;
    (void)number;
}

static void sqlite_collect(void *self, struct consensus_store_report *out)
{
    struct sqlite_store *s = self;

    *out = s->report;
    out->is_closed = s->is_closing;
    s->report.fetched = NULL;
    s->report.fetched_count = 0;
    s->report.survey = NULL;
}

static void sqlite_close(void *self)
{
    struct sqlite_store *s = self;

    s->is_closing = true;
    say(s);
}

static void sqlite_free(void *self)
{
    struct sqlite_store *s = self;

    for (size_t i = 0; i < s->report.fetched_count; i++) {
        consensus_fetched_deinit(&s->report.fetched[i]);
    }
    mu_free(s->report.fetched);
    mu_free(s->report.survey);
    (void)sqlite3_close(s->db);
    mu_free(s->dir);
    mu_free(s);
}

static const struct consensus_store_ops sqlite_ops = {
    .open = sqlite_open,
    .submit = sqlite_submit,
    .hush = sqlite_hush,
    .fetch = sqlite_fetch,
    .record = sqlite_record,
    .relieve = sqlite_relieve,
    .compact = sqlite_compact,
    .survey = sqlite_survey,
    .shed = sqlite_shed,
    .collect = sqlite_collect,
    .close = sqlite_close,
    .free = sqlite_free,
};

void consensus_store_sqlite_new(struct consensus_store *out,
                                const struct consensus_store_options *options)
{
    struct sqlite_store *s = mu_new(sizeof *s);

    s->options = *options;
    s->options.dir = NULL;
    s->dir = mu_strdup(options->dir);
    *out = (struct consensus_store){ &sqlite_ops, s };
}
