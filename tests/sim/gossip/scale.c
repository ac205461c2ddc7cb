#include "scale.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "world.h"

#define MS_MAX      600000 /* who has not learned it by then never does */
#define STEP_MS     10
#define DOWN_MS     30000 /* a crash is over, and that node comes back */
#define STOPPED_ONE 20    /* of so many is stopped again and again, or starved */
#define ALARM_MS    10000 /* notices closer together are one alarm */
#define NEWCOMER_MS 30000 /* how long a newcomer is watched */
#define SEEN_MS     2000  /* after a start: joined, and known to all */
#define OLD_MS      35000 /* a member that has been known so long is no news */
#define TOLD_MS     5000  /* who has not heard an event by then waits for a comparison */
#define CUT_MS      30000
#define ISLAND_MAX  100 /* nodes behind the cut; of few: half of them */

static const struct condition {
    const char *name;
    double loss;
    uint32_t stop_ms, every_ms; /* of one in twenty processes */
    unsigned churn_percent;     /* of the nodes crash each minute, and come back later */
} conditions[] = {
    { "at rest", 0, 0, 0, 0 },
    { "5 % of datagrams lost", 0.05, 0, 0, 0 },
    { "1 in 20 processes stopped 1 s in 5", 0, 1000, 5000, 0 },
    { "1 in 20 processes starved to a fifth", 0, 200, 250, 0 },
    { "1 % crash each minute, 1 % lost", 0.01, 0, 0, 1 },
};

#define NOBODY    SIZE_MAX
#define THE_EVENT (SIZE_MAX - 1)

/* How many took so many milliseconds. */
struct tally {
    uint64_t *counts; /* MS_MAX + 1 */
    uint64_t total, missing;
};

struct scale {
    const struct scale_options *options;
    const struct condition *condition;
    struct world *world;
    struct mu_rand rand;
    size_t nodes;
    bool *waiting; /* who is to learn of what is under way: */
    size_t waiting_count;
    size_t watched; /* the crash, or the start, of that node; or: */
    uint64_t began_ms, first_ms;
    struct tally *learned;
    uint64_t *started_ms, *died_ms, *alarm_ms; /* by node; 0: never */
    uint64_t *stop_at;                         /* by node that is stopped, in ms */
    uint64_t crash_at;                         /* the next of the churn */
    size_t *down;                              /* in the order they crashed; the first came back */
    size_t down_first, down_end;
    char event[24]; /* the one that is waited for */
    uint64_t events_sent;
    uint64_t give_up_ms; /* who has not learned it by then never does, as far as we look */
    uint64_t late;       /* who learned of an event later than is wanted, or not at all */
    uint64_t alarms, alarm_notices, resurrections;
    uint64_t packets, bytes; /* of lives that are over */
    bool is_cut;             /* others do seem dead */
};

/* -- tallies ------------------------------------------------------------------------------------
 */

static void tally_clear(struct tally *t)
{
    if (t->counts == NULL) {
        t->counts = mu_new_array(MS_MAX + 1, sizeof *t->counts);
    }
    memset(t->counts, 0, (MS_MAX + 1) * sizeof *t->counts);
    t->total = t->missing = 0;
}

static void tally_add(struct tally *t, uint64_t ms)
{
    t->counts[ms < MS_MAX ? ms : MS_MAX]++;
    t->total++;
}

/* The time within which so many of a hundred thousand were done. */
static uint64_t tally_at(const struct tally *t, uint64_t of_100000)
{
    uint64_t rank = t->total * of_100000 / 100000;
    uint64_t seen = 0;
    uint64_t ms = 0;

    rank = rank < t->total ? rank + 1 : t->total;
    while (ms < MS_MAX && seen + t->counts[ms] < rank) {
        seen += t->counts[ms++];
    }
    return ms;
}

static void tally_print(const char *key, const struct tally *t)
{
    (void)printf(", \"%s\": {\"50\": %llu, \"90\": %llu, \"99\": %llu, \"100\": %llu, \"count\": "
                 "%llu, \"missing\": %llu}",
                 key, (unsigned long long)tally_at(t, 50000),
                 (unsigned long long)tally_at(t, 90000), (unsigned long long)tally_at(t, 99000),
                 (unsigned long long)tally_at(t, 100000), (unsigned long long)t->total,
                 (unsigned long long)t->missing);
}

/* -- what the nodes tell ------------------------------------------------------------------------
 */

