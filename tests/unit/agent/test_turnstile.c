#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/turnstile.h"

static char sockets[2]; /* nobody looks into them */
static struct uv_stream_s *const a = (void *)&sockets[0];
static struct uv_stream_s *const b = (void *)&sockets[1];

static struct turnstile t;
static size_t called;
static struct uv_stream_s *last;

static void on_connection(struct uv_stream_s *listener, int status)
{
    assert_int_equal(status, 0);
    assert_true(turnstile_pass(&t, listener));
    called++;
    last = listener;
}

static void test_so_many_pass_in_a_turn(void **state)
{
    (void)state;
    for (int i = 0; i < TURNSTILE_PASSES; i++) {
        assert_true(turnstile_pass(&t, i % 2 == 0 ? a : b));
    }
    assert_false(turnstile_pass(&t, a));
    assert_false(turnstile_pass(&t, b));
    turnstile_turn(&t, on_connection);
    assert_int_equal(called, 2);
    assert_ptr_equal(last, b);
    for (int i = 2; i < TURNSTILE_PASSES; i++) {
        assert_true(turnstile_pass(&t, a));
    }
    assert_false(turnstile_pass(&t, a));
}

static void test_nobody_waits(void **state)
{
    (void)state;
    t = (struct turnstile){ 0 };
    called = 0;
    turnstile_turn(&t, on_connection);
    assert_int_equal(called, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_so_many_pass_in_a_turn),
        cmocka_unit_test(test_nobody_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
