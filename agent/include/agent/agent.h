/* agent.h - this node: identity, local registrations, membership, and the way in for every request.
 *
 * One process, one agent. On a server a request ends in consensus and the catalog; on a client
 * agent it is forwarded whole to a server. The front doors (web/) see only this header: they do
 * not know that gossip or consensus exist.
 *
 * Life:    agent_new -> agent_start -> ... -> agent_stop -> (stopped callback) -> agent_free; a
 *          start that failed is stopped in the same way.
 * Thread:  the loop's.
 * Memory:  results in callbacks are *borrowed*.
 * Errors:  MU_NO_LEADER ("No cluster leader"), MU_NO_SERVERS ("No known Consul servers"),
 *          MU_BUSY, MU_LOST ("outcome unknown"), MU_CANCELLED at stop, and what each call says.
 *          Callbacks come exactly once, from the loop, never from inside the submitting call.
 */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/config.h"
#include "agent/local.h"
#include "base/addr.h"
#include "base/err.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/rand.h"
#include "base/span.h"
#include "catalog/cache.h"
#include "catalog/query.h"
#include "catalog/watch.h"
#include "proto/command.h"
#include "proto/h1.h"

#define AGENT_CONSUL_VERSION "1.9.8" /* what Consul's clients look for */
#define AGENT_MUSTER_VERSION "0.1.0"

struct uv_loop_s;
struct agent; /* opaque */

/* -- life -------------------------------------------------------------------------------------- */

/* Why the process should end. */
enum agent_end {
    AGENT_LEFT = 0,   /* left gracefully: exit 0 */
    AGENT_FAILED = 1, /* anything else: exit 1 */
    AGENT_AGAIN = 2,  /* start over, in the same process: as a new server, or with another state */
};

struct agent_owner {
    /* The agent wants the process to end (left on request, join exhausted, storage failed): stop
     * the front doors, then call agent_stop(). At most once, never from inside a call. */
    void (*ended)(void *data, enum agent_end how);
    void *data;
};

/* Data directory, identity, lock. The config is borrowed until agent_free(), and changed by
 * agent_reload() only. Errors as
 * agent-behaviour 1.1 words them. */
MU_MUST_CHECK enum mu_code agent_new(struct agent **out, struct uv_loop_s *loop,
                                     struct config *config, const struct agent_owner *owner,
                                     struct mu_err *err);
/* Gossip, consensus, RPC, restored services and checks. Listeners of the front doors come between
 * this and agent_join_configured(). */
MU_MUST_CHECK enum mu_code agent_start(struct agent *a, struct mu_err *err);
void agent_join_configured(struct agent *a); /* begin the retry_join loop */

/* `serf agent`: try each address of start_join once, and begin the loop when one answered. MU_OK:
 * `contacted` of them did. MU_CONFLICT: another node holds our name or id, it is tried again for a
 * while. MU_UNREACHABLE: none did, and `why` has a line of each. Does not come when this agent
 * leaves or stops before. */
typedef void agent_join_first_fn(void *data, unsigned contacted, enum mu_code code,
                                 const char *why);
void agent_join_first(struct agent *a, agent_join_first_fn *done, void *data);
typedef void agent_stopped_fn(void *data);
/* Give away what others can take over, leadership of the servers above all, while everything still
 * works: before the front doors are closed. Takes at most an election timeout; `done` never comes
 * from inside this call. */
void agent_part(struct agent *a, agent_stopped_fn *done, void *data);
void agent_stop(struct agent *a, agent_stopped_fn *stopped, void *data);
void agent_free(struct agent *a); /* NULL is fine */

/* Read the configuration's sources again, and apply what needs no restart (agent-behaviour 15).
 * `restart`: keys that differ and do need one, "" for none. Errors: those of loading, and what a
 * running agent cannot take; nothing has changed then. */
typedef void agent_reloaded_fn(void *data, enum mu_code code, const char *restart,
                               const struct mu_err *err);
void agent_reload(struct agent *a, agent_reloaded_fn *done, void *data);

/* -- who we are -------------------------------------------------------------------------------- */

