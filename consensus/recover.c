#include "consensus/recover.h"

#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ballast.h"
#include "base/assert.h"
#include "base/file.h"
#include "base/mem.h"
#include "consensus/bootstrap.h"
#include "consensus/store.h"
#include "journal.h"
#include "meta.h"

/* -- looking ----------------------------------------------------------------------------------- */

static enum mu_code log_inspect(const struct consensus_disk *disk,
                                const struct consensus_meta *meta, struct consensus_inspection *out,
                                struct mu_err *err)
{
    struct consensus_journal_options options = {
        .server = meta->server,
        .disk = meta->disk,
        .segment_bytes = CONSENSUS_SEGMENT_BYTES_MIN, /* nothing is written */
        .durable_seq = meta->durable_seq,
        .applied_index = out->state.index,
        .applied_term = out->state.term,
        .is_end_known = meta->is_clean,
        .end = meta->end,
        .is_read_only = true,
    };
    struct consensus_journal_found found;
    struct consensus_journal j;
    enum mu_code rc = consensus__journal_open(&j, disk, &options, &found, err);

    if (rc != MU_OK) {
        return rc;
    }
    out->term = j.hard.term;
    out->epoch = j.hard.epoch > out->epoch ? j.hard.epoch : out->epoch;
    out->base_index = j.base.index;
    out->last_index = j.tail.index;
    out->last_term = j.tail.term;
    out->chain = j.tail.chain;
    (void)snprintf(out->harmless, sizeof out->harmless, "%s", found.damage);
    if (mu_id_is_none(&out->cluster)) {
        out->cluster = j.hard.cluster; /* a crash came before meta could follow */
    }
    if (j.configs_count > 0) {
        const struct consensus_stored_config *newest = &j.configs[j.configs_count - 1];

        rc = consensus_config_decode(mu_buf_span(&newest->bytes), newest->index, &out->config, err);
    }
    mu_free(found.runs);
    consensus__journal_close(&j);
    return rc;
}

static enum mu_code record_inspect(const struct consensus_meta *meta,
                                   struct consensus_inspection *out, struct mu_err *err)
{
    struct consensus_bootstrap_record record;
    enum mu_code rc = consensus_bootstrap_record_decode(
        mu_span_of(meta->record, meta->record_bytes), &record, err);

    if (rc == MU_OK && mu_id_is_none(&out->cluster) && record.is_promised) {
        out->is_promised = true;
        out->coordinator = record.coordinator;
    }
    return rc;
}

/* The directory is not made, as opening a disk would do. */
static enum mu_code disk_of(const char *dir, struct consensus_disk *disk, struct mu_err *err)
{
    if (access(dir, F_OK) != 0) {
        return mu_fail(err, MU_NOT_FOUND, "%s: there is no log", dir);
    }
    return consensus__disk_open(disk, dir, err);
}

enum mu_code consensus_inspect(const char *dir, const struct mu_id *server,
                               const struct consensus_contained *state,
                               struct consensus_inspection *out, struct mu_err *err)
{
    struct consensus_disk disk;
    struct consensus_meta meta;
    struct mu_err damage = MU_ERR_NONE;

    *out = (struct consensus_inspection){ .state = *state };
    enum mu_code rc = disk_of(dir, &disk, err);

    if (rc != MU_OK) {
        return rc;
    }
    rc = consensus__meta_load(&disk, server, &meta, err);
    if (rc != MU_OK) {
        consensus__disk_close(&disk);
        return rc == MU_NOT_FOUND ? mu_fail(err, rc, "%s: there is no log", dir) : rc;
    }
    out->disk = meta.disk;
    out->cluster = meta.cluster;
    out->epoch = meta.epoch;
    out->boot_count = meta.boot_count;
    rc = log_inspect(&disk, &meta, out, &damage);
    if (rc != MU_OK) {
        out->damage_code = rc;
        (void)snprintf(out->damage, sizeof out->damage, "%s", damage.text);
    }
    rc = record_inspect(&meta, out, err);
    consensus__disk_close(&disk);
    return rc;
}

