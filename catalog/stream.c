/* stream.c - the bytes of a snapshot. */
#include "stream.h"

#include <string.h>

#include "base/crc.h"
#include "base/limits.h"
#include "base/wire.h"
#include "proto/command.h"

#define MAGIC      UINT64_C(0x31706e7372747375) /* "ustrsnp1" */
#define VERSION    1U
#define HEAD_BYTES 72U
#define BLOCK_HEAD 8U
/* The largest row holds a value and a little beside it. */
#define BLOCK_BYTES_MAX (STREAM_BLOCK_BYTES + 2 * (size_t)MU_COMMAND_BYTES_MAX)

enum tag { TAG_NULL = 0, TAG_INT = 1, TAG_BYTES = 2 };

/* -- writing ----------------------------------------------------------------------------------- */

static enum mu_code put(struct stream_writer *w, struct mu_span bytes, struct mu_err *err)
{
    (void)crypto_generichash_update(&w->hash, bytes.data, bytes.bytes);
    w->out->bytes += bytes.bytes;
    return w->sink(w->data, bytes, err);
}

static enum mu_code block_put(struct stream_writer *w, struct mu_err *err)
{
    uint8_t head[BLOCK_HEAD];
    struct mu_wr wr = mu_wr_of(head, sizeof head);

    mu_wr_u32le(&wr, (uint32_t)w->block.bytes);
    mu_wr_u32le(&wr, mu_crc32c(0, w->block.data, w->block.bytes));
    enum mu_code rc = put(w, mu_wr_done(&wr), err);

    if (rc == MU_OK) {
        rc = put(w, mu_buf_span(&w->block), err);
    }
    mu_buf_clear(&w->block);
    return rc;
}

enum mu_code catalog__stream_begin(struct stream_writer *w, const struct catalog_applied *applied,
                                   uint32_t level, struct mu_err *err)
{
    uint8_t head[HEAD_BYTES];
    struct mu_wr wr = mu_wr_of(head, sizeof head);

    (void)crypto_generichash_init(&w->hash, NULL, 0, sizeof w->out->hash);
    *w->out = (struct catalog_snapshot){ .applied = *applied, .level = level };
    mu_wr_u64le(&wr, MAGIC);
    mu_wr_u32le(&wr, VERSION);
    mu_wr_u32le(&wr, level > COMMAND_LEVEL_FIRST ? level : 0);
    mu_wr_u64le(&wr, applied->index);
    mu_wr_u64le(&wr, applied->term);
    mu_wr_u64le(&wr, applied->stamp_ms);
    mu_wr_bytes(&wr, applied->hash, sizeof applied->hash);
    mu_wr_u64le(&wr, 0);
    mu_wr_u32le(&wr, mu_crc32c(0, head, wr.used));
    mu_wr_u32le(&wr, 0);
    return put(w, mu_wr_done(&wr), err);
}

static void add_u32(struct mu_buf *to, uint32_t v)
{
    struct mu_wr wr = mu_wr_of(mu_buf_reserve(to, 4), 4);

    mu_wr_u32le(&wr, v);
    to->bytes += 4;
}

static void add_u64(struct mu_buf *to, uint64_t v)
{
    struct mu_wr wr = mu_wr_of(mu_buf_reserve(to, 8), 8);

    mu_wr_u64le(&wr, v);
    to->bytes += 8;
}

static void add_value(struct mu_buf *to, const struct row_value *v)
{
    switch (v->kind) {
    case ROW_NULL: mu_buf_add_byte(to, TAG_NULL); break;
    case ROW_INT:
        mu_buf_add_byte(to, TAG_INT);
        add_u64(to, (uint64_t)v->number);
        break;
    case ROW_BYTES:
        mu_buf_add_byte(to, TAG_BYTES);
        add_u32(to, (uint32_t)v->bytes.bytes);
        mu_buf_add_span(to, v->bytes);
        break;
    }
}

