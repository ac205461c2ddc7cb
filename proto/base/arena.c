#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#define FIRST_BLOCK 1024
#define BLOCK_MAX   (256 * 1024)

struct mu_arena_block {
    struct mu_arena_block *older;
    size_t room; /* bytes of data[] */
    size_t used;
    alignas(max_align_t) uint8_t data[];
};

void mu_arena_init(struct mu_arena *a, size_t bytes_max)
{
    *a = (struct mu_arena){ .bytes_max = bytes_max, .block = FIRST_BLOCK };
}

static void blocks_free(struct mu_arena *a, const struct mu_arena_block *keep)
{
    struct mu_arena_block *b = a->newest;

    while (b != keep) {
        struct mu_arena_block *older = b->older;

        mu_free(b);
        b = older;
    }
}

void mu_arena_reset(struct mu_arena *a)
{
    struct mu_arena_block *first = a->newest;

    while (first != NULL && first->older != NULL) {
        first = first->older;
    }
    blocks_free(a, first);
    if (first != NULL) {
        memset(first->data, 0, first->used);
        first->used = 0;
    }
    a->newest = first;
    a->bytes = 0;
    a->block = FIRST_BLOCK;
}

void mu_arena_deinit(struct mu_arena *a)
{
    blocks_free(a, NULL);
    *a = (struct mu_arena){ .bytes_max = a->bytes_max, .block = FIRST_BLOCK };
}

static size_t round_up(size_t bytes)
{
    return (bytes + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
}

void *mu_arena_try(struct mu_arena *a, size_t bytes)
{
    MU_ASSERT(bytes < SIZE_MAX / 4);
    if (a->bytes_max > 0 && (bytes > a->bytes_max || a->bytes > a->bytes_max - bytes)) {
        return NULL;
    }
    size_t need = round_up(bytes > 0 ? bytes : 1);
    struct mu_arena_block *b = a->newest;

    if (b == NULL || b->room - b->used < need) {
        size_t room = a->block > need ? a->block : need;

        b = mu_new(sizeof *b + room);
        b->room = room;
        b->older = a->newest;
        a->newest = b;
        a->block = a->block < BLOCK_MAX ? a->block * 2 : a->block;
    }
    void *ptr = b->data + b->used;

    b->used += need;
    a->bytes += bytes;
    return ptr;
}

void *mu_arena_new(struct mu_arena *a, size_t bytes)
{
    void *ptr = mu_arena_try(a, bytes);

    MU_ASSERT(ptr != NULL);
    return ptr;
}

void *mu_arena_array(struct mu_arena *a, size_t count, size_t bytes)
{
    MU_ASSERT(bytes == 0 || count <= SIZE_MAX / 4 / bytes);
    return mu_arena_new(a, count * bytes);
}

void *mu_arena_grow(struct mu_arena *a, void *items, size_t count, size_t bytes)
{
    if (count == 0) {
        return mu_arena_array(a, 1, bytes);
    }
    if ((count & (count - 1)) != 0) {
        return items;
    }
    void *grown = mu_arena_array(a, 2 * count, bytes);

    memcpy(grown, items, count * bytes);
    return grown;
}

char *mu_arena_text(struct mu_arena *a, const void *data, size_t bytes)
{
    char *copy = mu_arena_new(a, bytes + 1);

    if (bytes > 0) {
        memcpy(copy, data, bytes);
    }
    return copy;
}

char *mu_arena_strdup(struct mu_arena *a, const char *text)
{
    return mu_arena_text(a, text, strlen(text));
}

struct mu_span mu_arena_span(struct mu_arena *a, struct mu_span s)
{
    return mu_span_of(mu_arena_text(a, s.data, s.bytes), s.bytes);
}

char *mu_arena_printf(struct mu_arena *a, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    int bytes = vsnprintf(NULL, 0, fmt, args);
    va_end(args);

    MU_ASSERT(bytes >= 0);
    char *text = mu_arena_new(a, (size_t)bytes + 1);

    va_start(args, fmt);
    (void)vsnprintf(text, (size_t)bytes + 1, fmt, args);
    va_end(args);
    return text;
}
