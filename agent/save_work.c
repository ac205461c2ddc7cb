#include "save_work.h"

#include <pthread.h>
#include <signal.h>

#include "agent/archive.h"
#include "base/assert.h"
#include "base/mem.h"
#include "core.h"
#include "proto/bell.h"
#include "snapshot_files.h"
#include "spool.h"

enum task { TASK_NONE, TASK_MAKE, TASK_READ };

struct save_work {
    struct agent *agent;
    struct mu_link place; /* in agent->save_works */
    unsigned slot;        /* its files are called after it; no two have the same */
    struct mu_bell *bell;
    pthread_t thread;
    pthread_mutex_t lock; /* of the next three */
    pthread_cond_t asked;
    enum task task;
    bool is_over;   /* nobody wants it any more */
    bool has_ended; /* the thread has returned, or is about to */

    /* of whoever has the word: the thread while it has a task, else the loop */
    char *stream_path, *archive_path;
    uint64_t generation;
    struct mu_buf servers;
    struct spool archive;
    uint64_t index, offset;
    size_t room;
    struct mu_buf piece;
    struct mu_err err;

    /* the loop's */
    bool is_waiting; /* somebody waits for `done` */
    save_work_fn *done;
    void *data;
};

/* -- the thread -------------------------------------------------------------------------------- */

struct sink {
    struct save_work *work;
    struct spool *spool;
};

static bool is_over(struct save_work *w)
{
    pthread_mutex_lock(&w->lock);
    bool is_over = w->is_over;

    pthread_mutex_unlock(&w->lock);
    return is_over;
}

static enum mu_code sink(void *data, struct mu_span bytes, struct mu_err *err)
{
    const struct sink *s = data;

    return is_over(s->work) ? mu_fail(err, MU_CANCELLED, "the snapshot is not wanted any more")
                            : spool_add(s->spool, bytes, err);
}

static enum mu_code make(struct save_work *w, struct mu_err *err)
{
    struct spool stream = SPOOL_NONE;
    struct spool_cursor cursor = { &stream, 0 };
    struct sink to_stream = { w, &stream };
    struct sink to_archive = { w, &w->archive };
    struct catalog_snapshot info = { .bytes = 0 };
    enum mu_code rc = spool_open(&stream, w->stream_path, err);

    if (rc == MU_OK) {
        rc = spool_open(&w->archive, w->archive_path, err);
    }
    if (rc == MU_OK) {
        rc = snapshot_stream(w->agent->data.dir, w->generation, sink, &to_stream, &info, err);
    }
    if (rc == MU_OK) {
        w->index = info.applied.index;
        rc = archive_write(&info, mu_buf_span(&w->servers), spool_source, &cursor, sink,
                           &to_archive, err);
    }
    spool_close(&stream);
    return rc;
}

static enum mu_code read_piece(struct save_work *w, struct mu_err *err)
{
    size_t got = 0;

    mu_buf_clear(&w->piece);
    enum mu_code rc =
        spool_read(&w->archive, w->offset, mu_buf_reserve(&w->piece, w->room), w->room, &got, err);

    w->piece.bytes = rc == MU_OK ? got : 0;
    return rc;
}

