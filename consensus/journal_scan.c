/* journal_scan.c - which files of a log there are, before any batch is believed.
 *
 * Reads every head and looks whether an intact batch stands first in the file: that tells the
 * segments in use from those at the end that were made ready and never begun. Numbers in use must
 * follow one another: a missing file is damage. Spares that a crash has cut short are removed.
 */
#include "journal.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

/* What to do is the same for all damage until a server can be repaired by its peers. */
#define ADVICE "; the log is damaged and is left as it is: " CONSENSUS_START_OVER

enum mu_code consensus__journal_damage(const struct consensus_journal *j, uint64_t number,
                                       uint64_t offset, const char *what, struct mu_err *err)
{
    char name[CONSENSUS_JOURNAL_NAME_MAX];

    consensus__journal_name(number, name);
    return mu_fail(err, MU_CORRUPT, "%s/%s at byte %llu: %s" ADVICE,
                   j->disk->ops->path(j->disk->self), name, (unsigned long long)offset, what);
}

enum mu_code consensus__journal_in_file(const struct consensus_journal *j, uint64_t number,
                                        enum mu_code rc, struct mu_err *err)
{
    char name[CONSENSUS_JOURNAL_NAME_MAX];

    consensus__journal_name(number, name);
    return mu_wrap(err, rc, "%s/%s", j->disk->ops->path(j->disk->self), name);
}

static enum mu_code list_one(void *data, const char *name, struct mu_err *err)
{
    struct consensus_journal_scan *s = data;
    struct consensus_journal *j = s->j;
    uint64_t number;

    if (consensus__journal_name_parse(name, "log-", &number)) {
        s->files = mu_grow(s->files, (s->files_count + 1) * sizeof *s->files);
        s->files[s->files_count++] = (struct consensus_found_file){ .number = number };
    } else if (consensus__journal_name_parse(name, "spare-", &number)) {
        j->spares = mu_grow(j->spares, (j->spares_count + 1) * sizeof *j->spares);
        j->spares[j->spares_count++] = number;
        j->spare_number = number >= j->spare_number ? number + 1 : j->spare_number;
    } else if (strcmp(name, CONSENSUS_FILL_NAME) == 0 && !j->options.is_read_only) {
        return j->disk->ops->remove(j->disk->self, name, err);
    }
    return MU_OK;
}

/* Spares of another size, cut short by a crash or made with other options, are of no use. */
static enum mu_code spares_check(struct consensus_journal *j, struct mu_err *err)
{
    size_t kept = 0;

    if (j->options.is_read_only) {
        return MU_OK;
    }
    for (size_t i = 0; i < j->spares_count; i++) {
        char name[CONSENSUS_JOURNAL_NAME_MAX];
        uint64_t bytes;
        int file;

        consensus__journal_spare_name(j->spares[i], name);
        enum mu_code rc = j->disk->ops->open(j->disk->self, name, false, &file, &bytes, err);

        if (rc != MU_OK) {
            return rc;
        }
        j->disk->ops->close(j->disk->self, file);
        if (bytes == j->options.segment_bytes && kept < j->options.spares_count) {
            j->spares[kept++] = j->spares[i];
        } else if ((rc = j->disk->ops->remove(j->disk->self, name, err)) != MU_OK) {
            return rc;
        }
    }
    j->spares_count = kept;
    /* Who died before it flushed the name of a recycled one: until that is durable the file is a
     * segment of the log, and must not be written as another. */
    return kept > 0 ? j->disk->ops->sync_dir(j->disk->self, err) : MU_OK;
}

/* The first batch of a file, if an intact one of this salt is there. */
static enum mu_code peek_batch(const struct consensus_journal_scan *s, int file,
                               const struct consensus_found_file *f, struct mu_buf *work,
                               struct consensus_batch *out, bool *is_there, struct mu_err *err)
{
    const struct consensus_disk *disk = s->j->disk;
    uint8_t head[CONSENSUS_BATCH_HEAD];

    *is_there = false;
    if (f->bytes < CONSENSUS_PAGE + sizeof head) {
        return MU_OK;
    }
    enum mu_code rc = disk->ops->read(disk->self, file, CONSENSUS_PAGE, head, sizeof head, err);
    size_t bytes = rc == MU_OK ? consensus__batch_bytes(mu_span_of(head, sizeof head)) : 0;

    if (bytes == 0 || CONSENSUS_PAGE + bytes > f->bytes) {
        return rc;
    }
    mu_buf_clear(work);
    rc = disk->ops->read(disk->self, file, CONSENSUS_PAGE, mu_buf_reserve(work, bytes), bytes, err);
    if (rc == MU_OK) {
        work->bytes = bytes;
        *is_there = consensus__batch_read(mu_buf_span(work), out) && out->salt == f->head.salt;
    }
    return rc;
}

