/* state.h - a state of the whole, and the bounds it is explored in. */
#ifndef SIM_EXPLORE_STATE_H
#define SIM_EXPLORE_STATE_H

#include "explore.h"

/* -- what may happen how often ----------------------------------------------------------------- */

enum budget {
    ELECTIONS,
    PROPOSALS,
    CRASHES,
    HEARTBEATS,
    DEPOSALS,
    READS,
    REPEATS,
    CHANGES,
    TRANSFERS,
    PAUSES,
    COMPACTIONS,
    BUDGETS
};

struct bounds {
    const char *name, *why;
    uint32_t nodes;
    uint8_t most[BUDGETS];
    bool is_async, has_prevote;
    uint32_t flight; /* messages under way; a retry that waits for nothing would go on for ever */
    uint32_t learners, outside; /* of the nodes, the last */
    const char *changes;        /* allowed: add, promote, demote, remove, replace by the last */
    bool is_warm;               /* begins when the first server leads and all have its no-op */
};

/* -- a state of the whole -------------------------------------------------------------------------
 */

struct state {
    uint32_t node[X_NODES_MAX];
    uint32_t flight[X_FLIGHT_MAX]; /* messages, ascending */
    uint8_t flight_count;
    uint8_t touched; /* bits of servers that something has happened to */
    uint8_t used[BUDGETS];
    uint8_t committed_last;
    uint8_t leader_of[X_TERMS_MAX]; /* place + 1 */
    struct x_entry committed[X_LOG_MAX];
    uint8_t committed_in[X_LOG_MAX]; /* the term whose leader did it */
    uint8_t floor[X_READS_MAX];      /* [ticket - 1]: what was acknowledged before the read began */
    uint8_t acknowledged;
    uint8_t reserved[2];
};

/* -- invariants.c -------------------------------------------------------------------------------
 */

/* Behind a step of the server at `place`: what is broken, or NULL. Remembers what was committed. */
const char *x_invariants(struct state *s, uint32_t nodes, uint32_t place, const struct x_result *r);

/* -- tell.c
 * ---------------------------------------------------------------------------------------- */

extern const char *const x_names[X_NODES_MAX];
void x_action_print(uint32_t action);

#endif
