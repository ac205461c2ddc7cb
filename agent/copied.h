/* copied.h - a state that is a snapshot of another server's, and that nothing has proven yet.
 *
 * Such a state is no witness when states are compared (consensus/sums.c): it says what the leader's
 * says that it was copied from. That holds over restarts, so a note says it from before such a
 * state counts until it has come to what others have come to by themselves.
 *
 *   state/copied   "<generation>": the state of this generation (snapshot_files.h) is a copy. One
 *                  from before it may be, too: a crash came before the copy could count.
 *
 * Thread:  one at a time. These calls block.
 * Errors:  MU_IO, MU_FULL.
 */
#ifndef AGENT_COPIED_H
#define AGENT_COPIED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

MU_MUST_CHECK enum mu_code copied_note(const char *data_dir, uint64_t generation,
                                       struct mu_err *err);
MU_MUST_CHECK enum mu_code copied_is(const char *data_dir, uint64_t generation, bool *is,
                                     struct mu_err *err);
/* That of this generation was proven. A note about a later one stays. */
MU_MUST_CHECK enum mu_code copied_proven(const char *data_dir, uint64_t generation,
                                         struct mu_err *err);

#endif
