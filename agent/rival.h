/* rival.h - two living nodes of one name: which of them stays (spec/gossip.md 13.9). */
#ifndef AGENT_RIVAL_H
#define AGENT_RIVAL_H

#include <stdbool.h>

#include "base/id.h"

/* Of `responses` members that know the name, `ours` have it at our address. A majority decides.
 * Where there is none, Serf ends both of equal halves; here the smaller node id stays, which both
 * sides know. */
bool rival_stays(unsigned responses, unsigned ours, const struct mu_id *own,
                 const struct mu_id *other);

#endif
