#include "config_hcl_scan.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

/* -- the text ---------------------------------------------------------------------------------- */

bool hcl__at_end(const struct hcl *h)
{
    return h->at >= h->text.bytes;
}

/* The byte at some distance; 0 behind the end. */
char hcl__peek(const struct hcl *h, size_t ahead)
{
    return h->at + ahead < h->text.bytes ? (char)h->text.data[h->at + ahead] : '\0';
}

static void step(struct hcl *h)
{
    if (hcl__peek(h, 0) == '\n') {
        h->line++;
    }
    h->at++;
}

enum mu_code hcl__refuse(struct hcl *h, const char *what)
{
    return mu_fail(h->err, MU_INVALID, "line %u: %s", h->line, what);
}

/* "expected X, found 'y'" */
enum mu_code hcl__unexpected(struct hcl *h, const char *expected)
{
    if (hcl__at_end(h)) {
        return mu_fail(h->err, MU_INVALID, "line %u: expected %s, found the end", h->line,
                       expected);
    }
    if (isprint((unsigned char)hcl__peek(h, 0))) {
        return mu_fail(h->err, MU_INVALID, "line %u: expected %s, found '%c'", h->line, expected,
                       hcl__peek(h, 0));
    }
    return mu_fail(h->err, MU_INVALID, "line %u: expected %s, found byte 0x%02x", h->line, expected,
                   (unsigned)(unsigned char)hcl__peek(h, 0));
}

static enum mu_code skip_comment(struct hcl *h)
{
    unsigned line = h->line;

    if (hcl__peek(h, 0) == '#' || hcl__peek(h, 1) == '/') {
        while (!hcl__at_end(h) && hcl__peek(h, 0) != '\n') {
            step(h);
        }
        return MU_OK;
    }
    h->at += 2;
    while (!hcl__at_end(h)) {
        if (hcl__peek(h, 0) == '*' && hcl__peek(h, 1) == '/') {
            h->at += 2;
            return MU_OK;
        }
        step(h);
    }
    return mu_fail(h->err, MU_INVALID, "line %u: this comment does not end", line);
}

enum mu_code hcl__skip_blank(struct hcl *h)
{
    while (!hcl__at_end(h)) {
        char c = hcl__peek(h, 0);

        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            step(h);
        } else if (c == '#' || (c == '/' && (hcl__peek(h, 1) == '/' || hcl__peek(h, 1) == '*'))) {
            enum mu_code rc = skip_comment(h);

            if (rc != MU_OK) {
                return rc;
            }
        } else {
            break;
        }
    }
    return MU_OK;
}

/* -- strings and numbers ----------------------------------------------------------------------- */

static void add_utf8(struct mu_buf *to, unsigned long point)
{
    if (point < 0x80) {
        mu_buf_add_byte(to, (uint8_t)point);
    } else if (point < 0x800) {
        mu_buf_add_byte(to, (uint8_t)(0xc0 | point >> 6));
        mu_buf_add_byte(to, (uint8_t)(0x80 | (point & 0x3f)));
    } else {
        mu_buf_add_byte(to, (uint8_t)(0xe0 | point >> 12));
        mu_buf_add_byte(to, (uint8_t)(0x80 | (point >> 6 & 0x3f)));
        mu_buf_add_byte(to, (uint8_t)(0x80 | (point & 0x3f)));
    }
}

/* \uXXXX; the cursor stands behind the 'u'. Surrogates are no characters. */
static enum mu_code read_point(struct hcl *h, struct mu_buf *to)
{
    char digits[5] = "";

    for (size_t i = 0; i < 4; i++) {
        if (!isxdigit((unsigned char)hcl__peek(h, i))) {
            return hcl__refuse(h, "\\u needs four hexadecimal digits");
        }
        digits[i] = hcl__peek(h, i);
    }
    unsigned long point = strtoul(digits, NULL, 16);

    if (point == 0 || (point >= 0xd800 && point <= 0xdfff)) {
        return hcl__refuse(h, "\\u names no character");
    }
    h->at += 4;
    add_utf8(to, point);
    return MU_OK;
}

static enum mu_code read_escape(struct hcl *h, struct mu_buf *to)
{
    char c = hcl__peek(h, 1);

    h->at += 2;
    switch (c) {
    case '"':
    case '\\': mu_buf_add_byte(to, (uint8_t)c); return MU_OK;
    case 'n': mu_buf_add_byte(to, '\n'); return MU_OK;
    case 'r': mu_buf_add_byte(to, '\r'); return MU_OK;
    case 't': mu_buf_add_byte(to, '\t'); return MU_OK;
    case 'u': return read_point(h, to);
    default: return hcl__refuse(h, "only \\\" \\\\ \\n \\r \\t and \\uXXXX may follow a backslash");
    }
}

enum mu_code hcl__read_string(struct hcl *h, struct mu_span *out)
{
    struct mu_buf bytes = MU_BUF_NONE;
    enum mu_code rc = MU_OK;

    h->at++;
    while (rc == MU_OK && hcl__peek(h, 0) != '"') {
        if (hcl__at_end(h) || hcl__peek(h, 0) == '\n') {
            rc = hcl__refuse(h, "this string does not end on its line");
        } else if (hcl__peek(h, 0) == '\\') {
            rc = read_escape(h, &bytes);
        } else {
            mu_buf_add_byte(&bytes, (uint8_t)hcl__peek(h, 0));
            h->at++;
        }
    }
    h->at++;
    *out = mu_arena_span(h->arena, mu_buf_span(&bytes));
    mu_buf_deinit(&bytes);
    return rc;
}

