/* row.h - rows of replicated state as data: described once, read, written and hashed by one code.
 *
 * A table is a name, its columns and how many of them are its key; schema.h says since when it is.
 * From that description come the statements, the state hash, the recount and the dump, so that a
 * column cannot be written without being hashed. Rows are arrays of row_value in the order of the
 * columns; the enums below name the places. In tables of catalog objects the last two columns are
 * the indexes of creation and of the last change: two rows that agree in all others are the same to
 * a user.
 *
 * Memory:  rows that are read are copied into the arena; rows that are written are borrowed.
 * Errors:  MU_IO, MU_FULL, MU_CORRUPT.
 */
#ifndef CATALOG_ROW_H
#define CATALOG_ROW_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "connection.h"
#include "hash.h"

/* Numbers for ever: they are part of the state hash. */
enum row_table {
    ROW_IDX = 1,
    ROW_NODES = 2,
    ROW_SERVICES = 3,
    ROW_CHECKS = 4,
    ROW_KV_HIST_1 = 5, /* key space 1: Consul's (spec/etcd-v3.md 15.1) */
    ROW_KV_CUR_1 = 6,
    ROW_SESSIONS = 7,
    ROW_LOCK_DELAYS = 8,
    ROW_AUTOPILOT = 9,
    ROW_ORIGINS = 10,
    ROW_OUTCOMES = 11,
    ROW_REQUESTS = 12,
    ROW_KV_LOCKS_1 = 13, /* which session holds which key: an index of kv_cur_1 */
    ROW_KV_DEAD_1 = 14,  /* deletion markers by id: another one */
    ROW_STAGED = 15,     /* the stream of a state that is to be restored, in parts */
    ROW_COORDINATES = 16,
};
#define ROW_TABLES_COUNT 17 /* with the unused 0 */

enum idx_column { IDX_NAME, IDX_VALUE, IDX_COLUMNS };

enum node_column {
    NODE_KEY, /* the name folded */
    NODE_NAME,
    NODE_ID,   /* as given, or NULL */
    NODE_UUID, /* its 16 bytes, or NULL */
    NODE_ADDRESS,
    NODE_IP, /* the address in 4 or 16 bytes; NULL when it is a name */
    NODE_TAGGED,
    NODE_META,
    NODE_CREATED,
    NODE_MODIFIED,
    NODE_COLUMNS
};

enum service_column {
    SERVICE_NODE, /* key of the node */
    SERVICE_KEY,  /* the id folded */
    SERVICE_NAME_KEY,
    SERVICE_ID,
    SERVICE_NAME,
    SERVICE_KIND,
    SERVICE_TAGS,
    SERVICE_ADDRESS,
    SERVICE_IP,
    SERVICE_PORT,
    SERVICE_TAGGED,
    SERVICE_META,
    SERVICE_WEIGHT_PASSING,
    SERVICE_WEIGHT_WARNING,
    SERVICE_TAG_OVERRIDE,
    SERVICE_PROXY,
    SERVICE_CONNECT,
    SERVICE_CREATED,
    SERVICE_MODIFIED,
    SERVICE_COLUMNS
};

enum check_column {
    CHECK_NODE,
    CHECK_KEY,
    CHECK_SERVICE_NAME_KEY, /* empty, as the next: the check is of the node */
    CHECK_SERVICE_KEY,
    CHECK_STATUS,
    CHECK_ID,
    CHECK_NAME,
    CHECK_NOTES,
    CHECK_OUTPUT,
    CHECK_SERVICE_ID,
    CHECK_SERVICE_NAME,
    CHECK_SERVICE_TAGS,
    CHECK_TYPE,
    CHECK_DEFINITION,
    CHECK_CREATED,
    CHECK_MODIFIED,
    CHECK_COLUMNS
};

enum hist_column {
    HIST_ID, /* revision << 20 | number within the revision */
    HIST_PREV,
    HIST_OP,
    HIST_CREATE_REV,
    HIST_VERSION,
    HIST_LEASE,
    HIST_INDEX,
    HIST_FLAGS,
    HIST_SESSION,
    HIST_LOCK_INDEX,
    HIST_CREATE_INDEX,
    HIST_KEY,
    HIST_VALUE, /* NULL in a deletion */
    HIST_COLUMNS
};

