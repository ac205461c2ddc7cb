#include "slow.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/rand.h"
#include "subject.h"

#define STEP_MS    10
#define REST_MS    60000  /* between pairs: all are back, and all agree */
#define GIVE_UP_MS 120000 /* who is not known to have ended by then is counted with that */
#define FEWER      50     /* 18.4 */
#define LATER      1.1

/* Stopped for so long, going on for so long: each with each. */
static const uint64_t stretches_ms[] = { 128, 512, 2048, 8192, 32768 };

static const struct contender {
    const char *name;
    enum subject_rules rules;
    uint32_t alpha;
} contenders[] = {
    { "plain SWIM", SUBJECT_SWIM, 0 },
    { "memberlist, alpha 4", SUBJECT_MEMBERLIST, 4 },
    { "memberlist, alpha 2", SUBJECT_MEMBERLIST, 2 },
    { "muster", SUBJECT_MUSTER, 0 },
};

enum { SWIM = 0, MUSTER = MU_LEN(contenders) - 1 };

static const char *const ends[] = { "killed", "silent", "stopped" }; /* enum measure_end */

/* In what way: the whole process, or its messages alone, while its timers go on. */
enum slowness { STOPPED, CLOGGED };

static const char *const ways[] = { "stopped", "held up" };

struct spread {
    uint64_t half, most, all; /* ms; nine of ten are most */
};

struct result {
    struct memberlist_tally tallies[MU_LEN(ways)];
    struct spread first[MU_LEN(ends)], each[MU_LEN(ends)];
};

static struct subject *cluster(const struct slow_options *o, const struct contender *c,
                               uint64_t seed)
{
    const struct subject_options options = { .rules = c->rules,
                                             .alpha = c->alpha,
                                             .nodes = o->nodes,
                                             .seed = seed,
                                             .slow = o->slow,
                                             .loss = o->loss };

    return subject_new(&options);
}

/* -- false alarms ------------------------------------------------------------------------------ */

static void cycle(struct subject *s, const struct slow_options *o, enum slowness slowness,
                  uint64_t stop_ms, uint64_t go_ms)
{
    for (uint64_t spent = 0; spent < o->seconds * 1000; spent += stop_ms + go_ms) {
        for (uint64_t i = 0; i < o->slow; i++) {
            (slowness == STOPPED ? subject_pause : subject_clog)(s, i, stop_ms);
        }
        subject_run(s, stop_ms + go_ms);
    }
    subject_run(s, REST_MS);
}

static struct memberlist_tally alarms(const struct slow_options *o, const struct contender *c,
                                      enum slowness slowness)
{
    struct subject *s = cluster(o, c, o->seed);
    struct memberlist_tally tally;

    for (size_t i = 0; i < MU_LEN(stretches_ms); i++) {
        for (size_t j = 0; j < MU_LEN(stretches_ms); j++) {
            cycle(s, o, slowness, stretches_ms[i], stretches_ms[j]);
        }
    }
    subject_tally(s, &tally);
    subject_free(s);
    return tally;
}

/* -- time to detect ---------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static struct spread spread_of(uint64_t *ms, size_t count)
{
    qsort(ms, count, sizeof *ms, compare);
    return (struct spread){ ms[count / 2], ms[count * 9 / 10], ms[count - 1] };
}

/* The slow ones end together. By member: until the first, and until all of the others hold it
 * failed. */
static void end_once(const struct slow_options *o, const struct contender *c, enum measure_end end,
                     uint64_t seed, uint64_t *first, uint64_t *each)
{
    struct subject *s = cluster(o, c, seed);
    uint64_t known = 0;

    subject_run(s, 5000 + seed * 137 % 1000);
    for (uint64_t i = 0; i < o->slow; i++) {
        subject_end(s, i, end);
        first[i] = each[i] = GIVE_UP_MS;
    }
    for (uint64_t ms = STEP_MS; ms < GIVE_UP_MS && known < o->slow; ms += STEP_MS) {
        subject_run(s, STEP_MS);
        for (uint64_t i = 0; i < o->slow; i++) {
            uint64_t holding = subject_holding(s, i);

            if (holding > 0 && first[i] == GIVE_UP_MS) {
                first[i] = ms;
            }
            if (holding == o->nodes - o->slow && each[i] == GIVE_UP_MS) {
                each[i] = ms;
                known++;
            }
        }
    }
    subject_free(s);
}

static void detect(const struct slow_options *o, const struct contender *c, enum measure_end end,
                   struct result *out)
{
    size_t count = o->trials * o->slow;
    uint64_t *first = mu_new_array(count, sizeof *first);
    uint64_t *each = mu_new_array(count, sizeof *each);

