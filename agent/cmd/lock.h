/* lock.h - muster lock in two halves: what is asked of the key-value store (lock_kv.c), and the
 * loop, the child and the signals around it (lock_uv.c).
 *
 * Thread:  one. Calls of the first half run the loop of the second while they wait; they give up
 *          when `is_over` is set, which timers, signals and the end of the child do.
 */
#ifndef AGENT_CMD_LOCK_H
#define AGENT_CMD_LOCK_H

#include "base/arena.h"
#include "cli.h"

#define LOCK_TTL_S 15 /* of the session: a holder that died is replaced within twice that */

struct lock {
    struct cli *cli;
    const char *prefix; /* as given, without slashes at its end */
    const char *session;
    uint64_t limit;   /* 1: a lock; more: a semaphore */
    uint64_t retries; /* of the monitor, when the agent answers an error */
    bool is_verbose;
    uint64_t index;                 /* of the last answer; 0: do not wait */
    struct mu_arena arena, scratch; /* scratch: of one look at the key, and what follows from it */
    bool is_over;                   /* what is being waited for is not wanted any more */
    bool is_lost;                   /* the session is gone */
};

/* -- lock_kv.c --------------------------------------------------------------------------------- */

bool lock_session_create(struct lock *l, const char *name);
void lock_session_destroy(struct lock *l);
/* Wait for it. False: it was given up (is_over), or cannot be: said, unless it was given up. */
bool lock_acquire(struct lock *l);
/* Watch it until it is lost, or `is_over`. True: it is lost. */
bool lock_monitor(struct lock *l);
/* Give it back, whether held or not, and remove what nobody uses. */
void lock_release(struct lock *l);

/* -- lock_uv.c --------------------------------------------------------------------------------- */

/* As cli_send(), on the loop of the command. False, without an error text, when it was given up. */
bool lock_ask(struct lock *l, struct cli_call *c);
void lock_pause(struct lock *l, uint64_t ms);

#endif
