/* The text in which an agent says what ways carry nothing: back as it was, bounded, and judged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/mem.h"
#include "link_report.h"

static void it_comes_back_as_it_was(void **state)
{
    static const struct gossip_link links[] = {
        { "db 1", true, GOSSIP_WAY_OPEN, 7 },
        { "web", false, GOSSIP_WAY_STALLED, 4294967295U },
    };
    struct mu_buf text = MU_BUF_NONE;
    struct link_report report;
    struct mu_arena arena;

    (void)state;
    mu_arena_init(&arena, 0);
    link_report_begin(&text);
    for (size_t i = 0; i < MU_LEN(links); i++) {
        link_report_add(&text, &links[i]);
    }
    assert_string_equal(mu_buf_text(&text),
                        "muster links 1\nout open 7 db 1\nin stalled 4294967295 web\n");
    assert_int_equal(link_report_read(mu_buf_span(&text), &arena, &report, NULL), MU_OK);
    assert_int_equal(report.count, 2);
    assert_false(report.has_more);
    for (size_t i = 0; i < MU_LEN(links); i++) {
        assert_string_equal(report.items[i].name, links[i].name);
        assert_int_equal(report.items[i].is_heard, links[i].is_heard);
        assert_int_equal(report.items[i].tcp, links[i].tcp);
        assert_int_equal(report.items[i].missed, links[i].missed);
    }
    mu_buf_deinit(&text);
    mu_arena_deinit(&arena);
}

static void it_stays_within_an_answer(void **state)
{
    char name[129];
    struct gossip_link link = { name, true, GOSSIP_WAY_UNKNOWN, 1 };
    struct mu_buf text = MU_BUF_NONE;
    struct link_report report;
    struct mu_arena arena;

    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    mu_arena_init(&arena, 0);
    link_report_begin(&text);
    for (unsigned i = 0; i < 100; i++) {
        link_report_add(&text, &link);
    }
    assert_true(text.bytes <= LINK_REPORT_BYTES);
    assert_int_equal(link_report_read(mu_buf_span(&text), &arena, &report, NULL), MU_OK);
    assert_true(report.has_more && report.count > 3);
    mu_buf_deinit(&text);
    mu_arena_deinit(&arena);
}

static void what_is_none_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "muster links 2\n",
        "muster links 1\nsideways open 1 a\n",
        "muster links 1\nin ajar 1 a\n",
        "muster links 1\nin open x a\n",
        "muster links 1\nin open 1\n",
        "muster links 1\nin open 4294967296 a\n",
        "muster links 1\nin open 1 \xff\n",
    };
    struct link_report report;
    struct mu_arena arena;

    (void)state;
    mu_arena_init(&arena, 0);
    for (size_t i = 0; i < MU_LEN(bad); i++) {
        if (link_report_read(mu_span_text(bad[i]), &arena, &report, NULL) != MU_CORRUPT) {
            fail_msg("'%s'", bad[i]);
        }
    }
    mu_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_back_as_it_was),
        cmocka_unit_test(it_stays_within_an_answer),
        cmocka_unit_test(what_is_none_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
