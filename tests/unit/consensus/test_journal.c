/* test_journal.c - the log as segment files, on a disk that forgets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/crc.h"
#include "base/wire.h"
#include "journal_fixture.h"

/* -- what is written is found -------------------------------------------------------------- */

static void a_new_directory_is_an_empty_log(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct model *m = mu_new(sizeof *m);
    struct opened o;

    (void)state;
    for (int i = 0; i < 3; i++) {
        must_open(&o, d);
        assert_true(o.found.was_empty);
        must_equal(&o, m, "empty");
        shut(&o);
    }
    assert_int_equal(d->open_count, 0);
    mu_free(m);
    memory_disk_free(d);
}

static void payloads_of_every_size_come_back(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct model *m = model_new();
    struct opened o;

    (void)state;
    must_open(&o, d);
    for (uint32_t bytes = 0; bytes < 4095; bytes += bytes < 70 || bytes > 4000 ? 1 : 61) {
        put(&o, m, m->last + 1, 1, bytes);
    }
    put(&o, m, m->last + 1, 1, 4095);
    put(&o, m, m->last + 1, 1, 4096);
    put(&o, m, m->last + 1, 1, 4097);
    reopen(&o, d);
    assert_true(o.found.was_rewritten);
    must_equal(&o, m, "after a crash");
    reopen(&o, d);
    assert_false(o.found.was_rewritten);
    must_equal(&o, m, "after another");
    shut(&o);
    mu_free(m);
    memory_disk_free(d);
}

static void the_largest_command_fits_the_smallest_segments(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct model *m = model_new();
    struct opened o;

    (void)state;
    must_open(&o, d);
    put(&o, m, 1, 1, 100);
    put(&o, m, 2, 1, MU_COMMAND_BYTES_MAX);
    put(&o, m, 3, 1, 100);
    put(&o, m, 4, 1, MU_COMMAND_BYTES_MAX);
    reopen(&o, d);
    must_equal(&o, m, "after a crash");
    shut(&o);
    mu_free(m);
    memory_disk_free(d);
}

static void many_writes_share_a_batch(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct model *m = model_new();
    struct model_write *mw = mu_new_array(8, sizeof *mw);
    struct consensus_journal_write w[8];
    struct opened o;

    (void)state;
    must_open(&o, d);
    for (size_t i = 0; i < 8; i++) {
        struct model_entry like = { m->hard.term, 20, CONSENSUS_COMMAND };

        /* The sixth overwrites: it may not share a batch with what it overwrites. */
        model_write(m, &mw[i], i + 1, i == 5 ? 4 : m->last + 1, 2, like);
        w[i] = (struct consensus_journal_write){ &mw[i].w, mw[i].records };
    }
    uint64_t syncs = d->syncs;

    assert_int_equal(consensus__journal_group(&o.j, w, 8), 5);
    assert_int_equal(consensus__journal_append(&o.j, w, 5, &o.err), MU_OK);
    assert_int_equal(d->syncs - syncs, 1);
    assert_int_equal(consensus__journal_group(&o.j, w + 5, 3), 3);
    assert_int_equal(consensus__journal_append(&o.j, w + 5, 3, &o.err), MU_OK);
    assert_int_equal(d->syncs - syncs, 2);
    must_equal(&o, m, "at once");
    reopen(&o, d);
    must_equal(&o, m, "after a crash");
    shut(&o);
    for (size_t i = 0; i < 8; i++) {
        model_write_deinit(&mw[i]);
    }
    mu_free(mw);
    mu_free(m);
    memory_disk_free(d);
}

static void an_idle_log_proves_its_end_and_goes_on_in_place(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct model *m = model_new();
    struct opened o;

    (void)state;
    must_open(&o, d);
    put(&o, m, 1, 3, 50);
    assert_int_equal(consensus__journal_mark(&o.j, &o.err), MU_OK);
    uint64_t syncs = d->syncs;

    assert_int_equal(consensus__journal_mark(&o.j, &o.err), MU_OK);
    assert_int_equal(d->syncs, syncs); /* proven already */
    reopen(&o, d);
    assert_false(o.found.was_rewritten);
    assert_int_equal(o.j.segments_count, 1);
    put(&o, m, 4, 1, 50);
    reopen(&o, d);
    must_equal(&o, m, "after going on in place");
    shut(&o);
    mu_free(m);
    memory_disk_free(d);
}

/* -- compaction, overwriting across segments, reset ---------------------------------------- */

