/* dns_catalog.h - prepared rows from the catalog: the source that a server answers from.
 *
 * A service or node that exists is prepared when it is first asked for and kept in the catalog's
 * cache until the watch drops it. A name that does not exist leaves nothing behind, so that random
 * names cannot fill anything (spec/dns.md 22.3).
 *
 * Thread:  the loop's.
 * Memory:  reader, cache and watch are the agent's, borrowed.
 */
#ifndef WEB_DNS_CATALOG_H
#define WEB_DNS_CATALOG_H

#include "catalog/cache.h"
#include "catalog/query.h"
#include "catalog/watch.h"
#include "dns_answer.h"

struct dns_catalog; /* opaque */

/* `skipped` counts instances that no message can hold, as they are prepared. */
struct dns_catalog *dns_catalog_new(const struct dns_rules *rules, struct catalog_cache *cache,
                                    struct catalog_watch *watch, uint64_t *skipped);
void dns_catalog_free(struct dns_catalog *c); /* NULL is fine; no answer is being made */

/* The rows as `reader` sees them in this turn of the loop. */
const struct dns_source *dns_catalog_source(struct dns_catalog *c, struct catalog_reader *reader,
                                            uint64_t now_ms);

#endif
