/* torture.c - what kind of run this is, and what goes wrong in it, drawn from the seed.
 *
 * The fault budget: whatever a power cut may lose is lost anywhere; copies at rest are damaged on a
 * minority of the servers only, unless the run is "beyond": then anywhere, and stopping is right
 * (spec/consensus.md 4.3).
 */
#include <string.h>

#include "base/assert.h"
#include "world.h"

#define STATE_BLOCK 4096 /* a page of SQLite */

static uint64_t below(struct world *w, uint64_t bound)
{
    return mu_rand_below(&w->rand, bound);
}

static struct server *any(struct world *w)
{
    return &w->servers[below(w, w->servers_count)];
}

/* The one whose fall hurts most, every second time. */
static struct server *victim(struct world *w)
{
    struct server *s = any(w);

    for (size_t i = 0; below(w, 2) == 0 && i < w->servers_count; i++) {
        if (server_is_up(&w->servers[i]) && w->servers[i].node.is_leader) {
            return &w->servers[i];
        }
    }
    return s;
}

static uint64_t soon(struct world *w)
{
    return below(w, below(w, 4) == 0 ? 8 * SECOND : SECOND);
}

/* -- what may happen ----------------------------------------------------------------------------
 */

static void act_crash(struct world *w)
{
    uint64_t away = soon(w);

    server_crash(victim(w), false, away);
}

static void act_power(struct world *w)
{
    bool all = below(w, 5) == 0;

    w->sums.cuts++;
    if (!all) {
        uint64_t away = soon(w);

        server_crash(victim(w), true, away);
    }
    for (size_t i = 0; all && i < w->servers_count; i++) {
        server_crash(&w->servers[i], true, soon(w));
    }
}

static void act_stop(struct world *w)
{
    uint64_t away = soon(w);

    server_stop(victim(w), away);
}

static void act_pause(struct world *w)
{
    struct server *s = victim(w);

    if (s->state != SERVER_DOWN) {
        server_pause(s, 50 * MS + below(w, below(w, 4) == 0 ? 10 * SECOND : SECOND));
    }
}

static void act_cut(struct world *w)
{
    size_t bits = below(w, 1U << w->servers_count);
    bool both = below(w, 3) != 0;

    memset(w->is_cut, 0, sizeof w->is_cut);
    if (below(w, 3) == 0) {
        world_say(w, "the network is whole");
        return;
    }
    for (size_t i = 0; i < w->servers_count; i++) {
        for (size_t j = 0; j < w->servers_count; j++) {
            bool apart = (bits >> i & 1) != (bits >> j & 1);

            w->is_cut[i][j] = apart && (both || (bits >> i & 1) != 0);
        }
    }
    world_say(w, "the network is cut: %zx from the others, %s", bits,
              both ? "both ways" : "one way");
}

static void act_loss(struct world *w)
{
    w->loss = (double)below(w, 30) / 100;
}

static void act_twice(struct world *w)
{
    w->twice = (double)below(w, 50) / 100;
}

static void act_delay(struct world *w)
{
    w->delay_us = below(w, below(w, 3) == 0 ? 100 * MS : 5 * MS);
    w->slow = (double)below(w, 20) / 100;
}

static void act_flip(struct world *w)
{
    w->flip = (double)below(w, 25) / 100;
}

static void act_clock(struct world *w)
{
    struct server *s = any(w);

    uint64_t rate = 500 + below(w, 1001);
    uint64_t jump = below(w, 3) == 0 ? below(w, 20 * SECOND) : 0;

    if (w->leases == LEASES_KEPT &&
        w->options.broken !=
            BREAK_LEASES) { /* none is faster than another by more than a quarter */
        rate = 800 + (rate - 500) / 5;
        jump = 0;
    }
    server_clock(s, rate, jump);
    if (below(w, 3) == 0) {
        s->wall_ms += (int64_t)below(w, 200000000) - 100000000;
    }
}

static void act_stall(struct world *w)
{
    struct server *s = victim(w);

    s->stall_until = w->now + below(w, below(w, 5) == 0 ? 60 * SECOND : 3 * SECOND);
    world_say(w, "%s: the disk stalls for %llu ms", s->name, U((s->stall_until - w->now) / MS));
}

