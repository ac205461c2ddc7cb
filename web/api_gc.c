/* /v1/operator/gc: what is going to be forgotten, and letting it go now. Ours, not the reference's.
 */
#include "agent/gc.h"

#include "handlers.h"
#include "params.h"
#include "write.h"

static void put_entry(struct mu_json_out *o, const struct agent_gc_entry *e)
{
    mu_json_open(o, '{');
    mu_json_text(o, "Node", e->node);
    mu_json_text(o, "From", e->is_member ? "members" : "catalog");
    mu_json_text(o, "Status", e->status);
    mu_json_text(o, "Rule", e->rule);
    mu_json_u64(o, "InMs", e->in_ms);
    mu_json_u64(o, "Services", e->services);
    mu_json_u64(o, "Checks", e->checks);
    mu_json_u64(o, "Sessions", e->sessions);
    mu_json_close(o, '}');
}

void api_gc(struct request *r)
{
    struct mu_err err = MU_ERR_NONE;
    struct mu_json_out o;
    struct agent_gc gc;
    enum mu_code rc = agent_gc_look(r->front->agent, &r->arena, &gc, &err);

    if (rc != MU_OK) {
        answer_code(r, rc, &err);
        return;
    }
    response_json(r, &o);
    mu_json_open(&o, '{');
    mu_json_text(&o, "Leader", agent_node_name(r->front->agent));
    mu_json_boolean(&o, "Paused", gc.is_paused);
    mu_json_u64(&o, "Failed", gc.failed);
    mu_json_u64(&o, "Members", gc.members);
    mu_json_u64(&o, "Total", gc.total);
    mu_json_key(&o, "Entries");
    mu_json_open(&o, '[');
    for (size_t i = 0; i < gc.count; i++) {
        put_entry(&o, &gc.entries[i]);
    }
    mu_json_close(&o, ']');
    mu_json_close(&o, '}');
    answer_json(r, &o);
}

static void on_gone(void *data, enum mu_code code, const struct agent_gone *gone,
                    const struct mu_err *err)
{
    struct request *r = data;
    struct mu_json_out o;

    write_end(r);
    if (code != MU_OK) {
        answer_textf(r, 500, "%s", err->text);
        return;
    }
    response_json(r, &o);
    mu_json_open(&o, '{');
    mu_json_u64(&o, "Members", gone->members);
    mu_json_u64(&o, "Nodes", gone->nodes);
    mu_json_u64(&o, "LeftOver", gone->left_over);
    mu_json_close(&o, '}');
    answer_json(r, &o);
}

void api_gc_run(struct request *r)
{
    struct mu_err err = MU_ERR_NONE;
    enum mu_code rc;

    write_begin(r);
    rc = agent_gc(r->front->agent, params_has(&r->params, "force"), on_gone, r, &err);
    if (rc == MU_OK) {
        return;
    }
    write_end(r);
    if (rc == MU_CONFLICT) {
        answer_textf(r, 409, "%s", err.text);
    } else {
        answer_code(r, rc, &err);
    }
}
