/* rpc.h - agent to agent: calls and endless streams over HTTP/2 with gRPC framing (DESIGN 2.7).
 *
 * A link is one connection that we dialled; Hello is the first call on it, everything else waits
 * until the other side has answered it. Incoming connections serve the table of methods that the
 * agent hands in. Connections are few and long-lived; consensus has links of its own.
 *
 * Life:    rpc_new -> rpc_listen -> ... -> rpc_close (frees itself when the last handle is closed).
 * Thread:  the loop's.
 * Memory:  messages given are copied; messages in callbacks are borrowed.
 * Errors:  a call ends exactly once, never from inside rpc_call(): MU_UNREACHABLE when it was
 *          certainly not sent, MU_LOST when it was sent and the connection broke, MU_TIMEOUT, and
 *          what the other side answered.
 */
#ifndef AGENT_RPC_H
#define AGENT_RPC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/span.h"

struct uv_loop_s;
struct timers;
struct mu_tls_context;

#define RPC_VERSION 1

struct rpc;         /* opaque: listener and all connections */
struct rpc_link;    /* opaque: one outgoing connection */
struct rpc_call;    /* opaque: one call that we made */
struct rpc_request; /* opaque: one call made to us */
struct rpc_stream;  /* opaque: one endless stream that we send on */

/* Who speaks, from Hello. */
struct rpc_identity {
    struct mu_id node, disk, cluster; /* disk and cluster: servers only */
    char name[MU_NODE_NAME_MAX + 1];
    char datacenter[64];
    bool is_server;
    uint64_t boot_id;
};

enum rpc_method {
    RPC_HELLO, /* handled inside */
    RPC_RAFT,  /* an endless stream of messages to us; no answer */
    RPC_PROPOSE,
    RPC_READ_INDEX,
    RPC_SERVE,
    RPC_RESOLVE,
    RPC_NODE,
    RPC_RENEW,
    RPC_SAVE,
    RPC_RECOVER,
    RPC_METHODS
};
const char *rpc_method_path(enum rpc_method method); /* "/muster.peer.Peer/Propose" */

/* What a method does when it is called. */
struct rpc_handler {
    /* A call: answer exactly once with rpc_reply() or rpc_refuse(), now or later. A stream: called
     * for each message; rpc_refuse() ends it. NULL: MU_UNSUPPORTED. */
    void (*message)(void *data, struct rpc_request *request, struct mu_span message);
    /* The asker is gone; the request may not be answered any more. Only when it was not answered.
     * A stream: it has ended. May be NULL. */
    void (*gone)(void *data, struct rpc_request *request);
};

/* TLS with a key of the keyring, and how strict it is meant (as struct gossip_sealing). */
struct rpc_sealing {
    struct mu_tls_context *tls; /* borrowed; NULL: everything is in clear */
    bool takes_clear;           /* a connection that begins in clear is taken all the same */
    bool sends_clear;           /* those we dial are in clear */
};

struct rpc_options {
    /* Ours, asked at each Hello: disk and cluster change when a cluster forms. */
    void (*identity)(void *data, struct rpc_identity *out);
    /* Is this peer welcome? MU_OK, or why not (it is told). Both directions. */
    enum mu_code (*welcome)(void *data, const struct rpc_identity *peer, struct mu_err *err);
    struct rpc_handler handlers[RPC_METHODS];
    void *data;
    struct rpc_sealing sealing;
};

struct rpc *rpc_new(struct uv_loop_s *loop, struct timers *timers,
                    const struct rpc_options *options);
/* Errors: MU_IO "listen tcp 127.0.0.1:8300: bind: address already in use". */
MU_MUST_CHECK enum mu_code rpc_listen(struct rpc *r, const struct mu_addr *at, struct mu_err *err);
struct mu_addr rpc_address(const struct rpc *r); /* with the port that was bound */
uint64_t rpc_requests(const struct rpc *r);      /* calls that were served, of peer streams none */
/* Bytes that were not sent yet: on connections that others made, mostly answers, and on ours. */
struct rpc_held {
    uint64_t answers_bytes, answers_most, calls_bytes, calls_most;
};
struct rpc_held rpc_held(const struct rpc *r);
uint64_t rpc_faults(const struct rpc *r); /* connections closed for what came, or not taken */
/* From now on, for connections yet to be made. */
void rpc_seal(struct rpc *r, const struct rpc_sealing *sealing);
/* Write what is queued, without waiting for the end of this turn. Not from inside a handler. */
void rpc_flush(struct rpc *r);
typedef void rpc_closed_fn(void *data);
void rpc_close(struct rpc *r, rpc_closed_fn *closed, void *data);

/* -- out --------------------------------------------------------------------------------------- */

/* State of a link, told once per change and never from inside a call: up (Hello was answered) or
 * down (`why` says it; the link is finished, free it with rpc_hang_up()). */
typedef void rpc_link_fn(void *data, struct rpc_link *link, bool is_up, const char *why);

/* Dial. With `expect` the answer to Hello must carry that node id. */
struct rpc_link *rpc_dial(struct rpc *r, const struct mu_addr *to, const struct mu_id *expect,
                          rpc_link_fn *changed, void *data);
/* End it: calls in flight end with MU_LOST or MU_UNREACHABLE (their callbacks run later, unless
 * cancelled), `changed` is not called any more. */
void rpc_hang_up(struct rpc_link *link); /* NULL is fine */
bool rpc_is_up(const struct rpc_link *link);
const struct rpc_identity *rpc_peer(const struct rpc_link *link); /* once it is up */

typedef void rpc_answer_fn(void *data, enum mu_code code, struct mu_span answer,
                           const struct mu_err *err);
/* timeout_ms 0: none (blocking reads). Calls made before the link is up wait for it. */
struct rpc_call *rpc_call(struct rpc_link *link, enum rpc_method method, struct mu_span message,
                          uint64_t timeout_ms, rpc_answer_fn *answer, void *data);
void rpc_cancel(struct rpc_call *call); /* no answer after this; the other side is told */

/* Send on the endless stream of `method`, opened by the first message. False: not up, or more than
 * queue_max bytes wait already. */
bool rpc_send(struct rpc_link *link, enum rpc_method method, struct mu_span message,
              size_t queue_max);

/* -- in ---------------------------------------------------------------------------------------- */

const struct rpc_identity *rpc_asker(const struct rpc_request *request);
/* Refused as MU_BUSY instead when answers that were not sent hold too much (MU_RPC_HELD_MAX). */
void rpc_reply(struct rpc_request *request, struct mu_span message);
void rpc_refuse(struct rpc_request *request, enum mu_code code, const char *text);
/* What the handler keeps with a request that it answers later. */
void rpc_set_data(struct rpc_request *request, void *data);
void *rpc_data(const struct rpc_request *request);

#endif
