/* node_fixture.h - one server without a loop, its log on a disk in memory, on time of its own. The
 * steps of the log are taken in between, so that nothing depends on how fast a thread is.
 * Header-only. */
#ifndef TESTS_NODE_FIXTURE_H
#define TESTS_NODE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "log_thread.h"
#include "memory_disk.h"
#include "node.h"
#include "store_segment.h"
#include "transport_wire.h"

#define TURNS_MAX 200000

struct rig;
/* A message that the server sends; without it there is nobody. What it points to ends with the
 * call. */
typedef void net_fn(struct rig *r, const struct mu_id *peer, const struct consensus_frame *frame);

struct rig {
    struct memory_disk *disk;
    struct consensus_disk view;
    struct consensus_node node;
    struct consensus_log *log; /* until it is closed */
    bool is_woken;
    uint64_t now_ms;

    net_fn *net;
    void *net_data;

    uint64_t given, given_term;
    uint32_t level; /* of the configuration that was given last, as is: */
    uint64_t level_index;
    bool is_ready;
    unsigned dead_count, answers, read_only_count;
    char dead[MU_ERR_TEXT_MAX];
    enum mu_code last_code;
    uint64_t last_index;
};

static inline void on_wake(void *data)
{
    struct rig *r = data;

    r->is_woken = true;
}

static inline uint64_t log_now_ns(void *self)
{
    const struct rig *r = self;

    return r->now_ms * (uint64_t)MU_NS_PER_MS;
}

static inline void log_start(void *self, struct consensus_log *l)
{
    struct rig *r = self;

    r->log = l;
}

static inline void log_mail(void *self)
{
    (void)self;
}

static inline void log_step(struct rig *r)
{
    uint64_t nap;

    if (r->log != NULL && !consensus__log_step(r->log, &nap)) {
        r->log = NULL;
    }
}

static inline void log_join(void *self)
{
    struct rig *r = self;

    while (r->log != NULL) {
        log_step(r);
    }
}

static inline bool net_send(void *self, const struct mu_id *peer, enum consensus_channel channel,
                            struct mu_span message)
{
    struct rig *r = self;
    struct consensus_frame frame;
    struct mu_err err = MU_ERR_NONE;
    struct mu_arena arena;

    (void)channel;
    if (r->net == NULL) {
        return false; /* alone in the world */
    }
    mu_arena_init(&arena, CONSENSUS_WIRE_ARENA_MAX);
    if (consensus__wire_decode(message, &arena, &frame, &err) != MU_OK) {
        fail_msg("a message that nobody can read was sent: %s", err.text);
    }
    r->net(r, peer, &frame);
    mu_arena_deinit(&arena);
    return true;
}

static inline void net_peers(void *self, const struct mu_id *peers, size_t count)
{
    const struct rig *r = self;

    (void)peers;
    assert_true(count == 0 || r->net != NULL);
}

static const struct consensus_transport transport = { .send = net_send, .peers = net_peers };

static inline void on_apply(void *data, const struct consensus_entry_view *entries, size_t count)
{
    struct rig *r = data;

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(entries[i].index, r->given + 1);
        r->given = entries[i].index;
        r->given_term = entries[i].term;
        if (entries[i].level > 0) {
            assert_false(entries[i].is_command);
            r->level = entries[i].level;
            r->level_index = entries[i].index;
        }
    }
}

static inline void on_changed(void *data, const struct mu_id *leader, bool is_leader, bool is_ready)
{
    struct rig *r = data;

    (void)leader;
    r->is_ready = is_leader && is_ready;
}

static inline void on_formed(void *data, const struct mu_id *cluster)
{
    (void)data;
    assert_false(mu_id_is_none(cluster));
}

static inline void on_dead(void *data, const char *why)
{
    struct rig *r = data;

    r->dead_count++;
    (void)snprintf(r->dead, sizeof r->dead, "%s", why);
}

static inline void on_read_only(void *data, const char *why)
{
    struct rig *r = data;

    r->read_only_count++;
    assert_non_null(strstr(why, "read-only file system"));
}

static inline void on_answer(void *data, enum mu_code code, uint64_t index)
{
    struct rig *r = data;

    r->answers++;
    r->last_code = code;
    r->last_index = index;
}

/* What rig_open() opens with, for who wants some of it otherwise. */
static inline struct consensus_driver_options options_of(struct rig *r)
{
    return (struct consensus_driver_options){
        .server = { { 1 } },
        .dir = "/disk",
        .timing = CONSENSUS_FAST,
        .multiplier = 1,
        .expect = 1,
        .transport = &transport,
        .transport_self = r,
        .callbacks = { .apply = on_apply,
                       .changed = on_changed,
                       .formed = on_formed,
                       .dead = on_dead,
                       .read_only = on_read_only },
        .callbacks_data = r,
        .applied = r->given,
        .applied_term = r->given_term,
        .seed = 1,
    };
}

