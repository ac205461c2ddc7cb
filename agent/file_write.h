/* file_write.h - one file replaced behind the loop's back. Private to agent/.
 *
 * Thread:  the loop's; the writing is on libuv's pool.
 */
#ifndef AGENT_FILE_WRITE_H
#define AGENT_FILE_WRITE_H

#include "base/buf.h"
#include "base/err.h"

struct uv_loop_s;
struct file_write; /* opaque: gone when `written` returns */

typedef void file_written_fn(void *data, enum mu_code code, const struct mu_err *err);
/* Atomically and durably, mode 0600. The content is given: the buffer is empty afterwards.
 * `written` comes once, never from inside. */
struct file_write *file_write_start(struct uv_loop_s *loop, const char *path,
                                    struct mu_buf *content, file_written_fn *written, void *data);
/* It goes on, and `written` does not come. */
void file_write_abandon(struct file_write *w);

#endif
