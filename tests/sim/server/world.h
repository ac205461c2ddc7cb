/* world.h - whole servers in one process: everything of one run.
 *
 * A server here is what ships, from the first byte of a peer's message to the pages of SQLite: the
 * consensus node (consensus/node.h), the segment store on a disk, the catalog with its apply steps
 * (agent/apply.h) on SQLite, peer messages in their encoding. Simulated are time, network, disks
 * and the turns that threads get: the log's steps, the apply steps and the opening of a server each
 * run on a fiber that sleeps in every request to the disk, so a server may die between any two.
 *
 *   world.c     events, time, how a run fails
 *   server.c    the life of a server: run, crash, power cut, stop
 *   opening.c   its beginning: state and log found again, an install completed
 *   task.c      what are threads in production
 *   threads.c   log and apply on them
 *   snaps.c     snapshots: made, sent, received, installed
 *   scrubs.c    state and log read again
 *   net.c       links, messages, what happens to them on the way
 *   request.c   the way of one write or read through servers and back
 *   client.c    who asks, and what he believes afterwards
 *   facts.c     what was committed and what came of it; must be the same everywhere
 *   platter.c   what the platters hold, whatever the processes say
 *   model.c     a second opinion about keys, not made from the catalog's code
 *   torture.c   what goes wrong, drawn from the seed
 *   late.c      more of that, each with a stream of its own
 *   wounds.c    damage to the files of a log, aimed at what lies where in them: scars.c
 *   strange.c   frames that no muster sends
 *   calls.c     calls that nobody expects, at moments in which nobody should be disturbed
 *   versions.c  servers of two versions: upgraded, and back
 *   small.c     small disks, snapshots installed, and writes that never pause
 *   churn.c     servers that leave and come back on a blank disk
 *   judge.c     what must be true once everything is healed
 *   marks.c     what a batch of runs has met at least once
 *
 * disk.h, sim_vfs.h, sim_posix.h and fiber.h know nothing of this.
 */
#ifndef SIM_SERVER_WORLD_H
#define SIM_SERVER_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/apply.h"
#include "base/heap.h"
#include "base/id.h"
#include "base/rand.h"
#include "catalog/catalog.h"
#include "catalog/query.h"
#include "consensus/node.h"
#include "consensus/store_segment.h"
#include "disk.h"
#include "fiber.h"
#include "linear.h"
#include "proto/command.h"

#define U(v) (unsigned long long)(v)

#define SERVERS_MAX 5
#define CLIENTS_MAX 12
#define KEYS_MAX    16
#define MS          UINT64_C(1000) /* of microseconds, as all times here are */
#define SECOND      (1000 * MS)
#define NEVER       UINT64_MAX
#define WAKE_US     5 /* from another thread to the loop */

#define SERVER_DEATHS_MAX 3 /* of its own disk: it stays down */
#define SERVER_DIR_BYTES  8

/* What may go wrong. Each is off in every second run. */
#define WORLD_FAULTS(X)                                                                      \
    X(crash)                                                                                 \
    X(power)                                                                                 \
    X(stop)                                                                                  \
    X(pause)                                                                                 \
    X(cut)                                                                                   \
    X(loss)                                                                                  \
    X(twice)                                                                                 \
    X(delay)                                                                                 \
    X(flip)                                                                                  \
    X(clock)                                                                                 \
    X(stall)                                                                                 \
    X(full)                                                                                  \
    X(sync)                                                                                  \
    X(read)                                                                                  \
    X(rot)                                                                                   \
    X(churn)                                                                                 \
    X(transfer)                                                                              \
    X(lag)                                                                                   \
    X(midst)                                                                                 \
    X(anew) X(error) X(aim) X(differ) X(strange) X(crowd) X(ask) X(young) X(plain) X(halves) \
        X(wound) X(fumble) X(call) X(frozen) X(sizes) X(versions)

enum world_fault {
#define WORLD_ENUM(name) FAULT_##name,
    WORLD_FAULTS(WORLD_ENUM)
#undef WORLD_ENUM
        FAULTS_COUNT
};

