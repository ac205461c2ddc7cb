/* journal_open.c - find everything again after a stop, a crash or a power cut.
 *
 * 1. journal_scan.c says which segments are in use.
 * 2. Walk the batches of the segments in use, one behind: a batch is taken over when the next one
 *    proves it. A segment ends where the next one's first sequence number begins; that also passes
 *    over the tail that an earlier open has written again elsewhere. Where batches are missing, the
 *    next intact one says where the log stood, and so what was lost with them: bridge().
 * 3. Where no intact batch follows, decide: was this the end, or is something missing? Meta and
 *    the state may know more.
 * 4. The last intact batch is not proven. A MARK has nothing to lose; anything else is written
 * again into a new segment, flushed, and followed by a MARK.
 */
#include "opening.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#define SEGMENT_FILE_MAX (64U * 1024 * 1024) /* larger is not ours: refused before it is read */

/* -- 2. the walk --------------------------------------------------------------------------- */

void consensus__opening_cut(struct consensus_journal_found *f, uint64_t from)
{
    while (f->runs_count > 0 && f->runs[f->runs_count - 1].first_index >= from) {
        f->runs_count--;
    }
}

static void runs_add(struct consensus_journal_found *f, uint64_t index, uint64_t term)
{
    if (f->runs_count > 0 && f->runs[f->runs_count - 1].term == term) {
        return;
    }
    f->runs = mu_grow(f->runs, (f->runs_count + 1) * sizeof *f->runs);
    f->runs[f->runs_count++] = (struct consensus_run){ index, term };
}

void consensus__opening_restart(struct opening *o, const struct consensus_position *at)
{
    consensus__journal_note_reset(o->j, at);
    o->found->runs_count = 0;
}

/* BASE: the oldest segment's is where the log begins. A later one repeats what is known, unless all
 * before it is dead: then the log begins anew, lower than those thought. */
static const char *take_base(struct opening *o, struct mu_span payload)
{
    struct consensus_journal *j = o->j;
    struct consensus_base base;

    if (!consensus__base_read(payload, &base)) {
        return "a base record is malformed";
    }
    j->segments[j->segments_count - 1].base = base.at;
    if (o->has_base && base.at.index >= j->base.index) {
        if (base.at.index > j->tail.index ||
            (base.at.index == j->tail.index && base.at.chain != j->tail.chain)) {
            return "the segment does not continue the one before";
        }
        return NULL;
    }
    o->has_base = true;
    consensus__opening_restart(o, &base.at);
    if (base.config_index != 0) {
        consensus__journal_note_config(j, base.config_index, base.config_term, base.config);
    }
    return NULL;
}

static enum mu_code take_entry(struct opening *o, const struct consensus_record *r, bool *is_placed,
                               const char **wrong, struct mu_err *err)
{
    struct consensus_journal *j = o->j;
    bool goes_back = r->index <= j->tail.index;
    enum mu_code rc = MU_OK;

    if (r->index <= j->base.index || r->index > j->tail.index + 1 || (goes_back && *is_placed)) {
        *wrong = "an entry is out of order";
        return MU_OK;
    }
    if (goes_back) {
        struct consensus_position at;

        rc = consensus__journal_position(j, r->index - 1, &at, err);
        if (rc != MU_OK) {
            return rc;
        }
        consensus__journal_note_truncate(j, &at);
        consensus__opening_cut(o->found, r->index);
    }
    if (r->chain != consensus__record_chain(j->tail.chain, r->crc) || r->term < j->tail.term) {
        *wrong = "an entry does not continue the one before";
        return MU_OK;
    }
    if (!*is_placed) {
        consensus__journal_note_place(j, r->index, o->pending_offset, goes_back || o->is_bridged);
        *is_placed = true;
        o->is_bridged = false;
    }
    consensus__journal_note_entry(j, r);
    runs_add(o->found, r->index, r->term);
    return MU_OK;
}

static const char *take_hard(struct opening *o, struct mu_span payload)
{
    struct consensus_standing standing;

    if (!consensus__hard_read(payload, &standing)) {
        return "a hard state is malformed";
    }
    o->j->hard = standing.hard;
    return NULL;
}

/* After an install: nothing before counts, and the configuration is that of the snapshot. */
static const char *take_reset(struct opening *o, struct mu_span payload)
{
    struct consensus_base base;

    if (!consensus__base_read(payload, &base) || base.at.index == 0) {
        return "a reset record is malformed";
    }
    o->is_astray = false;
    consensus__opening_restart(o, &base.at);
    if (base.config_index != 0) {
        consensus__journal_note_config(o->j, base.config_index, base.config_term, base.config);
    }
    return NULL;
}

