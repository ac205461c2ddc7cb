/* query.c - questions to members, and their answers (13.7, 13.8).
 *
 *   asker                          every member
 *     | -- Query, by gossip ---------> |   once: (ltime, id) is remembered for 512 times
 *     | <- ack, direct --------------- |   if asked for, before any handler runs
 *     | <- response, direct ---------- |   once, before the deadline
 *     |  half of the time is over:     |
 *     | -- the same Query, direct ---> |   to those that said nothing yet, who ack it again
 *     |  half of the rest is over: once more, as long as an answer can come in time
 *
 * Answers go by datagram to the asker's address; with a relay factor, copies go through so many
 * other members as well. Where the asker takes it, those too large for that go by stream, and there
 * only (answer.c). The asker answers itself like any member.
 */
#include <string.h>

#include "base/mem.h"
#include "base/pattern.h"
#include "core.h"

#define SAME_TIME_MAX   64   /* queries of one Lamport time */
#define OPEN_MAX        1024 /* received and not yet past their deadline: the oldest goes */
#define ASKED_MAX       1024 /* of our own */
#define RESEND_MAX      128  /* members that are asked again directly */
#define RESEND_MS_MIN   100  /* an answer to what is sent later than this comes too late */
#define CHECK_BYTES_MAX (8U * 1024 * 1024)
#define TIMEOUT_MULT    16
#define INTERNAL_PREFIX "_serf_"
#define INTERNAL_PING   "_serf_ping"

/* -- what was seen -----------------------------------------------------------------------------
 */

/* False: it came before, or too late. */
static bool is_new(struct gossip *g, const struct gossip__query *q)
{
    struct gossip__queries *all = &g->queries;

    if (!gossip__witness(g, &g->query_time, q->ltime) || q->ltime < all->min_time) {
        return false;
    }
    if (g->query_time > GOSSIP__EVENT_SLOTS && q->ltime < g->query_time - GOSSIP__EVENT_SLOTS) {
        gossip__say(g, GOSSIP__TOPIC_OLD_QUERY, MU_WARN,
                    "serf: received old query %s from time %llu (current: %llu)", q->name,
                    (unsigned long long)q->ltime, (unsigned long long)g->query_time);
        return false;
    }
    if (all->seen == NULL) {
        all->seen = mu_new_array(GOSSIP__EVENT_SLOTS, sizeof *all->seen);
    }
    struct gossip__query_slot *slot = &all->seen[q->ltime % GOSSIP__EVENT_SLOTS];

    if (slot->ltime != q->ltime) {
        slot->ltime = q->ltime;
        slot->count = 0;
    }
    for (size_t i = 0; i < slot->count; i++) {
        if (slot->ids[i] == q->id) {
            return false;
        }
    }
    if (slot->count == SAME_TIME_MAX) {
        gossip__count(g, GOSSIP_COUNT_EVENTS_DROPPED);
        return false;
    }
    slot->ids = mu_grow(slot->ids, (slot->count + 1) * sizeof *slot->ids);
    slot->ids[slot->count++] = q->id;
    return true;
}

/* -- filters -----------------------------------------------------------------------------------
 */

static bool filter_passes(const struct gossip__filter *f, const struct gossip__member *m,
                          bool *is_broken)
{
    struct mu_span value = MU_SPAN_NONE; /* a tag that is not there is empty */
    struct mu_pattern *pattern;
    struct mu_arena arena;
    bool passes = false;

    for (size_t i = 0; i < f->nodes_count; i++) {
        if (strcmp(f->nodes[i], m->card->name) == 0) {
            return true;
        }
    }
    if (f->tag == NULL) {
        return false;
    }
    for (size_t i = 0; i < m->card->tags.count; i++) {
        if (mu_span_eq_text(m->card->tags.items[i].key, f->tag)) {
            value = m->card->tags.items[i].value;
        }
    }
    mu_arena_init(&arena, 0);
    *is_broken = mu_pattern_compile(&pattern, mu_span_text(f->expr), &arena, NULL) != MU_OK;
    passes = !*is_broken && mu_pattern_matches(pattern, value);
    mu_arena_deinit(&arena);
    return passes;
}

static bool is_meant(struct gossip *g, const struct gossip__query *q,
                     const struct gossip__member *m)
{
    for (size_t i = 0; i < q->filters_count; i++) {
        bool is_broken = false;

        if (!filter_passes(&q->filters[i], m, &is_broken)) {
            if (is_broken && m == g->self) {
                gossip__say(g, GOSSIP__TOPIC_FILTER, MU_WARN,
                            "serf: failed to compile filter regex (%s) of query %s from %s",
                            q->filters[i].expr, q->name, q->origin_node);
            }
            return false;
        }
    }
    return true;
}

