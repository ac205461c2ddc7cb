/* Selectors are looked up in the fields once, values are converted once; evaluating then only
 * follows offsets. A list on the way makes a match of any of its elements.
 */
#include "filter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/local.h"
#include "base/assert.h"
#include "base/json.h"
#include "filter_tree.h"
#include "params.h"

#define PREFIX "Failed to create boolean expression evaluator: "

/* -- operators and what they apply to ---------------------------------------------------------- */

#define BIT(op) (1U << (unsigned)(op))

#define OPS_NUMBER (BIT(FILTER_EQUAL) | BIT(FILTER_NOT_EQUAL))
#define OPS_TEXT                                                              \
    (OPS_NUMBER | BIT(FILTER_IN) | BIT(FILTER_NOT_IN) | BIT(FILTER_MATCHES) | \
     BIT(FILTER_NOT_MATCHES))
#define OPS_EMPTY (BIT(FILTER_IS_EMPTY) | BIT(FILTER_IS_NOT_EMPTY))
#define OPS_MANY  (BIT(FILTER_IN) | BIT(FILTER_NOT_IN) | OPS_EMPTY)

static const char *const op_names[] = {
    // clang-format off
    [FILTER_EQUAL] = "Equal",           [FILTER_NOT_EQUAL] = "Not Equal",
    [FILTER_IN] = "In",                 [FILTER_NOT_IN] = "Not In",
    [FILTER_IS_EMPTY] = "Is Empty",     [FILTER_IS_NOT_EMPTY] = "Is Not Empty",
    [FILTER_MATCHES] = "Matches",       [FILTER_NOT_MATCHES] = "Not Matches",
}; // clang-format on

static const unsigned ops_of[] = {
    // clang-format off
    [FILTER_TEXT] = OPS_TEXT,       [FILTER_CTEXT] = OPS_TEXT,      [FILTER_STATUS] = OPS_TEXT,
    [FILTER_DATACENTER] = OPS_TEXT, [FILTER_NODE] = OPS_TEXT,       [FILTER_U16] = OPS_NUMBER,      [FILTER_U32] = OPS_NUMBER,
    [FILTER_I64] = OPS_NUMBER,      [FILTER_BOOL] = OPS_NUMBER,     [FILTER_TEXTS] = OPS_MANY,
    [FILTER_TEXTS_AT] = OPS_MANY,   [FILTER_PAIRS] = OPS_MANY,      [FILTER_PAIR] = OPS_TEXT | OPS_EMPTY,
    [FILTER_STRUCT] = 0,            [FILTER_STRUCT_AT] = 0,         [FILTER_LIST] = OPS_EMPTY,
    [FILTER_NAMED] = OPS_MANY,      [FILTER_JSON] = 0,              [FILTER_JSON_TEXT] = OPS_TEXT,
    [FILTER_JSON_INT] = OPS_NUMBER, [FILTER_JSON_BOOL] = OPS_NUMBER, [FILTER_JSON_LIST] = OPS_EMPTY,
}; // clang-format on

/* The operator that says the opposite; those in the odd places negate. */
static bool is_negation(enum filter_op op)
{
    return op == FILTER_NOT_EQUAL || op == FILTER_NOT_IN || op == FILTER_IS_NOT_EMPTY ||
           op == FILTER_NOT_MATCHES;
}

/* -- looking up -------------------------------------------------------------------------------- */

static const struct filter_field *field_find(const struct filter_kind *kind, struct mu_span name)
{
    for (size_t i = 0; kind != NULL && i < kind->count; i++) {
        if (mu_span_eq_text(name, kind->fields[i].name)) {
            return &kind->fields[i];
        }
    }
    return NULL;
}

/* "Service.Meta": the first `count` parts. */
static void selector_text(const struct filter_node *n, size_t count, char *to, size_t room)
{
    size_t used = 0;

    to[0] = '\0';
    for (size_t i = 0; i < count && used < room; i++) {
        int bytes =
            snprintf(to + used, room - used, "%s%.*s", i > 0 ? "." : "", MU_SPAN_FMT(n->parts[i]));

        used += bytes > 0 ? (size_t)bytes : 0;
    }
}

static enum mu_code not_valid(const struct filter_node *n, size_t count, struct mu_err *err)
{
    char text[256];

    selector_text(n, count, text, sizeof text);
    return mu_fail(err, MU_INVALID, PREFIX "Selector \"%s\" is not valid", text);
}

/* What a selector reaches behind a part of this type: a key, the fields of `of`, or nothing. */
static enum mu_code find_steps(struct filter_node *n, const struct filter_kind *kind,
                               struct mu_err *err)
{
    size_t i = 0;

