/* json.h - JSON in (bounded, strict, by field table) and JSON out (streaming).
 *
 * In: mu_json_parse() builds a tree (jansson inside, no type of it shows); mu_json_decode() walks
 * an object by a table of fields into a struct. That table is where names fold case, where other
 * spellings are accepted and where unknown names are refused, as Consul's clients rely on.
 * Integers outside of int64 are refused by the parser, with the position; but those up to 2^64-1
 * are taken where the table wants an unsigned one.
 *
 * Out: a writer appends to a mu_buf in exactly the order it is called; compact, or indented by
 * 4 blanks (`pretty`, with one newline at the end of the document).
 *
 * Thread:  no shared state.
 * Memory:  a tree is freed as a whole by mu_json_free(); decoded strings are copied into the arena.
 * Errors:  MU_INVALID with Go's words where clients match them: "EOF", "unexpected EOF",
 *          "json: unknown field \"Foo\"", "json: cannot unmarshal string into ... of type int".
 */
#ifndef MU_BASE_JSON_H
#define MU_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

/* -- reading: the tree ------------------------------------------------------------------------- */

struct mu_json; /* opaque: one value; a view into the tree of its root */

enum mu_json_kind {
    MU_JSON_NULL,
    MU_JSON_BOOL,
    MU_JSON_INT,
    MU_JSON_REAL,
    MU_JSON_STRING,
    MU_JSON_LIST,
    MU_JSON_OBJECT,
};

/* Parse the first document in `text`; bytes behind it are ignored unless `whole`, then anything
 * but white space there is an error. Errors name line and column. */
MU_MUST_CHECK enum mu_code mu_json_parse(struct mu_json **root, struct mu_span text, bool whole,
                                         struct mu_err *err);
void mu_json_free(struct mu_json *root); /* NULL is fine; roots only */

enum mu_json_kind mu_json_kind_of(const struct mu_json *v);
const char *mu_json_kind_text(enum mu_json_kind kind); /* Go's word: "number", "string", ... */
bool mu_json_bool(const struct mu_json *v);            /* kind asserted, as below */
int64_t mu_json_int(const struct mu_json *v);
double mu_json_number(const struct mu_json *v); /* INT or REAL */
struct mu_span mu_json_string(const struct mu_json *v);
size_t mu_json_count(const struct mu_json *v); /* of a list or an object */
const struct mu_json *mu_json_at(const struct mu_json *list, size_t index);
const struct mu_json *mu_json_find(const struct mu_json *object, const char *name); /* exact */

/* Walk an object: struct mu_json_at at = { 0 }; while (mu_json_next(object, &at)) ... */
struct mu_json_at {
    const char *name;
    const struct mu_json *value;
    void *position; /* private */
    bool started;
};
bool mu_json_next(const struct mu_json *object, struct mu_json_at *at);

/* Append the value as compact JSON, members in the order they were read. */
void mu_json_compact(const struct mu_json *v, struct mu_buf *to);

/* -- reading: by a table of fields ------------------------------------------------------------- */

struct mu_texts { /* a list of strings */
    struct mu_span *items;
    size_t count;
};

struct mu_pair {
    struct mu_span key, value;
};

struct mu_pairs { /* an object of strings */
    struct mu_pair *items;
    size_t count;
};

struct mu_pair_texts {
    struct mu_span key;
    struct mu_texts values;
};

struct mu_multi { /* an object of lists of strings, as HTTP headers are given */
    struct mu_pair_texts *items;
    size_t count;
};

enum mu_json_as {
    MU_JSON_AS_TEXT,     /* struct mu_span */
    MU_JSON_AS_BOOL,     /* bool */
    MU_JSON_AS_INT,      /* int64_t */
    MU_JSON_AS_UINT,     /* uint64_t; a negative one is refused */
    MU_JSON_AS_DURATION, /* int64_t ns: Go syntax in a string, or a number of ns */
    MU_JSON_AS_TEXTS,    /* struct mu_texts */
    MU_JSON_AS_PAIRS,    /* struct mu_pairs */
    MU_JSON_AS_MULTI,    /* struct mu_multi */
    MU_JSON_AS_OBJECT,   /* `of->bytes` at the offset, decoded by `of` */
    MU_JSON_AS_OBJECTS,  /* struct mu_objects: an array of `of->bytes` each */
    MU_JSON_AS_NAMED,    /* struct mu_objects, from an object: each begins with a struct mu_span
                          * that receives the member's name */
    MU_JSON_AS_VALUE,    /* const struct mu_json *: a view, as long as the tree lives */
    MU_JSON_AS_NOTHING,  /* accepted and ignored */
};

