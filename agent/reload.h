/* reload.h - the second half of a reload. Private to agent/. */
#ifndef AGENT_RELOAD_H
#define AGENT_RELOAD_H

#include "agent/agent.h"
#include "base/buf.h"

/* `fresh` is what holds from now on, as far as it needs no restart; given. `restart` names what
 * does. On failure nothing has changed: MU_BUSY (too many services or checks), MU_NOT_FOUND (a
 * check of a service that is not there), MU_UNSUPPORTED (a check of a kind that is not built). */
MU_MUST_CHECK enum mu_code agent__reload_apply(struct agent *a, struct config *fresh,
                                               struct mu_buf *restart, struct mu_err *err);

#endif
