/* coordinate.c - where nodes are in the space of round trip times: one row a node, goes with it.
 *
 * Many come in one entry (the leader gathers them). A node that is not registered has none; one
 * that did not move changes nothing, so that nobody wakes for it.
 */
#include <string.h>

#include "base/wire.h"
#include "core.h"

#define NUMBERS (COORDINATE_DIMS + 3)

/* As stored: the bits of each number, least byte first. */
static struct row_value pack(struct mu_arena *arena, const struct coordinate *c)
{
    double numbers[NUMBERS];
    uint8_t *bytes = mu_arena_new(arena, sizeof numbers);
    struct mu_wr wr = mu_wr_of(bytes, sizeof numbers);

    memcpy(numbers, c->vec, sizeof c->vec);
    numbers[COORDINATE_DIMS] = c->error;
    numbers[COORDINATE_DIMS + 1] = c->adjustment;
    numbers[COORDINATE_DIMS + 2] = c->height;
    for (size_t i = 0; i < NUMBERS; i++) {
        uint64_t bits;

        memcpy(&bits, &numbers[i], sizeof bits);
        mu_wr_u64le(&wr, bits);
    }
    return row_bytes(mu_span_of(bytes, sizeof numbers));
}

bool catalog__coordinate_unpack(struct mu_span bytes, struct coordinate *out)
{
    double numbers[NUMBERS];
    struct mu_rd r = mu_rd_of(bytes);

    if (bytes.bytes != sizeof numbers) {
        return false; /* rot shows in the state hash */
    }
    for (size_t i = 0; i < NUMBERS; i++) {
        uint64_t bits = mu_rd_u64le(&r);

        memcpy(&numbers[i], &bits, sizeof bits);
    }
    memcpy(out->vec, numbers, sizeof out->vec);
    out->error = numbers[COORDINATE_DIMS];
    out->adjustment = numbers[COORDINATE_DIMS + 1];
    out->height = numbers[COORDINATE_DIMS + 2];
    return true;
}

static enum mu_code find(struct catalog *c, struct mu_span node_key, struct row *out, bool *found,
                         struct mu_err *err)
{
    struct row_value key = row_bytes(node_key);

    return catalog__row_find(&c->rows, ROW_COORDINATES, &key, &c->arena, out, found, err);
}

static void changed(struct catalog *c)
{
    catalog__touch(c, COUNTER_COORDINATES);
    catalog__changed(c, CATALOG_COORDINATES, MU_SPAN_NONE);
}

static enum mu_code put(struct catalog *c, const struct command_coordinate *given,
                        struct mu_err *err)
{
    struct mu_span key = catalog__fold(&c->arena, given->node);
    struct row node, old, row;
    bool has_node = false;
    bool is_there = false;
    enum mu_code rc = catalog__node_find(c, key, &node, &has_node, err);

    if (rc == MU_OK && has_node) {
        rc = find(c, key, &old, &is_there, err);
    }
    if (rc != MU_OK || !has_node) {
        return rc;
    }
    row.v[COORDINATE_NODE] = row_bytes(key);
    row.v[COORDINATE_AT] = pack(&c->arena, &given->at);
    if (is_there && catalog__row_same(&old, &row, COORDINATE_CREATED)) {
        return MU_OK;
    }
    row.v[COORDINATE_CREATED] =
        is_there ? old.v[COORDINATE_CREATED] : row_number(catalog__index(c));
    row.v[COORDINATE_MODIFIED] = row_number(catalog__index(c));
    changed(c);
    return catalog__row_put(&c->rows, ROW_COORDINATES, is_there ? &old : NULL, &row, err);
}

enum mu_code catalog__coordinates(CATALOG_APPLY_ARGS)
{
    const struct command_coordinates *all = &command->coordinates;
    enum mu_code rc = MU_OK;

    result->did_apply = true;
    for (size_t i = 0; rc == MU_OK && i < all->count; i++) {
        rc = put(c, &all->items[i], err);
    }
    return rc;
}

enum mu_code catalog__coordinate_remove(struct catalog *c, struct mu_span node_key,
                                        struct mu_err *err)
{
    struct row row;
    bool is_there = false;
    enum mu_code rc = find(c, node_key, &row, &is_there, err);

    if (rc == MU_OK && is_there) {
        changed(c);
        rc = catalog__row_remove(&c->rows, ROW_COORDINATES, &row, err);
    }
    return rc;
}
