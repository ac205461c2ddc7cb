/* cache.h - answers that are built once per change instead of once per request.
 *
 * A value is whatever its maker made of rows: JSON bytes, prepared DNS records. It is kept under a
 * key and dropped by the watch as soon as one of its topics changes; the next request makes it
 * anew. Least recently used values leave when the bound of bytes is reached.
 *
 * Thread:  the loop.
 * Memory:  values are shared by reference count, since several sends may hold one while it is
 *          already dropped. `release` ends a value when the last holder lets go.
 */
#ifndef CATALOG_CACHE_H
#define CATALOG_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "catalog/watch.h"

struct catalog_cache; /* opaque */
struct catalog_ready; /* opaque: one value */

typedef void catalog_release_fn(void *value);

struct catalog_cache *catalog_cache_new(struct catalog_watch *watch, size_t bytes_max);
void catalog_cache_free(struct catalog_cache *c); /* values still held live on until released */

/* The value under `key`, held for the caller; NULL when it must be made. */
struct catalog_ready *catalog_cache_find(struct catalog_cache *c, struct mu_span key);

/* Keep a value under `key` until one of `topics` changes; returns it held for the caller. `value`
 * is given. `bytes` is what it counts for; one larger than the bound is returned but not kept. */
struct catalog_ready *catalog_cache_put(struct catalog_cache *c, struct mu_span key,
                                        const struct catalog_topic *topics, size_t topics_count,
                                        void *value, size_t bytes, uint64_t index,
                                        catalog_release_fn *release);

void *catalog_ready_value(const struct catalog_ready *r);
uint64_t catalog_ready_index(const struct catalog_ready *r); /* as given to put */
struct catalog_ready *catalog_ready_hold(struct catalog_ready *r);
void catalog_ready_release(struct catalog_ready *r); /* NULL is fine */
void catalog_cache_drop_all(struct catalog_cache *c);

#endif
