/* linear_index.c - do the log's indexes agree with the clients' clocks?
 *
 * One log orders all writes, so an order needs no search: it is given by indexes, and is checked.
 * Those of writes are told by their answers, or learned from reads that saw the value and its
 * ModifyIndex; the more is read, the more is checked. Then
 *
 *   - a value that is read was written by somebody, before that;
 *   - it has one index, and no index has two writes of a key;
 *   - what was acknowledged before a write was called has a smaller index;
 *   - what was acknowledged before a read was called is not newer than what the read saw;
 *   - a read that tells the index of its state saw the last write of its key up to there;
 *   - a cas that was done follows the write it expected, with none of its key between.
 *
 * A key that a session expired on is judged only for who wrote what: expiring moves the ModifyIndex
 * and writes no value. A value written twice teaches nothing. A delete without an index may have
 * come anywhere between its call and its return.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "linear.h"

struct write {
    const struct linear_op *op;
    uint64_t index; /* 0: not known */
    bool is_twin;   /* another write of this key has this value */
};

/* What was known for sure at a time: the greatest index up to there. */
struct mark {
    uint64_t time, index;
};

struct marks {
    struct mark *items;
    size_t count;
};

/* Everything about one key. */
struct group {
    struct write *writes; /* by value, once learned by index */
    size_t writes_count;
    const struct linear_op **reads;
    size_t reads_count;
    bool expires;
};

struct judge {
    const struct linear_history *h;
    struct mu_buf *why;
    struct write *writes;
    size_t writes_count;
    const struct linear_op **reads;
    size_t reads_count;
};

static bool broken(struct judge *j, const char *claim, const struct linear_op *op,
                   const struct linear_op *other)
{
    mu_buf_addf(j->why, "%s:\n  ", claim);
    linear_op_text(j->h, op, j->why);
    if (other != NULL) {
        mu_buf_add_text(j->why, "\n  ");
        linear_op_text(j->h, other, j->why);
    }
    mu_buf_add_byte(j->why, '\n');
    return false;
}

/* -- the two lists, key by key ---------------------------------------------------------------- */

