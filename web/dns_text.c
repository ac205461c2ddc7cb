/* dns_text.c - node metadata as TXT records (spec/dns.md 6.4).
 *
 * A pair becomes `key=value` as RFC 1464 writes it; a key that begins with rfc1035- gives its
 * value alone. What is longer than one character string is split, never left out.
 */
#include "dns_prepared.h"

#include "base/buf.h"

#define TEXT_STRING_MAX 255 /* bytes of one character string (RFC 1035 3.3) */

static bool has_plain_key(struct mu_span key)
{
    return key.bytes >= 8 && mu_span_eq_fold(mu_span_sub(key, 0, 8), MU_SPAN_LIT("rfc1035-"));
}

/* RFC 1464: the key with '`' and '=' quoted, and each blank at its ends; then the value. */
static void text_key(struct mu_span key, struct mu_buf *to)
{
    size_t leading = 0;
    size_t trailing = key.bytes;

    while (leading < key.bytes && key.data[leading] == ' ') {
        leading++;
    }
    while (trailing > leading && key.data[trailing - 1] == ' ') {
        trailing--;
    }
    for (size_t i = 0; i < key.bytes; i++) {
        uint8_t c = key.data[i];

        if (c == '`' || c == '=' || i < leading || i >= trailing) {
            mu_buf_add_byte(to, '`');
        }
        mu_buf_add_byte(to, c);
    }
    mu_buf_add_byte(to, '=');
}

static void text_value(struct mu_span value, struct mu_buf *to)
{
    for (size_t i = 0; i < value.bytes; i++) {
        if (value.data[i] == '`') {
            mu_buf_add_byte(to, '`');
        }
        mu_buf_add_byte(to, value.data[i]);
    }
}

/* One record's data: strings of at most 255 bytes. An empty text is one empty string. */
static void text_append(struct mu_span text, struct mu_buf *to)
{
    size_t strings = text.bytes == 0 ? 1 : (text.bytes + TEXT_STRING_MAX - 1) / TEXT_STRING_MAX;
    size_t bytes = text.bytes + strings;

    if (bytes > UINT16_MAX) {
        return; /* no record holds it */
    }
    mu_buf_add_byte(to, (uint8_t)(bytes >> 8));
    mu_buf_add_byte(to, (uint8_t)bytes);
    for (size_t i = 0; i < strings; i++) {
        struct mu_span part = mu_span_sub(text, i * TEXT_STRING_MAX, TEXT_STRING_MAX);

        mu_buf_add_byte(to, (uint8_t)part.bytes);
        mu_buf_add_span(to, part);
    }
}

struct mu_span dns_texts_of(struct mu_arena *arena, const struct mu_pairs *meta)
{
    struct mu_buf all = MU_BUF_NONE;
    struct mu_buf one = MU_BUF_NONE;

    for (size_t i = 0; i < meta->count; i++) {
        mu_buf_clear(&one);
        if (has_plain_key(meta->items[i].key)) {
            mu_buf_add_span(&one, meta->items[i].value);
        } else {
            text_key(meta->items[i].key, &one);
            text_value(meta->items[i].value, &one);
        }
        text_append(mu_buf_span(&one), &all);
    }
    struct mu_span texts = mu_arena_span(arena, mu_buf_span(&all));

    mu_buf_deinit(&one);
    mu_buf_deinit(&all);
    return texts;
}
