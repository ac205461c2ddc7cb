/* scenes_life.c - scenes of crashes, cuts, pauses, comings and goings. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "scenes.h"

#define YEAR_SECONDS 31536000
#define STALL_MS     600000
#define STARVE_MS    120000

/* Cut between all nodes of two groups, both ways. */
static void cut(struct stage *s, unsigned a, unsigned b, bool udp, bool tcp)
{
    world_cut(s->world, a, b, udp, tcp);
    world_cut(s->world, b, a, udp, tcp);
}

/* A node that does not run well leaves its place at random, but not to the first. */
static size_t victim(struct stage *s)
{
    return 1 + stage_below(s, s->count - 1);
}

/* -- crashes ------------------------------------------------------------------------------------
 */

static void crash(struct stage *s, uint64_t seed, size_t nodes)
{
    stage_open(s, seed, nodes, NULL);
    const struct stage_sight failed = { victim(s), GOSSIP_STATUS_FAILED };
    size_t how = stage_below(s, 3);

    if (how == 0) {
        world_crash(s->world, failed.node);
    } else if (how == 1) {
        world_vanish(s->world, failed.node);
    } else {
        world_pause(s->world, failed.node, STALL_MS);
    }
    (void)stage_until(s, stage_detection_ms(s, how == 2 ? GOSSIP__STALLED : GOSSIP__SILENT),
                      stage_all_see, &failed, "it is failed at all");
    stage_no_alarms(s, failed.node);
}

static void crash_third(struct stage *s, uint64_t seed, size_t nodes)
{
    stage_open(s, seed, nodes, NULL);
    struct stage_counts left = { .alive = nodes };

    for (size_t i = 0; i < nodes * 3 / 10; i++) {
        if (stage_below(s, 2) == 0) {
            world_crash(s->world, nodes - 1 - i);
        } else {
            world_vanish(s->world, nodes - 1 - i);
        }
        left.alive--;
        left.failed++;
    }
    (void)stage_until(s, stage_detection_ms(s, GOSSIP__SILENT), stage_counts_are, &left,
                      "a third of all is failed at the others");
    stage_no_alarms(s, SIZE_MAX);
}

/* -- restarts -----------------------------------------------------------------------------------
 */

static void rolling(struct stage *s, uint64_t seed, size_t nodes)
{
    stage_open(s, seed, nodes, NULL);
    for (size_t i = 0; i < nodes; i++) {
        world_crash(s->world, i);
        world_run(s->world, 500 + stage_below(s, 5000));
        world_start(s->world, i, (struct world_start){ .keep_state = true, .move = true });
        world_run(s->world, 500 + stage_below(s, 5000));
    }
    stage_agrees(s, stage_convergence_ms(s));
}

/* 18.3, rule 6: without its disk, at once or after it was declared failed; then its clock was
 * wrong by years. */
static void restart_blank(struct stage *s, uint64_t seed, size_t nodes)
{
    stage_open(s, seed, nodes, NULL);
    const struct stage_sight alive = { victim(s), GOSSIP_STATUS_ALIVE };

    world_crash(s->world, alive.node);
    world_run(s->world, stage_below(s, 20000));
    world_start(s->world, alive.node, (struct world_start){ .keep_state = false });
    world_join(s->world, alive.node, 0, false);
    stage_agrees(s, STAGE_SPREAD_MS + gossip_profile_lan.probe_ms);
}

static void clock_back(struct stage *s, uint64_t seed, size_t nodes)
{
    stage_open(s, seed, nodes, NULL);
    const struct stage_sight alive = { victim(s), GOSSIP_STATUS_ALIVE };

    world_crash(s->world, alive.node);
    world_run(s->world, stage_below(s, 20000));
    world_start(s->world, alive.node, (struct world_start){ .seconds_back = 5ULL * YEAR_SECONDS });
    world_join(s->world, alive.node, 0, false);
    stage_agrees(s, STAGE_SPREAD_MS + gossip_profile_lan.probe_ms);
}

/* A disk of long ago: incarnation and clocks are behind what the others hold, half of the peers it
 * names have moved since. */
