/* keys_merge.h - marks: when each key was changed last (inside of gossip/).
 *
 * Thread, memory: those of gossip/keys.h.
 */
#ifndef GOSSIP_KEYS_MERGE_H
#define GOSSIP_KEYS_MERGE_H

#include "gossip/keys.h"

/* The name of the first key; 0: there is none. */
uint64_t gossip__keys_primary(const struct gossip_keys *keys);
/* The i-th of the keys kept aside is kept no more. */
void gossip__retired_drop(struct gossip_keys *keys, size_t i);
/* NULL: it was never changed through the cluster. */
const struct gossip_key_mark *gossip__key_mark(const struct gossip_keys *keys, uint64_t name);
/* A later one of the same key stays. For a new one the oldest removal may be forgotten. */
void gossip__key_mark_set(struct gossip_keys *keys, struct gossip_key_mark mark);
/* Marks come from a file, the ring from another: keep the marks that fit the ring. */
void gossip__keys_reconcile(struct gossip_keys *keys);
/* Keys of the ring whose mark says removed go, but for the primary one. */
void gossip__keys_settle(struct gossip_keys *keys);

#endif
