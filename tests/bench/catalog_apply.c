/* catalog_apply.c - what the apply thread can do: puts, registrations, reads, wake-ups.
 *
 * usage: catalog_apply [directory for the state file]
 *
 * The file lies in a directory of its own, by default below /tmp. Commands are encoded beforehand,
 * as they come out of the log; decoding is measured, as it is part of applying.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "catalog/catalog.h"
#include "catalog/query.h"
#include "catalog/watch.h"
#include "proto/command.h"

#define KEYS        20000
#define PUTS        200000
#define CHUNK       2000
#define OVERWRITES  1000000
#define VALUE_BYTES 256
#define NODES       2000
#define INSTANCES   10
#define READS       400000
#define TURN        64 /* lookups that share a read transaction */
#define WAITERS     50000

struct bench {
    char dir[256];
    char path[300];
    struct catalog *catalog;
    struct catalog_reader *reader;
    uint64_t index;
    struct mu_buf *commands;
    size_t commands_count;
};

static void must(enum mu_code rc, const struct mu_err *err)
{
    if (rc != MU_OK) {
        (void)fprintf(stderr, "%s: %s\n", mu_code_text(rc), err->text);
        exit(1);
    }
}

/* -- time -------------------------------------------------------------------------------------- */

struct lap {
    uint64_t wall_ns, cpu_ns;
};