static inline enum mu_code rig_try(struct rig *r, struct memory_disk *disk,
                                   const struct consensus_driver_options *options,
                                   struct mu_err *err)
{
    struct consensus_store_options store_options = {
        .server = { { 1 } },
        .segment_bytes = 64 * 1024,
        .spares_count = 1,
        .wake = on_wake,
        .wake_data = r,
    };
    struct consensus_log_host host = { r, log_now_ns, log_start, log_mail, log_join };
    struct consensus_store store;

    mu_log_set_fd(-1);
    r->disk = disk;
    r->view = memory_disk_view(disk);
    r->now_ms = 1000;
    consensus__store_segment_on(&store, &store_options, &r->view, &host);
    return consensus__node_open(&r->node, options, &store, r->now_ms, err);
}

static inline void rig_start(struct rig *r, struct memory_disk *disk,
                             const struct consensus_driver_options *options)
{
    struct mu_err err = MU_ERR_NONE;

    if (rig_try(r, disk, options, &err) != MU_OK) {
        fail_msg("%s", err.text);
    }
    consensus__node_start(&r->node, r->now_ms);
}

static inline void rig_open(struct rig *r, struct memory_disk *disk)
{
    struct consensus_driver_options options = options_of(r);

    rig_start(r, disk, &options);
}

/* One turn, and one step of the log; then its news, or, when there are none, the next instant. */
static inline void step(struct rig *r)
{
    struct consensus_node *n = &r->node;

    if (consensus__node_has_work(n)) {
        consensus__node_turn(n, r->now_ms);
    }
    if (n->phase == CONSENSUS_NODE_RUNS && r->given > n->applied) {
        consensus__node_applied(n, r->given, 0);
        return;
    }
    log_step(r);
    if (r->is_woken) {
        r->is_woken = false;
        consensus__node_collect(n, r->now_ms);
    } else if (!consensus__node_has_work(n) && consensus__node_wake_at(n) != UINT64_MAX) {
        r->now_ms =
            consensus__node_wake_at(n) > r->now_ms ? consensus__node_wake_at(n) : r->now_ms + 1;
        consensus__node_wake(n, r->now_ms);
    } else {
        r->now_ms++;
    }
}

#define STEP_UNTIL(r, condition)                   \
    do {                                           \
        for (int turn = 0; !(condition); turn++) { \
            assert_true(turn < TURNS_MAX);         \
            step(r);                               \
        }                                          \
    } while (0)

typedef bool until_fn(const struct rig *r);

static inline void run_until(struct rig *r, until_fn *until)
{
    STEP_UNTIL(r, until(r));
}

static inline bool is_ready(const struct rig *r)
{
    return r->is_ready;
}

static inline bool is_answered(const struct rig *r)
{
    return r->answers > 0;
}

static inline bool is_dead(const struct rig *r)
{
    return r->dead_count > 0 && !consensus__node_has_work(&r->node);
}

static inline bool is_stopped(const struct rig *r)
{
    return r->node.phase == CONSENSUS_NODE_STOPPED;
}

static inline void ask(struct rig *r, size_t bytes)
{
    uint8_t *command = mu_new(bytes);

    r->answers = 0;
    (void)consensus__node_propose(&r->node, mu_span_of(command, bytes), false, on_answer, r);
    assert_int_equal(r->answers, 0);
    mu_free(command);
}

static inline void rig_close(struct rig *r)
{
    consensus__node_leave(&r->node, 0); /* alone: there is nobody to give leadership to */
    consensus__node_stop(&r->node);
    run_until(r, is_stopped);
    consensus__node_finish(&r->node);
    consensus__node_deinit(&r->node);
}

/* And its disk with it. */
static inline void rig_free(struct rig *r)
{
    rig_close(r);
    memory_disk_free(r->disk);
    mu_free(r);
}

static inline int quiet(void **state)
{
    (void)state;
    mu_log_set_level((enum mu_log_level)(MU_ERROR + 1));
    return 0;
}

static inline int loud(void **state)
{
    (void)state;
    mu_log_set_level(MU_DEBUG);
    return 0;
}

/* What is logged changes nothing. */
#define BOTH(name)                                     \
    cmocka_unit_test_setup_teardown(name, loud, loud), \
        cmocka_unit_test_setup_teardown(name, quiet, loud)

#endif
