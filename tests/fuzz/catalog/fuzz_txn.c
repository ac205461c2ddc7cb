/* The answer of a transaction, from bytes: whatever decodes encodes to the same bytes again. */
#include "base/assert.h"
#include "catalog/txn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct mu_span input = mu_span_of(data, bytes);
    struct catalog_txn_answer answer;
    struct mu_buf again = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    enum mu_code rc = catalog_txn_answer_decode(input, &arena, &answer, &err);

    MU_ASSERT(rc == MU_OK || (rc == MU_CORRUPT && err.text[0] != '\0'));
    if (rc == MU_OK) {
        struct catalog_txn_answer same;

        catalog_txn_answer_encode(&answer, &again);
        MU_ASSERT(again.bytes == bytes);
        MU_ASSERT(catalog_txn_answer_decode(mu_buf_span(&again), &arena, &same, &err) == MU_OK);
        MU_ASSERT(same.found_count == answer.found_count);
        MU_ASSERT(same.errors_count == answer.errors_count);
    }
    mu_buf_deinit(&again);
    mu_arena_deinit(&arena);
    return 0;
}
