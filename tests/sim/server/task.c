/* task.c - what are threads in production: fibers that wait for a disk or for mail. */
#include "base/assert.h"
#include "world.h"

#define TURN_US    20      /* how long a thread may take to notice */
#define DRAINS_MAX 1000000 /* a task that never ends */

static void on_due(void *data)
{
    struct task *t = data;
    struct server *s = t->server;

    if (s->world->now < s->paused_until) { /* what a disk does goes on, who asked does not */
        event_set(s->world, &t->due, s->paused_until, on_due, t);
        return;
    }
    t->is_waiting = false;
    fiber_resume(t->fiber);
}

static void due_in(struct task *t, uint64_t us)
{
    struct world *w = t->server->world;

    event_set(w, &t->due, w->now + us + mu_rand_below(&w->disk_rand, TURN_US), on_due, t);
}

void task_start(struct task *t, struct server *s, fiber_fn *run)
{
    MU_ASSERT(t->fiber == NULL);
    *t = (struct task){ .server = s, .fiber = fiber_new(run, s) };
    due_in(t, 0);
}

void task_mail(struct task *t)
{
    if (t->is_waiting) {
        due_in(t, 0);
    } else {
        t->has_mail = true;
    }
}

void task_nap(struct task *t, uint64_t us)
{
    bool has_mail = t->has_mail;

    t->has_mail = false;
    if (has_mail || us == 0) {
        due_in(t, 0);
    } else {
        t->is_waiting = true;
        if (us != NEVER) {
            due_in(t, us);
        }
    }
    fiber_sleep();
    t->is_waiting = false;
}

void tasks_sleep(struct server *s, uint64_t us)
{
    struct task *const all[] = { &s->boot, &s->log_task, &s->apply_task, &s->snap_task,
                                 &s->scrub_task };

    for (size_t i = 0; i < MU_LEN(all); i++) {
        if (all[i]->fiber == fiber_self()) {
            due_in(all[i], us);
            fiber_sleep();
            return;
        }
    }
    MU_UNREACHABLE_CODE();
}

void tasks_nap(void *data, uint64_t us)
{
    struct world *w = data;

    for (size_t i = 0; i < w->servers_count; i++) {
        struct server *s = &w->servers[i];
        struct task *const all[] = { &s->boot, &s->log_task, &s->apply_task, &s->snap_task,
                                     &s->scrub_task };

        for (size_t j = 0; j < MU_LEN(all); j++) {
            if (all[j]->fiber == fiber_self()) {
                due_in(all[j], us);
                fiber_sleep();
                return;
            }
        }
    }
    MU_UNREACHABLE_CODE();
}

void task_drain(struct task *t)
{
    for (unsigned i = 0; t->fiber != NULL && !fiber_has_ended(t->fiber); i++) {
        MU_ASSERT(i < DRAINS_MAX);
        event_cancel(t->server->world, &t->due);
        t->is_waiting = false;
        fiber_resume(t->fiber);
    }
}

void task_free(struct task *t)
{
    if (t->fiber != NULL) {
        event_cancel(t->server->world, &t->due);
        fiber_free(t->fiber);
        t->fiber = NULL;
    }
}
