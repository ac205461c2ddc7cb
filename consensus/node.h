/* node.h - one server of the cluster without loop and sockets: the core, the bootstrap before it,
 * the durable log and the pool of entries, put together.
 *
 * Everything a caller wants is noted and done in a turn, so that no callback ever runs inside the
 * call that asked, and all proposals of a turn of the loop become one event. Only what arrives from
 * peers and from the store is fed at once, unless it arrives while effects are being carried out.
 *
 *   receive, collect, wake --> feed --> consensus_step --> effects: store, transport, results
 *   propose, read, applied --> noted --> turn --> feed ...              |
 *                                         '--> entries to callbacks.apply, up to commit_to
 *
 * driver_uv.c gives it time, a wake-up and the store's reports; a simulator may do the same.
 *
 * Thread:  the loop's. Time: milliseconds that may stand still or jump, never used backwards: a
 *          smaller one is taken for the last.
 */
#ifndef CONSENSUS_NODE_H
#define CONSENSUS_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/list.h"
#include "base/rand.h"
#include "consensus/bootstrap.h"
#include "consensus/driver.h"
#include "consensus/store.h"
#include "pool.h"
#include "tickets.h"
#include "transport_wire.h"

/*   FRESH --------> RUNS ----.        FRESH: no cluster yet, bootstrap decides
 *     |              |       |        RUNS:  the core decides
 *     |   failure    v       | stop   DEAD:  may not go on; only stop is left
 *     |-----------> DEAD ----|
 *     '----------------------+--> STOPPING --> STOPPED
 */
enum consensus_phase {
    CONSENSUS_NODE_FRESH,
    CONSENSUS_NODE_RUNS,
    CONSENSUS_NODE_DEAD,
    CONSENSUS_NODE_STOPPING, /* the store finishes */
    CONSENSUS_NODE_STOPPED,
};

/* Entries that a write in flight keeps alive. */
struct consensus_flight {
    struct mu_link link;
    uint64_t seq;
    size_t count;
    uint32_t handles[];
};

/* What came in while effects were being carried out. */
struct consensus_deferred {
    struct mu_link link;
    bool is_link; /* a connection, not a message */
    enum consensus_link state;
    struct mu_id peer, disk;
    struct mu_buf message;
};

#define CONSENSUS_NODE_SUMS_MAX 8

#define CONSENSUS_CHUNKS_WAITING 8

/* Entries handed out and not applied yet, so that their bytes are bounded too. */
struct consensus_batch_mark {
    uint64_t last_index, bytes;
};

/* A change of the configuration, or a transfer. */
struct consensus_wish {
    uint64_t ticket;
    bool is_transfer;
    struct mu_id target;            /* transfer */
    struct consensus_change change; /* change */
};

struct consensus_node {
    struct consensus_driver_options options;
    struct consensus_store store;
    enum consensus_phase phase;
    struct consensus_identity identity;
    uint64_t now_ms;
    struct mu_rand rand; /* of seeds */

    struct consensus *core;         /* NULL until there is a cluster */
    struct consensus_opened opened; /* what the core starts from; empty afterwards */
    uint64_t core_wake_ms;
    bool is_feeding; /* effects are being carried out */
    bool is_turning; /* in consensus__node_turn(): no bytes are being taken in */

    struct consensus_bootstrap *bootstrap;
    uint64_t bootstrap_wake_ms;
    struct consensus_bootstrap_set adopting; /* its index 1 is being written; count 0: none */
    struct mu_id adopting_cluster;
    uint64_t adopting_epoch; /* of the cluster that invites */
    char waits[160];         /* why there is no cluster yet, for people; "": there is */
    bool campaigns_at_once;
    bool is_joining; /* the name of the cluster that added it is being written */
    struct consensus_bootstrap_candidate *candidates; /* newest view of gossip */
    size_t candidates_count;
    bool has_candidates; /* not fed yet */

    struct consensus_pool pool;
    struct consensus_tickets tickets;
    struct consensus_proposal *proposals; /* of this turn */
    size_t proposals_count, proposals_room;
    uint64_t *reads; /* tickets of this turn */
    size_t reads_count, reads_room;
    struct consensus_wish *wishes; /* of this turn */
    size_t wishes_count, wishes_room;
    struct mu_link inbox;   /* of struct consensus_deferred */
    struct mu_link flights; /* of struct consensus_flight, by seq */
    struct mu_arena arena;  /* for decoding */
    struct mu_buf out;      /* one message on its way out */

