/* target.h - request targets: percent escapes, clean paths, what may be printed.
 *
 * Memory:  results are in the arena, or views into the input where nothing had to change.
 */
#ifndef WEB_TARGET_H
#define WEB_TARGET_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/span.h"

/* Undo percent escapes; with `is_query` a '+' is a blank. False: a '%' without two hex digits. */
MU_MUST_CHECK bool target_decode(struct mu_span text, bool is_query, struct mu_arena *arena,
                                 struct mu_span *out);

/* Escape for the query part (form encoding, a blank is '+') or for a path ('/' stays). */
void target_escape_query(struct mu_buf *to, struct mu_span text);
void target_escape_path(struct mu_buf *to, struct mu_span text);

/* The path without "//", "/./" and "/../", beginning with a slash; a slash at the end stays. Equal
 * to the input when it was clean. */
struct mu_span target_clean(struct mu_span path, struct mu_arena *arena);

/* Are all characters of a decoded path printable (http-api 1.1)? Letters of any script are; control
 * characters, blanks other than U+0020, and invisible format characters are not. */
bool target_is_printable(struct mu_span path);

#endif
