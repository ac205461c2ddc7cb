/* sync.c - full state exchange: what gossip lost, and how newcomers learn everything (9).
 *
 *   join       hello(join), all we hold  -->
 *                                        <-- all it holds; then what our address answered
 *   periodic   hello, digest             -->
 *                                        <-- done (equal), or its digest
 *              the buckets that differ   -->
 *                                        <-- the same buckets
 *
 * State comes in chunks that fit a frame. Each is verified as it arrives (versions 12.4, predicate
 * 9.4); only when the last one has passed does anything change, one chunk a turn of the loop, by
 * the rules of 4.5. A joiner whose name or id somebody else holds, or whom the predicate refuses,
 * gets the reason in words.
 *
 * What is learned is told on, as any news. Not so by a newcomer that knew nobody before: to the
 * members it is told of, whatever they have known for a while is old, and a newcomer to thousands
 * would repeat it to them for minutes, and its own news behind that.
 *
 * While a cluster forms, many are told of at once, and by chance a rumor misses somebody, who would
 * wait for the comparison of a later minute. So who is young itself and hears of newcomers compares
 * as soon as the news stops, and again after twice that time, and so on up to the usual interval.
 * A settled cluster does none of this, nor one so small that all tell everything to all; but when
 * very many come or return at once, as after a cut, the old are as young.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "core.h"

#define CHUNK_MEMBERS  256
#define CHUNK_BYTES    (48U * 1024)
#define RECORD_BYTES   160 /* of a member beside its name and tags, generously */
#define SCALE_FROM     32  /* members up to which the interval is not stretched */
#define JITTER_PERCENT 10
#define QUIET_MS       200  /* without news before a young member compares; and up to twice that */
#define QUIET_MS_MAX   2000 /* with news all the time */
#define MANY           16   /* newcomers within that time, of whom chance may well hide one */
#define CHUNKS_MAX     (MU_GOSSIP_MEMBERS_MAX / CHUNK_MEMBERS)

/* What has been seen of one protocol's numbers over all live members (12.4). */
struct agreed {
    unsigned min, max; /* the highest minimum, the lowest maximum */
    unsigned cur_low, cur_high;
    char who_low[MU_NODE_NAME_MAX + 1], who_high[MU_NODE_NAME_MAX + 1];
};

struct gossip__sync {
    bool is_join;
    uint64_t began_ns; /* here; 0: there */
    uint64_t attempt;
    struct mu_addr advertised; /* of the joiner that came to us */
    struct mu_buf *chunks;
    size_t chunks_count;
    bool has_all;
    bool is_partial; /* only the buckets in `differs` */
    bool differs[GOSSIP__BUCKETS];
    bool has_agreed; /* on the versions of those that we hold, before theirs are added */
    struct agreed core, serf;
};

/* One that began here is over: both states are where they were to go, or will not be. */
static void time_ends(struct gossip *g, struct gossip__sync *sync)
{
    if (sync->began_ns > 0) {
        gossip__sample_since(g, GOSSIP_SAMPLE_SYNC, sync->began_ns);
        sync->began_ns = 0;
    }
}

void gossip__sync_free(struct gossip *g, struct gossip__sync *sync)
{
    if (sync == NULL) {
        return;
    }
    time_ends(g, sync);
    for (size_t i = 0; i < sync->chunks_count; i++) {
        mu_buf_deinit(&sync->chunks[i]);
    }
    mu_free(sync->chunks);
    mu_free(sync);
}

/* -- digest -------------------------------------------------------------------------------------
 */

static size_t bucket_of(const struct gossip__member *m)
{
    return m->card->spread % GOSSIP__BUCKETS;
}

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
    return h ^ h >> 32;
}

/* Members that everybody holds, or should: what the detector lists, and who has left. A suspect
 * counts as alive, since suspicions come and go faster than exchanges. */
