/* Logs whose checksums are right and whose content is not: what a wrong program, or two histories
 * that were mixed, would leave. Neither an open nor a scrub takes it for a log. */
#include "base/wire.h"
#include "journal_fixture.h"
#include "scrubber.h"

#define FIRST  "log-0000000000000001.seg"
#define SECOND "log-0000000000000002.seg"

enum forgery {
    SHORT_PAYLOAD,  /* a byte less */
    LONG_PAYLOAD,   /* a byte more */
    PAYLOAD_BYTE,   /* one byte of it is another, and the record's checksum is not made anew */
    FIRST_BYTE,     /* of the payload, with a checksum */
    CHAIN_BYTE,     /* of a position: the chain */
    OTHER_KIND,     /* one that nobody knows */
    OTHER_CHAIN,    /* of the record */
    OLDER_TERM,     /* and the chain is right */
    LATER_INDEX,    /* and the chain is right */
    EARLIER_INDEX,  /* and the chain is right */
    AS_RESET,       /* the record says so of itself */
    AS_FLOOR,       /* the same */
    AS_BLANK_FLOOR, /* of the right size */
};

/* One record, well summed, whatever it is. */
static void record_put(struct mu_buf *to, const struct consensus_record *r, uint32_t chain)
{
    size_t at = to->bytes;

    (void)consensus__record_add(to, r, 0);
    struct mu_wr w = mu_wr_of(to->data + at + 4, 4);
    struct mu_rd crc = mu_rd_of(mu_span_of(to->data + at, 4));

    mu_wr_u32le(&w, r->index != 0 ? consensus__record_chain(chain, mu_rd_u32le(&crc)) : 0);
}

/* Append a record as the forger wants it. `chain`: of the entry before. */
static void forge(struct mu_buf *to, struct consensus_record r, uint32_t chain, enum forgery what)
{
    static const uint8_t zeros[128];
    struct mu_buf payload = MU_BUF_NONE;
    size_t at = to->bytes;

    mu_buf_add_span(&payload, r.payload);
    switch (what) {
    case SHORT_PAYLOAD: payload.bytes--; break;
    case LONG_PAYLOAD: mu_buf_add_byte(&payload, 1); break;
    case FIRST_BYTE: payload.data[0] ^= 0x40; break;
    case CHAIN_BYTE: payload.data[16] ^= 0x40; break;
    case OTHER_KIND: r.kind = 99; break;
    case OLDER_TERM: r.term--; break;
    case LATER_INDEX: r.index += 5; break;
    case EARLIER_INDEX: r.index--; break;
    case AS_RESET: r.kind = CONSENSUS_RECORD_RESET; break;
    case AS_FLOOR: r.kind = CONSENSUS_RECORD_FLOOR; break;
    case AS_BLANK_FLOOR:
        r.kind = CONSENSUS_RECORD_FLOOR;
        mu_buf_add(&payload, zeros, 32);
        break;
    case PAYLOAD_BYTE:
    case OTHER_CHAIN: break;
    }
    r.payload = mu_buf_span(&payload);
    record_put(to, &r, chain);
    to->data[at + CONSENSUS_RECORD_HEAD] ^= what == PAYLOAD_BYTE;
    to->data[at + 4] ^= what == OTHER_CHAIN;
    mu_buf_deinit(&payload);
}

/* Seal the batches behind one that was changed again: each knows the checksum of the one before. */
static void reseal_behind(struct mu_buf *segment, size_t at, uint32_t crc)
{
    struct consensus_batch batch;

    while (at < segment->bytes &&
           consensus__batch_read(mu_span_of(segment->data + at, segment->bytes - at), &batch)) {
        struct mu_buf again = MU_BUF_NONE;

        mu_buf_add(&again, segment->data + at, CONSENSUS_BATCH_HEAD + batch.records.bytes);
        crc = consensus__batch_seal(&again, batch.seq, batch.durable_upto, crc, batch.records_count,
                                    batch.salt);
        memcpy(segment->data + at, again.data, again.bytes);
        mu_buf_deinit(&again);
        at += batch.room;
    }
}

/* Of the batch at an offset, forge the so manieth record of a kind. */
static void batch_forge(struct mu_buf *segment, size_t offset, uint8_t kind, unsigned which,
                        enum forgery what)
{
    struct mu_buf again = MU_BUF_NONE;
    struct consensus_record r;
    struct consensus_batch batch;
    uint32_t chain = 0;
    size_t room = 0;
    bool is_done = false;

