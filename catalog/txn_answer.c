/* txn_answer.c - the answer of a transaction as bytes: kept with request ids, sent between servers.
 *
 * A number of the form, then counts and items. Numbers are little endian, texts have four bytes of
 * length in front, lists a count. What only holds keys has the form that it had before there was
 * anything else: answers are kept with the state, and count in its hash. Both directions walk the
 * same list of fields, so that they cannot part.
 */
#include <string.h>

#include "base/assert.h"
#include "base/wire.h"
#include "catalog/txn.h"
#include "txn_read.h"

#define FORM_KEYS    1 /* all that is found are keys */
#define FORM_CATALOG 2 /* something else is among it: each says first what it is */

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

static void flag(struct walker *w, bool *v)
{
    uint32_t n = *v;

    small(w, &n);
    *v = n != 0;
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

static void texts(struct walker *w, struct mu_texts *t)
{
    t->count = count(w, t->count, 4);
    if (w->to == NULL) {
        t->items = mu_arena_array(w->arena, t->count, sizeof *t->items);
    }
    for (size_t i = 0; i < t->count; i++) {
        text(w, &t->items[i]);
    }
}

static void pairs(struct walker *w, struct mu_pairs *p)
{
    p->count = count(w, p->count, 2 * 4);
    if (w->to == NULL) {
        p->items = mu_arena_array(w->arena, p->count, sizeof *p->items);
    }
    for (size_t i = 0; i < p->count; i++) {
        text(w, &p->items[i].key);
        text(w, &p->items[i].value);
    }
}

static void port(struct walker *w, uint16_t *v)
{
    uint32_t n = *v;

    small(w, &n);
    w->from.bad |= n > UINT16_MAX;
    *v = (uint16_t)n;
}

static void tagged(struct walker *w, struct catalog_service *s)
{
    s->tagged_addresses_count = count(w, s->tagged_addresses_count, 3 * 4);
    if (w->to == NULL) {
        s->tagged_addresses =
            mu_arena_array(w->arena, s->tagged_addresses_count, sizeof *s->tagged_addresses);
    }
    for (size_t i = 0; i < s->tagged_addresses_count; i++) {
        struct catalog_tagged *t = &s->tagged_addresses[i];

        text(w, &t->name);
        text(w, &t->address);
        port(w, &t->port);
    }
}

static void node(struct walker *w, struct catalog_node *n)
{
    text(w, &n->name);
    text(w, &n->id);
    text(w, &n->address);
    flag(w, &n->has_tagged_addresses);
    pairs(w, &n->tagged_addresses);
    flag(w, &n->has_meta);
    pairs(w, &n->meta);
    number(w, &n->create_index);
    number(w, &n->modify_index);
}

static void service(struct walker *w, struct catalog_service *s)
{
    text(w, &s->id);
    text(w, &s->name);
    text(w, &s->kind);
    texts(w, &s->tags);
    text(w, &s->address);
    port(w, &s->port);
    tagged(w, s);
    flag(w, &s->has_meta);
    pairs(w, &s->meta);
    small(w, &s->weight_passing);
    small(w, &s->weight_warning);
    flag(w, &s->enable_tag_override);
    text(w, &s->proxy);
    text(w, &s->connect);
    number(w, &s->create_index);
    number(w, &s->modify_index);
}

static void check(struct walker *w, struct catalog_check *c)
{
    text(w, &c->node);
    text(w, &c->id);
    text(w, &c->name);
    text(w, &c->status);
    text(w, &c->notes);
    text(w, &c->output);
    text(w, &c->service_id);
    text(w, &c->service_name);
    text(w, &c->type);
    texts(w, &c->service_tags);
    text(w, &c->definition);
    number(w, &c->create_index);
    number(w, &c->modify_index);
}

static void key(struct walker *w, struct catalog_txn_found *f)
{
    flag(w, &f->has_value);
    text(w, &f->kv.key);
    text(w, &f->kv.value);
    text(w, &f->kv.session);
    number(w, &f->kv.flags);
    number(w, &f->kv.lock_index);
    number(w, &f->kv.create_index);
    number(w, &f->kv.modify_index);
}

static enum command_txn_on what_is(const struct catalog_txn_found *f)
{
    return f->node != NULL      ? COMMAND_TXN_ON_NODE
           : f->service != NULL ? COMMAND_TXN_ON_SERVICE
           : f->check != NULL   ? COMMAND_TXN_ON_CHECK
                                : COMMAND_TXN_ON_KEY;
}

/* Each is walked as a copy: what is written is borrowed, what is read is kept where it was there.
 */
static void found_node(struct walker *w, struct catalog_txn_found *f)
{
    struct catalog_node n = { .has_meta = false };

    if (f->node != NULL) {
        n = *f->node;
    }
    node(w, &n);
    if (w->to == NULL) {
        f->node = memcpy(mu_arena_new(w->arena, sizeof n), &n, sizeof n);
    }
}

static void found_service(struct walker *w, struct catalog_txn_found *f)
{
    struct catalog_service s = { .has_meta = false };

    if (f->service != NULL) {
        s = *f->service;
    }
    service(w, &s);
    if (w->to == NULL) {
        f->service = memcpy(mu_arena_new(w->arena, sizeof s), &s, sizeof s);
    }
}

static void found_check(struct walker *w, struct catalog_txn_found *f)
{
    struct catalog_check c = { .create_index = 0 };

    if (f->check != NULL) {
        c = *f->check;
    }
    check(w, &c);
    if (w->to == NULL) {
        f->check = memcpy(mu_arena_new(w->arena, sizeof c), &c, sizeof c);
    }
}

static void found(struct walker *w, uint8_t form, struct catalog_txn_found *f)
{
    uint32_t what = (uint32_t)what_is(f);

    if (form == FORM_CATALOG) {
        small(w, &what);
    }
    switch (what) {
    case COMMAND_TXN_ON_KEY: key(w, f); break;
    case COMMAND_TXN_ON_NODE: found_node(w, f); break;
    case COMMAND_TXN_ON_SERVICE: found_service(w, f); break;
    case COMMAND_TXN_ON_CHECK: found_check(w, f); break;
    default: w->from.bad = true; break;
    }
}

static void error(struct walker *w, struct catalog_txn_error *e)
{
    small(w, &e->op);
    text(w, &e->what);
}

#define FOUND_BYTES_MIN (4 * 4 + 4 * 8)
#define ERROR_BYTES_MIN (2 * 4)

static void walk(struct walker *w, uint8_t form, struct catalog_txn_answer *a)
{
    a->found_count = count(w, a->found_count, FOUND_BYTES_MIN);
    if (w->to == NULL) {
        a->found = mu_arena_array(w->arena, a->found_count, sizeof *a->found);
    }
    for (size_t i = 0; i < a->found_count; i++) {
        found(w, form, &a->found[i]);
    }
    a->errors_count = count(w, a->errors_count, ERROR_BYTES_MIN);
    if (w->to == NULL) {
        a->errors = mu_arena_array(w->arena, a->errors_count, sizeof *a->errors);
    }
    for (size_t i = 0; i < a->errors_count; i++) {
        error(w, &a->errors[i]);
    }
}

static uint8_t form_of(const struct catalog_txn_answer *a)
{
    for (size_t i = 0; i < a->found_count; i++) {
        if (what_is(&a->found[i]) != COMMAND_TXN_ON_KEY) {
            return FORM_CATALOG;
        }
    }
    return FORM_KEYS;
}

void catalog_txn_answer_encode(const struct catalog_txn_answer *answer, struct mu_buf *to)
{
    struct catalog_txn_answer copy = *answer; /* writing leaves the items alone */
    struct walker w = { .to = to };
    uint8_t form = form_of(answer);

    mu_buf_add_byte(to, form);
    walk(&w, form, &copy);
}

size_t catalog__txn_found_bytes(const struct catalog_txn_found *one)
{
    struct catalog_txn_found copy = *one;
    struct mu_buf bytes = MU_BUF_NONE;
    struct walker w = { .to = &bytes };

    found(&w, FORM_CATALOG, &copy);
    size_t count = bytes.bytes;

    mu_buf_deinit(&bytes);
    return count;
}

enum mu_code catalog_txn_answer_decode(struct mu_span bytes, struct mu_arena *arena,
                                       struct catalog_txn_answer *out, struct mu_err *err)
{
    struct walker w = { .from = mu_rd_of(bytes), .arena = arena };
    uint8_t form = mu_rd_u8(&w.from);

    *out = (struct catalog_txn_answer){ .found_count = 0 };
    if (form != FORM_KEYS && form != FORM_CATALOG) {
        return mu_fail(err, MU_CORRUPT, "the answer of a transaction has the form %u", form);
    }
    walk(&w, form, out);
    if (!mu_rd_done(&w.from) || form != form_of(out)) {
        return mu_fail(err, MU_CORRUPT, "the answer of a transaction is malformed");
    }
    return MU_OK;
}
