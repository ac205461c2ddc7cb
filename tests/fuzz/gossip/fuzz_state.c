/* The file of members: any bytes are read without harm, and what is written is read back. */
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/assert.h"
#include "state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct gossip__state state;
    struct gossip__state again;
    struct mu_arena arena;
    struct mu_buf text = MU_BUF_NONE;

    mu_arena_init(&arena, 0);
    gossip__state_read(mu_span_of(data, bytes), &arena, &state);
    gossip__state_begin(&text, state.incarnation, state.member_time, state.has_left);
    for (size_t i = 0; i < state.known_count; i++) {
        struct gossip_view peer = {
            .name = state.known[i].name,
            .addr = state.known[i].addr,
            .status = GOSSIP_STATUS_ALIVE,
        };

        gossip__state_add(&text, &peer);
    }
    gossip__state_read(mu_buf_span(&text), &arena, &again);
    MU_ASSERT(again.incarnation == state.incarnation && again.has_left == state.has_left);
    MU_ASSERT(again.known_count == state.known_count && again.skipped == 0);
    mu_buf_deinit(&text);
    mu_arena_deinit(&arena);
    return 0;
}
