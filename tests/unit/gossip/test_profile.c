/* Other times for a node that runs (2.1): what is checked, and what changes at once. */
#include "fixture.h"

#define HOUR_MS (3600ULL * 1000)

static void profiles_are_checked(void **unused)
{
    static const struct {
        const char *why;
        size_t offset;
        uint32_t value;
        enum mu_code code;
    } rows[] = {
        // clang-format off
        { "no probes",             offsetof(struct gossip_profile, probe_ms),           0,   MU_INVALID },
        { "no probe timeout",      offsetof(struct gossip_profile, probe_timeout_ms),   0,   MU_INVALID },
        { "no gossip",             offsetof(struct gossip_profile, gossip_ms),          0,   MU_INVALID },
        { "no stream timeout",     offsetof(struct gossip_profile, stream_ms),          0,   MU_INVALID },
        { "timeout = interval",    offsetof(struct gossip_profile, probe_timeout_ms),   500, MU_INVALID },
        { "timeout < interval",    offsetof(struct gossip_profile, probe_timeout_ms),   499, MU_OK },
        { "S of 0",                offsetof(struct gossip_profile, awareness_max),      0,   MU_INVALID },
        { "S of 1",                offsetof(struct gossip_profile, awareness_max),      1,   MU_OK },
        { "no patience",           offsetof(struct gossip_profile, suspicion_mult),     0,   MU_INVALID },
        { "none with who stands still", offsetof(struct gossip_profile, stalled_mult),  0,   MU_INVALID },
        { "no patience at first",  offsetof(struct gossip_profile, suspicion_max_mult), 0,   MU_INVALID },
        { "nothing is repeated",   offsetof(struct gossip_profile, retransmit_mult),    0,   MU_INVALID },
        { "datagrams too small",   offsetof(struct gossip_profile, packet_bytes),       1023, MU_INVALID },
        { "datagrams too large",   offsetof(struct gossip_profile, packet_bytes),       1401, MU_INVALID },
        { "gossip to nobody",      offsetof(struct gossip_profile, gossip_nodes),       0,   MU_INVALID },
        { "no helpers",            offsetof(struct gossip_profile, indirect_checks),    0,   MU_OK },
        { "push/pull at joins",    offsetof(struct gossip_profile, push_pull_ms),       0,   MU_OK },
        { "no reconnects",         offsetof(struct gossip_profile, reconnect_ms),       0,   MU_OK },
    }; // clang-format on

    (void)unused;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct gossip_profile p = gossip_profile_lan;
        struct mu_err err = MU_ERR_NONE;

        memcpy((uint8_t *)&p + rows[i].offset, &rows[i].value, sizeof rows[i].value);
        if (gossip_profile_check(&p, &err) != rows[i].code) {
            fail_msg("%s: %s", rows[i].why, err.text);
        }
    }
    for (size_t i = 0; i < 3; i++) {
        const struct gossip_profile *all[] = { &gossip_profile_lan, &gossip_profile_wan,
                                               &gossip_profile_local };

        assert_int_equal(gossip_profile_check(all[i], NULL), MU_OK);
    }
}

static void give(struct bench *b, const struct gossip_profile *profile)
{
    bench_feed(b, (struct gossip_event){ .kind = GOSSIP_EV_PROFILE, .profile = *profile });
}

static uint64_t probes_in(struct bench *b, uint64_t ms)
{
    uint64_t before = b->g->counters[GOSSIP_COUNT_PROBES];

    bench_run(b, ms);
    return b->g->counters[GOSSIP_COUNT_PROBES] - before;
}

static void the_next_period_is_one_of_the_new_profile(void **unused)
{
    struct gossip_profile slow = gossip_profile_lan;
    struct bench b;

    (void)unused;
    slow.probe_ms = HOUR_MS;
    slow.suspicion_mult = 64;
    bench_open(&b);
    bench_member(&b, "x", 1, GOSSIP__ALIVE);
    give(&b, &slow);
    bench_run(&b, 1000); /* a probe that had begun ends as it began */
    assert_true(probes_in(&b, 10000) <= 1);
    give(&b, &gossip_profile_lan); /* not only when the hour is over */
    assert_true(probes_in(&b, 2000) >= 1);
    bench_close(&b);
}

static void a_suspect_gets_the_whole_new_time(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "x", 1, GOSSIP__ALIVE);
    give(&b, &gossip_profile_wan);
    bench_say_suspect(&b, "x", 10, "judge", GOSSIP__SILENT);
    struct gossip__member *x = gossip__member_find(b.g, "x");
    uint64_t patient = x->dealings->suspicion->deadline_ms - b.now_ms;

    b.now_ms += 20000; /* longer than the other profile would have waited */
    give(&b, &gossip_profile_local);
    assert_int_equal(x->state, GOSSIP__SUSPECT);
    uint64_t brief = x->dealings->suspicion->deadline_ms - b.now_ms;

    assert_true(brief >= 2000 && brief < patient);
    bench_run(&b, brief + 1);
    assert_int_equal(x->state, GOSSIP__DEAD);
    bench_close(&b);
}

static void who_is_gone_is_forgotten_by_the_new_time(void **unused)
{
    struct gossip_profile p = gossip_profile_lan;
    struct gossip_forgetting told;
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "x", 1, GOSSIP__ALIVE);
    bench_bury(&b, "x", 10, "judge");
    uint64_t failed_ms = b.now_ms;

    bench_run(&b, 60000);
    p.reconnect_timeout_ms = 70000;
    give(&b, &p);
    assert_true(gossip_forgets(b.g, "x", &told));
    assert_int_equal(told.at_ms, failed_ms + 70000);
    bench_run(&b, 9999);
    assert_non_null(gossip__member_find(b.g, "x"));
    bench_run(&b, 2);
    assert_null(gossip__member_find(b.g, "x"));
    bench_close(&b);
}

static void plans_and_scores_fit_the_new_profile(void **unused)
{
    struct gossip_profile p = gossip_profile_lan;
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "x", 1, GOSSIP__ALIVE);
    bench_member(&b, "y", 2, GOSSIP__ALIVE);
    bench_bury(&b, "y", 10, "judge");
    gossip__health_add(b.g, 7);
    assert_true(b.g->sync_at_ms != GOSSIP__NEVER && b.g->reconnect_at_ms != GOSSIP__NEVER);
    p.awareness_max = 3;
    p.push_pull_ms = 0;
    p.reconnect_ms = 0;
    give(&b, &p);
    assert_int_equal(b.g->health, 2);
    assert_int_equal(b.g->sync_at_ms, GOSSIP__NEVER);
    assert_int_equal(b.g->reconnect_at_ms, GOSSIP__NEVER);
    give(&b, &gossip_profile_lan);
    assert_true(b.g->sync_at_ms <= b.now_ms + 33001);
    assert_true(b.g->reconnect_at_ms <= b.now_ms + 45000);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(profiles_are_checked),
        cmocka_unit_test(the_next_period_is_one_of_the_new_profile),
        cmocka_unit_test(a_suspect_gets_the_whole_new_time),
        cmocka_unit_test(who_is_gone_is_forgotten_by_the_new_time),
        cmocka_unit_test(plans_and_scores_fit_the_new_profile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
