/* fuzz_keys.c - any bytes as the payload of a question or an answer about keys, and as what stands
 * beside the keyring: refused, or the same again after it was written; and any order of changes at
 * two members that tell each other now and then. */
#include <string.h>

#include "base/assert.h"
#include "gossip/keys.h"

#define CHANGE_BYTES 32U  /* of an input that are taken as changes: deriving names costs */

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
    struct gossip_keys first = { .used = 0 }, second = { .used = 0 };
    struct mu_buf out = MU_BUF_NONE, again = MU_BUF_NONE;

    if (gossip_keys_decode(in, &first, NULL) == MU_OK) {
        gossip_keys_encode(&first, &out);
        MU_ASSERT(gossip_keys_decode(mu_buf_span(&out), &second, NULL) == MU_OK);
        gossip_keys_encode(&second, &again);
        MU_ASSERT(mu_span_eq(mu_buf_span(&out), mu_buf_span(&again)));
        mu_buf_deinit(&out);
        mu_buf_deinit(&again);
    }
}

/* Each byte is a change at one of two members, who then tell each other: they end with the same. */
static void as_changes(struct mu_span in)
{
    struct gossip_keys two[2] = { { .ring = { .count = 1, .keys = { { .count = 16 } } } },
                                  { .ring = { .count = 1, .keys = { { .count = 16 } } } } };

    for (size_t i = 0; i + 1 < in.bytes && i < CHANGE_BYTES; i += 2) {
        struct gossip_key key = { .bytes = { in.data[i + 1] }, .count = 16 };
        struct gossip_key_query q = { .op = (enum gossip_key_op)(in.data[i] % GOSSIP_KEY_LIST),
                                      .key = mu_span_of(key.bytes, key.count),
                                      .ltime = i / 2 + 2U - in.data[i] / 128U };
        struct gossip_key_answer answer;

        (void)gossip_keys_apply(&two[in.data[i] / 4 % 2], &q, &answer);
        if (in.data[i] / 8 % 4 == 0) {
            (void)gossip_keys_take(&two[0], &two[1]);
        }
    }
    for (int i = 0; i < 3; i++) { /* what does not fit may go in a round of its own */
        (void)gossip_keys_take(&two[0], &two[1]);
        (void)gossip_keys_take(&two[1], &two[0]);
    }
    MU_ASSERT(gossip_keys_digest(&two[0]) == gossip_keys_digest(&two[1]));
    for (size_t i = 0; i < two[0].ring.count; i++) { /* all but what was never changed */
        const struct gossip_key *key = &two[0].ring.keys[i];

        MU_ASSERT(key->bytes[0] == 0 || gossip_keyring_has(&two[1].ring, key));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct mu_span in = mu_span_of(data, bytes);

    as_answer(in);
    as_report(in);
    as_request(in);
    as_state(in);
    as_changes(in);
    return 0;
}
