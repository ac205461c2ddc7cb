#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"
#include "base/mem.h"
#include "world.h"

#define STALL_MS    60000
#define PATIENCE_MS 600000 /* whom gossip misses hears it by a comparison, minutes later */
#define HOPS_MAX    16

#define ON_ITS_WAY_MS 2

struct watch {
    struct world *world;
    bool *is_down; /* by node: its failure is waited for */
    uint64_t since_ms, first_ms;
    size_t victim;     /* a crashed one; SIZE_MAX: none */
    uint64_t asked_ms; /* until the first datagram was sent to it; UINT64_MAX: none yet */
    size_t knowing;
    uint64_t failures, refutations;
    /* of a user event */
    uint64_t told, sent_ms;
    uint8_t *hops;                /* by node; UINT8_MAX: not told yet */
    uint64_t hops_seen[HOPS_MAX]; /* deliveries over so many, of all trials */
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
    if (w->is_down[strtoull(notice->member.name + 1, NULL, 10)] && w->knowing++ == 0) { /* "n12" */
        w->first_ms = world_now_ms(w->world) - w->since_ms;
    }
}

/* What was on its way when it crashed may yet be answered. */
static void look_for_probe(struct watch *w, const struct gossip_effects *fx)
{
    uint64_t now_ms = world_now_ms(w->world) - w->since_ms;
    struct mu_addr victim = world_addr(w->world, w->victim);

    for (size_t i = 0; i < fx->sends_count && w->asked_ms == UINT64_MAX; i++) {
        if (now_ms > ON_ITS_WAY_MS && mu_addr_eq(&fx->sends[i].to, &victim)) {
            w->asked_ms = now_ms;
        }
    }
}

static void on_heard(void *data, size_t node, const struct gossip_effects *fx)
{
    struct watch *w = data;
    size_t from = world_source(w->world);

    if (w->victim != SIZE_MAX) {
        look_for_probe(w, fx);
    }
    if (fx->events_count == 0 || w->hops == NULL) {
        return;
    }
    w->hops[node] = from == SIZE_MAX ? 0 : (uint8_t)(w->hops[from] + 1);
    w->hops_seen[w->hops[node] < HOPS_MAX ? w->hops[node] : HOPS_MAX - 1]++;
    w->told++;
}

static void cluster_new(struct watch *w, const struct measure_options *o, double loss)
{
    uint64_t nodes = o->nodes;
    struct world_options options = { .seed = o->seed,
                                     .profile = gossip_profile_lan,
                                     .latency_us_min = 100,
                                     .latency_us_max = 500,
                                     .has_icmp = o->has_icmp };

    w->world = world_new(&options);
    w->is_down = mu_new_array(nodes, sizeof *w->is_down);
    world_listen(w->world, on_notice, NULL, w);
    world_hear(w->world, on_heard, w);
    for (uint64_t i = 0; i < nodes; i++) {
        char name[24];

        (void)snprintf(name, sizeof name, "n%llu", (unsigned long long)i);
        (void)world_add(w->world, name);
        world_start(w->world, i, (struct world_start){ .keep_state = false });
    }
    world_meet(w->world);
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

struct load {                /* of one node */
    double datagrams, bytes; /* a second */
    double speed;            /* simulated seconds in one of the processor */
};

static struct load measure_load(struct watch *w, uint64_t nodes)
{
    uint64_t packets = counted(w, nodes, GOSSIP_COUNT_PACKETS_OUT);
    uint64_t bytes = counted(w, nodes, GOSSIP_COUNT_BYTES_OUT);
    const uint64_t seconds = 60;
    double per = (double)(nodes * seconds);
    clock_t began = clock();

    world_run(w->world, seconds * 1000);
    double worked = (double)(clock() - began) / CLOCKS_PER_SEC;

    return (struct load){
        .datagrams = (double)(counted(w, nodes, GOSSIP_COUNT_PACKETS_OUT) - packets) / per,
        .bytes = (double)(counted(w, nodes, GOSSIP_COUNT_BYTES_OUT) - bytes) / per,
        .speed = (double)seconds / (worked > 0 ? worked : 1e-6),
    };
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static double mean(const uint64_t *ms, uint64_t count)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++) {
        sum += ms[i];
    }
    return (double)sum / (double)count;
}