static bool is_up(const struct scale *s, size_t node)
{
    enum world_life life = world_life(s->world, node);

    return life == WORLD_RUNNING || life == WORLD_PAUSED;
}

static bool is_late(const struct scale *s)
{
    uint64_t within = s->options->within_ms;

    return s->watched == THE_EVENT && within > 0 && world_now_ms(s->world) > s->began_ms + within;
}

static void learn(struct scale *s, size_t node)
{
    if (s->waiting[node]) {
        s->late += is_late(s);
        s->waiting[node] = false;
        s->waiting_count--;
        s->first_ms = s->first_ms == UINT64_MAX ? world_now_ms(s->world) : s->first_ms;
        tally_add(s->learned, world_now_ms(s->world) - s->began_ms);
    }
}

static void on_failed(struct scale *s, size_t node, size_t about)
{
    uint64_t now = world_now_ms(s->world);

    if (is_up(s, about)) {
        s->alarm_notices++;
        s->alarms += s->alarm_ms[about] == 0 || now > s->alarm_ms[about] + ALARM_MS;
        s->alarm_ms[about] = now;
    } else if (about == s->watched) {
        learn(s, node);
    }
}

static void on_notice(void *data, size_t node, const struct gossip_notice *notice)
{
    struct scale *s = data;
    size_t about = strtoull(notice->member.name + 1, NULL, 10); /* "n123" */

    if (notice->kind == GOSSIP_FAILED && !s->is_cut) {
        on_failed(s, node, about);
    } else if (notice->kind == GOSSIP_JOINED && is_up(s, about) && about == s->watched) {
        learn(s, node);
    } else if (notice->kind == GOSSIP_JOINED && !is_up(s, about)) {
        /* It was there, and saw it die; whoever joins in that moment is told that it lives. */
        s->resurrections += s->started_ms[node] + SEEN_MS < s->died_ms[about];
    }
}

static void on_heard(void *data, size_t node, const struct gossip_effects *fx)
{
    struct scale *s = data;

    for (size_t i = 0; i < fx->events_count && s->watched == THE_EVENT; i++) {
        if (strcmp(fx->events[i].name, s->event) == 0) {
            learn(s, node);
        }
    }
}

/* -- faults -------------------------------------------------------------------------------------
 */

static size_t up_node(struct scale *s)
{
    size_t node;

    do {
        node = (size_t)mu_rand_below(&s->rand, s->nodes);
    } while (world_life(s->world, node) != WORLD_RUNNING);
    return node;
}

static void crash(struct scale *s, size_t node)
{
    struct gossip_summary sum;

    gossip_summarize(world_core(s->world, node), &sum);
    s->packets += sum.counters[GOSSIP_COUNT_PACKETS_OUT];
    s->bytes += sum.counters[GOSSIP_COUNT_BYTES_OUT];
    world_crash(s->world, node);
    s->died_ms[node] = world_now_ms(s->world);
    s->down = mu_grow(s->down, (s->down_end + 1) * sizeof *s->down);
    s->down[s->down_end++] = node;
    s->waiting_count -= s->waiting[node];
    s->waiting[node] = false;
}

static void come_back(struct scale *s)
{
    size_t node = s->down[s->down_first++];

    world_start(s->world, node, (struct world_start){ .keep_state = true });
    s->started_ms[node] = world_now_ms(s->world);
    world_join(s->world, node, up_node(s), false);
}

static void suffer(struct scale *s)
{
    const struct condition *c = s->condition;
    uint64_t now = world_now_ms(s->world);

    for (size_t i = 0; c->every_ms > 0 && i < s->nodes; i++) {
        if (s->stop_at[i] <= now && world_life(s->world, i) == WORLD_RUNNING) {
            world_pause(s->world, i, c->stop_ms);
            s->stop_at[i] = now + c->every_ms;
        }
    }
    if (s->crash_at <= now) {
        crash(s, up_node(s));
        s->crash_at =
            now + 1 + mu_rand_below(&s->rand, 2 * 60000 * 100 / (s->nodes * c->churn_percent));
    }
    while (c->churn_percent > 0 && s->down_first < s->down_end &&
           s->down[s->down_first] != s->watched &&
           now > s->died_ms[s->down[s->down_first]] + DOWN_MS) {
        come_back(s);
    }
}

