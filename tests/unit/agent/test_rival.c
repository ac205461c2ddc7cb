/* Two living nodes of one name: exactly one of them stays, whoever counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"
#include "rival.h"

static void one_of_two_stays(void **state)
{
    static const struct {
        const char *why;
        unsigned responses, ours;
        bool small_stays, large_stays; /* the one of the smaller node id; of the larger */
    } cases[] = {
        // clang-format off
        { "all know us",                      3, 3, true,  true  },
        { "a majority knows us",              3, 2, true,  true  },
        { "a minority knows us",              3, 1, false, false },
        { "nobody knows us",                  3, 0, false, false },
        { "halves: the id decides",           4, 2, true,  false },
        { "nobody answers: the id decides",   0, 0, true,  false },
        { "one answers, for us",              1, 1, true,  true  },
        { "one answers, for the other",       1, 0, false, false },
    }; // clang-format on
    const struct mu_id small = { { 1 } }, large = { { 2 } };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        bool a = rival_stays(cases[i].responses, cases[i].ours, &small, &large);
        bool b = rival_stays(cases[i].responses, cases[i].ours, &large, &small);

        if (a != cases[i].small_stays || b != cases[i].large_stays) {
            fail_msg("%s: %d %d", cases[i].why, a, b);
        }
    }
}

/* When both hear the same answers, none is left without a holder, and none keeps two. */
static void both_count_the_same(void **state)
{
    const struct mu_id small = { { 1 } }, large = { { 2 } };

    (void)state;
    for (unsigned responses = 0; responses < 12; responses++) {
        for (unsigned ours = 0; ours <= responses; ours++) {
            assert_int_equal(rival_stays(responses, ours, &small, &large) +
                                 rival_stays(responses, responses - ours, &large, &small),
                             1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_of_two_stays),
        cmocka_unit_test(both_count_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
