/* coordinate.c - coordinates of nodes on their way into the catalog (agent-behaviour 12).
 *
 * Every agent tells the leader where its node is, each max(sync_coordinate_interval_min, members /
 * 64 s), up to twice that at random: however large the cluster, the leader hears 64 a second at
 * most. It travels as PUT /v1/coordinate/update, the way of any request that only a leader can
 * answer. What has hardly moved is told only once a minute.
 *
 * The leader gathers, the newest of each node, and five seconds after the first of them writes all
 * in one entry, but for those that the catalog has nearly so: an idle cluster writes nothing. (The
 * reference writes them.) What it holds when it loses its office is lost: each node tells it again.
 */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"

#define RATE_TARGET    64U /* updates a second, of all agents together */
#define MOVED_S        0.00025
#define ERROR_CHANGE   0.1
#define TELL_ANYWAY_MS 60000U
#define GATHER_MS      5000U

struct order { /* gathered ones on their way through the log */
    struct agent *agent;
    bool is_orphan; /* this part of the agent is closed: only free */
};

struct coordinates {
    struct timer timer;
    struct agent_forward *telling;
    struct coordinate told;
    uint64_t told_ms; /* 0: nothing was told yet */

    /* the leader's */
    bool is_in_office;
    struct mu_table *gathered; /* name of a node -> struct coordinate */
    struct timer gather_timer;
    struct order *order;
};

/* -- at the leader ------------------------------------------------------------------------------
 */

static void forget_gathered(struct coordinates *c)
{
    struct mu_table_at at = { .started = false };

    while (mu_table_next(c->gathered, &at)) {
        mu_free(at.value);
    }
    mu_table_free(c->gathered);
    c->gathered = mu_table_new();
}

static bool has_moved(const struct coordinate *was, const struct coordinate *now)
{
    double moved = coordinate_distance_raw(was, now) - was->height - now->height;

    return moved + fabs(was->height - now->height) + fabs(was->adjustment - now->adjustment) >
               MOVED_S ||
           fabs(was->error - now->error) > ERROR_CHANGE;
}

static bool is_news(struct agent *a, struct mu_arena *arena, struct mu_span node,
                    const struct coordinate *now)
{
    struct catalog_coordinates known = { .count = 0 };
    struct mu_err err = MU_ERR_NONE;

    return catalog_query_coordinate(a->reader, arena, node, &known, &err) != MU_OK ||
           known.count == 0 || has_moved(&known.items[0].at, now);
}

static void write_gathered(void *data);

static void on_written(void *data, const struct agent_written *written)
{
    struct order *o = data;
    struct agent *a = o->agent;

    if (!o->is_orphan) {
        struct coordinates *c = a->coordinates;

        c->order = NULL;
        if (written->code != MU_OK) {
            mu_log(MU_DEBUG, "agent.server.coordinate", "cannot write coordinates",
                   mu_kv("error", written->text));
        }
        if (c->is_in_office && mu_table_count(c->gathered) > 0) {
            timer_set(a->timers, &c->gather_timer, GATHER_MS, write_gathered, a);
        }
    }
    mu_free(o);
}

static void write_gathered(void *data)
{
    struct agent *a = data;
    struct coordinates *c = a->coordinates;
    struct mu_table_at at = { .started = false };
    struct command command = { .kind = COMMAND_COORDINATES };
    struct mu_arena arena;

    if (c->order != NULL || a->phase >= AGENT_ENDING) {
        return; /* on_written() comes back to those that came meanwhile */
    }
    mu_arena_init(&arena, 0);
    command.coordinates.items =
        mu_arena_array(&arena, mu_table_count(c->gathered), sizeof *command.coordinates.items);
    while (mu_table_next(c->gathered, &at)) {
        const struct coordinate *now = at.value;

        if (is_news(a, &arena, at.key, now)) {
            command.coordinates.items[command.coordinates.count++] =
                (struct command_coordinate){ .node = mu_arena_span(&arena, at.key), .at = *now };
        }
    }
    forget_gathered(c);
    if (command.coordinates.count > 0) {
        c->order = mu_new(sizeof *c->order);
        c->order->agent = a;
        agent_write(a, &command, on_written, c->order);
    } else {
        mu_log(MU_DEBUG, "agent.server.coordinate", "No node has moved");
    }
    mu_arena_deinit(&arena);
}

enum mu_code agent_coordinate_note(struct agent *a, struct mu_span node,
                                   const struct coordinate *at, struct mu_err *err)
{
    struct coordinates *c = a->coordinates;
    struct coordinate *kept;

    MU_ASSERT(coordinate_is_valid(at));
    if (!c->is_in_office) {
        return mu_fail(err, MU_NO_LEADER, "No cluster leader");
    }
    kept = mu_table_find(c->gathered, node);
    if (kept == NULL && mu_table_count(c->gathered) >= MU_COORDINATES_MAX) {
        return mu_fail(err, MU_BUSY, "Discarded coordinate updates, %d are waiting",
                       MU_COORDINATES_MAX);
    }
    if (kept == NULL) {
        kept = mu_new(sizeof *kept);
        (void)mu_table_put(c->gathered, node, kept);
    }
    *kept = *at;
    if (!timer_is_set(&c->gather_timer) && c->order == NULL) {
        timer_set(a->timers, &c->gather_timer, GATHER_MS, write_gathered, a);
    }
    return MU_OK;
}

