/* faults.c - what a run is like, and what goes wrong in it (spec/consensus.md 4.3). */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "drive.h"

static bool chance(struct mu_rand *r, uint32_t permille)
{
    return permille > 0 && mu_rand_below(r, 1000) < permille;
}

/* -- how long things take ------------------------------------------------------------------ */

/* The stream for one more thing that happens between these two in this millisecond. */
static struct mu_rand fate(struct drive *d, enum drive_domain domain, uint32_t from, uint32_t to)
{
    uint64_t ms = d->w->now;
    uint32_t *count = &d->ordinals[domain][from][to].count;

    if (d->ordinals[domain][from][to].ms != ms) {
        d->ordinals[domain][from][to].ms = ms;
        *count = 0;
    }
    return drive_stream(d, domain, ms << 6 | from << 3 | to, (*count)++);
}

static uint64_t delay_ms(const struct plan *p, struct mu_rand *r)
{
    uint64_t ms = mu_rand_below(r, p->delay_ms + 1);

    switch (p->law) {
    case DELAY_UNIFORM: break;
    case DELAY_EXPONENTIAL: /* in steps */
        while (mu_rand_below(r, 4) != 0 && ms < 20 * (uint64_t)p->delay_ms) {
            ms += mu_rand_below(r, p->delay_ms / 2 + 1);
        }
        break;
    case DELAY_TWO_MODES: ms += chance(r, 100) ? 5 * (uint64_t)p->delay_ms : 0; break;
    case DELAY_LAWS: break;
    }
    return ms;
}

/* Losses come in bursts in some runs. */
static bool is_lossy(const struct drive *d)
{
    struct mu_rand r = drive_stream(d, DOMAIN_BURST, d->w->now / 500, 0);

    return d->plan.rate[DRIVE_bursts] == 0 || mu_rand_below(&r, 4) == 0;
}

static uint64_t net_ms(void *data, const struct sim_message *m)
{
    struct drive *d = data;
    struct mu_rand r = fate(d, DOMAIN_NET, m->from, m->to);
    uint64_t clog = d->clog_until[m->from][m->to];

    if (chance(&r, d->plan.rate[DRIVE_loss]) && is_lossy(d)) {
        return SIM_LOST;
    }
    uint64_t ms = delay_ms(&d->plan, &r);

    if (chance(&r, d->plan.rate[DRIVE_tail])) {
        ms += mu_rand_below(&r, 1000);
    }
    return clog > d->w->now + ms ? clog - d->w->now : ms;
}

/* Also remembers messages, to send them again when everybody has forgotten them. */
static bool net_twice(void *data, const struct sim_message *m)
{
    struct drive *d = data;
    struct mu_rand r = fate(d, DOMAIN_TWICE, m->from, m->to);

    if (d->plan.rate[DRIVE_replay] > 0 && !d->is_calm && chance(&r, 100)) {
        uint32_t i = d->history_next++ % HISTORY;

        sim_message_free(d->history[i]);
        d->history[i] = sim_message_copy(d->w, m);
    }
    return chance(&r, d->plan.rate[DRIVE_twice]);
}

static uint64_t disk_ms(void *data, uint32_t node)
{
    struct drive *d = data;
    struct mu_rand r = fate(d, DOMAIN_DISK, node, node);
    uint64_t ms = mu_rand_below(&r, d->plan.disk_ms + 1);

    if (d->slow_ms > 0) {
        return d->slow_ms;
    }
    if (chance(&r, d->plan.rate[DRIVE_disk_tail])) {
        ms += mu_rand_below(&r, 300);
    }
    return d->stall_until[node] > d->w->now + ms ? d->stall_until[node] - d->w->now : ms;
}

static uint64_t apply_ms(void *data, uint32_t node)
{
    struct drive *d = data;
    struct mu_rand r = fate(d, DOMAIN_APPLY, node, node);

    return mu_rand_below(&r, d->plan.apply_ms + 1);
}

