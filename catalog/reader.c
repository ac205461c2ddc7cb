/* reader.c - read-only connections, and the rows they give.
 *
 * The first query of a turn opens a read transaction, the owner ends it with the turn: queries of
 * one turn share it (half the cost of opening it for each, and one state for an answer and its
 * index), and no reader stands in the way of a checkpoint for longer than a turn.
 *
 * A catalog in memory has one connection; there, and only there, the reader borrows it, and the
 * turn is the thread's.
 */
#include "reader.h"

#include <string.h>

#include "base/mem.h"
#include "packed.h"

/* "SELECT <columns of the table> FROM <table> <rest>", or the SQL itself where there is no table.
 * A walk over a range has no upper bound in SQL: it stops where the prefix ends. */
static const struct {
    enum row_table table;
    const char *sql;
} sources[READER_SQL_COUNT] = {
    // clang-format off
    [READER_BEGIN]              = { 0, "BEGIN" },
    [READER_COMMIT]             = { 0, "COMMIT" },
    [READER_APPLIED]            = { 0, "SELECT idx, term, stamp, hash FROM applied" },
    [READER_IDX]                = { 0, "SELECT value FROM idx WHERE name = ?" },
    [READER_NODES]              = { ROW_NODES, "ORDER BY key" },
    [READER_NODE]               = { ROW_NODES, "WHERE key = ?" },
    [READER_NODES_FROM_UUID]    = { ROW_NODES, "WHERE uuid >= ? ORDER BY uuid, key" },
    [READER_NODES_OF_IP]        = { ROW_NODES, "WHERE ip = ? ORDER BY key LIMIT 1" },
    [READER_NODES_OF_TAGGED]    = { ROW_NODES, "WHERE key = (SELECT node FROM addresses WHERE ip = ?"
                                               " AND service = x'' ORDER BY node LIMIT 1)" },
    [READER_SERVICES]           = { ROW_SERVICES, "ORDER BY name_key, node, key" },
    [READER_SERVICES_OF_NAME]   = { ROW_SERVICES, "WHERE name_key = ? ORDER BY node, key" },
    [READER_SERVICES_OF_NODE]   = { ROW_SERVICES, "WHERE node = ? ORDER BY key" },
    [READER_SERVICES_OF_IP]     = { ROW_SERVICES, "WHERE ip = ? ORDER BY node, key LIMIT 1" },
    [READER_SERVICES_OF_TAGGED] = { ROW_SERVICES, "WHERE (node, key) = (SELECT node, service FROM"
                                                  " addresses WHERE ip = ? AND service <> x''"
                                                  " ORDER BY node, service LIMIT 1)" },
    [READER_SERVICE]            = { ROW_SERVICES, "WHERE node = ? AND key = ?" },
    [READER_CHECKS]             = { ROW_CHECKS, "ORDER BY node, key" },
    [READER_CHECKS_OF_NODE]     = { ROW_CHECKS, "WHERE node = ? ORDER BY key" },
    [READER_CHECKS_OF_INSTANCE] = { ROW_CHECKS, "WHERE service_name_key = ? AND node = ?"
                                                " AND service_key = ? ORDER BY key" },
    [READER_CHECKS_OF_SERVICE]  = { ROW_CHECKS, "WHERE service_name_key = ? ORDER BY node, key" },
    [READER_CHECKS_OF_STATUS]   = { ROW_CHECKS, "WHERE status = ? ORDER BY node, key" },
    [READER_CHECK]              = { ROW_CHECKS, "WHERE node = ? AND key = ?" },
    [READER_SESSION]            = { ROW_SESSIONS, "WHERE id = ?" },
    [READER_SESSIONS]           = { ROW_SESSIONS, "ORDER BY id" },
    [READER_SESSIONS_OF_NODE]   = { ROW_SESSIONS, "WHERE node = ? ORDER BY id" },
    [READER_KEY]                = { 0, "SELECT h.flags, h.session, h.lock_idx, h.create_idx, c.idx,"
                                       " h.value FROM kv_cur_1 c JOIN kv_hist_1 h ON h.id = c.id"
                                       " WHERE c.key = ? AND c.op = 0" },
    [READER_KEYS]               = { 0, "SELECT key, op, idx FROM kv_cur_1 WHERE key >= ?"
                                       " ORDER BY key" },
    [READER_PAIRS]              = { 0, "SELECT c.key, c.op, c.idx, h.flags, h.session, h.lock_idx,"
                                       " h.create_idx, h.value FROM kv_cur_1 c CROSS JOIN"
                                       " kv_hist_1 h ON h.id = c.id WHERE c.key >= ?"
                                       " ORDER BY c.key" },
    [READER_AUTOPILOT]          = { ROW_AUTOPILOT, "WHERE one = 1" },
    [READER_COORDINATES]        = { 0, "SELECT n.name, c.at FROM coordinates c JOIN nodes n"
                                       " ON n.key = c.node ORDER BY c.node" },
    [READER_COORDINATE]         = { 0, "SELECT n.name, c.at FROM coordinates c JOIN nodes n"
                                       " ON n.key = c.node WHERE c.node = ?" },
}; // clang-format on

