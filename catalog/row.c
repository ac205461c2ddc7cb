/* row.c - the tables of the replicated state, and the one way to write them. */
#include "row.h"

#include <stdio.h>
#include <string.h>

#include "address.h"
#include "schema.h"

/* -- the tables -------------------------------------------------------------------------------- */

/* How they lie in the file is in schema.c. */
#define IDX_LIST   "name, value"
#define NODES_LIST "key, name, id, uuid, address, ip, tagged, meta, created, modified"
#define SERVICES_LIST                                                              \
    "node, key, name_key, id, name, kind, tags, address, ip, port, tagged, meta, " \
    "weight_passing, weight_warning, tag_override, proxy, connect, created, modified"
#define CHECKS_LIST                                                                           \
    "node, key, service_name_key, service_key, status, id, name, notes, output, service_id, " \
    "service_name, service_tags, type, definition, created, modified"
#define HIST_LIST                                                                                \
    "id, prev, op, create_rev, version, lease, idx, flags, session, lock_idx, create_idx, key, " \
    "value"
#define CUR_LIST \
    "key, id, op, create_rev, version, lease, idx, session, lock_idx, create_idx, digest"
#define SESSIONS_LIST                                                                              \
    "id, node, name, node_name, lock_delay, behavior, ttl, node_checks, service_checks, created, " \
    "modified"
#define COORDINATES_LIST "node, at, created, modified"
#define DELAYS_LIST      "key, until"
#define LOCKS_LIST       "session, key"
#define DEAD_LIST        "id, key"
#define STAGED_LIST      "at, id, data"
#define ORIGINS_LIST     "id, boot, high, idx, seen, effect"
#define OUTCOMES_LIST    "id, seq, code, applied, text, data"
#define REQUESTS_LIST    "id, idx, stamp, digest, code, applied, text, data"

#define AUTOPILOT_LIST                                                                \
    "one, cleanup, contact_ns, trailing, quorum, stable_ns, zone_tag, no_migration, " \
    "version_tag, created, modified"

static const struct table {
    const char *name, *columns;
    size_t columns_count, keys_count;
    const char *keys[2];
} tables[ROW_TABLES_COUNT] = {
    // clang-format off
    [ROW_IDX]         = { "idx",         IDX_LIST,      IDX_COLUMNS,     1, { "name" } },
    [ROW_NODES]       = { "nodes",       NODES_LIST,    NODE_COLUMNS,    1, { "key" } },
    [ROW_SERVICES]    = { "services",    SERVICES_LIST, SERVICE_COLUMNS, 2, { "node", "key" } },
    [ROW_CHECKS]      = { "checks",      CHECKS_LIST,   CHECK_COLUMNS,   2, { "node", "key" } },
    [ROW_KV_HIST_1]   = { "kv_hist_1",   HIST_LIST,     HIST_COLUMNS,    1, { "id" } },
    [ROW_KV_CUR_1]    = { "kv_cur_1",    CUR_LIST,      CUR_COLUMNS,     1, { "key" } },
    [ROW_SESSIONS]    = { "sessions",    SESSIONS_LIST, SESSION_COLUMNS, 1, { "id" } },
    [ROW_LOCK_DELAYS] = { "lock_delays", DELAYS_LIST,   DELAY_COLUMNS,   1, { "key" } },
    [ROW_AUTOPILOT]   = { "autopilot", AUTOPILOT_LIST, AUTOPILOT_COLUMNS, 1, { "one" } },
    [ROW_ORIGINS]     = { "origins",     ORIGINS_LIST,  ORIGIN_COLUMNS,  1, { "id" } },
    [ROW_OUTCOMES]    = { "outcomes",    OUTCOMES_LIST, OUTCOMES_COLUMNS, 2, { "id", "seq" } },
    [ROW_REQUESTS]    = { "requests",    REQUESTS_LIST, REQUEST_COLUMNS, 1, { "id" } },
    [ROW_KV_LOCKS_1]  = { "kv_locks_1",  LOCKS_LIST,    LOCK_COLUMNS,    2, { "session", "key" } },
    [ROW_COORDINATES] = { "coordinates", COORDINATES_LIST, COORDINATE_COLUMNS, 1, { "node" } },
    [ROW_KV_DEAD_1]   = { "kv_dead_1",   DEAD_LIST,     DEAD_COLUMNS,    1, { "id" } },
    [ROW_STAGED]      = { "staged",      STAGED_LIST,   STAGED_COLUMNS,  1, { "at" } },
}; // clang-format on