void agent__coordinates_lead(struct agent *a)
{
    a->coordinates->is_in_office = true;
}

void agent__coordinates_rest(struct agent *a)
{
    struct coordinates *c = a->coordinates;

    c->is_in_office = false;
    timer_cancel(&c->gather_timer);
    forget_gathered(c);
}

/* -- telling it ---------------------------------------------------------------------------------
 */

bool agent_has_coordinates(const struct agent *a)
{
    return !a->config->disable_coordinates;
}

bool agent_coordinate(const struct agent *a, const char *node, struct coordinate *out)
{
    return a->gossip != NULL && gossip_driver_coordinate(a->gossip, node, out);
}

void agent_coordinate_json(struct mu_json_out *o, const struct coordinate *c)
{
    mu_json_open(o, '{');
    mu_json_key(o, "Vec");
    mu_json_open(o, '[');
    for (size_t i = 0; i < COORDINATE_DIMS; i++) {
        mu_json_put_real(o, c->vec[i]);
    }
    mu_json_close(o, ']');
    mu_json_key(o, "Error");
    mu_json_put_real(o, c->error);
    mu_json_key(o, "Adjustment");
    mu_json_put_real(o, c->adjustment);
    mu_json_key(o, "Height");
    mu_json_put_real(o, c->height);
    mu_json_close(o, '}');
}

static void on_told(void *data, enum mu_code code, const struct agent_http_response *response,
                    const struct mu_err *err)
{
    struct agent *a = data;
    struct coordinates *c = a->coordinates;
    struct mu_err why = *err;

    c->telling = NULL;
    if (code == MU_OK && response == NULL) { /* this server leads by now */
        code = agent_coordinate_note(a, mu_span_text(a->config->node_name), &c->told, &why);
    } else if (code == MU_OK && response->status != 200) {
        code = mu_fail(&why, MU_INVALID, "%.*s", MU_SPAN_FMT(response->body));
    }
    if (code != MU_OK) {
        c->told_ms = 0; /* again next time, moved or not */
        mu_log(MU_DEBUG, "agent", "Coordinate update error", mu_kv("error", why.text));
    }
}

static void tell(struct agent *a, const struct coordinate *at)
{
    struct coordinates *c = a->coordinates;
    struct agent_http_request request = { .method = MU_SPAN_LIT("PUT"),
                                          .target = MU_SPAN_LIT("/v1/coordinate/update") };
    struct mu_buf body = MU_BUF_NONE;
    struct mu_json_out o;

    mu_json_out_init(&o, &body, false);
    mu_json_open(&o, '{');
    mu_json_text(&o, "Node", a->config->node_name);
    mu_json_key(&o, "Coord");
    agent_coordinate_json(&o, at);
    mu_json_close(&o, '}');
    mu_json_out_end(&o);
    request.body = mu_buf_span(&body);
    c->told = *at;
    c->told_ms = timers_now(a->timers);
    c->telling = agent_is_server(a) ? agent_forward_leader(a, &request, on_told, a)
                                    : agent_forward_http(a, &request, on_told, a);
    mu_buf_deinit(&body);
}

static uint64_t pause_ms(struct agent *a)
{
    uint64_t least = (uint64_t)a->config->sync_coordinate_ms;
    uint64_t scaled = gossip_driver_stats(a->gossip).members * 1000 / RATE_TARGET;
    uint64_t pause = scaled > least ? scaled : least;

    return pause + mu_rand_below(&a->rand, pause);
}

static void look(void *data)
{
    struct agent *a = data;
    struct coordinates *c = a->coordinates;
    uint64_t now_ms = timers_now(a->timers);
    struct coordinate at;

    if (a->phase >= AGENT_LEAVING) {
        return;
    }
    if (c->telling == NULL && agent_coordinate(a, a->config->node_name, &at) &&
        (c->told_ms == 0 || now_ms >= c->told_ms + TELL_ANYWAY_MS || has_moved(&c->told, &at))) {
        tell(a, &at);
    }
    timer_set(a->timers, &c->timer, pause_ms(a), look, a);
}

/* -- life ---------------------------------------------------------------------------------------
 */

void agent__coordinates_open(struct agent *a)
{
    a->coordinates = mu_new(sizeof *a->coordinates);
    a->coordinates->gathered = mu_table_new();
}

void agent__coordinates_start(struct agent *a)
{
    if (agent_has_coordinates(a) && !a->config->serf.is_on) { /* there is no catalog to tell */
        timer_set(a->timers, &a->coordinates->timer, pause_ms(a), look, a);
    }
}

void agent__coordinates_close(struct agent *a)
{
    struct coordinates *c = a->coordinates;

    if (c == NULL) {
        return;
    }
    agent__coordinates_rest(a);
    timer_cancel(&c->timer);
    if (c->telling != NULL) {
        agent_forward_cancel(c->telling);
    }
    if (c->order != NULL) { /* its write is answered when requests close */
        c->order->is_orphan = true;
    }
    mu_table_free(c->gathered);
    mu_free(c);
    a->coordinates = NULL;
}
