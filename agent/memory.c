/* memory.c - what the heap holds and nobody needs any more goes back to the kernel.
 *
 * A client agent lets go of its start's leftovers, once. A server's heap grows under load, with the
 * entries and requests that are under way; when that has passed, malloc still has the pages. Looked
 * at every few seconds, and acted upon only when there is time: it holds malloc's locks.
 */
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/footprint.h"
#include "core.h"

#define START_MS 15000U /* from the start until a client agent is at rest, mostly */
#define LOOK_MS  5000U  /* between looks of a server */
#define WORTH    (3U * 1024 * 1024)

/* Of all threads, since the start. */
static uint64_t processor_ns(void)
{
    struct timespec ts;

    MU_ASSERT(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts) == 0);
    return (uint64_t)ts.tv_sec * (uint64_t)MU_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void on_started(void *data)
{
    (void)data;
    mu_footprint_shrink();
}

static void on_look(void *data)
{
    struct agent *a = data;
    uint64_t used_ns = processor_ns();
    bool has_time = used_ns - a->processor_ns < LOOK_MS / 2 * (uint64_t)MU_NS_PER_MS;

    a->processor_ns = used_ns;
    if (has_time && mu_footprint_is_loose(WORTH)) {
        mu_footprint_shrink();
    }
    timer_set(a->timers, &a->memory_timer, LOOK_MS, on_look, a);
}

void agent__memory_open(struct agent *a)
{
    if (agent_is_server(a)) {
        mu_footprint_bound();
        timer_set(a->timers, &a->memory_timer, LOOK_MS, on_look, a);
    } else {
        timer_set(a->timers, &a->memory_timer, START_MS, on_started, a);
    }
}

void agent__memory_close(struct agent *a)
{
    timer_cancel(&a->memory_timer);
}
