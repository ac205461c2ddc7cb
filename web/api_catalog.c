/* GET /v1/catalog/: nodes, services, instances (http-api 4). Registering is in api_register.c. */
#include "blocking.h"
#include "handlers.h"
#include "listing.h"
#include "near.h"
#include "objects.h"
#include "ready.h"

/* -- nodes ------------------------------------------------------------------------------------- */

static enum mu_code render_nodes(struct request *r, const struct agent_view *view,
                                 struct mu_json_out *o, uint64_t *index, bool *is_empty,
                                 struct mu_err *err)
{
    struct catalog_nodes nodes;
    enum mu_code rc =
        catalog_query_nodes(view->reader, &r->front->scratch, listing_nodes(r), &nodes, err);

    rc = rc == MU_OK ? near_sort_nodes(r, view, &nodes, err) : rc;
    if (rc != MU_OK) {
        return rc;
    }
    mu_json_open(o, '[');
    for (size_t i = 0; i < nodes.count; i++) {
        if (listing_wants(r, &nodes.items[i])) {
            objects_node(o, &nodes.items[i], agent_datacenter(r->front->agent));
        }
    }
    mu_json_close(o, ']');
    *index = nodes.index;
    *is_empty = nodes.count == 0;
    return MU_OK;
}

static const struct ready_kind kind_nodes = {
    .key = 'n',
    .render = render_nodes,
    .topics = { { CATALOG_NODES, false } },
    .topics_count = 1,
};

static enum mu_code read_nodes(struct request *r, const struct agent_view *view, struct mu_err *err)
{
    return ready_evaluate(r, view, &kind_nodes, err);
}

void api_catalog_nodes(struct request *r)
{
    if (listing_begin(r, &filter_nodes)) {
        blocking_read(r, read_nodes);
    }
}

/* -- services ---------------------------------------------------------------------------------- */

static enum mu_code render_services(struct request *r, const struct agent_view *view,
                                    struct mu_json_out *o, uint64_t *index, bool *is_empty,
                                    struct mu_err *err)
{
    struct catalog_service_names names;
    enum mu_code rc = catalog_query_service_names(view->reader, &r->front->scratch,
                                                  listing_nodes(r), &names, err);

    if (rc != MU_OK) {
        return rc;
    }
    mu_json_open(o, '{');
    for (size_t i = 0; i < names.count; i++) {
        mu_json_key_span(o, names.items[i].name);
        mu_json_open(o, '[');
        for (size_t k = 0; k < names.items[i].tags.count; k++) {
            mu_json_put_span(o, names.items[i].tags.items[k]);
        }
        mu_json_close(o, ']');
    }
    mu_json_close(o, '}');
    *index = names.index;
    *is_empty = names.count == 0;
    return MU_OK;
}

/* Which instances count may depend on the metadata of nodes. */
static const struct ready_kind kind_services = {
    .key = 's',
    .render = render_services,
    .topics = { { CATALOG_SERVICES, false } },
    .topics_count = 1,
};
static const struct ready_kind kind_services_by_meta = {
    .key = 'm',
    .render = render_services,
    .topics = { { CATALOG_SERVICES, false }, { CATALOG_NODES, false } },
    .topics_count = 2,
};

static enum mu_code read_services(struct request *r, const struct agent_view *view,
                                  struct mu_err *err)
{
    return ready_evaluate(r, view, listing_has_meta(r) ? &kind_services_by_meta : &kind_services,
                          err);
}

void api_catalog_services(struct request *r)
{
    if (listing_begin(r, NULL)) {
        blocking_read(r, read_services);
    }
}

/* -- instances of a service -------------------------------------------------------------------- */

static enum mu_code render_service(struct request *r, const struct agent_view *view,
                                   struct mu_json_out *o, uint64_t *index, bool *is_empty,
                                   struct mu_err *err)
{
    struct catalog_instances instances;
    enum mu_code rc = catalog_query_instances(view->reader, &r->front->scratch, r->argument,
                                              listing_nodes(r), false, &instances, err);

    rc = rc == MU_OK ? near_sort_instances(r, view, &instances, err) : rc;
    if (rc != MU_OK) {
        return rc;
    }
    mu_json_open(o, '[');
    for (size_t i = 0; i < instances.count; i++) {
        if (listing_wants_instance(r, &instances.items[i])) {
            objects_service_node(o, &instances.items[i], agent_datacenter(r->front->agent));
        }
    }
    mu_json_close(o, ']');
    *index = instances.index;
    *is_empty = instances.count == 0;
    return MU_OK;
}

/* A service without instances shows the index of the last extinction, or of the tables. */
static const struct ready_kind kind_service = {
    .key = 'i',
    .is_named = true,
    .render = render_service,
    .topics = { { CATALOG_SERVICE, false }, { CATALOG_SERVICES, true }, { CATALOG_NODES, true } },
    .topics_count = 3,
};

