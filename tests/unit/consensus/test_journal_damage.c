/* Damage in the log: every byte of it is flipped, files vanish, and whatever opens afterwards is
 * the truth, or the truth as far as the state goes with a mark where it once ended (spec 2.16). */
#include <stdlib.h>

#include "journal_fixture.h"

static uint64_t term_of(const struct model *m, uint64_t index)
{
    return index == 0 ? 0 : m->entries[index].term;
}

static enum mu_code open_applied(struct opened *o, struct memory_disk *d, const struct model *m,
                                 uint64_t applied, const struct consensus_journal_options *meta)
{
    struct consensus_journal_options options = meta != NULL ? *meta : options_of(0);

    memset(o, 0, sizeof *o);
    options.applied_index = applied;
    options.applied_term = term_of(m, applied);
    o->view = memory_disk_view(d);
    o->rc = consensus__journal_open(&o->j, &o->view, &options, &o->found, &o->err);
    return o->rc;
}

/* What there is is true: entries and terms, hard state, configurations. */
static void must_be_true(struct opened *o, const struct model *m, const char *when)
{
    struct model *part = mu_new(sizeof *part);

    *part = *m;
    part->base_index = o->j.base.index;
    part->last = o->j.tail.index;
    must_equal(o, part, when);
    mu_free(part);
}

/* Ask for it again, as a leader would send it. */
static void heal(struct opened *o, const struct model *m)
{
    struct model *again = mu_new(sizeof *again);
    struct model_write *mw = mu_new(sizeof *mw);

    again->hard = m->hard;
    for (uint64_t i = o->j.tail.index + 1; i <= m->last; i++) {
        assert_true(consensus__journal_lacks(&o->j));
        model_write(again, mw, 1, i, 1, m->entries[i]);
        if (append_one(o, mw) != MU_OK) {
            fail_msg("append %llu: %s", (unsigned long long)i, o->err.text);
        }
        model_write_deinit(mw);
    }
    assert_false(consensus__journal_lacks(&o->j));
    mu_free(mw);
    mu_free(again);
}

enum verdict { REFUSED, WHOLE, SHORTER, RESTARTS, VERDICTS };

/* Is whoever only looks shown the whole log? Else it is told where the damage is. */
static bool looks_whole(struct memory_disk *d, const struct model *m, uint64_t applied,
                        const struct consensus_journal_options *meta, const char *when)
{
    struct consensus_journal_options options = meta != NULL ? *meta : options_of(0);
    uint64_t calls = d->calls;
    struct opened o;

    options.is_read_only = true;
    bool is_whole = open_applied(&o, d, m, applied, &options) == MU_OK;

    if (is_whole && o.j.tail.index != m->last) {
        fail_msg("%s: a look finds no damage, and entries up to %llu of %llu", when,
                 (unsigned long long)o.j.tail.index, (unsigned long long)m->last);
    }
    if (is_whole) {
        shut(&o);
    } else if (o.rc != MU_CORRUPT || strstr(o.err.text, " at byte ") == NULL) {
        fail_msg("%s: a look: %s", when, o.err.text);
    }
    assert_int_equal(d->calls, calls);
    assert_int_equal(d->open_count, 0);
    return is_whole;
}

