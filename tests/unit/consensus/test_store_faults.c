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
        bool has_failed = r->report.health == CONSENSUS_STORE_FAILED;

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
    static const enum mu_code codes[] = { MU_IO, MU_FULL };

    (void)state;
    for (size_t i = 0; i < MU_LEN(codes); i++) {
        uint64_t at = 1;

        while (one_fails(at, codes[i])) {
            at++;
        }
        assert_true(at > 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_request_fails_and_is_noticed_or_made_good),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
