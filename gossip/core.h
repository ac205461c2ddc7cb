/* core.h - the private struct of the gossip core, for this folder and its tests only.
 *
 * Each file owns one part of the struct and the functions named after it; step.c routes events and
 * the table of timers. A function `gossip__x_due` says when x wants to be called next
 * (GOSSIP__NEVER: not on its own), `gossip__x_tick` does what is due.
 */
#ifndef GOSSIP_CORE_H
#define GOSSIP_CORE_H

#include <stdatomic.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/rand.h"
#include "base/table.h"
#include "base/tree.h"
#include "gossip/gossip.h"
#include "message.h"
#include "vivaldi.h"

#define GOSSIP__NEVER UINT64_MAX

static inline uint64_t gossip__sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t gossip__later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

struct gossip__letter;
struct gossip__stream;

/* -- suspicion.c: accusers and deadlines (6) ----------------------------------------------------
 */

#define GOSSIP__ACCUSERS_MAX 16 /* more change nothing: k stays below */

struct gossip__member;

struct gossip__suspicion {
    struct mu_link link; /* in gossip.suspects */
    struct gossip__member *about;
    uint64_t since_ms, deadline_ms;
    uint64_t prompt_ms;    /* it would be over, had all joined in who are waited for */
    uint64_t postponed_ms; /* by pauses of our own (5.6) */
    uint64_t called_ms;    /* when it was last asked to speak up */
    uint64_t accusers[GOSSIP__ACCUSERS_MAX]; /* hashes of names; the first one started it */
    unsigned accusers_count;
    enum gossip__evidence evidence; /* the weightiest one heard */
    bool is_unheard;                /* nobody spoke to us: confirmations cannot come either */
    bool is_told;                   /* others say that it is dead, who had all the time it takes */
};

struct gossip__suspicion_terms {
    uint64_t min_ms, max_ms;
    unsigned wanted; /* k: confirmations that bring the timeout down to min */
};

/* The arithmetic of section 6, for `listed` records of which `alive` could confirm. */
struct gossip__suspicion_terms gossip__suspicion_terms(const struct gossip_profile *p,
                                                       size_t listed, size_t alive,
                                                       enum gossip__evidence evidence);
uint64_t gossip__suspicion_timeout(const struct gossip__suspicion_terms *t, unsigned confirmations);

/* -- card.c: what a member says of itself, in one piece that never changes -----------------------
 */

struct gossip__card {
    struct gossip_cards *pool; /* NULL: nobody shares it */
    atomic_uint holders;
    uint32_t name_hash, id_hash; /* under the key of this process */
    uint64_t spread;             /* gossip__hash_name(): equal everywhere */
    const char *name;
    struct mu_addr addr;
    struct mu_id node_id;
    uint64_t boot_id;
    uint8_t versions[6];
    struct mu_span meta;  /* as it came */
    struct mu_pairs tags; /* views into meta; none: it cannot be read */
};

/* The card with this content: one that the pool has, or a new one; the caller is a holder. */
const struct gossip__card *gossip__card_of(struct gossip_cards *pool,
                                           const struct gossip__alive *a);
const struct gossip__card *gossip__card_join(const struct gossip__card *c); /* a holder more */
bool gossip__card_says(const struct gossip__card *c, const struct gossip__alive *a);
void gossip__card_leave(const struct gossip__card *c); /* one holder fewer; NULL is fine */

/* -- index.c: members by name, and by id; all of them in the order they came; where they lie -----
 */

struct gossip__slots { /* open addressing; a power of two, at most three quarters taken */
    uintptr_t *slots;  /* records, with a few bits of their hash; 0: nobody */
    size_t count, room;
};

struct gossip__unused { /* a record that is nobody's */
    struct gossip__unused *next;
};

struct gossip__members {
    struct gossip__member **items;
    size_t count, room;
    struct gossip__slots names, ids;
    uint64_t changes;               /* counts up when a record comes or goes */
    struct gossip__member **blocks; /* of records */
    size_t blocks_count;
    struct gossip__unused *unused;
};

struct gossip__member *gossip__members_named(const struct gossip__members *all, const char *name);
/* Where a search for a name of this hash begins, and the record there; NULL: there is none. For who
 * wants them in the cache before it asks. */
const uintptr_t *gossip__members_place(const struct gossip__members *all, uint32_t name_hash);
const struct gossip__member *gossip__members_at(const uintptr_t *place);
struct gossip__member *gossip__members_with_id(const struct gossip__members *all,
                                               const struct mu_id *id);
/* A new record, all zero but for its card, whose name is new too. */
struct gossip__member *gossip__members_add(struct gossip__members *all,
                                           const struct gossip__card *card);
/* Later ones move up by one place. The record stays until it is given back. */
void gossip__members_remove(struct gossip__members *all, struct gossip__member *m);
void gossip__members_give_back(struct gossip__members *all, struct gossip__member *m);
void gossip__members_id_set(struct gossip__members *all, struct gossip__member *m);
void gossip__members_id_unset(struct gossip__members *all, struct gossip__member *m);
void gossip__members_free(struct gossip__members *all); /* and the records, but nothing of theirs */
/* Room for one more pointer: by an eighth, since lists of members are many and long-lived. */
void gossip__members_room(struct gossip__member ***items, size_t count, size_t *room);

/* -- member.c: the table of the detector; the only place where a member changes state ----------
 */

struct gossip__claim {          /* a living member's name, claimed from another address (10) */
    struct gossip__alive alive; /* views into the buffers; the name is the member's */
    struct mu_buf part, meta;
};

/* What we have had to do with a member: most of a large table are never met, or not for hours. */
struct gossip__dealings {
    struct gossip__rumor *rumor;         /* the queued word about it */
    struct gossip__suspicion *suspicion; /* NULL unless SUSPECT */
    struct gossip__claim *claim;         /* being looked into */
    struct gossip__replay
        *replay;              /* two: of the life on record, of a claimed one; NULL: unsealed */
    uint64_t clear_ms;        /* when it last sent in clear while we had keys; 0: never */
    uint64_t accused_ms;      /* when we last told it what we hold against it */
    uint64_t conflict_ms;     /* when a rival was last told, and */
    uint64_t conflict_log_ms; /* when that was last logged */
    uint64_t tcp_only_ms;     /* when its silent UDP was last logged */
    struct {
        uint64_t since_ms;   /* the first of these was missed: */
        uint64_t acked_ms;   /* its last straight answer; 0: never */
        uint64_t rtt_us;     /* of that; 0: not measured */
        unsigned missed;     /* probes in a row without a straight answer */
        enum gossip_way tcp; /* what was met on TCP meanwhile */
        uint64_t
            elsewhere_ms; /* when a datagram of it last came from another address than its own */
        struct mu_addr elsewhere;
        uint64_t rival_ms; /* when its name or id was last claimed from another address */
        struct mu_addr rival;
    } link;
    struct gossip__distance *distance; /* NULL: never measured */
    uint64_t prune_ms;                 /* 0, or when a leaving one that was pruned is forgotten */
    uint64_t retry_ms;                 /* no reconnect before this */
    unsigned retries;
};

