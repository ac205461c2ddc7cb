/* sim.c - clusters of the shipped consensus cores under faults that are drawn from a seed.
 *
 * A run first draws what kind of run it is (each class of faults is off in half of them: bugs that
 * need quiet hide when everything fails at once), then lives through it: servers start in any order
 * and form a cluster, clients propose and read, things break. Then a quorum is healed and must make
 * progress within ten election timeouts, then everybody, and at last nothing may move any more.
 * checks.c looks at every step (spec/consensus.md 4.3 to 4.5).
 *
 *   sim_consensus --seeds 40 --fresh 40    seeds 1..40, and 40 nobody has seen
 *   sim_consensus --seed 123               that one again, with the end of its story if it fails
 *   sim_consensus --silent 1               without the story
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/rand.h"
#include "world.h"

#define U(v) (unsigned long long)(v)

enum { HISTORY = 64, LINES = 200, LINE_BYTES = 256 };

/* What kind of run this is. Probabilities in 1/1000; 0: this class is off. */
struct plan {
    uint32_t loss, twice, delay_ms, tail; /* network; tail: messages that take up to a second */
    uint32_t disk_ms, disk_tail;
    uint32_t apply_ms;
    /* how often per simulated second something of the class begins, in 1/1000 */
    uint32_t crash, cut, pause, clog, replay, stall, health, fail, links, compact, wipe, jump, stop;
    uint32_t propose, read; /* likewise */
    uint32_t bytes_max, count_max;
    uint64_t duration_ms;
    bool is_formed, has_clocks, relocates;
};

struct drive {
    struct sim_world *w;
    struct mu_rand rand;
    struct plan plan;
    uint64_t next_content;
    uint64_t restart_at[SIM_NODES_MAX];
    uint64_t heal_at;
    uint64_t clog_until[SIM_NODES_MAX][SIM_NODES_MAX];
    uint64_t stall_until[SIM_NODES_MAX];
    bool is_wiped[SIM_NODES_MAX];
    struct sim_message *history[HISTORY];
    uint32_t history_next;
    uint64_t last_committed; /* by on_result */
};

static uint64_t below(struct drive *d, uint64_t bound)
{
    return mu_rand_below(&d->rand, bound);
}

static bool chance(struct drive *d, uint32_t permille)
{
    return permille > 0 && below(d, 1000) < permille;
}

/* -- how long things take
 * ------------------------------------------------------------------------------ */

