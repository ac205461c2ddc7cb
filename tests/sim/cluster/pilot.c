/* pilot.c - a leader's care for the servers, through agent/autopilot.h, and what goes wrong with
 * servers then: one that is away for long is cleaned up, hears of it when it returns, and comes in
 * anew; one comes back on a blank disk, or at another address.
 *
 * What agent/caretaker.c and agent/roster.c do around it is done here in their order. Judged with
 * each decision, by what is and not by what was heard: enough voters that live stay behind a
 * removal, and nobody is cleaned up who has been there all the time.
 */
#include <stdio.h>
#include <string.h>

#include "agent/autopilot.h"
#include "agent/autopilot_view.h"
#include "base/assert.h"
#include "cluster.h"
#include "core.h"

#define LOOK_MS 1000U
#define HEARD_MS \
    3500U /* silence of two seconds is looked for, once a second, over a slow network */

static uint64_t clock_of(const struct cluster *c, const struct server *s)
{
    return sim_local(s->node, c->log->now);
}

/* -- what it looks at ---------------------------------------------------------------------------
 */

static void add_seen(void *data, const struct gossip_view *m)
{
    struct server_tags t;

    if (server_tags_read(m, &t)) {
        autopilot_view_seen(data, &(struct autopilot_sighting){
                                      .name = m->name,
                                      .server = t.id,
                                      .disk = t.disk,
                                      .cluster = t.cluster,
                                      .status = m->status,
                                  });
    }
}

/* -- what is judged -----------------------------------------------------------------------------
 */

static struct server *server_of(struct cluster *c, const struct mu_id *id)
{
    for (size_t i = 0; i < c->servers_count; i++) {
        if (mu_id_eq(&c->servers[i].node->id, id)) {
            return &c->servers[i];
        }
    }
    MU_UNREACHABLE_CODE();
}

/* Who can be heard of by a leader, and since when. */
static void reach_follow(struct cluster *c, size_t leader)
{
    struct office *o = &c->servers[leader].office;

    for (size_t i = 0; i < c->servers_count; i++) {
        const struct sim_node *n = c->servers[i].node;
        bool reaches =
            member_runs(c, i) && network_link(c, leader, i) && n->core != NULL && n->dead == NULL;

        if (!reaches || !mu_id_eq(&o->reach[i].disk, &n->disk.id)) {
            o->reach[i].since_ms = c->now_ms;
        }
        if (reaches) {
            o->reach[i].disk = n->disk.id;
            o->reach[i].last_ms = c->now_ms;
        }
    }
}

static bool is_there(struct cluster *c, const struct office *o, const struct consensus_server *s)
{
    size_t place = server_of(c, &s->id)->node->place;

    return mu_id_eq(&o->reach[place].disk, &s->disk) &&
           c->now_ms - o->reach[place].last_ms <= HEARD_MS;
}

static void removal_judge(struct cluster *c, struct server *s, const struct autopilot_output *wish)
{
    const struct consensus_config *config = consensus_config_now(s->node->core);
    const struct consensus_server *gone = consensus_config_find(config, &wish->id);
    const struct office *o = &s->office;
    size_t place = server_of(c, &wish->id)->node->place;
    size_t voters = 0;
    size_t living = 0;

    for (uint32_t i = 0; i < config->servers_count; i++) {
        const struct consensus_server *other = &config->servers[i];

        if (other->is_voter && other != gone) {
            voters++;
            living += is_there(c, o, other);
        }
    }
    if (gone->is_voter && living < voters / 2 + 1) {
        cluster_fail(c, "autopilot keeps a quorum: %s removes %s, %zu of the %zu others live",
                     s->node->name, member_name(c, place), living, voters);
    }
    if (is_there(c, o, gone) && o->reach[place].last_ms == c->now_ms &&
        c->now_ms - o->reach[place].since_ms > c->stabilization_ms + HEARD_MS &&
        mu_id_eq(&o->reach[place].disk, &gone->disk)) {
        cluster_fail(c, "autopilot cleans up the dead: %s removes %s, which lives", s->node->name,
                     member_name(c, place));
    }
    c->sums.cleaned++;
}

/* -- what it does -------------------------------------------------------------------------------
 */

static void carry_out(struct cluster *c, struct server *s, const struct autopilot_output *wish)
{
    static const enum consensus_change_kind kinds[] = {
        [AUTOPILOT_ADD] = CONSENSUS_ADD,
        [AUTOPILOT_PROMOTE] = CONSENSUS_PROMOTE,
        [AUTOPILOT_REMOVE] = CONSENSUS_REMOVE,
    };
    struct office *o = &s->office;

    cluster_say(c, "%s: autopilot: %s %s: %s", s->node->name, autopilot_kind_text(wish->kind),
                server_of(c, &wish->id)->node->name, wish->why);
    if (wish->kind == AUTOPILOT_REMOVE) {
        removal_judge(c, s, wish);
    }
    o->change = (struct consensus_change){ .kind = kinds[wish->kind],
                                           .server = wish->id,
                                           .disk = wish->disk };
    o->change_ticket = NEVER; /* it may be answered at once */
    uint64_t ticket = sim_change(c->log, s->node, &o->change);

    o->change_ticket = o->change_ticket == NEVER ? ticket : 0;
}