enum cur_column {
    CUR_KEY,
    CUR_ID,
    CUR_OP,
    CUR_CREATE_REV,
    CUR_VERSION,
    CUR_LEASE,
    CUR_INDEX,
    CUR_SESSION, /* id of the session that holds the lock, 16 bytes; NULL: not locked */
    CUR_LOCK_INDEX,
    CUR_CREATE_INDEX,
    CUR_DIGEST, /* of the value: tells a write that changes nothing without reading the old one */
    CUR_COLUMNS
};

enum autopilot_column {
    AUTOPILOT_ONE, /* there is one row, under the key 1 */
    AUTOPILOT_CLEANUP,
    AUTOPILOT_CONTACT_NS,
    AUTOPILOT_TRAILING,
    AUTOPILOT_QUORUM,
    AUTOPILOT_STABLE_NS,
    AUTOPILOT_ZONE_TAG,
    AUTOPILOT_NO_MIGRATION,
    AUTOPILOT_VERSION_TAG,
    AUTOPILOT_CREATED,
    AUTOPILOT_MODIFIED,
    AUTOPILOT_COLUMNS
};

enum coordinate_column {
    COORDINATE_NODE, /* key of the node */
    COORDINATE_AT,   /* its numbers: coordinate.c */
    COORDINATE_CREATED,
    COORDINATE_MODIFIED,
    COORDINATE_COLUMNS
};

enum session_column {
    SESSION_ID,   /* 16 bytes */
    SESSION_NODE, /* key of the node */
    SESSION_NAME,
    SESSION_NODE_NAME,
    SESSION_LOCK_DELAY, /* ns, as given */
    SESSION_BEHAVIOR,   /* "release" or "delete" */
    SESSION_TTL,        /* as given */
    SESSION_NODE_CHECKS,
    SESSION_SERVICE_CHECKS, /* NULL: none were given */
    SESSION_CREATED,
    SESSION_MODIFIED,
    SESSION_COLUMNS
};

/* Indexes over few of the keys are tables of their own: what has none of SQLite's is overwritten in
 * place, and most writes touch neither. */
enum lock_column { LOCK_SESSION, LOCK_KEY, LOCK_COLUMNS };
enum dead_column { DEAD_ID, DEAD_KEY, DEAD_COLUMNS };

enum staged_column { STAGED_AT, STAGED_ID, STAGED_DATA, STAGED_COLUMNS };

/* Keys that nobody may lock for a while, for they were locked by a session that ended. */
enum delay_column {
    DELAY_KEY,
    DELAY_UNTIL, /* stamp of entries, ms */
    DELAY_COLUMNS
};

/* Named where they are used: origin.c, request.c. */
#define ORIGIN_COLUMNS   6
#define OUTCOMES_COLUMNS 6
#define REQUEST_COLUMNS  8

#define ROW_COLUMNS_MAX 20
_Static_assert(SERVICE_COLUMNS <= ROW_COLUMNS_MAX, "the widest table");

struct row {
    struct row_value v[ROW_COLUMNS_MAX];
};

static inline struct row_value row_number(uint64_t number)
{
    return (struct row_value){ .kind = ROW_INT, .number = (int64_t)number };
}

static inline struct row_value row_bytes(struct mu_span bytes)
{
    return (struct row_value){ .kind = ROW_BYTES, .bytes = bytes };
}

static inline struct row_value row_nothing(void)
{
    return (struct row_value){ .kind = ROW_NULL };
}

/* Bytes, or NULL when there are none. */
static inline struct row_value row_bytes_or_nothing(struct mu_span bytes)
{
    return bytes.bytes > 0 ? row_bytes(bytes) : row_nothing();
}

