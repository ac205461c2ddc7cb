#include "vfs.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/assert.h"
#include "base/crc.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wire.h"
#include "catalog/query.h"

#define VFS_MAX      4
#define HEAD_BYTES   100 /* of a database file */
#define RESERVED_AT  20  /* in it: how many bytes of each page are not SQLite's */
#define SUMMED_BYTES (VFS_PAGE_BYTES - VFS_RESERVED_BYTES)

struct summed_file {
    sqlite3_file base; /* first: SQLite's view of it */
    bool is_database;
    bool is_summed; /* its pages have checksums: made by us */
    const char *path;
    const struct vfs_pace *pace; /* NULL: none */
    sqlite3_file *below;         /* behind this struct */
};

static struct summed_file *file_of(sqlite3_file *f)
{
    return (struct summed_file *)f;
}

static sqlite3_file *below(sqlite3_file *f)
{
    return file_of(f)->below;
}

/* -- checksums --------------------------------------------------------------------------------- */

static void sum_write(const uint8_t *page, uint32_t number, uint8_t out[VFS_RESERVED_BYTES])
{
    struct mu_wr w = mu_wr_of(out, VFS_RESERVED_BYTES);

    mu_wr_u32le(&w, mu_crc32c(number, page, SUMMED_BYTES));
    mu_wr_u32le(&w, number);
}

/* Pages that were only ever free are holes: no content of theirs is used. */
static bool is_blank(const uint8_t *page)
{
    for (size_t i = 0; i < VFS_PAGE_BYTES; i++) {
        if (page[i] != 0) {
            return false;
        }
    }
    return true;
}

static bool is_intact(const uint8_t *page, uint32_t number)
{
    uint8_t sum[VFS_RESERVED_BYTES];

    sum_write(page, number, sum);
    return memcmp(sum, page + SUMMED_BYTES, sizeof sum) == 0 || is_blank(page);
}

static bool is_page(const struct summed_file *f, int bytes, sqlite3_int64 offset)
{
    return f->is_database && bytes == VFS_PAGE_BYTES && offset % VFS_PAGE_BYTES == 0;
}

static uint32_t number_of(sqlite3_int64 offset)
{
    return (uint32_t)(offset / VFS_PAGE_BYTES) + 1;
}

/* -- what is in memory ------------------------------------------------------------------------- */

static _Thread_local struct {
    bool is_on, has_missed;
    bool is_refused; /* the read that is under way */
    struct catalog_miss first;
} prompt;

/* In place of SQLite's pread. Partly there is as good as not at all: it asks again for the rest. */
static ssize_t read_what_is_there(int fd, void *to, size_t bytes, off_t offset)
{
    struct iovec all = { to, bytes };

    if (!prompt.is_on) {
        return pread(fd, to, bytes, offset);
    }
    ssize_t got = preadv2(fd, &all, 1, offset, RWF_NOWAIT);

    if (got >= 0 || (errno != EAGAIN && errno != EOPNOTSUPP)) {
        return got;
    }
    prompt.is_refused = errno == EAGAIN;
    return prompt.is_refused ? -1 : pread(fd, to, bytes, offset);
}

/* Only one of the two names is in use, as SQLite was compiled. */
static void reading_replace(sqlite3_vfs *below)
{
    static const char *const names[] = { "pread", "pread64" };

    for (size_t i = 0; below->iVersion >= 3 && below->xGetSystemCall != NULL && i < MU_LEN(names);
         i++) {
        if (below->xGetSystemCall(below, names[i]) != NULL) {
            (void)below->xSetSystemCall(below, names[i], (sqlite3_syscall_ptr)read_what_is_there);
        }
    }
}

void catalog_prompt_begin(void)
{
    MU_ASSERT(!prompt.is_on);
    prompt.is_on = true;
    prompt.has_missed = false;
}

bool catalog_prompt_has_missed(void)
{
    return prompt.is_on && prompt.has_missed;
}

