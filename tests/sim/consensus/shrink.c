/* shrink.c - of a failing run, one that fails in the same way with less in it.
 *
 * In this order, until nothing helps any more: whole classes off, fewer servers, a shorter run,
 * fewer acts (ddmin: Zeller and Hildebrandt 2002), shorter durations (spec/consensus.md 4.5). Each
 * try is a process of its own, for it ends by abort(). That streams are split makes this work: what
 * is left happens as before, as far as it can.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "drive.h"

enum { SAYS_BYTES = 64, FIRST_BYTES = 512, TRY_SECONDS = 60 };

struct shrink {
    tape_run_fn *run;
    unsigned runs, runs_max;
    char says[SAYS_BYTES]; /* what is wrong, without names and numbers */
    struct tape *shared;   /* the acts of the last try, told by the child */
};

/* "I6: b commits .." -> "I6"; an assertion: its line, without digits. */
static void essence(const char *first, char to[SAYS_BYTES])
{
    const char *time = strstr(first, ", time ");
    const char *at = time != NULL ? strstr(time, ": ") : NULL;
    size_t used = 0;

    at = at != NULL ? at + 2 : first;
    size_t stop = time != NULL ? strcspn(at, ":\n") : strcspn(at, "\n");

    for (size_t i = 0; i < stop && used + 1 < SAYS_BYTES; i++) {
        if (time != NULL && stop < 4) {
            to[used++] = at[i]; /* the number of an invariant */
        } else if (strchr("0123456789", at[i]) == NULL) {
            to[used++] = at[i];
        }
    }
    to[used] = '\0';
}

static struct tape *shared_tape(void)
{
    size_t bytes = sizeof(struct tape) + TAPE_EVENTS_MAX * sizeof(struct tape_event);
    struct tape *t = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    MU_ASSERT(t != MAP_FAILED);
    t->events = (struct tape_event *)(t + 1);
    return t;
}

static void child(struct shrink *s, const struct tape *t, const int to[2])
{
    (void)close(to[0]);
    (void)dup2(to[1], STDERR_FILENO);
    (void)alarm(TRY_SECONDS);
    s->run(t, s->shared);
    _exit(0);
}

/* False: it ends well, or takes too long. */
static bool try_run(struct shrink *s, const struct tape *t, char says[SAYS_BYTES])
{
    char first[FIRST_BYTES] = "";
    size_t used = 0;
    int to[2];
    int status = 0;

    s->shared->count = 0;
    s->runs++;
    MU_ASSERT(pipe(to) == 0);
    pid_t pid = fork();

    MU_ASSERT(pid >= 0);
    if (pid == 0) {
        child(s, t, to);
    }
    (void)close(to[1]);
    for (;;) {
        char rest[FIRST_BYTES];
        ssize_t n = read(to[0], rest, sizeof rest);

        if (n <= 0) {
            break;
        }
        for (ssize_t i = 0; i < n && used + 1 < sizeof first; i++) {
            first[used++] = rest[i];
        }
    }
    first[used] = '\0';
    (void)close(to[0]);
    MU_ASSERT(waitpid(pid, &status, 0) == pid);
    essence(first, says);
    return WIFEXITED(status) && WEXITSTATUS(status) != 0;
}

static bool fails_too(struct shrink *s, const struct tape *t)
{
    char says[SAYS_BYTES];

    return s->runs < s->runs_max && try_run(s, t, says) && strcmp(says, s->says) == 0;
}

/* Take over what was tried. */
static void keep(struct tape *t, const struct tape *tried)
{
    struct tape_event *events = t->events;

    *t = *tried;
    t->events = events;
    memcpy(events, tried->events, tried->count * sizeof *events);
}

static bool classes_off(struct shrink *s, struct tape *t)
{
    bool did = false;

    for (size_t i = 0; i < DRIVE_CLASSES_COUNT; i++) {
        if ((t->off >> i) & 1U) {
            continue;
        }
        struct tape *tried = tape_copy(t);

        tried->off |= UINT64_C(1) << i;
        tried->count = 0;
        for (size_t j = 0; j < t->count; j++) {
            if (t->events[j].act != i) {
                tried->events[tried->count++] = t->events[j];
            }
        }
        if (fails_too(s, tried)) {
            keep(t, tried);
            did = true;
        }
        tape_free(tried);
    }
    return did;
}

