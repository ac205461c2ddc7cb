/* log_thread.c - the durable log in steps, and the thread that takes them.
 *
 *   loop                          log thread
 *   write --> mailbox ----------> as many as share a batch: one write, one flush
 *   fetch, record --------------> in the order of arrival, between batches
 *   compact, relieve -----------> between any two of these
 *   collect <-- report <--------- persisted_seq (hushed: without a sound), fetched, health; wake()
 *
 * No timer collects writes: while one flush runs, the next batch gathers by itself. When nothing is
 * queued the thread proves the last batch with a MARK (50 ms after its flush). What can wait
 * (filling spare segments, a piece at a time, noting in meta how far the log is durable) is done
 * between batches, in a tenth of the time at most, for a load need not ever pause.
 *
 * A disk that is full stops nothing but growth: spares are there so that votes and terms can always
 * be written. What they cannot take (an entry larger than a segment, or more of them than there are
 * spares) gets the ballast's blocks, and so does the state when it finds no room. Only then do
 * writes wait, tried again each 200 ms. While the ballast is out no spare is made either: its
 * blocks are for those who need them now. It is FULL until everything is back.
 *
 * A file system that has become read-only ends the work as a failure does: what the failed call has
 * left is found out by opening the log anew, as after a crash. But it is no failure of the disk:
 * the server lives, without standing for offices, until its owner opens the log again.
 */
#include "log_thread.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"

#define MARK_AFTER_MS     50U
#define TEND_PAUSE_MS     8U     /* 256 KiB each: about 32 MiB/s */
#define TEND_PAUSE_MAX_MS 10000U /* a machine may have slept meanwhile */
#define TEND_SHARE        9U     /* parts of ten of the time are left to writes */
#define FULL_PAUSE_MS     200U   /* between tries to write on a full disk */
#define FULL_TEND_MS      1000U  /* between tries to have a reserve again */
#define GROUP_MAX         1024U  /* writes in one batch */

_Static_assert(CONSENSUS_STORE_RECORD_MAX == CONSENSUS_META_RECORD_MAX, "the record is in meta");

/* -- queues -------------------------------------------------------------------------------- */

static void queue_init(struct consensus_job_queue *q)
{
    q->first = NULL;
    q->end = &q->first;
    q->count = 0;
}

static void queue_push(struct consensus_job_queue *q, struct consensus_job *job)
{
    job->next = NULL;
    *q->end = job;
    q->end = &job->next;
    q->count++;
}

static struct consensus_job *queue_pop(struct consensus_job_queue *q)
{
    struct consensus_job *job = q->first;

    if (job != NULL) {
        q->first = job->next;
        q->end = q->first == NULL ? &q->first : q->end;
        q->count--;
    }
    return job;
}

static void queue_clear(struct consensus_job_queue *q)
{
    struct consensus_job *job;

    while ((job = queue_pop(q)) != NULL) {
        mu_free(job);
    }
}

void consensus__log_post(struct consensus_log *l, struct consensus_job *job)
{
    (void)pthread_mutex_lock(&l->lock);
    MU_ASSERT(!l->is_closing);
    MU_ASSERT(l->inbox.count < CONSENSUS_STORE_JOBS_MAX);
    queue_push(&l->inbox, job);
    (void)pthread_mutex_unlock(&l->lock);
    l->host.mail(l->host.self); /* not under the lock: the woken would run into it at once */
}

static uint64_t clock_ns(const struct consensus_log *l)
{
    return l->host.now_ns(l->host.self);
}

static uint64_t clock_ms(const struct consensus_log *l)
{
    return clock_ns(l) / (uint64_t)MU_NS_PER_MS;
}

/* -- reports ------------------------------------------------------------------------------- */

static void say(struct consensus_log *l)
{
    l->wake(l->wake_data);
}

static void report_health(struct consensus_log *l, enum consensus_health health, const char *why)
{
    bool is_news;

    (void)pthread_mutex_lock(&l->lock);
    is_news = l->report.health != health;
    l->report.health = health;
    (void)snprintf(l->report.why, sizeof l->report.why, "%s", why);
    (void)pthread_mutex_unlock(&l->lock);
    if (is_news) {
        say(l);
    }
}