/* Reads by lease, in a quarter of the runs. */
enum world_leases {
    LEASES_NONE,
    LEASES_KEPT,  /* clocks keep to what they assume: reads are as fresh as ever */
    LEASES_BROKEN /* clocks do not: reads may be old, and nothing else may be wrong */
};

/* Broken on purpose, in what this program does itself. */
enum world_break {
    BREAK_NOTHING,
    BREAK_FLUSH,      /* disks of the log flush nothing */
    BREAK_STALE,      /* reads are answered before the read point is applied */
    BREAK_READ_POINT, /* any server believes that it may give read points */
    BREAK_LEASES      /* clocks break what leases assume, and nobody is told */
};

struct world_options {
    uint64_t seed;
    uint64_t until_s;        /* of faults; 0: as drawn */
    size_t servers, clients; /* 0: as drawn */
    uint64_t off;            /* bits of faults that never happen */
    enum world_break broken;
    bool is_beyond; /* any copy may be hurt: only wrong answers count, not silence */
    bool is_small;  /* the story of small.c */
    bool is_verbose;
};

struct world;
struct server;

/* -- events -------------------------------------------------------------------------------------
 */

typedef void event_fn(void *data);

struct event { /* zeroed: not set */
    struct mu_heap_node node;
    event_fn *fire;
    void *data;
};

void event_set(struct world *w, struct event *e, uint64_t at_us, event_fn *fire, void *data);
void event_cancel(struct world *w, struct event *e);
bool event_is_set(const struct event *e);

/* -- servers ------------------------------------------------------------------------------------
 */

/* A thread of the server. */
struct task {
    struct server *server;
    struct fiber *fiber; /* NULL: there is none */
    struct event due;
    bool is_waiting; /* for mail, not for a disk */
    bool has_mail;
};

/*   DOWN --> OPENING --> UP --> STOPPING --.
 *    ^         |          |                |
 *    '---------+----------+----------------'
 */
enum server_state { SERVER_DOWN, SERVER_OPENING, SERVER_UP, SERVER_STOPPING };

struct server {
    struct world *world;
    size_t place;
    char name[4];
    struct mu_id id;
    struct disk *disk;
    struct consensus_disk *view;
    uint64_t latency_us, stall_until; /* of the disk */

    enum server_state state;
    uint32_t life;
    bool is_dying;       /* its disk is dead, it is being taken apart */
    bool is_excused;     /* a fault was told that it may die of */
    bool stays_excused;  /* in its next life too: an error that is repeated */
    bool is_told_full;   /* a request failed as if there were no room */
    bool is_hurt;        /* its log may be damaged */
    bool is_torn;        /* also what was newest there, and nothing tells of */
    bool is_state_hurt;  /* its state may be; over when that was made anew */
    bool differs;        /* its sums are not what its state adds up to */
    bool is_remade;      /* its state is not to be used and not there again yet */
    bool is_doubted;     /* somebody has decided against its state, which is still there */
    bool lacks_state;    /* what the log has no more comes from a leader */
    bool is_copy;        /* its state, as it was opened: of another, and not proven */
    bool is_refused;     /* it will not start again, and has said why */
    unsigned deaths;     /* of damage */
    uint32_t level_max;  /* of commands that it understands; 0: there is one version */
    uint32_t level_said; /* the highest that this disk ever understood */
    bool is_too_old;     /* the cluster has gone on: next time it is the newer version */
    bool joins;          /* an empty disk waits to be added, it does not form a cluster */
    bool was_cut;        /* the power was, since it ran last */
    bool was_cut_once;
    uint64_t restart_at;
    struct event restart, exit;

    /* its clock: local = base + (now - set) * rate / 1000 */
    uint64_t clock_set, clock_base_us, clock_rate;
    int64_t wall_ms; /* its wall clock is ahead of its other clock by this */
    uint64_t paused_until;

