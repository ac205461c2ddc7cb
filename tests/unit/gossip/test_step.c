/* The core as a whole: what it refuses at birth, when it wants to be woken, that it repeats itself.
 */
#include "fixture.h"

static void what_a_core_refuses(void **unused)
{
    static char big[MU_GOSSIP_META_MAX];
    struct mu_pair pair = { MU_SPAN_LIT("k"), { (const uint8_t *)big, sizeof big } };
    static const struct mu_addr any = { { 0 }, 4, 7946 };
    struct bench b;
    static char long_name[MU_NODE_NAME_MAX + 2];

    (void)unused;
    memset(&b, 0, sizeof b);
    memset(long_name, 'n', sizeof long_name - 1);
    memset(big, 'v', sizeof big);
    struct gossip_options good = bench_options(&b);
    struct {
        const char *why, *text;
        struct gossip_options options;
        enum mu_code code;
    } rows[] = {
        { "no name", "node name ''", good, MU_INVALID },
        { "a long name", "node name", good, MU_INVALID },
        { "an address for nobody", "address", good, MU_INVALID },
        { "no port", "address", good, MU_INVALID },
        { "tags", "Encoded length of tags exceeds limit of 512 bytes", good, MU_TOO_BIG },
        { "incarnation", "incarnation 0", good, MU_INVALID },
        { "slow probes", "probe timeout (500 ms) must be below the interval (500 ms)", good,
          MU_INVALID },
        { "no probes", "must not be 0", good, MU_INVALID },
        { "no health", "must not be 0", good, MU_INVALID },
    };

    rows[0].options.name = "";
    rows[1].options.name = long_name;
    rows[2].options.advertise = any;
    rows[3].options.advertise.port = 0;
    rows[4].options.tags = (struct mu_pairs){ &pair, 1 };
    rows[5].options.incarnation = 0;
    rows[6].options.profile.probe_timeout_ms = 500;
    rows[7].options.profile.probe_ms = 0;
    rows[8].options.profile.awareness_max = 0;
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        struct mu_err err = MU_ERR_NONE;
        struct gossip *g = NULL;

        if (gossip_new(&g, &rows[r].options, &err) != rows[r].code || g != NULL ||
            strstr(err.text, rows[r].text) == NULL) {
            fail_msg("%s: '%s'", rows[r].why, err.text);
        }
    }
}

static void the_profiles_are_valid(void **unused)
{
    const struct gossip_profile *all[] = { &gossip_profile_lan, &gossip_profile_wan,
                                           &gossip_profile_local };

    (void)unused;
    for (size_t i = 0; i < MU_LEN(all); i++) {
        struct bench b;

        memset(&b, 0, sizeof b);
        struct gossip_options options = bench_options(&b);

        options.profile = *all[i];
        bench_open_with(&b, &options);
        bench_close(&b);
    }
    assert_int_equal(gossip_profile_lan.probe_ms, 500); /* muster's own */
    assert_int_equal(gossip_profile_lan.suspicion_mult, 2);
    assert_int_equal(gossip_profile_wan.probe_ms, 5000);
}

static void it_begins_with_itself(void **unused)
{
    struct gossip_summary s;
    struct gossip_view view;
    struct bench b;

    (void)unused;
    bench_open(&b);
    assert_string_equal(bench_notices(&b), "joined us");
    assert_true(b.fx.notices[0].member.is_self);
    assert_non_null(strstr(mu_buf_text(&b.log), "serf: EventMemberJoin: us 10.0.0.200"));
    gossip_summarize(b.g, &s);
    assert_int_equal(s.members, 1);
    assert_int_equal(s.alive, 1);
    assert_int_equal(s.incarnation, OWN);
    assert_true(gossip_find(b.g, "us", &view));
    assert_int_equal(view.status, GOSSIP_STATUS_ALIVE);
    assert_false(gossip_find(b.g, "them", &view));
    bench_close(&b);
}

