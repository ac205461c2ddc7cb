/* gossip.h - who is in the cluster, decided without sockets, clocks or threads.
 *
 * SWIM (Das, Gupta, Motivala 2002) with Lifeguard's local health and dynamic suspicion (Dadgar,
 * Phillips, Currey 2018), push/pull anti-entropy, and the status that users see (leaving, left,
 * failed) on top. spec/gossip.md is the ground; section numbers in comments mean that text.
 *
 * The owner feeds one event at a time to gossip_step() and then carries out the effects: send
 * packets, open streams, hand notices to the agent, call again at wake_at_ms. The same events and
 * seed always give the same effects; tests/sim lives on that.
 *
 * Thread:  one owner thread, no locks inside.
 * Time:    milliseconds on a monotonic clock, supplied by the owner.
 * Memory:  effects point into the core; they die at the next gossip_step().
 * Errors:  a bad packet is counted and dropped. Only gossip_new() and calls that say so can fail.
 */
#ifndef GOSSIP_GOSSIP_H
#define GOSSIP_GOSSIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/sample.h"
#include "base/span.h"
#include "gossip/keys.h"
#include "proto/coordinate.h"

/* What users see (Serf's words and numbers). Suspicion is not visible: a suspect is alive. */
enum gossip_status {
    GOSSIP_STATUS_NONE = 0,
    GOSSIP_STATUS_ALIVE = 1,
    GOSSIP_STATUS_LEAVING = 2,
    GOSSIP_STATUS_LEFT = 3,
    GOSSIP_STATUS_FAILED = 4,
};

const char *gossip_status_text(enum gossip_status status); /* "alive", "leaving", ... */

/* One member as the world outside sees it. A view: valid until the next step. */
struct gossip_view {
    const char *name; /* unique in the cluster */
    struct mu_addr addr;
    struct mu_pairs tags; /* sorted by key */
    enum gossip_status status;
    bool is_suspect;
    struct mu_id node_id; /* none when the member sent none */
    uint64_t boot_id;     /* drawn anew at each start */
    uint64_t incarnation; /* raised only by the member itself, to refute */
    uint64_t changed_ms;  /* when `status` last changed */
    uint8_t versions[6];  /* pmin pmax pcur dmin dmax dcur */
    bool is_self;
};

enum gossip_notice_kind {
    GOSSIP_JOINED,      /* new, or back from failed or left */
    GOSSIP_UPDATED,     /* tags, address or versions changed */
    GOSSIP_FAILED,      /* declared dead by suspicion */
    GOSSIP_LEFT,        /* said so itself, or was forced */
    GOSSIP_REAPED,      /* forgotten */
    GOSSIP_REFUTED,     /* this node was accused and refuted: catalogs may hold it failed */
    GOSSIP_CONFLICT,    /* a peer turned our name or id down: `member` holds it; `text` names both.
                         * Comes again as long as we try, at most every 5 s */
    GOSSIP_UNREACHABLE, /* a peer says that our advertised address cannot be reached; `text` */
    GOSSIP_USELESS,     /* we advertise loopback, or none, to another machine: not let in; `text` */
};

struct gossip_notice {
    enum gossip_notice_kind kind;
    struct gossip_view member; /* of CONFLICT: the other one */
    const char *text;          /* NULL except of CONFLICT, UNREACHABLE, USELESS */
};

struct gossip_profile { /* spec/gossip.md 2.1; all in milliseconds unless named otherwise */
    uint32_t probe_ms, probe_timeout_ms, gossip_ms, push_pull_ms, stream_ms;
    uint32_t suspicion_mult, suspicion_max_mult, retransmit_mult;
    uint32_t stalled_mult; /* of suspicion_mult, for a process that stands still (6) */
    uint32_t indirect_checks, gossip_nodes, awareness_max;
    uint32_t query_ms; /* the unit of query timeouts (13.7) */
    uint32_t gossip_to_dead_ms, reclaim_ms, reconnect_ms, reconnect_timeout_ms, tombstone_ms;
    uint32_t leave_propagate_ms, broadcast_timeout_ms;
    uint32_t packet_bytes; /* datagrams are filled up to: MU_GOSSIP_PACKET_MIN to _MAX */
};

