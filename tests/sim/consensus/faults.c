/* faults.c - what a run is like, and what goes wrong in it (spec/consensus.md 4.3). */
#include "drive.h"

#include <string.h>

#include "base/assert.h"

uint64_t drive_below(struct drive *d, uint64_t bound)
{
    return mu_rand_below(&d->rand, bound);
}

static bool chance(struct drive *d, uint32_t permille)
{
    return permille > 0 && drive_below(d, 1000) < permille;
}

/* -- how long things take ------------------------------------------------------------------ */

static uint64_t net_ms(void *data, const struct sim_message *m)
{
    struct drive *d = data;
    uint64_t clog = d->clog_until[m->from][m->to];

    if (chance(d, d->plan.loss)) {
        return SIM_LOST;
    }
    uint64_t ms = drive_below(d, d->plan.delay_ms + 1);

    if (chance(d, d->plan.tail)) {
        ms += drive_below(d, 1000);
    }
    return clog > d->w->now + ms ? clog - d->w->now : ms;
}

/* Also remembers messages, to send them again when everybody has forgotten them. */
static bool net_twice(void *data, const struct sim_message *m)
{
    struct drive *d = data;

    if (d->plan.replay > 0 && chance(d, 100)) {
        uint32_t i = d->history_next++ % HISTORY;

        sim_message_free(d->history[i]);
        d->history[i] = sim_message_copy(d->w, m);
    }
    return chance(d, d->plan.twice);
}

static uint64_t disk_ms(void *data, uint32_t node)
{
    struct drive *d = data;
    uint64_t ms = drive_below(d, d->plan.disk_ms + 1);

    if (chance(d, d->plan.disk_tail)) {
        ms += drive_below(d, 300);
    }
    return d->stall_until[node] > d->w->now + ms ? d->stall_until[node] - d->w->now : ms;
}

static uint64_t apply_ms(void *data, uint32_t node)
{
    struct drive *d = data;

    (void)node;
    return drive_below(d, d->plan.apply_ms + 1);
}

static uint64_t gossip_ms(void *data, uint32_t node)
{
    struct drive *d = data;

    (void)node;
    return 1 + drive_below(d, 200);
}

/* How far the disk of n agrees with what is committed. */
static uint64_t agreed(struct drive *d, const struct sim_node *n, const struct sim_node *with)
{
    uint64_t i = with->disk.log.base;

    if (n->disk.log.base > i) {
        i = n->disk.log.base;
    }
    while (sim_log_term(&n->disk.log, i + 1) != 0 &&
           sim_log_term(&n->disk.log, i + 1) == sim_log_term(&with->disk.log, i + 1)) {
        i++;
    }
    (void)d;
    return i;
}

/* Without snapshots only what everybody has may go. */
static uint64_t compact_to(void *data, uint32_t node, uint64_t upto)
{
    struct drive *d = data;

    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        uint64_t has = agreed(d, &d->w->nodes[i], &d->w->nodes[node]);

        upto = !d->is_wiped[i] && has < upto ? has : upto;
    }
    return upto;
}

/* -- drawing a run ------------------------------------------------------------------------- */

static uint32_t maybe(struct drive *d, uint32_t most)
{
    return drive_below(d, 2) == 0 ? 0 : 1 + (uint32_t)drive_below(d, most);
}

