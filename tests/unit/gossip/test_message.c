/* Messages: what is encoded is decoded again; what breaks a rule is not; no truncation harms. */
#include <zstd.h>

#include "fixture.h"

static struct gossip__alive full_alive(void)
{
    struct gossip__alive a = bench_alive("some-node", 9, 77);

    a.meta = MU_SPAN_LIT("\x01k\x00\x01v");
    return a;
}

static struct gossip__query full_query(void)
{
    static const char *names[] = { "b", "c" };
    static struct gossip__filter filters[] = {
        { .nodes = names, .nodes_count = 2 },
        { .tag = "role", .expr = "^web" },
    };

    return (struct gossip__query){ .ltime = 12,
                                   .id = 0xdeadbeef,
                                   .origin = bench_addr(7),
                                   .origin_node = "o",
                                   .filters = filters,
                                   .filters_count = 2,
                                   .flags = GOSSIP__QUERY_ACK,
                                   .relay_factor = 255,
                                   .timeout_ms = 3200,
                                   .name = "load",
                                   .payload = MU_SPAN_LIT("\x00\xff") };
}

/* One of each kind, with every field set. */
static size_t all_parts(struct gossip__part out[16])
{
    size_t n = 0;

    out[n++] =
        (struct gossip__part){ .kind = GOSSIP__PART_PING, .ping = { 3, "t", bench_addr(4), 99 } };
    out[n++] = (struct gossip__part){ .kind = GOSSIP__PART_INDIRECT,
                                      .indirect = { 4, bench_addr(5), "t", "o", bench_addr(6), true,
                                                    200 } };
    out[n++] = (struct gossip__part){ .kind = GOSSIP__PART_ACK, .ack = { 5, true } };
    out[n++] = (struct gossip__part){ .kind = GOSSIP__PART_NACK, .nack = { 6, GOSSIP__STALLED } };
    out[n++] = (struct gossip__part){ .kind = GOSSIP__PART_SUSPECT,
                                      .suspect = { "x", "y", 7, GOSSIP__REFUSED } };
    out[n++] = (struct gossip__part){ .kind = GOSSIP__PART_ALIVE, .alive = full_alive() };
    out[n++] = (struct gossip__part){ .kind = GOSSIP__PART_DEAD, .dead = { "x", "y", 8 } };
    out[n++] = (struct gossip__part){ .kind = GOSSIP__PART_ERROR,
                                      .error = { 2, "in use", true, full_alive() } };
    out[n++] = (struct gossip__part){ .kind = GOSSIP__PART_JOIN, .intent = { "x", 9, false } };
    out[n++] = (struct gossip__part){ .kind = GOSSIP__PART_LEAVE, .intent = { "x", 10, true } };
    out[n++] = (struct gossip__part){ .kind = GOSSIP__PART_EVENT,
                                      .event = { 11, "deploy", MU_SPAN_LIT("\x00v1"), true } };
    out[n++] = (struct gossip__part){ .kind = GOSSIP__PART_QUERY, .query = full_query() };
    out[n++] = (struct gossip__part){ .kind = GOSSIP__PART_RESPONSE,
                                      .response = { 12, 0xdeadbeef, "x", 1, MU_SPAN_LIT("0.5") } };
    out[n++] = (struct gossip__part){ .kind = GOSSIP__PART_RELAY,
                                      .relay = { bench_addr(8), "x", MU_SPAN_LIT("inner") } };
    return n;
}

/* Equal when they encode to the same bytes. */
static void assert_same(struct gossip__part *a, struct gossip__part *b, struct mu_arena *arena)
{
    struct mu_span x = gossip__part_encode(a, arena);
    struct mu_span y = gossip__part_encode(b, arena);

    assert_int_equal(a->kind, b->kind);
    assert_true(mu_span_eq(x, y));
}