bool catalog_prompt_end(struct catalog_miss *miss)
{
    MU_ASSERT(prompt.is_on);
    prompt.is_on = false;
    *miss = prompt.first;
    return prompt.has_missed;
}

static int missed(const struct summed_file *f, sqlite3_int64 offset)
{
    prompt.is_refused = false;
    if (!prompt.has_missed) {
        prompt.has_missed = true;
        prompt.first = (struct catalog_miss){ !f->is_database, (uint64_t)offset };
    }
    return SQLITE_INTERRUPT;
}

/* -- files ------------------------------------------------------------------------------------- */

static int on_read(sqlite3_file *file, void *to, int bytes, sqlite3_int64 offset)
{
    struct summed_file *f = file_of(file);
    int rc = f->below->pMethods->xRead(f->below, to, bytes, offset);

    if (prompt.is_refused) {
        return missed(f, offset);
    }
    if (f->pace != NULL && !f->pace->after(f->pace->data, (size_t)bytes)) {
        return SQLITE_INTERRUPT;
    }
    if (rc != SQLITE_OK || !f->is_summed || !is_page(f, bytes, offset) ||
        is_intact(to, number_of(offset))) {
        return rc;
    }
    mu_log(MU_ERROR, "agent.server", "A page of the state fails its checksum",
           mu_kv("file", f->path), mu_kv_u("offset", (uint64_t)offset));
    return SQLITE_IOERR_DATA;
}

static _Thread_local int last_errno;

static int settled(const char *path, int error_number)
{
    const char *end = path != NULL ? strrchr(path, '/') : NULL;

    if (error_number != EIO || end == NULL) {
        return error_number;
    }
    char *dir = mu_strndup(path, (size_t)(end - path));

    error_number = mu_file_settled(dir, error_number);
    mu_free(dir);
    return error_number;
}

/* What the VFS below knows of a call that failed. */
static int noted(const struct summed_file *f, int rc)
{
    if (rc != SQLITE_OK) {
        last_errno = 0;
        (void)f->below->pMethods->xFileControl(f->below, SQLITE_FCNTL_LAST_ERRNO, &last_errno);
        last_errno = settled(f->path, last_errno);
    }
    return rc;
}

int catalog__vfs_errno(void)
{
    return last_errno;
}

static int on_write(sqlite3_file *file, const void *from, int bytes, sqlite3_int64 offset)
{
    struct summed_file *f = file_of(file);
    const uint8_t *given = from;
    uint8_t page[VFS_PAGE_BYTES];

    if (is_page(f, bytes, offset) && offset == 0) {
        f->is_summed = given[RESERVED_AT] == VFS_RESERVED_BYTES;
    }
    if (!f->is_summed || !is_page(f, bytes, offset)) {
        return noted(f, f->below->pMethods->xWrite(f->below, from, bytes, offset));
    }
    memcpy(page, given, SUMMED_BYTES);
    sum_write(page, number_of(offset), page + SUMMED_BYTES);
    return noted(f, f->below->pMethods->xWrite(f->below, page, bytes, offset));
}

static int on_close(sqlite3_file *f)
{
    return below(f)->pMethods->xClose(below(f));
}

static int on_truncate(sqlite3_file *f, sqlite3_int64 bytes)
{
    return noted(file_of(f), below(f)->pMethods->xTruncate(below(f), bytes));
}

static int on_sync(sqlite3_file *f, int flags)
{
    return noted(file_of(f), below(f)->pMethods->xSync(below(f), flags));
}

static int on_size(sqlite3_file *f, sqlite3_int64 *bytes)
{
    return below(f)->pMethods->xFileSize(below(f), bytes);
}

static int on_lock(sqlite3_file *f, int lock)
{
    return below(f)->pMethods->xLock(below(f), lock);
}

static int on_unlock(sqlite3_file *f, int lock)
{
    return below(f)->pMethods->xUnlock(below(f), lock);
}

static int on_check_lock(sqlite3_file *f, int *is_reserved)
{
    return below(f)->pMethods->xCheckReservedLock(below(f), is_reserved);
}

