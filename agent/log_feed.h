/* log_feed.h - the log of this process: its last lines, and those that come, for who follows it.
 *
 * Lines come from every thread, and wait until the loop hands them on, a few to each follower in a
 * turn. Who is slower than the log loses the oldest of what waits, and hears how many with the next
 * line. The last lines are kept as text for who comes later: what the log itself writes, from INFO
 * on, and while somebody follows at a lower level, that too. A line is made as JSON only while
 * somebody follows in that form.
 *
 * Thread:  the loop's; what waits has a lock.
 * Memory:  lines are borrowed for the call.
 */
#ifndef AGENT_LOG_FEED_H
#define AGENT_LOG_FEED_H

#include "agent/agent.h"

#define LOG_FEED_KEPT 512U  /* lines, as the serf command has them */
#define LOG_FEED_MAX  4096U /* lines that wait in a form: a burst */

struct log_feed; /* opaque */

struct log_feed *log_feed_new(struct uv_loop_s *loop);
void log_feed_free(struct log_feed *f); /* NULL is fine; nobody hears anything after this */

/* `line` comes for each line at `level` or above, in `form`, in turns of the loop of its own: from
 * now on, or `with_kept` first for those that are kept, of text. It must not log: that would be its
 * next line. It may end itself. */
struct agent_log_follower *log_feed_follow(struct log_feed *f, enum mu_log_form form,
                                           enum mu_log_level level, bool with_kept,
                                           agent_log_fn *line, void *data);
void log_feed_unfollow(struct agent_log_follower *who); /* NULL is fine */

#endif
