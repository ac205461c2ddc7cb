/* reconcile.h - what gossip knows of members, as changes of the catalog: the leader's duty.
 *
 * A pure state machine (spec/agent-behaviour.md 8, DESIGN 3 "A failed node"):
 *
 *   alive   -> the node is registered with a passing serfHealth
 *   failed  -> serfHealth critical at once; removed_after later the node goes with all it has
 *   left, reaped -> the node goes at once
 *   absent  -> in the catalog with a serfHealth, but gossip has not met it since this leader took
 *              office: counts as failed after absent_after
 *
 * Self-preservation: when more than a third of the members and more than two are failed and not yet
 * removed, we are probably on the small side of a partition: removal pauses until the share falls,
 * or for pause_max.
 *
 * The owner carries out the actions (each is idempotent and checked against the catalog first) and
 * reports each one's end, so that a failed write is tried again.
 *
 * Thread:  one owner. Time: milliseconds, monotonic, supplied.
 * Memory:  names are copied; actions are views until the next call.
 */
#ifndef AGENT_RECONCILE_H
#define AGENT_RECONCILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

struct reconcile; /* opaque */

struct reconcile_options {
    uint64_t remove_failed_after_ms, pause_max_ms, absent_after_ms;
    const char *self; /* never removed: "deregistering self should be done by follower" */
};

enum reconcile_state { /* of a member, as gossip says */
                       RECONCILE_ALIVE,
                       RECONCILE_FAILED,
                       RECONCILE_GONE, /* left or reaped */
};

enum reconcile_action_kind {
    RECONCILE_SET_ALIVE,    /* register, serfHealth passing */
    RECONCILE_SET_CRITICAL, /* serfHealth critical, if the node exists */
    RECONCILE_REMOVE,       /* deregister the node with everything */
};

struct reconcile_action {
    enum reconcile_action_kind kind;
    char node[MU_NODE_NAME_MAX + 1];
};

struct reconcile *reconcile_new(const struct reconcile_options *options);
void reconcile_free(struct reconcile *r);

/* This server leads and is ready: begin from nothing. Failures count from now. */
void reconcile_lead(struct reconcile *r, uint64_t now_ms);
void reconcile_rest(struct reconcile *r); /* it leads no more: forget everything */

/* What gossip says of one member, at every change and in every full pass. */
void reconcile_member(struct reconcile *r, const char *node, enum reconcile_state state,
                      uint64_t now_ms);
/* A full pass: all catalog nodes that carry a serfHealth check. Call after every member was told.
 */
void reconcile_catalog(struct reconcile *r, const char *const *nodes, size_t count,
                       uint64_t now_ms);

/* The catalog has this node, as somebody has just written it: as late as an agent that left does
 * whose last words were on their way. */
void reconcile_registered(struct reconcile *r, const char *node);

/* Actions that are due and not in flight; at most `room`. Each must be ended once. */
size_t reconcile_due(struct reconcile *r, uint64_t now_ms, struct reconcile_action *actions,
                     size_t room);
/* did_succeed false: it is due again after a pause. */
void reconcile_ended(struct reconcile *r, const struct reconcile_action *action, bool did_succeed,
                     uint64_t now_ms);

uint64_t reconcile_wake_ms(const struct reconcile *r); /* when something falls due; 0: nothing */

/* Is removal paused by self-preservation? `failed` of `members`, for the log line. */
bool reconcile_is_paused(const struct reconcile *r, size_t *failed, size_t *members);

/* What is meant for one node, for people. */
enum reconcile_plan {
    RECONCILE_PLAN_NONE,     /* nothing is known of it, or this server does not lead */
    RECONCILE_PLAN_KEEP,     /* alive */
    RECONCILE_PLAN_CRITICAL, /* failed: it goes in in_ms */
    RECONCILE_PLAN_PAUSED,   /* it is due, or will be, but self-preservation lasts, in_ms at most */
    RECONCILE_PLAN_REMOVE,   /* as soon as it can be written */
    RECONCILE_PLAN_REMOVED,
    RECONCILE_PLAN_ABSENT, /* only the catalog knows it: counts as failed in in_ms */
    RECONCILE_PLAN_SELF,   /* never removed by itself */
};

struct reconcile_account {
    enum reconcile_plan plan;
    uint64_t in_ms;
    uint64_t remove_in_ms;  /* CRITICAL, PAUSED, ABSENT, REMOVE: if nothing changes before */
    size_t failed, members; /* by which self-preservation judges */
};
void reconcile_explain(const struct reconcile *r, const char *node, uint64_t now_ms,
                       struct reconcile_account *out);

/* All that are to be removed, now or in their time. The order is none. */
typedef void reconcile_leaver_fn(void *data, const char *node,
                                 const struct reconcile_account *account);
void reconcile_each_leaver(const struct reconcile *r, uint64_t now_ms, reconcile_leaver_fn *each,
                           void *data);

/* Somebody says that a node which only the catalog knows is gone: it is removed without waiting.
 * False: it is not such a node, or gossip may still meet it (absent_after is not over). */
bool reconcile_let_go(struct reconcile *r, const char *node, uint64_t now_ms);

#endif