/* -- continuing -------------------------------------------------------------------------------- */

static void config_remove(struct consensus_config *config, const struct mu_id *disk)
{
    if (config->removed_count == CONSENSUS_REMOVED_MAX) {
        memmove(&config->removed[0], &config->removed[1],
                (CONSENSUS_REMOVED_MAX - 1) * sizeof config->removed[0]);
        config->removed_count--;
    }
    config->removed[config->removed_count++] = *disk;
}

void consensus_recovery_config(const struct consensus_inspection *seen,
                               const struct consensus_server *servers, size_t count,
                               struct consensus_config *out)
{
    const struct consensus_config *before = &seen->config;

    MU_ASSERT(count <= CONSENSUS_PEERS_MAX);
    *out = (struct consensus_config){ .index = seen->last_index + 1, .is_forced = true };
    out->level = before->level > CONSENSUS_LEVEL_FIRST ? before->level : CONSENSUS_LEVEL_FIRST;
    out->removed_count = before->removed_count;
    memcpy(out->removed, before->removed, sizeof out->removed);
    for (size_t i = 0; i < count; i++) {
        const struct consensus_server *was = consensus_config_find(before, &servers[i].id);

        out->servers[i] = servers[i];
        out->servers[i].joined_index = was != NULL ? was->joined_index : out->index;
        out->servers_count++;
    }
    for (uint32_t i = 0; i < before->servers_count; i++) {
        if (consensus_config_find(out, &before->servers[i].id) == NULL) {
            config_remove(out, &before->servers[i].disk);
        }
    }
}

static void on_store(void *data)
{
    (void)sem_post(data);
}

static enum mu_code store_wait(struct consensus_store *store, sem_t *said, uint64_t seq,
                               struct mu_err *err)
{
    for (;;) {
        struct consensus_store_report report;

        store->ops->collect(store->self, &report);
        if (report.persisted_seq >= seq) {
            return MU_OK; /* it is, whatever came after */
        }
        switch (report.health) {
        case CONSENSUS_STORE_OK:
        case CONSENSUS_STORE_SLOW: break;
        case CONSENSUS_STORE_FULL: return mu_fail(err, MU_FULL, "%s", report.why);
        case CONSENSUS_STORE_READ_ONLY: return mu_fail(err, MU_READ_ONLY, "%s", report.why);
        case CONSENSUS_STORE_FAILED: return mu_fail(err, MU_IO, "%s", report.why);
        }
        while (sem_wait(said) != 0) { /* interrupted by a signal */
        }
    }
}

static bool is_as_seen(const struct consensus_opened *opened,
                       const struct consensus_inspection *seen)
{
    const struct consensus_loaded *l = &opened->loaded;

    return l->hard.term == seen->term && l->hard.epoch == seen->epoch &&
           l->last_index == seen->last_index && mu_id_eq(&opened->disk, &seen->disk);
}

/* Hard state and configuration in one write. */
static enum mu_code append(struct consensus_store *store, sem_t *said,
                           const struct consensus_hard *hard, const struct consensus_config *config,
                           struct mu_err *err)
{
    uint8_t payload[CONSENSUS_CONFIG_BYTES_MAX];
    struct mu_buf record = MU_BUF_NONE;
    struct consensus_write write = {
        .seq = 1,
        .hard = *hard,
        .first = config->index,
        .last = config->index,
    };
    struct consensus_record entry = {
        .index = config->index,
        .term = hard->term,
        .kind = CONSENSUS_CONFIG,
        .payload = mu_span_of(payload, consensus_config_encode(config, payload)),
    };

    (void)consensus__record_add(&record, &entry, 0); /* the chain is the log's own */
    struct mu_span bytes = mu_buf_span(&record);

