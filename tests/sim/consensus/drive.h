/* drive.h - one simulated run: its tape (tape.c), its faults (faults.c), its phases (phases.c).
 *
 * All that is left to chance comes from streams split off the seed by (domain, place, moment), so
 * that taking one fault out does not move the others (spec/consensus.md 4.2). A run is told by its
 * tape: a seed, what is off, and, once minimised, the few acts that are left.
 */
#ifndef SIM_CONSENSUS_DRIVE_H
#define SIM_CONSENSUS_DRIVE_H

#include <stdio.h>

#include "base/rand.h"
#include "world.h"

enum {
    HISTORY = 64,
    TICK_MS = 10,   /* acts begin at moments of this grid */
    SHRINK_MAX = 8, /* an act whose durations are divided by 2^8 */
    TAPE_EVENTS_MAX = 1 << 16,
};

/* What may be off. The first are acts: they begin at moments; the others colour the whole run.
 * most: the highest rate drawn, in 1/1000 per simulated second; work is always drawn. */
#define DRIVE_ACTS(X) \
    X(crash, 800)     \
    X(cut, 800)       \
    X(pause, 300)     \
    X(clog, 300)      \
    X(swizzle, 100)   \
    X(replay, 5000)   \
    X(stall, 200)     \
    X(health, 200)    \
    X(fail, 50)       \
    X(link, 1000)     \
    X(compact, 1000)  \
    X(wipe, 30)       \
    X(jump, 100)      \
    X(stop, 50)       \
    X(propose, 60000) \
    X(read, 20000)    \
    X(move, 5000) X(change, 6000) X(transfer, 1000) X(forge, 4000) X(rot, 150) X(spoil, 100)
#define DRIVE_COLOURS(X)                                                                       \
    X(loss)                                                                                    \
    X(twice)                                                                                   \
    X(tail)                                                                                    \
    X(disk_tail)                                                                               \
    X(bursts)                                                                                  \
    X(delay)                                                                                   \
    X(clocks)                                                                                  \
    X(sizes)                                                                                   \
    X(fresh)                                                                                   \
    X(snaps) X(leases) X(odd) /* clients and operators ask for what cannot be, and too much */ \
        X(aged)               /* the cluster has a past, its limits are near */                \
        X(lags) X(hectic) X(bulk) X(fetches) X(rare) X(versions) /* kinds.c */

enum drive_class {
#define DRIVE_ENUM(name, ...) DRIVE_##name,
    DRIVE_ACTS(DRIVE_ENUM) DRIVE_ACTS_COUNT,
    DRIVE_BEFORE_COLOURS = DRIVE_ACTS_COUNT - 1,
    DRIVE_COLOURS(DRIVE_ENUM)
#undef DRIVE_ENUM
        DRIVE_CLASSES_COUNT
};

/* These came later; the streams of the others are numbered as if they were not there. */
#define DRIVE_FIRST_LATER DRIVE_forge

enum drive_domain { /* streams */
                    DOMAIN_PLAN,
                    DOMAIN_CLASS,
                    DOMAIN_SIZES,
                    DOMAIN_NODE,
                    DOMAIN_MOMENT,
                    DOMAIN_ACT,
                    DOMAIN_HAPPENS,
                    DOMAIN_RAISE,
                    DOMAIN_HEAL,
                    DOMAIN_BURST,
                    DOMAIN_NET,
                    DOMAIN_TWICE,
                    DOMAIN_DISK,
                    DOMAIN_APPLY,
                    DOMAIN_GOSSIP,
                    DOMAIN_SNAP,
                    DOMAIN_SLOW,
                    DOMAIN_STATE,
                    DOMAIN_PAST,
                    DOMAIN_KINDS,
                    DOMAIN_ORDER,
                    DOMAIN_FETCH,
                    DOMAIN_VERSION,
                    DOMAINS_COUNT
};

/* -- the tape ------------------------------------------------------------------------------ */

struct tape_event {
    uint32_t tick;
    uint8_t act;    /* enum drive_class */
    uint8_t shrink; /* its durations and counts are divided by 2^shrink */
};

struct tape {
    uint64_t seed;
    uint64_t off;   /* bits of classes that never happen */
    uint32_t nodes; /* 0: as drawn */
    uint32_t reserved;
    uint64_t duration_ms;      /* 0: as drawn */
    bool is_listed;            /* only `events` happen */
    struct tape_event *events; /* by tick, then act; TAPE_EVENTS_MAX have room */
    size_t count;
};

struct tape *tape_new(uint64_t seed);
struct tape *tape_copy(const struct tape *t);
void tape_free(struct tape *t);
/* "12345 off loss,cut nodes 3 until 5300 only crash.12,propose.13/2"; false: not of this form. */
bool tape_read(struct tape *t, const char *text);
void tape_print(const struct tape *t, FILE *to);
const char *tape_class_text(size_t class);
/* The number of its streams. */
uint64_t tape_class_stream(size_t class);

/* -- a run --------------------------------------------------------------------------------- */

enum delay_law { DELAY_UNIFORM, DELAY_EXPONENTIAL, DELAY_TWO_MODES, DELAY_LAWS };

