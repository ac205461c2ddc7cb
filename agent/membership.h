/* membership.h - which server the configuration should take in, let go, or find elsewhere.
 *
 * The leader compares the configuration with the servers that gossip shows: a new one becomes a
 * learner, one that came back with an empty disk is removed and added as new (its old disk's votes
 * are gone, spec/consensus.md 2.11), one that lives elsewhere gets its address written down. Who is
 * promoted, and which dead server goes, is not decided here.
 *
 * Pure: no I/O, no time, no memory of its own.
 */
#ifndef AGENT_MEMBERSHIP_H
#define AGENT_MEMBERSHIP_H

#include "base/addr.h"
#include "consensus/consensus.h"

/* A server as gossip shows it. */
struct membership_server {
    struct mu_id node, disk;
    struct mu_id cluster;           /* none: fresh */
    char address[MU_ADDR_TEXT_MAX]; /* of its RPC port */
    bool is_alive;
    bool is_heard; /* by consensus, lately: the disk that the configuration names lives */
};

enum membership_verdict {
    MEMBERSHIP_SETTLED, /* everything is as it should be */
    MEMBERSHIP_WAITS,   /* a server will be removed if its old disk stays silent: look again */
    MEMBERSHIP_CHANGES, /* the change in `out` is due; then look again */
};
enum membership_verdict membership_next(const struct consensus_config *config,
                                        const struct mu_id *cluster,
                                        const struct membership_server *servers, size_t count,
                                        struct consensus_change *out);

#endif
