/* consensus_log.c - what the durable log can do: start, group commit, opening, memory at rest.
 *
 * usage: consensus_log [directory]
 *
 * A log is made in a directory of its own, by default below /tmp; name one on the disk that is to
 * be measured. Each round submits as many writes of one entry as the batch says, and waits until
 * all are durable: what many clients at once would do.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "consensus/store.h"
#include "record.h"

#define PAYLOAD_BYTES 256
#define ROUND_NS      (2 * MU_NS_PER_S)
#define OPEN_ENTRIES  100000

struct bench {
    char *dir;
    struct consensus_store store;
    struct consensus_opened opened;
    struct consensus_store_report report;
    pthread_mutex_t lock;
    pthread_cond_t news;
    bool is_woken;
    uint64_t seq, index;
};

static void must(enum mu_code rc, const struct mu_err *err)
{
    if (rc != MU_OK) {
        (void)fprintf(stderr, "%s: %s\n", mu_code_text(rc), err->text);
        exit(1);
    }
}

static void on_wake(void *data)
{
    struct bench *b = data;

    (void)pthread_mutex_lock(&b->lock);
    b->is_woken = true;
    (void)pthread_cond_signal(&b->news);
    (void)pthread_mutex_unlock(&b->lock);
}

static void wait_news(struct bench *b)
{
    (void)pthread_mutex_lock(&b->lock);
    while (!b->is_woken) {
        (void)pthread_cond_wait(&b->news, &b->lock);
    }
    b->is_woken = false;
    (void)pthread_mutex_unlock(&b->lock);
    b->store.ops->collect(b->store.self, &b->report);
    MU_ASSERT(b->report.fetched_count == 0);
}

static double open_log(struct bench *b)
{
    struct consensus_store_options options = {
        .dir = b->dir, .server = { { 1 } }, .wake = on_wake, .wake_data = b
    };
    struct mu_err err = MU_ERR_NONE;
    uint64_t began = mu_clock_ns();

    consensus_store_segment_new(&b->store, &options);
    must(b->store.ops->open(b->store.self, &b->opened, &err), &err);
    b->seq = 0;
    b->index = b->opened.loaded.last_index;
    memset(&b->report, 0, sizeof b->report);
    return (double)(mu_clock_ns() - began) / 1e6;
}

static void close_log(struct bench *b)
{
    b->store.ops->close(b->store.self);
    while (!b->report.is_closed) {
        wait_news(b);
    }
    b->store.ops->free(b->store.self);
    consensus_opened_deinit(&b->opened);
}

/* One round: `count` writes, waited for. */
static void round_run(struct bench *b, struct mu_buf *room, size_t count)
{
    static const uint8_t payload[PAYLOAD_BYTES] = "some bytes that a client wants to keep";
    size_t step = consensus__record_room(sizeof payload);

    mu_buf_clear(room);
    for (size_t i = 0; i < count; i++) {
        struct consensus_record r = { .index = b->index + 1 + i,
                                      .term = 1,
                                      .kind = CONSENSUS_COMMAND,
                                      .payload = mu_span_of(payload, sizeof payload) };

        (void)consensus__record_add(room, &r, 0);
    }
    for (size_t i = 0; i < count; i++) {
        struct consensus_write w = { .seq = ++b->seq, .hard = { .term = 1 } };
        struct mu_span record = mu_span_of(room->data + i * step, step);

        w.first = w.last = ++b->index;
        b->store.ops->submit(b->store.self, &w, &record);
    }
    while (b->report.persisted_seq < b->seq) {
        MU_ASSERT(b->report.health != CONSENSUS_STORE_FAILED);
        wait_news(b);
    }
}

static double cpu_us(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void measure_append(struct bench *b, size_t batch)
{
    struct mu_buf room = MU_BUF_NONE;
    uint64_t began = mu_clock_ns();
    uint64_t flushes = b->report.flushes_count;
    uint64_t flush_ns = b->report.flush_ns_sum;
    double cpu = cpu_us();
    uint64_t entries = 0;

    while (mu_clock_ns() - began < ROUND_NS) {
        round_run(b, &room, batch);
        entries += batch;
    }
    double seconds = (double)(mu_clock_ns() - began) / 1e9;

    flushes = b->report.flushes_count - flushes;
    (void)printf("append, %3zu at a time: %9.0f entries/s, %6.0f flushes/s of %4.0f us, "
                 "%5.1f us CPU an entry\n",
                 batch, (double)entries / seconds, (double)flushes / seconds,
                 (double)(b->report.flush_ns_sum - flush_ns) / 1e3 / (double)flushes,
                 (cpu_us() - cpu) / (double)entries);
    mu_buf_deinit(&room);
}

static long rss_kib(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long total = 0;
    long pages = 0;

    MU_ASSERT(f != NULL && fscanf(f, "%ld %ld", &total, &pages) == 2); /* NOLINT(cert-err34-c) */
    (void)fclose(f);
    return pages * sysconf(_SC_PAGESIZE) / 1024;
}

static void fill_to(struct bench *b, uint64_t entries)
{
    struct mu_buf room = MU_BUF_NONE;

    while (b->index < entries) {
        round_run(b, &room, 64);
    }
    mu_buf_deinit(&room);
}

int main(int argc, char **argv)
{
    struct bench *b = mu_new(sizeof *b);
    struct mu_err err = MU_ERR_NONE;
    struct mu_buf dir = MU_BUF_NONE;
    static const size_t batches[] = { 1, 16, 64, 256 };

    mu_buf_addf(&dir, "%s/muster-log-XXXXXX", argc > 1 ? argv[1] : "/tmp");
    b->dir = mu_buf_take(&dir, NULL);
    if (mkdtemp(b->dir) == NULL) {
        perror(b->dir);
        return 1;
    }
    (void)pthread_mutex_init(&b->lock, NULL);
    (void)pthread_cond_init(&b->news, NULL);
    long before = rss_kib();

    (void)printf("open, fresh: %.1f ms\n", open_log(b));
    (void)printf("memory of an idle log: %ld KiB\n", rss_kib() - before);
    for (size_t i = 0; i < MU_LEN(batches); i++) {
        measure_append(b, batches[i]);
    }
    close_log(b);
    must(mu_dir_remove(b->dir, &err), &err);

    (void)open_log(b);
    fill_to(b, OPEN_ENTRIES);
    close_log(b);
    (void)printf("open, %d entries of %d bytes: %.1f ms\n", OPEN_ENTRIES, PAYLOAD_BYTES,
                 open_log(b));
    (void)printf("memory with them: %ld KiB\n", rss_kib() - before);
    close_log(b);
    must(mu_dir_remove(b->dir, &err), &err);
    mu_free(b->dir);
    mu_free(b);
    return 0;
}