static void run(struct scale *s, uint64_t ms)
{
    uint64_t until = world_now_ms(s->world) + ms;

    while (world_now_ms(s->world) < until) {
        uint64_t left = until - world_now_ms(s->world);

        world_run(s->world, left < STEP_MS ? left : STEP_MS);
        suffer(s);
    }
}

static void faults_begin(struct scale *s, const struct condition *c)
{
    s->condition = c;
    for (size_t i = 0; i < s->nodes; i++) {
        bool is_stopped = i % STOPPED_ONE == STOPPED_ONE / 3;

        s->stop_at[i] = is_stopped
                            ? world_now_ms(s->world) + mu_rand_below(&s->rand, c->every_ms + 1)
                            : UINT64_MAX;
    }
    s->crash_at = c->churn_percent > 0 ? 0 : UINT64_MAX;
    world_faults(s->world, c->loss, 0, 0);
}

/* -- trials -------------------------------------------------------------------------------------
 */

static void await(struct scale *s, struct tally *learned, size_t watched)
{
    s->learned = learned;
    s->watched = watched;
    s->waiting_count = 0;
    s->began_ms = world_now_ms(s->world);
    s->first_ms = UINT64_MAX;
    for (size_t i = 0; i < s->nodes; i++) {
        s->waiting[i] = is_up(s, i) && i != watched;
        s->waiting_count += s->waiting[i];
    }
}

static void give_up(struct scale *s)
{
    s->late += s->watched == THE_EVENT ? s->waiting_count : 0;
    s->learned->missing += s->waiting_count;
    memset(s->waiting, 0, s->nodes * sizeof *s->waiting);
    s->waiting_count = 0;
    s->watched = NOBODY;
}

static void wait(struct scale *s)
{
    while (s->waiting_count > 0 && world_now_ms(s->world) < s->began_ms + s->give_up_ms) {
        run(s, STEP_MS);
    }
    give_up(s);
}

/* One in ten may be down from trial to trial, the others come back. */
static void bring_back(struct scale *s)
{
    while (s->down_end - s->down_first > s->nodes / 10) {
        come_back(s);
    }
}

/* Who dies before anybody has seen it live is missed by nobody. */
static size_t seen_node(struct scale *s)
{
    size_t node;

    do {
        node = up_node(s);
    } while (world_now_ms(s->world) < s->started_ms[node] + SEEN_MS);
    return node;
}

static void crash_trial(struct scale *s, struct tally *learned, struct tally *first)
{
    bring_back(s);
    run(s, mu_rand_below(&s->rand, 1000));
    size_t node = seen_node(s);

    await(s, learned, node);
    crash(s, node);
    wait(s);
    if (s->first_ms != UINT64_MAX) {
        tally_add(first, s->first_ms - s->began_ms);
    }
}

static void event_trial(struct scale *s, struct tally *learned)
{
    run(s, mu_rand_below(&s->rand, 1000));
    size_t node = up_node(s);

    await(s, learned, THE_EVENT);
    (void)snprintf(s->event, sizeof s->event, "e%llu", (unsigned long long)s->events_sent++);
    if (!world_event(s->world, node, s->event, "x", false)) {
        learned->missing += s->waiting_count;
        s->waiting_count = 0;
    }
    wait(s);
}

/* Of those who wait: who sees as many as there are has learned it. True: nobody waits any more. */
static bool all_see_all(struct scale *s)
{
    struct gossip_summary sum;
    size_t up = 0;

    for (size_t i = 0; i < s->nodes; i++) {
        up += is_up(s, i);
    }
    for (size_t i = 0; i < s->nodes; i++) {
        if (s->waiting[i]) {
            gossip_summarize(world_core(s->world, i), &sum);
            if (sum.alive == up) {
                learn(s, i);
            }
        }
    }
    return s->waiting_count == 0;
}

/* No more faults, everybody is back, and all see it; or not. */
static void settle(struct scale *s, struct tally *seen)
{
    static const struct condition none = { .name = "none" };
    uint64_t look_ms = s->nodes > 2000 ? 250 : 50;

    faults_begin(s, &none);
    while (s->down_first < s->down_end) {
        come_back(s);
    }
    await(s, seen, NOBODY);
    while (!all_see_all(s) && world_now_ms(s->world) < s->began_ms + MS_MAX) {
        run(s, look_ms);
    }
    give_up(s);
}

/* -- what is asked ------------------------------------------------------------------------------
 */

struct load {
    uint64_t packets, bytes, ms, clock_ns;
};

