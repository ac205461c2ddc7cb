/* ipc_stream.c - what a client hears without asking again: answers to its queries, events. */
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "event_codec.h"
#include "ipc_session.h"

#define NS_PER_MS  1000000
#define QUERY_PING "_serf_ping" /* the one internal query of clients: serf reachability */
#define RELAY_MAX  255U

/* -- queries ------------------------------------------------------------------------------------
 */

static void asked_free(struct asked *q)
{
    q->session->asked_count--;
    mu_list_remove(&q->place);
    mu_free(q);
}

static void on_reply(void *data, const struct gossip_reply *reply)
{
    static const char *const types[] = {
        [GOSSIP_REPLY_ACK] = "ack",
        [GOSSIP_REPLY_RESPONSE] = "response",
        [GOSSIP_REPLY_DONE] = "done",
    };
    struct asked *q = data;
    struct ipc_session *s = q->session;
    bool is_done = reply->kind == GOSSIP_REPLY_DONE;

    ipc__put_header(s, q->seq, "");
    ipc_put_map(&s->out, 3);
    ipc_put_text(&s->out, "From");
    ipc_put_text(&s->out, is_done ? "" : reply->from);
    ipc_put_text(&s->out, "Payload");
    ipc_put_bytes(&s->out, reply->kind == GOSSIP_REPLY_RESPONSE ? reply->payload : MU_SPAN_NONE);
    ipc_put_text(&s->out, "Type");
    ipc_put_text(&s->out, types[reply->kind]);
    if (is_done) {
        asked_free(q);
    }
    s->wake(s->wake_data);
}

static void filters_read(const struct request *r, const struct ipc_texts *nodes,
                         const struct mu_pairs *tags, struct gossip_query_params *params)
{
    struct gossip_query_filter *filters =
        mu_arena_array(r->arena, tags->count + 1, sizeof *filters);
    size_t count = 0;

    if (nodes->count > 0) {
        filters[count].nodes = nodes->items;
        filters[count++].nodes_count = nodes->count;
    }
    for (size_t i = 0; i < tags->count; i++) {
        filters[count].tag =
            mu_arena_text(r->arena, tags->items[i].key.data, tags->items[i].key.bytes);
        filters[count++].expr =
            mu_arena_text(r->arena, tags->items[i].value.data, tags->items[i].value.bytes);
    }
    params->filters = filters;
    params->filters_count = count;
}

static void ask(struct ipc_session *s, const struct request *r,
                const struct gossip_query_params *params)
{
    struct asked *q = mu_new(sizeof *q);
    struct mu_err err = MU_ERR_NONE;

    q->session = s;
    q->seq = r->seq;
    mu_list_push_back(&s->asked, &q->place);
    s->asked_count++;
    enum mu_code rc = s->host.query(s->host.data, params, on_reply, q, &q->id, &err);

    if (rc != MU_OK) {
        asked_free(q);
    }
    ipc__answer(s, r, rc, &err);
}

void ipc__on_query(struct ipc_session *s, struct request *r)
{
    struct ipc_texts nodes = ipc_get_texts(&r->body, "FilterNodes");
    struct mu_pairs tags = ipc_get_pairs(&r->body, "FilterTags");
    uint64_t relays = ipc_get_u64(&r->body, "RelayFactor");
    int64_t timeout_ns = ipc_get_i64(&r->body, "Timeout");
    struct gossip_query_params params = {
        .name = ipc_get_text(&r->body, "Name"),
        .payload = ipc_get_bytes(&r->body, "Payload"),
        .wants_acks = ipc_get_bool(&r->body, "RequestAck"),
        .takes_large = ipc_get_bool(&r->body, "LargeResponses"), /* ours, not Serf's */
        .relay_factor = relays <= RELAY_MAX ? (unsigned)relays : 0,
    };

    r->body.is_bad = r->body.is_bad || relays > RELAY_MAX;
    if (!ipc__is_sound(s, r)) {
        return;
    }
    params.is_internal = strcmp(params.name, QUERY_PING) == 0 && params.payload.bytes == 0;
    if (s->asked_count == IPC_QUERIES_MAX) {
        ipc__put_header(s, r->seq, "Too many queries are under way");
        return;
    }
    if (timeout_ns > 0) {
        params.timeout_ms = (uint64_t)timeout_ns / NS_PER_MS;
        params.timeout_ms += params.timeout_ms == 0;
    }
    filters_read(r, &nodes, &tags, &params);
    ask(s, r, &params);
}

