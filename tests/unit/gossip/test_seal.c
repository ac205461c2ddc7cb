/* What is sealed is opened by whoever has the key, once, and by nobody else. */
#include "fixture.h"

#include "base/rand.h"

static struct gossip_key key_of(uint8_t fill)
{
    struct gossip_key key = { .count = GOSSIP_KEY_BYTES_MAX };

    memset(key.bytes, fill, sizeof key.bytes);
    return key;
}

/* A core with the key of this number. */
static void open_sealed(struct bench *b, uint8_t fill)
{
    struct gossip_keyring ring = { .count = 1 };
    struct gossip_options options;

    memset(b, 0, sizeof *b);
    ring.keys[0] = key_of(fill);
    options = bench_options(b);
    options.sealing.keyring = &ring;
    memset(options.nonce_prefix, fill, sizeof options.nonce_prefix);
    bench_open_with(b, &options);
}

struct sealed {
    uint8_t bytes[MU_GOSSIP_RECEIVE_MAX];
    size_t count;
};

/* A datagram that tells of a member, from a node that is none: sealed by `by`. */
static struct sealed sealed_alive(struct bench *by, const char *from, uint64_t boot_id,
                                  uint64_t incarnation, uint64_t counter, const char *node,
                                  unsigned host)
{
    struct gossip__part part = { .kind = GOSSIP__PART_ALIVE };
    struct gossip__packet p = {
        .from = from, .boot_id = boot_id, .incarnation = incarnation, .counter = counter
    };
    struct mu_arena arena;
    struct sealed out;

    mu_arena_init(&arena, 0);
    part.alive = bench_alive(node, host, 50);
    struct mu_span encoded = gossip__part_encode(&part, &arena);

    p.parts = &encoded;
    p.parts_count = 1;
    struct mu_span datagram = gossip__seal_datagram(by->g, gossip__packet_encode(&p, &arena));

    memcpy(out.bytes, datagram.data, datagram.bytes);
    out.count = datagram.bytes;
    mu_arena_deinit(&arena);
    return out;
}

static void feed(struct bench *b, const uint8_t *bytes, size_t count)
{
    struct gossip_event ev = { .kind = GOSSIP_EV_PACKET };

    ev.packet.from = bench_addr(1);
    ev.packet.data = mu_span_of(bytes, count);
    bench_feed(b, ev);
}

static bool knows(const struct bench *b, const char *name)
{
    return gossip__member_find(b->g, name) != NULL;
}

static void whoever_has_the_key_opens_it(void **unused)
{
    struct bench b;
    struct bench other;

    (void)unused;
    open_sealed(&b, 1);
    open_sealed(&other, 2);
    struct sealed d = sealed_alive(&b, "them", 9, 50, 1, "them", 1);

    assert_null(memmem(d.bytes, d.count, "them", 4)); /* nothing of it is to be read */
    feed(&other, d.bytes, d.count);
    assert_false(knows(&other, "them"));
    assert_int_equal(other.g->counters[GOSSIP_COUNT_UNKNOWN_KEY], 1);
    assert_int_equal(other.fx.sends_count, 0);
    feed(&b, d.bytes, d.count);
    assert_true(knows(&b, "them"));
    bench_close(&b);
    bench_close(&other);
}

