/* watch.h - who waits for which change: the one mechanism behind every blocking read.
 *
 * A transaction of the apply thread yields a struct catalog_changes, a set of topics. The loop
 * hands it to catalog_watch_fire(), which calls each waiter whose topics meet it, once. A waiter
 * costs nothing while nothing it watches changes, and a change costs by what it touched, not by
 * how many wait for other things.
 *
 * Why no wake-up is missed: a reader evaluates its query, then adds its waiter, both in one loop
 * turn. A commit that the query did not see yet is fired in a later turn; one that it did see may
 * fire afterwards too, which only makes the reader look again.
 *
 * Thread:  the loop, but for catalog_changes, which is filled by the apply thread and then given.
 * Memory:  topics are copied. A wait ends by firing or by catalog_watch_cancel().
 */
#ifndef CATALOG_WATCH_H
#define CATALOG_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

/* What can change. Names are folded by the callee where the catalog folds them. */
enum catalog_topic_kind {
    CATALOG_NODES,       /* any node record */
    CATALOG_NODE,        /* everything about one node: its record, services, checks */
    CATALOG_SERVICES,    /* any instance; also which names exist */
    CATALOG_SERVICE,     /* one service: its instances, their nodes, the checks that judge them */
    CATALOG_CHECKS,      /* any check */
    CATALOG_KEY,         /* one key; in changes: that key was written or deleted */
    CATALOG_PREFIX,      /* waiting: any key below; in changes: all keys below were deleted */
    CATALOG_COORDINATES, /* where any node is */
    CATALOG_SESSIONS,    /* any session */
    CATALOG_SESSION,     /* in changes only: the session of this id (16 bytes) came or went */
    CATALOG_EVERYTHING   /* in changes only: a restored snapshot; wakes all */
};

struct catalog_topic {
    enum catalog_topic_kind kind;
    struct mu_span name; /* empty for the kinds without one */
};

#define CATALOG_WAIT_TOPICS_MAX 4

struct catalog_changes; /* opaque: a set of topics */
struct catalog_changes *catalog_changes_new(void);
void catalog_changes_free(struct catalog_changes *c); /* NULL is fine */
void catalog_changes_add(struct catalog_changes *c, enum catalog_topic_kind kind,
                         struct mu_span name); /* a repeated topic is kept once */
size_t catalog_changes_count(const struct catalog_changes *c);
struct catalog_topic catalog_changes_at(const struct catalog_changes *c, size_t i); /* view */

struct catalog_watch; /* opaque: all waiters of one loop */
struct catalog_wait;  /* opaque: one waiter */

struct catalog_watch *catalog_watch_new(void);
void catalog_watch_free(struct catalog_watch *w); /* asserts that nobody waits */

/* Called once, from catalog_watch_fire(); the wait is gone by then. It may add new waits. */
typedef void catalog_watch_fn(void *data);

struct catalog_wait *catalog_watch_add(struct catalog_watch *w, const struct catalog_topic *topics,
                                       size_t count, catalog_watch_fn *fire, void *data);
void catalog_watch_cancel(struct catalog_wait *wait); /* NULL is fine; not after it fired */
size_t catalog_watch_count(const struct catalog_watch *w);
/* Nobody waits behind this one: it only drops what was kept. Said once, after it was added. */
void catalog_watch_patient(struct catalog_wait *wait);
size_t catalog_watch_eager(const struct catalog_watch *w); /* how many others there are */

/* Wake everybody whom `changes` concerns. Waits added meanwhile are not called for it. */
void catalog_watch_fire(struct catalog_watch *w, const struct catalog_changes *changes);

#endif
