/* net.c - connections between servers, and what happens to messages on their way.
 *
 * Peer messages are the bytes that production sends. They may be lost, doubled, late, overtaken,
 * and changed in one bit; a message may even reach the next life of whom it was sent to. What
 * gossip would tell about who is there follows with a delay.
 */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "world.h"

#define LINKS_MS      40
#define CONTROL_BYTES (256U * 1024)
#define BULK_BYTES    (8U * 1024 * 1024)
#define IN_FLIGHT_MAX 4096

struct message {
    struct message *next, **at;
    struct event arrives;
    struct world *world;
    struct server *from, *to;
    uint32_t from_life;
    bool is_call, is_changed;
    struct call call;
    struct mu_id disk; /* of the sender, as it said when the connection was made */
    struct mu_buf bytes;
};

static void message_free(struct message *m)
{
    event_cancel(m->world, &m->arrives);
    *m->at = m->next;
    if (m->next != NULL) {
        m->next->at = m->at;
    }
    mu_buf_deinit(&m->bytes);
    mu_free(m);
}

static struct message *message_new(struct server *from, struct server *to)
{
    struct world *w = from->world;
    struct message *m = mu_new(sizeof *m);

    m->world = w;
    m->from = from;
    m->to = to;
    m->from_life = from->life;
    m->next = w->messages;
    m->at = &w->messages;
    if (m->next != NULL) {
        m->next->at = &m->next;
    }
    w->messages = m;
    return m;
}

/* -- arrival ------------------------------------------------------------------------------------
 */

static void on_arrival(void *data)
{
    struct message *m = data;
    struct server *to = m->to;

    if (!server_hears(to)) {
        message_free(m);
        return;
    }
    if (!server_turn_begins(to, &m->arrives, on_arrival, m)) {
        return;
    }
    if (m->is_call && !server_is_up(to)) {
        /* It takes no new work, and its requests are answered by the end of its life. */
    } else if (m->is_call) {
        request_call(to, m->from, &m->call);
    } else {
        uint64_t malformed = to->node.malformed_count;

        world_note(m->world, m->bytes.bytes * 8 + to->place);
        consensus__node_receive(&to->node, server_ms(to), &m->from->id, &m->disk,
                                mu_buf_span(&m->bytes));
        if (m->is_changed && to->node.malformed_count == malformed) {
            world_fail(m->world, "%s: takes a frame in which a bit was changed", to->name);
        }
    }
    message_free(m);
    server_turn_ends(to);
}

static void send_off(struct message *m)
{
    struct world *w = m->world;
    struct mu_rand *r = &w->net_rand;
    uint64_t us = 30 + mu_rand_below(r, w->delay_us + 1) + m->bytes.bytes / 100;

    if (world_happens(r, w->slow)) {
        us += mu_rand_below(r, 800 * MS);
    }
    uint64_t at = w->now + us;
    uint64_t *last = &w->last_at[m->from->place][m->to->place];

    if (w->is_in_order && at <= *last) { /* as on one connection */
        at = *last + 1;
    }
    *last = at;
    event_set(w, &m->arrives, at, on_arrival, m);
}

static struct message *message_copy(const struct message *m)
{
    struct message *twin = message_new(m->from, m->to);

    twin->disk = m->disk;
    twin->is_changed = m->is_changed;
    mu_buf_add_span(&twin->bytes, mu_buf_span(&m->bytes));
    return twin;
}

/* Beside what was sent something arrives that nobody sent. */
static void strange_send(struct server *from, struct server *to, struct mu_span frame)
{
    struct world *w = from->world;
    struct server *sender = from;
    struct mu_buf bytes = MU_BUF_NONE;

    if (late_frame(from, to, frame, &sender, &bytes)) {
        struct message *m = message_new(sender, to);

        m->disk = sender->node.identity.disk;
        m->is_changed = true;
        m->bytes = bytes;
        event_set(w, &m->arrives, w->now + mu_rand_below(&w->late_rand, 5 * MS), on_arrival, m);
    }
}

static bool is_lost(struct world *w, const struct server *from, const struct server *to)
{
    return w->is_cut[from->place][to->place] || world_happens(&w->net_rand, w->loss);
}

/* -- what consensus calls -----------------------------------------------------------------------
 */

/* Connections may hand over what has come in while somebody writes to one of them. */
static void arrive_within(struct server *s)
{
    struct message *m = s->world->messages;

    while (m != NULL && (m->to != s || m->is_call || m->is_changed || !event_is_set(&m->arrives))) {
        m = m->next;
    }
    if (m != NULL && s->node.is_feeding && server_hears(s)) {
        consensus__node_receive(&s->node, server_ms(s), &m->from->id, &m->disk,
                                mu_buf_span(&m->bytes));
        message_free(m);
    }
}

