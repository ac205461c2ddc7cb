/* core.h - the private struct of the consensus core, for this folder and its tests.
 *
 * One arena: struct consensus, then its arrays at offsets computed once from the options. No
 * pointers inside, so that memcpy is a clone (spec/consensus.md 1.2). What a step produces lies
 * behind `state_bytes`: it is scratch, everything before is state and may be hashed.
 *
 *   step.c       one event in, effects out; the order of work behind every event
 *   election.c   roles, terms, votes, pre-vote, stickiness
 *   replicate.c  leader: what to send to whom
 *   append.c     follower: what to take
 *   progress.c   what each peer has
 *   commit.c     quorum arithmetic and nothing else
 *   log.c        terms of the whole log, shapes of its tail
 *   write.c      writes outstanding, what is durable, and who waits for it
 *   propose.c    admission, tickets
 *   read.c       linearizable reads
 *   lease.c      reads without a round: what voters promise for it
 *   sums.c       the states of all servers compared
 *   config.c     configurations and their history
 *   change.c     membership: what may change, removed servers, joint steps left
 *   level.c      which commands the log may hold: those that every server understands
 *   transfer.c   leadership given away
 *   compact.c    how much of the log stays
 *   snapshot.c   leader: the state for those who need what the log no longer has
 *   install.c    follower: taking it
 */
#ifndef CONSENSUS_CORE_H
#define CONSENSUS_CORE_H

#include "base/rand.h"
#include "consensus/consensus.h"
#include "consensus/trace.h"

enum {
    CONSENSUS_SENDS_MAX = 96,
    CONSENSUS_RESULTS_MAX = CONSENSUS_ENTRIES_MAX + 256,
    CONSENSUS_NOTICES_MAX = 64,
    CONSENSUS_CONFIGS_MAX = 8,
    CONSENSUS_LEAVING_MAX = 4, /* removed servers that are still served */
    CONSENSUS_SLOTS_MAX = CONSENSUS_PEERS_MAX + CONSENSUS_LEAVING_MAX,
    CONSENSUS_MARKS_MAX = 128,
    CONSENSUS_SNAPS_MAX = 4, /* orders in one step */
    CONSENSUS_PENDING_MAX = 32,
    CONSENSUS_SUMS_MAX = 64,
    CONSENSUS_ROUNDS_MAX = 16,     /* of heartbeats whose time is known */
    CONSENSUS_WRITES_RESERVED = 4, /* slots that entries of others may not take */
    CONSENSUS_TAIL_RESERVED = 16,  /* the same, of the tail */
};

#define CONSENSUS_NEVER UINT64_MAX

/* A message that names a term further away is corrupt or hostile (spec 2.20). */
#define CONSENSUS_TERM_JUMP_MAX (UINT64_C(1) << 32)

enum consensus_death {
    CONSENSUS_ALIVE,
    CONSENSUS_DEATH_STORE,
    CONSENSUS_DEATH_CONFLICT,
    CONSENSUS_DEATH_RUNS,
    CONSENSUS_DEATH_DIVERGED,
    CONSENSUS_DEATH_REMOVED,
    CONSENSUS_DEATH_LEVEL,
};
const char *consensus__dead_text(enum consensus_death why);

/* -- parts of the state -------------------------------------------------------------------- */

struct consensus__mark {
    uint64_t index, bytes; /* bytes: log.bytes when this was its last entry */
};

struct consensus__log {
    uint64_t base_index, base_term; /* entries up to here are gone; their last term is known */
    uint64_t last_index;
    uint64_t tail_first;        /* tail: tail_first .. last_index, empty when last + 1 */
    uint64_t tail_bytes;        /* payload bytes of the tail */
    uint64_t uncommitted_bytes; /* of those above commit */
    uint64_t bytes;             /* of all that was ever in it, about */
    uint64_t mark_bytes;        /* between two marks, at least */
    uint64_t compact_asked;     /* the owner was told that up to here may go */
    uint64_t shed_to;           /* damaged up to here: goes as soon as the state has it */
    uint32_t runs_count, marks_count;
    struct consensus__mark marks[CONSENSUS_MARKS_MAX]; /* ascending */
};

