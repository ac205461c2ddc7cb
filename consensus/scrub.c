/* scrub.c - segments read again, batch by batch.
 *
 * What is checked of one is what opening checks (journal_open.c), but nothing is concluded: whether
 * damage can be done without is a question for who has the log open. A segment ends where no batch
 * of its salt follows; the next one must go on with the number behind, or with one that an open has
 * written again. The newest must reach the batch that the survey names.
 */
#include "consensus/scrub.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "journal.h"
#include "scrubber.h"

#define WINDOW_BYTES (256U * 1024) /* read at once; a larger batch is read as a whole */

struct scrubbing {
    const struct consensus_disk *disk;
    const struct consensus_survey *survey;
    consensus_scrub_pace_fn *pace;
    void *data;
    struct consensus_scrubbed *out;
    struct mu_err *err;
    enum mu_code rc; /* MU_OK: go on */

    int file;
    const struct consensus_surveyed *segment;
    struct mu_buf window;
    uint64_t window_at; /* offset of its first byte */

    uint64_t expected; /* number of the next batch; 0: any */
    uint32_t prev_crc;
    uint64_t before;                /* the segment that the batch before is in */
    uint64_t before_at;             /* and its end there */
    struct consensus_position tail; /* of the log, behind the record before */
};

struct consensus_survey *consensus_survey_copy(const struct consensus_survey *s)
{
    size_t bytes = sizeof *s + s->count * sizeof s->segments[0];
    struct consensus_survey *copy = mu_new(bytes);

    memcpy(copy, s, bytes);
    return copy;
}

bool consensus_survey_has(const struct consensus_survey *s, uint64_t segment)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->segments[i].number == segment) {
            return true;
        }
    }
    return false;
}

/* -- what is wrong ------------------------------------------------------------------------- */

/* The first counts. */
static void damaged(struct scrubbing *s, uint64_t number, uint64_t offset, const char *what)
{
    char name[CONSENSUS_JOURNAL_NAME_MAX];

    if (s->out->segment == 0) {
        consensus__journal_name(number, name);
        s->out->segment = number;
        (void)snprintf(s->out->why, sizeof s->out->why, "%s/%s at byte %llu: %s",
                       s->disk->ops->path(s->disk->self), name, (unsigned long long)offset, what);
    }
}

static bool goes_on(const struct scrubbing *s)
{
    return s->rc == MU_OK && s->out->segment == 0;
}

/* -- reading ------------------------------------------------------------------------------- */

/* Up to `bytes` from an offset on, as far as the file goes; empty: it could not be had. */
static struct mu_span bytes_at(struct scrubbing *s, uint64_t offset, size_t bytes)
{
    uint64_t end = s->window_at + s->window.bytes;
    uint64_t left = s->segment->bytes - offset;
    struct mu_err err = MU_ERR_NONE;

    bytes = bytes < left ? bytes : (size_t)left;
    if (offset < s->window_at || offset + bytes > end) {
        size_t room = bytes > WINDOW_BYTES ? bytes : WINDOW_BYTES;

        room = room < left ? room : (size_t)left;
        mu_buf_clear(&s->window);
        s->window_at = offset;
        if (!s->pace(s->data, room)) {
            s->rc = mu_fail(s->err, MU_CANCELLED, "given up");
            return MU_SPAN_NONE;
        }
        if (s->disk->ops->read(s->disk->self, s->file, offset, mu_buf_reserve(&s->window, room),
                               room, &err) != MU_OK) {
            damaged(s, s->segment->number, offset, err.text);
            return MU_SPAN_NONE;
        }
        s->window.bytes = room;
        s->out->bytes += room;
    }
    return mu_span_sub(mu_buf_span(&s->window), (size_t)(offset - s->window_at), bytes);
}

