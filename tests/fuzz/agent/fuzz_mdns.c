/* fuzz_mdns.c - any datagram to the reader of multicast DNS: nothing crashes, and what it believes
 * is a place. */
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "mdns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct mu_span message = mu_span_of(data, bytes);
    struct mu_addr found[MDNS_FOUND_MAX];
    struct mdns_asked asked;
    size_t count = mdns_found(message, "web", found, MDNS_FOUND_MAX);

    MU_ASSERT(count <= MDNS_FOUND_MAX);
    for (size_t i = 0; i < count; i++) {
        MU_ASSERT(found[i].port != 0 && !mu_addr_is_any(&found[i]));
    }
    if (mdns_is_asked(message, "web", &asked)) {
        MU_ASSERT(count == 0); /* a message is one or the other */
    }
    return 0;
}
