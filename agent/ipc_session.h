/* ipc_session.h - what the files of a session share: ipc.c (requests), ipc_key.c (keys),
 * ipc_member.c (members), ipc_monitor.c (log), ipc_stream.c (queries and streams). Private to them.
 */
#ifndef AGENT_IPC_SESSION_H
#define AGENT_IPC_SESSION_H

#include "base/list.h"
#include "ipc.h"

struct stream {
    struct mu_link place;
    uint64_t seq;
    char *filter;     /* checked: "user:deploy,query" */
    unsigned waiting; /* records since the client had read everything */
};

struct asked { /* a query of this client */
    struct mu_link place;
    struct ipc_session *session;
    uint64_t seq, id;
};

struct pending { /* a query that this client may answer */
    uint64_t local, ltime;
    uint32_t id;
};

struct ipc_session {
    struct ipc_host host;
    char *peer; /* for log lines */
    ipc_wake_fn *wake;
    void *wake_data;
    struct mu_buf in, out;
    bool is_greeted, is_authed, is_over, is_closed;
    bool has_left;       /* what it asked last is answered */
    bool is_waiting;     /* join, leave or keys: waiting_seq is answered later */
    bool is_behind;      /* requests that came are left for another turn */
    bool may_have_empty; /* the last command has no body; some clients send an empty one */
    uint64_t waiting_seq;
    const char *waiting_error; /* of what has to be told: when it was not in time */
    unsigned wrong_tokens;
    struct mu_link streams, asked;
    size_t streams_count, asked_count;
    struct agent_log_follower *monitor; /* NULL: none */
    uint64_t monitor_seq;
    unsigned monitor_waiting;                /* records since the client had read everything */
    struct pending pending[IPC_PENDING_MAX]; /* a ring by local id */
    uint64_t last_local;
};

struct request {
    uint64_t seq;
    struct ipc_fields body;
    struct mu_arena *arena;
};

/* ipc.c */
void ipc__put_header(struct ipc_session *s, uint64_t seq, const char *error);
void ipc__put_number(struct mu_buf *to, const char *name, uint64_t value);
void ipc__hang_up(struct ipc_session *s, enum ipc_fault why, const char *detail);
void ipc__answer(struct ipc_session *s, const struct request *r, enum mu_code rc,
                 const struct mu_err *err);
bool ipc__is_sound(struct ipc_session *s, const struct request *r); /* false: hung up */

/* What the session waited for has come: false, nobody is there any more. Else answer it, and go on
 * with ipc__request_next(). */
bool ipc__wait_over(struct ipc_session *s);
void ipc__request_next(struct ipc_session *s);

/* ipc_key.c */
void ipc__on_install_key(struct ipc_session *s, struct request *r);
void ipc__on_use_key(struct ipc_session *s, struct request *r);
void ipc__on_remove_key(struct ipc_session *s, struct request *r);
void ipc__on_list_keys(struct ipc_session *s, struct request *r);

/* ipc_member.c */
struct ipc__member {
    const char *name;
    struct mu_addr addr;
    struct mu_pairs tags;
    enum gossip_status status;
};
void ipc__put_member(struct ipc_session *s, const struct ipc__member *m);
void ipc__on_members(struct ipc_session *s, struct request *r);
void ipc__on_members_filtered(struct ipc_session *s, struct request *r);

/* ipc_monitor.c */
void ipc__on_monitor(struct ipc_session *s, struct request *r);

/* ipc_stream.c */
void ipc__on_query(struct ipc_session *s, struct request *r);
void ipc__on_respond(struct ipc_session *s, struct request *r);
void ipc__on_stream(struct ipc_session *s, struct request *r);
void ipc__on_stop(struct ipc_session *s, struct request *r);
void ipc__streams_close(struct ipc_session *s); /* and queries */

#endif
