#include "alarms.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/rand.h"
#include "memberlist.h"

#define STEP_MS 10 /* faults begin at multiples of it */
#define STOPPED 5

static const char *const names[] = { "loss", "stops", "starved", "oneway" };

bool alarms_scenario_of(const char *word, enum alarms_scenario *out)
{
    for (size_t i = 0; word != NULL && i < MU_LEN(names); i++) {
        if (strcmp(names[i], word) == 0) {
            *out = (enum alarms_scenario)i;
            return true;
        }
    }
    return false;
}

/* -- faults ---------------------------------------------------------------------------------- */

/* From its own stream: all rule sets get the same ones. */
static uint64_t stretch(struct mu_rand *r, double mean_ms)
{
    double ms = -mean_ms * log(1 - mu_rand_unit(r));

    return STEP_MS * (1 + (uint64_t)(ms / STEP_MS));
}

static void suffer(struct subject *s, const struct alarms_options *o)
{
    uint64_t *stop_at = mu_new_array(o->nodes, sizeof *stop_at);
    uint64_t affected = o->scenario == ALARMS_STOPS     ? STOPPED
                        : o->scenario == ALARMS_STARVED ? o->nodes
                                                        : 0;
    struct mu_rand r;

    mu_rand_seed(&r, o->seed ^ 0x5deece66d);
    for (uint64_t i = 0; i < affected; i++) {
        stop_at[i] = STEP_MS * mu_rand_below(&r, 5000 / STEP_MS);
    }
    for (uint64_t now = 0; now < o->seconds * 1000; now += STEP_MS) {
        for (uint64_t i = 0; i < affected; i++) {
            if (stop_at[i] != now) {
                continue;
            }
            bool is_even = o->scenario == ALARMS_STOPS;
            uint64_t ms = is_even ? 1000 : stretch(&r, 400);

            subject_pause(s, i, ms);
            stop_at[i] = now + (is_even ? 5000 : ms + stretch(&r, 100));
        }
        subject_run(s, STEP_MS);
    }
    mu_free(stop_at);
}

void alarms_measure(const struct alarms_options *o)
{
    const struct subject_options options = { .rules = o->rules,
                                             .nodes = o->nodes,
                                             .seed = o->seed,
                                             .loss = o->scenario == ALARMS_LOSS ? 0.25 : 0 };
    struct subject *s = subject_new(&options);
    struct memberlist_tally tally;

    if (o->scenario == ALARMS_ONEWAY) {
        subject_loss_to(s, 0, 0.6);
    }
    suffer(s, o);
    subject_tally(s, &tally);
    subject_free(s);
    (void)printf(o->is_json ? "{\"kind\": \"alarms\", \"scenario\": \"%s\", \"rules\": \"%s\", "
                              "\"nodes\": %llu, \"seconds\": %llu, \"deaths\": %llu, "
                              "\"notices\": %llu}\n"
                            : "%s, %s's rules: %llu nodes, %llu s: living members declared failed "
                              "%llu times, %llu notices of it\n",
                 names[o->scenario], subject_rules_name(o->rules), (unsigned long long)o->nodes,
                 (unsigned long long)o->seconds, (unsigned long long)tally.deaths,
                 (unsigned long long)tally.notices);
}

/* -- is it memberlist? ----------------------------------------------------------------------- */

#define TRIALS 151

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Crash of one: until the first and until all others hold it dead. */
static void crash_once(uint32_t nodes, uint64_t seed, uint64_t *first, uint64_t *all)
{
    struct memberlist_options options = {
        .seed = seed, .nodes = nodes, .latency_us_min = 100, .latency_us_max = 500
    };
    struct memberlist *m = memberlist_new(&options);

    memberlist_run(m, 5000 + seed * 137 % 1000);
    uint64_t began = memberlist_now_ms(m);

    memberlist_crash(m, 0);
    while (memberlist_holding(m, 0) == 0) {
        memberlist_run(m, STEP_MS);
    }
    *first = memberlist_now_ms(m) - began;
    while (memberlist_holding(m, 0) < nodes - 1) {
        memberlist_run(m, STEP_MS);
    }
    *all = memberlist_now_ms(m) - began;
    memberlist_free(m);
}

bool alarms_calibrate(void)
{
    static const struct {
        uint32_t nodes, first_ms, all_ms; /* medians */
    } rows[] = { { 3, 5600, 5700 },
                 { 5, 5600, 5800 },
                 { 8, 5700, 5900 },
                 { 32, 7800, 8100 },
                 { 100, 9800, 10200 } };
    bool is_one = true;

    for (size_t i = 0; i < MU_LEN(rows); i++) {
        uint64_t first[TRIALS], all[TRIALS];

        for (uint64_t t = 0; t < TRIALS; t++) {
            crash_once(rows[i].nodes, t + 1, &first[t], &all[t]);
        }
        qsort(first, TRIALS, sizeof *first, compare);
        qsort(all, TRIALS, sizeof *all, compare);
        double a = (double)first[TRIALS / 2] / rows[i].first_ms;
        double b = (double)all[TRIALS / 2] / rows[i].all_ms;

        (void)printf("%3u nodes: first dead %.2f s (%.2f of the figure), all know %.2f s (%.2f)\n",
                     rows[i].nodes, (double)first[TRIALS / 2] / 1000, a,
                     (double)all[TRIALS / 2] / 1000, b);
        is_one = is_one && fabs(a - 1) <= 0.1 && fabs(b - 1) <= 0.1;
    }
    return is_one;
}
