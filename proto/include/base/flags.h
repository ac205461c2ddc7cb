/* flags.h - command-line flags as Go's programs take them.
 *
 * One or two dashes, "-name=value" or "-name value", booleans only "-name" or "-name=true". The
 * first word that is no flag ends them, and so does "--". A reader hands out one flag at a time;
 * what a name means, and whether it is a boolean, its caller knows.
 *
 *     struct mu_flags f = mu_flags_of(argc, argv);
 *     while ((rc = mu_flags_next(&f, &err)) == MU_OK) {
 *         if (mu_flags_is(&f, "server")) rc = mu_flags_bool(&f, &server, &err);
 *         else if (mu_flags_is(&f, "node")) rc = mu_flags_value(&f, &node, &err);
 *         else rc = mu_flags_unknown(&f, &err);
 *         ...
 *     }
 *     the words behind the flags: f.argv + f.at, f.argc - f.at
 *
 * Memory:  everything is a view into argv.
 * Errors:  MU_INVALID in Go's words: "flag provided but not defined: -foo".
 */
#ifndef MU_BASE_FLAGS_H
#define MU_BASE_FLAGS_H

#include <stdbool.h>

#include "base/err.h"
#include "base/span.h"

struct mu_flags {
    int argc;
    const char *const *argv;
    int at;              /* the next word */
    struct mu_span name; /* of the flag at hand, without dashes */
    const char *inlined; /* what stands behind its '=', else NULL */
};

struct mu_flags mu_flags_of(int argc, const char *const *argv);

/* Move to the next flag. MU_NOT_FOUND: there is none (err is not touched); MU_INVALID: malformed,
 * as "-=x". */
MU_MUST_CHECK enum mu_code mu_flags_next(struct mu_flags *f, struct mu_err *err);
bool mu_flags_is(const struct mu_flags *f, const char *name);
bool mu_flags_is_help(const struct mu_flags *f); /* -h, -help */

/* The value of the flag at hand; without '=' it is the next word. */
MU_MUST_CHECK enum mu_code mu_flags_value(struct mu_flags *f, const char **out, struct mu_err *err);
/* true without '='; else one of Go's: 1 0 t f T F true false TRUE FALSE True False. */
MU_MUST_CHECK enum mu_code mu_flags_bool(struct mu_flags *f, bool *out, struct mu_err *err);
bool mu_flags_parse_bool(struct mu_span text, bool *out);

enum mu_code mu_flags_unknown(const struct mu_flags *f, struct mu_err *err);
/* `invalid value "x" for flag -dns-port: parse error` */
enum mu_code mu_flags_bad_value(const struct mu_flags *f, const char *value, struct mu_err *err);

#endif
