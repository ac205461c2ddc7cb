#include "txn_read.h"

#include <stdarg.h>

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
    case COMMAND_TXN_CHECK_NOT_EXISTS:
    case COMMAND_TXN_NODE_GET:
    case COMMAND_TXN_SERVICE_GET:
    case COMMAND_TXN_CHECK_GET: return true;
    case COMMAND_TXN_NONE:
    case COMMAND_TXN_SET:
    case COMMAND_TXN_CAS:
    case COMMAND_TXN_LOCK:
    case COMMAND_TXN_UNLOCK:
    case COMMAND_TXN_DELETE:
    case COMMAND_TXN_DELETE_TREE:
    case COMMAND_TXN_DELETE_CAS:
    case COMMAND_TXN_NODE_SET:
    case COMMAND_TXN_NODE_CAS:
    case COMMAND_TXN_NODE_DELETE:
    case COMMAND_TXN_NODE_DELETE_CAS:
    case COMMAND_TXN_SERVICE_SET:
    case COMMAND_TXN_SERVICE_CAS:
    case COMMAND_TXN_SERVICE_DELETE:
    case COMMAND_TXN_SERVICE_DELETE_CAS:
    case COMMAND_TXN_CHECK_SET:
    case COMMAND_TXN_CHECK_CAS:
    case COMMAND_TXN_CHECK_DELETE:
    case COMMAND_TXN_CHECK_DELETE_CAS: return false;
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

void catalog__txn_add(struct txn_run *run, const struct catalog_kv *kv, bool has_value)
{
    struct catalog_txn_answer *a = run->answer;

    a->found = mu_arena_grow(run->arena, a->found, a->found_count, sizeof *a->found);
    a->found[a->found_count] = (struct catalog_txn_found){ .kv = *kv, .has_value = has_value };
    if (!has_value) {
        a->found[a->found_count].kv.value = MU_SPAN_NONE;
    }
    run->bytes += kv->key.bytes + a->found[a->found_count++].kv.value.bytes;
}

static void add_object(struct txn_run *run, const struct catalog_txn_found *found)
{
    struct catalog_txn_answer *a = run->answer;

    a->found = mu_arena_grow(run->arena, a->found, a->found_count, sizeof *a->found);
    a->found[a->found_count++] = *found;
    run->bytes += catalog__txn_found_bytes(found);
}

void catalog__txn_fail(struct txn_run *run, size_t op, const char *fmt, ...)
{
    struct catalog_txn_answer *a = run->answer;
    struct mu_buf what = MU_BUF_NONE;
    va_list args;

    va_start(args, fmt);
    mu_buf_vaddf(&what, fmt, args);
    va_end(args);
    a->errors = mu_arena_grow(run->arena, a->errors, a->errors_count, sizeof *a->errors);
    a->errors[a->errors_count++] =
        (struct catalog_txn_error){ .op = (uint32_t)op,
                                    .what = mu_arena_span(run->arena, mu_buf_span(&what)) };
    mu_buf_deinit(&what);
}

/* -- nodes, services and checks ---------------------------------------------------------------- */

/* By its id where one is given, as the reference has it. */
static enum mu_code find_node(struct txn_run *run, const struct command_node *node,
                              struct catalog_node **out, struct mu_err *err)
{
    const struct txn_source *s = run->source;
    struct mu_id id;

    *out = NULL;
    if (node->id.bytes == 0) {
        return s->node(s->self, run->arena, catalog__fold(run->arena, node->name), false, out, err);
    }
    if (!mu_id_parse(node->id, &id)) {
        return MU_OK;
    }
    return s->node(s->self, run->arena, mu_span_of(id.b, sizeof id.b), true, out, err);
}

static enum mu_code find_check(struct txn_run *run, struct mu_span node_key, struct mu_span id,
                               struct catalog_check **out, struct mu_err *err)
{
    const struct txn_source *s = run->source;
    struct catalog_node *node = NULL;
    enum mu_code rc =
        s->check(s->self, run->arena, node_key, catalog__fold(run->arena, id), out, err);

    if (rc == MU_OK && *out != NULL) {
        rc = s->node(s->self, run->arena, node_key, false, &node, err);
        (*out)->node = node != NULL ? node->name : MU_SPAN_NONE;
    }
    return rc;
}

enum mu_code catalog__txn_show(struct txn_run *run, const struct command_txn_op *op, bool *found,
                               struct mu_err *err)
{
    const struct txn_source *s = run->source;
    struct mu_span node_key = catalog__fold(run->arena, op->key);
    struct catalog_node *node = NULL;
    struct catalog_service *service = NULL;
    struct catalog_check *check = NULL;
    enum mu_code rc = MU_OK;

