#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"

/* struct mu_json is never defined: it stands for json_t. */
static const json_t *in(const struct mu_json *v)
{
    return (const json_t *)(const void *)v;
}

static struct mu_json *out(json_t *v)
{
    return (struct mu_json *)(void *)v;
}

/* -- the tree ---------------------------------------------------------------------------------- */

static bool is_blank(struct mu_span text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        if (memchr(" \t\r\n", text.data[i], 4) == NULL) {
            return false;
        }
    }
    return true;
}

/* -- integers that only fit without a sign ----------------------------------------------------- */

/* The parser has no room for integers between 2^63 and 2^64: they are handed to it as texts behind
 * this mark, which read_uint() knows. */
#define BIG_MARK         "\x01"
#define BIG_MARK_JSON    "\"\\u0001"
#define BIG_DIGITS_LEAST 19

static size_t digits_at(struct mu_span text, size_t at)
{
    size_t n = 0;

    while (at + n < text.bytes && text.data[at + n] >= '0' && text.data[at + n] <= '9') {
        n++;
    }
    return n;
}

/* Is the number of `digits` digits at `at` one of them? */
static bool is_big(struct mu_span text, size_t at, size_t digits)
{
    uint8_t before = at > 0 ? text.data[at - 1] : 0;
    uint8_t after = at + digits < text.bytes ? text.data[at + digits] : 0;
    uint64_t value = 0;

    return digits >= BIG_DIGITS_LEAST && before != '-' && before != '.' && before != '+' &&
           before != 'e' && before != 'E' && after != '.' && after != 'e' && after != 'E' &&
           mu_span_u64(mu_span_sub(text, at, digits), &value) && value > INT64_MAX;
}

/* Copy `text`, big ones marked. False: there is none, and `to` is empty. */
static bool mark_big(struct mu_span text, struct mu_buf *to)
{
    bool in_string = false;
    size_t copied = 0;

    for (size_t at = 0; at < text.bytes; at++) {
        uint8_t c = text.data[at];

        if (in_string) {
            at += c == '\\';
            in_string = c != '"';
            continue;
        }
        in_string = c == '"';
        size_t digits = digits_at(text, at);

        if (is_big(text, at, digits)) {
            mu_buf_add_span(to, mu_span_sub(text, copied, at - copied));
            mu_buf_add_text(to, BIG_MARK_JSON);
            mu_buf_add_span(to, mu_span_sub(text, at, digits));
            mu_buf_add_byte(to, '"');
            copied = at + digits;
        }
        at += digits > 0 ? digits - 1 : 0;
    }
    if (copied == 0) {
        return false;
    }
    mu_buf_add_span(to, mu_span_sub(text, copied, text.bytes));
    return true;
}

static bool read_big(const struct mu_json *v, uint64_t *out)
{
    struct mu_span text = mu_json_kind_of(v) == MU_JSON_STRING ? mu_json_string(v) : MU_SPAN_NONE;

    return mu_span_starts(text, MU_SPAN_LIT(BIG_MARK)) &&
           mu_span_u64(mu_span_sub(text, 1, text.bytes), out);
}

/* -- parsing ----------------------------------------------------------------------------------- */

enum mu_code mu_json_parse(struct mu_json **root, struct mu_span text, bool whole,
                           struct mu_err *err)
{
    json_error_t why;
    size_t flags = JSON_DECODE_ANY | (whole ? 0 : JSON_DISABLE_EOF_CHECK);

    *root = NULL;
    if (is_blank(text)) {
        return mu_fail(err, MU_INVALID, "EOF");
    }
    struct mu_buf marked = MU_BUF_NONE;
    struct mu_span source = mark_big(text, &marked) ? mu_buf_span(&marked) : text;
    json_t *tree = json_loadb((const char *)source.data, source.bytes, flags, &why);

    mu_buf_deinit(&marked);
    if (tree != NULL) {
        *root = out(tree);
        return MU_OK;
    }
    if (json_error_code(&why) == json_error_premature_end_of_input) {
        return mu_fail(err, MU_INVALID, "unexpected EOF");
    }
    return mu_fail(err, MU_INVALID, "line %d, column %d: %s", why.line, why.column, why.text);
}