/* A table of ten thousand is mostly these: whatever few members have lies elsewhere. */
struct gossip__member {
    const struct gossip__card *card;   /* what it says of itself; never NULL */
    struct gossip__dealings *dealings; /* NULL: none; see gossip__dealings() */
    uint64_t incarnation;
    uint64_t state_ms, status_ms, status_ltime;
    uint64_t heard_ms; /* a datagram of it came; 0: never */
    uint32_t index;    /* in gossip.list, when listed */
    uint8_t slot; /* below 64: of nobody else; else shared with whoever has the same modulo 64 */
    enum gossip__state state : 8;  /* what the detector makes of it */
    enum gossip_status status : 8; /* what users see (serf.c) */
    bool is_listed; /* in the table of the detector; else only users and tombstones know it */
};

/* A line of the cache: index.c lays them out so. */
_Static_assert(sizeof(struct gossip__member) == 64, "what is rare belongs into the dealings");

/* Where a message came from. */
struct gossip__source {
    struct mu_addr addr;           /* none: our own conclusion */
    bool is_stream;                /* then no datagram goes back to that address */
    bool is_old;                   /* was spread long ago: not told on */
    struct gossip__member *sender; /* NULL: nobody we know */
};

/* Of a member without any they are all zero. */
const struct gossip__dealings *gossip__dealings(const struct gossip__member *m);
struct gossip__dealings *gossip__deal(struct gossip__member *m); /* to be written; made when none */
void gossip__deal_over(struct gossip__member *m);                /* back to none, if all is zero */

struct gossip__member *gossip__member_find(const struct gossip *g, const char *name);
struct gossip__member *gossip__member_by_id(const struct gossip *g, const struct mu_id *id);
/* A new record, whose card is held for it already, and: */
struct gossip__member *gossip__member_put(struct gossip *g, const struct gossip__card *card);
/* A new record with the name and description in `a`, unlisted, dead at incarnation 0, seen by no
 * user yet. */
struct gossip__member *gossip__member_add(struct gossip *g, const struct gossip__alive *a);
void gossip__member_list(struct gossip *g, struct gossip__member *m); /* at a random place */
void gossip__member_unlist(struct gossip *g, struct gossip__member *m);
/* Forget it; the memory lives until the next step, since notices show it. */
void gossip__member_drop(struct gossip *g, struct gossip__member *m);
void gossip__member_clear(struct gossip__member *m); /* all that is its own */
void gossip__member_move(struct gossip *g, struct gossip__member *m, enum gossip__state to,
                         const char *why);
void gossip__member_describe(struct gossip *g, struct gossip__member *m,
                             const struct gossip__alive *a);
struct gossip_view gossip__member_view(const struct gossip *g, const struct gossip__member *m);
struct gossip__alive gossip__member_record(const struct gossip__member *m);
uint64_t gossip__member_mark(const struct gossip__member *m); /* its bit in served masks */
bool gossip__member_is_live(const struct gossip__member *m);  /* alive or suspect */
const char *gossip__state_text(enum gossip__state state);
/* Up to `want` random listed others that `fits` accepts, each once (5.7). */
typedef bool gossip__fits_fn(const struct gossip *g, const struct gossip__member *m,
                             const void *data);
size_t gossip__member_pick(struct gossip *g, size_t want, gossip__fits_fn *fits, const void *data,
                           struct gossip__member **out);

/* -- precedence.c: the tables of section 4 ------------------------------------------------------
 */

/* `bytes` is the part to pass on; `a` and the others come decoded and validated. Of an alive record
 * that came in no part there are none: most are known, and only news is encoded. */
void gossip__on_alive(struct gossip *g, const struct gossip__alive *a, struct mu_span bytes,
                      const struct gossip__source *src);
void gossip__on_suspect(struct gossip *g, const struct gossip__suspect *s, struct mu_span bytes,
                        const struct gossip__source *src);
void gossip__on_dead(struct gossip *g, const struct gossip__dead *d, struct mu_span bytes,
                     const struct gossip__source *src);
/* Can it be used by others, when it came from there? */
bool gossip__address_ok(const struct mu_addr *at, const struct mu_addr *from);
/* Why this record may not enter the cluster as it is; NULL: it may. *held: who is in its way. */
const char *gossip__alive_refused(struct gossip *g, const struct gossip__alive *a,
                                  const struct gossip__member **held);
/* Why a member may not live at this address; NULL: it may. Into the step's arena. */
const char *gossip__network_refused(struct gossip *g, const struct mu_addr *at);
void gossip__claim_free(struct gossip__claim *claim);
void gossip__claim_settle(struct gossip *g, struct gossip__member *m, bool holder_lives);
/* Tell `to` what we hold against m, so that it can refute (3, item 4); at most once a period. */
void gossip__accuse(struct gossip *g, struct gossip__member *m, const struct mu_addr *to);
void gossip__letter_accuse(struct gossip *g, struct gossip__letter *l, struct gossip__member *m);
void gossip__refute(struct gossip *g, uint64_t accused, const struct gossip__source *src);
void gossip__announce(struct gossip *g); /* queue our own alive */
void gossip__conclude_suspect(struct gossip *g, struct gossip__member *m,
                              enum gossip__evidence evidence);
void gossip__conclude_dead(struct gossip *g, struct gossip__member *m, bool has_left);

/* -- suspicion.c --------------------------------------------------------------------------------
 */

uint64_t gossip__hash_name(const char *name);
void gossip__suspicion_start(struct gossip *g, struct gossip__member *m, const char *from,
                             enum gossip__evidence evidence);
void gossip__suspicion_end(struct gossip *g, struct gossip__member *m);
/* We were in doubt about it before we said so: our own deadline counts from then. */
void gossip__suspicion_backdate(struct gossip *g, struct gossip__member *m, uint64_t since_ms);
/* How long one that is stalled is only doubted, by whoever probed it. */
uint64_t gossip__suspicion_doubt_ms(const struct gossip_profile *p);
/* True: `from` is a new accuser whose word is still wanted. */
bool gossip__suspicion_confirm(struct gossip *g, struct gossip__member *m, const char *from,
                               enum gossip__evidence evidence);
/* How far it is: those who joined the first accuser, and how many are waited for. */
/* Others declare it dead. True: too early for us to believe it; the deadline says until when. */
bool gossip__suspicion_told(struct gossip *g, struct gossip__member *m);
void gossip__suspicion_count(const struct gossip *g, const struct gossip__member *m,
                             unsigned *confirmations, unsigned *wanted);
/* Would our accusation change anything? */
bool gossip__suspicion_wants_us(const struct gossip *g, const struct gossip__member *m);
/* It denied what it was suspected of: counted for each of its accusers. Before it moves. */
void gossip__suspicion_denied(struct gossip *g, const struct gossip__member *m);
void gossip__suspicion_free_all(struct gossip *g);
void gossip__suspicion_restart(struct gossip *g); /* all of them get their whole time again */
void gossip__suspicion_refresh(struct gossip *g); /* after the number of alive members changed */
void gossip__suspicion_postpone(struct gossip *g, uint64_t pause_ms);
/* Time in which we heard nobody does not count against anybody. */
void gossip__suspicion_discount(struct gossip *g, uint64_t silent_ms);
uint64_t gossip__suspicion_due(const struct gossip *g);
void gossip__suspicion_tick(struct gossip *g);
void gossip__suspicion_check(const struct gossip *g);

