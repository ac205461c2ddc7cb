/* What users see: the table of 13.3, Lamport time, buffered intents, tombstones, reaping. */
#include "fixture.h"

#include <inttypes.h>

#include "base/clock.h"

static struct gossip__member *find(const struct bench *b, const char *name)
{
    return gossip__member_find(b->g, name);
}

/* Bring x to a status; intents up to ltime 20 are spent on it. */
static void to_status(struct bench *b, enum gossip_status status)
{
    bench_member(b, "x", 1, GOSSIP__ALIVE);
    bench_say_intent(b, "x", 20, GOSSIP__PART_JOIN, false);
    switch (status) {
    case GOSSIP_STATUS_NONE:
    case GOSSIP_STATUS_ALIVE: break;
    case GOSSIP_STATUS_LEAVING: bench_say_intent(b, "x", 21, GOSSIP__PART_LEAVE, false); break;
    case GOSSIP_STATUS_LEFT: bench_say_dead(b, "x", 10, "x"); break;
    case GOSSIP_STATUS_FAILED: bench_bury(b, "x", 10, "judge"); break;
    }
    assert_int_equal(find(b, "x")->status, status);
}

enum what { LEAVE, LEAVE_PRUNE, JOIN, CORE_DEAD, CORE_LEFT, CORE_ALIVE, CORE_TAGS };

static void say(struct bench *b, enum what what, uint64_t ltime)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ALIVE };

    switch (what) {
    case LEAVE: bench_say_intent(b, "x", ltime, GOSSIP__PART_LEAVE, false); break;
    case LEAVE_PRUNE: bench_say_intent(b, "x", ltime, GOSSIP__PART_LEAVE, true); break;
    case JOIN: bench_say_intent(b, "x", ltime, GOSSIP__PART_JOIN, false); break;
    case CORE_DEAD: bench_bury(b, "x", 10, "judge"); break;
    case CORE_LEFT: bench_say_dead(b, "x", 10, "x"); break;
    case CORE_ALIVE: bench_say_alive(b, "x", 1, 11); break;
    case CORE_TAGS:
        part.alive = bench_alive("x", 1, 11);
        part.alive.meta = MU_SPAN_LIT("\x01k\x00\x01v");
        bench_packet(b, "teller", 100, part);
        break;
    }
}

