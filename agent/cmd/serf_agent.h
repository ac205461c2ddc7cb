/* serf_agent.h - what `serf agent` was told: flags and files, before it is a configuration of ours.
 * Private to serf_agent*.c.
 *
 * Thread:  any; nothing is shared.
 */
#ifndef AGENT_CMD_SERF_AGENT_H
#define AGENT_CMD_SERF_AGENT_H

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "serf.h"

#define SERF_PORT     7946
#define SERF_RPC_PORT 7373
#define SERF_TAGS_MAX 128 /* more keys, each another, never fit 512 bytes */

struct said {
    struct mu_arena arena;
    const char *node, *role, *bind, *advertise, *discover, *encrypt, *profile, *log_level;
    const char *rpc_addr, *rpc_auth, *snapshot, *keyring_file, *tags_file, *iface, *mdns_iface;
    const char *facility, *statsite, *statsd;
    bool no_coordinates, replay, leave_on_terminate, skip_leave, rejoin, no_resolution, syslog;
    bool compression, no_compression, no_ipv4, no_ipv6, validate_names;
    bool has_used_iface;     /* its address is the one bound to */
    uint16_t advertise_port; /* once addresses are known */
    int64_t protocol, retry_max, response_limit, query_limit, event_limit;
    int64_t retry_ms, broadcast_ms, reconnect_ms, reconnect_timeout_ms, tombstone_ms;
    struct cli_texts start_join, retry_join, handlers;
    struct mu_pair tags[SERF_TAGS_MAX];
    size_t tags_count;
};

/* -- serf_agent_read.c: flags and files ------------------------------------------------------- */

void said_init(struct said *s);
void said_deinit(struct said *s);
/* Files in the order of the command line, then its other flags. `wants_help` beside an error: a
 * flag was wrong, and the help says how it is right. */
MU_MUST_CHECK enum mu_code said_read(struct said *s, int argc, const char *const *argv,
                                     bool *wants_help, struct mu_err *err);
MU_MUST_CHECK enum mu_code said_add_tag(struct said *s, struct mu_span key, struct mu_span value,
                                        struct mu_err *err);
void said_print_flags(FILE *to);

/* -- serf_agent_host.c: what stands on this machine ------------------------------------------- */

struct said_address {
    const char *host; /* an IP address */
    uint16_t port;
};

/* Where gossip is bound: -bind, a name looked up, and -iface. */
MU_MUST_CHECK enum mu_code said_bind(struct said *s, struct said_address *out, struct mu_err *err);
/* "10.0.0.1", "name:99"; what is not said stays as `out` has it, but ":99" means all addresses
 * where there is one to listen at. `what` stands before errors. */
MU_MUST_CHECK enum mu_code said_address(struct said *s, const char *what, const char *text,
                                        struct said_address *out, struct mu_err *err);
/* Tags that were set when the agent ran before; a file that is not there holds none. */
MU_MUST_CHECK enum mu_code said_tags_file(struct said *s, struct mu_err *err);
/* One that is not there, or holds no key, is refused. */
MU_MUST_CHECK enum mu_code said_keyring_file(const struct said *s, struct mu_err *err);

#endif
