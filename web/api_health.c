/* /v1/health/: checks, and instances with their checks (http-api 5). */
#include "blocking.h"
#include "handlers.h"
#include "listing.h"
#include "near.h"
#include "objects.h"
#include "ready.h"

/* -- lists of checks --------------------------------------------------------------------------- */

static void checks_json(struct request *r, struct mu_json_out *o, const struct catalog_checks *c,
                        uint64_t *index, bool *is_empty)
{
    mu_json_open(o, '[');
    for (size_t i = 0; i < c->count; i++) {
        if (listing_wants(r, &c->items[i])) {
            objects_check(o, &c->items[i]);
        }
    }
    mu_json_close(o, ']');
    *index = c->index;
    *is_empty = c->count == 0;
}

static enum mu_code render_node(struct request *r, const struct agent_view *view,
                                struct mu_json_out *o, uint64_t *index, bool *is_empty,
                                struct mu_err *err)
{
    struct catalog_checks checks;
    enum mu_code rc =
        catalog_query_node_checks(view->reader, &r->front->scratch, r->argument, &checks, err);

    if (rc == MU_OK) {
        checks_json(r, o, &checks, index, is_empty);
    }
    return rc;
}

static enum mu_code render_checks(struct request *r, const struct agent_view *view,
                                  struct mu_json_out *o, uint64_t *index, bool *is_empty,
                                  struct mu_err *err)
{
    struct catalog_checks checks;
    enum mu_code rc = catalog_query_service_checks(view->reader, &r->front->scratch, r->argument,
                                                   listing_nodes(r), &checks, err);

    rc = rc == MU_OK ? near_sort_checks(r, view, &checks, err) : rc;
    if (rc == MU_OK) {
        checks_json(r, o, &checks, index, is_empty);
    }
    return rc;
}

static enum mu_code render_state(struct request *r, const struct agent_view *view,
                                 struct mu_json_out *o, uint64_t *index, bool *is_empty,
                                 struct mu_err *err)
{
    struct catalog_checks checks;
    enum mu_code rc = catalog_query_state_checks(view->reader, &r->front->scratch, r->argument,
                                                 listing_nodes(r), &checks, err);

    rc = rc == MU_OK ? near_sort_checks(r, view, &checks, err) : rc;
    if (rc == MU_OK) {
        checks_json(r, o, &checks, index, is_empty);
    }
    return rc;
}

/* -- instances --------------------------------------------------------------------------------- */

static enum mu_code render_service(struct request *r, const struct agent_view *view,
                                   struct mu_json_out *o, uint64_t *index, bool *is_empty,
                                   struct mu_err *err)
{
    struct catalog_instances instances;
    enum mu_code rc = catalog_query_instances(view->reader, &r->front->scratch, r->argument,
                                              listing_nodes(r), true, &instances, err);

    rc = rc == MU_OK ? near_sort_instances(r, view, &instances, err) : rc;
    if (rc != MU_OK) {
        return rc;
    }
    mu_json_open(o, '[');
    for (size_t i = 0; i < instances.count; i++) {
        if (listing_wants_instance(r, &instances.items[i])) {
            objects_health_entry(o, &instances.items[i], agent_datacenter(r->front->agent));
        }
    }
    mu_json_close(o, ']');
    *index = instances.index;
    *is_empty = instances.count == 0;
    return MU_OK;
}

/* -- what they depend on ----------------------------------------------------------------------- */

/* Their index is that of all checks (http-api 1.7), so that is what wakes them. */
static const struct ready_kind kind_node = {
    .key = 'N',
    .is_named = true,
    .render = render_node,
    .topics = { { CATALOG_CHECKS, false } },
    .topics_count = 1,
};
static const struct ready_kind kind_checks = {
    .key = 'C',
    .is_named = true,
    .render = render_checks,
    .topics = { { CATALOG_CHECKS, false }, { CATALOG_NODES, false }, { CATALOG_SERVICE, false } },
    .topics_count = 3,
};
static const struct ready_kind kind_state = {
    .key = 'S',
    .is_named = true,
    .render = render_state,
    .topics = { { CATALOG_CHECKS, false }, { CATALOG_NODES, false } },
    .topics_count = 2,
};
/* A service without instances shows the index of the last extinction, or of all tables. */
static const struct ready_kind kind_service = {
    .key = 'H',
    .is_named = true,
    .render = render_service,
    .topics = { { CATALOG_SERVICE, false },
                { CATALOG_SERVICES, true },
                { CATALOG_NODES, true },
                { CATALOG_CHECKS, true } },
    .topics_count = 4,
};

static enum mu_code read_node(struct request *r, const struct agent_view *view, struct mu_err *err)
{
    return ready_evaluate(r, view, &kind_node, err);
}

static enum mu_code read_checks(struct request *r, const struct agent_view *view,
                                struct mu_err *err)
{
    return ready_evaluate(r, view, &kind_checks, err);
}

static enum mu_code read_state(struct request *r, const struct agent_view *view, struct mu_err *err)
{
    return ready_evaluate(r, view, &kind_state, err);
}

static enum mu_code read_service(struct request *r, const struct agent_view *view,
                                 struct mu_err *err)
{
    return ready_evaluate(r, view, &kind_service, err);
}

/* -- handlers ---------------------------------------------------------------------------------- */

static void list(struct request *r, const char *missing, const struct filter_kind *kind,
                 request_read_fn *read)
{
    if (r->argument.bytes == 0) {
        answer_text(r, 400, missing);
    } else if (listing_begin(r, kind)) {
        blocking_read(r, read);
    }
}

void api_health_node(struct request *r)
{
    list(r, "Missing node name", &filter_checks, read_node);
}

void api_health_checks(struct request *r)
{
    list(r, "Missing service name", &filter_checks, read_checks);
}

void api_health_state(struct request *r)
{
    list(r, "Missing check state", &filter_checks, read_state);
}

void api_health_service(struct request *r)
{
    list(r, "Missing service name", &filter_health_entries, read_service);
}
