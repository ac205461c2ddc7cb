/* What a caller may ask of a server, how much of it at once, and when it is too late. */
#include "node_fixture.h"

#include "base/assert.h"
#include "base/limits.h"

static struct mu_id id_of(uint8_t n)
{
    return (struct mu_id){ { n } };
}

/* -- many at once -------------------------------------------------------------------------- */

struct many {
    unsigned by_code[32];
    unsigned count;
};

static void on_one(void *data, enum mu_code code, uint64_t index)
{
    struct many *m = data;

    (void)index;
    m->by_code[code]++;
    m->count++;
}

/* More than one event carries, and more bytes: all are committed, in order (the rig looks). */
static void any_number_and_size_fits_one_turn(void **state)
{
    static const struct {
        size_t count, bytes;
    } cases[] = { { 3000, 10 }, { 4, 600 * 1024 }, { 3, MU_COMMAND_BYTES_MAX } };

    (void)state;
    for (size_t c = 0; c < MU_LEN(cases); c++) {
        struct memory_disk *d = memory_disk_new();
        struct rig *r = mu_new(sizeof *r);
        uint8_t *command = mu_new(cases[c].bytes);
        struct many m = { .count = 0 };

        rig_open(r, d);
        run_until(r, is_ready);
        for (size_t i = 0; i < cases[c].count; i++) {
            (void)consensus__node_propose(&r->node, mu_span_of(command, cases[c].bytes), false,
                                          on_one, &m);
        }
        STEP_UNTIL(r, m.count >= cases[c].count);
        assert_int_equal(m.by_code[MU_OK], cases[c].count);
        for (int i = 0; i < 200; i++) {
            consensus__node_read(&r->node, on_one, &m);
        }
        STEP_UNTIL(r, m.count >= cases[c].count + 200);
        assert_int_equal(m.by_code[MU_OK], cases[c].count + 200);
        rig_free(r);
        mu_free(command);
    }
}

static bool is_quiet(struct rig *r)
{
    uint64_t mark = 0;

    return !consensus__node_awaits(&r->node, &mark);
}

/* From the proposal to its answer; what comes meanwhile shows in the mark. */
static void a_write_is_awaited_until_it_is_answered(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct rig *r = mu_new(sizeof *r);
    uint8_t command[10] = { 0 };
    struct many m = { .count = 0 };
    uint64_t mark = 0;
    uint64_t before = 0;

    (void)state;
    rig_open(r, d);
    run_until(r, is_ready);
    STEP_UNTIL(r, is_quiet(r));
    (void)consensus__node_awaits(&r->node, &before);
    for (unsigned i = 1; i <= 3; i++) {
        (void)consensus__node_propose(&r->node, mu_span_of(command, sizeof command), false, on_one,
                                      &m);
        assert_true(consensus__node_awaits(&r->node, &mark));
        assert_true(mark > before);
        before = mark;
        STEP_UNTIL(r, m.count >= i);
        STEP_UNTIL(r, is_quiet(r));
        (void)consensus__node_awaits(&r->node, &mark);
        assert_true(mark > before);
        before = mark;
    }
    rig_free(r);
}

/* -- asked from inside an answer ------------------------------------------------------------- */

struct again {
    struct rig *r;
    unsigned left, answers;
    enum mu_code last;
};

static void on_again(void *data, enum mu_code code, uint64_t index)
{
    struct again *a = data;

    (void)index;
    a->answers++;
    a->last = code;
    if (a->left > 0) {
        a->left--;
        consensus__node_read(&a->r->node, on_again, a);
    }
}

static void a_read_from_inside_an_answer_waits_for_the_next_turn(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct rig *r = mu_new(sizeof *r);
    struct again a = { .r = r, .left = 5 };
    uint8_t command[10] = { 0 };

    (void)state;
    rig_open(r, d);
    run_until(r, is_ready);
    consensus__node_read(&r->node, on_again, &a);
    (void)consensus__node_propose(&r->node, mu_span_of(command, sizeof command), true, on_again,
                                  &a);
    STEP_UNTIL(r, a.answers >= 7);
    assert_int_equal(a.last, MU_OK);
    rig_free(r);
}

static void on_surveyed(void *data, const struct consensus_survey *survey)
{
    struct rig *r = data;

    (void)survey;
    consensus__node_read(&r->node, on_answer, r);
}

