/* world.h - servers of the shipped consensus cores in one process, on virtual time, network, disks.
 *
 * The world carries what a driver carries: it feeds events, takes writes to a disk that loses what
 * was not flushed, sends messages that may be lost, repeated and overtaken, and applies entries.
 * How long everything takes and what goes wrong is decided by `policy`: constants for scripts, a
 * seeded generator for the simulator. checks.c looks at every step.
 *
 * Failures print the broken invariant and abort; the owner says how to repeat the run.
 */
#ifndef SIM_CONSENSUS_WORLD_H
#define SIM_CONSENSUS_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "consensus/bootstrap.h"
#include "core.h"

#define U(v) (unsigned long long)(v) /* for printing */

#define SIM_NODES_MAX 8
#define SIM_LOST      UINT64_MAX
#define SIM_NEVER     UINT64_MAX

/* In the content of a command: its kind came with the second version of the servers. */
#define SIM_NEW_KIND  (UINT64_C(1) << 50)
#define SIM_LEVEL_NEW 2U

/* -- what is stored and sent --------------------------------------------------------------- */

struct sim_entry {
    uint64_t term;
    uint64_t content; /* a number that stands for the payload; configurations: place in the table */
    uint32_t bytes;
    enum consensus_entry_kind kind;
};

struct sim_log { /* entries base + 1 .. last */
    struct sim_entry *at;
    size_t room;
    uint64_t base, base_term, last;
    uint64_t config, config_index; /* the newest one up to the base: its place in the table, its
                                      entry; 0: there is none */
};

struct sim_state {
    uint64_t index, term; /* applied */
    uint64_t hash;        /* of everything applied up to there, in order */
};

struct sim_disk {
    struct mu_id id;
    struct consensus_hard hard;
    struct sim_log log;
    struct consensus_bootstrap_record record;
    struct sim_state state; /* by the state file, after a crash */
    struct sim_state next;  /* imported, complete, not the state yet; index 0: none */
    struct consensus_snap part;
    uint64_t part_flushed;            /* bytes of it that a crash leaves */
    bool is_spoiled;                  /* the state is not what was applied */
    bool lacks_state;                 /* it was lost, and none was installed since */
    bool is_copy;                     /* it was installed, and not proven since */
    uint64_t floor_index, floor_term; /* the log once ended there (spec 2.16); 0: it is whole */
    uint32_t level_said;              /* the highest that it told a leader it understands */
    uint64_t boots;
};

enum sim_write_kind { SIM_WRITE, SIM_RECORD, SIM_ADOPT, SIM_JOIN };

struct sim_write {
    enum sim_write_kind kind;
    struct consensus_write write;             /* SIM_WRITE */
    uint64_t config, config_index;            /* SIM_WRITE that resets */
    struct sim_entry *entries;                /* SIM_WRITE: first .. last */
    struct consensus_bootstrap_record record; /* SIM_RECORD, SIM_ADOPT; SIM_JOIN: cluster */
};

struct sim_message {
    uint64_t number; /* in order of sending */
    uint64_t at;
    uint32_t from, to;
    bool is_bootstrap;
    uint32_t forgery;         /* forge.c: what was put wrong on its way; 0: nothing */
    struct consensus_msg msg; /* entries: NULL, see below */
    struct consensus_bootstrap_msg boot;
    struct sim_entry *entries;
    struct consensus_config *config; /* of an offer */
};

/* -- a server ------------------------------------------------------------------------------ */

struct sim_slot { /* of the entry pool; handle = place + 1 */
    uint64_t content;
    uint32_t bytes;
    bool is_used;
};

struct sim_node {
    char name[8];
    uint32_t place;
    struct mu_id id;
    uint32_t expect;
    uint32_t level_max; /* of the version that it is started with, or runs */
    struct sim_disk disk;
    struct sim_disk lost; /* what it had before it was wiped */

    /* while it runs */
    bool is_up;
    bool ran_before;        /* in its cluster, when it was started */
    uint32_t life;          /* changes with every start: what was under way before is void */
    struct consensus *core; /* NULL while fresh */
    struct consensus_bootstrap *boot;
    uint64_t core_wake, boot_wake; /* in its own time */
    uint64_t paused_until;
    bool is_stopped;
    const char *dead;

