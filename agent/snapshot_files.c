#include "snapshot_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/file.h"
#include "base/mem.h"
#include "catalog/query.h"
#include "copied.h"

/* A power cut loses at most so much of what was received. */
#define FLUSH_BYTES (8U * 1024 * 1024)
/* Pages of the connections of an export and an import, which read and write everything once. */
#define CACHE_BYTES (4U * 1024 * 1024)

static enum mu_code io_fail(struct mu_err *err, const char *what)
{
    return mu_fail(err, mu_file_code(errno), "%s: %s", what, strerror(errno));
}

static char *path_of(const char *dir, const char *name)
{
    struct mu_buf path = MU_BUF_NONE;

    mu_buf_addf(&path, "%s/%s", dir, name);
    return mu_buf_take(&path, NULL);
}

/* -- generations ------------------------------------------------------------------------------- */

char *snapshot_state_path(const char *dir, uint64_t generation)
{
    struct mu_buf path = MU_BUF_NONE;

    mu_buf_addf(&path, "%s/state/state-%llu.db", dir, (unsigned long long)generation);
    return mu_buf_take(&path, NULL);
}

enum mu_code snapshot_generation(const char *dir, uint64_t *out, struct mu_err *err)
{
    struct mu_buf text = MU_BUF_NONE;
    char *path = path_of(dir, "state/current");
    char *end = NULL;
    enum mu_code rc = mu_file_read(path, 32, &text, NULL);

    *out = 1;
    if (rc == MU_OK) {
        *out = strtoull(mu_buf_text(&text), &end, 10);
        if (*out == 0 || strcmp(end, "\n") != 0) {
            rc = mu_fail(err, MU_CORRUPT, "%s does not hold a number", path);
        }
    } else if (rc == MU_NOT_FOUND) {
        rc = MU_OK;
    } else {
        rc = mu_fail(err, rc, "%s cannot be read", path);
    }
    mu_buf_deinit(&text);
    mu_free(path);
    return rc;
}

enum mu_code snapshot_generation_set(const char *dir, uint64_t generation, struct mu_err *err)
{
    char *path = path_of(dir, "state/current");
    char text[24];
    int bytes = snprintf(text, sizeof text, "%llu\n", (unsigned long long)generation);
    enum mu_code rc = mu_file_replace(path, mu_span_of(text, (size_t)bytes), 0600, err);

    mu_free(path);
    return rc;
}

enum mu_code snapshot_state_remove(const char *dir, uint64_t generation, struct mu_err *err)
{
    static const char *const ends[] = { "-wal", "-shm", "-journal", "" };
    char *path = snapshot_state_path(dir, generation);
    enum mu_code rc = MU_OK;

    for (size_t i = 0; rc == MU_OK && i < MU_LEN(ends); i++) {
        struct mu_buf name = MU_BUF_NONE;

        mu_buf_addf(&name, "%s%s", path, ends[i]);
        rc = mu_file_remove(mu_buf_text(&name), err);
        mu_buf_deinit(&name);
    }
    mu_free(path);
    return rc;
}

enum mu_code snapshot_state_applied(const char *dir, uint64_t generation,
                                    struct catalog_applied *out, struct mu_err *err)
{
    char *path = snapshot_state_path(dir, generation);
    const struct catalog_options options = { .path = path, .cache_bytes = CACHE_BYTES };
    struct catalog *c = NULL;
    enum mu_code rc = MU_OK;

    *out = (struct catalog_applied){ .index = 0 };
    if (access(path, F_OK) == 0) {
        rc = catalog_open(&c, &options, err);
    }
    if (c != NULL) {
        *out = catalog_applied(c);
    }
    catalog_close(c);
    mu_free(path);
    return rc == MU_CORRUPT ? MU_OK : rc; /* a power cut in the middle of an import: not complete */
}

/* -- life -------------------------------------------------------------------------------------- */

void snapshot_files_init(struct snapshot_files *f, char *dir, uint64_t generation,
                         uint32_t wal_bytes)
{
    *f = (struct snapshot_files){
        .dir = dir, .generation = generation, .wal_bytes = wal_bytes, .export_fd = -1, .part_fd = -1
    };
}

