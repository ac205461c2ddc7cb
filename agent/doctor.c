/* doctor.c - every agent says what is wrong, as it sees it; one asks all, by a query.
 *
 * The answers take several ways (relayed): the straight one may be what is broken. Who is failed is
 * not asked, and is told from what this agent knows itself; of the answers about that only those
 * count which say otherwise.
 */
#include "agent/doctor.h"

#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "doctor_report.h"

#define RELAYS    2
#define CALLS_MAX 16U /* under way at once */

struct doctor_call {
    struct mu_link place;
    struct agent *agent;
    uint64_t query; /* 0: none is running */
    struct timer timer;
    struct mu_err err;
    struct mu_arena arena;
    struct mu_table *waiting; /* names that have not answered; views into the arena */
    size_t members;
    struct agent_finding *findings;
    size_t findings_count, findings_room;
    bool has_more;
    agent_doctor_fn *done;
    void *data;
};

/* -- asking -------------------------------------------------------------------------------------
 */

static void keep(struct doctor_call *c, struct agent_finding finding)
{
    if (c->findings_count == c->findings_room) {
        size_t room = c->findings_room * 2 + 16;
        struct agent_finding *grown = mu_arena_array(&c->arena, room, sizeof *grown);

        if (c->findings_count > 0) {
            memcpy(grown, c->findings, c->findings_count * sizeof *grown);
        }
        c->findings = grown;
        c->findings_room = room;
    }
    c->findings[c->findings_count++] = finding;
}

static struct agent_silent *silent_ones(struct doctor_call *c, size_t *count)
{
    struct agent_silent *silent =
        mu_arena_array(&c->arena, mu_table_count(c->waiting) + 1, sizeof *silent);
    struct mu_table_at at = { .started = false };

    *count = 0;
    while (mu_table_next(c->waiting, &at)) {
        enum gossip_way way = agent__doctor_way(c->agent, at.value);

        silent[(*count)++] = (struct agent_silent){ .name = at.value, .tcp = doctor_way_text(way) };
    }
    return silent;
}

static void call_end(struct doctor_call *c, enum mu_code code)
{
    struct agent_diagnosis d = { .members = c->members,
                                 .findings = c->findings,
                                 .findings_count = c->findings_count,
                                 .has_more = c->has_more };

    d.silent = silent_ones(c, &d.silent_count);
    if (c->query != 0) {
        gossip_driver_query_forget(c->agent->gossip, c->query);
    }
    mu_list_remove(&c->place);
    timer_cancel(&c->timer);
    c->done(c->data, code, &d, &c->err);
    mu_table_free(c->waiting);
    mu_arena_deinit(&c->arena);
    mu_free(c);
}

static void on_over(void *data)
{
    struct doctor_call *c = data;

    call_end(c, c->err.code);
}

/* -- what an answer says ----------------------------------------------------------------------- */

static struct agent_finding finding(enum agent_finding_kind kind, const char *seer,
                                    const struct doctor_line *l)
{
    return (struct agent_finding){ .kind = kind,
                                   .seen_by = seer,
                                   .from = "",
                                   .to = "",
                                   .name = l->name,
                                   .more = l->more,
                                   .way = doctor_way_text(l->way),
                                   .number = (int64_t)(l->number & INT64_MAX) };
}

static void take_way(struct doctor_call *c, const char *seer, const struct doctor_line *l)
{
    struct agent_finding f =
        finding(l->kind == DOCTOR_TCP ? AGENT_FINDING_PORT : AGENT_FINDING_LINK, seer, l);
    bool is_in = l->kind == DOCTOR_IN;

    f.from = is_in ? l->name : seer;
    f.to = is_in ? seer : l->name;
    f.name = "";
    keep(c, f);
}

static void take_clock(struct doctor_call *c, const char *seer, const struct doctor_line *l)
{
    struct agent_finding f = finding(AGENT_FINDING_CLOCK, seer, l);

    f.name = "";
    if (doctor_clock_is_off(l->number, (uint64_t)mu_clock_wall_ns() / MU_NS_PER_MS, &f.number)) {
        keep(c, f);
    }
}

/* Of one that we hold failed ourselves we have told already. */
static void take_failed(struct doctor_call *c, const char *seer, const struct doctor_line *l)
{
    struct gossip_view m;

    if (gossip_driver_find(c->agent->gossip, l->name, &m) && m.status == GOSSIP_STATUS_ALIVE) {
        keep(c, finding(AGENT_FINDING_FAILED, seer, l));
    }
}

