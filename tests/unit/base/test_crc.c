#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/assert.h"
#include "base/crc.h"

static void known_values(void **state)
{
    static const uint8_t ascending[32] = { 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                           11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                           22, 23, 24, 25, 26, 27, 28, 29, 30, 31 };
    static const uint8_t zeros[32];
    static const uint8_t iscsi[48] = { 0x01, 0xc0, 0,    0, 0, 0, 0, 0,    0, 0, 0,   0, 0,    0, 0,
                                       0,    0x14, 0,    0, 0, 0, 0, 0x04, 0, 0, 0,   0, 0x14, 0, 0,
                                       0,    0x18, 0x28, 0, 0, 0, 0, 0,    0, 0, 0x02 };
    uint8_t ones[32];

    (void)state;
    memset(ones, 0xff, sizeof ones);
    assert_int_equal(mu_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(mu_crc32c(0, "", 0), 0);
    assert_int_equal(mu_crc32c(0, "a", 1), 0xc1d04330);
    /* RFC 3720 appendix B.4 */
    assert_int_equal(mu_crc32c(0, zeros, sizeof zeros), 0x8a9136aa);
    assert_int_equal(mu_crc32c(0, ones, sizeof ones), 0x62a8ab43);
    assert_int_equal(mu_crc32c(0, ascending, sizeof ascending), 0x46dd794e);
    assert_int_equal(mu_crc32c(0, iscsi, sizeof iscsi), 0xd9963a56);
}

/* Bit by bit, as the standard defines it: the other way the processor's must agree with. */
static uint32_t by_definition(const uint8_t *data, size_t bytes)
{
    uint32_t crc = 0xffffffffU;

    for (size_t i = 0; i < bytes; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc & 1 ? crc >> 1 ^ 0x82f63b78U : crc >> 1;
        }
    }
    return ~crc;
}

static void any_length_at_any_place_in_any_parts(void **state)
{
    uint8_t data[200];

    (void)state;
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 131 + 7);
    }
    for (size_t from = 0; from < 9; from++) {
        for (size_t bytes = 0; bytes + from <= sizeof data; bytes++) {
            uint32_t whole = by_definition(data + from, bytes);
            size_t cut = bytes / 3;

            assert_int_equal(mu_crc32c(0, data + from, bytes), whole);
            assert_int_equal(
                mu_crc32c(mu_crc32c(0, data + from, cut), data + from + cut, bytes - cut), whole);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(any_length_at_any_place_in_any_parts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
