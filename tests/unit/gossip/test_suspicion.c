/* Deadlines of section 6: the worked values, confirmations, evidence, pauses. */
#include "fixture.h"

/* The reference's own rules are those of this folder when its k is put in. */
static void the_worked_values_of_the_reference(void **unused)
{
    static const struct {
        unsigned alpha, period_ms;
        size_t n;
        unsigned k;
        uint64_t ms[6]; /* for 0, 1, ... k confirmations */
    } rows[] = {
        // clang-format off
        { 4, 1000, 2,     0, { 4000 } },
        { 4, 1000, 3,     0, { 4000 } },
        { 4, 1000, 4,     2, { 24000, 11381, 4000 } },
        { 4, 1000, 10,    2, { 24000, 11381, 4000 } },
        { 4, 1000, 100,   2, { 48000, 22762, 8000 } },
        { 4, 1000, 1000,  2, { 72000, 34144, 12000 } },
        { 4, 1000, 10000, 2, { 96000, 45525, 16000 } },
        { 6, 5000, 5,     0, { 30000 } },
        { 6, 5000, 8,     4, { 180000, 115398, 77609, 50797, 30000 } },
        { 6, 5000, 100,   4, { 360000, 230797, 155218, 101594, 60000 } },
        { 3, 1000, 4,     1, { 18000, 3000 } },
        { 3, 1000, 1000,  1, { 54000, 9000 } },
    }; // clang-format on

    (void)unused;
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        struct gossip_profile p = gossip_profile_lan;

        p.suspicion_mult = rows[r].alpha;
        p.probe_ms = rows[r].period_ms;
        struct gossip__suspicion_terms t =
            gossip__suspicion_terms(&p, rows[r].n, rows[r].n, GOSSIP__SILENT);

        t.wanted = rows[r].k;
        for (unsigned c = 0; c <= rows[r].k; c++) {
            uint64_t ms = gossip__suspicion_timeout(&t, c);

            if (ms / 10 != rows[r].ms[c] / 10) { /* the table has two digits */
                fail_msg("alpha %u, n %zu, c %u: %llu ms, not %llu", rows[r].alpha, rows[r].n, c,
                         (unsigned long long)ms, (unsigned long long)rows[r].ms[c]);
            }
        }
    }
}

static void our_terms_by_evidence_and_size(void **unused)
{
    static const struct {
        const char *why;
        size_t listed, alive;
        enum gossip__evidence evidence;
        uint64_t min_ms;
        unsigned wanted;
    } rows[] = {
        // clang-format off
        { "three, one suspected",            3,    2,  GOSSIP__SILENT,  1000, 0 },
        { "four, one suspected",             4,    3,  GOSSIP__SILENT,  1000, 1 },
        { "four, two suspected",             4,    2,  GOSSIP__SILENT,  1000, 0 },
        { "five",                            5,    4,  GOSSIP__SILENT,  1000, 2 },
        { "a hundred, silent",               100,  99, GOSSIP__SILENT,  2000, 2 },
        { "a hundred, refused: any n",       100,  99, GOSSIP__REFUSED, 1000, 2 },
        { "three, stalled: four times",      3,    2,  GOSSIP__STALLED, 4000, 0 },
        { "a hundred, stalled",              100,  99, GOSSIP__STALLED, 8000, 2 },
        { "alone with the suspect",          2,    1,  GOSSIP__SILENT,  1000, 0 },
    }; // clang-format on

    (void)unused;
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        struct gossip__suspicion_terms t = gossip__suspicion_terms(
            &gossip_profile_lan, rows[r].listed, rows[r].alive, rows[r].evidence);

        if (t.min_ms != rows[r].min_ms || t.wanted != rows[r].wanted ||
            t.max_ms != 6 * rows[r].min_ms) {
            fail_msg("%s: min %llu, max %llu, k %u", rows[r].why, (unsigned long long)t.min_ms,
                     (unsigned long long)t.max_ms, t.wanted);
        }
    }
}

