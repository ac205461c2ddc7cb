/* sim_vfs.c - files, locks and the shared memory of WAL mode, for SQLite.
 *
 * Locks are those of one process: what SQLite asks of them is exact, but nobody else competes.
 */
#include "sim_vfs.h"

#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/rand.h"
#include "catalog/catalog.h"

#define PATH_BYTES     64
#define FILES_MAX      4 /* databases of one disk */
#define REGIONS_MAX    16
#define SHM_CHECKPOINT 1 /* SQLite's number of that lock */

/* What connections of one process share of a database. */
struct shared {
    char name[PATH_BYTES]; /* "": free */
    unsigned opens;
    unsigned readers;      /* hold SHARED or more */
    const void *reserved;  /* who holds RESERVED or more */
    const void *exclusive; /* who holds PENDING or EXCLUSIVE */
    void *regions[REGIONS_MAX];
    unsigned maps;
    unsigned shm_shared[SIM_VFS_LOCKS];
    const void *shm_exclusive[SIM_VFS_LOCKS];
    const void *checkpointer; /* the one connection that ever writes pages back */
};

struct vfs_file {
    sqlite3_file base;
    struct disk *disk;
    struct shared *shared; /* of a database; else NULL */
    int file;
    int lock;
    bool is_new, is_wal, has_map;
    bool holds[SIM_VFS_LOCKS]; /* shared locks of the shared memory */
};

static struct {
    struct disk *disks[SIM_VFS_DISKS];
    struct shared shared[SIM_VFS_DISKS][FILES_MAX];
    struct mu_rand rand;
} all;

static struct vfs_file *file_of(sqlite3_file *f)
{
    return (struct vfs_file *)(void *)f;
}

static int code_of(enum mu_code rc, int io)
{
    return rc == MU_OK ? SQLITE_OK : rc == MU_FULL ? SQLITE_FULL : io;
}

/* -- bytes --------------------------------------------------------------------------------------
 */

static int on_close(sqlite3_file *file)
{
    struct vfs_file *f = file_of(file);

    if (f->shared != NULL && f->shared->checkpointer == f) {
        f->shared->checkpointer = NULL;
    }
    if (f->shared != NULL && --f->shared->opens == 0) {
        MU_ASSERT(f->shared->maps == 0 && f->shared->readers == 0);
        memset(f->shared, 0, sizeof *f->shared);
    }
    disk_close(f->disk, f->file);
    return SQLITE_OK;
}

static int on_read(sqlite3_file *file, void *to, int bytes, sqlite3_int64 offset)
{
    struct vfs_file *f = file_of(file);
    size_t got = 0;
    enum mu_code rc = disk_read(f->disk, f->file, (uint64_t)offset, to, (size_t)bytes, &got, NULL);

    if (rc == MU_OK && got < (size_t)bytes) {
        memset((uint8_t *)to + got, 0, (size_t)bytes - got);
        return SQLITE_IOERR_SHORT_READ;
    }
    return code_of(rc, SQLITE_IOERR_READ);
}

static int on_write(sqlite3_file *file, const void *from, int bytes, sqlite3_int64 offset)
{
    struct vfs_file *f = file_of(file);

    return code_of(
        disk_write(f->disk, f->file, (uint64_t)offset, mu_span_of(from, (size_t)bytes), NULL),
        SQLITE_IOERR_WRITE);
}

static int on_truncate(sqlite3_file *file, sqlite3_int64 bytes)
{
    struct vfs_file *f = file_of(file);

    return code_of(disk_resize(f->disk, f->file, (uint64_t)bytes, NULL), SQLITE_IOERR_TRUNCATE);
}

static int on_sync(sqlite3_file *file, int flags)
{
    struct vfs_file *f = file_of(file);
    enum mu_code rc = disk_sync(f->disk, f->file, NULL);

    (void)flags;
    if (rc == MU_OK && f->is_new && f->is_wal) { /* as the unix VFS does for journals */
        rc = disk_sync_dir(f->disk, DISK_STATE, NULL);
        f->is_new = rc != MU_OK;
    }
    return code_of(rc, SQLITE_IOERR_FSYNC);
}

static int on_size(sqlite3_file *file, sqlite3_int64 *bytes)
{
    struct vfs_file *f = file_of(file);

    *bytes = (sqlite3_int64)disk_bytes(f->disk, f->file);
    return SQLITE_OK;
}

