/* lock_guard.h - the command of `muster lock` does not outlive it.
 *
 * When `muster lock` is killed (SIGKILL, out of memory), nobody renews its session, and some 30 s
 * later the next holder runs. A process of its own, which sits at the other end of a pipe and does
 * nothing else, sees the pipe break at that moment and ends the command and its group: SIGTERM, and
 * SIGKILL five seconds later, as `muster lock` would have done.
 *
 *   lock_guard_open -> lock_guard_watch -> ... -> lock_guard_close
 *
 * What it does not cover: both killed in one instant (kill -9 of both; the machine then), and a
 * kill in the few microseconds between the start of the command and lock_guard_watch().
 *
 * Thread:  any one. Memory: freed by close. Errors: without a guard all else is as before.
 */
#ifndef AGENT_CMD_LOCK_GUARD_H
#define AGENT_CMD_LOCK_GUARD_H

#include <stdbool.h>

struct lock_guard {
    int pipe; /* -1: none */
    int pid;
};

#define LOCK_KILL_MS 5000 /* between SIGTERM and SIGKILL */

/* False, with errno: there can be no guard. */
bool lock_guard_open(struct lock_guard *g);
/* This process leads the group that is to be ended; 0: none any more. */
void lock_guard_watch(struct lock_guard *g, int pid);
void lock_guard_close(struct lock_guard *g);

#endif