static void look(struct cluster *c, struct server *s)
{
    struct autopilot_server servers[AUTOPILOT_SERVERS_MAX];
    struct autopilot_view view = {
        .servers = servers,
        .config = *consensus_config_now(s->node->core),
        .cluster = s->node->disk.hard.cluster,
    };
    struct office *o = &s->office;
    struct consensus_status status;
    struct autopilot_output wish;

    consensus_status(s->node->core, &status);
    autopilot_view_configured(&view, &s->node->id);
    autopilot_view_progress(&view, &status);
    gossip_each(world_core(c->gossip, s->node->place), add_seen, &view);
    struct autopilot_input in = {
        .now_ms = clock_of(c, s),
        .settings = { .cleanup_dead_servers = true,
                      .last_contact_ms = 2 * (uint64_t)c->log->options.heartbeat_ms + 200,
                      .stabilization_ms = c->stabilization_ms,
                      .max_trailing_logs = 250 },
        .last_index = status.last_index,
        .absent_ms = ABSENT_AFTER_MS,
        .voters_max = CONSENSUS_VOTERS_MAX,
        .servers_max = CONSENSUS_PEERS_MAX,
        .may_change = o->change_ticket == 0 && status.is_ready && status.is_config_committed &&
                      !status.is_transferring,
        .servers = servers,
        .servers_count = view.count,
    };
    autopilot_step(o->pilot, &in, &wish);
    if (wish.kind != AUTOPILOT_NOTHING) {
        carry_out(c, s, &wish);
    }
}

void pilot_lead(struct cluster *c, struct server *s)
{
    struct office *o = &s->office;

    o->change_ticket = 0;
    o->look_at_ms = c->now_ms;
    for (size_t i = 0; i < c->servers_count; i++) {
        o->reach[i] = (struct reach){ .since_ms = c->now_ms };
    }
    autopilot_lead(o->pilot, clock_of(c, s));
}

void pilot_run(struct cluster *c, struct server *s)
{
    struct office *o = &s->office;

    if (c->stabilization_ms == 0 || s->node->core == NULL || s->node->dead != NULL ||
        s->node->core->role != CONSENSUS_LEADER) {
        return;
    }
    reach_follow(c, s->node->place);
    if (c->now_ms >= o->look_at_ms) {
        o->look_at_ms = c->now_ms + LOOK_MS;
        look(c, s);
    }
}

void pilot_result(struct cluster *c, const struct sim_node *n, const struct consensus_result *r)
{
    struct server *s = &c->servers[n->place];
    struct office *o = &s->office;

    if (o->change_ticket == 0 || (o->change_ticket != NEVER && o->change_ticket != r->ticket)) {
        return;
    }
    o->change_ticket = 0;
    if (r->outcome == CONSENSUS_COMMITTED && o->state == OFFICE_HELD) {
        autopilot_changed(o->pilot, &o->change.server, &o->change.disk, clock_of(c, s));
        o->look_at_ms = c->now_ms; /* what is next? */
    }
}

/* -- servers that begin anew --------------------------------------------------------------------
 */

/* As agent__removed(): what it holds is set aside, and the process starts over. */
void pilot_bury(struct cluster *c)
{
    for (size_t i = 0; i < c->servers_count; i++) {
        struct server *s = &c->servers[i];

        if (s->is_removed && member_is_up(c, i)) {
            member_crash(c, i);
            sim_node_wipe(c->log, s->node);
            member_start(c, i, false, false);
        }
        s->is_removed = false;
    }
}

/* May it lose its disk? Nobody else has lately, the servers agree who they are, and all are there.
 */
bool pilot_may_wipe(struct cluster *c, size_t server)
{
    struct server *leader = cluster_leader(c);
    size_t count = 0;

    if (leader == NULL || c->stabilization_ms == 0 || c->servers_count < 3 ||
        leader->node->place == server) {
        return false;
    }
    for (size_t i = 0; i < c->servers_count; i++) {
        const struct sim_node *n = c->servers[i].node;
        const struct consensus_config *config;
        const struct consensus_server *as;

        if (n->core == NULL || n->dead != NULL) {
            return false;
        }
        config = consensus_config_now(n->core);
        as = consensus_config_find(config, &n->id);
        if (config->index != consensus_config_now(leader->node->core)->index ||
            config->index > n->core->commit || config->is_joint || as == NULL || !as->is_voter ||
            !mu_id_eq(&as->disk, &n->disk.id)) {
            return false;
        }
        count++;
    }
    return count >= 3;
}

/* All servers vote again, each with the disk it has now. */
bool pilot_is_done(struct cluster *c, const struct server *leader)
{
    const struct consensus_config *config = consensus_config_now(leader->node->core);

    for (size_t i = 0; i < c->servers_count; i++) {
        const struct sim_node *n = c->servers[i].node;
        const struct consensus_server *as = consensus_config_find(config, &n->id);

        if (as == NULL || !as->is_voter || !mu_id_eq(&as->disk, &n->disk.id)) {
            return false;
        }
    }
    return true;
}
