/* journal_read.c - entries back from disk.
 *
 * A read begins at the newest point at or below the first index asked for and walks batches from
 * there, at most 64 KiB before that entry. Up to the index of the next point the entries in its way
 * follow one another; from there on the next point is followed, so that what was overwritten later
 * is never handed out. Every batch is checked as a whole.
 */
#include "journal.h"

#include "base/assert.h"

#define AHEAD_BYTES_MAX (1024U * 1024)
#define AHEAD_REST      (64U * 1024) /* about as much lies behind the last point */

/* One read: from the batch at `offset` on, take entries *index .. last. */
struct reading {
    struct consensus_journal *j;
    const struct consensus_segment *segment;
    int file;
    uint64_t offset;
    uint64_t index; /* the next one wanted */
    uint64_t last;
    size_t bytes_max;
    struct mu_buf *to;
    size_t start; /* where `to` began */
    bool is_full;
    uint64_t ahead_segment, ahead_to; /* asked for up to here */
};

/* The entries of one intact batch. */
static enum mu_code take_batch(struct reading *g, const struct consensus_batch *batch,
                               struct mu_err *err)
{
    struct mu_span left = batch->records;

    while (left.bytes > 0 && g->index <= g->last && !g->is_full) {
        struct consensus_record r;
        size_t room;

        if (!consensus__record_read(left, &r, &room)) {
            return mu_fail(err, MU_CORRUPT, "a record of batch %llu fails its checksum",
                           (unsigned long long)batch->seq);
        }
        if (r.index == g->index) {
            if (g->to->bytes > g->start && g->to->bytes - g->start + room > g->bytes_max) {
                g->is_full = true;
                break;
            }
            mu_buf_add(g->to, left.data, room);
            g->index++;
        }
        left = mu_span_sub(left, room, left.bytes - room);
    }
    return MU_OK;
}

static enum mu_code read_batch(struct reading *g, struct mu_buf *work, struct mu_err *err)
{
    const struct consensus_disk *disk = g->j->disk;
    uint8_t head[CONSENSUS_BATCH_HEAD];
    struct consensus_batch batch;
    enum mu_code rc = MU_CORRUPT;

    if (g->offset + sizeof head <= g->segment->bytes) {
        rc = disk->ops->read(disk->self, g->file, g->offset, head, sizeof head, err);
    }
    if (rc != MU_OK) {
        return rc == MU_CORRUPT ? mu_fail(err, rc, "the segment ends too soon") : rc;
    }
    size_t bytes = consensus__batch_bytes(mu_span_of(head, sizeof head));

    if (bytes == 0 || g->offset + bytes > g->segment->bytes) {
        return mu_fail(err, MU_CORRUPT, "no batch begins here");
    }
    mu_buf_clear(work);
    rc = disk->ops->read(disk->self, g->file, g->offset, mu_buf_reserve(work, bytes), bytes, err);
    if (rc != MU_OK) {
        return rc;
    }
    work->bytes = bytes;
    if (!consensus__batch_read(mu_buf_span(work), &batch) || batch.salt != g->segment->salt) {
        return mu_fail(err, MU_CORRUPT, "the batch fails its checksum");
    }
    rc = take_batch(g, &batch, err);
    g->offset += rc == MU_OK ? batch.room : 0;
    return rc;
}

/* The newest point at or below an index. */
static size_t point_find(const struct consensus_journal *j, uint64_t index)
{
    size_t low = 0;
    size_t high = j->points_count;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (j->points[middle].index <= index) {
            low = middle;
        } else {
            high = middle;
        }
    }
    MU_ASSERT(j->points_count > 0 && j->points[low].index <= index);
    return low;
}

/* Batches went past the page cache: one after the other from the disk, each would make the log's
 * next flush wait a little longer. `upto`: the last entry that is wanted. */
