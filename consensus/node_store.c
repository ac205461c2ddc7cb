/* node_store.c - what the log thread reports: writes that are durable, entries read back, health.
 *
 * A report is a picture of how far the store is, not a list of events: however many wake-ups were
 * folded into one, collecting once says everything.
 */
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "node.h"

void consensus__node_land(struct consensus_node *n, uint64_t upto)
{
    while (!mu_list_empty(&n->flights)) {
        struct consensus_flight *f = MU_CONTAINER(n->flights.next, struct consensus_flight, link);

        if (f->seq > upto) {
            return;
        }
        for (size_t i = 0; i < f->count; i++) {
            consensus__pool_unref(&n->pool, f->handles[i]);
        }
        mu_list_remove(&f->link);
        mu_free(f);
    }
}

static void on_persisted(struct consensus_node *n, uint64_t seq, uint64_t late_ms)
{
    struct consensus_event ev = { .kind = CONSENSUS_EV_PERSISTED };

    ev.persisted_seq = seq;
    ev.persisted_late_ms = late_ms;

    if (seq == n->persisted_seq) {
        return;
    }
    n->persisted_seq = seq;
    consensus__node_land(n, seq);
    if (n->adopting.count > 0) {
        consensus__node_adopted(n);
    } else if (n->is_joining) {
        consensus__node_joined(n);
    } else if (n->phase == CONSENSUS_NODE_RUNS) {
        consensus__node_feed(n, &ev);
    }
}

static void on_fetched(struct consensus_node *n, struct consensus_fetched *f)
{
    struct consensus_event ev = { .kind = CONSENSUS_EV_FETCHED };
    struct consensus_entries entries = { 0 };

    if (f->ticket == CONSENSUS_REPLAY_TICKET) {
        consensus__node_replayed(n, f);
        return;
    }
    if (n->phase != CONSENSUS_NODE_RUNS) {
        return;
    }
    consensus__node_entries(n, mu_buf_span(&f->records), CONSENSUS_ENTRIES_MAX, &entries);
    ev.fetched.ticket = f->ticket;
    ev.fetched.code = f->code;
    ev.fetched.entries = entries.list;
    ev.fetched.count = entries.count;
    consensus__node_feed(n, &ev);
    mu_free(entries.list);
    mu_free(entries.configs);
}

/* Its owner says what that means, and what to do. */
static void on_read_only(struct consensus_node *n, const char *why)
{
    if (n->options.callbacks.read_only != NULL) {
        n->options.callbacks.read_only(n->options.callbacks_data, why);
    }
}

static void health_say(struct consensus_node *n, enum consensus_health was,
                       const struct consensus_store_report *r)
{
    if (r->health == CONSENSUS_STORE_FAILED) {
        mu_log(MU_ERROR, CONSENSUS_LOG_MODULE, "The log cannot be written any more",
               mu_kv("error", r->why));
    } else if (r->health == CONSENSUS_STORE_READ_ONLY) {
        on_read_only(n, r->why);
    } else if (r->health == CONSENSUS_STORE_FULL) {
        mu_log(MU_WARN, CONSENSUS_LOG_MODULE,
               "The disk is full: only what frees space is accepted until there is room",
               mu_kv("error", r->why));
    } else if (was == CONSENSUS_STORE_FULL) {
        mu_log(MU_INFO, CONSENSUS_LOG_MODULE, "The disk has room again");
    }
}

static void on_health(struct consensus_node *n, const struct consensus_store_report *r)
{
    struct consensus_event ev = { .kind = CONSENSUS_EV_STORE, .health = r->health };

    if (r->health == n->health) {
        return;
    }
    enum consensus_health was = n->health;

    n->health = r->health;
    health_say(n, was, r);
    if (n->phase == CONSENSUS_NODE_RUNS) {
        consensus__node_feed(n, &ev);
    } else if (r->health == CONSENSUS_STORE_FAILED) {
        consensus__node_die(n, r->why);
    }
}

static void on_recorded(struct consensus_node *n, uint64_t count)
{
    struct consensus_bootstrap_event ev = { .kind = BOOTSTRAP_EV_RECORDED };

    for (; n->recorded_count < count; n->recorded_count++) {
        consensus__node_bootstrap_feed(n, &ev);
    }
}

static void on_relieved(struct consensus_node *n, uint64_t count)
{
    for (; n->relieved_count < count; n->relieved_count++) {
        if (n->options.callbacks.relieved != NULL) {
            n->options.callbacks.relieved(n->options.callbacks_data);
        }
    }
}

/* Segments whose entries the core gave up are recycled. */
static void on_compacted(struct consensus_node *n, uint64_t base_index)
{
    struct consensus_event ev = { .kind = CONSENSUS_EV_COMPACTED, .compacted_index = base_index };

    if (base_index == n->base_index) {
        return;
    }
    n->base_index = base_index;
    if (n->phase == CONSENSUS_NODE_RUNS) {
        consensus__node_feed(n, &ev);
    }
}

static void on_shed(struct consensus_node *n, uint64_t index)
{
    struct consensus_event ev = { .kind = CONSENSUS_EV_SHED, .shed_index = index };

    if (index == n->shed_index) {
        return;
    }
    n->shed_index = index;
    if (n->phase == CONSENSUS_NODE_RUNS) {
        consensus__node_feed(n, &ev);
    }
}

static void on_survey(struct consensus_node *n, struct consensus_survey *survey)
{
    if (survey != NULL && n->phase == CONSENSUS_NODE_RUNS &&
        n->options.callbacks.surveyed != NULL) {
        n->options.callbacks.surveyed(n->options.callbacks_data, survey);
    }
    mu_free(survey);
}

void consensus__node_catch_up(struct consensus_node *n)
{
    if (n->is_hushed && n->phase == CONSENSUS_NODE_RUNS) {
        consensus__node_collect(n, n->now_ms);
    }
}

void consensus__node_collect(struct consensus_node *n, uint64_t now_ms)
{
    struct consensus_store_report r;

    MU_ASSERT(!n->is_feeding);
    if (n->phase == CONSENSUS_NODE_STOPPED) {
        return;
    }
    consensus__node_clock(n, now_ms);
    n->store.ops->collect(n->store.self, &r);
    on_persisted(n, r.persisted_seq, r.persisted_late_ms);
    on_recorded(n, r.recorded_count);
    for (size_t i = 0; i < r.fetched_count; i++) {
        on_fetched(n, &r.fetched[i]);
        consensus_fetched_deinit(&r.fetched[i]);
    }
    mu_free(r.fetched);
    on_compacted(n, r.base_index);
    on_shed(n, r.shed_index);
    on_survey(n, r.survey);
    on_health(n, &r);
    on_relieved(n, r.relieved_count);
    if (r.is_closed && n->phase == CONSENSUS_NODE_STOPPING) {
        consensus__node_move(n, CONSENSUS_NODE_STOPPED);
    }
}
