#include "coalesce.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/table.h"

struct window {
    uint64_t first_ms, last_ms;
    bool is_open;
};

struct latest { /* of one name */
    struct handler_event **events;
    size_t count;
};

struct flaps {                          /* of one member */
    uint64_t failed_ms[COALESCE_FLAPS]; /* in a ring; 0: not yet */
    unsigned next;
    struct handler_event *held; /* that it is back; NULL: nothing is held */
    uint64_t until_ms;
};

struct coalescer {
    bool damps;
    struct mu_table *flaps; /* name -> struct flaps */
    size_t held_count;
    struct window members_window, users_window;
    struct mu_table *members; /* name -> struct handler_event of one member */
    struct mu_table *told;    /* name -> type: what was last told of it */
    struct mu_table *users;   /* name -> struct latest */
};

struct coalescer *coalescer_new(void)
{
    struct coalescer *c = mu_new(sizeof *c);

    c->members = mu_table_new();
    c->told = mu_table_new();
    c->users = mu_table_new();
    c->flaps = mu_table_new();
    return c;
}

void coalescer_damp(struct coalescer *c, bool damps)
{
    c->damps = damps;
}

static void flaps_free(struct flaps *f)
{
    if (f != NULL && f->held != NULL) {
        handler_event_release(f->held);
    }
    mu_free(f);
}

static void latest_clear(struct latest *l)
{
    for (size_t i = 0; i < l->count; i++) {
        handler_event_release(l->events[i]);
    }
    l->count = 0;
}

static void latest_free(struct latest *l)
{
    latest_clear(l);
    mu_free(l->events);
    mu_free(l);
}

void coalescer_free(struct coalescer *c)
{
    struct mu_table_at at = { .started = false };

    if (c == NULL) {
        return;
    }
    while (mu_table_next(c->members, &at)) {
        handler_event_release(at.value);
    }
    at = (struct mu_table_at){ .started = false };
    while (mu_table_next(c->users, &at)) {
        latest_free(at.value);
    }
    at = (struct mu_table_at){ .started = false };
    while (mu_table_next(c->flaps, &at)) {
        flaps_free(at.value);
    }
    mu_table_free(c->members);
    mu_table_free(c->told);
    mu_table_free(c->users);
    mu_table_free(c->flaps);
    mu_free(c);
}

/* -- windows ----------------------------------------------------------------------------------- */

static void window_touch(struct window *w, uint64_t now_ms)
{
    w->first_ms = w->is_open ? w->first_ms : now_ms;
    w->last_ms = now_ms;
    w->is_open = true;
}

static uint64_t window_end(const struct window *w)
{
    uint64_t end = w->first_ms + COALESCE_MS;
    uint64_t quiet = w->last_ms + COALESCE_QUIET_MS;

    return !w->is_open ? UINT64_MAX : quiet < end ? quiet : end;
}

static uint64_t users_end(const struct coalescer *c)
{
    return mu_table_count(c->users) < COALESCE_USER_MAX ? window_end(&c->users_window)
                                                        : c->users_window.last_ms;
}

uint64_t coalescer_due(const struct coalescer *c)
{
    uint64_t members = window_end(&c->members_window);
    uint64_t users = users_end(c);
    uint64_t first = members < users ? members : users;
    struct mu_table_at at = { .started = false };

    while (c->held_count > 0 && mu_table_next(c->flaps, &at)) {
        const struct flaps *f = at.value;

        first = f->held != NULL && f->until_ms < first ? f->until_ms : first;
    }
    return first == UINT64_MAX ? 0 : first;
}

/* -- those that come and go -------------------------------------------------------------------- */

static void flaps_drop(struct coalescer *c, struct flaps *f)
{
    if (f->held != NULL) {
        handler_event_release(f->held);
        f->held = NULL;
        c->held_count--;
    }
}

static void note_failed(struct coalescer *c, uint64_t now_ms, struct mu_span name)
{
    struct flaps *f = mu_table_find(c->flaps, name);

    if (f == NULL) {
        f = mu_new(sizeof *f);
        (void)mu_table_put(c->flaps, name, f);
    }
    flaps_drop(c, f);
    f->failed_ms[f->next++ % COALESCE_FLAPS] = now_ms;
}

static bool is_flapping(const struct flaps *f, uint64_t now_ms)
{
    uint64_t oldest = f->failed_ms[f->next % COALESCE_FLAPS];

    return oldest != 0 && now_ms - oldest < COALESCE_FLAPPING_MS;
}

/* True: `event` is held, or was about one whose return is. */
static bool hold(struct coalescer *c, uint64_t now_ms, struct handler_event *event)
{
    struct mu_span name = mu_span_text(event->members[0].name);
    struct flaps *f = mu_table_find(c->flaps, name);
    bool is_join = strcmp(event->type, "member-join") == 0;
    bool is_update = strcmp(event->type, "member-update") == 0;

    if (strcmp(event->type, "member-failed") == 0) {
        note_failed(c, now_ms, name);
        return false;
    }
    if (f != NULL && is_join) {
        flaps_drop(c, f);
    }
    if (f != NULL && is_join && c->damps && is_flapping(f, now_ms)) {
        f->held = event;
        f->until_ms = now_ms + COALESCE_HELD_MS;
        c->held_count++;
        return true;
    }
    if (f != NULL && f->held != NULL && is_update) { /* it is told as it is by then */
        handler_event_release(f->held);
        f->held = event;
        f->held->type = "member-join";
        return true;
    }
    if (f != NULL && !is_join && !is_update) { /* it left, or was forgotten: in order */
        flaps_drop(c, f);
        flaps_free(mu_table_remove(c->flaps, name));
    }
    return false;
}

