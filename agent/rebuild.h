/* rebuild.h - a state that may not be used any more, and the one that is made anew.
 *
 * What a server has applied can be had again, what it has promised cannot: log and vote stay, the
 * state goes, and what the log no longer holds of it comes from the leader (spec/consensus.md 2.16,
 * 3.6). A note says so from the moment it is decided until another generation of the state counts
 * (snapshot_files.h), so that a crash in between changes nothing.
 *
 *   state/rebuild   "<generation> <reason>": the state of this generation is of no use
 *
 * Thread:  whoever holds the lock of the data directory. These calls block.
 * Errors:  MU_IO, MU_FULL.
 */
#ifndef AGENT_REBUILD_H
#define AGENT_REBUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* The state of this generation is to be made anew, durably. */
MU_MUST_CHECK enum mu_code rebuild_want(const char *data_dir, uint64_t generation, const char *why,
                                        struct mu_err *err);
/* Is it? Then `why` says for what reason. A note about another generation is over. */
MU_MUST_CHECK enum mu_code rebuild_wanted(const char *data_dir, uint64_t generation, bool *wanted,
                                          struct mu_err *why, struct mu_err *err);
MU_MUST_CHECK enum mu_code rebuild_done(const char *data_dir, struct mu_err *err);

#endif
