/* Values to their places: one function per kind of value, for files and flags alike. */
#include "config_table.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/flags.h"

/* -- the table --------------------------------------------------------------------------------- */

static bool key_matches(const char *pattern, const char *key)
{
    size_t bytes = strlen(pattern);

    if (pattern[bytes - 1] == '*') {
        return strncasecmp(pattern, key, bytes - 1) == 0 && strchr(key + bytes - 1, '.') == NULL;
    }
    return strcasecmp(pattern, key) == 0;
}

const struct config_item *config__find(const char *key)
{
    for (size_t i = 0; i < config_items_count; i++) {
        if (key_matches(config_items[i].key, key)) {
            return &config_items[i];
        }
    }
    return NULL;
}

bool config__is_group(const char *key)
{
    size_t bytes = strlen(key);

    for (size_t i = 0; i < config_items_count; i++) {
        if (strncasecmp(config_items[i].key, key, bytes) == 0 &&
            config_items[i].key[bytes] == '.') {
            return true;
        }
    }
    return false;
}

const char *config__said_key(const struct config *c, const struct config_item *item)
{
    return c->serf.is_on && item->serf_key != NULL ? item->serf_key : item->key;
}

bool config__is_given(const struct config_draft *d, const char *key)
{
    const struct config_item *item = config__find(key);

    MU_ASSERT(item != NULL);
    return d->seen[item - config_items].is_given;
}

bool config__is_on(const struct config_draft *d, const char *key)
{
    const struct config_item *item = config__find(key);

    MU_ASSERT(item != NULL);
    return d->seen[item - config_items].is_on;
}

/* -- storing -------------------------------------------------------------------------------------
 * One value of a row's type, whoever said it. Lists and maps take one element a call.
 */

static void *place(struct config_draft *d, const struct config_item *item)
{
    return item->to != 0 ? (uint8_t *)d + item->to : NULL;
}

void config__see(struct config_draft *d, const struct config_item *item, bool is_on, bool differs)
{
    size_t row = (size_t)(item - config_items);

    d->seen[row].is_given = true;
    d->seen[row].is_on = is_on;
    d->seen[row].differs = differs;
}

static void number_text(const struct config_item *item, int64_t v, char out[MU_DURATION_TEXT_MAX])
{
    if (item->type == CONFIG_MS || item->type == CONFIG_SECONDS) {
        mu_duration_text(v * MU_NS_PER_MS, out);
    } else {
        (void)snprintf(out, MU_DURATION_TEXT_MAX, "%lld", (long long)v);
    }
}

static enum mu_code within(const struct config_item *item, int64_t v, struct mu_err *err)
{
    char text[MU_DURATION_TEXT_MAX], min[MU_DURATION_TEXT_MAX], max[MU_DURATION_TEXT_MAX];

    if ((item->min == 0 && item->max == 0) || (v >= item->min && v <= item->max)) {
        return MU_OK;
    }
    number_text(item, v, text);
    number_text(item, item->min, min);
    if (item->max == INT64_MAX) {
        return mu_fail(err, MU_INVALID, "%s cannot be %s. Must be greater than or equal to %s",
                       item->key, text, item->min == 0 ? "zero" : min);
    }
    number_text(item, item->max, max);
    return mu_fail(err, MU_INVALID, "%s cannot be %s. Must be between %s and %s", item->key, text,
                   min, max);
}

static void put_number(const struct config_item *item, void *to, int64_t v)
{
    switch (item->type) {
    case CONFIG_INT:
    case CONFIG_MS: *(int64_t *)to = v; return;
    case CONFIG_U32: *(uint32_t *)to = (uint32_t)v; return;
    case CONFIG_SECONDS: *(uint32_t *)to = (uint32_t)(v / 1000); return;
    case CONFIG_PORT: *(int *)to = v > 0 ? (int)v : -1; return;
    case CONFIG_BOOL: *(bool *)to = v != 0; return;
    case CONFIG_TEXT:
    case CONFIG_TEXTS:
    case CONFIG_TEXT_OR_TEXTS:
    case CONFIG_PAIRS:
    case CONFIG_SERVICES:
    case CONFIG_CHECKS:
    case CONFIG_WATCHES:
    case CONFIG_ANY: break;
    }
    MU_UNREACHABLE_CODE();
}

enum mu_code config__set_number(struct config_draft *d, const struct config_item *item, int64_t v,
                                struct mu_err *err)
{
    if (item->type == CONFIG_PORT) {
        if (v > UINT16_MAX) {
            return mu_fail(err, MU_INVALID, "%s: invalid port: %lld", item->key, (long long)v);
        }
        if (v < -1) {
            return mu_fail(err, MU_INVALID, "%s: invalid port: %lld (-1 is off)", item->key,
                           (long long)v);
        }
        v = v > 0 ? v : -1;
    }
    if (item->type == CONFIG_SECONDS && v / 1000 > UINT32_MAX) {
        return mu_fail(err, MU_INVALID, "%s is too long", item->key);
    }
    enum mu_code rc = within(item, v, err);

    if (rc == MU_OK) {
        config__see(d, item, v != 0, v != item->fallback);
        if (place(d, item) != NULL) {
            put_number(item, place(d, item), v);
        }
    }
    return rc;
}

enum mu_code config__set_duration(struct config_draft *d, const struct config_item *item,
                                  struct mu_span text, struct mu_err *err)
{
    char why[128];
    int64_t ns = 0;