/* -- opening ----------------------------------------------------------------------------------- */

static enum mu_code prepare_all(struct catalog_reader *r, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    for (size_t i = 0; rc == MU_OK && i < READER_SQL_COUNT; i++) {
        struct mu_buf sql = MU_BUF_NONE;

        if (sources[i].table != 0) {
            mu_buf_addf(&sql, "SELECT %s FROM %s ", catalog__row_columns(sources[i].table),
                        catalog__row_table_name(sources[i].table));
        }
        mu_buf_add_text(&sql, sources[i].sql);
        rc = catalog__prepare(r->db, mu_buf_text(&sql), &r->statements[i], err);
        mu_buf_deinit(&sql);
    }
    return rc;
}

static enum mu_code reader_open(struct catalog_reader **out, const char *path, const char *vfs,
                                struct catalog *in_memory, struct mu_err *err)
{
    struct catalog_reader *r = mu_new(sizeof *r);
    enum mu_code rc = MU_OK;

    if (in_memory != NULL) {
        MU_ASSERT(in_memory->is_in_memory);
        r->in_memory = in_memory;
        r->db = &in_memory->db;
    } else {
        r->db = &r->own;
        rc = catalog__connection_open(&r->own, path, CONNECTION_READER, vfs, MU_STATE_CACHE_BYTES,
                                      err);
        r->own.damage = &r->is_damaged;
    }
    if (rc == MU_OK) {
        rc = prepare_all(r, err);
    }
    if (rc == MU_OK) {
        *out = r;
        r = NULL;
    }
    catalog_reader_close(r);
    return rc;
}

enum mu_code catalog_reader_open(struct catalog_reader **out, const char *path,
                                 struct catalog *in_memory, struct mu_err *err)
{
    MU_ASSERT((path == NULL) != (in_memory == NULL));
    return reader_open(out, path, NULL, in_memory, err);
}

enum mu_code catalog_reader_open_in(struct catalog_reader **out, const char *path,
                                    const struct catalog_files *files, struct mu_err *err)
{
    return reader_open(out, path, files->vfs, NULL, err);
}

void catalog_reader_close(struct catalog_reader *r)
{
    if (r == NULL) {
        return;
    }
    for (size_t i = 0; i < READER_SQL_COUNT; i++) {
        (void)sqlite3_finalize(r->statements[i]);
    }
    if (r->in_memory == NULL) {
        catalog__connection_close(&r->own);
    }
    mu_free(r);
}

bool catalog_reader_is_damaged(const struct catalog_reader *r)
{
    return r->is_damaged;
}

/* -- turns ------------------------------------------------------------------------------------- */

static enum mu_code open_turn(struct catalog_reader *r, struct mu_err *err)
{
    if (r->in_memory != NULL) { /* or it would read what is not committed */
        MU_ASSERT(!r->in_memory->in_transaction);
        return MU_OK;
    }
    if (r->in_turn) {
        return MU_OK;
    }
    enum mu_code rc = catalog__run(r->db, r->statements[READER_BEGIN], err);

    r->in_turn = rc == MU_OK;
    r->has_floor = false;
    return rc;
}

