/* consensus.h - what the servers agree on, decided without I/O, clocks, threads or heap.
 *
 * The owner feeds one event at a time to consensus_step() and then carries out the effects, in this
 * order: writes to the store (FIFO), sends (at once, any order), fetches, results, notices, then
 * drops. There is no rule about what must be durable before what is said: the core keeps votes and
 * acks to itself until PERSISTED reports the write they depend on (spec/consensus.md 1.7).
 *
 * The whole state is one arena, allocated by the owner, without pointers into itself: memcpy of it
 * is a clone. The same seed and events give the same effects, byte for byte.
 *
 * Thread:  one owner thread, no locks inside.
 * Time:    milliseconds of one boot-time clock, never smaller than in the event before. With leases
 *          the time of a READ is read from the clock after the read came.
 * Memory:  effects are *views* into the core; they die at the next step. Arrays in an event are
 *          *borrowed* until its effects are carried out. Entry handles are *given* to the core,
 *          also when refused; it returns each exactly once through `drops`.
 * Errors:  malformed or impossible messages are counted and dropped. A broken owner asserts. A
 *          server that may not go on says so in `dead`.
 */
#ifndef CONSENSUS_CONSENSUS_H
#define CONSENSUS_CONSENSUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "base/span.h"

struct consensus; /* the arena; opaque */

/* -- bounds -------------------------------------------------------------------------------- */

#define CONSENSUS_PEERS_MAX   16   /* servers in one configuration, learners included */
#define CONSENSUS_VOTERS_MAX  9    /* in one set of voters */
#define CONSENSUS_ENTRIES_MAX 1024 /* in one PROPOSE, one APPEND_REQ, one FETCHED */
#define CONSENSUS_ADDRESS_MAX 64   /* bytes of an address hint, NUL included */
#define CONSENSUS_REMOVED_MAX 64   /* disks that may never come back; the oldest are forgotten */

/* -- roles --------------------------------------------------------------------------------- */

enum consensus_role {
    CONSENSUS_FOLLOWER,
    CONSENSUS_PRE_CANDIDATE,
    CONSENSUS_CANDIDATE,
    CONSENSUS_LEADER,
    CONSENSUS_OBSERVER, /* not a voter of its configuration, fresh, or stopped */
};

/* -- configurations (spec 2.8) ------------------------------------------------------------------
 * Log entries, effective on append. One or two sets of voters: a quorum is a quorum in each.
 *
 * Commands come in levels, numbered from 1 by the owner, so that servers of two versions never
 * carry out one entry differently (spec 1.10, 2.20). Every server says in its answers to heartbeats
 * which level it understands; when all servers of the configuration have said more than it has, the
 * leader appends the same configuration with a higher level. It never falls again. What needs a
 * higher one is refused until then, and so is a new server that understands less. */

#define CONSENSUS_LEVEL_FIRST 1

struct consensus_server {
    struct mu_id id, disk;
    uint64_t joined_index; /* where it entered the configuration */
    uint8_t priority;
    bool is_voter;     /* in the incoming, usually the only, set */
    bool is_voter_old; /* in the outgoing set of a joint configuration */
    bool is_learner;
    uint8_t reserved[4];
    char address[CONSENSUS_ADDRESS_MAX]; /* a hint until gossip knows better; may be "" */
};

struct consensus_config {
    uint64_t index; /* of its entry; not part of the encoded bytes */
    uint32_t servers_count;
    uint32_t removed_count;
    bool is_joint;
    bool is_forced; /* written by a recovery tool: it follows from no other (spec 2.14) */
    uint8_t reserved[2];
    uint32_t level; /* of commands that the log may hold from here on: all servers understand it */
    struct consensus_server servers[CONSENSUS_PEERS_MAX]; /* by id, ascending */
    /* Disks of servers that were removed, in that order. They travel with the configuration, so
     * that truncation, restart and snapshot need no rule of their own for them. */
    struct mu_id removed[CONSENSUS_REMOVED_MAX];
};

/* The payload of a configuration entry. Equal configurations have equal bytes. */
#define CONSENSUS_CONFIG_BYTES_MAX \
    (16 + CONSENSUS_PEERS_MAX * (2 * 16 + 8 + 4 + 64) + CONSENSUS_REMOVED_MAX * 16)
size_t consensus_config_encode(const struct consensus_config *config,
                               uint8_t out[CONSENSUS_CONFIG_BYTES_MAX]);
MU_MUST_CHECK enum mu_code consensus_config_decode(struct mu_span bytes, uint64_t index,
                                                   struct consensus_config *out,
                                                   struct mu_err *err);
/* MU_INVALID with a sentence: ids unique and ascending, 1..9 voters a set, nobody voter and
 * learner of one set. */