struct consensus__write_slot {
    uint64_t seq, first, last; /* first > last: hard state only */
    uint64_t submitted_ms;
    uint64_t bytes;
};

struct consensus__writes {
    uint64_t next_seq;      /* of the write that what is dirty now will be part of */
    uint64_t persisted_seq; /* all up to here are durable */
    uint64_t stable;      /* largest m so that every write that touches an index <= m is durable */
    uint64_t term_seq;    /* the write that first carried the current term */
    uint64_t vote_seq;    /* and the current vote */
    uint64_t dirty_first; /* entries from here on are not yet in a write; 0: none */
    uint64_t dirty_bytes;
    uint64_t outstanding_bytes;
    uint64_t flush_ms;    /* what a write takes lately: the longest, fading (spec 2.1) */
    uint32_t head, count; /* ring of slots */
    bool is_hard_dirty;
    uint8_t reserved[7];
};

/* An answer that may leave once write `seq` is durable (rules O2, O3 of spec 1.7). */
struct consensus__pending {
    uint64_t seq;
    uint64_t round_or_session, prev_index, match;
    struct mu_id to;
    uint32_t kind; /* VOTE_RES, APPEND_RES or SNAP_RES */
    uint32_t reserved;
};

/* The newest sums of the own state. */
struct consensus__sums {
    struct consensus_sum at[CONSENSUS_SUMS_MAX]; /* ring */
    struct consensus_sum newest;
    uint64_t told_index; /* the difference that was told last */
    uint32_t head, count;
    bool is_copy; /* of another server's state, and not seen to be that of others yet */
    uint8_t reserved[7];
};

struct consensus__peer {
    struct mu_id id, disk;  /* as servers[i] of the configuration in force, or removed by it */
    uint64_t removed_index; /* the entry that removed it; 0: it is a server */
    uint64_t removed_ms;    /* when that was committed; 0: not yet */
    uint64_t match, next;
    uint64_t session;        /* nonce and attempt; acks of another nonce are dropped (spec 1.11) */
    uint64_t acked_ms;       /* last reply of this session; 0: unknown */
    uint64_t read_echo;      /* highest read_seq it has answered */
    uint64_t promise_echo;   /* highest read_seq it has answered with the promise */
    uint64_t commit_sent;    /* the commit index it was told last */
    uint64_t applied;        /* as it says */
    uint64_t sent_ms;        /* when entries or a probe were sent last */
    uint64_t moved_ms;       /* when match grew last */
    uint64_t snap_next_ms;   /* not before: after a transfer that failed */
    uint64_t snap_pinned_ms; /* until then compaction waits for it: it was sent a snapshot */
    uint64_t snap_held;      /* entry of one of which it has all bytes; it imports it; or 0 */
    uint64_t snap_wanted;    /* given up as silent: the byte it was at, plus one; or 0 */
    uint64_t fetch_ms;       /* when old entries were asked of the store last, for it */
    uint64_t fetch_load; /* while clients press: not again before office.load has come to this */
    struct consensus_sum sum; /* as it said last */
    uint64_t inflight_bytes;
    uint32_t inflight_head, inflight_count;
    uint32_t state;        /* enum consensus_progress */
    uint32_t fetch_ticket; /* outstanding; 0: none */
    bool is_probing;       /* PROBE: one request is out */
    bool is_blocked;       /* its bulk connection takes nothing */
    bool is_store_slow;
    bool lacks_state; /* it is served a snapshot, wherever its log ends */
    bool is_copy;     /* its state is no witness */
    uint8_t reserved[3];
    uint32_t level; /* of commands that it understands, as it says; 0: not known */
};

struct consensus__inflight {
    uint64_t last, bytes;
};

enum consensus__export { CONSENSUS_EXPORT_NONE, CONSENSUS_EXPORT_RUNS, CONSENSUS_EXPORT_READY };

