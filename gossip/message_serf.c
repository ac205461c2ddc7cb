/* message_serf.c - events, queries and their answers: protobuf to plain structs and back.
 *
 * Names of events and queries are text, payloads any bytes; both are bounded by what a datagram
 * takes, answers by what a frame of a stream takes. A Relay carries another part as bytes, so that
 * no message contains itself (15).
 */
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "gossip/gossip.h"
#include "message_pb.h"
#include "proto/pb.h"

static bool payload_ok(ProtobufCBinaryData payload)
{
    return payload.len <= MU_GOSSIP_PACKET_MAX;
}

/* -- events ------------------------------------------------------------------------------------
 */

void gossip__event_out(gossip__pb_part *m, const struct gossip__user_event *p,
                       struct mu_arena *arena)
{
    m->m_case = MU__GOSSIP__PART__M_EVENT;
    m->event = mu_arena_new(arena, sizeof *m->event);
    mu__gossip__user_event__init(m->event);
    m->event->ltime = p->ltime;
    m->event->name = gossip__pb_text(p->name);
    m->event->payload = gossip__pb_bytes(p->payload.data, p->payload.bytes);
    m->event->coalesce = p->coalesce;
}

bool gossip__event_in(const Mu__Gossip__UserEvent *m, struct gossip__user_event *out)
{
    *out = (struct gossip__user_event){ .ltime = m->ltime,
                                        .name = m->name,
                                        .payload = gossip__pb_span(m->payload),
                                        .coalesce = m->coalesce };
    return gossip__text_ok(m->name, GOSSIP__EVENT_NAME_MAX) && payload_ok(m->payload);
}

/* -- queries -----------------------------------------------------------------------------------
 */

static Mu__Gossip__Filter *filter_out(const struct gossip__filter *f, struct mu_arena *arena)
{
    Mu__Gossip__Filter *m = mu_arena_new(arena, sizeof *m);

    mu__gossip__filter__init(m);
    if (f->tag != NULL) {
        m->f_case = MU__GOSSIP__FILTER__F_TAG;
        m->tag = mu_arena_new(arena, sizeof *m->tag);
        mu__gossip__tag_match__init(m->tag);
        m->tag->tag = gossip__pb_text(f->tag);
        m->tag->expr = gossip__pb_text(f->expr);
        return m;
    }
    m->f_case = MU__GOSSIP__FILTER__F_NODES;
    m->nodes = mu_arena_new(arena, sizeof *m->nodes);
    mu__gossip__node_list__init(m->nodes);
    m->nodes->n_name = f->nodes_count;
    m->nodes->name = mu_arena_array(arena, f->nodes_count, sizeof *m->nodes->name);
    for (size_t i = 0; i < f->nodes_count; i++) {
        m->nodes->name[i] = gossip__pb_text(f->nodes[i]);
    }
    return m;
}

void gossip__query_out(gossip__pb_part *m, const struct gossip__query *p, struct mu_arena *arena)
{
    Mu__Gossip__Query *q = mu_arena_new(arena, sizeof *q);

    mu__gossip__query__init(q);
    q->ltime = p->ltime;
    q->id = p->id;
    q->origin = gossip__endpoint_out(&p->origin, arena);
    q->origin_node = gossip__pb_text(p->origin_node);
    q->n_filters = p->filters_count;
    q->filters = mu_arena_array(arena, p->filters_count, sizeof *q->filters);
    for (size_t i = 0; i < p->filters_count; i++) {
        q->filters[i] = filter_out(&p->filters[i], arena);
    }
    q->flags = p->flags;
    q->relay_factor = p->relay_factor;
    q->timeout_ms = p->timeout_ms;
    q->name = gossip__pb_text(p->name);
    q->payload = gossip__pb_bytes(p->payload.data, p->payload.bytes);
    m->m_case = MU__GOSSIP__PART__M_QUERY;
    m->query = q;
}

/* One that nobody passes stands for a kind of a later version. */
static bool filter_in(const Mu__Gossip__Filter *m, struct mu_arena *arena,
                      struct gossip__filter *out)
{
    *out = (struct gossip__filter){ .nodes_count = 0 };
    switch (m->f_case) {
    case MU__GOSSIP__FILTER__F_NODES:
        if (m->nodes->n_name > GOSSIP__NODES_MAX) {
            return false;
        }
        out->nodes = mu_arena_array(arena, m->nodes->n_name + 1, sizeof *out->nodes);
        for (size_t i = 0; i < m->nodes->n_name; i++) {
            if (!gossip__name_ok(m->nodes->name[i])) {
                return false;
            }
            out->nodes[out->nodes_count++] = m->nodes->name[i];
        }
        return true;
    case MU__GOSSIP__FILTER__F_TAG:
        out->tag = m->tag->tag;
        out->expr = m->tag->expr;
        return gossip__text_ok(out->tag, GOSSIP__EXPR_MAX) &&
               gossip__text_ok(out->expr, GOSSIP__EXPR_MAX);
    case MU__GOSSIP__FILTER__F__NOT_SET:
    case _MU__GOSSIP__FILTER__F__CASE_IS_INT_SIZE: return true;
    }
    return true;
}

