/* save_work.h - the archive of one `snapshot save`, made and read on a thread of its own, so that
 * neither the loop nor a snapshot for another server waits for it.
 *
 * The state is read in one transaction, only for as long as its stream takes to a spool; then the
 * archive is made of that into a second spool, and the first is closed. It is given out from there:
 * a client may be as slow as it likes.
 *
 * Life:    begin -> `done` once -> read -> `done` once -> ... -> end. It frees itself behind that.
 * Thread:  the loop's.
 * Memory:  a piece is borrowed until `done` returns.
 * Errors:  of the first `done`: MU_FULL, MU_IO, MU_CORRUPT (the state), MU_TOO_BIG, MU_NOT_FOUND
 *          (nothing was applied yet), MU_CANCELLED (the agent stops).
 */
#ifndef AGENT_SAVE_WORK_H
#define AGENT_SAVE_WORK_H

#include "base/buf.h"
#include "base/err.h"

struct agent;
struct save_work; /* opaque */

/* Nobody's `done` runs after save_work_end(). */
typedef void save_work_fn(void *data, struct mu_span piece, const struct mu_err *err);

/* `servers` is the part of meta.json that archive_write() asks for; given. */
struct save_work *save_work_begin(struct agent *a, struct mu_buf *servers, save_work_fn *done,
                                  void *data);
uint64_t save_work_index(const struct save_work *w); /* of the state, once it is made */
uint64_t save_work_bytes(const struct save_work *w); /* of the archive, once it is made */
/* The piece at `offset`, of `room` bytes at most; empty at the end. One at a time. */
void save_work_read(struct save_work *w, uint64_t offset, size_t room);
void save_work_end(struct save_work *w); /* NULL is fine */

/* How many there are, those that have not quite ended yet included. */
size_t save_work_count(const struct agent *a);
void agent__save_works_close(struct agent *a); /* waits for the threads; all were ended */

#endif
