#include "stint.h"

#include "base/clock.h"

#define RESTS_FOR_WAITS 12U

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void stint_begin(struct stint *s, uint64_t waited_ns)
{
    *s = (struct stint){ .waited_ns = waited_ns };
}

uint64_t stint_look(struct stint *s, uint64_t waited_ns)
{
    s->owed_ns += waited_ns > s->waited_ns ? RESTS_FOR_WAITS * (waited_ns - s->waited_ns) : 0;
    s->waited_ns = waited_ns;
    uint64_t rest_ms = min_u64(s->owed_ns / (uint64_t)MU_NS_PER_MS, STINT_REST_MS_MAX);

    rest_ms = min_u64(rest_ms, STINT_RESTS_MS_MAX - s->rested_ms);
    if (rest_ms > 0) {
        s->owed_ns = 0; /* one long wait is not many */
        s->rested_ms += rest_ms;
    }
    return rest_ms;
}