static uint64_t net_ms(void *data, const struct sim_message *m)
{
    struct drive *d = data;
    uint64_t clog = d->clog_until[m->from][m->to];

    if (chance(d, d->plan.loss)) {
        return SIM_LOST;
    }
    uint64_t ms = below(d, d->plan.delay_ms + 1);

    if (chance(d, d->plan.tail)) {
        ms += below(d, 1000);
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
    uint64_t ms = below(d, d->plan.disk_ms + 1);

    if (chance(d, d->plan.disk_tail)) {
        ms += below(d, 300);
    }
    return d->stall_until[node] > d->w->now + ms ? d->stall_until[node] - d->w->now : ms;
}

static uint64_t apply_ms(void *data, uint32_t node)
{
    struct drive *d = data;

    (void)node;
    return below(d, d->plan.apply_ms + 1);
}

static uint64_t gossip_ms(void *data, uint32_t node)
{
    struct drive *d = data;

    (void)node;
    return 1 + below(d, 200);
}

/* -- drawing a run
 * ------------------------------------------------------------------------------------- */

static uint32_t maybe(struct drive *d, uint32_t most)
{
    return below(d, 2) == 0 ? 0 : 1 + (uint32_t)below(d, most);
}

static void plan_draw(struct drive *d)
{
    struct plan *p = &d->plan;

    p->loss = maybe(d, 300);
    p->twice = maybe(d, 500);
    p->delay_ms = 1 + (uint32_t)below(d, below(d, 2) == 0 ? 3 : 40);
    p->tail = maybe(d, 50);
    p->disk_ms = (uint32_t)below(d, below(d, 2) == 0 ? 3 : 30);
    p->disk_tail = maybe(d, 50);
    p->apply_ms = (uint32_t)below(d, below(d, 2) == 0 ? 2 : 50);
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
    p->wipe = below(d, 8) == 0 ? 30 : 0;
    p->jump = maybe(d, 100);
    p->stop = maybe(d, 50);
    p->propose = 1000 + (uint32_t)below(d, 60000);
    p->read = 500 + (uint32_t)below(d, 20000);
    p->bytes_max = below(d, 4) == 0 ? 60000 : 300;
    p->count_max = below(d, 3) == 0 ? 40 : 3;
    p->duration_ms = 5000 + below(d, 20000);
    p->is_formed = below(d, 3) == 0;
    p->has_clocks = below(d, 2) == 0;
    p->relocates = below(d, 2) == 0;
}

static void options_draw(struct drive *d, struct consensus_options *o)
{
    consensus_options_init(o, below(d, 2) == 0 ? CONSENSUS_FAST : CONSENSUS_LAN, 1);
    o->reads_max = 64;
    o->tail_entries = below(d, 2) == 0 ? 64 : 2048;
    o->cache_bytes = below(d, 2) == 0 ? 1 : 20000;
    o->writes_max = below(d, 2) == 0 ? 12 : 128;
    o->inflight_max = below(d, 2) == 0 ? 2 : 64;
    o->inflight_bytes_max = below(d, 2) == 0 ? 2000 : 1000000;
    o->append_entries_max = below(d, 2) == 0 ? 1 + (uint32_t)below(d, 4) : 256;
    o->append_bytes_max = below(d, 2) == 0 ? 1000 : 100000;
    o->uncommitted_bytes_max = below(d, 4) == 0 ? 3000 : 10000000;
    o->unsynced_bytes_max = below(d, 4) == 0 ? 3000 : 10000000;
    o->apply_lag_max = below(d, 4) == 0 ? 20 : 5000;
    o->tail_bytes_max = below(d, 4) == 0 ? 20000 : 64000000;
    o->with_trace = true;
}

static void world_draw(struct drive *d, uint64_t seed)
{
    static const uint32_t sizes[] = { 1, 2, 3, 3, 3, 3, 4, 5, 5, 5 };
    static const char *const names[] = { "a", "b", "c", "d", "e" };
    struct sim_policy policy = { d, net_ms, net_twice, disk_ms, apply_ms, gossip_ms };
    struct consensus_options options;
    uint32_t count = sizes[below(d, MU_LEN(sizes))];

    options_draw(d, &options);
    d->w = sim_world_new(&options, &policy, seed);
    for (uint32_t i = 0; i < count; i++) {
        struct sim_node *n = sim_node_add(d->w, names[i], count);

        n->clock_offset = 1 + below(d, 100000);
        n->clock_rate = d->plan.has_clocks ? 500 + below(d, 1001) : 1000; /* 2.17 */
        d->restart_at[i] = below(d, 1500);
    }
    if (d->plan.is_formed) {
        sim_world_form(d->w);
    }
}

/* -- what goes wrong
 * ---------------------------------------------------------------------------------------- */

static struct sim_node *any_node(struct drive *d)
{
    return &d->w->nodes[below(d, d->w->nodes_count)];
}

static struct sim_node *any_core(struct drive *d)
{
    struct sim_node *n = any_node(d);
    struct sim_node *leader = sim_leader(d->w);

    if (leader != NULL && below(d, 3) != 0) {
        n = leader; /* where it hurts */
    }
    return n->is_up && n->core != NULL && n->dead == NULL && n->paused_until <= d->w->now ? n
                                                                                          : NULL;
}

static void do_crash(struct drive *d)
{
    struct sim_node *n = below(d, 3) == 0 && sim_leader(d->w) ? sim_leader(d->w) : any_node(d);

    if (n->is_up) {
        sim_node_crash(d->w, n, below(d, n->queue_count + 1));
        d->restart_at[n->place] = d->w->now + below(d, below(d, 4) == 0 ? 5000 : 600);
    }
}

static void do_cut(struct drive *d)
{
    uint32_t count = d->w->nodes_count;
    uint64_t kind = below(d, 4);
    uint32_t side = (uint32_t)below(d, 1U << count);
    uint32_t alone = (uint32_t)below(d, count);

    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < count; j++) {
            bool cut = false;

            switch (kind) {
            case 0: cut = ((side >> i) & 1U) != ((side >> j) & 1U); break; /* two sides */
            case 1: cut = i == alone || j == alone; break;                 /* one is alone */
            case 2: cut = i == alone; break;                               /* nobody hears it */
            default: cut = below(d, 3) == 0; break;                        /* any links, one way */
            }
            d->w->is_cut[i][j] = cut && i != j;
        }
    }
    d->heal_at = d->w->now + below(d, 4000);
    sim_gossip_changed(d->w);
}