/* What kind of run this is. */
struct plan {
    uint32_t rate[DRIVE_CLASSES_COUNT]; /* acts: above; loss.. disk_tail: in 1/1000; 0: off */
    uint32_t delay_ms, disk_ms, apply_ms;
    uint32_t bytes_max, count_max;
    enum delay_law law;
    uint64_t duration_ms;
};

struct drive {
    struct sim_world *w;
    const struct tape *tape;
    struct tape *happened; /* NULL, or where to write down the acts of this run */
    struct mu_rand rand;   /* the stream in use */
    struct plan plan;
    uint32_t tick;
    uint32_t shrink; /* of the act that runs */
    size_t event;    /* the next of a listed tape */
    bool is_calm;
    uint64_t next_content;
    uint64_t restart_at[SIM_NODES_MAX];
    uint64_t heal_at;
    uint64_t clog_until[SIM_NODES_MAX][SIM_NODES_MAX];
    uint64_t stall_until[SIM_NODES_MAX];
    uint64_t late_until;          /* what was under way when all was healed has come by then */
    struct sim_node *misled;      /* is told another number of servers than the rest; NULL: none */
    uint64_t slow_ms;             /* what every write takes, at last; 0: as planned */
    bool is_wiped[SIM_NODES_MAX]; /* and never taken in again: servers do not come and go */
    struct sim_message *history[HISTORY];
    uint32_t history_next;
    uint64_t last_committed; /* by on_result */
    struct {                 /* how many of this domain at this place in this millisecond */
        uint64_t ms;
        uint32_t count;
    } ordinals[DOMAINS_COUNT][SIM_NODES_MAX][SIM_NODES_MAX];
};

/* The stream of a domain: for a place and a moment, or any two numbers. */
struct mu_rand drive_stream(const struct drive *d, enum drive_domain domain, uint64_t a,
                            uint64_t b);
uint64_t drive_below(struct drive *d, uint64_t bound);  /* uniform in [0, bound), `d->rand` */
uint64_t drive_shrunk(struct drive *d, uint64_t bound); /* the same, for durations and counts */

/* Draw what kind of run the tape gives, and its world, all servers down. */
void drive_draw(struct drive *d, const struct tape *tape);
/* What begins at d->tick: faults, and the work of clients. */
void drive_act(struct drive *d);
/* From now on the network and the disks of all servers are as good as they get. */
void drive_calm(struct drive *d);
void drive_await(struct drive *d, uint64_t at); /* nothing rests before */
/* All messages that were kept, however old, arrive once more. */
void drive_replay_all(struct drive *d);

/* -- kinds.c ----------------------------------------------------------------------------------- */

void drive_kinds_draw(struct drive *d);           /* behind the rest of the plan */
size_t drive_bulk(struct drive *d, size_t count); /* proposals instead of so many */
void drive_kinds_world(struct drive *d);          /* before there are servers */
void drive_kinds_options(const struct drive *d, struct consensus_options *o);
/* A message that is under way arrives, besides, with something wrong in it. */
void drive_forge(struct drive *d);
/* How long an order about a snapshot takes, where a write would take `disk_ms`. */
uint64_t drive_order_ms(struct drive *d, struct mu_rand *r, uint64_t disk_ms);
/* Down: which version it is started with, where servers have two. */
void drive_version_draw(struct drive *d, struct sim_node *n);
/* Servers have two, and this one has the older. */
bool drive_version_lags(const struct drive *d, const struct sim_node *n);

/* The world is there: these options are good, and others made of them must be refused. */
void drive_options_wrong(struct drive *d, const struct consensus_options *good);

/* -- harm.c ------------------------------------------------------------------------------------ */

/* A copy is damaged on one server at a time: somebody has to have what it has not. */
void drive_rot(struct drive *d);
void drive_spoil(struct drive *d);
bool drive_is_harmed(const struct drive *d); /* somebody is */
bool drive_is_holed(const struct drive *d);  /* by its log, or its state is not known to be false */
/* Down: in some runs it finds its state damaged when it starts. */
void drive_harm_start(struct drive *d, struct sim_node *n);
/* The operator has seen why no cluster is formed. */
void drive_set_right(struct drive *d);
/* Its state differs from that of the others, whether it knows or not: the next life makes it anew.
 */
bool drive_is_odd(const struct sim_node *n);

/* -- churn.c ------------------------------------------------------------------------------- */

void drive_change(struct drive *d);
void drive_transfer(struct drive *d);
/* Does everything that is or may become a configuration keep a quorum of disks without this one? */
bool drive_may_lose_disk(struct drive *d, const struct sim_node *n);
uint32_t drive_members(struct drive *d); /* bits: of the newest committed configuration */
void drive_bury_removed(struct drive *d, struct sim_node *n);

/* The whole life: faults, then a healed quorum, then everybody (phases.c). */
void drive_live(struct drive *d);
void drive_free(struct drive *d);

/* -- shrink.c ------------------------------------------------------------------------------ */

/* Runs a tape to its end; fails by abort(). `happened`: NULL, or gets the acts. */
typedef void tape_run_fn(const struct tape *t, struct tape *happened);
/* Make of a failing tape a smaller one that fails in the same way, with at most so many runs.
 * False: it does not fail. */
bool tape_shrink(struct tape *t, tape_run_fn *run, unsigned runs_max);

#endif
