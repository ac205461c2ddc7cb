#include "writer.h"

#include <uv.h>

#include "base/assert.h"
#include "base/file.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"

#define MODE 0600 /* tokens stand in definitions */

enum job_kind {
    JOB_PUT,
    JOB_SWAP, /* not flushed */
    JOB_REMOVE,
    JOB_NOTHING, /* the last one: what is behind the others */
};

struct job {
    struct mu_link place; /* while it waits */
    enum job_kind kind;
    char *path;
    struct mu_buf content;
    enum mu_code code; /* set on the pool */
    struct mu_err err;
};

struct writer {
    uv_loop_t *loop;
    uv_work_t work;
    struct mu_link waiting;   /* in the order of asking */
    struct mu_table *by_path; /* those that wait */
    struct job *running;      /* NULL: idle */
    bool is_stopping;
    writer_stopped_fn *stopped;
    void *data;
};

static void next(struct writer *w);

static void job_free(struct job *j)
{
    mu_free(j->path);
    mu_buf_deinit(&j->content);
    mu_free(j);
}

/* On the pool: nothing of the writer is touched but this job. */
static void on_work(uv_work_t *work)
{
    struct job *j = ((struct writer *)work->data)->running;
    struct mu_span content = mu_buf_span(&j->content);

    switch (j->kind) {
    case JOB_PUT: j->code = mu_file_replace(j->path, content, MODE, &j->err); break;
    case JOB_SWAP: j->code = mu_file_swap(j->path, content, MODE, &j->err); break;
    case JOB_REMOVE: j->code = mu_file_remove(j->path, &j->err); break;
    case JOB_NOTHING: break;
    }
}

static void on_worked(uv_work_t *work, int status)
{
    struct writer *w = work->data;
    struct job *j = w->running;
    bool was_last = j->kind == JOB_NOTHING;

    MU_ASSERT(status == 0); /* nobody cancels */
    if (j->code != MU_OK) {
        mu_log(MU_WARN, "agent", "Could not keep a file on disk", mu_kv("path", j->path),
               mu_kv("error", j->err.text));
    }
    w->running = NULL;
    job_free(j);
    if (was_last) {
        w->stopped(w->data);
        return;
    }
    next(w);
}

static void next(struct writer *w)
{
    if (w->running != NULL || mu_list_empty(&w->waiting)) {
        return;
    }
    struct job *j = MU_CONTAINER(mu_list_pop_front(&w->waiting), struct job, place);

    (void)mu_table_remove(w->by_path, mu_span_text(j->path));
    w->running = j;
    w->work.data = w;
    MU_ASSERT(uv_queue_work(w->loop, &w->work, on_work, on_worked) == 0);
}

static void ask(struct writer *w, enum job_kind kind, const char *path, struct mu_buf *content)
{
    struct job *j = mu_table_find(w->by_path, mu_span_text(path));

    MU_ASSERT(!w->is_stopping);
    if (j == NULL) {
        j = mu_new(sizeof *j);
        j->path = mu_strdup(path);
        mu_list_push_back(&w->waiting, &j->place);
        (void)mu_table_put(w->by_path, mu_span_text(path), j);
    }
    j->kind = kind;
    mu_buf_deinit(&j->content);
    if (content != NULL) {
        j->content = *content;
        *content = MU_BUF_NONE;
    }
    next(w);
}

struct writer *writer_new(struct uv_loop_s *loop)
{
    struct writer *w = mu_new(sizeof *w);

    w->loop = loop;
    mu_list_init(&w->waiting);
    w->by_path = mu_table_new();
    return w;
}

void writer_put(struct writer *w, const char *path, struct mu_buf *content, bool is_durable)
{
    ask(w, is_durable ? JOB_PUT : JOB_SWAP, path, content);
}

void writer_remove(struct writer *w, const char *path)
{
    ask(w, JOB_REMOVE, path, NULL);
}

size_t writer_pending(const struct writer *w)
{
    return mu_table_count(w->by_path) + (w->running != NULL);
}

void writer_stop(struct writer *w, writer_stopped_fn *stopped, void *data)
{
    w->stopped = stopped;
    w->data = data;
    ask(w, JOB_NOTHING, "", NULL);
    w->is_stopping = true;
}

void writer_free(struct writer *w)
{
    if (w == NULL) {
        return;
    }
    MU_ASSERT(w->running == NULL && mu_list_empty(&w->waiting));
    mu_table_free(w->by_path);
    mu_free(w);
}