extern const struct gossip_profile gossip_profile_lan, gossip_profile_wan, gossip_profile_local;
/* MU_INVALID: an interval or a multiplier that is 0, a probe that outlasts its period, a size of
 * datagrams that is out of bounds. */
MU_MUST_CHECK enum mu_code gossip_profile_check(const struct gossip_profile *profile,
                                                struct mu_err *err);

/* A line for people and tests; the core writes nothing itself. MU_TRACE lines tell each step of the
 * protocol, the others are the sentences that operators know (19). */
typedef void gossip_log_fn(void *data, enum mu_log_level level, const char *fmt, va_list args)
    MU_PRINTF(3, 0);

/* Whom we knew before we stopped (13.12): the core tries them while it is alone. */
struct gossip_known {
    const char *name;
    struct mu_addr addr;
};

/* Keys, and how strict they are meant (12.6): the steps of a roll-out without downtime. */
struct gossip_sealing {
    const struct gossip_keyring *keyring; /* copied; NULL or empty: everything is in clear */
    bool takes_clear;                     /* what comes in clear is taken all the same */
    bool sends_clear;                     /* nothing is sealed yet */
    /* Copied: `keyring` again, with what members are told that were away when keys changed. NULL:
     * they are told nothing. */
    const struct gossip_keys *keys;
};

struct gossip_cards; /* opaque; see below */

struct gossip_options {
    const char *name; /* 1..MU_NODE_NAME_MAX bytes */
    struct mu_id node_id;
    uint64_t boot_id;
    const char *pool;  /* "dc1/lan": with the label it makes the cluster id (12.3) */
    const char *label; /* may be NULL */
    struct mu_addr advertise;
    struct mu_pairs tags; /* copied; those that gossip_tags_check() takes */
    struct gossip_profile profile;
    uint64_t incarnation; /* to start from (3, item 3) */
    uint64_t seed;
    struct gossip_sealing sealing;
    uint8_t nonce_prefix[16]; /* with keys: drawn anew for each boot, never equal on two nodes */
    /* The predicate of 9.4 and 16, asked for every alive record and every merge. Return NULL to
     * accept, or a sentence that says why not. Called from inside a step; may be NULL. */
    const char *(*refuse)(void *data, const struct gossip_view *member);
    void *refuse_data;
    /* Members with other addresses are not taken (4.1); none: all are. Borrowed for life. */
    const struct mu_net *networks;
    size_t networks_count;
    gossip_log_fn *log; /* may be NULL */
    void *log_data;
    const struct gossip_known *known; /* copied */
    size_t known_count;
    uint64_t member_time;            /* Lamport time reached before we stopped; 0: none */
    uint64_t event_time, query_time; /* the same: what is older was delivered before */
    unsigned event_size_limit;       /* bytes of a user event; 0: GOSSIP_EVENT_BYTES */
    unsigned query_size_limit;       /* of a query; 0: GOSSIP_QUERY_BYTES, which is the most */
    unsigned response_size_limit;    /* of an answer of ours; 0: GOSSIP_RESPONSE_BYTES. Above that
                                      * only to queries that take more, up to
                                      * GOSSIP_RESPONSE_LARGE_BYTES */
    bool no_coordinates;             /* neither kept nor told */
    bool has_coordinate;
    struct coordinate coordinate; /* where we were before we stopped */
    struct gossip_cards *cards;   /* shared with other cores; NULL: not */
};

/* What members say of themselves (name, address, ids, tags) never changes in place, so many cores
 * can hold one copy: a simulated cluster of ten thousand nodes has a hundred million records. The
 * cores of a pool may be stepped by different threads at once, each by one at a time. The pool must
 * outlive its cores. */
