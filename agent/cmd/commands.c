/* commands.c - every command, once, in the order of the list that `muster help` prints. A
 * row without a function is a group: its commands have its name as their first word. */
#include "commands.h"

#include "base/assert.h"

const struct cli_command cli_commands[] = {
    // clang-format off
    { .name = "agent", .run = cmd_agent, .arguments = "", .summary = "Run an agent", .reads_flags = true },
    { .name = "catalog", .summary = "Ask the catalog" },
    { .name = "catalog datacenters", .run = cmd_catalog_datacenters, .arguments = "", .summary = "List the datacenters", .asks_agent = true },
    { .name = "catalog nodes", .run = cmd_catalog_nodes, .arguments = "", .summary = "List the nodes", .options = &cmd_catalog_nodes_options, .asks_agent = true },
    { .name = "catalog services", .run = cmd_catalog_services, .arguments = "", .summary = "List the services", .options = &cmd_catalog_services_options, .asks_agent = true },
    { .name = "consensus", .summary = "Look at a stopped server's log, and recover from a lost quorum" },
    { .name = "consensus inspect", .run = cmd_consensus_inspect, .arguments = "", .summary = "Print what a stopped server holds", .options = &cmd_consensus_inspect_options },
    { .name = "consensus recover", .run = cmd_consensus_recover, .arguments = "", .summary = "Let a stopped server go on without the quorum it lost", .options = &cmd_consensus_recover_options },
    { .name = "docs", .run = cmd_docs, .arguments = "reference|example", .summary = "Print the reference page of the configuration, or an example", .is_hidden = true },
    { .name = "event", .run = cmd_event, .arguments = "[PAYLOAD]", .summary = "Send an event to all agents", .options = &cmd_event_options, .asks_agent = true },
    { .name = "force-leave", .run = cmd_force_leave, .arguments = "NODE", .summary = "Turn a failed member into one that left", .options = &cmd_force_leave_options, .asks_agent = true },
    { .name = "info", .run = cmd_info, .arguments = "", .summary = "Print figures of the agent", .asks_agent = true },
    { .name = "join", .run = cmd_join, .arguments = "ADDRESS...", .summary = "Tell the agent to join a cluster", .options = &cmd_join_options, .asks_agent = true },
    { .name = "keygen", .run = cmd_keygen, .arguments = "", .summary = "Make a key for encrypt" },
    { .name = "keyring", .run = cmd_keyring, .arguments = "", .summary = "Change and list the gossip keys of all members", .options = &cmd_keyring_options, .asks_agent = true },
    { .name = "kv", .summary = "Read and write the key-value store" },
    { .name = "kv delete", .run = cmd_kv_delete, .arguments = "KEY", .summary = "Remove a key, or all below a prefix", .options = &cmd_kv_delete_options, .asks_agent = true },
    { .name = "kv get", .run = cmd_kv_get, .arguments = "[KEY]", .summary = "Print a value, or a list of keys", .options = &cmd_kv_get_options, .asks_agent = true },
    { .name = "kv put", .run = cmd_kv_put, .arguments = "KEY [DATA]", .summary = "Store a value", .options = &cmd_kv_put_options, .asks_agent = true },
    { .name = "leave", .run = cmd_leave, .arguments = "", .summary = "Let the agent leave the cluster and end", .asks_agent = true },
    { .name = "members", .run = cmd_members, .arguments = "", .summary = "List the members of the cluster", .options = &cmd_members_options, .asks_agent = true },
    { .name = "operator", .summary = "See and change the cluster's servers" },
    { .name = "operator autopilot", .summary = "The leader's care for the servers" },
    { .name = "operator autopilot get-config", .run = cmd_operator_autopilot_get_config, .arguments = "", .summary = "Print how the leader cares for the servers", .asks_agent = true },
    { .name = "operator autopilot set-config", .run = cmd_operator_autopilot_set_config, .arguments = "", .summary = "Change how the leader cares for the servers", .options = &cmd_operator_autopilot_set_config_options, .asks_agent = true },
    { .name = "operator autopilot state", .run = cmd_operator_autopilot_state, .arguments = "", .summary = "Print the servers' health", .options = &cmd_operator_autopilot_state_options, .asks_agent = true },
    { .name = "operator bootstrap-reset", .run = cmd_operator_bootstrap_reset, .arguments = "", .summary = "Free a stopped server of a promise that nobody will decide", .options = &cmd_operator_bootstrap_reset_options },
    { .name = "operator raft", .summary = "The servers that agree by consensus" },
    { .name = "operator raft list-peers", .run = cmd_operator_raft_list_peers, .arguments = "", .summary = "List the servers of the configuration", .asks_agent = true },
    { .name = "operator raft recover", .run = cmd_consensus_recover, .arguments = "", .summary = "The same as consensus recover", .options = &cmd_consensus_recover_options },
    { .name = "operator raft remove-peer", .run = cmd_operator_raft_remove_peer, .arguments = "", .summary = "Remove a server from the configuration", .options = &cmd_operator_raft_remove_peer_options, .asks_agent = true },
    { .name = "operator raft transfer-leader", .run = cmd_operator_raft_transfer_leader, .arguments = "", .summary = "Let another server lead", .options = &cmd_operator_raft_transfer_leader_options, .asks_agent = true },
    { .name = "recover", .run = cmd_consensus_recover, .arguments = "", .summary = "The same as consensus recover", .options = &cmd_consensus_recover_options },
    { .name = "rtt", .run = cmd_rtt, .arguments = "NODE1 [NODE2]", .summary = "Estimate the round trip time between two nodes", .options = &cmd_rtt_options, .asks_agent = true },
    { .name = "services", .summary = "Register services with the agent" },
    { .name = "services deregister", .run = cmd_services_deregister, .arguments = "[FILE...]", .summary = "Deregister services of the agent", .options = &cmd_services_deregister_options, .asks_agent = true },
    { .name = "services register", .run = cmd_services_register, .arguments = "[FILE...]", .summary = "Register services with the agent", .options = &cmd_services_register_options, .asks_agent = true },
    { .name = "snapshot", .summary = "Save the state of the servers to a file, look at one, restore it" },
    { .name = "snapshot inspect", .run = cmd_snapshot_inspect, .arguments = "FILE", .summary = "Check a file that was saved, and print what is in it" },
    { .name = "snapshot restore", .run = cmd_snapshot_restore, .arguments = "FILE", .summary = "Make a file that was saved the state of the servers", .asks_agent = true },
    { .name = "snapshot save", .run = cmd_snapshot_save, .arguments = "FILE", .summary = "Save the state of the servers to a file", .asks_agent = true },
    { .name = "validate", .run = cmd_validate, .arguments = "FILE_OR_DIRECTORY...", .summary = "Check configuration files", .options = &cmd_validate_options },
    { .name = "version", .run = cmd_version, .arguments = "", .summary = "Print the version", .options = &cmd_version_options },
}; // clang-format on

const size_t cli_commands_count = MU_LEN(cli_commands);
