/* network.c - what happens to datagrams and streams between nodes of the simulator.
 *
 * A segment of a stream that meets a cut link is tried again later, like TCP does; segments of one
 * direction carry numbers, so that they still arrive in order.
 */
#include "network.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#define PORT           7946
#define SYN_TRIES      3
#define SEGMENT_TRIES  60
#define SEGMENT_US     500000
#define RETRANSMIT_US  200000 /* of a lost segment */
#define OUT_OF_TURN_US 1000

#define REPLAY_US_MIN    1000000
#define REPLAY_US_SPREAD 120000000

/* -- places -------------------------------------------------------------------------------------
 */

struct mu_addr sim_addr(uint32_t host)
{
    return (
        struct mu_addr){ .ip = { 10, (uint8_t)(host >> 16), (uint8_t)(host >> 8), (uint8_t)host },
                         .ip_bytes = 4,
                         .port = PORT };
}

uint32_t sim_at_host(const struct world *w, const struct mu_addr *addr)
{
    uint32_t host =
        (uint32_t)addr->ip[1] << 16 | (uint32_t)addr->ip[2] << 8 | (uint32_t)addr->ip[3];

    return addr->ip[0] == 10 && addr->port == PORT && host < w->hosts_count ? w->hosts[host]
                                                                            : UINT32_MAX;
}

struct sim_node *sim_node_at(const struct world *w, const struct mu_addr *addr)
{
    uint32_t node = sim_at_host(w, addr);
    struct sim_node *n = node != UINT32_MAX ? w->nodes[node] : NULL;
    uint32_t host =
        (uint32_t)addr->ip[1] << 16 | (uint32_t)addr->ip[2] << 8 | (uint32_t)addr->ip[3];

    return n != NULL && n->host == host ? n : NULL;
}

bool sim_link_ok(const struct world *w, const struct sim_node *from, const struct sim_node *to,
                 uint8_t bit)
{
    return (w->cut[from->group][to->group] & bit) == 0;
}

/* One way between two nodes, by their numbers. */
static uint64_t latency(struct world *w, size_t from, size_t to)
{
    uint32_t min = w->options.latency_us_min;
    uint64_t far = w->options.distance != NULL ? w->options.distance(from, to) : 0;

    return far + min + mu_rand_below(&w->rand, w->options.latency_us_max - min + 1);
}

static bool happens(struct world *w, double probability)
{
    return probability > 0 && mu_rand_unit(&w->rand) < probability;
}

static bool is_lost(struct world *w, const struct sim_node *to)
{
    return happens(w, w->options.loss) || happens(w, to->loss_to);
}

/* Until what it sends now leaves it. */
static uint64_t held_up(const struct world *w, const struct sim_node *from)
{
    return from->clogged_us > w->now_us ? from->clogged_us - w->now_us : 0;
}

static bool is_up(const struct sim_node *n)
{
    return n->life_kind == WORLD_RUNNING || n->life_kind == WORLD_PAUSED;
}

/* -- datagrams ----------------------------------------------------------------------------------
 */

static void deliver(struct world *w, const struct sim_node *from, const struct sim_node *to,
                    const struct gossip_send *send, uint64_t later_us)
{
    uint64_t delay =
        latency(w, w->hosts[from->host], w->hosts[to->host]) + held_up(w, from) + later_us;

    if (happens(w, w->options.reorder)) {
        delay += mu_rand_below(&w->rand, w->options.reorder_us_max + 1);
    }
    struct sim_event e = { .at_us = w->now_us + delay,
                           .kind = SIM_PACKET,
                           .node = (uint32_t)(w->hosts[to->host]),
                           .life = to->life,
                           .addr = sim_addr(from->host),
                           .data = mu_new(send->data.bytes),
                           .bytes = send->data.bytes };

    memcpy(e.data, send->data.data, send->data.bytes);
    sim_push(w, e);
}

void sim_datagram(struct world *w, struct sim_node *from, const struct gossip_send *send)
{
    struct sim_node *to = sim_node_at(w, &send->to);

    if (to == NULL || to->life_kind == WORLD_VANISHED || !sim_link_ok(w, from, to, SIM_CUT_UDP) ||
        is_lost(w, to)) {
        return;
    }
    if (!is_up(to)) {
        if (w->options.has_icmp && sim_link_ok(w, to, from, SIM_CUT_UDP)) {
            sim_push(w,
                     (struct sim_event){ .at_us = w->now_us + 2 * latency(w, w->hosts[from->host],
                                                                          w->hosts[to->host]),
                                         .kind = SIM_SEND_FAILED,
                                         .node = w->hosts[from->host],
                                         .life = from->life,
                                         .addr = send->to });
        }
        return;
    }
    deliver(w, from, to, send, 0);
    if (happens(w, w->options.duplicate)) {
        deliver(w, from, to, send, 0);
    }
    for (unsigned i = 0; i < w->options.copies; i++) {
        deliver(w, from, to, send, 0);
    }
    if (happens(w, w->options.replay)) {
        deliver(w, from, to, send, REPLAY_US_MIN + mu_rand_below(&w->rand, REPLAY_US_SPREAD));
    }
}

