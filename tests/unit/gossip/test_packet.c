/* Datagrams: the clear header, what is dropped and how it is counted, budgets. */
#include "fixture.h"

struct datagram {
    uint8_t bytes[MU_GOSSIP_RECEIVE_MAX + 64];
    size_t count;
};

/* A good one: an ack that nobody waits for. */
static struct datagram good(struct bench *b)
{
    struct datagram d = { .count = 0 };
    struct gossip__part part = { .kind = GOSSIP__PART_ACK, .ack = { 99, false } };
    struct gossip__packet p = { .from = "them", .boot_id = 1, .incarnation = 3, .parts_count = 1 };
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    struct mu_span encoded = gossip__part_encode(&part, &arena);

    p.parts = &encoded;
    struct mu_span body = gossip__packet_encode(&p, &arena);

    gossip__header_write(b->g, 0, body, d.bytes);
    memcpy(d.bytes + GOSSIP__HEADER_BYTES, body.data, body.bytes);
    d.count = GOSSIP__HEADER_BYTES + body.bytes;
    mu_arena_deinit(&arena);
    return d;
}

static void feed(struct bench *b, const struct datagram *d)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_PACKET };

    ev.packet.from = bench_addr(1);
    ev.packet.data = mu_span_of(d->bytes, d->count);
    bench_feed(b, ev);
}

static void what_is_not_ours_is_counted_and_dropped(void **unused)
{
    static const struct {
        const char *why;
        size_t at;
        uint8_t flip;
        enum gossip_counter counter;
    } rows[] = {
        // clang-format off
        { "magic",           0,  0x01, GOSSIP_COUNT_BAD_MAGIC },
        { "wire version",    2,  0x02, GOSSIP_COUNT_BAD_VERSION },
        { "cluster id",      4,  0x80, GOSSIP_COUNT_OTHER_CLUSTER },
        { "cluster id, end", 11, 0x01, GOSSIP_COUNT_OTHER_CLUSTER },
        { "sealed",          3,  0x05, GOSSIP_COUNT_UNKNOWN_KEY },
        { "a stream's flag", 3,  0x08, GOSSIP_COUNT_BAD_CHECKSUM },
        { "core versions",   12, 0x01, GOSSIP_COUNT_BAD_CHECKSUM },
        { "key id",          16, 0x01, GOSSIP_COUNT_BAD_CHECKSUM },
        { "checksum",        20, 0x01, GOSSIP_COUNT_BAD_CHECKSUM },
        { "body",            30, 0x01, GOSSIP_COUNT_BAD_CHECKSUM },
    }; // clang-format on
    struct bench b;

    (void)unused;
    bench_open(&b);
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        struct datagram d = good(&b);
        uint64_t before = b.g->counters[rows[r].counter];

        d.bytes[rows[r].at] ^= rows[r].flip;
        feed(&b, &d);
        if (b.g->counters[rows[r].counter] != before + 1) {
            fail_msg("%s: was not counted as such", rows[r].why);
        }
        assert_int_equal(b.fx.sends_count, 0); /* never answered */
    }
    bench_close(&b);
}

static void truncated_and_oversize_ones_do_no_harm(void **unused)
{
    struct bench b;

    (void)unused;
    bench_open(&b);
    struct datagram d = good(&b);
    size_t whole = d.count;

    for (d.count = 0; d.count < whole; d.count++) {
        feed(&b, &d);
    }
    d.count = MU_GOSSIP_RECEIVE_MAX + 1;
    uint64_t before = b.g->counters[GOSSIP_COUNT_MALFORMED];

    feed(&b, &d);
    assert_int_equal(b.g->counters[GOSSIP_COUNT_MALFORMED], before + 1);
    bench_close(&b);
}

static void a_bad_part_does_not_cost_the_others(void **unused)
{
    struct gossip__part dead = { .kind = GOSSIP__PART_DEAD, .dead = { "", "y", 1 } };
    struct gossip__part alive = { .kind = GOSSIP__PART_ALIVE };
    struct gossip__packet p = { .from = "them", .boot_id = 1, .incarnation = 3, .parts_count = 3 };
    struct datagram d = { .count = 0 };
    struct mu_arena arena;
    struct mu_span parts[3];
    struct bench b;

    (void)unused;
    bench_open(&b);
    mu_arena_init(&arena, 0);
    alive.alive = bench_alive("x", 1, 5);
    parts[0] = gossip__part_encode(&dead, &arena);
    parts[1] = MU_SPAN_LIT("\x0a\x05zz");
    parts[2] = gossip__part_encode(&alive, &arena);
    p.parts = parts;
    struct mu_span body = gossip__packet_encode(&p, &arena);

    gossip__header_write(b.g, 0, body, d.bytes);
    memcpy(d.bytes + GOSSIP__HEADER_BYTES, body.data, body.bytes);
    d.count = GOSSIP__HEADER_BYTES + body.bytes;
    feed(&b, &d);
    assert_string_equal(bench_notices(&b), "joined x");
    assert_int_equal(b.g->counters[GOSSIP_COUNT_PARTS_MALFORMED], 2);
    mu_arena_deinit(&arena);
    bench_close(&b);
}

