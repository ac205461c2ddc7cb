/* profile.c - how fast and how patient: the three profiles of 2.1, and what changes when a node
 * gets another one while it runs.
 *
 * Whatever has begun ends by the times it began with: a probe, a stream, a leave. What is planned
 * is planned anew, with a random phase as at the start, since all nodes may be given the new
 * profile at once. A suspect gets the whole time of the new one from now on: it was promised the
 * old one.
 *
 * A process that stands still has the reference's patience, or more (6): in lan, where our
 * suspicion_mult is less than its, four times that; in wan it is the reference's already.
 */
#include "core.h"

// clang-format off
const struct gossip_profile gossip_profile_lan = {
    .probe_ms = 500, .probe_timeout_ms = 250, .gossip_ms = 100, .push_pull_ms = 30000,
    .stream_ms = 10000, .suspicion_mult = 2, .stalled_mult = 4, .suspicion_max_mult = 6, .retransmit_mult = 4,
    .indirect_checks = 3, .gossip_nodes = 3, .awareness_max = 8, .query_ms = 200, .gossip_to_dead_ms = 30000,
    .reclaim_ms = 30000, .reconnect_ms = 30000, .reconnect_timeout_ms = 72U * 3600 * 1000,
    .tombstone_ms = 24U * 3600 * 1000, .leave_propagate_ms = 3000, .broadcast_timeout_ms = 5000,
    .packet_bytes = MU_GOSSIP_PACKET_MAX,
};
const struct gossip_profile gossip_profile_wan = {
    .probe_ms = 5000, .probe_timeout_ms = 3000, .gossip_ms = 500, .push_pull_ms = 60000,
    .stream_ms = 30000, .suspicion_mult = 6, .stalled_mult = 1, .suspicion_max_mult = 6, .retransmit_mult = 4,
    .indirect_checks = 3, .gossip_nodes = 4, .awareness_max = 8, .query_ms = 500, .gossip_to_dead_ms = 60000,
    .reclaim_ms = 30000, .reconnect_ms = 30000, .reconnect_timeout_ms = 72U * 3600 * 1000,
    .tombstone_ms = 24U * 3600 * 1000, .leave_propagate_ms = 3000, .broadcast_timeout_ms = 5000,
    .packet_bytes = MU_GOSSIP_PACKET_MAX,
};
const struct gossip_profile gossip_profile_local = {
    .probe_ms = 1000, .probe_timeout_ms = 200, .gossip_ms = 100, .push_pull_ms = 15000,
    .stream_ms = 1000, .suspicion_mult = 3, .stalled_mult = 2, .suspicion_max_mult = 6, .retransmit_mult = 2,
    .indirect_checks = 1, .gossip_nodes = 3, .awareness_max = 8, .query_ms = 100, .gossip_to_dead_ms = 15000,
    .reclaim_ms = 30000, .reconnect_ms = 30000, .reconnect_timeout_ms = 24U * 3600 * 1000,
    .tombstone_ms = 24U * 3600 * 1000, .leave_propagate_ms = 1000, .broadcast_timeout_ms = 5000,
    .packet_bytes = MU_GOSSIP_PACKET_MAX,
};
// clang-format on

enum mu_code gossip_profile_check(const struct gossip_profile *p, struct mu_err *err)
{
    if (p->probe_ms == 0 || p->probe_timeout_ms == 0 || p->gossip_ms == 0 || p->stream_ms == 0) {
        return mu_fail(err, MU_INVALID,
                       "probe interval, probe timeout, gossip interval and stream timeout must "
                       "not be 0");
    }
    if (p->probe_timeout_ms >= p->probe_ms) {
        return mu_fail(err, MU_INVALID, "probe timeout (%u ms) must be below the interval (%u ms)",
                       p->probe_timeout_ms, p->probe_ms);
    }
    if (p->awareness_max == 0 || p->suspicion_mult == 0 || p->stalled_mult == 0 ||
        p->suspicion_max_mult == 0 || p->retransmit_mult == 0 || p->gossip_nodes == 0) {
        return mu_fail(err, MU_INVALID, "multipliers, gossip nodes and awareness must not be 0");
    }
    if (p->packet_bytes < MU_GOSSIP_PACKET_MIN || p->packet_bytes > MU_GOSSIP_PACKET_MAX) {
        return mu_fail(err, MU_INVALID, "datagrams of %u bytes: from %d to %d", p->packet_bytes,
                       MU_GOSSIP_PACKET_MIN, MU_GOSSIP_PACKET_MAX);
    }
    return MU_OK;
}

void gossip__on_profile(struct gossip *g, const struct gossip_profile *profile)
{
    g->profile = *profile;
    gossip__health_add(g, 0); /* it may have been more than there is now */
    gossip__suspicion_restart(g);
    gossip__probe_replan(g);
    gossip__sync_replan(g);
    gossip__join_replan(g);
    gossip__serf_replan(g);
    gossip__rumor_wake(g);
}