static void plan_draw(struct drive *d)
{
    struct plan *p = &d->plan;

    p->loss = maybe(d, 300);
    p->twice = maybe(d, 500);
    p->delay_ms = 1 + (uint32_t)drive_below(d, drive_below(d, 2) == 0 ? 3 : 40);
    p->tail = maybe(d, 50);
    p->disk_ms = (uint32_t)drive_below(d, drive_below(d, 2) == 0 ? 3 : 30);
    p->disk_tail = maybe(d, 50);
    p->apply_ms = (uint32_t)drive_below(d, drive_below(d, 2) == 0 ? 2 : 50);
    p->crash = maybe(d, 800);
    p->cut = maybe(d, 800);
    p->pause = maybe(d, 300);
    p->clog = maybe(d, 300);
    p->replay = maybe(d, 5000);
    p->stall = maybe(d, 200);
    p->health = maybe(d, 200);
    p->fail = maybe(d, 50);
    p->links = maybe(d, 1000);
    p->compact = maybe(d, 1000);
    p->wipe = drive_below(d, 8) == 0 ? 30 : 0;
    p->jump = maybe(d, 100);
    p->stop = maybe(d, 50);
    p->propose = 1000 + (uint32_t)drive_below(d, 60000);
    p->read = 500 + (uint32_t)drive_below(d, 20000);
    p->bytes_max = drive_below(d, 4) == 0 ? 60000 : 300;
    p->count_max = drive_below(d, 3) == 0 ? 40 : 3;
    p->duration_ms = 5000 + drive_below(d, 20000);
    p->is_formed = drive_below(d, 3) == 0;
    p->has_clocks = drive_below(d, 2) == 0;
    p->relocates = drive_below(d, 2) == 0;
}

static void options_draw(struct drive *d, struct consensus_options *o)
{
    consensus_options_init(o, drive_below(d, 2) == 0 ? CONSENSUS_FAST : CONSENSUS_LAN, 1);
    o->reads_max = 64;
    o->tail_entries = drive_below(d, 2) == 0 ? 64 : 2048;
    o->cache_bytes = drive_below(d, 2) == 0 ? 1 : 20000;
    o->writes_max = drive_below(d, 2) == 0 ? 12 : 128;
    o->inflight_max = drive_below(d, 2) == 0 ? 2 : 64;
    o->inflight_bytes_max = drive_below(d, 2) == 0 ? 2000 : 1000000;
    o->append_entries_max = drive_below(d, 2) == 0 ? 1 + (uint32_t)drive_below(d, 4) : 256;
    o->append_bytes_max = drive_below(d, 2) == 0 ? 1000 : 100000;
    o->uncommitted_bytes_max = drive_below(d, 4) == 0 ? 3000 : 10000000;
    o->unsynced_bytes_max = drive_below(d, 4) == 0 ? 3000 : 10000000;
    o->apply_lag_max = drive_below(d, 4) == 0 ? 20 : 5000;
    o->tail_bytes_max = drive_below(d, 4) == 0 ? 20000 : 64000000;
    static const uint32_t trailing[] = { 0, 16, 10240 }; /* pressure, some, as it ships */
    o->trailing_entries = trailing[drive_below(d, MU_LEN(trailing))];
    o->trailing_bytes = drive_below(d, 4) == 0 ? 2000 : 64000000;
    o->laggard_bytes = drive_below(d, 2) == 0 ? 5000 : 256000000;
    o->laggard_ms = drive_below(d, 2) == 0 ? 1000 : 60000;
    o->with_trace = true;
}

void drive_draw(struct drive *d, uint64_t seed)
{
    static const uint32_t sizes[] = { 1, 2, 3, 3, 3, 3, 4, 5, 5, 5 };
    static const char *const names[] = { "a", "b", "c", "d", "e" };
    struct sim_policy policy = { d, net_ms, net_twice, disk_ms, apply_ms, gossip_ms, compact_to };
    struct consensus_options options;

    mu_rand_seed(&d->rand, seed);
    d->next_content = 1;
    plan_draw(d);
    uint32_t count = sizes[drive_below(d, MU_LEN(sizes))];

    options_draw(d, &options);
    d->w = sim_world_new(&options, &policy, seed);
    for (uint32_t i = 0; i < count; i++) {
        struct sim_node *n = sim_node_add(d->w, names[i], count);

        n->clock_offset = 1 + drive_below(d, 100000);
        n->clock_rate = d->plan.has_clocks ? 500 + drive_below(d, 1001) : 1000; /* 2.17 */
        d->restart_at[i] = drive_below(d, 1500);
    }
    if (d->plan.is_formed) {
        sim_world_form(d->w);
    }
}