/* After this the disk is not touched any more. */
static void fail(struct consensus_log *l, const struct mu_err *err)
{
    l->journal.has_failed = true;
    report_health(l, err->code == MU_READ_ONLY ? CONSENSUS_STORE_READ_ONLY : CONSENSUS_STORE_FAILED,
                  err->text);
}

static bool lacks_ballast(const struct consensus_log *l)
{
    return l->ballast.bytes > 0 && !l->ballast.is_held;
}

static void report_space(struct consensus_log *l, const struct mu_err *err)
{
    bool is_full = l->is_blocked || l->full_until_ms != 0 || lacks_ballast(l);
    const char *why = err->code == MU_OK ? "the reserve is not complete" : err->text;

    report_health(l, is_full ? CONSENSUS_STORE_FULL : CONSENSUS_STORE_OK, is_full ? why : "");
}

/* -- meta ---------------------------------------------------------------------------------- */

static enum mu_code meta_save(struct consensus_log *l, struct mu_err *err)
{
    const struct consensus_journal *j = &l->journal;

    l->meta.durable_seq = j->seq;
    l->meta.is_clean = l->is_finished;
    consensus__journal_standing(j, &l->meta.end);
    l->meta_segment = j->segments_count > 0 ? j->segments[j->segments_count - 1].number : 0;
    return consensus__meta_save(&l->disk, &l->meta, err);
}

/* A cluster or an epoch that the log knows must not be missing where the log is looked for; nor may
 * meta claim to know the end of a log that goes on. */
enum mu_code consensus__log_meta_follow(struct consensus_log *l, struct mu_err *err)
{
    const struct consensus_hard *hard = &l->journal.hard;

    if (mu_id_eq(&l->meta.cluster, &hard->cluster) && l->meta.epoch == hard->epoch &&
        !l->meta.is_clean && l->meta.durable_seq <= l->journal.seq) {
        return MU_OK;
    }
    l->meta.cluster = hard->cluster;
    l->meta.epoch = hard->epoch;
    return meta_save(l, err);
}

/* -- the work of the log thread ------------------------------------------------------------ */

/* Only space was missing, and nothing has changed. A disk may also run out of it in the middle of a
 * batch, where blocks are never written twice in one place: that is a failure. */
static bool is_lack(const struct consensus_log *l, enum mu_code rc)
{
    return rc == MU_FULL && !l->journal.has_failed;
}

static void report_written(struct consensus_log *l, uint64_t seq, uint64_t flushes,
                           uint64_t began_ns, uint64_t ended_ns)
{
    uint64_t ns = ended_ns - began_ns;

    (void)pthread_mutex_lock(&l->lock);
    bool is_hushed = l->is_hushed;

    l->report.persisted_seq = seq;
    l->persisted_ns = ended_ns;
    l->report.flushes_count += flushes;
    l->report.flush_ns_sum += ns;
    l->report.flush_ns_max = ns > l->report.flush_ns_max ? ns : l->report.flush_ns_max;
    (void)pthread_mutex_unlock(&l->lock);
    if (!is_hushed) {
        say(l);
    }
}

static size_t gather(const struct consensus_log *l, struct consensus_journal_write *out)
{
    size_t count = 0;

    for (const struct consensus_job *job = l->todo.first;
         job != NULL && job->kind == CONSENSUS_JOB_WRITE && count < GROUP_MAX; job = job->next) {
        out[count++] = (struct consensus_journal_write){ &job->write, job->records };
    }
    return consensus__journal_group(&l->journal, out, count);
}

/* Have the ballast's blocks used, if it has any yet. */
static bool ballast_drop(struct consensus_log *l)
{
    struct mu_err err = MU_ERR_NONE;

    if (!l->ballast.is_held) {
        return false;
    }
    if (consensus__ballast_release(&l->ballast, &l->disk, &err) != MU_OK) {
        fail(l, &err);
        return false;
    }
    l->full_until_ms = clock_ms(l) + FULL_TEND_MS;
    return true;
}

static void write_blocked(struct consensus_log *l, const struct mu_err *why)
{
    l->is_blocked = !ballast_drop(l);
    if (!l->journal.has_failed) {
        report_space(l, why);
    }
}

