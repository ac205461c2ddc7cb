/* How long work rests that gives way to others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/assert.h"
#include "stint.h"

#define MS UINT64_C(1000000)

static void rests_follow_from_waits(void **state)
{
    static const struct {
        const char *why;
        uint64_t passed, worked; /* microseconds, at each of so many looks */
        unsigned looks;
        uint64_t rest_ms; /* all of them */
    } cases[] = {
        // clang-format off
        { "a processor of its own: no rest",             10000, 10000, 1000, 0     },
        { "clocks that do not quite agree",              10000, 10001, 1000, 0     },
        { "waited for half of the time",                 10000, 5000,  100,  2000  },
        { "what is below a millisecond adds up",         1000,  900,   100,  33    }, /* at 1.2 */
        { "one long wait counts no more than a rest",    UINT64_C(3600) * 1000 * 1000, 0, 1, 100 },
        { "whoever waits for the end gets it",           10000, 0,     2000, 30000 },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct stint s;
        uint64_t clock_ns = 7 * MS, cpu_ns = 3 * MS, rest_ms = 0;

        stint_begin(&s, clock_ns, cpu_ns);
        for (unsigned n = 0; n < cases[i].looks; n++) {
            clock_ns += cases[i].passed * 1000;
            cpu_ns += cases[i].worked * 1000;
            uint64_t rest = stint_look(&s, clock_ns, cpu_ns);

            clock_ns += 3 * rest * MS; /* one sleeps longer than one asked for */
            rest_ms += rest;
            if (rest > 0) {
                stint_resume(&s, clock_ns, cpu_ns);
            }
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

    (void)state;
    stint_begin(&s, 0, 0);
    for (uint64_t i = 1; i <= 1000; i++) {
        (void)stint_look(&s, i * 100 * MS, 0);
    }
    assert_int_equal(stint_look(&s, 1001 * 100 * MS, 0), 0);
    stint_begin(&s, 1001 * 100 * MS, 0);
    assert_int_equal(stint_look(&s, 1002 * 100 * MS, 0), STINT_REST_MS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rests_follow_from_waits),
        cmocka_unit_test(the_next_stint_begins_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