static void compaction_recycles_whole_segments_and_keeps_the_configuration(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct model *m = model_new();
    struct model_write *mw = mu_new(sizeof *mw);
    struct opened o;

    (void)state;
    must_open(&o, d);
    model_write(m, mw, 1, 1, 1, (struct model_entry){ 1, 0, CONSENSUS_CONFIG });
    assert_int_equal(append_one(&o, mw), MU_OK);
    model_write_deinit(mw);
    for (int i = 0; i < 400; i++) {
        put(&o, m, m->last + 1, 3, 200);
        if (m->last > 30) {
            assert_int_equal(consensus__journal_compact(&o.j, m->last - 30, &o.err), MU_OK);
            m->base_index = o.j.base.index;
            assert_true(m->base_index <= m->last - 30);
        }
        if (i % 20 == 19) {
            must_equal(&o, m, "after compaction");
        }
        if (i % 50 == 49) {
            reopen(&o, d);
            must_equal(&o, m, "after a crash");
        }
    }
    assert_true(m->base_index > m->last - 200); /* whole segments went, all the time */
    assert_true(o.j.segments_count < 6);
    assert_int_equal(o.j.configs_count, 1);
    assert_int_equal(o.j.configs[0].index, 1);
    assert_int_equal(consensus__journal_read(&o.j, m->base_index, m->last, 1, &mw->bytes, &o.err),
                     MU_NOT_FOUND);
    shut(&o);
    mu_free(mw);
    mu_free(m);
    memory_disk_free(d);
}

/* A leader of a later term overwrites a tail that spans several segments; later the prefix is
 * compacted. Cut the power at each call of all that. */
static void run_overwrite_and_compact(struct memory_disk *d, struct model *m, struct model *before,
                                      uint64_t stop_at)
{
    struct model_write *mw = mu_new(sizeof *mw);
    struct opened o;

    must_open(&o, d);
    for (int i = 0; i < 56; i++) {
        put(&o, m, m->last + 1, 4, 900);
    }
    d->calls = 0;
    d->stop_at = stop_at;
    *before = *m;
    m->hard.term = 5;
    model_write(m, mw, 1, 21, 2, (struct model_entry){ 5, 10, CONSENSUS_COMMAND });
    enum mu_code rc = append_one(&o, mw);

    model_write_deinit(mw);
    for (int i = 0; rc == MU_OK && i < 60; i++) {
        *before = *m;
        model_write(m, mw, 1, m->last + 1, 4, (struct model_entry){ 5, 900, CONSENSUS_COMMAND });
        rc = append_one(&o, mw);
        model_write_deinit(mw);
    }
    if (rc == MU_OK) {
        *before = *m;
        rc = consensus__journal_compact(&o.j, 200, &o.err);
        assert_true(rc != MU_OK || o.j.base.index > 20);
    }
    shut(&o);
    mu_free(mw);
}

static void a_long_tail_is_overwritten_and_compacted_with_the_power_cut_anywhere(void **state)
{
    struct mu_rand r;

    (void)state;
    mu_rand_seed(&r, 3);
    for (uint64_t stop_at = 1;; stop_at++) {
        struct memory_disk *d = memory_disk_new();
        struct model *m = model_new();
        struct model *before = mu_new(sizeof *before);
        struct opened o;

        run_overwrite_and_compact(d, m, before, stop_at);
        bool was_cut = memory_is_dead(d);

        memory_power_cut(d, &r);
        must_open(&o, d);
        m->base_index = before->base_index = o.j.base.index;
        assert_true(o.j.base.index <= 200);
        if (difference(&o, m) != NULL) {
            must_equal(&o, before, "cut short");
        }
        shut(&o);
        memory_disk_free(d);
        mu_free(m);
        mu_free(before);
        if (!was_cut) {
            assert_true(stop_at > 100);
            return;
        }
    }
}

