#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"

#define SETTLE_LOOKS    20
#define SETTLE_PAUSE_NS 10000000

enum mu_code mu_file_code(int error_number)
{
    switch (error_number) {
    case ENOSPC:
    case EDQUOT: return MU_FULL;
    case EROFS: return MU_READ_ONLY;
    case ENOENT: return MU_NOT_FOUND;
    default: return MU_IO;
    }
}

/* Linux since 6.12 says so nowhere but in the answer to who wants to write. */
static bool refuses_files(const char *dir)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    int error_number = errno;

    if (fd >= 0) {
        (void)close(fd);
        return false;
    }
    return error_number == EROFS;
}

int mu_file_settled(const char *dir, int error_number)
{
    const struct timespec pause = { .tv_nsec = SETTLE_PAUSE_NS };
    struct statvfs st;

    for (unsigned i = 0; error_number == EIO && i < SETTLE_LOOKS && statvfs(dir, &st) == 0; i++) {
        if ((st.f_flag & ST_RDONLY) != 0 || refuses_files(dir)) {
            return EROFS;
        }
        (void)nanosleep(&pause, NULL); /* nothing tells of it */
    }
    return error_number;
}

static enum mu_code fail_errno(struct mu_err *err, const char *what, const char *path)
{
    int saved = errno;

    return mu_fail(err, mu_file_code(saved), "%s %s: %s", what, path, strerror(saved));
}

enum mu_code mu_file_read(const char *path, size_t bytes_max, struct mu_buf *to, struct mu_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t start = to->bytes;
    enum mu_code rc = MU_OK;

    if (fd < 0) {
        return fail_errno(err, "open", path);
    }
    for (;;) {
        uint8_t *at = mu_buf_reserve(to, 4096);
        ssize_t got = read(fd, at, 4096);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            rc = fail_errno(err, "read", path);
            break;
        }
        if (got == 0) {
            break;
        }
        to->bytes += (size_t)got;
        if (to->bytes - start > bytes_max) {
            rc = mu_fail(err, MU_TOO_BIG, "%s is larger than %zu bytes", path, bytes_max);
            break;
        }
    }
    (void)close(fd);
    return rc;
}

/* The directory part of a path, allocated: "." when there is none. */
static char *dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL) {
        return mu_strdup(".");
    }
    return mu_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

enum mu_code mu_dir_sync(const char *path, struct mu_err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        return fail_errno(err, "open directory", path);
    }
    enum mu_code rc = fsync(fd) == 0 ? MU_OK : fail_errno(err, "sync directory", path);

    (void)close(fd);
    return rc;
}

static enum mu_code sync_parent(const char *path, struct mu_err *err)
{
    char *dir = dir_of(path);
    enum mu_code rc = mu_dir_sync(dir, err);

    mu_free(dir);
    return rc;
}

static enum mu_code write_all(int fd, struct mu_span bytes, const char *path, struct mu_err *err)
{
    while (bytes.bytes > 0) {
        ssize_t put = write(fd, bytes.data, bytes.bytes);

        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return fail_errno(err, "write", path);
        }
        bytes.data += put;
        bytes.bytes -= (size_t)put;
    }
    return MU_OK;
}

/* Write `bytes` to a new file beside `path`. */
static enum mu_code write_beside(const char *temporary, struct mu_span bytes, unsigned mode,
                                 bool is_durable, struct mu_err *err)
{
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, (mode_t)mode);

    if (fd < 0) {
        return fail_errno(err, "create", temporary);
    }
    enum mu_code rc = fchmod(fd, (mode_t)mode) == 0 ? MU_OK : fail_errno(err, "chmod", temporary);

    if (rc == MU_OK) {
        rc = write_all(fd, bytes, temporary, err);
    }
    if (rc == MU_OK && is_durable && fsync(fd) != 0) {
        rc = fail_errno(err, "sync", temporary);
    }
    if (close(fd) != 0 && rc == MU_OK) {
        rc = fail_errno(err, "close", temporary);
    }
    return rc;
}

static enum mu_code replace(const char *path, struct mu_span bytes, unsigned mode, bool is_durable,
                            struct mu_err *err)
{
    struct mu_buf name = MU_BUF_NONE;

    mu_buf_addf(&name, "%s.tmp", path);
    const char *temporary = mu_buf_text(&name);
    enum mu_code rc = write_beside(temporary, bytes, mode, is_durable, err);

    if (rc == MU_OK && rename(temporary, path) != 0) {
        rc = fail_errno(err, "rename to", path);
    }
    if (rc != MU_OK) {
        (void)unlink(temporary);
    } else if (is_durable) {
        rc = sync_parent(path, err);
    }
    mu_buf_deinit(&name);
    return rc;
}

enum mu_code mu_file_replace(const char *path, struct mu_span bytes, unsigned mode,
                             struct mu_err *err)
{
    return replace(path, bytes, mode, true, err);
}

enum mu_code mu_file_swap(const char *path, struct mu_span bytes, unsigned mode, struct mu_err *err)
{
    return replace(path, bytes, mode, false, err);
}

