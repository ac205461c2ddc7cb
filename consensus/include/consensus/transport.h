/* transport.h - how consensus reaches its peers: a vtable that the agent implements.
 *
 * Messages are addressed to server ids, never to addresses; the owner knows where an id lives.
 * They may be lost, duplicated and reordered; nothing in the core relies on an order.
 *
 * Two channels per peer, each its own connection, so that one lost segment of a megabyte does not
 * hold up a heartbeat (spec/consensus.md 1.9).
 *
 * Thread:  the loop's. Memory: the bytes are *borrowed*: the implementation copies or sends at
 * once.
 */
#ifndef CONSENSUS_TRANSPORT_H
#define CONSENSUS_TRANSPORT_H

#include <stdbool.h>

#include "base/id.h"
#include "base/span.h"

enum consensus_channel {
    CONSENSUS_CONTROL, /* votes, heartbeats, read confirmations, small acks: flushed at once */
    CONSENSUS_BULK,    /* entries */
};

struct consensus_transport {
    /* Queue one message. False: the budget of that channel is used up or there is no connection
     * (one is being made); the message is dropped. */
    bool (*send)(void *self, const struct mu_id *peer, enum consensus_channel channel,
                 struct mu_span message);
    /* What was queued goes out now, as far as the kernel takes it at once: somebody is about to wait
     * for a disk meanwhile. Only called from a turn, never while bytes are being taken in. NULL: it
     * goes when it goes. */
    void (*flush)(void *self);
    /* Keep connections to exactly these peers from now on (the configuration changed). */
    void (*peers)(void *self, const struct mu_id *peers, size_t count);
};

#endif