bool gossip__query_in(const Mu__Gossip__Query *m, struct mu_arena *arena, struct gossip__query *out)
{
    *out = (struct gossip__query){ .ltime = m->ltime,
                                   .id = m->id,
                                   .origin_node = m->origin_node,
                                   .flags = m->flags,
                                   .relay_factor = m->relay_factor,
                                   .timeout_ms = m->timeout_ms,
                                   .name = m->name,
                                   .payload = gossip__pb_span(m->payload) };
    if (m->origin == NULL || !gossip__endpoint_in(m->origin, &out->origin) ||
        !gossip__name_ok(m->origin_node) || m->n_filters > GOSSIP__FILTERS_MAX ||
        m->relay_factor > UINT8_MAX || !gossip__text_ok(m->name, GOSSIP__EVENT_NAME_MAX) ||
        !payload_ok(m->payload) || m->timeout_ms > GOSSIP__QUERY_MS_MAX) {
        return false;
    }
    out->filters = mu_arena_array(arena, m->n_filters + 1, sizeof *out->filters);
    for (size_t i = 0; i < m->n_filters; i++) {
        if (!filter_in(m->filters[i], arena, &out->filters[out->filters_count++])) {
            return false;
        }
    }
    return true;
}

/* -- answers -----------------------------------------------------------------------------------
 */

void gossip__response_out(gossip__pb_part *m, const struct gossip__response *p,
                          struct mu_arena *arena)
{
    m->m_case = MU__GOSSIP__PART__M_RESPONSE;
    m->response = mu_arena_new(arena, sizeof *m->response);
    mu__gossip__query_response__init(m->response);
    m->response->ltime = p->ltime;
    m->response->id = p->id;
    m->response->from = gossip__pb_text(p->from);
    m->response->flags = p->flags;
    m->response->payload = gossip__pb_bytes(p->payload.data, p->payload.bytes);
}

bool gossip__response_in(const Mu__Gossip__QueryResponse *m, struct gossip__response *out)
{
    *out = (struct gossip__response){ .ltime = m->ltime,
                                      .id = m->id,
                                      .from = m->from,
                                      .flags = m->flags,
                                      .payload = gossip__pb_span(m->payload) };
    return gossip__name_ok(m->from) && m->payload.len <= GOSSIP_RESPONSE_LARGE_BYTES;
}

void gossip__relay_out(gossip__pb_part *m, const struct gossip__relay *p, struct mu_arena *arena)
{
    m->m_case = MU__GOSSIP__PART__M_RELAY;
    m->relay = mu_arena_new(arena, sizeof *m->relay);
    mu__gossip__relay__init(m->relay);
    m->relay->dest = gossip__endpoint_out(&p->dest, arena);
    m->relay->dest_name = gossip__pb_text(p->dest_name);
    m->relay->inner = gossip__pb_bytes(p->inner.data, p->inner.bytes);
}

bool gossip__relay_in(const Mu__Gossip__Relay *m, struct gossip__relay *out)
{
    *out = (struct gossip__relay){ .dest_name = m->dest_name, .inner = gossip__pb_span(m->inner) };
    return m->dest != NULL && gossip__endpoint_in(m->dest, &out->dest) &&
           gossip__name_ok(m->dest_name) && payload_ok(m->inner);
}

/* -- the state of an exchange ------------------------------------------------------------------
 */

bool gossip__serf_in(const Mu__Gossip__SerfState *s, struct mu_arena *arena,
                     struct gossip__sync_state *out)
{
    if (s->n_status_ltime > GOSSIP__FRAME_RECORDS_MAX || s->n_left > GOSSIP__FRAME_RECORDS_MAX ||
        s->n_pruned > GOSSIP__FRAME_RECORDS_MAX || s->n_events > GOSSIP__FRAME_RECORDS_MAX) {
        return false;
    }
    out->ltime = s->ltime;
    out->event_ltime = s->event_ltime;
    out->query_ltime = s->query_ltime;
    out->times = mu_arena_try(arena, (s->n_status_ltime + 1) * sizeof *out->times);
    out->left = mu_arena_try(arena, (s->n_left + 1) * sizeof *out->left);
    out->pruned = mu_arena_try(arena, (s->n_pruned + 1) * sizeof *out->pruned);
    out->events = mu_arena_try(arena, (s->n_events + 1) * sizeof *out->events);
    if (out->times == NULL || out->left == NULL || out->pruned == NULL || out->events == NULL) {
        return false;
    }
    for (size_t i = 0; i < s->n_events; i++) {
        if (!gossip__event_in(s->events[i], &out->events[out->events_count++])) {
            return false;
        }
    }
    for (size_t i = 0; i < s->n_status_ltime; i++) {
        out->times[out->times_count++] =
            (struct gossip__named_time){ s->status_ltime[i]->key, s->status_ltime[i]->value };
        if (!gossip__name_ok(s->status_ltime[i]->key)) {
            return false;
        }
    }
    for (size_t i = 0; i < s->n_left; i++) {
        out->left[out->left_count++] =
            (struct gossip__named_time){ s->left[i]->key, s->left[i]->value };
        if (!gossip__name_ok(s->left[i]->key)) {
            return false;
        }
    }
    for (size_t i = 0; i < s->n_pruned; i++) {
        const Mu__Gossip__Tombstone *t = s->pruned[i];

        out->pruned[out->pruned_count++] =
            (struct gossip__tombstone_record){ t->node, t->incarnation, t->ltime, t->age_ms };
        if (!gossip__name_ok(t->node) || !gossip__incarnation_ok(t->incarnation)) {
            return false;
        }
    }
    return true;
}
