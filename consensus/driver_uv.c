/* driver_uv.c - gives node.c a loop: one timer, the store's wake-up, and a turn in each iteration.
 *
 *   iteration of the loop:  timers | prepare: turn | poll: sockets, the store's bell | ...
 *
 * What callers want while sockets and timers are served is noted and done in the next prepare,
 * before the loop may sleep; an idle handle keeps it from sleeping while something is noted. The
 * same handle keeps it awake while what writes wait for is about to come (vigil.h).
 *
 * After a pause (SIGSTOP, a frozen machine) timers run before sockets are read. A timer that is
 * late by more than pause_ms therefore lets one poll without waiting pass first: what arrived
 * meanwhile is heard before silence is believed (spec/consensus.md 2.17).
 */
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>
#include <uv.h>

#include "ballast.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "node.h"
#include "proto/bell.h"
#include "vigil.h"

#define DEV_SEGMENT_BYTES (1024U * 1024)
#define DEV_BALLAST_BYTES (1024U * 1024)
#define MAGIC             0x636f6e73U

struct consensus_driver {
    uint32_t magic;
    struct uv_loop_s *loop;
    struct consensus_node node;
    char *dir;

    uv_timer_t timer;
    struct mu_bell *bell; /* the store has something to say */
    uv_prepare_t prepare; /* turns */
    uv_idle_t idle;       /* active: something is noted, or about to come: do not sleep */
    uv_check_t check;     /* active: a late timer waits for one poll */
    unsigned handles_open;
    struct consensus_vigil vigil;
    uint64_t aimed_ms;        /* of the timer; UINT64_MAX: it is not running */
    atomic_bool is_listening; /* the bell may be rung */

    bool is_started, wants_stop, is_leaving, is_stopping;
    consensus_stopped_fn *stopped;
    void *stopped_data;
};

/* The one place where a handle's data becomes a driver. */
static struct consensus_driver *driver_of(void *data)
{
    struct consensus_driver *d = data;

    MU_ASSERT(d != NULL && d->magic == MAGIC);
    return d;
}

static void on_timer(uv_timer_t *timer);

/* -- after every call into the node -------------------------------------------------------- */

static void timer_aim(struct consensus_driver *d)
{
    uint64_t at = consensus__node_wake_at(&d->node);
    uint64_t now = mu_clock_ms();

    if (at == d->aimed_ms) {
        return;
    }
    d->aimed_ms = at;
    if (at == UINT64_MAX) {
        (void)uv_timer_stop(&d->timer);
        return;
    }
    uv_update_time(d->loop); /* the timer counts from the loop's own time */
    (void)uv_timer_start(&d->timer, on_timer, at > now ? at - now : 0, 0);
}

/* It is told, and what it has to do before is done: or not begun. */
static bool must_stop(const struct consensus_driver *d)
{
    return d->wants_stop && !d->is_stopping &&
           (!d->is_leaving || consensus__node_has_left(&d->node));
}

static bool must_turn(const struct consensus_driver *d)
{
    return consensus__node_has_work(&d->node) || must_stop(d) ||
           uv_is_active((const uv_handle_t *)&d->check);
}

/* While this handle is active the poll does not wait. For what is about to come the loop turns on,
 * after whoever else wants this processor. */
static void on_idle(uv_idle_t *handle)
{
    struct consensus_driver *d = driver_of(handle->data);

    if (must_turn(d)) {
        return;
    }
    uint64_t now_ns = mu_clock_ns();

    if (now_ns < d->vigil.until_ns) {
        (void)sched_yield();
        uint64_t then_ns = mu_clock_ns();

        consensus__vigil_yielded(&d->vigil, then_ns, then_ns - now_ns);
    } else {
        (void)uv_idle_stop(&d->idle);
    }
}

