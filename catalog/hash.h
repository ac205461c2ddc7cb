/* hash.h - the state hash: one number for all rows (spec/consensus.md 3.6).
 *
 * Every row of replicated state contributes SipHash-2-4-128 of its table and columns under a fixed
 * public key; the state hash is their sum modulo 2^128. A write subtracts the term of the old row
 * and adds that of the new one, so the cost does not depend on how much there is, and a sum over
 * all rows in any order gives the same. It finds divergence and rot; it is no defence against
 * somebody who writes rows to order.
 */
#ifndef CATALOG_HASH_H
#define CATALOG_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define HASH_BYTES 16

struct hash_sum {
    uint64_t low, high;
};

enum row_kind {
    ROW_NULL,
    ROW_INT,
    ROW_BYTES,
};

/* One column of one row. */
struct row_value {
    enum row_kind kind;
    int64_t number;
    struct mu_span bytes;
    const uint8_t *digest; /* of the bytes where it is known already, HASH_BYTES long; or NULL */
};

/* The term of one row. */
struct hash_sum catalog__hash_row(uint8_t table, const struct row_value *values, size_t count);
/* Of bytes alone: what goes into the term of a row with a long column. */
void catalog__hash_bytes(struct mu_span bytes, uint8_t out[HASH_BYTES]);

void catalog__hash_add(struct hash_sum *sum, struct hash_sum term);
void catalog__hash_subtract(struct hash_sum *sum, struct hash_sum term);
void catalog__hash_write(struct hash_sum sum, uint8_t out[HASH_BYTES]); /* as bytes, in one order */
struct hash_sum catalog__hash_read(const uint8_t bytes[HASH_BYTES]);

#endif