MU_MUST_CHECK enum mu_code consensus_config_check(const struct consensus_config *config,
                                                  struct mu_err *err);
/* A voter of either set: the voters, or those before a joint step. */
bool consensus_server_votes(const struct consensus_server *server);
const struct consensus_server *consensus_config_find(const struct consensus_config *config,
                                                     const struct mu_id *id); /* NULL: absent */
bool consensus_config_has_removed(const struct consensus_config *config, const struct mu_id *disk);

/* -- membership (spec 2.8, 2.9)
 * -------------------------------------------------------------------- One change at a time, each a
 * configuration entry. */

enum consensus_change_kind {
    CONSENSUS_ADD,     /* `server` with `disk` enters, as a learner: the only way in */
    CONSENSUS_PROMOTE, /* learner -> voter */
    CONSENSUS_DEMOTE,  /* voter -> learner */
    CONSENSUS_REMOVE,  /* its disk may never come back */
    CONSENSUS_SET,     /* address and priority; roles stay */
    CONSENSUS_REPLACE, /* the voter `server` by the learner `by`: one joint step, left by itself */
};

struct consensus_change {
    enum consensus_change_kind kind;
    struct mu_id server;
    struct mu_id disk; /* ADD: of the new server; else none, or the one that is meant */
    struct mu_id by;   /* REPLACE */
    uint8_t priority;  /* ADD, SET */
    uint32_t level;    /* ADD: that the new server understands; 0: the first */
    bool is_forced;    /* even if too few voters of the result are heard to be a quorum */
    char address[CONSENSUS_ADDRESS_MAX]; /* ADD, SET */
};

/* -- entries --------------------------------------------------------------------------------------
 * The core knows shapes only; the bytes live in the owner's entry pool under `handle`. */

enum consensus_entry_kind {                     /* stored and sent as these numbers */
                            CONSENSUS_NOOP = 1, /* no payload, handle 0 */
                            CONSENSUS_COMMAND = 2,
                            CONSENSUS_CONFIG = 3,
};

struct consensus_entry {
    uint64_t index, term;
    uint64_t ticket; /* of the proposal on this server it came from; else 0 */
    uint32_t bytes;  /* of the payload */
    uint32_t handle; /* 0: no payload */
    enum consensus_entry_kind kind;
    /* CONSENSUS_CONFIG in an event: its payload, decoded. Else NULL. */
    const struct consensus_config *config;
};

/* Entries first_index .. up to the next run have this term. */
struct consensus_run {
    uint64_t first_index, term;
};

/* -- snapshots (spec 2.12) -----------------------------------------------------------------------
 * A stream of the state as of an entry, equal byte for byte on every server. Its content is the
 * owner's; the core moves it from a leader to a server that needs what the log no longer has. */

#define CONSENSUS_HASH_BYTES    32
#define CONSENSUS_CHUNK_BYTES   (256U * 1024)
#define CONSENSUS_CHUNKS_WINDOW 4 /* sent and not yet stored */

struct consensus_snap {   /* two are the same stream if all but `attempt` is equal */
    uint64_t index, term; /* of the last entry in the state */
    uint64_t bytes;       /* of the stream; > 0 */
    uint8_t hash[CONSENSUS_HASH_BYTES];
    uint64_t attempt; /* to take it, here: what is said of an order repeats it. Never sent */
};
bool consensus_snap_eq(const struct consensus_snap *a, const struct consensus_snap *b);

enum consensus_snap_fault { /* sent as these numbers */
                            CONSENSUS_SNAP_OK = 0,
                            CONSENSUS_SNAP_DAMAGED = 1, /* its bytes fail their checks */
                            CONSENSUS_SNAP_FULL = 2,    /* no space for it */
                            CONSENSUS_SNAP_UNKNOWN = 3, /* a layout this server does not know */
                            CONSENSUS_SNAP_IO = 4,
};
const char *consensus_snap_fault_text(enum consensus_snap_fault fault);

/* -- durable state ------------------------------------------------------------------------- */

struct consensus_hard {
    uint64_t term;
    uint64_t epoch;         /* recovery epoch */
    struct mu_id voted_for; /* in `term`; none: nobody */
    struct mu_id cluster;
};

/* One write, atomic up to a torn tail: the complete hard state and the entries first..last. `first`
 * may be at or below an index written earlier: that *is* the truncation. The bytes of entry i are
 * under consensus_entry_at(c, i). */
struct consensus_write {
    uint64_t seq; /* ascending by 1; PERSISTED(seq) acknowledges all up to seq */
    struct consensus_hard hard;
    uint64_t first, last; /* first > last: hard state only */
    /* After an install the log begins anew behind this point, with this configuration; the write
     * then has no entries. Else 0 and NULL. */
    uint64_t reset_term, reset_index;
    const struct consensus_config *reset_config; /* a view until the next step */
};

