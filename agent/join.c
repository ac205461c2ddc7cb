/* join.c - finding the others: the retry_join loop, and start_join of `serf agent` before it.
 *
 * `join` means retry_join. Tries after 0.2, 0.4, 0.8 ... s up to retry_interval; only those a whole
 * interval apart count towards retry_max (DESIGN 3). Servers also try the nodes of their catalog,
 * so that a cluster whose machines were all restarted finds itself without a list. A client agent
 * that lost every server tries each second.
 *
 * start_join has one try, whose end is the owner's: it is not for scripts to wait for. Only a name
 * that is held is asked for again, with the pauses of the loop, since our dead self may hold it.
 */
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "reconcile_command.h"

#define FIRST_MS          200U
#define LOST_MS           1000U
#define CONFLICT_MS       30000U /* the holder of our name may be our own dead self */
#define CATALOG_NODES_MAX 16     /* addresses of the catalog tried besides the configured ones */
#define CATALOG_LOOKS_MAX 256    /* nodes of it looked at for that */

struct join {
    struct agent *agent;
    bool is_running; /* a join is under way: its callback comes */
    bool is_joined;  /* somebody of the loop's list was contacted in this life */
    bool has_tried;  /* or all of it was tried once */
    bool is_first;   /* start_join is what is tried; the loop's list comes when it is done */
    bool is_closed;
    bool has_lost; /* client: no server is alive */
    uint64_t pause_ms;
    int64_t whole_tries;  /* a whole interval apart */
    uint64_t conflict_ms; /* since when somebody else holds our name; 0: nobody does */
    char *conflict;       /* who */
    struct timer timer;
    agent_join_first_fn *first_done; /* NULL: nobody waits for start_join */
    void *first_data;
};

static void join_try(void *data);

static void join_free(struct join *j)
{
    mu_free(j->conflict);
    mu_free(j);
}

/* -- addresses --------------------------------------------------------------------------------- */

struct addresses {
    struct mu_arena arena;
    const char **items;
    size_t count, room;
};

static void address_add(struct addresses *l, const char *text)
{
    for (size_t i = 0; i < l->count; i++) {
        if (strcmp(l->items[i], text) == 0) {
            return;
        }
    }
    if (l->count < l->room) {
        l->items[l->count++] = mu_arena_strdup(&l->arena, text);
    }
}

/* Another one that gossip has known: whoever was only registered has no agent to ask. */
static bool is_member(struct agent *a, struct mu_arena *arena, struct mu_span name)
{
    struct catalog_checks checks = { .count = 0 };
    struct mu_err err = MU_ERR_NONE;

    if (mu_span_eq_text(name, a->config->node_name) ||
        catalog_query_node_checks(a->reader, arena, name, &checks, &err) != MU_OK) {
        return false;
    }
    for (size_t i = 0; i < checks.count; i++) {
        if (mu_span_eq_text(checks.items[i].id, RECONCILE_HEALTH)) {
            return true;
        }
    }
    return false;
}

/* The state from before the restart knows where the others lived. */
static void addresses_of_catalog(struct agent *a, struct addresses *l)
{
    struct catalog_nodes nodes = { .count = 0 };
    struct mu_err err = MU_ERR_NONE;

    if (catalog_query_nodes(a->reader, &l->arena, NULL, &nodes, &err) != MU_OK) {
        mu_log(MU_WARN, "agent", "Cannot read the catalog's nodes", mu_kv("error", err.text));
        return;
    }
    for (size_t i = 0; i < nodes.count && i < CATALOG_LOOKS_MAX && l->count < l->room; i++) {
        if (is_member(a, &l->arena, nodes.items[i].name)) {
            address_add(l, mu_arena_text(&l->arena, nodes.items[i].address.data,
                                         nodes.items[i].address.bytes));
        }
    }
}

/* How many are configured, of what is tried now. */
static size_t given_count(const struct join *j)
{
    const struct config *c = j->agent->config;

    return j->is_first ? c->serf.start_join_count : c->retry_join_count;
}

static void addresses_gather(struct agent *a, struct addresses *l)
{
    const struct config *c = a->config;
    const char **list = a->join->is_first ? c->serf.start_join : c->retry_join;
    size_t count = given_count(a->join);

    mu_arena_init(&l->arena, 0);
    l->count = 0;
    l->room = count + CATALOG_NODES_MAX;
    l->items = mu_arena_array(&l->arena, l->room, sizeof *l->items);
    for (size_t i = 0; i < count; i++) {
        address_add(l, list[i]);
    }
    if (agent_is_server(a)) {
        addresses_of_catalog(a, l);
    }
}

