/* roster.h - what autopilot decides becomes changes of the configuration, one at a time.
 *
 * Thread:  the loop's. Errors: told in the log; the next look decides anew.
 */
#ifndef AGENT_ROSTER_H
#define AGENT_ROSTER_H

#include "autopilot.h"
#include "core.h"

void agent__roster_open(struct agent *a);
void agent__roster_close(struct agent *a);
/* Is the newest configuration committed, and nothing under way? */
bool agent__roster_may_change(const struct agent *a, const struct consensus_status *status);
/* Carry out the wish of a look, or write down an address when there is none. */
void agent__roster_tend(struct agent *a, const struct autopilot_input *in,
                        const struct autopilot_output *wish);

#endif
