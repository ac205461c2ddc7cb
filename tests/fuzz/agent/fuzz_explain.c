/* fuzz_explain.c - any answer to the question why a member is held what it is: what is read is
 * bounded, and told again it is the same. */
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "explain_report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct agent_account account, again;
    struct mu_buf text = MU_BUF_NONE;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    if (explain_report_read(mu_span_of(data, bytes), &arena, &account, NULL) == MU_OK) {
        MU_ASSERT(account.changes_count <= EXPLAIN_CHANGES_MAX);
        explain_report_write(&text, &account);
        MU_ASSERT(text.bytes <= EXPLAIN_REPORT_BYTES);
        MU_ASSERT(explain_report_read(mu_buf_span(&text), &arena, &again, NULL) == MU_OK);
        MU_ASSERT(again.changes_count == account.changes_count || again.has_more);
        MU_ASSERT(again.is_known == account.is_known && again.plan == account.plan &&
                  again.status == account.status);
    }
    mu_buf_deinit(&text);
    mu_arena_deinit(&arena);
    return 0;
}
