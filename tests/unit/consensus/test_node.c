/* test_node.c - one server without a loop, its log on a disk that fails or fills. */
#include "node_fixture.h"

/* -- the tests ------------------------------------------------------------------------------- */

static void a_lone_server_commits_and_finds_it_again(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct rig *r = mu_new(sizeof *r);

    (void)state;
    rig_open(r, d);
    run_until(r, is_ready);
    for (int i = 0; i < 50; i++) {
        ask(r, 100);
        run_until(r, is_answered);
        assert_int_equal(r->last_code, MU_OK);
    }
    uint64_t last = r->last_index;

    rig_close(r);
    memory_crash(d);
    memset(r, 0, sizeof *r); /* the state is gone: everything comes back from the log */
    rig_open(r, d);
    run_until(r, is_ready);
    STEP_UNTIL(r, r->given >= last);
    rig_free(r);
}

/* With the entries comes what their configurations allow, from memory and from the log. */
static void the_level_comes_with_its_entry(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct rig *r = mu_new(sizeof *r);
    struct consensus_driver_options options = options_of(r);

    (void)state;
    rig_open(r, d);
    run_until(r, is_ready);
    STEP_UNTIL(r, r->level > 0);
    assert_int_equal(r->level, CONSENSUS_LEVEL_FIRST);
    uint64_t first = r->level_index;

    for (unsigned boot = 0; boot < 2; boot++) { /* the first of them raises it, alone as it is */
        uint64_t risen = boot == 0 ? 0 : r->level_index;

        rig_close(r);
        memory_crash(d);
        memset(r, 0, sizeof *r);
        options.level_max = 3;
        rig_start(r, d, &options);
        STEP_UNTIL(r, r->level == 3);
        assert_true(risen == 0 ? r->level_index > first : r->level_index == risen);
    }
    rig_free(r);
}

/* Whole when the log was opened, and not when the state wants it: nothing is made up. */
static void entries_that_cannot_be_read_back_end_the_server(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct rig *r = mu_new(sizeof *r);

    (void)state;
    rig_open(r, d);
    run_until(r, is_ready);
    for (int i = 0; i < 5; i++) {
        ask(r, 100);
        run_until(r, is_answered);
    }
    rig_close(r);
    memory_crash(d);
    memset(r, 0, sizeof *r); /* the state is gone */
    rig_open(r, d);
    memory_bytes(d, "log-0000000000000001.seg")->data[2 * 4096 + 60] ^= 1;
    run_until(r, is_dead);
    assert_int_equal(r->dead_count, 1);
    assert_non_null(strstr(r->dead, "cannot be read back"));
    assert_true(r->given < 5);
    rig_free(r);
}

static void a_failed_flush_ends_the_server_once_with_the_reason(void **state)
{
    (void)state;
    for (uint64_t at = 3; at < 40; at += 3) {
        struct memory_disk *d = memory_disk_new();
        struct rig *r = mu_new(sizeof *r);

        d->fail_sync_at = at + 5; /* behind those of open */
        rig_open(r, d);
        bool has_asked = false;

        for (int i = 0; r->dead_count == 0; i++) {
            assert_true(i < TURNS_MAX);
            if (r->is_ready && (!has_asked || r->answers > 0)) {
                ask(r, 10);
                has_asked = true;
            }
            step(r);
        }
        run_until(r, is_dead);
        assert_int_equal(r->dead_count, 1);
        assert_non_null(strstr(r->dead, "flush: input/output error"));
        ask(r, 10); /* and what is asked of it afterwards is answered, too */
        run_until(r, is_answered);
        assert_int_equal(r->last_code, MU_NOT_LEADER);
        rig_close(r);
        assert_int_equal(r->dead_count, 1);
        assert_int_equal(d->syncs_after_failure, 0);
        mu_free(r);
        memory_disk_free(d);
    }
}