static struct lap lap_now(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (struct lap){ mu_clock_ns(),
                         (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000U +
                             (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000U };
}

static void lap_add(struct lap *sum, struct lap start)
{
    struct lap now = lap_now();

    sum->wall_ns += now.wall_ns - start.wall_ns;
    sum->cpu_ns += now.cpu_ns - start.cpu_ns;
}

static void report_lap(const char *what, struct lap took, size_t count)
{
    double wall = (double)took.wall_ns;
    double cpu = (double)took.cpu_ns;

    (void)printf("%-44s %9.0f /s   %7.2f us wall  %7.2f us cpu\n", what, (double)count * 1e9 / wall,
                 wall / 1e3 / (double)count, cpu / 1e3 / (double)count);
    (void)fflush(stdout);
}

static void report(const char *what, struct lap start, size_t count)
{
    struct lap took = { 0, 0 };

    lap_add(&took, start);
    report_lap(what, took, count);
}

static void report_memory(const char *when)
{
    struct mu_buf text = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;

    must(mu_file_read("/proc/self/status", 65536, &text, &err), &err);
    const char *at = strstr(mu_buf_text(&text), "VmRSS:");

    (void)printf("%-44s %9.0f KiB resident\n", when, at != NULL ? strtod(at + 6, NULL) : 0.0);
    mu_buf_deinit(&text);
}

/* -- applying ---------------------------------------------------------------------------------- */

static void apply_all(struct bench *b, size_t batch)
{
    struct mu_err err = MU_ERR_NONE;

    for (size_t i = 0; i < b->commands_count; i += batch) {
        struct catalog_changes *changes = NULL;
        uint64_t durable = 0;

        must(catalog_begin(b->catalog, &err), &err);
        for (size_t k = i; k < i + batch && k < b->commands_count; k++) {
            struct catalog_result result;

            must(catalog_apply(b->catalog, ++b->index, 1, mu_buf_span(&b->commands[k]), &result,
                               &err),
                 &err);
            MU_ASSERT(result.code == MU_OK);
        }
        must(catalog_commit(b->catalog, &changes, &err), &err);
        catalog_changes_free(changes);
        must(catalog_checkpoint(b->catalog, false, &durable, &err), &err);
    }
}

static void commands_clear(struct bench *b)
{
    for (size_t i = 0; i < b->commands_count; i++) {
        mu_buf_deinit(&b->commands[i]);
    }
    mu_free(b->commands);
    b->commands = NULL;
    b->commands_count = 0;
}

static void key_name(size_t i, char name[32])
{
    (void)snprintf(name, 32, "config/service/%05zu/entry", (i * 7919) % KEYS); /* 26 bytes */
}

/* Puts number `first` and on; those of another salt have other values. */
static void make_puts(struct bench *b, size_t count, size_t first, size_t salt)
{
    uint8_t value[VALUE_BYTES];
    struct mu_err err = MU_ERR_NONE;

    memset(value, 'v', sizeof value);
    b->commands = mu_new_array(count, sizeof *b->commands);
    b->commands_count = count;
    for (size_t i = 0; i < count; i++) {
        char name[32];
        size_t mark = first + i + salt;
        struct command c = { .kind = COMMAND_KV_SET, .stamp_ms = 1764000000000 + mark };

        memset(c.origin.server.b, 1, sizeof c.origin.server.b);
        c.origin.seq = mark;
        key_name(first + i, name);
        memcpy(value, &mark, sizeof mark); /* each differs from the one before */
        c.kv_set.key = mu_span_text(name);
        c.kv_set.value = mu_span_of(value, sizeof value);
        must(command_encode(&c, &b->commands[i], &err), &err);
    }
}

static uint64_t file_bytes(const char *path)
{
    struct stat s;

    MU_ASSERT(stat(path, &s) == 0);
    return (uint64_t)s.st_size;
}

static void bench_puts(struct bench *b)
{
    static const size_t batches[] = { 1, 64, 256, 1024 };

    for (size_t i = 0; i < MU_LEN(batches); i++) {
        size_t count = batches[i] == 1 ? PUTS / 10 : PUTS;
        struct lap sum = { 0, 0 };
        char what[64];

        for (size_t done = 0; done < count; done += CHUNK) { /* few at a time: memory is measured */
            make_puts(b, CHUNK, done, i * PUTS);
            struct lap start = lap_now();

            apply_all(b, batches[i]);
            lap_add(&sum, start);
            commands_clear(b);
        }
        (void)snprintf(what, sizeof what, "puts, %zu to a transaction", batches[i]);
        report_lap(what, sum, count);
    }
}

/* Overwriting, with a step of compaction after each 256 puts, as a leader proposes them: what the
 * steps cost, and how large the file gets. */
static void bench_compaction(struct bench *b)
{
    struct lap puts = { 0, 0 };
    struct lap steps = { 0, 0 };
    uint64_t bytes_max = 0;
    struct mu_err err = MU_ERR_NONE;

    for (size_t done = 0; done < OVERWRITES; done += 256) {
        struct command c = { .kind = COMMAND_KV_COMPACT,
                             .kv_compact = { .space = 1, .versions_rev = b->index, .rows = 1024 } };
        struct mu_buf step = MU_BUF_NONE;
        uint64_t size;

        make_puts(b, 256, done, 9 * PUTS);
        struct lap start = lap_now();

        apply_all(b, 256);
        lap_add(&puts, start);
        commands_clear(b);
        must(command_encode(&c, &step, &err), &err);
        b->commands = &step;
        b->commands_count = 1;
        start = lap_now();
        apply_all(b, 1);
        lap_add(&steps, start);
        mu_buf_deinit(&step);
        b->commands = NULL;
        size = file_bytes(b->path);
        bytes_max = size > bytes_max ? size : bytes_max;
    }
    report_lap("puts, 256 to a transaction", puts, OVERWRITES);
    report_lap("compaction after each 256, by put", steps, OVERWRITES);
    (void)printf("%-44s %9.1f MiB at most, %d keys of %d bytes overwritten %d times\n", "the file",
                 (double)bytes_max / 1048576.0, KEYS, VALUE_BYTES, OVERWRITES / KEYS);
}

/* A node with a service and two checks each, ten nodes to a service. */
static void make_registrations(struct bench *b)
{
    struct mu_err err = MU_ERR_NONE;

    b->commands = mu_new_array(NODES, sizeof *b->commands);
    b->commands_count = NODES;
    for (size_t i = 0; i < NODES; i++) {
        char node[32];
        char service[32];
        struct mu_pair meta[] = { { MU_SPAN_LIT("version"), MU_SPAN_LIT("1.2.3") } };
        struct mu_span tags[] = { MU_SPAN_LIT("primary"), MU_SPAN_LIT("v1") };
        struct command_check checks[] = {
            { .id = MU_SPAN_LIT("serfHealth"),
              .status = MU_SPAN_LIT("passing"),
              .output = MU_SPAN_LIT("Agent alive and reachable") },
            { .id = MU_SPAN_LIT("service:web"),
              .status = MU_SPAN_LIT("passing"),
              .service_id = mu_span_text(service),
              .type = MU_SPAN_LIT("http") },
        };
        struct command c = { .kind = COMMAND_REGISTER };

        (void)snprintf(node, sizeof node, "node-%05zu", i);
        (void)snprintf(service, sizeof service, "service-%04zu", i / INSTANCES);
        c.reg.node = (struct command_node){ .name = mu_span_text(node),
                                            .address = MU_SPAN_LIT("10.1.2.3"),
                                            .has_meta = true,
                                            .meta = { meta, 1 } };
        c.reg.has_service = true;
        c.reg.service = (struct command_service){ .name = mu_span_text(service),
                                                  .port = 8080,
                                                  .tags = { tags, 2 } };
        checks[1].service_id = mu_span_text(service);
        c.reg.checks = checks;
        c.reg.checks_count = 2;
        must(command_encode(&c, &b->commands[i], &err), &err);
    }
}

static void bench_registrations(struct bench *b)
{
    make_registrations(b);
    struct lap start = lap_now();

    apply_all(b, 64);
    report("registrations (node, service, 2 checks)", start, NODES);
    start = lap_now();
    apply_all(b, 64);
    report("the same again, nothing changes", start, NODES);
    commands_clear(b);
}

/* -- reading ----------------------------------------------------------------------------------- */

static void bench_reads(struct bench *b)
{
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;
    struct lap start = lap_now();

    mu_arena_init(&arena, 0);
    for (size_t i = 0; i < READS; i++) {
        struct catalog_kvs kvs;
        char name[32];

        key_name(i * 31, name);
        must(catalog_query_key(b->reader, &arena, mu_span_text(name), &kvs, &err), &err);
        MU_ASSERT(kvs.count == 1);
        if (i % TURN == TURN - 1) {
            catalog_reader_release(b->reader);
        }
        mu_arena_reset(&arena);
    }
    catalog_reader_release(b->reader);
    report("point reads, 64 to a turn", start, READS);

    start = lap_now();
    for (size_t i = 0; i < NODES / INSTANCES * 50; i++) {
        struct catalog_instances list;
        char name[32];

        (void)snprintf(name, sizeof name, "service-%04zu", i % (NODES / INSTANCES));
        must(
            catalog_query_instances(b->reader, &arena, mu_span_text(name), NULL, true, &list, &err),
            &err);
        MU_ASSERT(list.count == INSTANCES && list.items[0].checks_count == 2);
        catalog_reader_release(b->reader);
        mu_arena_reset(&arena);
    }
    report("health of a service with 10 instances", start, NODES / INSTANCES * 50);

    start = lap_now();
    struct catalog_keys keys;

    must(catalog_query_keys(b->reader, &arena, MU_SPAN_LIT("config/"), MU_SPAN_NONE, &keys, &err),
         &err);
    catalog_reader_release(b->reader);
    report("keys below a prefix, each", start, keys.count);
    mu_arena_deinit(&arena);
}

/* -- waking ------------------------------------------------------------------------------------ */

static void on_fire(void *data)
{
    (*(size_t *)data)++;
}

static void bench_watch(void)
{
    struct catalog_watch *w = catalog_watch_new();
    struct catalog_wait **waits = mu_new_array(WAITERS, sizeof *waits);
    struct catalog_changes *changes = catalog_changes_new();
    size_t fired = 0;
    struct lap start = lap_now();

    for (size_t i = 0; i < WAITERS; i++) {
        char name[32];
        struct catalog_topic t = { i % 2 == 0 ? CATALOG_PREFIX : CATALOG_KEY, MU_SPAN_NONE };

        (void)snprintf(name, sizeof name, "other/%zu/", i);
        t.name = mu_span_text(name);
        waits[i] = catalog_watch_add(w, &t, 1, on_fire, &fired);
    }
    report("waits added", start, WAITERS);
    for (size_t i = 0; i < KEYS; i++) {
        char name[32];

        key_name(i, name);
        catalog_changes_add(changes, CATALOG_KEY, mu_span_text(name));
    }
    start = lap_now();
    catalog_watch_fire(w, changes);
    report("keys that concern none of 50000 waiters", start, KEYS);
    MU_ASSERT(fired == 0);
    for (size_t i = 0; i < WAITERS; i++) {
        catalog_watch_cancel(waits[i]);
    }
    catalog_changes_free(changes);
    catalog_watch_free(w);
    mu_free(waits);
}

int main(int argc, char **argv)
{
    struct bench b = { .commands = NULL };
    struct mu_err err = MU_ERR_NONE;
    uint64_t durable = 0;

    (void)snprintf(b.dir, sizeof b.dir, "%s/muster-bench-XXXXXX", argc > 1 ? argv[1] : "/tmp");
    MU_ASSERT(mkdtemp(b.dir) != NULL);
    (void)snprintf(b.path, sizeof b.path, "%s/state.db", b.dir);
    report_memory("start");
    must(catalog_open(&b.catalog, &(struct catalog_options){ .path = b.path }, &err), &err);
    must(catalog_reader_open(&b.reader, b.path, NULL, &err), &err);
    report_memory("open");
    bench_registrations(&b);
    report_memory("2000 nodes");
    bench_puts(&b);
    bench_reads(&b);
    (void)printf("%-44s %9.1f MiB, every version kept\n", "the file",
                 (double)file_bytes(b.path) / 1048576.0);
    bench_compaction(&b);
    report_memory("after puts and reads");
    must(catalog_checkpoint(b.catalog, true, &durable, &err), &err);
    catalog_reader_rest(b.reader);
    report_memory("at rest");
    bench_watch();
    catalog_reader_close(b.reader);
    catalog_close(b.catalog);
    must(mu_dir_remove(b.dir, &err), &err);
    return 0;
}
