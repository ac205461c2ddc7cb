/* cluster.h - inside the simulator of whole clusters: everything of one run.
 *
 * A server is a gossip core, the bootstrap step, a consensus core with a disk that loses what was
 * not flushed, a catalog in memory that a restart rebuilds from the log, and the reconciler, which
 * acts while it leads. A client is a gossip core and what it wants registered. Gossip lives in the
 * world of tests/sim/gossip, consensus in that of tests/sim/consensus, each with its own checks at
 * every step; the two clocks advance together, a millisecond at a time, over one network: who is in
 * which group, which groups are cut from each other, and what gets lost, is set here for both.
 *
 *   torture.c   what goes wrong, drawn from the seed
 *   client.c    what clients want: registrations, keys
 *   request.c   the way of a write or read to the leader and back
 *   holders.c   who holds a lock by a session, and the leader who ends sessions
 *   office.c    what a leader does: gossip's knowledge into the catalog, through agent/reconcile.h
 *   pilot.c     who of the servers votes and is cleaned up, through agent/autopilot.h
 *   state.c     committed entries into catalogs, and what must be equal everywhere
 *   model.c     a second opinion about keys and registrations, not made from the catalog's code
 *   judge.c     what must be true once everything is healed
 */
#ifndef SIM_CLUSTER_CLUSTER_H
#define SIM_CLUSTER_CLUSTER_H

#include "agent/autopilot.h"
#include "agent/reconcile.h"
#include "base/addr.h"
#include "catalog/catalog.h"
#include "catalog/query.h"
#include "consensus/world.h"
#include "gossip/world.h"
#include "proto/command.h"
#include "tags.h"

#define U(v) (unsigned long long)(v)

#define SERVERS_MAX    5
#define CLIENTS_MAX    12
#define MEMBERS_MAX    (SERVERS_MAX + CLIENTS_MAX)
#define SERVICES_MAX   3 /* of one client */
#define REQUESTS_MAX   256
#define KEYS_MAX       24
#define HOLDERS_MAX    3
#define SESSIONS_MAX   512 /* of those that nobody has ended yet */
#define GROUPS         3
#define NEVER          UINT64_MAX
#define WORLD_CLOCK_MS 1000 /* how far gossip's clock is ahead, in its simulator */

/* What the leader's reconciler is told. */
#define REMOVE_AFTER_MS 10000
#define PAUSE_MAX_MS    60000
#define ABSENT_AFTER_MS 20000

/* Something is broken on purpose, to see that a check finds it. */
enum cluster_break {
    BREAK_NOTHING,
    BREAK_PRESERVATION, /* removal of the failed never pauses */
    BREAK_APPLY,        /* what applying does depends on the server's life */
    BREAK_DISK,         /* a crash loses what was flushed */
    BREAK_HEALTH,       /* the leader forgets to mark the failed */
    BREAK_SESSIONS,     /* renewals are answered, and change nothing */
    BREAK_STATE, /* one server leaves commands out, and nobody looks but the servers themselves */
};

struct cluster_options {
    uint64_t seed;
    uint64_t seconds; /* of faults */
    size_t servers, clients;
    enum cluster_break broken;
    bool is_verbose;
};

/* -- requests ---------------------------------------------------------------------------------- */

enum request_state { REQUEST_FREE, REQUEST_TRAVELS, REQUEST_PROPOSED, REQUEST_COMMITTED };

enum request_end {
    REQUEST_DONE,    /* in the state of the leader that answers, at `index` */
    REQUEST_FAILED,  /* certainly not done */
    REQUEST_UNKNOWN, /* the answer is lost */
};

struct cluster;
struct request;
typedef void request_fn(struct cluster *c, const struct request *r, enum request_end end);

struct request {
    enum request_state state;
    bool is_read;
    size_t at; /* server */
    uint32_t life;
    uint64_t due_ms;
    unsigned tries;
    struct mu_buf command; /* encoded, without a stamp */
    uint64_t ticket, index;
    uint64_t floor;   /* what had been acknowledged when it was asked */
    request_fn *done; /* may be NULL */
    size_t owner, item;
    uint64_t mark;
    struct reconcile_action action;
    bool has_more;
    struct mu_id session;
};

/* -- members ----------------------------------------------------------------------------------- */

enum office_state { OFFICE_NONE, OFFICE_BARRIER, OFFICE_HELD };

