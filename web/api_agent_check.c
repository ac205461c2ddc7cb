/* /v1/agent/check(s): checks of this agent, what TTL checks are told (http-api 3.4). */
#include "base/assert.h"
#include "body.h"
#include "filter.h"
#include "front.h"
#include "handlers.h"
#include "listing.h"
#include "objects.h"
#include "write.h"

/* -- reading ----------------------------------------------------------------------------------- */

struct checks_out {
    struct request *r;
    struct mu_json_out *o;
};

static void put_check(void *data, const struct local_check *c)
{
    struct checks_out *out = data;

    if (listing_wants(out->r, c)) {
        mu_json_key(out->o, c->id);
        objects_agent_check(out->o, c, agent_node_name(out->r->front->agent));
    }
}

void api_agent_checks(struct request *r)
{
    struct mu_json_out o;
    struct checks_out out = { r, &o };

    if (!listing_begin(r, &filter_agent_checks)) {
        return;
    }
    response_json(r, &o);
    mu_json_open(&o, '{');
    local_each_check(agent_local(r->front->agent), false, put_check, &out);
    mu_json_close(&o, '}');
    answer_json(r, &o);
}

/* -- registering ------------------------------------------------------------------------------- */

void api_agent_check_put(struct request *r)
{
    struct check_definition d;
    struct mu_json *tree = NULL;
    struct mu_err err = MU_ERR_NONE;

    if (!body_parse(r, &tree)) {
        return;
    }
    enum mu_code rc = check_definition_decode(tree, &d, &r->arena, &err);

    mu_json_free(tree);
    if (rc != MU_OK) {
        body_refuse(r, &err);
        return;
    }
    rc = check_definition_valid_alone(&d, &err);
    if (rc != MU_OK) {
        answer_text(r, rc == MU_INVALID ? 400 : 500, err.text);
        return;
    }
    write_begin(r);
    agent_check_register(r->front->agent, &d, write_done, r);
}

static void on_dropped(void *data, enum mu_code code, const struct mu_err *err)
{
    struct request *r = data;

    if (code != MU_NOT_FOUND) {
        write_done(data, code, err);
        return;
    }
    write_end(r);
    answer_textf(r, 404,
                 "Unknown check ID \"%.*s\". Ensure that the check ID is passed, not the check "
                 "name.",
                 MU_SPAN_FMT(r->argument));
}

void api_agent_check_drop(struct request *r)
{
    if (r->argument.bytes == 0) {
        answer_text(r, 500, "CheckID missing");
        return;
    }
    write_begin(r);
    agent_check_deregister(r->front->agent, r->argument, on_dropped, r);
}

/* -- TTL checks -------------------------------------------------------------------------------- */

static void on_told(void *data, enum mu_code code, const struct mu_err *err)
{
    struct request *r = data;

    if (code != MU_NOT_FOUND) {
        write_done(data, code, err);
        return;
    }
    write_end(r);
    answer_textf(r, 500, "CheckID \"%.*s\" does not have associated TTL", MU_SPAN_FMT(r->argument));
}

static void tell(struct request *r, enum check_status status, struct mu_span output)
{
    write_begin(r);
    agent_check_ttl(r->front->agent, r->argument, status, output, on_told, r);
}

void api_agent_check_pass(struct request *r)
{
    tell(r, CHECK_PASSING, params_text(&r->params, "note"));
}

void api_agent_check_warn(struct request *r)
{
    tell(r, CHECK_WARNING, params_text(&r->params, "note"));
}

void api_agent_check_fail(struct request *r)
{
    tell(r, CHECK_CRITICAL, params_text(&r->params, "note"));
}

struct update_body {
    struct mu_span status, output;
};

static const struct mu_json_field update_fields[] = {
    // clang-format off
    { "Status",  { NULL }, MU_JSON_AS_TEXT,    offsetof(struct update_body, status), NULL },
    { "Output",  { NULL }, MU_JSON_AS_TEXT,    offsetof(struct update_body, output), NULL },
    { "CheckID", { NULL }, MU_JSON_AS_NOTHING, 0,                                    NULL },
}; // clang-format on

static const struct mu_json_shape update_shape = {
    .fields = update_fields,
    .fields_count = MU_LEN(update_fields),
    .bytes = sizeof(struct update_body),
};

/* Output above the limit keeps its beginning and says how much there was. */
static struct mu_span cut(struct request *r, struct mu_span output)
{
    size_t max = (size_t)r->front->config->check_output_max_size;

    if (output.bytes <= max) {
        return output;
    }
    return mu_span_text(mu_arena_printf(&r->arena, "%.*s ... (captured %zu of %zu bytes)", (int)max,
                                        (const char *)output.data, max, output.bytes));
}

void api_agent_check_update(struct request *r)
{
    struct update_body body = { .status = MU_SPAN_NONE };
    enum check_status status = CHECK_CRITICAL;

    if (!body_decode(r, &update_shape, &body, NULL)) {
        return;
    }
    if (!check_status_parse(body.status, &status)) {
        answer_textf(r, 400, "Invalid check status: '%.*s'", MU_SPAN_FMT(body.status));
        return;
    }
    tell(r, status, cut(r, body.output));
}
