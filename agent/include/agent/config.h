/* config.h - what the operator said: files and flags, merged and checked, as one struct.
 *
 * Every key of spec/agent-behaviour.md 2.2 is one row of the table in agent/config.c: it works, is
 * accepted without effect yet (one warning), or is refused by name where silence would be unsafe.
 * The reference page and deploy/example.json are printed from the same rows.
 *
 * Thread:  the loop's; read-only after loading.
 * Memory:  all strings live in the config's arena and die with config_free().
 * Errors:  MU_INVALID with the sentence that stands behind "==> " (agent-behaviour 1.1, 2.1).
 */
#ifndef AGENT_CONFIG_H
#define AGENT_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/definition.h"
#include "agent/watch.h"
#include "base/addr.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"

struct config_ports { /* -1: off. `*_given`: configured, so that a taken port is fatal */
    int dns, http, https, grpc, serf_lan, serf_wan, server, serf_rpc, etcd;
    bool serf_rpc_given, etcd_given;
};

struct config_gossip {
    int64_t gossip_ms, probe_ms, probe_timeout_ms;
    int64_t gossip_nodes, suspicion_mult, retransmit_mult;
    int64_t suspicion_max_mult, indirect_checks, awareness_max;
    int64_t push_pull_ms, stream_ms, gossip_to_dead_ms, reclaim_ms, packet_bytes;
};

struct config_service_ttl { /* dns_config.service_ttl: key (folded, may end in *), seconds */
    const char *key;
    uint32_t seconds;
};

struct config_dns {
    bool allow_stale, only_passing, enable_truncate, disable_compression, node_meta_txt;
    int64_t max_stale_ms;
    uint32_t node_ttl_s;
    struct config_service_ttl *service_ttl;
    size_t service_ttl_count;
    int64_t udp_answer_limit, a_record_limit;
    uint32_t soa_refresh, soa_retry, soa_expire, soa_min_ttl;
    uint32_t udp_payload_max, ent_negative_ttl; /* bytes; seconds */
};

struct config_watch {
    struct watch_plan plan; /* checked */
    const char *token;      /* NULL: none */
    const char **args;      /* NULL-ended; a handler in one text is one for the shell */
    /* instead of a program; url NULL: none */
    const char *url, *method;
    struct mu_multi headers;
    uint64_t timeout_ms;
};

struct config;
/* Arguments and what they name, once more or for the first time. */
typedef enum mu_code config_load_fn(struct config **out, int argc, const char *const *argv,
                                    bool *wants_help, struct mu_err *err);

struct config {
    struct mu_arena arena;

    /* identity */
    const char *node_name, *datacenter;
    const char *node_id; /* NULL: from the data directory, else random */
    struct mu_pairs node_meta, tagged_addresses;
    const char *data_dir; /* NULL only with is_dev: a temporary one is made and removed */
    bool is_dev, is_server, is_bootstrap;
    int64_t bootstrap_expect;

    /* addresses: literals after templates were expanded; several are space-separated in the file */
    struct mu_addr bind_addr;                              /* port 0 */
    struct mu_addr advertise_addr, advertise_addr_wan;     /* ip_bytes 0: to be chosen */
    struct mu_addr serf_lan_bind;                          /* ip_bytes 0: bind_addr */
    struct mu_addr *client_addrs, *dns_addrs, *http_addrs; /* without ports */
    struct mu_addr *serf_rpc_addrs;
    size_t client_addrs_count, dns_addrs_count, http_addrs_count, serf_rpc_addrs_count;
    const char **http_sockets; /* paths of unix:// entries of addresses.http */
    size_t http_sockets_count;
    struct config_ports ports;

    /* joining */
    struct mu_net *gossip_networks; /* serf_lan_allowed_cidrs; none: all */
    size_t gossip_networks_count;
    const char **retry_join; /* start_join and retry_join together */
    size_t retry_join_count;
    int64_t retry_interval_ms, retry_max;
    const char *encrypt; /* base64; NULL: none */
    bool encrypt_verify_incoming, encrypt_verify_outgoing, disable_keyring_file;
    const char *discover; /* cluster name for multicast DNS; NULL: off */
    struct {
        const char *interface; /* NULL: by bind_addr */
        bool disable_ipv4, disable_ipv6;
    } mdns;
    bool rejoin_after_leave, leave_on_terminate, skip_leave_on_interrupt;
    int64_t reconnect_timeout_ms;
    int64_t advertise_reconnect_ms; /* of this node, on all others; 0: theirs counts */
    struct config_gossip gossip_lan;

