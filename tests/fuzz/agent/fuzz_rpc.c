/* Every decoder of what other agents send: the first byte chooses the message. What decodes is
 * encoded and decoded again. */
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/buf.h"
#include "rpc_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void hello(struct mu_span in)
{
    struct rpc_identity id;
    struct mu_buf out = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;

    if (rpc_hello_decode(in, &id, &err) == MU_OK) {
        rpc_hello_encode(&id, &out);
        MU_ASSERT(rpc_hello_decode(mu_buf_span(&out), &id, &err) == MU_OK);
    }
    mu_buf_deinit(&out);
}

static void http(struct mu_span in, struct mu_arena *arena)
{
    struct agent_http_request request = { .headers_count = 0 };
    struct agent_http_response response = { .status = 0 };
    struct mu_buf out = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;

    if (rpc_http_request_decode(in, arena, &request, &err) == MU_OK) {
        rpc_http_request_encode(&request, &out);
        MU_ASSERT(rpc_http_request_decode(mu_buf_span(&out), arena, &request, &err) == MU_OK);
    }
    mu_buf_clear(&out);
    if (rpc_http_response_decode(in, arena, &response, &err) == MU_OK) {
        rpc_http_response_encode(&response, &out);
        MU_ASSERT(rpc_http_response_decode(mu_buf_span(&out), arena, &response, &err) == MU_OK);
    }
    mu_buf_deinit(&out);
}

static void others(struct mu_span in, struct mu_arena *arena)
{
    struct agent_dns_request dns = { .is_tcp = false };
    struct agent_written written = { .code = MU_OK };
    struct rpc_node_state state = { .exists = false };
    struct mu_span span;
    struct mu_err err = MU_ERR_NONE;
    struct rpc_save save;
    struct rpc_saved saved;
    uint64_t index;

    (void)(rpc_save_decode(in, &save, &err) == MU_OK);
    if (rpc_saved_decode(in, arena, &saved, &err) == MU_OK) {
        MU_ASSERT(saved.piece.bytes <= in.bytes);
    }
    (void)(rpc_dns_query_decode(in, arena, &dns, &err) == MU_OK);
    (void)(rpc_dns_answer_decode(in, arena, &span, &err) == MU_OK);
    (void)(rpc_propose_decode(in, arena, &span, &err) == MU_OK);
    (void)(rpc_read_point_decode(in, &index, &err) == MU_OK);
    if (rpc_proposed_decode(in, arena, &written, &err) == MU_OK) {
        MU_ASSERT(rpc_code_name(written.code)[0] != '\0');
    }
    if (rpc_node_state_decode(in, arena, &state, &err) == MU_OK) {
        MU_ASSERT(state.count == 0 || state.registers != NULL);
    }
}

static void recovery(struct mu_span in, struct mu_arena *arena)
{
    struct mu_buf out = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    struct rpc_recover recover;
    struct rpc_recovery answer;

    if (rpc_recover_decode(in, arena, &recover, &err) == MU_OK) {
        size_t count = recover.bundles_count;

        rpc_recover_encode(&recover, &out);
        MU_ASSERT(rpc_recover_decode(mu_buf_span(&out), arena, &recover, &err) == MU_OK);
        MU_ASSERT(recover.bundles_count == count);
    }
    mu_buf_clear(&out);
    if (rpc_recovery_decode(in, arena, &answer, &err) == MU_OK) {
        rpc_recovery_encode(&answer, &out);
        MU_ASSERT(rpc_recovery_decode(mu_buf_span(&out), arena, &answer, &err) == MU_OK);
    }
    mu_buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct mu_arena arena;

    if (bytes == 0) {
        return 0;
    }
    struct mu_span in = mu_span_of(data + 1, bytes - 1);

    mu_arena_init(&arena, 4U * 1024 * 1024);
    switch (data[0] % 4) {
    case 0: hello(in); break;
    case 1: http(in, &arena); break;
    case 2: recovery(in, &arena); break;
    default: others(in, &arena); break;
    }
    mu_arena_deinit(&arena);
    return 0;
}
