/* What agents tell each other of a recovery: to bytes and back, and bytes that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/buf.h"
#include "rpc_codec.h"

static void a_step_comes_back_as_it_was(void **state)
{
    struct rpc_recover out = { .step = RPC_RECOVER_BEGIN, .bundles_count = 2, .is_forced = true };
    struct rpc_recover in;
    struct mu_err err = MU_ERR_NONE;
    struct mu_buf bytes = MU_BUF_NONE;
    struct mu_arena arena;

    (void)state;
    out.bundles[0] = MU_SPAN_LIT("of one");
    out.bundles[1] = MU_SPAN_LIT("of another");
    mu_arena_init(&arena, 0);
    rpc_recover_encode(&out, &bytes);
    assert_int_equal(rpc_recover_decode(mu_buf_span(&bytes), &arena, &in, &err), MU_OK);
    assert_int_equal(in.step, RPC_RECOVER_BEGIN);
    assert_true(in.is_forced);
    assert_int_equal(in.bundles_count, 2);
    assert_true(mu_span_eq_text(in.bundles[0], "of one"));
    assert_true(mu_span_eq_text(in.bundles[1], "of another"));
    for (size_t i = 0; i < bytes.bytes; i++) { /* none of them may crash, or make more of it */
        if (rpc_recover_decode(mu_span_of(bytes.data, i), &arena, &in, &err) == MU_OK) {
            assert_true(in.bundles_count <= 2);
        }
    }
    mu_arena_deinit(&arena);
    mu_buf_deinit(&bytes);
}

static void an_answer_comes_back_as_it_was(void **state)
{
    struct rpc_recovery out = { .bundle = MU_SPAN_LIT("where it is"),
                                .damage = MU_SPAN_LIT("it has lost its state"),
                                .epoch = UINT64_MAX };
    struct rpc_recovery in;
    struct mu_err err = MU_ERR_NONE;
    struct mu_buf bytes = MU_BUF_NONE;
    struct mu_arena arena;

    (void)state;
    out.leader.b[3] = 7;
    mu_arena_init(&arena, 0);
    rpc_recovery_encode(&out, &bytes);
    assert_int_equal(rpc_recovery_decode(mu_buf_span(&bytes), &arena, &in, &err), MU_OK);
    assert_true(mu_span_eq_text(in.bundle, "where it is"));
    assert_true(mu_span_eq_text(in.damage, "it has lost its state"));
    assert_true(mu_id_eq(&in.leader, &out.leader));
    assert_true(in.epoch == UINT64_MAX);
    for (size_t i = 0; i < bytes.bytes; i++) {
        (void)(rpc_recovery_decode(mu_span_of(bytes.data, i), &arena, &in, &err) == MU_OK);
    }
    mu_arena_deinit(&arena);
    mu_buf_deinit(&bytes);
}

/* Field 1, a varint. */
static enum mu_code decode_step(uint8_t step)
{
    const uint8_t bytes[] = { 0x08, step };
    struct rpc_recover in;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    enum mu_code rc = rpc_recover_decode(mu_span_of(bytes, sizeof bytes), &arena, &in, NULL);

    mu_arena_deinit(&arena);
    return rc;
}

static void steps_that_are_not_known_are_refused(void **state)
{
    (void)state;
    assert_int_equal(decode_step(0), MU_UNSUPPORTED);
    for (uint8_t step = RPC_RECOVER_LOOK; step <= RPC_RECOVER_BEGIN; step++) {
        assert_int_equal(decode_step(step), MU_OK);
    }
    assert_int_equal(decode_step(RPC_RECOVER_BEGIN + 1), MU_UNSUPPORTED);
}

static void more_bundles_than_servers_are_refused(void **state)
{
    struct rpc_recover in;
    struct mu_err err = MU_ERR_NONE;
    struct mu_buf bytes = MU_BUF_NONE;
    struct mu_arena arena;

    (void)state;
    mu_arena_init(&arena, 0);
    mu_buf_add_byte(&bytes, 0x08); /* step */
    mu_buf_add_byte(&bytes, RPC_RECOVER_BEGIN);
    for (int i = 0; i <= RPC_BUNDLES_MAX; i++) { /* field 2, empty bytes */
        if (i == RPC_BUNDLES_MAX) {
            assert_int_equal(rpc_recover_decode(mu_buf_span(&bytes), &arena, &in, &err), MU_OK);
        }
        mu_buf_add_byte(&bytes, 0x12);
        mu_buf_add_byte(&bytes, 0);
    }
    assert_int_equal(rpc_recover_decode(mu_buf_span(&bytes), &arena, &in, &err), MU_CORRUPT);
    mu_arena_deinit(&arena);
    mu_buf_deinit(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_comes_back_as_it_was),
        cmocka_unit_test(an_answer_comes_back_as_it_was),
        cmocka_unit_test(steps_that_are_not_known_are_refused),
        cmocka_unit_test(more_bundles_than_servers_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
