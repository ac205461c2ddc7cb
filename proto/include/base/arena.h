/* arena.h - memory that dies with one request.
 *
 * Everything made for a request is taken from its arena and ends in one mu_arena_deinit(). Blocks
 * grow geometrically from the first size; an allocation larger than a block gets its own.
 *
 * Thread:  one owner.
 * Memory:  nothing is freed one by one; all pointers die at reset or deinit. Bytes are zeroed.
 * Errors:  aborts when the kernel has no memory, or when the total passes `bytes_max` (a bound for
 *          code that decodes bytes of others asks mu_arena_try() instead, which returns NULL).
 */
#ifndef MU_BASE_ARENA_H
#define MU_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

struct mu_arena {
    struct mu_arena_block *newest;
    size_t bytes;     /* handed out so far */
    size_t bytes_max; /* 0: no bound */
    size_t block;     /* size of the next block */
};

void mu_arena_init(struct mu_arena *a, size_t bytes_max);
void mu_arena_reset(struct mu_arena *a); /* frees everything but the first block */
void mu_arena_deinit(struct mu_arena *a);

void *mu_arena_new(struct mu_arena *a, size_t bytes); /* zeroed, aligned for any type */
void *mu_arena_array(struct mu_arena *a, size_t count, size_t bytes);
/* A list that grows by one: where its `count` items of so many bytes are from now on, with room for
 * one more. It doubles whenever count is a power of two, so its room need not be kept. */
void *mu_arena_grow(struct mu_arena *a, void *items, size_t count, size_t bytes);
void *mu_arena_try(struct mu_arena *a, size_t bytes); /* NULL when bytes_max would be passed */

char *mu_arena_text(struct mu_arena *a, const void *data, size_t bytes); /* NUL-terminated copy */
char *mu_arena_strdup(struct mu_arena *a, const char *text);
struct mu_span mu_arena_span(struct mu_arena *a, struct mu_span s); /* copy, NUL behind it */
char *mu_arena_printf(struct mu_arena *a, const char *fmt, ...) MU_PRINTF(2, 3);

#endif
