/* From a tree of values to the places that the table names.
 *
 * One walk over the tree: a dotted path that is a row takes its value, one that leads to rows is a
 * group, anything else is unknown. Unknown keys are gathered, so that one start reports them all;
 * a wrong type ends it at once, in the words of the reference's decoder.
 */
#include "config_apply.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"

/* -- the path ---------------------------------------------------------------------------------- */

/* Go one name deeper; false: deeper than anything known. */
bool config__enter(struct config_apply *a, const char *name)
{
    size_t bytes = strlen(a->key);

    if (a->path.count == CONFIG_DEPTH_MAX || bytes + 1 + strlen(name) >= sizeof a->key) {
        return false;
    }
    a->path.steps[a->path.count++] = (struct config_step){ name, CONFIG_NO_INDEX };
    (void)snprintf(a->key + bytes, sizeof a->key - bytes, "%s%s", bytes > 0 ? "." : "", name);
    return true;
}

struct config_mark config__mark_of(const struct config_apply *a)
{
    return (struct config_mark){ a->path.count, strlen(a->key) };
}

void config__back_to(struct config_apply *a, struct config_mark m)
{
    a->path.count = m.count;
    a->key[m.bytes] = '\0';
}

/* The element of a list that the last step leads to; it shows as "services[1]". */
void config__enter_element(struct config_apply *a, size_t index, bool is_shown)
{
    size_t bytes = strlen(a->key);

    a->path.steps[a->path.count - 1].index = index;
    if (is_shown) {
        (void)snprintf(a->key + bytes, sizeof a->key - bytes, "[%zu]", index);
    }
}

/* -- wrong types ------------------------------------------------------------------------------- */

static const char *go_kind(const struct config_apply *a, const struct mu_json *v)
{
    switch (mu_json_kind_of(v)) {
    case MU_JSON_NULL: return "nil";
    case MU_JSON_BOOL: return "bool";
    case MU_JSON_INT: return a->file->is_hcl ? "int" : "float64";
    case MU_JSON_REAL: return "float64";
    case MU_JSON_STRING: return "string";
    case MU_JSON_LIST: return "[]interface {}";
    case MU_JSON_OBJECT: return "map[string]interface {}";
    }
    MU_UNREACHABLE_CODE();
}

/* "'server' expected type 'bool', got unconvertible type 'string'" */
static enum mu_code wrong_type(const struct config_apply *a, const char *detail,
                               const char *expected, const struct mu_json *v, struct mu_err *err)
{
    return mu_fail(err, MU_INVALID,
                   "failed to parse %s: 1 error(s) decoding:\n\n* '%s%s' expected type '%s', got "
                   "unconvertible type '%s'",
                   a->file->name, a->key, detail, expected, go_kind(a, v));
}

enum mu_code config__no_map(const struct config_apply *a, const struct mu_json *v,
                            struct mu_err *err)
{
    return mu_fail(err, MU_INVALID,
                   "failed to parse %s: 1 error(s) decoding:\n\n* '%s' expected a map, got '%s'",
                   a->file->name, a->key, go_kind(a, v));
}

static enum mu_code no_list(const struct config_apply *a, const struct mu_json *v,
                            struct mu_err *err)
{
    return mu_fail(err, MU_INVALID,
                   "failed to parse %s: 1 error(s) decoding:\n\n* '%s': source data must be an "
                   "array or slice, got %s",
                   a->file->name, a->key, go_kind(a, v));
}

/* -- one row's value --------------------------------------------------------------------------- */

static enum mu_code apply_integer(struct config_apply *a, const struct config_item *item,
                                  const struct mu_json *v, struct mu_err *err)
{
    if (mu_json_kind_of(v) == MU_JSON_REAL) {
        double real = mu_json_number(v);

        if (real > -1e15 && real < 1e15 && real == (double)(int64_t)real) {
            return config__set_number(a->d, item, (int64_t)real, err); /* 8500.0 */
        }
    }
    if (mu_json_kind_of(v) != MU_JSON_INT) {
        return wrong_type(a, "", "int", v, err);
    }
    return config__set_number(a->d, item, mu_json_int(v), err);
}

static enum mu_code apply_texts(struct config_apply *a, const struct config_item *item,
                                const struct mu_json *v, struct mu_err *err)
{
    if (mu_json_kind_of(v) != MU_JSON_LIST) {
        return no_list(a, v, err);
    }
    for (size_t i = 0; i < mu_json_count(v); i++) {
        const struct mu_json *element = mu_json_at(v, i);
        char index[32];

        if (mu_json_kind_of(element) != MU_JSON_STRING) {
            (void)snprintf(index, sizeof index, "[%zu]", i);
            return wrong_type(a, index, "string", element, err);
        }
        config__add_text(a->d, item, mu_json_string(element));
    }
    return MU_OK;
}

