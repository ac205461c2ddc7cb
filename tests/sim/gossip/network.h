/* network.h - inside the simulator: what is to happen, and the streams. */
#ifndef SIM_GOSSIP_NETWORK_H
#define SIM_GOSSIP_NETWORK_H

#include "base/list.h"
#include "base/table.h"
#include "core.h"
#include "world.h"

enum sim_kind {
    SIM_PACKET,
    SIM_SEND_FAILED,
    SIM_WAKE,
    SIM_RESUME,
    SIM_STREAM,  /* `stream_kind` for one end of a connection */
    SIM_CONNECT, /* a connection attempt reaches the other host */
};

struct sim_event {
    uint64_t at_us, order; /* by sim_pop() */
    enum sim_kind kind;
    uint32_t node, life; /* whom it is for; nothing happens to a later life of that node */
    struct mu_addr addr;
    uint8_t *data;
    size_t bytes;
    uint64_t mark; /* WAKE: generation; STREAM, CONNECT: connection */
    unsigned tries;
    /* STREAM: which end it is for, its place in the order of that end (0: none), and what */
    unsigned side;
    uint64_t seq;
    enum gossip_event_kind stream_kind;
    enum gossip_end end;
};

/* What is to happen, ordered by time and then by when that was decided; `at` is a place among the
 * events. */
struct sim_due {
    uint64_t at_us, order;
    uint32_t at;
};

struct sim_heap {
    struct sim_due *items;
    size_t count, room;
};

struct sim_wake { /* of a node */
    uint64_t at_us, order;
    uint32_t prev, next; /* in the list of its millisecond: nodes, plus one; 0: none */
    bool is_set;
};

#define SIM_WHEEL 1024 /* milliseconds: who has others probes one of them more often */

struct sim_wheel {
    struct sim_wake *of; /* by node, plus one */
    uint32_t first[SIM_WHEEL], last[SIM_WHEEL];
    uint64_t taken[SIM_WHEEL / 64]; /* slots with a list */
    size_t count;
};

struct sim_end { /* one end of a connection */
    uint32_t node, life, id;
    bool is_open;             /* its core knows of it and expects to hear more */
    uint64_t sent, delivered; /* segments towards it: they arrive in order */
};

struct sim_connection {
    uint64_t id;
    struct sim_end ends[2]; /* 0 opened it */
};

struct sim_node {
    /* What every event looks at. */
    struct gossip *core;
    struct world *world;
    enum world_life life_kind;
    uint32_t life;  /* counts up with each start */
    uint32_t host;  /* number of its address */
    uint32_t turns; /* of it, that ahead.c knows of */
    unsigned group;
    double loss_to;
    uint64_t clogged_us; /* its messages wait until then */
    uint64_t wake_mark;
    uint64_t incarnation;
    uint64_t issued_max; /* highest incarnation it ever had */
    /* The rest. */
    char name[MU_NODE_NAME_MAX + 1], label[MU_NODE_NAME_MAX + 1];
    bool is_double; /* its name is another's too: who issued an incarnation is not to be told */
    uint64_t started_us, resume_us;
    uint32_t accepted_id;
    bool is_leaving;
    char refuse[MU_NODE_NAME_MAX + 1];
    char cluster[MU_NODE_NAME_MAX + 1]; /* its label */
    struct gossip_keys keys;
    struct gossip_sealing sealing; /* its keys are `keys` */
    struct sim_event *held;        /* while paused */
    size_t held_count, held_room;
    /* its disk */
    struct mu_id node_id;
    uint64_t member_time, event_time, query_time;
    struct gossip_known *known;
    size_t known_count, known_before; /* before: of earlier lives, while a life is added */
    /* the outside view: name -> struct sim_record */
    struct mu_table *records;
};

struct sim_ahead; /* ahead.c */

struct world {
    struct world_options options;
    struct sim_ahead *ahead; /* NULL: each step in its turn */
    struct mu_rand rand;
    uint64_t now_us, order;
    struct sim_heap dues;
    /* Wakes apart: nearly every step of a node moves its one, and few of them ever come. */
    struct sim_wheel wakes;
    struct sim_event *events; /* those due, and free places */
    size_t events_room;
    uint32_t *events_free; /* places */
    size_t events_free_count;
    struct sim_node **nodes;
    size_t nodes_count;
    uint32_t *name_hashes; /* by node */
    uint32_t *hosts;       /* host number -> node */
    size_t hosts_count;
    struct mu_table *names;
    struct gossip_cards *cards; /* what members say of themselves, once for all nodes */
    struct mu_table *connections;
    uint64_t connection_id;
    uint8_t cut[WORLD_GROUPS][WORLD_GROUPS]; /* bit 1 datagrams, bit 2 streams */
    uint64_t hash;
    uint64_t epoch_ms; /* of printed times */
    world_notice_fn *notice;
    world_done_fn *done;
    void *listener;
    world_heard_fn *heard;
    void *hearer;
    size_t source; /* of the event being handled; SIZE_MAX: no node, or: */
    const struct mu_addr *packet_from;
};