    if (!mu_duration_parse(text, &ns, why, sizeof why)) {
        return mu_fail(err, MU_INVALID, "%s: invalid duration: \"%.*s\": %s", item->key,
                       MU_SPAN_FMT(mu_span_sub(text, 0, 64)), why);
    }
    return config__set_number(d, item, ns / MU_NS_PER_MS, err);
}

void config__set_text(struct config_draft *d, const struct config_item *item, struct mu_span text)
{
    const char **to = place(d, item);

    config__see(d, item, text.bytes > 0, !mu_span_eq_fold(text, mu_span_text(item->text)));
    if (to != NULL) {
        *to = mu_arena_text(&d->c.arena, text.data, text.bytes);
    }
}

void config__texts_add(struct mu_arena *arena, struct config_texts *list, const char *text)
{
    list->items = mu_arena_grow(arena, list->items, list->count, sizeof *list->items);
    list->items[list->count++] = text;
}

void config__add_text(struct config_draft *d, const struct config_item *item, struct mu_span text)
{
    struct config_texts *list = place(d, item);

    config__see(d, item, true, true);
    if (list != NULL) {
        config__texts_add(&d->c.arena, list, mu_arena_text(&d->c.arena, text.data, text.bytes));
    }
}

/* Maps merge: a later source replaces what an earlier one said about the same key. */
void config__add_pair(struct config_draft *d, const struct config_item *item, struct mu_span key,
                      struct mu_span value)
{
    struct mu_pairs *pairs = place(d, item);
    size_t i = 0;

    config__see(d, item, true, true);
    if (pairs == NULL) {
        return;
    }
    while (i < pairs->count && !mu_span_eq(pairs->items[i].key, key)) {
        i++;
    }
    if (i == pairs->count) {
        pairs->items = mu_arena_grow(&d->c.arena, pairs->items, pairs->count, sizeof *pairs->items);
        pairs->items[pairs->count++].key = mu_arena_span(&d->c.arena, key);
    }
    pairs->items[i].value = mu_arena_span(&d->c.arena, value);
}

void config__fallbacks(struct config_draft *d)
{
    for (size_t i = 0; i < config_items_count; i++) {
        const struct config_item *item = &config_items[i];
        void *to = place(d, item);

        if (to == NULL) {
            continue;
        }
        switch (item->type) {
        case CONFIG_TEXT: *(const char **)to = item->text; break;
        case CONFIG_BOOL:
        case CONFIG_INT:
        case CONFIG_U32:
        case CONFIG_PORT:
        case CONFIG_MS:
        case CONFIG_SECONDS: put_number(item, to, item->fallback); break;
        case CONFIG_TEXTS:
        case CONFIG_TEXT_OR_TEXTS: /* an empty list; config_check.c knows alt_domain's default */
        case CONFIG_PAIRS:
        case CONFIG_SERVICES:
        case CONFIG_CHECKS:
        case CONFIG_WATCHES:
        case CONFIG_ANY: break;
        }
    }
}

/* -- flags ------------------------------------------------------------------------------------- */

static enum mu_code flag_integer(struct config_draft *d, const struct config_item *item,
                                 const char *value, struct mu_err *err)
{
    bool is_negative = value[0] == '-';
    uint64_t v = 0;

    if (!mu_span_u64(mu_span_text(value + (is_negative ? 1 : 0)), &v) || v > INT32_MAX) {
        return mu_fail(err, MU_INVALID,
                       "error parsing flags: invalid value \"%s\" for flag -%s: parse error, "
                       "expected a whole number",
                       value, item->flag);
    }
    return config__set_number(d, item, is_negative ? -(int64_t)v : (int64_t)v, err);
}

static enum mu_code flag_pair(struct config_draft *d, const struct config_item *item,
                              const char *value, struct mu_err *err)
{
    struct mu_span rest = MU_SPAN_NONE;
    struct mu_span key = mu_span_split(mu_span_text(value), ':', &rest, NULL);

    if (key.bytes == 0) {
        return mu_fail(err, MU_INVALID,
                       "error parsing flags: invalid value \"%s\" for flag -%s: must be key:value",
                       value, item->flag);
    }
    config__add_pair(d, item, key, rest);
    return MU_OK;
}

enum mu_code config__apply_flag(struct config_draft *d, const struct config_item *item,
                                const char *value, struct mu_err *err)
{
    bool on = false, is_bool;

    switch (item->type) {
    case CONFIG_BOOL:
        is_bool = mu_flags_parse_bool(mu_span_text(value), &on);
        MU_ASSERT(is_bool); /* the reader of flags saw to it */
        return config__set_number(d, item, on ? 1 : 0, err);
    case CONFIG_INT:
    case CONFIG_U32:
    case CONFIG_PORT: return flag_integer(d, item, value, err);
    case CONFIG_MS:
    case CONFIG_SECONDS: return config__set_duration(d, item, mu_span_text(value), err);
    case CONFIG_TEXT: config__set_text(d, item, mu_span_text(value)); return MU_OK;
    case CONFIG_TEXTS:
    case CONFIG_TEXT_OR_TEXTS: config__add_text(d, item, mu_span_text(value)); return MU_OK;
    case CONFIG_PAIRS: return flag_pair(d, item, value, err);
    case CONFIG_SERVICES:
    case CONFIG_CHECKS:
    case CONFIG_WATCHES:
    case CONFIG_ANY: break; /* no such row has a flag: tested */
    }
    MU_UNREACHABLE_CODE();
}
