/* mvcc.h - keys with all their versions: one engine for every key space (spec/etcd-v3.md 15).
 *
 * The history has one row a change, in the order of revisions; the current table one small row a
 * key, deletion markers included, so that counts, scans of keys and comparisons never touch values.
 * A revision is one log entry that changed the key space, numbered without gaps beside the log's
 * index; changes within it are told apart by a sub-number (an entry with more changes than that
 * can tell apart takes several revisions).
 *
 * Old versions and deletion markers go in small steps, in the order of the history (compact.c): a
 * version that a row names as the one before may be gone.
 */
#ifndef CATALOG_MVCC_H
#define CATALOG_MVCC_H

#include "core.h"

#define MVCC_SUB_BITS 20
/* Changes in one entry: what the sub-number can tell apart. */
#define MVCC_CHANGES_MAX (1U << MVCC_SUB_BITS)

enum mvcc_op { /* numbers for ever */
               MVCC_PUT = 0,
               MVCC_DELETE = 1,
};

/* A key as the current table has it. */
struct mvcc_key {
    bool has_row; /* live, or deleted and not yet compacted */
    bool is_live;
    struct row row; /* enum cur_column */
};

/* What hangs on a live key besides its value. */
struct mvcc_attributes {
    uint64_t flags;
    struct mu_span session; /* its id, 16 bytes; empty: not locked */
    uint64_t lock_index;
};

MU_MUST_CHECK enum mu_code catalog__mvcc_find(struct catalog *c, struct mu_span key,
                                              struct mvcc_key *out, struct mu_err *err);
uint64_t catalog__mvcc_index(const struct mvcc_key *k); /* entry of the last change; is_live */
struct mvcc_attributes catalog__mvcc_lock(const struct mvcc_key *k); /* session and lock index */

/* A value and its hash, which is computed once however often it is needed. */
struct mvcc_value {
    struct mu_span bytes;
    uint8_t digest[HASH_BYTES];
};
struct mvcc_value catalog__mvcc_value(struct mu_span bytes);

/* Would putting this value with these attributes leave a live key as it is? */
MU_MUST_CHECK enum mu_code catalog__mvcc_is_same(struct catalog *c, const struct mvcc_key *k,
                                                 const struct mvcc_value *value,
                                                 const struct mvcc_attributes *attributes,
                                                 bool *same, struct mu_err *err);
/* What a live key holds, in the arena. */
MU_MUST_CHECK enum mu_code catalog__mvcc_read(struct catalog *c, const struct mvcc_key *k,
                                              struct mu_arena *arena, struct mvcc_value *value,
                                              uint64_t *flags, struct mu_err *err);

/* A new version of the key. `was` is what mvcc_find said of it just now. */
MU_MUST_CHECK enum mu_code catalog__mvcc_put(struct catalog *c, const struct mvcc_key *was,
                                             struct mu_span key, const struct mvcc_value *value,
                                             const struct mvcc_attributes *attributes,
                                             struct mu_err *err);
MU_MUST_CHECK enum mu_code catalog__mvcc_delete(struct catalog *c, const struct mvcc_key *was,
                                                struct mu_err *err);

/* Live keys that begin with `prefix`, at or after `from`, at most `max`; in the arena. */
struct mvcc_keys {
    struct mvcc_key *items;
    size_t count;
};
MU_MUST_CHECK enum mu_code catalog__mvcc_range(struct catalog *c, struct mu_span prefix,
                                               struct mu_span from, size_t max,
                                               struct mu_arena *arena, struct mvcc_keys *out,
                                               struct mu_err *err);
/* Keys that a session holds, at most `max`; in the arena. */
MU_MUST_CHECK enum mu_code catalog__mvcc_held(struct catalog *c, struct mu_span session, size_t max,
                                              struct mu_arena *arena, struct mvcc_keys *out,
                                              struct mu_err *err);

#endif