static void ahead(struct reading *g, uint64_t upto)
{
    const struct consensus_journal *j = g->j;
    uint64_t number = g->segment->number;
    const struct consensus_point *last = &j->points[point_find(j, upto)];
    uint64_t end = last->segment == number ? last->offset + AHEAD_REST : g->segment->bytes;

    if (j->disk->ops->read_ahead == NULL ||
        (g->ahead_segment == number && g->offset < g->ahead_to)) {
        return;
    }
    end = end - g->offset > AHEAD_BYTES_MAX ? g->offset + AHEAD_BYTES_MAX : end;
    j->disk->ops->read_ahead(j->disk->self, g->file, g->offset, end - g->offset);
    g->ahead_segment = number;
    g->ahead_to = end;
}

/* From one point up to g->last, which lies before the next point. */
static enum mu_code read_run(struct reading *g, const struct consensus_point *from, uint64_t upto,
                             struct mu_err *err)
{
    struct consensus_journal *j = g->j;
    char name[CONSENSUS_JOURNAL_NAME_MAX];
    struct mu_buf work = MU_BUF_NONE;
    uint64_t bytes;

    MU_ASSERT(from->segment >= j->segments[0].number);
    g->segment = &j->segments[from->segment - j->segments[0].number];
    g->offset = from->offset;
    consensus__journal_name(from->segment, name);
    enum mu_code rc = j->disk->ops->open(j->disk->self, name, false, &g->file, &bytes, err);

    if (rc != MU_OK) {
        return rc;
    }
    ahead(g, upto);
    while (rc == MU_OK && g->index <= g->last && !g->is_full) {
        rc = read_batch(g, &work, err);
        if (rc != MU_OK) {
            rc = mu_wrap(err, rc, "%s/%s at byte %llu", j->disk->ops->path(j->disk->self), name,
                         (unsigned long long)g->offset);
        }
    }
    j->disk->ops->close(j->disk->self, g->file);
    mu_buf_deinit(&work);
    return rc;
}

enum mu_code consensus__journal_read(struct consensus_journal *j, uint64_t first, uint64_t last,
                                     size_t bytes_max, struct mu_buf *to, struct mu_err *err)
{
    struct reading g = { .j = j, .index = first, .bytes_max = bytes_max, .to = to };
    enum mu_code rc = MU_OK;

    if (first <= j->base.index || first > j->tail.index) {
        return mu_fail(err, MU_NOT_FOUND, "entry %llu is outside of %llu..%llu",
                       (unsigned long long)first, (unsigned long long)j->base.index + 1,
                       (unsigned long long)j->tail.index);
    }
    last = last < j->tail.index ? last : j->tail.index;
    g.start = to->bytes;
    while (rc == MU_OK && g.index <= last && !g.is_full) {
        size_t at = point_find(j, g.index);
        uint64_t next = at + 1 < j->points_count ? j->points[at + 1].index : UINT64_MAX;

        g.last = last < next ? last : next - 1;
        rc = read_run(&g, &j->points[at], last, err);
    }
    return rc;
}

enum mu_code consensus__journal_position(struct consensus_journal *j, uint64_t index,
                                         struct consensus_position *out, struct mu_err *err)
{
    MU_ASSERT(index >= j->base.index && index <= j->tail.index);
    if (index == j->base.index || index == j->tail.index) {
        *out = index == j->tail.index ? j->tail : j->base;
        return MU_OK;
    }
    if (index >= j->recent_first) {
        *out = j->recent[index % CONSENSUS_RECENT];
        return MU_OK;
    }
    struct mu_buf bytes = MU_BUF_NONE;
    struct consensus_record r;
    size_t room;
    enum mu_code rc = consensus__journal_read(j, index, index, 0, &bytes, err);

    if (rc == MU_OK) {
        bool is_one = consensus__record_read(mu_buf_span(&bytes), &r, &room);

        MU_ASSERT(is_one);
        *out = (struct consensus_position){ .index = r.index, .term = r.term, .chain = r.chain };
    }
    mu_buf_deinit(&bytes);
    return rc;
}