void gossip__sync_digest(const struct gossip *g, struct gossip__digest *out)
{
    memset(out, 0, sizeof *out);
    out->events = gossip__event_sum(g);
    for (size_t i = 0; i < g->members.count; i++) {
        const struct gossip__member *m = g->members.items[i];
        bool has_left = m->status == GOSSIP_STATUS_LEFT;

        if (!m->is_listed && !has_left) {
            continue;
        }
        uint64_t h = mix(m->card->spread, m->status_ltime);

        h = mix(h, has_left ? 0 : m->incarnation);
        h = mix(h, has_left ? GOSSIP__GONE : gossip__member_is_live(m) ? GOSSIP__ALIVE : m->state);
        out->buckets[bucket_of(m)] ^= h;
        out->nodes++;
    }
}

/* -- our state, out -----------------------------------------------------------------------------
 */

struct writer {
    struct gossip *g;
    struct gossip__stream *stream;
    struct gossip__frame frame;
    size_t members, bytes;
};

static void chunk_begin(struct writer *w)
{
    struct gossip *g = w->g;
    struct gossip__sync_state *s = &w->frame.state;

    w->members = w->bytes = 0;
    w->frame.kind = GOSSIP__FRAME_STATE;
    *s = (struct gossip__sync_state){ .ltime = g->member_time,
                                      .event_ltime = g->event_time,
                                      .query_ltime = g->query_time };
    s->nodes = mu_arena_array(&g->step, CHUNK_MEMBERS, sizeof *s->nodes);
    s->times = mu_arena_array(&g->step, CHUNK_MEMBERS, sizeof *s->times);
    s->left = mu_arena_array(&g->step, CHUNK_MEMBERS, sizeof *s->left);
    s->pruned = mu_arena_array(&g->step, CHUNK_MEMBERS, sizeof *s->pruned);
}

static void chunk_end(struct writer *w, bool more)
{
    w->frame.state.more = more;
    gossip__stream_frame(w->g, w->stream, &w->frame);
}

static void chunk_room(struct writer *w, size_t bytes)
{
    if (w->members == CHUNK_MEMBERS || w->bytes + bytes > CHUNK_BYTES) {
        chunk_end(w, true);
        chunk_begin(w);
    }
    w->members++;
    w->bytes += bytes;
}

static void add_member(struct writer *w, const struct gossip__member *m)
{
    struct gossip__sync_state *s = &w->frame.state;

    chunk_room(w, 2 * strlen(m->card->name) + m->card->meta.bytes + RECORD_BYTES);
    if (m->is_listed) {
        struct gossip__node_state *n = &s->nodes[s->nodes_count++];

        n->node = gossip__member_record(m);
        n->state = m->state;
        n->age_ms = w->g->now_ms - m->state_ms;
        n->evidence =
            m->state == GOSSIP__SUSPECT ? m->dealings->suspicion->evidence : GOSSIP__SILENT;
    }
    if (m->status == GOSSIP_STATUS_LEFT) {
        s->left[s->left_count++] = (struct gossip__named_time){ m->card->name, m->status_ltime };
    } else {
        s->times[s->times_count++] = (struct gossip__named_time){ m->card->name, m->status_ltime };
    }
}

static void add_tombstone(struct writer *w, const struct gossip__tombstone *t)
{
    struct gossip__sync_state *s = &w->frame.state;

    chunk_room(w, strlen(t->name) + RECORD_BYTES);
    s->pruned[s->pruned_count++] =
        (struct gossip__tombstone_record){ t->name, t->incarnation, t->ltime,
                                           w->g->now_ms - t->since_ms };
}

/* Those who were away replay them; what is known already changes nothing. */
static void add_events(struct writer *w)
{
    struct gossip__event_at at = { .slot = 0 };
    struct gossip__user_event e;

    while (gossip__event_next(w->g, &at, &e)) {
        chunk_room(w, strlen(e.name) + e.payload.bytes + RECORD_BYTES);
        struct gossip__sync_state *s = &w->frame.state;

        if (s->events == NULL) {
            s->events = mu_arena_array(&w->g->step, CHUNK_MEMBERS, sizeof *s->events);
        }
        s->events[s->events_count++] = e;
    }
}

