/* peer.h - a server in the test's own loop that says one thing per connection.
 *
 * It reads a request (head, and as many bytes as Content-Length says), writes the reply that is
 * due, and then does what `then` says. Bound to a free port of 127.0.0.1, or to a unix socket.
 *
 * Life:    new -> ... -> close -> (run the loop until it is empty) -> free.
 */
#ifndef TESTS_PEER_H
#define TESTS_PEER_H

#include <stddef.h>

#include "base/buf.h"

struct uv_loop_s;
struct peer; /* opaque */

enum peer_then {
    PEER_CLOSES, /* after the reply */
    PEER_HANGS,
    PEER_RESETS,
};

struct peer *peer_new(struct uv_loop_s *loop, const char *unix_path); /* NULL: a port */
void peer_close(struct peer *p);
void peer_stop_listening(struct peer *p); /* its port refuses from the next turn on */
void peer_free(struct peer *p);

unsigned peer_port(const struct peer *p); /* 0: a unix socket */
/* Ends with NULL; one per connection, the last for all that follow. ":P" becomes the port. */
void peer_replies(struct peer *p, const char *const *replies, enum peer_then then);
/* All requests, one behind the other. */
struct mu_buf *peer_heard(struct peer *p);

/* `text` with each `from` replaced. */
void peer_replace(struct mu_buf *to, const char *text, const char *from, const char *by);
/* `text` with ":P" replaced by the port, and the other way round. */
void peer_with_port(const struct peer *p, struct mu_buf *to, const char *text);
void peer_without_port(const struct peer *p, struct mu_buf *to, const char *text);

#endif