static struct load load_now(const struct scale *s)
{
    struct load l = { s->packets, s->bytes, world_now_ms(s->world), mu_clock_ns() };
    struct gossip_summary sum;

    for (size_t i = 0; i < s->nodes; i++) {
        if (is_up(s, i)) {
            gossip_summarize(world_core(s->world, i), &sum);
            l.packets += sum.counters[GOSSIP_COUNT_PACKETS_OUT];
            l.bytes += sum.counters[GOSSIP_COUNT_BYTES_OUT];
        }
    }
    return l;
}

static void load_print(const struct scale *s, const struct load *since)
{
    struct load now = load_now(s);
    double seconds = (double)(now.ms - since->ms) / 1000;
    double per = seconds * (double)s->nodes;

    (void)printf(", \"seconds\": %.0f, \"datagrams\": %.2f, \"bytes\": %.0f, \"speed\": %.2f",
                 seconds, (double)(now.packets - since->packets) / per,
                 (double)(now.bytes - since->bytes) / per,
                 seconds / ((double)(now.clock_ns - since->clock_ns) / 1e9 + 1e-9));
}

static bool condition_run(struct scale *s, const struct condition *c)
{
    static struct tally crashes, firsts, events, settled; /* large, and made once */
    uint64_t trials = s->options->trials;

    tally_clear(&crashes);
    tally_clear(&firsts);
    tally_clear(&events);
    tally_clear(&settled);
    s->alarms = s->alarm_notices = s->resurrections = 0;
    faults_begin(s, c);
    run(s, 1000);
    (void)printf("{\"kind\": \"scale\", \"nodes\": %llu, \"condition\": \"%s\"",
                 (unsigned long long)s->nodes, c->name);
    struct load before = load_now(s);

    run(s, s->options->seconds * 1000);
    load_print(s, &before);
    for (uint64_t i = 0; i < trials; i++) {
        event_trial(s, &events);
        crash_trial(s, &crashes, &firsts);
    }
    tally_print("first", &firsts);
    tally_print("crash", &crashes);
    tally_print("event", &events);
    settle(s, &settled);
    tally_print("settled", &settled);
    (void)printf(", \"alarms\": %llu, \"alarm_notices\": %llu, \"resurrections\": %llu, "
                 "\"hash\": \"%016llx\"}\n",
                 (unsigned long long)s->alarms, (unsigned long long)s->alarm_notices,
                 (unsigned long long)s->resurrections, (unsigned long long)world_hash(s->world));
    (void)fflush(stdout);
    return crashes.missing == 0 && events.missing == 0 && settled.missing == 0 &&
           s->resurrections == 0;
}

/* Events alone, many: whom does gossip miss? */
static bool events_run(struct scale *s, const struct condition *c)
{
    static struct tally events;
    uint64_t affected = 0;

    tally_clear(&events);
    s->late = 0;
    s->give_up_ms = TOLD_MS;
    faults_begin(s, c);
    run(s, 1000);
    struct load before = load_now(s);

    for (uint64_t i = 0; i < s->options->trials; i++) {
        uint64_t late = s->late;

        event_trial(s, &events);
        affected += s->late > late;
    }
    (void)printf("{\"kind\": \"events\", \"nodes\": %llu, \"condition\": \"%s\", \"loss\": %.0f, "
                 "\"events\": %llu, \"within\": %llu, \"late\": %llu, \"events_late\": %llu",
                 (unsigned long long)s->nodes, c->name, c->loss * 100,
                 (unsigned long long)s->options->trials, (unsigned long long)s->options->within_ms,
                 (unsigned long long)s->late, (unsigned long long)affected);
    tally_print("event", &events);
    load_print(s, &before);
    (void)printf("}\n");
    (void)fflush(stdout);
    return s->late == 0;
}

static void node_add(struct scale *s)
{
    char name[24];

    (void)snprintf(name, sizeof name, "n%zu", s->nodes);
    (void)world_add(s->world, name);
    world_start(s->world, s->nodes, (struct world_start){ .keep_state = false });
    s->started_ms[s->nodes] = world_now_ms(s->world);
    s->nodes++;
}

