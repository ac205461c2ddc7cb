/* journal_fixture.h - a journal on a disk in memory, beside a model of what it should hold.
 * Header-only. */
#ifndef TESTS_JOURNAL_FIXTURE_H
#define TESTS_JOURNAL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "journal.h"
#include "log_model.h"
#include "memory_disk.h"

#define SMALL_SEGMENT (64U * 1024)

/* What every batch begins with. */
#define HARD_ROOM (32U + 80U)

static inline struct consensus_journal_options options_of(uint64_t durable_seq)
{
    return (struct consensus_journal_options){
        .server = model_id(1),
        .disk = model_id(2),
        .segment_bytes = SMALL_SEGMENT,
        .spares_count = 1,
        .durable_seq = durable_seq,
        .seed = 7,
    };
}

struct opened {
    struct consensus_disk view;
    struct consensus_journal j;
    struct consensus_journal_found found;
    struct mu_err err;
    enum mu_code rc;
};

static inline enum mu_code open_on(struct opened *o, struct memory_disk *d, uint64_t durable_seq)
{
    struct consensus_journal_options options = options_of(durable_seq);

    memset(o, 0, sizeof *o);
    o->view = memory_disk_view(d);
    o->rc = consensus__journal_open(&o->j, &o->view, &options, &o->found, &o->err);
    return o->rc;
}

static inline void must_open(struct opened *o, struct memory_disk *d)
{
    if (open_on(o, d, 0) != MU_OK) {
        fail_msg("open: %s", o->err.text);
    }
}

static inline void shut(struct opened *o)
{
    mu_free(o->found.runs);
    consensus__journal_close(&o->j);
}

/* NULL when the journal holds exactly what the model says; else what differs. */
static inline const char *difference(struct opened *o, const struct model *m)
{
    const struct consensus_journal *j = &o->j;
    struct mu_buf got = MU_BUF_NONE;
    const char *what = NULL;
    size_t configs = 0;

    if (j->base.index != m->base_index || j->tail.index != m->last) {
        return "base or last index";
    }
    if (j->hard.term != m->hard.term || !mu_id_eq(&j->hard.voted_for, &m->hard.voted_for)) {
        return "hard state";
    }
    for (uint64_t i = m->base_index + 1; i <= m->last; i++) {
        configs += m->entries[i].kind == CONSENSUS_CONFIG;
        if (o->found.runs != NULL &&
            model_run_term(o->found.runs, o->found.runs_count, i) != m->entries[i].term) {
            return "terms by runs";
        }
    }
    configs += j->configs_count > 0 && j->configs[0].index <= m->base_index;
    if (configs != j->configs_count) {
        return "configurations";
    }
    if (m->last > m->base_index && consensus__journal_read(&o->j, m->base_index + 1, m->last,
                                                           SIZE_MAX, &got, &o->err) != MU_OK) {
        return "read back";
    }
    for (size_t at = 0; at < got.bytes;) {
        struct consensus_record r;
        size_t room = 0;

        if (!consensus__record_read(mu_span_sub(mu_buf_span(&got), at, got.bytes), &r, &room)) {
            what = "a record";
            break;
        }
        memset(got.data + at + 4, 0, 4);
        at += room;
    }
    if (what == NULL && !model_records_equal(m, m->base_index + 1, m->last, mu_buf_span(&got))) {
        what = "bytes of entries";
    }
    mu_buf_deinit(&got);
    return what;
}

static inline void must_equal(struct opened *o, const struct model *m, const char *when)
{
    const char *what = difference(o, m);

    if (what != NULL) {
        fail_msg("%s: %s differ: log %llu..%llu term %llu, expected %llu..%llu term %llu (%s)",
                 when, what, (unsigned long long)o->j.base.index,
                 (unsigned long long)o->j.tail.index, (unsigned long long)o->j.hard.term,
                 (unsigned long long)m->base_index, (unsigned long long)m->last,
                 (unsigned long long)m->hard.term, o->err.text);
    }
}

static inline enum mu_code append_one(struct opened *o, const struct model_write *mw)
{
    struct consensus_journal_write w = { &mw->w, mw->records };

    mu_free(o->found.runs); /* they say what open found, and that changes now */
    o->found.runs = NULL;
    return consensus__journal_append(&o->j, &w, 1, &o->err);
}