static void the_member_machine(void **unused)
{
    static const struct {
        const char *why;
        enum gossip_status before;
        enum what what;
        uint64_t ltime;
        enum gossip_status after; /* NONE: forgotten */
        uint64_t status_ltime;
        const char *notices;
        bool is_passed_on;
    } rows[] = {
        // clang-format off
        { "the detector sees it back",         GOSSIP_STATUS_FAILED,  CORE_ALIVE,  0,  GOSSIP_STATUS_ALIVE,   20, "joined x",          false },
        { "back after it left",                GOSSIP_STATUS_LEFT,    CORE_ALIVE,  0,  GOSSIP_STATUS_ALIVE,   20, "joined x",          false },
        { "other tags",                        GOSSIP_STATUS_ALIVE,   CORE_TAGS,   0,  GOSSIP_STATUS_ALIVE,   20, "updated x",         false },
        { "dead: failed",                      GOSSIP_STATUS_ALIVE,   CORE_DEAD,   0,  GOSSIP_STATUS_FAILED,  20, "failed x",          false },
        { "dead while leaving: it left",       GOSSIP_STATUS_LEAVING, CORE_DEAD,   0,  GOSSIP_STATUS_LEFT,    21, "left x",            false },
        { "said farewell, without an intent",  GOSSIP_STATUS_ALIVE,   CORE_LEFT,   0,  GOSSIP_STATUS_LEFT,    20, "left x",            false },
        { "said farewell",                     GOSSIP_STATUS_LEAVING, CORE_LEFT,   0,  GOSSIP_STATUS_LEFT,    21, "left x",            false },
        { "dead once more",                    GOSSIP_STATUS_FAILED,  CORE_DEAD,   0,  GOSSIP_STATUS_FAILED,  20, "",                  false },
        { "an old intent",                     GOSSIP_STATUS_ALIVE,   LEAVE,       20, GOSSIP_STATUS_ALIVE,   20, "",                  false },
        { "it wants to leave",                 GOSSIP_STATUS_ALIVE,   LEAVE,       22, GOSSIP_STATUS_LEAVING, 22, "",                  true },
        { "forced out",                        GOSSIP_STATUS_FAILED,  LEAVE,       22, GOSSIP_STATUS_LEFT,    22, "left x",            true },
        { "leaving, a newer one",              GOSSIP_STATUS_LEAVING, LEAVE,       22, GOSSIP_STATUS_LEAVING, 22, "",                  true },
        { "left, a newer one",                 GOSSIP_STATUS_LEFT,    LEAVE,       22, GOSSIP_STATUS_LEFT,    22, "",                  true },
        { "a failed one pruned",               GOSSIP_STATUS_FAILED,  LEAVE_PRUNE, 22, GOSSIP_STATUS_NONE,    0,  "left x, reaped x",  true },
        { "a left one pruned",                 GOSSIP_STATUS_LEFT,    LEAVE_PRUNE, 22, GOSSIP_STATUS_NONE,    0,  "reaped x",          true },
        { "an alive one pruned: later",        GOSSIP_STATUS_ALIVE,   LEAVE_PRUNE, 22, GOSSIP_STATUS_LEAVING, 22, "",                  true },
        { "it lives after all",                GOSSIP_STATUS_LEAVING, JOIN,        22, GOSSIP_STATUS_ALIVE,   22, "",                  true },
        { "an old word of that",               GOSSIP_STATUS_LEAVING, JOIN,        21, GOSSIP_STATUS_LEAVING, 21, "",                  false },
        { "joined anew: only the time",        GOSSIP_STATUS_ALIVE,   JOIN,        22, GOSSIP_STATUS_ALIVE,   22, "",                  true },
        { "failed, joined: only the time",     GOSSIP_STATUS_FAILED,  JOIN,        22, GOSSIP_STATUS_FAILED,  22, "",                  true },
    }; // clang-format on

    (void)unused;
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        struct bench b;

        bench_open(&b);
        bench_member(&b, "bystander", 2, GOSSIP__ALIVE);
        to_status(&b, rows[r].before);
        size_t queued = b.g->queues[GOSSIP__QUEUE_INTENT].count;

        say(&b, rows[r].what, rows[r].ltime);
        const struct gossip__member *x = find(&b, "x");
        enum gossip_status status = x != NULL ? x->status : GOSSIP_STATUS_NONE;
        bool passed_on = b.g->queues[GOSSIP__QUEUE_INTENT].count > queued;

        if (status != rows[r].after || (x != NULL && x->status_ltime != rows[r].status_ltime) ||
            strcmp(bench_notices(&b), rows[r].notices) != 0 || passed_on != rows[r].is_passed_on) {
            fail_msg("%s: %s at %llu, notices '%s', passed on %d", rows[r].why,
                     gossip_status_text(status),
                     (unsigned long long)(x != NULL ? x->status_ltime : 0), bench_notices(&b),
                     passed_on);
        }
        queued = b.g->queues[GOSSIP__QUEUE_INTENT].count;
        say(&b, rows[r].what, rows[r].ltime); /* the same again is never new */
        assert_int_equal(b.g->queues[GOSSIP__QUEUE_INTENT].count, queued);
        bench_close(&b);
    }
}

static void we_refuse_to_be_forced_out(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "bystander", 2, GOSSIP__ALIVE);
    bench_say_intent(&b, "us", 50, GOSSIP__PART_LEAVE, false);
    assert_int_equal(b.g->self->status, GOSSIP_STATUS_ALIVE);
    assert_true(b.g->self->status_ltime > 50); /* our own join intent outdates it */
    assert_int_equal(b.g->queues[GOSSIP__QUEUE_INTENT].count, 1);
    bench_say_intent(&b, "us", 50, GOSSIP__PART_LEAVE, false); /* it comes round again */
    assert_int_equal(b.g->queues[GOSSIP__QUEUE_INTENT].count, 1);
    uint64_t said = b.g->self->status_ltime;

    /* Forced out at the very time of our word: who hears that first takes our word for an old one.
     */
    bench_say_intent(&b, "us", said, GOSSIP__PART_LEAVE, false);
    assert_int_equal(b.g->queues[GOSSIP__QUEUE_INTENT].count, 2);
    assert_true(b.g->self->status_ltime > said);
    bench_close(&b);
}

static void lamport_time(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    assert_int_equal(b.g->member_time, 1);
    assert_true(gossip__serf_witness(b.g, 5));
    assert_int_equal(b.g->member_time, 6);
    assert_true(gossip__serf_witness(b.g, 2));
    assert_int_equal(b.g->member_time, 6);
    assert_false(gossip__serf_witness(b.g, 6 + (1ULL << 32) + 1)); /* poisoned */
    assert_int_equal(b.g->member_time, 6);
    assert_int_equal(b.g->counters[GOSSIP_COUNT_TIME_REFUSED], 1);
    assert_true(gossip__serf_witness(b.g, 6 + (1ULL << 32)));
    bench_close(&b);
}

