/* What is kept of measurements. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/assert.h"
#include "base/sample.h"

#define expect(got, wanted) assert_true(fabs((got) - (wanted)) < 1e-6)

static void nothing_has_no_quantile(void **state)
{
    struct mu_sample s = { .count = 0 };

    (void)state;
    assert_true(isnan(mu_sample_quantile(&s, 0.5)));
}

static void totals_are_of_all(void **state)
{
    struct mu_sample s = { .count = 0 };

    (void)state;
    for (int i = 1000; i >= 1; i--) {
        mu_sample_add(&s, i);
    }
    mu_sample_add(&s, -2);
    assert_int_equal(s.count, 1001);
    expect(s.sum, 500500 - 2);
    expect(s.sum_of_squares, 1000.0 * 1001 * 2001 / 6 + 4);
    expect(s.min, -2);
    expect(s.max, 1000);
}

static void quantiles_are_of_the_newest(void **state)
{
    static const struct {
        unsigned count; /* of values: 1, 2, 3 ... */
        double share, wanted;
    } rows[] = {
        // clang-format off
        { 1,   0.5,  1 },   { 1,   0.99, 1 },   { 1,   0, 1 },
        { 10,  0.5,  5 },   { 10,  0.9,  9 },   { 10,  0.99, 10 }, { 10, 1, 10 }, { 10, 0, 1 },
        { 64,  0.5,  32 },  { 65,  0.5,  33 },  /* the first is forgotten */
        { 640, 0.5,  608 }, { 640, 0.99, 640 }, { 640, 0, 577 },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct mu_sample s = { .count = 0 };

        for (unsigned v = 1; v <= rows[i].count; v++) {
            mu_sample_add(&s, v);
        }
        if (fabs(mu_sample_quantile(&s, rows[i].share) - rows[i].wanted) > 1e-6) {
            fail_msg("%u values, %g: %g", rows[i].count, rows[i].share,
                     mu_sample_quantile(&s, rows[i].share));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_has_no_quantile),
        cmocka_unit_test(totals_are_of_all),
        cmocka_unit_test(quantiles_are_of_the_newest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
