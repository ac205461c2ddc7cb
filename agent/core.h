/* core.h - the agent's private struct and what its files share. For agent/ only.
 *
 * Who owns what: the loop thread owns everything here. The apply thread owns the catalog's writer
 * (apply.c), the log thread the log (consensus/). What a file keeps for itself is an opaque struct.
 */
#ifndef AGENT_CORE_H
#define AGENT_CORE_H

#include "agent/agent.h"
#include "agent/metrics.h"
#include "agent/recovery.h"
#include "apply.h"
#include "base/list.h"
#include "base/table.h"
#include "consensus/driver.h"
#include "gossip/driver.h"
#include "rpc.h"
#include "timer.h"

struct beginning;
struct checks;
struct events;
struct log_feed;
struct handlers;
struct watches;
struct execs;
struct ipc;
struct key_changes;
struct persist;
struct reading;
struct restore;
struct rival;
struct scrub;

enum agent_phase {
    AGENT_NEW,
    AGENT_RUNNING,
    AGENT_LEAVING,  /* a graceful leave is under way */
    AGENT_ENDING,   /* the owner was told to stop us */
    AGENT_STOPPING, /* agent_stop() was called */
};

struct agent {
    struct uv_loop_s *loop;
    struct config *config; /* the owner's; only a reload changes it */
    struct agent_owner owner;
    enum agent_phase phase;
    struct mu_rand rand;
    struct timers *timers;
    struct turn *turn;

    /* identity.c: the data directory */
    struct {
        char *dir;
        bool is_temporary;
        int lock_fd; /* -1: none */
        struct mu_id node;
        bool is_node_new;   /* not yet what the directory says: agent__identity_keep() */
        uint64_t boot;      /* drawn at each start */
        bool was_set_aside; /* at this start: aside.h */
        bool was_member;    /* of a cluster whose state was set aside, now or before */
    } data;
    struct mu_addr advertise, advertise_wan; /* chosen; advertise has the serf_lan port */

    /* keyring.c: empty, NULL: everything between agents is in clear */
    struct gossip_keys keys;
    struct mu_tls_context *tls;

    /* parts */
    struct gossip_driver *gossip;
    struct gossip_profile gossip_profile; /* what it goes by */
    struct rpc *rpc;
    struct local *local;
    struct checks *checks;
    struct persist *persist;
    struct timer checks_timer;
    bool is_restoring; /* registrations come from files: they need not be written */
    struct agent_front front;
    bool has_front;

    /* on servers */
    struct consensus_driver *consensus;
    struct apply *apply;
    uint64_t restores;              /* agent_restores() */
    struct catalog_applied applied; /* as last reported by the apply thread, as is: */
    struct catalog_schema schema;
    uint64_t awaited;  /* somebody waits for this index, or did */
    struct timer rest; /* set: entries are held back until it fires */
    struct catalog_reader *reader;
    struct catalog_watch *watch;
    struct catalog_cache *cache;
    struct peers *peers;           /* peers.c: connections to the other servers */
    struct leader *leader;         /* leader.c: what a leader does */
    struct membership *membership; /* membership.c: asks whether it is still one of them */
    struct caretaker *caretaker;   /* caretaker.c: its care for the servers */
    struct sessions *sessions;     /* session.c: their timers, renewals in flight */
    struct roster *roster;         /* roster.c: changes of the configuration */
    struct history *history;       /* history.c: compaction of keys */
    struct requests *requests;     /* request.c, read.c: in flight */
    struct snapshots *snapshots;   /* snapshot.c */
    struct scrub *scrub;           /* scrub.c */
    struct mu_link save_works;     /* save_work.c: threads that make archives */
    struct mu_link served_saves;   /* save_serve.c: archives made for others */
    char *state_path;
    uint32_t wal_bytes;          /* of the state, on a small file system; 0: as ever */
    uint64_t durable_at_start;   /* applied index flushed in the state file when it was opened */
    uint64_t generation;         /* of the state: snapshot_files.h */
    bool lacks_state;            /* rebuild.h: a snapshot has to come */
    bool state_is_copy;          /* copied.h: as it was opened */
    bool has_met_damage;         /* a read has, in this generation: it was told */
    unsigned rebuilds;           /* how often the state was made anew since the start */
    struct read_only *read_only; /* read_only_uv.c; NULL: log and state can be written */