    struct sim_slot *pool;
    size_t pool_room, pool_used;

    struct sim_write *queue;
    size_t queue_count, queue_room;
    size_t batch;       /* how many of them are being flushed */
    bool holds_disk;    /* scripts: nothing completes by itself */
    bool is_read_only;  /* its disk: nothing completes until it has started again */
    uint64_t commit_to; /* from the effects */
    bool may_persist_late;
    uint64_t unsaid_seq, unsaid_at; /* durable, and its core has not heard of it; 0: nothing */
    uint64_t applied, durable_applied, state_bytes;
    struct sim_state state; /* in memory: state.index is `applied` */
    bool is_applying, holds_apply;

    /* snapshots: orders are carried out one after the other */
    struct consensus_snap_order *orders;
    size_t orders_count, orders_room;
    bool is_ordered, holds_orders;
    struct consensus_snap export; /* bytes 0: none */
    struct sim_state export_state;
    uint64_t part_written;
    uint64_t writes_seen; /* since the world began */
    bool gossip_stale;    /* its view of the others is to be refreshed */

    /* its clock: local = offset + true * rate / 1000 */
    uint64_t clock_offset, clock_rate;

    /* what was last seen of it, for the checks */
    struct consensus_status seen;
    struct consensus_hard seen_hard;
    bool was_seen;
};

#define SIM_SUM_EVERY 4 /* entries: CONSENSUS_SUM_EVERY */

/* -- the world ----------------------------------------------------------------------------- */

struct sim_world;

struct sim_policy {
    void *data;
    /* ms until a message arrives, or SIM_LOST */
    uint64_t (*net_ms)(void *data, const struct sim_message *m);
    bool (*net_twice)(void *data, const struct sim_message *m);
    uint64_t (*disk_ms)(void *data, uint32_t node);
    uint64_t (*apply_ms)(void *data, uint32_t node);
    uint64_t (*gossip_ms)(void *data, uint32_t node);
    /* does this order fail? NULL: never */
    bool (*snap_fails)(void *data, uint32_t node, enum consensus_snap_order_kind kind);
    uint64_t (*order_ms)(void *data, uint32_t node); /* NULL: as the disk */
    /* are the entries that it reads back damaged? NULL: never */
    bool (*fetch_fails)(void *data, uint32_t node);
};

enum sim_item_kind {
    SIM_DELIVER,
    SIM_PERSISTED,
    SIM_APPLY,
    SIM_FETCH,
    SIM_GOSSIP,
    SIM_COMPACT,
    SIM_ORDER
};

struct sim_item {
    uint64_t at, number;
    enum sim_item_kind kind;
    uint32_t node, life;
    struct sim_message *message;  /* SIM_DELIVER */
    struct consensus_fetch fetch; /* SIM_FETCH */
    uint64_t compact_to;          /* SIM_COMPACT */
};

enum sim_ticket_kind { SIM_PROPOSAL, SIM_READ, SIM_CHANGE, SIM_TRANSFER };

struct sim_ticket {
    uint32_t node, life;
    enum sim_ticket_kind kind;
    bool is_open;
    uint64_t content;
    uint64_t floor; /* a read may not be answered from an index below this */
};

struct sim_checks; /* checks.c */

/* What a script wants to see; also called while the simulator prints a failed run. */
typedef void sim_line_fn(void *data, const char *line);

struct sim_world {
    struct consensus_options options; /* server and disk are set per node */
    uint32_t retry_ms, patience_ms;
    struct sim_policy policy;
    uint64_t now;
    uint64_t seed;
    uint64_t steps;
    uint64_t still; /* of them since time moved */
    uint64_t hash;  /* over everything that came out of the cores, in order */

    struct sim_node nodes[SIM_NODES_MAX];
    uint32_t nodes_count;
    bool is_cut[SIM_NODES_MAX][SIM_NODES_MAX]; /* [from][to] */

    struct sim_item *items; /* heap by (at, number) */
    size_t items_count, items_room;
    uint64_t numbers;

