/* The queue: limits, order, packing, and that each send goes to somebody else (7). */
#include "fixture.h"

static void the_limit_grows_with_the_logarithm(void **unused)
{
    static const struct {
        const char *why;
        unsigned lambda;
        size_t n;
        unsigned limit;
    } rows[] = {
        // clang-format off
        { "alone",                        4, 1,    4 },
        { "two",                          4, 2,    4 },
        { "four: everybody twice, 6",     4, 4,    6 },
        { "five: 8",                      4, 5,    8 },
        { "nine",                         4, 9,    8 },
        { "ten: ceil(log10(11)) = 2",     4, 10,   8 },
        { "16: the last",                 4, 16,   8 },
        { "17: as 100",                   4, 17,   12 },
        { "99: as 100",                   4, 99,   12 },
        { "100",                          4, 100,  12 },
        { "1000",                         4, 1000, 16 },
        { "a small lambda, four nodes",   2, 4,    6 },
        { "a small lambda, many",         2, 1000, 8 },
    }; // clang-format on

    (void)unused;
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        struct gossip_profile p = gossip_profile_lan;

        p.retransmit_mult = rows[r].lambda;
        if (gossip__rumor_limit(&p, rows[r].n) != rows[r].limit) {
            fail_msg("%s: %u, not %u", rows[r].why, gossip__rumor_limit(&p, rows[r].n),
                     rows[r].limit);
        }
    }
}

static void members(struct bench *b, unsigned count)
{
    bench_open(b);
    for (unsigned i = 1; i <= count; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "n%u", i);
        bench_member(b, name, i, GOSSIP__ALIVE);
    }
    for (size_t i = 0; i < b->g->list_count; i++) {
        gossip__rumor_forget(b->g, b->g->list[i]);
    }
}

static void put(struct bench *b, const char *text)
{
    (void)gossip__rumor_add(b->g, GOSSIP__QUEUE_INTENT, NULL, mu_span_text(text), NULL);
}

/* What a datagram to this member would hold. */
static struct gossip__letter letter_to(struct bench *b, const char *name)
{
    struct gossip__member *m = gossip__member_find(b->g, name);
    struct gossip__letter l;

    gossip__letter_begin(b->g, &l, &m->card->addr, m);
    gossip__rumor_fill(b->g, &l);
    return l;
}

static void least_sent_first_then_longest_then_newest(void **unused)
{
    struct bench b;

    (void)unused;
    members(&b, 3);
    put(&b, "first, sent");
    struct gossip__letter l = letter_to(&b, "n1");

    gossip__rumor_settle(b.g, &l); /* one send of it */
    put(&b, "short");
    put(&b, "twin one");
    put(&b, "twin two");
    put(&b, "the longest of all");
    l = letter_to(&b, "n2");
    static const char *const order[] = { "the longest of all", "twin two", "twin one", "short",
                                         "first, sent" };

    assert_int_equal(l.parts_count, MU_LEN(order));
    for (size_t i = 0; i < MU_LEN(order); i++) {
        if (!mu_span_eq_text(l.parts[i], order[i])) {
            fail_msg("place %zu holds '%.*s', not '%s'", i, MU_SPAN_FMT(l.parts[i]), order[i]);
        }
    }
    bench_close(&b);
}

