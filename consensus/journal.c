/* journal.c - one batch from writes to durable.
 *
 * The owner groups what is queued (group), and append lays it out as one batch: begin() makes sure
 * there is room and, in a new segment, says where the log stands; add_*() put records and keep the
 * picture in memory; commit() writes and flushes. A write that overwrites entries begins a batch,
 * so that reading back (journal_read.c) never has to look ahead for what was overwritten later; and
 * when it goes back to before the current segment it begins a segment too, so that a segment's
 * first position is never wrong about entries that live on.
 */
#include "journal.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/wire.h"

#define BATCH_BYTES_KEPT (256U * 1024) /* of the buffer, between batches */
#define HARD_BYTES       (8U + 8U + 16U + 16U + POSITION_BYTES + 8U)
#define BASE_BYTES       (8U + 8U + 4U + 4U + 8U + 8U)
#define POSITION_BYTES   (8U + 8U + 4U + 4U)
#define FLOOR_BYTES      (POSITION_BYTES + 8U)

static struct consensus_segment *current(struct consensus_journal *j)
{
    MU_ASSERT(j->segments_count > 0);
    return &j->segments[j->segments_count - 1];
}

/* Only a lack of space leaves everything as it was. */
static enum mu_code judged(struct consensus_journal *j, enum mu_code rc)
{
    if (rc != MU_OK && rc != MU_FULL) {
        j->has_failed = true;
    }
    return rc;
}

/* -- payloads of the log's own records ----------------------------------------------------- */

static struct consensus_position position_read(struct mu_rd *r)
{
    struct consensus_position at = { 0 };

    at.index = mu_rd_u64le(r);
    at.term = mu_rd_u64le(r);
    at.chain = mu_rd_u32le(r);
    mu_rd_skip(r, 4);
    return at;
}

static void position_write(struct mu_wr *w, const struct consensus_position *at)
{
    mu_wr_u64le(w, at->index);
    mu_wr_u64le(w, at->term);
    mu_wr_u32le(w, at->chain);
    mu_wr_u32le(w, 0);
}

void consensus__standing_read(struct mu_rd *r, struct consensus_standing *out)
{
    struct mu_span id;

    out->hard.term = mu_rd_u64le(r);
    out->hard.epoch = mu_rd_u64le(r);
    id = mu_rd_take(r, sizeof out->hard.voted_for.b);
    memcpy(out->hard.voted_for.b, id.data, id.bytes);
    id = mu_rd_take(r, sizeof out->hard.cluster.b);
    memcpy(out->hard.cluster.b, id.data, id.bytes);
    out->tail = position_read(r);
    out->config_index = mu_rd_u64le(r);
}

void consensus__standing_write(struct mu_wr *w, const struct consensus_standing *s)
{
    mu_wr_u64le(w, s->hard.term);
    mu_wr_u64le(w, s->hard.epoch);
    mu_wr_bytes(w, s->hard.voted_for.b, sizeof s->hard.voted_for.b);
    mu_wr_bytes(w, s->hard.cluster.b, sizeof s->hard.cluster.b);
    position_write(w, &s->tail);
    mu_wr_u64le(w, s->config_index);
}

bool consensus__hard_read(struct mu_span payload, struct consensus_standing *out)
{
    struct mu_rd r = mu_rd_of(payload);

    if (payload.bytes != HARD_BYTES) {
        return false;
    }
    consensus__standing_read(&r, out);
    return true;
}

bool consensus__floor_read(struct mu_span payload, struct consensus_position *out, bool *restarts)
{
    struct mu_rd r = mu_rd_of(payload);

    *out = position_read(&r);
    *restarts = mu_rd_u64le(&r) != 0;
    return mu_rd_done(&r) && out->index != 0;
}

bool consensus__base_read(struct mu_span payload, struct consensus_base *out)
{
    struct mu_rd r = mu_rd_of(payload);

    out->at = position_read(&r);
    out->config_index = mu_rd_u64le(&r);
    out->config_term = mu_rd_u64le(&r);
    out->config = mu_rd_take(&r, r.left);
    return mu_rd_ok(&r) && out->config_index <= out->at.index &&
           (out->config_index != 0) == (out->config.bytes > 0);
}