static void do_pause(struct drive *d)
{
    struct sim_node *n = any_core(d);

    if (n != NULL) {
        sim_node_pause(d->w, n, below(d, 3000));
    }
}

static void do_clog(struct drive *d)
{
    d->clog_until[any_node(d)->place][any_node(d)->place] = d->w->now + below(d, 3000);
}

static void do_replay(struct drive *d)
{
    struct sim_message *m = d->history[below(d, HISTORY)];

    if (m != NULL) {
        sim_net_schedule(d->w, sim_message_copy(d->w, m), 0);
    }
}

static void do_stall(struct drive *d)
{
    d->stall_until[any_node(d)->place] = d->w->now + below(d, 4000);
}

static void do_health(struct drive *d)
{
    static const enum consensus_health all[] = { CONSENSUS_STORE_OK, CONSENSUS_STORE_SLOW,
                                                 CONSENSUS_STORE_FULL };
    struct sim_node *n = any_core(d);

    if (n != NULL) {
        sim_store(d->w, n, all[below(d, MU_LEN(all))]);
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
        sim_link(d->w, n, any_node(d), (enum consensus_link)below(d, 4));
    }
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
static void do_compact(struct drive *d)
{
    struct sim_node *n = any_core(d);

    if (n == NULL || n->durable_applied <= n->disk.log.base) {
        return;
    }
    uint64_t upto = n->durable_applied;

    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        uint64_t has = agreed(d, &d->w->nodes[i], n);

        upto = !d->is_wiped[i] && has < upto ? has : upto;
    }
    if (upto > n->disk.log.base) {
        sim_compact(d->w, n, n->disk.log.base + 1 + below(d, upto - n->disk.log.base));
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
        d->restart_at[n->place] = d->w->now + below(d, 1000);
    }
}

static void do_jump(struct drive *d)
{
    any_node(d)->clock_offset += below(d, 3000);
}

static void do_stop(struct drive *d)
{
    struct sim_node *n = any_core(d);

    if (n != NULL && !n->is_stopped) {
        sim_stop(d->w, n);
        d->restart_at[n->place] = d->w->now + below(d, 1000);
    }
}

static void do_propose(struct drive *d)
{
    struct sim_node *n = any_core(d);
    size_t count = 1 + below(d, d->plan.count_max);

    if (n != NULL) {
        (void)sim_propose(d->w, n, count, d->next_content, (uint32_t)below(d, d->plan.bytes_max));
        d->next_content += count;
    }
}

/* Also, above all, where somebody believes to lead who no longer does. */
static void do_read(struct drive *d)
{
    struct sim_node *n = any_core(d);
    bool wants_stale = below(d, 2) == 0;

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

/* -- the safety phase
 * ----------------------------------------------------------------------------------------- */

/* The clone goes on, the original is spoilt: nothing inside may point to it. */
static void relocate(struct drive *d)
{
    struct sim_node *n = any_node(d);

    if (!d->plan.relocates || n->core == NULL) {
        return;
    }
    size_t bytes = n->core->at.total;
    struct consensus *clone = mu_new(bytes);

    memcpy(clone, n->core, bytes);
    memset(n->core, 0xa5, bytes);
    mu_free(n->core);
    n->core = clone;
}

static void bury_and_raise(struct drive *d)
{
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        struct sim_node *n = &d->w->nodes[i];

        if (n->is_up && (n->dead != NULL || (n->is_stopped && d->w->now >= d->restart_at[i]))) {
            sim_node_crash(d->w, n, below(d, n->queue_count + 1));
            d->restart_at[i] = d->w->now + below(d, 500);
        }
        if (!n->is_up && d->w->now >= d->restart_at[i]) {
            sim_node_start(d->w, n);
        }
    }
    if (d->heal_at != 0 && d->w->now >= d->heal_at) {
        d->heal_at = 0;
        memset(d->w->is_cut, 0, sizeof d->w->is_cut);
        sim_gossip_changed(d->w);
    }
}

