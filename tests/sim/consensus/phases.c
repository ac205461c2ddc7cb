/* phases.c - the life of a simulated cluster (spec/consensus.md 4.3).
 *
 * First things break while clients work. Then a quorum is healed and must make progress within ten
 * election timeouts, then everybody; at last nothing may move any more, and what was acknowledged
 * is there. checks.c looks at every step.
 */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "drive.h"

#define ALL UINT32_MAX

enum { SET_RIGHT_MS = 4000 }; /* an operator takes so long to see what is wrong */

/* -- the safety phase ---------------------------------------------------------------------- */

static void bury_and_raise(struct drive *d)
{
    if (d->w->now >= SET_RIGHT_MS) {
        drive_set_right(d);
    }
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        struct sim_node *n = &d->w->nodes[i];

        d->rand = drive_stream(d, DOMAIN_RAISE, i, d->tick);
        if (n->is_up && n->core != NULL && n->core->death == CONSENSUS_DEATH_REMOVED) {
            drive_bury_removed(d, n);
            continue;
        }
        if (n->is_up && n->dead != NULL && drive_is_odd(n)) {
            sim_node_crash(d->w, n, drive_below(d, n->queue_count + 1));
            sim_node_lose_state(d->w, n);
            d->restart_at[i] = d->w->now + drive_below(d, 500);
        }
        if (n->is_up && (n->dead != NULL || (n->is_stopped && d->w->now >= d->restart_at[i]))) {
            sim_node_crash(d->w, n, drive_below(d, n->queue_count + 1));
            d->restart_at[i] = d->w->now + drive_below(d, 500);
        }
        if (!n->is_up && d->w->now >= d->restart_at[i]) {
            drive_harm_start(d, n);
            drive_version_draw(d, n);
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
    while (d->w->now < d->plan.duration_ms) {
        struct mu_rand r = drive_stream(d, DOMAIN_MOMENT, ++d->tick, 0);

        sim_run_until(d->w, (uint64_t)d->tick * TICK_MS + mu_rand_below(&r, TICK_MS));
        bury_and_raise(d);
        drive_act(d);
    }
}

/* -- the liveness phases ------------------------------------------------------------------- */

/* These servers work from now on, and hear each other; the others stay as they are, or are down. */
static void heal(struct drive *d, uint32_t bits)
{
    drive_calm(d);
    drive_set_right(d);
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        struct sim_node *n = &d->w->nodes[i];

        if (!((bits >> i) & 1U)) {
            if (n->is_up && drive_below(d, 2) == 0) {
                sim_node_crash(d->w, n, 0);
            }
            continue;
        }
        for (uint32_t j = 0; j < d->w->nodes_count; j++) {
            d->w->is_cut[i][j] &= !((bits >> j) & 1U);
        }
        if (n->paused_until > d->w->now) {
            drive_await(d, n->paused_until);
            n->paused_until = d->w->now;
        }
        if (n->is_up && n->dead != NULL && drive_is_odd(n)) {
            sim_node_crash(d->w, n, drive_below(d, n->queue_count + 1));
            sim_node_lose_state(d->w, n);
            d->restart_at[i] = d->w->now + drive_below(d, 500);
        }
        if (n->is_up && (n->dead != NULL || n->is_stopped || n->is_read_only || drive_is_odd(n) ||
                         drive_version_lags(d, n))) {
            sim_node_crash(d->w, n, 0);
        }
        if (!n->is_up && drive_is_odd(n)) {
            sim_node_lose_state(d->w, n);
        }
        if (drive_version_lags(d, n)) {
            n->level_max = SIM_LEVEL_NEW;
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
    bool has_leader = bits == 0;

    if (d->last_committed < content) {
        return false;
    }
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        const struct sim_node *n = &d->w->nodes[i];

        if (((bits >> i) & 1U) && (n->core == NULL || n->applied != committed)) {
            return false;
        }
        has_leader |= n->core != NULL && n->core->role == CONSENSUS_LEADER &&
                      n->core->log.last_index == committed && !n->core->office.transfer.is_running;
    }
    return has_leader; /* and nothing on its way that would change who leads */
}

static bool is_formed(struct drive *d)
{
    if (d->plan.rate[DRIVE_change] > 0) {
        return sim_check_committed(d->w) > 0;
    }
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

static uint32_t all_intact(struct drive *d)
{
    uint32_t bits = 0;

    if (d->plan.rate[DRIVE_change] > 0 && sim_check_committed(d->w) > 0) {
        return drive_members(d);
    }
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        bits |= d->is_wiped[i] || d->w->nodes[i].expect == 0 ? 0 : 1U << i; /* nor spare */
    }
    return bits;
}

/* More terms than the list holds may pass before anything is committed, where it is made short. Who
 * ends of that is started again, as by whatever runs it. */
static void start_again(struct drive *d, uint32_t bits)
{
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        struct sim_node *n = &d->w->nodes[i];

        if ((bits >> i & 1U) != 0 && n->is_up && n->core != NULL &&
            n->core->death == CONSENSUS_DEATH_RUNS) {
            sim_node_crash(d->w, n, 0);
            sim_node_start(d->w, n);
        }
    }
}

