#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/assert.h"
#include "base/clock.h"

#define US 1000LL
#define MS MU_NS_PER_MS
#define S  MU_NS_PER_S
#define M  (60 * S)
#define HR (60 * M)

static void durations_are_read_as_go_reads_them(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } cases[] = {
        // clang-format off
        { "0", 0 }, { "+0", 0 }, { "-0", 0 }, { "0s", 0 },
        { "5s", 5 * S }, { "30s", 30 * S }, { "1478s", 1478 * S },
        { "-5s", -5 * S }, { "+5s", 5 * S },
        { "5.0s", 5 * S }, { "5.6s", 5 * S + 600 * MS }, { "5.s", 5 * S }, { ".5s", 500 * MS },
        { "1.0s", S }, { "1.00s", S }, { "1.004s", S + 4 * MS }, { "1.0040s", S + 4 * MS },
        { "100.00100s", 100 * S + MS },
        { "10ns", 10 }, { "11us", 11 * US }, { "12\xc2\xb5s", 12 * US }, { "12\xce\xbcs", 12 * US },
        { "13ms", 13 * MS }, { "14s", 14 * S }, { "15m", 15 * M }, { "16h", 16 * HR },
        { "3h30m", 3 * HR + 30 * M }, { "10.5s4m", 4 * M + 10 * S + 500 * MS },
        { "-2m3.4s", -(2 * M + 3 * S + 400 * MS) },
        { "1h2m3s4ms5us6ns", HR + 2 * M + 3 * S + 4 * MS + 5 * US + 6 },
        { "39h9m14.425s", 39 * HR + 9 * M + 14 * S + 425 * MS },
        { "52763797000ns", 52763797000 },
        { "0.3333333333333333333h", 20 * M },
        { "0.29h", 17 * M + 24 * S }, { "0.7s", 700 * MS }, { "0.0000000019s", 1 },
        { "9007199254740993ns", 9007199254740993 },
        { "9223372036854775807ns", INT64_MAX },
        { "9223372036854775.807us", INT64_MAX },
        { "9223372036s854ms775us807ns", INT64_MAX },
        { "-9223372036854775807ns", -INT64_MAX },
        { "0.100000000000000000000h", 6 * M },
        { "0.830103483285477580700h", 49 * M + 48 * S + 372539827 },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        char why[128] = "";
        int64_t ns = -1;

        if (!mu_duration_parse(mu_span_text(cases[i].text), &ns, why, sizeof why) ||
            ns != cases[i].ns) {
            fail_msg("'%s' gave %lld, not %lld %s", cases[i].text, (long long)ns,
                     (long long)cases[i].ns, why);
        }
    }
}

static void what_is_no_duration_is_refused_in_gos_words(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        // clang-format off
        { "",     "time: invalid duration \"\"" },
        { "3",    "time: missing unit in duration \"3\"" },
        { "10",   "time: missing unit in duration \"10\"" },
        { "-",    "time: invalid duration \"-\"" },
        { "s",    "time: invalid duration \"s\"" },
        { ".",    "time: invalid duration \".\"" },
        { "-.",   "time: invalid duration \"-.\"" },
        { ".s",   "time: invalid duration \".s\"" },
        { "+.s",  "time: invalid duration \"+.s\"" },
        { "nope", "time: invalid duration \"nope\"" },
        { "10q",  "time: unknown unit \"q\" in duration \"10q\"" },
        { "1d",   "time: unknown unit \"d\" in duration \"1d\"" },
        { "1e3s", "time: unknown unit \"e\" in duration \"1e3s\"" },
        { "1 s",  "time: unknown unit \" s\" in duration \"1 s\"" },
        { "1s ",  "time: unknown unit \"s \" in duration \"1s \"" },
        { "9223372036854775810ns", "time: invalid duration \"9223372036854775810ns\"" },
        { "9223372036854775.808us", "time: invalid duration \"9223372036854775.808us\"" },
        { "-9223372036854775809ns", "time: invalid duration \"-9223372036854775809ns\"" },
        { "2562047h47m16.854775808s", "time: invalid duration \"2562047h47m16.854775808s\"" },
        { "3000000h", "time: invalid duration \"3000000h\"" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        char why[128] = "";
        int64_t ns = 0;

        if (mu_duration_parse(mu_span_text(cases[i].text), &ns, why, sizeof why) ||
            strcmp(why, cases[i].why) != 0) {
            fail_msg("'%s': %s", cases[i].text, why);
        }
        assert_false(mu_duration_parse(mu_span_text(cases[i].text), &ns, NULL, 0));
    }
}