static void safety_phase(struct drive *d)
{
    const struct plan *p = &d->plan;
    const struct {
        uint32_t rate;
        void (*run)(struct drive *d);
    } acts[] = {
        // clang-format off
        { p->crash, do_crash },   { p->cut, do_cut },       { p->pause, do_pause },
        { p->clog, do_clog },     { p->replay, do_replay }, { p->stall, do_stall },
        { p->health, do_health }, { p->fail, do_fail },     { p->links, do_link },
        { p->compact, do_compact }, { p->wipe, do_wipe },   { p->jump, do_jump },
        { p->stop, do_stop },     { p->propose, do_propose }, { p->read, do_read },
    }; // clang-format on
    enum { TICK_MS = 10 };

    while (d->w->now < p->duration_ms) {
        sim_run_until(d->w, d->w->now + 1 + below(d, 2 * TICK_MS - 1));
        bury_and_raise(d);
        for (size_t i = 0; i < MU_LEN(acts); i++) {
            uint32_t expected = acts[i].rate * TICK_MS; /* in millionths of this tick */

            for (; expected >= 1000000; expected -= 1000000) {
                acts[i].run(d);
            }
            if (below(d, 1000000) < expected) {
                acts[i].run(d);
            }
        }
        if (below(d, 20) == 0) {
            relocate(d);
        }
    }
}

/* -- the liveness phases
 * ---------------------------------------------------------------------------------------- */

static void quiet_plan(struct drive *d)
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

/* These servers work from now on, and hear each other; the others stay as they are, or are down. */
static void heal(struct drive *d, uint32_t bits)
{
    quiet_plan(d);
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        struct sim_node *n = &d->w->nodes[i];

        if (!((bits >> i) & 1U)) {
            if (n->is_up && below(d, 2) == 0) {
                sim_node_crash(d->w, n, 0);
            }
            continue;
        }
        for (uint32_t j = 0; j < d->w->nodes_count; j++) {
            d->w->is_cut[i][j] &= !((bits >> j) & 1U);
        }
        if (n->paused_until > d->w->now) {
            n->paused_until = d->w->now;
        }
        if (n->is_up && (n->dead != NULL || n->is_stopped)) {
            sim_node_crash(d->w, n, 0);
        }
        if (n->batch > 0) { /* a stalled disk goes on */
            sim_item_push(d->w, (struct sim_item){
                                    .at = d->w->now + 1,
                                    .kind = SIM_PERSISTED,
                                    .node = i,
                                    .life = n->life,
                                });
        }
        if (!n->is_up) {
            sim_node_start(d->w, n);
        } else if (n->core != NULL) {
            sim_store(d->w, n, CONSENSUS_STORE_OK);
        }
    }
    sim_gossip_changed(d->w);
}

/* The others neither hear them nor are heard. */
static void isolate(struct drive *d, uint32_t bits)
{
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        for (uint32_t j = 0; j < d->w->nodes_count; j++) {
            d->w->is_cut[i][j] |= ((bits >> i) & 1U) != ((bits >> j) & 1U);
        }
    }
}

/* A new entry went through, and all of `bits` have applied everything. */
static bool is_well(struct drive *d, uint32_t bits, uint64_t content)
{
    uint64_t committed = sim_check_committed(d->w);

    if (d->last_committed < content) {
        return false;
    }
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        const struct sim_node *n = &d->w->nodes[i];

        if (((bits >> i) & 1U) && (n->core == NULL || n->applied != committed)) {
            return false;
        }
    }
    return true;
}

static bool is_formed(struct drive *d)
{
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        if (!d->is_wiped[i] && d->w->nodes[i].disk.log.last == 0) {
            return false;
        }
    }
    return true;
}