    assert_true(
        consensus__batch_read(mu_span_of(segment->data + offset, segment->bytes - offset), &batch));
    consensus__batch_begin(&again);
    for (size_t at = 0; at < batch.records.bytes; at += room) {
        assert_true(consensus__record_read(mu_span_sub(batch.records, at, batch.records.bytes - at),
                                           &r, &room));
        if (r.kind == kind && which-- == 0) {
            forge(&again, r, chain, what);
            is_done = true;
        } else {
            mu_buf_add(&again, batch.records.data + at, room);
        }
        chain = r.index != 0 ? r.chain : chain;
    }
    assert_true(is_done);
    uint32_t crc = consensus__batch_seal(&again, batch.seq, batch.durable_upto, batch.prev_crc,
                                         batch.records_count, batch.salt);

    assert_int_equal(again.bytes, batch.room);
    memcpy(segment->data + offset, again.data, again.bytes);
    reseal_behind(segment, offset + batch.room, crc);
    mu_buf_deinit(&again);
}

/* Three entries in the first batch, and, if it is to be proven, a second one and a mark. */
static void log_make(struct opened *o, struct memory_disk *d, bool is_proven)
{
    struct model *m = model_new();

    m->hard.term = 4;
    must_open(o, d);
    put(o, m, 1, 3, 40);
    if (is_proven) {
        put(o, m, 4, 1, 40);
        assert_int_equal(consensus__journal_mark(&o->j, &o->err), MU_OK);
    }
    mu_free(m);
}

static bool no_rest(void *data, size_t bytes)
{
    (void)data;
    (void)bytes;
    return true;
}

static void must_be_found(struct opened *o, uint64_t segment, const char *why, const char *text)
{
    struct consensus_survey *survey = consensus__journal_survey(&o->j);
    struct consensus_scrubbed found;

    assert_int_equal(consensus__scrub(&o->view, survey, 0, no_rest, NULL, &found, &o->err), MU_OK);
    if (found.segment != segment || strstr(found.why, text) == NULL) {
        fail_msg("%s: a scrub says '%s'", why, found.why);
    }
    mu_free(survey);
}

static void must_be_refused(struct memory_disk *d, const char *why, const char *text)
{
    struct opened o;

    memory_crash(d);
    if (open_on(&o, d, 0) != MU_CORRUPT || strstr(o.err.text, text) == NULL) {
        fail_msg("%s: %s, '%s'", why, mu_code_text(o.rc), o.err.text);
    }
    assert_int_equal(d->open_count, 0);
}

