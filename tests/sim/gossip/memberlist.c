/* memberlist.c - the models: one heap of events, one table of members for each node. */
#include "memberlist.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/rand.h"

#define MS UINT64_C(1000)

#define PROBE_US          (1000 * MS)
#define PROBE_TIMEOUT_US  (500 * MS)
#define GOSSIP_US         (200 * MS)
#define PUSH_PULL_US      (30000 * MS)
#define GOSSIP_TO_DEAD_US (30000 * MS)
#define STREAM_US         (10000 * MS)
#define SYN_US            (1000 * MS)
#define SEGMENT_US        (200 * MS) /* a lost segment, as in network.c */
#define SYN_TRIES         3
#define INDIRECT_CHECKS   3
#define GOSSIP_NODES      3
#define RETRANSMIT_MULT   4
#define SUSPICION_MULT    4
#define SUSPICION_MAX     6
#define SWIM_MULT         5
#define AWARENESS_MAX     8
#define CONFIRMATIONS_MAX 3
#define PARTS_MAX         16 /* that fit a datagram beside a ping */

enum state { ALIVE, SUSPECT, DEAD };

struct part { /* gossip about a member */
    enum state kind;
    uint32_t about, from;
    uint64_t incarnation;
};

enum kind {
    PACKET_GOSSIP,
    PACKET_PING,
    PACKET_ACK,
    PACKET_INDIRECT,
    PACKET_NACK,
    TCP_PING, /* arrives at its target */
    TCP_ACK,
    PUSH, /* a whole table */
    PULL, /* the last message */
    TICK_PROBE,
    TICK_GOSSIP,
    TICK_PUSH_PULL,
    PROBE_LATE, /* no direct answer within the timeout */
    PROBE_OVER,
    RELAY_LATE,
    SUSPICION_OVER,
    RESUME,
};

struct event {
    uint64_t at_us, order;
    enum kind kind;
    uint32_t node, from; /* whom it is for; who sent it */
    uint64_t seq;        /* of a probe or relay; of a suspicion: when it began */
    uint32_t target;     /* INDIRECT: whom to ping; SUSPICION_OVER: of whom */
    uint32_t parts_count;
    struct part parts[PARTS_MAX];
    struct part *table; /* PUSH, PULL: of all members */
};

struct queued {
    struct part part;
    uint32_t transmits;
    uint64_t id;
};

struct suspicion {
    uint64_t began_us, max_us, min_us;
    uint32_t needed, count;
    uint32_t accusers[CONFIRMATIONS_MAX + 1];
    uint32_t accusers_count;
};

struct member {
    enum state state;
    uint64_t incarnation, changed_us;
    struct suspicion suspicion;
};

struct probe {
    bool is_running, has_answer, tick_waits;
    uint64_t seq, over_us;
    uint32_t target, nacks_expected, nacks;
};

#define RELAYS 64 /* indirect pings under way for others; older ones are forgotten */

struct relay {
    uint64_t seq, origin_seq;
    uint32_t origin;
    bool is_answered;
};

struct node {
    bool is_paused, is_crashed;
    uint64_t clogged_us; /* its messages wait until then */
    uint64_t incarnation;
    uint32_t awareness;
    double loss_to;
    struct member *members;
    uint32_t *order; /* of probing */
    uint32_t order_at;
    struct probe probe;
    struct relay relays[RELAYS];
    uint64_t relays_count;
    struct queued *queue;
    uint32_t queue_count, queue_room;
    struct event **held;
    uint32_t held_count, held_room;
};

struct memberlist {
    struct memberlist_options options;
    struct mu_rand rand;
    uint64_t now_us, order, seq;
    struct event **heap;
    size_t heap_count, heap_room;
    struct node *nodes;
    uint32_t *holding; /* by member: how many others hold it dead */
    struct memberlist_tally tally;
};

/* -- time ---------------------------------------------------------------------------------- */

