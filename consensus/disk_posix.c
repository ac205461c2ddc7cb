/* disk_posix.c - disk.h on the file system. */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"

#define NAME_BYTES_MAX 64
/* What goes past the page cache: larger writes gain nothing by it, and this much memory is kept. */
#define DIRECT_BYTES_MAX (64U * 1024)
#define DIRECT_ALIGN     4096U

struct posix_disk {
    char *path;
    int dir;  /* of the directory: names are relative to it */
    int lock; /* flock held, or CONSENSUS_DISK_NONE */

    bool is_indirect; /* this file system, or kernel, knows no other way than the page cache */
    int direct;       /* the file `direct_of` once more, past the page cache; or NONE */
    int direct_of;
    uint8_t *room;
    uint8_t *aligned; /* DIRECT_BYTES_MAX of it */
};

static enum mu_code fail_errno(const struct posix_disk *d, const char *what, const char *name,
                               struct mu_err *err)
{
    int saved = mu_file_settled(d->path, errno);

    return mu_fail(err, mu_file_code(saved), "%s %s/%s: %s", what, d->path, name, strerror(saved));
}

/* Calls on an open file know only its descriptor; the caller wraps the file's name around. */
static enum mu_code fail_plain(const struct posix_disk *d, const char *what, struct mu_err *err)
{
    int saved = mu_file_settled(d->path, errno);

    return mu_fail(err, mu_file_code(saved), "%s: %s", what, strerror(saved));
}

static enum mu_code posix_list(void *self, mu_dir_fn *each, void *data, struct mu_err *err)
{
    const struct posix_disk *d = self;

    return mu_dir_each(d->path, each, data, err);
}

static enum mu_code posix_open(void *self, const char *name, bool create, int *file,
                               uint64_t *bytes, struct mu_err *err)
{
    const struct posix_disk *d = self;
    int flags = O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_EXCL : 0);
    struct stat st;
    int fd = openat(d->dir, name, flags, 0600);

    if (fd < 0) {
        return fail_errno(d, create ? "create" : "open", name, err);
    }
    if (fstat(fd, &st) != 0) {
        enum mu_code rc = fail_errno(d, "stat", name, err);

        (void)close(fd);
        return rc;
    }
    *file = fd;
    *bytes = (uint64_t)st.st_size;
    return MU_OK;
}

static void direct_close(struct posix_disk *d)
{
    if (d->direct != CONSENSUS_DISK_NONE) {
        (void)close(d->direct);
    }
    d->direct = d->direct_of = CONSENSUS_DISK_NONE;
}

static void posix_close(void *self, int file)
{
    struct posix_disk *d = self;

    if (file == d->direct_of) {
        direct_close(d);
    }
    (void)close(file); /* whatever had to be durable was synced before */
}

static enum mu_code posix_read(void *self, int file, uint64_t offset, void *to, size_t bytes,
                               struct mu_err *err)
{
    uint8_t *at = to;

    while (bytes > 0) {
        ssize_t got = pread(file, at, bytes, (off_t)offset);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail_plain(self, "read", err);
        }
        if (got == 0) {
            return mu_fail(err, MU_IO, "read: the file ends at byte %llu",
                           (unsigned long long)offset);
        }
        at += got;
        offset += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return MU_OK;
}

static void posix_read_ahead(void *self, int file, uint64_t offset, uint64_t bytes)
{
    (void)self;
    (void)posix_fadvise(file, (off_t)offset, (off_t)bytes, POSIX_FADV_WILLNEED);
}

static enum mu_code posix_write(void *self, int file, uint64_t offset, struct mu_span bytes,
                                struct mu_err *err)
{
    while (bytes.bytes > 0) {
        ssize_t put = pwrite(file, bytes.data, bytes.bytes, (off_t)offset);

        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return fail_plain(self, "write", err);
        }
        bytes.data += put;
        bytes.bytes -= (size_t)put;
        offset += (uint64_t)put;
    }
    return MU_OK;
}

