/* cache.c - values by key, dropped by the watch.
 *
 * An entry is in the table, in the order of last use, and waits for its topics; losing any of the
 * three it loses all (drop). The value itself lives in a counted struct of its own, because an
 * answer may still be on its way out of a socket when the entry goes.
 */
#include "catalog/cache.h"

#include <string.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/table.h"

struct catalog_ready {
    size_t holders;
    void *value;
    uint64_t index;
    catalog_release_fn *release;
};

struct entry {
    struct catalog_cache *cache;
    struct mu_link use; /* in cache->used, the longest unused first */
    struct catalog_wait *wait;
    struct catalog_ready *ready; /* one of its holders */
    size_t bytes;
    size_t key_bytes;
    uint8_t key[];
};

struct catalog_cache {
    struct catalog_watch *watch;
    struct mu_table *entries;
    struct mu_link used;
    size_t bytes, bytes_max;
};

/* -- values ------------------------------------------------------------------------------------ */

void *catalog_ready_value(const struct catalog_ready *r)
{
    return r->value;
}

uint64_t catalog_ready_index(const struct catalog_ready *r)
{
    return r->index;
}

struct catalog_ready *catalog_ready_hold(struct catalog_ready *r)
{
    MU_ASSERT(r->holders > 0);
    r->holders++;
    return r;
}

void catalog_ready_release(struct catalog_ready *r)
{
    if (r == NULL) {
        return;
    }
    MU_ASSERT(r->holders > 0);
    if (--r->holders == 0) {
        r->release(r->value);
        mu_free(r);
    }
}

/* -- entries ----------------------------------------------------------------------------------- */

/* The wait is cancelled, or gone because it fired. */
static void drop(struct entry *e)
{
    struct catalog_cache *c = e->cache;

    catalog_watch_cancel(e->wait);
    mu_list_remove(&e->use);
    (void)mu_table_remove(c->entries, mu_span_of(e->key, e->key_bytes));
    c->bytes -= e->bytes;
    catalog_ready_release(e->ready);
    mu_free(e);
}

static void on_change(void *data)
{
    struct entry *e = data;

    e->wait = NULL;
    drop(e);
}

static struct entry *oldest(struct catalog_cache *c)
{
    return MU_CONTAINER(c->used.next, struct entry, use);
}

struct catalog_cache *catalog_cache_new(struct catalog_watch *watch, size_t bytes_max)
{
    struct catalog_cache *c = mu_new(sizeof *c);

    c->watch = watch;
    c->bytes_max = bytes_max;
    c->entries = mu_table_new();
    mu_list_init(&c->used);
    return c;
}

void catalog_cache_drop_all(struct catalog_cache *c)
{
    while (!mu_list_empty(&c->used)) {
        drop(oldest(c));
    }
}

void catalog_cache_free(struct catalog_cache *c)
{
    if (c == NULL) {
        return;
    }
    catalog_cache_drop_all(c);
    MU_ASSERT(c->bytes == 0 && mu_table_count(c->entries) == 0);
    mu_table_free(c->entries);
    mu_free(c);
}

struct catalog_ready *catalog_cache_find(struct catalog_cache *c, struct mu_span key)
{
    struct entry *e = mu_table_find(c->entries, key);

    if (e == NULL) {
        return NULL;
    }
    mu_list_remove(&e->use);
    mu_list_push_back(&c->used, &e->use);
    return catalog_ready_hold(e->ready);
}

static void keep(struct catalog_cache *c, struct mu_span key, const struct catalog_topic *topics,
                 size_t topics_count, struct catalog_ready *r, size_t bytes)
{
    struct entry *e = mu_new(sizeof *e + key.bytes);

    e->cache = c;
    e->ready = catalog_ready_hold(r);
    e->bytes = bytes;
    e->key_bytes = key.bytes;
    if (key.bytes > 0) {
        memcpy(e->key, key.data, key.bytes);
    }
    e->wait = catalog_watch_add(c->watch, topics, topics_count, on_change, e);
    catalog_watch_patient(e->wait);
    (void)mu_table_put(c->entries, key, e);
    mu_list_push_back(&c->used, &e->use);
    c->bytes += bytes;
}

struct catalog_ready *catalog_cache_put(struct catalog_cache *c, struct mu_span key,
                                        const struct catalog_topic *topics, size_t topics_count,
                                        void *value, size_t bytes, uint64_t index,
                                        catalog_release_fn *release)
{
    struct entry *old = mu_table_find(c->entries, key);
    struct catalog_ready *r = mu_new(sizeof *r);

    *r = (struct catalog_ready){ 1, value, index, release };
    if (old != NULL) {
        drop(old);
    }
    if (bytes > c->bytes_max) {
        return r;
    }
    while (c->bytes > c->bytes_max - bytes) {
        drop(oldest(c));
    }
    keep(c, key, topics, topics_count, r, bytes);
    return r;
}
