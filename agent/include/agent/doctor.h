/* doctor.h - what all agents together know about ways that carry nothing.
 *
 * Thread:  the loop's.
 * Memory:  a report is borrowed until the callback returns.
 */
#ifndef AGENT_DOCTOR_H
#define AGENT_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct agent;

struct agent_broken_link { /* datagrams do not arrive */
    const char *from, *to;
    const char *seen_by; /* one of the two */
    const char *tcp;     /* what seen_by met on TCP: "open", "refused", "silent", ... */
    unsigned missed;     /* probes in a row */
};

struct agent_diagnosis {
    size_t members;            /* alive */
    const char *const *silent; /* of these, who did not answer in time */
    size_t silent_count;
    const struct agent_broken_link *links;
    size_t links_count;
    bool has_more; /* somebody saw more than it could tell */
};

typedef void agent_doctor_fn(void *data, enum mu_code code, const struct agent_diagnosis *d,
                             const struct mu_err *err);
/* Ask all members. `done` comes exactly once, never from inside: when all have answered, or when
 * the time of a query is over. Errors: MU_BUSY, MU_CANCELLED. */
void agent_doctor(struct agent *a, agent_doctor_fn *done, void *data);

#endif
