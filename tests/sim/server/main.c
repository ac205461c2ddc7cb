/* main.c - whole servers on faulty disks, networks and clocks, from a seed.
 *
 *   sim_server                           a fixed set of seeds, and a few that nobody has seen
 *   sim_server --seeds 50 --fresh 20     so many of each
 *   sim_server --seconds 60              fresh seeds for so long
 *   sim_server --tape "7 --until 5"      one run again; --seed 7 does the same
 *   sim_server --seed 7 --off crash,rot  without these faults
 *   sim_server --seed 7 --beyond 1       any copy may be damaged: only wrong answers count
 *   sim_server --seed 7 --small 1        small disks, snapshots, writes without a pause (small.c)
 *   sim_server --seed 7 --break flush    something is broken on purpose: must fail
 *   sim_server --seeds 100 --marks 1     what was met at all; fails when something was not
 *
 * A line when all is well. A failure prints what does not hold, where, and the lines before it; the
 * seed repeats it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "world.h"

#define SEEDS_FIXED 3
#define SEEDS_FRESH 1
#define BEYOND_EACH 8 /* every so manieth fresh run goes beyond the budget */

struct sums {
    uint64_t runs, steps, seconds, entries, acked, reads, unknown, copies, crashes, cuts, refused,
        exports, installs, resumed, completed, rebuilt_log, rebuilt_leader, reads_leased, platters,
        scrubs, scrub_finds, sheds, upgrades, downgrades, raised, outdated, hash;
    uint64_t bad[FAULTS_COUNT];
};

struct words {
    struct world_options options;
    uint64_t seeds, fresh, seconds;
    bool has_seed, is_silent, is_twice, shows_faults, shows_marks;
};

static uint64_t run(const struct world_options *options, struct sums *sums)
{
    struct world *w = world_new(options);

    for (size_t i = 0; i < w->servers_count; i++) {
        server_start(&w->servers[i]);
    }
    while (w->now < w->until) { /* which a story may put earlier */
        world_run(w, w->now + SECOND < w->until ? w->now + SECOND : w->until);
    }
    judge(w);
    uint64_t hash = w->hash;

    sums->runs++;
    sums->steps += w->steps;
    sums->seconds += w->now / SECOND;
    sums->entries += facts_last(w);
    sums->acked += w->sums.acked;
    sums->reads += w->sums.reads;
    sums->unknown += w->sums.unknown;
    sums->copies += w->sums.copies;
    sums->crashes += w->sums.crashes;
    sums->cuts += w->sums.cuts;
    sums->refused += w->sums.refused;
    sums->exports += w->sums.exports;
    sums->installs += w->sums.installs;
    sums->resumed += w->sums.resumed;
    sums->completed += w->sums.completed;
    sums->rebuilt_log += w->sums.rebuilt_log;
    sums->rebuilt_leader += w->sums.rebuilt_leader;
    sums->reads_leased += w->sums.reads_leased;
    sums->platters += w->sums.platters;
    sums->scrubs += w->sums.scrubs;
    sums->scrub_finds += w->sums.scrub_finds;
    sums->sheds += w->sums.sheds;
    sums->upgrades += w->sums.upgrades;
    sums->downgrades += w->sums.downgrades;
    sums->raised += w->sums.raised;
    sums->outdated += w->sums.outdated;
    sums->hash = sums->hash * 31 + hash;
    for (size_t i = 0; i < FAULTS_COUNT; i++) {
        sums->bad[i] += w->bad[i];
    }
    marks_faults(w);
    world_free(w);
    return hash;
}

static void run_twice(const struct world_options *options, struct sums *sums)
{
    uint64_t first = run(options, sums);

    if (run(options, sums) != first) {
        (void)fprintf(stderr, "seed %llu gives two different runs\n", U(options->seed));
        exit(1);
    }
}

/* -- words --------------------------------------------------------------------------------------
 */

static bool faults_parse(const char *text, uint64_t *bits)
{
    while (*text != '\0') {
        size_t bytes = strcspn(text, ",");
        size_t at = 0;

        while (at < FAULTS_COUNT && (strlen(world_fault_text(at)) != bytes ||
                                     strncmp(world_fault_text(at), text, bytes) != 0)) {
            at++;
        }
        if (at == FAULTS_COUNT) {
            return false;
        }
        *bits |= UINT64_C(1) << at;
        text += bytes + (text[bytes] == ',');
    }
    return true;
}