    /* on all */
    struct servers *servers;         /* servers.c: client agents: the server they talk to */
    struct sync *sync;               /* sync.c: anti-entropy */
    struct join *join;               /* join.c: the retry_join loop */
    struct log_feed *log_feed;       /* log_feed.c */
    struct coordinates *coordinates; /* coordinate.c */
    struct discover *discover;       /* discover_uv.c; NULL: off */
    struct events *events;           /* event.c: user events and queries */
    struct watches *watches;         /* watches.c; NULL: none */
    struct mu_link watches_retired;  /* of configurations before, while handlers of theirs run */
    struct execs *execs;             /* exec.c; NULL: turned off */
    struct handlers *handlers;       /* handlers.c: scripts that run on events; NULL: none */
    struct ipc *ipc;                 /* ipc_agent.c: the serf command's port */
    struct sinks *sinks;             /* metrics_sink_uv.c */
    struct user_tags *user_tags;     /* user_tags.c: tags set by users */
    struct key_changes *key_changes; /* keyring_change.c: those under way */
    struct mu_link key_calls;        /* keys.c: asked by this agent */
    struct mu_link surveys;          /* survey.c: the same */
    struct doctor *doctor;           /* doctor_look.c: questions to this agent */
    struct rival *rival;             /* rival.c: another one of our name; NULL: none was met */
    struct restore *restore;         /* restore.c: under way; else NULL */
    struct mu_link recoveries;       /* recover.c: asked for here */
    struct mu_link recover_asks;     /* recover_ask.c: under way */
    struct beginning *beginning;     /* recover_begin.c: under way; else NULL */
    struct recovery_order *order;    /* recover_begin.c: to be carried out once it has stopped */
    struct {                         /* stand_back.c */
        struct timer timer;          /* set: this server stands back from its epoch, */
        struct mu_id driver;         /* for a recovery by this one; or did so last */
        char name[MU_NODE_NAME_MAX + 1];
    } back;
    struct mu_link saves;        /* save.c: archives asked for here */
    struct mu_link uploads;      /* upload.c: archives that come in */
    struct {                     /* reload_uv.c */
        struct reading *reading; /* NULL: none */
        struct mu_link waiting;  /* who asked since it began */
    } reload;

    struct {
        struct mu_sample commit; /* request.c: of what was proposed here */
        struct mu_sample core_queue, intent_queue, event_queue, query_queue; /* of gossip */
        struct timer look;                                                   /* at these */
        struct tally *events, *queries, *scripts;                            /* by name */
    } metrics;

    /* leaving and stopping */
    struct timer leave_timer; /* leave.c */
    bool has_left;            /* the others know: only our own handlers are waited for */
    struct {                  /* member.c: servers of an older epoch, to be told */
        struct mu_addr at[CONSENSUS_PEERS_MAX];
        size_t count;
        struct timer timer; /* until they are */
    } left_behind;
    struct timer end_timer; /* until the owner is told */
    struct {
        struct timer timer; /* the next look at what is held for nobody (memory.c) */
        uint64_t looked_ns; /* processor time used until the last one, */
        uint64_t shrunk_ns; /* and until it was let go of */
    } memory;
    enum agent_end end_how;
    bool has_gossip_started, has_consensus_started; /* only what was started is stopped */
    agent_stopped_fn *stopped;
    void *stopped_data;
    unsigned stops_pending;
};

/* -- identity.c -------------------------------------------------------------------------------- */