static void who_stands_still_has_time_in_every_profile(void **unused)
{
    static const struct {
        const struct gossip_profile *profile;
        uint64_t reference_ms, min_ms;
    } rows[] = { { &gossip_profile_lan, 4000, 4000 },
                 { &gossip_profile_wan, 30000, 30000 },
                 { &gossip_profile_local, 3000, 6000 } };

    (void)unused;
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        struct gossip__suspicion_terms t =
            gossip__suspicion_terms(rows[r].profile, 3, 2, GOSSIP__STALLED);

        assert_int_equal(t.min_ms, rows[r].min_ms);
        assert_true(t.min_ms >= rows[r].reference_ms);
    }
}

static void min_is_never_under_two_periods(void **unused)
{
    struct gossip_profile p = gossip_profile_lan;

    (void)unused;
    p.suspicion_mult = 1;
    assert_int_equal(gossip__suspicion_terms(&p, 3, 2, GOSSIP__SILENT).min_ms, 2 * p.probe_ms);
}

static void six_members(struct bench *b)
{
    bench_open(b);
    bench_member(b, "x", 1, GOSSIP__ALIVE);
    bench_member(b, "b", 2, GOSSIP__ALIVE);
    bench_member(b, "c", 3, GOSSIP__ALIVE);
    bench_member(b, "d", 4, GOSSIP__ALIVE);
    bench_member(b, "e", 5, GOSSIP__ALIVE);
}

/* So many that a suspicion is the more patient for it, and that few failed probes change nothing.
 */
static void many_members(struct bench *b)
{
    bench_open(b);
    for (unsigned i = 1; i <= 30; i++) {
        char name[8];

        (void)snprintf(name, sizeof name, "m%u", i);
        bench_member(b, name, i, GOSSIP__ALIVE);
    }
}

static void only_distinct_accusers_count(void **unused)
{
    struct bench b;

    (void)unused;
    six_members(&b);
    struct gossip__member *x = gossip__member_find(b.g, "x");

    bench_say_suspect(&b, "x", 10, "b", GOSSIP__SILENT);
    uint64_t alone = x->dealings->suspicion->deadline_ms - b.now_ms;

    assert_int_equal(alone, 6000);
    gossip__rumor_forget(b.g, x);
    bench_say_suspect(&b, "x", 10, "b", GOSSIP__SILENT); /* the same one again */
    assert_int_equal(x->dealings->suspicion->accusers_count, 1);
    assert_null(gossip__dealings(x)->rumor);
    bench_say_suspect(&b, "x", 10, "c", GOSSIP__SILENT);
    assert_int_equal(x->dealings->suspicion->accusers_count, 2);
    assert_non_null(gossip__dealings(x)->rumor); /* independent: passed on */
    assert_true(x->dealings->suspicion->deadline_ms - b.now_ms < alone);
    bench_say_suspect(&b, "x", 10, "d", GOSSIP__SILENT);
    assert_int_equal(x->dealings->suspicion->deadline_ms - b.now_ms, 1000);
    gossip__rumor_forget(b.g, x);
    bench_say_suspect(&b, "x", 10, "e", GOSSIP__SILENT); /* enough: dropped */
    assert_null(gossip__dealings(x)->rumor);
    assert_int_equal(b.g->counters[GOSSIP_COUNT_SUSPICIONS_CONFIRMED], 2);
    bench_close(&b);
}

/* Stalled outweighs everything; and a refusal silence, whoever comes first. */
static void the_weightiest_evidence_counts(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "x", 1, GOSSIP__ALIVE);
    bench_member(&b, "b", 2, GOSSIP__ALIVE);
    struct gossip__member *x = gossip__member_find(b.g, "x");

    bench_say_suspect(&b, "x", 10, "b", GOSSIP__REFUSED);
    assert_int_equal(x->dealings->suspicion->deadline_ms - b.now_ms, 1000);
    bench_say_suspect(&b, "x", 10, "c", GOSSIP__STALLED);
    assert_int_equal(x->dealings->suspicion->deadline_ms - b.now_ms, 4000);
    bench_say_suspect(&b, "x", 10, "d", GOSSIP__REFUSED);
    assert_int_equal(x->dealings->suspicion->deadline_ms - b.now_ms, 4000);
    bench_close(&b);

    many_members(&b);
    x = gossip__member_find(b.g, "m1");
    bench_say_suspect(&b, "m1", 10, "m3", GOSSIP__SILENT);
    uint64_t silent_ms = x->dealings->suspicion->prompt_ms - b.now_ms;

    bench_say_suspect(&b, "m1", 10, "m4", GOSSIP__REFUSED);
    assert_true(silent_ms > 1000);
    assert_int_equal(x->dealings->suspicion->prompt_ms - b.now_ms, 1000);
    bench_say_suspect(&b, "m1", 10, "m5", GOSSIP__SILENT);
    assert_int_equal(x->dealings->suspicion->deadline_ms - b.now_ms, 1000);
    bench_close(&b);
}

