/* explore.h - all behaviours of a few servers in small bounds, with the shipped core itself.
 *
 * A state of the whole is small: which node each server is (an interned snapshot of its core and
 * its disk), which interned messages are on their way, and what the checks have to remember. Nodes
 * are deterministic, so a step (node, event) -> (node, messages, answers) is computed once and
 * looked up ever after; that is what makes millions of states affordable (spec/consensus.md 4.6).
 *
 * Time stands still. Silence is an event: a timer may fire whenever its server has one, a round of
 * heartbeats may begin, a quorum may be found missing. Stickiness is never held: it helps liveness,
 * nothing that is checked here may depend on it. Numbers that only tell copies of a state apart
 * (sequence numbers, jitter, counters) are brought to a normal form behind each step.
 */
#ifndef SIM_EXPLORE_H
#define SIM_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core.h"

#define U(v) (unsigned long long)(v) /* for printing */

enum {
    X_NODES_MAX = 5,
    X_LOG_MAX = 20,
    X_QUEUE_MAX = 4,
    X_TERMS_MAX = 16,
    X_FLIGHT_MAX = 24,
    X_READS_MAX = 4,
    X_OUT_MAX = 64,
    X_BATCH_MAX = 8, /* entries in one message */
    X_CONFIG = 128,  /* contents from here on are configurations */
};

/* -- what happens to a server ------------------------------------------------------------------ */

enum x_kind {
    X_DELIVER,   /* arg: message */
    X_TIMEOUT,   /* its election timer fires */
    X_HEARTBEAT, /* a leader's round */
    X_DEPOSE,    /* a leader finds no quorum */
    X_PROPOSE,   /* arg: content */
    X_READ,      /* arg: ticket */
    X_CHANGE,    /* arg: enum consensus_change_kind << 3 | place */
    X_TRANSFER,  /* arg: place */
    X_PERSIST,   /* its oldest write is durable */
    X_RESTART,   /* arg: how many of its writes under way have reached the disk */
    X_COMPACT,   /* its state is durable as far as it goes, and the log behind it may go */
    X_PAUSE,     /* it stood still for longer than anybody was patient, and goes on */
    X_LOSE,      /* arg: a message to it; no step of the server */
    X_KINDS
};

#define X_ACTION(kind, place, arg) ((uint32_t)(kind) << 27 | (uint32_t)(place) << 24 | (arg))
#define X_ACTION_KIND(a)           ((enum x_kind)((a) >> 27))
#define X_ACTION_PLACE(a)          ((a) >> 24 & 7U)
#define X_ACTION_ARG(a)            ((a)&0xffffffU)

/* -- interned messages --------------------------------------------------------------------------
 */

struct x_entry {
    uint8_t term, content, kind, reserved;
};

struct x_message {
    struct consensus_msg msg; /* entries: NULL */
    struct x_entry entries[X_BATCH_MAX]; /* of an offer: the first is its configuration */
    uint8_t from, to;
    uint8_t reserved[6];
};

const struct x_message *x_message_at(uint32_t id);
uint32_t x_message_intern(const struct x_message *m);

/* -- interned nodes -------------------------------------------------------------------------------
 */

/* What can be seen of a node from outside, without its core. */
struct x_face {
    uint8_t role, term, commit, last;
    uint8_t is_dead; /* 1: removed; 2: it should not have died */
    uint8_t queue, is_ready, self;
    struct x_entry log[X_LOG_MAX]; /* as its core has it: [index] */
    uint8_t disk_term, disk_last;
    struct x_entry disk[X_LOG_MAX];
    uint8_t match[X_NODES_MAX];           /* of a leader, by place */
    uint8_t voters, voters_old, is_joint; /* of the configuration in force, bits of places */
    uint8_t learners;
    uint8_t votes[X_TERMS_MAX]; /* durable or said, of all times: place + 1 */
};

/* What a step gave. */
struct x_result {
    uint32_t node;
    uint32_t sends_first, sends_count;     /* x_sends */
    uint32_t answers_first, answers_count; /* x_answers */
    const char *fault;                     /* an invariant that this step broke; NULL: none */
};

struct x_answer {
    uint8_t ticket, outcome, index, is_read;
};

struct x_rules {
    uint32_t nodes_count;
    uint32_t voters_count, learners_count; /* the first are voters; who is neither is not yet in */
    bool is_async;                         /* writes are durable later; else at once */
    bool has_prevote;                      /* else every server would win its pre-vote */
    bool compacts;                         /* logs keep nothing behind the state */
};

void x_begin(const struct x_rules *rules);
uint32_t x_node_first(uint32_t place); /* formed, started, nobody leads */
const struct x_face *x_face_of(uint32_t node);
/* The step, from the table or made now. A view until the next call. */
const struct x_result *x_step(uint32_t node, uint32_t place, enum x_kind kind, uint32_t arg);
uint32_t x_send_at(uint32_t i);
const struct x_answer *x_answer_at(uint32_t i);
/* The same step again, telling what the core says. */
void x_tell(uint32_t node, uint32_t place, enum x_kind kind, uint32_t arg);
void x_counts(size_t *nodes, size_t *messages, size_t *steps);
/* Steps that ended an install, and starts that did. */
void x_installs(size_t *switched, size_t *completed);

/* -- tables (intern.c)
 * ------------------------------------------------------------------------------ */

struct x_hash {
    uint64_t a, b;
};

struct x_hash x_hash_bytes(const void *at, size_t bytes);

/* Bytes to small numbers: 0, 1, ... */
struct x_pool {
    struct x_hash *hashes;
    uint32_t *slots; /* number + 1 */
    size_t room, count;
};

/* True: new, and `*id` is the count before. */
bool x_pool_put(struct x_pool *p, struct x_hash h, uint32_t *id);

#endif