/* Of a server, for a leader: could be heard at last_ms, and without a gap since since_ms. */
struct reach {
    struct mu_id disk;
    uint64_t since_ms, last_ms;
};

struct office {
    struct reconcile *reconcile;
    enum office_state state;
    uint64_t term, mark; /* mark: tells offices apart */
    uint64_t since_ms, full_at_ms;
    uint64_t suspicious_ms; /* since when too many are failed; 0: not so */
    bool was_removed[MEMBERS_MAX];
    struct session_timers *timers;
    struct mu_id sessions[SESSIONS_MAX]; /* those in `timers` */
    size_t sessions_count;
    uint64_t sessions_at; /* the state they were read from */
    struct autopilot *pilot;
    struct consensus_change change; /* under way */
    uint64_t change_ticket;         /* 0: none is */
    uint64_t look_at_ms;
    struct reach reach[SERVERS_MAX];
};

struct server {
    struct sim_node *node;
    struct catalog *catalog; /* NULL while it does not run */
    struct catalog_reader *reader;
    bool shows_cluster; /* its tags do */
    bool is_removed;    /* it has heard so */
    uint64_t away_ms;   /* it does not return before that */
    struct office office;
};

struct service {
    bool is_wanted; /* by its client */
    bool is_synced; /* an answer said so */
    bool is_busy;
    uint16_t port;
    uint64_t version; /* counts up with each wish */
};

struct client {
    struct service services[SERVICES_MAX];
    uint64_t sync_at_ms;
};

enum holder_wish { WISH_NODE, WISH_SESSION, WISH_ACQUIRE, WISH_RELEASE };

enum renewal_state { RENEWAL_NONE, RENEWAL_TRAVELS, RENEWAL_GOOD, RENEWAL_OVER, RENEWAL_FAILED };

struct holder {
    struct mu_id session;
    bool has_session, holds, is_busy;
    bool is_silent; /* on purpose */
    enum holder_wish wish;
    uint64_t next_ms, mark;
    uint64_t sent_ms;    /* of what is under way */
    uint64_t renewed_ms; /* when that was sent which was answered well last */
    enum renewal_state renewal;
    size_t at, hops; /* the server it is at */
    uint64_t due_ms, renew_ms;
};

/* -- what is known of the log ------------------------------------------------------------------ */

struct fact { /* an entry that some server has applied, and what came of it */
    bool is_known;
    uint64_t content, term;
    enum consensus_entry_kind kind;
    enum mu_code code;
    bool did_apply;
    uint8_t hash[16]; /* of the state behind it */
};

struct model_key {
    bool is_there;
    uint64_t create_index, modify_index, flags, value;
};

struct model_node {
    bool is_there;
    uint16_t ports[SERVICES_MAX]; /* 0: not registered */
};

struct model {
    uint64_t applied;
    struct model_key keys[KEYS_MAX];
    struct model_node nodes[MEMBERS_MAX];
};

struct cluster {
    struct cluster_options options;
    struct mu_rand rand;
    struct mu_rand pilot_rand;
    uint64_t stabilization_ms; /* autopilot's; 0: there is none */
    uint64_t now_ms;
    struct world *gossip;
    struct sim_world *log;

    struct server servers[SERVERS_MAX];
    size_t servers_count;
    struct client clients[CLIENTS_MAX];
    struct holder holders[HOLDERS_MAX];
    bool has_lock_node, holders_rest;
    uint64_t wishes;
    size_t members_count; /* servers first, then clients; the same numbers as in gossip */
    bool wants_join[MEMBERS_MAX];
    bool is_leaving[MEMBERS_MAX];
    bool has_news[SERVERS_MAX]; /* gossip said something since the candidates were told */
    struct mu_id ids[MEMBERS_MAX];

    /* the network */
    unsigned group[MEMBERS_MAX];
    bool is_cut[GROUPS][GROUPS];
    double loss, twice, reorder;
    uint32_t delay_ms, disk_ms, apply_ms;

    struct request requests[REQUESTS_MAX];
    struct mu_buf *commands; /* by content; as they are in the log */
    size_t commands_count, commands_room;
    struct fact *facts; /* by index */
    size_t facts_room;
    uint64_t facts_last, acked_index;
    struct model model;
    uint64_t offices;

    uint64_t keys_at_ms, verify_at_ms;
    bool is_calm; /* the workload writes no more */
    uint64_t hash;
    struct { /* for people */
        uint64_t crashes, acked, lost, removed, paused, reads, restarts, cuts;
        uint64_t locks;
        uint64_t cleaned, wiped; /* servers */
    } sums;
};

