#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/pattern.h"

static void expressions_match_as_in_re2(void **state)
{
    static const struct {
        const char *why, *pattern, *text;
        bool matches;
    } cases[] = {
        // clang-format off
        { "anywhere",                         "b",              "abc",       true },
        { "not there",                        "d",              "abc",       false },
        { "nothing matches everything",       "",               "",          true },
        { "begin",                            "^a",             "abc",       true },
        { "begin is not in the middle",       "^b",             "abc",       false },
        { "end",                              "c$",             "abc",       true },
        { "end is not before a line end",     "c$",             "abc\n",     false },
        { "lines when asked",                 "(?m)^b$",        "a\nb\nc",   true },
        { "the whole",                        "^abc$",          "abc",       true },
        { "a dot",                            "a.c",            "abc",       true },
        { "a dot is no line end",             "a.c",            "a\nc",      false },
        { "unless asked",                     "(?s)a.c",        "a\nc",      true },
        { "a dot is a whole character",       "^.$",            "\xc3\xbc",  true },
        { "star",                             "^ab*c$",         "ac",        true },
        { "star, many",                       "^ab*c$",         "abbbbc",    true },
        { "plus needs one",                   "^ab+c$",         "ac",        false },
        { "optional",                         "^ab?c$",         "abc",       true },
        { "optional, twice",                  "^ab?c$",         "abbc",      false },
        { "non-greedy says the same",         "^a.*?c$",        "abbc",      true },
        { "exactly",                          "^a{2}$",         "aa",        true },
        { "exactly, more",                    "^a{2}$",         "aaa",       false },
        { "at least",                         "^a{2,}$",        "aaaa",      true },
        { "between",                          "^a{1,3}$",       "aaaa",      false },
        { "none at all",                      "^a{0}b$",        "b",         true },
        { "braces that are text",             "^a{x}$",         "a{x}",      true },
        { "either",                           "^(ab|cd)$",      "cd",        true },
        { "an empty branch",                  "^(a|)b$",        "b",         true },
        { "alternatives bind least",          "^a|b$",          "xb",        true },
        { "a class",                          "^[a-c]+$",       "abcab",     true },
        { "a class, outside",                 "^[a-c]+$",       "abd",       false },
        { "negated",                          "^[^a-c]$",       "d",         true },
        { "a bracket first",                  "^[]a]+$",        "]a",        true },
        { "a dash last",                      "^[a-]+$",        "-a",        true },
        { "digits",                           "^\\d+$",         "0123",      true },
        { "no digits",                        "^\\D+$",         "12a",       false },
        { "words in a class",                 "^[\\w.]+$",      "a_b.9",     true },
        { "all but words in a class",         "^[\\W]+$",       "-.",        true },
        { "posix",                            "^[[:alpha:]]+$", "abZ",       true },
        { "posix negated",                    "^[[:^alpha:]]+$","12",        true },
        { "escaped",                          "^a\\.b$",        "axb",       false },
        { "by number",                        "^\\x41\\x{e4}$", "A\xc3\xa4", true },
        { "a word's edge",                    "\\bcat\\b",      "the cat.",  true },
        { "not inside of one",                "\\bcat\\b",      "concat",    false },
        { "inside",                           "\\Bcat",         "concat",    true },
        { "folded",                           "(?i)ABC",        "xaBcx",     true },
        { "folded in a class",                "(?i)^[a-c]+$",   "AbC",       true },
        { "folded in a group only",           "^(?i:a)b$",      "Ab",        true },
        { "and not behind it",                "^(?i:a)b$",      "AB",        false },
        { "captures mean nothing",            "^(a)(?:b)(?P<n>c)$", "abc",   true },
        { "nested repetition of nothing",     "^(a*)*$",        "aaaa",      true },
        { "bytes that are no text",           "^.$",            "\xff",      true },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_arena arena;
        struct mu_err err = MU_ERR_NONE;
        struct mu_pattern *p = NULL;

        mu_arena_init(&arena, 0);
        if (mu_pattern_compile(&p, mu_span_text(cases[i].pattern), &arena, &err) != MU_OK) {
            fail_msg("%s: '%s': %s", cases[i].why, cases[i].pattern, err.text);
        }
        if (mu_pattern_matches(p, mu_span_text(cases[i].text)) != cases[i].matches) {
            fail_msg("%s: '%s' on '%s'", cases[i].why, cases[i].pattern, cases[i].text);
        }
        mu_arena_deinit(&arena);
    }
}

static void what_is_wrong_is_said_in_gos_words(void **state)
{
    static const struct {
        const char *pattern, *text;
    } cases[] = {
        // clang-format off
        { "(",        "error parsing regexp: missing closing ): `(`" },
        { "a)",       "error parsing regexp: unexpected ): `a)`" },
        { "[a",       "error parsing regexp: missing closing ]: `[a`" },
        { "[b-a]",    "error parsing regexp: invalid character class range: `b-a`" },
        { "[[:x:]]",  "error parsing regexp: invalid character class range: `[:x:]`" },
        { "*a",       "error parsing regexp: missing argument to repetition operator: `*`" },
        { "a**",      "error parsing regexp: invalid nested repetition operator: `**`" },
        { "a{1001}",  "error parsing regexp: invalid repeat count: `{1001}`" },
        { "a{2,1}",   "error parsing regexp: invalid repeat count: `{2,1}`" },
        { "\\",       "error parsing regexp: trailing backslash at end of expression: ``" },
        { "\\1",      "error parsing regexp: invalid escape sequence: `\\1`" },
        { "\\pL",     "error parsing regexp: invalid escape sequence: `\\p`" },
        { "(?x)a",    "error parsing regexp: invalid or unsupported Perl syntax: `(?x`" },
        { "(a{1000}){1000}", "error parsing regexp: expression too large" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct mu_arena arena;
        struct mu_err err = MU_ERR_NONE;
        struct mu_pattern *p = NULL;

        mu_arena_init(&arena, 0);
        enum mu_code rc = mu_pattern_compile(&p, mu_span_text(cases[i].pattern), &arena, &err);

        if (rc != MU_INVALID || strcmp(err.text, cases[i].text) != 0) {
            fail_msg("'%s' gave %s '%s'", cases[i].pattern, mu_code_text(rc), err.text);
        }
        mu_arena_deinit(&arena);
    }
}

/* What makes backtracking engines hang takes no longer than anything else here. */
static void time_is_linear_in_the_text(void **state)
{
    struct mu_arena arena;
    struct mu_pattern *p = NULL;
    static char text[4000];

    (void)state;
    memset(text, 'a', sizeof text);
    mu_arena_init(&arena, 0);
    assert_int_equal(mu_pattern_compile(&p, MU_SPAN_LIT("^(a+)+(a|aa)+(a?){50}b$"), &arena, NULL),
                     MU_OK);
    assert_false(mu_pattern_matches(p, mu_span_of(text, sizeof text)));
    assert_int_equal(
        mu_pattern_compile(&p, MU_SPAN_LIT("((((){1000}){1000}){1000}){1000}"), &arena, NULL),
        MU_OK);
    mu_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions_match_as_in_re2),
        cmocka_unit_test(what_is_wrong_is_said_in_gos_words),
        cmocka_unit_test(time_is_linear_in_the_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
