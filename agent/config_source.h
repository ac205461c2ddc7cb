/* config_source.h - two grammars, one tree of values.
 *
 * A configuration file or fragment becomes a struct mu_json whichever grammar it is written in, so
 * that everything behind it (types, merging, unknown keys) is said once. Trees keep no positions:
 * for the line of a key, the source is read again, which happens only on the way to an error.
 *
 * HCL is the subset of HCL 1 that configuration files use:
 *
 *   file    = { item }                     items may be separated by a comma
 *   item    = key "=" value | key object   a key is a word or a string
 *   object  = "{" { item } "}"
 *   value   = string | heredoc | number | "true" | "false" | object | "[" [ value { "," value } ]
 * "]" string  = '"' with \" \\ \n \r \t \uXXXX '"'; "${...}" is not expanded heredoc = "<<WORD" or
 * "<<-WORD", lines, WORD; the second form takes common indentation away number  = decimal, with an
 * optional fraction and exponent comment = "#..." | "//..." | "/" "*" ... "*" "/"
 *
 * A block that is repeated is a list of blocks. A file that begins with "{" is JSON, as in HCL 1.
 * Labels in front of a block, octal and hexadecimal numbers are refused, by line.
 *
 * Errors: MU_INVALID with what stands behind "failed to parse <file>: ".
 */
#ifndef AGENT_CONFIG_SOURCE_H
#define AGENT_CONFIG_SOURCE_H

#include "base/err.h"
#include "base/json.h"
#include "base/span.h"

/* Deeper than any key needs: services, their checks, a header's values make seven. */
#define CONFIG_DEPTH_MAX 12
#define CONFIG_NO_INDEX  ((size_t)-1)

/* Where a value stands: services[1].check -> { "services", 1 }, { "check", NO_INDEX }. */
struct config_step {
    const char *name; /* as written */
    size_t index;     /* in the list behind that name */
};

struct config_path {
    struct config_step steps[CONFIG_DEPTH_MAX];
    size_t count;
};

MU_MUST_CHECK enum mu_code config__json_read(struct mu_span text, struct mu_json **root,
                                             struct mu_err *err);
MU_MUST_CHECK enum mu_code config__hcl_read(struct mu_span text, struct mu_json **root,
                                            struct mu_err *err);

/* The line on which the last key of the path stands; 0: not found. The text was read before. */
unsigned config__json_line(struct mu_span text, const struct config_path *path);
unsigned config__hcl_line(struct mu_span text, const struct config_path *path);

#endif
