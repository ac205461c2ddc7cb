/* /v1/coordinate/: where nodes are in the space of round trip times (http-api 11). */
#include "base/limits.h"
#include "blocking.h"
#include "body.h"
#include "handlers.h"
#include "ready.h"

static bool is_refused(struct request *r)
{
    if (agent_has_coordinates(r->front->agent)) {
        return false;
    }
    answer_text(r, 401, "Coordinate support disabled");
    return true;
}

/* There are no segments but the one without a name. */
static void put_entry(struct mu_json_out *o, struct mu_span node, const struct coordinate *at)
{
    mu_json_open(o, '{');
    mu_json_span(o, "Node", node);
    mu_json_text(o, "Segment", "");
    mu_json_key(o, "Coord");
    agent_coordinate_json(o, at);
    mu_json_close(o, '}');
}

/* -- datacenters ------------------------------------------------------------------------------- */

struct showing {
    struct agent *agent;
    struct mu_json_out *o;
};

static void put_server(void *data, const struct agent_member *m)
{
    struct showing *s = data;
    struct coordinate at;

    for (size_t i = 0; i < m->tags.count; i++) {
        if (mu_span_eq_text(m->tags.items[i].key, "role") &&
            mu_span_eq_text(m->tags.items[i].value, "consul") &&
            agent_coordinate(s->agent, m->name, &at)) {
            put_entry(s->o, mu_span_text(m->name), &at);
        }
    }
}

void api_coordinate_datacenters(struct request *r)
{
    struct agent *a = r->front->agent;
    struct mu_json_out o;

    if (is_refused(r)) {
        return;
    }
    response_json(r, &o);
    mu_json_open(&o, '[');
    mu_json_open(&o, '{');
    mu_json_text(&o, "Datacenter", agent_datacenter(a));
    mu_json_text(&o, "AreaID", "wan");
    mu_json_key(&o, "Coordinates");
    mu_json_open(&o, '[');
    agent_each_member(a, put_server, &(struct showing){ a, &o });
    mu_json_close(&o, ']');
    mu_json_close(&o, '}');
    mu_json_close(&o, ']');
    answer_json(r, &o);
}

/* -- nodes ------------------------------------------------------------------------------------- */

static void put_entries(struct mu_json_out *o, const struct catalog_coordinates *list)
{
    mu_json_open(o, '[');
    for (size_t i = 0; i < list->count; i++) {
        put_entry(o, list->items[i].node, &list->items[i].at);
    }
    mu_json_close(o, ']');
}

static enum mu_code render_nodes(struct request *r, const struct agent_view *view,
                                 struct mu_json_out *o, uint64_t *index, bool *is_empty,
                                 struct mu_err *err)
{
    struct catalog_coordinates list;
    enum mu_code rc = catalog_query_coordinates(view->reader, &r->front->scratch, &list, err);

    if (rc == MU_OK) {
        put_entries(o, &list);
        *index = list.index;
        *is_empty = list.count == 0;
    }
    return rc;
}

static const struct ready_kind kind_nodes = {
    .key = 'g',
    .render = render_nodes,
    .topics = { { CATALOG_COORDINATES, false } },
    .topics_count = 1,
};

static enum mu_code read_nodes(struct request *r, const struct agent_view *view, struct mu_err *err)
{
    return ready_evaluate(r, view, &kind_nodes, err);
}

/* Of a segment that does not exist. */
static enum mu_code read_nowhere(struct request *r, const struct agent_view *view,
                                 struct mu_err *err)
{
    struct catalog_coordinates list = { .count = 0 };
    struct mu_json_out o;
    enum mu_code rc = catalog_query_coordinates(view->reader, &r->front->scratch, &list, err);

    if (rc != MU_OK) {
        return rc;
    }
    list.count = 0;
    blocking_topic(r, CATALOG_COORDINATES, MU_SPAN_NONE);
    if (!blocking_holds(r, list.index)) {
        response_json(r, &o);
        put_entries(&o, &list);
        response_json_end(r, &o);
    }
    return MU_OK;
}

void api_coordinate_nodes(struct request *r)
{
    if (!is_refused(r)) {
        blocking_read(r, params_text(&r->params, "segment").bytes > 0 ? read_nowhere : read_nodes);
    }
}

static enum mu_code read_node(struct request *r, const struct agent_view *view, struct mu_err *err)
{
    struct catalog_coordinates list;
    struct mu_json_out o;
    enum mu_code rc =
        catalog_query_coordinate(view->reader, &r->front->scratch, r->argument, &list, err);

    if (rc != MU_OK) {
        return rc;
    }
    blocking_topic(r, CATALOG_COORDINATES, MU_SPAN_NONE);
    if (blocking_holds(r, list.index)) {
        return MU_OK;
    }
    if (list.count == 0) {
        r->response.status = 404;
        r->response.hides_meta = true;
    } else {
        response_json(r, &o);
        put_entries(&o, &list);
        response_json_end(r, &o);
    }
    return MU_OK;
}

