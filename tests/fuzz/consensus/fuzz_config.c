/* Configurations and bootstrap records from arbitrary bytes: refused, or equal after another turn.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "consensus/bootstrap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct mu_span all = mu_span_of(data, bytes);
    struct consensus_bootstrap_record record;
    struct consensus_config config;
    uint8_t again[CONSENSUS_CONFIG_BYTES_MAX > BOOTSTRAP_RECORD_BYTES_MAX
                      ? CONSENSUS_CONFIG_BYTES_MAX
                      : BOOTSTRAP_RECORD_BYTES_MAX];

    if (consensus_config_decode(all, 7, &config, NULL) == MU_OK) {
        MU_ASSERT(consensus_config_encode(&config, again) == bytes);
        MU_ASSERT(memcmp(again, data, bytes) == 0);
    }
    if (consensus_bootstrap_record_decode(all, &record, NULL) == MU_OK && record.is_promised) {
        MU_ASSERT(consensus_bootstrap_record_encode(&record, again) == bytes);
        MU_ASSERT(memcmp(again, data, bytes) == 0);
    }
    return 0;
}