static void act_full(struct world *w)
{
    struct server *s = any(w);
    bool has_room = below(w, 2) == 0;

    disk_quota(s->disk,
               has_room ? 0
                        : disk_used(s->disk) + below(w, below(w, 2) == 0 ? 512 * 1024 : 32 * 1024));
    s->is_excused = s->is_excused || !has_room;
    world_say(w, "%s: the disk has %s", s->name, has_room ? "room again" : "nearly no room");
}

static void act_sync(struct world *w)
{
    struct server *s = victim(w);
    enum disk_dir dir = (enum disk_dir)below(w, DISK_DIRS);
    enum disk_failure how = (enum disk_failure)below(w, DISK_FAILURES);

    if (server_is_up(s)) {
        disk_fail_sync(s->disk, dir, how);
        s->is_excused = s->stays_excused = true;
        world_say(w, "%s: the next flush of %s fails, the way %d", s->name,
                  dir == DISK_LOG ? "the log" : "the state", (int)how);
    }
}

static void act_read(struct world *w)
{
    struct server *s = any(w);

    if (s->state != SERVER_DOWN) {
        disk_fail_read(s->disk, (enum disk_dir)below(w, DISK_DIRS));
        s->is_excused = true;
        world_say(w, "%s: the next read fails", s->name);
    }
}

bool torture_can_spare(const struct world *w, const struct server *s)
{
    size_t gone = 0;

    for (size_t i = 0; i < w->servers_count; i++) {
        gone += &w->servers[i] != s && !server_is_whole(&w->servers[i]);
    }
    return gone < w->hurt_max;
}

static void act_rot(struct world *w)
{
    struct server *s = any(w);

    if (!torture_can_spare(w, s)) {
        return;
    }
    if (below(w, 2) == 0) {
        s->is_state_hurt = true;
        bool did = below(w, 3) == 0 ? disk_clobber(s->disk, DISK_STATE, STATE_BLOCK)
                                    : disk_rot(s->disk, DISK_STATE);

        w->sums.state_rots += did;
        world_say(w, "%s: the state rots%s", s->name, did ? "" : ", not");
        return;
    }
    s->is_hurt = s->is_torn = true;
    if (below(w, 3) == 0) {
        disk_misdirect(s->disk, DISK_LOG);
        world_say(w, "%s: the next write of the log goes elsewhere", s->name);
    } else if (disk_rot(s->disk, DISK_LOG)) {
        world_say(w, "%s: bits of the log rot", s->name);
    }
}

static void act_churn(struct world *w)
{
    churn_server(w, any(w));
}

static void act_transfer(struct world *w)
{
    churn_transfer(w, any(w));
}

/* Somebody is late: without a connection, or down, for as long as the log may have gone on. */
static void act_lag(struct world *w)
{
    struct server *s = any(w);
    uint64_t us = SECOND + below(w, 5 * SECOND);

    if (server_is_up(s) && !s->node.is_leader) {
        server_crash(s, below(w, 2) == 0, us);
    }
}

static void on_midst(void *data)
{
    struct server *s = data;

    uint64_t away = soon(s->world);

    server_crash(s, below(s->world, 2) == 0, away);
}

void torture_snapshot(struct server *s, bool is_installing)
{
    struct world *w = s->world;

    if (world_has(w, FAULT_midst) && event_is_set(&w->torture) &&
        below(w, is_installing ? 3 : 12) == 0 && !event_is_set(&s->midst)) {
        w->bad[FAULT_midst]++;
        event_set(w, &s->midst, w->now + below(w, below(w, 2) == 0 ? 2 * MS : 60 * MS), on_midst,
                  s);
    }
}

/* A state that is not believed any more, as after a divergence: drawn from a stream of its own. */
static void on_anew(void *data)
{
    struct world *w = data;
    struct server *s = &w->servers[mu_rand_below(&w->more_rand, w->servers_count)];

    if (server_is_up(s) && torture_can_spare(w, s)) {
        w->bad[FAULT_anew]++;
        s->is_excused = true;
        server_state_bad(s, "somebody says so");
    }
    event_set(w, &w->anew, w->now + mu_rand_below(&w->more_rand, 4 * SECOND), on_anew, w);
}