    while (i < n->parts_count) {
        const struct filter_field *f = field_find(kind, n->parts[i]);

        if (f == NULL) {
            return not_valid(n, i + 1, err);
        }
        struct filter_step *step = &n->steps[n->steps_count++];

        step->field = f;
        n->leaf = f->type;
        kind = f->of;
        i++;
        if ((f->type == FILTER_PAIRS || f->type == FILTER_NAMED) && i < n->parts_count) {
            step->key = n->parts[i++];
            step->has_key = true;
            n->leaf = f->type == FILTER_PAIRS ? FILTER_PAIR : FILTER_STRUCT;
        }
    }
    return MU_OK;
}

/* Go's ParseInt with base 0: 12, -3, 0x10, 0b1, 0o7, 07. */
static bool to_number(struct mu_span text, int64_t *out)
{
    char copy[80];
    char *digits = copy;
    char *end = NULL;
    int base = 0;

    if (text.bytes == 0 || text.bytes >= sizeof copy ||
        memchr(text.data, '\0', text.bytes) != NULL ||
        strchr(" \t\n\r\v\f", text.data[0]) != NULL) {
        return false;
    }
    memcpy(copy, text.data, text.bytes);
    copy[text.bytes] = '\0';
    digits += copy[0] == '-' || copy[0] == '+';
    if (digits[0] == '0' && (digits[1] | 0x20) == 'b') {
        base = 2;
    } else if (digits[0] == '0' && (digits[1] | 0x20) == 'o') {
        base = 8;
    }
    if (base != 0) {
        memmove(digits, digits + 2, strlen(digits + 2) + 1);
    }
    errno = 0;
    *out = strtoll(copy, &end, base);
    return errno == 0 && end != copy && *end == '\0';
}

static enum mu_code coerce(struct filter_node *n, struct mu_err *err)
{
    char text[256];
    const char *function = NULL;

    if (n->op != FILTER_EQUAL && n->op != FILTER_NOT_EQUAL) {
        return MU_OK;
    }
    if (n->leaf == FILTER_BOOL || n->leaf == FILTER_JSON_BOOL) {
        function = params_bool(n->value, &n->truth) ? NULL : "ParseBool";
    } else if (ops_of[n->leaf] == OPS_NUMBER) {
        function = to_number(n->value, &n->number) ? NULL : "ParseInt";
    }
    if (function == NULL) {
        return MU_OK;
    }
    selector_text(n, n->parts_count, text, sizeof text);
    return mu_fail(err, MU_INVALID,
                   PREFIX
                   "Failed to coerce value \"%.*s\" for selector \"%s\": strconv.%s: parsing "
                   "\"%.*s\": invalid syntax",
                   MU_SPAN_FMT(n->value), text, function, MU_SPAN_FMT(n->value));
}

static enum mu_code prepare_match(struct filter_node *n, const struct filter_kind *kind,
                                  struct mu_arena *arena, struct mu_err *err)
{
    char text[256];
    struct mu_err inner = MU_ERR_NONE;
    enum mu_code rc = find_steps(n, kind, err);

    if (rc != MU_OK) {
        return rc;
    }
    if ((ops_of[n->leaf] & BIT(n->op)) == 0) {
        selector_text(n, n->parts_count, text, sizeof text);
        return mu_fail(err, MU_INVALID, PREFIX "Invalid match operator \"%s\" for selector \"%s\"",
                       op_names[n->op], text);
    }
    if ((n->op == FILTER_MATCHES || n->op == FILTER_NOT_MATCHES) &&
        mu_pattern_compile(&n->pattern, n->value, arena, &inner) != MU_OK) {
        return mu_fail(err, MU_INVALID, PREFIX "Failed to compile regular expression \"%.*s\": %s",
                       MU_SPAN_FMT(n->value), inner.text);
    }
    return coerce(n, err);
}

static enum mu_code prepare(struct filter_node *n, const struct filter_kind *kind,
                            struct mu_arena *arena, struct mu_err *err)
{
    enum mu_code rc;

    if (n->kind == FILTER_MATCH) {
        return prepare_match(n, kind, arena, err);
    }
    rc = prepare(n->first, kind, arena, err);
    if (rc != MU_OK || n->second == NULL) {
        return rc;
    }
    return prepare(n->second, kind, arena, err);
}

enum mu_code filter_parse(struct filter **out, struct mu_span text, const struct filter_kind *kind,
                          const char *datacenter, const char *node, struct mu_arena *arena,
                          struct mu_err *err)
{
    struct filter *f = mu_arena_new(arena, sizeof *f);
    struct mu_err inner = MU_ERR_NONE;

