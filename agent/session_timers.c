#include "session_timers.h"

#include "base/assert.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/table.h"

#define AGAIN_MS 1000U /* after an end that failed */

struct session_timer {
    struct mu_heap_node due; /* in no heap: it is being ended */
    struct mu_id id;
    uint64_t span_ms;
    bool is_over;
};

struct session_timers {
    struct mu_table *by_id;
    struct mu_heap due;
};

static struct mu_span id_span(const struct mu_id *id)
{
    return mu_span_of(id->b, sizeof id->b);
}

struct session_timers *session_timers_new(void)
{
    struct session_timers *t = mu_new(sizeof *t);

    t->by_id = mu_table_new();
    return t;
}

void session_timers_free(struct session_timers *t)
{
    if (t == NULL) {
        return;
    }
    session_timers_clear(t);
    mu_heap_deinit(&t->due);
    mu_table_free(t->by_id);
    mu_free(t);
}

static struct session_timer *find(const struct session_timers *t, const struct mu_id *id)
{
    return mu_table_find(t->by_id, id_span(id));
}

static void forget(struct session_timers *t, struct session_timer *s)
{
    mu_heap_remove(&t->due, &s->due);
    (void)mu_table_remove(t->by_id, id_span(&s->id));
    mu_free(s);
}

void session_timers_clear(struct session_timers *t)
{
    struct mu_table_at at = { .started = false };

    while (mu_table_next(t->by_id, &at)) {
        forget(t, at.value);
    }
}

void session_timers_set(struct session_timers *t, const struct mu_id *id, uint64_t ttl_ms,
                        uint64_t now_ms)
{
    MU_ASSERT(ttl_ms > 0);
    if (find(t, id) != NULL) {
        return;
    }
    struct session_timer *s = mu_new(sizeof *s);

    s->id = *id;
    s->span_ms = 2 * ttl_ms;
    (void)mu_table_put(t->by_id, id_span(id), s);
    mu_heap_put(&t->due, &s->due, now_ms + s->span_ms);
}

void session_timers_remove(struct session_timers *t, const struct mu_id *id)
{
    struct session_timer *s = find(t, id);

    if (s != NULL) {
        forget(t, s);
    }
}

enum session_renewal session_timers_renew(struct session_timers *t, const struct mu_id *id,
                                          uint64_t now_ms)
{
    struct session_timer *s = find(t, id);

    if (s == NULL) {
        return SESSION_UNKNOWN;
    }
    if (s->is_over) {
        return SESSION_OVER;
    }
    mu_heap_put(&t->due, &s->due, now_ms + s->span_ms);
    return SESSION_RENEWED;
}

static struct session_timer *first(const struct session_timers *t)
{
    struct mu_heap_node *node = mu_heap_first(&t->due);

    return node != NULL ? MU_CONTAINER(node, struct session_timer, due) : NULL;
}

size_t session_timers_due(struct session_timers *t, uint64_t now_ms, struct mu_id *ids, size_t room)
{
    struct session_timer *s;
    size_t count = 0;

    while (count < room && (s = first(t)) != NULL && s->due.key <= now_ms) {
        mu_heap_remove(&t->due, &s->due);
        s->is_over = true;
        ids[count++] = s->id;
    }
    return count;
}

void session_timers_ended(struct session_timers *t, const struct mu_id *id, bool did_succeed,
                          uint64_t now_ms)
{
    struct session_timer *s = find(t, id);

    if (s == NULL) {
        return; /* removed meanwhile, or from a time in office that is over */
    }
    if (did_succeed) {
        forget(t, s);
    } else if (s->is_over && !mu_heap_has(&s->due)) {
        mu_heap_put(&t->due, &s->due, now_ms + AGAIN_MS);
    }
}

uint64_t session_timers_wake_ms(const struct session_timers *t)
{
    const struct session_timer *s = first(t);

    return s != NULL ? s->due.key : 0;
}

size_t session_timers_count(const struct session_timers *t)
{
    return mu_table_count(t->by_id);
}
