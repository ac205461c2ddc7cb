/* restore.c - an archive becomes the state of all servers (spec/http-api.md 13).
 *
 *   agent_snapshot_restore -> thread: check all of it, keep the stream, import it for a trial
 *                          -> a part from the thread, into the log -+-> RESTORE into the log ->
 * done
 *                             ^-------------------------------------'
 *
 * Any agent can do it: what changes the state are entries of the log (catalog/restore.c), so that
 * leaders may come and go while it lasts, and a client agent needs no server to hold the archive.
 * One part is in flight at a time. What was given up before the last entry has changed nothing;
 * what was sent of it is taken back, or goes by itself after a while.
 *
 * The thread lives as long as one restore. It reads the disk and works through the archive; the
 * loop asks it for one thing at a time and touches nothing of its own until it has answered.
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "agent/archive.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "proto/bell.h"
#include "proto/command.h"
#include "requests.h"
#include "spool.h"
#include "upload.h"

#define MODULE "agent.snapshot"
/* Without a leader, or an answer, for so long it is given up. */
#define PATIENCE_MS 30000U
/* Of the trial: everything is written once. */
#define CACHE_BYTES (4U * 1024 * 1024)

enum task { TASK_NONE, TASK_CHECK, TASK_READ, TASK_END };

struct restore {
    struct agent *agent;
    agent_done_fn *done;
    void *data;
    struct mu_bell *bell;
    pthread_t thread;
    pthread_mutex_t lock; /* of the next two */
    pthread_cond_t asked;
    enum task task;
    bool is_over; /* it is to be given up */

    /* of whoever has the word: the thread while it has a task, else the loop */
    struct agent_upload *upload; /* the archive, as it comes in */
    struct archive_contents contents;
    struct spool stream; /* of the state, unpacked */
    struct mu_buf part;
    uint64_t at; /* where in the stream the part begins */
    struct mu_err err;

    /* the loop's */
    struct mu_id id;
    struct mu_id request; /* by which the servers know RESTORE when it comes again */
    uint64_t deadline_ms;
    unsigned tries;
    struct timer timer;
    bool is_writing; /* an entry is on its way */
    bool is_orphan;  /* given up meanwhile */
};

/* -- the thread -------------------------------------------------------------------------------- */

static bool is_over(struct restore *r)
{
    pthread_mutex_lock(&r->lock);
    bool is_over = r->is_over;

    pthread_mutex_unlock(&r->lock);
    return is_over;
}

static enum mu_code keep(void *data, struct mu_span bytes, struct mu_err *err)
{
    struct restore *r = data;

    return is_over(r) ? mu_fail(err, MU_CANCELLED, "the agent is stopping")
                      : spool_add(&r->stream, bytes, err);
}

struct kept {
    struct restore *restore;
    struct spool_cursor cursor;
};

static enum mu_code kept(void *data, void *to, size_t room, size_t *got, struct mu_err *err)
{
    struct kept *k = data;

    *got = 0;
    return is_over(k->restore) ? mu_fail(err, MU_CANCELLED, "the agent is stopping")
                               : spool_source(&k->cursor, to, room, got, err);
}

static void trial_remove(struct restore *r)
{
    static const char *const names[] = { "restore.db", "restore.db-wal", "restore.db-journal" };

    for (size_t i = 0; i < MU_LEN(names); i++) {
        char *path = agent__data_path(r->agent, names[i]);

        (void)unlink(path); /* mostly there is none */
        mu_free(path);
    }
}

/* Checksums say that it is what was written; this, that it can be a state. */
static enum mu_code trial(struct restore *r, struct mu_err *err)
{
    char *path = agent__data_path(r->agent, "restore.db");
    const struct catalog_options options = { .path = path, .cache_bytes = CACHE_BYTES };
    struct catalog_snapshot info;
    struct kept k = { r, { &r->stream, 0 } };
    struct catalog *c = NULL;

    trial_remove(r);
    enum mu_code rc = catalog_open(&c, &options, err);

    rc = rc == MU_OK ? catalog_import(c, kept, &k, r->contents.state.hash, &info, err) : rc;
    catalog_close(c);
    trial_remove(r);
    mu_free(path);
    return rc;
}

static enum mu_code unpack(struct restore *r, const struct spool *archive, struct mu_err *err)
{
    struct kept k = { r, { archive, 0 } };
    char *path = agent__data_path(r->agent, "restore.part");
    enum mu_code rc = spool_open(&r->stream, path, err);

    mu_free(path);
    return rc == MU_OK ? archive_unpack(kept, &k, keep, r, &r->contents, err) : rc;
}

