/* What comes next in the gossip simulator: held against a list that is searched from end to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "network.h"

#define NODES  40
#define EVENTS 500
#define ROUNDS 20000
#define FEW    16

struct expected {
    uint64_t at_us, order, mark;
    bool is_set;
};

struct pair { /* the queue, and the list */
    struct world *world;
    struct mu_rand rand;
    struct expected events[EVENTS], wakes[NODES];
    uint64_t order, marks;
};

static void open_pair(struct pair *p, uint64_t seed)
{
    struct world_options options = { .seed = seed };

    memset(p, 0, sizeof *p);
    p->world = world_new(&options);
    mu_rand_seed(&p->rand, seed);
    for (unsigned i = 0; i < NODES; i++) {
        char name[8];

        (void)snprintf(name, sizeof name, "n%u", i);
        (void)world_add(p->world, name);
    }
}

/* Soon, at the same moment as others, later, or further than the wheel goes round. */
static uint64_t any_time(struct pair *p)
{
    static const uint64_t spans[] = { 1, 3, 500, 3000, 600000, 5000000 };
    uint64_t at = p->world->now_us + mu_rand_below(&p->rand, spans[mu_rand_below(&p->rand, 6)]);

    return mu_rand_below(&p->rand, 3) == 0 && at / 1000 * 1000 >= p->world->now_us
               ? at / 1000 * 1000
               : at;
}

static void push(struct pair *p)
{
    size_t i = 0;

    while (i < EVENTS && p->events[i].is_set) {
        i++;
    }
    if (i < EVENTS) {
        p->events[i] = (struct expected){ any_time(p), ++p->order, ++p->marks, true };
        sim_push(p->world, (struct sim_event){ .at_us = p->events[i].at_us,
                                               .kind = SIM_RESUME,
                                               .mark = p->events[i].mark });
    }
}

static void wake(struct pair *p)
{
    uint32_t node = (uint32_t)mu_rand_below(&p->rand, NODES);
    struct expected *e = &p->wakes[node];

    if (mu_rand_below(&p->rand, 8) == 0) {
        e->is_set = false;
        sim_wake_never(p->world, node);
    } else {
        *e = (struct expected){ any_time(p), ++p->order, node, true };
        sim_wake_at(p->world, node, e->at_us);
    }
}

static struct expected *earlier(struct expected *a, struct expected *b)
{
    if (a == NULL || !a->is_set) {
        return b;
    }
    bool is_before = a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;

    return !b->is_set || is_before ? a : b;
}

/* False: nothing until then. */
static bool pop(struct pair *p, uint64_t until_us)
{
    struct expected *next = NULL;
    struct sim_event e;

    for (size_t i = 0; i < EVENTS; i++) {
        next = p->events[i].is_set ? earlier(next, &p->events[i]) : next;
    }
    bool is_event = next != NULL;

    for (size_t i = 0; i < NODES; i++) {
        struct expected *found = p->wakes[i].is_set ? earlier(next, &p->wakes[i]) : next;

        is_event = is_event && found == next;
        next = found;
    }
    bool is_due = next != NULL && next->at_us <= until_us;

    assert_int_equal(sim_pop(p->world, until_us, &e), is_due);
    if (is_due) {
        assert_int_equal(e.at_us, next->at_us);
        assert_int_equal(e.kind, is_event ? SIM_RESUME : SIM_WAKE);
        assert_int_equal(is_event ? e.mark : e.node, next->mark);
        p->world->now_us = e.at_us;
        next->is_set = false;
    }
    return is_due;
}

static void everything_comes_in_its_order(void **unused)
{
    static struct pair p;

    (void)unused;
    open_pair(&p, 1);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t what = mu_rand_below(&p.rand, 10);

        if (what < 3) {
            push(&p);
        } else if (what < 7) {
            wake(&p);
        } else if (!pop(&p, p.world->now_us + mu_rand_below(&p.rand, 20000))) {
            p.world->now_us += 500;
        }
    }
    while (pop(&p, UINT64_MAX)) {
    }
    world_free(p.world);
}

/* Many at once, of which each is pushed behind some. */
static void what_is_decided_late_may_come_first(void **unused)
{
    static struct pair p;

    (void)unused;
    open_pair(&p, 2);
    for (unsigned i = 0; i < 20; i++) {
        for (unsigned k = 0; k < 4 * FEW; k++) {
            push(&p);
            if (k % 3 == 0) {
                (void)pop(&p, p.world->now_us + 100);
            }
        }
        for (unsigned k = 0; k < FEW; k++) {
            (void)pop(&p, UINT64_MAX);
        }
    }
    while (pop(&p, UINT64_MAX)) {
    }
    world_free(p.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_comes_in_its_order),
        cmocka_unit_test(what_is_decided_late_may_come_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
