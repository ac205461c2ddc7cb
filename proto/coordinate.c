#include "proto/coordinate.h"

#include <math.h>

static bool is_sane(double x)
{
    return isfinite(x) && fabs(x) <= COORDINATE_BOUND_S;
}

bool coordinate_is_valid(const struct coordinate *c)
{
    for (unsigned i = 0; i < COORDINATE_DIMS; i++) {
        if (!is_sane(c->vec[i])) {
            return false;
        }
    }
    return is_sane(c->error) && is_sane(c->adjustment) && is_sane(c->height);
}

bool coordinate_eq(const struct coordinate *a, const struct coordinate *b)
{
    for (unsigned i = 0; i < COORDINATE_DIMS; i++) {
        if (a->vec[i] < b->vec[i] || a->vec[i] > b->vec[i]) {
            return false;
        }
    }
    return !(a->error < b->error || a->error > b->error) &&
           !(a->adjustment < b->adjustment || a->adjustment > b->adjustment) &&
           !(a->height < b->height || a->height > b->height);
}

double coordinate_distance_raw(const struct coordinate *a, const struct coordinate *b)
{
    double sum = 0;

    for (unsigned i = 0; i < COORDINATE_DIMS; i++) {
        double d = a->vec[i] - b->vec[i];

        sum += d * d;
    }
    return sqrt(sum) + a->height + b->height;
}

double coordinate_distance(const struct coordinate *a, const struct coordinate *b)
{
    double raw = coordinate_distance_raw(a, b);
    double adjusted = raw + a->adjustment + b->adjustment;

    return adjusted > 0 ? adjusted : raw;
}