/* The configuration as of the snapshot is the log's first; one of before does not come back. */
static void a_reset_brings_its_configuration(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct model *m = model_new();
    struct model_write *mw = mu_new(sizeof *mw);
    struct consensus_config config = { .index = 997,
                                       .level = CONSENSUS_LEVEL_FIRST,
                                       .servers_count = 1 };
    struct consensus_config got;
    struct opened o;

    (void)state;
    config.servers[0].id = model_id(1);
    config.servers[0].disk = model_id(2);
    config.servers[0].is_voter = true;
    must_open(&o, d);
    model_write(m, mw, 1, 0, 0, (struct model_entry){ 0 });
    mw->w.reset_index = 1000;
    mw->w.reset_term = 1;
    mw->w.reset_config = &config;
    assert_int_equal(append_one(&o, mw), MU_OK);
    for (int i = 0; i < 3; i++) { /* as written, found again, and found in a later segment's base */
        assert_int_equal(o.j.base.index, 1000);
        assert_int_equal(o.j.configs_count, 1);
        assert_int_equal(consensus_config_decode(mu_buf_span(&o.j.configs[0].bytes),
                                                 o.j.configs[0].index, &got, NULL),
                         MU_OK);
        assert_memory_equal(&got, &config, sizeof got);
        reopen(&o, d);
        assert_int_equal(consensus__journal_compact(&o.j, 0, &o.err), MU_OK);
    }
    shut(&o);
    mu_free(mw);
    mu_free(m);
    memory_disk_free(d);
}

static void a_reset_restarts_the_log_behind_a_snapshot(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct model *m = model_new();
    struct model_write *mw = mu_new(sizeof *mw);
    struct opened o;

    (void)state;
    must_open(&o, d);
    for (int i = 0; i < 60; i++) {
        put(&o, m, m->last + 1, 4, 900);
    }
    model_write(m, mw, 1, 0, 0, (struct model_entry){ 0 });
    mw->w.reset_index = 1000;
    mw->w.reset_term = 1;
    assert_int_equal(append_one(&o, mw), MU_OK);
    m->base_index = m->last = 1000;
    must_equal(&o, m, "after the reset");
    put(&o, m, 1001, 2, 10);
    reopen(&o, d);
    must_equal(&o, m, "after a crash");
    assert_int_equal(consensus__journal_compact(&o.j, 0, &o.err), MU_OK);
    assert_true(o.j.segments_count <= 2); /* what was before is of no use to anybody */
    reopen(&o, d);
    must_equal(&o, m, "after compaction");
    put(&o, m, 1003, 1, 10);
    reopen(&o, d);
    must_equal(&o, m, "at last");
    shut(&o);
    mu_free(mw);
    mu_free(m);
    memory_disk_free(d);
}

/* -- crashes ------------------------------------------------------------------------------- */

static uint64_t calls_of_run(uint64_t seed)
{
    struct memory_disk *d = memory_disk_new();
    struct model *acked = model_new();
    struct model *latest = model_new();

    scripted_run(d, acked, latest, seed);
    uint64_t calls = d->calls;

    memory_disk_free(d);
    mu_free(acked);
    mu_free(latest);
    return calls;
}

static void nothing_acknowledged_is_lost_wherever_the_power_goes(void **state)
{
    uint64_t calls = calls_of_run(11);
    struct mu_rand r;

    (void)state;
    mu_rand_seed(&r, 1);
    assert_true(calls > 100);
    for (uint64_t at = 1; at <= calls; at++) {
        for (uint64_t sectors = at % 4; sectors < 18; sectors = sectors * 4 + 3) {
            struct memory_disk *d = memory_disk_new();
            struct model *acked = mu_new(sizeof *acked);
            struct model *latest = mu_new(sizeof *latest);

            latest->hard.cluster = model_id(9);
            d->stop_at = at;
            d->stop_sectors = sectors;
            scripted_run(d, acked, latest, 11);
            if (sectors % 2 == 0) {
                memory_crash(d);
            } else {
                memory_power_cut(d, &r);
            }
            must_recover(d, acked, latest, at, sectors);
            memory_disk_free(d);
            mu_free(acked);
            mu_free(latest);
        }
    }
}

static void every_prefix_of_sectors_of_the_last_batch_opens(void **state)
{
    (void)state;
    for (uint64_t sectors = 0; sectors <= 40; sectors++) {
        struct memory_disk *d = memory_disk_new();
        struct model *acked = model_new();
        struct model *latest = mu_new(sizeof *latest);
        struct model_write *mw = mu_new(sizeof *mw);
        struct opened o;

        must_open(&o, d);
        put(&o, acked, 1, 3, 700);
        *latest = *acked;
        model_write(latest, mw, 2, 4, 10, (struct model_entry){ 1, 1900, CONSENSUS_COMMAND });
        d->calls = 0;
        d->stop_at = 1;
        d->stop_sectors = sectors;
        assert_int_equal(append_one(&o, mw), MU_IO);
        shut(&o);
        memory_crash(d);
        must_open(&o, d);
        must_equal(&o, sectors * MEMORY_SECTOR >= 48 + HARD_ROOM + mw->bytes.bytes ? latest : acked,
                   "torn");
        shut(&o);
        model_write_deinit(mw);
        mu_free(mw);
        mu_free(acked);
        mu_free(latest);
        memory_disk_free(d);
    }
}

