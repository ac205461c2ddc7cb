/* rpc_conn.h - what rpc_uv.c (sockets) and rpc_stream.c (streams) share; private to the two.
 *
 * Thread:  the loop's.
 */
#ifndef AGENT_RPC_CONN_H
#define AGENT_RPC_CONN_H

#include "base/buf.h"
#include "base/list.h"
#include "proto/grpc.h"
#include "proto/h2.h"
#include "rpc.h"
#include "timer.h"

struct rpc_conn {
    struct rpc *rpc;
    struct rpc_link *link; /* outgoing, until it is hung up; else NULL */
    struct mu_h2 *h2;
    struct mu_link place, dirty;
    struct mu_link streams; /* struct stream.place */
    struct timer hello_timer;
    struct rpc_identity peer;
    size_t held_bytes;   /* of messages that are not complete yet */
    size_t queued_bytes; /* not sent yet; as counted in the hub */
    bool is_incoming, is_known, is_closing;
};

enum stream_kind { STREAM_CALL, STREAM_OUT, STREAM_IN };

/* What hangs on an HTTP/2 stream: the first member of each kind's struct. */
struct stream {
    enum stream_kind kind;
    int32_t id;
    struct rpc_conn *conn; /* NULL once it has ended */
    struct mu_link place;
    struct mu_grpc_in in;
};

struct rpc_call {
    struct stream s;
    struct rpc_link *link; /* while it waits for the link */
    struct mu_link waiting;
    enum rpc_method method;
    struct mu_buf message; /* while it waits */
    struct mu_buf answer;
    bool has_answer;
    bool has_status;
    enum mu_code code;
    struct mu_err err;
    uint64_t timeout_ms;
    struct timer timer;
    rpc_answer_fn *done;
    void *data;
};

struct rpc_stream {
    struct stream s;
    enum rpc_method method;
};

struct rpc_request {
    struct stream s;
    enum rpc_method method;
    bool is_answered;
    bool was_called;
    void *data;
};

struct rpc_link {
    struct rpc_conn *conn; /* NULL once it is down */
    struct rpc *rpc;
    bool has_expect, is_up;
    struct mu_id expect;
    struct mu_addr to;
    rpc_link_fn *changed;
    void *data;
    struct mu_link waiting; /* struct rpc_call.waiting */
    struct rpc_stream *streams[RPC_METHODS];
};

struct rpc {
    struct timers *timers;
    struct rpc_options options;
    struct mu_link conns, dirty;
    size_t incoming;
    uint64_t requests;
    struct rpc_held held;
    uint64_t faults;           /* connections that were closed or not taken: said, and counted */
    uint64_t faults_said;      /* of these, in log lines so far */
    uint64_t faults_minute_ms; /* when the time began in which so many lines were written */
    unsigned faults_lines;
    uint64_t faults_gist[MU_RPC_FAULT_LINES]; /* of each line: said once in that time */
    size_t handles; /* open uv handles; the last one to close ends us */
    bool is_listening, is_closing;
    struct mu_addr address;
    rpc_closed_fn *closed;
    void *closed_data;
};

/* -- sockets (rpc_uv.c) ------------------------------------------------------------------------ */

/* There may be bytes to write: they go out at the end of this turn. */
void rpc_conn_mark(struct rpc_conn *c);

/* Close and end everything on it; `why` is what its link is told. Harmless when closing already. */
void rpc_conn_close(struct rpc_conn *c, const char *why);

/* Bytes for it were queued, or went: count them. */
void rpc_conn_count(struct rpc_conn *c);

/* -- streams (rpc_stream.c) -------------------------------------------------------------------- */

/* What HTTP/2 reports of a connection; their data is the struct rpc_conn. */
extern const struct mu_h2_events rpc_h2_events;

/* The connection is closing: end what hangs on the stream, and free it. */
void rpc_stream_lost(struct stream *s);

/* Take the stream off its connection; what came late is ignored. */
void rpc_stream_detach(struct stream *s);

/* Send a call over a connection that is up; false: the peer takes no more streams. */
bool rpc_call_send(struct rpc_call *call, struct rpc_conn *c, struct mu_span message);

/* Report the end and free the call; `text`, when given, becomes the error's. */
void rpc_call_end(struct rpc_call *call, enum mu_code code, const char *text);

/* The same from a later turn: its link is being hung up by somebody's code. */
void rpc_call_end_later(struct rpc_call *call, struct timers *timers, enum mu_code code);

#endif