static void print_distribution(const char *what, const uint64_t *ms, uint64_t count)
{
    (void)printf("%-14s mean %.2f s, median %.2f s, p90 %.2f s, p99 %.2f s, max %.2f s (%llu "
                 "trials)\n",
                 what, mean(ms, count) / 1000, (double)ms[count / 2] / 1000,
                 (double)ms[count * 9 / 10] / 1000, (double)ms[count * 99 / 100] / 1000,
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

static void bring_back(struct watch *w, uint64_t nodes, enum measure_end end)
{
    size_t survivor = 0;

    while (w->is_down[survivor]) {
        survivor++;
    }
    if (end == MEASURE_STALLED) {
        world_run(w->world, STALL_MS);
    }
    for (size_t i = 0; i < nodes; i++) {
        if (w->is_down[i] && end != MEASURE_STALLED) {
            world_start(w->world, i, (struct world_start){ .keep_state = true });
            world_join(w->world, i, survivor, false);
        }
        w->is_down[i] = false;
    }
    for (int i = 0; i < 300 && !world_agrees(w->world, NULL); i++) {
        world_run(w->world, 2000);
    }
    MU_ASSERT(world_agrees(w->world, NULL));
}

static void print_json(const char *key, const uint64_t *ms, uint64_t count)
{
    (void)printf(", \"%s\": {\"mean\": %.0f, \"50\": %llu, \"90\": %llu, \"99\": %llu, "
                 "\"100\": %llu}",
                 key, mean(ms, count), (unsigned long long)ms[count / 2],
                 (unsigned long long)ms[count * 9 / 10], (unsigned long long)ms[count * 99 / 100],
                 (unsigned long long)ms[count - 1]);
}

/* As many as asked for at once; until all others know of all of them. */
static uint64_t crash_trial(struct watch *w, struct mu_rand *rand, const struct measure_options *o,
                            uint64_t *asked, uint64_t *first)
{
    uint64_t down = 0;
    uint64_t notices = o->crashes * (o->nodes - o->crashes);

    world_run(w->world, 2000 + mu_rand_below(rand, 3000));
    w->since_ms = world_now_ms(w->world);
    w->knowing = 0;
    w->asked_ms = UINT64_MAX;
    while (down < o->crashes) {
        size_t node = (size_t)mu_rand_below(rand, o->nodes);

        if (!w->is_down[node]) {
            w->is_down[node] = true;
            w->victim = down == 0 ? node : w->victim;
            end_node(w->world, node, o->end);
            down++;
        }
    }
    while (w->knowing < notices && world_now_ms(w->world) < w->since_ms + PATIENCE_MS) {
        world_run(w->world, 10);
    }
    MU_ASSERT(w->knowing == notices);
    *first = w->first_ms;
    *asked = w->asked_ms;
    w->victim = SIZE_MAX;
    uint64_t all = world_now_ms(w->world) - w->since_ms;

    bring_back(w, o->nodes, o->end);
    return all;
}

static uint64_t event_trial(struct watch *w, struct mu_rand *rand, uint64_t nodes)
{
    world_run(w->world, 1000 + mu_rand_below(rand, 1000));
    uint64_t began = world_now_ms(w->world);

    memset(w->hops, UINT8_MAX, nodes);
    w->told = 0;
    MU_ASSERT(world_event(w->world, (size_t)mu_rand_below(rand, nodes), "measured", "x", false));
    while (w->told < nodes && world_now_ms(w->world) < began + PATIENCE_MS) {
        world_run(w->world, 1);
    }
    MU_ASSERT(w->told == nodes);
    return world_now_ms(w->world) - began;
}

static void print_found(const struct measure_options *o, const struct watch *w,
                        const struct load *load, uint64_t trials, uint64_t *asked, uint64_t *first,
                        uint64_t *all, uint64_t *event)
{
    if (!o->is_json) {
        (void)printf("at rest a node sends %.2f datagrams/s, %.0f bytes/s; %.0f simulated seconds "
                     "a second\n",
                     load->datagrams, load->bytes, load->speed);
        print_distribution("first asks it", asked, trials);
        print_distribution("first knows", first, trials);
        print_distribution("all know", all, trials);
        print_distribution("event to all", event, trials);
        return;
    }
    uint64_t deliveries = 0;
    unsigned farthest = 0;

    for (unsigned i = 0; i < HOPS_MAX; i++) {
        deliveries += w->hops_seen[i];
        farthest = w->hops_seen[i] > 0 ? i : farthest;
    }
    (void)printf("{\"kind\": \"detection\", \"nodes\": %llu, \"datagrams\": %.2f, \"bytes\": "
                 "%.0f, \"speed\": %.1f, \"hops\": [",
                 (unsigned long long)o->nodes, load->datagrams, load->bytes, load->speed);
    for (unsigned i = 0; i <= farthest; i++) {
        (void)printf("%s%.2f", i > 0 ? ", " : "",
                     100 * (double)w->hops_seen[i] / (double)deliveries);
    }
    (void)printf("]");
    print_json("asked", asked, trials);
    print_json("first", first, trials);
    print_json("all", all, trials);
    print_json("event", event, trials);
    (void)printf("}\n");
}

bool measure_detection(const struct measure_options *o, uint64_t trials)
{
    struct watch w = { .victim = SIZE_MAX };
    struct mu_rand rand;
    uint64_t *asked = mu_new_array(trials, sizeof *asked);
    uint64_t *first = mu_new_array(trials, sizeof *first);
    uint64_t *all = mu_new_array(trials, sizeof *all);
    uint64_t *event = mu_new_array(trials, sizeof *event);

    MU_ASSERT(o->crashes > 0 && o->crashes < o->nodes);
    mu_rand_seed(&rand, o->seed);
    cluster_new(&w, o, 0);
    struct load load = measure_load(&w, o->nodes);

    w.hops = mu_new_array(o->nodes, sizeof *w.hops);
    for (uint64_t i = 0; i < trials; i++) {
        event[i] = event_trial(&w, &rand, o->nodes);
    }
    for (uint64_t i = 0; i < trials; i++) {
        all[i] = crash_trial(&w, &rand, o, &asked[i], &first[i]);
    }
    qsort(asked, trials, sizeof *asked, compare);
    qsort(first, trials, sizeof *first, compare);
    qsort(all, trials, sizeof *all, compare);
    qsort(event, trials, sizeof *event, compare);
    print_found(o, &w, &load, trials, asked, first, all, event);
    uint64_t slowest = all[trials - 1];

    if (o->within_ms > 0 && slowest > o->within_ms) {
        (void)printf("%llu nodes, seed %llu: a crash was known to all after %llu ms only\n",
                     (unsigned long long)o->nodes, (unsigned long long)o->seed,
                     (unsigned long long)slowest);
    }
    mu_free(asked);
    mu_free(first);
    mu_free(all);
    mu_free(event);
    mu_free(w.hops);
    mu_free(w.is_down);
    world_free(w.world);
    return o->within_ms == 0 || slowest <= o->within_ms;
}

bool measure_quiet(const struct measure_options *o, uint64_t seconds, double loss)
{
    struct watch w = { .victim = SIZE_MAX };
    uint64_t nodes = o->nodes;

    cluster_new(&w, o, loss);
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
    mu_free(w.is_down);
    world_free(w.world);
    return w.failures == 0;
}
