/* apply.c - committed entries into the catalog, in steps.
 *
 *   loop                        whoever takes the steps
 *   apply_push --> orders ----> apply_step: neighbouring orders become one transaction, or two
 *   apply_collect <-- outcomes, failure
 *
 * After a second without work a step writes the state back, once, and gives back what of its file
 * is free, a slice a step.
 *
 * On a full disk the transaction is rolled back and *held*: the owner is asked to make room, and
 * the next step, which comes then or after a second, tries it again. Nothing is skipped: others
 * apply it, too (spec/consensus.md 2.15).
 */
#include "apply.h"

#include <pthread.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "consensus/driver.h"
#include "proto/command.h"

/* How long without work before a checkpoint is worth while (spec/consensus.md 3.4). */
#define IDLE_MS 1000
/* Between slices of the file: about 20 MB a second go back. */
#define SLACK_MS 50
/* On a full disk: how long to wait for room, and how often. After that nobody is going to make any.
 */
#define FULL_RETRY_MS  1000
#define FULL_TRIES_MAX 30

/* In one transaction. */
#define APPLY_SUMS_MAX (MU_APPLY_BATCH_ENTRIES / CONSENSUS_SUM_EVERY + 1)

/* What one push brought: entries whose commands lie in `bytes`. */
struct order {
    struct mu_link place;
    struct apply_entry *entries;
    size_t count;
    struct mu_buf bytes;
};

/* What one transaction leaves. */
struct outcome {
    struct mu_link place;
    struct apply_result *results;
    size_t results_count, entries_count, entries_bytes;
    struct consensus_sum sums[APPLY_SUMS_MAX];
    size_t sums_count;
    struct catalog_changes *changes;
    struct catalog_applied applied;
    struct catalog_history history;
    struct catalog_schema schema;
    uint64_t durable, bytes;
};

struct apply {
    struct apply_host host;
    pthread_mutex_t lock; /* guards the two mailboxes and the flags, nothing else */
    struct mu_link orders, outcomes;
    bool is_stopping;
    bool has_failed;
    bool wants_room; /* the owner is to be asked */
    bool has_room;   /* which it has said since */
    bool wants_census, wants_settling;
    struct mu_err error;

    struct catalog *catalog; /* of the steps, as the next five */
    uint64_t durable;
    bool is_dirty;      /* applied since the last checkpoint, or: */
    bool gives_back;    /* of the file, the next slice soon */
    struct order *held; /* what found no room; NULL: nothing */
    size_t held_at;     /* its entries up to here are done */
    unsigned tries;     /* in vain, one after the other */

    apply_done_fn *done; /* the loop's, as all below */
    apply_failed_fn *failed;
    apply_full_fn *full;
    void *data;
    size_t waiting;
    uint64_t waiting_bytes, waiting_most;
    bool failure_told;
};

/* -- the steps -------------------------------------------------------------------------------- */

static void outcome_free(struct outcome *o)
{
    for (size_t i = 0; i < o->results_count; i++) {
        catalog_result_free(&o->results[i].result);
    }
    catalog_changes_free(o->changes);
    mu_free(o->results);
    mu_free(o);
}

static void order_free(struct order *o)
{
    mu_buf_deinit(&o->bytes);
    mu_free(o->entries);
    mu_free(o);
}

static void outcome_post(struct apply *a, struct outcome *o)
{
    pthread_mutex_lock(&a->lock);
    mu_list_push_back(&a->outcomes, &o->place);
    pthread_mutex_unlock(&a->lock);
    a->host.report(a->host.self);
}

static void failure_post(struct apply *a, const struct mu_err *err)
{
    pthread_mutex_lock(&a->lock);
    a->has_failed = true;
    a->error = *err;
    pthread_mutex_unlock(&a->lock);
    a->host.report(a->host.self);
}

static void room_want(struct apply *a)
{
    pthread_mutex_lock(&a->lock);
    a->wants_room = true;
    a->has_room = false;
    pthread_mutex_unlock(&a->lock);
    a->host.report(a->host.self);
}

