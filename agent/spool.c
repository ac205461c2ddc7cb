#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/file.h"

#define LOOK_BYTES (4U * 1024 * 1024) /* between two looks at the room that is left */
_Static_assert(LOOK_BYTES < SPOOL_RESERVE_BYTES, "a look comes before the reserve is used up");

static enum mu_code io_fail(struct mu_err *err, const char *what)
{
    return mu_fail(err, mu_file_code(errno), "%s: %s", what, strerror(errno));
}

enum mu_code spool_open(struct spool *s, const char *path, struct mu_err *err)
{
    *s = SPOOL_NONE;
    s->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (s->fd < 0 || unlink(path) != 0) {
        enum mu_code rc = io_fail(err, path);

        spool_close(s);
        return rc;
    }
    return MU_OK;
}

static enum mu_code look(struct spool *s, struct mu_err *err)
{
    struct statvfs fs;

    if (fstatvfs(s->fd, &fs) != 0) {
        return io_fail(err, "the room on the disk cannot be seen");
    }
    uint64_t left = (uint64_t)fs.f_bavail * fs.f_frsize;

    if (left < SPOOL_RESERVE_BYTES) {
        return mu_fail(err, MU_FULL,
                       "no room for a snapshot in the data directory: %llu bytes are free, and the "
                       "last %u are kept for the cluster",
                       (unsigned long long)left, SPOOL_RESERVE_BYTES);
    }
    s->looked_at = s->bytes;
    return MU_OK;
}

enum mu_code spool_add(struct spool *s, struct mu_span bytes, struct mu_err *err)
{
    MU_ASSERT(s->fd >= 0);
    while (bytes.bytes > 0) {
        bool is_due = s->bytes == 0 || s->bytes - s->looked_at >= LOOK_BYTES;
        enum mu_code rc = is_due ? look(s, err) : MU_OK;

        if (rc != MU_OK) {
            return rc;
        }
        ssize_t n = pwrite(s->fd, bytes.data, bytes.bytes, (off_t)s->bytes);

        if (n < 0 && errno != EINTR) {
            return io_fail(err, "a snapshot cannot be written");
        }
        size_t done = n > 0 ? (size_t)n : 0;

        s->bytes += done;
        bytes = mu_span_sub(bytes, done, bytes.bytes - done);
    }
    return MU_OK;
}

enum mu_code spool_read(const struct spool *s, uint64_t at, void *to, size_t room, size_t *got,
                        struct mu_err *err)
{
    MU_ASSERT(s->fd >= 0);
    *got = 0;
    while (*got < room) {
        ssize_t n = pread(s->fd, (char *)to + *got, room - *got, (off_t)(at + *got));

        if (n < 0 && errno != EINTR) {
            return io_fail(err, "a snapshot cannot be read");
        }
        if (n == 0) {
            break;
        }
        *got += n > 0 ? (size_t)n : 0;
    }
    return MU_OK;
}

void spool_close(struct spool *s)
{
    if (s->fd >= 0) {
        (void)close(s->fd);
    }
    *s = SPOOL_NONE;
}

enum mu_code spool_sink(void *data, struct mu_span bytes, struct mu_err *err)
{
    return spool_add(data, bytes, err);
}

enum mu_code spool_source(void *data, void *to, size_t room, size_t *got, struct mu_err *err)
{
    struct spool_cursor *c = data;
    enum mu_code rc = spool_read(c->spool, c->at, to, room, got, err);

    c->at += *got;
    return rc;
}
