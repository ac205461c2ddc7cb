/* upload.c - the archive of one `snapshot restore` while it comes in: from the loop to a spool, by
 * a thread, so that neither memory nor the loop holds it.
 *
 * The front doors stop reading from their client while AGENT_UPLOAD_QUEUE_BYTES wait here. What
 * cannot be written is said when the restore asks for all of it; until then more is thrown away.
 */
#include "upload.h"

#include <pthread.h>
#include <signal.h>

#include "base/assert.h"
#include "base/mem.h"
#include "core.h"
#include "proto/bell.h"

struct agent_upload {
    struct agent *agent;
    struct mu_link place; /* in agent->uploads */
    unsigned slot;        /* its file is called after it */
    char *path;
    struct mu_bell *bell;
    pthread_t thread;
    pthread_mutex_t lock; /* of the next six */
    pthread_cond_t changed;
    struct mu_buf queue;
    bool is_writing; /* the thread has taken some of it */
    size_t waiting;  /* of the queue and of what it has taken */
    bool is_over;    /* nobody wants it any more */
    bool has_ended;  /* the thread has returned, or is about to */

    /* of the thread, until upload_wait() or the end */
    struct spool spool;
    struct mu_err err;

    /* the loop's */
    uint64_t bytes;
    void (*moved)(void *data);
    void *data;
};

/* -- the thread -------------------------------------------------------------------------------- */

static void write_part(struct agent_upload *u, struct mu_span part)
{
    if (u->spool.fd < 0 && u->err.code == MU_OK) {
        enum mu_code rc = spool_open(&u->spool, u->path, &u->err);

        MU_ASSERT(rc == u->err.code);
    }
    if (u->err.code == MU_OK) {
        enum mu_code rc = spool_add(&u->spool, part, &u->err);

        MU_ASSERT(rc == u->err.code);
    }
}

static void *upload_thread(void *data)
{
    struct agent_upload *u = data;
    struct mu_buf part = MU_BUF_NONE;

    pthread_mutex_lock(&u->lock);
    while (!u->is_over) {
        if (u->queue.bytes == 0) {
            pthread_cond_wait(&u->changed, &u->lock);
            continue;
        }
        struct mu_buf empty = part;

        part = u->queue;
        u->queue = empty;
        u->is_writing = true;
        pthread_mutex_unlock(&u->lock);
        write_part(u, mu_buf_span(&part));
        pthread_mutex_lock(&u->lock);
        u->waiting -= part.bytes;
        mu_buf_clear(&part);
        u->is_writing = false;
        pthread_cond_broadcast(&u->changed);
        mu_bell_ring(u->bell);
    }
    pthread_mutex_unlock(&u->lock);
    mu_buf_deinit(&part);
    spool_close(&u->spool);
    pthread_mutex_lock(&u->lock);
    u->has_ended = true;
    mu_bell_ring(u->bell);
    pthread_mutex_unlock(&u->lock);
    return NULL;
}

enum mu_code upload_wait(struct agent_upload *u, struct spool *out, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    pthread_mutex_lock(&u->lock);
    while (!u->is_over && (u->queue.bytes > 0 || u->is_writing)) {
        pthread_cond_wait(&u->changed, &u->lock);
    }
    *out = SPOOL_NONE;
    if (u->is_over) {
        rc = mu_fail(err, MU_CANCELLED, "the agent is stopping");
    } else if (u->err.code != MU_OK) {
        rc = mu_fail(err, u->err.code, "%s", u->err.text);
    } else {
        *out = u->spool;
        u->spool = SPOOL_NONE;
    }
    pthread_mutex_unlock(&u->lock);
    return rc;
}

/* -- the loop ---------------------------------------------------------------------------------- */

static void upload_free(struct agent_upload *u)
{
    MU_ASSERT(pthread_join(u->thread, NULL) == 0);
    mu_bell_close(u->bell, NULL, NULL);
    (void)pthread_cond_destroy(&u->changed);
    (void)pthread_mutex_destroy(&u->lock);
    mu_list_remove(&u->place);
    mu_buf_deinit(&u->queue);
    mu_free(u->path);
    mu_free(u);
}

static void on_rung(void *data)
{
    struct agent_upload *u = data;

    pthread_mutex_lock(&u->lock);
    bool has_ended = u->has_ended;

    pthread_mutex_unlock(&u->lock);
    if (has_ended) {
        upload_free(u);
    } else if (u->moved != NULL) {
        u->moved(u->data);
    }
}

static unsigned slot_find(const struct agent *a)
{
    unsigned slot = 0;
    bool is_used = true;

    for (; is_used; slot += is_used) {
        is_used = false;
        MU_LIST_EACH (place, &a->uploads) {
            is_used = is_used || MU_CONTAINER(place, struct agent_upload, place)->slot == slot;
        }
    }
    return slot;
}

struct agent_upload *agent_upload(struct agent *a, void (*moved)(void *data), void *data)
{
    struct agent_upload *u = mu_new(sizeof *u);
    struct mu_buf name = MU_BUF_NONE;
    sigset_t all, old;

    u->agent = a;
    u->slot = slot_find(a);
    mu_buf_addf(&name, "upload-%u.part", u->slot);
    u->path = agent__data_path(a, mu_buf_text(&name));
    mu_buf_deinit(&name);
    u->spool = SPOOL_NONE;
    u->moved = moved;
    u->data = data;
    mu_list_push_back(&a->uploads, &u->place);
    MU_ASSERT(pthread_mutex_init(&u->lock, NULL) == 0);
    MU_ASSERT(pthread_cond_init(&u->changed, NULL) == 0);
    u->bell = mu_bell_new(a->loop, on_rung, u);
    sigfillset(&all); /* signals are the loop's */
    MU_ASSERT(pthread_sigmask(SIG_SETMASK, &all, &old) == 0);
    MU_ASSERT(pthread_create(&u->thread, NULL, upload_thread, u) == 0);
    MU_ASSERT(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    return u;
}

void agent_upload_add(struct agent_upload *u, struct mu_span bytes)
{
    u->bytes += bytes.bytes;
    pthread_mutex_lock(&u->lock);
    mu_buf_add_span(&u->queue, bytes);
    u->waiting += bytes.bytes;
    pthread_cond_broadcast(&u->changed);
    pthread_mutex_unlock(&u->lock);
}

uint64_t agent_upload_bytes(const struct agent_upload *u)
{
    return u->bytes;
}

bool agent_upload_is_full(struct agent_upload *u)
{
    pthread_mutex_lock(&u->lock);
    bool is_full = u->waiting >= AGENT_UPLOAD_QUEUE_BYTES;

    pthread_mutex_unlock(&u->lock);
    return is_full;
}

void upload_quiet(struct agent_upload *u)
{
    u->moved = NULL;
}

void agent_upload_end(struct agent_upload *u)
{
    if (u == NULL) {
        return;
    }
    u->moved = NULL;
    pthread_mutex_lock(&u->lock);
    u->is_over = true;
    pthread_cond_broadcast(&u->changed);
    pthread_mutex_unlock(&u->lock);
}

void agent__uploads_close(struct agent *a)
{
    MU_LIST_EACH_SAFE (place, &a->uploads) {
        struct agent_upload *u = MU_CONTAINER(place, struct agent_upload, place);

        MU_ASSERT(u->moved == NULL);
        agent_upload_end(u);
        upload_free(u);
    }
}