/* -- what the log holds, in memory --------------------------------------------------------- */

static void configs_cut(struct consensus_journal *j, uint64_t from)
{
    while (j->configs_count > 0 && j->configs[j->configs_count - 1].index >= from) {
        mu_buf_deinit(&j->configs[--j->configs_count].bytes);
    }
}

void consensus__journal_note_config(struct consensus_journal *j, uint64_t index, uint64_t term,
                                    struct mu_span bytes)
{
    j->configs = mu_grow(j->configs, (j->configs_count + 1) * sizeof *j->configs);
    struct consensus_stored_config *c = &j->configs[j->configs_count++];

    *c = (struct consensus_stored_config){ .index = index, .term = term, .bytes = MU_BUF_NONE };
    mu_buf_add_span(&c->bytes, bytes);
}

void consensus__journal_note_truncate(struct consensus_journal *j,
                                      const struct consensus_position *at)
{
    MU_ASSERT(at->index >= j->base.index && at->index < j->tail.index);
    configs_cut(j, at->index + 1);
    while (j->points_count > 0 && j->points[j->points_count - 1].index > at->index) {
        j->points_count--;
    }
    for (size_t i = 0; i < j->segments_count; i++) {
        if (j->segments[i].base.index > at->index) {
            j->segments[i].is_dead = true;
        }
    }
    j->tail = *at;
    if (j->recent_first > at->index) {
        j->recent_first = at->index + 1;
    }
}

void consensus__journal_note_reset(struct consensus_journal *j, const struct consensus_position *at)
{
    for (size_t i = 0; i + 1 < j->segments_count; i++) {
        j->segments[i].is_dead = true;
    }
    current(j)->base = *at;
    configs_cut(j, 0);
    j->points_count = 0;
    j->base = j->tail = *at;
    j->recent_first = at->index + 1;
}

void consensus__journal_note_entry(struct consensus_journal *j, const struct consensus_record *r)
{
    struct consensus_position at = { .index = r->index, .term = r->term, .chain = r->chain };

    MU_ASSERT(r->index == j->tail.index + 1);
    j->tail = at;
    j->recent[r->index % CONSENSUS_RECENT] = at;
    if (r->index - j->recent_first >= CONSENSUS_RECENT) {
        j->recent_first = r->index - CONSENSUS_RECENT + 1;
    }
    if (r->kind == CONSENSUS_CONFIG) {
        consensus__journal_note_config(j, r->index, r->term, r->payload);
    }
}

void consensus__journal_note_place(struct consensus_journal *j, uint64_t index, uint64_t offset,
                                   bool is_forced)
{
    const struct consensus_point *last =
        j->points_count > 0 ? &j->points[j->points_count - 1] : NULL;
    uint64_t segment = current(j)->number;

    if (!is_forced && last != NULL && last->segment == segment &&
        offset - last->offset < CONSENSUS_POINT_BYTES) {
        return;
    }
    MU_ASSERT(last == NULL || last->index < index);
    if (j->points_count == j->points_room) {
        j->points_room = j->points_room == 0 ? 8 : j->points_room * 2;
        j->points = mu_grow(j->points, j->points_room * sizeof *j->points);
    }
    j->points[j->points_count++] = (struct consensus_point){ index, segment, offset };
}

/* -- building a batch ---------------------------------------------------------------------- */

static void add_own(struct consensus_journal *j, uint8_t kind, uint64_t term,
                    struct mu_span payload)
{
    struct consensus_record r = { .term = term, .kind = kind, .payload = payload };

    (void)consensus__record_add(&j->batch, &r, 0);
    j->batch_records++;
}

/* The newest configuration at or below an index; NULL: none. */
static const struct consensus_stored_config *config_at(const struct consensus_journal *j,
                                                       uint64_t index)
{
    for (size_t i = j->configs_count; i > 0; i--) {
        if (j->configs[i - 1].index <= index) {
            return &j->configs[i - 1];
        }
    }
    return NULL;
}

