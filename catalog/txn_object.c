/* txn_object.c - operations of a transaction that write nodes, services and checks.
 *
 * Each does what a registration or deregistration of that one thing does, to the same rows, so that
 * the same readers are woken and the same sessions end. Only the words of a refusal are others:
 * those that the reference has inside of transactions.
 */
#include "core.h"
#include "reader.h"
#include "txn_read.h"

/* -- rows in the middle of a transaction ------------------------------------------------------- */

enum mu_code catalog__txn_writer_node(void *self, struct mu_arena *arena, struct mu_span key,
                                      bool by_id, struct catalog_node **out, struct mu_err *err)
{
    struct catalog *c = self;
    sqlite3_stmt *s = by_id ? c->node_by_uuid : c->rows.find[ROW_NODES];
    struct walk w = { .s = s, .arena = arena };
    bool found = false;

    *out = NULL;
    bind_bytes(s, 1, key);
    enum mu_code rc = catalog__step(&c->db, s, &found, err);

    if (rc == MU_OK && found) {
        *out = mu_arena_new(arena, sizeof **out);
        catalog__read_node(&w, *out);
    }
    (void)sqlite3_reset(s);
    return rc;
}

enum mu_code catalog__txn_writer_service(void *self, struct mu_arena *arena,
                                         struct mu_span node_key, struct mu_span key,
                                         struct catalog_service **out, struct mu_err *err)
{
    struct catalog *c = self;
    struct walk w = { .s = c->rows.find[ROW_SERVICES], .arena = arena };
    bool found = false;

    *out = NULL;
    bind_bytes(w.s, 1, node_key);
    bind_bytes(w.s, 2, key);
    enum mu_code rc = catalog__step(&c->db, w.s, &found, err);

    if (rc == MU_OK && found) {
        *out = mu_arena_new(arena, sizeof **out);
        catalog__read_service(&w, *out);
    }
    (void)sqlite3_reset(w.s);
    return rc;
}

enum mu_code catalog__txn_writer_check(void *self, struct mu_arena *arena, struct mu_span node_key,
                                       struct mu_span key, struct catalog_check **out,
                                       struct mu_err *err)
{
    struct catalog *c = self;
    struct walk w = { .s = c->rows.find[ROW_CHECKS], .arena = arena };
    bool found = false;

    *out = NULL;
    bind_bytes(w.s, 1, node_key);
    bind_bytes(w.s, 2, key);
    enum mu_code rc = catalog__step(&c->db, w.s, &found, err);

    if (rc == MU_OK && found) {
        *out = mu_arena_new(arena, sizeof **out);
        catalog__read_check(&w, *out);
    }
    (void)sqlite3_reset(w.s);
    return rc;
}

/* -- what an operation does -------------------------------------------------------------------- */

enum act { ACT_SET, ACT_CAS, ACT_DELETE, ACT_DELETE_CAS };

static enum act act_of(enum command_txn_verb verb)
{
    return verb == COMMAND_TXN_NODE_SET || verb == COMMAND_TXN_SERVICE_SET ||
                   verb == COMMAND_TXN_CHECK_SET
               ? ACT_SET
           : verb == COMMAND_TXN_NODE_CAS || verb == COMMAND_TXN_SERVICE_CAS ||
                   verb == COMMAND_TXN_CHECK_CAS
               ? ACT_CAS
           : verb == COMMAND_TXN_NODE_DELETE || verb == COMMAND_TXN_SERVICE_DELETE ||
                   verb == COMMAND_TXN_CHECK_DELETE
               ? ACT_DELETE
               : ACT_DELETE_CAS;
}

/* One operation on its way. */
struct object_op {
    const struct command_txn_op *op;
    enum act act;
    struct mu_span node_key;
    struct row old; /* the row that it is about, where there is one */
    bool found;
    struct catalog_result refused; /* why it cannot be; MU_OK: it was done */
};

static bool sets(const struct object_op *o)
{
    return o->act == ACT_SET || o->act == ACT_CAS;
}

/* Is the row there is the one that the caller knows? An index of 0 means that there is none; but
 * what is not there cannot be deleted by its index. */
static bool is_fresh(const struct object_op *o, size_t modified_column)
{
    uint64_t modified = o->found ? (uint64_t)o->old.v[modified_column].number : 0;

    if (o->act == ACT_CAS) {
        return modified == o->op->index;
    }
    return o->act != ACT_DELETE_CAS || (o->found && modified == o->op->index);
}

static void refuse_stale(struct object_op *o)
{
    const struct command_txn_op *op = o->op;
    const char *done = sets(o) ? "set" : "delete";

    if (op->node != NULL) {
        catalog__refuse(&o->refused, MU_CONFLICT, "failed to %s node \"%.*s\", index is stale",
                        done, MU_SPAN_FMT(op->node->name));
        return;
    }
    struct mu_span id =
        op->service != NULL ? catalog__service_id(op->service) : catalog__check_id(op->check);

    catalog__refuse(
        &o->refused, MU_CONFLICT, "failed to %s %s \"%.*s\" on node \"%.*s\", index is stale", done,
        op->service != NULL ? "service" : "check", MU_SPAN_FMT(id), MU_SPAN_FMT(op->key));
}