/* Data directory, format, lock, node id; choose addresses. */
MU_MUST_CHECK enum mu_code agent__identity_open(struct agent *a, struct mu_err *err);
/* The node id into the directory, once nothing that lies there is of another node. */
MU_MUST_CHECK enum mu_code agent__identity_keep(struct agent *a, struct mu_err *err);
/* MU_UNSUPPORTED: of another version. MU_NOT_FOUND: not of muster, or no directory. */
MU_MUST_CHECK enum mu_code agent__format_check(const char *data_dir, struct mu_err *err);
void agent__identity_log(const struct agent *a);
void agent__identity_close(struct agent *a);                     /* removes a temporary directory */
char *agent__data_path(const struct agent *a, const char *name); /* mu_free() it */

/* -- agent.c ----------------------------------------------------------------------------------- */

/* `next`: a complete state that may count from now on. */
MU_MUST_CHECK enum mu_code
agent__consensus_open(struct agent *a, const struct catalog_applied *next, struct mu_err *err);

/* -- state.c ----------------------------------------------------------------------------------- */

/* State, log, and work on snapshots of both. */
MU_MUST_CHECK enum mu_code agent__state_open(struct agent *a, struct mu_err *err);
/* Another state, of this generation, takes the place of the one there is; `catalog` is given. */
MU_MUST_CHECK enum mu_code agent__state_replace(struct agent *a, struct catalog *catalog,
                                                uint64_t generation, struct mu_err *err);
void agent__state_failed(struct agent *a, const char *why);  /* this server must stop */
void agent__state_bad(struct agent *a, const char *why);     /* and makes it anew */
void agent__state_damaged(struct agent *a, const char *why); /* the same, if others have it */
void agent__state_look(struct agent *a);                     /* did a read of ours meet damage? */
/* Of log or state: counted over restarts; too many keep it down. */
void agent__failure_note(struct agent *a, const char *why);
MU_MUST_CHECK enum mu_code agent__failures_look(struct agent *a, struct mu_err *err);

/* -- read_only_uv.c ---------------------------------------------------------------------------- */

/* Log or state met a read-only file system. Said once; what comes of it, in that file. */
void agent__read_only(struct agent *a, const char *why);
void agent__read_only_close(struct agent *a); /* a look that is under way is left to itself */
uint64_t agent__read_only_ms(const struct agent *a); /* for how long; 0: it is not */

/* -- keyring.c --------------------------------------------------------------------------------- */

/* Behind identity_open. Errors: a keyring file that is none. */
MU_MUST_CHECK enum mu_code agent__keyring_open(struct agent *a, struct mu_err *err);
void agent__keyring_close(struct agent *a);
struct gossip_sealing agent__gossip_sealing(const struct agent *a); /* a view of the ring */
struct rpc_sealing agent__rpc_sealing(const struct agent *a);
bool agent__keyring_keeps(const struct agent *a); /* on disk */
/* Gossip and RPC seal from now on as keys and configuration say. */
void agent__reseal(struct agent *a);
/* These are our keys from now on, for gossip and RPC; there were some before. */
void agent__keyring_adopt(struct agent *a, const struct gossip_keys *keys);

struct agent__key_files { /* how keys are kept; holds them in clear */
    char *ring_path, *state_path;
    struct mu_buf ring, state;
};
void agent__key_files_make(const struct agent *a, const struct gossip_keys *keys,
                           struct agent__key_files *out);
void agent__key_files_deinit(struct agent__key_files *f); /* wiped */
/* Blocks: at start, else on the pool. */
MU_MUST_CHECK enum mu_code agent__key_files_write(const struct agent__key_files *f,
                                                  struct mu_err *err);

/* -- keyring_change.c -------------------------------------------------------------------------- */

void agent__key_changes_open(struct agent *a);
void agent__key_changes_close(struct agent *a); /* one that is being written is left to itself */
/* Somebody asks us to change or tell our keys. False: it asks for something else. */
bool agent__keyring_query(struct agent *a, const struct gossip_query *query);
/* We were away: this is what the keys are now. */
void agent__keyring_told(struct agent *a, const struct gossip_keys *keys);