/* -- the loop ---------------------------------------------------------------------------------- */

static bool wants_more(const struct join *j)
{
    return j->has_lost || (!j->is_joined && given_count(j) > 0);
}

static uint64_t pause_of(const struct join *j)
{
    uint64_t interval = (uint64_t)j->agent->config->retry_interval_ms;
    uint64_t pause = j->has_lost ? LOST_MS : j->pause_ms < interval ? j->pause_ms : interval;
    uint64_t held_ms = j->conflict_ms > 0 ? timers_now(j->agent->timers) - j->conflict_ms : 0;

    /* The last word about a taken name is one more try, when its time is over and not later. */
    return held_ms > 0 && held_ms < CONFLICT_MS && CONFLICT_MS - held_ms < pause
               ? CONFLICT_MS - held_ms
               : pause;
}

/* In the words of Consul or Serf, which scripts look for. */
static void say_joining(const struct join *j)
{
    const struct config *c = j->agent->config;

    if (j->first_done != NULL) {
        return; /* the owner has said it */
    }
    if (c->serf.is_on) {
        mu_logf(MU_INFO, "agent", "Joining cluster...(replay: %s)",
                c->serf.replays ? "true" : "false");
    } else if (c->retry_join_count > 0) {
        mu_log(MU_INFO, "agent", "Joining cluster...");
    }
}

static void say_joined(const struct agent *a, unsigned contacted)
{
    if (a->config->serf.is_on) {
        mu_logf(MU_INFO, "agent", "Join completed. Synced with %u initial agents", contacted);
    } else {
        mu_log(MU_INFO, "agent", "Join cluster completed. Synced with initial agents",
               mu_kv_u("num_agents", contacted));
    }
}

static void say_failed(const struct join *j, const char *why)
{
    char pause[MU_DURATION_TEXT_MAX];

    if (j->agent->config->serf.is_on) {
        mu_duration_text((int64_t)pause_of(j) * MU_NS_PER_MS, pause);
        mu_logf(MU_WARN, "agent", "Join failed: %s, retrying in %s", why, pause);
    } else {
        mu_log(MU_WARN, "agent", "Join cluster failed, will retry", mu_kv("error", why));
    }
}

static void join_again(struct join *j)
{
    struct agent *a = j->agent;
    uint64_t interval = (uint64_t)a->config->retry_interval_ms;
    uint64_t pause = pause_of(j);

    if (pause == interval && !j->has_lost) {
        j->whole_tries++;
    }
    j->pause_ms = j->pause_ms * 2 < interval ? j->pause_ms * 2 : interval;
    timer_set(a->timers, &j->timer, pause, join_try, j);
}

/* -- a name that is taken -----------------------------------------------------------------------
 */

static bool has_waited(const struct join *j)
{
    return j->conflict_ms > 0 && timers_now(j->agent->timers) - j->conflict_ms >= CONFLICT_MS;
}

static void give_up(struct join *j)
{
    mu_log(
        MU_ERROR, "agent",
        j->agent->config->serf.is_on
            ? "Giving up: this node's name or id stays taken. Stop the other node, or start "
              "this one with another -node (its id: without the .muster directory of its -snapshot)"
            : "Giving up: this node's name or id stays taken. Stop the other node, or start "
              "this one with another -node (its id: with another -node-id, or on an empty "
              "-data-dir)",
        mu_kv("conflict", j->conflict));
    agent__end(j->agent, AGENT_FAILED);
}

void agent__join_conflict(struct agent *a, const char *text)
{
    struct join *j = a->join;
    uint64_t now_ms = timers_now(a->timers);

    /* Who is a member already holds the name rightly; the newcomer gives way. */
    if (j == NULL || agent__has_joined(a) || a->phase >= AGENT_LEAVING) {
        return;
    }
    mu_free(j->conflict);
    j->conflict = mu_strdup(text);
    if (j->conflict_ms == 0) {
        j->conflict_ms = now_ms > 0 ? now_ms : 1;
    } else if (has_waited(j)) {
        give_up(j);
    }
}

/* -- the answer to a try ------------------------------------------------------------------------
 */

/* Who waits hears it here, once; false: nobody does. */
static bool tell_first(struct join *j, unsigned contacted, enum mu_code code, const char *why)
{
    agent_join_first_fn *done = j->first_done;

    if (done == NULL) {
        return false;
    }
    j->first_done = NULL;
    done(j->first_data, contacted, code, why);
    return true;
}

