/* temporary.h - a data directory for an agent that was given none: muster-dev-XXXXXX below TMPDIR,
 * else below /tmp.
 *
 * Thread:  any; the calls block.
 */
#ifndef AGENT_TEMPORARY_H
#define AGENT_TEMPORARY_H

#include "base/err.h"

/* The folder that its owner makes last, when it holds the lock. */
#define TEMPORARY_LAST "state"

/* Make one, and remove those of this user whose owners ended without doing it themselves: up to 64,
 * so that a start does not take long. *dir is the caller's. MU_IO, MU_FULL, MU_NOT_FOUND. */
MU_MUST_CHECK enum mu_code temporary_make(char **dir, struct mu_err *err);

#endif