static void write_batch(struct consensus_log *l)
{
    struct consensus_journal_write group[GROUP_MAX];
    struct mu_err err = MU_ERR_NONE;
    size_t count = gather(l, group);
    uint64_t began = clock_ns(l);
    uint64_t batch_before = l->journal.seq;
    enum mu_code rc = consensus__journal_append(&l->journal, group, count, &err);

    l->is_blocked = is_lack(l, rc);
    if (l->is_blocked) { /* the same writes are tried again */
        write_blocked(l, &err);
        return;
    }
    rc = rc == MU_OK ? consensus__log_meta_follow(l, &err) : rc;
    if (rc != MU_OK) {
        fail(l, &err);
        return;
    }
    report_space(l, &err);
    uint64_t seq = group[count - 1].write->seq;

    for (size_t i = 0; i < count; i++) {
        mu_free(queue_pop(&l->todo));
    }
    uint64_t ended = clock_ns(l);

    l->flushed_ms = ended / (uint64_t)MU_NS_PER_MS;
    report_written(l, seq, l->journal.seq - batch_before, began, ended);
}

/* Records as they were submitted: the chain is the log's own. */
static void chains_blank(struct mu_buf *records)
{
    for (size_t at = 0; at < records->bytes;) {
        struct consensus_record r;
        size_t room = 0;

        bool is_one = consensus__record_read(
            mu_span_sub(mu_buf_span(records), at, records->bytes - at), &r, &room);

        MU_ASSERT(is_one);
        memset(records->data + at + 4, 0, 4);
        at += room;
    }
}

static void do_fetch(struct consensus_log *l, const struct consensus_fetch *f)
{
    struct consensus_fetched got = { .ticket = f->ticket, .records = MU_BUF_NONE };
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc =
        consensus__journal_read(&l->journal, f->first, f->last, f->bytes_max, &got.records, &err);

    if (rc == MU_OK) {
        got.code = CONSENSUS_FETCH_OK;
        chains_blank(&got.records);
    } else if (rc == MU_READ_ONLY) { /* files are opened for writing, too: nothing is known of it */
        mu_buf_deinit(&got.records);
        fail(l, &err);
        return;
    } else {
        got.code = rc == MU_NOT_FOUND ? CONSENSUS_FETCH_COMPACTED : CONSENSUS_FETCH_DAMAGED;
        mu_buf_deinit(&got.records);
    }
    (void)pthread_mutex_lock(&l->lock);
    struct consensus_store_report *r = &l->report;

    r->fetched = mu_grow(r->fetched, (r->fetched_count + 1) * sizeof *r->fetched);
    r->fetched[r->fetched_count++] = got;
    (void)pthread_mutex_unlock(&l->lock);
    if (got.code == CONSENSUS_FETCH_DAMAGED) {
        fail(l, &err);
    }
    say(l);
}

static void do_record(struct consensus_log *l, const struct consensus_job *job)
{
    struct mu_err err = MU_ERR_NONE;

    l->meta.record_bytes = (uint32_t)job->record_bytes;
    memcpy(l->meta.record, job->record, job->record_bytes);
    if (meta_save(l, &err) != MU_OK) {
        fail(l, &err);
        return;
    }
    (void)pthread_mutex_lock(&l->lock);
    l->report.recorded_count++;
    (void)pthread_mutex_unlock(&l->lock);
    say(l);
}

static void do_compact(struct consensus_log *l, uint64_t upto)
{
    struct mu_err err = MU_ERR_NONE;

    if (consensus__journal_compact(&l->journal, upto, &err) != MU_OK) {
        fail(l, &err);
        return;
    }
    (void)pthread_mutex_lock(&l->lock);
    l->report.base_index = l->journal.base.index;
    (void)pthread_mutex_unlock(&l->lock);
    say(l);
}

static void do_relieve(struct consensus_log *l)
{
    struct mu_err err = MU_ERR_NONE;

    (void)mu_fail(&err, MU_FULL, "%s: no space left for the state",
                  l->disk.ops->path(l->disk.self));
    (void)ballast_drop(l);
    if (l->journal.has_failed) {
        return;
    }
    consensus__journal_give_way(&l->journal);
    l->full_until_ms = clock_ms(l) + FULL_TEND_MS;
    (void)pthread_mutex_lock(&l->lock);
    l->report.relieved_count++;
    (void)pthread_mutex_unlock(&l->lock);
    report_space(l, &err);
    say(l);
}