static enum mu_code check(struct restore *r, struct mu_err *err)
{
    struct spool archive = SPOOL_NONE;
    enum mu_code rc = upload_wait(r->upload, &archive, err);

    if (rc == MU_OK && archive.fd < 0) {
        rc = mu_fail(err, MU_CORRUPT, "failed to decompress snapshot: unexpected EOF");
    }
    rc = rc == MU_OK ? unpack(r, &archive, err) : rc;
    spool_close(&archive);
    return rc == MU_OK ? trial(r, err) : rc;
}

static enum mu_code read_part(struct restore *r, struct mu_err *err)
{
    uint64_t left = r->contents.bytes - r->at;
    size_t bytes = left < MU_STAGE_BYTES_MAX ? (size_t)left : MU_STAGE_BYTES_MAX;
    size_t got = 0;

    mu_buf_clear(&r->part);
    enum mu_code rc =
        spool_read(&r->stream, r->at, mu_buf_reserve(&r->part, bytes), bytes, &got, err);

    r->part.bytes = got;
    if (rc == MU_OK && got < bytes) {
        rc = mu_fail(err, MU_IO, "a snapshot is shorter than it was");
    }
    return rc;
}

static void *restore_thread(void *data)
{
    struct restore *r = data;

    pthread_mutex_lock(&r->lock);
    while (r->task != TASK_END) {
        enum task task = r->task;
        enum mu_code rc = MU_OK;

        if (task == TASK_NONE) {
            pthread_cond_wait(&r->asked, &r->lock);
            continue;
        }
        pthread_mutex_unlock(&r->lock);
        rc = task == TASK_CHECK ? check(r, &r->err) : read_part(r, &r->err);
        MU_ASSERT(rc == r->err.code);
        pthread_mutex_lock(&r->lock);
        r->task = r->task == task ? TASK_NONE : r->task;
        mu_bell_ring(r->bell);
    }
    pthread_mutex_unlock(&r->lock);
    spool_close(&r->stream);
    return NULL;
}

static void ask(struct restore *r, enum task task)
{
    pthread_mutex_lock(&r->lock);
    r->task = task;
    pthread_cond_signal(&r->asked);
    pthread_mutex_unlock(&r->lock);
}

/* -- the end ----------------------------------------------------------------------------------- */

static void restore_free(struct restore *r)
{
    mu_buf_deinit(&r->part);
    mu_free(r);
}

static void thread_end(struct restore *r)
{
    pthread_mutex_lock(&r->lock);
    r->is_over = true;
    r->task = TASK_END;
    pthread_cond_signal(&r->asked);
    pthread_mutex_unlock(&r->lock);
    MU_ASSERT(pthread_join(r->thread, NULL) == 0);
    mu_bell_close(r->bell, NULL, NULL);
    (void)pthread_cond_destroy(&r->asked);
    (void)pthread_mutex_destroy(&r->lock);
    agent_upload_end(r->upload);
}

static void on_forgotten(void *data, const struct agent_written *written)
{
    (void)data;
    (void)written; /* else it goes by itself */
}

/* What the servers hold of it is of no use to anybody. */
static void forget(struct restore *r)
{
    struct command c = { .kind = COMMAND_STAGE, .stage = { .id = r->id } };

    agent__write(r->agent, &c, on_forgotten, NULL);
}

static void finish(struct restore *r, enum mu_code code, const char *text)
{
    struct agent *a = r->agent;
    struct mu_err err = MU_ERR_NONE;

    if (code == MU_OK) {
        mu_log(MU_INFO, MODULE, "Restored a snapshot", mu_kv("id", r->contents.id));
    } else {
        (void)mu_fail(&err, code, "%s", text);
        mu_log(MU_WARN, MODULE, "A snapshot was not restored", mu_kv("error", err.text));
    }
    thread_end(r);
    timer_cancel(&r->timer);
    if (code != MU_OK && r->at + r->part.bytes > 0 && a->phase < AGENT_STOPPING) {
        forget(r);
    }
    a->restore = NULL;
    r->done(r->data, code, &err);
    if (r->is_writing) {
        r->is_orphan = true; /* on_written() ends it */
        return;
    }
    restore_free(r);
}

/* -- into the log ------------------------------------------------------------------------------ */

static void send(void *data);

static bool is_worth_again(enum mu_code code)
{
    return code == MU_NO_LEADER || code == MU_NOT_LEADER || code == MU_NO_SERVERS ||
           code == MU_UNREACHABLE || code == MU_TIMEOUT || code == MU_LOST || code == MU_BUSY;
}

