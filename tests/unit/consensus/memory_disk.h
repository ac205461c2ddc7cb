/* memory_disk.h - a disk that forgets: disk.h in memory, with the faults a log must survive.
 *
 * What is written goes to a page cache; `sync` moves a file's bytes to the platter, `sync_dir` the
 * names. A crash of the process keeps the cache, a power cut keeps of every unflushed 512-byte
 * sector the old or the new content, as the seed says, and of unflushed renames a prefix.
 *
 * Faults: stop at the n-th call that changes something, in the middle of it if it is a write; fail
 * the n-th request, whatever it is, or the n-th flush; a capacity. Header-only: each test program
 * has its own copy.
 */
#ifndef TESTS_MEMORY_DISK_H
#define TESTS_MEMORY_DISK_H

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/rand.h"
#include "disk.h"

#define MEMORY_SECTOR    512U
#define MEMORY_FILES_MAX 1024
#define MEMORY_NAMES_MAX 256

struct memory_file {
    struct mu_buf cache, platter;
    bool has_failed; /* a flush did: its pages are in the cache, clean, and nowhere else */
};

struct memory_name {
    char name[40];
    int file;
};

struct memory_names {
    struct memory_name at[MEMORY_NAMES_MAX];
    size_t count;
};

struct memory_disk {
    struct memory_file files[MEMORY_FILES_MAX];
    size_t files_count;
    struct memory_names live, durable, former; /* former: before the newest change of live */
    size_t open_count;
    bool is_locked;

    uint64_t calls;        /* that change something, so far */
    uint64_t stop_at;      /* this one is cut short and every later one fails; 0: never */
    bool is_read_only;     /* they do not fail for lack of power: this is the reason */
    uint64_t stop_sectors; /* how many sectors of it arrive if it is a write */
    uint64_t requests;     /* of all kinds, so far */
    uint64_t fail_at;      /* this one fails and does nothing; 0: none */
    enum mu_code fail_code;
    uint64_t fail_sync_at; /* this flush fails; 0: never */
    uint64_t syncs;
    uint64_t syncs_after_failure;
    uint64_t capacity; /* bytes of all files; 0: endless */
};

static inline bool memory_is_dead(const struct memory_disk *d)
{
    return d->stop_at != 0 && d->calls >= d->stop_at;
}

/* Counts a call. False: the power is out. *is_last: it goes out during this one. */
static inline bool memory_call(struct memory_disk *d, bool *is_last)
{
    if (memory_is_dead(d)) {
        return false;
    }
    d->calls++;
    *is_last = memory_is_dead(d);
    return true;
}

static inline enum mu_code memory_dead(const struct memory_disk *d, struct mu_err *err)
{
    return d->is_read_only ? mu_fail(err, MU_READ_ONLY, "read-only file system")
                           : mu_fail(err, MU_IO, "the power is out");
}

/* Is this the request that fails? Only one that may need space fails for the lack of it. */
static inline bool memory_fails(struct memory_disk *d, bool needs_space)
{
    return ++d->requests == d->fail_at && (needs_space || d->fail_code != MU_FULL);
}

static inline enum mu_code memory_failed(const struct memory_disk *d, struct mu_err *err)
{
    return mu_fail(err, d->fail_code, "request %llu fails", (unsigned long long)d->fail_at);
}

static inline struct memory_name *memory_find(struct memory_names *n, const char *name)
{
    for (size_t i = 0; i < n->count; i++) {
        if (strcmp(n->at[i].name, name) == 0) {
            return &n->at[i];
        }
    }
    return NULL;
}

static inline void memory_unname(struct memory_names *n, const char *name)
{
    struct memory_name *at = memory_find(n, name);

    if (at != NULL) {
        *at = n->at[--n->count];
    }
}

static inline void memory_name(struct memory_names *n, const char *name, int file)
{
    memory_unname(n, name);
    MU_ASSERT(n->count < MEMORY_NAMES_MAX);
    struct memory_name *at = &n->at[n->count++];

    (void)snprintf(at->name, sizeof at->name, "%s", name);
    at->file = file;
}