    /* behaviour */
    struct {
        int64_t remove_failed_after_ms, pause_max_ms, absent_after_ms;
    } reconcile;
    struct { /* what the first leader sets; afterwards `operator autopilot set-config` does */
        bool cleanup_dead_servers;
        int64_t last_contact_ms, stabilization_ms, max_trailing_logs, min_quorum;
    } autopilot;
    int64_t raft_multiplier, raft_trailing_logs;
    int64_t command_level_max; /* 0: what the version knows */
    int64_t write_poll_us;
    struct {
        int64_t interval_ms; /* 0: only when asked for */
        int64_t bytes_per_second;
    } scrub;
    bool has_read_leases;
    int64_t leave_drain_ms, rpc_hold_ms;
    int64_t http_max_conns_per_client, kv_max_value_size, txn_max_req_len;
    int64_t default_query_ms, max_query_ms;
    int64_t session_ttl_min_ms;
    int64_t sync_coordinate_ms;
    bool disable_coordinates;
    int64_t check_update_interval_ms, check_output_max_size;
    bool discard_check_output;
    int64_t discovery_max_stale_ms;
    const char *domain;       /* lower case, without the last dot: "consul" */
    const char **alt_domains; /* likewise; default: "muster" */
    size_t alt_domains_count;
    struct config_dns dns;
    struct {
        const char *auth; /* what clients of Serf's control port must know; NULL: nothing */
        bool addr16;
    } serf_rpc;
    /* `serf agent`: gossip and the serf command's port; no catalog, no HTTP, no DNS. */
    struct {
        bool is_on;
        bool has_no_vote;         /* of two living nodes of one name both stay */
        bool wants_plain_names;   /* of itself and of others: config_is_plain_name() */
        bool has_no_compression;  /* shown, and nothing else: packets are small anyway */
        struct mu_pairs tags;     /* all that this node has */
        const char *profile;      /* "lan", "wan", "local" */
        const char *keyring_file; /* NULL: in the data directory */
        const char *snapshot;     /* as Serf is told: its own file; NULL: nothing is kept */
        const char *rpc_path;     /* of a unix socket instead of serf_rpc_addrs; NULL: none */
        const char *tags_file;    /* NULL: tags set at run time are gone with the process */
        uint16_t advertise_port;  /* 0: that of bind */
        bool replays;             /* the first join delivers events that were sent before it */
        const char **start_join;  /* one try, before the log is shown */
        size_t start_join_count;
        unsigned event_bytes, query_bytes, response_bytes;        /* limits; 0: the protocol's */
        int64_t broadcast_timeout_ms, reconnect_ms, tombstone_ms; /* 0: the profile's */
    } serf;
    const char **event_handlers; /* as handler_rule.h reads them; checked */
    size_t event_handlers_count;
    int64_t event_handler_timeout_ms;
    bool event_handler_damping;
    bool disable_remote_exec;
    struct config_watch *watches;
    size_t watches_count;
    struct mu_pairs response_headers;
    const char **block_endpoints;
    size_t block_endpoints_count;
    bool disable_unprintable_filter;

    /* logs */
    enum mu_log_level log_level;
    bool log_json;
    const char *log_file, *pid_file;
    bool is_realtime;
    bool enable_syslog;
    const char *syslog_facility;
    const char *metrics_prefix;
    const char *statsd_address, *statsite_address; /* "host:port"; NULL: none */
    int64_t prometheus_retention_ms;               /* 0: metrics are not offered to Prometheus */

    /* definitions from files, checked (agent-behaviour 2.3) */
    struct service_definition *services;
    size_t services_count;
    struct check_definition *checks; /* stand-alone */
    size_t checks_count;

    const char **warnings; /* to be logged once the agent runs */
    size_t warnings_count;

    /* reloading */
    int argc; /* what config_load() was given, borrowed */
    const char *const *argv;
    config_load_fn *again;  /* reads them; NULL: config_load() */
    struct config *adopted; /* holds the memory of what a reload changed; NULL: none did */
};

/* From the arguments behind `agent`: flags, and the files they name, in the order given. On
 * success `out` is complete and valid. `wants_help` is set when -h was among them (then nothing
 * else is). */
MU_MUST_CHECK enum mu_code config_load(struct config **out, int argc, const char *const *argv,
                                       bool *wants_help, struct mu_err *err);
/* As `serf agent`: `json` is what its own options come to, as a fragment of ours. The caller sets
 * argc, argv and again. */
MU_MUST_CHECK enum mu_code config_load_serf(struct config **out, const char *json,
                                            struct mu_err *err);
void config_free(struct config *c); /* NULL is fine */
/* Letters, digits, '-' and '.' (validate_node_names of spec/serf-surface.md 3). */
bool config_is_plain_name(const char *name);

/* The sources of `c` once more: arguments and files as they are now. On any thread; of `c` only
 * argc and argv are read, which nothing changes. */
MU_MUST_CHECK enum mu_code config_load_again(struct config **out, const struct config *c,
                                             struct mu_err *err);
/* The keys whose values differ and which only a restart applies, separated by ", ". */
void config_needs_restart(const struct config *c, const struct config *fresh, struct mu_buf *to);
/* `c` takes over what a reload applies; `fresh` is given and lives as long as nothing newer is
 * adopted. What was borrowed of services, checks, watches and event handlers must be let go by
 * then. */
void config_adopt(struct config *c, struct config *fresh);

/* The services that a file or the files of a directory define, for registering them by hand. */
MU_MUST_CHECK enum mu_code config_services(const char *path, struct mu_arena *arena,
                                           struct service_definition **out, size_t *count,
                                           struct mu_err *err);

/* The flags of `agent` with their help, from the table. */
void config_print_flags(struct mu_buf *to);
/* deploy/docs/configuration.md and deploy/example.json, from the table. */
void config_print_reference(struct mu_buf *to);
void config_print_example(struct mu_buf *to);

#endif
