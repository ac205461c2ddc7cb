/* fetch.h - pages of the state that are not in memory, brought there behind the loop's back.
 *
 * A read that must not wait for the disk says which page it lacked (catalog_prompt_end). It is
 * read on libuv's pool, with its neighbours, into the memory of the kernel; then whoever waits
 * evaluates again, and may lack another one. Pages that are missed one behind the other are fetched
 * in ever larger pieces, so that a long walk over a cold file takes few rounds.
 *
 * Thread:  the loop's.
 * Memory:  what is asked for is copied.
 */
#ifndef AGENT_FETCH_H
#define AGENT_FETCH_H

#include "catalog/query.h"

struct uv_loop_s;
struct fetcher; /* opaque */

typedef void fetched_fn(void *data);

/* `fetched` whenever something has come, never from inside a call. */
struct fetcher *fetcher_new(struct uv_loop_s *loop, fetched_fn *fetched, void *data);
/* `path`: of the state. What is asked for meanwhile comes together. */
void fetcher_add(struct fetcher *f, const char *path, const struct catalog_miss *miss);
/* No callback after this; what is being read is waited for by the pool, and by nobody else. */
void fetcher_free(struct fetcher *f);

#endif
