/* /v1/operator/recovery: a cluster that lost its quorum, and the way on. Ours, not the reference's.
 */
#include "agent/recover.h"

#include "handlers.h"
#include "objects.h"
#include "params.h"
#include "write.h"

static void put_server(struct mu_json_out *o, const struct agent_survivor *s)
{
    const struct recovery_position *p = &s->position;

    mu_json_open(o, '{');
    objects_id(o, "ID", &s->id);
    mu_json_text(o, "Node", s->name);
    mu_json_text(o, "Address", s->address);
    mu_json_boolean(o, "Voter", s->is_voter);
    mu_json_boolean(o, "Answers", s->err.code == MU_OK);
    mu_json_text(o, "Error", s->err.code == MU_OK ? "" : s->err.text);
    mu_json_boolean(o, "New", s->err.code == MU_OK && mu_id_is_none(&p->cluster));
    mu_json_boolean(o, "Old", s->is_of_old_epoch);
    objects_id(o, "Leader", &s->leader);
    mu_json_u64(o, "Epoch", p->epoch);
    mu_json_u64(o, "Term", p->term);
    mu_json_u64(o, "LastTerm", p->last_term);
    mu_json_u64(o, "LastIndex", p->last_index);
    mu_json_u64(o, "AppliedIndex", p->applied_index);
    mu_json_text(o, "Damage", p->damage);
    mu_json_close(o, '}');
}

static void on_looked(void *data, enum mu_code code, const struct agent_recovery *recovery,
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
    mu_json_key(&o, "Servers");
    mu_json_open(&o, '[');
    for (size_t i = 0; i < recovery->count; i++) {
        put_server(&o, &recovery->servers[i]);
    }
    mu_json_close(&o, ']');
    objects_id(&o, "Chosen",
               recovery->chosen != AGENT_RECOVERY_NOBODY ? &recovery->servers[recovery->chosen].id
                                                         : &MU_ID_NONE);
    mu_json_u64(&o, "Unsure", recovery->unsure);
    mu_json_text(&o, "Refusal", recovery->why.text);
    mu_json_boolean(&o, "CanBeForced", recovery->can_be_forced);
    mu_json_boolean(&o, "MayPass", recovery->may_pass);
    mu_json_close(&o, '}');
    answer_json(r, &o);
}

static struct agent_recovery_wish wish_of(const struct request *r)
{
    return (struct agent_recovery_wish){ .server = params_text(&r->params, "server"),
                                         .is_forced = params_has(&r->params, "force") };
}

void api_recovery(struct request *r)
{
    struct agent_recovery_wish wish = wish_of(r);

    write_begin(r);
    agent_recovery_look(r->front->agent, &wish, on_looked, r);
}

static void on_begun(void *data, enum mu_code code, const struct agent_recovered *recovered,
                     const struct mu_err *err)
{
    struct request *r = data;
    struct mu_json_out o;

    write_end(r);
    if (code != MU_OK) { /* 409: certainly not begun */
        answer_textf(r, code == MU_LOST || code == MU_TIMEOUT ? 500 : 409, "%s", err->text);
        return;
    }
    response_json(r, &o);
    mu_json_open(&o, '{');
    objects_id(&o, "ID", &recovered->server);
    mu_json_text(&o, "Node", recovered->name);
    mu_json_u64(&o, "Epoch", recovered->epoch);
    mu_json_close(&o, '}');
    answer_json(r, &o);
}

/* ?server= or the furthest; ?index= and ?term= as a look has shown them: what somebody agreed to
 * must not be something else by now. */
void api_recovery_begin(struct request *r)
{
    struct agent_recovery_wish wish = wish_of(r);
    struct mu_err err = MU_ERR_NONE;
    uint64_t index = 0, term = 0;

    if (!params_has(&r->params, "index") || !params_has(&r->params, "term")) {
        answer_text(r, 400,
                    "Bad request: ?index and ?term must say how far the log goes that is to be "
                    "continued, as GET shows it");
        return;
    }
    enum mu_code rc = params_u64(params_text(&r->params, "index"), &index, &err);

    rc = rc == MU_OK ? params_u64(params_text(&r->params, "term"), &term, &err) : rc;
    if (rc != MU_OK) {
        answer_textf(r, 400, "Bad request: %s", err.text);
        return;
    }
    write_begin(r);
    agent_recovery_begin(r->front->agent, &wish, index, term, on_begun, r);
}