static void settle(struct consensus_driver *d)
{
    uint64_t now_ns = mu_clock_ns();
    uint64_t mark = 0;

    if (d->node.phase == CONSENSUS_NODE_STOPPED) {
        return; /* the handles are going */
    }
    timer_aim(d);
    bool is_awaited = consensus__node_awaits(&d->node, &mark);

    consensus__vigil_look(&d->vigil, now_ns, mark, is_awaited);
    if (must_turn(d) || now_ns < d->vigil.until_ns) {
        (void)uv_idle_start(&d->idle, on_idle);
    } else {
        (void)uv_idle_stop(&d->idle);
    }
}

/* -- stop ---------------------------------------------------------------------------------- */

static void on_closed(void *data)
{
    struct consensus_driver *d = driver_of(data);

    MU_ASSERT(d->handles_open > 0);
    if (--d->handles_open == 0) {
        consensus__node_finish(&d->node); /* whoever asked until now is answered before */
        d->stopped(d->stopped_data);
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    on_closed(handle->data);
}

static void handles_close(struct consensus_driver *d)
{
    uv_handle_t *handles[] = { (uv_handle_t *)&d->timer, (uv_handle_t *)&d->prepare,
                               (uv_handle_t *)&d->idle, (uv_handle_t *)&d->check };

    mu_bell_close(d->bell, on_closed, d);
    for (size_t i = 0; i < MU_LEN(handles); i++) {
        uv_close(handles[i], on_handle_closed);
    }
}

/* The log thread has said its last word: nobody rings the bell any more once it is gone. */
static void stop_finish(struct consensus_driver *d)
{
    consensus__node_finish(&d->node);
    handles_close(d);
}

/* -- the loop's calls ---------------------------------------------------------------------- */

static void wake(struct consensus_driver *d)
{
    d->aimed_ms = UINT64_MAX;
    consensus__node_wake(&d->node, mu_clock_ms());
    settle(d);
}

static void on_check(uv_check_t *check)
{
    struct consensus_driver *d = driver_of(check->data);

    (void)uv_check_stop(check);
    wake(d);
}

static void on_timer(uv_timer_t *timer)
{
    struct consensus_driver *d = driver_of(timer->data);

    if (mu_clock_ms() > d->aimed_ms + consensus__node_pause_ms(&d->node)) {
        (void)uv_check_start(&d->check, on_check);
        (void)uv_idle_start(&d->idle, on_idle);
        return;
    }
    wake(d);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct consensus_driver *d = driver_of(prepare->data);

    if (uv_is_active((uv_handle_t *)&d->check)) {
        return; /* sockets first */
    }
    if (d->wants_stop && !d->is_leaving) {
        d->is_leaving = true;
        consensus__node_leave(&d->node, mu_clock_ms());
    }
    if (must_stop(d)) {
        d->is_stopping = true;
        consensus__node_stop(&d->node);
    }
    if (consensus__node_has_work(&d->node)) {
        consensus__node_turn(&d->node, mu_clock_ms());
    }
    settle(d);
}

static void on_bell(void *data)
{
    struct consensus_driver *d = driver_of(data);

    if (d->node.phase == CONSENSUS_NODE_STOPPED) {
        return; /* sent before the log thread ended, delivered after */
    }
    consensus__node_collect(&d->node, mu_clock_ms());
    settle(d);
    if (d->node.phase == CONSENSUS_NODE_STOPPED) {
        stop_finish(d);
    }
}

/* Any thread. Before start nobody listens; start collects what was missed. */
static void on_store_wake(void *data)
{
    struct consensus_driver *d = driver_of(data);

    if (atomic_load(&d->is_listening)) {
        mu_bell_ring(d->bell);
    }
}

/* -- life ---------------------------------------------------------------------------------- */

enum mu_code consensus_driver_new(struct consensus_driver **out, struct uv_loop_s *loop,
                                  const struct consensus_driver_options *options,
                                  struct mu_err *err)
{
    struct consensus_driver *d = mu_new(sizeof *d);
    struct consensus_driver_options own = *options;
    bool is_small = options->timing == CONSENSUS_FAST;
    struct consensus_store store;

    d->magic = MAGIC;
    d->loop = loop;
    d->dir = mu_strdup(options->dir);
    d->vigil.limit_ns = (uint64_t)options->poll_us * 1000;
    d->aimed_ms = UINT64_MAX;
    own.dir = d->dir;
    struct consensus_store_options store_options = {
        .dir = options->dir,
        .server = options->server,
        .applied_index = options->applied,
        .applied_term = options->applied_term,
        .segment_bytes =
            options->segment_bytes == 0 && is_small ? DEV_SEGMENT_BYTES : options->segment_bytes,
        .spares_count = options->spares_count == 0 && is_small ? 1 : options->spares_count,
        .ballast_bytes = options->ballast_bytes != 0 ? options->ballast_bytes
                         : is_small                  ? DEV_BALLAST_BYTES
                                                     : CONSENSUS_BALLAST_BY_SPACE,
        .wake = on_store_wake,
        .wake_data = d,
    };

    consensus_store_segment_new(&store, &store_options);
    enum mu_code rc = consensus__node_open(&d->node, &own, &store, mu_clock_ms(), err);

    if (rc != MU_OK) {
        consensus_driver_free(d);
        return rc;
    }
    *out = d;
    return MU_OK;
}

void consensus_driver_start(struct consensus_driver *d)
{
    MU_ASSERT(!d->is_started);
    d->is_started = true;
    (void)uv_timer_init(d->loop, &d->timer);
    d->bell = mu_bell_new(d->loop, on_bell, d);
    (void)uv_prepare_init(d->loop, &d->prepare);
    (void)uv_idle_init(d->loop, &d->idle);
    (void)uv_check_init(d->loop, &d->check);
    d->timer.data = d->prepare.data = d->idle.data = d->check.data = d;
    d->handles_open = 5;
    (void)uv_prepare_start(&d->prepare, on_prepare);
    atomic_store(&d->is_listening, true);
    mu_bell_ring(d->bell);
    consensus__node_start(&d->node, mu_clock_ms());
    settle(d);
}

void consensus_driver_stop(struct consensus_driver *d, consensus_stopped_fn *stopped, void *data)
{
    MU_ASSERT(d->is_started && !d->wants_stop);
    d->wants_stop = true;
    d->stopped = stopped;
    d->stopped_data = data;
    settle(d);
}

void consensus_driver_free(struct consensus_driver *d)
{
    if (d == NULL) {
        return;
    }
    MU_ASSERT(!d->is_started || (d->is_stopping && d->handles_open == 0));
    consensus__node_deinit(&d->node);
    d->magic = 0;
    mu_free(d->dir);
    mu_free(d);
}

struct consensus_identity consensus_driver_identity(const struct consensus_driver *d)
{
    return d->node.identity;
}

/* -- work ---------------------------------------------------------------------------------- */

uint64_t consensus_driver_propose(struct consensus_driver *d, struct mu_span command,
                                  bool is_awaited, consensus_proposed_fn *done, void *data)
{
    uint64_t ticket = consensus__node_propose(&d->node, command, is_awaited, done, data);

    settle(d);
    return ticket;
}

bool consensus_driver_lacks_state(const struct consensus_driver *d)
{
    return d->node.lacks_state;
}

uint64_t consensus_driver_damage(const struct consensus_driver *d, const char **what)
{
    *what = d->node.opened.damage;
    return d->node.opened.damaged_segment;
}

bool consensus_driver_takes_next(const struct consensus_driver *d)
{
    return d->node.takes_next;
}

void consensus_driver_snapshot(struct consensus_driver *d, enum consensus_snap_event what,
                               const struct consensus_snap *snap, uint64_t offset,
                               enum consensus_snap_fault fault)
{
    consensus__node_snapshot(&d->node, what, snap, offset, fault);
    settle(d);
}

void consensus_driver_chunk(struct consensus_driver *d, const struct consensus_snap *snap,
                            uint64_t offset, struct mu_span data)
{
    consensus__node_chunk(&d->node, snap, offset, data);
    settle(d);
}

void consensus_driver_read(struct consensus_driver *d, consensus_read_fn *done, void *data)
{
    consensus__node_read(&d->node, done, data);
    settle(d);
}

void consensus_driver_change(struct consensus_driver *d, const struct consensus_change *change,
                             consensus_wished_fn *done, void *data)
{
    consensus__node_change(&d->node, change, done, data);
    settle(d);
}

void consensus_driver_transfer(struct consensus_driver *d, const struct mu_id *target,
                               consensus_wished_fn *done, void *data)
{
    consensus__node_transfer(&d->node, target, done, data);
    settle(d);
}

void consensus_driver_applied(struct consensus_driver *d, uint64_t index, uint64_t durable_index,
                              const struct consensus_sum *sums, size_t sums_count)
{
    if (d->is_stopping) {
        return;
    }
    consensus__node_applied(&d->node, index, durable_index);
    for (size_t i = 0; i < sums_count; i++) {
        consensus__node_sum(&d->node, &sums[i]);
    }
    settle(d);
}

void consensus_driver_weigh(struct consensus_driver *d, uint64_t state_bytes)
{
    consensus__node_weigh(&d->node, state_bytes);
}

void consensus_driver_relieve(struct consensus_driver *d)
{
    if (d->is_stopping) {
        return;
    }
    consensus__node_relieve(&d->node);
    settle(d);
}

void consensus_driver_survey(struct consensus_driver *d)
{
    if (!d->is_stopping) {
        consensus__node_survey(&d->node);
    }
}

void consensus_driver_shed(struct consensus_driver *d, uint64_t segment)
{
    if (!d->is_stopping) {
        consensus__node_shed(&d->node, segment);
    }
}

bool consensus_driver_relieve_closed(const char *dir)
{
    char path[4096];

    return snprintf(path, sizeof path, "%s/" CONSENSUS_BALLAST_NAME, dir) < (int)sizeof path &&
           unlink(path) == 0;
}

/* -- peers --------------------------------------------------------------------------------- */

void consensus_driver_receive(struct consensus_driver *d, const struct mu_id *from,
                              const struct mu_id *from_disk, struct mu_span message)
{
    if (d->is_stopping) {
        return;
    }
    consensus__node_receive(&d->node, mu_clock_ms(), from, from_disk, message);
    settle(d);
}

void consensus_driver_peer(struct consensus_driver *d, const struct mu_id *peer, bool is_up)
{
    if (d->is_stopping) {
        return;
    }
    consensus__node_peer(&d->node, mu_clock_ms(), peer,
                         is_up ? CONSENSUS_LINK_UP : CONSENSUS_LINK_DOWN);
    settle(d);
}

void consensus_driver_candidates(struct consensus_driver *d,
                                 const struct consensus_candidate *candidates, size_t count)
{
    if (d->is_stopping) {
        return;
    }
    consensus__node_candidates(&d->node, candidates, count);
    settle(d);
}

/* -- what can be seen ---------------------------------------------------------------------- */

void consensus_driver_status(const struct consensus_driver *d, struct consensus_status *out)
{
    consensus__node_status(&d->node, out);
}

void consensus_driver_entries(const struct consensus_driver *d, uint64_t *bytes, uint64_t *most)
{
    *bytes = d->node.pool.bytes;
    *most = d->node.pool.most;
}

const char *consensus_driver_waits(const struct consensus_driver *d)
{
    return d->node.waits;
}

uint32_t consensus_driver_heartbeat_ms(const struct consensus_driver *d)
{
    struct consensus_options options;

    consensus_options_init(&options, d->node.options.timing, d->node.options.multiplier);
    return options.heartbeat_ms;
}

bool consensus_driver_is_voter(const struct consensus_driver *d, const struct mu_id *server)
{
    return consensus__node_is_voter(&d->node, server);
}

void consensus_driver_config(const struct consensus_driver *d, struct consensus_config *out)
{
    consensus__node_config(&d->node, out);
}
