/* torture.c - what goes wrong, drawn from the seed: servers and clients that crash (with their last
 * writes or without), restart, stand still; clients that leave or come back elsewhere; networks
 * that lose, repeat and overtake, cut in two or three, both ways or one.
 */
#include <string.h>

#include "base/assert.h"
#include "cluster.h"

static void act_crash_server(struct cluster *c, size_t member)
{
    (void)member;
    size_t server = cluster_below(c, c->servers_count);

    if (member_is_up(c, server)) {
        member_crash(c, server);
    }
}

/* Gossip alone does not reach it any more, until the network changes: no cause to remove it. */
void torture_hide(struct cluster *c, size_t server)
{
    cluster_say(c, "gossip does not reach %s", member_name(c, server));
    world_group(c->gossip, server, GROUPS);
    for (unsigned i = 0; i < GROUPS; i++) {
        world_cut(c->gossip, i, GROUPS, true, true);
        world_cut(c->gossip, GROUPS, i, true, true);
    }
}

/* What autopilot is for, from a stream of its own: a server that is away for long, or comes back on
 * a blank disk, sooner or later. */
static void act_for_pilot(struct cluster *c)
{
    size_t server = mu_rand_below(&c->pilot_rand, c->servers_count);
    bool is_wiped = mu_rand_below(&c->pilot_rand, 2) == 0 && pilot_may_wipe(c, server);

    if (!member_is_up(c, server) || c->servers_count < 3) {
        return;
    }
    if (!is_wiped && mu_rand_below(&c->pilot_rand, 3) == 0) {
        torture_hide(c, server);
        return;
    }
    member_crash(c, server);
    if (is_wiped) {
        sim_node_wipe(c->log, c->servers[server].node);
        cluster_say(c, "%s gets a blank disk", member_name(c, server));
        c->sums.wiped++;
    }
    c->servers[server].away_ms = c->now_ms + mu_rand_below(&c->pilot_rand, 3 * c->stabilization_ms);
}

static void act_crash(struct cluster *c, size_t member)
{
    member_crash(c, member);
}

/* The one that hurts most. */
static void act_crash_leader(struct cluster *c, size_t member)
{
    const struct sim_node *leader = sim_leader(c->log);

    (void)member;
    if (leader != NULL) {
        member_crash(c, leader->place);
    }
}

static void act_crash_servers(struct cluster *c, size_t member)
{
    (void)member;
    for (size_t i = 0; i < c->servers_count; i++) {
        if (member_is_up(c, i)) {
            member_crash(c, i);
        }
    }
}

static void act_pause(struct cluster *c, size_t member)
{
    if (member_runs(c, member)) {
        member_pause(c, member, 50 + cluster_below(c, cluster_below(c, 4) == 0 ? 15000 : 2000));
    }
}

static void act_leave(struct cluster *c, size_t member)
{
    if (member >= c->servers_count && member_runs(c, member) && !c->is_leaving[member] &&
        !client_is_busy(c, member)) {
        member_leave(c, member);
    }
}

static void act_cut(struct cluster *c, size_t member)
{
    unsigned a = (unsigned)cluster_below(c, GROUPS);
    unsigned b = (unsigned)cluster_below(c, GROUPS);

    (void)member;
    for (size_t i = 0; i < c->members_count; i++) {
        if (cluster_below(c, 2) == 0) {
            c->group[i] = (unsigned)cluster_below(c, GROUPS);
        }
    }
    if (a != b) {
        c->sums.cuts++;
        c->is_cut[a][b] = true;
        c->is_cut[b][a] = cluster_below(c, 3) != 0;
        cluster_say(c, "group %u is cut from group %u%s", a, b,
                    c->is_cut[b][a] ? ", both ways" : "");
    }
    network_apply(c); /* cuts that there are go between other members now */
}

static void act_faults(struct cluster *c, size_t member)
{
    (void)member;
    c->loss = (double)cluster_below(c, 25) / 100;
    c->twice = (double)cluster_below(c, 10) / 100;
    c->reorder = (double)cluster_below(c, 10) / 100;
    cluster_say(c, "loss %.2f, twice %.2f, reorder %.2f", c->loss, c->twice, c->reorder);
    network_apply(c);
}

static void network_heal(struct cluster *c)
{
    memset(c->is_cut, 0, sizeof c->is_cut);
    c->loss = c->twice = c->reorder = 0;
    network_apply(c);
}

static void act_heal(struct cluster *c, size_t member)
{
    (void)member;
    cluster_say(c, "the network is healed");
    network_heal(c);
}

static const struct {
    unsigned weight;
    void (*act)(struct cluster *c, size_t member);
} actions[] = {
    // clang-format off
    { 6, act_crash_server }, { 8, act_crash }, { 3, act_crash_leader }, { 1, act_crash_servers },
    { 8, act_pause }, { 4, act_leave }, { 6, act_cut }, { 3, act_faults }, { 7, act_heal },
}; // clang-format on

void torture_act(struct cluster *c)
{
    size_t member = cluster_below(c, c->members_count);
    unsigned total = 0;

    if (c->stabilization_ms > 0 && mu_rand_below(&c->pilot_rand, 4) == 0) {
        act_for_pilot(c);
    }
    if (!member_is_up(c, member)) {
        bool serves = member < c->servers_count;

        if (cluster_below(c, 3) != 0 && !(serves && c->now_ms < c->servers[member].away_ms)) {
            c->sums.restarts++;

            bool moves = serves ? c->stabilization_ms > 0 && mu_rand_below(&c->pilot_rand, 4) == 0
                                : cluster_below(c, 4) == 0;

            member_start(c, member, moves, !serves && cluster_below(c, 6) == 0);
        }
        return;
    }
    for (size_t i = 0; i < MU_LEN(actions); i++) {
        total += actions[i].weight;
    }
    size_t drawn = cluster_below(c, total);

    for (size_t i = 0; i < MU_LEN(actions); i++) {
        if (drawn < actions[i].weight) {
            actions[i].act(c, member);
            return;
        }
        drawn -= actions[i].weight;
    }
}

/* The network works, all servers are there, and about half of the clients that are not. */
void torture_heal(struct cluster *c)
{
    network_heal(c);
    for (size_t i = 0; i < c->members_count; i++) {
        if (!member_is_up(c, i) && (i < c->servers_count || cluster_below(c, 2) == 0)) {
            member_start(c, i, false, false);
        }
    }
    cluster_say(c, "everything is healed");
    c->is_calm = true;
}
