/* GET /v1/agent/links: what is wrong between members, and with them. Ours, not the reference's. */
#include "agent/doctor.h"

#include <string.h>

#include "handlers.h"
#include "write.h"

static void put_way(struct mu_json_out *o, const struct agent_finding *f)
{
    bool is_port = f->kind == AGENT_FINDING_PORT, is_narrow = f->kind == AGENT_FINDING_NARROW;

    mu_json_text(o, "From", f->from);
    mu_json_text(o, "To", f->to);
    mu_json_text(o, "Protocol", is_port ? "tcp" : "udp");
    mu_json_text(o, "SeenBy", f->seen_by);
    mu_json_text(o, "TCP", f->way);
    mu_json_i64(o, is_port ? "Port" : is_narrow ? "Bytes" : "Missed", f->number);
}

static void put_failed(struct mu_json_out *o, const struct agent_finding *f)
{
    mu_json_text(o, "Name", f->name);
    mu_json_i64(o, "ForMs", f->number);
    mu_json_text(o, "DeclaredBy", f->more);
    mu_json_text(o, "TCP", f->way);
    mu_json_text(o, "SeenBy", f->seen_by);
}

static void put_state(struct mu_json_out *o, const struct agent_finding *f)
{
    mu_json_text(o, "Name", f->seen_by);
    mu_json_text(o, "State", f->name);
    mu_json_text(o, "Member", f->to);
    mu_json_text(o, "Text", f->more);
}

static void put_refused(struct mu_json_out *o, const struct agent_finding *f)
{
    mu_json_text(o, "SeenBy", f->seen_by);
    mu_json_text(o, "From", f->name);
    mu_json_text(o, "Reason", f->more);
    mu_json_i64(o, "Count", f->number);
}

static void put_busy(struct mu_json_out *o, const struct agent_finding *f)
{
    mu_json_text(o, "Name", f->seen_by);
    mu_json_i64(o, "Dropped", f->number);
}

static void put_clock(struct mu_json_out *o, const struct agent_finding *f)
{
    mu_json_text(o, "Name", f->seen_by);
    mu_json_i64(o, "AheadMs", f->number);
}

/* Under which key kinds of findings stand, in this order: those of a range share one. */
static const struct {
    const char *key;
    enum agent_finding_kind first, last;
    void (*put)(struct mu_json_out *o, const struct agent_finding *f);
} lists[] = {
    { "Links", AGENT_FINDING_LINK, AGENT_FINDING_PORT, put_way },
    { "Failed", AGENT_FINDING_FAILED, AGENT_FINDING_FAILED, put_failed },
    { "States", AGENT_FINDING_STATE, AGENT_FINDING_STATE, put_state },
    { "Refused", AGENT_FINDING_REFUSED, AGENT_FINDING_REFUSED, put_refused },
    { "Busy", AGENT_FINDING_BUSY, AGENT_FINDING_BUSY, put_busy },
    { "Clocks", AGENT_FINDING_CLOCK, AGENT_FINDING_CLOCK, put_clock },
};

static void put_list(struct mu_json_out *o, size_t list, const struct agent_diagnosis *d)
{
    mu_json_key(o, lists[list].key);
    mu_json_open(o, '[');
    for (size_t i = 0; i < d->findings_count; i++) {
        const struct agent_finding *f = &d->findings[i];

        if (f->kind >= lists[list].first && f->kind <= lists[list].last) {
            mu_json_open(o, '{');
            lists[list].put(o, f);
            mu_json_close(o, '}');
        }
    }
    mu_json_close(o, ']');
}

static void on_diagnosis(void *data, enum mu_code code, const struct agent_diagnosis *d,
                         const struct mu_err *err)
{
    struct request *r = data;
    struct mu_json_out o;

    write_end(r);
    if (code != MU_OK) {
        answer_code(r, code, err);
        return;
    }
    response_json(r, &o);
    mu_json_open(&o, '{');
    mu_json_text(&o, "Asked", d->asked);
    mu_json_u64(&o, "Members", d->members);
    mu_json_key(&o, "Silent");
    mu_json_open(&o, '[');
    for (size_t i = 0; i < d->silent_count; i++) {
        mu_json_open(&o, '{');
        mu_json_text(&o, "Name", d->silent[i].name);
        mu_json_text(&o, "TCP", d->silent[i].tcp);
        mu_json_close(&o, '}');
    }
    mu_json_close(&o, ']');
    for (size_t i = 0; i < MU_LEN(lists); i++) {
        put_list(&o, i, d);
    }
    mu_json_boolean(&o, "HasMore", d->has_more);
    mu_json_close(&o, '}');
    answer_json(r, &o);
}

void api_doctor(struct request *r)
{
    write_begin(r);
    agent_doctor(r->front->agent, on_diagnosis, r);
}