/* One export, and one server at a time that it is sent to. */
struct consensus__sending {
    struct consensus_snap snap;     /* READY */
    struct consensus_config config; /* as of snap.index */
    struct mu_id to;                /* none: nobody */
    uint64_t pin_index;             /* the export is not of an earlier entry */
    uint64_t ready_ms;
    uint64_t order_next_ms; /* not before: an export after one that failed */
    uint64_t began_ms;      /* the transfer */
    uint64_t stored, sent;  /* bytes: of the receiver's word, of ours */
    uint64_t moved_ms;      /* when `stored` grew last, or it said that it is busy */
    uint64_t asked_ms;      /* when it was offered last, or said where to go on */
    uint32_t state;         /* enum consensus__export */
    bool is_asking;         /* it must say where to go on */
    uint8_t reserved[3];
};

/* Why leadership is given away. */
enum consensus_transfer_why {
    CONSENSUS_TRANSFER_ASKED,
    CONSENSUS_TRANSFER_STOPS,
    CONSENSUS_TRANSFER_REMOVED, /* by a committed configuration */
    CONSENSUS_TRANSFER_DISK,
    CONSENSUS_TRANSFER_STATE, /* its own is lost */
    CONSENSUS_TRANSFER_PRIORITY,
};

struct consensus__transfer {
    struct mu_id target;
    uint64_t ends_at_ms;
    uint64_t sent_ms; /* TIMEOUT_NOW, last; 0: not yet */
    uint32_t why;     /* enum consensus_transfer_why */
    bool is_running;
    uint8_t reserved[3];
};

/* Until when no other leader can be elected (lease.c). */
struct consensus__lease {
    uint64_t until_ms;
    uint64_t seq_min;                       /* rounds before this one count no more */
    uint64_t sent_ms[CONSENSUS_ROUNDS_MAX]; /* ring by read_seq */
    bool is_over; /* for the rest of the term: somebody was asked to stand */
    uint8_t reserved[7];
};

/* Only on a leader; cleared on leaving the role. */
struct consensus__office {
    struct consensus__lease lease;
    struct consensus__sending sending;
    uint64_t first_index; /* its no-op: when that is committed, everything before is too */
    uint64_t since_ms;    /* check-quorum looks back no further */
    uint64_t heartbeat_at_ms;
    uint64_t read_seq;     /* drawn per heartbeat, never repeated in a term (spec 2.7) */
    uint64_t confirm_seq;  /* after a pause: nothing is answered before a quorum echoes this */
    uint64_t yields_at_ms; /* not before: to a server of higher priority, or a better disk */
    uint64_t push_index;   /* commit up to here is told at once, or was */
    uint64_t push_at_ms;   /* and beyond not before */
    uint64_t pressed_ms;   /* when clients had many proposals open, and they went on; 0: never */
    uint64_t load; /* what clients have put into the log: its bytes, and a weight an entry */
    uint64_t overtaken_ms; /* since when others have durably committed what this disk has not; 0 */
    struct consensus__transfer transfer;
    struct consensus_sum asked; /* the sum that this round of heartbeats compares */
    uint64_t asked_ms;
    struct consensus_sum proven; /* the newest that is surely what the log leads to; or index 0 */
    bool is_split;               /* states differ, and no quorum agrees */
    bool is_heartbeat_due;
    bool is_ready;
    bool is_push_held; /* from somebody */
    uint8_t reserved[4];
};

/* Only on a (pre-)candidate. */
struct consensus__campaign {
    uint64_t ask_at_ms;     /* when to ask again those that did not answer */
    uint64_t transfer_term; /* the leader of this term asked us to stand; 0: nobody did */
    uint32_t votes;         /* bit i: servers[i] of the configuration */
    bool has_asked;         /* the own vote is durable and counted, requests are out (rule O1) */
    uint8_t reserved[3];
};