static void intents_wait_for_their_member(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_say_intent(&b, "x", 9, GOSSIP__PART_JOIN, false);
    bench_say_intent(&b, "x", 12, GOSSIP__PART_LEAVE, false);
    bench_say_intent(&b, "x", 11, GOSSIP__PART_JOIN, false); /* lower: ignored */
    bench_say_alive(&b, "x", 1, 10);
    assert_string_equal(bench_notices(&b), "joined x");
    assert_int_equal(find(&b, "x")->status, GOSSIP_STATUS_LEAVING);
    assert_int_equal(find(&b, "x")->status_ltime, 12);
    assert_int_equal(mu_table_count(b.g->buffered), 0);

    bench_say_intent(&b, "y", 9, GOSSIP__PART_JOIN, false);
    bench_run(&b, 5 * 60 * 1000 + 20000);
    assert_int_equal(mu_table_count(b.g->buffered), 0); /* nobody waits for ever */
    bench_close(&b);
}

static void buffered_intents_have_an_end(void **unused)
{
    struct bench b;
    char name[16];

    (void)unused;
    bench_open(&b);
    for (unsigned i = 0; i < 4200; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        bench_say_intent(&b, name, 5, GOSSIP__PART_JOIN, false);
    }
    assert_int_equal(mu_table_count(b.g->buffered), 4096);
    bench_close(&b);
}

static void a_leaving_one_that_stays_is_alive_again(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    to_status(&b, GOSSIP_STATUS_LEAVING);
    struct gossip__member *x = find(&b, "x");

    gossip__serf_probed(b.g, x);
    assert_int_equal(x->status, GOSSIP_STATUS_LEAVING); /* too early to say */
    x->status_ms -= 5000 + 3000 + 6000;
    gossip__serf_probed(b.g, x);
    assert_int_equal(x->status, GOSSIP_STATUS_ALIVE);
    bench_close(&b);
}

