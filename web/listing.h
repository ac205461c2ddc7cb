/* listing.h - which rows of a result a request wants: its node metadata, tags, filter, passing.
 *
 * Read and judged once, before anything is asked of the catalog; kept in r->mine.
 */
#ifndef WEB_LISTING_H
#define WEB_LISTING_H

#include "catalog/query.h"
#include "filter.h"
#include "front.h"

struct listing {
    struct catalog_filter nodes; /* node-meta */
    struct mu_texts tags;        /* an instance has all of them, without case */
    bool passing;
    struct filter *filter; /* NULL: everything */
};

/* Read ?node-meta, ?tag, ?passing and ?filter into r->mine. `kind` NULL: no ?filter here. False:
 * something is wrong with them, and the request is answered. */
MU_MUST_CHECK bool listing_begin(struct request *r, const struct filter_kind *kind);

bool listing_has_meta(const struct request *r);
/* NULL when there is no ?node-meta: what the queries take. */
const struct catalog_filter *listing_nodes(const struct request *r);
/* Does the row that the filter sees as `object` belong to the answer? */
bool listing_wants(const struct request *r, const void *object);
bool listing_wants_instance(const struct request *r, const struct catalog_instance *i);

#endif