static void a_changed_bit_anywhere_is_noticed(void **unused)
{
    struct bench b;

    (void)unused;
    open_sealed(&b, 1);
    struct sealed d = sealed_alive(&b, "them", 9, 50, 1, "them", 1);

    for (size_t i = 0; i < d.count * 8; i++) {
        d.bytes[i / 8] ^= (uint8_t)(1 << i % 8);
        feed(&b, d.bytes, d.count);
        assert_int_equal(b.fx.sends_count, 0);
        d.bytes[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t count = 0; count < d.count; count++) { /* and each that is cut short */
        feed(&b, d.bytes, count);
    }
    assert_false(knows(&b, "them"));
    assert_true(b.g->counters[GOSSIP_COUNT_FORGED] > d.count);
    bench_close(&b);
}

static void clear_is_taken_only_where_that_is_allowed(void **unused)
{
    struct bench b;
    struct gossip_keyring ring = { .count = 1 };
    struct gossip_event ev = { .kind = GOSSIP_EV_KEYS };

    (void)unused;
    open_sealed(&b, 1);
    bench_say_alive(&b, "them", 1, 50);
    assert_false(knows(&b, "them"));
    assert_int_equal(b.g->counters[GOSSIP_COUNT_CLEAR], 1);
    ring.keys[0] = key_of(1);
    ev.sealing = (struct gossip_sealing){ .keyring = &ring, .takes_clear = true };
    bench_feed(&b, ev);
    bench_say_alive(&b, "them", 1, 50);
    assert_true(knows(&b, "them"));
    bench_close(&b);
}

/* The gauge that a last step of the roll-out looks at. */
static void who_speaks_in_clear_is_counted_for_ten_minutes(void **unused)
{
    struct bench b;
    struct gossip_keyring ring = { .count = 1 };
    struct gossip_event ev = { .kind = GOSSIP_EV_KEYS };
    struct gossip_summary s;

    (void)unused;
    open_sealed(&b, 1);
    ring.keys[0] = key_of(1);
    ev.sealing = (struct gossip_sealing){ .keyring = &ring, .takes_clear = true };
    bench_feed(&b, ev);
    bench_say_alive(&b, "teller", 100, 50);
    bench_say_alive(&b, "teller", 100, 51); /* the packet itself is the teller's */
    gossip_summarize(b.g, &s);
    assert_int_equal(s.clear, 1);
    b.now_ms += 11 * 60 * 1000;
    bench_feed(&b, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
    gossip_summarize(b.g, &s);
    assert_int_equal(s.clear, 0);
    bench_close(&b);
}

static void a_packet_of_a_member_passes_once(void **unused)
{
    struct bench b;

    (void)unused;
    open_sealed(&b, 1);
    struct sealed first =
        sealed_alive(&b, "them", 1, 50, 7, "them", 1); /* bench_alive: boot id 1 */
    struct sealed second = sealed_alive(&b, "them", 1, 50, 7, "third", 2);

    feed(&b, first.bytes, first.count);
    assert_true(knows(&b, "them"));
    feed(&b, second.bytes,
         second.count); /* a stranger's packets are not counted: this is the first */
    assert_true(knows(&b, "third"));
    feed(&b, second.bytes, second.count);
    assert_int_equal(b.g->counters[GOSSIP_COUNT_REPLAYED], 1);
    bench_close(&b);
}

/* -- the window, beside a list of all that was ever taken -------------------------------------- */

#define STEPS 20000

static bool listed(const uint64_t *list, size_t count, uint64_t value)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i] == value) {
            return true;
        }
    }
    return false;
}

static void the_window_agrees_with_a_list(void **unused)
{
    static uint64_t taken[STEPS];
    struct gossip__card card = { .boot_id = 5 };
    struct gossip__member m = { .card = &card, .incarnation = 10 };
    struct mu_rand rand;
    uint64_t top = 0;
    size_t count = 0;

    (void)unused;
    mu_rand_seed(&rand, 4);
    for (size_t i = 0; i < STEPS; i++) {
        uint64_t back = mu_rand_below(&rand, mu_rand_below(&rand, 8) == 0 ? 1500 : 90);
        uint64_t leap = mu_rand_below(&rand, 50) == 0 ? mu_rand_below(&rand, 3000) : 2;
        uint64_t counter = top + leap > back ? top + leap - back : 0;
        struct gossip__packet p = { .boot_id = 5, .incarnation = 10, .counter = counter };
        bool is_new = !listed(taken, count, counter);
        bool is_old =
            counter + GOSSIP__REPLAY_BITS - 63 <= top; /* in the word being reused, or before */
        bool took = gossip__replay_take(&m, &p);

        if (took) {
            assert_true(is_new);
            taken[count++] = counter;
        } else {
            assert_true(!is_new || is_old);
        }
        top = counter > top ? counter : top;
    }
    assert_true(count > STEPS / 4);
    mu_free(m.dealings->replay);
    mu_free(m.dealings);
}

