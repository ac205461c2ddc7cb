/* /v1/agent/service(s): what is registered with this agent (http-api 3.3). */
#include "body.h"
#include "content_hash.h"
#include "filter.h"
#include "front.h"
#include "handlers.h"
#include "hash_wait.h"
#include "listing.h"
#include "objects.h"
#include "write.h"

/* -- reading ----------------------------------------------------------------------------------- */

struct services_out {
    struct request *r;
    struct mu_json_out *o;
};

static void put_service(void *data, const struct local_service *s)
{
    struct services_out *out = data;

    if (listing_wants(out->r, s->definition)) {
        mu_json_key_span(out->o, s->definition->id);
        objects_agent_service(out->o, s->definition, agent_datacenter(out->r->front->agent), NULL);
    }
}

void api_agent_services(struct request *r)
{
    struct mu_json_out o;
    struct services_out out = { r, &o };

    if (!listing_begin(r, &filter_agent_services)) {
        return;
    }
    response_json(r, &o);
    mu_json_open(&o, '{');
    local_each_service(agent_local(r->front->agent), false, put_service, &out);
    mu_json_close(&o, '}');
    answer_json(r, &o);
}

/* One service, as often as hash_wait looks: parked while its hash is the one that was asked. */
static void look_service(struct request *r)
{
    struct local_service s;
    struct mu_json_out o;
    char hash[CONTENT_HASH_TEXT_MAX];

    if (!local_service_find(agent_local(r->front->agent), r->argument, &s) || s.is_deleted) {
        answer_textf(r, 404, "unknown service ID: %.*s", MU_SPAN_FMT(r->argument));
        return;
    }
    content_hash(s.definition, hash);
    if (hash_wait_holds(r, hash)) {
        return;
    }
    response_header(r, "X-Consul-Contenthash", mu_arena_span(&r->arena, mu_span_text(hash)));
    response_json(r, &o);
    objects_agent_service(&o, s.definition, agent_datacenter(r->front->agent), hash);
    answer_json(r, &o);
}

void api_agent_service(struct request *r)
{
    hash_wait(r, look_service);
}

/* -- registering ------------------------------------------------------------------------------- */

void api_agent_service_put(struct request *r)
{
    const struct mu_span *replace = params_find(&r->params, "replace-existing-checks");
    bool replaces = replace != NULL && (replace->bytes == 0 || mu_span_eq_text(*replace, "true"));
    struct service_definition d;
    struct mu_json *tree = NULL;
    struct mu_err err = MU_ERR_NONE;

    if (!body_parse(r, &tree)) {
        return;
    }
    enum mu_code rc = service_definition_decode(tree, &d, &r->arena, &err);

    mu_json_free(tree);
    if (rc != MU_OK) {
        body_refuse(r, &err);
        return;
    }
    rc = service_definition_valid(&d, &err);
    if (rc != MU_OK) {
        answer_text(r, rc == MU_INVALID ? 400 : 500, err.text);
        return;
    }
    write_begin(r);
    agent_service_register(r->front->agent, &d, replaces, write_done, r);
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
                 "Unknown service ID \"%.*s\". Ensure that the service ID is passed, not the "
                 "service name.",
                 MU_SPAN_FMT(r->argument));
}

void api_agent_service_drop(struct request *r)
{
    if (r->argument.bytes == 0) {
        answer_text(r, 500, "ServiceID missing");
        return;
    }
    write_begin(r);
    agent_service_deregister(r->front->agent, r->argument, on_dropped, r);
}