/* Batches may be cut anywhere: all servers say it behind the same entries (spec/consensus.md 3.6).
 */
static void sum_note(struct apply *a, uint64_t index, struct outcome *o)
{
    if (index % CONSENSUS_SUM_EVERY != 0) {
        return;
    }
    struct catalog_applied now = catalog_applied(a->catalog);
    struct consensus_sum *sum = &o->sums[o->sums_count++];

    MU_ASSERT(o->sums_count <= APPLY_SUMS_MAX);
    sum->index = index;
    memcpy(sum->hash, now.hash, sizeof sum->hash);
}

/* Where the state stands, behind a transaction or a checkpoint. */
static void stand_note(const struct apply *a, struct outcome *o)
{
    o->applied = catalog_applied(a->catalog);
    o->history = catalog_history(a->catalog);
    o->schema = catalog_schema(a->catalog);
    o->bytes = catalog_bytes(a->catalog);
}

/* One transaction over entries[0..count). Without effect when it fails. */
static enum mu_code run_entries(struct apply *a, const struct apply_entry *entries, size_t count,
                                struct outcome *o, struct mu_err *err)
{
    enum mu_code rc = catalog_begin(a->catalog, err);

    if (rc != MU_OK) {
        return rc;
    }
    o->results = mu_new_array(count, sizeof *o->results);
    o->entries_count = count;
    for (size_t i = 0; i < count; i++) {
        struct apply_result r = { .ticket = entries[i].ticket, .index = entries[i].index };

        o->entries_bytes += entries[i].command.bytes;
        rc = catalog_apply(a->catalog, entries[i].index, entries[i].term, entries[i].command,
                           &r.result, err);
        rc = rc == MU_OK && entries[i].level > 0 ? catalog_raise(a->catalog, entries[i].level, err)
                                                 : rc;
        if (rc != MU_OK) {
            catalog_rollback(a->catalog);
            return mu_wrap(err, rc, "applying entry %llu", (unsigned long long)entries[i].index);
        }
        sum_note(a, entries[i].index, o);
        if (r.ticket == 0) {
            catalog_result_free(&r.result);
            continue;
        }
        o->results[o->results_count++] = r;
    }
    rc = catalog_commit(a->catalog, &o->changes, err);
    if (rc != MU_OK) {
        catalog_rollback(a->catalog);
        return mu_wrap(err, rc, "committing applied entries");
    }
    return MU_OK;
}

/* One that finds no room has lost nothing: the WAL stays, and the next may find some. */
static enum mu_code checkpoint(struct apply *a, bool is_idle, struct mu_err *err)
{
    enum mu_code rc = catalog_checkpoint(a->catalog, is_idle, &a->durable, err);

    if (rc == MU_FULL) {
        room_want(a);
        return MU_OK;
    }
    return rc == MU_OK ? MU_OK : mu_wrap(err, rc, "checkpoint of the state");
}

/* May this entry share a transaction that has so many bytes already? */
static bool fits(const struct apply_entry *e, size_t bytes)
{
    return bytes + e->command.bytes <= MU_APPLY_BATCH_BYTES && !command_is_restore(e->command);
}

/* How many entries from `from` on make the next transaction. */
static size_t batch_size(const struct order *o, size_t from)
{
    size_t count = 1;
    size_t bytes = o->entries[from].command.bytes;

    if (command_is_restore(o->entries[from].command)) {
        return 1;
    }
    while (from + count < o->count && count < MU_APPLY_BATCH_ENTRIES &&
           fits(&o->entries[from + count], bytes)) {
        bytes += o->entries[from + count].command.bytes;
        count++;
    }
    return count;
}

