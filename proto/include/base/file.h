/* file.h - whole files and directories, with durability where it is asked for.
 *
 * Thread:  any; these calls block, so the loop uses them at start and on small files only.
 * Errors:  MU_NOT_FOUND, MU_IO, MU_FULL (no space), MU_TOO_BIG, MU_FOREIGN (locked by another
 *          process), each naming the path and the system's reason.
 */
#ifndef MU_BASE_FILE_H
#define MU_BASE_FILE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

/* All bytes of a file, at most `bytes_max`. Appends to `to`. */
MU_MUST_CHECK enum mu_code mu_file_read(const char *path, size_t bytes_max, struct mu_buf *to,
                                        struct mu_err *err);

/* Replace a file atomically and durably: temporary file beside it (mode), fsync, rename, fsync of
 * the directory. A crash leaves the old or the new content, never a part. */
MU_MUST_CHECK enum mu_code mu_file_replace(const char *path, struct mu_span bytes, unsigned mode,
                                           struct mu_err *err);

/* The same without the flushes, for what may be lost with the machine's power but not with the
 * process: then the old content, the new, or an empty file is there. */
MU_MUST_CHECK enum mu_code mu_file_swap(const char *path, struct mu_span bytes, unsigned mode,
                                        struct mu_err *err);

/* The file to replace where a user named `path`: what its symbolic links lead to, which stay, or
 * the path itself while nothing has that name. MU_INVALID: a device, a pipe or a directory, which
 * would be replaced by a file; MU_NOT_FOUND: a link that leads nowhere. Appends to `to`. */
MU_MUST_CHECK enum mu_code mu_file_target(const char *path, struct mu_buf *to, struct mu_err *err);

/* Remove; an absent file is fine. The directory is flushed. */
MU_MUST_CHECK enum mu_code mu_file_remove(const char *path, struct mu_err *err);

/* mkdir -p with mode 0755 for what is missing. MU_INVALID when something else has that name. */
MU_MUST_CHECK enum mu_code mu_dir_make(const char *path, struct mu_err *err);
MU_MUST_CHECK enum mu_code mu_dir_sync(const char *path, struct mu_err *err);

/* Remove a directory and everything below it (for temporary ones we made). */
MU_MUST_CHECK enum mu_code mu_dir_remove(const char *path, struct mu_err *err);

/* Names in a directory without "." and "..", sorted. Called once per name. */
typedef enum mu_code mu_dir_fn(void *data, const char *name, struct mu_err *err);
MU_MUST_CHECK enum mu_code mu_dir_each(const char *path, mu_dir_fn *each, void *data,
                                       struct mu_err *err);

/* flock(LOCK_EX) on a file made for it. The descriptor holds the lock until it is closed. */
MU_MUST_CHECK enum mu_code mu_file_lock(const char *path, int *fd, struct mu_err *err);

struct mu_space {
    uint64_t free_bytes;  /* for this process */
    uint64_t total_bytes; /* of the file system */
};
/* Of the file system that holds `path`, which exists. MU_IO, MU_NOT_FOUND. */
MU_MUST_CHECK enum mu_code mu_file_space(const char *path, struct mu_space *out,
                                         struct mu_err *err);

/* The code for an errno of a file call: ENOSPC and EDQUOT are MU_FULL, EROFS is MU_READ_ONLY,
 * ENOENT is MU_NOT_FOUND. */
enum mu_code mu_file_code(int error_number);

/* The errno of a call that failed on something in `dir`, as what it has become a moment later: a
 * file system that gives itself up answers what is under way with EIO, and says only then that it
 * is read-only. EROFS if it does within a fifth of a second, during which this blocks; every other
 * error comes back at once, as it is. Any thread that may block. */
int mu_file_settled(const char *dir, int error_number);

#endif
