/* handler_event.h - what happened, as event handlers are told it (serf-surface 6.2, 6.3).
 *
 * An event is shared by the queues of all handlers that it concerns: it is counted, and dies with
 * the last of them.
 *
 * Thread:  the loop's.
 * Memory:  an event owns what it holds.
 */
#ifndef AGENT_HANDLER_EVENT_H
#define AGENT_HANDLER_EVENT_H

#include "base/buf.h"
#include "base/json.h"
#include "gossip/gossip.h"

#define HANDLER_USER  "user"
#define HANDLER_QUERY "query"

/* All types, those of members first. */
#define HANDLER_MEMBER_TYPES 5
#define HANDLER_TYPES        7
extern const char *const handler_types[HANDLER_TYPES];
/* The literal of what is told of a member; NULL: Serf has no word for that. */
const char *handler_event_type(enum gossip_notice_kind kind);
bool handler_is_filter(struct mu_span type); /* a type, or "*" for all of them */

struct handler_member {
    const char *name;
    struct mu_addr addr;
    struct mu_pairs tags; /* sorted; without our own */
};

struct handler_event {
    unsigned holders;
    const char *type; /* one of handler_types */
    /* member-... */
    struct handler_member *members;
    size_t members_count;
    /* user, query */
    const char *name;
    uint64_t ltime;
    bool coalesce;
    struct mu_span payload;
    uint32_t query_id;
    size_t answer_bytes_max; /* encoded; of other events 0 */
    struct mu_arena arena;
};

/* With one holder: who makes it. */
struct handler_event *handler_event_of_members(const char *type, size_t members_max);
void handler_event_add(struct handler_event *e, const struct gossip_view *member);
struct handler_event *handler_event_of_user(const struct gossip_user_event *event);
struct handler_event *handler_event_of_query(const struct gossip_query *query);
void handler_event_hold(struct handler_event *e);
void handler_event_release(struct handler_event *e);

/* What the script gets: variables (in the arena), and its standard input. `self` is our name, its
 * tags are those of now. */
struct mu_pairs handler_event_variables(const struct handler_event *e, const char *self,
                                        const struct mu_pairs *tags, struct mu_arena *arena);
void handler_event_input(const struct handler_event *e, struct mu_buf *to);

#endif
