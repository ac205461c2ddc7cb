/* handlers.c - scripts that run when something happens (serf-surface 6).
 *
 *   gossip ---> coalescer ---> the queue of each handler that is concerned ---> its script
 *                                FIFO, HANDLER_QUEUE_MAX                          one at a time
 *
 * Each handler runs its scripts one after the other, so their order is that of the events; handlers
 * run beside each other, HANDLERS_RUNNING_MAX at most of those that began within a second. One that
 * takes longer gives its place away, or as many as that which hang would keep all others from
 * running. Nobody waits for a script: one that hangs is killed when event_handler_timeout is over,
 * meanwhile its queue fills, and what comes after that is dropped and counted.
 */
#include <string.h>

#include "agent/process.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "coalesce.h"
#include "core.h"
#include "handler_rule.h"
#include "tally.h"

#define HANDLER_QUEUE_MAX    1024 /* serf-surface 6.2 */
#define HANDLERS_RUNNING_MAX 16   /* a burst of events may not take the whole machine */
#define HANDLERS_SLOW_MAX    256  /* of those that gave their place away: then they keep it */
#define HANDLER_OUTPUT_BYTES 8192 /* serf-surface 6.2; and what a log line takes of it */
#define HANDLER_SLOW_MS      1000

struct queued {
    struct mu_link place;
    struct handler_event *event;
};

struct handler {
    struct handlers *all;
    char *text; /* as the configuration has it */
    struct handler_rule rule;
    struct mu_arena arena;  /* of the rule */
    struct mu_link retired; /* its place there, once it is */
    bool is_retired;        /* not of the configuration any more: ends with its script */
    struct mu_link queue;
    size_t queue_count;
    uint64_t dropped; /* since the queue was full */
    struct process *process;
    struct handler_event *current;
    struct timer slow;
    uint64_t began_ms;
    bool has_place; /* counts among those that run */
    bool is_slow;   /* this run */
    /* Said, and the runs since were no better. */
    bool said_slow, said_killed, said_left;
};

struct handlers {
    struct agent *agent;
    struct coalescer *coalescer;
    struct timer flush;
    struct handler **items;
    size_t count;
    struct mu_link retired; /* those whose scripts still run */
    size_t running, slow;   /* scripts; those that gave their place away */
    size_t next;            /* whose turn it is */
    struct agent__handler_counts counts;
    /* The agent leaves: this is called when all have run, or when the time for it is over. */
    void (*settled)(void *data);
    void *settled_data;
    struct timer patience;
};

static void pump(struct handlers *h);
static void settle_look(struct handlers *h);
static void handler_free(struct handler *one);

/* -- one script -------------------------------------------------------------------------------- */

static void on_slow(void *data)
{
    struct handler *one = data;
    struct handlers *h = one->all;

    one->is_slow = true;
    h->counts.slow++;
    if (!one->said_slow) {
        mu_logf(MU_WARN, "agent", "Script '%s' slow, execution exceeding 1s", one->rule.script);
    }
    if (h->slow < HANDLERS_SLOW_MAX) {
        one->has_place = false;
        h->running--;
        h->slow++;
        pump(h);
    }
}

static void respond(struct handler *one, const struct process_result *result)
{
    const struct handler_event *e = one->current;
    struct mu_err err = MU_ERR_NONE;

    if (strcmp(e->type, HANDLER_QUERY) != 0 || result->code != MU_OK || result->status != 0 ||
        result->output.bytes == 0) {
        return;
    }
    if (gossip_driver_respond(one->all->agent->gossip, e->ltime, e->query_id, result->output,
                              &err) != MU_OK) {
        mu_logf(MU_WARN, "agent", "Failed to respond to query 'query: %s': %s", e->name, err.text);
    }
}

