/* bootstrap.h - who forms the first cluster: a unanimous, durable promise over the set that gossip
 * shows (spec/consensus.md 2.10). A step function like the core, used while a server is fresh, and
 * afterwards only to answer those that ask what became of their promise.
 *
 *   lowest id            others of S
 *     | -- PING ----------> |   who answers is reachable
 *     | (promises itself)   |
 *     | -- PROMISE(S,u) --> |   durable before the answer
 *     | <-- PROMISED ------ |
 *     | (adopts: writes index 1 with cluster u)
 *     | -- ADOPT(u) ------> |   adopts likewise
 *
 * The coordinator's adoption is the decision. Without one there is none: a coordinator that knows
 * neither promise nor adoption of u answers ABORT (presumed abort), and everybody in S that has
 * adopted u answers ADOPT. The set travels in PROMISE and lies in each member's durable record.
 *
 * Thread, time, memory, errors: as in consensus.h. Effects die at the next step.
 */
#ifndef CONSENSUS_BOOTSTRAP_H
#define CONSENSUS_BOOTSTRAP_H

#include "consensus/consensus.h"

struct consensus_bootstrap_member {
    struct mu_id server, disk;
};

/* Exactly the servers of index 1, by id ascending. */
struct consensus_bootstrap_set {
    uint32_t count;
    struct consensus_bootstrap_member members[CONSENSUS_VOTERS_MAX];
};

/* What must survive a restart of a fresh server; kept by the store as opaque bytes, replaced as a
 * whole, atomically. Once the log has a cluster, another one here is a promise that was broken. */
struct consensus_bootstrap_record {
    bool is_promised;
    struct mu_id cluster;     /* promised to this uuid */
    struct mu_id coordinator; /* who decides: one of the set, perhaps this server */
    struct consensus_bootstrap_set set;
};
#define BOOTSTRAP_RECORD_BYTES_MAX (48 + CONSENSUS_VOTERS_MAX * 32)
size_t consensus_bootstrap_record_encode(const struct consensus_bootstrap_record *r,
                                         uint8_t out[BOOTSTRAP_RECORD_BYTES_MAX]);
/* Empty bytes are the empty record. Errors: MU_CORRUPT. */
MU_MUST_CHECK enum mu_code consensus_bootstrap_record_decode(struct mu_span bytes,
                                                             struct consensus_bootstrap_record *out,
                                                             struct mu_err *err);

/* The configuration of index 1, term 1: the same bytes on every member. */
void consensus_bootstrap_config(const struct consensus_bootstrap_set *set,
                                struct consensus_config *out);

enum consensus_bootstrap_msg_kind { /* sent as these numbers */
                                    BOOTSTRAP_PING = 1,
                                    BOOTSTRAP_PONG = 2, /* fresh and free */
                                    BOOTSTRAP_PROMISE = 3,
                                    BOOTSTRAP_PROMISED = 4,
                                    BOOTSTRAP_REFUSED = 5,
                                    BOOTSTRAP_ADOPT = 6,
                                    BOOTSTRAP_ABORT = 7,
                                    BOOTSTRAP_ASK = 8, /* what became of this uuid? */
};

struct consensus_bootstrap_msg {
    enum consensus_bootstrap_msg_kind kind;
    struct mu_id from, from_disk, to;
    struct mu_id cluster;               /* all but PING, PONG */
    struct mu_id coordinator;           /* ASK: who decides about it */
    uint32_t expect;                    /* PING, PONG, PROMISE */
    uint32_t why;                       /* REFUSED: enum consensus_bootstrap_why */
    struct consensus_bootstrap_set set; /* PROMISE */
};

enum consensus_bootstrap_why {
    BOOTSTRAP_FREE,         /* no reason against it */
    BOOTSTRAP_EXPECT,       /* other servers expect another number */
    BOOTSTRAP_TOO_FEW,      /* fewer fresh servers than expected are in sight */
    BOOTSTRAP_VIEW,         /* a server of the set is not in sight */
    BOOTSTRAP_SMALLER,      /* a smaller fresh id is in sight: its turn */
    BOOTSTRAP_BOUND,        /* promised to another set */
    BOOTSTRAP_EXISTS,       /* a cluster exists: waits to be added */
    BOOTSTRAP_NOT_EXPECTED, /* bootstrap_expect is 0 */
    BOOTSTRAP_WAS_MEMBER,   /* it belonged to a cluster, which may add it again */
    BOOTSTRAP_UNTOLD,       /* gossip has not said yet who is in sight */
};
const char *consensus_bootstrap_why_text(enum consensus_bootstrap_why why);

