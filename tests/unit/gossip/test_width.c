/* Do large datagrams arrive where small ones do? What is sent, and what answers make of it. */
#include "fixture.h"

#define ID       77
#define HOST     1
#define AT_LEAST (MU_GOSSIP_PACKET_MAX - 16) /* of a filled one: lengths take what they take */
#define OVER_MS  1000
#define PAIRS    6

static void open_with_member(struct bench *b, bool is_sealed)
{
    struct gossip_keyring ring = { .count = 1 };
    struct gossip_options options;

    memset(b, 0, sizeof *b);
    memset(ring.keys[0].bytes, 1, sizeof ring.keys[0].bytes);
    ring.keys[0].count = GOSSIP_KEY_BYTES_MAX;
    options = bench_options(b);
    options.sealing.keyring = is_sealed ? &ring : NULL;
    options.sealing.takes_clear = true; /* what the fixture sends */
    options.profile.probe_ms = 60000;   /* no probe of its own comes between */
    bench_open_with(b, &options);
    bench_member(b, "n1", HOST, GOSSIP__ALIVE);
}

static void ask(struct bench *b, const char *name)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_WIDTH };

    ev.width.id = ID;
    ev.width.name = name;
    bench_feed(b, ev);
}

static void assert_done(const struct bench *b, enum gossip_width width)
{
    assert_int_equal(b->fx.dones_count, 1);
    assert_int_equal(b->fx.dones[0].id, ID);
    assert_int_equal(b->fx.dones[0].contacted, width);
}

/* The pings of the last step by their size. False: it sent no pair. */
static bool pair(const struct bench *b, uint64_t *small, uint64_t *full)
{
    struct mu_arena arena;

    *small = *full = 0;
    mu_arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < b->fx.sends_count; i++) {
        struct mu_span data = b->fx.sends[i].data;
        struct gossip__packet p;
        struct gossip__part part;

        assert_true(data.bytes <= MU_GOSSIP_PACKET_MAX);
        assert_true(
            gossip__packet_decode(mu_span_sub(data, GOSSIP__HEADER_BYTES, data.bytes), &arena, &p));
        assert_true(gossip__part_decode(p.parts[0], &arena, &part));
        if (part.kind == GOSSIP__PART_PING) {
            assert_string_equal(part.ping.target, "n1");
            *(data.bytes >= AT_LEAST ? full : small) = part.ping.seq;
        }
    }
    mu_arena_deinit(&arena);
    return *small != 0 && *full != 0;
}

static void answer(struct bench *b, uint64_t seq)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ACK };

    part.ack.seq = seq;
    bench_packet(b, "n1", HOST, part);
}

/* Answer the small pings, so many of them, until it is over. */
static void answer_small(struct bench *b, unsigned answers)
{
    uint64_t small, full, until = b->now_ms + OVER_MS;
    unsigned pairs = 0;

    ask(b, "n1");
    for (;;) {
        if (pair(b, &small, &full)) {
            pairs++;
            if (answers > 0) {
                answers--;
                answer(b, small);
                assert_int_equal(b->fx.dones_count, 0);
            }
        }
        if (b->fx.dones_count > 0) {
            break;
        }
        b->now_ms = b->fx.wake_at_ms > b->now_ms ? b->fx.wake_at_ms : b->now_ms;
        assert_true(b->now_ms < until);
        bench_feed(b, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
    }
    assert_int_equal(pairs, PAIRS);
}

static void a_full_one_that_is_answered_ends_it(void **state)
{
    uint64_t small, full;
    struct bench b;

    (void)state;
    open_with_member(&b, false);
    ask(&b, "n1");
    assert_int_equal(b.fx.dones_count, 0);
    assert_true(pair(&b, &small, &full));
    answer(&b, full);
    assert_done(&b, GOSSIP_WIDTH_FULL);
    answer(&b, full); /* a copy of it changes nothing */
    assert_int_equal(b.fx.dones_count, 0);
    bench_close(&b);
}

static void only_small_ones_make_it_narrow(void **state)
{
    struct bench b;

    (void)state;
    open_with_member(&b, false);
    answer_small(&b, 3);
    assert_done(&b, GOSSIP_WIDTH_NARROW);
    bench_close(&b);
}

static void too_few_of_any_size_say_nothing(void **state)
{
    struct bench b;

    (void)state;
    open_with_member(&b, false);
    answer_small(&b, 2);
    assert_done(&b, GOSSIP_WIDTH_UNKNOWN);
    bench_close(&b);
}

static void who_does_not_live_is_not_asked(void **state)
{
    static const char *const names[] = { "us", "nobody", "n2" };
    struct bench b;

    (void)state;
    open_with_member(&b, false);
    b.now_ms += b.g->profile.probe_ms; /* he was suspected all that time */
    bench_member(&b, "n2", 2, GOSSIP__DEAD);
    for (size_t i = 0; i < MU_LEN(names); i++) {
        ask(&b, names[i]);
        assert_done(&b, GOSSIP_WIDTH_UNKNOWN);
    }
    bench_close(&b);
}

static void sealed_it_is_as_large(void **state)
{
    size_t largest = 0;
    struct bench b;

    (void)state;
    open_with_member(&b, true);
    assert_true(gossip__seal_sends(b.g));
    ask(&b, "n1");
    for (size_t i = 0; i < b.fx.sends_count; i++) {
        largest = b.fx.sends[i].data.bytes > largest ? b.fx.sends[i].data.bytes : largest;
    }
    assert_in_range(largest, AT_LEAST, MU_GOSSIP_PACKET_MAX);
    bench_close(&b);
}

/* Asked for and not over when the core goes: nothing is left behind. */
static void it_goes_with_the_core(void **state)
{
    struct bench b;

    (void)state;
    open_with_member(&b, false);
    ask(&b, "n1");
    ask(&b, "n1");
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_one_that_is_answered_ends_it),
        cmocka_unit_test(only_small_ones_make_it_narrow),
        cmocka_unit_test(too_few_of_any_size_say_nothing),
        cmocka_unit_test(who_does_not_live_is_not_asked),
        cmocka_unit_test(sealed_it_is_as_large),
        cmocka_unit_test(it_goes_with_the_core),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
