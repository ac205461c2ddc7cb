/* Bytes come out of a chain as they went in, whatever the sizes, and it holds little more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/chain.h"
#include "base/mem.h"
#include "base/rand.h"

static void what_goes_in_comes_out_in_order(void **state)
{
    static const size_t sizes[] = { 0, 1, 5, 511, 512, 513, 4096, 65535, 65536, 65537, 200000 };
    struct mu_rand rand;
    struct mu_chain c = MU_CHAIN_NONE;
    uint8_t *bytes = mu_new(200000);
    uint8_t *out = mu_new(200000);
    uint8_t next_in = 0, next_out = 0;
    size_t inside = 0;

    (void)state;
    mu_rand_seed(&rand, 7);
    for (unsigned step = 0; step < 2000; step++) {
        size_t size = sizes[mu_rand_below(&rand, MU_LEN(sizes))];

        if (mu_rand_below(&rand, 2) == 0 && inside < 1000000) {
            for (size_t i = 0; i < size; i++) {
                bytes[i] = next_in++;
            }
            mu_chain_add(&c, mu_span_of(bytes, size));
            inside += size;
        } else {
            size_t taken = mu_chain_take(&c, out, size);

            assert_int_equal(taken, size < inside ? size : inside);
            for (size_t i = 0; i < taken; i++) {
                assert_int_equal(out[i], next_out++);
            }
            inside -= taken;
        }
        assert_int_equal(c.bytes, inside);
        assert_true((c.first == NULL) == (inside == 0)); /* an empty one has no memory */
    }
    mu_chain_deinit(&c);
    assert_int_equal(c.bytes, 0);
    mu_chain_add(&c, MU_SPAN_LIT("again"));
    assert_int_equal(mu_chain_take(&c, out, 100), 5);
    assert_memory_equal(out, "again", 5);
    mu_free(bytes);
    mu_free(out);
}

static void taking_from_an_empty_chain_gives_nothing(void **state)
{
    struct mu_chain c = MU_CHAIN_NONE;
    uint8_t byte = 0;

    (void)state;
    assert_int_equal(mu_chain_take(&c, &byte, 1), 0);
    mu_chain_add(&c, MU_SPAN_NONE);
    assert_null(c.first);
    mu_chain_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out_in_order),
        cmocka_unit_test(taking_from_an_empty_chain_gives_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