/* -- health.c: our own trouble (5.5, 5.6) -------------------------------------------------------
 */

void gossip__health_add(struct gossip *g, int delta);
/* Was the owner late? Then nobody else is to blame for what was missed. */
void gossip__health_pause(struct gossip *g, const struct gossip_event *ev);
/* A member, or the host of one, has spoken to us. Call before what it said is handled. */
void gossip__health_heard(struct gossip *g);
/* Has nobody spoken to us for so long that the trouble may be ours? */
bool gossip__health_is_deaf(const struct gossip *g);

/* -- profile.c: times change while it runs ------------------------------------------------------
 */

void gossip__on_profile(struct gossip *g, const struct gossip_profile *profile);

/* -- probe.c: one ping a period (5.1, 5.2) ------------------------------------------------------
 */

enum gossip__probe_stage { GOSSIP__PROBE_IDLE, GOSSIP__PROBE_DIRECT, GOSSIP__PROBE_INDIRECT };

#define GOSSIP__HELPERS_MAX 8

#define GOSSIP__TIMED_MAX 8 /* pings of a probe whose round trip is measured */

struct gossip__probe {
    enum gossip__probe_stage stage;
    struct gossip__member *target; /* NULL when idle */
    bool is_for_ring;              /* else it came to it by the walk */
    uint64_t seq, direct_ms, deadline_ms;
    uint64_t again_ms; /* when the ping is repeated */
    uint64_t began_ns;
    uint64_t sent_ns[GOSSIP__TIMED_MAX]; /* when each of them went out */
    unsigned sent_count;                 /* all of them */
    struct gossip__member *helpers[GOSSIP__HELPERS_MAX];
    bool has_nacked[GOSSIP__HELPERS_MAX], has_refused[GOSSIP__HELPERS_MAX];
    unsigned helpers_count, nacks_count, refused_count, stalled_count;
    uint32_t stream;            /* our own TCP ping; 0: ended */
    bool is_dialled;            /* it was answered */
    enum gossip__evidence dial; /* it was not */
};

uint64_t gossip__probe_due(const struct gossip *g);
void gossip__probe_tick(struct gossip *g);
void gossip__probe_wake(struct gossip *g);   /* there is somebody to probe again */
void gossip__probe_replan(struct gossip *g); /* the profile is another one; the same below */
void gossip__probe_abandon(struct gossip *g, const char *why);
void gossip__probe_forget(struct gossip *g, const struct gossip__member *m);
void gossip__on_ping(struct gossip *g, const struct gossip__ping *p,
                     const struct gossip__source *src);
void gossip__on_ack(struct gossip *g, const struct gossip__ack *a,
                    const struct gossip__source *src);
void gossip__on_nack(struct gossip *g, const struct gossip__nack *n,
                     const struct gossip__source *src);
void gossip__on_wrong_node(struct gossip *g, const struct gossip__source *src);
void gossip__on_send_failed(struct gossip *g, const struct mu_addr *to, bool is_remote);
void gossip__send_ping(struct gossip *g, uint64_t seq, const char *target,
                       const struct mu_addr *to);

/* -- ring.c: who comes next, in an order that all members share ----------------------------------
 */

#define GOSSIP__RING 3 /* as many as may have to accuse one, until all believe it */

struct gossip__ring {
    struct gossip__member *next[GOSSIP__RING]; /* live ones that follow us, the nearest first */
    unsigned count;
    bool is_known;                      /* false: to be looked for */
    const struct gossip__member *asked; /* by the last round that was for them; NULL: gone */
    unsigned rounds;                    /* of those, in a row until now */
};

/* Whom to probe in this round; NULL: it is the walk's. Asked once a round. */
struct gossip__member *gossip__ring_turn(struct gossip *g);
void gossip__ring_moved(struct gossip *g, struct gossip__member *m, bool was_live);
void gossip__ring_check(const struct gossip *g);

/* -- coordinate.c: how far everybody is (14) ----------------------------------------------------
 */

struct gossip__distance { /* what is known about a member */
    struct gossip__rtt_filter filter;
    bool is_known;
    struct coordinate at;
};

void gossip__coordinate_init(struct gossip *g, const struct gossip_options *o);
void gossip__coordinate_put(const struct gossip *g, struct gossip__ack *ack); /* where we are */
/* It answered the ping that went out at sent_ns, straight and by UDP. */
void gossip__coordinate_acked(struct gossip *g, struct gossip__member *m,
                              const struct gossip__ack *a, uint64_t sent_ns);
void gossip__coordinate_restart(struct gossip__member *m);

/* -- link.c: ways that carry nothing ------------------------------------------------------------
 */

/* Straight and by UDP; rtt_ns 0: not measured. */
void gossip__link_answered(struct gossip *g, struct gossip__member *m, uint64_t rtt_ns);
void gossip__link_missed(const struct gossip *g, struct gossip__member *m, enum gossip_way tcp);
/* A datagram of it came from there: of this life of it, or from its address. */
void gossip__link_heard(const struct gossip *g, struct gossip__member *m,
                        const struct mu_addr *from);
/* Somebody else wants to be it. */
void gossip__link_claimed(const struct gossip *g, struct gossip__member *m,
                          const struct mu_addr *by);

/* -- stranger.c: what is turned away, and bounds on what others make us say ---------------------
 */

/* Count what is not taken, remember whence it came, and say so within bounds. */
void gossip__turn_away(struct gossip *g, enum gossip_counter reason, const struct mu_addr *from);

#define GOSSIP__REASONS 9 /* that are remembered, of all that are counted */

struct gossip__stranger { /* the last one */
    uint64_t last_ms;     /* 0: none */
    uint64_t said_ms;     /* when one was last named in the log, and */
    struct mu_addr said;  /* which */
    struct mu_addr from;
};

enum gossip__topic { /* of lines that come as often as others like */
                     GOSSIP__TOPIC_VERSION,
                     GOSSIP__TOPIC_WRONG_NODE,
                     GOSSIP__TOPIC_REFUTED,
                     GOSSIP__TOPIC_REFUSED_STATE,
                     GOSSIP__TOPIC_OLD_EVENT,
                     GOSSIP__TOPIC_OLD_QUERY,
                     GOSSIP__TOPIC_FILTER,
                     GOSSIP__TOPICS,
};

struct gossip__quota {
    uint64_t since_ms, kept_back;
    unsigned said;
};

/* As gossip__log(), a few times in ten seconds. */
void gossip__say(struct gossip *g, enum gossip__topic topic, enum mu_log_level level,
                 const char *fmt, ...) MU_PRINTF(4, 5);

/* -- history.c: the last changes of members -----------------------------------------------------
 */

#define GOSSIP__RECORDS_MAX    128
#define GOSSIP__RECORDS_OF_ONE 16

