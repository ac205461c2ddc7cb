/* discover.h - an agent that finds its cluster on the link by multicast DNS (mdns.h). */
#ifndef AGENT_DISCOVER_H
#define AGENT_DISCOVER_H

#include "core.h"

/* With `discover` set: listen, answer, ask, join. Errors: MU_IO (port 5353 is held by a program
 * that does not share it), MU_INVALID (no interface to do it on). */
MU_MUST_CHECK enum mu_code agent__discover_open(struct agent *a, struct mu_err *err);
/* Closes sockets and handles; `closed` comes once, from a later turn. Only when it is open. */
void agent__discover_close(struct agent *a, agent_stopped_fn *closed, void *data);
bool agent__discover_is_open(const struct agent *a);

#endif
