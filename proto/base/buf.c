#include "base/buf.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#define FIRST_ROOM 64

void mu_buf_deinit(struct mu_buf *b)
{
    mu_free(b->data);
    *b = MU_BUF_NONE;
}

void mu_buf_clear(struct mu_buf *b)
{
    b->bytes = 0;
}

uint8_t *mu_buf_reserve(struct mu_buf *b, size_t bytes)
{
    MU_ASSERT(bytes <= SIZE_MAX / 2 - b->bytes);
    size_t need = b->bytes + bytes;

    if (need > b->room || b->data == NULL) { /* so that room for nothing is a place, too */
        size_t room = b->room > 0 ? b->room * 2 : FIRST_ROOM;

        b->room = room > need ? room : need;
        b->data = mu_grow(b->data, b->room);
    }
    return b->data + b->bytes;
}

void mu_buf_add(struct mu_buf *b, const void *data, size_t bytes)
{
    if (bytes == 0) {
        return;
    }
    memcpy(mu_buf_reserve(b, bytes), data, bytes);
    b->bytes += bytes;
}

void mu_buf_add_span(struct mu_buf *b, struct mu_span s)
{
    mu_buf_add(b, s.data, s.bytes);
}

void mu_buf_add_text(struct mu_buf *b, const char *text)
{
    mu_buf_add(b, text, strlen(text));
}

void mu_buf_add_byte(struct mu_buf *b, uint8_t byte)
{
    *mu_buf_reserve(b, 1) = byte;
    b->bytes++;
}

void mu_buf_add_u64(struct mu_buf *b, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    mu_buf_add(b, digits + at, sizeof digits - at);
}

void mu_buf_vaddf(struct mu_buf *b, const char *fmt, va_list args)
{
    va_list again;

    va_copy(again, args);
    int bytes = vsnprintf(NULL, 0, fmt, args);

    MU_ASSERT(bytes >= 0);
    char *to = (char *)mu_buf_reserve(b, (size_t)bytes + 1);

    (void)vsnprintf(to, (size_t)bytes + 1, fmt, again);
    va_end(again);
    b->bytes += (size_t)bytes;
}

void mu_buf_addf(struct mu_buf *b, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    mu_buf_vaddf(b, fmt, args);
    va_end(args);
}

void mu_buf_drop(struct mu_buf *b, size_t bytes)
{
    MU_ASSERT(bytes <= b->bytes);
    b->bytes -= bytes;
    if (b->bytes > 0 && bytes > 0) {
        memmove(b->data, b->data + bytes, b->bytes);
    }
}

struct mu_span mu_buf_span(const struct mu_buf *b)
{
    return mu_span_of(b->data, b->bytes);
}

const char *mu_buf_text(struct mu_buf *b)
{
    *mu_buf_reserve(b, 1) = '\0';
    return (const char *)b->data;
}

char *mu_buf_take(struct mu_buf *b, size_t *bytes)
{
    (void)mu_buf_text(b);
    char *taken = (char *)b->data;

    if (bytes != NULL) {
        *bytes = b->bytes;
    }
    *b = MU_BUF_NONE;
    return taken;
}