/* Also one that comes with what the store was not to wake for: the turn has looked at its clock. */
static void a_read_from_inside_news_waits_for_the_next_turn(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct rig *r = mu_new(sizeof *r);
    struct consensus_driver_options options = options_of(r);

    (void)state;
    options.callbacks.surveyed = on_surveyed;
    rig_start(r, d, &options);
    run_until(r, is_ready);
    consensus__node_survey(&r->node);
    log_step(r);
    r->answers = 0;
    r->node.is_hushed = true;
    consensus__node_turn(&r->node, r->now_ms);
    assert_int_equal(r->node.reads_count, 1);
    assert_int_equal(r->answers, 0);
    consensus__node_turn(&r->node, r->now_ms);
    assert_int_equal(r->answers, 1);
    assert_int_equal(r->last_code, MU_OK);
    rig_free(r);
}

static void each_question_to_a_dead_server_is_answered_once(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct rig *r = mu_new(sizeof *r);
    struct again a = { .r = r, .left = 20 };

    (void)state;
    rig_open(r, d);
    run_until(r, is_ready);
    d->fail_sync_at = d->syncs + 1;
    ask(r, 10);
    run_until(r, is_dead);
    consensus__node_read(&r->node, on_again, &a);
    for (int i = 0; a.answers < 21; i++) {
        assert_true(i < TURNS_MAX);
        consensus__node_turn(&r->node, r->now_ms);
    }
    consensus__node_turn(&r->node, r->now_ms);
    assert_int_equal(a.answers, 21);
    assert_int_equal(a.last, MU_NOT_LEADER);
    consensus__node_relieve(&r->node); /* of no effect any more */
    consensus__node_survey(&r->node);
    consensus__node_shed(&r->node, 1);
    assert_true(consensus__node_wake_at(&r->node) == UINT64_MAX);
    rig_free(r);
}

/* -- wishes -------------------------------------------------------------------------------- */

struct wished {
    unsigned answers;
    enum mu_code code;
    char why[128];
};

static void on_wished(void *data, enum mu_code code, const char *why, uint64_t index)
{
    struct wished *w = data;

    (void)index;
    w->answers++;
    w->code = code;
    (void)snprintf(w->why, sizeof w->why, "%s", why);
}

static struct wished change(struct rig *r, enum consensus_change_kind kind, uint8_t server,
                            uint8_t disk, uint8_t by)
{
    struct consensus_change what = { .kind = kind, .server = id_of(server), .is_forced = true };
    struct wished w = { .answers = 0 };

    what.disk = disk != 0 ? id_of(disk) : MU_ID_NONE;
    what.by = by != 0 ? id_of(by) : MU_ID_NONE;
    consensus__node_change(&r->node, &what, on_wished, &w);
    STEP_UNTIL(r, w.answers > 0);
    assert_int_equal(w.answers, 1);
    return w;
}

static void net_swallow(struct rig *r, const struct mu_id *peer,
                        const struct consensus_frame *frame)
{
    (void)r;
    (void)peer;
    (void)frame;
}

/* Each refusal has a code that a caller can act on, and a sentence. In this order. */
static void a_wish_is_granted_or_refused_by_name(void **state)
{
    static const struct {
        const char *why;
        enum consensus_change_kind kind;
        uint8_t server, disk, by;
        enum mu_code code;
    } cases[] = {
        // clang-format off
        { "the last voter stays a voter",       CONSENSUS_DEMOTE,  1, 0,  0, MU_CONFLICT },
        { "and is not removed",                 CONSENSUS_REMOVE,  1, 0,  0, MU_CONFLICT },
        { "nobody knows it",                    CONSENSUS_PROMOTE, 2, 0,  0, MU_NOT_FOUND },
        { "it is there already",                CONSENSUS_ADD,     1, 50, 0, MU_EXISTS },
        { "a learner",                          CONSENSUS_ADD,     2, 22, 0, MU_OK },
        { "twice",                              CONSENSUS_ADD,     2, 22, 0, MU_EXISTS },
        { "another disk of it is meant",        CONSENSUS_REMOVE,  2, 23, 0, MU_NOT_FOUND },
        { "it is a voter already",              CONSENSUS_PROMOTE, 1, 0,  0, MU_CONFLICT },
        { "nobody replaces it",                 CONSENSUS_REPLACE, 1, 0,  5, MU_NOT_FOUND },
        { "a learner is no voter to replace",   CONSENSUS_REPLACE, 2, 0,  1, MU_CONFLICT },
        { "it goes",                            CONSENSUS_REMOVE,  2, 22, 0, MU_OK },
        { "and its disk never comes back",      CONSENSUS_ADD,     2, 22, 0, MU_DENIED },
        { "with a new one it may",              CONSENSUS_ADD,     2, 24, 0, MU_OK },
    }; // clang-format on
    struct memory_disk *d = memory_disk_new();
    struct rig *r = mu_new(sizeof *r);
    struct consensus_config config;
    struct mu_id own = id_of(1), other = id_of(2);

    (void)state;
    r->net = net_swallow;
    rig_open(r, d);
    run_until(r, is_ready);
    for (size_t i = 0; i < MU_LEN(cases); i++) {
        struct wished w = change(r, cases[i].kind, cases[i].server, cases[i].disk, cases[i].by);

        if (w.code != cases[i].code || w.why[0] == '\0') {
            fail_msg("%s: %s, '%s'", cases[i].why, mu_code_text(w.code), w.why);
        }
    }
    consensus__node_config(&r->node, &config);
    assert_int_equal(config.servers_count, 2);
    assert_true(consensus__node_is_voter(&r->node, &own));
    assert_false(consensus__node_is_voter(&r->node, &other));
    rig_free(r);
}