/* Within ten election timeouts of the slowest clock something moves, until all is well. A cluster
 * that does not exist yet has to be formed first. */
/* bits: ALL follows the configuration, wherever that goes. */
static void must_progress(struct drive *d, uint32_t wanted, const char *who)
{
    uint32_t bits = wanted == ALL ? all_intact(d) : wanted;
    uint64_t patience_ms = (uint64_t)d->w->options.election_ms_min * 2 * 10 * 2 +
                           (is_formed(d) ? 0 : 8 * (uint64_t)d->w->patience_ms);
    uint64_t content = d->next_content;
    uint64_t moved_at = d->w->now;
    uint64_t sum = progress_of(d);

    while (!is_well(d, bits, content) || (wanted == ALL && bits != all_intact(d))) {
        if (wanted == ALL && bits != all_intact(d)) {
            bits = all_intact(d);
            heal(d, bits);
        }
        struct sim_node *leader = sim_leader(d->w);

        if (leader != NULL && leader->core->office.is_ready && leader->commit_to > 0 &&
            leader->applied == leader->core->commit && d->last_committed < content) {
            (void)sim_propose(d->w, leader, 1, d->next_content++, 10);
        }
        sim_run_until(d->w, d->w->now + 10);
        start_again(d, bits);
        if (progress_of(d) != sum) {
            sum = progress_of(d);
            moved_at = d->w->now;
        }
        if (d->w->now > moved_at + patience_ms) {
            sim_fail(d->w, "liveness: %s do not agree within ten election timeouts", who);
        }
    }
}

static bool has_priorities(struct drive *d)
{
    const struct consensus_config *config = sim_check_config(d->w);

    for (uint32_t i = 0; config != NULL && i < config->servers_count; i++) {
        if (config->servers[i].priority > 0) {
            return true;
        }
    }
    return false;
}

/* All servers of the configuration run the newer version: what that brings may be used. */
static void must_rise(struct drive *d)
{
    uint64_t ends_at = d->w->now + 2 * 10 * (uint64_t)d->w->options.election_ms_min;
    const struct consensus_config *config = sim_check_config(d->w);
    bool has_all =
        config != NULL && config->servers_count == (uint32_t)__builtin_popcount(all_intact(d));

    if (d->plan.rate[DRIVE_versions] == 0 || !has_all) {
        return;
    }
    while (sim_check_config(d->w)->level < SIM_LEVEL_NEW) {
        sim_run_until(d->w, d->w->now + 10);
        start_again(d, all_intact(d));
        if (d->w->now > ends_at) {
            sim_fail(d->w, "I25: all servers understand level %u, and it is not in use",
                     SIM_LEVEL_NEW);
        }
    }
    must_progress(d, ALL, "servers of the newer version");
}

/* I21: nobody changes its role, its term or its disk. */
static void must_rest(struct drive *d)
{
    uint32_t bits = all_intact(d);
    uint64_t begins_at = d->late_until > d->w->now ? d->late_until : d->w->now;
    uint64_t leaders = 0;
    uint64_t writes = 0;
    uint64_t terms = 0;

    /* a preferred server is given the office after a minute, by the slowest clock two */
    sim_run_until(d->w, begins_at + (has_priorities(d) ? 130000 : 1000));
    for (int round = 0; round < 2; round++) {
        uint64_t writes_now = 0;
        uint64_t terms_now = 0;

        for (uint32_t i = 0; i < d->w->nodes_count; i++) {
            const struct sim_node *n = &d->w->nodes[i];

            if (((bits >> i) & 1U) && n->core != NULL) { /* a removed one has stopped */
                writes_now += n->writes_seen;
                terms_now += n->core->hard.term;
            }
        }
        if (round == 1 &&
            (writes_now != writes || terms_now != terms || sim_check_leaders(d->w) != leaders)) {
            sim_fail(
                d->w,
                "I21: a quiet cluster is not quiet: %llu writes, %llu in terms, %llu terms led",
                U(writes_now - writes), U(terms_now - terms), U(sim_check_leaders(d->w) - leaders));
        }
        leaders = sim_check_leaders(d->w);
        writes = writes_now;
        terms = terms_now;
        if (round == 0) {
            sim_run_until(d->w, d->w->now + 10000);
        }
    }
}

