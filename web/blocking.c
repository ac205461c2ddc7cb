/* Parked reads. A request that is parked sits on a watch and a deadline and costs nothing else. The
 * watch only queues it; it is evaluated at the end of the turn, a bounded number each, because one
 * write may wake ten thousand of them. Evaluating and parking again happen in one turn, so a change
 * in between cannot be missed (catalog/watch.h).
 */
#include "blocking.h"

#include "base/assert.h"
#include "base/limits.h"
#include "catalog/query.h"
#include "status.h"

/* So many pages of one answer may be missing from memory, one after the other. Whoever lacks more
 * has them taken away as fast as they come: better that all wait for it than that it never ends. */
#define FETCHES_MAX 200

static void on_ready(void *data, enum mu_code code, const struct agent_view *view,
                     const struct mu_err *err);

/* -- pending ----------------------------------------------------------------------------------- */

static void cancel_read(struct request *r)
{
    agent_read_cancel(r->agent_read);
    r->agent_read = NULL;
    r->pending = NULL;
    deadline_clear(&r->front->deadlines, &r->deadline);
}

/* Parked on a watch, or already fired and in the queue of the woken. */
static void unpark(struct request *r)
{
    catalog_watch_cancel(r->wait);
    r->wait = NULL;
    mu_list_remove(&r->link);
    r->front->parked_count--;
    r->is_held = false;
    r->pending = NULL;
}

static void cancel_wait(struct request *r)
{
    unpark(r);
    deadline_clear(&r->front->deadlines, &r->deadline);
}

static const struct request_pending pending_read = { "read", cancel_read };
static const struct request_pending pending_watch = { "watch", cancel_wait };

/* -- what an evaluation says ------------------------------------------------------------------- */

void blocking_topic(struct request *r, enum catalog_topic_kind kind, struct mu_span name)
{
    MU_ASSERT(r->topics_count < CATALOG_WAIT_TOPICS_MAX);
    r->topics[r->topics_count++] = (struct catalog_topic){ kind, name };
}

static bool parks_at(const struct request *r, uint64_t index)
{
    return r->read.index > 0 && index <= r->read.index && !r->is_last_look && !r->is_half_closed &&
           !r->front->is_stopping &&
           r->restores == agent_restores(r->front->agent); /* after one indexes may begin anew */
}

bool blocking_holds(struct request *r, uint64_t index)
{
    r->response.index = index > 0 ? index : 1;
    return parks_at(r, r->response.index);
}

/* -- park and wake ----------------------------------------------------------------------------- */

static void on_fire(void *data)
{
    struct request *r = data;

    r->wait = NULL; /* gone by firing */
    mu_list_remove(&r->link);
    mu_list_push_back(&r->front->woken, &r->link);
}

static void on_deadline(void *data)
{
    struct request *r = data;

    blocking_end(r);
}

uint64_t blocking_wait_ms(struct request *r)
{
    uint64_t ms = r->read.wait_ms;

    /* The clock counts whole milliseconds and the first may be all but over: one more. */
    return ms + 1 + mu_rand_below(agent_rand(r->front->agent), ms / 16 + 1);
}

static void fail(struct request *r, enum mu_code code, const struct mu_err *err)
{
    deadline_clear(&r->front->deadlines, &r->deadline);
    response_reset(r);
    answer_code(r, code, err);
}

static void park(struct request *r)
{
    struct front *f = r->front;

    if (f->parked_count >= MU_BLOCKING_MAX) {
        fail(r, MU_BUSY, NULL);
        return;
    }
    MU_ASSERT(r->topics_count > 0);
    response_reset(r);
    f->parked_count++;
    r->is_held = true;
    r->pending = &pending_watch;
    r->wait = catalog_watch_add(agent_watch(f->agent), r->topics, r->topics_count, on_fire, r);
    mu_list_push_back(&f->parked, &r->link);
    if (!deadline_is_set(&r->deadline)) {
        deadline_set(&f->deadlines, &r->deadline, agent_now_ms(f->agent) + blocking_wait_ms(r),
                     on_deadline, r);
    }
}

/* -- evaluate ---------------------------------------------------------------------------------- */

static const char *consistency_text(const struct request *r)
{
    switch (r->read.mode) {
    case AGENT_STALE: return "stale";
    case AGENT_CONSISTENT: return "consistent";
    case AGENT_DEFAULT: return "leader";
    }
    MU_UNREACHABLE_CODE();
}