static void do_survey(struct consensus_log *l)
{
    struct consensus_survey *survey = consensus__journal_survey(&l->journal);

    (void)pthread_mutex_lock(&l->lock);
    mu_free(l->report.survey); /* nobody has fetched the one before */
    l->report.survey = survey;
    (void)pthread_mutex_unlock(&l->lock);
    say(l);
}

static void do_shed(struct consensus_log *l, uint64_t number)
{
    struct mu_err err = MU_ERR_NONE;
    uint64_t upto = 0;
    enum mu_code rc = consensus__journal_shed(&l->journal, number, &upto, &err);

    if (rc != MU_OK && !is_lack(l, rc)) { /* without room it stays until somebody looks again */
        fail(l, &err);
        return;
    }
    (void)pthread_mutex_lock(&l->lock);
    l->report.base_index = l->journal.base.index;
    l->report.shed_index = upto > l->report.shed_index ? upto : l->report.shed_index;
    (void)pthread_mutex_unlock(&l->lock);
    say(l);
}

static void do_urgent(struct consensus_log *l, const struct consensus_job *job)
{
    if (job->kind == CONSENSUS_JOB_COMPACT) {
        do_compact(l, job->upto);
    } else {
        do_relieve(l);
    }
}

static void do_next(struct consensus_log *l)
{
    struct consensus_job *job = l->todo.first;

    if (job->kind == CONSENSUS_JOB_WRITE) {
        write_batch(l);
        return;
    }
    (void)queue_pop(&l->todo);
    switch (job->kind) {
    case CONSENSUS_JOB_FETCH: do_fetch(l, &job->fetch); break;
    case CONSENSUS_JOB_RECORD: do_record(l, job); break;
    case CONSENSUS_JOB_SURVEY: do_survey(l); break;
    case CONSENSUS_JOB_SHED: do_shed(l, job->segment); break;
    case CONSENSUS_JOB_WRITE:
    case CONSENSUS_JOB_COMPACT:
    case CONSENSUS_JOB_RELIEVE: MU_UNREACHABLE_CODE();
    }
    mu_free(job);
}

static bool is_behind_with_meta(const struct consensus_log *l)
{
    const struct consensus_journal *j = &l->journal;

    return j->segments_count > 0 && j->segments[j->segments_count - 1].number != l->meta_segment;
}

/* Also to find out that nothing is missing any more: room that others gave back, or segments. */
static bool has_chores(const struct consensus_log *l)
{
    return is_behind_with_meta(l) || consensus__journal_wants(&l->journal) || lacks_ballast(l) ||
           l->full_until_ms != 0;
}

/* Make the next segment, or a piece of a spare; or take the ballast back, with room for what spares
 * are missing, or these would push it out again. */
static enum mu_code reserve_tend(struct consensus_log *l, struct mu_err *err)
{
    const struct consensus_journal *j = &l->journal;
    uint64_t missing = j->options.spares_count - j->spares_count;

    if (!lacks_ballast(l) || consensus__journal_is_pressed(j)) {
        return consensus__journal_tend(&l->journal, err);
    }
    return consensus__ballast_take(&l->ballast, &l->disk, (missing + 1) * j->options.segment_bytes,
                                   err);
}

/* What can wait. */
static void tend(struct consensus_log *l, uint64_t now_ms)
{
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc = MU_OK;

    if (is_behind_with_meta(l)) {
        rc = meta_save(l, &err);
    } else if (now_ms >= l->full_until_ms) {
        rc = reserve_tend(l, &err);
        l->full_until_ms = rc == MU_FULL ? now_ms + FULL_TEND_MS : 0;
        if (rc == MU_OK || rc == MU_FULL) {
            report_space(l, &err);
            rc = MU_OK;
        }
    }
    if (rc != MU_OK) {
        fail(l, &err);
    }
    uint64_t ended = clock_ms(l);
    uint64_t pause = (ended - now_ms) * TEND_SHARE;

    pause = pause < TEND_PAUSE_MS ? TEND_PAUSE_MS : pause;
    l->tend_ms = ended + (pause > TEND_PAUSE_MAX_MS ? TEND_PAUSE_MAX_MS : pause);
}