struct gossip_cards *gossip_cards_new(void);
void gossip_cards_free(struct gossip_cards *pool); /* NULL is fine */
size_t gossip_cards_count(const struct gossip_cards *pool);

/* -- user events and queries (13.6, 13.7) ------------------------------------------------------
 */

#define GOSSIP_EVENT_BYTES     512  /* name and payload, also encoded; settable */
#define GOSSIP_EVENT_BYTES_MAX 1024 /* up to here: an event fits a datagram */
#define GOSSIP_QUERY_BYTES     1024 /* encoded; less can be set */
#define GOSSIP_RESPONSE_BYTES  1024 /* encoded */
/* The same of a query that takes large ones: with what is around it a frame of 64 KiB. */
#define GOSSIP_RESPONSE_LARGE_BYTES (64U * 1024 - 64)

struct gossip_user_event { /* delivered once to each process, in no order between senders */
    uint64_t ltime;
    const char *name;
    struct mu_span payload;
    bool coalesce; /* of several of this name only the last matters */
};

struct gossip_query { /* somebody asks; gossip_driver_respond() answers */
    uint64_t ltime;
    uint32_t id; /* with ltime: which query */
    const char *name;
    struct mu_span payload;
    const char *from;
    uint64_t deadline_ms, timeout_ms;
    size_t answer_bytes_max; /* encoded */
    bool is_internal;        /* "_serf_...": not for event handlers */
};

struct gossip_query_filter {  /* all must pass */
    const char *const *nodes; /* one of these, or */
    size_t nodes_count;
    const char *tag, *expr; /* RE2, unanchored; a missing tag is empty */
};

struct gossip_query_params {
    const char *name;
    struct mu_span payload;
    const struct gossip_query_filter *filters;
    size_t filters_count;
    uint64_t timeout_ms;   /* 0: by the number of members */
    unsigned relay_factor; /* 0..255: copies of each answer through others */
    bool wants_acks;
    bool takes_large; /* answers up to GOSSIP_RESPONSE_LARGE_BYTES, by stream when need be; up to
                       * what who answers has set, if that is more than GOSSIP_RESPONSE_BYTES */
    bool takes_own;   /* the same only of those who have set more */
    bool is_internal; /* may have a name with Serf's own prefix */
};

enum gossip_reply_kind {
    GOSSIP_REPLY_ACK,      /* `from` has the query */
    GOSSIP_REPLY_RESPONSE, /* `from` answers */
    GOSSIP_REPLY_DONE,     /* the time is over; last one of a query */
};

struct gossip_reply {
    uint64_t query; /* the id it was asked with */
    enum gossip_reply_kind kind;
    const char *from;
    struct mu_span payload;
};

struct gossip; /* opaque */

/* -- one event in -------------------------------------------------------------------------------
 */

enum gossip_event_kind {
    GOSSIP_EV_START,           /* first, once */
    GOSSIP_EV_WAKE,            /* wake_at_ms has come; read the socket empty before (5.6) */
    GOSSIP_EV_PACKET,          /* a datagram came */
    GOSSIP_EV_SEND_FAILED,     /* a datagram of ours did not reach `failed.to` */
    GOSSIP_EV_STREAM_ACCEPTED, /* a peer opened a stream; its id is even */
    GOSSIP_EV_STREAM_OPENED,   /* a stream of ours is connected */
    GOSSIP_EV_STREAM_DATA,
    GOSSIP_EV_STREAM_CLOSED, /* once per stream, except after GOSSIP_STREAM_DROP */
    GOSSIP_EV_JOIN,
    GOSSIP_EV_LEAVE,
    GOSSIP_EV_FORCE_LEAVE, /* an unknown name changes nothing */
    GOSSIP_EV_SPREAD,      /* done when what was said until now has left this node */
    GOSSIP_EV_WIDTH,       /* measure a way for a second or so; done with a gossip_width */
    GOSSIP_EV_TAGS,        /* those that gossip_tags_check() takes */
    GOSSIP_EV_PROFILE,     /* other times from now on: gossip_profile_check() first */
    GOSSIP_EV_KEYS,        /* another keyring, or another strictness */
    GOSSIP_EV_USER_EVENT,  /* send one: gossip_event_check() first */
    GOSSIP_EV_QUERY,       /* ask: gossip_query_check() first */
    GOSSIP_EV_RESPOND,     /* answer; too late or twice changes nothing */
};

