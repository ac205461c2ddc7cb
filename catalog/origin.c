/* origin.c - commands of servers that come again (spec/consensus.md 2.19).
 *
 * A server numbers what it proposes, here or by way of the leader: (disk, boot, seq). When
 * leadership or a connection is lost before the answer, it sends the same command again under the
 * same number. So the same command may stand in the log twice; the second copy changes nothing and
 * is answered as the first was.
 *
 * Per origin one row: the boot, the highest number applied, and for the last ORIGIN_WINDOW numbers
 * whether they were applied and whether they had an effect. An answer with more to it than that is
 * a row of `outcomes`, kept for the last OUTCOMES_KEPT numbers. A number that has left the window,
 * or of an earlier boot, is told "outcome unknown", without effect: nothing is known of it any
 * more.
 *
 * Nearly every entry changes the row of its origin. As with counter.c it stays in memory until the
 * transaction ends, while the state hash counts it as written at once.
 */
#include <string.h>

#include "base/mem.h"
#include "outcome.h"

#define OUTCOMES_KEPT 256
#define ORIGINS_MAX   256 /* disks of servers; beyond it the one that was silent longest goes */

#define EXPIRED_TEXT \
    "outcome unknown: the command was repeated too late, what became of it is forgotten"

enum origin_row_column {
    ROW_ORIGIN_ID,
    ROW_ORIGIN_BOOT,
    ROW_ORIGIN_HIGH,
    ROW_ORIGIN_INDEX, /* of the last entry */
    ROW_ORIGIN_SEEN,  /* a ring of bits, by number */
    ROW_ORIGIN_EFFECT,
    ROW_ORIGIN_COLUMNS
};
_Static_assert((int)ROW_ORIGIN_COLUMNS == (int)ORIGIN_COLUMNS, "the columns of the table");

enum outcomes_row_column { ROW_OUTCOME_ID, ROW_OUTCOME_SEQ, ROW_OUTCOME_REST };
_Static_assert((int)ROW_OUTCOME_REST + OUTCOME_COLUMNS == (int)OUTCOMES_COLUMNS,
               "the columns of the table");

/* -- bits -------------------------------------------------------------------------------------- */

static bool bit_get(const uint8_t *ring, uint64_t seq)
{
    uint64_t bit = seq % ORIGIN_WINDOW;

    return (ring[bit / 8] >> bit % 8 & 1) != 0;
}

static void bit_set(uint8_t *ring, uint64_t seq, bool value)
{
    uint64_t bit = seq % ORIGIN_WINDOW;
    uint8_t mask = (uint8_t)(1U << bit % 8);

    ring[bit / 8] = (uint8_t)(value ? ring[bit / 8] | mask : ring[bit / 8] & ~mask);
}

/* -- rows -------------------------------------------------------------------------------------- */

static void to_row(const struct origin_state *s, struct row *row)
{
    row->v[ROW_ORIGIN_ID] = row_bytes(mu_span_of(s->id.b, sizeof s->id.b));
    row->v[ROW_ORIGIN_BOOT] = row_number(s->boot);
    row->v[ROW_ORIGIN_HIGH] = row_number(s->high);
    row->v[ROW_ORIGIN_INDEX] = row_number(s->index);
    row->v[ROW_ORIGIN_SEEN] = row_bytes(mu_span_of(s->seen, sizeof s->seen));
    row->v[ROW_ORIGIN_EFFECT] = row_bytes(mu_span_of(s->effect, sizeof s->effect));
}

static enum mu_code from_row(const struct catalog *c, const struct row *row, struct origin_state *s,
                             struct mu_err *err)
{
    const struct row_value *v = row->v;

    if (v[ROW_ORIGIN_ID].bytes.bytes != sizeof s->id.b ||
        v[ROW_ORIGIN_SEEN].bytes.bytes != sizeof s->seen ||
        v[ROW_ORIGIN_EFFECT].bytes.bytes != sizeof s->effect) {
        return mu_fail(err, MU_CORRUPT, "state %s: a row of an origin is malformed", c->db.path);
    }
    memcpy(s->id.b, v[ROW_ORIGIN_ID].bytes.data, sizeof s->id.b);
    memcpy(s->seen, v[ROW_ORIGIN_SEEN].bytes.data, sizeof s->seen);
    memcpy(s->effect, v[ROW_ORIGIN_EFFECT].bytes.data, sizeof s->effect);
    s->boot = (uint64_t)v[ROW_ORIGIN_BOOT].number;
    s->high = (uint64_t)v[ROW_ORIGIN_HIGH].number;
    s->index = (uint64_t)v[ROW_ORIGIN_INDEX].number;
    return MU_OK;
}