const char *catalog__row_table_name(enum row_table table)
{
    return tables[table].name;
}

size_t catalog__row_columns_count(enum row_table table)
{
    return tables[table].columns_count;
}

const char *catalog__row_columns(enum row_table table)
{
    return tables[table].columns;
}

/* -- statements -------------------------------------------------------------------------------- */

static void sql_by_key(struct mu_buf *sql, const struct table *t, size_t keys_count)
{
    for (size_t i = 0; i < keys_count; i++) {
        mu_buf_addf(sql, " %s %s = ?%zu", i == 0 ? "WHERE" : "AND", t->keys[i], i + 1);
    }
}

static void sql_order(struct mu_buf *sql, const struct table *t)
{
    mu_buf_addf(sql, " ORDER BY %s%s%s", t->keys[0], t->keys_count > 1 ? ", " : "",
                t->keys_count > 1 ? t->keys[1] : "");
}

static void sql_find(struct mu_buf *sql, const struct table *t)
{
    mu_buf_addf(sql, "SELECT %s FROM %s", t->columns, t->name);
    sql_by_key(sql, t, t->keys_count);
}

static void sql_scan(struct mu_buf *sql, const struct table *t)
{
    mu_buf_addf(sql, "SELECT %s FROM %s", t->columns, t->name);
    sql_by_key(sql, t, 1);
    sql_order(sql, t);
}

static void sql_write(struct mu_buf *sql, const struct table *t, const char *verb)
{
    mu_buf_addf(sql, "%s INTO %s(%s) VALUES(", verb, t->name, t->columns);
    for (size_t i = 0; i < t->columns_count; i++) {
        mu_buf_add_text(sql, i == 0 ? "?" : ", ?");
    }
    mu_buf_add_text(sql, ")");
}

static void sql_add(struct mu_buf *sql, const struct table *t)
{
    sql_write(sql, t, "INSERT");
}

static void sql_put(struct mu_buf *sql, const struct table *t)
{
    sql_write(sql, t, "REPLACE");
}

static void sql_remove(struct mu_buf *sql, const struct table *t)
{
    mu_buf_addf(sql, "DELETE FROM %s", t->name);
    sql_by_key(sql, t, t->keys_count);
}

static void sql_all(struct mu_buf *sql, const struct table *t)
{
    mu_buf_addf(sql, "SELECT %s FROM %s", t->columns, t->name);
    sql_order(sql, t);
}

typedef void sql_fn(struct mu_buf *sql, const struct table *t);

static enum mu_code prepare(const struct connection *db, const struct table *t, sql_fn *make,
                            sqlite3_stmt **out, struct mu_err *err)
{
    struct mu_buf sql = MU_BUF_NONE;

    make(&sql, t);
    enum mu_code rc = catalog__prepare(db, mu_buf_text(&sql), out, err);

    mu_buf_deinit(&sql);
    return rc;
}

static enum mu_code prepare_all(struct rows *r, size_t table, struct mu_err *err)
{
    const struct {
        sqlite3_stmt **to;
        sql_fn *make;
    } all[] = {
        { &r->find[table], sql_find }, { &r->add[table], sql_add },
        { &r->put[table], sql_put },   { &r->remove[table], sql_remove },
        { &r->scan[table], sql_scan },
    };
    /* the last is for keys of two columns */
    size_t count = tables[table].keys_count > 1 ? MU_LEN(all) : MU_LEN(all) - 1;
    enum mu_code rc = MU_OK;

    for (size_t i = 0; rc == MU_OK && i < count; i++) {
        if (*all[i].to == NULL) {
            rc = prepare(r->db, &tables[table], all[i].make, all[i].to, err);
        }
    }
    return rc;
}

enum mu_code catalog__rows_more(struct rows *r, size_t tables_count, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    for (size_t i = 1; rc == MU_OK && i < tables_count; i++) {
        rc = prepare_all(r, i, err);
    }
    return rc;
}

enum mu_code catalog__rows_init(struct rows *r, const struct connection *db, struct hash_sum *sum,
                                size_t tables_count, struct mu_err *err)
{
    *r = (struct rows){ .db = db, .sum = sum };
    enum mu_code rc = catalog__rows_more(r, tables_count, err);

    return rc == MU_OK ? catalog__addresses_init(r, err) : rc;
}

void catalog__rows_deinit(struct rows *r)
{
    for (size_t i = 0; i < ROW_TABLES_COUNT; i++) {
        (void)sqlite3_finalize(r->find[i]);
        (void)sqlite3_finalize(r->scan[i]);
        (void)sqlite3_finalize(r->add[i]);
        (void)sqlite3_finalize(r->put[i]);
        (void)sqlite3_finalize(r->remove[i]);
    }
    catalog__addresses_deinit(r);
    *r = (struct rows){ .db = NULL };
}

