/* restore.c - STAGE and RESTORE: another state takes the place of this one.
 *
 * The stream of the new state (catalog/snapshot.h) goes through the log in parts, which every
 * server keeps in a table of the state; then one more entry says that it is all there, by its
 * size and hash, and all rows are replaced in the transaction of that entry. So a restore needs no
 * rule of its own for crashes, for a leader that dies or for servers that come later: until the
 * entry is applied a server has the old state, afterwards the new one, at the same index as all.
 *
 * What is not restored is what belongs to this cluster and not to its state: which commands were
 * applied already (origins, outcomes, requests), or one that is sent again would be applied twice.
 *
 * Indexes never go back. Rows keep those they had. If the state that is restored had come further
 * than this log, indexes go on behind it from now on (catalog__index); and no read answers with an
 * index below that of the restore (catalog__read_floor), so whoever waits for anything is answered.
 *
 * Parts of a restore that nobody finishes go when they are STAGED_MS old.
 */
#include <string.h>

#include "core.h"
#include "schema.h"
#include "stream.h"

#define STAGED_MS UINT64_C(600000)
#define NOTHING   1U /* staged; 0 would be a counter without a row */

/* -- what is staged ---------------------------------------------------------------------------- */

struct staged {
    struct mu_id id;
    uint64_t end; /* 0: nothing is staged */
};

static enum mu_code staged_now(struct catalog *c, struct staged *out, struct mu_err *err)
{
    sqlite3_stmt *s = c->staged_last;
    bool has_row = false;
    enum mu_code rc = catalog__step(&c->db, s, &has_row, err);

    *out = (struct staged){ .end = 0 };
    if (rc == MU_OK && has_row) {
        struct mu_span id = column_bytes(s, 1);

        memcpy(out->id.b, id.data, id.bytes < sizeof out->id.b ? id.bytes : sizeof out->id.b);
        out->end = (uint64_t)sqlite3_column_int64(s, 0) + (uint64_t)sqlite3_column_int64(s, 2);
    }
    (void)sqlite3_reset(s);
    return rc;
}

/* The first part at or behind `at`, copied. */
static enum mu_code staged_part(struct catalog *c, uint64_t at, struct mu_arena *arena,
                                struct row *out, bool *found, struct mu_err *err)
{
    bind_number(c->staged_from, 1, (int64_t)at);
    enum mu_code rc = catalog__step(&c->db, c->staged_from, found, err);

    if (rc == MU_OK && *found) {
        catalog__row_read(c->staged_from, ROW_STAGED, arena, out);
    }
    (void)sqlite3_reset(c->staged_from);
    return rc;
}

static enum mu_code staged_clear(struct catalog *c, struct mu_err *err)
{
    struct mu_arena arena;
    struct row part;
    bool found = true;
    enum mu_code rc = MU_OK;

    mu_arena_init(&arena, 0);
    while (rc == MU_OK && found) {
        rc = staged_part(c, 0, &arena, &part, &found, err);
        if (rc == MU_OK && found) {
            rc = catalog__row_remove(&c->rows, ROW_STAGED, &part, err);
        }
        mu_arena_reset(&arena);
    }
    mu_arena_deinit(&arena);
    if (c->now.counters.now[COUNTER_RESTORE_STAGED] > 0) {
        c->now.counters.now[COUNTER_RESTORE_STAGED] = NOTHING;
    }
    return rc;
}

enum mu_code catalog__staged_expire(struct catalog *c, struct mu_err *err)
{
    uint64_t until = c->now.counters.now[COUNTER_RESTORE_STAGED];

    return until > NOTHING && c->now.stamp_ms > until ? staged_clear(c, err) : MU_OK;
}

/* -- STAGE ------------------------------------------------------------------------------------- */

/* A client agent that did not hear the answer sends a part again. */
static enum mu_code is_repeated(struct catalog *c, const struct command_stage *part, bool *out,
                                struct mu_err *err)
{
    struct row row;
    bool found = false;
    enum mu_code rc = staged_part(c, part->offset, &c->arena, &row, &found, err);

