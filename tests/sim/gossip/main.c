/* main.c - sim_gossip: torture by seeds, and figures for people.
 *
 *   sim_gossip                              fixed seeds twice each, then fresh ones (the test)
 *   sim_gossip --seed S [--seconds T] [-v]  one seed, told in full with -v
 *   sim_gossip --nodes N [--seed S] [--trials R] [--end refused|silent|stalled] [--icmp]
 *              [--crashes at once] [--within ms]    fails when all know of them later than that
 *   sim_gossip --space [--seed S] [--seconds T] [--loss percent]   estimated round trip times
 *   sim_gossip --large --nodes N [--seed S] [--trials R] [--seconds T]
 *              [--churn a-minute] [--loss percent] [--threads N]     thousands of them
 *   sim_gossip --same [--nodes N] [--seed S] [--trials R] [--seconds T] [--threads N]
 *              fails when runs by up to N threads are not as with each step in its turn
 *   sim_gossip --scale --nodes N [--seed S] [--trials R] [--seconds T] [--threads N]
 *              [--only K]                  each kind of fault, or the K-th, as JSON
 *   sim_gossip --scale --events --nodes N [--seed S] [--trials R] [--only K] [--loss percent]
 *              [--within ms]               events alone; fails when one comes late
 *   sim_gossip --forming --nodes N [--seed S] [--trials R] [--start ms] [--through nodes]
 *              [--loss percent] [--within ms]
 *   sim_gossip --nodes N --quiet [--seed S] [--seconds T] [--loss percent]   all live: fails when
 *              one is declared failed
 *   sim_gossip --alarms loss|stops|starved|oneway [--rules muster|memberlist|swim] [--nodes N]
 *              [--seed S] [--seconds T]
 *   sim_gossip --slow C [--nodes N] [--seed S] [--trials R] [--seconds T] [--loss percent]
 *              C slow members, all rule sets; fails when ours miss the target of 18.4
 *   sim_gossip --calibrate                  the model of memberlist against its known figures
 *
 * --json: what is measured, as a line for programs.
 * --threads: the same by so many; 0: each step in its turn. Else as many as there are processors.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alarms.h"
#include "base/assert.h"
#include "base/rand.h"
#include "base/span.h"
#include "forming.h"
#include "large.h"
#include "measure.h"
#include "same.h"
#include "scale.h"
#include "slow.h"
#include "space.h"
#include "torture.h"

#define FIXED_SEEDS     12
#define FRESH_SEEDS     4
#define TORTURE_SECONDS 120
#define SPACE_SECONDS   300
#define THREADS_MAX     4
#define SAME_THREADS    3
#define SAME_SEEDS      6
#define SAME_SECONDS    30
#define LARGE_NODES     150 /* of the default run: thousands take minutes */

struct arguments {
    uint64_t nodes, seed, seconds, trials, loss, churn, start, through, within, only, crashes, slow;
    uint64_t threads;
    enum measure_end end;
    enum alarms_scenario scenario;
    enum subject_rules rules;
    bool has_seed, is_quiet, is_space, is_verbose, has_icmp, is_json, is_alarms, calibrates,
        is_large, is_forming, is_scale, is_events, has_loss, is_same, has_threads;
};

/* Runs that failed once: a key used while a node was away, of which its next change hid that it
 * knew nothing; a join that waited for ever for peers that all told it the keys at once. */
static const uint64_t kept_seeds[] = { 943975723389, 455656122341, 1024361507886 };

/* One seed; twice when `twice`, and then with the same hash. */
static bool run_seed(uint64_t seed, uint64_t seconds, bool twice, bool verbose)
{
    struct torture_options o = { .seed = seed, .seconds = seconds, .is_verbose = verbose };
    struct torture_result first = torture_run(&o);

    o.is_verbose = false;
    if (!first.agreed) {
        (void)printf("seed %llu: %s\n", (unsigned long long)seed, first.why_not);
        return false;
    }
    if (twice && torture_run(&o).hash != first.hash) {
        (void)printf("seed %llu: two runs differ\n", (unsigned long long)seed);
        return false;
    }
    (void)printf("seed %llu: %llu actions, hash %016llx\n", (unsigned long long)seed,
                 (unsigned long long)first.steps, (unsigned long long)first.hash);
    return true;
}

static uint64_t fresh_seed(void)
{
    return mu_rand_system() >> 16;
}

