/* config_table.c - every option, once.
 *
 * The order is that of the reference page: general ones, then group by group. Fields are named:
 * nobody should count commas. What is not named is zero: no flag, works, kept nowhere, no bounds.
 */
#include "config_table.h"

#include "base/assert.h"
#include "base/limits.h"

#define AT(member)  .to = offsetof(struct config_draft, member)
#define AT_LEAST(n) .min = (n), .max = INT64_MAX

#define TEXT    .type = CONFIG_TEXT
#define BOOL    .type = CONFIG_BOOL
#define INT     .type = CONFIG_INT
#define U32     .type = CONFIG_U32
#define PORT    .type = CONFIG_PORT
#define MS      .type = CONFIG_MS
#define SECONDS .type = CONFIG_SECONDS
#define TEXTS   .type = CONFIG_TEXTS
#define PAIRS   .type = CONFIG_PAIRS
#define ANY     .type = CONFIG_ANY

#define LIVE .reloads = true

#define LATER      .effect = CONFIG_LATER
#define SILENT     .effect = CONFIG_SILENT
#define ENTERPRISE .effect = CONFIG_ENTERPRISE
#define UNSAFE     .effect = CONFIG_UNSAFE

#define S(n)    ((n)*1000LL)
#define MIN(n)  ((n)*60000LL)
#define HOUR(n) ((n)*3600000LL)

/* tls.defaults, tls.internal_rpc, tls.https and tls.grpc hold the same names. */
// clang-format off
#define TLS_GROUP(group) \
    { .key = group ".ca_file", TEXT, UNSAFE, .help = "As ca_file, for these connections." }, \
    { .key = group ".ca_path", TEXT, UNSAFE, .help = "As ca_path, for these connections." }, \
    { .key = group ".cert_file", TEXT, UNSAFE, .help = "As cert_file, for these connections." }, \
    { .key = group ".key_file", TEXT, UNSAFE, .help = "As key_file, for these connections." }, \
    { .key = group ".verify_incoming", BOOL, UNSAFE, .help = "As verify_incoming, for these connections." }, \
    { .key = group ".verify_outgoing", BOOL, UNSAFE, .help = "As verify_outgoing, for these connections." }, \
    { .key = group ".verify_server_hostname", BOOL, UNSAFE, .help = "As verify_server_hostname, for these connections." }, \
    { .key = group ".use_auto_cert", BOOL, UNSAFE, .help = "Use the certificate that auto_encrypt obtains." }, \
    { .key = group ".tls_min_version", TEXT, LATER, .help = "As tls_min_version, for these connections." }, \
    { .key = group ".tls_cipher_suites", TEXT, LATER, .help = "As tls_cipher_suites, for these connections." }, \
    { .key = group ".tls_prefer_server_cipher_suites", BOOL, LATER, .help = "As tls_prefer_server_cipher_suites, for these connections." }
// clang-format on

