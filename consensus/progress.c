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
    for (uint32_t i = 0; i < c->peers_count; i++) {
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
    *p = (struct consensus__peer){
        .id = p->id,
        .disk = p->disk,
        .removed_index = p->removed_index,
        .removed_ms = p->removed_ms,
    };
    p->state = CONSENSUS_PROBE;
    p->next = c->log.last_index + 1;
    p->session = (mu_rand_u64(&c->rand) | 1) << ATTEMPT_BITS; /* 0 is no session */
    p->moved_ms = c->now_ms;
}

/* The place in `was` of this very disk, or NULL. */
static const struct consensus__peer *known_in(const struct consensus__peer *was, uint32_t count,
                                              const struct mu_id *id, const struct mu_id *disk)
{
    for (uint32_t i = 0; i < count; i++) {
        if (mu_id_eq(&was[i].id, id) && mu_id_eq(&was[i].disk, disk)) {
            return &was[i];
        }
    }
    return NULL;
}

/* Put a server into the next slot, with what is known of it. What is in flight belongs to a slot:
 * one that moves is probed again. */
static void slot_add(struct consensus *c, const struct consensus__peer *was, uint32_t was_count,
                     const struct mu_id *id, const struct mu_id *disk, uint64_t removed_index)
{
    const struct consensus__peer *known = known_in(was, was_count, id, disk);

    MU_ASSERT(c->peers_count < CONSENSUS_SLOTS_MAX);
    struct consensus__peer *p = &c->peers[c->peers_count++];

    p->id = *id;
    p->disk = *disk;
    if (known == NULL) {
        consensus__peer_begin(c, p);
    } else {
        *p = *known;
        if (known - was != p - c->peers) {
            inflight_clear(p);
            consensus__peer_move(c, p, CONSENSUS_PROBE);
        }
    }
    if (removed_index == 0 || p->removed_index == 0) {
        p->removed_index = removed_index;
        p->removed_ms = 0;
    }
}

/* A removed server is served until it knows, or it would start elections: that it is absent from
 * the newest configuration is not enough while that may be truncated (spec 2.8, row 57). */
static void slot_add_removed(struct consensus *c, const struct consensus__peer *was,
                             uint32_t was_count, const struct mu_id *id, const struct mu_id *disk)
{
    bool is_self = mu_id_eq(id, &c->options.server);

    if (!is_self && consensus__peer_find(c, id) == NULL && c->peers_count < CONSENSUS_SLOTS_MAX) {
        slot_add(c, was, was_count, id, disk, consensus__config(c)->index);
    }
}

/* The servers of the configurations before the newest, and those it was parting with already. */
static void removed_align(struct consensus *c, const struct consensus__peer *was,
                          uint32_t was_count)
{
    for (uint32_t i = 0; i + 1 < c->configs_count; i++) {
        for (uint32_t j = 0; j < c->configs[i].servers_count; j++) {
            const struct consensus_server *s = &c->configs[i].servers[j];

            slot_add_removed(c, was, was_count, &s->id, &s->disk);
        }
    }
    for (uint32_t i = 0; i < was_count; i++) {
        slot_add_removed(c, was, was_count, &was[i].id, &was[i].disk);
    }
}

/* Keep what is known of servers that stay; their places may have changed. */
void consensus__peers_align(struct consensus *c)
{
    const struct consensus_config *now = consensus__config(c);
    struct consensus__peer was[CONSENSUS_SLOTS_MAX];
    uint32_t was_count = c->peers_count;

    for (uint32_t i = 0; i < CONSENSUS_SLOTS_MAX; i++) {
        was[i] = c->peers[i];
        c->peers[i] = (struct consensus__peer){ 0 };
    }
    c->self = CONSENSUS_PEERS_MAX;
    c->peers_count = 0;
    for (uint32_t i = 0; i < now->servers_count; i++) {
        const struct consensus_server *s = &now->servers[i];

        if (!mu_id_eq(&s->id, &c->options.server)) {
            slot_add(c, was, was_count, &s->id, &s->disk, 0);
            continue;
        }
        struct consensus__peer *own = &c->peers[c->peers_count++];

        own->id = s->id;
        own->disk = s->disk;
        if (mu_id_eq(&s->disk, &c->options.disk)) {
            c->self = i;
        } else { /* this disk never voted: a blank one is a new server (spec 2.11) */
            consensus__note(c, CONSENSUS_T_WRONG_DISK, &s->id, 0, 0, 0);
        }
    }
    if (c->role == CONSENSUS_LEADER) {
        removed_align(c, was, was_count);
        consensus__lease_break(c); /* other voters have to promise */
    }
}

/* It is served no more once it has applied its removal, or has had two election timeouts for it. */
void consensus__peers_part(struct consensus *c)
{
    uint64_t patience_ms = 2 * (uint64_t)c->options.election_ms_min;

    for (uint32_t i = consensus__config(c)->servers_count; i < c->peers_count; i++) {
        struct consensus__peer *p = &c->peers[i];
        struct consensus__peer *last = &c->peers[c->peers_count - 1];

        if (p->removed_ms == 0 ||
            (p->applied < p->removed_index && c->now_ms < p->removed_ms + patience_ms)) {
            continue;
        }
        consensus__note(c, CONSENSUS_T_PARTS, &p->id, p->removed_index, 0, 0);
        if (p != last) {
            *p = *last;
            inflight_clear(p);
            consensus__peer_move(c, p, CONSENSUS_PROBE);
        }
        *last = (struct consensus__peer){ 0 };
        c->peers_count--;
        i--;
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
        p->level = 0; /* who comes back may be of another version */
        p->is_blocked = true;
        probe_again(c, p);
        break;
    case CONSENSUS_LINK_BLOCKED:
        p->is_blocked = true;
        probe_again(c, p);
        break;
    case CONSENSUS_LINK_WRITABLE: p->is_blocked = false; break;
    }
}