/* -- reading ----------------------------------------------------------------------------------- */

/* A view of one column. */
static struct row_value value_view(sqlite3_stmt *s, int column)
{
    switch (sqlite3_column_type(s, column)) {
    case SQLITE_INTEGER: return row_number((uint64_t)sqlite3_column_int64(s, column));
    case SQLITE_NULL: return row_nothing();
    default: return row_bytes(column_bytes(s, column));
    }
}

void catalog__row_read(sqlite3_stmt *s, enum row_table table, struct mu_arena *arena,
                       struct row *out)
{
    for (size_t i = 0; i < tables[table].columns_count; i++) {
        out->v[i] = value_view(s, (int)i);
        if (out->v[i].kind == ROW_BYTES) {
            out->v[i].bytes = mu_arena_span(arena, out->v[i].bytes);
        }
    }
}

static void bind_value(sqlite3_stmt *s, int parameter, const struct row_value *v)
{
    switch (v->kind) {
    case ROW_NULL: bind_nothing(s, parameter); break;
    case ROW_INT: bind_number(s, parameter, v->number); break;
    case ROW_BYTES: bind_bytes(s, parameter, v->bytes); break;
    }
}

static void bind_values(sqlite3_stmt *s, const struct row_value *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bind_value(s, (int)i + 1, &values[i]);
    }
}

enum mu_code catalog__row_find(struct rows *r, enum row_table table, const struct row_value *key,
                               struct mu_arena *arena, struct row *out, bool *found,
                               struct mu_err *err)
{
    sqlite3_stmt *s = r->find[table];

    bind_values(s, key, tables[table].keys_count);
    enum mu_code rc = catalog__step(r->db, s, found, err);

    if (rc == MU_OK && *found) {
        catalog__row_read(s, table, arena, out);
        (void)sqlite3_reset(s);
    }
    return rc;
}

void catalog__row_list_add(struct row_list *list, size_t *room, const struct row *row,
                           struct mu_arena *arena)
{
    if (list->count == *room) { /* what it grew out of dies with the arena */
        struct row *larger = mu_arena_array(arena, *room = *room * 2 + 4, sizeof *larger);

        if (list->count > 0) {
            memcpy(larger, list->items, list->count * sizeof *larger);
        }
        list->items = larger;
    }
    list->items[list->count++] = *row;
}

enum mu_code catalog__row_scan(struct rows *r, enum row_table table, struct mu_span first,
                               struct mu_arena *arena, struct row_list *out, struct mu_err *err)
{
    sqlite3_stmt *s = r->scan[table];
    bool has_row = false;
    size_t room = 0;
    enum mu_code rc;

    *out = (struct row_list){ NULL, 0 };
    bind_bytes(s, 1, first);
    while ((rc = catalog__step(r->db, s, &has_row, err)) == MU_OK && has_row) {
        struct row row;

        catalog__row_read(s, table, arena, &row);
        catalog__row_list_add(out, &room, &row, arena);
    }
    return rc;
}

/* -- writing ----------------------------------------------------------------------------------- */

static enum mu_code run_bound(struct rows *r, sqlite3_stmt *s, const struct row_value *values,
                              size_t count, struct mu_err *err)
{
    bind_values(s, values, count);
    return catalog__run(r->db, s, err);
}

static struct hash_sum term_of(enum row_table table, const struct row *row)
{
    return catalog__hash_row((uint8_t)table, row->v, tables[table].columns_count);
}

enum mu_code catalog__row_put(struct rows *r, enum row_table table, const struct row *old,
                              const struct row *new_row, struct mu_err *err)
{
    sqlite3_stmt *s = old != NULL ? r->put[table] : r->add[table];
    enum mu_code rc = run_bound(r, s, new_row->v, tables[table].columns_count, err);

    if (rc == MU_OK) {
        if (old != NULL) {
            catalog__hash_subtract(r->sum, term_of(table, old));
        }
        catalog__hash_add(r->sum, term_of(table, new_row));
        rc = catalog__addresses_follow(r, table, old, new_row, err);
    }
    return rc;
}

enum mu_code catalog__row_remove(struct rows *r, enum row_table table, const struct row *old,
                                 struct mu_err *err)
{
    enum mu_code rc = run_bound(r, r->remove[table], old->v, tables[table].keys_count, err);