static void send_state(struct gossip *g, struct gossip__stream *stream)
{
    const struct gossip__sync *sync = stream->sync;
    uint64_t before = g->counters[GOSSIP_COUNT_STREAM_BYTES_OUT];
    struct writer w = { .g = g, .stream = stream };
    struct mu_table_at at = { .started = false };

    chunk_begin(&w);
    for (size_t i = 0; i < g->members.count; i++) {
        const struct gossip__member *m = g->members.items[i];

        if (!sync->is_partial || sync->differs[bucket_of(m)]) {
            add_member(&w, m);
        }
    }
    while (mu_table_next(g->tombstones, &at)) {
        const struct gossip__tombstone *t = at.value;

        if (t->is_pruned) {
            add_tombstone(&w, t);
        }
    }
    add_events(&w);
    chunk_end(&w, false);
    g->sync_sent_bytes = g->counters[GOSSIP_COUNT_STREAM_BYTES_OUT] - before;
}

static void send_digest(struct gossip *g, struct gossip__stream *s)
{
    struct gossip__frame *frame = mu_arena_new(&g->step, sizeof *frame);

    frame->kind = GOSSIP__FRAME_DIGEST;
    gossip__sync_digest(g, &frame->digest);
    gossip__stream_frame(g, s, frame);
}

static bool compare_digest(struct gossip *g, struct gossip__sync *sync,
                           const struct gossip__digest *theirs)
{
    struct gossip__digest *ours = mu_arena_new(&g->step, sizeof *ours);
    bool is_equal = true;

    gossip__sync_digest(g, ours);
    sync->is_partial = true;
    for (size_t i = 0; i < GOSSIP__BUCKETS; i++) {
        sync->differs[i] = ours->buckets[i] != theirs->buckets[i];
        is_equal = is_equal && !sync->differs[i];
    }
    return is_equal && ours->nodes == theirs->nodes && ours->events == theirs->events;
}

/* -- their state, in: verify, keep --------------------------------------------------------------
 */

static void agree(struct agreed *a, const char *name, const uint8_t versions[3])
{
    bool is_first = a->max == 0;

    a->min = is_first || versions[0] > a->min ? versions[0] : a->min;
    a->max = is_first || versions[1] < a->max ? versions[1] : a->max;
    if (is_first || versions[2] < a->cur_low) {
        a->cur_low = versions[2];
        memcpy(a->who_low, name, strlen(name) + 1);
    }
    if (is_first || versions[2] > a->cur_high) {
        a->cur_high = versions[2];
        memcpy(a->who_high, name, strlen(name) + 1);
    }
}

/* Every node's current number must lie in what all of them understand. */
static const char *disagreement(struct gossip *g, const struct agreed *a, const char *what)
{
    if (a->max == 0 || (a->cur_low >= a->min && a->cur_high <= a->max)) {
        return NULL;
    }
    bool is_low = a->cur_low < a->min;

    return mu_arena_printf(&g->step, "Node '%s' %s protocol version (%u) is incompatible: [%u, %u]",
                           is_low ? a->who_low : a->who_high, what,
                           is_low ? a->cur_low : a->cur_high, a->min, a->max);
}

/* Not before there is something to compare with: most exchanges end at equal digests. */
static void agree_first(const struct gossip *g, struct gossip__sync *sync)
{
    if (sync->has_agreed) {
        return;
    }
    sync->has_agreed = true;
    for (size_t i = 0; i < g->list_count; i++) {
        const struct gossip__member *m = g->list[i];

        if (gossip__member_is_live(m)) {
            agree(&sync->core, m->card->name, m->card->versions);
            agree(&sync->serf, m->card->name, m->card->versions + 3);
        }
    }
}