    uint64_t persisted_seq, recorded_count;
    uint64_t relieved_count; /* that were told */
    uint64_t base_index;     /* the log begins behind it, as the store said last */
    uint64_t shed_index;     /* as the core was told */
    enum consensus_health health;
    bool is_hushed; /* the store: see consensus__node_catch_up() */

    uint64_t commit_to, delivered;             /* entries up to here may be, were handed to apply */
    uint64_t applied, durable_applied;         /* as reported */
    uint64_t applied_fed, durable_applied_fed; /* as the core knows */
    uint64_t state_bytes;
    struct consensus_sum sums[CONSENSUS_NODE_SUMS_MAX]; /* not fed yet; the oldest give way */
    size_t sums_count;
    struct consensus_batch_mark *batches; /* ring of those handed out, by index */
    size_t batches_head, batches_count, batches_room;
    uint64_t batches_bytes;
    struct mu_buf replay; /* records from disk that apply waits for */
    size_t replay_at;
    bool is_replay_asked;

    struct mu_link noted; /* node_snapshot.c: answers to orders, not fed yet */
    struct consensus_msg chunks[CONSENSUS_CHUNKS_WAITING]; /* wait for their bytes */
    size_t chunks_count;
    bool takes_next;  /* see consensus_driver_takes_next() */
    bool lacks_state; /* see consensus_driver_lacks_state() */

    struct mu_id peers[CONSENSUS_PEERS_MAX]; /* as the transport was told */
    size_t peers_count;
    struct mu_id leader; /* as `changed` was told */
    bool is_leader, is_ready, is_formed_told;
    uint64_t malformed_count;
    char dead_text[MU_ERR_TEXT_MAX + 128];
};

/* Opens the store, which is given, also on failure. Errors as consensus_driver_new(). */
MU_MUST_CHECK enum mu_code consensus__node_open(struct consensus_node *n,
                                                const struct consensus_driver_options *options,
                                                const struct consensus_store *store,
                                                uint64_t now_ms, struct mu_err *err);
void consensus__node_start(struct consensus_node *n, uint64_t now_ms);
/* Do what was noted. Work in one turn is bounded: has_work() then still says true. */
void consensus__node_turn(struct consensus_node *n, uint64_t now_ms);
bool consensus__node_has_work(const struct consensus_node *n);
/* Is there a write that is not durable yet, or somebody who waits for an answer? *mark is another
 * one when some of it has come, or more is awaited. */
bool consensus__node_awaits(const struct consensus_node *n, uint64_t *mark);
/* When silence means something; UINT64_MAX: never. */
uint64_t consensus__node_wake_at(const struct consensus_node *n);
uint64_t consensus__node_pause_ms(const struct consensus_node *n);
void consensus__node_wake(struct consensus_node *n, uint64_t now_ms);
/* The store has something to say. */
void consensus__node_collect(struct consensus_node *n, uint64_t now_ms);
/* Nothing more is to begin: a leader gives its office away first, which has_left() says is done. */
void consensus__node_leave(struct consensus_node *n, uint64_t now_ms);
bool consensus__node_has_left(const struct consensus_node *n);
void consensus__node_stop(struct consensus_node *n);
/* STOPPED: end the log thread, which calls `wake` no more then; and answer who asked since. */
void consensus__node_finish(struct consensus_node *n);
/* After finish, or an open that failed, or without start (then the log thread is waited for). */
void consensus__node_deinit(struct consensus_node *n);

uint64_t consensus__node_propose(struct consensus_node *n, struct mu_span command, bool is_awaited,
                                 consensus_proposed_fn *done, void *data);
void consensus__node_read(struct consensus_node *n, consensus_read_fn *done, void *data);
void consensus__node_change(struct consensus_node *n, const struct consensus_change *change,
                            consensus_wished_fn *done, void *data);
void consensus__node_transfer(struct consensus_node *n, const struct mu_id *target,
                              consensus_wished_fn *done, void *data);
void consensus__node_applied(struct consensus_node *n, uint64_t index, uint64_t durable_index);
/* As consensus_driver_weigh(). */
void consensus__node_weigh(struct consensus_node *n, uint64_t state_bytes);
/* What the state added up to; the index is at most the applied one. */
void consensus__node_sum(struct consensus_node *n, const struct consensus_sum *sum);
void consensus__node_receive(struct consensus_node *n, uint64_t now_ms, const struct mu_id *from,
                             const struct mu_id *from_disk, struct mu_span message);