static inline enum mu_code memory_list(void *self, mu_dir_fn *each, void *data, struct mu_err *err)
{
    struct memory_disk *d = self;
    enum mu_code rc = MU_OK;

    if (memory_fails(d, false)) {
        return memory_failed(d, err);
    }
    struct memory_names *copy = mu_new(sizeof *copy);

    *copy = d->live;
    for (size_t i = 0; rc == MU_OK && i < copy->count; i++) {
        rc = each(data, copy->at[i].name, err);
    }
    mu_free(copy);
    return rc;
}

static inline void memory_resize(struct mu_buf *b, uint64_t bytes)
{
    if (bytes > b->bytes) {
        size_t more = (size_t)bytes - b->bytes;

        memset(mu_buf_reserve(b, more), 0, more);
    }
    b->bytes = (size_t)bytes;
}

static inline enum mu_code memory_open(void *self, const char *name, bool create, int *file,
                                       uint64_t *bytes, struct mu_err *err)
{
    struct memory_disk *d = self;
    struct memory_name *at = memory_find(&d->live, name);
    bool is_last = false;

    if (memory_fails(d, create)) {
        return memory_failed(d, err);
    }
    if (create) {
        if (at != NULL) {
            return mu_fail(err, MU_IO, "create %s: it is there already", name);
        }
        if (!memory_call(d, &is_last)) {
            return memory_dead(d, err);
        }
        MU_ASSERT(d->files_count < MEMORY_FILES_MAX);
        d->former = d->live;
        memory_name(&d->live, name, (int)d->files_count++);
        at = memory_find(&d->live, name);
        if (is_last) {
            return memory_dead(d, err);
        }
    }
    if (at == NULL) {
        return mu_fail(err, MU_NOT_FOUND, "%s: not there", name);
    }
    *file = at->file;
    *bytes = d->files[at->file].cache.bytes;
    d->open_count++;
    return MU_OK;
}

static inline void memory_close(void *self, int file)
{
    struct memory_disk *d = self;

    MU_ASSERT(file >= 0 && d->open_count > 0);
    d->open_count--;
}

static inline enum mu_code memory_read(void *self, int file, uint64_t offset, void *to,
                                       size_t bytes, struct mu_err *err)
{
    struct memory_disk *d = self;
    const struct mu_buf *b = &d->files[file].cache;

    if (memory_fails(d, false)) {
        return memory_failed(d, err);
    }
    if (offset > b->bytes || bytes > b->bytes - offset) {
        return mu_fail(err, MU_IO, "read past the end");
    }
    if (bytes > 0) {
        memcpy(to, b->data + offset, bytes);
    }
    return MU_OK;
}

static inline uint64_t memory_used(const struct memory_disk *d)
{
    uint64_t used = 0;

    for (size_t i = 0; i < d->live.count; i++) {
        used += d->files[d->live.at[i].file].cache.bytes;
    }
    return used;
}

static inline bool memory_grow(struct memory_disk *d, int file, uint64_t bytes)
{
    struct mu_buf *b = &d->files[file].cache;

    if (bytes > b->bytes && d->capacity != 0 && memory_used(d) + (bytes - b->bytes) > d->capacity) {
        return false;
    }
    memory_resize(b, bytes > b->bytes ? bytes : b->bytes);
    return true;
}

static inline enum mu_code memory_write(void *self, int file, uint64_t offset, struct mu_span bytes,
                                        struct mu_err *err)
{
    struct memory_disk *d = self;
    bool is_last = false;

    if (memory_fails(d, true)) {
        return memory_failed(d, err);
    }
    if (!memory_call(d, &is_last)) {
        return memory_dead(d, err);
    }
    if (is_last && bytes.bytes > d->stop_sectors * MEMORY_SECTOR) {
        bytes.bytes = (size_t)d->stop_sectors * MEMORY_SECTOR;
    }
    if (!memory_grow(d, file, offset + bytes.bytes)) {
        return mu_fail(err, MU_FULL, "no space left");
    }
    if (bytes.bytes > 0) {
        memcpy(d->files[file].cache.data + offset, bytes.data, bytes.bytes);
    }
    return is_last ? memory_dead(d, err) : MU_OK;
}