enum gossip_end { /* why a stream ended */
                  GOSSIP_END_EOF,
                  GOSSIP_END_REFUSED,     /* nobody listens there */
                  GOSSIP_END_UNREACHABLE, /* any other failure to connect */
                  GOSSIP_END_RESET,       /* any failure afterwards */
                  GOSSIP_END_LOCAL, /* our own lack of something: says nothing about the peer */
};

struct gossip_target {
    const char *given;  /* as the user wrote it; names it in errors when `failed` is set */
    const char *failed; /* NULL, or why it has no address: "lookup x: no such host" */
    struct mu_addr addr;
};

struct gossip_event {
    uint64_t now_ms; /* never earlier than in the event before */
    uint64_t now_ns; /* the same clock, for round trips; 0: no finer one */
    enum gossip_event_kind kind;
    union { /* everything borrowed for the call */
        struct {
            struct mu_addr from;
            struct mu_span data;
            uint64_t at_ns; /* when it came, on the clock of now_ns; 0: not known */
        } packet;
        struct {
            struct mu_addr to;
            bool is_remote; /* the other side's host said so (port or host unreachable) */
        } failed;
        struct {
            uint32_t id;
            struct mu_addr from; /* ACCEPTED */
            struct mu_span data; /* DATA */
            enum gossip_end end; /* CLOSED, with the reason in words: */
            const char *text;    /* "connect: connection refused" */
        } stream;
        struct {
            uint64_t id; /* comes back in gossip_done */
            const struct gossip_target *targets;
            size_t targets_count;
            bool replays; /* events from before the join are wanted, too */
        } join;
        struct {
            uint64_t id;
        } leave;
        struct {
            uint64_t id; /* comes back in gossip_done; contacted 0: not in time */
        } spread;
        struct {
            uint64_t id; /* comes back in gossip_done, with `contacted` an enum gossip_width */
            const char *name;
        } width;
        struct {
            const char *name;
            bool prune;
        } force;
        struct mu_pairs tags;
        struct gossip_sealing sealing;
        struct gossip_profile profile;
        struct {
            const char *name;
            struct mu_span payload;
            bool coalesce;
        } user_event;
        struct {
            uint64_t id; /* comes back in gossip_reply */
            const struct gossip_query_params *params;
        } query;
        struct {
            uint64_t ltime;
            uint32_t id;
            struct mu_span payload;
        } respond;
    };
};

/* -- effects out --------------------------------------------------------------------------------
 */

struct gossip_send { /* a datagram */
    struct mu_addr to;
    struct mu_span data;
};

enum gossip_stream_verb {
    GOSSIP_STREAM_OPEN,  /* connect to `to`; the id is odd */
    GOSSIP_STREAM_WRITE, /* `data`, after what was written before */
    GOSSIP_STREAM_END,   /* once all is written: half-close, discard what comes, then CLOSED */
    GOSSIP_STREAM_DROP,  /* close at once; nothing more is heard of it */
};

struct gossip_stream_op {
    enum gossip_stream_verb verb;
    uint32_t id;
    struct mu_addr to;
    struct mu_span data;
};

