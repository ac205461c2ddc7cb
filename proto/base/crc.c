#include "base/crc.h"

#include <string.h>

#define POLY_REFLECTED 0x82f63b78U

/* Bit by bit: the portable definition, and what the fast way is tested against. */
static uint32_t crc_slow(uint32_t crc, const uint8_t *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (POLY_REFLECTED & (0U - (crc & 1U)));
        }
    }
    return crc;
}

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) static uint32_t crc_fast(uint32_t crc, const uint8_t *data,
                                                           size_t bytes)
{
    uint64_t wide = crc;

    while (bytes >= 8) {
        uint64_t word;

        memcpy(&word, data, 8);
        wide = __builtin_ia32_crc32di(wide, word);
        data += 8;
        bytes -= 8;
    }
    crc = (uint32_t)wide;
    while (bytes > 0) {
        crc = __builtin_ia32_crc32qi(crc, *data);
        data++;
        bytes--;
    }
    return crc;
}

static uint32_t crc_run(uint32_t crc, const uint8_t *data, size_t bytes)
{
    return __builtin_cpu_supports("sse4.2") ? crc_fast(crc, data, bytes)
                                            : crc_slow(crc, data, bytes);
}

#else

static uint32_t crc_run(uint32_t crc, const uint8_t *data, size_t bytes)
{
    return crc_slow(crc, data, bytes);
}

#endif

uint32_t mu_crc32c(uint32_t crc, const void *data, size_t bytes)
{
    return ~crc_run(~crc, data, bytes);
}
