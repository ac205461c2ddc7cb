/* The text in which an agent says why a member is held what it is: back as it was, bounded, judged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/mem.h"
#include "explain_report.h"

static void it_comes_back_as_it_was(void **state)
{
    static const struct agent_change changes[] = {
        { "missed", "refused", 14000, 7, 2, 1, 1, "" },
        { "dead", "-", 12300, 7, 0, 0, 0, "db 1" },
    };
    const struct agent_account account = { .is_known = true,
                                           .status = "failed",
                                           .state = "dead",
                                           .state_for_ms = 12300,
                                           .incarnation = 7,
                                           .acked_ago_ms = AGENT_NEVER,
                                           .heard_ago_ms = 13900,
                                           .rtt_us = 310,
                                           .missed = 3,
                                           .health = 1,
                                           .is_suspected = true,
                                           .evidence = "silent",
                                           .confirmations = 1,
                                           .wanted = 2,
                                           .deadline_in_ms = 800,
                                           .is_leader = true,
                                           .check = "critical",
                                           .plan = "paused",
                                           .plan_in_ms = 600000,
                                           .failed = 4,
                                           .members = 9,
                                           .changes = changes,
                                           .changes_count = MU_LEN(changes) };
    struct mu_buf text = MU_BUF_NONE;
    struct agent_account out;
    struct mu_arena arena;

    (void)state;
    mu_arena_init(&arena, 0);
    explain_report_write(&text, &account);
    assert_string_equal(mu_buf_text(&text),
                        "muster explain 1\n"
                        "account failed dead 12300 7 18446744073709551615 13900 310 3 1\n"
                        "suspicion silent 1 2 800\n"
                        "leader critical paused 600000 4 9\n"
                        "change dead - 12300 7 0 0 0 db 1\n"
                        "change missed refused 14000 7 2 1 1\n");
    assert_int_equal(explain_report_read(mu_buf_span(&text), &arena, &out, NULL), MU_OK);
    assert_true(out.is_known && out.is_suspected && out.is_leader && !out.has_more);
    assert_true(out.acked_ago_ms == AGENT_NEVER);
    assert_int_equal(out.changes_count, 2);
    assert_string_equal(out.changes[1].by, "db 1"); /* oldest first again */
    mu_buf_clear(&text);
    explain_report_write(&text, &out);
    assert_non_null(strstr(mu_buf_text(&text), "leader critical paused 600000 4 9\n"));
    assert_non_null(strstr(mu_buf_text(&text), "suspicion silent 1 2 800\n"));
    mu_buf_deinit(&text);
    mu_arena_deinit(&arena);
}

static void who_knows_nothing_says_so(void **state)
{
    struct agent_account out, nothing = { .is_known = false };
    struct mu_buf text = MU_BUF_NONE;
    struct mu_arena arena;

    (void)state;
    mu_arena_init(&arena, 0);
    explain_report_write(&text, &nothing);
    assert_string_equal(mu_buf_text(&text), "muster explain 1\n");
    assert_int_equal(explain_report_read(mu_buf_span(&text), &arena, &out, NULL), MU_OK);
    assert_false(out.is_known || out.is_suspected || out.is_leader || out.has_more);
    assert_int_equal(out.changes_count, 0);
    mu_buf_deinit(&text);
    mu_arena_deinit(&arena);
}

static void the_newest_have_room_first(void **state)
{
    char name[129];
    struct agent_change changes[40];
    struct agent_account out, account = { .is_known = true,
                                          .status = "alive",
                                          .state = "suspect",
                                          .changes = changes,
                                          .changes_count = MU_LEN(changes) };
    struct mu_buf text = MU_BUF_NONE;
    struct mu_arena arena;

    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (size_t i = 0; i < MU_LEN(changes); i++) {
        changes[i] =
            (struct agent_change){ .what = "dead", .way = "-", .ago_ms = 40 - i, .by = name };
    }
    mu_arena_init(&arena, 0);
    explain_report_write(&text, &account);
    assert_true(text.bytes <= EXPLAIN_REPORT_BYTES);
    assert_int_equal(explain_report_read(mu_buf_span(&text), &arena, &out, NULL), MU_OK);
    assert_true(out.has_more && out.changes_count > 3);
    assert_int_equal(out.changes[out.changes_count - 1].ago_ms, 1);
    assert_int_equal(out.changes[0].ago_ms, out.changes_count);
    mu_buf_deinit(&text);
    mu_arena_deinit(&arena);
}

static void what_is_none_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "muster explain 2\n",
        "muster explain 1\nopinion\n",
        "muster explain 1\naccount ill dead 1 1 1 1 1 1 1\n",
        "muster explain 1\naccount alive ill 1 1 1 1 1 1 1\n",
        "muster explain 1\naccount alive dead 1 1 1 1 1 1\n",
        "muster explain 1\naccount alive dead 1 1 1 1 1 1 1 1\n",
        "muster explain 1\naccount alive dead x 1 1 1 1 1 1\n",
        "muster explain 1\nsuspicion ajar 1 2 3\n",
        "muster explain 1\nleader none perhaps 1 2 3\n",
        "muster explain 1\nchange born - 1 1 1 1 1\n",
        "muster explain 1\nchange dead - 1 1 1 1 18446744073709551616 a\n",
        "muster explain 1\nchange dead - 1 1 1 1 1 \xff\n",
        "muster explain 1\nchange dead - 1 1 1 1 1 a\x1b[2J\n",
    };
    struct agent_account out;
    struct mu_arena arena;

    (void)state;
    mu_arena_init(&arena, 0);
    for (size_t i = 0; i < MU_LEN(bad); i++) {
        if (explain_report_read(mu_span_text(bad[i]), &arena, &out, NULL) != MU_CORRUPT) {
            fail_msg("'%s'", bad[i]);
        }
    }
    mu_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_back_as_it_was),
        cmocka_unit_test(who_knows_nothing_says_so),
        cmocka_unit_test(the_newest_have_room_first),
        cmocka_unit_test(what_is_none_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
