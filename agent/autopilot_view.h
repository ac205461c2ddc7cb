/* autopilot_view.h - what autopilot looks at, put together from the configuration, consensus and
 * gossip.
 *
 * Thread:  one owner. Memory: nothing is kept, names are copied. Errors: none; servers beyond
 *          AUTOPILOT_SERVERS_MAX are not looked at.
 */
#ifndef AGENT_AUTOPILOT_VIEW_H
#define AGENT_AUTOPILOT_VIEW_H

#include "autopilot.h"
#include "consensus/consensus.h"
#include "gossip/gossip.h"

struct autopilot_view {
    struct autopilot_server *servers; /* AUTOPILOT_SERVERS_MAX of them */
    size_t count;
    struct consensus_config config; /* the newest */
    struct mu_id cluster;           /* the leader's */
};

/* A record of gossip about a server; there may be several of one id. */
struct autopilot_sighting {
    const char *name;
    struct mu_id server, disk, cluster;
    enum gossip_status status;
    uint32_t level; /* of commands that it understands, by its tags */
};

/* First: the servers of view->config, of which `self` is the leader. */
void autopilot_view_configured(struct autopilot_view *view, const struct mu_id *self);
/* Of servers of the configuration. */
void autopilot_view_progress(struct autopilot_view *view, const struct consensus_status *status);
/* For each record. Of several of one id the living one counts, whatever came before. */
void autopilot_view_seen(struct autopilot_view *view, const struct autopilot_sighting *seen);

#endif