    if (filter__parse(&f->root, text, arena, &inner) != MU_OK) {
        return mu_fail(err, MU_INVALID, PREFIX "%s", inner.text);
    }
    f->datacenter = mu_span_text(datacenter);
    f->node = mu_span_text(node);
    *out = f;
    return prepare(f->root, kind, arena, err);
}

/* -- leaves ------------------------------------------------------------------------------------ */

struct look { /* one match on one object */
    const struct filter *filter;
    const struct filter_node *node;
};

static bool contains(struct mu_span text, struct mu_span part)
{
    return part.bytes == 0 || (text.bytes >= part.bytes &&
                               memmem(text.data, text.bytes, part.data, part.bytes) != NULL);
}

/* `missing`: a key that is not there: nothing equals it, it is empty. */
static bool judge_text(const struct look *l, struct mu_span text, bool is_missing)
{
    const struct filter_node *n = l->node;

    switch (n->op) {
    case FILTER_EQUAL: return !is_missing && mu_span_eq(text, n->value);
    case FILTER_NOT_EQUAL: return is_missing || !mu_span_eq(text, n->value);
    case FILTER_IN: return !is_missing && contains(text, n->value);
    case FILTER_NOT_IN: return is_missing || !contains(text, n->value);
    case FILTER_IS_EMPTY: return text.bytes == 0;
    case FILTER_IS_NOT_EMPTY: return text.bytes > 0;
    case FILTER_MATCHES: return !is_missing && mu_pattern_matches(n->pattern, text);
    case FILTER_NOT_MATCHES: return is_missing || !mu_pattern_matches(n->pattern, text);
    }
    MU_UNREACHABLE_CODE();
}

static bool judge_number(const struct look *l, int64_t number)
{
    return (number == l->node->number) != is_negation(l->node->op);
}

static bool judge_bool(const struct look *l, bool truth)
{
    return (truth == l->node->truth) != is_negation(l->node->op);
}

/* Is the value in it, or is it empty: lists, and keys of maps. */
static bool judge_many(const struct look *l, bool has_value, size_t count)
{
    bool asks_value = l->node->op == FILTER_IN || l->node->op == FILTER_NOT_IN;

    return (asks_value ? has_value : count == 0) != is_negation(l->node->op);
}

static bool judge_texts(const struct look *l, const struct mu_texts *t)
{
    bool has = false;

    for (size_t i = 0; t != NULL && i < t->count && !has; i++) {
        has = mu_span_eq(t->items[i], l->node->value);
    }
    return judge_many(l, has, t != NULL ? t->count : 0);
}

static bool judge_pairs(const struct look *l, const struct mu_pairs *p,
                        const struct filter_step *step)
{
    struct mu_span key = step->has_key ? step->key : l->node->value;
    const struct mu_pair *found = NULL;

    for (size_t i = 0; i < p->count && found == NULL; i++) {
        found = mu_span_eq(p->items[i].key, key) ? &p->items[i] : NULL;
    }
    if (!step->has_key) {
        return judge_many(l, found != NULL, p->count);
    }
    return judge_text(l, found != NULL ? found->value : MU_SPAN_NONE, found == NULL);
}

/* What is missing altogether: an entry of a map of objects. */
static bool judge_missing(const struct look *l)
{
    return is_negation(l->node->op) ? l->node->op != FILTER_IS_NOT_EMPTY
                                    : l->node->op == FILTER_IS_EMPTY;
}

/* -- objects ----------------------------------------------------------------------------------- */

static bool judge(const struct look *l, const void *object, size_t step);

static bool judge_list(const struct look *l, const void *object, const struct filter_field *f,
                       size_t step)
{
    const char *items = *(char *const *)(const void *)((const char *)object + f->offset);
    size_t count = *(const size_t *)(const void *)((const char *)object + f->count_offset);

    if (step + 1 == l->node->steps_count) {
        return judge_many(l, false, count);
    }
    for (size_t i = 0; i < count; i++) {
        if (judge(l, items + i * f->item_bytes, step + 1)) {
            return true;
        }
    }
    return false;
}

static bool judge_named(const struct look *l, const void *object, size_t step)
{
    const struct filter_step *s = &l->node->steps[step];
    const char *items = *(char *const *)(const void *)((const char *)object + s->field->offset);
    size_t count = *(const size_t *)(const void *)((const char *)object + s->field->count_offset);
    struct mu_span key = s->has_key ? s->key : l->node->value;
    const char *found = NULL;

    for (size_t i = 0; i < count && found == NULL; i++) {
        const char *item = items + i * s->field->item_bytes;

        found = mu_span_eq(*(const struct mu_span *)(const void *)item, key) ? item : NULL;
    }
    if (!s->has_key) {
        return judge_many(l, found != NULL, count);
    }
    return found != NULL ? judge(l, found, step + 1) : judge_missing(l);
}

