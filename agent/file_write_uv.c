#include "file_write.h"

#include <uv.h>

#include "base/assert.h"
#include "base/file.h"
#include "base/mem.h"

#define MODE 0600

struct file_write {
    uv_work_t work;
    char *path;
    struct mu_buf content;
    enum mu_code code; /* set on the pool */
    struct mu_err err;
    file_written_fn *written; /* NULL: abandoned */
    void *data;
};

/* On the pool: nothing is touched but this. */
static void on_work(uv_work_t *work)
{
    struct file_write *w = work->data;

    w->code = mu_file_replace(w->path, mu_buf_span(&w->content), MODE, &w->err);
}

static void on_worked(uv_work_t *work, int status)
{
    struct file_write *w = work->data;

    MU_ASSERT(status == 0); /* nobody cancels */
    if (w->written != NULL) {
        w->written(w->data, w->code, &w->err);
    }
    mu_buf_deinit(&w->content);
    mu_free(w->path);
    mu_free(w);
}

struct file_write *file_write_start(struct uv_loop_s *loop, const char *path,
                                    struct mu_buf *content, file_written_fn *written, void *data)
{
    struct file_write *w = mu_new(sizeof *w);

    w->work.data = w;
    w->path = mu_strdup(path);
    w->content = *content;
    *content = MU_BUF_NONE;
    w->written = written;
    w->data = data;
    MU_ASSERT(uv_queue_work(loop, &w->work, on_work, on_worked) == 0);
    return w;
}

void file_write_abandon(struct file_write *w)
{
    w->written = NULL;
}