/* File systems without fallocate get zeros written: slower, and as good. */
static enum mu_code write_zeros(void *self, int file, uint64_t bytes, struct mu_err *err)
{
    size_t step = 256U * 1024;
    uint8_t *zeros = mu_new(step);
    enum mu_code rc = MU_OK;

    for (uint64_t at = 0; rc == MU_OK && at < bytes; at += step) {
        size_t part = bytes - at < step ? (size_t)(bytes - at) : step;

        rc = posix_write(self, file, at, mu_span_of(zeros, part), err);
    }
    mu_free(zeros);
    return rc;
}

static enum mu_code posix_reserve(void *self, int file, uint64_t bytes, struct mu_err *err)
{
    int rc;

    do {
        rc = fallocate(file, 0, 0, (off_t)bytes);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) {
        return write_zeros(self, file, bytes, err);
    }
    return rc == 0 ? MU_OK : fail_plain(self, "reserve space", err);
}

static void posix_write_out(void *self, int file, uint64_t offset, uint64_t bytes)
{
    (void)self;
    if (offset >= 2 * bytes) { /* or a slow disk would owe the sync the whole file */
        (void)sync_file_range(file, (off_t)(offset - 2 * bytes), (off_t)bytes,
                              SYNC_FILE_RANGE_WAIT_BEFORE);
    }
    (void)sync_file_range(file, (off_t)offset, (off_t)bytes, SYNC_FILE_RANGE_WRITE);
}

static enum mu_code posix_sync(void *self, int file, struct mu_err *err)
{
    /* Not repeated on EINTR or anything else: after a failed flush the kernel may mark the pages
     * clean, and a second call would report success for bytes that are gone (ATC'20). */
    return fdatasync(file) == 0 ? MU_OK : fail_plain(self, "flush", err);
}

/* The same file by another descriptor, so that reads need not be aligned. */
static bool direct_open(struct posix_disk *d, int file)
{
    char path[64];

    if (d->is_indirect || file == d->direct_of) {
        return !d->is_indirect;
    }
    direct_close(d);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    d->direct = open(path, O_WRONLY | O_CLOEXEC | O_DIRECT);
    d->is_indirect = d->direct < 0;
    if (d->is_indirect) {
        d->direct = CONSENSUS_DISK_NONE;
        return false;
    }
    d->direct_of = file;
    if (d->room == NULL) {
        d->room = mu_new(DIRECT_BYTES_MAX + DIRECT_ALIGN);
        d->aligned = d->room + (DIRECT_ALIGN - (uintptr_t)d->room % DIRECT_ALIGN);
    }
    return true;
}

/* Not the disk says so: the kernel, the file system, or who guards the system calls. */
static bool is_unknown(int error)
{
    return error == EINVAL || error == EOPNOTSUPP || error == ENOSYS || error == EPERM;
}

/* True: done, or failed for good (*rc). False: it has to be done the other way. */
static bool direct_write(struct posix_disk *d, uint64_t offset, struct mu_span bytes,
                         enum mu_code *rc, struct mu_err *err)
{
    struct iovec part = { d->aligned, bytes.bytes };

    memcpy(d->aligned, bytes.data, bytes.bytes);
    ssize_t put = pwritev2(d->direct, &part, 1, (off_t)offset, RWF_DSYNC);

    if (put < 0 && is_unknown(errno)) {
        d->is_indirect = true;
        direct_close(d);
        return false;
    }
    if (put < 0 && errno != EINTR) {
        *rc = fail_plain(d, "write and flush", err);
        return true;
    }
    *rc = MU_OK;
    return put == (ssize_t)bytes.bytes;
}

/* Past the page cache a flush costs half the processor time: no page is looked up, marked, found
 * again and unmarked. */
static enum mu_code posix_write_sync(void *self, int file, uint64_t offset, struct mu_span bytes,
                                     struct mu_err *err)
{
    struct posix_disk *d = self;
    enum mu_code rc;

