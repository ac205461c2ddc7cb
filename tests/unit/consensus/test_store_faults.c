/* One request to the disk fails, any one of them, and all others work: the store goes on or says
 * that it has failed and leaves the disk alone, never neither; and nothing it told is lost. */
#include "store_steps.h"

#define WRITES 12U

/* What the owner was told is durable. */
struct told {
    uint64_t last; /* entries of the model up to here */
    uint64_t records;
};

static void work(struct rig *r, uint64_t ms, struct told *t)
{
    run(r, ms);
    t->last = r->report.persisted_seq > t->last ? r->report.persisted_seq : t->last;
    t->records = r->report.recorded_count;
    for (size_t i = 0; i < r->report.fetched_count; i++) {
        consensus_fetched_deinit(&r->report.fetched[i]);
    }
    mu_free(r->report.fetched);
}

/* Look where the log lies and give up the segment that it is written to. */
static void shed_newest(struct rig *r, struct told *t)
{
    r->store.ops->survey(r->store.self);
    work(r, 100, t);
    if (r->report.survey != NULL) {
        r->store.ops->shed(r->store.self,
                           r->report.survey->segments[r->report.survey->count - 1].number);
        mu_free(r->report.survey);
    }
}

/* All that an owner can ask for. */
static void scripted(struct rig *r, struct told *t)
{
    static const uint8_t record[] = "promised";
    struct consensus_fetch fetch = { .ticket = 1, .first = 3, .last = 5, .bytes_max = 100 };

    for (uint32_t i = 0; i < WRITES; i++) {
        r->model->hard.term = 1 + i / 4;
        put(r, 3000 + 5000 * (i % 3));
        work(r, i % 2 == 0 ? 300 : 20, t);
        switch (i) {
        case 3: r->store.ops->record(r->store.self, mu_span_of(record, sizeof record)); break;
        case 5: r->store.ops->fetch(r->store.self, &fetch); break;
        case 6: r->store.ops->relieve(r->store.self); break;
        case 8: shed_newest(r, t); break;
        case 9: r->store.ops->compact(r->store.self, 4); break;
        default: break;
        }
    }
    work(r, 4000, t);
}

/* After its last word the disk is not touched. */
static void must_rest(struct rig *r, uint64_t at)
{
    struct told t = { 0 };
    uint64_t before = r->disk->requests;

    work(r, 4000, &t);
    if (r->disk->requests != before) {
        fail_msg("request %llu: %llu more after the store had failed", (unsigned long long)at,
                 (unsigned long long)(r->disk->requests - before));
    }
}

static void must_have(struct rig *r, const struct told *t, uint64_t at)
{
    const struct consensus_loaded *l = &r->opened.loaded;
    struct told again = { 0 };

    if (rig_open(r, BALLAST) != MU_OK) {
        fail_msg("request %llu: opened again: %s", (unsigned long long)at, r->err.text);
    }
    if (l->last_index < t->last || l->base_index > 4 ||
        (t->records > 0 && r->opened.record.bytes == 0) || r->opened.damage[0] != '\0') {
        fail_msg("request %llu: log %llu..%llu of %llu, %s", (unsigned long long)at,
                 (unsigned long long)l->base_index, (unsigned long long)l->last_index,
                 (unsigned long long)t->last, r->opened.damage);
    }
    work(r, 4000, &again);
    assert_int_equal(r->report.health, CONSENSUS_STORE_OK);
}

/* False: the run has fewer requests than that. */
static bool one_fails(uint64_t at, enum mu_code code)
{
    struct rig *r = rig_new(0);
    struct told t = { 0 };

    r->disk->fail_at = at;
    r->disk->fail_code = code;
    if (rig_open(r, BALLAST) == MU_OK) {
        scripted(r, &t);
        bool has_failed = r->report.health == CONSENSUS_STORE_FAILED ||
                          r->report.health == CONSENSUS_STORE_READ_ONLY;

        if (!has_failed && (t.last < WRITES || t.records == 0 || r->log->journal.has_failed)) {
            fail_msg("request %llu, %s: nobody was told, written are %llu of %u",
                     (unsigned long long)at, mu_code_text(code), (unsigned long long)t.last,
                     WRITES);
        }
        if (has_failed) {
            if (strstr(r->report.why, "request") == NULL) {
                fail_msg("request %llu, %s: told is '%s'", (unsigned long long)at,
                         mu_code_text(code), r->report.why);
            }
            must_rest(r, at);
        }
    } else {
        assert_non_null(strstr(r->err.text, "request"));
    }
    bool was_made = r->disk->requests >= at;

    rig_close(r);
    if (r->disk->open_count > 0) {
        fail_msg("request %llu: files are left open", (unsigned long long)at);
    }
    must_have(r, &t, at);
    rig_free(r);
    return was_made;
}

