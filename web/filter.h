/* filter.h - ?filter=: boolean expressions over the fields of what is listed (http-api 1.12).
 *
 * An expression is parsed once a request into a small tree, checked against the fields that the
 * listed kind of object has, and evaluated for each object. A selector that goes through a list of
 * objects matches when any element does.
 *
 * Memory:  the tree lives in the arena and refers to the text.
 * Errors:  MU_INVALID with the whole text of the 500: "Failed to create boolean expression
 *          evaluator: Selector "Foo" is not valid".
 */
#ifndef WEB_FILTER_H
#define WEB_FILTER_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

struct filter;      /* opaque: one parsed expression */
struct filter_kind; /* opaque: the fields of one kind of object */

/* `datacenter` and `node` (of this agent) are what fields of these names are compared with where
 * objects do not hold them. */
MU_MUST_CHECK enum mu_code filter_parse(struct filter **out, struct mu_span text,
                                        const struct filter_kind *kind, const char *datacenter,
                                        const char *node, struct mu_arena *arena,
                                        struct mu_err *err);
bool filter_matches(const struct filter *f, const void *object);

/* What can be listed, and what `object` points to. */
extern const struct filter_kind filter_nodes;          /* struct catalog_node */
extern const struct filter_kind filter_service_nodes;  /* struct catalog_instance */
extern const struct filter_kind filter_node_services;  /* struct catalog_service */
extern const struct filter_kind filter_checks;         /* struct catalog_check */
extern const struct filter_kind filter_health_entries; /* struct catalog_instance */
extern const struct filter_kind filter_agent_services; /* struct service_definition */
extern const struct filter_kind filter_agent_checks;   /* struct local_check */

#endif