/* What store->open() found; borrowed for the call of consensus_init(). */
struct consensus_loaded {
    struct consensus_hard hard;
    const struct consensus_run *runs; /* of base_index + 1 .. last_index, ascending */
    size_t runs_count;
    const struct consensus_config *configs; /* the base's first, then those in the log, ascending */
    size_t configs_count;
    uint64_t base_index, base_term, last_index;
    /* The log once ended there, and what is missing was durable (spec 2.16). Until it has been as
     * far again this server votes as if it had not lost it, and does not stand. 0: nothing. */
    uint64_t floor_index, floor_term;
    uint64_t log_bytes;                /* of the entries behind the base, about */
    uint64_t applied, durable_applied; /* what the state contains */
    /* There is no state (spec 2.16): `applied` is the base, and nothing is applied until a snapshot
     * of a leader was installed. It votes, since its log is whole, and stands after all others had
     * their chance: it may be the only one with what was committed. Then it takes no proposals, and
     * hands over to a server with a state as soon as that has its log. */
    bool lacks_state;
    bool state_is_copy; /* of another server's; CONSENSUS_T_STATE_PROVEN has not been said since */
    uint64_t seq;       /* highest write submitted in this boot already */
    uint64_t boot_count;
    uint64_t seed;          /* from the system; or the run's, in the simulator */
    bool campaigns_at_once; /* it has just formed the cluster: nobody else will be first */
    bool may_have_promised; /* it was in its cluster before this boot: see heartbeat.promise_ms */
};

/* -- options ------------------------------------------------------------------------------- */

enum consensus_timing {
    CONSENSUS_LAN,  /* heartbeat 100 ms, election 500..1000 ms (spec/consensus.md 1.13) */
    CONSENSUS_FAST, /* 20 ms, 150..300 ms: tests, -dev */
    CONSENSUS_WAN,  /* 500 ms, 5..10 s */
};

struct consensus_options {
    struct mu_id server, disk; /* this server */
    uint32_t level_max;        /* of commands that it understands */

    uint32_t heartbeat_ms;
    uint32_t election_ms_min; /* each timeout is uniform in [min, 2 min) */
    uint32_t pause_ms;        /* a jump of the clock that counts as a local pause */
    uint32_t slow_ms;         /* a write outstanding for longer: leader refuses proposals */
    uint32_t stall_ms;        /* and for longer still: leader steps down */

    uint32_t tail_entries;          /* ring of entries above the applied index, and a cache below */
    uint32_t tail_bytes_max;        /* payload bytes of those (MU_ENTRY_POOL_MAX) */
    uint32_t cache_bytes;           /* of which this much stays when nobody needs it */
    uint32_t proposals_max;         /* uncommitted entries: REFUSED */
    uint32_t uncommitted_bytes_max; /* REFUSED */
    uint32_t unsynced_bytes_max;    /* in writes not yet PERSISTED: refuse, or do not take more */
    uint32_t apply_lag_max;         /* committed but not applied entries: REFUSED */
    uint32_t reads_max;             /* waiting for a confirmation: REFUSED */
    uint32_t runs_max;              /* term changes in the retained log */
    uint32_t writes_max;            /* outstanding */
    uint32_t inflight_max;          /* APPEND_REQs unacknowledged by one follower */
    uint32_t inflight_bytes_max;
    uint32_t append_entries_max; /* in one APPEND_REQ, <= CONSENSUS_ENTRIES_MAX */
    uint32_t append_bytes_max;   /* in one APPEND_REQ; a larger entry goes alone */
    /* A commit index that nobody waits for elsewhere rides on entries that leave within this time,
     * or leaves then; 0: it leaves at once */
    uint32_t push_hold_ms;

    /* What stays of the log behind what is durable in the state: the smaller of the two (2.13).
     * Bytes also no more than the state has, for then a snapshot is less, but an eighth always. */
    uint32_t trailing_entries;
    uint32_t trailing_bytes;
    uint32_t laggard_bytes; /* and this much more for a follower that lags, */
    uint32_t laggard_ms;    /* while it was heard within this time */

    uint32_t chunk_bytes;     /* of a snapshot, in one message: <= CONSENSUS_CHUNK_BYTES */
    uint32_t snap_timeout_ms; /* without a chunk stored, a transfer is given up for a while */
    uint32_t snap_reuse_ms;   /* one export serves everybody for so long */
    uint32_t snap_pin_ms;     /* a transfer holds up compaction for at most so long, */
    uint64_t snap_pin_bytes;  /* and for at most so much of the log */