static bool is_before(const struct event *a, const struct event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void enter(struct memberlist *m, struct event *e)
{
    size_t at = m->heap_count;

    if (m->heap_count == m->heap_room) {
        m->heap_room = m->heap_room * 2 + 256;
        m->heap = mu_grow(m->heap, m->heap_room * sizeof(struct event *));
    }
    e->order = ++m->order;
    m->heap_count++;
    while (at > 0 && is_before(e, m->heap[(at - 1) / 2])) {
        m->heap[at] = m->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    m->heap[at] = e;
}

static struct event *push(struct memberlist *m, uint64_t delay_us, enum kind kind, uint32_t node)
{
    struct event *e = mu_new(sizeof *e);

    *e = (struct event){ .at_us = m->now_us + delay_us, .kind = kind, .node = node };
    enter(m, e);
    return e;
}

static struct event *pop(struct memberlist *m, uint64_t until_us)
{
    if (m->heap_count == 0 || m->heap[0]->at_us > until_us) {
        return NULL;
    }
    struct event *top = m->heap[0];
    struct event *last = m->heap[--m->heap_count];
    size_t at = 0;

    for (size_t child = 1; child < m->heap_count; child = 2 * at + 1) {
        child += child + 1 < m->heap_count && is_before(m->heap[child + 1], m->heap[child]);
        if (!is_before(m->heap[child], last)) {
            break;
        }
        m->heap[at] = m->heap[child];
        at = child;
    }
    m->heap[at] = last;
    return top;
}

static void event_free(struct event *e)
{
    mu_free(e->table);
    mu_free(e);
}

/* -- the network ----------------------------------------------------------------------------- */

static uint64_t latency(struct memberlist *m)
{
    uint32_t min = m->options.latency_us_min;

    return min + mu_rand_below(&m->rand, m->options.latency_us_max - min + 1);
}

static bool is_lost(struct memberlist *m, uint32_t to)
{
    return mu_rand_unit(&m->rand) < m->options.loss ||
           mu_rand_unit(&m->rand) < m->nodes[to].loss_to;
}

/* Until what it sends now leaves it. */
static uint64_t clog_us(const struct memberlist *m, uint32_t from)
{
    uint64_t until = m->nodes[from].clogged_us;

    return until > m->now_us ? until - m->now_us : 0;
}

static uint64_t segment_us(struct memberlist *m, uint32_t to)
{
    uint64_t us = latency(m);

    while (is_lost(m, to)) {
        us += SEGMENT_US;
    }
    return us;
}

/* From the first SYN until a request is read at `to`; UINT64_MAX: given up. */
static uint64_t connect_us(struct memberlist *m, uint32_t from, uint32_t to)
{
    uint64_t us = clog_us(m, from);

    for (unsigned tries = 0; is_lost(m, to); tries++) {
        if (tries == SYN_TRIES) {
            return UINT64_MAX;
        }
        us += SYN_US << tries;
    }
    return us + latency(m) + segment_us(m, from) + segment_us(m, to);
}

/* -- the queue (7) --------------------------------------------------------------------------- */

static uint32_t scale(uint32_t nodes)
{
    return (uint32_t)ceil(log10((double)nodes + 1));
}

static void enqueue(struct node *n, struct part part)
{
    static uint64_t id;
    uint32_t at = 0;

    while (at < n->queue_count && n->queue[at].part.about != part.about) {
        at++;
    }
    if (at == n->queue_count) {
        if (n->queue_count == n->queue_room) {
            n->queue_room = n->queue_room * 2 + 16;
            n->queue = mu_grow(n->queue, n->queue_room * sizeof *n->queue);
        }
        n->queue_count++;
    }
    n->queue[at] = (struct queued){ part, 0, ++id };
}

static bool goes_first(const struct queued *a, const struct queued *b)
{
    return a->transmits != b->transmits ? a->transmits < b->transmits : a->id > b->id;
}

/* What is sent rarest and newest, and one less to come of each. */
static uint32_t fill(struct memberlist *m, struct node *n, struct part *parts)
{
    uint32_t limit = RETRANSMIT_MULT * scale(m->options.nodes);
    uint32_t count = 0;

    for (uint32_t i = 1; i < n->queue_count; i++) { /* nearly sorted already */
        struct queued q = n->queue[i];
        uint32_t at = i;

        for (; at > 0 && goes_first(&q, &n->queue[at - 1]); at--) {
            n->queue[at] = n->queue[at - 1];
        }
        n->queue[at] = q;
    }
    while (count < PARTS_MAX - 1 && count < n->queue_count) {
        parts[count] = n->queue[count].part;
        n->queue[count++].transmits++;
    }
    uint32_t kept = 0;

    for (uint32_t i = 0; i < n->queue_count; i++) {
        if (n->queue[i].transmits < limit) {
            n->queue[kept++] = n->queue[i];
        }
    }
    n->queue_count = kept;
    return count;
}

static void send(struct memberlist *m, uint32_t from, uint32_t to, enum kind kind, uint64_t seq,
                 uint32_t target, const struct part *first)
{
    struct part parts[PARTS_MAX];
    uint32_t count = 0;

    if (first != NULL) {
        parts[count++] = *first;
    }
    count += fill(m, &m->nodes[from], parts + count);
    if (kind == PACKET_GOSSIP && count == 0) {
        return;
    }
    m->tally.datagrams++;
    if (is_lost(m, to) || m->nodes[to].is_crashed) {
        return;
    }
    struct event *e = push(m, latency(m) + clog_us(m, from), kind, to);

    e->from = from;
    e->seq = seq;
    e->target = target;
    e->parts_count = count;
    memcpy(e->parts, parts, count * sizeof *parts);
}

/* -- precedence (4) -------------------------------------------------------------------------- */

static void held_dead(struct memberlist *m, uint32_t self, uint32_t about, int by)
{
    if (by > 0 && about >= m->options.slow) {
        m->tally.notices++;
        m->tally.healthy += self >= m->options.slow;
        m->tally.deaths += m->holding[about] == 0;
    }
    m->holding[about] = (uint32_t)((int)m->holding[about] + by);
}

static void awareness_add(const struct memberlist *m, struct node *n, int delta)
{
    int to = m->options.is_swim ? 0 : (int)n->awareness + delta;

    n->awareness = to < 0 ? 0 : to >= AWARENESS_MAX ? AWARENESS_MAX - 1 : (uint32_t)to;
}

static void refute(struct memberlist *m, uint32_t self, uint64_t accused)
{
    struct node *n = &m->nodes[self];

    if (accused < n->incarnation) {
        return;
    }
    n->incarnation = accused + 1;
    n->members[self].incarnation = n->incarnation;
    awareness_add(m, n, 1);
    enqueue(n, (struct part){ ALIVE, self, self, n->incarnation });
}

static uint64_t suspicion_us(const struct suspicion *s)
{
    if (s->needed == 0) {
        return s->min_us;
    }
    double share = log((double)s->count + 1) / log((double)s->needed + 1);
    double us = (double)s->max_us - share * (double)(s->max_us - s->min_us);

    return us < (double)s->min_us ? s->min_us : (uint64_t)us / MS * MS;
}

static struct suspicion suspicion_of(const struct memberlist *m, uint32_t from)
{
    bool is_swim = m->options.is_swim;
    uint32_t mult = is_swim ? SWIM_MULT : m->options.alpha;
    uint32_t needed = mult > 4 ? mult - 2 : 2;
    double nodes = (double)m->options.nodes;
    double min = mult * fmax(1, log10(fmax(1, nodes))) * (double)PROBE_US;

    MU_ASSERT(needed <= CONFIRMATIONS_MAX);
    return (struct suspicion){
        .began_us = m->now_us,
        .min_us = (uint64_t)min / MS * MS,
        .max_us = SUSPICION_MAX * ((uint64_t)min / MS * MS),
        .needed = is_swim || m->options.nodes < needed + 2 ? 0 : needed,
        .accusers = { from },
        .accusers_count = 1,
    };
}

static void suspicion_set(struct memberlist *m, uint32_t self, uint32_t about)
{
    const struct suspicion *s = &m->nodes[self].members[about].suspicion;
    uint64_t over = s->began_us + suspicion_us(s);
    struct event *e = push(m, over > m->now_us ? over - m->now_us : 0, SUSPICION_OVER, self);

    e->target = about;
    e->seq = s->began_us;
}

/* True: new, and of use to others too. */
static bool suspicion_confirm(struct suspicion *s, uint32_t from)
{
    if (s->count >= s->needed) {
        return false;
    }
    for (uint32_t i = 0; i < s->accusers_count; i++) {
        if (s->accusers[i] == from) {
            return false;
        }
    }
    s->accusers[s->accusers_count++] = from;
    s->count++;
    return true;
}

static void on_suspect(struct memberlist *m, uint32_t self, struct part p)
{
    struct node *n = &m->nodes[self];
    struct member *x = &n->members[p.about];

    if (p.about == self) {
        refute(m, self, p.incarnation);
    } else if (p.incarnation < x->incarnation || x->state == DEAD) {
        return;
    } else if (x->state == SUSPECT) {
        if (suspicion_confirm(&x->suspicion, p.from)) {
            enqueue(n, p);
            suspicion_set(m, self, p.about);
        }
    } else {
        x->state = SUSPECT;
        x->incarnation = p.incarnation;
        x->changed_us = m->now_us;
        x->suspicion = suspicion_of(m, p.from);
        enqueue(n, p);
        suspicion_set(m, self, p.about);
    }
}

static void on_dead(struct memberlist *m, uint32_t self, struct part p)
{
    struct node *n = &m->nodes[self];
    struct member *x = &n->members[p.about];

    if (p.about == self) {
        refute(m, self, p.incarnation);
        return;
    }
    if (p.incarnation < x->incarnation || x->state == DEAD) {
        return;
    }
    x->state = DEAD;
    x->incarnation = p.incarnation;
    x->changed_us = m->now_us;
    held_dead(m, self, p.about, 1);
    enqueue(n, p);
}

static void on_alive(struct memberlist *m, uint32_t self, struct part p)
{
    struct node *n = &m->nodes[self];
    struct member *x = &n->members[p.about];

    if (p.about == self || p.incarnation <= x->incarnation) {
        return;
    }
    if (x->state == DEAD) {
        held_dead(m, self, p.about, -1);
    }
    x->state = ALIVE;
    x->incarnation = p.incarnation;
    x->changed_us = m->now_us;
    enqueue(n, p);
}

static void take_part(struct memberlist *m, uint32_t self, struct part p)
{
    switch (p.kind) {
    case ALIVE: on_alive(m, self, p); break;
    case SUSPECT: on_suspect(m, self, p); break;
    case DEAD: on_dead(m, self, p); break;
    }
}

static void on_suspicion_over(struct memberlist *m, const struct event *e)
{
    struct member *x = &m->nodes[e->node].members[e->target];

    if (x->state == SUSPECT && x->suspicion.began_us == e->seq &&
        m->now_us >= x->suspicion.began_us + suspicion_us(&x->suspicion)) {
        on_dead(m, e->node, (struct part){ DEAD, e->target, e->node, x->incarnation });
    }
}

/* -- choosing (5.7) -------------------------------------------------------------------------- */

static bool is_gossiped_to(const struct memberlist *m, const struct member *x)
{
    return x->state != DEAD || m->now_us - x->changed_us < GOSSIP_TO_DEAD_US;
}

/* Up to `want` others, alive ones or also those that gossip goes to. */
static uint32_t choose(struct memberlist *m, uint32_t self, uint32_t not_this, bool alive_only,
                       uint32_t want, uint32_t *out)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < 3 * m->options.nodes && count < want; i++) {
        uint32_t pick = (uint32_t)mu_rand_below(&m->rand, m->options.nodes);
        const struct member *x = &m->nodes[self].members[pick];
        bool is_taken = pick == self || pick == not_this;

        for (uint32_t j = 0; j < count; j++) {
            is_taken = is_taken || out[j] == pick;
        }
        if (!is_taken && (alive_only ? x->state == ALIVE : is_gossiped_to(m, x))) {
            out[count++] = pick;
        }
    }
    return count;
}

