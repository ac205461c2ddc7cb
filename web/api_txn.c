/* PUT /v1/txn: operations on keys, all or none (http-api 9).
 *
 * What only reads is answered as a read, with its modes; anything else is one command. What can be
 * seen without the catalog (no key, a verb that does not exist, a value that is too large) is
 * refused before anything is tried.
 */
#include <sodium.h>

#include "base/limits.h"
#include "blocking.h"
#include "body.h"
#include "catalog/txn.h"
#include "handlers.h"
#include "objects.h"
#include "status.h"
#include "write.h"

/* -- the body ---------------------------------------------------------------------------------- */

struct kv_body {
    struct mu_span verb, key, value, session;
    uint64_t flags, index;
};

struct op_body {
    struct kv_body kv;
    uint64_t given;
};

#define AT(member) offsetof(struct kv_body, member)
static const struct mu_json_field kv_fields[] = {
    // clang-format off
    { "Verb",      { NULL }, MU_JSON_AS_TEXT,    AT(verb),    NULL },
    { "Key",       { NULL }, MU_JSON_AS_TEXT,    AT(key),     NULL },
    { "Value",     { NULL }, MU_JSON_AS_TEXT,    AT(value),   NULL },
    { "Flags",     { NULL }, MU_JSON_AS_UINT,    AT(flags),   NULL },
    { "Index",     { NULL }, MU_JSON_AS_UINT,    AT(index),   NULL },
    { "Session",   { NULL }, MU_JSON_AS_TEXT,    AT(session), NULL },
    { "Namespace", { NULL }, MU_JSON_AS_NOTHING, 0,           NULL },
    { "Partition", { NULL }, MU_JSON_AS_NOTHING, 0,           NULL },
}; // clang-format on
#undef AT

static const struct mu_json_shape kv_shape = {
    .fields = kv_fields,
    .fields_count = MU_LEN(kv_fields),
    .bytes = sizeof(struct kv_body),
};

#define AT(member) offsetof(struct op_body, member)
static const struct mu_json_field op_fields[] = {
    // clang-format off
    { "KV", { NULL }, MU_JSON_AS_OBJECT, AT(kv), &kv_shape },
}; // clang-format on

static const struct mu_json_shape op_shape = {
    .fields = op_fields,
    .fields_count = MU_LEN(op_fields),
    .bytes = sizeof(struct op_body),
    .has_given = true,
    .given_offset = AT(given),
};
#undef AT

static const struct {
    const char *text;
    enum command_txn_verb verb;
} verbs[] = {
    // clang-format off
    { "set",              COMMAND_TXN_SET },
    { "cas",              COMMAND_TXN_CAS },
    { "lock",             COMMAND_TXN_LOCK },
    { "unlock",           COMMAND_TXN_UNLOCK },
    { "get",              COMMAND_TXN_GET },
    { "get-tree",         COMMAND_TXN_GET_TREE },
    { "get-or-empty",     COMMAND_TXN_GET_OR_EMPTY },
    { "check-index",      COMMAND_TXN_CHECK_INDEX },
    { "check-session",    COMMAND_TXN_CHECK_SESSION },
    { "check-not-exists", COMMAND_TXN_CHECK_NOT_EXISTS },
    { "delete",           COMMAND_TXN_DELETE },
    { "delete-tree",      COMMAND_TXN_DELETE_TREE },
    { "delete-cas",       COMMAND_TXN_DELETE_CAS },
}; // clang-format on

static enum command_txn_verb verb_of(struct mu_span text)
{
    for (size_t i = 0; i < MU_LEN(verbs); i++) {
        if (mu_span_eq_text(text, verbs[i].text)) {
            return verbs[i].verb;
        }
    }
    return COMMAND_TXN_NONE;
}

/* -- answers ----------------------------------------------------------------------------------- */

static void results_json(struct mu_json_out *o, const struct catalog_txn_answer *answer)
{
    mu_json_key(o, "Results");
    if (answer->errors_count > 0) {
        mu_json_put_null(o);
        return;
    }
    mu_json_open(o, '[');
    for (size_t i = 0; i < answer->found_count; i++) {
        mu_json_open(o, '{');
        mu_json_key(o, "KV");
        objects_kv(o, &answer->found[i].kv);
        mu_json_close(o, '}');
    }
    mu_json_close(o, ']');
}

static void errors_json(struct mu_json_out *o, const struct catalog_txn_answer *answer)
{
    mu_json_key(o, "Errors");
    if (answer->errors_count == 0) {
        mu_json_put_null(o);
        return;
    }
    mu_json_open(o, '[');
    for (size_t i = 0; i < answer->errors_count; i++) {
        mu_json_open(o, '{');
        mu_json_u64(o, "OpIndex", answer->errors[i].op);
        mu_json_span(o, "What", answer->errors[i].what);
        mu_json_close(o, '}');
    }
    mu_json_close(o, ']');
}

/* 200 with results, or 409 with errors. `view`: it was a read. */
static void render(struct request *r, const struct catalog_txn_answer *answer,
                   const struct agent_view *view)
{
    struct mu_json_out o;

    response_json(r, &o);
    mu_json_open(&o, '{');
    results_json(&o, answer);
    errors_json(&o, answer);
    if (view != NULL) {
        mu_json_u64(&o, "Index", 0);
        mu_json_u64(&o, "LastContact", view->last_contact_ms);
        mu_json_boolean(&o, "KnownLeader", view->known_leader);
        mu_json_text(&o, "ConsistencyLevel", "");
        mu_json_boolean(&o, "NotModified", false);
    }
    mu_json_close(&o, '}');
    response_json_end(r, &o);
    r->response.status = answer->errors_count > 0 ? 409 : 200;
}

