/* gossip.h - who is in the cluster, decided without sockets, clocks or threads.
 *
 * SWIM (Das, Gupta, Motivala 2002) with Lifeguard's local health and dynamic suspicion (Dadgar,
 * Phillips, Currey 2018), push/pull anti-entropy, and the status that users see (leaving, left,
 * failed) on top. spec/gossip.md is the ground; section numbers in comments mean that text.
 *
 * The owner feeds one event at a time to gossip_step() and then carries out the effects: send
 * packets, open streams, hand notices to the agent, call again at wake_at_ms. The same events and
 * seed always give the same effects; tests/sim lives on that.
 *
 * Thread:  one owner thread, no locks inside.
 * Time:    milliseconds on a monotonic clock, supplied by the owner.
 * Memory:  effects point into the core; they die at the next gossip_step().
 * Errors:  a bad packet is counted and dropped. Only gossip_new() and calls that say so can fail.
 */
#ifndef GOSSIP_GOSSIP_H
#define GOSSIP_GOSSIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/span.h"

/* What users see (Serf's words and numbers). Suspicion is not visible: a suspect is alive. */
enum gossip_status {
    GOSSIP_STATUS_NONE = 0,
    GOSSIP_STATUS_ALIVE = 1,
    GOSSIP_STATUS_LEAVING = 2,
    GOSSIP_STATUS_LEFT = 3,
    GOSSIP_STATUS_FAILED = 4,
};

const char *gossip_status_text(enum gossip_status status); /* "alive", "leaving", ... */

/* One member as the world outside sees it. A view: valid until the next step. */
struct gossip_view {
    const char *name; /* unique in the cluster */
    struct mu_addr addr;
    struct mu_pairs tags; /* sorted by key */
    enum gossip_status status;
    bool is_suspect;
    struct mu_id node_id; /* none when the member sent none */
    uint64_t boot_id;     /* drawn anew at each start */
    uint64_t incarnation; /* raised only by the member itself, to refute */
    uint64_t changed_ms;  /* when `status` last changed */
    uint8_t versions[6];  /* pmin pmax pcur dmin dmax dcur */
    bool is_self;
};

enum gossip_notice_kind {
    GOSSIP_JOINED,      /* new, or back from failed or left */
    GOSSIP_UPDATED,     /* tags changed */
    GOSSIP_FAILED,      /* declared dead by suspicion */
    GOSSIP_LEFT,        /* said so itself, or was forced */
    GOSSIP_REAPED,      /* forgotten */
    GOSSIP_REFUTED,     /* this node was accused and refuted: catalogs may hold it failed */
    GOSSIP_CONFLICT,    /* another living node claims our name or id; `text` says whose address */
    GOSSIP_UNREACHABLE, /* a peer says that our advertised address cannot be reached; `text` */
};

struct gossip_notice {
    enum gossip_notice_kind kind;
    struct gossip_view member; /* of CONFLICT: the other one */
    const char *text;
};

struct gossip_profile { /* spec/gossip.md 2.1; all in milliseconds unless named otherwise */
    uint32_t probe_ms, probe_timeout_ms, gossip_ms, push_pull_ms, stream_ms;
    uint32_t suspicion_mult, suspicion_max_mult, retransmit_mult;
    uint32_t indirect_checks, gossip_nodes, awareness_max;
    uint32_t gossip_to_dead_ms, reclaim_ms, reconnect_ms, reconnect_timeout_ms, tombstone_ms;
    uint32_t leave_propagate_ms, broadcast_timeout_ms;
};

extern const struct gossip_profile gossip_profile_lan, gossip_profile_wan, gossip_profile_local;

struct gossip_options {
    const char *name; /* 1..MU_NODE_NAME_MAX bytes */
    struct mu_id node_id;
    uint64_t boot_id;
    const char *pool;  /* "dc1/lan": with the label it makes the cluster id (12.3) */
    const char *label; /* may be NULL */
    struct mu_addr advertise;
    struct mu_pairs tags; /* copied; encoded at most MU_GOSSIP_META_MAX bytes */
    struct gossip_profile profile;
    uint64_t incarnation; /* to start from (3, item 3) */
    uint64_t seed;
    /* The predicate of 9.4 and 16, asked for every alive record and every merge. Return NULL to
     * accept, or a sentence that says why not. Called from inside a step; may be NULL. */
    const char *(*refuse)(void *data, const struct gossip_view *member);
    void *refuse_data;
};

struct gossip; /* opaque; the step interface follows in core terms below */

#endif