    /* Reads by lease (spec 2.7): while a quorum has lately promised to elect nobody else, a leader
     * answers them from its commit index without a round. That is right only as long as no two
     * clocks of servers differ in speed by more than CONSENSUS_LEASE_DRIFT, and none of them jumps
     * by itself; a machine that is frozen with its clocks breaks it, which nobody can see. */
    bool has_leases;

    bool with_trace; /* notices of level trace too */
    uint8_t reserved[6];
};

#define CONSENSUS_LEASE_DRIFT                                           \
    20 /* percent: the slowest clock runs at 0.8 of the fastest's speed \
        */

/* Everything but server and disk. multiplier: 1..10, scales all times. */
void consensus_options_init(struct consensus_options *o, enum consensus_timing timing,
                            unsigned multiplier);
/* MU_INVALID with a sentence: the relations between the times of spec 1.13, sizes above zero. */
MU_MUST_CHECK enum mu_code consensus_options_check(const struct consensus_options *o,
                                                   struct mu_err *err);

/* -- the state ----------------------------------------------------------------------------- */

#define CONSENSUS_SUM_BYTES 16

/* What all rows of the state added up to right after an entry (spec 3.6). */
struct consensus_sum {
    uint64_t index; /* 0: none */
    uint8_t hash[CONSENSUS_SUM_BYTES];
};

/* -- messages (spec 1.6) --------------------------------------------------------------------------
 * Decoded; in sends and RECV alike. Encoding is the transport's business. */

enum consensus_msg_kind { /* sent as these numbers */
                          CONSENSUS_PREVOTE_REQ = 1,
                          CONSENSUS_PREVOTE_RES = 2,
                          CONSENSUS_VOTE_REQ = 3,
                          CONSENSUS_VOTE_RES = 4,
                          CONSENSUS_APPEND_REQ = 5,
                          CONSENSUS_APPEND_RES = 6,
                          CONSENSUS_HEARTBEAT = 7,
                          CONSENSUS_HEARTBEAT_RES = 8,
                          CONSENSUS_TIMEOUT_NOW = 9,
                          CONSENSUS_MEMBER_REQ =
                              10, /* no leader for long: am I still one of you? */
                          CONSENSUS_MEMBER_RES = 11, /* you were removed; said only then */
                          CONSENSUS_INVITE = 12,     /* to a learner that has never answered */
                          CONSENSUS_SNAP_OFFER = 13,
                          CONSENSUS_SNAP_CHUNK = 14,
                          CONSENSUS_SNAP_RES = 15,
};
#define CONSENSUS_MSG_KINDS 15
bool consensus_msg_kind_is_known(unsigned kind);

enum consensus_snap_answer {                          /* sent as these numbers */
                             CONSENSUS_SNAP_WANT = 0, /* it holds `offset` bytes: go on there */
                             CONSENSUS_SNAP_DONE = 1, /* installed, or not needed: `match` */
                             CONSENSUS_SNAP_FAILED = 2,
                             CONSENSUS_SNAP_STALE = 3, /* the sender's term is over */
};