struct gossip__past {
    const struct gossip__member *about;
    char *by; /* owned; the record has a view */
    struct gossip_record record;
};

struct gossip__history {
    struct gossip__past *items; /* a ring, the oldest at `first`; NULL until there is one */
    size_t first, count, room;
    uint8_t shares[64]; /* how many of these are of a member, and of others with the same place */
};

/* at_ms and incarnation are filled in; `by` is copied. */
void gossip__record(struct gossip *g, const struct gossip__member *m, struct gossip_record what);
void gossip__record_forget(struct gossip *g, const struct gossip__member *m);
void gossip__record_free_all(struct gossip *g);
void gossip__record_check(const struct gossip *g);
enum gossip_way gossip__way_of(enum gossip__evidence evidence);

/* -- inquiry.c: does this address answer? asked for others, or about a claim (5.3, 10, 11) ------
 */

enum gossip__inquiry_kind {
    GOSSIP__INQUIRY_RELAY, /* for a prober that asked us */
    GOSSIP__INQUIRY_CLAIM, /* does the holder of a claimed name still live? */
    GOSSIP__INQUIRY_REACH, /* can a joiner be reached where it says? */
    GOSSIP__INQUIRY_DOUBT, /* is it only stopped for a moment? */
};

struct gossip__inquiry {
    struct mu_link link;
    enum gossip__inquiry_kind kind;
    uint64_t seq;
    char name[MU_NODE_NAME_MAX + 1];
    struct mu_addr addr;
    uint64_t deadline_ms, again_ms; /* the end; the next ping */
    bool udp_ok, tcp_ok, tcp_ended;
    enum gossip__evidence dial;
    uint32_t stream;       /* the TCP ping; 0: ended */
    struct mu_addr origin; /* RELAY: who asked, and its number for it */
    uint64_t origin_seq, nack_ms;
    bool nack_wanted, answered;
    uint32_t reply_stream; /* REACH */
    uint64_t since_ms;     /* DOUBT */
};

void gossip__on_indirect(struct gossip *g, const struct gossip__indirect *p,
                         const struct gossip__source *src);
bool gossip__inquiry_ack(struct gossip *g, uint64_t seq);
void gossip__inquiry_claim(struct gossip *g, struct gossip__member *m);
void gossip__inquiry_reach(struct gossip *g, const char *name, const struct mu_addr *addr,
                           uint32_t reply_stream);
/* Its machine takes connections, it does not answer: true, it gets a while before it is accused. */
bool gossip__inquiry_doubt(struct gossip *g, const struct gossip__member *m);
bool gossip__inquiry_doubts(const struct gossip *g, const struct gossip__member *m); /* just now */
void gossip__inquiry_postpone(struct gossip *g, uint64_t pause_ms);
void gossip__inquiry_stream_gone(struct gossip *g, uint32_t reply_stream);
uint64_t gossip__inquiry_due(const struct gossip *g);
void gossip__inquiry_tick(struct gossip *g);
void gossip__inquiry_free_all(struct gossip *g);

/* A TCP ping (5.4), for the probe or an inquiry; both get its result by the number `seq`. */
uint32_t gossip__dial(struct gossip *g, uint64_t seq, const char *target, const struct mu_addr *to);
/* How far did it get? Ends it when it still runs. */
enum gossip__evidence gossip__dial_end(struct gossip *g, uint32_t stream);
void gossip__probe_dialled(struct gossip *g, uint64_t seq, bool ok, enum gossip__evidence evidence);
void gossip__inquiry_dialled(struct gossip *g, uint64_t seq, bool ok,
                             enum gossip__evidence evidence);

/* -- broadcast.c: what is to be spread (7, 8) ---------------------------------------------------
 */

enum gossip__queue_kind {
    GOSSIP__QUEUE_CORE,
    GOSSIP__QUEUE_INTENT,
    GOSSIP__QUEUE_QUERY,
    GOSSIP__QUEUE_EVENT,
    GOSSIP__QUEUES
};

#define GOSSIP__SENDS_MAX 63 /* of a rumor, in a cluster of any size */

struct gossip__rumor {
    struct mu_branch branch; /* in its queue, by the three that order it: */
    unsigned sends_count;
    size_t bytes;
    uint64_t id;
    struct gossip__member *about; /* core: whom a newer one replaces */
    uint64_t served;
    uint64_t until_ms; /* of no use afterwards */
    enum gossip__queue_kind queue;
    bool is_leave; /* our own farewell: leave.c waits for it */
    uint8_t data[];
};

struct gossip__queue {
    struct mu_tree rumors; /* who is told first comes first */
    size_t count;
    size_t shortest; /* bytes; none in it is shorter */
};

/* Queue a part. `about`: NULL for intents. `from`: who told us and so has it; may be NULL. */
struct gossip__rumor *gossip__rumor_add(struct gossip *g, enum gossip__queue_kind queue,
                                        struct gossip__member *about, struct mu_span part,
                                        const struct gossip__member *from);
void gossip__rumor_fill(struct gossip *g, struct gossip__letter *l);
void gossip__rumor_settle(struct gossip *g, struct gossip__letter *l); /* after it was sent */
void gossip__rumor_forget(struct gossip *g, struct gossip__member *about);
void gossip__rumor_init(struct gossip *g);
unsigned gossip__rumor_limit(const struct gossip_profile *p, size_t members);
void gossip__rumor_free_all(struct gossip *g);
uint64_t gossip__rumor_due(const struct gossip *g);
void gossip__rumor_tick(struct gossip *g);
void gossip__rumor_wake(struct gossip *g); /* somebody new may be told */

/* -- heard.c: repeats of what was just taken ------------------------------------------------------
 */

/* Words. Of 10,000 nodes of which 1 % crash each minute and come back some forty are about at a
 * time. */
#define GOSSIP__HEARD 256

struct gossip__words {
    uint64_t hashes[GOSSIP__HEARD]; /* 0: none */
    const struct gossip__member *about[GOSSIP__HEARD];
};

/* What an encoded part is known by. */
uint64_t gossip__heard_hash(struct mu_span part);
/* Where it is looked for: what may be fetched into the cache before. */
const void *gossip__heard_place(const struct gossip *g, uint64_t hash);
/* Would it, read once more, change nothing? False: it has to be read. */
bool gossip__heard(const struct gossip *g, uint64_t hash);
/* It was taken, or made no difference, and would not while nothing happens to that member. About
 * NULL or ourselves: it is not kept. */
void gossip__heard_keep(struct gossip *g, const struct gossip__member *about, struct mu_span part);
/* Something happened to that member. */
void gossip__heard_forget(struct gossip *g, const struct gossip__member *about);

/* -- packet.c: parts to datagrams and back (11, 15) ---------------------------------------------
 */

#define GOSSIP__HEADER_BYTES 24
#define GOSSIP__PARTS_MAX    128
#define GOSSIP__FLAG_SEALED  1
#define GOSSIP__FLAG_CHECKED 4
#define GOSSIP__FLAG_STREAM  8

/* What the clear header says, when it is one of our pool's. */
struct gossip__head {
    uint8_t flags; /* GOSSIP__FLAG_*, one of SEALED and CHECKED */
    uint32_t key_id, checksum;
};

