#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "world.h"

#define STALL_MS    60000
#define PATIENCE_MS 60000

struct watch {
    struct world *world;
    const char *name; /* whose failure is waited for */
    uint64_t since_ms, first_ms, suspected_ms;
    size_t knowing;
    uint64_t failures, refutations;
};

static void on_notice(void *data, size_t node, const struct gossip_notice *notice)
{
    struct watch *w = data;

    (void)node;
    w->refutations += notice->kind == GOSSIP_REFUTED;
    if (notice->kind != GOSSIP_FAILED) {
        return;
    }
    w->failures++;
    if (w->name != NULL && strcmp(notice->member.name, w->name) == 0 && w->knowing++ == 0) {
        w->first_ms = world_now_ms(w->world) - w->since_ms;
    }
}

static void cluster_new(struct watch *w, uint64_t nodes, uint64_t seed, double loss, int has_icmp)
{
    struct world_options options = { .seed = seed,
                                     .profile = gossip_profile_lan,
                                     .latency_us_min = 100,
                                     .latency_us_max = 500,
                                     .has_icmp = has_icmp != 0 };

    w->world = world_new(&options);
    world_listen(w->world, on_notice, NULL, w);
    for (uint64_t i = 0; i < nodes; i++) {
        char name[24];

        (void)snprintf(name, sizeof name, "n%llu", (unsigned long long)i);
        (void)world_add(w->world, name);
        world_start(w->world, i, (struct world_start){ .keep_state = false });
        if (i > 0) {
            world_join(w->world, i, 0, false);
        }
        world_run(w->world, 10);
    }
    world_run(w->world, 10000);
    for (int i = 0; i < 60 && !world_agrees(w->world, NULL); i++) {
        world_run(w->world, 5000);
    }
    MU_ASSERT(world_agrees(w->world, NULL));
    world_faults(w->world, loss, 0, 0);
}

static uint64_t counted(const struct watch *w, uint64_t nodes, enum gossip_counter counter)
{
    uint64_t sum = 0;
    struct gossip_summary s;

    for (uint64_t i = 0; i < nodes; i++) {
        if (world_core(w->world, i) != NULL) {
            gossip_summarize(world_core(w->world, i), &s);
            sum += s.counters[counter];
        }
    }
    return sum;
}

static void print_load(struct watch *w, uint64_t nodes)
{
    uint64_t packets = counted(w, nodes, GOSSIP_COUNT_PACKETS_OUT);
    uint64_t bytes = counted(w, nodes, GOSSIP_COUNT_BYTES_OUT);
    const uint64_t seconds = 60;
    double per = (double)(nodes * seconds);

    world_run(w->world, seconds * 1000);
    (void)printf("steady load per node: %.2f datagrams/s, %.0f bytes/s\n",
                 (double)(counted(w, nodes, GOSSIP_COUNT_PACKETS_OUT) - packets) / per,
                 (double)(counted(w, nodes, GOSSIP_COUNT_BYTES_OUT) - bytes) / per);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void print_distribution(const char *what, uint64_t *ms, uint64_t count)
{
    qsort(ms, count, sizeof *ms, compare);
    (void)printf("%-14s median %.2f s, p90 %.2f s, max %.2f s (%llu trials)\n", what,
                 (double)ms[count / 2] / 1000, (double)ms[count * 9 / 10] / 1000,
                 (double)ms[count - 1] / 1000, (unsigned long long)count);
}

static void end_node(struct world *w, size_t node, enum measure_end end)
{
    switch (end) {
    case MEASURE_REFUSED: world_crash(w, node); break;
    case MEASURE_SILENT: world_vanish(w, node); break;
    case MEASURE_STALLED: world_pause(w, node, STALL_MS); break;
    }
}

static void bring_back(struct watch *w, size_t node, enum measure_end end)
{
    if (end == MEASURE_STALLED) {
        world_run(w->world, STALL_MS);
    } else {
        world_start(w->world, node, (struct world_start){ .keep_state = true });
        world_join(w->world, node, node == 0 ? 1 : 0, false);
    }
    for (int i = 0; i < 300 && !world_agrees(w->world, NULL); i++) {
        world_run(w->world, 2000);
    }
    MU_ASSERT(world_agrees(w->world, NULL));
}

void measure_detection(uint64_t nodes, uint64_t seed, uint64_t trials, enum measure_end end,
                       int has_icmp)
{
    struct watch w = { .name = NULL };
    struct mu_rand rand;
    uint64_t *first = mu_new_array(trials, sizeof *first);
    uint64_t *all = mu_new_array(trials, sizeof *all);

    mu_rand_seed(&rand, seed);
    cluster_new(&w, nodes, seed, 0, has_icmp);
    print_load(&w, nodes);
    for (uint64_t i = 0; i < trials; i++) {
        size_t node = (size_t)mu_rand_below(&rand, nodes);

        world_run(w.world, 2000 + mu_rand_below(&rand, 3000));
        w.since_ms = world_now_ms(w.world);
        w.name = world_name(w.world, node);
        w.knowing = 0;
        end_node(w.world, node, end);
        while (w.knowing < nodes - 1 && world_now_ms(w.world) < w.since_ms + PATIENCE_MS) {
            world_run(w.world, 10);
        }
        MU_ASSERT(w.knowing == nodes - 1);
        first[i] = w.first_ms;
        all[i] = world_now_ms(w.world) - w.since_ms;
        w.name = NULL;
        bring_back(&w, node, end);
    }
    print_distribution("first knows", first, trials);
    print_distribution("all know", all, trials);
    mu_free(first);
    mu_free(all);
    world_free(w.world);
}

void measure_quiet(uint64_t nodes, uint64_t seed, uint64_t seconds, double loss)
{
    struct watch w = { .name = NULL };

    cluster_new(&w, nodes, seed, loss, 0);
    uint64_t before = counted(&w, nodes, GOSSIP_COUNT_PACKETS_OUT);

    w.failures = w.refutations = 0;
    world_run(w.world, seconds * 1000);
    (void)printf("%llu nodes, %llu s, %.0f %% loss: %llu false failures seen, %llu refutations, "
                 "%llu suspicions, %.2f datagrams/s a node\n",
                 (unsigned long long)nodes, (unsigned long long)seconds, loss * 100,
                 (unsigned long long)w.failures, (unsigned long long)w.refutations,
                 (unsigned long long)counted(&w, nodes, GOSSIP_COUNT_SUSPICIONS),
                 (double)(counted(&w, nodes, GOSSIP_COUNT_PACKETS_OUT) - before) /
                     (double)(nodes * seconds));
    world_free(w.world);
}
