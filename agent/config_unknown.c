/* Keys that no row knows: their line, and what was probably meant. */
#include "config_apply.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"

#define NAME_BYTES_MAX 64
#define SHOWN_MAX      5 /* about what an error's text holds */

/* Levenshtein distance of two folded names; overlong ones are far from everything. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[NAME_BYTES_MAX + 1];
    size_t columns = strlen(b);

    if (columns > NAME_BYTES_MAX || strlen(a) > NAME_BYTES_MAX) {
        return NAME_BYTES_MAX;
    }
    for (size_t j = 0; j <= columns; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= columns; j++) {
            bool same = strncasecmp(&a[i - 1], &b[j - 1], 1) == 0;
            unsigned replaced = diagonal + (same ? 0 : 1);
            unsigned other = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;

            diagonal = row[j];
            row[j] = replaced < other ? replaced : other;
        }
    }
    return row[columns];
}

/* The part of a known key that stands where `key` has its last name; false: another group. */
static bool sibling_of(const char *known, const char *key, size_t group,
                       char out[CONFIG_KEY_BYTES_MAX])
{
    if (strncasecmp(known, key, group) != 0 || strlen(known) <= group) {
        return false;
    }
    size_t bytes = group + strcspn(known + group, ".");

    (void)snprintf(out, CONFIG_KEY_BYTES_MAX, "%.*s", (int)bytes, known);
    return true;
}

static const char *last_name(const char *key)
{
    const char *dot = strrchr(key, '.');

    return dot != NULL ? dot + 1 : key;
}

/* A sibling with a similar name, else the same name in another group. */
const char *config__nearest_key(const char *key, char out[CONFIG_KEY_BYTES_MAX])
{
    const char *name = last_name(key);
    size_t group = (size_t)(name - key);
    unsigned best = (unsigned)strlen(name) / 3 + 2; /* farther is another word */
    char sibling[CONFIG_KEY_BYTES_MAX];

    out[0] = '\0';
    for (size_t i = 0; i < config_items_count; i++) {
        const char *known = config_items[i].key;

        if (sibling_of(known, key, group, sibling) && distance(name, sibling + group) < best) {
            best = distance(name, sibling + group);
            (void)snprintf(out, CONFIG_KEY_BYTES_MAX, "%s", sibling);
        }
    }
    for (size_t i = 0; out[0] == '\0' && i < config_items_count; i++) {
        if (strcasecmp(name, last_name(config_items[i].key)) == 0) {
            (void)snprintf(out, CONFIG_KEY_BYTES_MAX, "%s", config_items[i].key);
        }
    }
    return out[0] != '\0' ? out : NULL;
}

const char *config__nearest_field(const struct mu_json_shape *shape, const char *name)
{
    unsigned best = (unsigned)strlen(name) / 3 + 2;
    const char *nearest = NULL;

    for (size_t i = 0; i < shape->fields_count; i++) {
        const struct mu_json_field *f = &shape->fields[i];

        for (size_t spelling = 0; spelling <= MU_LEN(f->also); spelling++) {
            const char *known = spelling == 0 ? f->name : f->also[spelling - 1];

            if (known != NULL && distance(name, known) < best) {
                best = distance(name, known);
                nearest = known;
            }
        }
    }
    return nearest;
}

/* Files are written with small letters; tables name some fields as the API does: "TCP". */
static void add_nearest(struct mu_buf *to, unsigned line, const char *nearest)
{
    bool is_one_word = true;

    for (size_t i = 1; nearest[0] != '\0' && nearest[i] != '\0'; i++) {
        is_one_word = is_one_word && !(islower((unsigned char)nearest[i - 1]) != 0 &&
                                       isupper((unsigned char)nearest[i]) != 0);
    }
    mu_buf_addf(to, " (line %u; did you mean '", line);
    for (size_t i = 0; nearest[i] != '\0'; i++) {
        unsigned char c = (unsigned char)nearest[i];

        mu_buf_add_byte(to, is_one_word ? (unsigned char)tolower(c) : c);
    }
    mu_buf_add_text(to, "'?)");
}

/* "invalid config key foo (line 3; did you mean 'bootstrap'?)" */
void config__note_unknown(struct config_apply *a, const char *nearest)
{
    if (++a->unknown_count > SHOWN_MAX) {
        return; /* counted; finding each line reads the source again */
    }
    unsigned line = a->file->is_hcl ? config__hcl_line(a->file->text, &a->path)
                                    : config__json_line(a->file->text, &a->path);

    mu_buf_addf(&a->unknown, "\t* invalid config key %s", a->key);
    if (line != 0 && nearest != NULL) {
        add_nearest(&a->unknown, line, nearest);
    } else if (line != 0) {
        mu_buf_addf(&a->unknown, " (line %u)", line);
    }
    mu_buf_add_text(&a->unknown, "\n");
}

enum mu_code config__refuse_unknown(const struct config_apply *a, struct mu_err *err)
{
    struct mu_buf text = MU_BUF_NONE;

    if (a->unknown_count == 0) {
        return MU_OK;
    }
    mu_buf_addf(&text, "%u error%s occurred:\n", a->unknown_count, a->unknown_count > 1 ? "s" : "");
    mu_buf_add_span(&text, mu_buf_span(&a->unknown));
    mu_buf_add_text(&text, "\n");
    enum mu_code rc =
        mu_fail(err, MU_INVALID, "failed to parse %s: %s", a->file->name, mu_buf_text(&text));

    mu_buf_deinit(&text);
    return rc;
}
