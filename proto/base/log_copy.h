/* log_copy.h - the log's second place, a file: whoever logs never waits for its disk. Private.
 *
 *   whoever logs --line--> buffer, at most LOG_COPY_MAX bytes --thread--> write()
 *
 * One at a time. As much again may be on its way into the file. What finds no room is lost, and how
 * many lines that were is said in the file as soon as it takes something again.
 */
#ifndef MU_BASE_LOG_COPY_H
#define MU_BASE_LOG_COPY_H

#include "base/buf.h"

#define LOG_COPY_MAX (1024U * 1024) /* some ten thousand lines: a disk stands still for seconds */

void log_copy_open(int fd); /* borrowed until closed */
void log_copy_close(void);  /* what waits is written first; not open is fine */
void log_copy_put(const struct mu_buf *line, bool is_json);

#endif
