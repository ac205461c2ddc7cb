/* fuzz_transport.c - peer messages. The frame's checksum is made right, and those of the records in
 * it, so that what stands behind them gets looked at. What decodes must encode to what decodes. */
#include "base/assert.h"
#include "base/crc.h"
#include "base/mem.h"
#include "base/wire.h"
#include "transport_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void records_fix(uint8_t *at, size_t left)
{
    while (left >= CONSENSUS_RECORD_HEAD) {
        struct mu_rd r = mu_rd_of(mu_span_of(at + 24, 4));
        uint32_t size = mu_rd_u32le(&r);

        if (size > left - CONSENSUS_RECORD_HEAD || consensus__record_room(size) > left) {
            return;
        }
        struct mu_wr w = mu_wr_of(at, 4);

        mu_wr_u32le(&w, mu_crc32c(0, at + 8, CONSENSUS_RECORD_HEAD - 8 + size));
        at += consensus__record_room(size);
        left -= consensus__record_room(size);
    }
}

static void fix(uint8_t *data, size_t bytes)
{
    if (bytes < 12) {
        return;
    }
    struct mu_rd r = mu_rd_of(mu_span_of(data + 8, 4));
    uint32_t head = mu_rd_u32le(&r);

    if (data[0] == CONSENSUS_APPEND_REQ && head <= bytes - 12) {
        records_fix(data + 12 + head, bytes - 12 - head);
    }
    struct mu_wr w = mu_wr_of(data + 4, 4);

    mu_wr_u32le(&w, mu_crc32c(mu_crc32c(0, data, 4), data + 8, bytes - 8));
}

static void again(const struct consensus_frame *frame, struct mu_arena *arena)
{
    struct mu_buf to = MU_BUF_NONE;
    struct mu_span *records = mu_new_array(CONSENSUS_ENTRIES_MAX, sizeof *records);
    struct mu_span left = frame->records;
    struct consensus_frame got;
    struct consensus_record r;
    size_t count = 0;

    while (!frame->is_bootstrap && left.bytes > 0) {
        struct mu_span before = left;

        MU_ASSERT(consensus__wire_next(&left, &r));
        records[count++] = mu_span_sub(before, 0, before.bytes - left.bytes);
    }
    if (frame->is_bootstrap) {
        consensus__wire_encode_bootstrap(&frame->bootstrap, &to);
    } else {
        consensus__wire_encode(&frame->msg, records, &to);
    }
    mu_arena_reset(arena);
    enum mu_code rc = consensus__wire_decode(mu_buf_span(&to), arena, &got, NULL);

    MU_ASSERT(rc == MU_OK);
    mu_free(records);
    mu_buf_deinit(&to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct mu_buf copy = MU_BUF_NONE;
    struct consensus_frame frame;
    struct mu_arena arena;

    mu_buf_add(&copy, data, bytes);
    fix(copy.data, copy.bytes);
    mu_arena_init(&arena, CONSENSUS_WIRE_ARENA_MAX);
    if (consensus__wire_decode(mu_buf_span(&copy), &arena, &frame, NULL) == MU_OK) {
        again(&frame, &arena);
    }
    mu_arena_deinit(&arena);
    mu_buf_deinit(&copy);
    return 0;
}
