#include "large.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "world.h"

#define EVENT_MS   20000 /* until all have it, or something is wrong */
#define CRASH_MS   60000
#define SETTLE_MS  300000 /* after churn, until all see the truth */
#define DOWN_MS    30000  /* all know of a crash before that node comes back */
#define CHURN_PART 100    /* of the nodes, each minute: down, and as many back */

struct large {
    const struct large_options *options;
    struct world *world;
    struct mu_rand rand;
    size_t *down; /* nodes, in the order they crashed */
    uint64_t *down_ms;
    size_t down_first, down_count; /* of these, the ones that still are */
    uint64_t told;                 /* deliveries of the event under way */
    size_t watched;                /* whose crash is waited for; SIZE_MAX: nobody's */
    uint64_t knowing, first_ms, false_alarms;
    uint64_t virtual_ms; /* all of it, and what it took: */
    double worked, took; /* seconds of processors, and of the clock */
};

static size_t node_named(const char *name)
{
    return strtoull(name + 1, NULL, 10); /* "n123" */
}

static void on_notice(void *data, size_t node, const struct gossip_notice *notice)
{
    struct large *l = data;
    size_t about = node_named(notice->member.name);

    (void)node;
    if (notice->kind != GOSSIP_FAILED) {
        return;
    }
    l->false_alarms += world_life(l->world, about) == WORLD_RUNNING;
    if (about == l->watched && l->knowing++ == 0) {
        l->first_ms = world_now_ms(l->world);
    }
}

static void on_heard(void *data, size_t node, const struct gossip_effects *fx)
{
    struct large *l = data;

    (void)node;
    l->told += fx->events_count;
}

/* -- measuring ----------------------------------------------------------------------------------
 */

static void run(struct large *l, uint64_t ms)
{
    clock_t began = clock();
    uint64_t began_ns = mu_clock_ns();

    world_run(l->world, ms);
    l->worked += (double)(clock() - began) / CLOCKS_PER_SEC;
    l->took += (double)(mu_clock_ns() - began_ns) / 1e9;
    l->virtual_ms += ms;
}

static double resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (f != NULL) {
        if (fscanf(f, "%*u %lu", &pages) != 1) {
            pages = 0;
        }
        (void)fclose(f);
    }
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static uint64_t counted(const struct large *l, enum gossip_counter counter)
{
    struct gossip_summary s;
    uint64_t sum = 0;

    for (size_t i = 0; i < l->options->nodes; i++) {
        if (world_core(l->world, i) != NULL) {
            gossip_summarize(world_core(l->world, i), &s);
            sum += s.counters[counter];
        }
    }
    return sum;
}