static void take(struct doctor_call *c, const char *seer, const struct doctor_line *l)
{
    switch (l->kind) {
    case DOCTOR_CLOCK: take_clock(c, seer, l); break;
    case DOCTOR_STATE: keep(c, finding(AGENT_FINDING_STATE, seer, l)); break;
    case DOCTOR_BUSY: keep(c, finding(AGENT_FINDING_BUSY, seer, l)); break;
    case DOCTOR_REFUSED: keep(c, finding(AGENT_FINDING_REFUSED, seer, l)); break;
    case DOCTOR_OUT:
    case DOCTOR_IN:
    case DOCTOR_TCP: take_way(c, seer, l); break;
    case DOCTOR_FAILED: take_failed(c, seer, l); break;
    }
}

static void on_report(struct doctor_call *c, const char *from, struct mu_span text)
{
    char *seer = mu_table_remove(c->waiting, mu_span_text(from));
    struct mu_err err = MU_ERR_NONE;
    struct doctor_report report;

    if (seer == NULL) {
        return; /* twice, or nobody we asked */
    }
    if (doctor_report_read(text, &c->arena, &report, &err) != MU_OK) {
        mu_log(MU_WARN, "agent", "An answer about what is wrong cannot be read",
               mu_kv("member", from), mu_kv("error", err.text));
        return;
    }
    c->has_more = c->has_more || report.has_more;
    for (size_t i = 0; i < report.count; i++) {
        take(c, seer, &report.items[i]);
    }
}

static void on_reply(void *data, const struct gossip_reply *reply)
{
    struct doctor_call *c = data;

    if (reply->kind == GOSSIP_REPLY_RESPONSE) {
        on_report(c, reply->from, reply->payload);
    }
    if (reply->kind == GOSSIP_REPLY_DONE || mu_table_count(c->waiting) == 0) {
        call_end(c, MU_OK);
    }
}

static void note_failed(struct doctor_call *c, const struct gossip_view *m)
{
    struct agent__verdict v;

    agent__doctor_verdict(c->agent, m->name, &v);
    keep(c, (struct agent_finding){ .kind = AGENT_FINDING_FAILED,
                                    .seen_by = c->agent->config->node_name,
                                    .from = "",
                                    .to = "",
                                    .name = mu_arena_strdup(&c->arena, m->name),
                                    .more = mu_arena_strdup(&c->arena, v.by),
                                    .way = doctor_way_text(v.way),
                                    .number = (int64_t)v.since_ms });
}

static void wait_for(void *data, const struct gossip_view *m)
{
    struct doctor_call *c = data;

    if (m->status == GOSSIP_STATUS_ALIVE) {
        char *name = mu_arena_strdup(&c->arena, m->name);

        (void)mu_table_put(c->waiting, mu_span_text(name), name);
        c->members++;
    } else if (m->status == GOSSIP_STATUS_FAILED) {
        note_failed(c, m);
    }
}

static enum mu_code ask(struct doctor_call *c)
{
    struct agent *a = c->agent;
    struct gossip_query_params params = { .name = AGENT__DOCTOR_QUERY,
                                          .relay_factor = RELAYS,
                                          .is_internal = true,
                                          .timeout_ms = AGENT__DOCTOR_REACH_MS +
                                                        gossip_driver_query_timeout_ms(a->gossip) };
    size_t running = 0;

    MU_LIST_EACH (link, &a->doctor_calls) {
        (void)link;
        running++;
    }
    if (a->phase >= AGENT_STOPPING) {
        return mu_fail(&c->err, MU_CANCELLED, "this agent stops");
    }
    if (running > CALLS_MAX) {
        return mu_fail(&c->err, MU_BUSY, "Too many are asking what is wrong");
    }
    gossip_driver_each(a->gossip, wait_for, c);
    return gossip_driver_query(a->gossip, &params, on_reply, c, &c->query, &c->err);
}

void agent_doctor(struct agent *a, agent_doctor_fn *done, void *data)
{
    struct doctor_call *c = mu_new(sizeof *c);

    c->agent = a;
    c->done = done;
    c->data = data;
    c->waiting = mu_table_new();
    mu_arena_init(&c->arena, 0);
    mu_list_push_back(&a->doctor_calls, &c->place);
    if (ask(c) != MU_OK) {
        timer_set(a->timers, &c->timer, 0, on_over, c);
    }
}

void agent__doctor_cancel(struct agent *a)
{
    MU_LIST_EACH_SAFE (link, &a->doctor_calls) {
        struct doctor_call *c = MU_CONTAINER(link, struct doctor_call, place);

        call_end(c, mu_fail(&c->err, MU_CANCELLED, "this agent stops"));
    }
}
