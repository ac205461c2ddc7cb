/* store_segment.c - the vtable of store.h on segment files: who this disk is, what it holds, and
 * the way to the log thread, which does everything else.
 */
#include "store_segment.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/rand.h"
#include "log_thread.h"

struct segment_store {
    struct consensus_log log;
    bool owns_disk;
    char *dir;
    struct consensus_store_options options;
    struct mu_rand rand; /* of ids and salts */
};

/* -- open ---------------------------------------------------------------------------------- */

/* What was not set is chosen by the size of the file system. */
static enum mu_code sizes_settle(struct segment_store *s, struct consensus_opened *out,
                                 struct mu_err *err)
{
    struct consensus_store_options *o = &s->options;
    const struct consensus_disk *disk = &s->log.disk;
    struct mu_space space;
    enum mu_code rc = disk->ops->space(disk->self, &space, err);

    if (rc != MU_OK) {
        return rc;
    }
    struct consensus_sizes sizes = consensus__sizes_for(space.total_bytes);

    o->segment_bytes = o->segment_bytes != 0 ? o->segment_bytes : sizes.segment_bytes;
    o->spares_count = o->spares_count != 0 ? o->spares_count : sizes.spares_count;
    if (o->ballast_bytes == CONSENSUS_BALLAST_BY_SPACE) {
        o->ballast_bytes = sizes.ballast_bytes;
        /* What waits to be written must fit the reserve when the disk fills up meanwhile. */
        out->unsynced_bytes_max = (uint32_t)(sizes.ballast_bytes / 2);
        out->trailing_bytes_max = 4 * sizes.segment_bytes;
    }
    s->log.ballast.bytes = o->ballast_bytes;
    return consensus__ballast_open(&s->log.ballast, disk, err);
}

/* A new log begins with its whole reserve. One that is there already may be on a full disk: that is
 * what the reserve is for, and it goes on, FULL, as long as it can. */
static enum mu_code reserve_new(struct segment_store *s, struct mu_err *err)
{
    const struct consensus_store_options *o = &s->options;
    const struct consensus_disk *disk = &s->log.disk;
    uint64_t spares = (uint64_t)o->spares_count * o->segment_bytes;
    struct mu_space space;
    enum mu_code rc = disk->ops->space(disk->self, &space, err);

    if (rc != MU_OK || o->ballast_bytes == 0) {
        return rc;
    }
    uint64_t need = o->ballast_bytes + spares + 2 * (uint64_t)o->segment_bytes;

    if (space.free_bytes < need) {
        return mu_fail(err, MU_FULL,
                       "%s: a server keeps %llu KiB in reserve for when the disk is full, %llu KiB "
                       "are free: %llu KiB are missing",
                       disk->ops->path(disk->self), (unsigned long long)need / 1024,
                       (unsigned long long)space.free_bytes / 1024,
                       (unsigned long long)(need - space.free_bytes + 1023) / 1024);
    }
    return consensus__ballast_take(&s->log.ballast, disk, 0, err);
}

/* Who this disk is: as meta says, or made now. */
static enum mu_code identify(struct segment_store *s, struct consensus_opened *out,
                             struct mu_err *err)
{
    const struct consensus_disk *disk = &s->log.disk;
    enum mu_code rc = disk->ops->lock(disk->self, CONSENSUS_META_NAME, err);

    rc = rc == MU_OK ? sizes_settle(s, out, err) : rc;
    if (rc != MU_OK) {
        return rc;
    }
    rc = consensus__meta_load(disk, &s->options.server, &s->log.meta, err);
    if (rc == MU_OK) {
        rc = consensus__meta_settle(disk, &s->log.meta, err);
        s->log.meta.boot_count++;
        return rc == MU_OK ? consensus__meta_save(disk, &s->log.meta, err) : rc;
    }
    if (rc != MU_NOT_FOUND) {
        return rc;
    }
    s->log.meta = (struct consensus_meta){ .server = s->options.server,
                                           .disk = mu_id_drawn(&s->rand),
                                           .boot_count = 1 };
    rc = reserve_new(s, err);
    return rc == MU_OK ? consensus__meta_save(disk, &s->log.meta, err) : rc;
}

static enum mu_code configs_decode(const struct consensus_journal *j, struct consensus_opened *out,
                                   struct mu_err *err)
{
    out->configs = mu_new_array(j->configs_count, sizeof *out->configs);
    for (size_t i = 0; i < j->configs_count; i++) {
        struct mu_err why = MU_ERR_NONE;

        enum mu_code rc = consensus_config_decode(mu_buf_span(&j->configs[i].bytes),
                                                  j->configs[i].index, &out->configs[i], &why);

        if (rc != MU_OK) {
            return mu_fail(err, rc == MU_UNSUPPORTED ? rc : MU_CORRUPT,
                           "%s: configuration at entry %llu: %s", j->disk->ops->path(j->disk->self),
                           (unsigned long long)j->configs[i].index, why.text);
        }
    }
    out->loaded.configs = out->configs;
    out->loaded.configs_count = j->configs_count;
    return MU_OK;
}

