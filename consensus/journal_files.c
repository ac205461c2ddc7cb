/* journal_files.c - which files there are: names, spares, the next segment, recycling.
 *
 * A file becomes a segment by its name first and its head second: renamed from a spare (or made),
 * head written, flushed, directory flushed. A crash in between leaves a file at the end whose head
 * does not fit its name; open takes it for one that was never begun. A spare gets its name when it
 * is complete. So at every moment the numbers of the segments in use follow one another, and what
 * has another name may be thrown away.
 */
#include "journal.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#define FILL_STEP   (256U * 1024)
#define SALT_SPREAD 0x9e3779b97f4a7c15ULL
#define NAME_DIGITS 16U
#define AHEAD_NUM   3U /* the next segment is made ready when 3/4 of the current are used */
#define AHEAD_DENOM 4U

/* -- names --------------------------------------------------------------------------------- */

void consensus__journal_name(uint64_t number, char out[CONSENSUS_JOURNAL_NAME_MAX])
{
    (void)snprintf(out, CONSENSUS_JOURNAL_NAME_MAX, "log-%016llx.seg", (unsigned long long)number);
}

void consensus__journal_spare_name(uint64_t number, char out[CONSENSUS_JOURNAL_NAME_MAX])
{
    (void)snprintf(out, CONSENSUS_JOURNAL_NAME_MAX, "spare-%016llx.seg",
                   (unsigned long long)number);
}

bool consensus__journal_name_parse(const char *name, const char *prefix, uint64_t *number)
{
    size_t before = strlen(prefix);
    uint64_t value = 0;

    if (strncmp(name, prefix, before) != 0 || strlen(name) != before + NAME_DIGITS + 4 ||
        strcmp(name + before + NAME_DIGITS, ".seg") != 0) {
        return false;
    }
    for (size_t i = 0; i < NAME_DIGITS; i++) {
        const char *digits = "0123456789abcdef";
        const char *at = strchr(digits, name[before + i]);

        if (at == NULL) {
            return false;
        }
        value = value << 4 | (uint64_t)(at - digits);
    }
    *number = value;
    return true;
}

/* -- the next segment ---------------------------------------------------------------------- */

static enum mu_code head_save(struct consensus_journal *j, struct mu_err *err)
{
    struct consensus_segment_head head = {
        .number = j->next.number,
        .salt = j->next.salt,
        .bytes = j->next.bytes,
        .server = j->options.server,
        .disk = j->options.disk,
    };
    uint8_t page[CONSENSUS_PAGE];

    consensus__segment_head_write(&head, page);
    enum mu_code rc =
        j->disk->ops->write(j->disk->self, j->next_file, 0, mu_span_of(page, sizeof page), err);

    if (rc == MU_OK) {
        rc = j->disk->ops->sync(j->disk->self, j->next_file, err);
    }
    return rc == MU_OK ? j->disk->ops->sync_dir(j->disk->self, err) : rc;
}

/* A spare under its new name, open. */
static enum mu_code take_spare(struct consensus_journal *j, const char *name, struct mu_err *err)
{
    char spare[CONSENSUS_JOURNAL_NAME_MAX];

    consensus__journal_spare_name(j->spares[j->spares_count - 1], spare);
    enum mu_code rc = j->disk->ops->rename(j->disk->self, spare, name, err);

    if (rc == MU_OK) {
        j->spares_count--;
        rc = j->disk->ops->open(j->disk->self, name, false, &j->next_file, &j->next.bytes, err);
    }
    return rc;
}

/* Without a spare: blocks are only reserved, which costs no time. Flushes into them are slower than
 * into written ones, by half (so the log goes on in a spare as soon as there is one), and a full
 * disk shows now and not in the middle of a batch. */
static enum mu_code make_file(struct consensus_journal *j, const char *name, uint64_t bytes,
                              struct mu_err *err)
{
    uint64_t there;
    enum mu_code rc = j->disk->ops->open(j->disk->self, name, true, &j->next_file, &there, err);

    if (rc != MU_OK) {
        return rc;
    }
    j->next.bytes = bytes;
    j->next.is_raw = true;
    rc = j->disk->ops->reserve(j->disk->self, j->next_file, bytes, err);
    if (rc != MU_OK) {
        j->disk->ops->close(j->disk->self, j->next_file);
        j->next_file = CONSENSUS_DISK_NONE;
        (void)j->disk->ops->remove(j->disk->self, name, NULL); /* open removes it otherwise */
    }
    return rc;
}