void mu_json_free(struct mu_json *root)
{
    json_decref((json_t *)(void *)root);
}

enum mu_json_kind mu_json_kind_of(const struct mu_json *v)
{
    switch (json_typeof(in(v))) {
    case JSON_OBJECT: return MU_JSON_OBJECT;
    case JSON_ARRAY: return MU_JSON_LIST;
    case JSON_STRING: return MU_JSON_STRING;
    case JSON_INTEGER: return MU_JSON_INT;
    case JSON_REAL: return MU_JSON_REAL;
    case JSON_TRUE:
    case JSON_FALSE: return MU_JSON_BOOL;
    case JSON_NULL: return MU_JSON_NULL;
    }
    MU_UNREACHABLE_CODE();
}

const char *mu_json_kind_text(enum mu_json_kind kind)
{
    switch (kind) {
    case MU_JSON_NULL: return "null";
    case MU_JSON_BOOL: return "bool";
    case MU_JSON_INT:
    case MU_JSON_REAL: return "number";
    case MU_JSON_STRING: return "string";
    case MU_JSON_LIST: return "array";
    case MU_JSON_OBJECT: return "object";
    }
    MU_UNREACHABLE_CODE();
}

bool mu_json_bool(const struct mu_json *v)
{
    MU_ASSERT(json_is_boolean(in(v)));
    return json_is_true(in(v));
}

int64_t mu_json_int(const struct mu_json *v)
{
    MU_ASSERT(json_is_integer(in(v)));
    return json_integer_value(in(v));
}

double mu_json_number(const struct mu_json *v)
{
    MU_ASSERT(json_is_number(in(v)));
    return json_number_value(in(v));
}

struct mu_span mu_json_string(const struct mu_json *v)
{
    MU_ASSERT(json_is_string(in(v)));
    return mu_span_of(json_string_value(in(v)), json_string_length(in(v)));
}

size_t mu_json_count(const struct mu_json *v)
{
    return json_is_object(in(v)) ? json_object_size(in(v)) : json_array_size(in(v));
}

const struct mu_json *mu_json_at(const struct mu_json *list, size_t index)
{
    json_t *item = json_array_get(in(list), index);

    MU_ASSERT(item != NULL);
    return out(item);
}

const struct mu_json *mu_json_find(const struct mu_json *object, const char *name)
{
    return out(json_object_get(in(object), name));
}

bool mu_json_next(const struct mu_json *object, struct mu_json_at *at)
{
    json_t *tree =
        (json_t *)(uintptr_t)(const void *)object; /* the iterator is not const-correct */

    at->position = at->started ? json_object_iter_next(tree, at->position) : json_object_iter(tree);
    at->started = true;
    if (at->position == NULL) {
        return false;
    }
    at->name = json_object_iter_key(at->position);
    at->value = out(json_object_iter_value(at->position));
    return true;
}

static int compact_add(const char *bytes, size_t count, void *to)
{
    mu_buf_add(to, bytes, count);
    return 0;
}

void mu_json_compact(const struct mu_json *v, struct mu_buf *to)
{
    int rc = json_dump_callback(in(v), compact_add, to, JSON_COMPACT | JSON_ENCODE_ANY);

    MU_ASSERT(rc == 0); /* a parsed tree holds nothing that cannot be written */
}

/* -- decoding by a table ----------------------------------------------------------------------- */

static const char *go_type(enum mu_json_as as)
{
    switch (as) {
    case MU_JSON_AS_TEXT: return "string";
    case MU_JSON_AS_BOOL: return "bool";
    case MU_JSON_AS_INT: return "int";
    case MU_JSON_AS_UINT: return "uint64";
    case MU_JSON_AS_DURATION: return "time.Duration";
    case MU_JSON_AS_TEXTS: return "[]string";
    case MU_JSON_AS_PAIRS: return "map[string]string";
    case MU_JSON_AS_MULTI: return "map[string][]string";
    case MU_JSON_AS_OBJECTS: return "[]struct";
    case MU_JSON_AS_NAMED: return "map[string]struct";
    case MU_JSON_AS_OBJECT:
    case MU_JSON_AS_VALUE:
    case MU_JSON_AS_NOTHING: return "struct";
    }
    MU_UNREACHABLE_CODE();
}

