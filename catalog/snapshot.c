/* snapshot.c - all rows out, all rows in. */
#include "catalog/snapshot.h"

#include <string.h>

#include "core.h"
#include "reader.h"
#include "schema.h"
#include "stream.h"

/* In one transaction of an import: the WAL is written back in between. */
#define IMPORT_BYTES (16 * 1024 * 1024)

/* -- out --------------------------------------------------------------------------------------- */

struct exporting {
    struct stream_writer writer;
    enum mu_code rc;
    struct mu_err *err;
};

static void export_row(void *data, enum row_table table, const struct row_value *values,
                       size_t count)
{
    struct exporting *e = data;

    if (e->rc == MU_OK) {
        e->rc = catalog__stream_row(&e->writer, table, values, count, e->err);
    }
}

enum mu_code catalog_export(struct catalog_reader *r, catalog_sink_fn *sink, void *data,
                            struct catalog_snapshot *out, struct mu_err *err)
{
    struct exporting e = { .writer = { .sink = sink, .data = data, .out = out }, .err = err };
    const struct schema *schema = NULL;
    struct catalog_applied applied;
    /* Begins the transaction: index and rows are of one moment (row 48). */
    enum mu_code rc = catalog_reader_applied(r, &applied, err);

    rc = rc == MU_OK ? catalog__schema_of(r->db, &schema, err) : rc;
    if (rc == MU_OK) {
        e.writer.tables = schema->tables;
        rc = catalog__stream_begin(&e.writer, &applied, schema->level, err);
    }
    if (rc == MU_OK) {
        rc = catalog__rows_each(r->db, export_row, &e, err);
    }
    rc = rc == MU_OK ? e.rc : rc;
    if (rc == MU_OK) {
        rc = catalog__stream_end(&e.writer, err);
    }
    mu_buf_deinit(&e.writer.block);
    return rc == MU_OK ? MU_OK : mu_wrap(err, rc, "exporting the state");
}

/* -- in ---------------------------------------------------------------------------------------- */

static enum mu_code commit(struct catalog *c, struct mu_err *err)
{
    struct catalog_changes *changes = NULL;
    uint64_t durable;
    enum mu_code rc = catalog_commit(c, &changes, err);

    catalog_changes_free(changes);
    return rc == MU_OK ? catalog_checkpoint(c, false, &durable, err) : rc;
}

static enum mu_code rows_in(struct catalog *c, struct stream_reader *r, struct mu_err *err)
{
    uint64_t committed = 0;
    bool has_row = true;
    enum mu_code rc = MU_OK;

    while (rc == MU_OK && has_row) {
        enum row_table table;
        struct row row;

        rc = catalog__stream_next(r, &has_row, &table, &row, err);
        if (rc == MU_OK && has_row) {
            rc = catalog__row_put(&c->rows, table, NULL, &row, err);
        }
        if (rc == MU_OK && r->out->bytes - committed > IMPORT_BYTES) {
            committed = r->out->bytes;
            rc = commit(c, err);
            rc = rc == MU_OK ? catalog_begin(c, err) : rc;
        }
    }
    return rc;
}

/* The sum over all rows is what whoever exported them had: nothing was lost, and both mean the same
 * by it. */
static enum mu_code judge(struct catalog *c, const struct catalog_snapshot *s, const uint8_t *hash,
                          struct mu_err *err)
{
    uint8_t sum[HASH_BYTES];

    catalog__hash_write(c->now.sum, sum);
    if (hash != NULL && memcmp(hash, s->hash, sizeof s->hash) != 0) {
        return mu_fail(err, MU_CORRUPT,
                       "the snapshot is damaged: it is not the one that was meant");
    }
    if (memcmp(sum, s->applied.hash, sizeof sum) != 0) {
        return mu_fail(err, MU_CORRUPT, "the snapshot is damaged: its rows do not give its hash");
    }
    return MU_OK;
}

/* The stream says which tables it has: those that it has no rows of, too, for commands behind it.
 */
static enum mu_code tables_in(struct catalog *c, struct stream_reader *r, struct mu_err *err)
{
    if (!catalog__schema_has_level(r->out->level)) {
        return mu_fail(err, MU_UNSUPPORTED,
                       "a snapshot with tables of level %u, which this binary does not know",
                       r->out->level);
    }
    enum mu_code rc = catalog_raise(c, r->out->level, err);

    r->tables = c->now.schema->tables;
    return rc;
}

enum mu_code catalog_import(struct catalog *c, catalog_source_fn *source, void *data,
                            const uint8_t *hash, struct catalog_snapshot *out, struct mu_err *err)
{
    struct stream_reader r = { .source = source, .data = data, .out = out };
    enum mu_code rc = catalog__stream_open(&r, err);

    MU_ASSERT(c->now.index == 0 && !c->in_transaction);
    rc = rc == MU_OK ? catalog_begin(c, err) : rc;
    rc = rc == MU_OK ? tables_in(c, &r, err) : rc;
    rc = rc == MU_OK ? rows_in(c, &r, err) : rc;
    rc = rc == MU_OK ? judge(c, out, hash, err) : rc;
    if (rc == MU_OK) {
        c->now.index = out->applied.index;
        c->now.term = out->applied.term;
        c->now.stamp_ms = out->applied.stamp_ms;
        rc = commit(c, err);
    }
    if (c->in_transaction) {
        catalog_rollback(c);
    }
    rc = rc == MU_OK ? catalog__counters_load(c, err) : rc;
    rc = rc == MU_OK ? catalog__origins_load(c, err) : rc;
    c->committed = c->now;
    rc = rc == MU_OK ? catalog__flush(c, err) : rc;
    catalog__stream_close(&r);
    return rc == MU_OK ? MU_OK : mu_wrap(err, rc, "importing a state");
}

enum mu_code catalog_inspect(catalog_source_fn *source, void *data, struct catalog_snapshot *out,
                             struct mu_err *err)
{
    struct stream_reader r = {
        .source = source, .data = data, .tables = ROW_TABLES_COUNT, .out = out
    };
    struct hash_sum sum = { 0, 0 };
    uint8_t found[HASH_BYTES];
    bool has_row = true;
    enum mu_code rc = catalog__stream_open(&r, err);

    while (rc == MU_OK && has_row) {
        enum row_table table;
        struct row row;

        rc = catalog__stream_next(&r, &has_row, &table, &row, err);
        if (rc == MU_OK && has_row) {
            catalog__hash_add(
                &sum, catalog__hash_row((uint8_t)table, row.v, catalog__row_columns_count(table)));
        }
    }
    catalog__stream_close(&r);
    catalog__hash_write(sum, found);
    if (rc == MU_OK && memcmp(found, out->applied.hash, sizeof found) != 0) {
        rc = mu_fail(err, MU_CORRUPT, "the snapshot is damaged: its rows do not give its hash");
    }
    return rc;
}