/* A snapshot being taken (install.c). */
struct consensus__install {
    struct consensus_snap snap;
    struct consensus_config config; /* as of snap.index */
    struct mu_id from;              /* whom to answer */
    uint64_t session;
    uint64_t taken, stored; /* bytes: given to the owner, reported by it */
    uint64_t reset_seq;     /* RESETS: the write; 0: not submitted yet */
    uint32_t state;         /* enum consensus_installing */
    uint32_t reserved;
};

/* Tickets in order: first those that may be answered, then those whose confirmation flies, then
 * those that wait for the next one. */
struct consensus__reads {
    uint32_t head, count; /* ring of tickets */
    uint32_t ready, flying;
    uint64_t ready_index;
    uint64_t flying_seq, flying_index;
    bool is_void; /* no longer leader: all but the ready ones are answered NOT_LEADER */
    uint8_t reserved[7];
};

struct consensus__counters {
    uint64_t elections_started, elections_won, prevotes_started, pauses_seen;
    uint64_t messages_dropped, reads_batched, reads_leased, refused;
    uint64_t snapshots_sent, snapshots_installed, snapshots_failed;
    uint64_t entries_reread;
};

struct consensus {
    struct consensus_options options;

    /* where the arrays are, from the start of the arena */
    struct {
        size_t runs, tickets, handles, sizes, kinds, writes, inflight, reads;
        size_t state_bytes; /* scratch begins here */
        size_t sends, results, notices, fetches, drops, total;
    } at;

    uint64_t now_ms, wake_at_ms;
    struct mu_rand rand;
    struct consensus_hard hard;

    uint32_t role;    /* enum consensus_role; changed by consensus__role_move() only */
    uint32_t death;   /* enum consensus_death */
    bool is_stopping; /* leadership is given away before */
    bool is_stopped;
    bool is_elector;       /* a voter of some configuration that may be in force */
    bool is_again;         /* the last effects asked for another WAKE */
    bool has_peers_change; /* to be told in the effects */
    uint8_t health;        /* enum consensus_health, as the store said */
    bool lacks_state;      /* nothing is applied before a snapshot was installed (spec 2.16) */
    uint8_t reserved[1];

    struct mu_id leader;
    uint64_t leader_heard_ms; /* in this term; 0: not heard */
    uint64_t contact_ms;      /* the same, not reset with the term: for status */
    uint64_t election_at_ms;
    uint64_t round;          /* of pre-votes */
    uint64_t complain_at_ms; /* not before: about identities */
    uint64_t slow_since_ms;  /* since when the store has said so */

    /* What this voter has promised: no vote to others (lease.c). Not forgotten with the term. */
    struct mu_id promised_to;
    uint64_t promised_term, promised_until_ms;
    uint64_t quiet_until_ms; /* it began lately, and may have forgotten a promise */

    uint64_t commit, applied, durable_applied;
    uint64_t state_bytes;             /* what a snapshot would be, about; 0: not known */
    uint64_t floor_index, floor_term; /* the log once ended there (spec 2.16); 0: it is whole */
    uint64_t answered;                /* tickets up to here have their COMMITTED */
    uint64_t lost_next, lost_last;    /* tickets of this range get LOST; next > last: none */
    uint64_t transfer_ticket;         /* who waits for a transfer; 0: nobody */
    uint32_t transfer_outcome;        /* enum consensus_outcome, once it is over */
    uint32_t transfer_refusal;
    bool is_transfer_over;
    uint8_t reserved_too[3];
    uint32_t removed_by;       /* bits of servers that say this one was removed */
    uint64_t member_ask_at_ms; /* when to ask them (again) */

    struct consensus__log log;
    struct consensus__writes writes;
    struct consensus__pending pending[CONSENSUS_PENDING_MAX];
    uint32_t pending_count;
    uint32_t fetch_ticket_last;