struct consensus_msg {
    enum consensus_msg_kind kind;
    struct mu_id from, from_disk; /* the authenticated sender */
    struct mu_id to;
    struct mu_id cluster;
    uint64_t epoch;
    uint64_t term; /* of the sender */
    union {
        struct {
            uint64_t next_term; /* PREVOTE_REQ: term + 1; VOTE_REQ: term */
            uint64_t last_term, last_index;
            uint64_t round;         /* PREVOTE_REQ: echoed */
            uint64_t transfer_term; /* VOTE_REQ: the leader of this term asked it to stand; or 0 */
        } ask;                      /* PREVOTE_REQ, VOTE_REQ */
        struct {
            uint64_t asked_term, round;
            bool is_granted;
        } answer; /* PREVOTE_RES, VOTE_RES */
        struct {
            uint64_t session; /* nonce of (leader term, peer) and attempt: echoed */
            uint64_t prev_index, prev_term, commit;
            bool is_push; /* only carries `commit`: no ack wanted */
            uint32_t entries_count;
            /* In RECV: handles given. In sends: ask consensus_sent_entry(). */
            const struct consensus_entry *entries;
        } append; /* APPEND_REQ */
        struct {
            uint64_t session;
            uint64_t prev_index; /* of the request it answers */
            uint64_t match;      /* accepted: prev_index + entries of exactly that request */
            uint64_t hint_index, hint_term; /* not accepted: where logs may still agree */
            uint64_t last_index, applied;
            bool is_accepted, is_store_slow;
            bool is_holed; /* it has lost what it acknowledged: its match is void */
        } ack;             /* APPEND_RES */
        struct {
            uint64_t session, read_seq;
            uint64_t commit;             /* clamped to the peer's match */
            struct consensus_sum sum;    /* the leader's, asked about; index 0: not now */
            struct consensus_sum proven; /* to a copy: surely right; index 0: none is yet */
            /* For so long from its arrival the leader wants no vote to be given to others: that is
             * what leases are made of; 0: it wants no promise. */
            uint32_t promise_ms;
            bool is_odd; /* the receiver's differs there, and a quorum has the leader's */
        } heartbeat;     /* HEARTBEAT */
        struct {
            uint64_t session, read_seq;
            uint64_t last_index, applied;
            struct consensus_sum sum; /* its own where it was asked; index 0: not kept */
            bool is_store_slow;
            bool is_holed;    /* as in ack */
            bool is_promised; /* as the heartbeat of this read_seq asked */
            bool lacks_state; /* it has lost its state: it needs one, whatever its log holds */
            uint32_t level;   /* of commands that it understands */
            bool is_copy;     /* its state is a snapshot of another's, and not proven yet */
        } alive;              /* HEARTBEAT_RES */
        struct {
            uint64_t session;
            struct consensus_snap snap;
            /* OFFER: as of snap.index; borrowed in RECV, a view in sends. Else NULL. */
            const struct consensus_config *config;
            uint64_t offset; /* CHUNK */
            uint32_t bytes;  /* CHUNK: of the stream, from offset on */
            /* CHUNK in RECV: borrowed; the owner adds it to sends (the core does not look) */
            struct mu_span data;
        } snapshot; /* SNAP_OFFER, SNAP_CHUNK */
        struct {
            uint64_t session;
            uint64_t offset; /* WANT */
            uint64_t match;  /* DONE: durable, as in an ack */
            enum consensus_snap_answer answer;
            enum consensus_snap_fault fault; /* FAILED */
        } snapshot_res;                      /* SNAP_RES */
        struct {
            uint64_t last_index; /* the leader's: the receiver must have it, durable */
            uint32_t valid_ms;   /* since it heard this leader last */
        } timeout_now;           /* TIMEOUT_NOW */
        struct {
            uint64_t config_index; /* committed, and names the disk as removed */
            struct mu_id disk;     /* the asker's; another may use its id by now */
        } removed;                 /* MEMBER_RES */
        struct {
            struct mu_id disk; /* whom the configuration means by this id */
        } invite;              /* INVITE */
    };
};

/* -- events (spec 1.4) --------------------------------------------------------------------- */

enum consensus_event_kind {
    CONSENSUS_EV_WAKE,      /* only time passed */
    CONSENSUS_EV_RECV,      /* decoded message from an authenticated peer */
    CONSENSUS_EV_PROPOSE,   /* n entries with one ticket each; all or none accepted */
    CONSENSUS_EV_READ,      /* ticket: say from which applied index it may be answered */
    CONSENSUS_EV_CHANGE,    /* membership; one ticket */
    CONSENSUS_EV_TRANSFER,  /* give leadership away, to one server or to the best; one ticket */
    CONSENSUS_EV_PERSISTED, /* store: write `seq` and all before it are durable */
    CONSENSUS_EV_STORE,     /* store health */
    CONSENSUS_EV_APPLIED,   /* applied index, durable applied index */
    CONSENSUS_EV_SUM,       /* what the state adds up to, where all servers say it */
    CONSENSUS_EV_FETCHED,   /* entries asked for by a fetch */
    CONSENSUS_EV_PEER,      /* connection up, down, blocked, writable */
    CONSENSUS_EV_COMPACTED, /* log now starts behind index i */
    CONSENSUS_EV_SHED,      /* a part of the log up to index i is damaged, on disk: it has to go */
    CONSENSUS_EV_SNAPSHOT,  /* what became of a snapshot order */
    CONSENSUS_EV_STOP,      /* give leadership away, then say no more: see status.is_stopped */
};

enum consensus_health { /* of the store */
                        CONSENSUS_STORE_OK,
                        CONSENSUS_STORE_SLOW,
                        CONSENSUS_STORE_FULL,
                        /* For good, as far as this core goes: its file system takes no writes at
                         * all, so that not even its own vote could count. */
                        CONSENSUS_STORE_READ_ONLY,
                        CONSENSUS_STORE_FAILED, /* for good: a write or flush failed */
};

enum consensus_fetch_code {
    CONSENSUS_FETCH_OK,
    CONSENSUS_FETCH_COMPACTED, /* the first is below the log's start */
    CONSENSUS_FETCH_DAMAGED,
};

enum consensus_link { /* the bulk connection to a peer */
                      CONSENSUS_LINK_UP,
                      CONSENSUS_LINK_DOWN,
                      CONSENSUS_LINK_BLOCKED, /* a send was refused: budget used up */
                      CONSENSUS_LINK_WRITABLE,
};

