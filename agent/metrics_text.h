/* metrics_text.h - figures as statsd and statsite read them, and as SIGUSR1 prints them. Private to
 * agent/.
 *
 *   consul.serf.events:3|c
 *
 * Thread:  the loop's.
 */
#ifndef AGENT_METRICS_TEXT_H
#define AGENT_METRICS_TEXT_H

#include "agent/metrics.h"
#include "base/buf.h"

/* Totals as they were told last: what is told is what came since. Zeroed: since the start. */
struct metrics_told {
    double values[AGENT_METRICS_MAX], sums[AGENT_METRICS_MAX];
    uint64_t counts[AGENT_METRICS_MAX];
};

/* A line for each gauge, and for what was counted since. */
void metrics_text(struct agent *a, struct metrics_told *told, struct mu_buf *to);

#endif