/* -- connections --------------------------------------------------------------------------------
 */

static struct sim_connection *connection_find(const struct world *w, uint64_t id)
{
    return mu_table_find(w->connections, mu_span_of(&id, sizeof id));
}

static void connection_end(struct world *w, struct sim_connection *c)
{
    if (!c->ends[0].is_open && !c->ends[1].is_open) {
        (void)mu_table_remove(w->connections, mu_span_of(&c->id, sizeof c->id));
        mu_free(c);
    }
}

/* Something for one end: in turn, later when segments get lost. */
static void segment(struct world *w, struct sim_connection *c, unsigned side, struct sim_event e,
                    bool in_turn)
{
    struct sim_end *to = &c->ends[side];

    e.kind = SIM_STREAM;
    e.node = to->node;
    e.life = to->life;
    e.mark = c->id;
    e.side = side;
    e.seq = in_turn ? ++to->sent : 0;
    e.at_us = w->now_us + latency(w, c->ends[1 - side].node, to->node);
    if (e.stream_kind == GOSSIP_EV_STREAM_DATA || e.stream_kind == GOSSIP_EV_STREAM_CLOSED) {
        e.at_us += held_up(w, w->nodes[c->ends[1 - side].node]);
    }
    while (is_lost(w, w->nodes[to->node])) {
        e.at_us += RETRANSMIT_US;
    }
    sim_push(w, e);
}

static void closed(struct world *w, struct sim_connection *c, unsigned side, enum gossip_end end,
                   bool in_turn)
{
    if (c->ends[side].is_open) {
        segment(w, c, side,
                (struct sim_event){ .stream_kind = GOSSIP_EV_STREAM_CLOSED, .end = end }, in_turn);
    }
}

static struct sim_connection *connection_of(const struct world *w, const struct sim_node *n,
                                            uint32_t id, unsigned *side)
{
    struct mu_table_at at = { .started = false };

    while (mu_table_next(w->connections, &at)) {
        struct sim_connection *c = at.value;

        for (unsigned i = 0; i < 2; i++) {
            const struct sim_end *e = &c->ends[i];

            if (e->is_open && e->id == id && w->nodes[e->node] == n && e->life == n->life) {
                *side = i;
                return c;
            }
        }
    }
    return NULL;
}

static void op_open(struct world *w, struct sim_node *from, const struct gossip_stream_op *op)
{
    struct sim_connection *c = mu_new(sizeof *c);

    c->id = ++w->connection_id;
    c->ends[0] = (struct sim_end){
        .node = w->hosts[from->host], .life = from->life, .id = op->id, .is_open = true
    };
    (void)mu_table_put(w->connections, mu_span_of(&c->id, sizeof c->id), c);
    const struct sim_node *to = sim_node_at(w, &op->to);

    c->ends[1].node = to != NULL ? w->hosts[to->host] : c->ends[0].node;
    sim_push(w, (struct sim_event){ .at_us = w->now_us + held_up(w, from) +
                                             latency(w, c->ends[0].node, c->ends[1].node),
                                    .kind = SIM_CONNECT,
                                    .node = c->ends[0].node,
                                    .life = from->life,
                                    .mark = c->id,
                                    .addr = op->to });
}

void sim_stream_op(struct world *w, struct sim_node *from, const struct gossip_stream_op *op)
{
    unsigned side = 0;

    if (op->verb == GOSSIP_STREAM_OPEN) {
        op_open(w, from, op);
        return;
    }
    struct sim_connection *c = connection_of(w, from, op->id, &side);

    if (c == NULL) {
        return;
    }
    if (op->verb == GOSSIP_STREAM_WRITE) {
        struct sim_event e = { .stream_kind = GOSSIP_EV_STREAM_DATA,
                               .data = mu_new(op->data.bytes),
                               .bytes = op->data.bytes };

        memcpy(e.data, op->data.data, op->data.bytes);
        segment(w, c, 1 - side, e, true);
        return;
    }
    closed(w, c, 1 - side, GOSSIP_END_EOF, true);
    if (op->verb == GOSSIP_STREAM_DROP || !c->ends[1 - side].is_open) {
        if (op->verb == GOSSIP_STREAM_END) {
            closed(w, c, side, GOSSIP_END_EOF, false);
            return;
        }
        c->ends[side].is_open = false;
        connection_end(w, c);
    }
}

static void connect_failed(struct world *w, struct sim_connection *c, enum gossip_end end)
{
    closed(w, c, 0, end, false);
}