static struct origin *append(struct origins *o)
{
    if (o->count == o->room) {
        o->room = o->room == 0 ? 4 : 2 * o->room;
        o->items = mu_grow(o->items, o->room * sizeof *o->items);
    }
    o->items[o->count] = (struct origin){ .is_stored = false };
    return &o->items[o->count++];
}

enum mu_code catalog__origins_load(struct catalog *c, struct mu_err *err)
{
    struct origins *o = &c->origins;
    bool has_row = false;
    enum mu_code rc;

    o->count = 0;
    while ((rc = catalog__step(&c->db, c->all_origins, &has_row, err)) == MU_OK && has_row) {
        struct origin *origin = append(o);
        struct row row;

        catalog__row_read(c->all_origins, ROW_ORIGINS, &c->arena, &row);
        rc = from_row(c, &row, &origin->now, err);
        if (rc != MU_OK) {
            break;
        }
        origin->stored = origin->now;
        origin->is_stored = true;
    }
    (void)sqlite3_reset(c->all_origins);
    o->is_loaded = rc == MU_OK;
    return rc;
}

void catalog__origins_hash(const struct origins *o, struct hash_sum *sum)
{
    for (size_t i = 0; i < o->count; i++) {
        const struct origin *origin = &o->items[i];
        struct row row;

        if (!origin->is_dirty) {
            continue;
        }
        if (origin->is_stored) {
            to_row(&origin->stored, &row);
            catalog__hash_subtract(sum, catalog__hash_row(ROW_ORIGINS, row.v, ORIGIN_COLUMNS));
        }
        to_row(&origin->now, &row);
        catalog__hash_add(sum, catalog__hash_row(ROW_ORIGINS, row.v, ORIGIN_COLUMNS));
    }
}

enum mu_code catalog__origins_store(struct catalog *c, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    for (size_t i = 0; rc == MU_OK && i < c->origins.count; i++) {
        struct origin *origin = &c->origins.items[i];
        struct row old;
        struct row row;

        if (!origin->is_dirty) {
            continue;
        }
        to_row(&origin->stored, &old);
        to_row(&origin->now, &row);
        rc = catalog__row_put(&c->rows, ROW_ORIGINS, origin->is_stored ? &old : NULL, &row, err);
        origin->stored = origin->now;
        origin->is_stored = true;
        origin->is_dirty = false;
    }
    return rc;
}

void catalog__origins_deinit(struct origins *o)
{
    mu_free(o->items);
    *o = (struct origins){ .count = 0 };
}

/* -- one command ------------------------------------------------------------------------------- */

static struct origin *find(struct catalog *c, const struct mu_id *id)
{
    for (size_t i = 0; i < c->origins.count; i++) { /* a handful of servers */
        if (mu_id_eq(&c->origins.items[i].now.id, id)) {
            return &c->origins.items[i];
        }
    }
    return NULL;
}

static enum mu_code recall_outcome(struct catalog *c, const struct command_origin *from,
                                   const struct origin_state *s, struct catalog_result *result,
                                   struct mu_err *err)
{
    const struct row_value key[] = { row_bytes(mu_span_of(s->id.b, sizeof s->id.b)),
                                     row_number(from->seq) };
    struct row row;
    bool found = false;
    enum mu_code rc = catalog__row_find(&c->rows, ROW_OUTCOMES, key, &c->arena, &row, &found, err);

    if (rc != MU_OK) {
        return rc;
    }
    if (found) {
        catalog__outcome_unpack(&row.v[ROW_OUTCOME_REST], result);
    } else {
        result->did_apply = bit_get(s->effect, from->seq);
    }
    return MU_OK;
}

enum mu_code catalog__origin_recall(struct catalog *c, const struct command_origin *from,
                                    struct catalog_result *result, bool *is_known,
                                    struct mu_err *err)
{
    const struct origin *origin = find(c, &from->server);

    *is_known = false;
    if (origin == NULL || from->boot > origin->now.boot) {
        return MU_OK;
    }
    const struct origin_state *s = &origin->now;
    bool has_left = from->boot < s->boot || from->seq + ORIGIN_WINDOW <= s->high;