/* -- key_write_uv.c ---------------------------------------------------------------------------- */

typedef void agent__key_written_fn(void *data, enum mu_code code, const struct mu_err *err);
/* On libuv's pool; the files are given. `written` comes once, never from inside. */
void agent__key_write(struct uv_loop_s *loop, struct agent__key_files *files,
                      agent__key_written_fn *written, void *data);

/* -- keys.c ------------------------------------------------------------------------------------ */

void agent__key_calls_cancel(struct agent *a); /* they are answered now, with what has come */

/* -- member.c ---------------------------------------------------------------------------------- */

struct agent__server { /* a server that gossip knows */
    const char *name;
    struct mu_id node, disk, cluster;
    struct mu_addr rpc; /* address of its RPC port */
    unsigned expect;    /* 1 for bootstrap */
    uint32_t level;     /* of commands that it understands */
    enum gossip_status status;
    struct mu_span version; /* a view, as the name */
    bool is_alive, is_self;
};
MU_MUST_CHECK enum mu_code agent__gossip_start(struct agent *a, struct mu_err *err);
void agent__tags_refresh(struct agent *a); /* after a cluster was formed */
/* The same, for who wants to know. MU_TOO_BIG, MU_CANCELLED. */
MU_MUST_CHECK enum mu_code agent__tags_set(struct agent *a, struct mu_err *err);
typedef void agent__server_fn(void *data, const struct agent__server *server);
void agent__each_server(struct agent *a, agent__server_fn *each, void *data);
bool agent__server_find(struct agent *a, const struct mu_id *node, struct agent__server *out);
struct mu_span agent__tag(const struct mu_pairs *tags, const char *key); /* empty: not there */

/* Somebody waits until this index is applied here: what is held back for a rest must not be. */
void agent__await(struct agent *a, uint64_t index);

/* -- request.c, read.c ------------------------------------------------------------------------- */

void agent__requests_open(struct agent *a);
void agent__requests_close(struct agent *a); /* answers all with MU_CANCELLED */
/* Nothing is applied any more, or soon: answers who waits for that, and, where nobody may take
 * over, for what was proposed here. */
void agent__requests_read_only(struct agent *a);
/* Propose here and only here: what a follower forwarded. */
void agent__propose_here(struct agent *a, struct mu_span command, agent_written_fn *done,
                         void *data);
/* The apply thread came to a.applied: results of proposals, and reads that waited for it. */
void agent__requests_applied(struct agent *a, const struct apply_report *report);
bool agent__requests_has(const struct agent *a,
                         uint64_t ticket); /* somebody waits for its result */
/* The state was replaced: what was committed and not applied here has an outcome nobody knows. */
void agent__requests_restored(struct agent *a);
/* Role or leader changed: what waits for a leader is tried again at once. */
void agent__requests_retry(struct agent *a);
bool agent__leads(const struct agent *a);

/* A write from this agent itself, also on client agents. Held like any other. */
void agent__write(struct agent *a, const struct command *command, agent_written_fn *done,
                  void *data);

/* -- peers.c ----------------------------------------------------------------------------------- */

extern const struct consensus_transport agent__transport; /* self: struct agent */
void agent__peers_open(struct agent *a);
void agent__peers_close(struct agent *a);
void agent__peers_refresh(struct agent *a);           /* gossip changed: addresses, candidates */
struct rpc_link *agent__leader_link(struct agent *a); /* for calls; NULL: nobody to ask now */

/* -- leader.c ---------------------------------------------------------------------------------- */

void agent__leader_open(struct agent *a);
void agent__leader_close(struct agent *a);
void agent__leader_changed(struct agent *a, const struct mu_id *leader, bool is_leader,
                           bool is_ready);
