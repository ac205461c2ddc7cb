/* key_write_uv.c - keys to disk, on the pool. */
#include <uv.h>

#include "base/assert.h"
#include "base/mem.h"
#include "core.h"

struct key_write {
    uv_work_t work;
    struct agent__key_files files;
    enum mu_code code; /* set on the pool */
    struct mu_err err;
    agent__key_written_fn *written;
    void *data;
};

/* On the pool: nothing is touched but this. */
static void on_work(uv_work_t *work)
{
    struct key_write *w = work->data;

    w->code = agent__key_files_write(&w->files, &w->err);
}

static void on_worked(uv_work_t *work, int status)
{
    struct key_write *w = work->data;

    MU_ASSERT(status == 0); /* nobody cancels */
    w->written(w->data, w->code, &w->err);
    agent__key_files_deinit(&w->files);
    mu_free(w);
}

void agent__key_write(struct uv_loop_s *loop, struct agent__key_files *files,
                      agent__key_written_fn *written, void *data)
{
    struct key_write *w = mu_new(sizeof *w);

    w->work.data = w;
    w->files = *files;
    w->written = written;
    w->data = data;
    MU_ASSERT(uv_queue_work(loop, &w->work, on_work, on_worked) == 0);
}
