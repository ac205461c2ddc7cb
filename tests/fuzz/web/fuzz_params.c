/* Any query: taken apart, read by every rule, put together again. What is put together has to be
 * taken apart to the same.
 */
#include <stdint.h>

#include "base/assert.h"
#include "params.h"
#include "route.h"
#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const struct read_defaults defaults = {
        .wait_ms = 300000,
        .wait_ms_max = 600000,
        .traits = ROUTE_READS | ROUTE_BLOCKS | ROUTE_TENANT,
    };
    struct mu_span query = mu_span_of(data, bytes);
    struct mu_arena arena;
    struct params p, again;
    struct read_options options;
    struct mu_buf text = MU_BUF_NONE;
    bool passing;

    mu_arena_init(&arena, 0);
    if (params_parse(query, &arena, &p, NULL) == MU_OK) {
        if (params_read_options(&p, query, MU_SPAN_NONE, &defaults, &options, NULL) == MU_OK) {
            MU_ASSERT(options.wait_ms > 0 && options.wait_ms <= 600000);
        }
        (void)!params_passing(&p, &passing, NULL);
        (void)params_node_meta(&p, &arena);
        params_encode(&p, &text);
        if (p.count <= 64) {
            MU_ASSERT(params_parse(mu_buf_span(&text), &arena, &again, NULL) == MU_OK);
            MU_ASSERT(again.count == p.count);
        }
    }
    struct mu_span clean = target_clean(query, &arena);

    MU_ASSERT(mu_span_eq(target_clean(clean, &arena), clean));
    (void)target_is_printable(query);
    mu_buf_deinit(&text);
    mu_arena_deinit(&arena);
    return 0;
}
