/* aside.h - a server's old state moved out of the way, so that it joins as a new one.
 *
 * What a removed server holds may never take part again: its disk's id is in the configuration's
 * list of removed ones. Its log and state are kept beside, below a folder of the data directory.
 *
 * A note in the data directory comes first and goes last: a crash in between is made good by
 * aside_finish() at the next start, so that log and state never part.
 *
 * Thread:  whoever holds the lock of the data directory. These calls block.
 * Errors:  MU_IO, MU_FULL.
 */
#ifndef AGENT_ASIDE_H
#define AGENT_ASIDE_H

#include <stdbool.h>

#include "base/err.h"

#define ASIDE_REMOVED "removed" /* where a server puts what it had, by itself: one copy is kept */

/* Decide it, durably; `to` is a folder's name. What lies there already is deleted. */
MU_MUST_CHECK enum mu_code aside_begin(const char *data_dir, const char *to, struct mu_err *err);
/* Has this directory held the state of a server that was set aside? It then forms no cluster by
 * itself: the one that it was in may still live, and add it. */
bool aside_was_member(const char *data_dir);
/* Do what was decided; false in `moved`: nothing was. */
MU_MUST_CHECK enum mu_code aside_finish(const char *data_dir, bool *moved, struct mu_err *err);

#endif