enum consensus_bootstrap_event_kind {
    BOOTSTRAP_EV_WAKE,
    BOOTSTRAP_EV_CANDIDATES, /* gossip's view changed: all servers in sight, without this one */
    BOOTSTRAP_EV_RECV,
    BOOTSTRAP_EV_RECORDED, /* the record of the last effect that had one is durable */
    BOOTSTRAP_EV_ADOPTED,  /* the cluster is durable: normal life has begun */
    BOOTSTRAP_EV_INVITED,  /* the leader of a cluster has added this very disk as a learner */
};

struct consensus_bootstrap_candidate {
    struct mu_id server, disk;
    struct mu_id cluster; /* none: fresh */
    uint32_t expect;
    bool is_alive;
};

struct consensus_bootstrap_event {
    uint64_t now_ms;
    enum consensus_bootstrap_event_kind kind;
    union {
        struct {
            const struct consensus_bootstrap_candidate *at;
            size_t count;
        } candidates;
        const struct consensus_bootstrap_msg *msg;
        struct mu_id cluster; /* INVITED */
    };
};

enum consensus_bootstrap_notice_kind {
    BOOTSTRAP_N_WAITING,   /* why it does not form a cluster, whenever that changes; a: how many
                              fresh servers are in sight, b: how many are expected */
    BOOTSTRAP_N_PROPOSED,  /* coordinates; a: servers in the set */
    BOOTSTRAP_N_PROMISED,  /* to peer; a: servers in the set */
    BOOTSTRAP_N_REFUSED,   /* peer refused our set, why */
    BOOTSTRAP_N_ABORTED,   /* our set was given up */
    BOOTSTRAP_N_RELEASED,  /* peer gave its set up: free again */
    BOOTSTRAP_N_UNDECIDED, /* promised, and peer, which decides, does not answer */
    BOOTSTRAP_N_BROKEN,    /* the same, and it joins a cluster that is there instead */
    BOOTSTRAP_N_ADOPTED,   /* a: servers in the set */
    BOOTSTRAP_N_JOINED,    /* a cluster that is there, as a learner */
};

struct consensus_bootstrap_notice {
    enum consensus_bootstrap_notice_kind kind;
    enum consensus_bootstrap_why why;
    struct mu_id peer;
    uint64_t a, b;
};

#define BOOTSTRAP_SENDS_MAX   32
#define BOOTSTRAP_NOTICES_MAX 16

struct consensus_bootstrap_effects {
    const struct consensus_bootstrap_record *record; /* make durable, then feed RECORDED; or NULL */
    const struct consensus_bootstrap_msg *sends;
    size_t sends_count;
    const struct consensus_bootstrap_notice *notices;
    size_t notices_count;
    /* Not NULL: write index 1 (consensus_bootstrap_config of it) with hard state {term 1, cluster},
     * then feed ADOPTED and start the core. Once in the life of a disk. */
    const struct consensus_bootstrap_set *adopt;
    /* Write hard state {term 0, cluster} without entries, then likewise; its log comes from the
     * leader. Once, too, and never with adopt. */
    bool is_join;
    struct mu_id adopt_cluster;
    bool is_coordinator; /* with adopt: this server may campaign at once */
    uint64_t wake_at_ms; /* UINT64_MAX: nothing is pending */
};

struct consensus_bootstrap_options {
    struct mu_id server, disk;
    uint32_t expect;      /* 0: never forms a cluster by itself */
    bool was_member;      /* nor one that belonged to a cluster */
    bool awaits_view;     /* until CANDIDATES came once it forms none */
    uint32_t retry_ms;    /* between tries; 100 */
    uint32_t patience_ms; /* a coordinator's, until it aborts; 1000 */
    uint64_t seed;
};

/* Private to bootstrap.c, in the owner's memory; memcpy of it is a clone. */
struct consensus_bootstrap;
size_t consensus_bootstrap_bytes(void);
/* b: zeroed. record: what the store kept. cluster: none while fresh. */
void consensus_bootstrap_init(struct consensus_bootstrap *b,
                              const struct consensus_bootstrap_options *options,
                              const struct consensus_bootstrap_record *record,
                              const struct mu_id *cluster, uint64_t now_ms);
void consensus_bootstrap_step(struct consensus_bootstrap *b,
                              const struct consensus_bootstrap_event *ev,
                              struct consensus_bootstrap_effects *fx);

#endif