/* The batch at an offset, as a whole; false: none begins there. */
static bool batch_at(struct scrubbing *s, uint64_t offset, struct consensus_batch *out)
{
    if (offset >= s->segment->bytes) {
        return false;
    }
    struct mu_span head = bytes_at(s, offset, CONSENSUS_BATCH_HEAD);
    size_t bytes = head.bytes == CONSENSUS_BATCH_HEAD ? consensus__batch_bytes(head) : 0;

    return bytes > 0 && consensus__batch_read(bytes_at(s, offset, bytes), out) &&
           out->salt == s->segment->salt;
}

/* -- records ------------------------------------------------------------------------------- */

static bool entry_follows(struct scrubbing *s, const struct consensus_record *r)
{
    if (r->index != s->tail.index + 1 ||
        r->chain != consensus__record_chain(s->tail.chain, r->crc)) {
        return false;
    }
    s->tail = (struct consensus_position){ .index = r->index, .term = r->term, .chain = r->chain };
    return true;
}

/* Where the log stands is said again by each batch, and whenever it was cut. */
static bool own_is_good(struct scrubbing *s, const struct consensus_record *r)
{
    struct consensus_standing standing;
    struct consensus_position floor;
    struct consensus_base base;
    bool restarts;

    switch ((enum consensus_record_own)r->kind) {
    case CONSENSUS_RECORD_HARD:
        if (!consensus__hard_read(r->payload, &standing)) {
            return false;
        }
        s->tail = standing.tail;
        return true;
    case CONSENSUS_RECORD_BASE: return consensus__base_read(r->payload, &base);
    case CONSENSUS_RECORD_RESET:
        if (!consensus__base_read(r->payload, &base)) {
            return false;
        }
        s->tail = base.at;
        return true;
    case CONSENSUS_RECORD_FLOOR: return consensus__floor_read(r->payload, &floor, &restarts);
    case CONSENSUS_RECORD_MARK: return true;
    default: return false;
    }
}

static const char *records_wrong(struct scrubbing *s, const struct consensus_batch *batch)
{
    struct mu_span left = batch->records;
    uint32_t count = 0;

    for (; left.bytes > 0; count++) {
        struct consensus_record r;
        size_t room = 0;

        if (!consensus__record_read(left, &r, &room)) {
            return "a record fails its checksum";
        }
        if (r.kind < CONSENSUS_RECORD_OWN ? !entry_follows(s, &r) : !own_is_good(s, &r)) {
            return "a record does not continue the one before";
        }
        left = mu_span_sub(left, room, left.bytes - room);
    }
    return count == batch->records_count ? NULL : "a batch does not hold what it says";
}

/* -- segments ------------------------------------------------------------------------------ */

/* Does the first batch of a segment go on where the one before ended? */
static void first_check(struct scrubbing *s, const struct consensus_batch *batch)
{
    if (s->expected == 0 || batch->seq < s->expected) {
        return; /* or again, by an open that could not prove it */
    }
    if (batch->seq > s->expected) {
        damaged(s, s->before, s->before_at, "a batch is damaged, later ones are intact");
    } else if (batch->prev_crc != s->prev_crc) {
        damaged(s, s->segment->number, CONSENSUS_PAGE, "it does not continue the one before");
    }
}

static bool is_next(const struct scrubbing *s, uint64_t offset, const struct consensus_batch *batch)
{
    return offset == CONSENSUS_PAGE ||
           (batch->seq == s->expected && batch->prev_crc == s->prev_crc);
}