/* Open it however often: the same. Then what is missing comes back, and it is whole. */
static enum verdict judge(struct memory_disk *d, const struct model *m, uint64_t applied,
                          const struct consensus_journal_options *meta, const char *when)
{
    bool is_seen_whole = looks_whole(d, m, applied, meta, when);
    enum verdict first = VERDICTS;
    struct opened o;

    for (int round = 0; round < 2; round++) {
        enum verdict now;

        if (open_applied(&o, d, m, applied, meta) != MU_OK) {
            if (o.rc != MU_CORRUPT || strstr(o.err.text, "log-0") == NULL ||
                strstr(o.err.text, " at byte ") == NULL || round > 0 || is_seen_whole) {
                fail_msg("%s: %s", when, o.err.text);
            }
            return REFUSED;
        }
        must_be_true(&o, m, when);
        assert_true(o.j.base.index <= applied);
        now = o.j.tail.index == m->last ? (o.j.base.index == 0 ? WHOLE : SHORTER) : RESTARTS;
        assert_int_equal(is_seen_whole, now != RESTARTS);
        if (now == RESTARTS) {
            if (o.j.tail.index != applied || o.j.floor.index != m->last ||
                o.j.floor.term != term_of(m, m->last)) {
                fail_msg("%s, round %d: restarts behind %llu with floor %llu of term %llu", when,
                         round, (unsigned long long)o.j.tail.index,
                         (unsigned long long)o.j.floor.index, (unsigned long long)o.j.floor.term);
            }
        }
        if (now != WHOLE && round == 0) {
            assert_non_null(strstr(o.found.damage, "log-0"));
        }
        assert_true(round == 0 || now == first);
        first = now;
        meta = NULL; /* written anew after each open */
        if (round == 0) {
            shut(&o);
            memory_crash(d);
        }
    }
    heal(&o, m);
    shut(&o);
    memory_crash(d);
    assert_int_equal(open_applied(&o, d, m, applied, NULL), MU_OK);
    must_be_true(&o, m, when);
    assert_int_equal(o.j.tail.index, m->last);
    assert_false(consensus__journal_lacks(&o.j));
    shut(&o);
    assert_int_equal(d->open_count, 0);
    return first;
}

/* Where nothing but padding stands one byte in 64 is enough; and one in `step` of the rest. */
static bool is_sampled(const struct mu_buf *segment, size_t at, size_t step)
{
    struct consensus_batch batch;

    for (size_t page = CONSENSUS_PAGE; page <= at;) {
        struct mu_span here = mu_span_of(segment->data + page, segment->bytes - page);

        if (!consensus__batch_read(here, &batch)) {
            return at % 4096 == 64;
        }
        if (at < page + batch.room) {
            return at % (at < page + CONSENSUS_BATCH_HEAD + batch.records.bytes ? step : 512) == 0;
        }
        page += batch.room;
    }
    return at % (at < 80 ? 1 : 512) == 0; /* the head page */
}

/* The default run takes one byte of 64 in one history; MUSTER_SWEEP=1 all of them in three. */
static void no_flipped_byte_makes_the_log_lie(void **state)
{
    bool is_long = getenv("MUSTER_SWEEP") != NULL;
    size_t step = is_long ? 1 : 64;
    size_t counts[VERDICTS] = { 0 };

    (void)state;
    for (uint64_t seed = 1; seed <= (is_long ? 3 : 1); seed++) {
        struct model *m = model_new();
        struct memory_disk *d = memory_disk_new();
        struct opened o;

        must_open(&o, d);
        history(&o, m, seed, 30);
        assert_int_equal(consensus__journal_mark(&o.j, &o.err), MU_OK);
        size_t segments = o.j.segments_count;

        shut(&o);
        memory_crash(d);
        for (size_t s = 1; s <= segments; s++) {
            char name[CONSENSUS_JOURNAL_NAME_MAX];

            consensus__journal_name(s, name);
            const struct mu_buf *bytes = memory_bytes(d, name);

            for (size_t at = 0; at < bytes->bytes; at++) {
                if (!is_sampled(bytes, at, step)) {
                    continue;
                }
                struct memory_disk *copy = memory_disk_copy(d);
                char when[128];
                uint64_t applied = (at / step + s) % 3 * m->last / 2;

                (void)snprintf(when, sizeof when, "seed %llu, %s, byte %zu, applied %llu",
                               (unsigned long long)seed, name, at, (unsigned long long)applied);
                memory_bytes(copy, name)->data[at] ^= 0x40;
                counts[judge(copy, m, applied, NULL, when)]++;
                memory_disk_free(copy);
            }
        }
        memory_disk_free(d);
        mu_free(m);
    }
    /* Each of them happens, or this tests less than it says. */
    for (size_t i = 0; i < VERDICTS; i++) {
        assert_true(counts[i] > 10);
    }
}

