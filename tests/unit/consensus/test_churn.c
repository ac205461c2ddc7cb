/* A day of entries that come and go: a flush of the log costs in the last hour what it costs in the
 * second one (spec/consensus.md 5, row 89). Counted are requests and bytes, not time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/file.h"
#include "counted_io.h"
#include "journal.h"
#include "log_model.h"
#include "scratch.h"

#define HOURS         24U
#define TICKS_AN_HOUR 720U /* five seconds each */
#define BATCH         8U   /* entries */
#define TRAILING      1024U
#define SEGMENT       (1024U * 1024)
#define SPARES        4U

struct day {
    const char *dir;
    struct consensus_disk disk;
    struct consensus_journal j;
    struct mu_rand rand;
    uint64_t last;
    struct counted_io appends, all; /* of an hour; all: with what is done between them */
};

static void must(enum mu_code rc, const struct mu_err *err)
{
    if (rc != MU_OK) {
        fail_msg("%s: %s", mu_code_text(rc), err->text);
    }
}

static void day_begin(struct day *d)
{
    const struct consensus_journal_options options = { .server = model_id(1),
                                                       .disk = model_id(2),
                                                       .segment_bytes = SEGMENT,
                                                       .spares_count = SPARES,
                                                       .seed = 7 };
    struct consensus_journal_found found;
    struct mu_err err = MU_ERR_NONE;

    memset(d, 0, sizeof *d);
    d->dir = scratch_dir();
    mu_rand_seed(&d->rand, 89);
    must(consensus__disk_open(&d->disk, d->dir, &err), &err);
    must(consensus__journal_open(&d->j, &d->disk, &options, &found, &err), &err);
    mu_free(found.runs);
}

static void day_end(struct day *d)
{
    consensus__journal_close(&d->j);
    consensus__disk_close(&d->disk);
    assert_int_equal(mu_dir_remove(d->dir, NULL), MU_OK);
}

/* One batch, as a turn of the log thread makes it of what is queued. */
static void append(struct day *d)
{
    struct mu_buf bytes = MU_BUF_NONE;
    size_t offsets[BATCH + 1] = { 0 };
    struct mu_span records[BATCH];
    struct consensus_write w = { .hard = { .term = 1 }, .first = d->last + 1 };
    struct consensus_journal_write jw = { &w, records };
    struct mu_err err = MU_ERR_NONE;

    for (size_t i = 0; i < BATCH; i++) {
        struct model_entry e = { 1, (uint32_t)mu_rand_below(&d->rand, 900), CONSENSUS_COMMAND };

        model_record(++d->last, &e, &bytes);
        offsets[i + 1] = bytes.bytes;
    }
    for (size_t i = 0; i < BATCH; i++) {
        records[i] = mu_span_of(bytes.data + offsets[i], offsets[i + 1] - offsets[i]);
    }
    w.last = d->last;
    must(consensus__journal_append(&d->j, &jw, 1, &err), &err);
    mu_buf_deinit(&bytes);
}

/* What the log thread does when nothing is queued. */
static void rest(struct day *d)
{
    struct mu_err err = MU_ERR_NONE;

    must(consensus__journal_mark(&d->j, &err), &err);
    if (d->last > TRAILING) {
        must(consensus__journal_compact(&d->j, d->last - TRAILING, &err), &err);
    }
    while (consensus__journal_wants(&d->j)) {
        must(consensus__journal_tend(&d->j, &err), &err);
    }
}

static void hour(struct day *d)
{
    struct counted_io began = counted_io;

    d->appends = (struct counted_io){ 0 };
    for (size_t i = 0; i < TICKS_AN_HOUR; i++) {
        struct counted_io before = counted_io;

        append(d);
        struct counted_io one = counted_since(&before);

        d->appends.writes += one.writes;
        d->appends.bytes += one.bytes;
        d->appends.flushes += one.flushes;
        rest(d);
    }
    d->all = counted_since(&began);
}

static void a_flush_of_the_log_costs_the_same_all_day(void **state)
{
    struct counted_io appends = { 0 }, all = { 0 };
    struct day d;

    (void)state;
    day_begin(&d);
    for (size_t at = 1; at <= HOURS; at++) {
        hour(&d);
        if (at == 2) {
            appends = d.appends;
            all = d.all;
            assert_in_range(appends.flushes, TICKS_AN_HOUR, TICKS_AN_HOUR * 2);
        }
        if (at > 2) {
            must_be_flat(at, "requests of appends", d.appends.writes, appends.writes, 4);
            must_be_flat(at, "flushes of appends", d.appends.flushes, appends.flushes, 4);
            must_be_flat(at, "bytes of appends", d.appends.bytes, appends.bytes, SEGMENT / 16);
            must_be_flat(at, "all requests", d.all.writes, all.writes, SEGMENT / 4096);
            must_be_flat(at, "all flushes", d.all.flushes, all.flushes, 16);
            must_be_flat(at, "all bytes", d.all.bytes, all.bytes, SEGMENT);
        }
        assert_in_range(d.j.segments_count, 1, 4);
        assert_int_equal(d.j.spares_count, SPARES);
    }
    day_end(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flush_of_the_log_costs_the_same_all_day),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
