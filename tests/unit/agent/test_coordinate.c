/* How soon the catalog hears that a node has moved. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coordinate.h"

static uint64_t wait_ms(double to_s, double height_s, double error)
{
    struct coordinate was = COORDINATE_ORIGIN;
    struct coordinate now = was;

    now.vec[3] += to_s;
    now.height += height_s;
    now.error += error;
    return coordinate_wait_ms(&was, &now);
}

static void a_node_that_jitters_has_not_moved(void **state)
{
    (void)state;
    assert_true(wait_ms(0, 0, 0) == UINT64_MAX);
    assert_true(wait_ms(0.0002, 0, 0) == UINT64_MAX);
    assert_true(wait_ms(0.0001, 0.0001, -0.09) == UINT64_MAX);
}

static void a_little_way_waits_a_minute(void **state)
{
    (void)state;
    assert_int_equal(wait_ms(0.0003, 0, 0), 60000);
    assert_int_equal(wait_ms(0.0001, 0.0002, 0), 60000);
    assert_int_equal(wait_ms(0.009, 0, 0.09), 60000);
}

static void a_long_way_and_new_certainty_do_not_wait(void **state)
{
    (void)state;
    assert_int_equal(wait_ms(0.011, 0, 0), 0);
    assert_int_equal(wait_ms(0.005, 0.006, 0), 0);
    assert_int_equal(wait_ms(0, 0, -0.2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_that_jitters_has_not_moved),
        cmocka_unit_test(a_little_way_waits_a_minute),
        cmocka_unit_test(a_long_way_and_new_certainty_do_not_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
