/* The text in which an agent says what is wrong: back as it was, bounded, and judged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/mem.h"
#include "doctor_report.h"

static void it_comes_back_as_it_was(void **state)
{
    static const struct doctor_line lines[] = {
        { DOCTOR_CLOCK, GOSSIP_WAY_UNKNOWN, 1700000000123, "-", "" },
        { DOCTOR_STATE, GOSSIP_WAY_UNKNOWN, 0, "no-leader", "1 of 3 voting servers" },
        { DOCTOR_REFUSED, GOSSIP_WAY_UNKNOWN, UINT64_MAX, "10.0.0.3:8301", "dropped.clear" },
        { DOCTOR_OUT, GOSSIP_WAY_OPEN, 7, "db 1", "" },
        { DOCTOR_NARROW, GOSSIP_WAY_UNKNOWN, 1400, "no-more", "" }, /* not the line "more" */
        { DOCTOR_ASTRAY, GOSSIP_WAY_UNKNOWN, 0, "db 1", "advertises 10.0.0.9:8301" },
        { DOCTOR_FAILED, GOSSIP_WAY_STALLED, 1200, "web", "db 1" },
    };
    struct mu_buf text = MU_BUF_NONE;
    struct doctor_report report;
    struct mu_arena arena;

    (void)state;
    mu_arena_init(&arena, 0);
    doctor_report_begin(&text);
    for (size_t i = 0; i < MU_LEN(lines); i++) {
        doctor_report_add(&text, &lines[i]);
    }
    assert_string_equal(mu_buf_text(&text),
                        "muster doctor 1\n"
                        "clock - 1700000000123 -\n"
                        "state - 0 no-leader\t1 of 3 voting servers\n"
                        "refused - 18446744073709551615 10.0.0.3:8301\tdropped.clear\n"
                        "out open 7 db 1\n"
                        "narrow - 1400 no-more\n"
                        "astray - 0 db 1\tadvertises 10.0.0.9:8301\n"
                        "failed stalled 1200 web\tdb 1\n");
    assert_int_equal(doctor_report_read(mu_buf_span(&text), &arena, &report, NULL), MU_OK);
    assert_int_equal(report.count, MU_LEN(lines));
    assert_false(report.has_more);
    for (size_t i = 0; i < MU_LEN(lines); i++) {
        assert_int_equal(report.items[i].kind, lines[i].kind);
        assert_int_equal(report.items[i].way, lines[i].way);
        assert_true(report.items[i].number == lines[i].number);
        assert_string_equal(report.items[i].name, lines[i].name);
        assert_string_equal(report.items[i].more, lines[i].more);
    }
    mu_buf_deinit(&text);
    mu_arena_deinit(&arena);
}

static void it_stays_within_an_answer(void **state)
{
    char name[129];
    struct doctor_line line = { DOCTOR_FAILED, GOSSIP_WAY_UNKNOWN, 1, name, name };
    struct mu_buf text = MU_BUF_NONE;
    struct doctor_report report;
    struct mu_arena arena;

    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    mu_arena_init(&arena, 0);
    doctor_report_begin(&text);
    for (unsigned i = 0; i < 100; i++) {
        doctor_report_add(&text, &line);
    }
    assert_true(text.bytes <= DOCTOR_REPORT_BYTES);
    assert_int_equal(doctor_report_read(mu_buf_span(&text), &arena, &report, NULL), MU_OK);
    assert_true(report.has_more && report.count == 3);
    mu_buf_deinit(&text);
    mu_arena_deinit(&arena);
}

static void what_is_none_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "muster doctor 2\n",
        "muster doctor 1\nsideways open 1 a\n",
        "muster doctor 1\nin ajar 1 a\n",
        "muster doctor 1\nin open x a\n",
        "muster doctor 1\nin open 1\n",
        "muster doctor 1\nin open 18446744073709551616 a\n",
        "muster doctor 1\nin open 1 \xff\n",
        "muster doctor 1\nin open 1 a\x1b[2J\n",
        "muster doctor 1\nfailed open 1 a\tb\tc\n",
    };
    struct doctor_report report;
    struct mu_arena arena;

    (void)state;
    mu_arena_init(&arena, 0);
    for (size_t i = 0; i < MU_LEN(bad); i++) {
        if (doctor_report_read(mu_span_text(bad[i]), &arena, &report, NULL) != MU_CORRUPT) {
            fail_msg("'%s'", bad[i]);
        }
    }
    mu_arena_deinit(&arena);
}

static void a_clock_is_off_by_more_than_an_answer_takes(void **state)
{
    static const struct {
        uint64_t theirs, ours;
        bool is_off;
        int64_t ahead;
    } cases[] = {
        { 100000, 100000, false, 0 },       { 105000, 100000, false, 5000 },
        { 105001, 100000, true, 5001 },     { 94999, 100000, true, -5001 },
        { UINT64_MAX, 0, true, INT64_MAX }, { 0, UINT64_MAX, true, -INT64_MAX },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        int64_t ahead = 0;

        if (doctor_clock_is_off(cases[i].theirs, cases[i].ours, &ahead) != cases[i].is_off ||
            ahead != cases[i].ahead) {
            fail_msg("case %zu: %lld", i, (long long)ahead);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_back_as_it_was),
        cmocka_unit_test(it_stays_within_an_answer),
        cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(a_clock_is_off_by_more_than_an_answer_takes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