enum gossip_width {                       /* of a way, for datagrams */
                    GOSSIP_WIDTH_UNKNOWN, /* too few of any size arrive, or no living member */
                    GOSSIP_WIDTH_FULL,
                    GOSSIP_WIDTH_NARROW, /* small ones arrive there, the largest we send do not */
};

struct gossip_done { /* the answer to a JOIN, LEAVE, SPREAD or WIDTH event */
    uint64_t id;
    unsigned contacted;
    const char *why; /* "1 error occurred:\n\t* Failed to join ...\n\n"; "" without failures */
};

struct gossip_effects {
    const struct gossip_send *sends;
    size_t sends_count;
    const struct gossip_stream_op *streams; /* in this order */
    size_t streams_count;
    const struct gossip_notice *notices; /* in the order they happened */
    size_t notices_count;
    const struct gossip_done *dones;
    size_t dones_count;
    const struct gossip_user_event *events; /* in the order they came */
    size_t events_count;
    const struct gossip_query *queries;
    size_t queries_count;
    const struct gossip_reply *replies;
    size_t replies_count;
    const struct gossip_keys *keys; /* NULL, or a later state of our keys: gossip_keys_take() */
    bool has_round;                 /* rumors were told, among the sends */
    uint64_t incarnation;           /* our own by now: persist ahead of it (3, item 3) */
    uint64_t wake_at_ms;            /* 0: nothing is pending */
};

/* Errors: MU_INVALID (name, address, profile), MU_TOO_BIG (tags). */
MU_MUST_CHECK enum mu_code gossip_new(struct gossip **out, const struct gossip_options *options,
                                      struct mu_err *err);
void gossip_step(struct gossip *g, const struct gossip_event *ev, struct gossip_effects *fx);
void gossip_free(struct gossip *g); /* NULL is fine */

/* MU_TOO_BIG: over MU_GOSSIP_META_MAX bytes encoded, in the words of Serf, or a key over 255;
 * MU_INVALID: not UTF-8. */
MU_MUST_CHECK enum mu_code gossip_tags_check(const struct mu_pairs *tags, struct mu_err *err);

/* MU_INVALID, MU_TOO_BIG in the words of Serf. */
MU_MUST_CHECK enum mu_code gossip_event_check(const struct gossip *g, const char *name,
                                              struct mu_span payload, struct mu_err *err);
/* MU_DENIED (a name of Serf's own), MU_INVALID, MU_TOO_BIG, MU_BUSY. */
MU_MUST_CHECK enum mu_code gossip_query_check(const struct gossip *g,
                                              const struct gossip_query_params *params,
                                              struct mu_err *err);
/* MU_TIMEOUT past the deadline, MU_EXISTS, MU_TOO_BIG, MU_BUSY (large ones that wait). */
MU_MUST_CHECK enum mu_code gossip_respond_check(const struct gossip *g, uint64_t ltime, uint32_t id,
                                                struct mu_span payload, struct mu_err *err);
uint64_t gossip_query_timeout_ms(const struct gossip *g); /* the default, as things stand */

/* -- questions, between steps -------------------------------------------------------------------
 */

typedef void gossip_each_fn(void *data, const struct gossip_view *member);
void gossip_each(const struct gossip *g, gossip_each_fn *each, void *data);
bool gossip_find(const struct gossip *g, const char *name, struct gossip_view *out);

enum gossip_way { /* what was met on the way to a member */
                  GOSSIP_WAY_UNKNOWN,
                  GOSSIP_WAY_OPEN,
                  GOSSIP_WAY_REFUSED, /* the host says that nobody listens */
                  GOSSIP_WAY_SILENT,  /* nothing came back */
                  GOSSIP_WAY_STALLED, /* the kernel accepts, the process does not answer */
};

/* A member that lives, and whom two probes in a row did not reach by UDP. None while our own
 * address is UNREACHED. */