/* One line without its end; the cursor goes behind the newline. */
static struct mu_span take_line(struct hcl *h)
{
    size_t from = h->at;

    while (!hcl__at_end(h) && hcl__peek(h, 0) != '\n') {
        h->at++;
    }
    struct mu_span line = mu_span_sub(h->text, from, h->at - from);

    if (!hcl__at_end(h)) {
        step(h);
    }
    return line;
}

static struct mu_span trimmed(struct mu_span line)
{
    while (line.bytes > 0 && (line.data[0] == ' ' || line.data[0] == '\t')) {
        line = mu_span_sub(line, 1, line.bytes);
    }
    while (line.bytes > 0 && line.data[line.bytes - 1] == '\r') {
        line.bytes--;
    }
    return line;
}

static size_t indentation(struct mu_span line)
{
    size_t blanks = 0;

    while (blanks < line.bytes && (line.data[blanks] == ' ' || line.data[blanks] == '\t')) {
        blanks++;
    }
    return blanks;
}

/* The lines from `start` up to `stop`, without `indent` bytes in front of each. */
static struct mu_span unindented(struct hcl *h, size_t start, size_t stop, size_t indent)
{
    struct mu_span rest = mu_span_sub(h->text, start, stop - start);
    struct mu_buf bytes = MU_BUF_NONE;
    bool found = true;

    while (rest.bytes > 0 && found) {
        struct mu_span line = mu_span_split(rest, '\n', &rest, &found);

        mu_buf_add_span(&bytes, mu_span_sub(line, indent, line.bytes));
        mu_buf_add_byte(&bytes, '\n');
    }
    struct mu_span out = mu_arena_span(h->arena, mu_buf_span(&bytes));

    mu_buf_deinit(&bytes);
    return out;
}

enum mu_code hcl__read_heredoc(struct hcl *h, struct mu_span *out)
{
    unsigned opened = h->line;

    h->at += 2;
    bool takes_indent = hcl__peek(h, 0) == '-';

    h->at += takes_indent ? 1 : 0;
    struct mu_span word = trimmed(take_line(h));
    size_t start = h->at, indent = SIZE_MAX;

    if (word.bytes == 0) {
        return mu_fail(h->err, MU_INVALID, "line %u: << needs a word", opened);
    }
    while (!hcl__at_end(h)) {
        size_t before = h->at;
        unsigned line_before = h->line;
        struct mu_span line = take_line(h);

        if (mu_span_eq(trimmed(line), word)) {
            *out = unindented(h, start, before, takes_indent && indent != SIZE_MAX ? indent : 0);
            h->at = before + line.bytes; /* what follows the word is on its line */
            h->line = line_before;
            return MU_OK;
        }
        if (trimmed(line).bytes > 0 && indentation(line) < indent) {
            indent = indentation(line);
        }
    }
    return mu_fail(h->err, MU_INVALID, "line %u: the text behind <<%.*s does not end", opened,
                   MU_SPAN_FMT(mu_span_sub(word, 0, 64)));
}

static void take_digits(struct hcl *h)
{
    while (isdigit((unsigned char)hcl__peek(h, 0))) {
        h->at++;
    }
}

/* What JSON takes as a number, no more: the text is handed on as it is. */
enum mu_code hcl__read_number(struct hcl *h, struct mu_span *out)
{
    size_t from = h->at;
    bool is_real = false;

    h->at += hcl__peek(h, 0) == '-' ? 1 : 0;
    if (hcl__peek(h, 0) == '0' && isalnum((unsigned char)hcl__peek(h, 1))) {
        return hcl__refuse(h, "octal and hexadecimal numbers are not accepted");
    }
    if (!isdigit((unsigned char)hcl__peek(h, 0))) {
        return hcl__unexpected(h, "a digit");
    }
    take_digits(h);
    if (hcl__peek(h, 0) == '.' && isdigit((unsigned char)hcl__peek(h, 1))) {
        is_real = true;
        h->at++;
        take_digits(h);
    }
    if (hcl__peek(h, 0) == 'e' || hcl__peek(h, 0) == 'E') {
        is_real = true;
        h->at++;
        h->at += hcl__peek(h, 0) == '-' || hcl__peek(h, 0) == '+' ? 1 : 0;
        if (!isdigit((unsigned char)hcl__peek(h, 0))) {
            return hcl__unexpected(h, "a digit");
        }
        take_digits(h);
    }
    if (isalnum((unsigned char)hcl__peek(h, 0)) || hcl__peek(h, 0) == '.' ||
        hcl__peek(h, 0) == '_') {
        return hcl__unexpected(h, "the end of a number");
    }
    *out = mu_span_sub(h->text, from, h->at - from);
    /* Out of range in the parser of JSON, which would not know the line. */
    if (out->bytes > (is_real ? 64 : 18)) {
        return hcl__refuse(h, "this number is too long");
    }
    return !is_real || isfinite(strtod(mu_arena_text(h->arena, out->data, out->bytes), NULL))
               ? MU_OK
               : hcl__refuse(h, "this number is too large");
}
