/* How long work rests that gives way to others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/assert.h"
#include "stint.h"

static void rests_follow_from_waits(void **state)
{
    static const struct {
        const char *why;
        uint64_t waited_us; /* at each of so many looks */
        unsigned looks;
        uint64_t rest_ms; /* all of them */
    } cases[] = {
        // clang-format off
        { "a processor of its own: no rest",          0,                      1000, 0     },
        { "twelve times as long as it waited",        5000,                   100,  6000  },
        { "what is below a millisecond adds up",      42,                     100,  50    },
        { "one long wait counts no more than a rest", UINT64_C(3600) * 1000000, 1,  100   },
        { "whoever waits for the end gets it",        10000,                  2000, 30000 },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct stint s;
        uint64_t waited_ns = 7000000, rest_ms = 0;

        stint_begin(&s, waited_ns);
        for (unsigned n = 0; n < cases[i].looks; n++) {
            waited_ns += cases[i].waited_us * 1000;
            rest_ms += stint_look(&s, waited_ns);
        }
        if (rest_ms != cases[i].rest_ms) {
            fail_msg("%s: %llu ms, expected %llu", cases[i].why, (unsigned long long)rest_ms,
                     (unsigned long long)cases[i].rest_ms);
        }
    }
}

static void the_next_stint_begins_anew(void **state)
{
    struct stint s;
    uint64_t waited_ns = 0;

    (void)state;
    stint_begin(&s, waited_ns);
    for (unsigned i = 0; i < 1000; i++) {
        (void)stint_look(&s, waited_ns += 100000000);
    }
    assert_int_equal(stint_look(&s, waited_ns += 100000000), 0);
    stint_begin(&s, waited_ns);
    assert_int_equal(stint_look(&s, waited_ns + 100000000), STINT_REST_MS_MAX);
}

/* A kernel that does not count says 0, or goes back. */
static void without_a_count_nobody_rests(void **state)
{
    struct stint s;

    (void)state;
    stint_begin(&s, 5000000);
    assert_int_equal(stint_look(&s, 0), 0);
    assert_int_equal(stint_look(&s, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rests_follow_from_waits),
        cmocka_unit_test(the_next_stint_begins_anew),
        cmocka_unit_test(without_a_count_nobody_rests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
