/* log_feed.h - the lines of this process's log, brought to the loop for those who follow it.
 *
 * Lines come from every thread. They wait in a bounded queue until the loop hands them on; what
 * finds it full is dropped and counted. While nobody follows nothing of this costs anything. (The
 * last lines for who comes later, as text, are kept by log_ring.h.)
 *
 * Thread:  the loop's; the queue has a lock.
 * Memory:  lines are borrowed for the call.
 */
#ifndef AGENT_LOG_FEED_H
#define AGENT_LOG_FEED_H

#include "agent/agent.h"

struct log_feed; /* opaque */

struct log_feed *log_feed_new(struct uv_loop_s *loop);
void log_feed_free(struct log_feed *f); /* NULL is fine; nobody hears anything after this */

/* `line` comes for each line at `level` or above from now on, in `form`; a NULL line: `dropped` of
 * them were lost. It may end itself. */
struct agent_log_follower *log_feed_follow(struct log_feed *f, enum mu_log_level level,
                                           enum mu_log_form form, agent_log_fn *line, void *data);
void log_feed_unfollow(struct agent_log_follower *who);

#endif