static enum mu_code mismatch(const struct mu_json *v, const struct mu_json_field *f,
                             struct mu_err *err)
{
    return mu_fail(err, MU_INVALID, "json: cannot unmarshal %s into Go struct field .%s of type %s",
                   mu_json_kind_text(mu_json_kind_of(v)), f->name, go_type(f->as));
}

static bool matches_fold(const struct mu_json_field *f, struct mu_span name)
{
    if (mu_span_eq_fold(name, mu_span_text(f->name))) {
        return true;
    }
    for (size_t i = 0; i < MU_LEN(f->also) && f->also[i] != NULL; i++) {
        if (mu_span_eq_fold(name, mu_span_text(f->also[i]))) {
            return true;
        }
    }
    return false;
}

static const struct mu_json_field *field_find(const struct mu_json_shape *shape, const char *name)
{
    struct mu_span span = mu_span_text(name);

    for (size_t i = 0; i < shape->fields_count; i++) {
        if (strcmp(shape->fields[i].name, name) == 0) {
            return &shape->fields[i];
        }
    }
    for (size_t i = 0; i < shape->fields_count; i++) {
        if (matches_fold(&shape->fields[i], span)) {
            return &shape->fields[i];
        }
    }
    return NULL;
}

static enum mu_code read_text(const struct mu_json *v, const struct mu_json_field *f,
                              struct mu_span *to, struct mu_arena *arena, struct mu_err *err)
{
    if (mu_json_kind_of(v) != MU_JSON_STRING) {
        return mismatch(v, f, err);
    }
    *to = mu_arena_span(arena, mu_json_string(v));
    return MU_OK;
}

static enum mu_code read_integer(const struct mu_json *v, const struct mu_json_field *f,
                                 int64_t *to, struct mu_err *err)
{
    if (mu_json_kind_of(v) == MU_JSON_REAL) {
        double real = mu_json_number(v);

        if (real != floor(real) || fabs(real) > 0x1.0p53) {
            return mismatch(v, f, err);
        }
        *to = (int64_t)real;
        return MU_OK;
    }
    if (mu_json_kind_of(v) != MU_JSON_INT) {
        return mismatch(v, f, err);
    }
    *to = mu_json_int(v);
    return MU_OK;
}

static enum mu_code read_uint(const struct mu_json *v, const struct mu_json_field *f, uint64_t *to,
                              struct mu_err *err)
{
    int64_t value = 0;

    if (read_big(v, to)) {
        return MU_OK;
    }
    enum mu_code rc = read_integer(v, f, &value, err);

    if (rc == MU_OK && value < 0) {
        return mismatch(v, f, err);
    }
    *to = (uint64_t)value;
    return rc;
}

static enum mu_code read_duration(const struct mu_json *v, const struct mu_json_field *f,
                                  int64_t *to, struct mu_err *err)
{
    char why[128];

    if (mu_json_kind_of(v) != MU_JSON_STRING) {
        return read_integer(v, f, to, err);
    }
    if (!mu_duration_parse(mu_json_string(v), to, why, sizeof why)) {
        return mu_fail(err, MU_INVALID, "%s", why);
    }
    return MU_OK;
}

static enum mu_code read_texts(const struct mu_json *v, const struct mu_json_field *f,
                               struct mu_texts *to, struct mu_arena *arena, struct mu_err *err)
{
    if (mu_json_kind_of(v) != MU_JSON_LIST) {
        return mismatch(v, f, err);
    }
    to->count = mu_json_count(v);
    to->items = mu_arena_array(arena, to->count, sizeof *to->items);
    for (size_t i = 0; i < to->count; i++) {
        const struct mu_json *item = mu_json_at(v, i);

        if (mu_json_kind_of(item) == MU_JSON_NULL) {
            continue;
        }
        enum mu_code rc = read_text(item, f, &to->items[i], arena, err);

        if (rc != MU_OK) {
            return rc;
        }
    }
    return MU_OK;
}

