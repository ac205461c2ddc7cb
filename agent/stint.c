#include "stint.h"

#include "base/clock.h"

#define RESTS_FOR_WAITS 4U

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void stint_begin(struct stint *s, uint64_t clock_ns, uint64_t cpu_ns)
{
    *s = (struct stint){ .clock_ns = clock_ns, .cpu_ns = cpu_ns };
}

uint64_t stint_look(struct stint *s, uint64_t clock_ns, uint64_t cpu_ns)
{
    uint64_t passed = clock_ns - s->clock_ns;
    uint64_t worked = cpu_ns - s->cpu_ns;

    s->owed_ns += passed > worked ? RESTS_FOR_WAITS * (passed - worked) : 0;
    s->clock_ns = clock_ns;
    s->cpu_ns = cpu_ns;
    uint64_t rest_ms = min_u64(s->owed_ns / (uint64_t)MU_NS_PER_MS, STINT_REST_MS_MAX);

    rest_ms = min_u64(rest_ms, STINT_RESTS_MS_MAX - s->rested_ms);
    if (rest_ms > 0) {
        s->owed_ns = 0; /* one long wait, be it for a suspended machine, is not many */
        s->rested_ms += rest_ms;
    }
    return rest_ms;
}

void stint_resume(struct stint *s, uint64_t clock_ns, uint64_t cpu_ns)
{
    s->clock_ns = clock_ns;
    s->cpu_ns = cpu_ns;
}
