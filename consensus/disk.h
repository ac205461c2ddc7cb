/* disk.h - the few file operations that the durable log stands on, as a vtable.
 *
 * disk_posix.c does them for real. Tests put a disk in memory in its place, which forgets unflushed
 * sectors, tears writes, fills up and fails on request; the log itself does not know the
 * difference.
 *
 * All names are within one directory. Nothing is durable before the sync that covers it: file
 * contents by `sync`, names by `sync_dir`.
 *
 * Thread:  whoever owns the log: these calls block.
 * Errors:  MU_NOT_FOUND, MU_FULL (no space), MU_READ_ONLY (also of an open, whose file may be
 *          written), MU_IO, MU_FOREIGN (lock), naming file and reason.
 */
#ifndef CONSENSUS_DISK_H
#define CONSENSUS_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/span.h"

#define CONSENSUS_DISK_NONE (-1)

struct consensus_disk_ops {
    enum mu_code (*list)(void *self, mu_dir_fn *each, void *data, struct mu_err *err);
    /* *file is a small number, until close. With `create` the file must not exist yet. */
    enum mu_code (*open)(void *self, const char *name, bool create, int *file, uint64_t *bytes,
                         struct mu_err *err);
    void (*close)(void *self, int file);
    /* Exactly `bytes`; a shorter file is MU_IO. */
    enum mu_code (*read)(void *self, int file, uint64_t offset, void *to, size_t bytes,
                         struct mu_err *err);
    /* What lies there is going to be read: begin to bring it in, without waiting. Promises nothing;
     * NULL: not known here. */
    void (*read_ahead)(void *self, int file, uint64_t offset, uint64_t bytes);
    enum mu_code (*write)(void *self, int file, uint64_t offset, struct mu_span bytes,
                          struct mu_err *err);
    /* Blocks for bytes 0..bytes-1, which read as zeros where nothing was written. */
    enum mu_code (*reserve)(void *self, int file, uint64_t bytes, struct mu_err *err);
    enum mu_code (*sync)(void *self, int file, struct mu_err *err);
    /* Write whole pages, durable when it returns MU_OK: as write and sync, where one call may be
     * cheaper. What else was written to the file is not covered. NULL: there is no such call. */
    enum mu_code (*write_sync)(void *self, int file, uint64_t offset, struct mu_span bytes,
                               struct mu_err *err);
    /* Begin to write out what lies there, without waiting for more than the piece before the last:
     * the sync that follows finds little to do. Promises nothing; NULL: not known here. */
    void (*write_out)(void *self, int file, uint64_t offset, uint64_t bytes);
    /* Read from the disk from now on, not from memory: after a flush that failed the two may differ
     * without any trace of it (spec/consensus.md 2.15). */
    void (*drop_cache)(void *self, int file);
    enum mu_code (*rename)(void *self, const char *from, const char *to, struct mu_err *err);
    enum mu_code (*remove)(void *self, const char *name, struct mu_err *err);
    enum mu_code (*sync_dir)(void *self, struct mu_err *err);
    /* Keep other processes out until the disk is closed. */
    enum mu_code (*lock)(void *self, const char *name, struct mu_err *err);
    const char *(*path)(void *self); /* of the directory, for messages */
    enum mu_code (*space)(void *self, struct mu_space *out, struct mu_err *err);
};

struct consensus_disk {
    const struct consensus_disk_ops *ops;
    void *self;
};

/* A directory of the file system, made when missing. */
MU_MUST_CHECK enum mu_code consensus__disk_open(struct consensus_disk *out, const char *path,
                                                struct mu_err *err);
void consensus__disk_close(struct consensus_disk *d); /* of the former; releases the lock */

#endif