static void stale_snapshot(struct stage *s, uint64_t seed, size_t nodes)
{
    stage_open(s, seed, nodes, NULL);
    size_t node = victim(s);
    struct sim_node *n = s->world->nodes[node];

    for (int i = 0; i < 3; i++) {
        (void)stage_tell(s, 0);
    }
    world_run(s->world, STAGE_SPREAD_MS);
    world_vanish(s->world, node);
    for (size_t i = 0; i < nodes / 2; i++) {
        size_t mover = (node + 1 + i) % nodes;

        world_crash(s->world, mover);
        world_run(s->world, 1000);
        world_start(s->world, mover, (struct world_start){ .keep_state = true, .move = true });
        world_run(s->world, 1000);
    }
    n->incarnation -= 1ULL << 24;
    n->member_time = 1;
    world_start(s->world, node, (struct world_start){ .keep_state = true });
    stage_agrees(s, 60000 + stage_convergence_ms(s));
}

/* -- cuts ---------------------------------------------------------------------------------------
 */

/* 18.3, rule 3: who is reached by TCP alone is not failed, for as long as that lasts. */
static void udp_block(struct stage *s, uint64_t seed, size_t nodes)
{
    stage_open(s, seed, nodes, NULL);
    world_group(s->world, victim(s), 1);
    cut(s, 0, 1, true, false);
    world_run(s->world, 300000);
    stage_no_alarms(s, SIZE_MAX);
    stage_agrees(s, 1000);
}

static void udp_block_one_way(struct stage *s, uint64_t seed, size_t nodes)
{
    stage_open(s, seed, nodes, NULL);
    unsigned from = (unsigned)stage_below(s, 2);

    world_group(s->world, victim(s), 1);
    world_cut(s->world, from, 1 - from, true, false);
    world_run(s->world, 300000);
    stage_no_alarms(s, SIZE_MAX);
    stage_agrees(s, 1000);
}

/* Everything is lost in one direction, so that no stream comes about either. */
static void one_way(struct stage *s, uint64_t seed, size_t nodes)
{
    stage_open(s, seed, nodes, NULL);
    unsigned from = (unsigned)stage_below(s, 2);

    world_group(s->world, victim(s), 1);
    world_cut(s->world, from, 1 - from, true, true);
    world_run(s->world, 120000);
    world_heal(s->world);
    stage_agrees(s, 2 * gossip_profile_lan.reconnect_ms + STAGE_SPREAD_MS);
}

/* 18.3, rule 5: merged within two reconnect intervals, however long it took; nobody is lost. */
static void split(struct stage *s, uint64_t seed, size_t nodes, unsigned parts, unsigned intervals)
{
    stage_open(s, seed, nodes, NULL);
    for (size_t i = 0; i < nodes; i++) {
        world_group(s->world, i, (unsigned)stage_below(s, parts));
    }
    for (unsigned i = 0; i < parts; i++) {
        world_group(s->world, i, i); /* none is empty */
        for (unsigned j = 0; j < i; j++) {
            cut(s, i, j, true, true);
        }
    }
    world_run(s->world, (uint64_t)intervals * gossip_profile_lan.reconnect_ms);
    struct gossip_summary seen;

    gossip_summarize(world_core(s->world, 0), &seen);
    if (seen.failed == 0) {
        stage_fail(s, "they still see each other");
    }
    world_heal(s->world);
    stage_agrees(s, 2 * gossip_profile_lan.reconnect_ms + STAGE_SPREAD_MS);
}

static void split_two(struct stage *s, uint64_t seed, size_t nodes)
{
    split(s, seed, nodes, 2, 1);
}

static void split_two_long(struct stage *s, uint64_t seed, size_t nodes)
{
    split(s, seed, nodes, 2, 20);
}

static void split_three(struct stage *s, uint64_t seed, size_t nodes)
{
    split(s, seed, nodes, 3, 1);
}

static void split_three_long(struct stage *s, uint64_t seed, size_t nodes)
{
    split(s, seed, nodes, 3, 20);
}

/* -- starved processes --------------------------------------------------------------------------
 */

/* The first `starved` stop for 0.2 to 30 s again and again; the others believe no ill of each
 * other. */
static void starve(struct stage *s, uint64_t seed, size_t nodes, size_t starved)
{
    stage_open(s, seed, nodes, NULL);
    for (uint64_t ms = 0; ms < STARVE_MS; ms += 500) {
        for (size_t i = 0; i < starved; i++) {
            if (stage_runs(s, i) && stage_below(s, 6) == 0) {
                world_pause(s->world, i,
                            200 + stage_below(s, stage_below(s, 3) == 0 ? 29800 : 2000));
            }
        }
        world_run(s->world, 500);
    }
    for (size_t i = starved; i < nodes; i++) {
        if (s->alarms[i] > 0) {
            stage_fail(s, "%s is well, and was declared failed by %zu", world_name(s->world, i),
                       s->alarms[i]);
        }
    }
    world_run(s->world, 30000); /* the last pause */
    stage_agrees(s, gossip_profile_lan.reconnect_ms + stage_convergence_ms(s));
}