struct gossip__letter { /* a datagram being written */
    struct mu_addr to;
    struct gossip__member *peer; /* NULL: a stranger, who gets no rumors */
    struct mu_span parts[GOSSIP__PARTS_MAX];
    size_t parts_count, left;
    size_t spare; /* beyond the budget, for a part that fits none: it travels alone */
    struct gossip__rumor *taken[GOSSIP__PARTS_MAX]; /* those parts that are rumors */
    size_t taken_count;
};

void gossip__header_write(const struct gossip *g, uint8_t flags, struct mu_span body,
                          uint8_t out[GOSSIP__HEADER_BYTES]);
void gossip__header_sealed(const struct gossip *g, uint8_t flags, uint32_t key_id,
                           uint8_t out[GOSSIP__HEADER_BYTES]);
/* Is it one of our pool's, sealed or checked, with `flags` beside? Else *reason counts it. */
bool gossip__header_read(const struct gossip *g, struct mu_span data, uint8_t flags,
                         struct gossip__head *out, enum gossip_counter *reason);
/* In clear: are header and body whole? */
bool gossip__header_ok(const struct gossip__head *head, struct mu_span data, struct mu_span body);
void gossip__letter_begin(struct gossip *g, struct gossip__letter *l, const struct mu_addr *to,
                          struct gossip__member *peer);
bool gossip__letter_add(struct gossip__letter *l, struct mu_span part);
/* Bytes of a part that fits a datagram of our size whoever sends it, sealed or not. */
size_t gossip__part_room(const struct gossip *g);
/* Fill up with rumors and send; an empty letter is not sent. Returns whether it was. */
bool gossip__letter_send(struct gossip *g, struct gossip__letter *l);
void gossip__send_part(struct gossip *g, const struct mu_addr *to, struct gossip__member *peer,
                       struct gossip__part *part);
void gossip__on_packet(struct gossip *g, const struct mu_addr *from, struct mu_span data);
void gossip__on_part(struct gossip *g, const struct gossip__part *p,
                     const struct gossip__source *src);

/* -- seal.c: what crosses the wire closed (12.2) ------------------------------------------------
 */

#define GOSSIP__NONCE_BYTES 24
#define GOSSIP__TAG_BYTES   16
#define GOSSIP__REPLAY_BITS 1024

struct gossip__key {
    uint32_t id;
    uint8_t datagrams[GOSSIP_SUBKEY_BYTES], streams[GOSSIP_SUBKEY_BYTES];
};

struct gossip__seal {
    struct gossip__key *keys; /* the first is the primary */
    size_t keys_count;        /* 0: everything is in clear */
    size_t retired_count;     /* behind those: they open streams of members that were away */
    struct gossip_keys *told; /* NULL: nobody is told anything */
    uint64_t told_digest;
    bool takes_clear, sends_clear;
    uint64_t since_ms; /* keys came; before that all was in clear */
    uint8_t nonce_prefix[16];
    uint64_t nonces;
};

struct gossip__replay { /* packets seen of one life of a member */
    uint64_t boot_id, incarnation;
    uint64_t top; /* the highest number */
    uint64_t seen[GOSSIP__REPLAY_BITS / 64];
};

struct gossip__stream_seal {
    uint32_t key_id;
    bool is_ready; /* the other side's salt is known */
    uint8_t salt[GOSSIP__NONCE_BYTES];
    uint8_t head_out[GOSSIP__HEADER_BYTES], head_in[GOSSIP__HEADER_BYTES];
    uint8_t key_out[GOSSIP_SUBKEY_BYTES], key_in[GOSSIP_SUBKEY_BYTES];
    uint64_t sent, received; /* frames */
    struct mu_buf waiting;   /* until is_ready: u32 length and payload, one after the other */
};

void gossip__seal_set(struct gossip *g, const struct gossip_sealing *sealing);
void gossip__seal_free(struct gossip *g);
bool gossip__seal_is_on(const struct gossip *g); /* there is a key */
bool gossip__seal_sends(const struct gossip *g); /* what we begin is sealed */
bool gossip__seal_takes_clear(const struct gossip *g);
uint32_t gossip__seal_primary(const struct gossip *g);            /* its key id; 0: none */
bool gossip__seal_knows(const struct gossip *g, uint32_t key_id); /* also one that was removed */
bool gossip__seal_is_retired(const struct gossip *g, uint32_t key_id);
size_t gossip__seal_overhead(const struct gossip *g); /* bytes around a body we send */
struct mu_span gossip__seal_datagram(struct gossip *g, struct mu_span body); /* the whole of it */
bool gossip__open_datagram(struct gossip *g, uint32_t key_id, struct mu_span data,
                           struct mu_span *body, enum gossip_counter *reason);
/* Of a sealed packet: is it new? Each passes once. */
bool gossip__replay_take(struct gossip__member *m, const struct gossip__packet *p);

struct gossip__stream_seal *gossip__stream_seal_new(struct gossip *g, uint32_t key_id);
void gossip__stream_seal_free(struct gossip__stream_seal *x); /* NULL is fine */
/* The other side's header and salt are here. False: the key is gone. */
bool gossip__stream_seal_ready(struct gossip *g, struct gossip__stream_seal *x, bool is_ours,
                               struct mu_span head, struct mu_span salt);
struct mu_span gossip__stream_seal_frame(struct gossip *g, struct gossip__stream_seal *x,
                                         struct mu_span payload);
bool gossip__stream_open_frame(struct gossip *g, struct gossip__stream_seal *x,
                               struct mu_span closed, struct mu_span *payload);

/* -- stream.c: frames on byte streams -----------------------------------------------------------
 */

enum gossip__role {
    GOSSIP__ROLE_CLOSING, /* nothing more is expected of it */
    GOSSIP__ROLE_HELLO,   /* accepted, says what it wants next */
    GOSSIP__ROLE_PINGED,  /* accepted, asks whether we live */
    GOSSIP__ROLE_PING,    /* ours: a TCP ping */
    GOSSIP__ROLE_SYNC,    /* ours: a push/pull; sync.c */
    GOSSIP__ROLE_SYNCED,  /* accepted: a push/pull */
    GOSSIP__ROLE_DELIVER, /* ours: our farewell; leave.c */
    GOSSIP__ROLE_DELIVERED,
    GOSSIP__ROLE_ANSWER, /* ours: an answer too large for a datagram; answer.c */
    GOSSIP__ROLE_TELL,   /* ours: keys that somebody missed; tell.c */
};

struct gossip__sync; /* what a push/pull has gathered; sync.c */

struct gossip__stream {
    struct mu_link link;
    uint32_t id;
    enum gossip__role role;
    struct mu_addr peer;
    char name[MU_NODE_NAME_MAX + 1]; /* whom we mean, or who said hello */
    bool is_open;
    bool head_sent, head_seen;        /* the clear header that begins each direction */
    struct gossip__stream_seal *seal; /* NULL: in clear */
    bool is_stranger;                 /* its header shows another cluster, or other keys */
    uint64_t since_ms, deadline_ms;
    struct mu_buf in; /* not yet a whole frame */
    size_t received;
    uint64_t seq; /* PING */
    struct gossip__sync *sync;
};

