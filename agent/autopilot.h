/* autopilot.h - how the leader cares for the servers: who becomes a voter, who is cleaned up, and
 * how healthy they are.
 *
 * A pure step function (spec/consensus.md 2.9, spec/agent-behaviour.md 13). Each step sees every
 * server that the configuration names or gossip shows, and answers with a report and at most one
 * change of the configuration:
 *
 *   left                      -> removed at once
 *   another disk or another   -> removed once it is silent: what it promised is lost
 *     node in its place
 *   fresh, alive, not in it   -> added, as a learner, if it understands the commands in use
 *   learner that was healthy  -> becomes a voter
 *     for the stabilization time
 *   failed                    -> cleaned up, when gossip and consensus both have missed it for the
 *                                stabilization time, a minority of the voters is failed, and
 *                                enough would stay
 *
 * Voters are promoted before failed ones are cleaned up. Nothing is done to one server more often
 * than once in a stabilization time, so that one that flaps does not fill the log; a leave and
 * another disk are no flapping.
 *
 * Thread:  one owner. Time: milliseconds, monotonic, supplied.
 * Memory:  names are copied; outputs belong to the caller.
 */
#ifndef AGENT_AUTOPILOT_H
#define AGENT_AUTOPILOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "base/limits.h"

#define AUTOPILOT_SERVERS_MAX 64 /* of the configuration and in gossip; more are not looked at */
#define AUTOPILOT_WHY_MAX     256

struct autopilot; /* opaque: what it remembers of servers from step to step */

struct autopilot_settings {
    bool cleanup_dead_servers;
    uint64_t last_contact_ms, stabilization_ms, max_trailing_logs, min_quorum;
};

enum autopilot_status {                    /* gossip's opinion */
                        AUTOPILOT_UNKNOWN, /* it knows nobody with this id */
                        AUTOPILOT_ALIVE,
                        AUTOPILOT_LEAVING,
                        AUTOPILOT_LEFT,
                        AUTOPILOT_FAILED,
};

struct autopilot_server {
    struct mu_id id;
    /* what gossip says */
    enum autopilot_status status;
    char name[MU_NODE_NAME_MAX + 1]; /* "": unknown */
    struct mu_id disk_seen;          /* none: unknown */
    bool is_fresh;                   /* belongs to no cluster yet */
    uint32_t level; /* of commands that it understands; of configured ones as consensus says, 0:
                       nothing yet */
    /* what the configuration says */
    bool is_configured, is_voter;
    bool is_self;
    struct mu_id disk;
    /* what consensus says; of configured ones */
    uint64_t contact_ms; /* when it answered last; 0: never in this term */
    uint64_t match;      /* it has the leader's log up to here */
    bool is_store_slow;
    bool has_diverged; /* its state was compared with the leader's, and differs */
};

struct autopilot_input {
    uint64_t now_ms;
    struct autopilot_settings settings;
    uint64_t last_index; /* of the leader's log */
    uint64_t absent_ms;  /* gossip's ignorance counts as failure this long after taking office */
    unsigned voters_max, servers_max;
    uint32_t level;  /* of commands in use: who understands less has no part */
    bool may_change; /* the newest configuration is committed, and nothing is under way */
    const struct autopilot_server *servers;
    size_t servers_count;
};

enum autopilot_kind { AUTOPILOT_NOTHING, AUTOPILOT_ADD, AUTOPILOT_PROMOTE, AUTOPILOT_REMOVE };
const char *autopilot_kind_text(enum autopilot_kind kind); /* "add", ... */

struct autopilot_health { /* of a configured server */
    struct mu_id id;
    bool is_healthy;
    uint64_t stable_since_ms; /* since when it is, or is not */
};

struct autopilot_output {
    enum autopilot_kind kind;
    struct mu_id id, disk;        /* of the server to change */
    char why[AUTOPILOT_WHY_MAX];  /* "left", "healthy for 10s", ... */
    char held[AUTOPILOT_WHY_MAX]; /* why a server that is gone is not cleaned up; "": none is */
    char old[AUTOPILOT_WHY_MAX];  /* why a new server is not taken in; "": none is */

    bool is_healthy; /* all are */
    unsigned failure_tolerance;
    struct autopilot_health healths[AUTOPILOT_SERVERS_MAX];
    size_t healths_count;
};

struct autopilot *autopilot_new(void);
void autopilot_free(struct autopilot *p); /* NULL is fine */
/* This server took office: forget everything. */
void autopilot_lead(struct autopilot *p, uint64_t now_ms);
void autopilot_step(struct autopilot *p, const struct autopilot_input *in,
                    struct autopilot_output *out);
/* The change of the last step was carried out: from now on its server's hysteresis counts. */
void autopilot_changed(struct autopilot *p, const struct mu_id *id, const struct mu_id *disk,
                       uint64_t now_ms);

#endif
