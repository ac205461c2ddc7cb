/* probe.c - one probe a period, and what its failure means (5.1 to 5.4).
 *
 *           ping               no ack in time,               deadline, or refused by
 *   IDLE --------> DIRECT ----- or refused -----> INDIRECT ---- two of us ---------> IDLE, suspect
 *    ^               |                               |
 *    '----- ack -----'------ ack, relayed or TCP ----'
 *
 * Every other period is for the member that follows us in an order that all share (ring.c), the
 * others are for the walk, which goes once through the list in random order before it is shuffled
 * again, so that it comes to each member within two rounds of it. While asking others for help we
 * dial the target over TCP: a live process whose UDP is blocked is not suspected, and how the dial
 * fails is evidence.
 *
 * Deviation from the reference: a ping without an ack is repeated every half timeout until the
 * probe ends. It costs nothing while all is well, and with a quarter of the datagrams lost it makes
 * twelve times fewer suspicions.
 */
#include <string.h>

#include "core.h"

#define NACK_PERCENT 80 /* of what a helper has: its nack must reach us before we decide (5.3) */
#define TCP_LOG_MS   3600000
#define SEND_SHIFT   48 /* of a ping's number: above it, which of the probe's pings it is */
#define PROBE_MASK   ((1ULL << SEND_SHIFT) - 1)

/* -- the end of a probe -------------------------------------------------------------------------
 */

static void probe_end(struct gossip *g)
{
    struct gossip__probe *p = &g->probe;

    if (p->stream != 0) {
        (void)gossip__dial_end(g, p->stream);
    }
    *p = (struct gossip__probe){ .stage = GOSSIP__PROBE_IDLE };
}

void gossip__probe_abandon(struct gossip *g, const char *why)
{
    if (g->probe.stage != GOSSIP__PROBE_IDLE) {
        gossip__log(g, MU_TRACE, "give up the probe of %s, %s", g->probe.target->card->name, why);
        probe_end(g);
    }
}

void gossip__probe_forget(struct gossip *g, const struct gossip__member *m)
{
    struct gossip__probe *p = &g->probe;

    if (p->target == m) {
        probe_end(g);
        return;
    }
    for (unsigned i = 0; i < p->helpers_count; i++) {
        p->helpers[i] = p->helpers[i] == m ? NULL : p->helpers[i];
    }
}

/* What our dial of the target has met by now. */
static enum gossip_way way_of(const struct gossip__probe *p)
{
    if (p->is_dialled) {
        return GOSSIP_WAY_OPEN;
    }
    return p->stage == GOSSIP__PROBE_INDIRECT && p->stream == 0 ? gossip__way_of(p->dial)
                                                                : GOSSIP_WAY_UNKNOWN;
}

static void succeed(struct gossip *g, bool is_tcp_only)
{
    struct gossip__member *m = g->probe.target;

    gossip__sample_since(g, GOSSIP_SAMPLE_PROBE, g->probe.began_ns);
    probe_end(g);
    gossip__health_add(g, -1);
    gossip__serf_probed(g, m);
    if (!is_tcp_only) {
        return;
    }
    gossip__count(g, GOSSIP_COUNT_PROBES_TCP_ONLY);
    struct gossip__dealings *d = gossip__deal(m);

    if (d->tcp_only_ms == 0 || g->now_ms >= d->tcp_only_ms + TCP_LOG_MS) {
        d->tcp_only_ms = g->now_ms;
        gossip__log(g, MU_WARN,
                    "memberlist: Was able to connect to %s over TCP but UDP probes failed, "
                    "network may be misconfigured",
                    m->card->name);
    }
}

/* Refused counts only when a helper says so too, or when there is nobody to ask: our own way to
 * the host might end at something that refuses for it. Stalled wins over everything. */
static enum gossip__evidence evidence_of(const struct gossip__probe *p)
{
    if (p->dial == GOSSIP__STALLED || p->stalled_count > 0) {
        return GOSSIP__STALLED;
    }
    return p->dial == GOSSIP__REFUSED && (p->refused_count > 0 || p->helpers_count == 0)
               ? GOSSIP__REFUSED
               : GOSSIP__SILENT;
}

