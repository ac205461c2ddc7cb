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
#include "doctor_report.h"
#include "survey.h"

struct doctor_call {
    struct survey survey;
    size_t members;
    struct agent_finding *findings;
    size_t findings_count;
    bool has_more;
    agent_doctor_fn *done;
    void *data;
};

static void keep(struct doctor_call *c, struct agent_finding finding)
{
    c->findings =
        mu_arena_grow(&c->survey.arena, c->findings, c->findings_count, sizeof *c->findings);
    c->findings[c->findings_count++] = finding;
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
    struct agent_finding f = finding(l->kind == DOCTOR_TCP      ? AGENT_FINDING_PORT
                                     : l->kind == DOCTOR_NARROW ? AGENT_FINDING_NARROW
                                                                : AGENT_FINDING_LINK,
                                     seer, l);
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

    if (gossip_driver_find(c->survey.agent->gossip, l->name, &m) &&
        m.status == GOSSIP_STATUS_ALIVE) {
        keep(c, finding(AGENT_FINDING_FAILED, seer, l));
    }
}

static void take_astray(struct doctor_call *c, const char *seer, const struct doctor_line *l)
{
    struct agent_finding f = finding(AGENT_FINDING_STATE, seer, l);

    f.name = "wrong-address";
    f.to = l->name;
    f.more = mu_arena_printf(&c->survey.arena, "%s %s", l->name, l->more);
    keep(c, f);
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
    case DOCTOR_NARROW:
    case DOCTOR_TCP: take_way(c, seer, l); break;
    case DOCTOR_ASTRAY: take_astray(c, seer, l); break;
    case DOCTOR_FAILED: take_failed(c, seer, l); break;
    }
}

static void on_report(struct survey *s, const char *seer, struct mu_span text)
{
    struct doctor_call *c = MU_CONTAINER(s, struct doctor_call, survey);
    struct mu_err err = MU_ERR_NONE;
    struct doctor_report report;

    if (doctor_report_read(text, &s->arena, &report, &err) != MU_OK) {
        mu_log(MU_WARN, "agent", "An answer about what is wrong cannot be read",
               mu_kv("member", seer), mu_kv("error", err.text));
        return;
    }
    c->has_more = c->has_more || report.has_more;
    for (size_t i = 0; i < report.count; i++) {
        take(c, seer, &report.items[i]);
    }
}

/* -- asking -------------------------------------------------------------------------------------
 */

static void note_failed(struct doctor_call *c, const struct gossip_view *m)
{
    struct agent__verdict v;

    agent__doctor_verdict(c->survey.agent, m->name, &v);
    keep(c, (struct agent_finding){ .kind = AGENT_FINDING_FAILED,
                                    .seen_by = c->survey.agent->config->node_name,
                                    .from = "",
                                    .to = "",
                                    .name = mu_arena_strdup(&c->survey.arena, m->name),
                                    .more = mu_arena_strdup(&c->survey.arena, v.by),
                                    .way = doctor_way_text(v.way),
                                    .number = (int64_t)v.since_ms });
}

static void on_member(struct survey *s, const struct gossip_view *m)
{
    struct doctor_call *c = MU_CONTAINER(s, struct doctor_call, survey);

    if (m->status == GOSSIP_STATUS_ALIVE) {
        c->members++;
    } else if (m->status == GOSSIP_STATUS_FAILED) {
        note_failed(c, m);
    }
}

static void on_end(struct survey *s, enum mu_code code)
{
    struct doctor_call *c = MU_CONTAINER(s, struct doctor_call, survey);
    struct agent_silent *silent =
        mu_arena_array(&s->arena, mu_table_count(s->waiting) + 1, sizeof *silent);
    struct agent_diagnosis d = { .asked = s->agent->config->node_name,
                                 .members = c->members,
                                 .findings = c->findings,
                                 .findings_count = c->findings_count,
                                 .silent = silent,
                                 .has_more = c->has_more };
    struct mu_table_at at = { .started = false };

    while (mu_table_next(s->waiting, &at)) {
        enum gossip_way way = agent__doctor_way(s->agent, at.value);

        silent[d.silent_count++] =
            (struct agent_silent){ .name = at.value, .tcp = doctor_way_text(way) };
    }
    c->done(c->data, code, &d, &s->err);
    survey_close(s);
    mu_free(c);
}

void agent_doctor(struct agent *a, agent_doctor_fn *done, void *data)
{
    static const struct survey_kind kind = { .query = AGENT__DOCTOR_QUERY,
                                             .too_many = "Too many are asking what is wrong",
                                             .is_self_asked = true,
                                             .member = on_member,
                                             .answer = on_report,
                                             .end = on_end };
    struct doctor_call *c = mu_new(sizeof *c);

    c->done = done;
    c->data = data;
    survey_open(&c->survey, a, &kind);
    survey_ask(&c->survey, MU_SPAN_NONE,
               AGENT__DOCTOR_REACH_MS + gossip_driver_query_timeout_ms(a->gossip));
}
