/* write.c - writes outstanding, what is durable, and the answers that wait for it.
 *
 * Everything that changes in one step goes into one write at its end: the complete hard state and
 * the entries. Writes are numbered and complete in order; an answer names the number it needs, and
 * a number cannot recur. (term, index) could: entries written, overwritten, and overwritten again
 * with equal content, with a completion of the first in between (spec/consensus.md 1.7).
 */
#include "base/assert.h"
#include "core.h"

static struct consensus__write_slot *slot_at(const struct consensus *c, uint32_t i)
{
    struct consensus__write_slot *slots = consensus__array(c, c->at.writes);

    return &slots[(c->writes.head + i) % c->options.writes_max];
}

/* stable = the largest m so that every write that touches an index <= m has completed. The end of
 * the last completed write would acknowledge entries that are already overwritten in the queue. */
static void stable_update(struct consensus *c)
{
    uint64_t stable = c->log.last_index;

    for (uint32_t i = 0; i < c->writes.count; i++) {
        const struct consensus__write_slot *s = slot_at(c, i);

        if (s->first <= s->last && s->first - 1 < stable) {
            stable = s->first - 1;
        }
    }
    if (c->writes.dirty_first != 0 && c->writes.dirty_first - 1 < stable) {
        stable = c->writes.dirty_first - 1;
    }
    c->writes.stable = stable;
}

void consensus__write_hard(struct consensus *c)
{
    c->writes.is_hard_dirty = true;
}

void consensus__write_entries(struct consensus *c, uint64_t first, uint64_t bytes)
{
    if (c->writes.dirty_first == 0 || first < c->writes.dirty_first) {
        c->writes.dirty_first = first;
    }
    c->writes.dirty_bytes += bytes;
    stable_update(c);
}

/* Writes under way say nothing of the log any more: they complete before the one that resets it. */
void consensus__write_reset(struct consensus *c)
{
    for (uint32_t i = 0; i < c->writes.count; i++) {
        slot_at(c, i)->first = 1;
        slot_at(c, i)->last = 0;
    }
    c->writes.dirty_first = 0;
    c->writes.dirty_bytes = 0;
    c->writes.is_hard_dirty = true;
    stable_update(c);
}

/* May entries be taken? Some slots stay for terms, votes and the no-op of a new leader. */
bool consensus__write_has_room(const struct consensus *c)
{
    return c->writes.count + CONSENSUS_WRITES_RESERVED < c->options.writes_max &&
           c->writes.outstanding_bytes <= c->options.unsynced_bytes_max;
}

void consensus__write_flush(struct consensus *c)
{
    if (c->writes.dirty_first == 0 && !c->writes.is_hard_dirty) {
        return;
    }
    if (c->writes.count == c->options.writes_max) {
        MU_ASSERT(c->writes.dirty_first == 0);
        return; /* a burst of terms: they go out together when a slot is free */
    }
    struct consensus__write_slot *s = slot_at(c, c->writes.count++);
    bool has_entries = c->writes.dirty_first != 0 && c->writes.dirty_first <= c->log.last_index;

    s->seq = c->writes.next_seq++;
    s->first = has_entries ? c->writes.dirty_first : 1;
    s->last = has_entries ? c->log.last_index : 0;
    s->submitted_ms = c->now_ms;
    s->bytes = c->writes.dirty_bytes;
    c->writes.outstanding_bytes += s->bytes;
    c->writes.dirty_first = 0;
    c->writes.dirty_bytes = 0;
    c->writes.is_hard_dirty = false;
    c->write = (struct consensus_write){
        .seq = s->seq,
        .hard = c->hard,
        .first = s->first,
        .last = s->last,
    };
    if (c->install.state == CONSENSUS_INSTALL_RESETS && c->install.reset_seq == 0) {
        MU_ASSERT(!has_entries);
        c->install.reset_seq = s->seq;
        c->write.reset_index = c->install.snap.index;
        c->write.reset_term = c->install.snap.term;
        c->write.reset_config = &c->install.config;
    }
    c->has_write = true;
    stable_update(c);
}

/* The newest write that touches an index <= `index`; 0: all of them are durable and known to be. */
uint64_t consensus__write_covering(const struct consensus *c, uint64_t index)
{
    if (c->writes.dirty_first != 0 && c->writes.dirty_first <= index) {
        return c->writes.next_seq;
    }
    for (uint32_t i = c->writes.count; i > 0; i--) {
        const struct consensus__write_slot *s = slot_at(c, i - 1);

        if (s->first <= s->last && s->first <= index) {
            return s->seq;
        }
    }
    return 0;
}

uint64_t consensus__write_age_ms(const struct consensus *c)
{
    return c->writes.count == 0 ? 0 : c->now_ms - slot_at(c, 0)->submitted_ms;
}

