/* PUT /v1/catalog/register and deregister (http-api 4): what the body says becomes one command.
 *
 * What depends on the catalog (a check without its service, a name that belongs to another id) is
 * judged when the command is applied.
 */
#include "base/id.h"
#include "body.h"
#include "handlers.h"
#include "registration.h"
#include "write.h"

/* -- the shapes of the body -------------------------------------------------------------------- */

struct register_body {
    struct mu_span node, id, address, datacenter;
    struct mu_pairs tagged_addresses, meta;
    struct register_service service;
    struct register_check check;
    struct mu_objects checks; /* struct register_check */
    bool skip_node_update;
    uint64_t given;
};

/* Rows of the body whose presence counts. */
enum { BODY_TAGGED = 4, BODY_META = 5, BODY_SERVICE = 6, BODY_CHECK = 7 };

#define AT(member) offsetof(struct register_body, member)
static const struct mu_json_field body_fields[] = {
    // clang-format off
    { "Node",            { NULL }, MU_JSON_AS_TEXT,    AT(node),             NULL },
    { "ID",              { NULL }, MU_JSON_AS_TEXT,    AT(id),               NULL },
    { "Address",         { NULL }, MU_JSON_AS_TEXT,    AT(address),          NULL },
    { "Datacenter",      { NULL }, MU_JSON_AS_TEXT,    AT(datacenter),       NULL },
    { "TaggedAddresses", { NULL }, MU_JSON_AS_PAIRS,   AT(tagged_addresses), NULL },
    { "NodeMeta",        { NULL }, MU_JSON_AS_PAIRS,   AT(meta),             NULL },
    { "Service",         { NULL }, MU_JSON_AS_OBJECT,  AT(service),          &registration_service_shape },
    { "Check",           { NULL }, MU_JSON_AS_OBJECT,  AT(check),            &registration_check_shape },
    { "Checks",          { NULL }, MU_JSON_AS_OBJECTS, AT(checks),           &registration_check_shape },
    { "SkipNodeUpdate",  { NULL }, MU_JSON_AS_BOOL,    AT(skip_node_update), NULL },
    { "Token",           { NULL }, MU_JSON_AS_NOTHING, 0,                    NULL },
    { "WriteRequest",    { NULL }, MU_JSON_AS_NOTHING, 0,                    NULL },
    { "PeerName",        { NULL }, MU_JSON_AS_NOTHING, 0,                    NULL },
    { "Locality",        { NULL }, MU_JSON_AS_NOTHING, 0,                    NULL },
    { "Namespace",       { NULL }, MU_JSON_AS_NOTHING, 0,                    NULL },
    { "Partition",       { NULL }, MU_JSON_AS_NOTHING, 0,                    NULL },
    { "CreateIndex",     { NULL }, MU_JSON_AS_NOTHING, 0,                    NULL },
    { "ModifyIndex",     { NULL }, MU_JSON_AS_NOTHING, 0,                    NULL },
}; // clang-format on

static const struct mu_json_shape body_shape = {
    .fields = body_fields,
    .fields_count = MU_LEN(body_fields),
    .bytes = sizeof(struct register_body),
    .has_given = true,
    .given_offset = AT(given),
};
#undef AT

static bool was_given(uint64_t given, unsigned row)
{
    return (given >> row & 1) != 0;
}

/* -- body to command --------------------------------------------------------------------------- */

static enum mu_code read_check(struct request *r, const struct register_body *body,
                               const struct register_check *given, struct command_check *c,
                               struct mu_err *err)
{
    if (given->node.bytes > 0 && !mu_span_eq_fold(given->node, body->node)) {
        return mu_fail(err, MU_INVALID, "check node \"%.*s\" does not match node \"%.*s\"",
                       MU_SPAN_FMT(given->node), MU_SPAN_FMT(body->node));
    }
    return registration_check_read(r, given, c, err);
}

static enum mu_code read_checks(struct request *r, const struct register_body *body,
                                struct command_register *reg, struct mu_err *err)
{
    const struct register_check *many = body->checks.items;
    bool has_one = was_given(body->given, BODY_CHECK);
    enum mu_code rc = MU_OK;

    reg->checks = mu_arena_array(&r->arena, body->checks.count + 1, sizeof *reg->checks);
    if (has_one) {
        rc = read_check(r, body, &body->check, &reg->checks[reg->checks_count++], err);
    }
    for (size_t i = 0; i < body->checks.count && rc == MU_OK; i++) {
        rc = read_check(r, body, &many[i], &reg->checks[reg->checks_count++], err);
    }
    return rc;
}

static enum mu_code read_node(const struct register_body *body, struct command_register *reg,
                              struct mu_err *err)
{
    struct mu_id id;

