#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "proto/bell.h"

#define ROUNDS  20000U
#define THREADS 3

struct world {
    uv_loop_t loop;
    struct mu_bell *bell;
    unsigned calls, closed;
    atomic_uint written; /* by the ringing threads, before each ring */
    unsigned seen;
};

static void on_rung(void *data)
{
    struct world *w = data;

    w->calls++;
    w->seen = atomic_load(&w->written);
}

static void on_closed(void *data)
{
    ((struct world *)data)->closed++;
}

static int setup(void **state)
{
    static struct world w;

    w = (struct world){ .calls = 0 };
    assert_int_equal(uv_loop_init(&w.loop), 0);
    w.bell = mu_bell_new(&w.loop, on_rung, &w);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    mu_bell_close(w->bell, on_closed, w);
    assert_int_equal(w->closed, 0); /* not from inside the call */
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->closed, 1);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    return 0;
}

static void rings_become_one_call(void **state)
{
    struct world *w = *state;

    (void)uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_int_equal(w->calls, 0);
    mu_bell_ring(w->bell);
    mu_bell_ring(w->bell);
    mu_bell_ring(w->bell);
    assert_int_equal(w->calls, 0); /* the loop calls, nobody else */
    (void)uv_run(&w->loop, UV_RUN_ONCE);
    (void)uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_int_equal(w->calls, 1);
    mu_bell_ring(w->bell);
    (void)uv_run(&w->loop, UV_RUN_ONCE);
    assert_int_equal(w->calls, 2);
}

static void a_ring_before_the_close_is_not_heard_after_it(void **state)
{
    struct world *w = *state;

    mu_bell_ring(w->bell);
    teardown(state);
    assert_int_equal(w->calls, 0);
    setup(state);
}

static void *ring_often(void *data)
{
    struct world *w = data;

    for (unsigned i = 0; i < ROUNDS; i++) {
        atomic_fetch_add(&w->written, 1);
        mu_bell_ring(w->bell);
    }
    return NULL;
}

/* If one ring in a hundred thousand were lost, the loop would wait here for ever. */
static void no_ring_is_lost(void **state)
{
    struct world *w = *state;
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ring_often, w), 0);
    }
    while (w->seen < THREADS * ROUNDS) {
        (void)uv_run(&w->loop, UV_RUN_ONCE);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_true(w->calls <= THREADS * ROUNDS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rings_become_one_call),
        TEST(a_ring_before_the_close_is_not_heard_after_it),
        TEST(no_ring_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
