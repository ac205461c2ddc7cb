#include "timer.h"

#include <uv.h>

#include "base/assert.h"
#include "base/mem.h"

struct timers {
    uv_timer_t handle;
    struct timer **heap; /* binary heap by at_ms */
    size_t count, room;
    uint64_t armed_ms; /* what the handle is aimed at; 0: stopped */
    bool is_closing;
};

/* -- the heap ---------------------------------------------------------------------------------- */

static void put(struct timers *ts, size_t place, struct timer *t)
{
    ts->heap[place] = t;
    t->place = place;
}

static void sift_up(struct timers *ts, size_t place)
{
    struct timer *t = ts->heap[place];

    while (place > 0 && t->at_ms < ts->heap[(place - 1) / 2]->at_ms) {
        put(ts, place, ts->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    put(ts, place, t);
}

static void sift_down(struct timers *ts, size_t place)
{
    struct timer *t = ts->heap[place];

    for (;;) {
        size_t child = place * 2 + 1;

        if (child >= ts->count) {
            break;
        }
        if (child + 1 < ts->count && ts->heap[child + 1]->at_ms < ts->heap[child]->at_ms) {
            child++;
        }
        if (t->at_ms <= ts->heap[child]->at_ms) {
            break;
        }
        put(ts, place, ts->heap[child]);
        place = child;
    }
    put(ts, place, t);
}

static void heap_add(struct timers *ts, struct timer *t)
{
    if (ts->count == ts->room) {
        ts->room = ts->room > 0 ? ts->room * 2 : 16;
        ts->heap = mu_grow(ts->heap, ts->room * sizeof *ts->heap);
    }
    t->owner = ts;
    put(ts, ts->count++, t);
    sift_up(ts, t->place);
}

static void heap_remove(struct timers *ts, struct timer *t)
{
    size_t place = t->place;
    struct timer *last = ts->heap[--ts->count];

    t->owner = NULL;
    if (last == t) {
        return;
    }
    put(ts, place, last);
    sift_up(ts, place);
    sift_down(ts, last->place);
}

/* -- the handle -------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *handle);

static void aim(struct timers *ts)
{
    if (ts->count == 0) {
        (void)uv_timer_stop(&ts->handle);
        ts->armed_ms = 0;
        return;
    }
    uint64_t at_ms = ts->heap[0]->at_ms;

    if (ts->armed_ms == at_ms && uv_is_active((uv_handle_t *)&ts->handle)) {
        return;
    }
    uint64_t now_ms = timers_now(ts);

    ts->armed_ms = at_ms;
    MU_ASSERT(uv_timer_start(&ts->handle, on_timer, at_ms > now_ms ? at_ms - now_ms : 0, 0) == 0);
}

static void on_timer(uv_timer_t *handle)
{
    struct timers *ts = MU_CONTAINER(handle, struct timers, handle);
    uint64_t now_ms = timers_now(ts);

    ts->armed_ms = 0;
    /* What a timer sets anew for "now" waits for the next turn: this one stays bounded. */
    for (size_t left = ts->count; left > 0 && ts->count > 0; left--) {
        struct timer *t = ts->heap[0];

        if (t->at_ms > now_ms) {
            break;
        }
        heap_remove(ts, t);
        t->fire(t->data);
        if (ts->is_closing) {
            return;
        }
    }
    aim(ts);
}

struct timers *timers_new(struct uv_loop_s *loop)
{
    struct timers *ts = mu_new(sizeof *ts);

    MU_ASSERT(uv_timer_init(loop, &ts->handle) == 0);
    return ts;
}

static void on_timers_closed(uv_handle_t *handle)
{
    struct timers *ts = MU_CONTAINER((uv_timer_t *)handle, struct timers, handle);

    mu_free(ts->heap);
    mu_free(ts);
}

void timers_close(struct timers *ts)
{
    MU_ASSERT(!ts->is_closing);
    ts->is_closing = true;
    for (size_t i = 0; i < ts->count; i++) {
        ts->heap[i]->owner = NULL;
    }
    ts->count = 0;
    uv_close((uv_handle_t *)&ts->handle, on_timers_closed);
}

uint64_t timers_now(const struct timers *ts)
{
    return uv_now(ts->handle.loop);
}

void timer_set(struct timers *ts, struct timer *t, uint64_t after_ms, timer_fn *fire, void *data)
{
    if (ts->is_closing) {
        return; /* the agent stops: nothing is due any more */
    }
    timer_cancel(t);
    t->at_ms = timers_now(ts) + after_ms;
    t->fire = fire;
    t->data = data;
    heap_add(ts, t);
    aim(ts);
}

void timer_cancel(struct timer *t)
{
    if (t->owner != NULL) {
        struct timers *ts = t->owner;

        heap_remove(ts, t);
        aim(ts);
    }
}

bool timer_is_set(const struct timer *t)
{
    return t->owner != NULL;
}

/* -- turns ------------------------------------------------------------------------------------- */

struct turn {
    uv_prepare_t handle;
    timer_fn *ended;
    void *data;
    uint64_t began_ns, idle_ns; /* of the clock; of all waiting of the loop until then */
    struct mu_sample took;
};

/* The loop has waited once since the turn began, for what then woke it: that is not the turn's. */
static void measure(struct turn *t)
{
    uint64_t now_ns = uv_hrtime(), idle_ns = uv_metrics_idle_time(t->handle.loop);

    if (t->began_ns > 0) {
        uint64_t all_ns = now_ns - t->began_ns, waited_ns = idle_ns - t->idle_ns;

        mu_sample_add(&t->took, all_ns > waited_ns ? (double)(all_ns - waited_ns) / 1e6 : 0);
    }
    t->began_ns = now_ns;
    t->idle_ns = idle_ns;
}

static void on_turn(uv_prepare_t *handle)
{
    struct turn *t = MU_CONTAINER(handle, struct turn, handle);

    t->ended(t->data);
    measure(t);
}

struct turn *turn_new(struct uv_loop_s *loop, timer_fn *ended, void *data)
{
    struct turn *t = mu_new(sizeof *t);

    t->ended = ended;
    t->data = data;
    MU_ASSERT(uv_loop_configure(loop, UV_METRICS_IDLE_TIME) == 0);
    MU_ASSERT(uv_prepare_init(loop, &t->handle) == 0);
    MU_ASSERT(uv_prepare_start(&t->handle, on_turn) == 0);
    return t;
}

const struct mu_sample *turn_took(const struct turn *t)
{
    return &t->took;
}

static void on_turn_closed(uv_handle_t *handle)
{
    mu_free(MU_CONTAINER((uv_prepare_t *)handle, struct turn, handle));
}

void turn_close(struct turn *t)
{
    uv_close((uv_handle_t *)&t->handle, on_turn_closed);
}