/* Missing nacks say that the trouble may be ours; a confirmed refusal says that it is not. */
static int health_delta(const struct gossip__probe *p, enum gossip__evidence evidence)
{
    if (evidence == GOSSIP__REFUSED) {
        return 0;
    }
    return p->helpers_count == 0 ? 1 : (int)(p->helpers_count - p->nacks_count);
}

static void fail(struct gossip *g)
{
    struct gossip__probe was = g->probe;
    struct gossip__member *m = was.target;

    if (was.stream != 0) {
        was.dial = gossip__dial_end(g, was.stream);
        g->probe.stream = 0;
    }
    enum gossip__evidence evidence = evidence_of(&was);

    was.stream = 0;
    gossip__link_missed(g, m, way_of(&was));
    gossip__sample_since(g, GOSSIP_SAMPLE_PROBE, was.began_ns);
    probe_end(g);
    gossip__count(g, GOSSIP_COUNT_PROBES_FAILED);
    gossip__health_add(g, health_delta(&was, evidence));
    if (!gossip__member_is_live(m)) {
        return;
    }
    if (m->status == GOSSIP_STATUS_LEAVING) { /* it announced its departure (10) */
        gossip__conclude_dead(g, m, true);
        return;
    }
    gossip__record(g, m,
                   (struct gossip_record){ .change = GOSSIP_CHANGE_MISSED,
                                           .way = way_of(&was),
                                           .asked = was.helpers_count,
                                           .refused = was.refused_count,
                                           .answered = was.nacks_count });
    if (evidence == GOSSIP__STALLED && gossip__inquiry_doubt(g, m)) {
        return;
    }
    gossip__log(g, MU_INFO, "memberlist: Suspect %s has failed, no acks received", m->card->name);
    gossip__conclude_suspect(g, m, evidence);
    for (unsigned i = 0; i < was.helpers_count && evidence == GOSSIP__REFUSED; i++) {
        if (was.has_refused[i] && was.helpers[i] != NULL && m->state == GOSSIP__SUSPECT) {
            (void)gossip__suspicion_confirm(g, m, was.helpers[i]->card->name, evidence);
        }
    }
}

/* The rest of the period need not be waited for once the refusal is confirmed. */
static void decide_early(struct gossip *g)
{
    const struct gossip__probe *p = &g->probe;

    if (p->stage == GOSSIP__PROBE_INDIRECT && evidence_of(p) == GOSSIP__REFUSED) {
        fail(g);
    }
}

/* -- asking others ------------------------------------------------------------------------------
 */

static bool fits_helper(const struct gossip *g, const struct gossip__member *m, const void *data)
{
    (void)g;
    return m->state == GOSSIP__ALIVE && m != data;
}

static void ask_helpers(struct gossip *g)
{
    struct gossip__probe *p = &g->probe;
    uint64_t left = p->deadline_ms > g->now_ms ? p->deadline_ms - g->now_ms : 1;
    uint32_t budget =
        left < g->profile.probe_timeout_ms ? (uint32_t)left : g->profile.probe_timeout_ms;
    size_t want = g->profile.indirect_checks < GOSSIP__HELPERS_MAX ? g->profile.indirect_checks
                                                                   : GOSSIP__HELPERS_MAX;

    p->helpers_count = (unsigned)gossip__member_pick(g, want, fits_helper, p->target, p->helpers);
    for (unsigned i = 0; i < p->helpers_count; i++) {
        struct gossip__part part = { .kind = GOSSIP__PART_INDIRECT,
                                     .indirect = { .seq = p->seq,
                                                   .target = p->target->card->addr,
                                                   .target_name = p->target->card->name,
                                                   .origin = g->self->card->name,
                                                   .reply_to = g->self->card->addr,
                                                   .want_nack = true,
                                                   .nack_after_ms = budget * NACK_PERCENT / 100 } };

        gossip__send_part(g, &p->helpers[i]->card->addr, p->helpers[i], &part);
    }
}