static void pools_and_labels_are_different_clusters(void **unused)
{
    static const struct {
        const char *label, *pool;
    } ids[] = { { NULL, "dc1/lan" }, { NULL, "dc2/lan" }, { "l", "dc1/lan" }, { "dc1", "/lan" } };
    uint8_t seen[MU_LEN(ids)][8];

    (void)unused;
    for (size_t i = 0; i < MU_LEN(ids); i++) {
        struct bench b;

        memset(&b, 0, sizeof b);
        struct gossip_options options = bench_options(&b);

        options.label = ids[i].label;
        options.pool = ids[i].pool;
        bench_open_with(&b, &options);
        memcpy(seen[i], b.g->cluster_id, sizeof seen[i]);
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(seen[i], seen[j], sizeof seen[i]);
        }
        bench_close(&b);
    }
}

static void our_own_voice_is_not_heard(void **unused)
{
    struct gossip__part part = { .kind = GOSSIP__PART_SUSPECT,
                                 .suspect = { "us", "us", OWN, GOSSIP__SILENT } };
    struct bench b;

    (void)unused;
    bench_open(&b);
    bench_packet(&b, "us", 7, part); /* our name and boot id */
    assert_int_equal(b.g->self->incarnation, OWN);
    bench_close(&b);
}

static void a_member_that_talks_while_held_dead_is_told(void **unused)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ACK, .ack = { 5, false } };
    struct gossip__part told;
    struct mu_arena arena;
    struct bench b;

    (void)unused;
    mu_arena_init(&arena, 1 << 20);
    bench_open(&b);
    bench_member(&b, "x", 1, GOSSIP__ALIVE);
    bench_bury(&b, "x", 1 << 21, "judge"); /* above what its packets will say */
    bench_packet(&b, "x", 1, part);
    assert_int_equal(bench_sent(&b, GOSSIP__PART_DEAD, &arena, &told), 1);
    assert_int_equal(told.dead.incarnation, 1 << 21);
    bench_close(&b);
    mu_arena_deinit(&arena);
}

static void a_full_letter_fits_the_budget(void **unused)
{
    static uint8_t part[1400];
    struct gossip__letter l;
    struct bench b;

    (void)unused;
    bench_open(&b);
    struct mu_addr to = bench_addr(1);

    for (size_t bytes = 1; bytes < sizeof part; bytes += 13) {
        gossip__letter_begin(b.g, &l, &to, NULL);
        while (gossip__letter_add(&l, mu_span_of(part, bytes))) {
        }
        if (l.parts_count > 0) {
            b.g->sends_count = 0;
            assert_true(gossip__letter_send(b.g, &l));
            assert_true(b.g->sends[0].data.bytes <= MU_GOSSIP_PACKET_MAX);
            assert_true(bytes < 12 || b.g->sends[0].data.bytes + bytes + 3 > MU_GOSSIP_PACKET_MAX);
        }
    }
    bench_close(&b);
}

/* One that is smaller is kept to; what does not fit it travels alone. */
static void a_smaller_budget(void **unused)
{
    static uint8_t part[1100];
    struct gossip_profile narrow = gossip_profile_lan;
    struct mu_err err = MU_ERR_NONE;
    struct gossip__letter l;
    struct bench b;

    (void)unused;
    bench_open(&b);
    struct mu_addr to = bench_addr(1);

    narrow.packet_bytes = 1232;
    bench_feed(&b, (struct gossip_event){ .kind = GOSSIP_EV_PROFILE, .profile = narrow });
    for (size_t bytes = 1; bytes < 1000; bytes += 13) {
        gossip__letter_begin(b.g, &l, &to, NULL);
        while (gossip__letter_add(&l, mu_span_of(part, bytes))) {
        }
        b.g->sends_count = 0;
        assert_true(gossip__letter_send(b.g, &l));
        assert_true(b.g->sends[0].data.bytes <= narrow.packet_bytes);
        assert_true(bytes < 12 || b.g->sends[0].data.bytes + bytes + 3 > narrow.packet_bytes);
    }
    bench_member(&b, "peer", 1, GOSSIP__ALIVE);
    struct gossip__member *peer = gossip__member_find(b.g, "peer");

    gossip__rumor_forget(b.g, peer);
    gossip__rumor_forget(b.g, b.g->self);
    (void)gossip__rumor_add(b.g, GOSSIP__QUEUE_EVENT, NULL, mu_span_of(part, sizeof part), NULL);
    (void)gossip__rumor_add(b.g, GOSSIP__QUEUE_EVENT, NULL, mu_span_of(part, 700), NULL);
    for (size_t i = 0; i < 2; i++) {
        gossip__letter_begin(b.g, &l, &to, peer);
        b.g->sends_count = 0;
        assert_true(gossip__letter_send(b.g, &l));
        assert_int_equal(l.parts_count, 1);
        assert_int_equal(l.parts[0].bytes, i == 0 ? sizeof part : 700);
    }
    assert_int_equal(gossip_event_check(b.g, "n", mu_span_of(part, 480), &err), MU_OK);
    b.g->events.size_limit = GOSSIP_EVENT_BYTES_MAX;
    assert_int_equal(gossip_event_check(b.g, "n", mu_span_of(part, 976), &err), MU_TOO_BIG);
    assert_non_null(strstr(err.text, "limit of 976 bytes before"));
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_ours_is_counted_and_dropped),
        cmocka_unit_test(truncated_and_oversize_ones_do_no_harm),
        cmocka_unit_test(a_bad_part_does_not_cost_the_others),
        cmocka_unit_test(pools_and_labels_are_different_clusters),
        cmocka_unit_test(our_own_voice_is_not_heard),
        cmocka_unit_test(a_member_that_talks_while_held_dead_is_told),
        cmocka_unit_test(a_full_letter_fits_the_budget),
        cmocka_unit_test(a_smaller_budget),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
