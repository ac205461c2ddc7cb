#include "segment.h"

#include <string.h>

#include "base/assert.h"
#include "base/crc.h"
#include "base/wire.h"

#define SEGMENT_MAGIC 0x316765737473756dULL /* "mustseg1" */
#define BATCH_MAGIC   0x3162746dU           /* "mtb1" */
#define HEAD_CRC_AT   12U
#define BATCH_CRC_AT  4U

/* -- head page ----------------------------------------------------------------------------- */

static uint32_t head_crc(const uint8_t *page)
{
    static const uint8_t zero[4];
    uint32_t crc = mu_crc32c(0, page, HEAD_CRC_AT);

    crc = mu_crc32c(crc, zero, sizeof zero);
    return mu_crc32c(crc, page + HEAD_CRC_AT + 4, CONSENSUS_PAGE - HEAD_CRC_AT - 4);
}

void consensus__segment_head_write(const struct consensus_segment_head *head,
                                   uint8_t page[CONSENSUS_PAGE])
{
    struct mu_wr w = mu_wr_of(page, CONSENSUS_PAGE);

    memset(page, 0, CONSENSUS_PAGE);
    mu_wr_u64le(&w, SEGMENT_MAGIC);
    mu_wr_u32le(&w, CONSENSUS_SEGMENT_VERSION);
    mu_wr_u32le(&w, 0);
    mu_wr_u64le(&w, head->number);
    mu_wr_u64le(&w, head->salt);
    mu_wr_u64le(&w, head->bytes);
    mu_wr_bytes(&w, head->server.b, sizeof head->server.b);
    mu_wr_bytes(&w, head->disk.b, sizeof head->disk.b);

    struct mu_wr at = mu_wr_of(page + HEAD_CRC_AT, 4);

    mu_wr_u32le(&at, head_crc(page));
}

enum consensus_head_state consensus__segment_head_read(struct mu_span page,
                                                       struct consensus_segment_head *out,
                                                       uint32_t *version)
{
    struct mu_rd r = mu_rd_of(page);

    if (page.bytes < CONSENSUS_PAGE || mu_rd_u64le(&r) != SEGMENT_MAGIC) {
        return CONSENSUS_HEAD_BROKEN;
    }
    *version = mu_rd_u32le(&r);
    if (mu_rd_u32le(&r) != head_crc(page.data)) {
        return CONSENSUS_HEAD_BROKEN;
    }
    if (*version != CONSENSUS_SEGMENT_VERSION) {
        return CONSENSUS_HEAD_NEWER;
    }
    out->number = mu_rd_u64le(&r);
    out->salt = mu_rd_u64le(&r);
    out->bytes = mu_rd_u64le(&r);
    memcpy(out->server.b, mu_rd_take(&r, 16).data, 16);
    memcpy(out->disk.b, mu_rd_take(&r, 16).data, 16);
    return CONSENSUS_HEAD_OK;
}

/* -- batches ------------------------------------------------------------------------------- */

static size_t page_up(size_t bytes)
{
    return (bytes + CONSENSUS_PAGE - 1) & ~(size_t)(CONSENSUS_PAGE - 1);
}

/* Over the head with crc = 0 and all records, seeded with the salt. */
static uint32_t batch_crc(const uint8_t *batch, size_t bytes, uint64_t salt)
{
    static const uint8_t zero[4];
    uint32_t crc = mu_crc32c((uint32_t)(salt ^ (salt >> 32)), batch, BATCH_CRC_AT);

    crc = mu_crc32c(crc, zero, sizeof zero);
    return mu_crc32c(crc, batch + BATCH_CRC_AT + 4, bytes - BATCH_CRC_AT - 4);
}

void consensus__batch_begin(struct mu_buf *b)
{
    MU_ASSERT(b->bytes == 0);
    memset(mu_buf_reserve(b, CONSENSUS_BATCH_HEAD), 0, CONSENSUS_BATCH_HEAD);
    b->bytes = CONSENSUS_BATCH_HEAD;
}

uint32_t consensus__batch_seal(struct mu_buf *b, uint64_t seq, uint64_t durable_upto,
                               uint32_t prev_crc, uint32_t records_count, uint64_t salt)
{
    size_t used = b->bytes;
    size_t padding = page_up(used) - used;
    struct mu_wr w = mu_wr_of(b->data, CONSENSUS_BATCH_HEAD);

    MU_ASSERT(used >= CONSENSUS_BATCH_HEAD && used <= CONSENSUS_BATCH_BYTES_MAX);
    mu_wr_u32le(&w, BATCH_MAGIC);
    mu_wr_u32le(&w, 0);
    mu_wr_u64le(&w, seq);
    mu_wr_u64le(&w, durable_upto);
    mu_wr_u32le(&w, prev_crc);
    mu_wr_u32le(&w, records_count);
    mu_wr_u32le(&w, (uint32_t)(used - CONSENSUS_BATCH_HEAD));
    mu_wr_u32le(&w, 0);
    mu_wr_u64le(&w, salt);

    uint32_t crc = batch_crc(b->data, used, salt);
    struct mu_wr at = mu_wr_of(b->data + BATCH_CRC_AT, 4);

    mu_wr_u32le(&at, crc);
    memset(mu_buf_reserve(b, padding), 0, padding);
    b->bytes += padding;
    return crc;
}

size_t consensus__batch_bytes(struct mu_span head)
{
    struct mu_rd r = mu_rd_of(head);

    if (mu_rd_u32le(&r) != BATCH_MAGIC) {
        return 0;
    }
    mu_rd_skip(&r, 4 + 8 + 8 + 4 + 4);
    size_t bytes = CONSENSUS_BATCH_HEAD + (size_t)mu_rd_u32le(&r);

    mu_rd_skip(&r, 4 + 8);
    return mu_rd_ok(&r) && bytes <= CONSENSUS_BATCH_BYTES_MAX ? bytes : 0;
}

bool consensus__batch_read(struct mu_span bytes, struct consensus_batch *out)
{
    size_t used = consensus__batch_bytes(bytes);
    struct mu_rd r = mu_rd_of(bytes);

    if (used == 0 || used > bytes.bytes) {
        return false;
    }
    mu_rd_skip(&r, 4);
    out->crc = mu_rd_u32le(&r);
    out->seq = mu_rd_u64le(&r);
    out->durable_upto = mu_rd_u64le(&r);
    out->prev_crc = mu_rd_u32le(&r);
    out->records_count = mu_rd_u32le(&r);
    mu_rd_skip(&r, 4);
    uint32_t flags = mu_rd_u32le(&r);

    out->salt = mu_rd_u64le(&r);
    out->records = mu_rd_take(&r, used - CONSENSUS_BATCH_HEAD);
    out->room = page_up(used);
    return flags == 0 && batch_crc(bytes.data, used, out->salt) == out->crc;
}

bool consensus__batch_search(struct mu_span segment, size_t from, uint64_t above,
                             const uint64_t *salt, struct consensus_batch *out, size_t *offset)
{
    for (size_t at = page_up(from); at < segment.bytes; at += CONSENSUS_PAGE) {
        if (consensus__batch_read(mu_span_sub(segment, at, segment.bytes - at), out) &&
            out->seq > above && (salt == NULL || out->salt == *salt)) {
            *offset = at;
            return true;
        }
    }
    return false;
}
