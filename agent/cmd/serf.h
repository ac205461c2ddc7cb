/* serf.h - `muster serf ...`: Serf's own command line, over the control port of any agent, ours or
 * Serf's (spec/serf-surface.md 1 and 8).
 *
 * Results and errors alike go to standard output, as the stock command has it; what is wrong with
 * flags goes to standard error, with the help on standard output.
 */
#ifndef AGENT_CMD_SERF_H
#define AGENT_CMD_SERF_H

#include "agent/ipc_codec.h"
#include "base/log.h"
#include "cli.h"

/* What every command that asks an agent takes too; its options begin with this. */
struct serf_flags {
    const char *addr, *auth;
};

#define SERF_FLAG_ROWS                                                                   \
    { "rpc-addr", CLI_TEXT, 0, "Address of the agent's control port (SERF_RPC_ADDR)." }, \
    {                                                                                    \
        "rpc-auth", CLI_TEXT, offsetof(struct serf_flags, auth),                         \
            "Key of that port (SERF_RPC_AUTH)."                                          \
    }

/* Of an address of the control port: "unix:///run/serf.sock". */
#define SERF_SOCKET "unix://"
const char *serf_socket_path(const char *addr); /* NULL: it is another address */

/* -- serf_client.c: one connection, requests one after the other ---------------------------------
 */

struct serf_client {
    struct cli *cli;
    int fd; /* -1: none */
    uint64_t seq;
    struct mu_buf in, out;
    size_t used;           /* bytes of the last object in `in` */
    struct mu_arena arena; /* of the last answer */
    char error[MU_ERR_TEXT_MAX];
};

struct serf_reply {
    uint64_t seq;
    struct ipc_fields body; /* when one was asked for */
    const struct ipc_value *value;
};

/* Connect, shake hands, give the key. False: told on `out`. serf_close() in any case. */
bool serf_open(struct serf_client *c, struct cli *cli, const struct serf_flags *flags);
void serf_close(struct serf_client *c);
/* A request: serf_begin(), its body into c->out (if it has one), serf_send(). Its number. */
uint64_t serf_begin(struct serf_client *c, const char *command);
void serf_send(struct serf_client *c);
/* "host", "host:port" or "[ip6]:port", an error in Go's words. In ":port" the host is empty;
 * without a port it stays as it is. */
MU_MUST_CHECK enum mu_code serf_address(const char *text, struct mu_span *host, uint16_t *port,
                                        struct mu_err *err);
/* The next header, and the body behind it: `has_body` is of the answer to the last request, records
 * of streams have one. A body comes behind an error, too, of commands that answer with one. False:
 * c->error says why; an error of the agent's, or "client closed". What was read before is gone. */
bool serf_read(struct serf_client *c, bool has_body, struct serf_reply *out);
/* A text of the answer as bytes: it may hold anything. */
struct mu_span serf_bytes(const struct ipc_value *map, const char *name);
const struct ipc_value *serf_find(const struct ipc_value *map, const char *name);
/* Members, all or as filtered: a list in `c`, NULL: c->error. */
const struct ipc_value *serf_members(struct serf_client *c);

/* -- serf_agent.c: `serf agent` ------------------------------------------------------------------
 */

struct config;
int serf_run_agent(struct cli *cli, int argc, const char *const *argv);
void serf_agent_started(const struct config *c); /* says that it runs, and how */
void serf_agent_show_log(void);                  /* what was held back until now, and from now on */
/* What stands before the name of a command in "Usage: ...": as it was typed. */
const char *serf_words(const struct cli *cli);
void serf_agent_log(enum mu_log_level level); /* in Serf's form; from now on at that level */

/* -- what commands have in common ---------------------------------------------------------------
 */

/* "prefix: text" on `out`; 1. */
int serf_fail(struct cli *cli, const char *prefix, const char *text);
/* A sentence, an empty line, the help; 1. NULL: only the help. */
int serf_usage(struct cli *cli, const char *sentence);
void serf_print_flag_error(struct cli *cli, const struct mu_err *err); /* in Serf's words */
/* Indented by two, as the stock command has it. */
void serf_print_json(struct cli *cli, const struct mu_buf *text);

extern const struct cli_command serf_commands[];
extern const size_t serf_commands_count;

typedef int serf_run_fn(struct cli *cli, const void *options, int argc, const char *const *argv);
serf_run_fn serf_run_event, serf_run_force_leave, serf_run_info, serf_run_join, serf_run_keygen,
    serf_run_keys, serf_run_leave, serf_run_members, serf_run_monitor, serf_run_query,
    serf_run_reachability, serf_run_rtt, serf_run_tags, serf_run_version;
extern const struct cli_options serf_event_options, serf_force_leave_options, serf_info_options,
    serf_join_options, serf_keys_options, serf_leave_options, serf_members_options,
    serf_monitor_options, serf_query_options, serf_reachability_options, serf_rtt_options,
    serf_tags_options;

#endif
