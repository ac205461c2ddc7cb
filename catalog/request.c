/* request.c - requests of clients that come again, under the id that the client gave
 * (spec/consensus.md 2.19: X-Muster-Request-Id).
 *
 * A client that does not know what became of a write may ask again, any server, with the same id:
 * it is carried out once, and answered alike each time. The same id for something else is refused.
 * A row is kept for ten minutes, by the stamps of entries, and there are at most REQUESTS_MAX of
 * them: the oldest go first.
 */
#include "outcome.h"

#define KEPT_MS       600000U
#define REQUESTS_MAX  65536U
#define PRUNE_PER_ONE 2 /* with each that comes: what is too old goes faster than it can grow */

enum request_row_column {
    ROW_REQUEST_ID,
    ROW_REQUEST_INDEX,
    ROW_REQUEST_STAMP,
    ROW_REQUEST_DIGEST, /* of the command's kind and body */
    ROW_REQUEST_REST
};
_Static_assert((int)ROW_REQUEST_REST + OUTCOME_COLUMNS == (int)REQUEST_COLUMNS,
               "the columns of the table");

/* How many rows there are: the counter has one more, since 0 means that there never was any. */
static uint64_t count_get(const struct catalog *c)
{
    uint64_t count = c->now.counters.now[COUNTER_REQUESTS];

    return count > 0 ? count - 1 : 0;
}

static void count_set(struct catalog *c, uint64_t count)
{
    c->now.counters.now[COUNTER_REQUESTS] = count + 1;
}

static bool is_over(const struct catalog *c, const struct row *row)
{
    return (uint64_t)row->v[ROW_REQUEST_STAMP].number + KEPT_MS <= c->now.stamp_ms;
}

static struct mu_span id_span(const struct command *command)
{
    return mu_span_of(command->request.b, sizeof command->request.b);
}

static struct mu_span digest_of(struct mu_arena *arena, const struct command *command)
{
    uint8_t *digest = mu_arena_new(arena, HASH_BYTES);

    catalog__hash_bytes(command->body, digest);
    digest[0] = (uint8_t)(digest[0] ^ (unsigned)command->kind);
    return mu_span_of(digest, HASH_BYTES);
}

static enum mu_code find(struct catalog *c, const struct command *command, struct row *out,
                         bool *found, struct mu_err *err)
{
    struct row_value key = row_bytes(id_span(command));

    return catalog__row_find(&c->rows, ROW_REQUESTS, &key, &c->arena, out, found, err);
}

static enum mu_code forget(struct catalog *c, const struct row *row, struct mu_err *err)
{
    count_set(c, count_get(c) - 1);
    return catalog__row_remove(&c->rows, ROW_REQUESTS, row, err);
}

enum mu_code catalog__request_recall(struct catalog *c, const struct command *command,
                                     struct catalog_result *result, bool *is_known,
                                     struct mu_err *err)
{
    struct row row;
    bool found = false;
    enum mu_code rc = find(c, command, &row, &found, err);

    *is_known = rc == MU_OK && found && !is_over(c, &row);
    if (!*is_known) {
        return rc;
    }
    if (!mu_span_eq(row.v[ROW_REQUEST_DIGEST].bytes, digest_of(&c->arena, command))) {
        catalog__refuse(result, MU_EXISTS, "this request id was used for another request");
    } else {
        catalog__outcome_unpack(&row.v[ROW_REQUEST_REST], result);
    }
    return MU_OK;
}

enum mu_code catalog__requests_prune(struct catalog *c, size_t max, size_t *count,
                                     struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    for (*count = 0; rc == MU_OK && *count < max; (*count)++) {
        struct row row;
        bool has_row = false;

        rc = catalog__step(&c->db, c->oldest_request, &has_row, err);
        if (rc != MU_OK || !has_row) {
            return rc;
        }
        catalog__row_read(c->oldest_request, ROW_REQUESTS, &c->arena, &row);
        (void)sqlite3_reset(c->oldest_request);
        if (!is_over(c, &row) && count_get(c) < REQUESTS_MAX) {
            return MU_OK;
        }
        rc = forget(c, &row, err);
    }
    return rc;
}

enum mu_code catalog__request_note(struct catalog *c, const struct command *command,
                                   const struct catalog_result *result, struct mu_err *err)
{
    size_t pruned = 0;
    struct row old;
    struct row row;
    bool found = false;
    enum mu_code rc = catalog__requests_prune(c, PRUNE_PER_ONE, &pruned, err);

    if (rc == MU_OK) {
        rc = find(c, command, &old, &found, err);
    }
    if (rc != MU_OK) {
        return rc;
    }
    row.v[ROW_REQUEST_ID] = row_bytes(id_span(command));
    row.v[ROW_REQUEST_INDEX] = row_number(c->now.index);
    row.v[ROW_REQUEST_STAMP] = row_number(c->now.stamp_ms);
    row.v[ROW_REQUEST_DIGEST] = row_bytes(digest_of(&c->arena, command));
    catalog__outcome_pack(result, &row.v[ROW_REQUEST_REST]);
    if (!found) { /* else one that was over, under the same id */
        count_set(c, count_get(c) + 1);
    }
    return catalog__row_put(&c->rows, ROW_REQUESTS, found ? &old : NULL, &row, err);
}