static void on_contact(struct join *j, unsigned contacted)
{
    j->has_lost = false;
    j->conflict_ms = 0;
    if (!tell_first(j, contacted, MU_OK, "")) {
        say_joined(j->agent, contacted);
    }
    if (!j->is_first) {
        j->is_joined = true;
        return;
    }
    j->is_first = false;
    j->pause_ms = FIRST_MS;
    j->whole_tries = 0;
    agent_join_configured(j->agent);
}

static void on_joined(void *data, unsigned contacted, const char *why)
{
    struct join *j = data;
    struct agent *a = j->agent;

    j->is_running = false;
    if (j->is_closed) {
        join_free(j);
        return;
    }
    j->has_tried |= !j->is_first;
    agent__peers_refresh(a);
    if (contacted > 0) {
        on_contact(j, contacted);
        return;
    }
    if (!wants_more(j) || a->phase >= AGENT_LEAVING) {
        return;
    }
    bool is_held = j->conflict != NULL && strstr(why, j->conflict) != NULL;

    if (tell_first(j, 0, is_held ? MU_CONFLICT : MU_UNREACHABLE, why) && !is_held) {
        return; /* the owner ends us */
    }
    say_failed(j, why);
    if (has_waited(j) && is_held) {
        give_up(j); /* notices of it are fewer than tries */
        return;
    }
    if (a->config->retry_max > 0 && j->whole_tries >= a->config->retry_max) {
        mu_log(MU_ERROR, "agent",
               a->config->serf.is_on ? "maximum retry join attempts made, exiting"
                                     : "max join LAN retry exhausted, exiting");
        agent__end(a, AGENT_FAILED);
        return;
    }
    join_again(j);
}

static void join_try(void *data)
{
    struct join *j = data;
    struct agent *a = j->agent;
    struct addresses l;

    if (j->is_running || a->phase >= AGENT_LEAVING) {
        return;
    }
    addresses_gather(a, &l);
    if (l.count > 0) {
        say_joining(j);
        j->is_running = true;
        gossip_driver_join(a->gossip, l.items, l.count, a->config->serf.replays, on_joined, j);
    }
    mu_arena_deinit(&l.arena);
}

void agent_join_configured(struct agent *a)
{
    timer_set(a->timers, &a->join->timer, 0, join_try, a->join);
}

void agent_join_first(struct agent *a, agent_join_first_fn *done, void *data)
{
    struct join *j = a->join;

    MU_ASSERT(a->config->serf.start_join_count > 0);
    j->is_first = true;
    j->first_done = done;
    j->first_data = data;
    agent_join_configured(a);
}

void agent__join_soon(struct agent *a)
{
    struct join *j = a->join;

    if (j != NULL && wants_more(j) && !j->is_running && a->phase < AGENT_LEAVING) {
        j->pause_ms = FIRST_MS;
        timer_set(a->timers, &j->timer, 0, join_try, j);
    }
}

void agent__join_lost(struct agent *a)
{
    struct join *j = a->join;

    if (j == NULL || j->has_lost || a->phase >= AGENT_LEAVING) {
        return;
    }
    mu_log(MU_WARN, "agent.client", "No server is alive any more, looking for one");
    j->has_lost = true;
    join_again(j);
}

bool agent__is_to_ask(const struct agent *a)
{
    return a->join != NULL && a->config->retry_join_count > 0 && !a->join->has_tried;
}

bool agent__has_joined(const struct agent *a)
{
    return a->join->is_joined || gossip_driver_stats(a->gossip).alive > 1;
}

void agent__join_open(struct agent *a)
{
    a->join = mu_new(sizeof *a->join);
    a->join->agent = a;
    a->join->pause_ms = FIRST_MS;
}

void agent__join_close(struct agent *a)
{
    struct join *j = a->join;

    if (j == NULL) {
        return;
    }
    a->join = NULL;
    timer_cancel(&j->timer);
    if (j->is_running) {
        j->is_closed = true; /* its callback ends it */
        return;
    }
    join_free(j);
}

/* -- the API's join ---------------------------------------------------------------------------- */

struct api_join {
    agent_done_fn *done;
    void *data;
};

static void on_api_joined(void *data, unsigned contacted, const char *why)
{
    struct api_join *j = data;
    struct mu_err err = MU_ERR_NONE;

    if (contacted == 0) {
        (void)mu_fail(&err, MU_UNREACHABLE, "%s", why);
    }
    j->done(j->data, err.code, &err);
    mu_free(j);
}

void agent_join(struct agent *a, const char *address, agent_done_fn *done, void *data)
{
    struct api_join *j = mu_new(sizeof *j);

    j->done = done;
    j->data = data;
    gossip_driver_join(a->gossip, &address, 1, false, on_api_joined, j);
}
