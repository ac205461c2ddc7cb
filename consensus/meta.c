#include "meta.h"

#include <sodium.h>
#include <string.h>

#include "base/assert.h"
#include "base/wire.h"
#include "journal.h"

#define META_MAGIC 0x6174656d7473756dULL /* "mustmeta" */
#define SUM_BYTES  16U
#define SUMMED     (CONSENSUS_META_SLOT - SUM_BYTES)

static void sum_of(const uint8_t *slot, uint8_t out[SUM_BYTES])
{
    int rc = crypto_generichash(out, SUM_BYTES, slot, SUMMED, NULL, 0);

    MU_ASSERT(rc == 0);
}

void consensus__meta_encode(const struct consensus_meta *m, uint8_t slot[CONSENSUS_META_SLOT])
{
    struct mu_wr w = mu_wr_of(slot, SUMMED);

    MU_ASSERT(m->record_bytes <= CONSENSUS_META_RECORD_MAX);
    memset(slot, 0, CONSENSUS_META_SLOT);
    mu_wr_u64le(&w, META_MAGIC);
    mu_wr_u32le(&w, CONSENSUS_META_VERSION);
    mu_wr_u32le(&w, 0);
    mu_wr_u64le(&w, m->generation);
    mu_wr_bytes(&w, m->server.b, sizeof m->server.b);
    mu_wr_bytes(&w, m->disk.b, sizeof m->disk.b);
    mu_wr_bytes(&w, m->cluster.b, sizeof m->cluster.b);
    mu_wr_u64le(&w, m->epoch);
    mu_wr_u64le(&w, m->boot_count);
    mu_wr_u64le(&w, m->durable_seq);
    mu_wr_u32le(&w, m->record_bytes);
    mu_wr_bytes(&w, m->record, sizeof m->record);
    mu_wr_u8(&w, m->is_clean);
    consensus__standing_write(&w, &m->end);
    MU_ASSERT(mu_wr_ok(&w));
    sum_of(slot, slot + SUMMED);
}

enum slot_state { SLOT_OK, SLOT_BROKEN, SLOT_NEWER };

/* The place of magic, version and checksum is the same in every version. */
static enum slot_state slot_read(struct mu_span slot, struct consensus_meta *out, uint32_t *version)
{
    struct mu_rd r = mu_rd_of(slot);
    uint8_t sum[SUM_BYTES];

    if (slot.bytes != CONSENSUS_META_SLOT || mu_rd_u64le(&r) != META_MAGIC) {
        return SLOT_BROKEN;
    }
    sum_of(slot.data, sum);
    if (memcmp(sum, slot.data + SUMMED, SUM_BYTES) != 0) {
        return SLOT_BROKEN;
    }
    *version = mu_rd_u32le(&r);
    mu_rd_skip(&r, 4);
    memset(out, 0, sizeof *out);
    out->generation = mu_rd_u64le(&r);
    if (*version != CONSENSUS_META_VERSION) {
        return SLOT_NEWER;
    }
    memcpy(out->server.b, mu_rd_take(&r, 16).data, 16);
    memcpy(out->disk.b, mu_rd_take(&r, 16).data, 16);
    memcpy(out->cluster.b, mu_rd_take(&r, 16).data, 16);
    out->epoch = mu_rd_u64le(&r);
    out->boot_count = mu_rd_u64le(&r);
    out->durable_seq = mu_rd_u64le(&r);
    out->record_bytes = mu_rd_u32le(&r);
    if (out->record_bytes > CONSENSUS_META_RECORD_MAX) {
        return SLOT_BROKEN;
    }
    memcpy(out->record, mu_rd_take(&r, sizeof out->record).data, sizeof out->record);
    out->is_clean = mu_rd_u8(&r) != 0;
    consensus__standing_read(&r, &out->end);
    return SLOT_OK;
}

static bool is_zero(struct mu_span s)
{
    for (size_t i = 0; i < s.bytes; i++) {
        if (s.data[i] != 0) {
            return false;
        }
    }
    return true;
}

enum mu_code consensus__meta_decode(struct mu_span bytes, struct consensus_meta *out,
                                    struct mu_err *err)
{
    struct consensus_meta best = { 0 };
    enum slot_state best_state = SLOT_BROKEN;
    uint32_t best_version = 0;

    for (size_t i = 0; i < 2; i++) {
        struct mu_span slot = mu_span_sub(bytes, i * CONSENSUS_META_SLOT, CONSENSUS_META_SLOT);
        struct consensus_meta got = { 0 };
        uint32_t version = 0;
        enum slot_state state = slot_read(slot, &got, &version);

        if (state != SLOT_BROKEN &&
            (best_state == SLOT_BROKEN || got.generation > best.generation)) {
            best = got;
            best_state = state;
            best_version = version;
        }
    }
    switch (best_state) {
    case SLOT_OK: *out = best; return MU_OK;
    case SLOT_NEWER:
        return mu_fail(err, MU_UNSUPPORTED,
                       "format %u is of a newer muster; this one knows up to %u", best_version,
                       CONSENSUS_META_VERSION);
    case SLOT_BROKEN: break;
    }
    /* Whoever saved once wrote both. A blank one says that the very first save was cut short, so
     * nobody was told anything that was in it. */
    if (is_zero(mu_span_sub(bytes, 0, CONSENSUS_META_SLOT)) ||
        is_zero(mu_span_sub(bytes, CONSENSUS_META_SLOT, CONSENSUS_META_SLOT))) {
        return mu_fail(err, MU_NOT_FOUND, "nothing was written yet");
    }
    return mu_fail(err, MU_CORRUPT, "neither of its two copies is intact: " CONSENSUS_START_OVER);
}

