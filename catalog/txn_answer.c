/* txn_answer.c - the answer of a transaction as bytes: kept with request ids, sent between servers.
 *
 * A number of the form, then counts and items. Numbers are little endian, texts have four bytes of
 * length in front. Both directions walk the same list of fields, so that they cannot part.
 */
#include <string.h>

#include "base/assert.h"
#include "base/wire.h"
#include "catalog/txn.h"

#define FORM 1

/* One walk over the fields: writes to `to`, or reads from `from` when there is no `to`. */
struct walker {
    struct mu_buf *to;
    struct mu_rd from;
    struct mu_arena *arena;
};

static void number(struct walker *w, uint64_t *v)
{
    uint8_t room[8];

    if (w->to == NULL) {
        *v = mu_rd_u64le(&w->from);
        return;
    }
    struct mu_wr wr = mu_wr_of(room, sizeof room);

    mu_wr_u64le(&wr, *v);
    mu_buf_add(w->to, room, sizeof room);
}

static void small(struct walker *w, uint32_t *v)
{
    uint8_t room[4];

    if (w->to == NULL) {
        *v = mu_rd_u32le(&w->from);
        return;
    }
    struct mu_wr wr = mu_wr_of(room, sizeof room);

    mu_wr_u32le(&wr, *v);
    mu_buf_add(w->to, room, sizeof room);
}

static void text(struct walker *w, struct mu_span *s)
{
    uint32_t bytes = (uint32_t)s->bytes;

    small(w, &bytes);
    if (w->to != NULL) {
        mu_buf_add_span(w->to, *s);
    } else {
        struct mu_span view = mu_rd_take(&w->from, bytes);

        *s = mu_rd_ok(&w->from) ? mu_arena_span(w->arena, view) : MU_SPAN_NONE;
    }
}

static void found(struct walker *w, struct catalog_txn_found *f)
{
    uint32_t has_value = f->has_value;

    small(w, &has_value);
    f->has_value = has_value != 0;
    text(w, &f->kv.key);
    text(w, &f->kv.value);
    text(w, &f->kv.session);
    number(w, &f->kv.flags);
    number(w, &f->kv.lock_index);
    number(w, &f->kv.create_index);
    number(w, &f->kv.modify_index);
}

static void error(struct walker *w, struct catalog_txn_error *e)
{
    small(w, &e->op);
    text(w, &e->what);
}

/* How many items follow; what is left bounds it, for an item has at least `bytes_min`. */
static size_t count(struct walker *w, size_t given, size_t bytes_min)
{
    uint32_t n = (uint32_t)given;

    small(w, &n);
    if (w->to == NULL && n > w->from.left / bytes_min) {
        w->from.bad = true;
        return 0;
    }
    return n;
}

#define FOUND_BYTES_MIN (4 * 4 + 4 * 8)
#define ERROR_BYTES_MIN (2 * 4)

static void walk(struct walker *w, struct catalog_txn_answer *a)
{
    a->found_count = count(w, a->found_count, FOUND_BYTES_MIN);
    if (w->to == NULL) {
        a->found = mu_arena_array(w->arena, a->found_count, sizeof *a->found);
    }
    for (size_t i = 0; i < a->found_count; i++) {
        found(w, &a->found[i]);
    }
    a->errors_count = count(w, a->errors_count, ERROR_BYTES_MIN);
    if (w->to == NULL) {
        a->errors = mu_arena_array(w->arena, a->errors_count, sizeof *a->errors);
    }
    for (size_t i = 0; i < a->errors_count; i++) {
        error(w, &a->errors[i]);
    }
}

void catalog_txn_answer_encode(const struct catalog_txn_answer *answer, struct mu_buf *to)
{
    struct catalog_txn_answer copy = *answer; /* writing leaves the items alone */
    struct walker w = { .to = to };

    mu_buf_add_byte(to, FORM);
    walk(&w, &copy);
}

enum mu_code catalog_txn_answer_decode(struct mu_span bytes, struct mu_arena *arena,
                                       struct catalog_txn_answer *out, struct mu_err *err)
{
    struct walker w = { .from = mu_rd_of(bytes), .arena = arena };
    uint8_t form = mu_rd_u8(&w.from);

    *out = (struct catalog_txn_answer){ .found_count = 0 };
    if (form != FORM) {
        return mu_fail(err, MU_CORRUPT, "the answer of a transaction has the form %u", form);
    }
    walk(&w, out);
    if (!mu_rd_done(&w.from)) {
        return mu_fail(err, MU_CORRUPT, "the answer of a transaction is malformed");
    }
    return MU_OK;
}
