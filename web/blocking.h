/* blocking.h - reads: which state they see, and how they are held until it changes.
 *
 *            ReadIndex                   index <= asked            fired
 *   start -------------> evaluate ----------------------> parked --------> evaluate ...
 *      '---- stale --------^  '-- index is newer, no index asked, or the wait is over --> answer
 *
 * http-api 1.7 and 1.8. A handler names its evaluation; everything else happens here.
 */
#ifndef WEB_BLOCKING_H
#define WEB_BLOCKING_H

#include "front.h"

/* Run a read. r->read holds the options; the handler returns at once. */
void blocking_read(struct request *r, request_read_fn *evaluate);

/* Inside an evaluation, once the index is known: true when the request will be parked at this
 * index, so that rendering the answer would be waste. Sets the index in any case. */
bool blocking_holds(struct request *r, uint64_t index);

/* What the answer depends on; at most CATALOG_WAIT_TOPICS_MAX. */
void blocking_topic(struct request *r, enum catalog_topic_kind kind, struct mu_span name);

/* How long this request is held, in ms: no shorter than its wait, and a random part of up to a
 * sixteenth of it longer. */
uint64_t blocking_wait_ms(struct request *r);

/* Look again at a read that was woken (from the queue of the front). */
void blocking_look(struct request *r);
/* The wait is over, early or not. */
void blocking_end(struct request *r);

#endif
