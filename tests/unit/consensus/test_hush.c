/* Who is woken by a write that is durable: whoever waits for it, and nobody else. */
#include "core_fixture.h"
#include "store_steps.h"

/* -- the core: does anybody wait? ----------------------------------------------------------------
 */

static struct consensus *leader_new(uint8_t voters)
{
    struct consensus_options options;
    struct consensus_effects fx = { 0 }; /* alone it hears no ack */

    fixture_options(&options);
    struct consensus *c = fixture_core(&options, voters, 5);

    fixture_elect(c, voters);
    assert_int_equal(c->role, CONSENSUS_LEADER);
    for (uint8_t i = 2; i <= voters; i++) {
        fixture_ack(c, i, c->log.last_index, &fx);
    }
    assert_true(c->office.is_ready);
    assert_false(fx.may_persist_late); /* nothing is under way */
    return c;
}

/* The usual order: the leader's disk is the first of three, and alone it is no quorum. */
static void a_leader_among_three_waits_for_the_others(void **state)
{
    struct consensus_effects fx;
    struct consensus *c = leader_new(3);

    (void)state;
    fixture_propose(c, 1, 1, 10, &fx);
    assert_true(fx.may_persist_late);
    fixture_persist(c, &fx);
    assert_int_equal(c->commit, c->log.last_index - 1);
    fixture_ack(c, 2, c->log.last_index, &fx);
    assert_int_equal(c->commit, c->log.last_index);
    mu_free(c);
}

/* One of the others was faster: now its own disk is what is missing. */
static void a_leader_that_is_the_second_is_waited_for(void **state)
{
    struct consensus_effects fx;
    struct consensus *c = leader_new(3);

    (void)state;
    fixture_propose(c, 1, 1, 10, &fx);
    fixture_ack(c, 2, c->log.last_index, &fx);
    assert_int_equal(c->commit, c->log.last_index - 1);
    assert_false(fx.may_persist_late);
    fixture_ack(c, 3, c->log.last_index, &fx); /* and now it is committed, but not here */
    assert_int_equal(c->commit, c->log.last_index);
    assert_false(fx.may_persist_late);
    mu_free(c);
}

static void a_leader_of_one_or_two_is_waited_for(void **state)
{
    struct consensus_effects fx;
    struct consensus *c = leader_new(1);

    (void)state;
    fixture_propose(c, 1, 1, 10, &fx);
    assert_false(fx.may_persist_late);
    mu_free(c);
    c = leader_new(2);
    fixture_propose(c, 1, 1, 10, &fx);
    assert_true(fx.may_persist_late); /* both are needed: the other's word is an event */
    fixture_ack(c, 2, c->log.last_index, &fx);
    assert_false(fx.may_persist_late);
    mu_free(c);
}

/* Its ack waits for the disk. */
static void a_follower_is_waited_for(void **state)
{
    struct consensus_options options;
    struct consensus_effects fx;

    (void)state;
    fixture_options(&options);
    struct consensus *c = fixture_core(&options, 3, 5);
    struct consensus_msg m = fixture_msg(c, CONSENSUS_HEARTBEAT, 2, c->hard.term + 1);

    m.heartbeat.session = 1;
    fixture_recv(c, &m, &fx); /* a new term is written */
    assert_int_equal(fx.writes_count, 1);
    assert_false(fx.may_persist_late);
    mu_free(c);
}

/* What was told late was not slow. */
static void lateness_is_no_slowness(void **state)
{
    struct consensus_effects fx;
    struct consensus_event ev = { .kind = CONSENSUS_EV_PERSISTED };
    struct consensus *c = leader_new(3);

    (void)state;
    fixture_propose(c, 1, 1, 10, &fx);
    ev.now_ms = c->now_ms + 50;
    ev.persisted_seq = c->writes.next_seq - 1;
    ev.persisted_late_ms = 47;
    consensus_step(c, &ev, &fx);
    assert_int_equal(c->writes.flush_ms, 3);
    fixture_propose(c, 2, 1, 10, &fx);
    ev.now_ms = c->now_ms + 5;
    ev.persisted_seq = c->writes.next_seq - 1;
    ev.persisted_late_ms = 1000; /* two clocks: never below zero */
    consensus_step(c, &ev, &fx);
    assert_in_range(c->writes.flush_ms, 0, 3);
    mu_free(c);
}

/* -- the store: is anybody woken? ----------------------------------------------------------------
 */

static void a_hushed_store_says_nothing_of_writes(void **state)
{
    struct rig *r = rig_new(RESERVE + META);

    (void)state;
    assert_int_equal(rig_open(r, BALLAST), MU_OK);
    run(r, 1000);
    r->wakes = 0;
    put(r, 100);
    run(r, 5);
    assert_int_equal(r->wakes, 1);
    r->store.ops->hush(r->store.self, true);
    put(r, 100);
    run(r, 5);
    assert_int_equal(r->wakes, 1);
    assert_int_equal(r->report.persisted_seq, 2);
    assert_in_range(r->report.persisted_late_ms, 4, 5);
    r->store.ops->hush(r->store.self, false); /* it is known */
    assert_int_equal(r->wakes, 1);
    put(r, 100);
    run(r, 5);
    assert_int_equal(r->wakes, 2);
    rig_free(r);
}

static void what_was_hushed_up_is_told_when_it_matters(void **state)
{
    struct rig *r = rig_new(RESERVE + META);
    uint64_t nap;

    (void)state;
    assert_int_equal(rig_open(r, BALLAST), MU_OK);
    run(r, 1000);
    r->wakes = 0;
    r->store.ops->hush(r->store.self, true);
    put(r, 100);
    assert_true(consensus__log_step(r->log, &nap));
    assert_int_equal(r->wakes, 0);
    r->store.ops->hush(r->store.self, false);
    assert_int_equal(r->wakes, 1);
    r->store.ops->hush(r->store.self, true); /* still not collected */
    r->store.ops->hush(r->store.self, false);
    assert_int_equal(r->wakes, 2);
    run(r, 1);
    assert_int_equal(r->report.persisted_seq, 1);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leader_among_three_waits_for_the_others),
        cmocka_unit_test(a_leader_that_is_the_second_is_waited_for),
        cmocka_unit_test(a_leader_of_one_or_two_is_waited_for),
        cmocka_unit_test(a_follower_is_waited_for),
        cmocka_unit_test(lateness_is_no_slowness),
        cmocka_unit_test(a_hushed_store_says_nothing_of_writes),
        cmocka_unit_test(what_was_hushed_up_is_told_when_it_matters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