static void of_two_changes_at_once_one_waits(void **state)
{
    struct consensus_change what[2] = {
        { .kind = CONSENSUS_ADD, .server = id_of(2), .disk = id_of(22), .is_forced = true },
        { .kind = CONSENSUS_ADD, .server = id_of(3), .disk = id_of(23), .is_forced = true },
    };
    struct memory_disk *d = memory_disk_new();
    struct rig *r = mu_new(sizeof *r);
    struct wished w[3] = { { .answers = 0 } };
    struct mu_id nobody = id_of(7);

    (void)state;
    r->net = net_swallow;
    rig_open(r, d);
    run_until(r, is_ready);
    consensus__node_change(&r->node, &what[0], on_wished, &w[0]);
    consensus__node_change(&r->node, &what[1], on_wished, &w[1]);
    consensus__node_transfer(&r->node, &nobody, on_wished, &w[2]);
    STEP_UNTIL(r, w[0].answers + w[1].answers + w[2].answers >= 3);
    assert_int_equal(w[0].code, MU_OK);
    assert_int_equal(w[1].code, MU_BUSY);
    assert_int_equal(w[2].code, MU_NOT_FOUND);
    rig_free(r);
}

/* -- a full disk --------------------------------------------------------------------------- */

static bool is_large(void *data, struct mu_span command)
{
    (void)data;
    return command.bytes >= 1000;
}

static unsigned relieved_count;

static void on_relieved(void *data)
{
    (void)data;
    relieved_count++;
}

/* Until the log says something. */
static void news_await(struct rig *r)
{
    for (int i = 0; !r->is_woken; i++) {
        assert_true(i < TURNS_MAX);
        log_step(r);
    }
    r->is_woken = false;
    consensus__node_collect(&r->node, r->now_ms);
}

/* Also in one turn with what is refused. */
static void what_frees_space_is_taken_by_a_full_disk(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct rig *r = mu_new(sizeof *r);
    struct consensus_driver_options options = options_of(r);
    struct many small = { .count = 0 }, large = { .count = 0 };
    uint8_t command[1000] = { 0 };

    (void)state;
    options.callbacks.is_relief = is_large;
    options.callbacks.relieved = on_relieved;
    relieved_count = 0;
    rig_start(r, d, &options);
    run_until(r, is_ready);
    consensus__node_relieve(&r->node); /* the state says that it finds no space */
    for (int i = 0; r->node.health != CONSENSUS_STORE_FULL || relieved_count == 0; i++) {
        assert_true(i < TURNS_MAX);
        news_await(r);
    }
    assert_int_equal(relieved_count, 1);
    for (int i = 0; i < 6; i++) {
        bool frees = i % 2 == 0;

        (void)consensus__node_propose(&r->node, mu_span_of(command, frees ? 1000 : 10), false,
                                      on_one, frees ? &large : &small);
    }
    STEP_UNTIL(r, small.count + large.count >= 6);
    assert_int_equal(small.by_code[MU_FULL], 3);
    assert_int_equal(large.by_code[MU_OK], 3);
    rig_free(r);
}

/* -- snapshots and sums ---------------------------------------------------------------------- */

/* The newest ones count. */
static void sums_that_nobody_took_give_way(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct rig *r = mu_new(sizeof *r);

    (void)state;
    rig_open(r, d);
    run_until(r, is_ready);
    for (uint64_t i = 1; i <= CONSENSUS_NODE_SUMS_MAX + 3; i++) {
        struct consensus_sum sum = { .index = i };

        consensus__node_sum(&r->node, &sum);
    }
    assert_int_equal(r->node.sums_count, CONSENSUS_NODE_SUMS_MAX);
    assert_int_equal(r->node.sums[0].index, 4);
    r->node.sums_count = 0; /* they are of entries that are not there */
    rig_free(r);
}

struct chunk_sent {
    unsigned count;
    uint64_t offset;
};

static void net_count(struct rig *r, const struct mu_id *peer, const struct consensus_frame *frame)
{
    struct chunk_sent *sent = r->net_data;

    (void)peer;
    if (!frame->is_bootstrap && frame->msg.kind == CONSENSUS_SNAP_CHUNK) {
        sent->count++;
        sent->offset = frame->msg.snapshot.offset;
    }
}

