/* step.c - the core as a whole: one event in, effects out.
 *
 * Every timer of the core is a row of `timers`: when it is due, what it does. An event is first
 * looked at for a pause of our own (health.c), then handled; WAKE runs what is due. The wake-up
 * that the owner is asked for is the earliest of the rows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/mem.h"
#include "core.h"

#define CLEAR_MS     (10U * 60 * 1000)
#define NS_PER_MS    1000000U
#define IN_BYTES_MAX (8U * 1024 * 1024) /* what one packet or frame may become in memory */

// clang-format off
static const struct {
    uint64_t (*due)(const struct gossip *g);
    void (*tick)(struct gossip *g);
} timers[] = {
    { gossip__inquiry_due,   gossip__inquiry_tick },
    { gossip__probe_due,     gossip__probe_tick },
    { gossip__suspicion_due, gossip__suspicion_tick },
    { gossip__rumor_due,     gossip__rumor_tick },
    { gossip__sync_due,      gossip__sync_tick },
    { gossip__join_due,      gossip__join_tick },
    { gossip__stream_due,    gossip__stream_tick },
    { gossip__leave_due,     gossip__leave_tick },
    { gossip__serf_due,      gossip__serf_tick },
    { gossip__query_due,     gossip__query_tick },
    { gossip__spread_due,    gossip__spread_tick },
    { gossip__width_due,     gossip__width_tick },
}; // clang-format on

/* -- effects ------------------------------------------------------------------------------------
 */

/* Room for one more; returns the array, moved when it had to grow. */
static void *room_for(void *items, size_t *room, size_t count, size_t bytes)
{
    if (count < *room) {
        return items;
    }
    *room = *room * 2 + 8;
    return mu_grow(items, *room * bytes);
}

void gossip__send(struct gossip *g, const struct mu_addr *to, struct mu_span datagram)
{
    g->sends = room_for(g->sends, &g->sends_room, g->sends_count, sizeof *g->sends);
    g->sends[g->sends_count++] = (struct gossip_send){ .to = *to, .data = datagram };
    gossip__count(g, GOSSIP_COUNT_PACKETS_OUT);
    g->counters[GOSSIP_COUNT_BYTES_OUT] += datagram.bytes;
}

void gossip__stream_op(struct gossip *g, enum gossip_stream_verb verb, uint32_t id,
                       const struct mu_addr *to, struct mu_span data)
{
    g->counters[GOSSIP_COUNT_STREAM_BYTES_OUT] += data.bytes;
    g->ops = room_for(g->ops, &g->ops_room, g->ops_count, sizeof *g->ops);
    g->ops[g->ops_count++] =
        (struct gossip_stream_op){ .verb = verb, .id = id, .to = *to, .data = data };
}

void gossip__notice(struct gossip *g, enum gossip_notice_kind kind,
                    const struct gossip_view *member, const char *text)
{
    g->notices = room_for(g->notices, &g->notices_room, g->notices_count, sizeof *g->notices);
    g->notices[g->notices_count++] =
        (struct gossip_notice){ .kind = kind, .member = *member, .text = text };
}

void gossip__done(struct gossip *g, uint64_t id, unsigned contacted, const char *why)
{
    g->dones = room_for(g->dones, &g->dones_room, g->dones_count, sizeof *g->dones);
    g->dones[g->dones_count++] =
        (struct gossip_done){ .id = id, .contacted = contacted, .why = why };
}

void gossip__deliver_event(struct gossip *g, const struct gossip_user_event *event)
{
    g->delivered =
        room_for(g->delivered, &g->delivered_room, g->delivered_count, sizeof *g->delivered);
    g->delivered[g->delivered_count++] = *event;
}

void gossip__deliver_query(struct gossip *g, const struct gossip_query *query)
{
    g->asked = room_for(g->asked, &g->asked_room, g->asked_count, sizeof *g->asked);
    g->asked[g->asked_count++] = *query;
}

void gossip__reply(struct gossip *g, const struct gossip_reply *reply)
{
    g->replies = room_for(g->replies, &g->replies_room, g->replies_count, sizeof *g->replies);
    g->replies[g->replies_count++] = *reply;
}

