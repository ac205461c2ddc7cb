/* writer.h - small files written behind the loop's back, one after the other. Private to agent/.
 *
 * Each file is replaced atomically on libuv's pool, in the order of asking. What is asked again for
 * a path before its turn came takes the place of what was asked before, so the queue is never
 * longer than there are paths.
 *
 * Life:    new -> put, remove ... -> stop -> (stopped callback) -> free.
 * Thread:  the loop's.
 * Errors:  logged; the file stays as it was.
 */
#ifndef AGENT_WRITER_H
#define AGENT_WRITER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct uv_loop_s;
struct writer; /* opaque */

struct writer *writer_new(struct uv_loop_s *loop);
/* The content is given: the buffer is empty afterwards. Durable: flushed to the disk. */
void writer_put(struct writer *w, const char *path, struct mu_buf *content, bool is_durable);
void writer_remove(struct writer *w, const char *path); /* an absent file is fine */
size_t writer_pending(const struct writer *w);          /* with the one that is being written */

/* After everything that was asked for: called once, from the loop, never from inside this call. */
typedef void writer_stopped_fn(void *data);
void writer_stop(struct writer *w, writer_stopped_fn *stopped, void *data);
void writer_free(struct writer *w); /* NULL is fine */

#endif