static void an_older_life_is_not_heard_again(void **unused)
{
    static const struct {
        uint64_t boot_id, incarnation, counter;
        bool passes;
    } rows[] = {
        { 5, 10, 1, true },  { 5, 10, 1, false },
        { 6, 10, 1, false }, /* another life must have risen above */
        { 6, 11, 1, true },  { 6, 11, 1, false },
        { 5, 10, 2, true }, /* the record still tells of 5: perhaps 6 is a twin */
        { 7, 11, 1, false }, { 7, 12, 1, true },
        { 6, 11, 2, false }, /* the claim of 7 is higher */
    };
    struct gossip__card card = { .boot_id = 5 };
    struct gossip__member m = { .card = &card, .incarnation = 10 };

    (void)unused;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct gossip__packet p = { .boot_id = rows[i].boot_id,
                                    .incarnation = rows[i].incarnation,
                                    .counter = rows[i].counter };

        assert_int_equal(gossip__replay_take(&m, &p), rows[i].passes);
    }
    card.boot_id = 7; /* believed */
    m.incarnation = 12;
    struct gossip__packet again = { .boot_id = 7, .incarnation = 12, .counter = 1 };
    struct gossip__packet next = { .boot_id = 7, .incarnation = 12, .counter = 2 };
    struct gossip__packet former = { .boot_id = 5, .incarnation = 10, .counter = 3 };

    assert_false(gossip__replay_take(&m, &again)); /* its window came with it */
    assert_true(gossip__replay_take(&m, &next));
    assert_false(gossip__replay_take(&m, &former));
    mu_free(m.dealings->replay);
    mu_free(m.dealings);
}

/* -- streams ----------------------------------------------------------------------------------- */

struct ends {
    struct bench a, b;
    struct gossip__stream_seal *x, *y;
};

static void ends_open(struct ends *e)
{
    open_sealed(&e->a, 1);
    open_sealed(&e->b, 1);
    memset(e->b.g->seal.nonce_prefix, 9, sizeof e->b.g->seal.nonce_prefix);
    e->x = gossip__stream_seal_new(e->a.g, gossip__seal_primary(e->a.g));
    e->y = gossip__stream_seal_new(e->b.g, gossip__seal_primary(e->b.g));
    assert_true(gossip__stream_seal_ready(e->a.g, e->x, true,
                                          mu_span_of(e->y->head_out, sizeof e->y->head_out),
                                          mu_span_of(e->y->salt, sizeof e->y->salt)));
    assert_true(gossip__stream_seal_ready(e->b.g, e->y, false,
                                          mu_span_of(e->x->head_out, sizeof e->x->head_out),
                                          mu_span_of(e->x->salt, sizeof e->x->salt)));
}

static void ends_close(struct ends *e)
{
    gossip__stream_seal_free(e->x);
    gossip__stream_seal_free(e->y);
    bench_close(&e->a);
    bench_close(&e->b);
}

static bool opens(struct bench *b, struct gossip__stream_seal *at, struct mu_span frame,
                  const char *expected)
{
    struct mu_span payload;

    return gossip__stream_open_frame(b->g, at, mu_span_sub(frame, 4, frame.bytes), &payload) &&
           mu_span_eq_text(payload, expected);
}

