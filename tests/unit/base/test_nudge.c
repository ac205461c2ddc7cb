#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/nudge.h"

#define ROUNDS  20000U
#define THREADS 3

struct world {
    struct mu_nudge nudge;
    atomic_uint written; /* before each nudge */
};

static void nobody_nudges(void **state)
{
    struct mu_nudge n;

    (void)state;
    mu_nudge_init(&n);
    assert_false(mu_nudge_take(&n, 0));
    assert_false(mu_nudge_take(&n, 1));
    mu_nudge_deinit(&n);
}

static void what_was_said_before_is_heard_once(void **state)
{
    struct mu_nudge n;

    (void)state;
    mu_nudge_init(&n);
    for (int i = 0; i < 3; i++) {
        mu_nudge(&n);
    }
    assert_true(mu_nudge_take(&n, UINT64_MAX));
    assert_false(mu_nudge_take(&n, 1));
    mu_nudge(&n);
    assert_true(mu_nudge_take(&n, UINT64_MAX - 1));
    assert_false(mu_nudge_take(&n, 1));
    mu_nudge_deinit(&n);
}

/* Else a sleeper would pay for each of them when its work is done. */
static void those_of_a_busy_time_do_not_add_up(void **state)
{
    struct mu_nudge n;

    (void)state;
    mu_nudge_init(&n);
    for (int i = 0; i < 100; i++) {
        mu_nudge(&n);
        assert_true(mu_nudge_take(&n, 0));
    }
    assert_false(mu_nudge_take(&n, 1));
    mu_nudge_deinit(&n);
}

static void *write_and_nudge(void *data)
{
    struct world *w = data;

    for (unsigned i = 0; i < ROUNDS; i++) {
        (void)atomic_fetch_add(&w->written, 1);
        mu_nudge(&w->nudge);
    }
    return NULL;
}

/* A nudge that got lost would let this sleep for ever. */
static void all_that_was_written_before_is_seen(void **state)
{
    struct world w = { .written = 0 };
    pthread_t threads[THREADS];
    unsigned seen = 0;

    (void)state;
    mu_nudge_init(&w.nudge);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, write_and_nudge, &w), 0);
    }
    for (unsigned turn = 0; seen < THREADS * ROUNDS; turn++) {
        (void)mu_nudge_take(&w.nudge, turn % 3 == 0 ? 0 : UINT64_MAX);
        seen = atomic_load(&w.written);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    mu_nudge_deinit(&w.nudge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_nudges),
        cmocka_unit_test(what_was_said_before_is_heard_once),
        cmocka_unit_test(those_of_a_busy_time_do_not_add_up),
        cmocka_unit_test(all_that_was_written_before_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
