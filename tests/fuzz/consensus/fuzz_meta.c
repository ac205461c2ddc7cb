/* fuzz_meta.c - the two slots of the meta file; checksums are made right where the input's first
 * byte says so. */
#include <sodium.h>
#include <string.h>

#include "base/assert.h"
#include "meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static uint8_t file[CONSENSUS_META_BYTES];
    struct consensus_meta m;

    if (bytes == 0) {
        return 0;
    }
    uint8_t mode = data[0];
    size_t used = bytes - 1 < sizeof file ? bytes - 1 : sizeof file;

    memset(file, 0, sizeof file);
    memcpy(file, data + 1, used);
    for (size_t slot = 0; slot < 2; slot++) {
        uint8_t *at = file + slot * CONSENSUS_META_SLOT;

        if ((mode & (1U << slot)) != 0) {
            (void)crypto_generichash(at + CONSENSUS_META_SLOT - 16, 16, at,
                                     CONSENSUS_META_SLOT - 16, NULL, 0);
        }
    }
    size_t shown = (mode & 4) != 0 ? used : sizeof file;

    if (consensus__meta_decode(mu_span_of(file, shown), &m, NULL) == MU_OK) {
        uint8_t slot[CONSENSUS_META_SLOT];
        struct consensus_meta again;

        consensus__meta_encode(&m, slot);
        enum mu_code rc = consensus__meta_decode(mu_span_of(slot, sizeof slot), &again, NULL);

        MU_ASSERT(rc == MU_OK && again.generation == m.generation);
    }
    return 0;
}