static uint64_t gossip_ms(void *data, uint32_t node)
{
    struct drive *d = data;
    struct mu_rand r = fate(d, DOMAIN_GOSSIP, node, node);

    return 1 + mu_rand_below(&r, 200);
}

static bool snap_fails(void *data, uint32_t node, enum consensus_snap_order_kind kind)
{
    struct drive *d = data;
    struct mu_rand r = fate(d, DOMAIN_SNAP, node, kind);

    return mu_rand_below(&r, 1000) < d->plan.rate[DRIVE_snaps];
}

static uint64_t order_ms(void *data, uint32_t node)
{
    struct drive *d = data;
    struct mu_rand r = fate(d, DOMAIN_ORDER, node, node);

    return drive_order_ms(d, &r, disk_ms(data, node));
}

static bool fetch_fails(void *data, uint32_t node)
{
    struct drive *d = data;
    struct mu_rand r = fate(d, DOMAIN_FETCH, node, node);

    return chance(&r, d->plan.rate[DRIVE_fetches]);
}

/* -- drawing a run ------------------------------------------------------------------------- */

static const struct {
    uint32_t most;
} act_rates[] = {
#define ACT_RATE(name, rate) [DRIVE_##name] = { rate },
    DRIVE_ACTS(ACT_RATE)
#undef ACT_RATE
};

static bool is_off(const struct drive *d, enum drive_class class)
{
    return (d->tape->off >> class) & 1U;
}

/* Each class is off in half of the runs: bugs that need quiet hide when everything fails at once.
 * Whether it is, and how often it happens, does not depend on the other classes. */
static uint32_t rate_draw(struct drive *d, enum drive_class class, uint32_t most)
{
    d->rand = drive_stream(d, DOMAIN_CLASS, tape_class_stream(class), 0);
    uint32_t rate = drive_below(d, 2) == 0 ? 0 : 1 + (uint32_t)drive_below(d, most);

    if (class == DRIVE_propose || class == DRIVE_read) { /* there is always work */
        rate = most / 40 + (uint32_t)drive_below(d, most);
    } else if (class == DRIVE_wipe) {
        rate = drive_below(d, 8) == 0 ? most : 0;
    }
    return is_off(d, class) ? 0 : rate;
}

/* What a run is about: nothing, as servers ship, reads by lease while clocks keep to what these
 * assume, or do not. */
enum { LEASES_QUIET = 1, LEASES_BROKEN, LEASES_KEPT, LEASES_KEPT_TOO };

static void plan_draw(struct drive *d)
{
    struct plan *p = &d->plan;

    for (size_t i = 0; i < DRIVE_ACTS_COUNT; i++) {
        p->rate[i] = rate_draw(d, (enum drive_class)i, act_rates[i].most);
    }
    p->rate[DRIVE_loss] = rate_draw(d, DRIVE_loss, 300);
    p->rate[DRIVE_twice] = rate_draw(d, DRIVE_twice, 500);
    p->rate[DRIVE_tail] = rate_draw(d, DRIVE_tail, 50);
    p->rate[DRIVE_disk_tail] = rate_draw(d, DRIVE_disk_tail, 50);
    p->rate[DRIVE_snaps] = rate_draw(d, DRIVE_snaps, 200);
    p->rate[DRIVE_bursts] = rate_draw(d, DRIVE_bursts, 1);
    p->rate[DRIVE_clocks] = rate_draw(d, DRIVE_clocks, 1);
    p->rate[DRIVE_leases] = rate_draw(d, DRIVE_leases, LEASES_KEPT_TOO);
    p->rate[DRIVE_odd] = rate_draw(d, DRIVE_odd, 4);
    p->rate[DRIVE_aged] = rate_draw(d, DRIVE_aged, 4);
    d->rand = drive_stream(d, DOMAIN_CLASS, tape_class_stream(DRIVE_fresh), 0);
    p->rate[DRIVE_fresh] = drive_below(d, 3) != 0 && !is_off(d, DRIVE_fresh);
    d->rand = drive_stream(d, DOMAIN_PLAN, 0, 0);
    p->bytes_max = drive_below(d, 4) == 0 ? 60000 : 300;
    p->count_max = drive_below(d, 3) == 0 ? 40 : 3;
    p->duration_ms = 5000 + drive_below(d, 20000);
    p->delay_ms = 1;
    p->disk_ms = 1;
    p->apply_ms = 1;
    if (!is_off(d, DRIVE_delay)) {
        p->delay_ms = 1 + (uint32_t)drive_below(d, drive_below(d, 2) == 0 ? 3 : 40);
        p->disk_ms = (uint32_t)drive_below(d, drive_below(d, 2) == 0 ? 3 : 30);
        p->apply_ms = (uint32_t)drive_below(d, drive_below(d, 2) == 0 ? 2 : 50);
        p->law = (enum delay_law)drive_below(d, DELAY_LAWS);
    }
    if (d->tape->duration_ms > 0) {
        p->duration_ms = d->tape->duration_ms;
    }
    drive_kinds_draw(d);
}