static enum mu_code apply_pairs(struct config_apply *a, const struct config_item *item,
                                const struct mu_json *v, struct mu_err *err)
{
    struct mu_json_at at = { 0 };

    if (mu_json_kind_of(v) != MU_JSON_OBJECT) {
        return config__no_map(a, v, err);
    }
    while (mu_json_next(v, &at)) {
        char key[80];

        if (mu_json_kind_of(at.value) == MU_JSON_NULL) {
            continue;
        }
        if (mu_json_kind_of(at.value) != MU_JSON_STRING) {
            (void)snprintf(key, sizeof key, "[%.70s]", at.name);
            return wrong_type(a, key, "string", at.value, err);
        }
        config__add_pair(a->d, item, mu_span_text(at.name), mu_json_string(at.value));
    }
    return MU_OK;
}

static void apply_any(struct config_apply *a, const struct config_item *item,
                      const struct mu_json *v)
{
    enum mu_json_kind kind = mu_json_kind_of(v);
    bool is_on = (kind != MU_JSON_LIST && kind != MU_JSON_OBJECT) || mu_json_count(v) > 0;

    config__see(a->d, item, is_on, is_on);
}

static enum mu_code apply_value(struct config_apply *a, const struct config_item *item,
                                const struct mu_json *v, struct mu_err *err)
{
    enum mu_json_kind kind = mu_json_kind_of(v);

    switch (item->type) {
    case CONFIG_BOOL:
        return kind == MU_JSON_BOOL ? config__set_number(a->d, item, mu_json_bool(v) ? 1 : 0, err)
                                    : wrong_type(a, "", "bool", v, err);
    case CONFIG_INT:
    case CONFIG_U32:
    case CONFIG_PORT: return apply_integer(a, item, v, err);
    case CONFIG_MS:
    case CONFIG_SECONDS:
        return kind == MU_JSON_STRING ? config__set_duration(a->d, item, mu_json_string(v), err)
                                      : wrong_type(a, "", "string", v, err);
    case CONFIG_TEXT_OR_TEXTS:
        if (kind == MU_JSON_STRING) {
            config__add_text(a->d, item, mu_json_string(v));
            return MU_OK;
        }
        return apply_texts(a, item, v, err);
    case CONFIG_TEXT:
        if (kind != MU_JSON_STRING) {
            return wrong_type(a, "", "string", v, err);
        }
        config__set_text(a->d, item, mu_json_string(v));
        return MU_OK;
    case CONFIG_TEXTS: return apply_texts(a, item, v, err);
    case CONFIG_PAIRS: return apply_pairs(a, item, v, err);
    case CONFIG_SERVICES:
    case CONFIG_CHECKS: return config__apply_definitions(a, item, v, err);
    case CONFIG_WATCHES: return config__apply_watches(a, item, v, err);
    case CONFIG_ANY: apply_any(a, item, v); return MU_OK;
    }
    MU_UNREACHABLE_CODE();
}

/* -- the walk ---------------------------------------------------------------------------------- */

static enum mu_code apply_object(struct config_apply *a, const struct mu_json *object,
                                 struct mu_err *err);

/* A group is one object; HCL says it several times. */
static enum mu_code apply_group(struct config_apply *a, const struct mu_json *v, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    if (mu_json_kind_of(v) == MU_JSON_OBJECT) {
        return apply_object(a, v, err);
    }
    if (mu_json_kind_of(v) != MU_JSON_LIST) {
        return config__no_map(a, v, err);
    }
    for (size_t i = 0; rc == MU_OK && i < mu_json_count(v); i++) {
        const struct mu_json *element = mu_json_at(v, i);

        config__enter_element(a, i, false);
        rc = mu_json_kind_of(element) == MU_JSON_OBJECT ? apply_object(a, element, err)
                                                        : config__no_map(a, element, err);
    }
    return rc;
}

static enum mu_code apply_member(struct config_apply *a, const struct mu_json *v,
                                 struct mu_err *err)
{
    const struct config_item *item = config__find(a->key);
    bool is_null = mu_json_kind_of(v) == MU_JSON_NULL;
    char nearest[CONFIG_KEY_BYTES_MAX];

    if (item != NULL) {
        return is_null ? MU_OK : apply_value(a, item, v, err);
    }
    if (config__is_group(a->key)) {
        return is_null ? MU_OK : apply_group(a, v, err);
    }
    config__note_unknown(a, config__nearest_key(a->key, nearest));
    return MU_OK;
}

static enum mu_code apply_object(struct config_apply *a, const struct mu_json *object,
                                 struct mu_err *err)
{
    struct config_mark here = config__mark_of(a);
    struct mu_json_at at = { 0 };

    while (mu_json_next(object, &at)) {
        if (!config__enter(a, at.name)) {
            return mu_fail(err, MU_INVALID,
                           "failed to parse %s: 1 error occurred:\n\t* invalid config key "
                           "%.64s...\n\n",
                           a->file->name, at.name);
        }
        enum mu_code rc = apply_member(a, at.value, err);

        config__back_to(a, here);
        if (rc != MU_OK) {
            return rc;
        }
    }
    return MU_OK;
}

enum mu_code config__apply(struct config_draft *d, const struct config_file *file,
                           const struct mu_json *root, struct mu_err *err)
{
    struct config_apply a = { .d = d, .file = file };
    enum mu_code rc = apply_object(&a, root, err);

    if (rc == MU_OK) {
        rc = config__refuse_unknown(&a, err);
    }
    mu_buf_deinit(&a.unknown);
    return rc;
}