static enum mu_code read_pairs(const struct mu_json *v, const struct mu_json_field *f,
                               struct mu_pairs *to, struct mu_arena *arena, struct mu_err *err)
{
    struct mu_json_at at = { 0 };

    if (mu_json_kind_of(v) != MU_JSON_OBJECT) {
        return mismatch(v, f, err);
    }
    to->items = mu_arena_array(arena, mu_json_count(v), sizeof *to->items);
    to->count = 0;
    while (mu_json_next(v, &at)) {
        struct mu_pair *pair = &to->items[to->count++];

        pair->key = mu_arena_span(arena, mu_span_text(at.name));
        if (mu_json_kind_of(at.value) == MU_JSON_NULL) {
            continue;
        }
        enum mu_code rc = read_text(at.value, f, &pair->value, arena, err);

        if (rc != MU_OK) {
            return rc;
        }
    }
    return MU_OK;
}

static enum mu_code read_multi(const struct mu_json *v, const struct mu_json_field *f,
                               struct mu_multi *to, struct mu_arena *arena, struct mu_err *err)
{
    struct mu_json_at at = { 0 };

    if (mu_json_kind_of(v) != MU_JSON_OBJECT) {
        return mismatch(v, f, err);
    }
    to->items = mu_arena_array(arena, mu_json_count(v), sizeof *to->items);
    to->count = 0;
    while (mu_json_next(v, &at)) {
        struct mu_pair_texts *entry = &to->items[to->count++];

        entry->key = mu_arena_span(arena, mu_span_text(at.name));
        if (mu_json_kind_of(at.value) == MU_JSON_NULL) {
            continue;
        }
        enum mu_code rc = read_texts(at.value, f, &entry->values, arena, err);

        if (rc != MU_OK) {
            return rc;
        }
    }
    return MU_OK;
}

static enum mu_code read_objects(const struct mu_json *v, const struct mu_json_field *f,
                                 struct mu_objects *to, struct mu_arena *arena, struct mu_err *err)
{
    if (mu_json_kind_of(v) != MU_JSON_LIST) {
        return mismatch(v, f, err);
    }
    uint8_t *items = mu_arena_array(arena, mu_json_count(v), f->of->bytes);

    to->items = items;
    to->count = 0;
    for (size_t i = 0; i < mu_json_count(v); i++) {
        const struct mu_json *item = mu_json_at(v, i);

        if (mu_json_kind_of(item) == MU_JSON_NULL) {
            continue; /* a null entry is dropped, as the original does */
        }
        enum mu_code rc = mu_json_decode(item, f->of, items + to->count * f->of->bytes, arena, err);

        if (rc != MU_OK) {
            return rc;
        }
        to->count++;
    }
    return MU_OK;
}

static enum mu_code read_named(const struct mu_json *v, const struct mu_json_field *f,
                               struct mu_objects *to, struct mu_arena *arena, struct mu_err *err)
{
    struct mu_json_at at = { 0 };

    if (mu_json_kind_of(v) != MU_JSON_OBJECT) {
        return mismatch(v, f, err);
    }
    uint8_t *items = mu_arena_array(arena, mu_json_count(v), f->of->bytes);

    to->items = items;
    to->count = 0;
    while (mu_json_next(v, &at)) {
        uint8_t *item = items + to->count * f->of->bytes;
        struct mu_span name = mu_arena_span(arena, mu_span_text(at.name));

        memcpy(item, &name, sizeof name);
        to->count++;
        if (mu_json_kind_of(at.value) == MU_JSON_NULL) {
            continue;
        }
        enum mu_code rc = mu_json_decode(at.value, f->of, item, arena, err);

        if (rc != MU_OK) {
            return rc;
        }
    }
    return MU_OK;
}

