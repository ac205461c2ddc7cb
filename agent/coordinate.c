/* coordinate.c - coordinates of nodes on their way into the catalog (agent-behaviour 12).
 *
 * Every agent tells the leader where its node is, each max(sync_coordinate_interval_min, members /
 * 64 s), up to twice that at random: however large the cluster, the leader hears 64 a second at
 * most. It travels as PUT /v1/coordinate/update, the way of any request that only a leader can
 * answer. What has hardly moved is told only once a minute.
 *
 * The leader gathers, the newest of each node, and looks at them five seconds after the first. One
 * that the catalog does not know is written at once, in one entry with all that have moved. Else
 * the entry waits for what it has to say: distances between nodes, which is all that anybody asks
 * for, are compared with what the catalog makes of them, and with how sure the nodes are of
 * themselves. What is off by several times its doubt is written some seconds after it is known (a
 * node that was told before it had measured much); what is within doubt waits until the last entry
 * is a quarter of an hour old. Links that jitter move their nodes all the time, far ones by
 * milliseconds and all together, and an entry costs every server some pages: an idle cluster is to
 * write nearly nothing (wish 19; the reference writes every five seconds).
 *
 * More than an entry takes is never held: half of it is written without waiting, and what would not
 * fit is refused and told again. What the leader holds when it loses its office is lost: each node
 * tells it again within a minute.
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
#define ERROR_CHANGE   0.1
#define DOUBT_MIN      0.25  /* nobody is surer than that: links differ from hour to hour */
#define NEAR_S         0.001 /* with what is nearer than that a share of it says nothing */
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

bool coordinate_has_moved(const struct coordinate_move *m)
{
    double heights = m->was.height + m->now.height;
    double moved = coordinate_distance_raw(&m->was, &m->now) - heights;

    moved += fabs(m->was.height - m->now.height) + fabs(m->was.adjustment - m->now.adjustment);
    return moved > MOVED_S || fabs(m->was.error - m->now.error) > ERROR_CHANGE;
}

static double doubt(const struct coordinate *a, const struct coordinate *b)
{
    return fmax(DOUBT_MIN, fmax(a->error, b->error));
}

/* How far off the catalog is about two nodes, as a multiple of what is in doubt anyway; it counts
 * for more where the catalog has what was in greater doubt. */
static double news(const struct coordinate_move *a, const struct coordinate_move *b)
{
    double was = coordinate_distance(&a->was, &b->was);
    double now = coordinate_distance(&a->now, &b->now);
    double change = fabs(now - was);
    double doubt_now = doubt(&a->now, &b->now);

    if (change <= MOVED_S) {
        return 0;
    }
    return change / (fmax(was, now) + NEAR_S) / doubt_now *
           fmax(1, doubt(&a->was, &b->was) / doubt_now);
}

/* Of hundreds, not all pairs. */
uint64_t coordinate_wait_ms(const struct coordinate_move *moves, size_t count)
{
    double most = 1;

    for (size_t i = 1; i < count; i++) {
        most = fmax(most, fmax(news(&moves[i], &moves[0]), news(&moves[i], &moves[i - 1])));
    }
    return (uint64_t)(COORDINATE_WAIT_MS_MAX / (most * most * most));
}

static bool known_at(struct agent *a, struct mu_arena *arena, struct mu_span node,
                     struct coordinate *out)
{
    struct catalog_coordinates known = { .count = 0 };
    struct mu_err err = MU_ERR_NONE;

    if (catalog_query_coordinate(a->reader, arena, node, &known, &err) != MU_OK ||
        known.count == 0) {
        return false;
    }
    *out = known.items[0].at;
    return true;
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

/* Those that have moved; how long they may wait, all together. Others are far or near from this
 * node and from those that have not moved, too. */
static uint64_t gathered_take(struct agent *a, struct mu_arena *arena,
                              struct command_coordinates *out)
{
    struct coordinates *c = a->coordinates;
    const char *self = a->config->node_name;
    struct mu_table_at at = { .started = false };
    size_t count = mu_table_count(c->gathered);
    struct coordinate_move *moves = mu_arena_array(arena, count + 1, sizeof *moves);
    size_t moves_count = 0;
    bool has_new = false;

    if (known_at(a, arena, mu_span_text(self), &moves[0].was)) {
        moves_count += agent_coordinate(a, self, &moves[0].now);
    }
    out->items = mu_arena_array(arena, count, sizeof *out->items);
    while (mu_table_next(c->gathered, &at)) {
        struct coordinate_move m = { .now = *(const struct coordinate *)at.value };
        bool is_new = !known_at(a, arena, at.key, &m.was);

        if (is_new || coordinate_has_moved(&m)) {
            out->items[out->count++] =
                (struct command_coordinate){ .node = mu_arena_span(arena, at.key), .at = m.now };
        }
        if (!is_new && !mu_span_eq_text(at.key, self)) {
            moves[moves_count++] = m;
        }
        has_new = has_new || is_new;
    }
    forget_gathered(c);
    return has_new ? 0 : coordinate_wait_ms(moves, moves_count);
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
    struct coordinate_move m = { .was = c->told };
    uint64_t now_ms = timers_now(a->timers);

    if (a->phase >= AGENT_LEAVING) {
        return;
    }
    if (c->telling == NULL && agent_coordinate(a, a->config->node_name, &m.now) &&
        (c->told_ms == 0 || now_ms >= c->told_ms + TELL_ANYWAY_MS || coordinate_has_moved(&m))) {
        tell(a, &m.now);
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