static void one_request_fails_and_is_noticed_or_made_good(void **state)
{
    static const enum mu_code codes[] = { MU_IO, MU_FULL, MU_READ_ONLY };

    (void)state;
    for (size_t i = 0; i < MU_LEN(codes); i++) {
        uint64_t at = 1;

        while (one_fails(at, codes[i])) {
            at++;
        }
        assert_true(at > 100);
    }
}

/* -- what an open refuses ------------------------------------------------------------------ */

static void write_record(struct rig *r, struct mu_span record)
{
    struct consensus_write w = { .seq = 1, .first = 1, .last = 1 };

    w.hard.term = 1;
    w.hard.cluster = r->model->hard.cluster;
    r->store.ops->submit(r->store.self, &w, &record);
    run(r, 1000);
    assert_int_equal(r->report.persisted_seq, 1);
}

static void a_configuration_that_is_none_is_refused(void **state)
{
    static const struct {
        const char *payload, *text;
        enum mu_code code;
    } cases[] = {
        { "\1three", "configuration at entry 1", MU_CORRUPT },
        { "\3three", "version 3, written by a newer muster", MU_UNSUPPORTED },
    };

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct rig *r = rig_new(0);
        struct mu_buf bytes = MU_BUF_NONE;
        struct consensus_record record = { .index = 1,
                                           .term = 1,
                                           .kind = CONSENSUS_CONFIG,
                                           .payload = mu_span_text(cases[i].payload) };

        assert_int_equal(rig_open(r, 0), MU_OK);
        (void)consensus__record_add(&bytes, &record, 0);
        memset(bytes.data + 4, 0, 4); /* the chain is the store's */
        write_record(r, mu_buf_span(&bytes));
        rig_close(r);
        assert_int_equal(rig_open(r, 0), cases[i].code);
        assert_non_null(strstr(r->err.text, cases[i].text));
        mu_buf_deinit(&bytes);
        rig_free(r);
    }
}

/* The file of one directory in another, of the same server and disk. */
static void meta_of_another_cluster_is_refused(void **state)
{
    struct rig *rigs[2];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        rigs[i] = rig_new(0);
        rigs[i]->model->hard.cluster = model_id((uint8_t)(8 + i));
        rigs[i]->model->hard.term = 1;
        assert_int_equal(rig_open(rigs[i], 0), MU_OK);
        put(rigs[i], 100);
        run(rigs[i], 1000);
        rig_close(rigs[i]);
    }
    const struct mu_buf *from = memory_bytes(rigs[0]->disk, CONSENSUS_META_NAME);
    struct mu_buf *to = memory_bytes(rigs[1]->disk, CONSENSUS_META_NAME);

    assert_int_equal(from->bytes, to->bytes);
    memcpy(to->data, from->data, from->bytes);
    assert_int_equal(rig_open(rigs[1], 0), MU_CORRUPT);
    assert_non_null(strstr(rigs[1]->err.text, "files of two histories are mixed"));
    rig_free(rigs[0]);
    rig_free(rigs[1]);
}

/* Nothing was said of the reserve: the file system says. */
static void the_reserve_follows_the_space(void **state)
{
    struct rig *r = rig_new(64U * 1024 * 1024);

    (void)state;
    assert_int_equal(rig_open(r, CONSENSUS_BALLAST_BY_SPACE), MU_OK);
    struct consensus_sizes sizes = consensus__sizes_for(r->disk->capacity);

    assert_int_equal(memory_bytes(r->disk, CONSENSUS_BALLAST_NAME)->bytes, sizes.ballast_bytes);
    assert_int_equal(r->opened.unsynced_bytes_max, sizes.ballast_bytes / 2);
    assert_int_equal(r->opened.trailing_bytes_max, 4 * sizes.segment_bytes);
    rig_free(r);
}

/* An answer that nobody collects is given back with the store. */
static void a_stop_may_leave_answers_behind(void **state)
{
    struct consensus_fetch fetch = { .ticket = 1, .first = 1, .last = 1, .bytes_max = 100 };
    struct rig *r = rig_new(0);

    (void)state;
    r->model->hard.term = 1;
    assert_int_equal(rig_open(r, BALLAST), MU_OK);
    put(r, 100);
    run(r, 100);
    r->store.ops->fetch(r->store.self, &fetch);
    r->store.ops->survey(r->store.self);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_request_fails_and_is_noticed_or_made_good),
        cmocka_unit_test(a_configuration_that_is_none_is_refused),
        cmocka_unit_test(meta_of_another_cluster_is_refused),
        cmocka_unit_test(the_reserve_follows_the_space),
        cmocka_unit_test(a_stop_may_leave_answers_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
