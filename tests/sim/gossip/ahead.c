/* ahead.c - steps before their turn, by several threads, with the same result.
 *
 * What a core does in a step depends on the core and the event alone, and no message arrives sooner
 * than the shortest way takes. So of all that is due within that time after the first event, the
 * first for each node finds its node as it is now, whatever the others do:
 *
 *   first turn                        first turn + shortest way
 *   |  n3 packet   n8 wake   n3 packet   n5 packet ... |  not looked at yet
 *      ahead       ahead     in turn     ahead
 *
 * These are stepped ahead, by whichever thread is free, a group at a time. Everything that others
 * can notice (what goes into the hash, draws for loss and delay, what is due next,
 * notices) is carried out by the main thread when the turn comes, one after the other as without
 * all this. The second for a node waits for its turn with its step, too; but news often make a node
 * want to be woken at once, and where nothing can come between, that step is taken with the first.
 *
 * Threads: `queue` goes from the main thread to all, itself included, while it has nothing to carry
 * out: `queued` counts what was put in, `claimed` what was taken. The claimer alone touches the
 * turn and its core, until `is_over`. Who finds nothing looks again for a while, and then sleeps.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/nudge.h"
#include "network.h"

#define TURNS      1024 /* taken up at a time: a power of two */
#define GROUP      8    /* claimed at a time */
#define LOOKS      400  /* before a thread gives the processor away, */
#define GIVES      2000 /* and so often before it sleeps: to wake takes as long as a turn */
#define LINE_BYTES 64

/* A step that was taken. The datagrams are the core's, until its next step: then, kept here. */
struct outcome {
    struct gossip_effects fx;
    struct gossip_send *sends;
    size_t sends_room;
    struct mu_buf data;
};

struct turn {
    _Alignas(LINE_BYTES) struct sim_event event;
    struct gossip *core; /* it is stepped ahead; NULL: in its turn */
    bool is_alone;       /* at its moment there is nothing else for this node */
    bool has_next;       /* the node wanted to be woken at once: that was done, too: `next` */
    atomic_bool is_over; /* all that is there: */
    struct outcome outcome;
    struct gossip_effects next;
    struct gossip_event ev; /* of a stream; what else there is says it all */
};

struct worker {
    struct sim_ahead *of;
    pthread_t thread;
    struct mu_nudge nudge;
    atomic_bool is_asleep;
};

struct sim_ahead {
    struct world *world;
    struct turn *turns, *unused[TURNS];
    size_t unused_count;
    struct turn *order[TURNS]; /* a ring, the next at `first` */
    size_t first, count;
    _Atomic(struct turn *) queue[TURNS]; /* those of them that are stepped ahead */
    size_t put;                          /* into it; not all are told of yet */
    struct worker *workers;
    size_t workers_count;
    struct mu_nudge nudge; /* for the main thread: a step is over */
    atomic_bool is_asleep; /* it is */
    atomic_bool is_over;
    _Alignas(LINE_BYTES) atomic_size_t queued;
    _Alignas(LINE_BYTES) atomic_size_t claimed;
};

static struct turn **at(struct sim_ahead *a, size_t i)
{
    return &a->order[(a->first + i) % TURNS];
}

/* -- steps, by any thread -----------------------------------------------------------------------
 */

/* What was read of the queue counts when nobody else claimed it: then none of it has been carried
 * out, and as no more than TURNS are waiting, its places were not used again. */
static size_t claim(struct sim_ahead *a, struct turn **out)
{
    size_t from = atomic_load(&a->claimed);
    size_t count;

    do {
        size_t there = atomic_load(&a->queued) - from;

        count = there < GROUP ? there : GROUP;
        for (size_t i = 0; i < count; i++) {
            out[i] = atomic_load_explicit(&a->queue[(from + i) % TURNS], memory_order_relaxed);
        }
    } while (count > 0 && !atomic_compare_exchange_weak(&a->claimed, &from, from + count));
    return count;
}