/* We opened it; others were accepted. */
static inline bool gossip__stream_is_ours(const struct gossip__stream *s)
{
    return (s->id & 1) != 0;
}

struct gossip__stream *gossip__stream_open(struct gossip *g, enum gossip__role role,
                                           const struct mu_addr *to);
struct gossip__stream *gossip__stream_find(const struct gossip *g, uint32_t id);
/* The first frame of a stream of ours: hello, with our name and boot id filled in. */
void gossip__stream_hello(struct gossip *g, struct gossip__stream *s, struct gossip__hello hello);
void gossip__stream_frame(struct gossip *g, struct gossip__stream *s, struct gossip__frame *frame);
void gossip__stream_end(struct gossip *g, struct gossip__stream *s);  /* gracefully */
void gossip__stream_drop(struct gossip *g, struct gossip__stream *s); /* at once; frees it */
/* At once, and whoever wanted it hears why. */
void gossip__stream_fail(struct gossip *g, struct gossip__stream *s, const char *why);
/* Bytes that are not ours to read: tell the owner of the stream why it is over. Who asked with the
 * wrong cluster or key sees it from a header that shows ours. */
void gossip__stream_broken(struct gossip *g, struct gossip__stream *s, enum gossip_counter reason);
void gossip__on_stream(struct gossip *g, const struct gossip_event *ev);
uint64_t gossip__stream_due(const struct gossip *g);
void gossip__stream_tick(struct gossip *g);
void gossip__stream_free_all(struct gossip *g);

/* What a role does; each called for streams of that role only. `ended` is for ends that somebody
 * else brought about; the stream is gone afterwards. */
struct gossip__role_row {
    void (*opened)(struct gossip *g, struct gossip__stream *s);
    void (*frame)(struct gossip *g, struct gossip__stream *s, struct gossip__frame *frame,
                  struct mu_span bytes);
    void (*ended)(struct gossip *g, struct gossip__stream *s, enum gossip_end end,
                  const char *text);
};

extern const struct gossip__role_row gossip__role_ping, gossip__role_pinged, gossip__role_sync,
    gossip__role_synced, gossip__role_deliver, gossip__role_delivered, gossip__role_answer,
    gossip__role_tell;

/* -- tell.c: keys that somebody missed ----------------------------------------------------------
 */

/* Somebody says what its stream is for: first it is told of keys, if there is need. False: that was
 * all it gets, the stream is over. */
bool gossip__keys_hello(struct gossip *g, struct gossip__stream *s,
                        const struct gossip__hello *hello);
void gossip__on_keys(struct gossip *g, struct gossip__stream *s, const struct gossip_keys *keys);

/* -- sync.c: full state exchange (9) ------------------------------------------------------------
 */

struct gossip__merge { /* received chunks on their way into the tables */
    struct mu_link link;
    struct mu_buf *chunks;
    size_t chunks_count, next;
    uint64_t attempt; /* of join.c, that is done with it; 0: none */
    struct mu_addr peer;
    bool is_first; /* we knew nobody before */
};

/* Start one with this address. `attempt` not 0: a join, whole, and gossip__join_tried() hears of
 * the end. Else periodic: by digest. */
void gossip__sync_start(struct gossip *g, const struct mu_addr *to, uint64_t attempt);
void gossip__sync_hello(struct gossip__stream *s, const struct gossip__hello *hello);
void gossip__sync_free(struct gossip *g, struct gossip__sync *sync);
void gossip__sync_replan(struct gossip *g);
void gossip__sync_wake(struct gossip *g); /* there is somebody to compare with again */
void gossip__sync_news(struct gossip *g); /* somebody has come: are there more of whom we miss? */
uint64_t gossip__sync_interval(const struct gossip_profile *p, size_t listed);
void gossip__sync_digest(const struct gossip *g, struct gossip__digest *out);
uint64_t gossip__sync_due(const struct gossip *g);
void gossip__sync_tick(struct gossip *g);
void gossip__merge_free_all(struct gossip *g);

/* -- join.c: first contact, and contact again (9.3, 13.10, 13.12) -------------------------------
 */

enum gossip__join_kind {
    GOSSIP__JOIN_USER,
    GOSSIP__JOIN_REJOIN,    /* whom we knew, while alone */
    GOSSIP__JOIN_RECONNECT, /* one failed member */
};

struct gossip__join_try {
    struct mu_addr addr;
    char *label;      /* named in errors */
    uint64_t attempt; /* 0: not begun; unique over all joins */
    bool is_over;
};

struct gossip__join {
    struct mu_link link;
    enum gossip__join_kind kind;
    uint64_t id; /* the owner's */
    struct gossip__join_try *tries;
    size_t tries_count, next;
    unsigned running, contacted;
    unsigned failures_count;
    struct mu_buf failures; /* bullets */
    uint64_t until_ms;      /* after the first success: when to stop waiting for a second */
    bool replays;           /* events from before are wanted */
};

void gossip__on_join(struct gossip *g, const struct gossip_event *ev);
/* An attempt ended: NULL, it worked; else why not. */
void gossip__join_tried(struct gossip *g, uint64_t attempt, const char *failed);
/* Is this the join of a user who does not want the events from before it? */
bool gossip__join_wants_new_only(const struct gossip *g, uint64_t attempt);
void gossip__join_replan(struct gossip *g);
void gossip__join_lost(struct gossip *g); /* a member has failed or left */
uint64_t gossip__join_due(const struct gossip *g);
void gossip__join_tick(struct gossip *g);
void gossip__join_free_all(struct gossip *g);
void gossip__join_known(struct gossip *g, const struct gossip_options *options);

/* -- spread.c: has what was said left this node? ------------------------------------------------
 */

void gossip__on_spread(struct gossip *g, uint64_t id);
uint64_t gossip__spread_due(const struct gossip *g);
void gossip__spread_tick(struct gossip *g);
void gossip__spread_look(struct gossip *g); /* at the end of each step */
void gossip__spread_free_all(struct gossip *g);

/* -- width.c: do our largest datagrams arrive where small ones do? ------------------------------
 */

void gossip__on_width(struct gossip *g, uint64_t id, const char *name);
bool gossip__width_ack(struct gossip *g, uint64_t seq); /* was it of one of these? */
uint64_t gossip__width_due(const struct gossip *g);
void gossip__width_tick(struct gossip *g);
void gossip__width_free_all(struct gossip *g);

/* -- leave.c: going in good order (10) ----------------------------------------------------------
 */

enum gossip__leave_stage {
    GOSSIP__LEAVE_NONE,
    GOSSIP__LEAVE_TELLING,   /* until enough confirmed, all was sent, or time is over */
    GOSSIP__LEAVE_LINGERING, /* the queues still carry it on */
    GOSSIP__LEAVE_OVER,
};

struct gossip__leave {
    enum gossip__leave_stage stage;
    uint64_t id, until_ms, again_ms; /* again: to those that have not confirmed */
    unsigned asked, confirmed, running;
    unsigned queued;            /* of our farewells in the queues */
    struct mu_buf intent, dead; /* encoded parts */
};

