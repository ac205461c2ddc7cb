/* The crash matrix of the store: log, meta and ballast. A scripted run is cut short at each request
 * to the disk, before it, after it, and in the middle of it at prefixes of sectors; then the
 * machine is gone or only the process; and what was acknowledged is there (spec 4.9, rows 70 to
 * 72). */
#include "store_steps.h"

/* What the owner was told is durable. */
struct told {
    uint64_t last; /* entries of the model up to here */
    struct consensus_hard hard;
    uint64_t records;
    struct mu_id disk;
};

static void told_update(struct rig *r, struct told *t)
{
    uint64_t seq = r->report.persisted_seq;

    if (seq > 0) {
        t->last = seq;
        t->hard = r->writes[seq - 1].w.hard;
    }
    t->records = r->report.recorded_count;
}

static void settle(struct rig *r, struct told *t)
{
    run(r, 300);
    told_update(r, t);
}

/* Writes, votes, records, compaction, a full disk and the way back, and a stop. Everything is tried
 * to the end: after the cut the disk answers nothing, and the store says so. */
static void scripted(struct rig *r, struct told *t)
{
    static const uint8_t record[] = "promised";

    if (rig_open(r, BALLAST) != MU_OK) {
        rig_close(r);
        return;
    }
    t->disk = r->opened.disk;
    for (uint32_t i = 0; i < 12; i++) {
        r->model->hard.term = 1 + i / 4;
        r->model->hard.voted_for = model_id((uint8_t)(1 + i % 3));
        put(r, 3000 + 5000 * (i % 3));
        settle(r, t);
        if (i == 3) {
            r->store.ops->record(r->store.self, mu_span_of(record, sizeof record));
        }
        if (i == 6) {
            r->store.ops->relieve(r->store.self);
        }
        if (i == 9) {
            r->store.ops->compact(r->store.self, 4);
        }
    }
    settle(r, t);
    run(r, 3000);
    told_update(r, t);
    rig_close(r);
}

static uint64_t requests_of_run(void)
{
    struct rig *r = rig_new(0);
    struct told t = { 0 };

    scripted(r, &t);
    assert_int_equal(t.last, 12);
    assert_int_equal(t.records, 1);
    uint64_t calls = r->disk->calls;

    rig_free(r);
    return calls;
}

static void must_have(struct rig *r, const struct told *t, uint64_t at, uint64_t sectors)
{
    const struct consensus_loaded *l = &r->opened.loaded;

    if (rig_open(r, BALLAST) != MU_OK) {
        fail_msg("cut at %llu, %llu sectors: %s", (unsigned long long)at,
                 (unsigned long long)sectors, r->err.text);
    }
    bool has_vote = l->hard.term > t->hard.term ||
                    (l->hard.term == t->hard.term &&
                     (mu_id_eq(&l->hard.voted_for, &t->hard.voted_for) || l->last_index > t->last));

    if (l->last_index < t->last || l->base_index > 4 || !has_vote || l->floor_index != 0 ||
        r->opened.damage[0] != '\0' || (t->records > 0 && r->opened.record.bytes == 0) ||
        (!mu_id_is_none(&t->disk) && !mu_id_eq(&t->disk, &r->opened.disk))) {
        fail_msg("cut at %llu, %llu sectors: log %llu..%llu of %llu, term %llu of %llu, %s",
                 (unsigned long long)at, (unsigned long long)sectors,
                 (unsigned long long)l->base_index, (unsigned long long)l->last_index,
                 (unsigned long long)t->last, (unsigned long long)l->hard.term,
                 (unsigned long long)t->hard.term, r->opened.damage);
    }
    run(r, 3000);
    assert_int_equal(r->report.health, CONSENSUS_STORE_OK); /* and has its reserve again */
}

static void nothing_told_is_lost_wherever_it_stops(void **state)
{
    uint64_t calls = requests_of_run();
    struct mu_rand rand;

    (void)state;
    mu_rand_seed(&rand, 3);
    assert_true(calls > 60);
    for (uint64_t at = 1; at <= calls; at++) {
        for (uint64_t sectors = 0; sectors <= 16; sectors += sectors < 4 ? 1 : 6) {
            struct rig *r = rig_new(0);
            struct told t = { 0 };

            r->disk->stop_at = at;
            r->disk->stop_sectors = sectors;
            scripted(r, &t);
            if (sectors % 2 == 0) {
                memory_crash(r->disk);
            } else {
                memory_power_cut(r->disk, &rand);
            }
            must_have(r, &t, at, sectors);
            rig_free(r);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_told_is_lost_wherever_it_stops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
