/* stream.h - rows to the bytes of a snapshot and back (the layout is in catalog/snapshot.h). */
#ifndef CATALOG_STREAM_H
#define CATALOG_STREAM_H

#include <sodium.h>

#include "base/wire.h"
#include "catalog/snapshot.h"
#include "row.h"

/* A block is closed when it has so much; one row may be larger. */
#define STREAM_BLOCK_BYTES ((size_t)64 * 1024)

struct stream_writer {
    catalog_sink_fn *sink;
    void *data;
    size_t tables; /* that the state has; numbers below it */
    struct mu_buf block;
    crypto_generichash_state hash;
    struct catalog_snapshot *out; /* borrowed */
};

MU_MUST_CHECK enum mu_code catalog__stream_begin(struct stream_writer *w,
                                                 const struct catalog_applied *applied,
                                                 uint32_t level, struct mu_err *err);
MU_MUST_CHECK enum mu_code catalog__stream_row(struct stream_writer *w, enum row_table table,
                                               const struct row_value *values, size_t count,
                                               struct mu_err *err);
MU_MUST_CHECK enum mu_code catalog__stream_end(struct stream_writer *w, struct mu_err *err);

struct stream_reader {
    catalog_source_fn *source;
    void *data;
    size_t tables; /* that it may have rows of */
    struct mu_buf block;
    struct mu_rd rows; /* of the block, not read yet */
    crypto_generichash_state hash;
    enum row_table table;         /* of the row before */
    struct catalog_snapshot *out; /* borrowed */
};

/* The head. */
MU_MUST_CHECK enum mu_code catalog__stream_open(struct stream_reader *r, struct mu_err *err);
/* The next row, a view until the next call; *has_row false: everything was there and is intact. */
MU_MUST_CHECK enum mu_code catalog__stream_next(struct stream_reader *r, bool *has_row,
                                                enum row_table *table, struct row *row,
                                                struct mu_err *err);
void catalog__stream_close(struct stream_reader *r);

#endif
