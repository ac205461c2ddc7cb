/* explain.h - why a member is held what it is: as this agent sees it, as the others do, and what
 * the leader makes of it in the catalog.
 *
 * Thread:  the loop's.
 * Memory:  an explanation is borrowed until the callback returns.
 */
#ifndef AGENT_EXPLAIN_H
#define AGENT_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct agent;

#define AGENT_NEVER UINT64_MAX /* in place of a time */

struct agent_change {
    const char *what; /* "missed" (its own probe of it failed), "suspected", "confirmed", "refuted",
                       * "dead", "leaving", "left", "returned" */
    const char *way;  /* missed: what its TCP met, suspected, confirmed: the evidence: "refused",
                       * "silent", "stalled", "open"; else "-" */
    uint64_t ago_ms, incarnation;
    uint64_t asked, refused, answered; /* missed: helpers, those that were refused too, nacks */
    const char *by;                    /* whose word it was; "": its own, or the seer's */
};

struct agent_account { /* of one member, by one that sees it */
    const char *seen_by;
    bool is_known;      /* else nothing below but `leader` */
    const char *status; /* for users: "alive", "leaving", "left", "failed" */
    const char *state;  /* for the detector: "alive", "suspect", "dead", "left" */
    uint64_t state_for_ms, incarnation;
    uint64_t acked_ago_ms, heard_ago_ms; /* last answer to a probe, last datagram; or AGENT_NEVER */
    uint64_t rtt_us;                     /* of that answer; 0: not measured */
    uint64_t missed;                     /* probes in a row without one */
    uint64_t health;                     /* of the seer: 0 is healthy */
    bool is_suspected;
    const char *evidence;
    uint64_t confirmations, wanted, deadline_in_ms; /* suspected */
    bool is_leader;                                 /* the seer leads and is in office: */
    const char *check;   /* serfHealth in the catalog: "passing", "critical", "none" */
    const char *plan;    /* "keep", "critical" (waits for its time), "paused", "remove", "removed",
                          * "absent" (counts as failed when its time has come), "self", "none" */
    uint64_t plan_in_ms; /* critical, paused, absent: when that is over at the earliest */
    uint64_t failed, members;           /* by which self-preservation judges */
    const struct agent_change *changes; /* oldest first */
    size_t changes_count;
    bool has_more; /* older ones did not fit */
};

struct agent_explanation {
    const struct agent_account *accounts; /* this agent's own is the first */
    size_t accounts_count;
    const char *const *silent; /* alive, and did not answer in time */
    size_t silent_count;
};

typedef void agent_explained_fn(void *data, enum mu_code code, const struct agent_explanation *e,
                                const struct mu_err *err);
/* `done` comes exactly once, never from inside: when all have answered, or when the time of a query
 * is over. Errors: MU_NOT_FOUND (nobody knows it), MU_INVALID (no name), MU_BUSY, MU_CANCELLED. */
void agent_explain(struct agent *a, const char *node, agent_explained_fn *done, void *data);

#endif
