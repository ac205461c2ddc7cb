/* rand.h - seeded generator, always passed in: xoshiro256** (Blackman and Vigna, 2018).
 *
 * Cores take one of these instead of asking the system, so that a run can be replayed from its
 * seed. Not for secrets: those come from libsodium.
 */
#ifndef MU_BASE_RAND_H
#define MU_BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

struct mu_rand {
    uint64_t s[4];
};

void mu_rand_seed(struct mu_rand *r, uint64_t seed); /* equal seeds, equal sequences */
uint64_t mu_rand_u64(struct mu_rand *r);
uint64_t mu_rand_below(struct mu_rand *r, uint64_t bound); /* uniform in [0, bound); bound > 0 */
double mu_rand_unit(struct mu_rand *r);                    /* uniform in [0, 1) */
void mu_rand_bytes(struct mu_rand *r, void *to, size_t bytes);

/* A seed from the system, for owners of cores. */
uint64_t mu_rand_system(void);

#endif