static bool fails(const struct large *l, const char *what)
{
    (void)printf("%llu nodes, seed %llu: %s\n", (unsigned long long)l->options->nodes,
                 (unsigned long long)l->options->seed, what);
    return false;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void say(const struct large *l, const char *what, uint64_t *ms)
{
    uint64_t count = l->options->trials;

    qsort(ms, count, sizeof *ms, compare);
    if (!l->options->is_quiet) {
        (void)printf("%-22s min %.2f s, median %.2f s, max %.2f s (%llu trials)\n", what,
                     (double)ms[0] / 1000, (double)ms[count / 2] / 1000,
                     (double)ms[count - 1] / 1000, (unsigned long long)count);
        (void)fflush(stdout);
    }
}

/* -- what is done with them ---------------------------------------------------------------------
 */

static void open_world(struct large *l)
{
    struct world_options options = { .seed = l->options->seed,
                                     .profile = gossip_profile_lan,
                                     .latency_us_min = 100,
                                     .latency_us_max = 500,
                                     .threads = l->options->threads };
    uint64_t nodes = l->options->nodes;
    double before = resident_bytes();
    clock_t began = clock();

    l->world = world_new(&options);
    world_listen(l->world, on_notice, NULL, l);
    world_hear(l->world, on_heard, l);
    for (size_t i = 0; i < nodes; i++) {
        char name[24];

        (void)snprintf(name, sizeof name, "n%zu", i);
        (void)world_add(l->world, name);
        world_start(l->world, i, (struct world_start){ .keep_state = false });
    }
    world_acquaint(l->world);
    if (!l->options->is_quiet) {
        (void)printf("%llu nodes know each other: %.0f MB, %.0f bytes a record, %.1f s of the "
                     "processor\n",
                     (unsigned long long)nodes, (resident_bytes() - before) / 1e6,
                     (resident_bytes() - before) / (double)(nodes * nodes),
                     (double)(clock() - began) / CLOCKS_PER_SEC);
        (void)fflush(stdout);
    }
    run(l, 2000);
}

static bool rest(struct large *l)
{
    uint64_t packets = counted(l, GOSSIP_COUNT_PACKETS_OUT);
    uint64_t bytes = counted(l, GOSSIP_COUNT_BYTES_OUT);
    double per = (double)(l->options->nodes * l->options->seconds);
    double worked = l->worked;
    double took = l->took;

    run(l, l->options->seconds * 1000);
    if (!l->options->is_quiet) {
        (void)printf("at rest                %.2f datagrams/s, %.0f bytes/s a node; %.2f simulated "
                     "seconds a second, %.2f a second of a processor\n",
                     (double)(counted(l, GOSSIP_COUNT_PACKETS_OUT) - packets) / per,
                     (double)(counted(l, GOSSIP_COUNT_BYTES_OUT) - bytes) / per,
                     (double)l->options->seconds / (l->took - took + 1e-9),
                     (double)l->options->seconds / (l->worked - worked + 1e-9));
        (void)fflush(stdout);
    }
    return l->false_alarms == 0 || fails(l, "a living member was declared failed at rest");
}

static size_t running_node(struct large *l)
{
    size_t node;

    do {
        node = (size_t)mu_rand_below(&l->rand, l->options->nodes);
    } while (world_life(l->world, node) != WORLD_RUNNING);
    return node;
}

static bool events(struct large *l)
{
    uint64_t *took = mu_new_array(l->options->trials, sizeof *took);
    bool all_have = true;

    for (uint64_t i = 0; i < l->options->trials && all_have; i++) {
        run(l, mu_rand_below(&l->rand, 500));
        uint64_t began = world_now_ms(l->world);

        l->told = 0;
        all_have = world_event(l->world, running_node(l), "measured", "x", false);
        while (l->told < l->options->nodes && world_now_ms(l->world) < began + EVENT_MS) {
            run(l, 5);
        }
        all_have = all_have && l->told == l->options->nodes;
        took[i] = world_now_ms(l->world) - began;
    }
    if (all_have) {
        say(l, "event to all", took);
    }
    mu_free(took);
    return all_have || fails(l, "an event did not reach all");
}

static void crash(struct large *l, size_t node)
{
    size_t at = l->down_first + l->down_count++;

    l->down[at] = node;
    l->down_ms[at] = world_now_ms(l->world);
    world_crash(l->world, node);
}

static bool crashes(struct large *l)
{
    uint64_t *first = mu_new_array(l->options->trials, sizeof *first);
    uint64_t *all = mu_new_array(l->options->trials, sizeof *all);
    bool all_know = true;

    for (uint64_t i = 0; i < l->options->trials && all_know; i++) {
        run(l, mu_rand_below(&l->rand, 1000));
        uint64_t began = world_now_ms(l->world);

        l->watched = running_node(l);
        l->knowing = 0;
        crash(l, l->watched);
        uint64_t others = l->options->nodes - l->down_count;

        while (l->knowing < others && world_now_ms(l->world) < began + CRASH_MS) {
            run(l, 10);
        }
        all_know = l->knowing == others;
        first[i] = l->first_ms - began;
        all[i] = world_now_ms(l->world) - began;
    }
    l->watched = SIZE_MAX;
    if (all_know) {
        say(l, "crash: the first knows", first);
        say(l, "crash: all know", all);
    }
    mu_free(first);
    mu_free(all);
    return (all_know || fails(l, "not all learned of a crash")) &&
           (l->false_alarms == 0 || fails(l, "a living member was declared failed"));
}

/* Who was down first, once all know of it. */
static void come_back(struct large *l)
{
    if (l->down_count == 0 || world_now_ms(l->world) < l->down_ms[l->down_first] + DOWN_MS) {
        return;
    }
    size_t node = l->down[l->down_first++];

    l->down_count--;
    world_start(l->world, node, (struct world_start){ .keep_state = true });
    world_join(l->world, node, running_node(l), false);
}

/* Who came back may never hear of those that were dead before: nobody tells of them any more. */
static bool sees_the_truth(const struct large *l)
{
    struct gossip_summary s;

    for (size_t i = 0; i < l->options->nodes; i++) {
        if (world_core(l->world, i) != NULL) {
            gossip_summarize(world_core(l->world, i), &s);
            if (s.alive != l->options->nodes - l->down_count || s.failed > l->down_count) {
                return false;
            }
        }
    }
    return true;
}

static bool churn(struct large *l)
{
    uint64_t until = world_now_ms(l->world) + l->options->seconds * 1000;
    uint64_t rate = l->options->churn > 0 ? l->options->churn : l->options->nodes / CHURN_PART;
    uint64_t mean = 60000 / (rate > 0 ? rate : 1);
    double worked = l->worked;
    double took = l->took;
    uint64_t before = l->virtual_ms;
    uint64_t packets = counted(l, GOSSIP_COUNT_PACKETS_OUT);
    uint64_t bytes = counted(l, GOSSIP_COUNT_BYTES_OUT);
    size_t crashed = l->down_first + l->down_count;
    size_t back = l->down_first;

    world_faults(l->world, (double)l->options->loss / 100, 0, 0);
    while (world_now_ms(l->world) < until) {
        run(l, mu_rand_below(&l->rand, 2 * mean + 1));
        crash(l, running_node(l));
        come_back(l);
    }
    crashed = l->down_first + l->down_count - crashed;
    back = l->down_first - back;
    double seconds = (double)(l->virtual_ms - before) / 1000;
    double speed = seconds / (l->took - took + 1e-9);
    double per_processor = seconds / (l->worked - worked + 1e-9);
    double per = seconds * (double)l->options->nodes;
    uint64_t over = world_now_ms(l->world);

    packets = counted(l, GOSSIP_COUNT_PACKETS_OUT) - packets;
    bytes = counted(l, GOSSIP_COUNT_BYTES_OUT) - bytes;
    world_faults(l->world, 0, 0, 0);
    while (!sees_the_truth(l) && world_now_ms(l->world) < over + SETTLE_MS) {
        run(l, 250);
    }
    if (!sees_the_truth(l)) {
        return fails(l, "tables do not come to the truth after churn");
    }
    if (!l->options->is_quiet) {
        (void)printf("churn                  %zu crashed and %zu came back in %llu s, %llu %% "
                     "loss, %llu false alarms; all see the truth %.2f s later; %.2f datagrams/s, "
                     "%.0f bytes/s a node; %.2f simulated seconds a second, %.2f a second of a "
                     "processor\n",
                     crashed, back, (unsigned long long)l->options->seconds,
                     (unsigned long long)l->options->loss, (unsigned long long)l->false_alarms,
                     (double)(world_now_ms(l->world) - over) / 1000, (double)packets / per,
                     (double)bytes / per, speed, per_processor);
    }
    return l->false_alarms == 0 || fails(l, "a living member was declared failed under churn");
}

bool large_run(const struct large_options *o, uint64_t *hash)
{
    struct large l = { .options = o, .watched = SIZE_MAX };
    size_t down_max = o->trials + o->seconds * o->nodes + 1; /* churn crashes one a turn at most */
    uint64_t began_ns = mu_clock_ns();

    mu_rand_seed(&l.rand, o->seed);
    l.down = mu_new_array(down_max, sizeof *l.down);
    l.down_ms = mu_new_array(down_max, sizeof *l.down_ms);
    open_world(&l);
    bool is_good = rest(&l) && events(&l) && crashes(&l) && churn(&l);

    if (!o->is_quiet) {
        (void)printf(
            "together               %.0f simulated seconds in %.0f, %.0f of a processor; %.0f "
            "in all; %.0f MB at the end\n",
            (double)l.virtual_ms / 1000, l.took, l.worked, (double)(mu_clock_ns() - began_ns) / 1e9,
            resident_bytes() / 1e6);
    }
    *hash = world_hash(l.world);
    world_free(l.world);
    mu_free(l.down);
    mu_free(l.down_ms);
    return is_good;
}