static void parts_come_back_and_truncations_do_no_harm(void **unused)
{
    struct gossip__part parts[16];
    size_t count = all_parts(parts);
    struct mu_arena arena;

    (void)unused;
    mu_arena_init(&arena, 1 << 22);
    for (size_t i = 0; i < count; i++) {
        struct gossip__part back;
        struct mu_span bytes = gossip__part_encode(&parts[i], &arena);

        assert_true(gossip__part_decode(bytes, &arena, &back));
        assert_same(&parts[i], &back, &arena);
        for (size_t cut = 0; cut < bytes.bytes; cut++) {
            uint8_t *exact = mu_new(cut > 0 ? cut : 1); /* the sanitizer sees a read past it */

            memcpy(exact, bytes.data, cut);
            (void)gossip__part_decode(mu_span_of(exact, cut), &arena, &back);
            mu_free(exact);
        }
    }
    mu_arena_deinit(&arena);
}

static void rules_of_parts(void **unused)
{
    static char long_name[MU_NODE_NAME_MAX + 2];
    static char long_meta[MU_GOSSIP_META_MAX + 1];
    const struct {
        const char *why;
        struct gossip__part part;
    } rows[] = {
        // clang-format off
        { "no name",          { .kind = GOSSIP__PART_DEAD, .dead = { "", "y", 1 } } },
        { "no accuser",       { .kind = GOSSIP__PART_DEAD, .dead = { "x", "", 1 } } },
        { "a long name",      { .kind = GOSSIP__PART_DEAD, .dead = { long_name, "y", 1 } } },
        { "a control byte",   { .kind = GOSSIP__PART_DEAD, .dead = { "x\ny", "y", 1 } } },
        { "not UTF-8",        { .kind = GOSSIP__PART_DEAD, .dead = { "\xff", "y", 1 } } },
        { "2^62",             { .kind = GOSSIP__PART_DEAD, .dead = { "x", "y", 1ULL << 62 } } },
        { "2^62, accused",    { .kind = GOSSIP__PART_SUSPECT, .suspect = { "x", "y", 1ULL << 62, GOSSIP__SILENT } } },
        { "evidence 3",       { .kind = GOSSIP__PART_SUSPECT, .suspect = { "x", "y", 1, (enum gossip__evidence)3 } } },
        { "nack evidence 3",  { .kind = GOSSIP__PART_NACK, .nack = { 1, (enum gossip__evidence)3 } } },
        { "alive nowhere",    { .kind = GOSSIP__PART_ALIVE, .alive = { .node = "x", .incarnation = 1 } } },
        { "long tags",        { .kind = GOSSIP__PART_ALIVE, .alive = { .node = "x", .incarnation = 1, .at = { { 1 }, 4, 1 },
                                .meta = { (const uint8_t *)long_meta, sizeof long_meta } } } },
        { "ping for nobody",  { .kind = GOSSIP__PART_PING, .ping = { .seq = 1, .target = "" } } },
        { "indirect, nowhere", { .kind = GOSSIP__PART_INDIRECT, .indirect = { .target_name = "x", .origin = "y" } } },
        { "leave of nobody",  { .kind = GOSSIP__PART_LEAVE, .intent = { .node = "" } } },
    }; // clang-format on
    struct mu_arena arena;

    (void)unused;
    memset(long_name, 'n', sizeof long_name - 1);
    mu_arena_init(&arena, 1 << 22);
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        struct gossip__part part = rows[r].part;
        struct gossip__part back;

        if (gossip__part_decode(gossip__part_encode(&part, &arena), &arena, &back)) {
            fail_msg("%s: was accepted", rows[r].why);
        }
    }
    mu_arena_deinit(&arena);
}

static void a_kind_of_a_later_version_is_skipped(void **unused)
{
    struct mu_arena arena;
    struct gossip__part back;

    (void)unused;
    mu_arena_init(&arena, 1 << 20);
    /* field 99, length-delimited, two bytes; and field 31, the application's own */
    assert_true(gossip__part_decode(MU_SPAN_LIT("\x9a\x06\x02hi"), &arena, &back));
    assert_int_equal(back.kind, GOSSIP__PART_UNKNOWN);
    assert_true(gossip__part_decode(MU_SPAN_LIT("\xfa\x01\x02hi"), &arena, &back));
    assert_int_equal(back.kind, GOSSIP__PART_UNKNOWN);
    assert_true(gossip__part_decode(MU_SPAN_NONE, &arena, &back));
    assert_int_equal(back.kind, GOSSIP__PART_UNKNOWN);
    mu_arena_deinit(&arena);
}