static void refuse(struct request *r, size_t op, const char *what)
{
    struct catalog_txn_error error = { (uint32_t)op, mu_span_text(what) };
    const struct catalog_txn_answer answer = { .errors = &error, .errors_count = 1 };

    render(r, &answer, NULL);
    request_answer(r);
}

/* -- body to operations: false: answered ------------------------------------------------------- */

static bool read_value(struct request *r, const struct kv_body *body, struct mu_span *out)
{
    size_t room = body->value.bytes / 4 * 3 + 3;
    uint8_t *bytes = mu_arena_new(&r->arena, room);
    const char *end = NULL;
    size_t count = 0;

    if (body->value.bytes > 0 &&
        (sodium_base642bin(bytes, room, (const char *)body->value.data, body->value.bytes, "\r\n",
                           &count, &end, sodium_base64_VARIANT_ORIGINAL) != 0 ||
         end != (const char *)body->value.data + body->value.bytes)) {
        answer_text(r, 400, "Failed to parse body: illegal base64 data in a value");
        return false;
    }
    if (count > (size_t)r->front->config->kv_max_value_size) {
        answer_textf(r, 413, "Value for key \"%.*s\" is too large (%zu > %lld bytes)",
                     MU_SPAN_FMT(body->key), count, (long long)r->front->config->kv_max_value_size);
        return false;
    }
    *out = mu_span_of(bytes, count);
    return true;
}

static bool read_op(struct request *r, size_t i, const struct kv_body *body,
                    struct command_txn_op *op)
{
    *op = (struct command_txn_op){
        .verb = verb_of(body->verb),
        .key = body->key,
        .flags = body->flags,
        .index = body->index,
        .session = body->session,
    };
    if (!read_value(r, body, &op->value)) {
        return false;
    }
    if (body->key.bytes == 0) {
        refuse(r, i, "Must provide key");
        return false;
    }
    if (op->verb == COMMAND_TXN_NONE) {
        refuse(r, i,
               mu_arena_printf(&r->arena, "unknown KV verb \"%.*s\"", MU_SPAN_FMT(body->verb)));
        return false;
    }
    return true;
}

/* Operations of the list, without empty objects. */
static bool read_list(struct request *r, const struct mu_json *list, struct command_txn *txn)
{
    size_t given = mu_json_count(list);

    if (given > MU_TXN_OPS_MAX) {
        answer_textf(r, 413, "Transaction contains too many operations (%zu > %d)", given,
                     MU_TXN_OPS_MAX);
        return false;
    }
    txn->ops = mu_arena_array(&r->arena, given, sizeof *txn->ops);
    for (size_t i = 0; i < given; i++) {
        struct op_body body = { .given = 0 };
        const struct mu_json *item = mu_json_at(list, i);
        struct mu_err err = MU_ERR_NONE;
        bool is_object = mu_json_kind_of(item) == MU_JSON_OBJECT;

        if (!is_object || mu_json_decode(item, &op_shape, &body, &r->arena, &err) != MU_OK) {
            answer_textf(r, 400, "Failed to parse body: %s",
                         is_object ? err.text : "an operation is no object");
            return false;
        }
        if (body.given != 0 && !read_op(r, i, &body.kv, &txn->ops[txn->ops_count++])) {
            return false;
        }
    }
    return true;
}

static bool read_body(struct request *r, struct command_txn *txn)
{
    struct mu_json *tree = NULL;
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc = mu_json_parse(&tree, mu_buf_span(&r->body), false, &err);

    if (rc == MU_OK && mu_json_kind_of(tree) != MU_JSON_LIST) {
        rc = mu_fail(&err, MU_INVALID, "json: cannot unmarshal %s into Go value of type []TxnOp",
                     mu_json_kind_text(mu_json_kind_of(tree)));
    }
    if (rc != MU_OK) {
        mu_json_free(tree);
        answer_textf(r, 400, "Failed to parse body: %s", err.text);
        return false;
    }
    bool is_read = read_list(r, tree, txn);

    mu_json_free(tree);
    return is_read;
}

/* -- the handler ------------------------------------------------------------------------------- */

static enum mu_code read_txn(struct request *r, const struct agent_view *view, struct mu_err *err)
{
    struct catalog_txn_answer answer;
    enum mu_code rc = catalog_query_txn(view->reader, &r->front->scratch, r->mine, &answer, err);

    if (rc == MU_OK) {
        r->response.hides_index = true;
        render(r, &answer, view);
    }
    return rc;
}

static void on_written(void *data, const struct agent_written *written)
{
    struct request *r = data;
    struct catalog_txn_answer answer;
    struct mu_err err = MU_ERR_NONE;

    write_end(r);
    if (written->code != MU_OK) {
        write_refused(r, written);
    } else if (catalog_txn_answer_decode(written->data, &r->arena, &answer, &err) != MU_OK) {
        answer_text(r, 500, err.text);
    } else {
        render(r, &answer, NULL);
        request_answer(r);
    }
}

void api_txn(struct request *r)
{
    struct command *c = mu_arena_new(&r->arena, sizeof *c);

    c->kind = COMMAND_TXN;
    if (!read_body(r, &c->txn)) {
        return;
    }
    if (c->txn.ops_count == 0) {
        render(r, &(struct catalog_txn_answer){ .found_count = 0 }, NULL);
        request_answer(r);
    } else if (catalog_txn_is_read(&c->txn)) {
        r->mine = &c->txn;
        blocking_read(r, read_txn);
    } else {
        write_submit(r, c, on_written);
    }
}