static void *save_thread(void *data)
{
    struct save_work *w = data;

    pthread_mutex_lock(&w->lock);
    while (!w->is_over) {
        enum task task = w->task;

        if (task == TASK_NONE) {
            pthread_cond_wait(&w->asked, &w->lock);
            continue;
        }
        pthread_mutex_unlock(&w->lock);
        enum mu_code rc = task == TASK_MAKE ? make(w, &w->err) : read_piece(w, &w->err);

        MU_ASSERT(rc == w->err.code);
        pthread_mutex_lock(&w->lock);
        w->task = TASK_NONE;
        mu_bell_ring(w->bell);
    }
    pthread_mutex_unlock(&w->lock);
    spool_close(&w->archive); /* here: to give a large file back takes the disk a while */
    pthread_mutex_lock(&w->lock);
    w->has_ended = true;
    mu_bell_ring(w->bell);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* -- the loop ---------------------------------------------------------------------------------- */

static void work_free(struct save_work *w)
{
    MU_ASSERT(pthread_join(w->thread, NULL) == 0);
    mu_bell_close(w->bell, NULL, NULL);
    (void)pthread_cond_destroy(&w->asked);
    (void)pthread_mutex_destroy(&w->lock);
    mu_list_remove(&w->place);
    mu_buf_deinit(&w->servers);
    mu_buf_deinit(&w->piece);
    mu_free(w->stream_path);
    mu_free(w->archive_path);
    mu_free(w);
}

static void on_rung(void *data)
{
    struct save_work *w = data;

    pthread_mutex_lock(&w->lock);
    bool is_busy = w->task != TASK_NONE;
    bool has_ended = w->has_ended;

    pthread_mutex_unlock(&w->lock);
    if (has_ended) {
        work_free(w);
    } else if (!is_busy && w->is_waiting && w->done != NULL) {
        w->is_waiting = false;
        w->done(w->data, mu_buf_span(&w->piece), &w->err);
    }
}

static void ask(struct save_work *w, enum task task)
{
    MU_ASSERT(!w->is_waiting);
    w->is_waiting = true;
    w->err = MU_ERR_NONE;
    pthread_mutex_lock(&w->lock);
    w->task = task;
    pthread_cond_signal(&w->asked);
    pthread_mutex_unlock(&w->lock);
}

static unsigned slot_find(const struct agent *a)
{
    unsigned used = 0;
    unsigned slot = 0;

    MU_LIST_EACH (place, &a->save_works) {
        used |= 1U << MU_CONTAINER(place, struct save_work, place)->slot;
    }
    while ((used & 1U << slot) != 0) {
        slot++;
    }
    return slot;
}

static char *file_path(const struct agent *a, const char *kind, unsigned slot)
{
    struct mu_buf name = MU_BUF_NONE;

    mu_buf_addf(&name, "state/save-%s-%u.part", kind, slot);
    char *path = agent__data_path(a, mu_buf_text(&name));

    mu_buf_deinit(&name);
    return path;
}

struct save_work *save_work_begin(struct agent *a, struct mu_buf *servers, save_work_fn *done,
                                  void *data)
{
    struct save_work *w = mu_new(sizeof *w);
    sigset_t all, old;

    w->agent = a;
    w->slot = slot_find(a);
    w->stream_path = file_path(a, "stream", w->slot);
    w->archive_path = file_path(a, "archive", w->slot);
    w->generation = a->generation;
    w->servers = *servers;
    *servers = MU_BUF_NONE;
    w->archive = SPOOL_NONE;
    w->done = done;
    w->data = data;
    mu_list_push_back(&a->save_works, &w->place);
    MU_ASSERT(pthread_mutex_init(&w->lock, NULL) == 0);
    MU_ASSERT(pthread_cond_init(&w->asked, NULL) == 0);
    w->bell = mu_bell_new(a->loop, on_rung, w);
    sigfillset(&all); /* signals are the loop's */
    MU_ASSERT(pthread_sigmask(SIG_SETMASK, &all, &old) == 0);
    MU_ASSERT(pthread_create(&w->thread, NULL, save_thread, w) == 0);
    MU_ASSERT(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    ask(w, TASK_MAKE);
    return w;
}

uint64_t save_work_index(const struct save_work *w)
{
    return w->index;
}

uint64_t save_work_bytes(const struct save_work *w)
{
    return w->archive.bytes;
}

void save_work_read(struct save_work *w, uint64_t offset, size_t room)
{
    w->offset = offset;
    w->room = room;
    ask(w, TASK_READ);
}

void save_work_end(struct save_work *w)
{
    if (w == NULL) {
        return;
    }
    w->done = NULL;
    pthread_mutex_lock(&w->lock);
    w->is_over = true;
    pthread_cond_signal(&w->asked);
    pthread_mutex_unlock(&w->lock);
}

size_t save_work_count(const struct agent *a)
{
    size_t count = 0;

    MU_LIST_EACH (place, &a->save_works) {
        count++;
    }
    return count;
}

void agent__save_works_close(struct agent *a)
{
    while (!mu_list_empty(&a->save_works)) {
        struct save_work *w = MU_CONTAINER(a->save_works.next, struct save_work, place);

        MU_ASSERT(w->done == NULL);
        work_free(w);
    }
}
