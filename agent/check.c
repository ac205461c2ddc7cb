/* When checks run, and what their results mean.
 *
 *   IDLE --> WAITING <--> RUNNING        a check with runs
 *     '----> COUNTING                    a TTL check: a deadline, moved by each report
 *
 * What waits lies in a heap by its time, what counts in another; checks_wake() takes what is due
 * off their tops. How many runs are under way at once is bounded, and so is how many begin in one
 * turn: a check that is due and finds no room stays on top of its heap and begins when a run ends.
 *
 * A result is judged by counters of results in a row. They start satisfied, so that the first
 * result after a start always counts; while a threshold is not met, the old status and output
 * stay.
 */
#include "check.h"

#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"
#include "check_runs.h"

#define INTERVAL_MS_MIN   1000
#define DEREGISTER_MS_MIN 60000
#define REAP_MS           30000
#define RUNNING_MAX       256 /* each holds a socket; the others wait for a place */
#define TAKEN_PER_WAKE    32  /* then the loop has its turn */

enum item_state {
    ITEM_IDLE,
    ITEM_WAITING,
    ITEM_RUNNING,
    ITEM_COUNTING,
};

#define BIT(state) (1U << (unsigned)(state))

static const unsigned may_follow[] = {
    [ITEM_IDLE] = BIT(ITEM_WAITING) | BIT(ITEM_COUNTING),
    [ITEM_WAITING] = BIT(ITEM_RUNNING),
    [ITEM_RUNNING] = BIT(ITEM_WAITING),
    [ITEM_COUNTING] = 0,
};

/* A check that local has and that we run or count down. */
struct item {
    struct checks *owner;
    enum item_state state;
    struct mu_heap_node due; /* the next run, or the deadline */
    struct mu_arena arena;   /* of the definition: local may change its own under a run */
    struct check_definition definition;
    const struct check_type *type;
    struct check_run *run;        /* while RUNNING */
    uint64_t successes, failures; /* in a row */
    struct mu_buf last;           /* TTL: what was reported last */
};

struct checks {
    struct checks_options options;
    struct mu_table *items; /* by id */
    struct mu_heap runs, deadlines;
    size_t running_count;
    size_t reaped_count; /* items whose service is to be reaped when they are critical */
    uint64_t reap_at_ms; /* while there are any */
    uint64_t aimed_ms;   /* what the owner was told; 0: nothing */
};

static struct item *item_find(const struct checks *c, struct mu_span id)
{
    return mu_table_find(c->items, id);
}

static void item_move(struct item *i, enum item_state to)
{
    MU_ASSERT((may_follow[i->state] & BIT(to)) != 0);
    i->state = to;
}

static uint64_t now_of(const struct checks *c)
{
    return c->options.now(c->options.owner);
}

static uint64_t sooner(uint64_t at_ms, const struct mu_heap *h)
{
    const struct mu_heap_node *first = mu_heap_first(h);

    return first != NULL && (at_ms == 0 || first->key < at_ms) ? first->key : at_ms;
}

/* Tell the owner when to wake us, if that changed. */
static void aim(struct checks *c)
{
    uint64_t at_ms = sooner(c->reaped_count > 0 ? c->reap_at_ms : 0, &c->deadlines);

    if (c->running_count < RUNNING_MAX) { /* else they wait for a run to end, not for a time */
        at_ms = sooner(at_ms, &c->runs);
    }
    if (at_ms != c->aimed_ms) {
        c->aimed_ms = at_ms;
        c->options.aim(c->options.owner, at_ms);
    }
}

/* -- results -------------------------------------------------------------------------------- */

/* The catalog takes UTF-8 only; what is none becomes U+FFFD. */
static void add_clean(struct mu_buf *to, struct mu_span text)
{
    while (text.bytes > 0) {
        size_t good = mu_span_utf8_prefix(text);

        mu_buf_add_span(to, mu_span_sub(text, 0, good));
        text = mu_span_sub(text, good, text.bytes);
        if (text.bytes > 0) {
            mu_buf_add_text(to, "\xef\xbf\xbd");
            text = mu_span_sub(text, 1, text.bytes);
        }
    }
}

static const char *const now_is[] = {
    [CHECK_PASSING] = "Check is now passing",
    [CHECK_WARNING] = "Check is now warning",
    [CHECK_CRITICAL] = "Check is now critical",
};

