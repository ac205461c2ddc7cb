/* h2.h - HTTP/2 without sockets (nghttp2 inside): one connection, either side.
 *
 * Bytes go in through mu_h2_feed() and come out through mu_h2_pull(); everything between is
 * callbacks and calls on stream ids. The web server, the RPC server and the RPC client use it.
 * Limits are set explicitly: streams, header list, settings and ping floods, window sizes.
 *
 * Life:    new -> feed/pull ... -> free. A stream ends with exactly one `closed` callback; one that
 *          the peer broke before its headers were complete is never heard of.
 * Thread:  one owner, no locks. Callbacks come from inside feed and pull; they may call anything
 *          here but feed, pull and free.
 * Memory:  spans in callbacks are *borrowed*. Bytes given to send are *copied*.
 * Errors:  mu_h2_feed() fails once and for all; pull what is left (GOAWAY), then close. A breach
 *          of protocol is seen by feed or, later, by mu_h2_wants_close(): ask it after each pull.
 *          Calls on a stream that is gone do nothing.
 */
#ifndef MU_PROTO_H2_H
#define MU_PROTO_H2_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "proto/h1.h"

struct mu_h2; /* opaque */

enum mu_h2_role {
    MU_H2_SERVER,
    MU_H2_CLIENT,
};

/* An owner that has more to send stops when this much is queued on a stream and goes on at
 * `drained`: a frame's worth many times over, so that the peer never waits for us. */
#define MU_H2_QUEUE_BYTES (256U * 1024)

struct mu_h2_options {
    uint32_t streams_max;             /* concurrent streams the peer may open (server) */
    uint32_t window_bytes;            /* initial window of each stream we receive on */
    uint32_t connection_window_bytes; /* at least 65535 */
    uint32_t headers_bytes_max;       /* of one header list, RFC 9113 section 6.5.2; a stream that
                                       * exceeds it is reset with ENHANCE_YOUR_CALM */
    bool manual_window;               /* the owner calls mu_h2_consume(); else it is automatic */
};

struct mu_h2_events {
    /* A header block is complete. Request: ":method", ":path", ":authority", ":scheme" come first.
     * Response or trailers likewise; `is_trailers` tells. `has_ended`: no DATA follows. */
    void (*headers)(void *data, int32_t stream, const struct mu_header *headers, size_t count,
                    bool is_trailers, bool has_ended);
    void (*body)(void *data, int32_t stream, struct mu_span part);
    void (*end)(void *data,
                int32_t stream); /* the peer's side is complete, after body or headers */
    /* Gone, for whatever reason; error_code is HTTP/2's (0: NO_ERROR). Comes exactly once. */
    void (*closed)(void *data, int32_t stream, uint32_t error_code);
    /* The stream's send queue had reached MU_H2_QUEUE_BYTES and fell below half of it: more may be
     * sent. May be NULL. */
    void (*drained)(void *data, int32_t stream);
    /* The peer says it goes away: no new streams on this connection. May be NULL. */
    void (*going)(void *data);
};

struct mu_h2 *mu_h2_new(enum mu_h2_role role, const struct mu_h2_options *options,
                        const struct mu_h2_events *events, void *data);
void mu_h2_free(struct mu_h2 *h); /* NULL is fine; open streams get no `closed` */

/* Server side of an h2c upgrade: `settings` from the HTTP2-Settings header; the upgraded request
 * becomes stream 1, half closed: the owner answers on it. */
MU_MUST_CHECK enum mu_code mu_h2_upgrade(struct mu_h2 *h, struct mu_span settings, bool was_head,
                                         struct mu_err *err);

MU_MUST_CHECK enum mu_code mu_h2_feed(struct mu_h2 *h, struct mu_span bytes, struct mu_err *err);

/* Append what is ready to be sent, at most about `bytes_max`; returns how much was appended.
 * 0: nothing is ready now. */
size_t mu_h2_pull(struct mu_h2 *h, struct mu_buf *to, size_t bytes_max);
bool mu_h2_wants_close(const struct mu_h2 *h); /* nothing to read or write any more */

/* Client: open a stream. Returns its id (> 0), or -1 when no more can be opened here: the peer's
 * limit is reached (100 until its settings came), it goes away, or the ids are used up. */
int32_t mu_h2_request(struct mu_h2 *h, const struct mu_header *headers, size_t count,
                      bool has_ended);
/* Server: answer head. ":status" is the first header. */
void mu_h2_respond(struct mu_h2 *h, int32_t stream, const struct mu_header *headers, size_t count,
                   bool has_ended);
/* Queue body bytes; `ends` closes our side unless trailers follow. Bytes are copied. */
void mu_h2_send(struct mu_h2 *h, int32_t stream, struct mu_span bytes, bool ends);
/* Close our side with trailers, after all queued bytes. */
void mu_h2_trailers(struct mu_h2 *h, int32_t stream, const struct mu_header *headers, size_t count);
void mu_h2_reset(struct mu_h2 *h, int32_t stream, uint32_t error_code);
void mu_h2_consume(struct mu_h2 *h, int32_t stream, size_t bytes); /* with manual_window */
size_t mu_h2_queued(const struct mu_h2 *h, int32_t stream);        /* bytes not yet pulled */
size_t mu_h2_queued_all(const struct mu_h2 *h);                    /* the same, of all streams */
void mu_h2_ping(struct mu_h2 *h);
void mu_h2_goaway(struct mu_h2 *h); /* finish what runs, accept nothing new */

/* What the owner hangs on a stream; NULL until set, and after `closed`. */
void mu_h2_set_data(struct mu_h2 *h, int32_t stream, void *data);
void *mu_h2_data(const struct mu_h2 *h, int32_t stream);

#define MU_H2_NO_ERROR          0U
#define MU_H2_INTERNAL_ERROR    2U
#define MU_H2_REFUSED_STREAM    7U
#define MU_H2_CANCEL            8U
#define MU_H2_ENHANCE_YOUR_CALM 11U

#endif
