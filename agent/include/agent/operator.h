/* operator.h - what operators see of the servers, and change about them (spec/http-api.md 12).
 *
 * The configuration of consensus is seen on every server as it is there; health and changes are the
 * leader's: ask agent_leads() first, and forward what this server cannot answer
 * (agent_forward_leader).
 *
 * Thread, memory, errors: as in agent.h. Views live until the call returns.
 */
#ifndef AGENT_OPERATOR_H
#define AGENT_OPERATOR_H

#include "agent/agent.h"

/* -- the servers of the configuration ---------------------------------------------------------- */

#define AGENT_SERVER_ADDRESS_MAX 64

struct agent_raft_server {
    struct mu_id id;
    const char *name;                       /* "(unknown)" when gossip knows nobody with this id */
    char address[AGENT_SERVER_ADDRESS_MAX]; /* of its RPC port; "" when nobody knows */
    bool is_leader, is_voter;
};
typedef void agent_raft_server_fn(void *data, const struct agent_raft_server *server);
/* In the order of their ids. Returns the index of the log entry that made the configuration; 0: the
 * first one, or none yet. */
uint64_t agent_each_raft_server(struct agent *a, agent_raft_server_fn *each, void *data);

/* By the text of an id or an address, as in the list; one of them is empty. MU_NOT_FOUND with the
 * API's text: `id "x" was not found in the Raft configuration`. */
MU_MUST_CHECK enum mu_code agent_raft_find(struct agent *a, struct mu_span id,
                                           struct mu_span address, struct mu_id *out,
                                           struct mu_err *err);

/* Change it, while this server leads. MU_OK: it is done; else the API's text in err: MU_NOT_LEADER,
 * MU_BUSY (another change is under way), MU_NOT_FOUND, MU_CONFLICT (as things are it cannot be),
 * MU_TIMEOUT, MU_LOST (look at the configuration). */
void agent_raft_remove(struct agent *a, const struct mu_id *server, agent_done_fn *done,
                       void *data);
/* MU_ID_NONE: to the voter that is best prepared. */
void agent_raft_transfer(struct agent *a, const struct mu_id *server, agent_done_fn *done,
                         void *data);

/* -- the state as an archive (http-api 13) ----------------------------------------------------- */

/* One archive (agent/archive.h) on its way to an operator: of the state of this server, or on a
 * client agent of one that is asked, which holds at least what was committed when it was asked for
 * (unless AGENT_STALE). It is made on disk first, so that its length is known and its reader may be
 * slow; then its pieces are asked for one by one.
 *
 * `begun` is told once, then `piece` once for each agent_save_next(), neither from inside a call.
 * With an error the save has ended and is gone: MU_BUSY (some at a time), MU_FULL (no room to make
 * it), MU_TOO_BIG (above 8 GiB of state), MU_LOST (the server that made it is gone), MU_NO_LEADER
 * and the like, MU_CANCELLED (the agent stops). */
struct agent_save; /* opaque */

struct agent_saved {
    uint64_t index; /* of the state in it */
    uint64_t bytes; /* of the archive */
    bool known_leader;
    uint64_t last_contact_ms;
};
struct agent_save_events {
    void (*begun)(void *data, const struct agent_saved *saved, const struct mu_err *err);
    /* At most AGENT_SAVE_PIECE_BYTES, borrowed; empty: that was all. */
    void (*piece)(void *data, struct mu_span piece, const struct mu_err *err);
};
#define AGENT_SAVE_PIECE_BYTES (256U * 1024)

struct agent_save *agent_save(struct agent *a, enum agent_consistency consistency,
                              const struct agent_save_events *events, void *data);
void agent_save_next(struct agent_save *s);                  /* one at a time, once it has begun */
void agent_save_seek(struct agent_save *s, uint64_t offset); /* where the next piece begins */
/* No callback after this. Not after an error: it is gone then. */
void agent_save_end(struct agent_save *s);

/* An archive on its way to us, in pieces, kept on disk. `moved` is told from the loop whenever some
 * of it was written: stop adding while it is full. */
struct agent_upload; /* opaque */

#define AGENT_UPLOAD_QUEUE_BYTES (1024U * 1024)

struct agent_upload *agent_upload(struct agent *a, void (*moved)(void *data), void *data);
void agent_upload_add(struct agent_upload *u, struct mu_span bytes); /* copied */
uint64_t agent_upload_bytes(const struct agent_upload *u);           /* added so far */
bool agent_upload_is_full(struct agent_upload *u);
void agent_upload_end(struct agent_upload *u); /* given up; NULL is fine */

/* An archive, which is *given*, becomes the state of all servers: on any agent. It is checked to
 * its end, and tried, before anything changes. MU_OK: it is, and whoever reads now sees it. Else
 * err says why: MU_CORRUPT, MU_UNSUPPORTED (not an archive, not of this version), MU_BUSY (one at a
 * time on one agent), MU_CONFLICT (somebody else has begun one), MU_FULL, MU_NO_LEADER and the like
 * (nothing has changed), MU_LOST (look which state there is). */
void agent_snapshot_restore(struct agent *a, struct agent_upload *archive, agent_done_fn *done,
                            void *data);

/* -- what lies on disk, read again ------------------------------------------------------------- */

struct agent_scrub {
    const char *reading; /* "state", "log", or "": nothing is read now */
    uint64_t bytes;      /* read by this pass, or by the last one */
    uint64_t passes;     /* whole ones, since this agent was started */
    uint64_t damages;    /* found since then */
    int64_t last_s;      /* wall clock: the end of the last whole pass; 0: there was none */
    int64_t next_s;      /* when the next one is due; 0: when asked for, or one is under way */
    bool shedding;       /* a damaged segment of the log has not left it yet */
    int64_t found_s;     /* when damage was found last, also before this start; 0: never */
    const char *found;   /* what and where */
    const char *error;   /* why the last pass could not be ended; "": it could */
};
/* On servers. Views live until the call returns. */
void agent_scrub(const struct agent *a, struct agent_scrub *out);
/* On servers: begin a pass now; one that is under way is fine. MU_BUSY: it has no state of its
 * cluster yet. */
MU_MUST_CHECK enum mu_code agent_scrub_start(struct agent *a, struct mu_err *err);

/* -- health: while this server leads ----------------------------------------------------------- */

struct agent_server_health {
    struct agent_raft_server server;
    const char *status;       /* "alive", "leaving", "left", "failed", or "none" */
    struct mu_span version;   /* "1.9.8" */
    uint32_t command_level;   /* that it understands; 0: it has not told this leader */
    uint64_t last_contact_ms; /* since it answered the leader; UINT64_MAX: not in this term */
    uint64_t last_term, last_index;
    bool is_healthy;
    int64_t stable_since_ns; /* wall clock: since when it is, or is not */
};
typedef void agent_health_fn(void *data, const struct agent_server_health *health);

struct agent_servers_health {
    bool is_healthy; /* all are */
    unsigned failure_tolerance;
};
/* MU_NOT_LEADER: only a leader knows; MU_IO and the like: the catalog cannot be read. */
MU_MUST_CHECK enum mu_code agent_servers_health(struct agent *a, struct agent_servers_health *out,
                                                agent_health_fn *each, void *data,
                                                struct mu_err *err);

#endif