    /* while it runs */
    struct task boot, log_task, apply_task, snap_task, scrub_task;
    struct consensus_log *log;
    struct catalog *catalog; /* until `apply` has it */
    struct catalog_applied opened;
    struct catalog_reader *reader;
    struct snaps *snaps;
    struct scrubs *scrubs;
    uint64_t scrub_passes; /* to their end, of this life */
    uint64_t generation;   /* of the state */
    uint64_t noted;        /* that one is not to be used: no crash may undo it; 0: none */
    struct apply *apply;
    struct consensus_node node;
    bool has_node, has_begun;
    enum mu_code open_code;
    struct mu_err open_error;
    struct event opened_event, turn, wake, collect, applied_event, snap_event, midst;
    struct event rest;
    struct event scrub_event, scrub_due, scrub_again;
    uint64_t awaited;             /* somebody waits until this is applied */
    struct {                      /* wounds.c */
        enum world_fault waits;   /* until it is down; FAULTS_COUNT: none */
        struct wound_file *files; /* as they were before the life behind this one */
        size_t files_count;
        uint32_t life;
        bool was_hurt;
        struct event undone, thawed, first;
    } wound;
    uint64_t stamp_ms, origin_seq;

    /* what was seen of it */
    struct catalog_applied applied;
    uint64_t term, commit; /* of this life */
    uint64_t reads_leased; /* of this life */
    uint64_t durable_told; /* over all lives, as long as the disk is honest */
    uint64_t term_told;
    uint64_t voted_term; /* of the last vote that it gave or asked for */
    uint64_t acks_count, commits_count, config_seen; /* for platter.c */
    uint64_t match_told;     /* committed, and a leader believes that it has it: of this disk */
    uint64_t wiped_term;     /* leaders of earlier terms may believe that of its former disk */
    bool links[SERVERS_MAX]; /* connections to others, as it was told */
};

/* -- operations of clients ----------------------------------------------------------------------
 */

enum op_kind {
    OP_GET,
    OP_PUT,
    OP_CAS,
    OP_DELETE,
    OP_DELETE_CAS,
    OP_DELETE_TREE,
    OP_NEWER,    /* a PUT, by the kind of command that only the newer version knows */
    OP_ACQUIRE,  /* a lock */
    OP_RELEASE,  /* it */
    OP_SESSION,  /* what locks are taken for */
    OP_DESTROY,  /* the session, and with it what it holds */
    OP_REGISTER, /* the node that sessions live on */
    OP_KINDS
};

enum op_mode { MODE_DEFAULT, MODE_CONSISTENT, MODE_STALE, MODES };

enum op_state {
    OP_OPEN,
    OP_DONE,
    OP_FAILED,  /* certainly without effect */
    OP_UNKNOWN, /* nobody answered in time, or nobody could know */
};

struct op {
    uint64_t number;              /* from 1 */
    struct command_origin origin; /* by the server that was asked */
    enum op_kind kind;
    enum op_mode mode;
    enum op_state state;
    size_t client, key;
    uint64_t cas, cas_value; /* index, and the value that was read with it (0: none) */
    struct mu_buf command;   /* encoded, without a stamp */
    uint64_t called, returned;
    uint64_t floor; /* an index somebody had been told of before it was called */
    uint64_t index; /* of its log entry; OP_GET: of the state it saw */
    bool did_apply;
    enum mu_code code;
    uint64_t saw, saw_index; /* OP_GET: value, ModifyIndex; 0: no such key */
    uint64_t saw_holder;     /* OP_GET: the session that has locked it, or 0 */
    uint64_t session;        /* OP_ACQUIRE, OP_RELEASE, OP_DESTROY: number of its OP_SESSION */
    bool is_alive;           /* OP_SESSION: as the model says */
    uint64_t entry;          /* index at which it was committed; 0: nowhere yet */
};

struct client {
    size_t place, server;
    struct event next, timeout;
    uint64_t op;                   /* number; 0: none under way */
    uint64_t session;              /* its own; 0: none */
    uint64_t read_value[KEYS_MAX]; /* what it read last, for CAS */
    uint64_t read_index[KEYS_MAX];
};

