/* commands.h - the functions behind the rows of commands.c, one file each. */
#ifndef AGENT_CMD_COMMANDS_H
#define AGENT_CMD_COMMANDS_H

#include "cli.h"

struct config;

typedef int cli_run_fn(struct cli *cli, const void *options, int argc, const char *const *argv);

cli_run_fn cmd_agent, cmd_catalog_datacenters, cmd_catalog_nodes, cmd_catalog_services,
    cmd_consensus_inspect, cmd_consensus_recover, cmd_docs, cmd_doctor, cmd_event, cmd_exec,
    cmd_explain_node, cmd_force_leave, cmd_gc, cmd_info, cmd_join, cmd_keygen, cmd_keyring,
    cmd_keys_rotate, cmd_kv_delete, cmd_kv_export, cmd_kv_get, cmd_kv_import, cmd_kv_put, cmd_leave,
    cmd_lock, cmd_maint, cmd_members, cmd_monitor, cmd_operator_autopilot_get_config,
    cmd_operator_autopilot_set_config, cmd_rtt, cmd_operator_autopilot_state,
    cmd_operator_bootstrap_reset, cmd_operator_raft_list_peers, cmd_operator_raft_remove_peer,
    cmd_reload, cmd_operator_raft_transfer_leader, cmd_operator_scrub, cmd_serf, cmd_serf_same,
    cmd_services_deregister, cmd_services_register, cmd_snapshot_inspect, cmd_snapshot_restore,
    cmd_snapshot_save, cmd_validate, cmd_version, cmd_watch;

/* Until it ends; the status that the process exits with. */
int cmd_agent_run(struct cli *cli, struct config *config);

extern const struct cli_options cmd_catalog_nodes_options, cmd_catalog_services_options,
    cmd_consensus_inspect_options, cmd_consensus_recover_options, cmd_event_options,
    cmd_exec_options, cmd_operator_bootstrap_reset_options, cmd_force_leave_options, cmd_gc_options,
    cmd_join_options, cmd_maint_options, cmd_keyring_options, cmd_keys_rotate_options,
    cmd_kv_delete_options, cmd_kv_get_options, cmd_kv_import_options, cmd_kv_put_options,
    cmd_lock_options, cmd_members_options, cmd_monitor_options,
    cmd_operator_autopilot_set_config_options, cmd_operator_autopilot_state_options,
    cmd_operator_raft_remove_peer_options, cmd_operator_raft_transfer_leader_options,
    cmd_operator_scrub_options, cmd_services_deregister_options, cmd_services_register_options,
    cmd_validate_options, cmd_version_options, cmd_watch_options, cmd_rtt_options;

#endif
