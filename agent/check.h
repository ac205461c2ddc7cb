/* check.h - when checks run and what their results mean. Private to agent/.
 *
 * Runners hang on the definitions in local.h: the owner hands on every notice of local to
 * checks_changed(). A check runs first after a random part of its interval, then an interval after
 * each run has ended; runs of one check never overlap. A result counts once it came
 * success_before_passing or failures_before_critical times in a row; then it goes to
 * local_check_update(). A TTL check has no runs, only a deadline that each report moves.
 *
 * Beside that a reaper looks every 30 s for services of which a check has been critical for longer
 * than its deregister_critical_service_after, and removes them from local.
 *
 * Thread:  the loop's.
 * Time:    monotonic milliseconds, asked of the owner.
 * Memory:  definitions are copied; local and rand are borrowed until checks_free().
 */
#ifndef AGENT_CHECK_H
#define AGENT_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/check_type.h"
#include "agent/definition.h"
#include "agent/local.h"
#include "base/err.h"
#include "base/rand.h"

struct checks; /* opaque */

struct checks_options {
    struct uv_loop_s *loop; /* handed to the types */
    struct local *local;
    struct mu_rand *rand;
    size_t output_bytes_max; /* check_output_max_size; a check may set less */
    bool discards_output;    /* discard_check_output */
    uint64_t (*now)(void *owner);
    /* Call checks_wake() at this time, once; replaces what was said before. 0: not needed. */
    void (*aim)(void *owner, uint64_t at_ms);
    void *owner;
    const struct check_type *types; /* NULL: check_types; tests bring their own */
    size_t types_count;
};

struct checks *checks_new(const struct checks_options *options);
/* Ends all runs; nothing is reported any more. NULL is fine. */
void checks_free(struct checks *c);

void checks_set_discard(struct checks *c, bool discards_output);

/* A notice of local's listener, of any kind. */
void checks_changed(struct checks *c, enum local_change_kind kind, struct mu_span id);
void checks_wake(struct checks *c);

/* pass, warn, fail, update. MU_NOT_FOUND `CheckID "x" does not have associated TTL`. */
MU_MUST_CHECK enum mu_code checks_ttl(struct checks *c, struct mu_span id, enum check_status status,
                                      struct mu_span output, struct mu_err *err);

/* Can a check of this kind be run here? MU_UNSUPPORTED, in the words of http-api 3.4; to be asked
 * before a definition goes into local. */
MU_MUST_CHECK enum mu_code checks_supported(const struct check_definition *d, struct mu_err *err);

#endif