/* Records of nodes were written: those of members are compared with what gossip knows. */
void agent__leader_nodes_changed(struct agent *a, const struct catalog_changes *changes);
void agent__leader_notice(struct agent *a, const struct gossip_notice *notice);
/* The part of a leader in office; on all others nothing is changed. */
struct agent_account;
void agent__leader_explain(struct agent *a, const char *node, struct agent_account *out);
/* Another state took the place of the one there was: the office begins anew with it. */
void agent__leader_restored(struct agent *a);
/* What the leader means to do about nodes; NULL: this server is no leader in office. */
struct reconcile;
struct reconcile *agent__leader_reconcile(struct agent *a);
void agent__leader_soon(struct agent *a); /* something may be due */

/* -- save.c, save_serve.c: archives of the state ----------------------------------------------- */

void agent__saves_open(struct agent *a);
void agent__saves_close(struct agent *a); /* what is under way is answered and given up */
/* Method Save, on a server. */
void agent__save_serve(struct agent *a, struct rpc_request *request, struct mu_span message);
void agent__save_asker_gone(struct rpc_request *request);
void agent__saves_served_close(struct agent *a);

/* -- restore.c, upload.c ----------------------------------------------------------------------- */

void agent__restore_close(struct agent *a); /* what is under way is answered and given up */
void agent__uploads_close(struct agent *a); /* waits for the threads; nobody wants them any more */

/* -- scrub.c: what lies on disk, read again ---------------------------------------------------- */

MU_MUST_CHECK enum mu_code agent__scrub_open(struct agent *a, struct mu_err *err);
void agent__scrub_close(struct agent *a); /* waits for its thread, which gives up */
struct consensus_survey;
void agent__scrub_surveyed(struct agent *a, const struct consensus_survey *survey);

/* -- memory.c: what grows under load, and what the heap holds for nobody ----------------------- */

struct agent__memory {
    const char *name; /* "http_bodies" */
    uint64_t bytes_max;
    struct agent_held held;
};
#define AGENT__MEMORY_PARTS 6
/* Returns how many parts this agent has. */
size_t agent__memory_look(const struct agent *a, struct agent__memory parts[AGENT__MEMORY_PARTS]);

void agent__memory_open(struct agent *a);
void agent__memory_close(struct agent *a);

/* -- history.c --------------------------------------------------------------------------------- */

void agent__history_open(struct agent *a);
void agent__history_close(struct agent *a);
void agent__history_lead(struct agent *a);
void agent__history_rest(struct agent *a);
void agent__history_applied(struct agent *a, const struct catalog_history *now);

/* -- session.c --------------------------------------------------------------------------------- */

void agent__sessions_open(struct agent *a);
void agent__sessions_close(struct agent *a);
void agent__sessions_lead(struct agent *a); /* in office: all have their full time */
void agent__sessions_rest(struct agent *a);
void agent__sessions_changed(struct agent *a, const struct catalog_changes *changes);
void agent__sessions_applied(struct agent *a); /* this server came to a.applied */
size_t agent__sessions_count(const struct agent *a);
/* Renew here and only here. MU_NOT_LEADER, MU_NOT_FOUND. */
MU_MUST_CHECK enum mu_code agent__session_renew_here(struct agent *a, const struct mu_id *id);

/* -- recover.c, recover_serve.c: a cluster that lost its quorum -------------------------------- */

void agent__recover_close(struct agent *a); /* what is under way is answered and given up */
void agent__recover_serve(struct agent *a, struct rpc_request *request, struct mu_span message);
void agent__recover_asker_gone(struct rpc_request *request);

/* -- recover_begin.c: the server that goes on -------------------------------------------------- */

typedef void agent__begun_fn(void *data, enum mu_code code, uint64_t epoch,
                             const struct mu_err *err);
/* `seen`: by whoever wants it, this server's own position first. MU_OK: `done` is called, once, not
 * from inside; if that says MU_OK this agent ends, to start over. Else it was refused at once. */
MU_MUST_CHECK enum mu_code
agent__recover_begin(struct agent *a, const struct recovery_position *seen, size_t seen_count,
                     bool is_forced, agent__begun_fn *done, void *data, struct mu_err *err);