static bool break_parse(const char *text, enum world_break *to)
{
    static const char *const breaks[] = {
        [BREAK_NOTHING] = "nothing",       [BREAK_FLUSH] = "flush",   [BREAK_STALE] = "stale",
        [BREAK_READ_POINT] = "read_point", [BREAK_LEASES] = "leases",
    };

    for (size_t i = 0; i < MU_LEN(breaks); i++) {
        if (strcmp(text, breaks[i]) == 0) {
            *to = (enum world_break)i;
            return true;
        }
    }
    return false;
}

static bool word_parse(const char *name, const char *value, struct words *to);

/* "7 --until 5 --off crash": the seed, then words. */
static bool tape_parse(const char *text, struct words *to)
{
    char copy[256];
    char *rest = NULL;

    (void)snprintf(copy, sizeof copy, "%s", text);
    char *seed = strtok_r(copy, " ", &rest);

    if (seed == NULL || !word_parse("--seed", seed, to)) {
        return false;
    }
    for (char *name; (name = strtok_r(NULL, " ", &rest)) != NULL;) {
        char *value = strtok_r(NULL, " ", &rest);

        if (value == NULL || !word_parse(name, value, to)) {
            return false;
        }
    }
    return true;
}

static bool word_parse(const char *name, const char *value, struct words *to)
{
    uint64_t number = 0;

    if (strcmp(name, "--break") == 0) {
        return break_parse(value, &to->options.broken);
    }
    if (strcmp(name, "--off") == 0) {
        return faults_parse(value, &to->options.off);
    }
    if (strcmp(name, "--tape") == 0) {
        return tape_parse(value, to);
    }
    if (!mu_span_u64(mu_span_text(value), &number)) {
        return false;
    }
    to->has_seed = to->has_seed || strcmp(name, "--seed") == 0;
    const struct {
        const char *name;
        uint64_t *number;
        uint64_t most;
    } numbers[] = {
        { "--seed", &to->options.seed, UINT64_MAX }, { "--until", &to->options.until_s, 100000 },
        { "--seeds", &to->seeds, UINT64_MAX },       { "--fresh", &to->fresh, UINT64_MAX },
        { "--seconds", &to->seconds, UINT64_MAX },
    };
    const struct {
        const char *name;
        size_t *number;
        uint64_t most;
    } sizes[] = { { "--servers", &to->options.servers, SERVERS_MAX },
                  { "--clients", &to->options.clients, CLIENTS_MAX } };
    const struct {
        const char *name;
        bool *flag;
    } flags[] = { { "--beyond", &to->options.is_beyond },   { "--small", &to->options.is_small },
                  { "--silent", &to->is_silent },           { "--twice", &to->is_twice },
                  { "--verbose", &to->options.is_verbose }, { "--faults", &to->shows_faults },
                  { "--marks", &to->shows_marks } };

    for (size_t i = 0; i < MU_LEN(numbers); i++) {
        if (strcmp(name, numbers[i].name) == 0) {
            *numbers[i].number = number;
            return number <= numbers[i].most;
        }
    }
    for (size_t i = 0; i < MU_LEN(sizes); i++) {
        if (strcmp(name, sizes[i].name) == 0) {
            *sizes[i].number = (size_t)number;
            return number <= sizes[i].most;
        }
    }
    for (size_t i = 0; i < MU_LEN(flags); i++) {
        if (strcmp(name, flags[i].name) == 0) {
            *flags[i].flag = number != 0;
            return true;
        }
    }
    return false;
}

static int usage(void)
{
    (void)fprintf(stderr,
                  "usage: sim_server [--seeds N] [--fresh N] [--seconds S] [--seed S | --tape T]\n"
                  "                  [--until S] [--servers 1..%d] [--clients 1..%d] [--off a,b]\n"
                  "                  [--beyond 1] [--small 1] [--twice 1] [--silent 1]\n"
                  "                  [--verbose 1] [--faults 1] [--marks 1]\n"
                  "                  [--break flush|stale|read_point|leases]\n",
                  SERVERS_MAX, CLIENTS_MAX);
    return 2;
}

/* -- many runs ----------------------------------------------------------------------------------
 */