    bool holds_net; /* scripts: messages wait in `held` */
    struct sim_message **held;
    size_t held_count, held_room;

    struct sim_ticket *tickets;
    size_t tickets_count, tickets_room;
    struct consensus_config *configs; /* contents of configuration entries */
    size_t configs_count, configs_room;

    struct sim_checks *checks;
    struct shadow *shadow; /* shadow.h; NULL: nobody judges, as in scripts that invent messages */
    sim_line_fn *line;     /* NULL: nobody listens */
    void *line_data;
    bool has_state;       /* the owner has one, and says its sums itself */
    bool is_hushed;       /* what is durable is told as late as the cores allow, as real ones do */
    bool boots_quietly;   /* servers that begin again may have forgotten promises, as real ones */
    bool awaits;          /* what is proposed from now on is waited for at another server */
    bool repeats_answers; /* about snapshots, when nobody waits for them any more */
    bool is_lazy;         /* states become durable late */
    bool has_liars; /* clocks break what leases assume: reads by lease may be stale, nothing else */
    bool is_aged;   /* aged.c: what is formed has a past */
    uint64_t ghosts_until; /* aged.c: they are in sight for so long */
    bool frees_space;      /* what is proposed from now on does */
    bool mixes_kinds;      /* every third of it is of the new kind */
    bool is_forged;        /* what is being received, nobody has sent */
    bool shows_messages;
    enum mu_log_level shows_level;
    void (*on_result)(void *data, struct sim_node *n, const struct consensus_result *r);
    void *on_result_data;
};

/* options: sizes and times; policy: copied. */
struct sim_world *sim_world_new(const struct consensus_options *options,
                                const struct sim_policy *policy, uint64_t seed);
void sim_world_free(struct sim_world *w);

/* A server, down, with an empty disk. Its id begins with its place, so that ids order by name. */
struct sim_node *sim_node_add(struct sim_world *w, const char *name, uint32_t expect);
/* As if the bootstrap of all nodes were done: index 1 on every disk. */
void sim_world_form(struct sim_world *w);
/* Stays down when its version is older than what is on its disk. */
void sim_node_start(struct sim_world *w, struct sim_node *n);
/* kept: how many of the writes not yet flushed reach the disk nevertheless. */
void sim_node_crash(struct sim_world *w, struct sim_node *n, size_t kept);
/* Down: its log is damaged behind what the state has, as a journal opens such a one. */
/* Its state is damaged, and so there is none any more; its log is whole. */
void sim_node_lose_state(struct sim_world *w, struct sim_node *n);
void sim_node_rot(struct sim_world *w, struct sim_node *n);
void sim_node_wipe(struct sim_world *w, struct sim_node *n); /* down: a new, empty disk */
void sim_node_pause(struct sim_world *w, struct sim_node *n, uint64_t ms);
struct sim_node *sim_node_find(struct sim_world *w, const char *name);

/* Run everything that is due up to `until`. Next event at, or SIM_NEVER. */
uint64_t sim_next_at(const struct sim_world *w);
void sim_run_one(struct sim_world *w); /* the next event */
void sim_run_until(struct sim_world *w, uint64_t until);

uint64_t sim_propose(struct sim_world *w, struct sim_node *n, size_t count, uint64_t content,
                     uint32_t bytes);
uint64_t sim_read(struct sim_world *w, struct sim_node *n);
uint64_t sim_change(struct sim_world *w, struct sim_node *n, const struct consensus_change *what);
uint64_t sim_transfer(struct sim_world *w, struct sim_node *n, const struct mu_id *target);
void sim_store(struct sim_world *w, struct sim_node *n, enum consensus_health health);
void sim_stop(struct sim_world *w, struct sim_node *n);
void sim_link(struct sim_world *w, struct sim_node *n, struct sim_node *peer,
              enum consensus_link link);
void sim_compact(struct sim_world *w, struct sim_node *n, uint64_t index);
void sim_campaign(struct sim_world *w, struct sim_node *n);   /* its election timer fires now */
void sim_candidates(struct sim_world *w, struct sim_node *n); /* gossip's view, as it is now */
void sim_gossip_changed(struct sim_world *w); /* all views follow, each in its time */

