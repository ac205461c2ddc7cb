/* h1.h - HTTP/1.1 without sockets: bytes to messages (http-parser inside), and heads to bytes.
 *
 * What Debian's http-parser lets through and RFC 9112 forbids is refused here: a bare LF as line
 * end, a blank before the colon, folded headers, NUL in values, Transfer-Encoding with
 * Content-Length, several Content-Lengths, an unknown Transfer-Encoding, sloppy chunks. That is how
 * requests get smuggled. Of these the client role takes a bare LF in a head, as the original does:
 * small health endpoints send it.
 *
 * Interim answers (1xx) are skipped by the client role. Trailer fields are checked and dropped.
 *
 * Life:    new -> feed ... feed -> free. One object per connection and role.
 * Thread:  one owner, no locks.
 * Memory:  spans handed to callbacks are *borrowed*: valid until the callback returns.
 * Errors:  mu_h1_feed() fails once and for all (`status` says what to answer: 400, 413, 431, 501,
 *          505); the owner answers, closes and frees.
 */
#ifndef MU_PROTO_H1_H
#define MU_PROTO_H1_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

struct mu_h1; /* opaque */

enum mu_h1_role {
    MU_H1_SERVER, /* reads requests */
    MU_H1_CLIENT, /* reads responses */
};

struct mu_header {
    struct mu_span name, value; /* name as sent; compare with mu_span_eq_fold() */
};

struct mu_h1_head {
    struct mu_span method; /* server: "GET" */
    struct mu_span target; /* server: "/v1/kv/a?raw", as sent */
    unsigned status;       /* client: 200 */
    struct mu_span reason; /* client: "OK", as sent */
    unsigned minor;        /* 0 or 1: HTTP/1.x */
    const struct mu_header *headers;
    size_t headers_count;
    bool keeps_alive;           /* by version and Connection */
    bool expects_continue;      /* Expect: 100-continue */
    bool upgrades_to_h2c;       /* Upgrade: h2c with HTTP2-Settings, RFC 7540 section 3.2; false
                                 * for a request with a body: answer that in HTTP/1.1 */
    struct mu_span h2_settings; /* decoded base64url of that header */
    bool has_body;              /* Content-Length above 0, or chunked */
    bool is_chunked;
    uint64_t content_length; /* 0 unless given */
};

struct mu_h1_events {
    /* Return false to pause: mu_h1_feed() returns after this callback with *used set, and goes on
     * with the rest when it is fed again; a paused message without a rest ends at the next feed,
     * be it of no bytes. A server pauses at `end` to answer in order. None may be NULL. */
    bool (*head)(void *data, const struct mu_h1_head *head);
    bool (*body)(void *data, struct mu_span part);
    bool (*end)(void *data); /* the message is complete */
};

#define MU_H1_HEAD_BYTES_MAX (80U * 1024) /* http-parser's own bound */

struct mu_h1_options {
    size_t head_bytes_max;    /* 431; at most MU_H1_HEAD_BYTES_MAX */
    size_t headers_count_max; /* 431 */
    /* 413, also for chunked bodies; 0: no limit. The `head` callback comes before the failure, so
     * that the answer can name what was asked for. */
    uint64_t body_bytes_max;
};

struct mu_h1 *mu_h1_new(enum mu_h1_role role, const struct mu_h1_options *options,
                        const struct mu_h1_events *events, void *data);
void mu_h1_free(struct mu_h1 *h); /* NULL is fine; not from inside a callback */

/* Feed bytes; *used says how many were consumed (less than all only after a pause). */
MU_MUST_CHECK enum mu_code mu_h1_feed(struct mu_h1 *h, struct mu_span bytes, size_t *used,
                                      struct mu_err *err);
unsigned mu_h1_status(const struct mu_h1 *h); /* after a failure: the status to answer with */

/* Client: the next response answers a HEAD (no body follows). */
void mu_h1_expect_no_body(struct mu_h1 *h);

/* Client: the peer closed. MU_OK when that ends a message legally, or comes between two; else
 * MU_INVALID "unexpected EOF", or "EOF" when not one byte of an answer came. */
MU_MUST_CHECK enum mu_code mu_h1_eof(struct mu_h1 *h, struct mu_err *err);

/* "HTTP/1.1 200 OK\r\n", and the reason phrase of a status in Go's words ("Unknown" for others). */
void mu_h1_status_line(struct mu_buf *to, unsigned status);
const char *mu_http_reason(unsigned status);
bool mu_http_is_token(struct mu_span text); /* a method, a field name: RFC 9110 section 5.6.2 */
/* "Name: value\r\n"; control bytes in the value become blanks. */
void mu_h1_header(struct mu_buf *to, const char *name, struct mu_span value);

#endif