/* -- probes (5) ------------------------------------------------------------------------------ */

static uint32_t next_target(struct memberlist *m, uint32_t self)
{
    struct node *n = &m->nodes[self];

    for (uint32_t looked = 0; looked < m->options.nodes; looked++) {
        if (n->order_at == m->options.nodes) {
            n->order_at = 0;
            for (uint32_t i = m->options.nodes - 1; i > 0; i--) {
                uint32_t j = (uint32_t)mu_rand_below(&m->rand, i + 1);
                uint32_t swapped = n->order[i];

                n->order[i] = n->order[j];
                n->order[j] = swapped;
            }
        }
        uint32_t target = n->order[n->order_at++];

        if (target != self && n->members[target].state != DEAD) {
            return target;
        }
    }
    return UINT32_MAX;
}

static void probe_begin(struct memberlist *m, uint32_t self)
{
    struct node *n = &m->nodes[self];
    struct probe *p = &n->probe;
    uint32_t target = next_target(m, self);

    if (target == UINT32_MAX) {
        return;
    }
    uint64_t period = PROBE_US * (n->awareness + 1);

    *p = (struct probe){
        .is_running = true, .seq = ++m->seq, .over_us = m->now_us + period, .target = target
    };
    const struct member *x = &n->members[target];
    bool is_told = x->state == SUSPECT && !m->options.is_swim;
    struct part accusation = { SUSPECT, target, self, x->incarnation };

    send(m, self, target, PACKET_PING, p->seq, target, is_told ? &accusation : NULL);
    push(m, PROBE_TIMEOUT_US, PROBE_LATE, self)->seq = p->seq;
    push(m, period, PROBE_OVER, self)->seq = p->seq;
}