    if (body->node.bytes == 0) {
        return mu_fail(err, MU_INVALID, "Must provide node");
    }
    if (body->address.bytes == 0 && !body->skip_node_update) {
        return mu_fail(err, MU_INVALID, "Must provide address if SkipNodeUpdate is not set");
    }
    if (body->id.bytes > 0 && !mu_id_parse(body->id, &id)) {
        return mu_fail(err, MU_INVALID, "Bad node ID: uuid %s",
                       body->id.bytes == MU_ID_TEXT_BYTES ? "is improperly formatted"
                                                          : "string is wrong length");
    }
    reg->node = (struct command_node){
        .name = body->node,
        .id = body->id,
        .address = body->address,
        .tagged_addresses = registration_pairs(body->tagged_addresses),
        .meta = registration_pairs(body->meta),
        .has_tagged_addresses = was_given(body->given, BODY_TAGGED),
        .has_meta = was_given(body->given, BODY_META),
    };
    reg->skip_node_update = body->skip_node_update;
    return MU_OK;
}

static bool is_elsewhere(const struct request *r, struct mu_span datacenter)
{
    return datacenter.bytes > 0 &&
           !mu_span_eq_fold(datacenter, mu_span_text(agent_datacenter(r->front->agent)));
}

static enum mu_code read_register(struct request *r, const struct register_body *body,
                                  struct command *c, struct mu_err *err)
{
    enum mu_code rc = read_node(body, &c->reg, err);

    if (rc == MU_OK && is_elsewhere(r, body->datacenter)) {
        rc = mu_fail(err, MU_UNREACHABLE, "No path to datacenter");
    }
    if (rc == MU_OK && was_given(body->given, BODY_SERVICE)) {
        c->reg.has_service = true;
        rc = registration_service_read(r, &body->service, &c->reg.service, err);
    }
    return rc == MU_OK ? read_checks(r, body, &c->reg, err) : rc;
}

/* -- handlers ---------------------------------------------------------------------------------- */

void api_catalog_register(struct request *r)
{
    struct register_body body = { .skip_node_update = false };
    struct command c = { .kind = COMMAND_REGISTER };
    struct mu_json *tree = NULL;
    struct mu_err err = MU_ERR_NONE;

    if (!body_decode(r, &body_shape, &body, &tree)) {
        return;
    }
    enum mu_code rc = read_register(r, &body, &c, &err);

    mu_json_free(tree);
    if (rc != MU_OK) {
        answer_code(r, rc, &err);
        return;
    }
    write_command(r, &c);
}

struct deregister_body {
    struct mu_span node, datacenter, service_id, check_id;
};

#define AT(member) offsetof(struct deregister_body, member)
static const struct mu_json_field deregister_fields[] = {
    // clang-format off
    { "Node",         { NULL }, MU_JSON_AS_TEXT,    AT(node),       NULL },
    { "Datacenter",   { NULL }, MU_JSON_AS_TEXT,    AT(datacenter), NULL },
    { "ServiceID",    { NULL }, MU_JSON_AS_TEXT,    AT(service_id), NULL },
    { "CheckID",      { NULL }, MU_JSON_AS_TEXT,    AT(check_id),   NULL },
    { "Address",      { NULL }, MU_JSON_AS_NOTHING, 0,              NULL },
    { "PeerName",     { NULL }, MU_JSON_AS_NOTHING, 0,              NULL },
    { "Namespace",    { NULL }, MU_JSON_AS_NOTHING, 0,              NULL },
    { "Partition",    { NULL }, MU_JSON_AS_NOTHING, 0,              NULL },
    { "Token",        { NULL }, MU_JSON_AS_NOTHING, 0,              NULL },
    { "WriteRequest", { NULL }, MU_JSON_AS_NOTHING, 0,              NULL },
}; // clang-format on
#undef AT

static const struct mu_json_shape deregister_shape = {
    .fields = deregister_fields,
    .fields_count = MU_LEN(deregister_fields),
    .bytes = sizeof(struct deregister_body),
};

void api_catalog_deregister(struct request *r)
{
    struct deregister_body body = { .node = MU_SPAN_NONE };
    struct command c = { .kind = COMMAND_DEREGISTER };

    if (!body_decode(r, &deregister_shape, &body, NULL)) {
        return;
    }
    if (body.node.bytes == 0) {
        answer_text(r, 500, "Must provide node");
        return;
    }
    if (is_elsewhere(r, body.datacenter)) {
        answer_text(r, 500, "No path to datacenter");
        return;
    }
    c.dereg = (struct command_deregister){ .node = body.node,
                                           .service_id = body.service_id,
                                           .check_id = body.check_id };
    write_command(r, &c);
}