/* -- what goes wrong ----------------------------------------------------------------------- */

static struct sim_node *any_node(struct drive *d)
{
    return &d->w->nodes[drive_below(d, d->w->nodes_count)];
}

static struct sim_node *any_core(struct drive *d)
{
    struct sim_node *n = any_node(d);
    struct sim_node *leader = sim_leader(d->w);

    if (leader != NULL && drive_below(d, 3) != 0) {
        n = leader; /* where it hurts */
    }
    return n->is_up && n->core != NULL && n->dead == NULL && n->paused_until <= d->w->now ? n
                                                                                          : NULL;
}

static void do_crash(struct drive *d)
{
    struct sim_node *n =
        drive_below(d, 3) == 0 && sim_leader(d->w) ? sim_leader(d->w) : any_node(d);

    if (n->is_up) {
        sim_node_crash(d->w, n, drive_below(d, n->queue_count + 1));
        d->restart_at[n->place] = d->w->now + drive_below(d, drive_below(d, 4) == 0 ? 5000 : 600);
    }
}

static void do_cut(struct drive *d)
{
    uint32_t count = d->w->nodes_count;
    uint64_t kind = drive_below(d, 4);
    uint32_t side = (uint32_t)drive_below(d, 1U << count);
    uint32_t alone = (uint32_t)drive_below(d, count);

    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < count; j++) {
            bool cut = false;

            switch (kind) {
            case 0: cut = ((side >> i) & 1U) != ((side >> j) & 1U); break; /* two sides */
            case 1: cut = i == alone || j == alone; break;                 /* one is alone */
            case 2: cut = i == alone; break;                               /* nobody hears it */
            default: cut = drive_below(d, 3) == 0; break;                  /* any links, one way */
            }
            d->w->is_cut[i][j] = cut && i != j;
        }
    }
    d->heal_at = d->w->now + drive_below(d, 4000);
    sim_gossip_changed(d->w);
}

static void do_pause(struct drive *d)
{
    struct sim_node *n = any_core(d);

    if (n != NULL) {
        sim_node_pause(d->w, n, drive_below(d, 3000));
    }
}

static void do_clog(struct drive *d)
{
    d->clog_until[any_node(d)->place][any_node(d)->place] = d->w->now + drive_below(d, 3000);
}

static void do_replay(struct drive *d)
{
    struct sim_message *m = d->history[drive_below(d, HISTORY)];

    if (m != NULL) {
        sim_net_schedule(d->w, sim_message_copy(d->w, m), 0);
    }
}

static void do_stall(struct drive *d)
{
    d->stall_until[any_node(d)->place] = d->w->now + drive_below(d, 4000);
}

static void do_health(struct drive *d)
{
    static const enum consensus_health all[] = { CONSENSUS_STORE_OK, CONSENSUS_STORE_SLOW,
                                                 CONSENSUS_STORE_FULL };
    struct sim_node *n = any_core(d);

    if (n != NULL) {
        sim_store(d->w, n, all[drive_below(d, MU_LEN(all))]);
    }
}

static void do_fail(struct drive *d)
{
    struct sim_node *n = any_core(d);

    if (n != NULL) {
        sim_store(d->w, n, CONSENSUS_STORE_FAILED);
    }
}

static void do_link(struct drive *d)
{
    struct sim_node *n = any_core(d);

    if (n != NULL) {
        sim_link(d->w, n, any_node(d), (enum consensus_link)drive_below(d, 4));
    }
}

static void do_compact(struct drive *d)
{
    struct sim_node *n = any_core(d);

    if (n == NULL || n->durable_applied <= n->disk.log.base) {
        return;
    }
    uint64_t upto = compact_to(d, n->place, n->durable_applied);

    if (upto > n->disk.log.base) {
        sim_compact(d->w, n, n->disk.log.base + 1 + drive_below(d, upto - n->disk.log.base));
    }
}

