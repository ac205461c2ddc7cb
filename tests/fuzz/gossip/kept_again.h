/* kept_again.h - for fuzz targets: what was read, from whatever file, is the same again when our
 * own file has it. */
#ifndef KEPT_AGAIN_H
#define KEPT_AGAIN_H

#include <string.h>

#include "base/assert.h"
#include "state.h"

static inline void kept_again(const struct gossip__kept *first, struct mu_arena *arena)
{
    struct gossip__kept second;
    struct mu_buf text = MU_BUF_NONE;

    gossip__state_write(&text, first);
    gossip__state_read(mu_buf_span(&text), arena, &second);
    MU_ASSERT(second.skipped == 0 && second.has_left == first->has_left);
    MU_ASSERT(second.has_coordinate == first->has_coordinate);
    MU_ASSERT(memcmp(&second.clocks, &first->clocks, sizeof second.clocks) == 0);
    MU_ASSERT(second.known_count == first->known_count);
    for (size_t i = 0; i < second.known_count; i++) {
        MU_ASSERT(strcmp(second.known[i].name, first->known[i].name) == 0);
        MU_ASSERT(mu_addr_eq(&second.known[i].addr, &first->known[i].addr));
    }
    mu_buf_deinit(&text);
}

#endif