void ipc__on_respond(struct ipc_session *s, struct request *r)
{
    uint64_t id = ipc_get_u64(&r->body, "ID");
    struct mu_span payload = ipc_get_bytes(&r->body, "Payload");
    struct pending *p = &s->pending[id % IPC_PENDING_MAX];
    struct mu_err err = MU_ERR_NONE;

    if (!ipc__is_sound(s, r)) {
        return;
    }
    if (id == 0 || p->local != id) {
        ipc__put_header(s, r->seq, "No pending queries matching ID");
        return;
    }
    enum mu_code rc = s->host.respond(s->host.data, p->ltime, p->id, payload, &err);

    if (rc == MU_OK || rc == MU_TIMEOUT) {
        p->local = 0; /* once */
    }
    ipc__answer(s, r, rc == MU_TIMEOUT ? MU_NOT_FOUND : rc, &err);
}

/* -- streams ------------------------------------------------------------------------------------
 */

/* One part of a filter: "user:deploy" into type and name; NULL: all names. */
static bool part_split(struct mu_span part, struct mu_span *type, struct mu_span *name)
{
    bool has_name = false;

    *type = mu_span_split(part, ':', name, &has_name);
    return handler_is_filter(*type) && (!has_name || mu_span_eq_text(*type, HANDLER_USER) ||
                                        mu_span_eq_text(*type, HANDLER_QUERY));
}

static bool is_filter(const char *filter)
{
    struct mu_span rest = mu_span_text(filter);
    struct mu_span type, name;
    bool has_more = true;

    while (has_more) {
        if (!part_split(mu_span_split(rest, ',', &rest, &has_more), &type, &name)) {
            return false;
        }
    }
    return true;
}

/* Consul's events are among them under a name of their own: for those who ask for it. */
static bool wants(const struct stream *st, const char *type, const char *name)
{
    bool is_reserved = event_is_reserved(name);
    struct mu_span rest = mu_span_text(st->filter);
    struct mu_span its_type, its_name;
    bool has_more = true;

    while (has_more) {
        (void)part_split(mu_span_split(rest, ',', &rest, &has_more), &its_type, &its_name);
        bool is_type = mu_span_eq_text(its_type, "*") || mu_span_eq_text(its_type, type);

        if (is_type && (its_name.bytes == 0 ? !is_reserved : mu_span_eq_text(its_name, name))) {
            return true;
        }
    }
    return false;
}

static struct stream *stream_find(struct ipc_session *s, uint64_t seq)
{
    MU_LIST_EACH (link, &s->streams) {
        struct stream *st = MU_CONTAINER(link, struct stream, place);

        if (st->seq == seq) {
            return st;
        }
    }
    return NULL;
}

static void stream_free(struct ipc_session *s, struct stream *st)
{
    mu_list_remove(&st->place);
    s->streams_count--;
    mu_free(st->filter);
    mu_free(st);
}

void ipc__on_stream(struct ipc_session *s, struct request *r)
{
    const char *type = ipc_get_text(&r->body, "Type");

    if (!ipc__is_sound(s, r)) {
        return;
    }
    type = type[0] == '\0' ? "*" : type;
    if (!is_filter(type)) {
        ipc__put_header(s, r->seq, "Invalid event filter");
        return;
    }
    if (stream_find(s, r->seq) != NULL) {
        ipc__put_header(s, r->seq, "Stream with given sequence exists");
        return;
    }
    if (s->streams_count == IPC_STREAMS_MAX) {
        ipc__put_header(s, r->seq, "Too many streams are open");
        return;
    }
    struct stream *st = mu_new(sizeof *st);

    st->seq = r->seq;
    st->filter = mu_strdup(type);
    mu_list_push_back(&s->streams, &st->place);
    s->streams_count++;
    ipc__put_header(s, r->seq, "");
}

void ipc__on_stop(struct ipc_session *s, struct request *r)
{
    uint64_t seq = ipc_get_u64(&r->body, "Stop");
    struct stream *st = stream_find(s, seq);

    if (!ipc__is_sound(s, r)) {
        return;
    }
    if (st != NULL) {
        stream_free(s, st);
    } else if (s->monitor != NULL && s->monitor_seq == seq) {
        agent_log_unfollow(s->monitor);
        s->monitor = NULL;
    }
    ipc__put_header(s, r->seq, "");
}