/* The cluster of meta is written after the log's: a log without it has lost it. */
static enum mu_code cross_check(const struct segment_store *s, struct mu_err *err)
{
    const struct mu_id *log = &s->log.journal.hard.cluster;

    if (mu_id_is_none(&s->log.meta.cluster) || mu_id_eq(&s->log.meta.cluster, log)) {
        return MU_OK;
    }
    char ours[MU_ID_TEXT_BYTES + 1];
    char theirs[MU_ID_TEXT_BYTES + 1];

    mu_id_text(&s->log.meta.cluster, ours);
    mu_id_text(log, theirs);
    return mu_fail(err, MU_CORRUPT,
                   "%s: \"" CONSENSUS_META_NAME "\" says cluster %s, the log says %s: files of "
                   "two histories are mixed, or log files are missing",
                   s->log.disk.ops->path(s->log.disk.self), ours, theirs);
}

/* A segment may be left long before its end: behind its last point lies about as much as between
 * two of them. */
static uint64_t log_bytes(const struct consensus_journal *j)
{
    uint64_t newest = j->segments_count > 0 ? j->segments[j->segments_count - 1].number : 0;
    uint64_t bytes = j->offset;

    for (size_t i = 0; i < j->points_count; i++) {
        const struct consensus_point *p = &j->points[i];
        bool is_last = i + 1 == j->points_count || p[1].segment != p->segment;

        if (is_last && p->segment != newest) {
            bytes += p->offset + CONSENSUS_POINT_BYTES;
        }
    }
    return bytes;
}

static enum mu_code journal_open(struct segment_store *s, struct consensus_opened *out,
                                 struct mu_err *err)
{
    struct consensus_journal_options options = {
        .server = s->options.server,
        .disk = s->log.meta.disk,
        .segment_bytes = s->options.segment_bytes,
        .spares_count = s->options.spares_count,
        .durable_seq = s->log.meta.durable_seq,
        .applied_index = s->options.applied_index,
        .applied_term = s->options.applied_term,
        .is_end_known = s->log.meta.is_clean,
        .end = s->log.meta.end,
        .seed = mu_rand_u64(&s->rand),
    };
    struct consensus_journal_found found;
    struct consensus_journal *j = &s->log.journal;
    enum mu_code rc = consensus__journal_open(j, &s->log.disk, &options, &found, err);

    if (rc != MU_OK) {
        return rc;
    }
    out->runs = found.runs;
    out->was_rewritten = found.was_rewritten;
    (void)snprintf(out->damage, sizeof out->damage, "%s", found.damage);
    out->damaged_segment = found.damaged_segment;
    out->is_fresh = found.was_empty;
    out->loaded = (struct consensus_loaded){
        .hard = j->hard,
        .runs = found.runs,
        .runs_count = found.runs_count,
        .base_index = j->base.index,
        .base_term = j->base.term,
        .last_index = j->tail.index,
        .floor_index = consensus__journal_lacks(j) ? j->floor.index : 0,
        .floor_term = consensus__journal_lacks(j) ? j->floor.term : 0,
        .log_bytes = log_bytes(j),
        .boot_count = s->log.meta.boot_count,
    };
    s->log.report.base_index = j->base.index;
    rc = configs_decode(j, out, err);
    rc = rc == MU_OK ? cross_check(s, err) : rc;
    /* A crash may have come between the log's write of a cluster and meta's. */
    return rc == MU_OK ? consensus__log_meta_follow(&s->log, err) : rc;
}

static enum mu_code segment_open(void *self, struct consensus_opened *out, struct mu_err *err)
{
    struct segment_store *s = self;
    enum mu_code rc = MU_OK;

    MU_ASSERT(!s->log.is_running);
    *out = (struct consensus_opened){ .record = MU_BUF_NONE };
    if (s->log.disk.ops == NULL) {
        rc = consensus__disk_open(&s->log.disk, s->dir, err);
        s->owns_disk = rc == MU_OK;
    }
    rc = rc == MU_OK ? identify(s, out, err) : rc;
    rc = rc == MU_OK ? journal_open(s, out, err) : rc;
    if (rc != MU_OK) {
        consensus_opened_deinit(out);
        return rc;
    }
    out->disk = s->log.meta.disk;
    mu_buf_add(&out->record, s->log.meta.record, s->log.meta.record_bytes);
    consensus__log_start(&s->log);
    return MU_OK;
}

/* -- calls of the loop --------------------------------------------------------------------- */