struct mu_objects {
    void *items;
    size_t count;
};

struct mu_json_shape;

struct mu_json_field {
    const char *name;
    const char *also[3]; /* other spellings, matched without case too; NULL: none */
    enum mu_json_as as;
    size_t offset;
    const struct mu_json_shape *of;
};

struct mu_json_shape {
    const struct mu_json_field *fields;
    size_t fields_count; /* at most 64 */
    size_t bytes;        /* size of the struct */
    bool is_loose;       /* unknown members are ignored instead of refused */
    bool has_given;      /* at given_offset lies a uint64_t: bit i set when fields[i] was there */
    size_t given_offset;
};

/* Fill `to` (already zeroed or holding defaults) from an object. null counts as absent. An exact
 * name is preferred to a folded one; of several the last wins. */
MU_MUST_CHECK enum mu_code mu_json_decode(const struct mu_json *object,
                                          const struct mu_json_shape *shape, void *to,
                                          struct mu_arena *arena, struct mu_err *err);

/* Both steps for a body: parse the first document, decode, free the tree. AS_VALUE fields are not
 * allowed here (the tree is gone afterwards; asserted). */
MU_MUST_CHECK enum mu_code mu_json_read(struct mu_span text, const struct mu_json_shape *shape,
                                        void *to, struct mu_arena *arena, struct mu_err *err);

/* -- writing ----------------------------------------------------------------------------------- */

#define MU_JSON_DEPTH_MAX 32

struct mu_json_out {
    struct mu_buf *to;
    bool is_pretty;
    bool has_key; /* a key was written, its value comes next */
    unsigned depth;
    bool has_items[MU_JSON_DEPTH_MAX + 1]; /* per level: a comma goes before the next */
};

void mu_json_out_init(struct mu_json_out *o, struct mu_buf *to, bool is_pretty);
void mu_json_out_end(struct mu_json_out *o); /* asserts balance; the newline of `pretty` */

void mu_json_open(struct mu_json_out *o, char bracket);  /* '{' or '[' */
void mu_json_close(struct mu_json_out *o, char bracket); /* '}' or ']' */
void mu_json_key(struct mu_json_out *o, const char *name);
void mu_json_key_span(struct mu_json_out *o, struct mu_span name);

void mu_json_put_text(struct mu_json_out *o, const char *text);
void mu_json_put_span(struct mu_json_out *o, struct mu_span text); /* bad UTF-8 becomes U+FFFD */
void mu_json_put_u64(struct mu_json_out *o, uint64_t v);
void mu_json_put_i64(struct mu_json_out *o, int64_t v);
void mu_json_put_real(struct mu_json_out *o, double v); /* few digits that read back equal, as Go */
void mu_json_put_bool(struct mu_json_out *o, bool v);
void mu_json_put_null(struct mu_json_out *o);
void mu_json_put_base64(struct mu_json_out *o, struct mu_span bytes); /* standard, padded */
/* A finished value; it is indented with the rest. */
void mu_json_put_raw(struct mu_json_out *o, struct mu_span json);

/* key and value in one line */
void mu_json_text(struct mu_json_out *o, const char *name, const char *text);
void mu_json_span(struct mu_json_out *o, const char *name, struct mu_span text);
void mu_json_u64(struct mu_json_out *o, const char *name, uint64_t v);
void mu_json_i64(struct mu_json_out *o, const char *name, int64_t v);
void mu_json_boolean(struct mu_json_out *o, const char *name, bool v);
void mu_json_nothing(struct mu_json_out *o, const char *name);

#endif