static const char *verify_record(struct gossip *g, struct gossip__stream *s,
                                 const struct gossip__alive *a, const struct gossip__member **held)
{
    const char *why = gossip__alive_refused(g, a, held);
    bool is_newcomer = s->sync->is_join && strcmp(a->node, s->name) == 0;
    struct gossip__member *m = is_newcomer ? gossip__member_find(g, a->node) : NULL;

    if (*held != NULL) { /* its id, under another name */
        gossip__link_claimed(g, gossip__member_find(g, (*held)->card->name), &a->at);
    }
    if (why == NULL && is_newcomer && !gossip__address_ok(&a->at, &s->peer)) {
        char at[MU_ADDR_TEXT_MAX];

        mu_addr_text(&a->at, at);
        gossip__count(g, GOSSIP_COUNT_ADDRESS_REFUSED);
        return mu_arena_printf(&g->step, "advertised address %s means nothing to other machines",
                               at);
    }
    if (why == NULL && is_newcomer) { /* of others such a record alone is passed over */
        why = gossip__network_refused(g, &a->at);
    }
    if (why != NULL || m == NULL || !gossip__member_is_live(m) ||
        mu_addr_eq(&m->card->addr, &a->at) ||
        (!mu_id_is_none(&a->node_id) && mu_id_eq(&m->card->node_id, &a->node_id))) {
        return why;
    }
    *held = m;
    gossip__link_claimed(g, m, &a->at);
    return mu_arena_printf(&g->step, "name '%s' is in use", m->card->name);
}

/* NULL: fine, and the chunk is kept. *held: who is in the way of the newcomer. */
static const char *keep_chunk(struct gossip *g, struct gossip__stream *s,
                              const struct gossip__sync_state *state, struct mu_span bytes,
                              const struct gossip__member **held)
{
    struct gossip__sync *sync = s->sync;
    const char *why = NULL;

    agree_first(g, sync);
    *held = NULL;
    for (size_t i = 0; i < state->nodes_count && why == NULL; i++) {
        const struct gossip__node_state *n = &state->nodes[i];

        if (n->state == GOSSIP__ALIVE || n->state == GOSSIP__SUSPECT) {
            why = verify_record(g, s, &n->node, held);
            agree(&sync->core, n->node.node, n->node.versions);
            agree(&sync->serf, n->node.node, n->node.versions + 3);
        }
    }
    if (why == NULL) {
        why = disagreement(g, &sync->core, "core");
    }
    if (why == NULL) {
        why = disagreement(g, &sync->serf, "delegate");
    }
    if (why == NULL && sync->chunks_count == CHUNKS_MAX) {
        why = "state of more members than allowed";
    }
    if (why != NULL) {
        return why;
    }
    sync->chunks = mu_grow(sync->chunks, (sync->chunks_count + 1) * sizeof *sync->chunks);
    sync->chunks[sync->chunks_count] = MU_BUF_NONE;
    mu_buf_add_span(&sync->chunks[sync->chunks_count++], bytes);
    sync->has_all = !state->more;
    return NULL;
}

/* -- merge: one chunk a turn --------------------------------------------------------------------
 */

static struct gossip__merge *merge_of(struct mu_link *link)
{
    return MU_CONTAINER(link, struct gossip__merge, link);
}

static void merge_start(struct gossip *g, struct gossip__stream *s)
{
    g->sync_taken_bytes = s->received;
    struct gossip__merge *merge = mu_new(sizeof *merge);

    merge->chunks = s->sync->chunks;
    merge->chunks_count = s->sync->chunks_count;
    merge->attempt = s->sync->attempt;
    merge->peer = s->peer;
    merge->is_first = gossip__others_live(g) == 0 && mu_list_empty(&g->merges);
    s->sync->chunks = NULL;
    s->sync->chunks_count = 0;
    s->sync->attempt = 0;
    mu_list_push_back(&g->merges, &merge->link);
}

static void merge_free(struct gossip__merge *merge)
{
    for (size_t i = 0; i < merge->chunks_count; i++) {
        mu_buf_deinit(&merge->chunks[i]);
    }
    mu_free(merge->chunks);
    mu_list_remove(&merge->link);
    mu_free(merge);
}

