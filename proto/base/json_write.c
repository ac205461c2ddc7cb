/* json_write.c - JSON out: a writer that appends as it is called (json.h). */
#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#define REAL_TEXT_MAX 40

/* -- writing ----------------------------------------------------------------------------------- */

void mu_json_out_init(struct mu_json_out *o, struct mu_buf *to, bool is_pretty)
{
    *o = (struct mu_json_out){ .to = to, .is_pretty = is_pretty };
}

void mu_json_out_end(struct mu_json_out *o)
{
    MU_ASSERT(o->depth == 0 && !o->has_key);
    if (o->is_pretty) {
        mu_buf_add_byte(o->to, '\n');
    }
}

static void new_line(struct mu_json_out *o)
{
    if (!o->is_pretty) {
        return;
    }
    mu_buf_add_byte(o->to, '\n');
    for (unsigned i = 0; i < o->depth; i++) {
        mu_buf_add_text(o->to, "    ");
    }
}

/* What stands in front of a value: nothing behind a key, else the comma of a list. */
static void before_value(struct mu_json_out *o)
{
    if (o->has_key) {
        o->has_key = false;
        return;
    }
    if (o->has_items[o->depth]) {
        mu_buf_add_byte(o->to, ',');
    }
    o->has_items[o->depth] = true;
    if (o->depth > 0) {
        new_line(o);
    }
}

void mu_json_open(struct mu_json_out *o, char bracket)
{
    MU_ASSERT(bracket == '{' || bracket == '[');
    MU_ASSERT(o->depth < MU_JSON_DEPTH_MAX);
    before_value(o);
    mu_buf_add_byte(o->to, (uint8_t)bracket);
    o->depth++;
    o->has_items[o->depth] = false;
}

void mu_json_close(struct mu_json_out *o, char bracket)
{
    MU_ASSERT(bracket == '}' || bracket == ']');
    MU_ASSERT(o->depth > 0 && !o->has_key);
    bool had_items = o->has_items[o->depth];

    o->depth--;
    if (had_items) {
        new_line(o);
    }
    mu_buf_add_byte(o->to, (uint8_t)bracket);
}

static void add_escaped(struct mu_buf *to, uint8_t c)
{
    switch (c) {
    case '"': mu_buf_add_text(to, "\\\""); break;
    case '\\': mu_buf_add_text(to, "\\\\"); break;
    case '\n': mu_buf_add_text(to, "\\n"); break;
    case '\r': mu_buf_add_text(to, "\\r"); break;
    case '\t': mu_buf_add_text(to, "\\t"); break;
    default: mu_buf_addf(to, "\\u%04x", (unsigned)c); break;
    }
}

/* Bytes of the valid UTF-8 sequence at the start of s, 0 if there is none. */
static size_t utf8_length(struct mu_span s)
{
    for (size_t bytes = 2; bytes <= 4 && bytes <= s.bytes; bytes++) {
        if (mu_span_is_utf8(mu_span_sub(s, 0, bytes))) {
            return bytes;
        }
    }
    return 0;
}

static void add_quoted(struct mu_buf *to, struct mu_span text)
{
    size_t plain = 0; /* start of the run that goes out as it is */
    size_t i = 0;

    mu_buf_add_byte(to, '"');
    while (i < text.bytes) {
        uint8_t c = text.data[i];

        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
            i++;
            continue;
        }
        size_t wide = c >= 0x80 ? utf8_length(mu_span_sub(text, i, 4)) : 0;

        if (wide > 0) {
            i += wide;
            continue;
        }
        mu_buf_add(to, text.data + plain, i - plain);
        if (c >= 0x80) {
            mu_buf_add_text(to, "\xef\xbf\xbd"); /* U+FFFD */
        } else {
            add_escaped(to, c);
        }
        i++;
        plain = i;
    }
    if (i > plain) {
        mu_buf_add(to, text.data + plain, i - plain);
    }
    mu_buf_add_byte(to, '"');
}

