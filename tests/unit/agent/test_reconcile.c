/* What the leader does about members, as a table of moments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/buf.h"
#include "reconcile.h"

static struct reconcile *fresh(void)
{
    const struct reconcile_options options = {
        .remove_failed_after_ms = 10000,
        .pause_max_ms = 600000,
        .absent_after_ms = 60000,
        .self = "s1",
    };
    struct reconcile *r = reconcile_new(&options);

    reconcile_lead(r, 1000);
    return r;
}

/* Everything that is due, as "alive s1, remove c1", ended with success. */
static const char *due(struct reconcile *r, uint64_t now_ms, bool did_succeed)
{
    static const char *const words[] = {
        [RECONCILE_SET_ALIVE] = "alive",
        [RECONCILE_SET_CRITICAL] = "critical",
        [RECONCILE_REMOVE] = "remove",
    };
    static struct mu_buf text;
    struct reconcile_action actions[64];
    size_t count = reconcile_due(r, now_ms, actions, MU_LEN(actions));

    mu_buf_clear(&text);
    for (size_t i = 0; i < count; i++) {
        mu_buf_addf(&text, "%s%s %s", i > 0 ? ", " : "", words[actions[i].kind], actions[i].node);
        reconcile_ended(r, &actions[i], did_succeed, now_ms);
    }
    static char shown[1024];

    (void)snprintf(shown, sizeof shown, "%s", mu_buf_text(&text));
    mu_buf_deinit(&text);
    return shown;
}

static void a_member_that_lives_is_registered_whenever_gossip_speaks_of_it(void **state)
{
    struct reconcile *r = fresh();

    (void)state;
    reconcile_member(r, "c1", RECONCILE_ALIVE, 1000);
    assert_string_equal(due(r, 1000, true), "alive c1");
    assert_string_equal(due(r, 2000, true), "");
    reconcile_member(r, "c1", RECONCILE_ALIVE, 3000); /* its address or id may be another */
    assert_string_equal(due(r, 3000, true), "alive c1");
    assert_string_equal(due(r, 4000, true), "");
    reconcile_free(r);
}

static void what_gossip_says_while_a_write_is_under_way_is_looked_at_behind_it(void **state)
{
    struct reconcile *r = fresh();
    struct reconcile_action action;

    (void)state;
    reconcile_member(r, "c1", RECONCILE_ALIVE, 1000);
    assert_int_equal(reconcile_due(r, 1000, &action, 1), 1);
    reconcile_member(r, "c1", RECONCILE_ALIVE, 1001);
    assert_int_equal(reconcile_due(r, 1001, &action, 1), 0); /* one at a time */
    reconcile_ended(r, &action, true, 1002);
    assert_string_equal(due(r, 1002, true), "alive c1");
    assert_string_equal(due(r, 1003, true), "");
    reconcile_free(r);
}

static void a_failed_member_is_critical_at_once_and_removed_later(void **state)
{
    struct reconcile *r = fresh();

    (void)state;
    reconcile_member(r, "c1", RECONCILE_ALIVE, 1000);
    (void)due(r, 1000, true);
    reconcile_member(r, "c1", RECONCILE_FAILED, 5000);
    assert_string_equal(due(r, 5000, true), "critical c1");
    assert_int_equal(reconcile_wake_ms(r), 15000);
    assert_string_equal(due(r, 14999, true), "");
    assert_string_equal(due(r, 15000, true), "remove c1");
    assert_string_equal(due(r, 99999, true), "");
    assert_int_equal(reconcile_wake_ms(r), 0);
    reconcile_free(r);
}

static void one_that_returns_before_removal_is_registered_again(void **state)
{
    struct reconcile *r = fresh();

    (void)state;
    reconcile_member(r, "c1", RECONCILE_FAILED, 5000);
    (void)due(r, 5000, true);
    reconcile_member(r, "c1", RECONCILE_ALIVE, 9000);
    assert_string_equal(due(r, 9000, true), "alive c1");
    assert_string_equal(due(r, 99000, true), "");
    reconcile_free(r);
}