/* Scripts: the disk and apply by hand. */
void sim_persist(struct sim_world *w, struct sim_node *n, size_t count);
void sim_apply(struct sim_world *w, struct sim_node *n, uint64_t upto);

struct sim_node *sim_leader(struct sim_world *w); /* of the highest term; NULL: none */
uint64_t sim_local(const struct sim_node *n, uint64_t true_ms);
const struct sim_entry *sim_log_at(const struct sim_log *log, uint64_t index); /* NULL: not there */
uint64_t sim_log_term(const struct sim_log *log, uint64_t index); /* 0: not there; the base's is */

/* -- net.c --------------------------------------------------------------------------------- */

void sim_net_send(struct sim_world *w, struct sim_node *from, const struct consensus_msg *m);
void sim_net_send_boot(struct sim_world *w, struct sim_node *from,
                       const struct consensus_bootstrap_msg *m);
void sim_net_deliver(struct sim_world *w, struct sim_message *m); /* and free it */
struct sim_message *sim_message_copy(struct sim_world *w, const struct sim_message *m);
void sim_message_free(struct sim_message *m);
void sim_net_schedule(struct sim_world *w, struct sim_message *m, uint64_t in_ms);
void sim_hold(struct sim_world *w, struct sim_message *m);
/* The message becomes an event of its receiver, with handles from its pool. */
void sim_receive(struct sim_world *w, struct sim_node *n, const struct sim_message *m);

void sim_item_push(struct sim_world *w, struct sim_item item);

/* What is durable and was not said yet, is said now. */
void sim_tell(struct sim_world *w, struct sim_node *n);
/* Feed one event to the core of n and carry out the effects, until nothing waits. */
void sim_feed(struct sim_world *w, struct sim_node *n, struct consensus_event *ev);
void sim_feed_boot(struct sim_world *w, struct sim_node *n, struct consensus_bootstrap_event *ev);
void sim_disk_apply(struct sim_world *w, struct sim_node *n, const struct sim_write *x);
void sim_queue_pop(struct sim_node *n, size_t count);
uint64_t sim_first_applied(const struct sim_node *n); /* what its core begins with */
void sim_core_start(struct sim_world *w, struct sim_node *n, bool campaigns); /* from its disk */
uint32_t sim_pool_take(struct sim_node *n, uint64_t content, uint32_t bytes);
uint64_t sim_config_content(struct sim_world *w, const struct consensus_config *config);

/* -- forge.c -------------------------------------------------------------------------------- */

/* Something that can be put wrong in this message; luck: any number. For sim_message.forgery. */
uint32_t sim_forgery_for(const struct sim_message *m, uint64_t luck);
/* The same, all that can be put wrong being equally likely. */
uint32_t sim_forgery_even(const struct sim_message *m, uint64_t luck);
/* Is there something wrong with it for this one, whose core runs? */
bool sim_forgery_is_one(const struct sim_node *n, const struct sim_message *m);
/* Its core is to refuse m, which is put wrong now. */
void sim_receive_forged(struct sim_world *w, struct sim_node *n, uint32_t forgery,
                        struct consensus_msg *m, struct consensus_entry *entries);
void sim_forge_boot(struct consensus_bootstrap_msg *m, uint32_t forgery);

/* -- aged.c --------------------------------------------------------------------------------- */

#define SIM_GHOSTS_MAX 12

void sim_age(struct consensus_config *config); /* a cluster's first one */
size_t sim_ghosts_in_sight(uint32_t expect, struct consensus_bootstrap_candidate *to);

/* -- snap.c -------------------------------------------------------------------------------- */

void sim_orders_take(struct sim_world *w, struct sim_node *n, const struct consensus_effects *fx);
void sim_order_run(struct sim_world *w, struct sim_node *n, bool fails); /* the first one */
/* An export's bytes leave: false if it is not that one any more. */
bool sim_chunk_is_there(const struct sim_node *n, const struct consensus_msg *m);
/* At a start: whatever a crash left of an install is completed or dropped. */
void sim_install_recover(struct sim_world *w, struct sim_node *n);
void sim_state_apply(struct sim_state *s, uint64_t index, const struct sim_entry *e);