static void records_that_cannot_be_are_damage(void **state)
{
    static const struct {
        const char *why;
        uint8_t kind;
        unsigned which;
        enum forgery what;
        const char *text;
    } cases[] = {
        // clang-format off
        { "a base that ends too soon", CONSENSUS_RECORD_BASE, 0, SHORT_PAYLOAD, "a base record is malformed" },
        { "a configuration of no index", CONSENSUS_RECORD_BASE, 0, LONG_PAYLOAD, "a base record is malformed" },
        { "a short hard state", CONSENSUS_RECORD_HARD, 0, SHORT_PAYLOAD, "a hard state is malformed" },
        { "a long hard state", CONSENSUS_RECORD_HARD, 0, LONG_PAYLOAD, "a hard state is malformed" },
        { "an entry whose bytes are others", CONSENSUS_COMMAND, 1, PAYLOAD_BYTE, "fails its checksum" },
        { "an entry of another history", CONSENSUS_COMMAND, 1, OTHER_CHAIN, "does not continue the one before" },
        { "a term that goes back", CONSENSUS_COMMAND, 1, OLDER_TERM, "does not continue the one before" },
        { "an index left out", CONSENSUS_COMMAND, 1, LATER_INDEX, "an entry is out of order" },
        { "an index twice in a batch", CONSENSUS_COMMAND, 2, EARLIER_INDEX, "an entry is out of order" },
        { "a kind that nobody knows", CONSENSUS_RECORD_HARD, 0, OTHER_KIND, "of an unknown kind" },
        { "a reset to nowhere", CONSENSUS_RECORD_HARD, 0, AS_RESET, "a reset record is malformed" },
        { "a floor that is too long", CONSENSUS_RECORD_HARD, 0, AS_FLOOR, "a floor is malformed" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        for (int proven = 0; proven < 2; proven++) {
            struct memory_disk *d = memory_disk_new();
            struct opened o;

            log_make(&o, d, proven == 1);
            batch_forge(memory_bytes(d, FIRST), CONSENSUS_PAGE, cases[i].kind, cases[i].which,
                        cases[i].what);
            must_be_found(&o, 1, cases[i].why, "a record ");
            shut(&o);
            must_be_refused(d, cases[i].why, cases[i].text);
            memory_disk_free(d);
        }
    }
}

/* The first batch of a segment says where the log stood. */
static void a_segment_of_another_history_is_damage(void **state)
{
    static const struct {
        const char *why;
        enum forgery what;
    } cases[] = {
        { "it begins behind the end of the one before", FIRST_BYTE },
        { "it continues other bytes", CHAIN_BYTE },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct memory_disk *d = memory_disk_new();
        struct model *m = model_new();
        struct opened o;

        must_open(&o, d);
        put_segments(&o, m, 2, 3, 5000);
        put(&o, m, m->last + 1, 1, 10);
        shut(&o);
        batch_forge(memory_bytes(d, SECOND), CONSENSUS_PAGE, CONSENSUS_RECORD_BASE, 0,
                    cases[i].what);
        must_be_refused(d, cases[i].why, "the segment does not continue the one before");
        memory_disk_free(d);
        mu_free(m);
    }
}

/* A batch more or less at the end of a segment: its successor knows. */
static void a_scrub_compares_the_seams(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct model *m = model_new();
    struct opened o;

    (void)state;
    must_open(&o, d);
    put_segments(&o, m, 2, 3, 5000);
    put(&o, m, m->last + 1, 1, 10);
    /* The vote in the last batch of the first one is another one. */
    struct mu_buf *first = memory_bytes(d, FIRST);
    struct consensus_batch batch;
    size_t at = CONSENSUS_PAGE;
    size_t last = at;

    while (at < first->bytes &&
           consensus__batch_read(mu_span_of(first->data + at, first->bytes - at), &batch)) {
        last = at;
        at += batch.room;
    }
    batch_forge(first, last, CONSENSUS_RECORD_HARD, 0, FIRST_BYTE);
    must_be_found(&o, 2, "another vote", "it does not continue the one before");
    shut(&o);
    memory_disk_free(d);
    mu_free(m);
}

static void a_batch_holds_as_many_records_as_it_says(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct mu_buf again = MU_BUF_NONE;
    struct consensus_batch batch;
    struct opened o;

    (void)state;
    log_make(&o, d, true);
    uint8_t *bytes = memory_bytes(d, FIRST)->data + CONSENSUS_PAGE;

    assert_true(consensus__batch_read(mu_span_of(bytes, CONSENSUS_PAGE), &batch));
    mu_buf_add(&again, bytes, CONSENSUS_BATCH_HEAD + batch.records.bytes);
    uint32_t crc = consensus__batch_seal(&again, batch.seq, batch.durable_upto, batch.prev_crc,
                                         batch.records_count + 1, batch.salt);

    memcpy(bytes, again.data, again.bytes);
    reseal_behind(memory_bytes(d, FIRST), CONSENSUS_PAGE + batch.room, crc);
    must_be_found(&o, 1, "one more", "a batch does not hold what it says");
    shut(&o);
    mu_buf_deinit(&again);
    memory_disk_free(d);
}

/* What precedes it is damaged, and it does not say where the log stood. */
static void damage_before_a_batch_that_says_nothing_is_refused(void **state)
{
    static const enum forgery cases[] = { SHORT_PAYLOAD, OTHER_KIND, AS_BLANK_FLOOR };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct memory_disk *d = memory_disk_new();
        struct model *m = model_new();
        struct opened o;

        must_open(&o, d);
        put(&o, m, 1, 2, 40);
        size_t second = (size_t)o.j.offset;

        put(&o, m, 3, 1, 40);
        size_t third = (size_t)o.j.offset;

        put(&o, m, 4, 1, 40);
        put(&o, m, 5, 1, 40);
        shut(&o);
        batch_forge(memory_bytes(d, FIRST), third, CONSENSUS_RECORD_HARD, 0, cases[i]);
        memory_bytes(d, FIRST)->data[second + 60] ^= 1;
        must_be_refused(d, "lost", "a batch is damaged, later ones are intact");
        memory_disk_free(d);
        mu_free(m);
    }
}

