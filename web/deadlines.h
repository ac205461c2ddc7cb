/* deadlines.h - deadlines of many things behind one timer of the loop.
 *
 * The owner asks for the earliest, aims one real timer at it and calls deadlines_run() when it
 * fired. Thousands of parked reads and idle connections cost a slot of a heap each, and no wake-up
 * before their time.
 *
 * Thread:  one owner.
 * Time:    milliseconds, supplied.
 * Memory:  a deadline lies in its owner's struct (zeroed at first); the heap points to it while
 * set.
 */
#ifndef WEB_DEADLINES_H
#define WEB_DEADLINES_H

#include "base/heap.h"

typedef void deadline_fn(void *data);

struct deadline {
    struct mu_heap_node node; /* its key is when */
    deadline_fn *fire;
    void *data;
};

struct deadlines {
    struct mu_heap heap;
};

void deadlines_init(struct deadlines *all);
void deadlines_deinit(struct deadlines *all); /* asserts that none is set */

/* Set or move. */
void deadline_set(struct deadlines *all, struct deadline *d, uint64_t at_ms, deadline_fn *fire,
                  void *data);
void deadline_clear(struct deadlines *all, struct deadline *d); /* one that is not set is fine */
bool deadline_is_set(const struct deadline *d);
uint64_t deadline_at(const struct deadline *d); /* of one that is set, or that fires */

/* The earliest; 0: none. */
uint64_t deadlines_next(const struct deadlines *all);
/* Fire what is due, earliest first; each is cleared before its call and may be set again by it. */
void deadlines_run(struct deadlines *all, uint64_t now_ms);

#endif
