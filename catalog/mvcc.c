#include "mvcc.h"

/* The only key space there is yet. Another one has its own pair of tables and its own counter; it
 * becomes a parameter of these functions when it comes. */
#define HIST ROW_KV_HIST_1
#define CUR  ROW_KV_CUR_1
#define REV  COUNTER_KVS_REV

/* -- revisions --------------------------------------------------------------------------------- */

static bool needs_revision(const struct catalog *c)
{
    return c->turn.index != c->now.index || c->turn.sub == MVCC_CHANGES_MAX;
}

/* The id of the next change of this entry; its first takes a new revision. */
static uint64_t next_id(struct catalog *c)
{
    struct mvcc_turn *t = &c->turn;

    if (needs_revision(c)) {
        c->now.counters.now[REV]++;
        *t = (struct mvcc_turn){ .index = c->now.index };
    }
    return c->now.counters.now[REV] << MVCC_SUB_BITS | t->sub++;
}

/* -- reading ----------------------------------------------------------------------------------- */

static void key_from_row(struct mvcc_key *k)
{
    k->has_row = true;
    k->is_live = k->row.v[CUR_OP].number == MVCC_PUT;
}

enum mu_code catalog__mvcc_find(struct catalog *c, struct mu_span key, struct mvcc_key *out,
                                struct mu_err *err)
{
    struct row_value value = row_bytes(key);
    bool found = false;
    enum mu_code rc = catalog__row_find(&c->rows, CUR, &value, &c->arena, &out->row, &found, err);

    out->has_row = out->is_live = false;
    if (rc == MU_OK && found) {
        key_from_row(out);
    }
    return rc;
}

uint64_t catalog__mvcc_index(const struct mvcc_key *k)
{
    MU_ASSERT(k->is_live);
    return (uint64_t)k->row.v[CUR_INDEX].number;
}

struct mvcc_attributes catalog__mvcc_lock(const struct mvcc_key *k)
{
    if (!k->is_live) {
        return (struct mvcc_attributes){ .flags = 0 };
    }
    return (struct mvcc_attributes){
        .session = k->row.v[CUR_SESSION].bytes,
        .lock_index = (uint64_t)k->row.v[CUR_LOCK_INDEX].number,
    };
}

struct mvcc_value catalog__mvcc_value(struct mu_span bytes)
{
    struct mvcc_value value = { .bytes = bytes };

    catalog__hash_bytes(bytes, value.digest);
    return value;
}

/* What the current table keeps of a value: enough to tell that it is another one, and short, for
 * the rows of this table are what each put has to find, change and write back. */
static struct row_value digest_value(const struct mvcc_value *value)
{
    const uint8_t *d = value->digest;

    return row_number((uint64_t)d[0] | (uint64_t)d[1] << 8 | (uint64_t)d[2] << 16 |
                      (uint64_t)(d[3] & 0x7f) << 24);
}

/* The version that the key points to: a row of kv_version, to be reset by the caller. */
static enum mu_code version_step(struct catalog *c, const struct mvcc_key *k, struct mu_err *err)
{
    bool has_row = false;

    bind_number(c->kv_version, 1, k->row.v[CUR_ID].number);
    enum mu_code rc = catalog__step(&c->db, c->kv_version, &has_row, err);

    if (rc == MU_OK && !has_row) {
        return mu_fail(err, MU_CORRUPT, "state %s: version %lld is not in its history", c->db.path,
                       (long long)k->row.v[CUR_ID].number);
    }
    return rc;
}

enum mu_code catalog__mvcc_is_same(struct catalog *c, const struct mvcc_key *k,
                                   const struct mvcc_value *value,
                                   const struct mvcc_attributes *attributes, bool *same,
                                   struct mu_err *err)
{
    sqlite3_stmt *s = c->kv_version;

    *same = false;
    if (!k->is_live || k->row.v[CUR_DIGEST].number != digest_value(value).number ||
        !mu_span_eq(k->row.v[CUR_SESSION].bytes, attributes->session) ||
        (uint64_t)k->row.v[CUR_LOCK_INDEX].number != attributes->lock_index) {
        return MU_OK; /* nearly always: and the old value stays on its page */
    }
    enum mu_code rc = version_step(c, k, err);