void gossip__merge_free_all(struct gossip *g)
{
    MU_LIST_EACH_SAFE (link, &g->merges) {
        merge_free(merge_of(link));
    }
}

/* Table 4.5. A dead record is only a suspicion here: its subject may be alive on our side. What a
 * suspicion rests on comes with it: as it is hearsay here, it must not ask for more patience than
 * those asked for who were there. Nothing is known of what a dead record rested on. */
static void merge_node(struct gossip *g, const struct gossip__node_state *n,
                       const struct gossip__source *src)
{
    struct gossip__part part;

    switch (n->state) {
    case GOSSIP__ALIVE: gossip__on_alive(g, &n->node, MU_SPAN_NONE, src); break;
    case GOSSIP__SUSPECT:
    case GOSSIP__DEAD:
        part.kind = GOSSIP__PART_SUSPECT;
        part.suspect =
            (struct gossip__suspect){ .node = n->node.node,
                                      .from = g->self->card->name,
                                      .incarnation = n->node.incarnation,
                                      .evidence = n->state == GOSSIP__SUSPECT ? n->evidence
                                                                              : GOSSIP__SILENT };
        gossip__on_suspect(g, &part.suspect, gossip__part_encode(&part, &g->step), src);
        break;
    case GOSSIP__GONE:
        part.kind = GOSSIP__PART_DEAD;
        part.dead = (struct gossip__dead){ .node = n->node.node,
                                           .from = n->node.node,
                                           .incarnation = n->node.incarnation };
        gossip__on_dead(g, &part.dead, gossip__part_encode(&part, &g->step), src);
        break;
    }
}

static void merge_events(struct gossip *g, const struct gossip__sync_state *s)
{
    if (s->event_ltime > 0) {
        (void)gossip__witness(g, &g->event_time, s->event_ltime - 1);
    }
    if (s->query_ltime > 0) {
        (void)gossip__witness(g, &g->query_time, s->query_ltime - 1);
    }
    for (size_t i = 0; i < s->events_count; i++) {
        (void)gossip__event_take(g, &s->events[i]);
    }
}

static void merge_chunk(struct gossip *g, const struct gossip__sync_state *s,
                        const struct gossip__merge *merge)
{
    struct gossip__source src = { .addr = merge->peer, .is_stream = true };

    for (size_t i = 0; i < s->nodes_count; i++) {
        src.is_old = merge->is_first && s->nodes[i].age_ms >= g->profile.push_pull_ms;
        merge_node(g, &s->nodes[i], &src);
    }
    if (s->ltime > 0) { /* nothing was sent yet under the current value (13.5) */
        (void)gossip__serf_witness(g, s->ltime - 1);
    }
    for (size_t i = 0; i < s->left_count; i++) {
        struct gossip__intent in = { .node = s->left[i].node, .ltime = s->left[i].ltime };

        (void)gossip__serf_leave_intent(g, &in);
    }
    for (size_t i = 0; i < s->times_count; i++) {
        struct gossip__intent in = { .node = s->times[i].node, .ltime = s->times[i].ltime };

        (void)gossip__serf_join_intent(g, &in);
    }
    for (size_t i = 0; i < s->pruned_count; i++) {
        gossip__tombstone_learn(g, &s->pruned[i]);
    }
    merge_events(g, s);
}

static void merge_next(struct gossip *g)
{
    struct gossip__merge *merge = merge_of(g->merges.next);
    struct gossip__frame frame;

    mu_arena_reset(&g->in);
    if (gossip__frame_decode(mu_buf_span(&merge->chunks[merge->next]), &g->in, &frame)) {
        if (gossip__join_wants_new_only(g, merge->attempt)) {
            gossip__event_forget_older(g, frame.state.event_ltime);
        }
        merge_chunk(g, &frame.state, merge);
    }
    mu_buf_deinit(&merge->chunks[merge->next]);
    if (++merge->next == merge->chunks_count) {
        uint64_t attempt = merge->attempt;

        merge_free(merge);
        gossip__join_tried(g, attempt, NULL);
    }
}