/* Only the member itself raises its number: what it was accused of before, it has denied. */
static void one_accused_at_a_higher_number_is_accused_anew(void **unused)
{
    struct bench b;

    (void)unused;
    many_members(&b);
    struct gossip__member *x = gossip__member_find(b.g, "m1");

    bench_say_suspect(&b, "m1", 10, "m3", GOSSIP__STALLED);
    bench_say_suspect(&b, "m1", 10, "m4", GOSSIP__STALLED);
    uint64_t old_ms = x->dealings->suspicion->deadline_ms;

    bench_run(&b, 1000);
    bench_say_suspect(&b, "m1", 11, "m5", GOSSIP__SILENT);
    const struct gossip__suspicion *s = x->dealings->suspicion;

    assert_int_equal(x->state, GOSSIP__SUSPECT);
    assert_int_equal(x->incarnation, 11);
    assert_int_equal(s->since_ms, b.now_ms);
    assert_int_equal(s->accusers_count, 1);
    assert_int_equal(s->evidence, GOSSIP__SILENT);
    assert_true(s->deadline_ms > b.now_ms && s->deadline_ms != old_ms);
    assert_int_equal(b.g->counters[GOSSIP_COUNT_SUSPICIONS_REFUTED], 1);
    assert_non_null(gossip__dealings(x)->rumor); /* news: passed on */
    bench_close(&b);
}

/* From when it would be over, had all joined in: one of them in an interval, in turn. */
static void suspects_are_called_upon_in_turn(void **unused)
{
    struct bench b;

    (void)unused;
    many_members(&b);
    bench_say_suspect(&b, "m1", 10, "m3", GOSSIP__SILENT);
    bench_say_suspect(&b, "m2", 10, "m3", GOSSIP__SILENT);
    const struct gossip__suspicion *x = gossip__member_find(b.g, "m1")->dealings->suspicion;
    const struct gossip__suspicion *y = gossip__member_find(b.g, "m2")->dealings->suspicion;
    uint64_t prompt_ms = x->prompt_ms;

    assert_true(prompt_ms + 2000 < x->deadline_ms);
    bench_run(&b, prompt_ms - 1 - b.now_ms);
    assert_int_equal(x->called_ms + y->called_ms, 0);
    bench_run(&b, 1);
    assert_int_equal(x->called_ms, prompt_ms);
    assert_int_equal(y->called_ms, 0);
    bench_run(&b, gossip_profile_lan.probe_ms);
    assert_int_equal(x->called_ms, prompt_ms);
    assert_int_equal(y->called_ms, prompt_ms + gossip_profile_lan.probe_ms);
    bench_close(&b);
}

static void fewer_alive_need_fewer_confirmations(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "x", 1, GOSSIP__ALIVE);
    bench_member(&b, "y", 2, GOSSIP__ALIVE);
    bench_member(&b, "z", 3, GOSSIP__ALIVE);
    struct gossip__member *x = gossip__member_find(b.g, "x");

    bench_say_suspect(&b, "x", 10, "z", GOSSIP__SILENT);
    assert_int_equal(x->dealings->suspicion->deadline_ms - b.now_ms, 6000);
    bench_say_suspect(&b, "y", 10, "z", GOSSIP__SILENT); /* two of four: nobody left to confirm */
    assert_int_equal(x->dealings->suspicion->deadline_ms - b.now_ms, 1000);
    bench_close(&b);
}

