/* snapshot.c - work on snapshots beside the loop, and the moment when one becomes the state.
 *
 *   on_order -> jobs --> thread: export, read, open, store, import, switch --> results -> the loop
 *
 * Orders are carried out one after the other. A switch ends on the loop: the thread has made the
 * new state the one that counts and opened it; when the apply thread has reported all that it was
 * given for the old one, it is ended and begun anew with the new one, the loop's reader too, and
 * everybody who waits for anything is woken. The old files go at last, on the thread.
 *
 * Export and import take seconds of a processor for a million rows: they give way (stint.h) to
 * those who serve clients, here or in another process.
 */
#include "snapshot.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/nudge.h"
#include "copied.h"
#include "core.h"
#include "proto/bell.h"
#include "snapshot_files.h"
#include "stint.h"

#define MODULE "agent.server.snapshot"

enum job_kind { JOB_ORDER, JOB_REMOVE, JOB_PROVEN };

struct job { /* and its result */
    struct mu_link place;
    enum job_kind kind;
    struct snapshot_work work;
    uint64_t generation; /* REMOVE, PROVEN */
};

struct snapshots {
    struct agent *agent;
    struct mu_bell *bell;
    pthread_t thread;
    pthread_mutex_t lock; /* of the two lists and the flag */
    pthread_cond_t filled;
    struct mu_link jobs, results;
    bool is_stopping;
    struct mu_nudge stirred;     /* it is stopping: no rest any more */
    struct snapshot_files files; /* the thread's */
    struct stint stint;          /* the thread's */
    struct job *switching;       /* the loop's: waits for the apply thread */
};

/* -- the thread -------------------------------------------------------------------------------- */

static void job_free(struct job *j)
{
    snapshot_work_deinit(&j->work);
    mu_free(j);
}

static bool must_stop(struct snapshots *s)
{
    pthread_mutex_lock(&s->lock);
    bool is = s->is_stopping;

    pthread_mutex_unlock(&s->lock);
    return is;
}

/* How long this thread, ready to run, was kept waiting for a processor; 0 where the kernel does not
 * count it. From its own memory: no disk is waited for. */
static uint64_t waited_ns(void)
{
    unsigned long long ran = 0, waited = 0;
    FILE *f = fopen("/proc/thread-self/schedstat", "re");

    if (f == NULL) {
        return 0;
    }
    int got = fscanf(f, "%llu %llu", &ran, &waited);

    (void)fclose(f);
    return got == 2 ? waited : 0;
}

static void on_pause(void *data)
{
    struct snapshots *s = data;
    uint64_t rest_ms = stint_look(&s->stint, waited_ns());

    if (rest_ms > 0 && !must_stop(s)) {
        (void)mu_nudge_take(&s->stirred, rest_ms);
    }
}

static void run_job(struct snapshots *s, struct job *j)
{
    stint_begin(&s->stint, waited_ns());
    switch (j->kind) {
    case JOB_ORDER: snapshot_work_run(&j->work, &s->files); break;
    case JOB_REMOVE: {
        enum mu_code rc = snapshot_state_remove(s->files.dir, j->generation, &j->work.err);

        MU_ASSERT(rc == j->work.err.code);
        break;
    }
    case JOB_PROVEN: {
        enum mu_code rc = copied_proven(s->files.dir, j->generation, &j->work.err);

        MU_ASSERT(rc == j->work.err.code); /* it is a copy at the next start, and proven again */
        break;
    }
    }
}

