/* snapshot.h - the whole replicated state as a stream of bytes, and back.
 *
 * Two servers at one index give the same bytes: tables in the order of their numbers, rows in the
 * order of their keys, values by kind; nothing depends on SQLite's version, its pages or on tables
 * of one server alone. So the hash of a stream names a state (spec/consensus.md 2.12).
 *
 *   head   72 B: magic u64 | version u32 | level u32 | index u64 | term u64 | stamp u64 |
 *                state hash 16 | 0 u64 | crc u32 | 0 u32
 *   block        bytes u32 | crc u32 | rows: table u8 | columns u8 | values
 *                value: kind u8 | nothing, or i64, or bytes u32 and so many
 *   last block   bytes u32 | crc u32 | 0 u8 | tables u8 | of each: table u8 | rows u64
 *
 * The level is that of the commands whose tables it has, 0 for the first: a state without them gets
 * them before its rows (catalog/schema.h). Little-endian; each crc is CRC-32C of what follows it in
 * the block, or precedes it in the head.
 *
 * Thread:  any, with a reader or a catalog of its own. These calls block for as long as it takes.
 * Memory:  a block at a time.
 * Errors:  MU_CORRUPT (a check fails, what), MU_UNSUPPORTED (of a newer version, or a table that
 *          this binary does not know), MU_FULL, MU_IO, and what source and sink return.
 */
#ifndef CATALOG_SNAPSHOT_H
#define CATALOG_SNAPSHOT_H

#include "catalog/catalog.h"

struct catalog_reader;

#define CATALOG_SNAPSHOT_TABLES 32 /* numbers of tables are below this */

struct catalog_snapshot {
    struct catalog_applied applied;
    uint32_t level;   /* of commands that its tables came with */
    uint64_t bytes;   /* of the stream */
    uint8_t hash[32]; /* BLAKE2b-256 of all of it */
    struct {
        const char *name; /* NULL: no such table */
        uint64_t rows, bytes;
    } tables[CATALOG_SNAPSHOT_TABLES];
};

/* Takes the next bytes. */
typedef enum mu_code catalog_sink_fn(void *data, struct mu_span bytes, struct mu_err *err);
/* Up to `room` bytes, in order; *got 0: it is the end. */
typedef enum mu_code catalog_source_fn(void *data, void *to, size_t room, size_t *got,
                                       struct mu_err *err);

/* All rows as of the reader's transaction, which begins here unless it has begun and is the
 * caller's to end. */
MU_MUST_CHECK enum mu_code catalog_export(struct catalog_reader *r, catalog_sink_fn *sink,
                                          void *data, struct catalog_snapshot *out,
                                          struct mu_err *err);

/* Into a catalog that was just made and is empty. Its applied index stays 0 until everything has
 * passed its checks, `hash` (32 bytes, or NULL) included; then it is flushed. On failure the file
 * is of no use. */
MU_MUST_CHECK enum mu_code catalog_import(struct catalog *c, catalog_source_fn *source, void *data,
                                          const uint8_t *hash, struct catalog_snapshot *out,
                                          struct mu_err *err);

/* The same checks without a catalog: what is in it. */
MU_MUST_CHECK enum mu_code catalog_inspect(catalog_source_fn *source, void *data,
                                           struct catalog_snapshot *out, struct mu_err *err);

#endif