/* A log that was begun anew behind damage says from where. */
static void a_new_beginning_that_cannot_be_is_not_believed(void **state)
{
    static const enum forgery cases[] = { SHORT_PAYLOAD, OTHER_KIND };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct consensus_journal_options options = options_of(0);
        struct memory_disk *d = memory_disk_new();
        struct model *m = model_new();
        struct opened o = { .view = memory_disk_view(d) };
        uint64_t lost_at = 0;

        options.applied_index = 3;
        options.applied_term = m->hard.term;
        must_open(&o, d);
        for (uint64_t index = 1; index <= 7; index++) {
            lost_at = index == 5 ? o.j.offset : lost_at;
            put(&o, m, index, 1, 40);
        }
        shut(&o);
        memory_crash(d);
        memory_bytes(d, FIRST)->data[lost_at + 60] ^= 1;
        assert_int_equal(consensus__journal_open(&o.j, &o.view, &options, &o.found, &o.err), MU_OK);
        assert_int_equal(o.j.tail.index, 3);
        shut(&o);
        batch_forge(memory_bytes(d, SECOND), CONSENSUS_PAGE, CONSENSUS_RECORD_BASE, 0, cases[i]);
        memory_crash(d);
        assert_int_equal(consensus__journal_open(&o.j, &o.view, &options, &o.found, &o.err),
                         MU_CORRUPT);
        assert_non_null(strstr(o.err.text, SECOND));
        assert_int_equal(d->open_count, 0);
        memory_disk_free(d);
        mu_free(m);
    }
}

static void a_file_larger_than_any_segment_is_not_read(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct opened o;

    (void)state;
    log_make(&o, d, true);
    shut(&o);
    memory_resize(memory_bytes(d, FIRST), 64U * 1024 * 1024 + 1);
    must_be_refused(d, "large", "no segment is as large as this file");
    memory_disk_free(d);
}

static void names_are_read_to_the_letter(void **state)
{
    static const struct {
        const char *why, *name;
        bool is_one;
    } cases[] = {
        { "one", "log-00000000000000af.seg", true },
        { "another noun", "lag-00000000000000af.seg", false },
        { "a digit less", "log-0000000000000af.seg", false },
        { "a digit more", "log-000000000000000af.seg", false },
        { "another ending", "log-00000000000000af.sec", false },
        { "a capital", "log-00000000000000AF.seg", false },
        { "no digit", "log-00000000000000ag.seg", false },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        uint64_t number = 0;

        if (consensus__journal_name_parse(cases[i].name, "log-", &number) != cases[i].is_one ||
            (cases[i].is_one && number != 0xaf)) {
            fail_msg("%s: %s", cases[i].why, cases[i].name);
        }
    }
}

/* -- what is read later -------------------------------------------------------------------- */

enum change { MAGIC, TOO_LONG, BEYOND, SALT, RECORD, VANISHED };

static void batch_change(struct mu_buf *segment, size_t offset, enum change what)
{
    struct mu_wr size = mu_wr_of(segment->data + offset + 32, 4);
    struct consensus_batch batch;
    struct mu_buf again = MU_BUF_NONE;

    switch (what) {
    case MAGIC: segment->data[offset] ^= 1; break;
    case TOO_LONG: mu_wr_u32le(&size, CONSENSUS_BATCH_BYTES_MAX); break;
    case BEYOND: mu_wr_u32le(&size, SMALL_SEGMENT); break;
    case SALT:
        assert_true(
            consensus__batch_read(mu_span_of(segment->data + offset, CONSENSUS_PAGE), &batch));
        mu_buf_add(&again, segment->data + offset, CONSENSUS_BATCH_HEAD + batch.records.bytes);
        (void)consensus__batch_seal(&again, batch.seq, batch.durable_upto, batch.prev_crc,
                                    batch.records_count, batch.salt + 1);
        memcpy(segment->data + offset, again.data, again.bytes);
        mu_buf_deinit(&again);
        break;
    case RECORD: batch_forge(segment, offset, CONSENSUS_COMMAND, 0, PAYLOAD_BYTE); break;
    case VANISHED: batch_forge(segment, offset, CONSENSUS_COMMAND, 0, EARLIER_INDEX); break;
    }
}