void catalog_reader_release(struct catalog_reader *r)
{
    if (!r->in_turn) {
        return;
    }
    /* A read transaction has nothing to lose: after a failed read it may be gone already. */
    (void)sqlite3_step(r->statements[READER_COMMIT]);
    (void)sqlite3_reset(r->statements[READER_COMMIT]);
    r->in_turn = false;
}

void catalog_reader_rest(struct catalog_reader *r)
{
    catalog_reader_release(r);
    if (r->in_memory == NULL) {
        catalog__connection_rest(&r->own);
    }
}

/* -- walking rows ------------------------------------------------------------------------------ */

void catalog__walk(struct walk *w, struct catalog_reader *r, enum reader_sql sql,
                   struct mu_arena *arena, struct mu_err *err)
{
    *w = (struct walk){ .r = r, .s = r->statements[sql], .arena = arena, .err = err };
    w->rc = open_turn(r, err);
}

bool catalog__walk_next(struct walk *w)
{
    bool has_row = false;

    if (w->rc == MU_OK) {
        w->rc = catalog__step(w->r->db, w->s, &has_row, w->err);
    }
    return has_row;
}

enum mu_code catalog__walk_end(struct walk *w)
{
    (void)sqlite3_reset(w->s);
    return w->rc;
}

struct mu_span catalog__walk_bytes(struct walk *w, int column)
{
    struct mu_span s = column_bytes(w->s, column);

    return s.bytes > 0 ? mu_arena_span(w->arena, s) : MU_SPAN_NONE;
}

uint64_t catalog__walk_number(struct walk *w, int column)
{
    return (uint64_t)sqlite3_column_int64(w->s, column);
}

static bool has_value(struct walk *w, int column)
{
    return sqlite3_column_type(w->s, column) != SQLITE_NULL;
}

/* -- rows as answers show them ----------------------------------------------------------------- */

void catalog__read_node(struct walk *w, struct catalog_node *out)
{
    out->name = catalog__walk_bytes(w, NODE_NAME);
    out->id = catalog__walk_bytes(w, NODE_ID);
    out->address = catalog__walk_bytes(w, NODE_ADDRESS);
    out->has_tagged_addresses = has_value(w, NODE_TAGGED);
    out->tagged_addresses = catalog__unpack_pairs(w->arena, catalog__walk_bytes(w, NODE_TAGGED));
    out->has_meta = has_value(w, NODE_META);
    out->meta = catalog__unpack_pairs(w->arena, catalog__walk_bytes(w, NODE_META));
    out->create_index = catalog__walk_number(w, NODE_CREATED);
    out->modify_index = catalog__walk_number(w, NODE_MODIFIED);
}

void catalog__read_service(struct walk *w, struct catalog_service *out)
{
    struct mu_arena *arena = w->arena;

    out->id = catalog__walk_bytes(w, SERVICE_ID);
    out->name = catalog__walk_bytes(w, SERVICE_NAME);
    out->kind = catalog__walk_bytes(w, SERVICE_KIND);
    out->tags = catalog__unpack_texts(arena, catalog__walk_bytes(w, SERVICE_TAGS));
    out->address = catalog__walk_bytes(w, SERVICE_ADDRESS);
    out->port = (uint16_t)catalog__walk_number(w, SERVICE_PORT);
    out->tagged_addresses = catalog__unpack_addresses(arena, catalog__walk_bytes(w, SERVICE_TAGGED),
                                                      &out->tagged_addresses_count);
    out->has_meta = has_value(w, SERVICE_META);
    out->meta = catalog__unpack_pairs(arena, catalog__walk_bytes(w, SERVICE_META));
    out->weight_passing = (uint32_t)catalog__walk_number(w, SERVICE_WEIGHT_PASSING);
    out->weight_warning = (uint32_t)catalog__walk_number(w, SERVICE_WEIGHT_WARNING);
    out->enable_tag_override = catalog__walk_number(w, SERVICE_TAG_OVERRIDE) != 0;
    out->proxy = catalog__walk_bytes(w, SERVICE_PROXY);
    out->connect = catalog__walk_bytes(w, SERVICE_CONNECT);
    out->create_index = catalog__walk_number(w, SERVICE_CREATED);
    out->modify_index = catalog__walk_number(w, SERVICE_MODIFIED);
}