void gossip__log(const struct gossip *g, enum mu_log_level level, const char *fmt, ...)
{
    va_list args;

    if (g->log != NULL) {
        va_start(args, fmt);
        g->log(g->log_data, level, fmt, args);
        va_end(args);
    }
}

void gossip__count(struct gossip *g, enum gossip_counter counter)
{
    g->counters[counter]++;
}

const char *gossip_counter_text(enum gossip_counter counter)
{
    static const char *const text[] = {
#define GOSSIP_COUNTER_TEXT(name, text) text,
        GOSSIP_COUNTERS(GOSSIP_COUNTER_TEXT)
#undef GOSSIP_COUNTER_TEXT
    };

    return (size_t)counter < MU_LEN(text) ? text[counter] : "unknown";
}

const struct mu_sample *gossip_sample(const struct gossip *g, enum gossip_sample which)
{
    MU_ASSERT(which < GOSSIP_SAMPLES_OF_CORE);
    return &g->samples[which];
}

void gossip__sample_since(struct gossip *g, enum gossip_sample which, uint64_t began_ns)
{
    mu_sample_add(&g->samples[which], (double)(g->now_ns - began_ns) / NS_PER_MS);
}

uint64_t gossip__seq(struct gossip *g)
{
    return ++g->seq;
}

size_t gossip__others_live(const struct gossip *g)
{
    size_t live = g->alive_count + g->suspect_count;

    return g->self->state == GOSSIP__ALIVE ? live - 1 : live;
}

/* -- life ---------------------------------------------------------------------------------------
 */

static enum mu_code options_check(const struct gossip_options *o, struct mu_err *err)
{
    enum mu_code rc;

    if (o->name == NULL || !gossip__name_ok(o->name)) {
        return mu_fail(err, MU_INVALID, "node name '%s' is not 1 to %d bytes of text",
                       o->name != NULL ? o->name : "", MU_NODE_NAME_MAX);
    }
    if (o->advertise.ip_bytes == 0 || o->advertise.port == 0 || mu_addr_is_any(&o->advertise) ||
        mu_addr_is_multicast(&o->advertise)) {
        return mu_fail(err, MU_INVALID, "no address that others can reach is given to advertise");
    }
    rc = gossip_tags_check(&o->tags, err);
    if (rc != MU_OK) {
        return rc;
    }
    if (o->event_size_limit > GOSSIP_EVENT_BYTES_MAX || o->query_size_limit > GOSSIP_QUERY_BYTES ||
        o->response_size_limit > GOSSIP_RESPONSE_LARGE_BYTES) {
        return mu_fail(err, MU_TOO_BIG, "a limit of %u, %u and %u bytes is more than fits",
                       o->event_size_limit, o->query_size_limit, o->response_size_limit);
    }
    if (o->incarnation == 0 || o->incarnation > GOSSIP__INCARNATION_MAX / 2) {
        return mu_fail(err, MU_INVALID, "incarnation %llu is out of range",
                       (unsigned long long)o->incarnation);
    }
    return gossip_profile_check(&o->profile, err);
}

static void cluster_id_set(struct gossip *g, const char *label, const char *pool)
{
    struct mu_buf text = MU_BUF_NONE;
    unsigned char hash[crypto_generichash_BYTES];

    mu_buf_add_text(&text, label != NULL ? label : "");
    mu_buf_add_byte(&text, 0);
    mu_buf_add_text(&text, pool != NULL ? pool : "");
    (void)crypto_generichash(hash, sizeof hash, text.data, text.bytes, NULL, 0);
    memcpy(g->cluster_id, hash, sizeof g->cluster_id);
    mu_buf_deinit(&text);
}

static void lists_init(struct gossip *g)
{
    mu_list_init(&g->suspects);
    mu_list_init(&g->inquiries);
    mu_list_init(&g->streams);
    mu_list_init(&g->merges);
    mu_list_init(&g->joins);
    mu_list_init(&g->spreads);
    mu_list_init(&g->widths);
    gossip__rumor_init(g);
    g->stream_id = (uint32_t)-1; /* odd, and the first one is 1 */
    g->probe_at_ms = g->rumor_at_ms = g->sync_at_ms = g->suspicion_due_ms = GOSSIP__NEVER;
    g->reap_at_ms = g->prune_at_ms = g->conflict_retry_ms = g->forget_at_ms = GOSSIP__NEVER;
}

