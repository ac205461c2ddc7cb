/* test_store.c - both stores through their vtable: the same writes, crashes and restarts must leave
 * the same log, and what is refused is refused with words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#include "consensus/store.h"
#include "log_model.h"
#include "memory_disk.h"
#include "meta.h"
#include "scratch.h"
#include "store_segment.h"

#define SMALL_SEGMENT (64U * 1024)

/* -- one store and its owner --------------------------------------------------------------- */

struct rig {
    struct consensus_store store;
    struct consensus_opened opened;
    struct mu_err err;
    enum mu_code rc;
    bool is_open;

    pthread_mutex_t lock;
    pthread_cond_t news;
    unsigned wakes;

    struct consensus_store_report report; /* newest; without what was fetched */
    struct consensus_fetched fetched;     /* newest */
    size_t fetched_count;
};

static void on_wake(void *data)
{
    struct rig *r = data;

    (void)pthread_mutex_lock(&r->lock);
    r->wakes++;
    (void)pthread_cond_signal(&r->news);
    (void)pthread_mutex_unlock(&r->lock);
}

static void collect(struct rig *r)
{
    r->store.ops->collect(r->store.self, &r->report);
    for (size_t i = 0; i < r->report.fetched_count; i++) {
        consensus_fetched_deinit(&r->fetched);
        r->fetched = r->report.fetched[i];
        r->fetched_count++;
    }
    mu_free(r->report.fetched);
    r->report.fetched = NULL;
}

typedef bool until_fn(const struct rig *r, uint64_t n);

/* Collect at each wake until it holds, or the store has failed. */
static void wait_until(struct rig *r, until_fn *until, uint64_t n)
{
    for (;;) {
        (void)pthread_mutex_lock(&r->lock);
        r->wakes = 0;
        (void)pthread_mutex_unlock(&r->lock);
        collect(r);
        if (until(r, n) || (r->report.health == CONSENSUS_STORE_FAILED && !r->report.is_closed &&
                            n != UINT64_MAX)) {
            return;
        }
        (void)pthread_mutex_lock(&r->lock);
        while (r->wakes == 0) {
            (void)pthread_cond_wait(&r->news, &r->lock);
        }
        (void)pthread_mutex_unlock(&r->lock);
    }
}

static bool is_persisted(const struct rig *r, uint64_t n)
{
    return r->report.persisted_seq >= n;
}

static bool is_recorded(const struct rig *r, uint64_t n)
{
    return r->report.recorded_count >= n;
}

static bool is_fetched(const struct rig *r, uint64_t n)
{
    return r->fetched_count >= n;
}

static bool is_closed(const struct rig *r, uint64_t n)
{
    (void)n;
    return r->report.is_closed;
}

static bool has_health(const struct rig *r, uint64_t n)
{
    return (uint64_t)r->report.health == n;
}

enum which { SEGMENT, SQLITE };
static const char *const which_text[] = { "segment", "sqlite" };

static enum mu_code rig_open(struct rig *r, enum which which, const char *dir, uint8_t node,
                             const struct consensus_disk *disk)
{
    struct consensus_store_options options = {
        .dir = dir,
        .server = model_id(node),
        .segment_bytes = SMALL_SEGMENT,
        .spares_count = 1,
        .wake = on_wake,
        .wake_data = r,
    };

    memset(r, 0, sizeof *r);
    (void)pthread_mutex_init(&r->lock, NULL);
    (void)pthread_cond_init(&r->news, NULL);
    if (which == SQLITE) {
        consensus_store_sqlite_new(&r->store, &options);
    } else if (disk != NULL) {
        consensus__store_segment_on(&r->store, &options, disk, NULL);
    } else {
        consensus_store_segment_new(&r->store, &options);
    }
    r->rc = r->store.ops->open(r->store.self, &r->opened, &r->err);
    r->is_open = r->rc == MU_OK;
    return r->rc;
}

static void rig_close(struct rig *r)
{
    if (r->is_open) {
        r->store.ops->close(r->store.self);
        wait_until(r, is_closed, UINT64_MAX);
    }
    r->store.ops->free(r->store.self);
    consensus_opened_deinit(&r->opened);
    consensus_fetched_deinit(&r->fetched);
    (void)pthread_cond_destroy(&r->news);
    (void)pthread_mutex_destroy(&r->lock);
}

