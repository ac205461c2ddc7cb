/* fiber.h - code that can stand still in the middle: what is a thread in production, in one thread.
 *
 * The log's steps, the apply thread's steps and the opening of a server block on disks. Here each
 * runs on a stack of its own; a disk puts it to sleep until the simulated request is done, and
 * everything else goes on meanwhile. So a server can die between any two requests.
 *
 * Thread:  one. Fibers are resumed from the main stack only, never from each other.
 */
#ifndef SIM_SERVER_FIBER_H
#define SIM_SERVER_FIBER_H

#include <stdbool.h>

struct fiber; /* opaque */

typedef void fiber_fn(void *data);

struct fiber *fiber_new(fiber_fn *run, void *data);
void fiber_free(struct fiber *f); /* has ended, or never ran; NULL is fine */

/* Run it until it sleeps or ends. */
void fiber_resume(struct fiber *f);
bool fiber_has_ended(const struct fiber *f);

struct fiber *fiber_self(void); /* NULL on the main stack */
void fiber_sleep(void);         /* the one that calls this; until it is resumed */

void fiber_stacks_free(void); /* those kept for reuse */

#endif