static void report(struct item *i, enum check_status status, struct mu_span output)
{
    struct checks *c = i->owner;
    struct mu_buf clean = MU_BUF_NONE;
    struct local_check before;

    if (!c->options.discards_output) {
        add_clean(&clean, output);
    }
    if (local_check_find(c->options.local, i->definition.id, &before) && before.status != status) {
        mu_log(status == CHECK_PASSING ? MU_INFO : MU_WARN, "agent", now_is[status],
               mu_kv_span("check", i->definition.id));
    }
    (void)local_check_update(c->options.local, i->definition.id, status, mu_buf_span(&clean),
                             now_of(c));
    mu_buf_deinit(&clean);
}

static uint64_t threshold(int64_t configured)
{
    return configured > 0 ? (uint64_t)configured : 0;
}

/* Count, and report what has come often enough in a row. */
static void judge(struct item *i, enum check_status status, struct mu_span output)
{
    const struct check_definition *d = &i->definition;

    if (status != CHECK_CRITICAL) {
        i->successes++;
        i->failures = 0;
        if (i->successes >= threshold(d->success_before_passing)) {
            report(i, status, output);
        }
        return;
    }
    i->failures++;
    i->successes = 0;
    if (i->failures >= threshold(d->failures_before_critical)) {
        report(i, CHECK_CRITICAL, output);
    } else if (d->failures_before_warning > 0 &&
               i->failures >= threshold(d->failures_before_warning)) {
        report(i, CHECK_WARNING, output);
    }
}

/* -- runs ----------------------------------------------------------------------------------- */

static uint64_t interval_ms(const struct item *i)
{
    int64_t ms = i->definition.interval_ns / MU_NS_PER_MS;

    return ms < INTERVAL_MS_MIN ? INTERVAL_MS_MIN : (uint64_t)ms;
}

static void on_run_done(void *data, enum check_status status, struct mu_span output)
{
    struct item *i = data;
    struct checks *c = i->owner;

    i->run = NULL;
    c->running_count--;
    item_move(i, ITEM_WAITING);
    mu_heap_put(&c->runs, &i->due, now_of(c) + interval_ms(i));
    judge(i, status, output); /* may end the item: nothing of it is touched behind this */
    aim(c);
}

static void run_start(struct item *i)
{
    struct checks *c = i->owner;

    item_move(i, ITEM_RUNNING);
    mu_heap_remove(&c->runs, &i->due);
    c->running_count++;
    i->run = i->type->start(c->options.loop, &i->definition, on_run_done, i);
    MU_ASSERT(i->run != NULL);
}

/* -- deadlines ------------------------------------------------------------------------------ */

static void deadline_set(struct item *i)
{
    mu_heap_put(&i->owner->deadlines, &i->due,
                now_of(i->owner) + (uint64_t)(i->definition.ttl_ns / MU_NS_PER_MS));
}

static void expire(struct item *i)
{
    struct mu_buf text = MU_BUF_NONE;

    mu_heap_remove(&i->owner->deadlines, &i->due); /* until the next report */
    check_ttl_expired(&text, mu_buf_span(&i->last));
    report(i, CHECK_CRITICAL, mu_buf_span(&text));
    mu_buf_deinit(&text);
}

/* -- services that failed for too long ------------------------------------------------------ */

static uint64_t deregister_ms(const struct check_definition *d)
{
    int64_t ms = d->deregister_after_ns / MU_NS_PER_MS;

    return ms < DEREGISTER_MS_MIN ? DEREGISTER_MS_MIN : (uint64_t)ms;
}

static bool is_reaped(const struct check_definition *d)
{
    return d->deregister_after_ns > 0 && d->service_id.bytes > 0;
}

static void reap_one(struct checks *c, struct mu_span service, struct mu_span check)
{
    if (local_service_remove(c->options.local, service, NULL) == MU_OK) {
        mu_log(MU_INFO, "agent",
               "Check for service has been critical for too long; deregistered service",
               mu_kv_span("service", service), mu_kv_span("check", check));
    }
}

