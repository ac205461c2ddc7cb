#include "hash.h"

#include <stdbool.h>
#include <string.h>

#include <sodium.h>

#include "base/assert.h"
#include "base/wire.h"
#include "row.h"

/* Public and for ever: all servers must come to the same sum. */
static const unsigned char key[crypto_shorthash_siphashx24_KEYBYTES] = {
    'm', 'u', 's', 't', 'e', 'r', ' ', 's', 't', 'a', 't', 'e', ' ', 'v', '1', '\n',
};

_Static_assert(crypto_shorthash_siphashx24_BYTES == HASH_BYTES, "a term fills the sum");

/* Longer columns go in as a hash of their own, so that a row of any size is put together in a
 * fixed room and no value is copied. */
#define INLINE_BYTES_MAX 64
#define COLUMN_ROOM      (1 + 4 + INLINE_BYTES_MAX) /* the widest form of one */

_Static_assert(INLINE_BYTES_MAX >= HASH_BYTES, "a digest fits where bytes do");

enum tag { /* first byte of each column; numbers for ever */
           TAG_NULL = 0,
           TAG_INT = 1,
           TAG_BYTES = 2,
           TAG_LONG = 3,
};

static void siphash(const void *data, size_t bytes, uint8_t out[HASH_BYTES])
{
    (void)crypto_shorthash_siphashx24(out, data != NULL ? data : (const void *)"", bytes, key);
}

/* Little endian, whatever the machine is; compilers make one store of it. These are called a dozen
 * times a row, hundreds of thousands of times a second: no cursor between them and the room. */
static uint8_t *put_number(uint8_t *at, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        at[i] = (uint8_t)(v >> 8 * i);
    }
    return at + bytes;
}

static uint8_t *put_bytes(uint8_t *at, const struct row_value *v)
{
    bool is_long = v->bytes.bytes > INLINE_BYTES_MAX;

    *at++ = is_long ? TAG_LONG : TAG_BYTES;
    at = put_number(at, v->bytes.bytes, 4);
    if (!is_long) {
        if (v->bytes.bytes > 0) {
            memcpy(at, v->bytes.data, v->bytes.bytes);
        }
        return at + v->bytes.bytes;
    }
    if (v->digest != NULL) {
        memcpy(at, v->digest, HASH_BYTES);
    } else {
        siphash(v->bytes.data, v->bytes.bytes, at);
    }
    return at + HASH_BYTES;
}

static uint8_t *put_value(uint8_t *at, const struct row_value *v)
{
    switch (v->kind) {
    case ROW_NULL: *at++ = TAG_NULL; break;
    case ROW_INT:
        *at++ = TAG_INT;
        at = put_number(at, (uint64_t)v->number, 8);
        break;
    case ROW_BYTES: at = put_bytes(at, v); break;
    }
    return at;
}

struct hash_sum catalog__hash_row(uint8_t table, const struct row_value *values, size_t count)
{
    uint8_t room[1 + ROW_COLUMNS_MAX * COLUMN_ROOM];
    uint8_t *at = room;
    uint8_t out[HASH_BYTES];

    MU_ASSERT(count <= ROW_COLUMNS_MAX);
    *at++ = table;
    for (size_t i = 0; i < count; i++) {
        at = put_value(at, &values[i]);
    }
    siphash(room, (size_t)(at - room), out);
    return catalog__hash_read(out);
}

void catalog__hash_bytes(struct mu_span bytes, uint8_t out[HASH_BYTES])
{
    siphash(bytes.data, bytes.bytes, out);
}

void catalog__hash_add(struct hash_sum *sum, struct hash_sum term)
{
    sum->low += term.low;
    sum->high += term.high + (sum->low < term.low);
}

void catalog__hash_subtract(struct hash_sum *sum, struct hash_sum term)
{
    uint64_t borrow = sum->low < term.low;

    sum->low -= term.low;
    sum->high -= term.high + borrow;
}

void catalog__hash_write(struct hash_sum sum, uint8_t out[HASH_BYTES])
{
    struct mu_wr w = mu_wr_of(out, HASH_BYTES);

    mu_wr_u64le(&w, sum.low);
    mu_wr_u64le(&w, sum.high);
}

struct hash_sum catalog__hash_read(const uint8_t bytes[HASH_BYTES])
{
    struct mu_rd r = mu_rd_of(mu_span_of(bytes, HASH_BYTES));
    struct hash_sum sum = { 0, 0 };

    sum.low = mu_rd_u64le(&r);
    sum.high = mu_rd_u64le(&r);
    return sum;
}
