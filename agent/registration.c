/* registration.c - services and checks of this node: asked for over the API, kept over restarts.
 *
 * A change goes into local.h at once; its listener starts or stops the runner, writes the file, and
 * makes anti-entropy due. The asker is answered after the next attempt to sync (http-api 3.3).
 */
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "check.h"
#include "core.h"
#include "persist.h"

#define NODE_MAINTENANCE    "_node_maintenance"
#define SERVICE_MAINTENANCE "_service_maintenance:"

#define DEFAULT_REASON                                                                        \
    "Maintenance mode is enabled for this %s, but no reason was provided. This is a default " \
    "message."

/* -- asked for over the API -------------------------------------------------------------------- */

static void answer(struct agent *a, enum mu_code rc, const struct mu_err *err, agent_done_fn *done,
                   void *data)
{
    if (rc == MU_OK) {
        agent__sync_then(a, done, data);
    } else {
        agent__later(a, done, data, rc, err->text);
    }
}

void agent_service_register(struct agent *a, const struct service_definition *d,
                            bool replace_checks, agent_done_fn *done, void *data)
{
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc = MU_OK;

    for (size_t i = 0; i < d->checks_count && rc == MU_OK; i++) {
        rc = checks_supported(&d->checks[i], &err);
    }
    if (rc == MU_OK) {
        rc = local_service_add(a->local, d, LOCAL_FROM_API, replace_checks, &err);
    }
    answer(a, rc, &err, done, data);
}

void agent_service_deregister(struct agent *a, struct mu_span id, agent_done_fn *done, void *data)
{
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc = local_service_remove(a->local, id, &err);

    answer(a, rc, &err, done, data);
}

void agent_check_register(struct agent *a, const struct check_definition *d, agent_done_fn *done,
                          void *data)
{
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc = checks_supported(d, &err);

    if (rc == MU_OK) {
        rc = local_check_add(a->local, d, LOCAL_FROM_API, &err);
    }
    answer(a, rc, &err, done, data);
}

void agent_check_deregister(struct agent *a, struct mu_span id, agent_done_fn *done, void *data)
{
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc = local_check_remove(a->local, id, &err);

    answer(a, rc, &err, done, data);
}

void agent_check_ttl(struct agent *a, struct mu_span id, enum check_status status,
                     struct mu_span output, agent_done_fn *done, void *data)
{
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc = checks_ttl(a->checks, id, status, output, &err);

    if (rc == MU_OK) {
        persist_ttl(a->persist, id, mu_clock_wall_ns());
    }
    answer(a, rc, &err, done, data);
}

/* -- maintenance (http-api 3.6) ---------------------------------------------------------------- */

void agent_maintenance(struct agent *a, struct mu_span service_id, bool enable,
                       struct mu_span reason, agent_done_fn *done, void *data)
{
    bool is_node = service_id.bytes == 0;
    struct mu_err err = MU_ERR_NONE;
    struct local_service service;
    struct local_check check;
    struct mu_arena arena;
    enum mu_code rc = MU_OK;

    if (!is_node && !local_service_find(a->local, service_id, &service)) {
        rc = mu_fail(&err, MU_NOT_FOUND, "No service registered with ID \"%.*s\"",
                     MU_SPAN_FMT(service_id));
        answer(a, rc, &err, done, data);
        return;
    }
    mu_arena_init(&arena, 0);
    struct check_definition d = {
        .id = mu_span_text(
            is_node ? NODE_MAINTENANCE
                    : mu_arena_printf(&arena, SERVICE_MAINTENANCE "%.*s", MU_SPAN_FMT(service_id))),
        .name = mu_span_text(is_node ? "Node Maintenance Mode" : "Service Maintenance Mode"),
        .status = MU_SPAN_LIT("critical"),
        .service_id = service_id,
        .notes = reason.bytes > 0 ? reason
                                  : mu_span_text(mu_arena_printf(&arena, DEFAULT_REASON,
                                                                 is_node ? "node" : "service")),
    };
    bool is_there = local_check_find(a->local, d.id, &check);