/* Removing a service ends items: so first those that are due are written down. */
static void reap(struct checks *c, uint64_t now_ms)
{
    struct mu_table_at at = { 0 };
    struct mu_arena arena;
    size_t count = 0;

    mu_arena_init(&arena, 0);
    struct mu_pair *pairs = mu_arena_array(&arena, mu_table_count(c->items), sizeof *pairs);

    while (mu_table_next(c->items, &at)) {
        const struct item *i = at.value;
        struct local_check check;

        if (is_reaped(&i->definition) && local_check_find(c->options.local, at.key, &check) &&
            check.critical_since_ms > 0 &&
            now_ms - check.critical_since_ms >= deregister_ms(&i->definition)) {
            pairs[count].key = mu_arena_span(&arena, i->definition.service_id);
            pairs[count++].value = mu_arena_span(&arena, i->definition.id);
        }
    }
    for (size_t n = 0; n < count; n++) {
        reap_one(c, pairs[n].key, pairs[n].value);
    }
    mu_arena_deinit(&arena);
}

/* -- the items ------------------------------------------------------------------------------ */

static void item_free(struct item *i)
{
    struct checks *c = i->owner;

    if (i->run != NULL) {
        i->type->stop(i->run);
        c->running_count--;
    }
    c->reaped_count -= is_reaped(&i->definition);
    mu_heap_remove(i->type->is_scheduled ? &c->runs : &c->deadlines, &i->due);
    (void)mu_table_remove(c->items, i->definition.id);
    mu_arena_deinit(&i->arena);
    mu_buf_deinit(&i->last);
    mu_free(i);
}

static const struct check_type *type_find(const struct checks *c, const struct check_definition *d)
{
    for (size_t n = 0; n < c->options.types_count; n++) {
        if (c->options.types[n].matches(d)) {
            return &c->options.types[n];
        }
    }
    return NULL;
}

static void warn_of_floors(const struct check_definition *d, bool is_scheduled)
{
    if (is_scheduled && d->interval_ns < INTERVAL_MS_MIN * MU_NS_PER_MS) {
        mu_log(MU_WARN, "agent", "check has interval below minimum", mu_kv_span("check", d->id),
               mu_kv("minimum_interval", "1s"));
    }
    if (is_reaped(d) && d->deregister_after_ns < DEREGISTER_MS_MIN * MU_NS_PER_MS) {
        mu_log(MU_WARN, "agent", "check has deregister interval below minimum",
               mu_kv_span("check", d->id), mu_kv("minimum_interval", "1m0s"));
    }
}

static int64_t fitted_output(const struct checks *c, const struct check_definition *d)
{
    int64_t most = (int64_t)c->options.output_bytes_max;

    return d->output_max_size > 0 && d->output_max_size < most ? d->output_max_size : most;
}

/* A service that registers itself again and again must not put off its checks each time. */
static bool is_same(const struct item *i, const struct check_definition *d)
{
    struct mu_buf texts[2] = { MU_BUF_NONE, MU_BUF_NONE };
    const struct check_definition *both[] = { &i->definition, d };
    struct check_definition mine = i->definition;

    mine.output_max_size = d->output_max_size; /* ours was fitted to the agent's */
    both[0] = &mine;
    for (size_t n = 0; n < MU_LEN(both); n++) {
        struct mu_json_out o;

        mu_json_out_init(&o, &texts[n], false);
        check_definition_write(&o, both[n]);
    }
    bool is_equal = mu_span_eq(mu_buf_span(&texts[0]), mu_buf_span(&texts[1]));

    mu_buf_deinit(&texts[0]);
    mu_buf_deinit(&texts[1]);
    return is_equal && i->definition.output_max_size == fitted_output(i->owner, d);
}

static struct item *item_new(struct checks *c, const struct check_type *type,
                             const struct check_definition *d)
{
    struct item *i = mu_new(sizeof *i);

    i->owner = c;
    i->type = type;
    mu_arena_init(&i->arena, 0);
    check_definition_copy(&i->definition, d, &i->arena);
    i->definition.output_max_size = fitted_output(c, d);
    i->successes = threshold(d->success_before_passing);
    i->failures = threshold(d->failures_before_critical);
    (void)mu_table_put(c->items, i->definition.id, i);
    if (is_reaped(d) && c->reaped_count++ == 0) {
        c->reap_at_ms = now_of(c) + REAP_MS;
    }
    return i;
}