/* Answers to orders; those that no longer match what the core is doing are ignored. */
enum consensus_snap_event {
    CONSENSUS_SNAP_EXPORTED,      /* EXPORT: `snap` can be read */
    CONSENSUS_SNAP_EXPORT_FAILED, /* or can no longer be read */
    CONSENSUS_SNAP_OPENED,        /* OPEN: `offset` bytes of it are here already */
    CONSENSUS_SNAP_STORED,        /* STORE: `offset` bytes are here now */
    CONSENSUS_SNAP_IMPORTED,      /* IMPORT: a new state lies complete and flushed beside the old */
    CONSENSUS_SNAP_SWITCHED, /* SWITCH: it is the state now, durably, applied up to snap.index */
    CONSENSUS_SNAP_LOST,     /* OPEN, STORE, IMPORT failed: `fault`; nothing is left of it */
};

struct consensus_proposal {
    uint64_t ticket; /* > 0, chosen by the owner */
    uint32_t bytes;
    uint32_t handle;
    uint32_t level;  /* that the cluster needs for it; 0: the first */
    bool is_relief;  /* frees space: allowed while the store is full */
    bool is_awaited; /* at another server, until that has applied it */
};

struct consensus_event {
    uint64_t now_ms;
    enum consensus_event_kind kind;
    union {
        const struct consensus_msg *msg; /* RECV */
        struct {
            const struct consensus_proposal *proposals;
            size_t count; /* 1..CONSENSUS_ENTRIES_MAX */
        } propose;
        uint64_t read_ticket; /* READ; > 0 */
        struct {
            uint64_t ticket; /* > 0 */
            const struct consensus_change *what;
        } change; /* CHANGE */
        struct {
            uint64_t ticket;     /* > 0 */
            struct mu_id target; /* none: the best */
        } transfer;              /* TRANSFER */
        struct {
            uint64_t persisted_seq;
            uint64_t persisted_late_ms; /* it has been for so long, about */
        };                              /* PERSISTED */
        enum consensus_health health;
        struct {
            uint64_t index, durable_index;
            uint64_t state_bytes; /* a snapshot would be, about; 0: not known */
        } applied;
        struct consensus_sum sum; /* SUM: ascending, at most the applied index */
        struct {
            uint32_t ticket;
            enum consensus_fetch_code code;
            const struct consensus_entry *entries; /* contiguous from the first asked for */
            size_t count;                          /* OK: at least 1 */
        } fetched;
        struct {
            struct mu_id id;
            enum consensus_link link;
        } peer;
        uint64_t compacted_index; /* COMPACTED: the new base */
        uint64_t shed_index;      /* SHED */
        struct {
            enum consensus_snap_event what;
            struct consensus_snap snap; /* all but EXPORT_FAILED */
            uint64_t offset;
            enum consensus_snap_fault fault;
        } snapshot; /* SNAPSHOT */
    };
};

/* -- effects (spec 1.5) -------------------------------------------------------------------- */

enum consensus_outcome {
    CONSENSUS_COMMITTED,   /* proposal, change: at `index`; for a proposal the answer to the client
                              follows after apply */
    CONSENSUS_READABLE,    /* read: once `index` is applied */
    CONSENSUS_NOT_LEADER,  /* certainly not accepted */
    CONSENSUS_REFUSED,     /* certainly not accepted, `why` */
    CONSENSUS_LOST,        /* was appended, then leadership went away: outcome unknown */
    CONSENSUS_HANDED_OVER, /* transfer: somebody stands for, or leads, a newer term */
};