struct gossip_link {
    const char *name;
    bool is_heard;       /* datagrams of it come: ours do not arrive; else its do not arrive here */
    enum gossip_way tcp; /* from here to there */
    unsigned missed;
};
typedef void gossip_link_fn(void *data, const struct gossip_link *link);
void gossip_each_broken_link(const struct gossip *g, gossip_link_fn *each, void *data);

/* Addresses that are not as they should be. */
enum gossip_misplacement {
    GOSSIP_UNREACHED, /* ours: `other`, through which we joined, does not get to it, and is itself
                       * where it says */
    GOSSIP_ELSEWHERE, /* a member's: its datagrams come from `other`, and it does not answer there
                       */
    GOSSIP_CLAIMED,   /* a member's name or id is claimed by another node, which lives at `other` */
};
struct gossip_misplaced {
    enum gossip_misplacement kind;
    const char *name;
    struct mu_addr advertised, other;
};
typedef void gossip_misplaced_fn(void *data, const struct gossip_misplaced *found);
/* Those that were seen since then; UNREACHED: until an answer comes to ours. */
void gossip_each_misplaced(const struct gossip *g, uint64_t since_ms, gossip_misplaced_fn *each,
                           void *data);

/* -- why a member is held what it is ------------------------------------------------------------
 * A node remembers the last changes: at most 128 of all members, 16 of one, the oldest go. */

enum gossip_change {
    GOSSIP_CHANGE_MISSED,    /* our own probe of it failed; what its TCP met: `way` */
    GOSSIP_CHANGE_SUSPECTED, /* `by` began it; `way`: on what evidence */
    GOSSIP_CHANGE_CONFIRMED, /* `by` suspects it too */
    GOSSIP_CHANGE_REFUTED,   /* it denied that; of ourselves: we denied what `by` said of us */
    GOSSIP_CHANGE_DEAD,      /* `by` declared it dead */
    GOSSIP_CHANGE_LEAVING,   /* it announced that it leaves, or somebody forces it out */
    GOSSIP_CHANGE_LEFT,      /* it said so, or was forced to */
    GOSSIP_CHANGE_RETURNED,  /* from dead or left */
};

struct gossip_record {
    uint64_t at_ms, incarnation;
    enum gossip_change change;
    const char *by; /* "": nobody else */
    enum gossip_way way;
    unsigned asked, refused, answered; /* MISSED: helpers; those whose dial was refused; nacks */
};

struct gossip_account {
    struct gossip_view member;
    const char *state; /* of the detector: "alive", "suspect", "dead", "left" */
    uint64_t state_ms; /* since when */
    uint64_t acked_ms; /* its last straight answer to a probe of ours; 0: none */
    uint64_t heard_ms; /* the last datagram of it; 0: none */
    uint64_t rtt_us;   /* of that answer; 0: not measured */
    unsigned missed;   /* probes in a row without one */
    /* while it is suspected */
    uint64_t deadline_ms;
    unsigned confirmations, wanted; /* wanted: so many bring the deadline to its minimum */
    enum gossip_way evidence;
    unsigned health; /* of this node, not of the member: 0 is healthy */
    uint64_t now_ms; /* on the clock of all these times: of the last step */
};
/* False: no such member. Views die with the next step. */
bool gossip_explain(const struct gossip *g, const char *name, struct gossip_account *out);
typedef void gossip_record_fn(void *data, const struct gossip_record *record);
void gossip_each_record(const struct gossip *g, const char *name, gossip_record_fn *each,
                        void *data); /* oldest first */

/* By which rule a member that is gone is forgotten (13.10). */
enum gossip_rule {
    GOSSIP_RULE_FAILED, /* reconnect_timeout_ms after it failed */
    GOSSIP_RULE_OWN,    /* failed, and how long it is remembered it said itself: tag rc_tm */
    GOSSIP_RULE_LEFT,   /* tombstone_ms after it left */
    GOSSIP_RULE_PRUNED, /* forced out to be forgotten, as soon as its leave is told */
};

