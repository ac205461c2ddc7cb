/* Segments read beside the log: every byte that counts is looked at, nothing that is whole is
 * called damaged, and a damaged segment is shed without the log losing anything else. */
#include "journal_fixture.h"
#include "scrubber.h"

static bool no_rest(void *data, size_t bytes)
{
    (void)data;
    (void)bytes;
    return true;
}

static struct consensus_scrubbed look(struct opened *o, uint64_t behind)
{
    struct consensus_survey *survey = consensus__journal_survey(&o->j);
    struct consensus_scrubbed found;

    assert_int_equal(consensus__scrub(&o->view, survey, behind, no_rest, NULL, &found, &o->err),
                     MU_OK);
    mu_free(survey);
    return found;
}

static void must_be_whole(struct opened *o, const char *when)
{
    struct consensus_scrubbed found = look(o, 0);

    if (found.segment != 0) {
        fail_msg("%s: %s", when, found.why);
    }
    assert_true(found.bytes > 0);
}

static void nothing_whole_is_called_damaged(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct model *m = model_new();
        struct memory_disk *d = memory_disk_new();
        struct mu_rand r;
        struct opened o;

        mu_rand_seed(&r, seed);
        must_open(&o, d);
        for (int round = 0; round < 4; round++) {
            history(&o, m, seed * 10 + (uint64_t)round, 12);
            must_be_whole(&o, "at work");
            shut(&o);
            memory_power_cut(d, &r); /* of what is flushed nothing is lost */
            must_open(&o, d);
            must_be_whole(&o, "after a power cut");
            assert_int_equal(consensus__journal_compact(&o.j, m->last / 3, &o.err), MU_OK);
            must_be_whole(&o, "compacted");
            m->base_index = o.j.base.index;
        }
        shut(&o);
        assert_int_equal(d->open_count, 0);
        memory_disk_free(d);
        mu_free(m);
    }
}

/* Padding, and what was never written, may hold anything. */
static bool counts(const struct mu_buf *segment, size_t at)
{
    struct consensus_batch batch;

    for (size_t page = CONSENSUS_PAGE; page <= at;) {
        struct mu_span here = mu_span_of(segment->data + page, segment->bytes - page);

        if (!consensus__batch_read(here, &batch)) {
            return false;
        }
        if (at < page + batch.room) {
            return at < page + CONSENSUS_BATCH_HEAD + batch.records.bytes;
        }
        page += batch.room;
    }
    return true; /* the head page */
}

static void every_byte_that_counts_is_looked_at(void **state)
{
    struct model *m = model_new();
    struct memory_disk *d = memory_disk_new();
    struct opened o;
    size_t found_count = 0;
    size_t spared_count = 0;

    (void)state;
    must_open(&o, d);
    history(&o, m, 1, 30);
    for (size_t i = 0; i < o.j.segments_count; i++) {
        const struct consensus_segment *segment = &o.j.segments[i];
        char name[CONSENSUS_JOURNAL_NAME_MAX];

        consensus__journal_name(segment->number, name);
        struct mu_buf *bytes = memory_bytes(d, name);

        for (size_t at = i; at < bytes->bytes && !segment->is_dead; at += 61) {
            bool is_wanted = counts(bytes, at);

            bytes->data[at] ^= 0x10;
            struct consensus_scrubbed found = look(&o, 0);

            bytes->data[at] ^= 0x10;
            if ((found.segment == segment->number) != is_wanted ||
                (found.segment != 0) != is_wanted) {
                fail_msg("%s, byte %zu: found in %llu: %s", name, at,
                         (unsigned long long)found.segment, found.why);
            }
            found_count += is_wanted;
            spared_count += !is_wanted;
            assert_true(!is_wanted || strstr(found.why, name) != NULL);
            assert_int_equal(look(&o, segment->number).segment, 0); /* behind it all is well */
        }
    }
    assert_true(found_count > 100 && spared_count > 100);
    must_be_whole(&o, "at last");
    shut(&o);
    memory_disk_free(d);
    mu_free(m);
}

static bool rest_once(void *data, size_t bytes)
{
    unsigned *times = data;

    (void)bytes;
    return (*times)-- > 0;
}

static void what_is_missing_or_short_is_damage(void **state)
{
    struct model *m = model_new();
    struct memory_disk *d = memory_disk_new();
    struct opened o;

    (void)state;
    must_open(&o, d);
    put_segments(&o, m, 3, 4, 5000);
    struct memory_disk *copy = memory_disk_copy(d);

    o.view = memory_disk_view(copy);
    assert_int_equal(memory_remove(copy, "log-0000000000000002.seg", NULL), MU_OK);
    assert_int_equal(look(&o, 0).segment, 2);
    memory_disk_free(copy);
    copy = memory_disk_copy(d);
    o.view = memory_disk_view(copy);
    memory_bytes(copy, "log-0000000000000001.seg")->bytes -= 4096;
    assert_int_equal(look(&o, 0).segment, 1);
    assert_int_equal(look(&o, 1).segment, 0);
    memory_disk_free(copy);
    o.view = memory_disk_view(d);
    struct consensus_survey *survey = consensus__journal_survey(&o.j);
    struct consensus_scrubbed found;
    unsigned times = 1;

    survey->seq++; /* a batch that nobody can find */
    assert_int_equal(consensus__scrub(&o.view, survey, 0, no_rest, NULL, &found, &o.err), MU_OK);
    assert_int_equal(found.segment, o.j.segments[o.j.segments_count - 1].number);
    survey->seq--;
    assert_int_equal(consensus__scrub(&o.view, survey, 0, rest_once, &times, &found, &o.err),
                     MU_CANCELLED);
    assert_int_equal(d->open_count, o.j.next.number != 0 ? 2 : 1); /* the journal's own */
    mu_free(survey);
    shut(&o);
    memory_disk_free(d);
    mu_free(m);
}

