/* sim_posix.c - descriptors of simulated files.
 *
 * Only what the files under test call is there, with the flags that they use; a flag that nobody
 * has thought of is asserted.
 */
#include "sim_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "catalog/catalog.h"
#include "catalog/query.h"
#include "fiber.h"
#include "sim_vfs.h"

#define FIRST_FD  (1 << 24) /* higher than any that the system gives */
#define FDS_MAX   64
#define NAP_MS_US 1000U

struct place { /* what a path names */
    size_t number;
    struct disk *disk;
    enum disk_dir dir;
    const char *name; /* "": the directory itself */
};

struct open_file {
    bool is_used, is_dir;
    struct place at; /* without the name */
    int file;
    uint64_t position; /* of read() and write() */
};

static struct {
    struct disk *disks[SIM_VFS_DISKS];
    struct open_file fds[FDS_MAX];
    void (*nap)(void *data, uint64_t us);
    void *nap_data;
} all;

void sim_posix_begin(void (*nap)(void *data, uint64_t us), void *data)
{
    all.nap = nap;
    all.nap_data = data;
}

void sim_posix_end(void)
{
    for (size_t i = 0; i < SIM_VFS_DISKS; i++) {
        MU_ASSERT(sim_posix_open_count(i) == 0);
        all.disks[i] = NULL;
    }
    all.nap = NULL;
}

void sim_posix_add(size_t number, struct disk *d)
{
    MU_ASSERT(number < SIM_VFS_DISKS);
    all.disks[number] = d;
}

size_t sim_posix_open_count(size_t number)
{
    size_t count = 0;

    for (size_t i = 0; i < FDS_MAX; i++) {
        count += all.fds[i].is_used && all.fds[i].at.number == number;
    }
    return count;
}

/* -- paths and descriptors ------------------------------------------------------------------------
 */

static bool begins(const char *text, const char *with, const char **rest)
{
    size_t bytes = strlen(with);

    if (strncmp(text, with, bytes) != 0 || (text[bytes] != '/' && text[bytes] != '\0')) {
        return false;
    }
    *rest = text[bytes] == '/' ? text + bytes + 1 : text + bytes;
    return true;
}

static bool place_of(const char *path, struct place *to)
{
    if (path == NULL || path[0] != '/' || path[1] < '0' || path[1] >= '0' + SIM_VFS_DISKS ||
        path[2] != '/' || all.disks[path[1] - '0'] == NULL) {
        return false;
    }
    to->number = (size_t)(path[1] - '0');
    to->disk = all.disks[to->number];
    to->dir = DISK_STATE;
    if (begins(path + 3, "state", &to->name)) {
        return true;
    }
    to->dir = DISK_LOG;
    return begins(path + 3, "consensus", &to->name);
}

static struct open_file *open_of(int fd)
{
    if (fd < FIRST_FD) {
        return NULL;
    }
    MU_ASSERT(fd < FIRST_FD + FDS_MAX && all.fds[fd - FIRST_FD].is_used);
    return &all.fds[fd - FIRST_FD];
}

static int answer(enum mu_code rc)
{
    if (rc == MU_OK) {
        return 0;
    }
    errno = rc == MU_FULL ? ENOSPC : rc == MU_NOT_FOUND ? ENOENT : EIO;
    return -1;
}

/* -- files ------------------------------------------------------------------------------------- */

static int fd_new(const struct place *at, bool is_dir, int file)
{
    int slot = 0;

    while (slot < FDS_MAX && all.fds[slot].is_used) {
        slot++;
    }
    MU_ASSERT(slot < FDS_MAX);
    all.fds[slot] =
        (struct open_file){ .is_used = true, .is_dir = is_dir, .at = *at, .file = file };
    return FIRST_FD + slot;
}

static int open_at(const struct place *at, int flags)
{
    const int known = O_RDWR | O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_DIRECTORY;
    int file = DISK_NONE;
    uint64_t bytes = 0;

    MU_ASSERT((flags & ~known) == 0 && ((flags & O_DIRECTORY) != 0) == (at->name[0] == '\0'));
    if ((flags & O_DIRECTORY) != 0) {
        return fd_new(at, true, DISK_NONE);
    }
    enum mu_code rc =
        disk_open(at->disk, at->dir, at->name, (flags & O_CREAT) != 0, &file, &bytes, NULL);

    if (rc == MU_OK && (flags & O_TRUNC) != 0 && bytes > 0) {
        rc = disk_resize(at->disk, file, 0, NULL);
        if (rc != MU_OK) {
            disk_close(at->disk, file);
        }
    }
    return rc == MU_OK ? fd_new(at, false, file) : answer(rc);
}

/* The linker's names for what stands behind each, and for what is called instead of it. */
#define WRAP(type, name, ...)        \
    type __real_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__)

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
    struct place at;
    va_list args;
    mode_t mode = 0;

    if ((flags & O_CREAT) != 0) {
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    return place_of(path, &at) ? open_at(&at, flags) : __real_open64(path, flags, mode);
}

WRAP(int, close, int fd)
{
    struct open_file *f = open_of(fd);

    if (f == NULL) {
        return __real_close(fd);
    }
    if (!f->is_dir) {
        disk_close(f->at.disk, f->file);
    }
    *f = (struct open_file){ .is_used = false };
    return 0;
}

static ssize_t read_at(const struct open_file *f, void *to, size_t bytes, uint64_t offset)
{
    size_t got = 0;
    enum mu_code rc = disk_read(f->at.disk, f->file, offset, to, bytes, &got, NULL);

    return rc == MU_OK ? (ssize_t)got : answer(rc);
}

