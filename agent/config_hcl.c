/* Configuration in HCL: a small recursive descent (the grammar is in config_source.h).
 *
 * The text becomes a list of values that know their line, and that list is written as JSON and
 * read again. The detour costs a millisecond at start and buys that there is one tree and one set
 * of rules about numbers, depth and text for both grammars.
 */
#include "config_source.h"

#include <ctype.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/table.h"
#include "config_hcl_scan.h"

/* A fleet's largest file has thousands of services with a dozen values each. The bound keeps what
 * one file may cost in memory at about fifty times its largest size. */
#define HCL_VALUES_MAX 200000

_Static_assert(2 * CONFIG_DEPTH_MAX < MU_JSON_DEPTH_MAX,
               "every level may become a list of objects");

enum hcl_kind {
    HCL_STRING,
    HCL_NUMBER,
    HCL_BOOL,
    HCL_LIST,
    HCL_OBJECT,
};

struct hcl_value {
    enum hcl_kind kind;
    unsigned line;                         /* of the key in an object, else of the value */
    bool is_true;                          /* HCL_BOOL */
    bool is_repeated;                      /* another value of the same key came before */
    struct mu_span key;                    /* in an object */
    struct mu_span text;                   /* HCL_STRING: its bytes; HCL_NUMBER: as written */
    struct hcl_value *next, *first, *last; /* siblings, and what a list or an object holds */
    struct hcl_value *again, *again_last;  /* further values of the same key */
};

/* -- values ------------------------------------------------------------------------------------ */

static enum mu_code read_value(struct hcl *h, struct hcl_value **out);

static bool starts_word(char c)
{
    return isalpha((unsigned char)c) || c == '_';
}

static struct mu_span take_word(struct hcl *h)
{
    size_t from = h->at;

    while (isalnum((unsigned char)hcl__peek(h, 0)) ||
           (hcl__peek(h, 0) != '\0' && strchr("_-.", hcl__peek(h, 0)) != NULL)) {
        h->at++;
    }
    return mu_span_sub(h->text, from, h->at - from);
}

static enum mu_code value_new(struct hcl *h, enum hcl_kind kind, struct hcl_value **out)
{
    if (++h->values_count > HCL_VALUES_MAX) {
        return hcl__refuse(h, "too many values in one file");
    }
    *out = mu_arena_new(h->arena, sizeof **out);
    (*out)->kind = kind;
    (*out)->line = h->line;
    return MU_OK;
}

static void append(struct hcl_value *to, struct hcl_value *v)
{
    if (to->last == NULL) {
        to->first = v;
    } else {
        to->last->next = v;
    }
    to->last = v;
}

static enum mu_code read_list(struct hcl *h, struct hcl_value *list)
{
    enum mu_code rc;

    h->at++;
    for (;;) {
        struct hcl_value *item = NULL;

        rc = hcl__skip_blank(h);
        if (rc != MU_OK) {
            return rc;
        }
        if (hcl__peek(h, 0) == ']') {
            h->at++;
            return MU_OK;
        }
        rc = read_value(h, &item);
        if (rc != MU_OK) {
            return rc;
        }
        append(list, item);
        rc = hcl__skip_blank(h);
        if (rc != MU_OK) {
            return rc;
        }
        if (hcl__peek(h, 0) == ',') {
            h->at++;
        } else if (hcl__peek(h, 0) != ']') {
            return hcl__unexpected(h, "',' or ']'");
        }
    }
}

/* key = value, key { ... }. The cursor stands on the key. */
static enum mu_code read_item(struct hcl *h, struct hcl_value *object)
{
    struct mu_span key = MU_SPAN_NONE;
    unsigned line = h->line;
    struct hcl_value *value = NULL;
    enum mu_code rc = MU_OK;

    if (hcl__peek(h, 0) == '"') {
        rc = hcl__read_string(h, &key);
    } else if (starts_word(hcl__peek(h, 0))) {
        key = take_word(h);
    } else {
        return hcl__unexpected(h, "a key");
    }
    if (rc == MU_OK) {
        rc = hcl__skip_blank(h);
    }
    if (rc != MU_OK) {
        return rc;
    }
    if (hcl__peek(h, 0) == '=') {
        h->at++;
        rc = hcl__skip_blank(h);
    } else if (hcl__peek(h, 0) == '"') {
        return hcl__refuse(h, "blocks with a label are not accepted");
    } else if (hcl__peek(h, 0) != '{') {
        return hcl__unexpected(h, "'=' or '{'");
    }
    if (rc == MU_OK) {
        rc = read_value(h, &value);
    }
    if (rc != MU_OK) {
        return rc;
    }
    value->key = key;
    value->line = line;
    append(object, value);
    return MU_OK;
}