struct gossip_forgetting {
    enum gossip_rule rule;
    uint64_t at_ms;  /* on the clock of events */
    uint64_t now_ms; /* on the same clock: of the last step */
};
/* False: no such member, or it is not gone. The reaper goes by the same. */
bool gossip_forgets(const struct gossip *g, const char *name, struct gossip_forgetting *out);

/* Where this node or a member is; of a member what it said last. False: not known, or turned off.
 */
bool gossip_coordinate(const struct gossip *g, const char *name, struct coordinate *out);

/* Everything that is counted: name in the core, name in metrics. */
#define GOSSIP_COUNTERS(X)                          \
    X(PACKETS_IN, "packets.in")                     \
    X(PACKETS_OUT, "packets.out")                   \
    X(BYTES_IN, "bytes.in")                         \
    X(BYTES_OUT, "bytes.out")                       \
    X(BAD_MAGIC, "dropped.magic")                   \
    X(BAD_VERSION, "dropped.version")               \
    X(OTHER_CLUSTER, "dropped.label_mismatch")      \
    X(UNKNOWN_KEY, "dropped.unknown_key")           \
    X(FORGED, "dropped.auth_failure")               \
    X(REPLAYED, "dropped.replay")                   \
    X(CLEAR, "dropped.clear")                       \
    X(KEYS_TOLD, "keys.told")                       \
    X(BAD_CHECKSUM, "dropped.checksum")             \
    X(MALFORMED, "dropped.malformed")               \
    X(PARTS_UNKNOWN, "parts.unknown")               \
    X(PARTS_MALFORMED, "parts.malformed")           \
    X(INCARNATION_REFUSED, "refused.incarnation")   \
    X(TIME_REFUSED, "refused.lamport_time")         \
    X(ADDRESS_REFUSED, "refused.address")           \
    X(MEMBER_REFUSED, "refused.member")             \
    X(CONFLICTS, "refused.conflict")                \
    X(STALE_ANSWERED, "stale_alive_answered")       \
    X(PAUSES, "pause_detected")                     \
    X(PROBES, "probe.sent")                         \
    X(PROBES_FAILED, "probe.failed")                \
    X(PROBES_DEGRADED, "probe.degraded")            \
    X(PROBES_TCP_ONLY, "probe.tcp_only")            \
    X(SUSPICIONS, "suspicion.started")              \
    X(SUSPICIONS_CONFIRMED, "suspicion.confirmed")  \
    X(SUSPICIONS_REFUTED, "suspicion.refuted")      \
    X(TIMEOUTS_DEGRADED, "suspicion.degraded")      \
    X(ALIVES, "said.alive")                         \
    X(DEATHS, "said.dead")                          \
    X(REFUTATIONS, "refutations")                   \
    X(RUMORS_DROPPED, "queue.dropped")              \
    X(STREAMS_IN, "streams.in")                     \
    X(STREAMS_OUT, "streams.out")                   \
    X(STREAMS_BUSY, "streams.busy")                 \
    X(STREAM_BYTES_IN, "streams.bytes.in")          \
    X(STREAM_BYTES_OUT, "streams.bytes.out")        \
    X(SYNCS, "push_pull")                           \
    X(SYNCS_EQUAL, "push_pull.equal")               \
    X(MEMBERS_JOINED, "member.join")                \
    X(MEMBERS_LEAVING, "member.leave")              \
    X(MEMBERS_LEFT, "member.left")                  \
    X(MEMBERS_FAILED, "member.failed")              \
    X(MEMBERS_UPDATED, "member.update")             \
    X(MEMBERS_FLAPPED, "member.flap")               \
    X(EVENTS, "events")                             \
    X(EVENTS_DROPPED, "events.dropped")             \
    X(QUERIES, "queries")                           \
    X(ACKS, "query.acks")                           \
    X(RESPONSES, "query.responses")                 \
    X(ACKS_TWICE, "query.duplicate_acks")           \
    X(RESPONSES_TWICE, "query.duplicate_responses") \
    X(REPLIES_LATE, "query.late_replies")           \
    X(LARGE_SENT, "query.large.sent")               \
    X(LARGE_AGAIN, "query.large.retries")           \
    X(LARGE_LOST, "query.large.lost")               \
    X(COORDINATES_REFUSED, "coordinate.rejected")   \
    X(COORDINATE_RESETS, "coordinate.resets")       \
    X(RTTS_ZERO, "coordinate.zero_rtt")