    struct consensus_config
        configs[CONSENSUS_CONFIGS_MAX]; /* the first is committed, or the only */
    uint32_t configs_count;
    uint64_t config_gap; /* behind the first, from this entry on, there were more; 0: none */
    uint32_t self;       /* own place in the newest of them, or CONSENSUS_PEERS_MAX */
    /* as its servers, own place included; then, on a leader, those it has removed */
    struct consensus__peer peers[CONSENSUS_SLOTS_MAX];
    uint32_t peers_count;
    uint32_t reserved_three;

    struct consensus__office office;
    struct consensus__campaign campaign;
    struct consensus__reads reads;
    struct consensus__install install;
    uint64_t install_attempts;
    struct consensus__counters counters;
    struct consensus__sums sums;

    /* scratch: what this step has produced so far */
    uint32_t sends_count, results_count, notices_count, fetches_count, drops_count;
    bool has_write;
    bool wants_again;
    bool has_made; /* a configuration entry: the newest */
    struct consensus_write write;
    uint64_t compact_to;
    struct consensus_snap_order snaps[CONSENSUS_SNAPS_MAX];
    uint32_t snaps_count;
    struct consensus_config offered; /* with a snapshot: the office may end in the same step */
};

/* -- step.c -------------------------------------------------------------------------------- */

/* An array of the arena. Who has the core as const only reads it. */
static inline void *consensus__array(const struct consensus *c, size_t at)
{
    union {
        const struct consensus *given;
        char *bytes;
    } arena = { c };

    return arena.bytes + at;
}

struct consensus_msg *consensus__send(struct consensus *c, enum consensus_msg_kind kind,
                                      const struct mu_id *to);
bool consensus__send_has_room(const struct consensus *c);
void consensus__result(struct consensus *c, uint64_t ticket, enum consensus_outcome outcome,
                       enum consensus_refusal why, uint64_t index);
bool consensus__results_have_room(const struct consensus *c);
void consensus__drop(struct consensus *c, uint32_t handle);
void consensus__note(struct consensus *c, enum consensus_trace kind, const struct mu_id *peer,
                     uint64_t a, uint64_t b, uint64_t d);
void consensus__die(struct consensus *c, enum consensus_death why);

/* -- election.c ---------------------------------------------------------------------------- */

void consensus__role_move(struct consensus *c, enum consensus_role to);
void consensus__role_settle(struct consensus *c); /* the configuration changed: may it vote? */
void consensus__term_adopt(struct consensus *c, uint64_t term, const struct mu_id *from);
void consensus__timer_reset(struct consensus *c);
bool consensus__follow(struct consensus *c, const struct consensus_msg *m);
bool consensus__is_sticky(const struct consensus *c); /* a leader is alive (spec 2.3) */
void consensus__election_run(struct consensus *c);    /* timers and quorums of votes */
/* The leader of this term wants this server to lead. */
void consensus__campaign_at_once(struct consensus *c);
void consensus__on_prevote_req(struct consensus *c, const struct consensus_msg *m);
void consensus__on_prevote_res(struct consensus *c, const struct consensus_msg *m);
void consensus__on_vote_req(struct consensus *c, const struct consensus_msg *m);
void consensus__on_vote_res(struct consensus *c, const struct consensus_msg *m);

/* -- replicate.c --------------------------------------------------------------------------- */

void consensus__lead(struct consensus *c);     /* on winning */
void consensus__lead_run(struct consensus *c); /* timers, commit, heartbeats, entries out */
void consensus__push_noop(struct consensus *c);
bool consensus__has_quorum(const struct consensus *c); /* confirmed since the last pause */
uint64_t consensus__quorum_read_echo(const struct consensus *c);
uint64_t consensus__office_ends_ms(const struct consensus *c);
void consensus__step_down(struct consensus *c, enum consensus_trace why, uint64_t ms);
void consensus__on_append_res(struct consensus *c, const struct consensus_msg *m);
void consensus__on_heartbeat_res(struct consensus *c, const struct consensus_msg *m);
void consensus__on_fetched(struct consensus *c, const struct consensus_event *ev);
void consensus__commit_to(struct consensus *c, uint64_t index);
/* That the own disk completes nothing. */
bool consensus__stall_ends_office(const struct consensus *c);
bool consensus__has_stalled(const struct consensus *c); /* for so long that it does */
/* PERSISTED alone would change nothing. */
bool consensus__may_persist_late(const struct consensus *c);
/* Somebody waits at another server for the commit of this entry. */
void consensus__push_at_once(struct consensus *c, uint64_t index);
/* How much work entries are, in bytes. */
uint64_t consensus__load(size_t entries, uint64_t bytes);

