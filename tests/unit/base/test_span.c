#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/assert.h"
#include "base/span.h"

static void spans_are_compared(void **state)
{
    static const struct {
        const char *a, *b;
        int order;
        bool fold;
    } cases[] = {
        // clang-format off
        { "", "", 0, true }, { "a", "a", 0, true }, { "a", "b", -1, false },
        { "a", "ab", -1, false }, { "b", "ab", 1, false }, { "A", "a", -1, true },
        { "aBc-1", "AbC-1", 1, true }, { "\xc3\x84", "\xc3\xa4", -1, false },
        { "\x80", "\x7f", 1, false }, { "[", "{", -1, false }, { "@", "`", -1, false },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_span a = mu_span_text(cases[i].a);
        struct mu_span b = mu_span_text(cases[i].b);
        int order = mu_span_cmp(a, b);
        int back = mu_span_cmp(b, a);

        if ((order > 0) - (order < 0) != cases[i].order ||
            (back > 0) - (back < 0) != -cases[i].order ||
            mu_span_eq(a, b) != (cases[i].order == 0) ||
            mu_span_eq_text(a, cases[i].b) != (cases[i].order == 0) ||
            mu_span_eq_fold(a, b) != cases[i].fold) {
            fail_msg("'%s' and '%s': %d", cases[i].a, cases[i].b, order);
        }
    }
    assert_true(mu_span_eq(MU_SPAN_NONE, mu_span_text(NULL)));
    assert_true(mu_span_eq(MU_SPAN_NONE, mu_span_text("")));
    assert_int_equal(mu_span_cmp(MU_SPAN_NONE, MU_SPAN_LIT("")), 0);
}

static void prefixes_and_parts(void **state)
{
    struct mu_span s = MU_SPAN_LIT("abcdef");

    (void)state;
    assert_true(mu_span_starts(s, MU_SPAN_LIT("abc")));
    assert_true(mu_span_starts(s, MU_SPAN_NONE));
    assert_false(mu_span_starts(s, MU_SPAN_LIT("abd")));
    assert_false(mu_span_starts(MU_SPAN_LIT("ab"), MU_SPAN_LIT("abc")));
    assert_true(mu_span_eq_text(mu_span_sub(s, 0, 3), "abc"));
    assert_true(mu_span_eq_text(mu_span_sub(s, 4, 99), "ef"));
    assert_true(mu_span_eq_text(mu_span_sub(s, 6, 1), ""));
    assert_true(mu_span_eq_text(mu_span_sub(s, 99, SIZE_MAX), ""));
    assert_true(mu_span_eq_text(mu_span_sub(s, 1, SIZE_MAX), "bcdef"));
}

static void spans_are_split(void **state)
{
    static const struct {
        const char *text, *first, *rest;
        bool found;
    } cases[] = {
        // clang-format off
        { "a,b,c", "a", "b,c", true }, { "a", "a", "", false }, { "a,", "a", "", true },
        { ",a", "", "a", true }, { "", "", "", false }, { ",", "", "", true },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_span rest;
        bool found = !cases[i].found;
        struct mu_span first = mu_span_split(mu_span_text(cases[i].text), ',', &rest, &found);

        if (!mu_span_eq_text(first, cases[i].first) || !mu_span_eq_text(rest, cases[i].rest) ||
            found != cases[i].found) {
            fail_msg("'%s'", cases[i].text);
        }
        (void)mu_span_split(mu_span_text(cases[i].text), ',', &rest, NULL);
    }
}

static void letters_are_folded(void **state)
{
    uint8_t to[8] = { 0 };

    (void)state;
    mu_span_fold(MU_SPAN_LIT("AzZ@[\xc3\x84"), to);
    assert_memory_equal(to, "azz@[\xc3\x84", 8);
    mu_span_fold(MU_SPAN_NONE, NULL);
}

static void numbers_are_read(void **state)
{
    static const struct {
        const char *text;
        bool is_number;
        uint64_t value;
    } cases[] = {
        // clang-format off
        { "0", true, 0 }, { "007", true, 7 }, { "18446744073709551615", true, UINT64_MAX },
        { "18446744073709551616", false, 0 }, { "18446744073709551620", false, 0 },
        { "99999999999999999999", false, 0 }, { "", false, 0 }, { "-1", false, 0 },
        { "+1", false, 0 }, { " 1", false, 0 }, { "1 ", false, 0 }, { "0x1", false, 0 },
        { "1e3", false, 0 }, { ":", false, 0 }, { "/", false, 0 },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        uint64_t value = 0;

        if (mu_span_u64(mu_span_text(cases[i].text), &value) != cases[i].is_number ||
            value != cases[i].value) {
            fail_msg("'%s' gave %llu", cases[i].text, (unsigned long long)value);
        }
    }
}

static void utf8_is_recognised(void **state)
{
    static const struct {
        const char *why;
        struct mu_span text;
        size_t prefix;
    } cases[] = {
        // clang-format off
        { "nothing",                 MU_SPAN_LIT(""), 0 },
        { "ASCII",                   MU_SPAN_LIT("abc\x01\x7f"), 5 },
        { "two bytes",               MU_SPAN_LIT("\xc2\x80\xdf\xbf"), 4 },
        { "three bytes",             MU_SPAN_LIT("\xe0\xa0\x80\xef\xbf\xbf"), 6 },
        { "before the surrogates",   MU_SPAN_LIT("\xed\x9f\xbf"), 3 },
        { "behind the surrogates",   MU_SPAN_LIT("\xee\x80\x80"), 3 },
        { "four bytes",              MU_SPAN_LIT("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"), 8 },
        { "NUL",                     MU_SPAN_LIT("a\0b"), 1 },
        { "a surrogate",             MU_SPAN_LIT("a\xed\xa0\x80"), 1 },
        { "the last surrogate",      MU_SPAN_LIT("a\xed\xbf\xbf"), 1 },
        { "overlong NUL",            MU_SPAN_LIT("a\xc0\x80"), 1 },
        { "overlong slash",          MU_SPAN_LIT("a\xc0\xaf"), 1 },
        { "overlong in three",       MU_SPAN_LIT("a\xe0\x9f\xbf"), 1 },
        { "overlong in four",        MU_SPAN_LIT("a\xf0\x8f\xbf\xbf"), 1 },
        { "above U+10FFFF",          MU_SPAN_LIT("a\xf4\x90\x80\x80"), 1 },
        { "five bytes",              MU_SPAN_LIT("a\xf8\x88\x80\x80\x80"), 1 },
        { "0xff",                    MU_SPAN_LIT("a\xff"), 1 },
        { "a continuation alone",    MU_SPAN_LIT("a\x80"), 1 },
        { "cut in two",              MU_SPAN_LIT("a\xc3"), 1 },
        { "cut in three",            MU_SPAN_LIT("a\xe2\x82"), 1 },
        { "cut in four",             MU_SPAN_LIT("a\xf0\x9f\x98"), 1 },
        { "no continuation",         MU_SPAN_LIT("a\xc3(b"), 1 },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        size_t prefix = mu_span_utf8_prefix(cases[i].text);

        if (prefix != cases[i].prefix ||
            mu_span_is_utf8(cases[i].text) != (prefix == cases[i].text.bytes)) {
            fail_msg("%s: %zu", cases[i].why, prefix);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_are_compared), cmocka_unit_test(prefixes_and_parts),
        cmocka_unit_test(spans_are_split),    cmocka_unit_test(letters_are_folded),
        cmocka_unit_test(numbers_are_read),   cmocka_unit_test(utf8_is_recognised),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