/* What leases are about: a leader that hears nobody any more, and is asked all the same. */
static void on_lone(void *data)
{
    struct world *w = data;
    size_t at = 0;

    while (at < w->servers_count && !w->servers[at].node.is_leader) {
        at++;
    }
    bool is_cut = at < w->servers_count && w->is_cut[at][(at + 1) % w->servers_count];

    memset(w->is_cut, 0, sizeof w->is_cut);
    for (size_t i = 0; i < w->servers_count && at < w->servers_count && !is_cut; i++) {
        w->is_cut[i][at] = w->is_cut[at][i] = i != at;
    }
    world_say(w, "the network is %s", is_cut ? "whole" : "cut around who leads");
    event_set(w, &w->lone, w->now + 300 * MS + mu_rand_below(&w->more_rand, 2 * SECOND), on_lone,
              w);
}

/* Drawn like the others, but it waits for its moment. */
static void act_midst(struct world *w)
{
    w->bad[FAULT_midst]--;
}

static const struct {
    unsigned weight;
    void (*act)(struct world *w);
} acts[FAULTS_COUNT] = {
    // clang-format off
    [FAULT_crash] = { 10, act_crash }, [FAULT_power] = { 10, act_power }, [FAULT_stop]  = { 3, act_stop },
    [FAULT_pause] = { 6, act_pause },  [FAULT_cut]   = { 12, act_cut },   [FAULT_loss]  = { 3, act_loss },
    [FAULT_twice] = { 2, act_twice },  [FAULT_delay] = { 3, act_delay },  [FAULT_flip]  = { 4, act_flip },
    [FAULT_clock] = { 3, act_clock },  [FAULT_stall] = { 4, act_stall },  [FAULT_full]  = { 3, act_full },
    [FAULT_sync]  = { 3, act_sync },   [FAULT_read]  = { 2, act_read },   [FAULT_rot]   = { 2, act_rot },
    [FAULT_churn] = { 4, act_churn },  [FAULT_transfer] = { 3, act_transfer },
    [FAULT_lag]   = { 6, act_lag },    [FAULT_midst] = { 1, act_midst },
    [FAULT_anew]  = { 0, NULL },       /* see on_anew() */
    [FAULT_error] = { 0, NULL },       /* and the rest: late.c, wounds.c, calls.c */
}; // clang-format on

static void on_torture(void *data)
{
    struct world *w = data;
    unsigned total = 0;

    for (size_t i = 0; i < FAULTS_COUNT; i++) {
        total += acts[i].weight;
    }
    size_t luck = below(w, total);
    size_t at = 0;

    while (luck >= acts[at].weight) {
        luck -= acts[at++].weight;
    }
    if (world_has(w, (enum world_fault)at)) {
        w->bad[at]++;
        acts[at].act(w);
    }
    event_set(w, &w->torture, w->now + below(w, below(w, 4) == 0 ? 2 * SECOND : 300 * MS),
              on_torture, w);
}

/* -- what kind of run ---------------------------------------------------------------------------
 */

/* What was thought of later, from a stream of its own. */
static void more_begin(struct world *w)
{
    uint64_t leases = mu_rand_below(&w->more_rand, 16);

    w->leases = w->options.broken == BREAK_LEASES || leases < 3 ? LEASES_KEPT
                : leases == 3                                   ? LEASES_BROKEN
                                                                : LEASES_NONE;
    if (w->leases != LEASES_NONE && world_has(w, FAULT_cut)) {
        event_set(w, &w->lone, w->now + 2 * SECOND, on_lone, w);
    }
    if (mu_rand_below(&w->more_rand, 2) == 0) {
        w->options.off |= UINT64_C(1) << FAULT_anew;
    }
    if (world_has(w, FAULT_anew)) {
        event_set(w, &w->anew, w->now + 2 * SECOND, on_anew, w);
    }
}

