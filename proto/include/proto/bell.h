/* bell.h - other threads wake a loop.
 *
 * uv_async_t does that too, but its receiver spins until the sender has left its call, and a sender
 * whose processor the woken loop takes is just inside of it: on a busy machine that cost a put half
 * of its wake-ups a thousand idle rounds and a yield. Here nobody waits for anybody.
 *
 * Life:    new -> ring, ring ... -> close -> (closed callback), after which it is gone.
 * Thread:  mu_bell_ring() from any, as long as somebody sees to it that it comes before the close;
 *          all else on the loop.
 * Errors:  none; no descriptor left is a bug of the limits (asserted).
 */
#ifndef PROTO_BELL_H
#define PROTO_BELL_H

struct uv_loop_s;
struct mu_bell; /* opaque */

typedef void mu_bell_fn(void *data);

/* `rung` runs on the loop some time after mu_bell_ring(); several may become one. What a thread
 * wrote before it rang is seen there. */
struct mu_bell *mu_bell_new(struct uv_loop_s *loop, mu_bell_fn *rung, void *data);
void mu_bell_ring(struct mu_bell *b);
/* No `rung` after this. `closed` (NULL: nobody cares) runs with one of the loop's next turns. */
void mu_bell_close(struct mu_bell *b, mu_bell_fn *closed, void *data);

#endif
