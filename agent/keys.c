/* keys.c - one question about keys to all members, until all have answered or its time is over. */
#include "agent/keys.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "core.h"

_Static_assert(AGENT_KEY_TEXT_MAX == GOSSIP_KEY_TEXT_MAX, "the same text");
_Static_assert((int)AGENT_KEY_INSTALL == (int)GOSSIP_KEY_INSTALL &&
                   (int)AGENT_KEY_USE == (int)GOSSIP_KEY_USE &&
                   (int)AGENT_KEY_REMOVE == (int)GOSSIP_KEY_REMOVE &&
                   (int)AGENT_KEY_LIST == (int)GOSSIP_KEY_LIST,
               "the same operations");

#define CALLS_MAX 64U /* under way at once, each with a query of its own */

struct key_call {
    struct mu_link place;
    struct agent *agent;
    uint64_t query; /* 0: none is running */
    struct gossip_key_report report;
    struct mu_table *answered; /* names */
    const char **silent;       /* in the end; before that all who are asked */
    size_t silent_count;
    struct mu_arena arena;
    struct timer timer; /* for what fails at once */
    struct mu_err err;
    agent_keys_fn *done;
    void *data;
};

/* -- the answer ---------------------------------------------------------------------------------
 */

/* Nobody was asked without a query. */
static void keep_silent(struct key_call *c)
{
    size_t count = 0;

    for (size_t i = 0; i < c->silent_count; i++) {
        if (mu_table_find(c->answered, mu_span_text(c->silent[i])) == NULL) {
            c->silent[count++] = c->silent[i];
        }
    }
    c->silent_count = c->query != 0 ? count : 0;
}

static void call_end(struct key_call *c, enum mu_code code)
{
    const struct gossip_key_report *r = &c->report;
    struct agent_key keys[GOSSIP_KEY_REPORT_KEYS];

    keep_silent(c);
    struct agent_keys_report report = { .nodes = r->nodes,
                                        .responses = r->responses,
                                        .errors = r->errors,
                                        .messages = r->messages.items,
                                        .messages_count = r->messages.count,
                                        .silent = c->silent,
                                        .silent_count = c->silent_count,
                                        .keys = keys,
                                        .keys_count = r->keys_count };

    for (size_t i = 0; i < r->keys_count; i++) {
        gossip_key_text(&r->keys[i].key, keys[i].text);
        keys[i].holders = r->keys[i].holders;
        keys[i].primaries = r->keys[i].primaries;
    }
    mu_list_remove(&c->place);
    timer_cancel(&c->timer);
    c->done(c->data, code, &report, &c->err);
    sodium_memzero(keys, sizeof keys);
    mu_free(c->silent);
    mu_table_free(c->answered);
    mu_arena_deinit(&c->arena);
    sodium_memzero(c, sizeof *c);
    mu_free(c);
}

static void on_failed(void *data)
{
    struct key_call *c = data;

    call_end(c, c->err.code);
}

static void on_reply(void *data, const struct gossip_reply *reply)
{
    struct key_call *c = data;

    if (reply->kind == GOSSIP_REPLY_RESPONSE) {
        gossip_key_report_add(&c->report, reply->from, reply->payload);
        (void)mu_table_put(c->answered, mu_span_text(reply->from), c);
    }
    if (reply->kind == GOSSIP_REPLY_DONE || gossip_key_report_is_whole(&c->report)) {
        gossip_driver_query_forget(c->agent->gossip, c->query);
        call_end(c, gossip_key_report_end(&c->report, &c->err));
    }
}

/* -- the question -------------------------------------------------------------------------------
 */

static size_t calls_count(const struct agent *a)
{
    size_t count = 0;

    MU_LIST_EACH (link, &a->key_calls) {
        (void)link;
        count++;
    }
    return count;
}

static void note_asked(void *data, const struct gossip_view *m)
{
    struct key_call *c = data;

    if (m->status == GOSSIP_STATUS_ALIVE || m->status == GOSSIP_STATUS_LEAVING) {
        c->silent = mu_grow(c->silent, (c->silent_count + 1) * sizeof *c->silent);
        c->silent[c->silent_count++] = mu_arena_strdup(&c->arena, m->name);
    }
}

static enum mu_code ask(struct key_call *c, enum gossip_key_op op, struct mu_span text,
                        unsigned relay_factor)
{
    struct agent *a = c->agent;
    struct mu_buf payload = MU_BUF_NONE;
    struct gossip_key key = { .count = 0 };
    enum mu_code rc = MU_OK;

    if (a->phase >= AGENT_STOPPING) {
        return mu_fail(&c->err, MU_CANCELLED, "this agent stops");
    }
    if (calls_count(a) > CALLS_MAX) {
        return mu_fail(&c->err, MU_BUSY, "Too many changes of keys at once");
    }
    if (op != GOSSIP_KEY_LIST && text.bytes > 0) {
        rc = gossip_key_parse(mu_arena_text(&c->arena, text.data, text.bytes), &key, &c->err);
    }
    if (rc == MU_UNSUPPORTED) { /* of a size that none has: each member refuses an empty one */
        c->err = MU_ERR_NONE;
    } else if (rc != MU_OK) {
        return rc;
    }
    gossip_key_request_encode(&key, &payload);
    const struct gossip_query_params params = {
        .name = gossip_key_query_name(op),
        .payload = mu_buf_span(&payload),
        .relay_factor = relay_factor,
        .is_internal = true,
    };

    gossip_key_report_init(&c->report, op, gossip_driver_stats(a->gossip).alive, &c->arena);
    gossip_driver_each(a->gossip, note_asked, c);
    rc = gossip_driver_query(a->gossip, &params, on_reply, c, &c->query, &c->err);
    sodium_memzero(&key, sizeof key);
    sodium_memzero(payload.data, payload.bytes);
    mu_buf_deinit(&payload);
    return rc;
}

void agent_keys(struct agent *a, enum agent_key_op op, struct mu_span key, unsigned relay_factor,
                agent_keys_fn *done, void *data)
{
    struct key_call *c = mu_new(sizeof *c);

    c->agent = a;
    c->done = done;
    c->data = data;
    c->answered = mu_table_new();
    mu_arena_init(&c->arena, 0);
    mu_list_push_back(&a->key_calls, &c->place);
    if (ask(c, (enum gossip_key_op)op, key, relay_factor) != MU_OK) {
        timer_set(a->timers, &c->timer, 0, on_failed, c);
    }
}

void agent__key_calls_cancel(struct agent *a)
{
    MU_LIST_EACH_SAFE (link, &a->key_calls) {
        struct key_call *c = MU_CONTAINER(link, struct key_call, place);

        if (c->query != 0) {
            gossip_driver_query_forget(a->gossip, c->query);
        }
        call_end(c, mu_fail(&c->err, MU_CANCELLED, "this agent stops"));
    }
}