/* -- answers out -------------------------------------------------------------------------------
 */

static bool fits_relay(const struct gossip *g, const struct gossip__member *m, const void *data)
{
    const struct gossip__open_query *q = data;

    (void)g;
    return m->state == GOSSIP__ALIVE && strcmp(m->card->name, q->from) != 0;
}

static void send_raw(struct gossip *g, const struct mu_addr *to, const char *name,
                     struct mu_span part)
{
    struct gossip__member *peer = gossip__member_find(g, name);
    struct gossip__letter letter;

    gossip__letter_begin(g, &letter, to, peer);
    if (gossip__letter_add(&letter, part)) {
        (void)gossip__letter_send(g, &letter);
    }
}

static void relay_copies(struct gossip *g, const struct gossip__open_query *q, struct mu_span part)
{
    struct gossip__member *via[UINT8_MAX];
    size_t count;

    if (q->relay_factor == 0 || g->members.count < q->relay_factor + 1U) {
        return;
    }
    count = gossip__member_pick(g, q->relay_factor, fits_relay, q, via);
    for (size_t i = 0; i < count; i++) {
        struct gossip__part relay = { .kind = GOSSIP__PART_RELAY };

        relay.relay =
            (struct gossip__relay){ .dest = q->origin, .dest_name = q->from, .inner = part };
        gossip__send_part(g, &via[i]->card->addr, via[i], &relay);
    }
}

static struct gossip__part answer_to(const struct gossip *g, uint64_t ltime, uint32_t id,
                                     uint32_t flags, struct mu_span payload)
{
    struct gossip__part part = { .kind = GOSSIP__PART_RESPONSE };

    part.response = (struct gossip__response){
        .ltime = ltime, .id = id, .from = g->self->card->name, .flags = flags, .payload = payload
    };
    return part;
}

static void answer(struct gossip *g, struct gossip__open_query *q, uint32_t flags,
                   struct mu_span payload)
{
    struct gossip__part part = answer_to(g, q->ltime, q->id, flags, payload);

    if (q->is_ours) {
        gossip__on_response(g, &part.response);
        return;
    }
    struct mu_span bytes = gossip__part_encode(&part, &g->step);

    if (bytes.bytes > GOSSIP_RESPONSE_BYTES ||
        ((q->takes_large || q->takes_own) && bytes.bytes > gossip__part_room(g))) {
        gossip__answer_queue(g, q, bytes);
        return;
    }
    send_raw(g, &q->origin, q->from, bytes);
    relay_copies(g, q, bytes);
}

/* -- questions in ------------------------------------------------------------------------------
 */

static void open_free(struct gossip *g, struct gossip__open_query *q)
{
    gossip__answer_forget(g, q);
    mu_list_remove(&q->link);
    g->queries.open_count--;
    mu_free(q);
}

static struct gossip__open_query *open_of(struct mu_link *link)
{
    return MU_CONTAINER(link, struct gossip__open_query, link);
}

static struct gossip__open_query *open_new(struct gossip *g, const struct gossip__query *q,
                                           bool is_ours)
{
    size_t name_bytes = strlen(q->origin_node) + 1;
    struct gossip__open_query *o = mu_new(sizeof *o + name_bytes);

    if (g->queries.open_count == OPEN_MAX) {
        open_free(g, open_of(g->queries.open.next));
    }
    o->ltime = q->ltime;
    o->id = q->id;
    o->origin = q->origin;
    o->relay_factor = (uint8_t)q->relay_factor;
    o->deadline_ms = g->now_ms + q->timeout_ms;
    o->is_ours = is_ours;
    o->takes_large = (q->flags & GOSSIP__QUERY_LARGE) != 0;
    o->takes_own = (q->flags & GOSSIP__QUERY_OWN) != 0;
    o->large_at_ms = GOSSIP__NEVER;
    memcpy(o->from, q->origin_node, name_bytes);
    mu_list_push_back(&g->queries.open, &o->link);
    g->queries.open_count++;
    return o;
}

static bool is_internal(const char *name)
{
    return strncmp(name, INTERNAL_PREFIX, strlen(INTERNAL_PREFIX)) == 0;
}