/* A ticker keeps its phase and drops what it missed. */
static void tick_again(struct memberlist *m, const struct event *e, uint64_t interval_us)
{
    uint64_t missed = (m->now_us - e->at_us) / interval_us;

    push(m, e->at_us + (missed + 1) * interval_us - m->now_us, e->kind, e->node);
}

/* One tick that came during a probe is not lost. */
static void on_probe_tick(struct memberlist *m, const struct event *e)
{
    tick_again(m, e, PROBE_US);
    if (m->nodes[e->node].probe.is_running) {
        m->nodes[e->node].probe.tick_waits = true;
    } else {
        probe_begin(m, e->node);
    }
}

static void probe_end(struct memberlist *m, uint32_t self, int awareness)
{
    struct node *n = &m->nodes[self];
    bool tick_waits = n->probe.tick_waits;

    n->probe.is_running = n->probe.tick_waits = false;
    awareness_add(m, n, awareness);
    if (tick_waits) {
        probe_begin(m, self);
    }
}

static void on_probe_late(struct memberlist *m, const struct event *e)
{
    struct probe *p = &m->nodes[e->node].probe;
    uint32_t helpers[INDIRECT_CHECKS];

    if (!p->is_running || p->seq != e->seq) {
        return;
    }
    p->nacks_expected = choose(m, e->node, p->target, true, INDIRECT_CHECKS, helpers);
    for (uint32_t i = 0; i < p->nacks_expected; i++) {
        send(m, e->node, helpers[i], PACKET_INDIRECT, p->seq, p->target, NULL);
    }
    uint64_t us = connect_us(m, e->node, p->target);

    if (us != UINT64_MAX && !m->nodes[p->target].is_crashed) {
        struct event *ping = push(m, us, TCP_PING, p->target);

        ping->from = e->node;
        ping->seq = p->seq;
    }
}