static void starve_one(struct stage *s, uint64_t seed, size_t nodes)
{
    starve(s, seed, nodes, 1);
}

static void starve_tenth(struct stage *s, uint64_t seed, size_t nodes)
{
    starve(s, seed, nodes, nodes / 10);
}

static void starve_half(struct stage *s, uint64_t seed, size_t nodes)
{
    starve(s, seed, nodes, nodes / 2);
}

/* -- one name, two nodes ------------------------------------------------------------------------
 */

#define ASK_AGAIN_MS 6000 /* a peer that turned a member down is offered its name again */

static bool all_hold_it_at(const struct stage *s, const void *holder)
{
    struct mu_addr at = world_addr(s->world, *(const size_t *)holder);
    struct gossip_view seen;

    for (size_t i = 0; i < world_count(s->world); i++) {
        if (stage_runs(s, i) &&
            (!gossip_find(world_core(s->world, i), world_name(s->world, *(const size_t *)holder),
                          &seen) ||
             seen.status != GOSSIP_STATUS_ALIVE || !mu_addr_eq(&seen.addr, &at))) {
            return false;
        }
    }
    return true;
}

/* As agents do, every second until it is let in. */
static void join_until_in(struct stage *s, size_t node, size_t to, uint64_t ms)
{
    for (uint64_t spent = 0; spent < ms; spent += 1000) {
        if (world_core(s->world, node)->members.count > 1) {
            return;
        }
        world_join(s->world, node, to, false);
        world_run(s->world, 1000);
    }
}

/* Its process or its machine is gone, and another one comes with its name, an empty disk and an
 * address of its own, at once or later: as soon as the old one is known to be dead it is let in,
 * not when the reclaim time is over. */
static void rebuilt(struct stage *s, uint64_t seed, size_t nodes)
{
    stage_open(s, seed, nodes, NULL);
    size_t old = victim(s);
    size_t anew = world_add_as(s->world, "rebuilt", world_name(s->world, old));
    uint64_t detection_ms = stage_detection_ms(s, GOSSIP__SILENT);

    if (stage_below(s, 2) == 0) {
        world_crash(s->world, old);
    } else {
        world_vanish(s->world, old);
    }
    world_run(s->world, stage_below(s, 10000));
    world_start(s->world, anew, (struct world_start){ .keep_state = false });
    join_until_in(s, anew, old == 0 ? 1 : 0, detection_ms + 2000);
    (void)stage_until(s, STAGE_SPREAD_MS + ASK_AGAIN_MS, all_hold_it_at, &anew,
                      "all hold the name at its new address");
}

/* Two clusters meet that each have a living node of one name: each goes on with its own. Then the
 * one that fewer know ends, as agents decide by a vote, and all have the other. */
static void rivals(struct stage *s, uint64_t seed, size_t nodes)
{
    size_t few = nodes / 3;

    stage_open_empty(s, seed, nodes, NULL);
    size_t ours = world_add_as(s->world, "x of the few", "x");
    size_t theirs = world_add_as(s->world, "x of the many", "x");

    for (size_t i = 0; i < world_count(s->world); i++) {
        bool is_few = i < few || i == ours;

        world_start(s->world, i, (struct world_start){ .keep_state = false });
        if (i != 0 && i != few) {
            world_join(s->world, i, is_few ? 0 : few, false);
        }
        world_run(s->world, 10);
    }
    world_run(s->world, STAGE_SPREAD_MS);
    world_join(s->world, few, 0, false);
    world_run(s->world, STAGE_SPREAD_MS + stage_below(s, 60000));
    if (!stage_runs(s, ours) || !stage_runs(s, theirs)) {
        stage_fail(s, "one of the two has ended by itself");
    }
    world_crash(s->world, ours);
    (void)stage_until(s,
                      stage_detection_ms(s, GOSSIP__REFUSED) + STAGE_SPREAD_MS + 2 * ASK_AGAIN_MS,
                      all_hold_it_at, &theirs, "all have the one that is left");
}

