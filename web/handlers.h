/* handlers.h - the functions behind the rows of routes.c, one file an area. Each answers its
 * request once, now or later; params are parsed, traits were applied.
 */
#ifndef WEB_HANDLERS_H
#define WEB_HANDLERS_H

#include "request.h"

struct front;

/* api_agent.c: this agent and its members */
void api_agent_self(struct request *r);
void api_agent_members(struct request *r);
void api_agent_join(struct request *r);
void api_agent_leave(struct request *r);
void api_agent_force_leave(struct request *r);
void api_agent_maintenance(struct request *r);

/* api_agent_service.c: what is registered here */
void api_agent_services(struct request *r);
void api_agent_service(struct request *r);
void api_agent_service_put(struct request *r);
void api_agent_service_drop(struct request *r);
void api_agent_metrics(struct request *r);
void api_agent_reload(struct request *r);
void api_agent_service_maintenance(struct request *r);

/* api_agent_check.c: checks of this agent, local health */
void api_agent_checks(struct request *r);
void api_agent_check_put(struct request *r);
void api_agent_check_drop(struct request *r);
void api_agent_check_pass(struct request *r);
void api_agent_check_warn(struct request *r);
void api_agent_check_fail(struct request *r);
void api_agent_check_update(struct request *r);
void api_agent_health_by_id(struct request *r);
void api_agent_health_by_name(struct request *r);

/* api_catalog.c */
void api_catalog_register(struct request *r);
void api_catalog_deregister(struct request *r);
void api_catalog_datacenters(struct request *r);
void api_catalog_nodes(struct request *r);
void api_catalog_services(struct request *r);
void api_catalog_service(struct request *r);
void api_catalog_node(struct request *r);
void api_catalog_node_services(struct request *r);

/* api_health.c */
void api_health_node(struct request *r);
void api_health_checks(struct request *r);
void api_health_state(struct request *r);
void api_health_service(struct request *r);

/* api_doctor.c */
void api_doctor(struct request *r);

/* api_explain.c */
void api_explain_node(struct request *r);

/* api_coordinate.c */
void api_coordinate_datacenters(struct request *r);
void api_coordinate_nodes(struct request *r);
void api_coordinate_node(struct request *r);
void api_coordinate_update(struct request *r);

/* api_kv.c */
void api_kv_get(struct request *r);
void api_kv_put(struct request *r);
void api_kv_delete(struct request *r);

/* api_session.c */
void api_session_create(struct request *r);
void api_session_destroy(struct request *r);
void api_session_renew(struct request *r);
void api_session_info(struct request *r);
void api_session_list(struct request *r);
void api_session_node(struct request *r);

/* api_snapshot.c: the state as an archive */
void api_snapshot_save(struct request *r);
void api_snapshot_restore(struct request *r);

/* api_keyring.c: gossip keys of all members */
void api_keyring_list(struct request *r);
void api_keyring_install(struct request *r);
void api_keyring_use(struct request *r);
void api_keyring_remove(struct request *r);

/* api_operator.c: the servers and the leader's care for them */
void api_operator_raft(struct request *r);
void api_operator_raft_remove(struct request *r);
void api_operator_raft_transfer(struct request *r);
void api_operator_scrub(struct request *r);
void api_operator_scrub_start(struct request *r);
void api_operator_autopilot(struct request *r);
void api_operator_autopilot_put(struct request *r);
void api_operator_health(struct request *r);
void api_operator_state(struct request *r);

/* api_recovery.c: a cluster that lost its quorum */
void api_recovery(struct request *r);
void api_recovery_begin(struct request *r);

/* api_gc.c: what is going to be forgotten */
void api_gc(struct request *r);
void api_gc_run(struct request *r);

/* api_monitor.c: the log as it goes on */
void api_agent_monitor(struct request *r);
void monitors_end(struct front *f); /* at the stop */

/* api_event.c */
void api_event_fire(struct request *r);
void api_event_list(struct request *r);

/* api_txn.c */
void api_txn(struct request *r);

/* api_status.c */
void api_status_leader(struct request *r);
void api_status_peers(struct request *r);

#endif