/* -- the one who asks ---------------------------------------------------------------------------
 */

void gossip__sync_start(struct gossip *g, const struct mu_addr *to, uint64_t attempt)
{
    struct gossip__stream *s = gossip__stream_open(g, GOSSIP__ROLE_SYNC, to);

    s->sync = mu_new(sizeof *s->sync);
    s->sync->attempt = attempt;
    s->sync->is_join = attempt != 0;
    s->sync->began_ns = g->now_ns;
    gossip__count(g, GOSSIP_COUNT_SYNCS);
}

static void sync_opened(struct gossip *g, struct gossip__stream *s)
{
    struct gossip__hello hello = { .kind = GOSSIP__HELLO_DIGEST };

    if (!s->sync->is_join) {
        gossip__stream_hello(g, s, hello);
        send_digest(g, s);
        return;
    }
    hello.kind = GOSSIP__HELLO_SYNC;
    hello.join = true;
    hello.advertised = g->self->card->addr;
    gossip__stream_hello(g, s, hello);
    send_state(g, s);
}

static void sync_failed(struct gossip *g, struct gossip__stream *s, const char *why)
{
    uint64_t attempt = s->sync->attempt;

    s->sync->attempt = 0;
    gossip__stream_drop(g, s);
    gossip__join_tried(g, attempt, why);
}

static void on_rejected(struct gossip *g, struct gossip__stream *s,
                        const struct gossip__reject *reject)
{
    const char *why = reject->text;

    if (reject->code == GOSSIP__REJECT_CONFLICT && reject->has_held) {
        why = gossip__conflict_notice(g, why, &reject->held, NULL);
    }
    if (!gossip__address_ok(&g->self->card->addr, &s->peer)) { /* as we can see ourselves */
        struct gossip_view view = gossip__member_view(g, g->self);

        gossip__notice(g, GOSSIP_USELESS, &view, why);
    }
    sync_failed(g, s, why);
}

static void on_reach(struct gossip *g, struct gossip__stream *s, bool udp, bool tcp)
{
    struct gossip_view view = gossip__member_view(g, g->self);
    char ours[MU_ADDR_TEXT_MAX];
    char theirs[MU_ADDR_TEXT_MAX];

    mu_addr_text(&g->self->card->addr, ours);
    mu_addr_text(&s->peer, theirs);
    gossip__stream_end(g, s);
    if (udp && tcp) {
        return;
    }
    if (!udp) {
        g->unreached_from = s->peer;
    }
    const char *text = mu_arena_printf(
        &g->step, "advertised address %s is not reachable from %s (no answer over %s)", ours,
        theirs,
        udp   ? "TCP"
        : tcp ? "UDP"
              : "UDP and TCP");

    gossip__log(g, MU_WARN, "memberlist: %s", text);
    gossip__notice(g, GOSSIP_UNREACHABLE, &view, text);
}

static void on_state(struct gossip *g, struct gossip__stream *s,
                     const struct gossip__sync_state *state, struct mu_span bytes)
{
    const struct gossip__member *held;

    if (s->sync->has_all) {
        return; /* more than announced */
    }
    const char *why = keep_chunk(g, s, state, bytes, &held);

    if (why != NULL) {
        sync_failed(g, s, why);
    } else if (s->sync->has_all) {
        time_ends(g, s->sync);
        merge_start(g, s);
        if (!s->sync->is_join) {
            gossip__stream_end(g, s);
        }
    }
}