/* -- append.c ------------------------------------------------------------------------------ */

void consensus__on_append_req(struct consensus *c, const struct consensus_msg *m);
void consensus__on_heartbeat(struct consensus *c, const struct consensus_msg *m);

/* -- progress.c ---------------------------------------------------------------------------- */

struct consensus__peer *consensus__peer_find(struct consensus *c, const struct mu_id *id);
void consensus__peers_align(struct consensus *c); /* the configuration changed */
void consensus__peers_part(struct consensus *c);  /* removed servers that know it: serve no more */
void consensus__peer_begin(struct consensus *c, struct consensus__peer *p); /* a new session */
void consensus__peer_move(struct consensus *c, struct consensus__peer *p,
                          enum consensus_progress to);
bool consensus__session_is(const struct consensus__peer *p, uint64_t session);
/* is_current: the ack answers the attempt that is under way. */
void consensus__peer_acked(struct consensus *c, struct consensus__peer *p, uint64_t match,
                           bool is_current);
void consensus__peer_sent(struct consensus *c, struct consensus__peer *p, uint64_t last,
                          uint64_t bytes);
bool consensus__peer_is_full(const struct consensus *c, const struct consensus__peer *p);
void consensus__on_peer(struct consensus *c, const struct consensus_event *ev);

/* -- commit.c ------------------------------------------------------------------------------ */

/* The highest value that a quorum has reached in every set of voters; values[i] is servers[i]'s. */
uint64_t consensus__quorum_value(const struct consensus_config *config,
                                 const uint64_t values[CONSENSUS_PEERS_MAX]);
/* Are the servers of these bits a quorum in every set? */
bool consensus__quorum_of(const struct consensus_config *config, uint32_t bits);

/* -- log.c --------------------------------------------------------------------------------- */

void consensus__log_load(struct consensus *c, const struct consensus_loaded *loaded);
uint64_t consensus__log_last_term(const struct consensus *c);
/* Where the log of this server ends as far as others may count on: its floor, while it is lower. */
void consensus__log_claim(const struct consensus *c, uint64_t *term, uint64_t *index);
void consensus__log_heal(struct consensus *c); /* is it durably as far again? */
bool consensus__log_has(const struct consensus *c, uint64_t index, uint64_t term);
/* One term more would not fit, for nothing of the oldest is known to be committed yet. */
bool consensus__log_is_crowded(const struct consensus *c);
/* The largest index <= `index` whose term is <= `term`; never below the base. */
uint64_t consensus__log_hint(const struct consensus *c, uint64_t index, uint64_t term);
bool consensus__log_has_room(const struct consensus *c, size_t count, uint64_t bytes,
                             uint32_t keep);
bool consensus__log_is_full(const struct consensus *c); /* no place for one entry more */
void consensus__log_push(struct consensus *c, const struct consensus_entry *e);
void consensus__log_truncate(struct consensus *c, uint64_t first); /* drop first and all behind */
void consensus__log_trim(struct consensus *c); /* of the tail what nobody needs */
void consensus__log_compact(struct consensus *c, uint64_t index);
void consensus__log_reset(struct consensus *c, uint64_t index, uint64_t term);
uint64_t *consensus__log_ticket(struct consensus *c, uint64_t index);
uint32_t consensus__log_bytes(const struct consensus *c, uint64_t index);

/* -- compact.c ----------------------------------------------------------------------------- */

