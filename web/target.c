#include "target.h"

#include <string.h>

#include "base/assert.h"

/* -- escapes ----------------------------------------------------------------------------------- */

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

static bool is_plain(struct mu_span text, bool is_query)
{
    return memchr(text.data, '%', text.bytes) == NULL &&
           (!is_query || memchr(text.data, '+', text.bytes) == NULL);
}

bool target_decode(struct mu_span text, bool is_query, struct mu_arena *arena, struct mu_span *out)
{
    if (text.bytes == 0 || is_plain(text, is_query)) {
        *out = text;
        return true;
    }
    uint8_t *to = mu_arena_new(arena, text.bytes + 1);
    size_t used = 0;

    for (size_t i = 0; i < text.bytes; i++) {
        uint8_t c = text.data[i];

        if (c == '%') {
            int high = i + 2 < text.bytes ? hex_digit(text.data[i + 1]) : -1;
            int low = i + 2 < text.bytes ? hex_digit(text.data[i + 2]) : -1;

            if (high < 0 || low < 0) {
                return false;
            }
            c = (uint8_t)(high * 16 + low);
            i += 2;
        } else if (c == '+' && is_query) {
            c = ' ';
        }
        to[used++] = c;
    }
    *out = mu_span_of(to, used);
    return true;
}

static bool is_unreserved(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

static void escape_byte(struct mu_buf *to, uint8_t c)
{
    static const char digits[] = "0123456789ABCDEF";

    mu_buf_add_byte(to, '%');
    mu_buf_add_byte(to, (uint8_t)digits[c >> 4]);
    mu_buf_add_byte(to, (uint8_t)digits[c & 15]);
}

void target_escape_query(struct mu_buf *to, struct mu_span text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        uint8_t c = text.data[i];

        if (is_unreserved(c)) {
            mu_buf_add_byte(to, c);
        } else if (c == ' ') {
            mu_buf_add_byte(to, '+');
        } else {
            escape_byte(to, c);
        }
    }
}

void target_escape_path(struct mu_buf *to, struct mu_span text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        uint8_t c = text.data[i];

        if (is_unreserved(c) || (c != 0 && strchr("/$&+,:;=@", c) != NULL)) {
            mu_buf_add_byte(to, c);
        } else {
            escape_byte(to, c);
        }
    }
}

/* -- clean paths ------------------------------------------------------------------------------- */

static bool is_clean(struct mu_span path)
{
    if (path.bytes == 0 || path.data[0] != '/') {
        return false;
    }
    for (size_t i = 0; i < path.bytes; i++) {
        if (path.data[i] != '/') {
            continue;
        }
        struct mu_span next = mu_span_sub(path, i + 1, path.bytes);
        struct mu_span part = mu_span_split(next, '/', &next, NULL);

        if (mu_span_eq_text(part, ".") || mu_span_eq_text(part, "..")) {
            return false;
        }
        if (part.bytes == 0 && i + 1 < path.bytes) {
            return false;
        }
    }
    return true;
}

/* Drop the last part of a path that was built so far: "/a/b" becomes "/a". */
static size_t parent(const uint8_t *path, size_t bytes)
{
    while (bytes > 0 && path[bytes - 1] != '/') {
        bytes--;
    }
    return bytes > 0 ? bytes - 1 : 0;
}

struct mu_span target_clean(struct mu_span path, struct mu_arena *arena)
{
    if (is_clean(path)) {
        return path;
    }
    uint8_t *to = mu_arena_new(arena, path.bytes + 2);
    size_t used = 0;
    struct mu_span rest = path;

    while (rest.bytes > 0) {
        struct mu_span part = mu_span_split(rest, '/', &rest, NULL);
        if (part.bytes == 0 || mu_span_eq_text(part, ".")) {
            continue;
        }
        if (mu_span_eq_text(part, "..")) {
            used = parent(to, used);
            continue;
        }
        to[used++] = '/';
        memcpy(to + used, part.data, part.bytes);
        used += part.bytes;
    }
    bool had_slash = path.bytes > 0 && path.data[path.bytes - 1] == '/';

    if (used == 0 || had_slash) {
        to[used++] = '/';
    }
    return mu_span_of(to, used);
}

/* -- what may be printed ----------------------------------------------------------------------- */

/* Characters that Unicode counts as controls, separators or format: those that hide in a log or a
 * terminal. Unassigned ones pass. */
static const struct {
    uint32_t first, last;
} hidden[] = {
    // clang-format off
    { 0x0000, 0x001F }, { 0x007F, 0x00A0 }, { 0x00AD, 0x00AD }, { 0x0600, 0x0605 },
    { 0x061C, 0x061C }, { 0x06DD, 0x06DD }, { 0x070F, 0x070F }, { 0x1680, 0x1680 },
    { 0x180E, 0x180E }, { 0x2000, 0x200F }, { 0x2028, 0x202F }, { 0x205F, 0x206F },
    { 0x3000, 0x3000 }, { 0xE000, 0xF8FF }, { 0xFEFF, 0xFEFF }, { 0xFFF9, 0xFFFB },
    { 0xE0000, 0xE007F }, { 0xF0000, 0x10FFFF },
}; // clang-format on

/* One character from the front of `text`; U+FFFD, one byte long, for bytes that are no UTF-8. */
static uint32_t next_char(struct mu_span text, size_t *bytes)
{
    static const uint8_t lead_mask[] = { 0, 0x7F, 0x1F, 0x0F, 0x07 };

    for (size_t n = 1; n <= 4 && n <= text.bytes; n++) {
        if (!mu_span_is_utf8(mu_span_sub(text, 0, n))) {
            continue;
        }
        uint32_t c = text.data[0] & lead_mask[n];

        for (size_t i = 1; i < n; i++) {
            c = c << 6 | (text.data[i] & 0x3F);
        }
        *bytes = n;
        return c;
    }
    *bytes = 1;
    return text.data[0] == 0 ? 0 : 0xFFFD;
}

static bool is_hidden(uint32_t c)
{
    for (size_t i = 0; i < MU_LEN(hidden); i++) {
        if (c >= hidden[i].first && c <= hidden[i].last) {
            return true;
        }
    }
    return false;
}

bool target_is_printable(struct mu_span path)
{
    for (size_t i = 0; i < path.bytes;) {
        size_t bytes = 1;

        if (path.data[i] >= 0x20 && path.data[i] < 0x7F) {
            i++;
            continue;
        }
        if (is_hidden(next_char(mu_span_sub(path, i, 4), &bytes))) {
            return false;
        }
        i += bytes;
    }
    return true;
}