static ssize_t write_at(const struct open_file *f, const void *from, size_t bytes, uint64_t offset)
{
    enum mu_code rc = disk_write(f->at.disk, f->file, offset, mu_span_of(from, bytes), NULL);

    return rc == MU_OK ? (ssize_t)bytes : answer(rc);
}

WRAP(ssize_t, read, int fd, void *to, size_t bytes)
{
    struct open_file *f = open_of(fd);

    if (f == NULL) {
        return __real_read(fd, to, bytes);
    }
    ssize_t n = read_at(f, to, bytes, f->position);

    f->position += n > 0 ? (uint64_t)n : 0;
    return n;
}

WRAP(ssize_t, write, int fd, const void *from, size_t bytes)
{
    struct open_file *f = open_of(fd);

    if (f == NULL) {
        return __real_write(fd, from, bytes);
    }
    ssize_t n = write_at(f, from, bytes, f->position);

    f->position += n > 0 ? (uint64_t)n : 0;
    return n;
}

WRAP(ssize_t, pread64, int fd, void *to, size_t bytes, off_t offset)
{
    struct open_file *f = open_of(fd);

    return f == NULL ? __real_pread64(fd, to, bytes, offset)
                     : read_at(f, to, bytes, (uint64_t)offset);
}

WRAP(ssize_t, pwrite64, int fd, const void *from, size_t bytes, off_t offset)
{
    struct open_file *f = open_of(fd);

    return f == NULL ? __real_pwrite64(fd, from, bytes, offset)
                     : write_at(f, from, bytes, (uint64_t)offset);
}

WRAP(int, fsync, int fd)
{
    struct open_file *f = open_of(fd);

    if (f == NULL) {
        return __real_fsync(fd);
    }
    return answer(f->is_dir ? disk_sync_dir(f->at.disk, f->at.dir, NULL)
                            : disk_sync(f->at.disk, f->file, NULL));
}

WRAP(int, fdatasync, int fd)
{
    struct open_file *f = open_of(fd);

    return f == NULL ? __real_fdatasync(fd) : answer(disk_sync(f->at.disk, f->file, NULL));
}

WRAP(int, ftruncate64, int fd, off_t bytes)
{
    struct open_file *f = open_of(fd);

    return f == NULL ? __real_ftruncate64(fd, bytes)
                     : answer(disk_resize(f->at.disk, f->file, (uint64_t)bytes, NULL));
}

WRAP(int, fstat64, int fd, struct stat *st)
{
    struct open_file *f = open_of(fd);

    if (f == NULL) {
        return __real_fstat64(fd, st);
    }
    memset(st, 0, sizeof *st);
    st->st_mode = S_IFREG | 0600;
    st->st_size = (off_t)disk_bytes(f->at.disk, f->file);
    return 0;
}

WRAP(int, fchmod, int fd, mode_t mode)
{
    return open_of(fd) == NULL ? __real_fchmod(fd, mode) : 0;
}

/* -- names ---------------------------------------------------------------------------------------
 */

WRAP(int, access, const char *path, int mode)
{
    struct place at;

    if (!place_of(path, &at)) {
        return __real_access(path, mode);
    }
    return answer(disk_has(at.disk, at.dir, at.name) ? MU_OK : MU_NOT_FOUND);
}

WRAP(int, unlink, const char *path)
{
    struct place at;

    return place_of(path, &at) ? answer(disk_remove(at.disk, at.dir, at.name, NULL))
                               : __real_unlink(path);
}

WRAP(int, rename, const char *from, const char *to)
{
    struct place at;
    struct place then;

    if (!place_of(from, &at)) {
        return __real_rename(from, to);
    }
    MU_ASSERT(place_of(to, &then) && then.disk == at.disk && then.dir == at.dir);
    return answer(disk_rename(at.disk, at.dir, at.name, then.name, NULL));
}

WRAP(enum mu_code, mu_dir_each, const char *path, mu_dir_fn *each, void *data, struct mu_err *err)
{
    struct place at;

    return place_of(path, &at) ? disk_list(at.disk, at.dir, each, data, err)
                               : __real_mu_dir_each(path, each, data, err);
}

/* -- states --------------------------------------------------------------------------------------
 */

WRAP(enum mu_code, catalog_open, struct catalog **out, const struct catalog_options *options,
     struct mu_err *err)
{
    struct catalog_options here = *options;
    struct place at;

    if (here.files == NULL && place_of(here.path, &at)) {
        here.files = sim_vfs_files();
    }
    return __real_catalog_open(out, &here, err);
}

WRAP(enum mu_code, catalog_reader_open, struct catalog_reader **out, const char *path,
     struct catalog *in_memory, struct mu_err *err)
{
    struct place at;

    return place_of(path, &at) ? catalog_reader_open_in(out, path, sim_vfs_files(), err)
                               : __real_catalog_reader_open(out, path, in_memory, err);
}

/* -- who waits for a lock
 * --------------------------------------------------------------------------
 */

WRAP(int, nanosleep, const struct timespec *nap, struct timespec *left)
{
    if (all.nap == NULL || fiber_self() == NULL) {
        return __real_nanosleep(nap, left);
    }
    all.nap(all.nap_data,
            (uint64_t)nap->tv_sec * 1000 * NAP_MS_US + (uint64_t)nap->tv_nsec / 1000 + 1);
    return 0;
}

WRAP(int, sched_yield, void)
{
    if (all.nap == NULL || fiber_self() == NULL) {
        return __real_sched_yield();
    }
    all.nap(all.nap_data, 1);
    return 0;
}