static uint32_t sender_hash(const struct world *w, const struct sim_event *e)
{
    uint32_t from = e->kind == SIM_PACKET ? sim_at_host(w, &e->addr) : UINT32_MAX;

    return from != UINT32_MAX ? w->name_hashes[from] : 0;
}

static void say_over(struct sim_ahead *a, struct turn *t)
{
    atomic_store(&t->is_over, true);
    if (atomic_load(&a->is_asleep)) {
        mu_nudge(&a->nudge);
    }
}

static void step(struct turn *t)
{
    struct gossip_event ev = t->event.kind == SIM_STREAM ? t->ev : sim_event_for(&t->event);

    sim_step(t->core, &ev, t->event.at_us, &t->outcome.fx);
}

/* Is the node to be woken at that same moment, and would nothing be lost that is not carried out
 * yet? Of what a step says only datagrams outlive the next one. */
static bool goes_on(const struct turn *t)
{
    const struct gossip_effects *fx = &t->outcome.fx;

    return t->is_alone && fx->wake_at_ms != 0 &&
           sim_wake_us(fx, t->event.at_us) == t->event.at_us &&
           fx->streams_count + fx->notices_count + fx->dones_count + fx->events_count +
                   fx->queries_count + fx->replies_count ==
               0 &&
           fx->keys == NULL;
}

static void keep(struct outcome *o)
{
    size_t count = o->fx.sends_count;
    size_t bytes = 0;

    if (count > o->sends_room) {
        o->sends_room = count;
        o->sends = mu_grow(o->sends, count * sizeof *o->sends);
    }
    mu_buf_clear(&o->data);
    for (size_t i = 0; i < count; i++) {
        o->sends[i] = o->fx.sends[i];
        mu_buf_add_span(&o->data, o->sends[i].data);
    }
    for (size_t i = 0; i < count; i++) {
        o->sends[i].data.data = o->data.data + bytes;
        bytes += o->sends[i].data.bytes;
    }
    o->fx.sends = o->sends;
}

static void go_on(struct turn *t)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_WAKE };

    keep(&t->outcome);
    sim_step(t->core, &ev, t->event.at_us, &t->next);
}

static void fetch_for(struct sim_ahead *a, struct turn **turns, size_t count, bool is_next)
{
    struct sim_step steps[GROUP];

    for (size_t i = 0; i < count; i++) {
        const struct sim_event *e = &turns[i]->event;

        steps[i] = (struct sim_step){ .core = turns[i]->core,
                                      .data = e->kind == SIM_PACKET && !is_next ? e->data : NULL,
                                      .is_wake = e->kind == SIM_WAKE || is_next,
                                      .name_hash = is_next ? 0 : sender_hash(a->world, e) };
    }
    sim_fetch(steps, count);
}

/* False: there is nothing to do. */
static bool step_some(struct sim_ahead *a)
{
    struct turn *mine[GROUP], *more[GROUP];
    size_t count = claim(a, mine);
    size_t more_count = 0;

    fetch_for(a, mine, count, false);
    for (size_t i = 0; i < count; i++) {
        step(mine[i]);
        mine[i]->has_next = goes_on(mine[i]);
        if (mine[i]->has_next) {
            more[more_count++] = mine[i];
        } else {
            say_over(a, mine[i]);
        }
    }
    fetch_for(a, more, more_count, true);
    for (size_t i = 0; i < more_count; i++) {
        go_on(more[i]);
        say_over(a, more[i]);
    }
    return count > 0;
}

/* -- workers ------------------------------------------------------------------------------------
 */

