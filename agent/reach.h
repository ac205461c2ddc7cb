/* reach.h - do these ports of others take a TCP connection? Asked of all at once, within a time.
 *
 * A connection that comes about is closed at once. Whether a process answers behind it is not
 * looked at: the kernel accepts for one that is stopped, too.
 *
 * Life:    start -> (done callback), or start -> cancel. The object frees itself.
 * Thread:  the loop's.
 */
#ifndef AGENT_REACH_H
#define AGENT_REACH_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/limits.h"
#include "gossip/gossip.h"

#define REACH_TARGETS_MAX 32

struct uv_loop_s;
struct reach; /* opaque: one round */

struct reach_target {
    char name[MU_NODE_NAME_MAX + 1];
    struct mu_addr addr;
    enum gossip_way way; /* the result: OPEN, REFUSED, or SILENT for all other failures */
};

/* Never from inside start. */
typedef void reach_fn(void *data, const struct reach_target *targets, size_t count);

/* Targets are copied, at most REACH_TARGETS_MAX. */
struct reach *reach_start(struct uv_loop_s *loop, const struct reach_target *targets, size_t count,
                          uint64_t timeout_ms, reach_fn *done, void *data);
void reach_cancel(struct reach *r); /* no callback after this */

#endif