static void hear(struct gossip *g, const struct gossip__query *q, bool is_ours)
{
    if (!is_meant(g, q, g->self)) {
        return;
    }
    gossip__count(g, GOSSIP_COUNT_QUERIES);
    struct gossip__open_query *o = open_new(g, q, is_ours);

    if ((q->flags & GOSSIP__QUERY_ACK) != 0) {
        answer(g, o, GOSSIP__QUERY_ACK, MU_SPAN_NONE);
    }
    if (strcmp(q->name, INTERNAL_PING) != 0) { /* which asks for no more than the ack */
        gossip__deliver_query(g, &(struct gossip_query){
                                     .ltime = q->ltime,
                                     .id = q->id,
                                     .name = mu_arena_strdup(&g->step, q->name),
                                     .payload = mu_arena_span(&g->step, q->payload),
                                     .from = mu_arena_strdup(&g->step, q->origin_node),
                                     .deadline_ms = o->deadline_ms,
                                     .timeout_ms = q->timeout_ms,
                                     .answer_bytes_max = gossip__answer_limit(g, o),
                                     .is_internal = is_internal(q->name),
                                 });
    }
}

static struct gossip__open_query *open_find(const struct gossip *g, uint64_t ltime, uint32_t id)
{
    MU_LIST_EACH (link, &g->queries.open) {
        if (open_of(link)->ltime == ltime && open_of(link)->id == id) {
            return open_of(link);
        }
    }
    return NULL;
}

/* The asker itself says it again: our ack did not arrive. */
static void ack_again(struct gossip *g, const struct gossip__query *q,
                      const struct gossip__source *src)
{
    struct gossip__open_query *o = open_find(g, q->ltime, q->id);

    if (o != NULL && !o->is_ours && (q->flags & GOSSIP__QUERY_ACK) != 0 && src->sender != NULL &&
        strcmp(src->sender->card->name, o->from) == 0) {
        answer(g, o, GOSSIP__QUERY_ACK, MU_SPAN_NONE);
    }
}

void gossip__on_query(struct gossip *g, const struct gossip__query *q, struct mu_span bytes,
                      const struct gossip__source *src)
{
    if (!is_new(g, q)) {
        ack_again(g, q, src);
        return;
    }
    if ((q->flags & GOSSIP__QUERY_QUIET) == 0) { /* also what is not meant for us */
        struct gossip__rumor *r =
            gossip__rumor_add(g, GOSSIP__QUEUE_QUERY, NULL, bytes, src->sender);

        if (r != NULL) {
            r->until_ms = g->now_ms + q->timeout_ms;
        }
    }
    hear(g, q, false);
}

enum mu_code gossip_respond_check(const struct gossip *g, uint64_t ltime, uint32_t id,
                                  struct mu_span payload, struct mu_err *err)
{
    const struct gossip__open_query *q = open_find(g, ltime, id);
    struct gossip__part part = answer_to(g, ltime, id, 0, payload);
    struct mu_arena arena;

    if (q == NULL) {
        return mu_fail(err, MU_TIMEOUT, "response is past the deadline");
    }
    if (q->is_answered) {
        return mu_fail(err, MU_EXISTS, "response already sent");
    }
    mu_arena_init(&arena, 0);
    size_t bytes = gossip__part_encode(&part, &arena).bytes;

    mu_arena_deinit(&arena);
    size_t limit = gossip__answer_limit(g, q);

    if (bytes > limit) {
        return mu_fail(err, MU_TOO_BIG, "response exceeds limit of %zu bytes", limit);
    }
    return bytes <= GOSSIP_RESPONSE_BYTES || q->is_ours || gossip__answer_has_room(g)
               ? MU_OK
               : mu_fail(err, MU_BUSY, "%zu large responses are under way, no more are taken",
                         g->queries.large_count);
}

void gossip__on_respond(struct gossip *g, uint64_t ltime, uint32_t id, struct mu_span payload)
{
    struct gossip__open_query *q = open_find(g, ltime, id);

    if (q != NULL && !q->is_answered &&
        gossip_respond_check(g, ltime, id, payload, NULL) == MU_OK) {
        q->is_answered = true;
        answer(g, q, 0, payload);
    }
}

/* Somebody asks us to hand an answer on. Only members may: nobody else gets a datagram of ours for
 * his own (18.2, rule 11). */
