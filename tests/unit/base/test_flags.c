/* Go's way with flags: what ends them, where a value is taken from, and the refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/flags.h"

#define WORDS_MAX 6

/* Knows -n (a value) and -b (a boolean); tells what it saw. */
static void read_all(const char *const *words, struct mu_buf *out)
{
    int count = 0;

    while (count < WORDS_MAX && words[count] != NULL) {
        count++;
    }
    struct mu_flags f = mu_flags_of(count, words);
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc;

    while ((rc = mu_flags_next(&f, &err)) == MU_OK) {
        const char *value = NULL;
        bool on = false;

        if (mu_flags_is(&f, "n")) {
            rc = mu_flags_value(&f, &value, &err);
            mu_buf_addf(out, "n=%s ", rc == MU_OK ? value : "?");
        } else if (mu_flags_is(&f, "b")) {
            rc = mu_flags_bool(&f, &on, &err);
            mu_buf_addf(out, "b=%d ", rc == MU_OK ? on : -1);
        } else if (mu_flags_is_help(&f)) {
            mu_buf_add_text(out, "help ");
        } else {
            rc = mu_flags_unknown(&f, &err);
        }
        if (rc != MU_OK) {
            break;
        }
    }
    if (rc != MU_NOT_FOUND) {
        mu_buf_addf(out, "! %s", err.text);
        return;
    }
    for (int i = f.at; i < f.argc; i++) {
        mu_buf_addf(out, "[%s]", f.argv[i]);
    }
}

static void flags_are_read_as_go_reads_them(void **state)
{
    static const struct {
        const char *why, *words[WORDS_MAX], *seen;
    } rows[] = {
        // clang-format off
        { "nothing",                { NULL }, "" },
        { "behind a blank",         { "-n", "1" }, "n=1 " },
        { "behind an equals sign",  { "-n=1" }, "n=1 " },
        { "two dashes",             { "--n", "1", "--b" }, "n=1 b=1 " },
        { "an empty value",         { "-n=" }, "n= " },
        { "a value with equals",    { "-n=a=b" }, "n=a=b " },
        { "a value with a dash",    { "-n", "-b" }, "n=-b " },
        { "booleans take no word",  { "-b", "false" }, "b=1 [false]" },
        { "a boolean set off",      { "-b=false", "-b=0", "-b=F" }, "b=0 b=0 b=0 " },
        { "a boolean set on",       { "-b=t", "-b=TRUE", "-b=1" }, "b=1 b=1 b=1 " },
        { "a word ends the flags",  { "-b", "x", "-n", "1" }, "b=1 [x][-n][1]" },
        { "two dashes end them",    { "-b", "--", "-n" }, "b=1 [-n]" },
        { "one dash is a word",     { "-" }, "[-]" },
        { "help",                   { "-h", "--help" }, "help help " },
        { "no value",               { "-n" }, "n=? ! flag needs an argument: -n" },
        { "no boolean",             { "-b=maybe" }, "b=-1 ! invalid boolean value \"maybe\" for -b: parse error, expected true or false" },
        { "unknown",                { "--foo=1" }, "! flag provided but not defined: -foo" },
        { "three dashes",           { "---n" }, "! bad flag syntax: ---n" },
        { "no name",                { "-=1" }, "! bad flag syntax: -=1" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(rows); i++) {
        struct mu_buf out = MU_BUF_NONE;

        read_all(rows[i].words, &out);
        if (strcmp(mu_buf_text(&out), rows[i].seen) != 0) {
            fail_msg("%s: gave '%s', expected '%s'", rows[i].why, mu_buf_text(&out), rows[i].seen);
        }
        mu_buf_deinit(&out);
    }
}

static void a_bad_value_names_flag_and_value(void **state)
{
    const char *words[] = { "-dns-port=x" };
    struct mu_flags f = mu_flags_of(1, words);
    struct mu_err err = MU_ERR_NONE;

    (void)state;
    assert_int_equal(mu_flags_next(&f, &err), MU_OK);
    assert_int_equal(mu_flags_bad_value(&f, f.inlined, &err), MU_INVALID);
    assert_string_equal(err.text, "invalid value \"x\" for flag -dns-port: parse error, expected a whole number");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_are_read_as_go_reads_them),
        cmocka_unit_test(a_bad_value_names_flag_and_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
