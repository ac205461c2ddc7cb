/* tags.h - what the simulator of gossip does not offer: whole sets of tags, and ids that are given.
 *
 * On the other side of this header stand the private structs of gossip's simulator; their names
 * meet those of consensus' simulator, so no file may see both.
 */
#ifndef SIM_CLUSTER_TAGS_H
#define SIM_CLUSTER_TAGS_H

#include "base/id.h"
#include "base/json.h"
#include "gossip/world.h"

void tags_set(struct world *w, size_t node, const struct mu_pairs *tags); /* it runs */
void tags_identity(struct world *w, size_t node, const struct mu_id *id); /* before its start */
struct mu_id tags_identity_now(const struct world *w, size_t node);

#endif
