/* crc.h - CRC-32C (Castagnoli, polynomial 0x1EDC6F41, reflected; RFC 3720 appendix B.4). */
#ifndef MU_BASE_CRC_H
#define MU_BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Continue `crc` (0 to begin) over more bytes. Uses the processor's instruction where there is
 * one. mu_crc32c(0, "123456789", 9) == 0xe3069283. */
uint32_t mu_crc32c(uint32_t crc, const void *data, size_t bytes);

#endif