#define SIM_CUT_UDP 1
#define SIM_CUT_TCP 2

void sim_push(struct world *w, struct sim_event e);
/* The one wake of a node, instead of an earlier one; or none. */
void sim_wake_at(struct world *w, uint32_t node, uint64_t at_us);
void sim_wake_never(struct world *w, uint32_t node);
void sim_wake_room(struct world *w, size_t node); /* one more node */
bool sim_pop(struct world *w, uint64_t until_us, struct sim_event *out);
void sim_events_free(struct world *w);
struct mu_addr sim_addr(uint32_t host);
struct sim_node *sim_node_at(const struct world *w,
                             const struct mu_addr *addr); /* NULL: no such host */
uint32_t sim_at_host(const struct world *w,
                     const struct mu_addr *addr); /* its number, or of who
                                                      moved on; or UINT32_MAX */
bool sim_link_ok(const struct world *w, const struct sim_node *from, const struct sim_node *to,
                 uint8_t bit);

/* keys.c: what a step says of keys, done when the step is over */
#define SIM_KEY_QUERIES_MAX 8

struct sim_key_work {
    struct {
        struct gossip_key_query query;
        uint8_t key[GOSSIP_KEY_BYTES_MAX];
        uint32_t id;
    } queries[SIM_KEY_QUERIES_MAX];
    size_t count;
    struct gossip_keys told;
    bool is_told;
};

void sim_keys_gather(const struct gossip_effects *fx, struct sim_key_work *out);
void sim_keys_do(struct world *w, struct sim_node *n, struct sim_key_work *work);

void sim_datagram(struct world *w, struct sim_node *from, const struct gossip_send *send);
void sim_stream_op(struct world *w, struct sim_node *from, const struct gossip_stream_op *op);
void sim_connect(struct world *w, struct sim_event *e);
void sim_streams_cut(struct world *w, struct sim_node *node, bool tell_peers);
/* Is the stream event still meant for anybody? Fills in what the core is told. */
bool sim_stream_event(struct world *w, const struct sim_event *e, struct gossip_event *out);
/* Would it be, were it its turn, and what would the core be told? Nothing happens yet. */
bool sim_stream_will(const struct world *w, const struct sim_event *e, struct gossip_event *out);

/* When a core wants to be woken, in the time of the world. */
uint64_t sim_wake_us(const struct gossip_effects *fx, uint64_t now_us);

/* One step of a core, at that time. */
void sim_step(struct gossip *g, struct gossip_event *ev, uint64_t at_us,
              struct gossip_effects *out);
/* One step of a core now, and what comes of it. */
void sim_feed(struct world *w, struct sim_node *n, struct gossip_event *ev);
/* What a packet, a failure to send or a wake is to the core. */
struct gossip_event sim_event_for(const struct sim_event *e);
/* It is time for this event. `ahead`: what came of the core's step, if that was taken before. */
void sim_turn(struct world *w, struct sim_event *e, const struct gossip_effects *ahead);

/* ahead.c: steps before their turn */
struct sim_ahead *sim_ahead_new(struct world *w, unsigned threads);
void sim_ahead_free(struct sim_ahead *a); /* NULL is fine */
void sim_ahead_run(struct sim_ahead *a, uint64_t until_us);

/* fetch.c: what these steps will look at, into the cache. Nobody else may work on these cores. */
struct sim_step {
    const struct gossip *core;
    const uint8_t *data; /* of a packet; NULL: there is none */
    bool is_wake;
    uint32_t name_hash; /* of who sent the packet; 0: nobody we know */
};

void sim_fetch(const struct sim_step *steps, size_t count);

void sim_check(struct world *w, struct sim_node *n);
void sim_check_notice(struct world *w, struct sim_node *n, const struct gossip_notice *notice);
void sim_records_free(struct sim_node *n);
void sim_hash(struct world *w, const void *data, size_t bytes);

#endif