static void *snapshot_thread(void *data)
{
    struct snapshots *s = data;
    struct mu_link *link;

    pthread_mutex_lock(&s->lock);
    while (!s->is_stopping) {
        link = mu_list_pop_front(&s->jobs);
        if (link == NULL) {
            pthread_cond_wait(&s->filled, &s->lock);
            continue;
        }
        pthread_mutex_unlock(&s->lock);
        run_job(s, MU_CONTAINER(link, struct job, place));
        pthread_mutex_lock(&s->lock);
        mu_list_push_back(&s->results, link);
        mu_bell_ring(s->bell);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void post(struct snapshots *s, struct job *j)
{
    pthread_mutex_lock(&s->lock);
    mu_list_push_back(&s->jobs, &j->place);
    pthread_cond_signal(&s->filled);
    pthread_mutex_unlock(&s->lock);
}

void agent__snapshot_order(struct agent *a, const struct consensus_snap_order *order)
{
    struct job *j = mu_new(sizeof *j);

    j->kind = JOB_ORDER;
    snapshot_work_init(&j->work, order);
    post(a->snapshots, j);
}

/* -- the switch -------------------------------------------------------------------------------- */

/* Whoever waits for anything looks again: indexes may have gone back. */
static void wake_all(struct agent *a)
{
    struct catalog_changes *all = catalog_changes_new();

    catalog_changes_add(all, CATALOG_EVERYTHING, MU_SPAN_NONE);
    catalog_cache_drop_all(a->cache);
    catalog_watch_fire(a->watch, all);
    if (a->sessions != NULL) {
        agent__sessions_changed(a, all);
    }
    catalog_changes_free(all);
}

static void post_about(struct snapshots *s, enum job_kind kind, uint64_t generation)
{
    struct job *j = mu_new(sizeof *j);

    j->kind = kind;
    j->generation = generation;
    post(s, j);
}

void agent__snapshot_proven(struct agent *a)
{
    post_about(a->snapshots, JOB_PROVEN, a->generation);
}

void agent__snapshot_poll(struct agent *a)
{
    if (a->snapshots != NULL && a->snapshots->switching != NULL) {
        mu_bell_ring(
            a->snapshots->bell); /* not from inside of a report: it would saw off its branch */
    }
}

static void switch_finish(struct snapshots *s)
{
    struct agent *a = s->agent;
    struct mu_err err = MU_ERR_NONE;

    if (s->switching == NULL || apply_waiting(a->apply) > 0 || a->phase >= AGENT_STOPPING) {
        return;
    }
    struct job *j = s->switching;

    s->switching = NULL;
    enum mu_code rc = agent__state_replace(a, j->work.catalog, s->files.generation, &err);

    j->work.catalog = NULL; /* given */
    if (rc != MU_OK) {
        job_free(j);
        agent__state_failed(a, err.text);
        return;
    }
    consensus_driver_snapshot(a->consensus, CONSENSUS_SNAP_SWITCHED, &j->work.order.snap, 0,
                              CONSENSUS_SNAP_OK);
    mu_log(MU_INFO, MODULE, "Installed a snapshot", mu_kv_u("index", j->work.order.snap.index),
           mu_kv_u("bytes", j->work.order.snap.bytes));
    post_about(s, JOB_REMOVE, s->files.generation - 1);
    agent__requests_restored(a);
    wake_all(a);
    job_free(j);
}

/* -- results ----------------------------------------------------------------------------------- */

/* False: it is kept. */
static bool tell(struct snapshots *s, struct job *j)
{
    struct consensus_driver *d = s->agent->consensus;
    const struct consensus_snap_order *o = &j->work.order;
    bool is_good = j->work.err.code == MU_OK;
    enum consensus_snap_event event;
    enum consensus_snap_fault fault;

    switch (o->kind) {
    case CONSENSUS_SNAP_EXPORT:
    case CONSENSUS_SNAP_OPEN:
    case CONSENSUS_SNAP_STORE:
    case CONSENSUS_SNAP_IMPORT:
        event = snapshot_work_event(&j->work, &fault);
        consensus_driver_snapshot(d, event, &o->snap, j->work.held, fault);
        if (o->kind == CONSENSUS_SNAP_EXPORT && j->work.err.code == MU_CORRUPT) {
            /* or whoever needs it would wait for ever */
            agent__state_bad(s->agent, j->work.err.text);
        }
        break;
    case CONSENSUS_SNAP_READ:
        consensus_driver_chunk(d, &o->snap, o->offset,
                               is_good ? mu_buf_span(&j->work.data) : MU_SPAN_NONE);
        break;
    case CONSENSUS_SNAP_SWITCH:
        if (!is_good) { /* the log begins behind it already: a restart completes it */
            agent__state_failed(s->agent, j->work.err.text);
            break;
        }
        s->switching = j;
        return false;
    case CONSENSUS_SNAP_CLOSE:
    case CONSENSUS_SNAP_ABANDON: break;
    }
    return true;
}

static void on_woken(void *data)
{
    struct snapshots *s = data;
    struct mu_link taken;
    struct mu_link *link;

    mu_list_init(&taken);
    pthread_mutex_lock(&s->lock);
    while ((link = mu_list_pop_front(&s->results)) != NULL) {
        mu_list_push_back(&taken, link);
    }
    pthread_mutex_unlock(&s->lock);
    while ((link = mu_list_pop_front(&taken)) != NULL) {
        struct job *j = MU_CONTAINER(link, struct job, place);

        if (j->work.err.code != MU_OK && j->work.order.kind != CONSENSUS_SNAP_READ) {
            mu_log(MU_WARN, MODULE, "Work on a snapshot failed", mu_kv("error", j->work.err.text));
        }
        if (s->agent->consensus == NULL || s->agent->phase >= AGENT_STOPPING ||
            j->kind != JOB_ORDER || tell(s, j)) {
            job_free(j);
        }
    }
    switch_finish(s);
}

/* -- life -------------------------------------------------------------------------------------- */

void agent__snapshots_open(struct agent *a, uint64_t generation)
{
    struct snapshots *s = mu_new(sizeof *s);
    sigset_t all, old;

    s->agent = a;
    snapshot_files_init(&s->files, mu_strdup(a->data.dir), generation, a->wal_bytes);
    s->files.pause = on_pause;
    s->files.pause_data = s;
    snapshot_close(&s->files); /* what a crash left of an export */
    mu_list_init(&s->jobs);
    mu_list_init(&s->results);
    MU_ASSERT(pthread_mutex_init(&s->lock, NULL) == 0);
    MU_ASSERT(pthread_cond_init(&s->filled, NULL) == 0);
    mu_nudge_init(&s->stirred);
    s->bell = mu_bell_new(a->loop, on_woken, s);
    sigfillset(&all); /* signals are the loop's */
    MU_ASSERT(pthread_sigmask(SIG_SETMASK, &all, &old) == 0);
    MU_ASSERT(pthread_create(&s->thread, NULL, snapshot_thread, s) == 0);
    MU_ASSERT(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    a->snapshots = s;
}

static void jobs_clear(struct mu_link *list)
{
    struct mu_link *link;

    while ((link = mu_list_pop_front(list)) != NULL) {
        job_free(MU_CONTAINER(link, struct job, place));
    }
}

void agent__snapshots_close(struct agent *a)
{
    struct snapshots *s = a->snapshots;

    if (s == NULL) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    s->is_stopping = true;
    pthread_cond_signal(&s->filled);
    pthread_mutex_unlock(&s->lock);
    mu_nudge(&s->stirred);
    MU_ASSERT(pthread_join(s->thread, NULL) == 0);
    mu_bell_close(s->bell, NULL, NULL);
    jobs_clear(&s->jobs);
    jobs_clear(&s->results);
    if (s->switching != NULL) {
        job_free(s->switching);
    }
    snapshot_files_deinit(&s->files);
    mu_nudge_deinit(&s->stirred);
    (void)pthread_cond_destroy(&s->filled);
    (void)pthread_mutex_destroy(&s->lock);
    mu_free(s);
    a->snapshots = NULL;
}
