/* Every HTTP endpoint, once. Rows of one path stand together: their order is that of Allow. */
#include "base/assert.h"
#include "handlers.h"
#include "route.h"

#define GET    WEB_GET
#define PUT    WEB_PUT
#define POST   WEB_POST
#define DELETE WEB_DELETE

#define LOCAL    (ROUTE_LOCAL)
#define LOCAL_NS (ROUTE_LOCAL | ROUTE_TENANT)
#define READ     (ROUTE_READS | ROUTE_BLOCKS | ROUTE_TENANT)
#define FIND     (READ | ROUTE_DISCOVERS)
#define CACHED   (FIND | ROUTE_CACHED)
#define OPERATOR (ROUTE_READS | ROUTE_LEADER)
#define CLUSTER  (0U) /* of all members, any server asks them; or of the server that is asked */
#define WRITE    (ROUTE_WRITES | ROUTE_TENANT)

const struct web_route web_routes[] = {
    // clang-format off
    /* method, path, traits, permission, handler, summary */
    { GET, "/v1/agent/self", LOCAL, ACL_AGENT_READ, api_agent_self, "Configuration, member and statistics of this agent" },
    { GET, "/v1/agent/monitor", LOCAL, ACL_AGENT_READ, api_agent_monitor, "The log of this agent as it goes on" },
    { GET, "/v1/agent/metrics", LOCAL, ACL_AGENT_READ, api_agent_metrics, "Figures of this agent, also as Prometheus reads them" },
    { GET, "/v1/agent/members", LOCAL, ACL_NODE_READ, api_agent_members, "Members of the cluster as gossip knows them" },
    { GET, "/v1/agent/links", LOCAL, ACL_OPERATOR_READ, api_doctor, "What is wrong between members and with them, by what all of them see" },
    { GET, "/v1/agent/explain/node/:node", LOCAL, ACL_NODE_READ, api_explain_node, "Why a node is held what it is, by what all members see" },
    { PUT, "/v1/agent/join/:address", LOCAL, ACL_AGENT_WRITE, api_agent_join, "Join the cluster of an address" },
    { PUT, "/v1/agent/leave", LOCAL, ACL_AGENT_WRITE, api_agent_leave, "Leave the cluster and end" },
    { PUT, "/v1/agent/force-leave/:node", LOCAL, ACL_OPERATOR_WRITE, api_agent_force_leave, "Turn a failed member into one that left" },
    { PUT, "/v1/agent/reload", LOCAL, ACL_AGENT_WRITE, api_agent_reload, "Read the configuration again" },
    { PUT, "/v1/agent/maintenance", LOCAL, ACL_NODE_WRITE, api_agent_maintenance, "Maintenance mode of this node" },
    { GET, "/v1/agent/services", LOCAL_NS, ACL_SERVICE_READ, api_agent_services, "Services registered with this agent" },
    { GET, "/v1/agent/service/:id", LOCAL_NS | ROUTE_BLOCKS, ACL_SERVICE_READ, api_agent_service, "One service of this agent with its hash" },
    { PUT, "/v1/agent/service/register", LOCAL_NS, ACL_SERVICE_WRITE, api_agent_service_put, "Register a service with this agent" },
    { PUT, "/v1/agent/service/deregister/:id", LOCAL_NS, ACL_SERVICE_WRITE, api_agent_service_drop, "Deregister a service of this agent" },
    { PUT, "/v1/agent/service/maintenance/:id", LOCAL_NS, ACL_SERVICE_WRITE, api_agent_service_maintenance, "Maintenance mode of a service" },
    { GET, "/v1/agent/checks", LOCAL_NS, ACL_NODE_READ, api_agent_checks, "Checks registered with this agent" },
    { PUT, "/v1/agent/check/register", LOCAL_NS, ACL_NODE_WRITE, api_agent_check_put, "Register a check with this agent" },
    { PUT, "/v1/agent/check/deregister/:id", LOCAL_NS, ACL_NODE_WRITE, api_agent_check_drop, "Deregister a check of this agent" },
    { PUT, "/v1/agent/check/pass/:id", LOCAL_NS, ACL_NODE_WRITE, api_agent_check_pass, "Pass a TTL check" },
    { PUT, "/v1/agent/check/warn/:id", LOCAL_NS, ACL_NODE_WRITE, api_agent_check_warn, "Set a TTL check to warning" },
    { PUT, "/v1/agent/check/fail/:id", LOCAL_NS, ACL_NODE_WRITE, api_agent_check_fail, "Fail a TTL check" },
    { PUT, "/v1/agent/check/update/:id", LOCAL_NS, ACL_NODE_WRITE, api_agent_check_update, "Status and output of a TTL check" },
    { GET, "/v1/agent/health/service/id/:id", LOCAL_NS, ACL_SERVICE_READ, api_agent_health_by_id, "Aggregated health of an instance on this agent" },
    { GET, "/v1/agent/health/service/name/:name", LOCAL_NS, ACL_SERVICE_READ, api_agent_health_by_name, "Aggregated health of a service on this agent" },

    { PUT, "/v1/catalog/register", WRITE, ACL_NODE_WRITE, api_catalog_register, "Register a node, a service or checks" },
    { PUT, "/v1/catalog/deregister", WRITE, ACL_NODE_WRITE, api_catalog_deregister, "Deregister a node, a service or a check" },
    { GET, "/v1/catalog/datacenters", LOCAL, ACL_NONE, api_catalog_datacenters, "Known datacenters, the own one first" },
    { GET, "/v1/catalog/nodes", FIND, ACL_NODE_READ, api_catalog_nodes, "All nodes" },
    { GET, "/v1/catalog/services", CACHED, ACL_SERVICE_READ, api_catalog_services, "Service names and their tags" },
    { GET, "/v1/catalog/service/:service", CACHED, ACL_SERVICE_READ, api_catalog_service, "Instances of a service" },
    { GET, "/v1/catalog/node/:node", FIND, ACL_NODE_READ, api_catalog_node, "A node and its services by id" },
    { GET, "/v1/catalog/node-services/:node", FIND, ACL_NODE_READ, api_catalog_node_services, "A node and a list of its services" },

    { GET, "/v1/health/node/:node", FIND, ACL_NODE_READ, api_health_node, "Checks of a node" },
    { GET, "/v1/health/checks/:service", FIND, ACL_SERVICE_READ, api_health_checks, "Checks of a service" },
    { GET, "/v1/health/state/:state", FIND, ACL_NODE_READ, api_health_state, "Checks in a state" },
    { GET, "/v1/health/service/:service", CACHED, ACL_SERVICE_READ, api_health_service, "Instances of a service with node and checks" },

    { GET, "/v1/kv/*key", READ, ACL_KEY_READ, api_kv_get, "A value, or what lies below a prefix" },
    { PUT, "/v1/kv/*key", WRITE | ROUTE_VALUE, ACL_KEY_WRITE, api_kv_put, "Store a value" },
    { DELETE, "/v1/kv/*key", WRITE, ACL_KEY_WRITE, api_kv_delete, "Delete a key, or what lies below a prefix" },

    { PUT, "/v1/session/create", WRITE, ACL_SESSION_WRITE, api_session_create, "Create a session" },
    { PUT, "/v1/session/destroy/:id", WRITE, ACL_SESSION_WRITE, api_session_destroy, "End a session" },
    { PUT, "/v1/session/renew/:id", WRITE, ACL_SESSION_WRITE, api_session_renew, "Give a session its full time again" },
    { GET, "/v1/session/info/:id", READ, ACL_SESSION_READ, api_session_info, "One session" },
    { GET, "/v1/session/list", READ, ACL_SESSION_READ, api_session_list, "All sessions" },
    { GET, "/v1/session/node/:node", READ, ACL_SESSION_READ, api_session_node, "Sessions of a node" },
    { GET, "/v1/operator/keyring", CLUSTER, ACL_KEYRING_READ, api_keyring_list, "Gossip keys and how many members have them" },
    { POST, "/v1/operator/keyring", CLUSTER, ACL_KEYRING_WRITE, api_keyring_install, "Install a gossip key on all members" },
    { PUT, "/v1/operator/keyring", CLUSTER, ACL_KEYRING_WRITE, api_keyring_use, "Make a gossip key the primary one" },
    { DELETE, "/v1/operator/keyring", CLUSTER, ACL_KEYRING_WRITE, api_keyring_remove, "Remove a gossip key from all members" },
    { GET, "/v1/operator/raft/configuration", OPERATOR, ACL_OPERATOR_READ, api_operator_raft, "Servers of the consensus configuration" },
    { DELETE, "/v1/operator/raft/peer", ROUTE_WRITES | ROUTE_LEADER, ACL_OPERATOR_WRITE, api_operator_raft_remove, "Remove a server from the consensus configuration" },
    { PUT, "/v1/operator/raft/transfer-leader", ROUTE_WRITES | ROUTE_LEADER, ACL_OPERATOR_WRITE, api_operator_raft_transfer, "Let another server lead" },
    { POST, "/v1/operator/raft/transfer-leader", ROUTE_WRITES | ROUTE_LEADER, ACL_OPERATOR_WRITE, api_operator_raft_transfer, "Let another server lead" },
    { GET, "/v1/operator/scrub", CLUSTER, ACL_OPERATOR_READ, api_operator_scrub, "When this server read its state and log again, and what it found" },
    { PUT, "/v1/operator/scrub", CLUSTER, ACL_OPERATOR_WRITE, api_operator_scrub_start, "Let this server read its state and log again now" },
    { GET, "/v1/operator/recovery", LOCAL, ACL_OPERATOR_READ, api_recovery, "What the servers of a cluster without a quorum hold, and which of them can go on" },
    { PUT, "/v1/operator/recovery", LOCAL, ACL_OPERATOR_WRITE, api_recovery_begin, "Let one of them go on without the others" },
    { GET, "/v1/operator/gc", OPERATOR, ACL_OPERATOR_READ, api_gc, "What is going to be forgotten, when and by which rule" },
    { PUT, "/v1/operator/gc", ROUTE_WRITES | ROUTE_LEADER, ACL_OPERATOR_WRITE, api_gc_run, "Forget it now" },
    { GET, "/v1/operator/autopilot/configuration", ROUTE_READS, ACL_OPERATOR_READ, api_operator_autopilot, "How the leader cares for the servers" },
    { PUT, "/v1/operator/autopilot/configuration", ROUTE_WRITES, ACL_OPERATOR_WRITE, api_operator_autopilot_put, "Change how the leader cares for the servers" },
    { GET, "/v1/operator/autopilot/health", OPERATOR, ACL_OPERATOR_READ, api_operator_health, "Health of the servers, 429 unless all are" },
    { GET, "/v1/operator/autopilot/state", OPERATOR, ACL_OPERATOR_READ, api_operator_state, "Servers by id with their health and role" },

    { GET, "/v1/snapshot", ROUTE_READS | ROUTE_ARCHIVE, ACL_ACL_WRITE, api_snapshot_save, "The state of the servers as an archive" },
    { PUT, "/v1/snapshot", ROUTE_WRITES | ROUTE_ARCHIVE, ACL_ACL_WRITE, api_snapshot_restore, "Make an archive the state of the servers" },

    { PUT, "/v1/event/fire/:name", LOCAL, ACL_EVENT_WRITE, api_event_fire, "Send an event to all agents" },
    { GET, "/v1/event/list", LOCAL | ROUTE_BLOCKS, ACL_EVENT_READ, api_event_list, "The last events this agent heard and is meant by" },

    { PUT, "/v1/txn", WRITE | ROUTE_READS | ROUTE_TXN, ACL_KEY_WRITE, api_txn, "Operations on keys and the catalog, all or none" },

    { GET, "/v1/coordinate/datacenters", 0, ACL_NONE, api_coordinate_datacenters, "Coordinates of the servers of each datacenter" },
    { GET, "/v1/coordinate/nodes", ROUTE_READS | ROUTE_BLOCKS, ACL_NODE_READ, api_coordinate_nodes, "Coordinates of all nodes" },
    { GET, "/v1/coordinate/node/:node", ROUTE_READS | ROUTE_BLOCKS, ACL_NODE_READ, api_coordinate_node, "Coordinates of a node" },
    { PUT, "/v1/coordinate/update", ROUTE_WRITES | ROUTE_LEADER, ACL_NODE_WRITE, api_coordinate_update, "Where a node is" },

    { GET, "/v1/status/leader", 0, ACL_NONE, api_status_leader, "Address of the leader" },
    { GET, "/v1/status/peers", 0, ACL_NONE, api_status_peers, "Addresses of the consensus peers" },
}; // clang-format on

const size_t web_routes_count = MU_LEN(web_routes);
_Static_assert(MU_LEN(web_routes) <= ROUTES_MAX, "the table of shapes holds all rows");