static void a_full_disk_refuses_clients_by_name(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct rig *r = mu_new(sizeof *r);

    (void)state;
    d->capacity = 8192 + 2 * 64 * 1024; /* one segment and a spare */
    rig_open(r, d);
    run_until(r, is_ready);
    for (int i = 0; r->last_code == MU_OK; i++) {
        assert_true(i < 1000);
        ask(r, 3000);
        run_until(r, is_answered);
    }
    assert_int_equal(r->last_code, MU_FULL);
    assert_int_equal(r->dead_count, 0);
    consensus__node_relieve(&r->node); /* nobody waits for an answer */
    consensus__node_survey(&r->node);
    d->capacity = 0; /* and there is room again */
    for (int i = 0; r->last_code != MU_OK; i++) {
        assert_true(i < 1000);
        ask(r, 3000);
        run_until(r, is_answered);
    }
    rig_free(r);
}

/* Whichever call meets it first, however far it came: nobody dies, what is proposed from then on is
 * refused, reads go on, and all that was acknowledged is there when the log is opened again. */
static void a_read_only_file_system_refuses_and_is_survived(void **state)
{
    unsigned led = 0; /* how often it had the office by then */

    (void)state;
    for (uint64_t at = 30; at < 120; at += 7) {
        struct memory_disk *d = memory_disk_new();
        struct rig *r = mu_new(sizeof *r);
        uint64_t last = 0;
        bool has_asked = false;

        d->stop_at = at; /* behind those of open */
        d->is_read_only = true;
        rig_open(r, d);
        for (int i = 0; r->read_only_count == 0; i++) {
            assert_true(i < TURNS_MAX);
            if (r->is_ready && (!has_asked || r->answers > 0)) {
                ask(r, 3000);
                has_asked = true;
            }
            step(r);
            last = r->answers > 0 && r->last_code == MU_OK ? r->last_index : last;
        }
        if (r->is_ready) {
            led++;
            ask(r, 10);
            run_until(r, is_answered);
            assert_int_equal(r->last_code, MU_READ_ONLY);
            r->answers = 0;
            consensus__node_read(&r->node, on_answer, r);
            run_until(r, is_answered);
            assert_int_equal(r->last_code, MU_OK);
            assert_true(r->last_index >= last);
        }
        assert_int_equal(r->dead_count, 0);
        assert_int_equal(r->read_only_count, 1);
        rig_close(r);
        memory_crash(d);
        memset(r, 0, sizeof *r);
        rig_open(r, d);
        run_until(r, is_ready);
        STEP_UNTIL(r, r->given >= last);
        rig_free(r);
    }
    assert_true(led > 5); /* refusals were seen, not only the way there */
}

static void on_refused(void *data, const char *why)
{
    struct rig *r = data;

    r->read_only_count++;
    assert_non_null(strstr(why, "request"));
}

/* Also when what meets it is the opening of a file that is to be read: that says nothing of what is
 * in it. */
static void entries_that_must_not_be_opened_are_not_damaged(void **state)
{
    struct memory_disk *d = memory_disk_new();
    struct rig *r = mu_new(sizeof *r);
    unsigned unread = 0; /* how often its state was not there again by then */

    (void)state;
    rig_open(r, d);
    run_until(r, is_ready);
    for (int i = 0; i < 5; i++) {
        ask(r, 100);
        run_until(r, is_answered);
    }
    uint64_t last = r->last_index;

    rig_close(r);
    for (uint64_t at = 1; at < 20; at++) {
        struct memory_disk *copy = memory_disk_copy(d);
        struct consensus_driver_options options;

        memory_crash(copy);
        memset(r, 0, sizeof *r); /* the state is gone */
        options = options_of(r);
        options.callbacks.read_only = on_refused;
        rig_start(r, copy, &options);
        copy->requests = 0;
        copy->fail_at = at;
        copy->fail_code = MU_READ_ONLY;
        STEP_UNTIL(r, r->read_only_count > 0 || r->dead_count > 0);
        for (int i = 0; i < 100; i++) {
            step(r);
        }
        unread += r->is_ready && r->given < last;
        assert_int_equal(r->dead_count, 0);
        rig_close(r);
        memory_disk_free(copy);
    }
    assert_true(unread > 0);
    memory_disk_free(d);
    mu_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_lone_server_commits_and_finds_it_again),
        BOTH(the_level_comes_with_its_entry),
        BOTH(entries_that_cannot_be_read_back_end_the_server),
        BOTH(a_failed_flush_ends_the_server_once_with_the_reason),
        BOTH(a_full_disk_refuses_clients_by_name),
        BOTH(a_read_only_file_system_refuses_and_is_survived),
        BOTH(entries_that_must_not_be_opened_are_not_damaged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