    for (uint64_t t = 0; t < o->trials; t++) {
        end_once(o, c, end, o->seed + t, first + t * o->slow, each + t * o->slow);
    }
    out->first[end] = spread_of(first, count);
    out->each[end] = spread_of(each, count);
    mu_free(first);
    mu_free(each);
}

/* -- what was found ---------------------------------------------------------------------------- */

static void print_text(const struct slow_options *o, const struct contender *c,
                       const struct result *r)
{
    (void)printf("%s, %llu of %llu slow:\n", c->name, (unsigned long long)o->slow,
                 (unsigned long long)o->nodes);
    for (size_t i = 0; i < MU_LEN(ways); i++) {
        (void)printf(
            "    %s: others declared failed %llu times, %llu notices of it, %llu to such as "
            "are not slow\n",
            ways[i], (unsigned long long)r->tallies[i].deaths,
            (unsigned long long)r->tallies[i].notices, (unsigned long long)r->tallies[i].healthy);
    }
    for (size_t i = 0; i < MU_LEN(ends); i++) {
        const struct spread *f = &r->first[i];
        const struct spread *e = &r->each[i];

        (void)printf(
            "    end, %s: to the first %.2f / %.2f / %.2f s, to all others %.2f / %.2f / %.2f\n",
            ends[i], (double)f->half / 1000, (double)f->most / 1000, (double)f->all / 1000,
            (double)e->half / 1000, (double)e->most / 1000, (double)e->all / 1000);
    }
}

static void print_json(const struct slow_options *o, const struct contender *c,
                       const struct result *r)
{
    (void)printf("{\"kind\": \"slow\", \"rules\": \"%s\", \"nodes\": %llu, \"slow\": %llu, "
                 "\"loss\": %.2f",
                 c->name, (unsigned long long)o->nodes, (unsigned long long)o->slow, o->loss);
    for (size_t i = 0; i < MU_LEN(ways); i++) {
        (void)printf(
            ", \"%s\": [%llu, %llu, %llu]", ways[i], (unsigned long long)r->tallies[i].deaths,
            (unsigned long long)r->tallies[i].notices, (unsigned long long)r->tallies[i].healthy);
    }
    for (size_t i = 0; i < MU_LEN(ends); i++) {
        const struct spread *f = &r->first[i];
        const struct spread *e = &r->each[i];

        (void)printf(", \"end %s\": {\"first\": [%llu, %llu, %llu], \"all\": [%llu, %llu, %llu]}",
                     ends[i], (unsigned long long)f->half, (unsigned long long)f->most,
                     (unsigned long long)f->all, (unsigned long long)e->half,
                     (unsigned long long)e->most, (unsigned long long)e->all);
    }
    (void)puts("}");
}

static bool is_reached(const struct result *swim, const struct result *ours)
{
    bool is_reached = false;

    for (size_t i = 0; i < MU_LEN(ways); i++) {
        const struct memberlist_tally *theirs = &swim->tallies[i];
        const struct memberlist_tally *own = &ours->tallies[i];

        is_reached = is_reached || theirs->healthy >= FEWER;
        if (own->notices * FEWER > theirs->notices || own->healthy * FEWER > theirs->healthy) {
            (void)fprintf(stderr, "missed: a fiftieth of plain SWIM's false alarms, %s\n", ways[i]);
            return false;
        }
    }
    if (!is_reached) {
        (void)fputs("missed: plain SWIM's rules have too few false alarms to compare with\n",
                    stderr);
    }
    for (size_t i = 0; i < MU_LEN(ends); i++) {
        if ((double)ours->first[i].half > LATER * (double)swim->first[i].half ||
            (double)ours->each[i].half > LATER * (double)swim->each[i].half) {
            (void)fprintf(stderr, "missed: later than plain SWIM, %s\n", ends[i]);
            is_reached = false;
        }
    }
    return is_reached;
}

bool slow_measure(const struct slow_options *o)
{
    struct result results[MU_LEN(contenders)];

    MU_ASSERT(o->slow > 0 && o->slow < o->nodes);
    for (size_t i = 0; i < MU_LEN(contenders); i++) {
        for (size_t way = 0; way < MU_LEN(ways); way++) {
            results[i].tallies[way] = alarms(o, &contenders[i], (enum slowness)way);
        }
        for (size_t end = 0; end < MU_LEN(ends); end++) {
            detect(o, &contenders[i], (enum measure_end)end, &results[i]);
        }
        (o->is_json ? print_json : print_text)(o, &contenders[i], &results[i]);
        (void)fflush(stdout);
    }
    return is_reached(&results[SWIM], &results[MUSTER]);
}
