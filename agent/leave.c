/* leave.c - going in order, and having gone: what this server does when it is no member any more.
 *
 *   RUNNING --> leadership given away, if it leads --> gossip tells the others --> answered
 *           --> a server: out of consensus' configuration --> its own handlers have run --> ended
 *
 * The leader takes a server that left out of the configuration at once. Until then this one stays,
 * for it may be needed to decide that; but not for ever, since there may be no leader to do it.
 *
 * A server that was removed without leaving was cleaned up while it was away, or somebody removed
 * it while it ran. Either way its disk never comes back (spec/consensus.md 2.8). As with Consul,
 * where a server that runs is added again, it starts over and joins as a new one, with what it held
 * set aside (aside.h). Who does not want it back stops it first.
 */
#include <string.h>

#include "aside.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "requests.h"

#define REMOVAL_MS  5000U /* how long the leader may take to remove us, */
#define HANDLERS_MS 5000U /* and then our handlers to run for our own leave */

struct parting {
    struct agent *agent;
    agent_stopped_fn *done;
    void *data;
};

static void on_settled(void *data)
{
    struct parting *p = data;

    p->done(p->data);
    mu_free(p);
}

/* Everything that was accepted here is committed; whoever waits for it is answered first. */
static void on_handed_over(void *data, enum mu_code code, const char *why, uint64_t index)
{
    struct parting *p = data;

    (void)index;
    if (code != MU_OK && code != MU_NOT_LEADER) {
        mu_log(MU_INFO, "agent.server", "Leadership stays without an heir", mu_kv("reason", why));
    }
    if (p->agent->requests != NULL) {
        agent__requests_settle(p->agent, on_settled, p);
    } else {
        on_settled(p);
    }
}

static void on_nothing_to_part_with(void *data, enum mu_code code, const struct mu_err *err)
{
    on_handed_over(data, code, err->text, 0);
}

void agent_part(struct agent *a, agent_stopped_fn *done, void *data)
{
    struct parting *p = mu_new(sizeof *p);

    p->agent = a;
    p->done = done;
    p->data = data;
    if (a->has_consensus_started && agent__leads(a)) {
        consensus_driver_transfer(a->consensus, &MU_ID_NONE, on_handed_over, p);
    } else {
        agent__later(a, on_nothing_to_part_with, p, MU_OK, NULL);
    }
}

struct leaving {
    struct agent *agent;
    agent_done_fn *done;
    void *data;
};

static void leave_answer(struct leaving *l)
{
    struct mu_err none = MU_ERR_NONE;

    l->done(l->data, MU_OK, &none);
    mu_free(l);
}

static void on_handlers_settled(void *data)
{
    struct agent *a = data;

    mu_log(MU_INFO, "agent", "Graceful leave complete");
    agent__end(a, AGENT_LEFT);
}

/* Gone for the others. Whoever follows what happens here hears of that, too: a handler may have to
 * take this node out of a load balancer. */
static void leave_end(void *data)
{
    struct agent *a = data;

    if (!a->has_left) {
        a->has_left = true;
        agent__ipc_flush(a);
        agent__handlers_settle(a, HANDLERS_MS, on_handlers_settled, a);
    }
}

/* There are others, and they have not decided yet that this server is out. */
static bool is_awaited(struct agent *a)
{
    struct consensus_config config;
    struct consensus_status status;
    bool is_alone = true;

    if (a->consensus == NULL) {
        return false;
    }
    consensus_driver_config(a->consensus, &config);
    consensus_driver_status(a->consensus, &status);
    for (uint32_t i = 0; i < config.servers_count; i++) {
        is_alone = is_alone && mu_id_eq(&config.servers[i].id, &a->data.node);
    }
    return !is_alone && !status.is_removed;
}

static void on_left(void *data)
{
    struct leaving *l = data;
    struct agent *a = l->agent;

    leave_answer(l);
    if (is_awaited(a)) {
        timer_set(a->timers, &a->leave_timer, REMOVAL_MS, leave_end, a);
    } else {
        leave_end(a);
    }
}

/* Another server leads, or none could: either way the others may now hear that we go. */
static void on_parted(void *data)
{
    struct leaving *l = data;

    if (l->agent->phase == AGENT_LEAVING) {
        gossip_driver_leave(l->agent->gossip, on_left, l);
    } else { /* it is stopped */
        leave_answer(l);
    }
}

void agent_leave(struct agent *a, agent_done_fn *done, void *data)
{
    if (a->phase != AGENT_RUNNING) {
        agent__later(a, done, data, MU_OK, NULL);
        return;
    }
    struct leaving *l = mu_new(sizeof *l);

    mu_log(MU_INFO, "agent",
           a->config->serf.is_on ? "requesting graceful leave from Serf"
                                 : "Gracefully leaving the cluster");
    a->phase = AGENT_LEAVING;
    l->agent = a;
    l->done = done;
    l->data = data;
    agent_part(a, on_parted, l);
}

struct forcing {
    agent_done_fn *done;
    void *data;
};

static void on_forced(void *data, bool is_told)
{
    struct forcing *f = data;
    struct mu_err err = MU_ERR_NONE;

    if (!is_told) {
        (void)mu_fail(&err, MU_TIMEOUT, "timed out broadcasting node removal");
    }
    f->done(f->data, is_told ? MU_OK : MU_TIMEOUT, &err);
    mu_free(f);
}

/* Done when others were told: whoever ends this agent then loses nothing. */
void agent_force_leave(struct agent *a, const char *name, bool prune, agent_done_fn *done,
                       void *data)
{
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc = gossip_driver_force_leave(a->gossip, name, prune, &err);

    if (rc != MU_OK) {
        (void)mu_fail(&err, rc, "agent: No node found with name '%s'", name);
        agent__later(a, done, data, rc, err.text);
        return;
    }
    struct forcing *f = mu_new(sizeof *f);

    f->done = done;
    f->data = data;
    gossip_driver_spread(a->gossip, on_forced, f);
}

/* -- removed ----------------------------------------------------------------------------------- */

/* False: told why not. */
static bool set_aside(struct agent *a)
{
    struct mu_err err = MU_ERR_NONE;

    if (aside_begin(a->data.dir, ASIDE_REMOVED, &err) == MU_OK) {
        return true;
    }
    mu_log(MU_ERROR, "agent.server", "Cannot set aside what this server held",
           mu_kv("error", err.text));
    return false;
}

void agent__removed(struct agent *a, const char *why)
{
    if (a->phase == AGENT_LEAVING) {
        (void)set_aside(a); /* at the next start it is a new server */
        if (timer_is_set(&a->leave_timer)) {
            timer_set(a->timers, &a->leave_timer, 0, leave_end, a);
        } /* else gossip is still telling the others */
        return;
    }
    mu_log(MU_WARN, "agent.server",
           "This server was removed from the cluster: it starts over and joins as a new one",
           mu_kv("reason", why));
    agent__end(a, set_aside(a) ? AGENT_AGAIN : AGENT_FAILED);
}
