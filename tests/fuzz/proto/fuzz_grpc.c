/* Any bytes as a stream of messages: the cuts do not matter, and what is encoded decodes. */
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "proto/grpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static enum mu_code on_message(void *data, struct mu_span message, struct mu_err *err)
{
    (void)err;
    MU_ASSERT(message.bytes <= 64);
    mu_grpc_add(data, message);
    return MU_OK;
}

static enum mu_code run(struct mu_span bytes, size_t part, struct mu_buf *heard)
{
    enum mu_code code = MU_OK;
    struct mu_grpc_in in;

    mu_grpc_in_init(&in, 64);
    for (size_t at = 0; at < bytes.bytes && code == MU_OK; at += part) {
        code = mu_grpc_feed(&in, mu_span_sub(bytes, at, part), on_message, heard, NULL);
        MU_ASSERT(in.part.bytes < 64 + MU_GRPC_HEAD_BYTES);
    }
    if (code == MU_OK && mu_grpc_in_is_empty(&in)) { /* then what was heard is what was sent */
        MU_ASSERT(mu_span_eq(mu_buf_span(heard), bytes));
    }
    mu_grpc_in_deinit(&in);
    return code;
}

static void status_text(struct mu_span bytes)
{
    struct mu_buf wire = MU_BUF_NONE;
    struct mu_buf back = MU_BUF_NONE;

    mu_grpc_text_encode(&wire, bytes);
    mu_grpc_text_decode(&back, mu_buf_span(&wire));
    MU_ASSERT(mu_span_eq(mu_buf_span(&back), bytes));
    mu_buf_clear(&back);
    mu_grpc_text_decode(&back, bytes);
    MU_ASSERT(back.bytes <= bytes.bytes);
    mu_buf_deinit(&wire);
    mu_buf_deinit(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct mu_buf whole = MU_BUF_NONE;
    struct mu_buf cut = MU_BUF_NONE;

    if (bytes < 1) {
        return 0;
    }
    struct mu_span rest = mu_span_of(data + 1, bytes - 1);
    enum mu_code a = run(rest, rest.bytes, &whole);
    enum mu_code b = run(rest, 1U + data[0], &cut);

    if (a != b || !mu_span_eq(mu_buf_span(&whole), mu_buf_span(&cut))) {
        abort();
    }
    mu_buf_deinit(&whole);
    mu_buf_deinit(&cut);
    status_text(rest);
    return 0;
}