static void new_tags_are_told_and_equal_ones_are_not(void **unused)
{
    struct mu_pair pair = { MU_SPAN_LIT("k"), MU_SPAN_LIT("v") };
    struct gossip_event ev = { .kind = GOSSIP_EV_TAGS };
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "x", 1, GOSSIP__ALIVE);
    ev.tags = (struct mu_pairs){ &pair, 1 };
    bench_feed(&b, ev);
    assert_string_equal(bench_notices(&b), "updated us");
    assert_int_equal(b.fx.incarnation, OWN + 1);
    assert_non_null(gossip__dealings(b.g->self)->rumor);
    bench_feed(&b, ev);
    assert_string_equal(bench_notices(&b), "");
    assert_int_equal(b.fx.incarnation, OWN + 1);
    bench_close(&b);
}

static void leave_twice_and_join_afterwards(void **unused)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_LEAVE };
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "x", 1, GOSSIP__ALIVE);
    ev.leave.id = 1;
    bench_feed(&b, ev);
    assert_int_equal(b.g->self->status, GOSSIP_STATUS_LEFT);
    ev.leave.id = 2;
    bench_feed(&b, ev);
    assert_int_equal(b.fx.dones[0].id, 2);
    assert_string_equal(b.fx.dones[0].why, "Leave already in progress");
    ev = (struct gossip_event){ .kind = GOSSIP_EV_JOIN };
    ev.join.id = 3;
    bench_feed(&b, ev);
    assert_string_equal(b.fx.dones[0].why, "Serf can't Join after Leave or Shutdown");
    bench_say_suspect(&b, "us", OWN, "x", GOSSIP__SILENT);
    assert_int_equal(b.g->self->incarnation, OWN); /* who left does not argue */
    unsigned answers = 0;

    while (answers == 0) { /* nobody confirms: until the time for that is over */
        bench_run(&b, 1);
        answers += (unsigned)b.fx.dones_count;
        assert_true(b.now_ms < 60000);
    }
    assert_int_equal(b.fx.dones[0].id, 1);
    bench_close(&b);
}

static uint64_t digest_of_a_run(uint64_t seed)
{
    uint64_t h = seed;
    struct bench b;

    memset(&b, 0, sizeof b);
    struct gossip_options options = bench_options(&b);

    options.seed = seed;
    bench_open_with(&b, &options);
    for (unsigned i = 1; i < 9; i++) {
        char name[8];

        (void)snprintf(name, sizeof name, "n%u", i);
        bench_say_alive(&b, name, i, 10);
    }
    for (unsigned i = 0; i < 5000; i++) {
        bench_run(&b, 1);
        for (size_t j = 0; j < b.fx.sends_count; j++) {
            for (size_t k = 0; k < b.fx.sends[j].data.bytes; k++) {
                h = (h ^ b.fx.sends[j].data.data[k]) * 0x100000001b3ULL;
            }
        }
    }
    bench_close(&b);
    return h;
}

static void the_same_events_and_seed_give_the_same_effects(void **unused)
{
    (void)unused;
    assert_true(digest_of_a_run(1) == digest_of_a_run(1));
    assert_true(digest_of_a_run(1) != digest_of_a_run(2));
}

static void counters_have_names(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < GOSSIP_COUNTERS_COUNT; i++) {
        assert_string_not_equal(gossip_counter_text((enum gossip_counter)i), "unknown");
    }
    assert_string_equal(gossip_counter_text(GOSSIP_COUNT_PACKETS_IN), "packets.in");
    assert_string_equal(gossip_status_text(GOSSIP_STATUS_LEAVING), "leaving");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_core_refuses),
        cmocka_unit_test(the_profiles_are_valid),
        cmocka_unit_test(it_begins_with_itself),
        cmocka_unit_test(new_tags_are_told_and_equal_ones_are_not),
        cmocka_unit_test(leave_twice_and_join_afterwards),
        cmocka_unit_test(the_same_events_and_seed_give_the_same_effects),
        cmocka_unit_test(counters_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