void torture_begin(struct world *w)
{
    const struct world_options *o = &w->options;

    w->options.off = o->is_small ? UINT64_MAX : o->off;
    w->is_pressing = below(w, 2) == 0;
    for (size_t i = 0; i < FAULT_anew; i++) {
        if (below(w, 2) == 0 && !(w->is_pressing && i == FAULT_lag)) {
            w->options.off |= UINT64_C(1) << i;
        }
    }
    /* A server on a blank disk needs all others intact. */
    if (world_has(w, FAULT_churn)) {
        bool keeps = below(w, 2) == 0;

        w->options.off |= UINT64_C(1) << (keeps ? FAULT_rot : FAULT_churn);
    }
    uint64_t servers = below(w, 8);
    uint64_t clients = 1 + below(w, CLIENTS_MAX);
    uint64_t until = 4 + below(w, below(w, 4) == 0 ? 30 : 12);

    w->servers_count = o->servers > 0 ? o->servers : servers == 0 ? 1 : servers < 6 ? 3 : 5;
    w->clients_count = o->clients > 0 ? o->clients : clients;
    w->until = (o->until_s > 0 ? o->until_s : until) * SECOND;
    w->hurt_max = o->is_beyond ? w->servers_count : (w->servers_count - 1) / 2;
    w->keys_count = 1 + below(w, KEYS_MAX);
    w->think_us = 1 + below(w, below(w, 3) == 0 ? 500 * MS : 40 * MS);
    w->delay_us = 50 + below(w, below(w, 3) == 0 ? 20 * MS : MS);
    w->is_in_order = below(w, 2) == 0;
    w->timing = below(w, 2) == 0 ? CONSENSUS_LAN : CONSENSUS_FAST;
    w->segment_bytes = below(w, 4) == 0 ? 1024 * 1024 : CONSENSUS_SEGMENT_BYTES_MIN;
    w->ballast_bytes = below(w, 3) == 0 ? 0 : 64 * 1024 + below(w, 256 * 1024);
    w->wal_bytes = below(w, 2) == 0 ? 0 : (uint32_t)(16 * 1024 + below(w, 512 * 1024));
    w->trailing = below(w, 3) == 0 ? 0 : (uint32_t)(1 + below(w, below(w, 2) == 0 ? 16 : 400));
    w->chunk_bytes = below(w, 3) == 0 ? 0 : (uint32_t)(2048 + below(w, 64 * 1024));
    if (w->is_pressing) {
        w->think_us = 1 + below(w, 40 * MS);
        w->clients_count = o->clients > 0 ? o->clients : 1 + clients / 2;
        w->until = (o->until_s > 0 ? o->until_s : until < 10 ? until : 10) * SECOND;
        w->trailing = (uint32_t)(1 + below(w, 4));
        w->wal_bytes = (uint32_t)(16 * 1024 + below(w, 64 * 1024));
        w->segment_bytes = CONSENSUS_SEGMENT_BYTES_MIN;
    }
    event_set(w, &w->torture, w->now + 2 * SECOND, on_torture, w);
    more_begin(w);
    late_begin(w);
    wounds_begin(w);
    calls_begin(w);
    versions_begin(w);
    if (o->is_small) {
        small_shape(w);
    }
}

uint64_t torture_rate(struct world *w)
{
    bool is_slow = w->leases != LEASES_NONE && mu_rand_below(&w->more_rand, 2) == 0;
    bool is_wild = w->leases == LEASES_BROKEN || w->options.broken == BREAK_LEASES;

    return is_slow ? is_wild ? 500 : 800 : is_wild ? 1500 : 1000;
}

void torture_end(struct world *w)
{
    event_cancel(w, &w->torture);
    event_cancel(w, &w->anew);
    event_cancel(w, &w->lone);
    late_end(w);
    wounds_end(w);
    calls_end(w);
    small_end(w);
    versions_end(w);
    memset(w->is_cut, 0, sizeof w->is_cut);
    w->loss = w->twice = w->slow = w->flip = 0;
    w->delay_us = MS;
    w->is_in_order = true;
    for (size_t i = 0; i < w->servers_count; i++) {
        struct server *s = &w->servers[i];

        disk_quota(s->disk, 0);
        disk_mend(s->disk);
        s->stall_until = 0;
        s->latency_us = s->latency_us < 2 * MS ? s->latency_us : 2 * MS;
        s->paused_until = s->paused_until < w->now ? s->paused_until : w->now;
        server_clock(s, 1000, 0);
    }
    world_say(w, "everything is healed");
}