static int on_control(sqlite3_file *file, int op, void *arg)
{
    (void)file;
    if (op == SQLITE_FCNTL_MMAP_SIZE) {
        *(sqlite3_int64 *)arg = 0;
        return SQLITE_OK;
    }
    return SQLITE_NOTFOUND;
}

static int on_sector(sqlite3_file *file)
{
    (void)file;
    return 4096; /* what the unix VFS says; the disk tears at 512 */
}

static int on_device(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* -- the locks of the file -----------------------------------------------------------------------
 */

static int on_lock(sqlite3_file *file, int level)
{
    struct vfs_file *f = file_of(file);
    struct shared *s = f->shared;

    if (f->lock >= level) {
        return SQLITE_OK;
    }
    if (f->lock == SQLITE_LOCK_NONE) {
        if (s->exclusive != NULL) {
            return SQLITE_BUSY;
        }
        s->readers++;
        f->lock = SQLITE_LOCK_SHARED;
    }
    if (level >= SQLITE_LOCK_RESERVED) {
        if (s->reserved != NULL && s->reserved != f) {
            return SQLITE_BUSY;
        }
        s->reserved = f;
        f->lock = SQLITE_LOCK_RESERVED;
    }
    if (level == SQLITE_LOCK_EXCLUSIVE) {
        s->exclusive = f;
        f->lock = SQLITE_LOCK_PENDING;
        if (s->readers > 1) {
            return SQLITE_BUSY;
        }
        f->lock = SQLITE_LOCK_EXCLUSIVE;
    }
    return SQLITE_OK;
}

static int on_unlock(sqlite3_file *file, int level)
{
    struct vfs_file *f = file_of(file);
    struct shared *s = f->shared;

    if (f->lock <= level) {
        return SQLITE_OK;
    }
    s->exclusive = s->exclusive == f ? NULL : s->exclusive;
    s->reserved = s->reserved == f ? NULL : s->reserved;
    if (level == SQLITE_LOCK_NONE) {
        s->readers--;
    }
    f->lock = level;
    return SQLITE_OK;
}

static int on_reserved(sqlite3_file *file, int *is_reserved)
{
    *is_reserved = file_of(file)->shared->reserved != NULL;
    return SQLITE_OK;
}

/* -- shared memory --------------------------------------------------------------------------------
 */

static int on_shm_map(sqlite3_file *file, int region, int bytes, int extend, void volatile **to)
{
    struct vfs_file *f = file_of(file);
    struct shared *s = f->shared;

    MU_ASSERT(region >= 0 && region < REGIONS_MAX);
    if (!f->has_map) {
        f->has_map = true;
        s->maps++;
    }
    if (s->regions[region] == NULL && extend) {
        s->regions[region] = mu_new((size_t)bytes);
    }
    *to = s->regions[region];
    return SQLITE_OK;
}

static int shm_release(struct vfs_file *f, int slot, int flags)
{
    struct shared *s = f->shared;

    if ((flags & SQLITE_SHM_SHARED) != 0 && f->holds[slot]) {
        f->holds[slot] = false;
        s->shm_shared[slot]--;
    }
    if ((flags & SQLITE_SHM_EXCLUSIVE) != 0 && s->shm_exclusive[slot] == f) {
        s->shm_exclusive[slot] = NULL;
    }
    return SQLITE_OK;
}

/* A checkpoint by one connection and a commit by another can lose pages in every SQLite before
 * 3.51.3: nobody but one may ever checkpoint (spec/consensus.md 3.4, row 81). */
static void sole_checkpointer(struct shared *s, const void *f, int first, int count)
{
    if (first == SHM_CHECKPOINT && count == 1) {
        MU_ASSERT(s->checkpointer == NULL || s->checkpointer == f);
        s->checkpointer = f;
    }
}

static int on_shm_lock(sqlite3_file *file, int first, int count, int flags)
{
    struct vfs_file *f = file_of(file);
    struct shared *s = f->shared;
    bool is_shared = (flags & SQLITE_SHM_SHARED) != 0;

    for (int i = first; (flags & SQLITE_SHM_LOCK) != 0 && i < first + count; i++) {
        unsigned others = s->shm_shared[i] - (f->holds[i] ? 1 : 0);

        if ((s->shm_exclusive[i] != NULL && s->shm_exclusive[i] != f) ||
            (!is_shared && others > 0)) {
            return SQLITE_BUSY;
        }
    }
    for (int i = first; i < first + count; i++) {
        if ((flags & SQLITE_SHM_UNLOCK) != 0) {
            (void)shm_release(f, i, flags);
        } else if (!is_shared) {
            s->shm_exclusive[i] = f;
            sole_checkpointer(s, f, first, count);
        } else if (!f->holds[i]) {
            f->holds[i] = true;
            s->shm_shared[i]++;
        }
    }
    return SQLITE_OK;
}

static void on_shm_barrier(sqlite3_file *file)
{
    (void)file;
}

static int on_shm_unmap(sqlite3_file *file, int remove)
{
    struct vfs_file *f = file_of(file);
    struct shared *s = f->shared;

    (void)remove;
    for (int i = 0; i < SIM_VFS_LOCKS; i++) {
        (void)shm_release(f, i, SQLITE_SHM_SHARED | SQLITE_SHM_EXCLUSIVE);
    }
    if (f->has_map) {
        f->has_map = false;
        if (--s->maps == 0) {
            for (size_t i = 0; i < REGIONS_MAX; i++) {
                mu_free(s->regions[i]);
                s->regions[i] = NULL;
            }
        }
    }
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_size,
    .xLock = on_lock,
    .xUnlock = on_unlock,
    .xCheckReservedLock = on_reserved,
    .xFileControl = on_control,
    .xSectorSize = on_sector,
    .xDeviceCharacteristics = on_device,
    .xShmMap = on_shm_map,
    .xShmLock = on_shm_lock,
    .xShmBarrier = on_shm_barrier,
    .xShmUnmap = on_shm_unmap,
};

/* -- names ----------------------------------------------------------------------------------------
 */

/* "/3/state/state-1.db": disk 3, "state-1.db". */
static struct disk *path_parse(const char *path, size_t *number, const char **name)
{
    MU_ASSERT(path[0] == '/' && path[1] >= '0' && path[1] < '0' + SIM_VFS_DISKS);
    MU_ASSERT(strncmp(path + 2, "/state/", 7) == 0);
    *number = (size_t)(path[1] - '0');
    *name = path + 9;
    MU_ASSERT(all.disks[*number] != NULL);
    return all.disks[*number];
}

static struct shared *shared_find(size_t number, const char *name)
{
    struct shared *unused = NULL;

    for (size_t i = 0; i < FILES_MAX; i++) {
        struct shared *s = &all.shared[number][i];

        if (strcmp(s->name, name) == 0) {
            return s;
        }
        unused = unused == NULL && s->name[0] == '\0' ? s : unused;
    }
    MU_ASSERT(unused != NULL);
    (void)snprintf(unused->name, sizeof unused->name, "%s", name);
    return unused;
}

static int on_open(sqlite3_vfs *vfs, sqlite3_filename path, sqlite3_file *file, int flags,
                   int *flags_out)
{
    struct vfs_file *f = file_of(file);
    const char *name = NULL;
    size_t number = 0;
    uint64_t bytes = 0;

    (void)vfs;
    memset(f, 0, sizeof *f);
    MU_ASSERT(path != NULL); /* temporary files are in memory */
    f->disk = path_parse(path, &number, &name);
    f->is_new = !disk_has(f->disk, DISK_STATE, name);
    f->is_wal = (flags & SQLITE_OPEN_MAIN_DB) == 0;
    enum mu_code rc = disk_open(f->disk, DISK_STATE, name, (flags & SQLITE_OPEN_CREATE) != 0,
                                &f->file, &bytes, NULL);

    if (rc != MU_OK) {
        return rc == MU_FULL ? SQLITE_FULL : SQLITE_CANTOPEN;
    }
    if (!f->is_wal) {
        f->shared = shared_find(number, name);
        f->shared->opens++;
    }
    f->base.pMethods = &methods;
    if (flags_out != NULL) {
        *flags_out = flags;
    }
    return SQLITE_OK;
}

static int on_delete(sqlite3_vfs *vfs, const char *path, int sync_dir)
{
    const char *name = NULL;
    size_t number = 0;
    struct disk *d = path_parse(path, &number, &name);

    (void)vfs;
    if (!disk_has(d, DISK_STATE, name)) {
        return SQLITE_IOERR_DELETE_NOENT;
    }
    enum mu_code rc = disk_remove(d, DISK_STATE, name, NULL);

    if (rc == MU_OK && sync_dir) {
        rc = disk_sync_dir(d, DISK_STATE, NULL);
    }
    return code_of(rc, SQLITE_IOERR_DELETE);
}

static int on_access(sqlite3_vfs *vfs, const char *path, int flags, int *out)
{
    const char *name = NULL;
    size_t number = 0;
    struct disk *d = path_parse(path, &number, &name);

    (void)vfs;
    (void)flags;
    *out = disk_has(d, DISK_STATE, name);
    return SQLITE_OK;
}

static int on_full_path(sqlite3_vfs *vfs, const char *path, int room, char *out)
{
    (void)vfs;
    (void)sqlite3_snprintf(room, out, "%s", path);
    return SQLITE_OK;
}

/* -- the rest of the world
 * -------------------------------------------------------------------------- */

static int on_random(sqlite3_vfs *vfs, int bytes, char *to)
{
    (void)vfs;
    mu_rand_bytes(&all.rand, to, (size_t)bytes);
    return bytes;
}

static int on_sleep(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    return us;
}

static int on_time(sqlite3_vfs *vfs, double *now)
{
    (void)vfs;
    *now = 2461000.5; /* nothing in the state depends on it */
    return SQLITE_OK;
}

static int on_error(sqlite3_vfs *vfs, int room, char *to)
{
    (void)vfs;
    (void)room;
    (void)to;
    return 0;
}

static sqlite3_vfs vfs = {
    .iVersion = 1,
    .szOsFile = sizeof(struct vfs_file),
    .mxPathname = PATH_BYTES,
    .zName = SIM_VFS,
    .xOpen = on_open,
    .xDelete = on_delete,
    .xAccess = on_access,
    .xFullPathname = on_full_path,
    .xRandomness = on_random,
    .xSleep = on_sleep,
    .xCurrentTime = on_time,
    .xGetLastError = on_error,
};

void sim_vfs_begin(uint64_t seed)
{
    mu_rand_seed(&all.rand, seed);
    MU_ASSERT(sqlite3_vfs_register(&vfs, 1) == SQLITE_OK);
    sqlite3_randomness(0, NULL); /* seeded again at its next use, from here */
}

void sim_vfs_end(void)
{
    for (size_t i = 0; i < SIM_VFS_DISKS; i++) {
        if (all.disks[i] != NULL) {
            sim_vfs_forget(i);
            all.disks[i] = NULL;
        }
    }
    (void)sqlite3_vfs_unregister(&vfs);
}

void sim_vfs_add(size_t number, struct disk *d)
{
    MU_ASSERT(number < SIM_VFS_DISKS && all.disks[number] == NULL);
    all.disks[number] = d;
}

void sim_vfs_remove(size_t number)
{
    sim_vfs_forget(number);
    all.disks[number] = NULL;
}

void sim_vfs_forget(size_t number)
{
    for (size_t i = 0; i < FILES_MAX; i++) {
        MU_ASSERT(all.shared[number][i].opens == 0);
    }
}

static enum mu_code files_create(void *self, const char *path, struct mu_err *err)
{
    const char *name = NULL;
    size_t number = 0;
    struct disk *d = path_parse(path, &number, &name);
    uint64_t bytes = 0;
    int file = DISK_NONE;
    enum mu_code rc = disk_open(d, DISK_STATE, name, true, &file, &bytes, err);

    (void)self;
    if (rc == MU_OK) {
        disk_close(d, file);
    }
    return rc;
}

static enum mu_code files_sync_dir(void *self, const char *path, struct mu_err *err)
{
    const char *name = NULL;
    size_t number = 0;

    (void)self;
    return disk_sync_dir(path_parse(path, &number, &name), DISK_STATE, err);
}

const struct catalog_files *sim_vfs_files(void)
{
    static const struct catalog_files files = {
        .vfs = SIM_VFS,
        .create = files_create,
        .sync_dir = files_sync_dir,
    };

    return &files;
}
