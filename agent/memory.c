/* memory.c - what grows under load, with its bounds; and what the heap holds and nobody needs any
 * more goes back to the kernel.
 *
 *   part          what it is                                  when it is full
 *   http_bodies   of requests that are read or served         429
 *   http_answers  answers and requests on connections         the slowest reader goes, then 429
 *   log_entries   not applied, not sent or just recent        429 at the leader; else from disk
 *   apply         copies for the apply thread                 it takes no more, the log has them
 *   rpc_answers   to other agents                             refused: 429 at the client agent
 *   rpc_calls     entries to servers, requests to them        dropped and sent again
 *
 * Each part is counted where it grows (web/request.c, web/held.c, consensus/pool.c, apply.c,
 * rpc_uv.c), in bytes; limits.h says how much each may be, and that all of them together with the
 * pages that SQLite keeps are no more than MU_SERVER_BYTES_MAX.
 *
 * What the start, or a storm, has touched stays resident until somebody lets go of it. A client
 * agent does so each time it comes to rest after WORK_NS of work: what it needs at rest is mapped
 * again, for about a hundredth of that work. A server's heap grows under load, with the entries
 * and requests that are under way; when that has passed, malloc still has the pages. Acted upon
 * only when there is time: it holds malloc's locks.
 */
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/footprint.h"
#include "core.h"

#define LOOK_MS           5000U
#define REST_NS           (LOOK_MS / 100 * (uint64_t)MU_NS_PER_MS) /* of work, from look to look */
#define WORK_NS           (20 * (uint64_t)MU_NS_PER_MS)            /* touches enough to let go of */
#define WORTH             (3U * 1024 * 1024)                       /* of a server's heap */
#define RPC_CALLS_SERVERS 4U /* others, in a cluster of five */

/* Of all threads, since the start. */
static uint64_t processor_ns(void)
{
    struct timespec ts;

    MU_ASSERT(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts) == 0);
    return (uint64_t)ts.tv_sec * (uint64_t)MU_NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void look_at_client(struct agent *a, uint64_t used_ns)
{
    bool at_rest = used_ns - a->memory.looked_ns < REST_NS;

    if (at_rest && used_ns - a->memory.shrunk_ns >= WORK_NS) {
        mu_footprint_shrink();
        a->memory.shrunk_ns = used_ns;
    }
}

static void look_at_server(struct agent *a, uint64_t used_ns)
{
    bool has_time = used_ns - a->memory.looked_ns < LOOK_MS / 2 * (uint64_t)MU_NS_PER_MS;

    if (has_time && mu_footprint_is_loose(WORTH)) {
        mu_footprint_shrink();
    }
}

static void on_look(void *data)
{
    struct agent *a = data;
    uint64_t used_ns = processor_ns();

    if (agent_is_server(a)) {
        look_at_server(a, used_ns);
    } else {
        look_at_client(a, used_ns);
    }
    a->memory.looked_ns = used_ns;
    timer_set(a->timers, &a->memory.timer, LOOK_MS, on_look, a);
}

size_t agent__memory_look(const struct agent *a, struct agent__memory parts[AGENT__MEMORY_PARTS])
{
    struct agent_front_held front = { .evicted_count = 0 };
    struct rpc_held rpc = rpc_held(a->rpc);
    struct agent_held entries = { 0, 0 };
    struct agent_held apply = { 0, 0 };
    size_t count = 0;

    if (a->front.held != NULL) {
        a->front.held(a->front.data, &front);
    }
    parts[count++] = (struct agent__memory){ "http_bodies", MU_HTTP_BODIES_MAX, front.bodies };
    parts[count++] =
        (struct agent__memory){ "http_answers", MU_HTTP_HELD_MAX + MU_HTTP_HELD_RESERVE,
                                front.answers };
    parts[count++] = (struct agent__memory){ "rpc_answers",
                                             MU_RPC_HELD_MAX,
                                             { rpc.answers_bytes, rpc.answers_most } };
    parts[count++] = (struct agent__memory){ "rpc_calls",
                                             RPC_CALLS_SERVERS * MU_RPC_BULK_MAX,
                                             { rpc.calls_bytes, rpc.calls_most } };
    if (a->consensus != NULL) {
        consensus_driver_entries(a->consensus, &entries.bytes, &entries.most);
        apply_held(a->apply, &apply.bytes, &apply.most);
        parts[count++] = (struct agent__memory){ "log_entries", MU_ENTRY_POOL_MAX, entries };
        parts[count++] = (struct agent__memory){ "apply", MU_APPLY_HELD_MAX, apply };
    }
    MU_ASSERT(count <= AGENT__MEMORY_PARTS);
    return count;
}

void agent__memory_open(struct agent *a)
{
    if (agent_is_server(a)) {
        mu_footprint_bound();
    }
    timer_set(a->timers, &a->memory.timer, LOOK_MS, on_look, a);
}

void agent__memory_close(struct agent *a)
{
    timer_cancel(&a->memory.timer);
}
