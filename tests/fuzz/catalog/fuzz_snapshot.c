/* A stream of somebody hostile or a disk that rots: reading it stays inside, and taking it in
 * either succeeds as a whole or leaves the catalog without an index. Checksums are put right first,
 * or nothing would get past them. */
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/crc.h"
#include "base/wire.h"
#include "catalog/snapshot.h"

enum { HEAD = 72, BLOCK_HEAD = 8 };

struct input {
    struct mu_span bytes;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static enum mu_code source(void *data, void *to, size_t room, size_t *got, struct mu_err *err)
{
    struct input *in = data;

    (void)err;
    *got = in->bytes.bytes < room ? in->bytes.bytes : room;
    if (*got > 0) {
        memcpy(to, in->bytes.data, *got);
    }
    in->bytes = mu_span_sub(in->bytes, *got, in->bytes.bytes - *got);
    return MU_OK;
}

static void put_crc(uint8_t *at, const uint8_t *of, size_t bytes)
{
    struct mu_wr w = mu_wr_of(at, 4);

    mu_wr_u32le(&w, mu_crc32c(0, of, bytes));
}

static void fix(uint8_t *data, size_t bytes)
{
    if (bytes < HEAD) {
        return;
    }
    put_crc(data + HEAD - 8, data, HEAD - 8);
    data += HEAD;
    bytes -= HEAD;
    while (bytes >= BLOCK_HEAD) {
        struct mu_rd r = mu_rd_of(mu_span_of(data, 4));
        uint32_t size = mu_rd_u32le(&r);

        if (size > bytes - BLOCK_HEAD) {
            return;
        }
        put_crc(data + 4, data + BLOCK_HEAD, size);
        data += BLOCK_HEAD + size;
        bytes -= BLOCK_HEAD + size;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const struct catalog_options options = { .path = NULL };
    struct catalog_snapshot seen, taken;
    struct catalog *c = NULL;
    struct mu_buf copy = MU_BUF_NONE;

    mu_buf_add(&copy, data, bytes);
    fix(copy.data, copy.bytes);
    struct input in = { mu_buf_span(&copy) };
    if (catalog_inspect(source, &in, &seen, NULL) == MU_OK) { /* import reads it alike */
        enum mu_code rc = catalog_open(&c, &options, NULL);

        MU_ASSERT(rc == MU_OK);
        in.bytes = mu_buf_span(&copy);
        rc = catalog_import(c, source, &in, NULL, &taken, NULL);
        MU_ASSERT((catalog_applied(c).index != 0) == (rc == MU_OK));
        catalog_close(c);
    }
    mu_buf_deinit(&copy);
    return 0;
}
