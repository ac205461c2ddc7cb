/* What a full disk does to the log, step by step: spares, the ballast, and the way back. */
#include "store_steps.h"

static bool has_ballast(struct rig *r)
{
    const struct mu_buf *b = memory_bytes(r->disk, CONSENSUS_BALLAST_NAME);

    return b != NULL && b->bytes == BALLAST;
}

static void sizes_follow_the_file_system(void **state)
{
    static const struct {
        const char *why;
        uint64_t total_mib;
        uint32_t segment_mib, spares;
        uint64_t ballast_mib;
    } cases[] = {
        // clang-format off
        { "as large as they come",        1024ULL * 1024, 16, 4, 64 },
        { "the smallest with all of it",  512,            16, 4, 64 },
        { "one less",                     511,            8,  2, 16 },
        { "a small volume",               64,             2,  2, 4 },
        { "not below a value and a half", 24,             1,  2, 2 },
        { "nor here",                     1,              1,  2, 2 },
    }; // clang-format on

    (void)state;
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct consensus_sizes s = consensus__sizes_for(cases[i].total_mib << 20);

        if (s.segment_bytes != cases[i].segment_mib << 20 || s.spares_count != cases[i].spares ||
            s.ballast_bytes != cases[i].ballast_mib << 20) {
            fail_msg("%s: %u, %u, %llu", cases[i].why, s.segment_bytes, s.spares_count,
                     (unsigned long long)s.ballast_bytes);
        }
    }
}

static void a_new_log_wants_its_whole_reserve(void **state)
{
    struct rig *r = rig_new(RESERVE - 3 * 1024);

    (void)state;
    assert_int_equal(rig_open(r, BALLAST), MU_FULL);
    assert_non_null(strstr(r->err.text, "3 KiB are missing"));
    rig_close(r);
    assert_null(memory_bytes(r->disk, CONSENSUS_BALLAST_NAME)); /* and leaves nothing behind */
    r->disk->capacity = RESERVE + META;
    assert_int_equal(rig_open(r, BALLAST), MU_OK);
    assert_true(has_ballast(r));
    rig_free(r);
}

static void an_old_log_starts_on_a_full_disk(void **state)
{
    struct rig *r = rig_new(0);

    (void)state;
    assert_int_equal(rig_open(r, BALLAST), MU_OK);
    put(r, 100);
    run(r, 5000);
    rig_close(r);
    assert_non_null(memory_bytes(r->disk, CONSENSUS_BALLAST_NAME));
    r->view.ops->remove(r->view.self, CONSENSUS_BALLAST_NAME, NULL);
    r->disk->capacity = memory_used(r->disk);
    assert_int_equal(rig_open(r, BALLAST), MU_OK);
    run(r, 2000);
    assert_int_equal(r->report.health, CONSENSUS_STORE_FULL);
    assert_false(has_ballast(r));
    rig_free(r);
}

/* Spares take small entries; then the ballast does; then writes wait. Nothing is lost meanwhile. */
static void ballast_is_what_large_entries_get(void **state)
{
    struct rig *r = rig_new(RESERVE + META);

    (void)state;
    assert_int_equal(rig_open(r, BALLAST), MU_OK);
    run(r, 5000);
    assert_int_equal(r->report.health, CONSENSUS_STORE_OK);
    put(r, SEGMENT + 1000); /* fits no segment: a file of its own, in what is free */
    put(r, SEGMENT + 1000);
    run(r, 100);
    assert_int_equal(r->report.persisted_seq, 2);
    assert_int_equal(r->report.health, CONSENSUS_STORE_FULL);
    assert_false(has_ballast(r));
    for (int i = 0; i < 8; i++) { /* more than what is left can take */
        put(r, SEGMENT + 1000);
    }
    run(r, 3000);
    uint64_t stuck = r->report.persisted_seq;

    assert_true(stuck < 10);
    assert_int_equal(r->report.health, CONSENSUS_STORE_FULL);
    r->disk->capacity += 20 * SEGMENT;
    run(r, 3000);
    assert_int_equal(r->report.persisted_seq, 10);
    assert_int_equal(r->report.health, CONSENSUS_STORE_OK);
    assert_true(has_ballast(r));
    rig_free(r);
}