const struct config *agent_config(const struct agent *a);
bool agent_is_server(const struct agent *a);
const char *agent_node_name(const struct agent *a);
void agent_node_id(const struct agent *a, char out[MU_ID_TEXT_BYTES + 1]);
const char *agent_datacenter(const struct agent *a);
struct mu_addr agent_advertised(const struct agent *a); /* with the serf_lan port */
struct mu_rand *agent_rand(struct agent *a);            /* for jitter and shuffles */
struct uv_loop_s *agent_loop(struct agent *a);
uint64_t agent_now_ms(const struct agent *a); /* the loop's time: monotonic, cached per turn */
void agent_print_banner(const struct agent *a, struct mu_buf *to); /* agent-behaviour 1.1 */
/* The two-level object of strings that agent/self shows as Stats. */
void agent_stats(struct agent *a, struct mu_json_out *o);

/* -- local registrations (http-api 3.3, 3.4) --------------------------------------------------- */

struct local *agent_local(struct agent *a); /* for reading */

/* Done when it is stored here and one sync to the catalog was tried (its failure is only logged).
 */
typedef void agent_done_fn(void *data, enum mu_code code, const struct mu_err *err);
void agent_service_register(struct agent *a, const struct service_definition *d,
                            bool replace_checks, agent_done_fn *done, void *data);
void agent_service_deregister(struct agent *a, struct mu_span id, agent_done_fn *done, void *data);
void agent_check_register(struct agent *a, const struct check_definition *d, agent_done_fn *done,
                          void *data);
void agent_check_deregister(struct agent *a, struct mu_span id, agent_done_fn *done, void *data);
/* TTL checks: pass, warn, fail, update. MU_NOT_FOUND: unknown, or not a TTL check (texts 3.4). */
void agent_check_ttl(struct agent *a, struct mu_span id, enum check_status status,
                     struct mu_span output, agent_done_fn *done, void *data);
/* Maintenance of the node (empty id) or a service (http-api 3.6). */
void agent_maintenance(struct agent *a, struct mu_span service_id, bool enable,
                       struct mu_span reason, agent_done_fn *done, void *data);

/* -- members (http-api 3.2) -------------------------------------------------------------------- */

struct agent_member {
    const char *name;
    struct mu_addr addr;
    struct mu_pairs tags; /* without those that begin with mu_; sorted */
    int status;           /* 0 none, 1 alive, 2 leaving, 3 left, 4 failed */
    uint8_t versions[6];  /* as Consul shows them: 1 5 2 2 5 4 */
    const char *degraded; /* NULL, or the way by UDP that carries nothing (spec/gossip.md 17) */
};
typedef void agent_member_fn(void *data, const struct agent_member *member);
void agent_each_member(struct agent *a, agent_member_fn *each, void *data);
bool agent_find_member(struct agent *a, const char *name, struct agent_member *out);

/* err carries the multi-line text of http-api 3.2. */
void agent_join(struct agent *a, const char *address, agent_done_fn *done, void *data);
/* Graceful leave: `done` when others know; then the owner's `ended` comes with AGENT_LEFT. A
 * second call while leaving answers at once. */
void agent_leave(struct agent *a, agent_done_fn *done, void *data);
/* `done` when others were told. MU_NOT_FOUND: "agent: No node found with name 'nope'";
 * MU_TIMEOUT. */
void agent_force_leave(struct agent *a, const char *name, bool prune, agent_done_fn *done,
                       void *data);

/* -- user events (http-api 8) --------------------------------------------------------------------
 */

struct agent_event {
    struct mu_id id;
    struct mu_span name, payload;
    struct mu_span node_filter, service_filter, tag_filter; /* patterns; empty: all */
    unsigned version;
    uint64_t ltime; /* 0 until it was heard */
};
/* Send to all agents, ourselves included; id and version are filled in. Everything is copied.
 * MU_INVALID: a filter; MU_TOO_BIG: name and payload with what surrounds them. */
MU_MUST_CHECK enum mu_code agent_event_fire(struct agent *a, struct agent_event *event,
                                            struct mu_err *err);
/* The last MU_EVENTS_MAX that this agent heard and is meant by, oldest first. */
typedef void agent_event_fn(void *data, const struct agent_event *event);
void agent_each_event(const struct agent *a, agent_event_fn *each, void *data);

/* -- the log, as it goes on (http-api 3.1) ------------------------------------------------------
 */

struct agent_log_line {
    enum mu_log_level level;
    uint64_t wall_ns;
    struct mu_span text; /* without its newline */
    uint64_t dropped;    /* so many before it were lost, since the log is faster than the loop */
};

