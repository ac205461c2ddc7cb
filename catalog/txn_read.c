#include "txn_read.h"

#include <stdarg.h>
#include <string.h>

#include "base/assert.h"
#include "reader.h"

bool catalog__txn_verb_reads(enum command_txn_verb verb)
{
    switch (verb) {
    case COMMAND_TXN_GET:
    case COMMAND_TXN_GET_TREE:
    case COMMAND_TXN_GET_OR_EMPTY:
    case COMMAND_TXN_CHECK_INDEX:
    case COMMAND_TXN_CHECK_SESSION:
    case COMMAND_TXN_CHECK_NOT_EXISTS: return true;
    case COMMAND_TXN_NONE:
    case COMMAND_TXN_SET:
    case COMMAND_TXN_CAS:
    case COMMAND_TXN_LOCK:
    case COMMAND_TXN_UNLOCK:
    case COMMAND_TXN_DELETE:
    case COMMAND_TXN_DELETE_TREE:
    case COMMAND_TXN_DELETE_CAS: return false;
    }
    return false;
}

bool catalog_txn_is_read(const struct command_txn *txn)
{
    for (size_t i = 0; i < txn->ops_count; i++) {
        if (!catalog__txn_verb_reads(txn->ops[i].verb)) {
            return false;
        }
    }
    return true;
}

/* -- the answer -------------------------------------------------------------------------------- */

static void *grown(struct mu_arena *arena, void *items, size_t items_count, size_t *room,
                   size_t bytes)
{
    if (items_count < *room) {
        return items;
    }
    *room = *room == 0 ? 4 : 2 * *room;
    void *larger = mu_arena_array(arena, *room, bytes);

    if (items_count > 0) {
        memcpy(larger, items, items_count * bytes);
    }
    return larger;
}

void catalog__txn_add(struct txn_run *run, const struct catalog_kv *kv, bool has_value)
{
    struct catalog_txn_answer *a = run->answer;

    a->found = grown(run->arena, a->found, a->found_count, &run->found_room, sizeof *a->found);
    a->found[a->found_count] = (struct catalog_txn_found){ *kv, has_value };
    if (!has_value) {
        a->found[a->found_count].kv.value = MU_SPAN_NONE;
    }
    run->bytes += kv->key.bytes + a->found[a->found_count++].kv.value.bytes;
}

void catalog__txn_fail(struct txn_run *run, size_t op, const char *fmt, ...)
{
    struct catalog_txn_answer *a = run->answer;
    struct mu_buf what = MU_BUF_NONE;
    va_list args;

    va_start(args, fmt);
    mu_buf_vaddf(&what, fmt, args);
    va_end(args);
    a->errors = grown(run->arena, a->errors, a->errors_count, &run->errors_room, sizeof *a->errors);
    a->errors[a->errors_count++] =
        (struct catalog_txn_error){ .op = (uint32_t)op,
                                    .what = mu_arena_span(run->arena, mu_buf_span(&what)) };
    mu_buf_deinit(&what);
}

/* -- reading ----------------------------------------------------------------------------------- */

static void get(struct txn_run *run, size_t i, const struct command_txn_op *op,
                const struct catalog_kv *kv)
{
    const struct catalog_kv empty = { .key = op->key };

    if (kv != NULL) {
        catalog__txn_add(run, kv, true);
    } else if (op->verb == COMMAND_TXN_GET_OR_EMPTY) {
        catalog__txn_add(run, &empty, true);
    } else {
        catalog__txn_fail(run, i, "key \"%.*s\" doesn't exist", MU_SPAN_FMT(op->key));
    }
}

static void check_index(struct txn_run *run, size_t i, const struct command_txn_op *op,
                        const struct catalog_kv *kv)
{
    if (kv == NULL) {
        catalog__txn_fail(run, i, "failed to check index, key \"%.*s\" doesn't exist",
                          MU_SPAN_FMT(op->key));
    } else if (kv->modify_index != op->index) {
        catalog__txn_fail(run, i,
                          "failed index check for key \"%.*s\", current modify index %llu != %llu",
                          MU_SPAN_FMT(op->key), (unsigned long long)kv->modify_index,
                          (unsigned long long)op->index);
    } else {
        catalog__txn_add(run, kv, false);
    }
}