void gossip__on_leave(struct gossip *g, uint64_t id);
void gossip__leave_sent(struct gossip *g); /* one of our farewells left its queue */
uint64_t gossip__leave_due(const struct gossip *g);
void gossip__leave_tick(struct gossip *g);

/* -- serf.c: what users see (13) ----------------------------------------------------------------
 */

struct gossip__buffered { /* an intent about somebody we do not know (13.4) */
    uint64_t ltime, at_ms;
    bool is_leave;
};

struct gossip__tombstone { /* somebody we have forgotten */
    char *name;
    uint64_t incarnation, ltime, since_ms, keep_ms;
    bool is_pruned; /* told to others, so that nobody re-teaches it */
};

/* A Lamport time from outside: the clock goes on behind it. False: poisoned. */
bool gossip__witness(struct gossip *g, uint64_t *clock, uint64_t ltime);
void gossip__serf_alive(struct gossip *g, struct gossip__member *m);   /* core join */
void gossip__serf_updated(struct gossip *g, struct gossip__member *m); /* core update */
void gossip__serf_gone(struct gossip *g, struct gossip__member *m);    /* core dead or left */
/* True: new, so it is to be passed on. */
bool gossip__serf_leave_intent(struct gossip *g, const struct gossip__intent *in);
bool gossip__serf_join_intent(struct gossip *g, const struct gossip__intent *in);
void gossip__serf_broadcast_join(struct gossip *g);
/* We were turned down: `text`, and who holds what we claim, in one sentence; a notice for users.
 * `from`: the peer that said so, if by datagram: it is asked again after a while. */
const char *gossip__conflict_notice(struct gossip *g, const char *text,
                                    const struct gossip__alive *held, const struct mu_addr *from);
void gossip__serf_probed(struct gossip *g, struct gossip__member *m); /* a leaving one answered */
void gossip__on_force_leave(struct gossip *g, const char *name, bool prune);
bool gossip__serf_witness(struct gossip *g, uint64_t ltime);
const struct gossip__tombstone *gossip__tombstone_find(const struct gossip *g, const char *name);
void gossip__tombstone_remove(struct gossip *g, const char *name);
void gossip__tombstone_learn(struct gossip *g, const struct gossip__tombstone_record *r);
void gossip__serf_replan(struct gossip *g);
uint64_t gossip__serf_due(const struct gossip *g);
void gossip__serf_tick(struct gossip *g);
void gossip__serf_check(const struct gossip *g);
void gossip__serf_free_all(struct gossip *g);

/* -- event.c: user events (13.6) ----------------------------------------------------------------
 */

#define GOSSIP__EVENT_SLOTS 512

struct gossip__heard_event {
    uint64_t hash, heard_ms;
    uint32_t name_bytes, payload_bytes;
    bool coalesce;
    uint8_t bytes[]; /* name, NUL, payload */
};

struct gossip__event_slot { /* all of one Lamport time */
    uint64_t ltime;
    struct gossip__heard_event **items;
    size_t count;
};

struct gossip__events {
    struct gossip__event_slot *slots; /* NULL until there is one */
    uint64_t min_time;                /* what is older was delivered to an earlier life */
    unsigned size_limit;
    uint8_t hash_key[16];
};

struct gossip__event_at {
    size_t slot, item;
    uint64_t heard_ms; /* of the one just given */
};

void gossip__event_init(struct gossip *g, const struct gossip_options *o);
void gossip__event_free_all(struct gossip *g);
bool gossip__event_take(struct gossip *g, const struct gossip__user_event *e); /* true: new */
void gossip__on_user_event(struct gossip *g, const struct gossip__user_event *e,
                           struct mu_span bytes, const struct gossip__source *src);
void gossip__on_send_event(struct gossip *g, const char *name, struct mu_span payload,
                           bool coalesce);
/* All that are remembered, one after the other; texts are views into the ring. */
bool gossip__event_next(const struct gossip *g, struct gossip__event_at *at,
                        struct gossip__user_event *out);
uint64_t gossip__event_sum(const struct gossip *g);
void gossip__event_forget_older(struct gossip *g, uint64_t event_ltime);

/* -- query.c: questions and answers (13.7) ------------------------------------------------------
 */

struct gossip__query_slot { /* ids seen of one Lamport time */
    uint64_t ltime;
    uint32_t *ids;
    size_t count;
};

struct gossip__open_query { /* received: may be answered until its deadline */
    struct mu_link link;
    uint64_t ltime, deadline_ms;
    struct mu_addr origin;
    uint32_t id;
    uint8_t relay_factor;
    bool is_ours, is_answered, takes_large, takes_own;
    /* our answer that no datagram takes, until the asker has it; answer.c */
    struct mu_buf large;   /* the encoded part; empty: none */
    uint64_t large_at_ms;  /* when it is sent; GOSSIP__NEVER: there is none, or it is under way: */
    uint32_t large_stream; /* 0: not */
    unsigned large_tries;
    char from[];
};

struct gossip__asked { /* ours, running */
    struct mu_link link;
    uint64_t owner_id, ltime, deadline_ms, resend_ms;
    uint32_t id;
    bool takes_more;                   /* than GOSSIP_RESPONSE_BYTES, by stream */
    struct mu_table *acked, *answered; /* names */
    size_t bytes;
    uint8_t data[]; /* the encoded part */
};

struct gossip__queries {
    struct gossip__query_slot *seen; /* NULL until there is one */
    uint64_t min_time;
    struct mu_link open, asked;
    size_t open_count, asked_count;
    size_t large_count, large_streams; /* of open ones: answers that wait, those under way */
    unsigned query_limit, response_limit;
};

void gossip__query_init(struct gossip *g, const struct gossip_options *o);
void gossip__query_free_all(struct gossip *g);
void gossip__on_query(struct gossip *g, const struct gossip__query *q, struct mu_span bytes,
                      const struct gossip__source *src);
void gossip__on_response(struct gossip *g, const struct gossip__response *r);
void gossip__on_relay(struct gossip *g, const struct gossip__relay *r,
                      const struct gossip__source *src);
void gossip__on_ask(struct gossip *g, uint64_t owner_id, const struct gossip_query_params *p);
void gossip__on_respond(struct gossip *g, uint64_t ltime, uint32_t id, struct mu_span payload);
uint64_t gossip__query_due(const struct gossip *g);
void gossip__query_tick(struct gossip *g);

/* -- answer.c: answers by stream (13.7) ---------------------------------------------------------
 */

size_t gossip__answer_limit(const struct gossip *g, const struct gossip__open_query *q);
bool gossip__answer_has_room(const struct gossip *g); /* for one more that waits */
/* `part` is sent from the next tick on, until it is confirmed; copied. */
void gossip__answer_queue(struct gossip *g, struct gossip__open_query *q, struct mu_span part);
void gossip__answer_forget(struct gossip *g, struct gossip__open_query *q); /* sent or not */
uint64_t gossip__answer_due(const struct gossip *g, const struct gossip__open_query *q);
void gossip__answer_tick(struct gossip *g, struct gossip__open_query *q);
void gossip__answer_check(const struct gossip *g);
/* One came, on an accepted stream, which is over afterwards. */
void gossip__on_answer(struct gossip *g, struct gossip__stream *s,
                       const struct gossip__response *r);

