/* sample.h - what is measured again and again: how often, how much in all, how the newest spread.
 *
 * Memory:  none beside the struct, which is plain bytes; zeroed it is empty.
 * Thread:  none of its own.
 */
#ifndef MU_BASE_SAMPLE_H
#define MU_BASE_SAMPLE_H

#include <stdint.h>

#define MU_SAMPLE_NEWEST 64

struct mu_sample { /* since the start */
    uint64_t count;
    double sum, sum_of_squares;
    double min, max;                /* 0 before the first */
    float newest[MU_SAMPLE_NEWEST]; /* in a ring */
};

void mu_sample_add(struct mu_sample *s, double value);
/* The smallest of the newest values that so large a share of them, 0 to 1, does not exceed; NaN
 * before the first. */
double mu_sample_quantile(const struct mu_sample *s, double share);

#endif
