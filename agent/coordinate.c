/* coordinate.c - coordinates of nodes on their way into the catalog (agent-behaviour 12).
 *
 * Every agent tells the leader where its node is, each max(sync_coordinate_interval_min, members /
 * 64 s), up to twice that at random: however large the cluster, the leader hears 64 a second at
 * most. It travels as PUT /v1/coordinate/update, the way of any request that only a leader can
 * answer. What has hardly moved is told only once a minute.
 *
 * The leader gathers, the newest of each node, and looks at them five seconds after the first. When
 * the catalog does not know one yet, or one is far from where it was, all that have moved are
 * written in one entry; else those that have moved a little wait until the last entry is a minute
 * old. Links that jitter move their nodes a little all the time, and an entry costs every server
 * some pages: an idle cluster is to write nearly nothing (wish 19; the reference writes every five
 * seconds). What the leader holds when it loses its office is lost: each node tells it again.
 */
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "coordinate.h"
#include "core.h"

#define RATE_TARGET    64U     /* updates a second, of all agents together */
#define MOVED_S        0.00025 /* less is nothing */
#define FAR_S          0.010
#define ERROR_CHANGE   0.1
#define TELL_ANYWAY_MS 60000U
#define GATHER_MS      5000U
#define LITTLE_WAIT_MS 60000U /* between entries for those that moved a little */

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
    uint64_t gather_at_ms; /* of the timer, while it runs */
    uint64_t written_ms;   /* the last entry; or the office began */
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

/* In seconds. */
static double shift(const struct coordinate *was, const struct coordinate *now)
{
    double moved = coordinate_distance_raw(was, now) - was->height - now->height;

    return moved + fabs(was->height - now->height) + fabs(was->adjustment - now->adjustment);
}

static bool has_moved(const struct coordinate *was, const struct coordinate *now)
{
    return coordinate_wait_ms(was, now) != UINT64_MAX;
}

uint64_t coordinate_wait_ms(const struct coordinate *was, const struct coordinate *now)
{
    double moved = shift(was, now);

    if (moved > FAR_S || fabs(was->error - now->error) > ERROR_CHANGE) {
        return 0;
    }
    return moved > MOVED_S ? LITTLE_WAIT_MS : UINT64_MAX;
}

static uint64_t wait_of(struct agent *a, struct mu_arena *arena, struct mu_span node,
                        const struct coordinate *now)
{
    struct catalog_coordinates known = { .count = 0 };
    struct mu_err err = MU_ERR_NONE;
    bool is_known =
        catalog_query_coordinate(a->reader, arena, node, &known, &err) == MU_OK && known.count > 0;

    return is_known ? coordinate_wait_ms(&known.items[0].at, now) : 0;
}

static void write_gathered(void *data);

static void gather_in(struct agent *a, uint64_t ms)
{
    struct coordinates *c = a->coordinates;

    c->gather_at_ms = timers_now(a->timers) + ms;
    timer_set(a->timers, &c->gather_timer, ms, write_gathered, a);
}

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
            gather_in(a, GATHER_MS);
        }
    }
    mu_free(o);
}

static void keep(struct coordinates *c, struct mu_span node, const struct coordinate *at)
{
    struct coordinate *kept = mu_table_find(c->gathered, node);

    if (kept == NULL) {
        kept = mu_new(sizeof *kept);
        (void)mu_table_put(c->gathered, node, kept);
    }
    *kept = *at;
}

/* Those that have moved; how long they may wait, all together. */
static uint64_t gathered_take(struct agent *a, struct mu_arena *arena,
                              struct command_coordinates *out)
{
    struct coordinates *c = a->coordinates;
    struct mu_table_at at = { .started = false };
    uint64_t least = UINT64_MAX;

    out->items = mu_arena_array(arena, mu_table_count(c->gathered), sizeof *out->items);
    while (mu_table_next(c->gathered, &at)) {
        const struct coordinate *now = at.value;
        uint64_t wait = wait_of(a, arena, at.key, now);

        if (wait != UINT64_MAX) {
            out->items[out->count++] =
                (struct command_coordinate){ .node = mu_arena_span(arena, at.key), .at = *now };
        }
        least = wait < least ? wait : least;
    }
    forget_gathered(c);
    return least;
}

static void write_gathered(void *data)
{
    struct agent *a = data;
    struct coordinates *c = a->coordinates;
    struct command command = { .kind = COMMAND_COORDINATES };
    struct mu_arena arena;

    if (c->order != NULL || a->phase >= AGENT_ENDING) {
        return; /* on_written() comes back to those that came meanwhile */
    }
    mu_arena_init(&arena, 0);
    bool is_crowded = mu_table_count(c->gathered) > MU_COORDINATES_MAX / 2;
    uint64_t wait = gathered_take(a, &arena, &command.coordinates);
    uint64_t age = timers_now(a->timers) - c->written_ms;

    if (command.coordinates.count == 0) {
        mu_log(MU_DEBUG, "agent.server.coordinate", "No node has moved");
    } else if (age >= wait || is_crowded) {
        c->written_ms = timers_now(a->timers);
        c->order = mu_new(sizeof *c->order);
        c->order->agent = a;
        agent_write(a, &command, on_written, c->order);
    } else {
        for (size_t i = 0; i < command.coordinates.count; i++) {
            keep(c, command.coordinates.items[i].node, &command.coordinates.items[i].at);
        }
        gather_in(a, wait - age);
    }
    mu_arena_deinit(&arena);
}

enum mu_code agent_coordinate_note(struct agent *a, struct mu_span node,
                                   const struct coordinate *at, struct mu_err *err)
{
    struct coordinates *c = a->coordinates;

    MU_ASSERT(coordinate_is_valid(at));
    if (!c->is_in_office) {
        return mu_fail(err, MU_NO_LEADER, "No cluster leader");
    }
    if (mu_table_find(c->gathered, node) == NULL &&
        mu_table_count(c->gathered) >= MU_COORDINATES_MAX) {
        return mu_fail(err, MU_BUSY, "Discarded coordinate updates, %d are waiting",
                       MU_COORDINATES_MAX);
    }
    keep(c, node, at);
    if (c->order == NULL &&
        (!timer_is_set(&c->gather_timer) || c->gather_at_ms > timers_now(a->timers) + GATHER_MS)) {
        gather_in(a, GATHER_MS);
    }
    return MU_OK;
}

void agent__coordinates_lead(struct agent *a)
{
    a->coordinates->is_in_office = true;
    a->coordinates->written_ms = timers_now(a->timers);
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