/* Append what the symbolic link leads to. */
static enum mu_code add_linked(const char *link, struct mu_buf *to, struct mu_err *err)
{
    char target[PATH_MAX];

    if (realpath(link, target) == NULL) {
        return mu_fail(err, mu_file_code(errno), "%s: a symbolic link that leads to no file: %s",
                       link, strerror(errno));
    }
    mu_buf_add_text(to, target);
    return MU_OK;
}

enum mu_code mu_file_target(const char *path, struct mu_buf *to, struct mu_err *err)
{
    struct stat at;

    if (path[0] == '\0') {
        return mu_fail(err, MU_INVALID, "the name of the file is empty");
    }
    if (stat(path, &at) == 0 && !S_ISREG(at.st_mode)) {
        return mu_fail(err, MU_INVALID, "%s: %s", path,
                       S_ISDIR(at.st_mode) ? strerror(EISDIR) : "not a regular file");
    }
    if (lstat(path, &at) == 0 && S_ISLNK(at.st_mode)) {
        return add_linked(path, to, err);
    }
    mu_buf_add_text(to, path); /* creating one may fail yet */
    return MU_OK;
}

enum mu_code mu_file_remove(const char *path, struct mu_err *err)
{
    if (unlink(path) != 0) {
        return errno == ENOENT ? MU_OK : fail_errno(err, "remove", path);
    }
    return sync_parent(path, err);
}

enum mu_code mu_dir_make(const char *path, struct mu_err *err)
{
    char *copy = mu_strdup(path);
    enum mu_code rc = MU_OK;
    struct stat st;

    for (char *at = copy + 1; rc == MU_OK && *at != '\0'; at++) {
        if (*at != '/') {
            continue;
        }
        *at = '\0';
        if (mkdir(copy, 0755) != 0 && errno != EEXIST) {
            rc = fail_errno(err, "create directory", copy);
        }
        *at = '/';
    }
    if (rc == MU_OK && mkdir(copy, 0755) != 0 && errno != EEXIST) {
        rc = fail_errno(err, "create directory", copy);
    }
    if (rc == MU_OK && (stat(copy, &st) != 0 || !S_ISDIR(st.st_mode))) {
        rc = mu_fail(err, MU_INVALID, "\"%s\" is not a directory", path);
    }
    mu_free(copy);
    return rc;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum mu_code mu_dir_each(const char *path, mu_dir_fn *each, void *data, struct mu_err *err)
{
    DIR *dir = opendir(path);
    char **names = NULL;
    size_t count = 0;
    enum mu_code rc = MU_OK;
    const struct dirent *entry;

    if (dir == NULL) {
        return fail_errno(err, "open directory", path);
    }
    while ((entry = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own stream */
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        names = mu_grow(names, (count + 1) * sizeof *names);
        names[count++] = mu_strdup(entry->d_name);
    }
    (void)closedir(dir);
    if (count > 0) {
        qsort(names, count, sizeof *names, by_text);
    }
    for (size_t i = 0; i < count; i++) {
        if (rc == MU_OK) {
            rc = each(data, names[i], err);
        }
        mu_free(names[i]);
    }
    mu_free(names);
    return rc;
}

static enum mu_code remove_one(void *data, const char *name, struct mu_err *err)
{
    const char *dir = data;
    struct mu_buf path = MU_BUF_NONE;
    enum mu_code rc = MU_OK;
    struct stat st;

    mu_buf_addf(&path, "%s/%s", dir, name);
    const char *full = mu_buf_text(&path);

    if (lstat(full, &st) != 0) {
        rc = fail_errno(err, "stat", full);
    } else if (S_ISDIR(st.st_mode)) {
        rc = mu_dir_remove(full, err);
    } else if (unlink(full) != 0) {
        rc = fail_errno(err, "remove", full);
    }
    mu_buf_deinit(&path);
    return rc;
}

enum mu_code mu_dir_remove(const char *path, struct mu_err *err)
{
    enum mu_code rc = mu_dir_each(path, remove_one, (void *)(uintptr_t)path, err);

    if (rc == MU_OK && rmdir(path) != 0) {
        rc = fail_errno(err, "remove directory", path);
    }
    return rc;
}

enum mu_code mu_file_lock(const char *path, int *fd, struct mu_err *err)
{
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (lock < 0) {
        return fail_errno(err, "open", path);
    }
    if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        int saved = errno;

        (void)close(lock);
        if (saved == EWOULDBLOCK) {
            return mu_fail(err, MU_FOREIGN, "%s is locked by another process", path);
        }
        errno = saved;
        return fail_errno(err, "lock", path);
    }
    *fd = lock;
    return MU_OK;
}

enum mu_code mu_file_space(const char *path, struct mu_space *out, struct mu_err *err)
{
    struct statvfs st;

    if (statvfs(path, &st) != 0) {
        return fail_errno(err, "ask for the free space of", path);
    }
    *out = (struct mu_space){
        .free_bytes = (uint64_t)st.f_bavail * st.f_frsize,
        .total_bytes = (uint64_t)st.f_blocks * st.f_frsize,
    };
    return MU_OK;
}