/* From entry *at on, which says afterwards how far it came. */
static enum mu_code run_order(struct apply *a, const struct order *o, size_t *at,
                              struct mu_err *err)
{
    while (*at < o->count) {
        size_t count = batch_size(o, *at);
        struct outcome *out = mu_new(sizeof *out);
        enum mu_code rc = run_entries(a, o->entries + *at, count, out, err);

        if (rc == MU_OK) {
            rc = checkpoint(a, false, err);
        }
        if (rc != MU_OK) {
            outcome_free(out);
            return rc;
        }
        stand_note(a, out);
        out->durable = a->durable;
        a->is_dirty = true;
        a->gives_back = false; /* not before the next second without work */
        outcome_post(a, out);
        *at += count;
    }
    return MU_OK;
}

static void durable_post(struct apply *a, uint64_t before)
{
    if (a->durable != before) {
        struct outcome *out = mu_new(sizeof *out);

        stand_note(a, out);
        out->durable = a->durable;
        outcome_post(a, out);
    }
}

static enum mu_code run_idle(struct apply *a, struct mu_err *err)
{
    uint64_t before = a->durable;
    enum mu_code rc = checkpoint(a, true, err);

    a->gives_back = catalog_has_slack(a->catalog);
    a->is_dirty = a->gives_back;
    if (rc == MU_OK) {
        durable_post(a, before);
    }
    return rc;
}

/* A full disk has other worries: who asked asks again. */
static enum mu_code run_settling(struct apply *a, struct mu_err *err)
{
    uint64_t before = a->durable;

    if (before == catalog_applied(a->catalog).index) {
        return MU_OK;
    }
    enum mu_code rc = catalog_relieve(a->catalog, &a->durable, err);

    if (rc == MU_FULL) {
        return MU_OK;
    }
    if (rc == MU_OK) {
        durable_post(a, before);
    }
    return rc;
}

/* May the next order share the bytes of this one? Small ones: joining copies them. */
static bool order_takes(const struct order *o, struct mu_link *next)
{
    return o->count < MU_APPLY_BATCH_ENTRIES &&
           o->bytes.bytes + MU_CONTAINER(next, struct order, place)->bytes.bytes <=
               MU_APPLY_BATCH_BYTES;
}

/* Join neighbouring orders, so that a burst of small ones becomes few transactions. */
static struct order *orders_take(struct apply *a)
{
    struct mu_link *first = mu_list_pop_front(&a->orders);

    if (first == NULL) {
        return NULL;
    }
    struct order *o = MU_CONTAINER(first, struct order, place);

    while (!mu_list_empty(&a->orders) && order_takes(o, a->orders.next)) {
        struct order *next = MU_CONTAINER(mu_list_pop_front(&a->orders), struct order, place);
        size_t offset = o->bytes.bytes;

        mu_buf_add_span(&o->bytes, mu_buf_span(&next->bytes));
        o->entries = mu_grow(o->entries, (o->count + next->count) * sizeof *o->entries);
        for (size_t i = 0; i < next->count; i++) {
            o->entries[o->count] = next->entries[i];
            /* Offsets for now: the buffer may still move. */
            o->entries[o->count++].command.data =
                (const uint8_t *)(uintptr_t)(offset + (uintptr_t)next->entries[i].command.data);
        }
        order_free(next);
    }
    return o;
}

/* Commands were kept as offsets into the order's bytes; now that those stay, make them spans. */
static void order_settle(struct order *o)
{
    for (size_t i = 0; i < o->count; i++) {
        struct mu_span *c = &o->entries[i].command;

        *c = mu_span_sub(mu_buf_span(&o->bytes), (uintptr_t)c->data, c->bytes);
    }
}

/* Room was made, or a while has passed: what the WAL takes may be given back to begin with. */
static enum mu_code held_free(struct apply *a, struct mu_err *err)
{
    enum mu_code rc = catalog_relieve(a->catalog, &a->durable, err);

    return rc == MU_FULL ? MU_OK : rc;
}

static enum mu_code run_held(struct apply *a, struct mu_err *err)
{
    enum mu_code rc = a->tries > 0 ? held_free(a, err) : MU_OK;
    size_t before = a->held_at;