static void on_probe_over(struct memberlist *m, const struct event *e)
{
    struct node *n = &m->nodes[e->node];
    struct probe *p = &n->probe;

    if (!p->is_running || p->seq != e->seq) {
        return;
    }
    if (p->has_answer) { /* over TCP only */
        probe_end(m, e->node, -1);
        return;
    }
    uint32_t target = p->target;
    int missing = (int)p->nacks_expected - (int)p->nacks;
    int awareness = p->nacks_expected == 0 ? 1 : missing > 0 ? missing : 0;

    on_suspect(m, e->node,
               (struct part){ SUSPECT, target, e->node, n->members[target].incarnation });
    probe_end(m, e->node, awareness);
}

static void on_ack(struct memberlist *m, const struct event *e)
{
    struct node *n = &m->nodes[e->node];

    if (n->probe.is_running && n->probe.seq == e->seq && m->now_us <= n->probe.over_us) {
        probe_end(m, e->node, -1);
        return;
    }
    for (uint32_t i = 0; i < RELAYS; i++) {
        struct relay *r = &n->relays[i];

        if (r->seq == e->seq && !r->is_answered) {
            r->is_answered = true;
            send(m, e->node, r->origin, PACKET_ACK, r->origin_seq, 0, NULL);
        }
    }
}

static void on_indirect(struct memberlist *m, const struct event *e)
{
    struct node *n = &m->nodes[e->node];
    struct relay *r = &n->relays[n->relays_count++ % RELAYS];

    *r = (struct relay){ .seq = ++m->seq, .origin_seq = e->seq, .origin = e->from };
    send(m, e->node, e->target, PACKET_PING, r->seq, e->target, NULL);
    if (!m->options.is_swim) {
        push(m, PROBE_TIMEOUT_US, RELAY_LATE, e->node)->seq = r->seq;
    }
}

static void on_relay_late(struct memberlist *m, const struct event *e)
{
    struct node *n = &m->nodes[e->node];

    for (uint32_t i = 0; i < RELAYS; i++) {
        const struct relay *r = &n->relays[i];

        if (r->seq == e->seq && !r->is_answered) {
            send(m, e->node, r->origin, PACKET_NACK, r->origin_seq, 0, NULL);
        }
    }
}

