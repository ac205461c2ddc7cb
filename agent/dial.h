/* dial.h - one connection out, to a name, an address or a unix socket. Private to agent/.
 *
 * A name is looked up on libuv's pool; its addresses are tried in turn, and when all fail the first
 * failure is told, as it is the one people expect.
 *
 * Life:    start -> (done callback), or start -> cancel. The object frees itself.
 * Thread:  the loop's.
 * Errors:  MU_UNREACHABLE in Go's words: "dial tcp 127.0.0.1:80: connect: connection refused",
 *          "dial tcp: lookup x: no such host"; MU_TIMEOUT "dial tcp 10.0.0.1:80: i/o timeout".
 */
#ifndef AGENT_DIAL_H
#define AGENT_DIAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/span.h"

struct uv_loop_s;
struct uv_stream_s;
struct dial; /* opaque: one attempt to connect */

struct dial_to {
    struct mu_span host; /* a literal address or a name */
    uint16_t port;
    const char *path;    /* of a unix socket; then host and port are not looked at */
    uint64_t timeout_ms; /* 0: as long as the system tries */
};

/* `stream` is given, with data == NULL: uv_close() it, and mu_free() it when it has closed. `peer`
 * is the address that answered; without an ip for a unix socket. Both NULL on failure. Never from
 * inside start. */
typedef void dial_fn(void *data, enum mu_code code, struct uv_stream_s *stream,
                     const struct mu_addr *peer, const struct mu_err *err);

struct dial *dial_start(struct uv_loop_s *loop, const struct dial_to *to, dial_fn *done,
                        void *data);
/* No callback after this. Not after the callback: the object is gone then. */
void dial_cancel(struct dial *d);

/* The system's reason for a libuv error, as Go spells it: "connection refused". */
#define DIAL_REASON_MAX 128
void dial_reason(int uv_error, char out[DIAL_REASON_MAX]);

#endif
