/* tickets.h - who waits for which proposal or read: a ring, since tickets count up.
 *
 * Thread:  the loop's.
 * Memory:  grows with the span between the oldest unanswered ticket and the newest, which admission
 *          bounds; shrinks to nothing when all are answered.
 */
#ifndef CONSENSUS_TICKETS_H
#define CONSENSUS_TICKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "consensus/driver.h"

struct consensus_waiter {
    consensus_proposed_fn *proposed; /* one of the three is set */
    consensus_read_fn *read;
    consensus_wished_fn *wished;
    void *data;
    bool is_fed; /* the core has it: from then on its outcome may be unknown */
};

struct consensus_tickets {
    struct consensus_waiter *ring;
    size_t room;     /* a power of two */
    uint64_t oldest; /* unanswered; == next: none */
    uint64_t next;
};

void consensus__tickets_init(struct consensus_tickets *t);
void consensus__tickets_deinit(struct consensus_tickets *t);
uint64_t consensus__tickets_add(struct consensus_tickets *t, const struct consensus_waiter *w);
/* The waiter of a ticket, NULL if it was answered. A view until the next add or take. */
struct consensus_waiter *consensus__tickets_find(struct consensus_tickets *t, uint64_t ticket);
/* Take it out. False: nobody waits. */
bool consensus__tickets_take(struct consensus_tickets *t, uint64_t ticket,
                             struct consensus_waiter *out);

#endif