/* It was whole when the log was opened. */
static void what_is_read_is_checked_again(void **state)
{
    static const struct {
        const char *why;
        enum change what;
        const char *text;
    } cases[] = {
        // clang-format off
        { "another magic number", MAGIC, "no batch begins here" },
        { "longer than any batch", TOO_LONG, "no batch begins here" },
        { "longer than the segment", BEYOND, "no batch begins here" },
        { "of a former use of the file", SALT, "the batch fails its checksum" },
        { "one record of it", RECORD, "fails its checksum" },
        { "an entry that is not there", VANISHED, "the segment ends too soon" },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct memory_disk *d = memory_disk_new();
        struct model *m = model_new();
        struct mu_buf got = MU_BUF_NONE;
        struct opened o;

        must_open(&o, d);
        put_segments(&o, m, 2, 1, 30); /* a page each: the first one is full */
        batch_change(memory_bytes(d, FIRST), SMALL_SEGMENT - CONSENSUS_PAGE, cases[i].what);
        if (consensus__journal_read(&o.j, 1, m->last, SIZE_MAX, &got, &o.err) != MU_CORRUPT ||
            strstr(o.err.text, cases[i].text) == NULL || strstr(o.err.text, FIRST) == NULL) {
            fail_msg("%s: %s", cases[i].why, o.err.text);
        }
        mu_buf_deinit(&got);
        shut(&o);
        memory_disk_free(d);
        mu_free(m);
    }
}

/* -- files that were cut -------------------------------------------------------------------- */

/* The newest segment, of one batch, loses its end: unless meta knows of it, it was never there. */
static void a_newest_segment_that_was_cut_is_missed_by_meta(void **state)
{
    static const size_t lengths[] = { 100, CONSENSUS_PAGE, CONSENSUS_PAGE + 40,
                                      CONSENSUS_PAGE + 60 };

    (void)state;
    for (size_t i = 0; i < MU_LEN(lengths); i++) {
        struct memory_disk *d = memory_disk_new();
        struct model *m = model_new();
        struct opened o;

        must_open(&o, d);
        put_segments(&o, m, 2, 1, 30);
        uint64_t seq = o.j.seq;

        shut(&o);
        memory_crash(d);
        memory_bytes(d, SECOND)->bytes = lengths[i];
        assert_int_equal(open_on(&o, d, seq), MU_CORRUPT);
        assert_non_null(strstr(o.err.text, "were durable"));
        memory_crash(d);
        must_open(&o, d);
        m->last--;
        must_equal(&o, m, "cut");
        shut(&o);
        memory_disk_free(d);
        mu_free(m);
    }
}

/* Made with other options, or more than are wanted. */
static void spares_that_do_not_fit_go(void **state)
{
    static const struct {
        const char *why;
        uint32_t segment_bytes, spares;
        size_t kept;
    } cases[] = {
        { "as they were", SMALL_SEGMENT, 2, 2 },
        { "fewer are wanted", SMALL_SEGMENT, 1, 1 },
        { "none", SMALL_SEGMENT, 0, 0 },
        { "segments are larger now", 2 * SMALL_SEGMENT, 2, 0 },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct consensus_journal_options options = options_of(0);
        struct memory_disk *d = memory_disk_new();
        struct model *m = model_new();
        struct opened o = { .view = memory_disk_view(d) };

        options.spares_count = 2;
        assert_int_equal(consensus__journal_open(&o.j, &o.view, &options, &o.found, &o.err), MU_OK);
        put(&o, m, 1, 1, 30);
        assert_int_equal(consensus__journal_mark(&o.j, &o.err), MU_OK);
        while (consensus__journal_wants(&o.j)) {
            assert_int_equal(consensus__journal_tend(&o.j, &o.err), MU_OK);
        }
        shut(&o);
        options.segment_bytes = cases[i].segment_bytes;
        options.spares_count = cases[i].spares;
        assert_int_equal(consensus__journal_open(&o.j, &o.view, &options, &o.found, &o.err), MU_OK);
        size_t named = 0;

        for (size_t n = 0; n < d->live.count; n++) {
            named += strncmp(d->live.at[n].name, "spare-", 6) == 0;
        }
        if (o.j.spares_count != cases[i].kept || named != cases[i].kept) {
            fail_msg("%s: %zu are known, %zu there", cases[i].why, o.j.spares_count, named);
        }
        shut(&o);
        memory_disk_free(d);
        mu_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_that_cannot_be_are_damage),
        cmocka_unit_test(a_segment_of_another_history_is_damage),
        cmocka_unit_test(a_scrub_compares_the_seams),
        cmocka_unit_test(a_batch_holds_as_many_records_as_it_says),
        cmocka_unit_test(damage_before_a_batch_that_says_nothing_is_refused),
        cmocka_unit_test(a_new_beginning_that_cannot_be_is_not_believed),
        cmocka_unit_test(a_file_larger_than_any_segment_is_not_read),
        cmocka_unit_test(names_are_read_to_the_letter),
        cmocka_unit_test(what_is_read_is_checked_again),
        cmocka_unit_test(a_newest_segment_that_was_cut_is_missed_by_meta),
        cmocka_unit_test(spares_that_do_not_fit_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
