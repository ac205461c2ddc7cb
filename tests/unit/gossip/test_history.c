/* What a node remembers of others: the last changes, each with who said so, and within a bound. */
#include "fixture.h"

static void add_change(void *data, const struct gossip_record *r)
{
    static const char *const changes[] = { "missed", "suspected", "confirmed", "refuted",
                                           "dead",   "leaving",   "left",      "returned" };
    struct mu_buf *to = data;

    mu_buf_addf(to, "%s%s%s%s %llu", to->bytes > 0 ? ", " : "", changes[r->change],
                r->by[0] != '\0' ? " " : "", r->by, (unsigned long long)r->incarnation);
}

static void expect_past(const struct bench *b, const char *name, const char *wanted)
{
    struct mu_buf past = MU_BUF_NONE;

    gossip_each_record(b->g, name, add_change, &past);
    assert_string_equal(mu_buf_text(&past), wanted);
    mu_buf_deinit(&past);
}

static void each_change_is_kept_with_who_said_so(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "m", 1, GOSSIP__ALIVE);
    expect_past(&b, "m", ""); /* a first join is none */
    for (unsigned i = 2; i < 6; i++) {
        char name[8];

        (void)snprintf(name, sizeof name, "m%u", i);
        bench_member(&b, name, i, GOSSIP__ALIVE);
    }
    bench_say_suspect(&b, "m", 10, "x", GOSSIP__STALLED);
    bench_say_suspect(&b, "m", 10, "y", GOSSIP__SILENT);
    bench_say_suspect(&b, "m", 10, "y", GOSSIP__SILENT); /* has said so */
    expect_past(&b, "m", "suspected x 10, confirmed y 10");

    struct gossip_account a;

    assert_true(gossip_explain(b.g, "m", &a));
    assert_string_equal(a.state, "suspect");
    assert_int_equal(a.confirmations, 1);
    assert_true(a.confirmations <= a.wanted);
    assert_int_equal(a.evidence, GOSSIP_WAY_STALLED); /* outweighs silence */
    assert_true(a.deadline_ms > a.now_ms);

    bench_say_alive(&b, "m", 1, 11);
    bench_bury(&b, "m", 11, "z");
    bench_say_alive(&b, "m", 1, 12);
    bench_say_intent(&b, "m", 5, GOSSIP__PART_LEAVE, false);
    bench_say_dead(&b, "m", 12, "m");
    expect_past(&b, "m",
                "suspected x 10, confirmed y 10, refuted 11, suspected z 11, dead z 11, "
                "returned 12, leaving 12, left 12");
    expect_past(&b, "m2", "");
    assert_true(gossip_explain(b.g, "m", &a));
    assert_string_equal(a.state, "left");
    assert_int_equal(a.confirmations, 0);
    assert_int_equal(a.deadline_ms, 0);
    bench_close(&b);
}

static void one_that_leaves_because_it_must_has_left(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "m", 1, GOSSIP__DEAD);
    bench_say_intent(&b, "m", 5, GOSSIP__PART_LEAVE, false);
    expect_past(&b, "m", "suspected judge 10, dead judge 10, left 10");
    bench_say_intent(&b, "m", 6, GOSSIP__PART_LEAVE, true); /* pruned: forgotten with its past */
    expect_past(&b, "m", "");
    assert_int_equal(b.g->history.count, 0);
    bench_close(&b);
}

static void what_is_said_of_ourselves_is_kept_too(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_say_suspect(&b, "us", OWN, "x", GOSSIP__SILENT);
    bench_say_suspect(&b, "us", OWN, "y", GOSSIP__SILENT); /* denied already */
    bench_say_dead(&b, "us", OWN + 1, "y");
    expect_past(&b, "us", "refuted x 1001, refuted y 1002");
    bench_close(&b);
}

static void one_that_flaps_does_not_push_out_the_others(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "quiet", 1, GOSSIP__SUSPECT);
    bench_member(&b, "flapping", 2, GOSSIP__ALIVE);
    for (uint64_t i = 10; i < 500; i++) {
        bench_bury(&b, "flapping", i, "x");
        bench_say_alive(&b, "flapping", 2, i + 1);
    }
    expect_past(&b, "quiet", "suspected judge 10");
    assert_int_equal(b.g->history.count, 1 + GOSSIP__RECORDS_OF_ONE);

    const struct gossip__history *h = &b.g->history;
    const struct gossip__past *last = &h->items[(h->first + h->count - 1) % h->room];

    assert_int_equal(last->record.change, GOSSIP_CHANGE_RETURNED);
    assert_int_equal(last->record.incarnation, 500);
    bench_close(&b);
}

/* The oldest go, of whoever, and of one that has its share its own: round and round, in order. */
static void the_order_stays_when_it_goes_round(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "flapping", 1, GOSSIP__ALIVE);
    for (unsigned i = 2; i <= 3 * GOSSIP__RECORDS_MAX; i++) {
        char name[8];

        (void)snprintf(name, sizeof name, "m%u", i);
        bench_member(&b, name, i, GOSSIP__DEAD);
        bench_say_dead(&b, "flapping", 10 + i, "x");
        bench_say_alive(&b, "flapping", 1, 11 + i);
        gossip__check(b.g);
    }
    const struct gossip__history *h = &b.g->history;
    size_t flaps = 0;

    assert_int_equal(h->count, GOSSIP__RECORDS_MAX);
    for (size_t i = 0; i < h->count; i++) {
        const struct gossip__past *p = &h->items[(h->first + i) % h->room];

        flaps += strcmp(p->about->card->name, "flapping") == 0;
        assert_true(i == 0 ||
                    h->items[(h->first + i - 1) % h->room].record.at_ms <= p->record.at_ms);
    }
    assert_int_equal(flaps, GOSSIP__RECORDS_OF_ONE);
    expect_past(&b, "m384", "suspected judge 10, dead judge 10");
    bench_close(&b);
}

static void many_stay_within_the_bound(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    for (unsigned i = 1; i <= 2 * GOSSIP__RECORDS_MAX; i++) {
        char name[8];

        (void)snprintf(name, sizeof name, "m%u", i);
        bench_member(&b, name, i, GOSSIP__DEAD);
    }
    assert_int_equal(b.g->history.count, GOSSIP__RECORDS_MAX);
    expect_past(&b, "m1", "");
    expect_past(&b, "m256", "suspected judge 10, dead judge 10");
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_change_is_kept_with_who_said_so),
        cmocka_unit_test(one_that_leaves_because_it_must_has_left),
        cmocka_unit_test(what_is_said_of_ourselves_is_kept_too),
        cmocka_unit_test(one_that_flaps_does_not_push_out_the_others),
        cmocka_unit_test(many_stay_within_the_bound),
        cmocka_unit_test(the_order_stays_when_it_goes_round),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