static void must_open(struct rig *r, enum which which, const char *dir)
{
    if (rig_open(r, which, dir, 1, NULL) != MU_OK) {
        fail_msg("%s: open: %s", which_text[which], r->err.text);
    }
}

static void dir_free(const char *dir)
{
    struct mu_err err = MU_ERR_NONE;

    assert_int_equal(mu_dir_remove(dir, &err), MU_OK);
}

static void submit_wait(struct rig *r, const struct model_write *mw)
{
    r->store.ops->submit(r->store.self, &mw->w, mw->records);
    wait_until(r, is_persisted, mw->w.seq);
    assert_int_equal(r->report.health, CONSENSUS_STORE_OK);
}

/* Entries first .. last of the model, one write, waited for. */
static void put(struct rig *r, struct model *m, uint64_t seq, uint64_t first, size_t count)
{
    struct model_write *mw = mu_new(sizeof *mw);

    model_write(m, mw, seq, first, count,
                (struct model_entry){ m->hard.term, 100, CONSENSUS_COMMAND });
    submit_wait(r, mw);
    model_write_deinit(mw);
    mu_free(mw);
}

/* -- what open says ------------------------------------------------------------------------ */

/* NULL when this is what the model says. Of a base that differs, since one store compacts whole
 * segments only, the part both have is compared. */
static const char *difference(const struct consensus_opened *o, const struct model *m)
{
    const struct consensus_loaded *l = &o->loaded;
    size_t at = 0;

    if (l->last_index != m->last || l->base_index > m->last) {
        return "last index";
    }
    if (l->hard.term != m->hard.term || !mu_id_eq(&l->hard.voted_for, &m->hard.voted_for) ||
        !mu_id_eq(&l->hard.cluster, &m->hard.cluster)) {
        return "hard state";
    }
    if (l->base_index > 0 && l->base_term != m->entries[l->base_index].term) {
        return "base term";
    }
    for (uint64_t i = l->base_index + 1; i <= m->last; i++) {
        if (model_run_term(l->runs, l->runs_count, i) != m->entries[i].term) {
            return "terms";
        }
    }
    for (uint64_t i = l->base_index; i > 0; i--) {
        if (m->entries[i].kind == CONSENSUS_CONFIG) { /* the newest at or below the base */
            if (l->configs_count == 0 || l->configs[0].index != i) {
                return "the base's configuration";
            }
            at = 1;
            break;
        }
    }
    for (uint64_t i = l->base_index + 1; i <= m->last; i++) {
        struct consensus_config want;

        if (m->entries[i].kind != CONSENSUS_CONFIG) {
            continue;
        }
        model_config(i, m->entries[i].term, &want);
        if (at >= l->configs_count || l->configs[at].index != i ||
            memcmp(&l->configs[at], &want, sizeof want) != 0) {
            return "configurations";
        }
        at++;
    }
    return at == l->configs_count ? NULL : "number of configurations";
}

static void must_fetch(struct rig *r, const struct model *m, uint64_t first, uint64_t last)
{
    struct consensus_fetch f = { .ticket = 77, .bytes_max = 60000, .first = first, .last = last };
    size_t before = r->fetched_count;

    r->store.ops->fetch(r->store.self, &f);
    wait_until(r, is_fetched, before + 1);
    if (r->fetched_count != before + 1 || r->fetched.code != CONSENSUS_FETCH_OK) {
        fail_msg("fetch %llu..%llu: code %d, %s", (unsigned long long)first,
                 (unsigned long long)last, r->fetched.code, r->report.why);
    }
    struct mu_span got = mu_buf_span(&r->fetched.records);
    uint64_t upto = first - 1;

    for (size_t at = 0; at < got.bytes;) {
        struct consensus_record record;
        size_t room = 0;

        assert_true(consensus__record_read(mu_span_sub(got, at, got.bytes - at), &record, &room));
        at += room;
        upto = record.index;
    }
    assert_int_equal(r->fetched.ticket, 77);
    assert_true(upto >= first && upto <= last);
    assert_true(got.bytes <= f.bytes_max || upto == first);
    assert_true(model_records_equal(m, first, upto, got));
}

