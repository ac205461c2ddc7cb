/* When old versions of keys go, as a table of moments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "compaction.h"

#define MINUTE UINT64_C(60000)

static struct compaction *fresh(uint64_t rev)
{
    struct compaction *c = compaction_new();

    compaction_note(c, rev, 0);
    compaction_lead(c, 1000);
    return c;
}

static void nothing_is_due(struct compaction *c, uint64_t now_ms)
{
    struct compaction_step step;

    assert_false(compaction_due(c, now_ms, &step));
}

static struct compaction_step something_is_due(struct compaction *c, uint64_t now_ms)
{
    struct compaction_step step;

    assert_true(compaction_due(c, now_ms, &step));
    return step;
}

static void a_step_is_due_when_one_has_gathered(void **state)
{
    struct compaction *c = fresh(COMPACTION_STEP - 1);

    (void)state;
    nothing_is_due(c, 1000);
    compaction_note(c, COMPACTION_STEP, 0);
    struct compaction_step step = something_is_due(c, 1000);

    assert_int_equal(step.versions_rev, COMPACTION_STEP);
    assert_int_equal(step.markers_rev, 0);
    assert_int_equal(step.rows, COMPACTION_STEP);
    nothing_is_due(c, 1000); /* one at a time */
    compaction_note(c, 5 * COMPACTION_STEP, COMPACTION_STEP);
    compaction_ended(c, &step, true, false, 1010);
    step = something_is_due(c, 1010);
    assert_int_equal(step.rows, 4 * COMPACTION_STEP); /* it falls behind: larger steps */
    compaction_free(c);
}

static void what_is_less_than_a_step_goes_after_a_while(void **state)
{
    struct compaction *c = fresh(3);

    (void)state;
    nothing_is_due(c, 1000);
    assert_int_equal(compaction_wake_ms(c), 1000 + COMPACTION_GRANULARITY_MS);
    struct compaction_step step = something_is_due(c, 1000 + COMPACTION_GRANULARITY_MS);

    assert_int_equal(step.versions_rev, 3);
    compaction_note(c, 3, 3);
    compaction_ended(c, &step, true, false, 40000);
    for (uint64_t now_ms = 40000; now_ms < 14 * MINUTE; now_ms += 10000) {
        nothing_is_due(c, now_ms); /* a quiet key space costs nothing */
    }
    compaction_free(c);
}

/* A key space that changes all the time; which limit do markers have at each moment? */
static void markers_stay_for_a_quarter_of_an_hour(void **state)
{
    struct compaction *c = fresh(0);
    uint64_t highest = 0;

    (void)state;
    for (uint64_t now_ms = 1000; now_ms < 60 * MINUTE; now_ms += 1000) {
        struct compaction_step step;
        uint64_t rev = now_ms / 1000; /* one change a second */

        compaction_note(c, rev, highest);
        if (!compaction_due(c, now_ms, &step)) {
            continue;
        }
        if (step.markers_rev > 0) {
            uint64_t age_ms = now_ms - step.markers_rev * 1000;

            assert_true(age_ms >= COMPACTION_RETENTION_MS);
            assert_true(age_ms <= COMPACTION_RETENTION_MS + 2 * COMPACTION_GRANULARITY_MS);
        }
        assert_true(now_ms < 16 * MINUTE || step.markers_rev > 0);
        highest = step.versions_rev;
        compaction_ended(c, &step, true, false, now_ms);
    }
    compaction_free(c);
}

static void a_last_deletion_is_forgotten_though_nothing_changes_any_more(void **state)
{
    struct compaction *c = fresh(7);
    struct compaction_step step = something_is_due(c, 1 * MINUTE);

    (void)state;
    compaction_note(c, 7, 7);
    compaction_ended(c, &step, true, false, 1 * MINUTE);
    nothing_is_due(c, 15 * MINUTE);
    step = something_is_due(c, 17 * MINUTE);
    assert_int_equal(step.markers_rev, 7);
    compaction_ended(c, &step, true, true, 17 * MINUTE); /* there were more than one step holds */
    step = something_is_due(c, 17 * MINUTE);
    compaction_ended(c, &step, true, false, 17 * MINUTE);
    nothing_is_due(c, 18 * MINUTE);
    nothing_is_due(c, 90 * MINUTE);
    compaction_free(c);
}

static void a_step_that_failed_is_tried_again_later(void **state)
{
    struct compaction *c = fresh(COMPACTION_STEP);
    struct compaction_step step = something_is_due(c, 2000);

    (void)state;
    compaction_ended(c, &step, false, false, 2000);
    nothing_is_due(c, 2000);
    assert_int_equal(compaction_wake_ms(c), 3000);
    step = something_is_due(c, 3000);
    compaction_note(c, COMPACTION_STEP, COMPACTION_STEP);
    compaction_ended(c, &step, true, false, 3000);
    assert_true(compaction_wake_ms(c) > 3000); /* or it would wake for ever */
    compaction_free(c);
}

static void out_of_office_nothing_is_due(void **state)
{
    struct compaction *c = fresh(COMPACTION_STEP);
    struct compaction_step step = something_is_due(c, 2000);

    (void)state;
    compaction_rest(c);
    assert_int_equal(compaction_wake_ms(c), 0);
    nothing_is_due(c, 90 * MINUTE);
    compaction_ended(c, &step, true, true, 90 * MINUTE);
    compaction_lead(c, 91 * MINUTE);
    step = something_is_due(c, 91 * MINUTE); /* it knows how long the history is */
    assert_int_equal(step.markers_rev, 0);   /* but not since when */
    compaction_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_is_due_when_one_has_gathered),
        cmocka_unit_test(what_is_less_than_a_step_goes_after_a_while),
        cmocka_unit_test(markers_stay_for_a_quarter_of_an_hour),
        cmocka_unit_test(a_last_deletion_is_forgotten_though_nothing_changes_any_more),
        cmocka_unit_test(a_step_that_failed_is_tried_again_later),
        cmocka_unit_test(out_of_office_nothing_is_due),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