    *out = rc == MU_OK && found && (uint64_t)row.v[STAGED_AT].number == part->offset &&
           mu_span_eq(row.v[STAGED_DATA].bytes, part->data);
    return rc;
}

static enum mu_code part_add(struct catalog *c, const struct command_stage *part,
                             struct mu_err *err)
{
    struct row row;

    c->now.counters.now[COUNTER_RESTORE_STAGED] = c->now.stamp_ms + STAGED_MS;
    row.v[STAGED_AT] = row_number(part->offset);
    row.v[STAGED_ID] = row_bytes(mu_span_of(part->id.b, sizeof part->id.b));
    row.v[STAGED_DATA] = row_bytes(part->data);
    return catalog__row_put(&c->rows, ROW_STAGED, NULL, &row, err);
}

enum mu_code catalog__stage(CATALOG_APPLY_ARGS)
{
    const struct command_stage *part = &command->stage;
    bool is_new = part->offset == 0 && part->data.bytes > 0;
    bool is_known = false;
    struct staged now;
    enum mu_code rc = staged_now(c, &now, err);

    if (rc == MU_OK && now.end > 0 && mu_id_eq(&now.id, &part->id)) {
        if (part->data.bytes == 0) {
            result->did_apply = true;
            return staged_clear(c, err);
        }
        rc = part->offset < now.end ? is_repeated(c, part, &is_known, err) : MU_OK;
        is_new = false;
    } else {
        now.end = 0;
    }
    if (rc != MU_OK || is_known || part->data.bytes == 0) {
        result->did_apply = is_known;
        return rc;
    }
    if (!is_new && (now.end == 0 || part->offset != now.end)) {
        catalog__refuse(result, MU_CONFLICT,
                        "the restore was given up: another one was begun, or it took too long");
        return MU_OK;
    }
    result->did_apply = true;
    rc = is_new ? staged_clear(c, err) : MU_OK;
    return rc == MU_OK ? part_add(c, part, err) : rc;
}

/* -- RESTORE: what is replaced ----------------------------------------------------------------- */

/* Rows that stay: what this cluster has done, and the stream that is being read. */
static bool is_kept(enum row_table table)
{
    return table == ROW_ORIGINS || table == ROW_OUTCOMES || table == ROW_REQUESTS ||
           table == ROW_STAGED;
}

static enum mu_code rows_out(struct catalog *c, struct mu_err *err)
{
    struct counters *k = &c->now.counters;
    enum mu_code rc = MU_OK;

    for (size_t t = 1; rc == MU_OK && t < c->now.schema->tables; t++) {
        if (!is_kept((enum row_table)t)) {
            rc = catalog__rows_clear(&c->db, (enum row_table)t, err);
        }
    }
    memset(k->stored, 0, sizeof k->stored);
    return rc == MU_OK ? catalog__rows_recount(&c->db, &c->now.sum, err) : rc;
}

struct source {
    struct catalog *catalog;
    struct mu_arena arena; /* of the part */
    struct mu_span left;   /* of it */
    uint64_t at;
    enum mu_code rc; /* of storage; what else fails is the stream's fault */
};

static enum mu_code staged_source(void *data, void *to, size_t room, size_t *got,
                                  struct mu_err *err)
{
    struct source *s = data;
    struct row part;
    bool found = false;

    if (s->left.bytes == 0) {
        mu_arena_reset(&s->arena);
        s->rc = staged_part(s->catalog, s->at, &s->arena, &part, &found, err);
        s->left = found ? part.v[STAGED_DATA].bytes : MU_SPAN_NONE;
    }
    *got = s->left.bytes < room ? s->left.bytes : room;
    if (*got > 0) {
        memcpy(to, s->left.data, *got);
    }
    s->left = mu_span_sub(s->left, *got, s->left.bytes - *got);
    s->at += *got;
    return s->rc;
}