static void frames_pass_in_their_order_and_direction_only(void **unused)
{
    struct ends e;

    (void)unused;
    ends_open(&e);
    struct mu_span one = gossip__stream_seal_frame(e.a.g, e.x, mu_span_text("one"));
    struct mu_span two = gossip__stream_seal_frame(e.a.g, e.x, mu_span_text("two"));
    struct mu_span none = gossip__stream_seal_frame(e.b.g, e.y, MU_SPAN_NONE);

    assert_true(opens(&e.b, e.y, one, "one"));
    assert_true(opens(&e.b, e.y, two, "two"));
    assert_true(opens(&e.a, e.x, none, ""));
    assert_false(opens(&e.b, e.y, two, "two")); /* again */
    ends_close(&e);

    ends_open(&e);
    one = gossip__stream_seal_frame(e.a.g, e.x, mu_span_text("one"));
    two = gossip__stream_seal_frame(e.a.g, e.x, mu_span_text("two"));
    assert_false(opens(&e.b, e.y, two, "two")); /* before its turn */
    assert_false(opens(&e.a, e.x, one, "one")); /* back to where it came from */
    ends_close(&e);
}

/* What was recorded is of no use: the other side has drawn another salt. */
static void a_recorded_stream_opens_nothing(void **unused)
{
    struct ends e;
    struct ends later;
    uint8_t recorded[64];

    (void)unused;
    ends_open(&e);
    struct mu_span frame = gossip__stream_seal_frame(e.a.g, e.x, mu_span_text("hello"));

    assert_true(frame.bytes <= sizeof recorded);
    memcpy(recorded, frame.data, frame.bytes);
    ends_open(&later);
    later.y->is_ready = false;
    later.y->salt[0] ^= 1; /* drawn anew; the initiator's head and salt are played again */
    assert_true(gossip__stream_seal_ready(later.b.g, later.y, false,
                                          mu_span_of(e.x->head_out, sizeof e.x->head_out),
                                          mu_span_of(e.x->salt, sizeof e.x->salt)));
    assert_false(opens(&later.b, later.y, mu_span_of(recorded, frame.bytes), "hello"));
    ends_close(&e);
    ends_close(&later);
}

/* Sizes are reckoned with what sealing adds: no datagram is ever longer than allowed (18.2, 9). */
static void sealed_datagrams_keep_to_the_budget(void **unused)
{
    struct bench b;
    size_t longest = 0;

    (void)unused;
    open_sealed(&b, 1);
    for (unsigned i = 0; i < 200; i++) {
        char name[MU_NODE_NAME_MAX + 1];

        (void)snprintf(name, sizeof name, "%0*u", 20 + (int)(i % 100), i);
        struct sealed d = sealed_alive(&b, "us-too", 3, 50, i, name, i + 1);
        struct gossip_event ev = { .kind = GOSSIP_EV_PACKET };

        ev.packet.from = bench_addr(1 + i);
        ev.packet.data = mu_span_of(d.bytes, d.count);
        bench_feed(&b, ev);
    }
    for (unsigned i = 0; i < 200; i++) {
        b.now_ms = b.fx.wake_at_ms > b.now_ms ? b.fx.wake_at_ms : b.now_ms;
        bench_feed(&b, (struct gossip_event){ .kind = GOSSIP_EV_WAKE });
        for (size_t s = 0; s < b.fx.sends_count; s++) {
            longest = b.fx.sends[s].data.bytes > longest ? b.fx.sends[s].data.bytes : longest;
        }
    }
    assert_true(longest <= MU_GOSSIP_PACKET_MAX);
    assert_true(longest > MU_GOSSIP_PACKET_MAX - 200); /* and they are used */
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_has_the_key_opens_it),
        cmocka_unit_test(a_changed_bit_anywhere_is_noticed),
        cmocka_unit_test(clear_is_taken_only_where_that_is_allowed),
        cmocka_unit_test(who_speaks_in_clear_is_counted_for_ten_minutes),
        cmocka_unit_test(a_packet_of_a_member_passes_once),
        cmocka_unit_test(the_window_agrees_with_a_list),
        cmocka_unit_test(an_older_life_is_not_heard_again),
        cmocka_unit_test(frames_pass_in_their_order_and_direction_only),
        cmocka_unit_test(a_recorded_stream_opens_nothing),
        cmocka_unit_test(sealed_datagrams_keep_to_the_budget),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