/* The last batches are gone. After a clean stop meta knows what they came to, to the vote. */
static void the_end_is_known_after_a_clean_stop(void **state)
{
    (void)state;
    for (uint64_t lost = 1; lost <= 3; lost++) {
        struct model *m = model_new();
        struct memory_disk *d = memory_disk_new();
        struct consensus_journal_options meta = options_of(0);
        struct opened o;

        must_open(&o, d);
        put(&o, m, 1, 2, 40);
        put(&o, m, 3, 1, 50);
        m->hard.term = 4;
        m->hard.voted_for = model_id(3);
        put(&o, m, 4, 1, 50);
        assert_int_equal(consensus__journal_mark(&o.j, &o.err), MU_OK);
        meta.durable_seq = o.j.seq;
        meta.is_end_known = true;
        consensus__journal_standing(&o.j, &meta.end);
        for (uint64_t i = 0; i < lost; i++) {
            memory_bytes(d, "log-0000000000000001.seg")->data[o.j.offset - 4096 * (i + 1)] ^= 1;
        }
        shut(&o);
        memory_crash(d);
        struct memory_disk *copy = memory_disk_copy(d);

        assert_int_equal(judge(copy, m, 1, &meta, "clean"), lost == 1 ? WHOLE : RESTARTS);
        memory_disk_free(copy);
        /* Not clean: there may have been more, so that nothing may be promised again. */
        copy = memory_disk_copy(d);
        meta.is_end_known = false;
        assert_int_equal(open_applied(&o, copy, m, 1, &meta), MU_CORRUPT);
        assert_non_null(strstr(o.err.text, "has promised is lost"));
        memory_disk_free(copy);
        memory_disk_free(d);
        mu_free(m);
    }
}

/* All that is left begins with a damaged batch, or nothing is left: which files that were is said,
 * not which a new log would begin with. */
static void what_is_left_of_a_log_is_named(void **state)
{
    (void)state;
    for (int is_gone = 0; is_gone <= 1; is_gone++) {
        struct model *m = model_new();
        struct memory_disk *d = memory_disk_new();
        struct consensus_journal_options meta = options_of(0);
        struct opened o;

        must_open(&o, d);
        put_segments(&o, m, 4, 4, 3000);
        o.j.options.spares_count = 0; /* opening flushes the name of a spare */
        assert_int_equal(consensus__journal_compact(&o.j, o.j.segments[2].base.index, &o.err),
                         MU_OK);
        assert_int_equal(o.j.segments[0].number, 3);
        meta.durable_seq = o.j.seq;
        for (uint64_t s = 3; s <= 4; s++) {
            char name[CONSENSUS_JOURNAL_NAME_MAX];

            consensus__journal_name(s, name);
            memory_bytes(d, name)->data[CONSENSUS_PAGE + 60] ^= 1;
            if (is_gone) {
                assert_int_equal(o.view.ops->remove(o.view.self, name, &o.err), MU_OK);
            }
        }
        assert_int_equal(o.view.ops->sync_dir(o.view.self, &o.err), MU_OK);
        shut(&o);
        memory_crash(d);
        uint64_t calls = d->calls;

        assert_int_equal(open_applied(&o, d, m, 0, &meta), MU_CORRUPT);
        assert_non_null(
            strstr(o.err.text, is_gone ? "no segment is there" : "log-0000000000000003"));
        assert_null(strstr(o.err.text, "log-0000000000000001"));
        assert_int_equal(d->calls, calls);
        memory_disk_free(d);
        mu_free(m);
    }
}

/* The newest segment holds one batch, and that is damaged. A power cut leaves the same behind, so
 * that only others can tell: a MARK, meta (within milliseconds), and the state, which never has
 * what was not durable. Where one of them does, nothing is cut. */