/* -- in ---------------------------------------------------------------------------------------- */

void coalescer_member(struct coalescer *c, uint64_t now_ms, const char *type,
                      const struct gossip_view *member)
{
    struct handler_event *event = handler_event_of_members(type, 1);
    struct handler_event *before;

    handler_event_add(event, member);
    if ((c->damps || c->held_count > 0) && hold(c, now_ms, event)) {
        return;
    }
    before = mu_table_put(c->members, mu_span_text(member->name), event);
    if (before != NULL) {
        handler_event_release(before);
    }
    window_touch(&c->members_window, now_ms);
}

void coalescer_user(struct coalescer *c, uint64_t now_ms, const struct gossip_user_event *event)
{
    struct latest *l = mu_table_find(c->users, mu_span_text(event->name));

    if (l == NULL) {
        l = mu_new(sizeof *l);
        (void)mu_table_put(c->users, mu_span_text(event->name), l);
    }
    window_touch(&c->users_window, now_ms);
    if (l->count > 0 && event->ltime < l->events[0]->ltime) {
        return;
    }
    if (l->count > 0 && event->ltime > l->events[0]->ltime) {
        latest_clear(l);
    }
    l->events = mu_grow(l->events, (l->count + 1) * sizeof(struct handler_event *));
    l->events[l->count++] = handler_event_of_user(event); /* gossip bounds those of one time */
}

/* -- out --------------------------------------------------------------------------------------- */

static bool is_news(const struct coalescer *c, const struct handler_event *e)
{
    const char *told = mu_table_find(c->told, mu_span_text(e->members[0].name));

    return told == NULL || strcmp(told, e->type) != 0 || strcmp(e->type, "member-update") == 0;
}

static void remember(struct coalescer *c, const struct handler_event *e)
{
    struct mu_span name = mu_span_text(e->members[0].name);

    if (strcmp(e->type, "member-reap") == 0) {
        (void)mu_table_remove(c->told, name);
    } else {
        (void)mu_table_put(c->told, name, (void *)(uintptr_t)e->type);
    }
}

static struct handler_event *gather(const struct coalescer *c, const char *type)
{
    struct handler_event *all = handler_event_of_members(type, mu_table_count(c->members));
    struct mu_table_at at = { .started = false };

    while (mu_table_next(c->members, &at)) {
        const struct handler_event *e = at.value;
        const struct handler_member *m = &e->members[0];

        if (strcmp(e->type, type) == 0 && is_news(c, e)) {
            handler_event_add(
                all, &(struct gossip_view){ .name = m->name, .addr = m->addr, .tags = m->tags });
        }
    }
    return all;
}

static void flush_members(struct coalescer *c, coalescer_emit_fn *emit, void *data)
{
    struct handler_event *out[HANDLER_MEMBER_TYPES];
    struct mu_table_at at = { .started = false };

    for (size_t i = 0; i < HANDLER_MEMBER_TYPES; i++) {
        out[i] = gather(c, handler_types[i]);
    }
    while (mu_table_next(c->members, &at)) {
        struct handler_event *e = at.value;

        remember(c, e);
        handler_event_release(e);
    }
    mu_table_free(c->members);
    c->members = mu_table_new();
    c->members_window.is_open = false;
    for (size_t i = 0; i < HANDLER_MEMBER_TYPES; i++) {
        if (out[i]->members_count > 0) {
            emit(data, out[i]);
        } else {
            handler_event_release(out[i]);
        }
    }
}

static void flush_users(struct coalescer *c, coalescer_emit_fn *emit, void *data)
{
    struct mu_table *users = c->users;
    struct mu_table_at at = { .started = false };

    c->users = mu_table_new();
    c->users_window.is_open = false;
    while (mu_table_next(users, &at)) {
        struct latest *l = at.value;

        for (size_t i = 0; i < l->count; i++) {
            emit(data, l->events[i]);
        }
        l->count = 0; /* they were given */
        latest_free(l);
    }
    mu_table_free(users);
}

/* Those that have stayed. */
static void flush_held(struct coalescer *c, uint64_t now_ms)
{
    struct mu_table_at at = { .started = false };

    while (c->held_count > 0 && mu_table_next(c->flaps, &at)) {
        struct flaps *f = at.value;

        if (f->held != NULL && f->until_ms <= now_ms) {
            struct handler_event *before =
                mu_table_put(c->members, mu_span_text(f->held->members[0].name), f->held);

            if (before != NULL) {
                handler_event_release(before);
            }
            f->held = NULL;
            c->held_count--;
            window_touch(&c->members_window, now_ms);
        }
    }
}

void coalescer_flush(struct coalescer *c, uint64_t now_ms, coalescer_emit_fn *emit, void *data)
{
    flush_held(c, now_ms);
    if (window_end(&c->members_window) <= now_ms) {
        flush_members(c, emit, data);
    }
    if (users_end(c) <= now_ms) {
        flush_users(c, emit, data);
    }
}

void coalescer_flush_all(struct coalescer *c, coalescer_emit_fn *emit, void *data)
{
    flush_held(c, UINT64_MAX);
    flush_members(c, emit, data);
    flush_users(c, emit, data);
}
