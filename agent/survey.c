#include "survey.h"

#include "base/assert.h"

#define RELAYS      2   /* the straight way may be what is broken */
#define SURVEYS_MAX 16U /* of a kind, under way at once */

static void survey_end(struct survey *s, enum mu_code code)
{
    if (s->query != 0) {
        gossip_driver_query_forget(s->agent->gossip, s->query);
        s->query = 0;
    }
    s->kind->end(s, code);
}

static void on_over(void *data)
{
    struct survey *s = data;

    survey_end(s, s->err.code);
}

static void on_reply(void *data, const struct gossip_reply *reply)
{
    struct survey *s = data;

    if (reply->kind == GOSSIP_REPLY_RESPONSE) {
        const char *seer = mu_table_remove(s->waiting, mu_span_text(reply->from));

        if (seer != NULL) { /* not twice, and nobody who was not asked */
            s->kind->answer(s, seer, reply->payload);
        }
    }
    if (reply->kind == GOSSIP_REPLY_DONE || mu_table_count(s->waiting) == 0) {
        survey_end(s, MU_OK);
    }
}

static void on_member(void *data, const struct gossip_view *m)
{
    struct survey *s = data;

    if (m->status == GOSSIP_STATUS_ALIVE && (!m->is_self || s->kind->is_self_asked)) {
        char *name = mu_arena_strdup(&s->arena, m->name);

        (void)mu_table_put(s->waiting, mu_span_text(name), name);
    }
    if (s->kind->member != NULL) {
        s->kind->member(s, m);
    }
}

static size_t running(const struct survey *s)
{
    size_t count = 0;

    MU_LIST_EACH (link, &s->agent->surveys) {
        count += MU_CONTAINER(link, struct survey, place)->kind == s->kind;
    }
    return count;
}

static enum mu_code ask(struct survey *s, struct mu_span payload, uint64_t timeout_ms)
{
    struct agent *a = s->agent;
    struct gossip_query_params params = { .name = s->kind->query,
                                          .payload = payload,
                                          .relay_factor = RELAYS,
                                          .is_internal = true,
                                          .timeout_ms = timeout_ms };

    if (a->phase >= AGENT_STOPPING) {
        return mu_fail(&s->err, MU_CANCELLED, "this agent stops");
    }
    if (running(s) > SURVEYS_MAX) {
        return mu_fail(&s->err, MU_BUSY, "%s", s->kind->too_many);
    }
    gossip_driver_each(a->gossip, on_member, s);
    if (mu_table_count(s->waiting) == 0) { /* alone: what is known is all there is */
        timer_set(a->timers, &s->timer, 0, on_over, s);
        return MU_OK;
    }
    return gossip_driver_query(a->gossip, &params, on_reply, s, &s->query, &s->err);
}

void survey_ask(struct survey *s, struct mu_span payload, uint64_t timeout_ms)
{
    if (s->err.code != MU_OK || ask(s, payload, timeout_ms) != MU_OK) {
        timer_set(s->agent->timers, &s->timer, 0, on_over, s);
    }
}

void survey_open(struct survey *s, struct agent *a, const struct survey_kind *kind)
{
    *s = (struct survey){ .kind = kind, .agent = a, .waiting = mu_table_new() };
    mu_arena_init(&s->arena, 0);
    mu_list_push_back(&a->surveys, &s->place);
}

void survey_close(struct survey *s)
{
    MU_ASSERT(s->query == 0);
    mu_list_remove(&s->place);
    timer_cancel(&s->timer);
    mu_table_free(s->waiting);
    mu_arena_deinit(&s->arena);
}

void agent__surveys_cancel(struct agent *a)
{
    MU_LIST_EACH_SAFE (link, &a->surveys) {
        struct survey *s = MU_CONTAINER(link, struct survey, place);

        survey_end(s, mu_fail(&s->err, MU_CANCELLED, "this agent stops"));
    }
}