    if (rc == MU_OK) {
        MU_ASSERT(sqlite3_changes(r->db->db) == 1);
        catalog__hash_subtract(r->sum, term_of(table, old));
        rc = catalog__addresses_follow(r, table, old, NULL, err);
    }
    return rc;
}

static bool value_same(const struct row_value *a, const struct row_value *b)
{
    return a->kind == b->kind && a->number == b->number && mu_span_eq(a->bytes, b->bytes);
}

bool catalog__row_same(const struct row *a, const struct row *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!value_same(&a->v[i], &b->v[i])) {
            return false;
        }
    }
    return true;
}

/* -- all rows ---------------------------------------------------------------------------------- */

enum mu_code catalog__rows_all(const struct connection *db, enum row_table table,
                               sqlite3_stmt **out, struct mu_err *err)
{
    return prepare(db, &tables[table], sql_all, out, err);
}

enum mu_code catalog__rows_each(const struct connection *db, row_fn *each, void *data,
                                struct mu_err *err)
{
    const struct schema *schema = NULL;
    enum mu_code rc = catalog__schema_of(db, &schema, err);

    for (size_t table = 1; rc == MU_OK && table < schema->tables; table++) {
        const struct table *t = &tables[table];
        sqlite3_stmt *s = NULL;
        bool has_row = false;

        rc = prepare(db, t, sql_all, &s, err);
        while (rc == MU_OK && (rc = catalog__step(db, s, &has_row, err)) == MU_OK && has_row) {
            struct row_value values[ROW_COLUMNS_MAX];

            for (size_t i = 0; i < t->columns_count; i++) {
                values[i] = value_view(s, (int)i);
            }
            each(data, (enum row_table)table, values, t->columns_count);
        }
        (void)sqlite3_finalize(s);
    }
    return rc;
}

static void census_row(void *data, enum row_table table, const struct row_value *values,
                       size_t count)
{
    struct row_census *c = data;

    c->counts[table]++;
    catalog__hash_add(&c->sums[table], catalog__hash_row((uint8_t)table, values, count));
}

enum mu_code catalog__rows_census(const struct connection *db, struct row_census *out,
                                  struct mu_err *err)
{
    *out = (struct row_census){ .counts = { 0 } };
    return catalog__rows_each(db, census_row, out, err);
}

enum mu_code catalog__rows_clear(const struct connection *db, enum row_table table,
                                 struct mu_err *err)
{
    char sql[64];

    (void)snprintf(sql, sizeof sql, "DELETE FROM %s", tables[table].name);
    enum mu_code rc = catalog__exec(db, sql, err);

    return rc == MU_OK ? catalog__addresses_clear(db, table, err) : rc;
}

static void count_row(void *data, enum row_table table, const struct row_value *values,
                      size_t count)
{
    catalog__hash_add(data, catalog__hash_row((uint8_t)table, values, count));
}

enum mu_code catalog__rows_recount(const struct connection *db, struct hash_sum *sum,
                                   struct mu_err *err)
{
    *sum = (struct hash_sum){ 0, 0 };
    return catalog__rows_each(db, count_row, sum, err);
}

static void dump_bytes(struct mu_buf *to, struct mu_span s)
{
    mu_buf_add_byte(to, '"');
    for (size_t i = 0; i < s.bytes; i++) {
        uint8_t c = s.data[i];

        if (c == '"' || c == '\\') {
            mu_buf_addf(to, "\\%c", c);
        } else if (c == 0) {
            mu_buf_add_text(to, "\\0");
        } else if (c < 0x20 || c >= 0x7f) {
            mu_buf_addf(to, "\\x%02x", c);
        } else {
            mu_buf_add_byte(to, c);
        }
    }
    mu_buf_add_byte(to, '"');
}

static void dump_row(void *data, enum row_table table, const struct row_value *values, size_t count)
{
    struct mu_buf *to = data;

    mu_buf_add_text(to, tables[table].name);
    for (size_t i = 0; i < count; i++) {
        mu_buf_add_byte(to, ' ');
        switch (values[i].kind) {
        case ROW_NULL: mu_buf_add_byte(to, '-'); break;
        case ROW_INT: mu_buf_addf(to, "%lld", (long long)values[i].number); break;
        case ROW_BYTES: dump_bytes(to, values[i].bytes); break;
        }
    }
    mu_buf_add_byte(to, '\n');
}

enum mu_code catalog__rows_dump(const struct connection *db, struct mu_buf *to, struct mu_err *err)
{
    return catalog__rows_each(db, dump_row, to, err);
}