/* -- the property -------------------------------------------------------------------------- */

#define BURST 6

struct twins {
    struct memory_disk *disk;
    struct consensus_disk view;
    const char *dir;
    struct rig segment, sqlite;
    struct model *acked; /* what both hold */
    uint64_t seq;        /* of this boot */
    uint64_t segment_base, sqlite_base;
    struct mu_rand rand;
};

/* Both find the same. A power cut may be waiting for the segment store: then it opens again. */
static void twins_open(struct twins *t, const struct model *candidates, size_t count, bool may_cut)
{
    t->disk->calls = 0;
    t->disk->stop_at =
        may_cut && mu_rand_below(&t->rand, 2) == 0 ? 8 + mu_rand_below(&t->rand, 160) : 0;
    t->disk->stop_sectors = mu_rand_below(&t->rand, 30);
    if (rig_open(&t->segment, SEGMENT, NULL, 1, &t->view) != MU_OK) {
        if (t->disk->stop_at == 0) {
            fail_msg("segment store: %s", t->segment.err.text);
        }
        rig_close(&t->segment);
        memory_power_cut(t->disk, &t->rand);
        twins_open(t, candidates, count, false);
        return;
    }
    for (size_t i = count; i > 0; i--) { /* the newest that fits is what survived */
        if (difference(&t->segment.opened, &candidates[i - 1]) == NULL) {
            *t->acked = candidates[i - 1];
            break;
        }
    }
    const char *what = difference(&t->segment.opened, t->acked);

    if (what != NULL) {
        fail_msg("segment store: %s", what);
    }
    t->segment_base = t->segment.opened.loaded.base_index;
    t->seq = 0;
}

/* Replay on the other store what the first one kept of the writes in flight. */
static void catch_up(struct twins *t, const struct model *candidates, struct model_write *writes,
                     size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(&candidates[i], t->acked, sizeof *t->acked) == 0) {
            return;
        }
        t->sqlite.store.ops->submit(t->sqlite.store.self, &writes[i].w, writes[i].records);
        collect(&t->sqlite);
    }
}

/* Some writes at once to the segment store; then, as far as they arrived, to the other. */
static void burst(struct twins *t)
{
    struct model *candidates = mu_new_array(BURST + 1, sizeof *candidates);
    struct model_write *writes = mu_new_array(BURST, sizeof *writes);
    size_t count = 1 + mu_rand_below(&t->rand, BURST);
    uint64_t committed = t->acked->last > 15 ? t->acked->last - 15 : 0;

    committed = committed > t->sqlite_base ? committed : t->sqlite_base;
    candidates[0] = *t->acked;
    for (size_t i = 0; i < count; i++) {
        candidates[i + 1] = candidates[i];
        model_random_write(&candidates[i + 1], &t->rand, ++t->seq, committed, &writes[i]);
        t->segment.store.ops->submit(t->segment.store.self, &writes[i].w, writes[i].records);
    }
    wait_until(&t->segment, is_persisted, t->seq);
    if (t->segment.report.health != CONSENSUS_STORE_FAILED) {
        *t->acked = candidates[count];
    } else {
        uint64_t done = t->segment.report.persisted_seq;
        size_t kept = 0;

        while (kept < count && writes[kept].w.seq <= done) {
            kept++;
        }
        *t->acked = candidates[kept];
        rig_close(&t->segment);
        memory_power_cut(t->disk, &t->rand);
        twins_open(t, candidates + kept, count - kept + 1, true);
    }
    catch_up(t, candidates, writes, count);
    for (size_t i = 0; i < count; i++) {
        model_write_deinit(&writes[i]);
    }
    mu_free(writes);
    mu_free(candidates);
}