/* Write entries to both. */
static inline void put(struct opened *o, struct model *m, uint64_t first, size_t count,
                       uint32_t bytes)
{
    struct model_write *mw = mu_new(sizeof *mw);
    struct model_entry like = { m->hard.term, bytes, CONSENSUS_COMMAND };

    model_write(m, mw, 1, first, count, like);
    if (append_one(o, mw) != MU_OK) {
        fail_msg("append %llu: %s", (unsigned long long)first, o->err.text);
    }
    model_write_deinit(mw);
    mu_free(mw);
}

/* Write entries, so many of a size at a time, until the log has so many segments. */
static inline void put_segments(struct opened *o, struct model *m, size_t segments, size_t count,
                                uint32_t bytes)
{
    while (o->j.segments_count < segments) {
        put(o, m, m->last + 1, count, bytes);
    }
}

/* Terms, votes, truncations, configurations and several segments. */
static inline void history(struct opened *o, struct model *m, uint64_t seed, size_t writes)
{
    struct model_write *mw = mu_new(sizeof *mw);
    struct mu_rand r;

    mu_rand_seed(&r, seed);
    for (uint64_t seq = 1; seq <= writes; seq++) {
        model_random_write(m, &r, seq, m->last / 2, mw);
        if (append_one(o, mw) != MU_OK) {
            fail_msg("append: %s", o->err.text);
        }
        model_write_deinit(mw);
    }
    mu_free(mw);
}

static inline struct model *model_new(void)
{
    struct model *m = mu_new(sizeof *m);

    m->hard.term = 1;
    m->hard.cluster = model_id(9);
    return m;
}

static inline void reopen(struct opened *o, struct memory_disk *d)
{
    shut(o);
    memory_crash(d);
    must_open(o, d);
}

/* A scripted run that is cut short at one call. Afterwards `acked` is what was reported durable,
 * `latest` what a write in flight would have made of it. */
static inline void scripted_run(struct memory_disk *d, struct model *acked, struct model *latest,
                                uint64_t seed)
{
    struct model_write *mw = mu_new(sizeof *mw);
    struct mu_rand r;
    struct opened o;
    enum mu_code rc = open_on(&o, d, 0);

    mu_rand_seed(&r, seed);
    for (uint64_t seq = 1; rc == MU_OK && seq <= 40; seq++) {
        uint64_t committed = acked->last > 6 ? acked->last - 6 : 0;

        committed = committed > acked->base_index ? committed : acked->base_index;
        model_random_write(latest, &r, seq, committed, mw);
        rc = append_one(&o, mw);
        model_write_deinit(mw);
        if (rc != MU_OK) {
            break;
        }
        *acked = *latest;
        if (seq % 8 == 0 && committed > 0) {
            rc = consensus__journal_compact(&o.j, committed, &o.err);
            acked->base_index = latest->base_index = o.j.base.index;
        }
        if (rc == MU_OK && seq % 5 == 0) {
            rc = consensus__journal_mark(&o.j, &o.err);
        }
        for (int i = 0; rc == MU_OK && consensus__journal_wants(&o.j) && i < 3; i++) {
            rc = consensus__journal_tend(&o.j, &o.err);
        }
    }
    if (o.rc == MU_OK) {
        shut(&o);
    }
    mu_free(mw);
}

/* Open what a crash has left and compare; then go on, crash again, and compare again. */
static inline void must_recover(struct memory_disk *d, struct model *acked, struct model *latest,
                                uint64_t at, uint64_t sectors)
{
    struct opened o;
    char when[96];

    (void)snprintf(when, sizeof when, "cut at call %llu after %llu sectors", (unsigned long long)at,
                   (unsigned long long)sectors);
    if (open_on(&o, d, 0) != MU_OK) {
        fail_msg("%s: open: %s", when, o.err.text);
    }
    /* A compaction in flight may or may not have happened. */
    if (o.j.base.index > acked->base_index) {
        acked->base_index = latest->base_index = o.j.base.index;
    }
    if (difference(&o, latest) == NULL) {
        *acked = *latest;
    }
    must_equal(&o, acked, when);
    put(&o, acked, acked->last + 1, 1, 30);
    shut(&o);
    memory_crash(d);
    must_open(&o, d);
    must_equal(&o, acked, when);
    shut(&o);
}

#endif