/* -- what was committed -------------------------------------------------------------------------
 */

struct fact {
    uint64_t term, content; /* content: hash of its bytes; 0: no command */
    uint64_t op;
    enum mu_code code; /* of applying it, as the oracle says */
    bool did_apply;
    uint8_t hash[16]; /* of the state behind it */
};

struct version {                     /* of a key */
    uint64_t index, value, modified; /* value: 0, deleted */
    uint64_t holder;                 /* session; 0: not locked */
};

struct world {
    struct world_options options;
    struct mu_rand rand, net_rand, disk_rand;
    struct mu_rand more_rand; /* for what came later: it moves no draw of old seeds */
    struct mu_rand scrub_rand;
    struct mu_rand late_rand;    /* late.c */
    struct mu_rand calls_rand;   /* calls.c */
    struct mu_rand wound_rand;   /* wounds.c */
    struct mu_rand version_rand; /* versions.c */
    uint64_t now;                /* microseconds */
    struct mu_heap events;
    uint64_t steps, hash;
    uint64_t until;

    struct server servers[SERVERS_MAX];
    size_t servers_count;
    size_t hurt_max; /* how many servers may have damaged copies */
    enum consensus_timing timing;
    uint32_t segment_bytes, trailing, wal_bytes, chunk_bytes;
    uint32_t cache_bytes; /* of entries in memory; 0: as usual */
    uint64_t ballast_bytes;
    enum world_leases leases;
    bool has_all_calls; /* disks of logs, also those that need not be there */
    bool is_pressing;   /* short logs, long values: whoever is late needs a snapshot */

    bool is_cut[SERVERS_MAX][SERVERS_MAX]; /* [from][to] */
    bool is_in_order;                      /* messages do not overtake each other */
    uint64_t last_at[SERVERS_MAX][SERVERS_MAX];
    uint64_t delay_us;
    double loss, twice, slow, flip;
    struct message *messages; /* under way */
    struct event links;

    struct client clients[CLIENTS_MAX];
    size_t clients_count, keys_count;
    struct op *ops;
    size_t ops_count, ops_room;
    uint64_t think_us;
    bool is_calm;  /* clients ask no more */
    bool has_node; /* sessions can be made */

    struct fact *facts; /* by index */
    size_t facts_count, facts_room;
    struct catalog *oracle;
    struct version *versions[KEYS_MAX];
    size_t versions_count[KEYS_MAX], versions_room[KEYS_MAX];
    uint64_t told;              /* the highest index a client knows of */
    struct mu_id leaders[4096]; /* by term: I1 */

    struct event torture, anew, lone, late, calls, wound, version_tick;
    uint64_t raised_at;    /* the entry with which the level rose; 0: none */
    bool is_upgraded;      /* nobody starts the older version any more */
    struct server *misled; /* it expects one more than there are; NULL: nobody does */
    struct {
        struct server *victim; /* leaves and comes back; NULL: nobody */
        bool is_wiped, is_asked;
        uint64_t rounds, lingers; /* ticks until it is wiped */
        struct event tick;
    } churn;
    struct {
        struct event look;
        uint64_t away;    /* how often somebody was sent away */
        uint64_t back_us; /* and when it is there again */
        uint64_t full_us; /* from when on disks are little; 0: they are not */
    } small;
    uint64_t bad[FAULTS_COUNT]; /* how often each happened */
    struct {                    /* for people */
        uint64_t crashes, cuts, opens, refused, copies, acked, failed, unknown, reads, deaths;
        uint64_t exports, installs, resumed, completed; /* of snapshots */
        uint64_t state_rots;
        uint64_t rebuilt_log, rebuilt_leader; /* states made anew, of what */
        uint64_t reads_leased;
        uint64_t platters; /* looked at */
        uint64_t scrubs, scrub_finds, sheds;
        uint64_t upgrades, downgrades, raised, outdated; /* of versions */
    } sums;
};