/* BASE and RESET: where the log begins, and the configuration in force there. */
static void add_position(struct consensus_journal *j, uint8_t kind,
                         const struct consensus_position *at, uint64_t config_index,
                         uint64_t config_term, struct mu_span config)
{
    uint8_t head[BASE_BYTES];
    struct mu_wr w = mu_wr_of(head, sizeof head);
    struct mu_buf payload = MU_BUF_NONE;

    position_write(&w, at);
    mu_wr_u64le(&w, config_index);
    mu_wr_u64le(&w, config_index != 0 ? config_term : 0);
    mu_buf_add_span(&payload, mu_wr_done(&w));
    mu_buf_add_span(&payload, config);
    add_own(j, kind, at->term, mu_buf_span(&payload));
    mu_buf_deinit(&payload);
}

static void add_base(struct consensus_journal *j, const struct consensus_position *start)
{
    const struct consensus_stored_config *config = config_at(j, start->index);

    if (config == NULL) {
        add_position(j, CONSENSUS_RECORD_BASE, start, 0, 0, MU_SPAN_NONE);
    } else {
        add_position(j, CONSENSUS_RECORD_BASE, start, config->index, config->term,
                     mu_buf_span(&config->bytes));
    }
}

/* Each batch says the hard state and where the log stood: what precedes it may be damaged one day.
 */
void consensus__journal_add_hard(struct consensus_journal *j, const struct consensus_hard *hard,
                                 const struct consensus_position *at)
{
    const struct consensus_stored_config *config = config_at(j, at->index);
    struct consensus_standing standing = {
        .hard = *hard,
        .tail = *at,
        .config_index = config != NULL ? config->index : 0,
    };
    uint8_t bytes[HARD_BYTES];
    struct mu_wr w = mu_wr_of(bytes, sizeof bytes);

    consensus__standing_write(&w, &standing);
    add_own(j, CONSENSUS_RECORD_HARD, hard->term, mu_wr_done(&w));
    j->hard = *hard;
}

void consensus__journal_standing(const struct consensus_journal *j, struct consensus_standing *out)
{
    const struct consensus_stored_config *config = config_at(j, j->tail.index);

    *out = (struct consensus_standing){
        .hard = j->hard,
        .tail = j->tail,
        .config_index = config != NULL ? config->index : 0,
    };
}

bool consensus__journal_lacks(const struct consensus_journal *j)
{
    return j->floor.index != 0 &&
           (j->tail.term < j->floor.term ||
            (j->tail.term == j->floor.term && j->tail.index < j->floor.index));
}

void consensus__journal_add_floor(struct consensus_journal *j, bool restarts)
{
    uint8_t bytes[FLOOR_BYTES];
    struct mu_wr w = mu_wr_of(bytes, sizeof bytes);

    position_write(&w, &j->floor);
    mu_wr_u64le(&w, restarts);
    add_own(j, CONSENSUS_RECORD_FLOOR, j->floor.term, mu_wr_done(&w));
}

void consensus__journal_add_reset(struct consensus_journal *j, const struct consensus_position *at,
                                  const struct consensus_config *config)
{
    uint8_t bytes[CONSENSUS_CONFIG_BYTES_MAX];
    struct mu_span encoded = MU_SPAN_NONE;
    uint64_t index = config != NULL ? config->index : 0;

    if (config != NULL) {
        encoded = mu_span_of(bytes, consensus_config_encode(config, bytes));
    }
    add_position(j, CONSENSUS_RECORD_RESET, at, index, at->term, encoded);
    consensus__journal_note_reset(j, at);
    if (config != NULL) {
        consensus__journal_note_config(j, index, at->term, encoded);
    }
}

void consensus__journal_add_mark(struct consensus_journal *j)
{
    add_own(j, CONSENSUS_RECORD_MARK, j->tail.term, MU_SPAN_NONE);
}

void consensus__journal_add_entry(struct consensus_journal *j, struct mu_span record)
{
    struct consensus_record r;
    size_t room;

    /* The same claim as when it is read back: what is wrong here would be durable damage. */
    MU_ASSERT(consensus__record_read(record, &r, &room) && room == record.bytes);
    r.chain = consensus__record_chain(j->tail.chain, r.crc);

    uint8_t *at = mu_buf_reserve(&j->batch, room);
    struct mu_wr chain = mu_wr_of(at + 4, 4);

    memcpy(at, record.data, room);
    mu_wr_u32le(&chain, r.chain);
    j->batch.bytes += room;
    j->batch_records++;
    consensus__journal_note_entry(j, &r);
}

