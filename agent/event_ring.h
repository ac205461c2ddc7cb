/* event_ring.h - the events that an agent remembers: the last MU_EVENTS_MAX.
 *
 * Thread:  none of its own.
 * Memory:  events are copied in; views die when MU_EVENTS_MAX newer ones have come.
 */
#ifndef AGENT_EVENT_RING_H
#define AGENT_EVENT_RING_H

#include "agent/agent.h"
#include "base/limits.h"

struct event_ring {
    struct agent_event *items[MU_EVENTS_MAX]; /* each one allocation; NULL: not yet used */
    size_t next;                              /* where the next one goes: the oldest */
};

void event_ring_add(struct event_ring *ring, const struct agent_event *event);
void event_ring_each(const struct event_ring *ring, agent_event_fn *each,
                     void *data); /* oldest first */
void event_ring_deinit(struct event_ring *ring);

/* Is this node meant? The service filter is held against the ids of its services, the tag filter
 * against the tags of those that it lets pass. MU_INVALID: a pattern that is none. */
MU_MUST_CHECK enum mu_code event_is_meant(const struct agent_event *event, const char *node,
                                          const struct local *services, bool *is_meant,
                                          struct mu_err *err);
/* The filters of an event that is to be sent: texts of http-api 8. */
MU_MUST_CHECK enum mu_code event_check_filters(const struct agent_event *event, struct mu_err *err);

#endif
