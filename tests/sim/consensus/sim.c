/* sim.c - clusters of the shipped consensus cores under faults that are drawn from a seed.
 *
 * A run first draws what kind of run it is (each class of faults is off in half of them), then
 * lives through it (phases.c). Whatever fails prints a tape, which repeats it exactly.
 *
 *   sim_consensus --seeds 40 --fresh 40    seeds 1..40, and 40 nobody has seen
 *   sim_consensus --seconds 60 --twice 1   fresh seeds for a minute, each twice with equal hash
 *   sim_consensus --seed 123               that one again, with the end of its story if it fails
 *   sim_consensus --tape "123 off loss"    the same with less in it
 *   sim_consensus --kept FILE              a tape a line, # comments; each twice
 *   sim_consensus --shrink 123             a smaller tape that fails in the same way
 *   sim_consensus --silent 1               without the story: the seed of a failure alone
 *   sim_consensus --seeds 2000 --marks 1   what was reached, and fails if something never was
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/rand.h"
#include "drive.h"

enum { LINES = 200, LINE_BYTES = 256, TAPE_BYTES = 1 << 20, SHRINK_RUNS = 1500 };

struct story { /* the last lines of a traced run */
    char lines[LINES][LINE_BYTES];
    uint64_t count;
};

static struct story story;
static const struct tape *running;
static bool is_telling, is_silent, is_child;
static const char *program;

static void remember(void *data, const char *line)
{
    (void)data;
    (void)snprintf(story.lines[story.count++ % LINES], LINE_BYTES, "%s", line);
}

/* Its sentences were made, and nobody listens. */
static void forget(void *data, const char *line)
{
    (void)data;
    (void)line;
}

static void on_result(void *data, struct sim_node *n, const struct consensus_result *r)
{
    struct drive *d = data;
    const struct sim_ticket *t = &d->w->tickets[r->ticket - 1];

    uint64_t content = t->content & ~SIM_NEW_KIND;

    if (r->outcome == CONSENSUS_COMMITTED && content > d->last_committed) {
        d->last_committed = content;
    }
    sim_say(d->w, n, "%s %llu: %s, %llu", t->kind == SIM_READ ? "read" : "entry", U(t->content),
            sim_outcome_text(r), U(r->index));
}

struct sum {
    uint64_t runs, steps, acknowledged, leaders, simulated_ms, hash;
};

static struct sum sum;

static uint64_t run(const struct tape *tape, struct tape *happened)
{
    struct drive *d = mu_new(sizeof *d);

    running = tape;
    drive_draw(d, tape);
    d->happened = happened;
    d->w->on_result = on_result;
    d->w->on_result_data = d;
    d->w->shows_level = MU_TRACE;
    d->w->shows_messages = is_telling || tape->seed % 16 == 0;
    d->w->line = is_telling ? remember : tape->seed % 16 == 0 ? forget : NULL;
    drive_live(d);
    uint64_t hash = d->w->hash;

    sum.runs++;
    sum.steps += d->w->steps;
    sum.acknowledged += sim_check_acknowledged(d->w);
    sum.leaders += sim_check_leaders(d->w);
    sum.simulated_ms += d->w->now;
    sum.hash = sum.hash * 31 + hash;
    drive_free(d);
    return hash;
}

static void run_tape(const struct tape *tape, bool is_twice)
{
    uint64_t first = run(tape, NULL);

    if (is_twice && run(tape, NULL) != first) {
        (void)fprintf(stderr, "seed %llu gives two different runs\n", U(tape->seed));
        exit(1);
    }
}

static void run_seed(uint64_t seed, bool is_twice)
{
    struct tape *t = tape_new(seed);

    run_tape(t, is_twice);
    tape_free(t);
}

/* -- failing ------------------------------------------------------------------------------- */

static void story_print(void)
{
    for (uint64_t i = story.count > LINES ? story.count - LINES : 0; i < story.count; i++) {
        (void)fprintf(stderr, "%s\n", story.lines[i % LINES]);
    }
    (void)fprintf(stderr, "repeat with: %s --tape \"", program);
    tape_print(running, stderr);
    (void)fprintf(stderr, "\"\n");
}