static void on_nack(struct memberlist *m, const struct event *e)
{
    struct probe *p = &m->nodes[e->node].probe;

    p->nacks += p->is_running && p->seq == e->seq;
}

static void on_tcp(struct memberlist *m, const struct event *e)
{
    struct probe *p = &m->nodes[e->node].probe;

    if (e->kind == TCP_PING) {
        uint64_t us = clog_us(m, e->node) + segment_us(m, e->from);
        struct event *ack = push(m, us, TCP_ACK, e->from);

        ack->from = e->node;
        ack->seq = e->seq;
    } else if (p->is_running && p->seq == e->seq) {
        p->has_answer = true;
    }
}

/* -- gossip ticks (8), push/pull (9) --------------------------------------------------------- */

static void on_gossip_tick(struct memberlist *m, const struct event *e)
{
    uint32_t to[GOSSIP_NODES];
    uint32_t self = e->node;

    tick_again(m, e, GOSSIP_US);
    if (m->nodes[self].queue_count == 0) {
        return;
    }
    uint32_t count = choose(m, self, self, false, GOSSIP_NODES, to);

    for (uint32_t i = 0; i < count; i++) {
        send(m, self, to[i], PACKET_GOSSIP, 0, 0, NULL);
    }
}

static void send_table(struct memberlist *m, uint32_t from, uint32_t to, enum kind kind,
                       uint64_t us)
{
    const struct node *n = &m->nodes[from];
    struct event *e = push(m, us, kind, to);

    e->from = from;
    e->seq = m->now_us;
    e->table = mu_new_array(m->options.nodes, sizeof *e->table);
    for (uint32_t i = 0; i < m->options.nodes; i++) {
        e->table[i] = (struct part){ n->members[i].state, i, to, n->members[i].incarnation };
    }
}

static uint64_t push_pull_us(uint32_t nodes)
{
    return nodes <= 32 ? PUSH_PULL_US : PUSH_PULL_US * (uint64_t)(ceil(log2(nodes) - log2(32)) + 1);
}

static void on_push_pull_tick(struct memberlist *m, const struct event *e)
{
    uint32_t to = 0;
    uint32_t self = e->node;

    tick_again(m, e, push_pull_us(m->options.nodes));
    if (choose(m, self, self, true, 1, &to) == 1 && !m->nodes[to].is_crashed) {
        uint64_t us = connect_us(m, self, to);

        if (us != UINT64_MAX) {
            send_table(m, self, to, PUSH, us);
        }
    }
}

static void on_table(struct memberlist *m, const struct event *e)
{
    if (m->now_us - e->seq > STREAM_US) {
        return;
    }
    if (e->kind == PUSH) {
        send_table(m, e->node, e->from, PULL, clog_us(m, e->node) + segment_us(m, e->from));
    }
    for (uint32_t i = 0; i < m->options.nodes; i++) {
        struct part p = e->table[i];

        p.kind = p.kind == DEAD ? SUSPECT : p.kind; /* it may still refute (4.5) */
        take_part(m, e->node, p);
    }
}

/* -- events ---------------------------------------------------------------------------------- */

static void handle(struct memberlist *m, struct event *e)
{
    switch (e->kind) {
    case PACKET_GOSSIP: break;
    case PACKET_PING: send(m, e->node, e->from, PACKET_ACK, e->seq, 0, NULL); break;
    case PACKET_ACK: on_ack(m, e); break;
    case PACKET_INDIRECT: on_indirect(m, e); break;
    case PACKET_NACK: on_nack(m, e); break;
    case TCP_PING:
    case TCP_ACK: on_tcp(m, e); break;
    case PUSH:
    case PULL: on_table(m, e); break;
    case TICK_PROBE: on_probe_tick(m, e); break;
    case TICK_GOSSIP: on_gossip_tick(m, e); break;
    case TICK_PUSH_PULL: on_push_pull_tick(m, e); break;
    case PROBE_LATE: on_probe_late(m, e); break;
    case PROBE_OVER: on_probe_over(m, e); break;
    case RELAY_LATE: on_relay_late(m, e); break;
    case SUSPICION_OVER: on_suspicion_over(m, e); break;
    case RESUME: break;
    }
    for (uint32_t i = 0; i < e->parts_count; i++) {
        take_part(m, e->node, e->parts[i]);
    }
}