/* What a handler does run after run is said the first time, and again once a run was better. */
static void judge(struct handler *one, const struct process_result *result)
{
    struct agent__handler_counts *counts = &one->all->counts;
    bool has_failed = result->code != MU_OK || result->status != 0;

    counts->runs++;
    counts->failed += has_failed;
    counts->killed += result->is_timed_out;
    counts->left += result->left_others;
    if (result->is_timed_out && !one->said_killed) {
        mu_logf(MU_ERROR, "agent", "Script '%s' did not end in time and was killed",
                one->rule.script);
    } else if (has_failed && !result->is_timed_out) {
        mu_logf(MU_ERROR, "agent", "Error invoking script '%s': %s", one->rule.script, result->why);
    }
    if (result->left_others && !one->said_left) {
        mu_logf(MU_WARN, "agent",
                "Script '%s' left processes that held its output: it is closed, and those of its "
                "process group are killed",
                one->rule.script);
    }
    one->said_slow = one->is_slow;
    one->said_killed = result->is_timed_out;
    one->said_left = result->left_others;
}

static void on_done(void *data, const struct process_result *result)
{
    struct handler *one = data;
    struct handlers *h = one->all;

    one->process = NULL;
    h->running -= one->has_place;
    h->slow -= !one->has_place;
    tally_add(&h->agent->metrics.scripts, "agent.invoke.", one->rule.script,
              (double)(timers_now(h->agent->timers) - one->began_ms));
    timer_cancel(&one->slow);
    mu_logf(MU_DEBUG, "agent", "Event '%s' script output: %.*s", one->current->type,
            MU_SPAN_FMT(mu_span_sub(result->output, 0, HANDLER_OUTPUT_BYTES)));
    judge(one, result);
    respond(one, result);
    handler_event_release(one->current);
    one->current = NULL;
    if (one->is_retired) {
        mu_list_remove(&one->retired);
        handler_free(one);
    }
    pump(h);
    settle_look(h);
}

/* One byte more than may be answered, so that a larger output is refused, not cut. */
static size_t output_bytes_max(const struct handler_event *e)
{
    return e->answer_bytes_max < HANDLER_OUTPUT_BYTES ? HANDLER_OUTPUT_BYTES
                                                      : e->answer_bytes_max + 1;
}

static void run(struct handler *one)
{
    const char *const argv[] = { "/bin/sh", "-c", one->rule.script, NULL };
    struct agent *a = one->all->agent;
    struct gossip_view self = { .tags = { NULL, 0 } };
    struct mu_buf input = MU_BUF_NONE;
    struct mu_arena arena;
    struct mu_pairs env;

    (void)gossip_driver_find(a->gossip, a->config->node_name, &self);
    mu_arena_init(&arena, 0);
    env = handler_event_variables(one->current, a->config->node_name, &self.tags, &arena);
    handler_event_input(one->current, &input);
    one->process =
        process_start(a->loop, &(struct process_options){
                                   .argv = argv,
                                   .env = &env,
                                   .input = mu_buf_span(&input),
                                   .output_bytes_max = output_bytes_max(one->current),
                                   .timeout_ms = (uint64_t)a->config->event_handler_timeout_ms,
                                   .done = on_done,
                                   .data = one,
                               });
    one->began_ms = timers_now(a->timers);
    one->has_place = true;
    one->is_slow = false;
    one->all->running++;
    timer_set(a->timers, &one->slow, HANDLER_SLOW_MS, on_slow, one);
    mu_buf_deinit(&input);
    mu_arena_deinit(&arena);
}

/* -- queues ------------------------------------------------------------------------------------ */

static struct handler_event *queue_take(struct handler *one)
{
    struct mu_link *first = mu_list_pop_front(&one->queue);

    MU_ASSERT(first != NULL);
    struct queued *q = MU_CONTAINER(first, struct queued, place);
    struct handler_event *event = q->event;

    one->queue_count--;
    mu_free(q);
    if (one->queue_count == 0 && one->dropped > 0) {
        mu_log(MU_WARN, "agent", "A handler has caught up with its events",
               mu_kv("script", one->rule.script), mu_kv_u("dropped", one->dropped));
        one->dropped = 0;
    }
    return event;
}

/* Everybody in turn, or the first handlers could keep the last from running. */
static void pump(struct handlers *h)
{
    for (size_t i = 0; i < h->count && h->running < HANDLERS_RUNNING_MAX; i++) {
        struct handler *one = h->items[(h->next + i) % h->count];

        if (one->process == NULL && one->queue_count > 0) {
            one->current = queue_take(one);
            run(one);
        }
    }
    h->next = h->count > 0 ? (h->next + 1) % h->count : 0;
}

