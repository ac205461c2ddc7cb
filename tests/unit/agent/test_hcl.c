/* HCL: what the subset means as JSON, what is refused and on which line, and where keys stand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/buf.h"
#include "config_source.h"

static void texts_mean_the_same_as_json(void **state)
{
    static const struct {
        const char *why, *hcl, *json;
    } rows[] = {
        // clang-format off
        { "nothing",             "", "{}" },
        { "blanks and comments", " \n# a\n// b\n/* c\n d */ ", "{}" },
        { "a string",            "a = \"b\"", "{\"a\":\"b\"}" },
        { "a quoted key",        "\"a b\" = \"c\"", "{\"a b\":\"c\"}" },
        { "escapes",             "a = \"\\\"\\\\\\n\\r\\t\\u00e4\"", "{\"a\":\"\\\"\\\\\\n\\r\\t\xc3\xa4\"}" },
        { "text is not expanded", "a = \"${b}\"", "{\"a\":\"${b}\"}" },
        { "numbers",             "a = 1\nb = -2\nc = 1.5\nd = 1e3\ne = 0", "{\"a\":1,\"b\":-2,\"c\":1.5,\"d\":1000.0,\"e\":0}" },
        { "booleans",            "a = true\nb = false", "{\"a\":true,\"b\":false}" },
        { "a list",              "a = [1, \"b\", true, [2],]", "{\"a\":[1,\"b\",true,[2]]}" },
        { "a list over lines",   "a = [\n  1, # one\n  2\n]", "{\"a\":[1,2]}" },
        { "an object",           "a = { b = 1, c = 2 }", "{\"a\":{\"b\":1,\"c\":2}}" },
        { "a block",             "a {\n  b = 1\n  c {\n    d = 2\n  }\n}", "{\"a\":{\"b\":1,\"c\":{\"d\":2}}}" },
        { "an empty block",      "a {}", "{\"a\":{}}" },
        { "items on one line",   "a = 1 b = 2, c = 3", "{\"a\":1,\"b\":2,\"c\":3}" },
        { "a value on its own line", "a =\n  1", "{\"a\":1}" },
        { "words in keys",       "a-b.c_d = 1", "{\"a-b.c_d\":1}" },
        { "repeated blocks",     "s { a = 1 }\ns { a = 2 }", "{\"s\":[{\"a\":1},{\"a\":2}]}" },
        { "a block and a list",  "s = [{ a = 1 }, { a = 2 }]\nt = 0\ns { a = 3 }", "{\"s\":[{\"a\":1},{\"a\":2},{\"a\":3}],\"t\":0}" },
        { "the last scalar counts", "a = 1\nb = 2\na = 3", "{\"a\":3,\"b\":2}" },
        { "a heredoc",           "a = <<EOF\n  x\n\ny\nEOF\nb = 1", "{\"a\":\"  x\\n\\ny\\n\",\"b\":1}" },
        { "an indented heredoc", "a = <<-EOF\n    x\n\n      y\n    EOF\n", "{\"a\":\"x\\n\\n  y\\n\"}" },
        { "an empty heredoc",    "a = <<E\nE", "{\"a\":\"\"}" },
        { "a heredoc in a list", "a = [<<E\nx\nE\n, 2]", "{\"a\":[\"x\\n\",2]}" },
        { "lines end as in DOS", "a = 1\r\nb {\r\n}\r\n", "{\"a\":1,\"b\":{}}" },
        { "JSON is JSON",        " { \"a\" : [ null ] } ", "{\"a\":[null]}" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct mu_err err = MU_ERR_NONE;
        struct mu_json *root = NULL;
        struct mu_buf json = MU_BUF_NONE;

        if (config__hcl_read(mu_span_text(rows[i].hcl), &root, &err) != MU_OK) {
            fail_msg("%s: %s", rows[i].why, err.text);
        }
        mu_json_compact(root, &json);
        if (strcmp(mu_buf_text(&json), rows[i].json) != 0) {
            fail_msg("%s: gave %s, expected %s", rows[i].why, mu_buf_text(&json), rows[i].json);
        }
        mu_json_free(root);
        mu_buf_deinit(&json);
    }
}