void agent__recover_carry_out(struct agent *a); /* log and state are closed; blocks */

/* -- stand_back.c: a server that a recovery asks ----------------------------------------------- */

/* Of a configuration, added to those that `to` has. In recovery.c, for both who look. */
void agent__recovery_servers(const struct consensus_config *config, struct recovery_position *to);
void agent__recover_position(struct agent *a, struct recovery_position *out, struct mu_id *leader);
#define AGENT__STANDS_BACK_MS 15000U /* several times what a recovery takes */
/* No message of consensus goes out or comes in. */
bool agent__stands_back(const struct agent *a);
/* MU_BUSY: for somebody else already. */
MU_MUST_CHECK enum mu_code agent__stand_back(struct agent *a, const struct mu_id *driver,
                                             const char *name, struct mu_err *err);
void agent__stand_back_end(struct agent *a, const struct mu_id *driver);
/* Others are in a newer epoch. True: we stood back for that, and start over as new. */
bool agent__goes_along(struct agent *a);

/* -- survey.c ---------------------------------------------------------------------------------- */

void agent__surveys_cancel(struct agent *a);

/* -- explain.c --------------------------------------------------------------------------------- */

bool agent__explain_query(struct agent *a, const struct gossip_query *query); /* true: it was one */

/* -- doctor.c: asking all what is wrong -------------------------------------------------------- */

#define AGENT__DOCTOR_QUERY    "_serf_muster-doctor"
#define AGENT__DOCTOR_REACH_MS 1500U /* an answer takes so long when TCP meets nobody */

/* -- doctor_look.c: answering ------------------------------------------------------------------ */

struct agent__verdict { /* on a failed member */
    const char *by;     /* a view; "": not remembered */
    enum gossip_way way;
    uint64_t since_ms; /* for how long */
};
void agent__doctor_open(struct agent *a);
void agent__doctor_close(struct agent *a);
bool agent__doctor_query(struct agent *a, const struct gossip_query *query); /* true: it was one */
void agent__doctor_verdict(const struct agent *a, const char *name, struct agent__verdict *out);
/* What the last round met on the stream port of a member. */
enum gossip_way agent__doctor_way(const struct agent *a, const char *name);

/* -- coordinate.c ------------------------------------------------------------------------------ */

void agent__coordinates_open(struct agent *a);
void agent__coordinates_start(struct agent *a); /* gossip runs */
void agent__coordinates_close(struct agent *a);
void agent__coordinates_lead(struct agent *a);
void agent__coordinates_rest(struct agent *a);

/* -- caretaker.c: the leader's care for the servers -------------------------------------------- */

void agent__caretaker_open(struct agent *a);
void agent__caretaker_close(struct agent *a);
/* This server leads, and its state has everything that was committed before; or it does no more. */
void agent__caretaker_office(struct agent *a, bool is_in_office);
void agent__caretaker_look(struct agent *a); /* gossip changed: look around soon */
/* A change that autopilot wished for is committed. */
void agent__caretaker_changed(struct agent *a, const struct consensus_change *change);

/* -- servers.c: client agents ------------------------------------------------------------------ */

void agent__servers_open(struct agent *a);
void agent__servers_close(struct agent *a);
void agent__servers_refresh(struct agent *a); /* gossip changed */
/* Call a method on the server we keep, and another one when it was certainly not sent. */
struct servers_call;
struct servers_call *agent__servers_call(struct agent *a, enum rpc_method method,
                                         struct mu_span message, bool is_repeatable,
                                         uint64_t timeout_ms, rpc_answer_fn *answer, void *data);
void agent__servers_cancel(struct servers_call *call);
size_t agent__servers_count(const struct agent *a); /* alive ones */

/* -- sync.c ------------------------------------------------------------------------------------ */

