/* recover.h - a running cluster that lost its quorum: what its servers hold, and the way on.
 *
 * Any agent looks: it asks all servers that gossip knows where they are. What comes of it is a
 * plan: the server whose log goes furthest, and whether the cluster may go on from there. A cluster
 * that has a leader, or could elect one, is left alone.
 *
 * Then the server that was chosen begins (recover.c): it looks again with its own eyes, lets all
 * who answer stand back from the old epoch, stops, continues its log by itself in a new epoch
 * (recovery.h), and starts over, in the same process. The others see the new epoch, set aside what
 * they hold and join it as new servers.
 *
 * Thread:  the loop's.
 * Memory:  views in callbacks are *borrowed*.
 * Errors:  callbacks come exactly once, never from inside the call. MU_CONFLICT: as things are it
 *          would lose or split data; the text says what and how to go on. MU_NOT_FOUND: no such
 *          server. MU_CANCELLED: this agent stops.
 */
#ifndef AGENT_RECOVER_H
#define AGENT_RECOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/recovery.h"
#include "base/err.h"
#include "base/id.h"
#include "base/span.h"

struct agent;

/* -- looking ----------------------------------------------------------------------------------- */

struct agent_survivor { /* or what a survivor has of one that is not */
    struct mu_id id;
    const char *name;     /* "": gossip does not know it */
    const char *address;  /* of its RPC port, as gossip or the configuration has it */
    struct mu_err err;    /* MU_OK: it answered; else why not */
    bool is_voter;        /* in the newest configuration of those that answered */
    bool is_expected;     /* it is silent, and gossip holds it alive: it may only be slow */
    bool is_of_old_epoch; /* the others were recovered without it */
    struct mu_id leader;  /* whom it follows, or itself */
    struct recovery_position position; /* if it answered */
};

#define AGENT_RECOVERY_NOBODY SIZE_MAX

struct agent_recovery {
    const struct agent_survivor *servers; /* by name, those without one last */
    size_t count;
    size_t chosen;      /* to go on from; AGENT_RECOVERY_NOBODY: nobody can */
    struct mu_err why;  /* MU_OK: it may be done; else why not */
    bool can_be_forced; /* that is for people to decide */
    bool may_pass;      /* a server follows one that is perhaps gone: look again in a moment */
    uint64_t unsure;    /* last entries of the chosen one that perhaps were never committed */
};

struct agent_recovery_wish {
    struct mu_span server; /* go on from this one, by name or id; empty: from the furthest */
    bool is_forced;
};
typedef void agent_recovery_fn(void *data, enum mu_code code, const struct agent_recovery *recovery,
                               const struct mu_err *err);
void agent_recovery_look(struct agent *a, const struct agent_recovery_wish *wish,
                         agent_recovery_fn *done, void *data);

/* -- going on ---------------------------------------------------------------------------------- */

struct agent_recovered { /* it has begun: the server starts over */
    const char *name;
    struct mu_id server;
    uint64_t epoch;
};
typedef void agent_recovered_fn(void *data, enum mu_code code,
                                const struct agent_recovered *recovered, const struct mu_err *err);
/* `index` and `term`: how far the chosen one's log went when it was agreed to; MU_CONFLICT: it is
 * another one by now. */
void agent_recovery_begin(struct agent *a, const struct agent_recovery_wish *wish, uint64_t index,
                          uint64_t term, agent_recovered_fn *done, void *data);

#endif