static void options_draw(struct drive *d, struct consensus_options *o)
{
    d->rand = drive_stream(d, DOMAIN_SIZES, 0, 0);
    consensus_options_init(o, drive_below(d, 2) == 0 ? CONSENSUS_FAST : CONSENSUS_LAN, 1);
    o->has_leases = d->plan.rate[DRIVE_leases] >= LEASES_BROKEN;
    o->push_hold_ms = d->plan.rate[DRIVE_leases] > 0 ? o->push_hold_ms : 0;
    o->reads_max = d->plan.rate[DRIVE_odd] > 0 ? 2000 : 64;
    o->tail_entries = 2048;
    o->with_trace = true;
    if (d->plan.rate[DRIVE_aged] > 0) {
        o->runs_max = 16; /* few, but more than fail one after the other to commit anything */
    }
    if (is_off(d, DRIVE_sizes)) {
        return;
    }
    o->tail_entries = drive_below(d, 2) == 0 ? 64 : 2048;
    o->cache_bytes = drive_below(d, 2) == 0 ? 1 : 20000;
    o->writes_max = drive_below(d, 2) == 0 ? 12 : 128;
    o->inflight_max = drive_below(d, 2) == 0 ? 1 + (uint32_t)drive_below(d, 2) : 64;
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
    o->chunk_bytes = 1000;
    o->snap_timeout_ms = 500 + (uint32_t)drive_below(d, 1500);
    o->snap_reuse_ms = drive_below(d, 2) == 0 ? 300 : 60000;
    o->snap_pin_ms = drive_below(d, 4) == 0 ? 300 : 600000;
    o->runs_max = drive_below(d, 6) == 0 ? 32 : o->runs_max;
    o->proposals_max = drive_below(d, 6) == 0 ? 20 : o->proposals_max;
    o->reads_max = drive_below(d, 6) == 0 ? 2 : o->reads_max;
}

/* At half to one and a half speed (2.17); with leases the slowest just at 0.8 of the fastest. */
static void clock_draw(struct drive *d, struct sim_node *n)
{
    uint64_t drawn = drive_below(d, 1001);

    n->clock_rate = 500 + drawn;
    if (d->plan.rate[DRIVE_leases] >= LEASES_KEPT) {
        n->clock_rate = drawn % 3 == 0 ? 896 : drawn % 3 == 1 ? 1119 : 896 + drawn % 224;
    }
    n->clock_rate = d->plan.rate[DRIVE_clocks] > 0 ? n->clock_rate : 1000;
}