void api_coordinate_node(struct request *r)
{
    if (is_refused(r)) {
        return;
    }
    if (r->argument.bytes == 0) {
        answer_text(r, 400, "Missing node name");
    } else {
        blocking_read(r, read_node);
    }
}

/* -- update ------------------------------------------------------------------------------------ */

struct coord_body {
    const struct mu_json *vec, *error, *adjustment, *height;
};

struct update_body {
    struct mu_span node, segment;
    struct coord_body coord;
    uint64_t given;
};

#define AT(member) offsetof(struct coord_body, member)
static const struct mu_json_field coord_fields[] = {
    // clang-format off
    { "Vec",        { NULL }, MU_JSON_AS_VALUE, AT(vec),        NULL },
    { "Error",      { NULL }, MU_JSON_AS_VALUE, AT(error),      NULL },
    { "Adjustment", { NULL }, MU_JSON_AS_VALUE, AT(adjustment), NULL },
    { "Height",     { NULL }, MU_JSON_AS_VALUE, AT(height),     NULL },
}; // clang-format on
#undef AT

static const struct mu_json_shape coord_shape = {
    .fields = coord_fields,
    .fields_count = MU_LEN(coord_fields),
    .bytes = sizeof(struct coord_body),
    .is_loose = true,
};

#define UPDATE_COORD 0 /* its row */
#define AT(member)   offsetof(struct update_body, member)
static const struct mu_json_field update_fields[] = {
    // clang-format off
    { "Coord",   { NULL }, MU_JSON_AS_OBJECT, AT(coord),   &coord_shape },
    { "Node",    { NULL }, MU_JSON_AS_TEXT,   AT(node),    NULL },
    { "Segment", { NULL }, MU_JSON_AS_TEXT,   AT(segment), NULL },
}; // clang-format on
#undef AT

static const struct mu_json_shape update_shape = {
    .fields = update_fields,
    .fields_count = MU_LEN(update_fields),
    .bytes = sizeof(struct update_body),
    .is_loose = true,
    .has_given = true,
    .given_offset = offsetof(struct update_body, given),
};

/* A number, or nothing for 0. */
static bool read_number(const struct mu_json *v, double *out)
{
    enum mu_json_kind kind = v != NULL ? mu_json_kind_of(v) : MU_JSON_NULL;

    *out = kind == MU_JSON_INT || kind == MU_JSON_REAL ? mu_json_number(v) : 0;
    return kind == MU_JSON_INT || kind == MU_JSON_REAL || kind == MU_JSON_NULL;
}

/* False: answered. */
static bool read_coordinate(struct request *r, const struct coord_body *from,
                            struct coordinate *out)
{
    bool is_list = from->vec != NULL && mu_json_kind_of(from->vec) == MU_JSON_LIST;
    bool is_number = true;

    if (!is_list || mu_json_count(from->vec) != COORDINATE_DIMS) {
        answer_text(r, 500, "incompatible coordinate");
        return false;
    }
    for (size_t i = 0; i < COORDINATE_DIMS; i++) {
        is_number = read_number(mu_json_at(from->vec, i), &out->vec[i]) && is_number;
    }
    is_number = read_number(from->error, &out->error) && is_number;
    is_number = read_number(from->adjustment, &out->adjustment) && is_number;
    is_number = read_number(from->height, &out->height) && is_number;
    if (!is_number || !coordinate_is_valid(out)) {
        answer_text(r, is_number ? 500 : 400,
                    is_number ? "invalid coordinate"
                              : "Request decode failed: a coordinate is made of numbers");
        return false;
    }
    return true;
}

static void note(struct request *r, const struct update_body *b)
{
    struct mu_err err = MU_ERR_NONE;
    struct coordinate at;

    if ((b->given & 1U << UPDATE_COORD) == 0) {
        answer_text(r, 400, "Request decode failed: Coord is missing");
        return;
    }
    if (!read_coordinate(r, &b->coord, &at)) {
        return;
    }
    if (b->node.bytes > MU_NODE_NAME_MAX || !mu_span_is_utf8(b->node)) {
        answer_empty(r, 200); /* no node has that name: passed over, as all that are unknown */
        return;
    }
    enum mu_code rc = agent_coordinate_note(r->front->agent, b->node, &at, &err);

    if (rc == MU_OK) {
        answer_empty(r, 200);
    } else {
        answer_code(r, rc, &err);
    }
}

void api_coordinate_update(struct request *r)
{
    struct update_body body = { .given = 0 };
    struct mu_json *root = NULL;

    if (!is_refused(r) && body_decode(r, &update_shape, &body, &root)) {
        note(r, &body);
        mu_json_free(root);
    }
}
