/* GET /v1/agent/explain/node/:node: why it is held what it is. Ours, not the reference's. */
#include "agent/explain.h"

#include "handlers.h"
#include "write.h"

static void put_time(struct mu_json_out *o, const char *name, uint64_t ms)
{
    if (ms == AGENT_NEVER) {
        mu_json_nothing(o, name);
    } else {
        mu_json_u64(o, name, ms);
    }
}

static void put_change(struct mu_json_out *o, const struct agent_change *c)
{
    mu_json_open(o, '{');
    mu_json_text(o, "Change", c->what);
    mu_json_u64(o, "AgoMs", c->ago_ms);
    mu_json_text(o, "By", c->by);
    mu_json_text(o, "Evidence", c->way);
    mu_json_u64(o, "Incarnation", c->incarnation);
    mu_json_u64(o, "Asked", c->asked);
    mu_json_u64(o, "Refused", c->refused);
    mu_json_u64(o, "Answered", c->answered);
    mu_json_close(o, '}');
}

static void put_suspicion(struct mu_json_out *o, const struct agent_account *a)
{
    if (!a->is_suspected) {
        mu_json_nothing(o, "Suspicion");
        return;
    }
    mu_json_key(o, "Suspicion");
    mu_json_open(o, '{');
    mu_json_text(o, "Evidence", a->evidence);
    mu_json_u64(o, "Confirmations", a->confirmations);
    mu_json_u64(o, "Wanted", a->wanted);
    mu_json_u64(o, "DeadlineInMs", a->deadline_in_ms);
    mu_json_close(o, '}');
}

static void put_account(struct mu_json_out *o, const struct agent_account *a)
{
    mu_json_open(o, '{');
    mu_json_text(o, "SeenBy", a->seen_by);
    mu_json_boolean(o, "Known", a->is_known);
    if (a->is_known) {
        mu_json_text(o, "Status", a->status);
        mu_json_text(o, "State", a->state);
        mu_json_u64(o, "ForMs", a->state_for_ms);
        mu_json_u64(o, "Incarnation", a->incarnation);
        put_time(o, "AckedAgoMs", a->acked_ago_ms);
        put_time(o, "HeardAgoMs", a->heard_ago_ms);
        mu_json_u64(o, "RttUs", a->rtt_us);
        mu_json_u64(o, "Missed", a->missed);
        mu_json_u64(o, "Health", a->health);
        put_suspicion(o, a);
        mu_json_key(o, "Changes");
        mu_json_open(o, '[');
        for (size_t i = 0; i < a->changes_count; i++) {
            put_change(o, &a->changes[i]);
        }
        mu_json_close(o, ']');
        mu_json_boolean(o, "HasMore", a->has_more);
    }
    mu_json_close(o, '}');
}

static void put_leader(struct mu_json_out *o, const struct agent_explanation *e)
{
    for (size_t i = 0; i < e->accounts_count; i++) {
        const struct agent_account *a = &e->accounts[i];

        if (a->is_leader) {
            mu_json_key(o, "Leader");
            mu_json_open(o, '{');
            mu_json_text(o, "Name", a->seen_by);
            mu_json_text(o, "Check", a->check);
            mu_json_text(o, "Plan", a->plan);
            mu_json_u64(o, "InMs", a->plan_in_ms);
            mu_json_u64(o, "Failed", a->failed);
            mu_json_u64(o, "Members", a->members);
            mu_json_close(o, '}');
            return;
        }
    }
    mu_json_nothing(o, "Leader");
}

static void on_explained(void *data, enum mu_code code, const struct agent_explanation *e,
                         const struct mu_err *err)
{
    struct request *r = data;
    struct mu_json_out o;

    write_end(r);
    if (code == MU_NOT_FOUND || code == MU_INVALID) {
        answer_textf(r, code == MU_NOT_FOUND ? 404 : 400, "%s", err->text);
        return;
    }
    if (code != MU_OK) {
        answer_code(r, code, err);
        return;
    }
    response_json(r, &o);
    mu_json_open(&o, '{');
    mu_json_span(&o, "Node", r->argument);
    mu_json_key(&o, "Accounts");
    mu_json_open(&o, '[');
    for (size_t i = 0; i < e->accounts_count; i++) {
        put_account(&o, &e->accounts[i]);
    }
    mu_json_close(&o, ']');
    put_leader(&o, e);
    mu_json_key(&o, "Silent");
    mu_json_open(&o, '[');
    for (size_t i = 0; i < e->silent_count; i++) {
        mu_json_put_text(&o, e->silent[i]);
    }
    mu_json_close(&o, ']');
    mu_json_close(&o, '}');
    answer_json(r, &o);
}

void api_explain_node(struct request *r)
{
    const char *node = mu_arena_text(&r->arena, r->argument.data, r->argument.bytes);

    write_begin(r);
    agent_explain(r->front->agent, node, on_explained, r);
}