/* -- comings and goings -------------------------------------------------------------------------
 */

/* All within a second, through the first or anybody who came before. */
static void joins(struct stage *s, uint64_t seed, size_t nodes)
{
    const struct stage_counts all = { .alive = nodes };

    stage_open_empty(s, seed, nodes, NULL);
    for (size_t i = 0; i < nodes; i++) {
        world_start(s->world, i, (struct world_start){ .keep_state = false });
        if (i > 0) {
            world_join(s->world, i, seed % 2 == 0 ? 0 : stage_below(s, i), false);
        }
        if (i * 1000 / nodes != (i + 1) * 1000 / nodes) {
            world_run(s->world, (i + 1) * 1000 / nodes - i * 1000 / nodes);
        }
    }
    (void)stage_until(s, stage_convergence_ms(s), stage_counts_are, &all, "all know all");
    stage_no_alarms(s, SIZE_MAX);
}

/* All but three, within a second: left, and never failed. */
static void leaves(struct stage *s, uint64_t seed, size_t nodes)
{
    const struct stage_counts rest = { .alive = 3 };

    stage_open(s, seed, nodes, NULL);
    for (size_t i = 3; i < nodes; i++) {
        world_leave(s->world, i);
        if (i * 1000 / nodes != (i + 1) * 1000 / nodes) {
            world_run(s->world, (i + 1) * 1000 / nodes - i * 1000 / nodes);
        }
    }
    (void)stage_until(s, 10000, stage_counts_are, &rest, "all that left have left");
    stage_no_alarms(s, SIZE_MAX);
}

/* 18.3, rule 4: a quarter of all datagrams is lost, half of the cluster crashes in that moment; two
 * seconds later the others see it left. Were it not said again to those that do not confirm, with
 * five seeds of a thousand one of them would miss it. */
static void leave_crashes(struct stage *s, uint64_t seed, size_t nodes)
{
    stage_open(s, seed, nodes, NULL);
    const struct stage_sight left = { 0, GOSSIP_STATUS_LEFT };

    world_faults(s->world, 0.25, 0, 0);
    world_leave(s->world, 0);
    for (size_t i = 0; i < nodes / 2; i++) {
        world_crash(s->world, nodes - 1 - i);
    }
    (void)stage_until(s, 2000, stage_all_see, &left, "it has left for all");
}

/* Forced out while it lives, again and again: it says that it lives, and nobody believes for ten
 * seconds that it leaves. */
static void force_leave_live(struct stage *s, uint64_t seed, size_t nodes)
{
    stage_open(s, seed, nodes, NULL);
    const struct stage_sight alive = { victim(s), GOSSIP_STATUS_ALIVE };

    for (int i = 0; i < 10; i++) {
        size_t by = (alive.node + 1 + stage_below(s, nodes - 1)) % nodes;

        world_force_leave(s->world, by, world_name(s->world, alive.node), i % 2 == 1);
        world_run(s->world, stage_below(s, 500));
    }
    (void)stage_until(s, 10000, stage_all_see, &alive, "it is alive to all again");
    stage_no_alarms(s, SIZE_MAX);
    stage_agrees(s, STAGE_SPREAD_MS);
}

/* A failed member is pruned while all exchange states: who still has it must not bring it back, nor
 * may a word of its own that comes late. */
static void prune_midst(struct stage *s, uint64_t seed, size_t nodes)
{
    stage_open(s, seed, nodes, NULL);
    const struct stage_sight failed = { victim(s), GOSSIP_STATUS_FAILED };
    const struct stage_sight none = { failed.node, GOSSIP_STATUS_NONE };
    struct gossip__part alive = { .kind = GOSSIP__PART_ALIVE };

    alive.alive = gossip__member_record(world_core(s->world, failed.node)->self);
    alive.alive.node = world_name(s->world, failed.node);
    alive.alive.meta = MU_SPAN_NONE;
    world_crash(s->world, failed.node);
    (void)stage_until(s, stage_detection_ms(s, GOSSIP__SILENT), stage_all_see, &failed,
                      "it is failed at all");
    for (int i = 0; i < 40; i++) {
        size_t a = stage_below(s, nodes);
        size_t b = stage_below(s, nodes);

        if (a != b && stage_runs(s, a) && stage_runs(s, b)) {
            world_join(s->world, a, b, false);
        }
        if (i == 20) {
            world_force_leave(s->world, 0, world_name(s->world, failed.node), true);
        }
        world_run(s->world, stage_below(s, 3));
    }
    (void)stage_until(s, STAGE_SPREAD_MS, stage_all_see, &none, "it is forgotten by all");
    stage_forge(s, 0, failed.node == 1 ? 2 : 1, &alive);
    for (int i = 0; i < 3000; i++) {
        if (!stage_all_see(s, &none)) {
            stage_fail(s, "what was pruned is back");
        }
        world_run(s->world, 100);
    }
}

