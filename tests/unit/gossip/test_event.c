/* User events and queries in one core: sizes, duplicates, bounds. */
#include "fixture.h"

static void say_event(struct bench *b, uint64_t ltime, const char *name, const char *payload)
{
    struct gossip__part part = { .kind = GOSSIP__PART_EVENT };

    part.event = (struct gossip__user_event){ .ltime = ltime,
                                              .name = name,
                                              .payload = mu_span_text(payload) };
    bench_packet(b, "teller", 100, part);
}

static void say_query(struct bench *b, uint64_t ltime, uint32_t id)
{
    struct gossip__part part = { .kind = GOSSIP__PART_QUERY };

    part.query = (struct gossip__query){ .ltime = ltime,
                                         .id = id,
                                         .origin = bench_addr(100),
                                         .origin_node = "teller",
                                         .timeout_ms = 1000,
                                         .name = "load" };
    bench_packet(b, "teller", 100, part);
}

static void an_event_is_delivered_once(void **unused)
{
    static const struct {
        uint64_t ltime;
        const char *name, *payload;
        bool is_new;
    } rows[] = {
        // clang-format off
        { 5, "a", "x", true },  { 5, "a", "x", false },
        { 5, "a", "y", true },  { 5, "b", "x", true },   /* others of the same time */
        { 5, "ax", "", true },  { 5, "a", "x", false },  /* name and payload are told apart */
        { 4, "a", "x", true },                           /* late, but not too late */
        { 600, "a", "x", true },
        { 88, "a", "x", false },                         /* 601 - 512 is the oldest that counts */
        { 89, "a", "x", true },
        { 600 + 512, "a", "x", true }, { 600, "a", "x", true },  /* its slot was taken over; the
                                                                  * edge is a time wide */
        { 1ULL << 40, "a", "x", false },                 /* a poisoned clock */
    }; // clang-format on
    struct bench b;

    (void)unused;
    bench_open(&b);
    for (size_t i = 0; i < MU_LEN(rows) - 2; i++) {
        say_event(&b, rows[i].ltime, rows[i].name, rows[i].payload);
        if (b.fx.events_count != rows[i].is_new) {
            fail_msg("row %zu: delivered %zu times", i, b.fx.events_count);
        }
    }
    say_event(&b, 1ULL << 40, "a", "x");
    assert_int_equal(b.fx.events_count, 0);
    assert_int_equal(b.g->counters[GOSSIP_COUNT_TIME_REFUSED], 1);
    bench_close(&b);
}

static void events_of_one_time_are_bounded(void **unused)
{
    struct bench b;
    char payload[16];

    (void)unused;
    bench_open(&b);
    for (unsigned i = 0; i < 100; i++) {
        (void)snprintf(payload, sizeof payload, "%u", i);
        say_event(&b, 5, "flood", payload);
        assert_int_equal(b.fx.events_count, i < 64);
    }
    assert_int_equal(b.g->counters[GOSSIP_COUNT_EVENTS_DROPPED], 36);
    bench_close(&b);
}

static void what_an_earlier_life_had_is_not_delivered_again(void **unused)
{
    struct bench b;

    (void)unused;
    memset(&b, 0, sizeof b);
    struct gossip_options options = bench_options(&b);

    options.event_time = 10;
    options.query_time = 20;
    bench_open_with(&b, &options);
    say_event(&b, 9, "a", "x");
    assert_int_equal(b.fx.events_count, 0);
    say_event(&b, 10, "a", "x");
    assert_int_equal(b.fx.events_count, 1);
    say_query(&b, 19, 1);
    assert_int_equal(b.fx.queries_count, 0);
    say_query(&b, 20, 1);
    assert_int_equal(b.fx.queries_count, 1);
    bench_close(&b);
}

