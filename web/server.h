/* server.h - the sockets of the HTTP front door.
 *
 * Life:    server_new -> server_start -> server_stop -> (stopped callback) -> server_free.
 * Thread:  the loop's.
 * Errors:  MU_IO in the reference's words: "listen tcp 127.0.0.1:8500: bind: address already in
 *          use". On failure nothing stays open.
 */
#ifndef WEB_SERVER_H
#define WEB_SERVER_H

#include "front.h"

struct server; /* opaque */

struct server *server_new(struct front *front); /* borrowed until server_free() */
MU_MUST_CHECK enum mu_code server_start(struct server *s, struct mu_err *err);
/* Close the listeners, let what runs end, close everything. `stopped` comes once, from the loop,
 * also when server_start() was not called or failed. */
typedef void server_stopped_fn(void *data);
void server_stop(struct server *s, server_stopped_fn *stopped, void *data);
void server_free(struct server *s); /* NULL is fine; not between start and the stopped callback */

#endif