static const char *take_floor(struct opening *o, struct mu_span payload)
{
    bool restarts;

    return consensus__floor_read(payload, &o->j->floor, &restarts) ? NULL : "a floor is malformed";
}

/* Of a log that is followed only for its end. */
static void follow_end(struct opening *o, const struct consensus_record *r)
{
    o->end = (struct consensus_position){ .index = r->index, .term = r->term };
}

static enum mu_code take_record(struct opening *o, const struct consensus_record *r,
                                bool *is_placed, const char **wrong, struct mu_err *err)
{
    if (r->kind < CONSENSUS_RECORD_OWN && o->is_astray) {
        follow_end(o, r);
        return MU_OK;
    }
    if (r->kind < CONSENSUS_RECORD_OWN) {
        return take_entry(o, r, is_placed, wrong, err);
    }
    switch ((enum consensus_record_own)r->kind) {
    case CONSENSUS_RECORD_BASE: *wrong = o->is_astray ? NULL : take_base(o, r->payload); break;
    case CONSENSUS_RECORD_HARD: *wrong = take_hard(o, r->payload); break;
    case CONSENSUS_RECORD_RESET: *wrong = take_reset(o, r->payload); break;
    case CONSENSUS_RECORD_FLOOR: *wrong = take_floor(o, r->payload); break;
    case CONSENSUS_RECORD_MARK: break;
    default: *wrong = "a record is of an unknown kind"; break;
    }
    return MU_OK;
}

/* The pending batch has been proven: it is part of the log. */
static enum mu_code take_pending(struct opening *o, struct mu_err *err)
{
    struct consensus_journal *j = o->j;
    uint64_t number = j->segments[j->segments_count - 1].number;
    struct mu_span left = mu_buf_span(&o->pending);
    bool is_placed = false;
    const char *wrong = NULL;

    enum mu_code rc = consensus__bridge_pending(o, err);

    o->has_pending = false;
    while (rc == MU_OK && left.bytes > 0) {
        struct consensus_record r;
        size_t room = 0;

        if (!consensus__record_read(left, &r, &room)) {
            wrong = "a record fails its checksum";
        } else {
            rc = take_record(o, &r, &is_placed, &wrong, err);
        }
        if (rc != MU_OK) {
            return rc;
        }
        if (wrong != NULL) {
            return consensus__journal_damage(o->j, number, o->pending_offset, wrong, err);
        }
        left = mu_span_sub(left, room, left.bytes - room);
    }
    return rc;
}

static enum mu_code read_segment(struct opening *o, const struct consensus_found_file *f,
                                 struct mu_err *err)
{
    const struct consensus_disk *disk = o->j->disk;
    char name[CONSENSUS_JOURNAL_NAME_MAX];
    uint64_t bytes;
    int file;

    mu_buf_clear(&o->bytes);
    if (f->bytes > SEGMENT_FILE_MAX) {
        return consensus__journal_damage(o->j, f->number, SEGMENT_FILE_MAX,
                                         "no segment is as large as this file", err);
    }
    consensus__journal_name(f->number, name);
    enum mu_code rc = disk->ops->open(disk->self, name, false, &file, &bytes, err);

    if (rc != MU_OK) {
        return rc;
    }
    rc = disk->ops->read(disk->self, file, 0, mu_buf_reserve(&o->bytes, (size_t)f->bytes),
                         (size_t)f->bytes, err);
    disk->ops->close(disk->self, file);
    o->bytes.bytes = rc == MU_OK ? (size_t)f->bytes : 0;
    return rc == MU_OK ? MU_OK : consensus__journal_in_file(o->j, f->number, rc, err);
}

/* Is the batch where the walk stands the next one of this log? */
static bool is_next(const struct opening *o, const struct consensus_found_file *f, uint64_t limit,
                    struct consensus_batch *batch)
{
    struct mu_span here =
        mu_span_sub(mu_buf_span(&o->bytes), o->offset, o->bytes.bytes - o->offset);

    return consensus__batch_read(here, batch) && batch->salt == f->head.salt &&
           batch->seq < limit &&
           (o->expected == 0 ||
            (batch->seq == o->expected && (o->is_torn_open || batch->prev_crc == o->prev_crc)));
}

