/* txn.c - TXN and TXN_CATALOG: several operations on keys, and on nodes, services and checks, all
 * or none (spec/http-api.md 9).
 *
 * Operations see what those before them have done, so that whether one can be carried out is known
 * only when its turn comes. Hence the one savepoint in the catalog: all operations are tried, each
 * that fails is told, and if any did the rows and what is kept of them in memory are put back.
 */
#include <string.h>

#include "base/id.h"
#include "mvcc.h"
#include "txn_read.h"

/* What an answer may carry: it is kept and sent whole. */
#define ANSWER_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define CHUNK            256

/* -- keys in the middle of a transaction ------------------------------------------------------- */

static enum mu_code kv_of(struct catalog *c, const struct mvcc_key *k, struct mu_arena *arena,
                          struct catalog_kv *out, struct mu_err *err)
{
    const struct row_value *v = k->row.v;
    struct mvcc_value value;
    struct mu_id session;
    enum mu_code rc = catalog__mvcc_read(c, k, arena, &value, &out->flags, err);

    if (rc != MU_OK) {
        return rc;
    }
    out->key = mu_arena_span(arena, v[CUR_KEY].bytes);
    out->value = value.bytes;
    out->lock_index = (uint64_t)v[CUR_LOCK_INDEX].number;
    out->create_index = (uint64_t)v[CUR_CREATE_INDEX].number;
    out->modify_index = (uint64_t)v[CUR_INDEX].number;
    out->session = MU_SPAN_NONE;
    if (v[CUR_SESSION].bytes.bytes == sizeof session.b) {
        char *text = mu_arena_new(arena, MU_ID_TEXT_BYTES + 1);

        memcpy(session.b, v[CUR_SESSION].bytes.data, sizeof session.b);
        mu_id_text(&session, text);
        out->session = mu_span_of(text, MU_ID_TEXT_BYTES);
    }
    return MU_OK;
}

static enum mu_code writer_find(void *self, struct mu_arena *arena, struct mu_span key,
                                struct catalog_kv *out, bool *found, struct mu_err *err)
{
    struct catalog *c = self;
    struct mvcc_key k;
    enum mu_code rc = catalog__mvcc_find(c, key, &k, err);

    *found = rc == MU_OK && k.is_live;
    return *found ? kv_of(c, &k, arena, out, err) : rc;
}

static enum mu_code writer_below(void *self, struct mu_arena *arena, struct mu_span prefix,
                                 struct catalog_kvs *out, struct mu_err *err)
{
    struct catalog *c = self;
    struct mu_span from = prefix;
    struct mvcc_keys keys = { NULL, CHUNK };
    enum mu_code rc = MU_OK;

    *out = (struct catalog_kvs){ .count = 0 };
    while (rc == MU_OK && keys.count == CHUNK) {
        rc = catalog__mvcc_range(c, prefix, from, CHUNK, arena, &keys, err);
        for (size_t i = 0; rc == MU_OK && i < keys.count; i++) {
            out->items = mu_arena_grow(arena, out->items, out->count, sizeof *out->items);
            rc = kv_of(c, &keys.items[i], arena, &out->items[out->count++], err);
        }
        if (rc == MU_OK && keys.count == CHUNK) { /* the next key: this one and a zero */
            struct mu_span last = keys.items[CHUNK - 1].row.v[CUR_KEY].bytes;

            from = mu_span_of(mu_arena_text(arena, last.data, last.bytes), last.bytes + 1);
        }
    }
    return rc;
}

/* -- operations that write: the commands that do the same -------------------------------------- */

static bool session_of(struct txn_run *run, size_t i, const struct command_txn_op *op,
                       struct mu_id *out)
{
    if (op->session.bytes == 0) {
        catalog__txn_fail(run, i, "missing session");
        return false;
    }
    if (mu_id_parse(op->session, out) || op->verb == COMMAND_TXN_UNLOCK) {
        return true; /* what no session can have as its id holds nothing */
    }
    catalog__txn_fail(run, i, "failed session lookup: index error: UUID must be 36 characters");
    return false;
}

static catalog_apply_fn *command_of(const struct command_txn_op *op, const struct mu_id *session,
                                    struct command *out)
{
    bool is_lock = op->verb == COMMAND_TXN_LOCK || op->verb == COMMAND_TXN_UNLOCK;

    if (is_lock) {
        out->kind = COMMAND_KV_LOCK;
        out->kv_lock = (struct command_kv_lock){ op->key, op->value, op->flags, *session,
                                                 op->verb == COMMAND_TXN_UNLOCK };
        return catalog__kv_lock;
    }
    if (op->verb == COMMAND_TXN_SET || op->verb == COMMAND_TXN_CAS) {
        out->kind = COMMAND_KV_SET;
        out->kv_set = (struct command_kv_set){ op->key, op->value, op->flags,
                                               op->verb == COMMAND_TXN_CAS, op->index };
        return catalog__kv_set;
    }
    out->kind = COMMAND_KV_DELETE;
    out->kv_delete = (struct command_kv_delete){ op->key, op->verb == COMMAND_TXN_DELETE_TREE,
                                                 op->verb == COMMAND_TXN_DELETE_CAS, op->index };
    return catalog__kv_delete;
}