static void sizes_are_refused_in_the_known_words(void **unused)
{
    static const struct {
        size_t name, payload;
        const char *error;
    } rows[] = {
        { 5, 490, NULL },
        { 5, 508, "user event exceeds configured limit of 512 bytes before encoding" },
        { 5, 507, "encoded user event exceeds configured limit of 512 bytes after encoding" },
    };
    static const uint8_t payload[600];
    struct bench b;

    (void)unused;
    bench_open(&b);
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct mu_err err = MU_ERR_NONE;
        enum mu_code rc =
            gossip_event_check(b.g, "event", mu_span_of(payload, rows[i].payload), &err);

        assert_int_equal(rc, rows[i].error == NULL ? MU_OK : MU_TOO_BIG);
        assert_string_equal(err.text, rows[i].error == NULL ? "" : rows[i].error);
    }
    struct mu_err err = MU_ERR_NONE;

    assert_int_equal(gossip_event_check(b.g, "two\nlines", MU_SPAN_NONE, &err), MU_INVALID);
    assert_string_equal(err.text, "user event name 'two\nlines' has a control character");
    assert_int_equal(gossip_event_check(b.g, "n\xff", MU_SPAN_NONE, &err), MU_INVALID);
    assert_string_equal(err.text, "user event name 'n\xff' is not UTF-8");
    bench_close(&b);
}

static void why_a_query_is_refused_is_said(void **unused)
{
    static char big[301];
    const char *names[] = { big }, *none[] = { "" };
    const struct gossip_query_filter node = { .nodes = names, .nodes_count = 1 },
                                     nobody = { .nodes = none, .nodes_count = 1 },
                                     tag = { .tag = "role", .expr = big }, many[33] = { 0 };
    const struct {
        struct gossip_query_params query;
        const char *why; /* with X for 64 of those in `big` */
    } rows[] = {
        { { .name = big }, "query name 'X...' has 300 bytes, at most 255 are taken" },
        { { .name = "n\xff" }, "query name 'n\xff' is not UTF-8" },
        { { .name = "n", .timeout_ms = 86400001 },
          "query timeout of 86400001 ms is over a day, 86400000 ms" },
        { { .name = "n", .filters = &node, .filters_count = 1 },
          "query filter's node name 'X...' has 300 bytes, at most 128 are taken" },
        { { .name = "n", .filters = &nobody, .filters_count = 1 },
          "query filter has an empty node name" },
        { { .name = "n", .filters = &tag, .filters_count = 1 },
          "query filter's pattern 'X...' has 300 bytes, at most 255 are taken" },
        { { .name = "n", .filters = many, .filters_count = MU_LEN(many) },
          "query has 33 filters, at most 32 are taken" },
        { { .name = "n", .payload = { (const uint8_t *)big, 300 }, .timeout_ms = 86400000 }, "" },
    };
    struct bench b;

    (void)unused;
    memset(big, 'x', sizeof big - 1);
    bench_open(&b);
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        const char *gap = strchr(rows[i].why, 'X');
        struct mu_buf why = MU_BUF_NONE;
        struct mu_err err = MU_ERR_NONE;

        mu_buf_addf(&why, "%.*s%.*s%s", gap != NULL ? (int)(gap - rows[i].why) : 0, rows[i].why,
                    gap != NULL ? 64 : 0, big, gap != NULL ? gap + 1 : rows[i].why);
        (void)!gossip_query_check(b.g, &rows[i].query, &err);
        assert_string_equal(err.text, mu_buf_text(&why));
        mu_buf_deinit(&why);
    }
    bench_close(&b);
}

static void a_query_is_answered_once_and_in_time(void **unused)
{
    static const uint8_t long_payload[1100];
    struct mu_err err = MU_ERR_NONE;
    struct bench b;

    (void)unused;
    bench_open(&b);
    say_query(&b, 3, 77);
    assert_int_equal(b.fx.queries_count, 1);
    assert_string_equal(b.fx.queries[0].name, "load");
    say_query(&b, 3, 77); /* again */
    assert_int_equal(b.fx.queries_count, 0);
    say_query(&b, 3, 78); /* another of the same time */
    assert_int_equal(b.fx.queries_count, 1);
    assert_int_equal(gossip_sample(b.g, GOSSIP_SAMPLE_SERF_IN)->count, 3);
    assert_true(gossip_sample(b.g, GOSSIP_SAMPLE_SERF_IN)->min > 4); /* bytes */

    assert_int_equal(gossip_respond_check(b.g, 3, 79, MU_SPAN_NONE, &err), MU_TIMEOUT);
    assert_int_equal(
        gossip_respond_check(b.g, 3, 77, mu_span_of(long_payload, sizeof long_payload), &err),
        MU_TOO_BIG);
    assert_string_equal(err.text, "response exceeds limit of 1024 bytes");
    struct gossip_event ev = { .kind = GOSSIP_EV_RESPOND };

    ev.respond.ltime = 3;
    ev.respond.id = 77;
    ev.respond.payload = MU_SPAN_LIT("0.5");
    bench_feed(&b, ev);
    assert_int_equal(b.fx.sends_count, 1);
    assert_true(
        mu_addr_eq(&b.fx.sends[0].to,
                   &(struct mu_addr){ .ip = { 10, 0, 0, 100 }, .ip_bytes = 4, .port = 7946 }));
    assert_int_equal(gossip_respond_check(b.g, 3, 77, MU_SPAN_NONE, &err), MU_EXISTS);
    assert_string_equal(err.text, "response already sent");
    bench_run(&b, 1100);
    assert_int_equal(gossip_respond_check(b.g, 3, 78, MU_SPAN_NONE, &err), MU_TIMEOUT);
    assert_string_equal(err.text, "response is past the deadline");
    assert_int_equal(b.g->queries.open_count, 0); /* 18.2, rule 14 */
    bench_close(&b);
}

