/* counter.c - the counters of `idx` that nearly every entry moves.
 *
 * A batch of 256 puts would write the same two rows 256 times; so they stay in memory until the
 * transaction ends. Readers see only committed states and so cannot tell. The state hash at any
 * entry is what it would be had each been written at once, else servers that cut their batches
 * differently would disagree.
 */
#include "core.h"

#define NAME(text) MU_SPAN_LIT(text)

static const struct mu_span names[COUNTERS_COUNT] = {
    [COUNTER_NODES] = NAME("nodes"),
    [COUNTER_SERVICES] = NAME("services"),
    [COUNTER_CHECKS] = NAME("checks"),
    [COUNTER_KVS] = NAME("kvs"),
    [COUNTER_TOMBSTONES] = NAME("tombstones"),
    [COUNTER_EXTINCTION] = NAME("extinction"),
    [COUNTER_SESSIONS] = NAME("sessions"),
    [COUNTER_REQUESTS] = NAME("requests"),
    [COUNTER_COORDINATES] = NAME("coordinates"),
    [COUNTER_KVS_REV] = NAME("kvs.rev"),
    [COUNTER_KVS_COMPACTED] = NAME("kvs.compacted"),
    [COUNTER_RESTORE_INDEX] = NAME("restore.index"),
    [COUNTER_RESTORE_SHIFT] = NAME("restore.shift"),
    [COUNTER_RESTORE_STAGED] = NAME("restore.staged"),
};

struct mu_span catalog__counter_name(enum counter counter)
{
    return names[counter];
}

bool catalog__counter_find(struct mu_span name, enum counter *out)
{
    for (size_t i = 0; i < COUNTERS_COUNT; i++) {
        if (mu_span_eq(names[i], name)) {
            *out = (enum counter)i;
            return true;
        }
    }
    return false;
}

static struct row counter_row(size_t i, uint64_t value)
{
    struct row row;

    row.v[IDX_NAME] = row_bytes(names[i]);
    row.v[IDX_VALUE] = row_number(value);
    return row;
}

void catalog__counters_hash(const struct counters *k, struct hash_sum *sum)
{
    for (size_t i = 0; i < COUNTERS_COUNT; i++) {
        if (k->now[i] == k->stored[i]) {
            continue;
        }
        if (k->stored[i] != 0) {
            struct row old = counter_row(i, k->stored[i]);

            catalog__hash_subtract(sum, catalog__hash_row(ROW_IDX, old.v, IDX_COLUMNS));
        }
        struct row now = counter_row(i, k->now[i]);

        catalog__hash_add(sum, catalog__hash_row(ROW_IDX, now.v, IDX_COLUMNS));
    }
}

enum mu_code catalog__counters_load(struct catalog *c, struct mu_err *err)
{
    struct counters *k = &c->now.counters;

    for (size_t i = 0; i < COUNTERS_COUNT; i++) {
        struct row_value key = row_bytes(names[i]);
        struct row row;
        bool found = false;
        enum mu_code rc = catalog__row_find(&c->rows, ROW_IDX, &key, &c->arena, &row, &found, err);

        if (rc != MU_OK) {
            return rc;
        }
        k->now[i] = k->stored[i] = found ? (uint64_t)row.v[IDX_VALUE].number : 0;
    }
    return MU_OK;
}

enum mu_code catalog__counters_store(struct catalog *c, struct mu_err *err)
{
    struct counters *k = &c->now.counters;

    for (size_t i = 0; i < COUNTERS_COUNT; i++) {
        if (k->now[i] == k->stored[i]) {
            continue;
        }
        struct row old = counter_row(i, k->stored[i]);
        struct row now = counter_row(i, k->now[i]);
        enum mu_code rc =
            catalog__row_put(&c->rows, ROW_IDX, k->stored[i] != 0 ? &old : NULL, &now, err);

        if (rc != MU_OK) {
            return rc;
        }
        k->stored[i] = k->now[i];
    }
    return MU_OK;
}
