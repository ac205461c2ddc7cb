/* chain.h - bytes that come in at one end and leave at the other, in pieces.
 *
 * A buffer that grows by doubling holds up to twice what is in it, and again as much while it
 * grows; one that is drained slowly keeps its room. A chain holds what is in it and at most a piece
 * more, and gives back as it is read.
 *
 * Memory:  the chain owns its bytes. One that is empty has none.
 * Errors:  as buf.h: bounds are the caller's business.
 */
#ifndef MU_BASE_CHAIN_H
#define MU_BASE_CHAIN_H

#include <stddef.h>

#include "base/span.h"

struct mu_chain_piece;

struct mu_chain {
    struct mu_chain_piece *first, *last;
    size_t bytes; /* in it */
};

#define MU_CHAIN_NONE ((struct mu_chain){ NULL, NULL, 0 })

void mu_chain_deinit(struct mu_chain *c); /* leaves an empty, usable chain */
void mu_chain_add(struct mu_chain *c, struct mu_span bytes);
/* The oldest bytes, at most `bytes_max`; returns how many. */
size_t mu_chain_take(struct mu_chain *c, void *to, size_t bytes_max);

#endif
