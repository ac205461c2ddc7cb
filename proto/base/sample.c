#include "base/sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

void mu_sample_add(struct mu_sample *s, double value)
{
    s->min = s->count == 0 || value < s->min ? value : s->min;
    s->max = s->count == 0 || value > s->max ? value : s->max;
    s->sum += value;
    s->sum_of_squares += value * value;
    s->newest[s->count % MU_SAMPLE_NEWEST] = (float)value;
    s->count++;
}

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;

    return x < y ? -1 : x > y;
}

double mu_sample_quantile(const struct mu_sample *s, double share)
{
    float sorted[MU_SAMPLE_NEWEST];
    size_t count = s->count < MU_SAMPLE_NEWEST ? (size_t)s->count : MU_SAMPLE_NEWEST;

    MU_ASSERT(share >= 0 && share <= 1);
    if (count == 0) {
        return (double)NAN;
    }
    size_t rank = (size_t)ceil(share * (double)count);

    memcpy(sorted, s->newest, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare);
    return (double)sorted[rank > 0 ? rank - 1 : 0];
}