static void a_crash_while_opening_changes_nothing(void **state)
{
    struct mu_rand r;

    (void)state;
    mu_rand_seed(&r, 5);
    for (uint64_t seed = 1; seed <= 6; seed++) {
        for (uint64_t at = 1; at <= 24; at++) {
            struct memory_disk *d = memory_disk_new();
            struct model *acked = mu_new(sizeof *acked);
            struct model *latest = mu_new(sizeof *latest);
            struct opened o;

            latest->hard.cluster = model_id(9);
            d->stop_at = 40 + 5 * seed;
            d->stop_sectors = seed;
            scripted_run(d, acked, latest, seed);
            memory_power_cut(d, &r);
            d->calls = 0;
            d->stop_at = at;
            d->stop_sectors = at % 9;
            if (open_on(&o, d, 0) == MU_OK) {
                shut(&o);
            }
            memory_power_cut(d, &r);
            must_recover(d, acked, latest, at, d->stop_sectors);
            memory_disk_free(d);
            mu_free(acked);
            mu_free(latest);
        }
    }
}

static void random_histories_survive_random_crashes(void **state)
{
    struct model_write *mw = mu_new(sizeof *mw);

    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct memory_disk *d = memory_disk_new();
        struct model *acked = mu_new(sizeof *acked);
        struct model *latest = mu_new(sizeof *latest);
        struct mu_rand r;
        struct opened o;

        mu_rand_seed(&r, seed * 7919);
        latest->hard.cluster = acked->hard.cluster = model_id(9);
        must_open(&o, d);
        for (uint64_t seq = 1; seq <= 120 && latest->last < MODEL_ENTRIES_MAX - 8; seq++) {
            uint64_t committed = acked->last > 20 ? acked->last - 20 : 0;

            committed = committed > acked->base_index ? committed : acked->base_index;
            model_random_write(latest, &r, seq, committed, mw);
            if (mu_rand_below(&r, 10) == 0) {
                d->calls = 0;
                d->stop_at = 1 + mu_rand_below(&r, 3);
                d->stop_sectors = mu_rand_below(&r, 20);
            }
            enum mu_code rc = append_one(&o, mw);

            model_write_deinit(mw);
            if (rc == MU_OK) {
                *acked = *latest;
                if (mu_rand_below(&r, 6) == 0) {
                    rc = consensus__journal_compact(&o.j, committed, &o.err);
                    acked->base_index = latest->base_index =
                        rc == MU_OK ? o.j.base.index : acked->base_index;
                }
            }
            if (rc != MU_OK || mu_rand_below(&r, 12) == 0) {
                shut(&o);
                if (mu_rand_below(&r, 2) == 0) {
                    memory_power_cut(d, &r);
                } else {
                    memory_crash(d);
                }
                must_recover(d, acked, latest, seed, seq);
                *latest = *acked;
                must_open(&o, d);
            }
        }
        must_equal(&o, acked, "at the end");
        shut(&o);
        assert_int_equal(d->open_count, 0);
        memory_disk_free(d);
        mu_free(acked);
        mu_free(latest);
    }
    mu_free(mw);
}

/* The MARK that the log went on behind was in the page cache only; then the power goes while the
 * next batch is written. */
static void a_mark_that_was_not_flushed_is_not_missed(void **state)
{
    struct mu_rand r;

    (void)state;
    for (uint64_t seed = 1; seed <= 64; seed++) {
        struct memory_disk *d = memory_disk_new();
        struct model *m = model_new();
        struct model *after = mu_new(sizeof *after);
        struct model_write *mw = mu_new(sizeof *mw);
        struct opened o;

        mu_rand_seed(&r, seed);
        must_open(&o, d);
        put(&o, m, 1, 3, 100);
        d->calls = 0;
        d->stop_at = 2; /* written, and killed before the flush */
        assert_int_equal(consensus__journal_mark(&o.j, &o.err), MU_IO);
        shut(&o);
        memory_crash(d);
        must_open(&o, d);
        assert_false(o.found.was_rewritten);
        *after = *m;
        model_write(after, mw, 1, 4, 1, (struct model_entry){ 1, 10, CONSENSUS_COMMAND });
        d->calls = 0;
        d->stop_at = 2;
        assert_int_equal(append_one(&o, mw), MU_IO);
        shut(&o);
        memory_power_cut(d, &r);
        must_open(&o, d);
        if (difference(&o, after) != NULL) {
            must_equal(&o, m, "the flush never came");
        }
        shut(&o);
        model_write_deinit(mw);
        mu_free(mw);
        mu_free(after);
        mu_free(m);
        memory_disk_free(d);
    }
}