/* What must not be opened was not looked at: the next pass may. */
static void a_read_only_file_system_is_no_damage(void **state)
{
    struct model *m = model_new();
    struct memory_disk *d = memory_disk_new();
    struct opened o;

    (void)state;
    must_open(&o, d);
    put(&o, m, m->last + 1, 4, 5000);
    struct consensus_survey *survey = consensus__journal_survey(&o.j);
    struct consensus_scrubbed found;

    d->fail_at = d->requests + 1;
    d->fail_code = MU_READ_ONLY;
    assert_int_equal(consensus__scrub(&o.view, survey, 0, no_rest, NULL, &found, &o.err),
                     MU_READ_ONLY);
    assert_non_null(strstr(o.err.text, "request"));
    assert_int_equal(found.segment, 0);
    must_be_whole(&o, "again");
    mu_free(survey);
    shut(&o);
    memory_disk_free(d);
    mu_free(m);
}

/* Whichever it is: nothing more is written to it, and with the entries that it names it goes. */
static void a_segment_that_is_shed_goes_and_nothing_else(void **state)
{
    (void)state;
    for (size_t which = 0; which < 3; which++) {
        struct model *m = model_new();
        struct memory_disk *d = memory_disk_new();
        struct opened o;
        uint64_t upto = 0;

        must_open(&o, d);
        put_segments(&o, m, 3, 4, 5000);
        m->hard.term = 7; /* a vote, which the damaged one alone would know of */
        m->hard.voted_for = model_id(3);
        put(&o, m, m->last + 1, 1, 50);
        uint64_t number = o.j.segments[which].number;
        char name[CONSENSUS_JOURNAL_NAME_MAX];

        consensus__journal_name(number, name);
        memory_bytes(d, name)->data[CONSENSUS_PAGE + 60] ^= 1;
        assert_int_equal(look(&o, 0).segment, number);
        assert_int_equal(consensus__journal_shed(&o.j, number, &upto, &o.err), MU_OK);
        assert_true(upto > 0 && upto <= m->last && (which < 2 || upto == m->last));
        put(&o, m, m->last + 1, 2, 100);
        assert_int_equal(consensus__journal_compact(&o.j, upto, &o.err), MU_OK);
        assert_int_equal(o.j.base.index, upto);
        m->base_index = upto;
        must_be_whole(&o, "shed");
        assert_int_equal(consensus__journal_shed(&o.j, number, &upto, &o.err), MU_OK);
        assert_int_equal(upto, 0); /* it is gone */
        must_equal(&o, m, "shed");
        reopen(&o, d);
        assert_string_equal(o.found.damage, "");
        must_equal(&o, m, "opened again");
        shut(&o);
        memory_disk_free(d);
        mu_free(m);
    }
}

/* Without entries there is nothing that the state would have to have first. */
static void one_without_entries_goes_at_once(void **state)
{
    struct model *m = model_new();
    struct memory_disk *d = memory_disk_new();
    struct model_write *mw = mu_new(sizeof *mw);
    struct opened o;
    uint64_t upto = 1;

    (void)state;
    must_open(&o, d);
    m->hard.term = 2;
    model_write(m, mw, 1, 1, 0, (struct model_entry){ 0 });
    assert_int_equal(append_one(&o, mw), MU_OK);
    memory_bytes(d, "log-0000000000000001.seg")->data[10] ^= 1;
    assert_int_equal(look(&o, 0).segment, 1);
    assert_int_equal(consensus__journal_shed(&o.j, 1, &upto, &o.err), MU_OK);
    assert_int_equal(upto, 0);
    assert_int_equal(o.j.segments_count, 1);
    must_be_whole(&o, "shed");
    put(&o, m, 1, 3, 10);
    reopen(&o, d);
    must_equal(&o, m, "opened again");
    shut(&o);
    model_write_deinit(mw);
    mu_free(mw);
    memory_disk_free(d);
    mu_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_whole_is_called_damaged),
        cmocka_unit_test(every_byte_that_counts_is_looked_at),
        cmocka_unit_test(what_is_missing_or_short_is_damage),
        cmocka_unit_test(a_read_only_file_system_is_no_damage),
        cmocka_unit_test(a_segment_that_is_shed_goes_and_nothing_else),
        cmocka_unit_test(one_without_entries_goes_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
