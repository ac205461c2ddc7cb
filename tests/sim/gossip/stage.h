/* stage.h - what scenes have in common: a cluster, and what was seen to go wrong in it. */
#ifndef SIM_GOSSIP_STAGE_H
#define SIM_GOSSIP_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "network.h"

#define STAGE_SPREAD_MS 2000 /* what is told is known to all: ten times the median, with loss */

struct stage_event {  /* a user event, named by its number */
    size_t delivered; /* to so many nodes */
    bool *has;        /* by node */
};

struct stage_heard { /* a query that a node may answer */
    size_t node;
    uint64_t ltime;
    uint32_t id;
};

struct stage {
    struct world *world;
    struct mu_rand rand;
    struct mu_arena arena;
    size_t count;   /* nodes */
    size_t *alarms; /* by node: how often it was declared failed while it ran */
    struct stage_event *events;
    size_t events_count;
    size_t acks, dones; /* of queries */
    size_t large;       /* answers that no datagram takes */
    struct stage_heard *heard;
    size_t heard_count;
    bool is_told; /* what happens is printed at the end */
    struct mu_buf trace;
    bool *is_foreign;   /* by node: of another cluster; NULL: there is none */
    char why[256];      /* empty: all is well so far */
    uint64_t waited_ms; /* the longest that anything was waited for */
};

/* Nodes run and know each other. `profile`: NULL is lan. */
void stage_open(struct stage *s, uint64_t seed, size_t nodes, const struct gossip_profile *profile);
/* Only the world and its nodes: nobody runs yet. */
void stage_open_empty(struct stage *s, uint64_t seed, size_t nodes,
                      const struct gossip_profile *profile);
void stage_close(struct stage *s);

/* The first thing that is not as it should be stays. */
void stage_fail(struct stage *s, const char *fmt, ...) MU_PRINTF(2, 3);
size_t stage_below(struct stage *s, size_t bound);
bool stage_runs(const struct stage *s, size_t node);

/* Time passes until it holds; false, and said: not within so many milliseconds. */
typedef bool stage_fn(const struct stage *s, const void *data);
bool stage_until(struct stage *s, uint64_t ms, stage_fn *holds, const void *data, const char *what);
/* Everybody who runs sees the truth about all. */
void stage_agrees(struct stage *s, uint64_t ms);
/* The same for large clusters, from counts: so many alive and so many failed. */
struct stage_counts {
    size_t alive, failed;
};
bool stage_counts_are(const struct stage *s, const void *counts);
/* Everybody else who runs sees the node with that status. */
struct stage_sight {
    size_t node;
    enum gossip_status status;
};
bool stage_all_see(const struct stage *s, const void *sight);
/* Nobody who ran was declared failed, but for `but` (SIZE_MAX: no exception). */
void stage_no_alarms(struct stage *s, size_t but);

/* An event from that node; its number. */
size_t stage_tell(struct stage *s, size_t node);
/* Did all who run have it? */
bool stage_all_have(const struct stage *s, const void *number);

/* 18.3, rule 1: a crash is known to all after this long. */
uint64_t stage_detection_ms(const struct stage *s, enum gossip__evidence evidence);
/* 18.3, rule 2: two exchanges and the spread. */
uint64_t stage_convergence_ms(const struct stage *s);

/* A datagram with one part, as if `from` had sent it (unsealed), reaches `to` now. */
void stage_forge(struct stage *s, size_t to, size_t from, struct gossip__part *part);
uint64_t stage_counted(const struct stage *s, size_t node, enum gossip_counter counter);

#endif