/* The first batch of a segment was in the page cache only when the process was killed. It is
 * written again into the next segment; then the power goes, and with it the original. */
static void the_original_of_a_rewritten_batch_may_not_vanish(void **state)
{
    struct mu_rand r;

    (void)state;
    for (uint64_t seed = 1; seed <= 16; seed++) {
        struct memory_disk *d = memory_disk_new();
        struct model *m = model_new();
        struct model_write *mw = mu_new(sizeof *mw);
        struct opened o;

        mu_rand_seed(&r, seed);
        must_open(&o, d);
        while (o.j.offset + CONSENSUS_PAGE <= SMALL_SEGMENT) {
            put(&o, m, m->last + 1, 1, 100);
        }
        while (o.j.next.number == 0) {
            assert_int_equal(consensus__journal_tend(&o.j, &o.err), MU_OK);
        }
        model_write(m, mw, 1, m->last + 1, 1, (struct model_entry){ 1, 10, CONSENSUS_COMMAND });
        d->calls = 0;
        d->stop_at = 2; /* written, and killed before the flush */
        assert_int_equal(append_one(&o, mw), MU_IO);
        shut(&o);
        memory_crash(d);
        must_open(&o, d);
        assert_true(o.found.was_rewritten);
        shut(&o);
        memory_power_cut(d, &r);
        must_open(&o, d);
        must_equal(&o, m, "it was told to be there");
        shut(&o);
        model_write_deinit(mw);
        mu_free(mw);
        mu_free(m);
        memory_disk_free(d);
    }
}

/* -- damage -------------------------------------------------------------------------------- */

static const char *first_segment = "log-0000000000000001.seg";

/* Three batches of entries and a MARK, in one segment. */
static struct memory_disk *small_log(struct model *m)
{
    struct memory_disk *d = memory_disk_new();
    struct opened o;

    must_open(&o, d);
    put(&o, m, 1, 2, 40);
    put(&o, m, 3, 1, 5000);
    put(&o, m, 4, 2, 40);
    assert_int_equal(consensus__journal_mark(&o.j, &o.err), MU_OK);
    shut(&o);
    memory_crash(d);
    return d;
}

static void meta_tells_rot_of_the_last_batch_from_a_torn_one(void **state)
{
    struct model *m = model_new();
    struct memory_disk *d = small_log(m);
    struct opened o;

    (void)state;
    /* The MARK is batch 4; break it and batch 3 before it. */
    memory_bytes(d, first_segment)->data[4096 * 5 + 20] ^= 1;
    memory_bytes(d, first_segment)->data[4096 * 4 + 60] ^= 1;
    struct memory_disk *copy = memory_disk_copy(d);

    assert_int_equal(open_on(&o, copy, 3), MU_CORRUPT);
    assert_non_null(strstr(o.err.text, "ends with batch 2, but 3 were durable"));
    memory_disk_free(copy);
    must_open(&o, d); /* without that knowledge it looks like the torn end */
    assert_int_equal(o.j.tail.index, 3);
    shut(&o);
    memory_disk_free(d);
    mu_free(m);
}

enum harm { REMOVE, CUT, VERSION, OTHER_NODE, OTHER_DISK, HEAD };

/* The head page says another version, and its checksum is right. */
static void version_forge(uint8_t *page)
{
    struct mu_wr w = mu_wr_of(page + 12, 4);

    page[8] = 9;
    memset(page + 12, 0, 4);
    mu_wr_u32le(&w, mu_crc32c(0, page, CONSENSUS_PAGE));
}

static void harm_do(struct memory_disk *d, const char *name, enum harm what)
{
    struct mu_buf *bytes = memory_bytes(d, name);
    struct consensus_segment_head head;
    uint32_t version;

    assert_int_equal(consensus__segment_head_read(mu_buf_span(bytes), &head, &version),
                     CONSENSUS_HEAD_OK);
    switch (what) {
    case REMOVE: memory_unname(&d->live, name); break;
    case CUT: bytes->bytes = 8192; break;
    case HEAD: bytes->data[30] ^= 4; break;
    case VERSION: version_forge(bytes->data); break;
    case OTHER_NODE:
        head.server = model_id(0x4d);
        consensus__segment_head_write(&head, bytes->data);
        break;
    case OTHER_DISK:
        head.disk = model_id(0x4d);
        consensus__segment_head_write(&head, bytes->data);
        break;
    }
}