static void open_queries_are_bounded(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    for (uint32_t i = 0; i < 3000; i++) {
        say_query(&b, 10 + i / 10, i);
    }
    assert_int_equal(b.g->queries.open_count, 1024);
    bench_close(&b);
}

/* Table of 13.7. */
static void the_default_timeout_grows_with_the_members(void **unused)
{
    static const struct {
        size_t members;
        uint64_t ms;
    } rows[] = { { 1, 3200 },   { 9, 3200 },   { 10, 6400 },   { 99, 6400 },
                 { 100, 9600 }, { 999, 9600 }, { 1000, 12800 } };
    struct bench b;

    (void)unused;
    bench_open(&b);
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        size_t before = b.g->alive_count;

        b.g->alive_count = rows[i].members;
        assert_int_equal(gossip_query_timeout_ms(b.g), rows[i].ms);
        b.g->alive_count = before;
    }
    bench_close(&b);
}

/* Nobody gets a datagram of ours for a stranger (18.2, rule 11). */
static void only_members_have_answers_relayed(void **unused)
{
    struct gossip__part inner = { .kind = GOSSIP__PART_RESPONSE };
    struct gossip__part part = { .kind = GOSSIP__PART_RELAY };
    struct mu_arena arena;
    struct bench b;

    (void)unused;
    bench_open(&b);
    mu_arena_init(&arena, 0);
    inner.response = (struct gossip__response){ .ltime = 1, .id = 1, .from = "x" };
    part.relay = (struct gossip__relay){ .dest = bench_addr(1),
                                         .dest_name = "dest",
                                         .inner = gossip__part_encode(&inner, &arena) };
    bench_packet(&b, "stranger", 66, part);
    assert_int_equal(b.fx.sends_count, 0);
    bench_say_alive(&b, "teller", 100, 50);
    bench_say_alive(&b, "dest", 1, 50);
    bench_run(&b, 5000);
    bench_packet(&b, "teller", 100, part);
    bool was_sent = false;
    struct mu_addr dest = bench_addr(1);

    for (size_t i = 0; i < b.fx.sends_count; i++) {
        was_sent = was_sent || mu_addr_eq(&b.fx.sends[i].to, &dest);
    }
    assert_true(was_sent);
    part.relay.dest = bench_addr(2); /* a member's name, another address */
    bench_packet(&b, "teller", 100, part);
    dest = bench_addr(2);
    for (size_t i = 0; i < b.fx.sends_count; i++) {
        assert_false(mu_addr_eq(&b.fx.sends[i].to, &dest));
    }
    mu_arena_deinit(&arena);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_delivered_once),
        cmocka_unit_test(events_of_one_time_are_bounded),
        cmocka_unit_test(what_an_earlier_life_had_is_not_delivered_again),
        cmocka_unit_test(sizes_are_refused_in_the_known_words),
        cmocka_unit_test(why_a_query_is_refused_is_said),
        cmocka_unit_test(a_query_is_answered_once_and_in_time),
        cmocka_unit_test(open_queries_are_bounded),
        cmocka_unit_test(the_default_timeout_grows_with_the_members),
        cmocka_unit_test(only_members_have_answers_relayed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