static void next_forget(struct consensus_journal *j)
{
    j->next = (struct consensus_segment){ 0 };
    j->next_file = CONSENSUS_DISK_NONE;
}

/* The one that stands ready is too small for what has to go in: make room for its number. */
static enum mu_code next_discard(struct consensus_journal *j, struct mu_err *err)
{
    char name[CONSENSUS_JOURNAL_NAME_MAX];

    consensus__journal_name(j->next.number, name);
    j->disk->ops->close(j->disk->self, j->next_file);
    next_forget(j);
    return j->disk->ops->remove(j->disk->self, name, err);
}

enum mu_code consensus__journal_prepare(struct consensus_journal *j, uint64_t bytes,
                                        struct mu_err *err)
{
    char name[CONSENSUS_JOURNAL_NAME_MAX];
    enum mu_code rc = MU_OK;

    MU_ASSERT(!j->has_failed);
    if (j->next.number != 0 && j->next.bytes >= bytes) {
        return MU_OK;
    }
    if (j->next.number != 0) {
        rc = next_discard(j, err);
    }
    if (rc != MU_OK) {
        return rc;
    }
    j->next.number = j->segments_count > 0 ? j->segments[j->segments_count - 1].number + 1 : 1;
    /* The number too: two uses of one file differ even if the generator should repeat itself. */
    j->next.salt = mu_rand_u64(&j->rand) ^ j->next.number * SALT_SPREAD;
    consensus__journal_name(j->next.number, name);
    if (j->spares_count > 0 && bytes <= j->options.segment_bytes) {
        rc = take_spare(j, name, err);
    } else {
        rc = make_file(j, name, bytes > j->options.segment_bytes ? bytes : j->options.segment_bytes,
                       err);
    }
    if (rc == MU_OK) {
        rc = head_save(j, err);
        /* The blocks are there already: what fails now is the disk, not a lack of space. */
        rc = rc == MU_FULL ? MU_IO : rc;
    }
    if (rc != MU_OK) {
        if (j->next_file != CONSENSUS_DISK_NONE) {
            j->disk->ops->close(j->disk->self, j->next_file);
        }
        next_forget(j);
        return mu_wrap(err, rc, "making segment %s ready", name);
    }
    return MU_OK;
}

void consensus__journal_advance(struct consensus_journal *j)
{
    MU_ASSERT(j->next.number != 0);
    if (j->file != CONSENSUS_DISK_NONE) {
        j->disk->ops->close(j->disk->self, j->file);
    }
    j->segments = mu_grow(j->segments, (j->segments_count + 1) * sizeof *j->segments);
    j->segments[j->segments_count++] = j->next;
    j->file = j->next_file;
    j->offset = CONSENSUS_PAGE;
    next_forget(j);
}

/* -- spares -------------------------------------------------------------------------------- */

static void spares_add(struct consensus_journal *j, uint64_t number)
{
    j->spares = mu_grow(j->spares, (j->spares_count + 1) * sizeof *j->spares);
    j->spares[j->spares_count++] = number;
}

/* MU_FULL: there are enough, or it is unfit, or its longer name needs a block of the directory. */
static enum mu_code keep_as_spare(struct consensus_journal *j, const struct consensus_segment *s,
                                  const char *name, struct mu_err *err)
{
    char spare[CONSENSUS_JOURNAL_NAME_MAX];

    if (j->spares_count >= j->options.spares_count || s->bytes != j->options.segment_bytes ||
        s->is_raw) {
        return MU_FULL;
    }
    consensus__journal_spare_name(j->spare_number, spare);
    enum mu_code rc = j->disk->ops->rename(j->disk->self, name, spare, err);

    if (rc == MU_OK) {
        spares_add(j, j->spare_number++);
    }
    return rc;
}

enum mu_code consensus__journal_recycle(struct consensus_journal *j, struct mu_err *err)
{
    char name[CONSENSUS_JOURNAL_NAME_MAX];
    struct consensus_segment oldest = j->segments[0];
    size_t gone = 0;

    MU_ASSERT(j->segments_count > 1);
    consensus__journal_name(oldest.number, name);
    enum mu_code rc = keep_as_spare(j, &oldest, name, err);

