/* log_ring.h - the last lines of the log, and those that come, for who reads them from outside.
 *
 * Lines come from all threads; readers hear them on the loop, first those that are kept, then each
 * as it comes. Kept is what the log itself writes, from INFO on; while somebody reads at a lower
 * level, that too. A reader that falls behind by more than LOG_RING_LINES misses lines.
 *
 * Life:    new -> read, stop ... -> close. Readers are stopped before.
 * Thread:  the loop's; only the tap itself is called from others.
 * Memory:  a line is a view until the callback returns.
 */
#ifndef AGENT_LOG_RING_H
#define AGENT_LOG_RING_H

#include "base/list.h"
#include "base/log.h"

#define LOG_RING_LINES 512U  /* as the serf command keeps */
#define LOG_LINE_BYTES 4096U /* longer ones are cut */

struct uv_loop_s;
struct log_ring; /* opaque */

struct log_line {
    enum mu_log_level level;
    uint64_t wall_ns;
    struct mu_span text; /* the whole line, without its newline */
};

typedef void log_line_fn(void *data, const struct log_line *line);

struct log_reader { /* its owner's; zeroed it is idle */
    struct mu_link place;
    struct log_ring *ring; /* NULL: idle */
    enum mu_log_level level;
    uint64_t next;
    log_line_fn *line;
    void *data;
};

struct log_ring *log_ring_new(struct uv_loop_s *loop);
void log_ring_close(struct log_ring *r); /* NULL is fine */
/* `line` comes in turns of the loop of its own, never from inside of this. It must not log: that
 * would be its next line. */
void log_ring_read(struct log_ring *r, struct log_reader *reader, enum mu_log_level level,
                   log_line_fn *line, void *data);
void log_ring_stop(struct log_reader *reader); /* idle is fine; also from inside of `line` */

#endif