static void resume(struct memberlist *m, struct node *n)
{
    struct event **held = n->held;
    uint32_t count = n->held_count;

    n->is_paused = false;
    n->held = NULL;
    n->held_count = n->held_room = 0;
    for (uint32_t i = 0; i < count; i++) {
        handle(m, held[i]);
        event_free(held[i]);
    }
    mu_free(held);
}

static void dispatch(struct memberlist *m, struct event *e)
{
    struct node *n = &m->nodes[e->node];

    if (e->kind == RESUME) {
        resume(m, n);
    } else if (n->is_paused) {
        if (n->held_count == n->held_room) {
            n->held_room = n->held_room * 2 + 64;
            n->held = mu_grow(n->held, n->held_room * sizeof(struct event *));
        }
        n->held[n->held_count++] = e;
        return;
    } else if (m->now_us < n->clogged_us && e->kind <= PULL) {
        e->at_us = n->clogged_us;
        enter(m, e);
        return;
    } else if (!n->is_crashed) {
        handle(m, e);
    }
    event_free(e);
}

void memberlist_run(struct memberlist *m, uint64_t ms)
{
    uint64_t until = m->now_us + ms * MS;

    for (struct event *e = pop(m, until); e != NULL; e = pop(m, until)) {
        m->now_us = e->at_us;
        dispatch(m, e);
    }
    m->now_us = until;
}

struct memberlist *memberlist_new(const struct memberlist_options *options)
{
    struct memberlist *m = mu_new(sizeof *m);
    uint32_t nodes = options->nodes;

    MU_ASSERT(nodes >= 2);
    m->options = *options;
    m->options.alpha = options->alpha > 0 ? options->alpha : SUSPICION_MULT;
    mu_rand_seed(&m->rand, options->seed);
    m->nodes = mu_new_array(nodes, sizeof *m->nodes);
    m->holding = mu_new_array(nodes, sizeof *m->holding);
    for (uint32_t i = 0; i < nodes; i++) {
        struct node *n = &m->nodes[i];

        n->incarnation = 1;
        n->members = mu_new_array(nodes, sizeof *n->members);
        n->order = mu_new_array(nodes, sizeof *n->order);
        n->order_at = nodes; /* shuffled at the first look */
        for (uint32_t j = 0; j < nodes; j++) {
            n->members[j].incarnation = 1;
            n->order[j] = j;
        }
        push(m, mu_rand_below(&m->rand, PROBE_US), TICK_PROBE, i);
        push(m, mu_rand_below(&m->rand, GOSSIP_US), TICK_GOSSIP, i);
        push(m, mu_rand_below(&m->rand, push_pull_us(nodes)), TICK_PUSH_PULL, i);
    }
    return m;
}

void memberlist_free(struct memberlist *m)
{
    for (uint32_t i = 0; i < m->options.nodes; i++) {
        struct node *n = &m->nodes[i];

        for (uint32_t j = 0; j < n->held_count; j++) {
            event_free(n->held[j]);
        }
        mu_free(n->held);
        mu_free(n->members);
        mu_free(n->order);
        mu_free(n->queue);
    }
    for (size_t i = 0; i < m->heap_count; i++) {
        event_free(m->heap[i]);
    }
    mu_free(m->heap);
    mu_free(m->nodes);
    mu_free(m->holding);
    mu_free(m);
}

void memberlist_pause(struct memberlist *m, uint32_t node, uint64_t ms)
{
    MU_ASSERT(!m->nodes[node].is_paused);
    m->nodes[node].is_paused = true;
    push(m, ms * MS, RESUME, node);
}

void memberlist_clog(struct memberlist *m, uint32_t node, uint64_t ms)
{
    m->nodes[node].clogged_us = m->now_us + ms * MS;
}

void memberlist_crash(struct memberlist *m, uint32_t node)
{
    m->nodes[node].is_crashed = true;
}

void memberlist_loss_to(struct memberlist *m, uint32_t node, double loss)
{
    m->nodes[node].loss_to = loss;
}

void memberlist_tally(const struct memberlist *m, struct memberlist_tally *out)
{
    *out = m->tally;
}

uint64_t memberlist_now_ms(const struct memberlist *m)
{
    return m->now_us / MS;
}

uint32_t memberlist_holding(const struct memberlist *m, uint32_t node)
{
    return m->holding[node];
}