/* The header of a record; false: too many wait already. */
static bool record_begin(struct ipc_session *s, struct stream *st)
{
    if (st->waiting >= IPC_STREAM_MAX) {
        if (st->waiting == IPC_STREAM_MAX) { /* said once for each time it falls behind */
            st->waiting++;
            mu_log(MU_WARN, "agent.ipc", "Dropping event to a client that does not read",
                   mu_kv("client", s->peer));
        }
        return false;
    }
    st->waiting++;
    ipc__put_header(s, st->seq, "");
    return true;
}

/* As members are when such an event is told. */
static enum gossip_status status_after(const char *type)
{
    return strcmp(type, "member-leave") == 0    ? GOSSIP_STATUS_LEFT
           : strcmp(type, "member-failed") == 0 ? GOSSIP_STATUS_FAILED
           : strcmp(type, "member-reap") == 0   ? GOSSIP_STATUS_NONE
                                                : GOSSIP_STATUS_ALIVE;
}

static void put_members(struct ipc_session *s, const struct handler_event *event)
{
    ipc_put_map(&s->out, 2);
    ipc_put_text(&s->out, "Event");
    ipc_put_text(&s->out, event->type);
    ipc_put_text(&s->out, "Members");
    ipc_put_list(&s->out, event->members_count);
    for (size_t i = 0; i < event->members_count; i++) {
        const struct handler_member *m = &event->members[i];

        ipc__put_member(
            s, &(struct ipc__member){ m->name, m->addr, m->tags, status_after(event->type) });
    }
}

static void put_user_event(struct ipc_session *s, const struct handler_event *event)
{
    ipc_put_map(&s->out, 5);
    ipc_put_text(&s->out, "Coalesce");
    ipc_put_bool(&s->out, event->coalesce);
    ipc_put_text(&s->out, "Event");
    ipc_put_text(&s->out, event->type);
    ipc__put_number(&s->out, "LTime", event->ltime);
    ipc_put_text(&s->out, "Name");
    ipc_put_text(&s->out, event->name);
    ipc_put_text(&s->out, "Payload");
    ipc_put_bytes(&s->out, event->payload);
}

/* All streams of a client share the numbers: each record of a query has one of its own. */
static uint64_t pending_add(struct ipc_session *s, const struct handler_event *event)
{
    uint64_t local = ++s->last_local;

    s->pending[local % IPC_PENDING_MAX] = (struct pending){ local, event->ltime, event->query_id };
    return local;
}

static void put_query(struct ipc_session *s, const struct handler_event *event)
{
    ipc_put_map(&s->out, 5);
    ipc_put_text(&s->out, "Event");
    ipc_put_text(&s->out, event->type);
    ipc__put_number(&s->out, "ID", pending_add(s, event));
    ipc__put_number(&s->out, "LTime", event->ltime);
    ipc_put_text(&s->out, "Name");
    ipc_put_text(&s->out, event->name);
    ipc_put_text(&s->out, "Payload");
    ipc_put_bytes(&s->out, event->payload);
}

void ipc_session_event(struct ipc_session *s, const struct handler_event *event)
{
    const char *name = event->name != NULL ? event->name : "";

    MU_LIST_EACH (link, &s->streams) {
        struct stream *st = MU_CONTAINER(link, struct stream, place);

        if (!wants(st, event->type, name) || !record_begin(s, st)) {
            continue;
        }
        if (event->members != NULL) {
            put_members(s, event);
        } else if (strcmp(event->type, HANDLER_USER) == 0) {
            put_user_event(s, event);
        } else {
            put_query(s, event);
        }
    }
    s->wake(s->wake_data);
}

void ipc__streams_close(struct ipc_session *s)
{
    MU_LIST_EACH_SAFE (link, &s->asked) {
        struct asked *q = MU_CONTAINER(link, struct asked, place);

        s->host.query_forget(s->host.data, q->id);
        asked_free(q);
    }
    MU_LIST_EACH_SAFE (link, &s->streams) {
        stream_free(s, MU_CONTAINER(link, struct stream, place));
    }
}
