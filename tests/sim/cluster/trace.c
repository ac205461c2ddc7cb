/* trace.c - the last lines of a run, and how a run fails.
 *
 * Everything that fails ends here: our own checks, those of the two simulators below (they abort),
 * assertions of the cores, sanitizers.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cluster.h"

enum { LINES = 60, LINE_BYTES = 240 };

static struct {
    char lines[LINES][LINE_BYTES];
    uint64_t count;
    const struct cluster *running;
} story;

static void remember(void *data, const char *line)
{
    const struct cluster *c = data;

    (void)snprintf(story.lines[story.count++ % LINES], LINE_BYTES, "%s", line);
    if (c->options.is_verbose) {
        (void)printf("%s\n", line);
    }
}

void cluster_say(const struct cluster *c, const char *fmt, ...)
{
    char text[LINE_BYTES - 32];
    char line[LINE_BYTES];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)snprintf(line, sizeof line, "[%llu] %s", U(c->now_ms), text);
    c->log->line(c->log->line_data, line);
}

_Noreturn void cluster_fail(const struct cluster *c, const char *fmt, ...)
{
    va_list args;

    (void)c;
    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
    (void)fputc('\n', stderr);
    abort();
}

static void on_abort(int number)
{
    const struct cluster *c = story.running;

    (void)number;
    if (c != NULL) {
        (void)fprintf(stderr,
                      "sim_cluster: seed %llu, step %llu, virtual time %llu ms; before it:\n",
                      U(c->options.seed), U(c->log->steps), U(c->now_ms));
        for (uint64_t i = story.count > LINES ? story.count - LINES : 0; i < story.count; i++) {
            (void)fprintf(stderr, "  %s\n", story.lines[i % LINES]);
        }
        (void)fprintf(stderr,
                      "repeat with: sim_cluster --seed %llu --seconds %llu --servers %zu "
                      "--clients %zu\n",
                      U(c->options.seed), U(c->options.seconds), c->options.servers,
                      c->options.clients);
    }
    _exit(1);
}

void trace_begin(struct cluster *c)
{
    (void)signal(SIGABRT, on_abort);
    story.count = 0;
    story.running = c;
    c->log->line = remember;
    c->log->line_data = c;
    c->log->shows_level = MU_INFO;
}

void trace_end(void)
{
    story.running = NULL;
}

/* Sanitizers end with the story as well. */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

const char *__asan_default_options(void)
{
    return "abort_on_error=1";
}

const char *__ubsan_default_options(void)
{
    return "abort_on_error=1:print_stacktrace=1";
}