void agent__sync_open(struct agent *a);
void agent__sync_close(struct agent *a);
void agent__sync_full(struct agent *a, const char *why); /* soon, and again until it succeeds */
void agent__sync_changed(struct agent *a, enum local_change_kind kind, struct mu_span id);
/* After the next attempt to sync what is out of sync now: `done` (never from inside). */
void agent__sync_then(struct agent *a, agent_done_fn *done, void *data);
/* What the catalog holds of a node, from this server's state: for our own and for clients. */
MU_MUST_CHECK enum mu_code agent__node_state(struct agent *a, const char *node, struct mu_buf *to,
                                             struct mu_err *err);

/* -- join.c ------------------------------------------------------------------------------------ */

void agent__join_open(struct agent *a);
void agent__join_close(struct agent *a);
void agent__join_soon(struct agent *a); /* what stood in the way is gone: try at once */
void agent__join_lost(struct agent *a); /* no server is alive any more: client agents rejoin */
bool agent__is_to_ask(const struct agent *a);  /* none of retry_join was tried yet */
bool agent__has_joined(const struct agent *a); /* somebody took us in, or came to us */
void agent__join_conflict(struct agent *a,
                          const char *text); /* our name or id is held by another */

/* -- rival.c ----------------------------------------------------------------------------------- */

void agent__rival(struct agent *a, const struct gossip_view *other);        /* it claims our name */
bool agent__rival_query(struct agent *a, const struct gossip_query *query); /* false: another */
void agent__rival_close(struct agent *a);

/* -- event.c ----------------------------------------------------------------------------------- */

void agent__events_open(struct agent *a); /* gossip has started */
void agent__events_free(struct agent *a);

/* -- metrics.c ----------------------------------------------------------------------------------
 */

/* How long the queues of gossip are, as Serf looks at them: a timer's, from its start to its end.
 */
#define AGENT__LOOK_MS 30000
void agent__metrics_look(void *agent);

/* -- handlers.c: scripts that run on events ---------------------------------------------------- */

void agent__handlers_open(struct agent *a);
void agent__handlers_reload(struct agent *a); /* the configuration has others now */
void agent__handlers_close(struct agent *a);  /* kills those that run */
/* All that happened is told to them at once, and `done` called when they have run, or after so many
 * milliseconds; never after agent__handlers_close(). Without handlers from within. */
void agent__handlers_settle(struct agent *a, uint64_t ms, void (*done)(void *data), void *data);
void agent__handlers_notice(struct agent *a, const struct gossip_notice *notice);
void agent__handlers_event(struct agent *a, const struct gossip_user_event *event);
void agent__handlers_query(struct agent *a, const struct gossip_query *query);
struct agent__handler_counts { /* of all, since the start */
    uint64_t runs, failed;     /* scripts that ended; those that did badly, or were killed: */
    uint64_t killed;           /* as their time was over */
    uint64_t slow;             /* took longer than a second */
    uint64_t left;             /* ended, but not their children, which held their output */
    uint64_t dropped;          /* events that a full queue had no room for */
};
void agent__handlers_count(const struct agent *a, struct agent__handler_counts *out);
typedef void agent__handler_fn(void *data, const char *type, const char *name, const char *script);
void agent__each_handler(const struct agent *a, agent__handler_fn *each, void *data);

/* -- exec.c: programs that others send ----------------------------------------------------------
 */

void agent__exec_open(struct agent *a);
void agent__exec_close(struct agent *a);
void agent__exec(struct agent *a, struct mu_span payload); /* of the event that asks for it */

/* -- watches.c: the watches of the configuration ----------------------------------------------- */

void agent__watches_open(struct agent *a); /* the front doors open in this turn */
/* Before the configuration changes: handlers that run go on. */
void agent__watches_retire(struct agent *a);
void agent__watches_close(struct agent *a);                     /* kills them */
bool agent__own_http(const struct agent *a, struct mu_buf *to); /* our own URL; false: none */

/* -- ipc_agent.c: the serf command's port ---------------------------------------------------------
 */

#define AGENT_USER_TAGS_MAX 24  /* set through it, but for a `serf agent`, which has no others */
#define AGENT_TAGS_MAX      128 /* more keys, each another, never fit MU_GOSSIP_META_MAX bytes */

