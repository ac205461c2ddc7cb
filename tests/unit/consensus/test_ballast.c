/* What a full disk does to the log, step by step: spares, the ballast, and the way back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "log_model.h"
#include "memory_disk.h"
#include "store_segment.h"

#define SEGMENT   (64U * 1024)
#define SPARES    2U
#define BALLAST   (2U * SEGMENT)
#define RESERVE   (BALLAST + (SPARES + 2U) * SEGMENT)
#define META      CONSENSUS_META_BYTES
#define STEPS_MAX 10000

/* A store whose steps the test takes, on time of its own. */
struct rig {
    struct memory_disk *disk;
    struct consensus_disk view;
    struct consensus_store store;
    struct consensus_opened opened;
    struct consensus_log *log;
    struct consensus_store_report report;
    struct mu_err err;
    uint64_t now_ms;
    struct model *model;
    struct model_write writes[64];
    size_t writes_count;
};

static uint64_t host_now_ns(void *self)
{
    const struct rig *r = self;

    return r->now_ms * (uint64_t)MU_NS_PER_MS;
}

static void host_start(void *self, struct consensus_log *l)
{
    struct rig *r = self;

    r->log = l;
}

static void host_nothing(void *self)
{
    (void)self;
}

static enum mu_code rig_open(struct rig *r, uint64_t ballast)
{
    struct consensus_store_options options = {
        .server = model_id(1),
        .segment_bytes = SEGMENT,
        .spares_count = SPARES,
        .ballast_bytes = ballast,
        .seed = 1,
        .wake = host_nothing,
        .wake_data = r,
    };
    struct consensus_log_host host = { r, host_now_ns, host_start, host_nothing, host_nothing };

    r->view = memory_disk_view(r->disk);
    consensus__store_segment_on(&r->store, &options, &r->view, &host);
    return r->store.ops->open(r->store.self, &r->opened, &r->err);
}

static struct rig *rig_new(uint64_t capacity)
{
    struct rig *r = mu_new(sizeof *r);

    r->disk = memory_disk_new();
    r->disk->capacity = capacity;
    r->model = mu_new(sizeof *r->model);
    r->now_ms = 1;
    return r;
}

/* Work until `ms` have passed. */
static void run(struct rig *r, uint64_t ms)
{
    uint64_t until = r->now_ms + ms;
    uint64_t nap = 0;

    for (int i = 0; r->now_ms < until; i++) {
        assert_true(i < STEPS_MAX);
        assert_true(consensus__log_step(r->log, &nap));
        r->now_ms = nap >= until - r->now_ms ? until : r->now_ms + nap;
    }
    r->store.ops->collect(r->store.self, &r->report);
}

static void put(struct rig *r, uint32_t bytes)
{
    uint64_t seq = ++r->writes_count;
    struct model_write *mw = &r->writes[seq - 1];

    assert_true(seq <= MU_LEN(r->writes));
    model_write(r->model, mw, seq, seq, 1, (struct model_entry){ 0, bytes, CONSENSUS_COMMAND });
    r->store.ops->submit(r->store.self, &mw->w, mw->records);
}

static void rig_close(struct rig *r)
{
    uint64_t nap;

    if (r->log != NULL) {
        r->store.ops->close(r->store.self);
        while (consensus__log_step(r->log, &nap)) {
        }
    }
    r->store.ops->free(r->store.self);
    consensus_opened_deinit(&r->opened);
    memory_crash(r->disk);
    r->log = NULL;
}

static void rig_free(struct rig *r)
{
    rig_close(r);
    for (size_t i = 0; i < r->writes_count; i++) {
        model_write_deinit(&r->writes[i]);
    }
    memory_disk_free(r->disk);
    mu_free(r->model);
    mu_free(r);
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_follow_the_file_system),
        cmocka_unit_test(a_new_log_wants_its_whole_reserve),
        cmocka_unit_test(an_old_log_starts_on_a_full_disk),
        cmocka_unit_test(ballast_is_what_large_entries_get),
        cmocka_unit_test(relieve_gives_the_ballast_to_the_state),
        cmocka_unit_test(a_ballast_of_another_size_is_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