/* -- world.c ------------------------------------------------------------------------------------
 */

struct world *world_new(const struct world_options *options);
void world_free(struct world *w);
void world_run(struct world *w, uint64_t until_us);
/* Until `is_done` says so; false: not by then. */
bool world_run_until(struct world *w, bool (*is_done)(struct world *w), uint64_t until_us);
void world_note(struct world *w, uint64_t v); /* into the hash of the run */
void world_say(struct world *w, const char *fmt, ...) MU_PRINTF(2, 3);
_Noreturn void world_fail(struct world *w, const char *fmt, ...) MU_PRINTF(2, 3);
bool world_happens(struct mu_rand *r, double probability);
bool world_has(const struct world *w, enum world_fault fault);
const char *world_fault_text(size_t fault);

/* -- server.c -----------------------------------------------------------------------------------
 */

void server_init(struct world *w, size_t place);
void server_deinit(struct server *s);
void server_start(struct server *s);
/* The process ends now; is_cut: the machine with it. restart: in so many us; NEVER: not by itself.
 */
void server_crash(struct server *s, bool is_cut, uint64_t restart);
void server_stop(struct server *s, uint64_t restart); /* in order */
void server_pause(struct server *s, uint64_t us);
void server_clock(struct server *s, uint64_t rate, uint64_t jump_us);
uint64_t server_us(const struct server *s); /* its clock */
uint64_t server_ms(const struct server *s);
void server_store_wakes(void *data);
extern const struct consensus_callbacks server_callbacks;
void server_boots_up(struct server *s); /* its boot has ended, well or not */
void server_state_failed(struct server *s, const char *why);
/* It is not to be trusted any more: the process ends, and the next one makes it anew. */
void server_state_bad(struct server *s, const char *why);
bool server_is_hurt(const struct server *s);  /* what it has stored may be damaged */
bool server_is_whole(const struct server *s); /* log and state are there, and good */
/* The apply steps are idle: this state takes the place of the old one. */
void server_state_replace(struct server *s, struct catalog *catalog);
/* On the loop of the server: false, it stands still; `e` was put off until it goes on. */
bool server_turn_begins(struct server *s, struct event *e, event_fn *fire, void *data);
void server_turn_ends(struct server *s);
bool server_is_up(const struct server *s);
bool server_hears(const struct server *s); /* its peers: also while it gives its office away */
struct server *server_of(struct world *w, const struct mu_id *id); /* NULL: none */
void server_settle(struct server *s);
void server_await(struct server *s, uint64_t index); /* somebody waits until it is applied */

/* -- task.c -------------------------------------------------------------------------------------
 */

void task_start(struct task *t, struct server *s, fiber_fn *run);
void task_mail(struct task *t);
void task_nap(struct task *t, uint64_t us); /* on its fiber; NEVER: until there is mail */
void task_drain(struct task *t);            /* run it to its end, without time */
void task_free(struct task *t);
/* The fiber that runs is put to sleep by a disk. */
void tasks_sleep(struct server *s, uint64_t us);
void tasks_nap(void *world, uint64_t us); /* the same, whosoever it is */

/* -- opening.c, threads.c, snaps.c --------------------------------------------------------------
 */

void server_dir(const struct server *s, char out[SERVER_DIR_BYTES]); /* its data directory */
void server_boot(void *data);                                        /* on its fiber */
struct consensus_log_host threads_log(struct server *s);
struct apply_host threads_apply(struct server *s);
void threads_apply_start(struct server *s);
void threads_apply_end(struct server *s);
void snaps_open(struct server *s);
void snaps_close(struct server *s); /* the work that runs is waited for */
void snaps_order(void *data, const struct consensus_snap_order *order);
void snaps_proven(void *data);
void snaps_poll(struct server *s); /* something has ended that a switch may have waited for */