static int run_test(uint64_t fresh, uint64_t seconds)
{
    const struct large_options large = {
        .nodes = LARGE_NODES, .seed = fresh_seed(), .seconds = 60, .trials = 3, .is_quiet = true
    };
    uint64_t hash;
    int failed = !space_run(1, SPACE_SECONDS, 0) + !space_run(2, SPACE_SECONDS, 0.1) +
                 !large_run(&large, &hash);

    for (uint64_t seed = 1; seed <= FIXED_SEEDS; seed++) {
        failed += !run_seed(seed, seconds, seed <= 3, false);
    }
    for (size_t i = 0; i < MU_LEN(kept_seeds); i++) {
        failed += !run_seed(kept_seeds[i], seconds, false, false);
    }
    for (uint64_t i = 0; i < fresh; i++) {
        uint64_t seed = fresh_seed();

        (void)printf("fresh seed %llu\n", (unsigned long long)seed);
        (void)fflush(stdout);
        failed += !run_seed(seed, seconds, false, false);
    }
    return failed == 0 ? 0 : 1;
}

static uint64_t number(const char *text)
{
    uint64_t value = 0;

    if (text == NULL || !mu_span_u64(mu_span_text(text), &value)) {
        (void)fprintf(stderr, "a number is expected, not '%s'\n", text != NULL ? text : "");
        exit(2);
    }
    return value;
}

static enum measure_end end_of(const char *text)
{
    static const char *const names[] = { "refused", "silent", "stalled" };

    for (size_t i = 0; i < MU_LEN(names); i++) {
        if (text != NULL && strcmp(names[i], text) == 0) {
            return (enum measure_end)i;
        }
    }
    (void)fprintf(stderr, "--end is refused, silent or stalled\n");
    exit(2);
}

static enum alarms_scenario scenario_of(const char *text)
{
    enum alarms_scenario found;

    if (!alarms_scenario_of(text, &found)) {
        (void)fprintf(stderr, "--alarms is loss, stops, starved or oneway\n");
        exit(2);
    }
    return found;
}

static enum subject_rules rules_of(const char *text)
{
    enum subject_rules found;

    if (!subject_rules_of(text, &found)) {
        (void)fprintf(stderr, "--rules is muster, memberlist or swim\n");
        exit(2);
    }
    return found;
}

/* An option without a value. */
static bool take_flag(struct arguments *a, const char *word)
{
    const struct {
        const char *word;
        bool *at;
    } flags[] = {
        { "-v", &a->is_verbose },          { "--icmp", &a->has_icmp },
        { "--quiet", &a->is_quiet },       { "--json", &a->is_json },
        { "--calibrate", &a->calibrates }, { "--large", &a->is_large },
        { "--space", &a->is_space },       { "--forming", &a->is_forming },
        { "--scale", &a->is_scale },       { "--events", &a->is_events },
        { "--same", &a->is_same },
    };

    for (size_t i = 0; i < MU_LEN(flags); i++) {
        if (strcmp(word, flags[i].word) == 0) {
            *flags[i].at = true;
            return true;
        }
    }
    return false;
}

static bool take_number(struct arguments *a, const char *word, const char *next)
{
    const struct {
        const char *word;
        uint64_t *at;
    } numbers[] = {
        { "--nodes", &a->nodes },     { "--seed", &a->seed },       { "--seconds", &a->seconds },
        { "--trials", &a->trials },   { "--loss", &a->loss },       { "--churn", &a->churn },
        { "--start", &a->start },     { "--through", &a->through }, { "--within", &a->within },
        { "--only", &a->only },       { "--crashes", &a->crashes }, { "--slow", &a->slow },
        { "--threads", &a->threads },
    };

    for (size_t i = 0; i < MU_LEN(numbers); i++) {
        if (strcmp(word, numbers[i].word) == 0) {
            *numbers[i].at = number(next);
            a->has_seed = a->has_seed || numbers[i].at == &a->seed;
            a->has_loss = a->has_loss || numbers[i].at == &a->loss;
            a->has_threads = a->has_threads || numbers[i].at == &a->threads;
            return true;
        }
    }
    return false;
}

/* One thread carries out what the others prepare: many would wait for it. */
static uint64_t threads_of_machine(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    return processors < 1 ? 1 : processors < THREADS_MAX ? (uint64_t)processors : THREADS_MAX;
}

static struct arguments parse(int argc, char **argv)
{
    struct arguments a = {
        .seed = 1, .trials = 100, .crashes = 1, .threads = threads_of_machine()
    };

    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;

        if (take_flag(&a, argv[i])) {
            continue;
        }
        if (strcmp(argv[i], "--end") == 0) {
            a.end = end_of(next);
        } else if (strcmp(argv[i], "--alarms") == 0) {
            a.scenario = scenario_of(next);
            a.is_alarms = true;
        } else if (strcmp(argv[i], "--rules") == 0) {
            a.rules = rules_of(next);
        } else if (!take_number(&a, argv[i], next)) {
            (void)fprintf(stderr, "unknown argument '%s'; see the top of main.c\n", argv[i]);
            exit(2);
        }
        i++;
    }
    return a;
}

/* Gigabytes of small records, read in no order: with pages of 4 kB the processor would mostly look
 * for pages. malloc asks for large ones when it is told so before the start; and what a node gives
 * back that crashes it keeps for the next one, instead of having the kernel clear all that anew. */