static bool newcomer_run(struct scale *s)
{
    static struct tally told;
    struct gossip_summary sum;
    uint64_t knows_ms = 0;

    tally_clear(&told);
    run(s, OLD_MS);
    node_add(s);
    size_t node = s->nodes - 1;

    await(s, &told, node);
    world_join(s->world, node, (size_t)mu_rand_below(&s->rand, node), false);
    while (world_now_ms(s->world) < s->began_ms + NEWCOMER_MS) {
        run(s, STEP_MS);
        gossip_summarize(world_core(s->world, node), &sum);
        knows_ms = knows_ms == 0 && sum.alive == s->nodes ? world_now_ms(s->world) - s->began_ms
                                                          : knows_ms;
    }
    wait(s);
    (void)printf("{\"kind\": \"newcomer\", \"nodes\": %llu, \"knows\": %llu, \"datagrams\": %.2f, "
                 "\"bytes\": %.0f",
                 (unsigned long long)node, (unsigned long long)knows_ms,
                 (double)sum.counters[GOSSIP_COUNT_PACKETS_OUT] / (NEWCOMER_MS / 1000.0),
                 (double)sum.counters[GOSSIP_COUNT_BYTES_OUT] / (NEWCOMER_MS / 1000.0));
    tally_print("told", &told);
    (void)printf("}\n");
    (void)fflush(stdout);
    return told.missing == 0 && knows_ms > 0;
}

static bool cut_run(struct scale *s)
{
    size_t island = s->nodes / 2 < ISLAND_MAX ? s->nodes / 2 : ISLAND_MAX;
    static struct tally healed;
    struct gossip_summary sum;

    tally_clear(&healed);
    for (size_t i = 0; i < island; i++) {
        world_group(s->world, i, 1);
    }
    world_cut(s->world, 0, 1, true, true);
    world_cut(s->world, 1, 0, true, true);
    s->is_cut = true;
    run(s, CUT_MS);
    gossip_summarize(world_core(s->world, 0), &sum);
    world_heal(s->world);
    settle(s, &healed);
    (void)printf("{\"kind\": \"cut\", \"nodes\": %llu, \"island\": %zu, \"seconds\": %d, "
                 "\"lost\": %zu",
                 (unsigned long long)s->nodes, island, CUT_MS / 1000, sum.failed);
    tally_print("healed", &healed);
    (void)printf("}\n");
    (void)fflush(stdout);
    return sum.failed > 0 && healed.missing == 0;
}

static void scale_begin(struct scale *s)
{
    struct world_options options = { .seed = s->options->seed,
                                     .profile = gossip_profile_lan,
                                     .latency_us_min = 100,
                                     .latency_us_max = 500,
                                     .threads = s->options->threads };
    size_t room = s->options->nodes + 1; /* a newcomer */

    mu_rand_seed(&s->rand, s->options->seed);
    s->waiting = mu_new_array(room, sizeof *s->waiting);
    s->started_ms = mu_new_array(room, sizeof *s->started_ms);
    s->died_ms = mu_new_array(room, sizeof *s->died_ms);
    s->alarm_ms = mu_new_array(room, sizeof *s->alarm_ms);
    s->stop_at = mu_new_array(room, sizeof *s->stop_at);
    s->world = world_new(&options);
    world_listen(s->world, on_notice, NULL, s);
    world_hear(s->world, on_heard, s);
    while (s->nodes < s->options->nodes) {
        node_add(s);
    }
    world_acquaint(s->world);
    world_run(s->world, 2000);
}

static void scale_end(struct scale *s)
{
    world_free(s->world);
    mu_free(s->waiting);
    mu_free(s->started_ms);
    mu_free(s->died_ms);
    mu_free(s->alarm_ms);
    mu_free(s->stop_at);
    mu_free(s->down);
}

/* The i-th question; the last two are no conditions. */
static bool question(struct scale *s, size_t i)
{
    size_t kinds = MU_LEN(conditions);

    if (i >= kinds) {
        return i == kinds ? newcomer_run(s) : cut_run(s);
    }
    struct condition c = conditions[i];

    c.loss = s->options->has_loss ? s->options->loss : c.loss;
    return s->options->is_events ? events_run(s, &c) : condition_run(s, &c);
}

bool scale_run(const struct scale_options *o)
{
    struct scale s = { .options = o, .watched = NOBODY, .give_up_ms = MS_MAX };
    bool is_good = true;
    size_t questions = o->is_events ? MU_LEN(conditions) : MU_LEN(conditions) + 2;

    scale_begin(&s);
    for (size_t i = 0; i < questions; i++) {
        if (o->only == 0 || o->only == i + 1) {
            is_good = question(&s, i) && is_good;
        }
    }
    scale_end(&s);
    return is_good;
}