    store->ops->submit(store->self, &write, &bytes);
    enum mu_code rc = store_wait(store, said, write.seq, err);

    store->ops->close(store->self);
    store->ops->free(store->self); /* waits for the thread: only then the bytes may go */
    mu_buf_deinit(&record);
    return rc;
}

static void store_new(struct consensus_store *store, const char *dir, const struct mu_id *server,
                      const struct consensus_contained *state, sem_t *said)
{
    struct consensus_store_options options = {
        .dir = dir,
        .server = *server,
        .applied_index = state->index,
        .applied_term = state->term,
        .wake = on_store,
        .wake_data = said,
    };

    consensus_store_segment_new(store, &options);
}

enum mu_code consensus_recover(const char *dir, const struct mu_id *server,
                               const struct consensus_inspection *seen,
                               const struct consensus_config *config, uint64_t term, uint64_t epoch,
                               struct mu_err *err)
{
    struct consensus_hard hard = {
        .term = term, .epoch = epoch, .voted_for = *server, .cluster = seen->cluster
    };
    struct consensus_store store;
    struct consensus_opened opened;
    sem_t said;
    enum mu_code rc = consensus_config_check(config, err);

    MU_ASSERT(term > seen->term && seen->term >= seen->last_term && epoch > seen->epoch);
    if (rc != MU_OK) {
        return rc;
    }
    (void)sem_init(&said, 0, 0); /* of this process, from 0: it cannot fail */
    store_new(&store, dir, server, &seen->state, &said);
    rc = store.ops->open(store.self, &opened, err);
    if (rc != MU_OK) {
        store.ops->free(store.self);
    } else if (!is_as_seen(&opened, seen)) {
        store.ops->close(store.self);
        store.ops->free(store.self);
        rc = mu_fail(err, MU_CONFLICT, "%s: the log is not the one that was inspected", dir);
    } else {
        rc = append(&store, &said, &hard, config, err);
    }
    consensus_opened_deinit(&opened);
    (void)sem_destroy(&said);
    return rc;
}

/* -- a promise --------------------------------------------------------------------------------- */

enum mu_code consensus_promise_reset(const char *dir, const struct mu_id *server,
                                     struct mu_err *err)
{
    struct consensus_disk disk;
    struct consensus_meta meta;
    enum mu_code rc = disk_of(dir, &disk, err);

    if (rc != MU_OK) {
        return rc;
    }
    rc = consensus__meta_load(&disk, server, &meta, err);
    if (rc == MU_OK && !mu_id_is_none(&meta.cluster)) {
        rc = mu_fail(err, MU_CONFLICT, "%s: this server belongs to a cluster", dir);
    }
    rc = rc == MU_OK ? consensus__meta_settle(&disk, &meta, err) : rc;
    if (rc == MU_OK) {
        meta.record_bytes = 0;
        rc = consensus__meta_save(&disk, &meta, err);
    }
    consensus__disk_close(&disk);
    return rc;
}

/* -- a log that is only kept ------------------------------------------------------------------- */

static enum mu_code drop_one(void *data, const char *name, struct mu_err *err)
{
    const char *dir = data;
    uint64_t number;
    struct mu_buf path = MU_BUF_NONE;
    enum mu_code rc = MU_OK;

    mu_buf_addf(&path, "%s/%s", dir, name);
    if (strcmp(name, CONSENSUS_BALLAST_NAME) == 0 || strcmp(name, CONSENSUS_FILL_NAME) == 0 ||
        consensus__journal_name_parse(name, "spare-", &number)) {
        rc = mu_file_remove(mu_buf_text(&path), err);
    }
    mu_buf_deinit(&path);
    return rc;
}

enum mu_code consensus_reserve_drop(const char *dir, struct mu_err *err)
{
    enum mu_code rc = mu_dir_each(dir, drop_one, (void *)(uintptr_t)dir, err);

    return rc == MU_NOT_FOUND ? MU_OK : rc;
}