/* Members of a JSON object; `v` NULL: absent, which is its zero value. */
static bool judge_json(const struct look *l, const struct mu_json *v, size_t step)
{
    const struct filter_field *f = l->node->steps[step].field;
    bool is_object = v != NULL && mu_json_kind_of(v) == MU_JSON_OBJECT;
    const struct mu_json *member = is_object ? mu_json_find(v, f->name) : NULL;
    enum mu_json_kind kind = member != NULL ? mu_json_kind_of(member) : MU_JSON_NULL;

    if (f->type == FILTER_JSON) {
        return judge_json(l, member, step + 1);
    }
    if (f->type == FILTER_JSON_TEXT) {
        return judge_text(l, kind == MU_JSON_STRING ? mu_json_string(member) : MU_SPAN_NONE, false);
    }
    if (f->type == FILTER_JSON_INT) {
        return judge_number(l, kind == MU_JSON_INT ? mu_json_int(member) : 0);
    }
    if (f->type == FILTER_JSON_BOOL) {
        return judge_bool(l, kind == MU_JSON_BOOL && mu_json_bool(member));
    }
    size_t count = kind == MU_JSON_LIST ? mu_json_count(member) : 0;

    if (step + 1 == l->node->steps_count) {
        return judge_many(l, false, count);
    }
    for (size_t i = 0; i < count; i++) {
        if (judge_json(l, mu_json_at(member, i), step + 1)) {
            return true;
        }
    }
    return false;
}

static bool judge_json_text(const struct look *l, struct mu_span text, size_t step)
{
    struct mu_json *tree = NULL;

    if (text.bytes > 0 && mu_json_parse(&tree, text, true, NULL) != MU_OK) {
        return false; /* what is stored was written by us: cannot happen, and matches nothing */
    }
    bool result = judge_json(l, tree, step + 1);

    mu_json_free(tree);
    return result;
}

static bool judge(const struct look *l, const void *object, size_t step)
{
    const struct filter_step *s = &l->node->steps[step];

    if (s->field->is_behind) {
        object = *(void *const *)(const void *)((const char *)object + s->field->behind);
    }
    const void *at = (const char *)object + s->field->offset;

    switch (s->field->type) {
    case FILTER_TEXT: return judge_text(l, *(const struct mu_span *)at, false);
    case FILTER_CTEXT: return judge_text(l, mu_span_text(*(const char *const *)at), false);
    case FILTER_STATUS:
        return judge_text(l, mu_span_text(check_status_text(*(const enum check_status *)at)),
                          false);
    case FILTER_DATACENTER: return judge_text(l, l->filter->datacenter, false);
    case FILTER_NODE: return judge_text(l, l->filter->node, false);
    case FILTER_U16: return judge_number(l, *(const uint16_t *)at);
    case FILTER_U32: return judge_number(l, *(const uint32_t *)at);
    case FILTER_I64: return judge_number(l, *(const int64_t *)at);
    case FILTER_BOOL: return judge_bool(l, *(const bool *)at);
    case FILTER_TEXTS: return judge_texts(l, at);
    case FILTER_TEXTS_AT: return judge_texts(l, *(const struct mu_texts *const *)at);
    case FILTER_PAIRS: return judge_pairs(l, at, s);
    case FILTER_STRUCT: return judge(l, at, step + 1);
    case FILTER_STRUCT_AT: return judge(l, *(void *const *)at, step + 1);
    case FILTER_LIST: return judge_list(l, object, s->field, step);
    case FILTER_NAMED: return judge_named(l, object, step);
    case FILTER_JSON: return judge_json_text(l, *(const struct mu_span *)at, step);
    case FILTER_PAIR:
    case FILTER_JSON_TEXT:
    case FILTER_JSON_INT:
    case FILTER_JSON_BOOL:
    case FILTER_JSON_LIST: break; /* not members of our own objects */
    }
    MU_UNREACHABLE_CODE();
}

/* -- expressions ------------------------------------------------------------------------------- */

static bool node_matches(const struct filter *f, const struct filter_node *n, const void *object)
{
    switch (n->kind) {
    case FILTER_AND: return node_matches(f, n->first, object) && node_matches(f, n->second, object);
    case FILTER_OR: return node_matches(f, n->first, object) || node_matches(f, n->second, object);
    case FILTER_NOT: return !node_matches(f, n->first, object);
    case FILTER_MATCH: return judge(&(struct look){ f, n }, object, 0);
    }
    MU_UNREACHABLE_CODE();
}

bool filter_matches(const struct filter *f, const void *object)
{
    return node_matches(f, f->root, object);
}