static uint32_t some_quorum(struct drive *d)
{
    uint32_t bits = all_intact(d);
    uint32_t need = d->w->nodes_count / 2 + 1;

    while ((uint32_t)__builtin_popcount(bits) > need) {
        bits &= ~(1U << drive_below(d, d->w->nodes_count));
    }
    return bits;
}

/* All begin anew, on disks whose every write takes up to a whole election timeout: nobody knows yet
 * how slow they are, and they have to elect and commit all the same (spec 2.1). */
static void must_elect_slowly(struct drive *d)
{
    uint64_t min = d->w->options.election_ms_min;

    d->rand = drive_stream(d, DOMAIN_SLOW, 0, 0);
    if (drive_below(d, 4) != 0) {
        return;
    }
    d->slow_ms = min / 2 + drive_below(d, min / 2 + 1);
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        if (d->w->nodes[i].is_up) {
            sim_node_crash(d->w, &d->w->nodes[i], 0);
        }
    }
    heal(d, all_intact(d));
    must_progress(d, ALL, "servers with slow disks");
}

/* Has somebody with a state what the log of a server without one has no more? */
static bool is_followed(const struct drive *d, const struct sim_log *of, uint32_t bits)
{
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        const struct sim_disk *disk = &d->w->nodes[i].disk;

        if (((bits >> i) & 1U) && !disk->lacks_state &&
            (disk->log.base >= of->base ||
             (disk->log.last >= of->base &&
              sim_log_term(&disk->log, of->base) == sim_log_term(of, of->base)))) {
            return true;
        }
    }
    return false;
}

/* Nothing that was ever committed is only in a state that was lost. */
static bool has_everything(const struct drive *d, uint32_t bits)
{
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        const struct sim_disk *disk = &d->w->nodes[i].disk;

        if (((bits >> i) & 1U) && disk->lacks_state && !is_followed(d, &disk->log, bits)) {
            return false;
        }
    }
    return true;
}

/* Whoever lacks its state may have the longest log: it leads until another has that, too. */
static void quorum_must_progress(struct drive *d)
{
    uint32_t bits = some_quorum(d);

    heal(d, bits);
    if (!has_everything(d, bits)) {
        return;
    }
    if (drive_below(d, 2) == 0) {
        isolate(d, bits);
        must_progress(d, bits, "a healed quorum");
    } else { /* a leader outside may serve it, also one that hears only a part of it */
        must_progress(d, 0, "servers with a healed quorum");
    }
}

static void liveness_phases(struct drive *d)
{
    d->rand = drive_stream(d, DOMAIN_HEAL, 0, 0);
    /* Whoever has lost entries gives no vote to who lacks them: all may be needed. */
    if (is_formed(d) && d->plan.rate[DRIVE_change] == 0 && !drive_is_holed(d)) {
        quorum_must_progress(d);
    }
    heal(d, all_intact(d));
    must_progress(d, ALL, "all healed servers");
    must_rise(d);
    must_rest(d);
    if (d->plan.rate[DRIVE_replay] > 0) { /* frames of an hour ago */
        sim_run_until(d->w, d->w->now + drive_below(d, 2) * 60000);
        drive_replay_all(d);
        must_progress(d, ALL, "all servers that were sent old messages");
    }
    must_elect_slowly(d);
    for (uint32_t i = 0; i < d->w->nodes_count; i++) {
        if ((all_intact(d) >> i) & 1U) {
            sim_check_kept(d->w, &d->w->nodes[i]);
        }
    }
}

void drive_live(struct drive *d)
{
    safety_phase(d);
    liveness_phases(d);
}

void drive_free(struct drive *d)
{
    for (uint32_t i = 0; i < HISTORY; i++) {
        sim_message_free(d->history[i]);
    }
    sim_world_free(d->w);
    mu_free(d);
}