static void a_pause_of_ours_postpones_what_it_hides(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "x", 1, GOSSIP__ALIVE);
    struct gossip__member *x = gossip__member_find(b.g, "x");

    bench_say_suspect(&b, "x", 10, "b", GOSSIP__SILENT);
    uint64_t deadline = x->dealings->suspicion->deadline_ms;
    uint64_t wake = b.fx.wake_at_ms;

    b.now_ms = deadline + 3000; /* we did not run */
    bench_feed(&b, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
    assert_int_equal(x->state, GOSSIP__SUSPECT);
    assert_int_equal(x->dealings->suspicion->deadline_ms, deadline + (b.now_ms - wake));
    assert_int_equal(b.g->counters[GOSSIP_COUNT_PAUSES], 1);
    assert_int_equal(b.g->health, 7);
    bench_close(&b);
}

static void say_nothing_new(struct bench *b, const char *from, unsigned host)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ALIVE };

    part.alive = bench_alive(from, host, 10);
    bench_packet(b, from, host, part);
}

/* Until the deadline that is set now. */
static void run_to_the_end(struct bench *b, const struct gossip__member *m)
{
    bench_run(b, m->dealings->suspicion->deadline_ms - b->now_ms);
}

static void who_hears_nobody_is_more_patient(void **unused)
{
    struct bench b;

    (void)unused;
    six_members(&b);
    struct gossip__member *x = gossip__member_find(b.g, "x");

    bench_say_suspect(&b, "x", 10, "b", GOSSIP__SILENT);
    uint64_t began = b.now_ms;

    run_to_the_end(&b, x);
    assert_int_equal(b.now_ms - began, 6000);
    assert_int_equal(x->state, GOSSIP__SUSPECT);
    assert_int_equal(x->dealings->suspicion->deadline_ms - began, 24000);
    run_to_the_end(&b, x); /* but it has an end: they may all be dead */
    assert_int_equal(x->state, GOSSIP__DEAD);
    bench_close(&b);
}

static void an_error_of_a_datagram_is_no_word(void **unused)
{
    struct gossip_event failed = { .kind = GOSSIP_EV_SEND_FAILED };
    struct bench b;

    (void)unused;
    six_members(&b);
    struct gossip__member *x = gossip__member_find(b.g, "x");

    bench_say_suspect(&b, "x", 10, "b", GOSSIP__SILENT);
    uint64_t deadline = x->dealings->suspicion->deadline_ms;

    failed.failed.to = bench_addr(1);
    failed.failed.is_remote = true;
    bench_run(&b, deadline - b.now_ms - 500);
    bench_feed(&b, failed);
    bench_run(&b, 500);
    assert_int_equal(x->state, GOSSIP__SUSPECT);
    assert_int_equal(x->dealings->suspicion->postponed_ms, 0);
    assert_true(x->dealings->suspicion->is_unheard);
    bench_close(&b);
}

static void who_hears_somebody_is_as_patient_as_ever(void **unused)
{
    struct bench b;

    (void)unused;
    six_members(&b);
    struct gossip__member *x = gossip__member_find(b.g, "x");

    bench_say_suspect(&b, "x", 10, "b", GOSSIP__SILENT);
    uint64_t deadline = x->dealings->suspicion->deadline_ms;

    while (b.now_ms < deadline) {
        say_nothing_new(&b, "b", 2);
        bench_run(&b, 500);
    }
    assert_int_equal(x->state, GOSSIP__DEAD);
    bench_close(&b);
}

static void time_of_silence_does_not_count(void **unused)
{
    struct bench b;

    (void)unused;
    six_members(&b);
    struct gossip__member *x = gossip__member_find(b.g, "x");
    struct gossip__member *c = gossip__member_find(b.g, "c");

    bench_say_suspect(&b, "x", 10, "b", GOSSIP__SILENT);
    bench_run(&b, 3000);
    bench_say_suspect(&b, "c", 10, "b", GOSSIP__SILENT);
    bench_run(&b, 2500);
    say_nothing_new(&b, "d", 4); /* the first word of anybody since before either */
    assert_int_equal(x->dealings->suspicion->postponed_ms, 5500);
    assert_int_equal(c->dealings->suspicion->postponed_ms, 2500);
    assert_true(x->dealings->suspicion->deadline_ms >=
                b.now_ms + 1000); /* all may confirm it now */
    say_nothing_new(&b, "d", 4);
    assert_int_equal(x->dealings->suspicion->postponed_ms, 5500);
    bench_close(&b);
}

