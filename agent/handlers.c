/* handlers.c - scripts that run when something happens (serf-surface 6).
 *
 *   gossip ---> coalescer ---> the queue of each handler that is concerned ---> its script
 *                                FIFO, HANDLER_QUEUE_MAX                          one at a time
 *
 * Each handler runs its scripts one after the other, so their order is that of the events; handlers
 * run beside each other, HANDLERS_RUNNING_MAX at most. Nobody waits for a script: one that hangs is
 * killed when event_handler_timeout is over, meanwhile its queue fills, and what comes after that
 * is dropped and counted.
 */
#include <string.h>

#include "agent/process.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "coalesce.h"
#include "core.h"
#include "handler_rule.h"

#define HANDLER_QUEUE_MAX    1024 /* serf-surface 6.2 */
#define HANDLERS_RUNNING_MAX 16   /* a burst of events may not take the whole machine */
#define HANDLER_OUTPUT_BYTES 8192 /* serf-surface 6.2 */
#define HANDLER_SLOW_MS      1000

struct queued {
    struct mu_link place;
    struct handler_event *event;
};

struct handler {
    struct handlers *all;
    struct handler_rule rule;
    struct mu_link queue;
    size_t queue_count;
    uint64_t dropped; /* since the queue was full */
    struct process *process;
    struct handler_event *current;
    struct timer slow;
};

struct handlers {
    struct agent *agent;
    struct coalescer *coalescer;
    struct timer flush;
    struct mu_arena arena; /* rules */
    struct handler *items;
    size_t count;
    size_t running, next; /* whose turn it is */
};

static void pump(struct handlers *h);

/* -- one script -------------------------------------------------------------------------------- */

static void on_slow(void *data)
{
    const struct handler *one = data;

    mu_logf(MU_WARN, "agent", "Script '%s' slow, execution exceeding 1s", one->rule.script);
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

static void on_done(void *data, const struct process_result *result)
{
    struct handler *one = data;
    struct handlers *h = one->all;

    one->process = NULL;
    h->running--;
    timer_cancel(&one->slow);
    mu_logf(MU_DEBUG, "agent", "Event '%s' script output: %.*s", one->current->type,
            MU_SPAN_FMT(result->output));
    if (result->is_timed_out) {
        mu_logf(MU_ERROR, "agent", "Script '%s' did not end in time and was killed",
                one->rule.script);
    } else if (result->code != MU_OK || result->status != 0) {
        mu_logf(MU_ERROR, "agent", "Error invoking script '%s': %s", one->rule.script, result->why);
    }
    if (result->left_others) {
        mu_logf(MU_WARN, "agent", "Script '%s' left processes that held its output: killed",
                one->rule.script);
    }
    respond(one, result);
    handler_event_release(one->current);
    one->current = NULL;
    pump(h);
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
                                   .output_bytes_max = HANDLER_OUTPUT_BYTES,
                                   .timeout_ms = (uint64_t)a->config->event_handler_timeout_ms,
                                   .done = on_done,
                                   .data = one,
                               });
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
        struct handler *one = &h->items[(h->next + i) % h->count];

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
        size_t times = handler_rule_matches(&h->items[i].rule, event->type, event->name);

        for (size_t k = 0; k < times; k++) {
            queue_add(&h->items[i], event);
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

void agent__each_handler(const struct agent *a, agent__handler_fn *each, void *data)
{
    for (size_t i = 0; a->handlers != NULL && i < a->handlers->count; i++) {
        const struct handler_rule *rule = &a->handlers->items[i].rule;

        for (size_t k = 0; k < rule->count; k++) {
            each(data, rule->filters[k].type, rule->filters[k].name, rule->script);
        }
    }
}

/* -- life -------------------------------------------------------------------------------------- */

void agent__handlers_open(struct agent *a)
{
    struct handlers *h;
    struct mu_err err = MU_ERR_NONE;

    if (a->config->event_handlers_count == 0) {
        return;
    }
    h = mu_new(sizeof *h);
    h->agent = a;
    h->coalescer = coalescer_new();
    mu_arena_init(&h->arena, 0);
    h->count = a->config->event_handlers_count;
    h->items = mu_new_array(h->count, sizeof *h->items);
    for (size_t i = 0; i < h->count; i++) {
        enum mu_code rc =
            handler_rule_parse(&h->items[i].rule, a->config->event_handlers[i], &h->arena, &err);

        MU_ASSERT(rc == MU_OK); /* the configuration was checked */
        h->items[i].all = h;
        mu_list_init(&h->items[i].queue);
    }
    a->handlers = h;
}

void agent__handlers_close(struct agent *a)
{
    struct handlers *h = a->handlers;

    if (h == NULL) {
        return;
    }
    a->handlers = NULL;
    timer_cancel(&h->flush);
    for (size_t i = 0; i < h->count; i++) {
        struct handler *one = &h->items[i];

        timer_cancel(&one->slow);
        if (one->process != NULL) {
            process_cancel(one->process);
            handler_event_release(one->current);
        }
        while (one->queue_count > 0) {
            one->dropped = 0;
            handler_event_release(queue_take(one));
        }
    }
    coalescer_free(h->coalescer);
    mu_arena_deinit(&h->arena);
    mu_free(h->items);
    mu_free(h);
}