/* A better one stands ready, and is large enough. */
static bool should_leave(const struct consensus_journal *j, size_t need)
{
    return j->segments_count > 0 && j->segments[j->segments_count - 1].is_raw &&
           j->next.number != 0 && !j->next.is_raw && CONSENSUS_PAGE + need <= j->next.bytes;
}

enum mu_code consensus__journal_begin(struct consensus_journal *j,
                                      const struct consensus_position *start, size_t bytes,
                                      bool in_new_segment, struct mu_err *err)
{
    const struct consensus_stored_config *config = config_at(j, start->index);
    size_t need = CONSENSUS_BATCH_HEAD + bytes + consensus__record_room(HARD_BYTES) +
                  consensus__record_room(FLOOR_BYTES) +
                  consensus__record_room(BASE_BYTES + (config != NULL ? config->bytes.bytes : 0));

    need = (need + CONSENSUS_PAGE - 1) / CONSENSUS_PAGE * CONSENSUS_PAGE;
    bool is_full = j->segments_count > 0 && j->offset + need > current(j)->bytes;

    if (in_new_segment || j->segments_count == 0 || is_full || should_leave(j, need)) {
        enum mu_code rc = consensus__journal_prepare(j, CONSENSUS_PAGE + need, err);

        if (rc != MU_OK) {
            return rc;
        }
        if (is_full) {
            current(j)->is_raw = false; /* all but less than a batch of it is written by now */
        }
        consensus__journal_advance(j);
        current(j)->base = *start;
    }
    mu_buf_clear(&j->batch);
    j->batch_records = 0;
    consensus__batch_begin(&j->batch);
    if (j->offset == CONSENSUS_PAGE) {
        add_base(j, start);
    }
    consensus__journal_add_hard(j, &j->hard, start);
    if (j->offset == CONSENSUS_PAGE && consensus__journal_lacks(j)) {
        consensus__journal_add_floor(j, false);
    }
    return MU_OK;
}

static enum mu_code batch_flush(struct consensus_journal *j, struct mu_err *err)
{
    const struct consensus_disk_ops *ops = j->disk->ops;
    struct mu_span bytes = mu_buf_span(&j->batch);

    if (ops->write_sync != NULL) {
        return ops->write_sync(j->disk->self, j->file, j->offset, bytes, err);
    }
    enum mu_code rc = ops->write(j->disk->self, j->file, j->offset, bytes, err);

    if (rc == MU_OK) {
        rc = j->disk->ops->sync(j->disk->self, j->file, err);
    }
    return rc;
}

enum mu_code consensus__journal_commit(struct consensus_journal *j, struct mu_err *err)
{
    uint32_t crc = consensus__batch_seal(&j->batch, j->seq + 1, j->seq, j->prev_crc,
                                         j->batch_records, current(j)->salt);

    MU_ASSERT(!j->has_failed);
    MU_ASSERT(j->offset + j->batch.bytes <= current(j)->bytes);
    enum mu_code rc = batch_flush(j, err);

    if (rc != MU_OK) {
        char name[CONSENSUS_JOURNAL_NAME_MAX];

        /* Whatever the reason: part of it may be there, and the picture in memory has moved on. */
        j->has_failed = true;
        consensus__journal_name(current(j)->number, name);
        return mu_wrap(err, rc, "%s/%s", j->disk->ops->path(j->disk->self), name);
    }
    j->offset += j->batch.bytes;
    j->seq++;
    j->prev_crc = crc;
    if (j->batch.room > BATCH_BYTES_KEPT) {
        mu_buf_deinit(&j->batch);
    }
    return MU_OK;
}

/* -- append -------------------------------------------------------------------------------- */

static bool has_entries(const struct consensus_write *w)
{
    return w->first <= w->last;
}

static size_t records_bytes(const struct consensus_journal_write *w)
{
    size_t bytes = consensus__record_room(HARD_BYTES);

    if (w->write->reset_index != 0) {
        bytes += consensus__record_room(BASE_BYTES + CONSENSUS_CONFIG_BYTES_MAX);
    }
    for (uint64_t i = w->write->first; i <= w->write->last; i++) {
        bytes += w->records[i - w->write->first].bytes;
    }
    return bytes;
}

