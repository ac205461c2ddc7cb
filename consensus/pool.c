#include "pool.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

struct consensus_pool_entry {
    uint32_t refs;
    uint32_t payload_bytes;
    uint64_t index, term; /* 0: not sealed */
    uint8_t kind;
    uint8_t record[]; /* head, payload, padding */
};

#define ROOM_FIRST 64U

static struct consensus_pool_entry *entry_of(const struct consensus_pool *p, uint32_t handle)
{
    MU_ASSERT(handle > 0 && handle <= p->room);
    MU_ASSERT(p->entries[handle - 1] != NULL);
    return p->entries[handle - 1];
}

static void grow(struct consensus_pool *p)
{
    size_t room = p->room == 0 ? ROOM_FIRST : p->room * 2;

    MU_ASSERT(room <= UINT32_MAX);
    p->entries = mu_grow(p->entries, room * sizeof *p->entries);
    p->free = mu_grow(p->free, room * sizeof *p->free);
    for (size_t i = room; i > p->room; i--) { /* the smallest is taken first */
        p->entries[i - 1] = NULL;
        p->free[p->free_count++] = (uint32_t)i;
    }
    p->room = room;
}

static uint32_t add(struct consensus_pool *p, struct mu_span payload)
{
    size_t bytes = consensus__record_room(payload.bytes);
    struct consensus_pool_entry *e = mu_new(sizeof *e + bytes);

    if (p->free_count == 0) {
        grow(p);
    }
    uint32_t handle = p->free[--p->free_count];

    e->refs = 1;
    e->payload_bytes = (uint32_t)payload.bytes;
    if (payload.bytes > 0) {
        memcpy(e->record + CONSENSUS_RECORD_HEAD, payload.data, payload.bytes);
    }
    p->entries[handle - 1] = e;
    p->bytes += bytes;
    p->most = p->bytes > p->most ? p->bytes : p->most;
    p->count++;
    return handle;
}

void consensus__pool_deinit(struct consensus_pool *p)
{
    for (size_t i = 0; i < p->room; i++) {
        mu_free(p->entries[i]);
    }
    mu_free(p->entries);
    mu_free(p->free);
    *p = (struct consensus_pool){ 0 };
}

uint32_t consensus__pool_add_payload(struct consensus_pool *p, struct mu_span payload)
{
    return add(p, payload);
}

uint32_t consensus__pool_add_record(struct consensus_pool *p, const struct consensus_record *r)
{
    uint32_t handle = add(p, r->payload);

    consensus__pool_seal(p, handle, r->index, r->term, r->kind);
    return handle;
}

void consensus__pool_ref(struct consensus_pool *p, uint32_t handle)
{
    entry_of(p, handle)->refs++;
}

void consensus__pool_unref(struct consensus_pool *p, uint32_t handle)
{
    struct consensus_pool_entry *e = entry_of(p, handle);

    MU_ASSERT(e->refs > 0);
    if (--e->refs > 0) {
        return;
    }
    p->bytes -= consensus__record_room(e->payload_bytes);
    p->count--;
    p->entries[handle - 1] = NULL;
    p->free[p->free_count++] = handle;
    mu_free(e);
}

void consensus__pool_seal(struct consensus_pool *p, uint32_t handle, uint64_t index, uint64_t term,
                          uint8_t kind)
{
    struct consensus_pool_entry *e = entry_of(p, handle);

    if (e->index != 0) {
        MU_ASSERT(e->index == index && e->term == term && e->kind == kind);
        return;
    }
    (void)consensus__record_seal(e->record, index, term, kind, e->payload_bytes, 0);
    memset(e->record + 4, 0, 4); /* the chain is each log's own */
    e->index = index;
    e->term = term;
    e->kind = kind;
}

struct mu_span consensus__pool_record(const struct consensus_pool *p, uint32_t handle)
{
    const struct consensus_pool_entry *e = entry_of(p, handle);

    MU_ASSERT(e->index != 0);
    return mu_span_of(e->record, consensus__record_room(e->payload_bytes));
}

struct mu_span consensus__pool_payload(const struct consensus_pool *p, uint32_t handle)
{
    const struct consensus_pool_entry *e = entry_of(p, handle);

    return mu_span_of(e->record + CONSENSUS_RECORD_HEAD, e->payload_bytes);
}