static void run_fixed(const struct words *words, struct sums *sums)
{
    for (uint64_t i = 1; i <= words->seeds; i++) {
        struct world_options options = words->options;

        options.seed = i;
        if (i == 1 || words->is_twice) {
            run_twice(&options, sums);
        } else {
            (void)run(&options, sums);
        }
    }
}

static void run_fresh(const struct words *words, struct sums *sums)
{
    uint64_t until = mu_clock_ms() + words->seconds * 1000;

    for (uint64_t i = 0; i < words->fresh || (words->seconds > 0 && mu_clock_ms() < until); i++) {
        struct world_options options = words->options;

        options.seed = mu_rand_system() >> 24;
        options.is_beyond = options.is_beyond || i % BEYOND_EACH == BEYOND_EACH - 1;
        if (words->is_twice && i % 8 == 0) {
            run_twice(&options, sums);
        } else {
            (void)run(&options, sums);
        }
    }
}

static void report(const struct words *words, const struct sums *sums, double cpu_s)
{
    if (words->is_silent) {
        return;
    }
    (void)printf(
        "%llu runs, %llu steps, %llu s simulated, %llu entries, %llu writes and %llu reads "
        "acknowledged, %llu unknown, %llu committed twice, %llu crashes, %llu power cuts, %llu "
        "logs refused, %llu snapshots made, %llu installed, %llu resumed, %llu completed at a "
        "start, %llu states made anew of the log and %llu of a leader, %llu reads by lease, %llu "
        "platters looked at, %llu times all read again, damage found %llu times so, %llu segments "
        "shed, %llu upgrades and %llu ways back, the level risen in %llu runs, "
        "hash %016llx, %.1f cluster-hours in a minute of a processor\n",
        U(sums->runs), U(sums->steps), U(sums->seconds), U(sums->entries), U(sums->acked),
        U(sums->reads), U(sums->unknown), U(sums->copies), U(sums->crashes), U(sums->cuts),
        U(sums->refused), U(sums->exports), U(sums->installs), U(sums->resumed), U(sums->completed),
        U(sums->rebuilt_log), U(sums->rebuilt_leader), U(sums->reads_leased), U(sums->platters),
        U(sums->scrubs), U(sums->scrub_finds), U(sums->sheds), U(sums->upgrades),
        U(sums->downgrades), U(sums->raised), U(sums->hash),
        (double)sums->seconds / 60 / (cpu_s + 0.001));
    for (size_t i = 0; words->shows_faults && i < FAULTS_COUNT; i++) {
        (void)printf("%8llu %s\n", U(sums->bad[i]), world_fault_text(i));
    }
}

/* True: all was met that should be. */
static bool marks(const struct sums *s)
{
    const struct marks_count counts[] = {
        { "power cuts", s->cuts },
        { "starts refused", s->refused },
        { "writes that were committed twice", s->copies },
        { "snapshots made", s->exports },
        { "snapshots installed", s->installs },
        { "snapshots gone on with", s->resumed },
        { "installs completed at a start", s->completed },
        { "states made anew of the log", s->rebuilt_log },
        { "states made anew of a leader's", s->rebuilt_leader },
        { "reads by lease", s->reads_leased },
        { "everything read again", s->scrubs },
        { "damage found so", s->scrub_finds },
        { "segments shed", s->sheds },
        { "platters looked at", s->platters },
        { "servers upgraded to the next version", s->upgrades },
        { "and gone back", s->downgrades },
        { "levels risen", s->raised },
        { "servers that went back too late", s->outdated },
    };

    return marks_print(counts, MU_LEN(counts)) == 0;
}

int main(int argc, char **argv)
{
    struct words words = { .seeds = 0 };
    struct sums sums = { 0 };

    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc || !word_parse(argv[i], argv[i + 1], &words)) {
            return usage();
        }
    }
    if (words.has_seed) {
        if (words.is_twice) {
            run_twice(&words.options, &sums);
        } else {
            (void)run(&words.options, &sums);
        }
    } else {
        if (words.seeds == 0 && words.fresh == 0 && words.seconds == 0) {
            words.seeds = SEEDS_FIXED;
            words.fresh = SEEDS_FRESH;
        }
        run_fixed(&words, &sums);
        run_fresh(&words, &sums);
    }
    report(&words, &sums, (double)clock() / CLOCKS_PER_SEC);
    fiber_stacks_free();
    return !words.shows_marks || marks(&sums) ? EXIT_SUCCESS : EXIT_FAILURE;
}
