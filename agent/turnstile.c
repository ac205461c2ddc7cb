#include "agent/turnstile.h"

#include "base/assert.h"

_Static_assert(TURNSTILE_LISTENERS_MAX <= TURNSTILE_PASSES, "who was held passes");

bool turnstile_pass(struct turnstile *t, struct uv_stream_s *listener)
{
    if (t->passed < TURNSTILE_PASSES) {
        t->passed++;
        return true;
    }
    MU_ASSERT(t->held_count < TURNSTILE_LISTENERS_MAX); /* each is held once at most */
    t->held[t->held_count++] = listener;
    return false;
}

void turnstile_turn(struct turnstile *t, turnstile_fn *on_connection)
{
    size_t count = t->held_count;

    t->passed = t->held_count = 0;
    for (size_t i = 0; i < count; i++) {
        on_connection(t->held[i], 0);
    }
}
