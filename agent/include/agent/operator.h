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

/* Of this server's state as it is now, which is as new as a read that was just confirmed. `archive`
 * (agent/archive.h) is borrowed and may be taken; NULL: err says why, MU_BUSY (one at a time),
 * MU_TOO_BIG (above ARCHIVE_BYTES_MAX), MU_FULL (no room to make it), MU_CANCELLED. */
typedef void agent_saved_fn(void *data, uint64_t index, struct mu_buf *archive,
                            const struct mu_err *err);
void agent_snapshot_save(struct agent *a, agent_saved_fn *done, void *data); /* servers only */

/* An archive, which is *given*, becomes the state of all servers: on any agent. It is checked to
 * its end, and tried, before anything changes. MU_OK: it is, and whoever reads now sees it. Else
 * err says why: MU_CORRUPT, MU_UNSUPPORTED (not an archive, not of this version), MU_BUSY (one at a
 * time on one agent), MU_CONFLICT (somebody else has begun one), MU_FULL, MU_NO_LEADER and the like
 * (nothing has changed), MU_LOST (look which state there is). */
void agent_snapshot_restore(struct agent *a, struct mu_buf *archive, agent_done_fn *done,
                            void *data);

/* -- health: while this server leads ----------------------------------------------------------- */

struct agent_server_health {
    struct agent_raft_server server;
    const char *status;       /* "alive", "leaving", "left", "failed", or "none" */
    struct mu_span version;   /* "1.9.8" */
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