void gossip__on_relay(struct gossip *g, const struct gossip__relay *r,
                      const struct gossip__source *src)
{
    struct gossip__part inner;

    if (src->sender == NULL || !gossip__part_decode(r->inner, &g->in, &inner) ||
        inner.kind != GOSSIP__PART_RESPONSE) {
        gossip__count(g, GOSSIP_COUNT_PARTS_MALFORMED);
        return;
    }
    const struct gossip__member *dest = gossip__member_find(g, r->dest_name);

    if (dest == g->self) {
        gossip__on_response(g, &inner.response);
    } else if (dest != NULL && mu_addr_eq(&dest->card->addr, &r->dest)) {
        send_raw(g, &r->dest, r->dest_name, r->inner);
    }
}

/* -- questions out -----------------------------------------------------------------------------
 */

uint64_t gossip_query_timeout_ms(const struct gossip *g)
{
    size_t members = g->alive_count + g->suspect_count;
    uint64_t digits = 1; /* ceil(log10(members + 1)) */

    for (size_t n = 10; n < members + 1; n *= 10) {
        digits++;
    }
    return g->profile.query_ms * TIMEOUT_MULT * digits;
}

static struct gossip__part query_part(const struct gossip *g, const struct gossip_query_params *p,
                                      uint32_t id, struct mu_arena *arena)
{
    struct gossip__part part = { .kind = GOSSIP__PART_QUERY };
    struct gossip__query *q = &part.query;

    q->ltime = g->query_time;
    q->id = id;
    q->origin = g->self->card->addr;
    q->origin_node = g->self->card->name;
    q->flags = (p->wants_acks ? GOSSIP__QUERY_ACK : 0U) |
               (p->takes_large ? GOSSIP__QUERY_LARGE : 0U) |
               (p->takes_own ? GOSSIP__QUERY_OWN : 0U);
    q->relay_factor = p->relay_factor;
    q->timeout_ms = p->timeout_ms > 0 ? p->timeout_ms : gossip_query_timeout_ms(g);
    q->name = p->name;
    q->payload = p->payload;
    q->filters = mu_arena_array(arena, p->filters_count + 1, sizeof *q->filters);
    for (size_t i = 0; i < p->filters_count; i++) {
        const struct gossip_query_filter *f = &p->filters[i];
        struct gossip__filter *to = &q->filters[q->filters_count++];

        to->tag = f->tag;
        to->expr = f->expr;
        to->nodes = mu_arena_array(arena, f->nodes_count + 1, sizeof *to->nodes);
        for (size_t n = 0; n < f->nodes_count; n++) {
            to->nodes[to->nodes_count++] = f->nodes[n];
        }
    }
    gossip__part_encode(&part, arena);
    return part;
}

static enum mu_code nodes_check(const struct gossip_query_filter *f, struct mu_err *err)
{
    enum mu_code rc = MU_OK;

    if (f->nodes_count > GOSSIP__NODES_MAX) {
        return mu_fail(err, MU_TOO_BIG, "query filter names %zu nodes, at most %d are taken",
                       f->nodes_count, GOSSIP__NODES_MAX);
    }
    for (size_t i = 0; i < f->nodes_count && rc == MU_OK; i++) {
        rc = f->nodes[i][0] == '\0'
                 ? mu_fail(err, MU_INVALID, "query filter has an empty node name")
                 : gossip__text_check(f->nodes[i], MU_NODE_NAME_MAX, "query filter's node name",
                                      err);
    }
    return rc;
}

static enum mu_code filter_check(const struct gossip_query_filter *f, struct mu_err *err)
{
    if (f->tag == NULL) {
        return nodes_check(f, err);
    }
    enum mu_code rc = gossip__text_check(f->tag, GOSSIP__EXPR_MAX, "query filter's tag", err);

    return rc == MU_OK
               ? gossip__text_check(f->expr, GOSSIP__EXPR_MAX, "query filter's pattern", err)
               : rc;
}

/* What members decode (message_serf.c). */
static enum mu_code params_check(const struct gossip_query_params *p, struct mu_err *err)
{
    enum mu_code rc = gossip__text_check(p->name, GOSSIP__EVENT_NAME_MAX, "query name", err);

    if (rc == MU_OK && p->timeout_ms > GOSSIP__QUERY_MS_MAX) {
        rc = mu_fail(err, MU_INVALID, "query timeout of %llu ms is over a day, %d ms",
                     (unsigned long long)p->timeout_ms, GOSSIP__QUERY_MS_MAX);
    }
    if (rc == MU_OK && p->filters_count > GOSSIP__FILTERS_MAX) {
        rc = mu_fail(err, MU_TOO_BIG, "query has %zu filters, at most %d are taken",
                     p->filters_count, GOSSIP__FILTERS_MAX);
    }
    for (size_t i = 0; i < p->filters_count && rc == MU_OK; i++) {
        rc = filter_check(&p->filters[i], err);
    }
    return rc;
}

