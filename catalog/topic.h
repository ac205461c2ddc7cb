/* topic.h - a topic as bytes: one of its kind, then its name as the catalog compares it. */
#ifndef CATALOG_TOPIC_H
#define CATALOG_TOPIC_H

#include "base/buf.h"
#include "catalog/watch.h"

/* Append the bytes of a topic; names are folded where the catalog folds them, and left out for the
 * kinds without one. */
void catalog__topic_write(struct mu_buf *to, enum catalog_topic_kind kind, struct mu_span name);

#endif
