/* explain.c - why a member is held what it is. Every agent tells what gossip remembers of it, the
 * leader also what the catalog holds and when the node goes; one asks all, by a query.
 */
#include "agent/explain.h"

#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "explain_report.h"

#define QUERY       "_serf_muster-explain"
#define RELAYS      2
#define CALLS_MAX   16U /* under way at once */
#define SILENT_MAX  64U /* alive ones that are named when they do not answer */
#define ANSWERS_MAX 4096U

struct explain_call {
    struct mu_link place;
    struct agent *agent;
    uint64_t query; /* 0: none is running */
    struct timer timer;
    struct mu_err err;
    struct mu_arena arena;
    char *node;
    struct mu_table *waiting; /* names that have not answered; views into the arena */
    struct agent_account *accounts;
    size_t count, room;
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
    if (c->count == c->room) {
        size_t room = c->room * 2 + 8;
        struct agent_account *grown = mu_arena_array(&c->arena, room, sizeof *grown);

        if (c->count > 0) {
            memcpy(grown, c->accounts, c->count * sizeof *grown);
        }
        c->accounts = grown;
        c->room = room;
    }
    return &c->accounts[c->count++];
}

static enum mu_code verdict(struct explain_call *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->accounts[i].is_known) {
            return MU_OK;
        }
    }
    return mu_fail(&c->err, MU_NOT_FOUND, "No node of the name \"%s\" is known to any member",
                   c->node);
}

static void call_end(struct explain_call *c, enum mu_code code)
{
    struct mu_table_at at = { .started = false };
    const char **silent = mu_arena_array(&c->arena, SILENT_MAX, sizeof *silent);
    struct agent_explanation e = { .accounts = c->accounts,
                                   .accounts_count = c->count,
                                   .silent = silent };

    while (e.silent_count < SILENT_MAX && mu_table_next(c->waiting, &at)) {
        silent[e.silent_count++] = at.value;
    }
    code = code == MU_OK ? verdict(c) : code;
    if (c->query != 0) {
        gossip_driver_query_forget(c->agent->gossip, c->query);
    }
    mu_list_remove(&c->place);
    timer_cancel(&c->timer);
    c->done(c->data, code, &e, &c->err);
    mu_table_free(c->waiting);
    mu_arena_deinit(&c->arena);
    mu_free(c);
}

static void on_over(void *data)
{
    struct explain_call *c = data;

    call_end(c, c->err.code);
}

static void on_account(struct explain_call *c, const char *from, struct mu_span text)
{
    char *seer = mu_table_remove(c->waiting, mu_span_text(from));
    struct mu_err err = MU_ERR_NONE;
    struct agent_account account;

    if (seer == NULL || c->count == ANSWERS_MAX) {
        return; /* twice, nobody we asked, or ourselves */
    }
    if (explain_report_read(text, &c->arena, &account, &err) != MU_OK) {
        mu_log(MU_WARN, "agent", "An answer about a member cannot be read", mu_kv("member", from),
               mu_kv("error", err.text));
        return;
    }
    account.seen_by = seer;
    *account_add(c) = account;
}

static void on_reply(void *data, const struct gossip_reply *reply)
{
    struct explain_call *c = data;

    if (reply->kind == GOSSIP_REPLY_RESPONSE) {
        on_account(c, reply->from, reply->payload);
    }
    if (reply->kind == GOSSIP_REPLY_DONE || mu_table_count(c->waiting) == 0) {
        call_end(c, MU_OK);
    }
}

static void wait_for(void *data, const struct gossip_view *m)
{
    struct explain_call *c = data;

    if (m->status == GOSSIP_STATUS_ALIVE && !m->is_self) {
        char *name = mu_arena_strdup(&c->arena, m->name);

        (void)mu_table_put(c->waiting, mu_span_text(name), name);
    }
}

static enum mu_code ask(struct explain_call *c)
{
    struct agent *a = c->agent;
    struct gossip_query_params params = {
        .name = QUERY, .payload = mu_span_text(c->node), .relay_factor = RELAYS, .is_internal = true
    };
    size_t running = 0;

    MU_LIST_EACH (link, &a->explain_calls) {
        (void)link;
        running++;
    }
    if (a->phase >= AGENT_STOPPING) {
        return mu_fail(&c->err, MU_CANCELLED, "this agent stops");
    }
    if (running > CALLS_MAX) {
        return mu_fail(&c->err, MU_BUSY, "Too many are asking about nodes");
    }
    if (params.payload.bytes == 0 || params.payload.bytes > MU_NODE_NAME_MAX) {
        return mu_fail(&c->err, MU_INVALID, "A node's name has 1 to %u bytes", MU_NODE_NAME_MAX);
    }
    look(a, c->node, &c->arena, account_add(c));
    gossip_driver_each(a->gossip, wait_for, c);
    if (mu_table_count(c->waiting) == 0) { /* alone: what is known is all there is */
        timer_set(a->timers, &c->timer, 0, on_over, c);
        return MU_OK;
    }
    return gossip_driver_query(a->gossip, &params, on_reply, c, &c->query, &c->err);
}

void agent_explain(struct agent *a, const char *node, agent_explained_fn *done, void *data)
{
    struct explain_call *c = mu_new(sizeof *c);

    c->agent = a;
    c->done = done;
    c->data = data;
    c->waiting = mu_table_new();
    mu_arena_init(&c->arena, 0);
    c->node = mu_arena_strdup(&c->arena, node);
    mu_list_push_back(&a->explain_calls, &c->place);
    if (ask(c) != MU_OK) {
        timer_set(a->timers, &c->timer, 0, on_over, c);
    }
}

void agent__explain_cancel(struct agent *a)
{
    MU_LIST_EACH_SAFE (link, &a->explain_calls) {
        struct explain_call *c = MU_CONTAINER(link, struct explain_call, place);

        call_end(c, mu_fail(&c->err, MU_CANCELLED, "this agent stops"));
    }
}
