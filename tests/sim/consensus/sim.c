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
#include "drive.h"

enum { LINES = 200, LINE_BYTES = 256 };

/* -- the safety phase ---------------------------------------------------------------------- */

/* The clone goes on, the original is spoilt: nothing inside may point to it. */
static void relocate(struct drive *d)
{
    struct sim_node *n = &d->w->nodes[drive_below(d, d->w->nodes_count)];

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
            sim_node_crash(d->w, n, drive_below(d, n->queue_count + 1));
            d->restart_at[i] = d->w->now + drive_below(d, 500);
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
    enum { TICK_MS = 10 };

    while (d->w->now < d->plan.duration_ms) {
        sim_run_until(d->w, d->w->now + 1 + drive_below(d, 2 * TICK_MS - 1));
        bury_and_raise(d);
        drive_act(d, TICK_MS);
        if (drive_below(d, 20) == 0) {
            relocate(d);
        }
    }
}

/* -- the liveness phases ------------------------------------------------------------------- */

/* These servers work from now on, and hear each other; the others stay as they are, or are down. */
static void heal(struct drive *d, uint32_t bits)
{
    drive_calm(d);
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
        bits &= ~(1U << drive_below(d, d->w->nodes_count));
    }
    return bits;
}

static void liveness_phases(struct drive *d)
{
    if (is_formed(d)) {
        uint32_t bits = some_quorum(d);

        heal(d, bits);
        if (drive_below(d, 2) == 0) {
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

/* -- one run ------------------------------------------------------------------------------- */

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
    sim_say(d->w, n, "%s %llu: %s, %llu", t->kind == SIM_READ ? "read" : "entry", U(t->content),
            sim_outcome_text(r), U(r->index));
}

struct sum {
    uint64_t runs, steps, acknowledged, leaders, simulated_ms;
};

static uint64_t run_seed(uint64_t seed, struct sum *sum)
{
    struct drive *d = mu_new(sizeof *d);

    running_seed = seed;
    drive_draw(d, seed);
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