static void finish(struct request *r, const struct agent_view *view)
{
    struct response *p = &r->response;

    deadline_clear(&r->front->deadlines, &r->deadline);
    p->has_meta = true;
    p->known_leader = view->known_leader;
    p->last_contact_ms = view->last_contact_ms;
    if ((r->route->traits & ROUTE_DISCOVERS) != 0) {
        p->consistency = consistency_text(r);
    }
    if (p->status == 0) {
        p->status = 200;
    }
    request_answer(r);
}

/* Something is on the disk only: it comes back when that is in memory. */
static void fetch(struct request *r, const struct catalog_miss *miss)
{
    r->fetches_count++;
    mu_arena_reset(&r->front->scratch);
    response_reset(r);
    r->pending = &pending_read;
    r->agent_read = agent_fetch(r->front->agent, miss, on_ready, r);
}

/* The request's own part of it, without waiting for the disk. False: not now. */
static bool look(struct request *r, const struct agent_view *view, enum mu_code *rc,
                 struct mu_err *err)
{
    struct catalog_miss miss;

    response_reset(r);
    r->topics_count = 0;
    if (r->fetches_count >= FETCHES_MAX) {
        *rc = r->evaluate(r, view, err);
        return true;
    }
    catalog_prompt_begin();
    *rc = r->evaluate(r, view, err);
    if (catalog_prompt_end(&miss)) {
        fetch(r, &miss);
        return false;
    }
    return true;
}

static void evaluate(struct request *r, const struct agent_view *view)
{
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc;

    if (!look(r, view, &rc, &err)) {
        return;
    }
    if (rc != MU_OK) {
        mu_arena_reset(&r->front->scratch);
        fail(r, rc, &err);
        return;
    }
    bool is_parked = parks_at(r, r->response.index);

    if (is_parked) {
        park(r); /* copies the topics, whose names may lie in the scratch arena */
    }
    mu_arena_reset(&r->front->scratch);
    if (!is_parked) {
        finish(r, view);
    }
}

static void ask(struct request *r, enum agent_consistency mode)
{
    r->pending = &pending_read;
    r->agent_read = agent_read(r->front->agent, mode, on_ready, r);
}

/* The local state serves this read, unless it is older than the client allows: then the leader is
 * asked, once. */
static void look_locally(struct request *r)
{
    struct agent_view view = agent_view_now(r->front->agent);
    bool is_too_old =
        !view.has_state || (r->read.has_max_stale && view.last_contact_ms > r->read.max_stale_ms);

    if (is_too_old && !r->was_fresh) {
        r->was_fresh = true;
        ask(r, AGENT_DEFAULT);
        return;
    }
    evaluate(r, &view);
}

/* Answers of this turn are to be sent first. */
static void wait_turn(struct request *r)
{
    struct front *f = r->front;

    f->parked_count++;
    r->pending = &pending_watch;
    mu_list_push_back(&f->woken, &r->link);
}

static void on_ready(void *data, enum mu_code code, const struct agent_view *view,
                     const struct mu_err *err)
{
    struct request *r = data;

    r->agent_read = NULL;
    r->pending = NULL;
    if (code != MU_OK) {
        fail(r, code, err);
        return;
    }
    if (r->front->pool.turn_bytes >= MU_HTTP_TURN_BYTES) {
        wait_turn(r);
        return;
    }
    evaluate(r, view);
}

void blocking_read(struct request *r, request_read_fn *fn)
{
    bool is_cached = r->read.is_cached && !r->read.must_revalidate;

    r->evaluate = fn;
    r->restores = agent_restores(r->front->agent);
    bool is_local = r->read.mode == AGENT_STALE || is_cached;

    if (is_local && !agent_view_now(r->front->agent).is_behind) {
        look_locally(r);
    } else {
        ask(r, r->read.mode);
    }
}

void blocking_look(struct request *r)
{
    unpark(r);
    if (r->read.mode == AGENT_CONSISTENT && !r->is_last_look) {
        ask(r, AGENT_CONSISTENT); /* leadership is verified each time, http-api 1.7 */
        return;
    }
    look_locally(r);
}

void blocking_end(struct request *r)
{
    r->is_last_look = true;
    if (r->pending == &pending_watch) {
        blocking_look(r);
    } /* else its read comes back and finds that this was the last look */
}
