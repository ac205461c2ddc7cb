/* near.h - rows in the order of their distance from a node: ?near= (http-api 1.12).
 *
 * The distance is the estimated round trip time between the coordinates that the catalog holds. A
 * source that is not known, or is nowhere, sorts nothing; rows that are nowhere come last; rows
 * that are equally far stay in the order they came in.
 */
#ifndef WEB_NEAR_H
#define WEB_NEAR_H

#include "front.h"

/* What ?near= names, `_agent` resolved; empty without it. */
struct mu_span near_source(const struct request *r);

/* Sort when ?near= asks for it. */
MU_MUST_CHECK enum mu_code near_sort_nodes(struct request *r, const struct agent_view *view,
                                           struct catalog_nodes *nodes, struct mu_err *err);
MU_MUST_CHECK enum mu_code near_sort_instances(struct request *r, const struct agent_view *view,
                                               struct catalog_instances *instances,
                                               struct mu_err *err);
MU_MUST_CHECK enum mu_code near_sort_checks(struct request *r, const struct agent_view *view,
                                            struct catalog_checks *checks, struct mu_err *err);

#endif