static enum mu_code read_bool(const struct mu_json *v, const struct mu_json_field *f, bool *to,
                              struct mu_err *err)
{
    if (mu_json_kind_of(v) != MU_JSON_BOOL) {
        return mismatch(v, f, err);
    }
    *to = mu_json_bool(v);
    return MU_OK;
}

static enum mu_code read_field(const struct mu_json *v, const struct mu_json_field *f, void *to,
                               struct mu_arena *arena, struct mu_err *err)
{
    switch (f->as) {
    case MU_JSON_AS_TEXT: return read_text(v, f, to, arena, err);
    case MU_JSON_AS_BOOL: return read_bool(v, f, to, err);
    case MU_JSON_AS_INT: return read_integer(v, f, to, err);
    case MU_JSON_AS_UINT: return read_uint(v, f, to, err);
    case MU_JSON_AS_DURATION: return read_duration(v, f, to, err);
    case MU_JSON_AS_TEXTS: return read_texts(v, f, to, arena, err);
    case MU_JSON_AS_PAIRS: return read_pairs(v, f, to, arena, err);
    case MU_JSON_AS_MULTI: return read_multi(v, f, to, arena, err);
    case MU_JSON_AS_OBJECT:
        return mu_json_kind_of(v) == MU_JSON_OBJECT ? mu_json_decode(v, f->of, to, arena, err)
                                                    : mismatch(v, f, err);
    case MU_JSON_AS_OBJECTS: return read_objects(v, f, to, arena, err);
    case MU_JSON_AS_NAMED: return read_named(v, f, to, arena, err);
    case MU_JSON_AS_VALUE: *(const struct mu_json **)to = v; return MU_OK;
    case MU_JSON_AS_NOTHING: return MU_OK;
    }
    MU_UNREACHABLE_CODE();
}

/* A folded name gives way to an exact one that is also there, and says something. */
static bool is_overruled(const struct mu_json *object, const struct mu_json_field *f,
                         const char *name)
{
    const struct mu_json *exact = strcmp(f->name, name) != 0 ? mu_json_find(object, f->name) : NULL;

    return exact != NULL && mu_json_kind_of(exact) != MU_JSON_NULL;
}

enum mu_code mu_json_decode(const struct mu_json *object, const struct mu_json_shape *shape,
                            void *to, struct mu_arena *arena, struct mu_err *err)
{
    struct mu_json_at at = { 0 };
    uint64_t given = 0;

    MU_ASSERT(shape->fields_count <= 64);
    if (mu_json_kind_of(object) != MU_JSON_OBJECT) {
        return mu_fail(err, MU_INVALID, "json: cannot unmarshal %s into Go value of type struct",
                       mu_json_kind_text(mu_json_kind_of(object)));
    }
    while (mu_json_next(object, &at)) {
        const struct mu_json_field *f = field_find(shape, at.name);

        if (f == NULL) {
            if (shape->is_loose) {
                continue;
            }
            return mu_fail(err, MU_INVALID, "json: unknown field \"%s\"", at.name);
        }
        if (mu_json_kind_of(at.value) == MU_JSON_NULL || is_overruled(object, f, at.name)) {
            continue;
        }
        enum mu_code rc = read_field(at.value, f, (uint8_t *)to + f->offset, arena, err);

        if (rc != MU_OK) {
            return rc;
        }
        given |= 1ULL << (f - shape->fields);
    }
    if (shape->has_given) {
        memcpy((uint8_t *)to + shape->given_offset, &given, sizeof given);
    }
    return MU_OK;
}

enum mu_code mu_json_read(struct mu_span text, const struct mu_json_shape *shape, void *to,
                          struct mu_arena *arena, struct mu_err *err)
{
    struct mu_json *root = NULL;

    for (size_t i = 0; i < shape->fields_count; i++) {
        MU_ASSERT(shape->fields[i].as != MU_JSON_AS_VALUE);
    }
    enum mu_code rc = mu_json_parse(&root, text, false, err);

    if (rc == MU_OK) {
        rc = mu_json_decode(root, shape, to, arena, err);
    }
    mu_json_free(root);
    return rc;
}
