/* listeners.h - where the HTTP front door listens: TCP addresses and unix sockets.
 *
 * Life:    listeners_open -> listeners_close -> (closed callback). Zeroed at first.
 * Thread:  the loop's.
 * Errors:  MU_IO in the reference's words: "listen tcp 127.0.0.1:8500: bind: address already in
 *          use".
 */
#ifndef WEB_LISTENERS_H
#define WEB_LISTENERS_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/config.h"
#include "agent/turnstile.h"
#include "base/err.h"

struct uv_loop_s;
struct uv_stream_s;
struct listener;

#define LISTENERS_MAX 32

struct listeners {
    struct listener *items[LISTENERS_MAX];
    size_t count;
    size_t open_count; /* handles that are not closed yet */
    struct turnstile turnstile;
    void (*accept)(void *data, struct uv_stream_s *listener, bool is_pipe);
    void (*closed)(void *data); /* all of them, after listeners_close() */
    void *data;
};

/* Listen on everything that addresses.http names. On failure those that are open stay so: close
 * them. */
MU_MUST_CHECK enum mu_code listeners_open(struct listeners *ls, struct uv_loop_s *loop,
                                          const struct config *config, struct mu_err *err);
/* Once in a turn of the loop: accepts what had to wait for it. */
void listeners_turn(struct listeners *ls);
/* `closed` comes from the loop once all are; never when none was open. */
void listeners_close(struct listeners *ls);

#endif