static void one_that_left_goes_at_once_and_the_leader_never_removes_itself(void **state)
{
    struct reconcile *r = fresh();

    (void)state;
    reconcile_member(r, "c1", RECONCILE_ALIVE, 1000);
    reconcile_member(r, "s1", RECONCILE_ALIVE, 1000);
    assert_string_equal(due(r, 1000, true), "alive c1, alive s1");
    reconcile_member(r, "c1", RECONCILE_GONE, 2000);
    reconcile_member(r, "s1", RECONCILE_GONE, 2000);
    assert_string_equal(due(r, 2000, true), "remove c1");
    assert_int_equal(reconcile_wake_ms(r), 0);
    reconcile_free(r);
}

static void a_write_that_failed_is_tried_again(void **state)
{
    struct reconcile *r = fresh();

    (void)state;
    reconcile_member(r, "c1", RECONCILE_ALIVE, 1000);
    assert_string_equal(due(r, 1000, false), "alive c1");
    assert_string_equal(due(r, 1500, true), "");
    assert_int_equal(reconcile_wake_ms(r), 2000);
    assert_string_equal(due(r, 2000, true), "alive c1");
    reconcile_free(r);
}

static void a_catalog_node_that_gossip_never_met_counts_as_failed_after_a_while(void **state)
{
    static const char *const nodes[] = { "c1", "c2" };
    struct reconcile *r = fresh();

    (void)state;
    reconcile_member(r, "c1", RECONCILE_ALIVE, 1000);
    reconcile_catalog(r, nodes, 2, 1000);
    assert_string_equal(due(r, 1000, true), "alive c1");
    assert_int_equal(reconcile_wake_ms(r), 61000);
    assert_string_equal(due(r, 60999, true), "");
    assert_string_equal(due(r, 61000, true), "critical c2");
    assert_int_equal(reconcile_wake_ms(r), 71000);
    assert_string_equal(due(r, 71000, true), "remove c2");
    reconcile_free(r);
}

static void an_absent_node_that_appears_in_time_stays(void **state)
{
    static const char *const nodes[] = { "c2" };
    struct reconcile *r = fresh();

    (void)state;
    reconcile_catalog(r, nodes, 1, 1000);
    reconcile_member(r, "c2", RECONCILE_ALIVE, 30000);
    assert_string_equal(due(r, 30000, true), "alive c2");
    assert_string_equal(due(r, 99000, true), "");
    reconcile_free(r);
}

static void many(struct reconcile *r, unsigned from, unsigned to, enum reconcile_state s,
                 uint64_t now_ms)
{
    for (unsigned i = from; i <= to; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "c%u", i);
        reconcile_member(r, name, s, now_ms);
    }
}

static void too_many_failures_at_once_pause_removal(void **state)
{
    struct reconcile *r = fresh();
    size_t failed;
    size_t members;

    (void)state;
    many(r, 1, 9, RECONCILE_ALIVE, 1000);
    (void)due(r, 1000, true);
    many(r, 1, 4, RECONCILE_FAILED, 2000);
    assert_string_equal(due(r, 2000, true), "critical c1, critical c2, critical c3, critical c4");
    assert_true(reconcile_is_paused(r, &failed, &members));
    assert_int_equal(failed, 4);
    assert_int_equal(members, 9);
    assert_string_equal(due(r, 100000, true), "");

    /* Two come back: a share of 2/9 is not suspicious, the others go. */
    many(r, 1, 2, RECONCILE_ALIVE, 100000);
    assert_string_equal(due(r, 100000, true), "alive c1, alive c2, remove c3, remove c4");
    assert_false(reconcile_is_paused(r, &failed, &members));
    reconcile_free(r);
}

static void a_pause_ends_in_the_end(void **state)
{
    struct reconcile *r = fresh();
    size_t failed;
    size_t members;

    (void)state;
    many(r, 1, 6, RECONCILE_ALIVE, 1000);
    (void)due(r, 1000, true);
    many(r, 1, 3, RECONCILE_FAILED, 2000);
    (void)due(r, 2000, true);
    assert_int_equal(reconcile_wake_ms(r), 602000);
    assert_string_equal(due(r, 601999, true), "");
    assert_string_equal(due(r, 602000, true), "remove c1, remove c2, remove c3");
    assert_false(reconcile_is_paused(r, &failed, &members));
    reconcile_free(r);
}

static void expect_plan(const struct reconcile *r, const char *node, uint64_t now_ms,
                        enum reconcile_plan plan, uint64_t in_ms)
{
    struct reconcile_account account;

    reconcile_explain(r, node, now_ms, &account);
    if (account.plan != plan || account.in_ms != in_ms) {
        fail_msg("%s at %llu: plan %u in %llu ms", node, (unsigned long long)now_ms,
                 (unsigned)account.plan, (unsigned long long)account.in_ms);
    }
}