static void the_only_batch_of_a_segment(void **state)
{
    static const struct {
        const char *name;
        bool is_marked, knows_meta;
        uint64_t lacks; /* of its entries, in the state */
        enum mu_code code;
        const char *text;
    } cases[] = {
        { "nobody knows of it", false, false, 4, MU_OK, "" },
        { "a MARK behind it", true, false, 4, MU_CORRUPT, "later ones are intact" },
        { "meta knows of it", false, true, 4, MU_CORRUPT, "were durable" },
        { "the state has all of it", false, false, 0, MU_CORRUPT, "the state contains" },
        { "the state has some of it", false, false, 3, MU_CORRUPT, "the state contains" },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct model *m = model_new();
        struct memory_disk *d = memory_disk_new();
        struct consensus_journal_options meta = options_of(0);
        struct opened o;
        char name[CONSENSUS_JOURNAL_NAME_MAX];

        must_open(&o, d);
        put_segments(&o, m, 3, 4, 3000);
        uint64_t before = m->last - 4;

        consensus__journal_name(3, name);
        meta.durable_seq = o.j.seq - (cases[i].knows_meta ? 0 : 1);
        if (cases[i].is_marked) {
            assert_int_equal(consensus__journal_mark(&o.j, &o.err), MU_OK);
        }
        shut(&o);
        memory_crash(d);
        memory_bytes(d, name)->data[CONSENSUS_PAGE + 60] ^= 1;
        uint64_t calls = d->calls;

        if (open_applied(&o, d, m, m->last - cases[i].lacks, &meta) != cases[i].code) {
            fail_msg("%s: %s, %s", cases[i].name, mu_code_text(o.rc), o.err.text);
        }
        if (o.rc == MU_OK) {
            assert_int_equal(o.j.tail.index, before);
            assert_int_equal(o.j.floor.index, 0);
            assert_string_equal(o.found.damage, "");
            shut(&o);
        } else {
            assert_non_null(strstr(o.err.text, cases[i].text));
            assert_non_null(strstr(o.err.text, "seg at byte "));
            assert_int_equal(d->calls, calls);
        }
        memory_disk_free(d);
        mu_free(m);
    }
}

/* Damaged again before it was whole again: it still answers for all it had. */
static void the_higher_floor_stays(void **state)
{
    struct model *m = model_new();
    struct memory_disk *d = memory_disk_new();
    struct opened o;

    (void)state;
    must_open(&o, d);
    put(&o, m, 1, 2, 40);
    uint64_t third = o.j.offset;

    for (uint64_t i = 3; i <= 6; i++) {
        put(&o, m, i, 1, 40);
    }
    assert_int_equal(consensus__journal_mark(&o.j, &o.err), MU_OK);
    shut(&o);
    memory_crash(d);
    memory_bytes(d, "log-0000000000000001.seg")->data[third + 60] ^= 1;
    assert_int_equal(open_applied(&o, d, m, 2, NULL), MU_OK);
    assert_int_equal(o.j.tail.index, 2);
    assert_int_equal(o.j.floor.index, 6);
    struct model *again = model_new();

    again->last = 2;
    put(&o, again, 3, 1, 40);
    uint64_t fourth = o.j.offset;
    char name[CONSENSUS_JOURNAL_NAME_MAX];

    consensus__journal_name(o.j.segments[o.j.segments_count - 1].number, name);
    put(&o, again, 4, 1, 40);
    assert_int_equal(consensus__journal_mark(&o.j, &o.err), MU_OK);
    shut(&o);
    memory_crash(d);
    memory_bytes(d, name)->data[fourth + 60] ^= 1;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(open_applied(&o, d, m, 3, NULL), MU_OK);
        assert_int_equal(o.j.tail.index, 3);
        assert_int_equal(o.j.floor.index, 6);
        assert_true(consensus__journal_lacks(&o.j));
        shut(&o);
        memory_crash(d);
    }
    memory_disk_free(d);
    mu_free(again);
    mu_free(m);
}

