/* check_type.h - one kind of health check: how it is recognised, run and stopped.
 *
 * The table is in agent/check_types.c; a type is a row there and a file check_<type>.c. The
 * scheduler (agent/check.c) decides when to run and what a result means; a type only carries out
 * one run and reports it.
 *
 * Thread:  the loop's. Memory: the definition is borrowed until the run has ended.
 */
#ifndef AGENT_CHECK_TYPE_H
#define AGENT_CHECK_TYPE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/definition.h"
#include "agent/local.h"

struct uv_loop_s;
struct check_run; /* opaque to the scheduler: one run in flight, owned by the type */

/* The end of a run; exactly once, never from inside start. `output` is borrowed. */
typedef void check_done_fn(void *data, enum check_status status, struct mu_span output);

struct check_type {
    const char *key;                                   /* "http": as the catalog shows it */
    bool (*matches)(const struct check_definition *d); /* is this definition of this type? */
    bool is_scheduled;                                 /* has runs; false: ttl, alias */
    const char *refusal; /* why none can be registered here; NULL: it works */
    struct check_run *(*start)(struct uv_loop_s *loop, const struct check_definition *d,
                               check_done_fn *done, void *data);
    void (*stop)(struct check_run *run); /* no `done` after this; the run frees itself */
};

extern const struct check_type check_types[];
extern const size_t check_types_count;

/* The first row that matches, in the order of http-api 3.4; NULL: none. */
const struct check_type *check_type_of(const struct check_definition *d);

#endif
