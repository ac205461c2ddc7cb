/* intern.c - 128-bit hashes, and tables that number what they have seen. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "explore.h"

static uint64_t fold(uint64_t x, uint64_t y)
{
    __extension__ typedef unsigned __int128 wide;
    wide z = (wide)x * y;

    return (uint64_t)z ^ (uint64_t)(z >> 64);
}

struct x_hash x_hash_bytes(const void *at, size_t bytes)
{
    const unsigned char *from = at;
    struct x_hash h = { UINT64_C(0x9e3779b97f4a7c15) ^ bytes, UINT64_C(0xc2b2ae3d27d4eb4f) };

    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t v = 0;

        memcpy(&v, from + i, bytes - i < 8 ? bytes - i : 8);
        h.a = fold(h.a ^ v, UINT64_C(0xff51afd7ed558ccd)) + i;
        h.b = fold(h.b + v, UINT64_C(0x9fb21c651e98df25)) ^ (h.b << 23 | h.b >> 41);
    }
    h.a = fold(h.a ^ h.b, UINT64_C(0xa0761d6478bd642f));
    h.b = fold(h.b ^ (h.a >> 1), UINT64_C(0xe7037ed1a0b428db));
    return h;
}

static void place(struct x_pool *p, uint32_t id)
{
    size_t i = p->hashes[id].a & (p->room - 1);

    while (p->slots[i] != 0) {
        i = (i + 1) & (p->room - 1);
    }
    p->slots[i] = id + 1;
}

static void grow(struct x_pool *p)
{
    p->room = p->room == 0 ? 1024 : p->room * 2;
    mu_free(p->slots);
    p->slots = mu_new_array(p->room, sizeof *p->slots);
    p->hashes = mu_grow(p->hashes, p->room * sizeof *p->hashes);
    for (size_t i = 0; i < p->count; i++) {
        place(p, (uint32_t)i);
    }
}

bool x_pool_put(struct x_pool *p, struct x_hash h, uint32_t *id)
{
    if (p->count * 3 >= p->room * 2) {
        grow(p);
    }
    for (size_t i = h.a & (p->room - 1); p->slots[i] != 0; i = (i + 1) & (p->room - 1)) {
        const struct x_hash *other = &p->hashes[p->slots[i] - 1];

        if (other->a == h.a && other->b == h.b) {
            *id = p->slots[i] - 1;
            return false;
        }
    }
    MU_ASSERT(p->count < UINT32_MAX - 1);
    p->hashes[p->count] = h;
    *id = (uint32_t)p->count++;
    place(p, *id);
    return true;
}
