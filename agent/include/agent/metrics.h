/* metrics.h - figures of this agent for who watches it, under Consul's names where it has them
 * (http-api 3.1).
 *
 * Everything is read when it is asked for, or counted where it happens anyway: nobody who does not
 * ask pays. Totals are since the process was started.
 *
 * Thread:  the loop's.
 */
#ifndef AGENT_METRICS_H
#define AGENT_METRICS_H

#include <stdint.h>

#include "base/sample.h"

struct agent; /* opaque */

enum agent_metric_kind {
    AGENT_GAUGE,   /* value */
    AGENT_COUNTER, /* value: the total */
    AGENT_SAMPLE,  /* sample: of what is measured again and again */
};

#define AGENT_METRICS_MAX 384 /* names and labels, with the places of those to come */

struct agent_metric {
    const char *name; /* "runtime.alloc_bytes", without the prefix; NULL: a place of one to come */
    const char *help; /* a sentence */
    enum agent_metric_kind kind;
    double value;
    struct mu_sample sample;
    const char *label, *label_value; /* NULL: none */
    /* Where names may only have letters, users' names in them would collide: there it is called
     * this, and told apart by its label. NULL: as ever, by name and label. */
    const char *family;
};

typedef void agent_metric_fn(void *data, const struct agent_metric *metric);
/* Metrics of one name follow each other; each is always at the same place. */
void agent_each_metric(struct agent *a, agent_metric_fn *each, void *data);

struct mu_buf;
/* A line for each, for people: what SIGUSR1 prints. */
void agent_print_metrics(struct agent *a, struct mu_buf *to);

#endif