    if (rc == MU_OK) {
        *same = mu_span_eq(column_bytes(s, 0), value->bytes) &&
                (uint64_t)sqlite3_column_int64(s, 1) == attributes->flags;
        (void)sqlite3_reset(s);
    }
    return rc;
}

enum mu_code catalog__mvcc_read(struct catalog *c, const struct mvcc_key *k, struct mu_arena *arena,
                                struct mvcc_value *value, uint64_t *flags, struct mu_err *err)
{
    MU_ASSERT(k->is_live);
    enum mu_code rc = version_step(c, k, err);

    if (rc == MU_OK) {
        *value = catalog__mvcc_value(mu_arena_span(arena, column_bytes(c->kv_version, 0)));
        *flags = (uint64_t)sqlite3_column_int64(c->kv_version, 1);
        (void)sqlite3_reset(c->kv_version);
    }
    return rc;
}

enum mu_code catalog__mvcc_held(struct catalog *c, struct mu_span session, size_t max,
                                struct mu_arena *arena, struct mvcc_keys *out, struct mu_err *err)
{
    sqlite3_stmt *s = c->kv_held;
    bool has_row = false;
    enum mu_code rc = MU_OK;

    *out = (struct mvcc_keys){ mu_arena_array(arena, max, sizeof *out->items), 0 };
    bind_bytes(s, 1, session);
    while (out->count < max && (rc = catalog__step(&c->db, s, &has_row, err)) == MU_OK && has_row) {
        catalog__row_read(s, CUR, arena, &out->items[out->count].row);
        key_from_row(&out->items[out->count++]);
    }
    (void)sqlite3_reset(s);
    return rc;
}

enum mu_code catalog__mvcc_range(struct catalog *c, struct mu_span prefix, struct mu_span from,
                                 size_t max, struct mu_arena *arena, struct mvcc_keys *out,
                                 struct mu_err *err)
{
    sqlite3_stmt *s = c->kv_range;
    bool has_row = false;
    enum mu_code rc = MU_OK;

    *out = (struct mvcc_keys){ mu_arena_array(arena, max, sizeof *out->items), 0 };
    bind_bytes(s, 1, from);
    while (out->count < max && (rc = catalog__step(&c->db, s, &has_row, err)) == MU_OK && has_row) {
        struct mvcc_key *k = &out->items[out->count];

        if (!mu_span_starts(column_bytes(s, CUR_KEY), prefix)) {
            break;
        }
        if (sqlite3_column_int64(s, CUR_OP) == MVCC_PUT) {
            catalog__row_read(s, CUR, arena, &k->row);
            key_from_row(k);
            out->count++;
        }
    }
    (void)sqlite3_reset(s);
    return rc;
}

/* -- writing ----------------------------------------------------------------------------------- */

static enum mu_code index_change(struct catalog *c, enum row_table table, bool adds,
                                 struct row_value first, struct row_value second,
                                 struct mu_err *err)
{
    struct row row;

    row.v[0] = first;
    row.v[1] = second;
    return adds ? catalog__row_put(&c->rows, table, NULL, &row, err)
                : catalog__row_remove(&c->rows, table, &row, err);
}

/* Keep the tables of locked and of deleted keys: mostly there is nothing to do. */
static enum mu_code index_keep(struct catalog *c, const struct mvcc_key *was, const struct row *cur,
                               struct mu_err *err)
{
    const struct row_value *v = cur->v;
    struct mu_span held = was->has_row ? was->row.v[CUR_SESSION].bytes : MU_SPAN_NONE;
    bool is_same = mu_span_eq(held, v[CUR_SESSION].bytes);
    enum mu_code rc = MU_OK;

    if (!is_same && held.bytes > 0) {
        rc = index_change(c, ROW_KV_LOCKS_1, false, row_bytes(held), v[CUR_KEY], err);
    }
    if (rc == MU_OK && !is_same && v[CUR_SESSION].bytes.bytes > 0) {
        rc = index_change(c, ROW_KV_LOCKS_1, true, v[CUR_SESSION], v[CUR_KEY], err);
    }
    if (rc == MU_OK && was->has_row && !was->is_live) {
        rc = index_change(c, ROW_KV_DEAD_1, false, was->row.v[CUR_ID], v[CUR_KEY], err);
    }
    if (rc == MU_OK && v[CUR_OP].number == MVCC_DELETE) {
        rc = index_change(c, ROW_KV_DEAD_1, true, v[CUR_ID], v[CUR_KEY], err);
    }
    return rc;
}