static void what_is_meant_for_a_node_is_told(void **state)
{
    static const char *const nodes[] = { "old" };
    struct reconcile *r = fresh();

    (void)state;
    expect_plan(r, "c1", 1000, RECONCILE_PLAN_NONE, 0);
    reconcile_member(r, "c1", RECONCILE_ALIVE, 1000);
    reconcile_member(r, "s1", RECONCILE_GONE, 1000);
    reconcile_catalog(r, nodes, 1, 1000);
    expect_plan(r, "c1", 1000, RECONCILE_PLAN_KEEP, 0);
    expect_plan(r, "s1", 1000, RECONCILE_PLAN_SELF, 0);
    expect_plan(r, "old", 11000, RECONCILE_PLAN_ABSENT, 50000);
    reconcile_member(r, "c1", RECONCILE_FAILED, 2000);
    expect_plan(r, "c1", 5000, RECONCILE_PLAN_CRITICAL, 7000);
    expect_plan(r, "c1", 12000, RECONCILE_PLAN_REMOVE, 0);
    (void)due(r, 12000, true);
    expect_plan(r, "c1", 12000, RECONCILE_PLAN_REMOVED, 0);
    reconcile_rest(r);
    expect_plan(r, "c1", 12000, RECONCILE_PLAN_NONE, 0);
    reconcile_free(r);
}

static void a_pause_is_told_with_its_reason(void **state)
{
    struct reconcile *r = fresh();
    struct reconcile_account account;

    (void)state;
    many(r, 1, 6, RECONCILE_ALIVE, 1000);
    many(r, 1, 4, RECONCILE_FAILED, 2000);
    (void)due(r, 2000, true);
    expect_plan(r, "c1", 3000, RECONCILE_PLAN_PAUSED, 599000);
    reconcile_explain(r, "c1", 3000, &account);
    assert_int_equal(account.failed, 4);
    assert_int_equal(account.members, 6);
    many(r, 2, 4, RECONCILE_ALIVE, 4000);
    expect_plan(r, "c1", 4000, RECONCILE_PLAN_CRITICAL, 8000);
    reconcile_free(r);
}

static void leaver_add(void *data, const char *node, const struct reconcile_account *account)
{
    char *text = data;

    (void)snprintf(text + strlen(text), 256 - strlen(text), "%s in %llu, ", node,
                   (unsigned long long)account->remove_in_ms);
}

static void all_that_go_are_told_with_their_time(void **state)
{
    static const char *const old[] = { "old" };
    struct reconcile *r = fresh();
    char text[256] = "";

    (void)state;
    reconcile_member(r, "s1", RECONCILE_GONE, 1000); /* never by itself */
    many(r, 1, 1, RECONCILE_ALIVE, 1000);
    reconcile_each_leaver(r, 1000, leaver_add, text);
    assert_string_equal(text, "");
    reconcile_catalog(r, old, 1, 1000);
    reconcile_each_leaver(r, 11000, leaver_add, text);
    assert_string_equal(text, "old in 60000, "); /* absent for a minute, then failed for 10 s */
    many(r, 1, 1, RECONCILE_FAILED, 11000);
    assert_false(reconcile_let_go(r, "c1", 11000)); /* gossip knows it: force-leave */
    assert_false(reconcile_let_go(r, "old", 60999));
    assert_true(reconcile_let_go(r, "old", 61000));
    text[0] = '\0';
    reconcile_each_leaver(r, 11500, leaver_add, text);
    assert_non_null(strstr(text, "c1 in 9500, "));
    assert_non_null(strstr(text, "old in 0, "));
    assert_non_null(strstr(due(r, 61000, true), "remove old"));
    assert_false(reconcile_let_go(r, "old", 61000));
    assert_false(reconcile_let_go(r, "nobody", 61000));
    reconcile_free(r);
}

static void a_pause_defers_all_that_failed(void **state)
{
    struct reconcile *r = fresh();
    char text[256] = "";

    (void)state;
    many(r, 1, 4, RECONCILE_ALIVE, 1000);
    many(r, 1, 3, RECONCILE_FAILED, 2000);
    reconcile_member(r, "c9", RECONCILE_GONE, 2000);
    reconcile_each_leaver(r, 3000, leaver_add, text);
    assert_non_null(strstr(text, "c1 in 599000, "));
    assert_non_null(strstr(text, "c9 in 0, ")); /* who left is not waited for */
    reconcile_free(r);
}