/* What is not as it was meant to be before anything has happened. */
static void past_draw(struct drive *d, uint32_t count)
{
    struct sim_world *w = d->w;

    d->rand = drive_stream(d, DOMAIN_PAST, 0, 0);
    w->is_aged = d->plan.rate[DRIVE_aged] > 0 && d->plan.rate[DRIVE_change] > 0;
    if (d->plan.rate[DRIVE_odd] == 0 || d->plan.rate[DRIVE_fresh] == 0) {
        return;
    }
    switch (drive_below(d, 4)) {
    case 0: w->ghosts_until = 500 + drive_below(d, 4000); break;
    case 1:
        d->misled = count > 1 ? &w->nodes[drive_below(d, count)] : NULL;
        if (d->misled != NULL) {
            d->misled->expect += 1;
        }
        break;
    case 2: /* more than are expected, not twice as many: those come in later (2.10, 6) */
        for (uint32_t i = count; i < w->nodes_count && count > 1 && w->nodes_count < 2 * count;
             i++) {
            w->nodes[i].expect = count;
        }
        break;
    default: break;
    }
}

void drive_draw(struct drive *d, const struct tape *tape)
{
    static const uint32_t sizes[] = { 1, 2, 3, 3, 3, 3, 4, 5, 5, 5 };
    static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g" };
    enum { SPARES = 2 };
    struct sim_policy policy = { .data = d,
                                 .net_ms = net_ms,
                                 .net_twice = net_twice,
                                 .disk_ms = disk_ms,
                                 .apply_ms = apply_ms,
                                 .gossip_ms = gossip_ms,
                                 .order_ms = order_ms,
                                 .fetch_fails = fetch_fails,
                                 .snap_fails = snap_fails };
    struct consensus_options options;

    d->tape = tape;
    d->next_content = 1;
    plan_draw(d);
    uint32_t count = sizes[drive_below(d, MU_LEN(sizes))];

    count = tape->nodes > 0 ? tape->nodes : count;
    options_draw(d, &options);
    drive_kinds_options(d, &options);
    d->w = sim_world_new(&options, &policy, tape->seed);
    drive_options_wrong(d, &options);
    drive_kinds_world(d);
    d->w->is_hushed = tape->seed % 2 == 1;
    d->w->shadow = sim_shadow_new(d->w);
    uint32_t spares = d->plan.rate[DRIVE_change] > 0 ? SPARES : 0;

    d->w->boots_quietly = d->plan.rate[DRIVE_leases] > 0;
    d->w->has_liars = d->plan.rate[DRIVE_leases] == LEASES_BROKEN;
    for (uint32_t i = 0; i < count + spares; i++) {
        struct sim_node *n = sim_node_add(d->w, names[i], i < count ? count : 0);

        d->rand = drive_stream(d, DOMAIN_NODE, i, 0);
        n->clock_offset = 1 + drive_below(d, 100000);
        clock_draw(d, n);
        d->restart_at[i] = drive_below(d, 1500);
    }
    past_draw(d, count);
    if (d->plan.rate[DRIVE_fresh] == 0) {
        d->w->nodes_count = count; /* without the spare ones */
        sim_world_form(d->w);
        d->w->nodes_count = count + spares;
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
        d->restart_at[n->place] = d->w->now + drive_shrunk(d, drive_below(d, 4) == 0 ? 5000 : 600);
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
    d->heal_at = d->w->now + drive_shrunk(d, 4000);
    sim_gossip_changed(d->w);
}

static void do_pause(struct drive *d)
{
    struct sim_node *n = any_core(d);

    if (n != NULL) {
        sim_node_pause(d->w, n, drive_shrunk(d, 3000));
    }
}

static void do_clog(struct drive *d)
{
    uint64_t until = d->w->now + drive_shrunk(d, 3000);
    uint32_t from = any_node(d)->place;

    d->clog_until[from][any_node(d)->place] = until;
}

/* All paths stop, one after another, and go on in another order. */
static void do_swizzle(struct drive *d)
{
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        uint64_t from = d->w->now + drive_shrunk(d, 1500);

        for (uint32_t j = 0; j < d->w->nodes_count; j++) {
            d->clog_until[i][j] = from + drive_shrunk(d, 1500);
        }
    }
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
    d->stall_until[any_node(d)->place] = d->w->now + drive_shrunk(d, 4000);
}