void mu_json_key_span(struct mu_json_out *o, struct mu_span name)
{
    MU_ASSERT(o->depth > 0 && !o->has_key);
    before_value(o);
    add_quoted(o->to, name);
    mu_buf_add_text(o->to, o->is_pretty ? ": " : ":");
    o->has_key = true;
}

void mu_json_key(struct mu_json_out *o, const char *name)
{
    mu_json_key_span(o, mu_span_text(name));
}

void mu_json_put_span(struct mu_json_out *o, struct mu_span text)
{
    before_value(o);
    add_quoted(o->to, text);
}

void mu_json_put_text(struct mu_json_out *o, const char *text)
{
    mu_json_put_span(o, mu_span_text(text));
}

void mu_json_put_u64(struct mu_json_out *o, uint64_t v)
{
    before_value(o);
    mu_buf_add_u64(o->to, v);
}

void mu_json_put_i64(struct mu_json_out *o, int64_t v)
{
    before_value(o);
    if (v < 0) {
        mu_buf_add_byte(o->to, '-');
    }
    mu_buf_add_u64(o->to, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

/* d.ddd times ten to the exponent, in the form that Go gives numbers: plain where that is short. */
static void put_digits(struct mu_buf *to, const char *digits, size_t count, long exponent)
{
    bool is_plain = (exponent >= -6 && exponent < 21) || (count == 1 && digits[0] == '0');
    long zeros = exponent < 0 && is_plain ? -exponent : 0;
    long point = is_plain ? exponent + 1 : 1; /* digits before it */

    if (zeros > 0) {
        mu_buf_add_text(to, "0.");
        for (long i = 1; i < zeros; i++) {
            mu_buf_add_byte(to, '0');
        }
        mu_buf_add(to, digits, count);
        return;
    }
    for (long i = 0; i < point || (size_t)i < count; i++) {
        if (i == point) {
            mu_buf_add_byte(to, '.');
        }
        mu_buf_add_byte(to, (size_t)i < count ? (uint8_t)digits[i] : '0');
    }
    if (!is_plain) {
        mu_buf_addf(to, "e%c%ld", exponent < 0 ? '-' : '+', exponent < 0 ? -exponent : exponent);
    }
}

void mu_json_put_real(struct mu_json_out *o, double v)
{
    char text[REAL_TEXT_MAX];
    char digits[REAL_TEXT_MAX];
    size_t count = 0;

    before_value(o);
    MU_ASSERT(isfinite(v));
    for (int precision = 14; precision <= 16; precision++) { /* fewer digits: zeros at the end */
        (void)snprintf(text, sizeof text, "%.*e", precision, fabs(v));
        if (!(strtod(text, NULL) < fabs(v)) && !(strtod(text, NULL) > fabs(v))) {
            break;
        }
    }
    const char *at = text;

    for (; *at != 'e'; at++) {
        if (*at != '.') {
            digits[count++] = *at;
        }
    }
    while (count > 1 && digits[count - 1] == '0') {
        count--;
    }
    if (signbit(v)) {
        mu_buf_add_byte(o->to, '-');
    }
    put_digits(o->to, digits, count, strtol(at + 1, NULL, 10));
}

void mu_json_put_bool(struct mu_json_out *o, bool v)
{
    before_value(o);
    mu_buf_add_text(o->to, v ? "true" : "false");
}

void mu_json_put_null(struct mu_json_out *o)
{
    before_value(o);
    mu_buf_add_text(o->to, "null");
}

/* RFC 4648 section 4. Not libsodium's, which takes the same time whatever the bytes are: values are
 * no keys, and it was a third of the cost of reading one. */
void mu_json_put_base64(struct mu_json_out *o, struct mu_span bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *from = bytes.data;
    size_t left = bytes.bytes;

    before_value(o);
    uint8_t *start = mu_buf_reserve(o->to, (left + 2) / 3 * 4 + 2);
    uint8_t *to = start;

    *to++ = '"';
    for (; left >= 3; left -= 3, from += 3, to += 4) {
        uint32_t group = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];

        to[0] = (uint8_t)digits[group >> 18];
        to[1] = (uint8_t)digits[group >> 12 & 63];
        to[2] = (uint8_t)digits[group >> 6 & 63];
        to[3] = (uint8_t)digits[group & 63];
    }
    if (left > 0) {
        uint32_t group = (uint32_t)from[0] << 16 | (left > 1 ? (uint32_t)from[1] << 8 : 0);

        to[0] = (uint8_t)digits[group >> 18];
        to[1] = (uint8_t)digits[group >> 12 & 63];
        to[2] = left > 1 ? (uint8_t)digits[group >> 6 & 63] : '=';
        to[3] = '=';
        to += 4;
    }
    *to++ = '"';
    o->to->bytes += (size_t)(to - start);
}

/* One byte of a compact document outside of strings, with the blanks that go around it. */
static void put_raw_byte(struct mu_json_out *o, uint8_t c, uint8_t before, uint8_t next)
{
    bool opens = c == '{' || c == '[';
    bool closes = c == '}' || c == ']';
    bool is_empty =
        (opens && (next == '}' || next == ']')) || (closes && (before == '{' || before == '['));

    if (closes && !is_empty) {
        o->depth--;
        new_line(o);
    }
    mu_buf_add_byte(o->to, c);
    if (c == ':') {
        mu_buf_add_byte(o->to, ' ');
    }
    if (opens && !is_empty) {
        o->depth++;
    }
    if (c == ',' || (opens && !is_empty)) {
        new_line(o);
    }
}

static bool is_white(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The first byte from `at` on that is no blank; 0: none. */
static uint8_t next_solid(struct mu_span json, size_t at)
{
    while (at < json.bytes && is_white(json.data[at])) {
        at++;
    }
    return at < json.bytes ? json.data[at] : 0;
}

/* Indented like the rest; blanks of its own are dropped. Nothing but depth is used of the levels
 * inside, so they may be more than the writer's own. */
static void put_raw_pretty(struct mu_json_out *o, struct mu_span json)
{
    bool is_text = false;
    uint8_t before = 0;

    for (size_t i = 0; i < json.bytes; i++) {
        uint8_t c = json.data[i];

        if (c == '"') {
            is_text = !is_text;
        }
        if (is_text || c == '"') {
            mu_buf_add_byte(o->to, c);
            if (c == '\\' && i + 1 < json.bytes) {
                mu_buf_add_byte(o->to, json.data[++i]);
            }
        } else if (!is_white(c)) {
            put_raw_byte(o, c, before, next_solid(json, i + 1));
        }
        before = is_text || !is_white(c) ? c : before;
    }
}

void mu_json_put_raw(struct mu_json_out *o, struct mu_span json)
{
    before_value(o);
    if (o->is_pretty) {
        put_raw_pretty(o, json);
    } else {
        mu_buf_add_span(o->to, json);
    }
}

void mu_json_text(struct mu_json_out *o, const char *name, const char *text)
{
    mu_json_key(o, name);
    mu_json_put_text(o, text);
}

void mu_json_span(struct mu_json_out *o, const char *name, struct mu_span text)
{
    mu_json_key(o, name);
    mu_json_put_span(o, text);
}

void mu_json_u64(struct mu_json_out *o, const char *name, uint64_t v)
{
    mu_json_key(o, name);
    mu_json_put_u64(o, v);
}

void mu_json_i64(struct mu_json_out *o, const char *name, int64_t v)
{
    mu_json_key(o, name);
    mu_json_put_i64(o, v);
}

void mu_json_boolean(struct mu_json_out *o, const char *name, bool v)
{
    mu_json_key(o, name);
    mu_json_put_bool(o, v);
}

void mu_json_nothing(struct mu_json_out *o, const char *name)
{
    mu_json_key(o, name);
    mu_json_put_null(o);
}