/* Grows whenever somebody applies, or stores what it did not have. */
static uint64_t progress_of(const struct drive *d)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        sum += d->w->nodes[i].applied + d->w->nodes[i].disk.log.last;
    }
    return sum;
}

/* Within ten election timeouts of the slowest clock something moves, until all is well. A cluster
 * that does not exist yet has to be formed first. */
static void must_progress(struct drive *d, uint32_t bits, const char *who)
{
    uint64_t patience_ms = (uint64_t)d->w->options.election_ms_min * 2 * 10 * 2 +
                           (is_formed(d) ? 0 : 8 * (uint64_t)d->w->patience_ms);
    uint64_t content = d->next_content;
    uint64_t moved_at = d->w->now;
    uint64_t sum = progress_of(d);

    while (!is_well(d, bits, content)) {
        struct sim_node *leader = sim_leader(d->w);

        if (leader != NULL && leader->core->office.is_ready && leader->commit_to > 0 &&
            leader->applied == leader->core->commit && d->last_committed < content) {
            (void)sim_propose(d->w, leader, 1, d->next_content++, 10);
        }
        sim_run_until(d->w, d->w->now + 10);
        if (progress_of(d) != sum) {
            sum = progress_of(d);
            moved_at = d->w->now;
        }
        if (d->w->now > moved_at + patience_ms) {
            sim_fail(d->w, "liveness: %s do not agree within ten election timeouts", who);
        }
    }
}

/* I21: nobody changes its role, its term or its disk. */
static void must_rest(struct drive *d)
{
    uint64_t leaders = 0;
    uint64_t writes = 0;
    uint64_t terms = 0;

    sim_run_until(d->w, d->w->now + 1000);
    for (int round = 0; round < 2; round++) {
        uint64_t writes_now = 0;
        uint64_t terms_now = 0;

        for (uint32_t i = 0; i < d->w->nodes_count; i++) {
            writes_now += d->w->nodes[i].writes_seen;
            terms_now += d->is_wiped[i] ? 0 : d->w->nodes[i].core->hard.term;
        }
        if (round == 1 &&
            (writes_now != writes || terms_now != terms || sim_check_leaders(d->w) != leaders)) {
            sim_fail(d->w, "I21: a quiet cluster is not quiet");
        }
        leaders = sim_check_leaders(d->w);
        writes = writes_now;
        terms = terms_now;
        if (round == 0) {
            sim_run_until(d->w, d->w->now + 10000);
        }
    }
}

static uint32_t all_intact(struct drive *d)
{
    uint32_t bits = 0;

    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        bits |= d->is_wiped[i] ? 0 : 1U << i;
    }
    return bits;
}

static uint32_t some_quorum(struct drive *d)
{
    uint32_t bits = all_intact(d);
    uint32_t need = d->w->nodes_count / 2 + 1;

    while ((uint32_t)__builtin_popcount(bits) > need) {
        bits &= ~(1U << below(d, d->w->nodes_count));
    }
    return bits;
}

static void liveness_phases(struct drive *d)
{
    if (is_formed(d)) {
        uint32_t bits = some_quorum(d);

        heal(d, bits);
        if (below(d, 2) == 0) {
            isolate(d, bits);
            must_progress(d, bits, "a healed quorum");
        } else { /* a leader outside may serve it, also one that hears only a part of it */
            must_progress(d, 0, "servers with a healed quorum");
        }
    }
    uint32_t all = all_intact(d);

    heal(d, all);
    must_progress(d, all, "all healed servers");
    must_rest(d);
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        if (!d->is_wiped[i]) {
            sim_check_kept(d->w, &d->w->nodes[i]);
        }
    }
}

/* -- one run
 * -------------------------------------------------------------------------------------------------
 */

struct story { /* the last lines of a traced run */
    char lines[LINES][LINE_BYTES];
    uint64_t count;
};

static struct story story;
static uint64_t running_seed;
static bool is_telling, is_silent;
static const char *program;

static void remember(void *data, const char *line)
{
    (void)data;
    (void)snprintf(story.lines[story.count++ % LINES], LINE_BYTES, "%s", line);
}