void consensus__writes_shift(struct consensus *c, uint64_t ms)
{
    for (uint32_t i = 0; i < c->writes.count; i++) {
        struct consensus__write_slot *s = slot_at(c, i);
        uint64_t age = c->now_ms - s->submitted_ms;

        s->submitted_ms += ms < age ? ms : age;
    }
}

/* From submission to completion, queueing included: that is what a vote waits for. One slow write
 * counts at once, a fast one takes an eighth of the difference away. */
static void flush_measure(struct consensus *c, uint64_t ms)
{
    uint64_t was = c->writes.flush_ms;

    c->writes.flush_ms = ms >= was ? ms : was - (was - ms + 7) / 8;
}

void consensus__on_persisted(struct consensus *c, uint64_t seq, uint64_t late_ms)
{
    MU_ASSERT(seq < c->writes.next_seq); /* nobody can complete what was not submitted */
    while (c->writes.count > 0 && slot_at(c, 0)->seq <= seq) {
        c->writes.outstanding_bytes -= slot_at(c, 0)->bytes;
        uint64_t age = consensus__write_age_ms(c);

        flush_measure(c, age > late_ms ? age - late_ms : 0);
        c->writes.head = (c->writes.head + 1) % c->options.writes_max;
        c->writes.count--;
    }
    if (seq > c->writes.persisted_seq) {
        c->writes.persisted_seq = seq;
    }
    stable_update(c);
    consensus__log_heal(c);
}

/* By its silence, or by its own word. */
uint64_t consensus__stall_ms(const struct consensus *c)
{
    uint64_t age = consensus__write_age_ms(c);
    uint64_t said = c->health == CONSENSUS_STORE_SLOW ? c->now_ms - c->slow_since_ms : 0;

    return said > age ? said : age;
}

/* As the store says, or as its silence says (spec 2.15). */
enum consensus_health consensus__health(const struct consensus *c)
{
    if (c->health == CONSENSUS_STORE_OK && consensus__write_age_ms(c) > c->options.slow_ms) {
        return CONSENSUS_STORE_SLOW;
    }
    return (enum consensus_health)c->health;
}

/* -- answers that wait (O2, O3) ------------------------------------------------------------ */

static void reply_send(struct consensus *c, const struct consensus__pending *p)
{
    struct consensus_msg *m = consensus__send(c, (enum consensus_msg_kind)p->kind, &p->to);

    if (p->kind == CONSENSUS_VOTE_RES) {
        m->answer.asked_term = c->hard.term;
        m->answer.is_granted = true;
        return;
    }
    if (p->kind == CONSENSUS_SNAP_RES) {
        m->snapshot_res.session = p->round_or_session;
        m->snapshot_res.match = p->match;
        m->snapshot_res.answer = CONSENSUS_SNAP_DONE;
        return;
    }
    m->ack.session = p->round_or_session;
    m->ack.prev_index = p->prev_index;
    m->ack.match = p->match;
    m->ack.is_accepted = true;
    m->ack.last_index = c->log.last_index;
    m->ack.applied = c->applied;
    m->ack.is_store_slow = consensus__health(c) != CONSENSUS_STORE_OK;
    m->ack.is_holed = c->floor_index != 0;
}

/* The waiting answer that `p` makes superfluous: a vote is answered once, and a longer match says
 * all that a shorter one did. */
static struct consensus__pending *superseded(struct consensus *c,
                                             const struct consensus__pending *p)
{
    for (uint32_t i = c->pending_count; i > 0; i--) {
        struct consensus__pending *q = &c->pending[i - 1];

        if (q->kind != p->kind || !mu_id_eq(&q->to, &p->to)) {
            continue;
        }
        if (p->kind == CONSENSUS_VOTE_RES || (q->round_or_session == p->round_or_session &&
                                              q->match <= p->match && q->seq == p->seq)) {
            return q;
        }
        if (c->pending_count == CONSENSUS_PENDING_MAX &&
            q->round_or_session == p->round_or_session && q->match <= p->match) {
            return q; /* the ring is full: one later ack in place of two */
        }
    }
    return NULL;
}

void consensus__reply_when(struct consensus *c, const struct consensus__pending *p)
{
    if (p->seq <= c->writes.persisted_seq) {
        reply_send(c, p);
        return;
    }
    struct consensus__pending *q = superseded(c, p);

    if (q == NULL && c->pending_count < CONSENSUS_PENDING_MAX) {
        q = &c->pending[c->pending_count++];
    }
    if (q != NULL) { /* else it is lost like any message: the leader probes */
        *q = *p;
    }
}

void consensus__replies_release(struct consensus *c)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < c->pending_count; i++) {
        if (c->pending[i].seq <= c->writes.persisted_seq) {
            reply_send(c, &c->pending[i]);
        } else {
            c->pending[kept++] = c->pending[i];
        }
    }
    c->pending_count = kept;
}
