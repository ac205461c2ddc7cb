/* doctor.h - what all agents together know of what is wrong: ways that carry nothing, members that
 * are failed or silent, servers that cannot do their duty, strangers at the door.
 *
 * Thread:  the loop's.
 * Memory:  a report is borrowed until the callback returns.
 */
#ifndef AGENT_DOCTOR_H
#define AGENT_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct agent;

enum agent_finding_kind {
    AGENT_FINDING_LINK,    /* datagrams do not arrive */
    AGENT_FINDING_NARROW,  /* small datagrams arrive, large ones do not */
    AGENT_FINDING_PORT,    /* a TCP port is not reached */
    AGENT_FINDING_FAILED,  /* a member is failed */
    AGENT_FINDING_STATE,   /* a server, or an agent without servers: not as it should be */
    AGENT_FINDING_REFUSED, /* packets of a stranger were turned away within a minute */
    AGENT_FINDING_BUSY,    /* the kernel dropped datagrams within a minute */
    AGENT_FINDING_CLOCK,   /* a wall clock that is off */
};

struct agent_finding {
    enum agent_finding_kind kind;
    const char *seen_by;
    const char *from, *to; /* LINK, NARROW, PORT: seen_by is one of the two. STATE: `to` is the
                            * other member that it is about. Else "" */
    const char *name;      /* FAILED: the member. STATE: "no-leader", "disk-full", ... REFUSED: the
                            * stranger's address. Else "" */
    const char *more;      /* FAILED: who declared it, "" when that is forgotten. STATE: in words.
                            * REFUSED: the counter that says why. Else "" */
    const char *way;       /* LINK, PORT, FAILED: what was met on TCP: "open", "refused", "silent",
                            * "stalled" or "unknown" */
    int64_t number; /* LINK: probes missed. NARROW: bytes that do not arrive. PORT: which. FAILED:
                     * for so many ms. REFUSED, BUSY: how many since it started. CLOCK: ms ahead of
                     * the one that asks */
};

struct agent_silent {
    const char *name;
    const char *tcp; /* what the one that asks met on its stream port */
};

struct agent_diagnosis {
    const char *asked;                 /* this agent */
    size_t members;                    /* alive */
    const struct agent_silent *silent; /* of these, who did not answer in time */
    size_t silent_count;
    const struct agent_finding *findings;
    size_t findings_count;
    bool has_more; /* somebody saw more than it could tell */
};

typedef void agent_doctor_fn(void *data, enum mu_code code, const struct agent_diagnosis *d,
                             const struct mu_err *err);
/* Ask all members. `done` comes exactly once, never from inside: when all have answered, or when
 * the time of a query is over. Errors: MU_BUSY, MU_CANCELLED. */
void agent_doctor(struct agent *a, agent_doctor_fn *done, void *data);

#endif