void consensus__node_peer(struct consensus_node *n, uint64_t now_ms, const struct mu_id *peer,
                          enum consensus_link state);
void consensus__node_relieve(struct consensus_node *n);
void consensus__node_survey(struct consensus_node *n);
void consensus__node_shed(struct consensus_node *n, uint64_t number);
void consensus__node_candidates(struct consensus_node *n,
                                const struct consensus_candidate *candidates, size_t count);
void consensus__node_status(const struct consensus_node *n, struct consensus_status *out);
bool consensus__node_is_voter(const struct consensus_node *n, const struct mu_id *server);
void consensus__node_config(const struct consensus_node *n, struct consensus_config *out);

/* -- between the node's own files ---------------------------------------------------------- */

void consensus__node_clock(struct consensus_node *n, uint64_t now_ms); /* never back */
void consensus__node_move(struct consensus_node *n, enum consensus_phase to);
void consensus__node_die(struct consensus_node *n, const char *why);
/* Feed the core and carry out what follows. ev->now_ms is set here. */
void consensus__node_feed(struct consensus_node *n, struct consensus_event *ev);
/* Answer one ticket, if somebody waits. why: of a wish that was refused; NULL: as the code says. */
void consensus__node_answer(struct consensus_node *n, uint64_t ticket, enum mu_code code,
                            const char *why, uint64_t index);
/* Tell the transport whom to stay connected to, if that has changed. */
void consensus__node_peers(struct consensus_node *n);
void consensus__node_send(struct consensus_node *n, const struct mu_id *to,
                          enum consensus_channel channel);
void consensus__node_notice_changes(struct consensus_node *n);
/* An index-1 write is durable, or the log has a cluster: the core begins. */
void consensus__node_core_start(struct consensus_node *n);
/* Handles and decoded configurations for a checked run of records. */
struct consensus_entries {
    struct consensus_entry *list; /* mu_free() */
    size_t count;
    struct consensus_config *configs; /* mu_free() */
};
void consensus__node_entries(struct consensus_node *n, struct mu_span records, size_t count_max,
                             struct consensus_entries *out);

/* node_inbox.c */
void consensus__node_inbox_run(struct consensus_node *n); /* what has come in so far */
void consensus__deferred_free(struct consensus_deferred *item);

/* node_apply.c */
void consensus__node_deliver(struct consensus_node *n);
bool consensus__node_can_deliver(const struct consensus_node *n);
void consensus__node_replayed(struct consensus_node *n, struct consensus_fetched *f);
void consensus__node_applied_upto(struct consensus_node *n, uint64_t index);

/* node_snapshot.c */
void consensus__node_orders(struct consensus_node *n, const struct consensus_effects *fx);
void consensus__node_chunk_ask(struct consensus_node *n, const struct consensus_msg *m);
void consensus__node_chunk(struct consensus_node *n, const struct consensus_snap *snap,
                           uint64_t offset, struct mu_span data);
void consensus__node_snapshot(struct consensus_node *n, enum consensus_snap_event what,
                              const struct consensus_snap *snap, uint64_t offset,
                              enum consensus_snap_fault fault);
void consensus__node_log_reset(struct consensus_node *n);
void consensus__node_noted_run(struct consensus_node *n);
void consensus__node_noted_clear(struct consensus_node *n);

/* node_store.c: what the hushed store did not wake for comes before anything else that happens. */
void consensus__node_catch_up(struct consensus_node *n);
/* Writes up to this one are durable, or will not be waited for: their entries go. */
void consensus__node_land(struct consensus_node *n, uint64_t upto);

/* node_bootstrap.c */
enum mu_code consensus__node_bootstrap_open(struct consensus_node *n, struct mu_err *err);
void consensus__node_bootstrap_feed(struct consensus_node *n, struct consensus_bootstrap_event *ev);
void consensus__node_adopted(struct consensus_node *n);
void consensus__node_joined(struct consensus_node *n);
void consensus__node_invite(struct consensus_node *n, const struct consensus_msg *m);

#define CONSENSUS_REPLAY_TICKET 0U /* of fetches for apply; the core's begin with 1 */
#define CONSENSUS_LOG_MODULE    "agent.server.raft"

#endif
