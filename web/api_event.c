/* Events of http-api 8: sent through this agent, and those of the fleet that mean it. */
#include "handlers.h"
#include "hash_wait.h"
#include "objects.h"
#include "response.h"

/* -- the index --------------------------------------------------------------------------------- */

static uint64_t half(const uint8_t *b)
{
    uint64_t v = 0;

    for (size_t i = 0; i < 8; i++) {
        v = v << 8 | b[i];
    }
    return v;
}

/* Of the newest event that is listed; it does not grow, it only differs. */
static uint64_t index_of(const struct mu_id *id)
{
    return half(id->b) ^ half(id->b + 8);
}

/* -- objects ----------------------------------------------------------------------------------- */

static void put_event(struct mu_json_out *o, const struct agent_event *e)
{
    mu_json_open(o, '{');
    objects_id(o, "ID", &e->id);
    mu_json_span(o, "Name", e->name);
    mu_json_key(o, "Payload");
    if (e->payload.bytes > 0) {
        mu_json_put_base64(o, e->payload);
    } else {
        mu_json_put_null(o);
    }
    mu_json_span(o, "NodeFilter", e->node_filter);
    mu_json_span(o, "ServiceFilter", e->service_filter);
    mu_json_span(o, "TagFilter", e->tag_filter);
    mu_json_u64(o, "Version", e->version);
    mu_json_u64(o, "LTime", e->ltime);
    mu_json_close(o, '}');
}

/* -- fire -------------------------------------------------------------------------------------- */

void api_event_fire(struct request *r)
{
    struct agent *a = r->front->agent;
    struct mu_span dc = params_text(&r->params, "dc");
    struct agent_event event = {
        .name = r->argument,
        .payload = mu_buf_span(&r->body),
        .node_filter = params_text(&r->params, "node"),
        .service_filter = params_text(&r->params, "service"),
        .tag_filter = params_text(&r->params, "tag"),
    };
    struct mu_err err = MU_ERR_NONE;
    struct mu_json_out o;

    if (event.name.bytes == 0) {
        answer_text(r, 400, "Missing name");
        return;
    }
    if (dc.bytes > 0 && !mu_span_eq_fold(dc, mu_span_text(agent_datacenter(a)))) {
        answer_text(r, 500, "No path to datacenter");
        return;
    }
    if (agent_event_fire(a, &event, &err) != MU_OK) {
        answer_text(r, 500, err.text); /* all of them, http-api 8 */
        return;
    }
    response_json(r, &o);
    put_event(&o, &event);
    answer_json(r, &o);
}

/* -- list -------------------------------------------------------------------------------------- */

struct listed {
    struct mu_json_out o;
    struct mu_span name; /* empty: all */
    uint64_t index;      /* 1: none is listed */
};

static bool is_listed(const struct listed *l, const struct agent_event *e)
{
    return l->name.bytes == 0 || mu_span_eq(l->name, e->name);
}

static void take_index(void *data, const struct agent_event *e)
{
    struct listed *l = data;

    l->index = is_listed(l, e) ? index_of(&e->id) : l->index;
}

static void list_one(void *data, const struct agent_event *e)
{
    struct listed *l = data;

    if (is_listed(l, e)) {
        put_event(&l->o, e);
    }
}

/* One that is held keeps nothing but its place: the list is made when it is answered. */
static void look(struct request *r)
{
    struct listed l = { .name = params_text(&r->params, "name"), .index = 1 };

    agent_each_event(r->front->agent, take_index, &l);
    if (event_wait_holds(r, l.index)) {
        return;
    }
    response_json(r, &l.o);
    mu_json_open(&l.o, '[');
    agent_each_event(r->front->agent, list_one, &l);
    mu_json_close(&l.o, ']');
    const char *index = mu_arena_printf(&r->arena, "%llu", (unsigned long long)l.index);

    response_header(r, "X-Consul-Index", mu_span_text(index));
    answer_json(r, &l.o);
}

void api_event_list(struct request *r)
{
    hash_wait(r, look);
}