static void fd_close(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

void snapshot_files_deinit(struct snapshot_files *f)
{
    snapshot_close(f);
    fd_close(&f->part_fd);
    mu_free(f->dir);
}

/* -- for others -------------------------------------------------------------------------------- */

static enum mu_code write_all(int fd, struct mu_span bytes, off_t at, struct mu_err *err)
{
    while (bytes.bytes > 0) {
        ssize_t n = pwrite(fd, bytes.data, bytes.bytes, at);

        if (n < 0 && errno != EINTR) {
            return io_fail(err, "a snapshot cannot be written");
        }
        size_t done = n > 0 ? (size_t)n : 0;

        at += (off_t)done;
        bytes = mu_span_sub(bytes, done, bytes.bytes - done);
    }
    return MU_OK;
}

static void pause_now(const struct snapshot_files *f)
{
    if (f->pause != NULL) {
        f->pause(f->pause_data);
    }
}

struct sink {
    const struct snapshot_files *files;
    int fd;
    off_t at;
};

static enum mu_code file_sink(void *data, struct mu_span bytes, struct mu_err *err)
{
    struct sink *s = data;
    enum mu_code rc = write_all(s->fd, bytes, s->at, err);

    pause_now(s->files);
    s->at += (off_t)bytes.bytes;
    return rc;
}

enum mu_code snapshot_stream(const char *dir, uint64_t generation, catalog_sink_fn *sink,
                             void *data, struct catalog_snapshot *info, struct mu_err *err)
{
    char *path = snapshot_state_path(dir, generation);
    struct catalog_reader *reader = NULL;
    enum mu_code rc = catalog_reader_open(&reader, path, NULL, err);

    if (rc == MU_OK) {
        rc = catalog_export(reader, sink, data, info, err);
        catalog_reader_release(reader);
    }
    if (rc == MU_OK) {
        rc =
            info->applied.index > 0 ? MU_OK : mu_fail(err, MU_NOT_FOUND, "nothing was applied yet");
    }
    catalog_reader_close(reader);
    mu_free(path);
    return rc;
}

static enum mu_code export_to(const struct snapshot_files *f, int fd, struct catalog_snapshot *info,
                              struct mu_err *err)
{
    struct sink s = { f, fd, 0 };

    return snapshot_stream(f->dir, f->generation, file_sink, &s, info, err);
}

enum mu_code snapshot_export(struct snapshot_files *f, struct consensus_snap *out,
                             struct mu_err *err)
{
    char *path = path_of(f->dir, "state/export.part");
    struct catalog_snapshot info;
    enum mu_code rc = MU_OK;

    snapshot_close(f);
    f->export_fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    rc = f->export_fd >= 0 ? export_to(f, f->export_fd, &info, err) : io_fail(err, path);
    if (rc == MU_OK) {
        *out = (struct consensus_snap){ .index = info.applied.index,
                                        .term = info.applied.term,
                                        .bytes = info.bytes };
        _Static_assert(sizeof info.hash == sizeof out->hash, "BLAKE2b-256");
        memcpy(out->hash, info.hash, sizeof out->hash);
        f->export = *out;
    } else {
        snapshot_close(f);
    }
    mu_free(path);
    return rc;
}

static enum mu_code read_at(int fd, off_t at, void *to, size_t room, size_t *got,
                            struct mu_err *err)
{
    ssize_t n;

    do {
        n = pread(fd, to, room, at);
    } while (n < 0 && errno == EINTR);
    *got = n > 0 ? (size_t)n : 0;
    return n < 0 ? io_fail(err, "a snapshot cannot be read") : MU_OK;
}

enum mu_code snapshot_read(const struct snapshot_files *f, const struct consensus_snap *snap,
                           uint64_t offset, uint32_t bytes, struct mu_buf *to, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    if (f->export_fd < 0 || !consensus_snap_eq(&f->export, snap)) {
        return mu_fail(err, MU_NOT_FOUND, "that snapshot is not here any more");
    }
    while (rc == MU_OK && to->bytes < bytes) {
        size_t got = 0;

        rc = read_at(f->export_fd, (off_t)(offset + to->bytes),
                     mu_buf_reserve(to, bytes - to->bytes), bytes - to->bytes, &got, err);
        if (rc == MU_OK && got == 0) {
            return mu_fail(err, MU_CORRUPT, "a snapshot is shorter than it was");
        }
        to->bytes += got;
    }
    return rc;
}

void snapshot_close(struct snapshot_files *f)
{
    char *path = path_of(f->dir, "state/export.part");

    fd_close(&f->export_fd);
    (void)unlink(path);
    f->export = (struct consensus_snap){ 0 };
    mu_free(path);
}

/* -- from others ------------------------------------------------------------------------------- */

static char *part_path(const struct snapshot_files *f, const struct consensus_snap *snap)
{
    struct mu_buf path = MU_BUF_NONE;

    mu_buf_addf(&path, "%s/consensus/snap-", f->dir);
    for (size_t i = 0; i < 16; i++) {
        mu_buf_addf(&path, "%02x", snap->hash[i]);
    }
    mu_buf_add_text(&path, ".part");
    return mu_buf_take(&path, NULL);
}

struct others {
    const char *dir, *keep; /* keep: the last part of its path */
};

static enum mu_code other_part(void *data, const char *name, struct mu_err *err)
{
    const struct others *o = data;
    size_t bytes = strlen(name);

    (void)err;
    if (strncmp(name, "snap-", 5) == 0 && bytes > 5 && strcmp(name + bytes - 5, ".part") == 0 &&
        strcmp(name, o->keep) != 0) {
        char *path = path_of(o->dir, name);

        (void)unlink(path);
        mu_free(path);
    }
    return MU_OK;
}

/* One stream at a time is received: what is left of others is of no use. */
static void others_remove(const struct snapshot_files *f, const char *keep)
{
    char *dir = path_of(f->dir, "consensus");
    struct others o = { dir, strrchr(keep, '/') + 1 };
    enum mu_code rc = mu_dir_each(dir, other_part, &o, NULL);

    (void)rc; /* a listing that fails leaves a file more */
    mu_free(dir);
}

static void part_forget(struct snapshot_files *f)
{
    fd_close(&f->part_fd);
    f->part = (struct consensus_snap){ 0 };
    f->written = f->flushed = 0;
}

static void part_remove(struct snapshot_files *f)
{
    char *path = part_path(f, &f->part);

    if (f->part.bytes > 0) {
        (void)unlink(path);
    }
    part_forget(f);
    mu_free(path);
}

/* All that the file holds is taken for good: should a power cut have left rubbish in it, the hash
 * of the whole will say so. */
enum mu_code snapshot_open(struct snapshot_files *f, const struct consensus_snap *snap,
                           uint64_t *held, struct mu_err *err)
{
    char *path = part_path(f, snap);
    struct stat st;
    enum mu_code rc = MU_OK;

    part_forget(f);
    others_remove(f, path);
    f->part_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (f->part_fd < 0 || fstat(f->part_fd, &st) != 0) {
        rc = io_fail(err, path);
        goto out;
    }
    f->part = *snap;
    if ((uint64_t)st.st_size > snap->bytes && ftruncate(f->part_fd, 0) != 0) {
        rc = io_fail(err, path);
        goto out;
    }
    f->written = (uint64_t)st.st_size > snap->bytes ? 0 : (uint64_t)st.st_size;
    f->flushed = f->written;
    *held = f->written;
out:
    mu_free(path);
    return rc;
}

enum mu_code snapshot_store(struct snapshot_files *f, const struct consensus_snap *snap,
                            uint64_t offset, struct mu_span data, struct mu_err *err)
{
    if (f->part_fd < 0 || !consensus_snap_eq(&f->part, snap) || offset != f->written) {
        return mu_fail(err, MU_NOT_FOUND, "that snapshot is not being received");
    }
    enum mu_code rc = write_all(f->part_fd, data, (off_t)offset, err);

    if (rc == MU_OK) {
        f->written += data.bytes;
    }
    if (rc == MU_OK && f->written - f->flushed >= FLUSH_BYTES) {
        rc = fdatasync(f->part_fd) == 0 ? MU_OK : io_fail(err, "a snapshot cannot be flushed");
        f->flushed = f->written;
    }
    return rc;
}

struct part_source {
    const struct snapshot_files *files;
    off_t at;
};

static enum mu_code part_source(void *data, void *to, size_t room, size_t *got, struct mu_err *err)
{
    struct part_source *s = data;
    enum mu_code rc = read_at(s->files->part_fd, s->at, to, room, got, err);

    pause_now(s->files);
    s->at += (off_t)*got;
    return rc;
}

static enum mu_code import_to(const char *path, struct part_source *s,
                              const struct consensus_snap *snap, struct mu_err *err)
{
    const struct catalog_options options = { .path = path, .cache_bytes = CACHE_BYTES };
    struct catalog_snapshot info;
    struct catalog *c = NULL;
    enum mu_code rc = catalog_open(&c, &options, err);

    if (rc == MU_OK) {
        rc = catalog_import(c, part_source, s, snap->hash, &info, err);
    }
    if (rc == MU_OK && (info.applied.index != snap->index || info.applied.term != snap->term)) {
        rc = mu_fail(err, MU_CORRUPT, "the snapshot is of another entry than was said");
    }
    catalog_close(c);
    return rc;
}

enum mu_code snapshot_import(struct snapshot_files *f, const struct consensus_snap *snap,
                             struct mu_err *err)
{
    struct part_source s = { f, 0 };
    char *path = snapshot_state_path(f->dir, f->generation + 1);
    enum mu_code rc;

    if (f->part_fd < 0 || !consensus_snap_eq(&f->part, snap) || f->written != snap->bytes) {
        rc = mu_fail(err, MU_NOT_FOUND, "that snapshot is not here");
        goto out;
    }
    rc = snapshot_state_remove(f->dir, f->generation + 1, err);
    rc = rc == MU_OK ? import_to(path, &s, snap, err) : rc;
    rc = rc == MU_OK ? copied_note(f->dir, f->generation + 1, err) : rc;
    if (rc != MU_OK) {
        snapshot_abandon(f);
    }
out:
    mu_free(path);
    return rc;
}

enum mu_code snapshot_switch(struct snapshot_files *f, struct catalog **out, struct mu_err *err)
{
    char *path = snapshot_state_path(f->dir, f->generation + 1);
    const struct catalog_options options = { .path = path, .wal_bytes = f->wal_bytes };
    enum mu_code rc = snapshot_generation_set(f->dir, f->generation + 1, err);

    rc = rc == MU_OK ? catalog_open(out, &options, err) : rc;
    if (rc == MU_OK) {
        f->generation++;
        snapshot_close(f); /* of the state before */
        part_remove(f);
    }
    mu_free(path);
    return rc;
}

void snapshot_abandon(struct snapshot_files *f)
{
    enum mu_code rc = snapshot_state_remove(f->dir, f->generation + 1, NULL);

    (void)rc; /* what is left is removed before the next one, or at a start */
    part_remove(f);
}

/* -- orders ------------------------------------------------------------------------------------ */

void snapshot_work_init(struct snapshot_work *w, const struct consensus_snap_order *order)
{
    *w = (struct snapshot_work){ .order = *order };
    w->order.data = MU_SPAN_NONE;
    mu_buf_add_span(&w->data, order->data);
}

void snapshot_work_deinit(struct snapshot_work *w)
{
    catalog_close(w->catalog);
    mu_buf_deinit(&w->data);
}

void snapshot_work_run(struct snapshot_work *w, struct snapshot_files *f)
{
    const struct consensus_snap_order *o = &w->order;
    enum mu_code rc = MU_OK;

    switch (o->kind) {
    case CONSENSUS_SNAP_EXPORT: rc = snapshot_export(f, &w->order.snap, &w->err); break;
    case CONSENSUS_SNAP_CLOSE: snapshot_close(f); break;
    case CONSENSUS_SNAP_READ:
        rc = snapshot_read(f, &o->snap, o->offset, o->bytes, &w->data, &w->err);
        break;
    case CONSENSUS_SNAP_OPEN: rc = snapshot_open(f, &o->snap, &w->held, &w->err); break;
    case CONSENSUS_SNAP_STORE:
        rc = snapshot_store(f, &o->snap, o->offset, mu_buf_span(&w->data), &w->err);
        w->held = f->written;
        break;
    case CONSENSUS_SNAP_IMPORT: rc = snapshot_import(f, &o->snap, &w->err); break;
    case CONSENSUS_SNAP_SWITCH: rc = snapshot_switch(f, &w->catalog, &w->err); break;
    case CONSENSUS_SNAP_ABANDON: snapshot_abandon(f); break;
    }
    MU_ASSERT((rc == MU_OK) == (w->err.code == MU_OK));
    if (rc != MU_OK && (o->kind == CONSENSUS_SNAP_OPEN || o->kind == CONSENSUS_SNAP_STORE)) {
        snapshot_abandon(f);
    }
}

static enum consensus_snap_fault fault_of(enum mu_code code)
{
    return code == MU_FULL          ? CONSENSUS_SNAP_FULL
           : code == MU_CORRUPT     ? CONSENSUS_SNAP_DAMAGED
           : code == MU_UNSUPPORTED ? CONSENSUS_SNAP_UNKNOWN
                                    : CONSENSUS_SNAP_IO;
}

enum consensus_snap_event snapshot_work_event(const struct snapshot_work *w,
                                              enum consensus_snap_fault *fault)
{
    static const enum consensus_snap_event good[] = {
        [CONSENSUS_SNAP_EXPORT] = CONSENSUS_SNAP_EXPORTED,
        [CONSENSUS_SNAP_OPEN] = CONSENSUS_SNAP_OPENED,
        [CONSENSUS_SNAP_STORE] = CONSENSUS_SNAP_STORED,
        [CONSENSUS_SNAP_IMPORT] = CONSENSUS_SNAP_IMPORTED,
    };

    *fault = fault_of(w->err.code);
    if (w->err.code == MU_OK) {
        return good[w->order.kind];
    }
    return w->order.kind == CONSENSUS_SNAP_EXPORT ? CONSENSUS_SNAP_EXPORT_FAILED
                                                  : CONSENSUS_SNAP_LOST;
}