static enum mu_code look_at(struct consensus_journal_scan *s, struct consensus_found_file *f,
                            struct mu_err *err)
{
    const struct consensus_disk *disk = s->j->disk;
    char name[CONSENSUS_JOURNAL_NAME_MAX];
    uint8_t page[CONSENSUS_PAGE];
    struct mu_buf work = MU_BUF_NONE;
    struct consensus_batch batch;
    int file;
    enum mu_code rc;

    consensus__journal_name(f->number, name);
    rc = disk->ops->open(disk->self, name, false, &file, &f->bytes, err);
    if (rc != MU_OK) {
        return rc;
    }
    disk->ops->drop_cache(disk->self, file);
    f->head_state = CONSENSUS_HEAD_BROKEN;
    if (f->bytes >= sizeof page) {
        rc = disk->ops->read(disk->self, file, 0, page, sizeof page, err);
        f->head_state = rc == MU_OK ? consensus__segment_head_read(mu_span_of(page, sizeof page),
                                                                   &f->head, &f->version)
                                    : CONSENSUS_HEAD_BROKEN;
    }
    if (f->head_state == CONSENSUS_HEAD_OK && f->head.number != f->number) {
        f->head_state = CONSENSUS_HEAD_BROKEN; /* of its former use: it was being recycled */
    }
    if (rc == MU_OK && f->head_state == CONSENSUS_HEAD_OK) {
        rc = peek_batch(s, file, f, &work, &batch, &f->is_begun, err);
        f->first_seq = f->is_begun ? batch.seq : 0;
    }
    disk->ops->close(disk->self, file);
    mu_buf_deinit(&work);
    return rc == MU_OK ? MU_OK : consensus__journal_in_file(s->j, f->number, rc, err);
}

static enum mu_code judge_head(const struct consensus_journal_scan *s,
                               const struct consensus_found_file *f, struct mu_err *err)
{
    const struct consensus_journal_options *options = &s->j->options;

    if (f->head_state == CONSENSUS_HEAD_NEWER) {
        return consensus__journal_in_file(
            s->j, f->number,
            mu_fail(err, MU_UNSUPPORTED, "format %u is of a newer muster; this one knows up to %u",
                    f->version, CONSENSUS_SEGMENT_VERSION),
            err);
    }
    if (f->head_state == CONSENSUS_HEAD_OK && (!mu_id_eq(&f->head.disk, &options->disk) ||
                                               !mu_id_eq(&f->head.server, &options->server))) {
        char theirs[MU_ID_TEXT_BYTES + 1];
        char ours[MU_ID_TEXT_BYTES + 1];
        bool is_other_node = !mu_id_eq(&f->head.server, &options->server);

        mu_id_text(is_other_node ? &f->head.server : &f->head.disk, theirs);
        mu_id_text(is_other_node ? &options->server : &options->disk, ours);
        return consensus__journal_in_file(s->j, f->number,
                                          mu_fail(err, MU_FOREIGN, "belongs to %s %s, not to %s",
                                                  is_other_node ? "node" : "disk", theirs, ours),
                                          err);
    }
    return MU_OK;
}

static enum mu_code judge_file(const struct consensus_journal_scan *s,
                               const struct consensus_found_file *f, struct mu_err *err)
{
    if (f->head_state != CONSENSUS_HEAD_OK) {
        return consensus__journal_damage(s->j, f->number, 0,
                                         "the head is damaged, later segments are intact", err);
    }
    if (!f->is_begun) {
        return consensus__journal_damage(s->j, f->number, CONSENSUS_PAGE,
                                         "the first batch is damaged, later segments are intact",
                                         err);
    }
    if (f->bytes < f->head.bytes) {
        return consensus__journal_damage(s->j, f->number, f->bytes, "the file was cut short", err);
    }
    return MU_OK;
}

static int by_number(const void *a, const void *b)
{
    const struct consensus_found_file *x = a;
    const struct consensus_found_file *y = b;

    return x->number < y->number ? -1 : x->number > y->number;
}

enum mu_code consensus__journal_scan(struct consensus_journal_scan *s, struct mu_err *err)
{
    struct consensus_journal *j = s->j;
    enum mu_code rc = j->disk->ops->list(j->disk->self, list_one, s, err);

    rc = rc == MU_OK ? spares_check(j, err) : rc;
    if (s->files_count > 0) {
        qsort(s->files, s->files_count, sizeof *s->files, by_number);
    }
    for (size_t i = 0; rc == MU_OK && i < s->files_count; i++) {
        rc = look_at(s, &s->files[i], err);
        rc = rc == MU_OK ? judge_head(s, &s->files[i], err) : rc;
        if (rc == MU_OK && s->files[i].is_begun) {
            s->used_count = i + 1;
        }
    }
    for (size_t i = 0; rc == MU_OK && i < s->used_count; i++) {
        rc = judge_file(s, &s->files[i], err);
    }
    for (size_t i = 0; rc == MU_OK && i + 1 < s->used_count; i++) {
        if (s->files[i].number + 1 != s->files[i + 1].number) {
            rc = consensus__journal_damage(s->j, s->files[i].number + 1, 0,
                                           "this segment is missing", err);
        }
    }
    return rc;
}