enum mu_code catalog__stream_row(struct stream_writer *w, enum row_table table,
                                 const struct row_value *values, size_t count, struct mu_err *err)
{
    size_t before = w->block.bytes;

    mu_buf_add_byte(&w->block, (uint8_t)table);
    mu_buf_add_byte(&w->block, (uint8_t)count);
    for (size_t i = 0; i < count; i++) {
        add_value(&w->block, &values[i]);
    }
    w->out->tables[table].rows++;
    w->out->tables[table].bytes += w->block.bytes - before;
    return w->block.bytes < STREAM_BLOCK_BYTES ? MU_OK : block_put(w, err);
}

enum mu_code catalog__stream_end(struct stream_writer *w, struct mu_err *err)
{
    enum mu_code rc = w->block.bytes > 0 ? block_put(w, err) : MU_OK;

    if (rc == MU_OK) {
        mu_buf_add_byte(&w->block, 0);
        mu_buf_add_byte(&w->block, (uint8_t)(w->tables - 1));
        for (size_t i = 1; i < w->tables; i++) {
            w->out->tables[i].name = catalog__row_table_name((enum row_table)i);
            mu_buf_add_byte(&w->block, (uint8_t)i);
            add_u64(&w->block, w->out->tables[i].rows);
        }
        rc = block_put(w, err);
    }
    (void)crypto_generichash_final(&w->hash, w->out->hash, sizeof w->out->hash);
    return rc;
}

/* -- reading ----------------------------------------------------------------------------------- */

static enum mu_code damaged(struct mu_err *err, const char *what)
{
    return mu_fail(err, MU_CORRUPT, "the snapshot is damaged: %s", what);
}

/* Exactly so many, or fewer at the end. */
static enum mu_code take(struct stream_reader *r, uint8_t *to, size_t bytes, size_t *got,
                         struct mu_err *err)
{
    size_t some = 1;
    enum mu_code rc = MU_OK;

    *got = 0;
    while (rc == MU_OK && *got < bytes && some > 0) {
        rc = r->source(r->data, to + *got, bytes - *got, &some, err);
        if (rc == MU_OK) {
            (void)crypto_generichash_update(&r->hash, to + *got, some);
            *got += some;
        }
    }
    r->out->bytes += *got;
    return rc;
}

static enum mu_code take_all(struct stream_reader *r, uint8_t *to, size_t bytes, struct mu_err *err)
{
    size_t got = 0;
    enum mu_code rc = take(r, to, bytes, &got, err);

    return rc == MU_OK && got < bytes ? damaged(err, "it ends too early") : rc;
}

enum mu_code catalog__stream_open(struct stream_reader *r, struct mu_err *err)
{
    uint8_t head[HEAD_BYTES] = { 0 };
    struct mu_rd rd = mu_rd_of(mu_span_of(head, sizeof head));
    struct catalog_applied *applied = &r->out->applied;

    *r->out = (struct catalog_snapshot){ .bytes = 0 };
    (void)crypto_generichash_init(&r->hash, NULL, 0, sizeof r->out->hash);
    enum mu_code rc = take_all(r, head, sizeof head, err);

    if (rc != MU_OK) {
        return rc;
    }
    uint64_t magic = mu_rd_u64le(&rd);
    uint32_t version = mu_rd_u32le(&rd);

    r->out->level = mu_rd_u32le(&rd);
    r->out->level = r->out->level > 0 ? r->out->level : COMMAND_LEVEL_FIRST;
    applied->index = mu_rd_u64le(&rd);
    applied->term = mu_rd_u64le(&rd);
    applied->stamp_ms = mu_rd_u64le(&rd);
    memcpy(applied->hash, mu_rd_take(&rd, sizeof applied->hash).data, sizeof applied->hash);
    mu_rd_skip(&rd, 8);
    if (magic != MAGIC) {
        return damaged(err, "it does not begin as one");
    }
    if (mu_rd_u32le(&rd) != mu_crc32c(0, head, HEAD_BYTES - 8) || mu_rd_u32le(&rd) != 0) {
        return damaged(err, "its head fails its checksum");
    }
    if (version != VERSION) {
        return mu_fail(err, MU_UNSUPPORTED, "a snapshot of version %u, this binary knows %u",
                       version, VERSION);
    }
    if (applied->index == 0 || applied->index > INT64_MAX || applied->term > INT64_MAX ||
        applied->stamp_ms > INT64_MAX) {
        return damaged(err, "the entry it is of");
    }
    return MU_OK;
}