/* When to go on with it; UINT64_MAX: there is nothing. In a steady stream of writes too, for a
 * server whose load never pauses would never have a spare otherwise: the next segment at once, the
 * rest at a pace that slows down with the disk. */
static uint64_t chores_due_ms(const struct consensus_log *l)
{
    uint64_t due = consensus__journal_is_pressed(&l->journal) ? 0 : l->tend_ms;

    if (!has_chores(l)) {
        return UINT64_MAX;
    }
    return due > l->full_until_ms ? due : l->full_until_ms;
}

static void prove(struct consensus_log *l)
{
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc = consensus__journal_mark(&l->journal, &err);

    if (rc != MU_OK && !is_lack(l, rc)) {
        fail(l, &err);
    }
    l->flushed_ms = clock_ms(l); /* on a full disk: not again at once */
}

/* -- steps --------------------------------------------------------------------------------- */

/* How long there is nothing to do when nothing arrives; 0: not at all; UINT64_MAX: for ever. */
static uint64_t nap_ms(const struct consensus_log *l, uint64_t now_ms)
{
    uint64_t chores_ms = chores_due_ms(l);
    uint64_t nap = chores_ms == UINT64_MAX ? chores_ms
                   : chores_ms > now_ms    ? chores_ms - now_ms
                                           : 0;

    if (l->journal.has_failed) {
        return UINT64_MAX;
    }
    if (l->urgent.first != NULL) {
        return 0;
    }
    if (l->todo.first != NULL) {
        return l->is_blocked ? FULL_PAUSE_MS : 0;
    }
    if (!l->journal.is_marked) {
        uint64_t due = l->flushed_ms + MARK_AFTER_MS;
        uint64_t pause = due > now_ms ? due - now_ms : 0;

        nap = nap < pause ? nap : pause;
    }
    return nap;
}

/* Take what has arrived. True: the owner wants to close. */
static bool mail_take(struct consensus_log *l)
{
    struct consensus_job *job;

    (void)pthread_mutex_lock(&l->lock);
    bool is_closing = l->is_closing;

    while ((job = queue_pop(&l->inbox)) != NULL) {
        bool makes_room = job->kind == CONSENSUS_JOB_COMPACT || job->kind == CONSENSUS_JOB_RELIEVE;

        queue_push(makes_room ? &l->urgent : &l->todo, job);
    }
    (void)pthread_mutex_unlock(&l->lock);
    return is_closing;
}

static void work(struct consensus_log *l)
{
    uint64_t now = clock_ms(l);
    struct consensus_job *urgent = queue_pop(&l->urgent);

    if (urgent != NULL) {
        do_urgent(l, urgent);
        mu_free(urgent);
    } else if (l->todo.first != NULL) {
        do_next(l);
    } else if (!l->journal.is_marked && now >= l->flushed_ms + MARK_AFTER_MS) {
        prove(l);
    }
    now = clock_ms(l);
    if (!l->journal.has_failed && chores_due_ms(l) <= now) {
        tend(l, now);
    }
}

/* A stop that was asked for leaves nothing unproven. After a failure the disk is left alone. */
static void finish(struct consensus_log *l)
{
    struct mu_err err = MU_ERR_NONE;

    if (!l->journal.has_failed) {
        prove(l);
    }
    l->is_finished = true;
    if (!l->journal.has_failed && meta_save(l, &err) != MU_OK) {
        fail(l, &err);
    }
    (void)pthread_mutex_lock(&l->lock);
    l->report.is_closed = true;
    (void)pthread_mutex_unlock(&l->lock);
    say(l);
}

bool consensus__log_step(struct consensus_log *l, uint64_t *nap)
{
    bool is_closing = mail_take(l);

    if (is_closing && (l->journal.has_failed || l->todo.first == NULL || l->is_blocked)) {
        finish(l);
        return false;
    }
    if (!l->journal.has_failed) { /* else there is nothing left to do but to be closed */
        work(l);
    }
    *nap = is_closing ? 0 : nap_ms(l, clock_ms(l)); /* what failed now is closed by the next one */
    return true;
}

/* -- the thread ---------------------------------------------------------------------------- */

