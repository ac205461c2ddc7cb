/* /v1/agent/health/service/: the worst of an instance's local checks and the node's, without asking
 * the catalog (http-api 3.5).
 */
#include "base/assert.h"
#include "front.h"
#include "handlers.h"
#include "objects.h"

enum aggregate { /* in order of severity */
                 AGGREGATE_PASSING,
                 AGGREGATE_WARNING,
                 AGGREGATE_CRITICAL,
                 AGGREGATE_MAINTENANCE,
};

static const struct {
    const char *text;
    unsigned status;
} aggregates[] = {
    // clang-format off
    [AGGREGATE_PASSING]     = { "passing",     200 },
    [AGGREGATE_WARNING]     = { "warning",     429 },
    [AGGREGATE_CRITICAL]    = { "critical",    503 },
    [AGGREGATE_MAINTENANCE] = { "maintenance", 503 },
}; // clang-format on

/* -- aggregating ------------------------------------------------------------------------------- */

struct judged { /* one instance while its checks are walked */
    struct mu_span service_id;
    enum aggregate worst;
    struct mu_json_out *o; /* NULL: only judge */
    const char *node;
};

static enum aggregate severity(const struct local_check *c)
{
    struct mu_span id = mu_span_text(c->id);

    if (mu_span_eq_text(id, "_node_maintenance") ||
        mu_span_starts(id, MU_SPAN_LIT("_service_maintenance:"))) {
        return AGGREGATE_MAINTENANCE;
    }
    switch (c->status) {
    case CHECK_PASSING: return AGGREGATE_PASSING;
    case CHECK_WARNING: return AGGREGATE_WARNING;
    case CHECK_CRITICAL: return AGGREGATE_CRITICAL;
    }
    MU_UNREACHABLE_CODE();
}

static void judge_check(void *data, const struct local_check *c)
{
    struct judged *j = data;
    enum aggregate s = severity(c);

    if (c->definition->service_id.bytes > 0 &&
        !mu_span_eq(c->definition->service_id, j->service_id)) {
        return;
    }
    if (s > j->worst) {
        j->worst = s;
    }
    if (j->o != NULL) {
        objects_health_check(j->o, c, j->node);
    }
}

static enum aggregate judge(struct request *r, struct mu_span service_id)
{
    struct judged j = { .service_id = service_id, .worst = AGGREGATE_PASSING };

    local_each_check(agent_local(r->front->agent), false, judge_check, &j);
    return j.worst;
}

static void put_entry(struct request *r, struct mu_json_out *o, const struct local_service *s,
                      enum aggregate worst)
{
    struct agent *a = r->front->agent;
    struct judged j = { .service_id = s->definition->id, .o = o, .node = agent_node_name(a) };

    mu_json_open(o, '{');
    mu_json_text(o, "AggregatedStatus", aggregates[worst].text);
    mu_json_key(o, "Service");
    objects_agent_service(o, s->definition, agent_datacenter(a), NULL);
    mu_json_key(o, "Checks");
    mu_json_open(o, '[');
    local_each_check(agent_local(a), false, judge_check, &j);
    mu_json_close(o, ']');
    mu_json_close(o, '}');
}

/* -- answers ----------------------------------------------------------------------------------- */

static bool wants_text(const struct request *r)
{
    return mu_span_eq_text(params_text(&r->params, "format"), "text") ||
           mu_span_starts(r->accept, MU_SPAN_LIT("text/plain"));
}

static void reason(struct request *r, const char *text)
{
    response_header(r, "X-Consul-Reason", mu_arena_span(&r->arena, mu_span_text(text)));
}

static void answer_word(struct request *r, unsigned status, const char *word)
{
    mu_buf_clear(&r->out);
    mu_buf_add_text(&r->out, word);
    r->response.status = status;
    r->response.content_type = "text/plain";
    r->response.body = mu_buf_span(&r->out);
    request_answer(r);
}

/* The text form is a JSON string here, as the reference sends it. */
static void answer_unknown_id(struct request *r)
{
    const char *text =
        mu_arena_printf(&r->arena, "ServiceId %.*s not found", MU_SPAN_FMT(r->argument));
    struct mu_json_out o;

    reason(r, text);
    r->response.status = 404;
    response_json(r, &o);
    if (wants_text(r)) {
        mu_json_put_text(&o, text);
    } else {
        mu_json_open(&o, '{');
        mu_json_text(&o, "AggregatedStatus", "critical");
        mu_json_nothing(&o, "Service");
        mu_json_nothing(&o, "Checks");
        mu_json_close(&o, '}');
    }
    answer_json(r, &o);
}

void api_agent_health_by_id(struct request *r)
{
    struct local_service s;
    struct mu_json_out o;

    if (r->argument.bytes == 0) {
        answer_text(r, 500, "Bad request: Missing serviceID");
        return;
    }
    if (!local_service_find(agent_local(r->front->agent), r->argument, &s) || s.is_deleted) {
        answer_unknown_id(r);
        return;
    }
    enum aggregate worst = judge(r, s.definition->id);

    reason(r, aggregates[worst].text);
    if (wants_text(r)) {
        answer_word(r, aggregates[worst].status, aggregates[worst].text);
        return;
    }
    r->response.status = aggregates[worst].status;
    response_json(r, &o);
    put_entry(r, &o, &s, worst);
    answer_json(r, &o);
}

struct by_name {
    struct request *r;
    struct mu_json_out *o;
    enum aggregate worst;
    size_t count;
};

static void each_named(void *data, const struct local_service *s)
{
    struct by_name *n = data;

    if (!mu_span_eq(s->definition->name, n->r->argument)) {
        return;
    }
    enum aggregate worst = judge(n->r, s->definition->id);

    if (worst > n->worst) {
        n->worst = worst;
    }
    n->count++;
    put_entry(n->r, n->o, s, worst);
}

void api_agent_health_by_name(struct request *r)
{
    struct mu_json_out o;
    struct by_name n = { .r = r, .o = &o };

    if (r->argument.bytes == 0) {
        answer_text(r, 500, "Bad request: Missing service Name");
        return;
    }
    response_json(r, &o);
    mu_json_open(&o, '[');
    local_each_service(agent_local(r->front->agent), false, each_named, &n);
    mu_json_close(&o, ']');

    unsigned status = n.count > 0 ? aggregates[n.worst].status : 404;
    const char *text = n.count > 0 ? aggregates[n.worst].text
                                   : mu_arena_printf(&r->arena, "ServiceName %.*s Not Found",
                                                     MU_SPAN_FMT(r->argument));

    reason(r, text);
    if (wants_text(r)) {
        answer_word(r, status, text);
        return;
    }
    r->response.status = status;
    answer_json(r, &o);
}
