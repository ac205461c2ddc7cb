/* world.h - clusters of the shipped gossip core on virtual time and a virtual network.
 *
 * One thread, one clock in microseconds, one seeded generator: the same options and calls give the
 * same run, which world_hash() proves. Nodes live on hosts; a process can crash (its host refuses
 * connections), a host can vanish (silence), a process can pause (the kernel still accepts). Links
 * lose, double, delay and reorder datagrams; streams are reliable and slow down instead. Groups of
 * nodes can be cut from each other, for either kind of traffic, in either direction.
 *
 * After every step of a core gossip__check() and the rules of 18.2 that need a view from outside
 * are asserted: stored incarnations never fall and were issued by their owner, nobody held dead is
 * shown alive at the same number, and the notices about each member come in a legal order.
 */
#ifndef SIM_GOSSIP_WORLD_H
#define SIM_GOSSIP_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rand.h"
#include "gossip/gossip.h"

#define WORLD_GROUPS 16

struct world; /* opaque */

/* How much longer the way from one node to another is, in microseconds. */
typedef uint64_t world_distance_fn(size_t from, size_t to);

struct world_options {
    uint64_t seed;
    struct gossip_profile profile;
    uint32_t latency_us_min, latency_us_max; /* one way */
    world_distance_fn *distance;             /* beside the latency; NULL: all are near */
    double loss, duplicate, reorder;         /* probabilities, per datagram */
    uint32_t reorder_us_max;                 /* how late a reordered one is */
    unsigned copies;                         /* of each datagram, beside the first */
    double replay;        /* an old datagram comes again, a second to two minutes later */
    bool has_icmp;        /* a crashed process's host says so to datagrams */
    bool remembers_all;   /* members of earlier lives are known in later ones, gone or not */
    bool is_checked;      /* the rules of 18.2; costs O(members) a step */
    struct mu_buf *trace; /* "[ms] name: line"; NULL: none */
    /* Steps of nodes that cannot know of each other yet are taken together, by so many threads;
     * what happens is the same. 0: each step in its turn, as with a trace. */
    unsigned threads;
};

enum world_life {
    WORLD_NEVER,
    WORLD_RUNNING,
    WORLD_PAUSED,
    WORLD_CRASHED,
    WORLD_VANISHED,
    WORLD_LEFT
};

struct world *world_new(const struct world_options *options);
void world_free(struct world *w);

/* Nodes are numbered from 0 in the order they were added. */
size_t world_add(struct world *w, const char *name);
/* A second node that claims the name of another; `label` is how the trace calls it. */
size_t world_add_as(struct world *w, const char *label, const char *name);
bool world_find(const struct world *w, const char *label, size_t *node);
size_t world_count(const struct world *w);
const char *world_name(const struct world *w, size_t node);
const char *world_label(const struct world *w, size_t node);
enum world_life world_life(const struct world *w, size_t node);
struct gossip *world_core(const struct world *w, size_t node); /* NULL while it does not run */
struct mu_addr world_addr(const struct world *w, size_t node);

struct world_start {
    bool keep_state;       /* node id, incarnation and known peers of its last life */
    bool move;             /* to a new address */
    const char *as_id;     /* take over the node id of another node; NULL: its own */
    uint64_t seconds_back; /* its clock goes wrong by so much; counts only without a state */
};
void world_start(struct world *w, size_t node, struct world_start how);
/* replays: also what was sent before. */
void world_join(struct world *w, size_t node, size_t to, bool replays);
/* All running nodes, in group 0, know each other from now on and have nothing more to say. */
void world_meet(struct world *w);
/* The same for thousands, at once: all must run, and nobody may know anybody yet. */
void world_acquaint(struct world *w);
void world_crash(struct world *w, size_t node);  /* kill -9 */
void world_vanish(struct world *w, size_t node); /* power or cable */
void world_pause(struct world *w, size_t node, uint64_t ms);
/* What it sends and what comes to it waits so long, connections to its host aside; its time does
 * not. */
void world_clog(struct world *w, size_t node, uint64_t ms);
void world_leave(struct world *w, size_t node);  /* and stop when that is over */
void world_spread(struct world *w, size_t node); /* done: what was said has left it */
void world_force_leave(struct world *w, size_t node, const char *name, bool prune);
void world_tag(struct world *w, size_t node, const char *key, const char *value);
/* Users' traffic; refused by the core's own checks: false. */
bool world_event(struct world *w, size_t node, const char *name, const char *payload,
                 bool coalesce);
bool world_query(struct world *w, size_t node, uint64_t id,
                 const struct gossip_query_params *params);
bool world_respond(struct world *w, size_t node, uint64_t ltime, uint32_t id, const char *payload);
/* Its keyring from now on, also over restarts. NULL: none. */
void world_keys(struct world *w, size_t node, const struct gossip_sealing *sealing);
const struct gossip_keys *world_keys_of(const struct world *w, size_t node);
/* A change of keys through the cluster, asked by this node; replies come as those of a query.
 * False: the core refuses to ask. */
bool world_ask_keys(struct world *w, size_t node, uint64_t id, enum gossip_key_op op,
                    const struct gossip_key *key);
/* Which cluster this node is of, from its next start; all begin in one. */
void world_label_as(struct world *w, size_t node, const char *label);
/* What the predicate of this node refuses: names that begin so; NULL: nothing. */
void world_refuse(struct world *w, size_t node, const char *prefix);

void world_group(struct world *w, size_t node, unsigned group); /* all begin in group 0 */
void world_cut(struct world *w, unsigned from, unsigned to, bool udp, bool tcp);
/* Datagrams and segments towards this node are lost beside what the network loses. */
void world_loss_to(struct world *w, size_t node, double loss);
void world_heal(struct world *w); /* all links, and no more loss, doubles, copies or reordering */
void world_faults(struct world *w, double loss, double duplicate, double reorder);
/* Each datagram arrives so many times more, each time with another delay. */
void world_copies(struct world *w, unsigned more);

uint64_t world_now_ms(const struct world *w);
void world_epoch(struct world *w);            /* printed times count from here */
void world_run(struct world *w, uint64_t ms); /* so much longer */

/* How node sees the member of that name; GOSSIP_STATUS_NONE: not at all. */
enum gossip_status world_sees(const struct world *w, size_t node, const char *name);
/* Does every running node see every running one as alive, and the others as not? With `first`
 * (may be NULL): the first that does not, as a sentence. Islands are judged one by one: nodes of
 * which none knows where any of the others lives cannot find each other. */
bool world_agrees(const struct world *w, struct mu_buf *first);

uint64_t world_hash(const struct world *w); /* of all that happened */

/* A notice or answer to a join, as it happens. */
typedef void world_notice_fn(void *data, size_t node, const struct gossip_notice *notice);
typedef void world_done_fn(void *data, size_t node, const struct gossip_done *done);
/* Everything that came out of a step of that node, before it is carried out. */
typedef void world_heard_fn(void *data, size_t node, const struct gossip_effects *fx);
void world_hear(struct world *w, world_heard_fn *heard, void *data);
/* While something is heard: from which node the datagram or stream came; SIZE_MAX: from none. */
size_t world_source(const struct world *w);
void world_listen(struct world *w, world_notice_fn *notice, world_done_fn *done, void *data);

#endif