/* 18.3, rule 9: failed, left and pruned ones vanish everywhere after their time, and what remembers
 * them after its own; nobody is taught anew by those who forget later. */
static bool nobody_remembers(const struct stage *s, const void *data)
{
    (void)data;
    for (size_t i = 0; i < s->count; i++) {
        if (stage_runs(s, i) && mu_table_count(world_core(s->world, i)->tombstones) > 0) {
            return false;
        }
    }
    return true;
}

static void forgotten(struct stage *s, uint64_t seed, size_t nodes)
{
    struct gossip_profile p = gossip_profile_lan;
    const struct stage_counts rest = { .alive = nodes - 3 };
    struct gossip_summary seen;

    p.tombstone_ms = 120000;
    p.reconnect_timeout_ms = 90000;
    stage_open(s, seed, nodes, &p);
    world_crash(s->world, nodes - 1);
    world_leave(s->world, nodes - 2);
    world_crash(s->world, nodes - 3);
    world_run(s->world, stage_detection_ms(s, GOSSIP__SILENT));
    world_force_leave(s->world, 0, world_name(s->world, nodes - 3), true);
    world_run(s->world, p.tombstone_ms + 20000);
    for (int i = 0; i < 20; i++) {
        world_run(s->world, 10000);
        for (size_t node = 0; node < nodes; node++) {
            if (stage_runs(s, node)) {
                gossip_summarize(world_core(s->world, node), &seen);
                if (seen.members != rest.alive) {
                    stage_fail(s, "%s knows %zu", world_name(s->world, node), seen.members);
                }
            }
        }
    }
    (void)stage_until(s, 20ULL * p.push_pull_ms + 60000, nobody_remembers, NULL,
                      "tombstones are gone");
}

const struct scene scenes_life[] = {
    // clang-format off
    { "crash",             "one crashes, vanishes or stalls",                       10, crash, false },
    { "crash_third",       "30 % crash at once",                                    30, crash_third, false },
    { "rolling",           "a rolling restart with new addresses",                  10, rolling, false },
    { "restart_blank",     "back without its disk",                                 10, restart_blank, false },
    { "clock_back",        "back without its disk, years earlier by its clock",     10, clock_back, false },
    { "stale_snapshot",    "back with a disk of long ago",                          10, stale_snapshot, false },
    { "udp_block",         "no datagrams to and from one, for minutes",              8, udp_block, false },
    { "udp_block_one_way", "no datagrams to one, or from one",                       8, udp_block_one_way, false },
    { "one_way",           "nothing at all in one direction",                        8, one_way, false },
    { "split_two",         "two halves for one reconnect interval",                 12, split_two, false },
    { "split_two_long",    "two halves for twenty of them",                         12, split_two_long, false },
    { "split_three",       "three parts for one reconnect interval",                12, split_three, false },
    { "split_three_long",  "three parts for twenty of them",                        12, split_three_long, false },
    { "starve_one",        "one process stops for 0.2 to 30 s, again and again",    20, starve_one, false },
    { "starve_tenth",      "a tenth of them do",                                    20, starve_tenth, false },
    { "starve_half",       "half of them do",                                       12, starve_half, false },
    { "rebuilt",           "another machine comes with the name of a dead one",      8, rebuilt, false },
    { "rivals",            "two clusters meet that have one name twice",            12, rivals, false },
    { "joins",             "all join within a second",                             64, joins, false },
    { "leaves",            "all but three leave within a second",                  64, leaves, false },
    { "leave_crashes",     "one leaves while half crash and a quarter is lost",       8, leave_crashes, true },
    { "force_leave_live",  "a live one is forced out",                               8, force_leave_live, false },
    { "prune_midst",       "pruned while states are exchanged",                      8, prune_midst, false },
    { "forgotten",         "failed, left and pruned ones have an end",               8, forgotten, false },
    { .name = NULL },
}; // clang-format on