static void sync_frame(struct gossip *g, struct gossip__stream *s, struct gossip__frame *frame,
                       struct mu_span bytes)
{
    switch (frame->kind) {
    case GOSSIP__FRAME_REJECT: on_rejected(g, s, &frame->reject); break;
    case GOSSIP__FRAME_STATE: on_state(g, s, &frame->state, bytes); break;
    case GOSSIP__FRAME_REACH: on_reach(g, s, frame->reach.udp, frame->reach.tcp); break;
    case GOSSIP__FRAME_DIGEST:
        (void)compare_digest(g, s->sync, &frame->digest);
        send_state(g, s);
        break;
    case GOSSIP__FRAME_DONE:
        gossip__count(g, GOSSIP_COUNT_SYNCS_EQUAL);
        gossip__stream_end(g, s);
        break;
    case GOSSIP__FRAME_UNKNOWN: break; /* of a later version */
    case GOSSIP__FRAME_KEYS:           /* stream.c takes it */
    case GOSSIP__FRAME_HELLO:
    case GOSSIP__FRAME_PART: sync_failed(g, s, "unexpected answer"); break;
    }
}

static void sync_ended(struct gossip *g, struct gossip__stream *s, enum gossip_end end,
                       const char *text)
{
    char addr[MU_ADDR_TEXT_MAX];
    uint64_t attempt = s->sync->attempt;

    mu_addr_text(&s->peer, addr);
    s->sync->attempt = 0;
    gossip__join_tried(
        g, attempt,
        end == GOSSIP_END_EOF ? "EOF"
        : s->is_stranger
            ? text
            : mu_arena_printf(&g->step, "%s tcp %s: %s", s->is_open ? "read" : "dial", addr, text));
}

const struct gossip__role_row gossip__role_sync = { sync_opened, sync_frame, sync_ended };

/* -- the one who is asked -----------------------------------------------------------------------
 */

void gossip__sync_hello(struct gossip__stream *s, const struct gossip__hello *hello)
{
    s->sync = mu_new(sizeof *s->sync);
    s->sync->is_join = hello->join;
    s->sync->advertised = hello->advertised;
}

static void reject(struct gossip *g, struct gossip__stream *s, const char *why,
                   const struct gossip__member *held)
{
    struct gossip__frame frame = { .kind = GOSSIP__FRAME_REJECT };

    frame.reject = (struct gossip__reject){ .code = held != NULL ? GOSSIP__REJECT_CONFLICT
                                                                 : GOSSIP__REJECT_REFUSED,
                                            .text = why,
                                            .has_held = held != NULL };
    if (held != NULL) {
        frame.reject.held = gossip__member_record(held);
    }
    gossip__count(g, GOSSIP_COUNT_MEMBER_REFUSED);
    gossip__say(g, GOSSIP__TOPIC_REFUSED_STATE, MU_WARN,
                "memberlist: refused the state of '%s': %s", s->name, why);
    gossip__stream_frame(g, s, &frame);
    gossip__stream_end(g, s);
}

static void synced_state(struct gossip *g, struct gossip__stream *s,
                         const struct gossip__sync_state *state, struct mu_span bytes)
{
    const struct gossip__member *held;
    const char *why = keep_chunk(g, s, state, bytes, &held);

    if (why != NULL) {
        reject(g, s, why, held);
        return;
    }
    if (!s->sync->has_all) {
        return;
    }
    send_state(g, s);
    merge_start(g, s);
    if (s->sync->is_join && s->sync->advertised.ip_bytes > 0) {
        gossip__inquiry_reach(g, s->name, &s->sync->advertised, s->id);
    } else {
        gossip__stream_end(g, s);
    }
}

static void synced_frame(struct gossip *g, struct gossip__stream *s, struct gossip__frame *frame,
                         struct mu_span bytes)
{
    struct gossip__frame done = { .kind = GOSSIP__FRAME_DONE };

    if (frame->kind == GOSSIP__FRAME_STATE && !s->sync->has_all) {
        synced_state(g, s, &frame->state, bytes);
    } else if (frame->kind != GOSSIP__FRAME_DIGEST) {
        gossip__stream_drop(g, s);
    } else if (compare_digest(g, s->sync, &frame->digest)) {
        gossip__stream_frame(g, s, &done);
        gossip__stream_end(g, s);
    } else {
        send_digest(g, s);
    }
}