static void anything_else_is_refused_by_line(void **state)
{
    static const struct {
        const char *why, *hcl, *message;
    } rows[] = {
        // clang-format off
        { "no value",           "a =", "line 1: expected a value, found the end" },
        { "no key",             "\n= 1", "line 2: expected a key, found '='" },
        { "no equals sign",     "a\n1", "line 2: expected '=' or '{', found '1'" },
        { "a bare word",        "a = yes", "line 1: 'yes' is no value; text stands in quotes" },
        { "a label",            "a = 1\nservice \"web\" {}", "line 2: blocks with a label are not accepted" },
        { "an open block",      "a {\n b = 1\n", "line 3: expected a key, found the end" },
        { "an open list",       "a = [1", "line 1: expected ',' or ']', found the end" },
        { "no comma",           "a = [1 2]", "line 1: expected ',' or ']', found '2'" },
        { "a brace too many",   "a = 1\n}", "line 2: expected a key, found '}'" },
        { "an open string",     "a = \"b\nc\"", "line 1: this string does not end on its line" },
        { "an open string at the end", "a = \"b", "line 1: this string does not end on its line" },
        { "an odd escape",      "a = \"\\x41\"", "line 1: only \\\" \\\\ \\n \\r \\t and \\uXXXX may follow a backslash" },
        { "half an escape",     "a = \"\\u12\"", "line 1: \\u needs four hexadecimal digits" },
        { "a surrogate",        "a = \"\\ud800\"", "line 1: \\u names no character" },
        { "NUL",                "a = \"\\u0000\"", "line 1: \\u names no character" },
        { "octal",              "a = 0644", "line 1: octal and hexadecimal numbers are not accepted" },
        { "hexadecimal",        "a = 0x1f", "line 1: octal and hexadecimal numbers are not accepted" },
        { "a sign alone",       "a = -", "line 1: expected a digit, found the end" },
        { "a number and more",  "a = 10k", "line 1: expected the end of a number, found 'k'" },
        { "two points",         "a = 1.2.3", "line 1: expected the end of a number, found '.'" },
        { "an empty exponent",  "a = 1e", "line 1: expected a digit, found the end" },
        { "a huge number",      "a = 12345678901234567890", "line 1: this number is too long" },
        { "a huge exponent",    "a = 1e999", "line 1: this number is too large" },
        { "an open comment",    "a = 1\n/* b\n\n", "line 2: this comment does not end" },
        { "an open heredoc",    "a = <<E\nx\n", "line 1: the text behind <<E does not end" },
        { "a heredoc's word",   "a = <<\nx\n", "line 1: << needs a word" },
        { "too deep",           "a{b{c{d{e{f{g{h{i{j{k{l{m{}}}}}}}}}}}}}", "line 1: nested too deeply" },
        { "a stray byte",       "a = 1\n\x01", "line 2: expected a key, found byte 0x01" },
        { "not UTF-8",          "a = \"\xff\"", "the text is not UTF-8" },
        { "bad JSON",           "{ \"a\" : }", "line 1, column 9: unexpected token near '}'" },
        { "half of JSON",       "{ \"a\" : ", "unexpected end of JSON input" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct mu_err err = MU_ERR_NONE;
        struct mu_json *root = NULL;

        if (config__hcl_read(mu_span_text(rows[i].hcl), &root, &err) != MU_INVALID ||
            strcmp(err.text, rows[i].message) != 0) {
            fail_msg("%s: gave '%s', expected '%s'", rows[i].why, err.text, rows[i].message);
        }
        assert_null(root);
    }
}

static void the_line_of_a_key_is_found(void **state)
{
    static const char json[] = "{\n \"a\": \"}{\\\"\",\n \"b\": {\n  \"a\": [],\n  \"c\":\n 1},\n"
                               " \"s\": [ {\"n\": \"[\"},\n {\"n\": 1,\n \"x\": 2} ]\n}";
    static const char hcl[] = "a = \"b\"\nb {\n  a = []\n  c =\n 1 }\ns { n = 1 }\n"
                              "s {\n n = 1\n x = 2 }\ns = [{}, {\n y = 1 }]";
    static const struct {
        const char *why;
        struct config_path path;
        unsigned json_line, hcl_line;
    } rows[] = {
        // clang-format off
        { "at the top",      { { { "a", CONFIG_NO_INDEX } }, 1 }, 2, 1 },
        { "in a group",      { { { "b", CONFIG_NO_INDEX }, { "a", CONFIG_NO_INDEX } }, 2 }, 4, 3 },
        { "behind others",   { { { "b", CONFIG_NO_INDEX }, { "c", CONFIG_NO_INDEX } }, 2 }, 5, 4 },
        { "in a list",       { { { "s", 0 }, { "n", CONFIG_NO_INDEX } }, 2 }, 7, 6 },
        { "further in it",   { { { "s", 1 }, { "x", CONFIG_NO_INDEX } }, 2 }, 9, 9 },
        { "in a later list", { { { "s", 3 }, { "y", CONFIG_NO_INDEX } }, 2 }, 0, 11 },
        { "nowhere",         { { { "z", CONFIG_NO_INDEX } }, 1 }, 0, 0 },
        { "below a scalar",  { { { "a", CONFIG_NO_INDEX }, { "z", CONFIG_NO_INDEX } }, 2 }, 0, 0 },
        { "no path",         { { { NULL, 0 } }, 0 }, 0, 0 },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        unsigned in_json = config__json_line(mu_span_text(json), &rows[i].path);
        unsigned in_hcl = config__hcl_line(mu_span_text(hcl), &rows[i].path);

        if (in_json != rows[i].json_line || in_hcl != rows[i].hcl_line) {
            fail_msg("%s: gave %u and %u, expected %u and %u", rows[i].why, in_json, in_hcl,
                     rows[i].json_line, rows[i].hcl_line);
        }
    }
}

/* The last of them ends in a NUL, which is no UTF-8 text of ours. */
static void every_truncation_is_read_or_refused(void **state)
{
    static const char text[] = "a = \"b\\n\"\nc { d = [1, 2.5, true, <<-E\n  x\n  E\n] }\n# e";

    (void)state;
    for (size_t bytes = 0; bytes < sizeof text; bytes++) {
        struct mu_err err = MU_ERR_NONE;
        struct mu_json *root = NULL;
        enum mu_code rc = config__hcl_read(mu_span_of(text, bytes), &root, &err);

        assert_true((rc == MU_OK) == (root != NULL));
        assert_true(rc == MU_OK || strncmp(err.text, "line ", 5) == 0 || bytes == sizeof text);
        mu_json_free(root);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_mean_the_same_as_json),
        cmocka_unit_test(anything_else_is_refused_by_line),
        cmocka_unit_test(the_line_of_a_key_is_found),
        cmocka_unit_test(every_truncation_is_read_or_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
