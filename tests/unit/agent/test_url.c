#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "url.h"

static void urls_are_taken_apart(void **state)
{
    static const struct {
        const char *why, *text, *parts, *target;
    } cases[] = {
        // clang-format off
        { "everything", "http://u:p@h.example:8080/a/b?c=d#e", "http u:p h.example 8080", "/a/b?c=d" },
        { "the least", "http://h", "http  h 0", "/" },
        { "only a query", "http://h?a=b", "http  h 0", "/?a=b" },
        { "IPv6", "http://[::1]:80/", "http  ::1 80", "/" },
        { "IPv6 without a port", "http://[::1]", "http  ::1 0", "/" },
        { "an empty port", "http://h:/", "http  h 0", "/" },
        { "an @ in the password", "http://u:p@q@h/", "http u:p@q h 0", "/" },
        { "no scheme", "h/a", "   0", "h/a" },
        { "a scheme that looks like a host", "localhost:80/a", "localhost   0", "80/a" },
        { "no host", "http:///a", "http   0", "/a" },
        { "bytes that cannot stand in a request line", "http://h/a b\xc3\xa9\"?x y", "http  h 0",
          "/a%20b%C3%A9%22?x%20y" },
        { "escapes stay as they are", "http://h/%20%zz", "http  h 0", "/%20%zz" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_err err = MU_ERR_NONE;
        struct mu_arena arena;
        struct url u;
        char parts[256];

        mu_arena_init(&arena, 0);
        enum mu_code code = url_read(&u, mu_span_text(cases[i].text), &err);

        (void)snprintf(parts, sizeof parts, "%.*s %.*s %.*s %u", MU_SPAN_FMT(u.scheme),
                       MU_SPAN_FMT(u.userinfo), MU_SPAN_FMT(u.host), (unsigned)u.port);
        struct mu_span target = url_target(&u, &arena);

        if (code != MU_OK || strcmp(parts, cases[i].parts) != 0 ||
            !mu_span_eq_text(target, cases[i].target)) {
            fail_msg("%s: '%s' is '%s', target '%.*s' (%s)", cases[i].why, cases[i].text, parts,
                     MU_SPAN_FMT(target), err.text);
        }
        mu_arena_deinit(&arena);
    }
}

static void bad_urls_are_refused_in_words(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        // clang-format off
        { "http://h:x/", "parse \"http://h:x/\": invalid port \":x\" after host" },
        { "http://h:65536/", "parse \"http://h:65536/\": invalid port \":65536\" after host" },
        { "http://h:0/", "parse \"http://h:0/\": invalid port \":0\" after host" },
        { "http://[::1/", "parse \"http://[::1/\": missing ']' in host" },
        { "http://[::1]x/", "parse \"http://[::1]x/\": invalid character after ']' in host" },
        { "http://a b/", "parse \"http://a b/\": invalid character in host name" },
        { "127.0.0.1:80/a", "parse \"127.0.0.1:80/a\": first path segment in URL cannot contain "
                            "colon" },
        { "://h", "parse \"://h\": missing protocol scheme" },
        { "http://h/\r\nX: y", "net/url: invalid control character in URL" },
        { "http://h/\x7f", "net/url: invalid control character in URL" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_err err = MU_ERR_NONE;
        struct url u;

        if (url_read(&u, mu_span_text(cases[i].text), &err) != MU_INVALID ||
            strcmp(err.text, cases[i].error) != 0) {
            fail_msg("'%s' gave '%s'", cases[i].text, err.text);
        }
    }
}

/* RFC 3986 section 5.4, as far as a Location header goes. */
static void references_are_resolved(void **state)
{
    static const struct {
        const char *reference, *expected;
    } cases[] = {
        // clang-format off
        { "g:h",           "g:h" },
        { "g",             "http://a/b/c/g" },
        { "./g",           "http://a/b/c/g" },
        { "g/",            "http://a/b/c/g/" },
        { "/g",            "http://a/g" },
        { "//g/x",         "http://g/x" },
        { "?y",            "http://a/b/c/d;p?y" },
        { "g?y",           "http://a/b/c/g?y" },
        { "#s",            "http://a/b/c/d;p?q" },
        { "g?y#s",         "http://a/b/c/g?y" },
        { "",              "http://a/b/c/d;p?q" },
        { ".",             "http://a/b/c/" },
        { "..",            "http://a/b/" },
        { "../g",          "http://a/b/g" },
        { "../..",         "http://a/" },
        { "../../../../g", "http://a/g" },
        { "/./g",          "http://a/g" },
        { "/../g",         "http://a/g" },
        { "g.",            "http://a/b/c/g." },
        { "..g",           "http://a/b/c/..g" },
        { "./../g",        "http://a/b/g" },
        { "g/./h",         "http://a/b/c/g/h" },
        { "g;x=1/../y",    "http://a/b/c/y" },
        { "g?y/../x",      "http://a/b/c/g?y/../x" },
        { "https://x/..",  "https://x/.." },
    }; // clang-format on
    struct url base;

    (void)state;
    assert_int_equal(url_read(&base, MU_SPAN_LIT("http://u:p@a/b/c/d;p?q"), NULL), MU_OK);
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_arena arena;

        mu_arena_init(&arena, 0);
        struct mu_span got = url_resolve(&base, mu_span_text(cases[i].reference), &arena);

        if (!mu_span_eq_text(got, cases[i].expected)) {
            fail_msg("'%s' gave '%.*s', not '%s'", cases[i].reference, MU_SPAN_FMT(got),
                     cases[i].expected);
        }
        mu_arena_deinit(&arena);
    }
    assert_int_equal(url_read(&base, MU_SPAN_LIT("http://a"), NULL), MU_OK);
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    assert_true(mu_span_eq_text(url_resolve(&base, MU_SPAN_LIT("g"), &arena), "http://a/g"));
    mu_arena_deinit(&arena);
}

static void passwords_are_not_shown(void **state)
{
    struct mu_arena arena;
    struct url u;

    (void)state;
    mu_arena_init(&arena, 0);
    assert_int_equal(url_read(&u, MU_SPAN_LIT("http://u:secret@h/a"), NULL), MU_OK);
    assert_true(mu_span_eq_text(url_shown(&u, &arena), "http://u:***@h/a"));
    assert_int_equal(url_read(&u, MU_SPAN_LIT("http://u@h/a"), NULL), MU_OK);
    assert_true(mu_span_eq_text(url_shown(&u, &arena), "http://u@h/a"));
    assert_true(mu_span_eq_text(url_unescape(MU_SPAN_LIT("%41%zz%2"), &arena), "A%zz%2"));
    mu_arena_deinit(&arena);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(bad_urls_are_refused_in_words),
        cmocka_unit_test(references_are_resolved),
        cmocka_unit_test(passwords_are_not_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