/* What the thread of snapshots is at. */
enum snaps_point {
    SNAPS_IDLE,
    SNAPS_EXPORTS,
    SNAPS_READS,
    SNAPS_OPENS,
    SNAPS_STORES,
    SNAPS_IMPORTS,
    SNAPS_SWITCHES,
    SNAPS_WAITS, /* for the apply steps, with a state that counts */
    SNAPS_REMOVES,
    SNAPS_POINTS
};
enum snaps_point snaps_at(const struct server *s);

/* -- scrubs.c -----------------------------------------------------------------------------------
 */

/* damaged: a segment that its start has found so; 0: none. */
void scrubs_open(struct server *s, uint64_t damaged);
void scrubs_close(struct server *s);
void scrubs_soon(struct server *s);
void scrubs_surveyed(void *data, const struct consensus_survey *survey);
/* So many passes to their end in this life, and nothing that was found is still there. */
bool scrubs_is_done(const struct server *s, uint64_t passes);

/* -- net.c --------------------------------------------------------------------------------------
 */

enum call_kind { CALL_PROPOSE, CALL_PROPOSED, CALL_READ, CALL_READ_POINT };

struct call { /* from server to server, about one operation */
    enum call_kind kind;
    uint64_t op;
    uint64_t mark; /* of the request at the server that asks */
    enum mu_code code;
    uint64_t index;
    bool did_apply;
};

extern const struct consensus_transport net_transport, net_transport_plain;
void net_call(struct world *w, struct server *from, struct server *to, const struct call *call);
void net_begin(struct world *w);
void net_free(struct world *w);
void net_server_down(struct server *s);

/* -- request.c ----------------------------------------------------------------------------------
 */

void request_client(struct server *s, uint64_t op); /* a client asks */
void request_call(struct server *s, struct server *from, const struct call *call);
void requests_applied(struct server *s, const struct apply_report *report);
void requests_entry(struct server *s, uint64_t ticket, uint64_t index);
void requests_restored(struct server *s); /* another state has taken the place of its own */
void requests_drop(struct server *s);     /* it is down */

/* -- client.c -----------------------------------------------------------------------------------
 */

void clients_begin(struct world *w);
struct op *op_of(struct world *w, uint64_t number);
struct op *op_by_origin(struct world *w, const struct command_origin *origin); /* NULL: none */
void op_done(struct world *w, uint64_t number, const struct call *answer, const struct op *saw);
void op_failed(struct world *w, uint64_t number, bool is_certain);
const char *key_text(size_t key);                        /* KEYS_MAX of them */
bool value_read(struct mu_span value, uint64_t *number); /* false: nobody wrote this */
struct mu_id session_id(uint64_t number);
bool session_read(struct mu_span text, uint64_t *number);
void clients_judge(struct world *w);
void clients_free(struct world *w);

/* -- facts.c ------------------------------------------------------------------------------------
 */

void facts_begin(struct world *w);
void facts_free(struct world *w);
void fact_entry(struct server *s, const struct consensus_entry_view *e); /* it may be applied */
void fact_result(struct server *s, const struct apply_result *r);
void fact_state(struct server *s, const struct catalog_applied *applied); /* it has this state */
void fact_snapshot(const struct server *s, const struct consensus_snap *snap); /* it made one */
void fact_log(struct server *s);         /* it has just begun with what is on its disk */
void facts_check_node(struct server *s); /* after a step */
uint64_t facts_last(const struct world *w);

/* -- platter.c ----------------------------------------------------------------------------------
 */

void platter_said(struct server *s, struct mu_span message); /* to a peer; whatever becomes of it */
void platter_committed(struct server *leader, uint64_t index);
void platter_left(struct server *s); /* it has ended in the middle */
/* It has stopped, with this state, and was read again before. */
void platter_whole(struct server *s, const struct catalog_applied *state);

/* -- model.c ------------------------------------------------------------------------------------
 */

/* What the entry should do; says whether it applied. */
bool model_apply(struct world *w, uint64_t index, struct op *op, enum mu_code *code);
bool model_is_lock(size_t key); /* keys that are for locks alone */
/* The newest version at an index. */
struct version model_at(const struct world *w, size_t key, uint64_t index);

