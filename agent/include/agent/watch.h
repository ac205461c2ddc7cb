/* watch.h - what Consul calls a watch: look at something again and again, and tell when it changed
 * (agent-behaviour 11.3).
 *
 * A plan says what is looked at. A watch asks an agent's HTTP API for it by blocking queries, for
 * `muster watch` as for `watches` of the configuration.
 *
 * Life:    watch_start -> (changed -> watch_next)* -> watch_stop. Between `changed` and
 * watch_next() nothing is asked: runs of a handler do not overlap. Thread:  the loop's. Memory:
 * options are copied; what callbacks get is borrowed. Errors:  MU_INVALID in the reference's words,
 * from watch_plan_check(). A question that fails is told by `failed`, and asked again: after 5 s
 * times the square of how many failed in a row, 3 min at most.
 */
#ifndef AGENT_WATCH_H
#define AGENT_WATCH_H

#include "base/buf.h"
#include "base/json.h"
#include "proto/h1.h"

struct uv_loop_s;
struct watch; /* opaque */

/* -- what is looked at ------------------------------------------------------------------------- */

struct watch_plan { /* NULL: not given */
    const char *type;
    const char *key, *prefix, *service, *tag, *state, *name;
    const char *passing_only; /* "true", "false" */
    const char *datacenter;
    bool is_stale;
};

MU_MUST_CHECK enum mu_code watch_plan_check(const struct watch_plan *plan, struct mu_err *err);
/* Of a sound plan: path and query; with an index it waits for another one. */
void watch_plan_target(const struct watch_plan *plan, uint64_t index, struct mu_buf *to);
/* What handlers get, as JSON. `seen`: the index of the answer before, 0: none; of events only those
 * behind it are given. MU_INVALID: no such answer. */
MU_MUST_CHECK enum mu_code watch_plan_result(const struct watch_plan *plan, unsigned status,
                                             struct mu_span body, uint64_t seen, bool is_pretty,
                                             struct mu_buf *to, struct mu_err *err);
/* The index to ask with next: one that went back begins anew, but those of events are no numbers.
 */
uint64_t watch_plan_next(const struct watch_plan *plan, uint64_t before, uint64_t now);
uint64_t watch_retry_ms(unsigned failures); /* in a row, from 1 */

/* -- watching ---------------------------------------------------------------------------------- */

struct watch_options {
    struct watch_plan plan;          /* sound */
    const char *base;                /* "http://127.0.0.1:8500", "unix:///run/muster.sock" */
    const struct mu_header *headers; /* tokens */
    size_t headers_count;
    bool is_pretty;
    /* The first result, and each that differs from the one before. watch_next() when it is dealt
     * with, also from inside; watch_stop() too. */
    void (*changed)(void *data, uint64_t index, struct mu_span json);
    void (*failed)(void *data, const char *why);
    void *data;
};

struct watch *watch_start(struct uv_loop_s *loop, const struct watch_options *options);
void watch_next(struct watch *w);
void watch_stop(struct watch *w); /* no callback after this; frees itself */

#endif