/* Alive from the first moment, but seen by nobody until START. */
static void self_init(struct gossip *g, const struct gossip_options *o)
{
    struct gossip__alive a = { .node = o->name,
                               .incarnation = o->incarnation,
                               .boot_id = o->boot_id,
                               .at = o->advertise,
                               .meta = gossip__tags_encode(&o->tags, &g->step),
                               .versions = { 1, 1, 1, 1, 1, 1 },
                               .node_id = o->node_id };

    g->self = gossip__member_add(g, &a);
    g->self->incarnation = o->incarnation;
    gossip__member_describe(g, g->self, &a);
    gossip__member_list(g, g->self);
    gossip__member_move(g, g->self, GOSSIP__ALIVE, "we start");
}

enum mu_code gossip_new(struct gossip **out, const struct gossip_options *o, struct mu_err *err)
{
    enum mu_code rc = options_check(o, err);

    if (rc != MU_OK) {
        return rc;
    }
    struct gossip *g = mu_new(sizeof *g);

    g->profile = o->profile;
    g->refuse = o->refuse;
    g->refuse_data = o->refuse_data;
    g->networks = o->networks;
    g->networks_count = o->networks_count;
    g->log = o->log;
    g->log_data = o->log_data;
    mu_rand_seed(&g->rand, o->seed);
    mu_arena_init(&g->in, IN_BYTES_MAX);
    mu_arena_init(&g->step, 0);
    g->cards = o->cards;
    g->buffered = mu_table_new();
    g->tombstones = mu_table_new();
    g->member_time = o->member_time > 0 ? o->member_time : 1;
    g->event_time = o->event_time > 0 ? o->event_time : 1;
    g->query_time = o->query_time > 0 ? o->query_time : 1;
    gossip__coordinate_init(g, o);
    gossip__event_init(g, o);
    gossip__query_init(g, o);
    lists_init(g);
    cluster_id_set(g, o->label, o->pool);
    memcpy(g->seal.nonce_prefix, o->nonce_prefix, sizeof g->seal.nonce_prefix);
    gossip__seal_set(g, &o->sealing);
    gossip__join_known(g, o);
    self_init(g, o);
    *out = g;
    return MU_OK;
}

static void bury(struct gossip *g)
{
    for (size_t i = 0; i < g->graveyard_count; i++) {
        gossip__member_clear(g->graveyard[i]);
        gossip__members_give_back(&g->members, g->graveyard[i]);
    }
    g->graveyard_count = 0;
    for (size_t i = 0; i < g->old_cards_count; i++) {
        gossip__card_leave(g->old_cards[i]);
    }
    g->old_cards_count = 0;
}

void gossip_free(struct gossip *g)
{
    if (g == NULL) {
        return;
    }
    gossip__join_free_all(g);
    gossip__spread_free_all(g);
    gossip__width_free_all(g);
    gossip__merge_free_all(g);
    gossip__stream_free_all(g);
    gossip__inquiry_free_all(g);
    gossip__rumor_free_all(g);
    gossip__suspicion_free_all(g);
    gossip__record_free_all(g);
    gossip__serf_free_all(g);
    gossip__seal_free(g);
    gossip__event_free_all(g);
    gossip__query_free_all(g);
    bury(g);
    for (size_t i = 0; i < g->members.count; i++) {
        gossip__member_clear(g->members.items[i]);
    }
    gossip__members_free(&g->members);
    mu_free(g->list);
    mu_free(g->graveyard);
    mu_free(g->old_cards);
    mu_buf_deinit(&g->leave.intent);
    mu_buf_deinit(&g->leave.dead);
    mu_free(g->sends);
    mu_free(g->ops);
    mu_free(g->notices);
    mu_free(g->dones);
    mu_free(g->delivered);
    mu_free(g->asked);
    mu_free(g->replies);
    mu_arena_deinit(&g->in);
    mu_arena_deinit(&g->step);
    mu_free(g);
}

