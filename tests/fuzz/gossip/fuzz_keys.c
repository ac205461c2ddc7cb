/* fuzz_keys.c - any bytes as the payload of a question or an answer about keys, and as what stands
 * beside the keyring: refused, or the same again after it was written. */
#include <string.h>

#include "base/assert.h"
#include "gossip/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void as_answer(struct mu_span in)
{
    struct gossip_key_answer first, second;
    struct mu_buf out = MU_BUF_NONE;

    if (gossip_key_answer_decode(in, &first)) {
        MU_ASSERT(first.ring.count <= GOSSIP_KEYS_MAX);
        gossip_key_answer_encode(&first, &out);
        MU_ASSERT(gossip_key_answer_decode(mu_buf_span(&out), &second));
        MU_ASSERT(memcmp(&first, &second, sizeof first) == 0);
        mu_buf_deinit(&out);
    }
}

static void as_report(struct mu_span in)
{
    struct gossip_key_report r;
    struct mu_arena arena;

    mu_arena_init(&arena, 0);
    gossip_key_report_init(&r, GOSSIP_KEY_LIST, 2, &arena);
    for (size_t i = 0; i < 3; i++) { /* one more than was asked */
        gossip_key_report_add(&r, "n", in);
    }
    MU_ASSERT(r.responses == 2 && r.errors <= 2 && r.messages.count <= 2);
    mu_arena_deinit(&arena);
}

static void as_request(struct mu_span in)
{
    struct gossip_keys keys = { .ring = { .count = 1, .keys = { { .count = 16 } } } };
    struct gossip_key_answer answer;
    struct mu_arena arena;
    struct mu_span key;

    mu_arena_init(&arena, 64U * 1024);
    if (gossip_key_request_decode(in, &arena, &key)) {
        for (int op = GOSSIP_KEY_INSTALL; op <= GOSSIP_KEY_LIST; op++) {
            struct gossip_key_query q = { .op = (enum gossip_key_op)op, .key = key, .ltime = 1 };

            (void)gossip_keys_apply(&keys, &q, &answer);
            MU_ASSERT(keys.ring.count >= 1 && keys.ring.count <= 2);
        }
    }
    mu_arena_deinit(&arena);
}

static void as_state(struct mu_span in)
{
    struct gossip_keys first = { .version = 0 }, second = { .version = 0 };
    struct mu_buf out = MU_BUF_NONE;

    if (gossip_keys_decode(in, &first, NULL) == MU_OK) {
        gossip_keys_encode(&first, &out);
        MU_ASSERT(gossip_keys_decode(mu_buf_span(&out), &second, NULL) == MU_OK);
        MU_ASSERT(memcmp(&first, &second, sizeof first) == 0);
        mu_buf_deinit(&out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct mu_span in = mu_span_of(data, bytes);

    as_answer(in);
    as_report(in);
    as_request(in);
    as_state(in);
    return 0;
}
