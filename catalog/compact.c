/* compact.c - old versions of keys go, and deletion markers that nobody asks about any more
 * (spec/etcd-v3.md 15.4, spec/agent-behaviour.md 10).
 *
 * Replicated, so that all servers hold the same rows: the leader proposes steps, each says up to
 * which revision and how many rows at most. A step walks the history from where the last one
 * stopped. Every row on the way makes the version before it superfluous, so each row is visited
 * once in its life, and the cost is that of what was written and not of what is stored. Deletion
 * markers stay longer than versions: the index of a list of keys is that of the newest change below
 * its prefix, deletions included, and a waiting client must not see it go back too soon.
 *
 * With a key space that shows old versions (etcd's) the step's limit would be what its clients have
 * compacted; Consul's clients never see one.
 */
#include "mvcc.h"

#define HIST   ROW_KV_HIST_1
#define SPACE  1  /* Consul's, the only one there is yet */
#define PRUNED 64 /* rows of other tables that are over, in one step */

struct step {
    uint64_t rows;  /* how many may still be visited */
    bool is_behind; /* there is more to do below the limits */
};

/* Where the walk goes on: the id of the first row that was not visited. */
static uint64_t next_get(const struct catalog *c)
{
    return c->now.counters.now[COUNTER_KVS_COMPACTED];
}

static uint64_t id_of(uint64_t rev)
{
    return rev << MVCC_SUB_BITS;
}

/* Its bytes are needed once more, for the state's hash: each in memory of its own, or a step would
 * hold as many values as it visits rows, each as large as a value may be. */
static enum mu_code version_remove(struct catalog *c, uint64_t id, struct mu_err *err)
{
    struct row_value key = row_number(id);
    struct mu_arena arena;
    struct row row;
    bool found = false;

    mu_arena_init(&arena, 0);
    enum mu_code rc = catalog__row_find(&c->rows, HIST, &key, &arena, &row, &found, err);

    rc = rc == MU_OK && found ? catalog__row_remove(&c->rows, HIST, &row, err) : rc;
    mu_arena_deinit(&arena);
    return rc;
}

/* -- versions ---------------------------------------------------------------------------------- */

/* Ids of rows below `limit`, and of the versions before them. */
struct visited {
    uint64_t *before;
    size_t count;
    uint64_t next;
};

static enum mu_code visit(struct catalog *c, uint64_t limit, uint64_t rows, struct visited *out,
                          struct mu_err *err)
{
    sqlite3_stmt *s = c->kv_history;
    bool has_row = false;
    enum mu_code rc;

    *out = (struct visited){ mu_arena_array(&c->arena, rows, sizeof *out->before), 0, limit };
    bind_number(s, 1, (int64_t)next_get(c));
    bind_number(s, 2, (int64_t)limit);
    bind_number(s, 3, (int64_t)rows);
    while ((rc = catalog__step(&c->db, s, &has_row, err)) == MU_OK && has_row) {
        out->before[out->count++] = (uint64_t)sqlite3_column_int64(s, 1);
        if (out->count == rows) {
            out->next = (uint64_t)sqlite3_column_int64(s, 0) + 1;
        }
    }
    return rc;
}

static enum mu_code versions(struct catalog *c, uint64_t rev, struct step *step, struct mu_err *err)
{
    uint64_t rev_now = c->now.counters.now[COUNTER_KVS_REV];
    uint64_t limit = id_of((rev < rev_now ? rev : rev_now) + 1);
    struct visited v;

    if (next_get(c) >= limit) {
        return MU_OK;
    }
    enum mu_code rc = visit(c, limit, step->rows, &v, err);

    for (size_t i = 0; rc == MU_OK && i < v.count; i++) {
        rc = v.before[i] != 0 ? version_remove(c, v.before[i], err) : MU_OK;
    }
    step->rows -= v.count;
    step->is_behind = step->is_behind || v.next < limit;
    c->now.counters.now[COUNTER_KVS_COMPACTED] = v.next;
    return rc;
}

/* -- deletion markers -------------------------------------------------------------------------- */

static enum mu_code marker_remove(struct catalog *c, const struct row *dead, struct mu_err *err)
{
    struct mvcc_key k;
    enum mu_code rc = catalog__mvcc_find(c, dead->v[DEAD_KEY].bytes, &k, err);

    MU_ASSERT(rc != MU_OK || (k.has_row && !k.is_live));
    if (rc == MU_OK) {
        rc = version_remove(c, (uint64_t)dead->v[DEAD_ID].number, err);
    }
    if (rc == MU_OK) {
        rc = catalog__row_remove(&c->rows, ROW_KV_DEAD_1, dead, err);
    }
    return rc == MU_OK ? catalog__row_remove(&c->rows, ROW_KV_CUR_1, &k.row, err) : rc;
}

/* Those that were visited: what came before them is gone. */
static enum mu_code markers(struct catalog *c, uint64_t rev, struct step *step, struct mu_err *err)
{
    sqlite3_stmt *s = c->kv_markers;
    uint64_t limit = id_of(rev + 1) < next_get(c) ? id_of(rev + 1) : next_get(c);
    struct row_list list = { NULL, 0 };
    size_t room = 0;
    bool has_row = false;
    enum mu_code rc;

    bind_number(s, 1, (int64_t)limit);
    bind_number(s, 2, (int64_t)step->rows);
    while ((rc = catalog__step(&c->db, s, &has_row, err)) == MU_OK && has_row) {
        struct row row;

        catalog__row_read(s, ROW_KV_DEAD_1, &c->arena, &row);
        catalog__row_list_add(&list, &room, &row, &c->arena);
    }
    for (size_t i = 0; rc == MU_OK && i < list.count; i++) {
        rc = marker_remove(c, &list.items[i], err);
    }
    step->is_behind = step->is_behind || list.count == step->rows;
    return rc;
}

/* -- the command ------------------------------------------------------------------------------- */

/* Rows of other tables whose time is over go in the same steps. */
static enum mu_code prune(struct catalog *c, struct mu_err *err)
{
    size_t count = 0;
    enum mu_code rc = catalog__lock_delays_prune(c, PRUNED, &count, err);

    return rc == MU_OK ? catalog__requests_prune(c, PRUNED, &count, err) : rc;
}

enum mu_code catalog__kv_compact(CATALOG_APPLY_ARGS)
{
    const struct command_kv_compact *compact = &command->kv_compact;
    struct step step = { .rows = compact->rows };

    if (compact->space != SPACE) {
        catalog__refuse(result, MU_INVALID, "there is no key space %u", compact->space);
        return MU_OK;
    }
    enum mu_code rc = versions(c, compact->versions_rev, &step, err);

    if (rc == MU_OK && step.rows > 0) {
        rc = markers(c, compact->markers_rev, &step, err);
    }
    result->did_apply = step.is_behind;
    return rc == MU_OK ? prune(c, err) : rc;
}