/* A vote that stood in the damaged batch is found in the one behind it. */
static void no_vote_is_forgotten(void **state)
{
    struct model *m = model_new();
    struct memory_disk *d = memory_disk_new();
    struct model_write *mw = mu_new(sizeof *mw);
    struct opened o;

    (void)state;
    must_open(&o, d);
    put(&o, m, 1, 2, 40);
    uint64_t vote_at = o.j.offset;

    m->hard.term = 9;
    m->hard.voted_for = model_id(7);
    model_write(m, mw, 2, 1, 0, (struct model_entry){ 0 });
    assert_int_equal(append_one(&o, mw), MU_OK);
    assert_int_equal(consensus__journal_mark(&o.j, &o.err), MU_OK);
    shut(&o);
    memory_crash(d);
    memory_bytes(d, "log-0000000000000001.seg")->data[vote_at + 60] ^= 1;
    assert_int_equal(open_applied(&o, d, m, 0, NULL), MU_OK);
    must_equal(&o, m, "vote");
    shut(&o);
    model_write_deinit(mw);
    mu_free(mw);
    memory_disk_free(d);
    mu_free(m);
}

/* One entry in a batch of its own; where the batch begins. */
static uint64_t put_one(struct opened *o, struct model *m, uint64_t index, uint8_t kind)
{
    struct model_write *mw = mu_new(sizeof *mw);
    uint64_t at = o->j.offset;

    model_write(m, mw, 1, index, 1, (struct model_entry){ m->hard.term, 40, kind });
    assert_int_equal(append_one(o, mw), MU_OK);
    model_write_deinit(mw);
    mu_free(mw);
    return at;
}

/* Entries from 1 on in a batch each, one of them a configuration; where the batch of one begins. */
static uint64_t put_each(struct opened *o, struct model *m, uint64_t count, uint64_t config,
                         uint64_t which)
{
    uint64_t found = 0;

    for (uint64_t index = 1; index <= count; index++) {
        uint64_t at = put_one(o, m, index, index == config ? CONSENSUS_CONFIG : CONSENSUS_COMMAND);

        found = index == which ? at : found;
    }
    return found;
}

/* Entries 1 to 8 in a batch each, one of which is damaged. Which configurations there are, and how
 * far the state is, decides. model_config() has two servers at 1 and 4, one at 3. */
static void configurations_outlive_damage_or_refuse_it(void **state)
{
    static const struct {
        const char *why;
        uint64_t config, lost, applied;
        enum verdict verdict;
        const char *text; /* of the refusal */
    } cases[] = {
        // clang-format off
        { "all that is lost is in the state",      1, 4, 6, SHORTER, NULL },
        { "and so is a configuration",             4, 4, 6, REFUSED, "a batch with a configuration is damaged" },
        { "the rest is asked of the others",       1, 6, 4, RESTARTS, NULL },
        { "the rest, with a newer configuration",  4, 6, 4, RESTARTS, NULL },
        { "there are no others",                   3, 6, 4, REFUSED, "entries are damaged that no other server has" },
        { "a configuration that is not in force",  7, 6, 4, RESTARTS, NULL },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct memory_disk *d = memory_disk_new();
        struct model *m = model_new();
        struct opened o;

        must_open(&o, d);
        uint64_t lost_at = put_each(&o, m, 8, cases[i].config, cases[i].lost);

        assert_int_equal(consensus__journal_mark(&o.j, &o.err), MU_OK);
        shut(&o);
        memory_crash(d);
        memory_bytes(d, "log-0000000000000001.seg")->data[lost_at + 60] ^= 1;
        if (judge(d, m, cases[i].applied, NULL, cases[i].why) != cases[i].verdict) {
            fail_msg("%s: another verdict", cases[i].why);
        }
        if (cases[i].text != NULL) {
            assert_int_equal(open_applied(&o, d, m, cases[i].applied, NULL), MU_CORRUPT);
            assert_non_null(strstr(o.err.text, cases[i].text));
        }
        memory_disk_free(d);
        mu_free(m);
    }
}