static void next(struct restore *r)
{
    r->deadline_ms = timers_now(r->agent->timers) + PATIENCE_MS;
    r->tries = 0;
    if (r->at < r->contents.bytes) {
        ask(r, TASK_READ);
    } else {
        mu_buf_clear(&r->part);
        send(r);
    }
}

/* The servers know what comes again: a part by its place, the last entry by its request id. */
static void on_written(void *data, const struct agent_written *written)
{
    struct restore *r = data;
    bool was_last = r->part.bytes == 0;

    r->is_writing = false;
    if (r->is_orphan) {
        restore_free(r);
    } else if (written->code == MU_OK && was_last) {
        finish(r, MU_OK, NULL);
    } else if (written->code == MU_OK) {
        r->at += r->part.bytes;
        next(r);
    } else if (is_worth_again(written->code) && timers_now(r->agent->timers) < r->deadline_ms) {
        timer_set(r->agent->timers, &r->timer, agent__hold_pause(r->agent, &r->tries), send, r);
    } else {
        finish(r, written->code,
               written->text != NULL ? written->text : agent__refusal_text(written->code));
    }
}

static void send(void *data)
{
    struct restore *r = data;
    struct command c = { .kind = COMMAND_STAGE };

    if (r->part.bytes > 0) {
        c.stage = (struct command_stage){ r->id, r->at, mu_buf_span(&r->part) };
    } else {
        c.kind = COMMAND_RESTORE;
        c.request = r->request;
        c.restore = (struct command_restore){ .id = r->id, .bytes = r->contents.bytes };
        _Static_assert(sizeof c.restore.hash == sizeof r->contents.state.hash, "BLAKE2b-256");
        memcpy(c.restore.hash, r->contents.state.hash, sizeof c.restore.hash);
    }
    r->is_writing = true;
    agent__write(r->agent, &c, on_written, r);
}

static void on_woken(void *data)
{
    struct restore *r = data;

    pthread_mutex_lock(&r->lock);
    bool is_busy = r->task != TASK_NONE;

    pthread_mutex_unlock(&r->lock);
    if (is_busy || r->is_writing || timer_is_set(&r->timer)) {
        return; /* a late ring */
    }
    if (r->err.code != MU_OK) {
        finish(r, r->err.code, r->err.text);
    } else if (r->part.bytes == 0) { /* checked */
        mu_log(MU_INFO, MODULE, "Restoring a snapshot", mu_kv("id", r->contents.id),
               mu_kv_u("bytes", r->contents.bytes));
        next(r);
    } else {
        send(r);
    }
}

/* -- life -------------------------------------------------------------------------------------- */

static void refuse(agent_done_fn *done, void *data, enum mu_code code, const char *text)
{
    struct mu_err err = MU_ERR_NONE;

    (void)mu_fail(&err, code, "%s", text);
    done(data, code, &err);
}

void agent_snapshot_restore(struct agent *a, struct agent_upload *archive, agent_done_fn *done,
                            void *data)
{
    sigset_t all, old;

    upload_quiet(archive);
    if (a->restore != NULL || a->phase >= AGENT_STOPPING) {
        agent_upload_end(archive);
        refuse(done, data, a->restore != NULL ? MU_BUSY : MU_CANCELLED,
               a->restore != NULL ? "another snapshot is being restored, try again"
                                  : "the agent is stopping");
        return;
    }
    struct restore *r = mu_new(sizeof *r);

    r->agent = a;
    r->done = done;
    r->data = data;
    r->upload = archive;
    r->stream = SPOOL_NONE;
    r->id = mu_id_random();
    r->request = mu_id_random();
    r->task = TASK_CHECK;
    MU_ASSERT(pthread_mutex_init(&r->lock, NULL) == 0);
    MU_ASSERT(pthread_cond_init(&r->asked, NULL) == 0);
    r->bell = mu_bell_new(a->loop, on_woken, r);
    sigfillset(&all); /* signals are the loop's */
    MU_ASSERT(pthread_sigmask(SIG_SETMASK, &all, &old) == 0);
    MU_ASSERT(pthread_create(&r->thread, NULL, restore_thread, r) == 0);
    MU_ASSERT(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    a->restore = r;
}

void agent__restore_close(struct agent *a)
{
    struct restore *r = a->restore;

    if (r == NULL) {
        return;
    }
    /* The last entry may yet be committed by others. */
    bool is_unknown = r->is_writing && r->part.bytes == 0;

    finish(r, is_unknown ? MU_LOST : MU_CANCELLED,
           agent__refusal_text(is_unknown ? MU_LOST : MU_CANCELLED));
}
