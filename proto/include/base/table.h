/* table.h - hash table from bytes to pointers, keyed per process.
 *
 * uthash inside, with SipHash (libsodium crypto_shorthash) under a random key as the hash, so that
 * nobody outside can choose collisions. Iteration is in insertion order: deterministic.
 *
 * Thread:  one owner.
 * Memory:  keys are copied, values are the caller's.
 * Errors:  none; aborts without memory.
 */
#ifndef MU_BASE_TABLE_H
#define MU_BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct mu_table; /* opaque */

struct mu_table *mu_table_new(void);
void mu_table_free(struct mu_table *t); /* NULL is fine; values are not touched */

void *mu_table_find(const struct mu_table *t, struct mu_span key); /* NULL if absent */

/* Add or replace. Returns the value that was there, or NULL. `value` is not NULL. */
void *mu_table_put(struct mu_table *t, struct mu_span key, void *value);
void *mu_table_remove(struct mu_table *t, struct mu_span key); /* what was there, or NULL */
size_t mu_table_count(const struct mu_table *t);
/* The hash inside, for tables of other shapes: under the key of this process. */
unsigned mu_table_hash(struct mu_span key);
/* All 64 bits of it, for what is known by its hash alone. */
uint64_t mu_table_hash_whole(struct mu_span key);

/* Walk: `struct mu_table_at at = { 0 }; while (mu_table_next(t, &at)) { at.key, at.value }`.
 * Removing the current entry is allowed, adding is not. */
struct mu_table_at {
    struct mu_span key;
    void *value;
    void *position; /* private: the entry after this one */
    bool started;
};
bool mu_table_next(const struct mu_table *t, struct mu_table_at *at);

#endif