/* Items up to '}', or up to the end of the file. */
static enum mu_code read_items(struct hcl *h, struct hcl_value *object, bool is_file)
{
    for (;;) {
        enum mu_code rc = hcl__skip_blank(h);

        if (rc != MU_OK) {
            return rc;
        }
        if (is_file && hcl__at_end(h)) {
            return MU_OK;
        }
        if (!is_file && hcl__peek(h, 0) == '}') {
            h->at++;
            return MU_OK;
        }
        rc = read_item(h, object);
        if (rc == MU_OK) {
            rc = hcl__skip_blank(h);
        }
        if (rc != MU_OK) {
            return rc;
        }
        h->at += hcl__peek(h, 0) == ',' ? 1 : 0;
    }
}

static enum mu_code read_nested(struct hcl *h, struct hcl_value *v)
{
    enum mu_code rc;

    if (++h->depth >= CONFIG_DEPTH_MAX) {
        return hcl__refuse(h, "nested too deeply");
    }
    if (v->kind == HCL_LIST) {
        rc = read_list(h, v);
    } else {
        h->at++;
        rc = read_items(h, v, false);
    }
    h->depth--;
    return rc;
}

static enum mu_code read_bool(struct hcl *h, struct hcl_value *v)
{
    struct mu_span word = take_word(h);

    v->is_true = mu_span_eq_text(word, "true");
    if (v->is_true || mu_span_eq_text(word, "false")) {
        return MU_OK;
    }
    return mu_fail(h->err, MU_INVALID, "line %u: '%.*s' is no value; text stands in quotes",
                   h->line, MU_SPAN_FMT(mu_span_sub(word, 0, 64)));
}

static enum mu_code read_value(struct hcl *h, struct hcl_value **out)
{
    char c = hcl__peek(h, 0);
    enum hcl_kind kind = HCL_STRING;
    bool is_heredoc = c == '<' && hcl__peek(h, 1) == '<';

    if (c == '{') {
        kind = HCL_OBJECT;
    } else if (c == '[') {
        kind = HCL_LIST;
    } else if (c == '-' || isdigit((unsigned char)c)) {
        kind = HCL_NUMBER;
    } else if (starts_word(c)) {
        kind = HCL_BOOL;
    } else if (c != '"' && !is_heredoc) {
        return hcl__unexpected(h, "a value");
    }
    enum mu_code rc = value_new(h, kind, out);

    if (rc != MU_OK) {
        return rc;
    }
    switch (kind) {
    case HCL_STRING:
        return is_heredoc ? hcl__read_heredoc(h, &(*out)->text)
                          : hcl__read_string(h, &(*out)->text);
    case HCL_NUMBER: return hcl__read_number(h, &(*out)->text);
    case HCL_BOOL: return read_bool(h, *out);
    case HCL_LIST:
    case HCL_OBJECT: return read_nested(h, *out);
    }
    MU_UNREACHABLE_CODE();
}

static enum mu_code read_file(struct mu_span text, struct mu_arena *arena, struct hcl_value **out,
                              struct mu_err *err)
{
    struct hcl h = { .text = text, .line = 1, .arena = arena, .err = err };

    if (!mu_span_is_utf8(text)) {
        return mu_fail(err, MU_INVALID, "the text is not UTF-8");
    }
    enum mu_code rc = value_new(&h, HCL_OBJECT, out);

    return rc == MU_OK ? read_items(&h, *out, true) : rc;
}

/* -- as JSON ----------------------------------------------------------------------------------- */

static void put_value(struct mu_json_out *o, const struct hcl_value *v);

/* Chain values of one key behind the first of them. */
static void chain_repeated(const struct hcl_value *object)
{
    struct mu_table *seen = mu_table_new();

    for (struct hcl_value *v = object->first; v != NULL; v = v->next) {
        struct hcl_value *head = mu_table_find(seen, v->key);

        if (head == NULL) {
            v->again_last = v;
            (void)mu_table_put(seen, v->key, v);
            continue;
        }
        v->is_repeated = true;
        head->again_last->again = v;
        head->again_last = v;
    }
    mu_table_free(seen);
}

static bool are_blocks(const struct hcl_value *head)
{
    for (const struct hcl_value *v = head; v != NULL; v = v->again) {
        if (v->kind != HCL_OBJECT && v->kind != HCL_LIST) {
            return false;
        }
    }
    return true;
}