enum gossip_counter {
#define GOSSIP_COUNTER_ENUM(name, text) GOSSIP_COUNT_##name,
    GOSSIP_COUNTERS(GOSSIP_COUNTER_ENUM)
#undef GOSSIP_COUNTER_ENUM
        GOSSIP_COUNTERS_COUNT
};

const char *gossip_counter_text(enum gossip_counter counter); /* "packets.in" */

/* What is measured again and again. Those in milliseconds are as fine as the time in events. */
enum gossip_sample {
    GOSSIP_SAMPLE_PROBE,      /* ms: a probe, from its first ping to its end, good or bad */
    GOSSIP_SAMPLE_SYNC,       /* ms: a full exchange of state that began here, likewise */
    GOSSIP_SAMPLE_SERF_IN,    /* bytes: an intent, event or query that came */
    GOSSIP_SAMPLE_SERF_OUT,   /* bytes: one that was sent, each time */
    GOSSIP_SAMPLE_ADJUSTMENT, /* ms: how far our coordinate went with a new round trip time */
    GOSSIP_SAMPLES_OF_CORE,
    GOSSIP_SAMPLE_ROUND = GOSSIP_SAMPLES_OF_CORE, /* ms: the driver's: of work that told rumors */
    GOSSIP_SAMPLE_KEPT, /* ms: the driver's: the file of members written */
    GOSSIP_SAMPLES_COUNT
};
/* Valid until the next step. */
const struct mu_sample *gossip_sample(const struct gossip *g, enum gossip_sample which);

/* Who accuses others, since the start: the first GOSSIP_ACCUSERS_MAX that did have a row each, all
 * others share the last, "others". A row is where it was, once it is there. */
#define GOSSIP_ACCUSERS_MAX 16

struct gossip_accuser {
    const char *name;
    uint64_t started, confirmed; /* suspicions */
    uint64_t refuted;            /* of these two: the suspect denied it */
};
typedef void gossip_accuser_fn(void *data, const struct gossip_accuser *accuser);
void gossip_each_accuser(const struct gossip *g, gossip_accuser_fn *each, void *data);

/* What came here and was turned away: from another cluster, with other keys, or no gossip at all.
 */
struct gossip_refusal {
    enum gossip_counter reason;
    uint64_t count, last_ms;
    struct mu_addr from; /* the last one */
};
typedef void gossip_refusal_fn(void *data, const struct gossip_refusal *refusal);
void gossip_each_refusal(const struct gossip *g, uint64_t since_ms, gossip_refusal_fn *each,
                         void *data);

struct gossip_summary {
    size_t members, alive, failed, left; /* members: all; alive: with suspects and leaving ones */
    size_t listed;                       /* records in the table of the detector */
    size_t clear;                        /* others that sent in clear within ten minutes (12.6) */
    bool is_sealed;                      /* there is a keyring */
    unsigned health_score;               /* 0: healthy */
    size_t core_queue, intent_queue, event_queue, query_queue;
    size_t suspects; /* among `alive` */
    uint64_t sync_sent_bytes,
        sync_taken_bytes; /* of the last exchange of states, ours and theirs */
    uint64_t member_time, event_time, query_time;
    uint64_t incarnation; /* our own: persist it */
    uint64_t counters[GOSSIP_COUNTERS_COUNT];
};
void gossip_summarize(const struct gossip *g, struct gossip_summary *out);

#endif