static enum mu_code block_take(struct stream_reader *r, struct mu_err *err)
{
    uint8_t head[BLOCK_HEAD] = { 0 };
    struct mu_rd rd = mu_rd_of(mu_span_of(head, sizeof head));
    enum mu_code rc = take_all(r, head, sizeof head, err);

    if (rc != MU_OK) {
        return rc;
    }
    uint32_t bytes = mu_rd_u32le(&rd);
    uint32_t crc = mu_rd_u32le(&rd);

    if (bytes < 2 || bytes > BLOCK_BYTES_MAX) {
        return damaged(err, "the size of a block");
    }
    mu_buf_clear(&r->block);
    rc = take_all(r, mu_buf_reserve(&r->block, bytes), bytes, err);
    if (rc != MU_OK) {
        return rc;
    }
    r->block.bytes = bytes;
    r->rows = mu_rd_of(mu_buf_span(&r->block));
    return mu_crc32c(0, r->block.data, bytes) == crc ? MU_OK
                                                     : damaged(err, "a block fails its checksum");
}

/* What follows the last row: how many there must have been, and the end. */
static enum mu_code finish(struct stream_reader *r, struct mu_err *err)
{
    uint8_t count = mu_rd_u8(&r->rows);
    uint8_t more;
    size_t got = 0;

    for (uint8_t i = 0; i < count; i++) {
        uint8_t table = mu_rd_u8(&r->rows);
        uint64_t rows = mu_rd_u64le(&r->rows);

        if (table != i + 1 || table >= CATALOG_SNAPSHOT_TABLES ||
            rows != r->out->tables[table].rows) {
            return damaged(err, "rows are missing");
        }
        if (rows > 0 || table < ROW_TABLES_COUNT) {
            r->out->tables[table].name = catalog__row_table_name((enum row_table)table);
        }
    }
    if (!mu_rd_done(&r->rows)) {
        return damaged(err, "its end");
    }
    enum mu_code rc = take(r, &more, 1, &got, err);

    if (rc == MU_OK && got > 0) {
        return damaged(err, "bytes behind its end");
    }
    (void)crypto_generichash_final(&r->hash, r->out->hash, sizeof r->out->hash);
    return rc;
}

static bool take_value(struct mu_rd *rd, struct row_value *out)
{
    uint8_t tag = mu_rd_u8(rd);

    switch (tag) {
    case TAG_NULL: *out = row_nothing(); break;
    case TAG_INT: *out = row_number(mu_rd_u64le(rd)); break;
    case TAG_BYTES: *out = row_bytes(mu_rd_take(rd, mu_rd_u32le(rd))); break;
    default: return false;
    }
    return mu_rd_ok(rd);
}

static enum mu_code take_row(struct stream_reader *r, uint8_t table, struct row *row,
                             struct mu_err *err)
{
    size_t left = r->rows.left;
    uint8_t count = mu_rd_u8(&r->rows);

    if (table >=
        r->tables) { /* in these words, always: they become a part of the state (restore.c) */
        return mu_fail(err, MU_UNSUPPORTED, "a snapshot with table %u, which this binary lacks",
                       table);
    }
    if (table < r->table || count != catalog__row_columns_count((enum row_table)table)) {
        return damaged(err, "a row is out of place");
    }
    for (uint8_t i = 0; i < count; i++) {
        if (!take_value(&r->rows, &row->v[i])) {
            return damaged(err, "a value");
        }
    }
    r->table = (enum row_table)table;
    r->out->tables[table].rows++;
    r->out->tables[table].bytes += 1 + left - r->rows.left;
    return MU_OK;
}

enum mu_code catalog__stream_next(struct stream_reader *r, bool *has_row, enum row_table *table,
                                  struct row *row, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    *has_row = false;
    if (r->rows.left == 0) {
        rc = block_take(r, err);
    }
    if (rc != MU_OK) {
        return rc;
    }
    uint8_t first = mu_rd_u8(&r->rows);

    if (first == 0) {
        return finish(r, err);
    }
    rc = take_row(r, first, row, err);
    *has_row = rc == MU_OK;
    *table = r->table;
    return rc;
}

void catalog__stream_close(struct stream_reader *r)
{
    mu_buf_deinit(&r->block);
}