const struct config_item config_items[] = {
    // clang-format off
    /* -- who this node is -- */
    { .key = "node_name", .flag = "node", TEXT, AT(c.node_name), .example = "\"web-1\"", .help = "Name of this node, unique in the cluster; default: the host name." },
    { .key = "node_id", .flag = "node-id", TEXT, AT(c.node_id), .help = "UUID of this node; default: the one in the data directory, else a random one." },
    { .key = "node_meta", .flag = "node-meta", PAIRS, AT(c.node_meta), LIVE, .example = "{ \"rack\": \"a1\" }", .help = "Metadata of the node, up to 64 pairs; as a flag key:value, repeatable." },
    { .key = "datacenter", .flag = "datacenter", TEXT, AT(c.datacenter), .text = "dc1", .example = "\"dc1\"", .help = "Name of the datacenter." },
    { .key = "primary_datacenter", TEXT, LATER, .help = "The datacenter that ACLs and intentions are kept in." },
    { .key = "data_dir", .flag = "data-dir", TEXT, AT(c.data_dir), .example = "\"/var/lib/muster\"", .serf_key = "snapshot_path", .help = "Where state is kept; required, made when it is missing." },
    { .key = "server", .flag = "server", BOOL, AT(c.is_server), .example = "true", .help = "Run as a server: take part in consensus and hold the catalog." },
    { .key = "bootstrap", .flag = "bootstrap", BOOL, AT(c.is_bootstrap), .help = "Form a cluster of one server at once." },
    { .key = "bootstrap_expect", .flag = "bootstrap-expect", INT, AT(c.bootstrap_expect), AT_LEAST(0), .example = "3", .help = "Form the cluster once that many servers have met." },

    /* -- addresses -- */
    { .key = "bind_addr", .flag = "bind", TEXT, AT(bind_addr), .text = "0.0.0.0", .example = "\"0.0.0.0\"", .serf_key = "bind", .help = "Address for traffic between agents." },
    { .key = "advertise_addr", .flag = "advertise", TEXT, AT(advertise_addr), .serf_key = "advertise", .help = "Address that others are told; default: chosen by route." },
    { .key = "advertise_addr_ipv4", TEXT, AT(advertise_v4), .help = "The same for IPv4; shown as tagged address lan_ipv4." },
    { .key = "advertise_addr_ipv6", TEXT, AT(advertise_v6), .help = "The same for IPv6; shown as tagged address lan_ipv6." },
    { .key = "advertise_addr_wan", .flag = "advertise-wan", TEXT, AT(advertise_addr_wan), .help = "Address that other datacenters are told." },
    { .key = "advertise_addr_wan_ipv4", TEXT, AT(advertise_wan_v4), .help = "The same for IPv4; shown as tagged address wan_ipv4." },
    { .key = "advertise_addr_wan_ipv6", TEXT, AT(advertise_wan_v6), .help = "The same for IPv6; shown as tagged address wan_ipv6." },
    { .key = "client_addr", .flag = "client", TEXT, AT(client_addr), .text = "127.0.0.1", .example = "\"127.0.0.1\"", .help = "Addresses of HTTP and DNS, separated by blanks." },
    { .key = "addresses.dns", TEXT, AT(dns_addr), .help = "Addresses of DNS instead of client_addr." },
    { .key = "addresses.http", TEXT, AT(http_addr), .help = "Addresses of HTTP instead of client_addr; unix:///path too." },
    { .key = "addresses.serf_rpc", TEXT, AT(serf_rpc_addr), .serf_key = "rpc_addr", .help = "Addresses of the serf command's port instead of client_addr." },
    { .key = "addresses.https", TEXT, LATER, .help = "Addresses of HTTPS instead of client_addr." },
    { .key = "addresses.grpc", TEXT, LATER, .help = "Addresses of gRPC instead of client_addr." },
    { .key = "addresses.grpc_tls", TEXT, LATER, .help = "Addresses of gRPC with TLS instead of client_addr." },
    { .key = "unix_sockets.user", TEXT, UNSAFE, .help = "Owner of Unix sockets." },
    { .key = "unix_sockets.group", TEXT, UNSAFE, .help = "Group of Unix sockets." },
    { .key = "unix_sockets.mode", TEXT, UNSAFE, .help = "Permissions of Unix sockets." },
    { .key = "ports.dns", .flag = "dns-port", PORT, AT(c.ports.dns), .fallback = 8600, .example = "8600", .help = "DNS, UDP and TCP; -1 turns a listener off." },
    { .key = "ports.http", .flag = "http-port", PORT, AT(c.ports.http), .fallback = 8500, .example = "8500", .help = "HTTP/1.1 and HTTP/2." },
    { .key = "ports.https", .flag = "https-port", PORT, LATER, AT(c.ports.https), .fallback = -1, .help = "HTTPS." },
    { .key = "ports.grpc", .flag = "grpc-port", PORT, LATER, AT(c.ports.grpc), .fallback = -1, .help = "gRPC for proxies." },
    { .key = "ports.grpc_tls", .flag = "grpc-tls-port", PORT, LATER, .fallback = -1, .help = "gRPC with TLS for proxies." },
    { .key = "ports.serf_lan", .flag = "serf-lan-port", PORT, AT(c.ports.serf_lan), .fallback = 8301, .serf_key = "bind", .help = "Gossip in the datacenter, UDP and TCP." },
    { .key = "ports.serf_wan", .flag = "serf-wan-port", PORT, AT(c.ports.serf_wan), .fallback = 8302, .help = "Gossip between datacenters; stays shut until that pool exists." },
    { .key = "ports.server", .flag = "server-port", PORT, AT(c.ports.server), .fallback = 8300, .help = "RPC between agents." },
    { .key = "ports.serf_rpc", PORT, AT(c.ports.serf_rpc), .fallback = 7373, .serf_key = "rpc_addr", .help = "Control port of the serf command; gives way when taken and not configured." },
    { .key = "ports.etcd", PORT, AT(c.ports.etcd), .fallback = 2379, .help = "etcd's API; gives way when taken and not configured." },
    { .key = "ports.proxy_min_port", PORT, LATER, .fallback = 20000, .help = "First port of managed proxies." },
    { .key = "ports.proxy_max_port", PORT, LATER, .fallback = 20255, .help = "Last port of managed proxies." },
    { .key = "ports.sidecar_min_port", PORT, LATER, .fallback = 21000, .help = "First port of sidecar proxies." },
    { .key = "ports.sidecar_max_port", PORT, LATER, .fallback = 21255, .help = "Last port of sidecar proxies." },
    { .key = "ports.expose_min_port", PORT, LATER, .fallback = 21500, .help = "First port of exposed paths." },
    { .key = "ports.expose_max_port", PORT, LATER, .fallback = 21755, .help = "Last port of exposed paths." },
    { .key = "serf_lan", .flag = "serf-lan-bind", TEXT, AT(serf_lan), .help = "Address of LAN gossip instead of bind_addr." },
    { .key = "serf_wan", .flag = "serf-wan-bind", TEXT, LATER, .help = "Address of WAN gossip instead of bind_addr." },
    { .key = "serf_lan_allowed_cidrs", .flag = "serf-lan-allowed-cidrs", TEXTS, AT(serf_lan_allowed_cidrs), .example = "[\"10.0.0.0/8\", \"fd00::/8\"]", .help = "Networks that may take part in LAN gossip: a member with another address is refused. None: all may." },
    { .key = "serf_wan_allowed_cidrs", .flag = "serf-wan-allowed-cidrs", TEXTS, UNSAFE, .help = "Networks that may take part in WAN gossip." },
    { .key = "tagged_addresses", PAIRS, AT(c.tagged_addresses), .help = "Further tagged addresses of the node." },
    { .key = "translate_wan_addrs", BOOL, LATER, .help = "Answer with wan addresses for nodes of other datacenters." },

    /* -- names -- */
    { .key = "domain", .flag = "domain", TEXT, AT(domain), .text = "consul.", .help = "Domain that DNS answers for." },
    { .key = "alt_domain", .flag = "alt-domain", .type = CONFIG_TEXT_OR_TEXTS, AT(alt_domain), .text = "muster.", .help = "Further domains, one or a list." },
    { .key = "recursors", .flag = "recursor", TEXTS, LATER, .help = "Servers that other names are asked of." },

    /* -- joining and leaving -- */
    { .key = "retry_join", .flag = "retry-join", TEXTS, AT(retry_join), .example = "[\"web-2\", \"web-3\"]", .help = "Agents to join, tried until one answers." },
    { .key = "start_join", .flag = "join", TEXTS, AT(start_join), .instead = "retry_join", .help = "The same as retry_join." },
    { .key = "discover", .flag = "discover", TEXT, AT(c.discover), .example = "\"web\"", .help = "Find the others of the cluster of this name on the local network, by multicast DNS." },
    { .key = "mdns.interface", .flag = "mdns-iface", TEXT, AT(c.mdns.interface), .help = "Do that on this interface; default: that of bind_addr, or all." },
    { .key = "mdns.disable_ipv4", .flag = "mdns-disable-ipv4", BOOL, AT(c.mdns.disable_ipv4), .help = "Not over IPv4." },
    { .key = "mdns.disable_ipv6", .flag = "mdns-disable-ipv6", BOOL, AT(c.mdns.disable_ipv6), .help = "Not over IPv6." },
    { .key = "retry_interval", .flag = "retry-interval", MS, AT(c.retry_interval_ms), .fallback = S(30), .min = 1, .max = HOUR(24), .help = "Longest pause between tries to join, reached from 0.2s by doubling." },
    { .key = "retry_max", .flag = "retry-max", INT, AT(c.retry_max), AT_LEAST(0), .serf_key = "retry_max_attempts", .help = "Give up and exit after that many tries; 0: never." },
    { .key = "retry_join_wan", .flag = "retry-join-wan", TEXTS, LATER, .help = "Servers of other datacenters to join." },
    { .key = "start_join_wan", .flag = "join-wan", TEXTS, LATER, .instead = "retry_join_wan", .help = "The same as retry_join_wan." },
    { .key = "retry_interval_wan", .flag = "retry-interval-wan", MS, LATER, .fallback = S(30), .help = "As retry_interval, for retry_join_wan." },
    { .key = "retry_max_wan", .flag = "retry-max-wan", INT, LATER, .help = "As retry_max, for retry_join_wan." },
    { .key = "rejoin_after_leave", .flag = "rejoin", BOOL, AT(c.rejoin_after_leave), .help = "After a leave, join the former peers at the next start." },
    { .key = "leave_on_terminate", BOOL, AT(c.leave_on_terminate), LIVE, .help = "Leave on SIGTERM; default: true on clients, false on servers." },
    { .key = "skip_leave_on_interrupt", BOOL, AT(c.skip_leave_on_interrupt), LIVE, .help = "Do not leave on SIGINT; default: false on clients, true on servers." },
    { .key = "reconnect_timeout", MS, AT(c.reconnect_timeout_ms), .fallback = HOUR(72), AT_LEAST(0), LIVE, .help = "How long a failed member stays listed." },
    { .key = "reconnect_timeout_wan", MS, LATER, .fallback = HOUR(72), .help = "The same for the WAN pool." },
    { .key = "advertise_reconnect_timeout", MS, AT(c.advertise_reconnect_ms), AT_LEAST(0), .help = "How long others are to remember this node once it has failed, instead of their reconnect_timeout; 0: as that says." },
    { .key = "server_rejoin_age_max", MS, LATER, .fallback = HOUR(168), .help = "Refuse to start a server whose state is older." },

    /* -- checks and requests -- */
    { .key = "service", .type = CONFIG_SERVICES, LIVE, .help = "A service to register." },
    { .key = "services", .type = CONFIG_SERVICES, LIVE, .example = "[{ \"name\": \"web\", \"port\": 8080, \"check\": { \"http\": \"http://127.0.0.1:8080/\", \"interval\": \"10s\" } }]", .help = "Services to register." },
    { .key = "check", .type = CONFIG_CHECKS, LIVE, .help = "A check to register." },
    { .key = "checks", .type = CONFIG_CHECKS, LIVE, .help = "Checks to register." },
    { .key = "check_update_interval", MS, AT(c.check_update_interval_ms), .fallback = MIN(5), AT_LEAST(0), LIVE, .help = "How long a change of output alone may wait; 0s: not at all." },
    { .key = "check_output_max_size", .flag = "check_output_max_size", INT, AT(c.check_output_max_size), .fallback = MU_CHECK_OUTPUT_MAX, .help = "Bytes kept of a check's output." },
    { .key = "discard_check_output", BOOL, AT(c.discard_check_output), LIVE, .help = "Keep no output of checks." },
    { .key = "enable_script_checks", .flag = "enable-script-checks", BOOL, LATER, .help = "Allow checks that run programs, from everywhere." },
    { .key = "enable_local_script_checks", .flag = "enable-local-script-checks", BOOL, LATER, .help = "Allow checks that run programs, from files." },
    { .key = "enable_agent_tls_for_checks", BOOL, LATER, .help = "Use the agent's certificate in HTTPS checks." },
    { .key = "enable_central_service_config", BOOL, SILENT, .fallback = 1, .help = "Complete proxies from config entries." },
    { .key = "default_query_time", .flag = "default-query-time", MS, AT(c.default_query_ms), .fallback = S(300), AT_LEAST(1), LIVE, .help = "How long a blocking query waits without wait." },
    { .key = "max_query_time", .flag = "max-query-time", MS, AT(c.max_query_ms), .fallback = S(600), AT_LEAST(1), LIVE, .help = "How long a blocking query may wait." },
    { .key = "discovery_max_stale", MS, AT(c.discovery_max_stale_ms), AT_LEAST(0), LIVE, .help = "Answer discovery from any server up to this age." },
    { .key = "session_ttl_min", MS, AT(c.session_ttl_min_ms), .fallback = S(10), AT_LEAST(1), LIVE, .help = "Lower bound of a session's TTL." },
    { .key = "disable_http_unprintable_char_filter", BOOL, AT(c.disable_unprintable_filter), .help = "Accept unprintable characters in paths." },
    { .key = "serf_rpc.auth", TEXT, AT(c.serf_rpc.auth), .serf_key = "rpc_auth", .help = "Key that clients of the serf command's port must give (serf -rpc-auth)." },
    { .key = "serf_rpc.addr16", BOOL, AT(c.serf_rpc.addr16), .help = "Tell IPv4 addresses in 16 bytes on the serf command's port, for old clients." },
    { .key = "event_handlers", .flag = "event-handler", TEXTS, AT(event_handlers), LIVE, .example = "[\"member-join,member-failed=/usr/local/bin/members\", \"user:deploy=/usr/local/bin/deploy\"]", .help = "Scripts that run on events, as the serf command has them: filters, =, a command for the shell." },
    { .key = "event_handler_damping", BOOL, AT(c.event_handler_damping), LIVE, .help = "Tell event handlers that a member is back only once it has stayed for 30 s, where it failed three times within ten minutes." },
    { .key = "event_handler_timeout", MS, AT(c.event_handler_timeout_ms), .fallback = MIN(10), AT_LEAST(0), LIVE, .help = "An event handler that runs longer is killed with its children; 0s: never." },
    { .key = "watches", .type = CONFIG_WATCHES, LIVE, .example = "[{ \"type\": \"key\", \"key\": \"config/web\", \"args\": [\"/usr/local/bin/reload-web\"] }]", .help = "Programs or URLs that are told when something changes: type and its parameters, args or handler." },

    /* -- logs and the process -- */
    { .key = "log_level", .flag = "log-level", TEXT, AT(log_level), .text = "INFO", LIVE, .example = "\"INFO\"", .help = "TRACE, DEBUG, INFO, WARN or ERR." },
    { .key = "log_json", .flag = "log-json", BOOL, AT(c.log_json), .help = "Log lines as JSON objects." },
    { .key = "log_file", .flag = "log-file", TEXT, AT(c.log_file), .help = "Append the log to this file as well; a name that ends in / is a directory for consul-<time>.log." },
    { .key = "log_rotate_bytes", .flag = "log-rotate-bytes", INT, LATER, .help = "Begin a new log file after that many bytes." },
    { .key = "log_rotate_duration", .flag = "log-rotate-duration", MS, LATER, .fallback = HOUR(24), .help = "Begin a new log file after that time." },
    { .key = "log_rotate_max_files", .flag = "log-rotate-max-files", INT, LATER, .help = "How many old log files are kept." },
    { .key = "log_sublevels", ANY, LATER, .help = "Log levels of single modules." },
    { .key = "realtime", BOOL, AT(c.is_realtime), .help = "Run before other programs (SCHED_FIFO) and keep memory from being swapped, so that a machine without a free processor does not look dead." },
    { .key = "enable_syslog", .flag = "syslog", BOOL, AT(c.enable_syslog), .help = "Log to syslog as well." },
    { .key = "syslog_facility", TEXT, AT(c.syslog_facility), .text = "LOCAL0", .help = "Facility for syslog." },
    { .key = "pid_file", .flag = "pid-file", TEXT, AT(c.pid_file), .help = "Write the process id here, remove it at the end." },
    { .key = "enable_debug", BOOL, LATER, .help = "Offer the profiling endpoints." },
    { .key = "auto_reload_config", .flag = "auto-reload-config", BOOL, LATER, .help = "Reload when a configuration file changes." },

    /* -- the cluster's inner life -- */
    { .key = "protocol", .flag = "protocol", INT, LATER, .fallback = 2, .help = "Gossip protocol version." },
    { .key = "raft_protocol", .flag = "raft-protocol", INT, LATER, .fallback = 3, .help = "Raft protocol version." },
    { .key = "raft_snapshot_threshold", INT, LATER, .fallback = 16384, .help = "Entries between snapshots." },
    { .key = "raft_snapshot_interval", MS, LATER, .fallback = S(30), .help = "How often the need of a snapshot is looked at." },
    { .key = "raft_trailing_logs", INT, AT(c.raft_trailing_logs), .fallback = 10240, .min = 1, .max = 10000000, .help = "Entries kept in the log, at most 64 MiB of them, behind what the state holds durably: a server that is further behind gets a snapshot." },
    { .key = "command_level_max", INT, AT(c.command_level_max), .min = 0, .max = 1000000, .help = "The highest level of commands that this server says it understands; 0: what its version knows. As long as one server is held below, the cluster uses no newer commands, and the way back to the version before stays open." },
    { .key = "raft_logstore", ANY, LATER, .help = "Which store holds the log." },
    { .key = "disable_coordinates", BOOL, AT(c.disable_coordinates), .help = "Do not compute network coordinates." },
    { .key = "disable_remote_exec", BOOL, AT(c.disable_remote_exec), .fallback = 1, .help = "Do not run programs sent by consul exec." },
    { .key = "disable_host_node_id", .flag = "disable-host-node-id", BOOL, LATER, .fallback = 1, .help = "Do not derive the node id from the host." },
    { .key = "disable_update_check", BOOL, SILENT, .help = "Do not ask for new versions; muster never does." },
    { .key = "disable_anonymous_signature", BOOL, SILENT, .help = "Do not send a signature with that; muster never does." },
    { .key = "disable_keyring_file", .flag = "disable-keyring-file", BOOL, AT(c.disable_keyring_file), .help = "Do not keep gossip keys on disk." },
    { .key = "use_streaming_backend", BOOL, SILENT, .help = "Serve blocking queries of clients from a stream." },
    { .key = "rpc.enable_streaming", BOOL, SILENT, .help = "Offer that stream on servers." },

    { .key = "reconcile.remove_failed_after", MS, AT(c.reconcile.remove_failed_after_ms), .fallback = S(10), AT_LEAST(0), .example = "\"10s\"", .help = "A failed node leaves the catalog after this time; 0s: at once, 72h: as Consul." },
    { .key = "reconcile.pause_max", MS, AT(c.reconcile.pause_max_ms), .fallback = MIN(10), AT_LEAST(0), .help = "How long removal pauses while more than a third of the members are failed." },
    { .key = "reconcile.absent_after", MS, AT(c.reconcile.absent_after_ms), .fallback = S(60), AT_LEAST(0), .help = "A node that gossip never met counts as failed this long after an election." },

    { .key = "scrub.interval", MS, AT(c.scrub.interval_ms), .fallback = HOUR(168), AT_LEAST(0), .example = "\"168h\"", .help = "How long after the last time a server reads all of its state and its log again to find damage; 0s: only when asked for." },
    { .key = "scrub.bytes_per_second", INT, AT(c.scrub.bytes_per_second), .fallback = 8388608, .min = 65536, .max = 1073741824, .help = "The pace of that, in bytes per second: 65536 (64 KiB) to 1073741824 (1 GiB)." },
    { .key = "reads.lease", BOOL, AT(c.has_read_leases), .help = "The leader answers reads without asking a quorum first, as long as one has promised to elect nobody else. Wrong answers follow when the clock of one server runs more than a quarter faster than another's, or a virtual machine is frozen together with its clock." },

    { .key = "performance.raft_multiplier", INT, AT(c.raft_multiplier), .fallback = 1, .min = 1, .max = 10, .help = "Scales the times of elections and heartbeats." },
    { .key = "performance.leave_drain_time", MS, AT(c.leave_drain_ms), .fallback = S(5), AT_LEAST(0), .help = "How long a leaving server still answers." },
    { .key = "performance.rpc_hold_timeout", MS, AT(c.rpc_hold_ms), .fallback = S(7), AT_LEAST(0), LIVE, .help = "How long a request waits for a leader." },
    { .key = "performance.write_poll_us", INT, AT(c.write_poll_us), .fallback = 500, .min = 0, .max = 10000, .help = "How long a server looks for what a write waits for (disks, other servers) before it sleeps, in microseconds, while writes follow each other closely and were mostly faster than that. Saves the time that processors take to wake, at the price of one of them while there are writes; 0: it always sleeps." },
    { .key = "performance.grpc_keepalive_*", ANY, LATER, .help = "Keep-alive of internal gRPC connections." },

    { .key = "limits.http_max_conns_per_client", INT, AT(c.http_max_conns_per_client), .fallback = MU_HTTP_PER_CLIENT, AT_LEAST(1), LIVE, .help = "HTTP connections of one address." },
    { .key = "limits.kv_max_value_size", INT, AT(c.kv_max_value_size), .fallback = MU_KV_VALUE_DEFAULT, .min = 1, .max = MU_KV_VALUE_MAX, LIVE, .help = "Bytes of a value in the key-value store." },
    { .key = "limits.txn_max_req_len", INT, AT(c.txn_max_req_len), .fallback = MU_TXN_BYTES_DEFAULT, .min = 1, .max = MU_KV_VALUE_MAX, LIVE, .help = "Bytes of a transaction." },
    { .key = "limits.https_handshake_timeout", MS, LATER, .fallback = S(5), .help = "How long a TLS handshake may take." },
    { .key = "limits.rpc_handshake_timeout", MS, LATER, .fallback = S(5), .help = "The same between agents." },
    { .key = "limits.rpc_client_timeout", MS, LATER, .fallback = S(60), .help = "How long a forwarded read may take." },
    { .key = "limits.rpc_rate", INT, LATER, .fallback = -1, .help = "Requests a second from this agent to servers; -1: no limit." },
    { .key = "limits.rpc_max_burst", INT, LATER, .fallback = 1000, .help = "How many of them at once." },
    { .key = "limits.rpc_max_conns_per_client", INT, LATER, .fallback = 100, .help = "RPC connections of one address." },
    { .key = "limits.request_limits", ANY, LATER, .help = "Read and write rates of a server." },

    { .key = "autopilot.cleanup_dead_servers", BOOL, AT(c.autopilot.cleanup_dead_servers), .fallback = 1, .help = "Remove failed servers from consensus." },
    { .key = "autopilot.last_contact_threshold", MS, AT(c.autopilot.last_contact_ms), .fallback = 200, .max = HOUR(8760), .help = "A server is healthy while the leader heard it within this time." },
    { .key = "autopilot.max_trailing_logs", INT, AT(c.autopilot.max_trailing_logs), .fallback = 250, AT_LEAST(0), .help = "And while it is at most this many entries behind." },
    { .key = "autopilot.min_quorum", INT, AT(c.autopilot.min_quorum), AT_LEAST(0), .help = "Clean up no dead server when fewer voters than this would stay." },
    { .key = "autopilot.server_stabilization_time", MS, AT(c.autopilot.stabilization_ms), .fallback = S(10), .max = HOUR(8760), .help = "How long a new server must be healthy before it votes." },
    { .key = "autopilot.redundancy_zone_tag", TEXT, ENTERPRISE, .help = "Node metadata that names the zone." },
    { .key = "autopilot.disable_upgrade_migration", BOOL, ENTERPRISE, .help = "Do not wait for as many new servers as there are old ones." },
    { .key = "autopilot.upgrade_version_tag", TEXT, ENTERPRISE, .help = "Node metadata that names the version." },

    { .key = "gossip_lan.gossip_interval", MS, AT(c.gossip_lan.gossip_ms), .fallback = 100, .min = 10, .max = MIN(1), LIVE, .help = "How often rumors are sent." },
    { .key = "gossip_lan.gossip_nodes", INT, AT(c.gossip_lan.gossip_nodes), .fallback = 3, .min = 1, .max = 64, LIVE, .help = "To how many members each time." },
    { .key = "gossip_lan.probe_interval", MS, AT(c.gossip_lan.probe_ms), .fallback = 500, .min = 100, .max = MIN(1), LIVE, .help = "How often one other member is probed." },
    { .key = "gossip_lan.probe_timeout", MS, AT(c.gossip_lan.probe_timeout_ms), .fallback = 250, .min = 10, .max = MIN(1), LIVE, .help = "How long its answer may take before others are asked." },
    { .key = "gossip_lan.suspicion_mult", INT, AT(c.gossip_lan.suspicion_mult), .fallback = 2, .min = 1, .max = 64, LIVE, .help = "Scales how long a suspect may clear itself." },
    { .key = "gossip_lan.retransmit_mult", INT, AT(c.gossip_lan.retransmit_mult), .fallback = 4, .min = 1, .max = 64, LIVE, .help = "Scales how often a rumor is repeated." },
    { .key = "gossip_lan.suspicion_max_mult", INT, AT(c.gossip_lan.suspicion_max_mult), .fallback = 6, .min = 1, .max = 64, LIVE, .help = "How much longer that is before others confirm the suspicion." },
    { .key = "gossip_lan.indirect_checks", INT, AT(c.gossip_lan.indirect_checks), .fallback = 3, .min = 0, .max = 8, LIVE, .help = "How many others are asked to probe one that does not answer." },
    { .key = "gossip_lan.awareness_max", INT, AT(c.gossip_lan.awareness_max), .fallback = 8, .min = 1, .max = 64, LIVE, .help = "How many times more patient an agent in trouble of its own may become." },
    { .key = "gossip_lan.push_pull_interval", MS, AT(c.gossip_lan.push_pull_ms), .fallback = S(30), .min = 0, .max = MIN(60), LIVE, .help = "How often all that is known is compared with another member; 0s: only at joins." },
    { .key = "gossip_lan.stream_timeout", MS, AT(c.gossip_lan.stream_ms), .fallback = S(10), .min = 100, .max = MIN(10), LIVE, .help = "How long that may take, and any other exchange over TCP." },
    { .key = "gossip_lan.gossip_to_dead", MS, AT(c.gossip_lan.gossip_to_dead_ms), .fallback = S(30), .min = 0, .max = MIN(60), LIVE, .help = "How long a failed member is still told the news." },
    { .key = "gossip_lan.reclaim_time", MS, AT(c.gossip_lan.reclaim_ms), .fallback = S(30), .min = 0, .max = HOUR(24), LIVE, .help = "How long a failed member's name is kept from another address." },
    { .key = "gossip_lan.packet_size", INT, AT(c.gossip_lan.packet_bytes), .fallback = MU_GOSSIP_PACKET_MAX, .min = MU_GOSSIP_PACKET_MIN, .max = MU_GOSSIP_PACKET_MAX, LIVE, .help = "Up to how many bytes a datagram is filled; less where the path MTU is small: 48 below it, 1232 for tunnels." },
    { .key = "gossip_wan.gossip_interval", MS, LATER, .fallback = 500, .help = "As gossip_lan, between datacenters." },
    { .key = "gossip_wan.gossip_nodes", INT, LATER, .fallback = 3, .help = "As gossip_lan, between datacenters." },
    { .key = "gossip_wan.probe_interval", MS, LATER, .fallback = S(5), .help = "As gossip_lan, between datacenters." },
    { .key = "gossip_wan.probe_timeout", MS, LATER, .fallback = S(3), .help = "As gossip_lan, between datacenters." },
    { .key = "gossip_wan.suspicion_mult", INT, LATER, .fallback = 6, .help = "As gossip_lan, between datacenters." },
    { .key = "gossip_wan.retransmit_mult", INT, LATER, .fallback = 4, .help = "As gossip_lan, between datacenters." },

    /* -- front doors -- */
    { .key = "dns_config.allow_stale", BOOL, AT(c.dns.allow_stale), .fallback = 1, LIVE, .help = "Answer without asking the leader." },
    { .key = "dns_config.max_stale", MS, AT(c.dns.max_stale_ms), .fallback = HOUR(87600), AT_LEAST(0), LIVE, .help = "Up to this age." },
    { .key = "dns_config.node_ttl", SECONDS, AT(c.dns.node_ttl_s), AT_LEAST(0), LIVE, .help = "TTL of answers about nodes." },
    { .key = "dns_config.service_ttl", PAIRS, AT(service_ttl), LIVE, .help = "TTL of answers about services, by name; a name may end in *." },
    { .key = "dns_config.only_passing", BOOL, AT(c.dns.only_passing), LIVE, .help = "Leave out instances with a warning." },
    { .key = "dns_config.udp_answer_limit", INT, AT(c.dns.udp_answer_limit), .fallback = 3, AT_LEAST(0), LIVE, .help = "Records in an answer of 512 bytes." },
    { .key = "dns_config.a_record_limit", INT, AT(c.dns.a_record_limit), AT_LEAST(0), LIVE, .help = "Address records in an answer; 0: no limit." },
    { .key = "dns_config.enable_truncate", BOOL, AT(c.dns.enable_truncate), LIVE, .help = "Say so when records were left out." },
    { .key = "dns_config.disable_compression", BOOL, AT(c.dns.disable_compression), LIVE, .help = "Write every name in full." },
    { .key = "dns_config.enable_additional_node_meta_txt", BOOL, AT(c.dns.node_meta_txt), .fallback = 1, LIVE, .help = "Add node metadata as TXT records." },
    { .key = "dns_config.soa.refresh", U32, AT(c.dns.soa_refresh), .fallback = 3600, .max = UINT32_MAX, LIVE, .help = "Seconds in the SOA record." },
    { .key = "dns_config.soa.retry", U32, AT(c.dns.soa_retry), .fallback = 600, .max = UINT32_MAX, LIVE, .help = "Seconds in the SOA record." },
    { .key = "dns_config.soa.expire", U32, AT(c.dns.soa_expire), .fallback = 86400, .max = UINT32_MAX, LIVE, .help = "Seconds in the SOA record." },
    { .key = "dns_config.soa.min_ttl", U32, AT(c.dns.soa_min_ttl), .max = UINT32_MAX, LIVE, .help = "Seconds in the SOA record: TTL of negative answers." },
    { .key = "dns_config.udp_payload_max", U32, AT(c.dns.udp_payload_max), .fallback = 65467, .min = 512, .max = 65467, LIVE, .help = "Largest answer over UDP, in bytes; 1232 where strangers reach the port." },
    { .key = "dns_config.ent_negative_ttl", SECONDS, AT(c.dns.ent_negative_ttl), .fallback = S(60), AT_LEAST(0), LIVE, .help = "TTL of the answer that a name exists without records." },
    { .key = "dns_config.recursor_timeout", MS, LATER, .fallback = S(2), .help = "How long one of the recursors may take." },
    { .key = "dns_config.recursor_strategy", TEXT, LATER, .text = "sequential", .help = "In which order recursors are asked." },
    { .key = "dns_config.use_cache", BOOL, LATER, .help = "Answer from the agent's cache." },
    { .key = "dns_config.cache_max_age", MS, LATER, .help = "Up to this age." },
    { .key = "dns_config.prefer_namespace", BOOL, ENTERPRISE, .help = "How a name of four parts is read." },

    { .key = "http_config.response_headers", PAIRS, AT(c.response_headers), .help = "Headers added to every answer." },
    { .key = "http_config.block_endpoints", TEXTS, AT(block_endpoints), .help = "Path prefixes that are answered with 403." },
    { .key = "http_config.allow_write_http_from", .flag = "allow-write-http-from", TEXTS, UNSAFE, .help = "Networks that may write." },
    { .key = "http_config.use_cache", BOOL, SILENT, .fallback = 1, .help = "Honour ?cached." },
    { .key = "http_config.max_header_bytes", INT, LATER, .help = "Bytes of a request's head." },

    { .key = "ui_config.enabled", BOOL, LATER, .help = "Serve the web page." },
    { .key = "ui_config.dir", TEXT, LATER, .help = "From this directory instead of the built-in one." },
    { .key = "ui_config.content_path", TEXT, LATER, .text = "/ui/", .help = "Under this path." },
    { .key = "ui_config.metrics_provider", TEXT, LATER, .help = "Where the page finds metrics." },
    { .key = "ui_config.metrics_provider_files", TEXTS, LATER, .help = "Scripts for that." },
    { .key = "ui_config.metrics_provider_options_json", TEXT, LATER, .help = "Options for that." },
    { .key = "ui_config.metrics_proxy", ANY, LATER, .help = "How the agent reaches them." },
    { .key = "ui_config.dashboard_url_templates", PAIRS, LATER, .help = "Links to dashboards." },
    { .key = "ui_config.hcp_enabled", BOOL, LATER, .help = "Show the hosted offer." },
    { .key = "ui", .flag = "ui", BOOL, LATER, .instead = "ui_config.enabled", .help = "The same as ui_config.enabled." },
    { .key = "ui_dir", .flag = "ui-dir", TEXT, LATER, .instead = "ui_config.dir", .help = "The same as ui_config.dir." },
    { .key = "ui_content_path", .flag = "ui-content-path", TEXT, LATER, .instead = "ui_config.content_path", .help = "The same as ui_config.content_path." },

    { .key = "telemetry.metrics_prefix", TEXT, AT(c.metrics_prefix), LIVE, .text = "consul", .help = "First part of every metric's name." },
    { .key = "telemetry.prometheus_retention_time", MS, AT(c.prometheus_retention_ms), AT_LEAST(0), LIVE, .help = "Offer metrics to Prometheus unless it is 0s; totals are kept as long as the process runs." },
    { .key = "telemetry.disable_hostname", BOOL, LATER, .help = "Leave the host name out of gauges." },
    { .key = "telemetry.statsd_address", TEXT, AT(c.statsd_address), .serf_key = "statsd_addr", .help = "Send metrics to statsd, host:port, each second." },
    { .key = "telemetry.statsite_address", TEXT, AT(c.statsite_address), .serf_key = "statsite_addr", .help = "The same to statsite, over TCP." },
    { .key = "telemetry.dogstatsd_addr", TEXT, LATER, .help = "Send metrics to DogStatsD." },
    { .key = "telemetry.dogstatsd_tags", TEXTS, LATER, .help = "With these tags." },
    { .key = "telemetry.prefix_filter", TEXTS, LATER, .help = "Which metrics are kept (+) or dropped (-)." },
    { .key = "telemetry.filter_default", BOOL, LATER, .fallback = 1, .help = "Keep those that no filter names." },
    { .key = "telemetry.disable_compat_1.9", BOOL, LATER, .help = "Drop metrics under their older names." },
    { .key = "telemetry.enable_host_metrics", BOOL, LATER, .help = "Add metrics of the host." },
    { .key = "telemetry.retry_failed_connection", BOOL, LATER, .fallback = 1, .help = "Try again when a sink cannot be reached at start." },
    { .key = "telemetry.disable_per_tenancy_usage_metrics", BOOL, LATER, .help = "Leave usage by tenant out." },
    { .key = "telemetry.circonus_*", ANY, LATER, .help = "Send metrics to Circonus." },

    /* -- security -- */
    { .key = "encrypt", .flag = "encrypt", TEXT, AT(c.encrypt), .serf_key = "encrypt_key", .help = "Key for traffic between agents, base64 of 16, 24 or 32 bytes." },
    { .key = "encrypt_verify_incoming", BOOL, AT(c.encrypt_verify_incoming), .fallback = 1, LIVE, .help = "With a key: refuse what other agents send in clear. false for the first steps of a roll-out." },
    { .key = "encrypt_verify_outgoing", BOOL, AT(c.encrypt_verify_outgoing), .fallback = 1, LIVE, .help = "With a key: send nothing in clear to other agents. false for the first step of a roll-out." },
    { .key = "ca_file", TEXT, UNSAFE, .help = "Certificates of authorities to trust." },
    { .key = "ca_path", TEXT, UNSAFE, .help = "A directory of them." },
    { .key = "cert_file", TEXT, UNSAFE, .help = "This agent's certificate." },
    { .key = "key_file", TEXT, UNSAFE, .help = "Its private key." },
    { .key = "verify_incoming", BOOL, UNSAFE, .help = "Demand certificates of whoever connects." },
    { .key = "verify_incoming_rpc", BOOL, UNSAFE, .help = "The same for RPC alone." },
    { .key = "verify_incoming_https", BOOL, UNSAFE, .help = "The same for HTTPS alone." },
    { .key = "verify_outgoing", BOOL, UNSAFE, .help = "Use TLS towards other agents." },
    { .key = "verify_server_hostname", BOOL, UNSAFE, .help = "Demand a server's certificate to be one." },
    { .key = "server_name", TEXT, LATER, .help = "Name in this agent's certificate instead of its node name." },
    { .key = "tls_min_version", TEXT, LATER, .text = "tls12", .help = "Oldest version of TLS." },
    { .key = "tls_cipher_suites", TEXT, LATER, .help = "Ciphers of TLS 1.2." },
    { .key = "tls_prefer_server_cipher_suites", BOOL, LATER, .help = "The server's order of ciphers counts." },
    TLS_GROUP("tls.defaults"),
    TLS_GROUP("tls.internal_rpc"),
    TLS_GROUP("tls.https"),
    TLS_GROUP("tls.grpc"),
    { .key = "auto_encrypt.tls", BOOL, UNSAFE, .help = "Ask servers for a certificate." },
    { .key = "auto_encrypt.allow_tls", BOOL, UNSAFE, .help = "Hand certificates to clients." },
    { .key = "auto_encrypt.dns_san", TEXTS, LATER, .help = "Names in that certificate." },
    { .key = "auto_encrypt.ip_san", TEXTS, LATER, .help = "Addresses in that certificate." },
    { .key = "auto_config.enabled", BOOL, UNSAFE, .help = "Ask servers for the configuration." },
    { .key = "auto_config.intro_token", TEXT, LATER, .help = "Proves who asks." },
    { .key = "auto_config.intro_token_file", TEXT, LATER, .help = "A file that holds it." },
    { .key = "auto_config.server_addresses", TEXTS, LATER, .help = "Servers to ask." },
    { .key = "auto_config.dns_sans", TEXTS, LATER, .help = "Names in the certificate." },
    { .key = "auto_config.ip_sans", TEXTS, LATER, .help = "Addresses in the certificate." },
    { .key = "auto_config.authorization.enabled", BOOL, UNSAFE, .help = "Answer such questions." },
    { .key = "auto_config.authorization.static", ANY, LATER, .help = "Who may ask." },

    { .key = "acl.enabled", BOOL, UNSAFE, .help = "Demand tokens." },
    { .key = "acl.default_policy", TEXT, LATER, .text = "allow", .help = "What holds without a rule." },
    { .key = "acl.down_policy", TEXT, LATER, .text = "extend-cache", .help = "What holds without servers." },
    { .key = "acl.policy_ttl", MS, LATER, .fallback = S(30), .help = "How long a policy is remembered." },
    { .key = "acl.token_ttl", MS, LATER, .fallback = S(30), .help = "How long a token is remembered." },
    { .key = "acl.role_ttl", MS, LATER, .help = "How long a role is remembered." },
    { .key = "acl.disabled_ttl", MS, LATER, .fallback = S(120), .help = "How long it is remembered that servers have ACLs off." },
    { .key = "acl.enable_key_list_policy", BOOL, LATER, .help = "Listing keys needs a permission of its own." },
    { .key = "acl.enable_token_replication", BOOL, LATER, .help = "Copy tokens from the primary datacenter." },
    { .key = "acl.enable_token_persistence", BOOL, LATER, .help = "Keep tokens set over HTTP across restarts." },
    { .key = "acl.msp_disable_bootstrap", BOOL, ENTERPRISE, .help = "No first token." },
    { .key = "acl.tokens.master", TEXT, LATER, .help = "The first management token." },
    { .key = "acl.tokens.initial_management", TEXT, LATER, .help = "The same under its later name." },
    { .key = "acl.tokens.default", TEXT, LATER, .help = "For requests without a token." },
    { .key = "acl.tokens.agent", TEXT, LATER, .help = "For the agent's own work." },
    { .key = "acl.tokens.agent_master", TEXT, LATER, .help = "For this agent in an emergency." },
    { .key = "acl.tokens.agent_recovery", TEXT, LATER, .help = "The same under its later name." },
    { .key = "acl.tokens.replication", TEXT, LATER, .help = "For copying from the primary datacenter." },
    { .key = "acl.tokens.config_file_service_registration", TEXT, LATER, .help = "For services in files." },
    { .key = "acl.tokens.dns", TEXT, LATER, .help = "For DNS." },
    { .key = "acl.tokens.managed_service_provider", ANY, ENTERPRISE, .help = "For a provider." },
    { .key = "acl_datacenter", TEXT, UNSAFE, .instead = "acl.enabled", .help = "Switches ACLs on, as it did before acl.enabled." },
    { .key = "acl_master_token", TEXT, LATER, .instead = "acl.tokens.master", .help = "The same as acl.tokens.master." },
    { .key = "acl_default_policy", TEXT, LATER, .instead = "acl.default_policy", .help = "The same as acl.default_policy." },
    { .key = "acl_down_policy", TEXT, LATER, .instead = "acl.down_policy", .help = "The same as acl.down_policy." },
    { .key = "acl_ttl", MS, LATER, .instead = "acl.token_ttl", .help = "The same as acl.token_ttl." },
    { .key = "acl_token", TEXT, LATER, .instead = "acl.tokens.default", .help = "The same as acl.tokens.default." },
    { .key = "acl_agent_token", TEXT, LATER, .instead = "acl.tokens.agent", .help = "The same as acl.tokens.agent." },
    { .key = "acl_agent_master_token", TEXT, LATER, .instead = "acl.tokens.agent_master", .help = "The same as acl.tokens.agent_master." },
    { .key = "acl_replication_token", TEXT, LATER, .instead = "acl.tokens.replication", .help = "The same as acl.tokens.replication." },
    { .key = "acl_enable_key_list_policy", BOOL, LATER, .instead = "acl.enable_key_list_policy", .help = "The same as acl.enable_key_list_policy." },
    { .key = "enable_acl_replication", BOOL, LATER, .instead = "acl.enable_token_replication", .help = "The same as acl.enable_token_replication." },

    /* -- segmentation and federation -- */
    { .key = "connect.enabled", BOOL, LATER, .help = "Certificates and intentions for services." },
    { .key = "connect.ca_provider", TEXT, LATER, .text = "consul", .help = "Who signs." },
    { .key = "connect.ca_config", ANY, LATER, .help = "How it signs." },
    { .key = "connect.enable_mesh_gateway_wan_federation", BOOL, LATER, .help = "Reach other datacenters through gateways." },
    { .key = "connect.enable_serverless_plugin", BOOL, LATER, .help = "Call functions of a cloud." },
    { .key = "connect.test_ca_leaf_root_change_spread", MS, SILENT, .help = "Only for tests of the reference." },
    { .key = "config_entries.bootstrap", ANY, LATER, .help = "Entries that the first leader writes." },
    { .key = "default_intention_policy", TEXT, LATER, .help = "What holds without an intention." },
    { .key = "primary_gateways", .flag = "primary-gateway", TEXTS, LATER, .help = "Gateways to the primary datacenter." },
    { .key = "primary_gateways_interval", MS, LATER, .fallback = S(30), .help = "How often they are looked for." },
    { .key = "cache.entry_fetch_max_burst", INT, LATER, .fallback = 2, .help = "Fetches of one entry at once." },
    { .key = "cache.entry_fetch_rate", ANY, LATER, .help = "Fetches of one entry a second." },
    { .key = "peering.enabled", BOOL, LATER, .fallback = 1, .help = "Share services with other clusters." },
    { .key = "locality", ANY, LATER, .help = "Region and zone of this node." },
    { .key = "xds", ANY, LATER, .help = "How proxies are configured." },

    /* -- other editions and releases -- */
    { .key = "segment", .flag = "segment", TEXT, .help = "Must be empty: network segments belong to the paid edition." },
    { .key = "segments", ANY, .help = "Must be empty: network segments belong to the paid edition." },
    { .key = "audit", ANY, ENTERPRISE, .help = "Audit log." },
    { .key = "license_path", TEXT, ENTERPRISE, .help = "A licence." },
    { .key = "read_replica", .flag = "read-replica", BOOL, ENTERPRISE, .help = "A server without a vote." },
    { .key = "non_voting_server", .flag = "non-voting-server", BOOL, ENTERPRISE, .instead = "read_replica", .help = "The same as read_replica." },
    { .key = "partition", TEXT, ENTERPRISE, .text = "default", .help = "The partition of this agent." },
    { .key = "reporting", ANY, ENTERPRISE, .help = "Reports of use." },
    { .key = "snapshot_agent", ANY, SILENT, .help = "Read by another program." },
    { .key = "experiments", TEXTS, SILENT, .help = "Names of unfinished features of the reference." },
    { .key = "cloud", ANY, LATER, .help = "The hosted offer of the reference." },
    { .key = "version", TEXT, SILENT, .help = "What a harness tells about itself." },
    { .key = "ae_interval", MS, SILENT, .help = "Built in." },
    { .key = "check_reap_interval", MS, SILENT, .help = "Built in." },
    { .key = "check_deregister_interval_min", MS, SILENT, .help = "Built in." },
    { .key = "sync_coordinate_rate_target", ANY, SILENT, .help = "Built in." },
    { .key = "sync_coordinate_interval_min", MS, AT(c.sync_coordinate_ms), .fallback = S(15), .min = 100, .max = HOUR(24), .help = "How often this node tells where it is in the space of round trip times, at most; seldomer in large clusters." },
    { .key = "consul", ANY, SILENT, .help = "Built in." },
}; // clang-format on

const size_t config_items_count = MU_LEN(config_items);

_Static_assert(MU_LEN(config_items) <= CONFIG_ITEMS_MAX, "the draft remembers every row");
