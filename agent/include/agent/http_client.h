/* http_client.h - one HTTP request out: for checks, watches and the command line.
 *
 * No keep-alive, no proxies; redirects are followed up to a bound. Head, body and time have caps.
 * Names are resolved on libuv's pool.
 *
 * Life:    start -> (done callback), or start -> cancel. The object frees itself.
 * Thread:  the loop's.
 * Memory:  the request is copied; the response in the callback is borrowed.
 * Errors:  in Go's words where people see them: "dial tcp 127.0.0.1:80: connect: connection
 *          refused", "context deadline exceeded (Client.Timeout exceeded while awaiting headers)".
 */
#ifndef AGENT_HTTP_CLIENT_H
#define AGENT_HTTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"
#include "proto/h1.h"

struct uv_loop_s;
struct http_client; /* opaque: one request in flight */

struct http_client_request {
    const char *method; /* "GET" */
    const char *url;    /* "http://host:port/path?query", or "unix:///path" with `target` */
    const char *target; /* path for unix sockets; else NULL */
    /* Host, User-Agent, Authorization: as given here; Content-Length and Connection are ours. */
    const struct mu_header *headers;
    size_t headers_count;
    struct mu_span body;
    /* Instead of `body`, one that is too large for memory: up to `room` bytes at a time until
     * `source_bytes` were given, from the loop. False: it cannot go on, and says so elsewhere. */
    bool (*source)(void *data, void *to, size_t room, size_t *got);
    uint64_t source_bytes;
    uint64_t timeout_ms; /* for everything together; 0: none */
    uint64_t head_bytes_max,
        body_bytes_max; /* a larger body is cut, not an error; 0: 64 KiB, none */
    bool keeps_tail;    /* of a larger body the end is kept: it is read to its end */
    /* Each part of a body with status 200 as it comes, borrowed: none of it is kept then.
     * Nothing is cancelled from inside; false: no more is wanted, and that was the end of it.
     * NULL: the body is kept. */
    bool (*part)(void *data, struct mu_span bytes);
    unsigned redirects_max; /* 0: a redirect is the answer */
};

struct http_client_response {
    unsigned status;
    const char *reason; /* "OK" */
    const struct mu_header *headers;
    size_t headers_count;
    struct mu_span body;
    bool is_cut; /* the body was longer than body_bytes_max */
};

/* When code is not MU_OK, err says why, and `response` is NULL unless its head had come: then it is
 * what there was of it when the body broke off. Never from inside start. */
typedef void http_client_fn(void *data, enum mu_code code,
                            const struct http_client_response *response, const struct mu_err *err);

/* A malformed URL or an unsupported scheme is reported through the callback too. */
struct http_client *http_client_start(struct uv_loop_s *loop,
                                      const struct http_client_request *request,
                                      http_client_fn *done, void *data);
/* No callback after this. Not after the callback: the object is gone then. */
void http_client_cancel(struct http_client *c);

#endif
