/* dns.h - the DNS responder, for web.c: one handle that owns its sockets.
 *
 * A server answers from the prepared rows of its own catalog. A client agent answers what needs no
 * catalog (addresses in names, refusals, malformed messages) and forwards the rest whole; what it
 * forwards reaches a server's dns_serve().
 *
 * Life:    dns_new -> dns_start -> dns_stop -> (stopped callback) -> dns_free. dns_serve works from
 *          dns_new on, also where ports.dns is off.
 * Thread:  the loop's.
 * Errors:  a port that is taken is MU_IO: "listen udp 127.0.0.1:8600: bind: address already in
 *          use"; a domain that is no name, or an alternative one that hides a keyword: MU_INVALID.
 */
#ifndef WEB_DNS_H
#define WEB_DNS_H

#include "agent/agent.h"
#include "base/err.h"

struct dns; /* opaque */

struct dns *dns_new(struct agent *agent); /* the agent is borrowed until dns_free() */
/* Bind UDP and TCP on every configured address. On failure nothing stays open. */
MU_MUST_CHECK enum mu_code dns_start(struct dns *d, struct mu_err *err);
typedef void dns_stopped_fn(void *data);
/* Close everything; queries in flight end without an answer, forwarded ones with MU_CANCELLED.
 * `stopped` comes once, from the loop, never from inside this call; also when dns_start() was not
 * called or failed. */
void dns_stop(struct dns *d, dns_stopped_fn *stopped, void *data);
/* NULL is fine; before the first dns_start() or dns_serve(), or after the stopped callback. */
void dns_free(struct dns *d);

/* Answer a query that another agent forwarded: agent_front.dns and .dns_cancel. `reply` comes
 * exactly once, perhaps before this returns (then NULL is returned). A message that deserves no
 * answer gives MU_INVALID and no bytes. After cancelling there is no reply. */
void *dns_serve(struct dns *d, const struct agent_dns_request *request, agent_dns_fn *reply,
                void *reply_data);
void dns_serve_cancel(struct dns *d, void *running);

/* agent_front.dns_counts. */
void dns_counted(const struct dns *d, struct agent_front_dns *out);

#endif