/* The walk stands before something that is no next batch. Is there one further on? */
static bool skip_damage(struct opening *o, const struct consensus_found_file *f, uint64_t limit)
{
    struct consensus_batch batch;
    size_t at;

    if (!consensus__batch_search(mu_buf_span(&o->bytes), (size_t)o->offset,
                                 o->expected > 0 ? o->expected - 1 : 0, &f->head.salt, &batch,
                                 &at) ||
        batch.seq >= limit) {
        return false;
    }
    consensus__bridge_from(o, f->number, o->offset);
    o->expected = batch.seq;
    o->offset = at;
    return true;
}

static void hold(struct opening *o, const struct consensus_batch *batch)
{
    mu_buf_clear(&o->pending);
    mu_buf_add_span(&o->pending, batch->records);
    o->has_pending = true;
    o->is_pending_torn = o->is_torn_open;
    o->is_torn_open = false;
    o->pending_seq = batch->seq;
    o->pending_offset = o->offset;
    o->pending_prev_crc = batch->prev_crc;
    o->expected = batch->seq + 1;
    o->prev_crc = batch->crc;
    o->offset += batch->room;
}

/* All batches of one segment up to sequence number `limit`, which the next segment begins with. */
static enum mu_code walk_segment(struct opening *o, const struct consensus_found_file *f,
                                 uint64_t limit, struct mu_err *err)
{
    struct consensus_batch batch;
    enum mu_code rc = MU_OK;

    o->offset = CONSENSUS_PAGE;
    while (rc == MU_OK && o->offset < o->bytes.bytes) {
        if (!is_next(o, f, limit, &batch)) {
            if (!skip_damage(o, f, limit)) {
                break;
            }
            continue;
        }
        rc = o->has_pending ? take_pending(o, err) : MU_OK;
        hold(o, &batch);
    }
    if (rc == MU_OK && limit != UINT64_MAX) {
        /* The next segment begins with an intact batch: that proves all before it. Of the oldest
         * one nothing may count any more: its only batch was written again. */
        bool is_missing = o->expected != limit && (o->expected != 0 || f->first_seq < limit);

        rc = o->has_pending ? take_pending(o, err) : MU_OK;
        if (is_missing) {
            consensus__bridge_from(o, f->number, o->offset);
            o->expected = limit;
        }
    }
    return rc;
}

/* -- 3. was that the end? ------------------------------------------------------------------ */

/* Files behind the last one in use were made ready and not begun. Or their head or first batch is
 * damaged, and the log is longer than the walk has seen: also who only looks must know. */
static enum mu_code check_unused(struct opening *o, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    for (size_t i = o->scan.used_count; rc == MU_OK && i < o->scan.files_count; i++) {
        const struct consensus_found_file *f = &o->scan.files[i];
        bool has_head = f->head_state == CONSENSUS_HEAD_OK;
        struct consensus_batch batch;
        size_t at;

        rc = read_segment(o, f, err);
        /* Of any salt: when the head is lost the salt is, too; and what an earlier use of the file
         * has left has lower numbers. */
        if (rc == MU_OK &&
            consensus__batch_search(mu_buf_span(&o->bytes), 0,
                                    o->expected > 0 ? o->expected - 1 : 0, NULL, &batch, &at)) {
            rc = consensus__journal_damage(o->j, f->number, has_head ? CONSENSUS_PAGE : 0,
                                           has_head
                                               ? "the first batch is damaged, later ones are intact"
                                               : "the head is damaged, batches are intact",
                                           err);
        }
    }
    return rc;
}

/* They go, so that their numbers are free. */
static enum mu_code drop_unused(struct opening *o, struct mu_err *err)
{
    struct consensus_journal *j = o->j;
    enum mu_code rc = MU_OK;

    for (size_t i = o->scan.used_count; rc == MU_OK && i < o->scan.files_count; i++) {
        char name[CONSENSUS_JOURNAL_NAME_MAX];

        consensus__journal_name(o->scan.files[i].number, name);
        rc = j->disk->ops->remove(j->disk->self, name, err);
    }
    if (rc == MU_OK && o->scan.used_count < o->scan.files_count) {
        rc = j->disk->ops->sync_dir(j->disk->self, err);
    }
    return rc;
}