static void v4_in_v6_is_v4(void **unused)
{
    struct gossip__part part = { .kind = GOSSIP__PART_PING, .ping = { .seq = 1, .target = "t" } };
    static const uint8_t mapped[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 4 };
    struct mu_addr expected = bench_addr(4);
    struct gossip__part back;
    struct mu_arena arena;

    (void)unused;
    mu_arena_init(&arena, 1 << 20);
    memcpy(part.ping.reply_to.ip, mapped, sizeof mapped);
    part.ping.reply_to.ip_bytes = 16;
    part.ping.reply_to.port = 7946;
    assert_true(gossip__part_decode(gossip__part_encode(&part, &arena), &arena, &back));
    assert_true(mu_addr_eq(&back.ping.reply_to, &expected));
    mu_arena_deinit(&arena);
}

/* -- frames -------------------------------------------------------------------------------------
 */

static struct gossip__sync_state full_state(struct mu_arena *arena)
{
    struct gossip__sync_state s = { .ltime = 5, .event_ltime = 6, .query_ltime = 7, .more = true };

    s.nodes = mu_arena_array(arena, 2, sizeof *s.nodes);
    s.nodes[0] =
        (struct gossip__node_state){ full_alive(), GOSSIP__SUSPECT, 1234, GOSSIP__STALLED };
    s.nodes[1] = (struct gossip__node_state){ full_alive(), GOSSIP__GONE, 0, GOSSIP__SILENT };
    s.nodes_count = 2;
    s.times = mu_arena_array(arena, 1, sizeof *s.times);
    s.times[0] = (struct gossip__named_time){ "x", 3 };
    s.times_count = 1;
    s.left = mu_arena_array(arena, 1, sizeof *s.left);
    s.left[0] = (struct gossip__named_time){ "y", 4 };
    s.left_count = 1;
    s.pruned = mu_arena_array(arena, 1, sizeof *s.pruned);
    s.pruned[0] = (struct gossip__tombstone_record){ "z", 1, 2, 3 };
    s.pruned_count = 1;
    return s;
}

#define FRAMES 8U

static struct gossip_keys *full_keys(struct mu_arena *arena)
{
    struct gossip_keys *keys = mu_arena_new(arena, sizeof *keys);

    memset(keys, 0, sizeof *keys);
    keys->ring = (struct gossip_keyring){ { { { 1 }, 16 }, { { 2 }, 32 } }, 2 };
    keys->retired = (struct gossip_keyring){ { { { 3 }, 24 } }, 1 };
    keys->retired_s[0] = 1700000000;
    keys->used = 8;
    keys->forgotten = 2;
    for (keys->marks_count = 0; keys->marks_count < GOSSIP_KEY_MARKS_MAX; keys->marks_count++) {
        keys->marks[keys->marks_count] =
            (struct gossip_key_mark){ UINT64_MAX - keys->marks_count, keys->marks_count,
                                      keys->marks_count % 2 == 0 };
    }
    return keys;
}

static size_t all_frames(struct gossip__frame *out, struct mu_arena *arena)
{
    size_t n = 0;

    memset(out, 0, FRAMES * sizeof *out);
    out[n].kind = GOSSIP__FRAME_HELLO;
    out[n++].hello = (struct gossip__hello){ GOSSIP__HELLO_SYNC, "a", 5, true, bench_addr(1), 77 };
    out[n].kind = GOSSIP__FRAME_PART;
    out[n].part = (struct gossip__part){ .kind = GOSSIP__PART_ACK, .ack = { 5, false } };
    (void)gossip__part_encode(&out[n++].part, arena);
    out[n].kind = GOSSIP__FRAME_STATE;
    out[n++].state = full_state(arena);
    out[n].kind = GOSSIP__FRAME_DIGEST;
    for (size_t i = 0; i < GOSSIP__BUCKETS; i++) {
        out[n].digest.buckets[i] = i * i;
    }
    out[n++].digest.nodes = 17;
    out[n].kind = GOSSIP__FRAME_REJECT;
    out[n++].reject = (struct gossip__reject){ 2, "no", 1000, true, full_alive() };
    out[n].kind = GOSSIP__FRAME_REACH;
    out[n++].reach.udp = true;
    out[n++].kind = GOSSIP__FRAME_DONE;
    out[n].kind = GOSSIP__FRAME_KEYS;
    out[n++].keys = full_keys(arena);
    return n;
}

