/* What other agents send as an event: what decodes is encoded and decoded again, and matched. */
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "event_codec.h"
#include "event_ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct agent_event event, again;
    struct mu_err err = MU_ERR_NONE;
    struct mu_buf out = MU_BUF_NONE;
    struct mu_arena arena;
    bool is_meant;

    mu_arena_init(&arena, 0);
    if (event_decode("consul:event:x", mu_span_of(data, bytes), &arena, &event, &err) == MU_OK) {
        struct local *none = local_new();

        event_encode(&event, &out);
        arena.bytes_max *= 2;
        MU_ASSERT(event_decode("consul:event:x", mu_buf_span(&out), &arena, &again, &err) == MU_OK);
        MU_ASSERT(mu_id_eq(&event.id, &again.id));
        MU_ASSERT(mu_span_eq(event.payload, again.payload));
        MU_ASSERT(mu_span_eq(event.tag_filter, again.tag_filter));
        (void)(event_is_meant(&event, "x", none, &is_meant, &err) == MU_OK);
        local_free(none);
    }
    mu_buf_deinit(&out);
    mu_arena_deinit(&arena);
    return 0;
}