static void relax(unsigned looks)
{
    if (looks > LOOKS) {
        (void)sched_yield();
    } else {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
}

static bool has_work(struct sim_ahead *a)
{
    return atomic_load(&a->queued) != atomic_load(&a->claimed) || atomic_load(&a->is_over);
}

static void sleep_until_work(struct worker *me)
{
    atomic_store(&me->is_asleep, true);
    while (!has_work(me->of)) {
        (void)mu_nudge_take(&me->nudge, UINT64_MAX);
    }
    atomic_store(&me->is_asleep, false);
}

static void *work(void *data)
{
    struct worker *me = data;
    unsigned looks = 0;

    while (!atomic_load(&me->of->is_over)) {
        if (step_some(me->of)) {
            looks = 0;
        } else if (++looks < LOOKS + GIVES) {
            relax(looks);
        } else {
            sleep_until_work(me);
            looks = 0;
        }
    }
    return NULL;
}

static void wake_workers(struct sim_ahead *a)
{
    for (size_t i = 0; i < a->workers_count; i++) {
        if (atomic_load(&a->workers[i].is_asleep)) {
            mu_nudge(&a->workers[i].nudge);
        }
    }
}

struct sim_ahead *sim_ahead_new(struct world *w, unsigned threads)
{
    struct sim_ahead *a = aligned_alloc(LINE_BYTES, sizeof *a);

    MU_ASSERT(a != NULL && threads > 0);
    memset(a, 0, sizeof *a);
    a->world = w;
    a->turns = aligned_alloc(LINE_BYTES, TURNS * sizeof *a->turns);
    MU_ASSERT(a->turns != NULL);
    memset(a->turns, 0, TURNS * sizeof *a->turns);
    for (size_t i = TURNS; i-- > 0;) {
        a->unused[a->unused_count++] = &a->turns[i];
    }
    mu_nudge_init(&a->nudge);
    a->workers_count = threads - 1;
    a->workers = mu_new_array(a->workers_count, sizeof *a->workers);
    for (size_t i = 0; i < a->workers_count; i++) {
        struct worker *one = &a->workers[i];

        one->of = a;
        mu_nudge_init(&one->nudge);
        MU_ASSERT(pthread_create(&one->thread, NULL, work, one) == 0);
    }
    return a;
}

void sim_ahead_free(struct sim_ahead *a)
{
    if (a == NULL) {
        return;
    }
    MU_ASSERT(a->count == 0);
    atomic_store(&a->is_over, true);
    wake_workers(a);
    for (size_t i = 0; i < a->workers_count; i++) {
        MU_ASSERT(pthread_join(a->workers[i].thread, NULL) == 0);
        mu_nudge_deinit(&a->workers[i].nudge);
    }
    mu_nudge_deinit(&a->nudge);
    for (size_t i = 0; i < TURNS; i++) {
        mu_free(a->turns[i].outcome.sends);
        mu_buf_deinit(&a->turns[i].outcome.data);
    }
    mu_free(a->workers);
    mu_free(a->turns);
    mu_free(a);
}

/* -- turns, by the main thread ------------------------------------------------------------------
 */

/* Nothing that comes before it can change what its step finds, or whether there is one. */
static bool can_go_ahead(const struct world *w, struct turn *t)
{
    const struct sim_event *e = &t->event;
    const struct sim_node *n = w->nodes[e->node];

    if (n->turns > 0 || e->life != n->life || n->life_kind != WORLD_RUNNING) {
        return false;
    }
    switch (e->kind) {
    case SIM_WAKE: return true;
    case SIM_PACKET:
    case SIM_SEND_FAILED: return e->at_us >= n->clogged_us;
    case SIM_STREAM: return e->at_us >= n->clogged_us && sim_stream_will(w, e, &t->ev);
    case SIM_RESUME:
    case SIM_CONNECT: return false;
    }
    return false;
}

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

/* Into the order: mostly last. */
static void put(struct sim_ahead *a, struct turn *t)
{
    size_t place = a->count++;

    for (; place > 0 && is_before(&t->event, &(*at(a, place - 1))->event); place--) {
        const struct turn *later = *at(a, place - 1);

        MU_ASSERT(later->event.node != t->event.node || later->core == NULL);
        *at(a, place) = *at(a, place - 1);
    }
    *at(a, place) = t;
}

static void take_up(struct sim_ahead *a, const struct sim_event *e)
{
    struct sim_node *n = a->world->nodes[e->node];
    struct turn *t = a->unused[--a->unused_count];

    t->event = *e;
    t->has_next = t->is_alone = false;
    put(a, t);
    t->core = can_go_ahead(a->world, t) ? n->core : NULL;
    n->turns++;
    if (t->core != NULL) {
        atomic_store_explicit(&t->is_over, false, memory_order_relaxed);
        atomic_store_explicit(&a->queue[a->put++ % TURNS], t, memory_order_relaxed);
    }
}

/* Who may step them learns of them. `known_us`: all that is due until then has been taken up. */
static void hand_over(struct sim_ahead *a, size_t from, uint64_t known_us)
{
    for (size_t i = from; i != a->put; i++) {
        struct turn *t = atomic_load_explicit(&a->queue[i % TURNS], memory_order_relaxed);

        t->is_alone = a->world->nodes[t->event.node]->turns == 1 && t->event.at_us <= known_us &&
                      !a->world->options.is_checked;
    }
    if (a->put != from) {
        atomic_store(&a->queued, a->put);
        wake_workers(a);
    }
}

/* All that is due before anything that is still to be sent can arrive. */
static void take_up_all(struct sim_ahead *a, uint64_t until_us)
{
    struct world *w = a->world;
    struct sim_event e = { .at_us = 0 };
    uint64_t known_us = 0;
    size_t from = a->put;

    while (a->unused_count > 0) {
        uint64_t way = w->options.latency_us_min > 0 ? w->options.latency_us_min - 1 : 0;
        uint64_t last_us = a->count > 0 ? (*at(a, 0))->event.at_us + way : until_us;

        if (!sim_pop(w, last_us < until_us ? last_us : until_us, &e)) {
            known_us = UINT64_MAX;
            break;
        }
        take_up(a, &e);
        known_us = e.at_us > 0 ? e.at_us - 1 : 0;
    }
    hand_over(a, from, known_us);
}

/* Its step has been taken. Meanwhile others are. */
static void await(struct sim_ahead *a, struct turn *t)
{
    unsigned looks = 0;

    while (!atomic_load(&t->is_over)) {
        if (step_some(a)) {
            looks = 0;
        } else if (++looks < LOOKS + GIVES) {
            relax(looks);
        } else {
            atomic_store(&a->is_asleep, true);
            while (!atomic_load(&t->is_over)) {
                (void)mu_nudge_take(&a->nudge, UINT64_MAX);
            }
            atomic_store(&a->is_asleep, false);
        }
    }
}

/* The wake that was foreseen: of all that is due now the rest was taken up before. */
static void take_up_next(struct sim_ahead *a, struct turn *t)
{
    struct sim_event e = { .kind = SIM_RESUME };

    MU_ASSERT(sim_pop(a->world, t->event.at_us, &e));
    MU_ASSERT(e.kind == SIM_WAKE && e.node == t->event.node && e.at_us == t->event.at_us);
    t->event = e;
    t->outcome.fx = t->next;
    t->has_next = false;
    put(a, t);
    a->world->nodes[e.node]->turns++;
}

void sim_ahead_run(struct sim_ahead *a, uint64_t until_us)
{
    for (take_up_all(a, until_us); a->count > 0; take_up_all(a, until_us)) {
        struct turn *t = *at(a, 0);

        if (t->core != NULL) {
            await(a, t);
        }
        a->first++;
        a->count--;
        a->world->nodes[t->event.node]->turns--;
        sim_turn(a->world, &t->event, t->core != NULL ? &t->outcome.fx : NULL);
        if (t->core != NULL && t->has_next) {
            take_up_next(a, t);
        } else {
            a->unused[a->unused_count++] = t;
        }
    }
}