    if (op->node != NULL) {
        rc = find_node(run, op->node, &node, err);
    } else if (op->service != NULL) {
        rc = s->service(s->self, run->arena, node_key,
                        catalog__fold(run->arena, catalog__service_id(op->service)), &service, err);
    } else {
        rc = find_check(run, node_key, catalog__check_id(op->check), &check, err);
    }
    *found = node != NULL || service != NULL || check != NULL;
    if (rc == MU_OK && *found) {
        add_object(run,
                   &(struct catalog_txn_found){ .node = node, .service = service, .check = check });
    }
    return rc;
}

static enum mu_code get_object(struct txn_run *run, size_t i, const struct command_txn_op *op,
                               struct mu_err *err)
{
    bool found = false;
    enum mu_code rc = catalog__txn_show(run, op, &found, err);

    if (rc != MU_OK || found) {
        return rc;
    }
    if (op->node != NULL) {
        catalog__txn_fail(run, i, "node \"%.*s\" doesn't exist", MU_SPAN_FMT(op->node->name));
    } else if (op->service != NULL) {
        catalog__txn_fail(run, i, "service \"%.*s\" on node \"%.*s\" doesn't exist",
                          MU_SPAN_FMT(op->service->id), MU_SPAN_FMT(op->key));
    } else {
        catalog__txn_fail(run, i, "check \"%.*s\" on node \"%.*s\" doesn't exist",
                          MU_SPAN_FMT(op->check->id), MU_SPAN_FMT(op->key));
    }
    return MU_OK;
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

    if (command_txn_on(op->verb) != COMMAND_TXN_ON_KEY) {
        return get_object(run, i, op, err);
    }
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

static enum mu_code reader_node(void *self, struct mu_arena *arena, struct mu_span key, bool by_id,
                                struct catalog_node **out, struct mu_err *err)
{
    struct walk w;

    *out = NULL;
    if (!by_id) {
        return catalog__find_node(self, arena, key, out, err);
    }
    catalog__walk(&w, self, READER_NODES_FROM_UUID, arena, err);
    bind_bytes(w.s, 1, key);
    if (catalog__walk_next(&w) && mu_span_eq(column_bytes(w.s, NODE_UUID), key)) {
        *out = mu_arena_new(arena, sizeof **out);
        catalog__read_node(&w, *out);
    }
    return catalog__walk_end(&w);
}

static enum mu_code reader_service(void *self, struct mu_arena *arena, struct mu_span node_key,
                                   struct mu_span key, struct catalog_service **out,
                                   struct mu_err *err)
{
    struct walk w;

    *out = NULL;
    catalog__walk(&w, self, READER_SERVICE, arena, err);
    bind_bytes(w.s, 1, node_key);
    bind_bytes(w.s, 2, key);
    if (catalog__walk_next(&w)) {
        *out = mu_arena_new(arena, sizeof **out);
        catalog__read_service(&w, *out);
    }
    return catalog__walk_end(&w);
}

static enum mu_code reader_check(void *self, struct mu_arena *arena, struct mu_span node_key,
                                 struct mu_span key, struct catalog_check **out, struct mu_err *err)
{
    struct walk w;

    *out = NULL;
    catalog__walk(&w, self, READER_CHECK, arena, err);
    bind_bytes(w.s, 1, node_key);
    bind_bytes(w.s, 2, key);
    if (catalog__walk_next(&w)) {
        *out = mu_arena_new(arena, sizeof **out);
        catalog__read_check(&w, *out);
    }
    return catalog__walk_end(&w);
}

enum mu_code catalog_query_txn(struct catalog_reader *r, struct mu_arena *arena,
                               const struct command_txn *txn, struct catalog_txn_answer *out,
                               struct mu_err *err)
{
    const struct txn_source source = { .find = reader_find,
                                       .below = reader_below,
                                       .node = reader_node,
                                       .service = reader_service,
                                       .check = reader_check,
                                       .self = r };
    struct txn_run run = { .source = &source, .arena = arena, .answer = out };
    enum mu_code rc = MU_OK;

    *out = (struct catalog_txn_answer){ .found_count = 0 };
    for (size_t i = 0; rc == MU_OK && i < txn->ops_count; i++) {
        MU_ASSERT(catalog__txn_verb_reads(txn->ops[i].verb));
        rc = catalog__txn_read(&run, i, &txn->ops[i], err);
    }
    return rc;
}