size_t consensus__journal_group(const struct consensus_journal *j,
                                const struct consensus_journal_write *writes, size_t count)
{
    /* Not more than part of a segment: a batch that does not fit one gets a file of its own size,
     * which is of no use to anybody afterwards. */
    size_t bytes_max = j->options.segment_bytes / 4 < MU_LOG_BATCH_BYTES
                           ? j->options.segment_bytes / 4
                           : MU_LOG_BATCH_BYTES;
    uint64_t tail = j->tail.index;
    size_t bytes = 0;
    size_t i;

    MU_ASSERT(count > 0);
    for (i = 0; i < count; i++) {
        const struct consensus_write *w = writes[i].write;
        bool goes_back = w->reset_index != 0 || (has_entries(w) && w->first <= tail);

        bytes += records_bytes(&writes[i]);
        if (i > 0 && (goes_back || bytes > bytes_max)) {
            break;
        }
        tail = has_entries(w) ? w->last : (w->reset_index != 0 ? w->reset_index : tail);
    }
    return i;
}

static bool hard_eq(const struct consensus_hard *a, const struct consensus_hard *b)
{
    return a->term == b->term && a->epoch == b->epoch && mu_id_eq(&a->voted_for, &b->voted_for) &&
           mu_id_eq(&a->cluster, &b->cluster);
}

static void add_write(struct consensus_journal *j, const struct consensus_journal_write *w)
{
    if (!hard_eq(&w->write->hard, &j->hard)) {
        consensus__journal_add_hard(j, &w->write->hard, &j->tail);
    }
    for (uint64_t i = w->write->first; i <= w->write->last; i++) {
        MU_ASSERT(i == j->tail.index + 1);
        consensus__journal_add_entry(j, w->records[i - w->write->first]);
    }
}

/* The first entry among the writes; 0: none has any. */
static uint64_t first_entry(const struct consensus_journal_write *writes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (has_entries(writes[i].write)) {
            return writes[i].write->first;
        }
    }
    return 0;
}

static bool says_nothing_new(const struct consensus_journal *j,
                             const struct consensus_journal_write *writes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (has_entries(writes[i].write) || writes[i].write->reset_index != 0 ||
            !hard_eq(&writes[i].write->hard, &j->hard)) {
            return false;
        }
    }
    return true;
}

/* Where the log ends before these writes add to it, and whether that means going back. */
static enum mu_code start_of(struct consensus_journal *j, uint64_t first,
                             struct consensus_position *start, struct mu_err *err)
{
    *start = j->tail;
    if (first == 0 || first == j->tail.index + 1) {
        return MU_OK;
    }
    MU_ASSERT(first > j->base.index && first <= j->tail.index);
    return consensus__journal_position(j, first - 1, start, err);
}

enum mu_code consensus__journal_append(struct consensus_journal *j,
                                       const struct consensus_journal_write *writes, size_t count,
                                       struct mu_err *err)
{
    const struct consensus_write *w = writes[0].write;
    bool is_reset = w->reset_index != 0;
    uint64_t first = first_entry(writes, count);
    struct consensus_position start = j->tail;
    size_t bytes = 0;
    enum mu_code rc = MU_OK;

    MU_ASSERT(!j->has_failed && count > 0);
    if (says_nothing_new(j, writes, count)) {
        return MU_OK;
    }
    for (size_t i = 0; i < count; i++) {
        bytes += records_bytes(&writes[i]);
    }
    if (!is_reset) {
        rc = start_of(j, first, &start, err);
    }
    if (rc == MU_OK) {
        bool leaves_segment = j->segments_count > 0 && start.index < current(j)->base.index;

        rc = consensus__journal_begin(j, &start, bytes, is_reset || leaves_segment, err);
    }
    if (rc != MU_OK) {
        return judged(j, rc);
    }
    bool goes_back = start.index < j->tail.index;

