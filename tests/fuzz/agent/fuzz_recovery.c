/* fuzz_recovery.c - bundles, with their checksum made right, and peers.json: what is read is
 * written back the same, whatever stood there.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "agent/recovery.h"
#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void try_bundle(struct mu_span body)
{
    struct mu_buf text = MU_BUF_NONE, again = MU_BUF_NONE, third = MU_BUF_NONE;
    struct recovery_position p, q;
    uint8_t sum[16];

    mu_buf_add_span(&text, body);
    (void)crypto_generichash(sum, sizeof sum, body.data, body.bytes, NULL, 0);
    mu_buf_add_text(&text, "checksum ");
    for (size_t i = 0; i < sizeof sum; i++) {
        mu_buf_addf(&text, "%02x", sum[i]);
    }
    mu_buf_add_byte(&text, '\n');
    if (recovery_position_read(mu_buf_span(&text), &p, NULL) == MU_OK) {
        recovery_position_write(&p, &again);
        MU_ASSERT(recovery_position_read(mu_buf_span(&again), &q, NULL) == MU_OK);
        recovery_position_write(&q, &third);
        MU_ASSERT(mu_span_eq(mu_buf_span(&again), mu_buf_span(&third)));
    }
    mu_buf_deinit(&text);
    mu_buf_deinit(&again);
    mu_buf_deinit(&third);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct recovery_peers peers;
    struct recovery_position p;

    if (bytes == 0) {
        return 0;
    }
    struct mu_span text = mu_span_of(data + 1, bytes - 1);

    switch (data[0] % 3) {
    case 0: try_bundle(text); break;
    case 1:
        if (recovery_position_read(text, &p, NULL) == MU_OK) {
            MU_ASSERT(p.servers_count <= RECOVERY_SERVERS_MAX);
        }
        break;
    default:
        if (recovery_peers_read(text, &peers, NULL) == MU_OK) {
            MU_ASSERT(peers.count >= 1 && peers.count < RECOVERY_SERVERS_MAX);
        }
    }
    return 0;
}