static void on_result(void *data, struct sim_node *n, const struct consensus_result *r)
{
    struct drive *d = data;
    const struct sim_ticket *t = &d->w->tickets[r->ticket - 1];

    if (r->outcome == CONSENSUS_COMMITTED && t->content > d->last_committed) {
        d->last_committed = t->content;
    }
    sim_say(d->w, n, "%s %llu: %s, %llu", t->is_read ? "read" : "entry", U(t->content),
            sim_outcome_text(r), U(r->index));
}

struct sum {
    uint64_t runs, steps, acknowledged, leaders, simulated_ms;
};

static uint64_t run_seed(uint64_t seed, struct sum *sum)
{
    struct drive *d = mu_new(sizeof *d);

    running_seed = seed;
    mu_rand_seed(&d->rand, seed);
    d->next_content = 1;
    plan_draw(d);
    world_draw(d, seed);
    d->w->on_result = on_result;
    d->w->on_result_data = d;
    d->w->shows_level = MU_TRACE;
    d->w->shows_messages = is_telling;
    d->w->line = is_telling ? remember : NULL;
    safety_phase(d);
    liveness_phases(d);
    uint64_t hash = d->w->hash;

    sum->runs++;
    sum->steps += d->w->steps;
    sum->acknowledged += sim_check_acknowledged(d->w);
    sum->leaders += sim_check_leaders(d->w);
    sum->simulated_ms += d->w->now;
    for (uint32_t i = 0; i < HISTORY; i++) {
        sim_message_free(d->history[i]);
    }
    sim_world_free(d->w);
    mu_free(d);
    return hash;
}

/* A check or an assertion failed: run the seed again, with its story. */
static void on_abort(int signal_number)
{
    char seed[24];

    (void)signal_number;
    if (is_silent) {
        _exit(1);
    }
    if (is_telling) {
        for (uint64_t i = story.count > LINES ? story.count - LINES : 0; i < story.count; i++) {
            (void)fprintf(stderr, "%s\n", story.lines[i % LINES]);
        }
        (void)fprintf(stderr, "repeat with: %s --seed %llu\n", program, U(running_seed));
        _exit(1);
    }
    (void)snprintf(seed, sizeof seed, "%llu", U(running_seed));
    (void)execl(program, program, "--tell", seed, (char *)NULL);
    _exit(1);
}

/* Sanitizers end with the story as well. */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

const char *__asan_default_options(void)
{
    return "abort_on_error=1";
}

const char *__ubsan_default_options(void)
{
    return "abort_on_error=1:print_stacktrace=1";
}

static void run_twice(uint64_t seed, struct sum *sum)
{
    uint64_t first = run_seed(seed, sum);

    if (run_seed(seed, sum) != first) {
        (void)fprintf(stderr, "seed %llu gives two different runs\n", U(seed));
        exit(1);
    }
}

static uint64_t number(int argc, char **argv, const char *name, uint64_t fallback)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return strtoull(argv[i + 1], NULL, 10);
        }
    }
    return fallback;
}

int main(int argc, char **argv)
{
    struct sum sum = { 0 };
    uint64_t one = number(argc, argv, "--seed", 0);
    uint64_t told = number(argc, argv, "--tell", 0);
    uint64_t seeds = number(argc, argv, "--seeds", one + told > 0 ? 0 : 10);
    uint64_t from = number(argc, argv, "--from", 1);
    uint64_t fresh = number(argc, argv, "--fresh", 0);

    program = argv[0];
    (void)signal(SIGABRT, on_abort);
    is_telling = told > 0;
    is_silent = number(argc, argv, "--silent", 0) == 1;
    if (one + told > 0) {
        (void)run_seed(one + told, &sum);
    }
    for (uint64_t seed = from; seed < from + seeds; seed++) {
        if (seed % 8 == 0) {
            run_twice(seed, &sum);
        } else {
            (void)run_seed(seed, &sum);
        }
    }
    for (uint64_t i = 0; i < fresh; i++) {
        (void)run_seed(mu_rand_system() >> 16, &sum);
    }
    (void)printf("%llu runs, %llu steps, %llu s simulated, %llu terms led, %llu writes kept\n",
                 U(sum.runs), U(sum.steps), U(sum.simulated_ms / 1000), U(sum.leaders),
                 U(sum.acknowledged));
    return EXIT_SUCCESS;
}