static void trace_helpers(struct gossip *g, const char *what)
{
    const struct gossip__probe *p = &g->probe;
    struct mu_buf names = MU_BUF_NONE;

    for (unsigned i = 0; i < p->helpers_count; i++) {
        mu_buf_addf(&names, "%s%s", i == 0 ? ", ask " : " ", p->helpers[i]->card->name);
    }
    gossip__log(g, MU_TRACE, "%s %s%s", what, p->target->card->name, mu_buf_text(&names));
    mu_buf_deinit(&names);
}

static void go_indirect(struct gossip *g, const char *what)
{
    struct gossip__probe *p = &g->probe;

    p->stage = GOSSIP__PROBE_INDIRECT;
    ask_helpers(g);
    trace_helpers(g, what);
    p->stream = gossip__dial(g, p->seq, p->target->card->name, &p->target->card->addr);
}

void gossip__probe_dialled(struct gossip *g, uint64_t seq, bool ok, enum gossip__evidence evidence)
{
    struct gossip__probe *p = &g->probe;

    if (p->stage != GOSSIP__PROBE_INDIRECT || p->seq != seq) {
        return;
    }
    p->stream = 0;
    p->is_dialled = ok;
    if (!ok) {
        p->dial = evidence;
        decide_early(g);
    }
}

/* -- the walk -----------------------------------------------------------------------------------
 */

static bool is_probed(const struct gossip *g, const struct gossip__member *m)
{
    return m != g->self && gossip__member_is_live(m);
}

/* The end of the list: let go of the long dead, then a new order. */
static void wrap(struct gossip *g)
{
    for (size_t i = g->list_count; i-- > 0;) {
        struct gossip__member *m = g->list[i];

        if (m != g->self && !gossip__member_is_live(m) &&
            g->now_ms >= m->state_ms + g->profile.gossip_to_dead_ms) {
            gossip__member_unlist(g, m);
        }
    }
    for (size_t i = g->list_count; i > 1; i--) {
        size_t at = (size_t)mu_rand_below(&g->rand, i);
        struct gossip__member *m = g->list[at];

        g->list[at] = g->list[i - 1];
        g->list[i - 1] = m;
        g->list[at]->index = (uint32_t)at;
        m->index = (uint32_t)i - 1;
    }
    g->probe_next = 0;
}

/* One that is leaving goes first, every other time: it is expected to be gone soon (10). */
static struct gossip__member *leaving_one(struct gossip *g)
{
    g->probe_turn++;
    if (g->leaving_count == 0 || g->probe_turn % 2 == 0) {
        return NULL;
    }
    for (size_t i = 0; i < g->list_count; i++) {
        size_t at = (i + g->probe_turn / 2) % g->list_count;

        if (g->list[at]->status == GOSSIP_STATUS_LEAVING && is_probed(g, g->list[at])) {
            return g->list[at];
        }
    }
    return NULL;
}

static struct gossip__member *walk(struct gossip *g)
{
    struct gossip__member *m = leaving_one(g);

    for (size_t seen = 0; m == NULL && seen <= g->list_count; seen++) {
        if (g->probe_next >= g->list_count) {
            wrap(g);
        }
        struct gossip__member *candidate = g->list[g->probe_next++];

        m = is_probed(g, candidate) ? candidate : NULL;
    }
    return m;
}

void gossip__send_ping(struct gossip *g, uint64_t seq, const char *target, const struct mu_addr *to)
{
    struct gossip__part part = {
        .kind = GOSSIP__PART_PING,
        .ping = { .seq = seq, .target = target, .reply_to = g->self->card->addr }
    };

    gossip__send_part(g, to, NULL, &part);
}

static void send_probe(struct gossip *g)
{
    struct gossip__probe *p = &g->probe;
    struct gossip__member *m = p->target;
    struct gossip__letter l;
    struct gossip__part ping = { .kind = GOSSIP__PART_PING,
                                 .ping = { .seq = p->seq | (uint64_t)p->sent_count << SEND_SHIFT,
                                           .target = m->card->name,
                                           .reply_to = g->self->card->addr,
                                           .target_boot = m->card->boot_id } };

    gossip__letter_begin(g, &l, &m->card->addr, m);
    if (m->state == GOSSIP__SUSPECT) { /* the buddy system: it must learn that it is to refute */
        gossip__letter_accuse(g, &l, m);
    }
    MU_ASSERT(gossip__letter_add(&l, gossip__part_encode(&ping, &g->step)));
    (void)gossip__letter_send(g, &l);
    if (p->sent_count < GOSSIP__TIMED_MAX) {
        p->sent_ns[p->sent_count] = g->now_ns;
    }
    p->sent_count++;
    p->again_ms = g->now_ms + g->profile.probe_timeout_ms / 2;
}

