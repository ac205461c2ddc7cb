/* config_hcl_scan.h - the text of an HCL file: blanks, strings and numbers. config_hcl.c has the
 * grammar. */
#ifndef AGENT_CONFIG_HCL_SCAN_H
#define AGENT_CONFIG_HCL_SCAN_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

struct hcl {
    struct mu_span text;
    size_t at;
    unsigned line;
    unsigned depth;
    size_t values_count;
    struct mu_arena *arena;
    struct mu_err *err;
};

bool hcl__at_end(const struct hcl *h);
char hcl__peek(const struct hcl *h, size_t ahead); /* 0 behind the end */

/* "line 3: <what>", "line 3: expected <what>, found 'x'" */
enum mu_code hcl__refuse(struct hcl *h, const char *what);
enum mu_code hcl__unexpected(struct hcl *h, const char *expected);

MU_MUST_CHECK enum mu_code hcl__skip_blank(struct hcl *h); /* comments too */
/* The cursor stands on what is read; text is copied into the arena. */
MU_MUST_CHECK enum mu_code hcl__read_string(struct hcl *h, struct mu_span *out);
MU_MUST_CHECK enum mu_code hcl__read_heredoc(struct hcl *h, struct mu_span *out);
MU_MUST_CHECK enum mu_code hcl__read_number(struct hcl *h, struct mu_span *out); /* as written */

#endif
