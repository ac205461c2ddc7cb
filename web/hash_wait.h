/* hash_wait.h - reads of this agent's own services, held while their hash is the one that was asked
 * for (?hash=, http-api 1.7).
 *
 * The sibling of blocking.h for what is not in the catalog: the agent says when a local service
 * changed, and whoever waits looks again.
 */
#ifndef WEB_HASH_WAIT_H
#define WEB_HASH_WAIT_H

#include "front.h"

/* Look now, and whenever what it looks at changes, until `look` answers. */
void hash_wait(struct request *r, void (*look)(struct request *r));
/* Inside `look`: true when the request is to be held at this hash; then `look` just returns. */
MU_MUST_CHECK bool hash_wait_holds(struct request *r, const char *hash);

/* The same for reads of events, which wait for as long as the index is the one asked for. */
MU_MUST_CHECK bool event_wait_holds(struct request *r, uint64_t index);

/* agent_front.services_changed: everybody looks again. data: the front. */
void hash_wait_changed(void *data);
void event_wait_heard(void *data); /* agent_front.event_heard */

#endif
