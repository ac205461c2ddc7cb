/* test_node.c - one server without a loop, its log on a disk that fails or fills. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "base/log.h"
#include "memory_disk.h"
#include "node.h"
#include "store_segment.h"

#define TURNS_MAX 200000

struct rig {
    struct memory_disk *disk;
    struct consensus_disk view;
    struct consensus_node node;
    pthread_mutex_t lock;
    pthread_cond_t news;
    bool is_woken;
    uint64_t now_ms;

    uint64_t given, given_term;
    bool is_ready;
    unsigned dead_count, answers, read_only_count;
    char dead[MU_ERR_TEXT_MAX];
    enum mu_code last_code;
    uint64_t last_index;
};

static void on_wake(void *data)
{
    struct rig *r = data;

    (void)pthread_mutex_lock(&r->lock);
    r->is_woken = true;
    (void)pthread_cond_signal(&r->news);
    (void)pthread_mutex_unlock(&r->lock);
}

static bool net_send(void *self, const struct mu_id *peer, enum consensus_channel channel,
                     struct mu_span message)
{
    (void)self;
    (void)peer;
    (void)channel;
    (void)message;
    return false; /* alone in the world */
}

static void net_peers(void *self, const struct mu_id *peers, size_t count)
{
    (void)self;
    (void)peers;
    assert_int_equal(count, 0);
}

static const struct consensus_transport transport = { .send = net_send, .peers = net_peers };

static void on_apply(void *data, const struct consensus_entry_view *entries, size_t count)
{
    struct rig *r = data;

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(entries[i].index, r->given + 1);
        r->given = entries[i].index;
        r->given_term = entries[i].term;
    }
}

static void on_changed(void *data, const struct mu_id *leader, bool is_leader, bool is_ready)
{
    struct rig *r = data;

    (void)leader;
    r->is_ready = is_leader && is_ready;
}

static void on_formed(void *data, const struct mu_id *cluster)
{
    (void)data;
    assert_false(mu_id_is_none(cluster));
}

static void on_dead(void *data, const char *why)
{
    struct rig *r = data;

    r->dead_count++;
    (void)snprintf(r->dead, sizeof r->dead, "%s", why);
}

static void on_read_only(void *data, const char *why)
{
    struct rig *r = data;

    r->read_only_count++;
    assert_non_null(strstr(why, "read-only file system"));
}

static void on_answer(void *data, enum mu_code code, uint64_t index)
{
    struct rig *r = data;

    r->answers++;
    r->last_code = code;
    r->last_index = index;
}

static void rig_open(struct rig *r, struct memory_disk *disk)
{
    struct consensus_store_options store_options = {
        .server = { { 1 } },
        .segment_bytes = 64 * 1024,
        .spares_count = 1,
        .wake = on_wake,
        .wake_data = r,
    };
    struct consensus_driver_options options = {
        .server = { { 1 } },
        .dir = "/disk",
        .timing = CONSENSUS_FAST,
        .multiplier = 1,
        .expect = 1,
        .transport = &transport,
        .callbacks = { .apply = on_apply,
                       .changed = on_changed,
                       .formed = on_formed,
                       .dead = on_dead,
                       .read_only = on_read_only },
        .callbacks_data = r,
        .applied = r->given,
        .applied_term = r->given_term,
    };
    struct mu_err err = MU_ERR_NONE;
    struct consensus_store store;

    mu_log_set_fd(-1);
    r->disk = disk;
    r->view = memory_disk_view(disk);
    r->now_ms = 1000;
    (void)pthread_mutex_init(&r->lock, NULL);
    (void)pthread_cond_init(&r->news, NULL);
    consensus__store_segment_on(&store, &store_options, &r->view, NULL);
    if (consensus__node_open(&r->node, &options, &store, r->now_ms, &err) != MU_OK) {
        fail_msg("%s", err.text);
    }
    consensus__node_start(&r->node, r->now_ms);
}

/* One turn; then the store's news, or, when nothing of it is awaited, the next instant. */
static void step(struct rig *r)
{
    struct consensus_node *n = &r->node;

    if (consensus__node_has_work(n)) {
        consensus__node_turn(n, r->now_ms);
    }
    if (n->phase == CONSENSUS_NODE_RUNS && r->given > n->applied) {
        consensus__node_applied(n, r->given, 0);
        return;
    }
    bool awaits_store =
        n->phase == CONSENSUS_NODE_STOPPING ||
        (n->phase != CONSENSUS_NODE_DEAD && !n->is_read_only && !mu_list_empty(&n->flights));

    (void)pthread_mutex_lock(&r->lock);
    while (awaits_store && !r->is_woken) {
        (void)pthread_cond_wait(&r->news, &r->lock);
    }
    bool is_woken = r->is_woken;

    r->is_woken = false;
    (void)pthread_mutex_unlock(&r->lock);
    if (is_woken) {
        consensus__node_collect(n, r->now_ms);
    } else if (!consensus__node_has_work(n) && consensus__node_wake_at(n) != UINT64_MAX) {
        r->now_ms =
            consensus__node_wake_at(n) > r->now_ms ? consensus__node_wake_at(n) : r->now_ms + 1;
        consensus__node_wake(n, r->now_ms);
    }
}

typedef bool until_fn(const struct rig *r);

static void run_until(struct rig *r, until_fn *until)
{
    for (int i = 0; !until(r); i++) {
        assert_true(i < TURNS_MAX);
        step(r);
    }
}

static bool is_ready(const struct rig *r)
{
    return r->is_ready;
}

static bool is_answered(const struct rig *r)
{
    return r->answers > 0;
}

static bool is_dead(const struct rig *r)
{
    return r->dead_count > 0 && !consensus__node_has_work(&r->node);
}

static bool is_stopped(const struct rig *r)
{
    return r->node.phase == CONSENSUS_NODE_STOPPED;
}

static void ask(struct rig *r, size_t bytes)
{
    uint8_t *command = mu_new(bytes);

    r->answers = 0;
    (void)consensus__node_propose(&r->node, mu_span_of(command, bytes), false, on_answer, r);
    assert_int_equal(r->answers, 0);
    mu_free(command);
}

static void rig_close(struct rig *r)
{
    consensus__node_leave(&r->node, 0); /* alone: there is nobody to give leadership to */
    consensus__node_stop(&r->node);
    run_until(r, is_stopped);
    consensus__node_finish(&r->node);
    consensus__node_deinit(&r->node);
    (void)pthread_cond_destroy(&r->news);
    (void)pthread_mutex_destroy(&r->lock);
}

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
    while (r->given < last) {
        step(r);
    }
    rig_close(r);
    mu_free(r);
    memory_disk_free(d);
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
    rig_close(r);
    mu_free(r);
    memory_disk_free(d);
}

/* Whichever call meets it first, however far it came: nobody dies, what is proposed from then on is
 * refused, reads go on, and all that was acknowledged is there when the log is opened again. */
static void a_read_only_file_system_refuses_and_is_survived(void **state)
{
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
        d->stop_at = 0;
        memset(r, 0, sizeof *r);
        rig_open(r, d);
        run_until(r, is_ready);
        for (int i = 0; r->given < last; i++) {
            assert_true(i < TURNS_MAX);
            step(r);
        }
        rig_close(r);
        mu_free(r);
        memory_disk_free(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lone_server_commits_and_finds_it_again),
        cmocka_unit_test(a_failed_flush_ends_the_server_once_with_the_reason),
        cmocka_unit_test(a_full_disk_refuses_clients_by_name),
        cmocka_unit_test(a_read_only_file_system_refuses_and_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