static void frames_come_back_and_truncations_do_no_harm(void **unused)
{
    struct gossip__frame *frames = mu_new_array(FRAMES, sizeof *frames);
    struct gossip__frame *back = mu_new(sizeof *back);
    struct mu_arena arena;

    (void)unused;
    mu_arena_init(&arena, 1 << 24);
    size_t count = all_frames(frames, &arena);

    for (size_t i = 0; i < count; i++) {
        struct mu_span bytes = gossip__frame_encode(&frames[i], &arena);

        assert_true(gossip__frame_decode(bytes, &arena, back));
        assert_int_equal(back->kind, frames[i].kind);
        assert_true(mu_span_eq(gossip__frame_encode(back, &arena), bytes));
        for (size_t cut = 0; cut < bytes.bytes; cut++) {
            uint8_t *exact = mu_new(cut > 0 ? cut : 1);

            memcpy(exact, bytes.data, cut);
            (void)gossip__frame_decode(mu_span_of(exact, cut), &arena, back);
            mu_free(exact);
        }
    }
    mu_free(frames);
    mu_free(back);
    mu_arena_deinit(&arena);
}

/* -- compressed frames --------------------------------------------------------------------------
 */

#define PACKED_TAG 0x4a

static struct mu_span many_members(struct mu_arena *arena, size_t count)
{
    struct gossip__frame frame = { .kind = GOSSIP__FRAME_STATE };

    frame.state.nodes = mu_arena_array(arena, count, sizeof *frame.state.nodes);
    frame.state.nodes_count = count;
    for (size_t i = 0; i < count; i++) {
        frame.state.nodes[i] = (struct gossip__node_state){ .node = full_alive(), .age_ms = i };
        frame.state.nodes[i].node.node = mu_arena_printf(arena, "node-%zu", i);
    }
    return gossip__frame_encode(&frame, arena);
}

static void what_is_much_alike_travels_compressed(void **unused)
{
    struct gossip__frame *back = mu_new(sizeof *back);
    struct mu_arena arena, theirs;

    (void)unused;
    mu_arena_init(&arena, 1 << 24);
    mu_arena_init(&theirs, 1 << 20);
    struct mu_span two = many_members(&arena, 2);
    struct mu_span many = many_members(&arena, 100);

    assert_int_not_equal(two.data[0], PACKED_TAG); /* little is to be gained */
    assert_int_equal(many.data[0], PACKED_TAG);
    assert_true(many.bytes < 10 * two.bytes);
    assert_true(gossip__frame_decode(many, &arena, back));
    assert_int_equal(back->state.nodes_count, 100);
    assert_string_equal(back->state.nodes[99].node.node, "node-99");
    for (size_t cut = 1; cut < many.bytes; cut++) {
        uint8_t *exact = mu_new(cut);

        memcpy(exact, many.data, cut);
        assert_false(gossip__frame_decode(mu_span_of(exact, cut), &theirs, back));
        mu_free(exact);
        mu_arena_reset(&theirs);
    }
    mu_arena_deinit(&theirs);
    mu_free(back);
    mu_arena_deinit(&arena);
}

/* A frame as if `inner` came to `bytes`. */
static bool takes_packed(size_t bytes, struct mu_span inner)
{
    struct gossip__frame *back = mu_new(sizeof *back);
    struct mu_buf zstd = MU_BUF_NONE, frame = MU_BUF_NONE;
    struct mu_arena arena;
    size_t room = ZSTD_compressBound(inner.bytes);

    mu_arena_init(&arena, 1 << 20);
    zstd.bytes = ZSTD_compress(mu_buf_reserve(&zstd, room), room, inner.data, inner.bytes, 1);
    assert_true(zstd.bytes < 120);
    mu_buf_add_byte(&frame, PACKED_TAG);
    mu_buf_add_byte(&frame, (uint8_t)(zstd.bytes + 6));
    mu_buf_add_byte(&frame, 0x08);
    mu_buf_add_byte(&frame, (uint8_t)(0x80 | (bytes & 0x7f)));
    mu_buf_add_byte(&frame, (uint8_t)(0x80 | (bytes >> 7 & 0x7f)));
    mu_buf_add_byte(&frame, (uint8_t)(bytes >> 14));
    mu_buf_add_byte(&frame, 0x12);
    mu_buf_add_byte(&frame, (uint8_t)zstd.bytes);
    mu_buf_add_span(&frame, mu_buf_span(&zstd));

    bool took = gossip__frame_decode(mu_buf_span(&frame), &arena, back);

    mu_buf_deinit(&zstd);
    mu_buf_deinit(&frame);
    mu_arena_deinit(&arena);
    mu_free(back);
    return took;
}

