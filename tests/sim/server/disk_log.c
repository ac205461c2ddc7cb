/* disk_log.c - consensus/disk.h on a simulated disk. */
#include "disk_log.h"

#include "base/assert.h"
#include "consensus/disk.h"

#define DISK_ENDLESS (UINT64_C(1) << 40)

static enum mu_code log_list(void *self, mu_dir_fn *each, void *data, struct mu_err *err)
{
    enum mu_code rc = disk_trips(self, DISK_CALL_LIST, err);

    return rc == MU_OK ? disk_list(self, DISK_LOG, each, data, err) : rc;
}

static enum mu_code log_open(void *self, const char *name, bool create, int *file, uint64_t *bytes,
                             struct mu_err *err)
{
    if (create && disk_has_tripped(self) && disk_has(self, DISK_LOG, name)) {
        return mu_fail(err, MU_IO, "%s: it is there", name); /* it could not be removed */
    }
    MU_ASSERT(!create || disk_is_dead(self) || !disk_has(self, DISK_LOG, name));
    enum mu_code rc = disk_trips(self, create ? DISK_CALL_CREATE : DISK_CALL_OPEN, err);

    return rc == MU_OK ? disk_open(self, DISK_LOG, name, create, file, bytes, err) : rc;
}

static void log_close(void *self, int file)
{
    disk_close(self, file);
}

static enum mu_code log_read(void *self, int file, uint64_t offset, void *to, size_t bytes,
                             struct mu_err *err)
{
    size_t got = 0;
    enum mu_code rc = disk_trips(self, DISK_CALL_READ, err);

    rc = rc == MU_OK ? disk_read(self, file, offset, to, bytes, &got, err) : rc;

    if (rc == MU_OK && got < bytes) {
        return mu_fail(err, MU_IO, "read: the file ends at byte %llu",
                       (unsigned long long)(offset + got));
    }
    return rc;
}

static enum mu_code log_write(void *self, int file, uint64_t offset, struct mu_span bytes,
                              struct mu_err *err)
{
    enum mu_code rc = disk_trips(self, DISK_CALL_WRITE, err);

    return rc == MU_OK ? disk_write(self, file, offset, bytes, err) : rc;
}

static enum mu_code log_reserve(void *self, int file, uint64_t bytes, struct mu_err *err)
{
    enum mu_code rc = disk_trips(self, DISK_CALL_RESERVE, err);

    return rc == MU_OK && bytes > disk_bytes(self, file) ? disk_resize(self, file, bytes, err) : rc;
}

static enum mu_code log_sync(void *self, int file, struct mu_err *err)
{
    enum mu_code rc = disk_trips(self, DISK_CALL_SYNC, err);

    return rc == MU_OK ? disk_sync(self, file, err) : rc;
}

/* Nothing else of the file is flushed by this. */
static enum mu_code log_write_sync(void *self, int file, uint64_t offset, struct mu_span bytes,
                                   struct mu_err *err)
{
    enum mu_code rc = log_write(self, file, offset, bytes, err);

    return rc == MU_OK ? disk_sync_part(self, file, offset, bytes.bytes, err) : rc;
}

/* Hints, and no promise. */
static void log_read_ahead(void *self, int file, uint64_t offset, uint64_t bytes)
{
    (void)self;
    (void)file;
    (void)offset;
    (void)bytes;
}

static void log_write_out(void *self, int file, uint64_t offset, uint64_t bytes)
{
    (void)self;
    (void)file;
    (void)offset;
    (void)bytes;
}

static void log_drop_cache(void *self, int file)
{
    disk_drop_cache(self, file);
}

static enum mu_code log_rename(void *self, const char *from, const char *to, struct mu_err *err)
{
    enum mu_code rc = disk_trips(self, DISK_CALL_RENAME, err);

    return rc == MU_OK ? disk_rename(self, DISK_LOG, from, to, err) : rc;
}

static enum mu_code log_remove(void *self, const char *name, struct mu_err *err)
{
    enum mu_code rc = disk_trips(self, DISK_CALL_REMOVE, err);

    return rc == MU_OK ? disk_remove(self, DISK_LOG, name, err) : rc;
}

static enum mu_code log_sync_dir(void *self, struct mu_err *err)
{
    enum mu_code rc = disk_trips(self, DISK_CALL_SYNC_DIR, err);

    return rc == MU_OK ? disk_sync_dir(self, DISK_LOG, err) : rc;
}

static enum mu_code log_lock(void *self, const char *name, struct mu_err *err)
{
    enum mu_code rc = disk_trips(self, DISK_CALL_LOCK, err);

    return rc == MU_OK ? disk_lock(self, DISK_LOG, name, err) : rc;
}

static const char *log_path(void *self)
{
    (void)self;
    return "/disk/consensus";
}

static enum mu_code log_space(void *self, struct mu_space *out, struct mu_err *err)
{
    uint64_t room = disk_room(self);

    if (disk_is_dead(self)) {
        return mu_fail(err, MU_IO, "the power is out");
    }
    enum mu_code rc = disk_trips(self, DISK_CALL_SPACE, err);

    if (rc != MU_OK) {
        return rc;
    }
    out->free_bytes = room < DISK_ENDLESS ? room : DISK_ENDLESS;
    out->total_bytes = disk_used(self) + out->free_bytes;
    return MU_OK;
}

#define LOG_OPS                                                                                   \
    .list = log_list, .open = log_open, .close = log_close, .read = log_read, .write = log_write, \
    .reserve = log_reserve, .sync = log_sync, .drop_cache = log_drop_cache, .rename = log_rename, \
    .remove = log_remove, .sync_dir = log_sync_dir, .lock = log_lock, .path = log_path,           \
    .space = log_space

static const struct consensus_disk_ops ops = { LOG_OPS };
static const struct consensus_disk_ops ops_all = { LOG_OPS, .write_sync = log_write_sync,
                                                   .write_out = log_write_out,
                                                   .read_ahead = log_read_ahead };

void disk_log_view(struct disk *d, bool has_all, struct consensus_disk *out)
{
    *out = (struct consensus_disk){ has_all ? &ops_all : &ops, d };
}
