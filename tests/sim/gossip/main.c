/* main.c - sim_gossip: torture by seeds, and figures for people.
 *
 *   sim_gossip                              fixed seeds twice each, then fresh ones (the test)
 *   sim_gossip --seed S [--seconds T] [-v]  one seed, told in full with -v
 *   sim_gossip --nodes N [--seed S] [--trials R] [--end refused|silent|stalled] [--icmp]
 *   sim_gossip --space [--seed S] [--seconds T] [--loss percent]   estimated round trip times
 *   sim_gossip --nodes N --quiet [--seed S] [--seconds T] [--loss percent]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/rand.h"
#include "base/span.h"
#include "measure.h"
#include "space.h"
#include "torture.h"

#define FIXED_SEEDS     12
#define FRESH_SEEDS     4
#define TORTURE_SECONDS 120
#define SPACE_SECONDS   300

struct arguments {
    uint64_t nodes, seed, seconds, trials, loss;
    enum measure_end end;
    bool has_seed, is_quiet, is_space, is_verbose, has_icmp;
};

/* One seed; twice when `twice`, and then with the same hash. */
static bool run_seed(uint64_t seed, uint64_t seconds, bool twice, bool verbose)
{
    struct torture_result first = torture_run(seed, seconds, verbose);

    if (!first.agreed) {
        (void)printf("seed %llu: %s\n", (unsigned long long)seed, first.why_not);
        return false;
    }
    if (twice && torture_run(seed, seconds, false).hash != first.hash) {
        (void)printf("seed %llu: two runs differ\n", (unsigned long long)seed);
        return false;
    }
    (void)printf("seed %llu: %llu actions, hash %016llx\n", (unsigned long long)seed,
                 (unsigned long long)first.steps, (unsigned long long)first.hash);
    return true;
}

static int run_test(uint64_t fresh, uint64_t seconds)
{
    int failed = !space_run(1, SPACE_SECONDS, 0) + !space_run(2, SPACE_SECONDS, 0.1);

    for (uint64_t seed = 1; seed <= FIXED_SEEDS; seed++) {
        failed += !run_seed(seed, seconds, seed <= 3, false);
    }
    for (uint64_t i = 0; i < fresh; i++) {
        uint64_t seed = mu_rand_system() >> 16;

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

static struct arguments parse(int argc, char **argv)
{
    struct arguments a = { .seed = 1, .seconds = 0, .trials = 100 };

    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;

        if (strcmp(argv[i], "-v") == 0) {
            a.is_verbose = true;
        } else if (strcmp(argv[i], "--icmp") == 0) {
            a.has_icmp = true;
        } else if (strcmp(argv[i], "--quiet") == 0) {
            a.is_quiet = true;
        } else if (strcmp(argv[i], "--space") == 0) {
            a.is_space = true;
        } else if (strcmp(argv[i], "--nodes") == 0) {
            a.nodes = number(next);
            i++;
        } else if (strcmp(argv[i], "--seed") == 0) {
            a.seed = number(next);
            a.has_seed = true;
            i++;
        } else if (strcmp(argv[i], "--seconds") == 0) {
            a.seconds = number(next);
            i++;
        } else if (strcmp(argv[i], "--trials") == 0) {
            a.trials = number(next);
            i++;
        } else if (strcmp(argv[i], "--loss") == 0) {
            a.loss = number(next);
            i++;
        } else if (strcmp(argv[i], "--end") == 0) {
            a.end = end_of(next);
            i++;
        } else {
            (void)fprintf(stderr, "unknown argument '%s'; see the top of main.c\n", argv[i]);
            exit(2);
        }
    }
    return a;
}

int main(int argc, char **argv)
{
    struct arguments a = parse(argc, argv);

    if (a.is_space) {
        return !space_run(a.seed, a.seconds > 0 ? a.seconds : SPACE_SECONDS, (double)a.loss / 100);
    }
    if (a.nodes > 0 && a.is_quiet) {
        measure_quiet(a.nodes, a.seed, a.seconds > 0 ? a.seconds : 600, (double)a.loss / 100);
        return 0;
    }
    if (a.nodes > 0) {
        measure_detection(a.nodes, a.seed, a.trials, a.end, a.has_icmp);
        return 0;
    }
    uint64_t seconds = a.seconds > 0 ? a.seconds : TORTURE_SECONDS;

    return a.has_seed ? !run_seed(a.seed, seconds, true, a.is_verbose)
                      : run_test(FRESH_SEEDS, seconds);
}