static void two_of_three_failed_is_too_few_to_be_suspicious(void **state)
{
    struct reconcile *r = fresh();

    (void)state;
    many(r, 1, 3, RECONCILE_ALIVE, 1000);
    (void)due(r, 1000, true);
    many(r, 1, 2, RECONCILE_FAILED, 2000);
    (void)due(r, 2000, true);
    assert_string_equal(due(r, 12000, true), "remove c1, remove c2");
    reconcile_free(r);
}

static void who_does_not_lead_does_nothing(void **state)
{
    struct reconcile *r = fresh();

    (void)state;
    reconcile_member(r, "c1", RECONCILE_ALIVE, 1000);
    reconcile_rest(r);
    assert_string_equal(due(r, 1000, true), "");
    reconcile_member(r, "c1", RECONCILE_FAILED, 1000);
    assert_int_equal(reconcile_wake_ms(r), 0);

    /* A new office counts anew from what it sees itself. */
    reconcile_lead(r, 50000);
    reconcile_member(r, "c1", RECONCILE_FAILED, 50000);
    assert_string_equal(due(r, 50000, true), "critical c1");
    assert_int_equal(reconcile_wake_ms(r), 60000);
    reconcile_free(r);
}

static void a_node_removed_and_registered_by_somebody_is_looked_at_again(void **state)
{
    static const char *const nodes[] = { "c1" };
    struct reconcile *r = fresh();

    (void)state;
    reconcile_member(r, "c1", RECONCILE_GONE, 2000);
    assert_string_equal(due(r, 2000, true), "remove c1");
    assert_string_equal(due(r, 3000, true), "");
    reconcile_catalog(r, nodes, 1, 4000);
    assert_string_equal(due(r, 4000, true), "remove c1");
    reconcile_free(r);
}

/* Without the check by which a full pass knows whose node it is. */
static void the_last_words_of_one_that_left_are_removed_too(void **state)
{
    struct reconcile *r = fresh();
    struct reconcile_action action;

    (void)state;
    reconcile_member(r, "c1", RECONCILE_GONE, 2000);
    assert_string_equal(due(r, 2000, true), "remove c1");
    reconcile_registered(r, "c1");
    assert_string_equal(due(r, 3000, true), "remove c1");
    assert_string_equal(due(r, 4000, true), "");

    /* They come while its removal is under way. */
    reconcile_member(r, "c2", RECONCILE_GONE, 5000);
    assert_int_equal(reconcile_due(r, 5000, &action, 1), 1);
    reconcile_registered(r, "c2");
    reconcile_ended(r, &action, true, 5100);
    assert_string_equal(due(r, 5100, true), "remove c2");
    reconcile_registered(r, "nobody");
    reconcile_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_words_of_one_that_left_are_removed_too),
        cmocka_unit_test(a_member_that_lives_is_registered_whenever_gossip_speaks_of_it),
        cmocka_unit_test(what_gossip_says_while_a_write_is_under_way_is_looked_at_behind_it),
        cmocka_unit_test(a_failed_member_is_critical_at_once_and_removed_later),
        cmocka_unit_test(one_that_returns_before_removal_is_registered_again),
        cmocka_unit_test(one_that_left_goes_at_once_and_the_leader_never_removes_itself),
        cmocka_unit_test(a_write_that_failed_is_tried_again),
        cmocka_unit_test(a_catalog_node_that_gossip_never_met_counts_as_failed_after_a_while),
        cmocka_unit_test(an_absent_node_that_appears_in_time_stays),
        cmocka_unit_test(too_many_failures_at_once_pause_removal),
        cmocka_unit_test(a_pause_ends_in_the_end),
        cmocka_unit_test(what_is_meant_for_a_node_is_told),
        cmocka_unit_test(a_pause_is_told_with_its_reason),
        cmocka_unit_test(all_that_go_are_told_with_their_time),
        cmocka_unit_test(a_pause_defers_all_that_failed),
        cmocka_unit_test(two_of_three_failed_is_too_few_to_be_suspicious),
        cmocka_unit_test(who_does_not_lead_does_nothing),
        cmocka_unit_test(a_node_removed_and_registered_by_somebody_is_looked_at_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