/* -- the core itself ----------------------------------------------------------------------------
 */

/* Nearly every step looks at the first part, few at the rest. */
struct gossip {
    struct gossip_profile profile;
    uint64_t now_ms, wake_at_ms;
    uint64_t now_ns, arrived_ns; /* finer, for round trips; when the packet in hand came */
    uint8_t cluster_id[8];
    struct gossip__seal seal;
    struct mu_rand rand;
    struct mu_arena in;   /* what is decoded from one packet or frame; bounded */
    struct mu_arena step; /* what is made in one step: effects, texts */
    bool has_started;
    bool has_coordinates;
    bool has_round; /* in this step */
    bool is_suspicion_new;
    bool is_alive_count_new;
    bool is_reconnecting;

    /* effects of this step */
    struct gossip_send *sends;
    size_t sends_count, sends_room;
    size_t ops_count, notices_count, dones_count, delivered_count, asked_count, replies_count;
    struct gossip_keys *told_keys; /* in the step's arena */

    /* the table: by name and by id all, in `list` those of the detector */
    struct gossip__members members;
    struct gossip__member *self;
    struct gossip__member **list;
    size_t list_count, list_room;
    size_t alive_count, suspect_count; /* of `list`; we count as alive */
    uint64_t slots;                    /* taken, of the first 64 */
    size_t graveyard_count, old_cards_count;
    gossip_log_fn *log;
    void *log_data;

    unsigned health;   /* 0 .. awareness_max - 1 */
    uint64_t heard_ms; /* when a member, or its host, last spoke to us */
    uint64_t seq;      /* of pings; last given */
    uint64_t packet_counter;

    /* what is due, and what there is of it */
    uint64_t suspicion_due_ms;  /* unless one of them changed since */
    uint64_t suspect_called_ms; /* when one had its turn, before its last calls */
    uint64_t probe_at_ms, rumor_at_ms, sync_at_ms;
    uint64_t reap_at_ms, prune_at_ms;
    uint64_t forget_at_ms;      /* no member is to be forgotten sooner */
    uint64_t conflict_retry_ms; /* when to offer our name again, and to whom: conflict_peer */
    uint64_t rejoin_at_ms, reconnect_at_ms;
    struct mu_link suspects;
    struct mu_link inquiries;
    struct mu_link streams;
    struct mu_link merges;
    struct mu_link joins;
    struct mu_link spreads; /* struct gossip__spread, by their deadlines */
    struct mu_link widths;  /* struct gossip__width */
    struct gossip__queries queries;
    struct gossip__queue queues[GOSSIP__QUEUES];
    uint64_t rumor_id, rumor_last_ms;
    uint64_t rumor_even_ms; /* so late it would be had ticks kept the interval, or it is */
    size_t probe_next;      /* place in `list` */
    uint64_t probe_turn;    /* of the walk */
    struct gossip__ring ring;
    struct gossip__probe probe;
    struct gossip__leave leave;
    struct gossip__vivaldi vivaldi;
    uint64_t counters[GOSSIP_COUNTERS_COUNT];
    struct gossip__words heard; /* of which the hashes are the last of this part */

    const char *(*refuse)(void *data, const struct gossip_view *member);
    void *refuse_data;
    const struct mu_net *networks; /* 4.1: of those who may take part; none: all may */
    size_t networks_count;
    struct gossip_cards *cards;              /* NULL: not shared */
    struct gossip__blame *blame;             /* who accuses how often; NULL: nobody did */
    struct gossip__suspicion_terms terms[3]; /* by evidence, as of the last step */
    struct gossip__member **graveyard;       /* freed at the next step */
    size_t graveyard_room;
    const struct gossip__card **old_cards; /* the same */
    size_t old_cards_room;
    size_t inquiries_count;

    struct mu_rand coordinate_rand; /* its own: decisions do not depend on where we are */
    uint64_t coordinate_log_ms;

    struct gossip__history history;
    struct mu_addr unreached_from; /* who said that nobody reaches our address; none: nobody did */
    struct gossip__stranger strangers[GOSSIP__REASONS];
    struct gossip__quota quotas[GOSSIP__TOPICS];

    size_t streams_count, inbound_count, inbound_bytes;
    uint32_t stream_id;
    uint64_t sync_sent_bytes, sync_taken_bytes; /* of the last whole state */
    uint64_t sync_wait_ms; /* from one to the next, while we are young; 0: the interval */
    uint64_t news_ms;      /* the first that no comparison followed; 0: none */
    uint64_t newcomers_ms; /* when they were last counted from none on */
    size_t newcomers;

    uint64_t join_attempt;
    struct gossip__join_try *known;
    size_t known_count;
    uint64_t rejoin_wait_ms;

    /* what users see */
    uint64_t member_time, event_time, query_time;
    struct gossip__events events;
    size_t failed_count, left_count, leaving_count;
    struct mu_table *buffered, *tombstones;
    uint64_t conflict_notice_ms, self_claim_ms, refused_log_ms;
    struct mu_addr conflict_peer;

    /* more effects of this step */
    struct gossip_stream_op *ops;
    struct gossip_notice *notices;
    struct gossip_done *dones;
    struct gossip_user_event *delivered;
    struct gossip_query *asked;
    struct gossip_reply *replies;
    size_t ops_room, notices_room, dones_room, delivered_room, asked_room, replies_room;

    struct mu_sample samples[GOSSIP_SAMPLES_OF_CORE];
};

/* For who works with thousands of these, of which none is in a cache: up to here is the first part.
 */
#define GOSSIP__HOT_BYTES offsetof(struct gossip, heard)

void gossip__log(const struct gossip *g, enum mu_log_level level, const char *fmt, ...)
    MU_PRINTF(3, 4);
void gossip__count(struct gossip *g, enum gossip_counter counter);
void gossip__send(struct gossip *g, const struct mu_addr *to, struct mu_span datagram);
void gossip__stream_op(struct gossip *g, enum gossip_stream_verb verb, uint32_t id,
                       const struct mu_addr *to, struct mu_span data);
void gossip__notice(struct gossip *g, enum gossip_notice_kind kind,
                    const struct gossip_view *member, const char *text);
void gossip__deliver_event(struct gossip *g, const struct gossip_user_event *event);
void gossip__deliver_query(struct gossip *g, const struct gossip_query *query);
void gossip__reply(struct gossip *g, const struct gossip_reply *reply);
void gossip__done(struct gossip *g, uint64_t id, unsigned contacted, const char *why);
/* Milliseconds from then to now. */
void gossip__sample_since(struct gossip *g, enum gossip_sample which, uint64_t began_ns);
uint64_t gossip__seq(struct gossip *g);
size_t gossip__others_live(const struct gossip *g); /* alive or suspect, without ourselves */

/* Every claim that must hold between steps; asserts. Costly: for tests and the simulator. */
void gossip__check(const struct gossip *g);

#endif
