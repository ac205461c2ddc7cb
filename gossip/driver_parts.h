/* driver_parts.h - what the files of the driver share. For gossip/ only; these see libuv. */
#ifndef GOSSIP__DRIVER_PARTS_H
#define GOSSIP__DRIVER_PARTS_H

#include <uv.h>

#include "base/list.h"
#include "gossip/driver.h"

struct gossip__streams; /* stream_uv.c */

/* Feed one event and carry out its effects. Not from inside an effect: what an effect fails at is
 * reported from a later turn (gossip__soon()). */
void gossip__feed(struct gossip_driver *d, struct gossip_event *ev);
uint64_t gossip__now(const struct gossip_driver *d);
void gossip__soon(struct gossip_driver *d); /* run gossip__streams_failed() and orders soon */

/* A handle was opened or closed: the driver has stopped when none is left. */
void gossip__handle_opened(struct gossip_driver *d);
void gossip__handle_closed(struct gossip_driver *d);

struct gossip__streams *gossip__streams_new(struct gossip_driver *d, uv_loop_t *loop);
MU_MUST_CHECK enum mu_code gossip__streams_listen(struct gossip__streams *s, struct mu_addr *at,
                                                  struct mu_err *err);
void gossip__streams_op(struct gossip__streams *s, const struct gossip_stream_op *op);
void gossip__streams_failed(struct gossip__streams *s); /* opens that failed at once */
void gossip__streams_stop(struct gossip__streams *s);   /* closes all, without events */
void gossip__streams_free(struct gossip__streams *s);

#endif
