/* driver.h - the loop around the consensus core: entries in, committed entries out.
 *
 * The driver owns the core, the entry pool and the durable log (store.h, its thread inside). Peers
 * are reached through the vtable of transport.h, which the agent implements on its RPC connections.
 *
 * Life:    new -> start -> stop -> (stopped callback) -> free. Without start only free is left.
 * Thread:  the loop's. The log thread lives inside the store.
 * Memory:  bytes given to propose are *copied*; spans in callbacks are *borrowed*.
 * Errors:  each call and callback says. When the node may not go on (a failed flush, divergence)
 *          `dead` is called once with a sentence; the owner stops the process.
 */
#ifndef CONSENSUS_DRIVER_H
#define CONSENSUS_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "base/span.h"
#include "consensus/consensus.h"
#include "consensus/scrub.h"
#include "consensus/transport.h"

struct uv_loop_s;
struct consensus_driver; /* opaque */

/* Entries that may be applied: in order, without a gap, each exactly once per boot. */
struct consensus_entry_view {
    uint64_t index, term;
    bool is_command;      /* else a no-op or a configuration: only the index moves */
    struct mu_span bytes; /* of a command */
    uint32_t level;       /* of a configuration: of the commands that it allows; else 0 */
    uint64_t ticket;      /* of the proposal on this server that it came from; 0: none */
};

struct consensus_callbacks {
    /* Take these for applying (copy the bytes). Later report with consensus_driver_applied(). */
    void (*apply)(void *data, const struct consensus_entry_view *entries, size_t count);
    /* Role or leader changed. leader: none when unknown. is_ready: this server leads and has
     * committed an entry of its own term. */
    void (*changed)(void *data, const struct mu_id *leader, bool is_leader, bool is_ready);
    /* The cluster was formed or joined: from now on there are voters. Once after each start. */
    void (*formed)(void *data, const struct mu_id *cluster);
    /* This server must stop, now. At most once. */
    void (*dead)(void *data, const char *why);
    /* Does this command free space, so that it is allowed while the disk is full? NULL: none. */
    bool (*is_relief)(void *data, struct mu_span command);
    /* Of the cluster that this command needs. NULL: the first. */
    uint32_t (*level)(void *data, struct mu_span command);
    /* The state of another server differs from this one's: say what this one has. NULL: nothing. */
    void (*state_differs)(void *data);
    /* The state, a copy of another server's, is what others have come to: it is a witness from now
     * on (consensus/sums.c), and so it is to be at the next start. NULL: nobody remembers. */
    void (*state_proven)(void *data);
    /* Work on snapshots: carry out the orders one after the other, beside the loop (`data` of an
     * order is *borrowed* for the call), and answer each but CLOSE and ABANDON by
     * consensus_driver_snapshot(), READ by consensus_driver_chunk(). NULL: none are made or taken.
     */
    void (*snapshot)(void *data, const struct consensus_snap_order *order);
    /* What consensus_driver_relieve() asked for is done. NULL: it is never asked for. */
    void (*relieved)(void *data);
    /* The file system of the log has become read-only, and the log is not touched any more: reads
     * go on, proposals are refused, what was proposed before waits. It stays so until it is opened
     * anew. At most once. NULL: nobody wants to know. */
    void (*read_only)(void *data, const char *why);
    /* What consensus_driver_survey() asked for; *borrowed*. NULL: it is never asked for. */
    void (*surveyed)(void *data, const struct consensus_survey *survey);
};

struct consensus_driver_options {
    struct mu_id server; /* this server: its node id */
    const char *dir;     /* data-dir/consensus: meta and log; created when missing */
    enum consensus_timing timing;
    unsigned multiplier; /* performance.raft_multiplier, 1..10: scales all times */
    unsigned expect;     /* bootstrap_expect; 1 for -bootstrap and -dev; 0: never bootstraps */
    bool was_member;     /* of a cluster that it left: nor does it then; others may add it */
    bool awaits_view;    /* nor before consensus_driver_candidates() */
    const struct consensus_transport *transport; /* borrowed until stopped */
    void *transport_self;
    struct consensus_callbacks callbacks;
    void *callbacks_data;
    uint64_t applied, applied_term; /* what the state contains already */
    uint64_t durable_applied;
    uint32_t state_level; /* of commands: that the state was made for; 0: the first */
    /* There is no state, or none that may be used; `applied` is 0. What the log does not hold any
     * more comes from the leader; without others that could have it, it is not opened. */
    bool lacks_state;
    bool state_is_copy; /* it was installed, and `state_proven` was not called since */
    /* Of a complete state that lies beside it: a crash has interrupted the install of a snapshot.
     * 0: there is none. See consensus_driver_takes_next(). */
    uint64_t next_applied, next_applied_term;
    /* Of the log (consensus/store.h); 0: by the size of the file system, with CONSENSUS_FAST 1 MiB,
     * 1 and 1 MiB. */
    uint32_t segment_bytes, spares_count;
    uint64_t ballast_bytes;
    uint32_t trailing_entries; /* kept of the log behind the state; 0: 10 240 */
    uint32_t trailing_bytes;   /* and no more than so many bytes of it; 0: by the file system */
    bool has_leases;           /* reads without a round, see consensus.h for what that assumes */
    uint32_t level_max;        /* of commands that this server understands; 0: the first */
    uint32_t chunk_bytes;      /* of a snapshot in one message; 0: CONSENSUS_CHUNK_BYTES */
    uint32_t cache_bytes;      /* of entries kept in memory when nobody needs them; 0: 512 KiB */
    uint32_t poll_us; /* how long the loop looks for what a write waits for; 0: it sleeps */
    uint64_t seed;    /* of election times and of ids; 0: the system's */
};