    rc = rc == MU_OK ? run_order(a, a->held, &a->held_at, err) : rc;
    a->tries = a->held_at > before ? 0 : a->tries;
    if (rc == MU_FULL && ++a->tries <= FULL_TRIES_MAX) {
        room_want(a);
        return MU_OK;
    }
    if (rc == MU_OK) {
        order_free(a->held);
        a->held = NULL;
        a->tries = 0;
    }
    return rc;
}

/* For whoever has to find out why two servers differ. */
static enum mu_code run_census(struct apply *a, struct mu_err *err)
{
    struct catalog_applied applied = catalog_applied(a->catalog);
    struct mu_buf text = MU_BUF_NONE;
    bool adds_up = false;
    enum mu_code rc = catalog_census(a->catalog, &text, &adds_up, err);

    if (rc == MU_OK) {
        mu_log(MU_ERROR, "agent.server", "What the state of this server holds",
               mu_kv_u("index", applied.index), mu_kv("adds_up", adds_up ? "yes" : "no"),
               mu_kv("tables", mu_buf_text(&text)));
    }
    mu_buf_deinit(&text);
    return rc;
}

static enum mu_code run_next(struct apply *a, struct mu_err *err)
{
    if (a->held == NULL) {
        return a->is_dirty ? run_idle(a, err) : MU_OK;
    }
    return run_held(a, err);
}

static uint64_t nap(const struct apply *a)
{
    if (a->held != NULL) {
        return FULL_RETRY_MS;
    }
    return !a->is_dirty ? UINT64_MAX : a->gives_back ? SLACK_MS : IDLE_MS;
}

bool apply_step(struct apply *a, uint64_t *nap_ms)
{
    struct mu_err err = MU_ERR_NONE;

    pthread_mutex_lock(&a->lock);
    if (a->held == NULL) {
        a->held = orders_take(a);
        a->held_at = 0;
        if (a->held != NULL) {
            order_settle(a->held);
        }
    }
    /* What found no room until now is in the log still. */
    bool is_over = a->is_stopping && (a->held == NULL || a->tries > 0);

    bool wants_census = a->wants_census;
    bool wants_settling = a->wants_settling;

    a->wants_census = a->wants_settling = false;
    a->has_room = false;
    pthread_mutex_unlock(&a->lock);
    if (is_over) {
        return false;
    }
    if ((wants_census && run_census(a, &err) != MU_OK) ||
        (wants_settling && run_settling(a, &err) != MU_OK) || run_next(a, &err) != MU_OK) {
        failure_post(a, &err);
        return false;
    }
    *nap_ms = nap(a);
    return true;
}

bool apply_has_mail(struct apply *a)
{
    pthread_mutex_lock(&a->lock);
    bool has_mail = a->is_stopping || a->wants_census || a->wants_settling ||
                    (a->held != NULL ? a->has_room : !mu_list_empty(&a->orders));

    pthread_mutex_unlock(&a->lock);
    return has_mail;
}

/* -- the loop's side --------------------------------------------------------------------------- */

void apply_collect(struct apply *a)
{
    struct mu_link taken;
    struct mu_link *link;
    bool has_failed;
    bool wants_room;

    mu_list_init(&taken);
    pthread_mutex_lock(&a->lock);
    while ((link = mu_list_pop_front(&a->outcomes)) != NULL) {
        mu_list_push_back(&taken, link);
    }
    has_failed = a->has_failed;
    wants_room = a->wants_room;
    a->wants_room = false;
    pthread_mutex_unlock(&a->lock);
    if (wants_room) {
        a->full(a->data);
    }
    while ((link = mu_list_pop_front(&taken)) != NULL) {
        struct outcome *o = MU_CONTAINER(link, struct outcome, place);
        struct apply_report report = {
            .results = o->results,
            .results_count = o->results_count,
            .sums = o->sums,
            .sums_count = o->sums_count,
            .changes = o->changes,
            .applied = o->applied,
            .history = o->history,
            .schema = o->schema,
            .durable = o->durable,
            .bytes = o->bytes,
        };

        MU_ASSERT(a->waiting >= o->entries_count);
        a->waiting -= o->entries_count;
        a->waiting_bytes -= o->entries_bytes;
        a->done(a->data, &report);
        outcome_free(o);
    }
    if (has_failed && !a->failure_told) {
        a->failure_told = true;
        a->failed(a->data, a->error.text);
    }
}