/* Borrowed for the call. From the loop, never from inside agent_log_follow(). */
typedef void agent_log_fn(void *data, const struct agent_log_line *line);
struct agent_log_follower; /* opaque */
struct agent_log_follower *agent_log_follow(struct agent *a, enum mu_log_level level,
                                            enum mu_log_form form, agent_log_fn *line, void *data);
/* No call after this; also from inside one. Before agent_free(). */
void agent_log_unfollow(struct agent_log_follower *who);

/* -- writes: on servers ------------------------------------------------------------------------ */

/* Carry out one command, once: proposed here if this server leads, else at the leader; while there
 * is none it is held for rpc_hold_timeout. MU_LOST only when that time is over and an earlier try
 * may have been accepted. The stamp and origin are set on the way. The command is copied. code and
 * text are the command's own result (CAS mismatch is MU_OK with did_apply false). index: where it
 * is applied; agent_read, AGENT_STALE too, shows a state that contains it. */
struct agent_written {
    enum mu_code code;
    bool did_apply;
    uint64_t index;
    const char *text;    /* with a code other than MU_OK */
    struct mu_span data; /* what else the command answers, by its kind */
};
typedef void agent_written_fn(void *data, const struct agent_written *written);
void agent_write(struct agent *a, const struct command *command, agent_written_fn *done,
                 void *data);

/* -- sessions: on servers -----------------------------------------------------------------------
 */

/* Give a session its full time again, wherever the leader is; held while there is none. When it is
 * done this server shows the state that the leader judged by. MU_NOT_FOUND: there is no such
 * session, or its time was over. */
void agent_session_renew(struct agent *a, const struct mu_id *id, agent_done_fn *done, void *data);

/* -- reads: on servers ------------------------------------------------------------------------- */

enum agent_consistency {
    AGENT_DEFAULT, /* linearizable, as AGENT_CONSISTENT: ReadIndex */
    AGENT_CONSISTENT,
    AGENT_STALE, /* the local state, also without a leader */
};

struct agent_view { /* valid during the callback */
    struct catalog_reader *reader;
    bool known_leader;
    bool has_state;           /* false: it is lost, and another one on its way */
    bool is_behind;           /* of writes that were answered here: agent_read waits for them */
    uint64_t last_contact_ms; /* since this server heard from the leader; 0 on the leader */
};
/* code MU_OK: query `view->reader` now. */
typedef void agent_read_fn(void *data, enum mu_code code, const struct agent_view *view,
                           const struct mu_err *err);
struct agent_read; /* opaque */
struct agent_read *agent_read(struct agent *a, enum agent_consistency consistency,
                              agent_read_fn *ready, void *data);
/* The state is read without waiting for the disk (catalog_prompt_begin), and `miss` was not in
 * memory: `ready`, with the state as it is then, once it is. */
struct catalog_miss;
struct agent_read *agent_fetch(struct agent *a, const struct catalog_miss *miss,
                               agent_read_fn *ready, void *data);
void agent_read_cancel(struct agent_read *r); /* no callback after this */

/* The state as it is here and now, without asking anybody: stale reads that need no callback
 * (unless it is behind), and the re-evaluation of a read that a watch woke. Servers only. */
struct agent_view agent_view_now(struct agent *a);
struct catalog_watch *agent_watch(struct agent *a); /* servers only */
/* How often a snapshot took the place of the state in this life; before watches of it fire. */
uint64_t agent_restores(const struct agent *a);
struct catalog_cache *agent_cache(struct agent *a); /* servers only */

/* -- forwarding: on client agents ---------------------------------------------------------------
 */

struct agent_http_request {
    struct mu_span method, target;   /* as the client sent them; ?dc=, near=_agent filled in */
    const struct mu_header *headers; /* those that matter to the answer */
    size_t headers_count;
    struct mu_span body;
    struct mu_addr client;
    struct mu_span node; /* coming in: of the client agent that passed it on; Hello said who */
};
struct agent_http_response {
    unsigned status;
    const struct mu_header *headers;
    size_t headers_count;
    struct mu_span body;
};
typedef void agent_http_fn(void *data, enum mu_code code,
                           const struct agent_http_response *response, const struct mu_err *err);
struct agent_forward; /* opaque: one request in flight */
struct agent_forward *agent_forward_http(struct agent *a, const struct agent_http_request *request,
                                         agent_http_fn *done, void *data);
/* On servers: to the leader, held for rpc_hold_timeout while there is none. MU_OK without a
 * response: by now this server leads, carry it out here. */
