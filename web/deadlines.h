/* deadlines.h - deadlines of many things behind one timer of the loop.
 *
 * A binary heap. The owner asks for the earliest deadline, aims one real timer at it and calls
 * deadlines_run() when it fired. Thousands of parked reads and idle connections cost a slot each
 * and no wake-up before their time.
 *
 * Thread:  one owner.
 * Time:    milliseconds, supplied.
 * Memory:  a deadline lies in its owner's struct (zeroed at first); the heap points to it while
 * set.
 */
#ifndef WEB_DEADLINES_H
#define WEB_DEADLINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void deadline_fn(void *data);

struct deadline {
    uint64_t at_ms;
    deadline_fn *fire;
    void *data;
    size_t slot; /* place in the heap + 1; 0: not set */
};

struct deadlines {
    struct deadline **heap;
    size_t count, room;
};

void deadlines_init(struct deadlines *t);
void deadlines_deinit(struct deadlines *t); /* asserts that none is set */

/* Set or move. */
void deadline_set(struct deadlines *t, struct deadline *d, uint64_t at_ms, deadline_fn *fire,
                  void *data);
void deadline_clear(struct deadlines *t, struct deadline *d); /* one that is not set is fine */
bool deadline_is_set(const struct deadline *d);

/* The earliest deadline; 0: none. */
uint64_t deadlines_next(const struct deadlines *t);
/* Fire what is due, earliest first; each is cleared before its call and may be set again by it. */
void deadlines_run(struct deadlines *t, uint64_t now_ms);

#endif
