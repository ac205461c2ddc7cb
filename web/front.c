#include "front.h"

#include "agent/archive.h"
#include "agent/operator.h"
#include "base/assert.h"
#include "base/limits.h"
#include "blocking.h"
#include "forward.h"
#include "handlers.h"
#include "hash_wait.h"

#define LOOKS_MAX     256 /* woken reads evaluated in one turn: some milliseconds */
#define SCRATCH_BYTES (64U * 1024)
#define ARCHIVES_MAX  2 /* large bodies at a time: 413 */

void front_init(struct front *f, struct agent *agent)
{
    const struct config *c = agent_config(agent);

    *f = (struct front){ .agent = agent, .config = c, .began_ms = agent_now_ms(agent) };
    request_pool_init(&f->pool);
    deadlines_init(&f->deadlines);
    response_style_init(&f->style, &c->response_headers);
    route_table_init(&f->table, web_routes, web_routes_count);
    f->table.disable_unprintable_filter = c->disable_unprintable_filter;
    f->table.block_endpoints = c->block_endpoints;
    f->table.block_endpoints_count = c->block_endpoints_count;
    mu_arena_init(&f->scratch, 0);
    f->scratch.block = SCRATCH_BYTES; /* the first block is the one that is kept */
    mu_list_init(&f->woken);
    mu_list_init(&f->parked);
    mu_list_init(&f->hashed);
    mu_list_init(&f->monitors);
    mu_list_init(&f->listening);
}

void front_deinit(struct front *f)
{
    MU_ASSERT(f->parked_count == 0);
    deadline_clear(&f->deadlines, &f->gate);
    metrics_free(&f->metrics);
    request_pool_deinit(&f->pool);
    deadlines_deinit(&f->deadlines);
    response_style_deinit(&f->style);
    mu_arena_deinit(&f->scratch);
    mu_buf_deinit(&f->text);
}

/* -- a request --------------------------------------------------------------------------------- */

static void on_moved(void *data)
{
    struct request *r = data;

    if (r->sink != NULL) {
        r->sink->body_moved(r);
    }
}

/* Of the few bodies that may be large only so many are taken at a time; request_free() counts down.
 */
static uint64_t archive_bytes_max(struct front *f, struct request *r)
{
    if (r->method != WEB_PUT || r->verdict != VERDICT_SERVE || f->pool.archives >= ARCHIVES_MAX ||
        r->sink->body_moved == NULL) {
        return MU_BODY_BYTES_MAX;
    }
    f->pool.archives++;
    r->holds_archive = true;
    r->upload = agent_upload(f->agent, on_moved, r);
    return ARCHIVE_BYTES_MAX;
}

void front_begin(void *data, struct request *r)
{
    struct front *f = data;
    unsigned traits;

    r->front = f;
    route_find(&f->table, r);
    traits = r->route != NULL ? r->route->traits : 0;
    r->body_bytes_max = (traits & ROUTE_VALUE) != 0     ? (uint64_t)f->config->kv_max_value_size
                        : (traits & ROUTE_TXN) != 0     ? (uint64_t)f->config->txn_max_req_len
                        : (traits & ROUTE_ARCHIVE) != 0 ? archive_bytes_max(f, r)
                                                        : MU_BODY_BYTES_MAX;
}

static bool is_elsewhere(const struct request *r)
{
    struct mu_span dc = params_text(&r->params, "dc");

    return dc.bytes > 0 && (r->route->traits & ROUTE_LOCAL) == 0 &&
           !mu_span_eq_fold(dc, mu_span_text(agent_datacenter(r->front->agent)));
}

static bool is_foreign(const struct request *r)
{
    return (r->route->traits & (ROUTE_LOCAL | ROUTE_ARCHIVE)) == 0 && !r->is_forwarded &&
           !agent_is_server(r->front->agent);
}

static bool is_for_leader(const struct request *r)
{
    bool is_leaders = (r->route->traits & ROUTE_LEADER) != 0 ||
                      ((r->route->traits & (ROUTE_LOCAL | ROUTE_ARCHIVE)) == 0 &&
                       agent_stands_still(r->front->agent));

    return is_leaders && r->read.mode != AGENT_STALE && !agent_leads(r->front->agent);
}

void front_serve(void *data, struct request *r)
{
    struct front *f = data;
    struct mu_err err = MU_ERR_NONE;

    if (route_refuse(&f->table, r)) {
        return;
    }
    bool discovers = (r->route->traits & ROUTE_DISCOVERS) != 0;
    struct read_defaults defaults = {
        .wait_ms = (uint64_t)f->config->default_query_ms,
        .wait_ms_max = (uint64_t)f->config->max_query_ms,
        .discovery_max_stale_ms = discovers ? (uint64_t)f->config->discovery_max_stale_ms : 0,
        .traits = r->route->traits,
    };

    r->is_pretty = f->config->is_dev || params_has(&r->params, "pretty");
    if (params_read_options(&r->params, r->cache_control, r->ns, &defaults, &r->read, &err) !=
        MU_OK) {
        answer_text(r, 400, err.text);
    } else if (is_elsewhere(r)) {
        answer_text(r, 500, "No path to datacenter");
    } else if (is_foreign(r) || is_for_leader(r)) {
        forward_request(r);
    } else {
        r->route->handler(r);
    }
}

/* -- turns ------------------------------------------------------------------------------------- */

static void on_gate(void *data)
{
    struct front *f = data;

    f->is_gate_over = true;
}

/* A change may wake thousands who all want the same large answer. While half of the room is taken
 * the others wait until somebody has read; for a moment only, for then those who do not read are
 * known and go, or it is time to say that there is too much. */
static bool is_gated(struct front *f)
{
    if (f->pool.held.bytes <= MU_HTTP_HELD_MAX / 2 || f->is_stopping) {
        deadline_clear(&f->deadlines, &f->gate);
        f->is_gate_over = false;
        return false;
    }
    if (!f->is_gate_over && !deadline_is_set(&f->gate)) {
        deadline_set(&f->deadlines, &f->gate, agent_now_ms(f->agent) + HELD_PATIENCE_MS, on_gate,
                     f);
    }
    return !f->is_gate_over;
}

bool front_turn(struct front *f)
{
    bool is_open = mu_list_empty(&f->woken) || !is_gated(f);

    for (unsigned i = 0; is_open && i < LOOKS_MAX && !mu_list_empty(&f->woken) &&
                         f->pool.turn_bytes < MU_HTTP_TURN_BYTES;
         i++) {
        blocking_look(MU_CONTAINER(f->woken.next, struct request, link));
    }
    return is_open && !mu_list_empty(&f->woken);
}

void front_held(void *data, struct agent_front_held *out)
{
    const struct request_pool *p = &((const struct front *)data)->pool;

    *out = (struct agent_front_held){ .bodies = { p->bodies_bytes, p->bodies_most },
                                      .answers = { p->held.bytes, p->held.most },
                                      .evicted_count = p->held.evicted_count };
}

void front_stop(struct front *f)
{
    f->is_stopping = true;
    hash_wait_changed(f);
    event_wait_heard(f);
    monitors_end(f);
    while (!mu_list_empty(&f->parked)) {
        blocking_end(MU_CONTAINER(f->parked.next, struct request, link));
    }
    while (!mu_list_empty(&f->woken)) {
        blocking_end(MU_CONTAINER(f->woken.next, struct request, link));
    }
}
