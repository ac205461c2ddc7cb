#include "cm.h"

#include <string.h>

#include "base/assert.h"
#include "target.h"

static void escapes_are_undone(void **state)
{
    static const struct {
        const char *why, *text;
        bool is_query;
        const char *plain; /* NULL: refused */
    } cases[] = {
        // clang-format off
        { "nothing to do",               "a/b",      false, "a/b" },
        { "an escaped slash is a slash", "a%2Fb",    false, "a/b" },
        { "either case of digit",        "%2f%2F",   false, "//" },
        { "plus stays in a path",        "a+b",      false, "a+b" },
        { "plus is a blank in a query",  "a+b%2B",   true,  "a b+" },
        { "cut at the percent sign",     "a%",       false, NULL },
        { "cut behind one digit",        "a%2",      false, NULL },
        { "no hex digit",                "%zz",      true,  NULL },
        { "empty",                       "",         true,  "" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_arena arena;
        struct mu_span out = MU_SPAN_NONE;

        mu_arena_init(&arena, 0);
        bool ok = target_decode(mu_span_text(cases[i].text), cases[i].is_query, &arena, &out);

        if (ok != (cases[i].plain != NULL) || (ok && !mu_span_eq_text(out, cases[i].plain))) {
            fail_msg("%s: '%s' gave %d '%.*s'", cases[i].why, cases[i].text, ok, MU_SPAN_FMT(out));
        }
        mu_arena_deinit(&arena);
    }
}

static void paths_are_cleaned(void **state)
{
    static const struct {
        const char *why, *path, *clean;
    } cases[] = {
        // clang-format off
        { "clean",                          "/v1/kv/a",       "/v1/kv/a" },
        { "a slash at the end stays",       "/v1/kv/a/",      "/v1/kv/a/" },
        { "the root",                       "/",              "/" },
        { "two slashes",                    "/v1//kv",        "/v1/kv" },
        { "two slashes at the end",         "/v1/kv//",       "/v1/kv/" },
        { "a dot",                          "/v1/./kv",       "/v1/kv" },
        { "two dots go up",                 "/v1/x/../kv",    "/v1/kv" },
        { "not above the root",             "/../../v1",      "/v1" },
        { "nothing is left",                "/a/..",          "/" },
        { "dots in a name are letters",     "/v1/kv/..a/b..", "/v1/kv/..a/b.." },
        { "three dots too",                 "/.../a",         "/.../a" },
        { "only slashes",                   "////",           "/" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_arena arena;

        mu_arena_init(&arena, 0);
        struct mu_span clean = target_clean(mu_span_text(cases[i].path), &arena);

        if (!mu_span_eq_text(clean, cases[i].clean)) {
            fail_msg("%s: '%s' became '%.*s'", cases[i].why, cases[i].path, MU_SPAN_FMT(clean));
        }
        mu_arena_deinit(&arena);
    }
}

static void only_printable_paths_pass(void **state)
{
    static const struct {
        const char *why, *path;
        bool ok;
    } cases[] = {
        // clang-format off
        { "letters",                     "/v1/kv/a b",          true },
        { "umlauts",                     "/v1/kv/\xc3\xbc",     true },
        { "Greek",                       "/v1/kv/\xce\xb1",     true },
        { "a line end",                  "/v1/kv/a\nb",         false },
        { "delete",                      "/v1/kv/\x7f",         false },
        { "a control character of C1",   "/v1/kv/\xc2\x85",     false },
        { "a blank that is not U+0020",  "/v1/kv/\xc2\xa0",     false },
        { "zero width",                  "/v1/kv/\xe2\x80\x8b", false },
        { "right to left override",      "/v1/kv/\xe2\x80\xae", false },
        { "bytes that are no text",      "/v1/kv/\xff\xfe",     true },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        if (target_is_printable(mu_span_text(cases[i].path)) != cases[i].ok) {
            fail_msg("%s", cases[i].why);
        }
    }
    assert_false(target_is_printable(mu_span_of("a\0b", 3)));
}

static void escaping_is_undone_by_decoding(void **state)
{
    struct mu_arena arena;
    struct mu_buf text = MU_BUF_NONE;
    uint8_t all[255];
    struct mu_span back;

    (void)state;
    mu_arena_init(&arena, 0);
    for (size_t i = 0; i < sizeof all; i++) {
        all[i] = (uint8_t)(i + 1);
    }
    target_escape_query(&text, mu_span_of(all, sizeof all));
    assert_true(target_decode(mu_buf_span(&text), true, &arena, &back));
    assert_true(mu_span_eq(back, mu_span_of(all, sizeof all)));
    mu_buf_clear(&text);
    target_escape_path(&text, mu_span_of(all, sizeof all));
    assert_true(target_decode(mu_buf_span(&text), false, &arena, &back));
    assert_true(mu_span_eq(back, mu_span_of(all, sizeof all)));
    mu_buf_deinit(&text);
    mu_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_are_undone),
        cmocka_unit_test(paths_are_cleaned),
        cmocka_unit_test(only_printable_paths_pass),
        cmocka_unit_test(escaping_is_undone_by_decoding),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
