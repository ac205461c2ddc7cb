/* GET /v1/agent/links: which ways between members carry nothing. Ours, not the reference's. */
#include "agent/doctor.h"

#include "handlers.h"
#include "write.h"

static void put_link(struct mu_json_out *o, const struct agent_broken_link *link)
{
    mu_json_open(o, '{');
    mu_json_text(o, "From", link->from);
    mu_json_text(o, "To", link->to);
    mu_json_text(o, "Protocol", "udp");
    mu_json_text(o, "SeenBy", link->seen_by);
    mu_json_text(o, "TCP", link->tcp);
    mu_json_u64(o, "Missed", link->missed);
    mu_json_close(o, '}');
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
    mu_json_u64(&o, "Members", d->members);
    mu_json_key(&o, "Silent");
    mu_json_open(&o, '[');
    for (size_t i = 0; i < d->silent_count; i++) {
        mu_json_put_text(&o, d->silent[i]);
    }
    mu_json_close(&o, ']');
    mu_json_key(&o, "Links");
    mu_json_open(&o, '[');
    for (size_t i = 0; i < d->links_count; i++) {
        put_link(&o, &d->links[i]);
    }
    mu_json_close(&o, ']');
    mu_json_boolean(&o, "HasMore", d->has_more);
    mu_json_close(&o, '}');
    answer_json(r, &o);
}

void api_doctor(struct request *r)
{
    write_begin(r);
    agent_doctor(r->front->agent, on_diagnosis, r);
}