static void twins_restart(struct twins *t)
{
    rig_close(&t->segment);
    memory_crash(t->disk);
    twins_open(t, t->acked, 1, true);
    rig_close(&t->sqlite);
    must_open(&t->sqlite, SQLITE, t->dir);
    const char *what = difference(&t->sqlite.opened, t->acked);

    if (what != NULL) {
        fail_msg("sqlite store: %s", what);
    }
    assert_memory_equal(&t->sqlite.opened.loaded.hard, &t->segment.opened.loaded.hard,
                        sizeof(struct consensus_hard));
}

static void twins_compact(struct twins *t)
{
    uint64_t upto = t->acked->last > 25 ? t->acked->last - 25 : 0;

    if (upto <= t->sqlite_base) {
        return;
    }
    t->sqlite.store.ops->compact(t->sqlite.store.self, upto);
    t->segment.store.ops->compact(t->segment.store.self, upto);
    collect(&t->sqlite);
    t->sqlite_base = t->sqlite.report.base_index;
    assert_int_equal(t->sqlite_base, upto);
}

static void twins_fetch(struct twins *t)
{
    if (t->acked->last <= t->sqlite_base || t->disk->stop_at != 0) {
        return;
    }
    uint64_t first = t->sqlite_base + 1 + mu_rand_below(&t->rand, t->acked->last - t->sqlite_base);
    uint64_t last = first + mu_rand_below(&t->rand, t->acked->last - first + 1);

    must_fetch(&t->segment, t->acked, first, last);
    must_fetch(&t->sqlite, t->acked, first, last);
}

static void both_stores_hold_the_same_after_any_history(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct twins *t = mu_new(sizeof *t);

        mu_rand_seed(&t->rand, seed);
        t->disk = memory_disk_new();
        t->view = memory_disk_view(t->disk);
        t->dir = scratch_dir();
        t->acked = mu_new(sizeof *t->acked);
        twins_open(t, t->acked, 1, false);
        must_open(&t->sqlite, SQLITE, t->dir);
        for (int i = 0; i < 60 && t->acked->last < MODEL_ENTRIES_MAX - 100; i++) {
            switch (mu_rand_below(&t->rand, 12)) {
            case 0: twins_restart(t); break;
            case 1: twins_compact(t); break;
            case 2: twins_fetch(t); break;
            default: burst(t); break;
            }
        }
        twins_restart(t);
        rig_close(&t->segment);
        rig_close(&t->sqlite);
        memory_disk_free(t->disk);
        dir_free(t->dir);
        mu_free(t->acked);
        mu_free(t);
    }
}

/* -- identity ------------------------------------------------------------------------------ */

static void a_restart_finds_disk_record_and_count(void **state)
{
    (void)state;
    for (enum which which = SEGMENT; which <= SQLITE; which++) {
        struct model *m = mu_new(sizeof *m);
        const char *dir = scratch_dir();
        struct mu_id disk;
        struct rig r;

        m->hard.term = 3;
        m->hard.cluster = model_id(9);
        must_open(&r, which, dir);
        assert_true(r.opened.is_fresh);
        assert_int_equal(r.opened.loaded.boot_count, 1);
        assert_int_equal(r.opened.record.bytes, 0);
        disk = r.opened.disk;
        assert_false(mu_id_is_none(&disk));
        r.store.ops->record(r.store.self, MU_SPAN_LIT("promise"));
        wait_until(&r, is_recorded, 1);
        rig_close(&r);

        must_open(&r, which, dir);
        assert_true(r.opened.is_fresh); /* a promise is not an entry */
        assert_int_equal(r.opened.loaded.boot_count, 2);
        assert_true(mu_id_eq(&r.opened.disk, &disk));
        assert_true(mu_span_eq_text(mu_buf_span(&r.opened.record), "promise"));
        r.store.ops->record(r.store.self, MU_SPAN_NONE);
        wait_until(&r, is_recorded, 1);
        put(&r, m, 1, 1, 2);
        rig_close(&r);

        must_open(&r, which, dir);
        assert_false(r.opened.is_fresh);
        assert_int_equal(r.opened.loaded.boot_count, 3);
        assert_int_equal(r.opened.record.bytes, 0);
        assert_null(difference(&r.opened, m));
        assert_false(r.opened.was_rewritten); /* it was stopped, not killed */
        must_fetch(&r, m, 1, 2);
        rig_close(&r);
        dir_free(dir);
        mu_free(m);
    }
}