    if (rc == MU_FULL) {
        rc = j->disk->ops->remove(j->disk->self, name, err);
    }
    /* Each on its own: were two of them to vanish in the other order, a hole would be left. It is
     * gone from where it was: what fails now is the disk, not a lack of space. */
    if (rc == MU_OK) {
        rc = j->disk->ops->sync_dir(j->disk->self, err);
        rc = rc == MU_FULL ? MU_IO : rc;
    }
    if (rc != MU_OK) {
        return rc;
    }
    memmove(j->segments, j->segments + 1, --j->segments_count * sizeof *j->segments);
    while (gone < j->points_count && j->points[gone].segment == oldest.number) {
        gone++;
    }
    if (gone > 0) { /* a log that begins behind a snapshot may have none */
        j->points_count -= gone;
        memmove(j->points, j->points + gone, j->points_count * sizeof *j->points);
    }
    return MU_OK;
}

/* The spare is whole: durable, and then known by its name. Until it has that, it may have to give
 * way: a longer name can need a block of the directory that is not there. */
static enum mu_code fill_end(struct consensus_journal *j, struct mu_err *err)
{
    char name[CONSENSUS_JOURNAL_NAME_MAX];
    enum mu_code rc = j->disk->ops->sync(j->disk->self, j->fill_file, err);

    consensus__journal_spare_name(j->spare_number, name);
    rc = rc == MU_OK ? j->disk->ops->rename(j->disk->self, CONSENSUS_FILL_NAME, name, err) : rc;
    if (rc == MU_OK) {
        j->disk->ops->close(j->disk->self, j->fill_file);
        j->fill_file = CONSENSUS_DISK_NONE;
        spares_add(j, j->spare_number++);
        rc = j->disk->ops->sync_dir(j->disk->self, err);
    }
    return rc;
}

/* Zero-fill a little more of the spare in the making. Written out piece by piece, so that no flush
 * of the log ever waits for 16 MiB; flushed once, for a flush here makes the next batch wait. */
static enum mu_code fill_step(struct consensus_journal *j, struct mu_err *err)
{
    static uint8_t zeros[FILL_STEP]; /* never written, so it takes no memory */
    uint64_t left = j->options.segment_bytes - j->fill_bytes;
    size_t step = left < FILL_STEP ? (size_t)left : FILL_STEP;
    enum mu_code rc = j->disk->ops->write(j->disk->self, j->fill_file, j->fill_bytes,
                                          mu_span_of(zeros, step), err);

    if (rc != MU_OK) {
        return rc;
    }
    if (j->disk->ops->write_out != NULL) {
        j->disk->ops->write_out(j->disk->self, j->fill_file, j->fill_bytes, step);
    }
    j->fill_bytes += step;
    return j->fill_bytes < j->options.segment_bytes ? MU_OK : fill_end(j, err);
}

static enum mu_code fill_begin(struct consensus_journal *j, struct mu_err *err)
{
    uint64_t there;
    enum mu_code rc =
        j->disk->ops->open(j->disk->self, CONSENSUS_FILL_NAME, true, &j->fill_file, &there, err);

    j->fill_bytes = 0;
    return rc == MU_OK
               ? j->disk->ops->reserve(j->disk->self, j->fill_file, j->options.segment_bytes, err)
               : rc;
}

void consensus__journal_give_way(struct consensus_journal *j)
{
    if (j->fill_file != CONSENSUS_DISK_NONE) {
        j->disk->ops->close(j->disk->self, j->fill_file);
        j->fill_file = CONSENSUS_DISK_NONE;
        (void)j->disk->ops->remove(j->disk->self, CONSENSUS_FILL_NAME, NULL);
    }
}

bool consensus__journal_is_pressed(const struct consensus_journal *j)
{
    const struct consensus_segment *current =
        j->segments_count > 0 ? &j->segments[j->segments_count - 1] : NULL;

    return j->next.number == 0 && current != NULL &&
           (j->offset > current->bytes / AHEAD_DENOM * AHEAD_NUM ||
            (current->is_raw && j->spares_count > 0));
}

bool consensus__journal_wants(const struct consensus_journal *j)
{
    return consensus__journal_is_pressed(j) || j->spares_count < j->options.spares_count;
}

enum mu_code consensus__journal_tend(struct consensus_journal *j, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    MU_ASSERT(!j->has_failed);
    if (consensus__journal_is_pressed(j)) {
        rc = consensus__journal_prepare(j, j->options.segment_bytes, err);
    } else if (j->fill_file != CONSENSUS_DISK_NONE) {
        rc = fill_step(j, err);
    } else if (j->spares_count < j->options.spares_count) {
        rc = fill_begin(j, err);
    }
    if (rc == MU_FULL) {
        consensus__journal_give_way(j);
    } else if (rc != MU_OK) {
        j->has_failed = true;
    }
    return rc;
}