struct apply *apply_open(const struct apply_host *host, struct catalog *catalog,
                         apply_done_fn *done, apply_failed_fn *failed, apply_full_fn *full,
                         void *data)
{
    struct apply *a = mu_new(sizeof *a);

    a->host = *host;
    a->catalog = catalog;
    a->durable = catalog_durable(catalog);
    a->done = done;
    a->failed = failed;
    a->full = full;
    a->data = data;
    mu_list_init(&a->orders);
    mu_list_init(&a->outcomes);
    MU_ASSERT(pthread_mutex_init(&a->lock, NULL) == 0);
    return a;
}

void apply_hold(struct apply *a, const struct apply_entry *entries, size_t count)
{
    struct order *o = mu_new(sizeof *o);
    size_t bytes = 0;

    for (size_t i = 0; i < count; i++) {
        bytes += entries[i].command.bytes;
    }
    (void)mu_buf_reserve(&o->bytes, bytes);
    o->entries = mu_new_array(count, sizeof *entries);
    o->count = count;
    for (size_t i = 0; i < count; i++) {
        o->entries[i] = entries[i];
        o->entries[i].command.data = (const uint8_t *)(uintptr_t)o->bytes.bytes;
        mu_buf_add_span(&o->bytes, entries[i].command);
    }
    a->waiting += count;
    a->waiting_bytes += bytes;
    a->waiting_most = a->waiting_bytes > a->waiting_most ? a->waiting_bytes : a->waiting_most;
    pthread_mutex_lock(&a->lock);
    mu_list_push_back(&a->orders, &o->place);
    pthread_mutex_unlock(&a->lock);
}

void apply_hurry(struct apply *a)
{
    a->host.mail(a->host.self);
}

void apply_push(struct apply *a, const struct apply_entry *entries, size_t count)
{
    apply_hold(a, entries, count);
    apply_hurry(a);
}

void apply_census(struct apply *a)
{
    pthread_mutex_lock(&a->lock);
    a->wants_census = true;
    pthread_mutex_unlock(&a->lock);
    a->host.mail(a->host.self);
}

void apply_settle(struct apply *a)
{
    pthread_mutex_lock(&a->lock);
    a->wants_settling = true;
    pthread_mutex_unlock(&a->lock);
    a->host.mail(a->host.self);
}

void apply_relieved(struct apply *a)
{
    pthread_mutex_lock(&a->lock);
    a->has_room = true;
    pthread_mutex_unlock(&a->lock);
    a->host.mail(a->host.self);
}

enum mu_code apply_failure(const struct apply *a)
{
    return a->failure_told ? a->error.code : MU_OK;
}

size_t apply_waiting(const struct apply *a)
{
    return a->waiting;
}

void apply_held(const struct apply *a, uint64_t *bytes, uint64_t *most)
{
    *bytes = a->waiting_bytes;
    *most = a->waiting_most;
}

void apply_close(struct apply *a)
{
    struct mu_link *link;

    if (a == NULL) {
        return;
    }
    pthread_mutex_lock(&a->lock);
    a->is_stopping = true;
    pthread_mutex_unlock(&a->lock);
    a->host.mail(a->host.self);
    a->host.join(a->host.self);
    while ((link = mu_list_pop_front(&a->outcomes)) != NULL) {
        outcome_free(MU_CONTAINER(link, struct outcome, place));
    }
    while ((link = mu_list_pop_front(&a->orders)) != NULL) {
        order_free(MU_CONTAINER(link, struct order, place)); /* after a failure */
    }
    if (a->held != NULL) {
        order_free(a->held);
    }
    catalog_close(a->catalog);
    (void)pthread_mutex_destroy(&a->lock);
    mu_free(a);
}
