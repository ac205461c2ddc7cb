#include "base/table.h"

#include <string.h>

#include <sodium.h>

#include "base/assert.h"
#include "base/mem.h"

static uint64_t hash_bytes(const void *key, size_t bytes);

#define HASH_FUNCTION(key, bytes, out) (out) = (unsigned)hash_bytes(key, bytes)
#define uthash_malloc(bytes)           mu_new(bytes)
#define uthash_free(ptr, bytes)        mu_free(ptr)
#define uthash_fatal(text)             mu_assert_failed(__FILE__, __LINE__, text)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include <uthash.h>

struct entry {
    UT_hash_handle hh;
    void *value;
    size_t bytes;
    uint8_t key[];
};

struct mu_table {
    struct entry *entries;
};

/* One key per process: a table filled by strangers cannot be attacked from one run to the next. */
static uint64_t hash_bytes(const void *key, size_t bytes)
{
    static unsigned char secret[crypto_shorthash_KEYBYTES];
    static bool ready;
    unsigned char out[crypto_shorthash_BYTES];
    uint64_t hash;

    if (!__atomic_load_n(&ready, __ATOMIC_ACQUIRE)) {
        static bool filling;
        bool idle = false;

        /* The first caller fills it; threads that come at the same moment wait those few cycles. */
        if (__atomic_compare_exchange_n(&filling, &idle, true, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE)) {
            randombytes_buf(secret, sizeof secret);
            __atomic_store_n(&ready, true, __ATOMIC_RELEASE);
        }
        while (!__atomic_load_n(&ready, __ATOMIC_ACQUIRE)) {
        }
    }
    (void)crypto_shorthash(out, key, bytes, secret);
    memcpy(&hash, out, sizeof hash);
    return hash;
}

unsigned mu_table_hash(struct mu_span key)
{
    return (unsigned)hash_bytes(key.data, key.bytes);
}

uint64_t mu_table_hash_whole(struct mu_span key)
{
    return hash_bytes(key.data, key.bytes);
}

struct mu_table *mu_table_new(void)
{
    return mu_new(sizeof(struct mu_table));
}

static struct entry *entry_find(const struct mu_table *t, struct mu_span key)
{
    const uint8_t *data = key.data != NULL ? key.data : (const uint8_t *)""; /* for memcmp() */
    struct entry *e = NULL;

    HASH_FIND(hh, t->entries, data, (unsigned)key.bytes, e);
    return e;
}

void *mu_table_find(const struct mu_table *t, struct mu_span key)
{
    struct entry *e = entry_find(t, key);

    return e != NULL ? e->value : NULL;
}

void *mu_table_put(struct mu_table *t, struct mu_span key, void *value)
{
    MU_ASSERT(value != NULL);
    struct entry *e = entry_find(t, key);

    if (e != NULL) {
        void *old = e->value;

        e->value = value;
        return old;
    }
    e = mu_new(sizeof *e + key.bytes);
    e->value = value;
    e->bytes = key.bytes;
    if (key.bytes > 0) {
        memcpy(e->key, key.data, key.bytes);
    }
    HASH_ADD_KEYPTR(hh, t->entries, e->key, (unsigned)e->bytes, e);
    return NULL;
}

static void *entry_drop(struct mu_table *t, struct entry *e)
{
    void *value = e->value;

    HASH_DEL(t->entries, e);
    mu_free(e);
    return value;
}

void *mu_table_remove(struct mu_table *t, struct mu_span key)
{
    struct entry *e = entry_find(t, key);

    return e != NULL ? entry_drop(t, e) : NULL;
}

size_t mu_table_count(const struct mu_table *t)
{
    return HASH_COUNT(t->entries);
}

bool mu_table_next(const struct mu_table *t, struct mu_table_at *at)
{
    struct entry *e = at->started ? at->position : t->entries;

    at->started = true;
    if (e == NULL) {
        return false;
    }
    at->position = e->hh.next;
    at->key = mu_span_of(e->key, e->bytes);
    at->value = e->value;
    return true;
}

void mu_table_free(struct mu_table *t)
{
    if (t == NULL) {
        return;
    }
    struct entry *e = t->entries;

    while (e != NULL) {
        struct entry *next = e->hh.next;

        HASH_DEL(t->entries, e);
        mu_free(e);
        e = next;
    }
    mu_free(t);
}
#pragma GCC diagnostic pop