static void a_packed_frame_is_what_it_says_and_no_bomb(void **unused)
{
    static const uint8_t done[] = { 0x3a, 0x00 };
    static const uint8_t packed[] = { PACKED_TAG, 0x00 };
    static uint8_t zeros[1000000];

    (void)unused;
    assert_true(takes_packed(2, mu_span_of(done, 2)));
    assert_false(takes_packed(3, mu_span_of(done, 2))); /* less than was said */
    assert_false(takes_packed(1, mu_span_of(done, 2)));
    assert_false(takes_packed(0, MU_SPAN_NONE));
    assert_false(takes_packed(2, mu_span_of(packed, 2))); /* one in another */
    zeros[0] = 0x12; /* a Part of so many bytes, all of them zero */
    zeros[1] = 0xfc;
    zeros[2] = 0xff;
    zeros[3] = 0x03;
    assert_false(
        takes_packed(GOSSIP__FRAME_BYTES_MAX + 1, mu_span_of(zeros, GOSSIP__FRAME_BYTES_MAX + 1)));
    assert_false(takes_packed(1000, mu_span_of(zeros, 1000000)));
}

static void memory_for_strangers_is_bounded(void **unused)
{
    struct mu_buf flood = MU_BUF_NONE;
    struct gossip__frame *back = mu_new(sizeof *back);
    struct mu_arena arena;

    (void)unused;
    /* A state frame of nothing but empty node records: two bytes each on the wire. */
    for (size_t i = 0; i < 30000; i++) {
        mu_buf_add(&flood, "\x0a\x00", 2);
    }
    struct mu_buf frame = MU_BUF_NONE;

    mu_buf_add_byte(&frame, 0x1a);
    mu_buf_add_byte(&frame, (uint8_t)(0x80 | (flood.bytes & 0x7f)));
    mu_buf_add_byte(&frame, (uint8_t)(0x80 | (flood.bytes >> 7 & 0x7f)));
    mu_buf_add_byte(&frame, (uint8_t)(flood.bytes >> 14));
    mu_buf_add_span(&frame, mu_buf_span(&flood));
    mu_arena_init(&arena, 8 << 20);
    assert_false(gossip__frame_decode(mu_buf_span(&frame), &arena, back));
    assert_true(arena.bytes <= 8 << 20);
    mu_arena_deinit(&arena);
    mu_buf_deinit(&frame);
    mu_buf_deinit(&flood);
    mu_free(back);
}

static void a_record_says_what_there_is(void **unused)
{
    static const struct {
        const char *why;
        unsigned state, evidence;
        bool ok;
    } rows[] = {
        { "as far as they go", GOSSIP__GONE, GOSSIP__STALLED, true },
        { "no such state", GOSSIP__GONE + 1, GOSSIP__SILENT, false },
        { "no such evidence", GOSSIP__SUSPECT, GOSSIP__STALLED + 1, false },
    };
    struct gossip__frame *back = mu_new(sizeof *back);
    struct mu_arena arena;

    (void)unused;
    mu_arena_init(&arena, 1 << 22);
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        struct gossip__frame frame = { .kind = GOSSIP__FRAME_STATE, .state = full_state(&arena) };

        frame.state.nodes[0].state = (enum gossip__state)rows[r].state;
        frame.state.nodes[0].evidence = (enum gossip__evidence)rows[r].evidence;
        if (gossip__frame_decode(gossip__frame_encode(&frame, &arena), &arena, back) !=
            rows[r].ok) {
            fail_msg("%s", rows[r].why);
        }
    }
    mu_arena_deinit(&arena);
    mu_free(back);
}