/* Repeated blocks are a list of blocks; of repeated scalars the last counts. */
static void put_repeated(struct mu_json_out *o, const struct hcl_value *head)
{
    if (!are_blocks(head)) {
        put_value(o, head->again_last);
        return;
    }
    mu_json_open(o, '[');
    for (const struct hcl_value *v = head; v != NULL; v = v->again) {
        if (v->kind == HCL_OBJECT) {
            put_value(o, v);
            continue;
        }
        for (const struct hcl_value *item = v->first; item != NULL; item = item->next) {
            put_value(o, item);
        }
    }
    mu_json_close(o, ']');
}

static void put_object(struct mu_json_out *o, const struct hcl_value *object)
{
    chain_repeated(object);
    mu_json_open(o, '{');
    for (const struct hcl_value *v = object->first; v != NULL; v = v->next) {
        if (v->is_repeated) {
            continue;
        }
        mu_json_key_span(o, v->key);
        if (v->again != NULL) {
            put_repeated(o, v);
        } else {
            put_value(o, v);
        }
    }
    mu_json_close(o, '}');
}

static void put_value(struct mu_json_out *o, const struct hcl_value *v)
{
    switch (v->kind) {
    case HCL_STRING: mu_json_put_span(o, v->text); return;
    case HCL_NUMBER: mu_json_put_raw(o, v->text); return;
    case HCL_BOOL: mu_json_put_bool(o, v->is_true); return;
    case HCL_OBJECT: put_object(o, v); return;
    case HCL_LIST:
        mu_json_open(o, '[');
        for (const struct hcl_value *item = v->first; item != NULL; item = item->next) {
            put_value(o, item);
        }
        mu_json_close(o, ']');
        return;
    }
    MU_UNREACHABLE_CODE();
}

static bool is_json(struct mu_span text)
{
    size_t blank = 0;

    while (blank < text.bytes && memchr(" \t\r\n", text.data[blank], 4) != NULL) {
        blank++;
    }
    return blank < text.bytes && text.data[blank] == '{';
}

enum mu_code config__hcl_read(struct mu_span text, struct mu_json **root, struct mu_err *err)
{
    struct mu_buf json = MU_BUF_NONE;
    struct hcl_value *file = NULL;
    struct mu_json_out o;
    struct mu_arena arena;
    enum mu_code rc;

    *root = NULL;
    if (is_json(text)) {
        return config__json_read(text, root, err);
    }
    mu_arena_init(&arena, 0);
    rc = read_file(text, &arena, &file, err);
    if (rc == MU_OK) {
        mu_json_out_init(&o, &json, false);
        put_object(&o, file);
        mu_json_out_end(&o);
        rc = mu_json_parse(root, mu_buf_span(&json), true, err);
    }
    mu_arena_deinit(&arena);
    mu_buf_deinit(&json);
    return rc;
}

/* -- the line of a key ------------------------------------------------------------------------- */

static unsigned line_in(const struct hcl_value *object, const struct config_path *path,
                        size_t depth);

/* One of the objects behind a step that is not the last. */
static unsigned line_in_element(const struct hcl_value *v, const struct config_path *path,
                                size_t depth, size_t *element)
{
    size_t index = path->steps[depth].index;
    bool is_it = index == CONFIG_NO_INDEX || index == *element;

    (*element)++;
    return is_it && v->kind == HCL_OBJECT ? line_in(v, path, depth + 1) : 0;
}

static unsigned line_in(const struct hcl_value *object, const struct config_path *path,
                        size_t depth)
{
    size_t element = 0;

    for (const struct hcl_value *v = object->first; v != NULL; v = v->next) {
        unsigned line = 0;

        if (!mu_span_eq_text(v->key, path->steps[depth].name)) {
            continue;
        }
        if (depth + 1 == path->count) {
            return v->line;
        }
        if (v->kind == HCL_LIST) {
            for (const struct hcl_value *item = v->first; item != NULL && line == 0;
                 item = item->next) {
                line = line_in_element(item, path, depth, &element);
            }
        } else {
            line = line_in_element(v, path, depth, &element);
        }
        if (line != 0) {
            return line;
        }
    }
    return 0;
}

unsigned config__hcl_line(struct mu_span text, const struct config_path *path)
{
    struct mu_err err = MU_ERR_NONE;
    struct hcl_value *file = NULL;
    struct mu_arena arena;
    unsigned line = 0;

    if (is_json(text)) {
        return config__json_line(text, path);
    }
    mu_arena_init(&arena, 0);
    if (path->count > 0 && read_file(text, &arena, &file, &err) == MU_OK) {
        line = line_in(file, path, 0);
    }
    mu_arena_deinit(&arena);
    return line;
}
