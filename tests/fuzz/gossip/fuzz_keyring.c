/* fuzz_keyring.c - the keyring file: what was read is written and read again as the same. */
#include <string.h>

#include "base/assert.h"
#include "gossip/keyring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct gossip_keyring first;
    struct gossip_keyring second;
    struct mu_buf text = MU_BUF_NONE;

    if (gossip_keyring_decode(mu_span_of(data, bytes), &first, NULL) != MU_OK) {
        MU_ASSERT(first.count == 0);
        return 0;
    }
    gossip_keyring_encode(&first, &text);
    MU_ASSERT(gossip_keyring_decode(mu_buf_span(&text), &second, NULL) == MU_OK);
    MU_ASSERT(memcmp(&first, &second, sizeof first) == 0);
    mu_buf_deinit(&text);
    return 0;
}