/* -- tags ---------------------------------------------------------------------------------------
 */

static void tags_are_sorted_and_bounded(void **unused)
{
    struct mu_pair items[] = {
        { MU_SPAN_LIT("role"), MU_SPAN_LIT("db") },
        { MU_SPAN_LIT("dc"), MU_SPAN_LIT("dc1") },
        { MU_SPAN_LIT("empty"), MU_SPAN_LIT("") },
    };
    struct mu_pairs tags = { items, MU_LEN(items) };
    struct mu_pairs back;
    struct mu_arena arena;
    static char big[MU_GOSSIP_META_MAX];

    (void)unused;
    mu_arena_init(&arena, 0);
    struct mu_span meta = gossip__tags_encode(&tags, &arena);

    assert_int_equal(meta.bytes, gossip__tags_bytes(&tags));
    assert_true(gossip__tags_decode(meta, &arena, &back));
    assert_int_equal(back.count, 3);
    assert_true(mu_span_eq_text(back.items[0].key, "dc"));
    assert_true(mu_span_eq_text(back.items[1].key, "empty"));
    assert_true(mu_span_eq_text(back.items[2].value, "db"));
    for (size_t cut = 0; cut < meta.bytes; cut++) {
        uint8_t *exact = mu_new(cut > 0 ? cut : 1);

        memcpy(exact, meta.data, cut);
        (void)gossip__tags_decode(mu_span_of(exact, cut), &arena, &back);
        mu_free(exact);
    }
    assert_false(gossip__tags_decode(MU_SPAN_LIT("\x01k\x00\x00\x01k\x00\x00"), &arena, &back));
    assert_false(gossip__tags_decode(MU_SPAN_LIT("\x01\xff\x00\x00"), &arena, &back));

    memset(big, 'v', sizeof big);
    items[0].value = mu_span_of(big, sizeof big - 3 - 4 -
                                         gossip__tags_bytes(&(struct mu_pairs){ items + 1, 2 }));
    assert_int_equal(gossip__tags_bytes(&tags), MU_GOSSIP_META_MAX);
    (void)gossip__tags_encode(&tags, &arena);
    assert_int_equal(gossip_tags_check(&tags, NULL), MU_OK);
    items[0].value.bytes++;
    assert_int_equal(gossip_tags_check(&tags, NULL), MU_TOO_BIG);
    mu_arena_deinit(&arena);
}

static void why_tags_are_refused_is_said(void **unused)
{
    static char big[256];
    const struct {
        struct mu_pair tag;
        const char *why;
    } rows[] = {
        { { MU_SPAN_LIT("k\xff"), MU_SPAN_LIT("v") }, "The key of tag 'k\xff' is not UTF-8" },
        { { MU_SPAN_LIT("k"), MU_SPAN_LIT("\xff") }, "The value of tag 'k' is not UTF-8" },
        { { mu_span_of(big, 256), MU_SPAN_NONE },
          "The key of tag 'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk...' "
          "has "
          "256 bytes, at most 255 fit" },
    };

    (void)unused;
    memset(big, 'k', sizeof big);
    for (size_t r = 0; r < MU_LEN(rows); r++) {
        struct mu_pair tag = rows[r].tag;
        struct mu_err err = MU_ERR_NONE;

        assert_int_not_equal(gossip_tags_check(&(struct mu_pairs){ &tag, 1 }, &err), MU_OK);
        assert_string_equal(err.text, rows[r].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_come_back_and_truncations_do_no_harm),
        cmocka_unit_test(rules_of_parts),
        cmocka_unit_test(a_kind_of_a_later_version_is_skipped),
        cmocka_unit_test(v4_in_v6_is_v4),
        cmocka_unit_test(frames_come_back_and_truncations_do_no_harm),
        cmocka_unit_test(what_is_much_alike_travels_compressed),
        cmocka_unit_test(a_packed_frame_is_what_it_says_and_no_bomb),
        cmocka_unit_test(memory_for_strangers_is_bounded),
        cmocka_unit_test(a_record_says_what_there_is),
        cmocka_unit_test(tags_are_sorted_and_bounded),
        cmocka_unit_test(why_tags_are_refused_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