struct restoring {
    struct catalog *catalog;
    struct stream_reader reader;
    struct catalog_snapshot info;
    struct source source;
    struct hash_sum sum; /* of all rows of the stream, kept or not */
    uint64_t counters[COUNTERS_COUNT];
    bool is_bad; /* the stream: `why` says */
    struct mu_err why;
};

/* A row of the stream finds its place, in a table or as a counter. */
static enum mu_code row_in(struct restoring *r, enum row_table table, const struct row *row,
                           struct mu_err *err)
{
    struct catalog *c = r->catalog;
    enum counter counter;

    catalog__hash_add(&r->sum,
                      catalog__hash_row((uint8_t)table, row->v, catalog__row_columns_count(table)));
    if (is_kept(table)) {
        return MU_OK;
    }
    if (table == ROW_IDX && catalog__counter_find(row->v[IDX_NAME].bytes, &counter)) {
        r->counters[counter] = (uint64_t)row->v[IDX_VALUE].number;
        return MU_OK;
    }
    enum mu_code rc = catalog__row_put(&c->rows, table, NULL, row, err);

    if (rc != MU_OK && (sqlite3_errcode(c->db.db) & 0xff) == SQLITE_CONSTRAINT) {
        r->is_bad = true; /* the tables were empty: two rows of the stream have one key */
        *err = (struct mu_err)MU_ERR_NONE;
        (void)mu_fail(&r->why, MU_CORRUPT, "the snapshot is damaged: a row comes twice");
    }
    return rc;
}

static enum mu_code rows_in(struct restoring *r, struct mu_err *err)
{
    bool has_row = true;
    enum mu_code rc = catalog__stream_open(&r->reader, &r->why);

    while (rc == MU_OK && has_row) {
        enum row_table table;
        struct row row;

        rc = catalog__stream_next(&r->reader, &has_row, &table, &row, &r->why);
        if (rc == MU_OK && has_row) {
            rc = row_in(r, table, &row, err);
            if (rc != MU_OK) {
                return rc;
            }
        }
    }
    if (rc != MU_OK && r->source.rc != MU_OK) {
        return mu_fail(err, r->source.rc, "%s", r->why.text);
    }
    r->is_bad = rc != MU_OK;
    return rc;
}

/* Is it the stream that was meant, and does it add up? */
static void judge(struct restoring *r, const struct command_restore *meant)
{
    uint8_t sum[HASH_BYTES];

    catalog__hash_write(r->sum, sum);
    if (r->info.bytes != meant->bytes ||
        memcmp(r->info.hash, meant->hash, sizeof meant->hash) != 0) {
        r->is_bad = true;
        (void)mu_fail(&r->why, MU_CORRUPT, "the snapshot is not the one that was meant");
    } else if (memcmp(sum, r->info.applied.hash, sizeof sum) != 0) {
        r->is_bad = true;
        (void)mu_fail(&r->why, MU_CORRUPT,
                      "the snapshot is damaged: its rows do not give its hash");
    }
}

/* -- RESTORE: indexes -------------------------------------------------------------------------- */

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The index of this entry is above all that were ever seen, here or where the state comes from.
 * Every table was changed by it. Revisions go on behind the larger of the two, too. */
static void counters_in(struct catalog *c, const struct restoring *r)
{
    static const enum counter indexes[] = { COUNTER_NODES,        COUNTER_SERVICES,
                                            COUNTER_CHECKS,       COUNTER_KVS,
                                            COUNTER_TOMBSTONES,   COUNTER_EXTINCTION,
                                            COUNTER_SESSIONS,     COUNTER_COORDINATES,
                                            COUNTER_RESTORE_INDEX };
    uint64_t *now = c->now.counters.now;
    uint64_t theirs = r->info.applied.index + r->counters[COUNTER_RESTORE_SHIFT];

    if (theirs >= catalog__index(c)) {
        now[COUNTER_RESTORE_SHIFT] = theirs + 1 - c->now.index;
    }
    for (size_t i = 0; i < MU_LEN(indexes); i++) {
        catalog__touch(c, indexes[i]);
    }
    now[COUNTER_KVS_REV] = max_u64(now[COUNTER_KVS_REV], r->counters[COUNTER_KVS_REV]);
    now[COUNTER_KVS_COMPACTED] = r->counters[COUNTER_KVS_COMPACTED];
    c->turn = (struct mvcc_turn){ .index = 0 };
}

