/* One request to the disk fails, any one of them, and all others work: what the journal answered
 * is true, whatever it was. */
#include "journal_fixture.h"

static const enum mu_code codes[] = { MU_IO, MU_FULL };

/* Without space nothing has changed, so the same once more succeeds. */
#define AGAIN(rc, o, call)                           \
    do {                                             \
        (rc) = (call);                               \
        if ((rc) == MU_FULL && !(o)->j.has_failed) { \
            (rc) = (call);                           \
        }                                            \
    } while (0)

static enum mu_code tend_all(struct opened *o)
{
    enum mu_code rc = MU_OK;

    for (int i = 0; rc == MU_OK && consensus__journal_wants(&o->j) && i < 3; i++) {
        AGAIN(rc, o, consensus__journal_tend(&o->j, &o->err));
    }
    return rc;
}

/* Writes, overwrites, marks, compaction and spares, until something other than space is missing. */
static enum mu_code run_on(struct opened *o, struct model *acked, struct model *latest)
{
    struct model_write *mw = mu_new(sizeof *mw);
    enum mu_code rc = MU_OK;
    struct mu_rand r;

    mu_rand_seed(&r, 11);
    for (uint64_t seq = 1; rc == MU_OK && seq <= 40; seq++) {
        uint64_t committed = acked->last > 6 ? acked->last - 6 : 0;

        committed = committed > acked->base_index ? committed : acked->base_index;
        model_random_write(latest, &r, seq, committed, mw);
        AGAIN(rc, o, append_one(o, mw));
        model_write_deinit(mw);
        if (rc == MU_OK) {
            *acked = *latest;
        }
        if (rc == MU_OK && seq % 8 == 0 && committed > 0) {
            AGAIN(rc, o, consensus__journal_compact(&o->j, committed, &o->err));
            acked->base_index = latest->base_index = o->j.base.index;
        }
        if (rc == MU_OK && seq % 5 == 0) {
            AGAIN(rc, o, consensus__journal_mark(&o->j, &o->err));
        }
        rc = rc == MU_OK ? tend_all(o) : rc;
    }
    mu_free(mw);
    return rc;
}

/* False: the run has fewer requests than that. */
static bool run_with_fault(uint64_t at, enum mu_code code)
{
    struct memory_disk *d = memory_disk_new();
    struct model *acked = mu_new(sizeof *acked);
    struct model *latest = mu_new(sizeof *latest);
    enum mu_code rc;
    struct opened o;

    latest->hard.cluster = model_id(9);
    d->fail_at = at;
    d->fail_code = code;
    rc = open_on(&o, d, 0);
    if (rc == MU_OK) {
        rc = run_on(&o, acked, latest);
        if (rc != MU_OK && !o.j.has_failed) {
            fail_msg("request %llu, %s: %s, but it could go on", (unsigned long long)at,
                     mu_code_text(code), o.err.text);
        }
        shut(&o);
    }
    if (rc != MU_OK && strstr(o.err.text, "request") == NULL) {
        fail_msg("request %llu, %s: %s", (unsigned long long)at, mu_code_text(code), o.err.text);
    }
    bool was_made = d->requests >= at;

    assert_int_equal(d->open_count, 0);
    memory_crash(d);
    must_recover(d, acked, latest, at, 0);
    memory_disk_free(d);
    mu_free(acked);
    mu_free(latest);
    return was_made;
}

static void one_request_fails_and_all_that_was_answered_is_true(void **state)
{
    (void)state;
    for (size_t i = 0; i < MU_LEN(codes); i++) {
        uint64_t at = 1;

        while (run_with_fault(at, codes[i])) {
            at++;
        }
        assert_true(at > 200);
    }
}

/* What was written last and not answered may be there or not. */
static void must_be_either(struct opened *o, const struct model *acked, const struct model *latest,
                           const char *when)
{
    must_equal(o, difference(o, latest) == NULL ? latest : acked, when);
}

/* An open that fails has changed nothing that counts: the next one finds the same. */
static void open_with_fault(const struct memory_disk *left, const struct model *acked,
                            const struct model *latest, uint64_t at, enum mu_code code,
                            bool *was_made)
{
    struct memory_disk *d = memory_disk_copy(left);
    struct opened o;

    d->requests = 0;
    d->fail_at = at;
    d->fail_code = code;
    (void)open_on(&o, d, 0);
    *was_made = d->requests >= at;
    d->fail_at = 0;
    if (o.rc == MU_OK) {
        must_be_either(&o, acked, latest, "with a fault");
        shut(&o);
    } else if (o.rc == MU_CORRUPT || strstr(o.err.text, "request") == NULL) {
        fail_msg("request %llu, %s: %s", (unsigned long long)at, mu_code_text(code), o.err.text);
    }
    assert_int_equal(d->open_count, 0);
    memory_crash(d);
    must_open(&o, d);
    must_be_either(&o, acked, latest, "after it");
    shut(&o);
    memory_disk_free(d);
}

/* Ends that are proven and not, torn, overwriting, behind spares and files that were not begun. */
static void one_request_fails_while_opening(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct memory_disk *d = memory_disk_new();
        struct model *acked = mu_new(sizeof *acked);
        struct model *latest = mu_new(sizeof *latest);
        struct opened o;

        latest->hard.cluster = model_id(9);
        d->stop_at = 50 + 9 * seed;
        d->stop_sectors = seed % 3;
        scripted_run(d, acked, latest, seed);
        memory_crash(d);
        struct memory_disk *left = memory_disk_copy(d);

        must_open(&o, d); /* what is there */
        if (o.j.base.index > acked->base_index) {
            acked->base_index = latest->base_index = o.j.base.index;
        }
        must_be_either(&o, acked, latest, "without a fault");
        shut(&o);
        for (size_t i = 0; i < MU_LEN(codes); i++) {
            bool was_made = true;

            for (uint64_t at = 1; was_made; at++) {
                open_with_fault(left, acked, latest, at, codes[i], &was_made);
            }
        }
        memory_disk_free(left);
        memory_disk_free(d);
        mu_free(acked);
        mu_free(latest);
    }
}