/* Gossip has started. MU_IO: a port that was configured is taken. */
MU_MUST_CHECK enum mu_code agent__ipc_open(struct agent *a, struct mu_err *err);
bool agent__ipc_is_open(const struct agent *a);
void agent__ipc_close(struct agent *a, agent_stopped_fn *closed, void *data); /* an open one */
void agent__ipc_free(struct agent *a);                                        /* gossip is gone */
uint64_t agent__ipc_faults(const struct agent *a); /* clients hung up on */
void agent__ipc_traffic(const struct agent *a, uint64_t *accepted, uint64_t *commands);
void agent__ipc_event(struct agent *a, const struct gossip_user_event *event);
void agent__ipc_query(struct agent *a, const struct gossip_query *query);
void agent__ipc_notice(struct agent *a, const struct gossip_notice *notice);
void agent__ipc_flush(struct agent *a); /* what clients would be told later, now */

/* -- metrics_sink_uv.c: figures to statsd and statsite, where they are configured ----------------
 */

void agent__sinks_open(struct agent *a);
void agent__sinks_close(struct agent *a);

/* -- user_tags.c: tags that users give this node -------------------------------------------------
 */

struct ipc_texts;
/* NULL: others have been told; else why not. Once, never from inside. */
typedef void agent__tagged_fn(void *data, const char *error);
void agent__user_tags_open(struct agent *a);
struct mu_pairs agent__user_tags(const struct agent *a);
/* MU_DENIED: a tag of the agent's own; then `done` does not come. */
MU_MUST_CHECK enum mu_code agent__user_tags_change(struct agent *a, const struct mu_pairs *set,
                                                   const struct ipc_texts *remove,
                                                   agent__tagged_fn *done, void *data,
                                                   struct mu_err *err);
void agent__user_tags_reload(struct agent *a);            /* those of the configuration again */
bool agent__user_tags_are_written(const struct agent *a); /* a reload waits */
void agent__user_tags_next(struct agent *a);              /* a reading is over */
void agent__user_tags_cancel(struct agent *a); /* what is asked for is answered: it is over */
void agent__user_tags_free(struct agent *a);   /* gossip is gone */

/* -- serve.c: methods that others call --------------------------------------------------------- */

extern const struct rpc_handler agent__handlers[RPC_METHODS];
void agent__serve_open(struct agent *a);

/* -- registration.c ---------------------------------------------------------------------------- */

MU_MUST_CHECK enum mu_code agent__registration_open(struct agent *a, struct mu_err *err);
/* Definitions from the configuration and the data directory; starts the checks. */
MU_MUST_CHECK enum mu_code agent__registration_restore(struct agent *a, struct mu_err *err);
void agent__registration_changed(struct agent *a, enum local_change_kind kind, struct mu_span id);
void agent__registration_close(struct agent *a);

/* -- reload_uv.c ------------------------------------------------------------------------------- */

void agent__reload_open(struct agent *a);
bool agent__reload_is_reading(const struct agent *a); /* changes of tags wait */
void agent__reload_next(struct agent *a);             /* a change of tags is over */
void agent__reload_close(struct agent *a);            /* who waits is answered with MU_CANCELLED */

/* -- membership.c ----------------------------------------------------------------------------- */

void agent__membership_open(struct agent *a); /* consensus has started */
void agent__membership_close(struct agent *a);

/* Gossip's times from the configuration as it is by now. */
void agent__gossip_retime(struct agent *a);

/* -- leave.c ----------------------------------------------------------------------------------- */

/* This server is no member any more. */
void agent__removed(struct agent *a, const char *why);

/* -- agent.c ----------------------------------------------------------------------------------- */

void agent__end(struct agent *a, enum agent_end how); /* tell the owner, once */
void agent__later(struct agent *a, agent_done_fn *done, void *data, enum mu_code code,
                  const char *text); /* answer from a later turn */

#endif