/* A request of ours among those that SQLite leaves to a VFS. */
#define CONTROL_PACE 0x6d7501

static int on_control(sqlite3_file *f, int op, void *arg)
{
    if (op == CONTROL_PACE) {
        file_of(f)->pace = arg;
        return SQLITE_OK;
    }
    return below(f)->pMethods->xFileControl(below(f), op, arg);
}

static int on_sector_size(sqlite3_file *f)
{
    return below(f)->pMethods->xSectorSize(below(f));
}

static int on_characteristics(sqlite3_file *f)
{
    return below(f)->pMethods->xDeviceCharacteristics(below(f));
}

static int on_shm_map(sqlite3_file *f, int page, int bytes, int extends, void volatile **out)
{
    return below(f)->pMethods->xShmMap(below(f), page, bytes, extends, out);
}

static int on_shm_lock(sqlite3_file *f, int offset, int count, int flags)
{
    return below(f)->pMethods->xShmLock(below(f), offset, count, flags);
}

static void on_shm_barrier(sqlite3_file *f)
{
    below(f)->pMethods->xShmBarrier(below(f));
}

static int on_shm_unmap(sqlite3_file *f, int removes)
{
    return below(f)->pMethods->xShmUnmap(below(f), removes);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2, /* no memory mapping: a bad disk would be SIGBUS */
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_size,
    .xLock = on_lock,
    .xUnlock = on_unlock,
    .xCheckReservedLock = on_check_lock,
    .xFileControl = on_control,
    .xSectorSize = on_sector_size,
    .xDeviceCharacteristics = on_characteristics,
    .xShmMap = on_shm_map,
    .xShmLock = on_shm_lock,
    .xShmBarrier = on_shm_barrier,
    .xShmUnmap = on_shm_unmap,
};

/* -- the VFS ----------------------------------------------------------------------------------- */

static sqlite3_vfs *vfs_below(sqlite3_vfs *v)
{
    return v->pAppData;
}

/* Does the file say that its pages have checksums? An empty one says so with its first page. */
static bool says_summed(struct summed_file *f)
{
    uint8_t head[HEAD_BYTES];

    return f->below->pMethods->xRead(f->below, head, sizeof head, 0) == SQLITE_OK &&
           head[RESERVED_AT] == VFS_RESERVED_BYTES;
}

static int on_open(sqlite3_vfs *v, const char *path, sqlite3_file *file, int flags, int *flags_out)
{
    struct summed_file *f = file_of(file);

    *f = (struct summed_file){ .path = path, .below = (sqlite3_file *)&f[1] };
    int rc = vfs_below(v)->xOpen(vfs_below(v), path, f->below, flags, flags_out);

    f->base.pMethods = f->below->pMethods != NULL ? &methods : NULL;
    if (rc == SQLITE_OK) {
        f->is_database = (flags & SQLITE_OPEN_MAIN_DB) != 0;
        f->is_summed = f->is_database && says_summed(f);
    }
    return rc;
}

static int on_delete(sqlite3_vfs *v, const char *path, int syncs_dir)
{
    return vfs_below(v)->xDelete(vfs_below(v), path, syncs_dir);
}

static int on_access(sqlite3_vfs *v, const char *path, int flags, int *out)
{
    return vfs_below(v)->xAccess(vfs_below(v), path, flags, out);
}

static int on_full_path(sqlite3_vfs *v, const char *path, int bytes, char *out)
{
    return vfs_below(v)->xFullPathname(vfs_below(v), path, bytes, out);
}

static int on_randomness(sqlite3_vfs *v, int bytes, char *out)
{
    return vfs_below(v)->xRandomness(vfs_below(v), bytes, out);
}

static int on_sleep(sqlite3_vfs *v, int us)
{
    return vfs_below(v)->xSleep(vfs_below(v), us);
}

static int on_time(sqlite3_vfs *v, double *out)
{
    return vfs_below(v)->xCurrentTime(vfs_below(v), out);
}

