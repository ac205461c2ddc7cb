/* pattern.h - regular expressions in the syntax of RE2.
 *
 * Why our own: the C library's backtrack or expand without bound, and what is matched here comes
 * from strangers. This one simulates all alternatives at once (Thompson 1968, as in RE2): time is
 * linear in the text, and the size of the program is bounded when it is compiled.
 *
 * Supported: literals, . [] [^] ranges, [[:alpha:]], \d \s \w and their capitals, \b \B \A \z ^ $,
 * ( ) (?: ) (?ims) (?i: ), |, * + ? {m,n} and their non-greedy forms, \x41 \x{263a} \n \t ...
 * Not supported: \p classes and \Q...\E. Only whether there is a match is answered, so greediness
 * and captures mean nothing.
 *
 * Thread:  none of its own; a pattern is read-only after compiling.
 * Memory:  the pattern lives in the arena; matching allocates nothing that stays.
 * Errors:  MU_INVALID in Go's words: "error parsing regexp: missing closing ): `(`".
 */
#ifndef MU_BASE_PATTERN_H
#define MU_BASE_PATTERN_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

struct mu_pattern; /* opaque */

MU_MUST_CHECK enum mu_code mu_pattern_compile(struct mu_pattern **out, struct mu_span text,
                                              struct mu_arena *arena, struct mu_err *err);
/* Does it match anywhere in `text`? */
bool mu_pattern_matches(const struct mu_pattern *p, struct mu_span text);

#endif