static bool fewer_nodes(struct shrink *s, struct tape *t)
{
    for (uint32_t n = 1; n <= 5 && (t->nodes == 0 || n < t->nodes); n++) {
        struct tape *tried = tape_copy(t);

        tried->nodes = n;
        bool fails = fails_too(s, tried);

        if (fails) {
            keep(t, tried);
        }
        tape_free(tried);
        if (fails) {
            return true;
        }
    }
    return false;
}

/* The faults end behind the last act. */
static bool shorter(struct shrink *s, struct tape *t)
{
    struct tape *tried = tape_copy(t);
    uint64_t last = t->count > 0 ? t->events[t->count - 1].tick : 0;
    bool fails = false;

    tried->duration_ms = (last + 1) * TICK_MS;
    if (t->duration_ms == 0 || tried->duration_ms < t->duration_ms) {
        fails = fails_too(s, tried);
    }
    if (fails) {
        keep(t, tried);
    }
    tape_free(tried);
    return fails;
}

/* Without events from..to. */
static bool without(struct shrink *s, struct tape *t, size_t from, size_t to)
{
    struct tape *tried = tape_copy(t);

    memmove(tried->events + from, tried->events + to, (t->count - to) * sizeof *tried->events);
    tried->count -= to - from;
    bool fails = fails_too(s, tried);

    if (fails) {
        keep(t, tried);
    }
    tape_free(tried);
    return fails;
}

static bool fewer_events(struct shrink *s, struct tape *t)
{
    bool did = false;

    for (size_t size = (t->count + 1) / 2; size > 0 && t->count > 0; size = size / 2) {
        for (size_t from = 0; from < t->count && s->runs < s->runs_max;) {
            size_t to = from + size < t->count ? from + size : t->count;

            if (without(s, t, from, to)) {
                did = true;
            } else {
                from = to;
            }
        }
    }
    return did;
}

static bool shorter_events(struct shrink *s, struct tape *t)
{
    static const uint8_t shrinks[] = { SHRINK_MAX, 4, 2, 1 };
    bool did = false;

    for (size_t i = 0; i < t->count; i++) {
        for (size_t j = 0; j < MU_LEN(shrinks) && t->events[i].shrink < shrinks[j]; j++) {
            uint8_t was = t->events[i].shrink;

            t->events[i].shrink = shrinks[j];
            if (fails_too(s, t)) {
                did = true;
                break;
            }
            t->events[i].shrink = was;
        }
    }
    return did;
}

bool tape_shrink(struct tape *t, tape_run_fn *run, unsigned runs_max)
{
    struct shrink s = { .run = run, .runs_max = runs_max, .shared = shared_tape() };
    bool did = true;

    if (!try_run(&s, t, s.says)) {
        return false;
    }
    (void)fprintf(stderr, "fails with: %s\n", s.says);
    if (!t->is_listed) {
        struct tape *listed = tape_copy(t);

        keep(listed, s.shared);
        listed->seed = t->seed;
        listed->off = t->off;
        listed->nodes = t->nodes;
        listed->duration_ms = t->duration_ms;
        listed->is_listed = true;
        if (fails_too(&s, listed)) {
            keep(t, listed);
        } else {
            (void)fprintf(stderr, "its acts by themselves do not fail\n");
        }
        tape_free(listed);
    }
    while (did && s.runs < s.runs_max) {
        did = classes_off(&s, t);
        did = fewer_nodes(&s, t) || did;
        did = fewer_events(&s, t) || did;
        did = shorter(&s, t) || did;
        did = shorter_events(&s, t) || did;
    }
    (void)fprintf(stderr, "%u runs; %zu acts are left\n", s.runs, t->count);
    return true;
}
