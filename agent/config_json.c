/* Configuration in JSON: the parser's words in Go's form, and the line of a key. */
#include "config_source.h"

#include <string.h>

enum mu_code config__json_read(struct mu_span text, struct mu_json **root, struct mu_err *err)
{
    enum mu_code rc = mu_json_parse(root, text, true, err);

    if (rc == MU_OK && mu_json_kind_of(*root) != MU_JSON_OBJECT) {
        const char *kind = mu_json_kind_text(mu_json_kind_of(*root));

        mu_json_free(*root);
        *root = NULL;
        return mu_fail(err, MU_INVALID, "expected an object, got %s", kind);
    }
    if (rc != MU_OK && err != NULL &&
        (strcmp(err->text, "EOF") == 0 || strcmp(err->text, "unexpected EOF") == 0)) {
        return mu_fail(err, MU_INVALID, "unexpected end of JSON input");
    }
    return rc;
}

/* -- the line of a key ---------------------------------------------------------------------------
 * A scan of a text that is known to be JSON: strings are skipped whole, so that brackets and
 * quotes inside them do not count.
 */

struct scan {
    struct mu_span text;
    size_t at;
    unsigned line;
};

static bool is_at(const struct scan *s, char c)
{
    return s->at < s->text.bytes && s->text.data[s->at] == (uint8_t)c;
}

static void step(struct scan *s)
{
    if (is_at(s, '\n')) {
        s->line++;
    }
    s->at++;
}

static void skip_to_next(struct scan *s)
{
    while (s->at < s->text.bytes && memchr(" \t\r\n,:", s->text.data[s->at], 6) != NULL) {
        step(s);
    }
}

/* The raw text between the quotes; the scan stands behind the second one. */
static struct mu_span take_string(struct scan *s)
{
    size_t from = ++s->at;

    while (s->at < s->text.bytes && !is_at(s, '"')) {
        s->at += is_at(s, '\\') ? 2 : 1;
    }
    struct mu_span raw = mu_span_sub(s->text, from, s->at - from);

    s->at++;
    return raw;
}

static void skip_value(struct scan *s)
{
    size_t depth = 0;

    skip_to_next(s);
    while (s->at < s->text.bytes) {
        if (is_at(s, '"')) {
            (void)take_string(s);
        } else if (is_at(s, '{') || is_at(s, '[')) {
            depth++;
            s->at++;
        } else if (is_at(s, '}') || is_at(s, ']')) {
            if (depth == 0) {
                return; /* the end of what this value stands in */
            }
            depth--;
            s->at++;
        } else if (depth == 0 && is_at(s, ',')) {
            return;
        } else {
            step(s);
            continue;
        }
        if (depth == 0) {
            return;
        }
    }
}

static unsigned line_in_object(struct scan *s, const struct config_path *path, size_t depth);

/* The value behind a step that is not the last: the object itself, or one in its list. */
static unsigned line_in_value(struct scan *s, const struct config_path *path, size_t depth)
{
    size_t index = path->steps[depth].index;

    skip_to_next(s);
    if (is_at(s, '[')) {
        s->at++;
        for (size_t i = 0; index != CONFIG_NO_INDEX && i < index; i++) {
            skip_value(s);
        }
        skip_to_next(s);
    }
    return is_at(s, '{') ? line_in_object(s, path, depth + 1) : 0;
}

static unsigned line_in_object(struct scan *s, const struct config_path *path, size_t depth)
{
    s->at++;
    for (;;) {
        skip_to_next(s);
        if (!is_at(s, '"')) {
            return 0;
        }
        unsigned line = s->line;
        struct mu_span key = take_string(s);

        if (mu_span_eq_text(key, path->steps[depth].name)) {
            if (depth + 1 == path->count) {
                return line;
            }
            struct scan inner = *s;

            line = line_in_value(&inner, path, depth);
            if (line != 0) {
                return line;
            }
        }
        skip_value(s);
    }
}

unsigned config__json_line(struct mu_span text, const struct config_path *path)
{
    struct scan s = { .text = text, .line = 1 };

    skip_to_next(&s);
    return path->count > 0 && is_at(&s, '{') ? line_in_object(&s, path, 0) : 0;
}
