/* fuzz_links.c - any answer to the question which ways carry nothing: what is read is bounded, and
 * told again it is the same. */
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "link_report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct link_report report, again;
    struct mu_buf text = MU_BUF_NONE;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    if (link_report_read(mu_span_of(data, bytes), &arena, &report, NULL) == MU_OK) {
        MU_ASSERT(report.count <= LINK_REPORT_MAX);
        link_report_begin(&text);
        for (size_t i = 0; i < report.count; i++) {
            link_report_add(&text, &report.items[i]);
        }
        MU_ASSERT(text.bytes <= LINK_REPORT_BYTES);
        MU_ASSERT(link_report_read(mu_buf_span(&text), &arena, &again, NULL) == MU_OK);
        MU_ASSERT(again.count == report.count || again.has_more);
    }
    mu_buf_deinit(&text);
    mu_arena_deinit(&arena);
    return 0;
}