void sim_connect(struct world *w, struct sim_event *e)
{
    struct sim_connection *c = connection_find(w, e->mark);
    struct sim_node *from = w->nodes[e->node];
    struct sim_node *to = sim_node_at(w, &e->addr);

    if (c == NULL || !c->ends[0].is_open) {
        return;
    }
    if (to == NULL || to->life_kind == WORLD_VANISHED || !sim_link_ok(w, from, to, SIM_CUT_TCP) ||
        !sim_link_ok(w, to, from, SIM_CUT_TCP) || is_lost(w, to)) {
        e->at_us = w->now_us + (1000000ULL << e->tries);
        if (e->tries++ == SYN_TRIES) {
            connect_failed(w, c, GOSSIP_END_UNREACHABLE);
        } else {
            sim_push(w, *e);
        }
        return;
    }
    if (!is_up(to)) {
        connect_failed(w, c, GOSSIP_END_REFUSED);
        return;
    }
    to->accepted_id += 2;
    c->ends[1] = (struct sim_end){
        .node = w->hosts[to->host], .life = to->life, .id = to->accepted_id, .is_open = true
    };
    segment(w, c, 1, (struct sim_event){ .stream_kind = GOSSIP_EV_STREAM_ACCEPTED }, true);
    segment(w, c, 0, (struct sim_event){ .stream_kind = GOSSIP_EV_STREAM_OPENED }, true);
}

/* A process ends: the kernel resets what it had open, unless the host went with it. */
void sim_streams_cut(struct world *w, struct sim_node *n, bool tell_peers)
{
    struct mu_table_at at = { .started = false };

    while (mu_table_next(w->connections, &at)) {
        struct sim_connection *c = at.value;

        for (unsigned side = 0; side < 2; side++) {
            if (c->ends[side].is_open && w->nodes[c->ends[side].node] == n) {
                c->ends[side].is_open = false;
                if (tell_peers) {
                    closed(w, c, 1 - side, GOSSIP_END_RESET, false);
                }
            }
        }
        connection_end(w, c);
    }
}

static const char *end_text(enum gossip_end end)
{
    static const char *const text[] = {
        [GOSSIP_END_EOF] = "EOF",
        [GOSSIP_END_REFUSED] = "connect: connection refused",
        [GOSSIP_END_UNREACHABLE] = "connect: connection timed out",
        [GOSSIP_END_RESET] = "connection reset by peer",
        [GOSSIP_END_LOCAL] = "too many open files",
    };

    return text[end];
}

static bool is_cut_off(const struct world *w, const struct sim_connection *c,
                       const struct sim_event *e)
{
    const struct sim_node *to = w->nodes[c->ends[e->side].node];
    const struct sim_node *from = w->nodes[c->ends[1 - e->side].node];

    return e->seq != 0 &&
           (!sim_link_ok(w, from, to, SIM_CUT_TCP) || !sim_link_ok(w, to, from, SIM_CUT_TCP));
}

static bool is_in_turn(const struct sim_connection *c, const struct sim_event *e)
{
    return e->seq == 0 || e->seq == c->ends[e->side].delivered + 1;
}

/* Cut on the way, or before its turn: later. Given up after half a minute, as a reset. */
static bool is_late(struct world *w, struct sim_connection *c, struct sim_event e)
{
    bool is_cut = is_cut_off(w, c, &e);

    if (!is_cut && is_in_turn(c, &e)) {
        return false;
    }
    if (is_cut && e.tries++ == SEGMENT_TRIES) {
        mu_free(e.data);
        closed(w, c, e.side, GOSSIP_END_RESET, false);
        return true;
    }
    e.at_us = w->now_us + (is_cut ? SEGMENT_US : OUT_OF_TURN_US);
    sim_push(w, e);
    return true;
}

static struct gossip_event told(const struct world *w, const struct sim_connection *c,
                                const struct sim_event *e)
{
    struct gossip_event ev = { .kind = e->stream_kind };

    ev.stream.id = c->ends[e->side].id;
    ev.stream.from = sim_addr(w->nodes[c->ends[1 - e->side].node]->host);
    ev.stream.data = mu_span_of(e->data, e->bytes);
    ev.stream.end = e->end;
    ev.stream.text = end_text(e->end);
    return ev;
}

bool sim_stream_will(const struct world *w, const struct sim_event *e, struct gossip_event *out)
{
    const struct sim_connection *c = connection_find(w, e->mark);

    if (c == NULL || !c->ends[e->side].is_open || is_cut_off(w, c, e) || !is_in_turn(c, e)) {
        return false;
    }
    *out = told(w, c, e);
    return true;
}

bool sim_stream_event(struct world *w, const struct sim_event *e, struct gossip_event *out)
{
    struct sim_connection *c = connection_find(w, e->mark);

    if (c == NULL || !c->ends[e->side].is_open) {
        mu_free(e->data);
        return false;
    }
    if (is_late(w, c, *e)) {
        return false;
    }
    struct sim_end *end = &c->ends[e->side];

    *out = told(w, c, e);
    end->delivered += e->seq != 0;
    w->source = c->ends[1 - e->side].node;
    if (e->stream_kind == GOSSIP_EV_STREAM_CLOSED) {
        end->is_open = false;
        if (c->ends[1 - e->side].is_open) {
            closed(w, c, 1 - e->side, GOSSIP_END_EOF, false);
        }
        connection_end(w, c);
    }
    return true;
}
