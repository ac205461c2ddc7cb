/* progress.c - what each peer has, as far as the leader knows.
 *
 *             reject, reconnect, blocked, silence                 next < first log index
 *    PROBE  <------------------------------------- REPLICATE ----------------------------> SNAPSHOT
 *      |  one message outstanding, then wait           ^  pipeline, next runs ahead          |
 *      '------------- success: match known ------------'<------- match reaches the log ------'
 *
 * `match` comes from acks of this session only and never shrinks within it
 * (spec/consensus.md 1.11).
 */
#include "base/assert.h"
#include "core.h"

enum { ATTEMPT_BITS = 16 };

static struct consensus__inflight *inflight_at(const struct consensus *c,
                                               const struct consensus__peer *p, uint32_t i)
{
    struct consensus__inflight *all = consensus__array(c, c->at.inflight);
    size_t first = (size_t)(p - c->peers) * c->options.inflight_max;

    return &all[first + (p->inflight_head + i) % c->options.inflight_max];
}

struct consensus__peer *consensus__peer_find(struct consensus *c, const struct mu_id *id)
{
    for (uint32_t i = 0; i < consensus__config(c)->servers_count; i++) {
        if (mu_id_eq(&c->peers[i].id, id)) {
            return &c->peers[i];
        }
    }
    return NULL;
}

static void inflight_clear(struct consensus__peer *p)
{
    p->inflight_head = 0;
    p->inflight_count = 0;
    p->inflight_bytes = 0;
}

/* A leader begins to serve this peer: nothing is known of it but that it may be like us. */
void consensus__peer_begin(struct consensus *c, struct consensus__peer *p)
{
    struct mu_id id = p->id;
    struct mu_id disk = p->disk;

    *p = (struct consensus__peer){ .id = id, .disk = disk };
    p->state = CONSENSUS_PROBE;
    p->next = c->log.last_index + 1;
    p->session = (mu_rand_u64(&c->rand) | 1) << ATTEMPT_BITS; /* 0 is no session */
    p->moved_ms = c->now_ms;
}

/* Keep what is known of servers that stay; their places may have changed. */
void consensus__peers_align(struct consensus *c)
{
    const struct consensus_config *now = consensus__config(c);
    struct consensus__peer was[CONSENSUS_PEERS_MAX];

    for (uint32_t i = 0; i < CONSENSUS_PEERS_MAX; i++) {
        was[i] = c->peers[i];
        c->peers[i] = (struct consensus__peer){ 0 };
    }
    c->self = CONSENSUS_PEERS_MAX;
    for (uint32_t i = 0; i < now->servers_count; i++) {
        struct consensus__peer *p = &c->peers[i];

        p->id = now->servers[i].id;
        p->disk = now->servers[i].disk;
        if (mu_id_eq(&p->id, &c->options.server)) {
            if (mu_id_eq(&p->disk, &c->options.disk)) {
                c->self = i;
            } else { /* this disk never voted: a blank one is a new server (spec 2.11) */
                consensus__note(c, CONSENSUS_T_WRONG_DISK, &p->id, 0, 0, 0);
            }
            continue;
        }
        consensus__peer_begin(c, p);
        for (uint32_t j = 0; j < CONSENSUS_PEERS_MAX; j++) {
            if (mu_id_eq(&was[j].id, &p->id) && mu_id_eq(&was[j].disk, &p->disk)) {
                *p = was[j];
                inflight_clear(p);
                consensus__peer_move(c, p, CONSENSUS_PROBE);
            }
        }
    }
}

void consensus__peer_move(struct consensus *c, struct consensus__peer *p,
                          enum consensus_progress to)
{
    inflight_clear(p);
    p->is_probing = false;
    p->fetch_ticket = 0; /* an answer that still comes is of no use */
    if (to == CONSENSUS_PROBE) {
        uint64_t attempt = (p->session + 1) & ((1U << ATTEMPT_BITS) - 1);

        p->session = (p->session >> ATTEMPT_BITS << ATTEMPT_BITS) | attempt;
    }
    if (p->state != to) {
        p->state = to;
        consensus__note(c, CONSENSUS_T_PROGRESS, &p->id, to, p->match, p->next);
    }
}

bool consensus__peer_is_full(const struct consensus *c, const struct consensus__peer *p)
{
    return p->inflight_count == c->options.inflight_max ||
           p->inflight_bytes >= c->options.inflight_bytes_max;
}

void consensus__peer_sent(struct consensus *c, struct consensus__peer *p, uint64_t last,
                          uint64_t bytes)
{
    p->sent_ms = c->now_ms;
    if (p->state == CONSENSUS_PROBE) {
        p->is_probing = true;
        return;
    }
    MU_ASSERT(p->state == CONSENSUS_REPLICATE && p->inflight_count < c->options.inflight_max);
    MU_ASSERT(last >= p->next);
    *inflight_at(c, p, p->inflight_count++) = (struct consensus__inflight){ last, bytes };
    p->inflight_bytes += bytes;
    p->next = last + 1;
}

bool consensus__session_is(const struct consensus__peer *p, uint64_t session)
{
    return p->session >> ATTEMPT_BITS == session >> ATTEMPT_BITS;
}

/* An ack frees *every* slot up to its match, with the bytes that were put on it: acks may be
 * coalesced or lost (row 40). */
void consensus__peer_acked(struct consensus *c, struct consensus__peer *p, uint64_t match,
                           bool is_current)
{
    if (match > p->match) {
        p->match = match;
        p->moved_ms = c->now_ms;
    }
    while (p->inflight_count > 0 && inflight_at(c, p, 0)->last <= p->match) {
        p->inflight_bytes -= inflight_at(c, p, 0)->bytes;
        p->inflight_head = (p->inflight_head + 1) % c->options.inflight_max;
        p->inflight_count--;
    }
    if ((p->state == CONSENSUS_PROBE && is_current) ||
        (p->state == CONSENSUS_SNAPSHOT && p->match >= c->log.base_index)) {
        p->next = p->match + 1;
        consensus__peer_move(c, p, CONSENSUS_REPLICATE);
    }
    if (p->next <= p->match) {
        p->next = p->match + 1;
    }
}

/* -- connections --------------------------------------------------------------------------- */

static void probe_again(struct consensus *c, struct consensus__peer *p)
{
    if (p->state == CONSENSUS_REPLICATE) {
        p->next = p->match + 1;
    }
    consensus__peer_move(c, p,
                         p->state == CONSENSUS_SNAPSHOT ? CONSENSUS_SNAPSHOT : CONSENSUS_PROBE);
}

void consensus__on_peer(struct consensus *c, const struct consensus_event *ev)
{
    struct consensus__peer *p = consensus__peer_find(c, &ev->peer.id);

    if (p == NULL || c->role != CONSENSUS_LEADER) {
        return;
    }
    switch (ev->peer.link) {
    case CONSENSUS_LINK_UP:
        p->is_blocked = false;
        probe_again(c, p); /* what was under way is gone */
        break;
    case CONSENSUS_LINK_DOWN:
    case CONSENSUS_LINK_BLOCKED:
        p->is_blocked = true;
        probe_again(c, p);
        break;
    case CONSENSUS_LINK_WRITABLE: p->is_blocked = false; break;
    }
}