enum mu_code gossip_query_check(const struct gossip *g, const struct gossip_query_params *p,
                                struct mu_err *err)
{
    bool is_ping = strcmp(p->name, INTERNAL_PING) == 0 && p->payload.bytes == 0;
    size_t room = gossip__part_room(g);
    unsigned said = p->is_internal ? GOSSIP_QUERY_BYTES : g->queries.query_limit;
    unsigned limit = said < room ? said : (unsigned)room;
    struct mu_arena arena;
    struct gossip__part again;
    enum mu_code rc;

    if (is_internal(p->name) && !p->is_internal && !is_ping) {
        return mu_fail(err, MU_DENIED, "Queries cannot contain the '%s' prefix", INTERNAL_PREFIX);
    }
    if (g->queries.asked_count >= ASKED_MAX) {
        return mu_fail(err, MU_BUSY, "%d queries of this agent are running", ASKED_MAX);
    }
    mu_arena_init(&arena, CHECK_BYTES_MAX);
    struct gossip__part part = query_part(g, p, UINT32_MAX, &arena);

    rc = part.bytes.bytes > limit
             ? mu_fail(err, MU_TOO_BIG, "query exceeds limit of %u bytes", limit)
             : params_check(p, err);
    MU_ASSERT(rc != MU_OK || gossip__part_decode(part.bytes, &arena, &again));
    mu_arena_deinit(&arena);
    return rc;
}

static struct gossip__asked *asked_of(struct mu_link *link)
{
    return MU_CONTAINER(link, struct gossip__asked, link);
}

static void asked_free(struct gossip *g, struct gossip__asked *a)
{
    mu_list_remove(&a->link);
    g->queries.asked_count--;
    mu_table_free(a->acked);
    mu_table_free(a->answered);
    mu_free(a);
}

void gossip__on_ask(struct gossip *g, uint64_t owner_id, const struct gossip_query_params *p)
{
    struct gossip__part part = query_part(g, p, (uint32_t)mu_rand_u64(&g->rand), &g->step);
    struct gossip__asked *a = mu_new(sizeof *a + part.bytes.bytes);

    a->owner_id = owner_id;
    a->ltime = part.query.ltime;
    a->id = part.query.id;
    a->deadline_ms = g->now_ms + part.query.timeout_ms;
    a->resend_ms =
        p->wants_acks || p->is_internal ? g->now_ms + part.query.timeout_ms / 2 : GOSSIP__NEVER;
    a->takes_more = p->takes_large || p->takes_own;
    a->acked = mu_table_new();
    a->answered = mu_table_new();
    a->bytes = part.bytes.bytes;
    memcpy(a->data, part.bytes.data, part.bytes.bytes);
    mu_list_push_back(&g->queries.asked, &a->link);
    g->queries.asked_count++;
    g->query_time++;
    (void)is_new(g, &part.query);
    struct gossip__rumor *r = gossip__rumor_add(g, GOSSIP__QUEUE_QUERY, NULL, part.bytes, NULL);

    if (r != NULL) {
        r->until_ms = a->deadline_ms;
    }
    hear(g, &part.query, true);
}

/* Whoever said nothing by now may have missed it: in a small cluster a rumor of few sends can leave
 * somebody out (7.5). What is sent now can be lost too, and so can the answer, so it is done again
 * in the middle of the time that is left, as long as an answer can come within that: of two hundred
 * acks over links that lose 5 %, one would else be missing in the end. */
static void ask_again(struct gossip *g, struct gossip__asked *a)
{
    struct gossip__part part;
    uint64_t left_ms = a->deadline_ms - g->now_ms;
    size_t sent = 0;

    a->resend_ms = left_ms / 2 >= RESEND_MS_MIN ? g->now_ms + left_ms / 2 : GOSSIP__NEVER;
    mu_arena_reset(&g->in);
    MU_ASSERT(gossip__part_decode(mu_span_of(a->data, a->bytes), &g->in, &part));
    for (size_t i = 0; i < g->list_count && sent < RESEND_MAX; i++) {
        struct gossip__member *m = g->list[i];
        struct mu_span name = mu_span_text(m->card->name);

        if (m != g->self && gossip__member_is_live(m) && mu_table_find(a->acked, name) == NULL &&
            mu_table_find(a->answered, name) == NULL && is_meant(g, &part.query, m)) {
            send_raw(g, &m->card->addr, m->card->name, mu_span_of(a->data, a->bytes));
            sent++;
        }
    }
}