/* -- events -------------------------------------------------------------------------------------
 */

static void on_start(struct gossip *g)
{
    MU_ASSERT(!g->has_started);
    g->has_started = true;
    g->heard_ms = g->now_ms;
    g->self->state_ms = g->now_ms; /* it was made without a clock */
    gossip__serf_alive(g, g->self);
}

static void on_wake(struct gossip *g)
{
    for (size_t i = 0; i < MU_LEN(timers); i++) {
        if (timers[i].due(g) <= g->now_ms) {
            timers[i].tick(g);
        }
    }
}

/* Others see it as an update; equal tags are none (13.13). */
static void on_tags(struct gossip *g, const struct mu_pairs *tags)
{
    struct gossip__alive a = gossip__member_record(g->self);

    MU_ASSERT(gossip__tags_bytes(tags) <= MU_GOSSIP_META_MAX);
    a.meta = gossip__tags_encode(tags, &g->step);
    if (mu_span_eq(a.meta, g->self->card->meta) || g->leave.stage != GOSSIP__LEAVE_NONE) {
        return;
    }
    gossip__member_describe(g, g->self, &a);
    g->self->incarnation++;
    gossip__announce(g);
    gossip__serf_updated(g, g->self);
}

static void route(struct gossip *g, const struct gossip_event *ev)
{
    switch (ev->kind) { /* no default: a new kind must be placed here */
    case GOSSIP_EV_START: on_start(g); break;
    case GOSSIP_EV_WAKE: on_wake(g); break;
    case GOSSIP_EV_PACKET:
        g->arrived_ns = ev->packet.at_ns != 0 ? ev->packet.at_ns : g->now_ns;
        gossip__on_packet(g, &ev->packet.from, ev->packet.data);
        break;
    case GOSSIP_EV_SEND_FAILED:
        gossip__on_send_failed(g, &ev->failed.to, ev->failed.is_remote);
        break;
    case GOSSIP_EV_STREAM_ACCEPTED:
    case GOSSIP_EV_STREAM_OPENED:
    case GOSSIP_EV_STREAM_DATA:
    case GOSSIP_EV_STREAM_CLOSED: gossip__on_stream(g, ev); break;
    case GOSSIP_EV_JOIN: gossip__on_join(g, ev); break;
    case GOSSIP_EV_LEAVE: gossip__on_leave(g, ev->leave.id); break;
    case GOSSIP_EV_FORCE_LEAVE: gossip__on_force_leave(g, ev->force.name, ev->force.prune); break;
    case GOSSIP_EV_SPREAD: gossip__on_spread(g, ev->spread.id); break;
    case GOSSIP_EV_WIDTH: gossip__on_width(g, ev->width.id, ev->width.name); break;
    case GOSSIP_EV_TAGS: on_tags(g, &ev->tags); break;
    case GOSSIP_EV_PROFILE: gossip__on_profile(g, &ev->profile); break;
    case GOSSIP_EV_KEYS: gossip__seal_set(g, &ev->sealing); break;
    case GOSSIP_EV_USER_EVENT:
        gossip__on_send_event(g, ev->user_event.name, ev->user_event.payload,
                              ev->user_event.coalesce);
        break;
    case GOSSIP_EV_QUERY: gossip__on_ask(g, ev->query.id, ev->query.params); break;
    case GOSSIP_EV_RESPOND:
        gossip__on_respond(g, ev->respond.ltime, ev->respond.id, ev->respond.payload);
        break;
    }
}

/* 0 means "never" to the owner, so a real time is at least 1. What is overdue is due now: the next
 * event must not look late because of it. */
static uint64_t next_wake(const struct gossip *g)
{
    uint64_t at = GOSSIP__NEVER;

    for (size_t i = 0; i < MU_LEN(timers); i++) {
        uint64_t due = timers[i].due(g);

        at = due < at ? due : at;
    }
    if (at == GOSSIP__NEVER) {
        return 0;
    }
    at = at > g->now_ms ? at : g->now_ms;
    return at > 0 ? at : 1;
}