static inline enum mu_code memory_reserve(void *self, int file, uint64_t bytes, struct mu_err *err)
{
    struct memory_disk *d = self;
    bool is_last = false;

    if (memory_fails(d, true)) {
        return memory_failed(d, err);
    }
    if (!memory_call(d, &is_last)) {
        return memory_dead(d, err);
    }
    if (!memory_grow(d, file, bytes)) {
        return mu_fail(err, MU_FULL, "no space left");
    }
    return is_last ? memory_dead(d, err) : MU_OK;
}

static inline enum mu_code memory_sync(void *self, int file, struct mu_err *err)
{
    struct memory_disk *d = self;
    struct memory_file *f = &d->files[file];
    bool is_last = false;

    if (memory_fails(d, true)) {
        f->has_failed = true;
        return memory_failed(d, err);
    }
    if (!memory_call(d, &is_last)) {
        return memory_dead(d, err);
    }
    d->syncs++;
    d->syncs_after_failure += d->fail_sync_at != 0 && d->syncs > d->fail_sync_at;
    if (is_last || d->syncs == d->fail_sync_at) {
        f->has_failed = !is_last;
        return d->is_read_only ? memory_dead(d, err)
                               : mu_fail(err, MU_IO, "flush: input/output error");
    }
    if (f->has_failed) {
        return MU_OK; /* success is reported for bytes that are gone (ATC'20) */
    }
    mu_buf_clear(&f->platter);
    mu_buf_add_span(&f->platter, mu_buf_span(&f->cache));
    return MU_OK;
}

static inline void memory_drop_cache(void *self, int file)
{
    struct memory_disk *d = self;
    struct memory_file *f = &d->files[file];

    if (f->has_failed) {
        size_t bytes = f->cache.bytes; /* of the inode, which is as it was */

        mu_buf_clear(&f->cache);
        mu_buf_add_span(&f->cache, mu_buf_span(&f->platter));
        memory_resize(&f->cache, bytes);
        f->has_failed = false;
    }
}

static inline enum mu_code memory_rename(void *self, const char *from, const char *to,
                                         struct mu_err *err)
{
    struct memory_disk *d = self;
    struct memory_name *at = memory_find(&d->live, from);
    bool is_last = false;

    if (memory_fails(d, true)) {
        return memory_failed(d, err);
    }
    if (!memory_call(d, &is_last)) {
        return memory_dead(d, err);
    }
    if (at == NULL) {
        return mu_fail(err, MU_NOT_FOUND, "rename %s: not there", from);
    }
    int file = at->file;

    d->former = d->live;
    memory_unname(&d->live, from);
    memory_name(&d->live, to, file);
    return is_last ? memory_dead(d, err) : MU_OK;
}

static inline enum mu_code memory_remove(void *self, const char *name, struct mu_err *err)
{
    struct memory_disk *d = self;
    bool is_last = false;

    if (memory_fails(d, false)) {
        return memory_failed(d, err);
    }
    if (!memory_call(d, &is_last)) {
        return memory_dead(d, err);
    }
    if (memory_find(&d->live, name) == NULL) {
        return mu_fail(err, MU_NOT_FOUND, "remove %s: not there", name);
    }
    d->former = d->live;
    memory_unname(&d->live, name);
    return is_last ? memory_dead(d, err) : MU_OK;
}

static inline enum mu_code memory_sync_dir(void *self, struct mu_err *err)
{
    struct memory_disk *d = self;
    bool is_last = false;

    if (memory_fails(d, true)) {
        return memory_failed(d, err);
    }
    if (!memory_call(d, &is_last) || is_last) {
        return memory_dead(d, err);
    }
    d->durable = d->former = d->live;
    return MU_OK;
}

static inline enum mu_code memory_lock(void *self, const char *name, struct mu_err *err)
{
    struct memory_disk *d = self;

    if (memory_fails(d, false)) {
        return memory_failed(d, err);
    }
    if (d->is_locked) {
        return mu_fail(err, MU_FOREIGN, "%s is locked by another process", name);
    }
    if (memory_find(&d->live, name) == NULL) {
        memory_name(&d->live, name, (int)d->files_count++);
    }
    d->is_locked = true;
    return MU_OK;
}