/* One that failed is back: what was planned for it must not stand in for what comes later. */
static void memories_end_also_after_somebody_came_back(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_say_alive(&b, "x", 1, 10);
    bench_say_dead(&b, "x", 10, "judge");
    bench_say_alive(&b, "x", 1, 11);
    b.now_ms += 16000; /* looked through once more, while it lives */
    bench_feed(&b, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
    bench_say_intent(&b, "stranger", 20, GOSSIP__PART_LEAVE, false);
    assert_int_equal(mu_table_count(b.g->buffered), 1);
    bench_run(&b, 5 * 60 * 1000 + 20000);
    assert_int_equal(mu_table_count(b.g->buffered), 0);
    bench_close(&b);
}

static void what_is_forgotten_is_remembered_a_while(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    to_status(&b, GOSSIP_STATUS_FAILED);
    bench_say_intent(&b, "x", 25, GOSSIP__PART_LEAVE, true);
    assert_null(find(&b, "x"));
    bench_say_alive(&b, "x", 1, 10); /* a delayed word must not bring it back */
    assert_null(find(&b, "x"));
    assert_int_equal(b.fx.sends_count, 1); /* it is told what is held against it */
    bench_say_intent(&b, "x", 25, GOSSIP__PART_JOIN, false);
    assert_int_equal(mu_table_count(b.g->buffered), 0);
    bench_say_alive(&b, "x", 1, 11); /* it came back itself */
    assert_string_equal(bench_notices(&b), "joined x");
    assert_null(gossip__tombstone_find(b.g, "x"));
    bench_close(&b);
}

static void ages_come_with_tombstones_and_are_never_extended(void **unused)
{
    uint64_t keep = gossip_profile_lan.tombstone_ms;
    struct gossip__tombstone_record r = { "x", 10, 30, 0 };
    struct bench b;

    (void)unused;
    bench_open(&b);
    b.now_ms = 2 * keep;
    bench_feed(&b, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
    r.age_ms = keep - 10;
    gossip__tombstone_learn(b.g, &r);
    const struct gossip__tombstone *t = gossip__tombstone_find(b.g, "x");

    assert_non_null(t);
    assert_int_equal(t->since_ms, b.now_ms - r.age_ms);
    r.age_ms = 5; /* somebody tells it as if it were young */
    gossip__tombstone_learn(b.g, &r);
    assert_int_equal(t->since_ms, b.now_ms - (keep - 10));
    r.node = "y";
    r.age_ms = keep;
    gossip__tombstone_learn(b.g, &r); /* over already */
    assert_null(gossip__tombstone_find(b.g, "y"));
    bench_close(&b);
}

static void a_tombstone_buries_only_who_did_not_return(void **unused)
{
    static const struct {
        const char *why;
        enum gossip_status status;
        uint64_t incarnation, ltime;
        bool is_buried;
    } rows[] = {
        // clang-format off
        { "failed, as the tombstone knows",  GOSSIP_STATUS_FAILED, 10, 30, true },
        { "left",                            GOSSIP_STATUS_LEFT,   10, 30, true },
        { "alive here",                      GOSSIP_STATUS_ALIVE,  10, 30, false },
        { "it has been back since",          GOSSIP_STATUS_FAILED, 9,  30, false },
        { "there is a newer intent",         GOSSIP_STATUS_FAILED, 10, 19, false },
    }; // clang-format on

    (void)unused;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct gossip__tombstone_record r = { "x", rows[i].incarnation, rows[i].ltime, 1 };
        struct bench b;

        bench_open(&b);
        to_status(&b, rows[i].status);
        gossip__tombstone_learn(b.g, &r);
        if ((find(&b, "x") == NULL) != rows[i].is_buried) {
            fail_msg("%s: buried %d", rows[i].why, find(&b, "x") == NULL);
        }
        bench_close(&b);
    }
}

static void members_are_reaped_in_their_time(void **unused)
{
    static const struct {
        const char *why, *meta;
        enum gossip_status status;
        enum gossip_rule rule;
        uint64_t keep_ms;
    } rows[] = {
        // clang-format off
        { "failed: reconnect timeout", "", GOSSIP_STATUS_FAILED, GOSSIP_RULE_FAILED, 72ULL * 3600 * 1000 },
        { "left: tombstone timeout",   "", GOSSIP_STATUS_LEFT,   GOSSIP_RULE_LEFT, 24ULL * 3600 * 1000 },
        { "failed: its own tag",       "\x05rc_tm\x00\x02" "1h", GOSSIP_STATUS_FAILED, GOSSIP_RULE_OWN, 3600 * 1000 },
    }; // clang-format on

    (void)unused;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct gossip__part part = { .kind = GOSSIP__PART_ALIVE };
        size_t bytes = rows[i].meta[0] != '\0' ? 10 : 0;
        struct bench b;

        bench_open(&b);
        part.alive = bench_alive("x", 1, 10);
        part.alive.meta = mu_span_of(rows[i].meta, bytes);
        bench_packet(&b, "teller", 100, part);
        if (rows[i].status == GOSSIP_STATUS_LEFT) {
            bench_say_dead(&b, "x", 10, "x");
        } else {
            bench_bury(&b, "x", 10, "judge");
        }
        uint64_t at = b.now_ms + rows[i].keep_ms;
        struct gossip_forgetting told;

        assert_false(gossip_forgets(b.g, "us", &told));
        assert_false(gossip_forgets(b.g, "nobody", &told));
        if (!gossip_forgets(b.g, "x", &told) || told.rule != rows[i].rule || told.at_ms != at) {
            fail_msg("%s: rule %d at %" PRIu64, rows[i].why, told.rule, told.at_ms);
        }
        b.now_ms = at - 1;
        bench_feed(&b, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
        if (find(&b, "x") == NULL) {
            fail_msg("%s: too early", rows[i].why);
        }
        b.now_ms = at; /* not at the next reap interval */
        bench_feed(&b, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
        if (find(&b, "x") != NULL || strcmp(bench_notices(&b), "reaped x") != 0) {
            fail_msg("%s: still there", rows[i].why);
        }
        bench_close(&b);
    }
}

static void comings_and_goings_are_counted(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    uint64_t joined = b.g->counters[GOSSIP_COUNT_MEMBERS_JOINED]; /* ourselves */

    bench_member(&b, "x", 1, GOSSIP__ALIVE);
    bench_bury(&b, "x", 10, "judge");
    b.now_ms += 59999;
    bench_say_alive(&b, "x", 1, 11); /* it flaps */
    bench_bury(&b, "x", 11, "judge");
    b.now_ms += 60000;
    bench_say_alive(&b, "x", 1, 12); /* that was a failure of its own */
    bench_say_dead(&b, "x", 12, "x");
    assert_int_equal(b.g->counters[GOSSIP_COUNT_MEMBERS_JOINED] - joined, 3);
    assert_int_equal(b.g->counters[GOSSIP_COUNT_MEMBERS_FAILED], 2);
    assert_int_equal(b.g->counters[GOSSIP_COUNT_MEMBERS_FLAPPED], 1);
    assert_int_equal(b.g->counters[GOSSIP_COUNT_MEMBERS_LEFT], 1);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comings_and_goings_are_counted),
        cmocka_unit_test(the_member_machine),
        cmocka_unit_test(we_refuse_to_be_forced_out),
        cmocka_unit_test(lamport_time),
        cmocka_unit_test(intents_wait_for_their_member),
        cmocka_unit_test(buffered_intents_have_an_end),
        cmocka_unit_test(memories_end_also_after_somebody_came_back),
        cmocka_unit_test(a_leaving_one_that_stays_is_alive_again),
        cmocka_unit_test(what_is_forgotten_is_remembered_a_while),
        cmocka_unit_test(ages_come_with_tombstones_and_are_never_extended),
        cmocka_unit_test(a_tombstone_buries_only_who_did_not_return),
        cmocka_unit_test(members_are_reaped_in_their_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
