/* filter_tree.h - the parsed expression and the fields it may name. For filter*.c. */
#ifndef WEB_FILTER_TREE_H
#define WEB_FILTER_TREE_H

#include <stddef.h>

#include "base/pattern.h"
#include "filter.h"

/* -- fields ------------------------------------------------------------------------------------ */

enum filter_type {
    FILTER_TEXT,       /* struct mu_span */
    FILTER_CTEXT,      /* const char * */
    FILTER_STATUS,     /* enum check_status */
    FILTER_DATACENTER, /* no part of the object */
    FILTER_NODE,       /* nor is the name of this node */
    FILTER_U16,
    FILTER_U32,
    FILTER_I64,
    FILTER_BOOL,
    FILTER_TEXTS,     /* struct mu_texts */
    FILTER_TEXTS_AT,  /* const struct mu_texts *; NULL: none */
    FILTER_PAIRS,     /* struct mu_pairs */
    FILTER_PAIR,      /* the value of one key of them: never a row */
    FILTER_STRUCT,    /* a part of the object at its own offset */
    FILTER_STRUCT_AT, /* a pointer to it */
    FILTER_LIST,      /* pointer to items, and their count at count_offset */
    FILTER_NAMED,     /* the same; each begins with its name, a struct mu_span */
    FILTER_JSON,      /* struct mu_span of a compact object */
    FILTER_JSON_TEXT, /* members of one: absent is zero */
    FILTER_JSON_INT,
    FILTER_JSON_BOOL,
    FILTER_JSON_LIST, /* of objects */
};

struct filter_field {
    const char *name;
    enum filter_type type;
    size_t offset, count_offset, item_bytes;
    bool is_behind; /* offsets are those of what the pointer at `behind` points to */
    size_t behind;
    const struct filter_kind *of; /* of what has fields itself */
};

struct filter_kind {
    const struct filter_field *fields;
    size_t count;
};

/* -- the tree ---------------------------------------------------------------------------------- */

enum filter_op {
    FILTER_EQUAL,
    FILTER_NOT_EQUAL,
    FILTER_IN,
    FILTER_NOT_IN,
    FILTER_IS_EMPTY,
    FILTER_IS_NOT_EMPTY,
    FILTER_MATCHES,
    FILTER_NOT_MATCHES,
};

enum filter_node_kind {
    FILTER_AND,
    FILTER_OR,
    FILTER_NOT,
    FILTER_MATCH,
};

#define FILTER_PARTS_MAX 8 /* of a selector: deeper than any object is */

struct filter_step {
    const struct filter_field *field;
    struct mu_span key; /* behind PAIRS and NAMED, when the selector goes on */
    bool has_key;
};

struct filter_node {
    enum filter_node_kind kind;
    struct filter_node *first, *second;
    /* MATCH */
    enum filter_op op;
    struct mu_span parts[FILTER_PARTS_MAX]; /* of the selector */
    size_t parts_count;
    struct filter_step steps[FILTER_PARTS_MAX]; /* the same, found in the fields */
    size_t steps_count;
    enum filter_type leaf;
    struct mu_span value;
    int64_t number; /* of the value, where the field is one */
    bool truth;
    struct mu_pattern *pattern;
};

struct filter {
    struct filter_node *root;
    struct mu_span datacenter, node;
};

/* Text to tree; selectors are not looked up yet. The error is the parser's message alone. */
MU_MUST_CHECK enum mu_code filter__parse(struct filter_node **out, struct mu_span text,
                                         struct mu_arena *arena, struct mu_err *err);

#endif