void consensus__marks_load(struct consensus *c, const struct consensus_loaded *loaded);
void consensus__marks_push(struct consensus *c, uint64_t index, uint32_t bytes);
void consensus__marks_truncate(struct consensus *c, uint64_t first);
void consensus__marks_compact(struct consensus *c, uint64_t base);
void consensus__marks_reset(struct consensus *c);
void consensus__on_shed(struct consensus *c, uint64_t index);
uint64_t consensus__compact_to(struct consensus *c); /* 0: nothing new may go */

/* -- snapshot.c ---------------------------------------------------------------------------- */

void consensus__snap_order(struct consensus *c, enum consensus_snap_order_kind kind,
                           const struct consensus_snap *snap);
void consensus__sending_run(struct consensus *c); /* leader: exports, offers, chunks */
bool consensus__is_sending_to(const struct consensus *c, const struct consensus__peer *p);
void consensus__on_snap_res(struct consensus *c, const struct consensus_msg *m);
void consensus__on_snapshot(struct consensus *c, const struct consensus_event *ev);

/* -- install.c ----------------------------------------------------------------------------- */

void consensus__on_snap_offer(struct consensus *c, const struct consensus_msg *m);
void consensus__on_snap_chunk(struct consensus *c, const struct consensus_msg *m);
void consensus__on_install(struct consensus *c, const struct consensus_event *ev);
void consensus__install_run(struct consensus *c);
bool consensus__is_installing(const struct consensus *c); /* may not lead until it is done */
bool consensus__is_resetting(const struct consensus *c);  /* log and state do not fit now */

/* -- write.c ------------------------------------------------------------------------------- */

void consensus__write_hard(struct consensus *c); /* the hard state changed */
void consensus__write_entries(struct consensus *c, uint64_t first, uint64_t bytes);
void consensus__write_reset(struct consensus *c); /* the log was reset: nothing before counts */
void consensus__write_flush(struct consensus *c); /* at the end of the step: one write, or none */
bool consensus__write_has_room(const struct consensus *c);
uint64_t consensus__write_covering(const struct consensus *c, uint64_t index);
uint64_t consensus__write_age_ms(const struct consensus *c);    /* of the oldest outstanding */
uint64_t consensus__stall_ms(const struct consensus *c);        /* for how long nothing completes */
void consensus__writes_shift(struct consensus *c, uint64_t ms); /* do not count a pause */
void consensus__reply_when(struct consensus *c, const struct consensus__pending *p);
void consensus__replies_release(struct consensus *c);
void consensus__on_persisted(struct consensus *c, uint64_t seq, uint64_t late_ms);
enum consensus_health consensus__health(const struct consensus *c);

/* -- propose.c ----------------------------------------------------------------------------- */

void consensus__on_propose(struct consensus *c, const struct consensus_event *ev);
void consensus__tickets_lose(struct consensus *c); /* leaving the office */
bool consensus__tickets_are_told(struct consensus *c);
void consensus__tickets_drain(struct consensus *c); /* answers, as many as fit */

/* -- read.c -------------------------------------------------------------------------------- */

void consensus__on_read(struct consensus *c, uint64_t ticket);
void consensus__reads_run(struct consensus *c); /* confirm what flies, launch what waits */
void consensus__reads_void(struct consensus *c);
void consensus__reads_pause(struct consensus *c);
void consensus__reads_drain(struct consensus *c);

/* -- lease.c ------------------------------------------------------------------------------- */

/* Leader: round office.read_seq is being sent; what it asks of voters, in ms. */
uint32_t consensus__lease_round(struct consensus *c);
void consensus__lease_run(struct consensus *c);   /* what has been promised by now */
void consensus__lease_break(struct consensus *c); /* what was promised until now counts no more */
bool consensus__lease_holds(const struct consensus *c, uint64_t now_ms);
/* Voter: no vote to others for so long. False: it cannot promise that. */
bool consensus__promise(struct consensus *c, const struct consensus_msg *heartbeat);
/* Would a vote, real or pre-, for who asks break a promise? */
bool consensus__promise_forbids(const struct consensus *c, const struct consensus_msg *ask);
void consensus__promise_renew(struct consensus *c, uint64_t since_ms); /* after a pause */