/* -- the file ------------------------------------------------------------------------------ */

static enum mu_code read_file(const struct consensus_disk *disk, struct consensus_meta *out,
                              struct mu_err *err)
{
    uint8_t bytes[CONSENSUS_META_BYTES];
    uint64_t size = 0;
    int file = CONSENSUS_DISK_NONE;
    enum mu_code rc = disk->ops->open(disk->self, CONSENSUS_META_NAME, false, &file, &size, err);

    if (rc != MU_OK) {
        return rc;
    }
    size_t there = size < sizeof bytes ? (size_t)size : sizeof bytes;

    disk->ops->drop_cache(disk->self, file); /* a flush may have failed in the life before */
    rc = disk->ops->read(disk->self, file, 0, bytes, there, err);
    disk->ops->close(disk->self, file);
    return rc == MU_OK ? consensus__meta_decode(mu_span_of(bytes, there), out, err) : rc;
}

static enum mu_code is_log(void *data, const char *name, struct mu_err *err)
{
    bool *has_logs = data;
    uint64_t number;

    (void)err;
    *has_logs = *has_logs || consensus__journal_name_parse(name, "log-", &number);
    return MU_OK;
}

/* It is not there: nothing was written yet, or it is lost. */
static enum mu_code missing(const struct consensus_disk *disk, struct mu_err *err)
{
    bool has_logs = false;
    enum mu_code rc = disk->ops->list(disk->self, is_log, &has_logs, err);

    if (rc != MU_OK || !has_logs) {
        return rc != MU_OK ? rc : MU_NOT_FOUND;
    }
    return mu_fail(err, MU_CORRUPT,
                   "%s holds a log, but its file \"" CONSENSUS_META_NAME
                   "\" is missing or blank: restore it, or " CONSENSUS_START_OVER,
                   disk->ops->path(disk->self));
}

enum mu_code consensus__meta_load(const struct consensus_disk *disk, const struct mu_id *server,
                                  struct consensus_meta *out, struct mu_err *err)
{
    enum mu_code rc = read_file(disk, out, err);

    if (rc == MU_NOT_FOUND) {
        return missing(disk, err);
    }
    if (rc != MU_OK) {
        return mu_wrap(err, rc, "%s/%s", disk->ops->path(disk->self), CONSENSUS_META_NAME);
    }
    if (!mu_id_eq(&out->server, server)) {
        char theirs[MU_ID_TEXT_BYTES + 1];
        char ours[MU_ID_TEXT_BYTES + 1];

        mu_id_text(&out->server, theirs);
        mu_id_text(server, ours);
        return mu_fail(err, MU_FOREIGN,
                       "%s belongs to node %s, this is node %s: move it away, or, if it is of this "
                       "node, say so with -node-id %s",
                       disk->ops->path(disk->self), theirs, ours, theirs);
    }
    return MU_OK;
}

/* Where its generation belongs. */
static enum mu_code slot_save(const struct consensus_disk *disk, int file,
                              const struct consensus_meta *m, struct mu_err *err)
{
    uint8_t slot[CONSENSUS_META_SLOT];

    consensus__meta_encode(m, slot);
    enum mu_code rc = disk->ops->write(disk->self, file, (m->generation % 2) * CONSENSUS_META_SLOT,
                                       mu_span_of(slot, sizeof slot), err);

    return rc == MU_OK ? disk->ops->sync(disk->self, file, err) : rc;
}

static enum mu_code named(const struct consensus_disk *disk, enum mu_code rc, struct mu_err *err)
{
    return rc == MU_OK
               ? MU_OK
               : mu_wrap(err, rc, "%s/%s", disk->ops->path(disk->self), CONSENSUS_META_NAME);
}

enum mu_code consensus__meta_settle(const struct consensus_disk *disk,
                                    const struct consensus_meta *m, struct mu_err *err)
{
    uint64_t size = 0;
    int file = CONSENSUS_DISK_NONE;
    enum mu_code rc = disk->ops->open(disk->self, CONSENSUS_META_NAME, false, &file, &size, err);

    if (rc == MU_OK) {
        rc = slot_save(disk, file, m, err);
        disk->ops->close(disk->self, file);
    }
    return named(disk, rc, err);
}

enum mu_code consensus__meta_save(const struct consensus_disk *disk, struct consensus_meta *m,
                                  struct mu_err *err)
{
    uint64_t size = 0;
    int file = CONSENSUS_DISK_NONE;
    enum mu_code rc = disk->ops->open(disk->self, CONSENSUS_META_NAME, false, &file, &size, err);

    if (rc == MU_OK) {
        /* The older slot first: the newest stays until its successor is durable. */
        for (int i = 0; rc == MU_OK && i < 2; i++) {
            m->generation++;
            rc = slot_save(disk, file, m, err);
        }
        disk->ops->close(disk->self, file);
    }
    if (rc == MU_OK && size == 0) {
        rc = disk->ops->sync_dir(disk->self, err);
    }
    return named(disk, rc, err);
}