static bool on_send(void *self, const struct mu_id *peer, enum consensus_channel channel,
                    struct mu_span bytes)
{
    struct server *from = self;
    struct world *w = from->world;
    struct server *to = server_of(w, peer);
    size_t most = channel == CONSENSUS_BULK ? BULK_BYTES : CONTROL_BYTES;

    if (from->is_dying) {
        return true; /* nobody hears it */
    }
    MU_ASSERT(to != NULL && to != from);
    platter_said(from, bytes);
    if (!from->links[to->place] || bytes.bytes > most) {
        return false;
    }
    if (is_lost(w, from, to)) {
        return true;
    }
    struct message *m = message_new(from, to);

    strange_send(from, to, bytes);
    m->disk = from->node.identity.disk;
    mu_buf_add_span(&m->bytes, bytes);
    if (world_happens(&w->net_rand, w->flip)) {
        m->is_changed = true;
        uint8_t bit = (uint8_t)(1U << mu_rand_below(&w->net_rand, 8));

        m->bytes.data[mu_rand_below(&w->net_rand, m->bytes.bytes)] ^= bit;
    }
    if (world_happens(&w->net_rand, w->twice)) {
        send_off(message_copy(m));
    }
    send_off(m);
    if (calls_anywhere(w)) {
        arrive_within(from);
    }
    return true;
}

static void on_peers(void *self, const struct mu_id *peers, size_t count)
{
    struct server *s = self;

    for (size_t i = 0; i < count && !s->is_dying; i++) {
        MU_ASSERT(server_of(s->world, &peers[i]) != NULL);
    }
}

/* Messages are under way as soon as they are sent. */
static void on_flush(void *self)
{
    struct server *s = self;

    MU_ASSERT(s->node.is_turning);
}

const struct consensus_transport net_transport = { on_send, on_flush, on_peers };
const struct consensus_transport net_transport_plain = { on_send, NULL, on_peers };

void net_call(struct world *w, struct server *from, struct server *to, const struct call *call)
{
    if (from->is_dying || is_lost(w, from, to)) {
        return;
    }
    struct message *m = message_new(from, to);

    m->is_call = true;
    m->call = *call;
    send_off(m);
}

/* -- connections and what gossip says -----------------------------------------------------------
 */

static bool can_talk(const struct world *w, const struct server *a, const struct server *b)
{
    return server_hears(a) && server_hears(b) && !w->is_cut[a->place][b->place] &&
           !w->is_cut[b->place][a->place];
}

static void candidates_tell(struct server *s)
{
    struct world *w = s->world;
    struct consensus_candidate list[SERVERS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < w->servers_count; i++) {
        const struct server *of = &w->servers[i];

        if (of != s && !s->links[i]) {
            continue;
        }
        list[count++] = (struct consensus_candidate){
            .server = of->id,
            .disk = of->node.identity.disk,
            .cluster = of->node.identity.cluster,
            .expect = calls_expect(of),
            .is_alive = true,
        };
    }
    consensus__node_candidates(&s->node, list, count);
}

static void link_turn(struct server *s, struct server *of)
{
    struct world *w = s->world;
    bool is_up = can_talk(w, s, of);

    if (is_up == s->links[of->place] || mu_rand_below(&w->net_rand, 3) != 0) {
        return;
    }
    s->links[of->place] = is_up;
    world_note(w, 1000 + s->place * 16 + of->place * 2 + is_up);
    consensus__node_peer(&s->node, server_ms(s), &of->id,
                         is_up ? CONSENSUS_LINK_UP : CONSENSUS_LINK_DOWN);
}

static void on_links(void *data)
{
    struct world *w = data;

    for (size_t i = 0; i < w->servers_count; i++) {
        struct server *s = &w->servers[i];

        if (!server_hears(s) || w->now < s->paused_until) {
            continue;
        }
        for (size_t j = 0; j < w->servers_count; j++) {
            if (i != j) {
                link_turn(s, &w->servers[j]);
            }
        }
        if (mu_rand_below(&w->net_rand, 4) == 0) {
            candidates_tell(s);
        }
        server_turn_ends(s);
    }
    event_set(w, &w->links, w->now + LINKS_MS * MS, on_links, w);
}

void net_server_down(struct server *s)
{
    memset(s->links, 0, sizeof s->links);
}

void net_begin(struct world *w)
{
    event_set(w, &w->links, w->now, on_links, w);
}

void net_free(struct world *w)
{
    while (w->messages != NULL) {
        message_free(w->messages);
    }
    event_cancel(w, &w->links);
}
