/* objects.h - the objects of the API as JSON: members, order, null against [] against {}
 * (http-api 2).
 *
 * Each writes one value. Rows come from the catalog, definitions from the agent; the datacenter is
 * no part of a row.
 */
#ifndef WEB_OBJECTS_H
#define WEB_OBJECTS_H

#include "agent/agent.h"
#include "base/json.h"
#include "catalog/query.h"

void objects_node(struct mu_json_out *o, const struct catalog_node *n, const char *datacenter);
/* catalog/service: an instance and its node in one flat object. */
void objects_service_node(struct mu_json_out *o, const struct catalog_instance *i,
                          const char *datacenter);
void objects_node_service(struct mu_json_out *o, const struct catalog_service *s);
/* The same inside of a transaction: no tags are null there. */
void objects_txn_service(struct mu_json_out *o, const struct catalog_service *s);
void objects_check(struct mu_json_out *o, const struct catalog_check *c);
/* health/service: { Node, Service, Checks }. */
void objects_health_entry(struct mu_json_out *o, const struct catalog_instance *i,
                          const char *datacenter);
void objects_session(struct mu_json_out *o, const struct catalog_session *s);
void objects_kv(struct mu_json_out *o, const struct catalog_kv *kv);

/* The agent's own. `hash`: the ContentHash member, NULL leaves it out. */
void objects_agent_service(struct mu_json_out *o, const struct service_definition *d,
                           const char *datacenter, const char *hash);
void objects_agent_check(struct mu_json_out *o, const struct local_check *c, const char *node);
/* The same inside agent/health: no type, and the definition spelled out (http-api 3.5). */
void objects_health_check(struct mu_json_out *o, const struct local_check *c, const char *node);
void objects_member(struct mu_json_out *o, const struct agent_member *m);

/* Parts. */
void objects_id(struct mu_json_out *o, const char *name, const struct mu_id *id); /* none: "" */
void objects_texts(struct mu_json_out *o, const char *name, const struct mu_texts *t);
void objects_pairs(struct mu_json_out *o, const char *name, const struct mu_pairs *p);

#endif
