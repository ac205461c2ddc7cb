#include "base/id.h"

#include <string.h>

#include <sodium.h>

static int hex_value(uint8_t c)
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

static bool is_dash_place(size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

bool mu_id_parse(struct mu_span text, struct mu_id *out)
{
    size_t nibble = 0;

    if (text.bytes != MU_ID_TEXT_BYTES) {
        return false;
    }
    struct mu_id id = MU_ID_NONE;

    for (size_t i = 0; i < text.bytes; i++) {
        if (is_dash_place(i)) {
            if (text.data[i] != '-') {
                return false;
            }
            continue;
        }
        int value = hex_value(text.data[i]);

        if (value < 0) {
            return false;
        }
        id.b[nibble / 2] = (uint8_t)(id.b[nibble / 2] << 4 | value);
        nibble++;
    }
    *out = id;
    return true;
}

void mu_id_text(const struct mu_id *id, char out[MU_ID_TEXT_BYTES + 1])
{
    static const char digits[] = "0123456789abcdef";
    size_t nibble = 0;

    for (size_t i = 0; i < MU_ID_TEXT_BYTES; i++) {
        if (is_dash_place(i)) {
            out[i] = '-';
            continue;
        }
        uint8_t byte = id->b[nibble / 2];

        out[i] = digits[nibble % 2 == 0 ? byte >> 4 : byte & 15];
        nibble++;
    }
    out[MU_ID_TEXT_BYTES] = '\0';
}

bool mu_id_eq(const struct mu_id *a, const struct mu_id *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

bool mu_id_is_none(const struct mu_id *id)
{
    struct mu_id none = MU_ID_NONE;

    return mu_id_eq(id, &none);
}

struct mu_id mu_id_random(void)
{
    struct mu_id id;

    randombytes_buf(id.b, sizeof id.b);
    return id;
}

struct mu_id mu_id_drawn(struct mu_rand *r)
{
    struct mu_id id;

    mu_rand_bytes(r, id.b, sizeof id.b);
    return id;
}