const struct gossip__role_row gossip__role_synced = { NULL, synced_frame, NULL };

/* -- time ---------------------------------------------------------------------------------------
 */

uint64_t gossip__sync_interval(const struct gossip_profile *p, size_t listed)
{
    if (listed <= SCALE_FROM) {
        return p->push_pull_ms;
    }
    double doublings = ceil(log2((double)listed) - log2((double)SCALE_FROM));

    return p->push_pull_ms * ((uint64_t)doublings + 1);
}

static uint64_t next_interval(struct gossip *g)
{
    uint64_t interval = gossip__sync_interval(&g->profile, g->list_count);
    uint64_t spread = interval * JITTER_PERCENT / 100;

    return interval - spread + mu_rand_below(&g->rand, 2 * spread + 1);
}

void gossip__sync_wake(struct gossip *g)
{
    if (g->sync_at_ms == GOSSIP__NEVER && g->profile.push_pull_ms > 0) {
        g->sync_at_ms = g->now_ms + 1 + mu_rand_below(&g->rand, next_interval(g));
    }
}

/* Also one that never came as its interval was 0, as soon as there is somebody. */
void gossip__sync_replan(struct gossip *g)
{
    g->sync_at_ms = GOSSIP__NEVER;
    g->sync_wait_ms = 0;
    if (gossip__others_live(g) > 0 && g->leave.stage == GOSSIP__LEAVE_NONE) {
        gossip__sync_wake(g);
    }
}

static bool are_many(struct gossip *g)
{
    if (g->now_ms >= g->newcomers_ms + QUIET_MS_MAX) {
        g->newcomers_ms = g->now_ms;
        g->newcomers = 0;
    }
    return ++g->newcomers >= MANY;
}

void gossip__sync_news(struct gossip *g)
{
    uint64_t young_ms = g->self->state_ms + g->profile.push_pull_ms;
    unsigned sends = gossip__rumor_limit(&g->profile, g->list_count);
    bool is_wanted = are_many(g) || g->now_ms < young_ms;

    if (g->sync_at_ms == GOSSIP__NEVER || !is_wanted || g->list_count <= sends + 1) {
        return;
    }
    if (g->news_ms == 0) {
        g->news_ms = g->now_ms;
    }
    uint64_t quiet = g->now_ms + QUIET_MS + mu_rand_below(&g->rand, QUIET_MS);
    uint64_t last = g->news_ms + QUIET_MS_MAX;

    g->sync_at_ms = quiet < last ? quiet : last;
    g->sync_wait_ms = 2 * (uint64_t)QUIET_MS;
}

/* When the next one comes: soon after news, and then twice as late each time. */
static uint64_t next_wait(struct gossip *g)
{
    uint64_t interval = next_interval(g);
    uint64_t wait = g->sync_wait_ms;

    g->news_ms = 0;
    g->sync_wait_ms = 2 * wait < interval ? 2 * wait : 0;
    return wait > 0 ? wait : interval;
}

uint64_t gossip__sync_due(const struct gossip *g)
{
    return mu_list_empty(&g->merges) ? g->sync_at_ms : g->now_ms;
}

static bool fits_sync(const struct gossip *g, const struct gossip__member *m, const void *data)
{
    (void)g;
    (void)data;
    return m->state == GOSSIP__ALIVE;
}

void gossip__sync_tick(struct gossip *g)
{
    struct gossip__member *peer;

    if (!mu_list_empty(&g->merges)) {
        merge_next(g);
    }
    if (g->sync_at_ms > g->now_ms) {
        return;
    }
    g->sync_at_ms = GOSSIP__NEVER;
    if (g->leave.stage == GOSSIP__LEAVE_NONE &&
        gossip__member_pick(g, 1, fits_sync, NULL, &peer) == 1) {
        gossip__log(g, MU_TRACE, "push/pull with %s", peer->card->name);
        gossip__sync_start(g, &peer->card->addr, 0);
        g->sync_at_ms = g->now_ms + next_wait(g);
    }
}