enum consensus_refusal {
    CONSENSUS_NOT_REFUSED,
    CONSENSUS_BUSY_PROPOSALS, /* uncommitted entries or bytes, or memory of the tail */
    CONSENSUS_BUSY_STORE,     /* unsynced writes */
    CONSENSUS_BUSY_APPLY,     /* committed entries not applied */
    CONSENSUS_BUSY_READS,
    CONSENSUS_NO_QUORUM, /* no contact to a quorum */
    CONSENSUS_DISK_SLOW, /* the store does not complete its writes */
    CONSENSUS_DISK_FULL,
    CONSENSUS_DISK_READ_ONLY,
    CONSENSUS_STATE_SPLIT,      /* the servers' states differ, and no quorum agrees */
    CONSENSUS_STATE_LOST,       /* the leader's: it leads only until another can */
    CONSENSUS_TRANSFERRING,     /* leadership is being given away */
    CONSENSUS_TRANSFER_NOBODY,  /* no voter is fit to lead */
    CONSENSUS_TRANSFER_TARGET,  /* not another voter of the configuration */
    CONSENSUS_TRANSFER_LATE,    /* the target did not take over in time */
    CONSENSUS_CHANGE_EARLY,     /* no entry of the own term is committed yet */
    CONSENSUS_CHANGE_RUNNING,   /* the newest configuration is not committed, or joint */
    CONSENSUS_CHANGE_UNKNOWN,   /* no such server, or with another disk */
    CONSENSUS_CHANGE_EXISTS,    /* a server of this id is there */
    CONSENSUS_CHANGE_ROLE,      /* it is no learner, or no voter */
    CONSENSUS_CHANGE_BEHIND,    /* the learner does not have what was committed before this term */
    CONSENSUS_CHANGE_LAST,      /* the last voter */
    CONSENSUS_CHANGE_FULL,      /* as many voters, or servers, as there may be */
    CONSENSUS_CHANGE_REMOVED,   /* this disk was removed once */
    CONSENSUS_CHANGE_UNHEALTHY, /* too few voters of the result are heard to be a quorum */
    CONSENSUS_CHANGE_NOTHING,   /* it is so already */
    CONSENSUS_CHANGE_LEVEL,     /* the new server, or voter, understands less than is in use */
    CONSENSUS_LEVEL_LOW,        /* proposal: not every server understands it yet */
};
#define CONSENSUS_REFUSALS (CONSENSUS_LEVEL_LOW + 1)
const char *consensus_refusal_text(enum consensus_refusal why); /* a sentence without a subject */

struct consensus_result {
    uint64_t ticket;
    uint64_t index; /* COMMITTED, READABLE */
    enum consensus_outcome outcome;
    enum consensus_refusal why; /* REFUSED */
};

/* Entries first..last are needed in memory: answer with FETCHED of as many, from `first` on, as fit
 * in bytes_max (at least one). */
struct consensus_fetch {
    uint32_t ticket;
    uint32_t bytes_max;
    uint64_t first, last;
};

/* Work on snapshots, in this order, one thing after the other. SWITCH may not fail: the log begins
 * behind the new state already, so a failure means to stop; a restart completes it. */
enum consensus_snap_order_kind {
    CONSENSUS_SNAP_EXPORT,  /* make a stream of the state as it is now (or soon) */
    CONSENSUS_SNAP_CLOSE,   /* that stream is not read any more */
    CONSENSUS_SNAP_OPEN,    /* receive `snap`: how much of it is here? */
    CONSENSUS_SNAP_STORE,   /* the next bytes: those of the CHUNK being handled */
    CONSENSUS_SNAP_IMPORT,  /* all is here: check it, make a new state beside the old one */
    CONSENSUS_SNAP_SWITCH,  /* it becomes the state */
    CONSENSUS_SNAP_ABANDON, /* drop what was received and imported of it */
    CONSENSUS_SNAP_READ, /* of the export, `bytes` from `offset` on: by the driver, not the core */
};

struct consensus_snap_order {
    enum consensus_snap_order_kind kind;
    struct consensus_snap snap; /* not of EXPORT, CLOSE */
    uint64_t offset;            /* STORE, READ */
    uint32_t bytes;             /* STORE, READ */
    struct mu_span data;        /* STORE: as it was in the event */
};

/* Something that happened; its sentence is in trace.h. */
struct consensus_notice {
    uint32_t kind; /* enum consensus_trace */
    uint32_t reserved;
    struct mu_id peer; /* none: not about one */
    uint64_t a, b, c;
};

struct consensus_effects {
    /* Not NULL: the core made a configuration entry. Before anything else its payload
     * (consensus_config_encode) goes into the entry pool, and consensus_bind() tells its handle. */
    const struct consensus_config *made;
    const struct consensus_write *writes; /* at most one a step, as it is now */
    size_t writes_count;
    const struct consensus_msg *sends;
    size_t sends_count;
    const struct consensus_result *results;
    size_t results_count;
    const struct consensus_fetch *fetches;
    size_t fetches_count;
    const struct consensus_snap_order *snaps;
    size_t snaps_count;
    const struct consensus_notice *notices;
    size_t notices_count;
    const uint32_t *drops; /* entry handles no longer referenced by the core */
    size_t drops_count;
    uint64_t commit_to;  /* apply may go this far: min(commit, locally durable) */
    uint64_t compact_to; /* log up to here may be recycled; 0: nothing */
    uint64_t wake_at_ms; /* UINT64_MAX: silence means nothing */
    bool again;          /* more is waiting: the next event must be WAKE, at once */
    bool peers_changed;  /* the configuration changed: see consensus_config_now() */
    /* PERSISTED alone would change nothing that anybody waits for: it is soon enough before the
     * next event, whatever that is */
    bool may_persist_late;
    const char *dead; /* non-NULL: this server must stop; the text says why */
};

/* -- the core ------------------------------------------------------------------------------ */

