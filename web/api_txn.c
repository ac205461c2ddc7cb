/* PUT /v1/txn: operations on keys, nodes, services and checks, all or none (http-api 9).
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
#include "registration.h"
#include "status.h"
#include "write.h"

/* -- the body ---------------------------------------------------------------------------------- */

struct kv_body {
    struct mu_span verb, key, value, session;
    uint64_t flags, index;
};

struct node_body {
    struct mu_span name, id, address;
    struct mu_pairs tagged_addresses, meta;
    uint64_t modify_index;
    uint64_t given;
};

struct node_op_body {
    struct mu_span verb;
    struct node_body node;
};

struct service_op_body {
    struct mu_span verb, node;
    struct register_service service;
};

struct check_op_body {
    struct mu_span verb;
    struct register_check check;
};

struct op_body {
    struct kv_body kv;
    struct node_op_body node;
    struct service_op_body service;
    struct check_op_body check;
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

enum { NODE_TAGGED = 3, NODE_META = 4 }; /* rows below: {} and absent differ */

#define AT(member) offsetof(struct node_body, member)
static const struct mu_json_field node_fields[] = {
    // clang-format off
    { "ID",              { NULL }, MU_JSON_AS_TEXT,    AT(id),               NULL },
    { "Node",            { NULL }, MU_JSON_AS_TEXT,    AT(name),             NULL },
    { "Address",         { NULL }, MU_JSON_AS_TEXT,    AT(address),          NULL },
    { "TaggedAddresses", { NULL }, MU_JSON_AS_PAIRS,   AT(tagged_addresses), NULL },
    { "Meta",            { NULL }, MU_JSON_AS_PAIRS,   AT(meta),             NULL },
    { "ModifyIndex",     { NULL }, MU_JSON_AS_UINT,    AT(modify_index),     NULL },
    { "CreateIndex",     { NULL }, MU_JSON_AS_NOTHING, 0,                    NULL },
    { "Datacenter",      { NULL }, MU_JSON_AS_NOTHING, 0,                    NULL },
    { "PeerName",        { NULL }, MU_JSON_AS_NOTHING, 0,                    NULL },
    { "Locality",        { NULL }, MU_JSON_AS_NOTHING, 0,                    NULL },
    { "Partition",       { NULL }, MU_JSON_AS_NOTHING, 0,                    NULL },
}; // clang-format on

static const struct mu_json_shape node_shape = {
    .fields = node_fields,
    .fields_count = MU_LEN(node_fields),
    .bytes = sizeof(struct node_body),
    .has_given = true,
    .given_offset = AT(given),
};
#undef AT

#define AT(member) offsetof(struct node_op_body, member)
static const struct mu_json_field node_op_fields[] = {
    { "Verb", { NULL }, MU_JSON_AS_TEXT, AT(verb), NULL },
    { "Node", { NULL }, MU_JSON_AS_OBJECT, AT(node), &node_shape },
};
#undef AT

static const struct mu_json_shape node_op_shape = {
    .fields = node_op_fields,
    .fields_count = MU_LEN(node_op_fields),
    .bytes = sizeof(struct node_op_body),
};

#define AT(member) offsetof(struct service_op_body, member)
static const struct mu_json_field service_op_fields[] = {
    { "Verb", { NULL }, MU_JSON_AS_TEXT, AT(verb), NULL },
    { "Node", { NULL }, MU_JSON_AS_TEXT, AT(node), NULL },
    { "Service", { NULL }, MU_JSON_AS_OBJECT, AT(service), &registration_service_shape },
};
#undef AT

static const struct mu_json_shape service_op_shape = {
    .fields = service_op_fields,
    .fields_count = MU_LEN(service_op_fields),
    .bytes = sizeof(struct service_op_body),
};

#define AT(member) offsetof(struct check_op_body, member)
static const struct mu_json_field check_op_fields[] = {
    { "Verb", { NULL }, MU_JSON_AS_TEXT, AT(verb), NULL },
    { "Check", { NULL }, MU_JSON_AS_OBJECT, AT(check), &registration_check_shape },
};
#undef AT

static const struct mu_json_shape check_op_shape = {
    .fields = check_op_fields,
    .fields_count = MU_LEN(check_op_fields),
    .bytes = sizeof(struct check_op_body),
};

/* Of several in one operation the first counts; which are there is told by their row. */
enum { OP_KV, OP_NODE, OP_SERVICE, OP_CHECK };

#define AT(member) offsetof(struct op_body, member)
static const struct mu_json_field op_fields[] = {
    // clang-format off
    { "KV",      { NULL }, MU_JSON_AS_OBJECT, AT(kv),      &kv_shape },
    { "Node",    { NULL }, MU_JSON_AS_OBJECT, AT(node),    &node_op_shape },
    { "Service", { NULL }, MU_JSON_AS_OBJECT, AT(service), &service_op_shape },
    { "Check",   { NULL }, MU_JSON_AS_OBJECT, AT(check),   &check_op_shape },
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

/* The verbs on one of the others, in the order of their numbers from `get` on. */
static enum command_txn_verb catalog_verb_of(struct mu_span text, enum command_txn_verb get)
{
    static const char *const names[] = { "get", "set", "cas", "delete", "delete-cas" };

    for (size_t i = 0; i < MU_LEN(names); i++) {
        if (mu_span_eq_text(text, names[i])) {
            return (enum command_txn_verb)(get + i);
        }
    }
    return COMMAND_TXN_NONE;
}

/* -- answers ----------------------------------------------------------------------------------- */

static void found_json(struct mu_json_out *o, const struct catalog_txn_found *found,
                       const char *datacenter)
{
    mu_json_open(o, '{');
    if (found->node != NULL) {
        mu_json_key(o, "Node");
        objects_node(o, found->node, datacenter);
    } else if (found->service != NULL) {
        mu_json_key(o, "Service");
        objects_txn_service(o, found->service);
    } else if (found->check != NULL) {
        mu_json_key(o, "Check");
        objects_check(o, found->check);
    } else {
        mu_json_key(o, "KV");
        objects_kv(o, &found->kv);
    }
    mu_json_close(o, '}');
}

static void results_json(struct mu_json_out *o, const struct catalog_txn_answer *answer,
                         const char *datacenter)
{
    mu_json_key(o, "Results");
    if (answer->errors_count > 0) {
        mu_json_put_null(o);
        return;
    }
    mu_json_open(o, '[');
    for (size_t i = 0; i < answer->found_count; i++) {
        found_json(o, &answer->found[i], datacenter);
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
    results_json(&o, answer, agent_datacenter(r->front->agent));
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

static bool refuse_verb(struct request *r, size_t op, const char *what, struct mu_span verb)
{
    refuse(r, op, mu_arena_printf(&r->arena, "unknown %s verb \"%.*s\"", what, MU_SPAN_FMT(verb)));
    return false;
}

static bool read_kv(struct request *r, size_t i, const struct kv_body *body,
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
        return refuse_verb(r, i, "KV", body->verb);
    }
    return true;
}

static bool read_node(struct request *r, size_t i, const struct node_op_body *body,
                      struct command_txn_op *op)
{
    const struct node_body *given = &body->node;
    struct command_node *node = mu_arena_new(&r->arena, sizeof *node);

    op->verb = catalog_verb_of(body->verb, COMMAND_TXN_NODE_GET);
    if (op->verb == COMMAND_TXN_NONE) {
        return refuse_verb(r, i, "Node", body->verb);
    }
    if (op->verb != COMMAND_TXN_NODE_GET && given->name.bytes == 0) {
        refuse(r, i, "Must provide node");
        return false;
    }
    *node = (struct command_node){
        .name = given->name,
        .id = given->id,
        .address = given->address,
        .tagged_addresses = registration_pairs(given->tagged_addresses),
        .meta = registration_pairs(given->meta),
        .has_tagged_addresses = (given->given >> NODE_TAGGED & 1) != 0,
        .has_meta = (given->given >> NODE_META & 1) != 0,
    };
    op->index = given->modify_index;
    op->node = node;
    return true;
}

static bool read_service(struct request *r, size_t i, const struct service_op_body *body,
                         struct command_txn_op *op)
{
    const struct register_service *given = &body->service;
    struct command_service *service = mu_arena_new(&r->arena, sizeof *service);
    struct mu_err err = MU_ERR_NONE;

    op->verb = catalog_verb_of(body->verb, COMMAND_TXN_SERVICE_GET);
    if (op->verb == COMMAND_TXN_NONE) {
        return refuse_verb(r, i, "Service", body->verb);
    }
    if (op->verb != COMMAND_TXN_SERVICE_GET && given->id.bytes > 0 && given->name.bytes == 0) {
        refuse(r, i, "Must provide service name with ID");
        return false;
    }
    op->key = body->node;
    op->index = given->modify_index;
    op->service = service;
    if (op->verb == COMMAND_TXN_SERVICE_SET || op->verb == COMMAND_TXN_SERVICE_CAS) {
        if (registration_service_read(r, given, service, &err) != MU_OK) {
            refuse(r, i, err.text);
            return false;
        }
        return true;
    }
    service->id = given->id;
    service->name = op->verb == COMMAND_TXN_SERVICE_GET ? MU_SPAN_NONE : given->name;
    return true;
}

static bool read_check(struct request *r, size_t i, const struct check_op_body *body,
                       struct command_txn_op *op)
{
    const struct register_check *given = &body->check;
    struct command_check *check = mu_arena_new(&r->arena, sizeof *check);
    struct mu_err err = MU_ERR_NONE;

    op->verb = catalog_verb_of(body->verb, COMMAND_TXN_CHECK_GET);
    if (op->verb == COMMAND_TXN_NONE) {
        return refuse_verb(r, i, "Check", body->verb);
    }
    op->key = given->node;
    op->index = given->modify_index;
    op->check = check;
    if (op->verb == COMMAND_TXN_CHECK_SET || op->verb == COMMAND_TXN_CHECK_CAS) {
        if (registration_check_read(r, given, check, &err) != MU_OK) {
            answer_textf(r, 400, "Failed to parse body: %s", err.text);
            return false;
        }
        return true;
    }
    check->id = given->id;
    check->name = op->verb == COMMAND_TXN_CHECK_GET ? MU_SPAN_NONE : given->name;
    return true;
}

static bool read_op(struct request *r, size_t i, const struct op_body *body,
                    struct command_txn_op *op)
{
    return (body->given & 1U << OP_KV) != 0        ? read_kv(r, i, &body->kv, op)
           : (body->given & 1U << OP_NODE) != 0    ? read_node(r, i, &body->node, op)
           : (body->given & 1U << OP_SERVICE) != 0 ? read_service(r, i, &body->service, op)
                                                   : read_check(r, i, &body->check, op);
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
        if (body.given != 0 && !read_op(r, i, &body, &txn->ops[txn->ops_count++])) {
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

/* What is only on keys stays the command that it was before there was anything else. */
static enum command_kind kind_of(const struct command_txn *txn)
{
    for (size_t i = 0; i < txn->ops_count; i++) {
        if (command_txn_on(txn->ops[i].verb) != COMMAND_TXN_ON_KEY) {
            return COMMAND_TXN_CATALOG;
        }
    }
    return COMMAND_TXN;
}

void api_txn(struct request *r)
{
    struct command *c = mu_arena_new(&r->arena, sizeof *c);

    if (!read_body(r, &c->txn)) {
        return;
    }
    c->kind = kind_of(&c->txn);
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