static inline const char *memory_path(void *self)
{
    (void)self;
    return "/disk";
}

static inline enum mu_code memory_space(void *self, struct mu_space *out, struct mu_err *err)
{
    struct memory_disk *d = self;
    uint64_t used = memory_used(d);

    if (memory_fails(d, false)) {
        return memory_failed(d, err);
    }
    *out = (struct mu_space){ .free_bytes = UINT64_MAX, .total_bytes = UINT64_MAX };
    if (d->capacity != 0) {
        out->total_bytes = d->capacity;
        out->free_bytes = used < d->capacity ? d->capacity - used : 0;
    }
    return MU_OK;
}

static const struct consensus_disk_ops memory_ops = {
    .list = memory_list,
    .open = memory_open,
    .close = memory_close,
    .read = memory_read,
    .write = memory_write,
    .reserve = memory_reserve,
    .sync = memory_sync,
    .drop_cache = memory_drop_cache,
    .rename = memory_rename,
    .remove = memory_remove,
    .sync_dir = memory_sync_dir,
    .lock = memory_lock,
    .path = memory_path,
    .space = memory_space,
};

static inline struct memory_disk *memory_disk_new(void)
{
    return mu_new(sizeof(struct memory_disk));
}

static inline void memory_disk_free(struct memory_disk *d)
{
    for (size_t i = 0; i < d->files_count; i++) {
        mu_buf_deinit(&d->files[i].cache);
        mu_buf_deinit(&d->files[i].platter);
    }
    mu_free(d);
}

static inline struct consensus_disk memory_disk_view(struct memory_disk *d)
{
    return (struct consensus_disk){ &memory_ops, d };
}

/* The process is gone, the machine is not. */
static inline void memory_crash(struct memory_disk *d)
{
    d->is_locked = false;
    d->open_count = 0;
    d->stop_at = 0;
    d->fail_at = 0;
    d->fail_sync_at = 0;
}

static inline void memory_lose_sectors(struct memory_file *f, struct mu_rand *r)
{
    size_t bytes = mu_rand_below(r, 2) == 0 ? f->cache.bytes : f->platter.bytes;

    memory_resize(&f->cache, bytes);
    memory_resize(&f->platter, bytes);
    for (size_t at = 0; at < bytes; at += MEMORY_SECTOR) {
        size_t part = bytes - at < MEMORY_SECTOR ? bytes - at : MEMORY_SECTOR;

        if (mu_rand_below(r, 2) == 0) {
            memcpy(f->cache.data + at, f->platter.data + at, part);
        }
    }
    mu_buf_clear(&f->platter);
    mu_buf_add_span(&f->platter, mu_buf_span(&f->cache));
}

/* So is the machine: of what was not flushed, each sector is the old or the new one. */
static inline void memory_power_cut(struct memory_disk *d, struct mu_rand *r)
{
    memory_crash(d);
    switch (mu_rand_below(r, 3)) {
    case 0: d->live = d->durable; break;
    case 1: d->live = d->former; break;
    default: break; /* everything had reached the journal of the file system */
    }
    d->durable = d->former = d->live;
    for (size_t i = 0; i < d->files_count; i++) {
        memory_lose_sectors(&d->files[i], r);
    }
}

/* Bytes at rest, for rot. */
static inline struct mu_buf *memory_bytes(struct memory_disk *d, const char *name)
{
    struct memory_name *at = memory_find(&d->live, name);

    return at != NULL ? &d->files[at->file].cache : NULL;
}

/* A second disk with the same content. */
static inline struct memory_disk *memory_disk_copy(const struct memory_disk *from)
{
    struct memory_disk *d = mu_new(sizeof *d);

    *d = *from;
    for (size_t i = 0; i < d->files_count; i++) {
        d->files[i].cache = d->files[i].platter = MU_BUF_NONE;
        mu_buf_add_span(&d->files[i].cache, mu_buf_span(&from->files[i].cache));
        mu_buf_add_span(&d->files[i].platter, mu_buf_span(&from->files[i].platter));
    }
    return d;
}

#endif
