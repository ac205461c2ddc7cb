#include "base/flags.h"

#include <stddef.h>
#include <string.h>

#include "base/assert.h"

struct mu_flags mu_flags_of(int argc, const char *const *argv)
{
    return (struct mu_flags){ .argc = argc, .argv = argv };
}

enum mu_code mu_flags_next(struct mu_flags *f, struct mu_err *err)
{
    if (f->at >= f->argc) {
        return MU_NOT_FOUND;
    }
    const char *word = f->argv[f->at];

    if (word[0] != '-' || word[1] == '\0') {
        return MU_NOT_FOUND; /* "-" alone is an argument: standard input */
    }
    f->at++;
    if (strcmp(word, "--") == 0) {
        return MU_NOT_FOUND;
    }
    const char *name = word + (word[1] == '-' ? 2 : 1);
    const char *equals = strchr(name, '=');

    if (name[0] == '-' || name[0] == '=') {
        return mu_fail(err, MU_INVALID, "bad flag syntax: %s", word);
    }
    f->name = mu_span_of(name, equals != NULL ? (size_t)(equals - name) : strlen(name));
    f->inlined = equals != NULL ? equals + 1 : NULL;
    return MU_OK;
}

bool mu_flags_is(const struct mu_flags *f, const char *name)
{
    return mu_span_eq_text(f->name, name);
}

bool mu_flags_is_help(const struct mu_flags *f)
{
    return mu_flags_is(f, "h") || mu_flags_is(f, "help");
}

enum mu_code mu_flags_value(struct mu_flags *f, const char **out, struct mu_err *err)
{
    if (f->inlined != NULL) {
        *out = f->inlined;
        return MU_OK;
    }
    if (f->at >= f->argc) {
        return mu_fail(err, MU_INVALID, "flag needs an argument: -%.*s", MU_SPAN_FMT(f->name));
    }
    *out = f->argv[f->at++];
    return MU_OK;
}

bool mu_flags_parse_bool(struct mu_span text, bool *out)
{
    static const char *const words[][2] = {
        { "1", "0" },        { "t", "f" },        { "T", "F" },
        { "true", "false" }, { "TRUE", "FALSE" }, { "True", "False" },
    };

    for (size_t i = 0; i < MU_LEN(words); i++) {
        for (size_t value = 0; value < 2; value++) {
            if (mu_span_eq_text(text, words[i][value])) {
                *out = value == 0;
                return true;
            }
        }
    }
    return false;
}

enum mu_code mu_flags_bool(struct mu_flags *f, bool *out, struct mu_err *err)
{
    *out = true;
    if (f->inlined != NULL && !mu_flags_parse_bool(mu_span_text(f->inlined), out)) {
        return mu_fail(
            err, MU_INVALID,
            "invalid boolean value \"%s\" for -%.*s: parse error, expected true or false",
            f->inlined, MU_SPAN_FMT(f->name));
    }
    return MU_OK;
}

enum mu_code mu_flags_unknown(const struct mu_flags *f, struct mu_err *err)
{
    return mu_fail(err, MU_INVALID, "flag provided but not defined: -%.*s", MU_SPAN_FMT(f->name));
}

enum mu_code mu_flags_bad_value(const struct mu_flags *f, const char *value, struct mu_err *err)
{
    return mu_fail(err, MU_INVALID,
                   "invalid value \"%s\" for flag -%.*s: parse error, expected a whole number",
                   value, MU_SPAN_FMT(f->name));
}
