/* lock_delay.c - keys that nobody may lock for a while: their holder's session ended, and the
 * holder may not know yet.
 *
 * The reference keeps these times in the leader's memory, where a failover loses them. Here they
 * are rows whose ends are compared with the stamps of entries, so that every server judges alike
 * and a new leader keeps them (spec/agent-behaviour.md 9). What is over is forgotten a few rows at
 * a time, whenever a new one comes and when the key space is compacted.
 */
#include "core.h"

/* Two for each that comes: what is over goes faster than it can grow. */
#define PRUNE_PER_SET 2

static enum mu_code find(struct catalog *c, struct mu_span key, struct row *out, bool *found,
                         struct mu_err *err)
{
    struct row_value value = row_bytes(key);

    return catalog__row_find(&c->rows, ROW_LOCK_DELAYS, &value, &c->arena, out, found, err);
}

enum mu_code catalog__lock_delay_set(struct catalog *c, struct mu_span key, uint64_t delay_ms,
                                     struct mu_err *err)
{
    size_t count = 0;
    struct row old;
    struct row row;
    bool found = false;
    enum mu_code rc = catalog__lock_delays_prune(c, PRUNE_PER_SET, &count, err);

    if (rc == MU_OK) {
        rc = find(c, key, &old, &found, err);
    }
    if (rc != MU_OK) {
        return rc;
    }
    row.v[DELAY_KEY] = row_bytes(key);
    row.v[DELAY_UNTIL] = row_number(c->now.stamp_ms + delay_ms);
    return catalog__row_put(&c->rows, ROW_LOCK_DELAYS, found ? &old : NULL, &row, err);
}

enum mu_code catalog__lock_delay_holds(struct catalog *c, struct mu_span key, bool *holds,
                                       struct mu_err *err)
{
    struct row row;
    bool found = false;
    enum mu_code rc = find(c, key, &row, &found, err);

    *holds = rc == MU_OK && found && (uint64_t)row.v[DELAY_UNTIL].number > c->now.stamp_ms;
    return rc;
}

enum mu_code catalog__lock_delays_prune(struct catalog *c, size_t max, size_t *count,
                                        struct mu_err *err)
{
    sqlite3_stmt *s = c->delays_over;
    struct row_list over = { NULL, 0 };
    size_t room = 0;
    bool has_row = false;
    enum mu_code rc;

    bind_number(s, 1, (int64_t)c->now.stamp_ms);
    bind_number(s, 2, (int64_t)max);
    while ((rc = catalog__step(&c->db, s, &has_row, err)) == MU_OK && has_row) {
        struct row row;

        catalog__row_read(s, ROW_LOCK_DELAYS, &c->arena, &row);
        catalog__row_list_add(&over, &room, &row, &c->arena);
    }
    for (size_t i = 0; rc == MU_OK && i < over.count; i++) {
        rc = catalog__row_remove(&c->rows, ROW_LOCK_DELAYS, &over.items[i], err);
    }
    *count = over.count;
    return rc;
}