void gossip_step(struct gossip *g, const struct gossip_event *ev, struct gossip_effects *fx)
{
    MU_ASSERT(ev->now_ms >= g->now_ms);
    MU_ASSERT(g->has_started || ev->kind == GOSSIP_EV_START);
    g->now_ms = ev->now_ms;
    g->now_ns = ev->now_ns != 0 ? ev->now_ns : ev->now_ms * NS_PER_MS;
    g->sends_count = g->ops_count = g->notices_count = g->dones_count = 0;
    g->delivered_count = g->asked_count = g->replies_count = 0;
    g->told_keys = NULL;
    g->has_round = false;
    bury(g);
    mu_arena_reset(&g->step);

    gossip__health_pause(g, ev);
    route(g, ev);
    gossip__suspicion_refresh(g);
    gossip__spread_look(g);
    g->wake_at_ms = next_wake(g);

    *fx = (struct gossip_effects){ .has_round = g->has_round,
                                   .sends = g->sends,
                                   .sends_count = g->sends_count,
                                   .streams = g->ops,
                                   .streams_count = g->ops_count,
                                   .notices = g->notices,
                                   .notices_count = g->notices_count,
                                   .dones = g->dones,
                                   .dones_count = g->dones_count,
                                   .events = g->delivered,
                                   .events_count = g->delivered_count,
                                   .queries = g->asked,
                                   .queries_count = g->asked_count,
                                   .replies = g->replies,
                                   .replies_count = g->replies_count,
                                   .keys = g->told_keys,
                                   .incarnation = g->self->incarnation,
                                   .wake_at_ms = g->wake_at_ms };
}

/* -- questions ----------------------------------------------------------------------------------
 */

void gossip_each(const struct gossip *g, gossip_each_fn *each, void *data)
{
    for (size_t i = 0; i < g->members.count; i++) {
        struct gossip_view view = gossip__member_view(g, g->members.items[i]);

        each(data, &view);
    }
}

bool gossip_find(const struct gossip *g, const char *name, struct gossip_view *out)
{
    const struct gossip__member *m = gossip__member_find(g, name);

    if (m != NULL) {
        *out = gossip__member_view(g, m);
    }
    return m != NULL;
}

/* Others that were heard in clear lately: they would fall silent were that refused (12.6). */
static size_t clear_count(const struct gossip *g)
{
    size_t count = 0;

    for (size_t i = 0; gossip__seal_is_on(g) && i < g->list_count; i++) {
        const struct gossip__member *m = g->list[i];
        uint64_t before_keys = m->heard_ms < g->seal.since_ms ? m->heard_ms : 0;
        uint64_t with_keys = gossip__dealings(m)->clear_ms;
        uint64_t clear_ms = with_keys > before_keys ? with_keys : before_keys;

        count += clear_ms != 0 && g->now_ms - clear_ms < CLEAR_MS;
    }
    return count;
}

void gossip_summarize(const struct gossip *g, struct gossip_summary *out)
{
    size_t members = g->members.count;

    *out = (struct gossip_summary){ .members = members,
                                    .alive = members - g->failed_count - g->left_count,
                                    .failed = g->failed_count,
                                    .left = g->left_count,
                                    .listed = g->list_count,
                                    .clear = clear_count(g),
                                    .is_sealed = gossip__seal_is_on(g),
                                    .health_score = g->health,
                                    .suspects = g->suspect_count,
                                    .sync_sent_bytes = g->sync_sent_bytes,
                                    .sync_taken_bytes = g->sync_taken_bytes,
                                    .core_queue = g->queues[GOSSIP__QUEUE_CORE].count,
                                    .intent_queue = g->queues[GOSSIP__QUEUE_INTENT].count,
                                    .event_queue = g->queues[GOSSIP__QUEUE_EVENT].count,
                                    .query_queue = g->queues[GOSSIP__QUEUE_QUERY].count,
                                    .member_time = g->member_time,
                                    .event_time = g->event_time,
                                    .query_time = g->query_time,
                                    .incarnation = g->self->incarnation };
    memcpy(out->counters, g->counters, sizeof out->counters);
}