/* -- versions.c ------------------------------------------------------------------------------ */

uint32_t sim_level_of(uint64_t content);
uint32_t sim_disk_level(const struct sim_world *w, const struct sim_node *n); /* 0: none yet */
void sim_level_said(struct sim_node *n, uint32_t level); /* by it, or on its behalf */
bool sim_version_fits(const struct sim_world *w, const struct sim_node *n);
void sim_check_level_applied(struct sim_world *w, const struct sim_node *n, uint64_t index,
                             const struct sim_entry *e);
void sim_check_outdated(struct sim_world *w, const struct sim_node *n); /* it has just died of it */
void sim_check_level_refused(struct sim_world *w, const struct sim_node *n,
                             const struct sim_ticket *t);

/* -- text.c -------------------------------------------------------------------------------- */

const char *sim_name_of(const struct sim_world *w, const struct mu_id *id);
void sim_say(struct sim_world *w, const struct sim_node *n, const char *fmt, ...) MU_PRINTF(3, 4);
void sim_say_notice(struct sim_world *w, const struct sim_node *n,
                    const struct consensus_notice *x);
void sim_say_boot_notice(struct sim_world *w, const struct sim_node *n,
                         const struct consensus_bootstrap_notice *x);
/* "append_req term 2, prev 3/1, 2 entries, commit 3" */
void sim_message_text(const struct sim_world *w, const struct sim_message *m, char *to,
                      size_t bytes);
const char *sim_kind_text(const struct sim_message *m);
const char *sim_outcome_text(const struct consensus_result *r);

/* -- judge.c ------------------------------------------------------------------------------- */

struct shadow *sim_shadow_new(const struct sim_world *w);
void sim_shadow_started(struct sim_world *w, struct sim_node *n); /* the core was loaded */
/* After a step of the core of n, before its effects are carried out. */
void sim_shadow_step(struct sim_world *w, struct sim_node *n, const struct consensus_event *ev,
                     const struct consensus_effects *fx);

/* -- marks.c ------------------------------------------------------------------------------- */

/* After a step of the core of n, while n->seen is still what was before it. */
void sim_mark_step(const struct sim_world *w, const struct sim_node *n,
                   const struct consensus_effects *fx);
/* What no run of this process has reached; all counts when told to. How many marks were missed. */
unsigned sim_marks_print(bool is_told);

/* -- checks.c ------------------------------------------------------------------------------ */

struct sim_checks *sim_checks_new(void);
void sim_checks_free(struct sim_checks *k);
_Noreturn void sim_fail(struct sim_world *w, const char *fmt, ...) MU_PRINTF(2, 3);
/* After a step of the core of n, before its effects are carried out. */
void sim_check_step(struct sim_world *w, struct sim_node *n, const struct consensus_effects *fx);
void sim_check_pool(struct sim_world *w, struct sim_node *n);    /* behind a step */
void sim_check_started(struct sim_world *w, struct sim_node *n); /* the core was loaded */
void sim_check_durable(struct sim_world *w, struct sim_node *n, uint64_t first);
void sim_check_applied(struct sim_world *w, struct sim_node *n, uint64_t index,
                       const struct sim_entry *e);
/* Its state and, when its log was reset, its configuration are those of all others at that index.
 */
void sim_check_state(struct sim_world *w, const struct sim_node *n, const struct sim_state *s);
void sim_check_reset(struct sim_world *w, const struct sim_node *n);
void sim_check_result(struct sim_world *w, struct sim_node *n, const struct consensus_result *r);
uint64_t sim_check_read_floor(const struct sim_world *w);
/* Everything that was acknowledged is in the log of n, applied. */
void sim_check_kept(struct sim_world *w, struct sim_node *n);
uint64_t sim_check_committed(const struct sim_world *w); /* highest index seen committed */
/* The newest configuration that was; NULL: none. A view until the next step. */
const struct consensus_config *sim_check_config(const struct sim_world *w);
uint64_t sim_check_acknowledged(const struct sim_world *w); /* how many proposals */
uint64_t sim_check_leaders(const struct sim_world *w);      /* how many terms had one */

#endif