static void check_session(struct txn_run *run, size_t i, const struct command_txn_op *op,
                          const struct catalog_kv *kv)
{
    if (kv == NULL) {
        catalog__txn_fail(run, i, "failed to check session, key \"%.*s\" doesn't exist",
                          MU_SPAN_FMT(op->key));
    } else if (!mu_span_eq_fold(kv->session, op->session)) {
        catalog__txn_fail(
            run, i, "failed session check for key \"%.*s\", current session \"%.*s\" != \"%.*s\"",
            MU_SPAN_FMT(op->key), MU_SPAN_FMT(kv->session), MU_SPAN_FMT(op->session));
    } else {
        catalog__txn_add(run, kv, false);
    }
}

static enum mu_code get_tree(struct txn_run *run, const struct command_txn_op *op,
                             struct mu_err *err)
{
    struct catalog_kvs kvs = { .count = 0 };
    enum mu_code rc = run->source->below(run->source->self, run->arena, op->key, &kvs, err);

    for (size_t i = 0; rc == MU_OK && i < kvs.count; i++) {
        catalog__txn_add(run, &kvs.items[i], true);
    }
    return rc;
}

enum mu_code catalog__txn_read(struct txn_run *run, size_t i, const struct command_txn_op *op,
                               struct mu_err *err)
{
    struct catalog_kv kv = { .flags = 0 };
    bool found = false;

    if (op->verb == COMMAND_TXN_GET_TREE) {
        return get_tree(run, op, err);
    }
    enum mu_code rc = run->source->find(run->source->self, run->arena, op->key, &kv, &found, err);
    const struct catalog_kv *there = found ? &kv : NULL;

    if (rc != MU_OK) {
        return rc;
    }
    if (op->verb == COMMAND_TXN_CHECK_INDEX) {
        check_index(run, i, op, there);
    } else if (op->verb == COMMAND_TXN_CHECK_SESSION) {
        check_session(run, i, op, there);
    } else if (op->verb != COMMAND_TXN_CHECK_NOT_EXISTS) {
        get(run, i, op, there);
    } else if (found) {
        catalog__txn_fail(run, i, "key \"%.*s\" exists", MU_SPAN_FMT(op->key));
    }
    return MU_OK;
}

/* -- from a reader ----------------------------------------------------------------------------- */

static enum mu_code reader_find(void *self, struct mu_arena *arena, struct mu_span key,
                                struct catalog_kv *out, bool *found, struct mu_err *err)
{
    struct catalog_kvs kvs = { .count = 0 };
    enum mu_code rc = catalog_query_key(self, arena, key, &kvs, err);

    *found = rc == MU_OK && kvs.count > 0;
    if (*found) {
        *out = kvs.items[0];
    }
    return rc;
}

static enum mu_code reader_below(void *self, struct mu_arena *arena, struct mu_span prefix,
                                 struct catalog_kvs *out, struct mu_err *err)
{
    return catalog_query_prefix(self, arena, prefix, out, err);
}

enum mu_code catalog_query_txn(struct catalog_reader *r, struct mu_arena *arena,
                               const struct command_txn *txn, struct catalog_txn_answer *out,
                               struct mu_err *err)
{
    const struct txn_source source = { reader_find, reader_below, r };
    struct txn_run run = { .source = &source, .arena = arena, .answer = out };
    enum mu_code rc = MU_OK;

    *out = (struct catalog_txn_answer){ .found_count = 0 };
    for (size_t i = 0; rc == MU_OK && i < txn->ops_count; i++) {
        MU_ASSERT(catalog__txn_verb_reads(txn->ops[i].verb));
        rc = catalog__txn_read(&run, i, &txn->ops[i], err);
    }
    return rc;
}
