/* world.c - events in the order of their time, and how a run fails.
 *
 * Everything that fails ends here: our own checks, assertions of the code under test, sanitizers.
 */
#include "world.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "sim_posix.h"
#include "sim_vfs.h"

enum { LINES = 200, LINE_BYTES = 320 };

static struct {
    char lines[LINES][LINE_BYTES];
    uint64_t count;
    struct world *running;
} story;

/* -- events -------------------------------------------------------------------------------------
 */

void event_set(struct world *w, struct event *e, uint64_t at_us, event_fn *fire, void *data)
{
    e->fire = fire;
    e->data = data;
    mu_heap_put(&w->events, &e->node, at_us < w->now ? w->now : at_us);
}

void event_cancel(struct world *w, struct event *e)
{
    mu_heap_remove(&w->events, &e->node);
}

bool event_is_set(const struct event *e)
{
    return mu_heap_has(&e->node);
}

static bool run_one(struct world *w, uint64_t until_us)
{
    struct mu_heap_node *first = mu_heap_first(&w->events);

    if (first == NULL || first->key > until_us) {
        return false;
    }
    struct event *e = MU_CONTAINER(first, struct event, node);

    w->now = first->key > w->now ? first->key : w->now;
    w->steps++;
    mu_heap_remove(&w->events, first);
    e->fire(e->data);
    return true;
}

void world_run(struct world *w, uint64_t until_us)
{
    while (run_one(w, until_us)) {
    }
    w->now = until_us > w->now ? until_us : w->now;
}

bool world_run_until(struct world *w, bool (*is_done)(struct world *w), uint64_t until_us)
{
    while (!is_done(w)) {
        uint64_t next = w->now + 50 * MS;

        if (w->now >= until_us) {
            return false;
        }
        world_run(w, next < until_us ? next : until_us);
    }
    return true;
}

void world_note(struct world *w, uint64_t v)
{
    w->hash = (w->hash ^ v ^ w->now) * UINT64_C(0x9e3779b97f4a7c15);
    w->hash ^= w->hash >> 29;
}

/* -- words --------------------------------------------------------------------------------------
 */

static const char *const faults[] = {
#define FAULT_TEXT(name) [FAULT_##name] = #name,
    WORLD_FAULTS(FAULT_TEXT)
#undef FAULT_TEXT
};

const char *world_fault_text(size_t fault)
{
    return fault < MU_LEN(faults) ? faults[fault] : "?";
}

bool world_has(const struct world *w, enum world_fault fault)
{
    return (w->options.off & (UINT64_C(1) << fault)) == 0;
}

bool world_happens(struct mu_rand *r, double probability)
{
    return probability > 0 && mu_rand_unit(r) < probability;
}

static void remember(const struct world *w, const char *line)
{
    char *to = story.lines[story.count++ % LINES];

    (void)snprintf(to, LINE_BYTES, "[%llu.%06llu] %s", U(w->now / SECOND), U(w->now % SECOND),
                   line);
    if (w->options.is_verbose) {
        (void)printf("%s\n", to);
    }
}

void world_say(struct world *w, const char *fmt, ...)
{
    char text[LINE_BYTES - 24];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    remember(w, text);
}

/* Lines of the servers' own log. */
static void on_line(void *data, enum mu_log_level level, struct mu_span line)
{
    struct world *w = data;
    size_t stamp = 25; /* of the real clock */

    (void)level;
    if (line.bytes > stamp) {
        char text[LINE_BYTES - 24];

        (void)snprintf(text, sizeof text, "%.*s", (int)(line.bytes - stamp),
                       (const char *)line.data + stamp);
        marks_line(text);
        world_say(w, "    %s", text);
    }
}

static void story_print(void)
{
    const struct world *w = story.running;
    uint64_t first = story.count > LINES ? story.count - LINES : 0;

    for (uint64_t i = first; i < story.count; i++) {
        (void)fprintf(stderr, "%s\n", story.lines[i % LINES]);
    }
    if (w == NULL) {
        return;
    }
    (void)fprintf(stderr, "seed %llu, %llu steps, off:", U(w->options.seed), U(w->steps));
    for (size_t i = 0; i < FAULTS_COUNT; i++) {
        if (!world_has(w, (enum world_fault)i)) {
            (void)fprintf(stderr, " %s", world_fault_text(i));
        }
    }
    (void)fprintf(stderr, "\nagain: sim_server --tape \"%llu%s%s\"\n", U(w->options.seed),
                  w->options.is_beyond ? " --beyond 1" : "",
                  w->options.is_small ? " --small 1" : "");
}

_Noreturn void world_fail(struct world *w, const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    remember(w, text);
    story_print();
    (void)fprintf(stderr, "%s\n", text);
    story.running = NULL;
    _exit(1);
}

/* An assertion of the code under test, or the address sanitizer. */
static void on_abort(int number)
{
    (void)number;
    story_print();
    _exit(1);
}

/* -- life ---------------------------------------------------------------------------------------
 */

static void random_begin(struct world *w)
{
    struct mu_rand seeds;

    mu_rand_seed(&seeds, w->options.seed);
    mu_rand_seed(&w->rand, mu_rand_u64(&seeds));
    mu_rand_seed(&w->net_rand, mu_rand_u64(&seeds));
    mu_rand_seed(&w->disk_rand, mu_rand_u64(&seeds));
    sim_vfs_begin(mu_rand_u64(&seeds));
    mu_rand_seed(&w->more_rand, mu_rand_u64(&seeds));
    mu_rand_seed(&w->late_rand, mu_rand_u64(&seeds));
    mu_rand_seed(&w->scrub_rand, mu_rand_u64(&seeds));
    mu_rand_seed(&w->calls_rand, mu_rand_u64(&seeds));
    mu_rand_seed(&w->wound_rand, mu_rand_u64(&seeds));
    mu_rand_seed(&w->version_rand, mu_rand_u64(&seeds));
}

/* In some runs nearly nothing is written to the log, or all of it. */
static enum mu_log_level level_of(const struct world_options *o)
{
    return o->is_verbose || o->seed % 8 == 6 ? MU_DEBUG : o->seed % 4 == 3 ? MU_ERROR : MU_INFO;
}

struct world *world_new(const struct world_options *options)
{
    struct world *w = mu_new(sizeof *w);

    w->options = *options;
    story.count = 0;
    story.running = w;
    (void)signal(SIGABRT, on_abort);
    mu_log_set_fd(-1);
    mu_log_set_tap(on_line, w, level_of(options));
    mu_log_set_level(level_of(options));
    random_begin(w);
    sim_posix_begin(tasks_nap, w);
    torture_begin(w);
    for (size_t i = 0; i < w->servers_count; i++) {
        server_init(w, i);
    }
    calls_servers(w);
    facts_begin(w);
    net_begin(w);
    churn_begin(w);
    clients_begin(w);
    if (w->options.is_small) {
        small_begin(w);
    }
    return w;
}

void world_free(struct world *w)
{
    for (size_t i = 0; i < w->servers_count; i++) {
        server_deinit(&w->servers[i]);
    }
    net_free(w);
    churn_end(w);
    clients_free(w);
    facts_free(w);
    sim_vfs_end();
    sim_posix_end();
    mu_heap_deinit(&w->events);
    mu_log_set_tap(NULL, NULL, MU_ERROR);
    story.running = NULL;
    mu_free(w);
}
