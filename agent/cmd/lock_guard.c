#include "lock_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"

#define LOOK_MS 50

/* -- the guard: only calls that are safe behind fork() ----------------------------------------- */

/* The number stays the group's as long as one of it is there. Nothing tells when the last has gone:
 * it is looked for. */
static void group_end(int leader)
{
    int waited = 0;

    if (leader <= 0 || kill(-leader, SIGTERM) != 0) {
        return;
    }
    for (; waited < LOCK_KILL_MS && kill(-leader, 0) == 0; waited += LOOK_MS) {
        (void)poll(NULL, 0, LOOK_MS);
    }
    if (waited >= LOCK_KILL_MS) {
        (void)kill(-leader, SIGKILL);
    }
}

_Noreturn static void guard(int from)
{
    int leader = 0, next = 0;

    (void)setsid(); /* what a terminal sends to `muster lock` is not for us */
    /* Nobody may wait for the end of a file or of a connection because we hold it, too. */
    if (dup2(from, 0) != 0 || close_range(1, ~0U, 0) != 0) {
        _exit(1);
    }
    for (;;) {
        ssize_t got = read(0, &next, sizeof next); /* a pipe gives whole numbers back */

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got != (ssize_t)sizeof next) {
            break;
        }
        leader = next;
    }
    group_end(leader);
    _exit(0);
}

/* -- and who is guarded ------------------------------------------------------------------------ */

bool lock_guard_open(struct lock_guard *g)
{
    int ends[2];

    *g = (struct lock_guard){ .pipe = -1 };
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return false;
    }
    g->pid = fork();
    if (g->pid == 0) {
        guard(ends[0]);
    }
    int why = errno;

    (void)close(ends[0]);
    if (g->pid < 0) {
        (void)close(ends[1]);
        errno = why;
        return false;
    }
    g->pipe = ends[1];
    return true;
}

void lock_guard_watch(struct lock_guard *g, int pid)
{
    ssize_t put;

    if (g->pipe < 0) {
        return;
    }
    do {
        put = write(g->pipe, &pid, sizeof pid);
    } while (put < 0 && errno == EINTR);
    MU_ASSERT(put == (ssize_t)sizeof pid || put < 0); /* < 0: somebody killed the guard */
}

void lock_guard_close(struct lock_guard *g)
{
    if (g->pipe < 0) {
        return;
    }
    (void)close(g->pipe);
    while (waitpid(g->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    g->pipe = -1;
}
