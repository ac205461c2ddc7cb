#include "forming.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/rand.h"
#include "world.h"

#define PATIENCE_MS 600000
#define LOOK_MS     5

struct forming {
    const struct forming_options *options;
    struct world *world;
    struct mu_rand rand;
    uint64_t known; /* pairs: who sees whom alive, itself too */
    uint64_t failed_joins;
    uint64_t packets, bytes; /* of all, and of all trials */
};

static void on_notice(void *data, size_t node, const struct gossip_notice *notice)
{
    struct forming *f = data;

    (void)node;
    f->known += notice->kind == GOSSIP_JOINED;
    f->known -= notice->kind == GOSSIP_FAILED || notice->kind == GOSSIP_LEFT;
}

static void on_done(void *data, size_t node, const struct gossip_done *done)
{
    struct forming *f = data;

    (void)node;
    f->failed_joins += done->contacted == 0;
}

/* One after the other at random moments, in order. */
static void start(struct forming *f)
{
    const struct forming_options *o = f->options;
    uint64_t at = 0;

    for (size_t i = 0; i < o->nodes; i++) {
        char name[24];

        (void)snprintf(name, sizeof name, "n%zu", i);
        (void)world_add(f->world, name);
        world_start(f->world, i, (struct world_start){ .keep_state = false });
        if (i > 0) {
            size_t seeds = i < o->through ? i : o->through;

            world_join(f->world, i, (size_t)mu_rand_below(&f->rand, seeds), false);
        }
        uint64_t next = o->start_ms * (i + 1) / o->nodes;

        world_run(f->world, next - at);
        at = next;
    }
}

static void load_add(struct forming *f)
{
    struct gossip_summary sum;

    for (size_t i = 0; i < f->options->nodes; i++) {
        gossip_summarize(world_core(f->world, i), &sum);
        f->packets += sum.counters[GOSSIP_COUNT_PACKETS_OUT];
        f->bytes +=
            sum.counters[GOSSIP_COUNT_BYTES_OUT] + sum.counters[GOSSIP_COUNT_STREAM_BYTES_OUT];
    }
}

/* The time that it took, or UINT64_MAX. */
static uint64_t form(struct forming *f, uint64_t seed)
{
    const struct forming_options *o = f->options;
    struct world_options options = { .seed = seed,
                                     .profile = gossip_profile_lan,
                                     .latency_us_min = 100,
                                     .latency_us_max = 500,
                                     .loss = (double)o->loss / 100 };
    uint64_t pairs = o->nodes * o->nodes;

    f->known = 0;
    mu_rand_seed(&f->rand, seed);
    f->world = world_new(&options);
    world_listen(f->world, on_notice, on_done, f);
    start(f);
    uint64_t began = world_now_ms(f->world);

    while (f->known < pairs && world_now_ms(f->world) < began + PATIENCE_MS) {
        world_run(f->world, LOOK_MS);
    }
    uint64_t took = f->known == pairs ? world_now_ms(f->world) - began : UINT64_MAX;

    load_add(f);
    world_free(f->world);
    return took;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void print_found(const struct forming *f, const uint64_t *ms)
{
    const struct forming_options *o = f->options;
    const unsigned percents[] = { 10, 50, 90, 99 };
    double nodes = (double)o->nodes * (double)o->trials;

    (void)printf(
        o->is_json
            ? "{\"kind\": \"forming\", \"nodes\": %llu, \"through\": %llu, \"start\": %llu, "
              "\"trials\": %llu, \"joins_failed\": %llu, \"datagrams\": %.0f, \"bytes\": %.0f"
            : "%llu nodes through %llu within %llu ms, %llu times; all see all after the "
              "last start (%llu joins failed; of each node %.0f datagrams, %.0f bytes)",
        (unsigned long long)o->nodes, (unsigned long long)o->through,
        (unsigned long long)o->start_ms, (unsigned long long)o->trials,
        (unsigned long long)f->failed_joins, (double)f->packets / nodes, (double)f->bytes / nodes);
    for (size_t i = 0; i < MU_LEN(percents); i++) {
        (void)printf(o->is_json ? ", \"%u\": %llu" : "; p%u %llu ms", percents[i],
                     (unsigned long long)ms[o->trials * percents[i] / 100]);
    }
    (void)printf(o->is_json ? ", \"100\": %llu}\n" : "; max %llu ms\n",
                 (unsigned long long)ms[o->trials - 1]);
}

bool forming_measure(const struct forming_options *o)
{
    struct forming f = { .options = o };
    uint64_t *ms = mu_new_array(o->trials, sizeof *ms);

    for (uint64_t i = 0; i < o->trials; i++) {
        ms[i] = form(&f, o->seed + i);
    }
    qsort(ms, o->trials, sizeof *ms, compare);
    bool all_formed = ms[o->trials - 1] <= (o->within_ms > 0 ? o->within_ms : PATIENCE_MS);

    print_found(&f, ms);
    mu_free(ms);
    return all_formed;
}
