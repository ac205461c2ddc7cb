/* explain.c - why a member is held what it is. Every agent tells what gossip remembers of it, the
 * leader also what the catalog holds and when the node goes; one asks all, by a query.
 */
#include "agent/explain.h"

#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "explain_report.h"
#include "survey.h"

#define QUERY       "_serf_muster-explain"
#define SILENT_MAX  64U /* alive ones that are named when they do not answer */
#define ANSWERS_MAX 4096U

struct explain_call {
    struct survey survey;
    char *node;
    struct agent_account *accounts;
    size_t count;
    agent_explained_fn *done;
    void *data;
};

/* -- what this agent knows --------------------------------------------------------------------- */

static const char *way_text(enum gossip_way way)
{
    static const char *const text[] = {
        [GOSSIP_WAY_UNKNOWN] = "-",       [GOSSIP_WAY_OPEN] = "open",
        [GOSSIP_WAY_REFUSED] = "refused", [GOSSIP_WAY_SILENT] = "silent",
        [GOSSIP_WAY_STALLED] = "stalled",
    };

    return text[way];
}

static const char *change_text(enum gossip_change change)
{
    static const char *const text[] = {
        [GOSSIP_CHANGE_MISSED] = "missed",       [GOSSIP_CHANGE_SUSPECTED] = "suspected",
        [GOSSIP_CHANGE_CONFIRMED] = "confirmed", [GOSSIP_CHANGE_REFUTED] = "refuted",
        [GOSSIP_CHANGE_DEAD] = "dead",           [GOSSIP_CHANGE_LEAVING] = "leaving",
        [GOSSIP_CHANGE_LEFT] = "left",           [GOSSIP_CHANGE_RETURNED] = "returned",
    };

    return text[change];
}

struct recollection {
    struct mu_arena *arena;
    struct agent_change *changes;
    size_t count;
    uint64_t now_ms;
};

static void recollect(void *data, const struct gossip_record *r)
{
    struct recollection *to = data;

    if (to->count < EXPLAIN_CHANGES_MAX) {
        to->changes[to->count++] = (struct agent_change){ .what = change_text(r->change),
                                                          .way = way_text(r->way),
                                                          .ago_ms = to->now_ms - r->at_ms,
                                                          .incarnation = r->incarnation,
                                                          .asked = r->asked,
                                                          .refused = r->refused,
                                                          .answered = r->answered,
                                                          .by = mu_arena_strdup(to->arena, r->by) };
    }
}

static uint64_t ago(uint64_t now_ms, uint64_t at_ms)
{
    return at_ms == 0 ? AGENT_NEVER : now_ms - at_ms;
}

static void take_gossip(const struct gossip_account *g, struct agent_account *out)
{
    out->is_known = true;
    out->status = gossip_status_text(g->member.status);
    out->state = g->state;
    out->state_for_ms = g->now_ms - g->state_ms;
    out->incarnation = g->member.incarnation;
    out->acked_ago_ms = ago(g->now_ms, g->acked_ms);
    out->heard_ago_ms = ago(g->now_ms, g->heard_ms);
    out->rtt_us = g->rtt_us;
    out->missed = g->missed;
    out->health = g->health;
    out->is_suspected = g->member.is_suspect;
    out->evidence = way_text(g->evidence);
    out->confirmations = g->confirmations;
    out->wanted = g->wanted;
    out->deadline_in_ms = g->deadline_ms > g->now_ms ? g->deadline_ms - g->now_ms : 0;
}

static void look(struct agent *a, const char *node, struct mu_arena *arena,
                 struct agent_account *out)
{
    struct recollection past = { .arena = arena };
    struct gossip_account g;

    *out = (struct agent_account){ .seen_by = a->config->node_name,
                                   .status = "none",
                                   .state = "dead",
                                   .evidence = "-",
                                   .check = "none",
                                   .plan = "none" };
    agent__leader_explain(a, node, out);
    if (!gossip_driver_explain(a->gossip, node, &g)) {
        return;
    }
    take_gossip(&g, out);
    past.now_ms = g.now_ms;
    past.changes = mu_arena_array(arena, EXPLAIN_CHANGES_MAX, sizeof *past.changes);
    gossip_driver_each_record(a->gossip, node, recollect, &past);
    out->changes = past.changes;
    out->changes_count = past.count;
}