    MU_ASSERT(offset % DIRECT_ALIGN == 0 && bytes.bytes % DIRECT_ALIGN == 0);
    if (bytes.bytes <= DIRECT_BYTES_MAX && direct_open(d, file) &&
        direct_write(d, offset, bytes, &rc, err)) {
        return rc;
    }
    rc = posix_write(self, file, offset, bytes, err);
    return rc == MU_OK ? posix_sync(self, file, err) : rc;
}

static void posix_drop_cache(void *self, int file)
{
    (void)self;
    (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED); /* a hint; what is dirty stays */
}

static enum mu_code posix_rename(void *self, const char *from, const char *to, struct mu_err *err)
{
    const struct posix_disk *d = self;

    return renameat(d->dir, from, d->dir, to) == 0 ? MU_OK : fail_errno(d, "rename", from, err);
}

static enum mu_code posix_remove(void *self, const char *name, struct mu_err *err)
{
    const struct posix_disk *d = self;

    return unlinkat(d->dir, name, 0) == 0 ? MU_OK : fail_errno(d, "remove", name, err);
}

static enum mu_code posix_sync_dir(void *self, struct mu_err *err)
{
    const struct posix_disk *d = self;

    return fsync(d->dir) == 0 ? MU_OK : fail_errno(d, "flush directory", ".", err);
}

static enum mu_code posix_lock(void *self, const char *name, struct mu_err *err)
{
    struct posix_disk *d = self;
    char path[4096];

    MU_ASSERT(d->lock == CONSENSUS_DISK_NONE);
    MU_ASSERT(strlen(name) < NAME_BYTES_MAX);
    if (snprintf(path, sizeof path, "%s/%s", d->path, name) >= (int)sizeof path) {
        return mu_fail(err, MU_INVALID, "too long for a path: %s/%s", d->path, name);
    }
    return mu_file_lock(path, &d->lock, err);
}

static const char *posix_path(void *self)
{
    const struct posix_disk *d = self;

    return d->path;
}

static enum mu_code posix_space(void *self, struct mu_space *out, struct mu_err *err)
{
    const struct posix_disk *d = self;

    return mu_file_space(d->path, out, err);
}

static const struct consensus_disk_ops posix_ops = {
    .list = posix_list,
    .open = posix_open,
    .close = posix_close,
    .read = posix_read,
    .read_ahead = posix_read_ahead,
    .write = posix_write,
    .reserve = posix_reserve,
    .sync = posix_sync,
    .write_sync = posix_write_sync,
    .drop_cache = posix_drop_cache,
    .rename = posix_rename,
    .remove = posix_remove,
    .write_out = posix_write_out,
    .sync_dir = posix_sync_dir,
    .lock = posix_lock,
    .path = posix_path,
    .space = posix_space,
};

enum mu_code consensus__disk_open(struct consensus_disk *out, const char *path, struct mu_err *err)
{
    enum mu_code rc = mu_dir_make(path, err);

    if (rc != MU_OK) {
        return rc;
    }
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0) {
        int saved = errno;

        return mu_fail(err, mu_file_code(saved), "open directory %s: %s", path, strerror(saved));
    }
    struct posix_disk *d = mu_new(sizeof *d);

    d->path = mu_strdup(path);
    d->dir = dir;
    d->lock = d->direct = d->direct_of = CONSENSUS_DISK_NONE;
    *out = (struct consensus_disk){ &posix_ops, d };
    return MU_OK;
}

void consensus__disk_close(struct consensus_disk *disk)
{
    struct posix_disk *d = disk->self;

    if (d == NULL) {
        return;
    }
    MU_ASSERT(disk->ops == &posix_ops);
    if (d->lock != CONSENSUS_DISK_NONE) {
        (void)close(d->lock);
    }
    direct_close(d);
    (void)close(d->dir);
    mu_free(d->room);
    mu_free(d->path);
    mu_free(d);
    *disk = (struct consensus_disk){ NULL, NULL };
}
