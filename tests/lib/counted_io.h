/* counted_io.h - what a program asks of its disk, counted, and no flush carried out: a day's worth
 * of them would be waited for otherwise. Header-only; the program is linked with --wrap for each
 * name (COUNTED in tests/CMakeLists.txt), and includes cmocka.h first.
 */
#ifndef TESTS_COUNTED_IO_H
#define TESTS_COUNTED_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct counted_io {
    uint64_t writes, bytes, flushes;
};

static struct counted_io counted_io;

/* What was asked for since `before`. */
static inline struct counted_io counted_since(const struct counted_io *before)
{
    return (struct counted_io){ counted_io.writes - before->writes,
                                counted_io.bytes - before->bytes,
                                counted_io.flushes - before->flushes };
}

/* No more than a tenth above: waves of an hour and checkpoints do not begin together. `slack`: what
 * comes whole, in one hour and not in another. */
static inline void must_be_flat(size_t hour, const char *what, uint64_t is, uint64_t was,
                                uint64_t slack)
{
    if (is > was + was / 10 + slack) {
        fail_msg("hour %zu: %s: %llu, in the second hour %llu", hour, what, (unsigned long long)is,
                 (unsigned long long)was);
    }
}

ssize_t __real_pwrite64(int fd, const void *from, size_t bytes, off64_t at);
ssize_t __wrap_pwrite64(int fd, const void *from, size_t bytes, off64_t at);
ssize_t __wrap_pwrite64(int fd, const void *from, size_t bytes, off64_t at)
{
    counted_io.writes++;
    counted_io.bytes += bytes;
    return __real_pwrite64(fd, from, bytes, at);
}

/* One that flushes, too: nobody asks for it without RWF_DSYNC. */
ssize_t __real_pwritev64v2(int fd, const struct iovec *parts, int count, off64_t at, int flags);
ssize_t __wrap_pwritev64v2(int fd, const struct iovec *parts, int count, off64_t at, int flags);
ssize_t __wrap_pwritev64v2(int fd, const struct iovec *parts, int count, off64_t at, int flags)
{
    (void)flags;
    counted_io.writes++;
    counted_io.flushes++;
    for (int i = 0; i < count; i++) {
        counted_io.bytes += parts[i].iov_len;
    }
    return __real_pwritev64v2(fd, parts, count, at, 0);
}

int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
    (void)fd;
    counted_io.flushes++;
    return 0;
}

int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    (void)fd;
    counted_io.flushes++;
    return 0;
}

#endif
