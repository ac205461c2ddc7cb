/* doctor.c - every agent says which ways to others carry nothing; one asks all, by a query.
 *
 * The answers take several ways (relayed): the straight one may be what is broken.
 */
#include "agent/doctor.h"

#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "core.h"
#include "link_report.h"

#define QUERY     "_serf_muster-links"
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
    struct agent_broken_link *links;
    size_t links_count, links_room;
    bool has_more;
    agent_doctor_fn *done;
    void *data;
};

/* -- answering ----------------------------------------------------------------------------------
 */

static void add_link(void *data, const struct gossip_link *link)
{
    link_report_add(data, link);
}

bool agent__doctor_query(struct agent *a, const struct gossip_query *query)
{
    struct mu_buf report = MU_BUF_NONE;
    struct mu_err err = MU_ERR_NONE;

    if (strcmp(query->name, QUERY) != 0) {
        return false;
    }
    link_report_begin(&report);
    gossip_driver_each_broken_link(a->gossip, add_link, &report);
    if (gossip_driver_respond(a->gossip, query->ltime, query->id, mu_buf_span(&report), &err) !=
        MU_OK) {
        mu_log(MU_DEBUG, "agent", "Cannot answer what links are broken", mu_kv("error", err.text));
    }
    mu_buf_deinit(&report);
    return true;
}

/* -- asking -------------------------------------------------------------------------------------
 */

static void call_end(struct doctor_call *c, enum mu_code code)
{
    struct mu_table_at at = { .started = false };
    const char **silent = mu_arena_array(&c->arena, mu_table_count(c->waiting) + 1, sizeof *silent);
    struct agent_diagnosis d = { .members = c->members,
                                 .silent = silent,
                                 .links = c->links,
                                 .links_count = c->links_count,
                                 .has_more = c->has_more };

    while (mu_table_next(c->waiting, &at)) {
        silent[d.silent_count++] = at.value;
    }
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

static void keep(struct doctor_call *c, const char *seer, const struct gossip_link *link)
{
    if (c->links_count == c->links_room) {
        size_t room = c->links_room * 2 + 16;
        struct agent_broken_link *grown = mu_arena_array(&c->arena, room, sizeof *grown);

        if (c->links_count > 0) {
            memcpy(grown, c->links, c->links_count * sizeof *grown);
        }
        c->links = grown;
        c->links_room = room;
    }
    c->links[c->links_count++] =
        (struct agent_broken_link){ .from = link->is_heard ? seer : link->name,
                                    .to = link->is_heard ? link->name : seer,
                                    .seen_by = seer,
                                    .tcp = link_way_text(link->tcp),
                                    .missed = link->missed };
}

static void on_report(struct doctor_call *c, const char *from, struct mu_span text)
{
    char *seer = mu_table_remove(c->waiting, mu_span_text(from));
    struct mu_err err = MU_ERR_NONE;
    struct link_report report;

    if (seer == NULL) {
        return; /* twice, or nobody we asked */
    }
    if (link_report_read(text, &c->arena, &report, &err) != MU_OK) {
        mu_log(MU_WARN, "agent", "An answer about links cannot be read", mu_kv("member", from),
               mu_kv("error", err.text));
        return;
    }
    c->has_more = c->has_more || report.has_more;
    for (size_t i = 0; i < report.count; i++) {
        keep(c, seer, &report.items[i]);
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

static void wait_for(void *data, const struct gossip_view *m)
{
    struct doctor_call *c = data;

    if (m->status == GOSSIP_STATUS_ALIVE) {
        char *name = mu_arena_strdup(&c->arena, m->name);

        (void)mu_table_put(c->waiting, mu_span_text(name), name);
        c->members++;
    }
}

static enum mu_code ask(struct doctor_call *c)
{
    static const struct gossip_query_params params = { .name = QUERY,
                                                       .relay_factor = RELAYS,
                                                       .is_internal = true };
    struct agent *a = c->agent;
    size_t running = 0;

    MU_LIST_EACH (link, &a->doctor_calls) {
        (void)link;
        running++;
    }
    if (a->phase >= AGENT_STOPPING) {
        return mu_fail(&c->err, MU_CANCELLED, "this agent stops");
    }
    if (running > CALLS_MAX) {
        return mu_fail(&c->err, MU_BUSY, "Too many are asking which links are broken");
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