static void at_its_end_the_member_is_dead_unless_it_spoke_up(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "x", 1, GOSSIP__ALIVE);
    bench_say_suspect(&b, "x", 10, "b", GOSSIP__SILENT);
    struct gossip__member *x = gossip__member_find(b.g, "x");
    uint64_t deadline = x->dealings->suspicion->deadline_ms;

    bench_run(&b, deadline - b.now_ms - 125); /* called upon by then, with the accusation */
    assert_true(x->dealings->suspicion->called_ms > 0);
    bench_say_alive(&b, "x", 1, 11);
    assert_int_equal(x->state, GOSSIP__ALIVE);
    assert_int_equal(b.g->counters[GOSSIP_COUNT_SUSPICIONS_REFUTED], 1);

    bench_say_suspect(&b, "x", 11, "b", GOSSIP__SILENT);
    while (x->state == GOSSIP__SUSPECT) {
        bench_run(&b, 1);
    }
    assert_int_equal(x->state, GOSSIP__DEAD);
    assert_non_null(strstr(mu_buf_text(&b.log), "memberlist: Marking x as failed, suspect timeout "
                                                "reached (0 peer confirmations)"));
    bench_close(&b);
}

static void accuser_add(void *data, const struct gossip_accuser *a)
{
    char *text = data;

    (void)snprintf(text + strlen(text), 1024 - strlen(text), "%s %u/%u/%u, ", a->name,
                   (unsigned)a->started, (unsigned)a->confirmed, (unsigned)a->refuted);
}

static void who_accuses_is_counted_by_name(void **unused)
{
    char text[1024] = "";
    char name[16];
    struct bench b;

    (void)unused;
    bench_open(&b);
    for (unsigned i = 1; i <= 5; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        bench_member(&b, name, i, GOSSIP__ALIVE);
    }
    gossip_each_accuser(b.g, accuser_add, text);
    assert_string_equal(text, "");
    bench_say_suspect(&b, "n1", 10, "n2", GOSSIP__SILENT);
    bench_say_suspect(&b, "n1", 10, "n3", GOSSIP__SILENT);
    bench_say_suspect(&b, "n1", 10, "n3", GOSSIP__SILENT); /* not twice */
    bench_say_alive(&b, "n1", 1, 11);
    bench_say_suspect(&b, "n4", 10, "n2", GOSSIP__SILENT);
    bench_say_dead(&b, "n4", 10, "n2"); /* it was true */
    gossip_each_accuser(b.g, accuser_add, text);
    assert_string_equal(text, "n2 2/0/1, n3 0/1/1, ");

    for (unsigned i = 0; i < 20; i++) { /* more than have a row each */
        (void)snprintf(name, sizeof name, "x%u", i);
        bench_say_suspect(&b, "n5", 10 + i, name, GOSSIP__SILENT);
        bench_say_alive(&b, "n5", 5, 11 + i);
    }
    text[0] = '\0';
    gossip_each_accuser(b.g, accuser_add, text);
    assert_non_null(strstr(text, "x13 1/0/1, others 6/0/6, "));
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_values_of_the_reference),
        cmocka_unit_test(our_terms_by_evidence_and_size),
        cmocka_unit_test(who_stands_still_has_time_in_every_profile),
        cmocka_unit_test(min_is_never_under_two_periods),
        cmocka_unit_test(only_distinct_accusers_count),
        cmocka_unit_test(the_weightiest_evidence_counts),
        cmocka_unit_test(one_accused_at_a_higher_number_is_accused_anew),
        cmocka_unit_test(suspects_are_called_upon_in_turn),
        cmocka_unit_test(fewer_alive_need_fewer_confirmations),
        cmocka_unit_test(a_pause_of_ours_postpones_what_it_hides),
        cmocka_unit_test(who_hears_nobody_is_more_patient),
        cmocka_unit_test(an_error_of_a_datagram_is_no_word),
        cmocka_unit_test(who_hears_somebody_is_as_patient_as_ever),
        cmocka_unit_test(time_of_silence_does_not_count),
        cmocka_unit_test(at_its_end_the_member_is_dead_unless_it_spoke_up),
        cmocka_unit_test(who_accuses_is_counted_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