void catalog__read_check(struct walk *w, struct catalog_check *out)
{
    out->id = catalog__walk_bytes(w, CHECK_ID);
    out->name = catalog__walk_bytes(w, CHECK_NAME);
    out->status = catalog__walk_bytes(w, CHECK_STATUS);
    out->notes = catalog__walk_bytes(w, CHECK_NOTES);
    out->output = catalog__walk_bytes(w, CHECK_OUTPUT);
    out->service_id = catalog__walk_bytes(w, CHECK_SERVICE_ID);
    out->service_name = catalog__walk_bytes(w, CHECK_SERVICE_NAME);
    out->type = catalog__walk_bytes(w, CHECK_TYPE);
    out->service_tags = catalog__unpack_texts(w->arena, catalog__walk_bytes(w, CHECK_SERVICE_TAGS));
    out->definition = catalog__walk_bytes(w, CHECK_DEFINITION);
    out->create_index = catalog__walk_number(w, CHECK_CREATED);
    out->modify_index = catalog__walk_number(w, CHECK_MODIFIED);
}

/* -- where the state stands -------------------------------------------------------------------- */

enum mu_code catalog_reader_applied(struct catalog_reader *r, struct catalog_applied *out,
                                    struct mu_err *err)
{
    struct walk w;

    *out = (struct catalog_applied){ .index = 0 };
    catalog__walk(&w, r, READER_APPLIED, NULL, err);
    if (catalog__walk_next(&w)) {
        struct mu_span hash = column_bytes(w.s, 3);

        out->index = catalog__walk_number(&w, 0);
        out->term = catalog__walk_number(&w, 1);
        out->stamp_ms = catalog__walk_number(&w, 2);
        if (hash.bytes == sizeof out->hash) {
            memcpy(out->hash, hash.data, sizeof out->hash);
        }
    }
    return catalog__walk_end(&w);
}

enum mu_code catalog__read_idx(struct catalog_reader *r, struct mu_span name, uint64_t *out,
                               struct mu_err *err)
{
    struct walk w;

    *out = 0;
    catalog__walk(&w, r, READER_IDX, NULL, err);
    bind_bytes(w.s, 1, name);
    if (catalog__walk_next(&w)) {
        *out = catalog__walk_number(&w, 0);
    }
    return catalog__walk_end(&w);
}

enum mu_code catalog__read_floor(struct catalog_reader *r, uint64_t *index, struct mu_err *err)
{
    if (!r->has_floor) {
        enum mu_code rc =
            catalog__read_idx(r, catalog__counter_name(COUNTER_RESTORE_INDEX), &r->floor, err);

        if (rc != MU_OK) {
            return rc;
        }
        r->floor = r->floor > 0 ? r->floor : 1; /* 0 would tell a client not to wait */
        r->has_floor = r->in_turn;
    }
    *index = *index > r->floor ? *index : r->floor;
    return MU_OK;
}

enum mu_code catalog__read_index(struct catalog_reader *r, const enum counter *counters,
                                 size_t count, uint64_t *out, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    *out = 0;
    for (size_t i = 0; rc == MU_OK && i < count; i++) {
        uint64_t value = 0;

        rc = catalog__read_idx(r, catalog__counter_name(counters[i]), &value, err);
        *out = value > *out ? value : *out;
    }
    return rc == MU_OK ? catalog__read_floor(r, out, err) : rc;
}

enum mu_code catalog__read_service_index(struct catalog_reader *r, struct mu_arena *arena,
                                         struct mu_span name_key, bool with_checks, uint64_t *out,
                                         struct mu_err *err)
{
    static const enum counter never[] = { COUNTER_NODES, COUNTER_SERVICES, COUNTER_CHECKS };
    enum mu_code rc = catalog__read_idx(r, catalog__service_counter(arena, name_key), out, err);

    if (rc == MU_OK && *out == 0) {
        rc = catalog__read_idx(r, catalog__counter_name(COUNTER_EXTINCTION), out, err);
    }
    if (rc == MU_OK && *out == 0) { /* no service has ever gone away */
        return catalog__read_index(r, never, with_checks ? 3 : 2, out, err);
    }
    return rc == MU_OK ? catalog__read_floor(r, out, err) : rc;
}
