/* What is turned away is counted, remembered and named, and no flood of it floods the log. */
#include "fixture.h"

static size_t lines(const struct bench *b, const char *with)
{
    size_t count = 0;

    for (const char *at = mu_buf_text(&((struct bench *)(uintptr_t)b)->log);
         (at = strstr(at, with)) != NULL; at++) {
        count++;
    }
    return count;
}

struct last_refusal {
    struct gossip_refusal refusal;
    size_t count;
};

static void note_refusal(void *data, const struct gossip_refusal *r)
{
    struct last_refusal *last = data;

    last->refusal = *r;
    last->count++;
}

static void who_was_turned_away_is_remembered_for_a_while(void **unused)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_PACKET };
    struct last_refusal last = { .count = 0 };
    struct bench b;

    (void)unused;
    bench_open(&b);
    gossip_each_refusal(b.g, 1, note_refusal, &last);
    assert_int_equal(last.count, 0);
    for (unsigned host = 8; host <= 9; host++) {
        ev.packet.from = bench_addr(host);
        ev.packet.data = MU_SPAN_LIT("this is no gossip, as its first bytes show");
        bench_feed(&b, ev);
    }
    gossip_each_refusal(b.g, b.now_ms, note_refusal, &last);
    assert_int_equal(last.count, 1);
    assert_int_equal(last.refusal.reason, GOSSIP_COUNT_BAD_MAGIC);
    assert_int_equal(last.refusal.count, 2);
    assert_true(mu_addr_eq(&last.refusal.from, &ev.packet.from)); /* the last one */
    gossip_each_refusal(b.g, b.now_ms + 1, note_refusal, &last);
    assert_int_equal(last.count, 1);
    bench_close(&b);
}

static void junk(struct bench *b, unsigned host)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_PACKET };

    ev.packet.from = bench_addr(host);
    ev.packet.data = MU_SPAN_LIT("this is no gossip, as its first bytes show");
    bench_feed(b, ev);
}

static void a_flood_is_a_line_a_minute(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    for (unsigned i = 0; i < 6000; i++) { /* a minute, from everywhere */
        junk(&b, 8 + i % 500);
        b.now_ms += 10;
    }
    assert_int_equal(lines(&b, "turned away"), 1);
    assert_non_null(
        strstr(mu_buf_text(&b.log), "10.0.0.8:7946: it is no gossip of muster (1 by now)"));
    junk(&b, 9);
    assert_int_equal(lines(&b, "turned away"), 2);
    assert_non_null(
        strstr(mu_buf_text(&b.log), "10.0.0.9:7946: it is no gossip of muster (6001 by now)"));
    for (unsigned minute = 0; minute < 59; minute++) { /* it stays one and the same */
        junk(&b, 9);
        b.now_ms += 60000;
    }
    assert_int_equal(lines(&b, "turned away"), 2);
    b.now_ms += 60000;
    junk(&b, 9);
    assert_int_equal(lines(&b, "turned away"), 3);
    bench_close(&b);
}

static void each_kind_has_a_line_of_its_own(void **unused)
{
    static const struct {
        const char *why;
        unsigned at, value;
        const char *line;
    } rows[] = {
        // clang-format off
        { "the magic",    0,  'x',  "it is no gossip of muster" },
        { "the version",  2,  9,    "of a version that this node does not speak" },
        { "the cluster",  4,  0x5a, "it is of another cluster" },
        { "the body",     30, 0x5a, "it was changed on the way" },
    }; // clang-format on
    struct gossip_event ev = { .kind = GOSSIP_EV_PACKET };
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_member(&b, "x", 1, GOSSIP__ALIVE);
    gossip__accuse(b.g, gossip__member_find(b.g, "x"),
                   &(struct mu_addr){ .ip_bytes = 4, .port = 1 });
    assert_true(b.g->sends_count > 0);
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        uint8_t bytes[MU_GOSSIP_RECEIVE_MAX];
        struct mu_span sound = b.g->sends_count > 0 ? b.g->sends[0].data : MU_SPAN_NONE;
        struct bench other;

        bench_open(&other);
        memcpy(bytes, sound.data, sound.bytes);
        bytes[rows[r].at] = (uint8_t)rows[r].value;
        ev.packet.from = bench_addr(8);
        ev.packet.data = mu_span_of(bytes, sound.bytes);
        bench_feed(&other, ev);
        if (lines(&other, rows[r].line) != 1) {
            fail_msg("%s: '%s'", rows[r].why, mu_buf_text(&other.log));
        }
        bench_close(&other);
    }
    bench_close(&b);
}

static void what_members_make_us_say_is_bounded(void **unused)
{
    struct gossip__part part = { .kind = GOSSIP__PART_PING,
                                 .ping = { .seq = 1, .target = "somebody else" } };
    struct bench b;

    (void)unused;
    bench_open(&b);
    for (unsigned i = 0; i < 1000; i++) {
        bench_packet(&b, "x", 1, part);
    }
    assert_int_equal(lines(&b, "Got ping for unexpected node"), 10);
    assert_int_equal(lines(&b, "kept back"), 0);
    b.now_ms += 10000;
    bench_packet(&b, "x", 1, part);
    assert_int_equal(lines(&b, "Got ping for unexpected node"), 11);
    assert_int_equal(lines(&b, "990 more lines like the next one were kept back"), 1);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_was_turned_away_is_remembered_for_a_while),
        cmocka_unit_test(a_flood_is_a_line_a_minute),
        cmocka_unit_test(each_kind_has_a_line_of_its_own),
        cmocka_unit_test(what_members_make_us_say_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