/* Statements by table, and the sum that writes keep. */
struct rows {
    const struct connection *db; /* borrowed */
    struct hash_sum *sum;        /* borrowed */
    sqlite3_stmt *find[ROW_TABLES_COUNT];
    sqlite3_stmt *scan[ROW_TABLES_COUNT]; /* tables with a key of two columns: by the first */
    sqlite3_stmt *add[ROW_TABLES_COUNT];
    sqlite3_stmt *put[ROW_TABLES_COUNT];
    sqlite3_stmt *remove[ROW_TABLES_COUNT];
    sqlite3_stmt *address_add, *address_remove; /* address.c */
};

const char *catalog__row_table_name(enum row_table table);
/* "key, name, id, ...", for other statements that select whole rows. */
const char *catalog__row_columns(enum row_table table);
size_t catalog__row_columns_count(enum row_table table);

/* Of the tables whose numbers are below tables_count: the file has no others (schema.h). */
MU_MUST_CHECK enum mu_code catalog__rows_init(struct rows *r, const struct connection *db,
                                              struct hash_sum *sum, size_t tables_count,
                                              struct mu_err *err);
/* The file has more tables by now. */
MU_MUST_CHECK enum mu_code catalog__rows_more(struct rows *r, size_t tables_count,
                                              struct mu_err *err);
void catalog__rows_deinit(struct rows *r);

/* -- reading ----------------------------------------------------------------------------------- */

/* The row of the statement, copied. */
void catalog__row_read(sqlite3_stmt *s, enum row_table table, struct mu_arena *arena,
                       struct row *out);

/* By its whole key. */
MU_MUST_CHECK enum mu_code catalog__row_find(struct rows *r, enum row_table table,
                                             const struct row_value *key, struct mu_arena *arena,
                                             struct row *out, bool *found, struct mu_err *err);

struct row_list {
    struct row *items;
    size_t count;
};
/* `room`: how many fit, 0 at first; for this function alone. */
void catalog__row_list_add(struct row_list *list, size_t *room, const struct row *row,
                           struct mu_arena *arena);
/* All whose first key column is `first`, in the order of their keys. */
MU_MUST_CHECK enum mu_code catalog__row_scan(struct rows *r, enum row_table table,
                                             struct mu_span first, struct mu_arena *arena,
                                             struct row_list *out, struct mu_err *err);

/* -- writing, hash included -------------------------------------------------------------------- */

/* `old` is the row as it is stored now, or NULL when there is none under this key. */
MU_MUST_CHECK enum mu_code catalog__row_put(struct rows *r, enum row_table table,
                                            const struct row *old, const struct row *new_row,
                                            struct mu_err *err);
MU_MUST_CHECK enum mu_code catalog__row_remove(struct rows *r, enum row_table table,
                                               const struct row *old, struct mu_err *err);

/* Equal in the first `count` columns. */
bool catalog__row_same(const struct row *a, const struct row *b, size_t count);

/* -- all rows ---------------------------------------------------------------------------------- */

/* Each row of each table that the file has, in the order of tables and keys; values are views. */
typedef void row_fn(void *data, enum row_table table, const struct row_value *values, size_t count);
MU_MUST_CHECK enum mu_code catalog__rows_each(const struct connection *db, row_fn *each, void *data,
                                              struct mu_err *err);

/* A statement that yields all rows of a table by key, to be finalized. */
MU_MUST_CHECK enum mu_code catalog__rows_all(const struct connection *db, enum row_table table,
                                             sqlite3_stmt **out, struct mu_err *err);

/* All rows of a table go. The sum is not kept: recount. */
MU_MUST_CHECK enum mu_code catalog__rows_clear(const struct connection *db, enum row_table table,
                                               struct mu_err *err);
MU_MUST_CHECK enum mu_code catalog__rows_recount(const struct connection *db, struct hash_sum *sum,
                                                 struct mu_err *err);
/* How many rows each table has, and what they add up to. */
struct row_census {
    uint64_t counts[ROW_TABLES_COUNT];
    struct hash_sum sums[ROW_TABLES_COUNT];
};
MU_MUST_CHECK enum mu_code catalog__rows_census(const struct connection *db, struct row_census *out,
                                                struct mu_err *err);
MU_MUST_CHECK enum mu_code catalog__rows_dump(const struct connection *db, struct mu_buf *to,
                                              struct mu_err *err);

#endif
