/* reload_uv.c - configuration files read again, beside the loop.
 *
 *   asked ---> reading on the pool ---> applied in one turn (reload.c) ---> askers answered
 *
 * Files may have changed after the reading began: who asks meanwhile gets a reading of their own.
 * So does who asks while a change of tags is being written to a file that is read (user_tags.c).
 */
#include <uv.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "reload.h"

struct asker {
    struct mu_link place;
    agent_reloaded_fn *done;
    void *data;
};

struct reading {
    uv_work_t work;
    struct agent *agent; /* NULL: it has stopped */
    const struct config *from;
    struct config *fresh; /* set on the pool, as are code and err */
    enum mu_code code;
    struct mu_err err;
    struct mu_link askers; /* of this reading */
};

static void answer_all(struct mu_link *askers, enum mu_code code, const char *restart,
                       const struct mu_err *err)
{
    struct mu_link *first;

    while ((first = mu_list_pop_front(askers)) != NULL) {
        struct asker *who = MU_CONTAINER(first, struct asker, place);

        who->done(who->data, code, restart, err);
        mu_free(who);
    }
}

/* -- reading ----------------------------------------------------------------------------------- */

/* On the pool: nothing is touched but this. */
static void on_work(uv_work_t *work)
{
    struct reading *r = work->data;

    r->code = config_load_again(&r->fresh, r->from, &r->err);
}

static void tell_applied(const struct agent *a, const struct mu_buf *restart)
{
    for (size_t i = 0; i < a->config->warnings_count; i++) {
        mu_log(MU_WARN, "agent", a->config->warnings[i]);
    }
    if (restart->bytes > 0) {
        mu_log(MU_WARN, "agent", "Settings that differ need a restart to take effect",
               mu_kv_span("settings", mu_buf_span(restart)));
    }
    mu_log(MU_INFO, "agent", "Configuration reloaded");
}

static void finish(struct agent *a, struct reading *r)
{
    struct mu_buf restart = MU_BUF_NONE;

    if (r->code == MU_OK) {
        r->code = agent__reload_apply(a, r->fresh, &restart, &r->err);
        r->fresh = NULL;
    }
    if (r->code == MU_OK) {
        tell_applied(a, &restart);
    } else {
        mu_log(MU_ERROR, "agent", "Configuration was not reloaded, nothing changed",
               mu_kv("error", r->err.text));
    }
    answer_all(&r->askers, r->code, mu_buf_text(&restart), &r->err);
    mu_buf_deinit(&restart);
}

static void on_worked(uv_work_t *work, int status)
{
    struct reading *r = work->data;
    struct agent *a = r->agent;

    MU_ASSERT(status == 0); /* nobody cancels */
    if (a != NULL) {
        a->reload.reading = NULL;
        finish(a, r);
    }
    config_free(r->fresh);
    mu_free(r);
    if (a != NULL) {
        agent__user_tags_next(a);
        agent__reload_next(a);
    }
}

static void begin(struct agent *a)
{
    struct reading *r = mu_new(sizeof *r);
    struct mu_link *first;

    mu_log(MU_INFO, "agent", "Reloading configuration...");
    r->work.data = r;
    r->agent = a;
    r->from = a->config;
    mu_list_init(&r->askers);
    while ((first = mu_list_pop_front(&a->reload.waiting)) != NULL) {
        mu_list_push_back(&r->askers, first);
    }
    a->reload.reading = r;
    MU_ASSERT(uv_queue_work(a->loop, &r->work, on_work, on_worked) == 0);
}

/* -- what others call -------------------------------------------------------------------------- */

void agent_reload(struct agent *a, agent_reloaded_fn *done, void *data)
{
    struct asker *who = mu_new(sizeof *who);

    who->done = done;
    who->data = data;
    mu_list_push_back(&a->reload.waiting, &who->place);
    agent__reload_next(a);
}

bool agent__reload_is_reading(const struct agent *a)
{
    return a->reload.reading != NULL;
}

void agent__reload_next(struct agent *a)
{
    if (a->reload.reading == NULL && !mu_list_empty(&a->reload.waiting) &&
        !agent__user_tags_are_written(a)) {
        begin(a);
    }
}

void agent__reload_open(struct agent *a)
{
    mu_list_init(&a->reload.waiting);
}

void agent__reload_close(struct agent *a)
{
    struct reading *r = a->reload.reading;
    struct mu_err err = MU_ERR_NONE;

    (void)mu_fail(&err, MU_CANCELLED, "the agent is stopping");
    if (r != NULL) {
        a->reload.reading = NULL;
        r->agent = NULL; /* it ends by itself, and nobody waits for it */
        answer_all(&r->askers, MU_CANCELLED, "", &err);
    }
    answer_all(&a->reload.waiting, MU_CANCELLED, "", &err);
}