static void do_health(struct drive *d)
{
    static const enum consensus_health all[] = { CONSENSUS_STORE_OK, CONSENSUS_STORE_SLOW,
                                                 CONSENSUS_STORE_FULL, CONSENSUS_STORE_READ_ONLY };
    struct sim_node *n = any_core(d);

    if (n != NULL &&
        !n->is_read_only) { /* what is read-only can be written after a new start only */
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
        enum consensus_link link = (enum consensus_link)drive_below(d, 4);

        sim_link(d->w, n, any_node(d), link);
    }
}

/* More than the core has given up: as after a restart with other options. */
static void do_compact(struct drive *d)
{
    struct sim_node *n = any_core(d);

    if (n != NULL && n->disk.state.index > n->disk.log.base) {
        sim_compact(d->w, n,
                    n->disk.log.base + 1 + drive_below(d, n->disk.state.index - n->disk.log.base));
    }
}

/* A blank disk under an old id, as often as a cluster survives. It never counts again. */
static void do_wipe(struct drive *d)
{
    struct sim_node *n = any_node(d);
    uint32_t wiped = 1;

    if (d->plan.rate[DRIVE_change] > 0) { /* it is taken in as a new one, some day */
        if (n->disk.log.last > 0 && drive_may_lose_disk(d, n)) {
            if (n->is_up) {
                sim_node_crash(d->w, n, 0);
            }
            sim_node_wipe(d->w, n);
            n->expect = 0;
            d->restart_at[n->place] = d->w->now + drive_shrunk(d, 1000);
        }
        return;
    }
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
        d->restart_at[n->place] = d->w->now + drive_shrunk(d, 1000);
    }
}

/* A voter's clock that jumps would break its promise; a leader's ends what it was promised. */
static void do_jump(struct drive *d)
{
    struct sim_node *n = any_node(d);
    bool may = d->plan.rate[DRIVE_leases] < LEASES_KEPT || !n->is_up ||
               (n->core != NULL && n->core->role == CONSENSUS_LEADER);

    n->clock_offset += may ? drive_shrunk(d, 3000) : 0;
}

static void do_stop(struct drive *d)
{
    struct sim_node *n = any_core(d);

    if (n != NULL && !n->is_stopped) {
        sim_stop(d->w, n);
        d->restart_at[n->place] = d->w->now + drive_shrunk(d, 1000);
    }
}

/* One that has died and is not yet down: nobody has told the clients. */
static struct sim_node *dead_core(struct drive *d)
{
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        struct sim_node *n = &d->w->nodes[i];

        if (n->is_up && n->dead != NULL && n->paused_until <= d->w->now) {
            return n;
        }
    }
    return NULL;
}