/* -- sums.c -------------------------------------------------------------------------------- */

void consensus__on_sum(struct consensus *c, const struct consensus_sum *sum);
void consensus__sums_copied(struct consensus *c); /* the state is another server's from now on */
/* Follower: the own sum where the leader asks; notes, and may end on, a difference. */
struct consensus_sum consensus__sum_answer(struct consensus *c, const struct consensus_msg *m);
/* Leader: once per round of heartbeats; an answer; is this peer to be told that it is the odd one?
 */
void consensus__sum_round(struct consensus *c);
void consensus__split_run(struct consensus *c);
void consensus__on_sum_answer(struct consensus *c, struct consensus__peer *p,
                              const struct consensus_msg *m);
bool consensus__sum_is_odd(const struct consensus *c, const struct consensus__peer *p);

/* -- config.c ------------------------------------------------------------------------------ */

const struct consensus_config *consensus__config(const struct consensus *c);
void consensus__config_push(struct consensus *c, const struct consensus_config *config);
void consensus__config_truncate(struct consensus *c, uint64_t first);
void consensus__config_reset(struct consensus *c, const struct consensus_config *config);
void consensus__configs_load(struct consensus *c, const struct consensus_loaded *loaded);
/* In force as of entry `index`; NULL: forgotten. */
const struct consensus_config *consensus__config_at(const struct consensus *c, uint64_t index);
void consensus__config_committed(struct consensus *c);
/* May `next` stand behind `before` in a log: at most one voter differs, or a joint step? */
bool consensus__config_follows(const struct consensus_config *before,
                               const struct consensus_config *next);
/* The newest configuration of the history below `index`; NULL: none is known. */
const struct consensus_config *consensus__config_below(const struct consensus *c, uint64_t index);

/* -- change.c ------------------------------------------------------------------------------ */

void consensus__on_change(struct consensus *c, const struct consensus_event *ev);
void consensus__change_run(struct consensus *c);     /* leader: leave a joint configuration */
void consensus__membership_run(struct consensus *c); /* others: still one of them? */
void consensus__membership_begin(struct consensus *c);
uint64_t consensus__membership_wake_ms(const struct consensus *c);
void consensus__on_member_req(struct consensus *c, const struct consensus_msg *m);
void consensus__on_member_res(struct consensus *c, const struct consensus_msg *m);

/* What speaks against any change now, or CONSENSUS_NOT_REFUSED. */
enum consensus_refusal consensus__change_refusal(const struct consensus *c);
/* Append it; `next` is in force from here on. */
void consensus__config_propose(struct consensus *c, struct consensus_config *next, uint64_t ticket);

/* -- level.c ------------------------------------------------------------------------------- */

/* Of commands that the log may hold; 0: there is no configuration. */
uint32_t consensus__level(const struct consensus *c);
void consensus__level_run(struct consensus *c); /* leader: raise it when all servers can */
/* May the server that this change brings in, or up, not take part at the level there is? */
bool consensus__level_forbids(struct consensus *c, const struct consensus_change *what);
/* Its commands are not understood here: this server dies. */
bool consensus__level_ends(struct consensus *c, const struct consensus_config *config);

/* -- transfer.c ---------------------------------------------------------------------------- */

void consensus__on_transfer(struct consensus *c, const struct consensus_event *ev);
void consensus__on_timeout_now(struct consensus *c, const struct consensus_msg *m);
/* Begin; target NULL: the best. What speaks against it, or CONSENSUS_NOT_REFUSED. */
enum consensus_refusal consensus__transfer_begin(struct consensus *c,
                                                 enum consensus_transfer_why why,
                                                 const struct mu_id *target);
void consensus__transfer_run(struct consensus *c);
void consensus__transfer_failed(struct consensus *c); /* for whoever asked for it */
void consensus__transfer_over(struct consensus *c);   /* leaving the office */
void consensus__transfer_drain(struct consensus *c);  /* the answer */

#endif