static void want_large_pages(char **argv)
{
    static const char wanted[] = "glibc.malloc.hugetlb=1:glibc.malloc.trim_threshold=68719476736:"
                                 "glibc.malloc.mmap_threshold=33554432";

    if (getenv("GLIBC_TUNABLES") == NULL && setenv("GLIBC_TUNABLES", wanted, 1) == 0) {
        (void)execv("/proc/self/exe", argv); /* if that fails: then slower */
    }
}

static void run_alarms(const struct arguments *a)
{
    struct alarms_options o = { .scenario = a->scenario,
                                .rules = a->rules,
                                .is_json = a->is_json,
                                .nodes = a->nodes > 0 ? a->nodes : 100,
                                .seed = a->seed,
                                .seconds = a->seconds > 0 ? a->seconds : 3600 };

    alarms_measure(&o);
}

static bool run_slow(const struct arguments *a)
{
    const struct slow_options o = { .nodes = a->nodes > 0 ? a->nodes : 128,
                                    .slow = a->slow,
                                    .seed = a->seed,
                                    .seconds = a->seconds > 0 ? a->seconds : 120,
                                    .trials = a->trials != 100 ? a->trials : 20,
                                    .loss = (double)a->loss / 100,
                                    .is_json = a->is_json };

    return slow_measure(&o);
}

int main(int argc, char **argv)
{
    struct arguments a = parse(argc, argv);
    struct measure_options o = { .nodes = a.nodes,
                                 .seed = a.seed,
                                 .crashes = a.crashes,
                                 .end = a.end,
                                 .within_ms = a.within,
                                 .has_icmp = a.has_icmp,
                                 .is_json = a.is_json };

    if (a.calibrates) {
        return alarms_calibrate() ? 0 : 1;
    }
    if (a.is_alarms) {
        run_alarms(&a);
        return 0;
    }
    if (a.slow > 0) {
        return run_slow(&a) ? 0 : 1;
    }
    if (a.is_same) {
        const struct same_options same = { .seed = a.seed,
                                           .seeds = a.trials != 100 ? a.trials : SAME_SEEDS,
                                           .seconds = a.seconds > 0 ? a.seconds : SAME_SECONDS,
                                           .nodes = a.nodes > 0 ? a.nodes : LARGE_NODES,
                                           .threads =
                                               a.has_threads ? (unsigned)a.threads : SAME_THREADS };

        return same_run(&same) ? 0 : 1;
    }
    if (a.is_large) {
        want_large_pages(argv);
        const struct large_options large = { .nodes = a.nodes > 0 ? a.nodes : 10000,
                                             .seed = a.seed,
                                             .churn = a.churn,
                                             .loss = a.loss,
                                             .threads = (unsigned)a.threads,
                                             .seconds = a.seconds > 0 ? a.seconds : 60,
                                             .trials = a.trials != 100 ? a.trials : 5 };

        uint64_t hash;
        bool is_good = large_run(&large, &hash);

        (void)printf("hash %016llx\n", (unsigned long long)hash);
        return is_good ? 0 : 1;
    }
    if (a.is_scale) {
        want_large_pages(argv);
        const struct scale_options scale = { .nodes = a.nodes > 0 ? a.nodes : 100,
                                             .seed = a.seed,
                                             .seconds = a.seconds > 0 ? a.seconds : 60,
                                             .trials = a.trials != 100 ? a.trials : 20,
                                             .only = a.only,
                                             .has_loss = a.has_loss,
                                             .threads = (unsigned)a.threads,
                                             .loss = (double)a.loss / 100,
                                             .is_events = a.is_events,
                                             .within_ms = a.within };

        return scale_run(&scale) ? 0 : 1;
    }
    if (a.is_forming) {
        want_large_pages(argv);
        const struct forming_options forming = { .nodes = a.nodes > 0 ? a.nodes : 100,
                                                 .seed = a.seed,
                                                 .trials = a.trials,
                                                 .start_ms = a.start,
                                                 .through = a.through > 0 ? a.through : 1,
                                                 .loss = a.loss,
                                                 .within_ms = a.within,
                                                 .is_json = a.is_json };

        return forming_measure(&forming) ? 0 : 1;
    }
    if (a.is_space) {
        return !space_run(a.seed, a.seconds > 0 ? a.seconds : SPACE_SECONDS, (double)a.loss / 100);
    }
    if (a.nodes > 0 && a.is_quiet) {
        return measure_quiet(&o, a.seconds > 0 ? a.seconds : 600, (double)a.loss / 100) ? 0 : 1;
    }
    if (a.nodes > 0) {
        return measure_detection(&o, a.trials) ? 0 : 1;
    }
    uint64_t seconds = a.seconds > 0 ? a.seconds : TORTURE_SECONDS;

    return a.has_seed ? !run_seed(a.seed, seconds, true, a.is_verbose)
                      : run_test(FRESH_SEEDS, seconds);
}
