#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/assert.h"
#include "base/wire.h"

static void write_all(struct mu_wr *w)
{
    mu_wr_u8(w, 0x01);
    mu_wr_u16le(w, 0x0203);
    mu_wr_u16be(w, 0x0405);
    mu_wr_u32le(w, 0x06070809);
    mu_wr_u32be(w, 0x0a0b0c0d);
    mu_wr_u64le(w, 0x0e0f101112131415);
    mu_wr_u64be(w, 0x161718191a1b1c1d);
    mu_wr_bytes(w, "ab", 2);
    mu_wr_span(w, MU_SPAN_LIT("cd"));
}

static const uint8_t written[] = {
    0x01, 0x03, 0x02, 0x04, 0x05, 0x09, 0x08, 0x07, 0x06, 0x0a, 0x0b,
    0x0c, 0x0d, 0x15, 0x14, 0x13, 0x12, 0x11, 0x10, 0x0f, 0x0e, 0x16,
    0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 'a',  'b',  'c',  'd',
};

static void numbers_have_their_byte_order(void **state)
{
    uint8_t room[sizeof written];
    struct mu_wr w = mu_wr_of(room, sizeof room);
    struct mu_rd r = mu_rd_of(mu_span_of(written, sizeof written));

    (void)state;
    write_all(&w);
    assert_true(mu_wr_ok(&w));
    assert_true(mu_span_eq(mu_wr_done(&w), mu_span_of(written, sizeof written)));
    assert_int_equal(mu_rd_u8(&r), 0x01);
    assert_int_equal(mu_rd_u16le(&r), 0x0203);
    assert_int_equal(mu_rd_u16be(&r), 0x0405);
    assert_int_equal(mu_rd_u32le(&r), 0x06070809);
    assert_int_equal(mu_rd_u32be(&r), 0x0a0b0c0d);
    assert_int_equal(mu_rd_u64le(&r), 0x0e0f101112131415);
    assert_int_equal(mu_rd_u64be(&r), 0x161718191a1b1c1d);
    assert_true(mu_span_eq_text(mu_rd_take(&r, 2), "ab"));
    assert_false(mu_rd_done(&r));
    mu_rd_skip(&r, 2);
    assert_true(mu_rd_ok(&r));
    assert_true(mu_rd_done(&r));
    assert_true(mu_span_eq_text(mu_rd_take(&r, 0), ""));
    assert_true(mu_rd_done(&r));
}

/* After the first read past the end everything is zero and nothing moves. */
static void a_readers_error_sticks(void **state)
{
    (void)state;
    for (size_t cut = 0; cut < sizeof written; cut++) {
        uint8_t exact[sizeof written];
        struct mu_rd r = mu_rd_of(mu_span_of(exact, cut));

        memcpy(exact, written, cut);
        (void)mu_rd_u8(&r);
        (void)mu_rd_u16le(&r);
        (void)mu_rd_u16be(&r);
        (void)mu_rd_u32le(&r);
        (void)mu_rd_u32be(&r);
        (void)mu_rd_u64le(&r);
        (void)mu_rd_u64be(&r);
        (void)mu_rd_take(&r, 4);
        assert_false(mu_rd_ok(&r));
        assert_false(mu_rd_done(&r));
        struct mu_rd before = r;

        assert_int_equal(mu_rd_u8(&r), 0);
        assert_int_equal(mu_rd_u64be(&r), 0);
        assert_null(mu_rd_take(&r, 1).data);
        assert_null(mu_rd_take(&r, 0).data);
        assert_ptr_equal(r.at, before.at);
        assert_int_equal(r.left, before.left);
    }
    struct mu_rd r = mu_rd_of(MU_SPAN_LIT("abc"));

    mu_rd_skip(&r, SIZE_MAX);
    assert_false(mu_rd_ok(&r));
}

/* What does not fit is not written, and nothing is behind it. */
static void a_writers_error_sticks(void **state)
{
    (void)state;
    for (size_t room = 0; room < sizeof written; room++) {
        uint8_t bytes[sizeof written + 1];

        memset(bytes, 0xee, sizeof bytes);
        struct mu_wr w = mu_wr_of(bytes, room);

        write_all(&w);
        assert_false(mu_wr_ok(&w));
        assert_memory_equal(bytes, written, w.used);
        for (size_t i = w.used; i < sizeof bytes; i++) {
            assert_int_equal(bytes[i], 0xee);
        }
        size_t used = w.used;

        mu_wr_u8(&w, 1);
        assert_int_equal(w.used, used);
    }
    struct mu_wr none = mu_wr_of(NULL, 0);

    mu_wr_span(&none, MU_SPAN_NONE);
    assert_true(mu_wr_ok(&none));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_have_their_byte_order),
        cmocka_unit_test(a_readers_error_sticks),
        cmocka_unit_test(a_writers_error_sticks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