/* The state found no room: it gets the ballast's, and no spare takes that away again. */
static void relieve_gives_the_ballast_to_the_state(void **state)
{
    struct rig *r = rig_new(RESERVE + META);

    (void)state;
    assert_int_equal(rig_open(r, BALLAST), MU_OK);
    run(r, 5000);
    uint64_t before = memory_used(r->disk);

    r->disk->capacity = before; /* somebody else has the rest */
    r->store.ops->relieve(r->store.self);
    run(r, 10);
    assert_int_equal(r->report.relieved_count, 1);
    assert_int_equal(r->report.health, CONSENSUS_STORE_FULL);
    assert_int_equal(memory_used(r->disk), before - BALLAST);
    put(r, 2 * SEGMENT / 3); /* a spare is used up */
    put(r, 2 * SEGMENT / 3);
    run(r, 5000);
    assert_int_equal(r->report.persisted_seq, 2);
    assert_int_equal(memory_used(r->disk), before - BALLAST);
    r->store.ops->relieve(r->store.self); /* again: it is answered, there is nothing to give */
    run(r, 10);
    assert_int_equal(r->report.relieved_count, 2);
    r->disk->capacity = before + 4 * SEGMENT;
    run(r, 5000);
    assert_int_equal(r->report.health, CONSENSUS_STORE_OK);
    assert_true(has_ballast(r));
    rig_free(r);
}

/* The ballast was never out: the segment that compaction gives back is the spare that was missing.
 */
static void compaction_ends_it_with_the_ballast_held(void **state)
{
    struct rig *r = rig_new(RESERVE + META);

    (void)state;
    assert_int_equal(rig_open(r, BALLAST), MU_OK);
    run(r, 5000);
    for (uint64_t i = 1; i <= 8; i++) { /* until segments are used again */
        put(r, 2 * SEGMENT / 3);
        run(r, 5000);
        r->store.ops->compact(r->store.self, i);
        run(r, 5000);
    }
    assert_int_equal(r->report.health, CONSENSUS_STORE_OK);
    r->disk->capacity = memory_used(r->disk);
    put(r, 2 * SEGMENT / 3); /* a spare is used up, and none can be made */
    run(r, 5000);
    assert_int_equal(r->report.persisted_seq, 9);
    assert_int_equal(r->report.health, CONSENSUS_STORE_FULL);
    assert_true(has_ballast(r));
    r->store.ops->compact(r->store.self, 9);
    run(r, 5000);
    assert_int_equal(r->report.health, CONSENSUS_STORE_OK);
    assert_true(has_ballast(r));
    rig_free(r);
}

static void a_ballast_of_another_size_is_dropped(void **state)
{
    struct rig *r = rig_new(0);

    (void)state;
    assert_int_equal(rig_open(r, BALLAST / 2), MU_OK);
    rig_close(r);
    assert_int_equal(rig_open(r, BALLAST), MU_OK);
    assert_null(memory_bytes(r->disk, CONSENSUS_BALLAST_NAME));
    run(r, 5000);
    assert_true(has_ballast(r));
    rig_free(r);
}

/* A new server may meet its load at once, and that may never pause. */
static void a_steady_stream_of_writes_does_not_keep_spares_from_being_made(void **state)
{
    struct rig *r = rig_new(RESERVE * 2 + META);

    (void)state;
    assert_int_equal(rig_open(r, BALLAST), MU_OK);
    for (size_t i = 0; i < MU_LEN(r->writes); i++) {
        put(r, 100);
        run(r, 4);
        assert_int_equal(r->report.persisted_seq, i + 1);
    }
    struct consensus_journal *j = &r->log->journal;

    assert_true(j->segments_count > 1);
    assert_false(j->segments[j->segments_count - 1].is_raw);
    assert_true(j->spares_count > 0);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_follow_the_file_system),
        cmocka_unit_test(a_new_log_wants_its_whole_reserve),
        cmocka_unit_test(an_old_log_starts_on_a_full_disk),
        cmocka_unit_test(ballast_is_what_large_entries_get),
        cmocka_unit_test(relieve_gives_the_ballast_to_the_state),
        cmocka_unit_test(compaction_ends_it_with_the_ballast_held),
        cmocka_unit_test(a_ballast_of_another_size_is_dropped),
        cmocka_unit_test(a_steady_stream_of_writes_does_not_keep_spares_from_being_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