static void begin(struct gossip *g, struct gossip__member *m)
{
    struct gossip__probe *p = &g->probe;

    p->stage = GOSSIP__PROBE_DIRECT;
    p->target = m;
    p->seq = gossip__seq(g);
    p->began_ns = g->now_ns;
    p->direct_ms = g->now_ms + g->profile.probe_timeout_ms;
    p->deadline_ms = g->now_ms + (uint64_t)g->profile.probe_ms * (g->health + 1);
    gossip__count(g, GOSSIP_COUNT_PROBES);
    g->counters[GOSSIP_COUNT_PROBES_DEGRADED] += g->health > 0;
    gossip__log(g, MU_TRACE, "ping %s", m->card->name);
    send_probe(g);
}

/* -- time ---------------------------------------------------------------------------------------
 */

static uint64_t step_due(const struct gossip__probe *p)
{
    uint64_t due = p->stage == GOSSIP__PROBE_DIRECT ? p->direct_ms : p->deadline_ms;

    if (p->stage == GOSSIP__PROBE_IDLE) {
        return GOSSIP__NEVER;
    }
    return p->again_ms < due ? p->again_ms : due;
}

uint64_t gossip__probe_due(const struct gossip *g)
{
    uint64_t due = step_due(&g->probe);

    return due < g->probe_at_ms ? due : g->probe_at_ms;
}

/* Random phase: nodes that start together must not probe together (5.1). */
void gossip__probe_wake(struct gossip *g)
{
    if (g->probe_at_ms == GOSSIP__NEVER) {
        g->probe_at_ms = g->now_ms + mu_rand_below(&g->rand, g->profile.probe_ms);
    }
}

void gossip__probe_replan(struct gossip *g)
{
    if (g->probe_at_ms != GOSSIP__NEVER) {
        g->probe_at_ms = GOSSIP__NEVER;
        gossip__probe_wake(g);
    }
}

static void period(struct gossip *g)
{
    bool is_alone = g->list_count <= 1;

    g->probe_at_ms += g->profile.probe_ms;
    if (g->probe_at_ms <= g->now_ms) { /* missed ones are skipped, never made up for */
        g->probe_at_ms = g->now_ms + g->profile.probe_ms;
    }
    if (is_alone || g->leave.stage != GOSSIP__LEAVE_NONE) {
        g->probe_at_ms = GOSSIP__NEVER;
    } else if (g->probe.stage == GOSSIP__PROBE_IDLE) {
        struct gossip__member *next = gossip__ring_turn(g);
        struct gossip__member *m = next != NULL ? next : walk(g);

        if (m != NULL) {
            begin(g, m);
            g->probe.is_for_ring = next != NULL;
        }
    }
}

void gossip__probe_tick(struct gossip *g)
{
    struct gossip__probe *p = &g->probe;

    if (p->stage == GOSSIP__PROBE_DIRECT && p->direct_ms <= g->now_ms) {
        go_indirect(g, "no ack in time from");
    }
    if (p->stage == GOSSIP__PROBE_INDIRECT && p->deadline_ms <= g->now_ms) {
        if (p->is_dialled) {
            gossip__link_missed(g, p->target, GOSSIP_WAY_OPEN);
            succeed(g, true);
        } else {
            fail(g);
        }
    }
    if (p->stage != GOSSIP__PROBE_IDLE && p->again_ms <= g->now_ms) {
        send_probe(g);
    }
    if (g->probe_at_ms <= g->now_ms) {
        period(g);
    }
}

/* -- what comes in ------------------------------------------------------------------------------
 */

