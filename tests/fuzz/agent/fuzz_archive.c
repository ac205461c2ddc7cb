/* A file that somebody hands to `snapshot inspect`: reading it stays inside and takes no memory for
 * what it claims. Plain bytes are tried as they are, and as what a gzip stream holds, or its
 * checksum would let nothing through; with the smallest window, which takes the least time. */
#include <string.h>

#include <zlib.h>

#include "agent/archive.h"
#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void zip(const uint8_t *data, size_t bytes, struct mu_buf *to)
{
    struct mu_buf copy = MU_BUF_NONE;
    z_stream z = { .next_in = NULL };
    int rc = deflateInit2(&z, 1, Z_DEFLATED, 16 + 9, 1, Z_DEFAULT_STRATEGY);

    MU_ASSERT(rc == Z_OK);
    mu_buf_add(&copy, data, bytes);
    z.next_in = copy.data;
    z.avail_in = (uInt)copy.bytes;
    size_t room = deflateBound(&z, (uLong)bytes);

    z.next_out = mu_buf_reserve(to, room);
    z.avail_out = (uInt)room;
    rc = deflate(&z, Z_FINISH);
    MU_ASSERT(rc == Z_STREAM_END);
    to->bytes = z.total_out;
    (void)deflateEnd(&z);
    mu_buf_deinit(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct mu_buf packed = MU_BUF_NONE;
    struct archive_contents c;

    for (int i = 0; i < 2; i++) {
        struct mu_span input = mu_span_of(data, bytes);
        struct mu_err err = MU_ERR_NONE;

        if (i == 1) {
            zip(data, bytes, &packed);
            input = mu_buf_span(&packed);
        }
        enum mu_code rc = archive_read_bytes(input, &c, &err);

        MU_ASSERT((rc == MU_OK) == (err.code == MU_OK));
        MU_ASSERT(rc != MU_OK || (c.index == c.state.applied.index && c.version == 1));
    }
    mu_buf_deinit(&packed);
    return 0;
}
