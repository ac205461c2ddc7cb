/* pool.h - the bytes of entries, once: shared by the core's tail, writes in flight and messages.
 *
 * An entry's bytes are its record (record.h), so that what came from a client goes to disk and to
 * peers without being copied again. The core knows an entry by its handle.
 *
 * Thread:  the loop's. The log thread reads the bytes of entries in a write, which hold a reference
 *          until the write is reported.
 * Memory:  reference counts, the only ones in this folder. An entry made here begins with one.
 */
#ifndef CONSENSUS_POOL_H
#define CONSENSUS_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "record.h"

struct consensus_pool_entry;

struct consensus_pool {
    struct consensus_pool_entry **entries; /* by handle - 1; NULL: free */
    uint32_t *free;                        /* handles that are free, newest last */
    size_t room, free_count;
    uint64_t bytes; /* of all records */
    uint64_t most;  /* of them, ever */
    size_t count;
};

void consensus__pool_deinit(struct consensus_pool *p); /* also what is still referenced */

/* A command that has no index yet: its record is sealed when the core has given it one. */
uint32_t consensus__pool_add_payload(struct consensus_pool *p, struct mu_span payload);
/* A whole record, as it was received or read. */
uint32_t consensus__pool_add_record(struct consensus_pool *p, const struct consensus_record *r);

void consensus__pool_ref(struct consensus_pool *p, uint32_t handle);
void consensus__pool_unref(struct consensus_pool *p, uint32_t handle);

/* Give the record its place; nothing happens to one that has it already (it must be the same). */
void consensus__pool_seal(struct consensus_pool *p, uint32_t handle, uint64_t index, uint64_t term,
                          uint8_t kind);
/* The record. Valid while referenced; it does not move. Sealed before (asserted). */
struct mu_span consensus__pool_record(const struct consensus_pool *p, uint32_t handle);
struct mu_span consensus__pool_payload(const struct consensus_pool *p, uint32_t handle);

#endif