/* -- cluster.c --------------------------------------------------------------------------------- */

struct cluster *cluster_new(const struct cluster_options *options);
void cluster_free(struct cluster *c);
void cluster_run(struct cluster *c, uint64_t ms);
void cluster_say(const struct cluster *c, const char *fmt, ...) MU_PRINTF(2, 3);
void trace_begin(struct cluster *c);
void trace_end(void);
_Noreturn void cluster_fail(const struct cluster *c, const char *fmt, ...) MU_PRINTF(2, 3);
void cluster_fold(struct cluster *c, uint64_t v);
uint64_t cluster_below(struct cluster *c, uint64_t bound);

/* moves: to another address. is_wiped: without what it knew and who it was; clients only. */
void member_start(struct cluster *c, size_t member, bool moves, bool is_wiped);
void member_crash(struct cluster *c, size_t member);
void member_pause(struct cluster *c, size_t member, uint64_t ms);
void member_leave(struct cluster *c, size_t member); /* clients */
struct mu_id member_id(const struct cluster *c, size_t member);
const char *member_name(const struct cluster *c, size_t member);
bool member_runs(const struct cluster *c, size_t member); /* and is not paused */
bool member_is_up(const struct cluster *c, size_t member);
/* What a server's tags say; false: it is none. */
struct server_tags {
    struct mu_id id, disk, cluster;
};
bool server_tags_read(const struct gossip_view *m, struct server_tags *out);
bool member_by_name(const struct cluster *c, struct mu_span name, size_t *member);
void network_apply(struct cluster *c); /* groups, cuts and losses were changed */
bool network_link(const struct cluster *c, size_t from, size_t to); /* both ways */
struct server *cluster_leader(struct cluster *c);                   /* one in office; NULL: none */

/* -- the others -------------------------------------------------------------------------------- */

void requests_run(struct cluster *c);
void requests_free(struct cluster *c);
void requests_result(struct cluster *c, const struct consensus_result *r);
/* At server `at` in a moment; false: too many are under way. */
struct request *request_new(struct cluster *c, size_t at, const struct command *command);

void office_notice(struct cluster *c, size_t server, const struct gossip_notice *notice);
void offices_run(struct cluster *c);
void pilot_lead(struct cluster *c, struct server *s);
void pilot_run(struct cluster *c, struct server *s);
void pilot_result(struct cluster *c, const struct sim_node *n, const struct consensus_result *r);
void pilot_bury(struct cluster *c); /* those that were removed begin anew */
bool pilot_may_wipe(struct cluster *c, size_t server);
bool pilot_is_done(struct cluster *c, const struct server *leader);
void office_open(struct cluster *c, size_t server);
void office_close(struct server *s);

/* In office: sessions of the state, each with its full time. */
void sessions_lead(struct cluster *c, struct server *s);
void sessions_run(struct cluster *c, struct server *s);
void holders_run(struct cluster *c);
void holders_judge(struct cluster *c);

void clients_run(struct cluster *c);
void client_restarted(struct cluster *c, size_t member);
bool client_is_busy(const struct cluster *c, size_t member); /* waits for an answer */
void client_refuted(struct cluster *c, size_t member);

void state_open(struct cluster *c, struct server *s);
void state_close(struct server *s);
void state_follow(struct cluster *c); /* catalogs apply what consensus lets them */
uint64_t state_content(struct cluster *c, const struct mu_buf *command); /* a new one */

void model_apply(struct cluster *c, uint64_t index, const struct fact *fact);
void model_compare(struct cluster *c, struct server *s); /* when it has applied as much */
void model_key_name(size_t key, char out[16]);

void torture_act(struct cluster *c);
void torture_heal(struct cluster *c);
void torture_hide(struct cluster *c, size_t server); /* from gossip, until network_apply() */

void judge(struct cluster *c); /* heals, waits, and is satisfied or fails */

/* What the catalog of a server says of a member. */
struct listed {
    bool is_there, is_passing, is_critical;
    struct mu_span id, address;      /* in the arena, as all below */
    const struct catalog_node *node; /* NULL: not there */
    uint16_t ports[SERVICES_MAX];    /* 0: not registered */
};
void listed_read(struct cluster *c, struct server *s, struct mu_arena *arena, const char *name,
                 struct listed *out);

#endif