static int on_last_error(sqlite3_vfs *v, int bytes, char *out)
{
    return vfs_below(v)->xGetLastError(vfs_below(v), bytes, out);
}

static struct {
    pthread_mutex_t lock;
    struct {
        sqlite3_vfs vfs;
        char name[32];
    } made[VFS_MAX];
    size_t count;
} all = { .lock = PTHREAD_MUTEX_INITIALIZER };

static const char *make(const char *name, sqlite3_vfs *under)
{
    sqlite3_vfs *v = &all.made[all.count].vfs;
    char *own = all.made[all.count].name;

    MU_ASSERT(all.count < VFS_MAX && under != NULL);
    (void)snprintf(own, sizeof all.made[0].name, "%s", name);
    *v = (sqlite3_vfs){
        .iVersion = 1,
        .szOsFile = (int)sizeof(struct summed_file) + under->szOsFile,
        .mxPathname = under->mxPathname,
        .zName = own,
        .pAppData = under,
        .xOpen = on_open,
        .xDelete = on_delete,
        .xAccess = on_access,
        .xFullPathname = on_full_path,
        .xRandomness = on_randomness,
        .xSleep = on_sleep,
        .xCurrentTime = on_time,
        .xGetLastError = on_last_error,
    };
    int rc = sqlite3_vfs_register(v, 0);

    MU_ASSERT(rc == SQLITE_OK);
    reading_replace(under);
    all.count++;
    return own;
}

const char *catalog__vfs_above(const char *name_below)
{
    char name[32];
    const char *found = NULL;

    (void)snprintf(name, sizeof name, "muster-%s", name_below);
    (void)pthread_mutex_lock(&all.lock);
    for (size_t i = 0; i < all.count; i++) {
        if (strcmp(all.made[i].name, name) == 0 &&
            all.made[i].vfs.pAppData == sqlite3_vfs_find(name_below)) {
            found = all.made[i].name;
        }
    }
    if (found == NULL) {
        found = make(name, sqlite3_vfs_find(name_below));
    }
    (void)pthread_mutex_unlock(&all.lock);
    return found;
}

void catalog__vfs_pace(sqlite3 *db, const struct vfs_pace *pace)
{
    int rc = sqlite3_file_control(db, "main", CONTROL_PACE, (void *)(uintptr_t)pace);

    MU_ASSERT(rc == SQLITE_OK);
}

/* -- bringing in what was missed --------------------------------------------------------------- */

#define FETCH_BYTES (64U * 1024)

/* By SQLite's own way to the file: it knows which descriptors may be closed without losing locks of
 * this process. */
void catalog_fetch(const char *path, const struct catalog_miss *miss, size_t bytes)
{
    sqlite3_vfs *v = sqlite3_vfs_find("unix-excl");
    int flags = SQLITE_OPEN_READWRITE | (miss->in_wal ? SQLITE_OPEN_WAL : SQLITE_OPEN_MAIN_DB);
    size_t room = strlen(path) + sizeof "-wal";
    char *name = mu_new(room + 1); /* one zero more, as it wants them */
    sqlite3_file *f = mu_new((size_t)v->szOsFile);
    uint8_t *to = mu_new(FETCH_BYTES);

    (void)snprintf(name, room, "%s%s", path, miss->in_wal ? "-wal" : "");
    int rc = v->xOpen(v, name, f, flags, NULL);

    for (uint64_t at = miss->offset, end = at + bytes; rc == SQLITE_OK && at < end;) {
        int part = end - at < FETCH_BYTES ? (int)(end - at) : (int)FETCH_BYTES;

        rc = f->pMethods->xRead(f, to, part, (sqlite3_int64)at); /* less is there: it ends */
        at += (uint64_t)part;
    }
    if (f->pMethods != NULL) {
        (void)f->pMethods->xClose(f);
    }
    mu_free(to);
    mu_free(f);
    mu_free(name);
}