static void queue_add(struct handler *one, struct handler_event *event)
{
    if (one->queue_count == HANDLER_QUEUE_MAX) {
        one->all->counts.dropped++;
        if (one->dropped++ == 0) {
            mu_log(MU_WARN, "agent", "Dropping events of a handler that does not keep up",
                   mu_kv("script", one->rule.script));
        }
        return;
    }
    struct queued *q = mu_new(sizeof *q);

    handler_event_hold(event);
    q->event = event;
    mu_list_push_back(&one->queue, &q->place);
    one->queue_count++;
}

/* The event is given. */
static void dispatch(void *data, struct handler_event *event)
{
    struct handlers *h = data;

    for (size_t i = 0; i < h->count; i++) {
        size_t times = handler_rule_matches(&h->items[i]->rule, event->type, event->name);

        for (size_t k = 0; k < times; k++) {
            queue_add(h->items[i], event);
        }
    }
    handler_event_release(event);
    pump(h);
}

/* -- what happens ------------------------------------------------------------------------------ */

static void on_flush(void *data);

static void flush_aim(struct handlers *h)
{
    uint64_t due = coalescer_due(h->coalescer);
    uint64_t now = timers_now(h->agent->timers);

    if (due > 0) {
        timer_set(h->agent->timers, &h->flush, due > now ? due - now : 0, on_flush, h);
    }
}

static void on_flush(void *data)
{
    struct handlers *h = data;

    coalescer_flush(h->coalescer, timers_now(h->agent->timers), dispatch, h);
    flush_aim(h);
}

void agent__handlers_notice(struct agent *a, const struct gossip_notice *notice)
{
    const char *type = handler_event_type(notice->kind);

    if (a->handlers != NULL && type != NULL) {
        coalescer_member(a->handlers->coalescer, timers_now(a->timers), type, &notice->member);
        flush_aim(a->handlers);
    }
}

void agent__handlers_event(struct agent *a, const struct gossip_user_event *event)
{
    if (a->handlers == NULL) {
        return;
    }
    if (event->coalesce) {
        coalescer_user(a->handlers->coalescer, timers_now(a->timers), event);
        flush_aim(a->handlers);
    } else {
        dispatch(a->handlers, handler_event_of_user(event));
    }
}

void agent__handlers_query(struct agent *a, const struct gossip_query *query)
{
    if (a->handlers != NULL) {
        dispatch(a->handlers, handler_event_of_query(query));
    }
}

void agent__handlers_count(const struct agent *a, struct agent__handler_counts *out)
{
    *out = a->handlers != NULL ? a->handlers->counts : (struct agent__handler_counts){ .runs = 0 };
}

void agent__each_handler(const struct agent *a, agent__handler_fn *each, void *data)
{
    for (size_t i = 0; a->handlers != NULL && i < a->handlers->count; i++) {
        const struct handler_rule *rule = &a->handlers->items[i]->rule;

        for (size_t k = 0; k < rule->count; k++) {
            each(data, rule->filters[k].type, rule->filters[k].name, rule->script);
        }
    }
}

/* -- leaving ----------------------------------------------------------------------------------- */

static bool has_work(const struct handlers *h)
{
    for (size_t i = 0; i < h->count; i++) {
        if (h->items[i]->process != NULL || h->items[i]->queue_count > 0) {
            return true;
        }
    }
    return false;
}

static void settle_end(struct handlers *h)
{
    void (*settled)(void *data) = h->settled;

    h->settled = NULL;
    timer_cancel(&h->patience);
    settled(h->settled_data);
}

static void settle_look(struct handlers *h)
{
    if (h->settled != NULL && !has_work(h)) {
        settle_end(h);
    }
}

static void on_patience(void *data)
{
    struct handlers *h = data;

    for (size_t i = 0; i < h->count; i++) {
        if (h->items[i]->process != NULL) {
            mu_logf(MU_WARN, "agent", "Script '%s' still runs while the agent ends: killed",
                    h->items[i]->rule.script);
        }
    }
    settle_end(h);
}