struct agent_forward *agent_forward_leader(struct agent *a,
                                           const struct agent_http_request *request,
                                           agent_http_fn *done, void *data);
struct agent_dns_request {
    struct mu_span message; /* one whole query */
    bool is_tcp;
    struct mu_addr client;
};
typedef void agent_dns_fn(void *data, enum mu_code code, struct mu_span answer);
struct agent_forward *agent_forward_dns(struct agent *a, const struct agent_dns_request *request,
                                        agent_dns_fn *done, void *data);
void agent_forward_cancel(struct agent_forward *f); /* no callback after this */

/* Bytes that something holds, and the most it ever did. */
struct agent_held {
    uint64_t bytes, most;
};

/* Of HTTP: bodies of requests, and what connections hold (mostly answers that were not taken). */
struct agent_front_held {
    struct agent_held bodies, answers;
    uint64_t evicted_count; /* connections that were closed to make room */
};

#define AGENT_FRONT_RCODES_MAX 8
/* Of DNS since the start: what came, what became of it (spec/dns.md 18). */
struct agent_front_dns {
    uint64_t udp, tcp;       /* messages */
    uint64_t malformed;      /* those that cannot be read */
    uint64_t dropped;        /* those without any answer */
    uint64_t errors_limited; /* errors that were not sent, for there were too many */
    uint64_t stale;          /* answers from rows that may be old */
    uint64_t late;           /* questions whose time ended before anybody answered */
    uint64_t truncated;
    uint64_t skipped;             /* instances that no message can hold */
    const struct mu_sample *took; /* milliseconds of a query that was answered; borrowed */
    struct agent_front_rcode {
        const char *name; /* "NXDOMAIN"; static */
        uint64_t count;
    } rcodes[AGENT_FRONT_RCODES_MAX];
    size_t rcodes_count;
};

/* What web/ hands to the agent at start: how forwarded requests reach the routes. Each answers
 * exactly once through `reply`; `cancel` ends one early (the asker is gone): no reply after it. */
struct agent_front {
    void *(*http)(void *data, const struct agent_http_request *request, agent_http_fn *reply,
                  void *reply_data); /* returns what cancel takes; NULL when already answered */
    void (*http_cancel)(void *data, void *running);
    void *(*dns)(void *data, const struct agent_dns_request *request, agent_dns_fn *reply,
                 void *reply_data);
    void (*dns_cancel)(void *data, void *running);
    /* A service of this agent was set or removed: wakes requests that wait for its hash to change.
     * From the loop, after the change; may be NULL. */
    void (*services_changed)(void *data);
    void (*event_heard)(void *data); /* another one for agent_each_event(); likewise */
    void (*held)(void *data, struct agent_front_held *out);      /* for metrics; may be NULL */
    void (*dns_counts)(void *data, struct agent_front_dns *out); /* likewise */
    void *data;
};
void agent_set_front(struct agent *a, const struct agent_front *front); /* copied; NULL: none */

bool agent_leads(const struct agent *a); /* and has committed an entry of its term */
/* This server's file system is read-only, and another one leads or may: its state stays what it is
 * while theirs goes on. */
bool agent_stands_still(const struct agent *a);

/* -- coordinates (http-api 11) ------------------------------------------------------------------
 */

bool agent_has_coordinates(const struct agent *a); /* false: disable_coordinates */
/* Of this node or a member, as gossip knows it. False: not known. */
bool agent_coordinate(const struct agent *a, const char *node, struct coordinate *out);
void agent_coordinate_json(struct mu_json_out *o, const struct coordinate *c);
/* At the leader: will be in the catalog within seconds, if the node is. A valid one only. Errors:
 * MU_NO_LEADER (it is another one, or none), MU_BUSY. */
MU_MUST_CHECK enum mu_code agent_coordinate_note(struct agent *a, struct mu_span node,
                                                 const struct coordinate *at, struct mu_err *err);

/* -- status (http-api 10) ---------------------------------------------------------------------- */

struct mu_addr agent_leader_address(struct agent *a); /* RPC address; ip_bytes 0: none known */
typedef void agent_address_fn(void *data, const struct mu_addr *address);
/* RPC addresses of the consensus peers that gossip can name. Servers; clients forward the route. */
void agent_each_peer(struct agent *a, agent_address_fn *each, void *data);

#endif