void gossip__on_response(struct gossip *g, const struct gossip__response *r)
{
    bool is_ack = (r->flags & GOSSIP__QUERY_ACK) != 0;

    MU_LIST_EACH (link, &g->queries.asked) {
        struct gossip__asked *a = asked_of(link);

        if (a->ltime != r->ltime || a->id != r->id) {
            continue;
        }
        if (r->payload.bytes > GOSSIP_RESPONSE_BYTES && !a->takes_more) {
            gossip__count(g, GOSSIP_COUNT_PARTS_MALFORMED);
            return;
        }
        struct mu_table *known = is_ack ? a->acked : a->answered;

        if (mu_table_put(known, mu_span_text(r->from), a) != NULL) {
            gossip__count(g, is_ack ? GOSSIP_COUNT_ACKS_TWICE : GOSSIP_COUNT_RESPONSES_TWICE);
            return;
        }
        gossip__count(g, is_ack ? GOSSIP_COUNT_ACKS : GOSSIP_COUNT_RESPONSES);
        gossip__reply(g, &(struct gossip_reply){
                             .query = a->owner_id,
                             .kind = is_ack ? GOSSIP_REPLY_ACK : GOSSIP_REPLY_RESPONSE,
                             .from = mu_arena_strdup(&g->step, r->from),
                             .payload = mu_arena_span(&g->step, r->payload),
                         });
        return;
    }
    gossip__count(g, GOSSIP_COUNT_REPLIES_LATE);
}

/* -- time --------------------------------------------------------------------------------------
 */

uint64_t gossip__query_due(const struct gossip *g)
{
    uint64_t due = GOSSIP__NEVER;

    MU_LIST_EACH (link, &g->queries.asked) {
        const struct gossip__asked *a = asked_of(link);

        due = a->deadline_ms < due ? a->deadline_ms : due;
        due = a->resend_ms < due ? a->resend_ms : due;
    }
    MU_LIST_EACH (link, &g->queries.open) {
        const struct gossip__open_query *q = open_of(link);
        uint64_t send_ms = gossip__answer_due(g, q);

        due = q->deadline_ms < due ? q->deadline_ms : due;
        due = send_ms < due ? send_ms : due;
    }
    return due;
}

void gossip__query_tick(struct gossip *g)
{
    MU_LIST_EACH_SAFE (link, &g->queries.open) {
        struct gossip__open_query *q = open_of(link);

        if (q->deadline_ms <= g->now_ms) {
            open_free(g, q);
        } else {
            gossip__answer_tick(g, q);
        }
    }
    MU_LIST_EACH_SAFE (link, &g->queries.asked) {
        struct gossip__asked *a = asked_of(link);

        if (a->deadline_ms <= g->now_ms) {
            gossip__reply(
                g, &(struct gossip_reply){ .query = a->owner_id, .kind = GOSSIP_REPLY_DONE });
            asked_free(g, a);
        } else if (a->resend_ms <= g->now_ms) {
            ask_again(g, a);
        }
    }
}

void gossip__query_init(struct gossip *g, const struct gossip_options *o)
{
    mu_list_init(&g->queries.open);
    mu_list_init(&g->queries.asked);
    g->queries.min_time = o->query_time;
    g->queries.query_limit = o->query_size_limit > 0 ? o->query_size_limit : GOSSIP_QUERY_BYTES;
    g->queries.response_limit =
        o->response_size_limit > 0 ? o->response_size_limit : GOSSIP_RESPONSE_BYTES;
}

void gossip__query_free_all(struct gossip *g)
{
    MU_LIST_EACH_SAFE (link, &g->queries.open) {
        mu_buf_deinit(&open_of(link)->large); /* not lost: we end */
        open_free(g, open_of(link));
    }
    MU_LIST_EACH_SAFE (link, &g->queries.asked) {
        asked_free(g, asked_of(link));
    }
    for (size_t i = 0; g->queries.seen != NULL && i < GOSSIP__EVENT_SLOTS; i++) {
        mu_free(g->queries.seen[i].ids);
    }
    mu_free(g->queries.seen);
}