static int u64_cmp(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* What the key holds behind it; what deletes writes nothing. */
static uint64_t written(const struct linear_op *op)
{
    return op->kind == LINEAR_DELETE || op->kind == LINEAR_DELETE_CAS ? 0 : op->value;
}

static int by_value(const void *left, const void *right)
{
    const struct write *a = left;
    const struct write *b = right;
    int order = u64_cmp(a->op->key, b->op->key);

    return order != 0 ? order : u64_cmp(written(a->op), written(b->op));
}

static int by_index(const void *left, const void *right)
{
    return u64_cmp(((const struct write *)left)->index, ((const struct write *)right)->index);
}

static int reads_by_key(const void *left, const void *right)
{
    const struct linear_op *a = *(const struct linear_op *const *)left;
    const struct linear_op *b = *(const struct linear_op *const *)right;

    return u64_cmp(a->key, b->key);
}

static void judge_fill(struct judge *j)
{
    for (size_t i = 0; i < j->h->count; i++) {
        const struct linear_op *op = &j->h->ops[i];

        MU_ASSERT(linear_op_is_sound(op));
        if (op->kind == LINEAR_GET && op->outcome == LINEAR_DONE) {
            j->reads[j->reads_count++] = op;
        } else if (op->kind != LINEAR_GET && op->outcome != LINEAR_REFUSED) {
            j->writes[j->writes_count++] = (struct write){
                .op = op,
                .index = op->outcome == LINEAR_DONE ? op->index : 0,
            };
        }
    }
    qsort(j->writes, j->writes_count, sizeof *j->writes, by_value);
    qsort(j->reads, j->reads_count, sizeof(struct linear_op *), reads_by_key);
    for (size_t i = 1; i < j->writes_count; i++) {
        if (by_value(&j->writes[i - 1], &j->writes[i]) == 0) {
            j->writes[i - 1].is_twin = j->writes[i].is_twin = true;
        }
    }
}

/* The next key after `g` (zeroed: the first). False: there is none. */
static bool group_next(const struct judge *j, struct group *g)
{
    size_t w = g->writes == NULL ? 0 : (size_t)(g->writes - j->writes) + g->writes_count;
    size_t r = g->reads == NULL ? 0 : (size_t)(g->reads - j->reads) + g->reads_count;
    uint64_t key;

    if (w == j->writes_count && r == j->reads_count) {
        return false;
    }
    if (w == j->writes_count) {
        key = j->reads[r]->key;
    } else if (r == j->reads_count || j->writes[w].op->key < j->reads[r]->key) {
        key = j->writes[w].op->key;
    } else {
        key = j->reads[r]->key;
    }
    *g = (struct group){ .writes = j->writes + w, .reads = j->reads + r };
    for (; w < j->writes_count && j->writes[w].op->key == key; w++) {
        g->expires = g->expires || j->writes[w].op->kind == LINEAR_EXPIRE;
        g->writes_count++;
    }
    for (; r < j->reads_count && j->reads[r]->key == key; r++) {
        g->reads_count++;
    }
    return true;
}

/* -- who wrote what was read ------------------------------------------------------------------ */

static struct write *writer_find(const struct group *g, uint64_t key, uint64_t value)
{
    struct linear_op op = { .kind = LINEAR_PUT, .key = key, .value = value };
    struct write wanted = { .op = &op };

    return bsearch(&wanted, g->writes, g->writes_count, sizeof *g->writes, by_value);
}

static bool learn(struct judge *j, struct group *g)
{
    for (size_t i = 0; i < g->reads_count; i++) {
        const struct linear_op *read = g->reads[i];
        struct write *w;

        if (read->value == 0) {
            continue;
        }
        w = writer_find(g, read->key, read->value);
        if (w == NULL) {
            return broken(j, "a value that is read was written by somebody", read, NULL);
        }
        if (w->is_twin) {
            continue;
        }
        if (w->op->called > read->returned) {
            return broken(j, "a value is written before it is read", read, w->op);
        }
        if (read->modified != 0 && !g->expires) {
            if (w->index != 0 && w->index != read->modified) {
                return broken(j, "a value has one index", read, w->op);
            }
            w->index = read->modified;
        }
    }
    return true;
}

/* -- time and indexes ------------------------------------------------------------------------- */

static int marks_by_time(const void *left, const void *right)
{
    return u64_cmp(((const struct mark *)left)->time, ((const struct mark *)right)->time);
}

static void marks_finish(struct marks *m)
{
    qsort(m->items, m->count, sizeof *m->items, marks_by_time);
    for (size_t i = 1; i < m->count; i++) {
        if (m->items[i].index < m->items[i - 1].index) {
            m->items[i].index = m->items[i - 1].index;
        }
    }
}

/* The greatest index acknowledged before this time. */
static uint64_t marks_before(const struct marks *m, uint64_t time)
{
    size_t from = 0;
    size_t to = m->count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (m->items[middle].time < time) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from == 0 ? 0 : m->items[from - 1].index;
}

static void marks_add(struct marks *m, uint64_t time, uint64_t index)
{
    if (index != 0) {
        m->items[m->count++] = (struct mark){ time, index };
    }
}

/* Over all keys: there is one log. */
static bool log_is_in_order(struct judge *j)
{
    struct marks m = { mu_new_array(j->writes_count + j->reads_count + 1, sizeof *m.items), 0 };
    bool holds = true;

    for (size_t i = 0; i < j->writes_count; i++) {
        if (j->writes[i].op->outcome == LINEAR_DONE) {
            marks_add(&m, j->writes[i].op->returned, j->writes[i].index);
        }
    }
    for (size_t i = 0; i < j->reads_count; i++) {
        marks_add(&m, j->reads[i]->returned, j->reads[i]->is_stale ? 0 : j->reads[i]->index);
    }
    marks_finish(&m);
    for (size_t i = 0; i < j->writes_count && holds; i++) {
        const struct write *w = &j->writes[i];

        if (w->index != 0 && w->index <= marks_before(&m, w->op->called)) {
            holds =
                broken(j, "what was acknowledged before a write has a smaller index", w->op, NULL);
        }
    }
    for (size_t i = 0; i < j->reads_count && holds; i++) {
        const struct linear_op *read = j->reads[i];

        if (!read->is_stale && read->index != 0 && read->index < marks_before(&m, read->called)) {
            holds = broken(j, "a read sees all that was acknowledged before it", read, NULL);
        }
    }
    mu_free(m.items);
    return holds;
}

/* -- one key ---------------------------------------------------------------------------------- */

/* Reads that tell no index of their state: what they saw must not be older than this key's last
 * acknowledged write, nor than what an earlier read saw. */
static bool reads_are_fresh(struct judge *j, const struct group *g)
{
    struct marks m = { mu_new_array(g->writes_count + g->reads_count + 1, sizeof *m.items), 0 };
    bool holds = true;

    for (size_t i = 0; i < g->writes_count; i++) {
        if (g->writes[i].op->outcome == LINEAR_DONE) {
            marks_add(&m, g->writes[i].op->returned, g->writes[i].index);
        }
    }
    for (size_t i = 0; i < g->reads_count; i++) {
        marks_add(&m, g->reads[i]->returned, g->reads[i]->is_stale ? 0 : g->reads[i]->modified);
    }
    marks_finish(&m);
    for (size_t i = 0; i < g->reads_count && holds; i++) {
        const struct linear_op *read = g->reads[i];

        if (!read->is_stale && read->modified != 0 &&
            read->modified < marks_before(&m, read->called)) {
            holds =
                broken(j, "a read sees what was acknowledged for its key before it", read, NULL);
        }
    }
    mu_free(m.items);
    return holds;
}

/* The last write of the key with an index up to `index`; NULL: none is known. */
static const struct write *write_at(const struct group *g, uint64_t index)
{
    size_t from = 0;
    size_t to = g->writes_count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (g->writes[middle].index <= index) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from == 0 || g->writes[from - 1].index == 0 ? NULL : &g->writes[from - 1];
}

/* May a delete whose index nobody knows have come between this write and the read? It is in no
 * place of the order; that it was not acknowledged, or not told, does not mean that it was not
 * done. */
static bool may_be_deleted(const struct group *g, const struct write *last,
                           const struct linear_op *read)
{
    for (size_t i = 0; i < g->writes_count && g->writes[i].index == 0; i++) { /* they come first */
        const struct linear_op *op = g->writes[i].op;
        bool deletes = op->kind == LINEAR_DELETE ||
                       (op->kind == LINEAR_DELETE_CAS && op->expected == written(last->op));

        if (deletes && op->called <= read->returned &&
            (op->outcome != LINEAR_DONE || op->returned >= last->op->called)) {
            return true;
        }
    }
    return false;
}

static bool saw(const struct group *g, const struct write *last, const struct linear_op *read)
{
    if (read->value == 0) {
        return written(last->op) == 0 || may_be_deleted(g, last, read);
    }
    return read->modified == 0 || last->index <= read->modified;
}

/* Reads that do tell it saw the key as it was there, stale ones too. */
static bool reads_saw_their_state(struct judge *j, const struct group *g)
{
    for (size_t i = 0; i < g->reads_count; i++) {
        const struct linear_op *read = g->reads[i];
        const struct write *last = read->index != 0 ? write_at(g, read->index) : NULL;

        if (read->index != 0 && read->modified > read->index) {
            return broken(j, "a read sees nothing newer than its state", read, NULL);
        }
        if (last != NULL && !saw(g, last, read)) {
            return broken(j, "a read sees the last write up to its index", read, last->op);
        }
    }
    return true;
}

static bool writes_follow(struct judge *j, const struct group *g)
{
    for (size_t i = 1; i < g->writes_count; i++) {
        const struct write *before = &g->writes[i - 1];
        const struct write *w = &g->writes[i];

        if (before->index == 0) {
            continue;
        }
        if (before->index == w->index) {
            return broken(j, "an index has one write of a key", w->op, before->op);
        }
        if (w->op->kind != LINEAR_CAS || written(before->op) == w->op->expected) {
            continue;
        }
        for (size_t k = 0; k < i - 1; k++) { /* what is expected was written, and then `before` */
            if (g->writes[k].index != 0 && !g->writes[k].is_twin && w->op->expected != 0 &&
                written(g->writes[k].op) == w->op->expected) {
                return broken(j, "a cas follows the write it expected", w->op, before->op);
            }
        }
    }
    return true;
}

static bool groups_hold(struct judge *j)
{
    for (struct group g = { 0 }; group_next(j, &g);) {
        if (g.expires) {
            continue;
        }
        qsort(g.writes, g.writes_count, sizeof *g.writes, by_index);
        if (!writes_follow(j, &g) || !reads_are_fresh(j, &g) || !reads_saw_their_state(j, &g)) {
            return false;
        }
    }
    return true;
}

enum linear_verdict linear_check_indexes(const struct linear_history *h, struct mu_buf *why)
{
    struct judge j = {
        .h = h,
        .why = why,
        .writes = mu_new_array(h->count + 1, sizeof *j.writes),
        .reads = mu_new_array(h->count + 1, sizeof(struct linear_op *)),
    };
    bool holds = true;

    judge_fill(&j);
    for (struct group g = { 0 }; holds && group_next(&j, &g);) {
        holds = learn(&j, &g);
    }
    holds = holds && log_is_in_order(&j) && groups_hold(&j);
    mu_free(j.reads);
    mu_free(j.writes);
    return holds ? LINEAR_HOLDS : LINEAR_BROKEN;
}