static enum mu_code read_service(struct request *r, const struct agent_view *view,
                                 struct mu_err *err)
{
    return ready_evaluate(r, view, &kind_service, err);
}

void api_catalog_service(struct request *r)
{
    if (r->argument.bytes == 0) {
        answer_text(r, 400, "Missing service name");
    } else if (listing_begin(r, &filter_service_nodes)) {
        blocking_read(r, read_service);
    }
}

/* -- a node and what runs on it ---------------------------------------------------------------- */

static enum mu_code render_node(struct request *r, const struct agent_view *view,
                                struct mu_json_out *o, uint64_t *index, bool *is_empty,
                                struct mu_err *err)
{
    struct catalog_node_services found;
    enum mu_code rc =
        catalog_query_node_services(view->reader, &r->front->scratch, r->argument, &found, err);

    if (rc != MU_OK) {
        return rc;
    }
    *index = found.node != NULL ? found.index : 1;
    *is_empty = found.node == NULL;
    if (found.node == NULL) {
        mu_json_put_null(o);
        return MU_OK;
    }
    mu_json_open(o, '{');
    mu_json_key(o, "Node");
    objects_node(o, found.node, agent_datacenter(r->front->agent));
    mu_json_key(o, "Services");
    mu_json_open(o, '{');
    for (size_t i = 0; i < found.services_count; i++) {
        if (listing_wants(r, &found.services[i])) {
            mu_json_key_span(o, found.services[i].id);
            objects_node_service(o, &found.services[i]);
        }
    }
    mu_json_close(o, '}');
    mu_json_close(o, '}');
    return MU_OK;
}

static enum mu_code render_node_services(struct request *r, const struct agent_view *view,
                                         struct mu_json_out *o, uint64_t *index, bool *is_empty,
                                         struct mu_err *err)
{
    struct catalog_node_services found;
    enum mu_code rc =
        catalog_query_node_services(view->reader, &r->front->scratch, r->argument, &found, err);

    if (rc != MU_OK) {
        return rc;
    }
    *index = found.node != NULL ? found.index : 1;
    *is_empty = found.node == NULL;
    mu_json_open(o, '{');
    if (found.node == NULL) {
        mu_json_nothing(o, "Node");
        mu_json_nothing(o, "Services");
        mu_json_close(o, '}');
        return MU_OK;
    }
    mu_json_key(o, "Node");
    objects_node(o, found.node, agent_datacenter(r->front->agent));
    mu_json_key(o, "Services");
    mu_json_open(o, '[');
    for (size_t i = 0; i < found.services_count; i++) {
        if (listing_wants(r, &found.services[i])) {
            objects_node_service(o, &found.services[i]);
        }
    }
    mu_json_close(o, ']');
    mu_json_close(o, '}');
    return MU_OK;
}

/* Their index is that of all nodes and all services (http-api 1.7). */
static const struct ready_kind kind_node = {
    .key = 'o',
    .is_named = true,
    .render = render_node,
    .topics = { { CATALOG_NODES, false }, { CATALOG_SERVICES, false } },
    .topics_count = 2,
};
static const struct ready_kind kind_node_services = {
    .key = 'l',
    .is_named = true,
    .render = render_node_services,
    .topics = { { CATALOG_NODES, false }, { CATALOG_SERVICES, false } },
    .topics_count = 2,
};

static enum mu_code read_node(struct request *r, const struct agent_view *view, struct mu_err *err)
{
    return ready_evaluate(r, view, &kind_node, err);
}

static enum mu_code read_node_services(struct request *r, const struct agent_view *view,
                                       struct mu_err *err)
{
    return ready_evaluate(r, view, &kind_node_services, err);
}

static void read_of_node(struct request *r, request_read_fn *read)
{
    if (r->argument.bytes == 0) {
        answer_text(r, 400, "Missing node name");
    } else if (listing_begin(r, &filter_node_services)) {
        blocking_read(r, read);
    }
}

void api_catalog_node(struct request *r)
{
    read_of_node(r, read_node);
}

void api_catalog_node_services(struct request *r)
{
    read_of_node(r, read_node_services);
}

/* -- datacenters ------------------------------------------------------------------------------- */

void api_catalog_datacenters(struct request *r)
{
    struct mu_json_out o;

    if (params_has(&r->params, "cached")) {
        response_header(r, "X-Cache", MU_SPAN_LIT("HIT")); /* never asked of anybody */
        response_header(r, "Age", MU_SPAN_LIT("0"));
    }
    response_json(r, &o);
    mu_json_open(&o, '[');
    mu_json_put_text(&o, agent_datacenter(r->front->agent));
    mu_json_close(&o, ']');
    answer_json(r, &o);
}