/* Where the log ends once the pending batch is part of it. */
static uint64_t end_index(const struct opening *o)
{
    struct mu_span left = mu_buf_span(&o->pending);
    uint64_t end = o->j->tail.index;
    struct consensus_record r;
    size_t room;

    while (o->has_pending && left.bytes > 0 && consensus__record_read(left, &r, &room)) {
        struct consensus_base base;

        if (r.kind < CONSENSUS_RECORD_OWN) {
            end = r.index;
        } else if ((r.kind == CONSENSUS_RECORD_RESET ||
                    (r.kind == CONSENSUS_RECORD_BASE && !o->has_base)) &&
                   consensus__base_read(r.payload, &base)) {
            end = base.at.index;
        }
        left = mu_span_sub(left, room, left.bytes - room);
    }
    return end;
}

/* Entries are durable here before they are applied: the state may know of some that are not there.
 * With batches that were found to be missing bridge() has looked at that. */
static enum mu_code check_state(struct opening *o, struct mu_err *err)
{
    uint64_t applied = o->j->options.applied_index;
    uint64_t end = end_index(o);
    char what[160];

    if (o->scan.used_count == 0 || o->is_pending_torn || o->is_astray || o->is_end_lost ||
        applied <= end) {
        return MU_OK;
    }
    consensus__bridge_from(o, o->scan.files[o->scan.used_count - 1].number, o->offset);
    (void)snprintf(what, sizeof what,
                   "the log ends with entry %llu, but the state contains entries up to %llu",
                   (unsigned long long)end, (unsigned long long)applied);
    return consensus__bridge_refuse(o, what, err);
}

/* Not even the files are left that meta knows of. */
static enum mu_code refuse_nothing(const struct opening *o, struct mu_err *err)
{
    const struct consensus_journal *j = o->j;

    return mu_fail(err, MU_CORRUPT,
                   "%s: no segment is there, but %llu batches were durable: restore its files from "
                   "before, or move the data directory away and let the server join as a new one",
                   j->disk->ops->path(j->disk->self), (unsigned long long)j->options.durable_seq);
}

/* Meta knows of batches that are not there. After a stop that was asked for it also knows what they
 * came to; else there may have been more, and votes among them: then nobody can say what this
 * server has promised. */
static enum mu_code check_end(struct opening *o, struct mu_err *err)
{
    const struct consensus_journal *j = o->j;
    uint64_t last = o->expected > 0 ? o->expected - 1 : 0;
    size_t at = o->scan.used_count > 0 ? o->scan.used_count - 1 : 0; /* else the oldest there is */
    char what[160];

    if (j->options.durable_seq <= last) {
        return check_state(o, err);
    }
    if (o->scan.files_count == 0) {
        return refuse_nothing(o, err);
    }
    consensus__bridge_from(o, o->scan.files[at].number, o->offset);
    o->is_torn_open = false;
    if (!j->options.is_end_known || o->scan.used_count == 0) {
        (void)snprintf(what, sizeof what,
                       "the log ends with batch %llu, but %llu were durable: what this server has "
                       "promised is lost",
                       (unsigned long long)last, (unsigned long long)j->options.durable_seq);
        return consensus__bridge_refuse(o, what, err);
    }
    o->is_end_lost = true;
    enum mu_code rc = o->has_pending ? take_pending(o, err) : MU_OK;

    return rc == MU_OK ? consensus__bridge(o, &j->options.end, err) : rc;
}

/* -- 4. the unproven tail ------------------------------------------------------------------ */

static bool pending_is_mark(const struct opening *o)
{
    struct mu_span left = mu_buf_span(&o->pending);
    struct consensus_record r;
    size_t room;

    while (left.bytes > 0 && consensus__record_read(left, &r, &room)) {
        if (r.kind == CONSENSUS_RECORD_MARK) {
            return true;
        }
        left = mu_span_sub(left, room, left.bytes - room);
    }
    return false;
}

/* Where the log ends before the pending batch adds to it: lower than it does now if that batch
 * overwrites entries. */
static enum mu_code tail_start(struct opening *o, struct consensus_position *start,
                               struct mu_err *err)
{
    struct mu_span left = mu_buf_span(&o->pending);
    struct consensus_journal *j = o->j;
    struct consensus_record r;
    size_t room;

    *start = j->tail;
    while (left.bytes > 0 && consensus__record_read(left, &r, &room)) {
        if (r.index > j->base.index && r.index <= j->tail.index) {
            return consensus__journal_position(j, r.index - 1, start, err);
        }
        if (r.index != 0 || r.kind == CONSENSUS_RECORD_RESET) {
            break;
        }
        left = mu_span_sub(left, room, left.bytes - room);
    }
    return MU_OK;
}

/* Each record is taken over as if it were read, and checked thereby, and laid out anew. */
static enum mu_code tail_copy(struct opening *o, struct mu_span left, const char **wrong,
                              struct mu_err *err)
{
    struct consensus_journal *j = o->j;
    bool is_placed = false;
    enum mu_code rc = MU_OK;

