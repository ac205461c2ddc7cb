#include "fetch.h"

#include <string.h>
#include <uv.h>

#include "base/assert.h"
#include "base/mem.h"

#define MISSES_MAX 64           /* at once; who is not among them misses again */
#define PIECE_MIN  (64U * 1024) /* sixteen pages: about what a disk gives at one go */
#define PIECE_MAX  (8U << 20)   /* no more than half of what the reader's cache holds */

struct piece {
    struct catalog_miss miss;
    uint32_t bytes;
};

struct fetcher {
    uv_loop_t *loop;
    uv_work_t work;
    fetched_fn *fetched; /* NULL: nobody is there any more */
    void *data;
    char *path; /* of those that are being read */
    struct piece running[MISSES_MAX], waiting[MISSES_MAX];
    size_t running_count, waiting_count;
    struct piece last; /* the one that was begun last */
    char *waiting_path;
};

static void fetcher_end(struct fetcher *f)
{
    mu_free(f->path);
    mu_free(f->waiting_path);
    mu_free(f);
}

/* On the pool: nothing is touched but what is running. */
static void on_work(uv_work_t *work)
{
    const struct fetcher *f = MU_CONTAINER(work, struct fetcher, work);

    for (size_t i = 0; i < f->running_count; i++) {
        catalog_fetch(f->path, &f->running[i].miss, f->running[i].bytes);
    }
}

static void begin(struct fetcher *f);

static void on_done(uv_work_t *work, int status)
{
    struct fetcher *f = MU_CONTAINER(work, struct fetcher, work);

    (void)status; /* nobody cancels it */
    f->running_count = 0;
    if (f->fetched == NULL) {
        fetcher_end(f);
        return;
    }
    if (f->waiting_count > 0) {
        begin(f);
    }
    f->fetched(f->data);
}

static void begin(struct fetcher *f)
{
    mu_free(f->path);
    f->path = f->waiting_path;
    f->waiting_path = NULL;
    memcpy(f->running, f->waiting, f->waiting_count * sizeof *f->waiting);
    f->running_count = f->waiting_count;
    f->waiting_count = 0;
    int rc = uv_queue_work(f->loop, &f->work, on_work, on_done);

    MU_ASSERT(rc == 0);
}

static bool is_in(const struct piece *p, const struct catalog_miss *miss)
{
    return p->miss.in_wal == miss->in_wal && miss->offset >= p->miss.offset &&
           miss->offset - p->miss.offset < p->bytes;
}

/* The file goes on where the last piece ended, or nearly: pages of other tables lie between. */
static bool goes_on(const struct piece *last, const struct catalog_miss *miss)
{
    uint64_t end = last->miss.offset + last->bytes;

    return last->miss.in_wal == miss->in_wal && miss->offset >= end &&
           miss->offset - end < PIECE_MIN;
}

struct fetcher *fetcher_new(struct uv_loop_s *loop, fetched_fn *fetched, void *data)
{
    struct fetcher *f = mu_new(sizeof *f);

    f->loop = loop;
    f->fetched = fetched;
    f->data = data;
    return f;
}

void fetcher_add(struct fetcher *f, const char *path, const struct catalog_miss *miss)
{
    if (f->waiting_path != NULL && strcmp(f->waiting_path, path) != 0) {
        f->waiting_count = 0; /* another file is the state now: nobody wants those */
    }
    for (size_t i = 0; i < f->waiting_count; i++) {
        if (is_in(&f->waiting[i], miss)) {
            return;
        }
    }
    if (f->waiting_count == MISSES_MAX) {
        return;
    }
    uint32_t bytes = PIECE_MIN;

    if (goes_on(&f->last, miss)) {
        bytes = f->last.bytes < PIECE_MAX ? 2 * f->last.bytes : PIECE_MAX;
    }
    f->last = f->waiting[f->waiting_count++] = (struct piece){ *miss, bytes };
    mu_free(f->waiting_path);
    f->waiting_path = mu_strdup(path);
    if (f->running_count == 0) {
        begin(f);
    }
}

void fetcher_free(struct fetcher *f)
{
    if (f == NULL) {
        return;
    }
    f->fetched = NULL;
    if (f->running_count == 0) {
        fetcher_end(f);
    }
}