/* -- RESTORE ----------------------------------------------------------------------------------- */

static enum mu_code replace(struct restoring *r, const struct command_restore *meant,
                            struct mu_err *err)
{
    struct catalog *c = r->catalog;
    enum mu_code rc = rows_out(c, err);

    rc = rc == MU_OK ? rows_in(r, err) : rc;
    if (rc != MU_OK) {
        return rc;
    }
    judge(r, meant);
    if (r->is_bad) {
        return r->why.code;
    }
    counters_in(c, r);
    catalog__changed(c, CATALOG_EVERYTHING, MU_SPAN_NONE);
    return staged_clear(c, err);
}

/* To be put back everything must be kept. With a savepoint SQLite keeps the pages that change,
 * which are all, in memory; what a transaction began with the WAL keeps anyway. So an entry that is
 * alone in its transaction, as apply_step() sees to, puts it back by beginning that one anew. */
static enum mu_code point_set(struct catalog *c, bool is_alone, struct mu_err *err)
{
    return is_alone ? MU_OK : catalog__run(&c->db, c->savepoint, err);
}

static enum mu_code point_back(struct catalog *c, bool is_alone, struct mu_err *err)
{
    enum mu_code rc = catalog__run(&c->db, is_alone ? c->rollback : c->savepoint_back, err);

    return rc == MU_OK && is_alone ? catalog__run(&c->db, c->begin, err) : rc;
}

static enum mu_code point_end(struct catalog *c, bool is_alone, struct mu_err *err)
{
    return is_alone ? MU_OK : catalog__run(&c->db, c->savepoint_end, err);
}

static enum mu_code try(struct catalog *c, const struct command_restore *meant,
                        struct catalog_result *result, struct mu_err *err)
{
    const struct state before = c->now;
    bool is_alone = !c->has_applied;

    MU_ASSERT(!is_alone || (c->now.sum.low == c->committed.sum.low &&
                            c->now.sum.high == c->committed.sum.high)); /* nothing is written */
    struct restoring r = { .catalog = c, .source = { .catalog = c } };
    enum mu_code rc = point_set(c, is_alone, err);

    r.reader = (struct stream_reader){
        .source = staged_source, .data = &r.source, .tables = c->now.schema->tables, .out = &r.info
    };
    mu_arena_init(&r.source.arena, 0);
    rc = rc == MU_OK ? replace(&r, meant, err) : rc;
    if (r.is_bad) { /* the same on every server: nothing was restored */
        catalog__refuse(result, MU_INVALID, "%s", r.why.text);
        c->now = before;
        rc = point_back(c, is_alone, err);
    }
    rc = rc == MU_OK ? point_end(c, is_alone, err) : rc;
    catalog__stream_close(&r.reader);
    mu_arena_deinit(&r.source.arena);
    return rc;
}

enum mu_code catalog__restore(CATALOG_APPLY_ARGS)
{
    const struct command_restore *meant = &command->restore;
    struct staged now;
    enum mu_code rc = staged_now(c, &now, err);

    if (rc != MU_OK) {
        return rc;
    }
    if (!mu_id_eq(&now.id, &meant->id) || now.end != meant->bytes) {
        catalog__refuse(result, MU_CONFLICT,
                        "the restore was given up: another one was begun, or it took too long");
        return MU_OK;
    }
    rc = try(c, meant, result, err);
    result->did_apply = result->code == MU_OK;
    return rc;
}