static void what_does_not_fit_waits_and_smaller_ones_go(void **unused)
{
    char big[900];
    struct bench b;

    (void)unused;
    memset(big, 'b', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    members(&b, 3);
    put(&b, big);
    put(&b, big);
    put(&b, "small");
    struct gossip__letter l = letter_to(&b, "n1");

    assert_int_equal(l.parts_count, 2); /* one big and the small one */
    assert_true(l.left < MU_GOSSIP_PACKET_MAX);
    assert_int_equal(l.parts[0].bytes, sizeof big - 1);
    assert_int_equal(l.parts[1].bytes, 5);
    bench_close(&b);
}

static void the_core_leaves_a_quarter_to_others(void **unused)
{
    struct bench b;
    char name[100];

    (void)unused;
    members(&b, 3);
    for (unsigned i = 0; i < 20; i++) {
        memset(name, 'x', sizeof name - 1);
        (void)snprintf(name, sizeof name, "%u", i);
        name[strlen(name)] = 'x';
        name[90] = '\0';
        bench_say_alive(&b, name, 50 + i, 5); /* long news about members */
    }
    put(&b, "an intent");
    struct gossip__letter l = letter_to(&b, "n1");
    bool has_intent = false;

    for (size_t i = 0; i < l.parts_count; i++) {
        has_intent = has_intent || mu_span_eq_text(l.parts[i], "an intent");
    }
    assert_true(has_intent);
    assert_true(l.left < 200); /* and what it does not use flows back */
    bench_close(&b);
}

static void news_about_one_member_replace_older_ones(void **unused)
{
    struct bench b;

    (void)unused;
    members(&b, 3);
    bench_say_alive(&b, "n1", 1, 11);
    bench_say_suspect(&b, "n1", 11, "n2", GOSSIP__SILENT);
    bench_say_alive(&b, "n1", 1, 12);
    assert_int_equal(b.g->queues[GOSSIP__QUEUE_CORE].count, 1);
    bench_close(&b);
}

/* Each of the first three sends reaches another peer, whatever chance says; the fourth begins a
 * second round. */
static void every_peer_is_served_before_anybody_twice(void **unused)
{
    struct bench b;
    unsigned times[3] = { 0 };

    (void)unused;
    members(&b, 3);
    put(&b, "news");
    for (unsigned round = 1; round <= 2; round++) {
        for (unsigned i = 0; i < 3; i++) {
            char name[8];

            (void)snprintf(name, sizeof name, "n%u", i + 1);
            struct gossip__letter l = letter_to(&b, name);

            times[i] += (unsigned)l.parts_count;
            gossip__rumor_settle(b.g, &l);
            if (round == 1 && i < 2) {
                l = letter_to(&b, name); /* again at once: it has it */
                assert_int_equal(l.parts_count, 0);
            }
        }
    }
    assert_int_equal(times[0], 2);
    assert_int_equal(times[1], 2);
    assert_int_equal(times[2], 2);
    assert_int_equal(b.g->queues[GOSSIP__QUEUE_INTENT].count, 0); /* six were its budget */
    bench_close(&b);
}

static void the_dead_are_told_for_free(void **unused)
{
    struct bench b;

    (void)unused;
    members(&b, 3);
    bench_bury(&b, "n3", 10, "n1");
    gossip__rumor_forget(b.g, gossip__member_find(b.g, "n3"));
    put(&b, "obituary");
    struct gossip__letter l = letter_to(&b, "n3");

    assert_int_equal(l.parts_count, 1);
    gossip__rumor_settle(b.g, &l);
    assert_int_equal(l.taken[0]->sends_count, 0);
    l = letter_to(&b, "n1");
    gossip__rumor_settle(b.g, &l);
    assert_int_equal(l.taken[0]->sends_count, 1);
    bench_close(&b);
}

static void who_told_us_is_not_told(void **unused)
{
    struct bench b;

    (void)unused;
    members(&b, 2);
    (void)gossip__rumor_add(b.g, GOSSIP__QUEUE_INTENT, NULL, MU_SPAN_LIT("news"),
                            gossip__member_find(b.g, "n1"));
    assert_int_equal(letter_to(&b, "n1").parts_count, 0);
    assert_int_equal(letter_to(&b, "n2").parts_count, 1);
    bench_close(&b);
}

static void with_nobody_to_tell_nothing_is_queued_and_nothing_due(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    put(&b, "to nobody");
    assert_int_equal(b.g->queues[GOSSIP__QUEUE_INTENT].count, 0);
    assert_true(gossip__rumor_due(b.g) == GOSSIP__NEVER);
    bench_feed(&b, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
    assert_int_equal(b.fx.wake_at_ms, 0); /* an agent that is alone sleeps */
    bench_close(&b);
}

static void news_go_out_within_20_ms_then_every_interval(void **unused)
{
    struct bench b;

    (void)unused;
    members(&b, 3);
    bench_run(&b, 150);
    bench_feed(&b, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
    put(&b, "one");
    assert_true(gossip__rumor_due(b.g) <= b.now_ms);
    bench_feed(&b, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
    assert_true(gossip__rumor_due(b.g) == b.now_ms + 100);
    put(&b, "two");
    assert_true(gossip__rumor_due(b.g) == b.now_ms + 20);
    bench_run(&b, 5000);
    assert_true(gossip__rumor_due(b.g) == GOSSIP__NEVER); /* all said */
    bench_close(&b);
}

/* Ticks within ms, with news of some member each 20 ms. */
static unsigned ticks_in(struct bench *b, unsigned ms)
{
    unsigned ticks = 0;

    for (unsigned i = 0; i < ms / 20; i++) {
        uint64_t last = b->g->rumor_last_ms;

        put(b, "news");
        bench_feed(b, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
        bench_run(b, 20);
        ticks += b->g->rumor_last_ms != last;
    }
    return ticks;
}

static void news_without_end_keep_the_interval(void **unused)
{
    struct bench b;

    (void)unused;
    members(&b, 100);
    unsigned begin = ticks_in(&b, 1000);
    (void)ticks_in(&b, 4000); /* the advance is used up: 100 ticks, and one each 100 ms */
    unsigned later = ticks_in(&b, 10000);

    assert_in_range(begin, 45, 50);
    assert_in_range(later, 95, 101);
    /* Not so what users send; and it is no debt for hours. */
    (void)gossip__rumor_add(b.g, GOSSIP__QUEUE_EVENT, NULL, MU_SPAN_LIT("an event"), NULL);
    assert_true(gossip__rumor_due(b.g) <= b.g->rumor_last_ms + 20);
    bench_run(&b, 30000);
    begin = ticks_in(&b, 1000);
    assert_in_range(begin, 45, 50);
    bench_close(&b);
}

static void a_queue_has_an_end(void **unused)
{
    struct bench b;
    char text[32];

    (void)unused;
    members(&b, 3);
    for (unsigned i = 0; i < 5000; i++) {
        (void)snprintf(text, sizeof text, "%u", i);
        put(&b, text);
    }
    assert_int_equal(b.g->queues[GOSSIP__QUEUE_INTENT].count, 4096);
    assert_int_equal(b.g->counters[GOSSIP_COUNT_RUMORS_DROPPED], 5000 - 4096);
    bench_close(&b);
}

static bool fits_live(const struct gossip *g, const struct gossip__member *m, const void *data)
{
    (void)g;
    return m->state == GOSSIP__ALIVE && m != data;
}

static void picks_are_distinct_and_complete(void **unused)
{
    struct bench b;
    struct gossip__member *out[8];

    (void)unused;
    members(&b, 40);
    for (unsigned i = 5; i <= 40; i++) { /* mostly dead: a few draws would not find the living */
        char name[16];

        (void)snprintf(name, sizeof name, "n%u", i);
        bench_bury(&b, name, 10, "n1");
    }
    for (unsigned round = 0; round < 50; round++) {
        struct gossip__member *target = gossip__member_find(b.g, "n1");

        size_t count = gossip__member_pick(b.g, 3, fits_live, target, out);

        assert_true(count == 3);
        assert_true(out[0] != out[1] && out[1] != out[2] && out[0] != out[2]);
        for (size_t i = 0; i < 3; i++) {
            assert_true(out[i] != target && out[i] != b.g->self);
            assert_int_equal(out[i]->state, GOSSIP__ALIVE);
        }
    }
    bench_close(&b);
}

/* Its only other hearer is forgotten before it was told: nobody lacks the rumor any more. */
static void a_rumor_that_everybody_left_has_does_not_stay(void **unused)
{
    struct bench b;

    (void)unused;
    members(&b, 2);
    bench_bury(&b, "n2", 10, "n1"); /* it may still hear gossip for a while */
    for (size_t i = 0; i < b.g->list_count; i++) {
        gossip__rumor_forget(b.g, b.g->list[i]);
    }
    (void)gossip__rumor_add(b.g, GOSSIP__QUEUE_INTENT, NULL, MU_SPAN_LIT("a word of n1"),
                            gossip__member_find(b.g, "n1"));
    assert_int_equal(b.g->queues[GOSSIP__QUEUE_INTENT].count, 1);
    gossip__on_force_leave(b.g, "n2", true);
    assert_null(gossip__member_find(b.g, "n2"));
    bench_run(&b, 1500);
    assert_int_equal(b.g->queues[GOSSIP__QUEUE_INTENT].count, 0);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_limit_grows_with_the_logarithm),
        cmocka_unit_test(least_sent_first_then_longest_then_newest),
        cmocka_unit_test(what_does_not_fit_waits_and_smaller_ones_go),
        cmocka_unit_test(the_core_leaves_a_quarter_to_others),
        cmocka_unit_test(news_about_one_member_replace_older_ones),
        cmocka_unit_test(every_peer_is_served_before_anybody_twice),
        cmocka_unit_test(the_dead_are_told_for_free),
        cmocka_unit_test(who_told_us_is_not_told),
        cmocka_unit_test(with_nobody_to_tell_nothing_is_queued_and_nothing_due),
        cmocka_unit_test(news_go_out_within_20_ms_then_every_interval),
        cmocka_unit_test(news_without_end_keep_the_interval),
        cmocka_unit_test(a_queue_has_an_end),
        cmocka_unit_test(picks_are_distinct_and_complete),
        cmocka_unit_test(a_rumor_that_everybody_left_has_does_not_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