/* What is set is set on a node that is there. */
static enum mu_code judge_node_there(struct catalog *c, struct object_op *o, struct mu_err *err)
{
    struct row node;
    bool found = false;
    enum mu_code rc = catalog__node_find(c, o->node_key, &node, &found, err);

    if (rc == MU_OK && !found) {
        catalog__refuse(&o->refused, MU_NOT_FOUND, "Missing node registration");
    }
    return rc;
}

/* -- nodes ------------------------------------------------------------------------------------- */

static enum mu_code write_node(struct catalog *c, struct object_op *o, struct mu_err *err)
{
    const struct command_node *node = o->op->node;

    catalog__judge_node_words(node, &o->refused);
    if (o->refused.code != MU_OK) {
        return MU_OK;
    }
    enum mu_code rc =
        catalog__node_find(c, catalog__fold(&c->arena, node->name), &o->old, &o->found, err);

    if (rc == MU_OK && !is_fresh(o, NODE_MODIFIED)) {
        refuse_stale(o);
    } else if (rc == MU_OK && sets(o)) {
        rc = catalog__node_set(c, node, &o->refused, err);
    } else if (rc == MU_OK && o->found) {
        rc = catalog__node_remove(c, &o->old, err);
    }
    return rc;
}

/* -- services ---------------------------------------------------------------------------------- */

static void judge_service(struct object_op *o)
{
    const struct command_service *s = o->op->service;

    if (sets(o) || s->id.bytes > 0) { /* to delete nothing is fine, as everywhere */
        catalog__judge_service(s, &o->refused);
    }
}

static enum mu_code write_service(struct catalog *c, struct object_op *o, struct mu_err *err)
{
    const struct command_service *service = o->op->service;
    struct mu_span key = catalog__fold(&c->arena, catalog__service_id(service));
    enum mu_code rc = MU_OK;

    judge_service(o);
    if (o->refused.code == MU_OK) {
        rc = catalog__service_find(c, o->node_key, key, &o->old, &o->found, err);
    }
    if (rc == MU_OK && o->refused.code == MU_OK && !is_fresh(o, SERVICE_MODIFIED)) {
        refuse_stale(o);
    }
    if (rc == MU_OK && o->refused.code == MU_OK && sets(o)) {
        rc = judge_node_there(c, o, err);
    }
    if (rc != MU_OK || o->refused.code != MU_OK) {
        return rc;
    }
    if (sets(o)) {
        return catalog__service_put(c, o->node_key, service, err);
    }
    return o->found ? catalog__service_remove(c, &o->old, err) : MU_OK;
}

/* -- checks ------------------------------------------------------------------------------------ */

/* On a node that is there, and of a service that is, where it names one. */
static enum mu_code set_check(struct catalog *c, struct object_op *o, struct mu_err *err)
{
    const struct command_check *check = o->op->check;
    bool has_service = check->service_id.bytes > 0;
    struct row service;
    bool found = false;
    enum mu_code rc = judge_node_there(c, o, err);

    if (rc == MU_OK && has_service) {
        rc = catalog__service_find(c, o->node_key, catalog__fold(&c->arena, check->service_id),
                                   &service, &found, err);
    }
    if (rc == MU_OK && o->refused.code == MU_OK && has_service && !found) {
        catalog__refuse(&o->refused, MU_NOT_FOUND, "Missing service registration");
    }
    if (rc != MU_OK || o->refused.code != MU_OK) {
        return rc;
    }
    return catalog__check_put(c, o->node_key, has_service ? &service : NULL, check, err);
}

static enum mu_code write_check(struct catalog *c, struct object_op *o, struct mu_err *err)
{
    struct mu_span id = catalog__check_id(o->op->check);

    if (sets(o) && id.bytes == 0) {
        catalog__refuse(&o->refused, MU_INVALID, "Must provide a check ID or name");
        return MU_OK;
    }
    enum mu_code rc =
        catalog__check_find(c, o->node_key, catalog__fold(&c->arena, id), &o->old, &o->found, err);

    if (rc == MU_OK && !is_fresh(o, CHECK_MODIFIED)) {
        refuse_stale(o);
    } else if (rc == MU_OK && sets(o)) {
        rc = set_check(c, o, err);
    } else if (rc == MU_OK && o->found) {
        rc = catalog__check_remove(c, &o->old, err);
    }
    return rc;
}

/* -- one operation ----------------------------------------------------------------------------- */

enum mu_code catalog__txn_write_object(struct catalog *c, struct txn_run *run, size_t i,
                                       const struct command_txn_op *op, struct mu_err *err)
{
    struct object_op o = { .op = op, .act = act_of(op->verb) };
    bool found = false;

    o.node_key = catalog__fold(&c->arena, op->key);
    enum mu_code rc = op->node != NULL      ? write_node(c, &o, err)
                      : op->service != NULL ? write_service(c, &o, err)
                                            : write_check(c, &o, err);

    if (rc == MU_OK && o.refused.code != MU_OK) {
        catalog__txn_fail(run, i, "%s", o.refused.text);
    } else if (rc == MU_OK && sets(&o)) {
        rc = catalog__txn_show(run, op, &found, err);
        MU_ASSERT(rc != MU_OK || found);
    }
    catalog_result_free(&o.refused);
    return rc;
}