/* It was possible, but did not apply: why? */
static enum mu_code say_why(struct catalog *c, struct txn_run *run, size_t i,
                            const struct command_txn_op *op, struct mu_err *err)
{
    bool is_delayed = false;
    enum mu_code rc = MU_OK;

    if (op->verb == COMMAND_TXN_LOCK) {
        rc = catalog__lock_delay_holds(c, op->key, &is_delayed, err);
        catalog__txn_fail(run, i, "failed to lock key \"%.*s\"%s", MU_SPAN_FMT(op->key),
                          is_delayed ? " due to lock delay" : ", lock is already held");
    } else if (op->verb == COMMAND_TXN_UNLOCK) {
        catalog__txn_fail(
            run, i, "failed to unlock key \"%.*s\", lock isn't held, or is held by another session",
            MU_SPAN_FMT(op->key));
    } else {
        catalog__txn_fail(run, i, "failed to %s key \"%.*s\", index is stale",
                          op->verb == COMMAND_TXN_CAS ? "set" : "delete", MU_SPAN_FMT(op->key));
    }
    return rc;
}

/* What was written is shown, what was deleted is not. */
static enum mu_code show_written(struct txn_run *run, const struct command *command,
                                 struct mu_span key, struct mu_err *err)
{
    struct catalog_kv kv = { .flags = 0 };
    bool found = false;

    if (command->kind == COMMAND_KV_DELETE) {
        return MU_OK;
    }
    enum mu_code rc = run->source->find(run->source->self, run->arena, key, &kv, &found, err);

    if (rc == MU_OK) {
        MU_ASSERT(found);
        catalog__txn_add(run, &kv, false);
    }
    return rc;
}

static enum mu_code write_op(struct catalog *c, struct txn_run *run, size_t i,
                             const struct command_txn_op *op, struct mu_err *err)
{
    bool is_lock = op->verb == COMMAND_TXN_LOCK || op->verb == COMMAND_TXN_UNLOCK;
    struct catalog_result result = { .code = MU_OK };
    struct command command = { .kind = COMMAND_NONE };
    struct mu_id session = MU_ID_NONE;

    if (is_lock && !session_of(run, i, op, &session)) {
        return MU_OK;
    }
    catalog_apply_fn *apply = command_of(op, &session, &command);
    enum mu_code rc = apply(c, &command, &result, err);

    if (rc == MU_OK && result.code != MU_OK) {
        catalog__txn_fail(run, i, "%s", result.text);
    } else if (rc == MU_OK && !result.did_apply) {
        rc = say_why(c, run, i, op, err);
    } else if (rc == MU_OK) {
        rc = show_written(run, &command, op->key, err);
    }
    catalog_result_free(&result);
    return rc;
}

/* -- all of them ------------------------------------------------------------------------------- */

static enum mu_code run_all(struct catalog *c, const struct command_txn *txn, struct txn_run *run,
                            struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    for (size_t i = 0; rc == MU_OK && i < txn->ops_count; i++) {
        const struct command_txn_op *op = &txn->ops[i];
        bool is_on_key = command_txn_on(op->verb) == COMMAND_TXN_ON_KEY;

        if (is_on_key && op->key.bytes == 0) {
            catalog__txn_fail(run, i, "Must provide key");
        } else if (catalog__txn_verb_reads(op->verb)) {
            rc = catalog__txn_read(run, i, op, err);
        } else if (is_on_key) {
            rc = write_op(c, run, i, op, err);
        } else {
            rc = catalog__txn_write_object(c, run, i, op, err);
        }
        if (rc == MU_OK && run->bytes > ANSWER_BYTES_MAX) {
            catalog__txn_fail(run, i,
                              "the answer of this transaction would be larger than %zu bytes",
                              ANSWER_BYTES_MAX);
            break;
        }
    }
    return rc;
}

/* As it was before the first operation. Topics that were named only wake somebody for nothing. */
static enum mu_code take_back(struct catalog *c, const struct state *before,
                              const struct mvcc_turn *turn, struct mu_err *err)
{
    c->now = *before;
    c->turn = *turn;
    return catalog__run(&c->db, c->savepoint_back, err);
}

enum mu_code catalog__txn(CATALOG_APPLY_ARGS)
{
    const struct txn_source source = { .find = writer_find,
                                       .below = writer_below,
                                       .node = catalog__txn_writer_node,
                                       .service = catalog__txn_writer_service,
                                       .check = catalog__txn_writer_check,
                                       .self = c };
    struct catalog_txn_answer answer = { .found_count = 0 };
    struct txn_run run = { .source = &source, .arena = &c->arena, .answer = &answer };
    const struct state before = c->now;
    const struct mvcc_turn turn = c->turn;
    enum mu_code rc = catalog__run(&c->db, c->savepoint, err);

    if (rc == MU_OK) {
        rc = run_all(c, &command->txn, &run, err);
    }
    if (rc == MU_OK && answer.errors_count > 0) {
        answer.found_count = 0;
        rc = take_back(c, &before, &turn, err);
    }
    if (rc == MU_OK) {
        rc = catalog__run(&c->db, c->savepoint_end, err);
    }
    if (rc == MU_OK) {
        result->did_apply = answer.errors_count == 0;
        catalog_txn_answer_encode(&answer, &result->data);
    }
    return rc;
}