    if (goes_back) {
        consensus__journal_note_truncate(j, &start);
    }
    if (is_reset) {
        struct consensus_position at = { .index = w->reset_index, .term = w->reset_term };

        consensus__journal_add_reset(j, &at, w->reset_config);
    }
    if (first != 0) {
        consensus__journal_note_place(j, first, j->offset, goes_back);
    }
    for (size_t i = 0; i < count; i++) {
        add_write(j, &writes[i]);
    }
    j->is_marked = false;
    return consensus__journal_commit(j, err);
}

static enum mu_code mark(struct consensus_journal *j, bool in_new_segment, struct mu_err *err)
{
    struct consensus_position start = j->tail;
    enum mu_code rc =
        consensus__journal_begin(j, &start, CONSENSUS_RECORD_HEAD, in_new_segment, err);

    if (rc != MU_OK) {
        return judged(j, rc);
    }
    consensus__journal_add_mark(j);
    j->is_marked = true;
    return consensus__journal_commit(j, err);
}

enum mu_code consensus__journal_mark(struct consensus_journal *j, struct mu_err *err)
{
    return j->is_marked ? MU_OK : mark(j, false, err);
}

/* -- compaction ---------------------------------------------------------------------------- */

/* How many of the oldest segments hold nothing that is needed. A dead one cannot be the oldest for
 * long: its base is not a position of this log any more. */
static size_t obsolete_count(const struct consensus_journal *j, uint64_t upto)
{
    size_t count = 0;

    for (size_t i = 0; i + 1 < j->segments_count; i++) {
        const struct consensus_segment *next = &j->segments[i + 1];

        if (j->segments[i].is_dead && count == i) {
            count = i + 1;
        }
        if (!next->is_dead && next->base.index <= upto) {
            count = i + 1;
        }
    }
    return count;
}

static void base_raise(struct consensus_journal *j)
{
    const struct consensus_position *base = &j->segments[0].base;

    if (j->segments[0].is_dead || base->index <= j->base.index) {
        return;
    }
    j->base = *base;
    /* Of the configurations at or below the base only the newest counts. */
    while (j->configs_count > 1 && j->configs[1].index <= base->index) {
        mu_buf_deinit(&j->configs[0].bytes);
        memmove(j->configs, j->configs + 1, --j->configs_count * sizeof *j->configs);
    }
}

enum mu_code consensus__journal_compact(struct consensus_journal *j, uint64_t upto,
                                        struct mu_err *err)
{
    size_t count = obsolete_count(j, upto);
    enum mu_code rc = MU_OK;

    MU_ASSERT(!j->has_failed);
    for (size_t i = 0; rc == MU_OK && i < count; i++) {
        rc = consensus__journal_recycle(j, err);
        base_raise(j);
    }
    return judged(j, rc);
}

/* -- damage that was found by looking ------------------------------------------------------- */

struct consensus_survey *consensus__journal_survey(const struct consensus_journal *j)
{
    struct consensus_survey *s = mu_new(sizeof *s + j->segments_count * sizeof s->segments[0]);

    s->seq = j->seq;
    s->count = j->segments_count;
    for (size_t i = 0; i < j->segments_count; i++) {
        s->segments[i] = (struct consensus_surveyed){ .number = j->segments[i].number,
                                                      .salt = j->segments[i].salt,
                                                      .bytes = j->segments[i].bytes,
                                                      .is_dead = j->segments[i].is_dead };
    }
    return s;
}

enum mu_code consensus__journal_shed(struct consensus_journal *j, uint64_t number, uint64_t *upto,
                                     struct mu_err *err)
{
    size_t at = 0;

    *upto = 0;
    while (at < j->segments_count && j->segments[at].number != number) {
        at++;
    }
    if (at == j->segments_count) {
        return MU_OK;
    }
    bool is_current = at + 1 == j->segments_count;
    enum mu_code rc = is_current ? mark(j, true, err) : MU_OK; /* nothing more goes to it */

    if (rc != MU_OK) {
        return rc;
    }
    do { /* the current one is never dead */
        at++;
    } while (j->segments[at].is_dead);
    *upto = j->segments[at].base.index;
    /* It may have held nothing but votes and entries that are out of the log already. */
    return *upto <= j->base.index ? consensus__journal_compact(j, *upto, err) : MU_OK;
}
