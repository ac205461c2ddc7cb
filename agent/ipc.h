/* ipc.h - Serf's control port: a session without sockets, its host, and the port.
 *
 * spec/serf-surface.md section 9. A session takes the bytes of one client and appends answers and
 * streamed records to `out`; a header and its body are appended together. What it asks for it asks
 * its host, a table of functions: the agent (ipc_agent.c), or a test.
 *
 * Requests of one client are carried out one after the other; while one waits (join, leave, keys,
 * what must have been told to others, the pause behind a wrong token) what comes behind it is kept,
 * up to one object's bound. In one turn of the loop a session carries out IPC_TURN_REQUESTS; its
 * owner lets it go on in the next one, and reads nothing until then.
 *
 * Thread:  the loop's.
 * Memory:  what functions and callbacks are given is borrowed.
 */
#ifndef AGENT_IPC_H
#define AGENT_IPC_H

#include "agent/agent.h"
#include "agent/ipc_codec.h"
#include "agent/keys.h"
#include "base/buf.h"
#include "gossip/driver.h"
#include "handler_event.h"
#include "ipc_fault.h"

#define IPC_CLIENTS_MAX   256U
#define IPC_OUT_BYTES_MAX (4U * 1024 * 1024) /* a client that does not read is hung up on */
/* All clients together: who holds more than a fair share of it is hung up on first. */
#define IPC_HELD_BYTES_MAX (32U * 1024 * 1024)
#define IPC_HELD_FAIR      (IPC_HELD_BYTES_MAX / IPC_CLIENTS_MAX)
#define IPC_TURN_REQUESTS  16U  /* thousands may have come at once */
#define IPC_STREAM_MAX     512U /* records that wait in one stream; more are dropped */
#define IPC_STREAMS_MAX    64U  /* of one client */
#define IPC_QUERIES_MAX    256U /* asked by one client, not over yet */
#define IPC_PENDING_MAX    512U /* queries told to one client that it may answer */

typedef void ipc_left_fn(void *data);
typedef void ipc_tagged_fn(void *data, const char *error); /* NULL: others have been told */

struct ipc_traffic { /* since the start */
    uint64_t accepted, commands;
};

struct ipc_host {
    void *data;
    const char *auth_key; /* what clients must know; NULL: nothing */
    bool addr16;          /* IPv4 as 16 bytes, for clients of old */
    struct ipc_faults *faults;
    struct ipc_traffic *traffic; /* NULL: nobody wants to know */
    void (*each)(void *data, gossip_member_fn *each, void *each_data);
    /* Unless they fail, `done` comes exactly once, never from inside. */
    enum mu_code (*join)(void *data, const char *const *addresses, size_t count, bool replays,
                         gossip_joined_fn *done, void *done_data, struct mu_err *err);
    enum mu_code (*leave)(void *data, ipc_left_fn *done, void *done_data, struct mu_err *err);
    enum mu_code (*force_leave)(void *data, const char *name, bool prune, struct mu_err *err);
    enum mu_code (*event)(void *data, const char *name, struct mu_span payload, bool coalesce,
                          struct mu_err *err);
    enum mu_code (*tags)(void *data, const struct mu_pairs *set, const struct ipc_texts *remove,
                         ipc_tagged_fn *done, void *done_data, struct mu_err *err);
    /* What was asked for until now has been told to others. `told` comes once, not from inside. */
    void (*spread)(void *data, gossip_told_fn *told, void *told_data);
    /* `over` comes once, after that time or when the host ends. */
    void (*pause)(void *data, uint64_t ms, ipc_left_fn *over, void *over_data);
    enum mu_code (*query)(void *data, const struct gossip_query_params *params,
                          gossip_replied_fn *replied, void *replied_data, uint64_t *id,
                          struct mu_err *err);
    void (*query_forget)(void *data, uint64_t id);
    enum mu_code (*respond)(void *data, uint64_t ltime, uint32_t id, struct mu_span payload,
                            struct mu_err *err);
    void (*stats)(void *data, struct mu_buf *to); /* the body of its answer */
    struct agent_log_follower *(*monitor)(void *data, enum mu_log_level level, agent_log_fn *line,
                                          void *line_data); /* text, first what is kept */
    /* `done` comes exactly once, never from inside. */
    void (*keys)(void *data, enum agent_key_op op, struct mu_span key, agent_keys_fn *done,
                 void *done_data);
    /* Of this node or a member; false: not known. */
    bool (*coordinate)(void *data, const char *node, struct coordinate *out);
};

struct ipc_session; /* opaque */

/* `wake`: bytes are waiting although nothing was fed, or ipc_is_over() became true. */
typedef void ipc_wake_fn(void *data);
struct ipc_session *ipc_session_new(const struct ipc_host *host, const char *peer,
                                    ipc_wake_fn *wake, void *wake_data);
void ipc_session_close(struct ipc_session *s); /* no wake any more; what it waits for is let go */
void ipc_session_feed(struct ipc_session *s, struct mu_span bytes);
bool ipc_session_is_behind(const struct ipc_session *s);  /* requests are left for another turn */
void ipc_session_turn(struct ipc_session *s);             /* this is it */
struct mu_buf *ipc_session_out(struct ipc_session *s);    /* take what is there */
size_t ipc_session_held(const struct ipc_session *s);     /* bytes that wait in it, both ways */
void ipc_session_drained(struct ipc_session *s);          /* the client has read everything */
bool ipc_session_is_over(const struct ipc_session *s);    /* send what is there, then hang up */
bool ipc_session_is_parting(const struct ipc_session *s); /* over, and the client hangs up first */

/* Tags as clients see them: a map without those that begin with "mu_". */
void ipc_put_tags(struct mu_buf *to, const struct mu_pairs *tags);

/* What happened, for the streams that want it: many events of a short time are few by now. */
void ipc_session_event(struct ipc_session *s, const struct handler_event *event);

/* -- ipc_uv.c: the port -------------------------------------------------------------------------
 */

struct uv_loop_s;
struct ipc_port; /* opaque */
typedef void ipc_closed_fn(void *data);
typedef void ipc_session_fn(void *data, struct ipc_session *s);

struct ipc_port *ipc_port_new(struct uv_loop_s *loop, const struct ipc_host *host);
/* Once for each address. MU_IO: "listen tcp 127.0.0.1:7373: bind: address already in use". */
MU_MUST_CHECK enum mu_code ipc_port_listen(struct ipc_port *p, const struct mu_addr *address,
                                           struct mu_err *err);
/* Instead of addresses: a unix socket, for the agent's own user. One that a killed process left is
 * replaced. */
MU_MUST_CHECK enum mu_code ipc_port_listen_path(struct ipc_port *p, const char *path,
                                                struct mu_err *err);
void ipc_port_each(struct ipc_port *p, ipc_session_fn *each, void *data);
/* Hangs up on everybody; `closed` comes once, from the loop, and the port is gone. */
void ipc_port_close(struct ipc_port *p, ipc_closed_fn *closed, void *data);

#endif