    while (rc == MU_OK && *wrong == NULL && left.bytes > 0) {
        struct consensus_record r;
        size_t room;

        if (!consensus__record_read(left, &r, &room)) {
            *wrong = "a record fails its checksum";
            break;
        }
        rc = take_record(o, &r, &is_placed, wrong, err);
        mu_buf_add(&j->batch, left.data, room);
        j->batch_records++;
        left = mu_span_sub(left, room, left.bytes - room);
    }
    return rc;
}

/* What the last segment holds may be in the page cache only. Were it the first batch there, and
 * were it to vanish once its copy stands in a later segment, that would look like damage. */
static enum mu_code original_flush(struct opening *o, uint64_t number, struct mu_err *err)
{
    const struct consensus_disk *disk = o->j->disk;
    char name[CONSENSUS_JOURNAL_NAME_MAX];
    uint64_t bytes;
    int file;

    consensus__journal_name(number, name);
    enum mu_code rc = disk->ops->open(disk->self, name, false, &file, &bytes, err);

    if (rc == MU_OK) {
        rc = disk->ops->sync(disk->self, file, err);
        disk->ops->close(disk->self, file);
        rc = rc == MU_OK ? MU_OK : mu_wrap(err, rc, "%s/%s", disk->ops->path(disk->self), name);
    }
    return rc;
}

/* The copy takes the place of the original: same number, same predecessor. */
static enum mu_code tail_rewrite(struct opening *o, struct mu_err *err)
{
    struct consensus_journal *j = o->j;
    uint64_t number = o->scan.files[o->scan.used_count - 1].number;
    uint64_t offset = o->pending_offset;
    struct mu_span left = mu_buf_span(&o->pending);
    struct consensus_position start;
    struct consensus_record r;
    const char *wrong = NULL;
    size_t room;
    enum mu_code rc;

    j->seq = o->pending_seq - 1;
    j->prev_crc = o->pending_prev_crc;
    if (consensus__record_read(left, &r, &room) && r.kind == CONSENSUS_RECORD_BASE) {
        wrong = take_base(o, r.payload); /* the new segment gets its own from what this says */
        left = mu_span_sub(left, room, left.bytes - room);
    }
    rc = original_flush(o, number, err);
    rc = rc == MU_OK ? tail_start(o, &start, err) : rc;
    rc = rc == MU_OK ? consensus__journal_begin(j, &start, left.bytes, true, err) : rc;
    o->pending_offset = j->offset;
    rc = rc == MU_OK ? tail_copy(o, left, &wrong, err) : rc;
    if (rc == MU_OK && wrong != NULL) {
        return consensus__journal_damage(o->j, number, offset, wrong, err);
    }
    rc = rc == MU_OK ? consensus__journal_commit(j, err) : rc;
    j->is_marked = false;
    o->found->was_rewritten = true;
    return rc == MU_OK ? consensus__journal_mark(j, err) : rc;
}

/* Go on behind the MARK, over whatever a torn batch has left there: no durable byte is among it.
 * The MARK may not have reached the disk itself: flush it, or a later batch could be found without
 * it. */
static enum mu_code continue_in_place(struct opening *o, struct mu_err *err)
{
    struct consensus_journal *j = o->j;
    char name[CONSENSUS_JOURNAL_NAME_MAX];
    uint64_t bytes;
    enum mu_code rc = take_pending(o, err);

    if (rc != MU_OK) {
        return rc;
    }
    consensus__journal_name(o->scan.files[o->scan.used_count - 1].number, name);
    rc = j->disk->ops->open(j->disk->self, name, false, &j->file, &bytes, err);
    j->offset = o->offset;
    if (rc == MU_OK) {
        rc = j->disk->ops->sync(j->disk->self, j->file, err);
        rc = rc == MU_OK ? MU_OK
                         : mu_wrap(err, rc, "%s/%s", j->disk->ops->path(j->disk->self), name);
    }
    return rc;
}

static enum mu_code settle_tail(struct opening *o, struct mu_err *err)
{
    struct consensus_journal *j = o->j;
    bool is_loose = o->is_pending_torn || o->is_astray;
    enum mu_code rc = MU_OK;

