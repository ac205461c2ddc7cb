/* forward.h - requests that are not this agent's: whole to a server, and whole from client agents.
 */
#ifndef WEB_FORWARD_H
#define WEB_FORWARD_H

#include "front.h"

/* On a client agent: hand the request to a server and its answer to the client. */
void forward_request(struct request *r);

/* The target that is forwarded: as it came, with near=_agent replaced by this node's name. */
struct mu_span forward_target(struct request *r, const char *node);

#endif
