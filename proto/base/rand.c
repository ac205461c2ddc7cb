#include "base/rand.h"

#include <string.h>

#include <sodium.h>

#include "base/assert.h"

/* splitmix64, as the authors of xoshiro advise for seeding. */
static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15U);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

void mu_rand_seed(struct mu_rand *r, uint64_t seed)
{
    for (size_t i = 0; i < MU_LEN(r->s); i++) {
        r->s[i] = splitmix(&seed);
    }
}

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

uint64_t mu_rand_u64(struct mu_rand *r)
{
    uint64_t result = rotate(r->s[1] * 5, 7) * 9;
    uint64_t shifted = r->s[1] << 17;

    r->s[2] ^= r->s[0];
    r->s[3] ^= r->s[1];
    r->s[1] ^= r->s[2];
    r->s[0] ^= r->s[3];
    r->s[2] ^= shifted;
    r->s[3] = rotate(r->s[3], 45);
    return result;
}

uint64_t mu_rand_below(struct mu_rand *r, uint64_t bound)
{
    MU_ASSERT(bound > 0);
    uint64_t unfair = (0 - bound) % bound; /* 2^64 mod bound: values below it would be favoured */
    uint64_t value = mu_rand_u64(r);

    while (value < unfair) {
        value = mu_rand_u64(r);
    }
    return value % bound;
}

double mu_rand_unit(struct mu_rand *r)
{
    return (double)(mu_rand_u64(r) >> 11) * 0x1.0p-53;
}

void mu_rand_bytes(struct mu_rand *r, void *to, size_t bytes)
{
    uint8_t *at = to;

    while (bytes > 0) {
        uint64_t word = mu_rand_u64(r);
        size_t part = bytes < sizeof word ? bytes : sizeof word;

        memcpy(at, &word, part);
        at += part;
        bytes -= part;
    }
}

uint64_t mu_rand_system(void)
{
    uint64_t seed;

    randombytes_buf(&seed, sizeof seed);
    return seed;
}