/* All batches of one; what is written behind the survey's last is none of our business. */
static void batches_read(struct scrubbing *s)
{
    uint64_t offset = CONSENSUS_PAGE;
    bool is_newest = s->segment->number == s->survey->segments[s->survey->count - 1].number;
    struct consensus_batch batch;

    while (goes_on(s) && batch_at(s, offset, &batch) && is_next(s, offset, &batch)) {
        if (offset == CONSENSUS_PAGE) {
            first_check(s, &batch);
        }
        const char *wrong = records_wrong(s, &batch);

        if (wrong != NULL) {
            damaged(s, s->segment->number, offset, wrong);
        }
        s->expected = batch.seq + 1;
        s->prev_crc = batch.crc;
        offset += batch.room;
        if (is_newest && batch.seq >= s->survey->seq) {
            break;
        }
    }
    s->before = s->segment->number;
    s->before_at = offset;
    if (!goes_on(s)) {
        return;
    }
    if (offset == CONSENSUS_PAGE) {
        damaged(s, s->segment->number, offset, "the first batch is damaged");
    } else if (is_newest && s->expected <= s->survey->seq) {
        damaged(s, s->segment->number, offset, "a batch is damaged");
    }
}

/* Nothing in it counts but where it begins: that is where the one before has to end. */
static void dead_read(struct scrubbing *s)
{
    struct consensus_batch batch;

    if (batch_at(s, CONSENSUS_PAGE, &batch)) {
        first_check(s, &batch);
    }
    s->expected = 0;
}

static void head_check(struct scrubbing *s)
{
    struct mu_span page = bytes_at(s, 0, CONSENSUS_PAGE);
    struct consensus_segment_head head;
    uint32_t version;

    if (goes_on(s) && (consensus__segment_head_read(page, &head, &version) != CONSENSUS_HEAD_OK ||
                       head.number != s->segment->number || head.salt != s->segment->salt)) {
        damaged(s, s->segment->number, 0, "the head is damaged");
    }
}

static void segment_read(struct scrubbing *s)
{
    const struct consensus_disk *disk = s->disk;
    char name[CONSENSUS_JOURNAL_NAME_MAX];
    struct mu_err err = MU_ERR_NONE;
    uint64_t bytes = 0;

    consensus__journal_name(s->segment->number, name);
    enum mu_code rc = disk->ops->open(disk->self, name, false, &s->file, &bytes, &err);

    if (rc == MU_READ_ONLY) { /* nothing of it could be looked at */
        s->rc = mu_fail(s->err, rc, "%s", err.text);
        return;
    }
    if (rc != MU_OK) {
        damaged(s, s->segment->number, 0, err.text);
        return;
    }
    disk->ops->drop_cache(disk->self, s->file); /* what is on the disk is the question */
    mu_buf_clear(&s->window);
    s->window_at = 0;
    if (bytes < s->segment->bytes) {
        damaged(s, s->segment->number, bytes, "the file was cut short");
    } else if (s->segment->is_dead) {
        dead_read(s);
    } else {
        head_check(s);
        if (goes_on(s)) {
            batches_read(s);
        }
    }
    disk->ops->close(disk->self, s->file);
}

enum mu_code consensus__scrub(const struct consensus_disk *disk,
                              const struct consensus_survey *survey, uint64_t behind,
                              consensus_scrub_pace_fn *pace, void *data,
                              struct consensus_scrubbed *out, struct mu_err *err)
{
    struct scrubbing s = {
        .disk = disk, .survey = survey, .pace = pace, .data = data, .out = out, .err = err
    };

    *out = (struct consensus_scrubbed){ .bytes = 0 };
    for (size_t i = 0; i < survey->count && goes_on(&s); i++) {
        s.segment = &survey->segments[i];
        if (s.segment->number > behind) {
            segment_read(&s);
        }
    }
    mu_buf_deinit(&s.window);
    return s.rc;
}

enum mu_code consensus_scrub(const char *dir, const struct consensus_survey *survey,
                             uint64_t behind, consensus_scrub_pace_fn *pace, void *data,
                             struct consensus_scrubbed *out, struct mu_err *err)
{
    struct consensus_disk disk = { NULL, NULL };
    enum mu_code rc = consensus__disk_open(&disk, dir, err);

    if (rc == MU_OK) {
        rc = consensus__scrub(&disk, survey, behind, pace, data, out, err);
        consensus__disk_close(&disk);
    }
    return rc;
}