static struct consensus_msg chunk_at(uint64_t offset)
{
    struct consensus_msg m = { .kind = CONSENSUS_SNAP_CHUNK,
                               .from = id_of(1),
                               .from_disk = id_of(11),
                               .to = id_of(2),
                               .cluster = id_of(9),
                               .term = 1 };

    m.snapshot.session = 1;
    m.snapshot.snap = (struct consensus_snap){ .index = 5, .term = 1, .bytes = 1000 };
    m.snapshot.offset = offset;
    m.snapshot.bytes = 10;
    return m;
}

/* Chunks wait for their bytes, so many of them; what comes of others, or too little, is nothing. */
static void a_chunk_goes_out_with_its_bytes_or_not_at_all(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct rig *r = mu_new(sizeof *r);
    struct chunk_sent sent = { .count = 0 };
    static const uint8_t bytes[10] = "snapshots";

    (void)state;
    r->net = net_count;
    r->net_data = &sent;
    rig_open(r, d);
    run_until(r, is_ready);
    for (uint64_t i = 0; i < CONSENSUS_CHUNKS_WAITING + 2; i++) {
        struct consensus_msg m = chunk_at(10 * i);

        consensus__node_chunk_ask(&r->node, &m);
    }
    assert_int_equal(r->node.chunks_count, CONSENSUS_CHUNKS_WAITING);
    struct consensus_snap snap = chunk_at(0).snapshot.snap, other = snap;

    other.index++;
    consensus__node_chunk(&r->node, &other, 0, mu_span_of(bytes, 10));
    consensus__node_chunk(&r->node, &snap, 5, mu_span_of(bytes, 10));
    assert_int_equal(sent.count, 0);
    assert_int_equal(r->node.chunks_count, CONSENSUS_CHUNKS_WAITING);
    consensus__node_chunk(&r->node, &snap, 30, MU_SPAN_NONE); /* they cannot be read */
    assert_int_equal(sent.count, 0);
    assert_int_equal(r->node.chunks_count, CONSENSUS_CHUNKS_WAITING - 1);
    consensus__node_chunk(&r->node, &snap, 20, mu_span_of(bytes, 10));
    assert_int_equal(sent.count, 1);
    assert_int_equal(sent.offset, 20);
    consensus__node_leave(&r->node, r->now_ms);
    consensus__node_stop(&r->node);
    consensus__node_chunk(&r->node, &snap, 40, mu_span_of(bytes, 10)); /* too late */
    assert_int_equal(sent.count, 1);
    run_until(r, is_stopped);
    consensus__node_finish(&r->node);
    consensus__node_deinit(&r->node);
    mu_free(r);
    memory_disk_free(d);
}

/* Without anybody who makes or takes snapshots, orders fail at once; answers that nobody hears any
 * more are given back. */
static void orders_to_nobody_fail(void **state)
{
    static const enum consensus_snap_order_kind orders[] = { CONSENSUS_SNAP_EXPORT,
                                                             CONSENSUS_SNAP_OPEN,
                                                             CONSENSUS_SNAP_CLOSE };
    struct memory_disk *d = memory_disk_new();
    struct rig *r = mu_new(sizeof *r);

    (void)state;
    rig_open(r, d);
    run_until(r, is_ready);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < MU_LEN(orders); i++) {
            struct consensus_snap_order order = { .kind = orders[i] };
            struct consensus_effects fx = { .snaps = &order, .snaps_count = 1 };

            consensus__node_orders(&r->node, &fx);
            if (round == 0) { /* else they lie there when it stops */
                assert_int_equal(mu_list_empty(&r->node.noted), orders[i] == CONSENSUS_SNAP_CLOSE);
                consensus__node_turn(&r->node, r->now_ms);
                assert_true(mu_list_empty(&r->node.noted));
            }
        }
    }
    assert_int_equal(r->dead_count, 0);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_and_size_fits_one_turn),
        cmocka_unit_test(a_write_is_awaited_until_it_is_answered),
        cmocka_unit_test(a_read_from_inside_an_answer_waits_for_the_next_turn),
        cmocka_unit_test(a_read_from_inside_news_waits_for_the_next_turn),
        cmocka_unit_test(each_question_to_a_dead_server_is_answered_once),
        cmocka_unit_test(a_wish_is_granted_or_refused_by_name),
        cmocka_unit_test(of_two_changes_at_once_one_waits),
        cmocka_unit_test(what_frees_space_is_taken_by_a_full_disk),
        cmocka_unit_test(sums_that_nobody_took_give_way),
        cmocka_unit_test(a_chunk_goes_out_with_its_bytes_or_not_at_all),
        cmocka_unit_test(orders_to_nobody_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
