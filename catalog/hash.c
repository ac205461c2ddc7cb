#include "hash.h"

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
#define COLUMN_ROOM      (1 + 4 + INLINE_BYTES_MAX)

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

static void put_bytes(struct mu_wr *w, struct mu_span s)
{
    uint8_t digest[HASH_BYTES];

    if (s.bytes <= INLINE_BYTES_MAX) {
        mu_wr_u8(w, TAG_BYTES);
        mu_wr_u32le(w, (uint32_t)s.bytes);
        mu_wr_span(w, s);
        return;
    }
    siphash(s.data, s.bytes, digest);
    mu_wr_u8(w, TAG_LONG);
    mu_wr_u32le(w, (uint32_t)s.bytes);
    mu_wr_bytes(w, digest, sizeof digest);
}

static void put_value(struct mu_wr *w, const struct row_value *v)
{
    switch (v->kind) {
    case ROW_NULL: mu_wr_u8(w, TAG_NULL); break;
    case ROW_INT:
        mu_wr_u8(w, TAG_INT);
        mu_wr_u64le(w, (uint64_t)v->number);
        break;
    case ROW_BYTES: put_bytes(w, v->bytes); break;
    }
}

struct hash_sum catalog__hash_row(uint8_t table, const struct row_value *values, size_t count)
{
    uint8_t room[1 + ROW_COLUMNS_MAX * COLUMN_ROOM];
    struct mu_wr w = mu_wr_of(room, sizeof room);
    uint8_t out[HASH_BYTES];

    mu_wr_u8(&w, table);
    for (size_t i = 0; i < count; i++) {
        put_value(&w, &values[i]);
    }
    MU_ASSERT(mu_wr_ok(&w));
    siphash(room, w.used, out);
    return catalog__hash_read(out);
}

int64_t catalog__hash_bytes(struct mu_span bytes)
{
    uint8_t out[HASH_BYTES];

    siphash(bytes.data, bytes.bytes, out);
    return (int64_t)(catalog__hash_read(out).low >> 1);
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
