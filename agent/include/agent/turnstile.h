/* turnstile.h - so many connections accepted in a turn of the loop, and no more.
 *
 * libuv accepts without end what comes faster than it is taken. Between a few and the next few
 * those that have hung up are heard: they would be counted as a crowd, and a client that stays be
 * sent away for them; and everybody else gets his turn. libuv does not go on with a listener whose
 * connection was not accepted.
 *
 *   on connection:    turnstile_pass() -> true: accept it | false: it waits
 *   once in a turn:   turnstile_turn() -> calls back for each that waits
 *
 * Thread: the loop's. A listener that is closed must not wait any more: close all of one turnstile.
 */
#ifndef AGENT_TURNSTILE_H
#define AGENT_TURNSTILE_H

#include <stdbool.h>
#include <stddef.h>

struct uv_stream_s;

#define TURNSTILE_PASSES        64 /* in a turn */
#define TURNSTILE_LISTENERS_MAX 32

struct turnstile { /* zeroed at first */
    size_t passed;
    struct uv_stream_s *held[TURNSTILE_LISTENERS_MAX];
    size_t held_count;
};

/* False: the listener's connection waits for the next turn, which must come. */
bool turnstile_pass(struct turnstile *t, struct uv_stream_s *listener);
typedef void turnstile_fn(struct uv_stream_s *listener, int status); /* as libuv calls it */
void turnstile_turn(struct turnstile *t, turnstile_fn *on_connection);

#endif