static bool has_mail(struct consensus_log *l)
{
    (void)pthread_mutex_lock(&l->lock);
    bool has = l->inbox.first != NULL || l->is_closing;

    (void)pthread_mutex_unlock(&l->lock);
    return has;
}

static void *log_thread(void *data)
{
    struct consensus_log *l = data;
    uint64_t nap = 0;

    do {
        while (mu_nudge_take(&l->mail, nap) && nap > 0 && !has_mail(l)) {
        }
    } while (consensus__log_step(l, &nap));
    return NULL;
}

static uint64_t thread_now_ns(void *self)
{
    (void)self;
    return mu_clock_ns();
}

static void thread_start(void *self, struct consensus_log *l)
{
    sigset_t all;
    sigset_t before;

    (void)self;
    (void)sigfillset(&all); /* signals are for the loop */
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    int rc = pthread_create(&l->thread, NULL, log_thread, l);

    MU_ASSERT(rc == 0);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void thread_mail(void *self)
{
    struct consensus_log *l = self;

    mu_nudge(&l->mail);
}

static void thread_join(void *self)
{
    struct consensus_log *l = self;

    (void)pthread_join(l->thread, NULL);
}

void consensus__log_thread_host(struct consensus_log *l, struct consensus_log_host *out)
{
    *out = (struct consensus_log_host){
        .self = l,
        .now_ns = thread_now_ns,
        .start = thread_start,
        .mail = thread_mail,
        .join = thread_join,
    };
}

/* -- the owner's side -- */

void consensus__log_init(struct consensus_log *l, const struct consensus_log_host *host,
                         consensus_store_wake_fn *wake, void *wake_data)
{
    l->host = *host;
    l->wake = wake;
    l->wake_data = wake_data;
    queue_init(&l->inbox);
    queue_init(&l->todo);
    queue_init(&l->urgent);
    (void)pthread_mutex_init(&l->lock, NULL); /* Linux: none of these can fail */
    mu_nudge_init(&l->mail);
}

void consensus__log_start(struct consensus_log *l)
{
    l->flushed_ms = clock_ms(l);
    l->is_running = true;
    l->host.start(l->host.self, l);
}

void consensus__log_hush(struct consensus_log *l, bool is_hushed)
{
    (void)pthread_mutex_lock(&l->lock);
    bool is_news = l->is_hushed && !is_hushed && l->report.persisted_seq != l->collected_seq;

    l->is_hushed = is_hushed;
    (void)pthread_mutex_unlock(&l->lock);
    if (is_news) {
        say(l);
    }
}

void consensus__log_collect(struct consensus_log *l, struct consensus_store_report *out)
{
    uint64_t now_ns = clock_ns(l);

    (void)pthread_mutex_lock(&l->lock);
    uint64_t late_ns = now_ns > l->persisted_ns ? now_ns - l->persisted_ns : 0;

    l->report.persisted_late_ms = late_ns / (uint64_t)MU_NS_PER_MS;
    l->collected_seq = l->report.persisted_seq;
    *out = l->report;
    l->report.fetched = NULL;
    l->report.fetched_count = 0;
    l->report.survey = NULL;
    (void)pthread_mutex_unlock(&l->lock);
}

void consensus__log_close(struct consensus_log *l)
{
    MU_ASSERT(l->is_running);
    (void)pthread_mutex_lock(&l->lock);
    MU_ASSERT(!l->is_closing);
    l->is_closing = true;
    l->host.mail(l->host.self);
    (void)pthread_mutex_unlock(&l->lock);
}

void consensus__log_deinit(struct consensus_log *l)
{
    if (l->is_running) {
        l->host.join(l->host.self);
        MU_ASSERT(l->report.is_closed);
    }
    if (l->journal.disk != NULL) {
        consensus__journal_close(&l->journal);
    }
    queue_clear(&l->inbox);
    queue_clear(&l->todo);
    queue_clear(&l->urgent);
    for (size_t i = 0; i < l->report.fetched_count; i++) {
        consensus_fetched_deinit(&l->report.fetched[i]);
    }
    mu_free(l->report.fetched);
    mu_free(l->report.survey);
    mu_nudge_deinit(&l->mail);
    (void)pthread_mutex_destroy(&l->lock);
}
