/* recover.h - the durable log of a server that is stopped: looked at, and continued by hand after
 * the quorum was lost (spec/consensus.md 2.14), or freed of a promise that nobody will ever decide.
 *
 * Recovery appends a configuration to the log of a survivor, one term above everything in it, and
 * begins a new epoch: servers of the epoch before are refused whatever they hold, so the lost
 * majority, should it return, cannot mix with what goes on from here. Everything in the log counts
 * as committed from then on, also what perhaps never was.
 *
 * Thread:  any; these calls block. Nobody else may have the directory open (the caller holds the
 *          lock of the data directory).
 * Errors:  MU_NOT_FOUND (no log here), MU_FOREIGN (of another node), MU_UNSUPPORTED (of a newer
 *          version), MU_CORRUPT (file, offset and what to do), MU_FULL, MU_IO.
 */
#ifndef CONSENSUS_RECOVER_H
#define CONSENSUS_RECOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "consensus/consensus.h"

/* What the state beside the log contains: entries up to this one; index 0: nothing. */
struct consensus_contained {
    uint64_t index, term;
};

struct consensus_inspection {
    struct consensus_contained state; /* as it was said */
    struct mu_id disk, cluster;       /* cluster: none while fresh */
    uint64_t epoch, boot_count;
    uint64_t term; /* the highest it has seen */
    uint64_t base_index, last_index, last_term;
    uint32_t chain; /* over all entries up to the last: equal logs have equal ones */
    struct consensus_config config; /* the newest; no servers: none yet */
    bool is_promised;               /* fresh, and bound to a set that coordinator decides about */
    struct mu_id coordinator;
    enum mu_code damage_code;     /* MU_CORRUPT, or what kept the log from being read: MU_IO ... */
    char damage[MU_ERR_TEXT_MAX]; /* of the log: all from `term` on is unknown then; "": none */
    /* Damage that takes nothing which is not in the state, and which the server sheds when it
     * starts: the log begins behind it; "": none. */
    char harmless[MU_ERR_TEXT_MAX];
};

/* Writes nothing. `server`: the node whose directory it is; `state`: damage in front of its end
 * loses nothing. */
MU_MUST_CHECK enum mu_code consensus_inspect(const char *dir, const struct mu_id *server,
                                             const struct consensus_contained *state,
                                             struct consensus_inspection *out, struct mu_err *err);

/* What recovery would write: `servers` as they are to be, by id ascending; all others of the
 * inspected configuration are removed for ever. The same inspection and servers give the same
 * bytes.
 */
void consensus_recovery_config(const struct consensus_inspection *seen,
                               const struct consensus_server *servers, size_t count,
                               struct consensus_config *out);

/* Append it behind the last entry, in this term (above seen->term) and this epoch (above
 * seen->epoch). MU_CONFLICT: the log is not what was inspected. */
MU_MUST_CHECK enum mu_code consensus_recover(const char *dir, const struct mu_id *server,
                                             const struct consensus_inspection *seen,
                                             const struct consensus_config *config, uint64_t term,
                                             uint64_t epoch, struct mu_err *err);

/* Forget a promise to form a cluster. MU_CONFLICT: there is a cluster already. */
MU_MUST_CHECK enum mu_code consensus_promise_reset(const char *dir, const struct mu_id *server,
                                                   struct mu_err *err);

/* Of a log that is kept and never used again: remove what it holds for a full disk (spare segments
 * and the ballast), which says nothing. A directory that is not there is fine. */
MU_MUST_CHECK enum mu_code consensus_reserve_drop(const char *dir, struct mu_err *err);

#endif