/* A check is new, or has another definition: it starts afresh. */
static void on_set(struct checks *c, struct mu_span id)
{
    struct item *i = item_find(c, id);
    struct local_check check;
    bool is_there = local_check_find(c->options.local, id, &check);
    const struct check_type *type = is_there ? type_find(c, check.definition) : NULL;

    if (i != NULL && is_there && i->type == type && type->is_scheduled &&
        is_same(i, check.definition)) {
        return;
    }
    if (i != NULL) {
        item_free(i);
    }
    if (type == NULL || type->refusal != NULL) {
        return; /* maintenance, or data only: it stays as it is */
    }
    warn_of_floors(check.definition, type->is_scheduled);
    i = item_new(c, type, check.definition);
    if (type->is_scheduled) {
        item_move(i, ITEM_WAITING);
        mu_heap_put(&c->runs, &i->due,
                    now_of(c) + mu_rand_below(c->options.rand, interval_ms(i) + 1));
    } else {
        item_move(i, ITEM_COUNTING);
        deadline_set(i);
    }
}

static void on_gone(struct checks *c, struct mu_span id)
{
    struct item *i = item_find(c, id);

    if (i != NULL) {
        item_free(i);
    }
}

/* -- the doors ------------------------------------------------------------------------------ */

struct checks *checks_new(const struct checks_options *options)
{
    struct checks *c = mu_new(sizeof *c);

    MU_ASSERT(options->output_bytes_max > 0);
    c->options = *options;
    if (options->types == NULL) {
        c->options.types = check_types;
        c->options.types_count = check_types_count;
    }
    c->items = mu_table_new();
    return c;
}

void checks_free(struct checks *c)
{
    struct mu_table_at at = { 0 };

    if (c == NULL) {
        return;
    }
    while (mu_table_next(c->items, &at)) {
        item_free(at.value);
    }
    mu_table_free(c->items);
    mu_heap_deinit(&c->runs);
    mu_heap_deinit(&c->deadlines);
    mu_free(c);
}

void checks_changed(struct checks *c, enum local_change_kind kind, struct mu_span id)
{
    switch (kind) {
    case LOCAL_CHECK_SET: on_set(c, id); break;
    case LOCAL_CHECK_GONE: on_gone(c, id); break;
    case LOCAL_CHECK_RESULT:
    case LOCAL_SERVICE_SET:
    case LOCAL_SERVICE_GONE: return;
    }
    aim(c);
}

static struct item *top_due(const struct mu_heap *h, uint64_t now_ms)
{
    struct mu_heap_node *first = mu_heap_first(h);

    return first != NULL && first->key <= now_ms ? MU_CONTAINER(first, struct item, due) : NULL;
}

void checks_wake(struct checks *c)
{
    uint64_t now_ms = now_of(c);
    struct item *i;

    c->aimed_ms = 0; /* that wish is fulfilled */
    if (c->reaped_count > 0 && now_ms >= c->reap_at_ms) {
        c->reap_at_ms = now_ms + REAP_MS;
        reap(c, now_ms);
    }
    for (unsigned n = 0; n < TAKEN_PER_WAKE && (i = top_due(&c->deadlines, now_ms)) != NULL; n++) {
        expire(i);
    }
    for (unsigned n = 0; n < TAKEN_PER_WAKE && c->running_count < RUNNING_MAX &&
                         (i = top_due(&c->runs, now_ms)) != NULL;
         n++) {
        run_start(i);
    }
    aim(c);
}

enum mu_code checks_ttl(struct checks *c, struct mu_span id, enum check_status status,
                        struct mu_span output, struct mu_err *err)
{
    struct item *i = item_find(c, id);

    if (i == NULL || i->state != ITEM_COUNTING) {
        return mu_fail(err, MU_NOT_FOUND, "CheckID \"%.*s\" does not have associated TTL",
                       MU_SPAN_FMT(id));
    }
    mu_buf_clear(&i->last);
    check_ttl_output(&i->last, output, (size_t)i->definition.output_max_size);
    deadline_set(i);
    report(i, status, mu_buf_span(&i->last));
    aim(c);
    return MU_OK;
}

enum mu_code checks_supported(const struct check_definition *d, struct mu_err *err)
{
    const struct check_type *type = check_type_of(d);

    if (type != NULL && type->refusal != NULL) {
        return mu_fail(err, MU_UNSUPPORTED, "%s", type->refusal);
    }
    return MU_OK;
}

void checks_set_discard(struct checks *c, bool discards_output)
{
    c->options.discards_output = discards_output;
}