static void durations_are_written_as_go_writes_them(void **state)
{
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        // clang-format off
        { 0, "0s" }, { 1, "1ns" }, { 1100, "1.1\xc2\xb5s" }, { 2200 * US, "2.2ms" },
        { 3300 * MS, "3.3s" }, { 4 * M + 5 * S, "4m5s" }, { 4 * M + 5001 * MS, "4m5.001s" },
        { 5 * HR + 6 * M + 7001 * MS, "5h6m7.001s" }, { 8 * M + 1, "8m0.000000001s" },
        { 10 * S, "10s" }, { M, "1m0s" }, { 200 * MS, "200ms" }, { 1500 * MS, "1.5s" },
        { 24 * HR, "24h0m0s" }, { 72 * HR, "72h0m0s" }, { 999, "999ns" }, { 1000, "1\xc2\xb5s" },
        { 999999, "999.999\xc2\xb5s" }, { -3 * S, "-3s" }, { -1, "-1ns" },
        { INT64_MAX, "2562047h47m16.854775807s" }, { INT64_MIN, "-2562047h47m16.854775808s" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        char text[MU_DURATION_TEXT_MAX];
        int64_t back = 0;

        mu_duration_text(cases[i].ns, text);
        if (strcmp(text, cases[i].text) != 0) {
            fail_msg("%lld gave '%s', not '%s'", (long long)cases[i].ns, text, cases[i].text);
        }
        if (cases[i].ns != INT64_MIN) {
            assert_true(mu_duration_parse(mu_span_text(text), &back, NULL, 0));
            assert_int_equal(back, cases[i].ns);
        }
    }
}

static void times_are_written(void **state)
{
    static const struct {
        int64_t wall_ns;
        unsigned digits;
        const char *text;
    } cases[] = {
        // clang-format off
        { 0, 0, "1970-01-01T00:00:00Z" },
        { 1795250454958123456, 3, "2026-11-21T08:40:54.958Z" },
        { 1795250454958123456, 9, "2026-11-21T08:40:54.958123456Z" },
        { 1795250454000000001, 9, "2026-11-21T08:40:54.000000001Z" },
        { 1795250454000000000, 1, "2026-11-21T08:40:54.0Z" },
        { -1, 9, "1969-12-31T23:59:59.999999999Z" },
        { 1709164800LL * S, 0, "2024-02-29T00:00:00Z" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        char text[MU_TIME_TEXT_MAX];

        mu_time_text(cases[i].wall_ns, cases[i].digits, text);
        if (strcmp(text, cases[i].text) != 0) {
            fail_msg("%lld gave '%s', not '%s'", (long long)cases[i].wall_ns, text, cases[i].text);
        }
    }
}

static void clocks_do_not_go_back(void **state)
{
    uint64_t before = mu_clock_ns();

    (void)state;
    assert_true(mu_clock_ns() >= before);
    assert_true(mu_clock_ms() >= before / (uint64_t)MS);
    assert_true(mu_clock_wall_ns() > 1700000000LL * S);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read_as_go_reads_them),
        cmocka_unit_test(what_is_no_duration_is_refused_in_gos_words),
        cmocka_unit_test(durations_are_written_as_go_writes_them),
        cmocka_unit_test(times_are_written),
        cmocka_unit_test(clocks_do_not_go_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
