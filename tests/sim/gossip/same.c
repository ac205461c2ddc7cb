#include "same.h"

#include <stdio.h>

#include "large.h"
#include "torture.h"

#define TRIALS 3
#define LOSS   10 /* percent */

/* A way to run something, by so many threads. */
typedef uint64_t run_fn(const struct same_options *o, uint64_t seed, unsigned threads);

static uint64_t large(const struct same_options *o, uint64_t seed, unsigned threads, uint64_t loss)
{
    const struct large_options large = { .nodes = o->nodes,
                                         .seed = seed,
                                         .seconds = o->seconds,
                                         .trials = TRIALS,
                                         .churn = o->nodes,
                                         .loss = loss,
                                         .threads = threads,
                                         .is_quiet = true };
    uint64_t hash;

    return large_run(&large, &hash) ? hash : 0;
}

static uint64_t many(const struct same_options *o, uint64_t seed, unsigned threads)
{
    return large(o, seed, threads, 0);
}

static uint64_t many_with_loss(const struct same_options *o, uint64_t seed, unsigned threads)
{
    return large(o, seed, threads, LOSS);
}

static uint64_t tortured(const struct same_options *o, uint64_t seed, unsigned threads, bool is_far)
{
    const struct torture_options torture = {
        .seed = seed, .seconds = o->seconds, .threads = threads, .is_far = is_far
    };

    return torture_run(&torture).hash;
}

static uint64_t few(const struct same_options *o, uint64_t seed, unsigned threads)
{
    return tortured(o, seed, threads, false);
}

static uint64_t few_far_away(const struct same_options *o, uint64_t seed, unsigned threads)
{
    return tortured(o, seed, threads, true);
}

static bool is_same(const struct same_options *o, const char *what, run_fn *run, uint64_t seed)
{
    uint64_t in_turn = run(o, seed, 0);
    bool is_good = in_turn != 0;

    for (unsigned threads = 1; threads <= o->threads; threads++) {
        uint64_t ahead = run(o, seed, threads);

        if (ahead != in_turn) {
            (void)printf("%s, seed %llu: hash %016llx with each step in its turn, %016llx with "
                         "steps ahead by %u threads\n",
                         what, (unsigned long long)seed, (unsigned long long)in_turn,
                         (unsigned long long)ahead, threads);
            is_good = false;
        }
    }
    return is_good;
}

bool same_run(const struct same_options *o)
{
    static const struct {
        const char *what;
        run_fn *run;
    } small[] = { { "torture", few }, { "torture from afar", few_far_away } };
    int failed = !is_same(o, "many", many, o->seed) +
                 !is_same(o, "many, with loss", many_with_loss, o->seed);

    for (uint64_t i = 0; i < o->seeds; i++) {
        failed += !is_same(o, small[i % 2].what, small[i % 2].run, o->seed + i);
    }
    (void)printf("%llu runs, each the same with up to %u threads: %s\n",
                 (unsigned long long)o->seeds + 2, o->threads, failed == 0 ? "yes" : "no");
    return failed == 0;
}