/* -- answering --------------------------------------------------------------------------------- */

bool agent__explain_query(struct agent *a, const struct gossip_query *query)
{
    struct mu_buf text = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;
    struct agent_account account;
    struct mu_arena arena;

    if (strcmp(query->name, QUERY) != 0) {
        return false;
    }
    mu_arena_init(&arena, 0);
    if (query->payload.bytes > 0 && query->payload.bytes <= MU_NODE_NAME_MAX) {
        look(a, mu_arena_text(&arena, query->payload.data, query->payload.bytes), &arena, &account);
        explain_report_write(&text, &account);
        if (gossip_driver_respond(a->gossip, query->ltime, query->id, mu_buf_span(&text), &err) !=
            MU_OK) {
            mu_log(MU_DEBUG, "agent", "Cannot answer about a member", mu_kv("error", err.text));
        }
    }
    mu_buf_deinit(&text);
    mu_arena_deinit(&arena);
    return true;
}

/* -- asking ------------------------------------------------------------------------------------ */

static struct agent_account *account_add(struct explain_call *c)
{
    c->accounts = mu_arena_grow(&c->survey.arena, c->accounts, c->count, sizeof *c->accounts);
    return &c->accounts[c->count++];
}

static enum mu_code verdict(struct explain_call *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->accounts[i].is_known) {
            return MU_OK;
        }
    }
    return mu_fail(&c->survey.err, MU_NOT_FOUND,
                   "No node of the name \"%s\" is known to any member", c->node);
}

static void on_account(struct survey *s, const char *seer, struct mu_span text)
{
    struct explain_call *c = MU_CONTAINER(s, struct explain_call, survey);
    struct mu_err err = MU_ERR_NONE;
    struct agent_account account;

    if (c->count == ANSWERS_MAX) {
        return;
    }
    if (explain_report_read(text, &s->arena, &account, &err) != MU_OK) {
        mu_log(MU_WARN, "agent", "An answer about a member cannot be read", mu_kv("member", seer),
               mu_kv("error", err.text));
        return;
    }
    account.seen_by = seer;
    *account_add(c) = account;
}

static void on_end(struct survey *s, enum mu_code code)
{
    struct explain_call *c = MU_CONTAINER(s, struct explain_call, survey);
    struct mu_table_at at = { .started = false };
    const char **silent = mu_arena_array(&s->arena, SILENT_MAX, sizeof *silent);
    struct agent_explanation e = { .accounts = c->accounts,
                                   .accounts_count = c->count,
                                   .silent = silent };

    while (e.silent_count < SILENT_MAX && mu_table_next(s->waiting, &at)) {
        silent[e.silent_count++] = at.value;
    }
    code = code == MU_OK ? verdict(c) : code;
    c->done(c->data, code, &e, &s->err);
    survey_close(s);
    mu_free(c);
}

void agent_explain(struct agent *a, const char *node, agent_explained_fn *done, void *data)
{
    static const struct survey_kind kind = { .query = QUERY,
                                             .too_many = "Too many are asking about nodes",
                                             .answer = on_account,
                                             .end = on_end };
    struct explain_call *c = mu_new(sizeof *c);
    struct survey *s = &c->survey;

    c->done = done;
    c->data = data;
    survey_open(s, a, &kind);
    c->node = mu_arena_strdup(&s->arena, node);
    if (*node == '\0' || strlen(node) > MU_NODE_NAME_MAX) {
        (void)mu_fail(&s->err, MU_INVALID, "A node's name has 1 to %u bytes", MU_NODE_NAME_MAX);
    }
    survey_ask(s, mu_span_text(c->node), 0);
    if (s->err.code == MU_OK) { /* ours is the first: no answer comes from inside of that */
        look(a, c->node, &s->arena, account_add(c));
    }
}
