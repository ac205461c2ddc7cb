/* threads.c - the steps of log and apply, on fibers: what production gives to threads. */
#include "base/assert.h"
#include "world.h"

/* -- the log's steps ----------------------------------------------------------------------------
 */

static void log_main(void *data)
{
    struct server *s = data;
    uint64_t nap = 0;

    do {
        task_nap(&s->log_task, nap == UINT64_MAX ? NEVER : nap * MS * 1000 / s->clock_rate);
    } while (consensus__log_step(s->log, &nap));
}

static uint64_t log_now(void *self)
{
    return server_us(self) * 1000;
}

static void log_start(void *self, struct consensus_log *l)
{
    struct server *s = self;

    s->log = l;
    task_start(&s->log_task, s, log_main);
}

static void log_mail(void *self)
{
    struct server *s = self;

    task_mail(&s->log_task);
}

static void log_join(void *self)
{
    struct server *s = self;

    task_drain(&s->log_task);
}

struct consensus_log_host threads_log(struct server *s)
{
    return (struct consensus_log_host){ s, log_now, log_start, log_mail, log_join };
}

/* -- the apply steps ----------------------------------------------------------------------------
 */

static void apply_main(void *data)
{
    struct server *s = data;
    uint64_t nap = UINT64_MAX;

    do {
        bool has_mail = apply_has_mail(s->apply);

        task_nap(&s->apply_task, has_mail ? 0 : nap == UINT64_MAX ? NEVER : nap * MS);
    } while (apply_step(s->apply, &nap));
}

static void apply_mail(void *self)
{
    struct server *s = self;

    if (apply_has_mail(s->apply)) { /* not so while it waits for room on the disk */
        task_mail(&s->apply_task);
    }
}

static void on_applied_event(void *data)
{
    struct server *s = data;

    if (server_turn_begins(s, &s->applied_event, on_applied_event, s)) {
        apply_collect(s->apply);
        server_turn_ends(s);
    }
}

static void apply_reports(void *self)
{
    struct server *s = self;

    if (!s->is_dying && !event_is_set(&s->applied_event)) {
        event_set(s->world, &s->applied_event, s->world->now + WAKE_US, on_applied_event, s);
    }
}

static void apply_join(void *self)
{
    struct server *s = self;

    task_drain(&s->apply_task);
}

struct apply_host threads_apply(struct server *s)
{
    return (struct apply_host){ s, apply_mail, apply_reports, apply_join };
}

void threads_apply_start(struct server *s)
{
    task_start(&s->apply_task, s, apply_main);
}

void threads_apply_end(struct server *s)
{
    event_cancel(s->world, &s->applied_event);
    apply_close(s->apply);
    s->apply = NULL;
    task_free(&s->apply_task);
}
