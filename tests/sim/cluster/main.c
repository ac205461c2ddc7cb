/* main.c - whole clusters of the shipped cores, from a seed.
 *
 *   sim_cluster                          a fixed set of seeds, and a few that nobody has seen
 *   sim_cluster --seed 7 [--seconds 120] [--servers 3] [--clients 5] [--verbose]
 *   sim_cluster --seed 7 --break apply   something is broken on purpose: must fail
 *
 * One line when all is well. A failure prints what does not hold, where, and the lines before it;
 * the seed repeats it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "cluster.h"

#define SECONDS     40
#define SEEDS_FIXED 4
#define SEEDS_FRESH 2

struct sum {
    uint64_t runs, seconds, entries, acked, crashes, removed, cleaned, wiped, hash;
};

static void torture(struct cluster *c)
{
    uint64_t until = c->options.seconds * 1000;

    while (c->now_ms < until) {
        cluster_run(c, 50 + cluster_below(c, cluster_below(c, 3) == 0 ? 6000 : 1200));
        torture_act(c);
    }
}

static uint64_t run(const struct cluster_options *options, struct sum *sum)
{
    struct cluster *c = cluster_new(options);

    trace_begin(c);
    for (size_t i = 0; i < c->members_count; i++) {
        member_start(c, i, false, false);
        cluster_run(c, cluster_below(c, 500));
    }
    torture(c);
    judge(c);
    cluster_fold(c, c->log->hash);
    cluster_fold(c, world_hash(c->gossip));
    uint64_t hash = c->hash;

    sum->hash = sum->hash * 31 + hash;
    sum->runs++;
    sum->seconds += c->now_ms / 1000;
    sum->entries += c->facts_last;
    sum->acked += c->sums.acked;
    sum->crashes += c->sums.crashes;
    sum->removed += c->sums.removed;
    sum->cleaned += c->sums.cleaned;
    sum->wiped += c->sums.wiped;
    trace_end();
    cluster_free(c);
    return hash;
}

static void run_twice(const struct cluster_options *options, struct sum *sum)
{
    uint64_t first = run(options, sum);

    if (run(options, sum) != first) {
        (void)fprintf(stderr, "seed %llu gives two different runs\n", U(options->seed));
        exit(1);
    }
}

/* -- words ------------------------------------------------------------------------------------- */

static const char *const breaks[] = {
    [BREAK_NOTHING] = "nothing",   [BREAK_PRESERVATION] = "preservation",
    [BREAK_APPLY] = "apply",       [BREAK_DISK] = "disk",
    [BREAK_HEALTH] = "health",     [BREAK_STATE] = "state",
    [BREAK_SESSIONS] = "sessions",
};

static bool break_parse(const char *text, struct cluster_options *to)
{
    for (size_t i = 0; i < MU_LEN(breaks); i++) {
        if (strcmp(text, breaks[i]) == 0) {
            to->broken = (enum cluster_break)i;
            return true;
        }
    }
    return false;
}

static bool option_parse(const char *name, const char *value, struct cluster_options *to,
                         bool *has_seed)
{
    uint64_t number = 0;

    if (strcmp(name, "--break") == 0) {
        return break_parse(value, to);
    }
    if (!mu_span_u64(mu_span_text(value), &number)) {
        return false;
    }
    if (strcmp(name, "--seed") == 0) {
        to->seed = number;
        *has_seed = true;
    } else if (strcmp(name, "--seconds") == 0) {
        to->seconds = number;
    } else if (strcmp(name, "--servers") == 0 && number <= SERVERS_MAX) {
        to->servers = number;
    } else if (strcmp(name, "--clients") == 0 && number <= CLIENTS_MAX) {
        to->clients = number;
    } else {
        return false;
    }
    return true;
}

static int usage(void)
{
    (void)fprintf(stderr,
                  "usage: sim_cluster [--seed S] [--seconds T] [--servers 1..%d] "
                  "[--clients 1..%d] [--verbose]\n"
                  "                   [--break preservation|apply|disk|health|state|sessions]\n",
                  SERVERS_MAX, CLIENTS_MAX);
    return 2;
}

int main(int argc, char **argv)
{
    struct cluster_options options = { .seconds = SECONDS };
    struct sum sum = { 0 };
    bool has_seed = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0) {
            options.is_verbose = true;
        } else if (i + 1 == argc || !option_parse(argv[i], argv[i + 1], &options, &has_seed)) {
            return usage();
        } else {
            i++;
        }
    }
    if (has_seed) {
        (void)run(&options, &sum);
    }
    for (uint64_t i = 1; i <= SEEDS_FIXED && !has_seed; i++) {
        options.seed = i;
        if (i == 1) {
            run_twice(&options, &sum);
        } else {
            (void)run(&options, &sum);
        }
    }
    for (int i = 0; i < SEEDS_FRESH && !has_seed; i++) {
        options.seed = mu_rand_system() >> 32;
        (void)printf("fresh seed %llu\n", U(options.seed));
        (void)fflush(stdout);
        (void)run(&options, &sum);
    }
    (void)printf(
        "%llu runs, %llu s simulated, %llu entries, %llu writes acknowledged, "
        "%llu crashes, %llu nodes removed, %llu servers cleaned up, %llu on blank disks, hash "
        "%016llx\n",
        U(sum.runs), U(sum.seconds), U(sum.entries), U(sum.acked), U(sum.crashes), U(sum.removed),
        U(sum.cleaned), U(sum.wiped), U(sum.hash));
    return EXIT_SUCCESS;
}