static void a_directory_of_another_node_is_refused_with_both_ids(void **state)
{
    (void)state;
    for (enum which which = SEGMENT; which <= SQLITE; which++) {
        const char *dir = scratch_dir();
        struct rig r;

        must_open(&r, which, dir);
        rig_close(&r);
        assert_int_equal(rig_open(&r, which, dir, 2, NULL), MU_FOREIGN);
        assert_non_null(strstr(r.err.text, "belongs to node 01000000-0000-0000-0000-00000000005a, "
                                           "this is node 02000000-0000-0000-0000-00000000005a"));
        rig_close(&r);
        dir_free(dir);
    }
}

static void a_directory_in_use_is_refused(void **state)
{
    (void)state;
    for (enum which which = SEGMENT; which <= SQLITE; which++) {
        const char *dir = scratch_dir();
        struct rig first;
        struct rig second;

        must_open(&first, which, dir);
        assert_int_equal(rig_open(&second, which, dir, 1, NULL), MU_FOREIGN);
        assert_non_null(strstr(second.err.text, "locked by another process"));
        rig_close(&second);
        rig_close(&first);
        must_open(&second, which, dir);
        rig_close(&second);
        dir_free(dir);
    }
}

static void a_newer_format_is_refused(void **state)
{
    const char *dir = scratch_dir();
    char path[128];
    sqlite3 *db;
    struct rig r;

    (void)state;
    must_open(&r, SQLITE, dir);
    rig_close(&r);
    (void)snprintf(path, sizeof path, "%s/log.db", dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=99", NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(db);
    assert_int_equal(rig_open(&r, SQLITE, dir, 1, NULL), MU_UNSUPPORTED);
    rig_close(&r);
    dir_free(dir);
}

static void a_log_without_its_meta_file_is_damage(void **state)
{
    struct model *m = mu_new(sizeof *m);
    const char *dir = scratch_dir();
    char path[128];
    struct rig r;

    (void)state;
    must_open(&r, SEGMENT, dir);
    put(&r, m, 1, 1, 1);
    rig_close(&r);
    (void)snprintf(path, sizeof path, "%s/meta", dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rig_open(&r, SEGMENT, dir, 1, NULL), MU_CORRUPT);
    assert_non_null(strstr(r.err.text, "missing or blank"));
    rig_close(&r);
    dir_free(dir);
    mu_free(m);
}

static void an_empty_log_of_a_cluster_is_damage(void **state)
{
    struct model *m = mu_new(sizeof *m);
    const char *dir = scratch_dir();
    char path[128];
    struct rig r;

    (void)state;
    m->hard.term = 1;
    m->hard.cluster = model_id(9);
    must_open(&r, SEGMENT, dir);
    put(&r, m, 1, 1, 1);
    rig_close(&r);
    for (int i = 1; i <= 2; i++) { /* a slow machine has begun the second one */
        (void)snprintf(path, sizeof path, "%s/log-000000000000000%d.seg", dir, i);
        assert_true(unlink(path) == 0 || (i == 2 && errno == ENOENT));
    }
    assert_int_equal(rig_open(&r, SEGMENT, dir, 1, NULL), MU_CORRUPT);
    assert_non_null(strstr(r.err.text, "were durable"));
    rig_close(&r);
    dir_free(dir);
    mu_free(m);
}

/* -- fetch, compact ------------------------------------------------------------------------ */

static void what_was_compacted_is_said_to_be(void **state)
{
    (void)state;
    for (enum which which = SEGMENT; which <= SQLITE; which++) {
        struct consensus_fetch f = { .ticket = 5, .bytes_max = 1000, .first = 1, .last = 9 };
        struct model *m = mu_new(sizeof *m);
        const char *dir = scratch_dir();
        struct rig r;

        must_open(&r, which, dir);
        for (uint64_t seq = 1; seq <= 40; seq++) {
            put(&r, m, seq, m->last + 1, 8);
        }
        r.store.ops->compact(r.store.self, 300);
        r.store.ops->fetch(r.store.self, &f);
        wait_until(&r, is_fetched, 1);
        assert_int_equal(r.fetched.ticket, 5);
        assert_int_equal(r.fetched.code, CONSENSUS_FETCH_COMPACTED);
        assert_true(r.report.base_index > 9 && r.report.base_index <= 300);
        must_fetch(&r, m, r.report.base_index + 1, m->last);
        rig_close(&r);
        must_open(&r, which, dir);
        assert_null(difference(&r.opened, m));
        rig_close(&r);
        dir_free(dir);
        mu_free(m);
    }
}

/* -- disks that fail or fill --------------------------------------------------------------- */

static void a_failed_flush_ends_the_store(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct consensus_disk view = memory_disk_view(d);
    struct model *m = mu_new(sizeof *m);
    struct model_write *mw = mu_new(sizeof *mw);
    struct rig r;

    (void)state;
    d->fail_sync_at = 12;
    assert_int_equal(rig_open(&r, SEGMENT, NULL, 1, &view), MU_OK);
    for (uint64_t seq = 1; r.report.health != CONSENSUS_STORE_FAILED; seq++) {
        assert_true(seq < 20);
        model_write(m, mw, seq, seq, 1, (struct model_entry){ 0, 10, CONSENSUS_COMMAND });
        r.store.ops->submit(r.store.self, &mw->w, mw->records);
        wait_until(&r, is_persisted, seq);
        model_write_deinit(mw);
    }
    assert_non_null(strstr(r.report.why, "flush: input/output error"));
    rig_close(&r);
    assert_int_equal(d->syncs_after_failure, 0);
    memory_disk_free(d);
    mu_free(mw);
    mu_free(m);
}

static void a_full_disk_is_a_warning_and_compaction_ends_it(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct consensus_disk view = memory_disk_view(d);
    struct model *m = mu_new(sizeof *m);
    struct model_write *mw = mu_new_array(200, sizeof *mw);
    uint64_t seq = 0;
    struct rig r;

    (void)state;
    d->capacity = 4 * SMALL_SEGMENT + CONSENSUS_META_BYTES;
    assert_int_equal(rig_open(&r, SEGMENT, NULL, 1, &view), MU_OK);
    while (seq < 200) {
        model_write(m, &mw[seq], seq + 1, seq + 1, 1,
                    (struct model_entry){ 0, 4000, CONSENSUS_COMMAND });
        r.store.ops->submit(r.store.self, &mw[seq].w, mw[seq].records);
        seq++;
    }
    wait_until(&r, has_health, CONSENSUS_STORE_FULL);
    assert_non_null(strstr(r.report.why, "no space left"));
    /* Whatever is durable may go, again and again: in the end everything has been written. */
    for (;;) {
        collect(&r);
        if (r.report.persisted_seq == seq) {
            break;
        }
        uint64_t upto = r.report.persisted_seq;

        r.store.ops->compact(r.store.self, upto);
        wait_until(&r, is_persisted, upto + 1);
        assert_int_not_equal(r.report.health, CONSENSUS_STORE_FAILED);
    }
    rig_close(&r);
    memory_crash(d);
    d->capacity = 0;
    assert_int_equal(rig_open(&r, SEGMENT, NULL, 1, &view), MU_OK);
    assert_int_equal(r.opened.loaded.last_index, seq);
    rig_close(&r);
    for (size_t i = 0; i < 200; i++) {
        model_write_deinit(&mw[i]);
    }
    memory_disk_free(d);
    mu_free(mw);
    mu_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_stores_hold_the_same_after_any_history),
        cmocka_unit_test(a_restart_finds_disk_record_and_count),
        cmocka_unit_test(a_directory_of_another_node_is_refused_with_both_ids),
        cmocka_unit_test(a_directory_in_use_is_refused),
        cmocka_unit_test(a_newer_format_is_refused),
        cmocka_unit_test(a_log_without_its_meta_file_is_damage),
        cmocka_unit_test(an_empty_log_of_a_cluster_is_damage),
        cmocka_unit_test(what_was_compacted_is_said_to_be),
        cmocka_unit_test(a_failed_flush_ends_the_store),
        cmocka_unit_test(a_full_disk_is_a_warning_and_compaction_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