/* Append the version to the history and let the key point to it. `cur` has the key's columns. */
static enum mu_code store(struct catalog *c, const struct mvcc_key *was, struct row *cur,
                          struct row_value value, uint64_t flags, struct mu_err *err)
{
    struct row_value *v = cur->v;
    struct row hist;

    v[CUR_ID] = row_number(next_id(c));
    v[CUR_LEASE] = row_nothing();
    v[CUR_INDEX] = row_number(catalog__index(c));

    hist.v[HIST_ID] = v[CUR_ID];
    hist.v[HIST_PREV] = was->has_row ? was->row.v[CUR_ID] : row_number(0);
    hist.v[HIST_OP] = v[CUR_OP];
    hist.v[HIST_CREATE_REV] = v[CUR_CREATE_REV];
    hist.v[HIST_VERSION] = v[CUR_VERSION];
    hist.v[HIST_LEASE] = v[CUR_LEASE];
    hist.v[HIST_INDEX] = v[CUR_INDEX];
    hist.v[HIST_FLAGS] = row_number(flags);
    hist.v[HIST_SESSION] = v[CUR_SESSION];
    hist.v[HIST_LOCK_INDEX] = v[CUR_LOCK_INDEX];
    hist.v[HIST_CREATE_INDEX] = v[CUR_CREATE_INDEX];
    hist.v[HIST_KEY] = v[CUR_KEY];
    hist.v[HIST_VALUE] = value;
    enum mu_code rc = index_keep(c, was, cur, err);

    if (rc == MU_OK) {
        rc = catalog__row_put(&c->rows, HIST, NULL, &hist, err);
    }
    return rc == MU_OK ? catalog__row_put(&c->rows, CUR, was->has_row ? &was->row : NULL, cur, err)
                       : rc;
}

enum mu_code catalog__mvcc_put(struct catalog *c, const struct mvcc_key *was, struct mu_span key,
                               const struct mvcc_value *value,
                               const struct mvcc_attributes *attributes, struct mu_err *err)
{
    uint64_t rev = c->now.counters.now[REV] + needs_revision(c);
    const struct row_value *old = was->row.v;
    struct row cur;

    cur.v[CUR_KEY] = row_bytes(key);
    cur.v[CUR_OP] = row_number(MVCC_PUT);
    cur.v[CUR_CREATE_REV] = was->is_live ? old[CUR_CREATE_REV] : row_number(rev);
    cur.v[CUR_VERSION] = row_number(was->is_live ? (uint64_t)old[CUR_VERSION].number + 1 : 1);
    cur.v[CUR_SESSION] = row_bytes_or_nothing(attributes->session);
    cur.v[CUR_LOCK_INDEX] = row_number(attributes->lock_index);
    cur.v[CUR_CREATE_INDEX] = was->is_live ? old[CUR_CREATE_INDEX] : row_number(catalog__index(c));
    cur.v[CUR_DIGEST] = digest_value(value);
    struct row_value stored = row_bytes(value->bytes);

    stored.digest = value->digest;
    return store(c, was, &cur, stored, attributes->flags, err);
}

enum mu_code catalog__mvcc_delete(struct catalog *c, const struct mvcc_key *was, struct mu_err *err)
{
    struct row cur;

    MU_ASSERT(was->is_live);
    cur.v[CUR_KEY] = was->row.v[CUR_KEY];
    cur.v[CUR_OP] = row_number(MVCC_DELETE);
    cur.v[CUR_CREATE_REV] = row_number(0);
    cur.v[CUR_VERSION] = row_number(0);
    cur.v[CUR_SESSION] = row_nothing();
    cur.v[CUR_LOCK_INDEX] = row_number(0);
    cur.v[CUR_CREATE_INDEX] = row_number(0);
    cur.v[CUR_DIGEST] = row_number(0);
    return store(c, was, &cur, row_nothing(), 0, err);
}
