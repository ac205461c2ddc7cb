#include "base/span.h"

#include <string.h>

struct mu_span mu_span_of(const void *data, size_t bytes)
{
    return (struct mu_span){ data, bytes };
}

struct mu_span mu_span_text(const char *text)
{
    return (struct mu_span){ (const uint8_t *)text, text != NULL ? strlen(text) : 0 };
}

bool mu_span_eq(struct mu_span a, struct mu_span b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

bool mu_span_eq_text(struct mu_span a, const char *text)
{
    return mu_span_eq(a, mu_span_text(text));
}

static uint8_t fold(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

bool mu_span_eq_fold(struct mu_span a, struct mu_span b)
{
    if (a.bytes != b.bytes) {
        return false;
    }
    for (size_t i = 0; i < a.bytes; i++) {
        if (fold(a.data[i]) != fold(b.data[i])) {
            return false;
        }
    }
    return true;
}

bool mu_span_starts(struct mu_span a, struct mu_span prefix)
{
    return a.bytes >= prefix.bytes &&
           (prefix.bytes == 0 || memcmp(a.data, prefix.data, prefix.bytes) == 0);
}

int mu_span_cmp(struct mu_span a, struct mu_span b)
{
    size_t common = a.bytes < b.bytes ? a.bytes : b.bytes;
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;

    if (order != 0) {
        return order;
    }
    return (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

struct mu_span mu_span_sub(struct mu_span a, size_t from, size_t bytes)
{
    if (from >= a.bytes) {
        return MU_SPAN_NONE;
    }
    size_t left = a.bytes - from;

    return (struct mu_span){ a.data + from, bytes < left ? bytes : left };
}

struct mu_span mu_span_split(struct mu_span a, char sep, struct mu_span *rest, bool *found)
{
    const uint8_t *at = a.bytes > 0 ? memchr(a.data, sep, a.bytes) : NULL;

    if (found != NULL) {
        *found = at != NULL;
    }
    if (at == NULL) {
        *rest = MU_SPAN_NONE;
        return a;
    }
    size_t head = (size_t)(at - a.data);

    *rest = (struct mu_span){ at + 1, a.bytes - head - 1 };
    return (struct mu_span){ a.data, head };
}

void mu_span_fold(struct mu_span from, uint8_t *to)
{
    for (size_t i = 0; i < from.bytes; i++) {
        to[i] = fold(from.data[i]);
    }
}

bool mu_span_u64(struct mu_span a, uint64_t *out)
{
    uint64_t value = 0;

    if (a.bytes == 0) {
        return false;
    }
    for (size_t i = 0; i < a.bytes; i++) {
        uint64_t digit = (uint64_t)a.data[i] - '0';

        if (a.data[i] < '0' || a.data[i] > '9' || value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

/* How many continuation bytes follow, and the smallest code point of that length; -1: not a
 * leading byte. RFC 3629 section 4. */
static int utf8_lead(uint8_t c, uint32_t *bits, uint32_t *least)
{
    if (c < 0x80) {
        *bits = c;
        *least = 1; /* NUL is refused */
        return 0;
    }
    if ((c & 0xe0) == 0xc0) {
        *bits = c & 0x1f;
        *least = 0x80;
        return 1;
    }
    if ((c & 0xf0) == 0xe0) {
        *bits = c & 0x0f;
        *least = 0x800;
        return 2;
    }
    if ((c & 0xf8) == 0xf0) {
        *bits = c & 0x07;
        *least = 0x10000;
        return 3;
    }
    return -1;
}

/* How many bytes the character at the front has; 0: it is none. */
static size_t utf8_take(struct mu_span a)
{
    uint32_t point = 0;
    uint32_t least = 0;
    int more = utf8_lead(a.data[0], &point, &least);

    if (more < 0 || a.bytes <= (size_t)more) {
        return 0;
    }
    for (size_t i = 1; i <= (size_t)more; i++) {
        if ((a.data[i] & 0xc0) != 0x80) {
            return 0;
        }
        point = point << 6 | (a.data[i] & 0x3fU);
    }
    if (point < least || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) {
        return 0;
    }
    return (size_t)more + 1;
}

size_t mu_span_utf8_prefix(struct mu_span a)
{
    size_t at = 0;

    while (at < a.bytes) {
        size_t taken = utf8_take(mu_span_sub(a, at, a.bytes));

        if (taken == 0) {
            break;
        }
        at += taken;
    }
    return at;
}

bool mu_span_is_utf8(struct mu_span a)
{
    return mu_span_utf8_prefix(a) == a.bytes;
}