static void segment_submit(void *self, const struct consensus_write *w,
                           const struct mu_span *records)
{
    struct segment_store *s = self;
    size_t count = w->first <= w->last ? (size_t)(w->last - w->first) + 1 : 0;
    size_t config_bytes = w->reset_config != NULL ? sizeof *w->reset_config : 0;
    struct consensus_job *job = mu_new(sizeof *job + count * sizeof *records + config_bytes);

    MU_ASSERT(w->reset_config == NULL || count == 0);
    job->kind = CONSENSUS_JOB_WRITE;
    job->write = *w;
    if (w->reset_config != NULL) {
        memcpy(job->records, w->reset_config, config_bytes);
        job->write.reset_config = (const void *)job->records;
    }
    if (count > 0) {
        memcpy(job->records, records, count * sizeof *records);
    }
    consensus__log_post(&s->log, job);
}

static void segment_hush(void *self, bool is_hushed)
{
    struct segment_store *s = self;

    consensus__log_hush(&s->log, is_hushed);
}

static void segment_fetch(void *self, const struct consensus_fetch *f)
{
    struct segment_store *s = self;
    struct consensus_job *job = mu_new(sizeof *job);

    job->kind = CONSENSUS_JOB_FETCH;
    job->fetch = *f;
    consensus__log_post(&s->log, job);
}

static void segment_record(void *self, struct mu_span bytes)
{
    struct segment_store *s = self;
    struct consensus_job *job = mu_new(sizeof *job + bytes.bytes);

    MU_ASSERT(bytes.bytes <= CONSENSUS_STORE_RECORD_MAX);
    job->kind = CONSENSUS_JOB_RECORD;
    job->record_bytes = bytes.bytes;
    if (bytes.bytes > 0) {
        memcpy(job->record, bytes.data, bytes.bytes);
    }
    consensus__log_post(&s->log, job);
}

static void segment_compact(void *self, uint64_t upto)
{
    struct segment_store *s = self;
    struct consensus_job *job = mu_new(sizeof *job);

    job->kind = CONSENSUS_JOB_COMPACT;
    job->upto = upto;
    consensus__log_post(&s->log, job);
}

static void segment_relieve(void *self)
{
    struct segment_store *s = self;
    struct consensus_job *job = mu_new(sizeof *job);

    job->kind = CONSENSUS_JOB_RELIEVE;
    consensus__log_post(&s->log, job);
}

static void segment_survey(void *self)
{
    struct segment_store *s = self;
    struct consensus_job *job = mu_new(sizeof *job);

    job->kind = CONSENSUS_JOB_SURVEY;
    consensus__log_post(&s->log, job);
}

static void segment_shed(void *self, uint64_t number)
{
    struct segment_store *s = self;
    struct consensus_job *job = mu_new(sizeof *job);

    job->kind = CONSENSUS_JOB_SHED;
    job->segment = number;
    consensus__log_post(&s->log, job);
}

static void segment_collect(void *self, struct consensus_store_report *out)
{
    struct segment_store *s = self;

    consensus__log_collect(&s->log, out);
}

static void segment_close(void *self)
{
    struct segment_store *s = self;

    consensus__log_close(&s->log);
}

static void segment_free(void *self)
{
    struct segment_store *s = self;

    consensus__log_deinit(&s->log);
    if (s->owns_disk) {
        consensus__disk_close(&s->log.disk);
    }
    mu_free(s->dir);
    mu_free(s);
}

static const struct consensus_store_ops segment_ops = {
    .open = segment_open,
    .submit = segment_submit,
    .hush = segment_hush,
    .fetch = segment_fetch,
    .record = segment_record,
    .relieve = segment_relieve,
    .compact = segment_compact,
    .survey = segment_survey,
    .shed = segment_shed,
    .collect = segment_collect,
    .close = segment_close,
    .free = segment_free,
};

void consensus__store_segment_on(struct consensus_store *out,
                                 const struct consensus_store_options *options,
                                 const struct consensus_disk *disk,
                                 const struct consensus_log_host *host)
{
    struct segment_store *s = mu_new(sizeof *s);
    struct consensus_log_host own;

    s->options = *options;
    s->options.dir = NULL;
    s->dir = options->dir != NULL ? mu_strdup(options->dir) : NULL;
    if (disk != NULL) {
        s->log.disk = *disk;
    }
    mu_rand_seed(&s->rand, options->seed != 0 ? options->seed : mu_rand_system());
    consensus__log_thread_host(&s->log, &own);
    consensus__log_init(&s->log, host != NULL ? host : &own, options->wake, options->wake_data);
    *out = (struct consensus_store){ &segment_ops, s };
}

void consensus_store_segment_new(struct consensus_store *out,
                                 const struct consensus_store_options *options)
{
    MU_ASSERT(options->dir != NULL);
    consensus__store_segment_on(out, options, NULL, NULL);
}
