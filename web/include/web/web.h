/* web.h - the front doors: HTTP and DNS.
 *
 * One handle. Listeners, connections, routes, the DNS responder. Also the two functions through
 * which requests that client agents forwarded reach the same routes (agent_set_front).
 *
 * Life:    web_new -> web_start -> web_stop -> (stopped callback) -> web_free. A web_start() that
 *          failed is stopped like any other. Requests that still wait for the agent end with it, so
 *          web_free() comes after agent_stop() has completed.
 * Thread:  the loop's.
 * Errors:  a port that is taken is MU_IO with the text of agent-behaviour 1.1 ("listen tcp
 *          127.0.0.1:8500: bind: address already in use").
 */
#ifndef WEB_WEB_H
#define WEB_WEB_H

#include "agent/agent.h"
#include "base/err.h"

struct web; /* opaque */

struct web *web_new(struct agent *agent); /* the agent is borrowed until web_free() */
MU_MUST_CHECK enum mu_code web_start(struct web *w, struct mu_err *err);
/* Close listeners, answer what is parked as it is, let the rest of what runs end for a few seconds,
 * end connections. */
typedef void web_stopped_fn(void *data);
void web_stop(struct web *w, web_stopped_fn *stopped, void *data);
void web_free(struct web *w); /* NULL is fine */

#endif