/* -- churn.c ----------------------------------------------------------------------------------- */

void churn_begin(struct world *w);
void churn_end(struct world *w);
void churn_server(struct world *w, struct server *s); /* if nobody is under way */
bool churn_is_done(struct world *w);
void churn_transfer(struct world *w, const struct server *to);

/* -- torture.c, judge.c -------------------------------------------------------------------------
 */

void torture_begin(struct world *w); /* also draws what kind of run this is */
void torture_end(struct world *w);
uint64_t torture_rate(struct world *w); /* of the clock of one more server */
/* It works on one: a moment to die in. */
void torture_snapshot(struct server *s, bool is_installing);
/* May this one's copies be hurt, or its state be gone? Others must have them. */
bool torture_can_spare(const struct world *w, const struct server *s);
void judge(struct world *w);
bool world_is_formed(const struct world *w); /* everybody has applied something */

/* -- late.c --------------------------------------------------------------------------------------
 */

void late_begin(struct world *w);
void late_end(struct world *w);
void late_start(struct server *s); /* its disk is there again */
void late_sums(struct server *s, const struct consensus_sum *sums, size_t count);
/* A frame that arrives beside this one and must be refused; as if from *sender. False: none. */
bool late_frame(struct server *from, struct server *to, struct mu_span frame,
                struct server **sender, struct mu_buf *out);

/* -- wounds.c ------------------------------------------------------------------------------------
 */

void wounds_begin(struct world *w);
void wounds_end(struct world *w);
void wounds_init(struct server *s);
void wounds_deinit(struct server *s);
void wounds_start(struct server *s);
void wounds_down(struct server *s);
void wounds_refused(struct server *s); /* it will not start with these files */
/* Of the log that is about to be opened. */
void wounds_sizes(struct server *s, struct consensus_store_options *o);

/* -- calls.c -------------------------------------------------------------------------------------
 */

void calls_begin(struct world *w);
void calls_servers(struct world *w); /* they are there, and down */
void calls_end(struct world *w);
void calls_turn(struct server *s);             /* at the end of each of its turns */
unsigned calls_expect(const struct server *s); /* how many servers it is told to expect */
struct consensus_callbacks calls_callbacks(const struct world *w);
bool calls_strange(struct world *w, struct mu_span frame); /* is it to come once more, changed? */
uint64_t calls_copies(struct world *w); /* of a write that is proposed now: besides, in one turn */
bool calls_anywhere(struct world *w);   /* is something to happen here and now, out of turn? */

/* -- marks.c -------------------------------------------------------------------------------------
 */

struct marks_count { /* of the caller's own */
    const char *name;
    uint64_t count;
};

void marks_line(const char *line);        /* of a server's log */
void marks_death(const struct server *s); /* its process ends now */
void marks_relieved(void);                /* a log gave its reserve to the state */
void marks_faults(const struct world *w); /* a run has ended */
/* How many were never seen. */
unsigned marks_print(const struct marks_count *counts, size_t counts_count);

/* -- versions.c ----------------------------------------------------------------------------------
 */

void versions_begin(struct world *w);
void versions_end(struct world *w);
void versions_judge(struct world *w);
bool versions_draw_newer(struct world *w);
uint32_t version_level(void *data, struct mu_span command);
void version_choose(struct server *s); /* it is about to start */
void version_wiped(struct server *s);
/* Would its binary open this state? Errors: MU_UNSUPPORTED. */
enum mu_code version_takes(const struct server *s, const struct catalog *catalog,
                           struct mu_err *err);
/* Is this why it may not go on, and is that right? */
bool version_is_outdated(struct server *s, const char *why);
void version_raised(struct world *w, uint64_t index, uint32_t level);
/* Its state, behind this entry, is laid out so. */
void version_check(const struct server *s, uint64_t index, struct catalog_schema schema);

/* -- small.c -------------------------------------------------------------------------------------
 */

void small_shape(struct world *w); /* what kind of run it is */
void small_begin(struct world *w);
void small_end(struct world *w);

#endif