/* The reader is told which request it was, and gets it all the next time. */
static void one_request_fails_while_reading(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct model *m = model_new();
    struct mu_buf got = MU_BUF_NONE;
    uint64_t failed_count = 0;
    struct opened o;

    (void)state;
    must_open(&o, d);
    history(&o, m, 4, 20);
    d->fail_code = MU_IO;
    for (d->fail_at = 1; failed_count + 1 == d->fail_at; d->fail_at++) {
        d->requests = 0;
        mu_buf_clear(&got);
        if (consensus__journal_read(&o.j, 1, m->last, SIZE_MAX, &got, &o.err) != MU_OK) {
            assert_non_null(strstr(o.err.text, "request"));
            failed_count++;
        }
    }
    d->fail_at = 0;
    assert_true(failed_count > 10);
    must_equal(&o, m, "read again");
    assert_int_equal(consensus__journal_read(&o.j, m->last + 1, m->last + 1, 1, &got, &o.err),
                     MU_NOT_FOUND);
    shut(&o);
    assert_int_equal(d->open_count, 0);
    mu_buf_deinit(&got);
    memory_disk_free(d);
    mu_free(m);
}

/* More entries than positions are kept in memory: where an overwrite goes back to, and where one
 * went back to that an open finds, is read from the disk. */
static void one_request_fails_while_going_far_back(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct model *acked = model_new();
    struct model *latest = mu_new(sizeof *latest);
    struct model_write *mw = mu_new(sizeof *mw);
    bool was_made = true;
    struct opened o;

    (void)state;
    must_open(&o, d);
    while (acked->last < CONSENSUS_RECENT + 100) {
        put(&o, acked, acked->last + 1, 100, 8);
    }
    assert_int_equal(consensus__journal_mark(&o.j, &o.err), MU_OK);
    shut(&o);
    memory_crash(d);
    for (uint64_t at = 1; was_made; at++) {
        struct memory_disk *copy = memory_disk_copy(d);

        *latest = *acked;
        latest->hard.term = 9;
        model_write(latest, mw, 1, 10, 3, (struct model_entry){ 9, 20, CONSENSUS_COMMAND });
        must_open(&o, copy);
        copy->requests = 0;
        copy->fail_at = at;
        copy->fail_code = MU_IO;
        was_made = append_one(&o, mw) != MU_OK;
        assert_int_equal(was_made, o.j.has_failed);
        copy->fail_at = 0;
        model_write_deinit(mw);
        if (!was_made) {
            must_equal(&o, latest, "overwritten");
            assert_int_equal(consensus__journal_mark(&o.j, &o.err), MU_OK);
        }
        shut(&o);
        memory_crash(copy);
        must_open(&o, copy);
        must_be_either(&o, was_made ? acked : latest, latest, "opened again");
        shut(&o);
        assert_int_equal(copy->open_count, 0);
        memory_crash(copy);
        for (uint64_t in = 1, tried = !was_made; tried; in++) {
            bool is_made;

            open_with_fault(copy, latest, latest, in, MU_IO, &is_made);
            tried = is_made;
        }
        memory_disk_free(copy);
    }
    mu_free(mw);
    memory_disk_free(d);
    mu_free(latest);
    mu_free(acked);
}

/* A segment that cannot become a spare, for its new name would need a block, goes: its own blocks
 * are what is missing. */
static void a_full_disk_keeps_no_segment_that_is_needed_no_more(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct model *m = model_new();
    char name[CONSENSUS_JOURNAL_NAME_MAX];
    struct opened o;

    (void)state;
    must_open(&o, d);
    while (o.j.segments_count < 3) {
        put(&o, m, m->last + 1, 4, 5000);
        assert_int_equal(tend_all(&o), MU_OK);
    }
    while (o.j.segments[0].is_raw || o.j.spares_count > 0) {
        put(&o, m, m->last + 1, 4, 5000);
        if (o.j.segments[0].is_raw) {
            assert_int_equal(consensus__journal_compact(&o.j, o.j.segments[1].base.index, &o.err),
                             MU_OK);
        }
    }
    uint64_t upto = o.j.segments[1].base.index;

    consensus__journal_name(o.j.segments[0].number, name);
    d->fail_at = d->requests + 1;
    d->fail_code = MU_FULL;
    assert_int_equal(consensus__journal_compact(&o.j, upto, &o.err), MU_OK);
    assert_true(d->requests >= d->fail_at);
    assert_int_equal(o.j.base.index, upto);
    assert_null(memory_find(&d->live, name));
    assert_int_equal(o.j.spares_count, 0);
    m->base_index = upto;
    must_equal(&o, m, "compacted");
    shut(&o);
    memory_disk_free(d);
    mu_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_request_fails_and_all_that_was_answered_is_true),
        cmocka_unit_test(a_full_disk_keeps_no_segment_that_is_needed_no_more),
        cmocka_unit_test(one_request_fails_while_opening),
        cmocka_unit_test(one_request_fails_while_reading),
        cmocka_unit_test(one_request_fails_while_going_far_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