    if (enable && !is_there) { /* a second time keeps the first reason */
        rc = local_check_add(a->local, &d, LOCAL_FROM_API, &err);
    } else if (!enable && is_there) {
        rc = local_check_remove(a->local, d.id, &err);
    }
    mu_arena_deinit(&arena);
    answer(a, rc, &err, done, data);
}

/* -- over restarts ----------------------------------------------------------------------------- */

static uint64_t now_for_checks(void *owner)
{
    return timers_now(((struct agent *)owner)->timers);
}

static void on_checks_due(void *data)
{
    struct agent *a = data;

    checks_wake(a->checks);
}

static void aim_checks(void *owner, uint64_t at_ms)
{
    struct agent *a = owner;
    uint64_t now_ms = timers_now(a->timers);

    if (at_ms == 0) {
        timer_cancel(&a->checks_timer);
        return;
    }
    timer_set(a->timers, &a->checks_timer, at_ms > now_ms ? at_ms - now_ms : 0, on_checks_due, a);
}

void agent__registration_changed(struct agent *a, enum local_change_kind kind, struct mu_span id)
{
    checks_changed(a->checks, kind, id);
    if (!a->is_restoring) {
        persist_changed(a->persist, kind, id);
    }
    if ((kind == LOCAL_SERVICE_SET || kind == LOCAL_SERVICE_GONE) && a->has_front &&
        a->front.services_changed != NULL) {
        a->front.services_changed(a->front.data);
    }
}

/* What the configuration defines; it was checked when it was loaded. */
static enum mu_code restore_configured(struct agent *a, struct mu_err *err)
{
    const struct config *c = a->config;
    enum mu_code rc = MU_OK;

    for (size_t i = 0; i < c->services_count && rc == MU_OK; i++) {
        for (size_t j = 0; j < c->services[i].checks_count && rc == MU_OK; j++) {
            rc = checks_supported(&c->services[i].checks[j], err);
        }
        if (rc == MU_OK) {
            rc = local_service_add(a->local, &c->services[i], LOCAL_FROM_CONFIG, true, err);
        }
        if (rc != MU_OK) {
            return mu_wrap(err, rc, "service \"%.*s\"", MU_SPAN_FMT(c->services[i].name));
        }
    }
    for (size_t i = 0; i < c->checks_count; i++) {
        rc = checks_supported(&c->checks[i], err);
        if (rc == MU_OK) {
            rc = local_check_add(a->local, &c->checks[i], LOCAL_FROM_CONFIG, err);
        }
        if (rc != MU_OK) {
            return mu_wrap(err, rc, "check \"%.*s\"", MU_SPAN_FMT(c->checks[i].name));
        }
    }
    return MU_OK;
}

enum mu_code agent__registration_open(struct agent *a, struct mu_err *err)
{
    struct checks_options options = {
        .loop = a->loop,
        .local = a->local,
        .rand = &a->rand,
        .output_bytes_max = (size_t)a->config->check_output_max_size,
        .discards_output = a->config->discard_check_output,
        .now = now_for_checks,
        .aim = aim_checks,
        .owner = a,
    };

    a->checks = checks_new(&options);
    return persist_new(&a->persist, a->loop, a->local, a->data.dir, err);
}

enum mu_code agent__registration_restore(struct agent *a, struct mu_err *err)
{
    a->is_restoring = true;
    enum mu_code rc = restore_configured(a, err);

    if (rc == MU_OK) {
        rc = persist_restore(a->persist, mu_clock_wall_ns(), err);
    }
    a->is_restoring = false;
    return rc;
}

void agent__registration_close(struct agent *a)
{
    if (a->local != NULL) {
        local_set_listener(a->local, NULL, NULL);
    }
    timer_cancel(&a->checks_timer);
    checks_free(a->checks);
    a->checks = NULL;
}
