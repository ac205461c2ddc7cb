/* A column that rots: unpacking it stays inside, and packing what came out is unpacked alike. */
#include "base/assert.h"
#include "packed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct mu_span input = mu_span_of(data, bytes);
    struct mu_arena arena;
    size_t count = 0;

    mu_arena_init(&arena, 0);
    struct mu_texts texts = catalog__unpack_texts(&arena, input);
    struct mu_span packed = catalog__pack_texts(&arena, &texts);

    MU_ASSERT(mu_span_starts(input, packed)); /* all but a text without its end */
    struct mu_pairs pairs = catalog__unpack_pairs(&arena, input);
    struct mu_span once = catalog__pack_pairs(&arena, &pairs);

    pairs = catalog__unpack_pairs(&arena, once);
    MU_ASSERT(mu_span_eq(once, catalog__pack_pairs(&arena, &pairs)));
    struct catalog_tagged *tagged = catalog__unpack_addresses(&arena, input, &count);

    for (size_t i = 0; i < count; i++) {
        MU_ASSERT(tagged[i].name.bytes + tagged[i].address.bytes < bytes);
    }
    mu_arena_deinit(&arena);
    return 0;
}
