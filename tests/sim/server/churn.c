/* churn.c - servers that leave the cluster and come back on a blank disk, as operators do it:
 * removed by the leader, wiped, added as a learner, promoted; and leadership handed over.
 *
 * What is next is read off the configuration of whoever leads, so it does not matter which answers
 * are lost on the way, or who leads in the middle.
 */
#include <string.h>

#include "world.h"

#define TICK_MS 150

static struct server *ready_leader(struct world *w)
{
    for (size_t i = 0; i < w->servers_count; i++) {
        struct server *s = &w->servers[i];

        if (server_is_up(s) && s->node.core != NULL && s->node.is_leader && s->node.is_ready &&
            w->now >= s->paused_until) {
            return s;
        }
    }
    return NULL;
}

static void on_changed(void *data, enum mu_code code, const char *why, uint64_t index)
{
    struct world *w = data;

    (void)index;
    w->churn.is_asked = false;
    if (code != MU_OK) {
        world_say(w, "churn: %s: %s", mu_code_text(code), why != NULL ? why : "");
    }
}

static void ask(struct world *w, struct server *leader, enum consensus_change_kind kind)
{
    const struct server *s = w->churn.victim;
    struct consensus_change change = { .kind = kind, .server = s->id };

    if (kind == CONSENSUS_ADD) {
        change.disk = s->node.identity.disk;
        change.level = s->level_max;
    }
    world_say(w, "churn: %s asks to %s %s", leader->name,
              kind == CONSENSUS_ADD       ? "add"
              : kind == CONSENSUS_PROMOTE ? "promote"
                                          : "remove",
              s->name);
    w->churn.is_asked = true;
    consensus__node_change(&leader->node, &change, on_changed, w);
    server_settle(leader);
}

/* Nothing of its former life is left. */
static void wipe(struct world *w, uint64_t term)
{
    struct server *s = w->churn.victim;

    server_crash(s, true, NEVER);
    world_say(w, "%s: gets a blank disk", s->name);
    disk_wipe(s->disk);
    s->durable_told = s->match_told = s->voted_term = 0;
    s->wiped_term = term;
    s->is_torn = false;
    s->is_hurt = s->is_state_hurt = s->is_remade = s->is_doubted = s->is_refused = false;
    s->noted = 0;
    s->deaths = 0;
    version_wiped(s);
    s->joins = true;
    w->churn.is_wiped = true;
    server_start(s);
}

static void step(struct world *w, struct server *leader)
{
    const struct consensus_config *config = consensus_config_now(leader->node.core);
    struct server *s = w->churn.victim;
    const struct consensus_server *as = consensus_config_find(config, &s->id);
    struct consensus_status st;

    consensus_status(leader->node.core, &st);
    if (w->churn.is_asked || st.commit < config->index) {
        return;
    }
    if (as == NULL && !w->churn.is_wiped && w->churn.lingers > 0) {
        w->churn.lingers--; /* it may still have to hear that it is out */
    } else if (as == NULL && !w->churn.is_wiped) {
        wipe(w, st.term);
    } else if (as == NULL) {
        if (server_is_up(s)) {
            ask(w, leader, CONSENSUS_ADD);
        }
    } else if (!w->churn.is_wiped) {
        ask(w, leader, CONSENSUS_REMOVE);
    } else if (as->is_learner) {
        ask(w, leader, CONSENSUS_PROMOTE);
    } else if (as->is_voter && !config->is_joint) {
        world_say(w, "churn: %s is back", s->name);
        w->churn.rounds++;
        w->churn.victim = NULL;
    }
}

static void on_tick(void *data)
{
    struct world *w = data;
    struct server *leader = ready_leader(w);

    if (leader != NULL && w->churn.victim != NULL) {
        step(w, leader);
    }
    event_set(w, &w->churn.tick, w->now + TICK_MS * MS, on_tick, w);
}

void churn_begin(struct world *w)
{
    event_set(w, &w->churn.tick, w->now, on_tick, w);
}

void churn_end(struct world *w)
{
    event_cancel(w, &w->churn.tick);
}

bool churn_is_done(struct world *w)
{
    return w->churn.victim == NULL;
}

/* Not while too few others could go on without it. */
void churn_server(struct world *w, struct server *s)
{
    size_t intact = 0;

    for (size_t i = 0; i < w->servers_count; i++) {
        intact += &w->servers[i] != s && server_is_whole(&w->servers[i]);
    }
    if (w->churn.victim == NULL && intact >= w->servers_count / 2 + 1) {
        w->churn.victim = s;
        w->churn.is_wiped = false;
        w->churn.lingers =
            world_has(w, FAULT_ask) ? mu_rand_below(&w->calls_rand, 4000 / TICK_MS) : 0;
    }
}

static void on_transferred(void *data, enum mu_code code, const char *why, uint64_t index)
{
    struct world *w = data;

    (void)index;
    world_say(w, "transfer: %s %s", mu_code_text(code), why != NULL ? why : "");
}

void churn_transfer(struct world *w, const struct server *to)
{
    struct server *leader = ready_leader(w);

    if (leader != NULL && leader != to) {
        world_say(w, "%s is asked to give its office to %s", leader->name, to->name);
        consensus__node_transfer(&leader->node, &to->id, on_transferred, w);
        server_settle(leader);
    }
}