void gossip__on_ping(struct gossip *g, const struct gossip__ping *p,
                     const struct gossip__source *src)
{
    bool use_stated = p->reply_to.ip_bytes > 0 &&
                      (!mu_addr_is_private(&p->reply_to) || mu_addr_is_private(&src->addr)) &&
                      (!mu_addr_is_loopback(&p->reply_to) || mu_addr_is_loopback(&src->addr));
    const struct mu_addr *to = use_stated ? &p->reply_to : &src->addr;
    struct gossip__part part = { .kind = GOSSIP__PART_ACK, .ack = { .seq = p->seq } };

    gossip__coordinate_put(g, &part.ack);
    bool is_known = src->sender != NULL && mu_addr_eq(to, &src->sender->card->addr);

    if (strcmp(p->target, g->self->card->name) !=
        0) { /* its record of this address is out of date */
        gossip__say(g, GOSSIP__TOPIC_WRONG_NODE, MU_WARN,
                    "memberlist: Got ping for unexpected node '%s'", p->target);
        part.kind = GOSSIP__PART_ERROR;
        part.error =
            (struct gossip__error){ .code = GOSSIP__ERROR_WRONG_NODE, .text = g->self->card->name };
    }
    gossip__send_part(g, to, is_known ? src->sender : NULL, &part);
}

static uint64_t rtt_ns(const struct gossip *g, uint64_t sent_ns)
{
    return g->arrived_ns > sent_ns ? g->arrived_ns - sent_ns : 0;
}

void gossip__on_ack(struct gossip *g, const struct gossip__ack *a, const struct gossip__source *src)
{
    struct gossip__probe *p = &g->probe;
    uint64_t send = a->seq >> SEND_SHIFT;

    if (p->stage != GOSSIP__PROBE_IDLE && (a->seq & PROBE_MASK) == p->seq) {
        bool is_straight = !a->relayed && !src->is_stream && src->sender == p->target;

        bool is_timed = is_straight && send < p->sent_count && send < GOSSIP__TIMED_MAX;

        /* The next one in the ring would pull us as much as all others do together. */
        if (is_timed && !p->is_for_ring) {
            gossip__coordinate_acked(g, p->target, a, p->sent_ns[send]);
        }
        if (is_straight) {
            gossip__link_answered(g, p->target, is_timed ? rtt_ns(g, p->sent_ns[send]) : 0);
        } else {
            gossip__link_missed(g, p->target, way_of(p));
        }
        succeed(g, false);
    } else if (!gossip__inquiry_ack(g, a->seq)) {
        (void)gossip__width_ack(g, a->seq);
    }
}

void gossip__on_nack(struct gossip *g, const struct gossip__nack *n,
                     const struct gossip__source *src)
{
    struct gossip__probe *p = &g->probe;

    if (p->stage != GOSSIP__PROBE_INDIRECT || n->seq != p->seq || src->sender == NULL) {
        return;
    }
    for (unsigned i = 0; i < p->helpers_count; i++) {
        if (p->helpers[i] != src->sender || p->has_nacked[i]) {
            continue;
        }
        p->has_nacked[i] = true;
        p->nacks_count++;
        p->has_refused[i] = n->evidence == GOSSIP__REFUSED;
        p->refused_count += n->evidence == GOSSIP__REFUSED;
        p->stalled_count += n->evidence == GOSSIP__STALLED;
    }
    decide_early(g);
}

/* The address was recycled: whoever answers there is not the one we meant. */
void gossip__on_wrong_node(struct gossip *g, const struct gossip__source *src)
{
    if (g->probe.stage == GOSSIP__PROBE_DIRECT &&
        mu_addr_eq(&src->addr, &g->probe.target->card->addr)) {
        go_indirect(g, "another node answers for");
    }
}

void gossip__on_send_failed(struct gossip *g, const struct mu_addr *to, bool is_remote)
{
    if (g->probe.stage != GOSSIP__PROBE_DIRECT || !mu_addr_eq(to, &g->probe.target->card->addr)) {
        return;
    }
    if (is_remote) {
        go_indirect(g, "no way to");
    } else {
        gossip__probe_abandon(g, "our own send failed");
    }
}
