/* spool.h - bytes too many for memory: a file without a name, gone with this process whatever ends
 * it.
 *
 * What is spooled is of use to one operator, the rest of the disk to the whole cluster: a spool
 * does not grow into the last SPOOL_RESERVE_BYTES of the file system.
 *
 * Thread:  one at a time; calls wait for the disk.
 * Errors:  MU_FULL, MU_IO; a read behind the end gives 0 bytes.
 */
#ifndef AGENT_SPOOL_H
#define AGENT_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

#define SPOOL_RESERVE_BYTES (16U * 1024 * 1024) /* a segment of the log, and its ballast */

struct spool {
    int fd; /* -1: not open */
    uint64_t bytes;
    uint64_t looked_at; /* how many there were when the room was looked at last */
};

#define SPOOL_NONE ((struct spool){ .fd = -1 })

/* `path` is where it lies for a moment; nobody else may use it meanwhile. */
MU_MUST_CHECK enum mu_code spool_open(struct spool *s, const char *path, struct mu_err *err);
MU_MUST_CHECK enum mu_code spool_add(struct spool *s, struct mu_span bytes, struct mu_err *err);
/* Up to `room` bytes from `at`, fewer only at the end. */
MU_MUST_CHECK enum mu_code spool_read(const struct spool *s, uint64_t at, void *to, size_t room,
                                      size_t *got, struct mu_err *err);
void spool_close(struct spool *s); /* a closed one is fine */

/* As a sink (data: struct spool *) and a source (data: struct spool_cursor *) of streams. */
struct spool_cursor {
    const struct spool *spool;
    uint64_t at;
};
enum mu_code spool_sink(void *data, struct mu_span bytes, struct mu_err *err);
enum mu_code spool_source(void *data, void *to, size_t room, size_t *got, struct mu_err *err);

#endif
