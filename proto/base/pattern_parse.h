/* pattern_parse.h - the tree between a regular expression's text and its program. For pattern.c. */
#ifndef MU_BASE_PATTERN_PARSE_H
#define MU_BASE_PATTERN_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

#define PATTERN_REPEAT_MAX 1000 /* as in RE2 */
#define PATTERN_NONE       UINT32_MAX

enum pattern_node_kind {
    PATTERN_EMPTY,
    PATTERN_SET,    /* one character of a set */
    PATTERN_CAT,    /* first, then second */
    PATTERN_ALT,    /* first or second */
    PATTERN_REPEAT, /* first, min to max times */
    PATTERN_ASSERT, /* a place, not a character */
};

enum pattern_place {
    PATTERN_TEXT_BEGIN,
    PATTERN_TEXT_END,
    PATTERN_LINE_BEGIN,
    PATTERN_LINE_END,
    PATTERN_WORD_EDGE,
    PATTERN_NO_WORD_EDGE,
};

struct pattern_range {
    uint32_t first, last;
};

struct pattern_set {
    struct pattern_range *ranges;
    size_t count;
    bool is_negated, is_folded;
};

struct pattern_node {
    enum pattern_node_kind kind;
    struct pattern_node *first, *second;
    struct pattern_set set;
    enum pattern_place place;
    uint32_t min, max; /* max PATTERN_NONE: no bound */
};

MU_MUST_CHECK enum mu_code pattern_parse(struct pattern_node **out, struct mu_span text,
                                         struct mu_arena *arena, struct mu_err *err);

/* One character from the front of text; a byte that begins none counts as U+FFFD. *bytes is at
 * least 1. `text` is not empty. */
uint32_t pattern_char(struct mu_span text, size_t *bytes);

#endif