static void files_that_are_missing_cut_or_foreign_are_reported(void **state)
{
    static const struct {
        const char *why;
        enum harm what;
        unsigned segment;
        uint64_t durable;
        enum mu_code code;
        const char *text;
    } cases[] = {
        // clang-format off
        { "a segment in the middle is gone", REMOVE, 2, 0, MU_CORRUPT, "log-0000000000000002.seg at byte 0: this segment is missing" },
        { "the newest is gone, meta knows it", REMOVE, 4, 60, MU_CORRUPT, "were durable" },
        { "a segment was cut short", CUT, 2, 0, MU_CORRUPT, "cut short" },
        { "the head of a segment is lost", HEAD, 3, 0, MU_CORRUPT, "log-0000000000000003.seg at byte 0" },
        { "the head of the last one is lost", HEAD, 4, 0, MU_CORRUPT, "log-0000000000000004.seg at byte 0" },
        { "of a newer version", VERSION, 3, 0, MU_UNSUPPORTED, "format 9 is of a newer muster" },
        { "of another node", OTHER_NODE, 1, 0, MU_FOREIGN, "belongs to node 4d" },
        { "of another disk", OTHER_DISK, 1, 0, MU_FOREIGN, "belongs to disk 4d" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct memory_disk *d = memory_disk_new();
        struct model *m = model_new();
        char name[CONSENSUS_JOURNAL_NAME_MAX];
        struct opened o;

        must_open(&o, d);
        put_segments(&o, m, 4, 3, 900);
        put(&o, m, m->last + 1, 1, 900);
        shut(&o);
        memory_crash(d);
        consensus__journal_name(cases[i].segment, name);
        harm_do(d, name, cases[i].what);
        if (open_on(&o, d, cases[i].durable) != cases[i].code ||
            strstr(o.err.text, cases[i].text) == NULL) {
            fail_msg("%s: %s, '%s'", cases[i].why, mu_code_text(o.rc), o.err.text);
        }
        assert_int_equal(d->open_count, 0);
        memory_disk_free(d);
        mu_free(m);
    }
}

/* Put another payload in place, with every checksum right but the chain. */
static void forge_first_entry(struct mu_buf *segment)
{
    struct consensus_batch batch;
    struct mu_buf forged = MU_BUF_NONE;
    struct consensus_record r;
    size_t room = 0;
    size_t at = CONSENSUS_BATCH_HEAD;

    assert_true(consensus__batch_read(mu_span_of(segment->data + 4096, 4096), &batch));
    uint64_t salt = batch.salt;

    mu_buf_add(&forged, segment->data + 4096, CONSENSUS_BATCH_HEAD + batch.records.bytes);
    for (; at < forged.bytes; at += room) {
        assert_true(
            consensus__record_read(mu_span_of(forged.data + at, forged.bytes - at), &r, &room));
        if (r.index == 1) {
            break;
        }
    }
    forged.data[at + CONSENSUS_RECORD_HEAD] ^= 1;
    uint32_t crc = mu_crc32c(0, forged.data + at + 8, CONSENSUS_RECORD_HEAD - 8 + r.payload.bytes);
    struct mu_wr w = mu_wr_of(forged.data + at, 4);

    mu_wr_u32le(&w, crc);
    assert_true(consensus__record_read(mu_span_of(forged.data + at, forged.bytes - at), &r, &room));
    (void)consensus__batch_seal(&forged, batch.seq, batch.durable_upto, batch.prev_crc,
                                batch.records_count, salt);
    memcpy(segment->data + 4096, forged.data, forged.bytes);
    mu_buf_deinit(&forged);
}

static void an_intact_entry_of_another_history_is_damage(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct model *m = model_new();
    struct opened o;

    (void)state;
    must_open(&o, d);
    put(&o, m, 1, 2, 40);
    shut(&o);
    memory_crash(d);
    forge_first_entry(memory_bytes(d, first_segment));
    assert_int_equal(open_on(&o, d, 0), MU_CORRUPT);
    assert_non_null(strstr(o.err.text, "does not continue the one before"));
    memory_disk_free(d);
    mu_free(m);
}

static void a_damaged_entry_is_reported_when_it_is_read(void **state)
{
    struct model *m = model_new();
    struct memory_disk *d = small_log(m);
    struct mu_buf got = MU_BUF_NONE;
    struct opened o;

    (void)state;
    must_open(&o, d);
    memory_bytes(d, first_segment)->data[4096 * 2 + 100] ^= 1;
    assert_int_equal(consensus__journal_read(&o.j, 3, 3, 10, &got, &o.err), MU_CORRUPT);
    assert_non_null(strstr(o.err.text, "log-0000000000000001.seg at byte 8192"));
    mu_buf_deinit(&got);
    shut(&o);
    memory_disk_free(d);
    mu_free(m);
}

/* -- disks that fail or fill --------------------------------------------------------------- */

static void a_failed_flush_is_never_repeated(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct model *m = model_new();
    struct model_write *mw = mu_new(sizeof *mw);
    struct opened o;

    (void)state;
    must_open(&o, d);
    put(&o, m, 1, 1, 10);
    d->fail_sync_at = d->syncs + 1;
    model_write(m, mw, 2, 2, 1, (struct model_entry){ 1, 10, CONSENSUS_COMMAND });
    assert_int_equal(append_one(&o, mw), MU_IO);
    assert_non_null(strstr(o.err.text, "/disk/log-0000000000000001.seg: flush"));
    assert_true(o.j.has_failed);
    shut(&o);
    assert_int_equal(d->syncs_after_failure, 0);
    model_write_deinit(mw);
    mu_free(mw);
    mu_free(m);
    memory_disk_free(d);
}

static void what_a_failed_flush_left_in_memory_is_not_believed(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct model *m = model_new();
    struct mu_rand r;
    struct opened o;

    (void)state;
    mu_rand_seed(&r, 4);
    must_open(&o, d);
    put(&o, m, 1, 3, 100);
    d->fail_sync_at = d->syncs + 1;
    assert_int_equal(consensus__journal_mark(&o.j, &o.err), MU_IO);
    reopen(&o, d);
    put(&o, m, 4, 1, 100); /* behind the MARK, if that were believed to be there */
    shut(&o);
    memory_power_cut(d, &r);
    must_open(&o, d);
    must_equal(&o, m, "after the power cut");
    shut(&o);
    mu_free(m);
    memory_disk_free(d);
}

static void a_full_disk_stops_growth_and_nothing_else(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct model *m = model_new();
    struct model *before = mu_new(sizeof *before);
    struct model_write *mw = mu_new(sizeof *mw);
    struct opened o;
    enum mu_code rc;

    (void)state;
    d->capacity = 3 * SMALL_SEGMENT;
    must_open(&o, d);
    do {
        *before = *m;
        model_write(m, mw, 2, m->last + 1, 4, (struct model_entry){ 1, 900, CONSENSUS_COMMAND });
        rc = append_one(&o, mw);
        model_write_deinit(mw);
    } while (rc == MU_OK);
    assert_int_equal(rc, MU_FULL);
    assert_non_null(strstr(o.err.text, "no space left"));
    assert_false(o.j.has_failed);
    must_equal(&o, before, "nothing was changed");
    assert_int_equal(consensus__journal_compact(&o.j, before->last, &o.err), MU_OK);
    before->base_index = o.j.base.index;
    put(&o, before, before->last + 1, 4, 900);
    reopen(&o, d);
    must_equal(&o, before, "after compaction made room");
    shut(&o);
    mu_free(mw);
    mu_free(before);
    mu_free(m);
    memory_disk_free(d);
}

static void a_disk_that_is_full_at_the_start_is_an_error(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct opened o;

    (void)state;
    d->capacity = SMALL_SEGMENT / 2;
    assert_int_equal(open_on(&o, d, 0), MU_FULL);
    assert_non_null(strstr(o.err.text, "no space left"));
    assert_int_equal(d->open_count, 0);
    d->capacity = 0;
    must_open(&o, d);
    shut(&o);
    memory_disk_free(d);
}

static void spares_are_filled_in_pieces_used_and_made_again(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct model *m = model_new();
    struct opened o;

    (void)state;
    must_open(&o, d);
    while (consensus__journal_wants(&o.j)) {
        assert_int_equal(consensus__journal_tend(&o.j, &o.err), MU_OK);
    }
    assert_int_equal(o.j.spares_count, 1);
    put_segments(&o, m, 3, 4, 900);
    assert_int_equal(o.j.spares_count, 0);
    assert_true(consensus__journal_wants(&o.j));
    assert_int_equal(consensus__journal_tend(&o.j, &o.err), MU_OK);
    reopen(&o, d); /* half-made ones are thrown away */
    must_equal(&o, m, "after a crash");
    assert_null(memory_find(&d->live, CONSENSUS_FILL_NAME));
    shut(&o);
    mu_free(m);
    memory_disk_free(d);
}

/* A segment that had to be made at once costs more with each flush. */
static void the_log_leaves_a_raw_segment_for_a_spare(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct model *m = model_new();
    struct opened o;

    (void)state;
    must_open(&o, d);
    put(&o, m, 1, 1, 10);
    assert_true(o.j.segments[0].is_raw);
    put(&o, m, 2, 1, 10);
    assert_int_equal(o.j.segments_count, 1);
    while (consensus__journal_wants(&o.j)) {
        assert_int_equal(consensus__journal_tend(&o.j, &o.err), MU_OK);
    }
    put(&o, m, 3, 1, 10);
    assert_int_equal(o.j.segments_count, 2);
    assert_false(o.j.segments[1].is_raw);
    while (consensus__journal_wants(&o.j)) {
        assert_int_equal(consensus__journal_tend(&o.j, &o.err), MU_OK);
    }
    put(&o, m, 4, 1, 10); /* and stays there */
    assert_int_equal(o.j.segments_count, 2);
    must_equal(&o, m, "over both");
    uint64_t spares = o.j.spares_count;

    o.j.options.spares_count++; /* one is wanted, and the raw one is none */
    assert_int_equal(consensus__journal_compact(&o.j, 2, &o.err), MU_OK);
    assert_int_equal(o.j.segments_count, 1);
    assert_int_equal(o.j.spares_count, spares);
    shut(&o);
    mu_free(m);
    memory_disk_free(d);
}

/* Or a log whose load never paused would pay for new blocks for ever. */
static void a_raw_segment_that_is_written_to_its_end_makes_a_spare(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct model *m = model_new();
    struct opened o;

    (void)state;
    must_open(&o, d);
    put_segments(&o, m, 3, 4, 900);
    assert_true(o.j.segments_count >= 3);
    assert_int_equal(o.j.spares_count, 0);
    assert_int_equal(consensus__journal_compact(&o.j, m->last, &o.err), MU_OK);
    assert_int_equal(o.j.spares_count, o.j.options.spares_count);
    shut(&o);
    mu_free(m);
    memory_disk_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_directory_is_an_empty_log),
        cmocka_unit_test(payloads_of_every_size_come_back),
        cmocka_unit_test(the_largest_command_fits_the_smallest_segments),
        cmocka_unit_test(many_writes_share_a_batch),
        cmocka_unit_test(an_idle_log_proves_its_end_and_goes_on_in_place),
        cmocka_unit_test(compaction_recycles_whole_segments_and_keeps_the_configuration),
        cmocka_unit_test(a_long_tail_is_overwritten_and_compacted_with_the_power_cut_anywhere),
        cmocka_unit_test(a_reset_brings_its_configuration),
        cmocka_unit_test(a_reset_restarts_the_log_behind_a_snapshot),
        cmocka_unit_test(nothing_acknowledged_is_lost_wherever_the_power_goes),
        cmocka_unit_test(every_prefix_of_sectors_of_the_last_batch_opens),
        cmocka_unit_test(a_crash_while_opening_changes_nothing),
        cmocka_unit_test(random_histories_survive_random_crashes),
        cmocka_unit_test(meta_tells_rot_of_the_last_batch_from_a_torn_one),
        cmocka_unit_test(files_that_are_missing_cut_or_foreign_are_reported),
        cmocka_unit_test(a_mark_that_was_not_flushed_is_not_missed),
        cmocka_unit_test(the_original_of_a_rewritten_batch_may_not_vanish),
        cmocka_unit_test(an_intact_entry_of_another_history_is_damage),
        cmocka_unit_test(a_damaged_entry_is_reported_when_it_is_read),
        cmocka_unit_test(a_failed_flush_is_never_repeated),
        cmocka_unit_test(what_a_failed_flush_left_in_memory_is_not_believed),
        cmocka_unit_test(a_full_disk_stops_growth_and_nothing_else),
        cmocka_unit_test(a_disk_that_is_full_at_the_start_is_an_error),
        cmocka_unit_test(spares_are_filled_in_pieces_used_and_made_again),
        cmocka_unit_test(the_log_leaves_a_raw_segment_for_a_spare),
        cmocka_unit_test(a_raw_segment_that_is_written_to_its_end_makes_a_spare),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
