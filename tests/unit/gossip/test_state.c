/* The state file as text: back as it was, and whole lines out of damaged files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/mem.h"
#include "state.h"

static struct gossip_view peer(const char *name, enum gossip_status status)
{
    return (struct gossip_view){ .name = name,
                                 .addr = { .ip = { 10, 0, 0, 1 }, .ip_bytes = 4, .port = 8301 },
                                 .status = status };
}

static const struct coordinate place = { .vec = { 0.0125, -0.25, 0, 0, 0, 0, 0, 1e-9 },
                                         .error = 0.375,
                                         .height = 1e-5 };

static void compose(struct mu_buf *text)
{
    static const struct {
        const char *name;
        enum gossip_status status;
    } members[] = {
        { "alpha", GOSSIP_STATUS_ALIVE },
        { "with blanks in it", GOSSIP_STATUS_FAILED },
        { "gone", GOSSIP_STATUS_LEFT },
        { "leaving", GOSSIP_STATUS_LEAVING },
    };

    gossip__state_begin(text, &(struct gossip__clocks){ .incarnation = 1234, .member_time = 17 },
                        false);
    gossip__state_add_coordinate(text, &place);
    for (size_t i = 0; i < MU_LEN(members); i++) {
        struct gossip_view view = peer(members[i].name, members[i].status);

        gossip__state_add(text, &view);
    }
}

static void it_comes_back_as_it_was(void **unused)
{
    struct mu_buf text = MU_BUF_NONE;
    struct gossip__kept s;
    struct mu_arena arena;
    char addr[MU_ADDR_TEXT_MAX];

    (void)unused;
    mu_arena_init(&arena, 0);
    compose(&text);
    gossip__state_read(mu_buf_span(&text), &arena, &s);
    assert_int_equal(s.clocks.incarnation, 1234);
    assert_int_equal(s.clocks.member_time, 17);
    assert_true(s.has_coordinate && coordinate_eq(&s.coordinate, &place));
    assert_false(s.has_left);
    assert_int_equal(s.skipped, 0);
    assert_int_equal(s.known_count, 2); /* who left or is leaving is not looked for again */
    assert_string_equal(s.known[0].name, "alpha");
    assert_string_equal(s.known[1].name, "with blanks in it");
    mu_addr_text(&s.known[1].addr, addr);
    assert_string_equal(addr, "10.0.0.1:8301");
    mu_buf_clear(&text);
    gossip__state_begin(&text, &(struct gossip__clocks){ .incarnation = 5, .member_time = 1 },
                        true);
    gossip__state_read(mu_buf_span(&text), &arena, &s);
    assert_true(s.has_left);
    mu_buf_deinit(&text);
    mu_arena_deinit(&arena);
}

static void a_flipped_bit_costs_one_line(void **unused)
{
    struct mu_buf text = MU_BUF_NONE;
    struct mu_arena arena;

    (void)unused;
    compose(&text);
    for (size_t i = sizeof "muster gossip 1"; i < text.bytes; i++) {
        struct gossip__kept s;

        mu_arena_init(&arena, 0);
        text.data[i] ^= 0x04;
        gossip__state_read(mu_buf_span(&text), &arena, &s);
        text.data[i] ^= 0x04;
        assert_in_range(s.skipped, 1, 2); /* a lost line end joins two */
        assert_true((s.clocks.incarnation == 1234) + (s.clocks.member_time == 17) +
                        (int)s.known_count >=
                    2);
        assert_true(s.clocks.incarnation == 1234 || s.clocks.incarnation == 0);
        mu_arena_deinit(&arena);
    }
    mu_buf_deinit(&text);
}

static void torn_zeroed_and_foreign_files(void **unused)
{
    struct mu_buf text = MU_BUF_NONE;
    struct gossip__kept s;
    struct mu_arena arena;

    (void)unused;
    mu_arena_init(&arena, 0);
    compose(&text);
    for (size_t cut = 0; cut <= text.bytes; cut++) {
        uint8_t *exact = mu_new(cut > 0 ? cut : 1);

        memcpy(exact, text.data, cut);
        gossip__state_read(mu_span_of(exact, cut), &arena, &s);
        assert_true(s.skipped <= 1);
        mu_free(exact);
    }
    memset(text.data + text.bytes / 2, 0, text.bytes - text.bytes / 2);
    gossip__state_read(mu_buf_span(&text), &arena, &s);
    assert_int_equal(s.clocks.incarnation, 1234);
    gossip__state_read(MU_SPAN_LIT("something else\nalive x 1.2.3.4:5\n"), &arena, &s);
    assert_int_equal(s.known_count, 0);
    assert_int_equal(s.clocks.incarnation, 0);
    mu_buf_deinit(&text);
    mu_arena_deinit(&arena);
}

static void more_peers_than_are_kept(void **unused)
{
    struct mu_buf text = MU_BUF_NONE;
    struct gossip_view view = peer("x", GOSSIP_STATUS_ALIVE);
    struct gossip__kept s;
    struct mu_arena arena;

    (void)unused;
    mu_arena_init(&arena, 0);
    gossip__state_begin(&text, &(struct gossip__clocks){ .incarnation = 1, .member_time = 1 },
                        false);
    for (unsigned i = 0; i < GOSSIP__KNOWN_MAX + 10; i++) {
        gossip__state_add(&text, &view);
    }
    gossip__state_read(mu_buf_span(&text), &arena, &s);
    assert_int_equal(s.known_count, GOSSIP__KNOWN_MAX);
    assert_int_equal(s.skipped, 10);
    mu_buf_deinit(&text);
    mu_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_back_as_it_was),
        cmocka_unit_test(a_flipped_bit_costs_one_line),
        cmocka_unit_test(torn_zeroed_and_foreign_files),
        cmocka_unit_test(more_peers_than_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