static void do_propose(struct drive *d)
{
    struct sim_node *n = any_core(d);
    struct sim_node *dead = d->plan.rate[DRIVE_odd] > 0 ? dead_core(d) : NULL;
    size_t count = 1 + drive_shrunk(d, d->plan.count_max);

    n = dead != NULL ? dead : n;

    if (n != NULL) {
        uint32_t bytes = (uint32_t)drive_shrunk(d, d->plan.bytes_max);

        d->w->awaits = drive_below(d, 4) == 0;
        d->w->frees_space = d->plan.rate[DRIVE_odd] > 0 && drive_below(d, 4) == 0;
        count = drive_bulk(d, count);
        (void)sim_propose(d->w, n, count, d->next_content, bytes);
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

    size_t count = n != NULL && d->plan.rate[DRIVE_odd] > 0 && drive_below(d, 400) == 0 ? 3000 : 1;

    for (size_t i = 0; n != NULL && i < count; i++) {
        (void)sim_read(d->w, n);
    }
}

static void do_change(struct drive *d)
{
    drive_change(d);
}

static void do_transfer(struct drive *d)
{
    drive_transfer(d);
}

static void do_forge(struct drive *d)
{
    drive_forge(d);
}

static void do_rot(struct drive *d)
{
    drive_rot(d);
}

static void do_spoil(struct drive *d)
{
    drive_spoil(d);
}

/* The clone goes on, the original is spoilt: nothing inside may point to it. */
static void do_move(struct drive *d)
{
    struct sim_node *n = any_node(d);

    if (n->core == NULL) {
        return;
    }
    size_t bytes = n->core->at.total;
    struct consensus *clone = mu_new(bytes);

    memcpy(clone, n->core, bytes);
    memset(n->core, 0xa5, bytes);
    mu_free(n->core);
    n->core = clone;
}

/* -- when it happens ----------------------------------------------------------------------- */

typedef void act_fn(struct drive *d);

static act_fn *const acts[] = {
#define ACT_ROW(name, most) [DRIVE_##name] = do_##name,
    DRIVE_ACTS(ACT_ROW)
#undef ACT_ROW
};

static void act(struct drive *d, size_t i, uint32_t shrink)
{
    char line[64];

    if (d->w->line != NULL) {
        (void)snprintf(line, sizeof line, "[%llu] == %s.%u", U(d->w->now), tape_class_text(i),
                       d->tick);
        d->w->line(d->w->line_data, line);
    }
    if (d->happened != NULL && d->happened->count < TAPE_EVENTS_MAX) {
        d->happened->events[d->happened->count++] =
            (struct tape_event){ d->tick, (uint8_t)i, (uint8_t)shrink };
    }
    d->rand = drive_stream(d, DOMAIN_ACT, tape_class_stream(i), d->tick);
    d->shrink = shrink;
    acts[i](d);
    d->shrink = 0;
}

void drive_act(struct drive *d)
{
    const struct tape *t = d->tape;

    for (; t->is_listed && d->event < t->count && t->events[d->event].tick <= d->tick; d->event++) {
        act(d, t->events[d->event].act, t->events[d->event].shrink);
    }
    for (size_t i = 0; i < DRIVE_ACTS_COUNT && !t->is_listed; i++) {
        struct mu_rand r = drive_stream(d, DOMAIN_HAPPENS, tape_class_stream(i), d->tick);

        if (mu_rand_below(&r, 1000000) < (uint64_t)d->plan.rate[i] * TICK_MS) {
            act(d, i, 0);
        }
    }
}

void drive_await(struct drive *d, uint64_t at)
{
    d->late_until = at > d->late_until ? at : d->late_until;
}

void drive_calm(struct drive *d)
{
    d->is_calm = true;
    d->plan.rate[DRIVE_loss] = 0;
    d->plan.rate[DRIVE_twice] = 0;
    d->plan.rate[DRIVE_snaps] = 0;
    d->plan.rate[DRIVE_fetches] = 0;
    d->plan.rate[DRIVE_tail] = 0;
    d->plan.rate[DRIVE_disk_tail] = 0;
    d->plan.law = DELAY_UNIFORM;
    d->plan.delay_ms = 3;
    d->plan.disk_ms = 2;
    d->plan.apply_ms = 2;
    d->heal_at = 0;
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        drive_await(d, d->stall_until[i]);
        for (uint32_t j = 0; j < d->w->nodes_count; j++) {
            drive_await(d, d->clog_until[i][j]);
        }
    }
    memset(d->clog_until, 0, sizeof d->clog_until);
    memset(d->stall_until, 0, sizeof d->stall_until);
}

void drive_replay_all(struct drive *d)
{
    for (uint32_t i = 0; i < HISTORY; i++) {
        if (d->history[i] != NULL) {
            sim_net_schedule(d->w, sim_message_copy(d->w, d->history[i]), i % 7);
        }
    }
}
