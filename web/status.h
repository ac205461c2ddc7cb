/* status.h - what a mu_code looks like outside: HTTP status, gRPC status, DNS rcode.
 *
 * The switches have no default: a new code does not compile until somebody decided its answer.
 */
#ifndef WEB_STATUS_H
#define WEB_STATUS_H

#include "base/err.h"
#include "proto/grpc.h"

/* RFC 1035 4.1.1 and RFC 2136 2.2: the rcodes that codes map to. */
enum status_rcode {
    STATUS_NOERROR = 0,
    STATUS_FORMERR = 1,
    STATUS_SERVFAIL = 2,
    STATUS_NXDOMAIN = 3,
    STATUS_NOTIMP = 4,
    STATUS_REFUSED = 5,
};

unsigned status_http(enum mu_code code);
enum mu_grpc_status status_grpc(enum mu_code code);
enum status_rcode status_dns(enum mu_code code);

/* The status of what a command was refused with by the catalog: semantic validation is 500 in the
 * reference, and clients match on 500 with the text (http-api 1.5). A text that says "Permission
 * denied" or "ACL not found" is 403 wherever it came from. */
unsigned status_http_result(enum mu_code code, const char *text);

/* The body for a failure that came without words of its own (http-api 1.6). Never NULL. */
const char *status_text(enum mu_code code);

#endif
