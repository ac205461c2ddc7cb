/* fuzz_segment.c - a segment file of any content, opened as a log. Heads and batches get right
 * checksums first, so that the records behind them are looked at. Opening may refuse; if it does
 * not, everything it found must be readable, writable, and found again. */
#include "../../unit/consensus/log_model.h"
#include "../../unit/consensus/memory_disk.h"
#include "base/crc.h"
#include "base/wire.h"
#include "journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define FILE_BYTES CONSENSUS_SEGMENT_BYTES_MIN
#define SALT       0x1234567890abcdefULL

static void records_fix(uint8_t *at, size_t left, uint32_t *chain)
{
    while (left >= CONSENSUS_RECORD_HEAD) {
        struct mu_rd r = mu_rd_of(mu_span_of(at + 24, 4));
        uint32_t size = mu_rd_u32le(&r);

        if (size > left - CONSENSUS_RECORD_HEAD || consensus__record_room(size) > left) {
            return;
        }
        struct mu_wr w = mu_wr_of(at, 8);
        uint32_t crc = mu_crc32c(0, at + 8, CONSENSUS_RECORD_HEAD - 8 + size);
        bool is_entry = at[28] < CONSENSUS_RECORD_OWN;

        *chain = is_entry ? consensus__record_chain(*chain, crc) : *chain;
        mu_wr_u32le(&w, crc);
        mu_wr_u32le(&w, is_entry ? *chain : 0);
        at += consensus__record_room(size);
        left -= consensus__record_room(size);
    }
}

/* Make the pages of a segment pass for batches one behind the other: lengths are the input's. */
static void batches_fix(struct mu_buf *file)
{
    size_t at = CONSENSUS_PAGE;
    uint32_t prev = 0;
    uint32_t chain = 0;

    for (uint64_t seq = 1; at < file->bytes; seq++) {
        struct mu_rd r = mu_rd_of(mu_span_of(file->data + at + 36, 4));
        size_t used = CONSENSUS_BATCH_HEAD + mu_rd_u32le(&r) % 9000;
        struct mu_buf batch = MU_BUF_NONE;

        if (at + (used + CONSENSUS_PAGE - 1) / CONSENSUS_PAGE * CONSENSUS_PAGE > file->bytes) {
            return;
        }
        mu_buf_add(&batch, file->data + at, used);
        records_fix(batch.data + CONSENSUS_BATCH_HEAD, used - CONSENSUS_BATCH_HEAD, &chain);
        prev = consensus__batch_seal(&batch, seq, seq - 1, prev, 0, SALT);
        memcpy(file->data + at, batch.data, batch.bytes);
        at += batch.bytes;
        mu_buf_deinit(&batch);
    }
}

static void segment_put(struct memory_disk *d, const uint8_t *data, size_t bytes, bool is_fixed)
{
    struct consensus_segment_head head = {
        .number = 1, .salt = SALT, .bytes = FILE_BYTES, .server = model_id(1), .disk = model_id(2)
    };
    struct mu_err err = MU_ERR_NONE;
    uint64_t size;
    int file;
    enum mu_code rc = memory_open(d, "log-0000000000000001.seg", true, &file, &size, &err);

    MU_ASSERT(rc == MU_OK);
    struct mu_buf *b = &d->files[file].cache;

    memory_resize(b, FILE_BYTES);
    if (is_fixed) {
        consensus__segment_head_write(&head, b->data);
        memcpy(b->data + CONSENSUS_PAGE, data,
               bytes < FILE_BYTES - CONSENSUS_PAGE ? bytes : FILE_BYTES - CONSENSUS_PAGE);
        batches_fix(b);
    } else {
        memcpy(b->data, data, bytes < FILE_BYTES ? bytes : FILE_BYTES);
    }
    memory_close(d, file);
}

/* What was found must bear reading in whole, and a MARK behind it. */
static void use(struct consensus_journal *j)
{
    struct mu_buf all = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;

    if (j->tail.index > j->base.index) {
        enum mu_code rc =
            consensus__journal_read(j, j->base.index + 1, j->tail.index, SIZE_MAX, &all, &err);

        MU_ASSERT(rc == MU_OK);
    }
    enum mu_code rc = consensus__journal_mark(j, &err);

    MU_ASSERT(rc == MU_OK);
    mu_buf_deinit(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct consensus_journal_options options = {
        .server = model_id(1),
        .disk = model_id(2),
        .segment_bytes = CONSENSUS_SEGMENT_BYTES_MIN,
        .seed = 1,
    };
    struct consensus_journal_found found;
    struct consensus_journal j;
    struct memory_disk *d = memory_disk_new();
    struct consensus_disk view = memory_disk_view(d);
    struct consensus_position tail = { 0 };
    bool is_fixed = bytes > 0 && data[0] != 0;

    if (bytes > 0) {
        segment_put(d, data + 1, bytes - 1, is_fixed);
    }
    for (int i = 0; i < 2; i++) {
        enum mu_code rc = consensus__journal_open(&j, &view, &options, &found, NULL);

        MU_ASSERT(rc == MU_OK || i == 0);
        if (rc != MU_OK) {
            break;
        }
        MU_ASSERT(i == 0 || (j.tail.index == tail.index && j.tail.chain == tail.chain));
        tail = j.tail;
        use(&j);
        mu_free(found.runs);
        consensus__journal_close(&j);
    }
    MU_ASSERT(d->open_count == 0);
    memory_disk_free(d);
    return 0;
}
