#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/assert.h"
#include "base/rand.h"

/* From the authors' reference code: splitmix64 for the seed, xoshiro256** behind it. */
static void the_sequence_is_the_published_one(void **state)
{
    static const uint64_t from_0[] = { 0x99ec5f36cb75f2b4, 0xbf6e1f784956452a, 0x1a5f849d4933e6e0,
                                       0x6aa594f1262d2d2c };
    static const uint64_t from_42[] = { 0x15780b2e0c2ec716, 0x6104d9866d113a7e, 0xae17533239e499a1,
                                        0xecb8ad4703b360a1 };
    struct mu_rand r;

    (void)state;
    mu_rand_seed(&r, 0);
    for (size_t i = 0; i < MU_LEN(from_0); i++) {
        assert_int_equal(mu_rand_u64(&r), from_0[i]);
    }
    mu_rand_seed(&r, 42);
    for (size_t i = 0; i < MU_LEN(from_42); i++) {
        assert_int_equal(mu_rand_u64(&r), from_42[i]);
    }
}

/* 60,000 throws of a die: the chi-square of 5 degrees of freedom passes 30 once in 10^5 seeds, and
 * the seed is fixed. */
static void bounded_numbers_are_even(void **state)
{
    double chi = 0;
    unsigned counts[6] = { 0 };
    struct mu_rand r;

    (void)state;
    mu_rand_seed(&r, 1);
    for (unsigned i = 0; i < 60000; i++) {
        uint64_t face = mu_rand_below(&r, 6);

        assert_in_range(face, 0, 5);
        counts[face]++;
    }
    for (size_t i = 0; i < MU_LEN(counts); i++) {
        chi += ((double)counts[i] - 10000) * ((double)counts[i] - 10000) / 10000;
    }
    assert_true(chi < 30);
    assert_int_equal(mu_rand_below(&r, 1), 0);
    for (unsigned i = 0; i < 100; i++) {
        assert_true(mu_rand_below(&r, UINT64_MAX) < UINT64_MAX);
    }
}

static void units_lie_below_one(void **state)
{
    double sum = 0;
    struct mu_rand r;

    (void)state;
    mu_rand_seed(&r, 1);
    for (unsigned i = 0; i < 10000; i++) {
        double unit = mu_rand_unit(&r);

        assert_true(unit >= 0 && unit < 1);
        sum += unit;
    }
    assert_true(sum > 4900 && sum < 5100);
}

static void bytes_of_any_length(void **state)
{
    uint8_t bytes[20];
    uint8_t again[20];
    struct mu_rand r;

    (void)state;
    for (size_t count = 0; count < sizeof bytes; count++) {
        memset(bytes, 0xee, sizeof bytes);
        memset(again, 0xee, sizeof again);
        mu_rand_seed(&r, 9);
        mu_rand_bytes(&r, bytes, count);
        mu_rand_seed(&r, 9);
        mu_rand_bytes(&r, again, count);
        assert_memory_equal(bytes, again, sizeof bytes);
        assert_int_equal(bytes[count], 0xee); /* and not one more */
    }
    assert_true(mu_rand_system() != mu_rand_system());
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sequence_is_the_published_one),
        cmocka_unit_test(bounded_numbers_are_even),
        cmocka_unit_test(units_lie_below_one),
        cmocka_unit_test(bytes_of_any_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