/* A blank disk under an old id, as often as a cluster survives. It never counts again. */
static void do_wipe(struct drive *d)
{
    struct sim_node *n = any_node(d);
    uint32_t wiped = 1;

    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        wiped += d->is_wiped[i];
    }
    if (sim_check_committed(d->w) < 2 || wiped > (d->w->nodes_count - 1) / 2) {
        return;
    }
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        if (d->w->nodes[i].disk.log.last == 0) {
            return; /* not yet formed everywhere: the bootstrap's word may be needed */
        }
    }
    if (n->is_up) {
        sim_node_crash(d->w, n, 0);
    }
    if (!d->is_wiped[n->place]) {
        d->is_wiped[n->place] = true;
        sim_node_wipe(d->w, n);
        d->restart_at[n->place] = d->w->now + drive_below(d, 1000);
    }
}

static void do_jump(struct drive *d)
{
    any_node(d)->clock_offset += drive_below(d, 3000);
}

static void do_stop(struct drive *d)
{
    struct sim_node *n = any_core(d);

    if (n != NULL && !n->is_stopped) {
        sim_stop(d->w, n);
        d->restart_at[n->place] = d->w->now + drive_below(d, 1000);
    }
}

static void do_propose(struct drive *d)
{
    struct sim_node *n = any_core(d);
    size_t count = 1 + drive_below(d, d->plan.count_max);

    if (n != NULL) {
        (void)sim_propose(d->w, n, count, d->next_content,
                          (uint32_t)drive_below(d, d->plan.bytes_max));
        d->next_content += count;
    }
}

/* Also, above all, where somebody believes to lead who no longer does. */
static void do_read(struct drive *d)
{
    struct sim_node *n = any_core(d);
    bool wants_stale = drive_below(d, 2) == 0;

    for (uint32_t i = 0; i < d->w->nodes_count && wants_stale; i++) {
        struct sim_node *o = &d->w->nodes[i];

        if (o->is_up && o->core != NULL && o->dead == NULL && o->paused_until <= d->w->now &&
            o->core->role == CONSENSUS_LEADER && o != sim_leader(d->w)) {
            n = o;
        }
    }

    if (n != NULL) {
        (void)sim_read(d->w, n);
    }
}

void drive_act(struct drive *d, uint32_t tick_ms)
{
    const struct plan *p = &d->plan;
    const struct {
        uint32_t rate;
        void (*run)(struct drive *d);
    } acts[] = {
        // clang-format off
        { p->crash, do_crash },     { p->cut, do_cut },         { p->pause, do_pause },
        { p->clog, do_clog },       { p->replay, do_replay },   { p->stall, do_stall },
        { p->health, do_health },   { p->fail, do_fail },       { p->links, do_link },
        { p->compact, do_compact }, { p->wipe, do_wipe },       { p->jump, do_jump },
        { p->stop, do_stop },       { p->propose, do_propose }, { p->read, do_read },
    }; // clang-format on

    for (size_t i = 0; i < MU_LEN(acts); i++) {
        uint32_t expected = acts[i].rate * tick_ms; /* in millionths of this tick */

        for (; expected >= 1000000; expected -= 1000000) {
            acts[i].run(d);
        }
        if (drive_below(d, 1000000) < expected) {
            acts[i].run(d);
        }
    }
}

void drive_calm(struct drive *d)
{
    d->plan.loss = 0;
    d->plan.twice = 0;
    d->plan.tail = 0;
    d->plan.delay_ms = 3;
    d->plan.disk_ms = 2;
    d->plan.disk_tail = 0;
    d->plan.apply_ms = 2;
    d->heal_at = 0;
    memset(d->clog_until, 0, sizeof d->clog_until);
    memset(d->stall_until, 0, sizeof d->stall_until);
}