void agent__handlers_settle(struct agent *a, uint64_t ms, void (*done)(void *data), void *data)
{
    struct handlers *h = a->handlers;

    if (h == NULL) {
        done(data);
        return;
    }
    timer_cancel(&h->flush);
    coalescer_flush_all(h->coalescer, dispatch, h);
    h->settled = done;
    h->settled_data = data;
    timer_set(a->timers, &h->patience, ms, on_patience, h);
    settle_look(h);
}

/* -- life -------------------------------------------------------------------------------------- */

static struct handler *handler_new(struct handlers *h, const char *text)
{
    struct handler *one = mu_new(sizeof *one);
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc;

    one->all = h;
    one->text = mu_strdup(text);
    mu_arena_init(&one->arena, 0);
    mu_list_init(&one->queue);
    rc = handler_rule_parse(&one->rule, one->text, &one->arena, &err);
    MU_ASSERT(rc == MU_OK); /* the configuration was checked */
    return one;
}

/* Its script has ended, or was killed. */
static void handler_free(struct handler *one)
{
    MU_ASSERT(one->process == NULL && one->queue_count == 0);
    timer_cancel(&one->slow);
    mu_arena_deinit(&one->arena);
    mu_free(one->text);
    mu_free(one);
}

static void queue_drop(struct handler *one)
{
    while (one->queue_count > 0) {
        one->dropped = 0;
        handler_event_release(queue_take(one));
    }
}

static void handler_kill(struct handler *one)
{
    if (one->process != NULL) {
        process_cancel(one->process);
        one->process = NULL;
        handler_event_release(one->current);
    }
    queue_drop(one);
    handler_free(one);
}

/* What it was to do is dropped; a script that runs goes on, it may be what asked for the reload. */
static void handler_retire(struct handlers *h, struct handler *one)
{
    queue_drop(one);
    if (one->process == NULL) {
        handler_free(one);
        return;
    }
    one->is_retired = true;
    mu_list_push_back(&h->retired, &one->retired);
}

static struct handler *take_same(struct handler **items, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++) {
        if (items[i] != NULL && strcmp(items[i]->text, text) == 0) {
            struct handler *one = items[i];

            items[i] = NULL;
            return one;
        }
    }
    return NULL;
}

void agent__handlers_open(struct agent *a)
{
    struct handlers *h;

    if (a->config->event_handlers_count == 0) {
        return;
    }
    h = mu_new(sizeof *h);
    h->agent = a;
    h->coalescer = coalescer_new();
    mu_list_init(&h->retired);
    a->handlers = h;
    agent__handlers_reload(a);
}

/* A handler that is still there keeps its queue and its script. */
void agent__handlers_reload(struct agent *a)
{
    struct handlers *h = a->handlers;

    if (h == NULL) {
        agent__handlers_open(a);
        return;
    }
    struct handler **before = h->items;
    size_t before_count = h->count;

    coalescer_damp(h->coalescer, a->config->event_handler_damping);

    h->count = a->config->event_handlers_count;
    h->items = mu_new_array(h->count, sizeof(struct handler *));
    h->next = 0;
    for (size_t i = 0; i < h->count; i++) {
        const char *text = a->config->event_handlers[i];
        struct handler *same = take_same(before, before_count, text);

        h->items[i] = same != NULL ? same : handler_new(h, text);
    }
    for (size_t i = 0; i < before_count; i++) {
        if (before[i] != NULL) {
            handler_retire(h, before[i]);
        }
    }
    mu_free(before);
}

void agent__handlers_close(struct agent *a)
{
    struct handlers *h = a->handlers;
    struct mu_link *first;

    if (h == NULL) {
        return;
    }
    a->handlers = NULL;
    timer_cancel(&h->flush);
    timer_cancel(&h->patience);
    for (size_t i = 0; i < h->count; i++) {
        handler_kill(h->items[i]);
    }
    while ((first = mu_list_pop_front(&h->retired)) != NULL) {
        handler_kill(MU_CONTAINER(first, struct handler, retired));
    }
    coalescer_free(h->coalescer);
    mu_free(h->items);
    mu_free(h);
}