size_t consensus_arena_bytes(const struct consensus_options *options);
/* c: an arena of that size, zeroed, aligned for any type. */
void consensus_init(struct consensus *c, const struct consensus_options *options,
                    const struct consensus_loaded *loaded, uint64_t now_ms);
void consensus_step(struct consensus *c, const struct consensus_event *ev,
                    struct consensus_effects *fx);

/* The payload of the configuration entry of effects.made; the handle is given. */
void consensus_bind(struct consensus *c, uint64_t index, uint32_t handle);

/* Entry `index`. Those that a write or send of this step names are certain, others are there as
 * long as the tail has room. False: not in memory; it is durable, so the store has it. */
bool consensus_entry_at(const struct consensus *c, uint64_t index, struct consensus_entry *out);
/* Entry i (0 ..) of an APPEND_REQ among the sends of this step. */
struct consensus_entry consensus_sent_entry(const struct consensus *c,
                                            const struct consensus_msg *send, uint32_t i);
/* The configuration in force: who to keep connections to. A view until the next step. */
const struct consensus_config *consensus_config_now(const struct consensus *c);
/* Term of a retained index, without I/O; 0: not retained, or beyond the end. */
uint64_t consensus_term_at(const struct consensus *c, uint64_t index);

/* The expensive invariants; asserts. Debug builds and simulation. */
void consensus__check(const struct consensus *c);

/* -- what can be seen (spec 1.14) ---------------------------------------------------------- */

enum consensus_progress {
    CONSENSUS_PROBE,     /* one request outstanding, then wait */
    CONSENSUS_REPLICATE, /* pipeline */
    CONSENSUS_SNAPSHOT,  /* needs what the log no longer has */
};

enum consensus_installing { /* how far this server is with a snapshot it was offered */
                            CONSENSUS_INSTALL_NONE,
                            CONSENSUS_INSTALL_OPENS,
                            CONSENSUS_INSTALL_RECEIVES,
                            CONSENSUS_INSTALL_IMPORTS,
                            CONSENSUS_INSTALL_IMPORTED, /* the log is about to begin anew */
                            CONSENSUS_INSTALL_RESETS,   /* and this is being written */
                            CONSENSUS_INSTALL_SWITCHES,
};

struct consensus_peer_status { /* filled on a leader */
    struct mu_id id;
    enum consensus_progress state;
    uint64_t match, next;
    uint64_t acked_ms; /* last reply of any kind in this term; 0: none */
    uint64_t applied;  /* as it said last */
    uint32_t inflight;
    uint32_t level; /* of commands that it understands; 0: it has not said */
    bool is_store_slow;
    bool has_diverged; /* its state differs from that of a quorum at an equal index */
};

struct consensus_status {
    enum consensus_role role;
    uint64_t term;
    struct mu_id leader; /* none: unknown */
    bool is_ready;       /* leader with a committed entry of its own term */
    uint64_t last_index, last_term, commit, applied, durable_applied, first_index;
    uint64_t stable;      /* durable on this server */
    uint64_t floor_index; /* it lost entries up to this one and has not got them again; 0: none */
    bool lacks_state;     /* it has lost its state and has not got one again */
    uint64_t config_index;
    uint32_t level;     /* of commands that the log may hold; 0: there is no configuration */
    uint32_t level_max; /* that this server understands */
    bool is_config_committed;
    bool is_transferring; /* leader: giving leadership away */
    bool is_stopped;      /* it says no more */
    bool is_removed;      /* dead: its disk may never come back */
    bool is_diverged;     /* dead: its state is not that of the majority */
    struct mu_id voters[CONSENSUS_PEERS_MAX];
    size_t voters_count;
    struct consensus_peer_status peers[CONSENSUS_PEERS_MAX];
    size_t peers_count;
    uint64_t leader_heard_ms; /* monotonic ms of the last contact with the leader; 0: never */
    enum consensus_installing installing;
    struct consensus_snap snapshot; /* the one received, or the one made for others last */
    uint64_t snapshots_sent, snapshots_installed, snapshots_failed;
    uint64_t entries_reread; /* leader: fetched for peers that are behind, and sent */
    uint64_t elections_started, elections_won, prevotes_started, pauses_seen;
    uint64_t messages_dropped; /* wrong cluster, epoch, disk or receiver; malformed; impossible */
    uint64_t reads_batched;    /* rounds that confirmed reads */
    uint64_t reads_leased;     /* reads that needed none */
    uint64_t refused;
    uint64_t unsynced_bytes, uncommitted_bytes, tail_bytes;
    uint32_t writes_outstanding;
    enum consensus_health health;
};
void consensus_status(const struct consensus *c, struct consensus_status *out);

const char *consensus_role_text(enum consensus_role role); /* "follower" */

#endif