    if (has_left) {
        *is_known = true;
        catalog__refuse(result, MU_TIMEOUT, EXPIRED_TEXT);
        return MU_OK;
    }
    *is_known = from->seq <= s->high && bit_get(s->seen, from->seq);
    return *is_known ? recall_outcome(c, from, s, result, err) : MU_OK;
}

/* Rows of `outcomes` below a number; all with UINT64_MAX. */
static enum mu_code outcomes_forget(struct catalog *c, const struct mu_id *id, uint64_t below,
                                    struct mu_err *err)
{
    struct row_list list = { NULL, 0 };
    enum mu_code rc = catalog__row_scan(&c->rows, ROW_OUTCOMES, mu_span_of(id->b, sizeof id->b),
                                        &c->arena, &list, err);

    for (size_t i = 0; rc == MU_OK && i < list.count; i++) {
        if ((uint64_t)list.items[i].v[ROW_OUTCOME_SEQ].number < below) {
            rc = catalog__row_remove(&c->rows, ROW_OUTCOMES, &list.items[i], err);
        }
    }
    return rc;
}

static enum mu_code outcome_note(struct catalog *c, const struct origin_state *s, uint64_t seq,
                                 const struct catalog_result *result, struct mu_err *err)
{
    struct row row;
    enum mu_code rc = MU_OK;

    if (s->high > OUTCOMES_KEPT) {
        rc = outcomes_forget(c, &s->id, s->high - OUTCOMES_KEPT, err);
    }
    if (rc != MU_OK || seq + OUTCOMES_KEPT < s->high) {
        return rc;
    }
    row.v[ROW_OUTCOME_ID] = row_bytes(mu_span_of(s->id.b, sizeof s->id.b));
    row.v[ROW_OUTCOME_SEQ] = row_number(seq);
    catalog__outcome_pack(result, &row.v[ROW_OUTCOME_REST]);
    return catalog__row_put(&c->rows, ROW_OUTCOMES, NULL, &row, err);
}

/* Room for one more: the origin that was silent longest goes, with what is kept for it. */
static enum mu_code make_room(struct catalog *c, struct mu_err *err)
{
    struct origins *o = &c->origins;
    size_t oldest = 0;
    struct row row;

    if (o->count < ORIGINS_MAX) {
        return MU_OK;
    }
    for (size_t i = 1; i < o->count; i++) {
        oldest = o->items[i].now.index < o->items[oldest].now.index ? i : oldest;
    }
    struct origin *gone = &o->items[oldest];
    enum mu_code rc = outcomes_forget(c, &gone->now.id, UINT64_MAX, err);

    if (rc == MU_OK && gone->is_stored) {
        to_row(&gone->stored, &row);
        rc = catalog__row_remove(&c->rows, ROW_ORIGINS, &row, err);
    }
    if (rc == MU_OK) {
        *gone = o->items[--o->count];
    }
    return rc;
}

/* The row of an origin, at the boot of this command. */
static enum mu_code settle(struct catalog *c, const struct command_origin *from,
                           struct origin **out, struct mu_err *err)
{
    struct origin *origin = find(c, &from->server);
    enum mu_code rc = MU_OK;

    if (origin == NULL) {
        rc = make_room(c, err);
        if (rc != MU_OK) {
            return rc;
        }
        origin = append(&c->origins);
        origin->now.id = from->server;
        origin->now.boot = from->boot;
    } else if (from->boot > origin->now.boot) { /* whoever asked in the boot before is gone */
        rc = outcomes_forget(c, &from->server, UINT64_MAX, err);
        origin->now = (struct origin_state){ .id = from->server, .boot = from->boot };
    }
    origin->is_dirty = true;
    *out = origin;
    return rc;
}

enum mu_code catalog__origin_note(struct catalog *c, const struct command_origin *from,
                                  const struct catalog_result *result, struct mu_err *err)
{
    struct origin *origin = NULL;
    enum mu_code rc = settle(c, from, &origin, err);

    if (rc != MU_OK) {
        return rc;
    }
    struct origin_state *s = &origin->now;

    if (from->seq >= s->high + ORIGIN_WINDOW) {
        memset(s->seen, 0, sizeof s->seen);
        s->high = from->seq;
    }
    while (s->high < from->seq) {
        bit_set(s->seen, ++s->high, false);
    }
    s->index = c->now.index;
    bit_set(s->seen, from->seq, true);
    bit_set(s->effect, from->seq, result->did_apply);
    return catalog__outcome_is_plain(result) ? MU_OK : outcome_note(c, s, from->seq, result, err);
}