/* Entry 4 is damaged, and another leader has overwritten it, and 3 with it. */
static void what_was_overwritten_is_not_missed(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct model *m = model_new();
    struct opened o;

    (void)state;
    must_open(&o, d);
    for (uint64_t index = 1; index <= 3; index++) {
        (void)put_one(&o, m, index, CONSENSUS_COMMAND);
    }
    uint64_t lost_at = put_one(&o, m, 4, CONSENSUS_COMMAND);

    m->hard.term = 2;
    for (uint64_t index = 3; index <= 6; index++) {
        (void)put_one(&o, m, index, CONSENSUS_COMMAND);
    }
    assert_int_equal(consensus__journal_mark(&o.j, &o.err), MU_OK);
    shut(&o);
    memory_crash(d);
    memory_bytes(d, "log-0000000000000001.seg")->data[lost_at + 60] ^= 1;
    assert_int_equal(judge(d, m, 0, NULL, "overwritten"), WHOLE);
    memory_disk_free(d);
    mu_free(m);
}

/* Whoever only looks is told, and changes nothing. */
static void damage_is_told_to_who_only_looks(void **state)
{
    struct consensus_journal_options options = options_of(0);
    struct memory_disk *d = memory_disk_new();
    struct model *m = model_new();
    struct opened o;

    (void)state;
    must_open(&o, d);
    uint64_t lost_at = put_each(&o, m, 6, 0, 5);

    shut(&o);
    memory_crash(d);
    memory_bytes(d, "log-0000000000000001.seg")->data[lost_at + 60] ^= 1;
    uint64_t calls = d->calls;

    options.is_read_only = true;
    assert_int_equal(open_applied(&o, d, m, 3, &options), MU_CORRUPT);
    assert_non_null(strstr(o.err.text, "entries are damaged"));
    assert_int_equal(d->calls, calls);
    memory_disk_free(d);
    mu_free(m);
}

/* A request that fails while the log is mended: the next open comes to the same. */
static void one_request_fails_while_mending(void **state)
{
    (void)state;
    for (uint64_t applied = 3; applied <= 6; applied += 3) {
        struct memory_disk *d = memory_disk_new();
        struct model *m = model_new();
        struct opened o;
        bool was_made = true;

        must_open(&o, d);
        uint64_t lost_at = put_each(&o, m, 8, 1, 5);

        assert_int_equal(consensus__journal_mark(&o.j, &o.err), MU_OK);
        shut(&o);
        memory_crash(d);
        memory_bytes(d, "log-0000000000000001.seg")->data[lost_at + 60] ^= 1;
        for (uint64_t at = 1; was_made; at++) {
            struct memory_disk *copy = memory_disk_copy(d);

            copy->requests = 0;
            copy->fail_at = at;
            copy->fail_code = MU_IO;
            was_made = open_applied(&o, copy, m, applied, NULL) != MU_OK;
            assert_true(!was_made || o.rc == MU_IO);
            if (!was_made) {
                if (copy->requests >= at || at <= 8) {
                    fail_msg("request %llu of %llu, applied %llu", (unsigned long long)at,
                             (unsigned long long)copy->requests, (unsigned long long)applied);
                }
                shut(&o);
            }
            assert_int_equal(copy->open_count, 0);
            memory_crash(copy);
            assert_int_equal(open_applied(&o, copy, m, applied, NULL), MU_OK);
            must_be_true(&o, m, "mended");
            assert_int_equal(o.j.tail.index, applied == 3 ? 3 : 8);
            assert_true(applied != 3 || o.j.floor.index == 8);
            heal(&o, m);
            shut(&o);
            memory_disk_free(copy);
        }
        memory_disk_free(d);
        mu_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_flipped_byte_makes_the_log_lie),
        cmocka_unit_test(the_end_is_known_after_a_clean_stop),
        cmocka_unit_test(what_is_left_of_a_log_is_named),
        cmocka_unit_test(the_only_batch_of_a_segment),
        cmocka_unit_test(the_higher_floor_stays),
        cmocka_unit_test(no_vote_is_forgotten),
        cmocka_unit_test(configurations_outlive_damage_or_refuse_it),
        cmocka_unit_test(what_was_overwritten_is_not_missed),
        cmocka_unit_test(damage_is_told_to_who_only_looks),
        cmocka_unit_test(one_request_fails_while_mending),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