/* A check or an assertion failed: run the tape again, with its story. */
static void on_abort(int signal_number)
{
    static char text[TAPE_BYTES];

    (void)signal_number;
    if (is_child || running == NULL) {
        _exit(1);
    }
    if (is_silent) {
        (void)fprintf(stderr, "repeat with: %s --tape %llu\n", program, U(running->seed));
        _exit(1);
    }
    if (is_telling) {
        story_print();
        _exit(1);
    }
    FILE *to = fmemopen(text, sizeof text, "w");

    if (to != NULL) {
        tape_print(running, to);
        (void)fclose(to);
        (void)execl(program, program, "--tell", text, (char *)NULL);
    }
    _exit(1);
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

/* -- what is asked ------------------------------------------------------------------------- */

static const char *word(int argc, char **argv, const char *name)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return argv[i + 1];
        }
    }
    return NULL;
}

static uint64_t number(int argc, char **argv, const char *name, uint64_t fallback)
{
    const char *text = word(argc, argv, name);

    return text != NULL ? strtoull(text, NULL, 10) : fallback;
}

static uint64_t wall_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct tape *tape_of(const char *text)
{
    struct tape *t = tape_new(0);

    if (!tape_read(t, text)) {
        (void)fprintf(stderr, "not a tape: %s\n", text);
        exit(2);
    }
    return t;
}

static void run_kept(const char *path)
{
    FILE *from = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;

    if (from == NULL) {
        (void)fprintf(stderr, "%s cannot be read\n", path);
        exit(2);
    }
    while (getline(&line, &room, from) > 0) {
        if (line[0] != '#' && line[0] != '\n') {
            struct tape *t = tape_of(line);

            run_tape(t, true);
            tape_free(t);
        }
    }
    free(line);
    (void)fclose(from);
}

static void run_once(const struct tape *t, struct tape *happened)
{
    is_child = true; /* its end is its answer */
    (void)run(t, happened);
}

static int shrink(const char *text)
{
    struct tape *t = tape_of(text);
    bool fails = tape_shrink(t, run_once, SHRINK_RUNS);

    if (!fails) {
        (void)printf("it does not fail\n");
        tape_free(t);
        return EXIT_SUCCESS;
    }
    tape_print(t, stdout);
    (void)putchar('\n');
    (void)fflush(stdout);
    is_telling = true;
    (void)run(t, NULL); /* ends in on_abort() */
    return EXIT_FAILURE;
}

static void print_sum(uint64_t began_ms)
{
    uint64_t ms = wall_ms() - began_ms + 1;

    (void)printf("%llu runs, %llu steps, %llu s simulated, %llu terms led, %llu writes kept, "
                 "hash %016llx\n",
                 U(sum.runs), U(sum.steps), U(sum.simulated_ms / 1000), U(sum.leaders),
                 U(sum.acknowledged), U(sum.hash));
    (void)printf("%llu runs/min, %llu steps/s, %.1f cluster-hours/min\n", U(sum.runs * 60000 / ms),
                 U(sum.steps * 1000 / ms), (double)sum.simulated_ms / 60.0 / (double)ms);
}

int main(int argc, char **argv)
{
    const char *one = word(argc, argv, "--tape");
    const char *told = word(argc, argv, "--tell");
    const char *kept = word(argc, argv, "--kept");
    uint64_t began_ms = wall_ms();
    bool is_twice = number(argc, argv, "--twice", 0) == 1;

    program = argv[0];
    (void)signal(SIGABRT, on_abort);
    is_telling = told != NULL;
    is_silent = number(argc, argv, "--silent", 0) == 1;
    one = one != NULL ? one : told != NULL ? told : word(argc, argv, "--seed");
    if (word(argc, argv, "--shrink") != NULL) {
        return shrink(word(argc, argv, "--shrink"));
    }
    if (one != NULL) {
        run_tape(tape_of(one), is_twice);
    }
    if (kept != NULL) {
        run_kept(kept);
    }
    uint64_t from = number(argc, argv, "--from", 1);

    for (uint64_t i = 0; i < number(argc, argv, "--seeds", argc == 1 ? 10 : 0); i++) {
        run_seed(from + i, is_twice || (from + i) % 8 == 0);
    }
    for (uint64_t i = 0; i < number(argc, argv, "--fresh", 0); i++) {
        run_seed(mu_rand_system() >> 16, is_twice);
    }
    while (wall_ms() - began_ms < 1000 * number(argc, argv, "--seconds", 0)) {
        run_seed(mu_rand_system() >> 16, is_twice);
    }
    print_sum(began_ms);
    if (number(argc, argv, "--marks", 0) == 1 && sim_marks_print(true) > 0) {
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