/* Opens the log. Errors: MU_IO, MU_FULL, MU_CORRUPT (file, offset and what to do), MU_FOREIGN (the
 * directory of another node), MU_UNSUPPORTED (written by a newer version). */
MU_MUST_CHECK enum mu_code consensus_driver_new(struct consensus_driver **out,
                                                struct uv_loop_s *loop,
                                                const struct consensus_driver_options *options,
                                                struct mu_err *err);
/* Before start: the log begins behind the next state already, which must be made the state now. */
bool consensus_driver_takes_next(const struct consensus_driver *d);
/* Before start: a state has to come from the leader; else the log leads to it from its beginning.
 */
bool consensus_driver_lacks_state(const struct consensus_driver *d);
/* Before start: damage that the log was opened with and can do without, and the segment to be shed
 * for it. 0: there is none. A view, until the start. */
uint64_t consensus_driver_damage(const struct consensus_driver *d, const char **what);
void consensus_driver_start(struct consensus_driver *d);
typedef void consensus_stopped_fn(void *data);
/* A leader first gives its office away, if another voter can take it, for at most an election
 * timeout. Until `stopped` messages of peers are still wanted. */
void consensus_driver_stop(struct consensus_driver *d, consensus_stopped_fn *stopped, void *data);
void consensus_driver_free(struct consensus_driver *d); /* NULL is fine */

/* -- identity, for gossip tags and Hello ---------------------------------------------------------
 */

struct consensus_identity {
    struct mu_id server, disk, cluster; /* cluster: none while fresh */
    uint64_t epoch;                     /* recovery epoch */
    uint64_t boot_count;
    bool is_fresh; /* an empty store: waits for bootstrap, or to be added */
};
struct consensus_identity consensus_driver_identity(const struct consensus_driver *d);

/* -- work
 * ------------------------------------------------------------------------------------------ */

/* Propose one command. Exactly one of the outcomes of spec 1.5 follows, from the loop, never from
 * inside this call:
 *   MU_OK         committed at `index`; the answer to the client follows after apply (the entry
 *                 carries the ticket)
 *   MU_NOT_LEADER certainly not accepted; ask somebody else
 *   MU_BUSY       refused by a limit; certainly not accepted
 *   MU_NO_LEADER  leads, but without contact to a quorum; certainly not accepted
 *   MU_FULL       no space in this server's data directory; certainly not accepted
 *   MU_READ_ONLY  its file system takes no writes; certainly not accepted
 *   MU_CORRUPT    the states of the servers differ and no majority agrees; certainly not accepted
 *   MU_UNSUPPORTED not every server understands it (status.level); certainly not accepted
 *   MU_LOST       was appended, then leadership went away: outcome unknown
 * Also MU_NOT_LEADER or MU_LOST, by the same meaning, for what waits when it stops. At most
 * MU_COMMAND_BYTES_MAX (asserted: the encoder of commands has checked). Returns the ticket (> 0).
 */
typedef void consensus_proposed_fn(void *data, enum mu_code code, uint64_t index);
uint64_t consensus_driver_propose(struct consensus_driver *d, struct mu_span command,
                                  bool is_awaited, consensus_proposed_fn *done, void *data);

/* What became of an order, from the loop, also from inside the callback. */
void consensus_driver_snapshot(struct consensus_driver *d, enum consensus_snap_event what,
                               const struct consensus_snap *snap, uint64_t offset,
                               enum consensus_snap_fault fault);
/* The bytes that READ asked for; empty: they cannot be read. */
void consensus_driver_chunk(struct consensus_driver *d, const struct consensus_snap *snap,
                            uint64_t offset, struct mu_span data);