    j->prev_crc = o->prev_crc;
    j->seq = o->expected > 0 ? o->expected - 1 : 0;
    /* Where something is missing the last batch says what: it counts, proven or not. */
    if (o->has_pending && (is_loose || o->is_end_lost)) {
        rc = take_pending(o, err);
    }
    if (rc != MU_OK) {
        return rc;
    }
    if (o->is_astray) {
        return consensus__restart_behind_state(o, err);
    }
    if (!o->has_pending) {
        return consensus__continue_elsewhere(o, err);
    }
    return pending_is_mark(o) ? continue_in_place(o, err) : tail_rewrite(o, err);
}

/* -- all of it ----------------------------------------------------------------------------- */

static enum mu_code walk(struct opening *o, struct mu_err *err)
{
    struct consensus_journal *j = o->j;
    enum mu_code rc = MU_OK;

    for (size_t i = 0; rc == MU_OK && i < o->scan.used_count; i++) {
        const struct consensus_found_file *f = &o->scan.files[i];
        uint64_t limit = i + 1 < o->scan.used_count ? o->scan.files[i + 1].first_seq : UINT64_MAX;

        rc = read_segment(o, f, err);
        if (rc != MU_OK) {
            return rc;
        }
        j->next = (struct consensus_segment){
            .number = f->number, .salt = f->head.salt, .bytes = f->head.bytes, .base = j->tail
        };
        consensus__journal_advance(j);
        rc = walk_segment(o, f, limit, err);
    }
    return rc;
}

static void journal_init(struct consensus_journal *j, const struct consensus_disk *disk,
                         const struct consensus_journal_options *options)
{
    MU_ASSERT(options->segment_bytes >= CONSENSUS_SEGMENT_BYTES_MIN &&
              options->segment_bytes % CONSENSUS_PAGE == 0);
    *j = (struct consensus_journal){ .disk = disk, .options = *options };
    j->file = j->next_file = j->fill_file = CONSENSUS_DISK_NONE;
    j->is_marked = true; /* there is nothing to prove yet */
    j->recent = mu_new_array(CONSENSUS_RECENT, sizeof *j->recent);
    j->recent_first = 1;
    mu_rand_seed(&j->rand, options->seed);
}

enum mu_code consensus__journal_open(struct consensus_journal *j, const struct consensus_disk *disk,
                                     const struct consensus_journal_options *options,
                                     struct consensus_journal_found *found, struct mu_err *err)
{
    struct opening o = { .j = j, .found = found, .scan = { .j = j } };
    enum mu_code rc;

    *found = (struct consensus_journal_found){ 0 };
    journal_init(j, disk, options);
    rc = consensus__journal_scan(&o.scan, err);
    rc = rc == MU_OK ? walk(&o, err) : rc;
    rc = rc == MU_OK ? check_unused(&o, err) : rc;
    rc = rc == MU_OK ? check_end(&o, err) : rc;
    rc = rc == MU_OK && !options->is_read_only ? drop_unused(&o, err) : rc;
    found->was_empty = o.scan.used_count == 0;
    if (rc == MU_OK && options->is_read_only) {
        rc = o.has_pending ? take_pending(&o, err) : MU_OK; /* an open for good would keep it */
        if (rc == MU_OK && o.is_astray) {
            rc = consensus__bridge_refuse(&o, "entries are damaged", err);
        }
    } else if (rc == MU_OK) {
        /* An empty log gets its first segment now: a full disk shows at start. */
        rc = found->was_empty ? consensus__journal_prepare(j, j->options.segment_bytes, err)
                              : settle_tail(&o, err);
    }
    found->damaged_segment = found->damage[0] != '\0' ? o.damaged_last : 0;
    mu_free(o.scan.files);
    mu_buf_deinit(&o.bytes);
    mu_buf_deinit(&o.pending);
    if (rc != MU_OK) {
        mu_free(found->runs);
        *found = (struct consensus_journal_found){ 0 };
        consensus__journal_close(j);
    }
    return rc;
}

void consensus__journal_close(struct consensus_journal *j)
{
    int files[] = { j->file, j->next_file, j->fill_file };

    for (size_t i = 0; i < MU_LEN(files); i++) {
        if (files[i] != CONSENSUS_DISK_NONE) {
            j->disk->ops->close(j->disk->self, files[i]);
        }
    }
    for (size_t i = 0; i < j->configs_count; i++) {
        mu_buf_deinit(&j->configs[i].bytes);
    }
    mu_free(j->configs);
    mu_free(j->segments);
    mu_free(j->spares);
    mu_free(j->points);
    mu_free(j->recent);
    mu_buf_deinit(&j->batch);
    *j = (struct consensus_journal){ .has_failed = true };
}