/* A linearizable read point (ReadIndex, spec 2.7): MU_OK with the index that must be applied before
 * the read is answered; MU_NOT_LEADER, MU_NO_LEADER, MU_BUSY. Leaders only. */
typedef void consensus_read_fn(void *data, enum mu_code code, uint64_t index);
void consensus_driver_read(struct consensus_driver *d, consensus_read_fn *done, void *data);

/* Change the configuration (spec 2.8), or give leadership away (2.4), to one voter or, with
 * MU_ID_NONE, to the best. Exactly one answer, from the loop, never from inside this call; why: a
 * sentence. MU_OK         committed at `index` (of REPLACE: the joint step; the rest follows by
 * itself), or this server leads no more MU_NOT_LEADER certainly not accepted; ask somebody else
 *   MU_NO_LEADER  no contact to a quorum, a slow disk, or leadership is being given away; try again
 *   MU_BUSY       another change is under way, or the leader is too new; try again
 *   MU_NOT_FOUND, MU_EXISTS, MU_CONFLICT, MU_DENIED   as things are it cannot be; `why` says why
 *   MU_TIMEOUT    the other server did not take over in time; this one goes on
 *   MU_LOST       was appended, then leadership went away: look at the configuration */
typedef void consensus_wished_fn(void *data, enum mu_code code, const char *why, uint64_t index);
void consensus_driver_change(struct consensus_driver *d, const struct consensus_change *change,
                             consensus_wished_fn *done, void *data);
void consensus_driver_transfer(struct consensus_driver *d, const struct mu_id *target,
                               consensus_wished_fn *done, void *data);

/* Report progress of the apply thread, and what the state added up to on the way: after every entry
 * whose index is a multiple of CONSENSUS_SUM_EVERY, ascending. */
#define CONSENSUS_SUM_EVERY 256
void consensus_driver_applied(struct consensus_driver *d, uint64_t index, uint64_t durable_index,
                              const struct consensus_sum *sums, size_t sums_count);

/* How much a snapshot of the state would be, about; counts from the next progress on. 0: not known.
 */
void consensus_driver_weigh(struct consensus_driver *d, uint64_t state_bytes);

/* A write of the state found no space: give back what is held for this; `relieved` follows. */
void consensus_driver_relieve(struct consensus_driver *d);
/* How the segments of the log lie, for who is going to read them (consensus/scrub.h): `surveyed`
 * follows. When this server has no cluster yet, or stops, it does not. */
void consensus_driver_survey(struct consensus_driver *d);
/* This segment was found to be damaged. What it holds leaves the log as soon as the state has it
 * durably, for whoever wants it gets a snapshot; nothing more is written to it. One that is gone
 * already is fine. */
void consensus_driver_shed(struct consensus_driver *d, uint64_t segment);
/* What relieve() does, while nobody has the log open: the state has to be opened first. False:
 * there was nothing to give. */
bool consensus_driver_relieve_closed(const char *dir);

/* -- peers
 * ----------------------------------------------------------------------------------------- */

/* A message of the stream `Raft` or a call of `Bootstrap` from an authenticated peer. Malformed
 * ones are counted and dropped. */
void consensus_driver_receive(struct consensus_driver *d, const struct mu_id *from,
                              const struct mu_id *from_disk, struct mu_span message);

/* The connection to a peer came up or went down; bulk: the one for entries. */
void consensus_driver_peer(struct consensus_driver *d, const struct mu_id *peer, bool is_up);

/* What gossip knows of a server that is or may become one of ours: fed at each change. */
struct consensus_candidate {
    struct mu_id server, disk;
    struct mu_id cluster; /* none: fresh */
    unsigned expect;
    bool is_alive;
};
void consensus_driver_candidates(struct consensus_driver *d,
                                 const struct consensus_candidate *candidates, size_t count);

/* -- what can be seen
 * -------------------------------------------------------------------------------- */

void consensus_driver_status(const struct consensus_driver *d, struct consensus_status *out);
/* Of entries in memory: now, and the most there ever was. */
void consensus_driver_entries(const struct consensus_driver *d, uint64_t *bytes, uint64_t *most);
/* Why this server has no cluster yet, for people; "" when it has one. A view. */
const char *consensus_driver_waits(const struct consensus_driver *d);
uint32_t consensus_driver_heartbeat_ms(const struct consensus_driver *d); /* between two of them */
bool consensus_driver_is_voter(const struct consensus_driver *d, const struct mu_id *server);
/* The newest configuration, committed or not (status says); without servers before there is one. */
void consensus_driver_config(const struct consensus_driver *d, struct consensus_config *out);

#endif
